//! The newest versions of rows that are read again and again, found with one hash and one short
//! lock instead of a search through RocksDB's memtables and files.
//!
//! # What it may answer
//!
//! An entry is the newest committed version of its row. It answers a read of the newest state, and
//! a read at timestamp T when its `begin_ts` is not after T: a version that is still the newest and
//! began by then is what T sees. Rows that do not exist are not remembered.
//!
//! # How it stays right
//!
//! A commit, under its lock: [`RowCache::starting`], the write into RocksDB, [`RowCache::written`]
//! for each row (which replaces, adds or removes the entry and counts the bucket's version up), and
//! only then the publication. A reader that finds nothing gets a [`Ticket`] with the bucket's version,
//! reads from RocksDB and hands the row in with the ticket. If a commit has written to the bucket
//! meanwhile, the version differs and the row is not taken. A reader at a snapshot may hand in only
//! what is the newest version, which it is when no commit after the snapshot had started before the
//! ticket was made; one that starts later changes the version.
//!
//! # Layout
//!
//! Buckets of eight rows, each with its own lock. What was not asked for since the hand last passed
//! makes place. One allocation a row: value, key, and the length of the key. The table itself is
//! allocated at the first read.

use crate::header::{Header, begin_ts};
use helios_types::Ts;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

const WAYS: usize = 8;
const BUCKETS: usize = 1 << 15;
/// Larger rows are left to RocksDB's block cache.
const ROW_BYTES_MAX: usize = 4096;
const KEY_LENGTH: usize = 4;

/// Value, key, length of the key.
type Row = Arc<[u8]>;

#[derive(Default)]
struct Bucket {
    tags: [u32; WAYS],
    rows: [Option<Row>; WAYS],
    /// Commits that wrote to keys of this bucket.
    version: u32,
    /// One bit a row: asked for since the hand passed.
    used: u8,
    hand: u8,
}

pub(crate) struct RowCache {
    buckets: OnceLock<Box<[Mutex<Bucket>]>>,
    hasher: foldhash::fast::RandomState,
    bytes: AtomicUsize,
    bytes_max: usize,
    /// The newest commit that has begun to write.
    started: AtomicU64,
}

/// A row that was found.
pub(crate) struct Found {
    row: Row,
    /// Length of the value.
    value: usize,
}

/// The right to hand in a row that was not found.
pub(crate) struct Ticket {
    hash: u64,
    version: u32,
    started: u64,
}

impl std::ops::Deref for Found {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.row[..self.value]
    }
}

impl Found {
    /// Whether a read at `ts` sees this version.
    pub(crate) fn is_visible_at(&self, ts: Ts) -> bool {
        begin_ts(self).is_ok_and(|begin| begin <= ts)
    }
}

/// The length of the value in a row with this key; `None` when it is another key's.
#[inline]
fn value_length(row: &[u8], key: &[u8]) -> Option<usize> {
    let (rest, length) = row.split_last_chunk::<KEY_LENGTH>()?;
    if u32::from_le_bytes(*length) as usize != key.len() {
        return None;
    }
    rest.strip_suffix(key).map(<[u8]>::len)
}

fn stamp(row: &mut [u8], ts: Ts) {
    if let Some(begin) = row.get_mut(Header::BEGIN_TS) {
        begin.copy_from_slice(&ts.0.to_be_bytes());
    }
}

/// A row as it is kept, with its commit's timestamp in place of the one it has.
fn join(value: &[u8], key: &[u8], ts: Option<Ts>) -> Row {
    let mut row = SmallVec::<[u8; 512]>::new();
    row.extend_from_slice(value);
    if let Some(ts) = ts {
        stamp(&mut row, ts);
    }
    row.extend_from_slice(key);
    row.extend_from_slice(&(key.len() as u32).to_le_bytes());
    Arc::from(row.as_slice())
}

impl Bucket {
    #[inline]
    fn find(&self, tag: u32, key: &[u8]) -> Option<(usize, usize)> {
        (0..WAYS).find_map(|way| {
            if self.tags[way] != tag {
                return None;
            }
            let value = value_length(self.rows[way].as_ref()?, key)?;
            Some((way, value))
        })
    }

    /// The next row that was not asked for since the hand passed.
    fn victim(&mut self) -> usize {
        loop {
            let way = usize::from(self.hand) % WAYS;
            self.hand = self.hand.wrapping_add(1);
            let bit = 1 << way;
            if self.used & bit == 0 {
                return way;
            }
            self.used &= !bit;
        }
    }
}

impl RowCache {
    pub(crate) fn new(bytes_max: usize) -> RowCache {
        RowCache {
            buckets: OnceLock::new(),
            hasher: foldhash::fast::RandomState::default(),
            bytes: AtomicUsize::new(0),
            bytes_max,
            started: AtomicU64::new(0),
        }
    }

    fn bucket(buckets: &[Mutex<Bucket>], hash: u64) -> &Mutex<Bucket> {
        &buckets[(hash >> 40) as usize % BUCKETS]
    }

    fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Result<Found, Ticket> {
        let buckets = self
            .buckets
            .get_or_init(|| (0..BUCKETS).map(|_| Mutex::default()).collect());
        let hash = self.hash(key);
        let mut bucket = Self::bucket(buckets, hash).lock();
        if let Some((way, value)) = bucket.find(hash as u32, key)
            && let Some(row) = bucket.rows[way].clone()
        {
            bucket.used |= 1 << way;
            return Ok(Found { row, value });
        }
        Err(Ticket {
            hash,
            version: bucket.version,
            started: self.started.load(Ordering::SeqCst),
        })
    }

    /// Hands in what a reader at `seen` (`None`: of the newest state) has found in RocksDB.
    pub(crate) fn fill(&self, ticket: &Ticket, seen: Option<Ts>, key: &[u8], value: &[u8]) {
        let bytes = value.len() + key.len() + KEY_LENGTH;
        if bytes > ROW_BYTES_MAX || seen.is_some_and(|ts| ticket.started > ts.0) {
            return;
        }
        let Some(buckets) = self.buckets.get() else {
            return;
        };
        let mut bucket = Self::bucket(buckets, ticket.hash).lock();
        let tag = ticket.hash as u32;
        if bucket.version != ticket.version || bucket.find(tag, key).is_some() {
            return;
        }
        self.insert(&mut bucket, tag, bytes, || join(value, key, None));
    }

    fn insert(&self, bucket: &mut Bucket, tag: u32, bytes: usize, row: impl FnOnce() -> Row) {
        let full = self.bytes.load(Ordering::Relaxed) + bytes > self.bytes_max;
        let empty = bucket.rows.iter().position(Option::is_none);
        let way = match empty.filter(|_| !full) {
            Some(way) => way,
            None => bucket.victim(),
        };
        let old = bucket.rows[way].as_ref().map_or(0, |row| row.len());
        if full && old < bytes {
            return self.remove(bucket, way);
        }
        bucket.tags[way] = tag;
        bucket.rows[way] = Some(row());
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.fetch_sub(old, Ordering::Relaxed);
    }

    fn remove(&self, bucket: &mut Bucket, way: usize) {
        if let Some(row) = bucket.rows[way].take() {
            self.bytes.fetch_sub(row.len(), Ordering::Relaxed);
        }
        bucket.tags[way] = 0;
    }

    /// A commit is going to write. The caller holds the commit lock.
    pub(crate) fn starting(&self, ts: Ts) {
        self.started.store(ts.0, Ordering::SeqCst);
    }

    /// A commit has written a row: a value whose timestamp is not stamped in yet, or a deletion.
    /// With `keep` the row is taken in when it is new, because it is likely to be asked for.
    pub(crate) fn written(&self, ts: Ts, key: &[u8], value: Option<&[u8]>, keep: bool) {
        let Some(buckets) = self.buckets.get() else {
            return;
        };
        let hash = self.hash(key);
        let mut bucket = Self::bucket(buckets, hash).lock();
        bucket.version = bucket.version.wrapping_add(1);
        let value = value.filter(|v| v.len() + key.len() + KEY_LENGTH <= ROW_BYTES_MAX);
        match (bucket.find(hash as u32, key), value) {
            (Some((way, length)), Some(value)) => {
                if length == value.len()
                    && let Some(row) = bucket.rows[way].as_mut().and_then(Arc::get_mut)
                {
                    // Nobody reads it at the moment.
                    row[..length].copy_from_slice(value);
                    return stamp(row, ts);
                }
                let row = join(value, key, Some(ts));
                let old = bucket.rows[way].as_ref().map_or(0, |row| row.len());
                self.bytes.fetch_add(row.len(), Ordering::Relaxed);
                self.bytes.fetch_sub(old, Ordering::Relaxed);
                bucket.rows[way] = Some(row);
            }
            (Some((way, _)), None) => self.remove(&mut bucket, way),
            (None, Some(value)) if keep => {
                let bytes = value.len() + key.len() + KEY_LENGTH;
                let row = || join(value, key, Some(ts));
                self.insert(&mut bucket, hash as u32, bytes, row);
            }
            (None, _) => {}
        }
    }

    /// Rows have been removed by their range. The caller holds the commit lock.
    pub(crate) fn clear(&self) {
        for bucket in self.buckets.get().into_iter().flatten() {
            let mut bucket = bucket.lock();
            bucket.version = bucket.version.wrapping_add(1);
            for way in 0..WAYS {
                self.remove(&mut bucket, way);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{RowHeader, encode_header};

    fn value(ts: u64, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_header(&mut out, RowHeader::default(), false);
        out[Header::BEGIN_TS].copy_from_slice(&ts.to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    fn ticket(cache: &RowCache, key: &[u8]) -> Ticket {
        cache.get(key).err().unwrap()
    }

    fn body(cache: &RowCache, key: &[u8]) -> Option<Vec<u8>> {
        cache.get(key).ok().map(|found| found[9..].to_vec())
    }

    #[test]
    fn a_row_is_found_again_until_it_is_deleted() {
        let cache = RowCache::new(1 << 20);
        let key = b"key";
        cache.fill(&ticket(&cache, key), None, key, &value(5, b"one"));
        assert_eq!(body(&cache, key).unwrap(), b"one");
        assert!(!cache.get(key).ok().unwrap().is_visible_at(Ts(4)));
        assert!(cache.get(key).ok().unwrap().is_visible_at(Ts(5)));
        cache.written(Ts(7), key, Some(&value(0, b"two")), false);
        let found = cache.get(key).ok().unwrap();
        assert_eq!(
            (&found[9..], found.is_visible_at(Ts(6))),
            (&b"two"[..], false)
        );
        cache.written(Ts(8), key, None, true);
        assert_eq!(body(&cache, key), None);
        assert_eq!(cache.bytes.load(Ordering::Relaxed), 0);
        cache.written(Ts(9), key, Some(&value(0, b"three")), false);
        assert_eq!(body(&cache, key), None);
        cache.written(Ts(10), key, Some(&value(0, b"four")), true);
        assert_eq!(body(&cache, key).unwrap(), b"four");
        assert!(!cache.get(key).ok().unwrap().is_visible_at(Ts(9)));
    }

    #[test]
    fn a_row_that_is_being_read_stays_as_it_is_when_it_is_written() {
        let cache = RowCache::new(1 << 20);
        let key = b"key";
        cache.fill(&ticket(&cache, key), None, key, &value(5, b"one"));
        let reader = cache.get(key).ok().unwrap();
        for (ts, new) in [(7, b"two"), (8, b"six")] {
            cache.written(Ts(ts), key, Some(&value(0, new)), false);
            let found = cache.get(key).ok().unwrap();
            assert_eq!(found[9..], new[..]);
            assert!(found.is_visible_at(Ts(ts)) && !found.is_visible_at(Ts(ts - 1)));
            assert_eq!(reader[9..], b"one"[..]);
        }
    }

    #[test]
    fn a_row_that_was_read_before_a_commit_is_not_taken_after_it() {
        let cache = RowCache::new(1 << 20);
        let old = ticket(&cache, b"key");
        cache.starting(Ts(9));
        cache.written(Ts(9), b"key", Some(&value(0, b"new")), false);
        cache.fill(&old, None, b"key", &value(5, b"old"));
        assert_eq!(body(&cache, b"key"), None);
    }

    #[test]
    fn a_snapshot_hands_in_only_what_is_the_newest() {
        let cache = RowCache::new(1 << 20);
        cache.starting(Ts(9));
        let ticket = ticket(&cache, b"key");
        cache.fill(&ticket, Some(Ts(8)), b"key", &value(5, b"old"));
        assert_eq!(body(&cache, b"key"), None);
        cache.fill(&ticket, Some(Ts(9)), b"key", &value(5, b"new"));
        assert_eq!(body(&cache, b"key").unwrap(), b"new");
        cache.clear();
        assert_eq!(body(&cache, b"key"), None);
    }

    #[test]
    fn the_bytes_are_bounded_and_what_is_asked_for_stays() {
        let cache = RowCache::new(100 * 64);
        let key = |n: u32| n.to_be_bytes();
        for n in 0..100_000 {
            cache.fill(&ticket(&cache, &key(n)), None, &key(n), &value(1, &[7; 40]));
        }
        let bytes = cache.bytes.load(Ordering::Relaxed);
        assert!(bytes > 0 && bytes <= 100 * 64, "{bytes}");
        cache.clear();
        assert_eq!(cache.bytes.load(Ordering::Relaxed), 0);

        let cache = RowCache::new(64 << 20);
        let hot = key(0);
        cache.fill(&ticket(&cache, &hot), None, &hot, &value(1, b"hot"));
        for n in 1..1_000_000 {
            assert!(cache.get(&hot).is_ok(), "{n}");
            if let Err(ticket) = cache.get(&key(n)) {
                cache.fill(&ticket, None, &key(n), &value(1, b"cold"));
            }
        }
    }
}
