//! A real PostgreSQL 15, started for a test in a directory of its own.

use crate::command::run;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const BINARIES: &str = "/usr/lib/postgresql/15/bin";

pub struct Postgres15 {
    directory: TempDir,
    port: u16,
}

/// PostgreSQL refuses to run as root, so that root runs it as the user of the Debian package.
fn as_server_user(program: &str) -> Command {
    let path: PathBuf = Path::new(BINARIES).join(program);
    assert!(
        path.is_file(),
        "{} is missing: install postgresql-15",
        path.display()
    );
    if std::env::var("USER").as_deref() == Ok("root") || is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(path);
        return command;
    }
    Command::new(path)
}

fn is_root() -> bool {
    let id = run(Command::new("id").arg("-u"));
    id.stdout.trim() == "0"
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

impl Postgres15 {
    pub fn start() -> Postgres15 {
        let directory = TempDir::new().expect("a temporary directory");
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(directory.path()))
                .expect_success("chown to postgres");
        }
        let data = directory.path().join("data");
        run(as_server_user("initdb")
            .args([
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--username=helios",
                "--auth=trust",
            ])
            .arg("-D")
            .arg(&data)
            .current_dir(directory.path()))
        .expect_success("initdb");
        let port = free_port();
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off \
             -c timezone=UTC"
        );
        run(as_server_user("pg_ctl")
            .args(["-w", "-s", "-o", &options, "-l"])
            .arg(directory.path().join("log"))
            .arg("-D")
            .arg(&data)
            .arg("start")
            .current_dir(directory.path()))
        .expect_success("pg_ctl start");
        Postgres15 { directory, port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new("psql");
        psql.arg("--no-psqlrc")
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "helios")
            .env("PGDATABASE", database)
            .env("PGOPTIONS", "");
        psql
    }
}

impl Drop for Postgres15 {
    fn drop(&mut self) {
        run(as_server_user("pg_ctl")
            .args(["-m", "immediate", "-s", "-D"])
            .arg(self.directory.path().join("data"))
            .arg("stop")
            .current_dir(self.directory.path()));
    }
}
