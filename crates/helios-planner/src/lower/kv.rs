//! Plans for the key-value executor.

use super::access::{Choice, Matcher, conjuncts};
use crate::catalog::{Shape, Table};
use crate::function::as_pg_function;
use crate::node::{Assignment, ConflictAction, ModifyOp, ModifyTable};
use crate::optimise::as_modify;
use crate::relation::{RelationSource, SourceRelation};
use crate::template::{AccessPath, KvAccess, KvProgram};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr, TableScan};
use std::sync::Arc;

/// The program for an optimised plan; `None` when it is not of this kind.
pub fn program(plan: &LogicalPlan) -> Option<KvProgram> {
    match as_modify(plan) {
        Some(node) => modify(node),
        None => read(plan),
    }
}

/// Whether an expression can be evaluated from a row and parameters alone.
fn is_plain(expr: &Expr) -> bool {
    !expr
        .exists(|e| {
            Ok(match e {
                Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::AggregateFunction(_)
                | Expr::WindowFunction(_) => true,
                Expr::ScalarFunction(call) => {
                    as_pg_function(&call.func).is_none_or(|f| !f.def.implementation.is_scalar())
                }
                _ => false,
            })
        })
        .unwrap_or(true)
}

/// Constants and parameters, and functions of them that do not change from call to call.
fn is_constant(expr: &Expr) -> bool {
    use crate::function::Volatility::Volatile;
    is_plain(expr)
        && !expr
            .exists(|e| {
                Ok(match e {
                    Expr::Column(_) => true,
                    Expr::ScalarFunction(call) => {
                        as_pg_function(&call.func).is_none_or(|f| f.def.volatility == Volatile)
                    }
                    _ => false,
                })
            })
            .unwrap_or(true)
}

/// What stands above the scan of a one-table query, every expression over the scan's columns.
struct Stack<'a> {
    scan: &'a TableScan,
    output: Vec<Expr>,
    filters: Vec<Expr>,
    sort: Vec<SortExpr>,
    limit: Option<Expr>,
    offset: Option<Expr>,
}

/// Collects while it descends; expressions are rewritten to what the next node below offers.
#[derive(Default)]
struct Descent {
    output: Vec<Expr>,
    filters: Vec<Expr>,
    sort: Vec<SortExpr>,
    sorted: bool,
    limited: bool,
    limit: Option<Expr>,
    offset: Option<Expr>,
}

impl Descent {
    fn rewrite(&mut self, replace: &dyn Fn(&Column) -> Option<Expr>) -> Option<()> {
        let rewrite = |expr: &mut Expr| -> Option<()> {
            let mut missing = false;
            let new = std::mem::take(expr)
                .transform(|e| {
                    Ok(match &e {
                        Expr::Column(column) => match replace(column) {
                            Some(new) => Transformed::yes(new),
                            None => {
                                missing = true;
                                Transformed::no(e)
                            }
                        },
                        _ => Transformed::no(e),
                    })
                })
                .ok()?
                .data;
            *expr = new;
            (!missing).then_some(())
        };
        self.output.iter_mut().try_for_each(rewrite)?;
        self.filters.iter_mut().try_for_each(rewrite)?;
        self.sort.iter_mut().try_for_each(|s| rewrite(&mut s.expr))
    }

    fn descend<'a>(mut self, plan: &'a LogicalPlan) -> Option<Stack<'a>> {
        match plan {
            LogicalPlan::Limit(limit) => {
                if self.limited || self.sorted || !self.filters.is_empty() {
                    return None;
                }
                self.limited = true;
                self.limit = limit.fetch.as_deref().cloned();
                self.offset = limit.skip.as_deref().cloned();
                self.descend(&limit.input)
            }
            LogicalPlan::Sort(sort) => {
                if self.sorted || !self.filters.is_empty() {
                    return None;
                }
                self.sorted = true;
                self.sort = sort.expr.clone();
                if let (Some(fetch), None) = (sort.fetch, &self.limit) {
                    let fetch = helios_types::Value::Int8(fetch as i64);
                    self.limit = Some(crate::pgtype::literal(&fetch, helios_types::Type::INT8));
                }
                self.descend(&sort.input)
            }
            LogicalPlan::Projection(projection) => {
                let schema = &projection.schema;
                self.rewrite(&|column| {
                    let position = schema.maybe_index_of_column(column)?;
                    Some(projection.expr.get(position)?.clone().unalias())
                })?;
                self.descend(&projection.input)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let (above, below) = (&alias.schema, alias.input.schema());
                self.rewrite(&|column| {
                    let position = above.maybe_index_of_column(column)?;
                    Some(Expr::Column(below.qualified_field(position).into()))
                })?;
                self.descend(&alias.input)
            }
            LogicalPlan::Filter(filter) => {
                self.filters.push(filter.predicate.clone());
                self.descend(&filter.input)
            }
            LogicalPlan::TableScan(scan) => {
                self.filters.extend(scan.filters.iter().cloned());
                // A limit that was pushed into the scan stands above it as well.
                if scan.fetch.is_some() && self.limit.is_none() {
                    return None;
                }
                Some(Stack {
                    scan,
                    output: self.output,
                    filters: self.filters,
                    sort: self.sort,
                    limit: self.limit,
                    offset: self.offset,
                })
            }
            _ => None,
        }
    }
}

fn all_columns(schema: &DFSchema) -> Vec<Expr> {
    (0..schema.fields().len())
        .map(|i| Expr::Column(schema.qualified_field(i).into()))
        .collect()
}

fn scanned_table(scan: &TableScan) -> Option<&Arc<Table>> {
    let source = (scan.source.as_ref() as &dyn std::any::Any).downcast_ref::<RelationSource>()?;
    match &source.relation {
        SourceRelation::Table(table) => Some(table),
        SourceRelation::Virtual(_) => None,
    }
}

/// The access path of a stack and what it leaves to check.
fn reach(stack: &Stack<'_>, table: &Table) -> Option<(Choice, Option<Expr>)> {
    let column = |expr: &Expr| match expr {
        Expr::Column(column) => table.column(&column.name).map(|(position, _)| position),
        _ => None,
    };
    let conditions = conjuncts(&stack.filters);
    let matcher = Matcher {
        column: &column,
        constant: &is_constant,
    };
    let order = stack
        .sort
        .iter()
        .map(|s| matcher.order_column(table, s))
        .collect::<Option<Vec<_>>>()?;
    let choice = matcher.choose(table, &conditions, &order);
    if !choice.ordered || !conditions.iter().all(|c| is_plain(c)) {
        return None;
    }
    let rest = conditions
        .iter()
        .enumerate()
        .filter(|(i, _)| !choice.implied.contains(i))
        .map(|(_, c)| (*c).clone())
        .reduce(Expr::and);
    Some((choice, rest))
}

/// Whether a path reads few rows for sure, or stops early.
fn is_short(choice: &Choice, limited: bool) -> bool {
    match &choice.path {
        AccessPath::Point(_) | AccessPath::Points(_) | AccessPath::Each { .. } => true,
        AccessPath::Range {
            equal,
            lower,
            upper,
            ..
        } => limited || !equal.is_empty() || lower.is_some() || upper.is_some(),
        AccessPath::Full { .. } => false,
    }
}

fn read(plan: &LogicalPlan) -> Option<KvProgram> {
    let descent = Descent {
        output: all_columns(plan.schema()),
        ..Descent::default()
    };
    let stack = descent.descend(plan)?;
    let table = scanned_table(stack.scan)?;
    if table.shape == Shape::Keyspace {
        return None;
    }
    let (choice, filter) = reach(&stack, table)?;
    let limited = stack.limit.is_some();
    let bounds = [&stack.limit, &stack.offset];
    if !is_short(&choice, limited)
        || !stack.output.iter().all(is_plain)
        || !bounds.into_iter().flatten().all(is_constant)
    {
        return None;
    }
    let access = KvAccess {
        table: table.clone(),
        path: choice.path,
        limit: stack.limit,
        offset: stack.offset,
    };
    Some(KvProgram::Read {
        access,
        filter,
        output: stack.output,
    })
}

fn plain_assignments(assignments: &[Assignment]) -> bool {
    assignments.iter().all(|a| is_plain(&a.value))
}

fn modify(node: &ModifyTable) -> Option<KvProgram> {
    let conflict_is_plain = match node.on_conflict.as_ref().map(|c| &c.action) {
        Some(ConflictAction::Update {
            assignments,
            filter,
        }) => plain_assignments(assignments) && filter.iter().all(is_plain),
        _ => true,
    };
    if !conflict_is_plain
        || !plain_assignments(&node.assignments)
        || !node.returning.iter().all(is_plain)
    {
        return None;
    }
    match node.op {
        ModifyOp::Insert => {
            let rows = value_rows(&node.input)?;
            let plain = rows.iter().flatten().all(is_plain);
            plain.then(|| KvProgram::Insert {
                node: Arc::new(node.clone()),
                rows,
            })
        }
        ModifyOp::Update | ModifyOp::Delete => {
            let descent = Descent {
                output: all_columns(node.input.schema()),
                ..Descent::default()
            };
            let stack = descent.descend(&node.input)?;
            let table = scanned_table(stack.scan)?;
            let own = table.id == node.table.id && stack.scan.table_name.table() == node.target;
            if !own || stack.limit.is_some() || stack.offset.is_some() || !stack.sort.is_empty() {
                return None;
            }
            // The node's expressions see the scan's columns by their own names.
            if !stack.output.iter().all(|e| matches!(e, Expr::Column(_))) {
                return None;
            }
            let (choice, filter) = reach(&stack, table)?;
            if !is_short(&choice, false) {
                return None;
            }
            let access = KvAccess {
                table: table.clone(),
                path: choice.path,
                limit: None,
                offset: None,
            };
            Some(KvProgram::Change {
                node: Arc::new(node.clone()),
                access,
                filter,
            })
        }
    }
}

/// The rows of VALUES, through projections of them.
fn value_rows(plan: &LogicalPlan) -> Option<Vec<Vec<Expr>>> {
    match plan {
        LogicalPlan::Values(values) => Some(values.values.clone()),
        LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => Some(vec![Vec::new()]),
        LogicalPlan::SubqueryAlias(alias) => value_rows(&alias.input),
        LogicalPlan::Projection(projection) => {
            let schema = projection.input.schema();
            value_rows(&projection.input)?
                .into_iter()
                .map(|row| project(&projection.expr, schema, &row))
                .collect()
        }
        _ => None,
    }
}

/// The projection's expressions with a row's expressions in place of its columns. A value that
/// more than one of them would compute is left to the row executor.
fn project(exprs: &[Expr], schema: &DFSchema, row: &[Expr]) -> Option<Vec<Expr>> {
    let mut used = vec![0u32; row.len()];
    let out = exprs
        .iter()
        .map(|expr| {
            let mut missing = false;
            let new = expr
                .clone()
                .unalias()
                .transform(|e| {
                    Ok(match &e {
                        Expr::Column(column) => {
                            let position = schema.maybe_index_of_column(column);
                            match position.and_then(|p| row.get(p).map(|v| (p, v))) {
                                Some((position, value)) => {
                                    used[position] += 1;
                                    Transformed::yes(value.clone())
                                }
                                None => {
                                    missing = true;
                                    Transformed::no(e)
                                }
                            }
                        }
                        _ => Transformed::no(e),
                    })
                })
                .ok()?
                .data;
            (!missing).then_some(new)
        })
        .collect::<Option<Vec<_>>>()?;
    let twice = used
        .iter()
        .zip(row)
        .any(|(n, value)| *n > 1 && !is_constant(value));
    (!twice).then_some(out)
}
