//! The façade over storage and planning: everything a front-end may do with data.
//!
//! ```text
//! front-end ──> Session ──> template (planner) ──> executor ──┬─> read kernel ──┐
//!                  │                                          └─> write kernel ─┴─> helios-storage
//!                  └── transaction, settings, authorization
//! ```
//!
//! * [`Engine`]: one per data directory; opens the store, holds the committed catalog.
//! * [`Session`]: one per connection; transaction state, settings, statements.
//! * `kernel`: the two functions through which every row of every protocol is read and written.
//! * `kv`, `apply`, `vector`: the three executors of a plan template; `modify` drives the nodes
//!   that write.
//! * `ddl`: changes of the catalog, inside the transaction that asks for them.
//! * `authorize`: the only place that decides who may do what.
//!
//! Invariants: rows reach front-ends as `ValueRef`s through a `RowSink`, never as Arrow or RocksDB
//! types; only the write kernel changes rows; a statement uses one snapshot (READ COMMITTED) or
//! its transaction's (REPEATABLE READ, SERIALIZABLE) for everything that it reads.

mod advisory;
pub mod apply;
mod authorize;
mod catalog_store;
mod context;
mod copy;
mod ddl;
mod engine;
mod explain;
mod integrity;
mod kernel;
pub mod keyspace;
mod kv;
mod metrics;
mod modify;
mod options;
mod pace;
mod pg_catalog;
mod prepared;
pub mod scram;
mod session;
mod settings;
mod system;
mod table_size;
mod template_cache;
pub mod vector;
mod virtual_tables;

pub use copy::{CopyIn, CopyTarget};
pub use engine::{Engine, SessionInfo};
pub use explain::ExplainFormat;
pub use helios_storage::{Durability, Isolation};
pub use integrity::Integrity;
pub use options::{EngineOptions, Protocol, SessionOptions};
pub use prepared::{Completion, CompletionTag, Prepared};
pub use session::{
    CancelHandle, Cursor, Fetched, Notice, Session, SessionPool, SimpleQuery, TransactionMode,
    TransactionStatus, WatchedRow, durability_named,
};
pub use table_size::TableSize;
