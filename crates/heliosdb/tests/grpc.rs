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
    let standard = grpcurl()
        .args(["-plaintext", &address, "grpc.health.v1.Health/Check"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&standard.stdout).contains("SERVING"));
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

#[test]
fn errors_have_the_codes_of_the_contract() {
    let daemon = Daemon::start();
    daemon.sql("CREATE TABLE t (id integer PRIMARY KEY)");
    daemon.sql("INSERT INTO t VALUES (1)");
    for (sql, code) in [
        ("SELEC 1", "InvalidArgument"),
        ("SELECT * FROM nothing", "NotFound"),
        ("SELECT x FROM t", "InvalidArgument"),
        ("INSERT INTO t VALUES (1)", "AlreadyExists"),
        ("INSERT INTO t VALUES (NULL)", "InvalidArgument"),
    ] {
        let error = call(&daemon, "ExecuteQuery", json!({"sql": sql})).unwrap_err();
        assert!(error.contains(&format!("Code: {code}")), "{sql}: {error}");
    }
    assert!(
        call(&daemon, "VectorSearch", json!({}))
            .unwrap_err()
            .contains("Unimplemented")
    );
}
