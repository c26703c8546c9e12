//! Values as MongoDB prints them inside error messages.

use super::raw::*;
use std::fmt::Write;

/// A value in the shell's notation: `{ a: 1, b: "x" }`.
pub fn render(value: Bson<'_>) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

fn write_value(out: &mut String, value: Bson<'_>) {
    let _ = match value.tag {
        MISSING => write!(out, "MISSING"),
        DOUBLE => write_double(out, value.as_f64().unwrap_or(0.0)),
        STRING | SYMBOL | CODE => write!(out, "\"{}\"", value.as_str().unwrap_or("")),
        DOCUMENT => write_document(out, value),
        ARRAY => write_array(out, value),
        BINARY => {
            let (subtype, bytes) = value.as_binary().unwrap_or((0, &[]));
            write!(out, "BinData({subtype}, {})", hex(bytes))
        }
        UNDEFINED => write!(out, "undefined"),
        OBJECT_ID => write!(out, "ObjectId('{}')", hex(value.bytes)),
        BOOL => write!(out, "{}", value.as_bool().unwrap_or(false)),
        DATE => write!(out, "new Date({})", value.as_date().unwrap_or(0)),
        NULL => write!(out, "null"),
        REGEX => {
            let (pattern, options) = value.as_regex().unwrap_or(("", ""));
            write!(out, "/{pattern}/{options}")
        }
        INT32 => write!(out, "{}", value.as_i32().unwrap_or(0)),
        INT64 => write!(out, "{}", value.as_i64().unwrap_or(0)),
        TIMESTAMP => {
            let v = value.as_timestamp().unwrap_or(0);
            write!(out, "Timestamp({}, {})", v >> 32, v & 0xffff_ffff)
        }
        DECIMAL => match super::decimal::Decimal::from_bson(value) {
            Some(v) => write!(out, "{v}"),
            None => Ok(()),
        },
        MIN_KEY => write!(out, "MinKey"),
        MAX_KEY => write!(out, "MaxKey"),
        _ => write!(out, "{}", value.type_name()),
    };
}

fn write_double(out: &mut String, v: f64) -> std::fmt::Result {
    if v.is_nan() {
        out.write_str("nan.0")
    } else if v.is_infinite() {
        out.write_str(if v > 0.0 { "inf.0" } else { "-inf.0" })
    } else if v.fract() == 0.0 && v.abs() < 1e16 {
        write!(out, "{v:.1}")
    } else {
        write!(out, "{v}")
    }
}

fn write_document(out: &mut String, value: Bson<'_>) -> std::fmt::Result {
    if value.is_empty() {
        return out.write_str("{}");
    }
    out.write_str("{ ")?;
    for (i, (name, v)) in value.fields().enumerate() {
        if i > 0 {
            out.write_str(", ")?;
        }
        write!(out, "{name}: ")?;
        write_value(out, v);
    }
    out.write_str(" }")
}

fn write_array(out: &mut String, value: Bson<'_>) -> std::fmt::Result {
    if value.is_empty() {
        return out.write_str("[]");
    }
    out.write_str("[ ")?;
    for (i, v) in value.elements().enumerate() {
        if i > 0 {
            out.write_str(", ")?;
        }
        write_value(out, v);
    }
    out.write_str(" ]")
}

pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}
