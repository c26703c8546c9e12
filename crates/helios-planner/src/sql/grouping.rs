//! GROUP BY: keys, grouping sets, and the check that every column is grouped.
//!
//! Above the aggregation only group keys and aggregate results exist. Keys that are not columns
//! are computed below it under a generated name. Grouping sets become one aggregation each over
//! an input that is computed once.

use super::binder::{Binder, Typed, internal};
use super::literal;
use super::node::inner;
use super::plan;
use super::scope::Clause;
use super::target::Target;
use crate::node::{CteScan, Materialize};
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use helios_types::{Error, Result, Type, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{GroupingSet, GroupingSetKind};
use std::sync::Arc;

/// Most grouping sets that CUBE and their products may make.
const SETS_MAX: usize = 4096;

/// The keys of GROUP BY, and the sets of them: one set without GROUPING SETS.
pub(crate) struct Groups {
    pub keys: Vec<Typed>,
    pub sets: Vec<Vec<usize>>,
    /// Whether there was a GROUP BY clause at all.
    pub present: bool,
}

impl Binder<'_> {
    pub fn group_by(
        &mut self,
        nodes: &[pg_query::Node],
        distinct: bool,
        targets: &mut Vec<Target>,
    ) -> Result<Groups> {
        let mut keys: Vec<Typed> = Vec::new();
        let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
        for node in nodes {
            let alternatives = self.group_item(inner(node)?, targets, &mut keys)?;
            let mut product = Vec::new();
            for set in &sets {
                for alternative in &alternatives {
                    let mut joined = set.clone();
                    for key in alternative {
                        if !joined.contains(key) {
                            joined.push(*key);
                        }
                    }
                    product.push(joined);
                    if product.len() > SETS_MAX {
                        return Err(error!(
                            LimitExceeded,
                            "too many grouping sets present (maximum {SETS_MAX})"
                        ));
                    }
                }
            }
            sets = product;
        }
        if distinct {
            let mut seen: Vec<Vec<usize>> = Vec::new();
            sets.retain(|set| {
                let mut sorted = set.clone();
                sorted.sort_unstable();
                let new = !seen.contains(&sorted);
                seen.push(sorted);
                new
            });
        }
        Ok(Groups {
            keys,
            sets,
            present: !nodes.is_empty(),
        })
    }

    /// The alternative sets of keys that one GROUP BY item stands for.
    fn group_item(
        &mut self,
        node: &NodeEnum,
        targets: &mut Vec<Target>,
        keys: &mut Vec<Typed>,
    ) -> Result<Vec<Vec<usize>>> {
        let NodeEnum::GroupingSet(set) = node else {
            return Ok(vec![self.group_keys(node, targets, keys)?]);
        };
        let GroupingSet {
            kind,
            content,
            location: _,
        } = set;
        match GroupingSetKind::try_from(*kind).map_err(Error::internal)? {
            GroupingSetKind::GroupingSetEmpty => Ok(vec![Vec::new()]),
            GroupingSetKind::GroupingSetRollup => {
                let parts = self.key_lists(content, targets, keys)?;
                Ok((0..=parts.len())
                    .rev()
                    .map(|n| parts[..n].concat())
                    .collect())
            }
            GroupingSetKind::GroupingSetCube => {
                let parts = self.key_lists(content, targets, keys)?;
                if parts.len() > 12 {
                    return Err(error!(LimitExceeded, "CUBE is limited to 12 elements"));
                }
                let n = parts.len();
                Ok((0..1usize << n)
                    .map(|mask| {
                        let chosen = (0..n).filter(|i| mask & (1 << i) == 0);
                        chosen.flat_map(|i| parts[i].clone()).collect()
                    })
                    .collect())
            }
            GroupingSetKind::GroupingSetSets => {
                let mut all = Vec::new();
                for part in content {
                    all.extend(self.group_item(inner(part)?, targets, keys)?);
                }
                Ok(all)
            }
            _ => Err(Error::internal("grouping set of no kind")),
        }
    }

    fn key_lists(
        &mut self,
        content: &[pg_query::Node],
        targets: &mut Vec<Target>,
        keys: &mut Vec<Typed>,
    ) -> Result<Vec<Vec<usize>>> {
        content
            .iter()
            .map(|n| self.group_keys(inner(n)?, targets, keys))
            .collect()
    }

    /// One expression, or a parenthesised list of them.
    fn group_keys(
        &mut self,
        node: &NodeEnum,
        targets: &mut Vec<Target>,
        keys: &mut Vec<Typed>,
    ) -> Result<Vec<usize>> {
        if let NodeEnum::RowExpr(row) = node
            && row.row_format == pg_query::protobuf::CoercionForm::CoerceImplicitCast as i32
        {
            let mut all = Vec::new();
            for arg in &row.args {
                all.extend(self.group_keys(inner(arg)?, targets, keys)?);
            }
            return Ok(all);
        }
        let before = targets.len();
        let aggregates = self.level().aggregates.len();
        let found = self.find_target(node, targets, Clause::GroupBy)?;
        if self.level().aggregates.len() > aggregates
            || self.names_generated(&targets[found].value.expr, true)
        {
            let at = targets[found].value.at;
            return Err(self.at(
                error!(
                    GroupingError,
                    "aggregate functions are not allowed in GROUP BY"
                ),
                at,
            ));
        }
        if self.names_generated(&targets[found].value.expr, false) {
            let at = targets[found].value.at;
            return Err(self.at(
                error!(
                    WindowingError,
                    "window functions are not allowed in GROUP BY"
                ),
                at,
            ));
        }
        let value = std::mem::replace(&mut targets[found].value, literal::unknown(None, -1));
        let value = self.resolve_unknown(value)?;
        targets[found].value = value.clone();
        // A key that the list does not show needs no place in it.
        targets.truncate(before);
        if !super::operator::ordered(value.ty) {
            let shown = super::type_name::display(Type::new(value.ty.oid));
            return Err(self.at(
                error!(
                    UndefinedFunction,
                    "could not identify an equality operator for type {shown}"
                ),
                value.at,
            ));
        }
        let key = match keys.iter().position(|k| k.expr == value.expr) {
            Some(key) => key,
            None => {
                keys.push(value);
                keys.len() - 1
            }
        };
        Ok(vec![key])
    }

    fn names_generated(&mut self, expr: &Expr, aggregates: bool) -> bool {
        let columns = super::scope::columns_of(expr);
        let level = self.level();
        let list = if aggregates {
            &level.aggregates
        } else {
            &level.windows
        };
        columns
            .iter()
            .any(|c| c.relation.is_none() && list.iter().any(|a| a.name == c.name))
    }

    /// The input aggregated, HAVING applied, and everything above rewritten over its columns.
    pub fn grouped(
        &mut self,
        input: LogicalPlan,
        groups: Groups,
        having: Option<Expr>,
        targets: &mut [Target],
    ) -> Result<LogicalPlan> {
        let aggregates = std::mem::take(&mut self.level().aggregates);
        let groupings = std::mem::take(&mut self.level().groupings);
        if !groups.present && aggregates.is_empty() && having.is_none() {
            if groupings.is_empty() {
                return Ok(input);
            }
            return Err(error!(
                GroupingError,
                "arguments to GROUPING must be grouping expressions of the associated query level"
            ));
        }
        let Groups {
            mut keys,
            mut sets,
            present: _,
        } = groups;
        self.add_dependent_keys(&mut keys, &mut sets, targets, having.as_ref());
        // Keys that are computed get a column of their own below the aggregation.
        let mut input = input;
        let mut computed = Vec::new();
        let mut replacements: Vec<(Expr, Expr)> = Vec::new();
        let mut key_columns: Vec<Expr> = Vec::new();
        for key in &keys {
            if matches!(key.expr, Expr::Column(_)) {
                key_columns.push(key.expr.clone());
                continue;
            }
            let name = self.unique("group");
            computed.push(plan::alias(key.expr.clone(), &name, key.ty));
            let column = plan::generated(&name);
            replacements.push((key.expr.clone(), column.clone()));
            key_columns.push(column);
        }
        if !computed.is_empty() {
            let mut exprs = plan::output_columns(&input);
            exprs.extend(computed);
            input = plan::project(input, exprs)?;
        }
        let calls: Vec<Expr> = aggregates
            .iter()
            .map(|a| plan::alias(a.expr.clone(), &a.name, a.ty))
            .collect();
        let grouping_keys = self.grouping_arguments(&groupings, &keys)?;
        let plan = if sets.len() == 1 && groupings.is_empty() {
            plan::aggregate(input, key_columns.clone(), calls)?
        } else {
            self.aggregate_sets(
                input,
                &keys,
                &key_columns,
                &sets,
                calls,
                &grouping_keys,
                &aggregates,
            )?
        };
        let mut kept: Vec<Expr> = key_columns;
        kept.extend(aggregates.iter().map(|a| plan::generated(&a.name)));
        kept.extend(groupings.iter().map(|(name, _)| plan::generated(name)));
        kept.extend(
            self.level()
                .windows
                .iter()
                .map(|w| plan::generated(&w.name)),
        );
        kept.extend(self.level().sets.iter().map(|s| plan::generated(&s.name)));
        for target in targets.iter_mut() {
            let value = std::mem::replace(&mut target.value.expr, literal::boolean(false));
            target.value.expr = self.over_groups(value, &replacements, &kept)?;
        }
        let having = having
            .map(|h| self.over_groups(h, &replacements, &kept))
            .transpose()?;
        for index in 0..self.level().windows.len() {
            let expr = self.level().windows[index].expr.clone();
            self.level().windows[index].expr = self.over_groups(expr, &replacements, &kept)?;
        }
        for index in 0..self.level().sets.len() {
            let expr = self.level().sets[index].expr.clone();
            self.level().sets[index].expr = self.over_groups(expr, &replacements, &kept)?;
        }
        match having {
            Some(having) => plan::filter(plan, having),
            None => Ok(plan),
        }
    }

    /// Columns of a table whose whole primary key is grouped follow from it: they join the keys.
    fn add_dependent_keys(
        &mut self,
        keys: &mut Vec<Typed>,
        sets: &mut [Vec<usize>],
        targets: &[Target],
        having: Option<&Expr>,
    ) {
        let grouped: Vec<Expr> = keys.iter().map(|k| k.expr.clone()).collect();
        let mut wanted: Vec<Column> = Vec::new();
        let level = self.level();
        let exprs = targets
            .iter()
            .map(|t| &t.value.expr)
            .chain(having)
            .chain(level.windows.iter().map(|w| &w.expr));
        for expr in exprs {
            for column in columns_and_outer(expr) {
                if !wanted.contains(&column) {
                    wanted.push(column);
                }
            }
        }
        for item in level.items.clone() {
            let Some(table) = &item.table else { continue };
            let Some(primary) = table.primary_key() else {
                continue;
            };
            let determined = sets.len() == 1
                && primary.columns.iter().all(|c| match c.key {
                    crate::catalog::IndexKey::Column(position) => grouped.iter().any(|g| {
                        matches!(g, Expr::Column(c) if c.relation.as_ref().map(|r| r.table()) == Some(item.qualifier.as_str())
                            && table.columns.get(position).is_some_and(|column| column.name == c.name))
                    }),
                    _ => false,
                });
            if !determined {
                continue;
            }
            for column in &item.columns {
                if let Expr::Column(c) = &column.expr
                    && wanted.contains(c)
                    && !grouped.contains(&column.expr)
                {
                    keys.push(Typed::new(column.expr.clone(), column.ty, -1));
                    let position = keys.len() - 1;
                    for set in sets.iter_mut() {
                        set.push(position);
                    }
                }
            }
        }
    }

    /// Positions of the keys that each `GROUPING(…)` names.
    fn grouping_arguments(
        &mut self,
        groupings: &[(String, Vec<Expr>)],
        keys: &[Typed],
    ) -> Result<Vec<(String, Vec<usize>)>> {
        groupings
            .iter()
            .map(|(name, args)| {
                let positions = args
                    .iter()
                    .map(|arg| {
                        keys.iter().position(|k| k.expr == *arg).ok_or_else(|| {
                            error!(
                                GroupingError,
                                "arguments to GROUPING must be grouping expressions of the associated query level"
                            )
                        })
                    })
                    .collect::<Result<Vec<_>>>()?;
                Ok((name.clone(), positions))
            })
            .collect()
    }

    /// One aggregation for each grouping set over one computed input, united.
    #[allow(clippy::too_many_arguments)]
    fn aggregate_sets(
        &mut self,
        input: LogicalPlan,
        keys: &[Typed],
        key_columns: &[Expr],
        sets: &[Vec<usize>],
        calls: Vec<Expr>,
        groupings: &[(String, Vec<usize>)],
        aggregates: &[super::scope::AggregateCall],
    ) -> Result<LogicalPlan> {
        let id = self.next_cte();
        let schema = input.schema().clone();
        let name = self.unique("grouping_input");
        let mut branches = Vec::with_capacity(sets.len());
        let mut names: Vec<(Expr, Type)> = Vec::new();
        for set in sets {
            let scan = plan::extension(CteScan {
                id,
                name: name.clone(),
                schema: schema.clone(),
            });
            let group = set.iter().map(|&k| key_columns[k].clone()).collect();
            let aggregated = plan::aggregate(scan, group, calls.clone())?;
            let mut exprs = Vec::new();
            names.clear();
            for (k, key) in keys.iter().enumerate() {
                let value = if set.contains(&k) {
                    key_columns[k].clone()
                } else {
                    literal::null(key.ty)
                };
                exprs.push((value, key.ty));
                names.push((key_columns[k].clone(), key.ty));
            }
            for call in aggregates {
                exprs.push((plan::generated(&call.name), call.ty));
                names.push((plan::generated(&call.name), call.ty));
            }
            for (column, positions) in groupings {
                // The first argument is the highest bit; a bit says that the key is not grouped.
                let bits = positions
                    .iter()
                    .fold(0i32, |bits, p| bits << 1 | i32::from(!set.contains(p)));
                exprs.push((literal::int4(bits), Type::INT4));
                names.push((plan::generated(column), Type::INT4));
            }
            let exprs = exprs
                .into_iter()
                .enumerate()
                .map(|(i, (e, ty))| plan::alias(e, &format!("c{i}"), ty))
                .collect();
            branches.push(plan::project(aggregated, exprs)?);
        }
        let columns: Vec<(String, Type)> = names
            .iter()
            .enumerate()
            .map(|(i, (_, ty))| (format!("c{i}"), *ty))
            .collect();
        let united = if branches.len() == 1 {
            branches.swap_remove(0)
        } else {
            plan::union(branches, &columns)?
        };
        // The columns get back the names under which everything above knows them.
        let exprs = names
            .iter()
            .enumerate()
            .map(|(i, (expr, ty))| match expr {
                Expr::Column(c) => {
                    let mut aliased = plan::alias(plan::generated(&format!("c{i}")), &c.name, *ty);
                    if let Expr::Alias(a) = &mut aliased {
                        a.relation = c.relation.clone();
                    }
                    aliased
                }
                other => other.clone(),
            })
            .collect();
        let body = plan::project(united, exprs)?;
        Ok(plan::extension(Materialize {
            ctes: vec![(id, Arc::new(input))],
            body: Arc::new(body),
        }))
    }

    /// An expression over the aggregation's output.
    fn over_groups(
        &mut self,
        expr: Expr,
        replacements: &[(Expr, Expr)],
        kept: &[Expr],
    ) -> Result<Expr> {
        let replaced = expr
            .transform_down(|e| {
                if let Some((_, column)) = replacements.iter().find(|(from, _)| *from == e) {
                    return Ok(Transformed::new(
                        column.clone(),
                        true,
                        TreeNodeRecursion::Jump,
                    ));
                }
                Ok(Transformed::no(e))
            })
            .map(|t| t.data)
            .map_err(internal)?;
        for (column, inner) in columns_with_depth(&replaced) {
            let known = kept
                .iter()
                .any(|k| matches!(k, Expr::Column(c) if *c == column))
                || replacements
                    .iter()
                    .any(|(_, to)| matches!(to, Expr::Column(c) if *c == column));
            if !known && self.own_column(&column) {
                return Err(self.ungrouped(&column, inner));
            }
        }
        Ok(replaced)
    }

    fn own_column(&mut self, column: &Column) -> bool {
        let Some(relation) = &column.relation else {
            return false;
        };
        self.level().items.iter().any(|i| {
            i.qualifier == relation.table()
                || i.columns
                    .iter()
                    .any(|c| matches!(&c.expr, Expr::Column(e) if e == column))
        })
    }

    fn ungrouped(&mut self, column: &Column, inner: bool) -> Error {
        let at = self.level().positions.get(column).copied().unwrap_or(-1);
        let shown = self
            .level()
            .items
            .iter()
            .find_map(|item| {
                let found = item
                    .columns
                    .iter()
                    .find(|c| matches!(&c.expr, Expr::Column(e) if e == column))?;
                let name = item.name.as_ref()?;
                Some(format!("{name}.{}", found.name))
            })
            .unwrap_or_else(|| column.name.clone());
        let error = if inner {
            error!(
                GroupingError,
                "subquery uses ungrouped column \"{shown}\" from outer query"
            )
        } else {
            error!(
                GroupingError,
                "column \"{shown}\" must appear in the GROUP BY clause or be used in an aggregate function"
            )
        };
        self.at(error, at)
    }
}

/// Columns an expression names, directly or from inside a subquery of it.
fn columns_with_depth(expr: &Expr) -> Vec<(Column, bool)> {
    let mut found = Vec::new();
    let _ = expr.apply(|e| {
        match e {
            Expr::Column(c) => found.push((c.clone(), false)),
            Expr::ScalarSubquery(s) => outer_columns(&s.outer_ref_columns, &mut found),
            Expr::Exists(s) => outer_columns(&s.subquery.outer_ref_columns, &mut found),
            Expr::InSubquery(s) => outer_columns(&s.subquery.outer_ref_columns, &mut found),
            Expr::SetComparison(s) => outer_columns(&s.subquery.outer_ref_columns, &mut found),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

fn outer_columns(references: &[Expr], found: &mut Vec<(Column, bool)>) {
    for reference in references {
        if let Expr::OuterReferenceColumn(_, column) = reference {
            found.push((column.clone(), true));
        }
    }
}

fn columns_and_outer(expr: &Expr) -> Vec<Column> {
    columns_with_depth(expr)
        .into_iter()
        .map(|(c, _)| c)
        .collect()
}
