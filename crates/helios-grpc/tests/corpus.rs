//! Replays the fuzz corpus, and random messages: nothing may panic.

use helios_grpc::proto::value::Kind;
use helios_grpc::proto::{ListValue, QueryRequest, Value, Vector};
use proptest::prelude::*;
use prost::Message;

#[test]
fn the_corpus_of_the_fuzz_target_is_read_without_a_panic() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/message");
    let mut files = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        helios_grpc::fuzz(&std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 8);
}

fn kind() -> impl Strategy<Value = Kind> {
    let text = prop_oneof![
        any::<String>(),
        "[-+0-9.eE:{}\\[\\]\", ]{0,20}".prop_map(String::from),
        Just("infinity".to_owned()),
    ];
    let leaf = prop_oneof![
        any::<bool>().prop_map(Kind::BoolValue),
        any::<bool>().prop_map(Kind::NullValue),
        any::<i64>().prop_map(Kind::IntValue),
        any::<f64>().prop_map(Kind::DoubleValue),
        text.clone().prop_map(Kind::StringValue),
        text.clone().prop_map(Kind::NumericValue),
        text.prop_map(Kind::JsonValue),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Kind::BytesValue),
        any::<i64>().prop_map(Kind::TimestampMicros),
        Just(Kind::VectorValue(Vector { values: vec![1.0] })),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        let value = prop_oneof![
            inner.prop_map(|kind| Value { kind: Some(kind) }),
            Just(Value { kind: None }),
        ];
        proptest::collection::vec(value, 0..5)
            .prop_map(|values| Kind::ListValue(ListValue { values }))
    })
}

proptest! {
    #[test]
    fn random_bytes_are_read_without_a_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        helios_grpc::fuzz(&data);
    }

    #[test]
    fn random_values_are_read_without_a_panic(kinds in proptest::collection::vec(kind(), 0..4)) {
        let params = kinds.into_iter().map(|kind| Value { kind: Some(kind) }).collect();
        let request = QueryRequest { sql: "SELECT $1".to_owned(), params, transaction_id: None };
        helios_grpc::fuzz(&request.encode_to_vec());
    }
}
