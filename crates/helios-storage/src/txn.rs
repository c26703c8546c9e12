//! A transaction: its snapshot, its writes, its locks.
//!
//! A transaction that writes takes the locks it needs, checks under them
//! ([`Txn::check_write_conflict`], or a re-read through [`Txn::view_latest`] at READ COMMITTED),
//! adds writes to its overlay and commits. Nothing of it is in the store before the commit.
//!
//! The snapshot is taken when the first read asks for it, so a transaction that only locks and
//! writes (most single-key commands) takes none. At READ COMMITTED each statement starts anew; at
//! the other levels the first snapshot stays.

use crate::changes::ChangeRecord;
use crate::commit::{WriteSet, check_key};
use crate::header::{Header, RowHeader, begin_ts, encode_header};
use crate::lock::{Grant, Held, LockKey, LockMode, Locked, Owner, SessionLocks, TryLock, Wait};
use crate::moved::Move;
use crate::overlay::Overlay;
use crate::pinned::Pinned;
use crate::sequence::SequenceParams;
use crate::serializable::ReadSet;
use crate::snapshot::Snapshot;
use crate::space::{KeyRange, Prefix, Space};
use crate::store::Store;
use crate::view::{ReadView, Seen};
use crate::wal::{CommitInfo, CommitWait, Durability};
use helios_types::{Error, Result, Ts, bail};
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock};

/// Memory for the uncommitted writes of one transaction.
const MEMORY_MAX: usize = 4 << 30;
/// What a write costs besides its key and value, with the lock of its row.
const ENTRY_BYTES: usize = 400;

/// What a transaction may see of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Isolation {
    /// Each statement sees what was committed when it began.
    #[default]
    ReadCommitted,
    /// Everything sees what was committed before the first read; the first of two writers wins.
    RepeatableRead,
    /// As if transactions ran one after another.
    Serializable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TxnOptions {
    pub isolation: Isolation,
    pub read_only: bool,
    pub durability: Durability,
}

/// Names a transaction while it runs. Committed transactions are named by their timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TxnId(pub u64);

/// A point to roll back to.
#[derive(Clone, Copy, Debug)]
pub struct Savepoint {
    order: u64,
    locks: usize,
    log: usize,
    counts: usize,
    history: usize,
    moved: usize,
    loads: usize,
}

/// A transaction. Dropping it rolls it back.
pub struct Txn {
    store: Arc<Store>,
    owner: Owner,
    options: TxnOptions,
    snapshot: OnceLock<Snapshot>,
    command: u32,
    overlay: Arc<Overlay>,
    /// What was read, at SERIALIZABLE.
    reads: Option<Arc<ReadSet>>,
    locks: SmallVec<[Held; 2]>,
    log: Vec<ChangeRecord>,
    counts: SmallVec<[(Prefix, i64); 2]>,
    history: Vec<(Prefix, bool)>,
    record: Option<(Vec<u8>, Vec<u8>)>,
    /// Rows whose key was changed: the old key and the new one.
    moved: Vec<Move>,
    /// Objects that were loaded in bulk.
    loads: Vec<Prefix>,
    /// Counts before this place belong to savepoints.
    counts_kept: usize,
    checkpoint: Option<Savepoint>,
    /// Its owner lets others commit it, and is not to be asked to by itself.
    lent: bool,
    /// A write outside of the transaction that it must not be acknowledged before.
    wait_for: u64,
    /// The first mistake made in a call that cannot fail; reported by the commit.
    misuse: Option<Error>,
    on_publish: Option<Box<dyn FnOnce(Ts) + Send + Sync>>,
    value: Vec<u8>,
}

impl Txn {
    pub(crate) fn new(store: Arc<Store>, options: TxnOptions) -> Txn {
        let id = store.next_id();
        let reads = (options.isolation == Isolation::Serializable && !options.read_only)
            .then(Arc::<ReadSet>::default);
        Txn {
            store,
            owner: Owner { id, group: id },
            options,
            snapshot: OnceLock::new(),
            command: 1,
            overlay: Arc::default(),
            reads,
            locks: SmallVec::new(),
            log: Vec::new(),
            counts: SmallVec::new(),
            history: Vec::new(),
            record: None,
            moved: Vec::new(),
            loads: Vec::new(),
            counts_kept: 0,
            checkpoint: None,
            lent: false,
            wait_for: 0,
            misuse: None,
            on_publish: None,
            value: Vec::new(),
        }
    }

    pub fn id(&self) -> TxnId {
        TxnId(self.owner.id)
    }

    pub fn options(&self) -> TxnOptions {
        self.options
    }

    pub fn isolation(&self) -> Isolation {
        self.options.isolation
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// `SET LOCAL synchronous_commit`.
    pub fn set_durability(&mut self, durability: Durability) {
        self.options.durability = durability;
    }

    /// Changes the level; only before anything was read.
    pub fn set_isolation(&mut self, isolation: Isolation) {
        debug_assert!(self.snapshot.get().is_none());
        self.options.isolation = isolation;
        self.reads = (isolation == Isolation::Serializable && !self.options.read_only)
            .then(Arc::<ReadSet>::default);
    }

    /// Something to do when the commit is visible to others and before its locks are released, so
    /// that whoever waited for one finds it done.
    pub fn on_publish(&mut self, action: impl FnOnce(Ts) + Send + Sync + 'static) {
        self.on_publish = Some(Box::new(action));
    }

    /// From now on this transaction's locks do not conflict with those of `session`. Only before it
    /// has taken any.
    pub fn set_lock_session(&mut self, session: &SessionLocks) {
        debug_assert!(self.locks.is_empty());
        self.owner.group = session.group();
    }

    /// Begins a statement: it sees the writes of the statements before it, and at READ COMMITTED
    /// what others have committed by now.
    pub fn start_statement(&mut self) {
        self.command = self.command.saturating_add(1);
        if self.options.isolation == Isolation::ReadCommitted && self.snapshot.get().is_some() {
            self.snapshot = OnceLock::new();
        }
    }

    fn snapshot(&self) -> &Snapshot {
        self.snapshot.get_or_init(|| {
            if self.reads.is_none() {
                return self.store.snapshot();
            }
            // Registered under the commit lock, so that no commit is missed.
            let mut commits = self.store.commit_state().lock();
            let snapshot = self.store.snapshot_locked(&commits);
            commits.recent.begin(snapshot.ts());
            snapshot
        })
    }

    /// The timestamp of the state that the current statement sees.
    pub fn snapshot_ts(&self) -> Ts {
        self.snapshot().ts()
    }

    /// The same, if anything was read by now.
    pub fn snapshot_taken(&self) -> Option<Ts> {
        self.snapshot.get().map(Snapshot::ts)
    }

    /// What the current statement sees.
    pub fn view(&self) -> ReadView {
        ReadView {
            seen: Seen::Snapshot(self.snapshot().clone()),
            own: (!self.overlay.is_empty()).then(|| self.overlay.clone()),
            limit: self.command,
            reads: self.reads.clone(),
        }
    }

    /// The newest committed state and all own writes so far, for checks made under locks. Its reads
    /// are not validated at SERIALIZABLE: the locks protect them.
    pub fn view_latest(&self) -> ReadView {
        ReadView {
            seen: Seen::Newest(self.store.database().clone()),
            own: Some(self.overlay.clone()),
            limit: u32::MAX,
            reads: None,
        }
    }

    fn refuse(&mut self, error: Error) {
        self.misuse.get_or_insert(error);
    }

    fn may_write(&mut self, space: Space, key: &[u8]) -> bool {
        if self.options.read_only {
            let message = "cannot write in a read-only transaction";
            self.refuse(Error::new(
                helios_types::ErrorKind::ReadOnlyTransaction,
                message,
            ));
            return false;
        }
        match check_key(space, key) {
            Ok(()) => true,
            Err(error) => {
                self.refuse(error);
                false
            }
        }
    }

    /// Writes a value. A key that cannot be stored fails the commit.
    pub fn put(&mut self, space: Space, key: &[u8], header: RowHeader, body: &[u8]) {
        self.write_value(space, key, header, false, body);
    }

    /// Writes a tombstone: the key is deleted here although an ancestor branch may have it. Reads
    /// return it as a value whose header says so.
    pub fn put_tombstone(&mut self, space: Space, key: &[u8]) {
        self.write_value(space, key, RowHeader::default(), true, &[]);
    }

    fn write_value(
        &mut self,
        space: Space,
        key: &[u8],
        header: RowHeader,
        tombstone: bool,
        body: &[u8],
    ) {
        if !self.may_write(space, key) {
            return;
        }
        self.value.clear();
        self.value.reserve(Header::LEN_MAX + body.len());
        encode_header(&mut self.value, header, tombstone);
        self.value.extend_from_slice(body);
        let value = Arc::from(self.value.as_slice());
        self.overlay.write(space, key, self.command, Some(value));
        self.check_size();
    }

    /// Looks now and then whether the writes are more than memory is there for.
    #[inline]
    fn check_size(&mut self) {
        const EVERY: usize = 1024;
        let keys = self.overlay.len();
        if keys.is_multiple_of(EVERY) && self.overlay.bytes() + keys * ENTRY_BYTES > MEMORY_MAX {
            let message = format!("transaction holds more than {MEMORY_MAX} bytes of changes");
            let error = Error::new(helios_types::ErrorKind::LimitExceeded, message);
            self.refuse(error.with_hint("Divide the changes into several transactions."));
        }
    }

    pub fn delete(&mut self, space: Space, key: &[u8]) {
        if self.may_write(space, key) {
            self.overlay.write(space, key, self.command, None);
        }
    }

    /// Whether superseded versions of an object are kept, from this commit on. An index is an object
    /// of its own; reading it as of an older moment needs its history too.
    pub fn set_history(&mut self, object: Prefix, keep: bool) {
        self.history.push((object, keep));
    }

    /// Changes the row count of an object when this commits.
    pub fn count(&mut self, object: Prefix, delta: i64) {
        let own = self.counts.iter_mut().skip(self.counts_kept);
        match own.into_iter().find(|(known, _)| *known == object) {
            Some((_, sum)) => *sum += delta,
            None => self.counts.push((object, delta)),
        }
    }

    /// The row count of an object as this transaction sees it: committed, and its own changes.
    pub fn row_count(&self, object: Prefix) -> i64 {
        let own = self
            .counts
            .iter()
            .filter(|(p, _)| *p == object)
            .map(|(_, delta)| delta);
        self.store.row_count(object) + own.sum::<i64>()
    }

    /// Adds a change record, in order.
    pub fn log(&mut self, record: ChangeRecord) {
        self.log.push(record);
    }

    /// A record of the engine's own that becomes true with this commit: it is written in the same
    /// batch as the rows, and not at all when the transaction writes nothing.
    pub fn set_record(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.record = Some((key, value));
    }

    /// Asks for a lock once, or twice when a commit that was put aside may have it.
    #[inline]
    fn request(&self, key: &LockKey<'_>, mode: LockMode) -> Grant {
        let locks = self.store.locks();
        match locks.try_lock(key, self.owner, mode) {
            Grant::Contended(_) if self.store.commit_put_aside(!self.lent) => {
                locks.try_lock(key, self.owner, mode)
            }
            grant => grant,
        }
    }

    /// Takes a lock if nobody is in the way; never waits.
    #[inline]
    pub fn try_lock(&mut self, key: &LockKey<'_>, mode: LockMode) -> Result<TryLock> {
        match self.request(key, mode) {
            Grant::Now(held) => {
                self.locks.extend(held);
                Ok(TryLock::Granted)
            }
            Grant::Contended(_) => Ok(TryLock::Contended),
        }
    }

    /// Takes a lock; how long it may wait says `wait`. Locks are held to the end of the
    /// transaction, those taken after a savepoint to the rollback to it.
    pub async fn lock(&mut self, key: &LockKey<'_>, mode: LockMode, wait: Wait) -> Result<Locked> {
        let id = match self.request(key, mode) {
            Grant::Now(held) => {
                self.locks.extend(held);
                return Ok(Locked::Granted);
            }
            Grant::Contended(id) => id,
        };
        let not_available = || match key {
            LockKey::Row(..) => {
                helios_types::error!(LockNotAvailable, "could not obtain lock on row")
            }
            _ => helios_types::error!(LockNotAvailable, "could not obtain lock"),
        };
        let pending = match wait {
            Wait::SkipLocked => return Ok(Locked::Skipped),
            Wait::NoWait => return Err(not_available()),
            Wait::Block | Wait::Timeout(_) => self.store.locks().enqueue(id, self.owner, mode)?,
        };
        let held = match wait {
            Wait::Timeout(limit) => match tokio::time::timeout(limit, pending.granted()).await {
                Ok(held) => held,
                Err(_) => {
                    bail!(LockNotAvailable, "canceling statement due to lock timeout")
                }
            },
            _ => pending.granted().await,
        };
        self.locks.push(held);
        Ok(Locked::Waited)
    }

    /// Waits until nobody holds the lock in the way of `mode`, and does not keep it: `Waited` when
    /// somebody did. For a look at what another transaction is about to change.
    pub async fn wait_unlocked(
        &mut self,
        key: &LockKey<'_>,
        mode: LockMode,
        wait: Wait,
    ) -> Result<Locked> {
        let before = self.locks.len();
        let locked = self.lock(key, mode, wait).await?;
        self.store
            .locks()
            .release(self.owner, self.locks.drain(before..));
        Ok(locked)
    }

    /// Whether others hold locks of rows whose stored key begins with `prefix`. Looks at every lock.
    pub fn others_lock_within(&self, space: Space, prefix: &[u8]) -> bool {
        let locks = self.store.locks();
        locks.others_lock_within(space, prefix, self.owner.group)
    }

    /// At REPEATABLE READ and SERIALIZABLE, with the lock on `key` held: refuses to write a key
    /// that somebody else has written since the snapshot. Nothing at READ COMMITTED.
    pub fn check_write_conflict(&self, space: Space, key: &[u8]) -> Result<()> {
        if self.options.isolation == Isolation::ReadCommitted {
            return Ok(());
        }
        let snapshot = self.snapshot();
        let changed = match self.store.get(space, key)? {
            Some(value) => begin_ts(&value)? > snapshot.ts(),
            None => snapshot.get(space, key)?.is_some(),
        };
        if changed {
            self.store.count_conflict();
            bail!(
                SerializationFailure,
                "could not serialize access due to concurrent update"
            );
        }
        Ok(())
    }

    /// Whether somebody else has written `key` since the current statement's snapshot. Own writes of
    /// earlier statements do not count, those of the current one do.
    pub fn changed_since_snapshot(&self, space: Space, key: &[u8]) -> Result<bool> {
        let seen = self
            .view()
            .get(space, key)?
            .map(|v| begin_ts(&v))
            .transpose()?;
        let newest = self
            .view_latest()
            .get(space, key)?
            .map(|v| begin_ts(&v))
            .transpose()?;
        Ok(seen != newest)
    }

    /// Remembers that the row at `old` is at `new` from this commit on, for statements of others
    /// that have found it at `old`.
    pub fn note_moved(&mut self, old: &[u8], new: &[u8]) {
        self.moved.push((Arc::from(old), Arc::from(new)));
    }

    /// Whether any transaction has changed a key lately.
    pub fn any_moved(&self) -> bool {
        !self.store.moved().is_empty()
    }

    /// Where a row went that was at `key` at `since`, and when: another transaction has changed its
    /// key and committed.
    pub fn moved_to(&self, key: &[u8], since: Ts) -> Option<(Ts, Arc<[u8]>)> {
        self.store.moved().after(key, since)
    }

    /// Whether the current statement has written `key`.
    pub fn written_by_statement(&self, space: Space, key: &[u8]) -> bool {
        let newest = self.overlay.get(space, key, u32::MAX);
        let before = self.overlay.get(space, key, self.command);
        match (newest, before) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(Some(a)), Some(Some(b))) => !Arc::ptr_eq(&a, &b),
            (Some(a), Some(b)) => a.is_some() != b.is_some(),
        }
    }

    /// Whether change records go anywhere: a log is kept or somebody listens.
    pub fn logs_changes(&self) -> bool {
        self.store.wants_changes()
    }

    /// Remembers a read for SERIALIZABLE; nothing at other levels. Reads through [`Txn::view`] are
    /// remembered by themselves.
    pub fn note_read_point(&mut self, space: Space, key: &[u8]) {
        if let Some(reads) = &self.reads {
            self.snapshot();
            reads.point(space, key);
        }
    }

    pub fn note_read_range(&mut self, space: Space, lo: &[u8], hi: Option<&[u8]>) {
        if let Some(reads) = &self.reads {
            self.snapshot();
            reads.range(
                space,
                KeyRange {
                    lo: lo.to_vec(),
                    hi: hi.map(<[u8]>::to_vec),
                },
            );
        }
    }

    /// The next number of a sequence; it stays taken if this rolls back. The commit is acknowledged
    /// only when the sequence's record is as durable as the commit.
    pub fn sequence_next(&mut self, prefix: Prefix, params: &SequenceParams) -> Result<i64> {
        let value = self.store.sequence_next(prefix, params)?;
        self.wait_for = self.store.wal().written();
        Ok(value)
    }

    pub fn savepoint(&mut self) -> Savepoint {
        let order = self.overlay.savepoint();
        self.counts_kept = self.counts.len();
        self.place(order)
    }

    fn place(&self, order: u64) -> Savepoint {
        Savepoint {
            order,
            locks: self.locks.len(),
            log: self.log.len(),
            counts: self.counts.len(),
            history: self.history.len(),
            moved: self.moved.len(),
            loads: self.loads.len(),
        }
    }

    /// Takes back every write, lock, count and change record since the savepoint, which stays.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        self.drop_loads(savepoint.loads);
        self.overlay.rollback_to(savepoint.order);
        if savepoint.locks < self.locks.len() {
            self.store
                .locks()
                .release(self.owner, self.locks.drain(savepoint.locks..));
        }
        self.log.truncate(savepoint.log);
        self.counts.truncate(savepoint.counts);
        self.counts_kept = self.counts.len();
        self.history.truncate(savepoint.history);
        self.moved.truncate(savepoint.moved);
        self.misuse = None;
    }

    /// A savepoint in the place of every one before it: what has been done by now stays. For
    /// transactions of many steps of which each may fail.
    pub fn checkpoint(&mut self) {
        if self.counts.len() > self.counts_kept {
            let steps: SmallVec<[_; 2]> = self.counts.drain(self.counts_kept..).collect();
            self.counts_kept = 0;
            for (object, delta) in steps {
                self.count(object, delta);
            }
            self.counts_kept = self.counts.len();
        }
        let order = self.overlay.checkpoint();
        self.checkpoint = Some(self.place(order));
    }

    /// Takes back everything since the last [`Txn::checkpoint`].
    pub fn rollback_to_checkpoint(&mut self) {
        if let Some(checkpoint) = self.checkpoint {
            self.rollback_to(checkpoint);
        }
    }

    /// The mistake of a call that could not fail, which would fail the commit.
    pub fn check_writes(&self) -> Result<()> {
        self.misuse.clone().map_or(Ok(()), Err)
    }

    /// Says that this is a transaction of many clients, and that the work in
    /// [`Store::on_contention`] commits it.
    pub fn lend(&mut self) {
        self.lent = true;
    }

    /// The newest committed version or the transaction's own, as in [`Txn::view_latest`].
    #[inline]
    pub fn get_latest(&self, space: Space, key: &[u8]) -> Result<Option<Pinned<'_>>> {
        match self.overlay.get(space, key, u32::MAX) {
            Some(written) => Ok(written.map(Pinned::owned)),
            None => self.store.get(space, key),
        }
    }

    /// Whether the transaction has changed anything so far.
    pub fn has_writes(&self) -> bool {
        !self.write_set().is_empty()
    }

    /// Bytes of keys and values written so far.
    pub fn write_bytes(&self) -> usize {
        self.overlay.bytes()
    }

    /// Notes an object that is about to be loaded.
    pub(crate) fn add_load(&mut self, prefix: Prefix) {
        if !self.loads.contains(&prefix) {
            self.loads.push(prefix);
        }
    }

    /// Nothing was loaded after all.
    pub(crate) fn forget_load(&mut self, prefix: Prefix) {
        self.loads.retain(|known| *known != prefix);
    }

    /// Writes a value whose header stands in front of it; its timestamp is the commit's.
    pub(crate) fn put_prepared(&mut self, space: Space, key: &[u8], value: &[u8]) {
        if !self.may_write(space, key) {
            return;
        }
        self.value.clear();
        self.value.extend_from_slice(value);
        if let Some(stamp) = self.value.get_mut(Header::BEGIN_TS) {
            stamp.fill(0);
        }
        let value = Arc::from(self.value.as_slice());
        self.overlay.write(space, key, self.command, Some(value));
    }

    /// Deletes objects that were loaded, while nobody can have their numbers yet.
    fn drop_loads(&mut self, from: usize) {
        for prefix in self.loads.drain(from.min(self.loads.len())..) {
            if let Err(error) = self.store.drop_object(prefix) {
                tracing::warn!(%error, "a load is removed when the store is opened again");
            }
        }
    }

    /// Whether any of the transaction's own uncommitted writes lies below a prefix.
    pub fn has_written_below(&self, space: Space, prefix: Prefix) -> bool {
        let range = prefix.range();
        let hi = range.hi.as_deref();
        let mut found = std::collections::VecDeque::new();
        let bounds = (
            std::ops::Bound::Included(range.lo.as_slice()),
            hi.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded),
        );
        self.overlay
            .range(space, bounds, false, u32::MAX, 1, &mut found);
        !found.is_empty()
    }

    /// Whether nothing about the commit concerns anybody but the writers of the same rows.
    pub(crate) fn may_join(&self) -> bool {
        self.isolation() == Isolation::ReadCommitted
            && self.has_writes()
            && self.wait_for == 0
            && self.history.is_empty()
            && self.moved.is_empty()
            && self.loads.is_empty()
            && self.on_publish.is_none()
    }

    /// The first mistake made in a call that cannot fail.
    pub(crate) fn take_misuse(&mut self) -> Option<Error> {
        self.misuse.take()
    }

    pub(crate) fn write_set(&self) -> WriteSet<'_> {
        WriteSet {
            overlay: &self.overlay,
            counts: &self.counts,
            history: &self.history,
            log: &self.log,
            loads: &self.loads,
            record: self.record.as_ref(),
            reads: match (&self.reads, self.snapshot.get()) {
                (Some(reads), Some(snapshot)) => Some((reads, snapshot.ts())),
                _ => None,
            },
            of_many: self.lent,
        }
    }

    /// Commits and waits until the commit is as durable as the transaction's options say.
    pub async fn commit(self) -> Result<CommitInfo> {
        self.commit_start()?.await
    }

    /// Commits: validates, writes, publishes and releases the locks. What remains is to wait for
    /// durability.
    pub fn commit_start(mut self) -> Result<CommitWait> {
        if let Some(error) = self.take_misuse() {
            return Err(error);
        }
        let durability = self.options.durability;
        let set = self.write_set();
        let (number, ts) = if set.is_empty() {
            (self.wait_for, self.store.last_ts())
        } else {
            self.store.commit_writes(&set)?
        };
        self.loads.clear();
        if !self.moved.is_empty() {
            let moved = std::mem::take(&mut self.moved);
            self.store.moved().record(ts, moved.into_iter());
        }
        if let Some(action) = self.on_publish.take() {
            action(ts);
        }
        self.end();
        let wal = self.store.wal().clone();
        if number > 0 {
            wal.arm(durability);
        }
        Ok(CommitWait::new(wal, number, durability, ts))
    }

    pub fn rollback(self) {}

    /// Gives locks and registrations back.
    fn end(&mut self) {
        if !self.locks.is_empty() {
            self.store.locks().release(self.owner, self.locks.drain(..));
        }
        if self.reads.take().is_some()
            && let Some(snapshot) = self.snapshot.get()
        {
            self.store.commit_state().lock().recent.end(snapshot.ts());
        }
    }
}

impl Drop for Txn {
    fn drop(&mut self) {
        // While the locks are held: the numbers of the objects may be given out again after that.
        self.drop_loads(0);
        self.end();
    }
}
