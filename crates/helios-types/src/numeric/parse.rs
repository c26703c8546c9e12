//! The text form: parsing and printing.

use super::{INTEGER_DIGITS_MAX, Numeric, Repr, SCALE_MAX, is_negative, overflow};
use crate::{Error, Result, error};
use num_bigint::{BigInt, Sign};
use std::fmt;

fn syntax_error(text: &str) -> Error {
    error!(
        InvalidTextRepresentation,
        "invalid input syntax for type numeric: \"{text}\""
    )
}

impl Numeric {
    /// Reads PostgreSQL's input form: surrounding white space, a sign, digits with a point, an
    /// exponent, `NaN`, `Infinity` and `inf`.
    pub fn parse(text: &str) -> Result<Self> {
        let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
        let (negative, rest) = match trimmed.as_bytes().first() {
            Some(b'-') => (true, &trimmed[1..]),
            Some(b'+') => (false, &trimmed[1..]),
            _ => (false, trimmed),
        };
        match rest.as_bytes().first() {
            Some(b'0'..=b'9' | b'.') => {
                parse_digits(rest.as_bytes(), negative).unwrap_or_else(|| Err(syntax_error(text)))
            }
            _ if rest.len() == trimmed.len() && rest.eq_ignore_ascii_case("nan") => {
                Ok(Numeric::NAN)
            }
            _ if rest.eq_ignore_ascii_case("infinity") || rest.eq_ignore_ascii_case("inf") => {
                Ok(if negative {
                    Numeric::NEG_INFINITY
                } else {
                    Numeric::INFINITY
                })
            }
            _ => Err(syntax_error(text)),
        }
    }
}

/// `None` for a syntax error.
fn parse_digits(bytes: &[u8], negative: bool) -> Option<Result<Numeric>> {
    let exponent_at = bytes
        .iter()
        .position(|b| matches!(b, b'e' | b'E'))
        .unwrap_or(bytes.len());
    let (number, exponent) = bytes.split_at(exponent_at);
    let point = number
        .iter()
        .position(|b| *b == b'.')
        .unwrap_or(number.len());
    let (integer, fraction) = number.split_at(point);
    let fraction = fraction.strip_prefix(b".").unwrap_or(fraction);
    if integer.is_empty() && fraction.is_empty()
        || !integer.iter().chain(fraction).all(u8::is_ascii_digit)
    {
        return None;
    }
    let exponent = match exponent.split_first() {
        None => 0,
        Some((_, digits)) => match parse_exponent(digits)? {
            Some(exponent) => exponent,
            None => return Some(Err(overflow())),
        },
    };
    let zeros = integer.iter().take_while(|b| **b == b'0').count();
    Some(assemble(&integer[zeros..], fraction, exponent, negative))
}

/// The outer option is the syntax, the inner one the range.
fn parse_exponent(digits: &[u8]) -> Option<Option<i64>> {
    let (negative, digits) = match digits.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().try_fold(0i64, |n, b| {
        let n = n * 10 + i64::from(b - b'0');
        (n < i64::from(i32::MAX / 2)).then_some(n)
    });
    Some(magnitude.map(|n| if negative { -n } else { n }))
}

fn assemble(integer: &[u8], fraction: &[u8], exponent: i64, negative: bool) -> Result<Numeric> {
    let scale = fraction.len() as i64 - exponent;
    let zero = integer.is_empty() && fraction.iter().all(|b| *b == b'0');
    if scale > i64::from(SCALE_MAX) {
        return Err(overflow());
    }
    if zero {
        return Ok(Numeric(Repr::Small {
            mantissa: 0,
            scale: scale.max(0) as u16,
        }));
    }
    if integer.len() as i64 + exponent > INTEGER_DIGITS_MAX as i64 {
        return Err(overflow());
    }
    let digits = integer.len() + fraction.len();
    if digits <= 18 && scale >= 0 {
        let magnitude = integer
            .iter()
            .chain(fraction)
            .fold(0i64, |n, b| n * 10 + i64::from(b - b'0'));
        let mantissa = if negative { -magnitude } else { magnitude };
        return Ok(Numeric(Repr::Small {
            mantissa,
            scale: scale as u16,
        }));
    }
    let text: Vec<u8> = integer.iter().chain(fraction).map(|b| b - b'0').collect();
    let sign = if negative { Sign::Minus } else { Sign::Plus };
    let mantissa = BigInt::from_radix_be(sign, &text, 10).unwrap_or_default();
    Numeric::from_big(mantissa, scale)
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::NaN => f.write_str("NaN"),
            Repr::Infinity => f.write_str("Infinity"),
            Repr::NegInfinity => f.write_str("-Infinity"),
            Repr::Small { mantissa, scale } => {
                let mut buffer = itoa::Buffer::new();
                let digits = buffer.format(mantissa.unsigned_abs());
                write_digits(f, *mantissa < 0, digits, usize::from(*scale))
            }
            Repr::Big(big) => {
                let digits = big.mantissa.magnitude().to_str_radix(10);
                write_digits(
                    f,
                    is_negative(&big.mantissa),
                    &digits,
                    usize::from(big.scale),
                )
            }
        }
    }
}

fn write_digits(
    f: &mut fmt::Formatter<'_>,
    negative: bool,
    digits: &str,
    scale: usize,
) -> fmt::Result {
    if negative {
        f.write_str("-")?;
    }
    if scale == 0 {
        return f.write_str(digits);
    }
    if digits.len() > scale {
        let (integer, fraction) = digits.split_at(digits.len() - scale);
        f.write_str(integer)?;
        f.write_str(".")?;
        return f.write_str(fraction);
    }
    f.write_str("0.")?;
    for _ in digits.len()..scale {
        f.write_str("0")?;
    }
    f.write_str(digits)
}

impl fmt::Debug for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Numeric {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        Numeric::parse(s)
    }
}
