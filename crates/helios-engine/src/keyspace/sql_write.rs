//! INSERT, UPDATE and DELETE of the `redis.*` tables.
//!
//! Each change is what a Redis command does, run by the same code inside the statement's
//! transaction, with the key locked as Redis locks it. A row's primary key is (db, key) and the
//! element: what SQL finds there already is a unique violation, or ON CONFLICT; a key that holds a
//! value of another kind is Redis' WRONGTYPE.
//!
//! | table | INSERT | UPDATE | DELETE |
//! | --- | --- | --- | --- |
//! | `strings` | SET … NX | SET; another key: moves the value | DEL |
//! | `hashes` `sets` `zsets` | HSET, SADD, ZADD of what is not there | the same; another element: moves it | HDEL, SREM, ZREM |
//! | `lists` | RPUSH | LSET | closes the gap |
//! | `keys` | – | of `expire_at`: PEXPIREAT, PERSIST | DEL |

use super::access::Access;
use super::batch::Effects;
use super::entry::Kind;
use super::keys::ExpireCondition;
use super::lists::End;
use super::prefixes::KeyOwner;
use super::row::{self, ELEMENT, Element, KEY, KEYS_EXPIRY, KEYS_TTL, RowName, VALUE};
use super::strings::{Condition, Expiry};
use super::tables::Table;
use super::zsets::AddOptions;
use super::{Database, Keyspace};
use crate::authorize;
use crate::kernel::runtime::TableRuntime;
use crate::kernel::write::{Arbiters, Inserted, Writer, primary_violation};
use crate::options::Protocol;
use helios_planner::catalog::Catalog;
use helios_planner::node::{ConflictAction, ModifyOp, ModifyTable};
use helios_storage::{Isolation, LockMode, Space};
use helios_types::datetime::{TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY};
use helios_types::{DatabaseId, Error, ErrorKind, ObjectId, Result, Value, bail};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// For whom a statement writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WritesAs {
    pub(crate) database: DatabaseId,
    pub(crate) role: ObjectId,
    pub(crate) protocol: Protocol,
}

/// A list: its logical database and its key.
type ListName = (u32, Vec<u8>);

/// What one statement writes keys with.
pub(crate) struct KeyWrites<'a> {
    keyspace: &'a Keyspace,
    effects: &'a mut Effects,
    writes_as: WritesAs,
    /// Names of the rows that the statement has inserted or changed, so that ON CONFLICT does not
    /// change a row twice.
    written: HashSet<Vec<u8>>,
    /// Places of lists whose elements go at the end of the step, because removing one moves those
    /// behind it.
    removed: BTreeMap<ListName, BTreeSet<u64>>,
    /// Lists that the statement has removed elements from.
    shifted: HashSet<ListName>,
}

/// What became of a row between the statement's snapshot and the grant of its lock.
pub(crate) enum KeyRow {
    Same,
    Gone,
    Changed(Vec<Value>),
}

impl<'a> KeyWrites<'a> {
    pub(crate) fn new(
        keyspace: &'a Keyspace,
        effects: &'a mut Effects,
        writes_as: WritesAs,
    ) -> Self {
        KeyWrites {
            keyspace,
            effects,
            writes_as,
            written: HashSet::new(),
            removed: BTreeMap::new(),
            shifted: HashSet::new(),
        }
    }

    pub(crate) fn stored_key(&self, rt: &TableRuntime, name: &[u8]) -> Result<Vec<u8>> {
        let name = RowName::decode(table_of(rt)?, name)?;
        Ok(self.entry_key(&name))
    }

    pub(crate) fn has_written(&self, name: &[u8]) -> bool {
        self.written.contains(name)
    }

    fn entry_key(&self, name: &RowName) -> Vec<u8> {
        name.database(self.writes_as.database)
            .entry_key(&name.key)
            .to_vec()
    }

    /// Refuses a key that belongs to a table; asked when it is locked.
    fn require_own(&self, catalog: &Catalog, key: &[u8]) -> Result<()> {
        let prefixes = self.keyspace.prefixes();
        if !prefixes.any() {
            return Ok(());
        }
        match prefixes.owner(self.writes_as.database, key) {
            KeyOwner::Keyspace => Ok(()),
            KeyOwner::Table(table) => {
                let name = catalog.table(table).map_or("", |table| &table.name);
                let shown = row::shown(key);
                let error = Error::new(
                    ErrorKind::WrongObjectType,
                    format!("key {shown} belongs to table \"{name}\""),
                );
                Err(error.with_hint("Its redis_prefix says so: change the table."))
            }
            KeyOwner::Reserved => bail!(
                LockNotAvailable,
                "the prefix of key {} is being given to a table",
                row::shown(key)
            ),
        }
    }

    fn require_write(&self, catalog: &Catalog, table: Table) -> Result<()> {
        let WritesAs {
            database,
            role,
            protocol,
        } = self.writes_as;
        authorize::keyspace_write(catalog, (role, database), protocol, table.name())
    }
}

fn table_of(rt: &TableRuntime) -> Result<Table> {
    Table::of(rt.table.id).ok_or_else(|| Error::internal("not a table of keys"))
}

fn refused(message: String, hint: &str) -> Error {
    Error::new(ErrorKind::Unsupported, message).with_hint(hint)
}

/// Refuses what no row could be changed by.
pub(crate) fn check(node: &ModifyTable) -> Result<()> {
    let Some(table) = Table::of(node.table.id) else {
        return Ok(());
    };
    let name = table.name();
    if table == Table::Keys && node.op == ModifyOp::Insert {
        return Err(refused(
            "cannot insert into redis.keys".to_owned(),
            "A key is there when it has a value: insert into redis.strings, redis.hashes, \
             redis.lists, redis.sets or redis.zsets.",
        ));
    }
    let on_conflict = match node.on_conflict.as_ref().map(|on| &on.action) {
        Some(ConflictAction::Update { assignments, .. }) => assignments.as_slice(),
        _ => &[],
    };
    for assignment in node.assignments.iter().chain(on_conflict) {
        let column = node
            .table
            .columns
            .get(assignment.column)
            .map_or("", |column| &column.name);
        match table {
            Table::Keys if assignment.column != KEYS_EXPIRY => {
                return Err(refused(
                    format!("cannot update column \"{column}\" of redis.keys"),
                    "Only expire_at can be changed; NULL makes a key stay.",
                ));
            }
            Table::Lists if assignment.column != VALUE => {
                return Err(refused(
                    format!("cannot update column \"{column}\" of redis.{name}"),
                    "Only the value of an element can be changed, not its place.",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn bytes(row: &[Value], at: usize) -> &[u8] {
    match row.get(at) {
        Some(Value::Bytea(bytes)) => bytes,
        _ => &[],
    }
}

fn float(row: &[Value], at: usize) -> f64 {
    match row.get(at) {
        Some(Value::Float8(value)) => *value,
        _ => 0.0,
    }
}

/// When a value expires: the moment in milliseconds, which is what the column then shows.
fn expiry(row: &mut [Value], at: usize) -> Result<Option<u64>> {
    let Some(Value::TimestampTz(micros)) = row.get(at) else {
        return Ok(None);
    };
    match *micros {
        TIMESTAMP_INFINITY | TIMESTAMP_NEG_INFINITY => Err(Error::new(
            ErrorKind::DatetimeOverflow,
            "a key cannot expire at an infinite time",
        )
        .with_hint("NULL makes a key stay.")),
        micros => {
            let ms = micros.div_euclid(1000).max(0);
            row[at] = Value::TimestampTz(ms * 1000);
            Ok(Some(ms as u64))
        }
    }
}

/// Refuses a key that holds a value of another kind than the table's.
fn check_kind(access: &mut Access<'_>, table: Table, key: &[u8]) -> Result<()> {
    let (Some(wanted), Some(found)) = (table.kind(), access.kind(key)?) else {
        return Ok(());
    };
    if wanted == found {
        return Ok(());
    }
    let error = Error::new(
        ErrorKind::WrongObjectType,
        "WRONGTYPE Operation against a key holding the wrong kind of value",
    );
    let number = access.database().number();
    Err(error.with_detail(format!(
        "Key {} of logical database {number} holds a {}, not a {}.",
        row::shown(key),
        found.name(),
        wanted.name()
    )))
}

/// Puts an element where none is. The row is complete and of the table's columns.
fn put_element(access: &mut Access<'_>, table: Table, row: &[Value]) -> Result<()> {
    let (key, element) = (bytes(row, KEY), bytes(row, ELEMENT));
    match table {
        Table::Hashes => {
            let pair = (element, bytes(row, VALUE));
            access.hash_set(key, std::iter::once(pair))?;
        }
        Table::Sets => {
            access.set_add(key, std::iter::once(element))?;
        }
        Table::SortedSets => {
            let member = (float(row, VALUE), element);
            access.zset_add(key, AddOptions::default(), std::iter::once(member))?;
        }
        Table::Keys | Table::Strings | Table::Lists => {
            return Err(Error::internal("not a collection of named elements"));
        }
    }
    Ok(())
}

fn remove_row(access: &mut Access<'_>, table: Table, row: &[Value]) -> Result<()> {
    let (key, element) = (bytes(row, KEY), bytes(row, ELEMENT));
    match table {
        Table::Keys | Table::Strings => drop(access.delete(key)?),
        Table::Hashes => drop(access.hash_delete(key, std::iter::once(element))?),
        Table::Sets => drop(access.set_remove(key, std::iter::once(element))?),
        Table::SortedSets => drop(access.zset_remove(key, std::iter::once(element))?),
        Table::Lists => return Err(Error::internal("elements of lists are removed together")),
    }
    Ok(())
}

/// Writes a string; one that has expired already is none.
fn put_string(access: &mut Access<'_>, row: &[Value], expire_ms: Option<u64>) -> Result<()> {
    let key = bytes(row, KEY);
    match expire_ms {
        Some(at) if at <= access.now_ms() => drop(access.delete(key)?),
        _ => {
            let expiry = expire_ms.map_or(Expiry::Clear, Expiry::At);
            access.set(key, bytes(row, ELEMENT), expiry, Condition::Always)?;
        }
    }
    Ok(())
}

fn put_expiry(access: &mut Access<'_>, key: &[u8], expire_ms: Option<u64>) -> Result<()> {
    match expire_ms {
        Some(at) => {
            let at = i64::try_from(at).unwrap_or(i64::MAX);
            access.expire_at(key, at, ExpireCondition::default())?;
        }
        None => drop(access.persist(key)?),
    }
    Ok(())
}

impl Writer<'_> {
    fn key_access<'s>(&'s mut self, database: &'s Database) -> Access<'s> {
        let keys = &mut self.keys;
        Access::within(
            keys.keyspace,
            database,
            self.now_ms,
            self.txn,
            &mut *keys.effects,
        )
    }

    fn key_database(&self, number: u32) -> Database {
        super::session::database_numbered(self.keys.writes_as.database, number)
    }

    /// Locks a key that is about to be written.
    async fn lock_key(&mut self, database: &Database, key: &[u8]) -> Result<()> {
        let stored = database.entry_key(key);
        self.lock(&stored, LockMode::Update).await.map(drop)
    }

    pub(crate) async fn insert_key_row(
        &mut self,
        rt: &TableRuntime,
        mut row: Vec<Value>,
        arbiters: Arbiters<'_>,
    ) -> Result<Inserted> {
        let table = table_of(rt)?;
        self.keys.require_write(&self.catalog, table)?;
        let (number, key) = RowName::key_of(&row)?;
        let database = self.key_database(number);
        self.lock_key(&database, &key).await?;
        self.keys.require_own(&self.catalog, &key)?;
        let mut access = self.key_access(&database);
        check_kind(&mut access, table, &key)?;
        if table == Table::Lists {
            place_in_list(&mut access, &key, &mut row)?;
        }
        let name = RowName::of(table, &row)?;
        if access.table_row(table, &name)?.is_some() {
            let primary = rt.table.primary_key().map(|index| index.id);
            if primary.is_some_and(|primary| arbiters.accept(primary)) {
                let Value::Bytea(key) = name.to_value() else {
                    return Err(Error::internal("the name of a row is bytes"));
                };
                return Ok(Inserted::Conflict { key: key.to_vec() });
            }
            let error = primary_violation(rt, &row);
            return Err(match table {
                Table::Lists => error.with_hint(
                    "Leave idx out to append an element; none can be put between two others.",
                ),
                _ => error,
            });
        }
        match table {
            Table::Strings => {
                let expire_ms = expiry(&mut row, VALUE)?;
                put_string(&mut access, &row, expire_ms)?;
            }
            Table::Lists => {
                let item = std::iter::once(bytes(&row, VALUE));
                access.list_push(&key, End::Right, item, false)?;
            }
            _ => put_element(&mut access, table, &row)?,
        }
        if table == Table::SortedSets {
            row[VALUE] = Value::Float8(row::score(float(&row, VALUE)));
        }
        if !matches!(arbiters, Arbiters::None) {
            self.note_written(&name);
        }
        Ok(Inserted::Row(row))
    }

    fn note_written(&mut self, name: &RowName) {
        if let Value::Bytea(name) = name.to_value() {
            self.keys.written.insert(name.to_vec());
        }
    }

    /// Changes a row that is locked, and was `old` when it was.
    pub(crate) async fn update_key_row(
        &mut self,
        rt: &TableRuntime,
        old: &[Value],
        mut new: Vec<Value>,
    ) -> Result<Vec<Value>> {
        let table = table_of(rt)?;
        self.keys.require_write(&self.catalog, table)?;
        let before = RowName::of(table, old)?;
        let after = RowName::of(table, &new)?;
        let database = self.key_database(after.number);
        if before != after {
            self.free_name(rt, table, &after, &new).await?;
        }
        let mut access = self.key_access(&database);
        match table {
            Table::Keys => {
                let expire_ms = expiry(&mut new, KEYS_EXPIRY)?;
                put_expiry(&mut access, &after.key, expire_ms)?;
                let left = expire_ms.map(|at| at.saturating_sub(access.now_ms()) as i64);
                new[KEYS_TTL] = left.map_or(Value::Null, Value::Int8);
            }
            Table::Strings => {
                let expire_ms = expiry(&mut new, VALUE)?;
                if before == after && bytes(old, ELEMENT) == bytes(&new, ELEMENT) {
                    put_expiry(&mut access, &after.key, expire_ms)?;
                } else {
                    put_string(&mut access, &new, expire_ms)?;
                }
            }
            Table::Lists => {
                let Element::At(index) = after.element else {
                    return Err(Error::internal("a list element without its place"));
                };
                access.list_set(&after.key, index, bytes(&new, VALUE))?;
            }
            Table::Hashes | Table::Sets | Table::SortedSets => {
                put_element(&mut access, table, &new)?;
                if table == Table::SortedSets {
                    new[VALUE] = Value::Float8(row::score(float(&new, VALUE)));
                }
            }
        }
        if before != after {
            let database = self.key_database(before.number);
            remove_row(&mut self.key_access(&database), table, old)?;
        }
        self.note_written(&after);
        Ok(new)
    }

    /// Locks the key that a row moves to, and refuses it when the row is taken.
    async fn free_name(
        &mut self,
        rt: &TableRuntime,
        table: Table,
        name: &RowName,
        row: &[Value],
    ) -> Result<()> {
        let database = self.key_database(name.number);
        self.lock_key(&database, &name.key).await?;
        self.keys.require_own(&self.catalog, &name.key)?;
        let mut access = self.key_access(&database);
        check_kind(&mut access, table, &name.key)?;
        if access.table_row(table, name)?.is_some() {
            return Err(primary_violation(rt, row));
        }
        Ok(())
    }

    /// Deletes a row that is locked; elements of lists go at the end of the step.
    pub(crate) fn delete_key_row(&mut self, rt: &TableRuntime, old: &[Value]) -> Result<()> {
        let table = table_of(rt)?;
        self.keys.require_write(&self.catalog, table)?;
        let name = RowName::of(table, old)?;
        if let Element::At(index) = name.element {
            let places = self
                .keys
                .removed
                .entry((name.number, name.key))
                .or_default();
            places.insert(u64::try_from(index).map_err(Error::internal)?);
            return Ok(());
        }
        let database = self.key_database(name.number);
        remove_row(&mut self.key_access(&database), table, old)
    }

    /// Removes the elements of lists that a step has deleted.
    pub(crate) fn remove_elements(&mut self) -> Result<()> {
        for ((number, key), places) in std::mem::take(&mut self.keys.removed) {
            let database = self.key_database(number);
            self.key_access(&database)
                .list_remove_places(&key, &places)?;
            self.keys.shifted.insert((number, key));
        }
        Ok(())
    }

    /// The newest version of a row, own writes included.
    pub(crate) fn latest_key_row(
        &mut self,
        rt: &TableRuntime,
        name: &[u8],
    ) -> Result<Option<Vec<Value>>> {
        let table = table_of(rt)?;
        let name = RowName::decode(table, name)?;
        let database = self.key_database(name.number);
        self.key_access(&database).table_row(table, &name)
    }

    /// What became of a row that is locked now since the statement saw it.
    pub(crate) fn newest_key_row(&mut self, rt: &TableRuntime, name: &[u8]) -> Result<KeyRow> {
        let table = table_of(rt)?;
        let name = RowName::decode(table, name)?;
        let stored = self.keys.entry_key(&name);
        if let Element::At(_) = name.element
            && self.keys.shifted.contains(&(name.number, name.key.clone()))
        {
            bail!(
                Unsupported,
                "a statement cannot change list {} after it has deleted elements of it",
                row::shown(&name.key)
            );
        }
        if self.txn.isolation() != Isolation::ReadCommitted {
            self.txn.check_write_conflict(Space::Row, &stored)?;
            return Ok(KeyRow::Same);
        }
        if !self.txn.changed_since_snapshot(Space::Row, &stored)? {
            return Ok(KeyRow::Same);
        }
        let database = self.key_database(name.number);
        let view = self.txn.view();
        let mut seen = Access::at(self.keys.keyspace, &database, self.now_ms, view);
        let seen = seen.table_row(table, &name)?;
        let newest = self.key_access(&database).table_row(table, &name)?;
        Ok(match newest {
            None => KeyRow::Gone,
            newest if newest == seen => KeyRow::Same,
            Some(newest) => KeyRow::Changed(newest),
        })
    }
}

/// Gives a new element of a list its place: the one behind the last.
fn place_in_list(access: &mut Access<'_>, key: &[u8], row: &mut [Value]) -> Result<()> {
    let slot = access.list(key)?;
    let length = slot.of(Kind::List)?.map_or(0, |entry| entry.count());
    let length = i64::try_from(length).map_err(Error::internal)?;
    match row.get(ELEMENT) {
        Some(Value::Int8(index)) if (0..=length).contains(index) => {}
        Some(Value::Int8(index)) => {
            let error = Error::new(
                ErrorKind::ArraySubscriptError,
                format!("list {} has no place {index}", row::shown(key)),
            );
            return Err(error.with_hint("Leave idx out to append an element."));
        }
        _ => row[ELEMENT] = Value::Int8(length),
    }
    Ok(())
}
