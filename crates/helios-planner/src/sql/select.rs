//! SELECT, VALUES and the clauses around them.

use super::binder::{Binder, Typed};
use super::literal;
use super::node::{inner, kind, location, optional};
use super::order::{SortKey, sort_exprs};
use super::plan::{self, Query, QueryColumn};
use super::scope::{Clause, columns_of};
use super::target::Target;
use crate::function::CastContext;
use crate::node::{LockRows, LockStrength, LockWait, ProjectSet, RowLock};
use datafusion::logical_expr::{Distinct, DistinctOn, Expr, LogicalPlan};
use helios_types::{Error, Result, Type, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    LimitOption, LockClauseStrength, LockWaitPolicy, LockingClause, RangeVar, SelectStmt,
    SetOperation,
};
use std::sync::Arc;

/// ORDER BY, LIMIT and locks: what stands around a select, a set operation or VALUES.
pub(crate) struct Tail {
    pub skip: Option<Expr>,
    pub fetch: Option<Expr>,
    pub locks: Vec<RowLock>,
}

impl Binder<'_> {
    /// Any query that gives rows: SELECT, VALUES, a set operation, or a data-modifying statement
    /// where WITH allows one. The caller owns the level; this one makes its own inside it.
    pub fn query(&mut self, node: &NodeEnum, resolve_unknown: bool) -> Result<Query> {
        match node {
            NodeEnum::SelectStmt(select) => self.select(select, resolve_unknown),
            other => self.unsupported(format_args!("{} as a subquery", kind(other)), -1),
        }
    }

    pub fn select(&mut self, select: &SelectStmt, resolve_unknown: bool) -> Result<Query> {
        let (query, _) = self.in_level(|b| {
            let materialised = b.with_clause(select.with_clause.as_ref())?;
            let query = if select.op != SetOperation::SetopNone as i32 && select.op != 0 {
                b.set_operation(select)?
            } else if !select.values_lists.is_empty() {
                b.values(select, resolve_unknown)?
            } else {
                b.simple_select(select, resolve_unknown)?
            };
            b.finish_with(query, materialised)
        })?;
        Ok(query)
    }

    fn simple_select(&mut self, select: &SelectStmt, resolve_unknown: bool) -> Result<Query> {
        let SelectStmt {
            distinct_clause,
            into_clause,
            target_list,
            from_clause,
            where_clause,
            group_clause,
            group_distinct,
            having_clause,
            window_clause,
            values_lists: _,
            sort_clause,
            limit_offset,
            limit_count,
            limit_option,
            locking_clause,
            with_clause: _,
            op: _,
            all: _,
            larg: _,
            rarg: _,
        } = select;
        if into_clause.is_some() {
            return Err(error!(SyntaxError, "SELECT ... INTO is not allowed here"));
        }
        let from = self.from_clause(from_clause)?;
        self.window_clause(window_clause)?;
        let mut targets = self.in_clause(Clause::SelectTarget, |b| b.target_list(target_list))?;
        let predicate = match optional(where_clause) {
            Some(node) => Some(self.in_clause(Clause::Where, |b| b.condition(node, "WHERE"))?),
            None => None,
        };
        let having = match optional(having_clause) {
            Some(node) => Some(self.in_clause(Clause::Having, |b| b.condition(node, "HAVING"))?),
            None => None,
        };
        let keys = self.order_by(sort_clause, &mut targets)?;
        let groups = self.group_by(group_clause, *group_distinct, &mut targets)?;
        let distinct = self.distinct_clause(distinct_clause, &mut targets, &keys)?;
        let tail = self.tail(limit_offset, limit_count, *limit_option, locking_clause)?;
        if resolve_unknown || !keys.is_empty() || !distinct_clause.is_empty() {
            for target in &mut targets {
                let value = std::mem::replace(&mut target.value, literal::unknown(None, -1));
                target.value = self.resolve_unknown(value)?;
            }
        }
        if !tail.locks.is_empty() {
            self.check_locking(
                !distinct_clause.is_empty(),
                !group_clause.is_empty(),
                having.is_some(),
            )?;
        }
        let mut input = from.unwrap_or_else(plan::one_row);
        if let Some(predicate) = predicate {
            input = plan::filter(input, predicate)?;
        }
        let input = self.grouped(input, groups, having, &mut targets)?;
        let input = self.windowed(input)?;
        let input = self.with_sets(input)?;
        self.finish_select(input, targets, keys, distinct, tail)
    }

    /// Window calls, each definition's in one node.
    fn windowed(&mut self, mut input: LogicalPlan) -> Result<LogicalPlan> {
        let windows = std::mem::take(&mut self.level().windows);
        if windows.is_empty() {
            return Ok(input);
        }
        let mut groups: Vec<Vec<Expr>> = Vec::new();
        let specification = |e: &Expr| match e {
            Expr::Alias(a) => match a.expr.as_ref() {
                Expr::WindowFunction(w) => {
                    Some((w.params.partition_by.clone(), w.params.order_by.clone()))
                }
                _ => None,
            },
            _ => None,
        };
        for call in windows {
            let aliased = plan::alias(call.expr, &call.name, call.ty);
            let own = specification(&aliased);
            match groups
                .iter_mut()
                .find(|g| g.first().and_then(specification) == own)
            {
                Some(group) => group.push(aliased),
                None => groups.push(vec![aliased]),
            }
        }
        for group in groups {
            input = plan::window(input, group)?;
        }
        Ok(input)
    }

    /// Set-returning functions of the select list: inner calls first.
    fn with_sets(&mut self, mut input: LogicalPlan) -> Result<LogicalPlan> {
        let sets = std::mem::take(&mut self.level().sets);
        let deepest = sets.iter().map(|s| s.stage).max();
        for stage in 0..=deepest.unwrap_or(0) {
            let calls: Vec<_> = sets.iter().filter(|s| s.stage == stage).collect();
            if calls.is_empty() {
                continue;
            }
            let fields: Vec<(String, Type)> =
                calls.iter().map(|c| (c.name.clone(), c.ty)).collect();
            let added = plan::schema(&fields)?;
            let schema = input
                .schema()
                .join(&added)
                .map_err(super::binder::internal)?;
            input = plan::extension(ProjectSet {
                input: Arc::new(input),
                calls: calls.iter().map(|c| c.expr.clone()).collect(),
                schema: Arc::new(schema),
            });
        }
        Ok(input)
    }

    fn finish_select(
        &mut self,
        input: LogicalPlan,
        targets: Vec<Target>,
        keys: Vec<SortKey>,
        distinct: Option<Vec<usize>>,
        tail: Tail,
    ) -> Result<Query> {
        let Tail { skip, fetch, locks } = tail;
        let columns: Vec<QueryColumn> = targets
            .iter()
            .filter(|t| !t.junk)
            .map(|t| QueryColumn {
                name: t.name.clone(),
                ty: t.value.ty,
                origin: t.origin,
                unknown: t.value.is_unknown(),
                at: t.value.at,
            })
            .collect();
        let visible = |targets: &[Target]| -> Vec<(Expr, String, Type)> {
            targets
                .iter()
                .filter(|t| !t.junk)
                .map(|t| (t.value.expr.clone(), t.name.clone(), t.value.ty))
                .collect()
        };
        let plain_keys = keys
            .iter()
            .all(|k| matches!(targets[k.target].value.expr, Expr::Column(_)));
        if distinct.is_none() && (plain_keys || !locks.is_empty()) {
            let mut plan = input;
            if !keys.is_empty() {
                plan = plan::sort(plan, sort_exprs(&keys, |t| targets[t].value.expr.clone()));
            }
            if !locks.is_empty() {
                self.writes = true;
                plan = plan::extension(LockRows {
                    input: Arc::new(plan),
                    locks,
                    fetch: fetch.map(Box::new),
                    skip: skip.map(Box::new),
                });
                let plan = plan::project_output(plan, visible(&targets))?;
                return Ok(Query { plan, columns });
            }
            let plan = plan::limit(plan::project_output(plan, visible(&targets))?, skip, fetch);
            return Ok(Query { plan, columns });
        }
        let all: Vec<(Expr, String, Type)> = targets
            .iter()
            .map(|t| (t.value.expr.clone(), t.name.clone(), t.value.ty))
            .collect();
        let junk = targets.iter().any(|t| t.junk);
        let mut plan = plan::project_output(input, all)?;
        match distinct {
            None => {}
            Some(on) if on.is_empty() => plan = plan::distinct(plan),
            Some(on) => {
                let outputs = plan::output_columns(&plan);
                let on_exprs: Vec<Expr> = on.iter().map(|&i| outputs[i].clone()).collect();
                let mut sorts = sort_exprs(&keys, |t| outputs[t].clone());
                if sorts.is_empty() {
                    sorts = on_exprs
                        .iter()
                        .map(|e| e.clone().sort(true, false))
                        .collect();
                }
                let node = DistinctOn::try_new(on_exprs, outputs, Some(sorts), Arc::new(plan));
                plan = LogicalPlan::Distinct(Distinct::On(node.map_err(super::binder::internal)?));
            }
        }
        if !keys.is_empty() {
            let outputs = plan::output_columns(&plan);
            plan = plan::sort(plan, sort_exprs(&keys, |t| outputs[t].clone()));
        }
        if junk {
            let outputs = plan::output_columns(&plan);
            let kept = targets
                .iter()
                .zip(outputs)
                .filter(|(t, _)| !t.junk)
                .map(|(_, e)| e)
                .collect();
            plan = plan::project(plan, kept)?;
        }
        Ok(Query {
            plan: plan::limit(plan, skip, fetch),
            columns,
        })
    }

    /// `None` without DISTINCT, an empty list for plain DISTINCT, positions for DISTINCT ON.
    fn distinct_clause(
        &mut self,
        nodes: &[pg_query::Node],
        targets: &mut Vec<Target>,
        keys: &[SortKey],
    ) -> Result<Option<Vec<usize>>> {
        if nodes.is_empty() {
            return Ok(None);
        }
        // Plain DISTINCT is a list of one empty node.
        if nodes.iter().all(|n| n.node.is_none()) {
            if let Some(key) = keys.iter().find(|k| targets[k.target].junk) {
                let at = targets[key.target].value.at;
                return Err(self.at(
                    error!(
                        InvalidColumnReference,
                        "for SELECT DISTINCT, ORDER BY expressions must appear in select list"
                    ),
                    at,
                ));
            }
            for target in targets.iter().filter(|t| !t.junk && !t.value.is_unknown()) {
                if !super::operator::ordered(target.value.ty) {
                    let shown = super::type_name::display(Type::new(target.value.ty.oid));
                    return Err(self.at(
                        error!(
                            UndefinedFunction,
                            "could not identify an equality operator for type {shown}"
                        ),
                        target.value.at,
                    ));
                }
            }
            return Ok(Some(Vec::new()));
        }
        let mut on = Vec::with_capacity(nodes.len());
        for node in nodes {
            let found = self.find_target(inner(node)?, targets, Clause::DistinctOn)?;
            let value = std::mem::replace(&mut targets[found].value, literal::unknown(None, -1));
            targets[found].value = self.resolve_unknown(value)?;
            if !on.contains(&found) {
                on.push(found);
            }
        }
        let leading = keys.iter().take_while(|k| on.contains(&k.target)).count();
        if leading < keys.len() && leading < on.len() {
            let at = nodes
                .first()
                .and_then(|n| n.node.as_ref())
                .map_or(-1, location);
            return Err(self.at(
                error!(
                    InvalidColumnReference,
                    "SELECT DISTINCT ON expressions must match initial ORDER BY expressions"
                ),
                at,
            ));
        }
        Ok(Some(on))
    }

    pub fn tail(
        &mut self,
        offset: &Option<Box<pg_query::Node>>,
        count: &Option<Box<pg_query::Node>>,
        option: i32,
        locking: &[pg_query::Node],
    ) -> Result<Tail> {
        if option == LimitOption::WithTies as i32 {
            return self.unsupported("FETCH FIRST ... WITH TIES", -1);
        }
        let skip = self.row_count(optional(offset), Clause::Offset)?;
        let fetch = self.row_count(optional(count), Clause::Limit)?;
        let locks = self.locking(locking)?;
        Ok(Tail { skip, fetch, locks })
    }

    /// LIMIT and OFFSET: bigint without columns; NULL is no limit.
    fn row_count(&mut self, node: Option<&NodeEnum>, clause: Clause) -> Result<Option<Expr>> {
        let Some(node) = node else { return Ok(None) };
        if matches!(node, NodeEnum::AConst(c) if c.isnull) {
            return Ok(None);
        }
        let name = clause.name();
        let value = self.in_clause(clause, |b| b.expression(node))?;
        let at = value.at;
        if !columns_of(&value.expr).is_empty() {
            return Err(self.at(
                error!(
                    InvalidColumnReference,
                    "argument of {name} must not contain variables"
                ),
                at,
            ));
        }
        let source = value.ty;
        match self.coerce_base(value, Type::INT8, CastContext::Assignment)? {
            Some(value) => {
                if literal::value_of(&value).is_some_and(|v| v.as_i64().is_some_and(|n| n < 0)) {
                    let state = if clause == Clause::Limit {
                        *b"2201W"
                    } else {
                        *b"2201X"
                    };
                    return Err(
                        error!(InvalidRowCount, "{name} must not be negative").with_sqlstate(state)
                    );
                }
                Ok(Some(value.expr))
            }
            None => {
                let shown = super::type_name::display(Type::new(source.oid));
                Err(self.at(
                    error!(
                        DatatypeMismatch,
                        "argument of {name} must be type bigint, not type {shown}"
                    ),
                    at,
                ))
            }
        }
    }

    fn locking(&mut self, nodes: &[pg_query::Node]) -> Result<Vec<RowLock>> {
        let mut locks: Vec<RowLock> = Vec::new();
        for node in nodes {
            let NodeEnum::LockingClause(clause) = inner(node)? else {
                return Err(Error::internal("locking clause"));
            };
            let LockingClause {
                locked_rels,
                strength,
                wait_policy,
            } = clause;
            let (name, strength) =
                match LockClauseStrength::try_from(*strength).map_err(Error::internal)? {
                    LockClauseStrength::LcsForkeyshare => ("FOR KEY SHARE", LockStrength::KeyShare),
                    LockClauseStrength::LcsForshare => ("FOR SHARE", LockStrength::Share),
                    LockClauseStrength::LcsFornokeyupdate => {
                        ("FOR NO KEY UPDATE", LockStrength::NoKeyUpdate)
                    }
                    LockClauseStrength::LcsForupdate => ("FOR UPDATE", LockStrength::Update),
                    _ => return Err(Error::internal("lock strength")),
                };
            let wait = match LockWaitPolicy::try_from(*wait_policy).map_err(Error::internal)? {
                LockWaitPolicy::LockWaitSkip => LockWait::SkipLocked,
                LockWaitPolicy::LockWaitError => LockWait::NoWait,
                _ => LockWait::Block,
            };
            let named: Vec<&RangeVar> = locked_rels
                .iter()
                .map(|n| match inner(n)? {
                    NodeEnum::RangeVar(var) => Ok(var),
                    other => Err(Error::internal(kind(other))),
                })
                .collect::<Result<_>>()?;
            for target in self.lock_targets(&named, name)? {
                match locks.iter_mut().find(|l| l.target == target) {
                    Some(lock) => {
                        lock.strength = lock.strength.max(strength);
                        lock.wait = lock.wait.max(wait);
                    }
                    None => locks.push(RowLock {
                        target,
                        strength,
                        wait,
                    }),
                }
            }
        }
        Ok(locks)
    }

    /// Qualifiers of the tables to lock: the named ones, or every base table of FROM.
    fn lock_targets(&mut self, named: &[&RangeVar], clause: &str) -> Result<Vec<String>> {
        let mut targets = Vec::new();
        let items = self.level().items.clone();
        if named.is_empty() {
            for item in items.iter().filter(|i| !i.qualifier.is_empty()) {
                if let Some(table) = &item.table {
                    self.require(table.id, 'w');
                    targets.push(item.qualifier.clone());
                }
            }
            return Ok(targets);
        }
        for var in named {
            if !var.schemaname.is_empty() {
                return Err(self.at(
                    error!(
                        SyntaxError,
                        "{clause} must specify unqualified relation names"
                    ),
                    var.location,
                ));
            }
            let name = &var.relname;
            let Some(item) = items
                .iter()
                .find(|i| i.name.as_deref() == Some(name.as_str()))
            else {
                return Err(self.at(
                    error!(
                        UndefinedTable,
                        "relation \"{name}\" in {clause} clause not found in FROM clause"
                    ),
                    var.location,
                ));
            };
            match &item.table {
                Some(table) => {
                    self.require(table.id, 'w');
                    targets.push(item.qualifier.clone());
                }
                None => {
                    return self.unsupported(
                        format_args!("{clause} of \"{name}\", which is not a table,"),
                        var.location,
                    );
                }
            }
        }
        Ok(targets)
    }

    fn check_locking(&mut self, distinct: bool, group: bool, having: bool) -> Result<()> {
        let what = if distinct {
            "DISTINCT clause"
        } else if group {
            "GROUP BY clause"
        } else if having {
            "HAVING clause"
        } else if !self.level().aggregates.is_empty() {
            "aggregate functions"
        } else if !self.level().windows.is_empty() {
            "window functions"
        } else if !self.level().sets.is_empty() {
            "set-returning functions in the target list"
        } else {
            return Ok(());
        };
        Err(error!(Unsupported, "FOR UPDATE is not allowed with {what}"))
    }

    /// VALUES as a query of its own.
    fn values(&mut self, select: &SelectStmt, resolve_unknown: bool) -> Result<Query> {
        let mut rows: Vec<Vec<Typed>> = Vec::with_capacity(select.values_lists.len());
        for list in &select.values_lists {
            let NodeEnum::List(list) = inner(list)? else {
                return Err(Error::internal("VALUES list"));
            };
            let row = self.in_clause(Clause::Values, |b| b.expressions(&list.items))?;
            if rows.first().is_some_and(|first| first.len() != row.len()) {
                let at = row.first().map_or(-1, |v| v.at);
                return Err(self.at(
                    error!(SyntaxError, "VALUES lists must all be the same length"),
                    at,
                ));
            }
            rows.push(row);
        }
        let width = rows.first().map_or(0, Vec::len);
        let mut types = Vec::with_capacity(width);
        for column in 0..width {
            let all: Vec<&Typed> = rows.iter().map(|r| &r[column]).collect();
            let unknown = !resolve_unknown && all.iter().all(|v| v.is_unknown());
            let ty = if unknown {
                Type::TEXT
            } else {
                self.common_type(&all, "VALUES")?
            };
            types.push((ty.with_modifier(Self::common_modifier(&all, ty)), unknown));
        }
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            let mut exprs = Vec::with_capacity(width);
            for (value, (ty, _)) in row.into_iter().zip(&types) {
                exprs.push(self.coerce_to_common(value, *ty, "VALUES")?.expr);
            }
            out.push(exprs);
        }
        let named: Vec<(String, Type)> = types
            .iter()
            .enumerate()
            .map(|(i, (ty, _))| (format!("column{}", i + 1), *ty))
            .collect();
        let columns = named
            .iter()
            .map(|(name, ty)| QueryColumn {
                name: name.clone(),
                ty: *ty,
                origin: None,
                unknown: false,
                at: -1,
            })
            .collect();
        let plan = plan::values(&named, out)?;
        self.order_and_limit(Query { plan, columns }, select)
    }

    /// ORDER BY, LIMIT and OFFSET over the output columns of a set operation or VALUES.
    pub fn order_and_limit(&mut self, query: Query, select: &SelectStmt) -> Result<Query> {
        if !select.locking_clause.is_empty() {
            let what = if select.values_lists.is_empty() {
                "UNION/INTERSECT/EXCEPT"
            } else {
                "VALUES"
            };
            return Err(error!(Unsupported, "FOR UPDATE is not allowed with {what}")
                .with_cause("locking clause"));
        }
        let Query { mut plan, columns } = query;
        if !select.sort_clause.is_empty() {
            // The output columns are visible as a FROM item without a name would be.
            let outputs = plan::output_columns(&plan);
            let mut targets: Vec<Target> = columns
                .iter()
                .zip(&outputs)
                .map(|(c, e)| Target {
                    name: c.name.clone(),
                    value: Typed::new(e.clone(), c.ty, -1),
                    origin: c.origin,
                    junk: false,
                })
                .collect();
            let visible = targets.len();
            let keys = self.output_order(select, &mut targets)?;
            if targets.len() > visible {
                return Err(error!(Unsupported, "invalid UNION/INTERSECT/EXCEPT ORDER BY clause")
                    .with_detail("Only result column names can be used, not expressions or functions.")
                    .with_hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause."));
            }
            plan = plan::sort(plan, sort_exprs(&keys, |t| outputs[t].clone()));
        }
        let tail = self.tail(
            &select.limit_offset,
            &select.limit_count,
            select.limit_option,
            &[],
        )?;
        plan = plan::limit(plan, tail.skip, tail.fetch);
        Ok(Query { plan, columns })
    }

    fn output_order(
        &mut self,
        select: &SelectStmt,
        targets: &mut Vec<Target>,
    ) -> Result<Vec<SortKey>> {
        let named: Vec<_> = targets
            .iter()
            .map(|t| super::scope::ItemColumn {
                name: t.name.clone(),
                expr: t.value.expr.clone(),
                ty: t.value.ty,
                origin: None,
            })
            .collect();
        let item = super::scope::Item {
            name: None,
            schema: None,
            hidden_name: None,
            qualifier: String::new(),
            columns: named,
            name_visible: false,
            columns_visible: true,
            table: None,
            relation: None,
            scalar: false,
            lateral_refused: false,
        };
        self.level().items.push(item);
        let keys = self.order_by(&select.sort_clause, targets);
        self.level().items.pop();
        keys
    }
}
