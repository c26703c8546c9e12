//! What real clients send must bind, and what is wrong must fail as PostgreSQL 15 fails.

#[path = "binding/catalog.rs"]
mod catalog;

use catalog::TestCatalog;
use helios_planner::sql::{Bound, bind, normalise, parse};
use std::path::Path;

/// A file of the data that stands in `shared/data` beside the repository.
fn shared(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.ancestors()
        .find_map(|dir| std::fs::read_to_string(dir.join("shared/data").join(path)).ok())
        .unwrap_or_else(|| {
            panic!(
                "shared/data/{path} is in no directory above {}",
                root.display()
            )
        })
}

fn assert_none(errors: Vec<String>) {
    assert!(
        errors.is_empty(),
        "{} statements do not bind:\n{}",
        errors.len(),
        errors.join("\n")
    );
}

#[test]
fn pgbench_binds() {
    let mut test = TestCatalog::new();
    let text = include_str!("data/binding/pgbench.sql");
    // The first statement drops tables that the others create.
    assert_none(test.run(text));
}

#[test]
fn queries_of_psql_bind() {
    let mut test = TestCatalog::new();
    let mut errors = Vec::new();
    for query in include_str!("data/binding/psql.sql").split(";;") {
        errors.extend(test.run(query));
    }
    assert_none(errors);
}

#[test]
fn chinook_binds() {
    let text: String = shared("chinook/chinook.sql")
        .lines()
        .filter(|l| !l.starts_with('\\'))
        .collect::<Vec<_>>()
        .join("\n");
    assert_none(TestCatalog::new().run(&text));
}

#[test]
fn tpch_queries_bind() {
    let mut test = TestCatalog::new();
    let mut errors = test.run(&shared("tpch/schema.sql"));
    for n in 1..=22 {
        errors.extend(test.run(&shared(&format!("tpch/q{n:02}.sql"))));
    }
    assert_none(errors);
}

/// Cases of a data file: a query, `----`, what is expected, and an empty line.
fn cases(text: &str) -> Vec<(&str, &str)> {
    let cases: Vec<_> = text
        .split("\n\n")
        .filter_map(|case| case.trim().split_once("\n----\n"))
        .collect();
    assert!(cases.len() >= 30, "{} cases", cases.len());
    cases
}

fn prepared() -> TestCatalog {
    let mut test = TestCatalog::new();
    assert_none(test.run(include_str!("data/binding/schema.sql")));
    test
}

#[test]
fn errors_are_those_of_postgresql_15() {
    let test = prepared();
    let mut wrong = Vec::new();
    for (sql, expected) in cases(include_str!("data/binding/errors.txt")) {
        let found = match parse(sql).and_then(|s| bind(&s[0], &test.context())) {
            Ok(_) => "binds".to_string(),
            Err(e) => {
                let position = e.fields().position.map_or(String::new(), |p| p.to_string());
                format!("{}|{position}", e.message())
            }
        };
        let expected = expected.split_once('|').map_or(expected, |(_, rest)| rest);
        if found != expected {
            wrong.push(format!("{sql}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn output_names_and_types_are_those_of_postgresql_15() {
    let test = prepared();
    let mut wrong = Vec::new();
    for (sql, expected) in cases(include_str!("data/binding/outputs.txt")) {
        let found = match parse(sql).and_then(|s| bind(&s[0], &test.context())) {
            Ok(Bound::Plan(plan)) => plan
                .output
                .iter()
                .map(|c| format!("{}:{}", c.name, c.ty.oid))
                .collect::<Vec<_>>()
                .join(" "),
            Ok(Bound::Utility(_)) => "utility".to_string(),
            Err(e) => format!("{} {:?}", e.message(), e.fields().cause),
        };
        if found != expected {
            wrong.push(format!("{sql}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn literals_are_masked_only_where_their_meaning_stays() {
    let masked = |sql: &str| normalise(sql).unwrap().map(|n| n.text);
    assert_eq!(
        masked("SELECT abalance FROM a WHERE aid = 17;").as_deref(),
        Some("SELECT abalance FROM a WHERE aid = $1;")
    );
    assert_eq!(
        masked("INSERT INTO h VALUES (1, 'it''s', now())").as_deref(),
        Some("INSERT INTO h VALUES ($1, $2, now())")
    );
    assert_eq!(masked("SELECT 1"), None);
    assert_eq!(masked("SELECT a FROM t ORDER BY 1"), None);
    assert_eq!(masked("SELECT a FROM t WHERE d < date '2024-01-01'"), None);
    assert_eq!(masked("SELECT a FROM t WHERE a = '1'::int"), None);
    assert_eq!(masked("SELECT a FROM t WHERE a = $1"), None);
    assert_eq!(
        masked("SELECT a FROM t GROUP BY 1 LIMIT 5").as_deref(),
        Some("SELECT a FROM t GROUP BY 1 LIMIT $1")
    );
}
