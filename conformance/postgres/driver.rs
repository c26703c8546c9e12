//! Drivers: psycopg (Python) and node-postgres, each with a script that checks its own answers.

use conformance::clients;
use conformance::command::run;
use conformance::daemon::Daemon;
use std::path::Path;

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("postgres")
        .join(name)
}

#[test]
fn psycopg_reads_and_writes_every_type_in_text_and_binary() {
    let daemon = Daemon::start();
    let python = clients::python();
    let mut command = daemon.client(&python.to_string_lossy(), "heliosdb");
    run(command.arg(script("psycopg_smoke.py"))).expect_success("psycopg_smoke.py");
}

#[test]
fn node_postgres_runs_queries_transactions_and_parameters() {
    let daemon = Daemon::start();
    let mut command = daemon.client("node", "heliosdb");
    command.env("NODE_PATH", clients::node_modules());
    run(command.arg(script("node_postgres_smoke.js"))).expect_success("node_postgres_smoke.js");
}
