//! Variance, correlation and regression, and the ordered-set aggregates.
//!
//! Exact types keep the sums of values and of squares as numerics; floats use the update of Youngs
//! and Cramer, which PostgreSQL uses too, because it does not cancel.

use super::aggregate::ExactSum;
use super::argument::{float8, value};
use super::{Accumulator, FunctionContext};
use helios_types::{Array, Error, Interval, Numeric, Result, Type, Value, bail};
use std::sync::Arc;

type Boxed = Box<dyn Accumulator>;

#[derive(Clone, Copy)]
struct Spread {
    /// Divide by n - 1 instead of n.
    sample: bool,
    root: bool,
}

struct ExactVariance {
    spread: Spread,
    sum: ExactSum,
    squares: ExactSum,
}

impl Accumulator for ExactVariance {
    fn update(&mut self, args: &[Value], _: &mut dyn FunctionContext) -> Result<()> {
        let v = match value(args, 0)? {
            Value::Numeric(v) => v.clone(),
            other => Numeric::from_i64(
                other
                    .as_i64()
                    .ok_or_else(|| Error::internal("variance over another type"))?,
            ),
        };
        self.squares.add(&v.mul(&v)?)?;
        self.sum.add(&v)
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        let count = self.sum.count;
        if count == 0 || (self.spread.sample && count == 1) {
            return Ok(Value::Null);
        }
        let (n, sum) = (Numeric::from_i64(count), self.sum.total()?);
        if !sum.is_finite() {
            return Ok(Value::Numeric(Numeric::NAN));
        }
        let difference = n.mul(&self.squares.total()?)?.sub(&sum.mul(&sum)?)?;
        if difference.signum() != Some(1) {
            return Ok(Value::Numeric(Numeric::ZERO));
        }
        let divisor = if self.spread.sample { count - 1 } else { count };
        let variance = difference.div(&n.mul(&Numeric::from_i64(divisor))?)?;
        if self.spread.root {
            return Ok(Value::Numeric(
                variance.sqrt_at_scale(variance.scale().unwrap_or(16))?,
            ));
        }
        Ok(Value::Numeric(variance))
    }
}

/// Count, sum and sum of squared deviations.
#[derive(Default)]
struct Deviations {
    n: f64,
    sum: f64,
    squares: f64,
}

impl Deviations {
    fn add(&mut self, v: f64) {
        self.n += 1.0;
        self.sum += v;
        if self.n > 1.0 {
            let distance = v * self.n - self.sum;
            self.squares += distance * distance / (self.n * (self.n - 1.0));
        } else if !v.is_finite() {
            self.squares = f64::NAN;
        }
    }
}

struct FloatVariance {
    spread: Spread,
    state: Deviations,
}

impl Accumulator for FloatVariance {
    fn update(&mut self, args: &[Value], _: &mut dyn FunctionContext) -> Result<()> {
        self.state.add(match value(args, 0)? {
            Value::Float4(v) => f64::from(*v),
            _ => float8(args, 0)?,
        });
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        let n = self.state.n;
        if n == 0.0 || (self.spread.sample && n <= 1.0) {
            return Ok(Value::Null);
        }
        let divisor = if self.spread.sample { n - 1.0 } else { n };
        let variance = self.state.squares / divisor;
        Ok(Value::Float8(if self.spread.root {
            variance.sqrt()
        } else {
            variance
        }))
    }
}

fn variance(types: &[Type], sample: bool, root: bool) -> Boxed {
    let spread = Spread { sample, root };
    match types.first().map(|t| t.oid) {
        Some(700 | 701) => Box::new(FloatVariance {
            spread,
            state: Deviations::default(),
        }),
        _ => Box::new(ExactVariance {
            spread,
            sum: ExactSum::default(),
            squares: ExactSum::default(),
        }),
    }
}

pub fn var_pop(types: &[Type]) -> Boxed {
    variance(types, false, false)
}

pub fn var_samp(types: &[Type]) -> Boxed {
    variance(types, true, false)
}

pub fn stddev_pop(types: &[Type]) -> Boxed {
    variance(types, false, true)
}

pub fn stddev_samp(types: &[Type]) -> Boxed {
    variance(types, true, true)
}

/// Sums over pairs (y, x) for correlation and regression.
#[derive(Default)]
struct Pairs {
    n: f64,
    sum_x: f64,
    sum_y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

struct Regression {
    pairs: Pairs,
    result: fn(&Pairs) -> Option<f64>,
}

impl Accumulator for Regression {
    fn update(&mut self, args: &[Value], _: &mut dyn FunctionContext) -> Result<()> {
        let (y, x) = (float8(args, 0)?, float8(args, 1)?);
        let p = &mut self.pairs;
        p.n += 1.0;
        p.sum_x += x;
        p.sum_y += y;
        if p.n > 1.0 {
            let (dx, dy) = (x * p.n - p.sum_x, y * p.n - p.sum_y);
            let scale = 1.0 / (p.n * (p.n - 1.0));
            p.xx += dx * dx * scale;
            p.yy += dy * dy * scale;
            p.xy += dx * dy * scale;
        } else {
            if !x.is_finite() {
                (p.xx, p.xy) = (f64::NAN, f64::NAN);
            }
            if !y.is_finite() {
                (p.yy, p.xy) = (f64::NAN, f64::NAN);
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        if self.pairs.n < 1.0 {
            return Ok(Value::Null);
        }
        Ok((self.result)(&self.pairs).map_or(Value::Null, Value::Float8))
    }
}

macro_rules! regressions {
    ($($name:ident = $result:expr;)*) => {
        $(pub fn $name(_: &[Type]) -> Boxed {
            Box::new(Regression { pairs: Pairs::default(), result: $result })
        })*
    };
}

regressions! {
    corr = |p| (p.xx != 0.0 && p.yy != 0.0).then(|| p.xy / (p.xx * p.yy).sqrt());
    covar_pop = |p| Some(p.xy / p.n);
    covar_samp = |p| (p.n >= 2.0).then(|| p.xy / (p.n - 1.0));
    regr_avgx = |p| Some(p.sum_x / p.n);
    regr_avgy = |p| Some(p.sum_y / p.n);
    regr_sxx = |p| Some(p.xx);
    regr_syy = |p| Some(p.yy);
    regr_sxy = |p| Some(p.xy);
    regr_slope = |p| (p.xx != 0.0).then(|| p.xy / p.xx);
    regr_intercept = |p| (p.xx != 0.0).then(|| (p.sum_y - p.sum_x * p.xy / p.xx) / p.n);
    regr_r2 = |p| (p.xx != 0.0).then(|| if p.yy == 0.0 { 1.0 } else { p.xy * p.xy / (p.xx * p.yy) });
}

/// `percentile_cont`, `percentile_disc` and `mode`: their input comes in order.
struct OrderedSet {
    kind: OrderedSetKind,
    /// The direct argument: a fraction or an array of them.
    fraction: Value,
    values: Vec<Value>,
}

#[derive(Clone, Copy, PartialEq)]
enum OrderedSetKind {
    Continuous,
    Discrete,
    Mode,
}

impl Accumulator for OrderedSet {
    fn update(&mut self, args: &[Value], _: &mut dyn FunctionContext) -> Result<()> {
        let (last, direct) = args
            .split_last()
            .ok_or_else(|| Error::internal("no argument"))?;
        if let Some(fraction) = direct.first() {
            self.fraction = fraction.clone();
        }
        if !last.is_null() {
            self.values.push(last.clone());
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn FunctionContext) -> Result<Value> {
        if self.kind == OrderedSetKind::Mode {
            return Ok(self.mode());
        }
        if self.values.is_empty() {
            return Ok(Value::Null);
        }
        match &self.fraction {
            Value::Float8(fraction) => self.percentile(*fraction),
            Value::Array(fractions) => {
                let values = fractions
                    .values
                    .iter()
                    .map(|f| match f {
                        Value::Float8(f) => self.percentile(*f),
                        _ => Ok(Value::Null),
                    })
                    .collect::<Result<Vec<_>>>()?;
                let element = match self.values.first() {
                    Some(Value::Float8(_)) => Type::FLOAT8.oid,
                    Some(Value::Interval(_)) => Type::INTERVAL.oid,
                    other => super::collection::natural_oid(other.unwrap_or(&Value::Null)),
                };
                let dimensions = fractions.dimensions.clone();
                Ok(Value::Array(Arc::new(Array {
                    element,
                    dimensions,
                    values,
                })))
            }
            _ => Ok(Value::Null),
        }
    }
}

impl OrderedSet {
    fn mode(&self) -> Value {
        let mut best: Option<(&Value, usize)> = None;
        let mut rest = self.values.as_slice();
        while let Some(first) = rest.first() {
            let run = rest.iter().take_while(|v| *v == first).count();
            if best.is_none_or(|(_, n)| run > n) {
                best = Some((first, run));
            }
            rest = &rest[run..];
        }
        best.map_or(Value::Null, |(v, _)| v.clone())
    }

    fn percentile(&self, fraction: f64) -> Result<Value> {
        if !(0.0..=1.0).contains(&fraction) {
            let shown = helios_types::text::float8_text(fraction);
            bail!(
                NumericOutOfRange,
                "percentile value {shown} is not between 0 and 1"
            );
        }
        let n = self.values.len();
        if self.kind == OrderedSetKind::Discrete {
            let row = (fraction * n as f64).ceil().max(1.0) as usize;
            return Ok(self.values.get(row - 1).cloned().unwrap_or(Value::Null));
        }
        let position = fraction * (n - 1) as f64;
        let (low, high) = (position.floor() as usize, position.ceil() as usize);
        let (Some(a), Some(b)) = (self.values.get(low), self.values.get(high)) else {
            return Ok(Value::Null);
        };
        let share = position - low as f64;
        match (a, b) {
            _ if low == high => Ok(a.clone()),
            (Value::Float8(a), Value::Float8(b)) => Ok(Value::Float8(a + share * (b - a))),
            (Value::Interval(a), Value::Interval(b)) => {
                let part: Interval = b.checked_sub(a)?.mul_f64(share)?;
                Ok(Value::Interval(Arc::new(a.checked_add(&part)?)))
            }
            _ => Err(Error::internal("percentile over another type")),
        }
    }
}

fn ordered_set(kind: OrderedSetKind) -> Boxed {
    Box::new(OrderedSet {
        kind,
        fraction: Value::Null,
        values: Vec::new(),
    })
}

pub fn percentile_cont(_: &[Type]) -> Boxed {
    ordered_set(OrderedSetKind::Continuous)
}

pub fn percentile_disc(_: &[Type]) -> Boxed {
    ordered_set(OrderedSetKind::Discrete)
}

pub fn mode(_: &[Type]) -> Boxed {
    ordered_set(OrderedSetKind::Mode)
}
