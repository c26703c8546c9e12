//! MongoDB's own clients against the daemon: PyMongo and mongosh, with psql beside them.
//!
//! Each Python file is a set of unit tests with a database of its own per test; each runs against
//! a daemon of its own, because one of them sets passwords.

use conformance::clients;
use conformance::command::run;
use conformance::daemon::Daemon;
use conformance::random::{Random, seed};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

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
        .env("HELIOS_HTTP_PORT", daemon.port("http").to_string())
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
fn indexes_change_no_answer() {
    pymongo("test_indexes.py");
}

#[test]
fn statements_end_when_their_clients_vanish() {
    pymongo("test_vanished.py");
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

/// How often the daemon is killed below retryable writes.
const CRASHES: u64 = 6;

fn retry_crash(daemon: &Daemon, state: &Path, step: &str) -> Command {
    let python = clients::python();
    let mut command = daemon.client(&python.to_string_lossy(), "heliosdb");
    let uri = format!("mongodb://127.0.0.1:{}", daemon.port("mongo"));
    command
        .env("MONGODB_URI", uri)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script("retry_crash.py"))
        .arg(state)
        .arg(step);
    command
}

#[test]
fn a_write_that_is_sent_again_after_a_crash_is_applied_once() {
    let mut random = Random::new(seed("RETRY_SEED"));
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let state = directory.path().join("state.json");
    let mut daemon = Daemon::start();
    for _ in 0..CRASHES {
        let mut client = retry_crash(&daemon, &state, "load")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        let mut output = BufReader::new(client.stdout.take().expect("its output"));
        output.read_line(&mut line).expect("a line");
        std::thread::sleep(Duration::from_micros(random.below(150_000)));
        let data = daemon.kill();
        let finished = client.wait_with_output().expect("the client ends");
        let complaint = String::from_utf8_lossy(&finished.stderr);
        assert!(
            finished.status.success() && line == "started\n",
            "{line}{complaint}"
        );
        daemon = Daemon::start_in(data, &[]);
    }
    // The last write is sent again: to the daemon that was started after the crash, and, now that
    // it is known to be applied, to one that was started after another.
    run(&mut retry_crash(&daemon, &state, "repeat")).expect_success("repeat");
    daemon = Daemon::start_in(daemon.kill(), &[]);
    run(&mut retry_crash(&daemon, &state, "repeat")).expect_success("repeat after a crash");
    let verified = run(&mut retry_crash(&daemon, &state, "verify")).expect_success("verify");
    println!("{}", verified.stdout);
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
