//! What a fuzzer drives: what reads a client's bytes without the engine. hyper reads the frames, the
//! engine the SQL. The fuzz target compiles this file too.

use crate::accept::{Media, negotiate};
use crate::dialect::{self, Dialect};
use crate::json::{Fields, parameter, write_value};
use crate::request::query_pairs;
use crate::route::{Found, find, percent_decode};
use helios_types::Type;
use hyper::Method;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue};
use serde_json::Value as Json;

/// Reads `data` as a body, a query string, a path and a header. Nothing may panic; what is accepted as a value
/// must be written as JSON again.
pub fn requests(data: &[u8]) {
    if let Ok(fields) = Fields::parse(data) {
        for name in ["sql", "params", "row", "rows", "updates", "timeout_ms"] {
            let _ = (fields.str(name), fields.u64(name), fields.bool(name, false));
            let _ = (fields.strings(name), fields.objects(name));
        }
    }
    if let Ok(json) = serde_json::from_slice::<Json>(data) {
        for info in helios_types::types::BUILTIN {
            for oid in [info.oid, info.array] {
                read_value(&json, Type::new(oid));
            }
        }
    }
    if let Ok(value) = HeaderValue::from_bytes(data) {
        let headers = HeaderMap::from_iter([(ACCEPT, value)]);
        let _ = negotiate(&headers, &[Media::Json, Media::Lines]);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = query_pairs(Some(text));
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
