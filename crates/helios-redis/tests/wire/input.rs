//! Bad input, which ends its own connection and leaves the others undisturbed.

use crate::peer;
use crate::resp::{Client, Reply, text};
use std::io::{Read, Write};
use std::net::TcpStream;

/// What a connection answers before it is closed.
fn last_words(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // The server may close before everything is sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn bad_input_ends_its_own_connection_only() {
    let server = peer::heliosdb();
    let mut other = Client::connect(server.port);
    let deep = b"*1\r\n".repeat(1000);
    let long = vec![b'a'; 100_000];
    for (bytes, error) in [
        (&b"*1\r\n$-1\r\n"[..], "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
        (b"*99999999999\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*1\r\nx\r\n", "expected '$', got 'x'"),
        (b"*1\r\n\r\n", "expected '$', got '?'"),
        (&deep, "expected '$', got '*'"),
        (b"\"\r\n", "unbalanced quotes in request"),
        (&long, "too big inline request"),
    ] {
        let answer = last_words(server.port, bytes);
        assert_eq!(answer, format!("-ERR Protocol error: {error}\r\n"));
        assert_eq!(other.ask("PING"), text("PONG"));
    }
    // What came before the error has been answered.
    let answer = last_words(server.port, b"SET k v\r\n*1\r\n$-1\r\n");
    assert!(answer.starts_with("+OK\r\n-ERR Protocol error"), "{answer}");
}

#[test]
fn a_request_that_is_announced_and_never_comes_takes_no_memory() {
    let server = peer::heliosdb();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream
            .write_all(b"*2\r\n$3\r\nGET\r\n$536870912\r\nabc")
            .unwrap();
        waiting.push(stream);
    }
    let mut client = Client::connect(server.port);
    assert_eq!(client.ask("PING"), text("PONG"));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    // Twenty times 512 MB were announced.
    assert!(kilobytes < 2_000_000, "{line}");
}

#[test]
fn what_a_command_does_not_take_is_its_error_and_the_connection_goes_on() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    client.ask("SET text abc");
    for (command, error) in [
        (
            "NOSUCH a b",
            "ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' ",
        ),
        ("GET", "ERR wrong number of arguments for 'get' command"),
        ("INCR text", "ERR value is not an integer or out of range"),
        (
            "LPUSH text x",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SELECT 99", "ERR DB index is out of range"),
        (
            "CONFIG SET nothing 1",
            "ERR Unknown option or number of arguments for CONFIG SET - 'nothing'",
        ),
        ("HELLO 4", "NOPROTO unsupported protocol version"),
    ] {
        assert_eq!(
            client.ask(command),
            Reply::Error(error.to_owned()),
            "{command}"
        );
    }
    // Any bytes are a key and a value.
    let odd: Vec<u8> = (0..=255).collect();
    client.send(&[b"SET".to_vec(), odd.clone(), odd.clone()]);
    assert_eq!(client.reply(), text("OK"));
    client.send(&[b"GET".to_vec(), odd.clone()]);
    assert_eq!(client.reply(), Reply::Text(odd));
    let large = vec![b'x'; 20_000_000];
    client.send(&[b"SET".to_vec(), b"large".to_vec(), large.clone()]);
    assert_eq!(client.reply(), text("OK"));
    client.send(&[b"GET".to_vec(), b"large".to_vec()]);
    assert_eq!(client.reply(), Reply::Text(large));
}
