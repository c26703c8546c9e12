//! Qualified names of relations and schemas, and the search path.

use super::binder::Binder;
use super::node::strings;
use crate::catalog::{PG_CATALOG_SCHEMA, Relation, Schema, Table};
use helios_types::{ObjectId, Result, error};
use pg_query::Node;
use pg_query::protobuf::RangeVar;
use std::sync::Arc;

/// A name as written: `[[database.]schema.]name`.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub database: Option<String>,
    pub schema: Option<String>,
    pub name: String,
    pub at: i32,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(database) = &self.database {
            write!(f, "{database}.")?;
        }
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}

impl Name {
    pub fn of_range_var(var: &RangeVar) -> Name {
        let some = |s: &String| (!s.is_empty()).then(|| s.clone());
        Name {
            database: some(&var.catalogname),
            schema: some(&var.schemaname),
            name: var.relname.clone(),
            at: var.location,
        }
    }

    /// The name of what a utility statement is about, whose absence PostgreSQL reports without
    /// its place in the text.
    pub fn of_object(var: &RangeVar) -> Name {
        Name {
            at: -1,
            ..Name::of_range_var(var)
        }
    }

    pub fn of_list(parts: &[Node]) -> Result<Name> {
        let parts = strings(parts)?;
        let owned = |s: &str| Some(s.to_string());
        Ok(match parts.as_slice() {
            [name] => Name {
                database: None,
                schema: None,
                name: name.to_string(),
                at: -1,
            },
            [schema, name] => Name {
                database: None,
                schema: owned(schema),
                name: name.to_string(),
                at: -1,
            },
            [db, schema, name] => Name {
                database: owned(db),
                schema: owned(schema),
                name: name.to_string(),
                at: -1,
            },
            _ => {
                let full = parts.join(".");
                return Err(error!(
                    SyntaxError,
                    "improper qualified name (too many dotted names): {full}"
                ));
            }
        })
    }
}

impl Binder<'_> {
    /// Schemas that names are searched in, the implicit ones included, in order.
    pub fn search_schemas(&self) -> Vec<ObjectId> {
        let mut schemas: Vec<ObjectId> = self.cx.temp_schema.into_iter().collect();
        let listed = self.listed_schemas();
        if !listed.contains(&PG_CATALOG_SCHEMA) {
            schemas.push(PG_CATALOG_SCHEMA);
        }
        schemas.extend(listed);
        schemas
    }

    /// The schemas of the search path that exist.
    fn listed_schemas(&self) -> Vec<ObjectId> {
        self.cx
            .search_path
            .iter()
            .filter_map(|name| {
                let name = if name == "$user" {
                    self.role_name()?
                } else {
                    name.clone()
                };
                self.cx
                    .catalog
                    .schema_named(self.cx.database, &name)
                    .map(|s| s.id)
            })
            .collect()
    }

    fn role_name(&self) -> Option<String> {
        self.cx
            .catalog
            .roles
            .get(&self.cx.role)
            .map(|r| r.name.clone())
    }

    /// Where a new object goes that names no schema.
    pub fn creation_schema(&self) -> Result<Arc<Schema>> {
        self.listed_schemas()
            .first()
            .and_then(|id| self.cx.catalog.schemas.get(id))
            .cloned()
            .ok_or_else(|| error!(UndefinedSchema, "no schema has been selected to create in"))
    }

    pub fn schema(&self, name: &str, location: i32) -> Result<Arc<Schema>> {
        if name == "pg_temp"
            && let Some(schema) = self
                .cx
                .temp_schema
                .and_then(|id| self.cx.catalog.schemas.get(&id))
        {
            return Ok(schema.clone());
        }
        self.cx
            .catalog
            .schema_named(self.cx.database, name)
            .cloned()
            .ok_or_else(|| {
                self.at(
                    error!(UndefinedSchema, "schema \"{name}\" does not exist"),
                    location,
                )
            })
    }

    pub fn check_database(&self, database: &str, parts: &[&str], location: i32) -> Result<()> {
        let current = self
            .cx
            .catalog
            .databases
            .get(&self.cx.database)
            .map(|d| d.name.as_str());
        if current == Some(database) {
            return Ok(());
        }
        let full = parts.join(".");
        Err(self.at(
            error!(
                Unsupported,
                "cross-database references are not implemented: \"{full}\""
            ),
            location,
        ))
    }

    /// The relation, or `None` when the schema or the name is not there.
    pub fn find_relation(
        &self,
        database: Option<&str>,
        schema: Option<&str>,
        name: &str,
    ) -> Option<Relation> {
        let catalog = &self.cx.catalog;
        let database = match database {
            Some(database) => catalog.database_named(database)?.id,
            None => self.cx.database,
        };
        match schema {
            Some("pg_temp") => catalog.relation_named(self.cx.temp_schema?, name).cloned(),
            Some(schema) => {
                let schema = catalog.schema_named(database, schema)?;
                catalog.relation_named(schema.id, name).cloned()
            }
            None => self
                .search_schemas()
                .into_iter()
                .find_map(|s| catalog.relation_named(s, name).cloned()),
        }
    }

    /// The relation of this name, or 42P01 at its place.
    pub fn relation(&self, name: &Name) -> Result<Relation> {
        if let Some(database) = &name.database {
            let current = self
                .cx
                .catalog
                .databases
                .get(&self.cx.database)
                .map(|d| d.name.as_str());
            if current != Some(database.as_str()) {
                let error = error!(
                    Unsupported,
                    "cross-database references are not implemented: \"{name}\""
                );
                return Err(self.at(error, name.at));
            }
        }
        self.find_relation(name.database.as_deref(), name.schema.as_deref(), &name.name)
            .ok_or_else(|| {
                self.at(
                    error!(UndefinedTable, "relation \"{name}\" does not exist"),
                    name.at,
                )
            })
    }

    pub fn relation_of(&self, var: &RangeVar) -> Result<Relation> {
        self.relation(&Name::of_object(var))
    }

    /// A base table of this name; every other kind of relation is refused as PostgreSQL does.
    pub fn table(&self, name: &Name) -> Result<Arc<Table>> {
        match self.relation(name)? {
            Relation::Table(table) => Ok(table),
            _ => {
                let error = error!(WrongObjectType, "\"{}\" is not a table", name.name);
                Err(self.at(error, name.at))
            }
        }
    }

    /// The schema's name of a relation, for messages and for text that must stay valid.
    pub fn schema_name(&self, schema: ObjectId) -> String {
        self.cx
            .catalog
            .schemas
            .get(&schema)
            .map_or_else(String::new, |s| s.name.clone())
    }
}
