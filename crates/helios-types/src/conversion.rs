//! How a value of an SQL type looks in each protocol: BSON, JSON and Redis text.
//!
//! [`CONVERSIONS`] is the table; the functions beside it do what it says, and tests hold the two
//! together. Values that come in are accepted only when the column's type represents them exactly;
//! nothing is rounded, cut or read from text silently.

mod bson;
mod json;
mod redis;

pub use bson::{bson_type_name, from_bson, keeps_stored, to_bson};
pub use json::{from_json, to_json};
pub use redis::{from_redis_text, to_redis_text};

use crate::datetime::{self, DateContext};
use crate::interval::IntervalStyle;
use crate::text::TextContext;
use crate::types::Oid;

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Conversion {
    pub types: &'static [Oid],
    pub sql: &'static str,
    pub bson: &'static str,
    pub json: &'static str,
    pub redis: &'static str,
    /// What the trip there and back loses.
    pub loss: &'static str,
    /// A value in SQL's text form, and what it becomes: extended JSON for BSON.
    pub example: [&'static str; 4],
}

macro_rules! conversions {
    ($($types:expr, $sql:literal, $bson:literal, $json:literal, $redis:literal, $loss:literal, $example:expr;)*) => {
        /// Every conversion, in the order of the documentation.
        pub const CONVERSIONS: &[Conversion] = &[$(Conversion {
            types: &$types, sql: $sql, bson: $bson, json: $json, redis: $redis, loss: $loss,
            example: $example,
        }),*];
    };
}

conversions! {
    [16], "boolean", "bool", "true, false", "1, 0", "", ["t", "true", "true", "1"];
    [21, 23], "smallint, integer", "int32", "number", "decimal", "", ["42", "42", "42", "42"];
    [20], "bigint", "int64", "number, all digits", "decimal", "", ["9007199254740993", "9007199254740993", "9007199254740993", "9007199254740993"];
    [26], "oid", "int64", "number", "decimal", "", ["42", "42", "42", "42"];
    [700, 701], "real, double precision", "double", "number; NaN and infinities as strings", "shortest text; inf, -inf, nan", "", ["1.5", "1.5", "1.5", "1.5"];
    [1700], "numeric", "decimal128 up to 34 digits, else string", "number, all digits", "decimal", "beyond 34 digits BSON has a string", ["12.340", "12.340", "12.340", "12.340"];
    [25, 1043, 1042, 19, 18], "text, varchar, char, name", "string", "string", "bytes", "", ["a", "\"a\"", "\"a\"", "a"];
    [17], "bytea", "binary subtype 0", "string in base64", "raw bytes", "", ["\\x0102", "\"AQI=\"", "\"AQI=\"", "\u{1}\u{2}"];
    [2950], "uuid", "binary subtype 4", "string", "canonical text", "", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"", "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"];
    [1082], "date", "Date at midnight UTC", "YYYY-MM-DD", "YYYY-MM-DD", "", ["2024-02-29", "\"2024-02-29T00:00:00.000Z\"", "\"2024-02-29\"", "2024-02-29"];
    [1083], "time", "string", "string", "text", "", ["12:34:56.7", "\"12:34:56.7\"", "\"12:34:56.7\"", "12:34:56.7"];
    [1186], "interval", "string in ISO 8601", "string in ISO 8601", "ISO 8601", "", ["1 day 02:00:00", "\"P1DT2H\"", "\"P1DT2H\"", "P1DT2H"];
    [1114], "timestamp", "Date, taken as UTC", "ISO 8601 without zone", "ISO 8601 without zone", "BSON has milliseconds", ["2024-02-29 12:00:00.123456", "\"2024-02-29T12:00:00.123Z\"", "\"2024-02-29T12:00:00.123456\"", "2024-02-29T12:00:00.123456"];
    [1184], "timestamptz", "Date", "ISO 8601 in UTC", "ISO 8601 in UTC", "BSON has milliseconds", ["2024-02-29 12:00:00.123456+00", "\"2024-02-29T12:00:00.123Z\"", "\"2024-02-29T12:00:00.123456Z\"", "2024-02-29T12:00:00.123456Z"];
    [114, 3802], "json, jsonb", "embedded value", "as it is", "compact JSON", "", ["{\"a\": 1}", "{\"a\": 1}", "{\"a\":1}", "{\"a\":1}"];
    [1007, 1009], "arrays", "array, nested for dimensions", "array", "compact JSON", "lower bounds", ["{1,2}", "[1, 2]", "[1,2]", "[1,2]"];
}

/// The text context of conversions: everything in UTC and ISO 8601.
fn neutral() -> TextContext {
    TextContext {
        interval_style: IntervalStyle::Iso8601,
        ..TextContext::default()
    }
}

/// `2024-02-29T12:00:00.123456`; `infinity` stays a word.
fn iso_timestamp(timestamp: i64, zone: &str) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = datetime::write_timestamp(&mut out, timestamp, &DateContext::default());
    if !datetime::timestamp_is_finite(timestamp) {
        return out;
    }
    let mut out = out.replacen(' ', "T", 1);
    // The era stands at the end, behind the zone.
    match out.strip_suffix(" BC") {
        Some(rest) => format!("{rest}{zone} BC"),
        None => {
            out.push_str(zone);
            out
        }
    }
}

#[cfg(test)]
mod tests;
