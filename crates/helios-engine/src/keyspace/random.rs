//! Random elements of collections that are kept in order of their bytes.
//!
//! Small ones are picked by index. In large ones counting to an index would cost as much as reading
//! them, so the pick descends byte by byte: among the bytes that can follow the common prefix of
//! the range one is drawn, and the range narrows to what begins with it. That is uniform over the
//! branches, and so nearly uniform over elements whose bytes vary evenly (numbers, identifiers).

use super::access::{Access, SubRange};
use super::entry::{Form, Kind, Version};
use super::{Slot, packed::Packed};
use helios_types::Result;
use rand::Rng;
use rand::seq::SliceRandom;
use std::collections::HashSet;

/// Up to this many elements a pick walks to an index.
const WALK_MAX: u64 = 1024;
/// A bound on the descent, for elements that differ only in their length.
const DEPTH_MAX: usize = 64;

/// One element: the member or field, and the stored value beside it.
pub type Element = (Vec<u8>, Vec<u8>);

/// Where a descent finds the elements at both ends of a range.
pub(super) trait Ends {
    /// The first element at or behind `low`.
    fn first(&mut self, low: &[u8]) -> Result<Option<Vec<u8>>>;
    /// The last element before `high`, or of all.
    fn last(&mut self, high: Option<&[u8]>) -> Result<Option<Vec<u8>>>;
}

/// Draws one element.
pub(super) fn descend(ends: &mut dyn Ends) -> Result<Option<Vec<u8>>> {
    let (Some(mut low), Some(mut high)) = (ends.first(&[])?, ends.last(None)?) else {
        return Ok(None);
    };
    let mut random = rand::rng();
    for _ in 0..DEPTH_MAX {
        if low >= high {
            break;
        }
        let shared = low.iter().zip(&high).take_while(|(a, b)| a == b).count();
        // `low` may end at the shared prefix: one more branch, which it alone is in.
        let from = low.get(shared).map_or(-1, |byte| i32::from(*byte));
        let to = high.get(shared).map_or(-1, |byte| i32::from(*byte));
        let drawn = random.random_range(from..=to.max(from));
        let Ok(drawn) = u8::try_from(drawn) else {
            return Ok(Some(low));
        };
        let start = [&low[..shared], &[drawn]].concat();
        let end = helios_storage::prefix_successor(&start);
        let (first, last) = (ends.first(&start)?, ends.last(end.as_deref())?);
        if let (Some(first), Some(last)) = (first, last)
            && first <= last
        {
            (low, high) = (first, last);
        }
    }
    Ok(Some(low))
}

struct SubEnds<'e, 'a> {
    access: &'e mut Access<'a>,
    version: Version,
    within: &'static [u8],
}

impl Ends for SubEnds<'_, '_> {
    fn first(&mut self, low: &[u8]) -> Result<Option<Vec<u8>>> {
        let low = [self.within, low].concat();
        let range = SubRange {
            low: &low,
            ..SubRange::all(self.within)
        };
        self.find(range)
    }

    fn last(&mut self, high: Option<&[u8]>) -> Result<Option<Vec<u8>>> {
        let high = high.map(|high| [self.within, high].concat());
        let range = SubRange {
            high: high.as_deref(),
            reverse: true,
            ..SubRange::all(self.within)
        };
        self.find(range)
    }
}

impl SubEnds<'_, '_> {
    fn find(&mut self, range: SubRange<'_>) -> Result<Option<Vec<u8>>> {
        let found = self.access.sub_first(&self.version, range)?;
        Ok(found.and_then(|(sub, _)| sub.get(self.within.len()..).map(<[u8]>::to_vec)))
    }
}

/// The leading part of the sub-keys that hold a collection's elements.
fn elements_of(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::SortedSet => super::zsets::BY_MEMBER,
        _ => &[],
    }
}

impl Access<'_> {
    /// All elements of a hash, set or sorted set, in stored order. A score comes as its eight bytes.
    pub fn elements(&mut self, slot: &Slot<'_>) -> Result<Vec<Element>> {
        let Some(entry) = slot.entry()? else {
            return Ok(Vec::new());
        };
        match entry.form {
            Form::String(_) => Ok(Vec::new()),
            Form::Small { items, .. } => small_elements(entry.kind, items),
            Form::Large(meta) => {
                let within = elements_of(entry.kind);
                let mut all = Vec::new();
                self.sub_scan(&meta.version, SubRange::all(within), &mut |sub, value| {
                    let sub = sub.get(within.len()..).unwrap_or_default();
                    all.push((sub.to_vec(), value.to_vec()));
                    Ok(true)
                })?;
                Ok(all)
            }
        }
    }

    /// Up to `count` different elements, drawn at random.
    pub fn random_distinct(&mut self, slot: &Slot<'_>, count: usize) -> Result<Vec<Element>> {
        let Some(entry) = slot.entry()? else {
            return Ok(Vec::new());
        };
        let total = entry.count();
        let large = entry
            .meta()
            .filter(|_| total > WALK_MAX && count as u64 <= total / 8);
        let Some(meta) = large else {
            let mut all = self.elements(slot)?;
            let (drawn, _) = all.partial_shuffle(&mut rand::rng(), count);
            return Ok(drawn.to_vec());
        };
        let mut seen = HashSet::new();
        let mut drawn = Vec::new();
        // A bias of the data may make a pick return the same again; what is missing after enough
        // attempts is taken in order.
        for _ in 0..count * 8 {
            if drawn.len() == count {
                return Ok(drawn);
            }
            let Some(element) = self.pick(entry.kind, &meta.version)? else {
                break;
            };
            if seen.insert(element.0.clone()) {
                drawn.push(element);
            }
        }
        let within = elements_of(entry.kind);
        self.sub_scan(&meta.version, SubRange::all(within), &mut |sub, value| {
            let sub = sub.get(within.len()..).unwrap_or_default();
            if drawn.len() < count && seen.insert(sub.to_vec()) {
                drawn.push((sub.to_vec(), value.to_vec()));
            }
            Ok(drawn.len() < count)
        })?;
        Ok(drawn)
    }

    /// `count` elements drawn independently of each other, shown one by one.
    pub fn random_repeated(
        &mut self,
        slot: &Slot<'_>,
        count: usize,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<()> {
        let Some(entry) = slot.entry()? else {
            return Ok(());
        };
        match entry.meta() {
            Some(meta) if entry.count() > WALK_MAX && (count as u64) < entry.count() / 8 => {
                for _ in 0..count {
                    if let Some((element, value)) = self.pick(entry.kind, &meta.version)? {
                        each(&element, &value);
                    }
                }
            }
            _ => {
                let all = self.elements(slot)?;
                let mut random = rand::rng();
                if all.is_empty() {
                    return Ok(());
                }
                for _ in 0..count {
                    let (element, value) = &all[random.random_range(0..all.len())];
                    each(element, value);
                }
            }
        }
        Ok(())
    }

    fn pick(&mut self, kind: Kind, version: &Version) -> Result<Option<Element>> {
        let within = elements_of(kind);
        let mut ends = SubEnds {
            access: self,
            version: *version,
            within,
        };
        let Some(element) = descend(&mut ends)? else {
            return Ok(None);
        };
        let sub = [within, &element].concat();
        Ok(self
            .sub_get(version, &sub)?
            .map(|value| (element, value.to_vec())))
    }
}

fn small_elements(kind: Kind, items: Packed<'_>) -> Result<Vec<Element>> {
    Ok(match kind {
        Kind::Hash => items
            .collect_pairs()?
            .into_iter()
            .map(|(field, value)| (field.to_vec(), value.to_vec()))
            .collect(),
        Kind::SortedSet => items
            .collect()?
            .into_iter()
            .map(|item| {
                let (score, member) = item.split_at(item.len().min(8));
                (member.to_vec(), score.to_vec())
            })
            .collect(),
        _ => items
            .collect()?
            .into_iter()
            .map(|item| (item.to_vec(), Vec::new()))
            .collect(),
    })
}
