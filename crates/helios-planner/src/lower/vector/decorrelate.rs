//! Subqueries to joins.
//!
//! | subquery | becomes |
//! | --- | --- |
//! | a condition `EXISTS`, `x IN` | semi join |
//! | a condition `NOT EXISTS` | anti join |
//! | a condition `x NOT IN` without NULLs | anti join |
//! | a condition `x NOT IN` with NULLs, not correlated | anti join that knows NULLs |
//! | `EXISTS`, `IN` without NULLs elsewhere | mark join: a column says whether there is a match |
//! | a correlated aggregate | left join with the aggregate grouped by the correlation |
//! | a correlated row by a unique key | left join |
//! | an uncorrelated aggregate | stays: the executor computes it once |
//!
//! Everything that PostgreSQL would compute for some outer rows only, or not at all, is checked to
//! be [`certain`](super::certain). What stands in a subquery above its aggregate moves to the place
//! of the subquery itself and is evaluated there, for the same rows as before: so `count` is 0 and
//! `coalesce(sum(x), 0)` is 0 where no row matches.

use super::certain::{Certainty, is_single_row, never_null, scanned};
use super::obstacle_error;
use super::pull_up::{
    Condition, PullUp, Pulled, columns_of, fresh, has_outer_columns, is_correlated, resolved,
};
use crate::catalog::{IndexKey, Table};
use crate::function::arrow::external;
use crate::function::as_pg_aggregate;
use crate::pgtype;
use crate::scalar::expr_type;
use crate::sql::plan;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{
    Column, DFSchema, JoinConstraint, JoinType, NullEquality, Result, Spans, TableReference,
};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, Case, Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Projection, Subquery,
    SubqueryAlias,
};
use helios_types::{Type, Value};
use std::sync::Arc;

#[derive(Default)]
pub struct Decorrelation {
    pub certainty: Certainty,
    names: usize,
}

/// A subquery that is asked for being true or false.
struct Test {
    /// `x` of `x IN (…)`.
    operand: Option<Expr>,
    subquery: Subquery,
    negated: bool,
}

pub fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|e| {
        Ok(matches!(
            e,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
        ))
    })
    .unwrap_or(true)
}

/// Takes conditions with subqueries out of a scan, into a filter over it.
fn lifted(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::TableScan(scan) = &plan else {
        return Ok(plan);
    };
    let (lifted, kept): (Vec<Expr>, Vec<Expr>) =
        scan.filters.iter().cloned().partition(has_subquery);
    let Some(condition) = conjunction(lifted) else {
        return Ok(plan);
    };
    if scan.fetch.is_some() {
        return Err(obstacle_error("a LIMIT over a condition with a subquery"));
    }
    let columns: Vec<Expr> = (0..scan.projected_schema.fields().len())
        .map(|i| Expr::Column(scan.projected_schema.qualified_field(i).into()))
        .collect();
    let name = scan.table_name.clone();
    LogicalPlanBuilder::scan_with_filters(name, scan.source.clone(), None, kept)?
        .filter(condition)?
        .project(columns)?
        .build()
}

fn joined(
    left: LogicalPlan,
    right: LogicalPlan,
    on: Vec<(Expr, Expr)>,
    filter: Option<Expr>,
    kind: JoinType,
    null_aware: bool,
) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Join(Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        filter,
        kind,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        null_aware,
    )?))
}

fn projection(input: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(
        exprs,
        Arc::new(input),
    )?))
}

fn named(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

fn typed_alias(expr: Expr, name: &str, schema: &DFSchema) -> Result<Expr> {
    let ty = expr_type(&expr, schema).map_err(external)?;
    Ok(plan::alias(expr, name, ty))
}

/// The passed up columns of a part under their plain names.
fn exposed_columns(pulled: &Pulled) -> Result<Vec<Expr>> {
    let schema = pulled.plan.schema();
    pulled
        .exposed
        .iter()
        .map(|c| typed_alias(Expr::Column(c.clone()), &c.name, schema))
        .collect()
}

/// Conditions as the keys and the filter of a join.
fn join_terms(conditions: Vec<Condition>) -> (Vec<(Expr, Expr)>, Option<Expr>) {
    let (mut on, mut others) = (Vec::new(), Vec::new());
    for condition in conditions {
        match condition {
            Condition::Equal { outer, inner } => on.push((outer, named(&inner))),
            Condition::Other(expr) => others.push(expr),
        }
    }
    (on, conjunction(others))
}

impl Decorrelation {
    /// The plan without subqueries, except for uncorrelated single values.
    pub fn plan(&mut self, node: LogicalPlan) -> Result<LogicalPlan> {
        let node = node
            .map_children(|child| self.plan(child).map(Transformed::yes))?
            .data;
        let node = lifted(node)?;
        // What was lifted out of a scan is a filter below a projection.
        if let LogicalPlan::Projection(projection) = &node
            && let LogicalPlan::Filter(filter) = projection.input.as_ref()
            && has_subquery(&filter.predicate)
            && !projection.expr.iter().any(has_subquery)
        {
            let input = self.filter(filter.clone())?;
            return self::projection(input, projection.expr.clone());
        }
        match node {
            LogicalPlan::Filter(filter) if has_subquery(&filter.predicate) => self.filter(filter),
            LogicalPlan::Projection(projection) if projection.expr.iter().any(has_subquery) => {
                self.projection(projection)
            }
            other => {
                let mut found = false;
                other.apply_expressions(|e| {
                    found |= has_subquery(e);
                    Ok(TreeNodeRecursion::Continue)
                })?;
                if found {
                    return Err(obstacle_error(format!("a subquery in {}", other.display())));
                }
                Ok(other)
            }
        }
    }

    fn filter(&mut self, filter: Filter) -> Result<LogicalPlan> {
        let columns = columns_of(&filter.input);
        let (with, plain): (Vec<Expr>, Vec<Expr>) = split_conjunction_owned(filter.predicate)
            .into_iter()
            .partition(has_subquery);
        let mut input = Arc::unwrap_or_clone(filter.input);
        if let Some(plain) = conjunction(plain) {
            input = LogicalPlan::Filter(Filter::new(plain, Arc::new(input)));
        }
        let mut kept = Vec::new();
        for condition in with {
            match as_test(condition) {
                Ok(test) => input = self.semi_join(input, test)?,
                Err(condition) => kept.push(self.replaced(condition, &mut input)?),
            }
        }
        let Some(kept) = conjunction(kept) else {
            return Ok(input);
        };
        let filtered = LogicalPlan::Filter(Filter::new(kept, Arc::new(input)));
        if filtered.schema().fields().len() == columns.len() {
            return Ok(filtered);
        }
        projection(filtered, columns)
    }

    fn projection(&mut self, node: Projection) -> Result<LogicalPlan> {
        let mut input = Arc::unwrap_or_clone(node.input);
        let exprs = node
            .expr
            .into_iter()
            .enumerate()
            .map(|(i, expr)| {
                if !has_subquery(&expr) {
                    return Ok(expr);
                }
                let (qualifier, field) = node.schema.qualified_field(i);
                let (qualifier, name) = (qualifier.cloned(), field.name().clone());
                let ty = pgtype::type_of_field(field);
                let expr = self.replaced(expr.unalias(), &mut input)?;
                Ok(match qualifier {
                    Some(qualifier) => expr.alias_qualified_with_metadata(
                        Some(qualifier),
                        name,
                        Some(pgtype::field_metadata(ty)),
                    ),
                    None => plan::alias(expr, &name, ty),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        projection(input, exprs)
    }

    /// The expression without subqueries; the joins that it needs are put on top of `input`.
    fn replaced(&mut self, expr: Expr, input: &mut LogicalPlan) -> Result<Expr> {
        let replaced = expr.transform_down(|e| {
            let value = match e {
                Expr::ScalarSubquery(subquery) => self.scalar(subquery, input)?,
                e @ (Expr::Exists(_) | Expr::InSubquery(_)) => match as_test(e) {
                    Ok(test) => self.mark(test, input)?,
                    Err(other) => other,
                },
                Expr::SetComparison(_) => {
                    return Err(obstacle_error("a comparison with all or any of a subquery"));
                }
                other => return Ok(Transformed::no(other)),
            };
            Ok(Transformed::new(value, true, TreeNodeRecursion::Jump))
        })?;
        Ok(replaced.data)
    }

    /// The subquery's plan without subqueries, which cannot fail.
    fn inner(&mut self, subquery: Subquery) -> Result<LogicalPlan> {
        let inner = self.plan(Arc::unwrap_or_clone(subquery.subquery))?;
        self.certainty.check_plan(&inner)?;
        Ok(inner)
    }

    fn pull_up<T>(
        &mut self,
        outer: &DFSchema,
        exists: bool,
        run: impl FnOnce(&mut PullUp<'_>) -> Result<T>,
    ) -> Result<(T, Vec<Condition>)> {
        let mut pull_up = PullUp {
            outer,
            exists,
            names: &mut self.names,
            conditions: Vec::new(),
            assumptions: Vec::new(),
        };
        let out = run(&mut pull_up)?;
        self.certainty.assumptions.append(&mut pull_up.assumptions);
        Ok((out, pull_up.conditions))
    }

    /// What a test joins with: the right side, the operand with its column, the conditions.
    #[allow(clippy::type_complexity)] // Used at once by its two callers.
    fn test_side(
        &mut self,
        test: &Test,
        input: &LogicalPlan,
    ) -> Result<(LogicalPlan, Option<(Expr, Expr)>, Vec<Condition>, bool)> {
        let inner = self.inner(test.subquery.clone())?;
        let exists = test.operand.is_none();
        let (value, nullable) = match &test.operand {
            Some(operand) => {
                if has_subquery(operand) || !self.certainty.holds(operand, input.schema()) {
                    return Err(obstacle_error("IN of an expression that can fail"));
                }
                let value = plan::output_column(&inner, 0);
                let nullable = !never_null(operand, input) || !never_null(&value, &inner);
                (Some(value), nullable)
            }
            None => (None, false),
        };
        let (pulled, conditions) =
            self.pull_up(input.schema(), exists, |pull_up| pull_up.plan(inner))?;
        let mut exprs = exposed_columns(&pulled)?;
        let mut pair = None;
        if let (Some(operand), Some(value)) = (&test.operand, value) {
            let name = fresh(&mut self.names, "v");
            exprs.push(typed_alias(value, &name, pulled.plan.schema())?);
            pair = Some((operand.clone(), named(&name)));
        }
        if exprs.is_empty() {
            let name = fresh(&mut self.names, "v");
            let one = pgtype::literal(&Value::Bool(true), Type::BOOL);
            exprs.push(plan::alias(one, &name, Type::BOOL));
        }
        Ok((projection(pulled.plan, exprs)?, pair, conditions, nullable))
    }

    /// A condition that keeps or drops a row.
    fn semi_join(&mut self, input: LogicalPlan, test: Test) -> Result<LogicalPlan> {
        let (right, pair, conditions, nullable) = self.test_side(&test, &input)?;
        let null_aware = test.negated && pair.is_some() && nullable;
        if null_aware && !conditions.is_empty() {
            return Err(obstacle_error("NOT IN of a correlated subquery with NULLs"));
        }
        let kind = if test.negated {
            JoinType::LeftAnti
        } else {
            JoinType::LeftSemi
        };
        let (mut on, filter) = join_terms(conditions);
        on.extend(pair);
        joined(input, right, on, filter, kind, null_aware)
    }

    /// A column that says whether there is a match.
    fn mark(&mut self, test: Test, input: &mut LogicalPlan) -> Result<Expr> {
        let (right, pair, conditions, nullable) = self.test_side(&test, input)?;
        if nullable {
            return Err(obstacle_error("IN with NULLs within an expression"));
        }
        let qualifier = TableReference::bare(fresh(&mut self.names, "s"));
        let right =
            LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(right), qualifier.clone())?);
        let (mut on, filter) = join_terms(conditions);
        on.extend(pair);
        let requalify = |e: Expr| -> Result<Expr> {
            let schema = right.schema();
            e.transform(|e| match e {
                Expr::Column(c) if c.relation.is_none() => {
                    let aliased = Column::new(Some(qualifier.clone()), &c.name);
                    if schema.has_column(&aliased) {
                        Ok(Transformed::yes(Expr::Column(aliased)))
                    } else {
                        Ok(Transformed::no(Expr::Column(c)))
                    }
                }
                other => Ok(Transformed::no(other)),
            })
            .map(|t| t.data)
        };
        let on = on
            .into_iter()
            .map(|(l, r)| Ok((l, requalify(r)?)))
            .collect::<Result<Vec<_>>>()?;
        let filter = filter.map(requalify).transpose()?;
        let mut columns = columns_of(input);
        let left = std::mem::replace(input, plan::one_row());
        let marked = joined(left, right, on, filter, JoinType::LeftMark, false)?;
        let name = fresh(&mut self.names, "m");
        let mark = Expr::Column(Column::new(Some(qualifier), "mark"));
        columns.push(plan::alias(mark, &name, Type::BOOL));
        *input = projection(marked, columns)?;
        Ok(if test.negated {
            Expr::Not(Box::new(named(&name)))
        } else {
            named(&name)
        })
    }

    fn scalar(&mut self, subquery: Subquery, input: &mut LogicalPlan) -> Result<Expr> {
        let inner = self.plan(Arc::unwrap_or_clone(subquery.subquery))?;
        if !has_outer_columns(&inner) {
            if !is_single_row(&inner) {
                return Err(obstacle_error("a subquery that may give several rows"));
            }
            self.certainty.check_plan(&inner)?;
            return Ok(Expr::ScalarSubquery(Subquery {
                subquery: Arc::new(inner),
                outer_ref_columns: Vec::new(),
                spans: Spans::new(),
            }));
        }
        // What stands above the aggregate or the row is evaluated where the subquery stood.
        let mut value = plan::output_column(&inner, 0);
        let mut node = inner;
        loop {
            node = match node {
                LogicalPlan::Projection(projection) => {
                    value = through_projection(value, &projection)?;
                    Arc::unwrap_or_clone(projection.input)
                }
                LogicalPlan::SubqueryAlias(alias) => {
                    value = through_alias(value, &alias)?;
                    Arc::unwrap_or_clone(alias.input)
                }
                other => {
                    node = other;
                    break;
                }
            }
        }
        if has_subquery(&value) {
            return Err(obstacle_error("a subquery within a correlated subquery"));
        }
        let value = resolved(value, input.schema())?;
        match node {
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {
                self.aggregate(aggregate, value, input)
            }
            node @ (LogicalPlan::TableScan(_) | LogicalPlan::Filter(_)) => {
                self.lookup(node, value, input)
            }
            other => Err(obstacle_error(format!(
                "a correlated subquery with {}",
                other.display()
            ))),
        }
    }

    /// `value` over the columns of an aggregate without groups.
    fn aggregate(
        &mut self,
        aggregate: Aggregate,
        value: Expr,
        input: &mut LogicalPlan,
    ) -> Result<Expr> {
        let whole = LogicalPlan::Aggregate(aggregate.clone());
        self.certainty.check_plan(&whole)?;
        if aggregate.aggr_expr.iter().any(is_correlated) {
            return Err(obstacle_error("an aggregate of outer columns"));
        }
        let counts: Vec<bool> = aggregate
            .aggr_expr
            .iter()
            .map(|e| match e.clone().unalias() {
                Expr::AggregateFunction(call) => {
                    as_pg_aggregate(&call.func).is_some_and(|a| a.def.name == "count")
                }
                _ => false,
            })
            .collect();
        let schema = aggregate.schema.clone();
        let (pulled, conditions) = self.pull_up(input.schema(), false, |pull_up| {
            pull_up.aggregate(aggregate)
        })?;
        if conditions.is_empty() {
            return Err(obstacle_error("a correlated subquery without a condition"));
        }
        let mut exprs = exposed_columns(&pulled)?;
        let value = value.transform_up(|e| {
            let Expr::Column(column) = &e else {
                return Ok(Transformed::no(e));
            };
            let Some(position) = schema.maybe_index_of_column(column) else {
                return Ok(Transformed::no(e));
            };
            let name = fresh(&mut self.names, "a");
            exprs.push(typed_alias(e, &name, pulled.plan.schema())?);
            Ok(Transformed::yes(if counts.get(position) == Some(&true) {
                zero_for_null(named(&name))
            } else {
                named(&name)
            }))
        })?;
        let right = projection(pulled.plan, exprs)?;
        self.left_join(right, conditions, input)?;
        Ok(value.data)
    }

    /// `value` over the columns of a table's row that a unique key finds.
    fn lookup(&mut self, node: LogicalPlan, value: Expr, input: &mut LogicalPlan) -> Result<Expr> {
        let columns: Vec<Column> = node.schema().columns();
        let table = match &node {
            LogicalPlan::Filter(filter) => scanned(&filter.input).cloned(),
            other => scanned(other).cloned(),
        };
        self.certainty.check_plan(&node)?;
        let (pulled, conditions) =
            self.pull_up(input.schema(), false, |pull_up| pull_up.plan(node))?;
        let mut equal = Vec::new();
        for condition in &conditions {
            match condition {
                Condition::Equal { inner, .. } => equal.push(inner.clone()),
                Condition::Other(_) => {
                    return Err(obstacle_error("a subquery whose condition is no equality"));
                }
            }
        }
        let found = exposed_sources(&pulled.plan, &equal);
        if !table.is_some_and(|table| is_unique(&table, &found)) {
            return Err(obstacle_error("a subquery that may give several rows"));
        }
        let mut exprs = exposed_columns(&pulled)?;
        let value = value.transform_up(|e| match e {
            Expr::Column(column) if columns.contains(&column) => {
                let name = fresh(&mut self.names, "a");
                let source = Expr::Column(column);
                exprs.push(typed_alias(source, &name, pulled.plan.schema())?);
                Ok(Transformed::yes(named(&name)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        let right = projection(pulled.plan, exprs)?;
        let key = equal.first().map(|name| named(name));
        self.left_join(right, conditions, input)?;
        // Without a row the subquery is NULL, whatever its expression would make of NULLs.
        let matched = key.ok_or_else(|| obstacle_error("a subquery without a condition"))?;
        Ok(Expr::Case(Case {
            expr: None,
            when_then_expr: vec![(
                Box::new(Expr::IsNotNull(Box::new(matched))),
                Box::new(value.data),
            )],
            else_expr: None,
        }))
    }

    fn left_join(
        &mut self,
        right: LogicalPlan,
        conditions: Vec<Condition>,
        input: &mut LogicalPlan,
    ) -> Result<()> {
        let (on, filter) = join_terms(conditions);
        let left = std::mem::replace(input, plan::one_row());
        *input = joined(left, right, on, filter, JoinType::Left, false)?;
        Ok(())
    }
}

/// The table columns behind passed up names.
fn exposed_sources(plan: &LogicalPlan, names: &[String]) -> Vec<String> {
    let LogicalPlan::Projection(projection) = plan else {
        return Vec::new();
    };
    let sources = projection.expr.iter().filter_map(|e| match e {
        Expr::Alias(alias) if names.contains(&alias.name) => match alias.expr.as_ref() {
            Expr::Column(column) => Some(column.name.clone()),
            _ => None,
        },
        _ => None,
    });
    sources.collect()
}

/// Whether no two rows of the table have the same values in these columns.
fn is_unique(table: &Table, columns: &[String]) -> bool {
    let has = |position: usize| {
        table
            .columns
            .get(position)
            .is_some_and(|c| !c.dropped && columns.contains(&c.name))
    };
    let by_key = !table.key.is_empty() && table.key.iter().all(|&k| has(k));
    by_key
        || table.indexes.iter().any(|index| {
            index.unique
                && index.ready
                && index.predicate.is_none()
                && !index.columns.is_empty()
                && index
                    .columns
                    .iter()
                    .all(|c| matches!(c.key, IndexKey::Column(position) if has(position)))
        })
}

fn zero_for_null(count: Expr) -> Expr {
    Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(
            Box::new(Expr::IsNull(Box::new(count.clone()))),
            Box::new(pgtype::literal(&Value::Int8(0), Type::INT8)),
        )],
        else_expr: Some(Box::new(count)),
    })
}

fn as_test(expr: Expr) -> std::result::Result<Test, Expr> {
    match expr {
        Expr::Exists(exists) => Ok(Test {
            operand: None,
            subquery: exists.subquery,
            negated: exists.negated,
        }),
        Expr::InSubquery(inside) => Ok(Test {
            operand: Some(*inside.expr),
            subquery: inside.subquery,
            negated: inside.negated,
        }),
        Expr::Not(operand) => match as_test(*operand) {
            Ok(test) => Ok(Test {
                negated: !test.negated,
                ..test
            }),
            Err(operand) => Err(Expr::Not(Box::new(operand))),
        },
        other => Err(other),
    }
}

fn through_projection(value: Expr, projection: &Projection) -> Result<Expr> {
    value
        .transform_up(|e| match &e {
            Expr::Column(column) => match projection
                .schema
                .maybe_index_of_column(column)
                .and_then(|i| projection.expr.get(i))
            {
                Some(source) => Ok(Transformed::yes(source.clone().unalias())),
                None => Ok(Transformed::no(e)),
            },
            _ => Ok(Transformed::no(e)),
        })
        .map(|t| t.data)
}

fn through_alias(value: Expr, alias: &SubqueryAlias) -> Result<Expr> {
    value
        .transform_up(|e| match &e {
            Expr::Column(column) => match alias.schema.maybe_index_of_column(column) {
                Some(i) => Ok(Transformed::yes(plan::output_column(&alias.input, i))),
                None => Ok(Transformed::no(e)),
            },
            _ => Ok(Transformed::no(e)),
        })
        .map(|t| t.data)
}
