//! Sorted sets. Small: one item a member, its eight score bytes before it, in order of score and
//! member. Large: two sub-keys a member.
//!
//! ```text
//! 00 | member          -> score:8
//! 01 | score:8 | member -> {}
//! ```
//!
//! The score bytes sort as the scores do ([`number::score_key`]). The entry remembers where the
//! members begin and end ([`edges`]).

use super::access::{Access, Slot, SubRange};
use super::entry::{Entry, Form, Kind, Meta};
use super::packed::{self, Packed};
use super::{SMALL_BYTES_MAX, number};
use helios_types::{Result, bail};
use std::sync::atomic::Ordering::Relaxed;

pub mod combine;
pub mod edges;
pub mod range;

pub const BY_MEMBER: &[u8] = &[0];
pub const BY_SCORE: &[u8] = &[1];

/// Level of a sorted set that OBJECT ENCODING calls `skiplist`.
const SKIPLIST: u8 = 1;

/// A member and its score.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    pub member: Vec<u8>,
    pub score: f64,
}

/// The options of ZADD.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddOptions {
    pub only_new: bool,
    pub only_existing: bool,
    pub greater: bool,
    pub less: bool,
    pub increment: bool,
}

/// What ZADD did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Added {
    pub added: u64,
    pub changed: u64,
    /// The score after ZADD … INCR, unless an option prevented it.
    pub score: Option<f64>,
}

/// Which members are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    /// The lowest of all.
    Lowest,
    /// The highest of all.
    Highest,
    Some,
}

/// What one member of ZADD comes to.
enum Decision {
    Leave,
    Write(f64),
}

impl AddOptions {
    fn decide(&self, old: Option<f64>, given: f64) -> Result<Decision> {
        let new = match old {
            Some(old) if self.increment => old + given,
            _ => given,
        };
        // Minus zero is zero: the stored score has only one of them.
        let new = new + 0.0;
        if new.is_nan() {
            bail!(NumericOutOfRange, "resulting score is not a number (NaN)");
        }
        Ok(match old {
            None if self.only_existing => Decision::Leave,
            None => Decision::Write(new),
            Some(_) if self.only_new => Decision::Leave,
            Some(old) if (self.greater && new <= old) || (self.less && new >= old) => {
                Decision::Leave
            }
            Some(_) => Decision::Write(new),
        })
    }
}

fn scored(item: &[u8]) -> Result<(f64, &[u8])> {
    match item.split_first_chunk::<8>() {
        Some((score, member)) => Ok((number::score_of(*score), member)),
        None => bail!(
            DataCorrupted,
            "a sorted set of the keyspace has an item without a score"
        ),
    }
}

fn small_members(items: Packed<'_>) -> Result<Vec<(f64, &[u8])>> {
    let mut members = Vec::new();
    let mut iter = items.items();
    while let Some(item) = iter.next_item()? {
        members.push(scored(item)?);
    }
    Ok(members)
}

fn pack(members: &[(f64, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(members.iter().map(|(_, m)| m.len() + 10).sum());
    for (score, member) in members {
        packed::push_parts(&mut bytes, &[&number::score_key(*score), member]);
    }
    bytes
}

fn by_member(member: &[u8]) -> Vec<u8> {
    [BY_MEMBER, member].concat()
}

fn by_score(score: f64, member: &[u8]) -> Vec<u8> {
    [BY_SCORE, &number::score_key(score), member].concat()
}

fn sort(members: &mut [(f64, &[u8])]) {
    members.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
}

impl<'a> Access<'a> {
    /// The sorted set under `key`, for the methods that take its slot.
    pub fn zset(&mut self, key: &[u8]) -> Result<Slot<'a>> {
        let slot = self.slot_pinned(key)?;
        slot.of(Kind::SortedSet)?;
        Ok(slot)
    }

    pub fn zset_score(&self, slot: &Slot<'_>, member: &[u8]) -> Result<Option<f64>> {
        match slot.of(Kind::SortedSet)?.map(|entry| entry.form) {
            Some(Form::Small { items, .. }) => {
                let mut iter = items.items();
                while let Some(item) = iter.next_item()? {
                    let (score, other) = scored(item)?;
                    if other == member {
                        return Ok(Some(score));
                    }
                }
                Ok(None)
            }
            Some(Form::Large(meta)) => self.stored_score(&meta, member),
            _ => Ok(None),
        }
    }

    fn stored_score(&self, meta: &Meta, member: &[u8]) -> Result<Option<f64>> {
        let value = self.sub_get(&meta.version, &by_member(member))?;
        Ok(value.and_then(|score| {
            score
                .first_chunk::<8>()
                .map(|score| number::score_of(*score))
        }))
    }

    fn zset_level(&self, level: u8, member: &[u8], count: u64) -> u8 {
        let limits = self.keyspace().thresholds();
        if count > limits.zset_max_listpack_entries.load(Relaxed)
            || member.len() as u64 > limits.zset_max_listpack_value.load(Relaxed)
        {
            SKIPLIST
        } else {
            level
        }
    }

    /// ZADD.
    pub fn zset_add<'m>(
        &mut self,
        key: &[u8],
        options: AddOptions,
        members: impl Iterator<Item = (f64, &'m [u8])> + Clone,
    ) -> Result<Added> {
        let slot = self.slot(key)?;
        let entry = slot.of(Kind::SortedSet)?;
        let mut level = entry.map_or(0, |entry| entry.level);
        let mut all = match entry.map(|entry| entry.form) {
            Some(Form::Large(meta)) => {
                return self.zset_add_large(&slot, level, meta, options, members);
            }
            Some(Form::Small { items, .. }) => small_members(items)?,
            _ => Vec::new(),
        };
        let before: Vec<(f64, &[u8])> = all.clone();
        let old_level = level;
        let mut result = Added::default();
        let mut bytes: usize = all
            .iter()
            .map(|(_, member)| packed::size(member.len() + 8))
            .sum();
        for (given, member) in members.clone() {
            let at = all.iter().position(|(_, other)| *other == member);
            let old = at.map(|at| all[at].0);
            let Decision::Write(new) = options.decide(old, given)? else {
                continue;
            };
            result.score = Some(new);
            match at {
                Some(at) => {
                    result.changed += u64::from(old != Some(new));
                    all[at].0 = new;
                }
                None => {
                    result.added += 1;
                    all.push((new, member));
                    level = self.zset_level(level, member, all.len() as u64);
                    bytes += packed::size(member.len() + 8);
                    if bytes > SMALL_BYTES_MAX {
                        let meta = self.zset_grow(&before)?;
                        return self.zset_add_large(&slot, old_level, meta, options, members);
                    }
                }
            }
        }
        if result.added + result.changed > 0 {
            sort(&mut all);
            self.put_small(&slot, Kind::SortedSet, level, all.len(), &pack(&all))?;
        }
        Ok(result)
    }

    fn zset_grow(&mut self, members: &[(f64, &[u8])]) -> Result<Meta> {
        let mut meta = Meta::no_members(self.new_version());
        meta.count = members.len() as u64;
        for (score, member) in members {
            meta.widen(*score, member);
            self.put_member(&meta, None, *score, member)?;
        }
        Ok(meta)
    }

    fn put_member(
        &mut self,
        meta: &Meta,
        old: Option<f64>,
        score: f64,
        member: &[u8],
    ) -> Result<()> {
        if let Some(old) = old {
            self.sub_delete(&meta.version, &by_score(old, member))?;
        }
        self.sub_put(&meta.version, &by_member(member), &number::score_key(score))?;
        self.sub_put(&meta.version, &by_score(score, member), &[])
    }

    fn zset_add_large<'m>(
        &mut self,
        slot: &Slot<'_>,
        mut level: u8,
        mut meta: Meta,
        options: AddOptions,
        members: impl Iterator<Item = (f64, &'m [u8])>,
    ) -> Result<Added> {
        let mut result = Added::default();
        let mut moved = 0;
        for (given, member) in members {
            let old = self.stored_score(&meta, member)?;
            let Decision::Write(new) = options.decide(old, given)? else {
                continue;
            };
            result.score = Some(new);
            if old == Some(new) {
                continue;
            }
            match old {
                Some(_) => {
                    result.changed += 1;
                    moved += 1;
                }
                None => {
                    result.added += 1;
                    meta.count += 1;
                    level = self.zset_level(level, member, meta.count);
                }
            }
            meta.widen(new, member);
            self.put_member(&meta, old, new, member)?;
        }
        if result.added + result.changed > 0 {
            if moved > 0 {
                self.zset_loosen(&mut meta, moved)?;
            }
            self.put_large(slot, Kind::SortedSet, level, &meta)?;
        }
        Ok(result)
    }

    /// ZREM: how many members there were.
    pub fn zset_remove<'m>(
        &mut self,
        key: &[u8],
        members: impl Iterator<Item = &'m [u8]>,
    ) -> Result<u64> {
        let slot = self.slot(key)?;
        let Some(entry) = slot.of(Kind::SortedSet)? else {
            return Ok(0);
        };
        let mut removed = 0;
        match entry.form {
            Form::Small { items, .. } => {
                let mut all = small_members(items)?;
                let before = all.len();
                for member in members {
                    all.retain(|(_, other)| *other != member);
                }
                removed = (before - all.len()) as u64;
                if removed > 0 {
                    self.put_small(&slot, Kind::SortedSet, entry.level, all.len(), &pack(&all))?;
                }
            }
            Form::Large(mut meta) => {
                for member in members {
                    if let Some(score) = self.stored_score(&meta, member)? {
                        self.delete_member(&meta, score, member)?;
                        removed += 1;
                    }
                }
                if removed > 0 {
                    meta.count = meta.count.saturating_sub(removed);
                    self.zset_loosen(&mut meta, removed)?;
                    self.put_large(&slot, Kind::SortedSet, entry.level, &meta)?;
                }
            }
            Form::String(_) => {}
        }
        Ok(removed)
    }

    fn delete_member(&mut self, meta: &Meta, score: f64, member: &[u8]) -> Result<()> {
        self.sub_delete(&meta.version, &by_member(member))?;
        self.sub_delete(&meta.version, &by_score(score, member))
    }

    /// ZPOPMIN and ZPOPMAX: up to `count` members from one end.
    pub fn zset_pop(&mut self, key: &[u8], highest: bool, count: u64) -> Result<Vec<Scored>> {
        let slot = self.slot(key)?;
        let Some(entry) = slot.of(Kind::SortedSet)? else {
            return Ok(Vec::new());
        };
        let most = count.min(entry.count());
        if most == 0 {
            return Ok(Vec::new());
        }
        let popped = self.zset_by_rank(&slot, 0, most - 1, highest)?;
        let end = match highest {
            true => Removed::Highest,
            false => Removed::Lowest,
        };
        self.zset_remove_all(&slot, &popped, end)?;
        Ok(popped)
    }

    /// Removes members that were just read, in order or in reverse.
    pub(super) fn zset_remove_all(
        &mut self,
        slot: &Slot<'_>,
        members: &[Scored],
        which: Removed,
    ) -> Result<()> {
        if members.is_empty() {
            return Ok(());
        }
        let Some(entry) = slot.entry()? else {
            return Ok(());
        };
        match entry.form {
            Form::Large(mut meta) => {
                for scored in members {
                    self.delete_member(&meta, scored.score, &scored.member)?;
                }
                meta.count = meta.count.saturating_sub(members.len() as u64);
                // The lowest come in order and the highest in reverse or as a rank range gives them.
                match (which, members.first(), members.last()) {
                    (Removed::Lowest, _, Some(last)) => meta.narrow_low(last),
                    (Removed::Highest, Some(first), Some(last)) => {
                        let lower = (first.score, &first.member) < (last.score, &last.member);
                        meta.narrow_high(if lower { first } else { last });
                    }
                    _ => self.zset_loosen(&mut meta, members.len() as u64)?,
                }
                self.put_large(slot, Kind::SortedSet, entry.level, &meta)
            }
            Form::Small { items, .. } => {
                let mut all = small_members(items)?;
                all.retain(|(_, member)| !members.iter().any(|other| other.member == *member));
                self.put_small(slot, Kind::SortedSet, entry.level, all.len(), &pack(&all))
            }
            Form::String(_) => Ok(()),
        }
    }

    /// ZUNIONSTORE and its kin: the members replace whatever is under `key`.
    pub fn zset_store(&mut self, key: &[u8], members: &[Scored]) -> Result<u64> {
        let slot = self.slot(key)?;
        self.remove(&slot)?;
        if !members.is_empty() {
            let pairs = members
                .iter()
                .map(|scored| (scored.score, scored.member.as_slice()));
            self.zset_add(key, AddOptions::default(), pairs)?;
        }
        Ok(members.len() as u64)
    }

    /// Shows the members from the lowest on, or from the highest down, until `visit` returns false.
    pub fn zset_visit(
        &mut self,
        slot: &Slot<'_>,
        reverse: bool,
        visit: &mut dyn FnMut(f64, &[u8]) -> Result<bool>,
    ) -> Result<()> {
        self.zset_visit_from(slot, None, reverse, visit)
    }

    /// As [`Access::zset_visit`]; members before the score `from` are passed over.
    fn zset_visit_from(
        &mut self,
        slot: &Slot<'_>,
        from: Option<f64>,
        reverse: bool,
        visit: &mut dyn FnMut(f64, &[u8]) -> Result<bool>,
    ) -> Result<()> {
        match slot.of(Kind::SortedSet)?.map(|entry| entry.form) {
            Some(Form::Small { items, .. }) => {
                let mut all = small_members(items)?;
                if reverse {
                    all.reverse();
                }
                for (score, member) in all {
                    let before =
                        from.is_some_and(|from| if reverse { score > from } else { score < from });
                    if !before && !visit(score, member)? {
                        break;
                    }
                }
                Ok(())
            }
            Some(Form::Large(meta)) => {
                let from = from.map(|from| [BY_SCORE, &number::score_key(from)].concat());
                let (mut low, mut high) = (meta.low_key(), meta.high_key());
                match from {
                    Some(from) if reverse => {
                        let end = helios_storage::prefix_successor(&from);
                        high = [high, end].into_iter().flatten().min();
                    }
                    Some(from) => low = low.max(from),
                    None => {}
                }
                let range = SubRange {
                    within: BY_SCORE,
                    low: &low,
                    high: high.as_deref(),
                    reverse,
                };
                self.sub_scan(&meta.version, range, &mut |sub, _| {
                    let (score, member) = scored(sub.get(1..).unwrap_or_default())?;
                    visit(score, member)
                })
            }
            _ => Ok(()),
        }
    }
}

pub fn encoding(entry: &Entry<'_>) -> &'static str {
    if entry.level >= SKIPLIST {
        "skiplist"
    } else {
        "listpack"
    }
}
