//! Order-preserving key bytes: comparing them as bytes is comparing the values.
//!
//! Used where a relational operator has to group, sort or join by documents' values: its `Binary`
//! columns are compared bytewise. Equal values of different number types have equal keys.
//!
//! A key is the type's rank and then:
//! numbers: the nearest double with its bits arranged for byte order, then one byte that says
//! whether the exact value is below, at or above that double, then the exact difference;
//! strings: the bytes with 0 escaped as `0 255`, closed by `0 0`; documents: rank, name and value
//! of each field, closed by 0; arrays: the elements' keys, closed by 0; the rest: fixed widths.

use super::decimal::Decimal;
use super::number::Number;
use super::order::rank;
use super::raw::*;

/// Appends the key of one value.
pub fn encode(out: &mut Vec<u8>, value: Bson<'_>) {
    out.push(rank(value.tag));
    encode_body(out, value);
}

/// Appends a key in which missing and null are one value, as `sort` wants.
pub fn encode_sort(out: &mut Vec<u8>, value: Bson<'_>) {
    encode(
        out,
        if value.is_missing() {
            Bson::NULL
        } else {
            value
        },
    );
}

/// Appends the key of one value so that greater values come first.
pub fn encode_sort_descending(out: &mut Vec<u8>, value: Bson<'_>) {
    let start = out.len();
    encode_sort(out, value);
    for byte in &mut out[start..] {
        *byte = !*byte;
    }
}

fn encode_body(out: &mut Vec<u8>, value: Bson<'_>) {
    match value.tag {
        DOUBLE | INT32 | INT64 | DECIMAL => {
            if let Some(number) = Number::of(value) {
                encode_number(out, number);
            }
        }
        STRING | SYMBOL | CODE => {
            let text = value
                .bytes
                .get(4..value.bytes.len().saturating_sub(1))
                .unwrap_or(&[]);
            encode_bytes(out, text);
        }
        DOCUMENT => {
            for (name, v) in value.fields() {
                out.push(rank(v.tag));
                encode_bytes(out, name.as_bytes());
                encode_body(out, v);
            }
            out.push(0);
        }
        ARRAY => {
            for v in value.elements() {
                encode(out, v);
            }
            out.push(0);
        }
        BINARY => {
            let (subtype, bytes) = value.as_binary().unwrap_or((0, &[]));
            out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            out.push(subtype);
            out.extend_from_slice(bytes);
        }
        DATE => out.extend_from_slice(&flip(value.as_date().unwrap_or(0)).to_be_bytes()),
        TIMESTAMP => out.extend_from_slice(&value.as_timestamp().unwrap_or(0).to_be_bytes()),
        REGEX => {
            let (pattern, options) = value.as_regex().unwrap_or(("", ""));
            encode_bytes(out, pattern.as_bytes());
            encode_bytes(out, options.as_bytes());
        }
        OBJECT_ID | BOOL => out.extend_from_slice(value.bytes),
        DB_POINTER | CODE_WITH_SCOPE => encode_bytes(out, value.bytes),
        _ => {}
    }
}

fn flip(v: i64) -> u64 {
    (v as u64) ^ (1 << 63)
}

fn encode_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(255);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

fn encode_number(out: &mut Vec<u8>, number: Number) {
    if number.is_nan() {
        out.extend_from_slice(&[0; 9]);
        return;
    }
    let nearest = match number {
        Number::Double(v) => v,
        other => other.to_f64(),
    };
    let nearest = if nearest == 0.0 { 0.0 } else { nearest };
    let bits = nearest.to_bits();
    let ordered = if bits >> 63 == 1 {
        !bits
    } else {
        bits | (1 << 63)
    };
    out.extend_from_slice(&ordered.to_be_bytes());
    let difference = match number {
        Number::Long(v) if v.unsigned_abs() > 1 << 53 => {
            number.to_decimal().minus(Decimal::from_f64(nearest, 34))
        }
        Number::Decimal(v) if v.is_finite() => {
            if nearest.is_infinite() {
                v
            } else {
                v.minus(Decimal::from_f64(nearest, 34))
            }
        }
        _ => Decimal::ZERO,
    };
    encode_difference(out, difference);
}

fn encode_difference(out: &mut Vec<u8>, difference: Decimal) {
    match difference.canonical() {
        Some((negative, digits, point)) if !digits.is_empty() => {
            out.push(if negative { 1 } else { 3 });
            let start = out.len();
            out.extend_from_slice(&((point + 32_768) as u16).to_be_bytes());
            out.extend_from_slice(digits.as_bytes());
            out.push(0);
            if negative {
                for byte in &mut out[start..] {
                    *byte = !*byte;
                }
            }
        }
        _ => out.push(2),
    }
}
