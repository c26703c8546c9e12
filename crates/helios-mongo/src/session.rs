//! Connections: reading messages, running them in order, writing replies.

mod cursor;
mod known;
mod logical;
pub(crate) mod retry;
mod server;

pub(crate) use cursor::{Batch, OpenCursor, Rows};
pub(crate) use known::Known;
pub(crate) use logical::{Logical, Transaction};
pub(crate) use retry::Retry;
pub(crate) use server::{Server, now_ms};

use crate::codec::{self, CodecError, HEADER_LEN, Request};
use crate::command;
use crate::error::{MongoError, Result};
use bytes::{Bytes, BytesMut};
use helios_engine::{CancelHandle, Protocol, Session, SessionOptions};
use helios_net::{Connection, Shutdown};
use helios_planner::document::error::code;
use helios_planner::document::raw::Writer;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) struct FrontEnd {
    pub server: Arc<Server>,
}

impl helios_net::Handler for FrontEnd {
    async fn handle(self: Arc<Self>, connection: Connection) -> io::Result<()> {
        let mut client = Client::new(self.server.clone(), &connection);
        if client.trusted {
            connection.established();
        }
        client.serve(connection).await
    }
}

/// One client connection.
pub(crate) struct Client {
    pub server: Arc<Server>,
    pub id: i32,
    pub local: SocketAddr,
    pub peer: SocketAddr,
    /// Without credentials in the catalog, loopback needs none.
    pub trusted: bool,
    /// The authenticated role.
    pub user: Option<String>,
    pub scram: Option<command::auth::Exchange>,
    /// Whether the client has introduced itself, which it may do once.
    pub introduced: bool,
    pub application: String,
    /// The engine session in the default database.
    kept: Option<Session>,
    pub known: Known,
    /// What runs now, to be stopped when the client goes.
    running: Arc<Mutex<Option<CancelHandle>>>,
    next_reply: i32,
    /// Cuts an awaited hello short when the daemon goes down.
    shutdown: Shutdown,
}

impl Client {
    fn new(server: Arc<Server>, connection: &Connection) -> Self {
        let trusted = !server.engine.has_credentials() && connection.peer.ip().is_loopback();
        Client {
            id: server.next_connection(),
            server,
            local: connection.local,
            peer: connection.peer,
            trusted,
            user: None,
            scram: None,
            introduced: false,
            application: String::new(),
            kept: None,
            known: Known::default(),
            running: Arc::default(),
            next_reply: 1,
            shutdown: connection.shutdown.clone(),
        }
    }

    async fn serve(&mut self, mut connection: Connection) -> io::Result<()> {
        let (stop, busy) = (self.running.clone(), self.running.clone());
        let stop = move || {
            if let Some(handle) = &*running(&stop) {
                handle.cancel();
            }
        };
        connection.when_gone(stop, move || running(&busy).is_some());
        let mut incoming = BytesMut::new();
        let mut out = Vec::new();
        loop {
            let Some(message) = next_message(&mut connection, &mut incoming).await? else {
                return Ok(());
            };
            let request = match codec::parse(&message) {
                Ok(request) => request,
                Err(error) => {
                    self.refuse(&mut connection, &message, &error).await?;
                    if error.ends_connection() {
                        return Ok(());
                    }
                    continue;
                }
            };
            let was_open = self.user.is_some() || self.trusted;
            let mut exhaust = true;
            let mut wait = None;
            let mut answers = request.request_id;
            while exhaust {
                let (reply, more) = command::run(self, &request, wait).await;
                *running(&self.running) = None;
                exhaust = more.is_some() && request.exhaust_allowed;
                wait = more;
                if !request.more_to_come {
                    self.reply(&request, answers, &reply, exhaust, &mut out);
                    // Of several replies each answers the one before it.
                    answers = self.next_reply.wrapping_sub(1);
                    connection.stream.write_all(&out).await?;
                    connection.stream.flush().await?;
                    out.clear();
                }
                if exhaust && connection.shutdown.is_triggered() {
                    return Ok(());
                }
            }
            if !was_open && self.user.is_some() {
                connection.established();
            }
            const KEPT_BYTES: usize = 1 << 20;
            if out.capacity() > KEPT_BYTES {
                out = Vec::new();
            }
        }
    }

    fn reply(
        &mut self,
        request: &Request<'_>,
        answers: i32,
        body: &[u8],
        more: bool,
        out: &mut Vec<u8>,
    ) {
        let id = self.next_reply;
        self.next_reply = self.next_reply.wrapping_add(1);
        if request.legacy.is_some() {
            codec::write_reply(out, id, answers, body);
        } else {
            codec::write_msg(out, id, answers, body, more);
        }
    }

    /// Answers a message that cannot be understood.
    async fn refuse(
        &mut self,
        connection: &mut Connection,
        message: &[u8],
        error: &CodecError,
    ) -> io::Result<()> {
        if !error.ends_connection() && codec::wants_no_reply(message) {
            return Ok(());
        }
        let number = match error {
            CodecError::Document(_) => code::INVALID_BSON,
            CodecError::DocumentTooLarge(_) => code::BSON_OBJECT_TOO_LARGE,
            _ => code::PROTOCOL_ERROR,
        };
        let mut body = Writer::new();
        MongoError::new(number, error.to_string()).write(&mut body);
        let to = message
            .get(4..8)
            .and_then(|b| b.try_into().ok())
            .map_or(0, i32::from_le_bytes);
        let mut out = Vec::new();
        codec::write_msg(&mut out, self.next_reply, to, &body.finish(), false);
        connection.stream.write_all(&out).await?;
        connection.stream.flush().await
    }

    /// The role that commands run as.
    pub fn role(&self) -> Result<String> {
        match &self.user {
            Some(user) => Ok(user.clone()),
            None if self.trusted => Ok(self.server.engine.superuser().to_owned()),
            None => Err(MongoError::new(
                code::UNAUTHORIZED,
                "Command requires authentication",
            )),
        }
    }

    /// Notes the session that the connection waits for.
    pub fn runs(&self, session: &Session) {
        *running(&self.running) = Some(session.cancel_handle());
    }

    /// A new engine session of this client in a logical database.
    pub fn open_session(&self, database: &str) -> Result<Session> {
        let mut options = SessionOptions::new(Protocol::Mongo, self.role()?, database);
        options.application = self.application.clone();
        options.peer = Some(self.peer);
        Ok(self.server.engine.session(options)?)
    }

    /// The connection's own session in a logical database; given back by [`Client::put_session`].
    pub fn take_session(&mut self, database: &str) -> Result<Session> {
        match self.kept.take_if(|s| s.database() == database) {
            Some(session) => Ok(session),
            None => self.open_session(database),
        }
    }

    pub fn put_session(&mut self, database: &str, session: Session) {
        // A session holds its logical database. The default one cannot be dropped anyway; another
        // is let go, so that an idle connection never keeps it.
        if database == self.server.engine.default_database() {
            self.kept = Some(session);
        }
    }

    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// After authentication nothing of the former identity is kept.
    pub fn forget_sessions(&mut self) {
        self.kept = None;
        self.known = Known::default();
    }
}

fn running(slot: &Mutex<Option<CancelHandle>>) -> MutexGuard<'_, Option<CancelHandle>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits, but not beyond the daemon's life.
pub(crate) async fn wait(shutdown: Shutdown, wait: std::time::Duration) {
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = shutdown.triggered() => {}
    }
}

/// The next whole message; none at the end of the stream. What arrives is read as it comes, so
/// that a message takes one call of the system, and `incoming` keeps what belongs to the next one.
async fn next_message(
    connection: &mut Connection,
    incoming: &mut BytesMut,
) -> io::Result<Option<Bytes>> {
    /// Room made at a time: memory grows with what arrives, not with what was declared.
    const ROOM: std::ops::Range<usize> = 8 << 10..1 << 20;
    loop {
        let wanted = match incoming.first_chunk::<HEADER_LEN>().map(codec::header) {
            None => HEADER_LEN,
            Some(Ok(header)) if incoming.len() >= header.length => {
                return Ok(Some(incoming.split_to(header.length).freeze()));
            }
            Some(Ok(header)) => header.length,
            // The codec says what is wrong with it.
            Some(Err(_)) => return Ok(Some(incoming.split().freeze())),
        };
        let missing = wanted.saturating_sub(incoming.len());
        incoming.reserve(missing.clamp(ROOM.start, ROOM.end));
        if connection.stream.read_buf(incoming).await? == 0 {
            return match incoming.is_empty() {
                true => Ok(None),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
    }
}

/// What a command may want of its request beside its own fields.
pub(crate) fn logical_id(request: &Request<'_>) -> Option<[u8; 16]> {
    let (_, bytes) = request.get("lsid").get("id").as_binary()?;
    bytes.try_into().ok()
}
