//! Values that clients hold by an opaque id across requests, until they let go or time runs out.
//!
//! REST and gRPC keep the session of an open transaction here. A value is used by one request at
//! a time, a second one waits. Expiry drops the value (a session that is dropped rolls back); a
//! request that is using it then finishes first.

use helios_types::{ErrorKind, Result, bail, error};
use rand::Rng;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// A value that is in use; `None` inside once it was finished.
pub type Lease<T> = OwnedMutexGuard<Option<T>>;

pub struct Leases<T> {
    slots: Mutex<HashMap<String, Slot<T>>>,
    max: usize,
}

struct Slot<T> {
    value: Arc<AsyncMutex<Option<T>>>,
    /// Who may use it.
    owner: String,
    expires: Instant,
}

impl<T> Leases<T> {
    /// At most `max` values at once.
    pub fn new(max: usize) -> Self {
        Self {
            slots: Mutex::default(),
            max,
        }
    }

    /// Keeps `value` for `lifetime`; returns its id, which starts with `prefix`.
    pub fn insert(
        &self,
        prefix: &str,
        owner: &str,
        value: T,
        lifetime: Duration,
    ) -> Result<String> {
        self.sweep();
        let mut slots = self.slots();
        if slots.len() >= self.max {
            return Err(error!(TooManyConnections, "too many open transactions")
                .with_detail(format!("At most {} can be open at once.", self.max)));
        }
        let id = new_id(prefix);
        let value = Arc::new(AsyncMutex::new(Some(value)));
        slots.insert(
            id.clone(),
            Slot {
                value,
                owner: owner.to_owned(),
                expires: Instant::now() + lifetime,
            },
        );
        Ok(id)
    }

    /// The value for exclusive use; waits while another request uses it.
    pub async fn get(&self, id: &str, owner: &str) -> Result<Lease<T>> {
        self.sweep();
        let value = match self.slots().get(id) {
            None => return Err(unknown(id)),
            Some(slot) if slot.owner != owner => {
                bail!(
                    InsufficientPrivilege,
                    "transaction \"{id}\" belongs to another user"
                )
            }
            Some(slot) => slot.value.clone(),
        };
        let lease = value.lock_owned().await;
        if lease.is_none() {
            Err(unknown(id))
        } else {
            Ok(lease)
        }
    }

    /// Takes the value out for its last use.
    pub async fn take(&self, id: &str, owner: &str) -> Result<T> {
        let mut lease = self.get(id, owner).await?;
        self.slots().remove(id);
        lease.take().ok_or_else(|| unknown(id))
    }

    /// Drops what has expired.
    pub fn sweep(&self) {
        let now = Instant::now();
        let mut expired = Vec::new();
        let mut slots = self.slots();
        slots.retain(|_, slot| {
            let keep = slot.expires > now;
            if !keep {
                expired.push(slot.value.clone());
            }
            keep
        });
        // Values are dropped without the lock held: rolling back takes longer than a look-up.
        drop(slots);
    }

    /// Drops everything, for shutdown.
    pub fn clear(&self) {
        let slots = std::mem::take(&mut *self.slots());
        drop(slots);
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<String, Slot<T>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(id: &str) -> helios_types::Error {
    helios_types::Error::new(
        ErrorKind::UndefinedTransaction,
        format!("transaction \"{id}\" does not exist or has expired"),
    )
}

/// `prefix` and twelve random lower-case letters and digits.
pub fn new_id(prefix: &str) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut rng = rand::rng();
    let mut id = String::with_capacity(prefix.len() + 12);
    id.push_str(prefix);
    id.extend((0..12).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])));
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_value_is_used_by_its_owner_until_it_is_taken_or_expires() {
        let leases = Leases::new(2);
        let id = leases
            .insert("txn_", "ann", 1, Duration::from_secs(60))
            .unwrap();
        assert_eq!(id.len(), 16);
        *leases.get(&id, "ann").await.unwrap() = Some(2);
        assert_eq!(
            leases.get(&id, "bob").await.unwrap_err().kind(),
            ErrorKind::InsufficientPrivilege
        );
        assert_eq!(leases.take(&id, "ann").await.unwrap(), 2);
        assert_eq!(
            leases.get(&id, "ann").await.unwrap_err().kind(),
            ErrorKind::UndefinedTransaction
        );
        let id = leases.insert("txn_", "ann", 1, Duration::ZERO).unwrap();
        assert_eq!(
            leases.get(&id, "ann").await.unwrap_err().kind(),
            ErrorKind::UndefinedTransaction
        );
    }

    #[tokio::test]
    async fn there_are_never_more_than_the_limit() {
        let leases = Leases::new(1);
        leases
            .insert("txn_", "ann", 1, Duration::from_secs(60))
            .unwrap();
        let refused = leases
            .insert("txn_", "ann", 1, Duration::from_secs(60))
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TooManyConnections);
    }
}
