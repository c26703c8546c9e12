//! Foreign keys: what a statement must still prove or carry out before it ends.
//!
//! PostgreSQL checks a foreign key when the statement has finished (or, deferred, when the
//! transaction commits), so a statement may insert a row and the row it refers to in any order.
//! The write kernel therefore only notes what it did; [`Writer::run_checks`] does the rest: it
//! locks the referenced row (`FOR KEY SHARE`) or finds the referencing ones.

use super::index::KeySource;
use super::runtime::TableRuntime;
use super::write::{Writer, key_text};
use helios_planner::catalog::{ForeignKey, ReferentialAction, Table};
use helios_storage::{KeyColumn, LockKey, LockMode, ScanOptions, Space, TryLock, encode_key};
use helios_types::{Error, ErrorKind, ObjectId, Result, Value};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Checks of a transaction, in the order they arose.
#[derive(Debug, Default)]
pub(crate) struct CheckQueue {
    /// Due at the end of the statement.
    due: VecDeque<Check>,
    /// Due at commit.
    deferred: VecDeque<Check>,
    /// `SET CONSTRAINTS ALL DEFERRED / IMMEDIATE`.
    pub(crate) defer_all: Option<bool>,
}

#[derive(Debug, Clone)]
enum Check {
    /// The row that `values` refer to must exist.
    Referenced {
        table: ObjectId,
        key: ObjectId,
        values: Vec<Value>,
    },
    /// The row that had `old` in the referenced columns is gone or has `new` there.
    Referencing {
        table: ObjectId,
        key: ObjectId,
        old: Vec<Value>,
        new: Option<Vec<Value>>,
    },
}

fn pick(rt: &TableRuntime, positions: &[usize], row: &[Value]) -> Vec<Value> {
    positions
        .iter()
        .map(|&p| rt.place[p].map_or(Value::Null, |place| row[place].clone()))
        .collect()
}

fn same(a: &[Value], b: &[Value]) -> bool {
    a.iter()
        .zip(b)
        .all(|(a, b)| helios_types::value::compare(a, b).is_eq())
}

impl CheckQueue {
    fn push(&mut self, key: &ForeignKey, check: Check) {
        let deferred = key.deferrable && self.defer_all.unwrap_or(key.initially_deferred);
        if deferred {
            &mut self.deferred
        } else {
            &mut self.due
        }
        .push_back(check);
    }

    pub(crate) fn inserted(&mut self, rt: &TableRuntime, row: &[Value]) {
        for key in &rt.table.foreign_keys {
            let values = pick(rt, &key.columns, row);
            if values.iter().any(Value::is_null) {
                continue;
            }
            self.push(
                key,
                Check::Referenced {
                    table: rt.table.id,
                    key: key.id,
                    values,
                },
            );
        }
    }

    /// As [`CheckQueue::inserted`] for many rows that refer to few: each value is looked up once.
    pub(crate) fn inserted_with(
        &mut self,
        rt: &TableRuntime,
        row: &[Value],
        known: &mut HashSet<Vec<u8>>,
    ) -> Result<()> {
        for key in &rt.table.foreign_keys {
            let values = pick(rt, &key.columns, row);
            if values.iter().any(Value::is_null) {
                continue;
            }
            let mut name = key.id.0.to_be_bytes().to_vec();
            for value in &values {
                encode_key(&mut name, value.as_ref(), KeyColumn::ASC)?;
            }
            if !known.insert(name) {
                continue;
            }
            let check = Check::Referenced {
                table: rt.table.id,
                key: key.id,
                values,
            };
            self.push(key, check);
        }
        Ok(())
    }

    /// How many checks are due.
    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }

    pub(crate) fn updated(&mut self, rt: &TableRuntime, old: &[Value], new: &[Value]) {
        for key in &rt.table.foreign_keys {
            let values = pick(rt, &key.columns, new);
            if values.iter().any(Value::is_null) || same(&values, &pick(rt, &key.columns, old)) {
                continue;
            }
            self.push(
                key,
                Check::Referenced {
                    table: rt.table.id,
                    key: key.id,
                    values,
                },
            );
        }
        for (child, key) in &rt.referencing {
            let (before, after) = (
                pick(rt, &key.referenced_columns, old),
                pick(rt, &key.referenced_columns, new),
            );
            if before.iter().any(Value::is_null) || same(&before, &after) {
                continue;
            }
            let check = Check::Referencing {
                table: *child,
                key: key.id,
                old: before,
                new: Some(after),
            };
            self.push(key, check);
        }
    }

    pub(crate) fn deleted(&mut self, rt: &TableRuntime, old: &[Value]) {
        for (child, key) in &rt.referencing {
            let before = pick(rt, &key.referenced_columns, old);
            if before.iter().any(Value::is_null) {
                continue;
            }
            let check = Check::Referencing {
                table: *child,
                key: key.id,
                old: before,
                new: None,
            };
            self.push(key, check);
        }
    }

    /// One foreign key of a stored row, for ALTER TABLE … ADD FOREIGN KEY.
    pub(crate) fn require_reference(&mut self, rt: &TableRuntime, key: ObjectId, row: &[Value]) {
        let Some(foreign) = rt.table.foreign_keys.iter().find(|k| k.id == key) else {
            return;
        };
        let values = pick(rt, &foreign.columns, row);
        if !values.iter().any(Value::is_null) {
            self.due.push_back(Check::Referenced {
                table: rt.table.id,
                key,
                values,
            });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// At commit, and on SET CONSTRAINTS … IMMEDIATE: everything is due.
    pub(crate) fn make_deferred_due(&mut self) {
        self.due.append(&mut self.deferred);
    }

    /// How many deferred checks there are: a savepoint's mark.
    pub(crate) fn mark(&self) -> usize {
        self.deferred.len()
    }

    pub(crate) fn rollback_to(&mut self, mark: usize) {
        self.due.clear();
        self.deferred.truncate(mark);
    }
}

impl Writer<'_> {
    /// Carries out all due checks, those that cascades add included.
    pub(crate) async fn run_checks(&mut self) -> Result<()> {
        while let Some(check) = self.checks.due.pop_front() {
            match check {
                Check::Referenced { table, key, values } => {
                    let Some((table, key)) = self.foreign_key(table, key) else {
                        continue;
                    };
                    if self.lock_referenced(&key, &values).await?.is_none() {
                        return Err(self.missing_reference(&table, &key, &values));
                    }
                }
                Check::Referencing {
                    table,
                    key,
                    old,
                    new,
                } => {
                    let Some((table, key)) = self.foreign_key(table, key) else {
                        continue;
                    };
                    self.referenced_row_changed(&table, &key, &old, new.as_deref())
                        .await?;
                }
            }
        }
        Ok(())
    }

    fn foreign_key(&self, table: ObjectId, key: ObjectId) -> Option<(Arc<Table>, ForeignKey)> {
        let table = self.catalog.table(table)?;
        let key = table.foreign_keys.iter().find(|k| k.id == key)?;
        Some((table.clone(), key.clone()))
    }

    /// Locks the referenced row against deletion; its key, or `None` when there is none.
    async fn lock_referenced(
        &mut self,
        key: &ForeignKey,
        values: &[Value],
    ) -> Result<Option<Vec<u8>>> {
        let parent = self.runtime(key.referenced)?;
        let Some(row_key) = self.referenced_key(&parent, key, values)? else {
            return Ok(None);
        };
        let lock = LockKey::Row(Space::Row, &row_key);
        if self.txn.try_lock(&lock, LockMode::KeyShare)? == TryLock::Contended {
            // A row that somebody else is only inserting is not there yet.
            if self.latest(&parent, &row_key)?.is_none() {
                return Ok(None);
            }
            self.lock(&row_key, LockMode::KeyShare).await?;
        }
        // It may have changed while this transaction waited for the lock.
        let Some(row) = self.latest(&parent, &row_key)? else {
            return Ok(None);
        };
        let found = same(&pick(&parent, &key.referenced_columns, &row), values);
        Ok(found.then_some(row_key))
    }

    /// The storage key of the row with `values` in the referenced columns.
    fn referenced_key(
        &self,
        parent: &TableRuntime,
        key: &ForeignKey,
        values: &[Value],
    ) -> Result<Option<Vec<u8>>> {
        let values_by_position = |position: usize| {
            key.referenced_columns
                .iter()
                .position(|&p| p == position)
                .map(|i| &values[i])
        };
        let is_primary = parent
            .table
            .primary_key()
            .is_some_and(|i| i.id == key.referenced_index);
        if is_primary {
            let ordered: Option<Vec<Value>> = parent
                .table
                .key
                .iter()
                .map(|&p| values_by_position(p).map(|v| convert(v, parent.table.columns[p].ty)))
                .collect();
            let Some(ordered) = ordered else {
                return Ok(None);
            };
            return parent
                .encode_key(&ordered.iter().collect::<Vec<_>>())
                .map(Some);
        }
        let Some(index) = parent
            .indexes
            .iter()
            .find(|i| i.index.id == key.referenced_index)
        else {
            return Err(Error::internal("foreign key without its index"));
        };
        let mut entry = index.prefix.bytes().to_vec();
        for (source, column) in &index.columns {
            let KeySource::Place(place) = source else {
                return Err(Error::internal("foreign key over an expression index"));
            };
            let position = parent.live[*place];
            let Some(value) = values_by_position(position) else {
                return Ok(None);
            };
            encode_key(
                &mut entry,
                convert(value, parent.table.columns[position].ty).as_ref(),
                *column,
            )?;
        }
        let view = self.txn.view_latest();
        let Some(value) = view.get(Space::Index, &entry)? else {
            return Ok(None);
        };
        let (_, body) = helios_storage::split_header(&value)?;
        Ok(Some(super::index::row_key(parent, body)))
    }

    async fn referenced_row_changed(
        &mut self,
        child: &Arc<Table>,
        key: &ForeignKey,
        old: &[Value],
        new: Option<&[Value]>,
    ) -> Result<()> {
        let action = if new.is_some() {
            key.on_update
        } else {
            key.on_delete
        };
        // Another row may have taken the old values within the same statement.
        if matches!(action, ReferentialAction::NoAction)
            && self.lock_referenced(key, old).await?.is_some()
        {
            return Ok(());
        }
        let rt = self.runtime(child.id)?;
        for row_key in self.referencing_rows(&rt, key, old)? {
            self.lock(&row_key, LockMode::Update).await?;
            let Some(row) = self.latest(&rt, &row_key)? else {
                continue;
            };
            if !same(&pick(&rt, &key.columns, &row), old) {
                continue;
            }
            match (action, new) {
                (ReferentialAction::NoAction | ReferentialAction::Restrict, _) => {
                    return Err(self.still_referenced(child, key, old));
                }
                (ReferentialAction::Cascade, None) => self.delete(&rt, &row_key, &row)?,
                (ReferentialAction::Cascade, Some(new)) => {
                    let values = new.to_vec();
                    self.set_columns(&rt, &row_key, row, &key.columns, values)
                        .await?;
                }
                (ReferentialAction::SetNull, _) => {
                    let values = vec![Value::Null; key.columns.len()];
                    self.set_columns(&rt, &row_key, row, &key.columns, values)
                        .await?;
                }
                (ReferentialAction::SetDefault, _) => {
                    let mut values = Vec::new();
                    for &position in &key.columns {
                        let default =
                            rt.place[position].and_then(|place| rt.defaults[place].as_ref());
                        values.push(match default {
                            Some(expr) => expr.eval(&[], &mut self.env())?,
                            None => Value::Null,
                        });
                    }
                    self.set_columns(&rt, &row_key, row, &key.columns, values)
                        .await?;
                }
            }
        }
        Ok(())
    }

    async fn set_columns(
        &mut self,
        rt: &Arc<TableRuntime>,
        row_key: &[u8],
        old: Vec<Value>,
        positions: &[usize],
        values: Vec<Value>,
    ) -> Result<()> {
        let mut new = old.clone();
        for (&position, value) in positions.iter().zip(values) {
            if let Some(place) = rt.place[position] {
                new[place] = convert(&value, rt.table.columns[position].ty);
            }
        }
        self.update(rt, row_key, &old, new).await?;
        Ok(())
    }

    /// Keys of the rows of the referencing table that hold `values`: by an index that begins with
    /// the key's columns, else by a scan.
    fn referencing_rows(
        &self,
        rt: &TableRuntime,
        key: &ForeignKey,
        values: &[Value],
    ) -> Result<Vec<Vec<u8>>> {
        let value_at = |position: usize| {
            let at = key.columns.iter().position(|&p| p == position)?;
            Some(convert(&values[at], rt.table.columns[position].ty))
        };
        let n = key.columns.len();
        let view = self.txn.view_latest();
        let mut keys = Vec::new();
        if rt.table.key.len() >= n && rt.table.key[..n].iter().all(|p| key.columns.contains(p)) {
            let ordered: Vec<Value> = rt.table.key[..n]
                .iter()
                .filter_map(|&p| value_at(p))
                .collect();
            let prefix = rt.encode_key(&ordered.iter().collect::<Vec<_>>())?;
            let mut scan = view.scan(
                Space::Row,
                helios_storage::KeyRange::prefix(&prefix),
                ScanOptions::default(),
            )?;
            while let Some((row_key, _)) = scan.next()? {
                keys.push(row_key.to_vec());
            }
            return Ok(keys);
        }
        for index in rt.indexes.iter().filter(|i| i.predicate.is_none()) {
            let columns: Option<Vec<(usize, KeyColumn)>> = index
                .columns
                .iter()
                .take(n)
                .map(|(source, column)| match source {
                    KeySource::Place(place) => Some((rt.live[*place], *column)),
                    _ => None,
                })
                .collect();
            let Some(columns) = columns else { continue };
            if columns.len() < n || !columns.iter().all(|(p, _)| key.columns.contains(p)) {
                continue;
            }
            let mut prefix = index.prefix.bytes().to_vec();
            for (position, column) in columns {
                let Some(value) = value_at(position) else {
                    continue;
                };
                encode_key(&mut prefix, value.as_ref(), column)?;
            }
            let mut scan = view.scan(
                Space::Index,
                helios_storage::KeyRange::prefix(&prefix),
                ScanOptions::default(),
            )?;
            while let Some((_, value)) = scan.next()? {
                let (_, body) = helios_storage::split_header(value)?;
                keys.push(super::index::row_key(rt, body));
            }
            return Ok(keys);
        }
        let mut scan = view.scan(Space::Row, rt.prefix.range(), ScanOptions::default())?;
        while let Some((row_key, value)) = scan.next()? {
            if let Some(row) = rt.decode(value, self.now_ms)?
                && same(&pick(rt, &key.columns, &row), values)
            {
                keys.push(row_key.to_vec());
            }
        }
        Ok(keys)
    }

    fn missing_reference(&self, table: &Table, key: &ForeignKey, values: &[Value]) -> Error {
        Error::new(
            ErrorKind::ForeignKeyViolation,
            format!(
                "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
                table.name, key.name
            ),
        )
        .with_detail(format!(
            "Key {} is not present in table \"{}\".",
            columns_text(table, &key.columns, values),
            self.catalog
                .table(key.referenced)
                .map_or("?", |t| t.name.as_str())
        ))
        .with_table(self.schema_of(table), &table.name)
        .with_constraint(&key.name)
    }

    fn still_referenced(&self, child: &Table, key: &ForeignKey, values: &[Value]) -> Error {
        let parent = self.catalog.table(key.referenced);
        let parent_name = parent.map_or("?", |t| t.name.as_str());
        let columns = parent.map(|p| columns_text(p, &key.referenced_columns, values));
        Error::new(
            ErrorKind::ForeignKeyViolation,
            format!(
                "update or delete on table \"{parent_name}\" violates foreign key constraint \"{}\" on table \"{}\"",
                key.name, child.name
            ),
        )
        .with_detail(format!(
            "Key {} is still referenced from table \"{}\".",
            columns.unwrap_or_default(),
            child.name
        ))
        .with_table(self.schema_of(child), &child.name)
        .with_constraint(&key.name)
    }

    fn schema_of(&self, table: &Table) -> String {
        self.catalog
            .schemas
            .get(&table.schema)
            .map(|s| s.name.clone())
            .unwrap_or_default()
    }
}

fn columns_text(table: &Table, positions: &[usize], values: &[Value]) -> String {
    let names: Vec<&str> = positions
        .iter()
        .map(|&p| table.columns[p].name.as_str())
        .collect();
    let types: Vec<_> = positions.iter().map(|&p| table.columns[p].ty).collect();
    key_text(&names, &types, values)
}

/// A key value in the representation of the other side's column: the two may be integers of
/// different width.
pub(crate) fn convert(value: &Value, ty: helios_types::Type) -> Value {
    match (value.as_i64(), ty.oid) {
        (Some(n), 20) => Value::Int8(n),
        (Some(n), 23) => i32::try_from(n).map_or_else(|_| Value::Int8(n), Value::Int4),
        (Some(n), 21) => i16::try_from(n).map_or_else(|_| Value::Int8(n), Value::Int2),
        (Some(n), 1700) => Value::Numeric(helios_types::Numeric::from_i64(n)),
        _ => value.clone(),
    }
}
