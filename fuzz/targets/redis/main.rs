//! Requests of RESP and inline commands, as they arrive in pieces.
#![no_main]
#![allow(dead_code, unused_imports)]

extern crate self as helios_engine;

mod codec;
pub mod keyspace {
    pub mod number;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codec::replay::check(bytes));
