//! The functions behind casts between types, and the length coercions of type modifiers.
//!
//! Casts of dates and times are in [`super::datetime`]; casts through text are made by the binder.

use super::argument::{Context, boolean, int4, jsonb, out_of_range, text, value};
use helios_types::json::Kind;
use helios_types::text::{apply_modifier, float4_text, float8_text, truncate_name};
use helios_types::{Error, Numeric, Result, Type, Value, error};

fn unexpected(value: &Value) -> Error {
    Error::internal(format!("cast of {value:?}"))
}

/// The integer nearest to a number of any type, before the range of the target is checked.
fn nearest(args: &[Value], type_name: &'static str) -> Result<i64> {
    let float = |v: f64| {
        let rounded = v.round_ties_even();
        // 2^63 is the first double that does not fit.
        if rounded.is_nan()
            || !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded)
        {
            return Err(out_of_range(type_name));
        }
        Ok(rounded as i64)
    };
    match value(args, 0)? {
        Value::Int2(v) => Ok(i64::from(*v)),
        Value::Int4(v) => Ok(i64::from(*v)),
        Value::Int8(v) => Ok(*v),
        Value::Oid(v) => Ok(i64::from(*v)),
        Value::Float4(v) => float(f64::from(*v)),
        Value::Float8(v) => float(*v),
        Value::Numeric(v) => numeric_to_integer(v, type_name),
        Value::Bool(v) => Ok(i64::from(*v)),
        Value::Char(v) => Ok(i64::from(*v as i8)),
        Value::Jsonb(_) => numeric_to_integer(&json_number(args, type_name)?, type_name),
        other => Err(unexpected(other)),
    }
}

fn numeric_to_integer(v: &Numeric, type_name: &str) -> Result<i64> {
    if v.is_nan() {
        return Err(error!(Unsupported, "cannot convert NaN to {type_name}"));
    }
    if v.is_infinite() {
        return Err(error!(
            Unsupported,
            "cannot convert infinity to {type_name}"
        ));
    }
    v.to_i64().ok_or_else(|| out_of_range(type_name))
}

/// The number that a jsonb scalar holds.
fn json_number(args: &[Value], type_name: &str) -> Result<Numeric> {
    let json = jsonb(args, 0)?;
    json.as_numeric()
        .ok_or_else(|| json_cast_error(json.kind(), type_name))
}

fn json_cast_error(kind: Kind, type_name: &str) -> Error {
    let found = match kind {
        Kind::Null => "null",
        Kind::String => "string",
        Kind::Number => "numeric",
        Kind::Bool => "boolean",
        Kind::Array => "array",
        Kind::Object => "object",
    };
    error!(
        InvalidParameterValue,
        "cannot cast jsonb {found} to type {type_name}"
    )
}

pub fn to_int2(args: &[Value], _: Context) -> Result<Value> {
    let v = nearest(args, "smallint")?;
    i16::try_from(v)
        .map(Value::Int2)
        .map_err(|_| out_of_range("smallint"))
}

pub fn to_int4(args: &[Value], _: Context) -> Result<Value> {
    let v = nearest(args, "integer")?;
    i32::try_from(v)
        .map(Value::Int4)
        .map_err(|_| out_of_range("integer"))
}

pub fn to_int8(args: &[Value], _: Context) -> Result<Value> {
    nearest(args, "bigint").map(Value::Int8)
}

pub fn to_oid(args: &[Value], _: Context) -> Result<Value> {
    let v = nearest(args, "OID")?;
    match value(args, 0)? {
        // Smaller integers are taken by their bits, bigint by its range.
        Value::Int8(_) => u32::try_from(v)
            .map(Value::Oid)
            .map_err(|_| out_of_range("OID")),
        _ => Ok(Value::Oid(v as u32)),
    }
}

pub fn to_float8(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Float8(match value(args, 0)? {
        Value::Float4(v) => f64::from(*v),
        Value::Float8(v) => *v,
        Value::Numeric(v) => numeric_to_float8(v)?,
        Value::Jsonb(_) => numeric_to_float8(&json_number(args, "double precision")?)?,
        other => other.as_i64().ok_or_else(|| unexpected(other))? as f64,
    }))
}

fn numeric_to_float8(v: &Numeric) -> Result<f64> {
    let float = v.to_f64();
    if (float.is_infinite() && v.is_finite()) || (float == 0.0 && !v.is_zero()) {
        return Err(error!(
            NumericOutOfRange,
            "\"{v}\" is out of range for type double precision"
        ));
    }
    Ok(float)
}

pub fn to_float4(args: &[Value], _: Context) -> Result<Value> {
    let overflow = || error!(NumericOutOfRange, "value out of range: overflow");
    Ok(Value::Float4(match value(args, 0)? {
        Value::Float4(v) => *v,
        Value::Float8(v) => {
            let narrow = *v as f32;
            if narrow.is_infinite() && v.is_finite() {
                return Err(overflow());
            }
            if narrow == 0.0 && *v != 0.0 {
                return Err(error!(NumericOutOfRange, "value out of range: underflow"));
            }
            narrow
        }
        Value::Numeric(v) => helios_types::text::parse_float4(&v.to_string())?,
        Value::Jsonb(_) => {
            helios_types::text::parse_float4(&json_number(args, "real")?.to_string())?
        }
        other => other.as_i64().ok_or_else(|| unexpected(other))? as f32,
    }))
}

/// Without a modifier from another type, with one (precision and scale) from numeric itself.
pub fn to_numeric(args: &[Value], _: Context) -> Result<Value> {
    let number = match value(args, 0)? {
        Value::Numeric(v) => v.clone(),
        Value::Float4(v) => Numeric::from_f32(*v),
        Value::Float8(v) => Numeric::from_f64(*v),
        Value::Jsonb(_) => json_number(args, "numeric")?,
        other => Numeric::from_i64(other.as_i64().ok_or_else(|| unexpected(other))?),
    };
    with_modifier(args, Type::NUMERIC, Value::Numeric(number))
}

pub fn to_bool(args: &[Value], _: Context) -> Result<Value> {
    match value(args, 0)? {
        Value::Jsonb(v) => {
            let json = v.as_ref();
            json.as_bool()
                .map(Value::Bool)
                .ok_or_else(|| json_cast_error(json.kind(), "boolean"))
        }
        other => other
            .as_i64()
            .map(|v| Value::Bool(v != 0))
            .ok_or_else(|| unexpected(other)),
    }
}

/// bool, "char", name and char(n) as text.
pub fn to_text(args: &[Value], _: Context) -> Result<Value> {
    Ok(match value(args, 0)? {
        Value::Bool(v) => Value::text(if *v { "true" } else { "false" }),
        Value::Char(0) => Value::text(""),
        Value::Char(byte) if byte.is_ascii() => Value::from(char::from(*byte).to_string()),
        Value::Char(byte) => Value::from(format!("\\{byte:03o}")),
        Value::Text(v) => Value::Text(v.clone()),
        other => return Err(unexpected(other)),
    })
}

pub fn to_name(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::text(truncate_name(text(args, 0)?)))
}

/// `"char"` from an integer or the first byte of a text.
pub fn to_char1(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Char(match value(args, 0)? {
        Value::Int4(v) => {
            i8::try_from(*v).map_err(|_| error!(NumericOutOfRange, "\"char\" out of range"))? as u8
        }
        Value::Text(v) => v.as_bytes().first().copied().unwrap_or(0),
        other => return Err(unexpected(other)),
    }))
}

/// Applies the modifier and explicitness that the binder passes behind the value.
fn with_modifier(args: &[Value], ty: Type, result: Value) -> Result<Value> {
    if args.len() < 2 {
        return Ok(result);
    }
    let explicit = args.len() > 2 && boolean(args, 2)?;
    apply_modifier(ty.with_modifier(int4(args, 1)?), result, explicit)
}

macro_rules! coercions {
    ($($name:ident = $ty:ident;)*) => {
        $(pub fn $name(args: &[Value], _: Context) -> Result<Value> {
            with_modifier(args, Type::$ty, value(args, 0)?.clone())
        })*
    };
}

coercions! {
    varchar = VARCHAR;
    time = TIME;
    timestamp = TIMESTAMP;
    timestamptz = TIMESTAMPTZ;
    interval = INTERVAL;
}

/// char(n) is held without its trailing blanks, with or without a length.
pub fn bpchar(args: &[Value], context: Context) -> Result<Value> {
    let text = to_text(&args[..args.len().min(1)], context)?;
    let explicit = args.len() > 2 && boolean(args, 2)?;
    let modifier = if args.len() > 1 { int4(args, 1)? } else { -1 };
    apply_modifier(Type::BPCHAR.with_modifier(modifier), text, explicit)
}

/// A float's text, as `concat` and others print it.
pub(super) fn float_text(value: &Value) -> Option<String> {
    match value {
        Value::Float4(v) => Some(float4_text(*v)),
        Value::Float8(v) => Some(float8_text(*v)),
        _ => None,
    }
}
