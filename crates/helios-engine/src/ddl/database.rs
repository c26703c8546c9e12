//! Databases, schemas, comments.

use super::Ddl;
use crate::catalog_store::{self, Kind};
use crate::engine::public_schema;
use helios_planner::catalog::{Database, Relation, Schema};
use helios_planner::utility::{AlterObject, CommentTarget};
use helios_types::{DatabaseId, Error, ErrorKind, ObjectId, Result, bail};
use std::sync::Arc;

impl Ddl<'_> {
    pub(crate) fn create_database(&mut self, name: &str, owner: Option<ObjectId>) -> Result<()> {
        let role = self.session.state.role;
        let allowed = self
            .catalog
            .roles
            .get(&role)
            .is_some_and(|r| r.superuser || r.create_database);
        if !allowed {
            bail!(
                InsufficientPrivilege,
                "permission denied to create database"
            );
        }
        if self.session.in_explicit_transaction() {
            bail!(
                ActiveTransaction,
                "CREATE DATABASE cannot run inside a transaction block"
            );
        }
        if self.catalog.database_named(name).is_some() {
            bail!(DuplicateDatabase, "database \"{name}\" already exists");
        }
        // MongoDB and CQL clients name both by one name (ARCHITECTURE.md, names).
        let default = self
            .catalog
            .database_named(self.session.engine.default_database())
            .map(|d| d.id);
        let clash = default.and_then(|d| self.catalog.schema_named(d, name));
        if clash.is_some() {
            return Err(Error::new(
                ErrorKind::DuplicateDatabase,
                format!(
                    "database \"{name}\" would have the name of a schema of the default database"
                ),
            )
            .with_hint("Document clients could not tell the two apart."));
        }
        let id = self.next_id();
        let database = Database {
            id: DatabaseId(id.0),
            name: name.to_string(),
            owner: owner.unwrap_or(role),
            grants: Vec::new(),
            comment: None,
        };
        let schema = public_schema(self.next_id(), database.id);
        catalog_store::put(
            &mut self.transaction()?.txn,
            Kind::Database,
            id.0,
            &database,
        )?;
        self.catalog
            .databases
            .insert(database.id, Arc::new(database));
        self.put_schema(schema)
    }

    pub(crate) async fn drop_database(&mut self, name: &str, if_exists: bool) -> Result<()> {
        let Some(database) = self.catalog.database_named(name).cloned() else {
            if if_exists {
                self.notice(format!("database \"{name}\" does not exist, skipping"));
                return Ok(());
            }
            bail!(UndefinedDatabase, "database \"{name}\" does not exist");
        };
        self.session
            .state
            .require_owner(database.owner, "database", name)?;
        if database.id == self.session.state.database {
            bail!(ObjectInUse, "cannot drop the currently open database");
        }
        if database.name == self.session.engine.default_database() {
            bail!(ObjectInUse, "cannot drop the default database");
        }
        if self
            .session
            .engine
            .sessions()
            .iter()
            .any(|s| s.database == name)
        {
            bail!(
                ObjectInUse,
                "database \"{name}\" is being accessed by other users"
            );
        }
        let inside: Vec<Relation> = self
            .catalog
            .relations
            .values()
            .filter(|r| {
                let schema = self.catalog.schemas.get(&r.schema());
                schema.is_some_and(|s| s.database == database.id)
            })
            .cloned()
            .collect();
        for relation in inside {
            let id = relation.id();
            let kind = match relation {
                Relation::Table(table) => {
                    self.drop_storage(table.database, table.storage)?;
                    for index in table.indexes.iter().filter(|i| !i.primary) {
                        self.drop_storage(table.database, index.storage)?;
                    }
                    Kind::Table
                }
                Relation::View(_) => Kind::View,
                Relation::Sequence(s) => {
                    self.drop_storage(s.database, s.id)?;
                    Kind::Sequence
                }
                _ => continue,
            };
            catalog_store::delete(&mut self.transaction()?.txn, kind, id.0);
            catalog_store::remove_relation(&mut self.catalog, id);
        }
        let schemas: Vec<ObjectId> = self
            .catalog
            .schemas
            .values()
            .filter(|s| s.database == database.id)
            .map(|s| s.id)
            .collect();
        for id in schemas {
            catalog_store::delete(&mut self.transaction()?.txn, Kind::Schema, id.0);
            self.catalog.schemas.remove(&id);
        }
        catalog_store::delete(&mut self.transaction()?.txn, Kind::Database, database.id.0);
        self.catalog.databases.remove(&database.id);
        Ok(())
    }

    pub(crate) fn alter_database(&mut self, id: DatabaseId, change: &AlterObject) -> Result<()> {
        let Some(database) = self.catalog.databases.get(&id).cloned() else {
            bail!(UndefinedDatabase, "database does not exist");
        };
        self.session
            .state
            .require_owner(database.owner, "database", &database.name)?;
        let mut database = (*database).clone();
        match change {
            AlterObject::Rename(name) => {
                if self.catalog.database_named(name).is_some() {
                    bail!(DuplicateDatabase, "database \"{name}\" already exists");
                }
                if id == self.session.state.database {
                    bail!(Unsupported, "current database cannot be renamed");
                }
                database.name = name.clone();
            }
            AlterObject::Owner(role) => database.owner = *role,
            AlterObject::Schema(_) => return Err(Error::internal("a database has no schema")),
        }
        catalog_store::put(
            &mut self.transaction()?.txn,
            Kind::Database,
            id.0,
            &database,
        )?;
        self.catalog.databases.insert(id, Arc::new(database));
        Ok(())
    }

    pub(crate) fn create_schema(
        &mut self,
        name: &str,
        if_not_exists: bool,
        owner: Option<ObjectId>,
    ) -> Result<Option<ObjectId>> {
        let database = self.session.state.database;
        if self.catalog.schema_named(database, name).is_some() {
            if if_not_exists {
                self.session.state.notice(
                    "NOTICE",
                    b"42P06",
                    format!("schema \"{name}\" already exists, skipping"),
                );
                return Ok(None);
            }
            bail!(DuplicateSchema, "schema \"{name}\" already exists");
        }
        self.require_free_schema(database, name)?;
        let id = self.next_id();
        let schema = Schema {
            id,
            database,
            name: name.to_string(),
            owner: owner.unwrap_or(self.session.state.role),
            grants: Vec::new(),
            comment: None,
        };
        self.put_schema(schema)?;
        Ok(Some(id))
    }

    /// Refuses a schema name that is taken, reserved, or the name of a database.
    pub(crate) fn require_free_schema(&self, database: DatabaseId, name: &str) -> Result<()> {
        if self.catalog.schema_named(database, name).is_some() {
            bail!(DuplicateSchema, "schema \"{name}\" already exists");
        }
        if name.starts_with("pg_") {
            return Err(Error::new(
                ErrorKind::ReservedName,
                format!("unacceptable schema name \"{name}\""),
            )
            .with_detail("The prefix \"pg_\" is reserved for system schemas."));
        }
        let default = self
            .catalog
            .database_named(self.session.engine.default_database());
        if default.is_some_and(|d| d.id == database)
            && self
                .catalog
                .databases
                .values()
                .any(|d| d.name == name && d.id != database)
        {
            bail!(
                DuplicateSchema,
                "schema \"{name}\" would have the name of a database"
            );
        }
        Ok(())
    }

    fn put_schema(&mut self, schema: Schema) -> Result<()> {
        catalog_store::put(
            &mut self.transaction()?.txn,
            Kind::Schema,
            schema.id.0,
            &schema,
        )?;
        self.catalog.schemas.insert(schema.id, Arc::new(schema));
        Ok(())
    }

    pub(crate) async fn comment(
        &mut self,
        target: &CommentTarget,
        text: Option<&str>,
    ) -> Result<()> {
        let text = text.map(str::to_string);
        match target {
            CommentTarget::Database(id) => {
                let Some(database) = self.catalog.databases.get(id) else {
                    return Ok(());
                };
                let database = Database {
                    comment: text,
                    ..(**database).clone()
                };
                catalog_store::put(
                    &mut self.transaction()?.txn,
                    Kind::Database,
                    id.0,
                    &database,
                )?;
                self.catalog.databases.insert(*id, Arc::new(database));
                Ok(())
            }
            CommentTarget::Schema(id) => {
                let Some(schema) = self.catalog.schemas.get(id) else {
                    return Ok(());
                };
                let schema = Schema {
                    comment: text,
                    ..(**schema).clone()
                };
                self.put_schema(schema)
            }
            CommentTarget::Relation(id) => self.comment_relation(*id, text).await,
            CommentTarget::Column { table, column } => {
                let mut table = self.own_table(*table).await?;
                table.columns[*column].comment = text;
                self.put_table(table).map(drop)
            }
            CommentTarget::Constraint { .. } => Err(Error::unsupported("COMMENT ON CONSTRAINT")),
            CommentTarget::Role(_) => Err(Error::unsupported("COMMENT ON ROLE")),
        }
    }

    async fn comment_relation(&mut self, id: ObjectId, text: Option<String>) -> Result<()> {
        match self.catalog.relations.get(&id).cloned() {
            Some(Relation::Table(_)) => {
                let mut table = self.own_table(id).await?;
                table.comment = text;
                self.put_table(table).map(drop)
            }
            Some(Relation::View(view)) => {
                self.session
                    .state
                    .require_owner(view.owner, "view", &view.name)?;
                let mut view = (*view).clone();
                view.comment = text;
                self.put_relation(Relation::View(Arc::new(view)))
            }
            Some(Relation::Sequence(sequence)) => {
                self.session
                    .state
                    .require_owner(sequence.owner, "sequence", &sequence.name)?;
                let mut sequence = (*sequence).clone();
                sequence.comment = text;
                self.put_relation(Relation::Sequence(Arc::new(sequence)))
            }
            Some(Relation::Index { table, .. }) => {
                let mut table = self.own_table(table).await?;
                if let Some(index) = table.indexes.iter_mut().find(|i| i.id == id) {
                    index.comment = text;
                }
                self.put_table(table).map(drop)
            }
            _ => Err(Error::unsupported("COMMENT ON this object")),
        }
    }
}
