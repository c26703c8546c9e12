//! Servers to talk to: this crate's own, and a real redis-server on a free port.

use helios_engine::{Engine, EngineOptions, Protocol, Session, SessionOptions};
use helios_net::{Shutdown, TlsMode};
use helios_redis::Port;
use helios_types::Result;
use helios_types::value::Rows;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A server that ends with the value.
pub struct Peer {
    pub port: u16,
    child: Option<Child>,
    _folder: tempfile::TempDir,
    runtime: Option<tokio::runtime::Runtime>,
    engine: Option<Arc<Engine>>,
}

impl Peer {
    /// The engine behind this crate's own server.
    pub fn engine(&self) -> &Arc<Engine> {
        self.engine.as_ref().unwrap()
    }

    /// A session of SQL.
    pub fn session(&self, user: &str) -> Session {
        let engine = self.engine();
        let options = SessionOptions::new(Protocol::Internal, user, engine.default_database());
        engine.session(options).unwrap()
    }

    /// Runs statements of SQL as the superuser.
    pub fn sql(&self, statements: &[&str]) {
        let mut session = self.session(self.engine().superuser());
        for statement in statements {
            self.rows(&mut session, statement).unwrap();
        }
    }

    /// The rows of a statement, as text.
    pub fn rows(&self, session: &mut Session, statement: &str) -> Result<Vec<String>> {
        let mut rows = Rows::default();
        self.block_on(session.run(statement, &[], &mut rows))?;
        Ok(rows.0.iter().map(|row| format!("{row:?}")).collect())
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(work)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn heliosdb() -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let options = EngineOptions {
        data_dir: folder.path().join("data"),
        ..EngineOptions::default()
    };
    let engine = Engine::open(options).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let guard = runtime.enter();
    let address = "127.0.0.1:0".parse().unwrap();
    let limits = helios_net::Limits::connections(1000);
    let listener = helios_net::bind("redis", address, limits, TlsMode::Off).unwrap();
    let port = listener.address().port();
    let handler = Port::new(engine.clone(), port);
    runtime.spawn(helios_net::serve(listener, handler, Shutdown::new()));
    drop(guard);
    Peer {
        port,
        child: None,
        _folder: folder,
        runtime: Some(runtime),
        engine: Some(engine),
    }
}

/// A redis-server with an empty data set.
pub fn redis_server() -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let child = Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is missing: run deploy/setup.sh bench");
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "redis-server did not start");
        std::thread::yield_now();
    }
    Peer {
        port,
        child: Some(child),
        _folder: folder,
        runtime: None,
        engine: None,
    }
}
