//! JSON text, spaced as PostgreSQL prints jsonb.

use super::{JsonbRef, Kind, c_string, element, fixed, length, string};
use crate::datetime::Civil;
use crate::limits::NESTING_MAX;
use crate::text::{write_float8, write_uuid};
use base64::Engine;
use std::fmt::{self, Write};

impl JsonbRef<'_> {
    /// `{"a": 1, "b": [1, 2]}`
    pub fn write(&self, out: &mut impl Write) -> fmt::Result {
        write_value(out, *self, &Layout::Spaced, 0)
    }

    /// `{"a":1,"b":[1,2]}`, as Redis and HTTP clients expect it.
    pub fn write_compact(&self, out: &mut impl Write) -> fmt::Result {
        write_value(out, *self, &Layout::Compact, 0)
    }

    /// `jsonb_pretty`: four blanks a level.
    pub fn write_pretty(&self, out: &mut impl Write) -> fmt::Result {
        write_value(out, *self, &Layout::Pretty, 0)
    }
}

enum Layout {
    Spaced,
    Compact,
    Pretty,
}

impl Layout {
    fn between(&self, out: &mut impl Write, depth: usize) -> fmt::Result {
        match self {
            Layout::Spaced => out.write_str(", "),
            Layout::Compact => out.write_char(','),
            Layout::Pretty => {
                out.write_char(',')?;
                self.line(out, depth)
            }
        }
    }

    fn line(&self, out: &mut impl Write, depth: usize) -> fmt::Result {
        if matches!(self, Layout::Pretty) {
            write!(out, "\n{:1$}", "", depth * 4)?;
        }
        Ok(())
    }

    fn colon(&self) -> &'static str {
        if matches!(self, Layout::Compact) {
            ":"
        } else {
            ": "
        }
    }
}

fn write_value(
    out: &mut impl Write,
    value: JsonbRef<'_>,
    layout: &Layout,
    depth: usize,
) -> fmt::Result {
    if depth > NESTING_MAX {
        return Err(fmt::Error);
    }
    match value.element {
        element::DOCUMENT | element::ARRAY => write_container(out, value, layout, depth),
        element::NULL => out.write_str("null"),
        element::BOOL => out.write_str(if value.as_bool() == Some(true) {
            "true"
        } else {
            "false"
        }),
        element::INT32 | element::INT64 => {
            out.write_str(itoa::Buffer::new().format(value.as_i64().unwrap_or(0)))
        }
        element::DOUBLE if value.kind() == Kind::Number => {
            write_double(out, value.as_f64().unwrap_or(0.0))
        }
        _ if value.kind() == Kind::Number => match value.as_numeric() {
            Some(number) => write!(out, "{number}"),
            None => out.write_str("null"),
        },
        element::STRING => write_string(out, string(value.bytes).unwrap_or("")),
        _ if value.kind() == Kind::String => write_string(out, &string_text(value)),
        _ => write_extended(out, value, layout, depth),
    }
}

fn write_container(
    out: &mut impl Write,
    value: JsonbRef<'_>,
    layout: &Layout,
    depth: usize,
) -> fmt::Result {
    let is_object = value.element == element::DOCUMENT;
    out.write_char(if is_object { '{' } else { '[' })?;
    let mut empty = true;
    for entry in value.entries() {
        let (name, member) = entry.map_err(|_| fmt::Error)?;
        if empty {
            layout.line(out, depth + 1)?;
        } else {
            layout.between(out, depth + 1)?;
        }
        empty = false;
        if is_object {
            write_string(out, name)?;
            out.write_str(layout.colon())?;
        }
        write_value(out, member, layout, depth + 1)?;
    }
    if !empty || matches!(layout, Layout::Pretty) {
        layout.line(out, depth)?;
    }
    out.write_char(if is_object { '}' } else { ']' })
}

/// A double keeps a point (`5.0`), so that its type survives the trip through text.
fn write_double(out: &mut impl Write, value: f64) -> fmt::Result {
    write_float8(out, value, 1)?;
    if value.trunc() == value && value.abs() < 1e15 {
        out.write_str(".0")
    } else {
        Ok(())
    }
}

/// A JSON string with its quotes.
pub fn write_string(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    let mut plain = 0;
    for (i, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.write_str(&text[plain..i])?;
        plain = i + 1;
        match byte {
            b'"' => out.write_str("\\\"")?,
            b'\\' => out.write_str("\\\\")?,
            b'\n' => out.write_str("\\n")?,
            b'\r' => out.write_str("\\r")?,
            b'\t' => out.write_str("\\t")?,
            0x08 => out.write_str("\\b")?,
            0x0c => out.write_str("\\f")?,
            _ => write!(out, "\\u{byte:04x}")?,
        }
    }
    out.write_str(&text[plain..])?;
    out.write_char('"')
}

/// The text of BSON types that are strings in JSON.
pub(super) fn string_text(value: JsonbRef<'_>) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = match value.element {
        element::STRING => out.write_str(string(value.bytes).unwrap_or("")),
        element::OBJECT_ID => crate::text::write_hex(&mut out, value.bytes),
        element::DATE => write_date(&mut out, fixed(value.bytes).map_or(0, i64::from_le_bytes)),
        element::BINARY => write_binary(&mut out, value.bytes),
        element::DOUBLE => write_float8(&mut out, value.as_f64().unwrap_or(f64::NAN), 1),
        element::DECIMAL128 => {
            let number = fixed(value.bytes)
                .map(super::decimal128_to_numeric)
                .unwrap_or_default();
            write!(out, "{number}")
        }
        _ => Ok(()),
    };
    out
}

/// `2024-01-01T00:00:00.000Z`; years beyond four digits have a sign and six.
fn write_date(out: &mut impl Write, millis: i64) -> fmt::Result {
    let days = millis.div_euclid(86_400_000);
    let time = millis.rem_euclid(86_400_000);
    let civil = Civil::from_micros(time * 1000);
    let (year, month, day) = crate::datetime::civil_from_days(days);
    if (0..10_000).contains(&year) {
        write!(out, "{year:04}")?;
    } else {
        write!(out, "{year:+07}")?;
    }
    let Civil {
        hour,
        minute,
        second,
        micros,
        ..
    } = civil;
    let millis = micros / 1000;
    write!(
        out,
        "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
    )
}

fn write_binary(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    let Some((subtype, data)) = bytes.get(4..).and_then(|b| b.split_first()) else {
        return Ok(());
    };
    if *subtype == 4
        && let Ok(uuid) = <&[u8; 16]>::try_from(data)
    {
        return write_uuid(out, uuid);
    }
    out.write_str(&base64::engine::general_purpose::STANDARD.encode(data))
}

/// Types that only canonical Extended JSON can show.
fn write_extended(
    out: &mut impl Write,
    value: JsonbRef<'_>,
    layout: &Layout,
    depth: usize,
) -> fmt::Result {
    let colon = layout.colon();
    let comma = if matches!(layout, Layout::Compact) {
        ","
    } else {
        ", "
    };
    let bytes = value.bytes;
    match value.element {
        element::TIMESTAMP => {
            let raw = fixed(bytes).map_or(0, u64::from_le_bytes);
            let (t, i) = (raw >> 32, raw & 0xffff_ffff);
            write!(
                out,
                "{{\"$timestamp\"{colon}{{\"t\"{colon}{t}{comma}\"i\"{colon}{i}}}}}"
            )
        }
        element::REGEX => {
            let (pattern, rest) = c_string(bytes).unwrap_or(("", &[]));
            let options = c_string(rest).map_or("", |(o, _)| o);
            write!(out, "{{\"$regularExpression\"{colon}{{\"pattern\"{colon}")?;
            write_string(out, pattern)?;
            write!(out, "{comma}\"options\"{colon}")?;
            write_string(out, options)?;
            out.write_str("}}")
        }
        element::CODE | element::SYMBOL => {
            let name = if value.element == element::CODE {
                "$code"
            } else {
                "$symbol"
            };
            write!(out, "{{\"{name}\"{colon}")?;
            write_string(out, string(bytes).unwrap_or(""))?;
            out.write_char('}')
        }
        element::CODE_WITH_SCOPE => {
            let code = bytes.get(4..).unwrap_or(&[]);
            write!(out, "{{\"$code\"{colon}")?;
            write_string(out, string(code).unwrap_or(""))?;
            write!(out, "{comma}\"$scope\"{colon}")?;
            let scope = length(code)
                .and_then(|len| code.get(len + 4..))
                .unwrap_or(&[]);
            let scope = JsonbRef {
                element: element::DOCUMENT,
                bytes: scope,
            };
            write_value(out, scope, layout, depth + 1)?;
            out.write_char('}')
        }
        element::DB_POINTER => {
            let namespace = string(bytes).unwrap_or("");
            let id = length(bytes)
                .and_then(|len| bytes.get(len + 4..))
                .unwrap_or(&[]);
            write!(out, "{{\"$dbPointer\"{colon}{{\"$ref\"{colon}")?;
            write_string(out, namespace)?;
            write!(out, "{comma}\"$id\"{colon}{{\"$oid\"{colon}\"")?;
            crate::text::write_hex(out, id)?;
            out.write_str("\"}}}")
        }
        element::MIN_KEY => write!(out, "{{\"$minKey\"{colon}1}}"),
        element::MAX_KEY => write!(out, "{{\"$maxKey\"{colon}1}}"),
        _ => write!(out, "{{\"$undefined\"{colon}true}}"),
    }
}
