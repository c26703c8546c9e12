//! Commits that are made together, with one write into RocksDB.
//!
//! A write costs RocksDB much the same however little it carries. A commit that is acknowledged
//! without an fsync lets the tasks that are ready to run go first anyway (see [`crate::wal`]); what
//! they commit meanwhile waits beside it, and whoever comes back first commits all of it. So a
//! server with many busy connections makes one write for each round of its event loop, and an idle
//! one does not wait for anybody.
//!
//! A transaction that waits has its locks still and is seen by nobody. Members of a group never
//! write the same key, since each has its rows locked; they are committed in the order in which they
//! came, each with a timestamp of its own. Who finds a lock taken commits the group before it waits
//! itself: the holder may be a transaction that has only been put aside.

use crate::batch::Batch;
use crate::commit::WriteSet;
use crate::store::Store;
use crate::txn::Txn;
use crate::wal::{CommitWait, Durability};
use helios_types::{Error, Result};
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

/// Members of one group; more would make the commit lock's holder slow.
const MEMBERS_MAX: usize = 128;
/// A larger transaction is committed by itself.
const MEMBER_BYTES_MAX: usize = 64 << 10;

/// Transactions that wait to be committed.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<Group>);

#[derive(Default)]
struct Group {
    members: Vec<Member>,
    outcome: Arc<OnceLock<Outcome>>,
}

struct Member {
    txn: Txn,
    batch: Batch,
}

/// The number of the group's batch in the log.
type Outcome = std::result::Result<u64, Error>;

/// Resolves when the commit is visible and as durable as its transaction asked for.
///
/// Dropping this forgoes the answer, not the commit.
#[must_use = "a commit is durable only when it has been waited for"]
pub struct GroupedCommit(State);

enum State {
    /// Committed by itself.
    Alone(CommitWait),
    Waiting {
        store: Arc<Store>,
        outcome: Arc<OnceLock<Outcome>>,
        durability: Durability,
        /// The tasks that were ready when this was first asked for have run.
        let_others_go: bool,
    },
}

impl Txn {
    /// Commits together with others that commit now. For transactions that need no fsync before
    /// they are acknowledged and that have locked what they write; others are committed at once.
    pub fn commit_grouped(mut self) -> Result<GroupedCommit> {
        let durability = self.options().durability;
        if durability == Durability::On || !self.may_join() || self.write_bytes() > MEMBER_BYTES_MAX
        {
            return Ok(GroupedCommit(State::Alone(self.commit_start()?)));
        }
        if let Some(error) = self.take_misuse() {
            return Err(error);
        }
        let batch = self.store().prepare(&self.write_set())?;
        let store = self.store().clone();
        let mut group = store.waiting().0.lock();
        group.members.push(Member { txn: self, batch });
        let outcome = group.outcome.clone();
        let full = group.members.len() >= MEMBERS_MAX;
        drop(group);
        if full {
            store.commit_waiting();
        }
        Ok(GroupedCommit(State::Waiting {
            store,
            outcome,
            durability,
            let_others_go: false,
        }))
    }
}

impl Store {
    /// Commits what has been put aside for a common write; false when there was nothing.
    pub(crate) fn commit_waiting(&self) -> bool {
        if self.waiting().0.lock().members.is_empty() {
            return false;
        }
        let mut state = self.commit_state().lock();
        // Under the commit lock, so that groups are committed in the order of their members.
        let Group {
            mut members,
            outcome,
        } = std::mem::take(&mut *self.waiting().0.lock());
        if members.is_empty() {
            return false;
        }
        let mut writes: Vec<(WriteSet<'_>, &mut Batch)> = members
            .iter_mut()
            .map(|Member { txn, batch }| (txn.write_set(), batch))
            .collect();
        let result = self.write_group(&mut state, &mut writes);
        drop(writes);
        // Before the lock is free: who has had the lock after this finds the outcome.
        let _ = outcome.set(result);
        drop(state);
        for member in members {
            let durability = member.txn.options().durability;
            drop(member);
            self.wal().arm(durability);
        }
        true
    }
}

impl Future for GroupedCommit {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.0 {
            State::Alone(wait) => Pin::new(wait).poll(context).map_ok(|_| ()),
            State::Waiting {
                store,
                outcome,
                durability,
                let_others_go,
            } => {
                if outcome.get().is_none() {
                    if !*let_others_go {
                        *let_others_go = true;
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    if !store.commit_waiting() {
                        // Somebody else has taken the group: who has had the lock after him finds
                        // the outcome.
                        drop(store.commit_state().lock());
                    }
                }
                match outcome.get() {
                    Some(Ok(number)) if *durability == Durability::EverySecond => {
                        Poll::Ready(store.wal().flush(*number))
                    }
                    Some(Ok(_)) => Poll::Ready(Ok(())),
                    Some(Err(error)) => Poll::Ready(Err(error.clone())),
                    None => Poll::Ready(Err(Error::internal("a commit without an outcome"))),
                }
            }
        }
    }
}

impl Drop for GroupedCommit {
    fn drop(&mut self) {
        if let State::Waiting { store, outcome, .. } = &self.0
            && outcome.get().is_none()
        {
            store.commit_waiting();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LockKey, LockMode, Prefix, RowHeader, Space, StoreOptions, TryLock, TxnOptions};
    use helios_types::{BranchId, DatabaseId, ObjectId};
    use std::sync::atomic::Ordering;

    fn open(directory: &tempfile::TempDir) -> Arc<Store> {
        Store::open(StoreOptions {
            path: directory.path().to_path_buf(),
            block_cache_bytes: 1 << 20,
            ..StoreOptions::default()
        })
        .unwrap()
    }

    fn key(n: u32) -> Vec<u8> {
        let object = Prefix::new(DatabaseId(1), BranchId::MAIN, ObjectId(16_384));
        [&object.bytes()[..], &n.to_be_bytes()].concat()
    }

    fn write(store: &Arc<Store>, n: u32, durability: Durability) -> Txn {
        let mut txn = store.begin(TxnOptions {
            durability,
            ..TxnOptions::default()
        });
        let key = key(n);
        let lock = LockKey::Row(Space::Row, &key);
        assert_eq!(
            txn.try_lock(&lock, LockMode::Update).unwrap(),
            TryLock::Granted
        );
        txn.put(Space::Row, &key, RowHeader::default(), b"value");
        txn.count(Prefix::of_key(&key).unwrap(), 1);
        txn
    }

    fn is_there(store: &Store, n: u32) -> bool {
        store.get(Space::Row, &key(n)).unwrap().is_some()
    }

    #[tokio::test]
    async fn tasks_that_commit_at_the_same_time_share_one_write() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        let before = (store.wal().written(), store.last_ts());
        let commits: Vec<_> = (0..10)
            .map(|n| {
                let durability = [Durability::EverySecond, Durability::Off][n as usize % 2];
                tokio::spawn(write(&store, n, durability).commit_grouped().unwrap())
            })
            .collect();
        assert!(
            !is_there(&store, 0),
            "nothing is visible before it is written"
        );
        for commit in commits {
            commit.await.unwrap().unwrap();
        }
        assert!((0..10).all(|n| is_there(&store, n)));
        assert_eq!(store.wal().written(), before.0 + 1);
        assert!(store.last_ts().0 >= before.1.0 + 10);
        assert_eq!(store.row_count(Prefix::of_key(&key(0)).unwrap()), 10);
        assert_eq!(store.stats().locks_held, 0);
        drop(store);
        let store = open(&directory);
        assert!((0..10).all(|n| is_there(&store, n)));
        assert_eq!(store.row_count(Prefix::of_key(&key(0)).unwrap()), 10);
    }

    #[test]
    fn who_finds_a_lock_taken_commits_the_holder_that_was_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        let first = write(&store, 1, Durability::EverySecond)
            .commit_grouped()
            .unwrap();
        // It takes the lock of the one before it.
        let second = write(&store, 1, Durability::EverySecond)
            .commit_grouped()
            .unwrap();
        assert!(is_there(&store, 1));
        let mut third = store.begin(TxnOptions::default());
        let key = key(1);
        let lock = LockKey::Row(Space::Row, &key);
        let locked = third.lock(&lock, LockMode::Update, crate::Wait::NoWait);
        futures::executor::block_on(locked).unwrap();
        assert_eq!(store.row_count(Prefix::of_key(&key).unwrap()), 2);
        for commit in [first, second] {
            futures::executor::block_on(commit).unwrap();
        }
    }

    #[test]
    fn a_commit_that_nobody_waits_for_is_made_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        drop(
            write(&store, 1, Durability::EverySecond)
                .commit_grouped()
                .unwrap(),
        );
        assert!(is_there(&store, 1));
        assert_eq!(store.stats().locks_held, 0);
    }

    #[test]
    fn all_of_a_group_are_told_that_it_failed() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        let commits: Vec<_> = (0..3)
            .map(|n| {
                write(&store, n, Durability::EverySecond)
                    .commit_grouped()
                    .unwrap()
            })
            .collect();
        store.database().failing.store(true, Ordering::Relaxed);
        for commit in commits {
            assert!(futures::executor::block_on(commit).is_err());
        }
        let late = write(&store, 9, Durability::Off).commit_grouped().unwrap();
        assert!(futures::executor::block_on(late).is_err());
        assert!(!is_there(&store, 9));
    }
}
