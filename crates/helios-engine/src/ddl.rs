//! Changes of the catalog.
//!
//! DDL is transactional: it works on a copy of the catalog that belongs to the transaction, writes
//! descriptors through the transaction, and is published when the transaction commits. One
//! transaction at a time may change the catalog: the first DDL statement takes the catalog's lock
//! and holds it to the end. A table that changes is locked as PostgreSQL locks it, so that no
//! statement of another session is in the middle of writing to it.
//!
//! New rows of a rewrite go to a new storage id; the old one is dropped after the commit.

mod alter;
mod alter_column;
mod constraint;
mod create;
mod database;
mod dependency;
mod drop;
mod grant;
mod index;
mod redis_prefix;
mod rewrite;
mod role;
mod sequence;
mod view;

use crate::catalog_store::{self, Kind};
use crate::prepared::Prepared;
use crate::session::Session;
use crate::session::Transaction;
use helios_planner::catalog::{Catalog, Relation, Table};
use helios_storage::{LockKey, LockMode, Prefix};
use helios_types::{BranchId, DatabaseId, Error, ErrorKind, ObjectId, Result, bail};
use std::sync::Arc;

/// Locked by whoever changes the catalog.
pub(crate) const CATALOG: Prefix = Prefix {
    database: DatabaseId(0),
    branch: BranchId::MAIN,
    object: ObjectId(1),
};

/// A transaction's own catalog while a DDL statement changes it.
pub(crate) struct Ddl<'a> {
    pub(crate) session: &'a mut Session,
    pub(crate) catalog: Catalog,
}

impl Session {
    /// Takes the catalog's lock, and gives the statement bound anew when the catalog has changed
    /// since it was bound.
    pub(crate) async fn lock_catalog(
        &mut self,
        prepared: &Prepared,
    ) -> Result<Option<Arc<Prepared>>> {
        self.require_read_write("DDL")?;
        let wait = self.lock_wait();
        let t = self.transaction_mut()?;
        t.txn
            .lock(&LockKey::Object(CATALOG), LockMode::AccessExclusive, wait)
            .await?;
        let stale = self.catalog().version != prepared.catalog_version;
        if !stale || prepared.text.is_empty() {
            return Ok(None);
        }
        self.prepare(&prepared.text, &[]).map(Some)
    }

    /// Begins a DDL statement, under the catalog's lock.
    pub(crate) async fn ddl(&mut self) -> Result<Ddl<'_>> {
        // Whoever held the lock before may have published a newer catalog.
        let catalog = self.newest_catalog();
        self.state.catalog = catalog.clone();
        Ok(Ddl {
            catalog: (*catalog).clone(),
            session: self,
        })
    }
}

impl Ddl<'_> {
    /// Makes the changed catalog the transaction's.
    pub(crate) fn finish(mut self) -> Result<()> {
        let next_id = self.catalog.next_id;
        catalog_store::put_next_id(&mut self.transaction()?.txn, next_id);
        self.catalog.version = self.session.engine.next_catalog_version();
        let catalog = Arc::new(self.catalog);
        self.session.state.catalog = catalog.clone();
        self.session.transaction_mut()?.catalog = Some(catalog);
        Ok(())
    }

    pub(crate) fn transaction(&mut self) -> Result<&mut Transaction> {
        self.session.transaction_mut()
    }

    pub(crate) fn next_id(&mut self) -> ObjectId {
        let id = ObjectId(self.catalog.next_id);
        self.catalog.next_id += 1;
        id
    }

    /// The table as this statement has it so far.
    pub(crate) fn table(&self, id: ObjectId) -> Result<Arc<Table>> {
        if !self.catalog.relations.contains_key(&id) {
            return Err(vanished());
        }
        self.catalog
            .table(id)
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::WrongObjectType, "relation is not a table"))
    }

    /// Stores a new or changed table.
    pub(crate) fn put_table(&mut self, table: Table) -> Result<Arc<Table>> {
        let table = Arc::new(table);
        catalog_store::put(
            &mut self.transaction()?.txn,
            Kind::Table,
            table.id.0,
            &*table,
        )?;
        catalog_store::insert_table(&mut self.catalog, table.clone());
        Ok(table)
    }

    pub(crate) fn put_relation(&mut self, relation: Relation) -> Result<()> {
        let name = match &relation {
            Relation::View(v) => {
                catalog_store::put(&mut self.transaction()?.txn, Kind::View, v.id.0, &**v)?;
                v.name.clone()
            }
            Relation::Sequence(s) => {
                catalog_store::put(&mut self.transaction()?.txn, Kind::Sequence, s.id.0, &**s)?;
                s.name.clone()
            }
            _ => return Err(Error::internal("only views and sequences are stored so")),
        };
        catalog_store::insert_relation(&mut self.catalog, &name, relation);
        Ok(())
    }

    /// Locks a table against everybody else's statements.
    pub(crate) async fn lock_table(&mut self, table: &Table, mode: LockMode) -> Result<()> {
        let prefix = Prefix::new(table.database, BranchId::MAIN, table.id);
        let wait = self.session.lock_wait();
        self.transaction()?
            .txn
            .lock(&LockKey::Object(prefix), mode, wait)
            .await?;
        Ok(())
    }

    /// The table under an exclusive lock, if the role owns it.
    pub(crate) async fn own_table(&mut self, id: ObjectId) -> Result<Table> {
        let table = self.table(id)?;
        self.session
            .state
            .require_owner(table.owner, "table", &table.name)?;
        self.lock_table(&table, LockMode::AccessExclusive).await?;
        Ok((*table).clone())
    }

    /// Refuses a name that a relation of the schema has.
    pub(crate) fn require_free_name(&self, schema: ObjectId, name: &str) -> Result<()> {
        if name.len() > helios_types::limits::NAME_BYTES_MAX {
            bail!(InvalidName, "name \"{name}\" is too long");
        }
        if self.catalog.relation_named(schema, name).is_some() {
            bail!(DuplicateTable, "relation \"{name}\" already exists");
        }
        Ok(())
    }

    /// PostgreSQL's name for an object that was not given one: `table_column_suffix`, with a number
    /// when that is taken, each part shortened to fit 63 bytes.
    pub(crate) fn choose_name(
        &self,
        schema: ObjectId,
        first: &str,
        second: &str,
        suffix: &str,
        taken: &[&str],
    ) -> String {
        for number in 0.. {
            let suffix = if number == 0 {
                suffix.to_string()
            } else {
                format!("{suffix}{number}")
            };
            let name = object_name(first, second, &suffix);
            if self.catalog.relation_named(schema, &name).is_none()
                && !taken.contains(&name.as_str())
            {
                return name;
            }
        }
        unreachable!("numbers do not end")
    }

    pub(crate) fn drop_storage(&mut self, database: DatabaseId, storage: ObjectId) -> Result<()> {
        let prefix = Prefix::new(database, BranchId::MAIN, storage);
        self.transaction()?.dropped.push(prefix);
        Ok(())
    }

    pub(crate) fn notice(&mut self, message: String) {
        self.session.state.notice("NOTICE", b"00000", message);
    }
}

/// Somebody else dropped a relation while this statement waited for its turn.
fn vanished() -> Error {
    Error::new(
        ErrorKind::UndefinedTable,
        "the relation has been dropped by another session",
    )
}

/// Joins the parts with underscores, shortening the longer of the first two to fit.
fn object_name(first: &str, second: &str, suffix: &str) -> String {
    const MAX: usize = helios_types::limits::IDENTIFIER_BYTES_MAX;
    let overhead = suffix.len() + 1 + if second.is_empty() { 0 } else { 1 };
    let available = MAX.saturating_sub(overhead);
    let (mut a, mut b) = (first.len(), second.len());
    while a + b > available {
        if a > b { a -= 1 } else { b -= 1 }
    }
    let cut = |s: &str, mut n: usize| {
        while !s.is_char_boundary(n) {
            n -= 1;
        }
        s[..n].to_string()
    };
    let mut name = cut(first, a);
    if !second.is_empty() {
        name.push('_');
        name.push_str(&cut(second, b));
    }
    name.push('_');
    name.push_str(suffix);
    name
}
