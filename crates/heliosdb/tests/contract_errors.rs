//! Rows R-042 to R-055 of the API contract: errors, in each dialect's words.

#[path = "daemon/process.rs"]
mod daemon;
#[path = "daemon/example.rs"]
mod example;

use daemon::Daemon;
use example::difference;
use serde_json::{Value as Json, json};
use std::io::{Read, Seek, SeekFrom, Write};

/// Codes of v7, each by a request that earns it: code, status, SQLSTATE of the details.
#[test]
fn errors_are_rows_042_to_055() {
    let daemon = Daemon::start();
    daemon.sql("CREATE TABLE t (id integer PRIMARY KEY, n integer NOT NULL CHECK (n > 0))");
    daemon.sql("CREATE TABLE child (id integer PRIMARY KEY, t integer REFERENCES t)");
    daemon.sql("INSERT INTO t VALUES (1, 1)");
    let endless = "SELECT count(*) FROM generate_series(1, 100000) AS a(i), generate_series(1, 1000000) AS b(j)";
    let cases = [
        ("R-047", "SELEC 1", "INVALID_QUERY", 400, "42601"),
        (
            "R-048",
            "SELECT * FROM nothing",
            "TABLE_NOT_FOUND",
            404,
            "42P01",
        ),
        (
            "R-049",
            "SELECT nothing FROM t",
            "COLUMN_NOT_FOUND",
            400,
            "42703",
        ),
        (
            "R-050",
            "INSERT INTO t VALUES (1, 1)",
            "CONSTRAINT_VIOLATION",
            409,
            "23505",
        ),
        (
            "R-050",
            "INSERT INTO child VALUES (1, 9)",
            "CONSTRAINT_VIOLATION",
            409,
            "23503",
        ),
        (
            "R-050",
            "INSERT INTO t VALUES (2, NULL)",
            "CONSTRAINT_VIOLATION",
            422,
            "23502",
        ),
        (
            "R-050",
            "INSERT INTO t VALUES (2, -1)",
            "CONSTRAINT_VIOLATION",
            422,
            "23514",
        ),
        (
            "R-051",
            "SELECT 'a'::integer",
            "TYPE_MISMATCH",
            422,
            "22P02",
        ),
        ("R-051", "SELECT 1 / 0", "TYPE_MISMATCH", 422, "22012"),
        (
            "R-051",
            "SELECT 2147483647 + 1",
            "TYPE_MISMATCH",
            422,
            "22003",
        ),
        ("R-047", "SELECT nothing(1)", "INVALID_QUERY", 400, "42883"),
        (
            "R-043",
            "CREATE TABLE t (id integer)",
            "CONFLICT",
            409,
            "42P07",
        ),
        (
            "R-046",
            "INSERT INTO pg_class VALUES (1)",
            "AUTHORIZATION_DENIED",
            403,
            "42501",
        ),
        ("R-047", "BEGIN", "INVALID_QUERY", 400, "0A000"),
        ("R-047", "COPY t FROM STDIN", "INVALID_QUERY", 400, "08P01"),
        ("R-052", endless, "QUERY_TIMEOUT", 503, "57014"),
    ];
    for (row, sql, code, status, sqlstate) in cases {
        let body = json!({"sql": sql, "timeout_ms": 500}).to_string();
        let (got, reply) =
            daemon.request("POST", "/api/v1/query", &["X-Request-ID: req_mine"], &body);
        let error = &reply["error"];
        assert_eq!(
            (got, error["code"].as_str()),
            (status, Some(code)),
            "{row} {sql}: {reply}"
        );
        assert_eq!(error["details"]["sqlstate"], sqlstate, "{row} {sql}");
        // R-042: these four and nothing else.
        let form = json!({"error": {"code": "", "message": "", "details": null, "request_id": ""}});
        assert_eq!(difference(&form, &reply, ""), None, "R-042 {sql}");
        assert_eq!(error["request_id"], "req_mine");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    // The daemon is as it was: no session is stuck in a failed or cancelled statement.
    assert_eq!(daemon.sql("SELECT count(*) AS n FROM t")["data"][0]["n"], 1);
}

#[test]
fn every_dialect_has_its_own_words_for_an_error() {
    let daemon = Daemon::start();
    let sql = r#"{"sql": "SELECT * FROM users"}"#;
    let cases: &[(&str, &str, &[&str], &str, u16, Json)] = &[
        (
            "POST",
            "/api/v1/query",
            &[],
            sql,
            404,
            json!({"error": {"code": "TABLE_NOT_FOUND", "message": "", "details": {"sqlstate": "", "position": 1, "line": 1, "column": 1}, "request_id": ""}}),
        ),
        (
            "POST",
            "/api/v1/query?dialect=nano",
            &[],
            sql,
            400,
            json!({"success": false, "error": {"code": "INVALID_QUERY", "message": "", "details": null}}),
        ),
        (
            "POST",
            "/api/v1/query",
            &["X-Helios-Dialect: nano"],
            r#"{"sql": "SELEC 1"}"#,
            400,
            json!({"success": false, "error": {"code": "INVALID_QUERY", "message": "", "details": {"line": 1, "column": 1, "sqlstate": "", "position": 1}}}),
        ),
        (
            "POST",
            "/v1/branches/main/query",
            &[],
            sql,
            400,
            json!({"error": {"code": "42P01", "message": ""}}),
        ),
        (
            "POST",
            "/v1/branches/main/query",
            &[],
            r#"{"sql": "SELECT x FROM (SELECT 1 AS a) t"}"#,
            400,
            json!({"error": {"code": "42P02", "message": "", "details": {"sqlstate": "42703"}}}),
        ),
        (
            "POST",
            "/v1/branches/feature%2Fx/query",
            &[],
            sql,
            404,
            json!({"error": {"code": "3D000", "message": ""}}),
        ),
        (
            "GET",
            "/v1/databases",
            &[],
            "",
            404,
            json!({"success": false, "error": {"code": "NOT_FOUND", "message": "", "details": null}, "meta": {"request_id": "", "duration_ms": 1, "timestamp": ""}}),
        ),
        (
            "GET",
            "/rest/v1/users",
            &[],
            "",
            404,
            json!({"code": "PGRST205", "message": "", "details": null, "hint": null}),
        ),
        (
            "GET",
            "/v1/vectors/stores",
            &[],
            "",
            404,
            json!({"error": {"code": "42704", "message": ""}}),
        ),
    ];
    for (method, path, headers, body, status, example) in cases {
        let (got, reply) = daemon.request(method, path, headers, body);
        assert_eq!(got, *status, "{method} {path}: {reply}");
        assert_eq!(
            difference(example, &reply, ""),
            None,
            "{method} {path}: {reply}"
        );
        let code = |json: &Json| json.pointer("/error/code").or(json.get("code")).cloned();
        assert_eq!(code(&reply), code(example), "{method} {path}");
    }
}

/// R-055: what is the server's own fault is INTERNAL_ERROR. The fault is a file of rows that was
/// damaged while the daemon was down; what it does not touch goes on working.
#[test]
fn a_damaged_file_is_an_internal_error_of_the_rows_in_it() {
    let work = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_in(work.path(), |_| {});
    daemon.sql("CREATE TABLE sound (id integer PRIMARY KEY)");
    daemon.sql("INSERT INTO sound VALUES (1)");
    daemon.sql("CREATE TABLE damaged (id integer PRIMARY KEY, t text)");
    daemon.sql("INSERT INTO damaged SELECT i, repeat(md5(i::text), 10) FROM generate_series(1, 20000) AS g(i)");
    assert!(daemon.stop().success());
    // A second start leaves the rows in a file of the store.
    assert!(Daemon::start_in(work.path(), |_| {}).stop().success());
    damage(&work.path().join("data/db"));
    let daemon = Daemon::start_in(work.path(), |_| {});
    let cases = [
        (
            "POST",
            "/api/v1/query",
            r#"{"sql": "SELECT count(t) FROM damaged"}"#,
        ),
        (
            "POST",
            "/api/v1/query",
            r#"{"sql": "SELECT t FROM damaged WHERE id = 10000"}"#,
        ),
        ("GET", "/api/v1/tables/damaged/rows/10000", ""),
    ];
    for (method, path, body) in cases {
        let (status, reply) = daemon.request(method, path, &["X-Request-ID: req_mine"], body);
        assert_eq!(
            (status, reply["error"]["code"].as_str()),
            (500, Some("INTERNAL_ERROR")),
            "{reply}"
        );
        let form = json!({"error": {"code": "", "message": "", "details": {"sqlstate": "XX001"}, "request_id": ""}});
        assert_eq!(difference(&form, &reply, ""), None);
        assert_eq!(reply["error"]["details"]["sqlstate"], "XX001");
        assert_eq!(reply["error"]["request_id"], "req_mine");
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(!message.contains(".sst"), "no names of files: {message}");
    }
    assert_eq!(
        daemon.sql("SELECT id FROM sound")["data"],
        json!([{"id": 1}])
    );
}

/// Overwrites the middle of the largest file of rows.
fn damage(directory: &std::path::Path) {
    let files = std::fs::read_dir(directory).unwrap();
    let largest = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "sst"))
        .max_by_key(|path| path.metadata().unwrap().len())
        .expect("a file of rows");
    let length = largest.metadata().unwrap().len();
    assert!(length > 100_000, "{length} bytes: the rows are not in it");
    let mut file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&largest)
        .unwrap();
    file.seek(SeekFrom::Start(length / 3)).unwrap();
    let mut bytes = vec![0; (length / 3) as usize];
    file.read_exact(&mut bytes).unwrap();
    bytes.iter_mut().for_each(|byte| *byte = !*byte);
    file.seek(SeekFrom::Start(length / 3)).unwrap();
    file.write_all(&bytes).unwrap();
}
