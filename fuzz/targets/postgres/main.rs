//! Messages of PostgreSQL's protocol and parameters of every type.
#![no_main]
#![allow(dead_code, unused_imports)]

mod codec;
mod encode {
    /// Between 1970 and 2000, from which PostgreSQL counts.
    pub const EPOCH_DAYS: i32 = 10_957;
    pub const EPOCH_MICROS: i64 = 10_957 * 86_400_000_000;
}
mod fuzz;
mod parameter;

/// As `Config::default` has it.
const MESSAGE_BYTES_MAX: usize = 1 << 30;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::messages(data, MESSAGE_BYTES_MAX));
