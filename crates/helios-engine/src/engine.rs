//! One engine per data directory.

use crate::catalog_store::{self, Kind};
use crate::kernel::runtime::RuntimeCache;
use crate::keyspace::Keyspace;
use crate::options::{EngineOptions, Protocol, SessionOptions};
use crate::session::{Session, Shared};
use crate::template_cache::TemplateCache;
use arc_swap::ArcSwap;
use helios_planner::catalog::{
    Catalog, Database, FIRST_USER_ID, PUBLIC_SCHEMA_NAME, Relation, Role, Schema,
};
use helios_storage::{Durability, Isolation, Store, StoreOptions, TxnOptions};
use helios_types::{DatabaseId, Error, ErrorKind, ObjectId, Result, Ts, bail};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

/// The PostgreSQL version that clients may expect.
pub const SERVER_VERSION: &str = "15.8";
pub(crate) const SERVER_VERSION_NUM: &str = "150008";

/// The role that owns what nobody made: PostgreSQL's OID of its bootstrap superuser.
pub const SUPERUSER_ID: ObjectId = ObjectId(10);
/// The first database.
const DEFAULT_DATABASE: DatabaseId = DatabaseId(5);
const PUBLIC_SCHEMA: ObjectId = ObjectId(2200);
/// The database that PostgreSQL's tools connect to when they are told none (`psql -l`, createdb,
/// pgAdmin), and its public schema.
const MAINTENANCE_DATABASE: (DatabaseId, &str) = (DatabaseId(4), "postgres");
const MAINTENANCE_SCHEMA: ObjectId = ObjectId(2201);

/// An open data directory with its committed catalog and its sessions.
pub struct Engine {
    pub(crate) store: Arc<Store>,
    pub(crate) keyspace: Arc<Keyspace>,
    pub(crate) catalog: ArcSwap<Catalog>,
    pub(crate) runtimes: RuntimeCache,
    pub(crate) templates: TemplateCache,
    pub(crate) options: EngineOptions,
    sessions: Mutex<HashMap<i32, Arc<Shared>>>,
    next_pid: AtomicI32,
    closing: AtomicBool,
    next_version: AtomicU64,
    started: std::time::Instant,
    pub(crate) metrics: crate::metrics::Metrics,
}

/// A row of `pg_stat_activity`, CLIENT LIST and the like.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    pub pid: i32,
    pub protocol: Protocol,
    pub user: String,
    pub database: String,
    pub application: String,
    pub peer: Option<SocketAddr>,
    pub started_us: i64,
    pub transaction_started_us: Option<i64>,
    pub statement_started_us: Option<i64>,
    /// The statement that runs, or the last one.
    pub statement: String,
    pub running: bool,
    pub in_transaction: bool,
    pub failed: bool,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("data_dir", &self.options.data_dir)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens a data directory, or makes a new one with the default role and database.
    pub fn open(options: EngineOptions) -> Result<Arc<Engine>> {
        let store = Store::open(StoreOptions {
            path: options.data_dir.clone(),
            block_cache_bytes: options.cache_bytes,
            write_buffer_bytes: options.write_buffer_bytes,
            log_retention: options.change_log,
            ..StoreOptions::default()
        })?;
        let mut catalog = match catalog_store::load(&store.snapshot())? {
            Some(catalog) => catalog,
            None => bootstrap(&store, &options)?,
        };
        crate::pg_catalog::install(&mut catalog);
        crate::keyspace::sql_tables::install(&mut catalog);
        let keyspace = Arc::new(Keyspace::new(store.clone()));
        keyspace.prefixes().publish(&catalog);
        Ok(Arc::new(Engine {
            keyspace,
            store,
            catalog: ArcSwap::from_pointee(catalog),
            runtimes: RuntimeCache::default(),
            templates: TemplateCache::new(),
            options,
            sessions: Mutex::default(),
            next_pid: AtomicI32::new(1),
            closing: AtomicBool::new(false),
            next_version: AtomicU64::new(2),
            started: std::time::Instant::now(),
            metrics: Default::default(),
        }))
    }

    /// A session for an authenticated client.
    pub fn session(self: &Arc<Self>, options: SessionOptions) -> Result<Session> {
        if self.closing.load(Ordering::Relaxed) {
            bail!(CannotConnectNow, "the database system is shutting down");
        }
        let pid = self.next_pid.fetch_add(1, Ordering::Relaxed);
        let session = Session::new(self.clone(), pid, options)?;
        self.sessions.lock().insert(pid, session.shared.clone());
        Ok(session)
    }

    pub(crate) fn forget_session(&self, pid: i32) {
        self.sessions.lock().remove(&pid);
    }

    /// The committed catalog.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Whether any role has a password: without one, clients on loopback are trusted.
    pub fn has_credentials(&self) -> bool {
        self.catalog
            .load()
            .roles
            .values()
            .any(|r| r.password.is_some())
    }

    /// The SCRAM-SHA-256 verifier of a role that may log in, in PostgreSQL's text form.
    pub fn password_verifier(&self, role: &str) -> Option<String> {
        let catalog = self.catalog.load();
        catalog
            .role_named(role)
            .filter(|r| r.login)?
            .password
            .clone()
    }

    /// When a table or view was made, and when its definition was changed last, in milliseconds
    /// since 1970; `None` for what the engine makes up.
    pub fn relation_times(&self, relation: &Relation) -> Result<Option<(u64, u64)>> {
        let times = crate::catalog_store::times(&self.store, relation)?;
        Ok(times.map(|(made, changed)| (made.unix_ms(), changed.unix_ms())))
    }

    /// When ANALYZE was run last on a table, in microseconds since 1970.
    pub fn analyzed_us(&self, table: ObjectId) -> Result<Option<i64>> {
        crate::catalog_store::analyzed(&self.store, table)
    }

    /// What [`Session::record_commit`] left under a key.
    pub fn commit_record(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.store.meta_get(key)
    }

    /// Deletes such records below a prefix, but for those to keep; how many.
    pub fn retain_commit_records(
        &self,
        prefix: &[u8],
        keep: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Result<usize> {
        self.store.meta_retain(prefix, keep)
    }

    pub fn default_database(&self) -> &str {
        &self.options.database
    }

    pub fn superuser(&self) -> &str {
        &self.options.superuser
    }

    pub fn uptime(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    pub fn sessions(&self) -> Vec<SessionInfo> {
        self.sessions.lock().values().map(|s| s.info()).collect()
    }

    /// The sessions that hold what this one waits for; a holder that is not a session is 0. Empty
    /// when it does not wait for a lock.
    pub fn blocking_pids(&self, pid: i32) -> Vec<i32> {
        let sessions = self.sessions.lock();
        let Some(shared) = sessions.get(&pid) else {
            return Vec::new();
        };
        let blocking = self.store.blocking_sessions(shared.lock_group);
        let pid_of = |group| sessions.iter().find(|(_, s)| s.lock_group == group);
        blocking
            .into_iter()
            .map(|group| pid_of(group).map_or(0, |(pid, _)| *pid))
            .collect()
    }

    /// Makes a catalog the committed one; called while its commit holds its locks.
    pub(crate) fn publish_catalog(&self, mut catalog: Arc<Catalog>, ts: Ts) {
        if catalog.has_filled() {
            Arc::make_mut(&mut catalog).commit_filled(ts);
        }
        self.keyspace.prefixes().publish(&catalog);
        self.catalog.store(catalog);
    }

    /// A number that no catalog had before.
    pub(crate) fn next_catalog_version(&self) -> u64 {
        self.next_version.fetch_add(1, Ordering::Relaxed)
    }

    /// Cancels what the session runs now, if the secret is its own.
    pub fn cancel(&self, pid: i32, secret: i32) -> bool {
        match self.sessions.lock().get(&pid) {
            Some(shared) if shared.secret == secret => {
                shared.cancel();
                true
            }
            _ => false,
        }
    }

    /// Cancels what the session runs now, for an administrator.
    pub fn cancel_session(&self, pid: i32) -> bool {
        self.sessions.lock().get(&pid).map(|s| s.cancel()).is_some()
    }

    /// Asks the session's front-end to close its connection.
    pub fn terminate_session(&self, pid: i32) -> bool {
        self.sessions
            .lock()
            .get(&pid)
            .map(|s| s.terminate())
            .is_some()
    }

    /// Refuses new sessions, then syncs and closes the store. Sessions that still run get errors.
    pub fn shutdown(&self) -> Result<()> {
        self.closing.store(true, Ordering::Relaxed);
        self.store.close()
    }

    /// Everything that the engine and the storage count, in Prometheus' text format.
    pub fn write_metrics(&self, out: &mut String) {
        self.metrics.write(out, &self.store.stats());
    }

    /// Reads the whole directory: every key, row and version must decode, and every index entry
    /// have its row and back.
    pub fn check(self: &Arc<Self>) -> Result<crate::Integrity> {
        crate::integrity::check(self)
    }

    /// The numbers of storage, for metrics.
    pub fn storage_stats(&self) -> helios_storage::StoreStats {
        self.store.stats()
    }
}

/// The first catalog of a new directory.
fn bootstrap(store: &Arc<Store>, options: &EngineOptions) -> Result<Catalog> {
    let mut catalog = Catalog {
        version: 1,
        next_id: FIRST_USER_ID,
        ..Catalog::default()
    };
    let role = Role {
        id: SUPERUSER_ID,
        name: options.superuser.clone(),
        superuser: true,
        login: true,
        create_database: true,
        create_role: true,
        inherit: true,
        password: None,
        member_of: Vec::new(),
    };
    let mut databases = vec![(DEFAULT_DATABASE, options.database.as_str(), PUBLIC_SCHEMA)];
    let (maintenance, name) = MAINTENANCE_DATABASE;
    if options.database != name {
        databases.push((maintenance, name, MAINTENANCE_SCHEMA));
    }
    let mut txn = store.begin(TxnOptions {
        isolation: Isolation::ReadCommitted,
        read_only: false,
        durability: Durability::On,
    });
    txn.start_statement();
    catalog_store::put(&mut txn, Kind::Role, role.id.0, &role)?;
    for (id, name, schema) in databases {
        let database = Database {
            id,
            name: name.into(),
            owner: SUPERUSER_ID,
            grants: Vec::new(),
            comment: None,
        };
        let schema = public_schema(schema, id);
        catalog_store::put(&mut txn, Kind::Database, database.id.0, &database)?;
        catalog_store::put(&mut txn, Kind::Schema, schema.id.0, &schema)?;
        catalog.databases.insert(database.id, Arc::new(database));
        catalog.schemas.insert(schema.id, Arc::new(schema));
    }
    catalog_store::put_next_id(&mut txn, catalog.next_id);
    drop(txn.commit_start()?);
    store.flush(true)?;
    catalog.roles.insert(role.id, Arc::new(role));
    Ok(catalog)
}

/// The schema that every database starts with.
pub(crate) fn public_schema(id: ObjectId, database: DatabaseId) -> Schema {
    Schema {
        id,
        database,
        name: PUBLIC_SCHEMA_NAME.into(),
        owner: SUPERUSER_ID,
        grants: Vec::new(),
        comment: Some("standard public schema".into()),
    }
}

/// The database a session asked for.
pub(crate) fn find_database(catalog: &Catalog, name: &str) -> Result<DatabaseId> {
    catalog.database_named(name).map(|d| d.id).ok_or_else(|| {
        Error::new(
            ErrorKind::UndefinedDatabase,
            format!("database \"{name}\" does not exist"),
        )
    })
}
