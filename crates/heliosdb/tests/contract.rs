//! The rows of the API contract, one after the other: the seed documents' own requests, and replies
//! with the status and the set and nesting of keys of their examples.

#[path = "daemon/process.rs"]
mod daemon;

use daemon::Daemon;
use serde_json::{Value as Json, json};

/// How a reply differs from an example: in the keys of an object at any depth, or in the kind of a
/// value. Null in the example or the reply stands for any value; one element of an array for all.
fn difference(example: &Json, reply: &Json, path: &str) -> Option<String> {
    match (example, reply) {
        (Json::Object(example), Json::Object(reply)) => {
            if let Some(key) = example.keys().find(|k| !reply.contains_key(*k)) {
                return Some(format!("{path}.{key} is missing"));
            }
            if let Some(key) = reply.keys().find(|k| !example.contains_key(*k)) {
                return Some(format!("{path}.{key} is not in the contract"));
            }
            example
                .iter()
                .find_map(|(key, e)| difference(e, &reply[key], &format!("{path}.{key}")))
        }
        (Json::Array(example), Json::Array(reply)) => {
            let element = example.first()?;
            if reply.is_empty() {
                return Some(format!("{path} is empty"));
            }
            reply
                .iter()
                .find_map(|r| difference(element, r, &format!("{path}[]")))
        }
        (Json::Null, _) | (_, Json::Null) => None,
        (e, r) => (std::mem::discriminant(e) != std::mem::discriminant(r))
            .then(|| format!("{path} is {r}, in the contract {e}")),
    }
}

struct Row {
    id: &'static str,
    method: &'static str,
    path: String,
    body: Json,
    status: u16,
    example: Json,
}

fn row(
    id: &'static str,
    method: &'static str,
    path: impl Into<String>,
    body: Json,
    status: u16,
    example: Json,
) -> Row {
    Row {
        id,
        method,
        path: format!("/api/v1{}", path.into()),
        body,
        status,
        example,
    }
}

/// Sends each request in turn and compares the replies.
fn run(daemon: &Daemon, rows: &[Row]) {
    let mut wrong = Vec::new();
    for row in rows {
        let body = if row.body.is_null() {
            String::new()
        } else {
            row.body.to_string()
        };
        let (status, reply) = daemon.request(row.method, &row.path, &[], &body);
        if status != row.status {
            wrong.push(format!(
                "{} {} {}: {status} {reply}",
                row.id, row.method, row.path
            ));
        } else if let Some(difference) = difference(&row.example, &reply, "") {
            wrong.push(format!(
                "{} {} {}: {difference}",
                row.id, row.method, row.path
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const USERS: &str = "CREATE TABLE users (
    id bigserial PRIMARY KEY, email varchar(255) NOT NULL, name varchar(255) NOT NULL, age integer,
    status varchar(50) NOT NULL DEFAULT 'active', created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz,
    CONSTRAINT users_status_check CHECK (status IN ('active', 'inactive', 'suspended', 'pending', 'expired', 'deleted')))";

fn with_users(daemon: &Daemon) {
    daemon.sql(USERS);
    daemon.sql("CREATE UNIQUE INDEX idx_users_email ON users (email)");
    daemon.sql("INSERT INTO users (email, name, age) SELECT 'user' || i || '@example.com', 'User ' || i, 20 + i FROM generate_series(1, 150) AS g(i)");
    daemon.sql("INSERT INTO users (email, name, status, created_at) VALUES ('p@x', 'P', 'pending', '2025-11-01'), ('d@x', 'D', 'deleted', '2024-11-01')");
}

/// R-001 to R-008, the base and the headers; R-009 says that a JWT is no API key.
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
        ("R-002", &[], 401, "AUTHENTICATION_REQUIRED"),
        (
            "R-003",
            &[key, "Content-Type: text/plain"],
            415,
            "VALIDATION_ERROR",
        ),
        ("R-004", &[key, "Accept: application/json"], 200, ""),
        ("R-005", &[key, "X-Request-ID: req_of_mine"], 200, ""),
        ("R-006", &[key, "X-Tenant-ID: 7"], 400, "INVALID_QUERY"),
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
    let lines = [key, "Accept: application/x-ndjson"];
    let (_, head, text) = daemon.raw("POST", "/api/v1/query/stream", &lines, body);
    assert!(
        head.to_ascii_lowercase()
            .contains("content-type: application/x-ndjson"),
        "R-004: {head}"
    );
    assert_eq!(text.trim_end(), r#"{"one":1}"#, "R-004");
}

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
}

#[test]
fn tables_are_rows_016_to_020() {
    let daemon = Daemon::start();
    with_users(&daemon);
    daemon.sql("CREATE VIEW grown AS SELECT id, name FROM users WHERE age > 30");
    let listed = json!({"tables": [{"name": "users", "schema": "public", "type": "table", "row_count": 150000, "size_bytes": 45000000, "created_at": "", "updated_at": ""}], "total_count": 3});
    let products = json!({"name": "products", "schema": "public", "columns": [
        {"name": "id", "type": "BIGSERIAL", "nullable": false, "primary_key": true},
        {"name": "sku", "type": "VARCHAR(50)", "nullable": false},
        {"name": "name", "type": "VARCHAR(255)", "nullable": false},
        {"name": "desc", "type": "TEXT", "nullable": true},
        {"name": "old_field", "type": "TEXT", "nullable": true},
        {"name": "price", "type": "DECIMAL(10,2)", "nullable": false, "check": "price >= 0"},
        {"name": "inventory", "type": "INTEGER", "nullable": false, "default": "0"},
        {"name": "category", "type": "VARCHAR(100)", "nullable": true},
        {"name": "metadata", "type": "JSONB", "nullable": true},
        {"name": "created_at", "type": "TIMESTAMP WITH TIME ZONE", "nullable": false, "default": "NOW()"},
    ], "indexes": [
        {"name": "idx_products_sku", "columns": ["sku"], "unique": true},
        {"name": "idx_products_category", "columns": ["category"]},
    ], "if_not_exists": true});
    let made = json!({"success": true, "table": {"name": "products", "schema": "public", "created_at": ""}});
    let error = json!({"error": {"code": "", "message": "", "details": null, "request_id": ""}});
    let mut again = products.clone();
    again["if_not_exists"] = json!(false);
    run(
        &daemon,
        &[
            row("R-016", "GET", "/tables", Json::Null, 200, listed.clone()),
            row(
                "R-016",
                "GET",
                "/tables?schema=public&pattern=us%25&include_views=false&include_system=false",
                Json::Null,
                200,
                listed.clone(),
            ),
            row(
                "R-016",
                "GET",
                "/tables?include_system=true",
                Json::Null,
                200,
                listed,
            ),
            row(
                "R-016",
                "GET",
                "/tables?include_views=maybe",
                Json::Null,
                422,
                json!({"error": {"code": "", "message": "", "details": null, "request_id": ""}}),
            ),
            row(
                "R-017",
                "GET",
                "/tables/users",
                Json::Null,
                200,
                json!({"name": "users", "schema": "public", "type": "table",
                    "columns": [{"name": "id", "type": "BIGINT", "nullable": false, "default": "nextval('users_id_seq'::regclass)", "is_primary_key": true}],
                    "indexes": [{"name": "users_pkey", "type": "btree", "columns": ["id"], "unique": true, "primary": true}],
                    "constraints": [{"name": "users_status_check", "type": "check", "definition": ""}],
                    "statistics": {"row_count": 150000, "size_bytes": 45000000, "index_size_bytes": 12000000, "last_analyzed": ""}}),
            ),
            row(
                "R-017",
                "GET",
                "/tables/nothing",
                Json::Null,
                404,
                error.clone(),
            ),
            row("R-018", "POST", "/tables", products, 201, made.clone()),
            row("R-018", "POST", "/tables", again, 409, error.clone()),
            row(
                "R-019",
                "PATCH",
                "/tables/products",
                json!({"operations": [
                    {"operation": "add_column", "column": {"name": "discount_percent", "type": "DECIMAL(5,2)", "nullable": true, "default": "0"}},
                    {"operation": "drop_column", "column_name": "old_field"},
                    {"operation": "rename_column", "old_name": "desc", "new_name": "description"},
                    {"operation": "add_index", "index": {"name": "idx_products_price", "columns": ["price"]}},
                ]}),
                200,
                json!({"success": true, "operations_completed": 4, "table": {"name": "products", "updated_at": ""}}),
            ),
            row(
                "R-019",
                "PATCH",
                "/tables/products",
                json!({"operations": [{"operation": "paint"}]}),
                422,
                json!({"error": {"code": "", "message": "", "details": null, "request_id": ""}}),
            ),
            row(
                "R-020",
                "DELETE",
                "/tables/users",
                Json::Null,
                409,
                error.clone(),
            ),
            row(
                "R-020",
                "DELETE",
                "/tables/users?cascade=true",
                Json::Null,
                200,
                json!({"success": true, "table": "products", "dropped_at": ""}),
            ),
            row("R-020", "DELETE", "/tables/users", Json::Null, 404, error),
            row(
                "R-020",
                "DELETE",
                "/tables/users?if_exists=true",
                Json::Null,
                200,
                json!({"success": true, "table": "products", "dropped_at": ""}),
            ),
        ],
    );
    // R-016: the times are those of the definition, and a change of it is seen.
    let times = || {
        let listed = daemon.ok("GET", "/api/v1/tables?pattern=products", "");
        let table = listed["tables"][0].clone();
        let time = |key: &str| table[key].as_str().unwrap_or_default().to_owned();
        (time("created_at"), time("updated_at"))
    };
    let (made, changed) = times();
    assert!(
        made.starts_with("20") && made.ends_with('Z') && made.len() == 20,
        "{made}"
    );
    assert!(changed >= made, "{made} {changed}");
    // Times have seconds: the next change has to come in another one.
    let second = |daemon: &Daemon| {
        let now = daemon.sql("SELECT date_trunc('second', clock_timestamp())::text AS now");
        now["data"][0]["now"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let now = second(&daemon);
    while second(&daemon) == now {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    daemon.sql("ALTER TABLE products ADD COLUMN late integer");
    let (still, later) = times();
    assert_eq!(still, made, "created_at stays");
    assert!(later > changed, "updated_at moves: {changed} {later}");
    daemon.sql("ALTER TABLE products DROP COLUMN late");
    let detail = daemon.ok("GET", "/api/v1/tables/products", "");
    let names: Vec<&str> = detail["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "id",
            "sku",
            "name",
            "description",
            "price",
            "inventory",
            "category",
            "metadata",
            "created_at",
            "discount_percent"
        ]
    );
    let types: Vec<&str> = detail["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        [
            "BIGINT",
            "VARCHAR(50)",
            "VARCHAR(255)",
            "TEXT",
            "DECIMAL(10,2)",
            "INTEGER",
            "VARCHAR(100)",
            "JSONB",
            "TIMESTAMP WITH TIME ZONE",
            "DECIMAL(5,2)"
        ]
    );
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
