//! The write kernel: every insert, update and delete of a relational or document row.
//!
//! A writer belongs to one statement. It locks the row's key and the keys of unique entries
//! before it looks at them, so that what it decides on cannot change until the transaction ends.
//! Checks that PostgreSQL makes at the end of the statement (foreign keys) or of the transaction
//! (deferred ones) are queued in [`CheckQueue`].

use super::foreign_key::CheckQueue;
use super::index::Entry;
use super::runtime::{RuntimeCache, TableRuntime};
use crate::keyspace::sql_write::KeyWrites;
use helios_planner::catalog::{Catalog, Identity};
use helios_planner::function::FunctionContext;
use helios_planner::scalar::ValueEnv;
use helios_storage::{
    ChangeOp, ChangeRecord, LockKey, LockMode, Locked, Prefix, RowHeader, Space, TryLock, Txn, Wait,
};
use helios_types::{Error, ErrorKind, ObjectId, Result, Value, ValueRef};
use std::borrow::Cow;
use std::sync::Arc;

/// What one statement writes with.
pub(crate) struct Writer<'a> {
    pub(crate) txn: &'a mut Txn,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) runtimes: &'a RuntimeCache,
    pub(crate) functions: &'a mut dyn FunctionContext,
    pub(crate) checks: &'a mut CheckQueue,
    pub(crate) wait: Wait,
    pub(crate) now_ms: u64,
    /// Whether documents come as JSON, whose types are to be guessed, and not as BSON.
    pub(crate) json_documents: bool,
    pub(crate) keys: KeyWrites<'a>,
}

/// How an insert ended.
#[derive(Debug)]
pub(crate) enum Inserted {
    Row(Vec<Value>),
    /// A row with this storage key stands in the way; nothing was written.
    Conflict {
        key: Vec<u8>,
    },
}

/// Which conflicts an insert answers instead of failing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arbiters<'a> {
    None,
    Any,
    Indexes(&'a [ObjectId]),
}

impl Arbiters<'_> {
    pub(crate) fn accept(&self, index: ObjectId) -> bool {
        match self {
            Arbiters::None => false,
            Arbiters::Any => true,
            Arbiters::Indexes(ids) => ids.contains(&index),
        }
    }
}

impl Writer<'_> {
    pub(crate) fn env(&mut self) -> ValueEnv<'_> {
        ValueEnv {
            params: &[],
            functions: self.functions,
        }
    }

    pub(crate) fn runtime(&self, table: ObjectId) -> Result<Arc<TableRuntime>> {
        let table = self
            .catalog
            .table(table)
            .ok_or_else(|| Error::internal("table vanished"))?;
        self.runtimes.get(table, &self.catalog)
    }

    /// Inserts a row given by place; `None` takes the default.
    pub(crate) async fn insert(
        &mut self,
        rt: &Arc<TableRuntime>,
        values: Vec<Option<Value>>,
        overriding: Option<bool>,
        arbiters: Arbiters<'_>,
    ) -> Result<Inserted> {
        let mut row = self.complete(rt, values, overriding)?;
        if rt.is_document() {
            super::document::arrange(&mut row, None, self.json_documents)?;
        }
        self.validate(rt, &mut row)?;
        if rt.is_keyspace() {
            return self.insert_key_row(rt, row, arbiters).await;
        }
        let key = if rt.has_hidden_key() {
            self.hidden_key(rt)?
        } else {
            rt.key_of_row(&row)?
        };
        if !rt.has_hidden_key() {
            self.lock(&key, LockMode::Update).await?;
            if self.exists(rt, &key)? {
                let primary = rt.table.primary_key().map_or(rt.table.id, |i| i.id);
                if arbiters.accept(primary) {
                    return Ok(Inserted::Conflict { key });
                }
                return Err(primary_violation(rt, &row));
            }
        }
        let entries = self.entries(rt, &row, &key)?;
        for (at, entries) in entries.iter().enumerate() {
            for entry in entries.iter().filter(|e| e.exclusive) {
                if let Some(other) = self.occupant(rt, entry).await? {
                    let index = &rt.indexes[at].index;
                    if arbiters.accept(index.id) {
                        return Ok(Inserted::Conflict { key: other });
                    }
                    return Err(index_violation(rt, at, &row));
                }
            }
        }
        self.put_row(rt, &key, &row)?;
        self.put_entries(rt, &entries, &key);
        self.txn.count(rt.prefix, 1);
        self.log(rt, ChangeOp::Insert, &key, None, Some(&row))?;
        self.checks.inserted(rt, &row);
        Ok(Inserted::Row(row))
    }

    /// Replaces the row at `key` by `new`, which is complete but for generated columns. The caller
    /// holds the row's lock and has read `old` after it got it. Gives the row as written.
    pub(crate) async fn update(
        &mut self,
        rt: &Arc<TableRuntime>,
        key: &[u8],
        old: &[Value],
        mut new: Vec<Value>,
    ) -> Result<(Vec<Value>, Vec<u8>)> {
        if rt.is_document() {
            super::document::arrange(&mut new, Some(old), self.json_documents)?;
        }
        self.validate(rt, &mut new)?;
        if rt.is_keyspace() {
            let row = self.update_key_row(rt, old, new).await?;
            return Ok((row, key.to_vec()));
        }
        let new_key = if rt.has_hidden_key() {
            key.to_vec()
        } else {
            rt.key_of_row(&new)?
        };
        let moved = new_key != key;
        if moved {
            self.lock(&new_key, LockMode::Update).await?;
            if self.exists(rt, &new_key)? {
                return Err(primary_violation(rt, &new));
            }
        }
        let before = self.entries(rt, old, key)?;
        let after = self.entries(rt, &new, &new_key)?;
        for (at, (before, after)) in before.iter().zip(&after).enumerate() {
            for entry in after.iter().filter(|e| e.exclusive && !before.contains(e)) {
                if let Some(other) = self.occupant(rt, entry).await?
                    && other != key
                {
                    return Err(index_violation(rt, at, &new));
                }
            }
        }
        if moved {
            self.txn.delete(Space::Row, key);
            self.txn.note_moved(key, &new_key);
        }
        self.put_row(rt, &new_key, &new)?;
        for (at, (before, after)) in before.iter().zip(&after).enumerate() {
            if before != after {
                rt.indexes[at].note(self.txn, after);
            }
            for entry in before.iter().filter(|e| !after.contains(e)) {
                self.txn.delete(Space::Index, &entry.key);
            }
            for entry in after.iter().filter(|e| moved || !before.contains(e)) {
                self.txn.put(
                    Space::Index,
                    &entry.key,
                    RowHeader::default(),
                    &new_key[Prefix::LEN..],
                );
            }
        }
        self.log(rt, ChangeOp::Update, key, Some(old), Some(&new))?;
        self.checks.updated(rt, old, &new);
        Ok((new, new_key))
    }

    /// Deletes the row at `key`; the caller holds its lock and has read `old` after it got it.
    pub(crate) fn delete(
        &mut self,
        rt: &Arc<TableRuntime>,
        key: &[u8],
        old: &[Value],
    ) -> Result<()> {
        if rt.is_keyspace() {
            return self.delete_key_row(rt, old);
        }
        for entries in self.entries(rt, old, key)? {
            for entry in entries {
                self.txn.delete(Space::Index, &entry.key);
            }
        }
        self.txn.delete(Space::Row, key);
        self.txn.count(rt.prefix, -1);
        self.log(rt, ChangeOp::Delete, key, Some(old), None)?;
        self.checks.deleted(rt, old);
        Ok(())
    }

    /// Fills what the statement did not give.
    pub(crate) fn complete(
        &mut self,
        rt: &TableRuntime,
        values: Vec<Option<Value>>,
        overriding: Option<bool>,
    ) -> Result<Vec<Value>> {
        let mut row = Vec::with_capacity(values.len());
        for (place, value) in values.into_iter().enumerate() {
            let column = &rt.table.columns[rt.live[place]];
            let value = match (value, column.identity) {
                (Some(_), Some(_)) if overriding == Some(false) => None,
                (Some(_), Some(Identity::Always)) if overriding != Some(true) => {
                    return Err(Error::new(
                        ErrorKind::GeneratedAlways,
                        format!(
                            "cannot insert a non-DEFAULT value into column \"{}\"",
                            column.name
                        ),
                    )
                    .with_detail(format!(
                        "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
                        column.name
                    ))
                    .with_hint("Use OVERRIDING SYSTEM VALUE to override."));
                }
                (value, _) => value,
            };
            row.push(match value {
                Some(value) => value,
                None => match (&column.identity, column.sequence, &rt.defaults[place]) {
                    (Some(_), Some(sequence), _) => {
                        sequence_value(self.functions.sequence_next(sequence)?, column.ty)?
                    }
                    (_, _, Some(default)) => default.eval(&[], &mut self.env())?,
                    _ => Value::Null,
                },
            });
        }
        Ok(row)
    }

    /// Computes generated columns and checks what concerns the row alone.
    pub(crate) fn validate(&mut self, rt: &TableRuntime, row: &mut [Value]) -> Result<()> {
        for (place, generated) in rt.generated.iter().enumerate() {
            if let Some(generated) = generated {
                row[place] = generated.eval(row, &mut self.env())?;
            }
        }
        for (place, &position) in rt.live.iter().enumerate() {
            let column = &rt.table.columns[position];
            if column.not_null && row[place].is_null() {
                return Err(self.not_null_violation(rt, row, &column.name));
            }
        }
        for check in &rt.checks {
            if matches!(
                check.condition.eval(row, &mut self.env())?,
                Value::Bool(false)
            ) {
                return Err(Error::new(
                    ErrorKind::CheckViolation,
                    format!(
                        "new row for relation \"{}\" violates check constraint \"{}\"",
                        rt.table.name, check.name
                    ),
                )
                .with_detail(format!("Failing row contains ({}).", row_text(rt, row)))
                .with_table(self.schema_name(rt), &rt.table.name)
                .with_constraint(&check.name));
            }
        }
        Ok(())
    }

    fn not_null_violation(&self, rt: &TableRuntime, row: &[Value], column: &str) -> Error {
        Error::new(
            ErrorKind::NotNullViolation,
            format!(
                "null value in column \"{column}\" of relation \"{}\" violates not-null constraint",
                rt.table.name
            ),
        )
        .with_detail(format!("Failing row contains ({}).", row_text(rt, row)))
        .with_table(self.schema_name(rt), &rt.table.name)
        .with_column(column)
    }

    fn schema_name(&self, rt: &TableRuntime) -> String {
        self.catalog
            .schemas
            .get(&rt.table.schema)
            .map(|s| s.name.clone())
            .unwrap_or_default()
    }

    pub(crate) fn hidden_key(&mut self, rt: &TableRuntime) -> Result<Vec<u8>> {
        let number = self.runtimes.next_row_number(rt.prefix, self.txn);
        let mut key = rt.prefix.bytes().to_vec();
        key.extend_from_slice(&number?.to_be_bytes());
        Ok(key)
    }

    /// Locks a row key of this statement's table; waits as the session says.
    pub(crate) async fn lock(&mut self, key: &[u8], mode: LockMode) -> Result<Locked> {
        self.txn
            .lock(&LockKey::Row(Space::Row, key), mode, self.wait)
            .await
    }

    /// Locks the row that a plan knows by `key`.
    pub(crate) async fn lock_row(
        &mut self,
        rt: &TableRuntime,
        key: &[u8],
        mode: LockMode,
    ) -> Result<Locked> {
        let stored = self.stored_key(rt, key)?;
        self.lock(&stored, mode).await
    }

    /// The stored key under which the row that a plan knows by `key` is locked and versioned.
    pub(crate) fn stored_key<'k>(&self, rt: &TableRuntime, key: &'k [u8]) -> Result<Cow<'k, [u8]>> {
        if rt.is_keyspace() {
            return self.keys.stored_key(rt, key).map(Cow::Owned);
        }
        Ok(Cow::Borrowed(key))
    }

    /// Whether the current statement has written the row.
    pub(crate) fn written_by_statement(&self, rt: &TableRuntime, key: &[u8]) -> bool {
        if rt.is_keyspace() {
            return self.keys.has_written(key);
        }
        self.txn.written_by_statement(Space::Row, key)
    }

    /// Whether a live row is stored at `key` now, own writes included.
    fn exists(&self, rt: &TableRuntime, key: &[u8]) -> Result<bool> {
        match self.txn.view_latest().get(Space::Row, key)? {
            Some(value) => Ok(rt.view(&value, self.now_ms)?.is_some()),
            None => Ok(false),
        }
    }

    /// The newest version of the row at `key`, own writes included.
    pub(crate) fn latest(&mut self, rt: &TableRuntime, key: &[u8]) -> Result<Option<Vec<Value>>> {
        if rt.is_keyspace() {
            return self.latest_key_row(rt, key);
        }
        match self.txn.view_latest().get(Space::Row, key)? {
            Some(value) => rt.decode(&value, self.now_ms),
            None => Ok(None),
        }
    }

    /// Locks a row that the statement has found; false when there is nothing to lock, because the
    /// row is only being inserted by somebody else and the statement's snapshot does not have it.
    pub(crate) async fn lock_visible(&mut self, key: &[u8], mode: LockMode) -> Result<bool> {
        let lock = LockKey::Row(Space::Row, key);
        if self.txn.try_lock(&lock, mode)? == TryLock::Granted {
            return Ok(true);
        }
        if self.txn.view().get(Space::Row, key)?.is_none() {
            return Ok(false);
        }
        self.lock(key, mode).await?;
        Ok(true)
    }

    /// The newest version of a row that is locked under `key`, with the key that it has now: one
    /// whose key was changed meanwhile is locked there too. At READ COMMITTED.
    pub(crate) async fn follow(
        &mut self,
        rt: &TableRuntime,
        key: &[u8],
        mode: LockMode,
    ) -> Result<Option<(Vec<u8>, Vec<Value>)>> {
        let mut key = key.to_vec();
        if self.txn.any_moved() {
            let mut since = self.txn.snapshot_ts();
            while let Some((moved, new_key)) = self.txn.moved_to(&key, since) {
                self.lock(&new_key, mode).await?;
                key = new_key.to_vec();
                since = moved;
            }
        }
        Ok(self.latest(rt, &key)?.map(|row| (key, row)))
    }

    /// Locks a unique entry's key; the storage key of the row that has it, if any.
    async fn occupant(&mut self, rt: &TableRuntime, entry: &Entry) -> Result<Option<Vec<u8>>> {
        let key = LockKey::Row(Space::Index, &entry.key);
        self.txn.lock(&key, LockMode::Update, self.wait).await?;
        loop {
            let Some(row_key) = self.entry_row(rt, entry)? else {
                return Ok(None);
            };
            // Whoever deletes that row or takes the entry from it has the row locked; what becomes
            // of the entry is known when that transaction has ended.
            let lock = LockKey::Row(Space::Row, &row_key);
            let locked = self
                .txn
                .wait_unlocked(&lock, LockMode::KeyShare, self.wait)
                .await?;
            if locked == Locked::Granted {
                return Ok(Some(row_key));
            }
        }
    }

    /// The storage key of the row that a unique entry leads to now.
    fn entry_row(&self, rt: &TableRuntime, entry: &Entry) -> Result<Option<Vec<u8>>> {
        let view = self.txn.view_latest();
        let Some(value) = view.get(Space::Index, &entry.key)? else {
            return Ok(None);
        };
        let (header, body) = helios_storage::split_header(&value)?;
        if header.is_tombstone() {
            return Ok(None);
        }
        let row_key = super::index::row_key(rt, body);
        // An expired row does not stand in the way; its entries go with the sweeper.
        Ok(self.exists(rt, &row_key)?.then_some(row_key))
    }

    fn entries(&mut self, rt: &TableRuntime, row: &[Value], key: &[u8]) -> Result<Vec<Vec<Entry>>> {
        if rt.indexes.is_empty() {
            return Ok(Vec::new());
        }
        let mut env = self.env();
        rt.indexes
            .iter()
            .map(|index| index.entries(row, key, &mut env))
            .collect()
    }

    fn put_row(&mut self, rt: &TableRuntime, key: &[u8], row: &[Value]) -> Result<()> {
        let schema = rt.table.schema_version;
        let header = RowHeader {
            schema,
            expire_ms: None,
        };
        if rt.is_document() {
            let Some(Value::Jsonb(document)) = row.get(1) else {
                return Err(Error::internal("document row without a document"));
            };
            self.txn
                .put(Space::Row, key, header, document.as_ref().bytes);
            return Ok(());
        }
        let mut body = Vec::with_capacity(64);
        rt.encode_row(&mut body, row)?;
        self.txn.put(Space::Row, key, header, &body);
        self.txn.check_writes()
    }

    fn put_entries(&mut self, rt: &TableRuntime, entries: &[Vec<Entry>], key: &[u8]) {
        debug_assert!(entries.is_empty() || entries.len() == rt.indexes.len());
        for (index, entries) in rt.indexes.iter().zip(entries) {
            index.note(self.txn, entries);
            for entry in entries {
                self.txn.put(
                    Space::Index,
                    &entry.key,
                    RowHeader::default(),
                    &key[Prefix::LEN..],
                );
            }
        }
    }

    fn log(
        &mut self,
        rt: &TableRuntime,
        op: ChangeOp,
        key: &[u8],
        old: Option<&[Value]>,
        new: Option<&[Value]>,
    ) -> Result<()> {
        if !self.txn.logs_changes() {
            return Ok(());
        }
        let encode = |row: Option<&[Value]>| -> Result<Option<Arc<[u8]>>> {
            let Some(row) = row else { return Ok(None) };
            let mut body = Vec::new();
            rt.encode_row(&mut body, row)?;
            Ok(Some(body.into()))
        };
        let (old, new) = (encode(old)?, encode(new)?);
        let key = Arc::from(&key[Prefix::LEN..]);
        self.txn.log(ChangeRecord {
            object: rt.prefix,
            op,
            key,
            old,
            new,
        });
        Ok(())
    }
}

impl TableRuntime {
    /// The stored body of a row, in the newest layout.
    pub(crate) fn encode_row(&self, out: &mut Vec<u8>, row: &[Value]) -> Result<()> {
        if self.is_document() {
            if let Some(Value::Jsonb(document)) = row.get(1) {
                out.extend_from_slice(document.as_ref().bytes);
            }
            return Ok(());
        }
        let layout = self
            .layouts
            .get(self.table.schema_version as usize)
            .ok_or_else(|| Error::internal("table without a current layout"))?;
        let values: smallvec::SmallVec<[ValueRef<'_>; 24]> = self
            .place
            .iter()
            .map(|place| place.map_or(ValueRef::Null, |place| row[place].as_ref()))
            .collect();
        layout.encode(out, &values)
    }
}

/// The value of an identity column from its sequence.
fn sequence_value(number: i64, ty: helios_types::Type) -> Result<Value> {
    let overflow = || {
        Error::new(
            ErrorKind::NumericOutOfRange,
            format!("{} out of range", helios_types::text::format_type(ty)),
        )
    };
    Ok(match ty.oid {
        21 => Value::Int2(number.try_into().map_err(|_| overflow())?),
        23 => Value::Int4(number.try_into().map_err(|_| overflow())?),
        _ => Value::Int8(number),
    })
}

/// `(a)=(1)` for the detail of a violation.
pub(crate) fn key_text(names: &[&str], types: &[helios_types::Type], values: &[Value]) -> String {
    let context = helios_types::text::TextContext::default();
    let texts: Vec<String> = types
        .iter()
        .zip(values)
        .map(|(ty, v)| {
            if v.is_null() {
                "null".into()
            } else {
                helios_types::text::to_text(*ty, v, &context)
            }
        })
        .collect();
    format!("({})=({})", names.join(", "), texts.join(", "))
}

fn row_text(rt: &TableRuntime, row: &[Value]) -> String {
    let context = helios_types::text::TextContext::default();
    rt.live
        .iter()
        .zip(row)
        .map(|(&position, v)| match v {
            Value::Null => "null".to_string(),
            v => {
                let text = helios_types::text::to_text(rt.table.columns[position].ty, v, &context);
                // PostgreSQL cuts each value at 64 bytes here.
                match text.char_indices().nth(64) {
                    Some((cut, _)) => format!("{}...", &text[..cut]),
                    None => text,
                }
            }
        })
        .collect::<Vec<_>>()
        .join(", ")
}

pub(crate) fn primary_violation(rt: &TableRuntime, row: &[Value]) -> Error {
    let name = rt
        .table
        .primary_key()
        .map_or_else(|| format!("{}_pkey", rt.table.name), |i| i.name.clone());
    if rt.is_document() {
        let id = super::runtime::document_id(row)
            .map(|id| key_text(&["_id"], &[helios_types::Type::JSONB], &[id]));
        return unique_violation(rt, &name, id.unwrap_or_default());
    }
    let columns: Vec<_> = rt
        .key
        .iter()
        .map(|&p| &rt.table.columns[rt.live[p]])
        .collect();
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let types: Vec<_> = columns.iter().map(|c| c.ty).collect();
    let values: Vec<Value> = rt.key.iter().map(|&p| row[p].clone()).collect();
    unique_violation(rt, &name, key_text(&names, &types, &values))
}

pub(crate) fn index_violation(rt: &TableRuntime, at: usize, row: &[Value]) -> Error {
    let index = &rt.indexes[at];
    let key = index.text_of_key(rt, row).unwrap_or_default();
    unique_violation(rt, &index.index.name, key)
}

fn unique_violation(rt: &TableRuntime, constraint: &str, key: String) -> Error {
    let error = Error::new(
        ErrorKind::UniqueViolation,
        format!("duplicate key value violates unique constraint \"{constraint}\""),
    )
    .with_table(String::new(), &rt.table.name)
    .with_constraint(constraint);
    if key.is_empty() {
        error
    } else {
        error.with_detail(format!("Key {key} already exists."))
    }
}
