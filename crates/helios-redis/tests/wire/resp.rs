//! A small client: sends lines, reads replies as they stand on the wire.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A reply of RESP2, for tests that look at values.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Text(Vec<u8>),
    Integer(i64),
    Error(String),
    List(Vec<Reply>),
    Null,
}

pub fn text(text: &str) -> Reply {
    Reply::Text(text.as_bytes().to_vec())
}

/// The text of INFO.
pub fn info(client: &mut Client, section: &str) -> String {
    match client.ask(&format!("INFO {section}")) {
        Reply::Text(text) => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

pub struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Client { stream, reader }
    }

    pub fn send_line(&mut self, line: &str) {
        self.stream
            .write_all(format!("{line}\r\n").as_bytes())
            .unwrap();
    }

    pub fn send(&mut self, args: &[Vec<u8>]) {
        let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            bytes.extend_from_slice(arg);
            bytes.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&bytes).unwrap();
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).unwrap();
        line.strip_suffix(b"\r\n").map(<[u8]>::to_vec)
    }

    fn bulk(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length + 2];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes.truncate(length);
        bytes
    }

    /// The lines of one reply, with bytes that are not printable as `\xHH`.
    pub fn reply_lines(&mut self, lines: &mut Vec<String>) {
        let Some(line) = self.line() else {
            return lines.push("<closed>".to_owned());
        };
        lines.push(escape(&line));
        let number = || String::from_utf8_lossy(&line[1..]).parse::<i64>().unwrap();
        match line.first() {
            Some(b'$' | b'=') if number() >= 0 => {
                let bytes = self.bulk(number() as usize);
                lines.push(escape(&bytes));
            }
            Some(b'*' | b'~' | b'>') => (0..number()).for_each(|_| self.reply_lines(lines)),
            Some(b'%') => (0..number() * 2).for_each(|_| self.reply_lines(lines)),
            _ => {}
        }
    }

    pub fn reply(&mut self) -> Reply {
        let line = self.line().expect("the connection was closed");
        let text = String::from_utf8_lossy(&line[1..]).into_owned();
        match line[0] {
            b'+' => Reply::Text(line[1..].to_vec()),
            b'-' => Reply::Error(text),
            b':' => Reply::Integer(text.parse().unwrap()),
            b'$' if text == "-1" => Reply::Null,
            b'$' => Reply::Text(self.bulk(text.parse().unwrap())),
            b'*' if text == "-1" => Reply::Null,
            b'*' => Reply::List(
                (0..text.parse::<usize>().unwrap())
                    .map(|_| self.reply())
                    .collect(),
            ),
            other => panic!("unexpected reply type {other}"),
        }
    }

    pub fn ask(&mut self, line: &str) -> Reply {
        self.send_line(line);
        self.reply()
    }
}

fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        if (32..127).contains(&byte) && byte != b'\\' {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}
