//! Takes the conditions on outer columns out of a subquery.
//!
//! What such a condition needs of the subquery's own rows is passed up to the top under a new
//! name, through projections, aliases and joins, and as a further grouping column through an
//! aggregate, which is right as long as the condition is an equality.

use super::certain::is_constant;
use super::{Assumption, obstacle_error};
use crate::scalar::expr_type;
use crate::sql::plan;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, Result, ScalarValue};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Operator,
    Projection, SubqueryAlias, TableScan,
};
use std::sync::Arc;

/// A condition between the outer query's row and the subquery's.
pub enum Condition {
    /// An expression over outer columns equals the passed up column of this name.
    Equal { outer: Expr, inner: String },
    /// Anything else, over outer columns and names of passed up ones.
    Other(Expr),
}

/// A part of the subquery without outer columns.
pub struct Pulled {
    pub plan: LogicalPlan,
    /// The columns that it gives beyond its own.
    pub exposed: Vec<Column>,
}

pub struct PullUp<'a> {
    pub outer: &'a DFSchema,
    /// Only whether there is a row counts: true on the way down from an EXISTS as long as every row
    /// below gives one above.
    pub exists: bool,
    pub names: &'a mut usize,
    pub conditions: Vec<Condition>,
    pub assumptions: Vec<Assumption>,
}

/// Whether the expression has columns of an outer query.
pub fn is_correlated(expr: &Expr) -> bool {
    expr.exists(|e| Ok(matches!(e, Expr::OuterReferenceColumn(..))))
        .unwrap_or(true)
}

/// Whether any expression of the plan has.
pub fn has_outer_columns(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let _ = plan.apply(|node| {
        node.apply_expressions(|e| {
            found |= is_correlated(e);
            Ok(TreeNodeRecursion::Continue)
        })
    });
    found
}

/// The next unique name.
pub fn fresh(names: &mut usize, prefix: &str) -> String {
    *names += 1;
    format!("__{prefix}{names}")
}

/// Outer columns as columns of the query that `schema` belongs to.
pub fn resolved(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    expr.transform(|e| match e {
        Expr::OuterReferenceColumn(_, column) if schema.has_column(&column) => {
            Ok(Transformed::yes(Expr::Column(column)))
        }
        Expr::OuterReferenceColumn(..) => Err(obstacle_error(
            "a subquery that refers to more than one query around it",
        )),
        other => Ok(Transformed::no(other)),
    })
    .map(|t| t.data)
}

/// All columns of a plan, in order.
pub fn columns_of(plan: &LogicalPlan) -> Vec<Expr> {
    plan::output_columns(plan)
}

fn refuse<T>(node: &LogicalPlan) -> Result<T> {
    Err(obstacle_error(format!(
        "a correlated subquery with {}",
        node.display()
    )))
}

impl PullUp<'_> {
    pub fn plan(&mut self, node: LogicalPlan) -> Result<Pulled> {
        if !has_outer_columns(&node) {
            return Ok(Pulled {
                plan: node,
                exposed: Vec::new(),
            });
        }
        match node {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::Filter(filter) => {
                let input = self.counted(filter.input)?;
                self.filtered(input, split_conjunction_owned(filter.predicate))
            }
            LogicalPlan::Projection(ref projection)
                if !projection.expr.iter().any(is_correlated) =>
            {
                let input = self.plan(projection.input.as_ref().clone())?;
                let mut exprs = projection.expr.clone();
                exprs.extend(input.exposed.iter().cloned().map(Expr::Column));
                let plan = Projection::try_new(exprs, Arc::new(input.plan))?;
                Ok(Pulled {
                    plan: LogicalPlan::Projection(plan),
                    exposed: input.exposed,
                })
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let input = self.plan(Arc::unwrap_or_clone(alias.input))?;
                let exposed = input
                    .exposed
                    .iter()
                    .map(|c| Column::new(Some(alias.alias.clone()), &c.name))
                    .collect();
                let plan = SubqueryAlias::try_new(Arc::new(input.plan), alias.alias)?;
                Ok(Pulled {
                    plan: LogicalPlan::SubqueryAlias(plan),
                    exposed,
                })
            }
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Aggregate(ref aggregate)
                if !aggregate.group_expr.is_empty()
                    && !aggregate.group_expr.iter().any(is_correlated)
                    && !aggregate.aggr_expr.iter().any(is_correlated) =>
            {
                self.aggregate(aggregate.clone())
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let input = self.plan(Arc::unwrap_or_clone(input))?;
                Ok(Pulled {
                    plan: plan::distinct(input.plan),
                    exposed: input.exposed,
                })
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
                self.plan(Arc::unwrap_or_clone(sort.input))
            }
            // One row is as good as all of them.
            LogicalPlan::Limit(limit)
                if self.exists && limit.skip.as_deref().is_none_or(is_zero) =>
            {
                if let Some(fetch) = limit.fetch {
                    if !is_constant(&fetch) {
                        return Err(obstacle_error("a computed LIMIT"));
                    }
                    self.assumptions.push(Assumption::Positive(*fetch));
                }
                self.plan(Arc::unwrap_or_clone(limit.input))
            }
            other => refuse(&other),
        }
    }

    /// A part whose rows themselves count, not only whether there is one.
    fn counted(&mut self, node: Arc<LogicalPlan>) -> Result<Pulled> {
        let exists = std::mem::replace(&mut self.exists, false);
        let pulled = self.plan(Arc::unwrap_or_clone(node));
        self.exists = exists;
        pulled
    }

    /// An aggregate that gives its groups for every outer row at once.
    pub fn aggregate(&mut self, aggregate: Aggregate) -> Result<Pulled> {
        let before = self.conditions.len();
        let input = self.counted(aggregate.input)?;
        if self.conditions[before..]
            .iter()
            .any(|c| matches!(c, Condition::Other(_)))
        {
            return Err(obstacle_error(
                "an aggregate in a subquery whose condition is no equality",
            ));
        }
        let mut groups = aggregate.group_expr;
        groups.extend(input.exposed.iter().cloned().map(Expr::Column));
        let plan = Aggregate::try_new(Arc::new(input.plan), groups, aggregate.aggr_expr)?;
        Ok(Pulled {
            plan: LogicalPlan::Aggregate(plan),
            exposed: input.exposed,
        })
    }

    fn scan(&mut self, scan: TableScan) -> Result<Pulled> {
        if scan.fetch.is_some_and(|rows| rows == 0 || !self.exists) {
            return refuse(&LogicalPlan::TableScan(scan));
        }
        let (correlated, plain): (Vec<Expr>, Vec<Expr>) =
            scan.filters.iter().cloned().partition(is_correlated);
        let columns: Vec<Expr> = (0..scan.projected_schema.fields().len())
            .map(|i| Expr::Column(scan.projected_schema.qualified_field(i).into()))
            .collect();
        let all = LogicalPlanBuilder::scan_with_filters(
            scan.table_name.clone(),
            scan.source.clone(),
            None,
            plain,
        )?
        .build()?;
        self.exposing(all, Vec::new(), columns, correlated)
    }

    /// The conditions over a part: those with outer columns are taken out.
    fn filtered(&mut self, input: Pulled, conditions: Vec<Expr>) -> Result<Pulled> {
        let (correlated, plain): (Vec<Expr>, Vec<Expr>) =
            conditions.into_iter().partition(is_correlated);
        let mut plan = input.plan;
        if let Some(plain) = conjunction(plain) {
            plan = LogicalPlan::Filter(Filter::new(plain, Arc::new(plan)));
        }
        let columns = columns_of(&plan);
        self.exposing(plan, input.exposed, columns, correlated)
    }

    /// Gives `columns` of the plan and what the conditions need of its rows.
    fn exposing(
        &mut self,
        input: LogicalPlan,
        mut exposed: Vec<Column>,
        mut columns: Vec<Expr>,
        conditions: Vec<Expr>,
    ) -> Result<Pulled> {
        if conditions.is_empty() {
            return Ok(Pulled {
                plan: input,
                exposed,
            });
        }
        let schema = input.schema().clone();
        for condition in conditions {
            let condition = self.condition(condition, &schema, &mut columns, &mut exposed)?;
            self.conditions.push(condition);
        }
        let plan = Projection::try_new(columns, Arc::new(input))?;
        Ok(Pulled {
            plan: LogicalPlan::Projection(plan),
            exposed,
        })
    }

    fn condition(
        &mut self,
        condition: Expr,
        schema: &DFSchema,
        columns: &mut Vec<Expr>,
        exposed: &mut Vec<Column>,
    ) -> Result<Condition> {
        let mut expose = |names: &mut usize, expr: Expr| -> Result<String> {
            let name = fresh(names, "d");
            let ty = expr_type(&expr, schema).map_err(crate::function::arrow::external)?;
            columns.push(plan::alias(expr, &name, ty));
            exposed.push(Column::new_unqualified(&name));
            Ok(name)
        };
        if let Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) = &condition
        {
            for (inner, outer) in [(left, right), (right, left)] {
                if !is_correlated(inner) && !has_columns(outer) {
                    let inner = expose(self.names, inner.as_ref().clone())?;
                    let outer = resolved(outer.as_ref().clone(), self.outer)?;
                    return Ok(Condition::Equal { outer, inner });
                }
            }
        }
        let exposing = condition.transform_up(|e| match e {
            Expr::Column(_) => {
                let name = expose(self.names, e)?;
                Ok(Transformed::yes(Expr::Column(Column::new_unqualified(
                    name,
                ))))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(Condition::Other(resolved(exposing.data, self.outer)?))
    }

    fn join(&mut self, join: Join) -> Result<Pulled> {
        let inner = join.join_type == JoinType::Inner;
        let left_decides = matches!(
            join.join_type,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark
        );
        let (correlated, plain): (Vec<Expr>, Vec<Expr>) = join
            .filter
            .clone()
            .map(split_conjunction_owned)
            .unwrap_or_default()
            .into_iter()
            .partition(is_correlated);
        let keys = join
            .on
            .iter()
            .any(|(l, r)| is_correlated(l) || is_correlated(r));
        let fits =
            inner || (left_decides && correlated.is_empty() && !has_outer_columns(&join.right));
        if keys || !fits {
            return refuse(&LogicalPlan::Join(join));
        }
        let left = self.counted(join.left)?;
        let right = self.counted(join.right)?;
        let joined = Join::try_new(
            Arc::new(left.plan),
            Arc::new(right.plan),
            join.on,
            conjunction(plain),
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?;
        let mut exposed = left.exposed;
        exposed.extend(right.exposed);
        let joined = Pulled {
            plan: LogicalPlan::Join(joined),
            exposed,
        };
        self.filtered(joined, correlated)
    }
}

fn is_zero(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Int64(Some(0)), _))
}

/// Whether the expression has columns of its own query.
pub fn has_columns(expr: &Expr) -> bool {
    expr.exists(|e| Ok(matches!(e, Expr::Column(_))))
        .unwrap_or(true)
}
