//! What an engine and a session are started with.

use helios_storage::Durability;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How to open a data directory.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    pub data_dir: PathBuf,
    /// Bytes of the block cache that all tables share.
    pub cache_bytes: usize,
    /// Bytes of memtables.
    pub write_buffer_bytes: usize,
    /// Role made when the directory is new; owns everything.
    pub superuser: String,
    /// Database made when the directory is new.
    pub database: String,
    /// How long change records are kept; `None` keeps none.
    pub change_log: Option<Duration>,
    /// Bytes that one statement's sorts, hashes and results may take.
    pub statement_memory_bytes: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            data_dir: PathBuf::from("./heliosdb-data"),
            cache_bytes: 256 << 20,
            write_buffer_bytes: 16 << 20,
            superuser: "helios".into(),
            database: "heliosdb".into(),
            change_log: None,
            statement_memory_bytes: 1 << 30,
        }
    }
}

/// The front-end that a session belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Postgres,
    Redis,
    Mongo,
    Grpc,
    Rest,
    /// Background work and embedded use.
    Internal,
}

impl Protocol {
    /// The label of metrics, logs and `pg_stat_activity`.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Postgres => "postgres",
            Protocol::Redis => "redis",
            Protocol::Mongo => "mongo",
            Protocol::Grpc => "grpc",
            Protocol::Rest => "rest",
            Protocol::Internal => "internal",
        }
    }

    /// What a client of the protocol expects an acknowledgement to mean.
    pub fn default_durability(self) -> Durability {
        match self {
            Protocol::Redis => Durability::EverySecond,
            _ => Durability::On,
        }
    }
}

/// Who connects and how.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    pub protocol: Protocol,
    pub user: String,
    pub database: String,
    pub application: String,
    pub peer: Option<SocketAddr>,
    /// `None`: the protocol's default.
    pub durability: Option<Durability>,
    /// Settings the client sent at start-up, by name.
    pub settings: Vec<(String, String)>,
}

impl SessionOptions {
    /// A session of `user` in `database` with everything else by default.
    pub fn new(protocol: Protocol, user: impl Into<String>, database: impl Into<String>) -> Self {
        SessionOptions {
            protocol,
            user: user.into(),
            database: database.into(),
            application: String::new(),
            peer: None,
            durability: None,
            settings: Vec::new(),
        }
    }
}
