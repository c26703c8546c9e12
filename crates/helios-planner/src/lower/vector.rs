//! Plans for the vectorised executor: what it can do, and when it pays.
//!
//! Arrow's kernels compare, group, sort and join by their own rules, which agree with PostgreSQL's
//! for the types of [`pgtype::arrow_comparable`] except that -0 and 0 are two floats to them. A
//! plan that compares, groups, sorts or joins by another type is left to the row executor, except
//! for plain comparisons, which become function calls.

use crate::catalog::{Shape, Table};
use crate::function::{Volatility, as_pg_aggregate, as_pg_function};
use crate::pgtype;
use crate::relation::{RelationSource, SourceRelation};
use crate::scalar::expr_type;
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, LogicalPlanBuilder, TableScan};
use datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion::optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::push_down_limit::PushDownLimit;
use datafusion::optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;
use datafusion::optimizer::{Optimizer, OptimizerContext};
use helios_types::{Error, Result};
use std::sync::{Arc, LazyLock};

/// Rows that the plan must read for the vectorised executor to be chosen.
const ROWS_MIN: u64 = 50_000;

fn relation(scan: &TableScan) -> Option<&RelationSource> {
    (scan.source.as_ref() as &dyn std::any::Any).downcast_ref()
}

/// Whether the plan reads enough for Arrow to pay.
pub fn is_worthwhile(plan: &LogicalPlan, row_count: &dyn Fn(&Table) -> u64) -> bool {
    let mut rows = 0u64;
    let mut heavy = false;
    let _ = plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(scan) => {
                if let Some(SourceRelation::Table(table)) = relation(scan).map(|r| &r.relation) {
                    rows = rows.saturating_add(row_count(table));
                }
            }
            LogicalPlan::Aggregate(_) | LogicalPlan::Join(_) => heavy = true,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    heavy && rows >= ROWS_MIN
}

/// Why the vectorised executor cannot run a plan; `None` when it can.
pub fn obstacle(plan: &LogicalPlan) -> Option<String> {
    let mut found = None;
    let _ = plan.apply_with_subqueries(|node| {
        found = node_obstacle(node);
        Ok(if found.is_some() {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    if found.is_none() && is_correlated(plan) {
        let flat = decorrelate(plan.clone());
        if flat.map_or(true, |plan| is_correlated(&plan)) {
            found = Some("a correlated subquery".into());
        }
    }
    found
}

fn node_obstacle(node: &LogicalPlan) -> Option<String> {
    let input_schema = || node.inputs().first().map(|i| i.schema().clone());
    match node {
        LogicalPlan::TableScan(scan) => match relation(scan).map(|r| &r.relation) {
            Some(SourceRelation::Table(table)) if table.shape == Shape::Relational => {
                expressions_obstacle(&scan.filters, &scan.projected_schema)
            }
            _ => Some(format!("table {} has no columnar scan", scan.table_name)),
        },
        LogicalPlan::Projection(projection) => {
            expressions_obstacle(&projection.expr, projection.input.schema())
        }
        LogicalPlan::Filter(filter) => expressions_obstacle(
            std::slice::from_ref(&filter.predicate),
            filter.input.schema(),
        ),
        LogicalPlan::Sort(sort) => {
            let schema = sort.input.schema();
            sort.expr.iter().find_map(|s| {
                key_obstacle(&s.expr, schema, "ORDER BY", true)
                    .or_else(|| expressions_obstacle(std::slice::from_ref(&s.expr), schema))
            })
        }
        LogicalPlan::Aggregate(aggregate) => {
            let schema = aggregate.input.schema();
            if aggregate
                .group_expr
                .iter()
                .any(|e| matches!(e, Expr::GroupingSet(_)))
            {
                return Some("grouping sets".into());
            }
            aggregate
                .group_expr
                .iter()
                .find_map(|e| key_obstacle(e, schema, "GROUP BY", false))
                .or_else(|| expressions_obstacle(&aggregate.group_expr, schema))
                .or_else(|| expressions_obstacle(&aggregate.aggr_expr, schema))
        }
        LogicalPlan::Join(join) => join
            .on
            .iter()
            .find_map(|(l, r)| {
                key_obstacle(l, join.left.schema(), "a join", false)
                    .or_else(|| expressions_obstacle(std::slice::from_ref(l), join.left.schema()))
                    .or_else(|| expressions_obstacle(std::slice::from_ref(r), join.right.schema()))
            })
            .or_else(|| {
                let filter = join.filter.as_ref()?;
                let schema = join.left.schema().join(join.right.schema()).ok()?;
                expressions_obstacle(std::slice::from_ref(filter), &schema)
            }),
        LogicalPlan::Distinct(Distinct::All(input)) => input
            .schema()
            .fields()
            .iter()
            .map(|f| pgtype::type_of_field(f).oid)
            .find(|oid| !is_exact(*oid))
            .map(|oid| format!("DISTINCT over type {oid}")),
        LogicalPlan::SubqueryAlias(_) | LogicalPlan::Union(_) | LogicalPlan::EmptyRelation(_) => {
            None
        }
        LogicalPlan::Limit(limit) => [&limit.skip, &limit.fetch]
            .into_iter()
            .flatten()
            .any(|e| !matches!(e.as_ref(), Expr::Literal(..) | Expr::Placeholder(_)))
            .then(|| "a computed LIMIT".into()),
        LogicalPlan::Values(values) => {
            let schema = DFSchema::empty();
            values
                .values
                .iter()
                .find_map(|row| expressions_obstacle(row, &schema))
        }
        // The subqueries of expressions are looked at where they stand.
        LogicalPlan::Subquery(_) => None,
        other => {
            let _ = input_schema;
            Some(format!("node {}", other.display()))
        }
    }
}

/// Takes conditions with subqueries out of a scan: the rules look for them in filters only.
fn lift_subqueries(plan: LogicalPlan) -> datafusion::common::Result<Transformed<LogicalPlan>> {
    let LogicalPlan::TableScan(scan) = &plan else {
        return Ok(Transformed::no(plan));
    };
    let (lifted, kept): (Vec<Expr>, Vec<Expr>) =
        scan.filters.iter().cloned().partition(has_subquery);
    if lifted.is_empty() || scan.fetch.is_some() {
        return Ok(Transformed::no(plan));
    }
    let columns: Vec<Expr> = (0..scan.projected_schema.fields().len())
        .map(|i| Expr::Column(scan.projected_schema.qualified_field(i).into()))
        .collect();
    let name = scan.table_name.clone();
    let mut builder = LogicalPlanBuilder::scan_with_filters(name, scan.source.clone(), None, kept)?;
    for condition in lifted {
        builder = builder.filter(condition)?;
    }
    builder.project(columns)?.build().map(Transformed::yes)
}

fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|e| {
        Ok(matches!(
            e,
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_)
        ))
    })
    .unwrap_or(false)
}

/// Turns subqueries into joins, as far as DataFusion's rules can.
pub fn decorrelate(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan
        .transform_up(lift_subqueries)
        .map_err(Error::internal)?
        .data;
    static RULES: LazyLock<Optimizer> = LazyLock::new(|| {
        Optimizer::with_rules(vec![
            Arc::new(DecorrelatePredicateSubquery::new()),
            Arc::new(ScalarSubqueryToJoin::new()),
            Arc::new(ExtractEquijoinPredicate::new()),
            Arc::new(EliminateCrossJoin::new()),
            Arc::new(PushDownLimit::new()),
            Arc::new(PushDownFilter::new()),
            Arc::new(OptimizeProjections::new()),
        ])
    });
    let mut options = ConfigOptions::default();
    options.optimizer.max_passes = 2;
    options.optimizer.filter_null_join_keys = false;
    options.optimizer.skip_failed_rules = false;
    let context = OptimizerContext::new_with_config_options(Arc::new(options))
        .without_query_execution_start_time();
    RULES
        .optimize(plan, &context, |_, _| {})
        .map_err(Error::internal)
}

/// Whether an expression of the plan still needs another query for each row.
fn is_correlated(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= expr.exists(|e| {
                Ok(matches!(
                    e,
                    Expr::OuterReferenceColumn(..)
                        | Expr::Exists(_)
                        | Expr::InSubquery(_)
                        | Expr::SetComparison(_)
                ))
            })?;
            Ok(if found {
                TreeNodeRecursion::Stop
            } else {
                TreeNodeRecursion::Continue
            })
        })
    });
    found
}

/// Types whose equality is the same to Arrow as to PostgreSQL.
pub fn is_exact(oid: u32) -> bool {
    pgtype::arrow_comparable(oid) && !matches!(oid, 700 | 701)
}

fn key_obstacle(expr: &Expr, schema: &DFSchema, place: &str, sort: bool) -> Option<String> {
    let oid = expr_type(expr, schema).ok()?.oid;
    // Among equal floats any order will do.
    let fits = if sort {
        pgtype::arrow_comparable(oid)
    } else {
        is_exact(oid)
    };
    (!fits).then(|| format!("{place} by type {oid}"))
}

fn expressions_obstacle(exprs: &[Expr], _schema: &DFSchema) -> Option<String> {
    let mut found = None;
    for expr in exprs {
        let _ = expr.apply(|e| {
            found = expression_obstacle(e);
            Ok(if found.is_some() {
                TreeNodeRecursion::Stop
            } else {
                TreeNodeRecursion::Continue
            })
        });
        if found.is_some() {
            return found;
        }
    }
    None
}

fn expression_obstacle(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Column(_)
        | Expr::Literal(..)
        | Expr::Placeholder(_)
        | Expr::Alias(_)
        | Expr::BinaryExpr(_)
        | Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::ScalarSubquery(_)
        | Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::OuterReferenceColumn(..)
        | Expr::InList(_) => None,
        Expr::ScalarFunction(call) => match as_pg_function(&call.func) {
            Some(function)
                if function.def.implementation.is_scalar()
                    && function.def.volatility != Volatility::Volatile =>
            {
                None
            }
            _ => Some(format!("function {}", call.func.name())),
        },
        Expr::AggregateFunction(call) => {
            let Some(aggregate) = as_pg_aggregate(&call.func) else {
                return Some(format!("aggregate {}", call.func.name()));
            };
            if !call.params.order_by.is_empty() {
                return Some("ORDER BY in an aggregate".into());
            }
            let arrow = aggregate.args.iter().all(|ty| is_exact(ty.oid));
            (call.params.distinct && !arrow)
                .then(|| format!("DISTINCT in aggregate {}", aggregate.def.name))
        }
        other => Some(format!("expression {other}")),
    }
}
