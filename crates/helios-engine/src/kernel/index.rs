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
//!
//! A document has an entry for each element of an array. The index's row counter counts the times
//! that a document with several entries was written; it never goes down, and as long as it is zero
//! readers may rely on one entry for each document ([`super::reach`]).

use super::read::Cell;
use super::runtime::{Compiler, TableRuntime};
use super::write::key_text;
use helios_planner::catalog::{Index, IndexKey, Table};
use helios_planner::document::path::{Leaf, Path, visit};
use helios_planner::document::raw::{ARRAY, Bson, DOCUMENT, NULL, UNDEFINED};
use helios_planner::scalar::{CompiledExpr, Env};
use helios_storage::{Duplicate, KeyColumn, Prefix, Space, Txn, encode_bson_key, encode_key};
use helios_types::{BranchId, Error, ErrorKind, JsonbRef, Result, Type, Value, bail, limits};
use smallvec::SmallVec;
use std::borrow::Cow;

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
    Path(Path),
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
                    IndexKey::Path(path) => KeySource::Path(Path::new(path)),
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
        let mut keys: Vec<(Vec<u8>, bool)> = vec![(self.prefix.bytes().to_vec(), false)];
        let mut arrays: SmallVec<[(&Path, usize); 2]> = SmallVec::new();
        for (source, column) in &self.columns {
            match source {
                KeySource::Path(path) => {
                    let Some(Value::Jsonb(document)) = row.get(1) else {
                        return Err(Error::internal("path index over a table without documents"));
                    };
                    let found = path_keys(document.as_ref().into(), path, column.descending)?;
                    arrays.extend(found.array.map(|at| (path, at)));
                    keys = combine(&keys, &found.keys);
                }
                _ => self.extend(&mut keys, source, *column, row, env)?,
            }
        }
        refuse_parallel(&arrays)?;
        let mut entries = Vec::with_capacity(keys.len());
        for (mut key, has_null) in keys {
            let exclusive = self.end_key(&mut key, has_null, row_key)?;
            entries.push(Entry { key, exclusive });
        }
        entries.sort();
        entries.dedup();
        Ok(entries)
    }

    /// Whether each row has one entry, made of its columns alone.
    pub(crate) fn is_plain(&self) -> bool {
        let place = |(source, _): &(KeySource, KeyColumn)| matches!(source, KeySource::Place(_));
        self.predicate.is_none() && self.columns.iter().all(place)
    }

    /// The key of the one entry that a row has in a plain index, in place of what `out` holds.
    pub(crate) fn plain_entry<'v>(
        &self,
        out: &mut Vec<u8>,
        row_key: &[u8],
        column: impl Fn(usize) -> Result<Cell<'v>>,
    ) -> Result<()> {
        out.clear();
        out.extend_from_slice(&self.prefix.bytes());
        let mut has_null = false;
        for (source, key) in &self.columns {
            let KeySource::Place(place) = source else {
                return Err(Error::internal("not a plain index"));
            };
            let cell = column(*place)?;
            let value = cell.as_ref();
            has_null |= value.is_null();
            encode_key(out, value, *key)?;
        }
        self.end_key(out, has_null, row_key).map(drop)
    }

    /// Completes the key of an entry: whether another row may not have it.
    fn end_key(&self, key: &mut Vec<u8>, has_null: bool, row_key: &[u8]) -> Result<bool> {
        let exclusive = self.index.unique && (!has_null || self.index.nulls_not_distinct);
        if !exclusive {
            key.extend_from_slice(row_key.get(Prefix::LEN..).unwrap_or_default());
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
        Ok(exclusive)
    }

    /// Takes note of a row that is written with these entries.
    pub(crate) fn note(&self, txn: &mut Txn, entries: &[Entry]) {
        if entries.len() > 1 {
            txn.count(self.prefix, 1);
        }
    }

    /// `(a)=(1)` for the detail of a violation; `None` of an index over expressions.
    pub(crate) fn text_of_key(&self, rt: &TableRuntime, row: &[Value]) -> Option<String> {
        let mut names: Vec<Cow<'_, str>> = Vec::new();
        let mut types = Vec::new();
        let mut values = Vec::new();
        for (source, _) in &self.columns {
            match source {
                KeySource::Place(place) => {
                    let column = &rt.table.columns[rt.live[*place]];
                    names.push(column.name.as_str().into());
                    types.push(column.ty);
                    values.push(row[*place].clone());
                }
                KeySource::Path(path) => {
                    names.push(path.text().into());
                    types.push(Type::JSONB);
                    let value = match row.get(1) {
                        Some(Value::Jsonb(d)) => {
                            let parts = &mut path.parts.iter();
                            parts.try_fold(d.as_ref(), |value, part| value.get(part))
                        }
                        _ => None,
                    };
                    values.push(value.map_or(Value::Null, |v| Value::Jsonb(v.to_jsonb())));
                }
                KeySource::Expression(_) => return None,
            }
        }
        let names: Vec<&str> = names.iter().map(Cow::as_ref).collect();
        Some(key_text(&names, &types, &values))
    }

    fn extend(
        &self,
        keys: &mut [(Vec<u8>, bool)],
        source: &KeySource,
        column: KeyColumn,
        row: &[Value],
        env: &mut dyn Env,
    ) -> Result<()> {
        let computed;
        let value = match source {
            KeySource::Place(place) => &row[*place],
            KeySource::Expression(expr) => {
                computed = expr.eval(row, env)?;
                &computed
            }
            KeySource::Path(_) => return Err(Error::internal("a path is not one value")),
        };
        for (key, has_null) in keys {
            encode_key(key, value.as_ref(), column)?;
            *has_null |= value.is_null();
        }
        Ok(())
    }
}

/// Every key with every end.
fn combine(keys: &[(Vec<u8>, bool)], ends: &[Vec<u8>]) -> Vec<(Vec<u8>, bool)> {
    let mut out = Vec::with_capacity(keys.len() * ends.len());
    for (key, has_null) in keys {
        out.extend(
            ends.iter()
                .map(|end| ([key.as_slice(), end].concat(), *has_null)),
        );
    }
    out
}

/// The keys that a document has at a path, each element of an array one of its own: null where
/// nothing is there, undefined for an empty array. Tells at which part of the path an array is.
fn path_keys(document: Bson<'_>, path: &Path, descending: bool) -> Result<PathKeys> {
    let mut out = PathKeys {
        keys: SmallVec::new(),
        array: array_part(document, &path.parts),
    };
    let mut failure = None;
    visit(document, &path.parts, Leaf::Whole, &mut |value, _| {
        let missing = value.is_missing();
        let added = match value.tag {
            ARRAY if value.is_empty() => out.push(UNDEFINED, &[], descending),
            ARRAY => value
                .elements()
                .try_for_each(|e| out.push(e.tag, e.bytes, descending)),
            _ if missing => out.push(NULL, &[], descending),
            tag => out.push(tag, value.bytes, descending),
        };
        failure = added.err();
        failure.is_some()
    });
    match failure {
        Some(error) => return Err(error),
        None if out.keys.is_empty() => out.push(NULL, &[], descending)?,
        None => {}
    }
    Ok(out)
}

struct PathKeys {
    keys: SmallVec<[Vec<u8>; 1]>,
    array: Option<usize>,
}

impl PathKeys {
    fn push(&mut self, element: u8, bytes: &[u8], descending: bool) -> Result<()> {
        let mut key = Vec::with_capacity(bytes.len() + 4);
        encode_bson_key(&mut key, JsonbRef { element, bytes }, descending)?;
        self.keys.push(key);
        Ok(())
    }
}

/// How many parts of a path lead to its first array.
fn array_part(document: Bson<'_>, parts: &[Box<str>]) -> Option<usize> {
    let mut value = document;
    for (at, part) in parts.iter().enumerate() {
        value = value.get(part);
        match value.tag {
            ARRAY => return Some(at + 1),
            DOCUMENT => {}
            _ => return None,
        }
    }
    None
}

/// Two arrays that are not within each other would give an entry for every pair of elements.
fn refuse_parallel(arrays: &[(&Path, usize)]) -> Result<()> {
    let [(first, n), rest @ ..] = arrays else {
        return Ok(());
    };
    let other = rest
        .iter()
        .find(|(path, m)| path.parts.get(..*m) != first.parts.get(..*n));
    let Some((other, _)) = other else {
        return Ok(());
    };
    /// MongoDB's `CannotIndexParallelArrays`.
    const PARALLEL_ARRAYS: i32 = 171;
    let mut error = Error::new(
        ErrorKind::InvalidParameterValue,
        format!(
            "cannot index parallel arrays [{}] [{}]",
            other.text(),
            first.text()
        ),
    );
    error.fields_mut().foreign_code = Some(PARALLEL_ARRAYS);
    Err(error)
}

/// What to say of two rows with the same key in an index, of which one is behind `duplicate`:
/// `say` tells it of that row.
pub(crate) fn duplicate_entry(
    txn: &Txn,
    rt: &TableRuntime,
    duplicate: &Duplicate,
    now_ms: u64,
    say: impl FnOnce(&[Value]) -> Error,
) -> Result<Error> {
    let (_, body) = helios_storage::split_header(&duplicate.value)?;
    let view = txn.view_latest();
    let row = match view.get(Space::Row, &row_key(rt, body))? {
        Some(value) => rt.decode(&value, now_ms)?,
        None => None,
    };
    match row {
        Some(row) => Ok(say(&row)),
        None => Err(Error::internal("an index entry without its row")),
    }
}

/// The row key behind an index entry.
pub(crate) fn row_key(runtime: &TableRuntime, entry_body: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(Prefix::LEN + entry_body.len());
    key.extend_from_slice(&runtime.prefix.bytes());
    key.extend_from_slice(entry_body);
    key
}
