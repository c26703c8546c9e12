#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| helios_redis::codec::replay::check(bytes));
