//! The stored form of a key: one entry a key, and sub-keys for collections that have grown large.
//!
//! ```text
//! prefix | 00 | key                     -> tag | string bytes
//!                                       -> tag | count:u16 | packed items         small collection
//!                                       -> tag | version:12 | count:u64 | first:u64 | last:u64
//!                                            [| edges]                              large collection
//! prefix | 01 | version:12 | sub-key    -> one field, member, score or list chunk
//! prefix | 02 | version:12              -> {}   sub-keys that wait to be removed
//! ```
//!
//! `prefix` is the storage prefix of the logical Redis database. The tag holds the kind (bits 0-3),
//! the level of the encoding that OBJECT ENCODING shows (bits 4-5; it only ever rises, as in
//! Redis) and whether the collection is large (bit 7). Expiry stands in the storage header of the
//! entry alone: when the entry is gone, so are its sub-keys, whatever is still stored.
//!
//! A version is never used twice, so RENAME moves a large collection by moving its entry, and DEL
//! leaves a marker and is done; [`super::expirer`] removes the sub-keys in the background.
//!
//! Every change of a large collection rewrites its entry too, so that the entry's commit timestamp
//! is the version of the whole value: WATCH compares it.

use super::packed::Packed;
use super::zsets::edges::{EDGES_BYTES, Edges};
use helios_types::{Result, bail, error};

/// The part of a key that says what it is.
pub const ENTRY: u8 = 0;
pub const SUBKEY: u8 = 1;
pub const GARBAGE: u8 = 2;

const LARGE: u8 = 0x80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    String = 0,
    List = 1,
    Set = 2,
    SortedSet = 3,
    Hash = 4,
}

impl Kind {
    /// The word that TYPE answers.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::SortedSet => "zset",
            Kind::Hash => "hash",
        }
    }

    pub fn from_name(name: &[u8]) -> Option<Kind> {
        [
            Kind::String,
            Kind::List,
            Kind::Set,
            Kind::SortedSet,
            Kind::Hash,
        ]
        .into_iter()
        .find(|kind| kind.name().as_bytes().eq_ignore_ascii_case(name))
    }

    fn from_tag(tag: u8) -> Option<Kind> {
        Some(match tag & 0x0f {
            0 => Kind::String,
            1 => Kind::List,
            2 => Kind::Set,
            3 => Kind::SortedSet,
            4 => Kind::Hash,
            _ => return None,
        })
    }
}

/// The identity of one large collection.
pub type Version = [u8; 12];

/// What the entry of a large collection holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    pub version: Version,
    pub count: u64,
    /// A list's first chunk. A sorted set's lowest score key: no member has a lower one.
    pub first: u64,
    /// A list's last chunk. A sorted set's highest score key.
    pub last: u64,
    /// Of a sorted set.
    pub edges: Edges,
}

impl Meta {
    pub fn new(version: Version, count: u64) -> Meta {
        Meta {
            version,
            count,
            first: 0,
            last: 0,
            edges: Edges::default(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Form<'a> {
    String(&'a [u8]),
    Small { count: usize, items: Packed<'a> },
    Large(Meta),
}

/// A decoded entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub kind: Kind,
    pub level: u8,
    pub form: Form<'a>,
}

impl<'a> Entry<'a> {
    pub fn decode(body: &'a [u8]) -> Result<Entry<'a>> {
        let corrupted = || error!(DataCorrupted, "an entry of the keyspace does not decode");
        let (&tag, rest) = body.split_first().ok_or_else(corrupted)?;
        let kind = Kind::from_tag(tag).ok_or_else(corrupted)?;
        let form = if kind == Kind::String {
            Form::String(rest)
        } else if tag & LARGE == 0 {
            let (count, items) = rest.split_first_chunk::<2>().ok_or_else(corrupted)?;
            Form::Small {
                count: usize::from(u16::from_le_bytes(*count)),
                items: Packed::new(items),
            }
        } else {
            Form::Large(decode_meta(kind, rest).ok_or_else(corrupted)?)
        };
        Ok(Entry {
            kind,
            level: tag >> 4 & 3,
            form,
        })
    }

    /// The number of elements: fields, members, items; bytes of a string.
    pub fn count(&self) -> u64 {
        match self.form {
            Form::String(bytes) => bytes.len() as u64,
            Form::Small { count, .. } => count as u64,
            Form::Large(meta) => meta.count,
        }
    }

    pub fn meta(&self) -> Option<Meta> {
        match self.form {
            Form::Large(meta) => Some(meta),
            _ => None,
        }
    }
}

fn decode_meta(kind: Kind, bytes: &[u8]) -> Option<Meta> {
    let (version, rest) = bytes.split_first_chunk::<12>()?;
    let (count, rest) = rest.split_first_chunk::<8>()?;
    let (first, rest) = rest.split_first_chunk::<8>()?;
    let (last, rest) = rest.split_first_chunk::<8>()?;
    let mut meta = Meta {
        first: u64::from_le_bytes(*first),
        last: u64::from_le_bytes(*last),
        ..Meta::new(*version, u64::from_le_bytes(*count))
    };
    if kind == Kind::SortedSet {
        match rest.first_chunk::<EDGES_BYTES>() {
            Some(edges) => meta.edges = Edges::decode(edges)?,
            // Written before sorted sets had them: the end is not known.
            None => meta.last = u64::MAX,
        }
    }
    Some(meta)
}

fn tag(kind: Kind, level: u8) -> u8 {
    kind as u8 | level << 4
}

pub fn encode_string(out: &mut Vec<u8>, level: u8, value: &[u8]) {
    out.push(tag(Kind::String, level));
    out.extend_from_slice(value);
}

/// `items` are the packed items; there are never more of them than fit a `u16`, because a small
/// collection is bounded in bytes.
pub fn encode_small(out: &mut Vec<u8>, kind: Kind, level: u8, count: usize, items: &[u8]) {
    debug_assert!(count <= usize::from(u16::MAX));
    out.push(tag(kind, level));
    out.extend_from_slice(&(count as u16).to_le_bytes());
    out.extend_from_slice(items);
}

pub fn encode_large(out: &mut Vec<u8>, kind: Kind, level: u8, meta: &Meta) {
    out.push(tag(kind, level) | LARGE);
    out.extend_from_slice(&meta.version);
    out.extend_from_slice(&meta.count.to_le_bytes());
    out.extend_from_slice(&meta.first.to_le_bytes());
    out.extend_from_slice(&meta.last.to_le_bytes());
    if kind == Kind::SortedSet {
        meta.edges.encode(out);
    }
}

/// The error that a command for another kind of value gets.
pub fn wrong_type<T>() -> Result<T> {
    bail!(
        WrongObjectType,
        "Operation against a key holding the wrong kind of value"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_decodes_to_what_was_encoded() {
        let mut out = Vec::new();
        encode_string(&mut out, 1, b"abc");
        let entry = Entry::decode(&out).unwrap();
        assert_eq!(
            (entry.kind, entry.level, entry.count()),
            (Kind::String, 1, 3)
        );

        out.clear();
        let mut items = Vec::new();
        super::super::packed::push(&mut items, b"x");
        encode_small(&mut out, Kind::Set, 2, 1, &items);
        let entry = Entry::decode(&out).unwrap();
        assert_eq!((entry.kind, entry.level, entry.count()), (Kind::Set, 2, 1));

        out.clear();
        let meta = Meta {
            first: 6,
            last: 7,
            ..Meta::new([3; 12], 5)
        };
        encode_large(&mut out, Kind::List, 0, &meta);
        assert_eq!(Entry::decode(&out).unwrap().meta(), Some(meta));
        let length = out.len();

        out.clear();
        let mut sorted = meta;
        sorted.edges.low = [1; 16];
        sorted.edges.loose = 3;
        encode_large(&mut out, Kind::SortedSet, 0, &sorted);
        assert_eq!(Entry::decode(&out).unwrap().meta(), Some(sorted));
        // As it was before there were edges.
        out.truncate(length);
        let old = Entry::decode(&out).unwrap().meta().unwrap();
        assert_eq!((old.first, old.last), (6, u64::MAX));
    }

    #[test]
    fn damaged_entries_are_an_error() {
        for body in [&b""[..], &[9], &[0x82, 1, 2], &[0x02, 1]] {
            assert!(Entry::decode(body).is_err());
        }
    }
}
