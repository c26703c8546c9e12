//! Background work of the keyspace: removes what has expired, and the sub-keys that removed
//! collections have left.
//!
//! A value that has expired is invisible at once, because every read compares its time; this task
//! gives the space back, keeps DBSIZE right and wakes who waits for the key. It runs ten times a
//! second, takes a bounded number of keys in one transaction and goes on at once while there are
//! more. A key that somebody has locked is left for the next round.

use super::access::Access;
use super::batch::{Batch, Use};
use super::entry::GARBAGE;
use super::{Database, Keyspace, PREFIX_BYTES};
use helios_storage::{Durability, KeyRange, Prefix, ScanOptions, Space};
use helios_types::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const ROUND: Duration = Duration::from_millis(100);
/// Most keys, and most sub-keys, that one transaction removes.
const STEP: usize = 512;

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

impl Keyspace {
    /// Sub-keys in a database wait to be removed. Told again at start-up for every database, because
    /// the markers are on disk.
    pub fn garbage_left(&self, object: Prefix) {
        self.garbage.lock().insert(object);
    }

    /// Whether expired keys are removed in the background; reads never see them either way.
    pub fn set_active_expiry(&self, active: bool) {
        self.active_expiry.store(active, Ordering::Relaxed);
    }

    /// Runs until `stop` says so.
    pub async fn run_background(self: Arc<Self>, stop: Arc<AtomicBool>) {
        let mut tick = tokio::time::interval(ROUND);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !stop.load(Ordering::Relaxed) {
            tick.tick().await;
            loop {
                match self.background_step() {
                    Ok(true) => tokio::task::yield_now().await,
                    Ok(false) => break,
                    Err(error) => {
                        tracing::warn!(%error, "background work of the keyspace failed");
                        break;
                    }
                }
            }
        }
    }

    /// One bounded step: whether there may be more to do.
    pub fn background_step(&self) -> Result<bool> {
        let expired = self.active_expiry.load(Ordering::Relaxed) && self.expire_step(now_ms())?;
        Ok(self.collect_step()? || expired)
    }

    /// Removes keys that are due at `now_ms`; whether a full step was taken.
    pub fn expire_step(&self, now_ms: u64) -> Result<bool> {
        let due = self.store().expired(now_ms, STEP)?;
        if due.is_empty() {
            return Ok(false);
        }
        let full = due.len() == STEP;
        let mut batch = Batch::begin(self, Durability::Off);
        let mut removed = 0;
        for (_, space, stored) in due {
            let Some((prefix, [kind, key @ ..])) = stored.split_first_chunk::<PREFIX_BYTES>()
            else {
                continue;
            };
            if space != Space::Row || *kind != super::ENTRY {
                continue;
            }
            let database = Database::new(0, Prefix::from_bytes(*prefix));
            if batch.try_lock(&database, key, Use::Write)? {
                removed += u64::from(
                    Access::writing(self, &database, now_ms, &mut batch).remove_expired(key)?,
                );
            }
        }
        // Nobody waits for this to be durable.
        drop(batch.commit(self)?);
        self.expired.fetch_add(removed, Ordering::Relaxed);
        // When all of a step are locked, the next round tries again.
        Ok(full && removed > 0)
    }

    /// Removes sub-keys of collections that are gone; whether there are more.
    fn collect_step(&self) -> Result<bool> {
        // Taken out before the markers are read: one that is written meanwhile tells of itself again.
        let Some(object) = self.garbage.lock().pop_first() else {
            return Ok(false);
        };
        let database = Database::new(0, object);
        let mut batch = Batch::begin(self, Durability::Off);
        let mut left = STEP;
        let low = database.join(GARBAGE, [&[], &[]]);
        let snapshot = self.store().snapshot();
        let mut markers =
            snapshot.scan(Space::Row, KeyRange::prefix(&low), ScanOptions::default())?;
        let mut found = false;
        while let Some((marker, _)) = markers.next()? {
            found = true;
            let Some(version) = marker.get(low.len()..).and_then(|v| v.first_chunk::<12>()) else {
                continue;
            };
            let range = KeyRange::prefix(&database.sub_key(version, &[]));
            let mut sub_keys = snapshot.scan(Space::Row, range, ScanOptions::default())?;
            while left > 0
                && let Some((sub_key, _)) = sub_keys.next()?
            {
                batch.delete(sub_key);
                left -= 1;
            }
            if left == 0 {
                break;
            }
            batch.delete(marker);
        }
        if found {
            self.garbage_left(object);
        }
        // Nobody waits for this to be durable.
        drop(batch.commit(self)?);
        Ok(found)
    }
}
