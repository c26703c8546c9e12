//! Runs a pipeline's steps inside the session's transaction.

use super::compile::{
    CompiledChange, CompiledInsert, CompiledLock, LockTarget, Pipeline, Step, StepKind,
};
use crate::apply::{ExecOptions, ExecState, Execution, Program, Row};
use crate::kernel::reader::ViewReader;
use crate::kernel::runtime::TableRuntime;
use crate::kernel::write::Writer;
use crate::keyspace::sql_write::KeyRow;
use crate::session::Session;
use helios_planner::node::LockWait;
use helios_planner::scalar::{CompiledExpr, ValueEnv};
use helios_storage::{Isolation, LockKey, LockMode, Locked, Space, Wait};
use helios_types::value::RowSink;
use helios_types::{Error, Result, Value, ValueRef};
use std::collections::HashSet;
use std::sync::Arc;

/// Rows that finished steps left, by id.
type StepRows = Vec<(u32, Vec<Row>)>;

/// What every step and the body are started with.
struct Start {
    reader: Arc<ViewReader>,
    params: Arc<[Value]>,
    options: ExecOptions,
}

impl Start {
    fn state(&self, program: &Program, done: &StepRows) -> ExecState {
        let options = ExecOptions {
            reader: self.reader.clone(),
            virtual_tables: self.options.virtual_tables.clone(),
            params: self.params.clone(),
            catalog: self.options.catalog.clone(),
            cancel: self.options.cancel.clone(),
            memory_limit: self.options.memory_limit,
        };
        let mut state = ExecState::new(program, options);
        for (id, rows) in done {
            state.set_cte(*id, rows.clone());
        }
        state
    }
}

impl Session {
    /// Runs a plan that writes or locks; gives the rows changed or returned.
    pub(crate) async fn run_pipeline(
        &mut self,
        pipeline: &Pipeline,
        params: &[Value],
        sink: &mut dyn RowSink,
    ) -> Result<u64> {
        let params: Arc<[Value]> = Arc::from(params);
        let reader = Arc::new(self.view_reader()?);
        let options = self.exec_options(reader.clone(), params.clone());
        let start = Start {
            reader,
            params,
            options,
        };
        self.with_writer(async |writer| {
            let mut done: StepRows = Vec::new();
            let mut counted = 0;
            for (at, step) in pipeline.steps.iter().enumerate() {
                let (n, rows) = run_step(writer, step, &start, &done).await?;
                if pipeline.counted == Some(at) {
                    counted = n;
                }
                done.push((step.id, rows));
            }
            writer.run_checks().await?;
            let Some(body) = &pipeline.body else {
                return Ok(counted);
            };
            let mut execution =
                Execution::start_with(body, start.state(body, &done), writer.functions)?;
            let mut n = 0;
            while let Some(row) = execution.next(writer.functions)? {
                n += 1;
                let values: Vec<ValueRef<'_>> = row.iter().map(Value::as_ref).collect();
                sink.row(&values)?;
            }
            Ok(if pipeline.counted.is_some() {
                counted
            } else {
                n
            })
        })
        .await
    }
}

async fn run_step(
    writer: &mut Writer<'_>,
    step: &Step,
    start: &Start,
    done: &StepRows,
) -> Result<(u64, Vec<Row>)> {
    let state = start.state(&step.input, done);
    let mut execution = Execution::start_with(&step.input, state, writer.functions)?;
    match &step.kind {
        StepKind::Query => {
            let rows = execution.collect(writer.functions)?;
            Ok((rows.len() as u64, rows))
        }
        StepKind::Insert { rt, insert } => {
            insert_rows(writer, rt, insert, &mut execution, &start.params).await
        }
        StepKind::Change { rt, change } => {
            let again = Again { step, start, done };
            change_rows(writer, rt, change, &mut execution, &again).await
        }
        StepKind::Lock(lock) => {
            let again = Again { step, start, done };
            let rows = lock_rows(writer, lock, &mut execution, &again).await?;
            Ok((rows.len() as u64, rows))
        }
    }
}

async fn insert_rows(
    writer: &mut Writer<'_>,
    rt: &Arc<TableRuntime>,
    insert: &CompiledInsert,
    execution: &mut Execution,
    params: &[Value],
) -> Result<(u64, Vec<Row>)> {
    let mut n = 0;
    let mut returned = Vec::new();
    while let Some(row) = execution.next(writer.functions)? {
        let Some(mut row) = crate::kv::insert(writer, rt, &insert.modify, row, params).await?
        else {
            continue;
        };
        n += 1;
        if insert.returns {
            // The hidden key column ends the target's schema.
            row.push(Value::Null);
            returned.push(row);
        }
    }
    Ok((n, returned))
}

/// Asks a step's input again for one row that has changed.
struct Again<'a> {
    step: &'a Step,
    start: &'a Start,
    done: &'a StepRows,
}

impl Again<'_> {
    /// The first row that the input gives when `qualifier` is exactly this row.
    fn row(
        &self,
        writer: &mut Writer<'_>,
        qualifier: &str,
        newest: &[Value],
        key: &[u8],
    ) -> Result<Option<Row>> {
        let mut state = self.start.state(&self.step.input, self.done);
        let mut row = newest.to_vec();
        row.push(Value::bytea(key));
        state.set_target_row(qualifier, row);
        Execution::start_with(&self.step.input, state, writer.functions)?.next(writer.functions)
    }
}

async fn change_rows(
    writer: &mut Writer<'_>,
    rt: &Arc<TableRuntime>,
    change: &CompiledChange,
    execution: &mut Execution,
    again: &Again<'_>,
) -> Result<(u64, Vec<Row>)> {
    let mut n = 0;
    let mut returned = Vec::new();
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    while let Some(mut row) = execution.next(writer.functions)? {
        // A target without a row comes from an outer join's other side.
        let Some(mut key) = key_of(&row, change.key) else {
            continue;
        };
        if !seen.insert(key.clone()) {
            continue;
        }
        writer.lock_row(rt, &key, change.lock).await?;
        match newest(writer, rt, &key, change.lock).await? {
            Newest::Same => {}
            Newest::Gone => continue,
            Newest::Changed(now, newest) => {
                if now != key && !seen.insert(now.clone()) {
                    continue;
                }
                key = now;
                match again.row(writer, &change.target, &newest, &key)? {
                    Some(fresh) => row = fresh,
                    None => continue,
                }
            }
        }
        let old: Vec<Value> = change.places.iter().map(|&at| row[at].clone()).collect();
        if change.is_delete {
            writer.delete(rt, &key, &old)?;
        } else {
            let mut new = old.clone();
            for (at, &place) in change.assigned.iter().enumerate() {
                new[place] = row[change.width + at].clone();
            }
            let (written, _) = writer.update(rt, &key, &old, new).await?;
            for (&at, value) in change.places.iter().zip(written) {
                row[at] = value;
            }
        }
        n += 1;
        if change.returns {
            row.truncate(change.width);
            returned.push(row);
        }
    }
    writer.remove_elements()?;
    Ok((n, returned))
}

async fn lock_rows(
    writer: &mut Writer<'_>,
    lock: &CompiledLock,
    execution: &mut Execution,
    again: &Again<'_>,
) -> Result<Vec<Row>> {
    let params = again.start.params.clone();
    let (fetch, mut skip) = {
        let mut env = ValueEnv {
            params: &params,
            functions: writer.functions,
        };
        let mut count =
            |e: &Option<CompiledExpr>, clause| crate::kv::row_count(e.as_ref(), &mut env, clause);
        (
            count(&lock.fetch, "LIMIT")?.unwrap_or(u64::MAX),
            count(&lock.skip, "OFFSET")?.unwrap_or(0),
        )
    };
    let mut rows = Vec::new();
    'rows: while (rows.len() as u64) < fetch {
        let Some(mut row) = execution.next(writer.functions)? else {
            break;
        };
        for target in &lock.targets {
            let Some(key) = key_of(&row, target.key) else {
                continue;
            };
            if !lock_target(writer, target, &key).await? {
                continue 'rows;
            }
            match newest(writer, &target.rt, &key, target.mode).await? {
                Newest::Same => {}
                Newest::Gone => continue 'rows,
                Newest::Changed(now, newest) => {
                    match again.row(writer, &target.qualifier, &newest, &now)? {
                        Some(fresh) => row = fresh,
                        None => continue 'rows,
                    }
                }
            }
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Locks one row of a FOR UPDATE; false when it is locked by others and to be skipped.
async fn lock_target(writer: &mut Writer<'_>, target: &LockTarget, key: &[u8]) -> Result<bool> {
    let wait = match target.wait {
        LockWait::Block => writer.wait,
        LockWait::NoWait => Wait::NoWait,
        LockWait::SkipLocked => Wait::SkipLocked,
    };
    let stored = writer.stored_key(&target.rt, key)?;
    let locked = writer
        .txn
        .lock(&LockKey::Row(Space::Row, &stored), target.mode, wait)
        .await;
    match locked {
        Ok(locked) => Ok(locked != Locked::Skipped),
        Err(error) if target.wait == LockWait::NoWait => Err(Error::new(
            error.kind(),
            format!(
                "could not obtain lock on row in relation \"{}\"",
                target.rt.table.name
            ),
        )),
        Err(error) => Err(error),
    }
}

fn key_of(row: &Row, at: usize) -> Option<Vec<u8>> {
    match row.get(at) {
        Some(Value::Bytea(key)) => Some(key.to_vec()),
        _ => None,
    }
}

/// What became of a row between the statement's snapshot and the grant of its lock.
enum Newest {
    Same,
    Gone,
    /// The row as it is now, under the key that it has now.
    Changed(Vec<u8>, Vec<Value>),
}

async fn newest(
    writer: &mut Writer<'_>,
    rt: &TableRuntime,
    key: &[u8],
    mode: LockMode,
) -> Result<Newest> {
    if rt.is_keyspace() {
        return Ok(match writer.newest_key_row(rt, key)? {
            KeyRow::Same => Newest::Same,
            KeyRow::Gone => Newest::Gone,
            KeyRow::Changed(row) => Newest::Changed(key.to_vec(), row),
        });
    }
    if writer.txn.isolation() != Isolation::ReadCommitted {
        writer.txn.check_write_conflict(Space::Row, key)?;
        return Ok(Newest::Same);
    }
    if !writer.txn.changed_since_snapshot(Space::Row, key)? {
        return Ok(Newest::Same);
    }
    Ok(match writer.follow(rt, key, mode).await? {
        Some((key, row)) => Newest::Changed(key, row),
        None => Newest::Gone,
    })
}
