//! Locks: modes, order, waiting, deadlocks, savepoints, advisory locks.

#[path = "support/store.rs"]
mod support;

use helios_storage::LockMode::*;
use helios_storage::*;
use helios_types::{DatabaseId, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use support::{begin, key, object, store};

const RC: Isolation = Isolation::ReadCommitted;

/// Lets every other task of a current-thread runtime run until it waits.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Starts waiting for a row lock in a task; the transaction comes back when it is granted.
fn wait_for(
    mut txn: Txn,
    name: &'static str,
    mode: LockMode,
) -> tokio::task::JoinHandle<Result<Txn, helios_types::Error>> {
    tokio::spawn(async move {
        let row = key(1, name);
        txn.lock(&LockKey::Row(Space::Row, &row), mode, Wait::Block)
            .await
            .map(|_| txn)
    })
}

fn try_row(txn: &mut Txn, name: &str, mode: LockMode) -> bool {
    txn.try_lock(&LockKey::Row(Space::Row, &key(1, name)), mode)
        .unwrap()
        == TryLock::Granted
}

#[test]
fn row_modes_conflict_as_in_postgresql() {
    // PostgreSQL's documentation, table "Conflicting Row-Level Locks".
    let modes = [KeyShare, Share, NoKeyUpdate, Update];
    let conflicts = ["...X", "..XX", ".XXX", "XXXX"];
    check_modes(&modes, &conflicts, |txn, mode| try_row(txn, "a", mode));
}

#[test]
fn object_modes_conflict_as_in_postgresql() {
    // PostgreSQL's documentation, table "Conflicting Lock Modes".
    let modes = [
        AccessShare,
        RowShare,
        RowExclusive,
        ShareUpdateExclusive,
        Share,
        ShareRowExclusive,
        Exclusive,
        AccessExclusive,
    ];
    let conflicts = [
        ".......X", "......XX", "....XXXX", "...XXXXX", "..XX.XXX", "..XXXXXX", ".XXXXXXX",
        "XXXXXXXX",
    ];
    check_modes(&modes, &conflicts, |txn, mode| {
        txn.try_lock(&LockKey::Object(object(9)), mode).unwrap() == TryLock::Granted
    });
}

fn check_modes(modes: &[LockMode], conflicts: &[&str], lock: impl Fn(&mut Txn, LockMode) -> bool) {
    let (_directory, store) = store();
    for (held, row) in modes.iter().zip(conflicts) {
        for (wanted, conflict) in modes.iter().zip(row.chars()) {
            let mut first = begin(&store, RC);
            let mut second = begin(&store, RC);
            assert!(lock(&mut first, *held));
            assert_eq!(
                lock(&mut second, *wanted),
                conflict == '.',
                "{held:?} {wanted:?}"
            );
            assert!(
                lock(&mut first, *wanted) || conflict == '.',
                "one's own lock is no obstacle"
            );
        }
    }
    assert_eq!(
        store.stats().locks_held,
        0,
        "dropped transactions hold nothing"
    );
}

#[tokio::test]
async fn nowait_and_skip_locked_answer_at_once_and_a_timeout_in_time() {
    let (_directory, store) = store();
    let mut holder = begin(&store, RC);
    assert!(try_row(&mut holder, "a", Update));
    let mut other = begin(&store, RC);
    let row = key(1, "a");
    let lock = LockKey::Row(Space::Row, &row);
    let error = other.lock(&lock, Share, Wait::NoWait).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LockNotAvailable);
    assert_eq!(
        other.lock(&lock, Share, Wait::SkipLocked).await.unwrap(),
        Locked::Skipped
    );
    let limit = Wait::Timeout(Duration::from_millis(20));
    let error = other.lock(&lock, Share, limit).await.unwrap_err();
    assert_eq!(error.message(), "canceling statement due to lock timeout");
    holder.rollback();
    assert_eq!(
        other.lock(&lock, Share, Wait::NoWait).await.unwrap(),
        Locked::Granted
    );
}

#[tokio::test]
async fn waiters_are_served_in_order_and_newcomers_do_not_overtake() {
    let (_directory, store) = store();
    let mut reader = begin(&store, RC);
    assert!(try_row(&mut reader, "a", Share));
    let writer = wait_for(begin(&store, RC), "a", Update);
    settle().await;
    // Compatible with the holder, but the writer was first.
    let late = wait_for(begin(&store, RC), "a", Share);
    settle().await;
    assert!(!late.is_finished());
    reader.rollback();
    let writer = writer.await.unwrap().unwrap();
    settle().await;
    assert!(!late.is_finished());
    writer.rollback();
    late.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_cancelled_wait_leaves_the_queue() {
    let (_directory, store) = store();
    let mut holder = begin(&store, RC);
    assert!(try_row(&mut holder, "a", Share));
    let cancelled = wait_for(begin(&store, RC), "a", Update);
    settle().await;
    let waiting = wait_for(begin(&store, RC), "a", Share);
    settle().await;
    assert!(!waiting.is_finished());
    cancelled.abort();
    assert!(cancelled.await.is_err());
    waiting.await.unwrap().unwrap();
    drop(holder);
    assert_eq!(store.stats().locks_held, 0);
}

#[tokio::test]
async fn a_holder_that_wants_more_goes_before_those_who_wait() {
    let (_directory, store) = store();
    let mut first = begin(&store, RC);
    assert!(try_row(&mut first, "a", KeyShare));
    let waiter = wait_for(begin(&store, RC), "a", Update);
    settle().await;
    assert!(try_row(&mut first, "a", NoKeyUpdate));
    assert!(!waiter.is_finished());
    first.rollback();
    waiter.await.unwrap().unwrap();
}

/// `count` transactions in a ring: each holds its own row and wants the next one's.
async fn ring(count: usize) {
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let (_directory, store) = store();
    let mut txns: Vec<Txn> = (0..count).map(|_| begin(&store, RC)).collect();
    for (txn, name) in txns.iter_mut().zip(NAMES) {
        assert!(try_row(txn, name, Update));
    }
    let mut waits = Vec::new();
    for (i, txn) in txns.into_iter().enumerate() {
        waits.push(wait_for(txn, NAMES[(i + 1) % count], Update));
        settle().await;
    }
    let mut victims = 0;
    // The last one closed the cycle and is gone; each of the others frees the one before it.
    for wait in waits.into_iter().rev() {
        match wait.await.unwrap() {
            Ok(txn) => txn.rollback(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::DeadlockDetected);
                assert_eq!(error.message(), "deadlock detected");
                let detail = error.fields().detail.clone().unwrap();
                assert_eq!(detail.lines().count(), count, "{detail}");
                victims += 1;
            }
        }
    }
    assert_eq!(victims, 1);
    assert_eq!(store.stats().deadlocks, 1);
    assert_eq!(store.stats().locks_held, 0);
}

#[tokio::test]
async fn a_deadlock_has_exactly_one_victim() {
    for count in 2..=6 {
        ring(count).await;
    }
}

#[tokio::test]
async fn two_holders_that_both_want_more_are_a_deadlock() {
    let (_directory, store) = store();
    let mut a = begin(&store, RC);
    let mut b = begin(&store, RC);
    assert!(try_row(&mut a, "a", Share) && try_row(&mut b, "a", Share));
    let a = wait_for(a, "a", Update);
    settle().await;
    let error = wait_for(b, "a", Update).await.unwrap().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::DeadlockDetected);
    a.await.unwrap().unwrap();
}

#[tokio::test]
async fn waiting_behind_somebody_who_waits_counts_in_a_deadlock() {
    let (_directory, store) = store();
    let mut reader = begin(&store, RC);
    assert!(try_row(&mut reader, "a", Share));
    let mut last = begin(&store, RC);
    assert!(try_row(&mut last, "b", Update));
    let writer = wait_for(begin(&store, RC), "a", Update);
    settle().await;
    // Behind the writer, which waits for the reader.
    let last = wait_for(last, "a", Share);
    settle().await;
    let error = wait_for(reader, "b", Update).await.unwrap().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::DeadlockDetected);
    drop(writer.await.unwrap().unwrap());
    last.await.unwrap().unwrap();
}

#[test]
fn rollback_to_a_savepoint_releases_the_locks_taken_since() {
    let (_directory, store) = store();
    let mut txn = begin(&store, RC);
    let mut other = begin(&store, RC);
    assert!(try_row(&mut txn, "a", Share));
    let savepoint = txn.savepoint();
    assert!(try_row(&mut txn, "a", Update) && try_row(&mut txn, "b", Update));
    assert!(!try_row(&mut other, "a", Share) && !try_row(&mut other, "b", Share));
    txn.rollback_to(savepoint);
    assert!(
        try_row(&mut other, "b", Update),
        "taken after the savepoint"
    );
    assert!(try_row(&mut other, "a", Share), "back to the weaker mode");
    assert!(!try_row(&mut other, "a", Update), "and that is still held");
}

#[test]
fn advisory_locks_count_and_belong_to_the_session() {
    let (_directory, store) = store();
    let database = DatabaseId(1);
    let mut session = SessionLocks::new(&store);
    let mut other = SessionLocks::new(&store);
    for _ in 0..2 {
        assert_eq!(
            session.try_lock(database, false, 7, true).unwrap(),
            TryLock::Granted
        );
    }
    assert_eq!(
        other.try_lock(database, false, 7, false).unwrap(),
        TryLock::Contended
    );
    assert_eq!(
        other.try_lock(database, true, 7, true).unwrap(),
        TryLock::Granted
    );
    // A transaction of the same session is not in its own way.
    let mut txn = begin(&store, RC);
    txn.set_lock_session(&session);
    let lock = LockKey::Advisory {
        database,
        pair: false,
        key: 7,
    };
    assert_eq!(txn.try_lock(&lock, Exclusive).unwrap(), TryLock::Granted);
    assert!(session.unlock(database, false, 7, true));
    assert!(session.unlock(database, false, 7, true));
    assert!(
        !session.unlock(database, false, 7, true),
        "unlocked as often as locked"
    );
    assert_eq!(
        other.try_lock(database, false, 7, false).unwrap(),
        TryLock::Contended
    );
    txn.rollback();
    assert_eq!(
        other.try_lock(database, false, 7, false).unwrap(),
        TryLock::Granted
    );
    drop(other);
    assert_eq!(
        session.try_lock(database, true, 7, true).unwrap(),
        TryLock::Granted
    );
}

/// Random transactions over few rows from many tasks: nobody is stuck, two writers never hold one
/// row, every deadlock has its victim.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_locking_at_random_all_end() {
    let (_directory, store) = store();
    let owners: Arc<Vec<std::sync::atomic::AtomicU64>> =
        Arc::new((0..5).map(|_| Default::default()).collect());
    let mut tasks = Vec::new();
    for seed in 0..16u64 {
        let (store, owners) = (store.clone(), owners.clone());
        tasks.push(tokio::spawn(async move {
            use rand::{Rng, SeedableRng};
            use std::sync::atomic::Ordering::SeqCst;
            let mut random = rand::rngs::StdRng::seed_from_u64(seed);
            let mut deadlocks = 0;
            for _ in 0..200 {
                let mut txn = begin(&store, RC);
                let id = txn.id().0;
                let mut mine = Vec::new();
                for _ in 0..3 {
                    let row = random.random_range(0..owners.len());
                    let bytes = key(1, &row.to_string());
                    let lock = LockKey::Row(Space::Row, &bytes);
                    match txn.lock(&lock, Update, Wait::Block).await {
                        Ok(_) if mine.contains(&row) => {}
                        Ok(_) => {
                            assert_eq!(owners[row].swap(id, SeqCst), 0, "two owners of a row");
                            mine.push(row);
                            tokio::task::yield_now().await;
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::DeadlockDetected);
                            deadlocks += 1;
                            break;
                        }
                    }
                }
                for row in mine {
                    owners[row].store(0, SeqCst);
                }
            }
            deadlocks
        }));
    }
    let mut deadlocks = 0;
    for task in tasks {
        deadlocks += task.await.unwrap();
    }
    assert_eq!(store.stats().deadlocks, deadlocks);
    assert_eq!(store.stats().locks_held, 0);
}

#[tokio::test]
async fn who_waits_for_a_lock_is_told_by_whom_it_is_held() {
    let (_directory, store) = store();
    let (first, second) = (SessionLocks::new(&store), SessionLocks::new(&store));
    let mut holder = begin(&store, RC);
    holder.set_lock_session(&first);
    assert!(try_row(&mut holder, "a", Update));
    let mut waiter = begin(&store, RC);
    waiter.set_lock_session(&second);
    assert!(store.blocking_sessions(second.group()).is_empty());
    let waiting = wait_for(waiter, "a", Update);
    settle().await;
    assert_eq!(store.blocking_sessions(second.group()), [first.group()]);
    assert!(store.blocking_sessions(first.group()).is_empty());
    holder.rollback();
    // Granted, although the waiter has not run since.
    assert!(store.blocking_sessions(second.group()).is_empty());
    drop(waiting.await.unwrap().unwrap());
}

#[tokio::test]
async fn a_wait_that_keeps_nothing_says_whether_it_waited() {
    let (_directory, store) = store();
    let row = key(1, "a");
    let lock = LockKey::Row(Space::Row, &row);
    let mut txn = begin(&store, RC);
    let free = txn.wait_unlocked(&lock, KeyShare, Wait::Block).await;
    assert_eq!(free.unwrap(), Locked::Granted);
    let mut other = begin(&store, RC);
    assert!(try_row(&mut other, "a", Update), "nothing was kept");
    let refused = txn.wait_unlocked(&lock, KeyShare, Wait::NoWait).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::LockNotAvailable);
    let ended = tokio::spawn(async move {
        settle().await;
        other.rollback();
    });
    let waited = txn.wait_unlocked(&lock, KeyShare, Wait::Block).await;
    assert_eq!(waited.unwrap(), Locked::Waited);
    ended.await.unwrap();
    assert!(try_row(&mut begin(&store, RC), "a", Update));
}
