//! Aggregates: counts, sums, averages, extremes and logic. Statistics are in
//! [`super::statistics`], collections in [`super::collection`].
//!
//! `finish` leaves the state as it is, so that a running window may finish after every row.

use super::argument::{Context, out_of_range, value};
use super::{Accumulator, FunctionContext};
use helios_types::value::compare;
use helios_types::{Error, Interval, Numeric, Result, Type, Value};
use std::cmp::Ordering;
use std::sync::Arc;

type Boxed = Box<dyn Accumulator>;

/// `count(*)` and `count(x)`; the caller leaves NULLs out.
#[derive(Default)]
struct Count(i64);

impl Accumulator for Count {
    fn update(&mut self, _: &[Value], _: &mut dyn FunctionContext) -> Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        Ok(Value::Int8(self.0))
    }
}

pub fn count(_: &[Type]) -> Boxed {
    Box::<Count>::default()
}

/// An exact sum of integers and numerics. Small values add up in 128 bits; the first one that
/// does not fit moves the sum into a numeric.
#[derive(Default)]
pub(super) struct ExactSum {
    pub(super) count: i64,
    mantissa: i128,
    scale: u16,
    large: Option<Numeric>,
}

impl ExactSum {
    pub(super) fn add_integer(&mut self, v: i64) -> Result<()> {
        self.count += 1;
        if self.scale == 0
            && let Some(sum) = self.mantissa.checked_add(i128::from(v))
        {
            self.mantissa = sum;
            return Ok(());
        }
        self.add_large(&Numeric::from_i64(v))
    }

    pub(super) fn add(&mut self, v: &Numeric) -> Result<()> {
        self.count += 1;
        let Some((mantissa, scale)) = v.as_small() else {
            return self.add_large(v);
        };
        if scale == self.scale
            && let Some(sum) = self.mantissa.checked_add(i128::from(mantissa))
        {
            self.mantissa = sum;
            return Ok(());
        }
        if scale > self.scale
            && let Some(factor) = 10i128.checked_pow(u32::from(scale - self.scale))
            && let Some(sum) = self.mantissa.checked_mul(factor)
            && let Some(sum) = sum.checked_add(i128::from(mantissa))
        {
            (self.mantissa, self.scale) = (sum, scale);
            return Ok(());
        }
        if scale < self.scale
            && let Some(factor) = 10i128.checked_pow(u32::from(self.scale - scale))
            && let Some(term) = i128::from(mantissa).checked_mul(factor)
            && let Some(sum) = self.mantissa.checked_add(term)
        {
            self.mantissa = sum;
            return Ok(());
        }
        self.add_large(v)
    }

    fn add_large(&mut self, v: &Numeric) -> Result<()> {
        let sum = match &self.large {
            Some(large) => large.add(v)?,
            None => v.clone(),
        };
        self.large = Some(sum);
        Ok(())
    }

    pub(super) fn total(&self) -> Result<Numeric> {
        let small = Numeric::from_mantissa(self.mantissa, self.scale);
        match &self.large {
            Some(large) => large.add(&small),
            None => Ok(small),
        }
    }

    pub(super) fn add_value(&mut self, v: &Value) -> Result<()> {
        match v {
            Value::Numeric(v) => self.add(v),
            other => self.add_integer(
                other
                    .as_i64()
                    .ok_or_else(|| Error::internal("sum over another type"))?,
            ),
        }
    }
}

enum Sum {
    /// int2 and int4: a bigint.
    Small {
        sum: i64,
        seen: bool,
    },
    /// int8 and numeric: a numeric.
    Exact(ExactSum),
    Float4(Option<f32>),
    Float8(Option<f64>),
    Interval(Option<Interval>),
}

impl Accumulator for Sum {
    fn update(&mut self, args: &[Value], _: &mut dyn FunctionContext) -> Result<()> {
        let v = value(args, 0)?;
        match (self, v) {
            (Sum::Small { sum, seen }, v) => {
                let v = v
                    .as_i64()
                    .ok_or_else(|| Error::internal("sum over another type"))?;
                *sum = sum.checked_add(v).ok_or_else(|| out_of_range("bigint"))?;
                *seen = true;
            }
            (Sum::Exact(sum), v) => sum.add_value(v)?,
            (Sum::Float4(sum), Value::Float4(v)) => {
                let total = sum.unwrap_or(0.0) + v;
                if total.is_infinite() && v.is_finite() && sum.is_none_or(f32::is_finite) {
                    return Err(helios_types::error!(
                        NumericOutOfRange,
                        "value out of range: overflow"
                    ));
                }
                *sum = Some(total);
            }
            (Sum::Float8(sum), Value::Float8(v)) => {
                let total = sum.unwrap_or(0.0) + v;
                if total.is_infinite() && v.is_finite() && sum.is_none_or(f64::is_finite) {
                    return Err(helios_types::error!(
                        NumericOutOfRange,
                        "value out of range: overflow"
                    ));
                }
                *sum = Some(total);
            }
            (Sum::Interval(sum), Value::Interval(v)) => {
                *sum = Some(match sum {
                    Some(total) => total.checked_add(v)?,
                    None => **v,
                });
            }
            _ => return Err(Error::internal("sum over another type")),
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        Ok(match self {
            Sum::Small { seen: false, .. } => Value::Null,
            Sum::Small { sum, .. } => Value::Int8(*sum),
            Sum::Exact(sum) if sum.count == 0 => Value::Null,
            Sum::Exact(sum) => Value::Numeric(sum.total()?),
            Sum::Float4(sum) => sum.map_or(Value::Null, Value::Float4),
            Sum::Float8(sum) => sum.map_or(Value::Null, Value::Float8),
            Sum::Interval(sum) => sum.map_or(Value::Null, |i| Value::Interval(Arc::new(i))),
        })
    }
}

pub fn sum(types: &[Type]) -> Boxed {
    Box::new(match types.first().map(|t| t.oid) {
        Some(21 | 23) => Sum::Small {
            sum: 0,
            seen: false,
        },
        Some(700) => Sum::Float4(None),
        Some(701) => Sum::Float8(None),
        Some(1186) => Sum::Interval(None),
        _ => Sum::Exact(ExactSum::default()),
    })
}

enum Average {
    Exact(ExactSum),
    Float { sum: f64, count: i64 },
    Interval { sum: Interval, count: i64 },
}

impl Accumulator for Average {
    fn update(&mut self, args: &[Value], _: &mut dyn FunctionContext) -> Result<()> {
        match (self, value(args, 0)?) {
            (Average::Exact(sum), v) => sum.add_value(v)?,
            (Average::Float { sum, count }, v) => {
                let v = match v {
                    Value::Float4(v) => f64::from(*v),
                    Value::Float8(v) => *v,
                    _ => return Err(Error::internal("avg over another type")),
                };
                let total = *sum + v;
                if total.is_infinite() && v.is_finite() && sum.is_finite() {
                    return Err(helios_types::error!(
                        NumericOutOfRange,
                        "value out of range: overflow"
                    ));
                }
                *sum = total;
                *count += 1;
            }
            (Average::Interval { sum, count }, Value::Interval(v)) => {
                *sum = sum.checked_add(v)?;
                *count += 1;
            }
            _ => return Err(Error::internal("avg over another type")),
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        Ok(match self {
            Average::Exact(sum) if sum.count == 0 => Value::Null,
            Average::Exact(sum) => Value::Numeric(sum.total()?.div(&Numeric::from_i64(sum.count))?),
            Average::Float { count: 0, .. } | Average::Interval { count: 0, .. } => Value::Null,
            Average::Float { sum, count } => Value::Float8(*sum / *count as f64),
            Average::Interval { sum, count } => {
                Value::Interval(Arc::new(sum.div_f64(*count as f64)?))
            }
        })
    }
}

pub fn avg(types: &[Type]) -> Boxed {
    Box::new(match types.first().map(|t| t.oid) {
        Some(700 | 701) => Average::Float { sum: 0.0, count: 0 },
        Some(1186) => Average::Interval {
            sum: Interval::ZERO,
            count: 0,
        },
        _ => Average::Exact(ExactSum::default()),
    })
}

/// `min`, `max`: keeps the value that stands on the wanted side.
struct Extreme {
    wanted: Ordering,
    best: Value,
}

impl Accumulator for Extreme {
    fn update(&mut self, args: &[Value], _: &mut dyn FunctionContext) -> Result<()> {
        let v = value(args, 0)?;
        // Of equal values (1 and 1.0) the last one stays, as in PostgreSQL.
        if self.best.is_null() || compare(v, &self.best) != self.wanted.reverse() {
            self.best = v.clone();
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        Ok(self.best.clone())
    }
}

pub fn min(_: &[Type]) -> Boxed {
    Box::new(Extreme {
        wanted: Ordering::Less,
        best: Value::Null,
    })
}

pub fn max(_: &[Type]) -> Boxed {
    Box::new(Extreme {
        wanted: Ordering::Greater,
        best: Value::Null,
    })
}

/// Aggregates that fold two values of one type into one.
struct Fold {
    fold: fn(&[Value], Context) -> Result<Value>,
    state: Option<Value>,
}

impl Accumulator for Fold {
    fn update(&mut self, args: &[Value], context: &mut dyn FunctionContext) -> Result<()> {
        let v = value(args, 0)?.clone();
        self.state = Some(match self.state.take() {
            Some(state) => (self.fold)(&[state, v], context)?,
            None => v,
        });
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        Ok(self.state.clone().unwrap_or(Value::Null))
    }
}

macro_rules! folds {
    ($($name:ident = $fold:path;)*) => {
        $(pub fn $name(_: &[Type]) -> Boxed {
            Box::new(Fold { fold: $fold, state: None })
        })*
    };
}

folds! {
    bool_and = super::math::bool_and;
    bool_or = super::math::bool_or;
    bit_and = super::arithmetic::bit_and;
    bit_or = super::arithmetic::bit_or;
    bit_xor = super::arithmetic::bit_xor;
}
