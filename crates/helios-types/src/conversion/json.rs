//! SQL values in the JSON of REST, GraphQL and WebSocket.

use super::{iso_timestamp, neutral};
use crate::array::Dimension;
use crate::json::{self, jsonb_to_value, to_serde};
use crate::text::{float4_text, float8_text, format_type, parse_text, to_text};
use crate::{Jsonb, Result, Type, Value, error};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

/// The JSON of a value.
pub fn to_json(ty: Type, value: &Value) -> Result<Json> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(v) => Json::Bool(*v),
        Value::Int2(v) => Json::from(*v),
        Value::Int4(v) => Json::from(*v),
        Value::Int8(v) => Json::from(*v),
        Value::Oid(v) => Json::from(*v),
        Value::Float4(v) => number(&float4_text(*v)),
        Value::Float8(v) => number(&float8_text(*v)),
        Value::Numeric(v) => number(&v.to_string()),
        Value::Bytea(v) => Json::String(STANDARD.encode(v)),
        Value::Timestamp(v) => Json::String(iso_timestamp(*v, "")),
        Value::TimestampTz(v) => Json::String(iso_timestamp(*v, "Z")),
        Value::Jsonb(v) => to_serde(v.as_ref())?,
        Value::Text(v) if ty.oid == Type::JSON.oid => {
            serde_json::from_str(v).map_err(crate::Error::internal)?
        }
        Value::Text(v) => Json::String(v.to_string()),
        Value::Array(array) => {
            let element = ty.element().unwrap_or(Type::new(array.element));
            let mut values = array.values.iter();
            level(&array.dimensions, element, &mut values)?
        }
        Value::Record(fields) => {
            let mut object = serde_json::Map::new();
            for (i, (oid, field)) in fields.iter().enumerate() {
                object.insert(format!("f{}", i + 1), to_json(Type::new(*oid), field)?);
            }
            Json::Object(object)
        }
        _ => Json::String(to_text(ty, value, &neutral())),
    })
}

/// NaN and the infinities are not JSON numbers and become strings.
fn number(text: &str) -> Json {
    match text.parse::<serde_json::Number>() {
        Ok(number) => Json::Number(number),
        Err(_) => Json::String(text.to_owned()),
    }
}

fn level<'a>(
    dimensions: &[Dimension],
    element: Type,
    values: &mut impl Iterator<Item = &'a Value>,
) -> Result<Json> {
    let Some((first, inner)) = dimensions.split_first() else {
        return Ok(Json::Array(Vec::new()));
    };
    let mut out = Vec::new();
    for _ in 0..first.len {
        if inner.is_empty() {
            let Some(value) = values.next() else { break };
            out.push(to_json(element, value)?);
        } else {
            out.push(level(inner, element, values)?);
        }
    }
    Ok(Json::Array(out))
}

/// The value of a column from a request's JSON. Strings are read as the type's text; numbers and
/// booleans only fill types whose text they are.
pub fn from_json(ty: Type, value: &Json) -> Result<Value> {
    let jsonb = match (value, Type::new(ty.oid)) {
        (Json::Null, _) => return Ok(Value::Null),
        (Json::String(text), Type::BYTEA) => return parse_bytea(text),
        (Json::String(text), Type::JSONB) => Jsonb::from_text(text),
        (Json::String(text), Type::JSON) => {
            return Ok(Value::from(Jsonb::from_text(text).to_string()));
        }
        (Json::String(text), _) => return parse_text(ty, text, &neutral()),
        (_, Type::JSON) => return Ok(Value::from(value.to_string())),
        _ => json::from_serde(value)?,
    };
    let fits = match value {
        Json::Bool(_) => ty.oid == Type::BOOL.oid || ty.is_string() || ty.oid == Type::JSONB.oid,
        Json::Number(_) => ty.oid != Type::BOOL.oid,
        Json::Array(_) => ty.is_array() || ty.oid == Type::JSONB.oid,
        Json::Object(_) => ty.oid == Type::JSONB.oid,
        _ => true,
    };
    if !fits {
        let kind = jsonb.as_ref().kind().name();
        return Err(error!(
            DatatypeMismatch,
            "a JSON {kind} does not fit type {}",
            format_type(ty)
        ));
    }
    jsonb_to_value(ty, jsonb.as_ref(), &neutral())
}

/// Base64, or PostgreSQL's `\x` form.
fn parse_bytea(text: &str) -> Result<Value> {
    if text.starts_with("\\x") {
        return crate::text::parse_bytea(text).map(Value::bytea);
    }
    STANDARD.decode(text).map(Value::bytea).map_err(|_| {
        error!(
            InvalidTextRepresentation,
            "invalid base64 in a value of type bytea"
        )
    })
}
