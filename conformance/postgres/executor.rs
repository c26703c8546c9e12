//! One question on every executor: Chinook's reports and the queries of TPC-H, run by each
//! executor that accepts them, and all answered as by a real PostgreSQL 15.

use conformance::chinook;
use conformance::command::run;
use conformance::daemon::Daemon;
use conformance::postgres15::Postgres15;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What an executor says of a plan that it cannot run.
const REFUSED: &str = "executor cannot run this statement";

fn load(mut psql: Command, script: &Path) {
    run(psql
        .args(["--quiet", "--set", "ON_ERROR_STOP=1", "-f"])
        .arg(script))
    .expect_success("loading");
}

fn ask(mut psql: Command, executor: Option<&str>, question: &str) -> String {
    if let Some(executor) = executor {
        psql.args(["-c", &format!("SET helios.executor = {executor}")]);
    }
    let finished = run(psql.args(["--quiet", "-c", question]));
    format!("{}{}", finished.stdout, finished.stderr)
}

/// Asks every executor; gives which questions the vectorised one did not take, and why.
fn compare(
    daemon: &Daemon,
    real: &Postgres15,
    database: &str,
    questions: &[String],
) -> Vec<String> {
    let (mut different, mut left) = (Vec::new(), Vec::new());
    for question in questions {
        let expected = ask(real.psql(database), None, question);
        // A question without an answer would compare nothing.
        if expected.contains("(0 rows)") || expected.contains("ERROR") {
            different.push(format!("PostgreSQL: {question}\n{expected}"));
        }
        for executor in ["auto", "apply", "vector", "kv"] {
            let found = ask(daemon.psql(database), Some(executor), question);
            if found.contains(REFUSED) {
                assert!(executor == "vector" || executor == "kv", "{found}");
                if executor == "vector" {
                    let first = question.lines().next().unwrap_or_default();
                    left.push(format!("{first}: {found}"));
                }
                continue;
            }
            if found != expected {
                different.push(format!(
                    "{executor}: {question}\nHeliosDB:\n{found}\nPostgreSQL:\n{expected}"
                ));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    left
}

#[test]
fn the_reports_over_chinook_are_the_same_on_every_executor() {
    let daemon = Daemon::start();
    let real = Postgres15::start();
    load(daemon.psql("heliosdb"), &chinook::script());
    load(real.psql("postgres"), &chinook::script());
    let reports: Vec<String> = include_str!("reports.sql")
        .split("\n-- ")
        .map(|report| format!("-- {}", report.trim_start_matches("-- ")))
        .collect();
    assert_eq!(reports.len(), 25);
    let left = compare(&daemon, &real, "chinook", &reports);
    assert!(left.len() <= 12, "{}", left.join(""));
}

#[test]
fn the_queries_of_tpch_are_the_same_on_every_executor() {
    let daemon = Daemon::start();
    let real = Postgres15::start();
    let directory = chinook::script()
        .parent()
        .and_then(Path::parent)
        .map(|data| data.join("tpch"))
        .expect("the directory of shared data");
    let rows = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("postgres/tpch.sql");
    for psql in [daemon.psql("heliosdb"), real.psql("postgres")] {
        assert_eq!(ask(psql, None, "CREATE DATABASE tpch"), "");
    }
    for script in [&directory.join("schema.sql"), &rows] {
        load(daemon.psql("tpch"), script);
        load(real.psql("tpch"), script);
    }
    let questions: Vec<String> = (1..=22)
        .map(|n| std::fs::read_to_string(directory.join(format!("q{n:02}.sql"))).expect("a query"))
        .collect();
    let left = compare(&daemon, &real, "tpch", &questions);
    assert!(left.is_empty(), "{}", left.join(""));
    // A subquery for each row of another table is work for joins, however small the tables are.
    let plan = ask(
        daemon.psql("tpch"),
        None,
        &format!("EXPLAIN {}", questions[19]),
    );
    assert!(plan.contains("Executor: Vector"), "{plan}");
}
