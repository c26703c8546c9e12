//! Values between SQL and protobuf.

use crate::proto::value::Kind;
use crate::proto::{ListValue, Row, Value as Message};
use helios_types::datetime::timestamp_is_finite;
use helios_types::interval::IntervalStyle;
use helios_types::text::{TextContext, format_type, parse_text, write_text};
use helios_types::value::RowSink;
use helios_types::{Array, Jsonb, Result, Type, Value, ValueRef, bail};
use std::sync::Arc;

fn message(kind: Kind) -> Message {
    Message { kind: Some(kind) }
}

/// A value of the type `ty` as a message.
pub fn encode(ty: Type, value: &ValueRef<'_>) -> Result<Message> {
    let kind = match value {
        ValueRef::Null => Kind::NullValue(true),
        ValueRef::Bool(v) => Kind::BoolValue(*v),
        ValueRef::Int2(v) => Kind::IntValue(i64::from(*v)),
        ValueRef::Int4(v) => Kind::IntValue(i64::from(*v)),
        ValueRef::Int8(v) => Kind::IntValue(*v),
        ValueRef::Oid(v) if ty.oid == Type::OID.oid => Kind::IntValue(i64::from(*v)),
        // Through its text, so that 0.1 stays 0.1.
        ValueRef::Float4(v) => Kind::DoubleValue(v.to_string().parse().unwrap_or(f64::from(*v))),
        ValueRef::Float8(v) => Kind::DoubleValue(*v),
        ValueRef::Numeric(v) => Kind::NumericValue(v.to_string()),
        ValueRef::Text(v) if ty.oid == Type::JSON.oid => Kind::JsonValue((*v).to_owned()),
        ValueRef::Text(v) if ty.oid != Type::BPCHAR.oid => Kind::StringValue((*v).to_owned()),
        ValueRef::Bytea(v) => Kind::BytesValue(v.to_vec()),
        ValueRef::Timestamp(v) | ValueRef::TimestampTz(v) if timestamp_is_finite(*v) => {
            Kind::TimestampMicros(*v)
        }
        ValueRef::Jsonb(_) => Kind::JsonValue(text(ty, value)?),
        ValueRef::Array(array) => Kind::ListValue(encode_array(ty, array)?),
        ValueRef::Text(_)
        | ValueRef::Char(_)
        | ValueRef::Oid(_)
        | ValueRef::Date(_)
        | ValueRef::Time(_)
        | ValueRef::Timestamp(_)
        | ValueRef::TimestampTz(_)
        | ValueRef::Interval(_)
        | ValueRef::Uuid(_)
        | ValueRef::Record(_) => Kind::StringValue(text(ty, value)?),
    };
    Ok(message(kind))
}

fn text(ty: Type, value: &ValueRef<'_>) -> Result<String> {
    let mut out = String::new();
    // As in JSON, intervals are ISO 8601.
    let context = TextContext {
        interval_style: IntervalStyle::Iso8601,
        ..TextContext::default()
    };
    write_text(&mut out, ty, value, &context)?;
    Ok(out)
}

/// Lists in lists for more than one dimension.
fn encode_array(ty: Type, array: &Array) -> Result<ListValue> {
    let element = Type {
        oid: array.element,
        modifier: ty.modifier,
    };
    let mut values = array
        .values
        .iter()
        .map(|v| encode(element, &v.as_ref()))
        .collect::<Result<Vec<_>>>()?;
    for dimension in array.dimensions.iter().skip(1).rev() {
        let length = (dimension.len as usize).max(1);
        let mut blocks = Vec::with_capacity(values.len() / length);
        let mut rest = values.into_iter();
        loop {
            let block: Vec<Message> = rest.by_ref().take(length).collect();
            if block.is_empty() {
                break;
            }
            blocks.push(message(Kind::ListValue(ListValue { values: block })));
        }
        values = blocks;
    }
    Ok(ListValue { values })
}

/// A message as a parameter of the type `ty`.
pub fn decode(value: &Message, ty: Type) -> Result<Value> {
    let Some(kind) = &value.kind else {
        return Ok(Value::Null);
    };
    Ok(match kind {
        Kind::NullValue(_) => Value::Null,
        Kind::BoolValue(v) if ty.oid == Type::BOOL.oid => Value::Bool(*v),
        Kind::BoolValue(v) => from_text(if *v { "true" } else { "false" }, ty)?,
        Kind::IntValue(v) if ty.oid == Type::INT8.oid => Value::Int8(*v),
        Kind::IntValue(v) => from_text(&v.to_string(), ty)?,
        Kind::DoubleValue(v) if ty.oid == Type::FLOAT8.oid => Value::Float8(*v),
        Kind::DoubleValue(v) => from_text(&helios_types::text::float8_text(*v), ty)?,
        Kind::StringValue(v) if ty.oid == Type::TEXT.oid => Value::text(v),
        Kind::StringValue(v) | Kind::NumericValue(v) => from_text(v, ty)?,
        Kind::BytesValue(v) if ty.oid == Type::BYTEA.oid => Value::bytea(v),
        Kind::JsonValue(v) if ty.oid == Type::JSONB.oid => Value::Jsonb(Jsonb::parse(v)?),
        Kind::JsonValue(v) => from_text(v, ty)?,
        Kind::TimestampMicros(v) if ty.oid == Type::TIMESTAMPTZ.oid => Value::TimestampTz(*v),
        Kind::TimestampMicros(v) if ty.oid == Type::TIMESTAMP.oid => Value::Timestamp(*v),
        Kind::ListValue(list) => match ty.element() {
            Some(element) => Value::Array(Arc::new(decode_list(list, element)?)),
            None => bail!(
                DatatypeMismatch,
                "a list cannot be a parameter of type {}",
                format_type(ty)
            ),
        },
        Kind::BytesValue(_) => bail!(
            DatatypeMismatch,
            "bytes cannot be a parameter of type {}",
            format_type(ty)
        ),
        Kind::TimestampMicros(_) => {
            bail!(
                DatatypeMismatch,
                "a timestamp cannot be a parameter of type {}",
                format_type(ty)
            )
        }
        Kind::VectorValue(_) => {
            return Err(helios_types::Error::unsupported(
                "a parameter of type vector",
            ));
        }
    })
}

fn decode_list(list: &ListValue, element: Type) -> Result<Array> {
    let mut values = Vec::with_capacity(list.values.len());
    for value in &list.values {
        if matches!(value.kind, Some(Kind::ListValue(_))) {
            return Err(helios_types::Error::unsupported(
                "a parameter that is a list of lists",
            ));
        }
        values.push(decode(value, element)?);
    }
    Ok(Array::from_values(element.oid, values))
}

fn from_text(text: &str, ty: Type) -> Result<Value> {
    parse_text(ty, text, &TextContext::default())
}

/// The type of a parameter where the statement does not say one.
pub fn implied_type(value: &Message) -> Option<Type> {
    match value.kind.as_ref()? {
        Kind::NullValue(_) | Kind::ListValue(_) | Kind::VectorValue(_) => None,
        Kind::BoolValue(_) => Some(Type::BOOL),
        Kind::IntValue(_) => Some(Type::INT8),
        Kind::DoubleValue(_) => Some(Type::FLOAT8),
        Kind::StringValue(_) => Some(Type::TEXT),
        Kind::BytesValue(_) => Some(Type::BYTEA),
        Kind::JsonValue(_) => Some(Type::JSONB),
        Kind::TimestampMicros(_) => Some(Type::TIMESTAMPTZ),
        Kind::NumericValue(_) => Some(Type::NUMERIC),
    }
}

/// Collects rows as messages.
pub struct RowMessages {
    types: Vec<Type>,
    pub rows: Vec<Row>,
    /// Roughly what the rows take on the wire.
    bytes: usize,
}

impl RowMessages {
    pub fn new(types: Vec<Type>) -> Self {
        Self {
            types,
            rows: Vec::new(),
            bytes: 0,
        }
    }

    pub fn take(&mut self) -> Vec<Row> {
        self.bytes = 0;
        std::mem::take(&mut self.rows)
    }
}

impl RowSink for RowMessages {
    fn row(&mut self, values: &[ValueRef<'_>]) -> Result<()> {
        let values = values
            .iter()
            .zip(&self.types)
            .map(|(v, ty)| encode(*ty, v))
            .collect::<Result<Vec<_>>>()?;
        let row = Row { values };
        self.bytes += prost::Message::encoded_len(&row);
        self.rows.push(row);
        Ok(())
    }

    fn pending_bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use helios_types::Numeric;

    #[test]
    fn a_value_has_its_own_kind_and_comes_back_as_a_parameter() {
        let ints = Type::INT4.array_of().unwrap();
        let array = Array::from_values(Type::INT4.oid, vec![Value::Int4(1), Value::Null]);
        let cases: Vec<(Type, Value, &str)> = vec![
            (Type::BOOL, Value::Bool(true), "BoolValue(true)"),
            (Type::INT4, Value::Int4(7), "IntValue(7)"),
            (Type::FLOAT4, Value::Float4(0.1), "DoubleValue(0.1)"),
            (
                Type::NUMERIC,
                Value::Numeric(Numeric::parse("1.50").unwrap()),
                "NumericValue(\"1.50\")",
            ),
            (Type::TEXT, Value::text("a"), "StringValue(\"a\")"),
            (Type::BYTEA, Value::bytea([1, 2]), "BytesValue([1, 2])"),
            (
                Type::TIMESTAMPTZ,
                Value::TimestampTz(5),
                "TimestampMicros(5)",
            ),
            (
                Type::TIMESTAMP,
                Value::Timestamp(i64::MAX),
                "StringValue(\"infinity\")",
            ),
            (Type::DATE, Value::Date(0), "StringValue(\"1970-01-01\")"),
            (
                ints,
                Value::Array(Arc::new(array)),
                "ListValue(ListValue { values: [Value { kind: Some(IntValue(1)) }, Value { kind: Some(NullValue(true)) }] })",
            ),
        ];
        for (ty, value, expected) in cases {
            let message = encode(ty, &value.as_ref()).unwrap();
            assert_eq!(format!("{:?}", message.kind.clone().unwrap()), expected);
            let back = decode(&message, ty).unwrap();
            let context = TextContext::default();
            assert_eq!(
                helios_types::text::to_text(ty, &back, &context),
                helios_types::text::to_text(ty, &value, &context)
            );
        }
    }

    #[test]
    fn a_kind_that_cannot_be_the_type_is_refused() {
        for (kind, ty) in [
            (Kind::StringValue("x".into()), Type::INT4),
            (Kind::BytesValue(vec![1]), Type::INT4),
            (Kind::TimestampMicros(1), Type::INT4),
            (Kind::ListValue(ListValue { values: vec![] }), Type::INT4),
        ] {
            assert!(decode(&message(kind), ty).is_err());
        }
        assert!(
            decode(&Message { kind: None }, Type::INT4)
                .unwrap()
                .is_null()
        );
    }
}
