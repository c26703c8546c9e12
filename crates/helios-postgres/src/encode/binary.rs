//! Values in PostgreSQL's binary format.
//!
//! | type | bytes, big endian |
//! | --- | --- |
//! | date; timestamp, timestamptz | days; microseconds since 2000-01-01 |
//! | interval | microseconds:i64, days:i32, months:i32 |
//! | numeric | count, weight, sign, scale, then base-10,000 digits, all 16 bits |
//! | jsonb | version 1, then the text |
//! | array | dimensions, has-null, element OID, (length, lower bound)…, then (length, value)… |
//! | record | count, then (OID, length, value)… |

use super::text::TextForm;
use helios_types::{Array, Numeric, Result, Type, Value, ValueRef, text};

/// Days from 1970-01-01 to 2000-01-01.
pub const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub const EPOCH_MICROS: i64 = 10_957 * 86_400_000_000;

/// Appends the value without its length. NULL has no form of its own and appends nothing.
pub fn write_binary(
    out: &mut Vec<u8>,
    value: &ValueRef<'_>,
    ty: Type,
    form: &TextForm,
) -> Result<()> {
    match value {
        ValueRef::Null => {}
        ValueRef::Bool(v) => out.push(u8::from(*v)),
        ValueRef::Char(v) => out.push(*v),
        ValueRef::Int2(v) => out.extend_from_slice(&v.to_be_bytes()),
        ValueRef::Int4(v) => out.extend_from_slice(&v.to_be_bytes()),
        ValueRef::Int8(v) => out.extend_from_slice(&v.to_be_bytes()),
        ValueRef::Oid(v) => out.extend_from_slice(&v.to_be_bytes()),
        ValueRef::Float4(v) => out.extend_from_slice(&v.to_be_bytes()),
        ValueRef::Float8(v) => out.extend_from_slice(&v.to_be_bytes()),
        ValueRef::Numeric(v) => write_numeric(out, v),
        ValueRef::Text(v) => out.extend_from_slice(text::padded(ty, v).as_bytes()),
        ValueRef::Bytea(v) => out.extend_from_slice(v),
        ValueRef::Date(v) => out.extend_from_slice(&date_to_wire(*v).to_be_bytes()),
        ValueRef::Time(v) => out.extend_from_slice(&v.to_be_bytes()),
        ValueRef::Timestamp(v) | ValueRef::TimestampTz(v) => {
            out.extend_from_slice(&timestamp_to_wire(*v).to_be_bytes());
        }
        ValueRef::Interval(v) => {
            out.extend_from_slice(&v.micros.to_be_bytes());
            out.extend_from_slice(&v.days.to_be_bytes());
            out.extend_from_slice(&v.months.to_be_bytes());
        }
        ValueRef::Uuid(v) => out.extend_from_slice(*v),
        ValueRef::Jsonb(_) => {
            out.push(1);
            form.write(out, value, ty)?;
        }
        ValueRef::Array(v) => write_array(out, v, ty, form)?,
        ValueRef::Record(v) => write_record(out, v, form)?,
    }
    Ok(())
}

fn write_numeric(out: &mut Vec<u8>, value: &Numeric) {
    let digits = value.to_digits();
    out.extend_from_slice(&(digits.digits.len() as i16).to_be_bytes());
    out.extend_from_slice(&digits.weight.to_be_bytes());
    out.extend_from_slice(&digits.sign.to_be_bytes());
    out.extend_from_slice(&digits.scale.to_be_bytes());
    for digit in &digits.digits {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

fn write_array(out: &mut Vec<u8>, array: &Array, ty: Type, form: &TextForm) -> Result<()> {
    let has_null = array.values.iter().any(Value::is_null);
    out.extend_from_slice(&(array.dimensions.len() as i32).to_be_bytes());
    out.extend_from_slice(&i32::from(has_null).to_be_bytes());
    out.extend_from_slice(&array.element.to_be_bytes());
    for dimension in &array.dimensions {
        out.extend_from_slice(&(dimension.len as i32).to_be_bytes());
        // The vectors of the catalogs number their elements from zero.
        let lower = if matches!(ty.oid, 22 | 30) {
            0
        } else {
            dimension.lower
        };
        out.extend_from_slice(&lower.to_be_bytes());
    }
    for value in &array.values {
        write_with_length(out, &value.as_ref(), Type::new(array.element), form)?;
    }
    Ok(())
}

fn write_record(out: &mut Vec<u8>, fields: &[(u32, Value)], form: &TextForm) -> Result<()> {
    out.extend_from_slice(&(fields.len() as i32).to_be_bytes());
    for (oid, value) in fields {
        out.extend_from_slice(&oid.to_be_bytes());
        write_with_length(out, &value.as_ref(), Type::new(*oid), form)?;
    }
    Ok(())
}

/// The value with its length before it; -1 for NULL.
pub fn write_with_length(
    out: &mut Vec<u8>,
    value: &ValueRef<'_>,
    ty: Type,
    form: &TextForm,
) -> Result<()> {
    if value.is_null() {
        out.extend_from_slice(&(-1i32).to_be_bytes());
        return Ok(());
    }
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write_binary(out, value, ty, form)?;
    let length = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Infinities keep their extreme values; everything else moves to PostgreSQL's epoch.
pub fn date_to_wire(days: i32) -> i32 {
    match days {
        i32::MAX | i32::MIN => days,
        days => days.saturating_sub(EPOCH_DAYS),
    }
}

pub fn timestamp_to_wire(micros: i64) -> i64 {
    match micros {
        i64::MAX | i64::MIN => micros,
        micros => micros.saturating_sub(EPOCH_MICROS),
    }
}
