//! Numbers as Redis reads and writes them in strings, hash fields and scores.
//!
//! Doubles are written with the shortest digits that read back as the same number, as Redis does
//! since 7.2, with an exponent only when they are very large or very small. INCRBYFLOAT and
//! HINCRBYFLOAT calculate in Redis with an 80-bit `long double` and print 17 decimals; here
//! [`add_decimal`] adds exactly, in fixed point, so that `0.1 + 0.2` is `0.3` too.

use helios_types::{Result, bail};

/// Redis' strict integer: an optional minus, no blank, no plus, no leading zero, in range.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut magnitude: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit - b'0');
    }
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// Decimal digits of `number`, without an allocation of their own.
pub fn write_i64(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `number` to `out`.
pub fn write_f64(out: &mut Vec<u8>, number: f64) {
    if number.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if number.is_infinite() {
        return out.extend_from_slice(if number > 0.0 { b"inf" } else { b"-inf" });
    }
    if number == 0.0 {
        return out.extend_from_slice(if number.is_sign_negative() {
            b"-0"
        } else {
            b"0"
        });
    }
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return write_i64(out, number as i64);
    }
    // `{:e}` prints the shortest digits that read back as the same number.
    write_shortest(out, &format!("{number:e}"));
}

/// Lays out the digits (`1.5e0`, `1e21`, `1.25e-7`) the way C's `%g` would.
fn write_shortest(out: &mut Vec<u8>, text: &str) {
    let (mantissa, exponent) = match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().unwrap_or(0)),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = if fraction == "0" { "" } else { fraction };
    let all = [whole.as_bytes(), fraction.as_bytes()].concat();
    // The number is 0.DIGITS × 10^point.
    let leading = all.iter().take_while(|digit| **digit == b'0').count();
    let point = whole.len() as i32 + exponent - leading as i32;
    let digits = all[leading..].trim_ascii_end();
    let trailing = digits
        .iter()
        .rev()
        .take_while(|digit| **digit == b'0')
        .count();
    let digits = &digits[..digits.len() - trailing];
    if negative {
        out.push(b'-');
    }
    let count = digits.len() as i32;
    let scientific = point - 1;
    if point >= count && point <= count + 7 && point <= 21 {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', (point - count) as usize));
    } else if point > 0 && point < count {
        out.extend_from_slice(&digits[..point as usize]);
        out.push(b'.');
        out.extend_from_slice(&digits[point as usize..]);
    } else if point <= 0 && scientific > -7 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-point) as usize));
        out.extend_from_slice(digits);
    } else {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.push(b'e');
        out.push(if scientific < 0 { b'-' } else { b'+' });
        if scientific.abs() < 10 {
            out.push(b'0');
        }
        write_i64(out, i64::from(scientific.abs()));
    }
}

/// A number in the forms that Redis takes for scores; `None` for NaN and for anything else.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let first = *text.first()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.' | b'i' | b'I')) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let number: f64 = text.parse().ok()?;
    if number.is_nan() {
        return None;
    }
    // An overflow to infinity is a range error, an infinity that was spelled out is not.
    let spelled = text.trim_start_matches(['+', '-']).starts_with(['i', 'I']);
    (number.is_finite() || spelled).then_some(number)
}

/// Digits after the point that Redis prints of a `long double`.
const DECIMALS: u32 = 17;
const ONE: i128 = 10i128.pow(DECIMALS);

/// `left + right`, written as Redis writes a `long double`: 17 decimals at most, no trailing zeros.
pub fn add_decimal(left: &[u8], right: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(24);
    if let (Some(left), Some(right)) = (parse_fixed(left), parse_fixed(right))
        && let Some(sum) = left.checked_add(right)
    {
        write_fixed(&mut out, sum);
        return Ok(out);
    }
    let (Some(left), Some(right)) = (parse_f64(left), parse_f64(right)) else {
        bail!(InvalidTextRepresentation, "value is not a valid float");
    };
    let sum = left + right;
    if !sum.is_finite() {
        bail!(NumericOutOfRange, "increment would produce NaN or Infinity");
    }
    let text = format!("{sum:.17}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    out.extend_from_slice(text.as_bytes());
    Ok(out)
}

/// Whether `text` is a number that INCRBYFLOAT takes.
pub fn is_decimal(text: &[u8]) -> bool {
    parse_fixed(text).is_some() || parse_f64(text).is_some()
}

/// A decimal number in units of 10^-17; `None` when it is none or needs more room.
fn parse_fixed(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix(['-', '+']) {
        Some(rest) => (mantissa.starts_with('-'), rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut digits: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        digits = digits
            .checked_mul(10)?
            .checked_add(i128::from(digit - b'0'))?;
    }
    let shift = DECIMALS as i32 + exponent - fraction.len() as i32;
    let number = if shift >= 0 {
        digits.checked_mul(10i128.checked_pow(shift as u32)?)?
    } else {
        let divisor = 10i128.checked_pow(shift.unsigned_abs())?;
        (digits + divisor / 2) / divisor
    };
    Some(if negative { -number } else { number })
}

fn write_fixed(out: &mut Vec<u8>, number: i128) {
    if number < 0 {
        out.push(b'-');
    }
    let number = number.unsigned_abs();
    let (whole, fraction) = (number / ONE as u128, number % ONE as u128);
    out.extend_from_slice(whole.to_string().as_bytes());
    if fraction != 0 {
        let digits = format!("{fraction:017}");
        out.push(b'.');
        out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
    }
}

/// Eight bytes that sort as the numbers do; NaN never gets here and -0 is stored as 0.
pub fn score_key(score: f64) -> [u8; 8] {
    let bits = (score + 0.0).to_bits();
    let ordered = if bits >> 63 == 0 {
        bits ^ (1 << 63)
    } else {
        !bits
    };
    ordered.to_be_bytes()
}

pub fn score_of(key: [u8; 8]) -> f64 {
    let ordered = u64::from_be_bytes(key);
    let bits = if ordered >> 63 == 1 {
        ordered ^ (1 << 63)
    } else {
        !ordered
    };
    f64::from_bits(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(number: f64) -> String {
        let mut out = Vec::new();
        write_f64(&mut out, number);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_are_written_as_redis_writes_them() {
        for (number, text) in [
            (3.0, "3"),
            (3.5, "3.5"),
            (-2.25, "-2.25"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (1e21, "1e+21"),
            (1e17, "1e+17"),
            (1.5e300, "1.5e+300"),
            (1e-7, "1e-07"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (0.0, "0"),
            (123456789012345680.0, "123456789012345680"),
        ] {
            assert_eq!(shown(number), text);
        }
    }

    #[test]
    fn integers_are_read_strictly() {
        for (text, number) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("01", None),
            ("+1", None),
            (" 1", None),
            ("1 ", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn decimals_are_added_exactly() {
        for (left, right, sum) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("-1.5", "1.5", "0"),
            ("17179869184", "1.5", "17179869185.5"),
            ("1", "-1.1", "-0.1"),
        ] {
            let got = add_decimal(left.as_bytes(), right.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(got).unwrap(), sum);
        }
    }

    #[test]
    fn score_keys_sort_as_scores_do() {
        let scores = [
            f64::NEG_INFINITY,
            -1e300,
            -1.0,
            -1e-300,
            0.0,
            1e-300,
            1.0,
            1e300,
            f64::INFINITY,
        ];
        for pair in scores.windows(2) {
            assert!(score_key(pair[0]) < score_key(pair[1]));
            assert_eq!(score_of(score_key(pair[0])), pair[0]);
        }
        assert_eq!(score_key(-0.0), score_key(0.0));
    }
}
