//! Advisory locks: those of a session, and those of its transactions.

use super::table::{Grant, Held, Owner, Pending};
use super::{LockKey, LockMode, TryLock};
use crate::store::Store;
use helios_types::{DatabaseId, Result, bail};
use std::collections::HashMap;
use std::sync::Arc;

type Key = (DatabaseId, bool, i64, LockMode);

/// The advisory locks of one session. They are held until they are unlocked as often as they were
/// locked, or until this is dropped.
///
/// Transactions of the same session join its group with
/// [`Txn::set_lock_session`](crate::Txn::set_lock_session), so that a transaction-level lock does
/// not wait for a session-level lock of the same session.
pub struct SessionLocks {
    store: Arc<Store>,
    owner: Owner,
    held: HashMap<Key, (u64, Held)>,
}

/// A place in the queue for an advisory lock; dropping it gives the place up.
pub struct AwaitedLock {
    name: Key,
    pending: Pending,
}

impl SessionLocks {
    pub fn new(store: &Arc<Store>) -> SessionLocks {
        let id = store.next_id();
        SessionLocks {
            store: store.clone(),
            owner: Owner { id, group: id },
            held: HashMap::new(),
        }
    }

    /// Further locks of the same session, which never wait for the first ones.
    pub fn of_same_session(&self) -> SessionLocks {
        SessionLocks {
            store: self.store.clone(),
            owner: Owner {
                id: self.store.next_id(),
                group: self.owner.group,
            },
            held: HashMap::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Names the session among those who hold locks.
    pub fn group(&self) -> u64 {
        self.owner.group
    }

    fn key(database: DatabaseId, pair: bool, key: i64, exclusive: bool) -> (Key, LockMode) {
        let mode = if exclusive {
            LockMode::Exclusive
        } else {
            LockMode::Share
        };
        ((database, pair, key, mode), mode)
    }

    /// `pg_try_advisory_lock` and its shared form.
    pub fn try_lock(
        &mut self,
        database: DatabaseId,
        pair: bool,
        key: i64,
        exclusive: bool,
    ) -> Result<TryLock> {
        let (name, mode) = Self::key(database, pair, key, exclusive);
        if let Some((count, _)) = self.held.get_mut(&name) {
            *count += 1;
            return Ok(TryLock::Granted);
        }
        let lock = LockKey::Advisory {
            database,
            pair,
            key,
        };
        match self.store.locks().try_exact(&lock, self.owner, mode) {
            Grant::Now(Some(held)) => {
                self.held.insert(name, (1, held));
                Ok(TryLock::Granted)
            }
            Grant::Now(None) => bail!(Internal, "session lock held and not known"),
            Grant::Contended(_) => Ok(TryLock::Contended),
        }
    }

    /// `pg_advisory_lock` and its shared form.
    pub async fn lock(
        &mut self,
        database: DatabaseId,
        pair: bool,
        key: i64,
        exclusive: bool,
    ) -> Result<()> {
        let (name, mode) = Self::key(database, pair, key, exclusive);
        if let Some((count, _)) = self.held.get_mut(&name) {
            *count += 1;
            return Ok(());
        }
        let lock = LockKey::Advisory {
            database,
            pair,
            key,
        };
        let held = match self.store.locks().try_exact(&lock, self.owner, mode) {
            Grant::Now(Some(held)) => held,
            Grant::Now(None) => bail!(Internal, "session lock held and not known"),
            Grant::Contended(id) => {
                self.store
                    .locks()
                    .enqueue(id, self.owner, mode)?
                    .granted()
                    .await
            }
        };
        self.held.insert(name, (1, held));
        Ok(())
    }

    /// Asks for a lock without waiting for it: what to wait for, when it is not held at once.
    pub fn request(
        &mut self,
        database: DatabaseId,
        pair: bool,
        key: i64,
        exclusive: bool,
    ) -> Result<Option<AwaitedLock>> {
        if self.try_lock(database, pair, key, exclusive)? == TryLock::Granted {
            return Ok(None);
        }
        let (name, mode) = Self::key(database, pair, key, exclusive);
        let lock = LockKey::Advisory {
            database,
            pair,
            key,
        };
        let pending = match self.store.locks().try_exact(&lock, self.owner, mode) {
            Grant::Now(Some(held)) => {
                self.held.insert(name, (1, held));
                return Ok(None);
            }
            Grant::Now(None) => bail!(Internal, "session lock held and not known"),
            Grant::Contended(id) => self.store.locks().enqueue(id, self.owner, mode)?,
        };
        Ok(Some(AwaitedLock { name, pending }))
    }

    /// Whether an awaited lock is held by now.
    pub fn granted(&mut self, awaited: &mut AwaitedLock) -> bool {
        match awaited.pending.poll() {
            Some(held) => {
                self.held.insert(awaited.name, (1, held));
                true
            }
            None => false,
        }
    }

    /// Gives one lock back; false when the session does not hold it.
    pub fn unlock(&mut self, database: DatabaseId, pair: bool, key: i64, exclusive: bool) -> bool {
        let (name, _) = Self::key(database, pair, key, exclusive);
        let Some((count, _)) = self.held.get_mut(&name) else {
            return false;
        };
        *count -= 1;
        if *count == 0
            && let Some((_, held)) = self.held.remove(&name)
        {
            self.store.locks().release(self.owner, [held]);
        }
        true
    }

    pub fn unlock_all(&mut self) {
        let held: Vec<Held> = self.held.drain().map(|(_, (_, held))| held).collect();
        self.store.locks().release(self.owner, held);
    }
}

impl Drop for SessionLocks {
    fn drop(&mut self) {
        self.unlock_all();
    }
}
