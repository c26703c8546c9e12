//! The change log: what each commit did, in commit order.
//!
//! ```text
//! log : commit_ts u64 | seq u32 -> op u8 | object 12 bytes | key, old, new as length u32 and bytes
//! ```
//!
//! `old` and `new` are length `u32::MAX` when there is none. What the bytes of a key or a row mean
//! is the engine's affair. The log is written in the batch of the commit that it describes, so
//! that there is no commit without its records and no record without its commit.

use crate::space::Prefix;
use helios_types::{Error, ErrorKind, Result, Ts};
use std::sync::Arc;

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ChangeOp {
    Insert = 1,
    Update = 2,
    Delete = 3,
    Truncate = 4,
    /// The object itself was created, altered or dropped.
    Schema = 5,
    /// A message without a row.
    Message = 6,
}

impl ChangeOp {
    fn from_u8(byte: u8) -> Option<ChangeOp> {
        use ChangeOp::*;
        [Insert, Update, Delete, Truncate, Schema, Message]
            .into_iter()
            .find(|op| *op as u8 == byte)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRecord {
    pub object: Prefix,
    pub op: ChangeOp,
    pub key: Arc<[u8]>,
    pub old: Option<Arc<[u8]>>,
    pub new: Option<Arc<[u8]>>,
}

/// A record as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub ts: Ts,
    /// Position within the commit, from zero.
    pub seq: u32,
    pub record: ChangeRecord,
}

/// Tells subscribers about a commit.
#[derive(Clone, Debug)]
pub struct CommitNotice {
    pub ts: Ts,
    /// Objects that were written, each once.
    pub objects: Vec<Prefix>,
    /// The records that the transaction logged, also when no change log is kept.
    pub records: Arc<[ChangeRecord]>,
}

const NONE: u32 = u32::MAX;

pub(crate) fn encode(record: &ChangeRecord, out: &mut Vec<u8>) {
    out.push(record.op as u8);
    out.extend_from_slice(&record.object.bytes());
    for part in [Some(&record.key), record.old.as_ref(), record.new.as_ref()] {
        match part {
            Some(bytes) => {
                out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
                out.extend_from_slice(bytes);
            }
            None => out.extend_from_slice(&NONE.to_be_bytes()),
        }
    }
}

pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Change> {
    try_decode(key, value).ok_or_else(|| {
        Error::new(
            ErrorKind::DataCorrupted,
            "change log record does not decode",
        )
    })
}

fn try_decode(key: &[u8], value: &[u8]) -> Option<Change> {
    let (ts, seq) = key.split_first_chunk::<8>()?;
    let (&op, rest) = value.split_first()?;
    let (object, mut rest) = rest.split_first_chunk::<{ Prefix::LEN }>()?;
    let mut part = || -> Option<Option<Arc<[u8]>>> {
        let (len, after) = rest.split_first_chunk::<4>()?;
        let len = u32::from_be_bytes(*len);
        if len == NONE {
            rest = after;
            return Some(None);
        }
        let (bytes, after) = after.split_at_checked(len as usize)?;
        rest = after;
        Some(Some(bytes.into()))
    };
    let (row_key, old, new) = (part()??, part()?, part()?);
    Some(Change {
        ts: Ts(u64::from_be_bytes(*ts)),
        seq: u32::from_be_bytes(seq.try_into().ok()?),
        record: ChangeRecord {
            object: Prefix::from_bytes(*object),
            op: ChangeOp::from_u8(op)?,
            key: row_key,
            old,
            new,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use helios_types::{BranchId, DatabaseId, ObjectId};

    #[test]
    fn a_record_comes_back_as_written_and_no_cut_of_it_is_accepted() {
        let record = ChangeRecord {
            object: Prefix::new(DatabaseId(1), BranchId(2), ObjectId(3)),
            op: ChangeOp::Update,
            key: Arc::from(b"k".as_slice()),
            old: None,
            new: Some(Arc::from(b"new".as_slice())),
        };
        let mut value = Vec::new();
        encode(&record, &mut value);
        let key = [&7u64.to_be_bytes()[..], &2u32.to_be_bytes()[..]].concat();
        let change = decode(&key, &value).unwrap();
        assert_eq!((change.ts, change.seq, change.record), (Ts(7), 2, record));
        for cut in 0..value.len() {
            assert!(decode(&key, &value[..cut]).is_err());
        }
    }
}
