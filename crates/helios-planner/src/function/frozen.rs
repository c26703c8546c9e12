//! What functions may know of a session on the threads of the vectorised executor: a copy made
//! when the statement starts.

use super::FunctionContext;
use crate::catalog::Catalog;
use helios_types::{Error, ObjectId, Result};
use std::sync::Arc;

/// A session as it was at one moment. It answers what is constant within a statement and refuses
/// everything else; the plans of the vectorised executor hold no function that asks for more.
#[derive(Clone)]
pub struct FrozenContext(Arc<Frozen>);

struct Frozen {
    transaction_time: i64,
    statement_time: i64,
    time_zone: String,
    current_user: String,
    session_user: String,
    current_database: String,
    search_path: Vec<String>,
    implicit_search_path: Vec<String>,
    settings: Vec<(&'static str, Option<String>)>,
    backend_pid: i32,
    catalog: Arc<Catalog>,
    interrupt: Option<Interrupt>,
}

/// Says with an error that the statement is to stop.
pub type Interrupt = Box<dyn Fn() -> Result<()> + Send + Sync>;

/// Settings that conversions between values and text look at.
const SETTINGS: &[&str] = &[
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "bytea_output",
    "extra_float_digits",
    "datestyle",
    "intervalstyle",
    "timezone",
    "default_text_search_config",
    "xmlbinary",
];

impl FrozenContext {
    /// The context of a statement that `interrupt` may stop.
    pub fn of(context: &dyn FunctionContext, interrupt: Interrupt) -> Self {
        FrozenContext(Arc::new(Frozen {
            transaction_time: context.transaction_time(),
            statement_time: context.statement_time(),
            time_zone: context.time_zone().to_string(),
            current_user: context.current_user().to_string(),
            session_user: context.session_user().to_string(),
            current_database: context.current_database().to_string(),
            search_path: context.search_path(false),
            implicit_search_path: context.search_path(true),
            settings: SETTINGS
                .iter()
                .map(|name| (*name, context.setting(name)))
                .collect(),
            backend_pid: context.backend_pid(),
            catalog: context.catalog(),
            interrupt: Some(interrupt),
        }))
    }

    /// Of no session: for functions whose result depends on nothing but their arguments.
    pub fn nowhere() -> Self {
        FrozenContext(Arc::new(Frozen {
            transaction_time: 0,
            statement_time: 0,
            time_zone: "UTC".into(),
            current_user: String::new(),
            session_user: String::new(),
            current_database: String::new(),
            search_path: Vec::new(),
            implicit_search_path: Vec::new(),
            settings: Vec::new(),
            backend_pid: 0,
            catalog: Arc::default(),
            interrupt: None,
        }))
    }
}

impl std::fmt::Debug for FrozenContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FrozenContext")
    }
}

fn refused<T>() -> Result<T> {
    Err(Error::internal(
        "a function asked for a session that is not there",
    ))
}

impl FunctionContext for FrozenContext {
    fn checkpoint(&mut self) -> Result<()> {
        self.0.interrupt.as_ref().map_or(Ok(()), |stop| stop())
    }
    fn transaction_time(&self) -> i64 {
        self.0.transaction_time
    }
    fn statement_time(&self) -> i64 {
        self.0.statement_time
    }
    fn time_zone(&self) -> &str {
        &self.0.time_zone
    }
    fn current_user(&self) -> &str {
        &self.0.current_user
    }
    fn session_user(&self) -> &str {
        &self.0.session_user
    }
    fn current_database(&self) -> &str {
        &self.0.current_database
    }
    fn search_path(&self, implicit: bool) -> Vec<String> {
        if implicit {
            self.0.implicit_search_path.clone()
        } else {
            self.0.search_path.clone()
        }
    }
    fn setting(&self, name: &str) -> Option<String> {
        self.0
            .settings
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))?
            .1
            .clone()
    }
    fn set_setting(&mut self, _: &str, _: &str, _: bool) -> Result<String> {
        refused()
    }
    fn backend_pid(&self) -> i32 {
        self.0.backend_pid
    }
    fn catalog(&self) -> Arc<Catalog> {
        self.0.catalog.clone()
    }
    fn sequence_next(&mut self, _: ObjectId) -> Result<i64> {
        refused()
    }
    fn sequence_last(&mut self, _: ObjectId) -> Result<i64> {
        refused()
    }
    fn sequence_set(&mut self, _: ObjectId, _: i64, _: bool) -> Result<()> {
        refused()
    }
    fn last_sequence_value(&self) -> Result<i64> {
        refused()
    }
    fn transaction_id(&mut self) -> Result<u64> {
        refused()
    }
}
