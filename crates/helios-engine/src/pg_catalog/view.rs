//! PostgreSQL's system views over relations.

use super::relation::{relation_kind, relation_name, relation_owner};
use super::row::{oid, optional, text};
use super::{Request, Row};
use crate::table_size::stored;
use helios_planner::catalog::{PG_CATALOG_SCHEMA, Relation};
use helios_planner::function::catalog::definition::{
    full_table_name, index_definition, view_definition,
};
use helios_types::{Result, Value};

pub(super) fn pg_tables(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    Ok(request
        .relations(None)
        .into_iter()
        .filter(|r| relation_kind(r) == 'r')
        .map(|r| {
            let table = match r {
                Relation::Table(table) => Some(table),
                _ => None,
            };
            let references = table.is_some_and(|t| {
                !t.foreign_keys.is_empty() || request.catalog.referencing(t.id).next().is_some()
            });
            let shared = r.schema() == PG_CATALOG_SCHEMA && is_shared(relation_name(r, request));
            vec![
                text(request.schema_name(r.schema())),
                text(relation_name(r, request)),
                text(request.role_name(relation_owner(r, request))),
                optional(shared.then_some("pg_global")),
                Value::Bool(table.is_some_and(|t| !t.indexes.is_empty())),
                Value::Bool(false),
                Value::Bool(references),
                Value::Bool(false),
            ]
        })
        .collect())
}

/// Tables that all databases of a cluster share.
fn is_shared(name: &str) -> bool {
    matches!(
        name,
        "pg_authid"
            | "pg_auth_members"
            | "pg_database"
            | "pg_db_role_setting"
            | "pg_parameter_acl"
            | "pg_replication_origin"
            | "pg_shdepend"
            | "pg_shdescription"
            | "pg_shseclabel"
            | "pg_subscription"
            | "pg_tablespace"
    )
}

pub(super) fn pg_views(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    Ok(request
        .relations(None)
        .into_iter()
        .filter(|r| relation_kind(r) == 'v')
        .map(|r| {
            let definition = match r {
                Relation::View(view) => Some(view_definition(&view.query)),
                _ => None,
            };
            vec![
                text(request.schema_name(r.schema())),
                text(relation_name(r, request)),
                text(request.role_name(relation_owner(r, request))),
                optional(definition),
            ]
        })
        .collect())
}

pub(super) fn pg_indexes(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    let wanted = request.wanted_name("tablename");
    let mut rows = Vec::new();
    for relation in request.relations(None) {
        let Relation::Table(table) = relation else {
            continue;
        };
        if wanted.is_some_and(|name| name != table.name) {
            continue;
        }
        let full_name = full_table_name(&request.catalog, table);
        for index in &table.indexes {
            rows.push(vec![
                text(request.schema_name(table.schema)),
                text(&table.name),
                text(&index.name),
                Value::Null,
                text(index_definition(table, index, &full_name, false)),
            ]);
        }
    }
    Ok(rows)
}

pub(super) fn pg_sequences(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let catalog = request.catalog.clone();
    let mut sequences: Vec<_> = catalog
        .relations
        .values()
        .filter_map(|r| match r {
            Relation::Sequence(s) if request.sees_schema(s.schema) => Some(s),
            _ => None,
        })
        .collect();
    sequences.sort_by_key(|s| s.id);
    for s in sequences {
        let last = request
            .functions
            .system("pg_sequence_last_value", &[Value::Oid(s.id.0)])
            .unwrap_or_default();
        rows.push(vec![
            text(request.schema_name(s.schema)),
            text(&s.name),
            text(request.role_name(s.owner)),
            Value::Oid(s.ty.oid),
            Value::Int8(s.start),
            Value::Int8(s.min),
            Value::Int8(s.max),
            Value::Int8(s.increment),
            Value::Bool(s.cycle),
            Value::Int8(s.cache),
            last,
        ]);
    }
    Ok(rows)
}

/// Only what is known: a table's name, its rows, and when it was analyzed last. Counters are in the
/// metrics, by statement.
pub(super) fn pg_stat_tables(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    let place = |name: &str| request.table.columns.iter().position(|(c, _)| c == name);
    let mut rows = Vec::new();
    for relation in request.relations(None) {
        let Relation::Table(table) = relation else {
            continue;
        };
        let store = &request.engine.store;
        let analyzed = request.engine.analyzed_us(table.id)?;
        let known = [
            ("relid", oid(table.id)),
            ("schemaname", text(request.schema_name(table.schema))),
            ("relname", text(&table.name)),
            (
                "n_live_tup",
                Value::Int8(store.row_count(stored(table, table.storage))),
            ),
            (
                "last_analyze",
                analyzed.map_or(Value::Null, Value::TimestampTz),
            ),
        ];
        let mut row = vec![Value::Null; request.table.columns.len()];
        for (name, value) in known {
            if let Some(cell) = place(name).and_then(|at| row.get_mut(at)) {
                *cell = value;
            }
        }
        rows.push(row);
    }
    Ok(rows)
}
