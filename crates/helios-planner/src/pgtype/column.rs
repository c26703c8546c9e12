//! Arrow columns from values, and values from Arrow columns.

use super::{arrow_type, opaque};
use datafusion::arrow::array::{
    Array, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, FixedSizeBinaryBuilder,
    Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder, UInt8Builder, UInt32Builder,
};
use datafusion::arrow::array::{
    BinaryArray, BooleanArray, Date32Array, FixedSizeBinaryArray, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, UInt8Array, UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::DataType;
use helios_types::{Error, Result, Type, Value, ValueRef, bail};
use std::sync::Arc;

enum Builder {
    Bool(BooleanBuilder),
    Char(UInt8Builder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Oid(UInt32Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Text(StringBuilder),
    Bytea(BinaryBuilder),
    Opaque(BinaryBuilder, Vec<u8>),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    TimestampTz(TimestampMicrosecondBuilder),
    Uuid(FixedSizeBinaryBuilder),
}

/// Collects values of one SQL type into an Arrow array of [`arrow_type`].
pub struct ColumnBuilder(Builder);

impl ColumnBuilder {
    pub fn new(ty: Type, capacity: usize) -> Self {
        let data_type = arrow_type(ty.oid);
        ColumnBuilder(match &data_type {
            DataType::Boolean => Builder::Bool(BooleanBuilder::with_capacity(capacity)),
            DataType::UInt8 => Builder::Char(UInt8Builder::with_capacity(capacity)),
            DataType::Int16 => Builder::Int2(Int16Builder::with_capacity(capacity)),
            DataType::Int32 => Builder::Int4(Int32Builder::with_capacity(capacity)),
            DataType::Int64 => Builder::Int8(Int64Builder::with_capacity(capacity)),
            DataType::UInt32 => Builder::Oid(UInt32Builder::with_capacity(capacity)),
            DataType::Float32 => Builder::Float4(Float32Builder::with_capacity(capacity)),
            DataType::Float64 => Builder::Float8(Float64Builder::with_capacity(capacity)),
            DataType::Utf8 => Builder::Text(StringBuilder::with_capacity(capacity, capacity * 16)),
            DataType::Date32 => Builder::Date(Date32Builder::with_capacity(capacity)),
            DataType::Time64(_) => Builder::Time(Time64MicrosecondBuilder::with_capacity(capacity)),
            DataType::Timestamp(_, None) => {
                Builder::Timestamp(TimestampMicrosecondBuilder::with_capacity(capacity))
            }
            DataType::Timestamp(_, Some(_)) => Builder::TimestampTz(
                TimestampMicrosecondBuilder::with_capacity(capacity).with_data_type(data_type),
            ),
            DataType::FixedSizeBinary(_) => {
                Builder::Uuid(FixedSizeBinaryBuilder::with_capacity(capacity, 16))
            }
            _ if ty.oid == Type::BYTEA.oid => {
                Builder::Bytea(BinaryBuilder::with_capacity(capacity, capacity * 16))
            }
            _ => Builder::Opaque(
                BinaryBuilder::with_capacity(capacity, capacity * 16),
                Vec::new(),
            ),
        })
    }

    pub fn append(&mut self, value: &ValueRef<'_>) -> Result<()> {
        if value.is_null() {
            self.append_null();
            return Ok(());
        }
        match (&mut self.0, value) {
            (Builder::Bool(b), ValueRef::Bool(v)) => b.append_value(*v),
            (Builder::Char(b), ValueRef::Char(v)) => b.append_value(*v),
            (Builder::Int2(b), ValueRef::Int2(v)) => b.append_value(*v),
            (Builder::Int4(b), ValueRef::Int4(v)) => b.append_value(*v),
            (Builder::Int8(b), ValueRef::Int8(v)) => b.append_value(*v),
            (Builder::Oid(b), ValueRef::Oid(v)) => b.append_value(*v),
            (Builder::Float4(b), ValueRef::Float4(v)) => b.append_value(*v),
            (Builder::Float8(b), ValueRef::Float8(v)) => b.append_value(*v),
            (Builder::Text(b), ValueRef::Text(v)) => b.append_value(v),
            (Builder::Bytea(b), ValueRef::Bytea(v)) => b.append_value(v),
            (Builder::Date(b), ValueRef::Date(v)) => b.append_value(*v),
            (Builder::Time(b), ValueRef::Time(v)) => b.append_value(*v),
            (Builder::Timestamp(b), ValueRef::Timestamp(v))
            | (Builder::TimestampTz(b), ValueRef::TimestampTz(v)) => b.append_value(*v),
            (Builder::Uuid(b), ValueRef::Uuid(v)) => {
                b.append_value(&v[..]).map_err(Error::internal)?;
            }
            (Builder::Opaque(b, buffer), value) => {
                buffer.clear();
                opaque::encode(buffer, value);
                b.append_value(&buffer[..]);
            }
            (_, value) => {
                bail!(Internal, "value {value:?} in a column of another type")
            }
        }
        Ok(())
    }

    fn append_null(&mut self) {
        match &mut self.0 {
            Builder::Bool(b) => b.append_null(),
            Builder::Char(b) => b.append_null(),
            Builder::Int2(b) => b.append_null(),
            Builder::Int4(b) => b.append_null(),
            Builder::Int8(b) => b.append_null(),
            Builder::Oid(b) => b.append_null(),
            Builder::Float4(b) => b.append_null(),
            Builder::Float8(b) => b.append_null(),
            Builder::Text(b) => b.append_null(),
            Builder::Bytea(b) | Builder::Opaque(b, _) => b.append_null(),
            Builder::Date(b) => b.append_null(),
            Builder::Time(b) => b.append_null(),
            Builder::Timestamp(b) | Builder::TimestampTz(b) => b.append_null(),
            Builder::Uuid(b) => b.append_null(),
        }
    }

    /// The column so far; the builder is empty again.
    pub fn finish(&mut self) -> ArrayRef {
        match &mut self.0 {
            Builder::Bool(b) => Arc::new(b.finish()),
            Builder::Char(b) => Arc::new(b.finish()),
            Builder::Int2(b) => Arc::new(b.finish()),
            Builder::Int4(b) => Arc::new(b.finish()),
            Builder::Int8(b) => Arc::new(b.finish()),
            Builder::Oid(b) => Arc::new(b.finish()),
            Builder::Float4(b) => Arc::new(b.finish()),
            Builder::Float8(b) => Arc::new(b.finish()),
            Builder::Text(b) => Arc::new(b.finish()),
            Builder::Bytea(b) | Builder::Opaque(b, _) => Arc::new(b.finish()),
            Builder::Date(b) => Arc::new(b.finish()),
            Builder::Time(b) => Arc::new(b.finish()),
            Builder::Timestamp(b) | Builder::TimestampTz(b) => Arc::new(b.finish()),
            Builder::Uuid(b) => Arc::new(b.finish()),
        }
    }
}

/// A column of these values.
pub fn column<'a>(ty: Type, values: impl ExactSizeIterator<Item = &'a Value>) -> Result<ArrayRef> {
    let mut builder = ColumnBuilder::new(ty, values.len());
    for value in values {
        builder.append(&value.as_ref())?;
    }
    Ok(builder.finish())
}

/// Reads values of one SQL type from an Arrow array.
pub enum ColumnReader<'a> {
    Bool(&'a BooleanArray),
    Char(&'a UInt8Array),
    Int2(&'a Int16Array),
    Int4(&'a Int32Array),
    Int8(&'a Int64Array),
    Oid(&'a UInt32Array),
    /// Counts that DataFusion makes itself.
    Unsigned(&'a UInt64Array),
    Float4(&'a Float32Array),
    Float8(&'a Float64Array),
    Text(&'a StringArray),
    Bytea(&'a BinaryArray),
    Opaque(&'a BinaryArray),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray),
    Timestamp(&'a TimestampMicrosecondArray),
    TimestampTz(&'a TimestampMicrosecondArray),
    Uuid(&'a FixedSizeBinaryArray),
    AllNull,
}

impl<'a> ColumnReader<'a> {
    pub fn new(array: &'a dyn Array, ty: Type) -> Result<Self> {
        let any = array.as_any();
        macro_rules! read {
            ($variant:ident) => {
                any.downcast_ref().map(ColumnReader::$variant)
            };
        }
        let reader = match array.data_type() {
            DataType::Null => Some(ColumnReader::AllNull),
            DataType::Boolean => read!(Bool),
            DataType::UInt8 => read!(Char),
            DataType::Int16 => read!(Int2),
            DataType::Int32 => read!(Int4),
            DataType::Int64 => read!(Int8),
            DataType::UInt32 => read!(Oid),
            DataType::UInt64 => read!(Unsigned),
            DataType::Float32 => read!(Float4),
            DataType::Float64 => read!(Float8),
            DataType::Utf8 => read!(Text),
            DataType::Binary if ty.oid == Type::BYTEA.oid => read!(Bytea),
            DataType::Binary => read!(Opaque),
            DataType::Date32 => read!(Date),
            DataType::Time64(_) => read!(Time),
            DataType::Timestamp(_, None) => read!(Timestamp),
            DataType::Timestamp(_, Some(_)) => read!(TimestampTz),
            DataType::FixedSizeBinary(16) => read!(Uuid),
            _ => None,
        };
        match reader {
            Some(reader) => Ok(reader),
            None => bail!(
                Internal,
                "column of Arrow type {} in a result",
                array.data_type()
            ),
        }
    }

    /// The value of one row; `row` is within the array.
    pub fn value(&self, row: usize) -> Result<ValueRef<'a>> {
        macro_rules! get {
            ($array:expr, $variant:ident) => {
                if $array.is_null(row) {
                    ValueRef::Null
                } else {
                    ValueRef::$variant($array.value(row))
                }
            };
        }
        Ok(match self {
            ColumnReader::AllNull => ValueRef::Null,
            ColumnReader::Bool(a) => get!(a, Bool),
            ColumnReader::Char(a) => get!(a, Char),
            ColumnReader::Int2(a) => get!(a, Int2),
            ColumnReader::Int4(a) => get!(a, Int4),
            ColumnReader::Int8(a) => get!(a, Int8),
            ColumnReader::Oid(a) => get!(a, Oid),
            ColumnReader::Unsigned(a) if a.is_null(row) => ValueRef::Null,
            ColumnReader::Unsigned(a) => match i64::try_from(a.value(row)) {
                Ok(v) => ValueRef::Int8(v),
                Err(_) => bail!(NumericOutOfRange, "bigint out of range"),
            },
            ColumnReader::Float4(a) => get!(a, Float4),
            ColumnReader::Float8(a) => get!(a, Float8),
            ColumnReader::Text(a) => get!(a, Text),
            ColumnReader::Bytea(a) => get!(a, Bytea),
            ColumnReader::Opaque(a) if a.is_null(row) => ValueRef::Null,
            ColumnReader::Opaque(a) => opaque::decode(a.value(row))?,
            ColumnReader::Date(a) => get!(a, Date),
            ColumnReader::Time(a) => get!(a, Time),
            ColumnReader::Timestamp(a) => get!(a, Timestamp),
            ColumnReader::TimestampTz(a) => get!(a, TimestampTz),
            ColumnReader::Uuid(a) if a.is_null(row) => ValueRef::Null,
            ColumnReader::Uuid(a) => match a.value(row).first_chunk() {
                Some(bytes) => ValueRef::Uuid(bytes),
                None => bail!(Internal, "uuid column of another width"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_representation_survive_an_arrow_column() {
        let cases = [
            (Type::BOOL, Value::Bool(true)),
            (Type::CHAR, Value::Char(b'x')),
            (Type::INT2, Value::Int2(-3)),
            (Type::INT4, Value::Int4(7)),
            (Type::INT8, Value::Int8(i64::MAX)),
            (Type::OID, Value::Oid(u32::MAX)),
            (Type::FLOAT4, Value::Float4(0.5)),
            (Type::FLOAT8, Value::Float8(-0.25)),
            (Type::TEXT, Value::text("text")),
            (Type::BYTEA, Value::bytea([0, 1])),
            (Type::DATE, Value::Date(-1)),
            (Type::TIME, Value::Time(1)),
            (Type::TIMESTAMP, Value::Timestamp(2)),
            (Type::TIMESTAMPTZ, Value::TimestampTz(3)),
            (Type::UUID, Value::Uuid(Arc::new([9; 16]))),
            (Type::INTERVAL, Value::Interval(Arc::default())),
        ];
        for (ty, value) in cases {
            let array = column(ty, [value.clone(), Value::Null].iter()).unwrap();
            assert_eq!(array.data_type(), &arrow_type(ty.oid));
            let reader = ColumnReader::new(array.as_ref(), ty).unwrap();
            let back = reader.value(0).unwrap().to_value();
            assert_eq!(format!("{back:?}"), format!("{value:?}"));
            assert!(reader.value(1).unwrap().is_null());
            let scalar = crate::pgtype::value_to_scalar(&value, ty);
            assert_eq!(scalar.data_type(), arrow_type(ty.oid));
            let back = crate::pgtype::scalar_to_value(&scalar, ty).unwrap();
            assert_eq!(format!("{back:?}"), format!("{value:?}"));
        }
    }
}
