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

/// The daemon without root's right to pass over file permissions, so that this test means the same
/// whoever runs it.
fn without_privilege(command: &Command) -> Command {
    let root = Command::new("id").arg("-u").output().unwrap();
    if root.stdout != b"0\n" {
        let mut same = Command::new(command.get_program());
        same.args(command.get_args());
        return same;
    }
    let mut bounded = Command::new("setpriv");
    bounded
        .args(["--bounding-set", "-dac_override,-dac_read_search"])
        .arg(command.get_program())
        .args(command.get_args());
    bounded
}

#[test]
fn a_directory_that_cannot_be_read_or_written_is_one_line() {
    let work = tempfile::tempdir().unwrap();
    let file = work.path().join("file");
    std::fs::File::create(&file)
        .unwrap()
        .write_all(b"x")
        .unwrap();
    let mut below = command(&file.join("data"));
    below.current_dir(work.path());
    let line = refusal(below);
    assert!(line.contains("could not create data directory"), "{line}");
    let line = refusal(command(&file));
    assert!(line.contains(&file.display().to_string()), "{line}");
    // A directory with data in it, so that nothing is left to be made.
    let full = work.path().join("full");
    std::fs::create_dir(&full).unwrap();
    assert!(Daemon::start_in(&full, |_| {}).stop().success());
    let chmod = |mode: &str, path: &std::path::Path| {
        let status = Command::new("chmod").args(["-R", mode]).arg(path).status();
        assert!(status.unwrap().success());
    };
    for mode in ["a-rwx", "a-w"] {
        for data in [work.path().join(format!("empty{mode}")), full.join("data")] {
            std::fs::create_dir_all(&data).unwrap();
            chmod(mode, &data);
            let line = refusal(without_privilege(&command(&data)));
            chmod("u+rwX", &data);
            assert!(
                line.starts_with("could not ")
                    && line.contains(&data.display().to_string())
                    && line.contains("ermission denied"),
                "{mode}: {line}"
            );
        }
    }
    assert!(Daemon::start_in(&full, |_| {}).stop().success());
}

#[test]
fn data_of_a_newer_format_or_of_something_else_is_one_line() {
    let work = tempfile::tempdir().unwrap();
    assert!(Daemon::start_in(work.path(), |_| {}).stop().success());
    let data = work.path().join("data");
    for (format, expected) in [
        ("1000000\n", "data format 1000000 of"),
        ("1000000\n", "is newer than this version of HeliosDB"),
        ("galaxy\n", "does not hold a data format number"),
    ] {
        std::fs::write(data.join("FORMAT"), format).unwrap();
        let line = refusal(command(&data));
        assert!(line.contains(expected), "{line}");
    }
    std::fs::remove_file(data.join("FORMAT")).unwrap();
    let line = refusal(command(&data));
    assert!(line.contains("is not a HeliosDB data directory"), "{line}");
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
        (
            vec!["--listen", "nowhere"],
            "--listen: \"server.listen_addr\": invalid IP address syntax",
        ),
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
    // Files, in the directory where the daemon starts.
    for (name, text, expected) in [
        (
            "heliosdb.toml",
            "[storage]\ncach_size = 1\n",
            "heliosdb.toml: unknown key \"storage.cach_size\" (did you mean \"storage.cache_size\"?)",
        ),
        (
            "heliosdb.yaml",
            "ports:\n  rediss: 1\n",
            "heliosdb.yaml: unknown key \"ports.rediss\" (did you mean \"ports.redis\"?)",
        ),
        ("heliosdb.toml", "[storage\n", "heliosdb.toml, line 1: "),
        ("heliosdb.yaml", "ports: [1\n", "heliosdb.yaml: "),
        (
            "heliosdb.toml",
            "[ports]\nnano = \"loud\"\n",
            "heliosdb.toml: \"ports.nano\": a port is a number from 0 to 65535 or \"off\"",
        ),
        (
            "heliosdb.toml",
            "[server]\nmax_connections = \"many\"\n",
            "\"server.max_connections\" must be a whole number",
        ),
        (
            "heliosdb.toml",
            "[tls]\nenabled = true\ncert_file = \"/nonexistent.crt\"\n",
            "/nonexistent.crt",
        ),
    ] {
        let file = work.path().join(name);
        std::fs::write(&file, text).unwrap();
        let line = refusal(command(&data));
        std::fs::remove_file(&file).unwrap();
        assert!(line.contains(expected), "{name}: {line}");
    }
    let mut start = command(&data);
    start.env("HELIOSDB__PORT__REDIS", "1");
    let line = refusal(start);
    assert!(
        line.starts_with("HELIOSDB__PORT__REDIS: unknown key \"port.redis\""),
        "{line}"
    );
}

#[test]
fn later_layers_of_the_configuration_win() {
    let work = tempfile::tempdir().unwrap();
    // Every layer turns one more protocol off; each but the last is overruled in one key.
    let files = [
        (
            "heliosdb.toml",
            "[ports]\nmongo = \"off\"\nhttp = \"off\"\n[storage]\npath = \"nowhere\"\n",
        ),
        ("heliosdb.yaml", "ports:\n  grpc: \"off\"\n  http: 1\n"),
    ];
    for (name, text) in files {
        std::fs::write(work.path().join(name), text).unwrap();
    }
    let ports_file = work.path().join("ports.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_heliosdb"))
        .args(["start", "--http-port", "0", "--ports-file"])
        .arg(&ports_file)
        .env("HELIOSDB__PORTS__REDIS", "off")
        .env("HELIOSDB__PORTS__HTTP", "2")
        .env("HELIOSDB_PORT", "0")
        .env("HELIOSDB_LISTEN_ADDR", "127.0.0.1")
        .env("HELIOSDB_LOG_LEVEL", "warn")
        .env("HELIOSDB_DATA_DIR", "somewhere")
        .current_dir(work.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ports = daemon::wait_for_ports(&mut child, &ports_file);
    child.kill().unwrap();
    child.wait().unwrap();
    let names: Vec<&String> = ports.as_object().unwrap().keys().collect();
    assert_eq!(names, ["pg", "http"]);
    assert!(ports["http"].as_u64().unwrap() > 2);
    assert!(work.path().join("somewhere/FORMAT").is_file());
    assert!(!work.path().join("nowhere").exists());
}

#[test]
fn version_and_help_are_told() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_heliosdb"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let version = format!("heliosdb {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["version"]), version);
    assert_eq!(run(&["--version"]), version);
    let help = run(&["start", "--help"]);
    for flag in [
        "--config",
        "--data-dir",
        "--listen",
        "--pg-port",
        "--redis-port",
        "--mongo-port",
        "--http-port",
        "--nano-port",
        "--ws-port",
        "--grpc-port",
        "--cql-port",
        "--mysql-port",
    ] {
        assert!(help.contains(flag), "{flag} in {help}");
    }
}

/// Runs a line of the banner as a person would who pasted it into a shell.
fn paste(line: &str, input: &str) -> String {
    // grpcurl is where `go install` puts it.
    let path = format!(
        "{}:{}/go/bin",
        std::env::var("PATH").unwrap_or_default(),
        std::env::var("HOME").unwrap_or_default()
    );
    let mut shell = Command::new("sh")
        .args(["-c", line])
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = shell.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{line}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[test]
fn the_banner_has_a_line_for_each_protocol_that_works_as_it_stands() {
    let work = tempfile::tempdir().unwrap();
    let ports = work.path().join("ports.json");
    let mut start = command(&work.path().join("data"));
    start.arg("--ports-file").arg(&ports).stdout(Stdio::piped());
    let mut child = start.spawn().unwrap();
    daemon::wait_for_ports(&mut child, &ports);
    // The daemon prints all of it before it serves the first request, and nothing after.
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut banner = String::new();
    while !banner.ends_with("\n\n") {
        assert!(
            std::io::BufRead::read_line(&mut stdout, &mut banner).unwrap() > 0,
            "{banner}"
        );
    }
    assert!(banner.contains("No password is set"), "{banner}");
    let line = |title: &str| {
        let found = banner
            .lines()
            .find_map(|l| l.trim_start().strip_prefix(title));
        found
            .unwrap_or_else(|| panic!("{title} in {banner}"))
            .trim()
            .to_owned()
    };
    for (title, input, expected) in [
        ("PostgreSQL", "SELECT 41 + 1 AS answer;\n", "42"),
        ("Redis", "", "PONG"),
        ("MongoDB", "db.runCommand({ping: 1}).ok\n", "1"),
        ("REST", "", "{\"success\":true,\"data\":[{"),
        ("gRPC", "", "\"intValue\": \"1\""),
    ] {
        let text = paste(&line(title), input);
        assert!(text.contains(expected), "{title}: {text}");
    }
    // The command that sets the first password does so.
    let set = banner.lines().find(|l| l.contains("ALTER ROLE")).unwrap();
    paste(set, "");
    assert!(
        Command::new("kill")
            .arg(child.id().to_string())
            .status()
            .unwrap()
            .success()
    );
    assert!(child.wait().unwrap().success());
}

/// Inserts numbers one after the other until the daemon closes the connection; the last that was
/// acknowledged.
fn insert_until_the_end(port: u16, first: u64) -> Option<u64> {
    use std::io::{BufRead, BufReader, Read};
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    let mut acknowledged = None;
    for number in first.. {
        let body = format!("{{\"sql\": \"INSERT INTO t VALUES ({number})\"}}");
        let request = format!(
            "POST /api/v1/query HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if writer.write_all(request.as_bytes()).is_err() {
            break;
        }
        let mut status = String::new();
        if !matches!(reader.read_line(&mut status), Ok(n) if n > 0) {
            break;
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            if !matches!(reader.read_line(&mut line), Ok(n) if n > 2) {
                break;
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = text.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() || !status.contains(" 200 ") {
            break;
        }
        acknowledged = Some(number);
    }
    acknowledged
}

#[test]
fn sigterm_drains_in_five_seconds_and_loses_nothing() {
    let work = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_in(work.path(), |_| {});
    daemon.sql("CREATE TABLE t (id bigint PRIMARY KEY)");
    let http = daemon.port("http");
    let writers: Vec<_> = (0..4)
        .map(|i| std::thread::spawn(move || (i, insert_until_the_end(http, i * 1_000_000))))
        .collect();
    // What must not hold the daemon up: a silent connection, an open transaction, a long statement.
    let _idle = TcpStream::connect(("127.0.0.1", http)).unwrap();
    let mut psql: Vec<_> = [
        "BEGIN; INSERT INTO t VALUES (-1); SELECT count(*) FROM generate_series(1, 100000) AS a(i), generate_series(1, 1000000) AS b(j)",
        "SELECT count(*) FROM generate_series(1, 100000) AS a(i), generate_series(1, 1000000) AS b(j)",
    ]
    .into_iter()
    .map(|sql| {
        Command::new("psql")
            .args(["-X", "-h", "127.0.0.1", "-U", "helios", "-d", "heliosdb"])
            .args(["-p", &daemon.port("pg").to_string(), "-c", sql])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("psql is installed: make setup-clients")
    })
    .collect();
    let began = Instant::now();
    while daemon.sql("SELECT count(*) AS n FROM t")["data"][0]["n"].as_i64() < Some(200) {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "nothing is written"
        );
    }
    let active =
        "SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%e%'";
    while daemon.sql(active)["data"][0]["n"].as_i64() < Some(2) {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing runs");
    }
    let began = Instant::now();
    assert!(daemon.stop().success());
    assert!(
        began.elapsed() < Duration::from_secs(6),
        "stopped after {:?}",
        began.elapsed()
    );
    for child in &mut psql {
        assert!(!child.wait().unwrap().success(), "its statement was cut");
    }
    let again = Daemon::start_in(work.path(), |_| {});
    let mut sum = 0;
    for writer in writers {
        let (i, last) = writer.join().unwrap();
        let first = i * 1_000_000;
        let acknowledged = last.expect("every writer wrote") - first + 1;
        let sql = format!(
            "SELECT count(*) AS n FROM t WHERE id BETWEEN {first} AND {}",
            first + acknowledged - 1
        );
        assert_eq!(again.sql(&sql)["data"][0]["n"].as_u64(), Some(acknowledged));
        sum += acknowledged;
    }
    assert!(sum >= 200);
    let open = again.sql("SELECT count(*) AS n FROM t WHERE id < 0");
    assert_eq!(
        open["data"][0]["n"], 0,
        "an open transaction is rolled back"
    );
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
