//! One session per connection: who it is, its settings, its transaction, its statements.

mod analyze;
mod cursor;
mod execute;
mod pool;
mod prepare;
mod shared;
mod sql_cursor;
pub(crate) mod transaction;
mod utility;
mod watch;

pub use cursor::{Cursor, Fetched};
pub use pool::SessionPool;
pub use prepare::SimpleQuery;
pub use shared::CancelHandle;
pub(crate) use shared::Shared;
pub use transaction::{TransactionMode, TransactionStatus, durability_named};
pub use watch::WatchedRow;

use crate::advisory::TransactionLocks;
use crate::apply::CancelFlag;
use crate::engine::{Engine, find_database};
use crate::options::{Protocol, SessionOptions};
use crate::pace::Pace;
use crate::settings::Settings;
use helios_planner::catalog::Catalog;
use helios_storage::{Durability, SessionLocks};
use helios_types::{DatabaseId, Error, ErrorKind, ObjectId, Result, bail};
use std::collections::HashMap;
use std::sync::Arc;
pub(crate) use transaction::Transaction;

/// A message that does not end the statement: NOTICE, WARNING.
#[derive(Clone, Debug)]
pub struct Notice {
    /// PostgreSQL's severity word.
    pub severity: &'static str,
    pub sqlstate: [u8; 5],
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// One client's conversation with the engine. Used by one task at a time.
pub struct Session {
    pub(crate) engine: Arc<Engine>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) state: State,
    pub(crate) transaction: Option<Transaction>,
    /// The masked text of the last simple query, of which others see what the client sent.
    masked: Option<Arc<str>>,
    /// Whether statements outside an explicit transaction share one until `end_implicit`.
    implicit: bool,
    /// Reused by point reads.
    key_buffer: Vec<u8>,
    prepared: HashMap<String, Arc<crate::Prepared>>,
    cursors: HashMap<String, sql_cursor::SqlCursor>,
    /// Written with the next commit.
    commit_record: Option<(Vec<u8>, Vec<u8>)>,
}

/// What statements see of the session; apart from the transaction, so that both can be borrowed.
pub(crate) struct State {
    pub(crate) engine: Arc<Engine>,
    pub(crate) pid: i32,
    pub(crate) protocol: Protocol,
    pub(crate) role: ObjectId,
    pub(crate) role_name: Arc<str>,
    pub(crate) session_role: ObjectId,
    pub(crate) session_role_name: Arc<str>,
    pub(crate) database: DatabaseId,
    pub(crate) database_name: Arc<str>,
    pub(crate) settings: Settings,
    pub(crate) search_path_text: Arc<str>,
    pub(crate) executor_text: Arc<str>,
    pub(crate) time_zone: Arc<str>,
    pub(crate) default_durability: Durability,
    /// What the running statement's catalog is.
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) transaction_time_us: i64,
    pub(crate) statement_time_us: i64,
    pub(crate) transaction_id: Option<u64>,
    /// `currval` of each sequence, and the sequence of `lastval`.
    pub(crate) sequences: HashMap<ObjectId, i64>,
    pub(crate) last_sequence: Option<ObjectId>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) locks: SessionLocks,
    pub(crate) transaction_locks: TransactionLocks,
    pub(crate) cancel: Arc<CancelFlag>,
    pub(crate) pace: Pace,
}

impl Session {
    pub(crate) fn new(engine: Arc<Engine>, pid: i32, options: SessionOptions) -> Result<Self> {
        let catalog = engine.catalog();
        let Some(role) = catalog.role_named(&options.user) else {
            bail!(InvalidPassword, "role \"{}\" does not exist", options.user);
        };
        if !role.login {
            return Err(Error::new(
                ErrorKind::Unauthenticated,
                format!("role \"{}\" is not permitted to log in", options.user),
            ));
        }
        let database = find_database(&catalog, &options.database)?;
        let mut settings = Settings::default();
        settings.force("application_name", &options.application);
        settings.force("is_superuser", if role.superuser { "on" } else { "off" });
        settings.force("session_authorization", &options.user);
        for (name, value) in &options.settings {
            settings.initialise(name, value)?;
        }
        let name: Arc<str> = options.user.as_str().into();
        let default_durability = options
            .durability
            .unwrap_or_else(|| options.protocol.default_durability());
        let locks = SessionLocks::new(&engine.store);
        let transaction_locks = TransactionLocks::new(&locks);
        let shared = Arc::new(Shared::new(pid, locks.group(), &options));
        let state = State {
            pid,
            protocol: options.protocol,
            role: role.id,
            role_name: name.clone(),
            session_role: role.id,
            session_role_name: name,
            database,
            database_name: options.database.as_str().into(),
            search_path_text: "".into(),
            executor_text: "".into(),
            time_zone: "UTC".into(),
            settings,
            default_durability,
            catalog,
            transaction_time_us: 0,
            statement_time_us: 0,
            transaction_id: None,
            sequences: HashMap::new(),
            last_sequence: None,
            notices: Vec::new(),
            locks,
            transaction_locks,
            cancel: shared.cancel_flag().clone(),
            pace: Pace::new(),
            engine: engine.clone(),
        };
        let mut session = Session {
            engine,
            shared,
            state,
            transaction: None,
            masked: None,
            implicit: false,
            key_buffer: Vec::new(),
            prepared: HashMap::new(),
            cursors: HashMap::new(),
            commit_record: None,
        };
        session.settings_changed();
        Ok(session)
    }

    /// Number of the session: PostgreSQL's backend pid, Redis' client id.
    pub fn pid(&self) -> i32 {
        self.state.pid
    }

    /// What a cancel request must know.
    pub fn secret(&self) -> i32 {
        self.shared.secret
    }

    pub fn user(&self) -> &str {
        &self.state.role_name
    }

    pub fn database(&self) -> &str {
        &self.state.database_name
    }

    pub fn database_id(&self) -> DatabaseId {
        self.state.database
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The catalog that the next statement sees: the transaction's own after DDL in it, and without
    /// the indexes that its snapshot is too old for.
    pub fn catalog(&self) -> Arc<Catalog> {
        let newest = self.newest_catalog();
        match &self.transaction {
            Some(t) => t.catalog_of_snapshot(newest, &self.engine),
            None => newest,
        }
    }

    /// The version of [`Session::catalog`], where the transaction has made no changes of it.
    pub(crate) fn catalog_version(&self) -> u64 {
        let kept = self.transaction.as_ref().and_then(|t| t.kept_snapshot());
        match kept {
            Some(_) => self.catalog().version,
            None => self.engine.catalog.load().version,
        }
    }

    /// The catalog that DDL changes: every index can be used.
    pub(crate) fn newest_catalog(&self) -> Arc<Catalog> {
        let own = self.transaction.as_ref().and_then(|t| t.catalog.clone());
        own.unwrap_or_else(|| self.engine.catalog())
    }

    /// Warnings and notices since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.state.notices)
    }

    /// A setting's text, as SHOW prints it.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.state.settings.get(name)
    }

    /// Sets a setting as SET does.
    pub fn set_setting(&mut self, name: &str, value: &str) -> Result<()> {
        self.state.settings.set(name, value, false)?;
        self.settings_made();
        Ok(())
    }

    /// After SET and the like: outside of a transaction they are one, which commits.
    pub(crate) fn settings_made(&mut self) {
        if self.transaction.is_none() && !self.implicit {
            self.state.settings.end_transaction(true);
        }
        self.settings_changed();
    }

    /// Settings that PostgreSQL clients are told about, with their values.
    pub fn reported_settings(&self) -> impl Iterator<Item = (&'static str, &str)> {
        crate::settings::SETTINGS
            .iter()
            .filter(|s| s.reported)
            .map(|s| (s.name, self.state.settings.get(s.name).unwrap_or(s.default)))
    }

    /// Schemas that unqualified names are looked up in, `pg_catalog` first unless it is named.
    pub fn search_path(&self) -> Vec<String> {
        let mut path = self.state.search_path();
        if !path.iter().any(|name| name == "pg_catalog") {
            path.insert(0, "pg_catalog".to_owned());
        }
        path
    }

    /// An error outside of a statement's run (in its text, its parameters, its data) fails the
    /// open transaction as one inside does.
    pub fn fail_transaction(&mut self) {
        self.statement_failed();
    }

    /// A statement that could not be prepared counts as one that failed, and fails the open
    /// transaction.
    pub fn statement_refused(&mut self) {
        self.engine
            .metrics
            .observe(std::time::Duration::ZERO, false);
        self.statement_failed();
    }

    /// A statement that SQL's PREPARE made; protocols share its names.
    pub fn prepared_statement(&self, name: &str) -> Option<&Arc<crate::Prepared>> {
        self.prepared.get(name)
    }

    /// The name of the session's time zone.
    pub fn time_zone(&self) -> &Arc<str> {
        &self.state.time_zone
    }

    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle::new(self.shared.clone())
    }

    /// Brings what is derived from settings up to date.
    pub(crate) fn settings_changed(&mut self) {
        let state = &mut self.state;
        let text = |settings: &Settings, name| Arc::from(settings.get(name).unwrap_or_default());
        state.search_path_text = text(&state.settings, "search_path");
        state.executor_text = text(&state.settings, "helios.executor");
        state.time_zone = text(&state.settings, "timezone");
        self.shared
            .set_application(state.settings.get("application_name").unwrap_or_default());
    }
}

impl State {
    /// Schemas of the search path, `$user` replaced; whether they exist is the binder's affair.
    pub(crate) fn search_path(&self) -> Vec<String> {
        self.settings
            .search_path()
            .into_iter()
            .map(|name| {
                if name == "$user" {
                    self.role_name.to_string()
                } else {
                    name
                }
            })
            .collect()
    }

    pub(crate) fn notice(&mut self, severity: &'static str, sqlstate: &[u8; 5], message: String) {
        self.notices.push(Notice {
            severity,
            sqlstate: *sqlstate,
            message,
            detail: None,
            hint: None,
        });
    }

    /// What COMMIT waits for.
    pub(crate) fn durability(&self) -> Durability {
        let chosen = self.settings.every_statement().durability;
        chosen.unwrap_or(self.default_durability)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.engine.forget_session(self.state.pid);
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("pid", &self.state.pid)
            .finish_non_exhaustive()
    }
}

/// Microseconds since the Unix epoch.
pub(crate) fn now_us() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    elapsed.map_or(0, |d| d.as_micros() as i64)
}
