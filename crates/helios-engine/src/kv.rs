//! The key-value executor: plans that are a few key look-ups, run straight on storage.
//!
//! A [`KvProgram`] of the planner is compiled once per template ([`KvPlan`]). A read takes the
//! encoded row from RocksDB to the sink without decoding more than the columns asked for; outside
//! of a transaction it reads the newest committed version and takes no snapshot. Writes go through
//! the write kernel like everything else.

mod access;
mod change;
mod read;

use crate::kernel::runtime::{RuntimeCache, TableRuntime};
pub(crate) use access::row_count;
pub(crate) use change::insert;
pub(crate) use read::Source;

use access::Access;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::logical_expr::{Expr, TableSource};
use helios_planner::catalog::{Catalog, Table};
use helios_planner::node::{ConflictAction, ModifyTable};
use helios_planner::relation::RelationSource;
use helios_planner::scalar::CompiledExpr;
use helios_planner::template::KvProgram;
use helios_types::{Error, ObjectId, Result};
use std::sync::Arc;

/// A program with everything about its table resolved.
#[derive(Debug)]
pub(crate) enum KvPlan {
    Read {
        rt: Arc<TableRuntime>,
        access: Access,
        filter: Option<CompiledExpr>,
        output: Output,
    },
    Insert {
        rt: Arc<TableRuntime>,
        rows: Vec<Vec<CompiledExpr>>,
        modify: CompiledModify,
    },
    Change {
        rt: Arc<TableRuntime>,
        access: Access,
        filter: Option<CompiledExpr>,
        modify: CompiledModify,
    },
}

/// What a row becomes.
#[derive(Debug)]
pub(crate) enum Output {
    /// Plain columns, by place.
    Places(Vec<usize>),
    Expressions(Vec<CompiledExpr>),
}

/// The parts of a `ModifyTable` that are evaluated a row at a time.
#[derive(Debug)]
pub(crate) struct CompiledModify {
    /// INSERT: for each place of the row, which input column gives it.
    pub(crate) input: Vec<Option<usize>>,
    pub(crate) overriding: Option<bool>,
    /// Place and new value, over the target's row (and the rest of the input, if any).
    pub(crate) assignments: Vec<(usize, CompiledExpr)>,
    pub(crate) conflict: Option<CompiledConflict>,
    /// Over the row as written, followed by the rest of the input.
    pub(crate) returning: Vec<CompiledExpr>,
    /// Whether an UPDATE leaves every key column alone, so that it takes the weaker row lock.
    pub(crate) keeps_keys: bool,
}

#[derive(Debug)]
pub(crate) struct CompiledConflict {
    pub(crate) arbiters: Vec<ObjectId>,
    /// `None` is DO NOTHING; expressions are over the existing row followed by the proposed one.
    pub(crate) update: Option<(Vec<(usize, CompiledExpr)>, Option<CompiledExpr>)>,
}

impl KvPlan {
    pub(crate) fn compile(
        program: &KvProgram,
        catalog: &Arc<Catalog>,
        runtimes: &RuntimeCache,
    ) -> Result<Self> {
        match program {
            KvProgram::Read {
                access,
                filter,
                output,
            } => {
                let table = TableScope::new(&access.table)?;
                let output: Vec<CompiledExpr> = output
                    .iter()
                    .map(|e| table.compile(e))
                    .collect::<Result<_>>()?;
                let rt = runtimes.get(&access.table, catalog)?;
                let n = rt.live.len();
                let places: Option<Vec<usize>> = output
                    .iter()
                    .map(|e| e.as_column().filter(|&p| p < n))
                    .collect();
                Ok(KvPlan::Read {
                    access: Access::compile(access, &rt)?,
                    rt,
                    filter: filter.as_ref().map(|f| table.compile(f)).transpose()?,
                    output: places.map_or(Output::Expressions(output), Output::Places),
                })
            }
            KvProgram::Insert { node, rows } => {
                crate::keyspace::sql_write::check(node)?;
                let rt = runtimes.get(&node.table, catalog)?;
                let empty = DFSchema::empty();
                let rows = rows
                    .iter()
                    .map(|row| {
                        row.iter()
                            .map(|e| CompiledExpr::compile(e, &empty))
                            .collect()
                    })
                    .collect::<Result<_>>()?;
                let modify = CompiledModify::new(node, &rt, None)?;
                Ok(KvPlan::Insert { rt, rows, modify })
            }
            KvProgram::Change {
                node,
                access,
                filter,
            } => {
                let rt = runtimes.get(&node.table, catalog)?;
                let table = TableScope::new(&access.table)?;
                Ok(KvPlan::Change {
                    access: Access::compile(access, &rt)?,
                    filter: filter.as_ref().map(|f| table.compile(f)).transpose()?,
                    modify: CompiledModify::new(node, &rt, None)?,
                    rt,
                })
            }
        }
    }
}

/// Compiles expressions over one table, whatever they call it.
struct TableScope {
    schema: DFSchema,
}

impl TableScope {
    fn new(table: &Arc<Table>) -> Result<Self> {
        let source = RelationSource::table(table.clone());
        let schema = DFSchema::try_from(source.schema()).map_err(Error::internal)?;
        Ok(TableScope { schema })
    }

    fn compile(&self, expr: &Expr) -> Result<CompiledExpr> {
        let bare = expr
            .clone()
            .transform(|e| {
                Ok(match e {
                    Expr::Column(c) => {
                        Transformed::yes(Expr::Column(Column::new_unqualified(c.name)))
                    }
                    other => Transformed::no(other),
                })
            })
            .map_err(Error::internal)?
            .data;
        CompiledExpr::compile(&bare, &self.schema)
    }
}

impl CompiledModify {
    /// Compiles against the target's row; with `input` (the plan's input schema, which begins
    /// anywhere with the target's columns) assignments and RETURNING see all of it.
    pub(crate) fn new(
        node: &ModifyTable,
        rt: &TableRuntime,
        input: Option<&DFSchema>,
    ) -> Result<Self> {
        let source = RelationSource::table(node.table.clone());
        let target = qualified(&source, &node.target)?;
        let over_input = input.unwrap_or(&target);
        let place = |position: usize| {
            rt.place
                .get(position)
                .copied()
                .flatten()
                .ok_or_else(|| Error::internal("assignment to a dropped column"))
        };
        let assignments = node
            .assignments
            .iter()
            .map(|a| {
                Ok((
                    place(a.column)?,
                    CompiledExpr::compile(&a.value, over_input)?,
                ))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut input_of = vec![None; rt.live.len()];
        for (at, &position) in node.columns.iter().enumerate() {
            input_of[place(position)?] = Some(at);
        }
        let conflict = match &node.on_conflict {
            None => None,
            Some(on) => Some(CompiledConflict {
                arbiters: on.arbiters.clone(),
                update: match &on.action {
                    ConflictAction::Nothing => None,
                    ConflictAction::Update {
                        assignments,
                        filter,
                    } => {
                        let both = target
                            .join(&qualified(&source, "excluded")?)
                            .map_err(Error::internal)?;
                        let assignments = assignments
                            .iter()
                            .map(|a| {
                                Ok((place(a.column)?, CompiledExpr::compile(&a.value, &both)?))
                            })
                            .collect::<Result<_>>()?;
                        let filter = filter
                            .as_ref()
                            .map(|f| CompiledExpr::compile(f, &both))
                            .transpose()?;
                        Some((assignments, filter))
                    }
                },
            }),
        };
        let returning = node
            .returning
            .iter()
            .map(|e| CompiledExpr::compile(e, over_input))
            .collect::<Result<_>>()?;
        let keys = rt.unique_places();
        let keeps_keys = assignments.iter().all(|(p, _)| !keys.contains(p));
        Ok(CompiledModify {
            input: input_of,
            overriding: node.overriding,
            assignments,
            conflict,
            returning,
            keeps_keys,
        })
    }
}

fn qualified(source: &RelationSource, name: &str) -> Result<DFSchema> {
    DFSchema::try_from_qualified_schema(TableReference::bare(name), &source.schema())
        .map_err(Error::internal)
}
