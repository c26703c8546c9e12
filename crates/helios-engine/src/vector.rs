//! The vectorised executor: DataFusion's physical operators over Arrow batches of our rows.
//!
//! ```text
//! LogicalPlan ── rewrite ──> LogicalPlan of DataFusion's own terms ── physical planner ──> batches ──> rows
//! ```
//!
//! * The planner has made the plan flat and checked that it can be run here at all
//!   ([`helios_planner::lower::vector`]).
//! * [`rewrite`] puts the parameters in, gives functions a frozen copy of the session, turns
//!   comparisons that Arrow does not make as PostgreSQL does into function calls, and replaces the
//!   aggregates that DataFusion computes alike. [`key`] does the same for sorting, grouping and
//!   joining.
//! * [`scan`] reads a table through the same [`TableReader`](crate::apply::TableReader) as the row
//!   executor and decodes it into batches.
//! * Planning and running happen on threads of their own, so that a long scan never holds up the
//!   sessions' runtime; batches come back through a short channel, and dropping the receiver ends
//!   the run.
//!
//! The plan is run in one partition: aggregates of ours have no partial state.

mod append;
mod compare;
mod first;
mod key;
mod rewrite;
mod scan;
mod widen;

use crate::apply::{CancelFlag, ExecOptions, Row};
use datafusion::arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;
use futures::StreamExt;
use helios_planner::function::{FrozenContext, FunctionContext};
use helios_planner::lower::vector::VectorPlan;
use helios_planner::pgtype::{self, ColumnReader};
use helios_types::{Error, ErrorKind, Result, Type, error};
use std::sync::{Arc, OnceLock};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// Batches that may wait for a slow reader.
const BATCHES_AHEAD: usize = 2;
const BATCH_ROWS: usize = 8192;

/// The threads that run vectorised plans.
fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread()
                .thread_name("helios-vector")
                .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get()))
                .enable_time()
                .build()
        })
        .as_ref()
        .map_err(|e| error!(Io, "cannot start threads for queries: {e}"))
}

/// Rows of a running vectorised plan.
pub struct VectorRows {
    batches: mpsc::Receiver<Result<RecordBatch>>,
    types: Vec<Type>,
    current: Option<(RecordBatch, usize)>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for VectorRows {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl VectorRows {
    pub async fn next(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some((batch, row)) = &mut self.current {
                if *row < batch.num_rows() {
                    let values = batch_row(batch, &self.types, *row)?;
                    *row += 1;
                    return Ok(Some(values));
                }
                self.current = None;
            }
            match self.batches.recv().await {
                Some(batch) => self.current = Some((batch?, 0)),
                None => return Ok(None),
            }
        }
    }
}

fn batch_row(batch: &RecordBatch, types: &[Type], row: usize) -> Result<Row> {
    batch
        .columns()
        .iter()
        .zip(types)
        .map(|(column, ty)| {
            Ok(ColumnReader::new(column.as_ref(), *ty)?
                .value(row)?
                .to_value())
        })
        .collect()
}

/// Starts a plan; `None` when its parameters are not what it was made for.
pub fn start(
    vector: &VectorPlan,
    options: &ExecOptions,
    functions: &mut dyn FunctionContext,
) -> Result<Option<VectorRows>> {
    let options = options.clone();
    let types: Vec<Type> = vector
        .plan
        .schema()
        .fields()
        .iter()
        .map(|f| pgtype::type_of_field(f))
        .collect();
    let cancel = options.cancel.clone();
    let context = FrozenContext::of(functions, Box::new(move || cancel.check()));
    let Some(plan) = rewrite::rewrite(vector, &options.params, context)? else {
        return Ok(None);
    };
    let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
    let task = runtime()?.spawn(async move {
        let cancel = options.cancel.clone();
        if let Err(error) = run(plan, options, &sender).await {
            // The flag's own error says who asked to stop.
            let error = cancel.check().err().unwrap_or(error);
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(Some(VectorRows {
        batches,
        types,
        current: None,
        task,
    }))
}

async fn run(
    plan: LogicalPlan,
    options: ExecOptions,
    sender: &mpsc::Sender<Result<RecordBatch>>,
) -> Result<()> {
    let runtime_env = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(options.memory_limit)))
        .build_arc()
        .map_err(from_datafusion)?;
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(BATCH_ROWS);
    // Statistics of ours would be guesses; joins keep the order that the plan gives them.
    config
        .options_mut()
        .optimizer
        .enable_dynamic_filter_pushdown = false;
    let state = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(runtime_env)
        .build();
    let cancel = options.cancel.clone();
    let planner = scan::TableScanPlanner::new(options.reader.clone(), cancel.clone());
    let physical = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(planner)])
        .create_physical_plan(&plan, &state)
        .await
        .map_err(from_datafusion)?;
    let mut stream = execute_stream(physical, state.task_ctx()).map_err(from_datafusion)?;
    while let Some(batch) = stream.next().await {
        cancelled(&cancel)?;
        let batch = batch.map_err(from_datafusion)?;
        if batch.num_rows() > 0 && sender.send(Ok(batch)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn cancelled(cancel: &CancelFlag) -> Result<()> {
    cancel.check()
}

/// Our own error from inside a DataFusion error, or what DataFusion's means.
pub(crate) fn from_datafusion(error: DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::External(inner) => {
            if let Some(ours) = inner.downcast_ref::<Error>() {
                return ours.clone();
            }
        }
        DataFusionError::ResourcesExhausted(what) => {
            return Error::new(
                ErrorKind::OutOfMemory,
                "statement needs more memory than it may use",
            )
            .with_detail(what.clone());
        }
        _ => {}
    }
    Error::internal(error)
}

#[cfg(test)]
mod tests;
