//! REST against the real daemon, with curl.

#[path = "daemon/process.rs"]
mod daemon;

use daemon::Daemon;
use serde_json::{Value as Json, json};
use std::process::{Command, Stdio};

/// The keys of an object, in order of the alphabet.
fn keys(value: &Json) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

fn with_users(daemon: &Daemon) {
    daemon.sql("CREATE TABLE users (id bigint PRIMARY KEY, name varchar(50) NOT NULL, age integer, balance numeric(10,2))");
    let rows: Vec<Json> = (1..=25)
        .map(|i| json!({"id": i, "name": format!("user {i}"), "age": if i % 5 == 0 { Json::Null } else { json!(20 + i % 7) }, "balance": 1.5}))
        .collect();
    let reply = daemon.ok(
        "POST",
        "/api/v1/tables/users/rows",
        &json!({"rows": rows}).to_string(),
    );
    assert_eq!(reply["inserted_count"], 25);
}

#[test]
fn every_read_endpoint_has_the_keys_of_the_contract() {
    let daemon = Daemon::start();
    with_users(&daemon);
    let get = |path: &str| daemon.ok("GET", path, "");
    assert_eq!(
        keys(&get("/api/v1/health")),
        ["components", "status", "uptime_seconds", "version"]
    );
    assert_eq!(
        keys(&get("/health")),
        ["status", "uptime_seconds", "version"]
    );
    assert_eq!(keys(&get("/api/v1/ready")), ["checks", "ready"]);
    assert_eq!(get("/api/v1/live"), json!({"alive": true}));
    let info = get("/api/v1/info");
    assert_eq!(info["features"]["streaming"], true);
    assert!(
        info["protocols"]
            .as_array()
            .unwrap()
            .contains(&json!("postgresql"))
    );
    let tables = get("/api/v1/tables?pattern=us%25");
    assert_eq!(tables["total_count"], 1);
    assert_eq!(
        keys(&tables["tables"][0]),
        [
            "created_at",
            "name",
            "row_count",
            "schema",
            "size_bytes",
            "type",
            "updated_at"
        ]
    );
    assert_eq!(tables["tables"][0]["row_count"], 25);
    let table = get("/api/v1/tables/public.users");
    assert_eq!(
        keys(&table),
        [
            "columns",
            "constraints",
            "indexes",
            "name",
            "schema",
            "statistics",
            "type"
        ]
    );
    assert_eq!(
        table["columns"][1],
        json!({"name": "name", "type": "VARCHAR(50)", "nullable": false, "default": null, "is_primary_key": false})
    );
    assert_eq!(
        table["indexes"][0],
        json!({"name": "users_pkey", "type": "btree", "columns": ["id"], "unique": true, "primary": true})
    );
    let (_, _, metrics) = daemon.raw("GET", "/metrics", &[], "");
    for line in [
        "# TYPE heliosdb_queries_total counter",
        "heliosdb_queries_total{status=\"success\"}",
        "heliosdb_queries_total{status=\"error\"}",
        "heliosdb_query_duration_seconds_bucket{le=\"0.01\"}",
        "heliosdb_query_duration_seconds_bucket{le=\"+Inf\"}",
        "# HELP heliosdb_connections_active Active database connections",
        "# TYPE heliosdb_cache_hit_ratio gauge",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[test]
fn a_query_has_the_shape_of_each_dialect() {
    let daemon = Daemon::start();
    with_users(&daemon);
    let body = json!({"sql": "SELECT id, name, age FROM users WHERE id = $1", "params": [5]});
    let plain = daemon.ok("POST", "/api/v1/query", &body.to_string());
    assert_eq!(
        plain,
        json!({"success": true, "data": [{"id": 5, "name": "user 5", "age": null}]})
    );
    let mut with = body.clone();
    with["include_metadata"] = true.into();
    let reply = daemon.ok("POST", "/api/v1/query", &with.to_string());
    assert_eq!(
        reply["metadata"]["columns"],
        json!([
            {"name": "id", "type": "BIGINT", "nullable": false},
            {"name": "name", "type": "VARCHAR", "nullable": false},
            {"name": "age", "type": "INTEGER", "nullable": true},
        ])
    );
    assert_eq!(
        keys(&reply["metadata"]),
        ["columns", "execution_time_ms", "query_id", "row_count"]
    );
    let cut =
        json!({"sql": "SELECT id FROM users ORDER BY id", "max_rows": 2, "include_metadata": true});
    let cut = daemon.ok("POST", "/api/v1/query", &cut.to_string());
    assert_eq!(cut["data"], json!([{"id": 1}, {"id": 2}]));
    assert_eq!(cut["metadata"]["truncated"], true);
    let (_, nano) = daemon.request(
        "POST",
        "/api/v1/query",
        &["X-Helios-Dialect: nano"],
        &body.to_string(),
    );
    assert_eq!(nano["data"]["columns"], json!(["id", "name", "age"]));
    assert_eq!(nano["data"]["rows"], json!([[5, "user 5", null]]));
    let branch = daemon.ok("POST", "/v1/branches/main/query", &body.to_string());
    assert_eq!(
        branch,
        json!({"rows": [{"id": 5, "name": "user 5", "age": null}], "columns": ["id", "name", "age"], "rows_affected": 0})
    );
    let change = daemon.sql("UPDATE users SET age = 1 WHERE id < 4 RETURNING id");
    assert_eq!(change["affected_rows"], 3);
    assert_eq!(change["data"].as_array().unwrap().len(), 3);
}

#[test]
fn bad_requests_are_refused_in_the_dialect() {
    let daemon = Daemon::start();
    let cases: &[(&str, &str, &[&str], &str, u16, &str)] = &[
        ("POST", "/api/v1/query", &[], "{", 400, "VALIDATION_ERROR"),
        ("POST", "/api/v1/query", &[], "[]", 400, "VALIDATION_ERROR"),
        ("POST", "/api/v1/query", &[], "{}", 422, "VALIDATION_ERROR"),
        (
            "POST",
            "/api/v1/query",
            &[],
            r#"{"sql": 1}"#,
            422,
            "VALIDATION_ERROR",
        ),
        (
            "POST",
            "/api/v1/query",
            &["Content-Type: text/plain"],
            "{}",
            415,
            "VALIDATION_ERROR",
        ),
        (
            "POST",
            "/api/v1/query",
            &[],
            r#"{"sql": "SELEC 1"}"#,
            400,
            "INVALID_QUERY",
        ),
        (
            "POST",
            "/api/v1/query",
            &[],
            r#"{"sql": "SELECT * FROM nothing"}"#,
            404,
            "TABLE_NOT_FOUND",
        ),
        (
            "POST",
            "/api/v1/query",
            &[],
            r#"{"sql": "SELECT x FROM (SELECT 1 AS a) t"}"#,
            400,
            "COLUMN_NOT_FOUND",
        ),
        (
            "POST",
            "/api/v1/query",
            &[],
            r#"{"sql": "SELECT 'a'::int"}"#,
            422,
            "TYPE_MISMATCH",
        ),
        (
            "POST",
            "/api/v1/query",
            &[],
            r#"{"sql": "BEGIN"}"#,
            400,
            "INVALID_QUERY",
        ),
        (
            "GET",
            "/api/v1/tables/nothing",
            &[],
            "",
            404,
            "TABLE_NOT_FOUND",
        ),
        ("GET", "/api/v1/galaxies", &[], "", 404, "NOT_FOUND"),
        ("PUT", "/api/v1/tables", &[], "", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/api/v1/query/q_none", &[], "", 404, "NOT_FOUND"),
        (
            "POST",
            "/api/v1/transactions/txn_none/commit",
            &[],
            "",
            404,
            "TRANSACTION_NOT_FOUND",
        ),
        (
            "GET",
            "/api/v1/tables",
            &["X-Helios-Dialect: latin"],
            "",
            400,
            "VALIDATION_ERROR",
        ),
    ];
    for (method, path, headers, body, status, code) in cases {
        let (got, reply) = daemon.request(method, path, headers, body);
        assert_eq!(
            (got, reply["error"]["code"].as_str()),
            (*status, Some(*code)),
            "{method} {path} {body}: {reply}"
        );
        assert_eq!(
            keys(&reply["error"]),
            ["code", "details", "message", "request_id"]
        );
    }
    let (_, head, body) = daemon.raw(
        "GET",
        "/v1/branches/nothing/query",
        &["X-Request-ID: mine"],
        "",
    );
    assert!(
        head.contains("x-request-id: mine") && head.contains("x-helios-dialect: branch"),
        "{head}"
    );
    assert!(body.starts_with(r#"{"error":{"code":"22023""#), "{body}");
    let sql = r#"{"sql": "SELECT * FROM users"}"#;
    let (status, reply) = daemon.request("POST", "/v1/branches/main/query", &[], sql);
    assert_eq!(status, 400);
    assert_eq!(
        reply,
        json!({"error": {"code": "42P01", "message": "relation \"users\" does not exist"}})
    );
    let (status, reply) = daemon.request(
        "POST",
        "/api/v1/query",
        &["X-Helios-Dialect: nano"],
        r#"{"sql": "SELEC 1"}"#,
    );
    assert_eq!(
        (
            status,
            &reply["success"],
            &reply["error"]["details"]["line"]
        ),
        (400, &json!(false), &json!(1))
    );
}

#[test]
fn a_stream_is_one_object_a_line() {
    let daemon = Daemon::start();
    let body =
        r#"{"sql": "SELECT i AS id FROM generate_series(1, 20000) AS g(i)", "batch_size": 500}"#;
    let (status, head, text) = daemon.raw(
        "POST",
        "/api/v1/query/stream",
        &["Accept: application/x-ndjson"],
        body,
    );
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: application/x-ndjson") && head.contains("x-query-id: q_"),
        "{head}"
    );
    assert_eq!(text.lines().count(), 20_000);
    assert_eq!(text.lines().next_back(), Some(r#"{"id":20000}"#));
    let late = r#"{"sql": "SELECT 1 / (20000 - i) AS x FROM generate_series(1, 20000) AS g(i)"}"#;
    let (status, _, text) = daemon.raw("POST", "/api/v1/query/stream", &[], late);
    assert_eq!(status, 200);
    let last: Json = serde_json::from_str(text.lines().next_back().unwrap()).unwrap();
    assert_eq!(last["error"]["details"]["sqlstate"], "22012");
}

#[test]
fn a_running_query_is_cancelled_by_its_id() {
    let daemon = Daemon::start();
    let body = r#"{"sql": "SELECT a.i FROM generate_series(1, 100000) AS a(i), generate_series(1, 100000) AS b(j)"}"#;
    let mut stream = Command::new("curl")
        .args([
            "-sSN",
            "-D",
            "/dev/stderr",
            "-o",
            "/dev/null",
            "-H",
            "Content-Type: application/json",
        ])
        .args(["--data-binary", body, &daemon.url("/api/v1/query/stream")])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let head = std::io::BufReader::new(stream.stderr.take().unwrap());
    let id = std::io::BufRead::lines(head)
        .map_while(Result::ok)
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("x-query-id: ")
                .map(|id| id.trim().to_owned())
        })
        .unwrap();
    let reply = daemon.ok("DELETE", &format!("/api/v1/query/{id}"), "");
    assert_eq!(keys(&reply), ["cancelled_at", "query_id", "status"]);
    assert!(stream.wait().unwrap().success(), "the stream ends in order");
    let (status, reply) = daemon.request("DELETE", &format!("/api/v1/query/{id}"), &[], "");
    assert_eq!(
        (status, reply["error"]["code"].as_str()),
        (409, Some("CONFLICT"))
    );
}

#[test]
fn a_plan_is_shown() {
    let daemon = Daemon::start();
    with_users(&daemon);
    let body = r#"{"sql": "SELECT * FROM users WHERE id = $1", "params": [1]}"#;
    let reply = daemon.ok("POST", "/api/v1/query/explain", body);
    assert!(reply["planning_time_ms"].is_number());
    for key in [
        "node_type",
        "index_name",
        "relation",
        "index_cond",
        "estimated_rows",
        "estimated_cost",
        "actual_rows",
        "actual_time_ms",
    ] {
        assert!(reply["plan"].get(key).is_some(), "{key} in {reply}");
    }
    let text = daemon.ok(
        "POST",
        "/api/v1/query/explain",
        r#"{"sql": "SELECT 1", "format": "text"}"#,
    );
    assert!(text["plan"].is_string());
}

#[test]
fn a_table_is_made_changed_and_dropped() {
    let daemon = Daemon::start();
    let table = json!({
        "name": "products", "schema": "public",
        "columns": [
            {"name": "id", "type": "BIGSERIAL", "nullable": false, "primary_key": true},
            {"name": "sku", "type": "VARCHAR(50)", "nullable": false},
            {"name": "price", "type": "DECIMAL(10,2)", "nullable": false, "check": "price >= 0"},
            {"name": "inventory", "type": "INTEGER", "nullable": false, "default": "0"},
            {"name": "metadata", "type": "JSONB"},
            {"name": "created_at", "type": "TIMESTAMP WITH TIME ZONE", "nullable": false, "default": "NOW()"},
        ],
        "indexes": [{"name": "idx_products_sku", "columns": ["sku"], "unique": true}],
    });
    let (status, reply) = daemon.request("POST", "/api/v1/tables", &[], &table.to_string());
    assert_eq!(
        (status, keys(&reply["table"])),
        (201, vec!["created_at", "name", "schema"]),
        "{reply}"
    );
    let (status, reply) = daemon.request("POST", "/api/v1/tables", &[], &table.to_string());
    assert_eq!(
        (status, reply["error"]["code"].as_str()),
        (409, Some("CONFLICT"))
    );
    let detail = daemon.ok("GET", "/api/v1/tables/products", "");
    assert_eq!(detail["columns"][2]["type"], "DECIMAL(10,2)");
    assert_eq!(detail["constraints"][0]["type"], "check");
    let operations = json!({"operations": [
        {"operation": "add_column", "column": {"name": "discount", "type": "DECIMAL(5,2)", "default": "0"}},
        {"operation": "rename_column", "old_name": "sku", "new_name": "code"},
        {"operation": "add_index", "index": {"name": "idx_products_price", "columns": ["price"]}},
    ]});
    let reply = daemon.ok("PATCH", "/api/v1/tables/products", &operations.to_string());
    assert_eq!(reply["operations_completed"], 3);
    let half = json!({"operations": [
        {"operation": "drop_column", "column_name": "discount"},
        {"operation": "drop_column", "column_name": "nothing"},
    ]});
    let (status, _) = daemon.request("PATCH", "/api/v1/tables/products", &[], &half.to_string());
    assert_eq!(status, 400);
    let detail = daemon.ok("GET", "/api/v1/tables/products", "");
    assert!(
        detail["columns"]
            .as_array()
            .unwrap()
            .iter()
            .any(|c| c["name"] == "discount"),
        "all or nothing"
    );
    let reply = daemon.ok("DELETE", "/api/v1/tables/products", "");
    assert_eq!(keys(&reply), ["dropped_at", "success", "table"]);
    let (status, _) = daemon.request("DELETE", "/api/v1/tables/products", &[], "");
    assert_eq!(status, 404);
    daemon.ok("DELETE", "/api/v1/tables/products?if_exists=true", "");
}

#[test]
fn rows_are_inserted_updated_and_deleted() {
    let daemon = Daemon::start();
    daemon.sql("CREATE TABLE items (id bigserial PRIMARY KEY, email text UNIQUE, age integer)");
    let one = json!({"row": {"email": "a@x", "age": 28}, "returning": ["id", "age"]});
    let (status, reply) =
        daemon.request("POST", "/api/v1/tables/items/rows", &[], &one.to_string());
    assert_eq!(
        (status, &reply),
        (
            201,
            &json!({"success": true, "inserted_count": 1, "data": [{"id": 1, "age": 28}]})
        )
    );
    let (status, reply) =
        daemon.request("POST", "/api/v1/tables/items/rows", &[], &one.to_string());
    assert_eq!(
        (status, reply["error"]["code"].as_str()),
        (409, Some("CONSTRAINT_VIOLATION"))
    );
    let upsert = json!({
        "rows": [{"email": "a@x", "age": 30}, {"email": "b@x", "age": 31}],
        "on_conflict": {"columns": ["email"], "action": "update", "update_columns": ["age"]},
        "returning": ["email", "age"],
    });
    let reply = daemon.ok("POST", "/api/v1/tables/items/rows", &upsert.to_string());
    assert_eq!(
        reply["data"],
        json!([{"email": "a@x", "age": 30}, {"email": "b@x", "age": 31}])
    );
    // The names of an object are unique, also when a column is asked for twice.
    let (_, _, text) = daemon.raw(
        "GET",
        "/api/v1/tables/items/rows/1?select=age,id,age",
        &[],
        "",
    );
    assert_eq!(text, r#"{"data":{"age":30,"id":1}}"#);
    let atomic = json!({"rows": [{"email": "c@x"}, {"email": "a@x"}]});
    let (status, _) = daemon.request(
        "POST",
        "/api/v1/tables/items/rows",
        &[],
        &atomic.to_string(),
    );
    assert_eq!(status, 409);
    assert_eq!(
        daemon.sql("SELECT count(*) AS n FROM items")["data"][0]["n"],
        2
    );
    let update = json!({"filter": "age >= 30", "updates": {"age": 40}, "returning": ["email"]});
    let reply = daemon.ok("PUT", "/api/v1/tables/items/rows", &update.to_string());
    assert_eq!(reply["affected_rows"], 2);
    let (status, _) = daemon.request(
        "PUT",
        "/api/v1/tables/items/rows",
        &[],
        r#"{"updates": {"age": 1}}"#,
    );
    assert_eq!(status, 422);
    assert_eq!(
        daemon.ok("GET", "/api/v1/tables/items/rows/1", ""),
        json!({"data": {"id": 1, "email": "a@x", "age": 40}})
    );
    let patch = json!({"updates": {"age": 41}, "returning": ["id", "age"]});
    let reply = daemon.ok("PATCH", "/api/v1/tables/items/rows/1", &patch.to_string());
    assert_eq!(
        reply,
        json!({"success": true, "data": {"id": 1, "age": 41}})
    );
    for id in ["999", "x"] {
        let (status, reply) =
            daemon.request("GET", &format!("/api/v1/tables/items/rows/{id}"), &[], "");
        assert_eq!(
            (status, reply["error"]["code"].as_str()),
            (404, Some("NOT_FOUND"))
        );
    }
    assert_eq!(
        daemon.ok("DELETE", "/api/v1/tables/items/rows/1", ""),
        json!({"success": true, "deleted": true})
    );
    let reply = daemon.ok(
        "DELETE",
        "/api/v1/tables/items/rows",
        r#"{"filter": "email = 'b@x'", "returning": ["email"]}"#,
    );
    assert_eq!(
        reply,
        json!({"success": true, "deleted_count": 1, "data": [{"email": "b@x"}]})
    );
}

#[test]
fn pages_by_offset_and_cursor_give_every_row_once() {
    let daemon = Daemon::start();
    with_users(&daemon);
    let list = |query: &str| daemon.ok("GET", &format!("/api/v1/tables/users/rows?{query}"), "");
    let page = list("filter=age%3E21&select=id,name&order_by=-id&limit=3");
    assert_eq!(
        keys(&page["pagination"]),
        ["has_more", "limit", "next_cursor", "offset", "total_count"]
    );
    assert_eq!(page["data"].as_array().unwrap().len(), 3);
    let mut seen = Vec::new();
    let mut query = "order_by=age&limit=4&select=id".to_owned();
    let mut pages = 0;
    loop {
        let page = list(&query);
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["id"].as_i64().unwrap()),
        );
        assert_eq!(page["pagination"]["total_count"], 25);
        pages += 1;
        let Some(next) = page["pagination"]["next_cursor"].as_str() else {
            break;
        };
        query = format!(
            "order_by=age&limit=4&select=id&cursor={}",
            next.replace('=', "%3D").replace('+', "%2B")
        );
    }
    assert_eq!(pages, 7);
    let ordered = daemon.sql("SELECT id FROM users ORDER BY age, id");
    let expected: Vec<i64> = ordered["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["id"].as_i64().unwrap())
        .collect();
    assert_eq!(seen, expected);
    let second = list("limit=5&cursor=eyJpZCI6NX0%3D");
    assert_eq!(second["data"][0]["id"], 6);
    let back = second["pagination"]["prev_cursor"]
        .as_str()
        .unwrap()
        .replace('=', "%3D")
        .replace('+', "%2B");
    assert_eq!(list(&format!("limit=5&cursor={back}"))["data"][0]["id"], 1);
    let (status, _) = daemon.request("GET", "/api/v1/tables/users/rows?limit=10001", &[], "");
    assert_eq!(status, 400);
    let (status, _) = daemon.request(
        "GET",
        "/api/v1/tables/users/rows?filter=id%3D(select%201)",
        &[],
        "",
    );
    assert_eq!(status, 422);
}

#[test]
fn a_transaction_spans_requests() {
    let daemon = Daemon::start();
    daemon.sql("CREATE TABLE accounts (id integer PRIMARY KEY, balance numeric(10,2) NOT NULL)");
    daemon.sql("INSERT INTO accounts VALUES (1, 500), (2, 0)");
    let begin = |body: &str| {
        let (status, reply) = daemon.request("POST", "/api/v1/transactions", &[], body);
        assert_eq!(status, 201, "{reply}");
        reply["transaction_id"].as_str().unwrap().to_owned()
    };
    let run = |id: &str, sql: &str, params: Json| {
        let body = json!({"sql": sql, "params": params}).to_string();
        daemon.request(
            "POST",
            &format!("/api/v1/transactions/{id}/query"),
            &[],
            &body,
        )
    };
    let balance = || {
        daemon.sql("SELECT balance FROM accounts WHERE id = 1")["data"][0]["balance"]
            .as_f64()
            .unwrap()
    };
    let first = begin(r#"{"isolation_level": "serializable", "timeout_ms": 30000}"#);
    let sql = "UPDATE accounts SET balance = balance - $1 WHERE id = $2";
    let (status, reply) = run(&first, sql, json!([100.00, 1]));
    assert_eq!(
        (status, &reply),
        (
            200,
            &json!({"success": true, "affected_rows": 1, "transaction_id": first})
        )
    );
    assert!(
        (balance() - 500.0).abs() < 1e-9,
        "not visible before the commit"
    );
    let reply = daemon.ok("POST", &format!("/api/v1/transactions/{first}/commit"), "");
    assert_eq!(keys(&reply), ["committed_at", "success", "transaction_id"]);
    assert!((balance() - 400.0).abs() < 1e-9);
    let (status, _) = run(&first, "SELECT 1", json!([]));
    assert_eq!(status, 404);
    let second = begin("");
    run(&second, sql, json!([1, 1]));
    daemon.ok(
        "POST",
        &format!("/api/v1/transactions/{second}/rollback"),
        "",
    );
    assert!((balance() - 400.0).abs() < 1e-9);
    let readonly = begin(r#"{"read_only": true}"#);
    let (status, reply) = run(&readonly, sql, json!([1, 1]));
    assert_eq!(
        (status, reply["error"]["details"]["sqlstate"].as_str()),
        (400, Some("25006"))
    );
    let short = begin(r#"{"timeout_ms": 1}"#);
    std::thread::sleep(std::time::Duration::from_millis(20));
    let (status, _) = run(&short, "SELECT 1", json!([]));
    assert_eq!(status, 404, "expired");
}

/// R-029: a transaction that its client forgot frees what it had locked when its time is over,
/// although nobody asks for any transaction again.
#[test]
fn an_expired_transaction_lets_go_of_its_locks() {
    let daemon = Daemon::start();
    daemon.sql("CREATE TABLE t (id integer PRIMARY KEY, n integer)");
    daemon.sql("INSERT INTO t VALUES (1, 0)");
    let begun = daemon.ok("POST", "/api/v1/transactions", r#"{"timeout_ms": 1000}"#);
    let path = format!(
        "/api/v1/transactions/{}/query",
        begun["transaction_id"].as_str().unwrap()
    );
    daemon.ok(
        "POST",
        &path,
        r#"{"sql": "UPDATE t SET n = 100 WHERE id = 1"}"#,
    );
    // It waits for the row, and gets it as it was.
    let body = r#"{"sql": "UPDATE t SET n = n + 1 WHERE id = 1 RETURNING n", "timeout_ms": 20000}"#;
    let reply = daemon.ok("POST", "/api/v1/query", body);
    assert_eq!(reply["data"], json!([{"n": 1}]));
}

/// Sessions that wait for the next request do not count as users of a database.
#[test]
fn a_database_that_was_asked_can_be_dropped() {
    let daemon = Daemon::start();
    daemon.sql("CREATE DATABASE shop");
    let there = ["X-Helios-Database: shop"];
    let body = r#"{"sql": "SELECT current_database() AS name"}"#;
    for _ in 0..3 {
        let (_, reply) = daemon.request("POST", "/api/v1/query", &there, body);
        assert_eq!(reply["data"], json!([{"name": "shop"}]));
        let (_, reply) = daemon.request("GET", "/api/v1/tables", &there, "");
        assert!(reply["total_count"].is_number(), "{reply}");
    }
    daemon.sql("DROP DATABASE shop");
    let (status, reply) = daemon.request("POST", "/api/v1/query", &there, body);
    assert_eq!(
        (status, reply["error"]["details"]["sqlstate"].as_str()),
        (400, Some("3D000"))
    );
}

/// What a statement leaves in its session ends with its request.
#[test]
fn a_request_leaves_nothing_to_the_next_one() {
    let daemon = Daemon::start();
    daemon.sql("CREATE SEQUENCE numbers");
    daemon.sql("CREATE TABLE t (id integer PRIMARY KEY)");
    daemon.sql("SELECT set_config('search_path', 'pg_catalog', false)");
    assert_eq!(daemon.sql("SELECT id FROM t")["data"], json!([]));
    daemon.sql("SELECT nextval('numbers')");
    let body = r#"{"sql": "SELECT lastval()"}"#;
    let (_, reply) = daemon.request("POST", "/api/v1/query", &[], body);
    assert_eq!(reply["error"]["details"]["sqlstate"], "55000", "{reply}");
    daemon.sql("SELECT pg_advisory_lock(7)");
    let begun = daemon.ok("POST", "/api/v1/transactions", "{}");
    let path = format!(
        "/api/v1/transactions/{}/query",
        begun["transaction_id"].as_str().unwrap()
    );
    let got = daemon.ok(
        "POST",
        &path,
        r#"{"sql": "SELECT pg_try_advisory_lock(7) AS free"}"#,
    );
    assert_eq!(got["data"], json!([{"free": true}]));
}

#[test]
fn a_stream_opens_no_transaction() {
    let daemon = Daemon::start();
    let (status, reply) =
        daemon.request("POST", "/api/v1/query/stream", &[], r#"{"sql": "BEGIN"}"#);
    assert_eq!(
        (status, reply["error"]["details"]["sqlstate"].as_str()),
        (400, Some("0A000"))
    );
}

#[test]
fn a_key_is_required_once_one_exists() {
    let daemon = Daemon::start_with(|command| {
        command.env("HELIOSDB_API_KEY", "hdb_sk_test");
    });
    let body = r#"{"sql": "SELECT 1 AS one"}"#;
    let (status, reply) = daemon.request("POST", "/api/v1/query", &[], body);
    assert_eq!(
        (status, reply["error"]["code"].as_str()),
        (401, Some("AUTHENTICATION_REQUIRED"))
    );
    let (status, reply) =
        daemon.request("POST", "/api/v1/query", &["X-API-Key: hdb_sk_wrong"], body);
    assert_eq!(
        (status, reply["error"]["code"].as_str()),
        (401, Some("AUTHENTICATION_FAILED"))
    );
    for header in [
        "X-API-Key: hdb_sk_test",
        "Authorization: Bearer hdb_sk_test",
    ] {
        let (status, _) = daemon.request("POST", "/api/v1/query", &[header], body);
        assert_eq!(status, 200);
    }
    assert_eq!(daemon.ok("GET", "/api/v1/live", ""), json!({"alive": true}));
}
