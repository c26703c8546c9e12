//! What operators see while they run: parameters, outer columns, tables, limits.

use super::{ExecOptions, Program, Row, TableReader, VirtualTables, subquery};
use foldhash::{HashMap, HashMapExt};
use helios_planner::catalog::Catalog;
use helios_planner::function::FunctionContext;
use helios_planner::scalar::{Answer, Env, Want, missing_parameter};
use helios_types::{Error, ErrorKind, ObjectId, Result, Value, bail};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// Asks a running statement to stop.
#[derive(Debug, Default)]
pub struct CancelFlag(AtomicU8);

impl CancelFlag {
    /// The user asked, by a cancel request or `pg_cancel_backend`.
    pub fn cancel(&self) {
        self.0.store(1, Ordering::Relaxed);
    }

    /// The statement ran longer than it may.
    pub fn time_out(&self) {
        self.0.store(2, Ordering::Relaxed);
    }

    /// The session is being terminated.
    pub fn terminate(&self) {
        self.0.store(3, Ordering::Relaxed);
    }

    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    #[inline]
    pub fn check(&self) -> Result<()> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            2 => Err(Error::new(
                ErrorKind::StatementTimeout,
                "canceling statement due to statement timeout",
            )),
            3 => Err(Error::new(
                ErrorKind::AdminShutdown,
                "terminating connection due to administrator command",
            )),
            _ => Err(Error::new(
                ErrorKind::QueryCancelled,
                "canceling statement due to user request",
            )),
        }
    }
}

/// The bytes that a statement's materialised rows take, and may take.
#[derive(Clone, Debug)]
pub struct Memory(Arc<(AtomicUsize, usize)>);

impl Memory {
    pub fn new(limit: usize) -> Self {
        Memory(Arc::new((AtomicUsize::new(0), limit)))
    }

    /// An account that is settled when it is dropped.
    pub fn charge(&self) -> Charge {
        Charge {
            memory: self.clone(),
            bytes: 0,
        }
    }
}

/// What one operator holds.
#[derive(Debug)]
pub struct Charge {
    memory: Memory,
    bytes: usize,
}

impl Charge {
    pub fn add(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes;
        let (used, limit) = &*self.memory.0;
        if used.fetch_add(bytes, Ordering::Relaxed) + bytes > *limit {
            bail!(
                OutOfMemory,
                "statement needs more memory than it may use ({} MB)",
                limit / (1024 * 1024)
            );
        }
        Ok(())
    }

    pub fn add_row(&mut self, row: &[Value]) -> Result<()> {
        self.add(row_bytes(row))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.memory.0.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Roughly what a row takes, its shared bytes counted as its own.
pub fn row_bytes(row: &[Value]) -> usize {
    std::mem::size_of::<Row>() + row.iter().map(value_bytes).sum::<usize>()
}

fn value_bytes(value: &Value) -> usize {
    std::mem::size_of::<Value>()
        + match value {
            Value::Text(v) => v.len() + 16,
            Value::Bytea(v) => v.len() + 16,
            Value::Uuid(_) | Value::Interval(_) | Value::Numeric(_) => 32,
            Value::Jsonb(v) => v.as_ref().bytes.len() + 17,
            Value::Array(v) => 64 + v.values.iter().map(value_bytes).sum::<usize>(),
            Value::Record(v) => 16 + v.iter().map(|(_, v)| value_bytes(v) + 8).sum::<usize>(),
            _ => 0,
        }
}

/// Everything that one run owns.
pub struct ExecState {
    pub(super) reader: Arc<dyn TableReader>,
    pub(super) virtual_tables: Arc<dyn VirtualTables>,
    pub(super) params: Arc<[Value]>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) cancel: Arc<CancelFlag>,
    pub(super) memory: Memory,
    /// Values of outer columns for the query that runs now.
    pub(super) frame: Arc<[Value]>,
    pub(super) ctes: HashMap<u32, Arc<Vec<Row>>>,
    pub(super) subqueries: Arc<[subquery::Subprogram]>,
    pub(super) memo: subquery::Memo,
    /// Rows of virtual tables that were made in this run without a lookup.
    pub(super) virtual_rows: HashMap<ObjectId, Arc<Vec<Row>>>,
    pub(super) overrides: Vec<(String, Row)>,
    ticks: u32,
}

impl ExecState {
    pub fn new(program: &Program, options: ExecOptions) -> Self {
        ExecState {
            reader: options.reader,
            virtual_tables: options.virtual_tables,
            params: options.params,
            catalog: options.catalog,
            cancel: options.cancel,
            memory: Memory::new(options.memory_limit),
            frame: Arc::from([]),
            ctes: HashMap::new(),
            subqueries: program.subqueries.clone(),
            memo: subquery::Memo::default(),
            virtual_rows: HashMap::new(),
            overrides: Vec::new(),
            ticks: 0,
        }
    }

    /// The catalog that the run sees.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Gives the rows of a CTE that was computed elsewhere (a data-modifying one).
    pub fn set_cte(&mut self, id: u32, rows: Vec<Row>) {
        self.ctes.insert(id, Arc::new(rows));
    }

    /// Makes the scan with this qualifier see exactly one row (all columns of the table's source
    /// schema, the key column included): re-evaluation of a row that changed while its lock was
    /// waited for.
    pub fn set_target_row(&mut self, qualifier: impl Into<String>, row: Row) {
        self.overrides.push((qualifier.into(), row));
    }
}

/// What a node sees while it runs.
pub struct ExecContext<'a> {
    pub functions: &'a mut dyn FunctionContext,
    pub state: &'a mut ExecState,
}

impl ExecContext<'_> {
    /// Called for each row by nodes that read or loop; stops when the statement is to stop.
    #[inline]
    pub fn tick(&mut self) -> Result<()> {
        self.state.ticks = self.state.ticks.wrapping_add(1);
        if self.state.ticks & 0xf == 0 {
            self.state.cancel.check()?;
            self.functions.checkpoint()
        } else {
            Ok(())
        }
    }

    pub fn charge(&self) -> Charge {
        self.state.memory.charge()
    }
}

impl Env for ExecContext<'_> {
    fn param(&self, n: usize) -> Result<&Value> {
        self.state.params.get(n).ok_or_else(|| missing_parameter(n))
    }

    fn frame(&self) -> &[Value] {
        &self.state.frame
    }

    fn functions(&mut self) -> &mut dyn FunctionContext {
        self.functions
    }

    fn subquery(&mut self, slot: usize, frame: Vec<Value>, want: Want) -> Result<Answer> {
        subquery::answer(self, slot, frame, want)
    }
}
