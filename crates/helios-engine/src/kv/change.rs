//! Writes of the key-value executor, and the steps that it shares with [`crate::modify`].

use super::access::Target;
use super::read::emit_expressions;
use super::{CompiledConflict, CompiledModify, KvPlan};
use crate::kernel::index::row_key;
use crate::kernel::reach::may_repeat;
use crate::kernel::runtime::TableRuntime;
use crate::kernel::write::{Arbiters, Inserted, Writer};
use helios_planner::scalar::ValueEnv;
use helios_storage::{Isolation, LockMode, ScanOptions, Space};
use helios_types::value::RowSink;
use helios_types::{Error, ErrorKind, Result, Value};
use std::collections::HashSet;
use std::sync::Arc;

impl KvPlan {
    /// Runs a write; gives the number of rows that were changed.
    pub(crate) async fn write(
        &self,
        writer: &mut Writer<'_>,
        params: &[Value],
        sink: &mut dyn RowSink,
    ) -> Result<u64> {
        match self {
            KvPlan::Read { .. } => Err(Error::internal("not a write")),
            KvPlan::Insert { rt, rows, modify } => {
                let mut n = 0;
                for row in rows {
                    let mut values = Vec::with_capacity(row.len());
                    {
                        let mut env = ValueEnv {
                            params,
                            functions: writer.functions,
                        };
                        for expr in row {
                            values.push(expr.eval(&[], &mut env)?);
                        }
                    }
                    if let Some(row) = insert(writer, rt, modify, values, params).await? {
                        n += 1;
                        return_row(writer, modify, &row, params, sink)?;
                    }
                }
                Ok(n)
            }
            KvPlan::Change {
                rt,
                access,
                filter,
                modify,
            } => {
                let (limit, offset) = {
                    let mut env = ValueEnv {
                        params,
                        functions: writer.functions,
                    };
                    access.window(&mut env)?
                };
                if limit != u64::MAX || offset != 0 {
                    return Err(Error::internal("a change with a window"));
                }
                let target = {
                    let txn = &*writer.txn;
                    let mut env = ValueEnv {
                        params,
                        functions: writer.functions,
                    };
                    access.target(rt, &mut env, &|index| {
                        may_repeat(txn.store(), &txn.view(), index)
                    })?
                };
                let mut n = 0;
                // Rows that were found under another key than they have now.
                let mut moved: HashSet<Vec<u8>> = HashSet::new();
                for found in candidates(writer, rt, &target)? {
                    let newest = lock_newest(writer, rt, &found, modify.lock_mode()).await?;
                    let Some((key, old)) = newest else {
                        continue;
                    };
                    if moved.contains(&key)
                        || !still_reached(writer, rt, &target, &found, &key, &old)?
                    {
                        continue;
                    }
                    if key != found {
                        moved.insert(key.clone());
                    }
                    if let Some(filter) = filter {
                        let mut env = ValueEnv {
                            params,
                            functions: writer.functions,
                        };
                        if !filter.holds(&old, &mut env)? {
                            continue;
                        }
                    }
                    let row = change(writer, rt, modify, &key, old, &[], params).await?;
                    n += 1;
                    return_row(writer, modify, &row, params, sink)?;
                }
                Ok(n)
            }
        }
    }
}

/// Keys of the rows that may match, as the statement's snapshot has them.
fn candidates(writer: &Writer<'_>, rt: &TableRuntime, target: &Target) -> Result<Vec<Vec<u8>>> {
    let (space, ranges, reverse, repeats) = match target {
        Target::Nothing => return Ok(Vec::new()),
        Target::Keys(keys) => return Ok(keys.clone()),
        Target::Ranges {
            space,
            ranges,
            reverse,
            repeats,
        } => (*space, ranges, *reverse, *repeats),
    };
    let view = writer.txn.view();
    let options = ScanOptions {
        reverse,
        ..ScanOptions::default()
    };
    let mut keys = Vec::new();
    for range in ranges {
        let mut scan = view.scan(space, range.clone(), options)?;
        while let Some((key, value)) = scan.next()? {
            if space == Space::Row {
                keys.push(key.to_vec());
            } else {
                let (_, body) = helios_storage::split_header(value)?;
                keys.push(row_key(rt, body));
            }
        }
    }
    if repeats {
        keys.sort();
        keys.dedup();
    }
    Ok(keys)
}

/// Whether the access path still leads to a row, now that it is locked: what it says of the row is
/// not in the filter.
fn still_reached(
    writer: &mut Writer<'_>,
    rt: &TableRuntime,
    target: &Target,
    found: &[u8],
    key: &[u8],
    row: &[Value],
) -> Result<bool> {
    let (space, ranges) = match target {
        Target::Nothing => return Ok(false),
        Target::Keys(keys) => return Ok(key == found || keys.iter().any(|k| k == key)),
        Target::Ranges { space, ranges, .. } => (*space, ranges),
    };
    let reached = |key: &[u8]| ranges.iter().any(|range| range.contains(key));
    if space == Space::Row {
        return Ok(reached(key));
    }
    let belongs = |prefix: &[u8]| ranges.first().is_some_and(|r| r.lo.starts_with(prefix));
    let index = rt
        .indexes
        .iter()
        .find(|i| belongs(&i.prefix.bytes()))
        .ok_or_else(|| Error::internal("a range of an index that is gone"))?;
    let entries = index.entries(row, key, &mut writer.env())?;
    Ok(entries.iter().any(|entry| reached(&entry.key)))
}

impl CompiledModify {
    /// The row lock that the change takes.
    pub(crate) fn lock_mode(&self) -> LockMode {
        if self.assignments.is_empty() || !self.keeps_keys {
            LockMode::Update
        } else {
            LockMode::NoKeyUpdate
        }
    }
}

/// Locks a row and reads what it is now, with the key that it has now; `None` when it is gone.
/// Under REPEATABLE READ and SERIALIZABLE a row that changed since the snapshot is an error instead.
async fn lock_newest(
    writer: &mut Writer<'_>,
    rt: &TableRuntime,
    key: &[u8],
    mode: LockMode,
) -> Result<Option<(Vec<u8>, Vec<Value>)>> {
    if !writer.lock_visible(key, mode).await? {
        return Ok(None);
    }
    if writer.txn.isolation() == Isolation::ReadCommitted {
        return writer.follow(rt, key, mode).await;
    }
    // A row that came after the snapshot is not there.
    if writer.txn.view().get(Space::Row, key)?.is_none() {
        return Ok(None);
    }
    writer.txn.check_write_conflict(Space::Row, key)?;
    Ok(writer.latest(rt, key)?.map(|row| (key.to_vec(), row)))
}

/// Inserts one input row; the row as written, or `None` when a conflict was answered by nothing.
pub(crate) async fn insert(
    writer: &mut Writer<'_>,
    rt: &Arc<TableRuntime>,
    modify: &CompiledModify,
    input: Vec<Value>,
    params: &[Value],
) -> Result<Option<Vec<Value>>> {
    let mut input: Vec<Option<Value>> = input.into_iter().map(Some).collect();
    let proposed: Vec<Option<Value>> = modify
        .input
        .iter()
        .map(|at| at.and_then(|at| input[at].take()))
        .collect();
    let Some(conflict) = &modify.conflict else {
        return match writer
            .insert(rt, proposed, modify.overriding, Arbiters::None)
            .await?
        {
            Inserted::Row(row) => Ok(Some(row)),
            Inserted::Conflict { .. } => Err(Error::internal("conflict without arbiter")),
        };
    };
    let arbiters = match conflict.arbiters.as_slice() {
        [] => Arbiters::Any,
        ids => Arbiters::Indexes(ids),
    };
    match writer
        .insert(rt, proposed.clone(), modify.overriding, arbiters)
        .await?
    {
        Inserted::Row(row) => Ok(Some(row)),
        Inserted::Conflict { key } => {
            resolve_conflict(
                writer,
                rt,
                conflict,
                &key,
                proposed,
                modify.overriding,
                params,
            )
            .await
        }
    }
}

async fn resolve_conflict(
    writer: &mut Writer<'_>,
    rt: &Arc<TableRuntime>,
    conflict: &CompiledConflict,
    key: &[u8],
    proposed: Vec<Option<Value>>,
    overriding: Option<bool>,
    params: &[Value],
) -> Result<Option<Vec<Value>>> {
    let stored = writer.stored_key(rt, key)?;
    if writer.txn.isolation() != Isolation::ReadCommitted {
        writer.txn.check_write_conflict(Space::Row, &stored)?;
    }
    let Some((assignments, filter)) = &conflict.update else {
        return Ok(None);
    };
    if writer.written_by_statement(rt, key) {
        return Err(Error::new(
            ErrorKind::CardinalityViolation,
            "ON CONFLICT DO UPDATE command cannot affect row a second time",
        )
        .with_hint(
            "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
        ));
    }
    writer.lock(&stored, LockMode::Update).await?;
    let old = writer
        .latest(rt, key)?
        .ok_or_else(|| Error::internal("the conflicting row vanished under its lock"))?;
    let excluded = writer.complete(rt, proposed, overriding)?;
    // The source schema ends with the hidden key column, on both sides.
    let mut both = old.clone();
    both.push(Value::Null);
    both.extend(excluded);
    both.push(Value::Null);
    let mut new = old.clone();
    {
        let mut env = ValueEnv {
            params,
            functions: writer.functions,
        };
        if let Some(filter) = filter
            && !filter.holds(&both, &mut env)?
        {
            return Ok(None);
        }
        for (place, expr) in assignments {
            new[*place] = expr.eval(&both, &mut env)?;
        }
    }
    let (row, _) = writer.update(rt, key, &old, new).await?;
    Ok(Some(row))
}

/// Updates or deletes a locked row: `rest` are the input's columns beyond the target's.
pub(crate) async fn change(
    writer: &mut Writer<'_>,
    rt: &Arc<TableRuntime>,
    modify: &CompiledModify,
    key: &[u8],
    old: Vec<Value>,
    rest: &[Value],
    params: &[Value],
) -> Result<Vec<Value>> {
    if modify.assignments.is_empty() {
        writer.delete(rt, key, &old)?;
        return Ok(old);
    }
    let mut new = old.clone();
    {
        let mut env = ValueEnv {
            params,
            functions: writer.functions,
        };
        let mut input = old.clone();
        if !rest.is_empty() {
            input.push(Value::Null);
            input.extend_from_slice(rest);
        }
        for (place, expr) in &modify.assignments {
            new[*place] = expr.eval(&input, &mut env)?;
        }
    }
    let (row, _) = writer.update(rt, key, &old, new).await?;
    Ok(row)
}

/// RETURNING.
fn return_row(
    writer: &mut Writer<'_>,
    modify: &CompiledModify,
    row: &[Value],
    params: &[Value],
    sink: &mut dyn RowSink,
) -> Result<()> {
    if modify.returning.is_empty() {
        return Ok(());
    }
    let mut env = ValueEnv {
        params,
        functions: writer.functions,
    };
    emit_expressions(row, &modify.returning, &mut env, sink)
}
