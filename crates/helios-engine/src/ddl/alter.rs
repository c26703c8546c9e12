//! ALTER TABLE: everything but what a single column is.

use super::Ddl;
use crate::catalog_store::{self, Kind};
use helios_planner::catalog::{Relation, Sequence, Shape, Table, View};
use helios_planner::utility::{AlterObject, AlterTable};
use helios_types::{Error, ErrorKind, ObjectId, Result, bail};
use std::sync::Arc;

impl Ddl<'_> {
    pub(crate) async fn alter_table(&mut self, id: ObjectId, changes: &[AlterTable]) -> Result<()> {
        let mut table = self.own_table(id).await?;
        for change in changes {
            table = self.alter_one(table, change).await?;
            table = (*self.put_table(table)?).clone();
        }
        Ok(())
    }

    async fn alter_one(&mut self, mut table: Table, change: &AlterTable) -> Result<Table> {
        match change {
            AlterTable::AddColumn {
                column,
                constraints,
                if_not_exists,
            } => {
                self.add_column(table, column, constraints, *if_not_exists)
                    .await
            }
            AlterTable::DropColumn {
                name,
                if_exists,
                cascade,
            } => self.drop_column(table, name, *if_exists, *cascade),
            AlterTable::RenameColumn { from, to } => self.rename_column(table, from, to),
            AlterTable::AlterType { column, ty, using } => {
                self.alter_type(table, column, *ty, using.as_deref()).await
            }
            AlterTable::SetDefault { column, default } => {
                let position = super::alter_column::position(&table, column)?;
                table.columns[position].default = default.clone();
                Ok(table)
            }
            AlterTable::SetNotNull { column, not_null } => {
                self.set_not_null(table, column, *not_null)
            }
            AlterTable::AddIdentity {
                column,
                identity,
                options,
            } => self.add_identity(table, column, *identity, options),
            AlterTable::SetIdentity {
                column,
                identity,
                options,
            } => self.set_identity(table, column, *identity, options),
            AlterTable::DropIdentity { column, if_exists } => {
                self.drop_identity(table, column, *if_exists)
            }
            AlterTable::DropExpression { column, if_exists } => {
                let position = super::alter_column::position(&table, column)?;
                if table.columns[position].generated.take().is_none() && !if_exists {
                    bail!(
                        ObjectNotInPrerequisiteState,
                        "column \"{column}\" of relation \"{}\" is not a stored generated column",
                        table.name
                    );
                }
                Ok(table)
            }
            AlterTable::AddConstraint(spec) => self.add_constraint(table, spec, false).await,
            AlterTable::DropConstraint {
                name,
                if_exists,
                cascade,
            } => {
                self.drop_constraint(table, name, *if_exists, *cascade)
                    .await
            }
            AlterTable::RenameConstraint { from, to } => rename_constraint(table, from, to),
            AlterTable::ValidateConstraint { name } => {
                self.validate_check(&table, name)?;
                Ok(table)
            }
            AlterTable::Options(options) => {
                for (name, value) in options {
                    if let ("redis_prefix", Some(prefix)) = (name.as_str(), value)
                        && table.redis_prefix.as_deref() != Some(prefix)
                    {
                        require_row_keys(&table)?;
                        self.claim_prefix(&table, prefix).await?;
                    }
                    set_option(&mut table, name, value.as_deref())?;
                    if name == "history" {
                        let prefix = helios_storage::Prefix::new(
                            table.database,
                            helios_types::BranchId::MAIN,
                            table.storage,
                        );
                        let keep = table.history;
                        self.transaction()?.txn.set_history(prefix, keep);
                    }
                }
                Ok(table)
            }
            AlterTable::Object(change) => {
                self.check_alter(&table.name, table.schema, change)?;
                if !matches!(change, AlterObject::Owner(_)) {
                    self.require_unread(table.id, "a new name or schema")?;
                }
                match change {
                    AlterObject::Rename(name) => table.name = name.clone(),
                    AlterObject::Owner(role) => table.owner = *role,
                    AlterObject::Schema(schema) => table.schema = *schema,
                }
                Ok(table)
            }
        }
    }

    /// What every rename and move must satisfy.
    fn check_alter(&self, name: &str, schema: ObjectId, change: &AlterObject) -> Result<()> {
        match change {
            AlterObject::Rename(new) => self.require_free_name(schema, new),
            AlterObject::Schema(to) => {
                self.session.state.require_create(*to)?;
                self.require_free_name(*to, name)
            }
            AlterObject::Owner(_) => Ok(()),
        }
    }

    /// ALTER VIEW, SEQUENCE, INDEX.
    pub(crate) async fn alter_relation(
        &mut self,
        id: ObjectId,
        change: &AlterObject,
    ) -> Result<()> {
        let relation = self.catalog.relations.get(&id).cloned();
        match relation {
            Some(Relation::View(view)) => {
                self.session
                    .state
                    .require_owner(view.owner, "view", &view.name)?;
                self.check_alter(&view.name, view.schema, change)?;
                if !matches!(change, AlterObject::Owner(_)) {
                    self.require_unread(id, "a new name or schema")?;
                }
                let mut view: View = (*view).clone();
                match change {
                    AlterObject::Rename(name) => view.name = name.clone(),
                    AlterObject::Owner(role) => view.owner = *role,
                    AlterObject::Schema(schema) => view.schema = *schema,
                }
                self.put_relation(Relation::View(Arc::new(view)))
            }
            Some(Relation::Sequence(sequence)) => {
                self.session
                    .state
                    .require_owner(sequence.owner, "sequence", &sequence.name)?;
                self.check_alter(&sequence.name, sequence.schema, change)?;
                if !matches!(change, AlterObject::Owner(_)) {
                    self.require_unread(id, "a new name or schema")?;
                }
                let mut sequence: Sequence = (*sequence).clone();
                match change {
                    AlterObject::Rename(name) => sequence.name = name.clone(),
                    AlterObject::Owner(role) => sequence.owner = *role,
                    AlterObject::Schema(schema) => sequence.schema = *schema,
                }
                self.put_relation(Relation::Sequence(Arc::new(sequence)))
            }
            Some(Relation::Index { table, .. }) => {
                let mut table = self.own_table(table).await?;
                let AlterObject::Rename(name) = change else {
                    return Err(Error::unsupported("ALTER INDEX other than RENAME"));
                };
                self.require_free_name(table.schema, name)?;
                if let Some(index) = table.indexes.iter_mut().find(|i| i.id == id) {
                    index.name = name.clone();
                }
                self.put_table(table)?;
                Ok(())
            }
            Some(Relation::Table(_)) => {
                self.alter_table(id, &[AlterTable::Object(change.clone())])
                    .await
            }
            _ => Err(Error::new(
                ErrorKind::UndefinedTable,
                "relation does not exist",
            )),
        }
    }

    pub(crate) fn alter_schema(&mut self, id: ObjectId, change: &AlterObject) -> Result<()> {
        let Some(schema) = self.catalog.schemas.get(&id).cloned() else {
            bail!(UndefinedSchema, "schema does not exist");
        };
        self.session
            .state
            .require_owner(schema.owner, "schema", &schema.name)?;
        let mut schema = (*schema).clone();
        match change {
            AlterObject::Rename(name) => {
                self.require_free_schema(schema.database, name)?;
                let inside: Vec<ObjectId> = self
                    .catalog
                    .relations
                    .values()
                    .filter(|r| r.schema() == id)
                    .map(Relation::id)
                    .collect();
                for relation in inside {
                    self.require_unread(relation, "a new name for the schema")?;
                }
                schema.name = name.clone();
            }
            AlterObject::Owner(role) => schema.owner = *role,
            AlterObject::Schema(_) => return Err(Error::internal("a schema has no schema")),
        }
        catalog_store::put(&mut self.transaction()?.txn, Kind::Schema, id.0, &schema)?;
        self.catalog.schemas.insert(id, Arc::new(schema));
        Ok(())
    }
}

/// Refuses a prefix for a table whose rows no key can name.
fn require_row_keys(table: &Table) -> Result<()> {
    if table.shape == Shape::Relational && table.primary_key().is_none() {
        bail!(
            ObjectNotInPrerequisiteState,
            "table \"{}\" has no primary key, so no key of Redis can name its rows",
            table.name
        );
    }
    Ok(())
}

fn rename_constraint(mut table: Table, from: &str, to: &str) -> Result<Table> {
    let check = table
        .checks
        .iter_mut()
        .find(|c| c.name == from)
        .map(|c| &mut c.name);
    let key = table
        .foreign_keys
        .iter_mut()
        .find(|k| k.name == from)
        .map(|k| &mut k.name);
    let index = table
        .indexes
        .iter_mut()
        .find(|i| i.constraint.is_some() && i.name == from);
    match check.or(key).or(index.map(|i| &mut i.name)) {
        Some(name) => *name = to.to_string(),
        None => bail!(
            UndefinedObject,
            "constraint \"{from}\" for table \"{}\" does not exist",
            table.name
        ),
    }
    Ok(table)
}

/// `WITH (…)` and `SET (…)`; `None` resets.
pub(crate) fn set_option(
    table: &mut Table,
    name: &str,
    value: Option<impl AsRef<str>>,
) -> Result<()> {
    let value = value.as_ref().map(AsRef::as_ref);
    match name {
        "redis_prefix" => table.redis_prefix = value.map(str::to_string),
        "history" => {
            table.history = match value {
                None | Some("off" | "false") => false,
                Some("on" | "true" | "") => true,
                Some(other) => {
                    bail!(
                        InvalidParameterValue,
                        "invalid value for boolean option \"history\": {other}"
                    )
                }
            }
        }
        // Space left in pages has no meaning here; pgbench and pg_dump set it as a matter of course.
        "fillfactor" => {}
        _ => bail!(InvalidParameterValue, "unrecognized parameter \"{name}\""),
    }
    Ok(())
}
