//! Canonical Extended JSON to BSON, for tests.

use helios_planner::document::decimal::Decimal;
use helios_planner::document::number::Number;
use helios_planner::document::raw::*;
use serde_json::{Map, Value as Json};

pub fn to_bson(json: &Json) -> BsonBuf {
    match json {
        Json::Null => BsonBuf::null(),
        Json::Bool(v) => BsonBuf::bool(*v),
        Json::Number(v) => match v.as_i64() {
            Some(v) => helios_planner::document::number::fitting_integer(v),
            None => BsonBuf::double(v.as_f64().unwrap()),
        },
        Json::String(v) => BsonBuf::string(v),
        Json::Array(values) => {
            let values: Vec<BsonBuf> = values.iter().map(to_bson).collect();
            array_of(values.iter().map(BsonBuf::as_bson))
        }
        Json::Object(fields) => special(fields).unwrap_or_else(|| {
            let mut out = Writer::new();
            for (name, value) in fields {
                out.put(name, to_bson(value).as_bson());
            }
            BsonBuf::document(out.finish())
        }),
    }
}

fn special(fields: &Map<String, Json>) -> Option<BsonBuf> {
    let (name, value) = fields.iter().next()?;
    if fields.len() != 1 {
        return None;
    }
    let text = value.as_str();
    Some(match name.as_str() {
        "$numberInt" => BsonBuf::int32(text?.parse().ok()?),
        "$numberLong" => BsonBuf::int64(text?.parse().ok()?),
        "$numberDouble" => BsonBuf::double(match text? {
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            "NaN" => f64::NAN,
            other => other.parse().ok()?,
        }),
        "$numberDecimal" => Decimal::parse(text?)?.to_buf(),
        "$oid" => {
            let hex = text?;
            let bytes: Vec<u8> = (0..12)
                .map(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok())
                .collect::<Option<_>>()?;
            BsonBuf::object_id(bytes.try_into().ok()?)
        }
        "$date" => to_bson(value).as_bson().as_i64().map(BsonBuf::date)?,
        "$timestamp" => {
            let part = |name: &str| value.get(name)?.as_u64();
            BsonBuf::timestamp(part("t")? << 32 | part("i")?)
        }
        "$binary" => {
            let subtype = u8::from_str_radix(value.get("subType")?.as_str()?, 16).ok()?;
            BsonBuf::binary(subtype, &base64(value.get("base64")?.as_str()?)?)
        }
        "$regularExpression" => {
            let mut bytes = Vec::new();
            for part in ["pattern", "options"] {
                bytes.extend_from_slice(value.get(part)?.as_str()?.as_bytes());
                bytes.push(0);
            }
            BsonBuf::of(REGEX, &bytes)
        }
        "$minKey" => BsonBuf::of(MIN_KEY, &[]),
        "$maxKey" => BsonBuf::of(MAX_KEY, &[]),
        "$undefined" => BsonBuf::of(UNDEFINED, &[]),
        "$code" => {
            let mut code = BsonBuf::string(text?);
            code.tag = CODE;
            code
        }
        _ => return None,
    })
}

fn base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.bytes().filter(|b| *b != b'=') {
        bits = bits << 6 | ALPHABET.iter().position(|a| *a == byte)? as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

/// The same types, names and values; computed doubles and decimals may differ by 1e-12.
pub fn same(a: Bson<'_>, b: Bson<'_>) -> bool {
    if a.tag != b.tag {
        return false;
    }
    match a.tag {
        DOCUMENT | ARRAY => {
            let (left, right): (Vec<_>, Vec<_>) = (a.fields().collect(), b.fields().collect());
            left.len() == right.len()
                && left
                    .iter()
                    .zip(&right)
                    .all(|((an, av), (bn, bv))| an == bn && same(*av, *bv))
        }
        DOUBLE | DECIMAL => {
            let (x, y) = (Number::of(a).unwrap(), Number::of(b).unwrap());
            let (fx, fy) = (x.to_f64(), y.to_f64());
            x.compare(y).is_eq() || (fx - fy).abs() <= 1e-12 * fx.abs().max(fy.abs())
        }
        _ => a.bytes == b.bytes,
    }
}
