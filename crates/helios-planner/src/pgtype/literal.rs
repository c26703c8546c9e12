//! Values as constants of a plan, and back.

use super::{arrow_type, field_metadata, opaque, type_of_field};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::metadata::FieldMetadata;
use datafusion::logical_expr::Expr;
use helios_types::{Result, Type, Value, bail};
use std::sync::Arc;

/// A constant of this type.
pub fn literal(value: &Value, ty: Type) -> Expr {
    Expr::Literal(value_to_scalar(value, ty), Some(field_metadata(ty)))
}

/// The SQL type of a constant of a plan.
pub fn literal_type(scalar: &ScalarValue, metadata: Option<&FieldMetadata>) -> Type {
    let mut field = datafusion::arrow::datatypes::Field::new("", scalar.data_type(), true);
    if let Some(metadata) = metadata {
        field = metadata.add_to_field(field);
    }
    type_of_field(&field)
}

/// The value of a constant expression made by [`literal`]; `None` for other expressions.
pub fn literal_value(expr: &Expr) -> Option<Result<(Value, Type)>> {
    match expr {
        Expr::Literal(scalar, metadata) => {
            let ty = literal_type(scalar, metadata.as_ref());
            Some(scalar_to_value(scalar, ty).map(|value| (value, ty)))
        }
        Expr::Alias(alias) => literal_value(&alias.expr),
        _ => None,
    }
}

/// The value as Arrow represents it. A value that does not have the representation of its type
/// becomes the natural scalar of its own variant, so that the fault shows where the types meet.
pub fn value_to_scalar(value: &Value, ty: Type) -> ScalarValue {
    let data_type = arrow_type(ty.oid);
    match (value, &data_type) {
        (Value::Null, _) => ScalarValue::try_from(&data_type).unwrap_or(ScalarValue::Null),
        (Value::Bool(v), DataType::Boolean) => ScalarValue::Boolean(Some(*v)),
        (Value::Char(v), DataType::UInt8) => ScalarValue::UInt8(Some(*v)),
        (Value::Int2(v), DataType::Int16) => ScalarValue::Int16(Some(*v)),
        (Value::Int4(v), DataType::Int32) => ScalarValue::Int32(Some(*v)),
        (Value::Int8(v), DataType::Int64) => ScalarValue::Int64(Some(*v)),
        (Value::Oid(v), DataType::UInt32) => ScalarValue::UInt32(Some(*v)),
        (Value::Float4(v), DataType::Float32) => ScalarValue::Float32(Some(*v)),
        (Value::Float8(v), DataType::Float64) => ScalarValue::Float64(Some(*v)),
        (Value::Text(v), DataType::Utf8) => ScalarValue::Utf8(Some(v.to_string())),
        (Value::Bytea(v), DataType::Binary) if ty.oid == Type::BYTEA.oid => {
            ScalarValue::Binary(Some(v.to_vec()))
        }
        (Value::Date(v), DataType::Date32) => ScalarValue::Date32(Some(*v)),
        (Value::Time(v), DataType::Time64(_)) => ScalarValue::Time64Microsecond(Some(*v)),
        (Value::Timestamp(v), DataType::Timestamp(_, None)) => {
            ScalarValue::TimestampMicrosecond(Some(*v), None)
        }
        (Value::TimestampTz(v), DataType::Timestamp(_, Some(zone))) => {
            ScalarValue::TimestampMicrosecond(Some(*v), Some(zone.clone()))
        }
        (Value::Uuid(v), DataType::FixedSizeBinary(_)) => {
            ScalarValue::FixedSizeBinary(16, Some(v.to_vec()))
        }
        _ => {
            let mut bytes = Vec::new();
            opaque::encode(&mut bytes, &value.as_ref());
            ScalarValue::Binary(Some(bytes))
        }
    }
}

/// The value of this SQL type that a scalar stands for.
pub fn scalar_to_value(scalar: &ScalarValue, ty: Type) -> Result<Value> {
    Ok(match scalar {
        scalar if scalar.is_null() => Value::Null,
        ScalarValue::Boolean(Some(v)) => Value::Bool(*v),
        ScalarValue::UInt8(Some(v)) => Value::Char(*v),
        ScalarValue::Int16(Some(v)) => Value::Int2(*v),
        ScalarValue::Int32(Some(v)) => Value::Int4(*v),
        ScalarValue::Int64(Some(v)) => Value::Int8(*v),
        ScalarValue::UInt32(Some(v)) => Value::Oid(*v),
        // Counts that DataFusion's own rules make.
        ScalarValue::UInt64(Some(v)) => Value::Int8(i64::try_from(*v).unwrap_or(i64::MAX)),
        ScalarValue::Float32(Some(v)) => Value::Float4(*v),
        ScalarValue::Float64(Some(v)) => Value::Float8(*v),
        ScalarValue::Utf8(Some(v))
        | ScalarValue::LargeUtf8(Some(v))
        | ScalarValue::Utf8View(Some(v)) => Value::text(v),
        ScalarValue::Binary(Some(v)) if ty.oid == Type::BYTEA.oid => Value::bytea(v),
        ScalarValue::Binary(Some(v)) => opaque::decode(v)?.to_value(),
        ScalarValue::Date32(Some(v)) => Value::Date(*v),
        ScalarValue::Time64Microsecond(Some(v)) => Value::Time(*v),
        ScalarValue::TimestampMicrosecond(Some(v), None) => Value::Timestamp(*v),
        ScalarValue::TimestampMicrosecond(Some(v), Some(_)) => Value::TimestampTz(*v),
        ScalarValue::FixedSizeBinary(16, Some(v)) => match <[u8; 16]>::try_from(v.as_slice()) {
            Ok(bytes) => Value::Uuid(Arc::new(bytes)),
            Err(_) => bail!(Internal, "uuid of {} bytes in a plan", v.len()),
        },
        other => bail!(Internal, "constant of type {} in a plan", other.data_type()),
    })
}
