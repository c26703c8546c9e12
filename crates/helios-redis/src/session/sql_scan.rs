//! KEYS and SCAN where tables are shown: in database 16, and beside the keyspace in the others.
//!
//! The keys of the keyspace come first, then the rows of each table in the order of its primary key.
//! A cursor remembers the last key that was shown; one that has been forgotten begins anew. The
//! documents of a table come in one page, because their `_id`s of several types have no order as
//! texts.

use super::Session;
use crate::codec::reply::Aggregate;
use crate::codec::{Args, ReplyWriter};
use crate::command::scan;
use crate::translate::{self, Shown};
use helios_engine::keyspace::expirer::now_ms;
use helios_engine::keyspace::scan::ScanRequest;
use helios_engine::keyspace::{Access, Kind, glob};
use helios_types::{ErrorKind, Result, Value};

/// Most rows that one statement reads for SCAN.
const PAGE_MAX: usize = 10_000;

/// Where a scan of tables goes on.
struct Place {
    /// Which of the tables.
    table: usize,
    /// Behind which row of it.
    row: Option<Vec<Value>>,
}

fn matches(pattern: Option<&[u8]>, key: &str) -> bool {
    pattern.is_none_or(|pattern| glob::matches(pattern, key.as_bytes()))
}

impl Session {
    /// The tables whose rows are keys of this connection's database, and may begin with `literal`.
    fn shown_tables(&mut self, literal: &[u8]) -> Result<Vec<Shown>> {
        let is_sql = self.is_sql();
        let engine = self.engine()?;
        let (catalog, database) = (engine.catalog(), engine.database_id());
        let mut tables = match is_sql {
            true => translate::tables(&catalog, database),
            false => translate::prefixed_tables(&catalog, database),
        };
        tables.retain(|shown| {
            let prefix = shown.prefix.as_bytes();
            prefix.starts_with(literal) || literal.starts_with(prefix)
        });
        Ok(tables)
    }

    /// The rows of a statement; a table that the role may not read has no keys for it.
    async fn readable_rows(
        &mut self,
        statement: (String, Vec<Option<helios_types::Type>>),
        params: &[Value],
    ) -> Result<Vec<Vec<Value>>> {
        match self.run_text(statement, params).await {
            Ok((_, rows, _)) => Ok(rows),
            Err(error) if error.kind() == ErrorKind::InsufficientPrivilege => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// KEYS.
    pub(super) async fn list_keys(&mut self, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
        let pattern = args.get(1);
        let reply = out.deferred();
        let mut count = 0;
        if !self.is_sql() {
            self.native_keys(|access| {
                access.match_keys(pattern, &mut |key| {
                    out.bulk(key);
                    count += 1;
                })
            })?;
        }
        let literal = glob::literal_prefix(pattern);
        for shown in self.shown_tables(&literal)? {
            let rows = self.readable_rows(shown.select_keys(), &[]).await?;
            for key in rows.iter().filter_map(|row| shown.key(row)) {
                if matches(Some(pattern), &key) {
                    out.bulk(key.as_bytes());
                    count += 1;
                }
            }
        }
        out.finish(reply, Aggregate::Array, count);
        Ok(())
    }

    fn native_keys<T>(&self, read: impl FnOnce(&mut Access<'_>) -> Result<T>) -> Result<T> {
        self.require_keyspace()?;
        let Some(database) = self.databases().get(self.database) else {
            return Err(helios_types::Error::internal("no logical database"));
        };
        read(&mut Access::newest(
            self.server.keyspace(),
            database,
            now_ms(),
        ))
    }

    /// SCAN.
    pub(super) async fn scan_tables(
        &mut self,
        args: Args<'_>,
        out: &mut ReplyWriter,
    ) -> Result<()> {
        let (request, kind) = scan::request(args.from(1), true)?;
        let kind = kind.map(Kind::from_name);
        let literal = request.pattern.map(glob::literal_prefix);
        let tables = self.shown_tables(&literal.unwrap_or_default())?;
        let server = self.server.clone();
        let cursors = server.keyspace().cursors();
        let last = cursors.last(request.cursor);
        let mut place = last.and_then(|last| place_of(&tables, &last));
        let mut keys: Vec<Vec<u8>> = Vec::new();
        if place.is_none() && !self.is_sql() {
            let page = match kind {
                Some(None) => Default::default(),
                Some(kind) => self.native_keys(|access| access.scan_keys(request, kind))?,
                None => self.native_keys(|access| access.scan_keys(request, None))?,
            };
            keys = page.elements;
            if page.cursor != 0 {
                return write_page(out, page.cursor, &keys);
            }
        }
        let hashes = kind.is_none_or(|kind| kind == Some(Kind::Hash));
        let mut next = None;
        if hashes {
            let start = place.take().unwrap_or(Place {
                table: 0,
                row: None,
            });
            next = self.table_page(&tables, start, request, &mut keys).await?;
        }
        write_page(out, next.map_or(0, |key| cursors.save(&key)), &keys)
    }

    /// Adds the keys of rows from a place on: the key behind which the scan goes on, if there is
    /// more.
    async fn table_page(
        &mut self,
        tables: &[Shown],
        place: Place,
        request: ScanRequest<'_>,
        keys: &mut Vec<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>> {
        let mut seen = 0;
        let mut behind = place.row;
        for shown in tables.iter().skip(place.table) {
            if seen >= request.count {
                return Ok(Some(shown.prefix.as_bytes().to_vec()));
            }
            loop {
                let most = (request.count - seen).min(PAGE_MAX);
                let rows = match shown.is_document() {
                    true => self.readable_rows(shown.select_keys(), &[]).await?,
                    false => {
                        let limit = i64::try_from(most).unwrap_or(i64::MAX);
                        let mut params = vec![Value::Int8(limit)];
                        params.extend(behind.iter().flatten().cloned());
                        let statement = shown.select_page(behind.is_some());
                        self.readable_rows(statement, &params).await?
                    }
                };
                let full = !shown.is_document() && rows.len() == most;
                seen += rows.len();
                let mut last = None;
                for row in &rows {
                    let Some(key) = shown.key(row) else { continue };
                    if matches(request.pattern, &key) {
                        keys.push(key.clone().into_bytes());
                    }
                    last = Some(key);
                }
                behind = rows.last().cloned();
                if !full {
                    break;
                }
                if seen >= request.count
                    && let Some(last) = last
                {
                    return Ok(Some(last.into_bytes()));
                }
            }
            behind = None;
        }
        Ok(None)
    }
}

/// Where the scan goes on behind a key that it has shown, if that is the key of a row. The bare
/// prefix of a table stands for its beginning.
fn place_of(tables: &[Shown], last: &[u8]) -> Option<Place> {
    let table = tables
        .iter()
        .position(|shown| last.starts_with(shown.prefix.as_bytes()))?;
    let shown = &tables[table];
    if last == shown.prefix.as_bytes() {
        return Some(Place { table, row: None });
    }
    let row = Some(shown.row(last)?);
    Some(Place { table, row })
}

fn write_page(out: &mut ReplyWriter, cursor: u64, keys: &[Vec<u8>]) -> Result<()> {
    scan::cursor(out, cursor);
    out.array(keys.len());
    keys.iter().for_each(|key| out.bulk(key));
    Ok(())
}
