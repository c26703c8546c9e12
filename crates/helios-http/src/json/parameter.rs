//! A JSON value as a parameter of an SQL type.

use helios_types::text::{TextContext, parse_text};
use helios_types::{Array, Jsonb, Result, Type, Value, bail};
use serde_json::Value as Json;
use std::sync::Arc;

/// `json` as a value of the type `ty`.
pub fn parameter(json: &Json, ty: Type) -> Result<Value> {
    match json {
        Json::Null => Ok(Value::Null),
        _ if ty.oid == Type::JSONB.oid => Ok(Value::Jsonb(Jsonb::parse(&json.to_string())?)),
        _ if ty.oid == Type::JSON.oid => Ok(Value::Text(json.to_string().into())),
        Json::Bool(v) if ty.oid == Type::BOOL.oid => Ok(Value::Bool(*v)),
        Json::Bool(v) => from_text(if *v { "true" } else { "false" }, ty),
        Json::Number(n) => number(n, ty),
        Json::String(text) if ty.oid == Type::TEXT.oid => Ok(Value::text(text)),
        Json::String(text) => from_text(text, ty),
        Json::Array(elements) => match ty.element() {
            Some(element) => array(elements, element).map(|a| Value::Array(Arc::new(a))),
            None => from_text(&json.to_string(), ty),
        },
        Json::Object(_) if ty.is_string() => from_text(&json.to_string(), ty),
        Json::Object(_) => bail!(
            DatatypeMismatch,
            "a JSON object cannot be a parameter of type {}",
            helios_types::text::format_type(ty)
        ),
    }
}

fn number(n: &serde_json::Number, ty: Type) -> Result<Value> {
    match (ty.oid, n.as_i64()) {
        (20, Some(v)) => return Ok(Value::Int8(v)),
        (23, Some(v)) => {
            if let Ok(v) = i32::try_from(v) {
                return Ok(Value::Int4(v));
            }
        }
        _ => {}
    }
    from_text(&n.to_string(), ty)
}

fn from_text(text: &str, ty: Type) -> Result<Value> {
    if ty.oid == Type::BYTEA.oid {
        return bytea(text);
    }
    parse_text(ty, text, &TextContext::default())
}

/// Bytes in PostgreSQL's own hexadecimal form, or in base64 as replies have them.
fn bytea(text: &str) -> Result<Value> {
    use base64::Engine as _;
    if text.starts_with("\\x") {
        return parse_text(Type::BYTEA, text, &TextContext::default());
    }
    match base64::engine::general_purpose::STANDARD.decode(text) {
        Ok(bytes) => Ok(Value::bytea(bytes)),
        Err(_) => bail!(InvalidTextRepresentation, "invalid base64 for type bytea"),
    }
}

fn array(elements: &[Json], element: Type) -> Result<Array> {
    let mut values = Vec::with_capacity(elements.len());
    let mut dimensions = Vec::new();
    flatten(elements, element, 0, &mut dimensions, &mut values)?;
    let mut array = Array::from_values(element.oid, values);
    if array.values.is_empty() {
        return Ok(array);
    }
    array.dimensions = dimensions
        .into_iter()
        .map(|len| helios_types::array::Dimension { len, lower: 1 })
        .collect();
    Ok(array)
}

fn flatten(
    elements: &[Json],
    element: Type,
    depth: usize,
    dimensions: &mut Vec<u32>,
    values: &mut Vec<Value>,
) -> Result<()> {
    if depth == helios_types::limits::ARRAY_DIMENSIONS_MAX {
        bail!(
            LimitExceeded,
            "number of array dimensions exceeds the maximum allowed ({depth})"
        );
    }
    let len = elements.len() as u32;
    if dimensions.len() == depth {
        dimensions.push(len);
    } else if dimensions[depth] != len {
        bail!(
            InvalidTextRepresentation,
            "arrays inside an array must have the same length"
        );
    }
    for item in elements {
        match item {
            Json::Array(inner)
                if element.oid != Type::JSONB.oid && element.oid != Type::JSON.oid =>
            {
                flatten(inner, element, depth + 1, dimensions, values)?;
            }
            item if dimensions.len() > depth + 1 => {
                bail!(
                    InvalidTextRepresentation,
                    "array element {item} stands where an array is expected"
                );
            }
            item => values.push(parameter(item, element)?),
        }
    }
    Ok(())
}

/// The type that a JSON value has where the statement does not say one.
pub fn implied_type(json: &Json) -> Option<Type> {
    match json {
        Json::Null => None,
        Json::Bool(_) => Some(Type::BOOL),
        Json::Number(n) if n.is_i64() => Some(Type::INT8),
        Json::Number(_) => Some(Type::FLOAT8),
        Json::String(_) => Some(Type::TEXT),
        Json::Array(_) | Json::Object(_) => Some(Type::JSONB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str, ty: Type) -> String {
        let value = parameter(&serde_json::from_str(json).unwrap(), ty);
        value.map_or_else(
            |e| format!("{}: {e}", e.sqlstate()),
            |v| helios_types::text::to_text(ty, &v, &TextContext::default()),
        )
    }

    #[test]
    fn a_json_value_becomes_a_value_of_the_parameter_type() {
        let ints = Type::INT4.array_of().unwrap();
        let cases: &[(&str, Type, &str)] = &[
            ("1", Type::INT4, "1"),
            ("1", Type::TEXT, "1"),
            ("\"7\"", Type::INT8, "7"),
            ("100.10", Type::NUMERIC, "100.10"),
            (
                "12345678901234567890.123",
                Type::NUMERIC,
                "12345678901234567890.123",
            ),
            ("true", Type::BOOL, "t"),
            (
                "\"2026-01-04T12:00:00Z\"",
                Type::TIMESTAMPTZ,
                "2026-01-04 12:00:00+00",
            ),
            ("\"/wA=\"", Type::BYTEA, "\\xff00"),
            ("[1,null,3]", ints, "{1,NULL,3}"),
            ("[[1,2],[3,4]]", ints, "{{1,2},{3,4}}"),
            ("[]", ints, "{}"),
            (
                "[[1,2],[3]]",
                ints,
                "22P02: arrays inside an array must have the same length",
            ),
            ("{\"a\":1}", Type::TEXT, "{\"a\":1}"),
            (
                "{\"a\":1}",
                Type::INT4,
                "42804: a JSON object cannot be a parameter of type integer",
            ),
            (
                "1.5",
                Type::INT4,
                "22P02: invalid input syntax for type integer: \"1.5\"",
            ),
            (
                "\"x\"",
                Type::INT4,
                "22P02: invalid input syntax for type integer: \"x\"",
            ),
        ];
        for (json, ty, expected) in cases {
            assert_eq!(text(json, *ty), *expected, "{json}");
        }
    }
}
