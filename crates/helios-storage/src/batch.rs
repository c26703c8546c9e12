//! Builds a write batch in RocksDB's own format.
//!
//! A commit prepares its batch before it takes the commit lock, when its timestamp is not known
//! yet. The batch remembers where the timestamp goes and patches it in under the lock, so that the
//! lock covers a few stores to memory and one call into RocksDB.
//!
//! ```text
//! sequence u64 LE (zero) | count u32 LE | records
//! record: tag | family varint | key length varint | key | [value length varint | value]
//! ```
//!
//! Tags: 5 put, 4 delete, 14 delete range (the value is the end of the range). The format is that
//! of RocksDB's log files and does not change; [`crate::database`] probes it at open.

use crate::header::Header;
use helios_types::Ts;
use smallvec::SmallVec;

const HEADER: usize = 12;
const PUT: u8 = 0x05;
const DELETE: u8 = 0x04;
const DELETE_RANGE: u8 = 0x0e;

pub(crate) struct Batch {
    bytes: Vec<u8>,
    count: u32,
    /// Where the commit timestamp goes.
    stamps: SmallVec<[u32; 4]>,
}

fn push_varint(out: &mut Vec<u8>, mut v: u32) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn push_slice(out: &mut Vec<u8>, bytes: &[u8]) {
    push_varint(out, bytes.len() as u32);
    out.extend_from_slice(bytes);
}

impl Batch {
    pub(crate) fn new() -> Batch {
        Batch::with_capacity(0)
    }

    pub(crate) fn with_capacity(records: usize) -> Batch {
        let mut bytes = Vec::with_capacity(HEADER + records);
        bytes.resize(HEADER, 0);
        Batch {
            bytes,
            count: 0,
            stamps: SmallVec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn put(&mut self, family: u32, key: &[u8], value: &[u8]) {
        self.record(PUT, family, key);
        push_slice(&mut self.bytes, value);
    }

    /// A value with a header, whose `begin_ts` is the commit's.
    pub(crate) fn put_stamped(&mut self, family: u32, key: &[u8], value: &[u8]) {
        self.put(family, key, value);
        let at = self.bytes.len() - value.len() + Header::BEGIN_TS.start;
        self.stamps.push(at as u32);
    }

    /// A key that begins with the commit timestamp.
    pub(crate) fn put_under_timestamp(&mut self, family: u32, rest: &[u8], value: &[u8]) {
        self.record_head(PUT, family);
        push_varint(&mut self.bytes, rest.len() as u32 + 8);
        self.stamps.push(self.bytes.len() as u32);
        self.bytes.extend_from_slice(&[0; 8]);
        self.bytes.extend_from_slice(rest);
        push_slice(&mut self.bytes, value);
    }

    pub(crate) fn delete(&mut self, family: u32, key: &[u8]) {
        self.record(DELETE, family, key);
    }

    pub(crate) fn delete_range(&mut self, family: u32, lo: &[u8], hi: &[u8]) {
        self.record(DELETE_RANGE, family, lo);
        push_slice(&mut self.bytes, hi);
    }

    fn record_head(&mut self, tag: u8, family: u32) {
        self.count += 1;
        // The default family has tags of its own, one less than the general ones for put and
        // delete; the general ones with number zero mean the same.
        self.bytes.push(tag);
        push_varint(&mut self.bytes, family);
    }

    fn record(&mut self, tag: u8, family: u32, key: &[u8]) {
        self.record_head(tag, family);
        push_slice(&mut self.bytes, key);
    }

    /// Puts `ts` in every place that waits for it.
    pub(crate) fn stamp(&mut self, ts: Ts) {
        let stamp = ts.0.to_be_bytes();
        for at in self.stamps.drain(..) {
            let at = at as usize;
            self.bytes[at..at + 8].copy_from_slice(&stamp);
        }
    }

    /// Adds the records of another batch, which has been stamped.
    pub(crate) fn append(&mut self, other: &Batch) {
        debug_assert!(other.stamps.is_empty());
        self.bytes.extend_from_slice(&other.bytes[HEADER..]);
        self.count += other.count;
    }

    /// The finished batch.
    pub(crate) fn finish(&mut self) -> &[u8] {
        debug_assert!(self.stamps.is_empty());
        self.bytes[8..HEADER].copy_from_slice(&self.count.to_le_bytes());
        &self.bytes
    }
}

/// The column family that the first record of a batch made by RocksDB names.
pub(crate) fn family_of_first_record(batch: &[u8]) -> Option<u32> {
    match batch.get(HEADER)? {
        // A put to the default family.
        0x01 => Some(0),
        &PUT => {
            let mut out = 0u32;
            for (i, byte) in batch.get(HEADER + 1..)?.iter().take(5).enumerate() {
                out |= u32::from(byte & 0x7f) << (7 * i);
                if byte & 0x80 == 0 {
                    return Some(out);
                }
            }
            None
        }
        _ => None,
    }
}
