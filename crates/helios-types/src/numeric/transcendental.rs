//! Square root, exponential, logarithms and power, with PostgreSQL's result scales.
//!
//! The series run on binary fixed-point integers with guard bits beyond the wanted digits; the
//! result is rounded once at the end.

use super::arithmetic::{
    DISPLAY_SCALE_MAX, MIN_SIGNIFICANT_DIGITS, divide_rounded, rescale, result_scale,
};
use super::{Numeric, Repr, decimal_digits, overflow, pow10};
use crate::{Error, Result, error};
use num_bigint::{BigInt, Sign};
use num_traits::{One, Signed, ToPrimitive, Zero};

/// Beyond this magnitude of the argument `exp` overflows or vanishes.
const EXP_ARGUMENT_MAX: f64 = 6000.0;
const LOG10_E: f64 = std::f64::consts::LOG10_E;
/// Bits that hold a decimal digit, and bits kept beyond the wanted precision.
const BITS_PER_DIGIT: f64 = std::f64::consts::LOG2_10;
const GUARD_BITS: u64 = 64;

fn logarithm_error(value: &Numeric) -> Error {
    let message = if value.is_zero() {
        "cannot take logarithm of zero"
    } else {
        "cannot take logarithm of a negative number"
    };
    Error::new(crate::ErrorKind::InvalidArgumentForPower, message).with_sqlstate(*b"2201E")
}

fn power_error(message: &'static str) -> Error {
    Error::new(crate::ErrorKind::InvalidArgumentForPower, message).with_sqlstate(*b"2201F")
}

impl Numeric {
    pub fn sqrt(&self) -> Result<Self> {
        match self.0 {
            Repr::NaN => return Ok(Numeric::NAN),
            Repr::Infinity => return Ok(Numeric::INFINITY),
            _ => {}
        }
        if self.is_negative() {
            return Err(power_error("cannot take square root of a negative number"));
        }
        let weight = i64::from(self.to_digits().weight);
        let wanted = result_scale(MIN_SIGNIFICANT_DIGITS - (weight * 2 + 1), &[self]);
        self.sqrt_at_scale(wanted as u16)
    }

    /// The square root of a finite number that is not negative, rounded at `scale`.
    pub fn sqrt_at_scale(&self, scale: u16) -> Result<Self> {
        let wanted = i64::from(scale);
        let Some((mantissa, scale)) = self.to_parts().filter(|(m, _)| !m.is_negative()) else {
            return Ok(Numeric::NAN);
        };
        // The root of mantissa * 10^(2w - s) has w digits after the point; one more for rounding.
        let shift = 2 * (wanted + 1) - i64::from(scale);
        let scaled = if shift >= 0 {
            mantissa * pow10(shift as u64)
        } else {
            mantissa / pow10(shift.unsigned_abs())
        };
        // The extra digit is cut off, not rounded; that still decides half-up correctly.
        rescale(scaled.sqrt(), wanted + 1, wanted)
    }

    pub fn exp(&self) -> Result<Self> {
        match self.0 {
            Repr::NaN => return Ok(Numeric::NAN),
            Repr::Infinity => return Ok(Numeric::INFINITY),
            Repr::NegInfinity => return Ok(Numeric::ZERO),
            _ => {}
        }
        let weight = (self.to_f64() * LOG10_E).clamp(-2000.0, 2000.0) as i64;
        exp_at_scale(self, result_scale(MIN_SIGNIFICANT_DIGITS - weight, &[self]))
    }

    /// The natural logarithm.
    pub fn ln(&self) -> Result<Self> {
        match self.0 {
            Repr::NaN => return Ok(Numeric::NAN),
            Repr::Infinity => return Ok(Numeric::INFINITY),
            _ => {}
        }
        check_logarithm(self)?;
        let scale = result_scale(MIN_SIGNIFICANT_DIGITS - ln_weight(self), &[self]);
        ln_at_scale(self, scale)
    }

    /// The logarithm of `self` to `base`.
    pub fn log(&self, base: &Self) -> Result<Self> {
        if self.is_nan() || base.is_nan() {
            return Ok(Numeric::NAN);
        }
        // With an infinity among the arguments a negative one is reported before a zero.
        if base.is_zero() && self.is_infinite() {
            check_logarithm(self)?;
        }
        check_logarithm(base)?;
        check_logarithm(self)?;
        match (base.is_infinite(), self.is_infinite()) {
            (true, true) => return Ok(Numeric::NAN),
            (true, false) => return Ok(Numeric::ZERO),
            (false, true) => return Ok(Numeric::INFINITY),
            _ => {}
        }
        let (base_weight, weight) = (ln_weight(base), ln_weight(self));
        let result_weight = weight - base_weight;
        let scale = result_scale(MIN_SIGNIFICANT_DIGITS - result_weight, &[self, base]);
        let ln_base = ln_at_scale(base, (scale + result_weight - base_weight + 8).max(0))?;
        let ln_self = ln_at_scale(self, (scale + result_weight - weight + 8).max(0))?;
        if ln_base.is_zero() {
            return Err(error!(DivisionByZero, "division by zero"));
        }
        ln_self.div_at_scale(&ln_base, scale)
    }

    /// `self` raised to `exponent`.
    pub fn power(&self, exponent: &Self) -> Result<Self> {
        if let Some(result) = power_special(self, exponent)? {
            return Ok(result);
        }
        if exponent.is_integral()
            && let Some(e) = exponent.to_i32()
        {
            return power_integer(self, e, exponent.scale().unwrap_or(0));
        }
        if self.is_zero() {
            return Numeric::from_big(BigInt::zero(), MIN_SIGNIFICANT_DIGITS);
        }
        // A negative base has a huge integral exponent here; its parity gives the sign.
        let odd = !exponent.rem(&Numeric::from_i64(2))?.is_zero();
        let negative = self.is_negative() && odd;
        let base = self.abs();
        let base_weight = ln_weight(&base);
        let estimate = ln_at_scale(&base, (8 - base_weight).max(0))?.to_f64() * exponent.to_f64();
        if estimate.abs() > 2000.0 * 3.01 {
            if estimate > 0.0 {
                return Err(overflow());
            }
            return Numeric::from_big(BigInt::zero(), DISPLAY_SCALE_MAX);
        }
        let weight = (estimate * LOG10_E) as i64;
        let scale = result_scale(MIN_SIGNIFICANT_DIGITS - weight, &[self, exponent]);
        let local = (scale + weight - base_weight + 8).max(0);
        let argument = ln_at_scale(&base, local)?
            .mul(exponent)?
            .round(local as i32);
        let result = exp_at_scale(&argument, scale)?;
        Ok(if negative { result.neg() } else { result })
    }
}

fn check_logarithm(value: &Numeric) -> Result<()> {
    match value.signum() {
        Some(1) | None => Ok(()),
        _ => Err(logarithm_error(value)),
    }
}

/// Results that need no calculation, and the arguments that have none.
fn power_special(base: &Numeric, exponent: &Numeric) -> Result<Option<Numeric>> {
    if base.is_nan() || exponent.is_nan() {
        let one =
            (base.is_nan() && exponent.is_zero()) || (exponent.is_nan() && *base == Numeric::ONE);
        return Ok(Some(if one { Numeric::ONE } else { Numeric::NAN }));
    }
    let (base_sign, exponent_sign) = (base.signum().unwrap_or(0), exponent.signum().unwrap_or(0));
    if base_sign == 0 && exponent_sign < 0 {
        return Err(power_error("zero raised to a negative power is undefined"));
    }
    if base_sign < 0 && exponent.is_finite() && !exponent.is_integral() {
        return Err(power_error(
            "a negative number raised to a non-integer power yields a complex result",
        ));
    }
    if exponent.is_infinite() {
        let magnitude = base.abs();
        if magnitude == Numeric::ONE {
            return Ok(Some(Numeric::ONE));
        }
        let grows = (magnitude > Numeric::ONE) == (exponent_sign > 0);
        return Ok(Some(if grows {
            Numeric::INFINITY
        } else {
            Numeric::ZERO
        }));
    }
    if base.is_infinite() {
        return Ok(Some(match exponent_sign {
            0 => Numeric::ONE,
            1 => {
                let odd = !exponent.rem(&Numeric::from_i64(2))?.is_zero();
                if base_sign < 0 && odd {
                    Numeric::NEG_INFINITY
                } else {
                    Numeric::INFINITY
                }
            }
            _ => Numeric::ZERO,
        }));
    }
    Ok(None)
}

fn power_integer(base: &Numeric, exponent: i32, exponent_scale: u16) -> Result<Numeric> {
    let weight = if base.is_zero() {
        0.0
    } else {
        log10(base) * f64::from(exponent)
    };
    if weight > 131_072.0 {
        return Err(overflow());
    }
    let operand = Numeric::from_mantissa(0, exponent_scale);
    let scale = result_scale(MIN_SIGNIFICANT_DIGITS, &[base, &operand]);
    if weight + 1.0 < -(DISPLAY_SCALE_MAX as f64) {
        return Numeric::from_big(BigInt::zero(), scale);
    }
    let Some((mantissa, base_scale)) = base.to_parts() else {
        return Ok(Numeric::NAN);
    };
    match exponent {
        0 => return rescale(BigInt::one(), 0, scale),
        1 => return rescale(mantissa, i64::from(base_scale), scale),
        -1 => return Numeric::ONE.div_at_scale(base, scale),
        2 => return rescale(&mantissa * &mantissa, 2 * i64::from(base_scale), scale),
        _ => {}
    }
    if base.is_zero() {
        return Numeric::from_big(BigInt::zero(), scale);
    }
    // Square and multiply on a floating decimal that keeps the digits that can matter.
    let digits = 1 + scale + weight as i64 + f64::from(exponent).abs().log10() as i64 + 8;
    let digits = digits.max(20) as u64;
    let mut square = Float10::new(mantissa, -i64::from(base_scale), digits);
    let mut product = Float10 {
        mantissa: BigInt::one(),
        exponent: 0,
    };
    let mut rest = exponent.unsigned_abs();
    while rest > 0 {
        if rest & 1 == 1 {
            product = product.mul(&square, digits);
        }
        rest >>= 1;
        if rest > 0 {
            square = square.mul(&square, digits);
        }
    }
    if exponent > 0 {
        return rescale(product.mantissa, -product.exponent, scale);
    }
    // 1 / (m * 10^e) at the wanted scale.
    let shift = scale - product.exponent;
    if shift < 0 {
        return Numeric::from_big(BigInt::zero(), scale);
    }
    Numeric::from_big(
        divide_rounded(&pow10(shift as u64), &product.mantissa),
        scale,
    )
}

/// `mantissa * 10^exponent`, cut to a number of digits after each product.
struct Float10 {
    mantissa: BigInt,
    exponent: i64,
}

impl Float10 {
    fn new(mantissa: BigInt, exponent: i64, digits: u64) -> Self {
        let excess = decimal_digits(mantissa.magnitude()).saturating_sub(digits);
        if excess == 0 {
            return Float10 { mantissa, exponent };
        }
        let mantissa = divide_rounded(&mantissa, &pow10(excess));
        Float10 {
            mantissa,
            exponent: exponent + excess as i64,
        }
    }

    fn mul(&self, other: &Self, digits: u64) -> Self {
        Float10::new(
            &self.mantissa * &other.mantissa,
            self.exponent + other.exponent,
            digits,
        )
    }
}

/// The decimal logarithm of the magnitude, in double precision; not for zero.
fn log10(value: &Numeric) -> f64 {
    let exponent = value.leading_exponent();
    let Some((mantissa, scale)) = value.to_parts() else {
        return 0.0;
    };
    // Move the leading 17 digits in front of the point.
    let shift = exponent + i64::from(scale) - 16;
    let leading = if shift > 0 {
        mantissa / pow10(shift as u64)
    } else {
        mantissa
    };
    let moved = shift.max(0) - i64::from(scale);
    leading.abs().to_f64().unwrap_or(1.0).log10() + moved as f64
}

/// The decimal weight of `ln(value)`, estimated as PostgreSQL does for its result scales.
fn ln_weight(value: &Numeric) -> i64 {
    if value.signum() != Some(1) {
        return 0;
    }
    let near_one = Numeric::from_mantissa(9, 1)..=Numeric::from_mantissa(11, 1);
    if near_one.contains(value) {
        return match value.sub(&Numeric::ONE) {
            Ok(x) if !x.is_zero() => x.leading_exponent(),
            _ => 0,
        };
    }
    let digits = value.to_digits();
    let mut leading = digits.digits.first().copied().map_or(0.0, f64::from);
    let mut weight = f64::from(digits.weight) * 4.0;
    if let Some(second) = digits.digits.get(1) {
        leading = leading * 10_000.0 + f64::from(*second);
        weight -= 4.0;
    }
    (leading.ln() + weight * std::f64::consts::LN_10)
        .abs()
        .log10() as i64
}

fn exp_at_scale(value: &Numeric, scale: i64) -> Result<Numeric> {
    let estimate = value.to_f64();
    if estimate.abs() >= EXP_ARGUMENT_MAX {
        if estimate > 0.0 {
            return Err(overflow());
        }
        return Numeric::from_big(BigInt::zero(), scale);
    }
    let Some((mantissa, value_scale)) = value.to_parts() else {
        return Ok(Numeric::NAN);
    };
    // Digits before the point add to the precision that the squarings must keep.
    let integer_digits = (estimate * LOG10_E).max(0.0) + 1.0;
    let halvings = estimate.abs().max(1.0).log2() as u64 + 9;
    let bits =
        ((scale as f64 + integer_digits) * BITS_PER_DIGIT) as u64 + 2 * halvings + GUARD_BITS;
    // A negative argument is exp(-x) inverted, so the series has positive terms only.
    let argument = (mantissa.abs() << bits) / pow10(u64::from(value_scale));
    let reduced = argument >> halvings as usize;
    let mut sum = BigInt::one() << bits;
    let mut term = sum.clone();
    let mut n = 1u32;
    while !term.is_zero() {
        term = ((term * &reduced) >> bits) / n;
        sum += &term;
        n += 1;
    }
    for _ in 0..halvings {
        sum = (&sum * &sum) >> bits;
    }
    if mantissa.sign() == Sign::Minus {
        sum = (BigInt::one() << (2 * bits)) / sum;
    }
    fixed_to_numeric(sum, bits, scale)
}

fn ln_at_scale(value: &Numeric, scale: i64) -> Result<Numeric> {
    let Some((mantissa, value_scale)) = value.to_parts() else {
        return Ok(Numeric::NAN);
    };
    let bits = (scale as f64 * BITS_PER_DIGIT) as u64 + 32 + GUARD_BITS;
    // value = m * 2^e with m between one half and one, as a fixed-point number.
    let denominator = pow10(u64::from(value_scale));
    let exponent = mantissa.bits() as i64 - denominator.bits() as i64;
    let shift = bits as i64 - exponent;
    let fixed = if shift >= 0 {
        (mantissa << shift as u64) / denominator
    } else {
        mantissa / (denominator << shift.unsigned_abs())
    };
    let one = BigInt::one() << bits;
    let sum = ln_fixed(fixed, &one, bits) + ln_two(bits) * exponent;
    fixed_to_numeric(sum, bits, scale)
}

/// The logarithm of a fixed-point number between 1/2 and 2.
fn ln_fixed(mut value: BigInt, one: &BigInt, bits: u64) -> BigInt {
    // Each square root halves the distance to one; eight make the series short.
    const ROOTS: u32 = 8;
    for _ in 0..ROOTS {
        value = (value << bits).sqrt();
    }
    let numerator = &value - one;
    let ratio = (numerator << bits) / (value + one);
    atanh_fixed(ratio, bits) << (ROOTS + 1)
}

/// `ln 2 = 2 atanh(1/3)`.
fn ln_two(bits: u64) -> BigInt {
    let third = (BigInt::one() << bits) / 3u8;
    atanh_fixed(third, bits) << 1u8
}

fn atanh_fixed(x: BigInt, bits: u64) -> BigInt {
    let square = (&x * &x) >> bits;
    let mut sum = x.clone();
    let mut power = x;
    let mut n = 3u32;
    loop {
        power = (power * &square) >> bits;
        // A right shift rounds towards minus infinity, so a negative power ends at -1.
        if power.is_zero() || power == -BigInt::one() {
            return sum;
        }
        sum += &power / n;
        n += 2;
    }
}

fn fixed_to_numeric(value: BigInt, bits: u64, scale: i64) -> Result<Numeric> {
    let scaled = value * pow10(scale as u64);
    let mantissa = divide_rounded(&scaled, &(BigInt::one() << bits));
    Numeric::from_big(mantissa, scale)
}
