//! The tables with their columns, from `relations.tsv`:
//! `oid, p (pg_catalog) or i (information_schema), name, r (table) or v (view), column:type …`.

use super::INFORMATION_SCHEMA;
use helios_planner::catalog::{PG_CATALOG_SCHEMA, VirtualTable};
use helios_types::{ObjectId, Type};
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

/// Columns besides `oid` that a producer can use instead of making every row.
const LOOKUPS: &[&str] = &[
    "oid",
    "relname",
    "relnamespace",
    "attrelid",
    "adrelid",
    "indexrelid",
    "indrelid",
    "conrelid",
    "confrelid",
    "conindid",
    "nspname",
    "proname",
    "typname",
    "typelem",
    "typarray",
    "objoid",
    "objid",
    "refobjid",
    "seqrelid",
    "rolname",
    "datname",
    "usename",
    "opcintype",
    "amopfamily",
    "ev_class",
    "aggfnoid",
    "castsource",
    "casttarget",
    "tablename",
    "schemaname",
    "table_name",
    "table_schema",
    "constraint_name",
    "schema_name",
    "name",
];

/// Columns that identify a row; `oid` does wherever it is.
const UNIQUE: &[(&str, &[&str])] = &[
    ("pg_attribute", &["attrelid", "attnum"]),
    ("pg_index", &["indexrelid"]),
    ("pg_sequence", &["seqrelid"]),
    ("pg_aggregate", &["aggfnoid"]),
    ("pg_range", &["rngtypid"]),
    ("pg_description", &["objoid", "classoid", "objsubid"]),
    ("pg_settings", &["name"]),
];

fn parse() -> Option<(Vec<Arc<VirtualTable>>, HashSet<ObjectId>)> {
    let mut tables = Vec::new();
    let mut views = HashSet::new();
    for line in include_str!("relations.tsv").lines() {
        let mut fields = line.split('\t');
        let id = ObjectId(fields.next()?.parse().ok()?);
        let schema = if fields.next()? == "i" {
            INFORMATION_SCHEMA
        } else {
            PG_CATALOG_SCHEMA
        };
        let name = fields.next()?.to_owned();
        if fields.next()? == "v" {
            views.insert(id);
        }
        let mut columns = Vec::new();
        for column in fields.next()?.split(' ') {
            let (name, oid) = column.split_once(':')?;
            columns.push((name.to_owned(), Type::new(oid.parse().ok()?)));
        }
        let position = |wanted: &str| columns.iter().position(|(name, _)| name == wanted);
        let lookups = LOOKUPS.iter().filter_map(|name| position(name)).collect();
        let unique = match UNIQUE.iter().find(|(table, _)| *table == name) {
            Some((_, names)) => names.iter().filter_map(|name| position(name)).collect(),
            None => position("oid").into_iter().collect(),
        };
        tables.push(Arc::new(VirtualTable {
            id,
            schema,
            name,
            columns,
            lookups,
            unique,
            written: None,
        }));
    }
    Some((tables, views))
}

fn list() -> &'static (Vec<Arc<VirtualTable>>, HashSet<ObjectId>) {
    static LIST: OnceLock<(Vec<Arc<VirtualTable>>, HashSet<ObjectId>)> = OnceLock::new();
    LIST.get_or_init(|| parse().unwrap_or_default())
}

pub(super) fn tables() -> &'static [Arc<VirtualTable>] {
    &list().0
}

/// Whether PostgreSQL has it as a view.
pub(super) fn is_view(id: ObjectId) -> bool {
    list().1.contains(&id)
}
