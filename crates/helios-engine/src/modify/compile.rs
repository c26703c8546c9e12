//! Takes a plan apart into steps.

use crate::apply::{CompileOptions, Program};
use crate::kernel::runtime::{RuntimeCache, TableRuntime};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, Projection};
use helios_planner::catalog::Catalog;
use helios_planner::node::{
    CteScan, LockRows, LockStrength, LockWait, Materialize, ModifyOp, ModifyTable,
};
use helios_planner::relation::{KEY_COLUMN, RelationSource};
use helios_planner::scalar::CompiledExpr;
use helios_storage::LockMode;
use helios_types::{Error, Result};
use std::sync::Arc;

/// Ids of CTEs that steps leave their rows in; the binder's own count from zero.
const FIRST_STEP_ID: u32 = 1 << 24;

/// A plan with writes or locks, compiled.
pub(crate) struct Pipeline {
    pub(crate) steps: Vec<Step>,
    /// What the client gets: reads the steps' rows. `None` when the last step returns nothing.
    pub(crate) body: Option<Program>,
    /// The step whose row count is the statement's, when the statement is a write.
    pub(crate) counted: Option<usize>,
}

pub(crate) struct Step {
    /// Where the rows go, and whether anybody reads them.
    pub(crate) id: u32,
    pub(crate) kind: StepKind,
    pub(crate) input: Program,
}

pub(crate) enum StepKind {
    /// A CTE that does not write but is read by one that does.
    Query,
    Insert {
        rt: Arc<TableRuntime>,
        insert: CompiledInsert,
    },
    Change {
        rt: Arc<TableRuntime>,
        change: CompiledChange,
    },
    Lock(CompiledLock),
}

pub(crate) struct CompiledInsert {
    pub(crate) modify: crate::kv::CompiledModify,
    pub(crate) returns: bool,
}

/// UPDATE or DELETE. Input rows are the plan's own columns, then one column an assignment.
pub(crate) struct CompiledChange {
    /// Qualifier of the target's scan.
    pub(crate) target: String,
    /// Where in an input row each place of the target is, and its key.
    pub(crate) places: Vec<usize>,
    pub(crate) key: usize,
    /// Width of the input without assignments.
    pub(crate) width: usize,
    /// Places that are assigned, in the order of the assignment columns; empty for DELETE.
    pub(crate) assigned: Vec<usize>,
    pub(crate) is_delete: bool,
    pub(crate) lock: LockMode,
    pub(crate) returns: bool,
}

pub(crate) struct CompiledLock {
    pub(crate) targets: Vec<LockTarget>,
    pub(crate) fetch: Option<CompiledExpr>,
    pub(crate) skip: Option<CompiledExpr>,
}

pub(crate) struct LockTarget {
    pub(crate) qualifier: String,
    pub(crate) rt: Arc<TableRuntime>,
    pub(crate) key: usize,
    pub(crate) mode: LockMode,
    pub(crate) wait: LockWait,
}

impl Pipeline {
    pub(crate) fn compile(
        plan: &LogicalPlan,
        catalog: &Arc<Catalog>,
        runtimes: &RuntimeCache,
        options: &CompileOptions<'_>,
    ) -> Result<Self> {
        let mut splitter = Splitter {
            catalog,
            runtimes,
            options,
            steps: Vec::new(),
        };
        let counted_root = modify_root(plan).is_some();
        let body = splitter.split(plan.clone())?;
        let counted = counted_root.then(|| splitter.steps.len() - 1);
        let body = if body.schema().fields().is_empty() {
            None
        } else {
            Some(crate::apply::compile(&body, options)?)
        };
        Ok(Pipeline {
            steps: splitter.steps,
            body,
            counted,
        })
    }
}

/// The `ModifyTable` whose effect is the statement's.
fn modify_root(plan: &LogicalPlan) -> Option<&ModifyTable> {
    let LogicalPlan::Extension(Extension { node }) = plan else {
        return None;
    };
    if let Some(modify) = node.as_any().downcast_ref::<ModifyTable>() {
        return Some(modify);
    }
    node.as_any()
        .downcast_ref::<Materialize>()
        .and_then(|m| modify_root(&m.body))
}

/// Whether the plan writes or locks rows anywhere.
pub(crate) fn has_steps(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let _ = plan.apply(|node| {
        if let LogicalPlan::Extension(Extension { node }) = node
            && (node.as_any().is::<ModifyTable>() || node.as_any().is::<LockRows>())
        {
            found = true;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

struct Splitter<'a> {
    catalog: &'a Arc<Catalog>,
    runtimes: &'a RuntimeCache,
    options: &'a CompileOptions<'a>,
    steps: Vec<Step>,
}

impl Splitter<'_> {
    /// Replaces what writes or locks in `plan` by scans of the steps' rows.
    fn split(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if !has_steps(&plan) {
            return Ok(plan);
        }
        if let LogicalPlan::Extension(Extension { node }) = &plan {
            if let Some(node) = node.as_any().downcast_ref::<Materialize>() {
                return self.split_ctes(node);
            }
            if let Some(node) = node.as_any().downcast_ref::<ModifyTable>() {
                return self.modify(node);
            }
            if let Some(node) = node.as_any().downcast_ref::<LockRows>() {
                return self.lock(node);
            }
        }
        let inputs = plan.inputs().into_iter().cloned().collect::<Vec<_>>();
        let inputs = inputs
            .into_iter()
            .map(|i| self.split(i))
            .collect::<Result<Vec<_>>>()?;
        plan.with_new_exprs(plan.expressions(), inputs)
            .map_err(Error::internal)
    }

    /// Once one CTE writes, all of them become steps in their order, so that each is computed once.
    fn split_ctes(&mut self, node: &Materialize) -> Result<LogicalPlan> {
        for (id, plan) in &node.ctes {
            let body = self.split(plan.as_ref().clone())?;
            if body.schema().fields().is_empty() {
                continue;
            }
            let input = crate::apply::compile(&body, self.options)?;
            self.steps.push(Step {
                id: *id,
                kind: StepKind::Query,
                input,
            });
        }
        self.split(node.body.as_ref().clone())
    }

    fn push(&mut self, kind: StepKind, input: &LogicalPlan) -> Result<u32> {
        let input = crate::apply::compile(input, self.options)?;
        let id = FIRST_STEP_ID + self.steps.len() as u32;
        self.steps.push(Step { id, kind, input });
        Ok(id)
    }

    fn modify(&mut self, node: &ModifyTable) -> Result<LogicalPlan> {
        crate::keyspace::sql_write::check(node)?;
        let input = self.split(node.input.as_ref().clone())?;
        let rt = self.runtimes.get(&node.table, self.catalog)?;
        let returns = !node.returning.is_empty();
        let (id, schema) = if node.op == ModifyOp::Insert {
            let schema = Arc::new(target_schema(node)?);
            let bare = ModifyTable {
                returning: Vec::new(),
                ..node.clone()
            };
            let modify = crate::kv::CompiledModify::new(&bare, &rt, None)?;
            let insert = CompiledInsert { modify, returns };
            (self.push(StepKind::Insert { rt, insert }, &input)?, schema)
        } else {
            let schema = input.schema().clone();
            let change = compile_change(node, &rt, &schema)?;
            let input = with_assignments(input, node)?;
            (self.push(StepKind::Change { rt, change }, &input)?, schema)
        };
        let scan = scan(id, &node.table.name, schema);
        if !returns {
            return Ok(LogicalPlan::EmptyRelation(
                datafusion::logical_expr::EmptyRelation {
                    produce_one_row: false,
                    schema: Arc::new(datafusion::common::DFSchema::empty()),
                },
            ));
        }
        Projection::try_new_with_schema(node.returning.clone(), Arc::new(scan), node.schema.clone())
            .map(LogicalPlan::Projection)
            .map_err(Error::internal)
    }

    fn lock(&mut self, node: &LockRows) -> Result<LogicalPlan> {
        let input = self.split(node.input.as_ref().clone())?;
        let schema = input.schema().clone();
        let mut targets = Vec::new();
        for lock in &node.locks {
            let Some(table) = scanned_table(&input, &lock.target) else {
                return Err(Error::internal(
                    "FOR UPDATE of a relation that is not scanned",
                ));
            };
            let rt = self.runtimes.get(&table, self.catalog)?;
            let (_, key) = target_columns(&schema, &lock.target, &rt)?;
            targets.push(LockTarget {
                qualifier: lock.target.clone(),
                rt,
                key,
                mode: match lock.strength {
                    LockStrength::KeyShare => LockMode::KeyShare,
                    LockStrength::Share => LockMode::Share,
                    LockStrength::NoKeyUpdate => LockMode::NoKeyUpdate,
                    LockStrength::Update => LockMode::Update,
                },
                wait: lock.wait,
            });
        }
        let empty = datafusion::common::DFSchema::empty();
        let count = |e: &Option<Box<Expr>>| {
            e.as_ref()
                .map(|e| CompiledExpr::compile(e, &empty))
                .transpose()
        };
        let lock = CompiledLock {
            targets,
            fetch: count(&node.fetch)?,
            skip: count(&node.skip)?,
        };
        let id = self.push(StepKind::Lock(lock), &input)?;
        Ok(scan(id, "locked rows", schema))
    }
}

fn scan(id: u32, name: &str, schema: DFSchemaRef) -> LogicalPlan {
    let node = CteScan {
        id,
        name: name.to_string(),
        schema,
    };
    LogicalPlan::Extension(Extension {
        node: Arc::new(node),
    })
}

fn target_schema(node: &ModifyTable) -> Result<datafusion::common::DFSchema> {
    crate::kernel::runtime::row_schema(&RelationSource::table(node.table.clone()), &node.target)
}

fn compile_change(
    node: &ModifyTable,
    rt: &TableRuntime,
    schema: &DFSchemaRef,
) -> Result<CompiledChange> {
    let (places, key) = target_columns(schema, &node.target, rt)?;
    let assigned: Vec<usize> = node
        .assignments
        .iter()
        .map(|a| {
            rt.place
                .get(a.column)
                .copied()
                .flatten()
                .ok_or_else(|| Error::internal("assignment to a dropped column"))
        })
        .collect::<Result<_>>()?;
    let is_delete = node.op == ModifyOp::Delete;
    let keeps_keys = !is_delete
        && assigned
            .iter()
            .all(|place| !rt.unique_places().contains(place));
    Ok(CompiledChange {
        target: node.target.clone(),
        places,
        key,
        width: schema.fields().len(),
        assigned,
        is_delete,
        lock: if keeps_keys {
            LockMode::NoKeyUpdate
        } else {
            LockMode::Update
        },
        returns: !node.returning.is_empty(),
    })
}

/// Positions in `schema` of the target's columns by place, and of its key.
fn target_columns(
    schema: &DFSchemaRef,
    qualifier: &str,
    rt: &TableRuntime,
) -> Result<(Vec<usize>, usize)> {
    let find = |name: &str| {
        let column = Column::new(
            Some(datafusion::common::TableReference::bare(qualifier)),
            name,
        );
        schema.index_of_column(&column).map_err(Error::internal)
    };
    let places = rt
        .live
        .iter()
        .map(|&position| find(&rt.table.columns[position].name))
        .collect::<Result<_>>()?;
    Ok((places, find(KEY_COLUMN)?))
}

/// The input with one more column for each assignment.
fn with_assignments(input: LogicalPlan, node: &ModifyTable) -> Result<LogicalPlan> {
    if node.assignments.is_empty() {
        return Ok(input);
    }
    let mut exprs: Vec<Expr> = input
        .schema()
        .iter()
        .map(|(qualifier, field)| Expr::Column(Column::new(qualifier.cloned(), field.name())))
        .collect();
    for (at, assignment) in node.assignments.iter().enumerate() {
        exprs.push(assignment.value.clone().alias(format!("__set{at}")));
    }
    Projection::try_new(exprs, Arc::new(input))
        .map(LogicalPlan::Projection)
        .map_err(Error::internal)
}

/// The table that is scanned under this qualifier.
fn scanned_table(
    plan: &LogicalPlan,
    qualifier: &str,
) -> Option<Arc<helios_planner::catalog::Table>> {
    let mut found = None;
    let _ = plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && scan.table_name.table() == qualifier
            && let Some(source) = scan.source.downcast_ref::<RelationSource>()
        {
            found = source.written().cloned();
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}
