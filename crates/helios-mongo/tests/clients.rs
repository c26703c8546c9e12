//! Real clients against the front-end. They are not part of a fresh machine, so these run on request:
//! `PYTHON=… MONGOSH=… cargo test -p helios-mongo --test clients -- --ignored`.

#[path = "support/daemon.rs"]
mod daemon;

use daemon::Daemon;
use std::process::Command;

fn program(variable: &str, default: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| default.to_owned())
}

fn script(name: &str) -> String {
    format!("{}/tests/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command, expected: &str) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains(expected),
        "{text}\n{errors}"
    );
}

#[test]
#[ignore = "needs PyMongo"]
fn pymongo_works() {
    let daemon = Daemon::start();
    let uri = format!("mongodb://{}", daemon.address);
    run(
        Command::new(program("PYTHON", "python3")).args([script("pymongo_smoke.py"), uri]),
        "pymongo ok",
    );
}

#[test]
#[ignore = "needs mongosh"]
fn mongosh_works() {
    let daemon = Daemon::start();
    let uri = format!("mongodb://{}/smoke", daemon.address);
    let mut command = Command::new(program("MONGOSH", "mongosh"));
    run(
        command.args([uri, script("mongosh_smoke.js")]),
        "mongosh ok",
    );
}
