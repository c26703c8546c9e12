//! Rough row counts, good enough to choose between join methods.

use crate::apply::compile::PlanCompiler;
use crate::apply::scan::{choose, relation};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, Operator};
use helios_planner::lower::access::conjuncts;
use helios_planner::lower::vector::cost::{joined_rows, rows_of_key};
use helios_planner::pgtype::literal_value;
use helios_planner::relation::SourceRelation;
use helios_planner::template::AccessPath;

/// Assumed of a table of which nothing is known, and of smaller ones: the choice is kept while they
/// grow.
const UNKNOWN_ROWS: f64 = 1000.0;
/// Rows that one value of a non-unique index is assumed to have.
const ROWS_PER_KEY: f64 = 20.0;

fn selectivity(condition: &Expr) -> f64 {
    match condition {
        Expr::BinaryExpr(b) if b.op == Operator::Eq => 0.1,
        Expr::InList(list) if !list.negated => 0.2,
        Expr::Exists(_) | Expr::InSubquery(_) => 0.5,
        _ => 0.33,
    }
}

impl PlanCompiler<'_> {
    pub(in crate::apply) fn estimate(&self, plan: &LogicalPlan) -> f64 {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let Ok(source) = relation(scan) else {
                    return UNKNOWN_ROWS;
                };
                let SourceRelation::Table(table) = &source.relation else {
                    return if scan.filters.is_empty() {
                        UNKNOWN_ROWS
                    } else {
                        10.0
                    };
                };
                let rows = (self.options.row_count)(table)
                    .map_or(UNKNOWN_ROWS, |n| n as f64)
                    .max(UNKNOWN_ROWS);
                let choice = choose(scan, table, &[]);
                let reached = match &choice.path {
                    _ if choice.unique => 1.0,
                    AccessPath::Point(_) => 1.0,
                    AccessPath::Points(keys) => keys.len() as f64,
                    AccessPath::Each { .. } => ROWS_PER_KEY.min(rows),
                    AccessPath::Range {
                        equal,
                        lower,
                        upper,
                        ..
                    } => {
                        let base = if equal.is_empty() {
                            rows
                        } else {
                            ROWS_PER_KEY.min(rows)
                        };
                        let bounds = u8::from(lower.is_some()) + u8::from(upper.is_some());
                        base * 0.3_f64.powi(i32::from(bounds))
                    }
                    AccessPath::Full { .. } => rows,
                };
                let residual: f64 = conjuncts(&scan.filters)
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| !choice.implied.contains(i))
                    .map(|(_, c)| selectivity(c))
                    .product();
                let rows = (reached * residual).max(1.0);
                scan.fetch.map_or(rows, |n| rows.min(n as f64))
            }
            LogicalPlan::Filter(filter) => {
                let share: f64 = conjuncts(std::slice::from_ref(&filter.predicate))
                    .iter()
                    .map(|c| selectivity(c))
                    .product();
                (self.estimate(&filter.input) * share).max(1.0)
            }
            LogicalPlan::Join(join) => {
                let (left, right) = (self.estimate(&join.left), self.estimate(&join.right));
                match join.join_type {
                    JoinType::LeftSemi | JoinType::LeftAnti => left * 0.5,
                    JoinType::RightSemi | JoinType::RightAnti => right * 0.5,
                    JoinType::LeftMark => left,
                    JoinType::RightMark => right,
                    _ => {
                        let (lefts, rights): (Vec<_>, Vec<_>) =
                            join.on.iter().map(|(l, r)| (l, r)).unzip();
                        let matches = [
                            rows_of_key(&join.left, &lefts),
                            rows_of_key(&join.right, &rights),
                        ];
                        joined_rows(join, [left, right], matches)
                    }
                }
            }
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => 1.0,
            LogicalPlan::Aggregate(aggregate) => (self.estimate(&aggregate.input) * 0.1).max(1.0),
            LogicalPlan::Limit(limit) => {
                let rows = self.estimate(&limit.input);
                match limit.fetch.as_deref().and_then(literal_value) {
                    Some(Ok((value, _))) => value.as_i64().map_or(rows, |n| rows.min(n as f64)),
                    _ => rows,
                }
            }
            LogicalPlan::Values(values) => values.values.len() as f64,
            LogicalPlan::EmptyRelation(_) => 1.0,
            LogicalPlan::Union(union) => union.inputs.iter().map(|i| self.estimate(i)).sum(),
            other => {
                let inputs = other.inputs();
                match inputs[..] {
                    [] => 100.0,
                    _ => inputs.iter().map(|i| self.estimate(i)).fold(1.0, f64::max),
                }
            }
        }
    }
}
