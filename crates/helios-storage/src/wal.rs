//! When a commit counts as durable, and the one thread that makes it so.
//!
//! A commit's batch is in RocksDB's log buffer when the commit lock is released. From there:
//!
//! * [`Durability::On`] waits until an fsync has covered it. One thread syncs; whoever commits while
//!   an fsync runs is answered by the next one, so that any number of waiting commits costs one
//!   fsync (a test counts them). Readers and the commits of the next group do not wait for it. So
//!   that clients who commit one after another do not fall into two groups that wait for each
//!   other's fsyncs, the thread waits for as many as it has just answered, at most an eighth of
//!   what an fsync takes.
//! * [`Durability::EverySecond`] hands the log to the operating system before it is acknowledged, so
//!   that it survives the death of the process; the thread syncs once a second. The hand-over is
//!   made when the commit is waited for, by the caller, and covers everything written so far: a
//!   pipeline that starts many commits and then waits for them makes one system call. A task that
//!   waits lets the tasks that are ready to run go first, so that their commits are covered too.
//! * [`Durability::Off`] is acknowledged at once; the thread hands the log over within ten
//!   milliseconds.
//!
//! After a failed write, hand-over or fsync nothing is acknowledged any more: the pages that the
//! kernel could not write may be gone although a second fsync would succeed. The store stays
//! readable and must be opened anew.

use crate::database::Database;
use crate::stats::Counters;
use helios_types::{Error, Result, Ts};
use parking_lot::{Condvar, Mutex};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// When a commit is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// After an fsync.
    #[default]
    On,
    /// After the log was handed to the operating system; synced every second.
    EverySecond,
    /// At once; handed over within ten milliseconds, synced every second.
    Off,
}

/// What the thread wakes up for by itself. A commit that needs more wakes it.
const QUIET: u8 = 0;
const NEXT_SYNC: u8 = 1;
const NEXT_FLUSH: u8 = 2;

const FLUSH_INTERVAL: Duration = Duration::from_millis(10);
const PATIENCE_MAX: Duration = Duration::from_millis(1);
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// What the thread does besides, about once a second while there are commits.
pub(crate) type IdleWork = Arc<dyn Fn(&Wal) + Send + Sync>;

pub(crate) struct Wal {
    db: Arc<Database>,
    counters: Arc<Counters>,
    /// Number of the last batch written; batches are counted from one.
    written: AtomicU64,
    /// The last batch known to be handed to the operating system.
    flushed: AtomicU64,
    flushing: Mutex<()>,
    alarm: AtomicU8,
    failed: AtomicBool,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    synced: u64,
    waiters: Vec<(u64, Waker)>,
    /// How many waiters the thread sleeps for.
    wanted: usize,
    failure: Option<Error>,
    stop: bool,
    idle_work: Option<IdleWork>,
}

impl Wal {
    pub(crate) fn new(db: Arc<Database>, counters: Arc<Counters>) -> Arc<Wal> {
        Arc::new(Wal {
            db,
            counters,
            written: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
            flushing: Mutex::new(()),
            alarm: AtomicU8::new(QUIET),
            failed: AtomicBool::new(false),
            state: Mutex::default(),
            wake: Condvar::new(),
        })
    }

    /// Work for the thread to do after each periodic sync.
    pub(crate) fn set_idle_work(&self, work: IdleWork) {
        self.state.lock().idle_work = Some(work);
    }

    /// An error when an earlier failure forbids writing.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.failed.load(Ordering::Acquire) {
            Err(self.failure())
        } else {
            Ok(())
        }
    }

    fn failure(&self) -> Error {
        self.state
            .lock()
            .failure
            .clone()
            .unwrap_or_else(|| Error::internal("lost log failure"))
    }

    /// Refuses everything from now on and tells all who wait.
    fn fail(&self, cause: &Error) -> Error {
        let mut state = self.state.lock();
        let error = state.failure.get_or_insert_with(|| {
            tracing::error!(error = %cause, "writing the log failed; no further commit is accepted");
            let message = format!("the store accepts no further writes: {cause}");
            Error::new(cause.kind(), message)
                .with_hint("Restart the server after the cause has been removed.")
        });
        let error = error.clone();
        self.failed.store(true, Ordering::Release);
        for (_, waker) in state.waiters.drain(..) {
            waker.wake();
        }
        error
    }

    /// Writes a batch and returns its number. The caller holds the commit lock.
    pub(crate) fn write(&self, batch: &[u8]) -> Result<u64> {
        self.check()?;
        self.db.write(batch).map_err(|e| self.fail(&e))?;
        Ok(self.written.fetch_add(1, Ordering::SeqCst) + 1)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    /// Makes sure that the thread looks at what was just written in time.
    pub(crate) fn arm(&self, durability: Durability) {
        let needed = match durability {
            // Whoever waits for the answer wakes the thread.
            Durability::On => return,
            Durability::EverySecond => NEXT_SYNC,
            Durability::Off => NEXT_FLUSH,
        };
        if self.alarm.load(Ordering::SeqCst) < needed {
            let _state = self.state.lock();
            self.alarm.fetch_max(needed, Ordering::SeqCst);
            self.wake.notify_one();
        }
    }

    fn is_flushed(&self, number: u64) -> bool {
        self.flushed.load(Ordering::Acquire) >= number
    }

    /// Hands everything up to batch `number` to the operating system.
    pub(crate) fn flush(&self, number: u64) -> Result<()> {
        if self.is_flushed(number) {
            return self.check();
        }
        let _one = self.flushing.lock();
        if self.is_flushed(number) {
            return self.check();
        }
        self.check()?;
        let target = self.written();
        self.db.flush_wal(false).map_err(|e| self.fail(&e))?;
        self.flushed.fetch_max(target, Ordering::Release);
        Ok(())
    }

    /// Syncs everything written so far and tells those who wait for it.
    pub(crate) fn sync(&self) -> Result<()> {
        self.check()?;
        let target = self.written();
        self.db.flush_wal(true).map_err(|e| self.fail(&e))?;
        self.counters.fsyncs.fetch_add(1, Ordering::Relaxed);
        self.flushed.fetch_max(target, Ordering::Release);
        let mut state = self.state.lock();
        state.synced = state.synced.max(target);
        let (done, waiting) = std::mem::take(&mut state.waiters)
            .into_iter()
            .partition(|(n, _)| *n <= target);
        state.waiters = waiting;
        drop(state);
        let done: Vec<(u64, Waker)> = done;
        for (_, waker) in done {
            waker.wake();
        }
        Ok(())
    }

    fn poll_synced(&self, number: u64, context: &Context<'_>) -> Poll<Result<()>> {
        let mut state = self.state.lock();
        if state.synced >= number {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = &state.failure {
            return Poll::Ready(Err(error.clone()));
        }
        if !state
            .waiters
            .iter()
            .any(|(n, w)| *n == number && w.will_wake(context.waker()))
        {
            state.waiters.push((number, context.waker().clone()));
        }
        if state.waiters.len() >= state.wanted {
            self.wake.notify_one();
        }
        Poll::Pending
    }

    /// Starts the thread.
    pub(crate) fn start(self: &Arc<Self>) -> Result<std::thread::JoinHandle<()>> {
        let wal = self.clone();
        std::thread::Builder::new()
            .name("helios-wal".into())
            .spawn(move || wal.run())
            .map_err(|e| helios_types::error!(Io, "could not start the log thread: {e}"))
    }

    /// Refuses all writes from the start.
    pub(crate) fn forbid(&self, why: &'static str) {
        let error = Error::new(helios_types::ErrorKind::ReadOnlyTransaction, why);
        self.state.lock().failure = Some(error);
        self.failed.store(true, Ordering::Release);
    }

    /// Ends the thread; nothing can be written any more.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.stop = true;
        state.failure.get_or_insert_with(|| {
            Error::new(
                helios_types::ErrorKind::AdminShutdown,
                "the store is closed",
            )
        });
        self.failed.store(true, Ordering::Release);
        for (_, waker) in state.waiters.drain(..) {
            waker.wake();
        }
        self.wake.notify_one();
    }

    fn run(&self) {
        let mut next_sync = Instant::now() + SYNC_INTERVAL;
        // Who waits, and who was answered just now.
        let mut expected = 0;
        let mut took = Duration::ZERO;
        loop {
            let mut state = self.state.lock();
            if state.stop || state.failure.is_some() {
                return;
            }
            if state.waiters.is_empty() {
                self.sleep(&mut state, next_sync);
            }
            if !state.waiters.is_empty() && state.waiters.len() < expected {
                self.wait_for_others(&mut state, expected, took / 4);
            }
            if state.stop || state.failure.is_some() {
                return;
            }
            let waiting = state.waiters.len();
            drop(state);
            let now = Instant::now();
            let due = now >= next_sync;
            // A failure has been recorded and told; the loop ends on it.
            if waiting > 0 || due && self.is_dirty() {
                let start = Instant::now();
                let _ = self.sync();
                took = start.elapsed();
                expected = waiting + self.state.lock().waiters.len();
            } else {
                let _ = self.flush(self.written());
            }
            if due {
                let work = self.state.lock().idle_work.clone();
                if let Some(work) = work {
                    work(self);
                }
                next_sync = now + SYNC_INTERVAL;
            }
        }
    }

    fn wait_for_others(
        &self,
        state: &mut parking_lot::MutexGuard<'_, State>,
        expected: usize,
        patience: Duration,
    ) {
        let end = Instant::now() + patience.min(PATIENCE_MAX);
        state.wanted = expected;
        while state.waiters.len() < expected && !state.stop {
            if self.wake.wait_until(state, end).timed_out() {
                break;
            }
        }
        state.wanted = 0;
    }

    fn is_dirty(&self) -> bool {
        self.state.lock().synced < self.written()
    }

    /// Waits for work: forever when all is synced, otherwise until something is due.
    fn sleep(&self, state: &mut parking_lot::MutexGuard<'_, State>, next_sync: Instant) {
        let now = Instant::now();
        let unsynced = |s: &State| s.synced < self.written();
        if !unsynced(state) {
            self.alarm.store(QUIET, Ordering::SeqCst);
            // A commit between the two loads saw the alarm that was set before.
            if !unsynced(state) {
                self.wake.wait(state);
                return;
            }
        }
        if self.flushed.load(Ordering::Acquire) < self.written() {
            self.alarm.store(NEXT_FLUSH, Ordering::SeqCst);
            self.wake
                .wait_until(state, next_sync.min(now + FLUSH_INTERVAL));
        } else {
            self.alarm.store(NEXT_SYNC, Ordering::SeqCst);
            if self.flushed.load(Ordering::Acquire) >= self.written() {
                self.wake.wait_until(state, next_sync);
            }
        }
    }
}

/// What a commit returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// The commit timestamp; for a transaction that wrote nothing the newest one.
    pub ts: Ts,
}

/// Resolves when the commit has the durability that its transaction asked for.
///
/// The transaction is committed and visible already. Dropping this only forgoes the answer.
#[must_use = "a commit is durable only when it has been waited for"]
pub struct CommitWait {
    wal: Arc<Wal>,
    number: u64,
    durability: Durability,
    info: CommitInfo,
    answered: bool,
    /// The tasks that were ready when this was first asked for have run.
    let_others_go: bool,
}

impl Drop for CommitWait {
    fn drop(&mut self) {
        if self.number > 0 && !self.answered {
            self.wal.arm(Durability::EverySecond);
        }
    }
}

impl CommitWait {
    pub(crate) fn new(wal: Arc<Wal>, number: u64, durability: Durability, ts: Ts) -> Self {
        CommitWait {
            wal,
            number,
            durability,
            info: CommitInfo { ts },
            answered: false,
            let_others_go: false,
        }
    }

    pub fn info(&self) -> CommitInfo {
        self.info
    }

    /// Sees that the commit survives the death of the process, for one of several who wait for it
    /// and want that. Not for [`Durability::On`].
    pub fn hand_over(&self) -> Result<()> {
        match self.number {
            0 => Ok(()),
            number => self.wal.flush(number),
        }
    }

    /// Whether waiting needs an fsync; false means that [`CommitWait::finish`] does not block on
    /// the device.
    pub fn needs_sync(&self) -> bool {
        self.number > 0 && self.durability == Durability::On
    }

    /// The answer without a future, for callers outside a task. Blocks for an fsync with
    /// [`Durability::On`].
    pub fn finish(mut self) -> Result<CommitInfo> {
        if self.needs_sync() {
            return futures::executor::block_on(self);
        }
        self.answered = true;
        if self.number > 0 && self.durability == Durability::EverySecond {
            self.wal.flush(self.number)?;
        }
        Ok(self.info)
    }
}

impl Future for CommitWait {
    type Output = Result<CommitInfo>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let info = self.info;
        let answer = match self.durability {
            _ if self.number == 0 => Poll::Ready(Ok(())),
            Durability::On => self.wal.poll_synced(self.number, context),
            Durability::EverySecond if self.let_others_go || self.wal.is_flushed(self.number) => {
                Poll::Ready(self.wal.flush(self.number))
            }
            Durability::EverySecond => {
                self.let_others_go = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Durability::Off => Poll::Ready(Ok(())),
        };
        self.answered = answer.is_ready();
        answer.map_ok(|()| info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RowHeader, Space, Store, StoreOptions, Txn, TxnOptions};
    use helios_types::ErrorKind;

    fn write(store: &Arc<Store>, durability: Durability) -> Txn {
        let mut txn = store.begin(TxnOptions {
            durability,
            ..TxnOptions::default()
        });
        txn.put(Space::Meta, b"key", RowHeader::default(), b"value");
        txn
    }

    #[test]
    fn after_a_failed_hand_over_nothing_is_acknowledged_any_more() {
        for durability in [Durability::On, Durability::EverySecond] {
            let directory = tempfile::tempdir().unwrap();
            let options = || StoreOptions {
                path: directory.path().to_path_buf(),
                block_cache_bytes: 1 << 20,
                ..StoreOptions::default()
            };
            let store = Store::open(options()).unwrap();
            write(&store, durability)
                .commit_start()
                .unwrap()
                .finish()
                .unwrap();
            store.database().failing.store(true, Ordering::Relaxed);
            let error = write(&store, durability)
                .commit_start()
                .unwrap()
                .finish()
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io);
            assert!(
                error
                    .message()
                    .starts_with("the store accepts no further writes"),
                "{error}"
            );
            // That the device works again does not help: what it lost is unknown.
            store.database().failing.store(false, Ordering::Relaxed);
            for durability in [Durability::On, Durability::EverySecond, Durability::Off] {
                let error = write(&store, durability).commit_start().err().unwrap();
                assert_eq!(error.kind(), ErrorKind::Io);
            }
            assert_eq!(
                store.meta_put(b"k", b"v", true).unwrap_err().kind(),
                ErrorKind::Io
            );
            assert!(
                store.get(Space::Meta, b"key").unwrap().is_some(),
                "it can still be read"
            );
            drop(store);
            let store = Store::open(options()).unwrap();
            write(&store, durability)
                .commit_start()
                .unwrap()
                .finish()
                .unwrap();
        }
    }
}
