//! The engine as the Redis port uses it: who a connection is, and where its databases are stored.

use helios_engine::keyspace::{Database, Keyspace};
use helios_engine::scram::ScramVerifier;
use helios_engine::{Engine, Protocol, Session, SessionOptions};
use helios_types::{ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;

pub struct Backend {
    engine: Arc<Engine>,
    keyspace: Arc<Keyspace>,
}

/// Whom a connection acts for.
pub struct Identity {
    session: Session,
    databases: Arc<[Database]>,
    keyspace: bool,
}

impl Identity {
    pub fn user(&self) -> &str {
        self.session.user()
    }

    /// The logical databases that SELECT reaches, without the one of SQL.
    pub fn databases(&self) -> &[Database] {
        &self.databases
    }

    pub fn may_use_keyspace(&self) -> bool {
        self.keyspace
    }

    /// The session for what goes through the shared plan.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The session, and the logical databases beside it.
    pub fn parts(&mut self) -> (&mut Session, &[Database]) {
        (&mut self.session, &self.databases)
    }
}

impl Backend {
    pub fn new(engine: Arc<Engine>) -> Self {
        let keyspace = Keyspace::of(&engine);
        Backend { engine, keyspace }
    }

    pub fn keyspace(&self) -> &Arc<Keyspace> {
        &self.keyspace
    }

    pub fn default_user(&self) -> &str {
        self.engine.superuser()
    }

    pub fn has_password(&self) -> bool {
        self.engine.has_credentials()
    }

    fn open(&self, user: &str, peer: Option<SocketAddr>) -> Result<Identity> {
        let mut options =
            SessionOptions::new(Protocol::Redis, user, self.engine.default_database());
        options.peer = peer;
        let session = self.engine.session(options)?;
        Ok(Identity {
            databases: session.keyspace_databases().into(),
            keyspace: session.may_use_keyspace(),
            session,
        })
    }

    /// The identity of a connection that need not authenticate: one from this machine, as long as no
    /// role has a password.
    pub fn trusted(&self, peer: &str) -> Result<Option<Identity>> {
        let peer: Option<SocketAddr> = peer.parse().ok();
        if self.has_password() || !peer.is_some_and(|peer| peer.ip().is_loopback()) {
            return Ok(None);
        }
        self.open(self.default_user(), peer).map(Some)
    }

    /// The identity that name and password prove; `None` when they do not.
    pub fn authenticate(
        &self,
        user: &str,
        password: &[u8],
        peer: &str,
    ) -> Result<Option<Identity>> {
        let verifier = self.engine.password_verifier(user);
        let verifier = verifier.and_then(|text| ScramVerifier::parse(&text));
        let (Some(verifier), Ok(password)) = (verifier, std::str::from_utf8(password)) else {
            return Ok(None);
        };
        if !verifier.accepts(password) {
            return Ok(None);
        }
        match self.open(user, peer.parse().ok()) {
            Ok(identity) => Ok(Some(identity)),
            Err(error) if error.kind() == ErrorKind::InvalidPassword => Ok(None),
            Err(error) => Err(error),
        }
    }
}
