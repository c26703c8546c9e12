//! The table that a path names.

use crate::error::{Failure, Fault, Result};
use helios_planner::catalog::{Catalog, Relation, Schema, Shape, Table, View, VirtualTable};
use helios_types::{DatabaseId, ErrorKind, Type};
use std::sync::Arc;

const DEFAULT_SCHEMA: &str = "public";

/// A table or view by its path name.
pub struct Target {
    pub schema: Arc<Schema>,
    pub relation: Rows,
}

#[derive(Clone)]
pub enum Rows {
    Table(Arc<Table>),
    View(Arc<View>),
    /// Rows that the engine makes: the keyspace of Redis, the system catalogs.
    Virtual(Arc<VirtualTable>),
}

/// Finds `table` or `schema.table`.
pub fn find(catalog: &Catalog, database: DatabaseId, name: &str) -> Result<Target> {
    if let Some(target) = lookup(catalog, database, DEFAULT_SCHEMA, name) {
        return Ok(target);
    }
    if let Some((schema, table)) = name.split_once('.')
        && let Some(target) = lookup(catalog, database, schema, table)
    {
        return Ok(target);
    }
    Err(missing(name))
}

pub fn missing(name: &str) -> Failure {
    Failure::new(
        Fault::PathTableMissing,
        ErrorKind::UndefinedTable,
        format!("relation \"{name}\" does not exist"),
    )
}

fn lookup(catalog: &Catalog, database: DatabaseId, schema: &str, name: &str) -> Option<Target> {
    let schema = catalog.schema_named(database, schema)?.clone();
    let relation = match catalog.relation_named(schema.id, name)? {
        Relation::Table(table) => Rows::Table(table.clone()),
        Relation::View(view) => Rows::View(view.clone()),
        Relation::Virtual(table) => Rows::Virtual(table.clone()),
        Relation::Sequence(_) | Relation::Index { .. } => return None,
    };
    Some(Target { schema, relation })
}

impl Target {
    pub fn name(&self) -> &str {
        match &self.relation {
            Rows::Table(table) => &table.name,
            Rows::View(view) => &view.name,
            Rows::Virtual(table) => &table.name,
        }
    }

    /// The name as SQL text.
    pub fn sql(&self) -> String {
        format!("{}.{}", quote(&self.schema.name), quote(self.name()))
    }

    /// Names and types of the columns.
    pub fn columns(&self) -> Vec<(&str, Type)> {
        match &self.relation {
            Rows::Table(table) => table
                .live_columns()
                .map(|(_, c)| (c.name.as_str(), c.ty))
                .collect(),
            Rows::View(view) => named(&view.columns),
            Rows::Virtual(table) => named(&table.columns),
        }
    }

    /// Names of the primary key's columns; empty without one.
    pub fn key(&self) -> Vec<&str> {
        match &self.relation {
            Rows::Table(table) if table.shape == Shape::Document => vec!["_id"],
            Rows::Table(table) if table.primary_key().is_some() => table
                .key
                .iter()
                .filter_map(|&i| table.columns.get(i))
                .map(|c| c.name.as_str())
                .collect(),
            _ => Vec::new(),
        }
    }

    pub fn is_not_null(&self, column: &str) -> bool {
        match &self.relation {
            Rows::Table(table) => table.column(column).is_some_and(|(_, c)| c.not_null),
            Rows::View(_) | Rows::Virtual(_) => false,
        }
    }

    pub fn check_column(&self, name: &str) -> Result<()> {
        if self.columns().iter().any(|(column, _)| *column == name) {
            return Ok(());
        }
        let relation = self.name();
        Err(Failure::new(
            Fault::ColumnMissing,
            ErrorKind::UndefinedColumn,
            format!("column \"{name}\" of relation \"{relation}\" does not exist"),
        ))
    }
}

fn named(columns: &[(String, Type)]) -> Vec<(&str, Type)> {
    columns
        .iter()
        .map(|(name, ty)| (name.as_str(), *ty))
        .collect()
}

/// An identifier in double quotes.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `name, name, …`
pub fn quote_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}
