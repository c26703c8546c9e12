//! The open transaction of one connection: the writes of one pipeline batch, or of one MULTI.
//!
//! Every key that a command writes is locked before the command runs, in the order of the stored
//! keys, so that two Redis commands never wait for each other in a circle. A batch that meets a key
//! which somebody else holds is committed first and only then waits; it never waits with locks of
//! earlier commands in its hands. (MULTI locks all its keys at once, before its first command.)

use super::{Database, Keyspace};
use helios_storage::{
    ChangeOp, ChangeRecord, CommitWait, Durability, Isolation, KeyRange, LockKey, LockMode, Pinned,
    Prefix, RowHeader, Scan, ScanOptions, Space, TryLock, Txn, TxnOptions, Wait,
};
use helios_types::{ErrorKind, Result, bail};
use smallvec::SmallVec;
use std::time::Duration;

/// Longest wait for a key that a transaction of another protocol holds.
const FOREIGN_LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a key is tried before a client joins the queue for it. Commands hold a key for
/// microseconds, and a queue that has begun makes everybody wait for its wake-ups in turn.
const QUICK_TRIES: usize = 16;

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

/// What the writes of a transaction leave to be done when it has committed.
#[derive(Debug)]
pub(crate) struct Effects {
    /// Stored keys of changed entries, kept while somebody waits for keys.
    changed: Vec<Box<[u8]>>,
    /// Whether `changed` is complete.
    recording: bool,
    writes: usize,
    /// Databases in which the writes leave sub-keys to be removed.
    garbage: SmallVec<[Prefix; 1]>,
}

impl Default for Effects {
    /// Of a transaction that may go on for long, while clients come to wait for keys.
    fn default() -> Self {
        Effects::recording(true)
    }
}

impl Effects {
    fn recording(recording: bool) -> Self {
        Effects {
            changed: Vec::new(),
            recording,
            writes: 0,
            garbage: SmallVec::new(),
        }
    }

    /// The writes are visible: wakes who waits for a key that was changed.
    pub(crate) fn committed(self, keyspace: &Keyspace) {
        for object in self.garbage {
            keyspace.garbage_left(object);
        }
        if self.writes > 0 && keyspace.waiters().any() {
            if self.recording {
                for key in &self.changed {
                    keyspace.waiters().wake(key);
                }
            } else {
                keyspace.waiters().wake_all();
            }
        }
    }
}

/// Brings about the effects when it is dropped.
struct WhenCommitted<'a> {
    effects: Effects,
    keyspace: &'a Keyspace,
}

impl Drop for WhenCommitted<'_> {
    fn drop(&mut self) {
        std::mem::take(&mut self.effects).committed(self.keyspace);
    }
}

/// See the module's documentation.
pub struct Batch {
    txn: Txn,
    effects: Effects,
}

/// A transaction as commands write to it: that of a batch, or of a session.
pub(super) struct Writes<'a> {
    txn: &'a mut Txn,
    effects: &'a mut Effects,
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
            effects: Effects::recording(keyspace.waiters().any()),
        }
    }

    pub(super) fn writes(&mut self) -> Writes<'_> {
        Writes {
            txn: &mut self.txn,
            effects: &mut self.effects,
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
        for _ in 0..QUICK_TRIES {
            if self.try_lock(database, key, how)? {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
        lock_key(&mut self.txn, database, key, how).await
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.effects.writes == 0
    }

    /// Makes the writes durable as the batch was told to and visible at once; who waited for a key
    /// that was changed is woken.
    pub fn commit(self, keyspace: &Keyspace) -> Result<CommitWait> {
        let wait = self.txn.commit_start()?;
        self.effects.committed(keyspace);
        Ok(wait)
    }

    /// Makes the writes visible and durable as the batch was told to, with one write for everybody
    /// who commits at this moment. Dropping the future forgoes the answer, not the commit.
    pub async fn commit_grouped(self, keyspace: &Keyspace) -> Result<()> {
        let Batch { txn, effects } = self;
        let wait = txn.commit_grouped()?;
        // Dropped after `wait`, which commits when it is dropped: the effects are of what is visible.
        let _effects = WhenCommitted { effects, keyspace };
        wait.await
    }

    /// A place to come back to when a command fails half-way.
    pub fn savepoint(&mut self) -> helios_storage::Savepoint {
        self.txn.savepoint()
    }

    pub fn rollback_to(&mut self, savepoint: helios_storage::Savepoint) {
        self.txn.rollback_to(savepoint);
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        self.writes().delete(key);
    }

    pub(super) fn checkpoint(&mut self) {
        self.txn.checkpoint();
    }

    pub(super) fn rollback_to_checkpoint(&mut self) {
        self.txn.rollback_to_checkpoint();
    }

    pub(super) fn check_writes(&self) -> Result<()> {
        self.txn.check_writes()
    }

    pub(super) fn lend(&mut self) {
        self.txn.lend();
    }

    /// Bytes written so far.
    pub(super) fn bytes(&self) -> usize {
        self.txn.write_bytes()
    }
}

/// Locks a key for a command of Redis, and waits for it a bounded time.
pub(super) async fn lock_key(
    txn: &mut Txn,
    database: &Database,
    key: &[u8],
    how: Use,
) -> Result<()> {
    let stored = database.entry_key(key);
    let lock = LockKey::Row(Space::Row, &stored);
    let wait = Wait::Timeout(FOREIGN_LOCK_TIMEOUT);
    match txn.lock(&lock, how.mode(), wait).await {
        Err(error) if error.kind() == ErrorKind::LockNotAvailable => {
            bail!(LockNotAvailable, "the key is locked by a transaction")
        }
        other => other.map(drop),
    }
}

impl<'a> Writes<'a> {
    pub(super) fn new(txn: &'a mut Txn, effects: &'a mut Effects) -> Self {
        Writes { txn, effects }
    }

    pub(super) fn reborrow(&mut self) -> Writes<'_> {
        Writes {
            txn: self.txn,
            effects: self.effects,
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Pinned<'static>>> {
        let value = self.txn.get_latest(Space::Row, key)?;
        Ok(value.map(Pinned::into_owned))
    }

    pub(super) fn scan(&self, range: KeyRange, options: ScanOptions) -> Result<Scan> {
        self.txn.view_latest().scan(Space::Row, range, options)
    }

    pub(super) fn put(&mut self, key: &[u8], header: RowHeader, body: &[u8]) {
        self.effects.writes += 1;
        self.txn.put(Space::Row, key, header, body);
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        self.effects.writes += 1;
        self.txn.delete(Space::Row, key);
    }

    /// Whether change records go anywhere.
    pub(super) fn logs_changes(&self) -> bool {
        self.txn.logs_changes()
    }

    pub(super) fn log(
        &mut self,
        object: Prefix,
        op: ChangeOp,
        stored: &[u8],
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) {
        self.txn.log(ChangeRecord {
            object,
            op,
            key: stored.get(Prefix::LEN..).unwrap_or_default().into(),
            old: old.map(Into::into),
            new: new.map(Into::into),
        });
    }

    pub(super) fn count(&mut self, object: Prefix, delta: i64) {
        self.txn.count(object, delta);
    }

    /// The counter of an object with this transaction's own changes.
    pub(super) fn row_count(&self, object: Prefix) -> i64 {
        self.txn.row_count(object)
    }

    pub(super) fn garbage(&mut self, object: Prefix) {
        if !self.effects.garbage.contains(&object) {
            self.effects.garbage.push(object);
        }
    }

    /// `key` is the stored key of an entry.
    pub(super) fn changed(&mut self, key: &[u8]) {
        if self.effects.recording {
            self.effects.changed.push(key.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Access;
    use super::*;
    use helios_storage::{Change, Store, StoreOptions};
    use helios_types::{BranchId, DatabaseId, ObjectId, Ts};

    fn written(access: &mut Access<'_>, key: &[u8], value: &[u8]) {
        use super::super::strings::{Condition, Expiry};
        access
            .set(key, value, Expiry::Clear, Condition::Always)
            .unwrap();
    }

    #[test]
    fn every_change_of_a_key_is_in_the_change_log() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreOptions {
            path: folder.path().join("data"),
            log_retention: Some(Duration::from_secs(3600)),
            ..StoreOptions::default()
        })
        .unwrap();
        let keyspace = Keyspace::new(store.clone());
        let object = Prefix::new(DatabaseId(1), BranchId::MAIN, ObjectId(15_000));
        let database = Database::new(0, object);
        let run = |work: &dyn Fn(&mut Access<'_>)| -> Vec<Change> {
            let before = store.last_ts();
            let mut batch = Batch::begin(&keyspace, Durability::Off);
            work(&mut Access::writing(&keyspace, &database, 1, &mut batch));
            drop(batch.commit(&keyspace).unwrap());
            assert!(store.last_ts() > before && before >= Ts::ZERO);
            store.changes(before, usize::MAX).unwrap()
        };
        let ops = |changes: &[Change]| changes.iter().map(|c| c.record.op).collect::<Vec<_>>();

        let changes = run(&|access| written(access, b"k", b"one"));
        assert_eq!(ops(&changes), [ChangeOp::Insert]);
        assert_eq!(changes[0].record.object, object);
        assert!(changes[0].record.key.ends_with(b"k") && changes[0].record.old.is_none());
        let changes = run(&|access| written(access, b"k", b"two"));
        assert_eq!(ops(&changes), [ChangeOp::Update]);
        let old = changes[0].record.old.as_deref().unwrap();
        let new = changes[0].record.new.as_deref().unwrap();
        assert!(old.ends_with(b"one") && new.ends_with(b"two"));
        let changes = run(&|access| {
            let slot = access.slot(b"k").unwrap();
            access.remove(&slot).unwrap();
        });
        assert_eq!(ops(&changes), [ChangeOp::Delete]);

        // A hash that does not fit its entry: one record an element, and one of the entry.
        let value = vec![b'v'; super::super::SMALL_BYTES_MAX];
        let pairs: [(&[u8], &[u8]); 2] = [(b"f1", &value), (b"f2", b"x")];
        let changes = run(&|access| {
            access.hash_set(b"h", pairs.iter().copied()).unwrap();
        });
        assert_eq!(ops(&changes), [ChangeOp::Insert; 3]);
        let changes = run(&|access| {
            access
                .hash_set(b"h", [(&b"f2"[..], &b"y"[..])].into_iter())
                .unwrap();
        });
        assert_eq!(ops(&changes), [ChangeOp::Update; 2]);
    }
}
