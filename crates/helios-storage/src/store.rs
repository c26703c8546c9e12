//! The store: opening and closing, reads of the newest state, snapshots, and what is kept outside
//! of transactions.

mod age;
mod directory;
mod drop;
mod open;
pub(crate) mod record;

pub(crate) use drop::delete_object;
pub(crate) use open::unfinished_loads;

use crate::changes::{self, Change, CommitNotice};
use crate::commit::CommitState;
use crate::database::{Cursor, CursorOptions, Database, Family};
use crate::group::Waiting;
use crate::lock::LockTable;
use crate::moved::MovedRows;
use crate::options::StoreOptions;
use crate::pinned::Pinned;
use crate::scan::{Scan, ScanOptions};
use crate::sequence::Sequences;
use crate::snapshot::{Snapshot, State};
use crate::space::{KeyRange, Prefix, Space};
use crate::stats::{Counters, StoreStats, load};
use crate::txn::{Txn, TxnOptions};
use crate::wal::Wal;
use arc_swap::ArcSwapOption;
use directory::DirectoryLock;
use helios_types::{Result, Ts};
use parking_lot::Mutex;
use rocksdb::statistics::Ticker;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use tokio::sync::broadcast;

/// A data directory in use. All methods may be called from any thread.
pub struct Store {
    options: StoreOptions,
    db: Arc<Database>,
    commit: Mutex<CommitState>,
    waiting: Waiting,
    /// Commits what its owner has put aside; see [`Store::on_contention`].
    put_aside: OnceLock<PutAside>,
    /// The last published commit.
    last_ts: Arc<AtomicU64>,
    /// The newest state that somebody asked for.
    newest: Arc<ArcSwapOption<State>>,
    wal: Arc<Wal>,
    locks: Arc<LockTable>,
    moved: MovedRows,
    sequences: Mutex<Sequences>,
    notices: broadcast::Sender<Arc<CommitNotice>>,
    counters: Arc<Counters>,
    next_id: AtomicU64,
    closing: Mutex<Closing>,
}

/// Commits transactions that are open only because nothing has asked for their commit: whether
/// there were any.
type PutAside = Box<dyn Fn() -> bool + Send + Sync>;

/// What only a close takes apart.
struct Closing {
    thread: Option<JoinHandle<()>>,
    lock: Option<DirectoryLock>,
}

impl Store {
    /// The last committed timestamp.
    pub fn last_ts(&self) -> Ts {
        Ts(self.last_ts.load(Ordering::Acquire))
    }

    /// The newest committed state.
    #[inline]
    pub fn snapshot(&self) -> Snapshot {
        let newest = self.newest.load();
        if let Some(state) = &*newest
            && state.ts == self.last_ts()
        {
            return Snapshot::newest(state.clone());
        }
        drop(newest);
        let commits = self.commit.lock();
        self.snapshot_locked(&commits)
    }

    /// The newest state, by somebody who holds the commit lock.
    pub(crate) fn snapshot_locked(&self, commits: &CommitState) -> Snapshot {
        if let Some(state) = &*self.newest.load()
            && state.ts == commits.last_ts
        {
            return Snapshot::newest(state.clone());
        }
        let history = commits.history.clone();
        let state = State::new(&self.db, commits.last_ts, history, &self.counters);
        self.newest.store(Some(state.clone()));
        Snapshot::newest(state)
    }

    /// The state as of `ts`. How far back that is possible depends on the object that is read: a
    /// read that reaches further than its object's history fails with `SnapshotTooOld`.
    pub fn snapshot_at(&self, ts: Ts) -> Result<Snapshot> {
        let mut snapshot = self.snapshot();
        if ts < snapshot.ts() {
            crate::history::check_catalog_reach(&snapshot.state.history, ts)?;
            snapshot.as_of = Some(ts);
        }
        Ok(snapshot)
    }

    /// What to do when a transaction finds a lock taken: commit those that may have it and go on
    /// only by being committed ([`Txn::lend`]), and say whether there were any. The first one to be
    /// set stays.
    pub fn on_contention(&self, commit: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.put_aside.set(Box::new(commit));
    }

    /// Commits what has been put aside; with `lent` also what others keep open.
    pub(crate) fn commit_put_aside(&self, lent: bool) -> bool {
        let group = self.commit_waiting();
        let work = self.put_aside.get().filter(|_| lent);
        work.is_some_and(|commit| commit()) || group
    }

    /// The newest committed version, without a snapshot.
    #[inline]
    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Pinned<'_>>> {
        self.db.get_newest(space, key)
    }

    /// The newest committed versions of many keys, in their order. Faster when `sorted` says truly
    /// that the keys are.
    pub fn multi_get(
        &self,
        space: Space,
        keys: &[&[u8]],
        sorted: bool,
    ) -> Result<Vec<Option<Pinned<'_>>>> {
        let values = self
            .db
            .multi_get(Family::Current(space), keys, sorted, None)?;
        Ok(values.into_iter().map(|v| v.map(Pinned::block)).collect())
    }

    /// Scans the newest committed state as it is when the scan begins.
    pub fn scan(&self, space: Space, range: &KeyRange, options: ScanOptions) -> Result<Scan> {
        Scan::of_current(&self.db, None, space, range, options)
    }

    pub fn begin(self: &Arc<Self>, options: TxnOptions) -> Txn {
        Txn::new(self.clone(), options)
    }

    /// Hands everything committed so far to the operating system; with `sync` to the device.
    pub fn flush(&self, sync: bool) -> Result<()> {
        if sync {
            self.wal.sync()
        } else {
            self.wal.flush(self.wal.written())
        }
    }

    /// The committed row count of an object.
    pub fn row_count(&self, object: Prefix) -> i64 {
        self.commit
            .lock()
            .counters
            .get(&object)
            .copied()
            .unwrap_or(0)
    }

    /// Whether an object has ever had rows, as far as anybody can see who reads by now: rows that
    /// were deleted may be there for those who read an older state than the newest.
    pub fn may_have_had_rows(&self, object: Prefix) -> bool {
        let commits = self.commit.lock();
        if !commits.counters.contains_key(&object) {
            return false;
        }
        // The newest state is one of those that are alive.
        let _newest = self.snapshot_locked(&commits);
        commits.counters.get(&object) != Some(&0)
            || self.counters.live_snapshots.load(Ordering::Acquire) != 1
    }

    /// About how many bytes of files and memory an object takes.
    pub fn approximate_bytes(&self, object: Prefix) -> u64 {
        let range = object.range();
        let hi = range.hi.unwrap_or_else(|| vec![0xff; Prefix::LEN + 1]);
        let spaces = [Space::Row, Space::Index];
        let families = spaces
            .into_iter()
            .flat_map(|s| [Family::Current(s), Family::History(s)]);
        families
            .map(|f| self.db.approximate_bytes(f, &range.lo, &hi).unwrap_or(0))
            .sum()
    }

    /// Since when an object keeps history; `None` when it does not.
    pub fn history_since(&self, object: Prefix) -> Option<Ts> {
        self.commit.lock().history.get(&object).copied()
    }

    /// Change records of commits after `after`, oldest first: whole commits, as many as it takes to
    /// reach `limit` records.
    pub fn changes(&self, after: Ts, limit: usize) -> Result<Vec<Change>> {
        let mut out: Vec<Change> = Vec::new();
        let lo = after.0.saturating_add(1).to_be_bytes();
        let how = CursorOptions::default();
        // Nothing beyond the published commits, so that a reader never passes one by.
        let newest = self.snapshot();
        let epoch = Some(newest.state.epoch.clone());
        let mut cursor = Cursor::new(&self.db, Family::Log, &lo, None, false, epoch, how)?;
        while let Some((key, value)) = cursor.item() {
            let change = changes::decode(key, value)?;
            if out.len() >= limit && out.last().is_some_and(|last| last.ts != change.ts) {
                break;
            }
            out.push(change);
            cursor.advance();
        }
        cursor.status()?;
        Ok(out)
    }

    /// Notices of all commits from now on, in commit order. A subscriber that falls far behind is
    /// told how many it missed and reads them from the change log.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<CommitNotice>> {
        self.notices.subscribe()
    }

    pub fn stats(&self) -> StoreStats {
        let counters = &self.counters;
        let all = |property| {
            crate::database::FAMILIES
                .into_iter()
                .map(|f| self.db.property(f, property))
                .sum()
        };
        StoreStats {
            commits: load(&counters.commits),
            fsyncs: load(&counters.fsyncs),
            conflicts: load(&counters.conflicts),
            deadlocks: load(&counters.deadlocks),
            lock_waits: load(&counters.lock_waits),
            locks_held: self.locks.held(),
            live_snapshots: counters.live_snapshots.load(Ordering::Relaxed).max(0) as u64,
            cache_hits: self.db.ticker(Ticker::BlockCacheHit),
            cache_misses: self.db.ticker(Ticker::BlockCacheMiss),
            cache_bytes: self.db.cache_bytes() as u64,
            memtable_bytes: all("rocksdb.cur-size-all-mem-tables"),
            disk_bytes: all("rocksdb.total-sst-files-size"),
            bytes_read: self.db.ticker(Ticker::BytesRead),
            bytes_written: self.db.ticker(Ticker::BytesWritten),
        }
    }

    /// Makes `commits` commits visible, the last of which was made at `ts`.
    pub(crate) fn publish(&self, ts: Ts, commits: u64) {
        self.last_ts.store(ts.0, Ordering::Release);
        self.counters.commits.fetch_add(commits, Ordering::Relaxed);
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn database(&self) -> &Arc<Database> {
        &self.db
    }

    pub(crate) fn commit_state(&self) -> &Mutex<CommitState> {
        &self.commit
    }

    pub(crate) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    pub(crate) fn wal(&self) -> &Arc<Wal> {
        &self.wal
    }

    pub(crate) fn moved(&self) -> &MovedRows {
        &self.moved
    }

    pub(crate) fn locks(&self) -> &Arc<LockTable> {
        &self.locks
    }

    /// The sessions, by [`SessionLocks::group`](crate::SessionLocks::group), that hold what this
    /// one waits for; empty when it does not wait.
    pub fn blocking_sessions(&self, group: u64) -> Vec<u64> {
        self.locks.blocking_groups(group)
    }

    pub(crate) fn sequences(&self) -> &Mutex<Sequences> {
        &self.sequences
    }

    pub(crate) fn notices(&self) -> &broadcast::Sender<Arc<CommitNotice>> {
        &self.notices
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether change records go anywhere: a log is kept or somebody listens.
    pub(crate) fn wants_changes(&self) -> bool {
        self.keeps_log() || self.notices().receiver_count() > 0
    }

    pub(crate) fn keeps_log(&self) -> bool {
        self.options.log_retention.is_some()
    }

    /// The data directory.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.options.path
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.options.read_only
    }

    /// Flushes and syncs the log and gives the directory free. Nothing can be written afterwards;
    /// what still reads may go on. Closing twice is closing once.
    pub fn close(&self) -> Result<()> {
        let mut closing = self.closing.lock();
        let Some(lock) = closing.lock.take() else {
            return Ok(());
        };
        let settled = if self.is_read_only() || self.wal.check().is_err() {
            Ok(())
        } else {
            self.settle_sequences().and_then(|()| self.wal.sync())
        };
        self.wal.stop();
        if let Some(thread) = closing.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // The thread does not panic; if it did, the log is synced all the same.
            let _ = thread.join();
        }
        self.newest.store(None);
        drop(lock);
        settled
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "closing the store failed");
        }
    }
}
