//! What the vectorised executor runs as PostgreSQL would.

use super::certain::{Certainty, has_no_key, is_constant, scanned, visible};
use super::pull_up::is_correlated;
use super::{is_exact, obstacle_error};
use crate::catalog::Shape;
use crate::function::{Volatility, as_pg_aggregate, as_pg_function};
use crate::pgtype;
use crate::scalar::expr_type;
use crate::sql::COALESCE_OID;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{BinaryExpr, Case, Distinct, Expr, LogicalPlan, Operator, lit};

fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(obstacle_error(reason))
}

/// Refuses nodes, functions and types, those of subqueries included, that no rewriting mends.
pub fn nodes(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node_fits(node)?;
        node.apply_expressions(|expr| {
            expr.apply(|e| expression_fits(e).map(|()| TreeNodeRecursion::Continue))
        })
    })
    .map(|_| ())
}

fn node_fits(node: &LogicalPlan) -> Result<()> {
    match node {
        LogicalPlan::TableScan(scan) => match scanned(node) {
            Some(table) if table.shape == Shape::Relational => Ok(()),
            _ => refuse(format!("table {} has no columnar scan", scan.table_name)),
        },
        LogicalPlan::Sort(sort) => sort
            .expr
            .iter()
            .try_for_each(|s| key_fits(&s.expr, sort.input.schema(), "ORDER BY")),
        LogicalPlan::Aggregate(aggregate) => {
            let groups = &aggregate.group_expr;
            if groups.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
                return refuse("grouping sets");
            }
            groups
                .iter()
                .try_for_each(|e| key_fits(e, aggregate.input.schema(), "GROUP BY"))
        }
        LogicalPlan::Join(join) => join
            .on
            .iter()
            .try_for_each(|(l, _)| key_fits(l, join.left.schema(), "a join")),
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let types = input.schema().fields().iter();
            match types
                .map(|f| pgtype::type_of_field(f).oid)
                .find(|oid| has_no_key(*oid))
            {
                Some(oid) => refuse(format!("DISTINCT over type {oid}")),
                None => Ok(()),
            }
        }
        LogicalPlan::Limit(limit) => {
            let counts = [&limit.skip, &limit.fetch];
            if counts.into_iter().flatten().all(|e| {
                matches!(e.as_ref(), Expr::Literal(..) | Expr::Placeholder(_))
            }) {
                Ok(())
            } else {
                refuse("a computed LIMIT")
            }
        }
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Values(_)
        // The subqueries of expressions are looked at where they stand.
        | LogicalPlan::Subquery(_) => Ok(()),
        LogicalPlan::Extension(extension)
            if matches!(extension.node.name(), "Materialize" | "CteScan") =>
        {
            Ok(())
        }
        other => refuse(format!("node {}", other.display())),
    }
}

fn key_fits(expr: &Expr, schema: &DFSchema, place: &str) -> Result<()> {
    match expr_type(expr, schema) {
        Ok(ty) if has_no_key(ty.oid) => refuse(format!("{place} by type {}", ty.oid)),
        _ => Ok(()),
    }
}

fn expression_fits(expr: &Expr) -> Result<()> {
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
        | Expr::InList(_) => Ok(()),
        Expr::ScalarFunction(call) => match as_pg_function(&call.func) {
            Some(function)
                if function.def.implementation.is_scalar()
                    && function.def.volatility != Volatility::Volatile =>
            {
                Ok(())
            }
            _ => refuse(format!("function {}", call.func.name())),
        },
        Expr::AggregateFunction(call) => aggregate_fits(call),
        other => refuse(format!("expression {other}")),
    }
}

fn aggregate_fits(call: &AggregateFunction) -> Result<()> {
    let Some(aggregate) = as_pg_aggregate(&call.func) else {
        return refuse(format!("aggregate {}", call.func.name()));
    };
    if !call.params.order_by.is_empty() {
        return refuse("ORDER BY in an aggregate");
    }
    // Which of two equal values is taken shows in a sum of 1.0 and 1.00, not in a count.
    let name = aggregate.def.name;
    let fits = match name {
        "min" | "max" | "bool_and" | "bool_or" | "every" => true,
        "count" => aggregate.args.iter().all(|ty| !has_no_key(ty.oid)),
        "sum" | "avg" => aggregate.args.iter().all(|ty| is_exact(ty.oid)),
        _ => false,
    };
    if call.params.distinct && !fits {
        return refuse(format!("DISTINCT in aggregate {name}"));
    }
    Ok(())
}

/// Conditions one after the other, where a later one may fail on rows that an earlier one drops:
/// Arrow computes both sides of AND.
pub fn guarded(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let schema = visible(&node)?;
        Ok(match node {
            LogicalPlan::Filter(mut filter) => {
                filter.predicate = in_order(split_conjunction_owned(filter.predicate), &schema);
                Transformed::yes(LogicalPlan::Filter(filter))
            }
            LogicalPlan::TableScan(mut scan) if scan.filters.len() > 1 => {
                scan.filters = vec![in_order(scan.filters, &schema)];
                Transformed::yes(LogicalPlan::TableScan(scan))
            }
            LogicalPlan::Join(mut join) => {
                join.filter = join
                    .filter
                    .map(|f| in_order(split_conjunction_owned(f), &schema));
                Transformed::yes(LogicalPlan::Join(join))
            }
            other => Transformed::no(other),
        })
    })
    .map(|t| t.data)
}

fn in_order(conditions: Vec<Expr>, schema: &DFSchema) -> Expr {
    let mut certain = true;
    let mut out: Option<Expr> = None;
    for condition in conditions.into_iter().rev() {
        let holds = Certainty::default().holds(&condition, schema);
        out = Some(match out {
            None => condition,
            Some(rest) if certain => condition.and(rest),
            Some(rest) => Expr::Case(Case {
                expr: None,
                when_then_expr: vec![(Box::new(condition), Box::new(rest))],
                else_expr: Some(Box::new(lit(false))),
            }),
        });
        certain &= holds;
    }
    out.unwrap_or_else(|| lit(true))
}

/// Refuses what is left of subqueries, and what would be computed for rows that PostgreSQL does
/// not compute it for.
pub fn flat(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let schema = visible(node)?;
        node.apply_expressions(|expr| {
            if is_correlated(expr) {
                return refuse("a correlated subquery");
            }
            expr.apply(|e| lazy_parts_fit(e, &schema).map(|()| TreeNodeRecursion::Continue))
        })?;
        let limited = match node {
            LogicalPlan::Limit(_) => true,
            LogicalPlan::TableScan(scan) => scan.fetch.is_some(),
            _ => false,
        };
        if limited {
            streamed_fits(node)?;
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map(|_| ())
}

/// What AND, OR, IN, coalesce and FILTER need not look at must not fail.
fn lazy_parts_fit(expr: &Expr, schema: &DFSchema) -> Result<()> {
    let certain = |e: &Expr| Certainty::default().holds(e, schema) || is_constant(e);
    let fits = match expr {
        Expr::BinaryExpr(BinaryExpr {
            op: Operator::And | Operator::Or,
            right,
            ..
        }) => certain(right),
        Expr::Between(between) => certain(&between.high),
        Expr::InList(list) => list.list.iter().all(certain),
        Expr::ScalarFunction(call) => match as_pg_function(&call.func) {
            Some(function) if function.def.oid == COALESCE_OID => {
                call.args.iter().skip(1).all(certain)
            }
            _ => true,
        },
        Expr::AggregateFunction(call) => {
            call.params.filter.is_none() || call.params.args.iter().all(certain)
        }
        _ => true,
    };
    if fits {
        Ok(())
    } else {
        refuse(format!("{expr}, which can fail where it is not looked at"))
    }
}

/// Below a LIMIT rows are computed in batches, more of them than are asked for.
fn streamed_fits(node: &LogicalPlan) -> Result<()> {
    // These need all of their input before the first row.
    if matches!(node, LogicalPlan::Sort(_) | LogicalPlan::Aggregate(_)) {
        return Ok(());
    }
    let schema = visible(node)?;
    node.apply_expressions(|expr| {
        if Certainty::default().holds(expr, &schema) {
            Ok(TreeNodeRecursion::Continue)
        } else {
            refuse(format!("{expr} below a LIMIT, which can fail"))
        }
    })?;
    node.inputs().into_iter().try_for_each(streamed_fits)
}
