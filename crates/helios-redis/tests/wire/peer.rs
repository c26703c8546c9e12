//! Servers to talk to: this crate's own, and a real redis-server on a free port.

use helios_engine::keyspace::{Database, Keyspace};
use helios_redis::backend::Backend;
use helios_redis::{Connection, Server};
use helios_storage::{Prefix, Store, StoreOptions};
use helios_types::{BranchId, DatabaseId, ObjectId};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// A server that ends with the value.
pub struct Peer {
    pub port: u16,
    child: Option<Child>,
    _folder: tempfile::TempDir,
    _runtime: Option<tokio::runtime::Runtime>,
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
    let options = StoreOptions {
        path: folder.path().join("data"),
        ..StoreOptions::default()
    };
    let keyspace = Arc::new(Keyspace::new(Store::open(options).unwrap()));
    let prefix = |n| Prefix::new(DatabaseId(1), BranchId::MAIN, ObjectId(100 + n));
    let databases = (0..16).map(|n| Database::new(n, prefix(n))).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0)))
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    runtime.spawn(
        keyspace
            .clone()
            .run_background(Arc::new(AtomicBool::new(false))),
    );
    let server = Server::new(Backend::new(keyspace, databases), port);
    runtime.spawn(async move {
        let mut id = 0;
        while let Ok((stream, peer)) = listener.accept().await {
            id += 1;
            let names = (id, peer.to_string(), String::new());
            tokio::spawn(Connection::serve(server.clone(), stream, names, || {}));
        }
    });
    Peer {
        port,
        child: None,
        _folder: folder,
        _runtime: Some(runtime),
    }
}

/// A redis-server with an empty data set; `None` when none is installed.
pub fn redis_server() -> Option<Peer> {
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
        .ok()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "redis-server did not start");
        std::thread::yield_now();
    }
    Some(Peer {
        port,
        child: Some(child),
        _folder: folder,
        _runtime: None,
    })
}
