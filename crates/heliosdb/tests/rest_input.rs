//! Requests that REST cannot read: refused in its own form, and other clients are undisturbed.

#[path = "daemon/process.rs"]
mod daemon;

use daemon::Daemon;

#[test]
fn what_cannot_be_read_is_refused_and_disturbs_nobody() {
    use std::io::{Read, Write};
    let daemon = Daemon::start();
    let other = |n: u64| {
        let reply = daemon.sql(&format!("SELECT {n} AS n"));
        assert_eq!(reply["data"][0]["n"].as_u64(), Some(n));
    };
    // Whole requests that are wrong in themselves.
    let deep = "[".repeat(100_000);
    let large = format!("{{\"sql\": \"SELECT 1 /* {} */\"}}", "x".repeat(1 << 20));
    let cases: &[(&[u8], u16)] = &[
        (b"{\"sql\": \"SELECT 1\"", 400),
        (b"{\"sql\": \"\xff\"}", 400),
        (deep.as_bytes(), 400),
        (b"{\"sql\": \"SELECT 1\\u0000\"}", 400),
        (b"{\"sql\": \"SELECT $1\", \"params\": {}}", 422),
        (
            b"{\"sql\": \"SELECT $1::integer\", \"params\": [1e999]}",
            422,
        ),
        (b"{\"sql\": \"SELECT $1::integer\", \"params\": []}", 400),
        (b"{\"sql\": \"SELECT 1\", \"params\": [1]}", 400),
        (b"{\"sql\": \"SELECT 1; SELECT 2\"}", 400),
        (large.as_bytes(), 413),
    ];
    for (n, (body, status)) in (0..).zip(cases) {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", daemon.port("http"))).unwrap();
        stream
            .set_read_timeout(Some(std::time::Duration::from_secs(20)))
            .unwrap();
        write!(stream, "POST /api/v1/query HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(body).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let shown: String = String::from_utf8_lossy(body).chars().take(60).collect();
        assert!(
            reply.starts_with(&format!("HTTP/1.1 {status} ")),
            "{shown}: {reply}"
        );
        assert!(
            reply.contains("{\"error\":{\"code\":\""),
            "{shown}: {reply}"
        );
        other(n);
    }
    // Requests that are no HTTP, or end in the middle.
    for bytes in [
        &b"GET / HTTP/9.9\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /api/v1/query HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /api/v1/query HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"POST /api/v1/query HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"\0\0\0\0\0\0\0\0",
    ] {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", daemon.port("http"))).unwrap();
        stream
            .set_read_timeout(Some(std::time::Duration::from_secs(20)))
            .unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut reply = Vec::new();
        // A reset is an answer too.
        let _ = stream.read_to_end(&mut reply);
        let reply = String::from_utf8_lossy(&reply);
        assert!(
            reply.is_empty() || reply.starts_with("HTTP/1.1 4"),
            "{reply}"
        );
        other(1000);
    }
    // A header that is too large, a path that is no path, a query string that does not decode.
    let long = format!("X-Long: {}", "x".repeat(100_000));
    let (status, _, _) = daemon.raw("GET", "/api/v1/live", &[&long], "");
    assert_eq!(status, 431);
    for (path, expected) in [
        ("/api/v1/tables?pattern=%ff", 422),
        ("/api/v1/tables?pattern=%4", 422),
        ("/api/v1/tables/%ff", 422),
        ("/api/v1/tables/%00", 422),
        ("/api/v1//tables", 404),
    ] {
        let (status, _, _) = daemon.raw("GET", path, &[], "");
        assert_eq!(status, expected, "{path}");
    }
    other(2000);
}
