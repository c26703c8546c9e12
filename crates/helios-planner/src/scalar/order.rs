//! PostgreSQL's order and equality of values, and hashing that agrees with them.
//!
//! The B-tree operator class of a type, with collation C.UTF-8: text compares by bytes, NaN is
//! equal to itself and greater than every number, -0 is 0, numerics compare by value, intervals by
//! length. Both values have one type; NULLs are the caller's matter except inside arrays and
//! records, where NULL is greater than every value.

use helios_types::{Array, Oid, Type, Value};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// How values of a type compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Plain,
    /// `char(n)`: trailing blanks do not count.
    Blanks,
}

impl Order {
    pub fn of(ty: Type) -> Self {
        if ty.oid == Type::BPCHAR.oid { Order::Blanks } else { Order::Plain }
    }

    /// Order of two values that are not NULL.
    #[inline]
    pub fn compare(self, a: &Value, b: &Value) -> Ordering {
        match (a, b) {
            (Value::Text(a), Value::Text(b)) if self == Order::Blanks => {
                a.trim_end_matches(' ').cmp(b.trim_end_matches(' '))
            }
            _ => compare(a, b),
        }
    }

    /// The value in the form whose plain equality is this order's equality.
    pub fn normal(self, value: Value) -> Value {
        match (self, &value) {
            (Order::Blanks, Value::Text(text)) if text.ends_with(' ') => {
                Value::text(text.trim_end_matches(' '))
            }
            _ => value,
        }
    }
}

fn float(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Order of two values of one type that are not NULL.
#[inline]
pub fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Char(a), Value::Char(b)) => a.cmp(b),
        (Value::Int2(a), Value::Int2(b)) => a.cmp(b),
        (Value::Int4(a), Value::Int4(b)) | (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Int8(a), Value::Int8(b))
        | (Value::Time(a), Value::Time(b))
        | (Value::Timestamp(a), Value::Timestamp(b))
        | (Value::TimestampTz(a), Value::TimestampTz(b)) => a.cmp(b),
        (Value::Oid(a), Value::Oid(b)) => a.cmp(b),
        (Value::Float4(a), Value::Float4(b)) => float(f64::from(*a), f64::from(*b)),
        (Value::Float8(a), Value::Float8(b)) => float(*a, *b),
        (Value::Numeric(a), Value::Numeric(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Bytea(a), Value::Bytea(b)) => a.cmp(b),
        (Value::Interval(a), Value::Interval(b)) => a.cmp(b),
        (Value::Uuid(a), Value::Uuid(b)) => a.cmp(b),
        (Value::Jsonb(a), Value::Jsonb(b)) => a.as_ref().cmp(&b.as_ref()),
        (Value::Array(a), Value::Array(b)) => compare_arrays(a, b),
        (Value::Record(a), Value::Record(b)) => compare_records(a, b),
        _ => compare_mixed(a, b),
    }
}

/// Values of different representations meet only where a plan is wrong, or where integers of
/// different widths do; the order is total all the same.
fn compare_mixed(a: &Value, b: &Value) -> Ordering {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => 0,
        Value::Char(_) => 1,
        Value::Int2(_) | Value::Int4(_) | Value::Int8(_) | Value::Oid(_) => 2,
        Value::Float4(_) => 3,
        Value::Float8(_) => 4,
        Value::Numeric(_) => 5,
        Value::Text(_) => 6,
        Value::Bytea(_) => 7,
        Value::Date(_) => 8,
        Value::Time(_) => 9,
        Value::Timestamp(_) => 10,
        Value::TimestampTz(_) => 11,
        Value::Interval(_) => 12,
        Value::Uuid(_) => 13,
        Value::Jsonb(_) => 14,
        Value::Array(_) => 15,
        Value::Record(_) => 16,
        Value::Null => 17,
    }
}

fn compare_elements(oid: Oid, a: &Value, b: &Value) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (false, false) => Order::of(Type::new(oid)).compare(a, b),
        (a, b) => a.cmp(&b),
    }
}

/// Elements first, then their number, then the shape, as PostgreSQL's `array_cmp`.
fn compare_arrays(a: &Array, b: &Array) -> Ordering {
    a.values
        .iter()
        .zip(&b.values)
        .map(|(x, y)| compare_elements(a.element, x, y))
        .find(|o| o.is_ne())
        .unwrap_or_else(|| {
            let shape = |a: &Array| a.dimensions.iter().map(|d| (d.len, d.lower)).collect::<Vec<_>>();
            a.values
                .len()
                .cmp(&b.values.len())
                .then(a.dimensions.len().cmp(&b.dimensions.len()))
                .then_with(|| shape(a).cmp(&shape(b)))
        })
}

fn compare_records(a: &[(Oid, Value)], b: &[(Oid, Value)]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|((oid, x), (_, y))| compare_elements(*oid, x, y))
        .find(|o| o.is_ne())
        .unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// Feeds a value to a hasher so that equal values hash alike.
pub fn hash<H: Hasher>(value: &Value, state: &mut H) {
    match value {
        Value::Null => state.write_u8(0xff),
        Value::Bool(v) => state.write_u8(u8::from(*v)),
        Value::Char(v) => state.write_u8(*v),
        Value::Int2(v) => state.write_i64(i64::from(*v)),
        Value::Int4(v) => state.write_i64(i64::from(*v)),
        Value::Oid(v) => state.write_i64(i64::from(*v)),
        Value::Date(v) => state.write_i32(*v),
        Value::Int8(v) => state.write_i64(*v),
        Value::Time(v) | Value::Timestamp(v) | Value::TimestampTz(v) => state.write_i64(*v),
        Value::Float4(v) => hash_float(f64::from(*v), state),
        Value::Float8(v) => hash_float(*v, state),
        Value::Numeric(v) => v.hash(state),
        Value::Text(v) => v.hash(state),
        Value::Bytea(v) => v.hash(state),
        Value::Interval(v) => v.hash(state),
        Value::Uuid(v) => v.hash(state),
        Value::Jsonb(v) => v.as_ref().hash(state),
        Value::Array(v) => v.values.iter().for_each(|e| hash_element(v.element, e, state)),
        Value::Record(v) => v.iter().for_each(|(oid, e)| hash_element(*oid, e, state)),
    }
}

fn hash_element<H: Hasher>(oid: Oid, value: &Value, state: &mut H) {
    match (Order::of(Type::new(oid)), value) {
        (Order::Blanks, Value::Text(text)) => text.trim_end_matches(' ').hash(state),
        _ => hash(value, state),
    }
}

fn hash_float<H: Hasher>(v: f64, state: &mut H) {
    let bits = if v.is_nan() { f64::NAN.to_bits() } else { (v + 0.0).to_bits() };
    state.write_u64(bits);
}

/// Values that group, join or are distinct by equality; NULLs are equal to each other. Values of
/// `char(n)` are put into their [`Order::normal`] form before.
#[derive(Clone, Debug)]
pub struct Key(pub Box<[Value]>);

impl Key {
    pub fn new(values: Vec<Value>) -> Self {
        Key(values.into_boxed_slice())
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| match (a.is_null(), b.is_null()) {
                (false, false) => compare(a, b).is_eq(),
                (a, b) => a == b,
            })
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|v| hash(v, state));
    }
}

/// One ORDER BY column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortOrder {
    pub order: Order,
    pub descending: bool,
    pub nulls_first: bool,
}

impl SortOrder {
    pub fn compare(self, a: &Value, b: &Value) -> Ordering {
        match (a.is_null(), b.is_null()) {
            (false, false) => {
                let order = self.order.compare(a, b);
                if self.descending { order.reverse() } else { order }
            }
            (true, true) => Ordering::Equal,
            (true, false) => if self.nulls_first { Ordering::Less } else { Ordering::Greater },
            (false, true) => if self.nulls_first { Ordering::Greater } else { Ordering::Less },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn hashed(value: &Value) -> u64 {
        let mut state = std::hash::DefaultHasher::new();
        hash(value, &mut state);
        state.finish()
    }

    #[test]
    fn floats_compare_as_postgresql_compares_them() {
        let f = Value::Float8;
        assert_eq!(compare(&f(f64::NAN), &f(f64::INFINITY)), Ordering::Greater);
        assert_eq!(compare(&f(f64::NAN), &f(f64::NAN)), Ordering::Equal);
        assert_eq!(compare(&f(-0.0), &f(0.0)), Ordering::Equal);
        assert_eq!(hashed(&f(-0.0)), hashed(&f(0.0)));
    }

    #[test]
    fn trailing_blanks_of_char_do_not_count() {
        let (a, b) = (Value::text("a  "), Value::text("a"));
        assert_eq!(Order::Blanks.compare(&a, &b), Ordering::Equal);
        assert_eq!(compare(&a, &b), Ordering::Greater);
        assert_eq!(Key::new(vec![Order::Blanks.normal(a)]), Key::new(vec![b]));
    }

    #[test]
    fn arrays_compare_by_elements_then_length() {
        let array = |values: &[i32]| {
            let values = values.iter().map(|v| Value::Int4(*v)).collect();
            Value::Array(Arc::new(Array::from_values(23, values)))
        };
        assert_eq!(compare(&array(&[1, 2]), &array(&[1, 3])), Ordering::Less);
        assert_eq!(compare(&array(&[1, 2]), &array(&[1])), Ordering::Greater);
        assert_eq!(compare(&array(&[2]), &array(&[1, 9])), Ordering::Greater);
    }
}
