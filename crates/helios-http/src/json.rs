//! JSON as REST speaks it: values out straight into the body's buffer, parameters in.
//!
//! The forms are the JSON column of the conversion table: int8 is a number; numeric is a number
//! when a double holds it exactly as written, else a string; NaN and the infinities are strings;
//! bytea is base64; times are ISO 8601, with `Z` where the type has a zone; json and jsonb stand
//! as they are; arrays are arrays; a composite value is an object with PostgreSQL's field names.

mod parameter;
mod request;

pub use parameter::{implied_type, parameter};
pub use request::Fields;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use helios_types::datetime::{Civil, timestamp_is_finite};
use helios_types::interval::IntervalStyle;
use helios_types::text::{self, ByteWriter, TextContext};
use helios_types::value::RowSink;
use helios_types::{Array, Numeric, Result, Type, ValueRef};
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Appends a JSON string with its quotes.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut start = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[start..i]);
        start = i + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let low = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&low);
            }
        }
    }
    out.extend_from_slice(&bytes[start..]);
}

/// Appends a value of the type `ty`.
pub fn write_value(out: &mut Vec<u8>, ty: Type, value: &ValueRef<'_>) -> Result<()> {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Bool(true) => out.extend_from_slice(b"true"),
        ValueRef::Bool(false) => out.extend_from_slice(b"false"),
        ValueRef::Int2(v) => write_integer(out, i64::from(*v)),
        ValueRef::Int4(v) => write_integer(out, i64::from(*v)),
        ValueRef::Int8(v) => write_integer(out, *v),
        ValueRef::Oid(v) if ty.oid == Type::OID.oid => write_integer(out, i64::from(*v)),
        ValueRef::Float4(v) if v.is_finite() => write_plain(out, ty, value)?,
        ValueRef::Float8(v) if v.is_finite() => write_plain(out, ty, value)?,
        ValueRef::Numeric(v) => write_numeric(out, v),
        ValueRef::Text(v) if ty.oid == Type::JSON.oid => out.extend_from_slice(v.as_bytes()),
        ValueRef::Text(v) if ty.oid == Type::BPCHAR.oid => write_str(out, &text::padded(ty, v)),
        ValueRef::Text(v) => write_str(out, v),
        ValueRef::Bytea(v) => {
            out.push(b'"');
            out.extend_from_slice(BASE64.encode(v).as_bytes());
            out.push(b'"');
        }
        ValueRef::Timestamp(v) => write_timestamp(out, *v, false),
        ValueRef::TimestampTz(v) => write_timestamp(out, *v, true),
        ValueRef::Jsonb(_) => write_plain(out, ty, value)?,
        ValueRef::Array(v) => write_array(out, ty, v)?,
        ValueRef::Record(fields) => {
            for (i, (oid, field)) in fields.iter().enumerate() {
                out.push(if i == 0 { b'{' } else { b',' });
                let _ = write!(out, "\"f{}\":", i + 1);
                write_value(out, Type::new(*oid), &field.as_ref())?;
            }
            out.extend_from_slice(if fields.is_empty() { b"{}" } else { b"}" });
        }
        ValueRef::Char(_)
        | ValueRef::Oid(_)
        | ValueRef::Float4(_)
        | ValueRef::Float8(_)
        | ValueRef::Date(_)
        | ValueRef::Time(_)
        | ValueRef::Interval(_)
        | ValueRef::Uuid(_) => write_quoted(out, ty, value)?,
    }
    Ok(())
}

/// The value's text form as it is.
fn write_plain(out: &mut Vec<u8>, ty: Type, value: &ValueRef<'_>) -> Result<()> {
    // Intervals are ISO 8601 in JSON.
    let context = TextContext {
        interval_style: IntervalStyle::Iso8601,
        ..TextContext::default()
    };
    text::write_text(&mut ByteWriter(out), ty, value, &context)
}

/// The value's text form as a string; types come here whose text needs no escape but by quoting.
fn write_quoted(out: &mut Vec<u8>, ty: Type, value: &ValueRef<'_>) -> Result<()> {
    let mut plain = Vec::new();
    write_plain(&mut plain, ty, value)?;
    write_str(out, &String::from_utf8_lossy(&plain));
    Ok(())
}

pub fn write_integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn write_numeric(out: &mut Vec<u8>, value: &Numeric) {
    // Fifteen decimal digits always survive a double.
    const EXACT: u64 = 1_000_000_000_000_000;
    let exact = value
        .as_small()
        .is_some_and(|(mantissa, scale)| mantissa.unsigned_abs() < EXACT && scale <= 30);
    let _ = if exact {
        write!(out, "{value}")
    } else {
        write!(out, "\"{value}\"")
    };
}

fn write_timestamp(out: &mut Vec<u8>, micros: i64, zone: bool) {
    if !timestamp_is_finite(micros) {
        out.extend_from_slice(if micros > 0 {
            b"\"infinity\""
        } else {
            b"\"-infinity\""
        });
        return;
    }
    let civil = Civil::from_micros(micros);
    let sign = if civil.year < 0 { "-" } else { "" };
    let _ = write!(
        out,
        "\"{sign}{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        civil.year.unsigned_abs(),
        civil.month,
        civil.day,
        civil.hour,
        civil.minute,
        civil.second
    );
    if civil.micros != 0 {
        let digits = format!("{:06}", civil.micros);
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
    out.extend_from_slice(if zone { b"Z\"" } else { b"\"" });
}

fn write_array(out: &mut Vec<u8>, ty: Type, array: &Array) -> Result<()> {
    let element = Type {
        oid: array.element,
        modifier: ty.modifier,
    };
    let lengths: Vec<usize> = array.dimensions.iter().map(|d| d.len as usize).collect();
    if lengths.is_empty() {
        out.extend_from_slice(b"[]");
        return Ok(());
    }
    for (i, value) in array.values.iter().enumerate() {
        // A bracket opens for every dimension that begins at this element.
        let mut block = 1;
        let mut opening = 0;
        for length in lengths.iter().rev() {
            block *= length.max(&1);
            if i % block == 0 {
                opening += 1;
            }
        }
        if i > 0 {
            out.push(b',');
        }
        out.extend(std::iter::repeat_n(b'[', opening));
        write_value(out, element, &value.as_ref())?;
        let mut block = 1;
        for length in lengths.iter().rev() {
            block *= length.max(&1);
            if (i + 1) % block == 0 {
                out.push(b']');
            }
        }
    }
    Ok(())
}

/// This instant, in the second precision of envelopes.
pub fn now() -> String {
    at(SystemTime::now())
}

/// An instant in milliseconds since 1970.
pub fn at_ms(ms: u64) -> String {
    at(UNIX_EPOCH + std::time::Duration::from_millis(ms))
}

pub fn at(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let mut out = Vec::with_capacity(24);
    write_timestamp(&mut out, seconds as i64 * 1_000_000, true);
    String::from_utf8_lossy(&out).trim_matches('"').to_owned()
}

/// Rows as JSON objects or arrays, written into one buffer.
pub struct JsonRows {
    pub out: Vec<u8>,
    pub count: u64,
    /// `"name":` of the columns, escaped once, one behind the other; empty for rows as arrays.
    keys: Vec<u8>,
    /// Where each of them ends.
    key_ends: Vec<usize>,
    types: Vec<Type>,
    /// What stands after each row but the last: a comma, or for a stream a newline after each.
    separator: Separator,
    /// Rows beyond this number are not taken; [`JsonRows::truncated`] tells.
    pub max: u64,
    pub truncated: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    Comma,
    Line,
}

impl JsonRows {
    /// Rows as objects.
    pub fn objects<'a>(
        columns: impl Iterator<Item = (&'a str, Type)>,
        separator: Separator,
    ) -> Self {
        let mut rows = Self::arrays(std::iter::empty());
        rows.separator = separator;
        for (name, ty) in columns {
            write_str(&mut rows.keys, name);
            rows.keys.push(b':');
            rows.key_ends.push(rows.keys.len());
            rows.types.push(ty);
        }
        rows
    }

    /// Rows as arrays.
    pub fn arrays(types: impl Iterator<Item = Type>) -> Self {
        Self {
            out: Vec::with_capacity(512),
            count: 0,
            keys: Vec::new(),
            key_ends: Vec::new(),
            types: types.collect(),
            separator: Separator::Comma,
            max: u64::MAX,
            truncated: false,
        }
    }

    fn write_row(&mut self, values: &[ValueRef<'_>]) -> Result<()> {
        let objects = !self.keys.is_empty() || self.types.is_empty();
        self.out.push(if objects { b'{' } else { b'[' });
        let mut key_start = 0;
        for (i, (value, ty)) in values.iter().zip(&self.types).enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            if let Some(&end) = self.key_ends.get(i) {
                self.out.extend_from_slice(&self.keys[key_start..end]);
                key_start = end;
            }
            write_value(&mut self.out, *ty, value)?;
        }
        self.out.push(if objects { b'}' } else { b']' });
        Ok(())
    }
}

impl RowSink for JsonRows {
    fn row(&mut self, values: &[ValueRef<'_>]) -> Result<()> {
        if self.count == self.max {
            self.truncated = true;
            helios_types::bail!(LimitExceeded, "more than {} rows", self.max);
        }
        if self.separator == Separator::Comma && self.count > 0 {
            self.out.push(b',');
        }
        self.count += 1;
        self.write_row(values)?;
        if self.separator == Separator::Line {
            self.out.push(b'\n');
        }
        Ok(())
    }

    fn pending_bytes(&self) -> usize {
        self.out.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use helios_types::Value;
    use std::sync::Arc;

    fn to_string(ty: Type, value: &Value) -> Result<String> {
        let mut out = Vec::new();
        write_value(&mut out, ty, &value.as_ref())?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn each_type_has_the_json_form_of_the_conversion_table() {
        let numeric = |text: &str| Value::Numeric(Numeric::parse(text).unwrap());
        let noon = 1_767_528_000_000_000;
        let cases: &[(Type, Value, &str)] = &[
            (Type::INT4, Value::Null, "null"),
            (Type::BOOL, Value::Bool(true), "true"),
            (Type::INT8, Value::Int8(i64::MIN), "-9223372036854775808"),
            (Type::FLOAT8, Value::Float8(0.1), "0.1"),
            (Type::FLOAT8, Value::Float8(f64::NAN), "\"NaN\""),
            (Type::FLOAT4, Value::Float4(f32::INFINITY), "\"Infinity\""),
            (Type::NUMERIC, numeric("10.50"), "10.50"),
            (
                Type::NUMERIC,
                numeric("12345678901234567890.1"),
                "\"12345678901234567890.1\"",
            ),
            (Type::NUMERIC, numeric("NaN"), "\"NaN\""),
            (
                Type::TEXT,
                Value::text("a\"\\\n\u{1}é"),
                "\"a\\\"\\\\\\n\\u0001é\"",
            ),
            (Type::JSON, Value::text("{\"a\" : 1}"), "{\"a\" : 1}"),
            (Type::BYTEA, Value::bytea([0xff, 0x00]), "\"/wA=\""),
            (
                Type::TIMESTAMPTZ,
                Value::TimestampTz(noon),
                "\"2026-01-04T12:00:00Z\"",
            ),
            (
                Type::TIMESTAMP,
                Value::Timestamp(noon + 120_000),
                "\"2026-01-04T12:00:00.12\"",
            ),
            (Type::TIMESTAMP, Value::Timestamp(i64::MAX), "\"infinity\""),
            (Type::DATE, Value::Date(20_457), "\"2026-01-04\""),
            (
                Type::UUID,
                Value::Uuid(Arc::new([0x11; 16])),
                "\"11111111-1111-1111-1111-111111111111\"",
            ),
        ];
        for (ty, value, expected) in cases {
            assert_eq!(to_string(*ty, value).unwrap(), *expected);
        }
    }

    #[test]
    fn an_array_of_two_dimensions_is_an_array_of_arrays() {
        use helios_types::array::Dimension;
        let mut array = Array::from_values(Type::INT4.oid, (1..=4).map(Value::Int4).collect());
        array.dimensions = vec![Dimension { len: 2, lower: 1 }; 2];
        let ty = Type::INT4.array_of().unwrap();
        assert_eq!(
            to_string(ty, &Value::Array(Arc::new(array))).unwrap(),
            "[[1,2],[3,4]]"
        );
        let empty = Array::from_values(Type::INT4.oid, vec![]);
        assert_eq!(to_string(ty, &Value::Array(Arc::new(empty))).unwrap(), "[]");
    }
}
