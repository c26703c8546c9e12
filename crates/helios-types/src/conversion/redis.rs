//! SQL values as Redis strings and back. A key has only one spelling of each value, so what
//! comes in is read strictly.

use super::{iso_timestamp, neutral, to_json};
use crate::text::{float4_text, float8_text, format_type, parse_text, to_text};
use crate::{Error, Result, Type, Value, error};

/// The bytes of a value; NULL has none.
pub fn to_redis_text(ty: Type, value: &Value) -> Result<Option<Vec<u8>>> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::Bool(v) => if *v { "1" } else { "0" }.to_owned(),
        Value::Bytea(v) => return Ok(Some(v.to_vec())),
        Value::Float4(v) => float_text(f64::from(*v), float4_text(*v)),
        Value::Float8(v) => float_text(*v, float8_text(*v)),
        Value::Timestamp(v) => iso_timestamp(*v, ""),
        Value::TimestampTz(v) => iso_timestamp(*v, "Z"),
        Value::Jsonb(v) => {
            let mut out = String::new();
            v.as_ref()
                .write_compact(&mut out)
                .map_err(Error::internal)?;
            out
        }
        Value::Array(_) | Value::Record(_) => to_json(ty, value)?.to_string(),
        Value::Text(v) => return Ok(Some(v.as_bytes().to_vec())),
        _ => to_text(ty, value, &neutral()),
    };
    Ok(Some(text.into_bytes()))
}

fn float_text(value: f64, text: String) -> String {
    if value.is_nan() {
        "nan".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "inf" } else { "-inf" }.to_owned()
    } else {
        text
    }
}

/// The value of a column from a Redis string.
pub fn from_redis_text(ty: Type, bytes: &[u8]) -> Result<Value> {
    if ty.oid == Type::BYTEA.oid {
        return Ok(Value::bytea(bytes));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| {
        error!(
            InvalidEncoding,
            "invalid byte sequence for encoding \"UTF8\""
        )
    })?;
    if text.contains('\0') {
        return Err(error!(
            InvalidEncoding,
            "invalid byte sequence for encoding \"UTF8\": 0x00"
        ));
    }
    match Type::new(ty.oid) {
        Type::BOOL => match text {
            "1" => return Ok(Value::Bool(true)),
            "0" => return Ok(Value::Bool(false)),
            _ => {}
        },
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => {
            let value = parse_text(ty, text, &neutral())?;
            // `+1`, ` 1` and `01` are other strings than `1`.
            if to_text(ty, &value, &neutral()) != text {
                return Err(error!(
                    InvalidTextRepresentation,
                    "invalid input syntax for type {}: \"{text}\"",
                    format_type(ty)
                ));
            }
            return Ok(value);
        }
        _ if ty.is_array() && text.trim_start().starts_with('[') => {
            let json = serde_json::from_str(text).map_err(|_| {
                error!(
                    InvalidTextRepresentation,
                    "invalid input syntax for type json"
                )
            })?;
            return super::from_json(ty, &json);
        }
        _ => {}
    }
    parse_text(ty, text, &neutral())
}
