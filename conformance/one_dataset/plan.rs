//! One question asked in five protocols has one plan.

use crate::clients::Clients;
use conformance::daemon::Daemon;
use serde_json::{Value as Json, json};

impl Clients {
    fn sql_plan(&mut self, statement: &str) -> String {
        let rows = self.sql.run(&format!("EXPLAIN {statement}"));
        rows.into_iter()
            .map(|mut row| row.remove(0).expect("a line") + "\n")
            .collect()
    }

    fn redis_plan(&mut self, words: &[&str]) -> String {
        let words = [&["HELIOS.EXPLAIN"], words].concat();
        self.redis.run(&words).string().expect("a plan")
    }

    fn mongo_plan(&mut self, command: &Json) -> String {
        let reply = self
            .mongo
            .run(&json!({"explain": command, "verbosity": "queryPlanner"}));
        let plan = reply["queryPlanner"]["winningPlan"]["plan"].as_str();
        plan.unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    fn rest_plan(&mut self, statement: &str, params: &Json) -> String {
        let body = json!({"sql": statement, "params": params, "format": "text"});
        let reply = self.rest.ok("POST", "/query/explain", Some(&body));
        reply["plan"].as_str().expect("text").to_owned()
    }

    fn grpc_plan(&self, statement: &str) -> String {
        let rows = self.grpc.rows(&format!("EXPLAIN {statement}"), &json!([]));
        rows.iter()
            .map(|row| row[0]["stringValue"].as_str().expect("a line").to_owned() + "\n")
            .collect()
    }
}

#[test]
fn one_question_asked_in_five_protocols_has_one_plan() {
    let daemon = Daemon::start();
    let mut c = Clients::of(&daemon);
    c.sql
        .run("CREATE TABLE person (id integer PRIMARY KEY, email text, age integer)");
    c.sql.run("CREATE INDEX person_email ON person (email)");
    c.sql.run("INSERT INTO person VALUES (1, 'a@x', 30)");

    // The row with a key.
    let plan = "Executor: Kv\n\
                Index Scan using person_pkey on person\n  Index Cond: (id = $1)\n";
    assert_eq!(c.sql_plan("SELECT * FROM person WHERE id = 1"), plan);
    assert_eq!(c.redis_plan(&["HGETALL", "person:1"]), plan);
    assert_eq!(
        c.mongo_plan(&json!({"find": "person", "filter": {"_id": 1}})),
        plan
    );
    assert_eq!(
        c.rest_plan("SELECT * FROM person WHERE id = $1", &json!([1])),
        plan
    );
    assert_eq!(c.grpc_plan("SELECT * FROM person WHERE id = 1"), plan);

    // Rows by an index.
    let plan = "Executor: Kv\n\
                Index Scan using person_email on person\n  Index Cond: (email = $1)\n";
    let statement = "SELECT * FROM person WHERE email = 'a@x'";
    assert_eq!(c.sql_plan(statement), plan);
    assert_eq!(
        c.mongo_plan(&json!({"find": "person", "filter": {"email": "a@x"}})),
        plan
    );
    assert_eq!(
        c.rest_plan("SELECT * FROM person WHERE email = $1", &json!(["a@x"])),
        plan
    );
    assert_eq!(c.grpc_plan(statement), plan);

    // Rows by a column without an index.
    let plan = "Executor: Apply\nSeq Scan on person\n  Filter: (age = $1)\n";
    let statement = "SELECT * FROM person WHERE age = 30";
    assert_eq!(c.sql_plan(statement), plan);
    assert_eq!(
        c.mongo_plan(&json!({"find": "person", "filter": {"age": 30}})),
        plan
    );
    assert_eq!(
        c.rest_plan("SELECT * FROM person WHERE age = $1", &json!([30])),
        plan
    );
    assert_eq!(c.grpc_plan(statement), plan);

    // A row deleted by its key.
    let plan = "Executor: Kv\nDelete on person\n  \
                Index Scan using person_pkey on person\n    Index Cond: (id = $1)\n";
    assert_eq!(c.sql_plan("DELETE FROM person WHERE id = 1"), plan);
    assert_eq!(c.redis_plan(&["DEL", "person:1"]), plan);
    assert_eq!(
        c.rest_plan("DELETE FROM person WHERE id = $1", &json!([1])),
        plan
    );
    assert_eq!(c.grpc_plan("DELETE FROM person WHERE id = 1"), plan);

    // The JSON of SQL and that of REST say the same.
    let rows = c
        .sql
        .run("EXPLAIN (FORMAT JSON) SELECT * FROM person WHERE id = 1");
    let text: Vec<String> = rows
        .into_iter()
        .map(|mut row| row.remove(0).expect("text"))
        .collect();
    let sql: Json = serde_json::from_str(&text.join("\n")).expect("JSON");
    let body = json!({"sql": "SELECT * FROM person WHERE id = $1", "params": [1]});
    let rest = c.rest.ok("POST", "/query/explain", Some(&body));
    for (ours, theirs) in [
        ("Node Type", "node_type"),
        ("Index Name", "index_name"),
        ("Relation Name", "relation"),
        ("Index Cond", "index_cond"),
        ("Plan Rows", "estimated_rows"),
    ] {
        assert_eq!(sql[0]["Plan"][ours], rest["plan"][theirs], "{ours}");
        assert!(!rest["plan"][theirs].is_null(), "{theirs}");
    }
    assert_eq!(sql[0]["Executor"], rest["plan"]["executor"]);
}
