//! DELETE.

use super::binder::Binder;
use super::insert::returning_schema;
use super::node::optional;
use super::plan::{self, Query};
use super::scope::Clause;
use crate::node::{ModifyOp, ModifyTable};
use helios_types::{Error, Result};
use pg_query::protobuf::DeleteStmt;
use std::sync::Arc;

impl Binder<'_> {
    pub fn delete(&mut self, delete: &DeleteStmt) -> Result<Query> {
        let DeleteStmt {
            relation,
            using_clause,
            where_clause,
            returning_clause,
            with_clause,
        } = delete;
        let var = relation
            .as_ref()
            .ok_or_else(|| Error::internal("DELETE without a table"))?;
        let (query, _) = self.in_level(|b| {
            let ctes = b.with_clause(with_clause.as_ref())?;
            let table = b.target_table(var, "deleting from")?;
            let source = b.scan_table(&table, var.alias.as_ref(), 'd')?;
            let qualifier = source.items[0].qualifier.clone();
            let mut input = source.plan;
            b.level().items = source.items;
            input = b.joined_sources(input, using_clause)?;
            if let Some(node) = optional(where_clause) {
                let predicate = b.in_clause(Clause::Where, |b| b.condition(node, "WHERE"))?;
                input = plan::filter(input, predicate)?;
            }
            b.reads_columns(&table, where_clause.is_some() || !using_clause.is_empty());
            let items = b.level().items.clone();
            let (returning, output) = b.returning(returning_clause.as_ref(), items, &table)?;
            let node = ModifyTable {
                op: ModifyOp::Delete,
                table,
                target: qualifier,
                input: Arc::new(input),
                columns: Vec::new(),
                overriding: None,
                assignments: Vec::new(),
                on_conflict: None,
                returning,
                schema: returning_schema(&output)?,
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
}
