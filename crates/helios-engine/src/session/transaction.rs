//! Transactions of a session: explicit ones, and the implicit one around a statement or pipeline.

use super::{Session, now_us};
use crate::engine::Engine;
use crate::kernel::foreign_key::CheckQueue;
use crate::kernel::write::Writer;
use crate::keyspace::batch::Effects;
use crate::keyspace::prefixes::Reservation;
use crate::keyspace::sql_write::{KeyWrites, WritesAs};
use crate::options::Protocol;
use helios_planner::catalog::Catalog;
use helios_storage::{
    Durability, Isolation, Prefix, Savepoint, SessionLocks, Txn, TxnOptions, Wait,
};
use helios_types::{Error, ErrorKind, Result, Ts, bail};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// What BEGIN may say; `None` takes the session's default.
#[derive(Clone, Copy, Debug, Default)]
pub struct TransactionMode {
    pub isolation: Option<Isolation>,
    pub read_only: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    Open,
    /// A statement failed; only ROLLBACK is taken.
    Failed,
}

pub(crate) struct Transaction {
    pub(crate) txn: Txn,
    explicit: bool,
    failed: bool,
    pub(crate) read_only: bool,
    /// The catalog with this transaction's DDL, once there is any.
    pub(crate) catalog: Option<Arc<Catalog>>,
    /// What its snapshot can use of a catalog, with that catalog's version.
    seen: Mutex<Option<(u64, Arc<Catalog>)>>,
    pub(crate) checks: CheckQueue,
    savepoints: Vec<NamedSavepoint>,
    /// Storage that becomes garbage when this transaction commits.
    pub(crate) dropped: Vec<Prefix>,
    /// Storage that becomes garbage when it rolls back.
    pub(crate) created: Vec<Prefix>,
    /// Prefixes of Redis keys that it gives to tables.
    pub(crate) reserved: Vec<Reservation>,
    /// Whether a statement has run, so that the isolation level is settled.
    used: bool,
    /// When the snapshot was taken that the current statement reads; what has expired by then is
    /// not there.
    read_time_us: i64,
    /// What its writes of keys leave to be done after the commit.
    pub(crate) keys: Effects,
}

struct NamedSavepoint {
    name: String,
    storage: Savepoint,
    catalog: Option<Arc<Catalog>>,
    checks: usize,
    dropped: usize,
    created: usize,
    advisory: usize,
}

impl Transaction {
    /// The snapshot that later statements will read too; `None` before it is taken, and when every
    /// statement has its own.
    pub(crate) fn kept_snapshot(&self) -> Option<Ts> {
        match self.txn.isolation() {
            Isolation::ReadCommitted => None,
            Isolation::RepeatableRead | Isolation::Serializable => self.txn.snapshot_taken(),
        }
    }

    /// A catalog without what the transaction's snapshot is too old for.
    pub(super) fn catalog_of_snapshot(
        &self,
        catalog: Arc<Catalog>,
        engine: &Engine,
    ) -> Arc<Catalog> {
        let Some(snapshot) = self.kept_snapshot() else {
            return catalog;
        };
        if catalog.is_whole_at(snapshot) {
            return catalog;
        }
        let mut seen = self.seen.lock();
        match &*seen {
            Some((version, seen)) if *version == catalog.version => seen.clone(),
            _ => {
                let version = engine.next_catalog_version();
                let older = Arc::new(catalog.as_seen_at(snapshot, version));
                *seen = Some((catalog.version, older.clone()));
                older
            }
        }
    }

    /// Whether this transaction has made a storage, and no savepoint is younger than it.
    pub(crate) fn is_created_since_savepoint(&self, prefix: Prefix) -> bool {
        let from = self.savepoints.last().map_or(0, |point| point.created);
        self.created.iter().skip(from).any(|known| *known == prefix)
    }

    /// Undoes everything since a savepoint, and lets go what was locked since then.
    fn undo_to(&mut self, at: usize, engine: &Engine) {
        let Some(point) = self.savepoints.get(at) else {
            return;
        };
        // While the catalog is still locked: the next DDL may use the numbers again.
        for prefix in self.created.drain(point.created..) {
            let _ = engine.store.drop_object(prefix);
        }
        self.txn.rollback_to(point.storage);
        self.catalog = point.catalog.clone();
        self.checks.rollback_to(point.checks);
        self.dropped.truncate(point.dropped);
    }

    /// Undoes everything.
    fn undo_all(&mut self, engine: &Engine, locks: &SessionLocks) {
        for prefix in self.created.drain(..) {
            let _ = engine.store.drop_object(prefix);
        }
        let mut fresh = engine.store.begin(self.txn.options());
        fresh.set_lock_session(locks);
        self.txn = fresh;
        self.catalog = None;
        self.checks.rollback_to(0);
        self.dropped.clear();
        self.reserved.clear();
    }

    /// After an error nothing of the transaction can be kept but what stands before the last
    /// savepoint; nobody shall wait for the rest until the client says ROLLBACK.
    fn fail(&mut self, engine: &Engine, locks: &SessionLocks) {
        self.failed = true;
        match self.savepoints.len().checked_sub(1) {
            Some(last) => self.undo_to(last, engine),
            None => self.undo_all(engine, locks),
        }
    }
}

impl Session {
    pub fn transaction_status(&self) -> TransactionStatus {
        match &self.transaction {
            Some(t) if t.failed => TransactionStatus::Failed,
            Some(t) if t.explicit => TransactionStatus::Open,
            _ => TransactionStatus::Idle,
        }
    }

    /// BEGIN. Inside a transaction it is a warning and nothing else.
    pub fn begin(&mut self, mode: TransactionMode) -> Result<()> {
        if let Some(t) = &mut self.transaction {
            if t.explicit {
                let message = "there is already a transaction in progress".into();
                self.state.notice("WARNING", b"25001", message);
                return Ok(());
            }
            // The pipeline's implicit transaction becomes the explicit one.
            t.explicit = true;
        } else {
            self.open_transaction(true, mode)?;
        }
        self.set_mode(mode)
    }

    fn open_transaction(&mut self, explicit: bool, mode: TransactionMode) -> Result<()> {
        let defaults = self.state.settings.every_statement();
        let isolation = mode.isolation.unwrap_or(defaults.isolation);
        let read_only = mode.read_only.unwrap_or(defaults.read_only);
        let mut txn = self.engine.store.begin(TxnOptions {
            isolation,
            read_only,
            durability: self.state.durability(),
        });
        txn.set_lock_session(&self.state.locks);
        self.state.transaction_time_us = now_us();
        self.state.transaction_id = None;
        self.state
            .settings
            .force("transaction_isolation", isolation_name(isolation));
        self.state.settings.force(
            "transaction_read_only",
            if read_only { "on" } else { "off" },
        );
        self.transaction = Some(Transaction {
            txn,
            explicit,
            failed: false,
            read_only,
            catalog: None,
            seen: Mutex::default(),
            checks: CheckQueue::default(),
            savepoints: Vec::new(),
            dropped: Vec::new(),
            created: Vec::new(),
            reserved: Vec::new(),
            used: false,
            read_time_us: self.state.transaction_time_us,
            keys: Effects::default(),
        });
        Ok(())
    }

    /// SET TRANSACTION.
    pub(crate) fn set_mode(&mut self, mode: TransactionMode) -> Result<()> {
        let Some(t) = &mut self.transaction else {
            let message = "SET TRANSACTION can only be used in transaction blocks".into();
            self.state.notice("WARNING", b"25P01", message);
            return Ok(());
        };
        if let Some(level) = mode.isolation
            && level != t.txn.isolation()
        {
            if t.used {
                bail!(
                    ActiveTransaction,
                    "SET TRANSACTION ISOLATION LEVEL must be called before any query"
                );
            }
            t.txn.set_isolation(level);
            self.state
                .settings
                .force("transaction_isolation", isolation_name(level));
        }
        if let Some(read_only) = mode.read_only {
            if t.read_only && !read_only && t.used {
                bail!(
                    ActiveTransaction,
                    "transaction read-write mode must be set before any query"
                );
            }
            t.read_only = read_only;
            self.state.settings.force(
                "transaction_read_only",
                if read_only { "on" } else { "off" },
            );
        }
        Ok(())
    }

    /// Statements from here to [`Session::end_implicit`] share one transaction unless an explicit
    /// one is open: a PostgreSQL pipeline up to Sync, the statements of one simple query.
    pub fn begin_implicit(&mut self) {
        self.implicit = true;
    }

    pub(crate) fn implicit_flag(&self) -> bool {
        self.implicit
    }

    pub(crate) fn set_implicit_flag(&mut self, implicit: bool) {
        self.implicit = implicit;
    }

    /// Ends the implicit transaction; with `commit` false, or after an error, rolls it back.
    pub async fn end_implicit(&mut self, commit: bool) -> Result<()> {
        self.implicit = false;
        // Nothing of the transaction is borrowed over the wait: it is not `Sync`.
        let implicit = self
            .transaction
            .as_ref()
            .filter(|t| !t.explicit)
            .map(|t| t.failed);
        match implicit {
            Some(failed) if commit && !failed => self.finish_commit().await,
            Some(_) => {
                self.abort();
                Ok(())
            }
            None => {
                // Settings that were made without a transaction.
                self.settings_end(commit);
                Ok(())
            }
        }
    }

    /// COMMIT. Gives false when the transaction had failed and was rolled back.
    pub async fn commit(&mut self) -> Result<bool> {
        let state = self.transaction.as_ref().map(|t| (t.failed, t.explicit));
        match state {
            None => {
                self.state.notice(
                    "WARNING",
                    b"25P01",
                    "there is no transaction in progress".into(),
                );
                Ok(true)
            }
            Some((true, _)) => {
                self.abort();
                Ok(false)
            }
            Some((false, explicit)) => {
                if !explicit {
                    self.state.notice(
                        "WARNING",
                        b"25P01",
                        "there is no transaction in progress".into(),
                    );
                }
                self.finish_commit().await?;
                Ok(true)
            }
        }
    }

    /// A record that is written by the next commit of this session, in one with its rows: what a
    /// client that does not hear of the commit will ask for. Nothing is written when the
    /// transaction changes nothing.
    pub fn record_commit(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.commit_record = Some((key, value));
    }

    /// Takes such a record back.
    pub fn forget_commit_record(&mut self) {
        self.commit_record = None;
    }

    /// ROLLBACK.
    pub fn rollback(&mut self) {
        if self.transaction.as_ref().is_none_or(|t| !t.explicit) {
            self.state.notice(
                "WARNING",
                b"25P01",
                "there is no transaction in progress".into(),
            );
        }
        self.abort();
    }

    /// Drops the transaction and everything it did.
    pub(crate) fn abort(&mut self) {
        let Some(t) = self.transaction.take() else {
            return;
        };
        // While the catalog is still locked: the next DDL may use the numbers again.
        for prefix in &t.created {
            let _ = self.engine.store.drop_object(*prefix);
        }
        t.txn.rollback();
        self.after_transaction(false);
    }

    fn settings_end(&mut self, committed: bool) {
        if self.state.settings.end_transaction(committed) {
            self.settings_changed();
        }
    }

    fn after_transaction(&mut self, committed: bool) {
        self.state.transaction_locks.release_since(0);
        self.settings_end(committed);
        self.state.transaction_id = None;
        self.cursors.retain(|_, c| c.survives(committed));
    }

    async fn finish_commit(&mut self) -> Result<()> {
        let result = self.commit_inner().await;
        self.after_transaction(result.is_ok());
        result
    }

    async fn commit_inner(&mut self) -> Result<()> {
        if let Some(t) = &mut self.transaction {
            t.checks.make_deferred_due();
            if !t.checks.is_empty()
                && let Err(error) = self.run_due_checks().await
            {
                self.abort();
                return Err(error);
            }
        }
        let Some(mut t) = self.transaction.take() else {
            return Ok(());
        };
        let engine = self.engine.clone();
        if let Some(catalog) = t.catalog.take() {
            // Runs after the data is visible and before the locks are released, so that whoever
            // waited for a lock of this DDL sees the new catalog.
            let engine = engine.clone();
            t.txn
                .on_publish(move |ts| engine.publish_catalog(catalog, ts));
        }
        if let Some((key, value)) = self.commit_record.take() {
            t.txn.set_record(key, value);
        }
        match t.txn.commit_start() {
            Ok(wait) => {
                t.keys.committed(&engine.keyspace);
                for prefix in t.dropped {
                    let _ = engine.store.drop_object(prefix);
                }
                wait.await.map(|_| ())
            }
            Err(error) => {
                for prefix in t.created {
                    let _ = engine.store.drop_object(prefix);
                }
                Err(error)
            }
        }
    }

    async fn run_due_checks(&mut self) -> Result<()> {
        self.with_writer(async |writer| writer.run_checks().await)
            .await
    }

    pub fn savepoint(&mut self, name: &str) -> Result<()> {
        let advisory = self.state.transaction_locks.mark();
        let t = self.explicit_transaction("SAVEPOINT")?;
        let point = NamedSavepoint {
            name: name.to_string(),
            storage: t.txn.savepoint(),
            catalog: t.catalog.clone(),
            checks: t.checks.mark(),
            dropped: t.dropped.len(),
            created: t.created.len(),
            advisory,
        };
        t.savepoints.push(point);
        Ok(())
    }

    pub fn release(&mut self, name: &str) -> Result<()> {
        let t = self.explicit_transaction("RELEASE SAVEPOINT")?;
        if t.failed {
            return Err(failed_transaction());
        }
        let at = find_savepoint(t, name)?;
        t.savepoints.truncate(at);
        Ok(())
    }

    /// ROLLBACK TO: also what revives a failed transaction.
    pub fn rollback_to(&mut self, name: &str) -> Result<()> {
        let engine = self.engine.clone();
        let t = self.explicit_transaction("ROLLBACK TO SAVEPOINT")?;
        let at = find_savepoint(t, name)?;
        t.undo_to(at, &engine);
        t.savepoints.truncate(at + 1);
        t.failed = false;
        let advisory = t.savepoints.get(at).map_or(0, |point| point.advisory);
        self.state.transaction_locks.release_since(advisory);
        Ok(())
    }

    fn explicit_transaction(&mut self, command: &str) -> Result<&mut Transaction> {
        match &mut self.transaction {
            Some(t) if t.explicit => Ok(t),
            _ => bail!(
                NoActiveTransaction,
                "{command} can only be used in transaction blocks"
            ),
        }
    }

    /// Makes the transaction failed after an error, or drops it when the statement was its own
    /// transaction.
    pub(crate) fn statement_failed(&mut self) {
        match &mut self.transaction {
            Some(t) if t.failed => {}
            Some(t) if t.explicit || self.implicit => {
                t.fail(&self.engine, &self.state.locks);
                let advisory = t.savepoints.last().map_or(0, |point| point.advisory);
                self.state.transaction_locks.release_since(advisory);
            }
            Some(_) => self.abort(),
            None => {}
        }
    }

    /// The transaction for a statement, opened when none is, with a new statement begun in it.
    pub(crate) fn start_statement(&mut self) -> Result<()> {
        if self.transaction.is_none() {
            self.open_transaction(false, TransactionMode::default())?;
        }
        self.state.statement_time_us = now_us();
        self.state.catalog = self.catalog();
        let Some(t) = &mut self.transaction else {
            return Err(Error::internal("no transaction after opening one"));
        };
        if t.failed {
            return Err(failed_transaction());
        }
        if !t.used || t.txn.isolation() == Isolation::ReadCommitted {
            t.read_time_us = self.state.statement_time_us;
        }
        t.used = true;
        t.txn.start_statement();
        Ok(())
    }

    /// Ends a statement that went well: commits when it was its own transaction.
    pub(crate) async fn finish_statement(&mut self) -> Result<()> {
        let own = self.transaction.as_ref().is_some_and(|t| !t.explicit) && !self.implicit;
        if own {
            self.finish_commit().await
        } else {
            Ok(())
        }
    }

    pub(crate) fn transaction_mut(&mut self) -> Result<&mut Transaction> {
        self.transaction
            .as_mut()
            .ok_or_else(|| Error::internal("statement without a transaction"))
    }

    /// Whether a transaction is open that later statements will share.
    pub(crate) fn shares_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Whether BEGIN was said.
    pub(crate) fn in_explicit_transaction(&self) -> bool {
        self.transaction.as_ref().is_some_and(|t| t.explicit)
    }

    /// Refuses a write in a read-only transaction.
    pub(crate) fn require_read_write(&self, command: &str) -> Result<()> {
        if self.transaction.as_ref().is_some_and(|t| t.read_only) {
            bail!(
                ReadOnlyTransaction,
                "cannot execute {command} in a read-only transaction"
            );
        }
        Ok(())
    }

    /// The time at which the current statement reads, in milliseconds.
    pub(crate) fn read_time_ms(&self) -> u64 {
        let time = self.transaction.as_ref().map(|t| t.read_time_us);
        u64::try_from(time.unwrap_or(self.state.statement_time_us) / 1000).unwrap_or(0)
    }

    /// How lock requests of this session wait.
    pub(crate) fn lock_wait(&self) -> Wait {
        match self.state.settings.every_statement().lock_timeout {
            Some(ms) => Wait::Timeout(Duration::from_millis(ms)),
            None => Wait::Block,
        }
    }

    /// Runs `work` with a writer over the open transaction.
    pub(crate) async fn with_writer<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Writer<'_>) -> Result<T>,
    ) -> Result<T> {
        let wait = self.lock_wait();
        let now_ms = self.read_time_ms();
        let Some(t) = &mut self.transaction else {
            return Err(Error::internal("write without a transaction"));
        };
        let engine = self.engine.clone();
        let writes_as = WritesAs {
            database: self.state.database,
            role: self.state.role,
            protocol: self.state.protocol,
        };
        let mut writer = Writer {
            keys: KeyWrites::new(&engine.keyspace, &mut t.keys, writes_as),
            txn: &mut t.txn,
            catalog: self.state.catalog.clone(),
            runtimes: &engine.runtimes,
            checks: &mut t.checks,
            wait,
            now_ms,
            json_documents: self.state.protocol != Protocol::Mongo,
            functions: &mut self.state,
        };
        work(&mut writer).await
    }
}

fn find_savepoint(t: &Transaction, name: &str) -> Result<usize> {
    t.savepoints
        .iter()
        .rposition(|p| p.name == name)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::UndefinedSavepoint,
                format!("savepoint \"{name}\" does not exist"),
            )
        })
}

pub(crate) fn failed_transaction() -> Error {
    Error::new(
        ErrorKind::FailedTransaction,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

pub(crate) fn parse_isolation(text: &str) -> Isolation {
    match text {
        "repeatable read" => Isolation::RepeatableRead,
        "serializable" => Isolation::Serializable,
        _ => Isolation::ReadCommitted,
    }
}

fn isolation_name(level: Isolation) -> &'static str {
    match level {
        Isolation::ReadCommitted => "read committed",
        Isolation::RepeatableRead => "repeatable read",
        Isolation::Serializable => "serializable",
    }
}

/// What a protocol's durability names mean, for settings of other protocols.
pub fn durability_named(name: &str) -> Option<Durability> {
    match name {
        "on" | "always" => Some(Durability::On),
        "everysec" => Some(Durability::EverySecond),
        "off" | "no" => Some(Durability::Off),
        _ => None,
    }
}
