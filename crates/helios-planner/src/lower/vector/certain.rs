//! What can be said of an expression before it runs: that no row makes it fail, that it is never
//! NULL.
//!
//! A subquery that became a join is computed for rows that PostgreSQL would never have asked it
//! about, so nothing in it may raise an error: it must be certain. The list of certain functions
//! names what is known to be, and everything else is not. What depends on a parameter's value
//! becomes an [`Assumption`], checked when the plan starts.

use super::{Assumption, obstacle_error};
use crate::catalog::Table;
use crate::function::{PgFunction, Volatility, as_pg_aggregate, as_pg_function};
use crate::relation::{RelationSource, SourceRelation};
use crate::scalar::expr_type;
use crate::sql::COALESCE_OID;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, Result};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, LogicalPlan, Operator};
use helios_types::Type;
use std::collections::HashMap;

/// Digits before the point that a parameter may have; see [`Assumption::FewDigits`].
pub const PARAMETER_DIGITS: u32 = 1000;
/// PostgreSQL's numeric overflows beyond 131,072 digits before the point.
const DIGITS_MAX: u32 = 100_000;
/// Digits that summing adds: no table has more rows than this many digits count.
const SUM_DIGITS: u32 = 20;

/// Finds out whether expressions are certain, and collects what has to hold for it.
#[derive(Default)]
pub struct Certainty {
    pub assumptions: Vec<Assumption>,
    /// Digits of computed numbers, by the columns that hold them; `None` when nothing bounds them.
    computed: HashMap<Column, Option<u32>>,
}

/// Free of columns, of subqueries and of side effects: computed once when the plan starts.
pub fn is_constant(expr: &Expr) -> bool {
    !expr
        .exists(|e| {
            Ok(match e {
                Expr::Column(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::AggregateFunction(_) => true,
                Expr::ScalarFunction(call) => as_pg_function(&call.func)
                    .is_none_or(|f| f.def.volatility == Volatility::Volatile),
                _ => false,
            })
        })
        .unwrap_or(true)
}

/// A comparison, whatever the types.
pub fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// The date in `timestamp(date)`: a comparison takes dates beyond the range of timestamps.
pub fn widened_date(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if as_pg_function(&call.func)?.def.oid == 2024 => {
            call.args.first()
        }
        _ => None,
    }
}

impl Certainty {
    /// Whether no value of its columns makes the expression fail.
    pub fn holds(&mut self, expr: &Expr, schema: &DFSchema) -> bool {
        if is_constant(expr) {
            return true;
        }
        let mut all = |exprs: &[&Expr]| exprs.iter().all(|e| self.holds(e, schema));
        match expr {
            Expr::Column(_) | Expr::OuterReferenceColumn(..) => true,
            // Checked where it was left standing.
            Expr::ScalarSubquery(_) => true,
            Expr::Alias(alias) => self.holds(&alias.expr, schema),
            Expr::Not(e)
            | Expr::IsNull(e)
            | Expr::IsNotNull(e)
            | Expr::IsTrue(e)
            | Expr::IsFalse(e)
            | Expr::IsUnknown(e)
            | Expr::IsNotTrue(e)
            | Expr::IsNotFalse(e)
            | Expr::IsNotUnknown(e) => self.holds(e, schema),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => all(&[
                widened_date(left).unwrap_or(left),
                widened_date(right).unwrap_or(right),
            ]),
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::And | Operator::Or,
                right,
            }) => all(&[left, right]),
            Expr::Between(between) => all(&[&between.expr, &between.low, &between.high]),
            Expr::InList(list) => {
                self.holds(&list.expr, schema) && list.list.iter().all(|e| self.holds(e, schema))
            }
            Expr::Case(case) => {
                let operands = case.expr.iter().chain(&case.else_expr);
                let arms = case.when_then_expr.iter().flat_map(|(w, t)| [w, t]);
                operands.chain(arms).all(|e| self.holds(e, schema))
            }
            Expr::ScalarFunction(call) => self.call(call, schema),
            Expr::AggregateFunction(call) => self.aggregate(call, schema),
            _ => false,
        }
    }

    fn call(&mut self, call: &ScalarFunction, schema: &DFSchema) -> bool {
        let Some(function) = as_pg_function(&call.func) else {
            return false;
        };
        self.function(function, &call.args, schema)
            && call.args.iter().all(|e| self.holds(e, schema))
    }

    fn function(&mut self, function: &PgFunction, args: &[Expr], schema: &DFSchema) -> bool {
        if function.def.oid == COALESCE_OID {
            return true;
        }
        match (function.def.name, function.def.args) {
            ("text", [_]) => true,
            ("int4", [21]) | ("int8", [21 | 23]) | ("numeric", [20 | 21 | 23]) => true,
            ("float8", [20 | 21 | 23 | 700]) => true,
            (
                "upper" | "lower" | "length" | "char_length" | "character_length" | "octet_length"
                | "btrim" | "ltrim" | "rtrim" | "starts_with" | "strpos",
                _,
            ) => true,
            ("substring" | "substr", [25, 23]) => args.get(1).is_some_and(is_constant),
            ("substring" | "substr", [25, 23, 23]) => match args {
                [_, start, length] if is_constant(start) && is_constant(length) => {
                    self.assume(Assumption::NotNegative(length.clone()))
                }
                _ => false,
            },
            (
                "textlike" | "textnlike" | "bpcharlike" | "bpcharnlike" | "texticlike"
                | "texticnlike" | "bpchariclike" | "bpcharicnlike",
                [_, 25],
            ) => match args {
                [_, pattern] if is_constant(pattern) => {
                    self.assume(Assumption::PlainPattern(pattern.clone()))
                }
                _ => false,
            },
            ("numeric_add" | "numeric_sub" | "numeric_mul", _) => {
                match args
                    .iter()
                    .map(|e| self.digits(e, schema))
                    .collect::<Option<Vec<_>>>()
                {
                    Some(digits) => digits.iter().sum::<u32>() < DIGITS_MAX,
                    None => false,
                }
            }
            ("numeric_uminus" | "numeric_abs" | "abs", [1700]) => true,
            _ => false,
        }
    }

    fn assume(&mut self, assumption: Assumption) -> bool {
        self.assumptions.push(assumption);
        true
    }

    /// How many digits a number can have before its point; `None` when nothing bounds them.
    fn digits(&mut self, expr: &Expr, schema: &DFSchema) -> Option<u32> {
        if is_constant(expr) {
            self.assume(Assumption::FewDigits(expr.clone()));
            return Some(PARAMETER_DIGITS);
        }
        match expr {
            Expr::Alias(alias) => self.digits(&alias.expr, schema),
            Expr::Column(column) => match self.computed.get(column) {
                Some(digits) => *digits,
                None => declared_digits(expr, schema),
            },
            Expr::OuterReferenceColumn(..) => declared_digits(expr, schema),
            Expr::Case(case) => case
                .when_then_expr
                .iter()
                .map(|(_, then)| then)
                .chain(&case.else_expr)
                .map(|e| self.digits(e, schema))
                .try_fold(1, |most, digits| Some(most.max(digits?))),
            Expr::ScalarFunction(call) => {
                let function = as_pg_function(&call.func)?;
                let args = |this: &mut Self| {
                    call.args
                        .iter()
                        .map(|e| this.digits(e, schema))
                        .collect::<Option<Vec<_>>>()
                };
                match (function.def.name, function.def.args) {
                    ("numeric", [20 | 21 | 23]) => Some(19),
                    ("numeric_mul", _) => Some(args(self)?.iter().sum::<u32>() + 1),
                    ("numeric_add" | "numeric_sub", _) => Some(args(self)?.into_iter().max()? + 1),
                    _ if function.def.oid == COALESCE_OID => args(self)?.into_iter().max(),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn aggregate(&mut self, call: &AggregateFunction, schema: &DFSchema) -> bool {
        let Some(aggregate) = as_pg_aggregate(&call.func) else {
            return false;
        };
        let params = &call.params;
        let first = aggregate.args.first().map(|ty| ty.oid);
        let by_itself = match (aggregate.def.name, first) {
            ("count" | "min" | "max" | "bool_and" | "bool_or" | "every", _) => true,
            ("sum" | "avg", Some(20 | 21 | 23)) => true,
            ("sum" | "avg", Some(1700)) => self
                .aggregate_digits(call, schema)
                .is_some_and(|digits| digits < DIGITS_MAX),
            _ => false,
        };
        let args = params.args.iter().chain(params.filter.as_deref());
        by_itself && params.order_by.is_empty() && args.into_iter().all(|e| self.holds(e, schema))
    }

    /// Digits of a numeric aggregate.
    fn aggregate_digits(&mut self, call: &AggregateFunction, schema: &DFSchema) -> Option<u32> {
        let aggregate = as_pg_aggregate(&call.func)?;
        let first = aggregate.args.first().map(|ty| ty.oid);
        match (aggregate.def.name, first) {
            ("sum" | "avg", Some(20 | 21 | 23)) => Some(2 * SUM_DIGITS),
            ("sum" | "avg" | "min" | "max", Some(1700)) => {
                let digits = self.digits(call.params.args.first()?, schema)?;
                Some(digits + SUM_DIGITS)
            }
            _ => None,
        }
    }

    /// Follows the digits of numbers up through the plan.
    fn follow(&mut self, plan: &LogicalPlan) {
        for input in plan.inputs() {
            self.follow(input);
        }
        let columns: Vec<Column> = plan.schema().columns();
        match plan {
            LogicalPlan::Aggregate(aggregate) => {
                let schema = aggregate.input.schema();
                let calls = columns.iter().skip(aggregate.group_expr.len());
                for (column, expr) in calls.zip(&aggregate.aggr_expr) {
                    let digits = match expr.clone().unalias() {
                        Expr::AggregateFunction(call) => self.aggregate_digits(&call, schema),
                        _ => None,
                    };
                    self.learn(column, digits);
                }
            }
            LogicalPlan::Projection(projection) => {
                let schema = projection.input.schema();
                for (column, expr) in columns.iter().zip(&projection.expr) {
                    // A column that is passed on under its own name is known.
                    let number =
                        expr_type(expr, schema).is_ok_and(|ty| ty.oid == Type::NUMERIC.oid);
                    if number && !matches!(expr, Expr::Column(c) if c == column) {
                        let digits = self.digits(expr, schema);
                        self.learn(column, digits);
                    }
                }
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let schema = alias.input.schema();
                for (column, inner) in columns.iter().zip(schema.columns()) {
                    if let Some(digits) = self.digits(&Expr::Column(inner), schema) {
                        self.learn(column, Some(digits));
                    }
                }
            }
            _ => {}
        }
    }

    /// Of columns of one name in several places the least is known that is known of any of them.
    fn learn(&mut self, column: &Column, digits: Option<u32>) {
        let known = self.computed.entry(column.clone()).or_insert(digits);
        *known = known.zip(digits).map(|(a, b)| a.max(b));
    }

    /// Refuses a plan that may fail.
    pub fn check_plan(&mut self, plan: &LogicalPlan) -> Result<()> {
        self.follow(plan);
        plan.apply(|node| {
            let schema = visible(node)?;
            node.apply_expressions(|expr| {
                if self.holds(expr, &schema) {
                    Ok(TreeNodeRecursion::Continue)
                } else {
                    Err(obstacle_error(format!(
                        "a subquery that computes {expr}, which can fail"
                    )))
                }
            })
        })
        .map(|_| ())
    }
}

fn declared_digits(expr: &Expr, schema: &DFSchema) -> Option<u32> {
    let (precision, scale) = expr_type(expr, schema).ok()?.numeric_precision_scale()?;
    Some((i32::from(precision) - i32::from(scale)).max(1) as u32)
}

/// The columns that a node's expressions see.
pub fn visible(node: &LogicalPlan) -> Result<DFSchema> {
    Ok(match node {
        LogicalPlan::TableScan(scan) => {
            DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?
        }
        LogicalPlan::Join(join) => join.left.schema().join(join.right.schema())?,
        other => match other.inputs().first() {
            Some(input) => input.schema().as_ref().clone(),
            None => DFSchema::empty(),
        },
    })
}

/// The table that a node scans.
pub fn scanned(node: &LogicalPlan) -> Option<&Table> {
    let LogicalPlan::TableScan(scan) = node else {
        return None;
    };
    let source: &RelationSource = (scan.source.as_ref() as &dyn std::any::Any).downcast_ref()?;
    match &source.relation {
        SourceRelation::Table(table) => Some(table),
        SourceRelation::Virtual(_) => None,
    }
}

/// Whether the expression over the plan's rows is known never to be NULL.
pub fn never_null(expr: &Expr, plan: &LogicalPlan) -> bool {
    match expr {
        Expr::Alias(alias) => never_null(&alias.expr, plan),
        Expr::Column(column) => column_never_null(column, plan),
        Expr::Literal(scalar, _) => !scalar.is_null(),
        Expr::ScalarFunction(call) => as_pg_function(&call.func).is_some_and(|function| {
            // Casts that keep every value.
            matches!(
                (function.def.name, function.def.args),
                ("int8", [21 | 23]) | ("int4", [21]) | ("numeric", [20 | 21 | 23]) | ("text", [_])
            ) && call.args.iter().all(|e| never_null(e, plan))
        }),
        _ => false,
    }
}

fn column_never_null(column: &Column, plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => {
            let Some(table) = scanned(plan) else {
                return false;
            };
            table.columns.iter().enumerate().any(|(i, c)| {
                !c.dropped && c.name == column.name && (c.not_null || table.key.contains(&i))
            })
        }
        LogicalPlan::Filter(filter) => {
            let tested = split_conjunction(&filter.predicate)
                .into_iter()
                .any(|e| matches!(e, Expr::IsNotNull(e) if matches!(e.as_ref(), Expr::Column(c) if c == column)));
            tested || column_never_null(column, &filter.input)
        }
        LogicalPlan::Projection(projection) => projection
            .schema
            .maybe_index_of_column(column)
            .and_then(|i| projection.expr.get(i))
            .is_some_and(|e| never_null(e, &projection.input)),
        LogicalPlan::SubqueryAlias(alias) => {
            alias.schema.maybe_index_of_column(column).is_some_and(|i| {
                let (qualifier, field) = alias.input.schema().qualified_field(i);
                column_never_null(&Column::new(qualifier.cloned(), field.name()), &alias.input)
            })
        }
        LogicalPlan::Join(join) => {
            let left = join.left.schema().has_column(column)
                && matches!(
                    join.join_type,
                    JoinType::Inner
                        | JoinType::Left
                        | JoinType::LeftSemi
                        | JoinType::LeftAnti
                        | JoinType::LeftMark
                )
                && column_never_null(column, &join.left);
            left || (join.right.schema().has_column(column)
                && matches!(join.join_type, JoinType::Inner | JoinType::Right)
                && column_never_null(column, &join.right))
        }
        LogicalPlan::Aggregate(aggregate) => aggregate
            .schema
            .maybe_index_of_column(column)
            .and_then(|i| aggregate.group_expr.get(i))
            .is_some_and(|e| never_null(e, &aggregate.input)),
        LogicalPlan::Sort(sort) => column_never_null(column, &sort.input),
        LogicalPlan::Limit(limit) => column_never_null(column, &limit.input),
        LogicalPlan::Distinct(Distinct::All(input)) => column_never_null(column, input),
        _ => false,
    }
}

/// Whether the plan gives one row at most, whatever the data.
pub fn is_single_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(p) => is_single_row(&p.input),
        LogicalPlan::SubqueryAlias(a) => is_single_row(&a.input),
        LogicalPlan::Filter(f) => is_single_row(&f.input),
        LogicalPlan::Sort(s) => is_single_row(&s.input),
        LogicalPlan::EmptyRelation(_) => true,
        _ => false,
    }
}

/// Types that no key stands for: char(n) inside of them compares without its trailing blanks.
pub fn has_no_key(oid: u32) -> bool {
    oid == Type::RECORD.oid || oid == 1014 || oid == 2287
}
