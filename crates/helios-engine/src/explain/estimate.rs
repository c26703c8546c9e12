//! How many rows a node gives, and what they cost.
//!
//! The rows of a table are the store's own count, which is exact. Nothing is known of the values
//! in them, so the share of rows that a condition keeps is PostgreSQL's default for its kind.
//! Costs have PostgreSQL's proportions: one row read is 0.01, one condition or comparison of it
//! a quarter of that. A key looked up is what a descent to it costs, so that a row by its key is
//! 0.29. As with any estimate, only the comparison of two means something; the executors do not
//! look at it.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, Operator};
use helios_planner::function::as_pg_function;
use helios_planner::lower::access::conjuncts;
use helios_planner::node::{
    FunctionScan, ModifyTable, ProjectSet, RecursiveCte, SetOperation, SetOperator,
};
use helios_planner::pgtype::literal_value;

/// Going to a key: in the rows, or in an index.
const SEEK: f64 = 0.28;
/// Taking one row.
const ROW: f64 = 0.01;
/// Taking one entry of an index.
const ENTRY: f64 = 0.005;
/// One condition, one comparison, one value of an aggregate.
const OPERATOR: f64 = 0.0025;

/// Shares of rows, as in PostgreSQL without statistics.
const EQUAL: f64 = 0.005;
const RANGE: f64 = 1.0 / 3.0;
const HALF: f64 = 0.5;
/// Rows of what says nothing about itself, and values of a column.
const ROWS_DEFAULT: f64 = 1_000.0;
const VALUES_DEFAULT: f64 = 200.0;
/// Rounds of a recursive query, as PostgreSQL assumes them.
const ROUNDS: f64 = 10.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) rows: f64,
    /// Until the first row, and until the last.
    pub(super) startup: f64,
    pub(super) total: f64,
}

impl Default for Estimate {
    fn default() -> Self {
        Self::constant()
    }
}

/// How a table is reached.
pub(super) enum Path {
    Full,
    /// So many whole keys.
    Keys(usize),
    /// A range of the keys (no index) or of an index.
    Range {
        by_index: bool,
        unique: bool,
    },
}

impl Estimate {
    /// One row that is not read from anywhere.
    pub(super) fn constant() -> Self {
        Self {
            rows: 1.0,
            startup: 0.0,
            total: ROW,
        }
    }

    /// Rows as they are shown: a whole number, and one where there may be any.
    pub(super) fn shown_rows(&self) -> u64 {
        self.rows.round().max(1.0) as u64
    }

    /// Rows of a table of `rows`: `conditions` are those that the path answers, `filters` those
    /// that are left.
    pub(super) fn scan(rows: u64, path: &Path, conditions: &[&Expr], filters: &[&Expr]) -> Self {
        let all = rows as f64;
        let (read, seeks, entries) = match path {
            Path::Full => (all, 1.0, 0.0),
            Path::Keys(n) => (*n as f64, *n as f64, 0.0),
            Path::Range { by_index, unique } => {
                let share: f64 = conditions.iter().map(|e| selectivity(e)).product();
                let found = if *unique {
                    1.0
                } else {
                    (all * share).max(1.0).min(all.max(1.0))
                };
                // Each entry of an index leads to a row by its key.
                if *by_index {
                    (found, 1.0 + found, found)
                } else {
                    (found, 1.0, 0.0)
                }
            }
        };
        let tests = read * conjuncts_of(filters) * OPERATOR;
        let kept: f64 = filters.iter().map(|e| selectivity(e)).product();
        Self {
            rows: read * kept,
            startup: SEEK,
            total: seeks * SEEK + entries * ENTRY + read * ROW + tests,
        }
    }

    /// Rows that the engine makes up: as many as it says, or nobody knows.
    pub(super) fn made(rows: Option<f64>, filters: &[&Expr]) -> Self {
        let all = rows.unwrap_or(ROWS_DEFAULT);
        let kept: f64 = filters.iter().map(|e| selectivity(e)).product();
        Self {
            rows: all * kept,
            startup: 0.0,
            total: all * (ROW + conjuncts_of(filters) * OPERATOR),
        }
    }

    /// A plan that runs once for each of `times` rows of another, beside it.
    pub(super) fn add_subplan(&mut self, subplan: &Estimate, times: f64) {
        self.total += subplan.total * times.max(1.0);
    }

    /// A join that runs the inner side for each row of the outer one.
    pub(super) fn looked_up(kind: JoinType, outer: &Estimate, inner: &Estimate) -> Self {
        let matches = outer.rows * inner.rows;
        let rows = match kind {
            JoinType::Inner => matches,
            JoinType::Left | JoinType::Right => matches.max(outer.rows),
            JoinType::LeftMark | JoinType::RightMark => outer.rows,
            _ => outer.rows * HALF,
        };
        Self {
            rows,
            startup: outer.startup + inner.startup,
            total: outer.total + outer.rows.max(1.0) * inner.total + rows * ROW,
        }
    }

    /// A node above its inputs.
    pub(super) fn above(plan: &LogicalPlan, inputs: &[Estimate]) -> Self {
        let none = Self::constant();
        let input = inputs.first().unwrap_or(&none);
        match plan {
            LogicalPlan::Filter(f) => Self {
                rows: input.rows * selectivity(&f.predicate),
                total: input.total + input.rows * conjuncts_of(&[&f.predicate]) * OPERATOR,
                ..*input
            },
            LogicalPlan::Sort(s) => input.sorted(s.fetch),
            LogicalPlan::Limit(l) => input.limited(
                l.skip.as_deref().and_then(count),
                l.fetch.as_deref().and_then(count),
            ),
            LogicalPlan::Aggregate(a) => {
                input.grouped(a.group_expr.len(), a.group_expr.len() + a.aggr_expr.len())
            }
            LogicalPlan::Distinct(_) => {
                let columns = plan.schema().fields().len();
                input.grouped(columns, columns)
            }
            LogicalPlan::Window(_) => input.sorted(None),
            LogicalPlan::Union(_) => sum(inputs),
            LogicalPlan::Values(v) => Self::made(Some(v.values.len() as f64), &[]),
            LogicalPlan::EmptyRelation(e) => Self {
                rows: f64::from(u8::from(e.produce_one_row)),
                ..none
            },
            LogicalPlan::Join(j) => joined(j.join_type, j.on.len(), j.filter.as_ref(), inputs),
            LogicalPlan::Extension(e) => Self::above_own(e.node.as_any(), inputs),
            _ => *input,
        }
    }

    /// A node that DataFusion does not have.
    fn above_own(node: &dyn std::any::Any, inputs: &[Estimate]) -> Self {
        let none = Self::constant();
        let input = inputs.first().unwrap_or(&none);
        if let Some(modify) = node.downcast_ref::<ModifyTable>() {
            let entries = modify.table.indexes.iter().filter(|i| !i.primary).count();
            return Self {
                total: input.total + input.rows * (SEEK + ROW + entries as f64 * (SEEK + ENTRY)),
                ..*input
            };
        }
        if node.is::<FunctionScan>() {
            return Self::made(None, &[]);
        }
        if node.is::<ProjectSet>() {
            let rows = input.rows * ROWS_DEFAULT;
            return Self {
                rows,
                total: input.total + rows * ROW,
                ..*input
            };
        }
        if let Some(set) = node.downcast_ref::<SetOperation>() {
            let both = sum(inputs);
            let rows = match set.operator {
                SetOperator::Except => input.rows,
                SetOperator::Intersect => inputs.iter().map(|e| e.rows).fold(input.rows, f64::min),
            };
            let total = both.total + both.rows * OPERATOR;
            return Self {
                rows,
                startup: total,
                total,
            };
        }
        if node.is::<RecursiveCte>() {
            let step = inputs.get(1).unwrap_or(&none);
            return Self {
                rows: input.rows + step.rows * ROUNDS,
                startup: input.startup,
                total: input.total + step.total * ROUNDS,
            };
        }
        // CTEs come before the body, which gives the rows.
        match inputs.split_last() {
            Some((body, ctes)) if !ctes.is_empty() => {
                let before: f64 = ctes.iter().map(|e| e.total).sum();
                Self {
                    rows: body.rows,
                    startup: body.startup + before,
                    total: body.total + before,
                }
            }
            Some((only, _)) => *only,
            None => Self::made(None, &[]),
        }
    }

    fn sorted(&self, fetch: Option<usize>) -> Self {
        let kept = fetch.map_or(self.rows, |n| self.rows.min(n as f64));
        let startup = self.total + self.rows * kept.max(2.0).log2() * OPERATOR;
        Self {
            rows: kept,
            startup,
            total: startup + kept * OPERATOR,
        }
    }

    /// What is not asked for is not computed, once the first row is there.
    fn limited(&self, skip: Option<f64>, fetch: Option<f64>) -> Self {
        let skip = skip.unwrap_or(0.0).min(self.rows);
        let rows = fetch.unwrap_or(f64::MAX).min(self.rows - skip);
        let share = if self.rows > 0.0 {
            (skip + rows) / self.rows
        } else {
            1.0
        };
        Self {
            rows,
            startup: self.startup,
            total: self.startup + (self.total - self.startup) * share,
        }
    }

    fn grouped(&self, keys: usize, values: usize) -> Self {
        let rows = if keys == 0 {
            1.0
        } else {
            self.rows.min(VALUES_DEFAULT.powi(keys.min(8) as i32))
        };
        let startup = self.total + self.rows * values as f64 * OPERATOR;
        Self {
            rows,
            startup,
            total: startup + rows * ROW,
        }
    }
}

fn sum(inputs: &[Estimate]) -> Estimate {
    Estimate {
        rows: inputs.iter().map(|e| e.rows).sum(),
        startup: inputs.first().map_or(0.0, |e| e.startup),
        total: inputs.iter().map(|e| e.total).sum(),
    }
}

/// Rows that agree in a key are mostly those of one side and their one partner on the other.
fn joined(kind: JoinType, keys: usize, filter: Option<&Expr>, inputs: &[Estimate]) -> Estimate {
    let none = Estimate::constant();
    let (left, right) = (
        inputs.first().unwrap_or(&none),
        inputs.get(1).unwrap_or(&none),
    );
    let pairs = if keys == 0 {
        left.rows * right.rows
    } else {
        left.rows.max(right.rows)
    };
    let inner = pairs * filter.map_or(1.0, selectivity);
    let rows = match kind {
        JoinType::Left => inner.max(left.rows),
        JoinType::Right => inner.max(right.rows),
        JoinType::Full => inner.max(left.rows + right.rows),
        JoinType::LeftSemi | JoinType::LeftAnti => left.rows * HALF,
        JoinType::RightSemi | JoinType::RightAnti => right.rows * HALF,
        JoinType::LeftMark => left.rows,
        JoinType::RightMark => right.rows,
        _ => inner,
    };
    let compared = if keys == 0 {
        pairs
    } else {
        left.rows + right.rows
    };
    Estimate {
        rows,
        // One side is kept to be looked up by the other's rows.
        startup: right.total,
        total: left.total + right.total + compared * OPERATOR + rows * ROW,
    }
}

/// The number that LIMIT or OFFSET says; a parameter's is not known.
fn count(expr: &Expr) -> Option<f64> {
    match literal_value(expr) {
        Some(Ok((value, _))) => value.as_i64().map(|n| n.max(0) as f64),
        _ => None,
    }
}

fn conjuncts_of(filters: &[&Expr]) -> f64 {
    let count: usize = filters
        .iter()
        .map(|e| conjuncts(std::slice::from_ref(*e)).len())
        .sum();
    count as f64
}

/// The share of rows that a condition keeps.
fn selectivity(expr: &Expr) -> f64 {
    match expr {
        Expr::Alias(alias) => selectivity(&alias.expr),
        Expr::BinaryExpr(b) => match b.op {
            Operator::And => selectivity(&b.left) * selectivity(&b.right),
            Operator::Or => {
                let (left, right) = (selectivity(&b.left), selectivity(&b.right));
                left + right - left * right
            }
            Operator::Eq | Operator::IsNotDistinctFrom => EQUAL,
            Operator::NotEq | Operator::IsDistinctFrom => 1.0 - EQUAL,
            _ => RANGE,
        },
        Expr::Not(inner) => 1.0 - selectivity(inner),
        Expr::IsNull(_) => EQUAL,
        Expr::IsNotNull(_) => 1.0 - EQUAL,
        Expr::Between(b) => either(EQUAL, b.negated),
        Expr::Like(l) => either(EQUAL, l.negated),
        Expr::InList(l) => either((l.list.len() as f64 * EQUAL).min(1.0), l.negated),
        Expr::Literal(ScalarValue::Boolean(value), _) => f64::from(u8::from(*value == Some(true))),
        Expr::Column(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::IsTrue(_) => HALF,
        // Operators of types that Arrow does not have; PostgreSQL names their functions so.
        Expr::ScalarFunction(call) => match as_pg_function(&call.func).map(|f| f.def.name) {
            Some(name) if name.ends_with("eq") || name.ends_with("like") => EQUAL,
            Some(name) if name.ends_with("ne") => 1.0 - EQUAL,
            _ => RANGE,
        },
        _ => RANGE,
    }
}

fn either(share: f64, negated: bool) -> f64 {
    if negated { 1.0 - share } else { share }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{col, lit};

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn a_row_by_its_key_costs_the_same_in_a_table_of_any_size() {
        for rows in [0, 10, 1_000_000] {
            let e = Estimate::scan(rows, &Path::Keys(1), &[], &[]);
            assert!(close(e.total, 0.29) && close(e.rows, 1.0), "{e:?}");
        }
    }

    #[test]
    fn a_scan_costs_by_the_row_and_an_index_only_what_it_finds() {
        let full = |rows| Estimate::scan(rows, &Path::Full, &[], &[]).total;
        assert!(close(full(2_000) - full(1_000), 10.0));
        let equal = col("a").eq(lit(1));
        let filtered = Estimate::scan(1_000, &Path::Full, &[], &[&equal]);
        assert!(close(filtered.rows, 5.0) && filtered.total > full(1_000));
        let path = Path::Range {
            by_index: true,
            unique: false,
        };
        let found = Estimate::scan(1_000, &path, &[&equal], &[]);
        assert!(close(found.rows, 5.0), "{found:?}");
        assert!(found.total < filtered.total, "{found:?} {filtered:?}");
    }

    #[test]
    fn a_limit_costs_its_share_but_not_less_than_a_sort_below_it() {
        let scan = Estimate::scan(10_000, &Path::Full, &[], &[]);
        let few = scan.limited(None, Some(10.0));
        assert!(close(few.rows, 10.0) && few.total < scan.total / 100.0);
        let sorted = scan.sorted(None).limited(None, Some(10.0));
        assert!(sorted.total > scan.total, "{sorted:?}");
    }

    #[test]
    fn a_look_up_costs_by_the_rows_of_the_outer_side_only() {
        let outer = Estimate::scan(10, &Path::Full, &[], &[]);
        let inner = |rows| Estimate::scan(rows, &Path::Keys(1), &[], &[]);
        let join = |rows| Estimate::looked_up(JoinType::Inner, &outer, &inner(rows));
        assert!(close(join(10).total, join(1_000_000).total));
        assert!(close(join(10).rows, 10.0));
    }

    #[test]
    fn a_join_by_a_key_has_the_rows_of_its_larger_side() {
        let side = |rows| Estimate::scan(rows, &Path::Full, &[], &[]);
        let rows = |kind, keys| joined(kind, keys, None, &[side(300), side(20)]).rows;
        assert!(close(rows(JoinType::Inner, 1), 300.0));
        assert!(close(rows(JoinType::Inner, 0), 6_000.0));
        assert!(close(rows(JoinType::LeftSemi, 1), 150.0));
    }
}
