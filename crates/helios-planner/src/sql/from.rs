//! FROM: tables, views, subqueries, functions and joins.

use super::binder::{Binder, Typed};
use super::name::Name;
use super::node::{inner, kind, required, strings};
use super::plan::{self, Query};
use super::scope::{FromPhase, Item, ItemColumn, column};
use crate::catalog::{Relation, Table, View, VirtualTable};
use crate::relation::RelationSource;
use datafusion::common::JoinType;
use datafusion::logical_expr::{Expr, LogicalPlan};
use helios_types::{Error, Result, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{Alias, RangeSubselect, RangeVar};
use std::sync::Arc;

/// A bound FROM item: its plan, and the names it makes visible.
pub(crate) struct Source {
    pub plan: LogicalPlan,
    pub items: Vec<Item>,
}

impl Binder<'_> {
    /// A whole FROM clause; the items are left in the current level. `None` without FROM.
    pub fn from_clause(&mut self, nodes: &[pg_query::Node]) -> Result<Option<LogicalPlan>> {
        let mut whole: Option<LogicalPlan> = None;
        for node in nodes {
            let before = self.level().lateral.len();
            let source = self.from_item(inner(node)?)?;
            self.check_duplicate_names(&source.items)?;
            whole = Some(match whole {
                None => source.plan,
                Some(left) => self.combine(left, source.plan, JoinType::Inner, None, before)?,
            });
            self.level().items.extend(source.items);
        }
        self.level().lateral.clear();
        self.level().phase = FromPhase::Done;
        Ok(whole)
    }

    /// Joins two plans; a right side that names columns of the left becomes a dependent one.
    pub fn combine(
        &mut self,
        left: LogicalPlan,
        right: LogicalPlan,
        kind: JoinType,
        condition: Option<Expr>,
        lateral_before: usize,
    ) -> Result<LogicalPlan> {
        let left_schema = left.schema().clone();
        let mut outer = Vec::new();
        for named in self.level().lateral.iter().skip(lateral_before) {
            if let Ok(field) = left_schema
                .qualified_field_from_column(named)
                .map(|(_, f)| f)
            {
                outer.push(Expr::OuterReferenceColumn(field.clone(), named.clone()));
            }
        }
        let right = if outer.is_empty() {
            right
        } else {
            plan::dependent(right, outer)
        };
        plan::join(left, right, kind, condition)
    }

    pub fn check_duplicate_names(&mut self, items: &[Item]) -> Result<()> {
        for item in items.iter().filter(|i| i.name_visible) {
            let Some(name) = &item.name else { continue };
            let duplicate = self.level().items.iter().any(|other| {
                other.name_visible
                    && other.name.as_ref() == Some(name)
                    // Two relations of one name in different schemas are no conflict.
                    && !(other.relation.is_some()
                        && item.relation.is_some()
                        && other.relation != item.relation
                        && other.hidden_name.is_none()
                        && item.hidden_name.is_none())
            });
            if duplicate {
                return Err(error!(
                    DuplicateAlias,
                    "table name \"{name}\" specified more than once"
                ));
            }
        }
        Ok(())
    }

    pub fn from_item(&mut self, node: &NodeEnum) -> Result<Source> {
        self.nested(|binder| match node {
            NodeEnum::RangeVar(var) => binder.range_var(var),
            NodeEnum::RangeSubselect(sub) => binder.range_subselect(sub),
            NodeEnum::RangeFunction(function) => binder.range_function(function),
            NodeEnum::JoinExpr(join) => binder.join_expression(join),
            NodeEnum::RangeTableSample(sample) => {
                binder.unsupported("TABLESAMPLE", sample.location)
            }
            NodeEnum::RangeTableFunc(function) => binder.unsupported("XMLTABLE", function.location),
            NodeEnum::JsonTable(table) => binder.unsupported("JSON_TABLE", table.location),
            other => binder.unsupported(format_args!("{} in FROM", kind(other)), -1),
        })
    }

    fn range_var(&mut self, var: &RangeVar) -> Result<Source> {
        let RangeVar {
            catalogname,
            schemaname,
            relname,
            inh: _,
            relpersistence: _,
            alias,
            location: _,
        } = var;
        if catalogname.is_empty()
            && schemaname.is_empty()
            && let Some(source) = self.cte_reference(relname, alias.as_ref(), var.location)?
        {
            return Ok(source);
        }
        let name = Name::of_range_var(var);
        match self.relation(&name)? {
            Relation::Table(table) => self.scan_table(&table, alias.as_ref(), 'r'),
            Relation::Virtual(table) => self.scan_virtual(&table, alias.as_ref(), 'r'),
            Relation::View(view) => self.expand_view(&view, alias.as_ref()),
            Relation::Sequence(sequence) => {
                let name = &sequence.name;
                self.unsupported(
                    format_args!("reading sequence \"{name}\" as a table"),
                    var.location,
                )
            }
            Relation::Index { .. } => {
                let shown = &name.name;
                Err(self.at(
                    error!(WrongObjectType, "cannot open relation \"{shown}\"")
                        .with_detail("This operation is not supported for indexes."),
                    var.location,
                ))
            }
        }
    }

    /// A scan of a table whose rows the engine makes.
    fn scan_virtual(
        &mut self,
        table: &Arc<VirtualTable>,
        alias: Option<&Alias>,
        privilege: char,
    ) -> Result<Source> {
        self.require(table.id, privilege);
        let shown = alias.map_or(table.name.as_str(), |a| a.aliasname.as_str());
        let qualifier = self.unique(shown);
        let plan = plan::scan(&qualifier, RelationSource::virtual_table(table.clone()))?;
        let columns = table
            .columns
            .iter()
            .enumerate()
            .map(|(i, (name, ty))| ItemColumn {
                name: name.clone(),
                expr: Expr::Column(column(Some(&qualifier), name)),
                ty: *ty,
                origin: Some((table.id, i as i16 + 1)),
            })
            .collect();
        let mut item = self.relation_item(&table.name, table.schema, qualifier, columns);
        item.relation = Some(table.id);
        item.table = table.written.clone();
        self.apply_alias(&mut item, alias)?;
        Ok(Source {
            plan,
            items: vec![item],
        })
    }

    /// A scan of the table that a statement changes, under a qualifier of its own.
    pub fn scan_table(
        &mut self,
        table: &Arc<Table>,
        alias: Option<&Alias>,
        privilege: char,
    ) -> Result<Source> {
        if let Some(Relation::Virtual(rows)) = self.cx.catalog.relations.get(&table.id).cloned() {
            return self.scan_virtual(&rows, alias, privilege);
        }
        self.require(table.id, privilege);
        let shown = alias.map_or(table.name.as_str(), |a| a.aliasname.as_str());
        let qualifier = self.unique(shown);
        let plan = plan::scan(&qualifier, RelationSource::table(table.clone()))?;
        let mut item = self.table_item(table, qualifier);
        self.apply_alias(&mut item, alias)?;
        Ok(Source {
            plan,
            items: vec![item],
        })
    }

    /// A base table's names under a qualifier.
    pub fn table_item(&self, table: &Arc<Table>, qualifier: String) -> Item {
        let columns = table
            .live_columns()
            .map(|(i, c)| ItemColumn {
                name: c.name.clone(),
                expr: Expr::Column(column(Some(&qualifier), &c.name)),
                ty: c.ty,
                origin: Some((table.id, i as i16 + 1)),
            })
            .collect();
        let mut item = self.relation_item(&table.name, table.schema, qualifier, columns);
        item.table = Some(table.clone());
        item.relation = Some(table.id);
        item
    }

    fn relation_item(
        &self,
        name: &str,
        schema: helios_types::ObjectId,
        qualifier: String,
        columns: Vec<ItemColumn>,
    ) -> Item {
        Item {
            name: Some(name.to_string()),
            schema: Some(self.schema_name(schema)),
            hidden_name: None,
            qualifier,
            columns,
            name_visible: true,
            columns_visible: true,
            table: None,
            relation: None,
            scalar: false,
            lateral_refused: false,
        }
    }

    /// Renames an item and its columns as an alias says.
    pub fn apply_alias(&self, item: &mut Item, alias: Option<&Alias>) -> Result<()> {
        let Some(Alias {
            aliasname,
            colnames,
        }) = alias
        else {
            return Ok(());
        };
        item.hidden_name = item
            .name
            .replace(aliasname.clone())
            .filter(|n| n != aliasname);
        item.schema = None;
        let names = strings(colnames)?;
        if names.len() > item.columns.len() {
            let (has, given) = (item.columns.len(), names.len());
            return Err(error!(
                InvalidColumnReference,
                "table \"{aliasname}\" has {has} columns available but {given} columns specified"
            ));
        }
        for (column, name) in item.columns.iter_mut().zip(names) {
            column.name = name.to_string();
        }
        Ok(())
    }

    /// A view's query, bound with its owner's rights, in its place.
    fn expand_view(&mut self, view: &Arc<View>, alias: Option<&Alias>) -> Result<Source> {
        self.require(view.id, 'r');
        if self.views.contains(&view.id) {
            let name = &view.name;
            return Err(error!(
                InvalidObjectDefinition,
                "infinite recursion detected in rules for relation \"{name}\""
            ));
        }
        let statements = super::parse::parse(&view.query)?;
        let Some(statement) = statements.into_iter().next() else {
            return Err(Error::internal("view without a query"));
        };
        let owner = self.as_role.replace(view.owner);
        self.views.push(view.id);
        // The view's own names see nothing of the query that uses it.
        let levels = std::mem::take(&mut self.levels);
        let bound = self.with_source(None, |b| b.in_level(|b| b.query(&statement.node, true)));
        self.levels = levels;
        self.views.pop();
        self.as_role = owner;
        let (query, _) = bound?;
        let shown = alias.map_or(view.name.as_str(), |a| a.aliasname.as_str());
        let qualifier = self.unique(shown);
        let names: Vec<String> = view.columns.iter().map(|(n, _)| n.clone()).collect();
        let (plan, mut columns) = self.derived(query, &qualifier, Some(&names))?;
        // A `*` in the stored text may have grown since; the view has not.
        columns.truncate(view.columns.len());
        for (i, column) in columns.iter_mut().enumerate() {
            column.origin = Some((view.id, i as i16 + 1));
        }
        let mut item = self.relation_item(&view.name, view.schema, qualifier, columns);
        item.relation = Some(view.id);
        self.apply_alias(&mut item, alias)?;
        Ok(Source {
            plan,
            items: vec![item],
        })
    }

    fn range_subselect(&mut self, sub: &RangeSubselect) -> Result<Source> {
        let RangeSubselect {
            lateral,
            subquery,
            alias,
        } = sub;
        let phase = if *lateral {
            FromPhase::Lateral
        } else {
            FromPhase::Hidden
        };
        let before = std::mem::replace(&mut self.level().phase, phase);
        let bound = self.in_level(|binder| binder.query(required(subquery)?, true));
        self.level().phase = before;
        let (query, _) = bound?;
        let shown = alias.as_ref().map_or("subquery", |a| a.aliasname.as_str());
        let qualifier = self.unique(shown);
        let (plan, columns) = self.derived(query, &qualifier, None)?;
        let mut item = Item {
            name: None,
            schema: None,
            hidden_name: None,
            qualifier,
            columns,
            name_visible: alias.is_some(),
            columns_visible: true,
            table: None,
            relation: None,
            scalar: false,
            lateral_refused: false,
        };
        self.apply_alias(&mut item, alias.as_ref())?;
        Ok(Source {
            plan,
            items: vec![item],
        })
    }

    /// A query under a qualifier, and its columns as names see them.
    pub fn derived(
        &mut self,
        query: Query,
        qualifier: &str,
        names: Option<&[String]>,
    ) -> Result<(LogicalPlan, Vec<ItemColumn>)> {
        let named = plan::unique_names(query.columns.iter().enumerate().map(|(i, c)| {
            names
                .and_then(|n| n.get(i))
                .map_or(c.name.as_str(), String::as_str)
        }));
        // Fields keep the names that the plan gives them; only the qualifier is new.
        let fits = query
            .plan
            .schema()
            .fields()
            .iter()
            .map(|f| f.name())
            .eq(named.iter());
        let inner_plan = if fits && !matches!(query.plan, LogicalPlan::Extension(_)) {
            query.plan
        } else {
            let exprs = named
                .iter()
                .enumerate()
                .map(|(i, name)| {
                    plan::alias(
                        plan::output_column(&query.plan, i),
                        name,
                        query.columns[i].ty,
                    )
                })
                .collect();
            plan::project(query.plan, exprs)?
        };
        let plan = plan::qualified(inner_plan, qualifier)?;
        let columns = query
            .columns
            .into_iter()
            .zip(named)
            .enumerate()
            .map(|(i, (c, name))| ItemColumn {
                expr: Expr::Column(column(Some(qualifier), &name)),
                name: names.and_then(|n| n.get(i)).cloned().unwrap_or(c.name),
                ty: c.ty,
                origin: c.origin,
            })
            .collect();
        Ok((plan, columns))
    }

    /// All visible columns in order, for `*`.
    pub fn all_columns(
        &mut self,
        at: i32,
    ) -> Result<Vec<(String, Typed, Option<(helios_types::ObjectId, i16)>)>> {
        let depth = self.levels.len().saturating_sub(1);
        let mut out = Vec::new();
        let indexes: Vec<(usize, usize)> = self
            .level()
            .items
            .iter()
            .enumerate()
            .filter(|(_, item)| item.columns_visible)
            .map(|(i, item)| (i, item.columns.len()))
            .collect();
        for (item, count) in indexes {
            for column in 0..count {
                let value = self.use_column(depth, item, column, at)?;
                let shown = &self.levels[depth].items[item].columns[column];
                out.push((shown.name.clone(), value, shown.origin));
            }
        }
        Ok(out)
    }
}

/// The kind of join that a plain comma makes.
pub(crate) const CROSS: JoinType = JoinType::Inner;
