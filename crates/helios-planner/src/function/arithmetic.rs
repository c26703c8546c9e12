//! `+ - * / %`, signs and bits of numbers; PostgreSQL's overflow checks.

use super::argument::{Context, out_of_range, value};
use helios_types::{Error, Numeric, Result, Value, error};

fn division_by_zero() -> Error {
    error!(DivisionByZero, "division by zero")
}

fn no_operator() -> Error {
    Error::internal("operator over values of other types")
}

/// Checks a float result as PostgreSQL does: an infinity from finite operands is an overflow.
fn check_float(result: f64, a: f64, b: f64) -> Result<f64> {
    if result.is_infinite() && a.is_finite() && b.is_finite() {
        return Err(error!(NumericOutOfRange, "value out of range: overflow"));
    }
    Ok(result)
}

fn underflow() -> Error {
    error!(NumericOutOfRange, "value out of range: underflow")
}

fn float4(result: f32, a: f32, b: f32) -> Result<Value> {
    if result.is_infinite() && a.is_finite() && b.is_finite() {
        return Err(error!(NumericOutOfRange, "value out of range: overflow"));
    }
    Ok(Value::Float4(result))
}

macro_rules! integers {
    ($a:expr, $b:expr, $method:ident) => {
        match ($a, $b) {
            (Value::Int4(a), Value::Int4(b)) => {
                return a
                    .$method(*b)
                    .map(Value::Int4)
                    .ok_or_else(|| out_of_range("integer"));
            }
            (Value::Int8(a), Value::Int8(b)) => {
                return a
                    .$method(*b)
                    .map(Value::Int8)
                    .ok_or_else(|| out_of_range("bigint"));
            }
            (Value::Int2(a), Value::Int2(b)) => {
                return a
                    .$method(*b)
                    .map(Value::Int2)
                    .ok_or_else(|| out_of_range("smallint"));
            }
            (Value::Int2(_) | Value::Int4(_), Value::Int2(_) | Value::Int4(_)) => {
                let (a, b) = ($a.as_i64().unwrap_or(0), $b.as_i64().unwrap_or(0));
                return a
                    .$method(b)
                    .and_then(|v| i32::try_from(v).ok())
                    .map(Value::Int4)
                    .ok_or_else(|| out_of_range("integer"));
            }
            (
                Value::Int2(_) | Value::Int4(_) | Value::Int8(_),
                Value::Int2(_) | Value::Int4(_) | Value::Int8(_),
            ) => {
                let (a, b) = ($a.as_i64().unwrap_or(0), $b.as_i64().unwrap_or(0));
                return a
                    .$method(b)
                    .map(Value::Int8)
                    .ok_or_else(|| out_of_range("bigint"));
            }
            _ => {}
        }
    };
}

/// Both operands as doubles, when one of them is a float.
fn doubles(a: &Value, b: &Value) -> Option<(f64, f64)> {
    let float = |v: &Value| match v {
        Value::Float8(v) => Some(*v),
        Value::Float4(v) => Some(f64::from(*v)),
        _ => None,
    };
    Some((float(a)?, float(b)?))
}

pub fn add(args: &[Value], _: Context) -> Result<Value> {
    let (a, b) = (value(args, 0)?, value(args, 1)?);
    integers!(a, b, checked_add);
    match (a, b) {
        (Value::Numeric(a), Value::Numeric(b)) => a.add(b).map(Value::Numeric),
        (Value::Float4(a), Value::Float4(b)) => float4(a + b, *a, *b),
        _ => {
            let (a, b) = doubles(a, b).ok_or_else(no_operator)?;
            check_float(a + b, a, b).map(Value::Float8)
        }
    }
}

pub fn subtract(args: &[Value], _: Context) -> Result<Value> {
    let (a, b) = (value(args, 0)?, value(args, 1)?);
    integers!(a, b, checked_sub);
    match (a, b) {
        (Value::Numeric(a), Value::Numeric(b)) => a.sub(b).map(Value::Numeric),
        (Value::Float4(a), Value::Float4(b)) => float4(a - b, *a, *b),
        _ => {
            let (a, b) = doubles(a, b).ok_or_else(no_operator)?;
            check_float(a - b, a, b).map(Value::Float8)
        }
    }
}

pub fn multiply(args: &[Value], _: Context) -> Result<Value> {
    let (a, b) = (value(args, 0)?, value(args, 1)?);
    integers!(a, b, checked_mul);
    match (a, b) {
        (Value::Numeric(a), Value::Numeric(b)) => a.mul(b).map(Value::Numeric),
        (Value::Float4(a), Value::Float4(b)) => {
            let product = a * b;
            if product == 0.0 && *a != 0.0 && *b != 0.0 {
                return Err(underflow());
            }
            float4(product, *a, *b)
        }
        _ => {
            let (a, b) = doubles(a, b).ok_or_else(no_operator)?;
            let product = a * b;
            if product == 0.0 && a != 0.0 && b != 0.0 {
                return Err(underflow());
            }
            check_float(product, a, b).map(Value::Float8)
        }
    }
}

fn is_zero(v: &Value) -> bool {
    match v {
        Value::Float8(v) => *v == 0.0,
        Value::Float4(v) => *v == 0.0,
        _ => v.as_i64() == Some(0),
    }
}

pub fn divide(args: &[Value], _: Context) -> Result<Value> {
    let (a, b) = (value(args, 0)?, value(args, 1)?);
    if let (Value::Numeric(a), Value::Numeric(b)) = (a, b) {
        return a.div(b).map(Value::Numeric);
    }
    if is_zero(b) {
        // NaN divided by anything is NaN, zero included.
        if let Some((a, _)) = doubles(a, b)
            && a.is_nan()
        {
            return Ok(args[0].clone());
        }
        return Err(division_by_zero());
    }
    integers!(a, b, checked_div);
    match (a, b) {
        (Value::Float4(a), Value::Float4(b)) => {
            let quotient = a / b;
            if quotient == 0.0 && *a != 0.0 && b.is_finite() {
                return Err(underflow());
            }
            float4(quotient, *a, *b)
        }
        _ => {
            let (a, b) = doubles(a, b).ok_or_else(no_operator)?;
            let quotient = a / b;
            if quotient == 0.0 && a != 0.0 && b.is_finite() {
                return Err(underflow());
            }
            check_float(quotient, a, b).map(Value::Float8)
        }
    }
}

pub fn modulo(args: &[Value], _: Context) -> Result<Value> {
    let (a, b) = (value(args, 0)?, value(args, 1)?);
    if let (Value::Numeric(a), Value::Numeric(b)) = (a, b) {
        return a.rem(b).map(Value::Numeric);
    }
    if is_zero(b) {
        return Err(division_by_zero());
    }
    // The smallest integer modulo -1 is zero, not an overflow.
    if b.as_i64() == Some(-1) {
        return Ok(match a {
            Value::Int2(_) => Value::Int2(0),
            Value::Int8(_) => Value::Int8(0),
            _ => Value::Int4(0),
        });
    }
    integers!(a, b, checked_rem);
    Err(no_operator())
}

pub fn negate(args: &[Value], _: Context) -> Result<Value> {
    match value(args, 0)? {
        Value::Int2(v) => v
            .checked_neg()
            .map(Value::Int2)
            .ok_or_else(|| out_of_range("smallint")),
        Value::Int4(v) => v
            .checked_neg()
            .map(Value::Int4)
            .ok_or_else(|| out_of_range("integer")),
        Value::Int8(v) => v
            .checked_neg()
            .map(Value::Int8)
            .ok_or_else(|| out_of_range("bigint")),
        Value::Float4(v) => Ok(Value::Float4(-v)),
        Value::Float8(v) => Ok(Value::Float8(-v)),
        Value::Numeric(v) => Ok(Value::Numeric(v.neg())),
        _ => Err(no_operator()),
    }
}

pub fn identity(args: &[Value], _: Context) -> Result<Value> {
    value(args, 0).cloned()
}

pub fn absolute(args: &[Value], _: Context) -> Result<Value> {
    match value(args, 0)? {
        Value::Int2(v) => v
            .checked_abs()
            .map(Value::Int2)
            .ok_or_else(|| out_of_range("smallint")),
        Value::Int4(v) => v
            .checked_abs()
            .map(Value::Int4)
            .ok_or_else(|| out_of_range("integer")),
        Value::Int8(v) => v
            .checked_abs()
            .map(Value::Int8)
            .ok_or_else(|| out_of_range("bigint")),
        Value::Float4(v) => Ok(Value::Float4(v.abs())),
        Value::Float8(v) => Ok(Value::Float8(v.abs())),
        Value::Numeric(v) => Ok(Value::Numeric(v.abs())),
        _ => Err(no_operator()),
    }
}

macro_rules! bits {
    ($name:ident, $op:tt) => {
        pub fn $name(args: &[Value], _: Context) -> Result<Value> {
            Ok(match (value(args, 0)?, value(args, 1)?) {
                (Value::Int2(a), Value::Int2(b)) => Value::Int2(a $op b),
                (Value::Int4(a), Value::Int4(b)) => Value::Int4(a $op b),
                (Value::Int8(a), Value::Int8(b)) => Value::Int8(a $op b),
                _ => return Err(no_operator()),
            })
        }
    };
}

bits!(bit_and, &);
bits!(bit_or, |);
bits!(bit_xor, ^);

pub fn bit_not(args: &[Value], _: Context) -> Result<Value> {
    Ok(match value(args, 0)? {
        Value::Int2(v) => Value::Int2(!v),
        Value::Int4(v) => Value::Int4(!v),
        Value::Int8(v) => Value::Int8(!v),
        _ => return Err(no_operator()),
    })
}

/// Shifts wrap their count at the width, as C does on the processors PostgreSQL runs on.
pub fn shift_left(args: &[Value], _: Context) -> Result<Value> {
    let count = value(args, 1)?.as_i64().ok_or_else(no_operator)? as u32;
    Ok(match value(args, 0)? {
        Value::Int2(v) => Value::Int2(i32::from(*v).wrapping_shl(count) as i16),
        Value::Int4(v) => Value::Int4(v.wrapping_shl(count)),
        Value::Int8(v) => Value::Int8(v.wrapping_shl(count)),
        _ => return Err(no_operator()),
    })
}

pub fn shift_right(args: &[Value], _: Context) -> Result<Value> {
    let count = value(args, 1)?.as_i64().ok_or_else(no_operator)? as u32;
    Ok(match value(args, 0)? {
        Value::Int2(v) => Value::Int2(i32::from(*v).wrapping_shr(count) as i16),
        Value::Int4(v) => Value::Int4(v.wrapping_shr(count)),
        Value::Int8(v) => Value::Int8(v.wrapping_shr(count)),
        _ => return Err(no_operator()),
    })
}

/// `div(numeric, numeric)`
pub fn divide_whole(args: &[Value], _: Context) -> Result<Value> {
    let (a, b) = (
        super::argument::numeric(args, 0)?,
        super::argument::numeric(args, 1)?,
    );
    a.div_trunc(b).map(Value::Numeric)
}

/// Adds one; `numeric_inc`, `int4inc`.
pub fn increment(args: &[Value], context: Context) -> Result<Value> {
    let one = match value(args, 0)? {
        Value::Int4(_) => Value::Int4(1),
        Value::Int8(_) => Value::Int8(1),
        _ => Value::Numeric(Numeric::ONE),
    };
    add(&[args[0].clone(), one], context)
}
