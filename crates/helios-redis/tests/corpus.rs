//! Replays the corpus of the fuzz target.

#[test]
fn the_corpus_of_the_fuzz_target_is_parsed_alike_whole_and_in_pieces() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/request");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        helios_redis::codec::replay::check(&std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 19, "{files} files");
}
