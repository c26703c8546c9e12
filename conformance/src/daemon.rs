//! A daemon of its own for a test: the real binary, free ports, a temporary data directory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a daemon's directory has besides its data.
const PORTS: &str = "ports.json";
const LOG: &str = "log";
/// How long a daemon may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(30);

pub struct Daemon {
    child: Child,
    ports: HashMap<String, u16>,
    directory: TempDir,
}

/// The binary: `HELIOSDB_BIN`, else the one in the target directory of this test, which
/// `cargo test --workspace` builds for the daemon's own tests. It is not built from here: cargo
/// would choose other features for one package than for the workspace and build everything anew.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("HELIOSDB_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("the path of this test");
    let directory = test
        .ancestors()
        .nth(2)
        .expect("target/<profile>/deps/<test>");
    let path = directory.join("heliosdb");
    assert!(
        path.is_file(),
        "{} is missing: run cargo build --workspace",
        path.display()
    );
    path
}

/// The command that starts a daemon in this directory on free ports.
pub fn start_command(directory: &Path) -> Command {
    let log = std::fs::File::create(directory.join(LOG)).expect("a log file");
    let mut start = Command::new(binary());
    start
        .arg("start")
        .arg("--data-dir")
        .arg(directory.join("data"))
        .arg("--ports-file")
        .arg(directory.join(PORTS))
        .args(["--pg-port", "0", "--redis-port", "0", "--mongo-port", "0"])
        .args(["--grpc-port", "0", "--http-port", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    start
}

impl Daemon {
    /// Starts a daemon on an empty data directory.
    pub fn start() -> Daemon {
        Daemon::start_in(TempDir::new().expect("a temporary directory"), &[])
    }

    /// Starts a daemon in this directory with further flags, and waits until it serves.
    pub fn start_in(directory: TempDir, flags: &[&str]) -> Daemon {
        let mut start = start_command(directory.path());
        start.args(flags);
        Daemon::run(directory, start)
    }

    /// Runs [`start_command`] of this directory, with what was added to it, and waits until the
    /// daemon serves.
    pub fn run(directory: TempDir, mut start: Command) -> Daemon {
        let ports_file = directory.path().join(PORTS);
        // A file of an earlier run would be read as this one's.
        let _ = std::fs::remove_file(&ports_file);
        let mut child = start.spawn().expect("heliosdb starts");
        let ports = wait_for_ports(&mut child, &ports_file, directory.path());
        Daemon {
            child,
            ports,
            directory,
        }
    }

    /// The port of a protocol: `pg`, `redis`, `mongo`, `grpc`, `http`.
    pub fn port(&self, protocol: &str) -> u16 {
        *self
            .ports
            .get(protocol)
            .unwrap_or_else(|| panic!("no listener for {protocol}"))
    }

    /// psql, connected to a database of this daemon, without anybody's settings.
    pub fn psql(&self, database: &str) -> Command {
        let mut psql = self.client("psql", database);
        psql.arg("--no-psqlrc");
        psql
    }

    /// A PostgreSQL client program with its connection in the environment.
    pub fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port("pg").to_string())
            .env("PGUSER", "helios")
            .env("PGDATABASE", database)
            .env("PGOPTIONS", "");
        command
    }

    /// Ends the daemon as a crash does and gives its directory, to start another one in.
    pub fn kill(mut self) -> TempDir {
        let _ = self.child.kill();
        let _ = self.child.wait();
        std::mem::replace(
            &mut self.directory,
            TempDir::new().expect("a temporary directory"),
        )
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join(LOG)).unwrap_or_default()
    }
}

fn wait_for_ports(child: &mut Child, file: &Path, directory: &Path) -> HashMap<String, u16> {
    let log = || std::fs::read_to_string(directory.join(LOG)).unwrap_or_default();
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        // The file is renamed into its place, so that it is never seen half written.
        if let Ok(text) = std::fs::read_to_string(file) {
            return serde_json::from_str(&text).expect("the ports file is JSON");
        }
        if let Ok(Some(status)) = child.try_wait() {
            panic!("heliosdb ended with {status} before it served:\n{}", log());
        }
        assert!(
            Instant::now() < deadline,
            "heliosdb does not serve:\n{}",
            log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
