//! Exact decimal numbers in keys, one form for every source: numeric, integers, binary and
//! decimal floating point, and numbers in documents.
//!
//! A payload is a class byte (below) and, for numbers other than zero, the exponent and the
//! significant digits in pairs. Each pair is one byte, doubled, odd when another pair follows and
//! even in the last one, so that the digits end by themselves. Trailing zeros are not written, so
//! equal numbers are equal bytes. Everything after the class of a negative number is inverted.

use super::reader::Reader;
use helios_types::{Numeric, Result, bail};
use num_bigint::{BigUint, Sign};
use smallvec::SmallVec;

const NEGATIVE_INFINITY: u8 = 1;
const NEGATIVE: u8 = 2;
const ZERO: u8 = 3;
const POSITIVE: u8 = 4;
const INFINITY: u8 = 5;
const NAN: u8 = 6;

/// Exponents are stored in three bytes; PostgreSQL's numeric needs eighteen bits.
const EXPONENT_MAX: i32 = 1 << 22;
/// More digits than any PostgreSQL numeric has.
const DIGITS_MAX: usize = 200_000;

/// A decimal number. Finite ones are `0.DIGITS × 10^point`; zero has no digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decimal {
    NegativeInfinity,
    Finite {
        negative: bool,
        digits: SmallVec<[u8; 40]>,
        point: i32,
    },
    Infinity,
    Nan,
}

impl Decimal {
    /// `digits` are 0 to 9; the value is `0.digits × 10^point`.
    pub(crate) fn finite(negative: bool, digits: &[u8], mut point: i32) -> Decimal {
        let lead = digits.iter().position(|&d| d != 0).unwrap_or(digits.len());
        let end = digits
            .iter()
            .rposition(|&d| d != 0)
            .map_or(lead, |last| last + 1);
        let digits = SmallVec::from_slice(&digits[lead..end]);
        if digits.is_empty() {
            return Decimal::Finite {
                negative: false,
                digits,
                point: 0,
            };
        }
        point = point.saturating_sub(i32::try_from(lead).unwrap_or(i32::MAX));
        Decimal::Finite {
            negative,
            digits,
            point,
        }
    }

    pub(crate) fn from_i64(v: i64) -> Decimal {
        let mut buffer = [0u8; 20];
        let mut at = buffer.len();
        let mut rest = v.unsigned_abs();
        while rest > 0 {
            at -= 1;
            buffer[at] = (rest % 10) as u8;
            rest /= 10;
        }
        let digits = &buffer[at..];
        Decimal::finite(v < 0, digits, digits.len() as i32)
    }

    /// The exact value of a binary number, which may need hundreds of digits.
    pub(crate) fn from_f64_exact(v: f64) -> Decimal {
        if v.is_nan() {
            return Decimal::Nan;
        }
        if v.is_infinite() {
            return if v > 0.0 {
                Decimal::Infinity
            } else {
                Decimal::NegativeInfinity
            };
        }
        let bits = v.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as i32;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, exponent) = if exponent == 0 {
            (fraction, -1074)
        } else {
            (fraction | 1 << 52, exponent - 1075)
        };
        let (integer, shift) = if exponent >= 0 {
            (BigUint::from(mantissa) << exponent as usize, 0)
        } else {
            // m / 2^k = m × 5^k / 10^k
            (
                BigUint::from(mantissa) * BigUint::from(5u8).pow(exponent.unsigned_abs()),
                -exponent,
            )
        };
        let digits = integer.to_radix_be(10);
        Decimal::finite(v < 0.0, &digits, digits.len() as i32 - shift)
    }

    /// An IEEE 754 decimal128 in BSON's binary integer form, little endian.
    pub(crate) fn from_decimal128(bytes: &[u8; 16]) -> Decimal {
        let bits = u128::from_le_bytes(*bytes);
        let negative = bits >> 127 == 1;
        let combination = (bits >> 122 & 0x1f) as u8;
        match combination {
            0x1f => return Decimal::Nan,
            0x1e if negative => return Decimal::NegativeInfinity,
            0x1e => return Decimal::Infinity,
            _ => {}
        }
        // With the two high bits of the combination set the coefficient would pass 10^34, which
        // the format defines as zero.
        if combination >> 3 == 3 {
            return Decimal::finite(false, &[], 0);
        }
        let exponent = (bits >> 113 & 0x3fff) as i32 - 6176;
        let coefficient = bits & ((1 << 113) - 1);
        if coefficient > 9_999_999_999_999_999_999_999_999_999_999_999 {
            return Decimal::finite(false, &[], 0);
        }
        let mut digits = SmallVec::<[u8; 40]>::new();
        let mut rest = coefficient;
        while rest > 0 {
            digits.push((rest % 10) as u8);
            rest /= 10;
        }
        digits.reverse();
        Decimal::finite(negative, &digits, digits.len() as i32 + exponent)
    }

    /// `[-]digits[.digits][e[±]digits]`, `NaN`, `[-]Infinity`.
    pub(crate) fn parse(text: &[u8]) -> Option<Decimal> {
        let (negative, text) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, text),
        };
        match text {
            b"NaN" => return Some(Decimal::Nan),
            b"Infinity" if negative => return Some(Decimal::NegativeInfinity),
            b"Infinity" => return Some(Decimal::Infinity),
            _ => {}
        }
        if text.len() > DIGITS_MAX {
            return None;
        }
        let (mantissa, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
            Some(at) => {
                let exponent = std::str::from_utf8(&text[at + 1..])
                    .ok()?
                    .parse::<i32>()
                    .ok()?;
                (&text[..at], exponent)
            }
            None => (text, 0),
        };
        let mut digits = SmallVec::<[u8; 64]>::new();
        let mut point = None;
        for &byte in mantissa {
            match byte {
                b'0'..=b'9' => digits.push(byte - b'0'),
                b'.' if point.is_none() => point = Some(digits.len()),
                _ => return None,
            }
        }
        if digits.is_empty() {
            return None;
        }
        let point = i32::try_from(point.unwrap_or(digits.len()))
            .ok()?
            .checked_add(exponent)?;
        Some(Decimal::finite(negative, &digits, point))
    }

    pub(crate) fn to_text(&self) -> String {
        match self {
            Decimal::NegativeInfinity => "-Infinity".into(),
            Decimal::Infinity => "Infinity".into(),
            Decimal::Nan => "NaN".into(),
            Decimal::Finite { digits, .. } if digits.is_empty() => "0".into(),
            Decimal::Finite {
                negative,
                digits,
                point,
            } => finite_text(*negative, digits, *point),
        }
    }

    pub(crate) fn from_numeric(v: &Numeric) -> Decimal {
        if let Some((mantissa, scale)) = v.as_small() {
            return Decimal::from_i64(mantissa).scaled(scale);
        }
        match v.to_parts() {
            Some((mantissa, scale)) => {
                let (sign, digits) = mantissa.to_radix_be(10);
                let point = i32::try_from(digits.len()).unwrap_or(i32::MAX);
                Decimal::finite(sign == Sign::Minus, &digits, point).scaled(scale)
            }
            None if v.is_nan() => Decimal::Nan,
            None if v.is_negative() => Decimal::NegativeInfinity,
            None => Decimal::Infinity,
        }
    }

    /// Divided by `10^scale`.
    fn scaled(mut self, scale: u16) -> Decimal {
        if let Decimal::Finite { digits, point, .. } = &mut self
            && !digits.is_empty()
        {
            *point = point.saturating_sub(i32::from(scale));
        }
        self
    }

    pub(crate) fn to_numeric(&self) -> Result<Numeric> {
        self.to_text().parse::<Numeric>()
    }

    /// The value as a 64-bit integer when it is one.
    pub(crate) fn to_i64(&self) -> Option<i64> {
        let Decimal::Finite {
            negative,
            digits,
            point,
        } = self
        else {
            return None;
        };
        let places = usize::try_from(*point).ok()?;
        if digits.len() > places || places > 19 {
            return None;
        }
        let mut value: i128 = 0;
        for at in 0..places {
            value = value * 10 + i128::from(digits.get(at).copied().unwrap_or(0));
        }
        i64::try_from(if *negative { -value } else { value }).ok()
    }
}

fn finite_text(negative: bool, digits: &[u8], point: i32) -> String {
    let mut out = String::with_capacity(digits.len() + 8);
    if negative {
        out.push('-');
    }
    let digit = |at: i64| {
        let d = usize::try_from(at)
            .ok()
            .and_then(|at| digits.get(at))
            .copied()
            .unwrap_or(0);
        char::from(b'0' + d)
    };
    if point <= 0 {
        out.push('0');
    }
    for at in 0..i64::from(point) {
        out.push(digit(at));
    }
    let fraction = digits.len() as i64 - i64::from(point);
    if fraction > 0 {
        out.push('.');
        for at in 0..fraction {
            out.push(digit(i64::from(point) + at));
        }
    }
    out
}

pub(crate) fn encode_decimal(out: &mut Vec<u8>, v: &Decimal) -> Result<()> {
    match v {
        Decimal::NegativeInfinity => out.push(NEGATIVE_INFINITY),
        Decimal::Infinity => out.push(INFINITY),
        Decimal::Nan => out.push(NAN),
        Decimal::Finite { digits, .. } if digits.is_empty() => out.push(ZERO),
        Decimal::Finite {
            negative,
            digits,
            point,
        } => {
            out.push(if *negative { NEGATIVE } else { POSITIVE });
            let start = out.len();
            encode_magnitude(out, digits, *point)?;
            if *negative {
                super::invert(&mut out[start..]);
            }
        }
    }
    Ok(())
}

fn encode_magnitude(out: &mut Vec<u8>, digits: &[u8], point: i32) -> Result<()> {
    if point.abs() >= EXPONENT_MAX {
        bail!(
            NumericOutOfRange,
            "number is out of the range that a key can hold"
        );
    }
    // The exponent counts pairs; with an odd number of digits before the point the first pair
    // begins with a zero.
    let odd = point.rem_euclid(2) == 1;
    let exponent = (point + i32::from(odd)) / 2 + EXPONENT_MAX;
    out.extend_from_slice(&(exponent as u32).to_be_bytes()[1..]);
    let mut rest = digits;
    if odd && let Some((&first, after)) = rest.split_first() {
        rest = after;
        out.push(first << 1 | u8::from(!rest.is_empty()));
    }
    while let Some((&high, after)) = rest.split_first() {
        let (low, after) = after
            .split_first()
            .map_or((0, after), |(&low, after)| (low, after));
        rest = after;
        out.push((high * 10 + low) << 1 | u8::from(!rest.is_empty()));
    }
    Ok(())
}

pub(crate) fn decode_decimal(reader: &mut Reader<'_>) -> Result<Decimal> {
    let negative = match reader.byte()? {
        NEGATIVE_INFINITY => return Ok(Decimal::NegativeInfinity),
        INFINITY => return Ok(Decimal::Infinity),
        NAN => return Ok(Decimal::Nan),
        ZERO => return Ok(Decimal::finite(false, &[], 0)),
        NEGATIVE => true,
        POSITIVE => false,
        class => bail!(DataCorrupted, "number in a key begins with {class:#04x}"),
    };
    if negative {
        reader.toggle();
    }
    let [a, b, c] = reader.array::<3>()?;
    let exponent = u32::from_be_bytes([0, a, b, c]) as i32 - EXPONENT_MAX;
    let mut digits = SmallVec::<[u8; 64]>::new();
    loop {
        let byte = reader.byte()?;
        let pair = byte >> 1;
        if pair > 99 || digits.len() > DIGITS_MAX {
            bail!(
                DataCorrupted,
                "number in a key has a digit pair out of range"
            );
        }
        digits.extend([pair / 10, pair % 10]);
        if byte & 1 == 0 {
            break;
        }
    }
    if negative {
        reader.toggle();
    }
    Ok(Decimal::finite(negative, &digits, exponent * 2))
}
