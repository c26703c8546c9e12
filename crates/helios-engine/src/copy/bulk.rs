//! COPY of many rows into an empty table: sorted into files instead of the transaction's memory.
//!
//! The rows go to a new storage of the table, which nobody else knows before the commit makes the
//! catalog name it, as TRUNCATE does it (`ddl::rewrite`). Others read the old, empty storage
//! meanwhile; they may not write to it, so the table is locked in `EXCLUSIVE` mode from the first
//! row that is loaded to the end of the transaction. When that lock or the catalog's is not free,
//! rows are inserted one by one as ever.
//!
//! Keys that came twice are found when everything is sorted. What PostgreSQL says is about the first
//! line that could not be inserted, so the error of a later line waits for that ([`Bulk::settle`]).

use super::CopyIn;
use crate::ddl;
use crate::kernel::foreign_key::CheckQueue;
use crate::kernel::index::duplicate_entry;
use crate::kernel::read::Cell;
use crate::kernel::runtime::TableRuntime;
use crate::kernel::write::{Writer, index_violation, primary_violation};
use crate::session::Session;
use helios_planner::catalog::{Shape, Table};
use helios_storage::{
    BulkLoad, Duplicate, Isolation, LockKey, LockMode, Prefix, RowHeader, ScanOptions, Space,
    TryLock,
};
use helios_types::{BranchId, Error, Result, Value};
use std::collections::HashSet;
use std::sync::Arc;

/// Foreign keys that wait for their look-up.
const CHECKS_MAX: usize = 1 << 16;
/// Values of foreign keys that are remembered as looked up.
const KNOWN_MAX: usize = 1 << 20;

/// A load under way.
pub(super) struct Bulk {
    rt: Arc<TableRuntime>,
    rows: BulkLoad,
    /// One for each index of the runtime.
    indexes: Vec<BulkLoad>,
    /// Values of foreign keys that are looked up, or will be.
    referenced: HashSet<Vec<u8>>,
    header: RowHeader,
    key: Vec<u8>,
    body: Vec<u8>,
}

impl Session {
    /// Makes the table ready for a load, if it can have one.
    pub(super) async fn start_bulk(&mut self, copy: &CopyIn) -> Result<Option<Bulk>> {
        let Some(rt) = self.storage_to_load(&copy.rt.clone()).await? else {
            return Ok(None);
        };
        let txn = &mut self.transaction_mut()?.txn;
        let rows = txn.bulk_load(Space::Row, rt.prefix)?;
        let indexes = rt
            .indexes
            .iter()
            .map(|index| txn.bulk_load(Space::Index, index.prefix))
            .collect::<Result<_>>()?;
        Ok(Some(Bulk {
            rows,
            indexes,
            referenced: HashSet::new(),
            header: RowHeader {
                schema: rt.table.schema_version,
                expire_ms: None,
            },
            key: Vec::new(),
            body: Vec::new(),
            rt,
        }))
    }

    /// The table with a storage that is empty and this transaction's own.
    async fn storage_to_load(
        &mut self,
        rt: &Arc<TableRuntime>,
    ) -> Result<Option<Arc<TableRuntime>>> {
        let table = &rt.table;
        let refers_to_itself = |table: &Table| {
            table
                .foreign_keys
                .iter()
                .any(|key| key.referenced == table.id)
        };
        let t = self.transaction_mut()?;
        if table.shape != Shape::Relational
            || refers_to_itself(table)
            || t.txn.isolation() != Isolation::ReadCommitted
            || t.txn.logs_changes()
            || !is_empty(t, rt)?
        {
            return Ok(None);
        }
        if t.is_created_since_savepoint(rt.prefix) {
            return Ok(Some(rt.clone()));
        }
        let lock = Prefix::new(table.database, BranchId::MAIN, table.id);
        for (lock, mode) in [
            (lock, LockMode::Exclusive),
            (ddl::CATALOG, LockMode::AccessExclusive),
        ] {
            if t.txn.try_lock(&LockKey::Object(lock), mode)? == TryLock::Contended {
                return Ok(None);
            }
        }
        // Somebody may have held them a moment ago.
        let unchanged = self
            .catalog()
            .table(table.id)
            .is_some_and(|now| Arc::ptr_eq(now, table));
        if !unchanged || !is_empty(self.transaction_mut()?, rt)? {
            return Ok(None);
        }
        let mut ddl = self.ddl().await?;
        let fresh = ddl.new_storage((**table).clone())?;
        ddl.finish()?;
        let catalog = self.catalog();
        let Some(table) = catalog.table(fresh.id) else {
            return Err(Error::internal("a table vanished under its lock"));
        };
        self.engine.runtimes.get(table, &catalog).map(Some)
    }
}

/// Whether the table has no rows, neither stored nor this transaction's, and nobody may ask what it
/// had: not as of an older moment, nor with a snapshot of before they were deleted.
fn is_empty(t: &crate::session::Transaction, rt: &TableRuntime) -> Result<bool> {
    let txn = &t.txn;
    if txn.store().may_have_had_rows(rt.prefix) {
        return Ok(false);
    }
    let indexes = rt.indexes.iter().map(|i| (Space::Index, i.prefix));
    for (space, prefix) in indexes.chain([(Space::Row, rt.prefix)]) {
        if txn.has_written_below(space, prefix) || txn.store().history_since(prefix).is_some() {
            return Ok(false);
        }
        let mut scan = txn
            .store()
            .scan(space, &prefix.range(), ScanOptions::default())?;
        if scan.next()?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Bulk {
    pub(super) fn runtime(&self) -> &Arc<TableRuntime> {
        &self.rt
    }

    /// Adds a row that is complete but for generated columns.
    pub(super) async fn add(
        &mut self,
        writer: &mut Writer<'_>,
        row: &mut [Value],
        line: u64,
    ) -> Result<()> {
        let rt = self.rt.clone();
        writer.validate(&rt, row)?;
        self.key.clear();
        if rt.has_hidden_key() {
            self.key.extend_from_slice(&writer.hidden_key(&rt)?);
        } else {
            self.key.extend_from_slice(&rt.prefix.bytes());
            let values: smallvec::SmallVec<[&Value; 4]> =
                rt.key.iter().map(|&place| &row[place]).collect();
            rt.append_key(&mut self.key, &values)?;
        }
        self.body.clear();
        rt.encode_row(&mut self.body, row)?;
        self.rows.add(&self.key, self.header, &self.body, line)?;
        if self.rows.is_full() {
            self.rows.hand_over().await?;
        }
        self.add_entries(writer, &rt, row, line).await?;
        if !rt.table.foreign_keys.is_empty() {
            self.note_references(writer, row).await?;
        }
        Ok(())
    }

    async fn add_entries(
        &mut self,
        writer: &mut Writer<'_>,
        rt: &TableRuntime,
        row: &[Value],
        line: u64,
    ) -> Result<()> {
        let body = self.key.get(Prefix::LEN..).unwrap_or_default();
        for (index, load) in rt.indexes.iter().zip(&mut self.indexes) {
            if index.is_plain() {
                self.body.clear();
                index.plain_entry(&mut self.body, &self.key, |place| {
                    Ok(Cell::Stored(row[place].as_ref()))
                })?;
                load.add(&self.body, RowHeader::default(), body, line)?;
            } else {
                for entry in index.entries(row, &self.key, &mut writer.env())? {
                    load.add(&entry.key, RowHeader::default(), body, line)?;
                }
            }
            if load.is_full() {
                load.hand_over().await?;
            }
        }
        Ok(())
    }

    async fn note_references(&mut self, writer: &mut Writer<'_>, row: &[Value]) -> Result<()> {
        let checks: &mut CheckQueue = writer.checks;
        checks.inserted_with(&self.rt, row, &mut self.referenced)?;
        if checks.len() >= CHECKS_MAX {
            writer.run_checks().await?;
        }
        if self.referenced.len() >= KNOWN_MAX {
            self.referenced.clear();
        }
        Ok(())
    }

    /// Takes the rows in. Of keys that came twice the error is that of the first line with one;
    /// gives the line with it.
    pub(super) async fn settle(self, session: &mut Session) -> Result<(), (Error, Option<u64>)> {
        let none = |error| (error, None);
        let rt = self.rt;
        let loads = std::iter::once(self.rows).chain(self.indexes);
        let loaded = futures::future::try_join_all(loads.map(BulkLoad::finish));
        let loaded = loaded.await.map_err(none)?;
        let duplicates = loaded.iter().enumerate();
        let duplicates = duplicates.filter_map(|(at, l)| l.duplicate.as_ref().map(|d| (at, d)));
        if let Some((at, duplicate)) = duplicates.min_by_key(|(at, d)| (d.tag, *at)) {
            let error = violation(session, &rt, at, duplicate).unwrap_or_else(|error| error);
            return Err((error, Some(duplicate.tag)));
        }
        let rows = loaded.first().map_or(0, |l| l.entries);
        let t = session.transaction_mut().map_err(none)?;
        t.txn.count(rt.prefix, rows as i64);
        Ok(())
    }
}

/// What to say of a key that came twice: of the table's own, or of the index before `at`.
fn violation(
    session: &mut Session,
    rt: &TableRuntime,
    at: usize,
    duplicate: &Duplicate,
) -> Result<Error> {
    let now_ms = session.read_time_ms();
    let Some(index) = at.checked_sub(1) else {
        return match rt.decode(&duplicate.value, now_ms)? {
            Some(row) => Ok(primary_violation(rt, &row)),
            None => Err(Error::internal("a loaded row that is not there")),
        };
    };
    let txn = &session.transaction_mut()?.txn;
    duplicate_entry(txn, rt, duplicate, now_ms, |row| {
        index_violation(rt, index, row)
    })
}
