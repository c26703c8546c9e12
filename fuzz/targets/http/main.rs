//! Bodies, query strings and paths of REST requests.
#![no_main]
#![allow(dead_code, unused_imports)]

mod accept;
mod config;
mod dialect;
mod error;
mod fuzz;
mod json;
mod request;
mod route;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::requests(data));
