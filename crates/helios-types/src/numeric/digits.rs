//! Base 10,000 digits: PostgreSQL's own form of a numeric.
//!
//! The value is the sum of `digits[i] * 10000^(weight - i)`, with a sign and a display scale.
//! Leading and trailing zero digits are stripped, so equal values have equal digits and weights.

use super::{Numeric, Repr, SCALE_MAX, is_negative, pow10};
use crate::{Result, bail};
use num_bigint::{BigInt, Sign};
use smallvec::SmallVec;

/// The sign words of the PostgreSQL wire.
pub const POSITIVE: u16 = 0x0000;
pub const NEGATIVE: u16 = 0x4000;
pub const NAN: u16 = 0xC000;
pub const INFINITY: u16 = 0xD000;
pub const NEG_INFINITY: u16 = 0xF000;

/// A numeric as PostgreSQL's wire carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits {
    /// One of the sign words of this module.
    pub sign: u16,
    /// Power of 10,000 of the first digit; zero when there are no digits.
    pub weight: i16,
    pub scale: u16,
    /// Each in 0..=9999; neither the first nor the last is zero.
    pub digits: SmallVec<[i16; 8]>,
}

impl Digits {
    fn special(sign: u16) -> Self {
        Digits {
            sign,
            weight: 0,
            scale: 0,
            digits: SmallVec::new(),
        }
    }
}

impl Numeric {
    pub fn to_digits(&self) -> Digits {
        match &self.0 {
            Repr::NaN => Digits::special(NAN),
            Repr::Infinity => Digits::special(INFINITY),
            Repr::NegInfinity => Digits::special(NEG_INFINITY),
            Repr::Small { mantissa, scale } => small_digits(*mantissa, *scale),
            Repr::Big(big) => {
                let decimal = big.mantissa.magnitude().to_radix_be(10);
                let sign = if is_negative(&big.mantissa) {
                    NEGATIVE
                } else {
                    POSITIVE
                };
                group(sign, &decimal, big.scale)
            }
        }
    }

    /// Digits beyond `scale` are cut off, as PostgreSQL does when it receives them.
    pub fn from_digits(sign: u16, weight: i16, scale: u16, digits: &[i16]) -> Result<Self> {
        let negative = match sign {
            POSITIVE => false,
            NEGATIVE => true,
            NAN => return Ok(Numeric::NAN),
            INFINITY => return Ok(Numeric::INFINITY),
            NEG_INFINITY => return Ok(Numeric::NEG_INFINITY),
            _ => bail!(
                InvalidBinaryRepresentation,
                "invalid sign in external \"numeric\" value"
            ),
        };
        if u32::from(scale) > SCALE_MAX {
            bail!(
                InvalidBinaryRepresentation,
                "invalid scale in external \"numeric\" value"
            );
        }
        if digits.iter().any(|d| !(0..10_000).contains(d)) {
            bail!(
                InvalidBinaryRepresentation,
                "invalid digit in external \"numeric\" value"
            );
        }
        let sign = if negative { Sign::Minus } else { Sign::Plus };
        // Digits wholly below the scale are dropped before anything is multiplied up to them.
        let kept = (i64::from(weight) + 1 + i64::from(scale.div_ceil(4))).max(0) as usize;
        let digits = &digits[..digits.len().min(kept)];
        let decimal: Vec<u8> = digits
            .iter()
            .flat_map(|d| [d / 1000, d / 100 % 10, d / 10 % 10, d % 10].map(|d| d as u8))
            .collect();
        let mantissa = BigInt::from_radix_be(sign, &decimal, 10).unwrap_or_default();
        // The last digit stands at this power of ten.
        let exponent = (i64::from(weight) + 1 - digits.len() as i64) * 4;
        let shift = exponent + i64::from(scale);
        let mantissa = if shift >= 0 {
            mantissa * pow10(shift as u64)
        } else {
            mantissa / pow10(shift.unsigned_abs())
        };
        Numeric::from_big(mantissa, i64::from(scale))
    }
}

fn small_digits(mantissa: i64, scale: u16) -> Digits {
    let sign = if mantissa < 0 { NEGATIVE } else { POSITIVE };
    let mut rest = u128::from(mantissa.unsigned_abs());
    // Pad the fraction to whole groups of four digits.
    let padding = (4 - scale % 4) % 4;
    rest *= 10u128.pow(u32::from(padding));
    let fraction_groups = i32::from((scale + padding) / 4);
    let mut digits: SmallVec<[i16; 8]> = SmallVec::new();
    let mut groups = 0;
    while rest > 0 {
        let digit = (rest % 10_000) as i16;
        if digit != 0 || !digits.is_empty() {
            digits.push(digit);
        }
        rest /= 10_000;
        groups += 1;
    }
    digits.reverse();
    let weight = if digits.is_empty() {
        0
    } else {
        groups - fraction_groups - 1
    };
    Digits {
        sign,
        weight: weight as i16,
        scale,
        digits,
    }
}

/// Groups decimal digits (most significant first, no leading zero) by fours around the point.
fn group(sign: u16, decimal: &[u8], scale: u16) -> Digits {
    let integer_digits = decimal.len() as i64 - i64::from(scale);
    let groups_before = integer_digits.div_euclid(4) + i64::from(integer_digits.rem_euclid(4) != 0);
    // Zeros that complete the first group.
    let lead = (groups_before * 4 - integer_digits) as usize;
    let mut digits: SmallVec<[i16; 8]> = SmallVec::with_capacity((decimal.len() + lead) / 4 + 1);
    let mut current = 0i16;
    let mut filled = lead;
    for d in decimal {
        current = current * 10 + i16::from(*d);
        filled += 1;
        if filled == 4 {
            digits.push(current);
            (current, filled) = (0, 0);
        }
    }
    if filled > 0 {
        for _ in filled..4 {
            current *= 10;
        }
        digits.push(current);
    }
    while digits.last() == Some(&0) {
        digits.pop();
    }
    Digits {
        sign,
        weight: (groups_before - 1) as i16,
        scale,
        digits,
    }
}
