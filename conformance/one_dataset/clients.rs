//! A client of each protocol, connected to one daemon.

use conformance::clients;
use conformance::daemon::Daemon;
use conformance::pg_client::{PgClient, Reply};
use conformance::redis_client::{RedisClient, RedisReply};
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub const DATABASE: &str = "heliosdb";

/// All five.
pub struct Clients {
    pub sql: PgClient,
    pub redis: RedisClient,
    pub mongo: Mongo,
    pub rest: Rest,
    pub grpc: Grpc,
}

impl Clients {
    pub fn of(daemon: &Daemon) -> Clients {
        Clients {
            sql: sql(daemon),
            redis: redis(daemon, 16),
            mongo: Mongo::open(daemon),
            rest: Rest::open(daemon),
            grpc: Grpc::of(daemon),
        }
    }
}

pub fn sql(daemon: &Daemon) -> PgClient {
    PgClient::open(daemon.port("pg"), DATABASE).expect("a PostgreSQL connection")
}

/// Connected to a logical database.
pub fn redis(daemon: &Daemon, number: u32) -> RedisClient {
    let mut client = RedisClient::open(daemon.port("redis")).expect("a Redis connection");
    client.run(&["SELECT", &number.to_string()]);
    client
}

/// What an error reply of Redis says.
pub fn redis_error(client: &mut RedisClient, words: &[&str]) -> String {
    match client.command(words).expect("a reply") {
        RedisReply::Error(message) => message,
        other => panic!("{words:?} is not refused: {other:?}"),
    }
}

/// SQLSTATE and message of a refused statement.
pub fn sql_error(client: &mut PgClient, text: &str) -> (String, String) {
    match client.query(text).expect("a reply") {
        Reply::Error { sqlstate, message } => (sqlstate, message),
        other => panic!("{text} is not refused: {other:?}"),
    }
}

/// PyMongo, in a process of its own.
pub struct Mongo {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Mongo {
    pub fn open(daemon: &Daemon) -> Mongo {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("one_dataset/mongo.py");
        let mut process = Command::new(clients::python())
            .arg(script)
            .arg(daemon.port("mongo").to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python runs");
        Mongo {
            input: process.stdin.take().expect("a pipe"),
            output: BufReader::new(process.stdout.take().expect("a pipe")),
            process,
        }
    }

    /// The reply to a command, in canonical extended JSON.
    pub fn run_in(&mut self, database: &str, command: &Json) -> Json {
        self.ask(&json!({"db": database, "command": command}))
    }

    /// Starts, commits or aborts the transaction that commands share.
    pub fn transaction(&mut self, action: &str) {
        let reply = self.ask(&json!({"transaction": action}));
        assert!(reply.get("error").is_none(), "{action}: {reply}");
    }

    fn ask(&mut self, request: &Json) -> Json {
        writeln!(self.input, "{request}").expect("python reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("python answers");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{request}: {e}: {line}"))
    }

    /// The reply to a command that must succeed.
    pub fn run(&mut self, command: &Json) -> Json {
        let reply = self.run_in(DATABASE, command);
        let failed = reply.get("error").is_some() || reply.get("writeErrors").is_some();
        assert!(!failed, "{command}: {reply}");
        reply
    }

    /// Code and message of a refused command or write.
    pub fn error(&mut self, database: &str, command: &Json) -> (i64, String) {
        let reply = self.run_in(database, command);
        let error = reply.get("error").or_else(|| reply["writeErrors"].get(0));
        let error = error.unwrap_or_else(|| panic!("{command} is not refused: {reply}"));
        let code = match &error["code"] {
            Json::Object(number) => number["$numberInt"].as_str().and_then(|n| n.parse().ok()),
            number => number.as_i64(),
        };
        let message = error.get("message").unwrap_or(&error["errmsg"]);
        let message = message.as_str().unwrap_or_default().to_owned();
        (code.unwrap_or_else(|| panic!("{reply}")), message)
    }

    /// The documents of a collection that satisfy a filter, in the order of `_id`.
    pub fn find(&mut self, database: &str, collection: &str, filter: &Json) -> Vec<Json> {
        let command = json!({"find": collection, "filter": filter, "sort": {"_id": 1}});
        let reply = self.run_in(database, &command);
        let documents = reply["cursor"]["firstBatch"].as_array();
        documents
            .unwrap_or_else(|| panic!("{command}: {reply}"))
            .clone()
    }
}

impl Drop for Mongo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// REST over one connection.
pub struct Rest {
    stream: BufReader<TcpStream>,
}

impl Rest {
    pub fn open(daemon: &Daemon) -> Rest {
        let stream = TcpStream::connect(("127.0.0.1", daemon.port("http"))).expect("connects");
        stream.set_nodelay(true).expect("a socket");
        Rest {
            stream: BufReader::new(stream),
        }
    }

    /// Status and body.
    pub fn request(&mut self, method: &str, path: &str, body: Option<&Json>) -> (u16, Json) {
        let body = body.map_or(String::new(), Json::to_string);
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .expect("the daemon reads");
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a status line");
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok());
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a header");
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().expect("a length");
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("the body");
        let json = serde_json::from_slice(&body).expect("a JSON body");
        (status.expect("a status"), json)
    }

    /// A request that must succeed.
    pub fn ok(&mut self, method: &str, path: &str, body: Option<&Json>) -> Json {
        let (status, reply) = self.request(method, path, body);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {reply}"
        );
        reply
    }

    /// Status and code of a refused request.
    pub fn error(&mut self, method: &str, path: &str, body: Option<&Json>) -> (u16, String) {
        let (status, reply) = self.request(method, path, body);
        let code = reply["error"]["code"].as_str();
        (
            status,
            code.unwrap_or_else(|| panic!("{method} {path}: {reply}"))
                .to_owned(),
        )
    }

    pub fn query(&mut self, sql: &str, params: &Json) -> Json {
        self.ok(
            "POST",
            "/query",
            Some(&json!({"sql": sql, "params": params})),
        )
    }
}

/// grpcurl, a process for each call.
pub struct Grpc {
    port: u16,
}

impl Grpc {
    pub fn of(daemon: &Daemon) -> Grpc {
        Grpc {
            port: daemon.port("grpc"),
        }
    }

    /// The reply, or what grpcurl says of the error.
    pub fn query(&self, sql: &str, params: &Json) -> Result<Json, String> {
        let home = std::env::var("GOPATH")
            .unwrap_or_else(|_| format!("{}/go", std::env::var("HOME").unwrap_or_default()));
        let installed = PathBuf::from(home).join("bin/grpcurl");
        let program = if installed.is_file() {
            installed
        } else {
            PathBuf::from("grpcurl")
        };
        let request = json!({"sql": sql, "params": params}).to_string();
        let output = Command::new(program)
            .args(["-plaintext", "-emit-defaults", "-d", &request])
            .arg(format!("127.0.0.1:{}", self.port))
            .arg("heliosdb.v1.HeliosDB/ExecuteQuery")
            .output()
            .expect("grpcurl is installed: run deploy/setup.sh clients");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(serde_json::from_slice(&output.stdout).expect("grpcurl prints JSON"))
    }

    /// The rows of a statement that must succeed, as lists of values.
    pub fn rows(&self, sql: &str, params: &Json) -> Vec<Json> {
        let reply = self
            .query(sql, params)
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
        let rows = reply["rows"].as_array().cloned().unwrap_or_default();
        rows.into_iter()
            .map(|mut row| row["values"].take())
            .collect()
    }
}
