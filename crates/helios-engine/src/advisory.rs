//! `pg_advisory_lock` and its family: locks on numbers that clients agree on.
//!
//! A lock of the session is held until it is unlocked as often as it was locked, or until the
//! session ends. A lock of the transaction goes with it, or with the rollback to a savepoint that
//! is older than the lock.

use crate::session::State;
use helios_storage::{SessionLocks, TryLock};
use helios_types::{DatabaseId, Error, Result, Value, bail};
use std::time::{Duration, Instant};

/// How often a wait looks whether it is over or to be broken off.
const LOOK: Duration = Duration::from_millis(5);

/// Database, whether the key is a pair, key, whether exclusive.
type Lock = (DatabaseId, bool, i64, bool);

/// The advisory locks of the current transaction, in the order in which they were taken.
pub(crate) struct TransactionLocks {
    locks: SessionLocks,
    taken: Vec<Lock>,
}

impl TransactionLocks {
    pub(crate) fn new(session: &SessionLocks) -> Self {
        TransactionLocks {
            locks: session.of_same_session(),
            taken: Vec::new(),
        }
    }

    /// For [`TransactionLocks::release_since`].
    pub(crate) fn mark(&self) -> usize {
        self.taken.len()
    }

    pub(crate) fn release_since(&mut self, mark: usize) {
        while self.taken.len() > mark {
            if let Some((database, pair, key, exclusive)) = self.taken.pop() {
                self.locks.unlock(database, pair, key, exclusive);
            }
        }
    }
}

/// One of the functions, by what its name says.
struct Call {
    of_transaction: bool,
    only_try: bool,
    exclusive: bool,
}

/// The functions that take a lock; the others are refused by their names elsewhere.
fn call_of(function: &str) -> Option<Call> {
    let (only_try, rest) = match function.strip_prefix("pg_try_advisory_") {
        Some(rest) => (true, rest),
        None => (false, function.strip_prefix("pg_advisory_")?),
    };
    let (of_transaction, rest) = match rest.strip_prefix("xact_") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let exclusive = match rest {
        "lock" => true,
        "lock_shared" => false,
        _ => return None,
    };
    Some(Call {
        of_transaction,
        only_try,
        exclusive,
    })
}

/// The key of one 64-bit number, or of two 32-bit ones.
fn key_of(args: &[Value]) -> Result<(bool, i64)> {
    match args {
        [Value::Int8(key)] => Ok((false, *key)),
        [Value::Int4(high), Value::Int4(low)] => {
            Ok((true, (i64::from(*high) << 32) | i64::from(*low as u32)))
        }
        _ => Err(Error::internal("an advisory lock without its key")),
    }
}

/// Answers the function when it is one of the family.
pub(crate) fn call(state: &mut State, function: &str, args: &[Value]) -> Option<Result<Value>> {
    match function {
        "pg_advisory_unlock_all" => {
            state.locks.unlock_all();
            Some(Ok(Value::text("")))
        }
        "pg_advisory_unlock" => Some(unlock(state, args, true)),
        "pg_advisory_unlock_shared" => Some(unlock(state, args, false)),
        _ => call_of(function).map(|call| lock(state, &call, args)),
    }
}

fn unlock(state: &mut State, args: &[Value], exclusive: bool) -> Result<Value> {
    let (pair, key) = key_of(args)?;
    let held = state.locks.unlock(state.database, pair, key, exclusive);
    if !held {
        let kind = if exclusive {
            "ExclusiveLock"
        } else {
            "ShareLock"
        };
        let message = format!("you don't own a lock of type {kind}");
        state.notice("WARNING", b"01000", message);
    }
    Ok(Value::Bool(held))
}

fn lock(state: &mut State, call: &Call, args: &[Value]) -> Result<Value> {
    let (pair, key) = key_of(args)?;
    let (database, exclusive) = (state.database, call.exclusive);
    let locks = if call.of_transaction {
        &mut state.transaction_locks.locks
    } else {
        &mut state.locks
    };
    let granted = if call.only_try {
        locks.try_lock(database, pair, key, exclusive)? == TryLock::Granted
    } else {
        if let Some(mut awaited) = locks.request(database, pair, key, exclusive)? {
            let limit = state.settings.every_statement().lock_timeout;
            let begin = Instant::now();
            while !locks.granted(&mut awaited) {
                state.cancel.check()?;
                if limit.is_some_and(|ms| begin.elapsed() >= Duration::from_millis(ms)) {
                    bail!(LockNotAvailable, "canceling statement due to lock timeout");
                }
                crate::pace::wait(LOOK);
            }
        }
        true
    };
    if granted && call.of_transaction {
        let lock = (database, pair, key, exclusive);
        state.transaction_locks.taken.push(lock);
    }
    Ok(if call.only_try {
        Value::Bool(granted)
    } else {
        Value::text("")
    })
}
