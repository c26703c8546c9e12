//! The open transaction of one connection: the writes of one pipeline batch, or of one MULTI.
//!
//! Every key that a command writes is locked before the command runs, in the order of the stored
//! keys, so that two Redis commands never wait for each other in a circle. A batch that meets a key
//! which somebody else holds is committed first and only then waits; it never waits with locks of
//! earlier commands in its hands. (MULTI locks all its keys at once, before its first command.)

use super::{Database, Keyspace};
use helios_storage::{
    CommitWait, Durability, Isolation, KeyRange, LockKey, LockMode, Pinned, Prefix, RowHeader,
    Scan, ScanOptions, Space, TryLock, Txn, TxnOptions, Wait,
};
use helios_types::{ErrorKind, Result, bail};
use smallvec::SmallVec;
use std::time::Duration;

/// Longest wait for a key that a transaction of another protocol holds.
const FOREIGN_LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// How a command uses a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The value must not change before the transaction ends.
    Read,
    Write,
}

impl Use {
    fn mode(self) -> LockMode {
        match self {
            Use::Read => LockMode::Share,
            Use::Write => LockMode::Update,
        }
    }
}

/// See the module's documentation.
pub struct Batch {
    txn: Txn,
    /// Stored keys of changed entries, kept while somebody waits for keys.
    changed: Vec<Box<[u8]>>,
    /// Whether `changed` is complete.
    recording: bool,
    writes: usize,
    /// Databases in which the writes leave sub-keys to be removed.
    garbage: SmallVec<[Prefix; 1]>,
}

impl Batch {
    pub fn begin(keyspace: &Keyspace, durability: Durability) -> Batch {
        let options = TxnOptions {
            isolation: Isolation::ReadCommitted,
            read_only: false,
            durability,
        };
        Batch {
            txn: keyspace.store().begin(options),
            changed: Vec::new(),
            recording: keyspace.waiters().any(),
            writes: 0,
            garbage: SmallVec::new(),
        }
    }

    /// Locks `key` if nobody else holds it.
    pub fn try_lock(&mut self, database: &Database, key: &[u8], how: Use) -> Result<bool> {
        let stored = database.entry_key(key);
        let lock = LockKey::Row(Space::Row, &stored);
        Ok(matches!(
            self.txn.try_lock(&lock, how.mode())?,
            TryLock::Granted
        ))
    }

    /// Locks `key`, and waits for it a bounded time.
    pub async fn lock(&mut self, database: &Database, key: &[u8], how: Use) -> Result<()> {
        let stored = database.entry_key(key);
        let lock = LockKey::Row(Space::Row, &stored);
        let wait = Wait::Timeout(FOREIGN_LOCK_TIMEOUT);
        match self.txn.lock(&lock, how.mode(), wait).await {
            Err(error) if error.kind() == ErrorKind::LockNotAvailable => {
                bail!(LockNotAvailable, "the key is locked by a transaction")
            }
            other => other.map(drop),
        }
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.writes == 0
    }

    /// Makes the writes durable as the batch was told to and visible at once; who waited for a key
    /// that was changed is woken.
    pub fn commit(self, keyspace: &Keyspace) -> Result<CommitWait> {
        let Batch {
            txn,
            changed,
            recording,
            writes,
            garbage,
            ..
        } = self;
        let wait = txn.commit_start()?;
        for object in garbage {
            keyspace.garbage_left(object);
        }
        if writes > 0 && keyspace.waiters().any() {
            if recording {
                for key in &changed {
                    keyspace.waiters().wake(key);
                }
            } else {
                keyspace.waiters().wake_all();
            }
        }
        Ok(wait)
    }

    /// A place to come back to when a command fails half-way.
    pub fn savepoint(&mut self) -> helios_storage::Savepoint {
        self.txn.savepoint()
    }

    pub fn rollback_to(&mut self, savepoint: helios_storage::Savepoint) {
        self.txn.rollback_to(savepoint);
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Pinned<'static>>> {
        Ok(self
            .txn
            .view_latest()
            .get(Space::Row, key)?
            .map(Pinned::into_owned))
    }

    pub(super) fn scan(&self, range: KeyRange, options: ScanOptions) -> Result<Scan> {
        self.txn.view_latest().scan(Space::Row, range, options)
    }

    pub(super) fn put(&mut self, key: &[u8], header: RowHeader, body: &[u8]) {
        self.writes += 1;
        self.txn.put(Space::Row, key, header, body);
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        self.writes += 1;
        self.txn.delete(Space::Row, key);
    }

    pub(super) fn count(&mut self, object: Prefix, delta: i64) {
        self.txn.count(object, delta);
    }

    /// The counter of an object with this transaction's own changes.
    pub(super) fn row_count(&self, object: Prefix) -> i64 {
        self.txn.row_count(object)
    }

    pub(super) fn garbage(&mut self, object: Prefix) {
        if !self.garbage.contains(&object) {
            self.garbage.push(object);
        }
    }

    /// `key` is the stored key of an entry.
    pub(super) fn changed(&mut self, key: &[u8]) {
        if self.recording {
            self.changed.push(key.into());
        }
    }
}
