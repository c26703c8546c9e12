//! Rows R-001 to R-009 of the API contract: the base and the headers of requests.

#[path = "daemon/process.rs"]
mod daemon;

use daemon::Daemon;
use serde_json::{Value as Json, json};

/// R-001 to R-008, each header by itself; R-009 says that a JWT is no API key.
#[test]
fn base_and_headers_are_rows_001_to_009() {
    let daemon = Daemon::start_with(|command| {
        command.env("HELIOSDB_API_KEY", "hdb_sk_mine");
    });
    let body = r#"{"sql": "SELECT 1 AS one"}"#;
    let key = "Authorization: Bearer hdb_sk_mine";
    let jwt = "Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
    let cases: &[(&str, &[&str], u16, &str)] = &[
        ("R-001", &[key], 200, ""),
        ("R-001", &[key, "Host: localhost:8080"], 200, ""),
        ("R-001", &[key, "Host: heliosdb:8080"], 200, ""),
        ("R-001", &[key, "Host: api.heliosdb.io"], 200, ""),
        ("R-002", &[], 401, "AUTHENTICATION_REQUIRED"),
        (
            "R-003",
            &[key, "Content-Type: text/plain"],
            415,
            "VALIDATION_ERROR",
        ),
        ("R-004", &[key, "Accept: application/json"], 200, ""),
        ("R-005", &[key, "X-Request-ID: req_of_mine"], 200, ""),
        ("R-006", &[key, "X-Tenant-ID: 7"], 200, ""),
        (
            "R-007",
            &["Authorization: Bearer hdb_sk_other"],
            401,
            "AUTHENTICATION_FAILED",
        ),
        ("R-008", &["X-API-Key: hdb_sk_mine"], 200, ""),
        (
            "R-008",
            &["X-API-Key: hdb_sk_other"],
            401,
            "AUTHENTICATION_FAILED",
        ),
        ("R-009", &[jwt], 401, "AUTHENTICATION_FAILED"),
    ];
    for (id, headers, status, code) in cases {
        let (got, reply) = daemon.request("POST", "/api/v1/query", headers, body);
        assert_eq!(got, *status, "{id} {headers:?}: {reply}");
        if *status == 200 {
            assert_eq!(reply["data"], json!([{"one": 1}]), "{id}");
        } else {
            assert_eq!(reply["error"]["code"], *code, "{id} {headers:?}: {reply}");
        }
    }
    let headers = [key, "X-Request-ID: req_of_mine"];
    let (_, head, _) = daemon.raw("POST", "/api/v1/query", &headers, body);
    let head = head.to_ascii_lowercase();
    assert!(head.contains("x-request-id: req_of_mine"), "R-005: {head}");
    assert!(
        head.contains("content-type: application/json"),
        "R-004: {head}"
    );
}

const QUERY: &str = "/api/v1/query";
const STREAM: &str = "/api/v1/query/stream";
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// R-004: the form of an answer is the one that `Accept` wants most, and an endpoint that has none
/// of those it takes says which it has.
#[test]
fn the_form_of_an_answer_is_what_accept_wants() {
    let daemon = Daemon::start();
    daemon.sql("CREATE TABLE t (id integer PRIMARY KEY)");
    let two = r#"{"sql": "SELECT i AS id FROM generate_series(1, 2) AS g(i)"}"#;
    let text = "text/plain; version=0.0.4; charset=utf-8";
    // Method, path, Accept, body; content type of the answer, or none for 406.
    let cases: &[(&str, &str, &str, &str, Option<&str>)] = &[
        ("POST", QUERY, "application/json", two, Some(JSON)),
        ("POST", QUERY, "*/*", two, Some(JSON)),
        ("POST", QUERY, "application/*", two, Some(JSON)),
        ("POST", QUERY, "application/x-ndjson", two, Some(LINES)),
        (
            "POST",
            QUERY,
            "application/x-ndjson, application/json",
            two,
            Some(JSON),
        ),
        (
            "POST",
            QUERY,
            "application/json;q=0.4, application/x-ndjson;q=0.5",
            two,
            Some(LINES),
        ),
        (
            "POST",
            QUERY,
            "application/json;q=0, */*;q=0.1",
            two,
            Some(LINES),
        ),
        (
            "POST",
            QUERY,
            "text/html, application/xhtml+xml, */*;q=0.8",
            two,
            Some(JSON),
        ),
        ("POST", QUERY, "text/html", two, None),
        ("POST", QUERY, "application/json;q=0", two, None),
        ("POST", STREAM, "application/x-ndjson", two, Some(LINES)),
        (
            "POST",
            STREAM,
            "application/json, text/plain, */*",
            two,
            Some(LINES),
        ),
        ("POST", STREAM, "application/json", two, None),
        ("GET", "/api/v1/tables", "application/json", "", Some(JSON)),
        ("GET", "/api/v1/tables", "application/x-ndjson", "", None),
        (
            "GET",
            "/api/v1/tables/t/rows",
            "application/x-ndjson",
            "",
            None,
        ),
        (
            "GET",
            "/api/v1/health",
            "text/html, */*;q=0.1",
            "",
            Some(JSON),
        ),
        ("GET", "/metrics", "text/plain", "", Some(text)),
        (
            "GET",
            "/metrics",
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
            "",
            Some(text),
        ),
        ("GET", "/metrics", "application/json", "", None),
    ];
    for (method, path, accept, body, expected) in cases {
        let header = format!("Accept: {accept}");
        let (status, head, text) = daemon.raw(method, path, &[&header], body);
        let shown = format!("{method} {path} {accept}: {head} {text}");
        let media = head
            .lines()
            .find_map(|line| line.strip_prefix("content-type: "));
        match expected {
            Some(expected) => assert_eq!((status, media), (200, Some(*expected)), "{shown}"),
            None => {
                assert_eq!((status, media), (406, Some(JSON)), "{shown}");
                let reply: Json = serde_json::from_str(&text).unwrap();
                assert_eq!(reply["error"]["code"], "VALIDATION_ERROR", "{shown}");
                let message = reply["error"]["message"].as_str().unwrap();
                let owed = if *path == "/metrics" {
                    "text/plain"
                } else {
                    "application/"
                };
                assert!(message.contains(owed), "{shown}");
            }
        }
        if media == Some(LINES) {
            assert_eq!(text, "{\"id\":1}\n{\"id\":2}\n", "{shown}");
        }
    }
    // What the envelope would say stands in headers.
    let cut = r#"{"sql": "SELECT i AS id FROM generate_series(1, 5) AS g(i)", "max_rows": 1}"#;
    let lines = ["Accept: application/x-ndjson"];
    let (_, head, text) = daemon.raw("POST", QUERY, &lines, cut);
    assert!(head.contains("x-truncated: true"), "{head}");
    assert_eq!(text, "{\"id\":1}\n");
    let change = r#"{"sql": "INSERT INTO t VALUES (1), (2), (3)"}"#;
    let (_, head, text) = daemon.raw("POST", QUERY, &lines, change);
    assert!(head.contains("x-affected-rows: 3"), "{head}");
    assert_eq!(text, "");
    // An error has one form, and a refused request changed nothing.
    let (status, reply) = daemon.request("POST", QUERY, &lines, r#"{"sql": "SELEC 1"}"#);
    assert_eq!(
        (status, reply["error"]["code"].as_str()),
        (400, Some("INVALID_QUERY"))
    );
    let (status, _) = daemon.request(
        "POST",
        QUERY,
        &["Accept: image/png"],
        r#"{"sql": "DELETE FROM t"}"#,
    );
    assert_eq!(status, 406);
    assert_eq!(daemon.sql("SELECT count(*) AS n FROM t")["data"][0]["n"], 3);
    // In each dialect's own words.
    for (path, code) in [
        ("/api/v1/query?dialect=nano", "VALIDATION_ERROR"),
        ("/v1/branches/main/query", "22023"),
    ] {
        let (status, reply) = daemon.request("POST", path, &["Accept: image/png"], two);
        assert_eq!(
            (status, reply["error"]["code"].as_str()),
            (406, Some(code)),
            "{reply}"
        );
    }
}

/// R-006: `X-Tenant-ID` is `helios.tenant_id` to the statements of its request, and only of it.
#[test]
fn a_tenant_is_what_the_statements_of_its_request_see() {
    let daemon = Daemon::start();
    daemon.sql("CREATE TABLE orders (id integer PRIMARY KEY, tenant text NOT NULL DEFAULT current_setting('helios.tenant_id'))");
    daemon.sql("CREATE VIEW own_orders AS SELECT id FROM orders WHERE tenant = current_setting('helios.tenant_id')");
    let as_tenant = |tenant: &str, method: &str, path: &str, body: &str| {
        let header = format!("X-Tenant-ID: {tenant}");
        let (status, reply) = daemon.request(method, path, &[&header], body);
        assert!((200..300).contains(&status), "{status} {reply}");
        reply
    };
    for (tenant, id) in [("acme", 1), ("acme", 2), ("globex", 3)] {
        let row = json!({"row": {"id": id}}).to_string();
        as_tenant(tenant, "POST", "/api/v1/tables/orders/rows", &row);
    }
    let own = r#"{"sql": "SELECT id FROM own_orders ORDER BY id"}"#;
    // One plan, two tenants, in turn.
    for _ in 0..2 {
        let acme = as_tenant("acme", "POST", QUERY, own);
        assert_eq!(acme["data"], json!([{"id": 1}, {"id": 2}]));
        let globex = as_tenant("globex", "POST", QUERY, own);
        assert_eq!(globex["data"], json!([{"id": 3}]));
    }
    let listed = as_tenant("globex", "GET", "/api/v1/tables/own_orders/rows", "");
    assert_eq!(listed["data"], json!([{"id": 3}]));
    let lines = ["X-Tenant-ID: globex", "Accept: application/x-ndjson"];
    let (_, _, text) = daemon.raw("POST", STREAM, &lines, own);
    assert_eq!(text, "{\"id\":3}\n");
    // The next request is nobody's, whatever session it gets.
    for _ in 0..4 {
        let tenant = daemon.sql("SELECT current_setting('helios.tenant_id') AS t");
        assert_eq!(tenant["data"][0]["t"], "");
    }
    // A transaction works for who began it, until a request names another.
    let begun = as_tenant("acme", "POST", "/api/v1/transactions", "{}");
    let id = begun["transaction_id"].as_str().unwrap();
    let path = format!("/api/v1/transactions/{id}/query");
    let reply = daemon.ok("POST", &path, own);
    assert_eq!(reply["data"], json!([{"id": 1}, {"id": 2}]));
    let reply = as_tenant("globex", "POST", &path, own);
    assert_eq!(reply["data"], json!([{"id": 3}]));
    let long = format!("X-Tenant-ID: {}", "x".repeat(129));
    for headers in [
        &["X-Tenant-ID;"][..],
        &[&long],
        &["X-Tenant-ID: a", "X-Tenant-ID: b"],
    ] {
        let (status, reply) = daemon.request("GET", "/api/v1/tables", headers, "");
        assert_eq!(
            (status, reply["error"]["code"].as_str()),
            (422, Some("VALIDATION_ERROR")),
            "{headers:?}"
        );
    }
}

/// R-003: a body is JSON in UTF-8 and says so.
#[test]
fn a_body_must_say_that_it_is_json() {
    let daemon = Daemon::start();
    let cases: &[(&[&str], u16)] = &[
        (&["Content-Type: application/json"], 200),
        (&["Content-Type: application/json; charset=utf-8"], 200),
        (&["Content-Type: APPLICATION/JSON;charset=\"UTF-8\""], 200),
        (
            &[
                "Content-Type: application/json",
                "Content-Encoding: identity",
            ],
            200,
        ),
        // curl leaves a header out that has no value.
        (&["Content-Type:"], 415),
        (&["Content-Type: text/plain"], 415),
        (&["Content-Type: application/x-www-form-urlencoded"], 415),
        (&["Content-Type: application/json; charset=utf-16"], 415),
        (
            &["Content-Type: application/json", "Content-Encoding: gzip"],
            415,
        ),
    ];
    for (headers, expected) in cases {
        let (status, reply) =
            daemon.request("POST", QUERY, headers, r#"{"sql": "SELECT 1 AS one"}"#);
        assert_eq!(status, *expected, "{headers:?}: {reply}");
        if status == 415 {
            assert_eq!(reply["error"]["code"], "VALIDATION_ERROR");
        }
    }
    // Without a body there is nothing to say.
    let (status, _) = daemon.request("POST", "/api/v1/transactions", &[], "");
    assert_eq!(status, 201);
}
