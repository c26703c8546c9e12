//! MongoDB's comparison order as bytes, for `_id` and for indexes on documents.
//!
//! A class byte orders the types (MinKey, undefined, null, numbers, strings, objects, arrays,
//! binary, ObjectId, bool, date, timestamp, regular expression, DBPointer, code, code with scope,
//! MaxKey), a payload the values within.
//!
//! Numbers of all four types are in one order, by exact value. The payload is the number cut off
//! towards zero to a double, eight ordered bytes, then `00` when that is the number itself, else
//! `01` and the exact digits. So integers up to 2^53 and all doubles take ten bytes, and a
//! decimal `0.1` still falls between the doubles beside it. NaN is the smallest number.
//!
//! Objects compare field by field: type, then name, then value; a document that ends first is
//! smaller. Arrays compare element by element. Binary compares by length, subtype and content.

use super::decimal::{Decimal, encode_decimal};
use super::element::{Elements, binary, corrupt, fixed, string};
use super::{escape, float8_bits, invert};
use helios_types::json::NUMERIC_SUBTYPE;
use helios_types::{JsonbRef, Result, bail, limits};
use std::cmp::Ordering;

/// Ends a document or array: smaller than every class.
const END: u8 = 0;
const NUMBER: u8 = 0x20;

fn class(element: u8) -> Result<u8> {
    Ok(match element {
        0xff => 0x01,
        0x06 => 0x08,
        0x0a => 0x10,
        0x01 | 0x10 | 0x12 | 0x13 => NUMBER,
        0x02 | 0x0e => 0x30,
        0x03 => 0x40,
        0x04 => 0x50,
        0x05 => 0x60,
        0x07 => 0x70,
        0x08 => 0x80,
        0x09 => 0x90,
        0x11 => 0x98,
        0x0b => 0xa0,
        0x0c => 0xb0,
        0x0d => 0xc0,
        0x0f => 0xc8,
        0x7f => 0xf0,
        _ => return Err(corrupt()),
    })
}

/// Appends a document value so that the bytes compare as MongoDB compares the values.
pub fn encode_bson_key(out: &mut Vec<u8>, value: JsonbRef<'_>, descending: bool) -> Result<()> {
    let start = out.len();
    encode(out, value, 0)?;
    if descending {
        invert(&mut out[start..]);
    }
    Ok(())
}

fn is_number(value: JsonbRef<'_>) -> Result<bool> {
    Ok(match value.element {
        0x01 | 0x10 | 0x12 | 0x13 => true,
        0x05 => binary(value.bytes)?.0 == NUMERIC_SUBTYPE,
        _ => false,
    })
}

fn encode(out: &mut Vec<u8>, value: JsonbRef<'_>, depth: usize) -> Result<()> {
    if is_number(value)? {
        out.push(NUMBER);
        return encode_number(out, value);
    }
    out.push(class(value.element)?);
    encode_payload(out, value, depth)
}

fn encode_payload(out: &mut Vec<u8>, value: JsonbRef<'_>, depth: usize) -> Result<()> {
    if depth > limits::NESTING_MAX {
        bail!(
            LimitExceeded,
            "document is nested more than {} levels deep",
            limits::NESTING_MAX
        );
    }
    let bytes = value.bytes;
    match value.element {
        0x06 | 0x0a | 0xff | 0x7f => {}
        0x02 | 0x0d | 0x0e => escape(out, string(bytes)?),
        0x03 => encode_fields(out, bytes, true, depth)?,
        0x04 => encode_fields(out, bytes, false, depth)?,
        0x05 => {
            let (subtype, content) = binary(bytes)?;
            out.extend_from_slice(&(content.len() as u32).to_be_bytes());
            out.push(subtype);
            out.extend_from_slice(content);
        }
        0x07 => out.extend_from_slice(&fixed::<12>(bytes)?),
        0x08 => out.push(u8::from(fixed::<1>(bytes)?[0] != 0)),
        0x09 => {
            let millis = i64::from_le_bytes(fixed(bytes)?);
            out.extend_from_slice(&((millis as u64) ^ 1 << 63).to_be_bytes());
        }
        0x11 => out.extend_from_slice(&u64::from_le_bytes(fixed(bytes)?).to_be_bytes()),
        0x0b => {
            let mut parts = bytes.split(|&b| b == 0);
            for _ in 0..2 {
                escape(out, parts.next().ok_or_else(corrupt)?);
            }
        }
        0x0c => {
            let name = string(bytes)?;
            out.extend_from_slice(&(name.len() as u32).to_be_bytes());
            escape(out, name);
            out.extend_from_slice(&fixed::<12>(
                bytes.get(name.len() + 5..).unwrap_or_default(),
            )?);
        }
        0x0f => {
            // Total length, code, scope.
            let code = string(bytes.get(4..).ok_or_else(corrupt)?)?;
            escape(out, code);
            let scope = bytes.get(4 + 4 + code.len() + 1..).ok_or_else(corrupt)?;
            encode_fields(out, scope, true, depth)?;
        }
        _ => return Err(corrupt()),
    }
    Ok(())
}

fn encode_fields(out: &mut Vec<u8>, document: &[u8], names: bool, depth: usize) -> Result<()> {
    let mut elements = Elements::new(document)?;
    while let Some((name, element)) = elements.next()? {
        let number = is_number(element)?;
        out.push(if number {
            NUMBER
        } else {
            class(element.element)?
        });
        if names {
            escape(out, name);
        }
        if number {
            encode_number(out, element)?;
        } else {
            encode_payload(out, element, depth + 1)?;
        }
    }
    out.push(END);
    Ok(())
}

fn encode_number(out: &mut Vec<u8>, value: JsonbRef<'_>) -> Result<()> {
    match value.element {
        0x01 => push_double(out, f64::from_le_bytes(fixed(value.bytes)?)),
        0x10 => push_double(out, f64::from(i32::from_le_bytes(fixed(value.bytes)?))),
        0x12 => push_integer(out, i64::from_le_bytes(fixed(value.bytes)?))?,
        0x13 => push_decimal(out, &Decimal::from_decimal128(&fixed(value.bytes)?))?,
        _ => {
            let digits = binary(value.bytes)?.1;
            push_decimal(out, &Decimal::parse(digits).ok_or_else(corrupt)?)?;
        }
    }
    Ok(())
}

/// A double is its own cut-off.
fn push_double(out: &mut Vec<u8>, v: f64) {
    if v.is_nan() {
        out.extend_from_slice(&[0; 8]);
    } else {
        out.extend_from_slice(&float8_bits(v).to_be_bytes());
    }
    // `00` after a positive number and `FF` after a negative one: towards zero.
    out.push(if v < 0.0 { 0xff } else { 0 });
}

/// Appends a cut-off double and the exact digits that it lacks.
fn push_inexact(out: &mut Vec<u8>, cut: f64, negative: bool, exact: &Decimal) -> Result<()> {
    // A negative zero would sort with the positive numbers, above which nothing negative may be.
    let bits = if negative && cut == 0.0 {
        !(1u64 << 63)
    } else {
        float8_bits(cut)
    };
    out.extend_from_slice(&bits.to_be_bytes());
    out.push(if negative { 0xfe } else { 1 });
    encode_decimal(out, exact)
}

fn push_integer(out: &mut Vec<u8>, v: i64) -> Result<()> {
    let magnitude = v.unsigned_abs();
    let spare = (64 - magnitude.leading_zeros()).saturating_sub(53);
    let cut_magnitude = magnitude >> spare << spare;
    // Exact: at most 53 significant bits are left.
    let cut = if v < 0 {
        -(cut_magnitude as f64)
    } else {
        cut_magnitude as f64
    };
    if cut_magnitude == magnitude {
        push_double(out, cut);
        return Ok(());
    }
    push_inexact(out, cut, v < 0, &Decimal::from_i64(v))
}

fn push_decimal(out: &mut Vec<u8>, v: &Decimal) -> Result<()> {
    let negative = match v {
        Decimal::Nan => {
            push_double(out, f64::NAN);
            return Ok(());
        }
        Decimal::Infinity => {
            push_double(out, f64::INFINITY);
            return Ok(());
        }
        Decimal::NegativeInfinity => {
            push_double(out, f64::NEG_INFINITY);
            return Ok(());
        }
        Decimal::Finite { negative, .. } => *negative,
    };
    let nearest = nearest_double(v).abs().min(f64::MAX);
    let magnitude = magnitude(v);
    let cut = match compare_finite(&Decimal::from_f64_exact(nearest), &magnitude) {
        Ordering::Greater => nearest.next_down(),
        _ => nearest,
    };
    let signed = if negative { -cut } else { cut };
    if Decimal::from_f64_exact(cut) == magnitude {
        push_double(out, signed);
        return Ok(());
    }
    push_inexact(out, signed, negative, v)
}

fn magnitude(v: &Decimal) -> Decimal {
    match v {
        Decimal::Finite { digits, point, .. } => Decimal::finite(false, digits, *point),
        other => other.clone(),
    }
}

/// The double nearest to a finite decimal, infinite when it is out of range.
fn nearest_double(v: &Decimal) -> f64 {
    let Decimal::Finite { digits, point, .. } = v else {
        return f64::NAN;
    };
    let mut text = String::with_capacity(digits.len() + 16);
    text.push_str("0.");
    text.extend(digits.iter().map(|d| char::from(b'0' + d)));
    text.push('e');
    text.push_str(&point.to_string());
    if digits.is_empty() {
        0.0
    } else {
        text.parse().unwrap_or(f64::NAN)
    }
}

/// Compares non-negative finite decimals.
fn compare_finite(a: &Decimal, b: &Decimal) -> Ordering {
    match (a, b) {
        (
            Decimal::Finite {
                digits: x,
                point: p,
                ..
            },
            Decimal::Finite {
                digits: y,
                point: q,
                ..
            },
        ) => match (x.is_empty(), y.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => p.cmp(q).then_with(|| x.cmp(y)),
        },
        _ => Ordering::Equal,
    }
}
