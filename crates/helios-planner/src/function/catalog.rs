//! Functions over the catalog: names of objects, their definitions, descriptions and privileges.
//!
//! psql, drivers and ORMs ask these beside `pg_catalog`. Everything is computed from the
//! [`Catalog`](crate::catalog::Catalog) of the statement; what needs more (sizes on disk) goes
//! through [`FunctionContext::system`].
//!
//! * [`name`]: OIDs to names and back for regclass and its like, visibility, quoting.
//! * [`definition`]: the functions `pg_get_*def`.
//! * [`privilege`]: the functions `has_*_privilege`.
//! * [`describe`]: comments, types' names, sizes, properties.

pub mod definition;
mod describe;
mod keyword;
pub mod name;
pub mod privilege;

pub use describe::privilege_name;

use super::{
    CastContext, CastDef, CastMethod, FunctionContext, FunctionDef, Implementation, Volatility,
};
use crate::catalog::Catalog;
use helios_types::{DatabaseId, Oid, Result, Value};
use std::sync::Arc;

/// Every function of this part.
pub const FUNCTIONS: &[&[FunctionDef]] = &[
    definition::FUNCTIONS,
    describe::FUNCTIONS,
    name::FUNCTIONS,
    privilege::FUNCTIONS,
];

/// The casts between names and OIDs of catalog objects.
pub const CASTS: &[CastDef] = &[
    // text to regclass is the only one that PostgreSQL applies without being asked.
    cast(25, 2205, CastContext::Implicit, 1079),
    cast(1043, 2205, CastContext::Implicit, 1079),
    cast(25, 24, CastContext::Explicit, 9400),
    cast(25, 2202, CastContext::Explicit, 9401),
    cast(25, 2203, CastContext::Explicit, 9402),
    cast(25, 2204, CastContext::Explicit, 9403),
    cast(25, 2206, CastContext::Explicit, 9404),
    cast(25, 4096, CastContext::Explicit, 9405),
    cast(25, 4089, CastContext::Explicit, 9406),
    cast(24, 25, CastContext::Assignment, 9410),
    cast(2202, 25, CastContext::Assignment, 9411),
    cast(2203, 25, CastContext::Assignment, 9412),
    cast(2204, 25, CastContext::Assignment, 9413),
    cast(2205, 25, CastContext::Assignment, 9414),
    cast(2206, 25, CastContext::Assignment, 9415),
    cast(4096, 25, CastContext::Assignment, 9416),
    cast(4089, 25, CastContext::Assignment, 9417),
];

const fn cast(source: Oid, target: Oid, context: CastContext, function: Oid) -> CastDef {
    CastDef {
        source,
        target,
        context,
        method: CastMethod::Function(function),
    }
}

/// A strict, stable scalar function.
const fn scalar(
    oid: Oid,
    name: &'static str,
    args: &'static [Oid],
    result: Oid,
    call: fn(&[Value], &mut dyn FunctionContext) -> Result<Value>,
) -> FunctionDef {
    FunctionDef {
        oid,
        name,
        args,
        defaults: &[],
        variadic: false,
        result,
        columns: &[],
        strict: true,
        volatility: Volatility::Stable,
        implementation: Implementation::Scalar(call),
    }
}

/// A set-returning function.
const fn set(
    oid: Oid,
    name: &'static str,
    args: &'static [Oid],
    result: Oid,
    columns: &'static [(&'static str, Oid)],
    call: fn(&[Value], &mut dyn FunctionContext) -> Result<Vec<Vec<Value>>>,
) -> FunctionDef {
    FunctionDef {
        oid,
        name,
        args,
        defaults: &[],
        variadic: false,
        result,
        columns,
        strict: true,
        volatility: Volatility::Stable,
        implementation: Implementation::Set(call),
    }
}

/// The catalog as the calling session sees it.
pub struct View {
    pub catalog: Arc<Catalog>,
    pub database: DatabaseId,
    pub search_path: Vec<String>,
}

impl View {
    pub fn of(context: &mut dyn FunctionContext) -> View {
        let catalog = context.catalog();
        let database = catalog
            .database_named(context.current_database())
            .map_or(DatabaseId(0), |d| d.id);
        View {
            catalog,
            database,
            search_path: context.search_path(true),
        }
    }
}

fn oid_arg(args: &[Value], index: usize) -> u32 {
    match args.get(index) {
        Some(Value::Oid(oid)) => *oid,
        Some(value) => value
            .as_i64()
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(0),
        None => 0,
    }
}

fn text_arg(args: &[Value], index: usize) -> &str {
    args.get(index).and_then(Value::as_str).unwrap_or_default()
}

fn flag_arg(args: &[Value], index: usize) -> bool {
    args.get(index).and_then(Value::as_bool).unwrap_or_default()
}
