//! Messages of the gRPC service, and their values as parameters of every type.
#![no_main]
#![allow(dead_code, unused_imports)]

mod fuzz;
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/heliosdb.v1.rs"));
}
mod value;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::fuzz(data));
