//! IEEE 754 decimal128, the number that BSON calls Decimal128: 34 digits and an exponent.
//!
//! Stored in the binary-integer form: a sign bit, a 14-bit exponent with a bias of 6176 and a
//! 113-bit coefficient, little endian. Arithmetic goes through arbitrary-precision integers and
//! is rounded half to even to 34 digits at the end, as the standard asks.

use super::raw::{Bson, BsonBuf, DECIMAL};
use bigdecimal::num_bigint::BigUint;
use std::cmp::Ordering;

const DIGITS: u32 = 34;
const BIAS: i32 = 6176;
const EXPONENT_MAX: i32 = 6111;
const EXPONENT_MIN: i32 = -6176;
const COEFFICIENT_LIMIT: u128 = 10u128.pow(DIGITS);

#[derive(Clone, Copy, Debug)]
pub enum Decimal {
    Finite {
        negative: bool,
        coefficient: u128,
        exponent: i32,
    },
    Infinite {
        negative: bool,
    },
    Nan,
}

fn digits_of(coefficient: u128) -> i32 {
    if coefficient == 0 {
        1
    } else {
        coefficient.ilog10() as i32 + 1
    }
}

fn pow10(n: u32) -> BigUint {
    BigUint::from(10u8).pow(n)
}

impl Decimal {
    pub const ZERO: Decimal = Decimal::Finite {
        negative: false,
        coefficient: 0,
        exponent: 0,
    };

    pub fn from_bson(value: Bson<'_>) -> Option<Self> {
        if value.tag != DECIMAL {
            return None;
        }
        Some(Self::from_bits(u128::from_le_bytes(
            value.bytes.get(..16)?.try_into().ok()?,
        )))
    }

    pub fn from_bits(bits: u128) -> Self {
        let high = (bits >> 64) as u64;
        let negative = high >> 63 == 1;
        if (high >> 61) & 3 == 3 {
            return match (high >> 58) & 0x1f {
                0x1e => Decimal::Infinite { negative },
                0x1f => Decimal::Nan,
                // The long coefficients of this form exceed 34 digits, which makes them zero.
                _ => Decimal::Finite {
                    negative,
                    coefficient: 0,
                    exponent: ((high >> 47) & 0x3fff) as i32 - BIAS,
                },
            };
        }
        let coefficient = bits & ((1u128 << 113) - 1);
        let coefficient = if coefficient >= COEFFICIENT_LIMIT {
            0
        } else {
            coefficient
        };
        Decimal::Finite {
            negative,
            coefficient,
            exponent: ((high >> 49) & 0x3fff) as i32 - BIAS,
        }
    }

    pub fn to_bits(self) -> u128 {
        match self {
            Decimal::Nan => 0x7c00u128 << 112,
            Decimal::Infinite { negative } => {
                (if negative { 0xf800u128 } else { 0x7800u128 }) << 112
            }
            Decimal::Finite {
                negative,
                coefficient,
                exponent,
            } => {
                let exponent = (exponent + BIAS).clamp(0, 0x3fff) as u128;
                (u128::from(negative) << 127) | (exponent << 113) | coefficient
            }
        }
    }

    pub fn to_buf(self) -> BsonBuf {
        BsonBuf::of(DECIMAL, &self.to_bits().to_le_bytes())
    }

    pub fn from_i64(v: i64) -> Self {
        Decimal::Finite {
            negative: v < 0,
            coefficient: u128::from(v.unsigned_abs()),
            exponent: 0,
        }
    }

    /// Rounded to `digits` significant digits: 15 in arithmetic, 34 in comparisons.
    pub fn from_f64(v: f64, digits: usize) -> Self {
        if v.is_nan() {
            return Decimal::Nan;
        }
        if v.is_infinite() {
            return Decimal::Infinite { negative: v < 0.0 };
        }
        Self::parse(&format!("{:.*e}", digits.saturating_sub(1), v)).unwrap_or(Decimal::Nan)
    }

    /// A coefficient of any size, rounded half to even into the format.
    fn round(negative: bool, coefficient: BigUint, exponent: i64, sticky: bool) -> Self {
        let text = coefficient.to_str_radix(10);
        let mut drop = (text.len() as i64 - i64::from(DIGITS)).max(0);
        drop = drop.max(i64::from(EXPONENT_MIN) - exponent);
        let mut exponent = exponent;
        let mut coefficient = coefficient;
        if drop > 0 {
            coefficient = match u32::try_from(drop) {
                Ok(n) if n as usize <= text.len() => half_even(&coefficient, &pow10(n), sticky),
                _ => BigUint::ZERO,
            };
            exponent += drop;
        }
        let mut value = u128::try_from(coefficient).unwrap_or(0);
        if value == COEFFICIENT_LIMIT {
            value /= 10;
            exponent += 1;
        }
        if value == 0 {
            let exponent = exponent.clamp(i64::from(EXPONENT_MIN), i64::from(EXPONENT_MAX)) as i32;
            return Decimal::Finite {
                negative,
                coefficient: 0,
                exponent,
            };
        }
        // An exponent above the range can be lowered by padding the coefficient with zeros.
        while exponent > i64::from(EXPONENT_MAX) && value < COEFFICIENT_LIMIT / 10 {
            value *= 10;
            exponent -= 1;
        }
        match i32::try_from(exponent) {
            Ok(exponent) if exponent <= EXPONENT_MAX => Decimal::Finite {
                negative,
                coefficient: value,
                exponent,
            },
            _ => Decimal::Infinite { negative },
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let (negative, body) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        match body.to_ascii_lowercase().as_str() {
            "nan" => return Some(Decimal::Nan),
            "inf" | "infinity" => return Some(Decimal::Infinite { negative }),
            _ => {}
        }
        let (mantissa, exponent) = match body.find(['e', 'E']) {
            Some(at) => (&body[..at], body[at + 1..].parse::<i64>().ok()?),
            None => (body, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || digits.len() > 10_000 || !digits.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let coefficient = digits.parse::<BigUint>().ok()?;
        let exponent = exponent.checked_sub(fraction.len() as i64)?;
        Some(Self::round(negative, coefficient, exponent, false))
    }

    pub fn is_nan(self) -> bool {
        matches!(self, Decimal::Nan)
    }

    pub fn is_zero(self) -> bool {
        matches!(self, Decimal::Finite { coefficient: 0, .. })
    }

    pub fn is_negative(self) -> bool {
        matches!(
            self,
            Decimal::Finite { negative: true, .. } | Decimal::Infinite { negative: true }
        )
    }

    pub fn is_finite(self) -> bool {
        matches!(self, Decimal::Finite { .. })
    }

    pub fn negate(self) -> Self {
        match self {
            Decimal::Finite {
                negative,
                coefficient,
                exponent,
            } => Decimal::Finite {
                negative: !negative,
                coefficient,
                exponent,
            },
            Decimal::Infinite { negative } => Decimal::Infinite {
                negative: !negative,
            },
            Decimal::Nan => Decimal::Nan,
        }
    }

    pub fn abs(self) -> Self {
        if self.is_negative() {
            self.negate()
        } else {
            self
        }
    }

    pub fn plus(self, other: Self) -> Self {
        use Decimal::*;
        match (self, other) {
            (Nan, _) | (_, Nan) => Nan,
            (Infinite { negative: a }, Infinite { negative: b }) if a != b => Nan,
            (Infinite { negative }, _) | (_, Infinite { negative }) => Infinite { negative },
            (
                Finite {
                    negative: an,
                    coefficient: ac,
                    exponent: ae,
                },
                Finite {
                    negative: bn,
                    coefficient: bc,
                    exponent: be,
                },
            ) => add_finite((an, ac, ae), (bn, bc, be)),
        }
    }

    pub fn minus(self, other: Self) -> Self {
        self.plus(other.negate())
    }

    pub fn times(self, other: Self) -> Self {
        use Decimal::*;
        let negative = self.is_negative() != other.is_negative();
        match (self, other) {
            (Nan, _) | (_, Nan) => Nan,
            (Infinite { .. }, x) | (x, Infinite { .. }) => {
                if x.is_zero() {
                    Nan
                } else {
                    Infinite { negative }
                }
            }
            (
                Finite {
                    coefficient: ac,
                    exponent: ae,
                    ..
                },
                Finite {
                    coefficient: bc,
                    exponent: be,
                    ..
                },
            ) => Self::round(
                negative,
                BigUint::from(ac) * BigUint::from(bc),
                i64::from(ae) + i64::from(be),
                false,
            ),
        }
    }

    pub fn over(self, other: Self) -> Self {
        use Decimal::*;
        let negative = self.is_negative() != other.is_negative();
        match (self, other) {
            (Nan, _) | (_, Nan) | (Infinite { .. }, Infinite { .. }) => Nan,
            (Infinite { .. }, _) => Infinite { negative },
            (_, Infinite { .. }) => Finite {
                negative,
                coefficient: 0,
                exponent: 0,
            },
            (
                Finite {
                    coefficient: ac,
                    exponent: ae,
                    ..
                },
                Finite {
                    coefficient: bc,
                    exponent: be,
                    ..
                },
            ) => {
                if bc == 0 {
                    return if ac == 0 { Nan } else { Infinite { negative } };
                }
                let scale = (DIGITS as i32 + 2 + digits_of(bc) - digits_of(ac)).max(0) as u32;
                let numerator = BigUint::from(ac) * pow10(scale);
                let denominator = BigUint::from(bc);
                let quotient = &numerator / &denominator;
                let exact = &quotient * &denominator == numerator;
                let exponent = i64::from(ae) - i64::from(be) - i64::from(scale);
                let result = Self::round(negative, quotient, exponent, !exact);
                if exact {
                    result.trimmed_to(ae - be)
                } else {
                    result
                }
            }
        }
    }

    /// The remainder with the sign of the dividend.
    pub fn modulo(self, other: Self) -> Self {
        use Decimal::*;
        match (self, other) {
            (Nan, _) | (_, Nan) | (Infinite { .. }, _) => Nan,
            (x, Infinite { .. }) => x,
            (
                Finite {
                    negative,
                    coefficient: ac,
                    exponent: ae,
                },
                Finite {
                    coefficient: bc,
                    exponent: be,
                    ..
                },
            ) => {
                if bc == 0 {
                    return Nan;
                }
                let exponent = ae.min(be);
                // Beyond this the modular power keeps the numbers small.
                let modulus = BigUint::from(bc) * pow10((be - exponent) as u32);
                let shift =
                    BigUint::from(10u8).modpow(&BigUint::from((ae - exponent) as u32), &modulus);
                let value = (BigUint::from(ac) * shift) % modulus;
                Self::round(negative, value, i64::from(exponent), false)
            }
        }
    }

    /// Drops trailing zeros, but not past the wanted exponent.
    fn trimmed_to(self, wanted: i32) -> Self {
        let Decimal::Finite {
            negative,
            mut coefficient,
            mut exponent,
        } = self
        else {
            return self;
        };
        while exponent < wanted && coefficient != 0 && coefficient % 10 == 0 {
            coefficient /= 10;
            exponent += 1;
        }
        Decimal::Finite {
            negative,
            coefficient,
            exponent,
        }
    }

    /// Rounded to `places` digits after the point (before it when negative).
    pub fn round_to(self, places: i32, mode: Rounding) -> Self {
        let Decimal::Finite {
            negative,
            coefficient,
            exponent,
        } = self
        else {
            return self;
        };
        let drop = -places - exponent;
        if drop <= 0 {
            return self;
        }
        let value = if drop > 40 {
            match mode {
                Rounding::Ceiling if !negative && coefficient != 0 => 1,
                Rounding::Floor if negative && coefficient != 0 => 1,
                _ => 0,
            }
        } else {
            let unit = pow10(drop as u32);
            let whole = BigUint::from(coefficient) / &unit;
            let exact = &whole * &unit == BigUint::from(coefficient);
            let whole = u128::try_from(whole).unwrap_or(0);
            match mode {
                Rounding::HalfEven => {
                    u128::try_from(half_even(&BigUint::from(coefficient), &unit, false))
                        .unwrap_or(0)
                }
                Rounding::Truncate => whole,
                Rounding::Floor => whole + u128::from(negative && !exact),
                Rounding::Ceiling => whole + u128::from(!negative && !exact),
            }
        };
        Decimal::Finite {
            negative,
            coefficient: value,
            exponent: -places,
        }
    }

    pub fn to_f64(self) -> f64 {
        match self {
            Decimal::Nan => f64::NAN,
            Decimal::Infinite { negative } => {
                if negative {
                    f64::NEG_INFINITY
                } else {
                    f64::INFINITY
                }
            }
            Decimal::Finite { .. } => self.to_string().parse().unwrap_or(f64::NAN),
        }
    }

    /// The integer part, when it fits.
    pub fn to_i64(self) -> Option<i64> {
        let Decimal::Finite {
            negative,
            coefficient,
            exponent,
        } = self.round_to(0, Rounding::Truncate)
        else {
            return None;
        };
        if coefficient == 0 {
            return Some(0);
        }
        let value = coefficient.checked_mul(10u128.checked_pow(u32::try_from(exponent).ok()?)?)?;
        let value = i128::try_from(value).ok()?;
        i64::try_from(if negative { -value } else { value }).ok()
    }

    /// Whether there is no fraction.
    pub fn is_integral(self) -> bool {
        self.is_finite() && self.compare(self.round_to(0, Rounding::Truncate)) == Ordering::Equal
    }

    /// Total order: NaN below everything, equal to itself.
    pub fn compare(self, other: Self) -> Ordering {
        use Decimal::*;
        match (self, other) {
            (Nan, Nan) => Ordering::Equal,
            (Nan, _) => Ordering::Less,
            (_, Nan) => Ordering::Greater,
            _ => self.signed_rank().cmp(&other.signed_rank()).then_with(|| {
                let magnitude = self.compare_magnitude(other);
                if self.is_negative() {
                    magnitude.reverse()
                } else {
                    magnitude
                }
            }),
        }
    }

    fn signed_rank(self) -> i8 {
        match self {
            Decimal::Infinite { negative: true } => -2,
            Decimal::Infinite { negative: false } => 2,
            Decimal::Finite { coefficient: 0, .. } => 0,
            Decimal::Finite { negative, .. } => {
                if negative {
                    -1
                } else {
                    1
                }
            }
            Decimal::Nan => -3,
        }
    }

    fn compare_magnitude(self, other: Self) -> Ordering {
        let (
            Decimal::Finite {
                coefficient: ac,
                exponent: ae,
                ..
            },
            Decimal::Finite {
                coefficient: bc,
                exponent: be,
                ..
            },
        ) = (self, other)
        else {
            return Ordering::Equal;
        };
        if ac == 0 || bc == 0 {
            return ac.cmp(&bc);
        }
        (digits_of(ac) + ae)
            .cmp(&(digits_of(bc) + be))
            .then_with(|| {
                let (a, b) = (digits_of(ac), digits_of(bc));
                let wide = a.max(b);
                let a = BigUint::from(ac) * pow10((wide - a) as u32);
                let b = BigUint::from(bc) * pow10((wide - b) as u32);
                a.cmp(&b)
            })
    }

    /// Sign, decimal digits without trailing zeros, and the position of the point before them:
    /// the value is `0.digits × 10^point`. For keys, where equal values need equal bytes.
    pub fn canonical(self) -> Option<(bool, String, i32)> {
        let Decimal::Finite {
            negative,
            coefficient,
            exponent,
        } = self
        else {
            return None;
        };
        let digits = coefficient.to_string();
        let point = digits.len() as i32 + exponent;
        Some((negative, digits.trim_end_matches('0').to_owned(), point))
    }
}

/// How digits are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    HalfEven,
    Truncate,
    Floor,
    Ceiling,
}

fn half_even(value: &BigUint, unit: &BigUint, sticky: bool) -> BigUint {
    let quotient = value / unit;
    let twice = (value - &quotient * unit) * 2u8;
    let up = match twice.cmp(unit) {
        Ordering::Greater => true,
        Ordering::Equal => sticky || quotient.bit(0),
        Ordering::Less => false,
    };
    if up { quotient + 1u8 } else { quotient }
}

fn add_finite(a: (bool, u128, i32), b: (bool, u128, i32)) -> Decimal {
    let (high, low) = if a.2 >= b.2 { (a, b) } else { (b, a) };
    let gap = (high.2 - low.2) as u32;
    if gap > 2 * DIGITS + 4 && high.1 != 0 {
        // The smaller cannot reach the last digit of the larger.
        let padded = BigUint::from(high.1) * pow10(DIGITS);
        return Decimal::round(
            high.0,
            padded,
            i64::from(high.2) - i64::from(DIGITS),
            low.1 != 0,
        );
    }
    let high_value = if high.1 == 0 {
        BigUint::ZERO
    } else {
        BigUint::from(high.1) * pow10(gap)
    };
    let low_value = BigUint::from(low.1);
    let exponent = i64::from(low.2);
    if high.0 == low.0 {
        return Decimal::round(high.0, high_value + low_value, exponent, false);
    }
    match high_value.cmp(&low_value) {
        Ordering::Equal => Decimal::round(false, BigUint::ZERO, exponent, false),
        Ordering::Greater => Decimal::round(high.0, high_value - low_value, exponent, false),
        Ordering::Less => Decimal::round(low.0, low_value - high_value, exponent, false),
    }
}

impl std::fmt::Display for Decimal {
    /// The standard's scientific string, as drivers print it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Decimal::Finite {
            negative,
            coefficient,
            exponent,
        } = *self
        else {
            return f.write_str(match self {
                Decimal::Nan => "NaN",
                Decimal::Infinite { negative: true } => "-Infinity",
                _ => "Infinity",
            });
        };
        if negative {
            f.write_str("-")?;
        }
        let digits = coefficient.to_string();
        let adjusted = exponent + digits.len() as i32 - 1;
        if exponent <= 0 && adjusted >= -6 {
            if exponent == 0 {
                return f.write_str(&digits);
            }
            let fraction = (-exponent) as usize;
            return if digits.len() > fraction {
                let (whole, rest) = digits.split_at(digits.len() - fraction);
                write!(f, "{whole}.{rest}")
            } else {
                write!(f, "0.{}{digits}", "0".repeat(fraction - digits.len()))
            };
        }
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        write!(f, "{first}{point}{rest}E{adjusted:+}")
    }
}
