//! The session and the server: who, where, which settings; sequences; locks.

use super::argument::{Context, boolean, integer, text, value};
use helios_types::{Array, Error, ObjectId, Result, Type, Value, bail, error};
use std::sync::Arc;

/// What `version()` and `server_version` say; the first words are what drivers look at.
pub const VERSION: &str = "PostgreSQL 15.0 (HeliosDB 0.1.0)";

pub fn version(_: &[Value], _: Context) -> Result<Value> {
    Ok(Value::text(VERSION))
}

pub fn current_database(_: &[Value], context: Context) -> Result<Value> {
    Ok(Value::text(context.current_database()))
}

pub fn current_user(_: &[Value], context: Context) -> Result<Value> {
    Ok(Value::text(context.current_user()))
}

pub fn session_user(_: &[Value], context: Context) -> Result<Value> {
    Ok(Value::text(context.session_user()))
}

pub fn current_schema(_: &[Value], context: Context) -> Result<Value> {
    Ok(context
        .search_path(false)
        .first()
        .map_or(Value::Null, Value::text))
}

pub fn current_schemas(args: &[Value], context: Context) -> Result<Value> {
    let path = context.search_path(boolean(args, 0)?);
    let names = path.iter().map(Value::text).collect();
    Ok(Value::Array(Arc::new(Array::from_values(
        Type::NAME.oid,
        names,
    ))))
}

pub fn backend_pid(_: &[Value], context: Context) -> Result<Value> {
    Ok(Value::Int4(context.backend_pid()))
}

pub fn current_setting(args: &[Value], context: Context) -> Result<Value> {
    let name = text(args, 0)?;
    match context.setting(name) {
        Some(v) => Ok(Value::from(v)),
        None if args.len() > 1 && boolean(args, 1)? => Ok(Value::Null),
        None => Err(error!(
            UndefinedObject,
            "unrecognized configuration parameter \"{name}\""
        )),
    }
}

pub fn set_config(args: &[Value], context: Context) -> Result<Value> {
    let new = match value(args, 1)? {
        Value::Null => "",
        _ => text(args, 1)?,
    };
    let local = matches!(args.get(2), Some(Value::Bool(true)));
    if value(args, 0)?.is_null() {
        bail!(NullNotAllowed, "SET requires parameter name");
    }
    context
        .set_setting(text(args, 0)?, new, local)
        .map(Value::from)
}

pub fn type_of(_: &[Value], types: &[Type], _: Context) -> Result<Value> {
    Ok(Value::Oid(
        types.first().map_or(Type::UNKNOWN.oid, |t| t.oid),
    ))
}

pub fn transaction_id(_: &[Value], context: Context) -> Result<Value> {
    Ok(Value::Int8(context.transaction_id()? as i64))
}

pub fn is_in_recovery(_: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Bool(false))
}

/// The size of a value in its row form, near enough to PostgreSQL's to compare values by.
pub fn column_size(args: &[Value], _: Context) -> Result<Value> {
    let size = match value(args, 0)? {
        Value::Null => return Ok(Value::Null),
        Value::Bool(_) | Value::Char(_) => 1,
        Value::Int2(_) => 2,
        Value::Int4(_) | Value::Float4(_) | Value::Oid(_) | Value::Date(_) => 4,
        Value::Text(v) => v.len() + 4,
        Value::Bytea(v) => v.len() + 4,
        Value::Jsonb(v) => v.as_bytes().len() + 4,
        Value::Numeric(v) => {
            let mut bytes = Vec::new();
            v.to_bytes(&mut bytes);
            bytes.len() + 4
        }
        Value::Uuid(_) | Value::Interval(_) => 16,
        Value::Array(v) => 24 + v.len() * 4,
        _ => 8,
    };
    Ok(Value::Int4(size as i32))
}

fn sequence(args: &[Value]) -> Result<ObjectId> {
    match value(args, 0)? {
        Value::Oid(oid) => Ok(ObjectId(*oid)),
        _ => Err(Error::internal("sequence given by another type")),
    }
}

pub fn nextval(args: &[Value], context: Context) -> Result<Value> {
    context.sequence_next(sequence(args)?).map(Value::Int8)
}

pub fn currval(args: &[Value], context: Context) -> Result<Value> {
    context.sequence_last(sequence(args)?).map(Value::Int8)
}

pub fn lastval(_: &[Value], context: Context) -> Result<Value> {
    context.last_sequence_value().map(Value::Int8)
}

/// `setval(sequence, value [, is_called])`
pub fn setval(args: &[Value], context: Context) -> Result<Value> {
    let new = integer(args, 1)?;
    let called = args.len() < 3 || boolean(args, 2)?;
    context.sequence_set(sequence(args)?, new, called)?;
    Ok(Value::Int8(new))
}

macro_rules! engine_functions {
    ($($name:ident;)*) => {
        $(pub fn $name(args: &[Value], context: Context) -> Result<Value> {
            context.system(stringify!($name), args)
        })*
    };
}

// What only the engine can do is asked from it by name.
engine_functions! {
    pg_advisory_lock;
    pg_advisory_lock_shared;
    pg_advisory_unlock;
    pg_advisory_unlock_shared;
    pg_advisory_unlock_all;
    pg_advisory_xact_lock;
    pg_advisory_xact_lock_shared;
    pg_try_advisory_lock;
    pg_try_advisory_lock_shared;
    pg_try_advisory_xact_lock;
    pg_try_advisory_xact_lock_shared;
    pg_cancel_backend;
    pg_terminate_backend;
    pg_notify;
    pg_sleep;
    pg_sleep_for;
    pg_postmaster_start_time;
    pg_conf_load_time;
    pg_reload_conf;
    inet_client_addr;
    inet_client_port;
    inet_server_addr;
    inet_server_port;
    pg_current_wal_lsn;
    pg_export_snapshot;
    pg_my_temp_schema;
    pg_blocking_pids;
}
