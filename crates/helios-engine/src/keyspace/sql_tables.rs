//! The schema `redis` in SQL: its tables in every catalog, and their rows.
//!
//! The rows are those that the statement's snapshot sees, without what has expired by its time. They
//! are for who may use the keyspace; others are refused, as on the Redis port.

use super::session::{databases_of, role_may_use};
use super::tables::{KeyFilter, Table};
use super::{Access, Keyspace};
use crate::apply::Row;
use crate::kernel::reader::ViewReader;
use helios_planner::catalog::{Catalog, Relation, Schema, VirtualTable};
use helios_planner::function::FunctionContext;
use helios_types::value::Rows;
use helios_types::{DatabaseId, ObjectId, Result, Value, bail};
use std::sync::Arc;

const SCHEMA: ObjectId = ObjectId(14_900);
const FIRST_TABLE: u32 = 14_901;

const NUMBER: usize = 0;
const KEY: usize = 1;

/// Adds the schema and its tables to a catalog that was just loaded.
pub(crate) fn install(catalog: &mut Catalog) {
    let schema = Schema {
        id: SCHEMA,
        database: DatabaseId(0),
        name: "redis".to_owned(),
        owner: crate::engine::SUPERUSER_ID,
        grants: Vec::new(),
        comment: None,
    };
    catalog.schemas.insert(SCHEMA, Arc::new(schema));
    for (id, table) in (FIRST_TABLE..).zip(Table::ALL) {
        let table = VirtualTable {
            id: ObjectId(id),
            schema: SCHEMA,
            name: table.name().to_owned(),
            columns: table
                .columns()
                .iter()
                .map(|(name, ty)| ((*name).to_owned(), *ty))
                .collect(),
            lookups: vec![NUMBER, KEY],
            unique: (0..table.key_columns()).collect(),
        };
        let key = (SCHEMA, Arc::from(table.name.as_str()));
        catalog.relation_names.insert(key, table.id);
        catalog
            .relations
            .insert(table.id, Relation::Virtual(Arc::new(table)));
    }
}

pub(crate) fn is_keyspace_table(table: &VirtualTable) -> bool {
    table.schema == SCHEMA
}

/// The rows that satisfy the lookups on the number and the key.
pub(crate) fn rows(
    reader: &ViewReader,
    table: &VirtualTable,
    lookups: &[(usize, Value)],
    functions: &dyn FunctionContext,
) -> Result<Vec<Row>> {
    let catalog = functions.catalog();
    let Some(database) = catalog.database_named(functions.current_database()) else {
        return Ok(Vec::new());
    };
    let role = catalog
        .role_named(functions.current_user())
        .map_or(ObjectId(0), |role| role.id);
    if !role_may_use(&catalog, role, database.id) {
        bail!(
            InsufficientPrivilege,
            "permission denied for table {}",
            table.name
        );
    }
    let Some(kind) = Table::ALL
        .into_iter()
        .find(|kind| kind.name() == table.name)
    else {
        return Ok(Vec::new());
    };
    let wanted = |column| {
        lookups
            .iter()
            .find(|(at, _)| *at == column)
            .map(|(_, value)| value)
    };
    let filter = match wanted(KEY) {
        Some(Value::Bytea(key)) => KeyFilter::exactly(key),
        Some(_) => return Ok(Vec::new()),
        None => KeyFilter::default(),
    };
    let keyspace = Keyspace::new(reader.engine.store.clone());
    let mut rows = Rows::default();
    for database in databases_of(database.id) {
        let number = i64::from(database.number());
        if wanted(NUMBER).is_some_and(|value| value.as_i64() != Some(number)) {
            continue;
        }
        let view = reader.view.clone();
        let mut access = Access::at(&keyspace, &database, reader.now_ms, view);
        access.scan_table(kind, &filter, &mut rows)?;
    }
    Ok(rows.0)
}
