//! Keys of Redis: read by all others as the tables of the schema `redis`.

use crate::clients::{Clients, redis};
use conformance::daemon::Daemon;
use serde_json::{Value as Json, json};

fn filled(daemon: &Daemon) {
    let mut keys = redis(daemon, 0);
    keys.run(&["SET", "greeting", "hello"]);
    keys.run(&["HSET", "h", "f", "v"]);
    keys.run(&["RPUSH", "l", "a", "b"]);
    keys.run(&["SADD", "s", "m"]);
    keys.run(&["ZADD", "z", "1.5", "m"]);
    keys.run(&["SET", "gone", "x", "PX", "1"]);
    redis(daemon, 3).run(&["SET", "greeting", "third"]);
}

/// Table, and the rows that it has by SQL's text; bytes are hexadecimal.
const TABLES: [(&str, &str, &[&[&str]]); 5] = [
    (
        "strings",
        "db, key, value",
        &[
            &["0", "\\x6772656574696e67", "\\x68656c6c6f"],
            &["3", "\\x6772656574696e67", "\\x7468697264"],
        ],
    ),
    (
        "hashes",
        "db, key, field, value",
        &[&["0", "\\x68", "\\x66", "\\x76"]],
    ),
    (
        "lists",
        "db, key, idx, value",
        &[&["0", "\\x6c", "0", "\\x61"], &["0", "\\x6c", "1", "\\x62"]],
    ),
    ("sets", "db, key, member", &[&["0", "\\x73", "\\x6d"]]),
    (
        "zsets",
        "db, key, member, score",
        &[&["0", "\\x7a", "\\x6d", "1.5"]],
    ),
];

/// The columns of a row of REST as SQL writes them.
fn as_text(row: &Json, columns: &str) -> Vec<String> {
    columns
        .split(", ")
        .map(|name| match &row[name] {
            // Bytes are base64 in JSON.
            Json::String(base64) => {
                let bytes = decode_base64(base64);
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                format!("\\x{hex}")
            }
            other => other.to_string(),
        })
        .collect()
}

fn decode_base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        alphabet.iter().position(|a| *a == c).map(|n| n as u32)
    };
    let mut out = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let digits: Vec<u32> = group.iter().copied().filter_map(digit).collect();
        let bits = digits.iter().fold(0, |n, d| n << 6 | d) << (6 * (4 - digits.len()));
        let bytes = bits.to_be_bytes();
        out.extend_from_slice(&bytes[1..digits.len()]);
    }
    out
}

#[test]
fn keys_of_redis_are_rows_to_all_others() {
    let daemon = Daemon::start();
    filled(&daemon);
    let mut c = Clients::of(&daemon);
    for (table, columns, expected) in TABLES {
        let expected: Vec<Vec<String>> = expected
            .iter()
            .map(|row| row.iter().map(|v| (*v).to_owned()).collect())
            .collect();
        let statement = format!("SELECT {columns} FROM redis.{table} ORDER BY {columns}");
        let rows: Vec<Vec<String>> = c
            .sql
            .run(&statement)
            .into_iter()
            .map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
            .collect();
        assert_eq!(rows, expected, "redis.{table} in SQL");

        let path = format!(
            "/tables/redis.{table}/rows?order_by={}",
            columns.replace(", ", ",")
        );
        let list = c.rest.ok("GET", &path, None);
        let rows = list["data"].as_array().expect("rows");
        let rows: Vec<Vec<String>> = rows.iter().map(|row| as_text(row, columns)).collect();
        assert_eq!(rows, expected, "redis.{table} in REST");

        assert_eq!(c.grpc.rows(&statement, &json!([])).len(), expected.len());

        let found = c.mongo.run_in("redis", &json!({"find": table}));
        let documents = found["cursor"]["firstBatch"].as_array().expect("documents");
        assert_eq!(documents.len(), expected.len(), "redis.{table} in MongoDB");
    }
    // The key as bytes, which is what it is.
    let key = json!({"$binary": {"base64": "Z3JlZXRpbmc=", "subType": "00"}});
    let found = c.mongo.run_in(
        "redis",
        &json!({"find": "strings", "filter": {"key": key, "db": 3}}),
    );
    let value = &found["cursor"]["firstBatch"][0]["value"]["$binary"]["base64"];
    assert_eq!(value, "dGhpcmQ=", "{found}");
    // A key by its name, in a join with a table.
    c.sql
        .run("CREATE TABLE word (word text PRIMARY KEY, language text)");
    c.sql.run("INSERT INTO word VALUES ('hello', 'English')");
    let rows = c.sql.run(
        "SELECT w.language FROM redis.strings s JOIN word w ON w.word = convert_from(s.value, 'UTF8') WHERE s.key = 'greeting' AND s.db = 0",
    );
    assert_eq!(rows, [[Some("English".to_owned())]]);
    let rows = c
        .sql
        .run("SELECT count(*) FROM redis.keys WHERE key = 'gone'");
    assert_eq!(rows, [[Some("0".to_owned())]], "an expired key is no row");
}

#[test]
fn protocols_that_only_read_keys_are_told_so() {
    let daemon = Daemon::start();
    filled(&daemon);
    let mut c = Clients::of(&daemon);
    for statement in [
        "INSERT INTO redis.strings (db, key, value) VALUES (0, 'k', 'v')",
        "UPDATE redis.strings SET value = 'v' WHERE key = 'greeting'",
        "DELETE FROM redis.keys WHERE key = 'greeting'",
        "WITH gone AS (DELETE FROM redis.hashes RETURNING key) SELECT count(*) FROM gone",
    ] {
        let refusal = c.grpc.query(statement, &json!([])).unwrap_err();
        assert!(
            refusal.contains("Code: PermissionDenied"),
            "{statement}: {refusal}"
        );
        let query = json!({"sql": statement, "params": []});
        assert_eq!(
            c.rest.error("POST", "/query", Some(&query)),
            (403, "AUTHORIZATION_DENIED".to_owned()),
            "{statement}"
        );
    }
    let row = json!({"row": {"db": 0, "key": "aw==", "value": "dg=="}});
    assert_eq!(
        c.rest
            .error("POST", "/tables/redis.strings/rows", Some(&row)),
        (403, "AUTHORIZATION_DENIED".to_owned())
    );
    for command in [
        json!({"insert": "strings", "documents": [{"key": "k"}]}),
        json!({"delete": "strings", "deletes": [{"q": {}, "limit": 0}]}),
        json!({"update": "hashes", "updates": [{"q": {}, "u": {"$set": {"value": "x"}}}]}),
        json!({"findAndModify": "keys", "query": {}, "remove": true}),
    ] {
        let (code, message) = c.mongo.error("redis", &command);
        assert_eq!(code, 166, "{command}: {message}");
    }
    let mut keys = redis(&daemon, 0);
    assert_eq!(
        keys.run(&["GET", "greeting"]).string(),
        Some("hello".to_owned())
    );
}
