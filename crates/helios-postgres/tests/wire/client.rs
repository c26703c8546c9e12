//! A client of raw bytes, and a served engine for it.

use helios_engine::{Engine, EngineOptions};
use helios_net::{Limits, Shutdown, TlsMode};
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    _directory: TempDir,
}

impl Server {
    pub async fn start() -> Server {
        let directory = TempDir::new().unwrap();
        let options = EngineOptions {
            data_dir: directory.path().join("data"),
            ..EngineOptions::default()
        };
        let engine = Engine::open(options).unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let listener =
            helios_net::bind("pg", address, Limits::connections(100), TlsMode::Off).unwrap();
        let address = listener.address();
        let shutdown = Shutdown::new();
        let config = helios_postgres::Config::default();
        tokio::spawn(helios_postgres::serve(
            listener,
            engine,
            config,
            shutdown.clone(),
        ));
        Server {
            address,
            shutdown,
            _directory: directory,
        }
    }

    /// A connection on which nothing was sent.
    pub async fn open(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Client {
            stream,
            key: ([0; 4], [0; 4]),
        }
    }

    /// A connection that is ready.
    pub async fn connect(&self) -> Client {
        let mut client = self.open().await;
        client
            .send(&startup(
                196_608,
                &[("user", "helios"), ("database", "heliosdb")],
            ))
            .await;
        client.until_ready().await;
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

pub struct Client {
    stream: TcpStream,
    key: ([u8; 4], [u8; 4]),
}

impl Client {
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub async fn query(&mut self, query: &str) {
        self.send(&message(b'Q', &text(query))).await;
    }

    pub async fn byte(&mut self) -> u8 {
        self.stream.read_u8().await.unwrap()
    }

    /// Whether the server has closed the connection.
    pub async fn closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 1]).await, Ok(0) | Err(_))
    }

    pub fn backend_key(&self) -> ([u8; 4], [u8; 4]) {
        self.key
    }

    /// The next message as a line of text.
    pub async fn next(&mut self) -> String {
        let tag = self.stream.read_u8().await.unwrap();
        let length = self.stream.read_u32().await.unwrap() as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).await.unwrap();
        if tag == b'K' {
            self.key = (
                body[..4].try_into().unwrap(),
                body[4..8].try_into().unwrap(),
            );
        }
        show(tag, &body)
    }

    /// The messages up to ReadyForQuery, without parameter notices of the start.
    pub async fn until_ready(&mut self) -> Vec<String> {
        let mut messages = Vec::new();
        loop {
            let message = self.next().await;
            let ready = message.starts_with('Z');
            messages.push(message);
            if ready {
                return messages;
            }
        }
    }
}

fn cstring(body: &[u8]) -> (&str, &[u8]) {
    let end = body.iter().position(|b| *b == 0).unwrap();
    (std::str::from_utf8(&body[..end]).unwrap(), &body[end + 1..])
}

fn show(tag: u8, body: &[u8]) -> String {
    let number = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().unwrap());
    let rest = match tag {
        b'C' => cstring(body).0.to_owned(),
        b'Z' => char::from(body[0]).to_string(),
        b'd' => String::from_utf8_lossy(body).into_owned(),
        b't' => (0..body.len() / 4)
            .map(|i| number(2 + 4 * i).to_string())
            .collect::<Vec<_>>()
            .join(" "),
        b'S' => {
            let (name, rest) = cstring(body);
            format!("{name}={}", cstring(rest).0)
        }
        b'T' => fields(body),
        b'D' => values(body),
        b'E' | b'N' => report(body),
        _ => String::new(),
    };
    let tag = char::from(tag);
    if rest.is_empty() {
        tag.to_string()
    } else {
        format!("{tag} {rest}")
    }
}

fn fields(body: &[u8]) -> String {
    let mut rest = &body[2..];
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let (name, after) = cstring(rest);
        let oid = u32::from_be_bytes(after[6..10].try_into().unwrap());
        fields.push(format!("{name}:{oid}"));
        rest = &after[18..];
    }
    fields.join(" ")
}

fn values(body: &[u8]) -> String {
    let mut rest = &body[2..];
    let mut values = Vec::new();
    while !rest.is_empty() {
        let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
        rest = &rest[4..];
        let Ok(length) = usize::try_from(length) else {
            values.push("NULL".to_owned());
            continue;
        };
        let value = &rest[..length];
        values.push(match std::str::from_utf8(value) {
            Ok(text) if !text.contains('\0') => text.to_owned(),
            _ => format!(
                "\\x{}",
                value.iter().map(|b| format!("{b:02x}")).collect::<String>()
            ),
        });
        rest = &rest[length..];
    }
    values.join("|")
}

/// Severity, SQLSTATE, message and position.
fn report(body: &[u8]) -> String {
    let mut rest = body;
    let mut line = String::new();
    while rest[0] != 0 {
        let code = rest[0];
        let (value, after) = cstring(&rest[1..]);
        match code {
            b'S' => line.push_str(value),
            b'C' | b'M' => line.push_str(&format!(" {value}")),
            b'P' => line.push_str(&format!(" P={value}")),
            _ => {}
        }
        rest = after;
    }
    line
}

pub fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

pub fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend(text(name));
        body.extend(text(value));
    }
    body.push(0);
    [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat()
}

/// A Bind with all parameters and results in one format.
pub fn bind(portal: &str, statement: &str, values: &[Option<&[u8]>], format: u16) -> Vec<u8> {
    let mut body = [text(portal), text(statement)].concat();
    body.extend([0, 1]);
    body.extend(format.to_be_bytes());
    body.extend((values.len() as u16).to_be_bytes());
    for value in values {
        match value {
            Some(value) => {
                body.extend((value.len() as u32).to_be_bytes());
                body.extend(*value);
            }
            None => body.extend((-1i32).to_be_bytes()),
        }
    }
    body.extend([0, 1]);
    body.extend(format.to_be_bytes());
    message(b'B', &body)
}

pub fn execute(portal: &str, rows: u32) -> Vec<u8> {
    message(b'E', &[text(portal), rows.to_be_bytes().to_vec()].concat())
}
