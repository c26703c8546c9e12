//! jsonb in keys: PostgreSQL's order.
//!
//! `object > array > boolean > number > string > null`; arrays and objects compare by their number
//! of elements first; the empty array at the top level is smaller than everything, which
//! PostgreSQL keeps for compatibility. Object keys stand in PostgreSQL's order (shorter first),
//! the last of equal keys counts. BSON types that JSON does not have come after all of these, by
//! their type byte and bytes.

use super::decimal::{Decimal, decode_decimal, encode_decimal};
use super::element::{Elements, binary, corrupt, fixed, string};
use super::escape;
use super::reader::Reader;
use helios_types::json::NUMERIC_SUBTYPE;
use helios_types::{Jsonb, JsonbRef, Result, bail, limits};

const EMPTY_ARRAY: u8 = 0;
const NULL: u8 = 1;
const STRING: u8 = 2;
const NUMBER: u8 = 3;
const BOOL: u8 = 4;
const ARRAY: u8 = 5;
const OBJECT: u8 = 6;
const OTHER: u8 = 7;

pub(crate) fn encode_jsonb(out: &mut Vec<u8>, value: JsonbRef<'_>) -> Result<()> {
    if value.element == 0x04 && Elements::new(value.bytes)?.next()?.is_none() {
        out.push(EMPTY_ARRAY);
        return Ok(());
    }
    encode(out, value, 0)
}

/// The number that a BSON element holds, as SQL sees it; `None` for other types.
fn number(value: JsonbRef<'_>) -> Result<Option<Decimal>> {
    Ok(Some(match value.element {
        0x01 => Decimal::from_f64_shortest(f64::from_le_bytes(fixed(value.bytes)?)),
        0x10 => Decimal::from_i64(i64::from(i32::from_le_bytes(fixed(value.bytes)?))),
        0x12 => Decimal::from_i64(i64::from_le_bytes(fixed(value.bytes)?)),
        0x13 => Decimal::from_decimal128(&fixed(value.bytes)?),
        0x05 => match binary(value.bytes)? {
            (NUMERIC_SUBTYPE, digits) => Decimal::parse(digits).ok_or_else(corrupt)?,
            _ => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

fn encode(out: &mut Vec<u8>, value: JsonbRef<'_>, depth: usize) -> Result<()> {
    if depth > limits::NESTING_MAX {
        bail!(
            LimitExceeded,
            "document is nested more than {} levels deep",
            limits::NESTING_MAX
        );
    }
    if let Some(number) = number(value)? {
        out.push(NUMBER);
        return encode_decimal(out, &number);
    }
    match value.element {
        0x0a => out.push(NULL),
        0x02 => {
            out.push(STRING);
            escape(out, string(value.bytes)?);
        }
        0x08 => out.extend_from_slice(&[BOOL, fixed::<1>(value.bytes)?[0]]),
        0x04 => {
            out.push(ARRAY);
            let count_at = out.len();
            out.extend_from_slice(&[0; 4]);
            let mut elements = Elements::new(value.bytes)?;
            let mut count = 0u32;
            while let Some((_, element)) = elements.next()? {
                count += 1;
                encode(out, element, depth + 1)?;
            }
            out[count_at..count_at + 4].copy_from_slice(&count.to_be_bytes());
        }
        0x03 => {
            out.push(OBJECT);
            let pairs = sorted_pairs(value.bytes)?;
            out.extend_from_slice(&(pairs.len() as u32).to_be_bytes());
            for (name, element) in pairs {
                // As a value among values: PostgreSQL compares keys as strings.
                escape(out, name);
                encode(out, element, depth + 1)?;
            }
        }
        element => {
            out.extend_from_slice(&[OTHER, element]);
            escape(out, value.bytes);
        }
    }
    Ok(())
}

fn sorted_pairs(document: &[u8]) -> Result<Vec<(&[u8], JsonbRef<'_>)>> {
    let mut pairs: Vec<(&[u8], JsonbRef<'_>)> = Vec::new();
    let mut elements = Elements::new(document)?;
    while let Some(pair) = elements.next()? {
        pairs.push(pair);
    }
    // Stable, so that of equal names the last in the document stays last.
    pairs.sort_by(|a, b| (a.0.len(), a.0).cmp(&(b.0.len(), b.0)));
    let mut unique: Vec<(&[u8], JsonbRef<'_>)> = Vec::with_capacity(pairs.len());
    for pair in pairs {
        match unique.last_mut() {
            Some(last) if last.0 == pair.0 => *last = pair,
            _ => unique.push(pair),
        }
    }
    Ok(unique)
}

/// A document equal to the encoded one: keys in PostgreSQL's order, numbers as integers where they
/// are, otherwise with their digits.
pub(crate) fn decode_jsonb(reader: &mut Reader<'_>) -> Result<Jsonb> {
    let mut bytes = Vec::new();
    let element = decode(reader, &mut bytes, 0)?;
    Ok(Jsonb::new(element, &bytes))
}

/// Appends the value's bytes and returns its element type.
fn decode(reader: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Result<u8> {
    if depth > limits::NESTING_MAX {
        bail!(DataCorrupted, "document in a key is nested too deep");
    }
    match reader.byte()? {
        EMPTY_ARRAY => {
            out.extend_from_slice(&[5, 0, 0, 0, 0]);
            Ok(0x04)
        }
        NULL => Ok(0x0a),
        STRING => {
            let text = reader.escaped()?;
            out.extend_from_slice(&(text.len() as i32 + 1).to_le_bytes());
            out.extend_from_slice(&text);
            out.push(0);
            Ok(0x02)
        }
        NUMBER => Ok(push_number(&decode_decimal(reader)?, out)),
        BOOL => {
            out.push(reader.byte()?);
            Ok(0x08)
        }
        ARRAY => {
            let count = u32::from_be_bytes(reader.array()?);
            let start = begin_document(out);
            for index in 0..count {
                push_element(reader, out, index.to_string().as_bytes(), depth)?;
            }
            end_document(out, start);
            Ok(0x04)
        }
        OBJECT => {
            let count = u32::from_be_bytes(reader.array()?);
            let start = begin_document(out);
            for _ in 0..count {
                let name = reader.escaped()?;
                push_element(reader, out, &name, depth)?;
            }
            end_document(out, start);
            Ok(0x03)
        }
        OTHER => {
            let element = reader.byte()?;
            out.extend_from_slice(&reader.escaped()?);
            Ok(element)
        }
        class => bail!(DataCorrupted, "document in a key begins with {class:#04x}"),
    }
}

fn push_number(number: &Decimal, out: &mut Vec<u8>) -> u8 {
    if let Some(v) = number.to_i64() {
        return match i32::try_from(v) {
            Ok(v) => {
                out.extend_from_slice(&v.to_le_bytes());
                0x10
            }
            Err(_) => {
                out.extend_from_slice(&v.to_le_bytes());
                0x12
            }
        };
    }
    match number {
        Decimal::Finite { .. } => {
            let digits = number.to_text();
            out.extend_from_slice(&(digits.len() as i32).to_le_bytes());
            out.push(NUMERIC_SUBTYPE);
            out.extend_from_slice(digits.as_bytes());
            return 0x05;
        }
        Decimal::Infinity => out.extend_from_slice(&f64::INFINITY.to_le_bytes()),
        Decimal::NegativeInfinity => out.extend_from_slice(&f64::NEG_INFINITY.to_le_bytes()),
        Decimal::Nan => out.extend_from_slice(&f64::NAN.to_le_bytes()),
    }
    0x01
}

fn begin_document(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    start
}

fn end_document(out: &mut Vec<u8>, start: usize) {
    out.push(0);
    let len = (out.len() - start) as i32;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
}

fn push_element(
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    name: &[u8],
    depth: usize,
) -> Result<()> {
    let element_at = out.len();
    out.push(0);
    out.extend_from_slice(name);
    out.push(0);
    out[element_at] = decode(reader, out, depth + 1)?;
    Ok(())
}
