//! Identifiers that are stored, and the commit timestamp.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A logical database. Zero is the cluster itself (roles, the list of databases).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DatabaseId(pub u32);

/// A branch of a database. Zero is `main`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BranchId(pub u32);

impl BranchId {
    pub const MAIN: BranchId = BranchId(0);
}

/// A table, index, sequence, view or any other catalog object. Equal to its PostgreSQL OID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectId(pub u32);

/// A commit timestamp: milliseconds since the Unix epoch in the upper 46 bits, a logical counter
/// in the lower 18. Strictly increasing from commit to commit; also the transaction id that users
/// see, so that `AS OF TIMESTAMP` and `AS OF TRANSACTION` are one thing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Ts(pub u64);

impl Ts {
    pub const ZERO: Ts = Ts(0);
    pub const MAX: Ts = Ts(u64::MAX);
    pub const LOGICAL_BITS: u32 = 18;

    /// The first timestamp of a millisecond.
    pub fn from_unix_ms(ms: u64) -> Self {
        Ts(ms << Self::LOGICAL_BITS)
    }

    /// The last timestamp of a millisecond: what `AS OF TIMESTAMP` of that millisecond reads.
    pub fn end_of_unix_ms(ms: u64) -> Self {
        Ts(((ms + 1) << Self::LOGICAL_BITS) - 1)
    }

    pub fn unix_ms(self) -> u64 {
        self.0 >> Self::LOGICAL_BITS
    }
}

impl fmt::Display for Ts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
