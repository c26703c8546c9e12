//! ON CONFLICT: which unique indexes arbitrate, and what happens then.

use super::binder::Binder;
use super::node::{inner, optional};
use super::scope::{Clause, Item, ItemColumn, column};
use super::statement::parse_expression;
use crate::catalog::{Index, IndexKey, Table};
use crate::node::{ConflictAction, OnConflict};
use datafusion::logical_expr::Expr;
use helios_types::{Error, ObjectId, Result, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{IndexElem, InferClause, OnConflictAction, OnConflictClause};
use std::sync::Arc;

/// Qualifier of the proposed row.
const EXCLUDED: &str = "excluded";

impl Binder<'_> {
    pub fn on_conflict(
        &mut self,
        clause: &OnConflictClause,
        table: &Arc<Table>,
        target: &Item,
    ) -> Result<OnConflict> {
        let OnConflictClause {
            action,
            infer,
            target_list,
            where_clause,
            location,
        } = clause;
        let action = OnConflictAction::try_from(*action).map_err(Error::internal)?;
        let arbiters = match infer {
            Some(infer) => self.arbiters(infer, table)?,
            None if action == OnConflictAction::OnconflictUpdate => {
                return Err(self.at(
                    error!(
                        SyntaxError,
                        "ON CONFLICT DO UPDATE requires inference specification or constraint name"
                    )
                    .with_hint("For example, ON CONFLICT (column_name)."),
                    *location,
                ));
            }
            None => Vec::new(),
        };
        if action != OnConflictAction::OnconflictUpdate {
            return Ok(OnConflict {
                arbiters,
                action: ConflictAction::Nothing,
            });
        }
        self.require(table.id, 'w');
        let excluded = Item {
            name: Some(EXCLUDED.to_string()),
            schema: None,
            hidden_name: None,
            qualifier: EXCLUDED.to_string(),
            columns: table
                .live_columns()
                .map(|(_, c)| ItemColumn {
                    name: c.name.clone(),
                    expr: Expr::Column(column(Some(EXCLUDED), &c.name)),
                    ty: c.ty,
                    origin: None,
                })
                .collect(),
            name_visible: true,
            columns_visible: true,
            table: None,
            relation: None,
            scalar: false,
            lateral_refused: false,
        };
        self.reserve(EXCLUDED);
        // An unqualified name means a column of both rows, and so is ambiguous.
        let saved = std::mem::replace(&mut self.level().items, vec![target.clone(), excluded]);
        let bound = self.conflict_update(target_list, where_clause, table);
        self.level().items = saved;
        let action = bound?;
        Ok(OnConflict { arbiters, action })
    }

    fn conflict_update(
        &mut self,
        target_list: &[pg_query::Node],
        where_clause: &Option<Box<pg_query::Node>>,
        table: &Arc<Table>,
    ) -> Result<ConflictAction> {
        let assignments = self.assignments(target_list, table, Clause::UpdateTarget)?;
        let filter = match optional(where_clause) {
            Some(node) => {
                self.require(table.id, 'r');
                Some(self.in_clause(Clause::Where, |b| b.condition(node, "WHERE"))?)
            }
            None => None,
        };
        Ok(ConflictAction::Update {
            assignments,
            filter,
        })
    }

    fn arbiters(&mut self, infer: &InferClause, table: &Arc<Table>) -> Result<Vec<ObjectId>> {
        let InferClause {
            index_elems,
            where_clause,
            conname,
            location,
        } = infer;
        let name = &table.name;
        if !conname.is_empty() {
            let index = table
                .indexes
                .iter()
                .find(|i| i.constraint.is_some() && i.name == *conname);
            return match index {
                Some(index) => Ok(vec![index.id]),
                None => Err(error!(
                    UndefinedObject,
                    "constraint \"{conname}\" for table \"{name}\" does not exist"
                )),
            };
        }
        let mut wanted: Vec<Wanted> = Vec::with_capacity(index_elems.len());
        for node in index_elems {
            let NodeEnum::IndexElem(elem) = inner(node)? else {
                return Err(Error::internal("conflict target"));
            };
            wanted.push(self.conflict_element(elem, table, *location)?);
        }
        let predicate = match optional(where_clause) {
            Some(node) => {
                let bound = self.table_expression(
                    node,
                    Some(table),
                    Clause::IndexPredicate,
                    Some(helios_types::Type::BOOL),
                    "predicate",
                )?;
                Some(bound.expr)
            }
            None => None,
        };
        let mut found = Vec::new();
        for index in table.indexes.iter().filter(|i| i.unique) {
            if self.infers(index, &wanted, predicate.as_ref(), table)? {
                found.push(index.id);
            }
        }
        if found.is_empty() {
            return Err(error!(
                InvalidColumnReference,
                "there is no unique or exclusion constraint matching the ON CONFLICT specification"
            ));
        }
        Ok(found)
    }

    fn conflict_element(
        &mut self,
        elem: &IndexElem,
        table: &Arc<Table>,
        at: i32,
    ) -> Result<Wanted> {
        let IndexElem {
            name,
            expr,
            indexcolname: _,
            collation,
            opclass,
            opclassopts,
            ordering: _,
            nulls_ordering: _,
        } = elem;
        if !collation.is_empty() {
            self.check_collation(collation, at)?;
        }
        if !opclass.is_empty() || !opclassopts.is_empty() {
            return self.unsupported("an operator class in ON CONFLICT", at);
        }
        match optional(expr) {
            None => {
                if let Some((position, _)) = table.column(name) {
                    return Ok(Wanted::Column(position));
                }
                Err(self.at(
                    error!(UndefinedColumn, "column \"{name}\" does not exist"),
                    at,
                ))
            }
            Some(node) => {
                let bound =
                    self.table_expression(node, Some(table), Clause::Index, None, "expression")?;
                Ok(Wanted::Expression(bound.expr))
            }
        }
    }

    /// Whether the index has exactly the wanted elements, and a condition that the given one is.
    fn infers(
        &mut self,
        index: &Index,
        wanted: &[Wanted],
        predicate: Option<&Expr>,
        table: &Arc<Table>,
    ) -> Result<bool> {
        let mut left: Vec<&Wanted> = wanted.iter().collect();
        for column in &index.columns {
            let key = match &column.key {
                IndexKey::Column(position) => Wanted::Column(*position),
                IndexKey::Expression(text, _) => {
                    Wanted::Expression(self.stored_expression(text, table, Clause::Index)?)
                }
                IndexKey::Path(_) => return Ok(false),
            };
            if !wanted.contains(&key) {
                return Ok(false);
            }
            left.retain(|w| **w != key);
        }
        if !left.is_empty() {
            return Ok(false);
        }
        match &index.predicate {
            None => Ok(true),
            Some(text) => {
                let condition = self.stored_expression(text, table, Clause::IndexPredicate)?;
                Ok(predicate.is_some_and(|p| implies(p, &condition)))
            }
        }
    }

    fn stored_expression(
        &mut self,
        text: &str,
        table: &Arc<Table>,
        clause: Clause,
    ) -> Result<Expr> {
        let node = parse_expression(text)?;
        let bound = self.with_source(None, |b| {
            b.table_expression(&node, Some(table), clause, None, "expression")
        })?;
        Ok(bound.expr)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Column(usize),
    Expression(Expr),
}

/// Every conjunct of the index's condition stands in the given one.
fn implies(given: &Expr, needed: &Expr) -> bool {
    let parts = datafusion::logical_expr::utils::split_conjunction(given);
    datafusion::logical_expr::utils::split_conjunction(needed)
        .iter()
        .all(|n| parts.contains(n))
}
