//! The schema `redis` in SQL: its tables in every catalog, and their rows.
//!
//! The rows are those that the statement's snapshot sees, without what has expired by its time. They
//! are for who may use the keyspace; others are refused, as on the Redis port.

use super::Access;
use super::row::{DB, KEY};
use super::session::databases_of;
use super::tables::{KeyFilter, Table};
use crate::apply::Row;
use crate::authorize::may_use_keyspace;
use crate::engine::SUPERUSER_ID;
use crate::kernel::reader::ViewReader;
use helios_planner::catalog::{
    self, Catalog, Column, Index, IndexColumn, IndexKey, Relation, Schema, Shape, VirtualTable,
};
use helios_planner::function::FunctionContext;
use helios_types::value::Rows;
use helios_types::{DatabaseId, ObjectId, Result, Value, bail};
use std::sync::Arc;

const SCHEMA: ObjectId = ObjectId(14_900);
const FIRST_TABLE: u32 = 14_901;
/// The primary keys, in the order of their tables.
const FIRST_INDEX: u32 = 14_951;

/// Adds the schema and its tables to a catalog that was just loaded.
pub(crate) fn install(catalog: &mut Catalog) {
    let schema = Schema {
        id: SCHEMA,
        database: DatabaseId(0),
        name: "redis".to_owned(),
        owner: SUPERUSER_ID,
        grants: Vec::new(),
        comment: None,
    };
    catalog.schemas.insert(SCHEMA, Arc::new(schema));
    for table in Table::ALL {
        let written = table.written();
        let table = VirtualTable {
            id: written.id,
            schema: SCHEMA,
            name: written.name.clone(),
            columns: written
                .columns
                .iter()
                .map(|column| (column.name.clone(), column.ty))
                .collect(),
            lookups: vec![DB, KEY],
            unique: written.key.clone(),
            written: Some(Arc::new(written)),
        };
        let key = (SCHEMA, Arc::from(table.name.as_str()));
        catalog.relation_names.insert(key, table.id);
        catalog
            .relations
            .insert(table.id, Relation::Virtual(Arc::new(table)));
    }
}

impl Table {
    /// The table with this number in the catalog.
    pub(crate) fn of(id: ObjectId) -> Option<Table> {
        let at = usize::try_from(id.0.checked_sub(FIRST_TABLE)?).ok()?;
        Table::ALL.get(at).copied()
    }

    /// The table as statements that change its rows bind it.
    fn written(self) -> catalog::Table {
        let at = (0..).zip(Table::ALL).find(|(_, table)| *table == self);
        let at = at.map_or(0, |(at, _)| at);
        let key: Vec<usize> = (0..self.key_columns()).collect();
        let columns: Vec<Column> = self
            .columns()
            .iter()
            .map(|(name, ty)| Column {
                name: (*name).to_owned(),
                ty: *ty,
                not_null: !matches!(*name, "idx" | "expire_at" | "ttl_ms"),
                default: (*name == "db").then(|| "0".to_owned()),
                identity: None,
                sequence: None,
                generated: None,
                dropped: false,
                missing: None,
                comment: None,
            })
            .collect();
        let primary = Index {
            id: ObjectId(FIRST_INDEX + at),
            storage: ObjectId(FIRST_INDEX + at),
            name: format!("{}_pkey", self.name()),
            unique: true,
            primary: true,
            constraint: Some(ObjectId(FIRST_INDEX + at)),
            columns: key
                .iter()
                .map(|column| IndexColumn {
                    key: IndexKey::Column(*column),
                    descending: false,
                    nulls_first: false,
                })
                .collect(),
            include: Vec::new(),
            predicate: None,
            nulls_not_distinct: false,
            multikey: false,
            ready: true,
            comment: None,
        };
        catalog::Table {
            id: ObjectId(FIRST_TABLE + at),
            database: DatabaseId(0),
            schema: SCHEMA,
            name: self.name().to_owned(),
            owner: SUPERUSER_ID,
            shape: Shape::Keyspace,
            storage: ObjectId(FIRST_TABLE + at),
            layouts: vec![columns.iter().map(|column| column.ty).collect()],
            columns,
            schema_version: 0,
            key,
            indexes: vec![primary],
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            history: false,
            redis_prefix: None,
            grants: Vec::new(),
            comment: None,
            temporary: false,
        }
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
    if !may_use_keyspace(&catalog, role, database.id) {
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
    let keyspace = &reader.engine.keyspace;
    let mut rows = Rows::default();
    for database in databases_of(database.id) {
        let number = i64::from(database.number());
        if wanted(DB).is_some_and(|value| value.as_i64() != Some(number)) {
            continue;
        }
        let view = reader.view.clone();
        let mut access = Access::at(keyspace, &database, reader.now_ms, view);
        access.scan_table(kind, &filter, &mut rows)?;
    }
    Ok(rows.0)
}
