//! A Redis client for tests that need to see the protocol's own answers: one connection, RESP2.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A server that does not answer for so long is broken, not slow.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// More than any reply that a test asks for.
const BYTES_MAX: usize = 64 << 20;
const ELEMENTS_MAX: usize = 1 << 20;
const DEPTH_MAX: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisReply {
    Simple(String),
    Error(String),
    Int(i64),
    /// Null and the null array too.
    Bulk(Option<String>),
    Array(Vec<RedisReply>),
}

impl RedisReply {
    pub fn is_error(&self) -> bool {
        matches!(self, RedisReply::Error(_))
    }

    /// The strings of a flat array.
    pub fn strings(self) -> Vec<String> {
        let RedisReply::Array(items) = self else {
            panic!("not an array: {self:?}");
        };
        let text = |item| match item {
            RedisReply::Bulk(Some(text)) | RedisReply::Simple(text) => text,
            other => panic!("not a string: {other:?}"),
        };
        items.into_iter().map(text).collect()
    }

    /// The text of a string that may be missing.
    pub fn string(self) -> Option<String> {
        match self {
            RedisReply::Bulk(text) => text,
            RedisReply::Simple(text) => Some(text),
            other => panic!("not a string: {other:?}"),
        }
    }
}

pub struct RedisClient {
    stream: BufReader<TcpStream>,
}

fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl RedisClient {
    /// Connects to this machine.
    pub fn open(port: u16) -> io::Result<RedisClient> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(RedisClient {
            stream: BufReader::new(stream),
        })
    }

    /// Sends one command and reads its reply.
    pub fn command(&mut self, words: &[&str]) -> io::Result<RedisReply> {
        self.pipeline(&[words]).map(|mut replies| {
            let last = replies.pop();
            last.unwrap_or(RedisReply::Bulk(None))
        })
    }

    /// Sends several commands at once and reads all their replies.
    pub fn pipeline(&mut self, commands: &[&[&str]]) -> io::Result<Vec<RedisReply>> {
        let mut frame = Vec::new();
        for words in commands {
            write!(frame, "*{}\r\n", words.len())?;
            for word in *words {
                write!(frame, "${}\r\n{word}\r\n", word.len())?;
            }
        }
        self.stream.get_mut().write_all(&frame)?;
        commands.iter().map(|_| self.reply(0)).collect()
    }

    /// Runs a command that must succeed.
    pub fn run(&mut self, words: &[&str]) -> RedisReply {
        let reply = self
            .command(words)
            .unwrap_or_else(|e| panic!("{words:?}: connection lost: {e}"));
        assert!(!reply.is_error(), "{words:?}: {reply:?}");
        reply
    }

    fn reply(&mut self, depth: usize) -> io::Result<RedisReply> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let Some(line) = line.strip_suffix("\r\n") else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| broken("empty"))?;
        let number = || rest.parse::<i64>().map_err(|e| broken(e.to_string()));
        let count = |max: usize| match usize::try_from(number()?) {
            Ok(n) if n <= max => Ok(Some(n)),
            Ok(n) => Err(broken(format!("{n} is too many"))),
            Err(_) => Ok(None),
        };
        Ok(match kind {
            "+" => RedisReply::Simple(rest.to_owned()),
            "-" => RedisReply::Error(rest.to_owned()),
            ":" => RedisReply::Int(number()?),
            "$" => match count(BYTES_MAX)? {
                None => RedisReply::Bulk(None),
                Some(n) => {
                    let mut bytes = vec![0; n + 2];
                    self.stream.read_exact(&mut bytes)?;
                    bytes.truncate(n);
                    RedisReply::Bulk(Some(String::from_utf8_lossy(&bytes).into_owned()))
                }
            },
            "*" if depth < DEPTH_MAX => match count(ELEMENTS_MAX)? {
                None => RedisReply::Bulk(None),
                Some(n) => {
                    let items: io::Result<_> = (0..n).map(|_| self.reply(depth + 1)).collect();
                    RedisReply::Array(items?)
                }
            },
            _ => return Err(broken(format!("unknown reply {line}"))),
        })
    }
}
