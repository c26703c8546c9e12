//! The bytes that stand for a value whose type Arrow does not know.
//!
//! ```text
//! value  = tag u8 | payload
//! array  = 19 | element oid u32 | dimensions u8 | (len u32, lower i32)* | (length u32 | value)*
//! record = 20 | fields u16 | (oid u32 | length u32 | value)*
//! ```
//!
//! Numbers are little endian. A value says what it is, so that one decoder serves every type,
//! whatever stands in an array or a record. These bytes live only inside a running plan: they are
//! neither stored nor sent. Equal values may have different bytes (1.0 and 1.00), so nothing but
//! the functions behind operators compares them.

use helios_types::array::Dimension;
use helios_types::{Array, Interval, JsonbRef, Numeric, Result, Value, ValueRef, bail, limits};
use std::sync::Arc;

macro_rules! tags {
    ($($name:ident = $n:literal),* $(,)?) => { $(const $name: u8 = $n;)* };
}
tags! {
    NULL = 0, BOOL = 1, CHAR = 2, INT2 = 3, INT4 = 4, INT8 = 5, OID = 6, FLOAT4 = 7, FLOAT8 = 8,
    NUMERIC = 9, TEXT = 10, BYTEA = 11, DATE = 12, TIME = 13, TIMESTAMP = 14, TIMESTAMPTZ = 15,
    INTERVAL = 16, UUID = 17, JSONB = 18, ARRAY = 19, RECORD = 20,
}

/// Appends the bytes of a value.
pub fn encode(out: &mut Vec<u8>, value: &ValueRef<'_>) {
    macro_rules! fixed {
        ($tag:ident, $v:expr) => {{
            out.push($tag);
            out.extend_from_slice(&$v.to_le_bytes());
        }};
    }
    macro_rules! bytes {
        ($tag:ident, $v:expr) => {{
            out.push($tag);
            out.extend_from_slice($v);
        }};
    }
    match value {
        ValueRef::Null => out.push(NULL),
        ValueRef::Bool(v) => out.extend_from_slice(&[BOOL, u8::from(*v)]),
        ValueRef::Char(v) => out.extend_from_slice(&[CHAR, *v]),
        ValueRef::Int2(v) => fixed!(INT2, v),
        ValueRef::Int4(v) => fixed!(INT4, v),
        ValueRef::Int8(v) => fixed!(INT8, v),
        ValueRef::Oid(v) => fixed!(OID, v),
        ValueRef::Float4(v) => fixed!(FLOAT4, v),
        ValueRef::Float8(v) => fixed!(FLOAT8, v),
        ValueRef::Date(v) => fixed!(DATE, v),
        ValueRef::Time(v) => fixed!(TIME, v),
        ValueRef::Timestamp(v) => fixed!(TIMESTAMP, v),
        ValueRef::TimestampTz(v) => fixed!(TIMESTAMPTZ, v),
        ValueRef::Text(v) => bytes!(TEXT, v.as_bytes()),
        ValueRef::Bytea(v) => bytes!(BYTEA, v),
        ValueRef::Uuid(v) => bytes!(UUID, &v[..]),
        ValueRef::Numeric(v) => {
            out.push(NUMERIC);
            v.to_bytes(out);
        }
        ValueRef::Interval(v) => {
            fixed!(INTERVAL, v.micros);
            out.extend_from_slice(&v.days.to_le_bytes());
            out.extend_from_slice(&v.months.to_le_bytes());
        }
        ValueRef::Jsonb(v) => {
            out.extend_from_slice(&[JSONB, v.element]);
            out.extend_from_slice(v.bytes);
        }
        ValueRef::Array(v) => encode_array(out, v),
        ValueRef::Record(fields) => {
            out.push(RECORD);
            out.extend_from_slice(&(fields.len() as u16).to_le_bytes());
            for (oid, field) in fields.iter() {
                out.extend_from_slice(&oid.to_le_bytes());
                encode_sized(out, field);
            }
        }
    }
}

fn encode_array(out: &mut Vec<u8>, array: &Array) {
    out.push(ARRAY);
    out.extend_from_slice(&array.element.to_le_bytes());
    out.push(array.dimensions.len() as u8);
    for dimension in &array.dimensions {
        out.extend_from_slice(&dimension.len.to_le_bytes());
        out.extend_from_slice(&dimension.lower.to_le_bytes());
    }
    for value in &array.values {
        encode_sized(out, value);
    }
}

fn encode_sized(out: &mut Vec<u8>, value: &Value) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    encode(out, &value.as_ref());
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

/// The value that these bytes stand for.
pub fn decode(bytes: &[u8]) -> Result<ValueRef<'_>> {
    decode_nested(bytes, 0)
}

fn decode_nested(bytes: &[u8], depth: usize) -> Result<ValueRef<'_>> {
    match try_decode(bytes, depth)? {
        Some(value) => Ok(value),
        None => bail!(
            Internal,
            "malformed value of {} bytes in a plan",
            bytes.len()
        ),
    }
}

/// `None` when the bytes end too early.
fn try_decode(bytes: &[u8], depth: usize) -> Result<Option<ValueRef<'_>>> {
    if depth > limits::NESTING_MAX {
        bail!(
            LimitExceeded,
            "value is nested more than {} levels deep",
            limits::NESTING_MAX
        );
    }
    let Some((&tag, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    macro_rules! fixed {
        ($variant:ident, $ty:ty) => {
            rest.first_chunk()
                .map(|b| ValueRef::$variant(<$ty>::from_le_bytes(*b)))
        };
    }
    Ok(match tag {
        NULL => Some(ValueRef::Null),
        BOOL => rest.first().map(|b| ValueRef::Bool(*b != 0)),
        CHAR => rest.first().map(|b| ValueRef::Char(*b)),
        INT2 => fixed!(Int2, i16),
        INT4 => fixed!(Int4, i32),
        INT8 => fixed!(Int8, i64),
        OID => fixed!(Oid, u32),
        FLOAT4 => fixed!(Float4, f32),
        FLOAT8 => fixed!(Float8, f64),
        DATE => fixed!(Date, i32),
        TIME => fixed!(Time, i64),
        TIMESTAMP => fixed!(Timestamp, i64),
        TIMESTAMPTZ => fixed!(TimestampTz, i64),
        TEXT => std::str::from_utf8(rest).ok().map(ValueRef::Text),
        BYTEA => Some(ValueRef::Bytea(rest)),
        UUID => rest.first_chunk().map(ValueRef::Uuid),
        NUMERIC => Some(ValueRef::Numeric(Numeric::from_bytes(rest)?)),
        INTERVAL => interval(rest).map(ValueRef::Interval),
        JSONB => rest
            .split_first()
            .map(|(&element, bytes)| ValueRef::Jsonb(JsonbRef { element, bytes })),
        ARRAY => array(rest, depth)?.map(|a| ValueRef::Array(Arc::new(a))),
        RECORD => record(rest, depth)?.map(|r| ValueRef::Record(r.into())),
        _ => None,
    })
}

fn interval(bytes: &[u8]) -> Option<Interval> {
    let (micros, rest) = bytes.split_first_chunk()?;
    let (days, rest) = rest.split_first_chunk()?;
    Some(Interval {
        months: i32::from_le_bytes(*rest.first_chunk()?),
        days: i32::from_le_bytes(*days),
        micros: i64::from_le_bytes(*micros),
    })
}

fn take_u32<'a>(bytes: &mut &'a [u8]) -> Option<u32> {
    let (head, rest): (&'a [u8; 4], _) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*head))
}

fn take_sized(bytes: &mut &[u8], depth: usize) -> Result<Option<Value>> {
    let Some(length) = take_u32(bytes) else {
        return Ok(None);
    };
    let Some((value, rest)) = bytes.split_at_checked(length as usize) else {
        return Ok(None);
    };
    *bytes = rest;
    Ok(Some(decode_nested(value, depth + 1)?.to_value()))
}

fn array(mut bytes: &[u8], depth: usize) -> Result<Option<Array>> {
    let Some(element) = take_u32(&mut bytes) else {
        return Ok(None);
    };
    let Some((&count, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    bytes = rest;
    let mut dimensions = Vec::with_capacity(usize::from(count));
    let mut total = usize::from(count > 0);
    for _ in 0..count {
        let (Some(len), Some(lower)) = (take_u32(&mut bytes), take_u32(&mut bytes)) else {
            return Ok(None);
        };
        total = total.saturating_mul(len as usize);
        dimensions.push(Dimension {
            len,
            lower: lower as i32,
        });
    }
    // Each element takes at least five bytes, so the count cannot ask for more than there is.
    if total > bytes.len() / 5 {
        return Ok(None);
    }
    let mut values = Vec::with_capacity(total);
    for _ in 0..total {
        let Some(value) = take_sized(&mut bytes, depth)? else {
            return Ok(None);
        };
        values.push(value);
    }
    Ok(Some(Array {
        element,
        dimensions,
        values,
    }))
}

fn record(bytes: &[u8], depth: usize) -> Result<Option<Vec<(u32, Value)>>> {
    let Some((count, mut bytes)) = bytes.split_first_chunk() else {
        return Ok(None);
    };
    let mut fields = Vec::new();
    for _ in 0..u16::from_le_bytes(*count) {
        let Some(oid) = take_u32(&mut bytes) else {
            return Ok(None);
        };
        let Some(value) = take_sized(&mut bytes, depth)? else {
            return Ok(None);
        };
        fields.push((oid, value));
    }
    Ok(Some(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(value: Value) -> Value {
        let mut out = Vec::new();
        encode(&mut out, &value.as_ref());
        for cut in 0..out.len() {
            // Every shorter input is refused or is a shorter string; none of them panics.
            let _ = decode(&out[..cut]);
        }
        decode(&out).unwrap().to_value()
    }

    #[test]
    fn a_value_comes_back_as_it_went_in() {
        let array = Array::from_values(25, vec![Value::text("a"), Value::Null, Value::text("ü")]);
        let values = [
            Value::Null,
            Value::Bool(true),
            Value::Int4(-7),
            Value::Int8(i64::MIN),
            Value::Float8(1.5),
            Value::text("text"),
            Value::bytea([1, 2, 3]),
            Value::TimestampTz(12),
            Value::Interval(Arc::new(Interval {
                months: 1,
                days: -2,
                micros: 3,
            })),
            Value::Uuid(Arc::new([7; 16])),
            Value::Array(Arc::new(array)),
            Value::Record(Arc::from([(23, Value::Int4(1)), (25, Value::text("x"))])),
        ];
        for value in values {
            assert_eq!(
                format!("{:?}", round_trip(value.clone())),
                format!("{value:?}")
            );
        }
    }
}
