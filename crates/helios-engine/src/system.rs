//! Functions that act on the server: sizes, cancelling others, and, next door, advisory locks.

use crate::session::State;
use helios_types::{Array, Error, Result, Type, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A function that the planner's library leaves to the engine, by its SQL name.
pub(crate) fn call(state: &mut State, function: &'static str, args: &[Value]) -> Result<Value> {
    if let Some(answer) = crate::advisory::call(state, function, args) {
        return answer;
    }
    let number = |at: usize| args.get(at).and_then(Value::as_i64);
    match function {
        "pg_cancel_backend" => {
            Ok(Value::Bool(number(0).is_some_and(|pid| {
                state.engine.cancel_session(pid as i32)
            })))
        }
        "pg_terminate_backend" => {
            Ok(Value::Bool(number(0).is_some_and(|pid| {
                state.engine.terminate_session(pid as i32)
            })))
        }
        "pg_blocking_pids" => {
            let pids =
                number(0).map_or_else(Vec::new, |pid| state.engine.blocking_pids(pid as i32));
            let pids = pids.into_iter().map(Value::Int4).collect();
            Ok(Value::Array(Arc::new(Array::from_values(
                Type::INT4.oid,
                pids,
            ))))
        }
        "pg_relation_size" | "pg_table_size" | "pg_total_relation_size" | "pg_indexes_size" => {
            let Some(oid) = number(0) else {
                return Ok(Value::Null);
            };
            Ok(relation_size(state, function, oid as u32).map_or(Value::Null, Value::Int8))
        }
        "pg_sleep" => match args {
            [Value::Float8(seconds)] => sleep(state, *seconds),
            _ => Err(Error::internal("pg_sleep without its argument")),
        },
        "pg_database_size" => Ok(Value::Int8(state.engine.storage_stats().disk_bytes as i64)),
        _ => Err(Error::unsupported(format!("function {function}"))),
    }
}

/// Waits off the runtime's threads, and looks a hundred times a second whether it is to stop.
fn sleep(state: &State, seconds: f64) -> Result<Value> {
    let length = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    let begin = Instant::now();
    loop {
        state.cancel.check()?;
        let rest = length.saturating_sub(begin.elapsed());
        if rest.is_zero() {
            return Ok(Value::text(""));
        }
        crate::pace::wait(rest.min(Duration::from_millis(10)));
    }
}

fn relation_size(state: &State, function: &str, oid: u32) -> Option<i64> {
    use helios_planner::catalog::Relation;
    use helios_storage::Prefix;
    use helios_types::{BranchId, ObjectId};
    let bytes = |database, object| {
        state
            .engine
            .store
            .approximate_bytes(Prefix::new(database, BranchId::MAIN, object)) as i64
    };
    match state.catalog.relations.get(&ObjectId(oid))? {
        Relation::Table(table) => {
            let rows = bytes(table.database, table.storage);
            let indexes: i64 = table
                .indexes
                .iter()
                .filter(|i| !i.primary)
                .map(|i| bytes(table.database, i.storage))
                .sum();
            Some(match function {
                "pg_indexes_size" => indexes,
                "pg_total_relation_size" => rows + indexes,
                _ => rows,
            })
        }
        Relation::Index { id, table, .. } => {
            let table = state.catalog.table(*table)?;
            let index = table.index(*id)?;
            Some(if index.primary {
                0
            } else {
                bytes(table.database, index.storage)
            })
        }
        _ => Some(0),
    }
}
