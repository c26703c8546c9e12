//! Values that clients hold by an opaque id across requests, until they let go or time runs out.
//!
//! REST and gRPC keep the session of an open transaction here. A value is used by one request at
//! a time, a second one waits. Each value has a timer that drops it when its time runs out (a
//! session that is dropped rolls back and frees its locks), whether or not anybody asks for it
//! again; a request that is using it then finishes first.

use helios_types::{ErrorKind, Result, bail, error};
use rand::Rng;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::task::AbortHandle;

/// A value that is in use; `None` inside once it was finished.
pub type Lease<T> = OwnedMutexGuard<Option<T>>;

type Slots<T> = Mutex<HashMap<String, Slot<T>>>;

pub struct Leases<T> {
    slots: Arc<Slots<T>>,
    max: usize,
}

struct Slot<T> {
    value: Arc<AsyncMutex<Option<T>>>,
    /// Who may use it.
    owner: String,
    expires: Instant,
    _timer: Timer,
}

/// A task that is not wanted any more when this goes.
struct Timer(AbortHandle);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T: Send + 'static> Leases<T> {
    /// At most `max` values at once.
    pub fn new(max: usize) -> Self {
        Self {
            slots: Arc::default(),
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
        let mut slots = self.slots();
        if slots.len() >= self.max {
            return Err(error!(TooManyConnections, "too many open transactions")
                .with_detail(format!("At most {} can be open at once.", self.max)));
        }
        let id = new_id(prefix);
        let slot = Slot {
            value: Arc::new(AsyncMutex::new(Some(value))),
            owner: owner.to_owned(),
            expires: Instant::now() + lifetime,
            // It finds the slot, because it waits for the lock that is held here.
            _timer: Timer(tokio::spawn(expire(&self.slots, &id, lifetime)).abort_handle()),
        };
        slots.insert(id.clone(), slot);
        Ok(id)
    }

    /// The value for exclusive use; waits while another request uses it.
    pub async fn get(&self, id: &str, owner: &str) -> Result<Lease<T>> {
        let now = Instant::now();
        let value = match self.slots().get(id).filter(|slot| slot.expires > now) {
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

    /// Drops everything, for shutdown.
    pub fn clear(&self) {
        let slots = std::mem::take(&mut *self.slots());
        drop(slots);
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<String, Slot<T>>> {
        lock(&self.slots)
    }
}

fn lock<T>(slots: &Slots<T>) -> MutexGuard<'_, HashMap<String, Slot<T>>> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Drops a value when its time is over.
fn expire<T>(
    slots: &Arc<Slots<T>>,
    id: &str,
    lifetime: Duration,
) -> impl Future<Output = ()> + use<T> {
    let (slots, id) = (Arc::downgrade(slots), id.to_owned());
    async move {
        tokio::time::sleep(lifetime).await;
        let expired = slots.upgrade().and_then(|slots| lock(&slots).remove(&id));
        // Without the lock held: rolling back takes longer than a look-up.
        drop(expired);
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
    // Twelve digits of base 36 are fewer than there are numbers of 64 bits.
    let mut number = rand::rng().random_range(0..36_u64.pow(12));
    let mut id = String::with_capacity(prefix.len() + 12);
    id.push_str(prefix);
    for _ in 0..12 {
        id.push(char::from(ALPHABET[(number % 36) as usize]));
        number /= 36;
    }
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
    async fn a_value_that_nobody_asks_for_goes_when_its_time_is_over() {
        let leases = Leases::new(1);
        let value = Arc::new(());
        let held = Arc::downgrade(&value);
        leases
            .insert("txn_", "ann", value, Duration::from_millis(1))
            .unwrap();
        let gone = async {
            while held.upgrade().is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone)
            .await
            .unwrap();
        // Its place is free again.
        leases
            .insert("txn_", "ann", Arc::new(()), Duration::from_secs(60))
            .unwrap();
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
