//! Bodies, query strings and paths of REST requests.
#![no_main]
#![allow(dead_code, unused_imports)]

use dialect::Dialect;
use helios_types::Type;
use hyper::Method;
use json::{Fields, parameter, write_value};
use route::{Found, find, percent_decode};
use serde_json::Value as Json;

mod config;
mod dialect;
mod error;
mod json;
mod request;
mod route;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
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
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = request::query_pairs(Some(text));
        let _ = dialect::of_path(text, Dialect::V7);
        for method in [Method::GET, Method::POST, Method::DELETE] {
            if let Found::Endpoint(_, captures) = find(&method, text) {
                for capture in captures {
                    let _ = percent_decode(capture, false);
                }
            }
        }
    }
});

/// What is accepted as a value must be written as JSON again.
fn read_value(json: &Json, ty: Type) {
    let Ok(value) = parameter(json, ty) else {
        return;
    };
    let mut out = Vec::new();
    if write_value(&mut out, ty, &value.as_ref()).is_ok() {
        let written: Result<Json, _> = serde_json::from_slice(&out);
        let text = String::from_utf8_lossy(&out);
        assert!(written.is_ok(), "{json} as {} is written as {text}", ty.oid);
    }
}
