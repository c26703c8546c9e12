//! SQL values as JSON, and JSON as SQL values; the bridge to `serde_json`.

use super::build::{ArrayBuilder, ObjectBuilder};
use super::{Jsonb, JsonbRef, Kind, element, write_string};
use crate::array::Dimension;
use crate::datetime::{DateContext, DateStyle};
use crate::limits::NESTING_MAX;
use crate::text::{TextContext, parse_text, to_text, write_value};
use crate::{Array, Numeric, Result, Type, Value, error};
use std::fmt::Write;

/// `to_jsonb`: numbers and booleans as themselves, json as what it says, arrays as arrays,
/// records as objects `f1, f2, …`, everything else as its text; dates and times in ISO 8601.
pub fn value_to_jsonb(ty: Type, value: &Value, context: &TextContext) -> Result<Jsonb> {
    Ok(match value {
        Value::Null => Jsonb::null(),
        Value::Bool(v) => Jsonb::from_bool(*v),
        Value::Int2(v) => Jsonb::from_i64(i64::from(*v)),
        Value::Int4(v) => Jsonb::from_i64(i64::from(*v)),
        Value::Int8(v) => Jsonb::from_i64(*v),
        Value::Float4(v) => float_to_jsonb(f64::from(*v), ty, value, context),
        Value::Float8(v) => float_to_jsonb(*v, ty, value, context),
        Value::Numeric(v) => Jsonb::from_numeric(v),
        Value::Jsonb(v) => v.clone(),
        Value::Text(v) if ty.oid == Type::JSON.oid => Jsonb::parse(v)?,
        Value::Array(array) => array_to_jsonb(array, ty, context)?,
        Value::Record(fields) => {
            let mut object = ObjectBuilder::new();
            for (i, (oid, field)) in fields.iter().enumerate() {
                let name = format!("f{}", i + 1);
                object.push(
                    &name,
                    value_to_jsonb(Type::new(*oid), field, context)?.as_ref(),
                );
            }
            object.finish()
        }
        _ => Jsonb::from_text(&iso_text(ty, value, context)),
    })
}

fn float_to_jsonb(number: f64, ty: Type, value: &Value, context: &TextContext) -> Jsonb {
    let text = to_text(ty, value, context);
    match Numeric::parse(&text) {
        Ok(numeric) if number.is_finite() => Jsonb::from_numeric(&numeric),
        _ => Jsonb::from_text(&text),
    }
}

/// The text of a value; dates and times with the `T` of ISO 8601.
fn iso_text(ty: Type, value: &Value, context: &TextContext) -> String {
    let dates = DateContext {
        style: DateStyle::Iso,
        ..context.dates
    };
    let text = to_text(ty, value, &TextContext { dates, ..*context });
    match value {
        Value::TimestampTz(_) | Value::Timestamp(_) => iso_timestamp(&text),
        _ => text,
    }
}

/// `2024-01-01 12:00:00+02` to `2024-01-01T12:00:00+02:00`.
fn iso_timestamp(text: &str) -> String {
    let mut out = text.replacen(' ', "T", 1);
    let time_at = out.find('T').unwrap_or(0);
    if let Some(sign) = out[time_at..].find(['+', '-'])
        && out[time_at + sign..].len() == 3
    {
        out.push_str(":00");
    }
    out
}

fn element_type(array: &Array, ty: Type) -> Type {
    ty.element().unwrap_or(Type::new(array.element))
}

fn array_to_jsonb(array: &Array, ty: Type, context: &TextContext) -> Result<Jsonb> {
    let element = element_type(array, ty);
    let mut values = array.values.iter();
    level_to_jsonb(&array.dimensions, element, &mut values, context)
}

fn level_to_jsonb<'a>(
    dimensions: &[Dimension],
    element: Type,
    values: &mut impl Iterator<Item = &'a Value>,
    context: &TextContext,
) -> Result<Jsonb> {
    let mut out = ArrayBuilder::new();
    let Some((first, inner)) = dimensions.split_first() else {
        return Ok(out.finish());
    };
    for _ in 0..first.len {
        let item = if inner.is_empty() {
            let Some(value) = values.next() else { break };
            value_to_jsonb(element, value, context)?
        } else {
            level_to_jsonb(inner, element, values, context)?
        };
        out.push(item.as_ref());
    }
    Ok(out.finish())
}

/// `to_json`: the same conversions as [`value_to_jsonb`], as text without blanks, in which json
/// values keep their spelling.
pub fn value_to_json_text(
    out: &mut String,
    ty: Type,
    value: &Value,
    context: &TextContext,
) -> Result<()> {
    let fault = crate::Error::internal;
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(v) => out.push_str(if *v { "true" } else { "false" }),
        Value::Int2(_) | Value::Int4(_) | Value::Int8(_) => {
            write_value(out, ty, &value.as_ref(), context).map_err(fault)?;
        }
        Value::Float4(_) | Value::Float8(_) | Value::Numeric(_) => {
            let text = to_text(ty, value, context);
            // NaN and the infinities are not JSON numbers.
            if text.ends_with(|c: char| c.is_ascii_digit()) {
                out.push_str(&text);
            } else {
                write_string(out, &text).map_err(fault)?;
            }
        }
        Value::Jsonb(v) => v.as_ref().write(out).map_err(fault)?,
        Value::Text(v) if ty.oid == Type::JSON.oid => out.push_str(v),
        Value::Array(array) => {
            let element = element_type(array, ty);
            let mut values = array.values.iter();
            if array.dimensions.is_empty() {
                out.push_str("[]");
            } else {
                level_to_text(out, &array.dimensions, element, &mut values, context)?;
            }
        }
        Value::Record(fields) => {
            out.push('{');
            for (i, (oid, field)) in fields.iter().enumerate() {
                let comma = if i > 0 { "," } else { "" };
                write!(out, "{comma}\"f{}\":", i + 1).map_err(fault)?;
                value_to_json_text(out, Type::new(*oid), field, context)?;
            }
            out.push('}');
        }
        _ => write_string(out, &iso_text(ty, value, context)).map_err(fault)?,
    }
    Ok(())
}

fn level_to_text<'a>(
    out: &mut String,
    dimensions: &[Dimension],
    element: Type,
    values: &mut impl Iterator<Item = &'a Value>,
    context: &TextContext,
) -> Result<()> {
    let Some((first, inner)) = dimensions.split_first() else {
        return Ok(());
    };
    out.push('[');
    for i in 0..first.len {
        if i > 0 {
            out.push(',');
        }
        if inner.is_empty() {
            let Some(value) = values.next() else { break };
            value_to_json_text(out, element, value, context)?;
        } else {
            level_to_text(out, inner, element, values, context)?;
        }
    }
    out.push(']');
    Ok(())
}

/// A JSON value as a value of an SQL type, as `json_populate_record` and REST bodies need it:
/// null is NULL, arrays fill array types, strings are read as the type's text, other values by
/// their text.
pub fn jsonb_to_value(ty: Type, json: JsonbRef<'_>, context: &TextContext) -> Result<Value> {
    if json.is_null() {
        return Ok(Value::Null);
    }
    if ty.oid == Type::JSONB.oid {
        return Ok(Value::Jsonb(json.to_jsonb()));
    }
    if ty.oid == Type::JSON.oid {
        return Ok(Value::from(json.to_string()));
    }
    if let (Some(element), Kind::Array) = (ty.element(), json.kind()) {
        return jsonb_to_array(element, json, context);
    }
    let text = json.to_text().unwrap_or_default();
    parse_text(ty, &text, context)
}

fn jsonb_to_array(element: Type, json: JsonbRef<'_>, context: &TextContext) -> Result<Value> {
    let mut shape: Vec<usize> = Vec::new();
    let mut values = Vec::new();
    collect(element, json, 0, &mut shape, &mut values, context)?;
    let dimensions = if values.is_empty() {
        Vec::new()
    } else {
        shape
            .iter()
            .map(|n| Dimension {
                len: *n as u32,
                lower: 1,
            })
            .collect()
    };
    Ok(Value::Array(std::sync::Arc::new(Array {
        element: element.oid,
        dimensions,
        values,
    })))
}

fn collect(
    element: Type,
    json: JsonbRef<'_>,
    depth: usize,
    shape: &mut Vec<usize>,
    values: &mut Vec<Value>,
    context: &TextContext,
) -> Result<()> {
    let malformed = || {
        error!(InvalidTextRepresentation, "malformed JSON array")
            .with_detail("Multidimensional arrays must have sub-arrays with matching dimensions.")
    };
    if depth >= crate::limits::ARRAY_DIMENSIONS_MAX {
        return Err(malformed());
    }
    let len = json.len();
    match shape.get(depth) {
        None if values.is_empty() => shape.push(len),
        Some(known) if *known == len => {}
        _ => return Err(malformed()),
    }
    for item in json.elements() {
        let item = item?;
        if item.kind() == Kind::Array && element.oid != Type::JSONB.oid {
            collect(element, item, depth + 1, shape, values, context)?;
        } else if depth + 1 != shape.len() {
            return Err(malformed());
        } else {
            values.push(jsonb_to_value(element, item, context)?);
        }
    }
    Ok(())
}

/// For front-ends that speak through `serde_json`.
pub fn to_serde(json: JsonbRef<'_>) -> Result<serde_json::Value> {
    serde_value(json, 0)
}

fn serde_value(json: JsonbRef<'_>, depth: usize) -> Result<serde_json::Value> {
    use serde_json::Value as Json;
    if depth > NESTING_MAX {
        return Err(error!(
            LimitExceeded,
            "JSON nests deeper than {NESTING_MAX} levels"
        ));
    }
    Ok(match json.element {
        element::DOCUMENT => {
            let mut object = serde_json::Map::new();
            for entry in json.entries() {
                let (name, value) = entry?;
                object.insert(name.to_owned(), serde_value(value, depth + 1)?);
            }
            Json::Object(object)
        }
        element::ARRAY => Json::Array(
            json.elements()
                .map(|v| serde_value(v?, depth + 1))
                .collect::<Result<_>>()?,
        ),
        element::NULL => Json::Null,
        element::BOOL => Json::Bool(json.as_bool() == Some(true)),
        _ => match (json.kind(), json.as_i64()) {
            (_, Some(number)) => Json::from(number),
            (Kind::String, _) => Json::String(json.as_text().unwrap_or_default().into_owned()),
            _ => serde_json::from_str(&json.to_string()).map_err(crate::Error::internal)?,
        },
    })
}

/// The inverse of [`to_serde`]: keys in jsonb's order.
pub fn from_serde(value: &serde_json::Value) -> Result<Jsonb> {
    from_serde_at(value, 0)
}

fn from_serde_at(value: &serde_json::Value, depth: usize) -> Result<Jsonb> {
    use serde_json::Value as Json;
    if depth > NESTING_MAX {
        return Err(error!(
            LimitExceeded,
            "JSON nests deeper than {NESTING_MAX} levels"
        ));
    }
    Ok(match value {
        Json::Null => Jsonb::null(),
        Json::Bool(v) => Jsonb::from_bool(*v),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Jsonb::from_i64(integer),
            None => Jsonb::from_numeric(&Numeric::parse(&number.to_string())?),
        },
        Json::String(text) => Jsonb::from_text(text),
        Json::Array(items) => {
            let mut array = ArrayBuilder::new();
            for item in items {
                array.push(from_serde_at(item, depth + 1)?.as_ref());
            }
            array.finish()
        }
        Json::Object(members) => {
            let mut object = ObjectBuilder::new();
            for (name, member) in members {
                object.push(name, from_serde_at(member, depth + 1)?.as_ref());
            }
            object.finish()
        }
    })
}
