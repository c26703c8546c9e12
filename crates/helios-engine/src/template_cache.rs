//! Templates that all sessions share, found by statement text.
//!
//! The key is everything that binding depended on: the text (literals already replaced by
//! parameters for the simple protocol), the declared parameter types, the database, the search
//! path, the role and the catalog version. Eviction is by generation: when a shard is full, what
//! was not used since the last sweep goes.

use crate::prepared::Prepared;
use foldhash::fast::FixedState;
use helios_types::{DatabaseId, ObjectId, Type};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

const SHARDS: usize = 16;
/// Templates kept, over all shards.
const CAPACITY: usize = 8192;

/// What a template is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key<'a> {
    pub(crate) text: &'a str,
    pub(crate) params: &'a [Option<Type>],
    pub(crate) database: DatabaseId,
    pub(crate) role: ObjectId,
    /// The search path setting's text.
    pub(crate) search_path: &'a str,
    /// `helios.executor`
    pub(crate) executor: &'a str,
    pub(crate) catalog_version: u64,
}

/// The same, as it is kept.
#[derive(Debug)]
struct Kept {
    text: Arc<str>,
    params: Box<[Option<Type>]>,
    database: DatabaseId,
    role: ObjectId,
    search_path: Box<str>,
    executor: Box<str>,
    catalog_version: u64,
}

impl Kept {
    fn key(&self) -> Key<'_> {
        Key {
            text: &self.text,
            params: &self.params,
            database: self.database,
            role: self.role,
            search_path: &self.search_path,
            executor: &self.executor,
            catalog_version: self.catalog_version,
        }
    }
}

impl From<Key<'_>> for Kept {
    fn from(key: Key<'_>) -> Self {
        Kept {
            text: key.text.into(),
            params: key.params.into(),
            database: key.database,
            role: key.role,
            search_path: key.search_path.into(),
            executor: key.executor.into(),
            catalog_version: key.catalog_version,
        }
    }
}

#[derive(Debug)]
struct Entry {
    key: Kept,
    prepared: Arc<Prepared>,
    used: bool,
}

/// By hash of the key. Of two keys with the same hash the later one is kept.
type Shard = Mutex<HashMap<u64, Entry, FixedState>>;

#[derive(Debug)]
pub(crate) struct TemplateCache {
    shards: [Shard; SHARDS],
    hasher: FixedState,
}

impl TemplateCache {
    pub(crate) fn new() -> Self {
        TemplateCache {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: FixedState::default(),
        }
    }

    fn shard(&self, hash: u64) -> &Shard {
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    pub(crate) fn get(&self, key: &Key<'_>) -> Option<Arc<Prepared>> {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shard(hash).lock();
        let entry = shard.get_mut(&hash)?;
        if entry.key.key() != *key {
            return None;
        }
        entry.used = true;
        Some(entry.prepared.clone())
    }

    pub(crate) fn put(&self, key: Key<'_>, prepared: Arc<Prepared>) {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shard(hash).lock();
        if shard.len() >= CAPACITY / SHARDS {
            shard.retain(|_, e| std::mem::take(&mut e.used));
            if shard.len() >= CAPACITY / SHARDS {
                shard.clear();
            }
        }
        let entry = Entry {
            key: key.into(),
            prepared,
            used: true,
        };
        shard.insert(hash, entry);
    }
}
