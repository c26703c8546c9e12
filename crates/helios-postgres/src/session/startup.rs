//! From the first byte to ReadyForQuery.

use super::{Client, FrontEnd, authentication, settings};
use crate::codec::{Startup, decode_startup};
use crate::encode::{Severity, Transaction};
use bytes::Buf;
use helios_engine::{Engine, Protocol, Session, SessionOptions};
use helios_types::{Error, ErrorKind, Result, bail, error};
use std::io;
use std::sync::Arc;

/// The newest minor version of protocol 3 that is spoken here.
const MINOR_MAX: u16 = 2;

/// A client's wish to open a session.
#[derive(Debug, Default)]
pub struct Start {
    pub user: String,
    pub database: Option<String>,
    pub settings: Vec<(String, String)>,
    pub minor: u16,
    /// Protocol options that are not known here.
    pub unknown_options: Vec<String>,
}

/// What to do after one start-up packet.
enum Next {
    More,
    Packet(usize),
    Encrypt(usize),
    Refuse(Error),
    Cancelled,
    Start(Box<Start>, usize),
}

/// Handles packets until one opens a session; `None` when the connection is over.
pub async fn negotiate(client: &mut Client, engine: &Arc<Engine>) -> io::Result<Option<Start>> {
    loop {
        let next = match decode_startup(&client.input) {
            Ok(None) => Next::More,
            Ok(Some((packet, length))) => {
                handle(packet, length, client.connection.offers_tls(), engine)
            }
            Err(error) => Next::Refuse(error),
        };
        match next {
            Next::More if client.read().await? => {}
            Next::More => return Ok(None),
            Next::Start(start, length) => {
                client.input.advance(length);
                return Ok(Some(*start));
            }
            Next::Cancelled => return Ok(None),
            Next::Refuse(error) => {
                refuse(client, &error).await?;
                return Ok(None);
            }
            Next::Packet(length) => {
                client.input.advance(length);
                write_byte(client, b'N').await?;
            }
            Next::Encrypt(length) => {
                client.input.advance(length);
                // Bytes that came before the handshake must not pass for encrypted ones.
                if !client.input.is_empty() {
                    let error = error!(
                        ProtocolViolation,
                        "received unencrypted data after SSL request"
                    );
                    refuse(client, &error).await?;
                    return Ok(None);
                }
                write_byte(client, b'S').await?;
                client.connection.start_tls().await?;
            }
        }
    }
}

async fn write_byte(client: &mut Client, byte: u8) -> io::Result<()> {
    use tokio::io::AsyncWriteExt;
    client.connection.stream.write_all(&[byte]).await?;
    client.connection.stream.flush().await
}

async fn refuse(client: &mut Client, error: &Error) -> io::Result<()> {
    client.output.error(Severity::Fatal, error, None);
    client.flush().await
}

fn handle(packet: Startup<'_>, length: usize, offers_tls: bool, engine: &Engine) -> Next {
    match packet {
        Startup::Ssl if offers_tls => Next::Encrypt(length),
        Startup::Ssl | Startup::Gss => Next::Packet(length),
        Startup::Cancel { pid, key } => {
            if let Ok(key) = <[u8; 4]>::try_from(key) {
                engine.cancel(pid, i32::from_be_bytes(key));
            }
            // A cancel request is never answered, right or wrong.
            Next::Cancelled
        }
        Startup::Start {
            major: 3,
            minor,
            parameters,
        } => match start(minor, &parameters) {
            Ok(start) => Next::Start(Box::new(start), length),
            Err(error) => Next::Refuse(error),
        },
        Startup::Start { major, minor, .. } => Next::Refuse(error!(
            Unsupported,
            "unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{MINOR_MAX}"
        )),
    }
}

fn start(minor: u16, parameters: &[(&str, &str)]) -> Result<Start> {
    let mut start = Start {
        minor,
        ..Start::default()
    };
    for (name, value) in parameters {
        match *name {
            "user" => start.user = (*value).to_owned(),
            "database" => start.database = Some((*value).to_owned()),
            "replication" if !matches!(*value, "false" | "off" | "no" | "0") => {
                return Err(Error::unsupported("the replication protocol"));
            }
            "replication" => {}
            "options" => start.settings.extend(command_line(value)?),
            name if name.starts_with("_pq_.") => start.unknown_options.push(name.to_owned()),
            name => start.settings.push((name.to_owned(), (*value).to_owned())),
        }
    }
    if start.user.is_empty() {
        bail!(
            Unauthenticated,
            "no PostgreSQL user name specified in startup packet"
        );
    }
    Ok(start)
}

/// `-c name=value` and `--name=value` of the start-up parameter `options`.
fn command_line(text: &str) -> Result<Vec<(String, String)>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            c if c.is_whitespace() => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|w| !w.is_empty());
    let mut settings = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let assignment = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next().unwrap_or_default(),
            Some(assignment) => assignment.to_owned(),
            None => bail!(
                SyntaxError,
                "invalid command-line argument for server process: {word}"
            ),
        };
        let Some((name, value)) = assignment.split_once('=') else {
            bail!(SyntaxError, "-c {assignment} requires a value");
        };
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

/// Authenticates the client and opens its session, up to ReadyForQuery; `None` after a refusal.
pub async fn open(
    client: &mut Client,
    front_end: &FrontEnd,
    start: Start,
) -> io::Result<Option<Session>> {
    if start.minor > MINOR_MAX || !start.unknown_options.is_empty() {
        let unknown: Vec<&str> = start.unknown_options.iter().map(String::as_str).collect();
        client
            .output
            .negotiate_protocol_version(start.minor.min(MINOR_MAX), &unknown);
    }
    if let Err(error) = authentication::authenticate(client, front_end, &start.user).await? {
        refuse(client, &error).await?;
        return Ok(None);
    }
    let mut session = match open_session(client, &front_end.engine, start) {
        Ok(session) => session,
        Err(error) => {
            refuse(client, &error).await?;
            return Ok(None);
        }
    };
    let output = &mut client.output;
    output.authentication_ok();
    for (name, value) in session.reported_settings() {
        output.parameter_status(settings::display_name(name), value);
    }
    output.backend_key_data(session.pid(), &session.secret().to_be_bytes());
    for notice in session.take_notices() {
        crate::command::write_notice(output, &notice);
    }
    output.ready_for_query(Transaction::Idle);
    client.flush().await?;
    Ok(Some(session))
}

fn open_session(client: &Client, engine: &Arc<Engine>, start: Start) -> Result<Session> {
    let database = match start.database.filter(|name| !name.is_empty()) {
        Some(name) => name,
        // PostgreSQL takes the database of the user's name; here it need not exist.
        None if engine.catalog().database_named(&start.user).is_some() => start.user.clone(),
        None => engine.default_database().to_owned(),
    };
    let mut options = SessionOptions::new(Protocol::Postgres, start.user, database);
    options.peer = Some(client.connection.peer);
    for (name, value) in start.settings {
        if name == "application_name" {
            options.application = value;
        } else {
            options.settings.push((name, value));
        }
    }
    engine.session(options).map_err(|error| match error.kind() {
        // What PostgreSQL says of a role that does not exist.
        ErrorKind::UndefinedObject => error.with_sqlstate(*b"28000"),
        _ => error,
    })
}
