//! PostgreSQL's numeric: an exact decimal with a display scale, NaN and the infinities.
//!
//! A finite value is `mantissa / 10^scale`; the scale is the number of digits printed after the
//! point, so `1.10` and `1.1` are equal and print differently. Most values fit a 64-bit mantissa
//! and are held inline (16 bytes, no allocation); the others share a big integer behind an `Arc`.
//! The small form is used whenever it fits, so one value has one representation for each scale.
//!
//! Bounds are PostgreSQL's: at most 131,072 digits before the point and 16,383 after it.
//!
//! Three encodings leave this module: text ([`std::fmt::Display`] and [`Numeric::parse`]), base
//! 10,000 digits ([`Digits`], the PostgreSQL wire's binary form and the basis of ordered keys),
//! and a compact row form ([`Numeric::to_bytes`]):
//!
//! ```text
//! u16 LE: scale in bits 0..13, kind in bits 14..15 (0 finite, 1 NaN, 2 Infinity, 3 -Infinity)
//! then, when finite, the mantissa as the shortest little-endian two's complement (zero: no byte)
//! ```

mod arithmetic;
mod digits;
mod parse;
mod transcendental;

pub use digits::Digits;

use crate::{Result, error};
use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{Signed, ToPrimitive, Zero};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Most digits after the point that a value can show.
pub const SCALE_MAX: u32 = 16_383;
/// Most digits before the point.
pub const INTEGER_DIGITS_MAX: u64 = 131_072;

/// An exact decimal number, NaN, or an infinity.
#[derive(Clone)]
pub struct Numeric(Repr);

#[derive(Clone)]
enum Repr {
    Small { mantissa: i64, scale: u16 },
    Big(Arc<Big>),
    NaN,
    Infinity,
    NegInfinity,
}

/// A mantissa that does not fit 64 bits.
struct Big {
    mantissa: BigInt,
    scale: u16,
}

const POW10: [i64; 19] = {
    let mut table = [1i64; 19];
    let mut i = 1;
    while i < 19 {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

fn pow10(exponent: u64) -> BigInt {
    match POW10.get(exponent as usize) {
        Some(p) => BigInt::from(*p),
        None => BigInt::from(10u8).pow(exponent as u32),
    }
}

/// Number of decimal digits; zero has none.
fn decimal_digits(value: &BigUint) -> u64 {
    if value.is_zero() {
        return 0;
    }
    if let Some(small) = value.to_u64() {
        return u64::from(small.ilog10()) + 1;
    }
    let mut digits = ((value.bits() - 1) as f64 * std::f64::consts::LOG10_2) as u64;
    let mut power = pow10(digits).magnitude().clone();
    while &power <= value {
        power *= 10u8;
        digits += 1;
    }
    digits
}

fn overflow() -> crate::Error {
    error!(NumericOutOfRange, "value overflows numeric format")
}

impl Default for Numeric {
    fn default() -> Self {
        Numeric::ZERO
    }
}

impl Numeric {
    pub const ZERO: Numeric = Numeric(Repr::Small {
        mantissa: 0,
        scale: 0,
    });
    pub const ONE: Numeric = Numeric(Repr::Small {
        mantissa: 1,
        scale: 0,
    });
    pub const NAN: Numeric = Numeric(Repr::NaN);
    pub const INFINITY: Numeric = Numeric(Repr::Infinity);
    pub const NEG_INFINITY: Numeric = Numeric(Repr::NegInfinity);

    pub const fn from_i64(value: i64) -> Self {
        Numeric(Repr::Small {
            mantissa: value,
            scale: 0,
        })
    }

    pub fn from_u64(value: u64) -> Self {
        Self::from_i128(i128::from(value))
    }

    pub fn from_i128(value: i128) -> Self {
        Self::from_mantissa(value, 0)
    }

    /// `mantissa / 10^scale`; the scale is at most [`SCALE_MAX`].
    pub fn from_mantissa(mantissa: i128, scale: u16) -> Self {
        let scale = scale.min(SCALE_MAX as u16);
        match i64::try_from(mantissa) {
            Ok(mantissa) => Numeric(Repr::Small { mantissa, scale }),
            Err(_) => Numeric(Repr::Big(Arc::new(Big {
                mantissa: mantissa.into(),
                scale,
            }))),
        }
    }

    /// `mantissa / 10^scale`, checked against PostgreSQL's bounds. A negative scale multiplies.
    pub fn from_big(mantissa: BigInt, scale: i64) -> Result<Self> {
        if scale < 0 {
            if mantissa.is_zero() {
                return Ok(Numeric::ZERO);
            }
            let shift = scale.unsigned_abs();
            if shift > INTEGER_DIGITS_MAX {
                return Err(overflow());
            }
            return Self::from_big(mantissa * pow10(shift), 0);
        }
        if scale > i64::from(SCALE_MAX) {
            return Err(overflow());
        }
        let scale = scale as u16;
        if let Some(mantissa) = mantissa.to_i64() {
            return Ok(Numeric(Repr::Small { mantissa, scale }));
        }
        // Cheap bound first: 3.3219 bits make a digit.
        let digits_max = INTEGER_DIGITS_MAX + u64::from(scale);
        if mantissa.bits() > digits_max * 3 && decimal_digits(mantissa.magnitude()) > digits_max {
            return Err(overflow());
        }
        Ok(Numeric(Repr::Big(Arc::new(Big { mantissa, scale }))))
    }

    /// PostgreSQL's cast from double precision: 15 significant digits.
    pub fn from_f64(value: f64) -> Self {
        Self::from_float(value, 14)
    }

    /// PostgreSQL's cast from real: 6 significant digits.
    pub fn from_f32(value: f32) -> Self {
        Self::from_float(f64::from(value), 5)
    }

    fn from_float(value: f64, fraction_digits: usize) -> Self {
        if value.is_nan() {
            return Numeric::NAN;
        }
        if value.is_infinite() {
            return if value > 0.0 {
                Numeric::INFINITY
            } else {
                Numeric::NEG_INFINITY
            };
        }
        let text = format!("{value:.fraction_digits$e}");
        // The digits come from the formatter and a double's exponent is within the bounds.
        Numeric::parse(&text).map_or(Numeric::NAN, |n| n.trim_scale())
    }

    /// The nearest double that reads back as the shortest text of `value`; for JSON numbers and
    /// other places where a double must keep all the digits that it prints.
    pub fn from_f64_shortest(value: f64) -> Self {
        if !value.is_finite() {
            return Self::from_f64(value);
        }
        Numeric::parse(&format!("{value:e}")).unwrap_or(Numeric::NAN)
    }

    pub fn is_nan(&self) -> bool {
        matches!(self.0, Repr::NaN)
    }

    pub fn is_infinite(&self) -> bool {
        matches!(self.0, Repr::Infinity | Repr::NegInfinity)
    }

    pub fn is_finite(&self) -> bool {
        matches!(self.0, Repr::Small { .. } | Repr::Big(_))
    }

    pub fn is_zero(&self) -> bool {
        matches!(self.0, Repr::Small { mantissa: 0, .. })
    }

    /// Whether it is finite and has no fraction.
    pub fn is_integral(&self) -> bool {
        self.min_scale() == Some(0)
    }

    /// Digits after the point; `None` for NaN and the infinities.
    pub fn scale(&self) -> Option<u16> {
        match &self.0 {
            Repr::Small { scale, .. } => Some(*scale),
            Repr::Big(big) => Some(big.scale),
            _ => None,
        }
    }

    /// -1, 0 or 1; `None` for NaN.
    pub fn signum(&self) -> Option<i32> {
        match &self.0 {
            Repr::Small { mantissa, .. } => Some(mantissa.signum() as i32),
            Repr::Big(big) => Some(if big.mantissa.is_negative() { -1 } else { 1 }),
            Repr::NaN => None,
            Repr::Infinity => Some(1),
            Repr::NegInfinity => Some(-1),
        }
    }

    pub fn is_negative(&self) -> bool {
        self.signum() == Some(-1)
    }

    /// The mantissa and scale when they are held inline.
    pub fn as_small(&self) -> Option<(i64, u16)> {
        match self.0 {
            Repr::Small { mantissa, scale } => Some((mantissa, scale)),
            _ => None,
        }
    }

    /// The mantissa and scale of any finite value.
    pub fn to_parts(&self) -> Option<(BigInt, u16)> {
        match &self.0 {
            Repr::Small { mantissa, scale } => Some((BigInt::from(*mantissa), *scale)),
            Repr::Big(big) => Some((big.mantissa.clone(), big.scale)),
            _ => None,
        }
    }

    /// The mantissa at exactly this scale, rounded half away from zero; `None` when it does not
    /// fit or the value is not finite.
    pub fn to_i128_scaled(&self, scale: u16) -> Option<i128> {
        let rounded = self.round(i32::from(scale));
        let (mantissa, _) = rounded.to_parts()?;
        mantissa.to_i128()
    }

    /// The value without trailing zeros after the point.
    pub fn trim_scale(&self) -> Self {
        match self.min_scale() {
            Some(scale) => self.round(i32::from(scale)),
            None => self.clone(),
        }
    }

    /// The fewest digits after the point that represent the value exactly.
    pub fn min_scale(&self) -> Option<u16> {
        match &self.0 {
            Repr::Small { mantissa, scale } => {
                let (mut mantissa, mut scale) = (*mantissa, *scale);
                if mantissa == 0 {
                    return Some(0);
                }
                while scale > 0 && mantissa % 10 == 0 {
                    mantissa /= 10;
                    scale -= 1;
                }
                Some(scale)
            }
            Repr::Big(big) => {
                let (_, exponent) = strip_zeros(&big.mantissa, -i64::from(big.scale), 0);
                Some(exponent.unsigned_abs() as u16)
            }
            _ => None,
        }
    }

    /// Rounded half away from zero; `None` for NaN, the infinities and what does not fit.
    pub fn to_i64(&self) -> Option<i64> {
        match &self.0 {
            Repr::Small { mantissa, scale: 0 } => Some(*mantissa),
            Repr::Small { .. } | Repr::Big(_) => match self.round(0).0 {
                Repr::Small { mantissa, .. } => Some(mantissa),
                _ => None,
            },
            _ => None,
        }
    }

    pub fn to_i32(&self) -> Option<i32> {
        self.to_i64().and_then(|v| i32::try_from(v).ok())
    }

    pub fn to_i16(&self) -> Option<i16> {
        self.to_i64().and_then(|v| i16::try_from(v).ok())
    }

    /// The nearest double; an infinity when the value is beyond a double's range.
    pub fn to_f64(&self) -> f64 {
        match &self.0 {
            Repr::NaN => f64::NAN,
            Repr::Infinity => f64::INFINITY,
            Repr::NegInfinity => f64::NEG_INFINITY,
            // Both operands are exact doubles, so the one division rounds correctly.
            Repr::Small { mantissa, scale }
                if mantissa.unsigned_abs() < 1 << 53 && *scale <= 18 =>
            {
                *mantissa as f64 / POW10[*scale as usize] as f64
            }
            _ => self.to_string().parse().unwrap_or(f64::NAN),
        }
    }

    /// The row form described at the head of this module, appended to `out`.
    pub fn to_bytes(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Repr::Small { mantissa, scale } => {
                out.extend_from_slice(&scale.to_le_bytes());
                let bytes = mantissa.to_le_bytes();
                // Redundant sign bytes at the end are dropped.
                let sign = if *mantissa < 0 { 0xff } else { 0 };
                let mut len = 8;
                while len > 0 && bytes[len - 1] == sign {
                    let next = if len > 1 { bytes[len - 2] } else { 0 };
                    if (next ^ sign) & 0x80 != 0 {
                        break;
                    }
                    len -= 1;
                }
                out.extend_from_slice(&bytes[..len]);
            }
            Repr::Big(big) => {
                out.extend_from_slice(&big.scale.to_le_bytes());
                out.extend_from_slice(&big.mantissa.to_signed_bytes_le());
            }
            Repr::NaN => out.extend_from_slice(&(1u16 << 14).to_le_bytes()),
            Repr::Infinity => out.extend_from_slice(&(2u16 << 14).to_le_bytes()),
            Repr::NegInfinity => out.extend_from_slice(&(3u16 << 14).to_le_bytes()),
        }
    }

    /// Reads what [`Numeric::to_bytes`] wrote; `bytes` is the whole value.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let Some((header, mantissa)) = bytes.split_first_chunk::<2>() else {
            return Err(error!(
                DataCorrupted,
                "stored numeric is shorter than its header"
            ));
        };
        let header = u16::from_le_bytes(*header);
        let scale = header & 0x3fff;
        match header >> 14 {
            0 => {}
            _ if !mantissa.is_empty() => {
                return Err(error!(
                    DataCorrupted,
                    "stored numeric has bytes after its header"
                ));
            }
            1 => return Ok(Numeric::NAN),
            2 => return Ok(Numeric::INFINITY),
            _ => return Ok(Numeric::NEG_INFINITY),
        }
        if mantissa.len() > 8 {
            return Self::from_big(BigInt::from_signed_bytes_le(mantissa), i64::from(scale))
                .map_err(|_| error!(DataCorrupted, "stored numeric has too many digits"));
        }
        let sign = mantissa.last().is_some_and(|b| b & 0x80 != 0);
        let mut buffer = if sign { [0xff; 8] } else { [0; 8] };
        buffer[..mantissa.len()].copy_from_slice(mantissa);
        Ok(Numeric(Repr::Small {
            mantissa: i64::from_le_bytes(buffer),
            scale,
        }))
    }

    /// `mantissa * 10^exponent` without trailing zeros: equal for equal values.
    fn canonical(&self) -> Option<(BigInt, i64)> {
        let (mantissa, scale) = self.to_parts()?;
        Some(strip_zeros(&mantissa, -i64::from(scale), i64::MAX))
    }

    /// The exponent of the leading decimal digit; meaningless for zero.
    fn leading_exponent(&self) -> i64 {
        match &self.0 {
            Repr::Small { mantissa, scale } => {
                i64::from(mantissa.unsigned_abs().max(1).ilog10()) - i64::from(*scale)
            }
            Repr::Big(big) => {
                decimal_digits(big.mantissa.magnitude()) as i64 - 1 - i64::from(big.scale)
            }
            _ => 0,
        }
    }
}

/// Divides by ten while the remainder is zero and the exponent is below `exponent_max`.
fn strip_zeros(mantissa: &BigInt, mut exponent: i64, exponent_max: i64) -> (BigInt, i64) {
    if mantissa.is_zero() {
        return (BigInt::zero(), 0);
    }
    let mut rest = mantissa.clone();
    // Long runs of zeros (1e1000) go in steps of 16 digits.
    for step in [16u32, 1] {
        let divisor = BigInt::from(POW10[step as usize]);
        while exponent + i64::from(step) <= exponent_max {
            let quotient = &rest / &divisor;
            if &quotient * &divisor != rest {
                break;
            }
            rest = quotient;
            exponent += i64::from(step);
        }
    }
    (rest, exponent)
}

impl PartialEq for Numeric {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Numeric {}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Numeric {
    /// `-Infinity < finite < Infinity < NaN`, NaN equal to itself.
    fn cmp(&self, other: &Self) -> Ordering {
        fn rank(n: &Numeric) -> u8 {
            match n.0 {
                Repr::NegInfinity => 0,
                Repr::Small { .. } | Repr::Big(_) => 1,
                Repr::Infinity => 2,
                Repr::NaN => 3,
            }
        }
        if let (
            Repr::Small {
                mantissa: a,
                scale: sa,
            },
            Repr::Small {
                mantissa: b,
                scale: sb,
            },
        ) = (&self.0, &other.0)
        {
            if sa == sb {
                return a.cmp(b);
            }
            let shift = usize::from(sa.abs_diff(*sb));
            if shift < POW10.len() {
                let power = i128::from(POW10[shift]);
                let (a, b) = (i128::from(*a), i128::from(*b));
                return if sa < sb {
                    (a * power).cmp(&b)
                } else {
                    a.cmp(&(b * power))
                };
            }
        }
        let (ra, rb) = (rank(self), rank(other));
        if ra != 1 || rb != 1 {
            return ra.cmp(&rb);
        }
        self.cmp_finite(other)
    }
}

impl Numeric {
    fn cmp_finite(&self, other: &Self) -> Ordering {
        let (sa, sb) = (self.signum().unwrap_or(0), other.signum().unwrap_or(0));
        if sa != sb || sa == 0 {
            return sa.cmp(&sb);
        }
        let (ea, eb) = (self.leading_exponent(), other.leading_exponent());
        if ea != eb {
            return if sa > 0 { ea.cmp(&eb) } else { eb.cmp(&ea) };
        }
        match (self.to_parts(), other.to_parts()) {
            (Some((a, sa)), Some((b, sb))) if sa < sb => (a * pow10(u64::from(sb - sa))).cmp(&b),
            (Some((a, sa)), Some((b, sb))) => a.cmp(&(b * pow10(u64::from(sa - sb)))),
            _ => Ordering::Equal,
        }
    }
}

impl Hash for Numeric {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Repr::NaN => state.write_u8(1),
            Repr::Infinity => state.write_u8(2),
            Repr::NegInfinity => state.write_u8(3),
            Repr::Small { mantissa, scale } => {
                let (mut mantissa, mut exponent) = (*mantissa, -i64::from(*scale));
                if mantissa == 0 {
                    exponent = 0;
                } else {
                    while mantissa % 10 == 0 {
                        mantissa /= 10;
                        exponent += 1;
                    }
                }
                state.write_i64(mantissa);
                state.write_i64(exponent);
            }
            Repr::Big(_) => {
                let Some((mantissa, exponent)) = self.canonical() else {
                    return;
                };
                // 10.00…0 with a long fraction is big and equal to a small value.
                match mantissa.to_i64() {
                    Some(small) => state.write_i64(small),
                    None => mantissa.hash(state),
                }
                state.write_i64(exponent);
            }
        }
    }
}

impl From<i16> for Numeric {
    fn from(v: i16) -> Self {
        Numeric::from_i64(i64::from(v))
    }
}

impl From<i32> for Numeric {
    fn from(v: i32) -> Self {
        Numeric::from_i64(i64::from(v))
    }
}

impl From<i64> for Numeric {
    fn from(v: i64) -> Self {
        Numeric::from_i64(v)
    }
}

fn is_negative(mantissa: &BigInt) -> bool {
    mantissa.sign() == Sign::Minus
}
