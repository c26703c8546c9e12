//! What all connections of the Redis port share.

use crate::backend::Backend;
use crate::channels::Channels;
use crate::clients::Clients;
use crate::command::commands;
use crate::config::Parameters;
use helios_engine::keyspace::Keyspace;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// The version that the server says it is compatible with; clients choose their commands by it.
pub const COMPATIBLE_VERSION: &str = "7.2.4";

/// Calls of one command since the start or CONFIG RESETSTAT.
#[derive(Debug, Default)]
pub struct CommandCounters {
    pub calls: AtomicU64,
    pub microseconds: AtomicU64,
    pub failed: AtomicU64,
}

/// Figures for INFO.
#[derive(Debug, Default)]
pub struct Counters {
    pub connections: AtomicU64,
    pub commands: AtomicU64,
    pub errors: AtomicU64,
    pub by_command: Vec<CommandCounters>,
}

impl Counters {
    pub fn reset(&self) {
        for counter in [&self.connections, &self.commands, &self.errors] {
            counter.store(0, Relaxed);
        }
        for command in &self.by_command {
            for counter in [&command.calls, &command.microseconds, &command.failed] {
                counter.store(0, Relaxed);
            }
        }
    }
}

pub struct Server {
    pub backend: Backend,
    pub clients: Clients,
    pub channels: Channels,
    pub parameters: Parameters,
    pub counters: Counters,
    pub started: Instant,
    pub run_id: String,
    pub port: u16,
}

impl Server {
    pub fn new(backend: Backend, port: u16) -> Arc<Server> {
        let mut counters = Counters::default();
        counters
            .by_command
            .resize_with(commands().all.len(), CommandCounters::default);
        let seed = helios_engine::keyspace::expirer::now_ms();
        Arc::new(Server {
            backend,
            clients: Clients::default(),
            channels: Channels::default(),
            parameters: Parameters::default(),
            counters,
            started: Instant::now(),
            run_id: format!(
                "{:040x}",
                u128::from(seed) << 64 | u128::from(std::process::id())
            ),
            port,
        })
    }

    pub fn keyspace(&self) -> &Arc<Keyspace> {
        self.backend.keyspace()
    }
}
