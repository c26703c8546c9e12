//! Names: which database and schema a MongoDB database is, and which table a collection.

use super::Context;
use crate::error::{Result, fail};
use crate::translate::Collection;
use helios_engine::{Engine, Session, TransactionStatus};
use helios_planner::catalog::{Catalog, PUBLIC_SCHEMA_NAME, Relation};
use helios_planner::document::error::code;
use helios_planner::document::raw::STRING;
use helios_types::limits::IDENTIFIER_BYTES_MAX;
use std::sync::Arc;

/// A MongoDB database in the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Namespace {
    /// The logical database.
    pub database: String,
    pub schema: String,
}

/// Schemas that belong to other protocols.
const RESERVED: &[&str] = &["pg_catalog", "information_schema", "pg_toast", "redis"];
/// Databases that MongoDB keeps for itself.
const INTERNAL: &[&str] = &["admin", "config", "local"];

impl Namespace {
    /// The logical database of that name, else a schema of the default database.
    pub fn of(engine: &Engine, name: &str) -> Result<Namespace> {
        let forbidden = |c: char| matches!(c, '/' | '\\' | '.' | ' ' | '"' | '$' | '\0');
        if name.is_empty() || name.len() > IDENTIFIER_BYTES_MAX || name.contains(forbidden) {
            fail!(code::INVALID_NAMESPACE, "Invalid database name: '{name}'");
        }
        if engine.catalog().database_named(name).is_some() {
            return Ok(Namespace {
                database: name.to_owned(),
                schema: PUBLIC_SCHEMA_NAME.to_owned(),
            });
        }
        Ok(Namespace {
            database: engine.default_database().to_owned(),
            schema: name.to_owned(),
        })
    }

    pub fn is_internal(&self) -> bool {
        INTERNAL.contains(&self.schema.as_str())
    }

    pub fn is_reserved(&self) -> bool {
        RESERVED.contains(&self.schema.as_str())
    }

    /// The table or view of a name.
    pub fn relation<'c>(&self, catalog: &'c Catalog, name: &str) -> Option<&'c Relation> {
        let database = catalog.database_named(&self.database)?;
        let schema = catalog.schema_named(database.id, &self.schema)?;
        catalog.relation_named(schema.id, name)
    }

    /// What a name stands for, to be read.
    pub fn readable(&self, catalog: &Catalog, database: &str, name: &str) -> Option<Collection> {
        if let Some(found) = self.collection(catalog, database, name) {
            return Some(found);
        }
        let relation = self.relation(catalog, name)?;
        Collection::read_only(relation, &self.schema, format!("{database}.{name}"))
    }

    pub fn collection(&self, catalog: &Catalog, database: &str, name: &str) -> Option<Collection> {
        match self.relation(catalog, name)? {
            Relation::Table(table) => Some(Collection {
                schema: self.schema.clone(),
                table: table.clone(),
                namespace: format!("{database}.{name}"),
                statements: Arc::default(),
            }),
            _ => None,
        }
    }
}

impl<'a> Context<'a> {
    /// Where the command's database is; looked up once.
    pub fn namespace(&mut self) -> Result<Arc<Namespace>> {
        if let Some(known) = &self.namespace {
            return Ok(known.clone());
        }
        let engine = &self.client.server.engine;
        let version = engine.catalog().version;
        let found = match self.client.known.namespace(version, self.database) {
            Some(known) => known,
            None => {
                let found = Arc::new(Namespace::of(engine, self.database)?);
                let known = &mut self.client.known;
                known.keep_namespace(version, self.database, found.clone());
                found
            }
        };
        Ok(self.namespace.insert(found).clone())
    }

    /// The table that a name stood for when this connection used it last, if the catalog has not
    /// changed since.
    fn known_collection(&mut self, name: &str) -> Option<Collection> {
        let version = self.client.server.engine.catalog().version;
        let known = &mut self.client.known;
        let found = known.collection(version, self.database, name)?;
        self.sees_the_catalog().then_some(found)
    }

    /// Keeps a table for [`Context::known_collection`].
    fn keep_collection(&mut self, version: u64, collection: Option<&Collection>) {
        if let Some(collection) = collection
            && self.sees_the_catalog()
        {
            self.client.known.keep_collection(version, collection);
        }
    }

    /// Whether the command sees the catalog as everybody does: a transaction may have its own.
    fn sees_the_catalog(&self) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|s| s.transaction_status() == TransactionStatus::Idle)
    }

    /// The collection that the command's first field names.
    pub fn collection_name(&self) -> Result<&'a str> {
        let (command, value) = self.request.command();
        let Some(name) = value.as_str().filter(|_| value.tag == STRING) else {
            fail!(
                code::INVALID_NAMESPACE,
                "collection name of {command} has invalid type {}",
                value.type_name()
            );
        };
        check_collection_name(self.database, name)?;
        Ok(name)
    }

    /// The collection, if there is one.
    pub fn find_collection(&mut self, name: &str) -> Result<Option<Collection>> {
        if let Some(known) = self.known_collection(name) {
            return Ok(Some(known));
        }
        let namespace = self.namespace()?;
        let database = self.database;
        let catalog = self.session()?.catalog();
        if let Some(relation) = namespace.relation(&catalog, name)
            && !matches!(relation, Relation::Table(_))
        {
            fail!(
                code::COMMAND_NOT_SUPPORTED_ON_VIEW,
                "Namespace {database}.{name} is not a collection"
            );
        }
        let found = namespace.collection(&catalog, database, name);
        self.keep_collection(catalog.version, found.as_ref());
        Ok(found)
    }

    /// The collection for a command that only reads: a table, a view, or rows of the engine's.
    pub fn read_collection(&mut self, name: &str) -> Result<Option<Collection>> {
        if let Some(known) = self.known_collection(name) {
            return Ok(Some(known));
        }
        let namespace = self.namespace()?;
        let catalog = self.session()?.catalog();
        if let Some(found) = namespace.collection(&catalog, self.database, name) {
            self.keep_collection(catalog.version, Some(&found));
            return Ok(Some(found));
        }
        Ok(namespace.readable(&catalog, self.database, name))
    }

    /// Finds the other collections of the database, for stages that read them.
    pub fn resolver(&mut self) -> Result<impl Fn(&str) -> Option<Collection> + use<>> {
        let namespace = self.namespace()?;
        let database = self.database.to_owned();
        let catalog = self.session()?.catalog();
        Ok(move |name: &str| namespace.readable(&catalog, &database, name))
    }

    /// The collection, made as MongoDB does when something is written to it.
    pub async fn make_collection(&mut self, name: &str) -> Result<Collection> {
        if let Some(found) = self.find_collection(name)? {
            return Ok(found);
        }
        let namespace = self.namespace()?;
        if namespace.is_internal() || namespace.is_reserved() {
            fail!(
                code::ILLEGAL_OPERATION,
                "cannot write to '{}.{name}'",
                self.database
            );
        }
        create(self.session()?, &namespace, name).await?;
        match self.find_collection(name)? {
            Some(found) => Ok(found),
            None => fail!(
                code::NAMESPACE_NOT_FOUND,
                "ns does not exist: {}.{name}",
                self.database
            ),
        }
    }
}

/// Makes a collection and the schema it is in; both may be there already.
pub(crate) async fn create(session: &mut Session, namespace: &Namespace, name: &str) -> Result<()> {
    let (schema, table) = (
        crate::translate::quote(&namespace.schema),
        crate::translate::quote(name),
    );
    let mut nothing = helios_types::value::Rows::default();
    let known = {
        let catalog = session.catalog();
        let database = catalog.database_named(&namespace.database).map(|d| d.id);
        database.is_some_and(|d| catalog.schema_named(d, &namespace.schema).is_some())
    };
    if !known {
        session
            .run(
                &format!("CREATE SCHEMA IF NOT EXISTS {schema}"),
                &[],
                &mut nothing,
            )
            .await?;
    }
    let text = format!("CREATE TABLE IF NOT EXISTS {schema}.{table} () USING document");
    session.run(&text, &[], &mut nothing).await?;
    Ok(())
}

pub(crate) fn check_collection_name(database: &str, name: &str) -> Result<()> {
    let bad = name.is_empty()
        || name.starts_with('.')
        || name.ends_with('.')
        || name.contains('$')
        || name.contains('\0');
    if bad {
        fail!(
            code::INVALID_NAMESPACE,
            "Invalid collection name: {database}.{name}"
        );
    }
    if name.len() > IDENTIFIER_BYTES_MAX {
        fail!(
            code::INVALID_NAMESPACE,
            "Collection name '{name}' is longer than {IDENTIFIER_BYTES_MAX} bytes"
        );
    }
    if name.starts_with("system.") {
        fail!(
            code::INVALID_NAMESPACE,
            "Invalid system namespace: {database}.{name}"
        );
    }
    Ok(())
}
