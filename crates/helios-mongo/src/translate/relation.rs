//! A collection: a table and how its rows are documents.

use helios_engine::Prepared;
use helios_planner::catalog::{Column, Index, IndexKey, Relation, Shape, Table};
use helios_types::{DatabaseId, ObjectId, Type};
use std::sync::{Arc, OnceLock};

/// An identifier as SQL text.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string constant as SQL text.
pub(super) fn literal(text: &str) -> String {
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
    pub statements: Arc<Statements>,
}

/// Statements on one document by its `_id`, kept from their first use.
#[derive(Debug, Default)]
pub struct Statements {
    pub find: OnceLock<Arc<Prepared>>,
    /// Whether an update would change the document.
    pub would_change: OnceLock<Arc<Prepared>>,
    pub insert: OnceLock<Arc<Prepared>>,
    pub update: OnceLock<Arc<Prepared>>,
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
        let column = |c: &Column| {
            let value = format!("{alias}.{}", quote(&c.name));
            match c.ty.oid == Type::JSONB.oid {
                true => format!("{}::text, bson_json({value})", literal(&c.name)),
                false => format!("{}::text, {value}", literal(&c.name)),
            }
        };
        let mut parts = Vec::new();
        if let Some(id) = self.id_expression(alias) {
            parts.push(format!("'_id'::text, {id}"));
        }
        for (_, c) in self.table.live_columns().filter(|(_, c)| c.name != "_id") {
            parts.push(column(c));
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

    /// A view, or a table that the engine makes the rows of: documents of its columns, without a
    /// key, to be read only.
    pub fn read_only(relation: &Relation, schema: &str, namespace: String) -> Option<Collection> {
        let (name, columns): (_, Vec<(String, Type)>) = match relation {
            Relation::View(view) => (&view.name, view.columns.clone()),
            Relation::Virtual(table) => (&table.name, table.columns.clone()),
            _ => return None,
        };
        let column = |(name, ty): (String, Type)| Column {
            name,
            ty,
            not_null: false,
            default: None,
            identity: None,
            sequence: None,
            generated: None,
            dropped: false,
            missing: None,
            comment: None,
        };
        let table = Table {
            id: relation.id(),
            database: DatabaseId(0),
            schema: relation.schema(),
            name: name.to_string(),
            owner: ObjectId(0),
            shape: Shape::Relational,
            storage: relation.id(),
            columns: columns.into_iter().map(column).collect(),
            schema_version: 0,
            layouts: Vec::new(),
            key: Vec::new(),
            indexes: Vec::new(),
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            history: false,
            redis_prefix: None,
            grants: Vec::new(),
            comment: None,
            temporary: false,
        };
        Some(Collection {
            schema: schema.to_owned(),
            table: Arc::new(table),
            namespace,
            statements: Arc::default(),
        })
    }

    /// An index's name as clients know it: without the collection in front.
    pub fn index_name<'i>(&self, index: &'i Index) -> &'i str {
        let rest = index.name.strip_prefix(self.table.name.as_str());
        rest.and_then(|rest| rest.strip_prefix('.'))
            .unwrap_or(&index.name)
    }

    /// The fields that an index is over, and which of them are descending.
    pub fn index_keys(&self, index: &Index) -> Vec<(String, bool)> {
        let name = |key: &IndexKey| match key {
            IndexKey::Path(path) => path.clone(),
            IndexKey::Column(at) => self
                .table
                .columns
                .get(*at)
                .map_or(String::new(), |c| c.name.clone()),
            IndexKey::Expression(text, _) => text.clone(),
        };
        let columns = index.columns.iter();
        columns.map(|c| (name(&c.key), c.descending)).collect()
    }

    /// Whether some index has this path among its keys.
    pub fn is_indexed(&self, path: &str) -> bool {
        let mut keys = self.table.indexes.iter().flat_map(|i| &i.columns);
        keys.any(|c| matches!(&c.key, IndexKey::Path(p) if p == path))
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
