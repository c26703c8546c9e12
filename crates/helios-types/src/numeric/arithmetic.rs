//! Sums, products, quotients and rounding, with PostgreSQL's result scales.

use super::{Numeric, POW10, Repr, SCALE_MAX, pow10};
use crate::{Result, error};
use num_bigint::BigInt;
use num_traits::{One, Signed, Zero};

/// Significant digits that a quotient or a transcendental result has at least.
pub(super) const MIN_SIGNIFICANT_DIGITS: i64 = 16;
/// Most digits after the point that such a result is given.
pub(super) const DISPLAY_SCALE_MAX: i64 = 1000;
/// Bound of the scale argument of `round` and `trunc`.
const ROUND_SCALE_MAX: i32 = 2000;

fn division_by_zero() -> crate::Error {
    error!(DivisionByZero, "division by zero")
}

impl Numeric {
    pub fn add(&self, other: &Self) -> Result<Self> {
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
            let (mut x, mut y) = (i128::from(*a), i128::from(*b));
            let shift = usize::from(sa.abs_diff(*sb));
            if shift < POW10.len() {
                let power = i128::from(POW10[shift]);
                if sa < sb {
                    x *= power
                } else {
                    y *= power
                }
                return Ok(Numeric::from_mantissa(x + y, *sa.max(sb)));
            }
        }
        match (self.to_parts(), other.to_parts()) {
            (Some((a, sa)), Some((b, sb))) => {
                let scale = sa.max(sb);
                let a = a * pow10(u64::from(scale - sa));
                let b = b * pow10(u64::from(scale - sb));
                Numeric::from_big(a + b, i64::from(scale))
            }
            _ => Ok(add_special(self, other)),
        }
    }

    pub fn sub(&self, other: &Self) -> Result<Self> {
        self.add(&other.neg())
    }

    pub fn mul(&self, other: &Self) -> Result<Self> {
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
            && u32::from(*sa) + u32::from(*sb) <= SCALE_MAX
        {
            return Ok(Numeric::from_mantissa(
                i128::from(*a) * i128::from(*b),
                sa + sb,
            ));
        }
        match (self.to_parts(), other.to_parts()) {
            (Some((a, sa)), Some((b, sb))) => {
                let scale = i64::from(sa) + i64::from(sb);
                rescale(a * b, scale, scale.min(i64::from(SCALE_MAX)))
            }
            _ => Ok(mul_special(self, other)),
        }
    }

    /// The quotient at the scale that PostgreSQL selects: at least 16 significant digits and no
    /// fewer digits after the point than either operand has.
    pub fn div(&self, other: &Self) -> Result<Self> {
        if self.is_nan() || other.is_nan() {
            return Ok(Numeric::NAN);
        }
        if other.is_zero() {
            return Err(division_by_zero());
        }
        if !self.is_finite() || !other.is_finite() {
            return Ok(div_special(self, other));
        }
        self.div_at_scale(other, select_div_scale(self, other))
    }

    /// The quotient rounded half away from zero at `scale`; both are finite, `other` is not zero.
    pub(super) fn div_at_scale(&self, other: &Self, scale: i64) -> Result<Self> {
        if let (Some((a, sa)), Some((b, sb))) = (self.as_small(), other.as_small()) {
            let shift = scale + i64::from(sb) - i64::from(sa);
            // Up to 10^19 * 10^18 fits 128 bits.
            if (0..19).contains(&shift) {
                let numerator = i128::from(a) * i128::from(POW10[shift as usize]);
                let quotient = divide_rounded_i128(numerator, i128::from(b));
                return Ok(Numeric::from_mantissa(quotient, scale as u16));
            }
        }
        let (Some((a, sa)), Some((b, sb))) = (self.to_parts(), other.to_parts()) else {
            return Ok(Numeric::NAN);
        };
        let shift = scale + i64::from(sb) - i64::from(sa);
        let (numerator, denominator) = if shift >= 0 {
            (a * pow10(shift as u64), b)
        } else {
            (a, b * pow10(shift.unsigned_abs()))
        };
        Numeric::from_big(divide_rounded(&numerator, &denominator), scale)
    }

    /// The quotient cut off at the point: SQL's `div(a, b)`.
    pub fn div_trunc(&self, other: &Self) -> Result<Self> {
        if self.is_nan() || other.is_nan() {
            return Ok(Numeric::NAN);
        }
        if other.is_zero() {
            return Err(division_by_zero());
        }
        match (self.to_parts(), other.to_parts()) {
            (Some((a, sa)), Some((b, sb))) => {
                let (a, b) = align(a, sa, b, sb);
                Numeric::from_big(a / b, 0)
            }
            _ => Ok(div_special(self, other)),
        }
    }

    /// The remainder, with the sign of `self`.
    pub fn rem(&self, other: &Self) -> Result<Self> {
        if self.is_nan() || other.is_nan() {
            return Ok(Numeric::NAN);
        }
        if other.is_zero() {
            return Err(division_by_zero());
        }
        if self.is_infinite() {
            return Ok(Numeric::NAN);
        }
        match (self.to_parts(), other.to_parts()) {
            (Some((a, sa)), Some((b, sb))) => {
                let (a, b) = align(a, sa, b, sb);
                Numeric::from_big(a % b, i64::from(sa.max(sb)))
            }
            // Any finite number modulo an infinity is itself.
            _ => Ok(self.clone()),
        }
    }

    #[must_use]
    pub fn neg(&self) -> Self {
        match &self.0 {
            Repr::Small { mantissa, scale } => {
                Numeric::from_mantissa(-i128::from(*mantissa), *scale)
            }
            // Negating can bring 2^63 back into the small form.
            Repr::Big(big) => {
                Numeric::from_big(-&big.mantissa, i64::from(big.scale)).unwrap_or(Numeric::NAN)
            }
            Repr::NaN => Numeric::NAN,
            Repr::Infinity => Numeric::NEG_INFINITY,
            Repr::NegInfinity => Numeric::INFINITY,
        }
    }

    #[must_use]
    pub fn abs(&self) -> Self {
        if self.is_negative() {
            self.neg()
        } else {
            self.clone()
        }
    }

    /// -1, 0 or 1 as a numeric; NaN stays NaN.
    #[must_use]
    pub fn sign(&self) -> Self {
        self.signum()
            .map_or(Numeric::NAN, |s| Numeric::from_i64(i64::from(s)))
    }

    /// Rounds half away from zero to `scale` digits after the point (before it when negative).
    #[must_use]
    pub fn round(&self, scale: i32) -> Self {
        let wanted = i64::from(scale.clamp(-ROUND_SCALE_MAX, SCALE_MAX as i32));
        match &self.0 {
            Repr::Small { scale, .. } if i64::from(*scale) == wanted => self.clone(),
            Repr::Small { mantissa, scale } => {
                let shift = i64::from(*scale) - wanted;
                if (1..19).contains(&shift) && wanted >= 0 {
                    let divisor = i128::from(POW10[shift as usize]);
                    let mantissa = divide_rounded_i128(i128::from(*mantissa), divisor);
                    return Numeric::from_mantissa(mantissa, wanted as u16);
                }
                rescale((*mantissa).into(), i64::from(*scale), wanted).unwrap_or(Numeric::NAN)
            }
            Repr::Big(big) => {
                rescale(big.mantissa.clone(), i64::from(big.scale), wanted).unwrap_or(Numeric::NAN)
            }
            _ => self.clone(),
        }
    }

    /// Cuts off after `scale` digits (before the point when negative).
    #[must_use]
    pub fn trunc(&self, scale: i32) -> Self {
        let wanted = i64::from(scale.clamp(-ROUND_SCALE_MAX, ROUND_SCALE_MAX));
        let Some((mantissa, scale)) = self.to_parts() else {
            return self.clone();
        };
        let shift = i64::from(scale) - wanted;
        if shift <= 0 {
            return self.round(wanted as i32);
        }
        let kept = mantissa / pow10(shift as u64);
        Numeric::from_big(kept, wanted).unwrap_or(Numeric::NAN)
    }

    #[must_use]
    pub fn ceil(&self) -> Self {
        let whole = self.trunc(0);
        if &whole < self {
            whole.add(&Numeric::ONE).unwrap_or(whole)
        } else {
            whole
        }
    }

    #[must_use]
    pub fn floor(&self) -> Self {
        let whole = self.trunc(0);
        if &whole > self {
            whole.sub(&Numeric::ONE).unwrap_or(whole)
        } else {
            whole
        }
    }

    /// Rounds to `numeric(precision, scale)` and checks that it fits.
    pub fn apply_modifier(&self, precision: u16, scale: i16) -> Result<Self> {
        match self.0 {
            Repr::NaN => return Ok(Numeric::NAN),
            Repr::Infinity | Repr::NegInfinity => {
                return Err(
                    error!(NumericOutOfRange, "numeric field overflow").with_detail(format!(
                        "A field with precision {precision}, scale {scale} cannot hold an infinite \
                     value."
                    )),
                );
            }
            _ => {}
        }
        let rounded = self.round(i32::from(scale));
        let digits_max = i64::from(precision) - i64::from(scale);
        if !rounded.is_zero() && rounded.leading_exponent() >= digits_max {
            let bound = match digits_max {
                0 => "1".to_owned(),
                n => format!("10^{n}"),
            };
            return Err(
                error!(NumericOutOfRange, "numeric field overflow").with_detail(format!(
                    "A field with precision {precision}, scale {scale} must round to an absolute \
                 value less than {bound}."
                )),
            );
        }
        Ok(rounded)
    }
}

fn align(a: BigInt, sa: u16, b: BigInt, sb: u16) -> (BigInt, BigInt) {
    let scale = sa.max(sb);
    (
        a * pow10(u64::from(scale - sa)),
        b * pow10(u64::from(scale - sb)),
    )
}

fn divide_rounded_i128(numerator: i128, denominator: i128) -> i128 {
    let quotient = numerator / denominator;
    let remainder = numerator % denominator;
    if remainder.unsigned_abs() * 2 >= denominator.unsigned_abs() {
        if (numerator < 0) == (denominator < 0) {
            quotient + 1
        } else {
            quotient - 1
        }
    } else {
        quotient
    }
}

/// Rounds half away from zero.
pub(super) fn divide_rounded(numerator: &BigInt, denominator: &BigInt) -> BigInt {
    let quotient = numerator / denominator;
    let remainder = numerator - &quotient * denominator;
    if remainder.abs() * 2u8 >= denominator.abs() {
        if numerator.is_negative() == denominator.is_negative() {
            quotient + BigInt::one()
        } else {
            quotient - BigInt::one()
        }
    } else {
        quotient
    }
}

/// `mantissa / 10^scale` rounded to `wanted` digits after the point.
pub(super) fn rescale(mantissa: BigInt, scale: i64, wanted: i64) -> Result<Numeric> {
    let shift = scale - wanted;
    if shift > 0 {
        // More digits are cut off than there are: skip a division by a huge power.
        if shift as u64 > mantissa.bits() {
            return Numeric::from_big(BigInt::zero(), wanted);
        }
        Numeric::from_big(divide_rounded(&mantissa, &pow10(shift as u64)), wanted)
    } else {
        Numeric::from_big(mantissa * pow10(shift.unsigned_abs()), wanted)
    }
}

/// Power of 10,000 of the first base-10,000 digit, and that digit.
pub(super) fn first_digit(value: &Numeric) -> (i64, i64) {
    if value.is_zero() {
        return (0, 0);
    }
    let digits = value.to_digits();
    (
        i64::from(digits.weight),
        digits.digits.first().copied().map_or(0, i64::from),
    )
}

fn select_div_scale(a: &Numeric, b: &Numeric) -> i64 {
    let (weight_a, first_a) = first_digit(a);
    let (weight_b, first_b) = first_digit(b);
    let mut weight = weight_a - weight_b;
    if first_a <= first_b {
        weight -= 1;
    }
    result_scale(MIN_SIGNIFICANT_DIGITS - weight * 4, &[a, b])
}

/// At least `wanted` and the operands' scales, within 0 and the greatest display scale.
pub(super) fn result_scale(wanted: i64, operands: &[&Numeric]) -> i64 {
    let operands = operands.iter().filter_map(|n| n.scale()).max().unwrap_or(0);
    wanted.max(i64::from(operands)).clamp(0, DISPLAY_SCALE_MAX)
}

fn add_special(a: &Numeric, b: &Numeric) -> Numeric {
    match (&a.0, &b.0) {
        (Repr::NaN, _) | (_, Repr::NaN) => Numeric::NAN,
        (Repr::Infinity, Repr::NegInfinity) | (Repr::NegInfinity, Repr::Infinity) => Numeric::NAN,
        (Repr::Infinity | Repr::NegInfinity, _) => a.clone(),
        _ => b.clone(),
    }
}

fn mul_special(a: &Numeric, b: &Numeric) -> Numeric {
    match (a.signum(), b.signum()) {
        (None, _) | (_, None) | (Some(0), _) | (_, Some(0)) => Numeric::NAN,
        (Some(a), Some(b)) if a == b => Numeric::INFINITY,
        _ => Numeric::NEG_INFINITY,
    }
}

/// At least one is infinite, neither is NaN, `b` is not zero.
fn div_special(a: &Numeric, b: &Numeric) -> Numeric {
    match (a.is_infinite(), b.is_infinite()) {
        (true, true) => Numeric::NAN,
        (false, true) => Numeric::ZERO,
        _ => mul_special(a, b),
    }
}
