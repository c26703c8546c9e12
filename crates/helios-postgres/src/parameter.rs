//! Parameters of a Bind message, and fields of a binary COPY, to values.

use crate::codec::Reader;
use crate::encode::{EPOCH_DAYS, EPOCH_MICROS};
use helios_types::array::Dimension;
use helios_types::text::{self, TextContext};
use helios_types::{Array, Error, Interval, Jsonb, Numeric, Result, Type, Value, error, limits};
use std::sync::Arc;

/// A parameter in text format.
pub fn decode_text(bytes: &[u8], ty: Type, context: &TextContext) -> Result<Value> {
    let text = crate::codec::utf8(bytes)?;
    no_zero_byte(text)?;
    text::parse_text(ty, text, context)
}

/// A parameter in binary format.
pub fn decode_binary(bytes: &[u8], ty: Type, context: &TextContext) -> Result<Value> {
    decode(bytes, ty, context, 0)
}

fn decode(bytes: &[u8], ty: Type, context: &TextContext, depth: usize) -> Result<Value> {
    if ty.is_array() {
        return decode_array(bytes, ty, context, depth);
    }
    let mut reader = Reader::new(bytes);
    let wrong = |_| incorrect();
    let value = match Type::new(ty.oid) {
        Type::BOOL => Value::Bool(reader.u8().map_err(wrong)? != 0),
        Type::CHAR => Value::Char(reader.u8().map_err(wrong)?),
        Type::INT2 => Value::Int2(reader.i16().map_err(wrong)?),
        Type::INT4 => Value::Int4(reader.i32().map_err(wrong)?),
        Type::INT8 => Value::Int8(reader.i64().map_err(wrong)?),
        Type::FLOAT4 => Value::Float4(f32::from_bits(reader.u32().map_err(wrong)?)),
        Type::FLOAT8 => Value::Float8(f64::from_bits(reader.i64().map_err(wrong)? as u64)),
        Type::DATE => Value::Date(date(reader.i32().map_err(wrong)?)?),
        Type::TIME => Value::Time(time(reader.i64().map_err(wrong)?)?),
        Type::TIMESTAMP => Value::Timestamp(timestamp(reader.i64().map_err(wrong)?)?),
        Type::TIMESTAMPTZ => Value::TimestampTz(timestamp(reader.i64().map_err(wrong)?)?),
        Type::INTERVAL => {
            let micros = reader.i64().map_err(wrong)?;
            let days = reader.i32().map_err(wrong)?;
            let months = reader.i32().map_err(wrong)?;
            Value::Interval(Arc::new(Interval {
                months,
                days,
                micros,
            }))
        }
        Type::NUMERIC => Value::Numeric(numeric(&mut reader).map_err(as_incorrect)?),
        Type::UUID => {
            let bytes = reader.bytes(16).map_err(wrong)?;
            Value::Uuid(Arc::new(bytes.try_into().map_err(|_| incorrect())?))
        }
        Type::BYTEA => return Ok(Value::bytea(bytes)),
        Type::JSONB => return jsonb(bytes),
        Type::XID => Value::Oid(reader.u32().map_err(wrong)?),
        _ if ty.is_oid_like() => Value::Oid(reader.u32().map_err(wrong)?),
        // The binary form of every string type is its text.
        _ if ty.is_string() || matches!(Type::new(ty.oid), Type::JSON | Type::UNKNOWN) => {
            return decode_text(bytes, ty, context);
        }
        _ => {
            return Err(Error::unsupported(format_args!(
                "binary input of type {}",
                text::format_type(ty)
            )));
        }
    };
    if !reader.rest().is_empty() {
        return Err(incorrect());
    }
    if ty.modifier >= 0 {
        text::apply_modifier(ty, value, false)
    } else {
        Ok(value)
    }
}

fn incorrect() -> Error {
    error!(InvalidBinaryRepresentation, "incorrect binary data format")
}

/// Too few bytes inside a value are a fault of the value, not of the message.
fn as_incorrect(error: Error) -> Error {
    if error.kind() == helios_types::ErrorKind::ProtocolViolation {
        incorrect()
    } else {
        error
    }
}

fn date(days: i32) -> Result<i32> {
    match days {
        i32::MAX | i32::MIN => Ok(days),
        days => {
            let days = days
                .checked_add(EPOCH_DAYS)
                .ok_or_else(|| error!(DatetimeOverflow, "date out of range"))?;
            helios_types::datetime::check_date(i64::from(days))
        }
    }
}

fn time(micros: i64) -> Result<i64> {
    if (0..=86_400_000_000).contains(&micros) {
        Ok(micros)
    } else {
        Err(error!(DatetimeOverflow, "time out of range"))
    }
}

fn timestamp(micros: i64) -> Result<i64> {
    match micros {
        i64::MAX | i64::MIN => Ok(micros),
        micros => {
            helios_types::datetime::check_timestamp(i128::from(micros) + i128::from(EPOCH_MICROS))
        }
    }
}

fn numeric(reader: &mut Reader<'_>) -> Result<Numeric> {
    let count = usize::from(reader.u16()?);
    let weight = reader.i16()?;
    let sign = reader.u16()?;
    let scale = reader.u16()?;
    if count * 2 > reader.rest().len() {
        return Err(incorrect());
    }
    let mut digits = smallvec::SmallVec::<[i16; 16]>::with_capacity(count);
    for _ in 0..count {
        digits.push(reader.i16()?);
    }
    Numeric::from_digits(sign, weight, scale, &digits)
}

fn jsonb(bytes: &[u8]) -> Result<Value> {
    match bytes.split_first() {
        Some((1, text)) => {
            let text = crate::codec::utf8(text)?;
            Ok(Value::Jsonb(Jsonb::parse(text)?))
        }
        Some((version, _)) => Err(error!(
            InvalidBinaryRepresentation,
            "unsupported jsonb version number {version}"
        )),
        None => Err(incorrect()),
    }
}

fn decode_array(bytes: &[u8], ty: Type, context: &TextContext, depth: usize) -> Result<Value> {
    if depth > limits::NESTING_MAX {
        return Err(error!(LimitExceeded, "value is nested too deeply"));
    }
    let mut reader = Reader::new(bytes);
    let array = array(&mut reader, ty, context, depth).map_err(as_incorrect)?;
    if !reader.rest().is_empty() {
        return Err(incorrect());
    }
    Ok(Value::Array(Arc::new(array)))
}

fn array(reader: &mut Reader<'_>, ty: Type, context: &TextContext, depth: usize) -> Result<Array> {
    let element = ty.element().ok_or_else(incorrect)?;
    let n_dimensions = reader.i32()?;
    if !(0..=limits::ARRAY_DIMENSIONS_MAX as i32).contains(&n_dimensions) {
        return Err(error!(
            LimitExceeded,
            "number of array dimensions ({n_dimensions}) exceeds the maximum allowed ({})",
            limits::ARRAY_DIMENSIONS_MAX
        ));
    }
    if !matches!(reader.i32()?, 0 | 1) {
        return Err(error!(InvalidBinaryRepresentation, "invalid array flags"));
    }
    let sent = reader.u32()?;
    if sent != element.oid {
        return Err(error!(
            DatatypeMismatch,
            "binary data has array element type {sent} ({}) instead of expected {} ({})",
            text::format_type(Type::new(sent)),
            element.oid,
            text::format_type(Type::new(element.oid))
        ));
    }
    let mut dimensions = Vec::with_capacity(n_dimensions as usize);
    let mut count: u64 = u64::from(n_dimensions > 0);
    for _ in 0..n_dimensions {
        let len = u32::try_from(reader.i32()?).map_err(|_| incorrect())?;
        let lower = reader.i32()?;
        if lower.checked_add_unsigned(len).is_none() {
            return Err(error!(
                NumericOutOfRange,
                "array lower bound is too large: {lower}"
            ));
        }
        count = count.saturating_mul(u64::from(len));
        dimensions.push(Dimension { len, lower });
    }
    // Every element takes four bytes at least, so that what follows bounds the count.
    if count > (reader.rest().len() / 4) as u64 {
        return Err(incorrect());
    }
    let mut values = Vec::with_capacity(count as usize);
    for _ in 0..count {
        values.push(match reader.value()? {
            Some(bytes) => decode(bytes, element, context, depth + 1)?,
            None => Value::Null,
        });
    }
    if count == 0 {
        dimensions.clear();
    }
    Ok(Array {
        element: element.oid,
        dimensions,
        values,
    })
}

/// PostgreSQL's text cannot hold a zero byte.
fn no_zero_byte(text: &str) -> Result<()> {
    if text.as_bytes().contains(&0) {
        return Err(error!(
            InvalidEncoding,
            "invalid byte sequence for encoding \"UTF8\": 0x00"
        ));
    }
    Ok(())
}
