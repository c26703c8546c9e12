//! Commands of many connections in one transaction.
//!
//! Clients of Redis meet at the same keys: one list is a queue, one hash holds all counters. If each
//! command were a transaction of its own, every one of them would wait for the commit of the one
//! before. So a command that is quickly done takes part in the open *round*: a transaction that is
//! everybody's. Commands run in it one after the other under one mutex, each sees what those before
//! it have done, and each is undone alone when it fails. What the round has written is committed
//! once, by whoever of its members asks first, which a connection does after the tasks that were
//! ready have run; a reply leaves only when the round of its command is committed. A hot key is then locked once a round,
//! and its entry is written once, however many commands have changed it.
//!
//! A round locks the keys of its commands like any transaction and never waits for one: a command
//! whose key somebody else holds is left to a transaction of its own ([`super::batch`]). Who finds a
//! key locked by a round commits the round ([`Store::on_contention`](helios_storage::Store)).
//!
//! Two mutexes, always taken in this order: `open` covers the round that commands take part in;
//! `committing` is held from before a round is taken out of `open` until it is committed, so that
//! who takes it afterwards finds the outcome.

use super::batch::{Batch, Use};
use super::{Database, Keyspace};
use helios_storage::{CommitWait, Durability};
use helios_types::{Error, Result};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock};

/// A round that has written more is committed at once.
const ROUND_BYTES_MAX: usize = 128 << 10;

/// `None` when there was nothing to commit.
type Outcome = OnceLock<Result<Option<CommitWait>>>;

#[derive(Default)]
pub(super) struct Rounds {
    open: Mutex<Option<Box<OpenRound>>>,
    committing: Mutex<()>,
    hooked: OnceLock<()>,
}

struct OpenRound {
    batch: Batch,
    outcome: Arc<Outcome>,
}

/// The round as a command uses it.
pub struct Round<'r> {
    pub batch: &'r mut Batch,
    committing: &'r Mutex<()>,
}

impl Round<'_> {
    /// Locks a key; false when it is not to be had without waiting.
    pub fn lock(&mut self, database: &Database, key: &[u8], how: Use) -> Result<bool> {
        if self.batch.try_lock(database, key, how)? {
            return Ok(true);
        }
        // The round before this one has its locks until it is committed, which may be just now.
        drop(self.committing.lock());
        self.batch.try_lock(database, key, how)
    }
}

/// What a connection has taken part in and was not told the outcome of.
///
/// Dropping it forgoes the answer, not the commit.
#[derive(Default)]
pub struct Membership {
    keyspace: Option<Arc<Keyspace>>,
    /// In the order of their commits.
    outcomes: SmallVec<[Arc<Outcome>; 2]>,
}

impl Keyspace {
    /// Runs a command in the open round. It says whether it has done its work; if not, or with an
    /// error, it leaves nothing in the round.
    pub fn in_round<T>(
        self: &Arc<Self>,
        durability: Durability,
        membership: &mut Membership,
        command: impl FnOnce(&mut Round<'_>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut open = self.rounds.open.lock();
        // Out of its place, so that a command that panics takes its half-done work with it.
        let mut round = open.take().unwrap_or_else(|| self.begin_round(durability));
        round.batch.checkpoint();
        let done = command(&mut Round {
            batch: &mut round.batch,
            committing: &self.rounds.committing,
        });
        let done = done.and_then(|done| round.batch.check_writes().map(|()| done));
        if !matches!(done, Ok(Some(_))) {
            round.batch.rollback_to_checkpoint();
        }
        // What an error says may be about what the round has written.
        if !matches!(done, Ok(None)) {
            membership.join(self, &round.outcome);
        }
        if round.batch.bytes() > ROUND_BYTES_MAX {
            let _committing = self.rounds.committing.lock();
            drop(open);
            round.commit(self);
        } else {
            *open = Some(round);
        }
        done
    }

    fn begin_round(self: &Arc<Self>, durability: Durability) -> Box<OpenRound> {
        self.rounds.hooked.get_or_init(|| {
            let keyspace = Arc::downgrade(self);
            let commit = move || keyspace.upgrade().is_some_and(|own| own.commit_round());
            self.store.on_contention(commit);
        });
        let mut batch = Batch::begin(self, durability);
        batch.lend();
        Box::new(OpenRound {
            batch,
            outcome: Arc::default(),
        })
    }

    /// Commits the open round, or waits for one that is being committed: whether there was any.
    pub fn commit_round(&self) -> bool {
        let mut open = self.rounds.open.lock();
        match open.take() {
            Some(round) => {
                let _committing = self.rounds.committing.lock();
                drop(open);
                round.commit(self);
                true
            }
            None => {
                drop(open);
                let idle = self.rounds.committing.try_lock().is_some();
                if !idle {
                    drop(self.rounds.committing.lock());
                }
                !idle
            }
        }
    }
}

impl OpenRound {
    /// The caller holds `committing`.
    fn commit(self, keyspace: &Keyspace) {
        let result = match self.batch.is_empty() {
            true => Ok(None),
            false => self.batch.commit(keyspace).map(Some),
        };
        // Nobody else sets it.
        let _ = self.outcome.set(result);
    }
}

impl Membership {
    fn join(&mut self, keyspace: &Arc<Keyspace>, outcome: &Arc<Outcome>) {
        if self.keyspace.is_none() {
            self.keyspace = Some(keyspace.clone());
        }
        let known = |last: &Arc<Outcome>| Arc::ptr_eq(last, outcome);
        if !self.outcomes.last().is_some_and(known) {
            self.outcomes.push(outcome.clone());
        }
    }

    /// Whether there is any outcome to wait for.
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// Whether a round that the connection has taken part in may not be committed yet.
    pub fn is_open(&self) -> bool {
        self.outcomes
            .last()
            .is_some_and(|last| last.get().is_none())
    }

    /// Sees that all rounds are committed.
    fn settle(&self) {
        let (Some(keyspace), Some(last)) = (&self.keyspace, self.outcomes.last()) else {
            return;
        };
        if last.get().is_some() {
            return;
        }
        let mut open = keyspace.rounds.open.lock();
        let own = open.take_if(|round| Arc::ptr_eq(&round.outcome, last));
        if let Some(round) = own {
            let _committing = keyspace.rounds.committing.lock();
            drop(open);
            round.commit(keyspace);
        } else {
            drop(open);
            drop(keyspace.rounds.committing.lock());
        }
    }

    /// Commits what is still open; after it everything the connection has done in rounds is visible
    /// and as durable as `durability` says. Who has time gives the tasks that are ready a turn
    /// before, so that their commands are in the round too.
    pub fn committed(mut self, durability: Durability) -> Result<()> {
        self.settle();
        for outcome in std::mem::take(&mut self.outcomes) {
            match outcome.get() {
                Some(Ok(Some(commit))) if durability != Durability::Off => commit.hand_over()?,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.clone()),
                None => return Err(Error::internal("a round without an outcome")),
            }
        }
        Ok(())
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::super::lists::End;
    use super::super::{Access, Kind};
    use super::*;
    use helios_storage::{Prefix, Store, StoreOptions};
    use helios_types::{BranchId, DatabaseId, ErrorKind, ObjectId, bail};
    use std::path::Path;

    fn open(folder: &Path) -> (Arc<Keyspace>, Database) {
        let store = Store::open(StoreOptions {
            path: folder.join("data"),
            ..StoreOptions::default()
        })
        .unwrap();
        let object = Prefix::new(DatabaseId(1), BranchId::MAIN, ObjectId(15_000));
        (Arc::new(Keyspace::new(store)), Database::new(0, object))
    }

    /// RPUSH in the open round: the new length.
    fn push(
        (keyspace, database): &(Arc<Keyspace>, Database),
        membership: &mut Membership,
        item: &str,
    ) -> Result<Option<u64>> {
        keyspace.in_round(Durability::EverySecond, membership, |round| {
            if !round.lock(database, b"list", Use::Write)? {
                return Ok(None);
            }
            let mut access = Access::writing(keyspace, database, 1, round.batch);
            let items = std::iter::once(item.as_bytes());
            access
                .list_push(b"list", End::Right, items, false)
                .map(Some)
        })
    }

    fn items((keyspace, database): &(Arc<Keyspace>, Database)) -> Vec<String> {
        let mut access = Access::newest(keyspace, database, 1);
        let slot = access.list(b"list").unwrap();
        let items = access.list_items(&slot).unwrap();
        items
            .into_iter()
            .map(|item| String::from_utf8(item).unwrap())
            .collect()
    }

    #[test]
    fn commands_of_a_round_see_each_other_and_are_committed_with_one_write() {
        let folder = tempfile::tempdir().unwrap();
        let own = open(folder.path());
        let before = own.0.store().last_ts();
        let mut members: Vec<Membership> = (0..3).map(|_| Membership::default()).collect();
        for n in 0..300 {
            let length = push(&own, &mut members[n % 3], &n.to_string()).unwrap();
            assert_eq!(length, Some(n as u64 + 1));
        }
        assert!(items(&own).is_empty(), "nobody has committed yet");
        assert_eq!(own.0.store().last_ts(), before);
        for member in members {
            assert!(member.is_open() || !items(&own).is_empty());
            member.committed(Durability::EverySecond).unwrap();
        }
        let expected: Vec<String> = (0..300).map(|n| n.to_string()).collect();
        assert_eq!(items(&own), expected);
        assert_eq!(own.0.store().stats().locks_held, 0);
    }

    #[test]
    fn a_command_that_fails_leaves_nothing_and_the_others_alone() {
        let folder = tempfile::tempdir().unwrap();
        let own = open(folder.path());
        let mut member = Membership::default();
        push(&own, &mut member, "a").unwrap();
        let failed = own.0.in_round(
            Durability::Off,
            &mut member,
            |round| -> Result<Option<()>> {
                assert!(round.lock(&own.1, b"other", Use::Write)?);
                let mut access = Access::writing(&own.0, &own.1, 1, round.batch);
                for key in [&b"other"[..], b"list"] {
                    let kept = std::iter::once(&b"lost"[..]);
                    access.list_push(key, End::Left, kept, false)?;
                }
                bail!(InvalidParameterValue, "after it has written")
            },
        );
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::InvalidParameterValue);
        // A key that the store cannot hold is found only when it is written.
        let long = vec![b'k'; helios_types::limits::KEY_BYTES_MAX];
        let failed = own.0.in_round(Durability::Off, &mut member, |round| {
            let mut access = Access::writing(&own.0, &own.1, 1, round.batch);
            let item = std::iter::once(&b"lost"[..]);
            access.list_push(&long, End::Left, item, false).map(Some)
        });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::LimitExceeded);
        push(&own, &mut member, "b").unwrap();
        member.committed(Durability::EverySecond).unwrap();
        assert_eq!(items(&own), ["a", "b"]);
        let mut access = Access::newest(&own.0, &own.1, 1);
        assert_eq!(access.kind(b"other").unwrap(), None);
        assert_eq!(access.kind(b"list").unwrap(), Some(Kind::List));
        assert_eq!(access.key_count(), 1);
    }

    #[test]
    fn who_finds_a_key_locked_by_a_round_commits_it() {
        let folder = tempfile::tempdir().unwrap();
        let own = open(folder.path());
        let mut member = Membership::default();
        push(&own, &mut member, "a").unwrap();
        let mut batch = Batch::begin(&own.0, Durability::EverySecond);
        assert!(batch.try_lock(&own.1, b"list", Use::Write).unwrap());
        assert_eq!(items(&own), ["a"]);
        assert!(!member.is_open());
        // While somebody else holds the key, a round does not wait for it.
        assert_eq!(push(&own, &mut member, "b").unwrap(), None);
        drop(batch);
        assert_eq!(push(&own, &mut member, "c").unwrap(), Some(2));
        drop(member);
        assert_eq!(items(&own), ["a", "c"], "committed although nobody waits");
    }

    #[test]
    fn what_was_acknowledged_is_there_after_a_crash_and_nothing_out_of_order() {
        const THREADS: usize = 4;
        const TIMES: usize = 400;
        let folder = tempfile::tempdir().unwrap();
        let own = open(folder.path());
        let acknowledged: [std::sync::atomic::AtomicUsize; THREADS] = Default::default();
        let copies: Vec<_> = std::thread::scope(|scope| {
            for (thread, done) in acknowledged.iter().enumerate() {
                let own = &own;
                scope.spawn(move || {
                    for n in 0..TIMES {
                        let mut member = Membership::default();
                        let item = format!("{thread}:{n}");
                        assert!(push(own, &mut member, &item).unwrap().is_some());
                        member.committed(Durability::EverySecond).unwrap();
                        done.store(n + 1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
            let copy = |_| {
                let counts: Vec<usize> = acknowledged
                    .iter()
                    .map(|done| done.load(std::sync::atomic::Ordering::SeqCst))
                    .collect();
                let copy = tempfile::tempdir().unwrap();
                // What the system would still have if the process died at this moment.
                copy_folder(&folder.path().join("data"), &copy.path().join("data"));
                (counts, copy)
            };
            (0..6).map(copy).collect()
        });
        for (counts, copy) in copies {
            let found = items(&open(copy.path()));
            for (thread, count) in counts.into_iter().enumerate() {
                let own = format!("{thread}:");
                let numbers: Vec<usize> = found
                    .iter()
                    .filter_map(|item| item.strip_prefix(&own)?.parse().ok())
                    .collect();
                assert!(numbers.iter().copied().eq(0..numbers.len()), "{numbers:?}");
                assert!(numbers.len() >= count, "{} of {count}", numbers.len());
            }
        }
        assert_eq!(items(&own).len(), THREADS * TIMES);
    }

    fn copy_folder(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => copy_folder(&entry.path(), &target),
                false => drop(std::fs::copy(entry.path(), target).unwrap()),
            }
        }
    }
}
