//! Writing BSON bytes: scalars, objects in jsonb's key order, arrays.

use super::{Jsonb, JsonbRef, NUMERIC_SUBTYPE, decimal128, element};
use crate::numeric::Numeric;
use std::cmp::Ordering;

/// jsonb's order of keys: by length, then by bytes.
pub(super) fn compare_keys(a: &str, b: &str) -> Ordering {
    a.len()
        .cmp(&b.len())
        .then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

pub(super) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32 + 1).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

pub(super) fn push_i64(out: &mut Vec<u8>, value: i64) -> u8 {
    match i32::try_from(value) {
        Ok(value) => {
            out.extend_from_slice(&value.to_le_bytes());
            element::INT32
        }
        Err(_) => {
            out.extend_from_slice(&value.to_le_bytes());
            element::INT64
        }
    }
}

/// Appends the value bytes of a number and returns its element type.
pub(super) fn push_numeric(out: &mut Vec<u8>, value: &Numeric) -> u8 {
    if !value.is_finite() {
        push_string(out, &value.to_string());
        return element::STRING;
    }
    if let Some((mantissa, 0)) = value.as_small() {
        return push_i64(out, mantissa);
    }
    if let Some(bytes) = decimal128::numeric_to_decimal128(value) {
        out.extend_from_slice(&bytes);
        return element::DECIMAL128;
    }
    let digits = value.to_string();
    out.extend_from_slice(&(digits.len() as u32).to_le_bytes());
    out.push(NUMERIC_SUBTYPE);
    out.extend_from_slice(digits.as_bytes());
    element::BINARY
}

/// A document whose length is patched in when it is closed.
pub(super) struct Container {
    start: usize,
}

impl Container {
    pub(super) fn open(out: &mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        Container { start }
    }

    pub(super) fn close(self, out: &mut Vec<u8>) {
        out.push(0);
        let len = (out.len() - self.start) as u32;
        out[self.start..self.start + 4].copy_from_slice(&len.to_le_bytes());
    }
}

pub(super) fn push_entry(out: &mut Vec<u8>, name: &str, value: JsonbRef<'_>) {
    out.push(value.element);
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.extend_from_slice(value.bytes);
}

pub(super) fn push_element(out: &mut Vec<u8>, index: usize, value: JsonbRef<'_>) {
    push_entry(out, itoa::Buffer::new().format(index), value);
}

/// Collects the members of an object. Keys must not contain a zero byte; what follows one is cut.
#[derive(Debug, Default)]
pub struct ObjectBuilder {
    names: String,
    values: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    name: (usize, usize),
    element: u8,
    value: (usize, usize),
}

impl ObjectBuilder {
    pub fn new() -> Self {
        ObjectBuilder::default()
    }

    pub fn push(&mut self, name: &str, value: JsonbRef<'_>) {
        self.push_with(name, |out| {
            out.extend_from_slice(value.bytes);
            value.element
        });
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// `write` appends the value's bytes and returns its element type.
    pub(super) fn push_with(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>) -> u8) {
        let name = name.split('\0').next().unwrap_or("");
        let name_start = self.names.len();
        self.names.push_str(name);
        let value_start = self.values.len();
        let element = write(&mut self.values);
        self.entries.push(Entry {
            name: (name_start, self.names.len()),
            element,
            value: (value_start, self.values.len()),
        });
    }

    fn name(&self, entry: &Entry) -> &str {
        &self.names[entry.name.0..entry.name.1]
    }

    /// The object in jsonb's key order; the last value of a key wins.
    pub fn finish(self) -> Jsonb {
        let mut out = vec![element::DOCUMENT];
        self.finish_into(&mut out);
        Jsonb::from_buffer(out)
    }

    pub(super) fn finish_into(mut self, out: &mut Vec<u8>) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by(|a, b| compare_keys(self.name(a), self.name(b)));
        let container = Container::open(out);
        for (i, entry) in entries.iter().enumerate() {
            // The sort is stable, so the last of equal keys stands last.
            let repeated = entries
                .get(i + 1)
                .is_some_and(|n| self.name(n) == self.name(entry));
            if !repeated {
                self.write(out, entry);
            }
        }
        container.close(out);
    }

    /// The object with its members in the order in which they were pushed.
    pub fn finish_in_order(self) -> Jsonb {
        let mut out = vec![element::DOCUMENT];
        let container = Container::open(&mut out);
        for entry in &self.entries {
            self.write(&mut out, entry);
        }
        container.close(&mut out);
        Jsonb::from_buffer(out)
    }

    fn write(&self, out: &mut Vec<u8>, entry: &Entry) {
        let bytes = &self.values[entry.value.0..entry.value.1];
        push_entry(
            out,
            self.name(entry),
            JsonbRef {
                element: entry.element,
                bytes,
            },
        );
    }
}

/// Writes the elements of an array.
#[derive(Debug)]
pub struct ArrayBuilder {
    out: Vec<u8>,
    len: usize,
}

impl Default for ArrayBuilder {
    fn default() -> Self {
        ArrayBuilder {
            out: vec![element::ARRAY, 0, 0, 0, 0],
            len: 0,
        }
    }
}

impl ArrayBuilder {
    pub fn new() -> Self {
        ArrayBuilder::default()
    }

    pub fn push(&mut self, value: JsonbRef<'_>) {
        push_element(&mut self.out, self.len, value);
        self.len += 1;
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The array as it is now; more elements may follow.
    pub fn snapshot(&self) -> Jsonb {
        ArrayBuilder {
            out: self.out.clone(),
            len: self.len,
        }
        .finish()
    }

    pub fn finish(mut self) -> Jsonb {
        self.out.push(0);
        let len = (self.out.len() - 1) as u32;
        self.out[1..5].copy_from_slice(&len.to_le_bytes());
        Jsonb::from_buffer(self.out)
    }
}
