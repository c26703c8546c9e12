//! Values that describe themselves: arrays, records and values of user-made types, at any depth.
//!
//! A tag byte says the representation. Lengths and counts are LEB128; fixed-width values are
//! little endian as in the row itself.

use super::{corrupt, get_fixed, put_fixed};
use crate::repr::Repr;
use helios_types::array::Dimension;
use helios_types::{Array, Numeric, Result, Value, ValueRef, bail, limits};
use std::sync::Arc;

const NULL: u8 = 0;
const TEXT: u8 = 15;
const BYTEA: u8 = 16;
const NUMERIC: u8 = 17;
const JSONB: u8 = 18;
const ARRAY: u8 = 19;
const RECORD: u8 = 20;

/// Fixed-width representations by their tag, counted from one.
const FIXED: [Repr; 14] = [
    Repr::Bool,
    Repr::Char,
    Repr::Int2,
    Repr::Int4,
    Repr::Int8,
    Repr::Oid,
    Repr::Float4,
    Repr::Float8,
    Repr::Date,
    Repr::Time,
    Repr::Timestamp,
    Repr::TimestampTz,
    Repr::Interval,
    Repr::Uuid,
];

fn fixed_tag(value: &ValueRef<'_>) -> Option<u8> {
    Some(match value {
        ValueRef::Bool(_) => 1,
        ValueRef::Char(_) => 2,
        ValueRef::Int2(_) => 3,
        ValueRef::Int4(_) => 4,
        ValueRef::Int8(_) => 5,
        ValueRef::Oid(_) => 6,
        ValueRef::Float4(_) => 7,
        ValueRef::Float8(_) => 8,
        ValueRef::Date(_) => 9,
        ValueRef::Time(_) => 10,
        ValueRef::Timestamp(_) => 11,
        ValueRef::TimestampTz(_) => 12,
        ValueRef::Interval(_) => 13,
        ValueRef::Uuid(_) => 14,
        _ => return None,
    })
}

pub(super) fn text(bytes: &[u8]) -> Result<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(_) => bail!(DataCorrupted, "stored text is not UTF-8"),
    }
}

fn put_length(out: &mut Vec<u8>, mut v: usize) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// What is left to read of a tagged value.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len).ok_or_else(corrupt)?;
        self.0 = rest;
        Ok(head)
    }

    fn u32(&mut self) -> Result<u32> {
        let (head, rest) = self.0.split_first_chunk::<4>().ok_or_else(corrupt)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*head))
    }

    fn length(&mut self) -> Result<usize> {
        let mut out = 0usize;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            out |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(out);
            }
        }
        Err(corrupt())
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.length()?;
        self.take(len)
    }
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

pub(super) fn put_tagged(out: &mut Vec<u8>, value: &ValueRef<'_>, depth: usize) -> Result<()> {
    if depth > limits::NESTING_MAX {
        bail!(
            LimitExceeded,
            "value is nested more than {} levels deep",
            limits::NESTING_MAX
        );
    }
    if let Some(tag) = fixed_tag(value) {
        let repr = FIXED[usize::from(tag) - 1];
        let width = super::fixed_width(repr).unwrap_or(0);
        out.push(tag);
        let at = out.len();
        out.resize(at + width, 0);
        return put_fixed(&mut out[at..], repr, value);
    }
    match value {
        ValueRef::Text(v) => put_bytes(out, TEXT, v.as_bytes()),
        ValueRef::Bytea(v) => put_bytes(out, BYTEA, v),
        ValueRef::Numeric(v) => {
            let mut bytes = Vec::new();
            v.to_bytes(&mut bytes);
            put_bytes(out, NUMERIC, &bytes);
        }
        ValueRef::Jsonb(v) => {
            out.push(JSONB);
            put_length(out, v.bytes.len() + 1);
            out.push(v.element);
            out.extend_from_slice(v.bytes);
        }
        ValueRef::Array(array) => put_array(out, array, depth)?,
        ValueRef::Record(fields) => {
            out.push(RECORD);
            put_length(out, fields.len());
            for (oid, field) in fields.iter() {
                out.extend_from_slice(&oid.to_le_bytes());
                put_tagged(out, &field.as_ref(), depth + 1)?;
            }
        }
        _ => out.push(NULL),
    }
    Ok(())
}

fn put_array(out: &mut Vec<u8>, array: &Array, depth: usize) -> Result<()> {
    if array.dimensions.len() > limits::ARRAY_DIMENSIONS_MAX {
        bail!(
            LimitExceeded,
            "array has {} dimensions",
            array.dimensions.len()
        );
    }
    out.push(ARRAY);
    out.extend_from_slice(&array.element.to_le_bytes());
    out.push(array.dimensions.len() as u8);
    for dimension in &array.dimensions {
        out.extend_from_slice(&dimension.len.to_le_bytes());
        out.extend_from_slice(&dimension.lower.to_le_bytes());
    }
    put_length(out, array.values.len());
    for value in &array.values {
        put_tagged(out, &value.as_ref(), depth + 1)?;
    }
    Ok(())
}

pub(super) fn get_tagged(bytes: &[u8]) -> Result<ValueRef<'_>> {
    let mut input = Input(bytes);
    let value = read_tagged(&mut input, 0)?;
    if input.0.is_empty() {
        Ok(value)
    } else {
        Err(corrupt())
    }
}

fn read_tagged<'a>(input: &mut Input<'a>, depth: usize) -> Result<ValueRef<'a>> {
    if depth > limits::NESTING_MAX {
        bail!(DataCorrupted, "stored value is nested too deep");
    }
    Ok(match input.byte()? {
        NULL => ValueRef::Null,
        tag @ 1..=14 => {
            let repr = FIXED[usize::from(tag) - 1];
            get_fixed(input.take(super::fixed_width(repr).unwrap_or(0))?, repr)?
        }
        TEXT => ValueRef::Text(text(input.bytes()?)?),
        BYTEA => ValueRef::Bytea(input.bytes()?),
        NUMERIC => ValueRef::Numeric(Numeric::from_bytes(input.bytes()?)?),
        JSONB => super::get_variable(input.bytes()?, Repr::Jsonb)?,
        ARRAY => ValueRef::Array(Arc::new(read_array(input, depth)?)),
        RECORD => {
            let count = input.length()?;
            // A field takes at least five bytes, which bounds what a corrupt count allocates.
            if count > input.0.len() / 5 {
                return Err(corrupt());
            }
            let mut fields = Vec::with_capacity(count);
            for _ in 0..count {
                let oid = input.u32()?;
                fields.push((oid, read_tagged(input, depth + 1)?.to_value()));
            }
            ValueRef::Record(fields.into())
        }
        tag => bail!(DataCorrupted, "stored value has the unknown tag {tag}"),
    })
}

fn read_array(input: &mut Input<'_>, depth: usize) -> Result<Array> {
    let element = input.u32()?;
    let count = usize::from(input.byte()?);
    if count > limits::ARRAY_DIMENSIONS_MAX {
        return Err(corrupt());
    }
    let mut dimensions = Vec::with_capacity(count);
    for _ in 0..count {
        dimensions.push(Dimension {
            len: input.u32()?,
            lower: input.u32()? as i32,
        });
    }
    let len = input.length()?;
    // Every element takes at least its tag.
    if len > input.0.len() {
        return Err(corrupt());
    }
    let mut values: Vec<Value> = Vec::with_capacity(len);
    for _ in 0..len {
        values.push(read_tagged(input, depth + 1)?.to_value());
    }
    Ok(Array {
        element,
        dimensions,
        values,
    })
}
