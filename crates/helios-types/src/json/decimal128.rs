//! IEEE 754-2008 decimal128 in the binary integer encoding, as BSON stores it.
//!
//! ```text
//! bit 127 sign | 126..113 exponent + 6176 | 112..0 coefficient        coefficient < 2^113
//! bits 126..125 both set: 126..122 = 11110 infinity, 11111 NaN, else a coefficient too large,
//! which counts as zero
//! ```

use crate::numeric::Numeric;
use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};

const EXPONENT_BIAS: i64 = 6176;
const EXPONENT_MIN: i64 = -EXPONENT_BIAS;
const EXPONENT_MAX: i64 = 6111;
const COEFFICIENT_MAX: u128 = 9_999_999_999_999_999_999_999_999_999_999_999;

/// `bytes` are little-endian, as in BSON.
pub fn decimal128_to_numeric(bytes: [u8; 16]) -> Numeric {
    let bits = u128::from_le_bytes(bytes);
    let negative = bits >> 127 == 1;
    match bits >> 122 & 0x1f {
        0x1f => return Numeric::NAN,
        0x1e if negative => return Numeric::NEG_INFINITY,
        0x1e => return Numeric::INFINITY,
        _ => {}
    }
    let large = bits >> 125 & 3 == 3;
    let exponent_bits = if large {
        bits >> 111 & 0x3fff
    } else {
        bits >> 113 & 0x3fff
    };
    let mut coefficient = if large { 0 } else { bits & ((1 << 113) - 1) };
    if coefficient > COEFFICIENT_MAX {
        coefficient = 0;
    }
    let exponent = exponent_bits as i64 - EXPONENT_BIAS;
    let mantissa = BigInt::from(coefficient);
    let mantissa = if negative { -mantissa } else { mantissa };
    Numeric::from_big(mantissa, -exponent).unwrap_or(Numeric::NAN)
}

/// The encoding of exactly this value with its display scale; `None` when it has too many digits.
pub fn numeric_to_decimal128(value: &Numeric) -> Option<[u8; 16]> {
    let Some((mut mantissa, scale)) = value.to_parts() else {
        let special: u128 = match value.signum() {
            None => 0x1f << 122,
            Some(1) => 0x1e << 122,
            _ => 1 << 127 | 0x1e << 122,
        };
        return Some(special.to_le_bytes());
    };
    let mut exponent = -i64::from(scale);
    if exponent < EXPONENT_MIN {
        return None;
    }
    // Zeros in front of the point may go into the exponent; they print the same.
    if exponent == 0 && mantissa.bits() > 113 {
        let ten = BigInt::from(10u8);
        while mantissa
            .magnitude()
            .to_u128()
            .is_none_or(|m| m > COEFFICIENT_MAX)
        {
            let quotient = &mantissa / &ten;
            if &quotient * &ten != mantissa {
                return None;
            }
            mantissa = quotient;
            exponent += 1;
        }
    }
    let coefficient = mantissa
        .magnitude()
        .to_u128()
        .filter(|m| *m <= COEFFICIENT_MAX)?;
    if exponent > EXPONENT_MAX {
        return None;
    }
    let sign = u128::from(mantissa.is_negative()) << 127;
    let bits = sign | ((exponent + EXPONENT_BIAS) as u128) << 113 | coefficient;
    Some(bits.to_le_bytes())
}
