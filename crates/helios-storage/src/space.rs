//! Where a key lives: its space (which pair of column families) and the prefix of its object.

use helios_types::{BranchId, DatabaseId, ObjectId};

/// Which pair of column families holds a key: the newest version and the superseded ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    /// Rows of tables: `cur` and `hist`.
    Row = 0,
    /// Index entries: `idx` and `idxh`.
    Index = 1,
    /// The catalog: `meta` and `metah`. Superseded versions are always kept here, because every
    /// reader of an older moment needs the catalog of that moment.
    Meta = 2,
}

impl Space {
    pub const ALL: [Space; 3] = [Space::Row, Space::Index, Space::Meta];

    pub(crate) fn from_u8(byte: u8) -> Option<Space> {
        Space::ALL.get(usize::from(byte)).copied()
    }
}

/// The twelve bytes that every row and index key begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    pub database: DatabaseId,
    pub branch: BranchId,
    pub object: ObjectId,
}

impl Prefix {
    pub const LEN: usize = 12;

    pub fn new(database: DatabaseId, branch: BranchId, object: ObjectId) -> Self {
        Prefix {
            database,
            branch,
            object,
        }
    }

    pub fn bytes(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..4].copy_from_slice(&self.database.0.to_be_bytes());
        out[4..8].copy_from_slice(&self.branch.0.to_be_bytes());
        out[8..].copy_from_slice(&self.object.0.to_be_bytes());
        out
    }

    /// The prefix that `key` begins with; `None` when the key is shorter than a prefix.
    pub fn of_key(key: &[u8]) -> Option<Prefix> {
        let bytes = key.first_chunk::<{ Self::LEN }>()?;
        Some(Self::from_bytes(*bytes))
    }

    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        Prefix {
            database: DatabaseId(u32::from_be_bytes([a, b, c, d])),
            branch: BranchId(u32::from_be_bytes([e, f, g, h])),
            object: ObjectId(u32::from_be_bytes([i, j, k, l])),
        }
    }

    /// Every key of the object.
    pub fn range(self) -> KeyRange {
        KeyRange::prefix(&self.bytes())
    }
}

/// Keys from `lo` (included) up to `hi` (excluded); without `hi` to the end of the space.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyRange {
    pub lo: Vec<u8>,
    pub hi: Option<Vec<u8>>,
}

impl KeyRange {
    pub fn new(lo: impl Into<Vec<u8>>, hi: impl Into<Vec<u8>>) -> Self {
        KeyRange {
            lo: lo.into(),
            hi: Some(hi.into()),
        }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        KeyRange {
            lo: prefix.to_vec(),
            hi: crate::key::prefix_successor(prefix),
        }
    }

    pub fn all() -> Self {
        KeyRange {
            lo: Vec::new(),
            hi: None,
        }
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.lo.as_slice() && self.hi.as_deref().is_none_or(|hi| key < hi)
    }

    pub fn is_empty(&self) -> bool {
        self.hi
            .as_deref()
            .is_some_and(|hi| hi <= self.lo.as_slice())
    }
}
