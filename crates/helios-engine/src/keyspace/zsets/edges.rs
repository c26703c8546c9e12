//! Where the members of a large sorted set begin and end, so that a scan from either end does not
//! cross the deletions that were left there.
//!
//! The entry has a place at or before the lowest member, and one at or behind the highest: a score
//! and the leading bytes of a member. Adding a member widens them. Removing members from an end
//! narrows that end; removing others only counts, and after some hundreds of removals both ends are
//! looked for anew, so that no more deletions than that lie before a scan, whatever removes them.

use super::super::access::{Access, SubRange};
use super::super::entry::{Meta, Version};
use super::super::number;
use super::{BY_SCORE, Scored, scored};
use helios_types::Result;

/// Bytes of a member that an edge keeps.
const LEADING: usize = 16;
/// Removals after which the edges are looked for.
const LOOSE_MAX: u16 = 256;

/// What the entry of a sorted set has beside the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Edges {
    /// The first bytes of a member; zeros at the end say nothing.
    pub low: [u8; LEADING],
    pub high: [u8; LEADING],
    /// Removals since the edges were exact.
    pub loose: u16,
}

pub const EDGES_BYTES: usize = 2 * LEADING + 2;

impl Edges {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.low);
        out.extend_from_slice(&self.high);
        out.extend_from_slice(&self.loose.to_le_bytes());
    }

    pub fn decode(bytes: &[u8; EDGES_BYTES]) -> Option<Edges> {
        let (low, rest) = bytes.split_first_chunk()?;
        let (high, loose) = rest.split_first_chunk()?;
        Some(Edges {
            low: *low,
            high: *high,
            loose: u16::from_le_bytes(*loose.first_chunk()?),
        })
    }
}

fn score_number(score: f64) -> u64 {
    u64::from_be_bytes(number::score_key(score))
}

fn leading(member: &[u8]) -> [u8; LEADING] {
    let mut out = [0; LEADING];
    let length = member.len().min(LEADING);
    out[..length].copy_from_slice(&member[..length]);
    out
}

/// What is known of the member: it begins so.
fn known(leading: &[u8; LEADING]) -> &[u8] {
    let end = leading.iter().rposition(|byte| *byte != 0);
    &leading[..end.map_or(0, |at| at + 1)]
}

fn key(score: u64, member: &[u8]) -> Vec<u8> {
    [BY_SCORE, &score.to_be_bytes(), member].concat()
}

impl Meta {
    /// Of a sorted set without members.
    pub(super) fn no_members(version: Version) -> Meta {
        Meta {
            version,
            count: 0,
            first: u64::MAX,
            last: 0,
            edges: Edges::default(),
        }
    }

    /// A member comes.
    pub(super) fn widen(&mut self, score: f64, member: &[u8]) {
        let score = score_number(score);
        if (score, member) < (self.first, known(&self.edges.low)) {
            self.first = score;
            self.edges.low = leading(member);
        }
        let high = known(&self.edges.high);
        // Whatever begins as the edge does is within it.
        let within = score == self.last && member.starts_with(high);
        if !within && (score, member) > (self.last, high) {
            self.last = score;
            self.edges.high = leading(member);
        }
    }

    /// All members up to this one have gone.
    pub(super) fn narrow_low(&mut self, scored: &Scored) {
        self.first = score_number(scored.score);
        self.edges.low = leading(&scored.member);
    }

    /// All members from this one on have gone.
    pub(super) fn narrow_high(&mut self, scored: &Scored) {
        self.last = score_number(scored.score);
        self.edges.high = leading(&scored.member);
    }

    /// The first key of the scores that a scan has to look at.
    pub(super) fn low_key(&self) -> Vec<u8> {
        key(self.first, known(&self.edges.low))
    }

    /// The key behind the last one that a scan has to look at.
    pub(super) fn high_key(&self) -> Option<Vec<u8>> {
        helios_storage::prefix_successor(&key(self.last, known(&self.edges.high)))
    }
}

impl Access<'_> {
    /// Members have gone from somewhere: looks for the edges when they may have become loose.
    pub(super) fn zset_loosen(&mut self, meta: &mut Meta, removed: u64) -> Result<()> {
        let removed = u16::try_from(removed).unwrap_or(u16::MAX);
        meta.edges.loose = meta.edges.loose.saturating_add(removed);
        if meta.edges.loose < LOOSE_MAX || meta.count == 0 {
            return Ok(());
        }
        for reverse in [false, true] {
            let (low, high) = (meta.low_key(), meta.high_key());
            let range = SubRange {
                within: BY_SCORE,
                low: &low,
                high: high.as_deref(),
                reverse,
            };
            let Some((sub, _)) = self.sub_first(&meta.version, range)? else {
                continue;
            };
            let (score, member) = scored(sub.get(BY_SCORE.len()..).unwrap_or_default())?;
            let member = member.to_vec();
            let scored = Scored { member, score };
            match reverse {
                false => meta.narrow_low(&scored),
                true => meta.narrow_high(&scored),
            }
        }
        meta.edges.loose = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(score: f64, member: &[u8]) -> Scored {
        Scored {
            member: member.to_vec(),
            score,
        }
    }

    fn contains(meta: &Meta, score: f64, member: &[u8]) -> bool {
        let key = key(score_number(score), member);
        key >= meta.low_key() && meta.high_key().is_none_or(|high| key < high)
    }

    #[test]
    fn every_member_that_came_lies_between_the_edges() {
        let mut meta = Meta::no_members([1; 12]);
        let long = [b'x'; 40];
        let members: [(f64, &[u8]); 10] = [
            (1.0, b"b"),
            (1.0, b"b\0"),
            (1.0, b"b\0\0c"),
            (1.0, b""),
            (1.0, &long),
            (1.0, &long[..39]),
            (1.0, b"xxxxxxxxxxxxxxxxy"),
            (-5.5, &[0xff; 20]),
            (f64::INFINITY, b"z"),
            (f64::NEG_INFINITY, b"\0"),
        ];
        for (at, (score, member)) in members.iter().enumerate() {
            meta.widen(*score, member);
            for (score, member) in &members[..=at] {
                assert!(
                    contains(&meta, *score, member),
                    "{score} {member:?} of {at}"
                );
            }
        }
        let mut bytes = Vec::new();
        meta.edges.encode(&mut bytes);
        let decoded = Edges::decode(bytes.first_chunk().unwrap()).unwrap();
        assert_eq!((bytes.len(), decoded), (EDGES_BYTES, meta.edges));
    }

    #[test]
    fn what_remains_lies_between_narrowed_edges() {
        let mut meta = Meta::no_members([1; 12]);
        for member in [&b"a"[..], b"b", b"bb", b"c\0", b"c\0\0", b"d"] {
            meta.widen(7.0, member);
        }
        meta.narrow_low(&scored(7.0, b"b"));
        meta.narrow_high(&scored(7.0, b"c\0\0"));
        assert!(!contains(&meta, 7.0, b"a") && !contains(&meta, 7.0, b"d"));
        assert!(contains(&meta, 7.0, b"bb") && contains(&meta, 7.0, b"c\0"));
    }
}
