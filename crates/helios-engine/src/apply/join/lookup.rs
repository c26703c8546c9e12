//! When a join can reach the rows of one side by key: the side with the equality pushed into it.

use super::{JoinKind, Sides};
use crate::apply::compile::PlanCompiler;
use crate::apply::scan::{choose, relation, virtual_lookup};
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use helios_planner::lower::access::conjuncts;
use helios_planner::relation::SourceRelation;
use helios_planner::template::AccessPath;
use std::sync::Arc;

/// What finding a row by key costs, reading the next row of a scan being 1.
const LOOKUP_COST: f64 = 4.0;
/// What putting a row into a hash table costs.
const BUILD_COST: f64 = 1.5;

impl PlanCompiler<'_> {
    /// The inner side with the join's equalities as its own conditions, and whether the sides
    /// have to be exchanged first; `None` when a hash join is better.
    pub(super) fn lookup_side(&self, sides: &Sides<'_>) -> Option<(LogicalPlan, bool)> {
        if sides.kind == JoinKind::Full
            || sides.kind == (JoinKind::Anti { null_aware: true })
            || sides.null_equals_null
            || sides.pairs.is_empty()
        {
            return None;
        }
        let (left, right) = (self.estimate(sides.left), self.estimate(sides.right));
        let hash = left + right + BUILD_COST * left.min(right);
        let mut best = None;
        let mut cheapest = hash;
        if left * LOOKUP_COST < cheapest
            && let Some(plan) = reached(sides.right, sides.left, sides.pairs.iter())
        {
            cheapest = left * LOOKUP_COST;
            best = Some((plan, false));
        }
        if sides.kind == JoinKind::Inner && right * LOOKUP_COST < cheapest {
            let exchanged: Vec<_> = sides
                .pairs
                .iter()
                .map(|(l, r)| (r.clone(), l.clone()))
                .collect();
            if let Some(plan) = reached(sides.left, sides.right, exchanged.iter()) {
                best = Some((plan, true));
            }
        }
        best
    }
}

/// `inner` with `inner expression = outer expression` pushed into its scan, when the scan then has
/// an equality on a key, an index or a look-up column.
fn reached<'a>(
    inner: &LogicalPlan,
    outer: &LogicalPlan,
    pairs: impl Iterator<Item = &'a (Expr, Expr)>,
) -> Option<LogicalPlan> {
    let mut plan = inner.clone();
    for (outer_expr, inner_expr) in pairs {
        let value = as_outer(outer_expr, outer)?;
        plan = push(&plan, inner_expr, &value)?;
    }
    let scan = scan_of(&plan)?;
    let added = scan_of(inner).map_or(0, |s| conjuncts(&s.filters).len());
    match &relation(scan).ok()?.relation {
        SourceRelation::Table(table) => {
            let choice = choose(scan, table, &[]);
            let by_equality = match &choice.path {
                AccessPath::Point(_) => true,
                AccessPath::Range { equal, .. } => !equal.is_empty(),
                _ => false,
            };
            let uses_join = choice.implied.iter().any(|i| *i >= added);
            (by_equality && uses_join).then_some(plan)
        }
        SourceRelation::Virtual(table) => conjuncts(&scan.filters)[added..]
            .iter()
            .any(|c| virtual_lookup(scan, table, c).is_some())
            .then_some(plan),
    }
}

/// An expression over the outer side's columns as one over outer references.
fn as_outer(expr: &Expr, outer: &LogicalPlan) -> Option<Expr> {
    let schema = outer.schema();
    expr.clone()
        .transform(|e| {
            Ok(match e {
                Expr::Column(column) => {
                    let position = schema.index_of_column(&column)?;
                    let field = Arc::clone(&schema.fields()[position]);
                    Transformed::yes(Expr::OuterReferenceColumn(field, column))
                }
                other => Transformed::no(other),
            })
        })
        .ok()
        .map(|t| t.data)
}

fn scan_of(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(scan),
        LogicalPlan::SubqueryAlias(alias) => scan_of(&alias.input),
        LogicalPlan::Projection(projection) => scan_of(&projection.input),
        LogicalPlan::Filter(filter) => scan_of(&filter.input),
        _ => None,
    }
}

/// Adds `expr = value` to the filters of the scan below; only for an `expr` that is a column all
/// the way down.
fn push(plan: &LogicalPlan, expr: &Expr, value: &Expr) -> Option<LogicalPlan> {
    let Expr::Column(column) = expr else {
        return None;
    };
    match plan {
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() => {
            let mut scan = scan.clone();
            scan.filters.push(expr.clone().eq(value.clone()));
            Some(LogicalPlan::TableScan(scan))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let position = alias.schema.maybe_index_of_column(column)?;
            let below = Column::from(alias.input.schema().qualified_field(position));
            let mut alias = alias.clone();
            alias.input = Arc::new(push(&alias.input, &Expr::Column(below), value)?);
            Some(LogicalPlan::SubqueryAlias(alias))
        }
        LogicalPlan::Projection(projection) => {
            let position = projection.schema.maybe_index_of_column(column)?;
            let below = projection.expr.get(position)?.clone().unalias();
            let mut projection = projection.clone();
            projection.input = Arc::new(push(&projection.input, &below, value)?);
            Some(LogicalPlan::Projection(projection))
        }
        LogicalPlan::Filter(filter) => {
            let mut filter = filter.clone();
            filter.input = Arc::new(push(&filter.input, expr, value)?);
            Some(LogicalPlan::Filter(filter))
        }
        _ => None,
    }
}
