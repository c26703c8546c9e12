//! What `heliosdb start` does before it serves and when it stops.

#[path = "daemon/process.rs"]
mod daemon;

use daemon::{Daemon, command};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs to the end; exit code and the one line on standard error.
fn refusal(mut command: Command) -> String {
    let output = command
        .env_remove("HELIOSDB_API_KEY")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("heliosdb: error: "))
        .collect();
    assert_eq!(lines.len(), 1, "{text}");
    lines[0]["heliosdb: error: ".len()..].to_owned()
}

#[test]
fn a_port_in_use_is_one_line() {
    let work = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut start = Command::new(env!("CARGO_BIN_EXE_heliosdb"));
    start
        .args(["start", "--data-dir"])
        .arg(work.path().join("data"))
        .args(["--pg-port", &port.to_string()]);
    for protocol in ["redis", "mongo", "http", "grpc"] {
        start.args([format!("--{protocol}-port"), "off".to_owned()]);
    }
    let line = refusal(start);
    assert!(
        line.starts_with(&format!(
            "could not listen on 127.0.0.1:{port} for pg: the port is in use"
        )),
        "{line}"
    );
}

#[test]
fn a_data_directory_in_use_is_one_line() {
    let work = tempfile::tempdir().unwrap();
    let data = work.path().join("data");
    let ports = work.path().join("ports.json");
    let mut first = command(&data)
        .arg("--ports-file")
        .arg(&ports)
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !ports.exists() && began.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let line = refusal(command(&data));
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(
        line.contains("in use") || line.contains("another"),
        "{line}"
    );
}

#[test]
fn a_directory_that_cannot_be_written_is_one_line() {
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("file");
    std::fs::File::create(&file)
        .unwrap()
        .write_all(b"x")
        .unwrap();
    let line = refusal(command(&file.join("data")));
    assert!(line.contains("file"), "{line}");
}

#[test]
fn a_bad_configuration_is_one_line() {
    let work = tempfile::tempdir().unwrap();
    let data = work.path().join("data");
    for (change, expected) in [
        (
            vec!["--listen", "0.0.0.0"],
            "will not listen on 0.0.0.0 (--listen) while no password and no API key exist",
        ),
        (vec!["--listen", "nowhere"], "bad configuration"),
        (
            vec!["--mysql-port", "3306"],
            "protocol \"mysql\" is not supported yet",
        ),
        (
            vec!["--config", "/nonexistent.toml"],
            "could not read configuration file \"/nonexistent.toml\"",
        ),
        (
            vec!["--log-level", "loud=loud=loud"],
            "\"log.level\" is not a level or filter",
        ),
    ] {
        let mut start = Command::new(env!("CARGO_BIN_EXE_heliosdb"));
        start.args(["start", "--data-dir"]).arg(&data).args(&change);
        let line = refusal(start);
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn the_banner_has_a_line_for_each_protocol_that_listens() {
    let work = tempfile::tempdir().unwrap();
    let ports = work.path().join("ports.json");
    let mut start = command(&work.path().join("data"));
    start.arg("--ports-file").arg(&ports).stdout(Stdio::piped());
    let child = start.spawn().unwrap();
    let began = Instant::now();
    while !ports.exists() && began.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(
        Command::new("kill")
            .arg(child.id().to_string())
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let banner = String::from_utf8(output.stdout).unwrap();
    for line in [
        "psql \"postgresql://helios@localhost:",
        "curl http://localhost:",
        "grpcurl -plaintext",
        "No password is set",
    ] {
        assert!(banner.contains(line), "{line} in {banner}");
    }
}

#[test]
fn sigterm_drains_and_what_was_acknowledged_is_there_after_a_restart() {
    let work = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_in(work.path(), |_| {});
    daemon.sql("CREATE TABLE t (id integer PRIMARY KEY)");
    daemon.sql("INSERT INTO t VALUES (1), (2)");
    let _idle = TcpStream::connect(("127.0.0.1", daemon.port("http"))).unwrap();
    let began = Instant::now();
    assert!(daemon.stop().success());
    assert!(began.elapsed() < Duration::from_secs(6));
    let again = Daemon::start_in(work.path(), |_| {});
    assert_eq!(again.sql("SELECT count(*) AS n FROM t")["data"][0]["n"], 2);
}

#[test]
fn a_password_from_the_environment_lets_the_daemon_listen_beyond_loopback() {
    let daemon = Daemon::start_with(|command| {
        command
            .args(["--listen", "0.0.0.0"])
            .env("HELIOSDB_PASSWORD", "correct horse");
    });
    let (status, _) = daemon.request("POST", "/api/v1/query", &[], r#"{"sql": "SELECT 1"}"#);
    assert_eq!(status, 401);
}
