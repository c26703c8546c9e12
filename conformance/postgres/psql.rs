//! psql: loading Chinook, describing it, asking it.

use conformance::chinook;
use conformance::command::{Finished, run};
use conformance::daemon::Daemon;
use conformance::postgres15::Postgres15;
use std::process::Command;

fn load(mut psql: Command) -> Finished {
    run(psql
        .args(["--quiet", "--set", "ON_ERROR_STOP=1", "-f"])
        .arg(chinook::script()))
}

fn ask(mut psql: Command, statement: &str) -> String {
    let finished = run(psql.args(["--set", "ON_ERROR_STOP=1", "-c", statement]));
    if finished.success {
        finished.stdout
    } else {
        format!("error: {}", finished.stderr)
    }
}

/// The first lines in which two texts differ.
fn difference(ours: &str, real: &str) -> String {
    let mut ours_lines = ours.lines();
    let mut real_lines = real.lines();
    let mut number = 0;
    loop {
        number += 1;
        match (ours_lines.next(), real_lines.next()) {
            (Some(a), Some(b)) if a == b => {}
            (None, None) => return "no line differs".to_owned(),
            (a, b) => return format!("line {number}\n  HeliosDB:   {a:?}\n  PostgreSQL: {b:?}"),
        }
    }
}

/// Asks both and lists what differs.
fn compare(daemon: &Daemon, real: &Postgres15, statements: &[String]) {
    let mut different = Vec::new();
    for statement in statements {
        let ours = ask(daemon.psql("chinook"), statement);
        let theirs = ask(real.psql("chinook"), statement);
        if ours != theirs {
            different.push(format!("{statement}\n{}", difference(&ours, &theirs)));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {} differ from PostgreSQL 15:\n\n{}",
        different.len(),
        statements.len(),
        different.join("\n\n")
    );
}

const TABLES: [&str; 11] = [
    "album",
    "artist",
    "customer",
    "employee",
    "genre",
    "invoice",
    "invoice_line",
    "media_type",
    "playlist",
    "playlist_track",
    "track",
];

#[test]
fn psql_loads_chinook_and_shows_and_asks_it_as_postgresql_15_does() {
    let daemon = Daemon::start();
    let real = Postgres15::start();
    load(daemon.psql("heliosdb")).expect_success("loading Chinook into HeliosDB");
    load(real.psql("postgres")).expect_success("loading Chinook into PostgreSQL 15");
    for server in [daemon.psql("chinook"), real.psql("chinook")] {
        let made = ask(
            server,
            "CREATE VIEW rock AS SELECT track_id, name FROM public.track WHERE genre_id = 1; \
             CREATE SEQUENCE ticket START 5",
        );
        assert!(!made.starts_with("error"), "{made}");
    }

    let mut statements: Vec<String> = ["\\dt", "\\d", "\\di", "\\dv", "\\ds", "\\df"]
        .map(str::to_owned)
        .to_vec();
    statements.extend(TABLES.iter().map(|table| format!("\\d {table}")));
    statements.extend(["\\d rock", "\\d ticket", "\\d album_pkey"].map(str::to_owned));
    // The superuser's line of \\du names rights that only PostgreSQL has.
    statements.extend(["\\dt+ nothing", "\\d nothing"].map(str::to_owned));
    compare(&daemon, &real, &statements);

    let reports: Vec<String> = include_str!("reports.sql")
        .split("\n-- ")
        .map(|report| format!("-- {}", report.trim_start_matches("-- ")))
        .collect();
    assert_eq!(reports.len(), 25);
    compare(&daemon, &real, &reports);
}

/// Meta-commands whose answer is about the server or its roles, so that it cannot be the same: they
/// must work.
#[test]
fn every_everyday_command_of_psql_is_answered() {
    let daemon = Daemon::start();
    let made = ask(
        daemon.psql("heliosdb"),
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE VIEW v AS SELECT id FROM t",
    );
    assert!(!made.starts_with("error"), "{made}");
    for command in [
        "\\l",
        "\\l+",
        "\\dn",
        "\\dn+",
        "\\d+",
        "\\d+ t",
        "\\d+ v",
        "\\dt+",
        "\\di+",
        "\\dv+",
        "\\ds+",
        "\\df",
        "\\df+ lower",
        "\\df pg_catalog.lower",
        "\\dT",
        "\\dT+",
        "\\dT pg_catalog.int4",
        "\\dp",
        "\\z",
        "\\dp t",
        "\\du",
        "\\du+",
        "\\dg",
        "\\conninfo",
        "\\sf lower",
        "\\sv v",
        "\\da",
        "\\da sum",
        "\\dA",
        "\\db",
        "\\dc",
        "\\dC",
        "\\dd",
        "\\dD",
        "\\ddp",
        "\\dE",
        "\\des",
        "\\dew",
        "\\deu",
        "\\det",
        "\\dF",
        "\\dL",
        "\\dm",
        "\\do",
        "\\do ||",
        "\\dO",
        "\\dP",
        "\\drds",
        "\\dRp",
        "\\dRs",
        "\\dx",
        "\\dX",
        "\\dy",
        "\\dS",
        "\\dtS pg_class",
        "\\d pg_class",
        "\\encoding",
        "\\dconfig search_path",
    ] {
        let answer = ask(daemon.psql("heliosdb"), command);
        // \sf of a function that is not written in SQL says so, as PostgreSQL does.
        assert!(
            !answer.starts_with("error") || command == "\\sf lower",
            "{command}: {answer}"
        );
    }
}

/// PostgreSQL 15's schema public belongs to pg_database_owner, a role that is not here.
#[test]
fn the_schema_public_belongs_to_the_first_superuser() {
    let daemon = Daemon::start();
    let schemas = ask(daemon.psql("heliosdb"), "\\dn");
    assert!(schemas.contains("List of schemas"), "{schemas}");
    assert!(schemas.contains(" public | helios"), "{schemas}");
}

#[test]
fn psql_lists_databases_and_roles() {
    let daemon = Daemon::start();
    let databases = ask(daemon.psql("heliosdb"), "\\l");
    assert!(databases.contains(" heliosdb "), "{databases}");
    assert!(databases.contains("List of databases"), "{databases}");
    let roles = ask(daemon.psql("heliosdb"), "\\du");
    assert!(roles.contains(" helios "), "{roles}");
    assert!(roles.contains("Superuser"), "{roles}");
}
