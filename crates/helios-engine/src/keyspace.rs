//! The keyspace shape: the values of Redis over the transactional store.
//!
//! A logical Redis database is one object of the catalog. Each of its keys has one entry; small
//! collections live inside it, large ones in sub-keys ([`entry`] has the layout). Commands are
//! methods of [`Access`], one file a family: they take typed arguments, give typed answers and know
//! nothing of the wire. What they change goes through [`Access::put`] and [`Access::remove`].
//!
//! * [`access`]: reading and writing one logical database; [`batch`]: the transaction; [`round`]: the
//!   transaction that commands of many connections share.
//! * [`strings`], [`bits`], [`hashes`], [`lists`], [`sets`], [`zsets`], [`keys`], [`scan`],
//!   [`sort`]: the commands.
//! * [`waiters`]: clients that wait for a key. [`expirer`]: removes what has expired.
//! * [`tables`]: the rows of the `redis.*` tables in SQL; [`row`], [`sql_write`]: their changes.
//! * [`prefixes`]: the keys that belong to tables.
//! * [`number`], [`glob`], [`packed`]: the forms of numbers, patterns and packed items.

pub mod access;
pub mod batch;
pub mod bits;
pub mod entry;
pub mod expirer;
pub mod glob;
pub mod hashes;
mod integrity;
pub mod keys;
pub mod lists;
pub mod number;
pub mod packed;
pub mod prefixes;
mod random;
pub mod round;
pub(crate) mod row;
pub mod scan;
mod session;
pub mod sets;
pub mod sort;
pub(crate) mod sql_tables;
pub(crate) mod sql_write;
pub mod strings;
pub mod tables;
pub mod waiters;
pub mod zsets;

pub use access::{Access, Slot};
pub use batch::{Batch, Use};
pub use entry::Kind;
pub(crate) use integrity::Remains;
pub use round::Membership;
pub(crate) use session::{databases_of, holds};
pub(crate) use tables::Table;

use access::StoredKey;
use entry::{ENTRY, GARBAGE, SUBKEY, Version};
use helios_storage::{Prefix, Store};
use helios_types::ObjectId;
use parking_lot::Mutex;
use prefixes::Prefixes;
use round::Rounds;
use scan::Cursors;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use waiters::Waiters;

/// How many logical databases SELECT knows; the one behind them shows the tables of SQL.
pub const DATABASES: u32 = 16;

/// A collection whose items take more bytes than this is kept in sub-keys.
pub const SMALL_BYTES_MAX: usize = 1024;

const PREFIX_BYTES: usize = 12;

/// One logical Redis database: its number and where it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    number: u32,
    object: Prefix,
    prefix: [u8; PREFIX_BYTES],
}

impl Database {
    pub fn new(number: u32, object: Prefix) -> Self {
        Database {
            number,
            object,
            prefix: object.bytes(),
        }
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    pub fn object(&self) -> Prefix {
        self.object
    }

    /// The counter of keys that have an expiry. It stands under the number of the object with the
    /// highest bit set, which no object of the catalog has.
    fn expiring(&self) -> Prefix {
        let object = ObjectId(self.object.object.0 | 1 << 31);
        Prefix {
            object,
            ..self.object
        }
    }

    fn join(&self, kind: u8, parts: [&[u8]; 2]) -> StoredKey {
        let mut key = StoredKey::new();
        key.extend_from_slice(&self.prefix);
        key.push(kind);
        for part in parts {
            key.extend_from_slice(part);
        }
        key
    }

    /// The stored key of an entry; also the name under which the key is locked and waited for.
    pub fn entry_key(&self, key: &[u8]) -> StoredKey {
        self.join(ENTRY, [key, &[]])
    }

    /// Behind the last possible entry.
    fn entries_end(&self) -> StoredKey {
        self.join(ENTRY + 1, [&[], &[]])
    }

    fn key_of_entry<'k>(&self, stored: &'k [u8]) -> &'k [u8] {
        stored.get(PREFIX_BYTES + 1..).unwrap_or_default()
    }

    fn sub_key(&self, version: &Version, sub: &[u8]) -> StoredKey {
        self.join(SUBKEY, [version, sub])
    }

    fn garbage_key(&self, version: &Version) -> StoredKey {
        self.join(GARBAGE, [version, &[]])
    }
}

/// When the encodings that OBJECT ENCODING shows change; the names are those of CONFIG.
#[derive(Debug)]
pub struct Thresholds {
    pub hash_max_listpack_entries: AtomicU64,
    pub hash_max_listpack_value: AtomicU64,
    pub set_max_intset_entries: AtomicU64,
    pub set_max_listpack_entries: AtomicU64,
    pub set_max_listpack_value: AtomicU64,
    pub zset_max_listpack_entries: AtomicU64,
    pub zset_max_listpack_value: AtomicU64,
    /// As in Redis: a positive number of items, or -1 to -5 for 4 to 64 KiB, as a two's complement.
    pub list_max_listpack_size: AtomicU64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds {
            hash_max_listpack_entries: 512.into(),
            hash_max_listpack_value: 64.into(),
            set_max_intset_entries: 512.into(),
            set_max_listpack_entries: 128.into(),
            set_max_listpack_value: 64.into(),
            zset_max_listpack_entries: 128.into(),
            zset_max_listpack_value: 64.into(),
            list_max_listpack_size: (-2i64 as u64).into(),
        }
    }
}

/// What all sessions share.
pub struct Keyspace {
    store: Arc<Store>,
    thresholds: Thresholds,
    waiters: Waiters,
    prefixes: Prefixes,
    cursors: Cursors,
    versions: AtomicU32,
    /// Databases in which sub-keys wait to be removed.
    garbage: Mutex<BTreeSet<Prefix>>,
    expired: AtomicU64,
    active_expiry: AtomicBool,
    rounds: Rounds,
}

impl Keyspace {
    pub fn new(store: Arc<Store>) -> Self {
        Keyspace {
            store,
            thresholds: Thresholds::default(),
            waiters: Waiters::default(),
            prefixes: Prefixes::default(),
            cursors: Cursors::default(),
            versions: AtomicU32::new(0),
            garbage: Mutex::default(),
            expired: AtomicU64::new(0),
            active_expiry: AtomicBool::new(true),
            rounds: Rounds::default(),
        }
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// The keys that belong to tables.
    #[inline]
    pub fn prefixes(&self) -> &Prefixes {
        &self.prefixes
    }

    pub fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// Keys that the expirer has removed since the start.
    pub fn expired_keys(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    /// The last commit's timestamp and a counter of this process. A version that was stored came
    /// with a commit, so after a restart the timestamp is a later one and no version comes twice.
    fn new_version(&self) -> Version {
        let mut version = [0; 12];
        version[..8].copy_from_slice(&self.store.last_ts().0.to_be_bytes());
        let counter = self.versions.fetch_add(1, Ordering::Relaxed);
        version[8..].copy_from_slice(&counter.to_be_bytes());
        version
    }
}
