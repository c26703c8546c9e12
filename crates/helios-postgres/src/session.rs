//! One connection from accept to close.
//!
//! ```text
//! start-up (TLS, cancel, version) ── authentication ── ready ──┬── read ── messages ── write ──┐
//!                                                              └───────────────────────────────┘
//! ```
//!
//! The loop handles every complete message that the buffer holds before it writes, so that a
//! pipeline costs one read and one write. What may happen while it waits for the next message
//! (shutdown, termination, idle timeouts) is one `select!`.

mod authentication;
mod client;
mod settings;
mod startup;

pub(crate) use client::Client;
pub(crate) use settings::{Presentation, display_name, names};

use crate::codec::{self, HEADER_BYTES};
use crate::command::{Conversation, Flow};
use crate::config::Config;
use crate::encode::Severity;
use helios_engine::{Engine, TransactionStatus};
use helios_net::{Connection, Handler};
use helios_types::{Error, ErrorKind, error};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Serves connections for one engine.
pub struct FrontEnd {
    pub engine: Arc<Engine>,
    pub config: Config,
}

impl Handler for FrontEnd {
    fn handle(
        self: Arc<Self>,
        connection: Connection,
    ) -> impl Future<Output = io::Result<()>> + Send {
        async move {
            let mut client = Client::new(connection);
            let Some(start) = startup::negotiate(&mut client, &self.engine).await? else {
                return Ok(());
            };
            let session = match startup::open(&mut client, &self, start).await? {
                Some(session) => session,
                None => return Ok(()),
            };
            client.connection.established();
            let stop = session.cancel_handle();
            client.connection.when_gone(move || stop.cancel(), || true);
            run(Conversation::new(client, session, &self.config)).await
        }
    }

    fn refuse(
        self: Arc<Self>,
        connection: Connection,
    ) -> impl Future<Output = io::Result<()>> + Send {
        async move {
            let mut client = Client::new(connection);
            // The client reads an answer only after it has sent its first packet.
            if startup::negotiate(&mut client, &self.engine)
                .await?
                .is_some()
            {
                let refusal = error!(TooManyConnections, "sorry, too many clients already");
                client.output.error(Severity::Fatal, &refusal, None);
                client.flush().await?;
            }
            Ok(())
        }
    }
}

/// The loop of an authenticated connection.
async fn run(mut conversation: Conversation) -> io::Result<()> {
    let mut input = std::mem::take(&mut conversation.client.input);
    loop {
        // Every complete message first.
        loop {
            let header = match codec::decode_header(&input, conversation.message_bytes_max) {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(error) => return conversation.end(&error).await,
            };
            if !codec::is_known_tag(header.tag) {
                let unknown = error!(
                    ProtocolViolation,
                    "invalid frontend message type {}", header.tag
                );
                return conversation.end(&unknown).await;
            }
            let length = HEADER_BYTES + header.body_bytes;
            let Some(body) = input.get(HEADER_BYTES..length) else {
                break;
            };
            if let Flow::Close = conversation.message(header, body).await? {
                return conversation.client.flush().await;
            }
            bytes::Buf::advance(&mut input, length);
        }
        if conversation.client.wants_flush() {
            conversation.client.flush().await?;
        }
        input.reserve(READ_BYTES);
        match next(&mut conversation, &mut input).await? {
            Event::Read(0) if conversation.client.connection.shutdown.is_triggered() => {
                let shutdown = error!(
                    AdminShutdown,
                    "terminating connection due to administrator command"
                );
                return conversation.end(&shutdown).await;
            }
            Event::Read(0) => return Ok(()),
            Event::Read(_) => {}
            Event::End(error) => return conversation.end(&error).await,
        }
    }
}

/// Bytes that the input buffer has room for before a read.
const READ_BYTES: usize = 8 * 1024;

enum Event {
    Read(usize),
    End(Error),
}

/// Waits for bytes, or for a reason to stop waiting.
async fn next(conversation: &mut Conversation, input: &mut bytes::BytesMut) -> io::Result<Event> {
    use tokio::io::AsyncReadExt;
    let timeout = idle_timeout(conversation);
    let handle = conversation.session.cancel_handle();
    let client = &mut conversation.client;
    tokio::select! {
        biased;
        read = client.connection.stream.read_buf(input) => Ok(Event::Read(read?)),
        () = handle.terminated() => Ok(Event::End(error!(
            AdminShutdown,
            "terminating connection due to administrator command"
        ))),
        error = expire(timeout) => Ok(Event::End(error)),
    }
}

fn idle_timeout(conversation: &Conversation) -> Option<(Duration, Error)> {
    let session = &conversation.session;
    let (setting, kind, message) = match session.transaction_status() {
        TransactionStatus::Idle => (
            "idle_session_timeout",
            ErrorKind::AdminShutdown,
            "terminating connection due to idle-session timeout",
        ),
        _ => (
            "idle_in_transaction_session_timeout",
            ErrorKind::IdleTransactionTimeout,
            "terminating connection due to idle-in-transaction timeout",
        ),
    };
    let limit = settings::milliseconds(session.setting(setting)?)?;
    let mut error = Error::new(kind, message);
    if kind == ErrorKind::AdminShutdown {
        error = error.with_sqlstate(*b"57P05");
    }
    Some((Duration::from_millis(limit), error))
}

async fn expire(timeout: Option<(Duration, Error)>) -> Error {
    match timeout {
        Some((limit, error)) => {
            tokio::time::sleep(limit).await;
            error
        }
        None => std::future::pending().await,
    }
}
