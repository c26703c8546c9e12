//! Keys as byte strings: comparing the bytes compares the values.
//!
//! A key column is a marker byte and the value's payload. The marker says NULL or not and is
//! chosen so that NULLs come first or last as the index wants; the payload is inverted bit by bit
//! for a descending column. Every payload ends by itself, so columns follow one another without
//! separators and no key of an object is a prefix of another.
//!
//! | value | payload |
//! | --- | --- |
//! | bool, "char", uuid, oid | the bytes, big endian |
//! | int2, int4, int8, date, time, timestamps | big endian with the sign bit flipped |
//! | float4, float8 | sign bit flipped, negative numbers inverted; -0 is 0; NaN is greatest |
//! | numeric | [`decimal`]: sign, exponent, digit pairs; `1.10` and `1.1` are one key |
//! | text, bytea | bytes with `00` written as `00 FF`, ended by `00 01` |
//! | interval | the length in microseconds with months of 30 days, as PostgreSQL compares it |
//! | array | elements, end, then dimensions, as PostgreSQL compares arrays |
//! | record | fields with their type, end |
//! | jsonb | [`json`]: PostgreSQL's order of jsonb |
//!
//! [`bson`] is a second encoding of the same documents: MongoDB's comparison order.
//!
//! What a key loses against its value (the display scale of a numeric, the sign of zero, the split
//! of an interval into months and days) is what comparison ignores; rows keep the value itself.

pub mod bson;
pub mod decimal;
mod element;
pub mod json;
mod reader;

pub use bson::encode_bson_key;

use crate::repr::Repr;
use helios_types::array::Dimension;
use helios_types::{Array, Interval, Result, Type, Value, ValueRef, bail, limits};
use reader::Reader;
use std::sync::Arc;

/// How one column of a key is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyColumn {
    pub descending: bool,
    pub nulls_first: bool,
}

impl KeyColumn {
    /// `ASC NULLS LAST`: what primary keys use, and the default of an index.
    pub const ASC: KeyColumn = KeyColumn {
        descending: false,
        nulls_first: false,
    };
    /// `DESC NULLS FIRST`: the default of a descending index column.
    pub const DESC: KeyColumn = KeyColumn {
        descending: true,
        nulls_first: true,
    };
}

const NULL_FIRST: u8 = 0;
const VALUE: u8 = 1;
const NULL_LAST: u8 = 2;
/// Ends a list of elements; smaller than both marks that an element can begin with.
const END: u8 = 0;

const MICROS_PER_DAY: i128 = 86_400_000_000;

/// Appends one column to a key.
#[inline]
pub fn encode_key(out: &mut Vec<u8>, value: ValueRef<'_>, column: KeyColumn) -> Result<()> {
    if value.is_null() {
        out.push(if column.nulls_first {
            NULL_FIRST
        } else {
            NULL_LAST
        });
        return Ok(());
    }
    out.push(VALUE);
    let start = out.len();
    encode_payload(out, &value, 0)?;
    if column.descending {
        invert(&mut out[start..]);
    }
    Ok(())
}

/// Takes one column of type `ty` off the front of a key: the value, and what follows it.
pub fn decode_key(bytes: &[u8], ty: Type, column: KeyColumn) -> Result<(Value, &[u8])> {
    let Some((&marker, rest)) = bytes.split_first() else {
        bail!(DataCorrupted, "key ends before a column of type {}", ty.oid);
    };
    match marker {
        VALUE => {
            let mut reader = Reader::new(rest, column.descending);
            let value = decode_payload(&mut reader, ty, 0)?;
            Ok((value, reader.rest()))
        }
        NULL_FIRST | NULL_LAST => Ok((Value::Null, rest)),
        _ => bail!(DataCorrupted, "key column begins with {marker:#04x}"),
    }
}

/// The smallest byte string greater than every string that begins with `prefix`; `None` when
/// there is none.
pub fn prefix_successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&b| b != 0xff)?;
    let mut out = prefix[..=last].to_vec();
    out[last] += 1;
    Some(out)
}

fn invert(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}

/// Appends `bytes` so that the order is kept and the end is known: `00` becomes `00 FF`, the end
/// is `00 01`.
#[inline]
pub(crate) fn escape(out: &mut Vec<u8>, mut bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    while let Some(zero) = bytes.iter().position(|&b| b == 0) {
        out.extend_from_slice(&bytes[..zero]);
        out.extend_from_slice(&[0, 0xff]);
        bytes = &bytes[zero + 1..];
    }
    out.extend_from_slice(bytes);
    out.extend_from_slice(&[0, 1]);
}

/// Undoes [`escape`]: the bytes, and what follows their end.
pub(crate) fn unescape(bytes: &[u8]) -> Result<(Vec<u8>, &[u8])> {
    let mut reader = Reader::new(bytes, false);
    let out = reader.escaped()?;
    Ok((out, reader.rest()))
}

pub(crate) fn float8_bits(v: f64) -> u64 {
    let v = if v.is_nan() { f64::NAN.abs() } else { v + 0.0 };
    let bits = v.to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

fn float8_from_bits(bits: u64) -> f64 {
    f64::from_bits(if bits >> 63 == 1 {
        bits & !(1 << 63)
    } else {
        !bits
    })
}

fn float4_bits(v: f32) -> u32 {
    let v = if v.is_nan() { f32::NAN.abs() } else { v + 0.0 };
    let bits = v.to_bits();
    if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    }
}

fn float4_from_bits(bits: u32) -> f32 {
    f32::from_bits(if bits >> 31 == 1 {
        bits & !(1 << 31)
    } else {
        !bits
    })
}

/// The length that PostgreSQL compares intervals by.
fn interval_length(v: Interval) -> i128 {
    (i128::from(v.months) * 30 + i128::from(v.days)) * MICROS_PER_DAY + i128::from(v.micros)
}

/// An interval of this length: equal to the encoded one, not always spelled like it.
fn interval_of_length(length: i128) -> Option<Interval> {
    let days = length / MICROS_PER_DAY;
    let mut out = Interval {
        months: 0,
        days: 0,
        micros: i64::try_from(length % MICROS_PER_DAY).ok()?,
    };
    if let Ok(days) = i32::try_from(days) {
        out.days = days;
        return Some(out);
    }
    let months = (days / 30).clamp(i128::from(i32::MIN), i128::from(i32::MAX));
    out.months = i32::try_from(months).ok()?;
    out.days = i32::try_from(days - months * 30).ok()?;
    Some(out)
}

fn encode_payload(out: &mut Vec<u8>, value: &ValueRef<'_>, depth: usize) -> Result<()> {
    match value {
        ValueRef::Null => bail!(Internal, "a NULL has no key payload"),
        ValueRef::Bool(v) => out.push(u8::from(*v)),
        ValueRef::Char(v) => out.push(*v),
        ValueRef::Int2(v) => out.extend_from_slice(&((*v as u16) ^ 1 << 15).to_be_bytes()),
        ValueRef::Int4(v) | ValueRef::Date(v) => {
            out.extend_from_slice(&((*v as u32) ^ 1 << 31).to_be_bytes());
        }
        ValueRef::Int8(v)
        | ValueRef::Time(v)
        | ValueRef::Timestamp(v)
        | ValueRef::TimestampTz(v) => {
            out.extend_from_slice(&((*v as u64) ^ 1 << 63).to_be_bytes());
        }
        ValueRef::Oid(v) => out.extend_from_slice(&v.to_be_bytes()),
        ValueRef::Float4(v) => out.extend_from_slice(&float4_bits(*v).to_be_bytes()),
        ValueRef::Float8(v) => out.extend_from_slice(&float8_bits(*v).to_be_bytes()),
        ValueRef::Numeric(v) => decimal::encode_decimal(out, &decimal::Decimal::from_numeric(v))?,
        ValueRef::Text(v) => escape(out, v.as_bytes()),
        ValueRef::Bytea(v) => escape(out, v),
        ValueRef::Interval(v) => {
            out.extend_from_slice(&((interval_length(*v) as u128) ^ 1 << 127).to_be_bytes());
        }
        ValueRef::Uuid(v) => out.extend_from_slice(&v[..]),
        ValueRef::Jsonb(v) => json::encode_jsonb(out, *v)?,
        ValueRef::Array(v) => encode_array(out, v, depth)?,
        ValueRef::Record(fields) => {
            check_depth(depth)?;
            for (oid, field) in fields.iter() {
                encode_element(out, field, Some(*oid), depth)?;
            }
            out.push(END);
        }
    }
    Ok(())
}

fn check_depth(depth: usize) -> Result<()> {
    if depth >= limits::NESTING_MAX {
        bail!(
            LimitExceeded,
            "key value is nested more than {} levels deep",
            limits::NESTING_MAX
        );
    }
    Ok(())
}

/// In arrays and records a NULL is greater than every value.
fn encode_element(
    out: &mut Vec<u8>,
    value: &Value,
    oid: Option<helios_types::Oid>,
    depth: usize,
) -> Result<()> {
    out.push(if value.is_null() { NULL_LAST } else { VALUE });
    if let Some(oid) = oid {
        out.extend_from_slice(&oid.to_be_bytes());
    }
    if !value.is_null() {
        encode_payload(out, &value.as_ref(), depth + 1)?;
    }
    Ok(())
}

fn encode_array(out: &mut Vec<u8>, array: &Array, depth: usize) -> Result<()> {
    check_depth(depth)?;
    for value in &array.values {
        encode_element(out, value, None, depth)?;
    }
    out.push(END);
    let Ok(dimensions) = u8::try_from(array.dimensions.len()) else {
        bail!(LimitExceeded, "array has too many dimensions");
    };
    out.push(dimensions);
    for dimension in &array.dimensions {
        out.extend_from_slice(&dimension.len.to_be_bytes());
    }
    for dimension in &array.dimensions {
        out.extend_from_slice(&((dimension.lower as u32) ^ 1 << 31).to_be_bytes());
    }
    Ok(())
}

fn decode_payload(reader: &mut Reader<'_>, ty: Type, depth: usize) -> Result<Value> {
    let int4 = |r: &mut Reader<'_>| Ok((u32::from_be_bytes(r.array()?) ^ 1 << 31) as i32);
    let int8 = |r: &mut Reader<'_>| Ok((u64::from_be_bytes(r.array()?) ^ 1 << 63) as i64);
    Ok(match Repr::of(ty) {
        Repr::Bool => Value::Bool(reader.byte()? != 0),
        Repr::Char => Value::Char(reader.byte()?),
        Repr::Int2 => Value::Int2((u16::from_be_bytes(reader.array()?) ^ 1 << 15) as i16),
        Repr::Int4 => Value::Int4(int4(reader)?),
        Repr::Int8 => Value::Int8(int8(reader)?),
        Repr::Oid => Value::Oid(u32::from_be_bytes(reader.array()?)),
        Repr::Float4 => Value::Float4(float4_from_bits(u32::from_be_bytes(reader.array()?))),
        Repr::Float8 => Value::Float8(float8_from_bits(u64::from_be_bytes(reader.array()?))),
        Repr::Numeric => Value::Numeric(decimal::decode_decimal(reader)?.to_numeric()?),
        Repr::Text | Repr::Other => match String::from_utf8(reader.escaped()?) {
            Ok(text) => Value::Text(text.into()),
            Err(_) => bail!(DataCorrupted, "text in a key is not UTF-8"),
        },
        Repr::Bytea => Value::Bytea(reader.escaped()?.into()),
        Repr::Date => Value::Date(int4(reader)?),
        Repr::Time => Value::Time(int8(reader)?),
        Repr::Timestamp => Value::Timestamp(int8(reader)?),
        Repr::TimestampTz => Value::TimestampTz(int8(reader)?),
        Repr::Interval => {
            let length = (u128::from_be_bytes(reader.array()?) ^ 1 << 127) as i128;
            match interval_of_length(length) {
                Some(interval) => Value::Interval(Arc::new(interval)),
                None => bail!(DataCorrupted, "interval in a key is out of range"),
            }
        }
        Repr::Uuid => Value::Uuid(Arc::new(reader.array()?)),
        Repr::Jsonb => Value::Jsonb(json::decode_jsonb(reader)?),
        Repr::Array(element) => decode_array(reader, element, depth)?,
        Repr::Record => decode_record(reader, depth)?,
    })
}

fn decode_element(reader: &mut Reader<'_>, marker: u8, ty: Type, depth: usize) -> Result<Value> {
    match marker {
        VALUE => decode_payload(reader, ty, depth + 1),
        NULL_LAST => Ok(Value::Null),
        _ => bail!(DataCorrupted, "element in a key begins with {marker:#04x}"),
    }
}

fn decode_array(reader: &mut Reader<'_>, element: Type, depth: usize) -> Result<Value> {
    check_depth(depth)?;
    let mut values = Vec::new();
    loop {
        match reader.byte()? {
            END => break,
            marker => values.push(decode_element(reader, marker, element, depth)?),
        }
    }
    let count = usize::from(reader.byte()?);
    if count > limits::ARRAY_DIMENSIONS_MAX {
        bail!(DataCorrupted, "array in a key has {count} dimensions");
    }
    let mut dimensions = Vec::with_capacity(count);
    for _ in 0..count {
        dimensions.push(Dimension {
            len: u32::from_be_bytes(reader.array()?),
            lower: 0,
        });
    }
    for dimension in &mut dimensions {
        dimension.lower = (u32::from_be_bytes(reader.array()?) ^ 1 << 31) as i32;
    }
    let product = dimensions
        .iter()
        .try_fold(1usize, |n, d| n.checked_mul(d.len as usize));
    let expected = if dimensions.is_empty() {
        Some(0)
    } else {
        product
    };
    if expected != Some(values.len()) {
        bail!(
            DataCorrupted,
            "array in a key does not have the elements its dimensions say"
        );
    }
    Ok(Value::Array(Arc::new(Array {
        element: element.oid,
        dimensions,
        values,
    })))
}

fn decode_record(reader: &mut Reader<'_>, depth: usize) -> Result<Value> {
    check_depth(depth)?;
    let mut fields = Vec::new();
    loop {
        match reader.byte()? {
            END => return Ok(Value::Record(fields.into())),
            marker => {
                let oid = u32::from_be_bytes(reader.array()?);
                fields.push((oid, decode_element(reader, marker, Type::new(oid), depth)?));
            }
        }
    }
}

#[cfg(test)]
mod tests;
