//! The engine as the Redis port uses it: who a connection is, and where its databases are stored.

use helios_engine::keyspace::{DATABASES, Database, Keyspace};
use helios_types::Result;
use std::sync::Arc;

pub struct Backend {
    keyspace: Arc<Keyspace>,
    databases: Arc<[Database]>,
}

/// Whom a connection acts for.
pub struct Identity {
    user: String,
    databases: Arc<[Database]>,
}

impl Identity {
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The logical databases that SELECT reaches, without the one of SQL.
    pub fn databases(&self) -> &[Database] {
        &self.databases
    }
}

impl Backend {
    pub fn new(keyspace: Arc<Keyspace>, databases: Vec<Database>) -> Self {
        debug_assert_eq!(databases.len(), DATABASES as usize);
        Backend {
            keyspace,
            databases: databases.into(),
        }
    }

    pub fn keyspace(&self) -> &Arc<Keyspace> {
        &self.keyspace
    }

    pub fn default_user(&self) -> &str {
        "helios"
    }

    pub fn has_password(&self) -> bool {
        false
    }

    /// The identity of a connection that need not authenticate.
    pub fn trusted(&self, _peer: &str) -> Result<Option<Identity>> {
        Ok(Some(Identity {
            user: self.default_user().to_owned(),
            databases: self.databases.clone(),
        }))
    }

    /// The identity that name and password prove; `None` when they do not.
    pub fn authenticate(
        &self,
        _user: &str,
        _password: &[u8],
        _peer: &str,
    ) -> Result<Option<Identity>> {
        Ok(None)
    }
}
