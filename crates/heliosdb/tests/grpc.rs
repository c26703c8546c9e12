//! gRPC against the real daemon, with grpcurl.

#[path = "daemon/process.rs"]
mod daemon;

use daemon::Daemon;
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::process::Command;

/// grpcurl from the path, or where `go install` puts it.
fn grpcurl() -> Command {
    let home = std::env::var("GOPATH")
        .unwrap_or_else(|_| format!("{}/go", std::env::var("HOME").unwrap_or_default()));
    let installed = PathBuf::from(home).join("bin/grpcurl");
    Command::new(if installed.is_file() {
        installed
    } else {
        PathBuf::from("grpcurl")
    })
}

/// One call: the reply, or grpcurl's account of the error.
fn call(daemon: &Daemon, method: &str, request: Json) -> Result<Json, String> {
    let output = grpcurl()
        .args(["-plaintext", "-emit-defaults", "-d", &request.to_string()])
        .arg(format!("127.0.0.1:{}", daemon.port("grpc")))
        .arg(format!("heliosdb.v1.HeliosDB/{method}"))
        .output()
        .expect("grpcurl is installed: make setup-clients");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // A stream is several objects one after the other.
    let messages = serde_json::Deserializer::from_str(&text).into_iter::<Json>();
    let mut messages: Vec<Json> = messages
        .collect::<Result<_, _>>()
        .map_err(|e| format!("{e}: {text}"))?;
    Ok(if messages.len() == 1 {
        messages.remove(0)
    } else {
        Json::Array(messages)
    })
}

#[test]
fn calls_are_answered_and_described() {
    let daemon = Daemon::start();
    let reply = call(
        &daemon,
        "ExecuteQuery",
        json!({"sql": "SELECT $1::int + 1 AS n, 'a' AS t", "params": [{"int_value": 20}]}),
    )
    .unwrap();
    assert_eq!(
        reply["rows"][0]["values"],
        json!([{"intValue": "21"}, {"stringValue": "a"}])
    );
    assert_eq!(reply["columns"][0]["name"], "n");
    assert_eq!(reply["columns"][0]["type"], "integer");
    let health = call(&daemon, "HealthCheck", json!({})).unwrap();
    assert_eq!(health["status"], "healthy");
    let address = format!("127.0.0.1:{}", daemon.port("grpc"));
    let list = grpcurl()
        .args(["-plaintext", &address, "list"])
        .output()
        .unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(
        list.contains("heliosdb.v1.HeliosDB") && list.contains("grpc.health.v1.Health"),
        "{list}"
    );
    for request in ["{}", "{\"service\": \"heliosdb.v1.HeliosDB\"}"] {
        let standard = grpcurl()
            .args([
                "-plaintext",
                "-d",
                request,
                &address,
                "grpc.health.v1.Health/Check",
            ])
            .output()
            .unwrap();
        let standard = String::from_utf8_lossy(&standard.stdout).into_owned();
        assert!(standard.contains("\"SERVING\""), "{request}: {standard}");
    }
    let described = grpcurl()
        .args(["-plaintext", &address, "describe", "heliosdb.v1.HeliosDB"])
        .output()
        .unwrap();
    let described = String::from_utf8_lossy(&described.stdout).into_owned();
    for method in [
        "ExecuteQuery ( .heliosdb.v1.QueryRequest ) returns ( .heliosdb.v1.QueryResponse )",
        "ExecuteQueryStream ( .heliosdb.v1.QueryRequest ) returns ( stream .heliosdb.v1.Row )",
        "BeginTransaction ( .heliosdb.v1.BeginTransactionRequest ) returns ( .heliosdb.v1.TransactionResponse )",
        "CommitTransaction ( .heliosdb.v1.TransactionId ) returns ( .heliosdb.v1.CommitResponse )",
        "RollbackTransaction ( .heliosdb.v1.TransactionId ) returns ( .heliosdb.v1.RollbackResponse )",
        "HealthCheck ( .heliosdb.v1.Empty ) returns ( .heliosdb.v1.HealthResponse )",
    ] {
        assert!(described.contains(method), "{method} in {described}");
    }
}

/// A message comes in as many frames of HTTP/2 as it needs, 16 KiB each.
#[test]
fn a_message_may_be_of_any_length_up_to_the_limit() {
    let daemon = Daemon::start();
    for length in [0, 100, 16_000, 17_000, 100_000] {
        let text = "x".repeat(length);
        let request =
            json!({"sql": "SELECT length($1::text) AS n", "params": [{"string_value": text}]});
        let reply = call(&daemon, "ExecuteQuery", request).unwrap();
        let values = &reply["rows"][0]["values"];
        assert_eq!(*values, json!([{"intValue": length.to_string()}]));
    }
}

#[test]
fn a_stream_sends_rows() {
    let daemon = Daemon::start();
    let reply = call(
        &daemon,
        "ExecuteQueryStream",
        json!({"sql": "SELECT i FROM generate_series(1, 1000) AS g(i)"}),
    )
    .unwrap();
    let rows = reply.as_array().unwrap();
    assert_eq!(rows.len(), 1000);
    let verbose = grpcurl()
        .args([
            "-plaintext",
            "-v",
            "-d",
            "{\"sql\": \"SELECT 1 AS one, 2 AS \\\"zwölf\\\"\"}",
        ])
        .arg(format!("127.0.0.1:{}", daemon.port("grpc")))
        .arg("heliosdb.v1.HeliosDB/ExecuteQueryStream")
        .output()
        .unwrap();
    let verbose = String::from_utf8_lossy(&verbose.stdout).into_owned();
    assert!(
        verbose.contains("x-helios-columns: [\"one\",\"zw\\u00f6lf\"]"),
        "{verbose}"
    );
    assert_eq!(
        rows[999]["values"][0]["intValue"]
            .as_str()
            .map(str::to_owned),
        Some("1000".to_owned())
    );
}

#[test]
fn a_transaction_spans_calls() {
    let daemon = Daemon::start();
    daemon.sql("CREATE TABLE t (id integer PRIMARY KEY)");
    let begun = call(
        &daemon,
        "BeginTransaction",
        json!({"isolation_level": "SERIALIZABLE"}),
    )
    .unwrap();
    assert_eq!(begun["isolationLevel"], "SERIALIZABLE");
    let id = begun["transactionId"].clone();
    let insert = json!({"sql": "INSERT INTO t VALUES (1)", "transaction_id": id});
    assert_eq!(
        call(&daemon, "ExecuteQuery", insert.clone()).unwrap()["affectedRows"],
        "1"
    );
    let count = || daemon.sql("SELECT count(*) AS n FROM t")["data"][0]["n"].as_i64();
    assert_eq!(count(), Some(0));
    assert_eq!(
        call(&daemon, "CommitTransaction", id.clone()).unwrap()["success"],
        true
    );
    assert_eq!(count(), Some(1));
    assert!(
        call(&daemon, "ExecuteQuery", insert)
            .unwrap_err()
            .contains("NotFound")
    );
    let begun = call(&daemon, "BeginTransaction", json!({})).unwrap();
    let id = begun["transactionId"].clone();
    call(
        &daemon,
        "ExecuteQuery",
        json!({"sql": "DELETE FROM t", "transaction_id": id}),
    )
    .unwrap();
    call(&daemon, "RollbackTransaction", id).unwrap();
    assert_eq!(count(), Some(1));
}

/// Status codes of the contract's table 2.1, with the reason of `ErrorInfo`, each by a statement that
/// earns it.
#[test]
fn errors_have_the_codes_of_the_contract() {
    let daemon = Daemon::start();
    daemon.sql("CREATE TABLE t (id integer PRIMARY KEY, n integer CHECK (n > 0))");
    daemon.sql("CREATE TABLE child (t integer REFERENCES t)");
    daemon.sql("INSERT INTO t VALUES (1, 1)");
    for (sql, code, reason) in [
        ("SELEC 1", "InvalidArgument", "INVALID_QUERY"),
        ("SELECT * FROM nothing", "NotFound", "TABLE_NOT_FOUND"),
        ("SELECT x FROM t", "InvalidArgument", "COLUMN_NOT_FOUND"),
        ("SELECT 'a'::integer", "InvalidArgument", "TYPE_MISMATCH"),
        (
            "INSERT INTO t VALUES (1)",
            "AlreadyExists",
            "CONSTRAINT_VIOLATION",
        ),
        (
            "INSERT INTO t VALUES (NULL)",
            "InvalidArgument",
            "CONSTRAINT_VIOLATION",
        ),
        (
            "INSERT INTO t VALUES (2, -1)",
            "InvalidArgument",
            "CONSTRAINT_VIOLATION",
        ),
        (
            "INSERT INTO child VALUES (9)",
            "FailedPrecondition",
            "CONSTRAINT_VIOLATION",
        ),
        ("CREATE TABLE t (id integer)", "AlreadyExists", "CONFLICT"),
        ("DROP TABLE t", "FailedPrecondition", "CONFLICT"),
        (
            "INSERT INTO pg_class VALUES (1)",
            "PermissionDenied",
            "AUTHORIZATION_DENIED",
        ),
        ("BEGIN", "Unimplemented", "INVALID_QUERY"),
    ] {
        let error = call(&daemon, "ExecuteQuery", json!({"sql": sql})).unwrap_err();
        assert!(error.contains(&format!("Code: {code}\n")), "{sql}: {error}");
        assert_eq!(reason_of(&error).as_deref(), Some(reason), "{sql}: {error}");
    }
    for (method, request, code) in [
        ("VectorSearch", json!({}), "Unimplemented"),
        ("VectorUpsert", json!({}), "Unimplemented"),
        ("CommitTransaction", json!({"id": "txn_none"}), "NotFound"),
        ("RollbackTransaction", json!({}), "NotFound"),
        (
            "ExecuteQuery",
            json!({"sql": "SELECT 1", "transaction_id": {"id": "txn_none"}}),
            "NotFound",
        ),
        (
            "ExecuteQuery",
            json!({"sql": "SELECT $1::integer", "params": [{"string_value": "x"}]}),
            "InvalidArgument",
        ),
        (
            "ExecuteQuery",
            json!({"sql": "SELECT $1::integer", "params": []}),
            "InvalidArgument",
        ),
        (
            "ExecuteQuery",
            json!({"sql": "SELECT 1", "params": [{"int_value": 1}]}),
            "InvalidArgument",
        ),
        (
            "ExecuteQuery",
            json!({"sql": "SELECT $1", "params": [{"vector_value": {"values": [1]}}]}),
            "Unimplemented",
        ),
        (
            "ExecuteQueryStream",
            json!({"sql": "SELEC 1"}),
            "InvalidArgument",
        ),
        (
            "ExecuteQueryStream",
            json!({"sql": "SELECT 1", "transaction_id": {"id": "txn_none"}}),
            "Unimplemented",
        ),
        (
            "BeginTransaction",
            json!({"timeout_ms": -1}),
            "InvalidArgument",
        ),
        (
            "BeginTransaction",
            json!({"isolation_level": 99}),
            "InvalidArgument",
        ),
    ] {
        let error = call(&daemon, method, request.clone()).unwrap_err();
        assert!(
            error.contains(&format!("Code: {code}\n")),
            "{method} {request}: {error}"
        );
    }
    // A conflict of two serializable transactions is the second's.
    let mut ids = [0, 1].map(|n| {
        let begun = call(
            &daemon,
            "BeginTransaction",
            json!({"isolation_level": "SERIALIZABLE"}),
        )
        .unwrap();
        let id = begun["transactionId"].clone();
        for sql in [
            "SELECT sum(n) FROM t".to_owned(),
            format!("INSERT INTO t VALUES ({}, 1)", 100 + n),
        ] {
            call(
                &daemon,
                "ExecuteQuery",
                json!({"sql": sql, "transaction_id": id}),
            )
            .unwrap();
        }
        id
    });
    call(&daemon, "CommitTransaction", ids[0].take()).unwrap();
    let error = call(&daemon, "CommitTransaction", ids[1].take()).unwrap_err();
    assert!(error.contains("Code: Aborted\n"), "{error}");
}

/// The reason in the `ErrorInfo` of an error: grpcurl shows its bytes in base64, of which the reason
/// is the first field.
fn reason_of(error: &str) -> Option<String> {
    let text = error
        .lines()
        .find_map(|l| l.trim().strip_prefix("\"@value\": \""))?;
    let output = Command::new("sh")
        .args(["-c", "printf %s \"$0\" | base64 -d"])
        .arg(text.trim_end_matches(['"', ',']))
        .output()
        .unwrap();
    let [0x0a, length, rest @ ..] = output.stdout.as_slice() else {
        return None;
    };
    Some(String::from_utf8_lossy(rest.get(..usize::from(*length))?).into_owned())
}

#[test]
fn a_deadline_ends_the_statement() {
    let daemon = Daemon::start();
    let endless = json!({"sql": "SELECT count(*) FROM generate_series(1, 100000) AS a(i), generate_series(1, 1000000) AS b(j)"});
    for method in ["ExecuteQuery", "ExecuteQueryStream"] {
        let output = grpcurl()
            .args(["-plaintext", "-max-time", "3", "-d", &endless.to_string()])
            .arg(format!("127.0.0.1:{}", daemon.port("grpc")))
            .arg(format!("heliosdb.v1.HeliosDB/{method}"))
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("DeadlineExceeded"), "{method}: {error}");
    }
    let began = std::time::Instant::now();
    let active = "SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series%' AND query NOT LIKE '%pg_stat%'";
    while daemon.sql(active)["data"][0]["n"] != 0 {
        assert!(
            began.elapsed().as_secs() < 10,
            "a statement runs on for nobody"
        );
    }
}

#[test]
fn a_key_is_required_once_one_exists() {
    let daemon = Daemon::start_with(|command| {
        command.env("HELIOSDB_API_KEY", "hdb_sk_test");
    });
    let with = |headers: &[&str]| {
        let output = grpcurl()
            .args(["-plaintext", "-d", "{\"sql\": \"SELECT 1\"}"])
            .args(headers.iter().flat_map(|h| ["-rpc-header", *h]))
            .arg("-import-path")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto"))
            .args(["-proto", "heliosdb/v1/heliosdb.proto"])
            .arg(format!("127.0.0.1:{}", daemon.port("grpc")))
            .arg("heliosdb.v1.HeliosDB/ExecuteQuery")
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    assert!(with(&[]).contains("Code: Unauthenticated\n"));
    assert!(with(&["authorization: Bearer hdb_sk_wrong"]).contains("Code: Unauthenticated\n"));
    assert!(with(&["authorization: Bearer hdb_sk_test"]).contains("\"intValue\": \"1\""));
    assert!(
        call(&daemon, "HealthCheck", json!({})).is_ok(),
        "always open"
    );
}

#[test]
fn what_cannot_be_read_is_refused_and_disturbs_nobody() {
    use std::io::{Read, Write};
    let daemon = Daemon::start();
    let other = || {
        let reply = call(&daemon, "ExecuteQuery", json!({"sql": "SELECT 1 AS n"})).unwrap();
        assert_eq!(reply["rows"][0]["values"], json!([{"intValue": "1"}]));
    };
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for bytes in [
        &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &[preface, &b"\xff\xff\xff\x00\x00\x00\x00\x00\x00"[..]].concat(),
        &[
            preface,
            &b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff"[..],
        ]
        .concat(),
        &[0; 64],
    ] {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", daemon.port("grpc"))).unwrap();
        stream
            .set_read_timeout(Some(std::time::Duration::from_secs(20)))
            .unwrap();
        stream.write_all(bytes).unwrap();
        // The server may have ended the connection already.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut reply = Vec::new();
        // A reset is an answer too; a hang is none.
        if let Err(e) = stream.read_to_end(&mut reply) {
            assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset, "{bytes:?}");
        }
        other();
    }
    // A message that is no protobuf, one that is longer than it says.
    for (body, status) in [
        (&b"\x00\x00\x00\x00\x03\x0a\xff\x01"[..], "13"),
        (b"\x00\x00\x00\x00\x04\x0a\x02\xff\xfe", "13"),
    ] {
        let work = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(work.path(), body).unwrap();
        let output = Command::new("curl")
            .args([
                "-sS",
                "--max-time",
                "20",
                "--http2-prior-knowledge",
                "-D",
                "-",
                "-o",
                "/dev/null",
            ])
            .args([
                "-H",
                "content-type: application/grpc",
                "-H",
                "te: trailers",
                "--data-binary",
            ])
            .arg(format!("@{}", work.path().display()))
            .arg(format!(
                "http://127.0.0.1:{}/heliosdb.v1.HeliosDB/ExecuteQuery",
                daemon.port("grpc")
            ))
            .output()
            .unwrap();
        let head = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            head.contains(&format!("grpc-status: {status}")),
            "{status}: {head}"
        );
        other();
    }
    // One that is larger than the daemon takes.
    let mut grpcurl = grpcurl()
        .args(["-plaintext", "-d", "@"])
        .arg(format!("127.0.0.1:{}", daemon.port("grpc")))
        .arg("heliosdb.v1.HeliosDB/ExecuteQuery")
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let large = json!({"sql": "x".repeat(17 << 20)}).to_string();
    let mut input = grpcurl.stdin.take().unwrap();
    input.write_all(large.as_bytes()).unwrap();
    drop(input);
    let output = grpcurl.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("Code: OutOfRange"), "{error}");
    other();
}
