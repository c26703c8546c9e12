//! jsonb in keys: PostgreSQL's order, as [`Jsonb`] itself compares.
//!
//! `object > array > boolean > number > string > null`; arrays and objects compare by their number
//! of elements first; the empty array at the top level is smaller than everything, which
//! PostgreSQL keeps for compatibility. Object keys stand in PostgreSQL's order (shorter first),
//! the last of equal keys counts. BSON types that JSON does not have are what they print as.

use super::decimal::{Decimal, decode_decimal, encode_decimal};
use super::element::corrupt;
use super::escape;
use super::reader::Reader;
use helios_types::json::{Kind, NUMERIC_SUBTYPE, element};
use helios_types::{Jsonb, JsonbRef, Result, bail, limits};

const EMPTY_ARRAY: u8 = 0;
const NULL: u8 = 1;
const STRING: u8 = 2;
const NUMBER: u8 = 3;
const BOOL: u8 = 4;
const ARRAY: u8 = 5;
const OBJECT: u8 = 6;

pub(crate) fn encode_jsonb(out: &mut Vec<u8>, value: JsonbRef<'_>) -> Result<()> {
    if value.element == element::ARRAY && value.entries().next().transpose()?.is_none() {
        out.push(EMPTY_ARRAY);
        return Ok(());
    }
    encode(out, value, 0)
}

fn encode(out: &mut Vec<u8>, value: JsonbRef<'_>, depth: usize) -> Result<()> {
    if depth > limits::NESTING_MAX {
        bail!(
            LimitExceeded,
            "document is nested more than {} levels deep",
            limits::NESTING_MAX
        );
    }
    match value.kind() {
        Kind::Null => out.push(NULL),
        Kind::String => {
            out.push(STRING);
            escape(out, value.as_text().ok_or_else(corrupt)?.as_bytes());
        }
        Kind::Number => {
            out.push(NUMBER);
            let number = match value.as_i64() {
                Some(v) => Decimal::from_i64(v),
                None => Decimal::from_numeric(&value.as_numeric().ok_or_else(corrupt)?),
            };
            encode_decimal(out, &number)?;
        }
        Kind::Bool => {
            let value = value.as_bool().ok_or_else(corrupt)?;
            out.extend_from_slice(&[BOOL, u8::from(value)]);
        }
        Kind::Array => {
            out.push(ARRAY);
            let count_at = out.len();
            out.extend_from_slice(&[0; 4]);
            let mut count = 0u32;
            for element in value.elements() {
                count += 1;
                encode(out, element?, depth + 1)?;
            }
            out[count_at..count_at + 4].copy_from_slice(&count.to_be_bytes());
        }
        Kind::Object if value.element != element::DOCUMENT => {
            let printed = Jsonb::parse(&value.to_string())?;
            encode(out, printed.as_ref(), depth + 1)?;
        }
        Kind::Object => {
            out.push(OBJECT);
            let pairs = sorted_pairs(value)?;
            out.extend_from_slice(&(pairs.len() as u32).to_be_bytes());
            for (name, element) in pairs {
                escape(out, name.as_bytes());
                encode(out, element, depth + 1)?;
            }
        }
    }
    Ok(())
}

fn sorted_pairs(document: JsonbRef<'_>) -> Result<Vec<(&str, JsonbRef<'_>)>> {
    let mut pairs = document.entries().collect::<Result<Vec<_>>>()?;
    // Stable, so that of equal names the last in the document stays last.
    pairs.sort_by_key(|(name, _)| (name.len(), *name));
    let mut unique: Vec<(&str, JsonbRef<'_>)> = Vec::with_capacity(pairs.len());
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
