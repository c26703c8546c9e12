//! Replays the fuzz corpus, and random damage to well-formed messages: nothing may panic.

use proptest::prelude::*;

#[test]
fn the_corpus_of_the_fuzz_target_is_read_without_a_panic() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        helios_postgres::fuzz(&std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 10);
}

proptest! {
    #[test]
    fn random_bytes_are_read_without_a_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        helios_postgres::fuzz(&data);
    }

    #[test]
    fn random_bodies_under_true_headers_are_read_without_a_panic(
        tag in proptest::sample::select(b"QPBDECHSdcfpFX".to_vec()),
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut data = vec![tag];
        data.extend((body.len() as u32 + 4).to_be_bytes());
        data.extend(body);
        helios_postgres::fuzz(&data);
    }
}
