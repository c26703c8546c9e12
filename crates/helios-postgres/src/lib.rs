//! The PostgreSQL front-end: protocol 3.0 and 3.2 over TCP and TLS, standard port 5432.
//!
//! ```text
//! bytes ── codec ──> Frontend message ── command ──> engine Session ── rows ── encode ──> bytes
//! ```
//!
//! * [`codec`]: bytes to messages. No I/O, fuzzed.
//! * [`session`]: the connection: TLS, start-up, authentication, the loop that reads, runs and
//!   writes.
//! * [`command`]: what each message does: simple queries, the extended protocol, COPY.
//! * [`encode`]: rows and answers into the output buffer.
//! * [`parameter`], [`copy`]: values from Bind messages and COPY data.
//! * [`error`]: what an error does to the connection.
//!
//! Invariants: answers are written in the order of the requests; everything that one read from the
//! socket brought is answered with one write; a client's error, even one of framing, ends at most
//! that client's connection, and always with an ErrorResponse.

pub mod codec;
mod command;
mod config;
mod copy;
mod encode;
mod error;
mod fuzz;
mod parameter;
mod session;

pub use config::Config;

use helios_engine::Engine;
use helios_net::{Listener, Shutdown};
use std::sync::Arc;

/// Serves the listener until `shutdown`, then drains.
pub async fn serve(listener: Listener, engine: Arc<Engine>, config: Config, shutdown: Shutdown) {
    let front_end = Arc::new(session::FrontEnd { engine, config });
    helios_net::serve(listener, front_end, shutdown).await;
}

/// Reads arbitrary bytes in every way that this crate reads bytes from outside, also as COPY data;
/// for the replay of the fuzz target's corpus. Must neither panic nor allocate beyond the input's
/// size.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    fuzz::messages(data, Config::default().message_bytes_max);
    copy::fuzz(data);
}
