//! A daemon of its own for a test: free ports, a data directory that goes away.

#![allow(dead_code, reason = "each test file uses a part of it")]

use serde_json::Value as Json;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub const PROTOCOLS: &[&str] = &["pg", "redis", "mongo", "http", "grpc"];
const START_TIMEOUT: Duration = Duration::from_secs(30);

pub struct Daemon {
    child: Child,
    ports: Json,
    /// Removed with the daemon, when it is its own.
    _work: Option<tempfile::TempDir>,
}

/// `heliosdb start` on free ports, to which a test adds what it is about.
pub fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heliosdb"));
    command
        .arg("start")
        .arg("--data-dir")
        .arg(data_dir)
        .args(["--log-level", "warn"]);
    for protocol in PROTOCOLS {
        command.args([format!("--{protocol}-port"), "0".to_owned()]);
    }
    command.current_dir(data_dir.parent().unwrap_or(Path::new("/")));
    command.stdout(Stdio::null());
    command
}

impl Daemon {
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub fn start_with(change: impl FnOnce(&mut Command)) -> Self {
        let work = tempfile::tempdir().unwrap();
        let mut daemon = Self::start_in(work.path(), change);
        daemon._work = Some(work);
        daemon
    }

    /// Keeps its data in `directory`, which outlives it.
    pub fn start_in(directory: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let ports_file = directory.join("ports.json");
        let _ = std::fs::remove_file(&ports_file);
        let mut command = command(&directory.join("data"));
        command.arg("--ports-file").arg(&ports_file);
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let ports = wait_for_ports(&mut child, &ports_file);
        Self {
            child,
            ports,
            _work: None,
        }
    }

    pub fn port(&self, protocol: &str) -> u16 {
        let port = self.ports[protocol]
            .as_u64()
            .unwrap_or_else(|| panic!("no port for {protocol}"));
        u16::try_from(port).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port("http"))
    }

    /// SIGTERM, then the exit status.
    pub fn stop(mut self) -> ExitStatus {
        let killed = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(killed.success());
        self.child.wait().unwrap()
    }

    /// One request through curl; status and body.
    pub fn request(&self, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, Json) {
        let (status, _, text) = self.raw(method, path, headers, body);
        (
            status,
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")),
        )
    }

    /// Status, head and body of the reply.
    pub fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> (u16, String, String) {
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "--max-time",
            "60",
            "-i",
            "-X",
            method,
            &self.url(path),
        ]);
        for header in headers {
            curl.args(["-H", header]);
        }
        if !body.is_empty() {
            if !headers
                .iter()
                .any(|h| h.to_ascii_lowercase().starts_with("content-type"))
            {
                curl.args(["-H", "Content-Type: application/json"]);
            }
            curl.args(["--data-binary", body]);
        }
        let output = curl.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    /// A request that must succeed.
    pub fn ok(&self, method: &str, path: &str, body: &str) -> Json {
        let (status, json) = self.request(method, path, &[], body);
        assert!(
            (200..300).contains(&status),
            "{method} {path} {body}: {status} {json}"
        );
        json
    }

    pub fn sql(&self, sql: &str) -> Json {
        self.ok(
            "POST",
            "/api/v1/query",
            &serde_json::json!({"sql": sql}).to_string(),
        )
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn wait_for_ports(child: &mut Child, file: &Path) -> Json {
    let began = Instant::now();
    loop {
        if let Ok(text) = std::fs::read_to_string(file) {
            return serde_json::from_str(&text).unwrap();
        }
        if let Some(status) = child.try_wait().unwrap() {
            panic!("the daemon ended with {status}");
        }
        assert!(began.elapsed() < START_TIMEOUT, "the daemon is not ready");
        std::thread::sleep(Duration::from_millis(10));
    }
}
