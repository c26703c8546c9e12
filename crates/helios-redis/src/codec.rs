//! Bytes to requests and replies to bytes; no sockets, no engine.
//!
//! A request is either a RESP array of bulk strings (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`) or one
//! inline line of words (`GET k\r\n`). [`RequestParser`] finds the arguments in place: it keeps
//! ranges into the connection's read buffer, remembers where it stopped when bytes are missing,
//! and so looks at every byte once and allocates nothing per argument.
//!
//! A reply is appended to the connection's output buffer by [`ReplyWriter`] while the command
//! runs, in the shape of the protocol version that the connection speaks.

pub mod replay;
pub mod reply;
pub mod request;

pub use reply::{Protocol, ReplyWriter};
pub use request::{Args, Limits, Parsed, ProtocolError, RequestParser};
