//! Keys that name rows of tables, and commands on them as statements of the shared plan.
//!
//! Ordinary databases show the tables that have a `redis_prefix`: behind it stands the primary key,
//! or the `_id` of a document as text. Database 16 shows all others too:
//!
//! `table:pk` names a row of a table in the schema `public`, `schema.table:pk` of any other. The part
//! behind the first colon is the primary key in the Redis form of its type; only the canonical
//! spelling names the row, so that no row has two keys. The parts of a composite key are joined by
//! colons, with `%` and `:` inside them written as `%25` and `%3A`.
//!
//! Statements are PostgreSQL's language with parameters: the planner finds the template of a text
//! that it has seen, and EXPLAIN shows the same plan to everybody.

use helios_planner::catalog::{Catalog, Column, Relation, Shape, Table};
use helios_types::conversion::{from_redis_text, to_redis_text};
use helios_types::{DatabaseId, Error, ErrorKind, Result, Type, Value};
use std::sync::Arc;

/// A row of a table, whether it exists or not.
#[derive(Debug)]
pub struct RowKey {
    pub table: Arc<Table>,
    /// The table with its schema, quoted.
    pub name: String,
    pub key: Vec<Value>,
}

/// A table that is shown: with a primary key, or of documents.
pub struct Shown {
    pub table: Arc<Table>,
    pub name: String,
    /// What its keys begin with, with the colon.
    pub prefix: String,
}

pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn qualified(catalog: &Catalog, table: &Table) -> Option<String> {
    let schema = catalog.schemas.get(&table.schema)?;
    Some(format!("{}.{}", quoted(&schema.name), quoted(&table.name)))
}

/// The tables that ordinary databases show, by prefix.
pub fn prefixed_tables(catalog: &Catalog, database: DatabaseId) -> Vec<Shown> {
    let shown = |relation: &Relation| match relation {
        Relation::Table(table) if table.database == database && has_row_keys(table) => {
            Some(Shown {
                table: table.clone(),
                name: qualified(catalog, table)?,
                prefix: table.redis_prefix.clone()?,
            })
        }
        _ => None,
    };
    let mut tables: Vec<Shown> = catalog.relations.values().filter_map(shown).collect();
    tables.sort_by(|a, b| a.prefix.cmp(&b.prefix));
    tables
}

/// Whether a Redis key can name the rows of a table.
fn has_row_keys(table: &Table) -> bool {
    match table.shape {
        Shape::Relational => table.primary_key().is_some() && !table.key.is_empty(),
        Shape::Document => true,
        Shape::Keyspace => false,
    }
}

/// The row of a table that a key under its prefix names; `None` when it can name none.
pub fn prefixed_row(catalog: &Catalog, table: &Arc<Table>, key: &[u8]) -> Result<Option<RowKey>> {
    let name = qualified(catalog, table);
    let (Some(prefix), Some(name)) = (&table.redis_prefix, name) else {
        return Ok(None);
    };
    if !has_row_keys(table) {
        return Err(Error::new(
            ErrorKind::WrongObjectType,
            format!("table \"{}\" has no primary key, and no hashes", table.name),
        ));
    }
    let text = key
        .strip_prefix(prefix.as_bytes())
        .and_then(|text| std::str::from_utf8(text).ok());
    let key = text.and_then(|text| parse_key(table, text));
    Ok(key.map(|key| RowKey {
        table: table.clone(),
        name,
        key,
    }))
}

/// The table behind `relation`, if database 16 shows it.
fn shown(catalog: &Catalog, database: DatabaseId, relation: &Relation) -> Option<Shown> {
    let Relation::Table(table) = relation else {
        return None;
    };
    let schema = catalog.schemas.get(&table.schema)?;
    if table.database != database
        || table.shape != Shape::Relational
        || table.primary_key().is_none()
        || table.key.is_empty()
    {
        return None;
    }
    let prefix = if schema.name == "public" {
        format!("{}:", table.name)
    } else {
        format!("{}.{}:", schema.name, table.name)
    };
    Some(Shown {
        table: table.clone(),
        name: qualified(catalog, table)?,
        prefix,
    })
}

/// All tables that database 16 shows, by name.
pub fn tables(catalog: &Catalog, database: DatabaseId) -> Vec<Shown> {
    let mut tables: Vec<Shown> = catalog
        .relations
        .values()
        .filter_map(|relation| shown(catalog, database, relation))
        .collect();
    tables.sort_by(|a, b| a.prefix.cmp(&b.prefix));
    tables
}

/// The row that a Redis key names; `None` when it can name none. A relation that is there and is
/// not shown is an error, because an empty answer would say that it has no such row.
pub fn row_key(catalog: &Catalog, database: DatabaseId, key: &[u8]) -> Result<Option<RowKey>> {
    let Some((name, text)) = std::str::from_utf8(key)
        .ok()
        .and_then(|key| key.split_once(':'))
    else {
        return Ok(None);
    };
    let candidates = [
        ("public", Some(name)),
        match name.split_once('.') {
            Some((schema, table)) => (schema, Some(table)),
            None => ("", None),
        },
    ];
    for (schema, table) in candidates {
        let Some(table) = table else { continue };
        let Some(schema) = catalog.schema_named(database, schema) else {
            continue;
        };
        let Some(relation) = catalog.relation_named(schema.id, table) else {
            continue;
        };
        let Some(shown) = shown(catalog, database, relation) else {
            return Err(Error::new(
                ErrorKind::WrongObjectType,
                format!("\"{table}\" is not a table of SQL with a primary key, and has no hashes"),
            ));
        };
        let key = parse_key(&shown.table, text);
        return Ok(key.map(|key| RowKey {
            table: shown.table,
            name: shown.name,
            key,
        }));
    }
    Ok(None)
}

/// The columns of the primary key, in its order; `_id` of documents.
pub fn key_columns(table: &Table) -> Vec<&Column> {
    if table.shape == Shape::Document {
        return table.columns.iter().take(1).collect();
    }
    table
        .key
        .iter()
        .filter_map(|at| table.columns.get(*at))
        .collect()
}

fn parse_key(table: &Table, text: &str) -> Option<Vec<Value>> {
    let columns = key_columns(table);
    let parts: Vec<String> = match columns.len() {
        1 => vec![text.to_owned()],
        _ => text
            .split(':')
            .map(|part| part.replace("%3A", ":").replace("%25", "%"))
            .collect(),
    };
    if parts.len() != columns.len() {
        return None;
    }
    let mut key = Vec::with_capacity(parts.len());
    for (column, part) in columns.iter().zip(&parts) {
        let value = from_redis_text(column.ty, part.as_bytes()).ok()?;
        let canonical = to_redis_text(column.ty, &value).ok()??;
        if canonical != part.as_bytes() {
            return None;
        }
        key.push(value);
    }
    (key_text(table, &key)? == text).then_some(key)
}

/// The part of a Redis key behind the table's prefix.
pub fn key_text(table: &Table, key: &[Value]) -> Option<String> {
    let columns = key_columns(table);
    let mut parts = Vec::with_capacity(key.len());
    for (column, value) in columns.iter().zip(key) {
        let bytes = to_redis_text(column.ty, value).ok()??;
        let text = String::from_utf8(bytes).ok()?;
        parts.push(match columns.len() {
            1 => text,
            _ => text.replace('%', "%25").replace(':', "%3A"),
        });
    }
    Some(parts.join(":"))
}

impl RowKey {
    pub fn is_document(&self) -> bool {
        self.table.shape == Shape::Document
    }

    /// `"a" = $n AND "b" = $n+1`
    fn condition(&self, first: usize) -> String {
        let columns = key_columns(&self.table);
        let parts: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(at, column)| format!("{} = ${}", quoted(&column.name), first + at))
            .collect();
        parts.join(" AND ")
    }

    fn key_types(&self) -> Vec<Option<Type>> {
        key_columns(&self.table)
            .iter()
            .map(|column| Some(column.ty))
            .collect()
    }

    /// Reads the row; all columns when none are named.
    pub fn select(&self, columns: &[&str], lock: bool) -> (String, Vec<Option<Type>>) {
        let list = if columns.is_empty() {
            "*".to_owned()
        } else {
            columns
                .iter()
                .map(|name| quoted(name))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let lock = if lock { " FOR UPDATE" } else { "" };
        let text = format!(
            "SELECT {list} FROM {} WHERE {}{lock}",
            self.name,
            self.condition(1)
        );
        (text, self.key_types())
    }

    pub fn delete(&self) -> (String, Vec<Option<Type>>) {
        (
            format!("DELETE FROM {} WHERE {}", self.name, self.condition(1)),
            self.key_types(),
        )
    }

    /// Sets columns; their values come first among the parameters, then the key.
    pub fn update(&self, columns: &[&Column]) -> (String, Vec<Option<Type>>) {
        let set: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(at, column)| format!("{} = ${}", quoted(&column.name), at + 1))
            .collect();
        let text = format!(
            "UPDATE {} SET {} WHERE {}",
            self.name,
            set.join(", "),
            self.condition(columns.len() + 1)
        );
        let mut types: Vec<Option<Type>> = columns.iter().map(|column| Some(column.ty)).collect();
        types.extend(self.key_types());
        (text, types)
    }

    /// Inserts a row: the key first, then other columns.
    pub fn insert(&self, columns: &[&Column]) -> (String, Vec<Option<Type>>) {
        let keys = key_columns(&self.table);
        let all: Vec<&Column> = keys.into_iter().chain(columns.iter().copied()).collect();
        let names: Vec<String> = all.iter().map(|column| quoted(&column.name)).collect();
        let values: Vec<String> = (1..=all.len()).map(|at| format!("${at}")).collect();
        let text = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            self.name,
            names.join(", "),
            values.join(", ")
        );
        (text, all.iter().map(|column| Some(column.ty)).collect())
    }
}

impl Shown {
    pub fn is_document(&self) -> bool {
        self.table.shape == Shape::Document
    }

    /// The keys of all rows, in their order.
    pub fn select_keys(&self) -> (String, Vec<Option<Type>>) {
        let list = self.key_list();
        let text = format!("SELECT {list} FROM {} ORDER BY {list}", self.name);
        (text, Vec::new())
    }

    /// As many keys as the first parameter says; those behind the row whose key the others are, when
    /// there are any.
    pub fn select_page(&self, behind: bool) -> (String, Vec<Option<Type>>) {
        let columns = key_columns(&self.table);
        let list = self.key_list();
        let mut types = vec![Some(Type::INT8)];
        let mut condition = String::new();
        if behind {
            types.extend(columns.iter().map(|column| Some(column.ty)));
            let after: Vec<String> = (0..columns.len())
                .map(|last| {
                    let equal =
                        columns.iter().take(last).enumerate().map(|(at, column)| {
                            format!("{} = ${} AND ", quoted(&column.name), at + 2)
                        });
                    let column = quoted(&columns[last].name);
                    format!("({}{column} > ${})", equal.collect::<String>(), last + 2)
                })
                .collect();
            condition = format!(" WHERE {}", after.join(" OR "));
        }
        let text = format!(
            "SELECT {list} FROM {}{condition} ORDER BY {list} LIMIT $1",
            self.name
        );
        (text, types)
    }

    fn key_list(&self) -> String {
        let columns: Vec<String> = key_columns(&self.table)
            .iter()
            .map(|column| quoted(&column.name))
            .collect();
        columns.join(", ")
    }

    /// The Redis key of a row.
    pub fn key(&self, row: &[Value]) -> Option<String> {
        Some(format!("{}{}", self.prefix, key_text(&self.table, row)?))
    }

    /// The primary key that stands in a Redis key of this table; `None` when it has none.
    pub fn row(&self, key: &[u8]) -> Option<Vec<Value>> {
        let text = key.strip_prefix(self.prefix.as_bytes())?;
        parse_key(&self.table, std::str::from_utf8(text).ok()?)
    }
}

/// A column by its name, if it exists and is not dropped.
pub fn column<'t>(table: &'t Table, name: &[u8]) -> Result<Option<&'t Column>> {
    Ok(std::str::from_utf8(name)
        .ok()
        .and_then(|name| table.live_columns().find(|(_, column)| column.name == name))
        .map(|(_, column)| column))
}
