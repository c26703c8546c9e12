//! Sets. Small: the members in the order in which they came, numbers sorted while there is nothing
//! else. Large: the sub-key is the member.

use super::access::{Access, Slot, SubRange};
use super::entry::{Entry, Form, Kind, Meta};
use super::packed::{self, Packed};
use super::{SMALL_BYTES_MAX, number};
use helios_types::Result;
use smallvec::SmallVec;
use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

/// Levels of a set, as OBJECT ENCODING names them: `intset`, `listpack`, `hashtable`.
const LISTPACK: u8 = 1;
const TABLE: u8 = 2;

type Member = Vec<u8>;
type Members<'a> = SmallVec<[&'a [u8]; 16]>;

fn small_members(items: Packed<'_>) -> Result<Members<'_>> {
    let mut members = Members::new();
    let mut iter = items.items();
    while let Some(member) = iter.next_item()? {
        members.push(member);
    }
    Ok(members)
}

fn pack(members: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(members.iter().map(|m| packed::size(m.len())).sum());
    for member in members {
        packed::push(&mut bytes, member);
    }
    bytes
}

/// Which combination of sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    Intersection,
    Union,
    Difference,
}

impl<'a> Access<'a> {
    /// The set under `key`, for the methods that take its slot.
    pub fn set_slot(&mut self, key: &[u8]) -> Result<Slot<'a>> {
        let slot = self.slot_pinned(key)?;
        slot.of(Kind::Set)?;
        Ok(slot)
    }

    pub fn set_contains(&self, slot: &Slot<'_>, member: &[u8]) -> Result<bool> {
        Ok(match slot.of(Kind::Set)?.map(|entry| entry.form) {
            Some(Form::Small { items, .. }) => small_members(items)?.contains(&member),
            Some(Form::Large(meta)) => self.sub_get(&meta.version, member)?.is_some(),
            _ => false,
        })
    }

    /// Shows all members.
    pub fn set_visit(&mut self, slot: &Slot<'_>, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        match slot.of(Kind::Set)?.map(|entry| entry.form) {
            Some(Form::Small { items, .. }) => {
                let mut iter = items.items();
                while let Some(member) = iter.next_item()? {
                    each(member);
                }
            }
            Some(Form::Large(meta)) => {
                self.sub_scan(&meta.version, SubRange::all(&[]), &mut |member, _| {
                    each(member);
                    Ok(true)
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    fn set_level(&self, level: u8, member: &[u8], count: u64) -> u8 {
        let limits = self.keyspace().thresholds();
        let integer = member.len() <= 20 && number::parse_i64(member).is_some();
        if level == 0 && integer && count <= limits.set_max_intset_entries.load(Relaxed) {
            return 0;
        }
        if level <= LISTPACK
            && count <= limits.set_max_listpack_entries.load(Relaxed)
            && member.len() as u64 <= limits.set_max_listpack_value.load(Relaxed)
        {
            return LISTPACK;
        }
        TABLE
    }

    /// SADD: how many members are new.
    pub fn set_add<'m>(
        &mut self,
        key: &[u8],
        members: impl Iterator<Item = &'m [u8]> + Clone,
    ) -> Result<u64> {
        let slot = self.slot(key)?;
        let entry = slot.of(Kind::Set)?;
        let mut level = entry.map_or(0, |entry| entry.level);
        let mut all = match entry.map(|entry| entry.form) {
            Some(Form::Large(meta)) => return self.set_add_large(&slot, level, meta, members),
            Some(Form::Small { items, .. }) => small_members(items)?,
            _ => Members::new(),
        };
        let before = all.len();
        let old_level = level;
        let mut bytes: usize = all.iter().map(|member| packed::size(member.len())).sum();
        for member in members.clone() {
            if all.contains(&member) {
                continue;
            }
            all.push(member);
            level = self.set_level(level, member, all.len() as u64);
            bytes += packed::size(member.len());
            if bytes > SMALL_BYTES_MAX {
                let meta = self.set_grow(&all[..before])?;
                return self.set_add_large(&slot, old_level, meta, members);
            }
        }
        let added = all.len() - before;
        if added == 0 {
            return Ok(0);
        }
        if level == 0 {
            all.sort_by_key(|member| number::parse_i64(member));
        }
        self.put_small(&slot, Kind::Set, level, all.len(), &pack(&all))?;
        Ok(added as u64)
    }

    fn set_grow(&mut self, members: &[&[u8]]) -> Result<Meta> {
        let meta = Meta::new(self.new_version(), members.len() as u64);
        for member in members {
            self.sub_put(&meta.version, member, &[])?;
        }
        Ok(meta)
    }

    fn set_add_large<'m>(
        &mut self,
        slot: &Slot<'_>,
        mut level: u8,
        mut meta: Meta,
        members: impl Iterator<Item = &'m [u8]>,
    ) -> Result<u64> {
        let mut added = 0;
        for member in members {
            if self.sub_get(&meta.version, member)?.is_none() {
                self.sub_put(&meta.version, member, &[])?;
                added += 1;
                level = self.set_level(level, member, meta.count + added);
            }
        }
        if added > 0 {
            meta.count += added;
            self.put_large(slot, Kind::Set, level, &meta)?;
        }
        Ok(added)
    }

    /// SREM: how many members there were.
    pub fn set_remove<'m>(
        &mut self,
        key: &[u8],
        members: impl Iterator<Item = &'m [u8]>,
    ) -> Result<u64> {
        let slot = self.slot(key)?;
        let Some(entry) = slot.of(Kind::Set)? else {
            return Ok(0);
        };
        let mut removed = 0;
        match entry.form {
            Form::Small { items, .. } => {
                let mut all = small_members(items)?;
                let before = all.len();
                for member in members {
                    all.retain(|other| *other != member);
                }
                removed = (before - all.len()) as u64;
                if removed > 0 {
                    self.put_small(&slot, Kind::Set, entry.level, all.len(), &pack(&all))?;
                }
            }
            Form::Large(mut meta) => {
                for member in members {
                    if self.sub_get(&meta.version, member)?.is_some() {
                        self.sub_delete(&meta.version, member)?;
                        removed += 1;
                    }
                }
                if removed > 0 {
                    meta.count = meta.count.saturating_sub(removed);
                    self.put_large(&slot, Kind::Set, entry.level, &meta)?;
                }
            }
            Form::String(_) => {}
        }
        Ok(removed)
    }

    /// SPOP: up to `count` members drawn at random and removed.
    pub fn set_pop(&mut self, key: &[u8], count: usize) -> Result<Vec<Member>> {
        let slot = self.slot(key)?;
        let Some(entry) = slot.of(Kind::Set)? else {
            return Ok(Vec::new());
        };
        if count as u64 >= entry.count() {
            let all = self.elements(&slot)?;
            self.remove(&slot)?;
            return Ok(all.into_iter().map(|(member, _)| member).collect());
        }
        let drawn: Vec<Member> = self
            .random_distinct(&slot, count)?
            .into_iter()
            .map(|(member, _)| member)
            .collect();
        self.set_remove(key, drawn.iter().map(Vec::as_slice))?;
        Ok(drawn)
    }

    /// SMOVE: whether the member was in the source.
    pub fn set_move(&mut self, source: &[u8], destination: &[u8], member: &[u8]) -> Result<bool> {
        let from = self.set_slot(source)?;
        let to = self.set_slot(destination)?;
        if !from.exists() || !self.set_contains(&from, member)? {
            return Ok(false);
        }
        drop(to);
        if source != destination {
            self.set_remove(source, std::iter::once(member))?;
            self.set_add(destination, std::iter::once(member))?;
        }
        Ok(true)
    }

    /// SINTER, SUNION and SDIFF. An intersection stops after `limit` members (0: never).
    pub fn set_combine<'k>(
        &mut self,
        combination: Combination,
        keys: impl Iterator<Item = &'k [u8]>,
        limit: usize,
    ) -> Result<Vec<Member>> {
        self.pin();
        let mut slots = Vec::new();
        for key in keys {
            slots.push(self.set_slot(key)?);
        }
        match combination {
            Combination::Union => {
                let mut seen = HashSet::new();
                let mut all = Vec::new();
                for slot in &slots {
                    self.set_visit(slot, &mut |member| {
                        if seen.insert(member.to_vec()) {
                            all.push(member.to_vec());
                        }
                    })?;
                }
                Ok(all)
            }
            Combination::Intersection => self.set_intersection(slots, limit),
            Combination::Difference => {
                let Some((first, others)) = slots.split_first() else {
                    return Ok(Vec::new());
                };
                let mut left = self.members(first)?;
                for other in others {
                    self.retain_members(&mut left, other, false)?;
                }
                Ok(left)
            }
        }
    }

    fn members(&mut self, slot: &Slot<'_>) -> Result<Vec<Member>> {
        let mut members = Vec::new();
        self.set_visit(slot, &mut |member| members.push(member.to_vec()))?;
        Ok(members)
    }

    fn set_intersection(&mut self, mut slots: Vec<Slot<'_>>, limit: usize) -> Result<Vec<Member>> {
        let count = |slot: &Slot<'_>| {
            slot.entry()
                .map(|e| e.map_or(0, |e| e.count()))
                .unwrap_or(0)
        };
        slots.sort_by_key(count);
        let Some((smallest, others)) = slots.split_first() else {
            return Ok(Vec::new());
        };
        let mut left = self.members(smallest)?;
        for other in others {
            self.retain_members(&mut left, other, true)?;
        }
        if limit > 0 {
            left.truncate(limit);
        }
        Ok(left)
    }

    /// Keeps of `members` those that are, or are not, in the set `other`.
    fn retain_members(
        &mut self,
        members: &mut Vec<Member>,
        other: &Slot<'_>,
        wanted: bool,
    ) -> Result<()> {
        let mut failed = None;
        let small: Option<Members<'_>> = match other.entry()?.map(|entry| entry.form) {
            Some(Form::Small { items, .. }) => Some(small_members(items)?),
            _ => None,
        };
        members.retain(|member| {
            let found = match &small {
                Some(small) => Ok(small.contains(&member.as_slice())),
                None => self.set_contains(other, member),
            };
            match found {
                Ok(found) => found == wanted,
                Err(error) => {
                    failed.get_or_insert(error);
                    false
                }
            }
        });
        failed.map_or(Ok(()), Err)
    }

    /// SINTERSTORE and its kin: the number of members, which replace whatever is under `key`.
    pub fn set_store(&mut self, key: &[u8], members: &[Member]) -> Result<u64> {
        let slot = self.slot(key)?;
        self.remove(&slot)?;
        if members.is_empty() {
            return Ok(0);
        }
        self.set_add(key, members.iter().map(Vec::as_slice))
    }
}

pub fn encoding(entry: &Entry<'_>) -> &'static str {
    match entry.level {
        0 => "intset",
        LISTPACK => "listpack",
        _ => "hashtable",
    }
}
