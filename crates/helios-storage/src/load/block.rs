//! Entries of a load in one piece of memory, and their order.

/// Bytes of entries after which a block is handed over.
const BYTES: usize = 4 << 20;
/// Entries after which it is.
const ENTRIES: usize = 1 << 16;

/// Sixteen bytes of a key after the object's prefix: what decides most comparisons.
pub(super) type Head = (u64, u64);

pub(super) fn head_of(key: &[u8]) -> Head {
    let mut bytes = [0; 16];
    let rest = key.get(crate::space::Prefix::LEN..).unwrap_or_default();
    let n = rest.len().min(bytes.len());
    bytes[..n].copy_from_slice(&rest[..n]);
    let number = u128::from_be_bytes(bytes);
    ((number >> 64) as u64, number as u64)
}

#[derive(Clone, Copy)]
struct Slot {
    head: Head,
    tag: u64,
    at: u32,
    key: u32,
    value: u32,
}

pub(super) struct Block {
    data: Vec<u8>,
    slots: Vec<Slot>,
    /// Whether each key is larger than the one before it.
    ascending: bool,
}

pub(super) struct Entry<'a> {
    pub(super) head: Head,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) tag: u64,
}

fn key_of<'d>(data: &'d [u8], slot: &Slot) -> &'d [u8] {
    let at = slot.at as usize;
    data.get(at..at + slot.key as usize).unwrap_or_default()
}

impl Block {
    pub(super) fn new() -> Block {
        Block {
            data: Vec::with_capacity(BYTES + BYTES / 16),
            slots: Vec::with_capacity(ENTRIES),
            ascending: true,
        }
    }

    pub(super) fn clear(&mut self) {
        self.data.clear();
        self.slots.clear();
        self.ascending = true;
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.data.len() >= BYTES || self.slots.len() >= ENTRIES
    }

    pub(super) fn is_ascending(&self) -> bool {
        self.ascending
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.data.capacity() + self.slots.capacity() * size_of::<Slot>()
    }

    /// Adds an entry whose value `write` appends.
    #[inline]
    pub(super) fn push(&mut self, key: &[u8], tag: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let head = head_of(key);
        if self.ascending
            && let Some(last) = self.slots.last()
        {
            self.ascending =
                last.head < head || last.head == head && key_of(&self.data, last) < key;
        }
        let at = self.data.len();
        self.data.extend_from_slice(key);
        write(&mut self.data);
        self.slots.push(Slot {
            head,
            tag,
            at: at as u32,
            key: key.len() as u32,
            value: (self.data.len() - at - key.len()) as u32,
        });
    }

    /// How many entries, which are sorted, have keys before this one.
    pub(super) fn before(&self, key: &[u8]) -> usize {
        let head = head_of(key);
        self.slots.partition_point(|slot| {
            slot.head < head || slot.head == head && key_of(&self.data, slot) < key
        })
    }

    /// By key; what came first comes first.
    pub(super) fn sort(&mut self) {
        if self.ascending {
            return;
        }
        let data = &self.data;
        self.slots.sort_unstable_by(|a, b| {
            a.head
                .cmp(&b.head)
                .then_with(|| key_of(data, a).cmp(key_of(data, b)))
                .then(a.tag.cmp(&b.tag))
        });
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<Entry<'_>> {
        let slot = self.slots.get(index)?;
        let value = slot.at as usize + slot.key as usize;
        Some(Entry {
            head: slot.head,
            key: key_of(&self.data, slot),
            value: self.data.get(value..value + slot.value as usize)?,
            tag: slot.tag,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Vec<u8> {
        [&[7; 12][..], text.as_bytes()].concat()
    }

    #[test]
    fn a_block_sorts_by_key_and_then_by_tag() {
        let mut block = Block::new();
        let keys = [
            "b",
            "a longer key, the first one",
            "",
            "b",
            "a longer key, the second",
            "a",
        ];
        for (tag, text) in keys.iter().enumerate() {
            block.push(&key(text), tag as u64, |out| out.extend(text.bytes().rev()));
        }
        assert!(!block.is_ascending());
        block.sort();
        let found: Vec<_> = (0..block.len())
            .map(|i| {
                let entry = block.get(i).unwrap();
                let text = String::from_utf8(entry.key[12..].to_vec()).unwrap();
                assert!(entry.value.iter().rev().eq(text.as_bytes()));
                (text, entry.tag)
            })
            .collect();
        let tags: Vec<u64> = found.iter().map(|(_, tag)| *tag).collect();
        assert_eq!(tags, [2, 5, 1, 4, 0, 3]);
    }

    #[test]
    fn a_block_knows_whether_it_came_in_order() {
        let mut block = Block::new();
        for text in [
            "a",
            "aa",
            "b",
            "b and more than sixteen bytes",
            "b and more than sixteen c",
        ] {
            block.push(&key(text), 0, |_| {});
        }
        assert!(block.is_ascending());
        block.push(&key("b and more than sixteen c"), 0, |_| {});
        assert!(!block.is_ascending());
    }
}
