//! Trigonometric and hyperbolic functions.

use super::arithmetic::{number, through_f64};
use super::*;
use crate::document::number::Number;

type Real = fn(f64) -> f64;

pub(super) fn operator(name: &str) -> Option<Operator> {
    let op = |name, max, call| {
        Some(Operator {
            name,
            min: max,
            max,
            call,
        })
    };
    match name {
        "$sin" => op("$sin", 1, call),
        "$cos" => op("$cos", 1, call),
        "$tan" => op("$tan", 1, call),
        "$asin" => op("$asin", 1, call),
        "$acos" => op("$acos", 1, call),
        "$atan" => op("$atan", 1, call),
        "$sinh" => op("$sinh", 1, call),
        "$cosh" => op("$cosh", 1, call),
        "$tanh" => op("$tanh", 1, call),
        "$asinh" => op("$asinh", 1, call),
        "$acosh" => op("$acosh", 1, call),
        "$atanh" => op("$atanh", 1, call),
        "$degreesToRadians" => op("$degreesToRadians", 1, call),
        "$radiansToDegrees" => op("$radiansToDegrees", 1, call),
        "$atan2" => op("$atan2", 2, atan2),
        _ => None,
    }
}

/// The function and the interval on which it is defined.
fn function(name: &str) -> (Real, f64, f64) {
    const ALL: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);
    let (f, (low, high)): (Real, (f64, f64)) = match name {
        "$sin" => (f64::sin, (f64::MIN, f64::MAX)),
        "$cos" => (f64::cos, (f64::MIN, f64::MAX)),
        "$tan" => (f64::tan, (f64::MIN, f64::MAX)),
        "$asin" => (f64::asin, (-1.0, 1.0)),
        "$acos" => (f64::acos, (-1.0, 1.0)),
        "$atan" => (f64::atan, ALL),
        "$sinh" => (f64::sinh, ALL),
        "$cosh" => (f64::cosh, ALL),
        "$tanh" => (f64::tanh, ALL),
        "$asinh" => (f64::asinh, ALL),
        "$acosh" => (f64::acosh, (1.0, f64::INFINITY)),
        "$atanh" => (f64::atanh, (-1.0, 1.0)),
        "$degreesToRadians" => (|v| v * (std::f64::consts::PI / 180.0), ALL),
        _ => (|v| v * (180.0 / std::f64::consts::PI), ALL),
    };
    (f, low, high)
}

fn call<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
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
    let (f, low, high) = function(name);
    let v = n.to_f64();
    if !v.is_nan() && !(low..=high).contains(&v) {
        fail!(
            50989,
            "cannot apply {name} to {}, value must be in [{low},{high}]",
            crate::document::display::render(value)
        );
    }
    Ok(number(through_f64(n, f)))
}

fn atan2<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let (y, x) = (arguments[0].as_bson(), arguments[1].as_bson());
    if y.is_nullish() || x.is_nullish() {
        return Ok(Val::NULL);
    }
    let (Some(y), Some(x)) = (Number::of(y), Number::of(x)) else {
        fail!(
            51044,
            "{name} only supports numeric types, not {} and {}",
            y.type_name(),
            x.type_name()
        );
    };
    let angle = y.to_f64().atan2(x.to_f64());
    Ok(number(match (y, x) {
        (Number::Decimal(_), _) | (_, Number::Decimal(_)) => {
            Number::Decimal(crate::document::decimal::Decimal::from_f64(angle, 17))
        }
        _ => Number::Double(angle),
    }))
}
