//! MongoDB's tower of numbers: int32, int64, double, decimal128.
//!
//! An operation takes place in the widest of its operands' types. Integer results that do not fit
//! widen: int32 to int64, int64 to double.

use super::decimal::Decimal;
use super::raw::{Bson, BsonBuf, DECIMAL, DOUBLE, INT32, INT64};
use std::cmp::Ordering;

#[derive(Clone, Copy, Debug)]
pub enum Number {
    Int(i32),
    Long(i64),
    Double(f64),
    Decimal(Decimal),
}

impl Number {
    pub fn of(value: Bson<'_>) -> Option<Self> {
        match value.tag {
            INT32 => value.as_i32().map(Number::Int),
            INT64 => value.as_i64().map(Number::Long),
            DOUBLE => value.as_f64().map(Number::Double),
            DECIMAL => Decimal::from_bson(value).map(Number::Decimal),
            _ => None,
        }
    }

    pub fn to_buf(self) -> BsonBuf {
        match self {
            Number::Int(v) => BsonBuf::int32(v),
            Number::Long(v) => BsonBuf::int64(v),
            Number::Double(v) => BsonBuf::double(v),
            Number::Decimal(v) => v.to_buf(),
        }
    }

    /// An int32 when both operands were and it fits, else an int64.
    fn integer(v: i64, narrow: bool) -> Self {
        match i32::try_from(v) {
            Ok(v) if narrow => Number::Int(v),
            _ => Number::Long(v),
        }
    }

    pub fn as_i64(self) -> Option<i64> {
        match self {
            Number::Int(v) => Some(i64::from(v)),
            Number::Long(v) => Some(v),
            _ => None,
        }
    }

    pub fn is_integer_type(self) -> bool {
        matches!(self, Number::Int(_) | Number::Long(_))
    }

    pub fn to_f64(self) -> f64 {
        match self {
            Number::Int(v) => f64::from(v),
            Number::Long(v) => v as f64,
            Number::Double(v) => v,
            Number::Decimal(v) => v.to_f64(),
        }
    }

    /// As an operand of decimal arithmetic: doubles are taken at 15 digits.
    pub fn to_decimal(self) -> Decimal {
        match self {
            Number::Int(v) => Decimal::from_i64(i64::from(v)),
            Number::Long(v) => Decimal::from_i64(v),
            Number::Double(v) => Decimal::from_f64(v, 15),
            Number::Decimal(v) => v,
        }
    }

    /// The integer of the same value; `None` for fractions, NaN and what does not fit.
    pub fn to_exact_i64(self) -> Option<i64> {
        match self {
            Number::Int(v) => Some(i64::from(v)),
            Number::Long(v) => Some(v),
            Number::Double(v) => f64_to_i64(v).filter(|_| v.fract() == 0.0),
            Number::Decimal(v) => v.is_integral().then(|| v.to_i64()).flatten(),
        }
    }

    /// The integer part; `None` for NaN and what does not fit.
    pub fn to_truncated_i64(self) -> Option<i64> {
        match self {
            Number::Double(v) => f64_to_i64(v.trunc()),
            Number::Decimal(v) => v.to_i64(),
            other => other.as_i64(),
        }
    }

    pub fn is_nan(self) -> bool {
        match self {
            Number::Double(v) => v.is_nan(),
            Number::Decimal(v) => v.is_nan(),
            _ => false,
        }
    }

    pub fn is_finite(self) -> bool {
        match self {
            Number::Double(v) => v.is_finite(),
            Number::Decimal(v) => v.is_finite(),
            _ => true,
        }
    }

    pub fn is_zero(self) -> bool {
        match self {
            Number::Int(v) => v == 0,
            Number::Long(v) => v == 0,
            Number::Double(v) => v == 0.0,
            Number::Decimal(v) => v.is_zero(),
        }
    }

    pub fn plus(self, other: Self) -> Self {
        self.combine(other, i64::checked_add, |a, b| a + b, Decimal::plus)
    }

    pub fn minus(self, other: Self) -> Self {
        self.combine(other, i64::checked_sub, |a, b| a - b, Decimal::minus)
    }

    pub fn times(self, other: Self) -> Self {
        self.combine(other, i64::checked_mul, |a, b| a * b, Decimal::times)
    }

    fn combine(
        self,
        other: Self,
        integers: fn(i64, i64) -> Option<i64>,
        doubles: fn(f64, f64) -> f64,
        decimals: fn(Decimal, Decimal) -> Decimal,
    ) -> Self {
        use Number::*;
        match (self, other) {
            (Decimal(_), _) | (_, Decimal(_)) => {
                Decimal(decimals(self.to_decimal(), other.to_decimal()))
            }
            (Double(_), _) | (_, Double(_)) => Double(doubles(self.to_f64(), other.to_f64())),
            _ => {
                let narrow = matches!((self, other), (Int(_), Int(_)));
                let (a, b) = (self.as_i64().unwrap_or(0), other.as_i64().unwrap_or(0));
                match integers(a, b) {
                    Some(v) => Number::integer(v, narrow),
                    None => Double(doubles(a as f64, b as f64)),
                }
            }
        }
    }

    /// The order of values, exact between all types; NaN lowest and equal to itself.
    pub fn compare(self, other: Self) -> Ordering {
        use Number::*;
        match (self, other) {
            (Decimal(a), Decimal(b)) => a.compare(b),
            (Decimal(a), b) => a.compare(b.widen_exactly()),
            (a, Decimal(b)) => a.widen_exactly().compare(b),
            (Double(a), Double(b)) => compare_f64(a, b),
            (Double(a), b) => compare_f64_i64(a, b.as_i64().unwrap_or(0)),
            (a, Double(b)) => compare_f64_i64(b, a.as_i64().unwrap_or(0)).reverse(),
            (a, b) => a.as_i64().cmp(&b.as_i64()),
        }
    }

    /// For comparisons: doubles at 34 digits.
    pub fn widen_exactly(self) -> Decimal {
        match self {
            Number::Double(v) => Decimal::from_f64(v, 34),
            other => other.to_decimal(),
        }
    }
}

pub fn compare_f64(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

fn compare_f64_i64(a: f64, b: i64) -> Ordering {
    if a.is_nan() {
        return Ordering::Less;
    }
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if a >= LIMIT {
        return Ordering::Greater;
    }
    if a < -LIMIT {
        return Ordering::Less;
    }
    (a.trunc() as i64)
        .cmp(&b)
        .then_with(|| a.fract().partial_cmp(&0.0).unwrap_or(Ordering::Equal))
}

/// The integer of a double that has no fraction; `None` beyond int64.
pub fn f64_to_i64(v: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (-LIMIT..LIMIT).contains(&v).then_some(v as i64)
}

/// A whole number as int32 if it fits, else int64.
pub fn fitting_integer(v: i64) -> BsonBuf {
    Number::integer(v, true).to_buf()
}
