//! Conversions between types: `$convert` and its short forms.

use super::date::moment;
use super::*;
use crate::document::decimal::{Decimal, Rounding};
use crate::document::display::{hex, render};
use crate::document::error::DocError;
use crate::document::number::{Number, f64_to_i64};

pub(super) fn operator(name: &str) -> Option<Operator> {
    let op = |name, call| {
        Some(Operator {
            name,
            min: 1,
            max: 1,
            call,
        })
    };
    match name {
        "$toString" => op("$toString", short),
        "$toInt" => op("$toInt", short),
        "$toLong" => op("$toLong", short),
        "$toDouble" => op("$toDouble", short),
        "$toDecimal" => op("$toDecimal", short),
        "$toBool" => op("$toBool", short),
        "$toDate" => op("$toDate", short),
        "$toObjectId" => op("$toObjectId", short),
        _ => None,
    }
}

pub(super) fn named(name: &str) -> Option<NamedOperator> {
    match name {
        "$convert" => Some(NamedOperator {
            name: "$convert",
            parameters: &[
                ("input", true),
                ("to", true),
                ("onError", false),
                ("onNull", false),
            ],
            call: convert,
        }),
        _ => None,
    }
}

fn short<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let value = arguments[0].as_bson();
    if value.is_nullish() {
        return Ok(Val::NULL);
    }
    let tag = match name {
        "$toString" => STRING,
        "$toInt" => INT32,
        "$toLong" => INT64,
        "$toDouble" => DOUBLE,
        "$toDecimal" => DECIMAL,
        "$toBool" => BOOL,
        "$toDate" => DATE,
        _ => OBJECT_ID,
    };
    to_type(value, tag).map(Val::Own)
}

fn convert<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let get = |i: usize| arguments[i].as_ref().map_or(Bson::MISSING, Val::as_bson);
    let (input, to) = (get(0), get(1));
    let target = if to.is_nullish() {
        None
    } else {
        Some(target_type(name, to)?)
    };
    if input.is_nullish() {
        return Ok(arguments[3].clone().unwrap_or(Val::NULL));
    }
    let Some(target) = target else {
        return Ok(Val::NULL);
    };
    match to_type(input, target) {
        Ok(value) => Ok(value.into()),
        Err(error) => match &arguments[2] {
            Some(on_error) => Ok(on_error.clone()),
            None => Err(error),
        },
    }
}

fn target_type(name: &str, to: Bson<'_>) -> DocResult<u8> {
    if let Some(alias) = to.as_str().filter(|_| to.tag == STRING) {
        return match (1..=19)
            .chain([MIN_KEY, MAX_KEY])
            .find(|tag| type_name(*tag) == alias)
        {
            Some(tag) => Ok(tag),
            None => fail!(code::BAD_VALUE, "Unknown type name: {alias}"),
        };
    }
    match Number::of(to) {
        None => fail!(
            code::FAILED_TO_PARSE,
            "{name}'s 'to' argument must be a string or number, but is {}",
            to.type_name()
        ),
        Some(number) => match number.to_exact_i64() {
            Some(v @ 1..=19) => Ok(v as u8),
            Some(-1) => Ok(MIN_KEY),
            Some(127) => Ok(MAX_KEY),
            _ => fail!(
                code::FAILED_TO_PARSE,
                "In {name}, numeric value for 'to' does not correspond to a BSON type: {}",
                render(to)
            ),
        },
    }
}

fn failure(message: String) -> DocError {
    DocError::new(code::CONVERSION_FAILURE, message)
}

fn to_type(value: Bson<'_>, target: u8) -> DocResult<BsonBuf> {
    if value.tag == target
        && matches!(
            target,
            STRING | OBJECT_ID | BOOL | DATE | INT32 | INT64 | DOUBLE | DECIMAL
        )
    {
        return Ok(value.to_buf());
    }
    let unsupported = || {
        failure(format!(
            "Unsupported conversion from {} to {} in $convert with no onError value",
            value.type_name(),
            type_name(target)
        ))
    };
    match target {
        BOOL => Ok(BsonBuf::bool(match value.tag {
            INT32 | INT64 | DOUBLE | DECIMAL => value.truthy(),
            _ => true,
        })),
        STRING => match value.tag {
            DOUBLE | INT32 | INT64 | DECIMAL | BOOL | OBJECT_ID | DATE => {
                Ok(BsonBuf::string(&to_text(value)?))
            }
            _ => Err(unsupported()),
        },
        INT32 | INT64 => to_integer(value, target).unwrap_or_else(|| Err(unsupported())),
        DOUBLE => to_double(value).unwrap_or_else(|| Err(unsupported())),
        DECIMAL => to_decimal(value).unwrap_or_else(|| Err(unsupported())),
        DATE => to_date(value).unwrap_or_else(|| Err(unsupported())),
        OBJECT_ID => match value.as_str().filter(|_| value.tag == STRING) {
            Some(text) => object_id(text),
            None => Err(unsupported()),
        },
        _ => Err(unsupported()),
    }
}

/// The text of a scalar as `$toString` gives it.
pub fn to_text(value: Bson<'_>) -> DocResult<String> {
    Ok(match value.tag {
        STRING | SYMBOL | CODE => value.as_str().unwrap_or("").to_owned(),
        INT32 => value.as_i32().unwrap_or(0).to_string(),
        INT64 => value.as_i64().unwrap_or(0).to_string(),
        DOUBLE => double_text(value.as_f64().unwrap_or(0.0)),
        DECIMAL => Decimal::from_bson(value)
            .unwrap_or(Decimal::Nan)
            .to_string(),
        BOOL => value.truthy().to_string(),
        OBJECT_ID => hex(value.bytes),
        DATE => date_format::iso(value.as_date().unwrap_or(0)),
        TIMESTAMP => {
            let v = value.as_timestamp().unwrap_or(0);
            let iso = date_format::iso((v >> 32) as i64 * 1000);
            format!("{}:{}", iso, v & 0xffff_ffff)
        }
        _ => fail!(
            16007,
            "can't convert from BSON type {} to String",
            value.type_name()
        ),
    })
}

fn double_text(v: f64) -> String {
    if v.is_nan() {
        return "NaN".to_owned();
    }
    if v.is_infinite() {
        return if v > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if v.fract() == 0.0 && v.abs() < 1e21 {
        return format!("{v:.0}");
    }
    let plain = format!("{v}");
    if v.abs() < 1e-4 || v.abs() >= 1e21 {
        let scientific = format!("{v:e}");
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let sign = if exponent.starts_with('-') { "" } else { "+" };
        return format!("{mantissa}e{sign}{exponent}");
    }
    plain
}

type Converted = Option<DocResult<BsonBuf>>;

fn to_integer(value: Bson<'_>, target: u8) -> Converted {
    let narrow = target == INT32;
    let v = match value.tag {
        BOOL => Some(i64::from(value.truthy())),
        DATE if !narrow => value.as_date(),
        STRING => match value.as_str().and_then(parse_integer) {
            Some(v) => Some(v),
            None => {
                return Some(Err(failure(format!(
                    "Failed to parse number '{}' in $convert with no onError value",
                    value.as_str().unwrap_or("")
                ))));
            }
        },
        _ => {
            let number = Number::of(value)?;
            if !number.is_finite() {
                return Some(Err(failure(
                    "Attempt to convert NaN or infinity value to integer type in $convert with no onError value".to_owned(),
                )));
            }
            number.to_truncated_i64()
        }
    };
    let out_of_range = || {
        Err(failure(format!(
            "Conversion would overflow target type in $convert with no onError value: {}",
            render(value)
        )))
    };
    Some(match v {
        Some(v) if !narrow => Ok(BsonBuf::int64(v)),
        Some(v) => i32::try_from(v).map_or_else(|_| out_of_range(), |v| Ok(BsonBuf::int32(v))),
        None => out_of_range(),
    })
}

/// Decimal digits with a sign; no spaces, no other base.
fn parse_integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn to_double(value: Bson<'_>) -> Converted {
    let v = match value.tag {
        BOOL => f64::from(u8::from(value.truthy())),
        DATE => value.as_date()? as f64,
        STRING => {
            let text = value.as_str()?;
            let plain = !text.is_empty()
                && !text.contains(char::is_whitespace)
                && !text.to_ascii_lowercase().contains("0x");
            match text.parse::<f64>().ok().filter(|_| plain) {
                Some(v) => v,
                None => {
                    return Some(Err(failure(format!(
                        "Failed to parse number '{text}' in $convert with no onError value"
                    ))));
                }
            }
        }
        _ => {
            let number = Number::of(value)?;
            let v = number.to_f64();
            if v.is_infinite() && number.is_finite() {
                return Some(Err(failure(format!(
                    "Conversion would overflow target type in $convert with no onError value: {}",
                    render(value)
                ))));
            }
            v
        }
    };
    Some(Ok(BsonBuf::double(v)))
}

fn to_decimal(value: Bson<'_>) -> Converted {
    let v = match value.tag {
        BOOL => Decimal::from_i64(i64::from(value.truthy())),
        DATE => Decimal::from_i64(value.as_date()?),
        STRING => match value.as_str().and_then(Decimal::parse) {
            // Digits that overflow are no number; the word for infinity is one.
            Some(v)
                if v.is_finite()
                    || !value
                        .as_str()
                        .is_some_and(|t| t.contains(|c: char| c.is_ascii_digit())) =>
            {
                v
            }
            _ => {
                return Some(Err(failure(format!(
                    "Failed to parse number '{}' in $convert with no onError value",
                    value.as_str().unwrap_or("")
                ))));
            }
        },
        _ => Number::of(value)?.to_decimal(),
    };
    Some(Ok(v.to_buf()))
}

fn to_date(value: Bson<'_>) -> Converted {
    let overflow = || {
        Err(failure(format!(
            "Conversion would overflow target type in $convert with no onError value: {}",
            render(value)
        )))
    };
    if let Some(ms) = moment(value) {
        return Some(Ok(BsonBuf::date(ms)));
    }
    Some(match value.tag {
        INT64 => Ok(BsonBuf::date(value.as_i64()?)),
        DOUBLE => {
            f64_to_i64(value.as_f64()?.trunc()).map_or_else(overflow, |v| Ok(BsonBuf::date(v)))
        }
        DECIMAL => Decimal::from_bson(value)?
            .round_to(0, Rounding::Truncate)
            .to_i64()
            .map_or_else(overflow, |v| Ok(BsonBuf::date(v))),
        STRING => {
            let arguments = [Some(Val::Ref(value)), None, None, None, None];
            date_parse::from_string("$dateFromString", &arguments).map(Val::into_buf)
        }
        _ => return None,
    })
}

fn object_id(text: &str) -> DocResult<BsonBuf> {
    let bytes: Option<Vec<u8>> = (text.len() == 24 && text.is_ascii())
        .then(|| {
            (0..12)
                .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok())
                .collect()
        })
        .flatten();
    match bytes.and_then(|b| <[u8; 12]>::try_from(b).ok()) {
        Some(id) => Ok(BsonBuf::object_id(id)),
        None => Err(failure(format!(
            "Failed to parse objectId '{text}' in $convert with no onError value: Invalid string length for parsing to OID, expected 24 but found {}",
            text.len()
        ))),
    }
}
