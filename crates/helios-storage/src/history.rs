//! Superseded versions: where they live, how an older moment is read, when they go.
//!
//! ```text
//! hist, idxh, metah : escaped key | end_ts u64 | begin_ts u64 -> header | body
//! ```
//!
//! A version is visible at T when `begin_ts <= T < end_ts`; the newest version lives in the current
//! family and has no end. The key is escaped and ended as in [`crate::key`], because otherwise the
//! versions of a key could lie among those of a longer key; the twelve bytes of the object's
//! prefix stand unescaped in front, so that an object's history is one range.
//!
//! An object keeps history from the commit that asked for it
//! ([`Txn::set_history`](crate::Txn::set_history)) on; what it looked like before is unknown and
//! reading it is refused with `SnapshotTooOld`. The catalog always keeps its history.

use crate::database::{Cursor, CursorOptions, Database, Epoch, Family};
use crate::header::begin_ts;
use crate::key::escape;
use crate::space::{KeyRange, Prefix, Space};
use helios_types::{BranchId, DatabaseId, Error, ErrorKind, ObjectId, Result, Ts, bail};
use std::collections::HashMap;
use std::sync::Arc;

/// Since when each object that keeps history has kept it.
pub(crate) type HistoryStarts = HashMap<Prefix, Ts>;

/// Stands for the whole catalog among the history starts.
pub(crate) const CATALOG: Prefix = Prefix {
    database: DatabaseId(0),
    branch: BranchId(0),
    object: ObjectId(0),
};

/// How many bytes in front of the key stay as they are.
fn unescaped(space: Space) -> usize {
    if space == Space::Meta { 0 } else { Prefix::LEN }
}

/// The part of a history key that all versions of `key` share.
pub(crate) fn push_versions_prefix(out: &mut Vec<u8>, space: Space, key: &[u8]) {
    let (head, tail) = key.split_at(unescaped(space).min(key.len()));
    out.extend_from_slice(head);
    escape(out, tail);
}

/// A place among the history keys: before every version of keys from `key` on.
fn bound(space: Space, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 2);
    push_versions_prefix(&mut out, space, key);
    out.truncate(out.len() - 2);
    out
}

/// A history key taken apart.
pub(crate) struct VersionKey<'a> {
    /// The key's versions prefix.
    pub(crate) versions: &'a [u8],
    pub(crate) end: Ts,
    pub(crate) begin: Ts,
}

pub(crate) fn split_version_key(key: &[u8]) -> Result<VersionKey<'_>> {
    let corrupt = || Error::new(ErrorKind::DataCorrupted, "history key is too short");
    let (rest, begin) = key.split_last_chunk::<8>().ok_or_else(corrupt)?;
    let (versions, end) = rest.split_last_chunk::<8>().ok_or_else(corrupt)?;
    Ok(VersionKey {
        versions,
        end: Ts(u64::from_be_bytes(*end)),
        begin: Ts(u64::from_be_bytes(*begin)),
    })
}

/// The key that a versions prefix belongs to.
pub(crate) fn key_of_versions(space: Space, versions: &[u8]) -> Result<Vec<u8>> {
    let Some((head, tail)) = versions.split_at_checked(unescaped(space)) else {
        bail!(DataCorrupted, "history key is too short");
    };
    let (tail, rest) = crate::key::unescape(tail)?;
    if !rest.is_empty() {
        bail!(DataCorrupted, "history key has bytes after its end");
    }
    Ok([head, &tail].concat())
}

/// Refuses to read an object further back than its history goes.
pub(crate) fn check_reach(starts: &HistoryStarts, space: Space, key: &[u8], at: Ts) -> Result<()> {
    if space == Space::Meta {
        return check_catalog_reach(starts, at);
    }
    let Some(prefix) = Prefix::of_key(key) else {
        bail!(Internal, "a read of an older state names no object");
    };
    match starts.get(&prefix) {
        Some(since) if *since <= at => Ok(()),
        Some(since) => Err(too_old(prefix, at)
            .with_detail(format!("History is kept since transaction {}.", since.0))),
        None => Err(too_old(prefix, at).with_detail("No history is kept of it.")),
    }
}

pub(crate) fn check_catalog_reach(starts: &HistoryStarts, at: Ts) -> Result<()> {
    match starts.get(&CATALOG) {
        Some(since) if *since > at => {
            bail!(
                SnapshotTooOld,
                "the state as of transaction {} is no longer kept",
                at.0
            )
        }
        _ => Ok(()),
    }
}

fn too_old(prefix: Prefix, at: Ts) -> Error {
    helios_types::error!(
        SnapshotTooOld,
        "the state of relation {} as of transaction {} is no longer kept",
        prefix.object.0,
        at.0
    )
}

/// The version of `key` that was visible at `at`, when it is among the superseded ones.
pub(crate) fn get_version(
    db: &Arc<Database>,
    epoch: &Arc<Epoch>,
    space: Space,
    key: &[u8],
    at: Ts,
) -> Result<Option<Vec<u8>>> {
    let mut lo = Vec::with_capacity(key.len() + 24);
    push_versions_prefix(&mut lo, space, key);
    let prefix = lo.len();
    let mut hi = lo.clone();
    hi.extend_from_slice(&[0xff; 17]);
    // The first entry that ends after `at` is the only one that can span it.
    lo.extend_from_slice(&(at.0.saturating_add(1)).to_be_bytes());
    let cursor = Cursor::new(
        db,
        Family::History(space),
        &lo,
        Some(&hi),
        false,
        Some(epoch.clone()),
        CursorOptions::default(),
    )?;
    let found = match cursor.item() {
        Some((found, value)) if found.starts_with(&lo[..prefix]) => {
            (split_version_key(found)?.begin <= at).then(|| value.to_vec())
        }
        _ => None,
    };
    cursor.status()?;
    Ok(found)
}

/// Scans the state at an older moment: current and superseded versions side by side.
pub(crate) struct HistoryScan {
    space: Space,
    at: Ts,
    reverse: bool,
    current: Cursor,
    superseded: Cursor,
    key: Vec<u8>,
    value: Vec<u8>,
    live: bool,
}

impl HistoryScan {
    pub(crate) fn new(
        db: &Arc<Database>,
        epoch: &Arc<Epoch>,
        space: Space,
        range: &KeyRange,
        at: Ts,
        reverse: bool,
        how: CursorOptions,
    ) -> Result<HistoryScan> {
        let open = |family, lo: &[u8], hi: Option<&[u8]>| {
            Cursor::new(db, family, lo, hi, reverse, Some(epoch.clone()), how)
        };
        let current = open(Family::Current(space), &range.lo, range.hi.as_deref())?;
        let hi = range.hi.as_deref().map(|hi| bound(space, hi));
        let superseded = open(
            Family::History(space),
            &bound(space, &range.lo),
            hi.as_deref(),
        )?;
        let mut scan = HistoryScan {
            space,
            at,
            reverse,
            current,
            superseded,
            key: Vec::new(),
            value: Vec::new(),
            live: false,
        };
        scan.step()?;
        Ok(scan)
    }

    pub(crate) fn item(&self) -> Option<(&[u8], &[u8])> {
        self.live.then_some((&self.key[..], &self.value[..]))
    }

    pub(crate) fn step(&mut self) -> Result<()> {
        loop {
            let current = self.current.item().map(|(key, _)| key);
            let old = match self.superseded.item() {
                Some((key, _)) => Some(key_of_versions(
                    self.space,
                    split_version_key(key)?.versions,
                )?),
                None => None,
            };
            let order = match (current, &old) {
                (None, None) => {
                    self.live = false;
                    self.current.status()?;
                    return self.superseded.status();
                }
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(c), Some(o)) if self.reverse => o.as_slice().cmp(c),
                (Some(c), Some(o)) => c.cmp(o.as_slice()),
            };
            let mut found = false;
            if let Some(old) = old.filter(|_| order.is_ge()) {
                found = self.take_superseded(&old)?;
                self.key = old;
            }
            if order.is_le()
                && let Some((key, value)) = self.current.item()
            {
                if begin_ts(value)? <= self.at {
                    self.key.clear();
                    self.key.extend_from_slice(key);
                    self.value.clear();
                    self.value.extend_from_slice(value);
                    found = true;
                }
                self.current.advance();
            }
            if found {
                self.live = true;
                return Ok(());
            }
        }
    }

    /// Passes all versions of one key and keeps the one that is visible.
    fn take_superseded(&mut self, key: &[u8]) -> Result<bool> {
        let mut versions = Vec::with_capacity(key.len() + 2);
        push_versions_prefix(&mut versions, self.space, key);
        let mut found = false;
        while let Some((stored, value)) = self.superseded.item() {
            let version = split_version_key(stored)?;
            if version.versions != versions {
                break;
            }
            if version.begin <= self.at && self.at < version.end {
                self.value.clear();
                self.value.extend_from_slice(value);
                found = true;
            }
            self.superseded.advance();
        }
        Ok(found)
    }
}
