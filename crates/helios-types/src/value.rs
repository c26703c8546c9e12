//! A value of an SQL type: owned, or borrowed from a stored row.
//!
//! The variant says how the value is represented; which SQL type it has stands in the plan beside
//! it. Several types share a representation: text, varchar, char(n), name, json and enum labels
//! are [`Value::Text`]; oid and the reg* types are [`Value::Oid`].
//!
//! Points in time count microseconds (dates: days) from the Unix epoch, in UTC; `MAX` and `MIN`
//! are infinity and -infinity. A value is 24 bytes and cloning it never copies its bytes.

mod compare;

pub use compare::compare;

use crate::array::Array;
use crate::interval::Interval;
use crate::json::{Jsonb, JsonbRef};
use crate::numeric::Numeric;
use bytes::Bytes;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    /// PostgreSQL's one-byte `"char"`.
    Char(u8),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Oid(u32),
    Float4(f32),
    Float8(f64),
    Numeric(Numeric),
    Text(Arc<str>),
    Bytea(Arc<[u8]>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01 00:00 of no particular zone.
    Timestamp(i64),
    /// Microseconds since 1970-01-01 00:00 UTC.
    TimestampTz(i64),
    Interval(Arc<Interval>),
    Uuid(Arc<[u8; 16]>),
    Jsonb(Jsonb),
    Array(Arc<Array>),
    /// A composite value: the fields in order, each with its type's OID.
    Record(Arc<[(crate::Oid, Value)]>),
}

/// A [`Value`] whose bytes belong to somebody else, usually a stored row.
#[derive(Clone, Debug)]
pub enum ValueRef<'a> {
    Null,
    Bool(bool),
    Char(u8),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Oid(u32),
    Float4(f32),
    Float8(f64),
    Numeric(Numeric),
    Text(&'a str),
    Bytea(&'a [u8]),
    Date(i32),
    Time(i64),
    Timestamp(i64),
    TimestampTz(i64),
    Interval(Interval),
    Uuid(&'a [u8; 16]),
    Jsonb(JsonbRef<'a>),
    Array(Arc<Array>),
    Record(Arc<[(crate::Oid, Value)]>),
}

impl Value {
    pub fn text(s: impl AsRef<str>) -> Self {
        Value::Text(Arc::from(s.as_ref()))
    }

    pub fn bytea(b: impl AsRef<[u8]>) -> Self {
        Value::Bytea(Arc::from(b.as_ref()))
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Null => ValueRef::Null,
            Value::Bool(v) => ValueRef::Bool(*v),
            Value::Char(v) => ValueRef::Char(*v),
            Value::Int2(v) => ValueRef::Int2(*v),
            Value::Int4(v) => ValueRef::Int4(*v),
            Value::Int8(v) => ValueRef::Int8(*v),
            Value::Oid(v) => ValueRef::Oid(*v),
            Value::Float4(v) => ValueRef::Float4(*v),
            Value::Float8(v) => ValueRef::Float8(*v),
            Value::Numeric(v) => ValueRef::Numeric(v.clone()),
            Value::Text(v) => ValueRef::Text(v),
            Value::Bytea(v) => ValueRef::Bytea(v),
            Value::Date(v) => ValueRef::Date(*v),
            Value::Time(v) => ValueRef::Time(*v),
            Value::Timestamp(v) => ValueRef::Timestamp(*v),
            Value::TimestampTz(v) => ValueRef::TimestampTz(*v),
            Value::Interval(v) => ValueRef::Interval(**v),
            Value::Uuid(v) => ValueRef::Uuid(v),
            Value::Jsonb(v) => ValueRef::Jsonb(v.as_ref()),
            Value::Array(v) => ValueRef::Array(v.clone()),
            Value::Record(v) => ValueRef::Record(v.clone()),
        }
    }

    /// The integer in any of the integer representations.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int2(v) => Some(i64::from(*v)),
            Value::Int4(v) => Some(i64::from(*v)),
            Value::Int8(v) => Some(*v),
            Value::Oid(v) => Some(i64::from(*v)),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(v) => Some(v),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(v) => Some(*v),
            _ => None,
        }
    }
}

impl ValueRef<'_> {
    pub fn is_null(&self) -> bool {
        matches!(self, ValueRef::Null)
    }

    pub fn to_value(&self) -> Value {
        match self {
            ValueRef::Null => Value::Null,
            ValueRef::Bool(v) => Value::Bool(*v),
            ValueRef::Char(v) => Value::Char(*v),
            ValueRef::Int2(v) => Value::Int2(*v),
            ValueRef::Int4(v) => Value::Int4(*v),
            ValueRef::Int8(v) => Value::Int8(*v),
            ValueRef::Oid(v) => Value::Oid(*v),
            ValueRef::Float4(v) => Value::Float4(*v),
            ValueRef::Float8(v) => Value::Float8(*v),
            ValueRef::Numeric(v) => Value::Numeric(v.clone()),
            ValueRef::Text(v) => Value::Text(Arc::from(*v)),
            ValueRef::Bytea(v) => Value::Bytea(Arc::from(*v)),
            ValueRef::Date(v) => Value::Date(*v),
            ValueRef::Time(v) => Value::Time(*v),
            ValueRef::Timestamp(v) => Value::Timestamp(*v),
            ValueRef::TimestampTz(v) => Value::TimestampTz(*v),
            ValueRef::Interval(v) => Value::Interval(Arc::new(*v)),
            ValueRef::Uuid(v) => Value::Uuid(Arc::new(**v)),
            ValueRef::Jsonb(v) => Value::Jsonb(v.to_jsonb()),
            ValueRef::Array(v) => Value::Array(v.clone()),
            ValueRef::Record(v) => Value::Record(v.clone()),
        }
    }
}

/// A row that an executor hands to whoever encodes it.
///
/// Called once a row, in result order, with values borrowed from storage or from the executor;
/// they are valid only during the call.
pub trait RowSink: Send {
    fn row(&mut self, values: &[ValueRef<'_>]) -> crate::Result<()>;

    /// Bytes that wait to be sent. An executor stops and gives its caller the turn when this
    /// passes [`RowSink::high_water_bytes`].
    fn pending_bytes(&self) -> usize {
        0
    }

    fn high_water_bytes(&self) -> usize {
        64 * 1024
    }
}

/// Collects rows as owned values; for tests, internal statements and small results.
#[derive(Debug, Default)]
pub struct Rows(pub Vec<Vec<Value>>);

impl RowSink for Rows {
    fn row(&mut self, values: &[ValueRef<'_>]) -> crate::Result<()> {
        self.0.push(values.iter().map(ValueRef::to_value).collect());
        Ok(())
    }
}

impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Value::text(v)
    }
}

impl From<String> for Value {
    fn from(v: String) -> Self {
        Value::Text(Arc::from(v))
    }
}

impl From<i32> for Value {
    fn from(v: i32) -> Self {
        Value::Int4(v)
    }
}

impl From<i64> for Value {
    fn from(v: i64) -> Self {
        Value::Int8(v)
    }
}

impl From<bool> for Value {
    fn from(v: bool) -> Self {
        Value::Bool(v)
    }
}

impl From<Bytes> for Value {
    fn from(v: Bytes) -> Self {
        Value::bytea(v)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Self {
        v.map_or(Value::Null, Into::into)
    }
}
