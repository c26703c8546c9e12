//! SQL values as BSON elements and back. A [`Jsonb`] is one BSON element.

use super::neutral;
use crate::array::Dimension;
use crate::datetime::{
    DATE_INFINITY, DATE_NEG_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY, check_date,
    check_timestamp,
};
use crate::json::{
    ArrayBuilder, Kind, ObjectBuilder, element, numeric_to_decimal128, value_to_jsonb,
};
use crate::text::{format_type, parse_text, to_text};
use crate::{Array, Error, Jsonb, JsonbRef, Numeric, Result, Type, Value, error};
use std::sync::Arc;

const MICROS_PER_MILLI: i64 = 1000;
const MILLIS_PER_DAY: i64 = 86_400_000;

/// The BSON element of a value.
pub fn to_bson(ty: Type, value: &Value) -> Result<Jsonb> {
    Ok(match value {
        Value::Int2(v) => Jsonb::new(element::INT32, &i32::from(*v).to_le_bytes()),
        Value::Int4(v) => Jsonb::new(element::INT32, &v.to_le_bytes()),
        Value::Int8(v) => Jsonb::new(element::INT64, &v.to_le_bytes()),
        Value::Oid(v) => Jsonb::new(element::INT64, &i64::from(*v).to_le_bytes()),
        Value::Float8(v) => double(*v),
        // Widened through its shortest text, so that 0.1 stays 0.1.
        Value::Float4(v) => double(crate::text::float4_text(*v).parse().unwrap_or(f64::NAN)),
        Value::Numeric(v) => match numeric_to_decimal128(v) {
            Some(bytes) => Jsonb::new(element::DECIMAL128, &bytes),
            None => Jsonb::from_text(&v.to_string()),
        },
        Value::Bytea(v) => binary(0, v)?,
        Value::Uuid(v) => binary(4, v.as_slice())?,
        Value::Date(v) => date(match *v {
            DATE_INFINITY => i64::MAX,
            DATE_NEG_INFINITY => i64::MIN,
            days => i64::from(days) * MILLIS_PER_DAY,
        }),
        Value::Timestamp(v) | Value::TimestampTz(v) => date(match *v {
            TIMESTAMP_INFINITY => i64::MAX,
            TIMESTAMP_NEG_INFINITY => i64::MIN,
            micros => micros.div_euclid(MICROS_PER_MILLI),
        }),
        Value::Array(array) => {
            let element = ty.element().unwrap_or(Type::new(array.element));
            let mut values = array.values.iter();
            array_to_bson(&array.dimensions, element, &mut values)?
        }
        Value::Record(fields) => {
            let mut object = ObjectBuilder::new();
            for (i, (oid, field)) in fields.iter().enumerate() {
                object.push(
                    &format!("f{}", i + 1),
                    to_bson(Type::new(*oid), field)?.as_ref(),
                );
            }
            object.finish_in_order()
        }
        Value::Null | Value::Bool(_) | Value::Jsonb(_) => value_to_jsonb(ty, value, &neutral())?,
        Value::Text(v) if ty.oid == Type::JSON.oid => Jsonb::parse(v)?,
        Value::Text(v) => Jsonb::from_text(v),
        _ => Jsonb::from_text(&to_text(ty, value, &neutral())),
    })
}

fn double(value: f64) -> Jsonb {
    Jsonb::new(element::DOUBLE, &value.to_le_bytes())
}

fn date(millis: i64) -> Jsonb {
    Jsonb::new(element::DATE, &millis.to_le_bytes())
}

fn binary(subtype: u8, data: &[u8]) -> Result<Jsonb> {
    let len = i32::try_from(data.len())
        .map_err(|_| error!(LimitExceeded, "binary value is too long for BSON"))?;
    let mut bytes = Vec::with_capacity(data.len() + 5);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.push(subtype);
    bytes.extend_from_slice(data);
    Ok(Jsonb::new(element::BINARY, &bytes))
}

fn array_to_bson<'a>(
    dimensions: &[Dimension],
    element: Type,
    values: &mut impl Iterator<Item = &'a Value>,
) -> Result<Jsonb> {
    let mut out = ArrayBuilder::new();
    let Some((first, inner)) = dimensions.split_first() else {
        return Ok(out.finish());
    };
    for _ in 0..first.len {
        let item = if inner.is_empty() {
            let Some(value) = values.next() else { break };
            to_bson(element, value)?
        } else {
            array_to_bson(inner, element, values)?
        };
        out.push(item.as_ref());
    }
    Ok(out.finish())
}

/// MongoDB's name of an element type, as `$type` and error messages use it.
pub fn bson_type_name(element: u8) -> &'static str {
    match element {
        element::DOUBLE => "double",
        element::STRING => "string",
        element::DOCUMENT => "object",
        element::ARRAY => "array",
        element::BINARY => "binData",
        element::UNDEFINED => "undefined",
        element::OBJECT_ID => "objectId",
        element::BOOL => "bool",
        element::DATE => "date",
        element::NULL => "null",
        element::REGEX => "regex",
        element::DB_POINTER => "dbPointer",
        element::CODE => "javascript",
        element::SYMBOL => "symbol",
        element::CODE_WITH_SCOPE => "javascriptWithScope",
        element::INT32 => "int",
        element::TIMESTAMP => "timestamp",
        element::INT64 => "long",
        element::DECIMAL128 => "decimal",
        element::MIN_KEY => "minKey",
        element::MAX_KEY => "maxKey",
        _ => "unknown",
    }
}

fn mismatch(ty: Type, value: JsonbRef<'_>) -> Error {
    error!(
        DatatypeMismatch,
        "a BSON {} value does not fit type {}",
        bson_type_name(value.element),
        format_type(ty)
    )
}

/// The value of a BSON element as a column's type; an error when the type does not represent it
/// exactly.
pub fn from_bson(ty: Type, value: JsonbRef<'_>) -> Result<Value> {
    let fault = || mismatch(ty, value);
    if value.is_null() || value.element == element::UNDEFINED {
        return Ok(Value::Null);
    }
    if let Some(element) = ty.element() {
        return array_from_bson(ty, element, value);
    }
    let result = match Type::new(ty.oid) {
        Type::BOOL => Value::Bool(value.as_bool().ok_or_else(fault)?),
        Type::INT2 => Value::Int2(
            integer(value)
                .and_then(|v| v.try_into().ok())
                .ok_or_else(fault)?,
        ),
        Type::INT4 => Value::Int4(
            integer(value)
                .and_then(|v| v.try_into().ok())
                .ok_or_else(fault)?,
        ),
        Type::INT8 => Value::Int8(integer(value).ok_or_else(fault)?),
        Type::OID => Value::Oid(
            integer(value)
                .and_then(|v| v.try_into().ok())
                .ok_or_else(fault)?,
        ),
        Type::FLOAT8 => Value::Float8(float(value).ok_or_else(fault)?),
        Type::FLOAT4 => {
            let wide = float(value).ok_or_else(fault)?;
            let narrow = wide as f32;
            let text = crate::text::float4_text(narrow);
            let same = wide.is_nan() || text.parse() == Ok(wide) || f64::from(narrow) == wide;
            Value::Float4(Some(narrow).filter(|_| same).ok_or_else(fault)?)
        }
        Type::NUMERIC => Value::Numeric(numeric(value).ok_or_else(fault)?),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => match value.element {
            element::STRING | element::OBJECT_ID | element::SYMBOL => {
                Value::text(value.as_text().ok_or_else(fault)?)
            }
            _ => return Err(fault()),
        },
        Type::BYTEA => Value::bytea(match value.element {
            element::OBJECT_ID => value.bytes,
            element::BINARY => value.bytes.get(5..).ok_or_else(fault)?,
            _ => return Err(fault()),
        }),
        Type::UUID => match (value.element, value.bytes.get(4), value.bytes.get(5..)) {
            (element::BINARY, Some(3 | 4), Some(data)) => {
                Value::Uuid(Arc::new(data.try_into().map_err(|_| fault())?))
            }
            _ => return Err(fault()),
        },
        Type::DATE | Type::TIMESTAMP | Type::TIMESTAMPTZ => moment(ty, value)?,
        Type::TIME | Type::INTERVAL | Type::CHAR => match value.element {
            element::STRING => {
                return parse_text(ty, &value.as_text().ok_or_else(fault)?, &neutral());
            }
            _ => return Err(fault()),
        },
        Type::JSONB => Value::Jsonb(value.to_jsonb()),
        Type::JSON => Value::from(value.to_string()),
        _ => match value.element {
            element::STRING => {
                return parse_text(ty, &value.as_text().ok_or_else(fault)?, &neutral());
            }
            _ => return Err(fault()),
        },
    };
    crate::text::apply_modifier(ty, result, false)
}

/// Any numeric element with an integral value.
fn integer(value: JsonbRef<'_>) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number = value
            .as_numeric()
            .filter(|_| value.element != element::BINARY)?;
        number.is_integral().then(|| number.to_i64())?
    })
}

fn float(value: JsonbRef<'_>) -> Option<f64> {
    match value.element {
        element::DOUBLE => value.bytes.first_chunk().map(|b| f64::from_le_bytes(*b)),
        element::INT32 | element::INT64 => {
            let integer = value.as_i64()?;
            let double = integer as f64;
            (double as i128 == i128::from(integer)).then_some(double)
        }
        element::DECIMAL128 => {
            let numeric = match value.kind() {
                Kind::Number => value.as_numeric()?,
                _ => Numeric::parse(&value.as_text()?).ok()?,
            };
            let double = numeric.to_f64();
            (!numeric.is_finite() || Numeric::from_f64_shortest(double) == numeric)
                .then_some(double)
        }
        _ => None,
    }
}

fn numeric(value: JsonbRef<'_>) -> Option<Numeric> {
    match value.element {
        element::DOUBLE | element::DECIMAL128 if value.kind() == Kind::String => {
            Numeric::parse(&value.as_text()?).ok()
        }
        // What does not fit a decimal128 travels as text.
        element::STRING => Numeric::parse(&value.as_text()?)
            .ok()
            .filter(|n| n.is_finite() && numeric_to_decimal128(n).is_none()),
        _ => value.as_numeric(),
    }
}

fn moment(ty: Type, value: JsonbRef<'_>) -> Result<Value> {
    let fault = || mismatch(ty, value);
    let millis = match (value.element, value.bytes.first_chunk()) {
        (element::DATE, Some(bytes)) => i64::from_le_bytes(*bytes),
        _ => return Err(fault()),
    };
    if ty.oid == Type::DATE.oid {
        return match millis {
            i64::MAX => Ok(Value::Date(DATE_INFINITY)),
            i64::MIN => Ok(Value::Date(DATE_NEG_INFINITY)),
            _ if millis.rem_euclid(MILLIS_PER_DAY) != 0 => Err(fault()),
            _ => Ok(Value::Date(check_date(millis.div_euclid(MILLIS_PER_DAY))?)),
        };
    }
    let micros = match millis {
        i64::MAX => TIMESTAMP_INFINITY,
        i64::MIN => TIMESTAMP_NEG_INFINITY,
        _ => check_timestamp(i128::from(millis) * i128::from(MICROS_PER_MILLI))?,
    };
    Ok(if ty.oid == Type::TIMESTAMP.oid {
        Value::Timestamp(micros)
    } else {
        Value::TimestampTz(micros)
    })
}

fn array_from_bson(ty: Type, element_type: Type, value: JsonbRef<'_>) -> Result<Value> {
    if value.element != element::ARRAY {
        return Err(mismatch(ty, value));
    }
    let mut shape = Vec::new();
    let mut values = Vec::new();
    collect(ty, element_type, value, 0, &mut shape, &mut values)?;
    if values.is_empty() {
        shape.clear();
    }
    let dimensions = shape
        .iter()
        .map(|n| Dimension {
            len: *n as u32,
            lower: 1,
        })
        .collect();
    Ok(Value::Array(Arc::new(Array {
        element: element_type.oid,
        dimensions,
        values,
    })))
}

/// Nested arrays are dimensions; they must be rectangular.
fn collect(
    ty: Type,
    element_type: Type,
    value: JsonbRef<'_>,
    depth: usize,
    shape: &mut Vec<usize>,
    values: &mut Vec<Value>,
) -> Result<()> {
    let len = value.len();
    match shape.get(depth) {
        None if values.is_empty() && depth < crate::limits::ARRAY_DIMENSIONS_MAX => shape.push(len),
        Some(known) if *known == len => {}
        _ => return Err(mismatch(ty, value)),
    }
    for item in value.elements() {
        let item = item?;
        let json = matches!(Type::new(element_type.oid), Type::JSONB | Type::JSON);
        if item.element == element::ARRAY && !json {
            collect(ty, element_type, item, depth + 1, shape, values)?;
        } else if depth + 1 != shape.len() {
            return Err(mismatch(ty, item));
        } else {
            values.push(from_bson(element_type, item)?);
        }
    }
    Ok(())
}

/// Whether `incoming` is only the coarser form in which a client read `stored`, so that writing it
/// back must not change the row: BSON dates have milliseconds.
pub fn keeps_stored(stored: &Value, incoming: &Value) -> bool {
    let floor = |micros: i64| micros.div_euclid(MICROS_PER_MILLI) * MICROS_PER_MILLI;
    match (stored, incoming) {
        (Value::Timestamp(a), Value::Timestamp(b))
        | (Value::TimestampTz(a), Value::TimestampTz(b)) => {
            crate::datetime::timestamp_is_finite(*a) && floor(*a) == *b
        }
        _ => false,
    }
}
