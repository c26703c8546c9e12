//! Drivers: psycopg (Python) and node-postgres, each with a script that checks its own answers.
//!
//! A driver comes from its ecosystem's package index, so that it must be installed first:
//! `PSYCOPG_PYTHON` names a Python that has psycopg 3, `NODE_POSTGRES` a directory whose
//! `node_modules` has `pg`. `make conformance-drivers` sets both up.

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
    let Some(python) = std::env::var_os("PSYCOPG_PYTHON") else {
        eprintln!("PSYCOPG_PYTHON is not set: psycopg is not tested");
        return;
    };
    let daemon = Daemon::start();
    let mut command = daemon.client(&python.to_string_lossy(), "heliosdb");
    run(command.arg(script("psycopg_smoke.py"))).expect_success("psycopg_smoke.py");
}

#[test]
fn node_postgres_runs_queries_transactions_and_parameters() {
    let Some(directory) = std::env::var_os("NODE_POSTGRES") else {
        eprintln!("NODE_POSTGRES is not set: node-postgres is not tested");
        return;
    };
    let daemon = Daemon::start();
    let mut command = daemon.client("node", "heliosdb");
    command.env("NODE_PATH", Path::new(&directory).join("node_modules"));
    run(command.arg(script("node_postgres_smoke.js"))).expect_success("node_postgres_smoke.js");
}
