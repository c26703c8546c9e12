//! Tables at one snapshot, as the row executor reads them.

use super::index::{IndexRuntime, row_key};
use super::reach::{Reach, each_range, may_repeat};
use super::read::Cell;
use super::runtime::{RuntimeCache, TableRuntime};
use crate::apply::{KeyPath, Row, ScanRequest, TableReader, TableRows};
use crate::engine::Engine;
use foldhash::{HashSet, HashSetExt};
use helios_planner::catalog::Catalog;
use helios_storage::{
    KeyColumn, KeyRange, Pinned, Prefix, ReadView, Scan, ScanOptions, Space, encode_bson_key,
    encode_key,
};
use helios_types::{Error, ObjectId, Result, Value};
use std::sync::Arc;

/// Reads through one view with one catalog.
pub(crate) struct ViewReader {
    pub(crate) engine: Arc<Engine>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) view: ReadView,
    pub(crate) now_ms: u64,
}

impl ViewReader {
    fn runtimes(&self) -> &RuntimeCache {
        &self.engine.runtimes
    }

    fn may_repeat(&self, index: Prefix) -> bool {
        may_repeat(&self.engine.store, &self.view, index)
    }
}

/// The index of that number; `None` for the table's own key.
fn index_of(rt: &TableRuntime, id: Option<ObjectId>) -> Result<Option<&IndexRuntime>> {
    let primary = rt.table.primary_key().map(|i| i.id);
    let Some(id) = id.filter(|id| Some(*id) != primary) else {
        return Ok(None);
    };
    match rt.indexes.iter().find(|i| i.index.id == id) {
        Some(index) => Ok(Some(index)),
        None => Err(Error::internal("plan names an index that is gone")),
    }
}

impl TableReader for ViewReader {
    fn scan(&self, request: ScanRequest<'_>) -> Result<Box<dyn TableRows>> {
        let rt = self.runtimes().get(request.table, &self.catalog)?;
        let mut repeats = false;
        let source = match request.path {
            KeyPath::Point(key) => Rows::Keys(vec![point_key(&rt, &key)?].into_iter()),
            KeyPath::Points(keys) => {
                let mut keys: Vec<Vec<u8>> = keys
                    .iter()
                    .map(|key| point_key(&rt, key))
                    .collect::<Result<_>>()?;
                keys.sort();
                keys.dedup();
                Rows::Keys(keys.into_iter())
            }
            KeyPath::Full { reverse } => {
                let options = ScanOptions {
                    reverse,
                    ..ScanOptions::default()
                };
                Rows::Scan(self.view.scan(Space::Row, rt.prefix.range(), options)?)
            }
            KeyPath::Range {
                index,
                equal,
                lower,
                upper,
                reverse,
                ordered,
            } => {
                let index = index_of(&rt, index)?;
                let reach = Reach {
                    equal,
                    lower,
                    upper,
                    ordered,
                };
                let range = reach.range(&rt, index, |i| self.may_repeat(i))?;
                let options = ScanOptions {
                    reverse,
                    ..ScanOptions::default()
                };
                match index {
                    None => Rows::Scan(self.view.scan(Space::Row, range, options)?),
                    Some(index) => {
                        repeats = rt.is_document() && self.may_repeat(index.prefix);
                        Rows::Index(self.view.scan(Space::Index, range, options)?)
                    }
                }
            }
            KeyPath::Each {
                index,
                equal,
                values,
            } => {
                let index = index_of(&rt, index)?;
                let ranges = each_range(&rt, index, &equal, &values)?;
                match index {
                    None => {
                        let keys: Vec<_> = ranges.into_iter().map(|range| range.lo).collect();
                        Rows::Keys(keys.into_iter())
                    }
                    Some(index) => {
                        repeats = self.may_repeat(index.prefix);
                        Rows::Ranges(ranges.into_iter(), None)
                    }
                }
            }
        };
        Ok(Box::new(Reader {
            rt,
            view: self.view.clone(),
            source,
            seen: repeats.then(HashSet::new),
            columns: request.columns.clone(),
            now_ms: self.now_ms,
        }))
    }
}

enum Rows {
    Keys(std::vec::IntoIter<Vec<u8>>),
    Scan(Scan),
    Index(Scan),
    /// Ranges of an index, and the scan of the one before them.
    Ranges(std::vec::IntoIter<KeyRange>, Option<Scan>),
}

struct Reader {
    rt: Arc<TableRuntime>,
    view: ReadView,
    source: Rows,
    /// Keys given already, where an index may lead to a row more than once.
    seen: Option<HashSet<Vec<u8>>>,
    columns: Arc<[usize]>,
    now_ms: u64,
}

impl TableRows for Reader {
    fn next(&mut self, row: &mut Row) -> Result<bool> {
        loop {
            let found = match &mut self.source {
                Rows::Keys(keys) => {
                    let Some(key) = keys.next() else {
                        return Ok(false);
                    };
                    match self.view.get(Space::Row, &key)? {
                        Some(value) => {
                            decode(&self.rt, &self.columns, self.now_ms, &key, &value, row)?
                        }
                        None => false,
                    }
                }
                Rows::Scan(scan) => {
                    let Some((key, value)) = scan.next()? else {
                        return Ok(false);
                    };
                    decode(&self.rt, &self.columns, self.now_ms, key, value, row)?
                }
                Rows::Index(scan) => {
                    let Some((_, entry)) = scan.next()? else {
                        return Ok(false);
                    };
                    let key = indexed(&self.rt, entry)?;
                    self.row_at(key, row)?
                }
                Rows::Ranges(ranges, current) => {
                    let entry = match current {
                        Some(scan) => scan.next()?,
                        None => None,
                    };
                    match entry {
                        Some((_, entry)) => {
                            let key = indexed(&self.rt, entry)?;
                            self.row_at(key, row)?
                        }
                        None => {
                            let Some(range) = ranges.next() else {
                                return Ok(false);
                            };
                            let options = ScanOptions::default();
                            *current = Some(self.view.scan(Space::Index, range, options)?);
                            false
                        }
                    }
                }
            };
            if found {
                return Ok(true);
            }
        }
    }
}

/// The key of the row behind an index entry.
fn indexed(rt: &TableRuntime, entry: &[u8]) -> Result<Vec<u8>> {
    let (_, body) = helios_storage::split_header(entry)?;
    Ok(row_key(rt, body))
}

impl Reader {
    /// The row that an index leads to, unless it was given already.
    fn row_at(&mut self, key: Vec<u8>, row: &mut Row) -> Result<bool> {
        if let Some(seen) = &mut self.seen
            && !seen.insert(key.clone())
        {
            return Ok(false);
        }
        let value: Option<Pinned<'_>> = self.view.get(Space::Row, &key)?;
        match value {
            Some(value) => decode(&self.rt, &self.columns, self.now_ms, &key, &value, row),
            None => Ok(false),
        }
    }
}

fn decode(
    rt: &TableRuntime,
    columns: &[usize],
    now_ms: u64,
    key: &[u8],
    value: &[u8],
    row: &mut Row,
) -> Result<bool> {
    let Some(view) = rt.view(value, now_ms)? else {
        return Ok(false);
    };
    row.clear();
    row.reserve(columns.len());
    for &column in columns {
        row.push(if column < rt.live.len() {
            view.column(column).map(Cell::into_value)?
        } else {
            Value::bytea(key)
        });
    }
    Ok(true)
}

fn point_key(rt: &TableRuntime, key: &[Value]) -> Result<Vec<u8>> {
    let mut out = rt.prefix.bytes().to_vec();
    for value in key {
        match value {
            Value::Jsonb(id) if rt.is_document() => encode_bson_key(&mut out, id.as_ref(), false)?,
            value => encode_key(&mut out, value.as_ref(), KeyColumn::ASC)?,
        }
    }
    Ok(out)
}
