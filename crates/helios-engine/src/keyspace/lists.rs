//! Lists. Small: the items in order. Large: chunks of packed items.
//!
//! The sub-key of a chunk is its number, eight bytes big endian; the entry holds the first and the
//! last number. A push rewrites the chunk at its end or begins a new one, a pop removes an item from
//! the chunk at its end, so that a queue of any length costs one small write a step and leaves one
//! deletion a chunk. Numbers begin in the middle of their range. A chunk in the middle may be
//! missing after LREM; those at both ends are there.

use super::SMALL_BYTES_MAX;
use super::access::{Access, Slot, SubRange};
use super::entry::{Entry, Form, Kind, Meta};
use super::packed::{self, Packed};
use helios_types::{Result, bail};
use smallvec::SmallVec;
use std::collections::BTreeSet;

/// A chunk that would grow beyond this is left as it is and a new one begun.
const CHUNK_BYTES_MAX: usize = 512;
/// A chunk in the middle may grow to this before it is divided.
const CHUNK_BYTES_SPLIT: usize = 8 * 1024;
/// The number of the first chunk of a new list.
const MIDDLE: u64 = 1 << 63;

/// One end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Left,
    Right,
}

/// What LINSERT found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    NoKey,
    NoPivot,
    Length(u64),
}

type Item = Vec<u8>;

fn pack<'i>(items: impl IntoIterator<Item = &'i [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in items {
        packed::push(&mut bytes, item);
    }
    bytes
}

/// Indexes `start..=stop`, counted from the end when negative, within `length`.
pub fn resolve_range(start: i64, stop: i64, length: u64) -> Option<(u64, u64)> {
    let length = i64::try_from(length).ok()?;
    let start = if start < 0 {
        (length.saturating_add(start)).max(0)
    } else {
        start
    };
    let stop = if stop < 0 {
        length.saturating_add(stop)
    } else {
        stop.min(length - 1)
    };
    (start <= stop && start < length).then_some((start as u64, stop as u64))
}

impl<'a> Access<'a> {
    /// The list under `key`, for the methods that take its slot.
    pub fn list(&mut self, key: &[u8]) -> Result<Slot<'a>> {
        let slot = self.slot_pinned(key)?;
        slot.of(Kind::List)?;
        Ok(slot)
    }

    fn chunk(&self, meta: &Meta, number: u64) -> Result<Option<super::access::SubValue<'a>>> {
        self.sub_get(&meta.version, &number.to_be_bytes())
    }

    fn put_chunk(&mut self, meta: &Meta, number: u64, items: &[u8]) -> Result<()> {
        self.sub_put(&meta.version, &number.to_be_bytes(), items)
    }

    /// Shows the chunks of a list with their numbers, from one end on.
    fn chunks(
        &mut self,
        meta: &Meta,
        end: End,
        visit: &mut dyn FnMut(u64, Packed<'_>) -> Result<bool>,
    ) -> Result<()> {
        let low = meta.first.to_be_bytes();
        let high = meta.last.checked_add(1).map(u64::to_be_bytes);
        let range = SubRange {
            within: &[],
            low: &low,
            high: high.as_ref().map(|high| high.as_slice()),
            reverse: end == End::Right,
        };
        self.sub_scan(&meta.version, range, &mut |sub, items| {
            let number = sub
                .first_chunk::<8>()
                .map_or(0, |bytes| u64::from_be_bytes(*bytes));
            visit(number, Packed::new(items))
        })
    }

    /// LPUSH and RPUSH: the new length. With `only_existing` nothing is made of nothing.
    pub fn list_push<'i>(
        &mut self,
        key: &[u8],
        end: End,
        items: impl Iterator<Item = &'i [u8]> + Clone,
        only_existing: bool,
    ) -> Result<u64> {
        let slot = self.slot(key)?;
        let entry = slot.of(Kind::List)?;
        if entry.is_none() && only_existing {
            return Ok(0);
        }
        let added: usize = items.clone().map(|item| packed::size(item.len())).sum();
        let (count, old) = match entry.map(|entry| entry.form) {
            Some(Form::Large(meta)) => return self.list_push_large(&slot, meta, end, items),
            Some(Form::Small { count, items }) => (count, items),
            _ => (0, Packed::default()),
        };
        if old.bytes().len() + added > SMALL_BYTES_MAX {
            let meta = self.list_grow(old)?;
            return self.list_push_large(&slot, meta, end, items);
        }
        let mut bytes = Vec::with_capacity(old.bytes().len() + added);
        let mut pushed = 0;
        match end {
            End::Right => {
                bytes.extend_from_slice(old.bytes());
                for item in items {
                    packed::push(&mut bytes, item);
                    pushed += 1;
                }
            }
            End::Left => {
                let items: SmallVec<[&[u8]; 8]> = items.collect();
                pushed = items.len();
                for item in items.into_iter().rev() {
                    packed::push(&mut bytes, item);
                }
                bytes.extend_from_slice(old.bytes());
            }
        }
        self.put_small(&slot, Kind::List, 0, count + pushed, &bytes)?;
        Ok((count + pushed) as u64)
    }

    /// Moves the items of a small list into chunks.
    fn list_grow(&mut self, items: Packed<'_>) -> Result<Meta> {
        let items = items.collect()?;
        let mut meta = Meta {
            first: MIDDLE,
            last: MIDDLE - 1,
            ..Meta::new(self.new_version(), 0)
        };
        self.append_chunks(&mut meta, items.into_iter())?;
        Ok(meta)
    }

    /// Begins new chunks behind the last one and fills them.
    fn append_chunks<'i>(
        &mut self,
        meta: &mut Meta,
        items: impl Iterator<Item = &'i [u8]>,
    ) -> Result<()> {
        let mut bytes = Vec::new();
        for item in items {
            if !bytes.is_empty() && bytes.len() + packed::size(item.len()) > CHUNK_BYTES_MAX {
                meta.last += 1;
                self.put_chunk(meta, meta.last, &bytes)?;
                bytes.clear();
            }
            packed::push(&mut bytes, item);
            meta.count += 1;
        }
        if !bytes.is_empty() {
            meta.last += 1;
            self.put_chunk(meta, meta.last, &bytes)?;
        }
        Ok(())
    }

    fn list_push_large<'i>(
        &mut self,
        slot: &Slot<'_>,
        mut meta: Meta,
        end: End,
        items: impl Iterator<Item = &'i [u8]>,
    ) -> Result<u64> {
        let number = if end == End::Left {
            meta.first
        } else {
            meta.last
        };
        let mut chunk = match meta.count {
            0 => Vec::new(),
            _ => self
                .chunk(&meta, number)?
                .map_or_else(Vec::new, |chunk| chunk.to_vec()),
        };
        let mut front: Vec<u8> = Vec::new();
        for item in items {
            let size = packed::size(item.len());
            if !chunk.is_empty() && chunk.len() + size > CHUNK_BYTES_MAX {
                self.put_end_chunk(&mut meta, end, &chunk)?;
                match end {
                    End::Left => meta.first -= 1,
                    End::Right => meta.last += 1,
                }
                chunk.clear();
            }
            match end {
                End::Right => packed::push(&mut chunk, item),
                End::Left => {
                    front.clear();
                    packed::push(&mut front, item);
                    chunk.splice(0..0, front.iter().copied());
                }
            }
            meta.count += 1;
        }
        self.put_end_chunk(&mut meta, end, &chunk)?;
        self.put_large(slot, Kind::List, 0, &meta)?;
        Ok(meta.count)
    }

    fn put_end_chunk(&mut self, meta: &mut Meta, end: End, chunk: &[u8]) -> Result<()> {
        // A list without chunks has its last number before its first.
        if meta.last < meta.first {
            match end {
                End::Left => meta.first = meta.last,
                End::Right => meta.last = meta.first,
            }
        }
        let number = if end == End::Left {
            meta.first
        } else {
            meta.last
        };
        self.put_chunk(meta, number, chunk)
    }

    /// LPOP and RPOP: up to `count` items, the one at the end first; `None` when there is no list.
    pub fn list_pop(&mut self, key: &[u8], end: End, count: u64) -> Result<Option<Vec<Item>>> {
        let slot = self.slot(key)?;
        let Some(entry) = slot.of(Kind::List)? else {
            return Ok(None);
        };
        let mut popped = Vec::new();
        match entry.form {
            Form::Small {
                count: length,
                items,
            } => {
                let rest = take_packed(items, end, count, &mut popped)?;
                if !popped.is_empty() {
                    let left = length.saturating_sub(popped.len());
                    self.put_small(&slot, Kind::List, 0, left, rest)?;
                }
            }
            Form::Large(meta) => {
                self.list_pop_large(&slot, meta, end, count, &mut popped)?;
            }
            Form::String(_) => {}
        }
        Ok(Some(popped))
    }

    fn list_pop_large(
        &mut self,
        slot: &Slot<'_>,
        mut meta: Meta,
        end: End,
        count: u64,
        popped: &mut Vec<Item>,
    ) -> Result<()> {
        while (popped.len() as u64) < count && meta.count > 0 {
            let number = if end == End::Left {
                meta.first
            } else {
                meta.last
            };
            let Some(chunk) = self.chunk(&meta, number)? else {
                let Some(next) = self.end_chunk(&meta, end)? else {
                    break;
                };
                match end {
                    End::Left => meta.first = next,
                    End::Right => meta.last = next,
                }
                continue;
            };
            let before = popped.len();
            let wanted = count - before as u64;
            let rest = take_packed(Packed::new(&chunk), end, wanted, popped)?;
            meta.count = meta.count.saturating_sub((popped.len() - before) as u64);
            if rest.is_empty() {
                self.sub_delete(&meta.version, &number.to_be_bytes())?;
                match end {
                    End::Left => meta.first += 1,
                    End::Right => meta.last -= 1,
                }
            } else {
                self.put_chunk(&meta, number, rest)?;
            }
        }
        if popped.is_empty() {
            return Ok(());
        }
        self.put_large(slot, Kind::List, 0, &meta)
    }

    /// The number of the chunk that really stands at an end.
    fn end_chunk(&mut self, meta: &Meta, end: End) -> Result<Option<u64>> {
        let mut found = None;
        self.chunks(meta, end, &mut |number, _| {
            found = Some(number);
            Ok(false)
        })?;
        Ok(found)
    }

    /// LRANGE: shows the items from `first` to `last`, both inclusive and resolved.
    pub fn list_visit(
        &mut self,
        slot: &Slot<'_>,
        first: u64,
        last: u64,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        let mut at = 0u64;
        match slot.of(Kind::List)?.map(|entry| entry.form) {
            Some(Form::Small { items, .. }) => {
                let mut iter = items.items();
                while let Some(item) = iter.next_item()? {
                    if at >= first && at <= last {
                        each(item);
                    }
                    at += 1;
                }
            }
            Some(Form::Large(meta)) if first > meta.count / 2 => {
                let mut picked: Vec<Vec<u8>> = Vec::new();
                at = meta.count;
                self.chunks(&meta, End::Right, &mut |_, chunk| {
                    for item in chunk.collect()?.into_iter().rev() {
                        at = at.saturating_sub(1);
                        if at >= first && at <= last {
                            picked.push(item.to_vec());
                        }
                    }
                    Ok(at > first)
                })?;
                for item in picked.iter().rev() {
                    each(item);
                }
            }
            Some(Form::Large(meta)) => {
                self.chunks(&meta, End::Left, &mut |_, chunk| {
                    let mut iter = chunk.items();
                    while let Some(item) = iter.next_item()? {
                        if at >= first && at <= last {
                            each(item);
                        }
                        at += 1;
                    }
                    Ok(at <= last)
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    /// All items in order; for the commands that work on the whole list.
    pub fn list_items(&mut self, slot: &Slot<'_>) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        self.list_visit(slot, 0, u64::MAX, &mut |item| items.push(item.to_vec()))?;
        Ok(items)
    }

    /// LINDEX.
    pub fn list_at(&mut self, slot: &Slot<'_>, index: i64) -> Result<Option<Item>> {
        let length = slot.of(Kind::List)?.map_or(0, |entry| entry.count());
        let Some(at) = absolute(index, length) else {
            return Ok(None);
        };
        let mut found = None;
        self.list_visit(slot, at, at, &mut |item| found = Some(item.to_vec()))?;
        Ok(found)
    }

    /// Replaces a list by other items; the expiry stays. No items: no list.
    fn list_rewrite(&mut self, slot: &Slot<'_>, items: &[Item]) -> Result<()> {
        let size: usize = items.iter().map(|item| packed::size(item.len())).sum();
        if size <= SMALL_BYTES_MAX {
            let bytes = pack(items.iter().map(Vec::as_slice));
            return self.put_small(slot, Kind::List, 0, items.len(), &bytes);
        }
        let mut meta = Meta {
            first: MIDDLE,
            last: MIDDLE - 1,
            ..Meta::new(self.new_version(), 0)
        };
        self.append_chunks(&mut meta, items.iter().map(Vec::as_slice))?;
        self.put_large(slot, Kind::List, 0, &meta)
    }

    /// LSET.
    pub fn list_set(&mut self, key: &[u8], index: i64, item: &[u8]) -> Result<()> {
        let slot = self.slot(key)?;
        let Some(entry) = slot.of(Kind::List)? else {
            bail!(UndefinedObject, "no such key");
        };
        let Some(at) = absolute(index, entry.count()) else {
            bail!(ArraySubscriptError, "index out of range");
        };
        match entry.form {
            Form::Large(meta) => {
                let Some((number, chunk, within)) = self.locate(&meta, at)? else {
                    bail!(
                        DataCorrupted,
                        "a list of the keyspace has fewer items than it counts"
                    );
                };
                let mut items = Packed::new(&chunk).collect()?;
                if let Some(place) = items.get_mut(within) {
                    *place = item;
                }
                let bytes = pack(items.iter().copied());
                self.put_chunk(&meta, number, &bytes)?;
                self.put_large(&slot, Kind::List, 0, &meta)
            }
            _ => {
                let mut items = self.list_items(&slot)?;
                items[at as usize] = item.to_vec();
                self.list_rewrite(&slot, &items)
            }
        }
    }

    /// The chunk that holds the item at `at`, and the item's place in it.
    fn locate(&mut self, meta: &Meta, at: u64) -> Result<Option<(u64, Vec<u8>, usize)>> {
        let mut found = None;
        let from_left = at <= meta.count / 2;
        let mut skip = if from_left { at } else { meta.count - 1 - at };
        let end = if from_left { End::Left } else { End::Right };
        self.chunks(meta, end, &mut |number, chunk| {
            let length = chunk.collect()?.len();
            if skip < length as u64 {
                let within = if from_left {
                    skip as usize
                } else {
                    length - 1 - skip as usize
                };
                found = Some((number, chunk.bytes().to_vec(), within));
                return Ok(false);
            }
            skip -= length as u64;
            Ok(true)
        })?;
        Ok(found)
    }

    /// LINSERT.
    pub fn list_insert(
        &mut self,
        key: &[u8],
        before: bool,
        pivot: &[u8],
        item: &[u8],
    ) -> Result<Inserted> {
        let slot = self.slot(key)?;
        let Some(entry) = slot.of(Kind::List)? else {
            return Ok(Inserted::NoKey);
        };
        let Form::Large(mut meta) = entry.form else {
            let mut items = self.list_items(&slot)?;
            let Some(at) = items.iter().position(|other| other == pivot) else {
                return Ok(Inserted::NoPivot);
            };
            items.insert(if before { at } else { at + 1 }, item.to_vec());
            self.list_rewrite(&slot, &items)?;
            return Ok(Inserted::Length(items.len() as u64));
        };
        let mut found = None;
        self.chunks(&meta, End::Left, &mut |number, chunk| {
            let items = chunk.collect()?;
            let Some(at) = items.iter().position(|other| *other == pivot) else {
                return Ok(true);
            };
            let mut items: Vec<Item> = items.into_iter().map(<[u8]>::to_vec).collect();
            items.insert(if before { at } else { at + 1 }, item.to_vec());
            found = Some((number, items));
            Ok(false)
        })?;
        let Some((number, items)) = found else {
            return Ok(Inserted::NoPivot);
        };
        meta.count += 1;
        let bytes = pack(items.iter().map(Vec::as_slice));
        let length = meta.count;
        self.put_chunk(&meta, number, &bytes)?;
        self.put_large(&slot, Kind::List, 0, &meta)?;
        if bytes.len() > CHUNK_BYTES_SPLIT {
            // Chunk numbers leave no room between two, so the list is laid out anew; that happens
            // once in hundreds of insertions at one place.
            let slot = self.slot(key)?;
            let items = self.list_items(&slot)?;
            self.list_rewrite(&slot, &items)?;
        }
        Ok(Inserted::Length(length))
    }

    /// LREM: how many were removed. A negative count begins at the right.
    pub fn list_remove(&mut self, key: &[u8], count: i64, item: &[u8]) -> Result<u64> {
        let slot = self.slot(key)?;
        let Some(entry) = slot.of(Kind::List)? else {
            return Ok(0);
        };
        let most = if count == 0 {
            u64::MAX
        } else {
            count.unsigned_abs()
        };
        let end = if count < 0 { End::Right } else { End::Left };
        let Form::Large(mut meta) = entry.form else {
            let mut items = self.list_items(&slot)?;
            let removed = remove_equal(&mut items, item, most, end);
            if removed > 0 {
                self.list_rewrite(&slot, &items)?;
            }
            return Ok(removed);
        };
        let mut removed = 0;
        let mut rewritten: Vec<(u64, Vec<Item>)> = Vec::new();
        self.chunks(&meta, end, &mut |number, chunk| {
            let items = chunk.collect()?;
            if items.contains(&item) {
                let mut items: Vec<Item> = items.into_iter().map(<[u8]>::to_vec).collect();
                removed += remove_equal(&mut items, item, most - removed, end);
                rewritten.push((number, items));
            }
            Ok(removed < most)
        })?;
        if removed == 0 {
            return Ok(0);
        }
        meta.count = meta.count.saturating_sub(removed);
        for (number, items) in rewritten {
            if items.is_empty() {
                self.sub_delete(&meta.version, &number.to_be_bytes())?;
            } else {
                let bytes = pack(items.iter().map(Vec::as_slice));
                self.put_chunk(&meta, number, &bytes)?;
            }
        }
        if meta.count > 0 {
            meta.first = self.end_chunk(&meta, End::Left)?.unwrap_or(meta.first);
            meta.last = self.end_chunk(&meta, End::Right)?.unwrap_or(meta.last);
        }
        self.put_large(&slot, Kind::List, 0, &meta)?;
        Ok(removed)
    }

    /// LTRIM: keeps the items from `start` to `stop`.
    pub fn list_trim(&mut self, key: &[u8], start: i64, stop: i64) -> Result<()> {
        let slot = self.slot(key)?;
        let Some(entry) = slot.of(Kind::List)? else {
            return Ok(());
        };
        let length = entry.count();
        let Some((first, last)) = resolve_range(start, stop, length) else {
            return self.remove(&slot);
        };
        if first == 0 && last + 1 == length {
            return Ok(());
        }
        match entry.form {
            Form::Large(_) => {
                if last + 1 < length {
                    self.list_pop(key, End::Right, length - 1 - last)?;
                }
                if first > 0 {
                    self.list_pop(key, End::Left, first)?;
                }
                Ok(())
            }
            _ => {
                let mut items = self.list_items(&slot)?;
                items.truncate(last as usize + 1);
                items.drain(..first as usize);
                self.list_rewrite(&slot, &items)
            }
        }
    }

    /// Removes the items at some places; those behind them move up.
    pub(crate) fn list_remove_places(&mut self, key: &[u8], places: &BTreeSet<u64>) -> Result<()> {
        let slot = self.slot(key)?;
        let length = slot.of(Kind::List)?.map_or(0, |entry| entry.count());
        let run = |pairs: &mut dyn Iterator<Item = (u64, &u64)>| {
            pairs.take_while(|(at, place)| at == *place).count() as u64
        };
        let left = run(&mut (0..length).zip(places));
        let right = run(&mut (0..length).rev().zip(places.iter().rev()));
        if left == length {
            return self.remove(&slot);
        }
        if left + right == places.len() as u64 {
            self.list_pop(key, End::Right, right)?;
            self.list_pop(key, End::Left, left)?;
            return Ok(());
        }
        let mut at = 0;
        let mut items = self.list_items(&slot)?;
        items.retain(|_| {
            at += 1;
            !places.contains(&(at - 1))
        });
        self.list_rewrite(&slot, &items)
    }

    /// LMOVE: the item that was moved; `None` when the source is empty.
    pub fn list_move(
        &mut self,
        source: &[u8],
        destination: &[u8],
        from: End,
        to: End,
    ) -> Result<Option<Item>> {
        if self.slot(source)?.of(Kind::List)?.is_none() {
            return Ok(None);
        }
        self.slot(destination)?.of(Kind::List)?;
        let popped = self.list_pop(source, from, 1)?;
        let Some(item) = popped.and_then(|mut items| items.pop()) else {
            return Ok(None);
        };
        self.list_push(destination, to, std::iter::once(item.as_slice()), false)?;
        Ok(Some(item))
    }

    /// SORT … STORE: puts a list in the place of whatever is under `key`.
    pub fn list_store(&mut self, key: &[u8], items: &[Item]) -> Result<()> {
        let slot = self.slot(key)?;
        self.remove(&slot)?;
        if items.is_empty() {
            return Ok(());
        }
        self.list_push(key, End::Right, items.iter().map(Vec::as_slice), false)?;
        Ok(())
    }
}

/// Takes up to `count` items from one end; what is left.
fn take_packed<'p>(
    items: Packed<'p>,
    end: End,
    count: u64,
    popped: &mut Vec<Item>,
) -> Result<&'p [u8]> {
    let bytes = items.bytes();
    let mut iter = items.items();
    if end == End::Left {
        for _ in 0..count {
            match iter.next_item()? {
                Some(item) => popped.push(item.to_vec()),
                None => break,
            }
        }
        return Ok(iter.rest());
    }
    let mut found: SmallVec<[(usize, &[u8]); 64]> = SmallVec::new();
    loop {
        let at = bytes.len() - iter.rest().len();
        match iter.next_item()? {
            Some(item) => found.push((at, item)),
            None => break,
        }
    }
    let kept = found
        .len()
        .saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
    let taken = found.get(kept..).unwrap_or_default();
    popped.extend(taken.iter().rev().map(|(_, item)| item.to_vec()));
    let end = taken.first().map_or(bytes.len(), |(at, _)| *at);
    Ok(bytes.get(..end).unwrap_or_default())
}

fn remove_equal(items: &mut Vec<Item>, item: &[u8], most: u64, end: End) -> u64 {
    let mut removed = 0;
    if end == End::Right {
        items.reverse();
    }
    items.retain(|other| {
        let remove = removed < most && other == item;
        removed += u64::from(remove);
        !remove
    });
    if end == End::Right {
        items.reverse();
    }
    removed
}

fn absolute(index: i64, length: u64) -> Option<u64> {
    let length = i64::try_from(length).ok()?;
    let at = if index < 0 {
        length.checked_add(index)?
    } else {
        index
    };
    (0..length).contains(&at).then_some(at as u64)
}

/// How OBJECT ENCODING names the form of a list.
pub fn encoding(entry: &Entry<'_>, max_size: i64) -> &'static str {
    let (items, bytes) = match entry.form {
        Form::Small { count, items } => (count as u64, items.bytes().len() as u64),
        Form::Large(meta) => (
            meta.count,
            (meta.last.saturating_sub(meta.first) + 1) * CHUNK_BYTES_MAX as u64,
        ),
        Form::String(_) => (0, 0),
    };
    let fits = if max_size >= 0 {
        items <= max_size as u64
    } else {
        bytes <= 4096 << (-max_size - 1).clamp(0, 4)
    };
    if fits { "listpack" } else { "quicklist" }
}
