//! `pg_catalog` and `information_schema`: PostgreSQL 15's tables over the live catalog.
//!
//! Each table has PostgreSQL's own OID, columns and column types (`relations.tsv`). Rows are made
//! when a query scans the table, from the statement's [`Catalog`], so that they are always of the
//! statement's own snapshot and cost nothing while nobody asks. A few tables hold facts that never
//! change (types, operator classes): they stand in `*.tsv` files in COPY's text format. Tables for
//! what does not exist here (triggers, text search, publications) are empty.
//!
//! A scan may come with lookups, columns that must equal a value; producers use those that save
//! work, and the rest is filtered after them. Types that do not exist here show as text (inet,
//! pg_lsn).

mod access;
mod constraint;
mod depend;
mod function;
mod information;
mod information_column;
mod information_constraint;
mod relation;
mod role;
mod row;
mod session;
mod table_list;
mod view;

use crate::engine::Engine;
use helios_planner::catalog::{Catalog, PG_CATALOG_SCHEMA, Relation, Schema, VirtualTable};
use helios_planner::function::FunctionContext;
use helios_types::{DatabaseId, ObjectId, Result, Value};
use std::sync::Arc;

/// PostgreSQL's OID of the schema; stable since it is given at initdb.
pub const INFORMATION_SCHEMA: ObjectId = ObjectId(13207);

type Row = Vec<Value>;

/// What a producer may use.
pub(crate) struct Request<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) database: DatabaseId,
    pub(crate) database_name: String,
    /// The table's columns, for rows that are built by column name.
    pub(crate) table: &'a VirtualTable,
    pub(crate) lookups: &'a [(usize, Value)],
    pub(crate) functions: &'a mut dyn FunctionContext,
}

impl Request<'_> {
    fn lookup(&self, column: &str) -> Option<&Value> {
        self.lookups
            .iter()
            .find(|(position, _)| {
                self.table
                    .columns
                    .get(*position)
                    .is_some_and(|c| c.0 == column)
            })
            .map(|(_, value)| value)
    }

    /// The OID that this column must have, when the scan says so.
    pub(crate) fn wanted(&self, column: &str) -> Option<u32> {
        let value = self.lookup(column)?;
        value.as_i64().and_then(|n| u32::try_from(n).ok())
    }

    pub(crate) fn wanted_name(&self, column: &str) -> Option<&str> {
        self.lookup(column)?.as_str()
    }

    /// Whether the session's database has this schema.
    pub(crate) fn sees_schema(&self, schema: ObjectId) -> bool {
        self.catalog
            .schemas
            .get(&schema)
            .is_some_and(|s| s.database == self.database || s.database == DatabaseId(0))
    }

    /// The relations of the session's database in the order of their OIDs; `id` picks one.
    pub(crate) fn relations(&self, id: Option<u32>) -> Vec<&Relation> {
        if let Some(id) = id {
            return self
                .catalog
                .relations
                .get(&ObjectId(id))
                .filter(|r| self.sees_schema(r.schema()))
                .into_iter()
                .collect();
        }
        let mut relations: Vec<&Relation> = self
            .catalog
            .relations
            .values()
            .filter(|r| self.sees_schema(r.schema()))
            .collect();
        relations.sort_by_key(|r| r.id());
        relations
    }

    pub(crate) fn schema_name(&self, schema: ObjectId) -> &str {
        self.catalog.schemas.get(&schema).map_or("", |s| &s.name)
    }

    pub(crate) fn role_name(&self, role: ObjectId) -> &str {
        self.catalog.roles.get(&role).map_or("", |r| &r.name)
    }
}

/// Whether this is one of the tables of this module.
pub(crate) fn is_system_table(table: &VirtualTable) -> bool {
    table.schema == PG_CATALOG_SCHEMA || table.schema == INFORMATION_SCHEMA
}

/// The rows of a system table that satisfy the lookups.
pub(crate) fn rows(
    engine: &Engine,
    table: &VirtualTable,
    lookups: &[(usize, Value)],
    functions: &mut dyn FunctionContext,
) -> Result<Vec<Row>> {
    let catalog = functions.catalog();
    let database_name = functions.current_database().to_owned();
    let database = catalog
        .database_named(&database_name)
        .map_or(DatabaseId(0), |d| d.id);
    let mut request = Request {
        engine,
        catalog,
        database,
        database_name,
        table,
        lookups,
        functions,
    };
    let mut rows = if table.schema == INFORMATION_SCHEMA {
        information::rows(&mut request)?
    } else {
        pg_catalog_rows(&mut request)?
    };
    rows.retain(|row| {
        lookups
            .iter()
            .all(|(column, wanted)| row.get(*column).is_some_and(|v| equal(v, wanted)))
    });
    Ok(rows)
}

/// Equality of the types that lookups have.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Char(a), Value::Char(b)) => a == b,
        _ => a.as_i64().is_some_and(|a| Some(a) == b.as_i64()),
    }
}

fn pg_catalog_rows(request: &mut Request<'_>) -> Result<Vec<Row>> {
    match request.table.name.as_str() {
        "pg_class" => relation::pg_class(request),
        "pg_attribute" => relation::pg_attribute(request),
        "pg_attrdef" => relation::pg_attrdef(request),
        "pg_index" => relation::pg_index(request),
        "pg_namespace" => relation::pg_namespace(request),
        "pg_sequence" => relation::pg_sequence(request),
        "pg_constraint" => constraint::pg_constraint(request),
        "pg_depend" => depend::pg_depend(request),
        "pg_description" => depend::pg_description(request),
        "pg_shdescription" => depend::pg_shdescription(request),
        "pg_rewrite" => depend::pg_rewrite(request),
        "pg_type" => access::pg_type(request),
        "pg_proc" => function::pg_proc(request),
        "pg_operator" => function::pg_operator(request),
        "pg_cast" => function::pg_cast(request),
        "pg_aggregate" => function::pg_aggregate(request),
        "pg_am" => access::pg_am(request),
        "pg_opclass" | "pg_opfamily" | "pg_amop" | "pg_amproc" => access::operator_classes(request),
        "pg_collation" => access::pg_collation(request),
        "pg_language" => access::pg_language(request),
        "pg_tablespace" => access::pg_tablespace(request),
        "pg_authid" => role::pg_authid(request),
        "pg_roles" => role::pg_roles(request),
        "pg_user" | "pg_shadow" => role::pg_user(request),
        "pg_group" => role::pg_group(request),
        "pg_auth_members" => role::pg_auth_members(request),
        "pg_database" => role::pg_database(request),
        "pg_tables" => view::pg_tables(request),
        "pg_views" => view::pg_views(request),
        "pg_indexes" => view::pg_indexes(request),
        "pg_sequences" => view::pg_sequences(request),
        "pg_settings" => session::pg_settings(request),
        "pg_stat_activity" => session::pg_stat_activity(request),
        "pg_stat_user_tables" | "pg_stat_all_tables" => view::pg_stat_tables(request),
        // What they list does not exist here.
        _ => Ok(Vec::new()),
    }
}

/// Adds the schemas and tables of this module to a catalog that was just loaded.
pub(crate) fn install(catalog: &mut Catalog) {
    let owner = catalog.roles.keys().next().copied().unwrap_or(ObjectId(10));
    for (id, name) in [
        (PG_CATALOG_SCHEMA, "pg_catalog"),
        (INFORMATION_SCHEMA, "information_schema"),
    ] {
        catalog.schemas.entry(id).or_insert_with(|| {
            Arc::new(Schema {
                id,
                database: DatabaseId(0),
                name: name.to_owned(),
                owner,
                grants: Vec::new(),
                comment: None,
            })
        });
    }
    for definition in table_list::tables() {
        let table = definition.clone();
        let key = (table.schema, Arc::from(table.name.as_str()));
        catalog.relation_names.insert(key, table.id);
        catalog.relations.insert(table.id, Relation::Virtual(table));
    }
}

#[cfg(test)]
mod tests;
