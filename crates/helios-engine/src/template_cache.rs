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
use std::sync::atomic::{AtomicBool, Ordering};

const SHARDS: usize = 16;
/// Templates kept, over all shards.
const CAPACITY: usize = 8192;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) text: Arc<str>,
    pub(crate) params: Vec<Option<Type>>,
    pub(crate) database: DatabaseId,
    pub(crate) role: ObjectId,
    /// The search path setting's text.
    pub(crate) search_path: Arc<str>,
    /// `helios.executor`
    pub(crate) executor: Arc<str>,
    pub(crate) catalog_version: u64,
}

#[derive(Debug, Default)]
struct Entry {
    prepared: Option<Arc<Prepared>>,
    used: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct TemplateCache {
    shards: Vec<Mutex<HashMap<Key, Entry, FixedState>>>,
    hasher: FixedState,
}

impl TemplateCache {
    pub(crate) fn new() -> Self {
        TemplateCache {
            shards: (0..SHARDS)
                .map(|_| Mutex::new(HashMap::default()))
                .collect(),
            hasher: FixedState::default(),
        }
    }

    fn shard(&self, key: &Key) -> &Mutex<HashMap<Key, Entry, FixedState>> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Prepared>> {
        let shard = self.shard(key).lock();
        let entry = shard.get(key)?;
        entry.used.store(true, Ordering::Relaxed);
        entry.prepared.clone()
    }

    pub(crate) fn put(&self, key: Key, prepared: Arc<Prepared>) {
        let mut shard = self.shard(&key).lock();
        if shard.len() >= CAPACITY / SHARDS {
            shard.retain(|_, e| e.used.swap(false, Ordering::Relaxed));
            if shard.len() >= CAPACITY / SHARDS {
                shard.clear();
            }
        }
        shard.insert(
            key,
            Entry {
                prepared: Some(prepared),
                used: AtomicBool::new(true),
            },
        );
    }
}
