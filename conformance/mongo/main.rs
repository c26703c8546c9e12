//! MongoDB's own clients against the daemon: PyMongo and mongosh, with psql beside them.
//!
//! Each Python file is a set of unit tests with a database of its own per test; each runs against
//! a daemon of its own, because one of them sets passwords.

use conformance::clients;
use conformance::command::run;
use conformance::daemon::Daemon;
use std::path::Path;
use std::process::Command;

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("mongo")
        .join(name)
}

fn pymongo(name: &str) {
    let daemon = Daemon::start();
    let python = clients::python();
    let mut command = daemon.client(&python.to_string_lossy(), "heliosdb");
    let uri = format!("mongodb://127.0.0.1:{}", daemon.port("mongo"));
    command
        .env("MONGODB_URI", uri)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let finished = run(command.arg(script(name))).expect_success(name);
    // unittest tells on stderr how many tests it ran.
    assert!(
        finished.stderr.contains("\nOK") && !finished.stderr.contains("Ran 0 tests"),
        "{name} ran nothing:\n{}",
        finished.stderr
    );
}

#[test]
fn pymongo_inserts_finds_updates_and_deletes() {
    pymongo("test_crud.py");
}

#[test]
fn pymongo_runs_pipelines() {
    pymongo("test_aggregate.py");
}

#[test]
fn pymongo_makes_indexes_and_collections_and_asks_the_server_about_itself() {
    pymongo("test_admin.py");
}

#[test]
fn pymongo_runs_transactions_and_retries_writes() {
    pymongo("test_sessions.py");
}

#[test]
fn tables_are_collections_and_collections_are_tables() {
    pymongo("test_tables.py");
}

#[test]
fn roles_of_sql_log_in_with_scram_and_keep_their_rights() {
    pymongo("test_authentication.py");
}

#[test]
fn cases_of_the_operator_corpus_that_need_a_server_pass_as_recorded() {
    pymongo("test_corpus.py");
}

#[test]
fn mongosh_works_as_a_shell() {
    let daemon = Daemon::start();
    let uri = format!("mongodb://127.0.0.1:{}/smoke", daemon.port("mongo"));
    let mut command = Command::new("mongosh");
    command.args(["--quiet", "--norc", &uri]);
    let finished = run(command.arg(script("mongosh_smoke.js"))).expect_success("mongosh");
    assert!(
        finished.stdout.contains("mongosh ok"),
        "{}",
        finished.stdout
    );
}
