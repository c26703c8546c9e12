//! INSERT, UPDATE, DELETE and MERGE: one node whose input yields rows.

use crate::catalog::Table;
use crate::relation::KEY_COLUMN;
use datafusion::common::{DFSchemaRef, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};
use helios_types::ObjectId;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ModifyOp {
    /// The input's columns are the values of `columns`, in that order.
    Insert,
    /// The input holds the target's columns and its [`KEY_COLUMN`], qualified by `target`, and
    /// whatever else FROM joined; `assignments` are evaluated over it.
    Update,
    /// As `Update`, without assignments.
    Delete,
}

/// Column position in the target (as in `Table::columns`) and its new value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct Assignment {
    pub column: usize,
    pub value: Expr,
}

/// `ON CONFLICT`. Expressions see the existing row under the target's qualifier and the proposed
/// row under `excluded`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct OnConflict {
    /// The unique indexes that arbitrate; empty means any (DO NOTHING only).
    pub arbiters: Vec<ObjectId>,
    pub action: ConflictAction,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub enum ConflictAction {
    Nothing,
    Update {
        assignments: Vec<Assignment>,
        filter: Option<Expr>,
    },
}

#[derive(Clone, Debug)]
pub struct ModifyTable {
    pub op: ModifyOp,
    pub table: Arc<Table>,
    /// Qualifier of the target's columns in every expression here.
    pub target: String,
    pub input: Arc<LogicalPlan>,
    /// INSERT: positions of the target columns that the input gives; the others take defaults.
    pub columns: Vec<usize>,
    /// INSERT: `OVERRIDING SYSTEM VALUE` (true) or `USER VALUE` (false).
    pub overriding: Option<bool>,
    pub assignments: Vec<Assignment>,
    pub on_conflict: Option<OnConflict>,
    /// Evaluated over the row as written (old row for DELETE) under `target`, and the input's
    /// other columns. Empty without RETURNING.
    pub returning: Vec<Expr>,
    /// The RETURNING columns; no columns without RETURNING.
    pub schema: DFSchemaRef,
}

impl ModifyTable {
    fn identity(&self) -> (ModifyOp, ObjectId, &str, &LogicalPlan, &[usize]) {
        (
            self.op,
            self.table.id,
            &self.target,
            &self.input,
            &self.columns,
        )
    }
}

impl PartialEq for ModifyTable {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
            && self.assignments == other.assignments
            && self.on_conflict == other.on_conflict
            && self.returning == other.returning
    }
}

impl Eq for ModifyTable {}

impl Hash for ModifyTable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
        self.assignments.hash(state);
        self.returning.hash(state);
    }
}

impl PartialOrd for ModifyTable {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.identity().partial_cmp(&other.identity())
    }
}

impl UserDefinedLogicalNodeCore for ModifyTable {
    fn name(&self) -> &str {
        "ModifyTable"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        // Not shown to the optimizer: they refer to the row being written, which no input has.
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "ModifyTable: {:?} {}", self.op, self.table.name)?;
        let name = |i: usize| self.table.columns[i].name.as_str();
        if self.op == ModifyOp::Insert {
            let columns: Vec<_> = self.columns.iter().map(|&i| name(i)).collect();
            write!(f, " ({})", columns.join(", "))?;
        }
        if !self.assignments.is_empty() {
            let set: Vec<_> = self
                .assignments
                .iter()
                .map(|a| format!("{} = {}", name(a.column), a.value))
                .collect();
            write!(f, " set {}", set.join(", "))?;
        }
        match &self.on_conflict {
            Some(OnConflict {
                action: ConflictAction::Nothing,
                ..
            }) => write!(f, " on conflict do nothing")?,
            Some(OnConflict {
                action: ConflictAction::Update { assignments, .. },
                ..
            }) => {
                let set: Vec<_> = assignments
                    .iter()
                    .map(|a| format!("{} = {}", name(a.column), a.value))
                    .collect();
                write!(f, " on conflict do update set {}", set.join(", "))?;
            }
            None => {}
        }
        if !self.returning.is_empty() {
            let list: Vec<_> = self.returning.iter().map(ToString::to_string).collect();
            write!(f, " returning {}", list.join(", "))?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(
        &self,
        _exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        let input = inputs.pop().ok_or_else(|| {
            datafusion::common::DataFusionError::Internal(format!("{KEY_COLUMN}: no input"))
        })?;
        Ok(ModifyTable {
            input: Arc::new(input),
            ..self.clone()
        })
    }
}
