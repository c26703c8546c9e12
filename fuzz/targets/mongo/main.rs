//! Whole messages of MongoDB's wire protocol, and the documents in them.
#![no_main]
#![allow(dead_code, unused_imports)]

extern crate self as helios_planner;

mod codec;
pub mod document {
    pub mod decimal;
    pub mod display;
    pub mod raw;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = codec::parse(bytes) {
        let _ = request.command();
        for (_, value) in request.body.fields() {
            let _ = format!("{value:?}");
            let _ = value.truthy();
        }
        for name in ["documents", "updates", "deletes"] {
            for document in request.documents(name) {
                let _ = format!("{document:?}");
            }
        }
    }
});
