//! A PostgreSQL client for tests that need to see the protocol's own answers: one connection,
//! simple queries, results as text. It trusts the server to ask for no password.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A server that does not answer for so long is broken, not slow.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// More than any message that a test asks for.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// What one message of COPY carries.
const COPY_PART_BYTES: usize = 64 << 10;

/// How a query ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The last statement's tag, with its rows if it has any.
    Done {
        tag: String,
        rows: Option<Vec<Vec<Option<String>>>>,
    },
    Error {
        sqlstate: String,
        message: String,
    },
}

impl Reply {
    /// The rows of a query that went well.
    pub fn rows(self) -> Vec<Vec<Option<String>>> {
        match self {
            Reply::Done { rows, .. } => rows.unwrap_or_default(),
            Reply::Error { sqlstate, message } => panic!("query failed: {sqlstate} {message}"),
        }
    }

    pub fn is_done(&self) -> bool {
        matches!(self, Reply::Done { .. })
    }
}

pub struct PgClient {
    stream: BufReader<TcpStream>,
    pid: i32,
}

fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// Cuts a zero-terminated string off the front.
fn text(bytes: &mut &[u8]) -> io::Result<String> {
    let end = bytes
        .iter()
        .position(|b| *b == 0)
        .ok_or_else(|| broken("unterminated string"))?;
    let out = String::from_utf8_lossy(&bytes[..end]).into_owned();
    *bytes = &bytes[end + 1..];
    Ok(out)
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> io::Result<&'a [u8]> {
    let (head, rest) = bytes
        .split_at_checked(n)
        .ok_or_else(|| broken("short message"))?;
    *bytes = rest;
    Ok(head)
}

fn number(bytes: &mut &[u8]) -> io::Result<i32> {
    let head = take(bytes, 4)?;
    Ok(head.iter().fold(0, |n, b| n << 8 | i32::from(*b)))
}

fn data_row(mut body: &[u8]) -> io::Result<Vec<Option<String>>> {
    let count = take(&mut body, 2)?;
    let count = usize::from(count[0]) << 8 | usize::from(count[1]);
    let mut row = Vec::with_capacity(count);
    for _ in 0..count {
        row.push(match number(&mut body)? {
            -1 => None,
            n => {
                let value = take(&mut body, usize::try_from(n).map_err(broken_number)?)?;
                Some(String::from_utf8_lossy(value).into_owned())
            }
        });
    }
    Ok(row)
}

fn broken_number(_: std::num::TryFromIntError) -> io::Error {
    broken("negative length")
}

fn error_fields(mut body: &[u8]) -> io::Result<Reply> {
    let (mut sqlstate, mut message) = (String::new(), String::new());
    while let Ok([field]) = take(&mut body, 1) {
        match field {
            0 => break,
            b'C' => sqlstate = text(&mut body)?,
            b'M' => message = text(&mut body)?,
            _ => drop(text(&mut body)?),
        }
    }
    Ok(Reply::Error { sqlstate, message })
}

impl PgClient {
    /// Connects to this machine as `helios`.
    pub fn open(port: u16, database: &str) -> io::Result<PgClient> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let mut start = vec![0, 3, 0, 0];
        for part in ["user", "helios", "database", database, ""] {
            start.extend_from_slice(part.as_bytes());
            start.push(0);
        }
        let mut client = PgClient {
            stream: BufReader::new(stream),
            pid: 0,
        };
        client.send(None, &start)?;
        loop {
            let (kind, body) = client.message()?;
            let mut body = body.as_slice();
            match kind {
                b'R' if number(&mut body)? != 0 => return Err(broken("asked for a password")),
                b'K' => client.pid = number(&mut body)?,
                b'E' => return Err(broken(format!("{:?}", error_fields(body)?))),
                b'Z' => return Ok(client),
                _ => {}
            }
        }
    }

    /// The number under which the server knows this connection.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).map_err(|_| broken("message too long"))?;
        let mut frame = Vec::with_capacity(body.len() + 5);
        frame.extend(kind);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(body);
        self.stream.get_mut().write_all(&frame)
    }

    fn message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let length = number(&mut &head[1..])?;
        let length = usize::try_from(length).map_err(broken_number)?;
        if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
            return Err(broken(format!("message of {length} bytes")));
        }
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body)?;
        Ok((head[0], body))
    }

    /// Runs a query string to its end. An error here is the connection's, not the query's.
    pub fn query(&mut self, sql: &str) -> io::Result<Reply> {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        self.send(Some(b'Q'), &body)?;
        let mut reply = None;
        let mut rows = None;
        loop {
            let (kind, body) = self.message()?;
            match kind {
                b'T' => rows = Some(Vec::new()),
                b'D' => rows.get_or_insert_with(Vec::new).push(data_row(&body)?),
                b'C' => {
                    let tag = text(&mut body.as_slice())?;
                    let rows = rows.take();
                    reply = Some(Reply::Done { tag, rows });
                }
                b'E' => reply = Some(error_fields(&body)?),
                b'Z' => return reply.ok_or_else(|| broken("no answer before the end")),
                _ => {}
            }
        }
    }

    /// Runs COPY … FROM STDIN with this as its input.
    pub fn copy_in(&mut self, sql: &str, input: &[u8]) -> io::Result<Reply> {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        self.send(Some(b'Q'), &body)?;
        let mut reply = None;
        loop {
            let (kind, body) = self.message()?;
            match kind {
                b'G' => {
                    for part in input.chunks(COPY_PART_BYTES) {
                        self.send(Some(b'd'), part)?;
                    }
                    self.send(Some(b'c'), &[])?;
                }
                b'C' => {
                    let tag = text(&mut body.as_slice())?;
                    reply = Some(Reply::Done { tag, rows: None });
                }
                b'E' => reply = Some(error_fields(&body)?),
                b'Z' => return reply.ok_or_else(|| broken("no answer before the end")),
                _ => {}
            }
        }
    }

    /// Runs a query that must succeed.
    pub fn run(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let reply = self
            .query(sql)
            .unwrap_or_else(|e| panic!("{sql}: connection lost: {e}"));
        match reply {
            Reply::Done { rows, .. } => rows.unwrap_or_default(),
            Reply::Error { sqlstate, message } => panic!("{sql}: {sqlstate} {message}"),
        }
    }
}

impl Drop for PgClient {
    fn drop(&mut self) {
        // The server may be gone already.
        let _ = self.send(Some(b'X'), &[]);
    }
}
