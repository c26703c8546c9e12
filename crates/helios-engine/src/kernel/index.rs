//! Index entries of a row.
//!
//! ```text
//! unique:     prefix | columns        -> header | row key     (when no column is NULL)
//! otherwise:  prefix | columns | pk   -> header | row key
//! ```
//!
//! Entries of rows with a NULL in a unique index carry the key as well, because NULLs are
//! distinct there unless the index says otherwise. The entry's body is the row's key without its
//! prefix, so that a scan of the index finds the row in either form.

use super::runtime::{Compiler, TableRuntime};
use helios_planner::catalog::{Index, IndexKey, Table};
use helios_planner::scalar::{CompiledExpr, Env};
use helios_storage::{KeyColumn, Prefix, encode_bson_key, encode_key};
use helios_types::{BranchId, Error, Jsonb, JsonbRef, Result, Value, bail, limits};

#[derive(Debug)]
pub(crate) struct IndexRuntime {
    pub(crate) index: Index,
    pub(crate) prefix: Prefix,
    pub(crate) columns: Vec<(KeySource, KeyColumn)>,
    pub(crate) predicate: Option<CompiledExpr>,
}

#[derive(Debug)]
pub(crate) enum KeySource {
    /// Place in the row.
    Place(usize),
    Expression(CompiledExpr),
    /// Dotted path into the document; one entry per array element.
    Path(String),
}

/// One entry that a row has in an index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) key: Vec<u8>,
    /// Whether another row may not have the same key.
    pub(crate) exclusive: bool,
}

impl IndexRuntime {
    pub(super) fn new(
        index: &Index,
        table: &Table,
        place: &[Option<usize>],
        compiler: &mut Compiler<'_>,
    ) -> Result<Self> {
        let columns = index
            .columns
            .iter()
            .map(|column| {
                let source = match &column.key {
                    IndexKey::Column(position) => match place.get(*position) {
                        Some(Some(place)) => KeySource::Place(*place),
                        _ => return Err(Error::internal("index over a dropped column")),
                    },
                    IndexKey::Expression(text, ty) => {
                        KeySource::Expression(compiler.over_row(text, Some(*ty))?)
                    }
                    IndexKey::Path(path) => KeySource::Path(path.clone()),
                };
                let key = KeyColumn {
                    descending: column.descending,
                    nulls_first: column.nulls_first,
                };
                Ok((source, key))
            })
            .collect::<Result<_>>()?;
        let predicate = match &index.predicate {
            Some(text) => Some(compiler.over_row(text, Some(helios_types::Type::BOOL))?),
            None => None,
        };
        Ok(IndexRuntime {
            index: index.clone(),
            prefix: Prefix::new(table.database, BranchId::MAIN, index.storage),
            columns,
            predicate,
        })
    }

    /// The entries of a row whose storage key is `row_key`, sorted and without repetition.
    pub(crate) fn entries(
        &self,
        row: &[Value],
        row_key: &[u8],
        env: &mut dyn Env,
    ) -> Result<Vec<Entry>> {
        if let Some(predicate) = &self.predicate
            && !matches!(predicate.eval(row, env)?, Value::Bool(true))
        {
            return Ok(Vec::new());
        }
        // Each column may give several values (multikey); entries are all combinations, of which
        // MongoDB allows only one column to have many.
        let mut keys: Vec<(Vec<u8>, bool)> = vec![(self.prefix.bytes().to_vec(), false)];
        for (source, column) in &self.columns {
            keys = self.extend(keys, source, *column, row, env)?;
        }
        let mut entries = Vec::with_capacity(keys.len());
        for (mut key, has_null) in keys {
            let exclusive = self.index.unique && (!has_null || self.index.nulls_not_distinct);
            if !exclusive {
                key.extend_from_slice(&row_key[Prefix::LEN..]);
            }
            if key.len() > limits::KEY_BYTES_MAX {
                bail!(
                    LimitExceeded,
                    "index row size {} exceeds maximum {} for index \"{}\"",
                    key.len(),
                    limits::KEY_BYTES_MAX,
                    self.index.name
                );
            }
            entries.push(Entry { key, exclusive });
        }
        entries.sort();
        entries.dedup();
        Ok(entries)
    }

    fn extend(
        &self,
        keys: Vec<(Vec<u8>, bool)>,
        source: &KeySource,
        column: KeyColumn,
        row: &[Value],
        env: &mut dyn Env,
    ) -> Result<Vec<(Vec<u8>, bool)>> {
        let mut out = Vec::with_capacity(keys.len());
        match source {
            KeySource::Path(path) => {
                let Some(Value::Jsonb(document)) = row.get(1) else {
                    return Err(Error::internal("path index over a table without documents"));
                };
                for value in path_values(document.as_ref(), path) {
                    for (key, has_null) in &keys {
                        let mut key = key.clone();
                        encode_bson_key(&mut key, value.as_ref(), column.descending)?;
                        out.push((key, *has_null));
                    }
                }
            }
            _ => {
                let computed;
                let value = match source {
                    KeySource::Place(place) => &row[*place],
                    KeySource::Expression(expr) => {
                        computed = expr.eval(row, env)?;
                        &computed
                    }
                    KeySource::Path(_) => unreachable!("handled above"),
                };
                for (mut key, has_null) in keys {
                    encode_key(&mut key, value.as_ref(), column)?;
                    out.push((key, has_null || value.is_null()));
                }
            }
        }
        Ok(out)
    }
}

/// What a document has at a dotted path: null when nothing is there, every element of an array.
fn path_values(document: JsonbRef<'_>, path: &str) -> Vec<Jsonb> {
    let mut found = vec![document];
    for part in path.split('.') {
        let mut next = Vec::new();
        for value in found {
            if value.element == ARRAY {
                next.extend(value.elements().flatten().filter_map(|e| e.get(part)));
            } else {
                next.extend(value.get(part));
            }
        }
        found = next;
    }
    let mut values: Vec<Jsonb> = Vec::new();
    for value in found {
        if value.element == ARRAY {
            values.extend(value.elements().flatten().map(JsonbRef::to_jsonb));
        } else {
            values.push(value.to_jsonb());
        }
    }
    if values.is_empty() {
        values.push(Jsonb::new(NULL, &[]));
    }
    values
}

/// BSON element types.
const ARRAY: u8 = 4;
const NULL: u8 = 10;

/// The row key behind an index entry.
pub(crate) fn row_key(runtime: &TableRuntime, entry_body: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(Prefix::LEN + entry_body.len());
    key.extend_from_slice(&runtime.prefix.bytes());
    key.extend_from_slice(entry_body);
    key
}
