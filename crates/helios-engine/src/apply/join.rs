//! Joins: which method, and how the condition splits.
//!
//! | method | when |
//! | --- | --- |
//! | lateral | the right side mentions columns of the left one |
//! | look-up | the condition reaches the right side's rows by key or index, and looking up each left row costs less than reading all of the right side |
//! | hash | there is an equality between the sides |
//! | nested loop | otherwise |
//!
//! A look-up join is a lateral join that we make ourselves: the equality goes into the right side
//! as a condition on an outer column, where the scan finds its access path.

mod estimate;
mod lateral;
mod lookup;

use super::compile::{CompileOptions, PlanCompiler};
use super::filter::Project;
use super::hash_join::{HashJoinNode, JoinKeys};
use super::scan::has_subquery;
use super::{Operator, Row};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, NullEquality};
use datafusion::logical_expr::{BinaryExpr, Expr, Join, LogicalPlan, Operator as Op};
use helios_planner::lower::access::conjuncts;
use helios_planner::scalar::{CompiledExpr, Frame, Order, expr_type};
use helios_types::{Error, Result, Value, bail};
use lateral::LateralNode;
use std::sync::Arc;

/// What a join gives for each row of its left (outer) side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// The row with each match.
    Inner,
    /// As `Inner`, or with NULLs when there is none.
    Left,
    /// As `Left`, and afterwards the right rows without a match.
    Full,
    /// The row alone when there is a match.
    Semi,
    /// The row alone when there is none. `null_aware`: NOT IN, where a NULL on either side makes
    /// the answer unknown.
    Anti { null_aware: bool },
    /// The row and whether there is a match.
    Mark,
}

/// A join seen from its outer side.
struct Sides<'a> {
    left: &'a LogicalPlan,
    right: &'a LogicalPlan,
    kind: JoinKind,
    /// Equalities (left expression, right expression).
    pairs: Vec<(Expr, Expr)>,
    /// Conditions over both sides that are not such equalities.
    rest: Vec<Expr>,
    null_equals_null: bool,
    /// The plan had the sides the other way round.
    swapped: bool,
}

impl<'a> Sides<'a> {
    fn of(join: &'a Join) -> Result<Self> {
        let anti = JoinKind::Anti {
            null_aware: join.null_aware,
        };
        let (kind, swapped) = match join.join_type {
            JoinType::Inner => (JoinKind::Inner, false),
            JoinType::Left => (JoinKind::Left, false),
            JoinType::Right => (JoinKind::Left, true),
            JoinType::Full => (JoinKind::Full, false),
            JoinType::LeftSemi => (JoinKind::Semi, false),
            JoinType::RightSemi => (JoinKind::Semi, true),
            JoinType::LeftAnti => (anti, false),
            JoinType::RightAnti => (anti, true),
            JoinType::LeftMark => (JoinKind::Mark, false),
            JoinType::RightMark => (JoinKind::Mark, true),
        };
        let mut sides = Sides {
            left: &join.left,
            right: &join.right,
            kind,
            pairs: join.on.clone(),
            rest: Vec::new(),
            null_equals_null: join.null_equality == NullEquality::NullEqualsNull,
            swapped: false,
        };
        for condition in join
            .filter
            .iter()
            .flat_map(|f| conjuncts(std::slice::from_ref(f)))
        {
            match sides.equality(condition) {
                // With NULLs equal, an ordinary equality is not one of the pairs.
                Some(pair) if !sides.null_equals_null => sides.pairs.push(pair),
                _ => sides.rest.push(condition.clone()),
            }
        }
        if swapped {
            sides.swap();
        }
        Ok(sides)
    }

    fn swap(&mut self) {
        std::mem::swap(&mut self.left, &mut self.right);
        for (left, right) in &mut self.pairs {
            std::mem::swap(left, right);
        }
        self.swapped = !self.swapped;
    }

    /// The condition as an equality between an expression of each side.
    fn equality(&self, condition: &Expr) -> Option<(Expr, Expr)> {
        let Expr::BinaryExpr(BinaryExpr {
            left,
            op: Op::Eq,
            right,
        }) = condition
        else {
            return None;
        };
        let of = |expr: &Expr, schema: &DFSchema| {
            let columns = expr.column_refs();
            !columns.is_empty()
                && !has_subquery(expr)
                && columns
                    .iter()
                    .all(|c| schema.maybe_index_of_column(c).is_some())
        };
        let (l, r) = (self.left.schema(), self.right.schema());
        if of(left, l) && of(right, r) {
            Some((left.as_ref().clone(), right.as_ref().clone()))
        } else if of(right, l) && of(left, r) {
            Some((right.as_ref().clone(), left.as_ref().clone()))
        } else {
            None
        }
    }

    fn combined(&self) -> Result<DFSchema> {
        self.left
            .schema()
            .join(self.right.schema())
            .map_err(Error::internal)
    }
}

/// A join whose inner side is looked up by each row of the outer one.
pub(crate) struct LookUp<'a> {
    pub(crate) outer: &'a LogicalPlan,
    /// With the join's equalities among the conditions of its scan.
    pub(crate) inner: LogicalPlan,
    /// Conditions over both sides that are left.
    pub(crate) rest: Vec<Expr>,
}

/// How a join looks one side up; `None` when it is made otherwise.
pub(crate) fn looked_up<'a>(join: &'a Join, options: &CompileOptions<'_>) -> Option<LookUp<'a>> {
    let mut sides = Sides::of(join).ok()?;
    if is_lateral(&sides) {
        return None;
    }
    let (inner, swap) = PlanCompiler::new(options).lookup_side(&sides)?;
    if swap {
        sides.swap();
    }
    Some(LookUp {
        outer: sides.left,
        inner,
        rest: sides.rest,
    })
}

/// The outer columns that a plan mentions, at any depth below it.
fn outer_columns(plan: &LogicalPlan) -> Vec<Column> {
    let mut columns = Vec::new();
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::OuterReferenceColumn(_, column) = e {
                    columns.push(column.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    columns
}

fn is_lateral(sides: &Sides<'_>) -> bool {
    outer_columns(sides.right)
        .iter()
        .any(|c| sides.left.schema().maybe_index_of_column(c).is_some())
}

fn conjunction(conditions: &[Expr]) -> Option<Expr> {
    conditions.iter().cloned().reduce(Expr::and)
}

impl PlanCompiler<'_> {
    pub(super) fn join(&mut self, join: &Join, frame: &mut Frame) -> Result<Arc<dyn Operator>> {
        let mut sides = Sides::of(join)?;
        let operator = if is_lateral(&sides) {
            if sides.kind == JoinKind::Full || sides.swapped {
                bail!(
                    InvalidColumnReference,
                    "the combining JOIN type must be INNER or LEFT for a LATERAL reference"
                );
            }
            let conditions: Vec<_> = sides
                .pairs
                .iter()
                .map(|(l, r)| l.clone().eq(r.clone()))
                .chain(sides.rest.iter().cloned())
                .collect();
            let right = sides.right.clone();
            self.lateral(&sides, &right, &conditions, "LateralJoin", frame)?
        } else if let Some((right, swap)) = self.lookup_side(&sides) {
            if swap {
                sides.swap();
            }
            self.lateral(&sides, &right, &sides.rest, "LookupJoin", frame)?
        } else {
            self.hash_join(&mut sides, frame)?
        };
        Ok(self.restore_order(operator, &sides))
    }

    /// The plan's own column order, when the sides were exchanged.
    fn restore_order(&self, operator: Arc<dyn Operator>, sides: &Sides<'_>) -> Arc<dyn Operator> {
        let both = matches!(
            sides.kind,
            JoinKind::Inner | JoinKind::Left | JoinKind::Full
        );
        if !sides.swapped || !both {
            return operator;
        }
        let (outer, inner) = (
            sides.left.schema().fields().len(),
            sides.right.schema().fields().len(),
        );
        let exprs = (outer..outer + inner)
            .chain(0..outer)
            .map(CompiledExpr::column)
            .collect();
        Arc::new(Project {
            input: operator,
            exprs,
            label: "sides exchanged".into(),
        })
    }

    fn lateral(
        &mut self,
        sides: &Sides<'_>,
        right: &LogicalPlan,
        conditions: &[Expr],
        name: &'static str,
        frame: &mut Frame,
    ) -> Result<Arc<dyn Operator>> {
        let left = self.plan(sides.left, frame)?;
        let mut inner = Frame::nested();
        let inner_plan = self.plan(right, &mut inner)?;
        let schema = sides.left.schema();
        let captures = inner
            .columns()
            .iter()
            .map(|column| match schema.maybe_index_of_column(column) {
                Some(position) => Ok(CompiledExpr::column(position)),
                None => {
                    let field = Arc::new(datafusion::arrow::datatypes::Field::new(
                        "outer",
                        datafusion::arrow::datatypes::DataType::Null,
                        true,
                    ));
                    let outer = Expr::OuterReferenceColumn(field, column.clone());
                    self.expr(&outer, schema, frame)
                }
            })
            .collect::<Result<_>>()?;
        let filter = match conjunction(conditions) {
            Some(condition) => Some(self.expr(&condition, &sides.combined()?, frame)?),
            None => None,
        };
        Ok(Arc::new(LateralNode {
            left,
            right: inner_plan,
            captures,
            filter,
            kind: sides.kind,
            right_width: sides.right.schema().fields().len(),
            label: format!("{name}: {:?}{}", sides.kind, label(&[], conditions)),
        }))
    }

    fn hash_join(&mut self, sides: &mut Sides<'_>, frame: &mut Frame) -> Result<Arc<dyn Operator>> {
        // The right side is held in memory: let it be the smaller one.
        if sides.kind == JoinKind::Inner && self.estimate(sides.left) < self.estimate(sides.right) {
            sides.swap();
        }
        let left = self.plan(sides.left, frame)?;
        let right = self.plan(sides.right, frame)?;
        let mut keys = JoinKeys::default();
        for (l, r) in &sides.pairs {
            let order = Order::of(expr_type(l, sides.left.schema())?);
            keys.orders.push(order);
            keys.left.push(self.expr(l, sides.left.schema(), frame)?);
            keys.right.push(self.expr(r, sides.right.schema(), frame)?);
        }
        keys.null_equals_null = sides.null_equals_null;
        let filter = match conjunction(&sides.rest) {
            Some(condition) => Some(self.expr(&condition, &sides.combined()?, frame)?),
            None => None,
        };
        let name = if sides.pairs.is_empty() {
            "NestedLoopJoin"
        } else {
            "HashJoin"
        };
        Ok(Arc::new(HashJoinNode {
            left,
            right,
            keys,
            filter,
            kind: sides.kind,
            left_width: sides.left.schema().fields().len(),
            right_width: sides.right.schema().fields().len(),
            label: format!(
                "{name}: {:?}{}",
                sides.kind,
                label(&sides.pairs, &sides.rest)
            ),
        }))
    }
}

fn label(pairs: &[(Expr, Expr)], rest: &[Expr]) -> String {
    let list: Vec<_> = pairs
        .iter()
        .map(|(l, r)| format!("{l} = {r}"))
        .chain(rest.iter().map(ToString::to_string))
        .collect();
    if list.is_empty() {
        String::new()
    } else {
        format!(", on {}", list.join(" AND "))
    }
}

/// One row of both sides.
pub fn combine(left: &[Value], right: &[Value]) -> Row {
    let mut row = Vec::with_capacity(left.len() + right.len());
    row.extend_from_slice(left);
    row.extend_from_slice(right);
    row
}

/// A left row without a match.
pub fn pad(mut left: Row, width: usize) -> Row {
    left.extend(std::iter::repeat_n(Value::Null, width));
    left
}
