//! Keys that belong to tables: `ALTER TABLE … SET (redis_prefix = 'users:')`.
//!
//! A prefix belongs to the database of its table, and there to all of its logical Redis databases:
//! under it stand the rows of the table and no keys of the keyspace. Who declares one reserves it
//! first, which keeps others from writing such keys, and then looks whether there are any. A writer
//! takes the lock of its key before it asks here, so whoever declares a prefix sees the lock, or
//! the writer sees the reservation.

use super::Keyspace;
use helios_planner::catalog::{Catalog, Relation};
use helios_types::{DatabaseId, ObjectId};
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// To whom a key belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOwner {
    /// The keyspace.
    Keyspace,
    Table(ObjectId),
    /// A transaction is about to give the prefix to a table.
    Reserved,
}

#[derive(Debug, Default)]
struct Known {
    /// The committed ones.
    declared: Vec<(DatabaseId, Box<str>, ObjectId)>,
    reserved: Vec<(u64, DatabaseId, Box<str>)>,
}

/// The prefixes of all databases.
#[derive(Debug, Default)]
pub struct Prefixes {
    any: AtomicBool,
    known: RwLock<Known>,
    next: AtomicU64,
}

impl Prefixes {
    /// Whether there is any at all.
    #[inline]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Whether a database has tables under prefixes.
    pub fn any_in(&self, database: DatabaseId) -> bool {
        let known = self.known.read();
        known.declared.iter().any(|(of, ..)| *of == database)
    }

    /// To whom a key of a database belongs.
    pub fn owner(&self, database: DatabaseId, key: &[u8]) -> KeyOwner {
        let known = self.known.read();
        let under =
            |of: DatabaseId, prefix: &str| of == database && key.starts_with(prefix.as_bytes());
        if let Some((.., table)) = known.declared.iter().find(|(of, p, _)| under(*of, p)) {
            return KeyOwner::Table(*table);
        }
        if known.reserved.iter().any(|(_, of, p)| under(*of, p)) {
            return KeyOwner::Reserved;
        }
        KeyOwner::Keyspace
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.write();
        change(&mut known);
        let any = !(known.declared.is_empty() && known.reserved.is_empty());
        self.any.store(any, Ordering::SeqCst);
    }

    /// Takes over the prefixes of a catalog that is the committed one now.
    pub(crate) fn publish(&self, catalog: &Catalog) {
        let tables = catalog.relations.values().filter_map(|relation| {
            let Relation::Table(table) = relation else {
                return None;
            };
            let prefix = table.redis_prefix.as_deref()?;
            Some((table.database, prefix.into(), table.id))
        });
        let declared: Vec<_> = tables.collect();
        if declared.is_empty() && !self.any() {
            return;
        }
        self.change(|known| known.declared = declared);
    }
}

/// A prefix that a transaction is about to declare, until it ends.
pub(crate) struct Reservation {
    keyspace: Arc<Keyspace>,
    number: u64,
}

impl Reservation {
    pub(crate) fn new(keyspace: &Arc<Keyspace>, database: DatabaseId, prefix: &str) -> Self {
        let prefixes = keyspace.prefixes();
        let number = prefixes.next.fetch_add(1, Ordering::Relaxed);
        prefixes.change(|known| known.reserved.push((number, database, prefix.into())));
        Reservation {
            keyspace: keyspace.clone(),
            number,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let number = self.number;
        self.keyspace
            .prefixes()
            .change(|known| known.reserved.retain(|(own, ..)| *own != number));
    }
}
