//! A request is a template and its parameters; the plan is made once for all of them.

use crate::lower::vector::VectorPlan;
use crate::node::ModifyTable;
use datafusion::logical_expr::{Expr, LogicalPlan};
use helios_types::{ObjectId, Type};
use std::sync::Arc;

/// A bound and optimised plan with typed parameters, lowered to one executor.
///
/// Immutable and shared by all sessions. Valid while the catalog has the version it was bound
/// under.
#[derive(Debug)]
pub struct PlanTemplate {
    /// Optimised; parameters stand as `Expr::Placeholder("$1")` with their type in the metadata.
    pub plan: LogicalPlan,
    /// Exact parameter types: callers convert before they execute.
    pub params: Vec<Type>,
    pub output: Vec<OutputColumn>,
    pub command: Command,
    pub catalog_version: u64,
    pub executor: Executor,
    /// Whether anything in the plan writes or locks.
    pub writes: bool,
    /// Relations the plan touches and what it needs on each; checked at every execution.
    pub privileges: Vec<RequiredPrivilege>,
}

/// A result column as a client sees it.
#[derive(Clone, Debug)]
pub struct OutputColumn {
    pub name: String,
    pub ty: Type,
    /// The table column that it is, when it is one: (table, attnum).
    pub origin: Option<(ObjectId, i16)>,
}

/// What kind of statement it was; front-ends make their completion tags from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Select,
    Insert,
    Update,
    Delete,
    Merge,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredPrivilege {
    pub relation: ObjectId,
    /// One of the letters of [`crate::catalog::Grant::privileges`].
    pub privilege: char,
    /// Whose rights count: a view's owner for what stands inside the view.
    pub as_role: Option<ObjectId>,
}

#[derive(Debug)]
pub enum Executor {
    /// Straight on storage: no Arrow, no physical planning, no task switch.
    Kv(KvProgram),
    /// Row at a time over values, with nested-loop evaluation of correlated parts.
    Apply,
    /// DataFusion's physical planner over Arrow batches.
    Vector(Box<VectorPlan>),
}

impl Executor {
    /// The name that EXPLAIN shows.
    pub fn name(&self) -> &'static str {
        match self {
            Executor::Kv(_) => "Kv",
            Executor::Apply => "Apply",
            Executor::Vector(_) => "Vector",
        }
    }
}

/// What the key-value executor runs. Expressions refer to the table's source schema
/// ([`crate::relation::RelationSource`]) by column name.
#[derive(Debug)]
pub enum KvProgram {
    /// Rows found by keys, filtered, projected.
    Read {
        access: KvAccess,
        filter: Option<Expr>,
        output: Vec<Expr>,
    },
    /// INSERT … VALUES of scalar expressions.
    Insert {
        node: Arc<ModifyTable>,
        rows: Vec<Vec<Expr>>,
    },
    /// UPDATE or DELETE of the rows that `access` and `filter` find.
    Change {
        node: Arc<ModifyTable>,
        access: KvAccess,
        filter: Option<Expr>,
    },
}

/// How a table's rows are reached; every expression is free of columns.
#[derive(Debug, Clone)]
pub struct KvAccess {
    pub table: Arc<crate::catalog::Table>,
    pub path: AccessPath,
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
}

#[derive(Debug, Clone)]
pub enum AccessPath {
    /// One row by its whole key, in key column order; no row when a part is NULL.
    Point(Vec<Expr>),
    /// Rows by several whole keys; a key that comes twice gives its row once.
    Points(Vec<Vec<Expr>>),
    /// A range of the row key (`index` None) or of an index: its first columns equal to `equal`,
    /// the next one within the bounds. The bounds are in SQL's order, also where the index column
    /// is descending. A NULL among the values reaches no row, and a bounded column that is NULL is
    /// not in the range. `reverse` reads the keys from the last to the first. `ordered` says that
    /// the order of the index is wanted, which matters where documents have several entries.
    Range {
        index: Option<ObjectId>,
        equal: Vec<Expr>,
        lower: Option<Bound>,
        upper: Option<Bound>,
        reverse: bool,
        ordered: bool,
    },
    /// Documents whose key or index begins with `equal` and one of the elements of an array.
    Each {
        index: Option<ObjectId>,
        equal: Vec<Expr>,
        values: Expr,
    },
    /// All rows.
    Full { reverse: bool },
}

#[derive(Debug, Clone)]
pub struct Bound {
    pub value: Expr,
    pub inclusive: bool,
}
