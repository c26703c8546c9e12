//! PostgreSQL's text form of every type, in and out.
//!
//! [`parse_text`] is the type's input function with its type modifier applied, [`write_text`] its
//! output function; messages and error kinds are PostgreSQL's. What depends on a session (time
//! zone, date order, output styles) comes in a [`TextContext`].
//!
//! `char(n)` values are held without their trailing blanks, which is exactly how PostgreSQL
//! compares them; [`write_text`] pads them again to the length in the type's modifier
//! ([`padded`] does so for other encoders).

mod array;
mod binary;
mod modifier;
mod number;
mod type_name;

pub use array::{parse_array, write_array};
pub(crate) use binary::write_hex;
pub use binary::{parse_bytea, parse_uuid, write_bytea, write_uuid};
pub use modifier::apply_modifier;
pub use number::{
    float4_text, float8_text, parse_bool, parse_float4, parse_float8, parse_int2, parse_int4,
    parse_int8, parse_oid, write_float4, write_float8,
};
pub use type_name::{
    char_modifier, format_type, interval_modifier, numeric_modifier, parse_type_name, time_modifier,
};

use crate::datetime::{self, DateContext};
use crate::interval::IntervalStyle;
use crate::{Error, Interval, Jsonb, Numeric, Result, Type, Value, ValueRef, bail, error};
use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::Arc;

/// The session's settings that text depends on.
#[derive(Clone, Copy, Debug)]
pub struct TextContext {
    pub dates: DateContext,
    pub interval_style: IntervalStyle,
    /// `bytea_output = escape` instead of `hex`.
    pub bytea_escape: bool,
    /// One or more: shortest text that reads back as the same float; else digits less.
    pub extra_float_digits: i8,
}

impl Default for TextContext {
    fn default() -> Self {
        TextContext {
            dates: DateContext::default(),
            interval_style: IntervalStyle::Postgres,
            bytea_escape: false,
            extra_float_digits: 1,
        }
    }
}

/// Lets a byte buffer take formatted text.
#[derive(Debug)]
pub struct ByteWriter<'a>(pub &'a mut Vec<u8>);

impl fmt::Write for ByteWriter<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.extend_from_slice(s.as_bytes());
        Ok(())
    }
}

pub(crate) fn syntax_error(type_name: &str, text: &str) -> Error {
    error!(
        InvalidTextRepresentation,
        "invalid input syntax for type {type_name}: \"{text}\""
    )
}

/// Reads a value of the type `ty` and applies the type's modifier, as on assignment to a column.
pub fn parse_text(ty: Type, text: &str, context: &TextContext) -> Result<Value> {
    if let Some(element) = ty.element() {
        return Ok(Value::Array(Arc::new(array::parse_of_type(
            ty, element, text, context,
        )?)));
    }
    let dates = &context.dates;
    let value = match Type::new(ty.oid) {
        Type::BOOL => Value::Bool(parse_bool(text)?),
        Type::INT2 => Value::Int2(parse_int2(text)?),
        Type::INT4 => Value::Int4(parse_int4(text)?),
        Type::INT8 => Value::Int8(parse_int8(text)?),
        Type::FLOAT4 => Value::Float4(parse_float4(text)?),
        Type::FLOAT8 => Value::Float8(parse_float8(text)?),
        Type::NUMERIC => Value::Numeric(Numeric::parse(text)?),
        Type::BPCHAR => Value::text(text),
        Type::TEXT | Type::VARCHAR | Type::UNKNOWN | Type::PG_NODE_TREE => Value::text(text),
        Type::NAME => Value::text(truncate_name(text)),
        Type::CHAR => Value::Char(parse_char(text)),
        Type::BYTEA => Value::bytea(parse_bytea(text)?),
        Type::DATE => Value::Date(datetime::parse_date(text, dates)?),
        Type::TIME => Value::Time(datetime::parse_time(text, dates)?),
        Type::TIMESTAMP => Value::Timestamp(datetime::parse_timestamp(text, dates)?),
        Type::TIMESTAMPTZ => Value::TimestampTz(datetime::parse_timestamptz(text, dates)?),
        Type::INTERVAL => {
            return Interval::parse_with_modifier(text, ty.modifier)
                .map(|i| Value::Interval(Arc::new(i)));
        }
        Type::UUID => Value::Uuid(Arc::new(parse_uuid(text)?)),
        Type::JSON => {
            crate::json::validate(text)?;
            Value::text(text)
        }
        Type::JSONB => Value::Jsonb(Jsonb::parse(text)?),
        Type::OID | Type::XID => Value::Oid(parse_oid(text)?),
        Type::REGTYPE => Value::Oid(parse_regtype(text)?),
        Type::VOID => Value::text(""),
        Type::RECORD => bail!(
            Unsupported,
            "input of anonymous composite types is not implemented"
        ),
        _ if ty.is_oid_like() => Value::Oid(parse_reg_number(ty, text)?),
        _ => return Err(Error::unsupported(format_args!("type {}", format_type(ty)))),
    };
    if ty.modifier >= 0 || ty.oid == Type::BPCHAR.oid {
        return apply_modifier(ty, value, false);
    }
    Ok(value)
}

/// Writes a value of the type `ty`; null writes nothing.
pub fn write_text(
    out: &mut impl Write,
    ty: Type,
    value: &ValueRef<'_>,
    context: &TextContext,
) -> Result<()> {
    write_value(out, ty, value, context).map_err(Error::internal)
}

/// [`write_text`] into a new string; null is the empty string.
pub fn to_text(ty: Type, value: &Value, context: &TextContext) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_value(&mut out, ty, &value.as_ref(), context);
    out
}

pub(crate) fn write_value(
    out: &mut impl Write,
    ty: Type,
    value: &ValueRef<'_>,
    context: &TextContext,
) -> fmt::Result {
    match value {
        ValueRef::Null => Ok(()),
        ValueRef::Bool(v) => out.write_str(if *v { "t" } else { "f" }),
        ValueRef::Char(0) => Ok(()),
        ValueRef::Char(byte) if byte.is_ascii() => out.write_char(char::from(*byte)),
        ValueRef::Char(byte) => write!(out, "\\{byte:03o}"),
        ValueRef::Int2(v) => out.write_str(itoa::Buffer::new().format(*v)),
        ValueRef::Int4(v) => out.write_str(itoa::Buffer::new().format(*v)),
        ValueRef::Int8(v) => out.write_str(itoa::Buffer::new().format(*v)),
        ValueRef::Oid(v) => write_oid(out, ty, *v),
        ValueRef::Float4(v) => write_float4(out, *v, context.extra_float_digits),
        ValueRef::Float8(v) => write_float8(out, *v, context.extra_float_digits),
        ValueRef::Numeric(v) => write!(out, "{v}"),
        ValueRef::Text(v) if ty.oid == Type::BPCHAR.oid => out.write_str(&padded(ty, v)),
        ValueRef::Text(v) => out.write_str(v),
        ValueRef::Bytea(v) => write_bytea(out, v, context.bytea_escape),
        ValueRef::Date(v) => datetime::write_date(out, *v, &context.dates),
        ValueRef::Time(v) => datetime::write_time(out, *v),
        ValueRef::Timestamp(v) => datetime::write_timestamp(out, *v, &context.dates),
        ValueRef::TimestampTz(v) => datetime::write_timestamptz(out, *v, &context.dates),
        ValueRef::Interval(v) => v.write(out, context.interval_style),
        ValueRef::Uuid(v) => write_uuid(out, v),
        ValueRef::Jsonb(v) => v.write(out),
        ValueRef::Array(v) => array::write_of_type(out, ty, v, context),
        ValueRef::Record(v) => write_record(out, v, context),
    }
}

/// A `char(n)` value with the blanks that its declared length adds.
pub fn padded(ty: Type, text: &str) -> Cow<'_, str> {
    let Some(length) = ty.char_length().filter(|_| ty.oid == Type::BPCHAR.oid) else {
        return Cow::Borrowed(text);
    };
    let missing = (length as usize).saturating_sub(text.chars().count());
    if missing == 0 {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + missing);
    out.push_str(text);
    out.extend(std::iter::repeat_n(' ', missing));
    Cow::Owned(out)
}

/// `name` is cut to 63 bytes, at a character's boundary.
pub fn truncate_name(text: &str) -> &str {
    let mut end = text.len().min(crate::limits::IDENTIFIER_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// `"char"`: the first byte, or an octal escape.
fn parse_char(text: &str) -> u8 {
    match text.as_bytes() {
        [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] => {
            (a - b'0') << 6 | (b - b'0') << 3 | (c - b'0')
        }
        [first, ..] => *first,
        [] => 0,
    }
}

fn parse_regtype(text: &str) -> Result<u32> {
    let trimmed = text.trim();
    if trimmed == "-" {
        return Ok(0);
    }
    if trimmed.bytes().all(|b| b.is_ascii_digit()) {
        return parse_oid(text);
    }
    parse_type_name(trimmed).map(|t| t.oid)
}

/// Names of catalog objects need the catalog; only their numbers can be read here.
fn parse_reg_number(ty: Type, text: &str) -> Result<u32> {
    match text.trim() {
        "-" => Ok(0),
        digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            parse_oid(digits)
        }
        _ => Err(Error::unsupported(format_args!(
            "a name as {} outside a statement",
            format_type(ty)
        ))),
    }
}

fn write_oid(out: &mut impl Write, ty: Type, oid: u32) -> fmt::Result {
    match ty.oid {
        // Without a modifier in mind char(n) is `character`, not `bpchar`.
        2206 if oid == Type::BPCHAR.oid => out.write_str("character"),
        2206 if oid != 0 => out.write_str(&format_type(Type::new(oid))),
        _ if ty.is_oid_like() && ty.oid != Type::OID.oid && oid == 0 => out.write_str("-"),
        _ => out.write_str(itoa::Buffer::new().format(oid)),
    }
}

fn write_record(
    out: &mut impl Write,
    fields: &[(crate::Oid, Value)],
    context: &TextContext,
) -> fmt::Result {
    out.write_char('(')?;
    let mut text = String::new();
    for (i, (oid, value)) in fields.iter().enumerate() {
        if i > 0 {
            out.write_char(',')?;
        }
        if value.is_null() {
            continue;
        }
        text.clear();
        write_value(&mut text, Type::new(*oid), &value.as_ref(), context)?;
        let special = |c: char| {
            matches!(c, '"' | '\\' | '(' | ')' | ',') || c.is_ascii_whitespace() || c == '\x0b'
        };
        if !text.is_empty() && !text.contains(special) {
            out.write_str(&text)?;
            continue;
        }
        out.write_char('"')?;
        for c in text.chars() {
            // A record doubles both characters.
            if matches!(c, '"' | '\\') {
                out.write_char(c)?;
            }
            out.write_char(c)?;
        }
        out.write_char('"')?;
    }
    out.write_char(')')
}
