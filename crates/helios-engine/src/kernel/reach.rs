//! The ranges of keys that an access path comes to, its values known.

use super::index::IndexRuntime;
use super::runtime::TableRuntime;
use crate::apply::ValueBound;
use helios_storage::{
    KeyColumn, KeyRange, Prefix, ReadView, Store, encode_bson_key, encode_key, prefix_successor,
};
use helios_types::{Error, Jsonb, Result, Value, ValueRef};

/// Columns equal to values, and bounds of the one after them.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) equal: Vec<Value>,
    pub(crate) lower: Option<ValueBound>,
    pub(crate) upper: Option<ValueBound>,
    /// The order of the keys is wanted.
    pub(crate) ordered: bool,
}

/// Whether some document may have several entries in an index. The count only grows, so it says
/// so of every older snapshot too; what a transaction wrote itself is not in it.
pub(crate) fn may_repeat(store: &Store, view: &ReadView, index: Prefix) -> bool {
    view.has_own_writes() || store.row_count(index) > 0
}

impl Reach {
    /// The keys in an index, or in the table itself. `repeats` tells whether documents may have
    /// several entries in the index.
    pub(crate) fn range(
        self,
        rt: &TableRuntime,
        index: Option<&IndexRuntime>,
        repeats: impl FnOnce(Prefix) -> bool,
    ) -> Result<KeyRange> {
        if rt.is_document() {
            let repeats = index.is_some_and(|index| repeats(index.prefix));
            return self.document_range(rt, index, repeats);
        }
        let (prefix, columns): (_, Vec<KeyColumn>) = match index {
            Some(index) => (
                index.prefix,
                index.columns.iter().map(|(_, c)| *c).collect(),
            ),
            None => (rt.prefix, vec![KeyColumn::ASC; rt.key.len()]),
        };
        let prefix = prefix.bytes().to_vec();
        key_range(prefix, &columns, &self.equal, &self.lower, &self.upper)
    }

    /// Bounds hold among values of their own type. Where a document has several entries, two
    /// bounds may be satisfied by different ones, and it stands in the order where the least or
    /// the greatest of all of them is.
    fn document_range(
        mut self,
        rt: &TableRuntime,
        index: Option<&IndexRuntime>,
        repeats: bool,
    ) -> Result<KeyRange> {
        if repeats && self.ordered {
            (self.lower, self.upper) = (None, None);
        } else if repeats && self.lower.is_some() {
            self.upper = None;
        }
        let prefix = document_prefix(rt, index, &self.equal)?;
        let descending = is_descending(index, self.equal.len());
        let mut range = KeyRange::prefix(&prefix);
        for (bound, is_lower) in [(&self.lower, true), (&self.upper, false)] {
            let Some(bound) = bound else { continue };
            let mut key = prefix.clone();
            push_document_value(&mut key, &bound.value, descending)?;
            let of_type = KeyRange::prefix(key.get(..prefix.len() + 1).unwrap_or(&key));
            let (mut lo, mut hi) = (Some(of_type.lo), of_type.hi);
            // In a descending column the larger value has the smaller key.
            if is_lower != descending {
                lo = match bound.inclusive {
                    true => Some(key),
                    false => prefix_successor(&key),
                };
            } else {
                hi = match bound.inclusive {
                    true => prefix_successor(&key),
                    false => Some(key),
                };
            }
            range.lo = range.lo.max(lo.unwrap_or_default());
            range.hi = match (range.hi, hi) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        Ok(range)
    }
}

/// One range for each element of an array, in order of the keys.
pub(crate) fn each_range(
    rt: &TableRuntime,
    index: Option<&IndexRuntime>,
    equal: &[Value],
    values: &Jsonb,
) -> Result<Vec<KeyRange>> {
    let prefix = document_prefix(rt, index, equal)?;
    let descending = is_descending(index, equal.len());
    let mut keys = Vec::new();
    for value in values.as_ref().elements() {
        let mut key = prefix.clone();
        encode_bson_key(&mut key, value?, descending)?;
        keys.push(key);
    }
    keys.sort();
    keys.dedup();
    Ok(keys.iter().map(|key| KeyRange::prefix(key)).collect())
}

fn is_descending(index: Option<&IndexRuntime>, column: usize) -> bool {
    index
        .and_then(|index| index.columns.get(column))
        .is_some_and(|(_, column)| column.descending)
}

fn document_prefix(
    rt: &TableRuntime,
    index: Option<&IndexRuntime>,
    equal: &[Value],
) -> Result<Vec<u8>> {
    let prefix = index.map_or(rt.prefix, |index| index.prefix);
    let mut out = prefix.bytes().to_vec();
    for (at, value) in equal.iter().enumerate() {
        push_document_value(&mut out, value, is_descending(index, at))?;
    }
    Ok(out)
}

fn push_document_value(out: &mut Vec<u8>, value: &Value, descending: bool) -> Result<()> {
    match value {
        Value::Jsonb(value) => encode_bson_key(out, value.as_ref(), descending),
        _ => Err(Error::internal("a document is looked up by something else")),
    }
}

/// Keys whose columns after `prefix` equal `equal` and whose next column is within the bounds.
fn key_range(
    mut prefix: Vec<u8>,
    columns: &[KeyColumn],
    equal: &[Value],
    lower: &Option<ValueBound>,
    upper: &Option<ValueBound>,
) -> Result<KeyRange> {
    for (value, column) in equal.iter().zip(columns) {
        encode_key(&mut prefix, value.as_ref(), *column)?;
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
