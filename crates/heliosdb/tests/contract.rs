//! The rows of the API contract, one after the other: the seed documents' own requests, and replies
//! with the status and the set and nesting of keys of their examples. Headers, tables and errors
//! have files of their own.

#[path = "daemon/process.rs"]
mod daemon;
#[path = "daemon/example.rs"]
mod example;

use daemon::Daemon;
use example::{difference, row, run, with_users};
use serde_json::{Value as Json, json};

#[test]
fn queries_are_rows_010_to_015() {
    let daemon = Daemon::start();
    with_users(&daemon);
    let user = json!({"id": 1, "name": "Alice", "email": "alice@example.com", "age": 25});
    run(
        &daemon,
        &[
            row(
                "R-010",
                "POST",
                "/query",
                json!({"sql": "SELECT id, name, email, age FROM users WHERE status = $1 AND age > $2 LIMIT $3", "params": ["active", 21, 100], "timeout_ms": 30000, "include_metadata": true}),
                200,
                json!({"success": true, "data": [user], "metadata": {
                    "columns": [{"name": "id", "type": "BIGINT", "nullable": false}],
                    "row_count": 2, "execution_time_ms": 12, "query_id": "q_abc123"}}),
            ),
            row(
                "R-010",
                "POST",
                "/query",
                json!({"sql": "SELECT id, name, email, age FROM users WHERE age > 21"}),
                200,
                json!({"success": true, "data": [user]}),
            ),
            row(
                "R-010",
                "POST",
                "/query",
                json!({"sql": "UPDATE users SET age = age WHERE id < 4"}),
                200,
                json!({"success": true, "data": [], "affected_rows": 3}),
            ),
            row(
                "R-011",
                "POST",
                "/query/async",
                json!({"sql": "SELECT 1"}),
                405,
                json!({"error": {"code": "", "message": "", "details": null, "request_id": ""}}),
            ),
            row(
                "R-014",
                "DELETE",
                "/query/q_unknown",
                Json::Null,
                404,
                json!({"error": {"code": "NOT_FOUND", "message": "", "details": null, "request_id": ""}}),
            ),
            row(
                "R-015",
                "POST",
                "/query/explain",
                json!({"sql": "SELECT * FROM users WHERE email = $1", "params": ["test@example.com"], "analyze": false, "format": "json"}),
                200,
                json!({"plan": {"node_type": "Index Scan", "index_name": "idx_users_email", "relation": "users", "index_cond": "(email = 'test@example.com')", "estimated_rows": 1, "estimated_cost": 0.29, "actual_rows": null, "actual_time_ms": null, "executor": "Kv"}, "planning_time_ms": 0.5}),
            ),
            row(
                "R-015",
                "POST",
                "/query/explain",
                json!({"sql": "SELECT * FROM users", "format": "yaml"}),
                200,
                json!({"plan": "node_type: …", "planning_time_ms": 0.5}),
            ),
        ],
    );
    let explain =
        |body: Json| daemon.ok("POST", "/api/v1/query/explain", &body.to_string())["plan"].clone();
    let plan = explain(
        json!({"sql": "SELECT * FROM users WHERE email = $1", "params": ["x"], "analyze": true}),
    );
    assert_eq!(plan["node_type"], "Index Scan", "{plan}");
    assert_eq!(plan["index_name"], "idx_users_email");
    assert_eq!(plan["relation"], "users");
    assert_eq!(plan["actual_rows"], 0, "analyze measures");
    assert!(plan["actual_time_ms"].is_number());
    let text = explain(json!({"sql": "SELECT * FROM users WHERE age = 1", "format": "text"}));
    assert!(
        text.as_str().unwrap().contains("Seq Scan on users"),
        "{text}"
    );
    // Every node has an estimate, and the plan that does less work the smaller one.
    let cost = |sql: &str| {
        let plan = explain(json!({"sql": sql}));
        let mut nodes = vec![&plan];
        while let Some(node) = nodes.pop() {
            for key in ["estimated_rows", "estimated_cost"] {
                assert!(node[key].as_f64().is_some_and(|n| n > 0.0), "{key}: {node}");
            }
            nodes.extend(node["children"].as_array().into_iter().flatten());
        }
        let number = |key: &str| plan[key].as_f64().unwrap();
        (number("estimated_rows"), number("estimated_cost"))
    };
    let (one, by_key) = cost("SELECT * FROM users WHERE id = 7");
    assert!(
        (one - 1.0).abs() < 1e-9 && (by_key - 0.29).abs() < 1e-9,
        "{by_key}"
    );
    let (all, scan) = cost("SELECT * FROM users");
    assert!((all - 152.0).abs() < 1e-9, "the table has {all} rows");
    let ordered = [
        by_key,
        cost("SELECT * FROM users WHERE email = 'x'").1,
        cost("SELECT * FROM users LIMIT 50").1,
        scan,
        cost("SELECT * FROM users WHERE age > 30").1,
        cost("SELECT * FROM users WHERE age > 30 ORDER BY name").1,
        cost("SELECT * FROM users a JOIN users b ON a.id = b.age ORDER BY b.name").1,
        cost("SELECT * FROM users a, users b").1,
    ];
    assert!(ordered.is_sorted(), "{ordered:?}");
    // It follows the rows of the table, and is EXPLAIN's own.
    daemon.sql("INSERT INTO users (email, name) SELECT 'more' || i, 'n' FROM generate_series(1, 848) AS g(i)");
    let (all, more) = cost("SELECT * FROM users");
    assert!((all - 1000.0).abs() < 1e-9 && more > scan, "{all} {more}");
    let sql = daemon.sql("EXPLAIN (FORMAT JSON) SELECT * FROM users");
    let text = sql["data"][0]["QUERY PLAN"].as_str().unwrap();
    let plan: Json = serde_json::from_str(text).unwrap();
    assert_eq!(plan[0]["Plan"]["Total Cost"].as_f64(), Some(more), "{text}");
}

#[test]
fn rows_are_rows_021_to_028() {
    let daemon = Daemon::start();
    with_users(&daemon);
    let error = json!({"error": {"code": "", "message": "", "details": null, "request_id": ""}});
    run(
        &daemon,
        &[
            row(
                "R-021",
                "GET",
                "/tables/users/rows?filter=status%3D'active'&select=id,name,email&order_by=-created_at&limit=25",
                Json::Null,
                200,
                json!({"data": [{"id": 150, "name": "Zoe", "email": "zoe@example.com"}],
                    "pagination": {"total_count": 1250, "limit": 25, "offset": 0, "has_more": true, "next_cursor": "eyJpZCI6MTQ3fQ=="}}),
            ),
            row(
                "R-021",
                "GET",
                "/tables/users/rows?filter=nothing%3D1",
                Json::Null,
                400,
                error.clone(),
            ),
            row(
                "R-021",
                "GET",
                "/tables/users/rows?select=nothing",
                Json::Null,
                400,
                error.clone(),
            ),
            row(
                "R-021",
                "GET",
                "/tables/users/rows?order_by=nothing",
                Json::Null,
                400,
                error.clone(),
            ),
            row(
                "R-021",
                "GET",
                "/tables/users/rows?limit=-1",
                Json::Null,
                422,
                error.clone(),
            ),
            row(
                "R-021",
                "GET",
                "/tables/users/rows?cursor=eA==",
                Json::Null,
                422,
                error.clone(),
            ),
            row(
                "R-021",
                "GET",
                "/tables/users/rows?filter=nextval('users_id_seq')%3E0",
                Json::Null,
                422,
                error.clone(),
            ),
            row(
                "R-022",
                "POST",
                "/tables/users/rows",
                json!({"row": {"name": "Alice Johnson", "email": "alice.johnson@example.com", "age": 28, "status": "active"}, "returning": ["id", "created_at"]}),
                201,
                json!({"success": true, "inserted_count": 1, "data": [{"id": 1, "created_at": ""}]}),
            ),
            row(
                "R-022",
                "POST",
                "/tables/users/rows",
                json!({"row": {}, "rows": []}),
                422,
                error.clone(),
            ),
            row(
                "R-022",
                "POST",
                "/tables/users/rows",
                json!({}),
                422,
                error.clone(),
            ),
            row(
                "R-023",
                "POST",
                "/tables/users/rows",
                json!({"rows": [{"name": "Bob Smith", "email": "bob@example.com", "age": 35}, {"name": "Carol White", "email": "carol@example.com", "age": 29}, {"name": "David Brown", "email": "david@example.com", "age": 42}],
                    "on_conflict": {"columns": ["email"], "action": "update", "update_columns": ["name", "age"]}, "returning": ["id"]}),
                201,
                json!({"success": true, "inserted_count": 3, "data": [{"id": 151}]}),
            ),
            row(
                "R-023",
                "POST",
                "/tables/users/rows",
                json!({"rows": [{"name": "Eve", "email": "eve@example.com"}, {"name": "Bob", "email": "bob@example.com"}]}),
                409,
                error.clone(),
            ),
            row(
                "R-023",
                "POST",
                "/tables/users/rows",
                json!({"rows": [{"name": "Bob", "email": "bob@example.com"}], "on_conflict": {"action": "nothing"}}),
                201,
                json!({"success": true, "inserted_count": 0, "data": []}),
            ),
            row(
                "R-024",
                "PUT",
                "/tables/users/rows",
                json!({"filter": "status = 'pending' AND created_at < '2025-12-01'", "updates": {"status": "expired", "updated_at": "2026-01-04T12:00:00Z"}, "returning": ["id", "status"]}),
                200,
                json!({"success": true, "affected_rows": 1, "data": [{"id": 23, "status": "expired"}]}),
            ),
            row(
                "R-024",
                "PUT",
                "/tables/users/rows",
                json!({"updates": {"status": "expired"}}),
                422,
                error.clone(),
            ),
            row(
                "R-025",
                "DELETE",
                "/tables/users/rows",
                json!({"filter": "status = 'deleted' AND created_at < '2025-01-01'", "returning": ["id"]}),
                200,
                json!({"success": true, "deleted_count": 1, "data": [{"id": 10}]}),
            ),
            row(
                "R-025",
                "DELETE",
                "/tables/users/rows?filter=id%3D149",
                Json::Null,
                200,
                json!({"success": true, "deleted_count": 1, "data": []}),
            ),
            row(
                "R-025",
                "DELETE",
                "/tables/users/rows",
                Json::Null,
                422,
                error.clone(),
            ),
            row(
                "R-026",
                "GET",
                "/tables/users/rows/123",
                Json::Null,
                200,
                json!({"data": {"id": 123, "name": "", "email": "", "age": 28, "status": "active", "created_at": "2025-06-15T10:30:00Z", "updated_at": ""}}),
            ),
            row(
                "R-026",
                "GET",
                "/tables/users/rows/100000",
                Json::Null,
                404,
                error.clone(),
            ),
            row(
                "R-027",
                "PATCH",
                "/tables/users/rows/123",
                json!({"updates": {"name": "Alice Smith", "age": 29}, "returning": ["id", "name", "age", "updated_at"]}),
                200,
                json!({"success": true, "data": {"id": 123, "name": "Alice Smith", "age": 29, "updated_at": ""}}),
            ),
            row(
                "R-027",
                "PATCH",
                "/tables/users/rows/100000",
                json!({"updates": {"age": 29}}),
                404,
                error.clone(),
            ),
            row(
                "R-027",
                "PATCH",
                "/tables/users/rows/nobody",
                json!({"updates": {"age": 29}}),
                404,
                error.clone(),
            ),
            row(
                "R-027",
                "PATCH",
                "/tables/users/rows/123",
                json!({"updates": {"age": "old"}}),
                422,
                error.clone(),
            ),
            row(
                "R-028",
                "DELETE",
                "/tables/users/rows/123",
                Json::Null,
                200,
                json!({"success": true, "deleted": true}),
            ),
            row(
                "R-028",
                "DELETE",
                "/tables/users/rows/123",
                Json::Null,
                404,
                error,
            ),
        ],
    );
    daemon.sql("CREATE TABLE pair (a integer, b text, v text, PRIMARY KEY (a, b))");
    daemon.sql("INSERT INTO pair VALUES (1, 'x', 'found')");
    let found = daemon.ok("GET", "/api/v1/tables/pair/rows/1,x", "");
    assert_eq!(found["data"]["v"], "found", "a composite key");
}

/// R-058 to R-060: pages of 25 by offset, and by cursor forwards and back again.
#[test]
fn pages_are_rows_058_to_060() {
    let daemon = Daemon::start();
    with_users(&daemon);
    let page = |query: &str| {
        let page = daemon.ok("GET", &format!("/api/v1/tables/users/rows?{query}"), "");
        let ids: Vec<i64> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_i64().unwrap())
            .collect();
        (ids, page["pagination"].clone())
    };
    let ids = |from: i64, to: i64| (from..=to).collect::<Vec<_>>();
    // R-058
    for (query, from) in [
        ("limit=25&offset=0", 1),
        ("limit=25&offset=25", 26),
        ("limit=25&offset=50", 51),
    ] {
        let (seen, pagination) = page(query);
        assert_eq!(seen, ids(from, from + 24), "R-058 {query}");
        assert_eq!(pagination["total_count"], 152);
        assert_eq!(pagination["offset"], from - 1);
        assert_eq!(pagination["has_more"], true);
    }
    let (seen, pagination) = page("limit=25&offset=150");
    assert_eq!(
        (seen, &pagination["has_more"]),
        (ids(151, 152), &json!(false))
    );
    // R-059: the cursor is base64 of the last sort key, and exclusive; the document's own is read.
    let (first, pagination) = page("limit=25");
    assert_eq!(first, ids(1, 25));
    let next = pagination["next_cursor"].as_str().unwrap();
    assert_eq!(
        next.trim_end_matches('='),
        "eyJpZCI6MjV9",
        "R-059: {{\"id\":25}}"
    );
    let (second, pagination) = page("limit=25&cursor=eyJpZCI6MjV9");
    assert_eq!(second, ids(26, 50), "R-059");
    // R-060
    let example = json!({"limit": 25, "total_count": 1250, "has_more": true, "next_cursor": "eyJpZCI6NTB9", "prev_cursor": "eyJpZCI6MjV9"});
    assert_eq!(difference(&example, &pagination, ""), None, "R-060");
    let quoted = |cursor: &Json| {
        let cursor = cursor.as_str().expect("a cursor");
        cursor
            .replace('=', "%3D")
            .replace('+', "%2B")
            .replace('/', "%2F")
    };
    assert_eq!(quoted(&pagination["next_cursor"]), "eyJpZCI6NTB9", "R-060");
    let (back, _) = page(&format!(
        "limit=25&cursor={}",
        quoted(&pagination["prev_cursor"])
    ));
    assert_eq!(back, first, "R-060: the previous page");
    // Rows that go in between do not move the pages.
    daemon.sql("DELETE FROM users WHERE id <= 10");
    let (second, _) = page("limit=25&cursor=eyJpZCI6MjV9");
    assert_eq!(second, ids(26, 50), "R-059");
    // To the end and back, in an order with equal and missing keys.
    daemon.sql("UPDATE users SET age = CASE WHEN id % 3 = 0 THEN NULL ELSE id % 5 END");
    for order in ["age", "-age", "status,-age"] {
        let by = order.replace("-age", "age DESC");
        let expected = daemon.sql(&format!("SELECT id FROM users ORDER BY {by}, id"));
        let expected: Vec<i64> = expected["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_i64().unwrap())
            .collect();
        let base = format!("order_by={order}&limit=25&select=id");
        let mut pages = vec![page(&base)];
        while let Json::String(_) = pages.last().unwrap().1["next_cursor"] {
            let cursor = quoted(&pages.last().unwrap().1["next_cursor"]);
            pages.push(page(&format!("{base}&cursor={cursor}")));
            assert!(pages.len() < 20, "the pages do not end");
        }
        let seen: Vec<i64> = pages.iter().flat_map(|(ids, _)| ids.clone()).collect();
        assert_eq!(seen, expected, "order {order}");
        let mut at = pages.len() - 1;
        let mut cursor = pages[at].1["prev_cursor"].clone();
        while at > 0 {
            let (ids, pagination) = page(&format!("{base}&cursor={}", quoted(&cursor)));
            at -= 1;
            assert_eq!(ids, pages[at].0, "order {order}, page {at}");
            cursor = pagination["prev_cursor"].clone();
        }
        assert_eq!(
            cursor,
            Json::Null,
            "order {order}: nothing before the first page"
        );
    }
}

#[test]
fn transactions_are_rows_029_to_032() {
    let daemon = Daemon::start();
    daemon.sql("CREATE TABLE accounts (id integer PRIMARY KEY, balance numeric(10,2) NOT NULL)");
    daemon.sql("INSERT INTO accounts VALUES (1, 500), (2, 0)");
    let begin = |body: Json| {
        let (status, reply) =
            daemon.request("POST", "/api/v1/transactions", &[], &body.to_string());
        assert_eq!(status, 201, "{reply}");
        let example = json!({"transaction_id": "", "isolation_level": "serializable", "started_at": "", "expires_at": ""});
        assert_eq!(difference(&example, &reply, ""), None);
        reply["transaction_id"].as_str().unwrap().to_owned()
    };
    let error = json!({"error": {"code": "", "message": "", "details": null, "request_id": ""}});
    let first =
        begin(json!({"isolation_level": "serializable", "timeout_ms": 30000, "read_only": false}));
    let second = begin(json!({"isolation_level": "serializable"}));
    let third = begin(json!({}));
    let query = |id: &str, sql: &str, status, example: Json| {
        row(
            "R-030",
            "POST",
            format!("/transactions/{id}/query"),
            json!({"sql": sql, "params": []}),
            status,
            example,
        )
    };
    let changed = json!({"success": true, "affected_rows": 1, "transaction_id": ""});
    let read =
        json!({"success": true, "data": [{"sum": 500}], "affected_rows": 0, "transaction_id": ""});
    run(
        &daemon,
        &[
            query(
                &first,
                "SELECT sum(balance) FROM accounts",
                200,
                read.clone(),
            ),
            query(&second, "SELECT sum(balance) FROM accounts", 200, read),
            query(
                &first,
                "INSERT INTO accounts VALUES (3, 1)",
                200,
                changed.clone(),
            ),
            query(
                &second,
                "INSERT INTO accounts VALUES (4, 1)",
                200,
                changed.clone(),
            ),
            query(&third, "INSERT INTO accounts VALUES (5, 1)", 200, changed),
            row(
                "R-031",
                "POST",
                format!("/transactions/{first}/commit"),
                Json::Null,
                200,
                json!({"success": true, "transaction_id": "txn_abc123xyz", "committed_at": ""}),
            ),
            // R-054 TRANSACTION_CONFLICT: a serialization failure.
            row(
                "R-031",
                "POST",
                format!("/transactions/{second}/commit"),
                Json::Null,
                409,
                error.clone(),
            ),
            row(
                "R-032",
                "POST",
                format!("/transactions/{third}/rollback"),
                Json::Null,
                200,
                json!({"success": true, "transaction_id": "txn_abc123xyz", "rolled_back_at": ""}),
            ),
            query(&first, "SELECT 1", 404, error.clone()),
            row(
                "R-029",
                "POST",
                "/transactions",
                json!({"isolation_level": "chaos"}),
                422,
                error.clone(),
            ),
            row(
                "R-029",
                "POST",
                "/transactions",
                json!({"timeout_ms": 0}),
                422,
                error,
            ),
        ],
    );
    let (_, reply) = daemon.request(
        "POST",
        &format!("/api/v1/transactions/{second}/commit"),
        &[],
        "",
    );
    assert_eq!(reply["error"]["code"], "TRANSACTION_NOT_FOUND");
    let ids = daemon.sql("SELECT id FROM accounts ORDER BY id");
    assert_eq!(ids["data"], json!([{"id": 1}, {"id": 2}, {"id": 3}]));
}

#[test]
fn administration_is_rows_037_to_041() {
    let daemon = Daemon::start();
    run(
        &daemon,
        &[
            row(
                "R-037",
                "GET",
                "/health",
                Json::Null,
                200,
                json!({"status": "healthy", "version": "7.0.0", "uptime_seconds": 864000, "components": {"storage": "healthy", "query_engine": "healthy", "replication": "healthy", "cache": "healthy"}}),
            ),
            row(
                "R-038",
                "GET",
                "/ready",
                Json::Null,
                200,
                json!({"ready": true, "checks": {"database": true, "connections_available": true, "replication_synced": true}}),
            ),
            row(
                "R-039",
                "GET",
                "/live",
                Json::Null,
                200,
                json!({"alive": true}),
            ),
            row(
                "R-040",
                "GET",
                "/info",
                Json::Null,
                200,
                json!({"version": "7.0.0", "build": "", "api_version": "v1", "supported_versions": ["v1"], "deprecated_features": [],
                    "features": {"vector_search": true, "graph_queries": true, "time_series": true, "multi_tenancy": true, "streaming": true},
                    "protocols": ["postgresql"], "limits": {"max_query_size_bytes": 1048576, "max_result_rows": 100000, "max_connections": 10000}}),
            ),
        ],
    );
    daemon.sql("SELECT 1");
    daemon.request("POST", "/api/v1/query", &[], r#"{"sql": "SELECT nothing"}"#);
    for path in ["/metrics", "/api/v1/metrics"] {
        let (status, head, text) = daemon.raw("GET", path, &[], "");
        assert_eq!(status, 200);
        assert!(head.contains("content-type: text/plain"), "{head}");
        for line in [
            "# HELP heliosdb_queries_total Total number of queries executed",
            "# TYPE heliosdb_queries_total counter",
            "# HELP heliosdb_query_duration_seconds Query execution duration",
            "# TYPE heliosdb_query_duration_seconds histogram",
            "# HELP heliosdb_connections_active Active database connections",
            "# TYPE heliosdb_connections_active gauge",
            "# HELP heliosdb_cache_hit_ratio Cache hit ratio",
            "# TYPE heliosdb_cache_hit_ratio gauge",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
        let value = |name: &str| -> f64 {
            let line = text
                .lines()
                .find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name} in {text}"))
                .parse()
                .unwrap()
        };
        assert!(value("heliosdb_queries_total{status=\"success\"}") >= 1.0);
        assert!(value("heliosdb_queries_total{status=\"error\"}") >= 1.0);
        let mut last = 0.0;
        for bound in ["0.01", "0.1", "1.0", "+Inf"] {
            let count = value(&format!(
                "heliosdb_query_duration_seconds_bucket{{le=\"{bound}\"}}"
            ));
            assert!(count >= last, "buckets are cumulative");
            last = count;
        }
        assert!((value("heliosdb_query_duration_seconds_count") - last).abs() < 0.5);
        assert!(value("heliosdb_connections_active") >= 1.0);
        assert!((0.0..=1.0).contains(&value("heliosdb_cache_hit_ratio")));
        // Every metric has a help text and a type, once.
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let base = name
                .trim_end_matches("_bucket")
                .trim_end_matches("_sum")
                .trim_end_matches("_count");
            let described = text.lines().filter(|l| {
                *l == format!("# TYPE {name} counter")
                    || *l == format!("# TYPE {name} gauge")
                    || *l == format!("# TYPE {base} histogram")
            });
            assert_eq!(described.count(), 1, "{name}");
        }
    }
    let short = daemon.ok("GET", "/health", "");
    assert_eq!(
        difference(
            &json!({"status": "healthy", "version": "2.4.0-beta", "uptime_seconds": 3600}),
            &short,
            ""
        ),
        None
    );
}

#[test]
fn head_and_options_work_on_every_get_route() {
    let daemon = Daemon::start();
    with_users(&daemon);
    for path in [
        "/api/v1/health",
        "/api/v1/ready",
        "/api/v1/live",
        "/api/v1/info",
        "/api/v1/metrics",
        "/api/v1/tables",
        "/api/v1/tables/users",
        "/api/v1/tables/users/rows",
        "/api/v1/tables/users/rows/1",
        "/health",
        "/metrics",
    ] {
        let output = std::process::Command::new("curl")
            .args(["-sS", "-I", "--max-time", "20", &daemon.url(path)])
            .output()
            .unwrap();
        let head = String::from_utf8_lossy(&output.stdout).to_ascii_lowercase();
        assert!(
            output.status.success() && head.starts_with("http/1.1 200"),
            "{path}: {head}"
        );
        assert!(head.contains("x-request-id: "), "{path}: {head}");
        let (status, head, _) = daemon.raw("OPTIONS", path, &[], "");
        assert_eq!(status, 204);
        assert!(
            head.contains("allow: get") && head.contains("head"),
            "{path}: {head}"
        );
    }
}
