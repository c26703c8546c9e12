//! Replays the fuzz corpus, and random bytes and requests: nothing may panic.

use proptest::prelude::*;

#[test]
fn the_corpus_of_the_fuzz_target_is_read_without_a_panic() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/request");
    let mut files = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        helios_http::fuzz(&std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 15);
}

/// Pieces of what clients send, in any order.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"sql\":",
    "\"params\":",
    "1e999",
    "-0",
    "null",
    "true",
    ",",
    ":",
    "\"",
    "\\u0000",
    "'",
    "''",
    "(",
    ")",
    "--",
    "/*",
    ";",
    "$1",
    "select",
    "e'",
    "%",
    "%0",
    "%ff",
    "&",
    "=",
    "+",
    "/api/v1/tables/",
    "/rows/",
    "eyJpZCI6MjV9",
    "9007199254740993",
    "0x",
    "\\x",
    "ß",
    "infinity",
    "2026-01-04",
    " ",
    "1.5",
    "NaN",
    "a",
];

proptest! {
    #[test]
    fn random_bytes_are_read_without_a_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        helios_http::fuzz(&data);
    }

    #[test]
    fn random_requests_are_read_without_a_panic(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..20),
    ) {
        helios_http::fuzz(pieces.concat().as_bytes());
    }
}
