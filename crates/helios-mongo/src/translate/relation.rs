//! A collection: a table and how its rows are documents.

use helios_planner::catalog::{Shape, Table};
use std::sync::Arc;

/// An identifier as SQL text.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string constant as SQL text.
fn literal(text: &str) -> String {
    if text.contains('\\') {
        return format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    }
    format!("'{}'", text.replace('\'', "''"))
}

/// A table that was found under a namespace.
#[derive(Clone, Debug)]
pub struct Collection {
    pub schema: String,
    pub table: Arc<Table>,
    /// `database.collection`, as clients name it.
    pub namespace: String,
}

impl Collection {
    pub fn is_document(&self) -> bool {
        self.table.shape == Shape::Document
    }

    /// `"schema"."table"`
    pub fn name(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.table.name))
    }

    /// The document of a row of `alias`, as SQL text.
    pub fn document(&self, alias: &str) -> String {
        if self.is_document() {
            return format!("{alias}.doc");
        }
        let column = |name: &str| format!("{}::text, {alias}.{}", literal(name), quote(name));
        let mut parts = Vec::new();
        if let Some(id) = self.id_expression(alias) {
            parts.push(format!("'_id'::text, {id}"));
        }
        for (_, c) in self.table.live_columns().filter(|(_, c)| c.name != "_id") {
            parts.push(column(&c.name));
        }
        format!("bson_row({})", parts.join(", "))
    }

    /// What `_id` is: the primary key's column, or a document of its columns.
    fn id_expression(&self, alias: &str) -> Option<String> {
        let key = self.key_names();
        match key.as_slice() {
            [] => self.table.column("_id").map(|_| format!("{alias}.\"_id\"")),
            [only] => Some(format!("{alias}.{}", quote(only))),
            many => {
                let parts: Vec<String> = many
                    .iter()
                    .map(|n| format!("{}::text, {alias}.{}", literal(n), quote(n)))
                    .collect();
                Some(format!("bson_row({})", parts.join(", ")))
            }
        }
    }

    /// Names of the primary key's columns.
    pub fn key_names(&self) -> Vec<&str> {
        self.table
            .key
            .iter()
            .filter_map(|at| self.table.columns.get(*at))
            .map(|c| c.name.as_str())
            .collect()
    }
}
