//! Nodes of queries: row locks, set-returning functions, CTEs, set operations with multiplicity.

use datafusion::common::{DFSchemaRef, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Implements the identity traits over the listed fields: a schema follows from the other fields.
macro_rules! identity {
    ($node:ty: $($field:ident),+) => {
        impl PartialEq for $node {
            fn eq(&self, other: &Self) -> bool {
                $(self.$field == other.$field)&&+
            }
        }
        impl Eq for $node {}
        impl Hash for $node {
            fn hash<H: Hasher>(&self, state: &mut H) {
                $(self.$field.hash(state);)+
            }
        }
        impl PartialOrd for $node {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                (self == other).then_some(Ordering::Equal)
            }
        }
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockStrength {
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockWait {
    Block,
    NoWait,
    SkipLocked,
}

/// One table of a `FOR UPDATE` clause: its qualifier in the input, whose key column names the row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowLock {
    pub target: String,
    pub strength: LockStrength,
    pub wait: LockWait,
}

/// `FOR UPDATE / SHARE`: locks each input row's named rows and passes the row on, re-read and
/// re-evaluated when another transaction changed it.
#[derive(Clone, Debug)]
pub struct LockRows {
    pub input: Arc<LogicalPlan>,
    pub locks: Vec<RowLock>,
    /// LIMIT and OFFSET above the lock, so that no row is locked in vain.
    pub fetch: Option<Box<Expr>>,
    pub skip: Option<Box<Expr>>,
}
identity!(LockRows: input, locks, fetch, skip);

/// A call of a set-returning function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FunctionCall {
    /// A `ScalarFunction` expression whose function is set-returning.
    pub call: Expr,
    /// How many columns of the node it fills.
    pub n_columns: usize,
}

/// Functions in FROM: `ROWS FROM (f(…), g(…)) WITH ORDINALITY`. A leaf; arguments hold constants,
/// parameters and (under LATERAL) outer references.
#[derive(Clone, Debug)]
pub struct FunctionScan {
    pub calls: Vec<FunctionCall>,
    pub ordinality: bool,
    pub schema: DFSchemaRef,
}
identity!(FunctionScan: calls, ordinality);

/// Set-returning functions in a select list: input columns pass through, one column is added for
/// each function; shorter results are padded with NULL as PostgreSQL does.
#[derive(Clone, Debug)]
pub struct ProjectSet {
    pub input: Arc<LogicalPlan>,
    pub calls: Vec<Expr>,
    pub schema: DFSchemaRef,
}
identity!(ProjectSet: input, calls);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SetOperator {
    Intersect,
    Except,
}

/// INTERSECT and EXCEPT, with PostgreSQL's multiplicities under ALL.
#[derive(Clone, Debug)]
pub struct SetOperation {
    pub operator: SetOperator,
    pub all: bool,
    pub left: Arc<LogicalPlan>,
    pub right: Arc<LogicalPlan>,
    pub schema: DFSchemaRef,
}
identity!(SetOperation: operator, all, left, right);

/// Computes CTEs once, in order, each seen by [`CteScan`]s of its id in later ones and in the
/// body. Data-modifying CTEs are always run to the end.
#[derive(Clone, Debug)]
pub struct Materialize {
    pub ctes: Vec<(u32, Arc<LogicalPlan>)>,
    pub body: Arc<LogicalPlan>,
}
identity!(Materialize: ctes, body);

/// Reads a materialised CTE, or inside [`RecursiveCte`] its working table.
#[derive(Clone, Debug)]
pub struct CteScan {
    pub id: u32,
    pub name: String,
    pub schema: DFSchemaRef,
}
identity!(CteScan: id, name);

/// `WITH RECURSIVE`: `start`, then `step` over the rows of the round before ([`CteScan`] of `id`)
/// until a round gives none. `distinct` is UNION instead of UNION ALL.
#[derive(Clone, Debug)]
pub struct RecursiveCte {
    pub id: u32,
    pub start: Arc<LogicalPlan>,
    pub step: Arc<LogicalPlan>,
    pub distinct: bool,
    pub schema: DFSchemaRef,
}
identity!(RecursiveCte: id, start, step, distinct);

fn next_input(inputs: &mut std::vec::IntoIter<LogicalPlan>) -> Result<Arc<LogicalPlan>> {
    inputs
        .next()
        .map(Arc::new)
        .ok_or_else(|| datafusion::common::DataFusionError::Internal("missing plan input".into()))
}

fn join(exprs: &[Expr]) -> String {
    exprs
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

impl UserDefinedLogicalNodeCore for LockRows {
    fn name(&self) -> &str {
        "LockRows"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }
    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }
    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "LockRows:")?;
        for lock in &self.locks {
            write!(f, " {} {:?} {:?}", lock.target, lock.strength, lock.wait)?;
        }
        if let Some(fetch) = &self.fetch {
            write!(f, " fetch={fetch}")?;
        }
        Ok(())
    }
    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(LockRows {
            input: next_input(&mut inputs.into_iter())?,
            ..self.clone()
        })
    }
}

impl UserDefinedLogicalNodeCore for FunctionScan {
    fn name(&self) -> &str {
        "FunctionScan"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        self.calls.iter().map(|c| c.call.clone()).collect()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "FunctionScan: {}", join(&self.expressions()))?;
        if self.ordinality {
            write!(f, " with ordinality")
        } else {
            Ok(())
        }
    }
    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, _inputs: Vec<LogicalPlan>) -> Result<Self> {
        let calls = self
            .calls
            .iter()
            .zip(exprs)
            .map(|(old, call)| FunctionCall {
                call,
                n_columns: old.n_columns,
            })
            .collect();
        Ok(FunctionScan {
            calls,
            ..self.clone()
        })
    }
}

impl UserDefinedLogicalNodeCore for ProjectSet {
    fn name(&self) -> &str {
        "ProjectSet"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        self.calls.clone()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "ProjectSet: {}", join(&self.calls))
    }
    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(ProjectSet {
            calls: exprs,
            input: next_input(&mut inputs.into_iter())?,
            ..self.clone()
        })
    }
}

impl UserDefinedLogicalNodeCore for SetOperation {
    fn name(&self) -> &str {
        "SetOperation"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "SetOperation: {:?}{}",
            self.operator,
            if self.all { " all" } else { "" }
        )
    }
    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut inputs = inputs.into_iter();
        let (left, right) = (next_input(&mut inputs)?, next_input(&mut inputs)?);
        Ok(SetOperation {
            left,
            right,
            ..self.clone()
        })
    }
}

impl UserDefinedLogicalNodeCore for Materialize {
    fn name(&self) -> &str {
        "Materialize"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.ctes
            .iter()
            .map(|(_, plan)| plan.as_ref())
            .chain([self.body.as_ref()])
            .collect()
    }
    fn schema(&self) -> &DFSchemaRef {
        self.body.schema()
    }
    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Materialize: {} CTE(s)", self.ctes.len())
    }
    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut inputs = inputs.into_iter();
        let ctes = self
            .ctes
            .iter()
            .map(|(id, _)| Ok((*id, next_input(&mut inputs)?)))
            .collect::<Result<_>>()?;
        Ok(Materialize {
            ctes,
            body: next_input(&mut inputs)?,
        })
    }
}

impl UserDefinedLogicalNodeCore for CteScan {
    fn name(&self) -> &str {
        "CteScan"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "CteScan: {}", self.name)
    }
    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, _inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}

impl UserDefinedLogicalNodeCore for RecursiveCte {
    fn name(&self) -> &str {
        "RecursiveCte"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.start, &self.step]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "RecursiveCte:{}",
            if self.distinct { " distinct" } else { "" }
        )
    }
    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut inputs = inputs.into_iter();
        let (start, step) = (next_input(&mut inputs)?, next_input(&mut inputs)?);
        Ok(RecursiveCte {
            start,
            step,
            ..self.clone()
        })
    }
}
