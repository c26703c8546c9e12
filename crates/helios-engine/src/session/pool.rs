//! Sessions between the requests of protocols that have no connection of their own: REST, gRPC.
//!
//! Making a session takes longer than reading a row by its key, so a session whose request left no
//! trace in it waits for the next one of the same role. Only those of the default database wait:
//! it is there for ever, while a waiting session would keep any other from being dropped.

use super::{Session, TransactionStatus};
use crate::engine::Engine;
use crate::options::{Protocol, SessionOptions};
use helios_types::Result;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Sessions that wait.
const WAITING_MAX: usize = 64;

impl Session {
    /// Forgets what statements leave behind; whether that is all there was to forget.
    fn forget(&mut self) -> bool {
        let state = &mut self.state;
        state.notices.clear();
        state.sequences.clear();
        state.last_sequence = None;
        // Functions of a SELECT can set settings and take locks too.
        let as_made = !state.settings.were_touched()
            && state.locks.is_empty()
            && state.role == state.session_role;
        as_made
            && self.prepared.is_empty()
            && self.cursors.is_empty()
            && self.transaction_status() == TransactionStatus::Idle
    }
}

pub struct SessionPool {
    engine: Arc<Engine>,
    protocol: Protocol,
    waiting: Mutex<Vec<Session>>,
}

impl SessionPool {
    pub fn new(engine: Arc<Engine>, protocol: Protocol) -> Self {
        Self {
            engine,
            protocol,
            waiting: Mutex::default(),
        }
    }

    /// A session of its own, for whoever changes it.
    pub fn fresh(&self, user: &str, database: &str, peer: Option<SocketAddr>) -> Result<Session> {
        let mut options = SessionOptions::new(self.protocol, user, database);
        options.peer = peer;
        self.engine.session(options)
    }

    /// A session for one request.
    pub fn take(&self, user: &str, database: &str, peer: Option<SocketAddr>) -> Result<Session> {
        let waiting = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let at = waiting
                .iter()
                .rposition(|s| s.user() == user && s.database() == database);
            at.map(|at| waiting.swap_remove(at))
        };
        match waiting {
            Some(session) => Ok(session),
            None => self.fresh(user, database, peer),
        }
    }

    /// Takes back a session after a request; it ends unless it is as it was before.
    pub fn give_back(&self, mut session: Session) {
        if session.database() != self.engine.default_database() || !session.forget() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.push(session);
        }
    }

    /// Ends the sessions that wait.
    pub fn clear(&self) {
        let waiting =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        drop(waiting);
    }
}
