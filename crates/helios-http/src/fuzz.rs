//! What a fuzzer drives: everything in this crate that reads a client's bytes itself. hyper reads
//! the frames, the engine the SQL.

use crate::dialect::{self, Dialect};
use crate::endpoint;
use crate::filter;
use crate::json::{Fields, parameter, write_value};
use crate::request::query_pairs;
use crate::route::{Found, find, percent_decode};
use helios_types::Type;
use hyper::Method;
use serde_json::Value as Json;

/// Types of every way in which a JSON value is read.
const TYPES: [Type; 14] = [
    Type::BOOL,
    Type::INT2,
    Type::INT4,
    Type::INT8,
    Type::FLOAT4,
    Type::FLOAT8,
    Type::NUMERIC,
    Type::TEXT,
    Type::BYTEA,
    Type::DATE,
    Type::TIMESTAMPTZ,
    Type::UUID,
    Type::JSON,
    Type::JSONB,
];

/// Reads `data` as a body, a query string, a path, a filter, a cursor and parts of DDL. Nothing may
/// panic; what is accepted as a value must be written as JSON again.
pub fn fuzz(data: &[u8]) {
    if let Ok(fields) = Fields::parse(data) {
        for name in ["sql", "params", "row", "rows", "updates", "timeout_ms"] {
            let _ = (fields.str(name), fields.u64(name), fields.bool(name, false));
            let _ = (fields.strings(name), fields.objects(name));
        }
    }
    if let Ok(json) = serde_json::from_slice::<Json>(data) {
        for ty in TYPES {
            read_value(&json, ty);
            if let Some(array) = ty.array_of() {
                read_value(&json, array);
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = query_pairs(Some(text));
        let _ = filter::check(text);
        endpoint::fuzz(text);
        let _ = dialect::of_path(text, Dialect::V7);
        for method in [Method::GET, Method::POST, Method::DELETE] {
            if let Found::Endpoint(_, captures) = find(&method, text) {
                for capture in captures {
                    let _ = percent_decode(capture, false);
                }
            }
        }
    }
}

fn read_value(json: &Json, ty: Type) {
    let Ok(value) = parameter(json, ty) else {
        return;
    };
    let mut out = Vec::new();
    if write_value(&mut out, ty, &value.as_ref()).is_ok() {
        let written: Result<Json, _> = serde_json::from_slice(&out);
        assert!(
            written.is_ok(),
            "{json} as {} is written as {}",
            helios_types::text::format_type(ty),
            String::from_utf8_lossy(&out)
        );
    }
}
