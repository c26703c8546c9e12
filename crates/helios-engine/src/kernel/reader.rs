//! Tables at one snapshot, as the row executor reads them.

use super::index::row_key;
use super::read::Cell;
use super::runtime::{RuntimeCache, TableRuntime};
use crate::apply::{KeyPath, Row, ScanRequest, TableReader, TableRows, ValueBound};
use crate::engine::Engine;
use foldhash::{HashSet, HashSetExt};
use helios_planner::catalog::Catalog;
use helios_storage::{
    KeyColumn, KeyRange, Pinned, ReadView, Scan, ScanOptions, Space, encode_bson_key, encode_key,
    prefix_successor,
};
use helios_types::{Error, Result, Value, ValueRef};
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
}

impl TableReader for ViewReader {
    fn scan(&self, request: ScanRequest<'_>) -> Result<Box<dyn TableRows>> {
        let rt = self.runtimes().get(request.table, &self.catalog)?;
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
            } => {
                let options = ScanOptions {
                    reverse,
                    ..ScanOptions::default()
                };
                let primary = rt.table.primary_key().map(|i| i.id);
                match index.filter(|id| Some(*id) != primary) {
                    None => {
                        let columns = vec![KeyColumn::ASC; rt.key.len()];
                        let prefix = rt.prefix.bytes().to_vec();
                        let range = key_range(prefix, &columns, &equal, &lower, &upper)?;
                        Rows::Scan(self.view.scan(Space::Row, range, options)?)
                    }
                    Some(id) => {
                        let index = rt
                            .indexes
                            .iter()
                            .find(|i| i.index.id == id)
                            .ok_or_else(|| Error::internal("plan names an index that is gone"))?;
                        let columns: Vec<KeyColumn> =
                            index.columns.iter().map(|(_, c)| *c).collect();
                        let prefix = index.prefix.bytes().to_vec();
                        let range = key_range(prefix, &columns, &equal, &lower, &upper)?;
                        Rows::Index(self.view.scan(Space::Index, range, options)?)
                    }
                }
            }
        };
        // A document has an entry for each element of an array.
        let repeats = rt.is_document() && matches!(source, Rows::Index(_));
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
                    let (_, body) = helios_storage::split_header(entry)?;
                    let key = row_key(&self.rt, body);
                    if let Some(seen) = &mut self.seen
                        && !seen.insert(key.clone())
                    {
                        continue;
                    }
                    let value: Option<Pinned<'_>> = self.view.get(Space::Row, &key)?;
                    match value {
                        Some(value) => {
                            decode(&self.rt, &self.columns, self.now_ms, &key, &value, row)?
                        }
                        None => false,
                    }
                }
            };
            if found {
                return Ok(true);
            }
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

/// Keys whose columns after `prefix` equal `equal` and whose next column is within the bounds.
pub(crate) fn key_range(
    mut prefix: Vec<u8>,
    columns: &[KeyColumn],
    equal: &[Value],
    lower: &Option<ValueBound>,
    upper: &Option<ValueBound>,
) -> Result<KeyRange> {
    for (value, column) in equal.iter().zip(columns) {
        match value {
            // A path of a document: values in BSON order.
            Value::Jsonb(v) => encode_bson_key(&mut prefix, v.as_ref(), column.descending)?,
            value => encode_key(&mut prefix, value.as_ref(), *column)?,
        }
    }
    let mut range = KeyRange::prefix(&prefix);
    let Some(column) = columns.get(equal.len()).copied() else {
        return Ok(range);
    };
    for (bound, is_lower) in [(lower, true), (upper, false)] {
        let Some(bound) = bound else { continue };
        let mut key = prefix.clone();
        encode_key(&mut key, bound.value.as_ref(), column)?;
        // In a descending column the larger value has the smaller key.
        if is_lower != column.descending {
            let lo = if bound.inclusive {
                Some(key)
            } else {
                prefix_successor(&key)
            };
            range.lo = lo.unwrap_or(range.lo);
        } else {
            range.hi = if bound.inclusive {
                prefix_successor(&key)
            } else {
                Some(key)
            };
        }
    }
    if lower.is_none() && upper.is_none() {
        return Ok(range);
    }
    // NULLs satisfy no comparison: an open end stops before them.
    let mut null = prefix;
    encode_key(&mut null, ValueRef::Null, column)?;
    if column.nulls_first {
        if let Some(after) = prefix_successor(&null)
            && range.lo < after
        {
            range.lo = after;
        }
    } else if range.hi.as_ref().is_none_or(|hi| *hi > null) {
        range.hi = Some(null);
    }
    Ok(range)
}
