//! Fuzz target over everything that this front-end reads from clients; run with cargo-fuzz or
//! honggfuzz after adding it to their project. `tests/corpus.rs` replays the corpus in CI.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| helios_postgres::fuzz(data));
