//! A server in this process.

use helios_engine::{Engine, EngineOptions};
use helios_net::{Limits, Shutdown, TlsMode};
use std::net::SocketAddr;

/// A server on a free port over a directory of its own, for the life of the value.
pub struct Daemon {
    pub address: SocketAddr,
    shutdown: Shutdown,
    _directory: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Daemon {
    pub fn start() -> Daemon {
        Self::start_with(helios_mongo::Config::default())
    }

    pub fn start_with(config: helios_mongo::Config) -> Daemon {
        let directory = tempfile::tempdir().unwrap();
        let options = EngineOptions {
            data_dir: directory.path().join("data"),
            ..EngineOptions::default()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let shutdown = Shutdown::default();
        let address = runtime.block_on(async {
            let engine = Engine::open(options).unwrap();
            let listener = helios_net::bind(
                "mongo",
                "127.0.0.1:0".parse().unwrap(),
                Limits::connections(100),
                TlsMode::Off,
            )
            .unwrap();
            let address = listener.address();
            tokio::spawn(helios_mongo::serve(
                listener,
                engine,
                config,
                shutdown.clone(),
            ));
            address
        });
        Daemon {
            address,
            shutdown,
            _directory: directory,
            _runtime: runtime,
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}
