//! INSERT.

use super::binder::{Binder, Typed};
use super::literal;
use super::name::Name;
use super::node::{inner, optional};
use super::plan::{self, Query, QueryColumn};
use super::scope::{Clause, Item};
use crate::catalog::{Identity, Relation, Table};
use crate::function::PgFunction;
use crate::node::{ModifyOp, ModifyTable};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, LogicalPlan};
use helios_types::{Error, Result, Type, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    InsertStmt, OverridingKind, RangeVar, ResTarget, ReturningClause, SelectStmt,
};
use std::sync::Arc;

impl Binder<'_> {
    /// The table that a statement changes.
    pub fn target_table(&mut self, var: &RangeVar, action: &str) -> Result<Arc<Table>> {
        let name = Name::of_range_var(var);
        let at = name.at;
        let shown = name.name.clone();
        match self.relation(&name)? {
            Relation::Table(table) => Ok(table),
            Relation::View(_) => self.unsupported(format_args!("{action} view \"{shown}\""), at),
            Relation::Sequence(_) => Err(self.at(
                error!(WrongObjectType, "cannot change sequence \"{shown}\""),
                at,
            )),
            Relation::Index { .. } => Err(self.at(
                error!(WrongObjectType, "cannot open relation \"{shown}\"")
                    .with_detail("This operation is not supported for indexes."),
                at,
            )),
            Relation::Virtual(table) => match &table.written {
                Some(table) => Ok(table.clone()),
                None => Err(error!(
                    InsufficientPrivilege,
                    "permission denied for table {shown}"
                )),
            },
        }
    }

    pub fn insert(&mut self, insert: &InsertStmt) -> Result<Query> {
        let InsertStmt {
            relation,
            cols,
            select_stmt,
            on_conflict_clause,
            returning_clause,
            with_clause,
            r#override,
        } = insert;
        let var = relation
            .as_ref()
            .ok_or_else(|| Error::internal("INSERT without a table"))?;
        let (query, _) = self.in_level(|b| {
            let ctes = b.with_clause(with_clause.as_ref())?;
            let table = b.target_table(var, "inserting into")?;
            b.require(table.id, 'a');
            let shown = var
                .alias
                .as_ref()
                .map_or(table.name.as_str(), |a| a.aliasname.as_str());
            let qualifier = b.unique(shown);
            let mut columns = b.insert_columns(&table, cols)?;
            let input = b.insert_source(&table, &mut columns, optional(select_stmt), cols)?;
            let overriding = match OverridingKind::try_from(*r#override) {
                Ok(OverridingKind::OverridingSystemValue) => Some(true),
                Ok(OverridingKind::OverridingUserValue) => Some(false),
                _ => None,
            };
            let mut item = b.table_item(&table, qualifier.clone());
            b.apply_alias(&mut item, var.alias.as_ref())?;
            let on_conflict = match on_conflict_clause {
                Some(clause) => Some(b.on_conflict(clause, &table, &item)?),
                None => None,
            };
            let (returning, output) = b.returning(returning_clause.as_ref(), vec![item], &table)?;
            let schema = returning_schema(&output)?;
            let node = ModifyTable {
                op: ModifyOp::Insert,
                table,
                target: qualifier,
                input: Arc::new(input),
                columns,
                overriding,
                assignments: Vec::new(),
                on_conflict,
                returning,
                schema,
            };
            b.finish_with(
                Query {
                    plan: plan::extension(node),
                    columns: output,
                },
                ctes,
            )
        })?;
        Ok(query)
    }

    /// Positions of the target columns: the named ones, or all in order.
    fn insert_columns(&mut self, table: &Table, cols: &[pg_query::Node]) -> Result<Vec<usize>> {
        if cols.is_empty() {
            return Ok(table.live_columns().map(|(i, _)| i).collect());
        }
        let mut positions = Vec::with_capacity(cols.len());
        for node in cols {
            let NodeEnum::ResTarget(target) = inner(node)? else {
                return Err(Error::internal("INSERT columns"));
            };
            let ResTarget {
                name,
                indirection,
                val: _,
                location,
            } = target.as_ref();
            if !indirection.is_empty() {
                return self.unsupported("a subscripted INSERT column", *location);
            }
            let position = self.column_position(table, name, *location)?;
            if positions.contains(&position) {
                return Err(self.at(
                    error!(
                        DuplicateColumn,
                        "column \"{name}\" specified more than once"
                    ),
                    *location,
                ));
            }
            positions.push(position);
        }
        Ok(positions)
    }

    pub fn column_position(&self, table: &Table, name: &str, at: i32) -> Result<usize> {
        if let Some((position, _)) = table.column(name) {
            return Ok(position);
        }
        let relation = &table.name;
        if matches!(
            name,
            "ctid" | "xmin" | "xmax" | "cmin" | "cmax" | "tableoid"
        ) {
            return Err(self.at(
                error!(Unsupported, "cannot assign to system column \"{name}\""),
                at,
            ));
        }
        Err(self.at(
            error!(
                UndefinedColumn,
                "column \"{name}\" of relation \"{relation}\" does not exist"
            ),
            at,
        ))
    }

    /// The rows to insert, each value of its column's type.
    fn insert_source(
        &mut self,
        table: &Arc<Table>,
        columns: &mut Vec<usize>,
        source: Option<&NodeEnum>,
        named: &[pg_query::Node],
    ) -> Result<LogicalPlan> {
        let Some(source) = source else {
            columns.clear();
            return Ok(plan::one_row());
        };
        let NodeEnum::SelectStmt(select) = source else {
            return Err(Error::internal("INSERT source"));
        };
        let plain_values = !select.values_lists.is_empty()
            && select.sort_clause.is_empty()
            && select.limit_count.is_none()
            && select.limit_offset.is_none()
            && select.with_clause.is_none()
            && select.locking_clause.is_empty();
        if plain_values {
            self.insert_values(table, columns, select, named)
        } else {
            self.insert_select(table, columns, select, named)
        }
    }

    fn insert_values(
        &mut self,
        table: &Arc<Table>,
        columns: &mut Vec<usize>,
        select: &SelectStmt,
        named: &[pg_query::Node],
    ) -> Result<LogicalPlan> {
        let mut width = None;
        let mut bound: Vec<Vec<Option<Typed>>> = Vec::with_capacity(select.values_lists.len());
        for list in &select.values_lists {
            let NodeEnum::List(list) = inner(list)? else {
                return Err(Error::internal("VALUES list"));
            };
            if *width.get_or_insert(list.items.len()) != list.items.len() {
                let at = list
                    .items
                    .first()
                    .and_then(|n| n.node.as_ref())
                    .map_or(-1, super::node::location);
                return Err(self.at(
                    error!(SyntaxError, "VALUES lists must all be the same length"),
                    at,
                ));
            }
            self.check_width(list.items.len(), columns, named, &list.items)?;
            let mut row = Vec::with_capacity(list.items.len());
            for (item, &position) in list.items.iter().zip(columns.iter()) {
                let node = inner(item)?;
                if matches!(node, NodeEnum::SetToDefault(_)) {
                    row.push(None);
                    continue;
                }
                let column = &table.columns[position];
                let value = self.in_clause(Clause::Values, |b| b.expression(node))?;
                if column.generated.is_some() {
                    return Err(generated_error(&column.name, true));
                }
                row.push(Some(self.coerce_assignment(
                    value,
                    column.ty,
                    &column.name,
                )?));
            }
            bound.push(row);
        }
        columns.truncate(width.unwrap_or(0));
        // A column that is DEFAULT in every row is left to the write kernel.
        let given: Vec<bool> = (0..columns.len())
            .map(|i| bound.iter().any(|r| r.get(i).is_some_and(Option::is_some)))
            .collect();
        let mut rows = Vec::with_capacity(bound.len());
        for row in bound {
            let mut exprs = Vec::with_capacity(columns.len());
            for (i, value) in row.into_iter().enumerate().filter(|(i, _)| given[*i]) {
                exprs.push(match value {
                    Some(value) => value.expr,
                    None => self.column_default(table, columns[i])?.expr,
                });
            }
            rows.push(exprs);
        }
        let mut keep = given.iter();
        columns.retain(|_| *keep.next().unwrap_or(&true));
        if columns.is_empty() && rows.len() == 1 {
            return Ok(plan::one_row());
        }
        let fields: Vec<(String, Type)> = columns
            .iter()
            .map(|&p| (table.columns[p].name.clone(), table.columns[p].ty))
            .collect();
        if columns.is_empty() {
            return self.unsupported("several rows of nothing but DEFAULT", -1);
        }
        plan::values(&fields, rows)
    }

    fn check_width(
        &self,
        given: usize,
        columns: &[usize],
        named: &[pg_query::Node],
        items: &[pg_query::Node],
    ) -> Result<()> {
        if given > columns.len() {
            let at = items
                .get(columns.len())
                .and_then(|n| n.node.as_ref())
                .map_or(-1, super::node::location);
            return Err(self.at(
                error!(
                    SyntaxError,
                    "INSERT has more expressions than target columns"
                ),
                at,
            ));
        }
        if let Some(first) = named.get(given) {
            let at = first.node.as_ref().map_or(-1, super::node::location);
            return Err(self.at(
                error!(
                    SyntaxError,
                    "INSERT has more target columns than expressions"
                ),
                at,
            ));
        }
        Ok(())
    }

    fn insert_select(
        &mut self,
        table: &Arc<Table>,
        columns: &mut Vec<usize>,
        select: &SelectStmt,
        named: &[pg_query::Node],
    ) -> Result<LogicalPlan> {
        let query = self.select(select, false)?;
        self.check_width(query.columns.len(), columns, named, &[])?;
        columns.truncate(query.columns.len());
        for &position in columns.iter() {
            let column = &table.columns[position];
            if column.generated.is_some() {
                return Err(generated_error(&column.name, true));
            }
        }
        let mut exprs = Vec::with_capacity(columns.len());
        let mut changed = false;
        let constants = match &query.plan {
            LogicalPlan::Projection(p) => Some(p.clone()),
            _ => None,
        };
        let any_unknown = query.columns.iter().any(|c| c.unknown);
        for (i, &position) in columns.iter().enumerate() {
            let column = &table.columns[position];
            let source = &query.columns[i];
            let ty = if source.unknown {
                Type::UNKNOWN
            } else {
                source.ty
            };
            // Untyped constants are read by the column's input function, in the select list itself.
            let expr = match &constants {
                Some(projection) if any_unknown => match &projection.expr[i] {
                    Expr::Alias(alias) => (*alias.expr).clone(),
                    other => other.clone(),
                },
                _ => plan::output_column(&query.plan, i),
            };
            let value = Typed::new(expr.clone(), ty, source.at);
            let value = self.coerce_assignment(value, column.ty, &column.name)?;
            changed |= value.expr != expr || any_unknown;
            exprs.push((value.expr, column.name.clone(), column.ty));
        }
        if !changed {
            return Ok(query.plan);
        }
        let names = plan::unique_names(exprs.iter().map(|(_, n, _)| n.as_str()));
        let exprs = exprs
            .into_iter()
            .zip(names)
            .map(|((e, _, ty), n)| plan::alias(e, &n, ty))
            .collect();
        match constants {
            Some(projection) if any_unknown => {
                plan::project(projection.input.as_ref().clone(), exprs)
            }
            _ => plan::project(query.plan, exprs),
        }
    }

    /// What DEFAULT means for a column.
    pub fn column_default(&mut self, table: &Arc<Table>, position: usize) -> Result<Typed> {
        let column = &table.columns[position];
        if let (Some(_), Some(sequence)) = (column.identity, column.sequence) {
            return self.next_value(sequence, column.ty);
        }
        match &column.default {
            Some(text) => self.stored_default(text, column.ty, &column.name),
            None => Ok(Typed::new(literal::null(column.ty), column.ty, -1)),
        }
    }

    fn next_value(&mut self, sequence: helios_types::ObjectId, ty: Type) -> Result<Typed> {
        let def = self.cx.registry.functions_named("nextval").first().copied();
        let Some(def) = def else {
            return self.unsupported("function nextval(regclass)", -1);
        };
        let argument = super::construct::oid_literal(sequence.0, Type::REGCLASS);
        let call = PgFunction::new(def, vec![Type::REGCLASS], Type::INT8).call(vec![argument]);
        self.coerce_assignment(Typed::new(call, Type::INT8, -1), ty, "identity")
    }

    /// RETURNING over the given items.
    pub fn returning(
        &mut self,
        clause: Option<&ReturningClause>,
        items: Vec<Item>,
        table: &Table,
    ) -> Result<(Vec<Expr>, Vec<QueryColumn>)> {
        let Some(ReturningClause { options, exprs }) = clause else {
            return Ok((Vec::new(), Vec::new()));
        };
        if !options.is_empty() {
            return self.unsupported("RETURNING WITH (...)", -1);
        }
        self.require(table.id, 'r');
        let saved = std::mem::replace(&mut self.level().items, items);
        let targets = self.in_clause(Clause::Returning, |b| b.target_list(exprs));
        self.level().items = saved;
        let mut out = Vec::new();
        let mut columns = Vec::new();
        for target in targets? {
            let value = self.resolve_unknown(target.value)?;
            columns.push(QueryColumn {
                name: target.name,
                ty: value.ty,
                origin: target.origin,
                unknown: false,
                at: value.at,
            });
            out.push(value.expr);
        }
        Ok((out, columns))
    }
}

/// The schema of what a data-modifying statement returns.
pub(crate) fn returning_schema(columns: &[QueryColumn]) -> Result<Arc<DFSchema>> {
    let names = plan::unique_names(columns.iter().map(|c| c.name.as_str()));
    let fields: Vec<(String, Type)> = names
        .into_iter()
        .zip(columns.iter().map(|c| c.ty))
        .collect();
    plan::schema(&fields)
}

/// The refusal of a value for a generated column.
pub(crate) fn generated_error(column: &str, insert: bool) -> Error {
    let error = if insert {
        error!(
            GeneratedAlways,
            "cannot insert a non-DEFAULT value into column \"{column}\""
        )
    } else {
        error!(
            GeneratedAlways,
            "column \"{column}\" can only be updated to DEFAULT"
        )
    };
    error.with_detail(format!("Column \"{column}\" is a generated column."))
}

/// Whether a column is an identity that refuses values of the user's.
pub(crate) fn always_identity(table: &Table, position: usize) -> bool {
    table
        .columns
        .get(position)
        .is_some_and(|c| c.identity == Some(Identity::Always))
}
