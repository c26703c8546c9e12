//! UPDATE.

use super::binder::{Binder, Typed};
use super::from::CROSS;
use super::insert::{generated_error, returning_schema};
use super::node::{inner, kind, optional, required};
use super::plan::{self, Query};
use super::scope::{Clause, FromPhase};
use crate::catalog::Table;
use crate::node::{Assignment, ModifyOp, ModifyTable};
use helios_types::{Error, Result, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{MultiAssignRef, ResTarget, UpdateStmt};
use std::sync::Arc;

impl Binder<'_> {
    pub fn update(&mut self, update: &UpdateStmt) -> Result<Query> {
        let UpdateStmt {
            relation,
            target_list,
            where_clause,
            from_clause,
            returning_clause,
            with_clause,
        } = update;
        let var = relation
            .as_ref()
            .ok_or_else(|| Error::internal("UPDATE without a table"))?;
        let (query, _) = self.in_level(|b| {
            let ctes = b.with_clause(with_clause.as_ref())?;
            let table = b.target_table(var, "updating")?;
            let source = b.scan_table(&table, var.alias.as_ref(), 'w')?;
            let qualifier = source.items[0].qualifier.clone();
            let mut input = source.plan;
            b.level().items = source.items;
            input = b.joined_sources(input, from_clause)?;
            let assignments = b.assignments(target_list, &table, Clause::UpdateTarget)?;
            if let Some(node) = optional(where_clause) {
                let predicate = b.in_clause(Clause::Where, |b| b.condition(node, "WHERE"))?;
                input = plan::filter(input, predicate)?;
            }
            b.reads_columns(&table, where_clause.is_some() || !from_clause.is_empty());
            let items = b.level().items.clone();
            let (returning, output) = b.returning(returning_clause.as_ref(), items, &table)?;
            let node = ModifyTable {
                op: ModifyOp::Update,
                table,
                target: qualifier,
                input: Arc::new(input),
                columns: Vec::new(),
                overriding: None,
                assignments,
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

    /// A condition over the target's columns needs the right to read them.
    pub fn reads_columns(&mut self, table: &Table, reads: bool) {
        if reads {
            self.require(table.id, 'r');
        }
    }

    /// The target joined with FROM or USING, all of which may name it laterally.
    pub fn joined_sources(
        &mut self,
        mut input: datafusion::logical_expr::LogicalPlan,
        nodes: &[pg_query::Node],
    ) -> Result<datafusion::logical_expr::LogicalPlan> {
        for node in nodes {
            let before = self.level().lateral.len();
            let source = self.from_item(inner(node)?)?;
            self.check_duplicate_names(&source.items)?;
            input = self.combine(input, source.plan, CROSS, None, before)?;
            self.level().items.extend(source.items);
        }
        self.level().lateral.clear();
        self.level().phase = FromPhase::Done;
        Ok(input)
    }

    /// The SET list, of UPDATE or ON CONFLICT DO UPDATE.
    pub fn assignments(
        &mut self,
        nodes: &[pg_query::Node],
        table: &Arc<Table>,
        clause: Clause,
    ) -> Result<Vec<Assignment>> {
        let mut assignments: Vec<Assignment> = Vec::with_capacity(nodes.len());
        // The fields of a row that several columns are assigned from, by the row's place.
        let mut rows: Vec<Typed> = Vec::new();
        for node in nodes {
            let NodeEnum::ResTarget(target) = inner(node)? else {
                return Err(Error::internal("SET list"));
            };
            let ResTarget {
                name,
                indirection,
                val,
                location,
            } = target.as_ref();
            let at = *location;
            if !indirection.is_empty() {
                return self.unsupported("assignment to an array element or field", at);
            }
            let position = self.column_position(table, name, at)?;
            if assignments.iter().any(|a| a.column == position) {
                return Err(self.at(
                    error!(
                        SyntaxError,
                        "multiple assignments to same column \"{name}\""
                    ),
                    at,
                ));
            }
            let column = &table.columns[position];
            let value = match required(val)? {
                NodeEnum::SetToDefault(_) => None,
                NodeEnum::MultiAssignRef(part) => self.multi_assign(part, &mut rows, clause, at)?,
                other => Some(self.in_clause(clause, |b| b.expression(other))?),
            };
            if column.generated.is_some() {
                if value.is_none() {
                    continue;
                }
                return Err(generated_error(name, false));
            }
            let value = match value {
                Some(value) => {
                    if super::insert::always_identity(table, position) {
                        return Err(error!(
                            GeneratedAlways,
                            "column \"{name}\" can only be updated to DEFAULT"
                        )
                        .with_detail(format!(
                            "Column \"{name}\" is an identity column defined as GENERATED ALWAYS."
                        )));
                    }
                    self.coerce_assignment(value, column.ty, &column.name)?
                }
                None => self.column_default(table, position)?,
            };
            assignments.push(Assignment {
                column: position,
                value: value.expr,
            });
        }
        Ok(assignments)
    }

    /// One column of `SET (a, b) = …`; `None` is DEFAULT.
    fn multi_assign(
        &mut self,
        part: &MultiAssignRef,
        rows: &mut Vec<Typed>,
        clause: Clause,
        at: i32,
    ) -> Result<Option<Typed>> {
        let MultiAssignRef {
            source,
            colno,
            ncolumns,
        } = part;
        let (index, count) = (
            usize::try_from(*colno - 1).unwrap_or(0),
            usize::try_from(*ncolumns).unwrap_or(0),
        );
        match required(source)? {
            NodeEnum::RowExpr(row) => {
                if row.args.len() != count {
                    return Err(self.at(
                        error!(SyntaxError, "number of columns does not match number of values"),
                        row.location,
                    ));
                }
                match inner(&row.args[index])? {
                    NodeEnum::SetToDefault(_) => Ok(None),
                    other => self.in_clause(clause, |b| b.expression(other)).map(Some),
                }
            }
            NodeEnum::SubLink(link) => {
                if index == 0 {
                    let fields = self.in_clause(clause, |b| b.row_of_subquery(required(&link.subselect)?, at))?;
                    if fields.len() != count {
                        return Err(self.at(
                            error!(SyntaxError, "number of columns does not match number of values"),
                            link.location,
                        ));
                    }
                    *rows = fields;
                }
                rows.get(index).cloned().map(Some).ok_or_else(|| Error::internal("multi-column assignment"))
            }
            other => Err(self.at(
                error!(
                    Unsupported,
                    "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression"
                )
                .with_cause(kind(other)),
                at,
            )),
        }
    }
}
