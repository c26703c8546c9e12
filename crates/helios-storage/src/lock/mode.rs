//! Lock modes and which of them exclude one another.

/// A lock mode. Rows take the first four, objects take `Share` and those after it, advisory locks
/// `Share` and `Exclusive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LockMode {
    /// Rows: the key may not change or go (a foreign key points at it).
    KeyShare,
    /// Rows: `FOR SHARE`. Objects: `SHARE`.
    Share,
    /// Rows: an update that leaves the keys alone.
    NoKeyUpdate,
    /// Rows: `FOR UPDATE`, deletion, an update of a key.
    Update,
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

use LockMode::*;

/// A set of modes, one bit each.
pub(crate) type Modes = u16;

pub(crate) const ALL_MODES: [LockMode; 11] = [
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
];

const fn set(modes: &[LockMode]) -> Modes {
    let mut out = 0;
    let mut i = 0;
    while i < modes.len() {
        out |= 1 << modes[i] as u8;
        i += 1;
    }
    out
}

/// PostgreSQL's tables for rows and for relations. `Share` stands in both; row and relation modes
/// never meet on one key.
const CONFLICTS: [Modes; 11] = [
    set(&[Update]),
    set(&[
        NoKeyUpdate,
        Update,
        RowExclusive,
        ShareUpdateExclusive,
        ShareRowExclusive,
        Exclusive,
        AccessExclusive,
    ]),
    set(&[Share, NoKeyUpdate, Update]),
    set(&[KeyShare, Share, NoKeyUpdate, Update]),
    set(&[AccessExclusive]),
    set(&[Exclusive, AccessExclusive]),
    set(&[Share, ShareRowExclusive, Exclusive, AccessExclusive]),
    set(&[
        ShareUpdateExclusive,
        Share,
        ShareRowExclusive,
        Exclusive,
        AccessExclusive,
    ]),
    set(&[
        RowExclusive,
        ShareUpdateExclusive,
        Share,
        ShareRowExclusive,
        Exclusive,
        AccessExclusive,
    ]),
    set(&[
        RowShare,
        RowExclusive,
        ShareUpdateExclusive,
        Share,
        ShareRowExclusive,
        Exclusive,
        AccessExclusive,
    ]),
    set(&[
        AccessShare,
        RowShare,
        RowExclusive,
        ShareUpdateExclusive,
        Share,
        ShareRowExclusive,
        Exclusive,
        AccessExclusive,
    ]),
];

impl LockMode {
    pub(crate) const fn bit(self) -> Modes {
        1 << self as u8
    }

    pub(crate) const fn conflicts(self) -> Modes {
        CONFLICTS[self as usize]
    }

    /// Whether two holders of these modes exclude one another.
    pub fn conflicts_with(self, other: LockMode) -> bool {
        self.conflicts() & other.bit() != 0
    }

    /// Whether holding `modes` gives everything that this mode gives.
    pub(crate) fn covered_by(self, modes: Modes) -> bool {
        ALL_MODES
            .iter()
            .filter(|m| modes & m.bit() != 0)
            .any(|m| *m == self || m.conflicts() & self.conflicts() == self.conflicts())
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            KeyShare => "KeyShareLock",
            Share => "ShareLock",
            NoKeyUpdate => "NoKeyUpdateLock",
            Update => "UpdateLock",
            AccessShare => "AccessShareLock",
            RowShare => "RowShareLock",
            RowExclusive => "RowExclusiveLock",
            ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            ShareRowExclusive => "ShareRowExclusiveLock",
            Exclusive => "ExclusiveLock",
            AccessExclusive => "AccessExclusiveLock",
        }
    }
}
