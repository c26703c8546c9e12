//! Counters for metrics.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) fsyncs: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) deadlocks: AtomicU64,
    pub(crate) lock_waits: AtomicU64,
    pub(crate) live_snapshots: AtomicI64,
}

/// What the store has done since it was opened, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    pub commits: u64,
    pub fsyncs: u64,
    /// Transactions refused with a serialization failure.
    pub conflicts: u64,
    pub deadlocks: u64,
    pub lock_waits: u64,
    pub locks_held: u64,
    pub live_snapshots: u64,
    pub cache_hits: u64,
    pub cache_misses: u64,
    pub cache_bytes: u64,
    pub memtable_bytes: u64,
    /// Bytes of table files.
    pub disk_bytes: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
}

pub(crate) fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
