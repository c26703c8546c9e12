//! SQL's order, equality and hash of values.
//!
//! Both sides have the same SQL type, up to the width of integers and floats. NULL is greater than
//! every value and equal to itself, as sorting, grouping and DISTINCT need it; a comparison
//! operator handles NULL before it comes here. Text is ordered by its bytes (C.UTF-8).

use super::Value;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// Compares two values of one type.
pub fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Int4(a), Value::Int4(b)) => a.cmp(b),
        (Value::Int8(a), Value::Int8(b)) => a.cmp(b),
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Char(a), Value::Char(b)) => a.cmp(b),
        (Value::Numeric(a), Value::Numeric(b)) => a.cmp(b),
        (Value::Bytea(a), Value::Bytea(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b))
        | (Value::TimestampTz(a), Value::TimestampTz(b)) => a.cmp(b),
        (Value::Interval(a), Value::Interval(b)) => a.cmp(b),
        (Value::Uuid(a), Value::Uuid(b)) => a.cmp(b),
        (Value::Jsonb(a), Value::Jsonb(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => a.cmp(b),
        (Value::Record(a), Value::Record(b)) => compare_records(a, b),
        _ => compare_numbers(a, b),
    }
}

fn compare_records(a: &[(crate::Oid, Value)], b: &[(crate::Oid, Value)]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|((_, a), (_, b))| compare(a, b))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn compare_numbers(a: &Value, b: &Value) -> Ordering {
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
        return a.cmp(&b);
    }
    match (float(a), float(b)) {
        (Some(a), Some(b)) => compare_floats(a, b),
        // Values of different types are not comparable in SQL; keep the order total.
        _ => class(a).cmp(&class(b)),
    }
}

/// NaN is equal to itself and greater than every number; both zeros are equal.
pub(crate) fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Float8(v) => Some(*v),
        Value::Float4(v) => Some(f64::from(*v)),
        _ => None,
    }
}

/// A number for each group of types that compare with each other.
fn class(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => 0,
        Value::Char(_) => 1,
        Value::Int2(_) | Value::Int4(_) | Value::Int8(_) | Value::Oid(_) => 2,
        Value::Float4(_) | Value::Float8(_) => 3,
        Value::Numeric(_) => 4,
        Value::Text(_) => 5,
        Value::Bytea(_) => 6,
        Value::Date(_) => 7,
        Value::Time(_) => 8,
        Value::Timestamp(_) => 9,
        Value::TimestampTz(_) => 10,
        Value::Interval(_) => 11,
        Value::Uuid(_) => 12,
        Value::Jsonb(_) => 13,
        Value::Array(_) => 14,
        Value::Record(_) => 15,
        Value::Null => 16,
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        compare(self, other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self, other)
    }
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(class(self));
        match self {
            Value::Null => {}
            Value::Bool(v) => v.hash(state),
            Value::Char(v) => v.hash(state),
            Value::Int2(_) | Value::Int4(_) | Value::Int8(_) | Value::Oid(_) => {
                self.as_i64().hash(state);
            }
            Value::Float4(_) | Value::Float8(_) => {
                let v = float(self).unwrap_or(0.0);
                // One pattern for all NaNs, one for both zeros.
                let v = if v.is_nan() { f64::NAN } else { v + 0.0 };
                state.write_u64(v.to_bits());
            }
            Value::Numeric(v) => v.hash(state),
            Value::Text(v) => v.hash(state),
            Value::Bytea(v) => v.hash(state),
            Value::Date(v) => v.hash(state),
            Value::Time(v) | Value::Timestamp(v) | Value::TimestampTz(v) => v.hash(state),
            Value::Interval(v) => v.hash(state),
            Value::Uuid(v) => v.hash(state),
            Value::Jsonb(v) => v.hash(state),
            Value::Array(v) => v.hash(state),
            Value::Record(v) => {
                for (_, field) in v.iter() {
                    field.hash(state);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Numeric;
    use std::collections::HashSet;

    #[test]
    fn a_value_is_24_bytes() {
        assert_eq!(size_of::<Value>(), 24);
        assert_eq!(size_of::<Numeric>(), 16);
    }

    #[test]
    fn values_that_are_equal_in_sql_group_together() {
        let numeric = |s: &str| Value::Numeric(Numeric::parse(s).unwrap());
        for (a, b) in [
            (numeric("1"), numeric("1.000")),
            (
                numeric("1e30"),
                numeric("1000000000000000000000000000000.0000"),
            ),
            (numeric("NaN"), numeric("NaN")),
            (Value::Float8(0.0), Value::Float8(-0.0)),
            (Value::Float8(f64::NAN), Value::Float8(-f64::NAN)),
            (Value::Float4(1.5), Value::Float8(1.5)),
            (Value::Int2(7), Value::Int8(7)),
            (Value::Null, Value::Null),
            (
                Value::Jsonb(crate::Jsonb::parse(r#"{"a":1,"b":[1.0]}"#).unwrap()),
                Value::Jsonb(crate::Jsonb::parse(r#"{"b":[1],"a":1.00}"#).unwrap()),
            ),
        ] {
            assert_eq!(a, b);
            assert_eq!(HashSet::from([a, b]).len(), 1);
        }
    }

    #[test]
    fn nan_is_the_greatest_number_and_null_sorts_last() {
        let mut values = [
            Value::Null,
            Value::Float8(f64::NAN),
            Value::Float8(f64::INFINITY),
            Value::Float8(1.0),
        ];
        values.sort();
        assert!(matches!(values[0], Value::Float8(1.0)));
        assert!(matches!(values[2], Value::Float8(v) if v.is_nan()));
        assert!(values[3].is_null());
    }
}
