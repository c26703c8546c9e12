//! Booleans, integers and floats.

use super::syntax_error;
use crate::{Error, Result, error};
use std::fmt::{self, Write};

fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b')
}

/// `true`, `yes`, `on`, `1` and their opposites; words may be cut short while they are unique.
pub fn parse_bool(text: &str) -> Result<bool> {
    let word = trim(text).to_ascii_lowercase();
    let is_start_of =
        |full: &str, shortest: usize| word.len() >= shortest && full.starts_with(&word);
    if is_start_of("true", 1) || is_start_of("yes", 1) || word == "on" || word == "1" {
        Ok(true)
    } else if is_start_of("false", 1)
        || is_start_of("no", 1)
        || is_start_of("off", 2)
        || word == "0"
    {
        Ok(false)
    } else {
        Err(syntax_error("boolean", text))
    }
}

fn integer(text: &str, type_name: &str, min: i64, max: i64) -> Result<i64> {
    let trimmed = trim(text);
    let (negative, digits) = match trimmed.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(syntax_error(type_name, text));
    }
    // Accumulated as a negative number, whose range is the larger one.
    let magnitude = digits.iter().try_fold(0i64, |n, b| {
        n.checked_mul(10)?.checked_sub(i64::from(b - b'0'))
    });
    magnitude
        .and_then(|n| if negative { Some(n) } else { n.checked_neg() })
        .filter(|n| (min..=max).contains(n))
        .ok_or_else(|| {
            error!(
                NumericOutOfRange,
                "value \"{text}\" is out of range for type {type_name}"
            )
        })
}

pub fn parse_int2(text: &str) -> Result<i16> {
    Ok(integer(text, "smallint", i64::from(i16::MIN), i64::from(i16::MAX))? as i16)
}

pub fn parse_int4(text: &str) -> Result<i32> {
    Ok(integer(text, "integer", i64::from(i32::MIN), i64::from(i32::MAX))? as i32)
}

pub fn parse_int8(text: &str) -> Result<i64> {
    integer(text, "bigint", i64::MIN, i64::MAX)
}

/// Negative numbers of 32 bits are taken as unsigned, as PostgreSQL does.
pub fn parse_oid(text: &str) -> Result<u32> {
    let value = integer(text, "oid", i64::from(i32::MIN), i64::from(u32::MAX))?;
    Ok(value as u32)
}

enum FloatFault {
    Syntax,
    Range,
}

/// The digits of a float, checked for PostgreSQL's syntax before Rust's parser sees them.
fn float<T: std::str::FromStr>(
    text: &str,
    is_zero: impl Fn(&T) -> bool,
    is_infinite: impl Fn(&T) -> bool,
) -> Result<T, FloatFault> {
    let trimmed = trim(text);
    let unsigned = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let word = unsigned.to_ascii_lowercase();
    if matches!(word.as_str(), "nan" | "inf" | "infinity") {
        return trimmed.parse().map_err(|_| FloatFault::Syntax);
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(FloatFault::Syntax);
    }
    let value: T = trimmed.parse().map_err(|_| FloatFault::Syntax)?;
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or("");
    let underflow = is_zero(&value) && mantissa.bytes().any(|b| matches!(b, b'1'..=b'9'));
    if is_infinite(&value) || underflow {
        return Err(FloatFault::Range);
    }
    Ok(value)
}

fn float_error(fault: FloatFault, type_name: &str, text: &str) -> Error {
    match fault {
        FloatFault::Syntax => syntax_error(type_name, text),
        FloatFault::Range => {
            let text = trim(text);
            error!(
                NumericOutOfRange,
                "\"{text}\" is out of range for type {type_name}"
            )
        }
    }
}

pub fn parse_float8(text: &str) -> Result<f64> {
    float(text, |v: &f64| *v == 0.0, |v| v.is_infinite())
        .map_err(|fault| float_error(fault, "double precision", text))
}

pub fn parse_float4(text: &str) -> Result<f32> {
    float(text, |v: &f32| *v == 0.0, |v| v.is_infinite())
        .map_err(|fault| float_error(fault, "real", text))
}

pub fn float8_text(value: f64) -> String {
    let mut out = String::new();
    let _ = write_float8(&mut out, value, 1);
    out
}

pub fn float4_text(value: f32) -> String {
    let mut out = String::new();
    let _ = write_float4(&mut out, value, 1);
    out
}

/// The shortest text that reads back as the same value, in PostgreSQL's form (`1e+20`).
pub fn write_float8(out: &mut impl Write, value: f64, extra_digits: i8) -> fmt::Result {
    if let Some(word) = special(value) {
        return out.write_str(word);
    }
    if extra_digits <= 0 {
        return write_precision(out, value, 15 + i32::from(extra_digits));
    }
    if value.trunc() == value && value.abs() < 1e15 {
        // Integral values are common and need no digit search.
        if value == 0.0 && value.is_sign_negative() {
            return out.write_str("-0");
        }
        return out.write_str(itoa::Buffer::new().format(value as i64));
    }
    write_shortest(out, ryu::Buffer::new().format_finite(value), 15)
}

pub fn write_float4(out: &mut impl Write, value: f32, extra_digits: i8) -> fmt::Result {
    if let Some(word) = special(f64::from(value)) {
        return out.write_str(word);
    }
    if extra_digits <= 0 {
        return write_precision(out, f64::from(value), 6 + i32::from(extra_digits));
    }
    write_shortest(out, ryu::Buffer::new().format_finite(value), 6)
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        None
    }
}

/// C's `%.*g`.
fn write_precision(out: &mut impl Write, value: f64, digits: i32) -> fmt::Result {
    let digits = digits.max(1);
    let text = format!("{value:.*e}", (digits - 1) as usize);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let digits_text: String = mantissa.chars().filter(|c| *c != '.').collect();
    let kept = digits_text.trim_end_matches('0');
    let kept = if kept.is_empty() { "0" } else { kept };
    write_decimal(out, negative, kept, exponent.parse().unwrap_or(0), digits)
}

/// Turns ryu's form (`1e20`, `1.5e-7`, `123.0`) into PostgreSQL's.
fn write_shortest(out: &mut impl Write, text: &str, exponent_limit: i32) -> fmt::Result {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = String::with_capacity(24);
    digits.push_str(integer);
    digits.push_str(fraction);
    let leading_zeros = digits.len() - digits.trim_start_matches('0').len();
    let kept = digits.trim_start_matches('0').trim_end_matches('0');
    if kept.is_empty() {
        return out.write_str(if negative { "-0" } else { "0" });
    }
    let leading = exponent + integer.len() as i32 - 1 - leading_zeros as i32;
    write_decimal(out, negative, kept, leading, exponent_limit)
}

/// `digits` with the point after the first, times `10^exponent`.
fn write_decimal(
    out: &mut impl Write,
    negative: bool,
    digits: &str,
    exponent: i32,
    exponent_limit: i32,
) -> fmt::Result {
    if negative {
        out.write_char('-')?;
    }
    if exponent < -4 || exponent >= exponent_limit {
        let (first, rest) = digits.split_at(1);
        out.write_str(first)?;
        if !rest.is_empty() {
            write!(out, ".{rest}")?;
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        return write!(out, "e{sign}{:02}", exponent.abs());
    }
    if exponent < 0 {
        out.write_str("0.")?;
        for _ in 1..-exponent {
            out.write_char('0')?;
        }
        return out.write_str(digits);
    }
    let point = exponent as usize + 1;
    if digits.len() <= point {
        out.write_str(digits)?;
        for _ in digits.len()..point {
            out.write_char('0')?;
        }
        return Ok(());
    }
    let (integer, fraction) = digits.split_at(point);
    write!(out, "{integer}.{fraction}")
}
