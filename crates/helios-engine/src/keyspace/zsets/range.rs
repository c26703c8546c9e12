//! Ranges of sorted sets: by rank, by score and by member.

use super::super::access::{Access, Slot};
use super::super::entry::Kind;
use super::super::number;
use super::{Removed, Scored};
use helios_types::{Result, bail};

/// One end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBound {
    pub score: f64,
    pub exclusive: bool,
}

/// One end of a range of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LexBound {
    Lowest,
    Highest,
    Inclusive(Vec<u8>),
    Exclusive(Vec<u8>),
}

/// Which members of a sorted set.
#[derive(Clone, Debug, PartialEq)]
pub enum ZRange {
    /// Both ends inclusive, counted from the end when negative.
    Rank(i64, i64),
    Score(ScoreBound, ScoreBound),
    Lex(LexBound, LexBound),
}

/// LIMIT: how many members are passed over, and how many are taken (negative: all).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub offset: i64,
    pub count: i64,
}

impl Limit {
    pub const ALL: Limit = Limit {
        offset: 0,
        count: -1,
    };
}

pub fn parse_score_bound(text: &[u8]) -> Result<ScoreBound> {
    let (exclusive, digits) = match text {
        [b'(', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    match number::parse_f64(digits) {
        Some(score) => Ok(ScoreBound { score, exclusive }),
        None => bail!(InvalidTextRepresentation, "min or max is not a float"),
    }
}

pub fn parse_lex_bound(text: &[u8]) -> Result<LexBound> {
    match text {
        b"-" => Ok(LexBound::Lowest),
        b"+" => Ok(LexBound::Highest),
        [b'[', rest @ ..] => Ok(LexBound::Inclusive(rest.to_vec())),
        [b'(', rest @ ..] => Ok(LexBound::Exclusive(rest.to_vec())),
        _ => bail!(
            InvalidTextRepresentation,
            "min or max not valid string range item"
        ),
    }
}

impl ScoreBound {
    fn admits_from_below(self, score: f64) -> bool {
        if self.exclusive {
            score > self.score
        } else {
            score >= self.score
        }
    }

    fn admits_from_above(self, score: f64) -> bool {
        if self.exclusive {
            score < self.score
        } else {
            score <= self.score
        }
    }
}

impl LexBound {
    fn admits_from_below(&self, member: &[u8]) -> bool {
        match self {
            LexBound::Lowest => true,
            LexBound::Highest => false,
            LexBound::Inclusive(bound) => member >= bound.as_slice(),
            LexBound::Exclusive(bound) => member > bound.as_slice(),
        }
    }

    fn admits_from_above(&self, member: &[u8]) -> bool {
        match self {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Inclusive(bound) => member <= bound.as_slice(),
            LexBound::Exclusive(bound) => member < bound.as_slice(),
        }
    }
}

impl Access<'_> {
    /// The members of a range, from the lowest on or, in reverse, from the highest down. The bounds
    /// are given with the lower one first in both cases; ranks count in the direction of reading.
    pub fn zset_range(
        &mut self,
        slot: &Slot<'_>,
        range: &ZRange,
        reverse: bool,
        limit: Limit,
    ) -> Result<Vec<Scored>> {
        let Some(entry) = slot.of(Kind::SortedSet)? else {
            return Ok(Vec::new());
        };
        if let ZRange::Rank(start, stop) = *range {
            let resolved = super::super::lists::resolve_range(start, stop, entry.count());
            return match resolved {
                Some((first, last)) => self.zset_by_rank(slot, first, last, reverse),
                None => Ok(Vec::new()),
            };
        }
        let mut found = Vec::new();
        if limit.offset < 0 || limit.count == 0 {
            return Ok(found);
        }
        let mut skip = limit.offset;
        self.zset_visit_range(slot, range, reverse, &mut |score, member| {
            if skip > 0 {
                skip -= 1;
                return true;
            }
            found.push(Scored {
                member: member.to_vec(),
                score,
            });
            limit.count < 0 || (found.len() as i64) < limit.count
        })?;
        Ok(found)
    }

    /// How many members a range of scores or members has.
    pub fn zset_count(&mut self, slot: &Slot<'_>, range: &ZRange) -> Result<u64> {
        let mut count = 0;
        self.zset_visit_range(slot, range, false, &mut |_, _| {
            count += 1;
            true
        })?;
        Ok(count)
    }

    fn zset_visit_range(
        &mut self,
        slot: &Slot<'_>,
        range: &ZRange,
        reverse: bool,
        visit: &mut dyn FnMut(f64, &[u8]) -> bool,
    ) -> Result<()> {
        let from = match range {
            ZRange::Score(low, high) => Some(if reverse { high.score } else { low.score }),
            _ => None,
        };
        self.zset_visit_from(slot, from, reverse, &mut |score, member| {
            let (above, below) = match range {
                ZRange::Rank(..) => (true, true),
                ZRange::Score(low, high) => {
                    (low.admits_from_below(score), high.admits_from_above(score))
                }
                ZRange::Lex(low, high) => (
                    low.admits_from_below(member),
                    high.admits_from_above(member),
                ),
            };
            let (entered, passed) = if reverse {
                (below, !above)
            } else {
                (above, !below)
            };
            if passed {
                return Ok(false);
            }
            Ok(!entered || visit(score, member))
        })
    }

    /// The members of resolved ranks, both inclusive.
    pub(super) fn zset_by_rank(
        &mut self,
        slot: &Slot<'_>,
        first: u64,
        last: u64,
        reverse: bool,
    ) -> Result<Vec<Scored>> {
        let mut found = Vec::new();
        let mut rank = 0u64;
        let count = slot.of(Kind::SortedSet)?.map_or(0, |entry| entry.count());
        // Ranks near the far end are cheaper to reach from there.
        let turned = first > count / 2 && count > 1024;
        let (low, high) = match turned {
            true => (
                count.saturating_sub(1).saturating_sub(last),
                count.saturating_sub(1 + first),
            ),
            false => (first, last),
        };
        self.zset_visit(slot, reverse != turned, &mut |score, member| {
            if rank >= low {
                found.push(Scored {
                    member: member.to_vec(),
                    score,
                });
            }
            rank += 1;
            Ok(rank <= high)
        })?;
        if turned {
            found.reverse();
        }
        Ok(found)
    }

    /// ZRANK and ZREVRANK.
    pub fn zset_rank(
        &mut self,
        slot: &Slot<'_>,
        member: &[u8],
        reverse: bool,
    ) -> Result<Option<(u64, f64)>> {
        let Some(score) = self.zset_score(slot, member)? else {
            return Ok(None);
        };
        let mut rank = 0;
        self.zset_visit(slot, reverse, &mut |_, other| {
            if other == member {
                return Ok(false);
            }
            rank += 1;
            Ok(true)
        })?;
        Ok(Some((rank, score)))
    }

    /// ZREMRANGEBYRANK, -BYSCORE and -BYLEX: how many were removed.
    pub fn zset_remove_range(&mut self, key: &[u8], range: &ZRange) -> Result<u64> {
        let slot = self.slot(key)?;
        let members = self.zset_range(&slot, range, false, Limit::ALL)?;
        let which = match range {
            ZRange::Rank(0, _) => Removed::Lowest,
            ZRange::Rank(_, -1) => Removed::Highest,
            ZRange::Score(low, _) if low.score == f64::NEG_INFINITY && !low.exclusive => {
                Removed::Lowest
            }
            ZRange::Score(_, high) if high.score == f64::INFINITY && !high.exclusive => {
                Removed::Highest
            }
            _ => Removed::Some,
        };
        self.zset_remove_all(&slot, &members, which)?;
        Ok(members.len() as u64)
    }
}
