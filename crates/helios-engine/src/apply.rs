//! The row executor: interprets a `LogicalPlan` over rows of values, a row at a time.
//!
//! It runs every plan there is, in any nesting: what DataFusion cannot decorrelate (LATERAL,
//! `ARRAY(SELECT …)`, subqueries at any depth), what is too small to be worth Arrow, the catalog
//! queries of drivers, the input of UPDATE and DELETE.
//!
//! ```text
//! LogicalPlan ── compile ──> Program (immutable, shared)  ── start ──> Execution ── next ──> Row
//! ```
//!
//! * A [`Program`] is a tree of [`Operator`]s with compiled expressions and chosen access paths,
//!   and the programs of its subqueries by number. It holds no parameters and no snapshot and may
//!   be kept beside the template.
//! * An [`Execution`] owns everything that one run needs, except the session's functions, which
//!   are lent for each call. So it can be kept across awaits: whoever drives it pulls a row, waits
//!   for a lock, pulls the next.
//! * Reads are synchronous and go through [`TableReader`], which fixes the snapshot.
//!
//! Bounds: materialised rows are charged against [`Memory`]; every few hundred rows the
//! [`CancelFlag`] is looked at. Results are deterministic: hash tables keep insertion order.

mod aggregate;
mod compile;
mod context;
mod cte;
mod filter;
mod function_scan;
mod hash_join;
pub(crate) mod join;
pub(crate) mod scan;
mod set;
mod sort;
mod source;
mod subquery;
mod window;

pub use compile::{CompileOptions, compile};
pub use context::{CancelFlag, ExecContext, ExecState, Memory};
pub use source::{KeyPath, ScanRequest, TableReader, TableRows, ValueBound, VirtualTables};

use helios_planner::catalog::Catalog;
use helios_planner::function::FunctionContext;
use helios_types::{Result, Value};
use std::fmt::Debug;
use std::sync::Arc;

/// A row of an intermediate or final result.
pub type Row = Vec<Value>;

/// Rows, pulled one by one.
pub trait RowIter: Send {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>>;
}

/// A node of a compiled plan.
pub trait Operator: Send + Sync + Debug {
    /// Starts the node for the outer row that `cx` holds.
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>>;

    /// One line for EXPLAIN, without the inputs.
    fn describe(&self) -> String;

    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        Vec::new()
    }
}

/// A compiled plan.
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) root: Arc<dyn Operator>,
    pub(crate) subqueries: Arc<[subquery::Subprogram]>,
}

impl Program {
    /// The operators as text, one a line, inputs indented below; subqueries after the main plan.
    pub fn explain(&self) -> String {
        fn write(out: &mut String, operator: &Arc<dyn Operator>, depth: usize) {
            out.push_str(&"  ".repeat(depth));
            out.push_str(&operator.describe());
            out.push('\n');
            for input in operator.inputs() {
                write(out, input, depth + 1);
            }
        }
        let mut out = String::new();
        write(&mut out, &self.root, 0);
        for (number, subquery) in self.subqueries.iter().enumerate() {
            out.push_str(&format!("SubPlan {}\n", number + 1));
            write(&mut out, &subquery.root, 1);
        }
        out
    }
}

/// What one run of a program needs.
#[derive(Clone)]
pub struct ExecOptions {
    /// Reads tables at the statement's snapshot.
    pub reader: Arc<dyn TableReader>,
    pub virtual_tables: Arc<dyn VirtualTables>,
    pub params: Arc<[Value]>,
    pub catalog: Arc<Catalog>,
    pub cancel: Arc<CancelFlag>,
    /// Bytes that materialised rows may take.
    pub memory_limit: usize,
}

/// A running program. Dropping it ends the run.
pub struct Execution {
    iter: Box<dyn RowIter>,
    state: ExecState,
}

impl Execution {
    pub fn start(
        program: &Program,
        options: ExecOptions,
        functions: &mut dyn FunctionContext,
    ) -> Result<Self> {
        Self::start_with(program, ExecState::new(program, options), functions)
    }

    /// Starts with a state that was prepared: CTEs that were computed elsewhere, or rows that
    /// stand for a table.
    pub fn start_with(
        program: &Program,
        mut state: ExecState,
        functions: &mut dyn FunctionContext,
    ) -> Result<Self> {
        let mut cx = ExecContext {
            functions,
            state: &mut state,
        };
        let iter = program.root.clone().open(&mut cx)?;
        Ok(Execution { iter, state })
    }

    pub fn next(&mut self, functions: &mut dyn FunctionContext) -> Result<Option<Row>> {
        self.iter.next(&mut ExecContext {
            functions,
            state: &mut self.state,
        })
    }

    /// What is left, as a list.
    pub fn collect(mut self, functions: &mut dyn FunctionContext) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        while let Some(row) = self.next(functions)? {
            rows.push(row);
        }
        Ok(rows)
    }

    /// For expressions that are evaluated over the rows by whoever pulls them.
    pub fn context<'a>(&'a mut self, functions: &'a mut dyn FunctionContext) -> ExecContext<'a> {
        ExecContext {
            functions,
            state: &mut self.state,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
