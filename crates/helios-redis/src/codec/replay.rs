//! Bytes run through the parser as they might arrive, for the fuzz target and the replay of its
//! corpus.

use super::{Limits, Parsed, ProtocolError, RequestParser};

/// Parses `bytes` as they arrive in pieces of `step`; gives the requests and the error at the end,
/// if there is one.
pub fn parse_in_steps(
    bytes: &[u8],
    step: usize,
    limits: Limits,
) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let mut parser = RequestParser::default();
    let mut requests = Vec::new();
    let (mut start, mut end) = (0, 0);
    loop {
        match parser.parse(&bytes[start..end], limits) {
            Ok(Parsed::Incomplete) if end == bytes.len() => return (requests, None),
            Ok(Parsed::Incomplete) => end = (end + step).min(bytes.len()),
            Ok(found) => {
                if found == Parsed::Request {
                    let args = parser.args(&bytes[start..end]);
                    requests.push(args.iter().map(<[u8]>::to_vec).collect());
                }
                start += parser.consumed();
                parser.reset();
            }
            Err(error) => return (requests, Some(error)),
        }
    }
}

/// Panics when the parser does, or when it finds other requests in bytes that arrive in pieces.
pub fn check(bytes: &[u8]) {
    let whole = parse_in_steps(bytes, bytes.len().max(1), Limits::default());
    for step in [1, 2, 7] {
        assert_eq!(whole, parse_in_steps(bytes, step, Limits::default()));
    }
    let unauthenticated = Limits {
        unauthenticated: true,
        ..Limits::default()
    };
    parse_in_steps(bytes, bytes.len().max(1), unauthenticated);
}
