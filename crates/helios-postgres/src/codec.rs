//! Bytes to messages: the frontend half of protocol 3.0 and 3.2. No I/O, no state.
//!
//! ```text
//! start-up packet   length:i32 (itself included) | code:i32 | …
//! every other       tag:u8 | length:i32 (itself included, the tag not) | body
//! ```
//!
//! Messages borrow from the input buffer: text is checked to be UTF-8 and never copied, and a Bind
//! message is read value by value where the parameters are decoded. pgwire's own message types
//! replace invalid UTF-8 instead of refusing it, own every string, and have no FunctionCall, so
//! that only its SCRAM is used here.
//!
//! Invariants:
//! * A declared length is compared with its limit when the header is seen, before the body is
//!   waited for; the buffer grows with what arrives, never with what is announced.
//! * No byte sequence makes a decoder panic or read beyond the message.

mod message;
mod reader;
mod startup;

pub use message::{Bind, Frontend, Parse, Target, decode_message, is_known_tag};
pub use reader::{Reader, utf8};
pub use startup::{Startup, decode_startup};

use helios_types::{Result, error};

/// Bytes of a message before its body.
pub const HEADER_BYTES: usize = 5;

/// A message whose header has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub tag: u8,
    pub body_bytes: usize,
}

/// The header at the start of `input`, when it is there. An impossible length is fatal: where the
/// next message begins can no longer be known.
pub fn decode_header(input: &[u8], message_bytes_max: usize) -> Result<Option<Header>> {
    let Some(head) = input.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let [tag, length @ ..] = *head;
    let length = i32::from_be_bytes(length);
    match usize::try_from(length) {
        Ok(length) if length >= 4 && length - 4 <= message_bytes_max => Ok(Some(Header {
            tag,
            body_bytes: length - 4,
        })),
        _ => Err(error!(ProtocolViolation, "invalid message length")),
    }
}
