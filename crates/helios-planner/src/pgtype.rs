//! SQL types beside Arrow types.
//!
//! In a logical plan every field carries its SQL type in its metadata under [`TYPE_KEY`] as
//! `oid:modifier`; the Arrow type is a function of the OID alone ([`arrow_type`]). Types whose
//! order or equality Arrow's kernels do not know (numeric, interval, jsonb, arrays, records) are
//! opaque binary there: executors that work on Arrow arrays go through [`crate::function`] for
//! them, or leave the plan to the row executor.
//!
//! | SQL | Arrow |
//! | --- | --- |
//! | bool, int2, int4, int8, float4, float8 | Boolean, Int16, Int32, Int64, Float32, Float64 |
//! | oid and reg*, "char" | UInt32, UInt8 |
//! | text, varchar, char(n), name, json, unknown | Utf8 |
//! | bytea | Binary |
//! | date, time, timestamp, timestamptz | Date32, Time64(µs), Timestamp(µs), Timestamp(µs, +00:00) |
//! | uuid | FixedSizeBinary(16) |
//! | numeric, jsonb, interval, arrays, records | Binary: the bytes of [`opaque`] |

mod column;
mod literal;
pub mod opaque;

pub use column::{ColumnBuilder, ColumnReader, column};
pub use literal::{literal, literal_type, literal_value, scalar_to_value, value_to_scalar};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::common::metadata::FieldMetadata;
use datafusion::logical_expr::{Expr, ExprSchemable};
use helios_types::{Oid, Type};
use std::collections::HashMap;
use std::sync::Arc;

/// Metadata key that holds `oid:modifier`.
pub const TYPE_KEY: &str = "pg.type";

pub fn arrow_type(oid: Oid) -> DataType {
    match oid {
        16 => DataType::Boolean,
        18 => DataType::UInt8,
        20 => DataType::Int64,
        21 => DataType::Int16,
        23 => DataType::Int32,
        700 => DataType::Float32,
        701 => DataType::Float64,
        1082 => DataType::Date32,
        1083 => DataType::Time64(TimeUnit::Microsecond),
        1114 => DataType::Timestamp(TimeUnit::Microsecond, None),
        1184 => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        2950 => DataType::FixedSizeBinary(16),
        oid if Type::new(oid).is_oid_like() || matches!(oid, 28) => DataType::UInt32,
        oid if Type::new(oid).is_string() || matches!(oid, 114 | 705 | 194 | 1033 | 2278) => {
            DataType::Utf8
        }
        _ => DataType::Binary,
    }
}

/// Whether Arrow's own comparison gives PostgreSQL's order and equality for this type.
pub fn arrow_comparable(oid: Oid) -> bool {
    oid == Type::BYTEA.oid || (oid != Type::BPCHAR.oid && arrow_type(oid) != DataType::Binary)
}

pub fn metadata(ty: Type) -> HashMap<String, String> {
    HashMap::from([(TYPE_KEY.to_string(), format!("{}:{}", ty.oid, ty.modifier))])
}

pub fn field_metadata(ty: Type) -> FieldMetadata {
    FieldMetadata::from(metadata(ty))
}

/// A nullable field of this SQL type.
pub fn field(name: impl Into<String>, ty: Type) -> Field {
    Field::new(name, arrow_type(ty.oid), true).with_metadata(metadata(ty))
}

pub fn field_ref(name: impl Into<String>, ty: Type) -> FieldRef {
    Arc::new(field(name, ty))
}

/// The SQL type of a field; fields that DataFusion made itself get the natural type of their
/// Arrow type.
pub fn type_of_field(field: &Field) -> Type {
    if let Some(text) = field.metadata().get(TYPE_KEY)
        && let Some((oid, modifier)) = text.split_once(':')
        && let (Ok(oid), Ok(modifier)) = (oid.parse(), modifier.parse())
    {
        return Type { oid, modifier };
    }
    natural_type(field.data_type())
}

/// The SQL type that an Arrow type without metadata stands for.
pub fn natural_type(data_type: &DataType) -> Type {
    match data_type {
        DataType::Boolean => Type::BOOL,
        DataType::UInt8 => Type::CHAR,
        DataType::Int16 => Type::INT2,
        DataType::Int32 => Type::INT4,
        DataType::Int64 => Type::INT8,
        DataType::UInt32 => Type::OID,
        DataType::Float32 => Type::FLOAT4,
        DataType::Float64 => Type::FLOAT8,
        DataType::Date32 => Type::DATE,
        DataType::Time64(_) => Type::TIME,
        DataType::Timestamp(_, None) => Type::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => Type::TIMESTAMPTZ,
        DataType::FixedSizeBinary(16) => Type::UUID,
        DataType::Binary => Type::BYTEA,
        _ => Type::TEXT,
    }
}

/// The SQL type of an expression over `schema`.
pub fn type_of(expr: &Expr, schema: &DFSchema) -> helios_types::Result<Type> {
    let (_, field) = expr
        .to_field(schema)
        .map_err(helios_types::Error::internal)?;
    Ok(type_of_field(&field))
}
