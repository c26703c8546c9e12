//! Locks on rows, objects and numbers chosen by clients.
//!
//! One table holds them all, in shards by the hash of the key. A key that nobody locks is not in
//! the table; an uncontended lock is one hash, one short mutex and one map entry, and never
//! awaits. A holder is known by its owner (a transaction or a session) and its group: owners of
//! one group (a session and its current transaction) never conflict, as in PostgreSQL where both
//! belong to one backend.
//!
//! Requests are granted in the order they came. A request waits when it conflicts with a holder or
//! with somebody who waits already; an owner that holds the key in another mode goes ahead of
//! those who wait, because they may be waiting for it.
//!
//! A deadlock is looked for when a wait begins, under one mutex that only waiters take: the waiter
//! whose wait closes the cycle is the victim. A cycle can only close when somebody begins to wait,
//! so no deadlock is missed and each has exactly one victim.

mod mode;
mod session;
mod table;

pub use mode::LockMode;
pub use session::{AwaitedLock, SessionLocks};
pub(crate) use table::{Grant, Held, LockTable, Owner};

use crate::space::{Prefix, Space};
use helios_types::DatabaseId;
use smallvec::SmallVec;
use std::hash::{BuildHasher, Hash, Hasher};
use std::time::Duration;

/// What can be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKey<'a> {
    /// A row or index entry that exists or may come to exist.
    Row(Space, &'a [u8]),
    /// A whole table or other object.
    Object(Prefix),
    /// A number that clients agree on. PostgreSQL's two forms (one 64-bit key, two 32-bit keys) are
    /// different spaces.
    Advisory {
        database: DatabaseId,
        pair: bool,
        key: i64,
    },
}

/// What to do when a lock is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    Block,
    /// `LockNotAvailable` at once.
    NoWait,
    /// [`Locked::Skipped`] at once.
    SkipLocked,
    /// `LockNotAvailable` after this time.
    Timeout(Duration),
}

/// How a lock request ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// It was free.
    Granted,
    /// Somebody else held it: what it protects may have changed meanwhile.
    Waited,
    /// It was not free and is not held; only with [`Wait::SkipLocked`].
    Skipped,
}

/// The answer of a request that does not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryLock {
    Granted,
    Contended,
}

/// A lock key as the table stores it, with its hash.
#[derive(Clone, Debug)]
pub(crate) struct LockId {
    hash: u64,
    bytes: SmallVec<[u8; 40]>,
}

const TAG_OBJECT: u8 = 3;
const TAG_ADVISORY: u8 = 4;

impl LockId {
    pub(crate) fn new(key: &LockKey<'_>, hasher: &impl BuildHasher) -> LockId {
        let mut bytes = SmallVec::new();
        match key {
            LockKey::Row(space, key) => {
                bytes.push(*space as u8);
                bytes.extend_from_slice(key);
            }
            LockKey::Object(prefix) => {
                bytes.push(TAG_OBJECT);
                bytes.extend_from_slice(&prefix.bytes());
            }
            LockKey::Advisory {
                database,
                pair,
                key,
            } => {
                bytes.push(TAG_ADVISORY);
                bytes.extend_from_slice(&database.0.to_be_bytes());
                bytes.push(u8::from(*pair));
                bytes.extend_from_slice(&key.to_be_bytes());
            }
        }
        let mut state = hasher.build_hasher();
        state.write(&bytes);
        LockId {
            hash: state.finish(),
            bytes,
        }
    }

    /// Whether it is the lock of a row whose stored key begins with `prefix`.
    pub(crate) fn is_row_within(&self, space: Space, prefix: &[u8]) -> bool {
        match self.bytes.split_first() {
            Some((tag, key)) => *tag == space as u8 && key.starts_with(prefix),
            None => false,
        }
    }

    /// For messages: what the lock is on.
    pub(crate) fn describe(&self) -> String {
        let number = |at: usize| {
            let bytes = self.bytes.get(at..).and_then(|b| b.first_chunk::<4>());
            bytes.map_or(0, |b| u32::from_be_bytes(*b))
        };
        match self.bytes.first() {
            Some(&TAG_OBJECT) => format!("relation {} of database {}", number(9), number(1)),
            Some(&TAG_ADVISORY) => {
                let key = self.bytes.get(6..).and_then(|b| b.first_chunk::<8>());
                format!(
                    "advisory lock {}",
                    key.map_or(0, |b| i64::from_be_bytes(*b))
                )
            }
            Some(2) => "a catalog record".to_owned(),
            _ => format!("a row of relation {} of database {}", number(9), number(1)),
        }
    }
}

impl PartialEq for LockId {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.bytes == other.bytes
    }
}

impl Eq for LockId {}

impl Hash for LockId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}
