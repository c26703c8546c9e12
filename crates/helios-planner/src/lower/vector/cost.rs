//! How many rows the row executor would read for a plan, roughly: what the vectorised one, which
//! always reads whole tables, is measured against.

use super::certain::{is_constant, scanned};
use super::pull_up::has_columns;
use crate::catalog::{IndexKey, Table};
use crate::lower::access::conjuncts;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Join, JoinType, LogicalPlan, Operator, Subquery, TableScan,
};

/// Rows that one value of an index is assumed to have.
const ROWS_PER_KEY: f64 = 20.0;
/// What a condition of which nothing is known is assumed to keep.
const KEPT: f64 = 0.33;

/// Rows that are read, and rows that come out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub read: f64,
    pub rows: f64,
}

pub struct Estimator<'a> {
    pub row_count: &'a dyn Fn(&Table) -> u64,
}

impl Estimator<'_> {
    pub fn cost(&self, plan: &LogicalPlan) -> Cost {
        let mut cost = match plan {
            LogicalPlan::TableScan(scan) => self.scan(plan, scan),
            LogicalPlan::Filter(filter) => {
                let input = self.cost(&filter.input);
                let conditions = conjuncts(std::slice::from_ref(&filter.predicate)).len();
                Cost {
                    rows: (input.rows * KEPT.powi(conditions as i32)).max(1.0),
                    ..input
                }
            }
            LogicalPlan::Join(join) => {
                let (left, right) = (self.cost(&join.left), self.cost(&join.right));
                let keys = |side: fn(&(Expr, Expr)) -> &Expr| join.on.iter().map(side).collect();
                let to_right: Vec<&Expr> = keys(|pair| &pair.1);
                let to_left: Vec<&Expr> = keys(|pair| &pair.0);
                let right_matches = rows_of_key(&join.right, &to_right);
                let left_matches = rows_of_key(&join.left, &to_left);
                let read = |outer: Cost, inner: Cost, matches: Option<f64>| {
                    let looked_up = matches.map_or(f64::INFINITY, |n| outer.rows * n);
                    outer.read + inner.read.min(looked_up)
                };
                let one = read(left, right, right_matches);
                let other = read(right, left, left_matches);
                Cost {
                    read: one.min(other),
                    rows: joined_rows(join, [left.rows, right.rows], [left_matches, right_matches]),
                }
            }
            LogicalPlan::Aggregate(aggregate) => {
                let input = self.cost(&aggregate.input);
                let groups = if aggregate.group_expr.is_empty() {
                    1.0
                } else {
                    (input.rows * 0.1).max(1.0)
                };
                Cost {
                    rows: groups,
                    ..input
                }
            }
            LogicalPlan::Union(union) => union.inputs.iter().fold(Cost::default(), |sum, input| {
                let input = self.cost(input);
                Cost {
                    read: sum.read + input.read,
                    rows: sum.rows + input.rows,
                }
            }),
            other => other
                .inputs()
                .into_iter()
                .fold(Cost::default(), |sum, input| {
                    let input = self.cost(input);
                    Cost {
                        read: sum.read + input.read,
                        rows: sum.rows.max(input.rows),
                    }
                }),
        };
        let times = match plan.inputs().first() {
            Some(input) => self.cost_rows(input),
            None => cost.read,
        };
        let _ = plan.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Some(subquery) = subquery_of(e) {
                    let once = self.cost(&subquery.subquery).read;
                    let correlated = !subquery.outer_ref_columns.is_empty();
                    cost.read += once * if correlated { times.max(1.0) } else { 1.0 };
                }
                Ok(TreeNodeRecursion::Continue)
            })
        });
        cost
    }

    /// Only the rows, where no subquery is worth a look.
    fn cost_rows(&self, plan: &LogicalPlan) -> f64 {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(plan, scan).rows,
            LogicalPlan::Join(join) => self.cost_rows(&join.left).max(self.cost_rows(&join.right)),
            LogicalPlan::Filter(filter) => (self.cost_rows(&filter.input) * KEPT).max(1.0),
            other => other
                .inputs()
                .into_iter()
                .map(|input| self.cost_rows(input))
                .fold(1.0, f64::max),
        }
    }

    fn scan(&self, plan: &LogicalPlan, scan: &TableScan) -> Cost {
        let Some(table) = scanned(plan) else {
            return Cost {
                read: ROWS_PER_KEY,
                rows: ROWS_PER_KEY,
            };
        };
        let all = (self.row_count)(table) as f64;
        let conditions = conjuncts(&scan.filters);
        let reached = conditions
            .iter()
            .filter_map(|condition| reach(table, condition, all))
            .fold(all, f64::min);
        let kept = KEPT.powi(conditions.len() as i32);
        let rows = if reached < all { reached } else { all * kept };
        let limit = scan.fetch.map_or(f64::INFINITY, |n| n as f64);
        Cost {
            read: reached.min(if conditions.is_empty() {
                limit
            } else {
                reached
            }),
            rows: rows.min(limit).max(1.0),
        }
    }
}

fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::Exists(exists) => Some(&exists.subquery),
        Expr::InSubquery(inside) => Some(&inside.subquery),
        _ => None,
    }
}

/// Rows of a join, from those of its sides and how many rows of a side one key is in.
pub fn joined_rows(join: &Join, rows: [f64; 2], matches: [Option<f64>; 2]) -> f64 {
    let [left, right] = rows;
    if join.on.is_empty() && join.filter.is_none() {
        return left * right;
    }
    let found = |outer: f64, matches: Option<f64>| outer * matches.unwrap_or(f64::INFINITY);
    let inner = left
        .max(right)
        .min(found(left, matches[1]))
        .min(found(right, matches[0]));
    match join.join_type {
        JoinType::Left => inner.max(left),
        JoinType::Right => inner.max(right),
        JoinType::Full => inner.max(left).max(right),
        _ => inner,
    }
}

/// Rows that the condition lets be read by key; `None` when it does not.
fn reach(table: &Table, condition: &Expr, all: f64) -> Option<f64> {
    let leading = |e: &Expr| match e {
        Expr::Column(c) => rows_of_value(table, &c.name),
        _ => None,
    };
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let rows = match (leading(left), leading(right)) {
                (Some(rows), _) if !has_columns(right) => rows,
                (_, Some(rows)) if !has_columns(left) => rows,
                _ => return None,
            };
            match op {
                Operator::Eq => Some(rows),
                Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => Some(all * KEPT),
                _ => None,
            }
        }
        Expr::Between(between) => leading(&between.expr).map(|_| all * KEPT * KEPT),
        Expr::InList(list) if list.list.iter().all(is_constant) => {
            leading(&list.expr).map(|rows| list.list.len() as f64 * rows)
        }
        _ => None,
    }
}

/// How many rows of the plan one value each of these expressions is in, when they are found by a
/// key.
pub fn rows_of_key(plan: &LogicalPlan, keys: &[&Expr]) -> Option<f64> {
    match plan {
        LogicalPlan::TableScan(_) => {
            let table = scanned(plan)?;
            let names: Vec<&str> = keys.iter().filter_map(|key| column_name(key)).collect();
            if table.is_unique_by(&names) {
                return Some(1.0);
            }
            let leads = names.iter().any(|name| leads_a_key(table, name));
            leads.then_some(ROWS_PER_KEY)
        }
        LogicalPlan::Filter(filter) => rows_of_key(&filter.input, keys),
        LogicalPlan::SubqueryAlias(alias) => rows_of_key(&alias.input, keys),
        LogicalPlan::Projection(projection) => rows_of_key(&projection.input, keys),
        _ => None,
    }
}

fn column_name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => Some(&column.name),
        _ => None,
    }
}

/// How many rows a value of the column is in, when they are found by a key that it leads.
fn rows_of_value(table: &Table, column: &str) -> Option<f64> {
    if table.is_unique_by(&[column]) {
        Some(1.0)
    } else {
        leads_a_key(table, column).then_some(ROWS_PER_KEY)
    }
}

fn leads_a_key(table: &Table, column: &str) -> bool {
    let is = |position: usize| {
        table
            .columns
            .get(position)
            .is_some_and(|c| !c.dropped && c.name == column)
    };
    table.key.first().is_some_and(|&position| is(position))
        || table.indexes.iter().any(|index| {
            index.ready
                && matches!(
                    index.columns.first().map(|c| &c.key),
                    Some(IndexKey::Column(position)) if is(*position)
                )
        })
}
