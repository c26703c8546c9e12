//! Tables large enough for the vectorised executor, asked the same questions as PostgreSQL 15.

use conformance::command::run;
use conformance::daemon::Daemon;
use conformance::postgres15::Postgres15;
use std::process::Command;

const ROWS: [&str; 4] = [
    "CREATE TABLE big (id int PRIMARY KEY, k int, grp text, v numeric(10,2), d date, ts timestamptz, f float8, note text, b bool)",
    "INSERT INTO big SELECT g, g % 1000, 'g' || (g % 17), (g % 10007) / 7.0, date '2020-01-01' + (g % 1500), timestamptz '2020-01-01 00:00+00' + g * interval '1 minute', g / 3.0, CASE WHEN g % 5 = 0 THEN NULL ELSE 'note ' || g END, g % 3 = 0 FROM generate_series(1, 100000) g",
    "CREATE TABLE dim (k int PRIMARY KEY, name text, weight numeric)",
    "INSERT INTO dim SELECT g, 'dim' || g, g * 1.5 FROM generate_series(0, 999) g",
];

const QUESTIONS: &str = include_str!("large.sql");

fn ask(mut psql: Command, statement: &str) -> String {
    let finished = run(psql.args(["--quiet", "-c", statement]));
    format!("{}{}", finished.stdout, finished.stderr)
}

#[test]
fn questions_about_large_tables_run_vectorised_and_are_answered_as_by_postgresql_15() {
    let daemon = Daemon::start();
    let real = Postgres15::start();
    for statement in ROWS {
        for psql in [daemon.psql("heliosdb"), real.psql("postgres")] {
            let made = ask(psql, statement);
            assert!(made.is_empty(), "{made}");
        }
    }
    let (mut different, mut vectorised) = (Vec::new(), 0);
    for question in QUESTIONS.lines().filter(|l| !l.starts_with("--")) {
        let found = ask(daemon.psql("heliosdb"), question);
        let expected = ask(real.psql("postgres"), question);
        if found != expected {
            different.push(format!(
                "{question}\nHeliosDB:\n{found}\nPostgreSQL:\n{expected}"
            ));
        }
        let plan = ask(daemon.psql("heliosdb"), &format!("EXPLAIN {question}"));
        vectorised += usize::from(plan.contains("Executor: Vector"));
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(vectorised >= 10, "only {vectorised} ran vectorised");
}

#[test]
fn a_join_by_keys_of_large_tables_does_not_read_them_whole() {
    let daemon = Daemon::start();
    for statement in ROWS {
        let made = ask(daemon.psql("heliosdb"), statement);
        assert!(made.is_empty(), "{made}");
    }
    let joins = [
        "FROM big a JOIN big b ON b.id = a.k JOIN dim c ON c.k = b.k WHERE a.id = 70000",
        "FROM big a LEFT JOIN big b ON b.id = a.k LEFT JOIN dim c ON c.k = b.k WHERE a.id = 70000",
    ];
    for from in joins {
        let plan = ask(
            daemon.psql("heliosdb"),
            &format!("EXPLAIN SELECT a.note, c.name {from}"),
        );
        // The vectorised executor always reads whole tables.
        assert!(plan.contains("Executor: Apply"), "{from}\n{plan}");
    }
    // The row executor finds the rows of the large side by their key, and EXPLAIN says so.
    let few = "CREATE TABLE few AS SELECT g AS id, g * 100 AS ref FROM generate_series(1, 10) g";
    ask(daemon.psql("heliosdb"), few);
    for join in [
        "JOIN big b ON b.id = f.ref",
        "LEFT JOIN big b ON b.id = f.ref AND b.k > 0",
    ] {
        let plan = format!("EXPLAIN SELECT f.id, b.k FROM few f {join}");
        let plan = ask(daemon.psql("heliosdb"), &plan);
        assert!(plan.contains("Executor: Apply"), "{join}\n{plan}");
        assert!(plan.contains("Nested Loop"), "{join}\n{plan}");
        assert!(
            plan.contains("Index Scan using big_pkey on big as b"),
            "{plan}"
        );
        assert!(
            plan.contains("Index Cond: (b.id = f.ref)"),
            "{join}\n{plan}"
        );
    }
    let all = "SELECT count(*) FROM big a JOIN big b ON b.id = a.k";
    let plan = ask(daemon.psql("heliosdb"), &format!("EXPLAIN {all}"));
    assert!(plan.contains("Executor: Vector"), "the control: {plan}");
}
