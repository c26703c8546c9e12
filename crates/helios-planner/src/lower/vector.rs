//! Plans for the vectorised executor: what it can do, and when it pays.
//!
//! A plan is made flat first: CTEs are put where they are read, subqueries become joins
//! ([`decorrelate`]). What remains must be made of nodes, functions and types that the executor
//! computes as PostgreSQL does ([`check`]). Arrow's kernels compare, group, sort and join by their
//! own rules, which agree with PostgreSQL's for the types of [`is_exact`]; for the others the
//! executor works on keys that do. Anything else is left to the row executor, and so is a plan
//! whose parameters break an [`Assumption`] when it starts.

mod certain;
mod check;
pub mod cost;
mod decorrelate;
mod pull_up;

pub use certain::{PARAMETER_DIGITS, is_comparison, is_constant, visible, widened_date};

use crate::catalog::Table;
use crate::node::{CteScan, Materialize};
use crate::pgtype;
use crate::sql::plan as build;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::OptimizerContext;
use datafusion::optimizer::OptimizerRule;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use std::sync::Arc;

/// Rows that the row executor must read for the vectorised one to be chosen.
const ROWS_MIN: f64 = 50_000.0;
/// Most CTEs that are computed where they are read instead of once.
const COPIES_MAX: usize = 16;

/// A plan as the vectorised executor takes it.
#[derive(Debug)]
pub struct VectorPlan {
    /// Flat; parameters stand as placeholders.
    pub plan: LogicalPlan,
    /// What its parameters have to be like.
    pub assumptions: Vec<Assumption>,
}

/// What must hold of a constant expression for the plan to be right.
#[derive(Clone, Debug)]
pub enum Assumption {
    /// NULL or at least 0.
    NotNegative(Expr),
    /// NULL or at least 1.
    Positive(Expr),
    /// A LIKE pattern without escapes.
    PlainPattern(Expr),
    /// A number of at most [`PARAMETER_DIGITS`] digits before the point.
    FewDigits(Expr),
}

impl Assumption {
    pub fn expr(&self) -> &Expr {
        match self {
            Assumption::NotNegative(e)
            | Assumption::Positive(e)
            | Assumption::PlainPattern(e)
            | Assumption::FewDigits(e) => e,
        }
    }
}

/// A reason not to vectorise, on its way through DataFusion's results.
fn obstacle_error(reason: impl Into<String>) -> DataFusionError {
    DataFusionError::NotImplemented(reason.into())
}

/// Types whose equality is the same to Arrow as to PostgreSQL.
pub fn is_exact(oid: u32) -> bool {
    pgtype::arrow_comparable(oid) && !matches!(oid, 700 | 701)
}

/// Whether the row executor would read so much for the plan that Arrow pays.
pub fn is_worthwhile(plan: &LogicalPlan, row_count: &dyn Fn(&Table) -> u64) -> bool {
    let mut heavy = false;
    let _ = plan.apply_with_subqueries(|node| {
        heavy |= match node {
            LogicalPlan::Aggregate(_) | LogicalPlan::Join(_) => true,
            LogicalPlan::Subquery(subquery) => !subquery.outer_ref_columns.is_empty(),
            _ => false,
        };
        Ok(TreeNodeRecursion::Continue)
    });
    heavy && cost::Estimator { row_count }.cost(plan).read >= ROWS_MIN
}

/// The plan as the vectorised executor takes it, or why it cannot.
pub fn vectorise(plan: &LogicalPlan) -> Result<VectorPlan, String> {
    let reason = |error: DataFusionError| match error {
        DataFusionError::NotImplemented(reason) => reason,
        _ => "a plan of this form".to_string(),
    };
    check::nodes(plan).map_err(reason)?;
    let mut copies = 0;
    let plan = inline(plan.clone(), &mut Vec::new(), &mut copies).map_err(reason)?;
    let mut decorrelation = decorrelate::Decorrelation::default();
    let flat = decorrelation.plan(plan).map_err(reason)?;
    let flat = check::guarded(flat).map_err(reason)?;
    check::flat(&flat).map_err(reason)?;
    let context = OptimizerContext::new_with_config_options(Arc::new(ConfigOptions::default()))
        .without_query_execution_start_time();
    let pruned = OptimizeProjections::new()
        .rewrite(flat, &context)
        .map_err(reason)?;
    Ok(VectorPlan {
        plan: pruned.data,
        assumptions: decorrelation.certainty.assumptions,
    })
}

/// Why the vectorised executor cannot run a plan; `None` when it can.
pub fn obstacle(plan: &LogicalPlan) -> Option<String> {
    vectorise(plan).err()
}

/// Puts the plans of CTEs where they are read: nothing in them is volatile, so that each copy
/// gives the same rows.
fn inline(
    plan: LogicalPlan,
    ctes: &mut Vec<(u32, LogicalPlan)>,
    copies: &mut usize,
) -> DataFusionResult<LogicalPlan> {
    if let LogicalPlan::Extension(extension) = &plan {
        let any = extension.node.as_any();
        if let Some(materialize) = any.downcast_ref::<Materialize>() {
            let before = ctes.len();
            for (id, cte) in &materialize.ctes {
                let cte = inline(cte.as_ref().clone(), ctes, copies)?;
                ctes.push((*id, cte));
            }
            let body = inline(materialize.body.as_ref().clone(), ctes, copies);
            ctes.truncate(before);
            return body;
        }
        if let Some(scan) = any.downcast_ref::<CteScan>() {
            *copies += 1;
            let Some((_, cte)) = ctes.iter().rev().find(|(id, _)| *id == scan.id) else {
                return Err(obstacle_error("a recursive query"));
            };
            if *copies > COPIES_MAX {
                return Err(obstacle_error("a WITH query that is read very often"));
            }
            return copy_of(cte, scan);
        }
    }
    plan.map_children(|child| inline(child, ctes, copies).map(Transformed::yes))?
        .data
        .map_subqueries(|subquery| match subquery {
            LogicalPlan::Subquery(mut subquery) => {
                let plan = Arc::unwrap_or_clone(subquery.subquery);
                subquery.subquery = Arc::new(inline(plan, ctes, copies)?);
                Ok(Transformed::yes(LogicalPlan::Subquery(subquery)))
            }
            other => Ok(Transformed::no(other)),
        })
        .map(|t| t.data)
}

/// A CTE's plan with the columns of the scan that reads it.
fn copy_of(cte: &LogicalPlan, scan: &CteScan) -> DataFusionResult<LogicalPlan> {
    let columns = build::output_columns(cte)
        .into_iter()
        .zip(scan.schema.iter())
        .map(|(column, (qualifier, field))| {
            let ty = pgtype::type_of_field(field);
            column.alias_qualified_with_metadata(
                qualifier.cloned(),
                field.name().clone(),
                Some(pgtype::field_metadata(ty)),
            )
        })
        .collect();
    build::project(cte.clone(), columns).map_err(crate::function::arrow::external)
}
