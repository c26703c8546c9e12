//! Rows R-016 to R-020 of the API contract: tables.

#[path = "daemon/process.rs"]
mod daemon;
#[path = "daemon/example.rs"]
mod example;

use daemon::Daemon;
use example::{row, run, with_users};
use serde_json::{Value as Json, json};

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
    // R-018: a table that is there already keeps its time.
    let body = json!({"name": "products", "columns": [{"name": "id", "type": "INTEGER"}], "if_not_exists": true});
    let reply = daemon.ok("POST", "/api/v1/tables", &body.to_string());
    assert_eq!(reply["table"]["created_at"], made.as_str());
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

/// R-017: `last_analyzed` is the time of the last ANALYZE that was committed, also after a restart.
#[test]
fn the_time_of_analyze_is_kept() {
    let work = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_in(work.path(), |_| {});
    daemon.sql("CREATE TABLE t (id integer PRIMARY KEY)");
    daemon.sql("CREATE TABLE other (id integer PRIMARY KEY)");
    daemon.sql("INSERT INTO t VALUES (1), (2)");
    let analyzed = |daemon: &Daemon, table: &str| {
        let detail = daemon.ok("GET", &format!("/api/v1/tables/{table}"), "");
        detail["statistics"]["last_analyzed"].clone()
    };
    assert_eq!(analyzed(&daemon, "t"), Json::Null);
    let transaction = |end: &str| {
        let begun = daemon.ok("POST", "/api/v1/transactions", "{}");
        let path = format!(
            "/api/v1/transactions/{}",
            begun["transaction_id"].as_str().unwrap()
        );
        daemon.ok("POST", &format!("{path}/query"), r#"{"sql": "ANALYZE t"}"#);
        assert_eq!(analyzed(&daemon, "t"), Json::Null, "not before the commit");
        daemon.ok("POST", &format!("{path}/{end}"), "");
    };
    transaction("rollback");
    assert_eq!(analyzed(&daemon, "t"), Json::Null, "rolled back");
    transaction("commit");
    let first = analyzed(&daemon, "t");
    let time = first.as_str().expect("a time");
    assert!(time.starts_with("20") && time.len() == 20, "{time}");
    assert_eq!(analyzed(&daemon, "other"), Json::Null);
    let seen = daemon.sql("SELECT n_live_tup AS n, date_trunc('second', last_analyze) AS at FROM pg_stat_user_tables WHERE relname = 't'");
    assert_eq!(seen["data"], json!([{"n": 2, "at": first}]));
    assert!(daemon.stop().success());
    let daemon = Daemon::start_in(work.path(), |_| {});
    assert_eq!(analyzed(&daemon, "t"), first, "after a restart");
    for (statement, table) in [("VACUUM ANALYZE other", "other"), ("ANALYZE", "t")] {
        daemon.sql(statement);
        assert!(analyzed(&daemon, table).is_string(), "{statement}");
    }
    // A table of the same name is another table.
    daemon.sql("DROP TABLE t");
    daemon.sql("CREATE TABLE t (id integer PRIMARY KEY)");
    assert_eq!(analyzed(&daemon, "t"), Json::Null);
}

#[test]
fn a_table_is_changed_by_every_operation_of_row_019() {
    let daemon = Daemon::start();
    daemon.sql("CREATE TABLE owner (id integer PRIMARY KEY)");
    daemon.sql("CREATE TABLE t (id integer PRIMARY KEY, a text, owner integer)");
    let alter = |operation: Json| {
        let body = json!({"operations": [operation]}).to_string();
        daemon.request("PATCH", "/api/v1/tables/t", &[], &body)
    };
    for operation in [
        json!({"operation": "alter_column", "column_name": "a", "type": "VARCHAR(20)", "nullable": false, "default": "'none'"}),
        json!({"operation": "add_constraint", "constraint": {"name": "t_positive", "type": "check", "definition": "id > 0"}}),
        json!({"operation": "add_constraint", "constraint": {"name": "t_a", "type": "unique", "columns": ["a"]}}),
        json!({"operation": "add_constraint", "constraint": {"name": "t_owner", "type": "foreign_key", "columns": ["owner"], "references": {"table": "owner", "columns": ["id"]}}}),
    ] {
        let (status, reply) = alter(operation.clone());
        assert_eq!(status, 200, "{operation}: {reply}");
    }
    let detail = daemon.ok("GET", "/api/v1/tables/t", "");
    assert_eq!(
        detail["columns"][1],
        json!({"name": "a", "type": "VARCHAR(20)", "nullable": false, "default": "'none'", "is_primary_key": false})
    );
    let names: Vec<&str> = detail["constraints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["t_positive", "t_a", "t_owner"]);
    for row in [json!({"id": -1}), json!({"id": 1, "owner": 9})] {
        let body = json!({"row": row}).to_string();
        let (_, reply) = daemon.request("POST", "/api/v1/tables/t/rows", &[], &body);
        assert_eq!(reply["error"]["code"], "CONSTRAINT_VIOLATION", "{reply}");
    }
    for operation in [
        json!({"operation": "alter_column", "column_name": "a", "nullable": true, "default": null}),
        json!({"operation": "drop_constraint", "constraint_name": "t_positive"}),
    ] {
        assert_eq!(alter(operation.clone()).0, 200, "{operation}");
    }
    daemon.sql("INSERT INTO t (id) VALUES (-1)");
    assert_eq!(daemon.sql("SELECT a FROM t")["data"], json!([{"a": null}]));
    for (operation, expected) in [
        (
            json!({"operation": "alter_column", "column_name": "a"}),
            422,
        ),
        (
            json!({"operation": "alter_column", "column_name": "none", "nullable": true}),
            400,
        ),
        (
            json!({"operation": "add_constraint", "constraint": {"type": "exclude"}}),
            422,
        ),
        (
            json!({"operation": "add_constraint", "constraint": {"type": "check", "definition": "id > 0"}}),
            422,
        ),
    ] {
        let (status, reply) = alter(operation.clone());
        assert_eq!(status, expected, "{operation}: {reply}");
    }
}
