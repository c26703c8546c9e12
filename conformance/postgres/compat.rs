//! The statements in helios-postgres' COMPAT.md: what it says is refused gives the SQLSTATE that it
//! says, what it says has no effect is accepted.

use conformance::command::run;
use conformance::daemon::Daemon;
use conformance::pg_client::{PgClient, Reply};
use conformance::postgres15::Postgres15;
use std::path::Path;

const SETUP: &[&str] = &[
    "CREATE TABLE t (id int PRIMARY KEY, a int[], j jsonb, name text)",
    "CREATE VIEW v AS SELECT id, name FROM t",
    "CREATE TABLE pair (a int, b int, PRIMARY KEY (a, b))",
    "CREATE SEQUENCE s",
];

struct Row {
    part: String,
    statements: Vec<String>,
    /// The SQLSTATE where there is one.
    third: String,
}

/// The rows of the table whose columns are headed so.
fn rows(header: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/helios-postgres/COMPAT.md");
    let text = std::fs::read_to_string(&path).expect("COMPAT.md of helios-postgres");
    let (_, table) = text.split_once(header).expect("the table");
    let rows: Vec<Row> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let statements = cells[1].split('`').skip(1).step_by(2);
            Row {
                part: cells[0].to_owned(),
                statements: statements.map(str::to_owned).collect(),
                third: cells[2].to_owned(),
            }
        })
        .collect();
    assert!(rows.len() >= 5, "{} rows below {header}", rows.len());
    for row in &rows {
        assert!(!row.statements.is_empty(), "{} has no statement", row.part);
    }
    rows
}

fn sqlstate(reply: std::io::Result<Reply>) -> String {
    match reply.expect("an answer") {
        Reply::Done { .. } => "done".to_owned(),
        Reply::Error { sqlstate, .. } => sqlstate,
    }
}

fn prepared(port: u16, database: &str) -> PgClient {
    let mut client = PgClient::open(port, database).expect("a connection");
    for statement in SETUP {
        client.run(statement);
    }
    client
}

#[test]
fn what_is_refused_is_refused_with_its_sqlstate() {
    let daemon = Daemon::start();
    let real = Postgres15::start();
    let mut client = prepared(daemon.port("pg"), "heliosdb");
    let mut peer = PgClient::open(real.port(), "postgres").expect("a connection");
    let mut wrong = Vec::new();
    for row in rows("| part | statement | SQLSTATE | why |") {
        for statement in &row.statements {
            let found = sqlstate(client.query(statement));
            if found != row.third {
                wrong.push(format!("{}: {statement}: {found}", row.part));
            }
            // Only syntax is asked of the peer, where nothing of this exists.
            if sqlstate(peer.query(&format!("PREPARE x AS {statement}"))) == "42601"
                && sqlstate(peer.query(&format!("BEGIN; {statement}; ROLLBACK"))) == "42601"
            {
                wrong.push(format!("{statement} is not PostgreSQL's"));
            }
            let _ = peer.query("ROLLBACK");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_has_no_effect_is_accepted() {
    let daemon = Daemon::start();
    let mut client = prepared(daemon.port("pg"), "heliosdb");
    let mut wrong = Vec::new();
    for row in rows("| part | statement | why nothing is lost |") {
        for statement in &row.statements {
            let found = if statement.contains("STDIN") {
                let finished = run(daemon.psql("heliosdb").args(["-c", statement]));
                if finished.success {
                    "done".to_owned()
                } else {
                    finished.stderr
                }
            } else {
                sqlstate(client.query(statement))
            };
            if found != "done" {
                wrong.push(format!("{}: {statement}: {found}", row.part));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
