//! UPDATE.

use super::binder::{Binder, Typed};
use super::construct;
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
            let position = self.column_position(table, name, at)?;
            if !indirection.is_empty() {
                let value = self.in_clause(clause, |b| b.expression(required(val)?))?;
                self.assign_element(target, table, position, value, &mut assignments)?;
                continue;
            }
            if assignments.iter().any(|a| a.column == position) {
                return Err(error!(
                    SyntaxError,
                    "multiple assignments to same column \"{name}\""
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

    /// `SET array[i] = …` and `SET array[i:j] = …`: the array that this leaves. Several of one
    /// column build on each other.
    fn assign_element(
        &mut self,
        target: &ResTarget,
        table: &Arc<Table>,
        position: usize,
        value: Typed,
        assignments: &mut Vec<Assignment>,
    ) -> Result<()> {
        let at = target.location;
        let column = &table.columns[position];
        let (name, ty) = (&column.name, column.ty);
        let Some(element) = ty.element().filter(|_| ty.is_array()) else {
            return self.unsupported("assignment to a part of a value that is no array", at);
        };
        if column.generated.is_some() {
            return Err(generated_error(name, false));
        }
        let earlier = assignments.iter().position(|a| a.column == position);
        let depth = self.levels.len() - 1;
        let array = match earlier {
            Some(i) => Typed::new(assignments[i].value.clone(), ty, at),
            None => self
                .item_column(depth, 0, name, at)?
                .ok_or_else(|| Error::internal("column of the target"))?,
        };
        let bounds = self.subscript_bounds(&target.indirection, at)?;
        let slice = bounds.iter().any(|(is_slice, ..)| *is_slice);
        let value = if slice {
            self.coerce_assignment(value, ty, name)?
        } else {
            self.coerce_assignment(value, element.with_modifier(ty.modifier), name)?
        };
        let new = if slice {
            match <[_; 1]>::try_from(bounds) {
                Ok([(true, Some(lower), Some(upper))]) => {
                    construct::assign_slice(array, lower, upper, value, ty)
                }
                _ => {
                    return self.unsupported(
                        "assignment to a slice without bounds or of several dimensions",
                        at,
                    );
                }
            }
        } else {
            let indexes = bounds.into_iter().filter_map(|(_, _, upper)| upper);
            construct::assign_element(array, indexes.collect(), value, ty)
        };
        match earlier {
            Some(i) => assignments[i].value = new,
            None => assignments.push(Assignment {
                column: position,
                value: new,
            }),
        }
        Ok(())
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
