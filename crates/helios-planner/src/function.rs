//! PostgreSQL's functions, operators, casts and aggregates.
//!
//! Each is written once, over [`Value`]s, and described by a row of a table: OID, name, argument
//! types, result type. The binder resolves a call to one row by PostgreSQL's rules and puts it
//! into the plan as a [`PgFunction`] (or [`PgAggregate`], [`PgWindow`]), so that every executor
//! finds the implementation in the plan itself: the key-value and row executors call it directly,
//! the vectorised one through an adapter over Arrow arrays. What a function needs of the session
//! (clock, time zone, catalog, sequences) it asks from [`FunctionContext`].

mod adapter;
mod aggregate;
mod argument;
mod arithmetic;
mod array;
pub mod arrow;
mod cast;
pub mod catalog;
mod collection;
mod compare;
mod datetime;
mod encoding;
mod format;
mod frozen;
mod json;
mod math;
mod pattern;
mod registry;
mod set;
mod statistics;
mod string;
mod system;
mod table;
mod window;

pub use adapter::{
    PgAggregate, PgFunction, PgWindow, as_pg_aggregate, as_pg_function, as_pg_window,
};
pub use argument::text_context;
pub use compare::order;
pub use frozen::FrozenContext;
pub use registry::{Registry, registry};
pub use string::quoted_literal;
pub use system::VERSION;

use helios_types::{Error, ObjectId, Oid, Result, Type, Value};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatility {
    Immutable,
    /// Constant within a statement.
    Stable,
    Volatile,
}

/// How a row of the table computes.
#[derive(Clone, Copy)]
pub enum Implementation {
    /// One value from its arguments.
    Scalar(fn(&[Value], &mut dyn FunctionContext) -> Result<Value>),
    /// One value, where the values alone do not tell enough: json and text, for example, share a
    /// representation. The types are [`PgFunction::args`].
    Typed(fn(&[Value], &[Type], &mut dyn FunctionContext) -> Result<Value>),
    /// A set of rows; each row has one value, or one for each output column.
    Set(fn(&[Value], &mut dyn FunctionContext) -> Result<Vec<Vec<Value>>>),
    /// Made for the types of its arguments, [`PgAggregate::args`].
    Aggregate(fn(&[Type]) -> Box<dyn Accumulator>),
    /// Computed over a whole partition at once.
    Window(fn(WindowInput<'_>) -> Result<Vec<Value>>),
}

impl Implementation {
    /// One value from its arguments.
    pub fn is_scalar(&self) -> bool {
        matches!(self, Implementation::Scalar(_) | Implementation::Typed(_))
    }
}

impl std::fmt::Debug for Implementation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Implementation::Scalar(_) => "Scalar",
            Implementation::Typed(_) => "Typed",
            Implementation::Set(_) => "Set",
            Implementation::Aggregate(_) => "Aggregate",
            Implementation::Window(_) => "Window",
        })
    }
}

/// One row of `pg_proc`.
#[derive(Clone, Copy, Debug)]
pub struct FunctionDef {
    /// PostgreSQL's OID where it has the function; ours are from 9000 on, below 10000.
    pub oid: Oid,
    pub name: &'static str,
    /// Declared argument types; polymorphic ones as `anyelement`, `anyarray`, ….
    pub args: &'static [Oid],
    /// How many trailing arguments have defaults, given as SQL text.
    pub defaults: &'static [&'static str],
    /// The last argument repeats (`VARIADIC "any"` or `VARIADIC anyarray`).
    pub variadic: bool,
    pub result: Oid,
    /// Names and types of output columns of a function in FROM that gives more than one.
    pub columns: &'static [(&'static str, Oid)],
    /// NULL in gives NULL out, without a call.
    pub strict: bool,
    pub volatility: Volatility,
    pub implementation: Implementation,
}

/// One row of `pg_operator`.
#[derive(Clone, Copy, Debug)]
pub struct OperatorDef {
    pub oid: Oid,
    pub name: &'static str,
    /// 0 for a prefix operator.
    pub left: Oid,
    pub right: Oid,
    pub result: Oid,
    /// OID of the [`FunctionDef`] behind it.
    pub function: Oid,
}

/// When a cast applies without being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    Explicit,
    Assignment,
    Implicit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastMethod {
    /// OID of a [`FunctionDef`] of one argument.
    Function(Oid),
    /// The same representation.
    Binary,
    /// Through the text form.
    InOut,
}

/// One row of `pg_cast`.
#[derive(Clone, Copy, Debug)]
pub struct CastDef {
    pub source: Oid,
    pub target: Oid,
    pub context: CastContext,
    pub method: CastMethod,
}

/// State of one aggregate over one group.
pub trait Accumulator: Send + Sync {
    /// One input row; strict aggregates are not called with NULL arguments.
    fn update(&mut self, args: &[Value], context: &mut dyn FunctionContext) -> Result<()>;
    fn finish(&mut self, context: &mut dyn FunctionContext) -> Result<Value>;
}

/// What a window function sees: its partition, ordered.
pub struct WindowInput<'a> {
    /// Argument values of each row.
    pub args: &'a [Vec<Value>],
    /// Number of the peer group (equal ORDER BY values) of each row, from 0.
    pub peers: &'a [usize],
    /// Frame of each row as a range of row numbers.
    pub frames: &'a [std::ops::Range<usize>],
}

/// What functions may ask of the session that runs them.
pub trait FunctionContext: Send {
    /// Start of the transaction, microseconds since the Unix epoch: `now()`.
    fn transaction_time(&self) -> i64;
    fn statement_time(&self) -> i64;
    /// Name of the session's time zone.
    fn time_zone(&self) -> &str;
    fn current_user(&self) -> &str;
    fn session_user(&self) -> &str;
    fn current_database(&self) -> &str;
    /// Schemas of the search path that exist, in order; `implicit` adds pg_catalog.
    fn search_path(&self, implicit: bool) -> Vec<String>;
    /// A setting's text, as SHOW prints it.
    fn setting(&self, name: &str) -> Option<String>;
    fn set_setting(&mut self, name: &str, value: &str, local: bool) -> Result<String>;
    fn backend_pid(&self) -> i32;
    /// The catalog of this statement.
    fn catalog(&self) -> Arc<crate::catalog::Catalog>;
    fn sequence_next(&mut self, sequence: ObjectId) -> Result<i64>;
    fn sequence_last(&mut self, sequence: ObjectId) -> Result<i64>;
    fn sequence_set(&mut self, sequence: ObjectId, value: i64, called: bool) -> Result<()>;
    /// The value that `lastval()` gives.
    fn last_sequence_value(&self) -> Result<i64>;
    fn transaction_id(&mut self) -> Result<u64>;
    /// Called now and then by long loops: an error when the statement is to stop. Lets other work
    /// of the process have its turn.
    fn checkpoint(&mut self) -> Result<()> {
        Ok(())
    }
    /// Anything else by name: advisory locks, sizes, cancel; what the engine does not know it
    /// refuses by that name.
    fn system(&mut self, function: &'static str, args: &[Value]) -> Result<Value> {
        let _ = args;
        Err(Error::unsupported(format!("function {function}")))
    }
}

#[cfg(test)]
mod tests;
