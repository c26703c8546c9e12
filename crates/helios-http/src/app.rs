//! What all HTTP listeners of a daemon share.

use crate::config::HttpConfig;
use crate::endpoint::PointReads;
use crate::query_registry::QueryRegistry;
use helios_engine::{Engine, Protocol, Session, SessionPool};
use helios_net::lease::Leases;
use std::sync::Arc;

/// Transactions that clients hold open at once.
const TRANSACTIONS_MAX: usize = 10_000;

/// What the daemon knows and the front-end only reports.
pub trait Surroundings: Send + Sync {
    /// Names of the protocols that listen, for `/info`.
    fn protocols(&self) -> Vec<&'static str>;
    /// Metrics beyond the engine's own, in Prometheus' text format.
    fn write_metrics(&self, out: &mut String);
    /// Whether the daemon listens on loopback only, so that a daemon without credentials may
    /// trust its clients.
    fn is_loopback_only(&self) -> bool;
}

pub struct App {
    pub engine: Arc<Engine>,
    pub config: HttpConfig,
    pub surroundings: Arc<dyn Surroundings>,
    pub queries: QueryRegistry,
    pub transactions: Leases<Session>,
    pub sessions: SessionPool,
    pub point_reads: PointReads,
}

impl App {
    pub fn new(
        engine: Arc<Engine>,
        config: HttpConfig,
        surroundings: Arc<dyn Surroundings>,
    ) -> Arc<Self> {
        Arc::new(Self {
            sessions: SessionPool::new(engine.clone(), Protocol::Rest),
            engine,
            config,
            surroundings,
            queries: QueryRegistry::default(),
            point_reads: PointReads::default(),
            transactions: Leases::new(TRANSACTIONS_MAX),
        })
    }

    /// Rolls back what is open, for shutdown.
    pub fn close(&self) {
        self.transactions.clear();
        self.sessions.clear();
    }
}
