//! What all HTTP listeners of a daemon share.

use crate::config::HttpConfig;
use crate::query_registry::QueryRegistry;
use helios_engine::{Engine, Protocol, Session, SessionOptions};
use helios_net::lease::Leases;
use helios_types::Result;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Transactions that clients hold open at once.
const TRANSACTIONS_MAX: usize = 10_000;
/// Sessions that wait for the next request.
const IDLE_SESSIONS_MAX: usize = 64;

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
    /// Sessions of finished requests; what a request changed of its session never stays, see
    /// [`App::give_back`].
    idle: Mutex<Vec<Session>>,
}

impl App {
    pub fn new(
        engine: Arc<Engine>,
        config: HttpConfig,
        surroundings: Arc<dyn Surroundings>,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine,
            config,
            surroundings,
            queries: QueryRegistry::default(),
            transactions: Leases::new(TRANSACTIONS_MAX),
            idle: Mutex::default(),
        })
    }

    /// A session of its own, for a transaction.
    pub fn new_session(
        &self,
        user: &str,
        database: &str,
        peer: Option<SocketAddr>,
    ) -> Result<Session> {
        let mut options = SessionOptions::new(Protocol::Rest, user, database);
        options.peer = peer;
        self.engine.session(options)
    }

    /// A session for one request.
    pub fn session(&self, user: &str, database: &str, peer: Option<SocketAddr>) -> Result<Session> {
        let waiting = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let at = idle
                .iter()
                .rposition(|s| s.user() == user && s.database() == database);
            at.map(|at| idle.swap_remove(at))
        };
        match waiting {
            Some(session) => Ok(session),
            None => self.new_session(user, database, peer),
        }
    }

    /// Takes back a session in which nothing ran but plans, and none of them in a transaction: it
    /// has the settings it was made with.
    pub fn give_back(&self, mut session: Session) {
        session.take_notices();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_SESSIONS_MAX {
            idle.push(session);
        }
    }

    /// Rolls back what is open, for shutdown.
    pub fn close(&self) {
        self.transactions.clear();
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
