//! Mathematical functions of numeric and double precision.

use super::argument::{Context, boolean, float8, int4, integer, numeric, out_of_range, value};
use helios_types::{Error, ErrorKind, Numeric, Result, Value, bail, error};
use std::cell::Cell;
use std::f64::consts::PI;

fn power_error(message: &'static str, sqlstate: &[u8; 5]) -> Error {
    Error::new(ErrorKind::InvalidArgumentForPower, message).with_sqlstate(*sqlstate)
}

fn float_overflow() -> Error {
    error!(NumericOutOfRange, "value out of range: overflow")
}

fn input_out_of_range() -> Error {
    error!(NumericOutOfRange, "input is out of range")
}

fn finite_or(result: f64, argument: f64) -> Result<Value> {
    if result.is_infinite() && argument.is_finite() {
        return Err(float_overflow());
    }
    Ok(Value::Float8(result))
}

macro_rules! rounding {
    ($name:ident, $numeric:ident, $float:ident) => {
        pub fn $name(args: &[Value], _: Context) -> Result<Value> {
            Ok(match value(args, 0)? {
                Value::Numeric(v) => Value::Numeric(v.$numeric()),
                Value::Float8(v) => Value::Float8(v.$float()),
                _ => return Err(Error::internal("rounding of another type")),
            })
        }
    };
}

rounding!(ceil, ceil, ceil);
rounding!(floor, floor, floor);

/// The bound of PostgreSQL on the scale argument.
fn scale(args: &[Value]) -> Result<i32> {
    Ok(int4(args, 1)?.clamp(-2000, 2000))
}

pub fn round(args: &[Value], _: Context) -> Result<Value> {
    Ok(match (value(args, 0)?, args.len()) {
        (Value::Numeric(v), 1) => Value::Numeric(v.round(0)),
        (Value::Numeric(v), _) => Value::Numeric(v.round(scale(args)?)),
        // Halves go to the even neighbour, as the C library rounds.
        (Value::Float8(v), _) => Value::Float8(v.round_ties_even()),
        _ => return Err(Error::internal("round of another type")),
    })
}

pub fn trunc(args: &[Value], _: Context) -> Result<Value> {
    Ok(match (value(args, 0)?, args.len()) {
        (Value::Numeric(v), 1) => Value::Numeric(v.trunc(0)),
        (Value::Numeric(v), _) => Value::Numeric(v.trunc(scale(args)?)),
        (Value::Float8(v), _) => Value::Float8(v.trunc()),
        _ => return Err(Error::internal("trunc of another type")),
    })
}

pub fn sign(args: &[Value], _: Context) -> Result<Value> {
    Ok(match value(args, 0)? {
        Value::Numeric(v) => Value::Numeric(v.sign()),
        Value::Float8(v) if v.is_nan() => Value::Float8(f64::NAN),
        Value::Float8(v) if *v == 0.0 => Value::Float8(0.0),
        Value::Float8(v) => Value::Float8(v.signum()),
        _ => return Err(Error::internal("sign of another type")),
    })
}

pub fn sqrt(args: &[Value], _: Context) -> Result<Value> {
    match value(args, 0)? {
        Value::Numeric(v) => v.sqrt().map(Value::Numeric),
        Value::Float8(v) if *v < 0.0 => Err(power_error(
            "cannot take square root of a negative number",
            b"2201F",
        )),
        Value::Float8(v) => Ok(Value::Float8(v.sqrt())),
        _ => Err(Error::internal("sqrt of another type")),
    }
}

pub fn cbrt(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Float8(float8(args, 0)?.cbrt()))
}

pub fn exp(args: &[Value], _: Context) -> Result<Value> {
    match value(args, 0)? {
        Value::Numeric(v) => v.exp().map(Value::Numeric),
        Value::Float8(v) => {
            let result = v.exp();
            if result == 0.0 && v.is_finite() {
                bail!(NumericOutOfRange, "value out of range: underflow");
            }
            finite_or(result, *v)
        }
        _ => Err(Error::internal("exp of another type")),
    }
}

fn check_logarithm(v: f64) -> Result<()> {
    if v == 0.0 {
        return Err(power_error("cannot take logarithm of zero", b"2201E"));
    }
    if v < 0.0 {
        return Err(power_error(
            "cannot take logarithm of a negative number",
            b"2201E",
        ));
    }
    Ok(())
}

pub fn ln(args: &[Value], _: Context) -> Result<Value> {
    match value(args, 0)? {
        Value::Numeric(v) => v.ln().map(Value::Numeric),
        Value::Float8(v) => {
            check_logarithm(*v)?;
            Ok(Value::Float8(v.ln()))
        }
        _ => Err(Error::internal("ln of another type")),
    }
}

/// `log(x)` to base ten, `log(base, x)`.
pub fn log(args: &[Value], _: Context) -> Result<Value> {
    match (value(args, 0)?, args.get(1)) {
        (Value::Numeric(base), Some(Value::Numeric(v))) => v.log(base).map(Value::Numeric),
        (Value::Numeric(v), None) => v.log(&Numeric::from_i64(10)).map(Value::Numeric),
        (Value::Float8(v), _) => {
            check_logarithm(*v)?;
            Ok(Value::Float8(v.log10()))
        }
        _ => Err(Error::internal("log of another type")),
    }
}

pub fn power(args: &[Value], _: Context) -> Result<Value> {
    if let (Value::Numeric(a), Value::Numeric(b)) = (value(args, 0)?, value(args, 1)?) {
        return a.power(b).map(Value::Numeric);
    }
    let (a, b) = (float8(args, 0)?, float8(args, 1)?);
    if a == 0.0 && b < 0.0 {
        return Err(power_error(
            "zero raised to a negative power is undefined",
            b"2201F",
        ));
    }
    if a < 0.0 && a.is_finite() && b.is_finite() && b.fract() != 0.0 {
        return Err(power_error(
            "a negative number raised to a non-integer power yields a complex result",
            b"2201F",
        ));
    }
    let result = a.powf(b);
    if result.is_infinite() && a.is_finite() && b.is_finite() {
        return Err(float_overflow());
    }
    if result == 0.0 && a != 0.0 && a.is_finite() && b.is_finite() {
        bail!(NumericOutOfRange, "value out of range: underflow");
    }
    Ok(Value::Float8(result))
}

macro_rules! float_functions {
    ($($name:ident = $f:expr;)*) => {
        $(pub fn $name(args: &[Value], _: Context) -> Result<Value> {
            let f: fn(f64) -> f64 = $f;
            let v = float8(args, 0)?;
            let result = f(v);
            if result.is_nan() && !v.is_nan() {
                return Err(input_out_of_range());
            }
            finite_or(result, v)
        })*
    };
}

float_functions! {
    sin = f64::sin;
    cos = f64::cos;
    tan = f64::tan;
    asin = f64::asin;
    acos = f64::acos;
    atan = f64::atan;
    sinh = f64::sinh;
    cosh = f64::cosh;
    tanh = f64::tanh;
    asinh = f64::asinh;
    acosh = f64::acosh;
    degrees = |v| v / (PI / 180.0);
    radians = |v| v * (PI / 180.0);
}

pub fn cot(args: &[Value], _: Context) -> Result<Value> {
    let v = float8(args, 0)?;
    if v.is_infinite() {
        return Err(input_out_of_range());
    }
    Ok(Value::Float8(1.0 / v.tan()))
}

pub fn atanh(args: &[Value], _: Context) -> Result<Value> {
    let v = float8(args, 0)?;
    if !(-1.0..=1.0).contains(&v) && !v.is_nan() {
        return Err(input_out_of_range());
    }
    Ok(Value::Float8(v.atanh()))
}

pub fn atan2(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Float8(float8(args, 0)?.atan2(float8(args, 1)?)))
}

/// Exact at the angles that have exact results.
fn sine_of_degrees(v: f64) -> f64 {
    let v = v % 360.0;
    let (sign, v) = if v < 0.0 { (-1.0, -v) } else { (1.0, v) };
    let (sign, v) = if v > 180.0 {
        (-sign, 360.0 - v)
    } else {
        (sign, v)
    };
    let v = if v > 90.0 { 180.0 - v } else { v };
    sign * if v == 0.0 {
        0.0
    } else if v == 30.0 {
        0.5
    } else if v == 90.0 {
        1.0
    } else {
        (v * PI / 180.0).sin()
    }
}

fn check_degrees(v: f64) -> Result<f64> {
    if v.is_infinite() {
        Err(input_out_of_range())
    } else {
        Ok(v)
    }
}

pub fn sind(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Float8(sine_of_degrees(check_degrees(float8(
        args, 0,
    )?)?)))
}

fn cosine_of_degrees(v: f64) -> f64 {
    let v = (v % 360.0).abs();
    let v = if v > 180.0 { 360.0 - v } else { v };
    sine_of_degrees(90.0 - v)
}

pub fn cosd(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Float8(cosine_of_degrees(check_degrees(float8(
        args, 0,
    )?)?)))
}

pub fn tand(args: &[Value], _: Context) -> Result<Value> {
    let v = check_degrees(float8(args, 0)?)?;
    let ratio = sine_of_degrees(v) / cosine_of_degrees(v);
    // Exactly one at 45 degrees.
    let exact = if v.rem_euclid(180.0) == 45.0 {
        1.0
    } else if v.rem_euclid(180.0) == 135.0 {
        -1.0
    } else {
        ratio
    };
    Ok(Value::Float8(exact))
}

fn inverse_degrees(v: f64, f: fn(f64) -> f64) -> f64 {
    let degrees = f(v) * 180.0 / PI;
    // The multiples of fifteen degrees that matter come out exact.
    let nearest = degrees.round();
    if (degrees - nearest).abs() < 1e-12 {
        nearest
    } else {
        degrees
    }
}

pub fn asind(args: &[Value], _: Context) -> Result<Value> {
    let v = float8(args, 0)?;
    if !(-1.0..=1.0).contains(&v) && !v.is_nan() {
        return Err(input_out_of_range());
    }
    Ok(Value::Float8(inverse_degrees(v, f64::asin)))
}

pub fn acosd(args: &[Value], _: Context) -> Result<Value> {
    let v = float8(args, 0)?;
    if !(-1.0..=1.0).contains(&v) && !v.is_nan() {
        return Err(input_out_of_range());
    }
    Ok(Value::Float8(inverse_degrees(v, f64::acos)))
}

pub fn atand(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Float8(inverse_degrees(float8(args, 0)?, f64::atan)))
}

pub fn atan2d(args: &[Value], _: Context) -> Result<Value> {
    let degrees = float8(args, 0)?.atan2(float8(args, 1)?) * 180.0 / PI;
    Ok(Value::Float8(degrees))
}

pub fn pi(_: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Float8(PI))
}

fn greatest_divisor(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.abs()
}

fn fit(value: i128, like: &Value) -> Result<Value> {
    match like {
        Value::Int4(_) => i32::try_from(value)
            .map(Value::Int4)
            .map_err(|_| out_of_range("integer")),
        _ => i64::try_from(value)
            .map(Value::Int8)
            .map_err(|_| out_of_range("bigint")),
    }
}

pub fn gcd(args: &[Value], _: Context) -> Result<Value> {
    if let (Value::Numeric(a), Value::Numeric(b)) = (value(args, 0)?, value(args, 1)?) {
        return numeric_gcd(a, b).map(Value::Numeric);
    }
    let (a, b) = (i128::from(integer(args, 0)?), i128::from(integer(args, 1)?));
    fit(greatest_divisor(a, b), &args[0])
}

pub fn lcm(args: &[Value], _: Context) -> Result<Value> {
    if let (Value::Numeric(a), Value::Numeric(b)) = (value(args, 0)?, value(args, 1)?) {
        let divisor = numeric_gcd(a, b)?;
        if a.is_zero() || b.is_zero() {
            let scale = a.scale().max(b.scale()).unwrap_or(0);
            return Ok(Value::Numeric(Numeric::from_mantissa(0, scale)));
        }
        if !a.is_finite() || !b.is_finite() {
            return Ok(Value::Numeric(Numeric::NAN));
        }
        let product = a.div_trunc(&divisor)?.mul(b)?.abs();
        return Ok(Value::Numeric(product));
    }
    let (a, b) = (i128::from(integer(args, 0)?), i128::from(integer(args, 1)?));
    if a == 0 || b == 0 {
        return fit(0, &args[0]);
    }
    fit((a / greatest_divisor(a, b) * b).abs(), &args[0])
}

fn numeric_gcd(a: &Numeric, b: &Numeric) -> Result<Numeric> {
    if !a.is_finite() || !b.is_finite() {
        return Ok(Numeric::NAN);
    }
    let (mut a, mut b) = (a.abs(), b.abs());
    let scale = a.scale().max(b.scale()).unwrap_or(0);
    while !b.is_zero() {
        (a, b) = (b.clone(), a.rem(&b)?);
    }
    Ok(a.round(i32::from(scale)))
}

pub fn factorial(args: &[Value], _: Context) -> Result<Value> {
    let n = integer(args, 0)?;
    if n < 0 {
        bail!(
            NumericOutOfRange,
            "factorial of a negative number is undefined"
        );
    }
    if n > 32177 {
        bail!(NumericOutOfRange, "value overflows numeric format");
    }
    let mut product = Numeric::ONE;
    for i in 2..=n {
        product = product.mul(&Numeric::from_i64(i))?;
    }
    Ok(Value::Numeric(product))
}

fn optional_scale(scale: Option<u16>) -> Value {
    scale.map_or(Value::Null, |s| Value::Int4(i32::from(s)))
}

pub fn numeric_scale(args: &[Value], _: Context) -> Result<Value> {
    Ok(optional_scale(numeric(args, 0)?.scale()))
}

pub fn min_scale(args: &[Value], _: Context) -> Result<Value> {
    Ok(optional_scale(numeric(args, 0)?.min_scale()))
}

pub fn trim_scale(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Numeric(numeric(args, 0)?.trim_scale()))
}

/// The number of the bucket of equal width that a value lies in.
pub fn width_bucket(args: &[Value], _: Context) -> Result<Value> {
    let fault = |message: &'static str| {
        Err(Error::new(ErrorKind::InvalidParameterValue, message).with_sqlstate(*b"2201G"))
    };
    if let (Value::Array(thresholds), 2) = (value(args, 1)?, args.len()) {
        let operand = &args[0];
        let below = thresholds
            .values
            .iter()
            .take_while(|t| *t <= operand)
            .count();
        return Ok(Value::Int4(below as i32));
    }
    let count = int4(args, 3)?;
    if count <= 0 {
        return fault("count must be greater than zero");
    }
    if let Value::Float8(operand) = value(args, 0)? {
        let (low, high) = (float8(args, 1)?, float8(args, 2)?);
        if operand.is_nan() || low.is_nan() || high.is_nan() {
            return fault("operand, lower bound, and upper bound cannot be NaN");
        }
        if low.is_infinite() || high.is_infinite() {
            return fault("lower and upper bounds must be finite");
        }
        if low == high {
            return fault("lower bound cannot equal upper bound");
        }
        let position = (operand - low) / (high - low);
        return bucket(
            position < 0.0,
            position >= 1.0,
            (position * f64::from(count)) as i64,
            count,
        );
    }
    let (operand, low, high) = (numeric(args, 0)?, numeric(args, 1)?, numeric(args, 2)?);
    if operand.is_nan() || low.is_nan() || high.is_nan() {
        return fault("operand, lower bound, and upper bound cannot be NaN");
    }
    if low.is_infinite() || high.is_infinite() {
        return fault("lower and upper bounds must be finite");
    }
    if low == high {
        return fault("lower bound cannot equal upper bound");
    }
    let ascending = low < high;
    let (below, above) = if ascending {
        (operand < low, operand >= high)
    } else {
        (operand > low, operand <= high)
    };
    if below || above {
        return bucket(below, above, 0, count);
    }
    let scaled = operand
        .sub(low)?
        .mul(&Numeric::from_i64(i64::from(count)))?;
    let index = scaled.div_trunc(&high.sub(low)?)?.to_i64().unwrap_or(0);
    bucket(false, false, index, count)
}

fn bucket(below: bool, above: bool, index: i64, count: i32) -> Result<Value> {
    let bucket = if below {
        0
    } else if above {
        i64::from(count) + 1
    } else {
        index + 1
    };
    i32::try_from(bucket)
        .map(Value::Int4)
        .map_err(|_| out_of_range("integer"))
}

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// xorshift64*: random enough for `random()`, and repeatable after `setseed`.
fn next_random() -> u64 {
    SEED.with(|seed| {
        let mut state = seed.get();
        if state == 0 {
            let id = uuid_entropy();
            state = id | 1;
        }
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        seed.set(state);
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    })
}

/// A seed that differs from thread to thread and run to run.
fn uuid_entropy() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

pub fn random(_: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Float8(
        (next_random() >> 11) as f64 / (1u64 << 53) as f64,
    ))
}

pub fn setseed(args: &[Value], _: Context) -> Result<Value> {
    let seed = float8(args, 0)?;
    if !(-1.0..=1.0).contains(&seed) {
        bail!(
            InvalidParameterValue,
            "setseed parameter {} is out of allowed range [-1,1]",
            helios_types::text::float8_text(seed)
        );
    }
    SEED.with(|state| state.set(seed.to_bits() | 1));
    Ok(Value::text(""))
}

/// `bool` as a check that the planner kept: used by `pg_catalog.booland_statefunc` and its like.
pub fn bool_and(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Bool(boolean(args, 0)? && boolean(args, 1)?))
}

pub fn bool_or(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Bool(boolean(args, 0)? || boolean(args, 1)?))
}

/// `to_hex`
pub fn to_hex(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::from(match value(args, 0)? {
        Value::Int4(v) => format!("{:x}", *v as u32),
        other => format!("{:x}", other.as_i64().unwrap_or(0) as u64),
    }))
}
