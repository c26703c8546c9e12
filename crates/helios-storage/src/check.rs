//! Integrity check: every key and value of every family decodes.
//!
//! What rows and index entries mean is the engine's knowledge; its visitor decodes them and matches
//! index entries with rows. The check reads one snapshot, with block checksums verified.

use crate::changes;
use crate::database::{Cursor, CursorOptions, Family};
use crate::header::{Header, split_header};
use crate::history::{key_of_versions, split_version_key};
use crate::snapshot::Snapshot;
use crate::space::{Prefix, Space};
use crate::store::Store;
use crate::ttl;
use helios_types::{Error, Result, Ts};

/// Looks at every current entry during a check. An error is a problem of that entry and goes into
/// the report; the check goes on.
pub trait CheckVisitor {
    /// The state that is about to be checked.
    fn begin(&mut self, _snapshot: &Snapshot) {}

    fn entry(&mut self, space: Space, key: &[u8], header: &Header, body: &[u8]) -> Result<()>;

    /// All entries have been seen, rows before index entries; problems that only the whole shows.
    fn finish(&mut self, _snapshot: &Snapshot) -> Vec<String> {
        Vec::new()
    }
}

/// Checks only what the storage itself knows.
#[derive(Debug, Default)]
pub struct NoVisitor;

impl CheckVisitor for NoVisitor {
    fn entry(&mut self, _: Space, _: &[u8], _: &Header, _: &[u8]) -> Result<()> {
        Ok(())
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    pub rows: u64,
    pub index_entries: u64,
    pub catalog_records: u64,
    pub history_versions: u64,
    pub change_records: u64,
    /// One line for each thing that is wrong, up to [`CheckReport::PROBLEMS_MAX`].
    pub problems: Vec<String>,
    /// All problems, also those without a line.
    pub problem_count: u64,
}

impl CheckReport {
    pub const PROBLEMS_MAX: usize = 1000;

    pub fn is_clean(&self) -> bool {
        self.problem_count == 0
    }

    fn problem(&mut self, text: String) {
        self.problem_count += 1;
        if self.problems.len() < Self::PROBLEMS_MAX {
            self.problems.push(text);
        }
    }

    fn count(&mut self, space: Space) {
        match space {
            Space::Row => self.rows += 1,
            Space::Index => self.index_entries += 1,
            Space::Meta => self.catalog_records += 1,
        }
    }
}

/// Looks at one entry and counts it; an error is a problem of the entry.
type Look<'a> = dyn FnMut(&mut CheckReport, &[u8], &[u8]) -> Result<()> + 'a;

fn hex(bytes: &[u8]) -> String {
    let mut out: String = bytes.iter().take(48).map(|b| format!("{b:02x}")).collect();
    if bytes.len() > 48 {
        out.push('…');
    }
    out
}

impl Store {
    /// Reads everything. An error is returned only when reading itself is impossible.
    pub fn check(&self, visitor: &mut dyn CheckVisitor) -> Result<CheckReport> {
        let snapshot = self.snapshot();
        let mut report = CheckReport::default();
        let last = snapshot.ts();
        visitor.begin(&snapshot);
        for space in [Space::Meta, Space::Row, Space::Index] {
            self.check_family(
                &snapshot,
                Family::Current(space),
                &mut report,
                &mut |r, key, value| {
                    r.count(space);
                    check_entry(space, key, value, last, visitor)
                },
            );
        }
        for space in Space::ALL {
            self.check_family(
                &snapshot,
                Family::History(space),
                &mut report,
                &mut |r, key, value| {
                    r.history_versions += 1;
                    check_version(space, key, value, last)
                },
            );
        }
        self.check_family(&snapshot, Family::Log, &mut report, &mut |r, key, value| {
            r.change_records += 1;
            changes::decode(key, value).map(drop)
        });
        self.check_family(&snapshot, Family::Ttl, &mut report, &mut |_, key, _| {
            ttl::split_key(key).map(drop)
        });
        for problem in visitor.finish(&snapshot) {
            report.problem(problem);
        }
        Ok(report)
    }

    fn check_family(
        &self,
        snapshot: &Snapshot,
        family: Family,
        report: &mut CheckReport,
        look: &mut Look<'_>,
    ) {
        let name = family.name();
        let how = CursorOptions {
            no_fill_cache: true,
            readahead: 2 << 20,
        };
        let epoch = Some(snapshot.state.epoch.clone());
        let mut cursor = match Cursor::new(self.database(), family, &[], None, false, epoch, how) {
            Ok(cursor) => cursor,
            Err(error) => return report.problem(format!("{name}: {error}")),
        };
        while let Some((key, value)) = cursor.item() {
            if self.database().loads.is_unfinished(key) {
                cursor.advance();
                continue;
            }
            if let Err(error) = look(report, key, value) {
                report.problem(format!("{name} {}: {error}", hex(key)));
            }
            cursor.advance();
        }
        if let Err(error) = cursor.status() {
            let cause = error.fields().cause.clone().unwrap_or_default();
            report.problem(format!("{name}: {error} ({cause})"));
        }
    }
}

fn problem(text: &str) -> Error {
    Error::new(helios_types::ErrorKind::DataCorrupted, text.to_owned())
}

fn check_entry(
    space: Space,
    key: &[u8],
    value: &[u8],
    last: Ts,
    visitor: &mut dyn CheckVisitor,
) -> Result<()> {
    let (header, body) = split_header(value)?;
    if space != Space::Meta && Prefix::of_key(key).is_none() {
        return Err(problem("key is shorter than an object prefix"));
    }
    if header.begin_ts > last || header.begin_ts == Ts::ZERO {
        return Err(problem("version begins after the last commit"));
    }
    visitor.entry(space, key, &header, body)
}

fn check_version(space: Space, key: &[u8], value: &[u8], last: Ts) -> Result<()> {
    let version = split_version_key(key)?;
    key_of_versions(space, version.versions)?;
    let (header, _) = split_header(value)?;
    if header.begin_ts != version.begin {
        return Err(problem("version does not begin when its key says"));
    }
    if version.begin >= version.end || version.end > last {
        return Err(problem("version does not end after it begins"));
    }
    Ok(())
}
