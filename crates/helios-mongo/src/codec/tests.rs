use super::*;
use proptest::prelude::*;

fn ping() -> Vec<u8> {
    let mut body = Writer::new();
    body.put_i32("ping", 1).put_str("$db", "admin");
    request(7, body)
}

#[test]
fn the_checksum_is_castagnolis() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn a_message_that_was_written_is_read_back() {
    let message = ping();
    let request = parse(&message).unwrap();
    assert_eq!(request.command().0, "ping");
    assert_eq!(request.request_id, 7);
}

#[test]
fn a_wrong_checksum_is_refused_and_a_right_one_taken() {
    let mut message = ping();
    message[16] |= 1;
    let length = message.len() as i32 + 4;
    message[..4].copy_from_slice(&length.to_le_bytes());
    let sum = crc32c(&message).to_le_bytes();
    let mut good = message.clone();
    good.extend_from_slice(&sum);
    assert!(parse(&good).is_ok());
    message.extend_from_slice(&[0; 4]);
    assert_eq!(parse(&message).unwrap_err(), CodecError::Checksum);
}

#[test]
fn lengths_outside_the_bounds_are_refused_before_anything_is_read() {
    for length in [i32::MIN, -1, 0, 15, 48_000_001, i32::MAX] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        assert_eq!(header(&bytes), Err(CodecError::Length(length)));
    }
}

#[test]
fn unknown_required_flags_and_sections_are_refused() {
    let mut message = ping();
    message[16] |= 4;
    assert!(matches!(parse(&message), Err(CodecError::Flags(_))));
    let mut message = ping();
    message[20] = 9;
    assert_eq!(parse(&message).unwrap_err(), CodecError::Section(9));
}

#[test]
fn documents_nested_beyond_a_hundred_levels_are_refused() {
    let mut body = Writer::new();
    for _ in 0..101 {
        body.start_document("a");
    }
    let message = request(1, body);
    assert_eq!(
        parse(&message).unwrap_err(),
        CodecError::Document(Invalid::TooDeep)
    );
}

#[test]
fn inputs_that_once_mattered_do_not_panic() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/message");
    let mut n = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let _ = parse(&bytes);
        n += 1;
    }
    assert!(n >= 9, "the corpus is gone");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn a_flipped_byte_never_panics(at in 0usize..60, value in any::<u8>()) {
        let mut message = ping();
        let at = at % message.len();
        message[at] = value;
        if let Ok(request) = parse(&message) {
            for (_, value) in request.body.fields() {
                let _ = format!("{value:?}");
            }
        }
    }
}
