//! A sequence of byte strings in one value: each item is its length as a LEB128 number, then its
//! bytes. Small collections and the chunks of lists are stored this way; what an item means (a
//! field, a value, a score and a member) is the business of the collection.

use helios_types::{Result, bail};

/// A packed sequence, borrowed from a stored value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packed<'a> {
    bytes: &'a [u8],
}

impl<'a> Packed<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Packed { bytes }
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn items(&self) -> Items<'a> {
        Items { rest: self.bytes }
    }

    /// All items; an error when the bytes are not a packed sequence.
    pub fn collect(&self) -> Result<Vec<&'a [u8]>> {
        let mut items = Vec::new();
        let mut iter = self.items();
        while let Some(item) = iter.next_item()? {
            items.push(item);
        }
        Ok(items)
    }

    /// All items as pairs of two.
    pub fn collect_pairs(&self) -> Result<Vec<(&'a [u8], &'a [u8])>> {
        let mut pairs = Vec::new();
        let mut iter = self.items();
        while let Some(pair) = iter.next_pair()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// Walks over the items of a packed sequence.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    rest: &'a [u8],
}

impl<'a> Items<'a> {
    pub fn next_item(&mut self) -> Result<Option<&'a [u8]>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut length = 0usize;
        let mut shift = 0;
        loop {
            let Some((&byte, tail)) = self.rest.split_first() else {
                bail!(
                    DataCorrupted,
                    "a packed sequence of the keyspace ends inside a length"
                );
            };
            self.rest = tail;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 28 {
                bail!(
                    DataCorrupted,
                    "a packed sequence of the keyspace has a bad length"
                );
            }
        }
        let Some((item, tail)) = self.rest.split_at_checked(length) else {
            bail!(
                DataCorrupted,
                "a packed sequence of the keyspace ends inside an item"
            );
        };
        self.rest = tail;
        Ok(Some(item))
    }

    pub fn next_pair(&mut self) -> Result<Option<(&'a [u8], &'a [u8])>> {
        let Some(first) = self.next_item()? else {
            return Ok(None);
        };
        match self.next_item()? {
            Some(second) => Ok(Some((first, second))),
            None => bail!(
                DataCorrupted,
                "a packed sequence of the keyspace has half a pair"
            ),
        }
    }

    /// The bytes that have not been walked over.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Appends one item.
pub fn push(out: &mut Vec<u8>, item: &[u8]) {
    push_parts(out, &[item]);
}

/// Appends one item that is made of several parts.
pub fn push_parts(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    loop {
        let byte = (length & 0x7f) as u8;
        length >>= 7;
        if length == 0 {
            out.push(byte);
            break;
        }
        out.push(byte | 0x80);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// How many bytes an item of `length` bytes takes.
pub fn size(length: usize) -> usize {
    let mut header = 1;
    let mut rest = length >> 7;
    while rest > 0 {
        header += 1;
        rest >>= 7;
    }
    header + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_back_as_they_were_pushed() {
        let long = vec![7u8; 20_000];
        let items: [&[u8]; 5] = [b"", b"a", b"bc", &long, &long[..127]];
        let mut bytes = Vec::new();
        for item in items {
            push(&mut bytes, item);
        }
        assert_eq!(
            bytes.len(),
            items.iter().map(|item| size(item.len())).sum::<usize>()
        );
        assert_eq!(Packed::new(&bytes).collect().unwrap(), items);
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        for bytes in [&b"\x05ab"[..], b"\xff\xff\xff\xff\xff\x01", b"\x80"] {
            assert!(Packed::new(bytes).collect().is_err());
        }
        assert!(Packed::new(b"\x01a").collect_pairs().is_err());
    }
}
