//! Arithmetic on numbers and dates, and bits.

use super::*;
use crate::document::decimal::{Decimal, Rounding};
use crate::document::number::{Number, f64_to_i64};

pub(super) fn operator(name: &str) -> Option<Operator> {
    let op = |name, min, max, call| {
        Some(Operator {
            name,
            min,
            max,
            call,
        })
    };
    match name {
        "$add" => op("$add", 0, usize::MAX, add),
        "$multiply" => op("$multiply", 0, usize::MAX, multiply),
        "$subtract" => op("$subtract", 2, 2, subtract),
        "$divide" => op("$divide", 2, 2, divide),
        "$mod" => op("$mod", 2, 2, modulo),
        "$abs" => op("$abs", 1, 1, unary),
        "$ceil" => op("$ceil", 1, 1, unary),
        "$floor" => op("$floor", 1, 1, unary),
        "$sqrt" => op("$sqrt", 1, 1, unary),
        "$exp" => op("$exp", 1, 1, unary),
        "$ln" => op("$ln", 1, 1, unary),
        "$log10" => op("$log10", 1, 1, unary),
        "$log" => op("$log", 2, 2, log),
        "$pow" => op("$pow", 2, 2, pow),
        "$round" => op("$round", 1, 2, round),
        "$trunc" => op("$trunc", 1, 2, round),
        "$bitAnd" => op("$bitAnd", 0, usize::MAX, bits),
        "$bitOr" => op("$bitOr", 0, usize::MAX, bits),
        "$bitXor" => op("$bitXor", 0, usize::MAX, bits),
        "$bitNot" => op("$bitNot", 1, 1, bit_not),
        _ => None,
    }
}

pub(super) fn number(v: Number) -> Val<'static> {
    Val::Own(v.to_buf())
}

fn add<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let mut sum = Number::Int(0);
    let mut date = None;
    for argument in arguments {
        let value = argument.as_bson();
        if value.is_nullish() {
            return Ok(Val::NULL);
        }
        if let Some(ms) = value.as_date() {
            if date.is_some() {
                fail!(16612, "only one date allowed in an {name} expression");
            }
            date = Some(ms);
        } else if let Some(n) = Number::of(value) {
            sum = sum.plus(n);
        } else {
            fail!(
                code::TYPE_MISMATCH,
                "{name} only supports numeric or date types, not {}",
                value.type_name()
            );
        }
    }
    match date {
        None => Ok(number(sum)),
        Some(ms) => shifted_date(ms, sum),
    }
}

fn shifted_date<'a>(ms: i64, by: Number) -> DocResult<Val<'a>> {
    let by = match by {
        Number::Double(v) => f64_to_i64(v.round()),
        Number::Decimal(v) => v.round_to(0, Rounding::HalfEven).to_i64(),
        other => other.as_i64(),
    };
    match by.and_then(|by| ms.checked_add(by)) {
        Some(ms) => Ok(BsonBuf::date(ms).into()),
        None => fail!(code::OVERFLOW, "date overflow in $add"),
    }
}

fn multiply<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let mut product = Number::Int(1);
    let mut null = false;
    for argument in arguments {
        let value = argument.as_bson();
        if value.is_nullish() {
            null = true;
        } else if let Some(n) = Number::of(value) {
            product = product.times(n);
        } else {
            fail!(
                code::TYPE_MISMATCH,
                "{name} only supports numeric types, not {}",
                value.type_name()
            );
        }
    }
    Ok(if null { Val::NULL } else { number(product) })
}

fn subtract<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let (a, b) = (arguments[0].as_bson(), arguments[1].as_bson());
    if a.is_nullish() || b.is_nullish() {
        return Ok(Val::NULL);
    }
    match (Number::of(a), Number::of(b), a.as_date(), b.as_date()) {
        (Some(a), Some(b), ..) => Ok(number(a.minus(b))),
        (_, _, Some(a), Some(b)) => match a.checked_sub(b) {
            Some(ms) => Ok(BsonBuf::int64(ms).into()),
            None => fail!(code::OVERFLOW, "date overflow in {name}"),
        },
        (_, Some(b), Some(a), _) => shifted_date(a, Number::Int(0).minus(b)),
        _ => fail!(
            code::TYPE_MISMATCH,
            "can't {name} {} from {}",
            b.type_name(),
            a.type_name()
        ),
    }
}

fn both<'a>(
    name: &'static str,
    error: i32,
    arguments: &[Val<'a>],
) -> DocResult<Option<(Number, Number)>> {
    let (a, b) = (arguments[0].as_bson(), arguments[1].as_bson());
    if a.is_nullish() || b.is_nullish() {
        return Ok(None);
    }
    match (Number::of(a), Number::of(b)) {
        (Some(a), Some(b)) => Ok(Some((a, b))),
        _ => fail!(
            error,
            "{name} only supports numeric types, not {} and {}",
            a.type_name(),
            b.type_name()
        ),
    }
}

fn divide<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let Some((a, b)) = both(name, code::TYPE_MISMATCH, arguments)? else {
        return Ok(Val::NULL);
    };
    if b.is_zero() {
        fail!(code::BAD_VALUE, "can't $divide by zero");
    }
    Ok(number(match (a, b) {
        (Number::Decimal(_), _) | (_, Number::Decimal(_)) => {
            Number::Decimal(a.to_decimal().over(b.to_decimal()))
        }
        _ => Number::Double(a.to_f64() / b.to_f64()),
    }))
}

fn modulo<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let Some((a, b)) = both(name, 16611, arguments)? else {
        return Ok(Val::NULL);
    };
    if b.is_zero() {
        fail!(16610, "can't {name} by zero");
    }
    Ok(number(match (a, b) {
        (Number::Decimal(_), _) | (_, Number::Decimal(_)) => {
            Number::Decimal(a.to_decimal().modulo(b.to_decimal()))
        }
        (Number::Int(a), Number::Int(b)) => Number::Int(a.wrapping_rem(b)),
        // A whole double beside an integer counts as an integer of its type.
        (Number::Double(_), whole) | (whole, Number::Double(_)) => {
            match (a.to_exact_i64(), b.to_exact_i64()) {
                (Some(x), Some(y)) if whole.is_integer_type() => {
                    let rest = x.wrapping_rem(y);
                    match whole {
                        Number::Int(_) => {
                            i32::try_from(rest).map_or(Number::Long(rest), Number::Int)
                        }
                        _ => Number::Long(rest),
                    }
                }
                _ => Number::Double(a.to_f64() % b.to_f64()),
            }
        }
        _ => Number::Long(
            a.as_i64()
                .unwrap_or(0)
                .wrapping_rem(b.as_i64().unwrap_or(1)),
        ),
    }))
}

fn unary<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let value = arguments[0].as_bson();
    if value.is_nullish() {
        return Ok(Val::NULL);
    }
    let Some(n) = Number::of(value) else {
        fail!(
            28765,
            "{name} only supports numeric types, not {}",
            value.type_name()
        );
    };
    Ok(number(match name {
        "$abs" => absolute(n)?,
        "$ceil" | "$floor" => {
            let ceiling = name == "$ceil";
            match n {
                Number::Double(v) => Number::Double(if ceiling { v.ceil() } else { v.floor() }),
                Number::Decimal(v) => Number::Decimal(v.round_to(
                    0,
                    if ceiling {
                        Rounding::Ceiling
                    } else {
                        Rounding::Floor
                    },
                )),
                whole => whole,
            }
        }
        "$sqrt" => {
            if n.to_f64() < 0.0 {
                fail!(28714, "$sqrt's argument must be greater than or equal to 0");
            }
            through_f64(n, f64::sqrt)
        }
        "$exp" => through_f64(n, f64::exp),
        "$ln" | "$log10" => {
            if n.to_f64() <= 0.0 {
                let error = if name == "$ln" { 28766 } else { 28761 };
                fail!(
                    error,
                    "{name}'s argument must be a positive number, but is {}",
                    crate::document::display::render(value)
                );
            }
            through_f64(n, if name == "$ln" { f64::ln } else { f64::log10 })
        }
        _ => n,
    }))
}

fn absolute(n: Number) -> DocResult<Number> {
    Ok(match n {
        Number::Int(v) => match v.checked_abs() {
            Some(v) => Number::Int(v),
            None => Number::Long(i64::from(v).abs()),
        },
        Number::Long(v) => match v.checked_abs() {
            Some(v) => Number::Long(v),
            None => fail!(28680, "can't take $abs of long long min"),
        },
        Number::Double(v) => Number::Double(v.abs()),
        Number::Decimal(v) => Number::Decimal(v.abs()),
    })
}

/// A function of doubles; a decimal argument gives a decimal with the double's precision.
pub(super) fn through_f64(n: Number, f: fn(f64) -> f64) -> Number {
    match n {
        Number::Decimal(v) => Number::Decimal(Decimal::from_f64(f(v.to_f64()), 17)),
        other => Number::Double(f(other.to_f64())),
    }
}

fn log<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let (value, base) = (arguments[0].as_bson(), arguments[1].as_bson());
    if value.is_nullish() || base.is_nullish() {
        return Ok(Val::NULL);
    }
    let Some(v) = Number::of(value) else {
        fail!(
            28756,
            "{name}'s argument must be numeric, not {}",
            value.type_name()
        );
    };
    let Some(b) = Number::of(base) else {
        fail!(
            28757,
            "{name}'s base must be numeric, not {}",
            base.type_name()
        );
    };
    if v.to_f64() <= 0.0 {
        fail!(
            28758,
            "{name}'s argument must be a positive number, but is {}",
            v.to_f64()
        );
    }
    if b.to_f64() <= 0.0 || b.to_f64() == 1.0 {
        fail!(
            28759,
            "{name}'s base must be a positive number not equal to 1, but is {}",
            b.to_f64()
        );
    }
    let result = v.to_f64().ln() / b.to_f64().ln();
    Ok(number(match (v, b) {
        (Number::Decimal(_), _) | (_, Number::Decimal(_)) => {
            Number::Decimal(Decimal::from_f64(result, 17))
        }
        _ => Number::Double(result),
    }))
}

fn pow<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let (base, exponent) = (arguments[0].as_bson(), arguments[1].as_bson());
    if base.is_nullish() || exponent.is_nullish() {
        return Ok(Val::NULL);
    }
    let Some(b) = Number::of(base) else {
        fail!(
            28762,
            "{name}'s base must be numeric, not {}",
            base.type_name()
        );
    };
    let Some(e) = Number::of(exponent) else {
        fail!(
            28763,
            "{name}'s exponent must be numeric, not {}",
            exponent.type_name()
        );
    };
    if b.is_zero() && e.to_f64() < 0.0 {
        fail!(
            28764,
            "{name} cannot take a base of 0 and a negative exponent"
        );
    }
    let approximate = b.to_f64().powf(e.to_f64());
    Ok(number(match (b, e) {
        (Number::Decimal(_), _) | (_, Number::Decimal(_)) => Number::Decimal(
            decimal_pow(b.to_decimal(), e).unwrap_or(Decimal::from_f64(approximate, 17)),
        ),
        (Number::Double(_), _) | (_, Number::Double(_)) => Number::Double(approximate),
        _ => integer_pow(b, e, approximate),
    }))
}

fn decimal_pow(base: Decimal, exponent: Number) -> Option<Decimal> {
    let exponent = exponent
        .to_exact_i64()
        .filter(|e| e.unsigned_abs() <= 1000)?;
    let mut result = Decimal::from_i64(1);
    for _ in 0..exponent.unsigned_abs() {
        result = result.times(base);
    }
    Some(if exponent < 0 {
        Decimal::from_i64(1).over(result)
    } else {
        result
    })
}

fn integer_pow(base: Number, exponent: Number, approximate: f64) -> Number {
    let narrow = matches!((base, exponent), (Number::Int(_), Number::Int(_)));
    let (b, e) = (base.as_i64().unwrap_or(0), exponent.as_i64().unwrap_or(0));
    let exact = match u32::try_from(e) {
        Ok(e) => b.checked_pow(e),
        Err(_) if b == 1 => Some(1),
        Err(_) if b == -1 => Some(if e % 2 == 0 { 1 } else { -1 }),
        Err(_) => None,
    };
    match exact {
        Some(v) => match i32::try_from(v) {
            Ok(v) if narrow => Number::Int(v),
            _ => Number::Long(v),
        },
        None => Number::Double(approximate),
    }
}

fn round<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let value = arguments[0].as_bson();
    let place = match arguments.get(1) {
        None => 0,
        Some(place) if place.is_nullish() => return Ok(Val::NULL),
        Some(place) => match Number::of(place.as_bson()).and_then(Number::to_exact_i64) {
            Some(v) if (-20..=100).contains(&v) => v as i32,
            Some(v) => fail!(
                51083,
                "cannot apply {name} with precision value {v} value must be in [-20, 100]"
            ),
            None => fail!(
                51082,
                "precision argument to  {name} must be a integral value"
            ),
        },
    };
    if value.is_nullish() {
        return Ok(Val::NULL);
    }
    let Some(n) = Number::of(value) else {
        fail!(
            51081,
            "{name} only supports numeric types, not {}",
            value.type_name()
        );
    };
    let mode = if name == "$round" {
        Rounding::HalfEven
    } else {
        Rounding::Truncate
    };
    Ok(number(match n {
        Number::Decimal(v) => Number::Decimal(v.round_to(place, mode)),
        Number::Double(v) if !v.is_finite() => n,
        Number::Double(v) if place == 0 => Number::Double(if name == "$round" {
            v.round_ties_even()
        } else {
            v.trunc()
        }),
        Number::Double(v) => {
            Number::Double(Decimal::from_f64(v, 17).round_to(place, mode).to_f64())
        }
        whole if place >= 0 => whole,
        whole => {
            let rounded = whole.to_decimal().round_to(place, mode).to_i64();
            match (whole, rounded) {
                (Number::Int(_), Some(v)) => i32::try_from(v).map_or(Number::Long(v), Number::Int),
                (_, Some(v)) => Number::Long(v),
                (_, None) => fail!(
                    51080,
                    "invalid conversion from Decimal128 result in {name} resulting from arguments: [{value:?}, {place}]"
                ),
            }
        }
    }))
}

fn bits<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let mut result: i64 = if name == "$bitAnd" { -1 } else { 0 };
    let mut long = false;
    let mut null = false;
    for argument in arguments {
        let value = argument.as_bson();
        if value.is_nullish() {
            null = true;
            continue;
        }
        let v = match Number::of(value) {
            Some(Number::Int(v)) => i64::from(v),
            Some(Number::Long(v)) => {
                long = true;
                v
            }
            _ => fail!(
                code::TYPE_MISMATCH,
                "{name} only supports int and long operands, not {}",
                value.type_name()
            ),
        };
        match name {
            "$bitAnd" => result &= v,
            "$bitOr" => result |= v,
            _ => result ^= v,
        }
    }
    if null {
        return Ok(Val::NULL);
    }
    Ok(number(if long {
        Number::Long(result)
    } else {
        Number::Int(result as i32)
    }))
}

fn bit_not<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let value = arguments[0].as_bson();
    if value.is_nullish() {
        return Ok(Val::NULL);
    }
    match Number::of(value) {
        Some(Number::Int(v)) => Ok(number(Number::Int(!v))),
        Some(Number::Long(v)) => Ok(number(Number::Long(!v))),
        _ => fail!(
            28765,
            "{name} only supports int and long, not {}",
            value.type_name()
        ),
    }
}
