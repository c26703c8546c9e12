//! DROP and TRUNCATE.

use super::Ddl;
use crate::catalog_store::{self, Kind};
use helios_planner::catalog::{Relation, Table};
use helios_planner::utility::{Drop, ObjectKind};
use helios_storage::LockMode;
use helios_types::{Error, ErrorKind, ObjectId, Result, bail};

impl Ddl<'_> {
    pub(crate) async fn drop_objects(&mut self, spec: &Drop) -> Result<()> {
        for notice in &spec.notices {
            self.notice(notice.clone());
        }
        if spec.kind != ObjectKind::Schema {
            self.check_dependents(&spec.objects, spec.cascade)?;
        }
        for &id in &spec.objects {
            match spec.kind {
                ObjectKind::Schema => self.drop_schema(id, spec.cascade).await?,
                _ => self.drop_relation(id, spec.cascade, &spec.objects).await?,
            }
        }
        Ok(())
    }

    /// Drops a relation; `together` are those that the same statement drops.
    async fn drop_relation(
        &mut self,
        id: ObjectId,
        cascade: bool,
        together: &[ObjectId],
    ) -> Result<()> {
        match self.catalog.relations.get(&id).cloned() {
            Some(Relation::Table(table)) => self.drop_table(&table, cascade, together).await,
            Some(Relation::View(view)) => {
                self.session
                    .state
                    .require_owner(view.owner, "view", &view.name)?;
                Box::pin(self.drop_dependent_views(id, &view.name, "view", cascade, together))
                    .await?;
                catalog_store::delete(&mut self.transaction()?.txn, Kind::View, id.0);
                catalog_store::remove_relation(&mut self.catalog, id);
                Ok(())
            }
            Some(Relation::Sequence(sequence)) => {
                self.session
                    .state
                    .require_owner(sequence.owner, "sequence", &sequence.name)?;
                for (table, column) in self.sequence_users(id) {
                    self.release_sequence(table, column, &sequence.name, cascade)?;
                }
                if let Some((table, column)) = sequence.owned_by
                    && !together.contains(&table)
                {
                    self.release_sequence(table, column, &sequence.name, cascade)?;
                }
                self.remove_sequence(id)
            }
            Some(Relation::Index { table, .. }) => self.drop_index(table, id, cascade).await,
            // It went with an object dropped before it.
            None if self.session.state.catalog.relations.contains_key(&id) => Ok(()),
            None => Err(super::vanished()),
            Some(Relation::Virtual(v)) => {
                bail!(
                    InsufficientPrivilege,
                    "permission denied: \"{}\" is a system catalog",
                    v.name
                )
            }
        }
    }

    async fn drop_table(
        &mut self,
        table: &Table,
        cascade: bool,
        together: &[ObjectId],
    ) -> Result<()> {
        let table = self.own_table(table.id).await?;
        let children: Vec<ObjectId> = self
            .catalog
            .referencing(table.id)
            .map(|(t, _)| t.id)
            .filter(|id| *id != table.id && !together.contains(id))
            .collect();
        for child in children {
            let mut child = (*self.table(child)?).clone();
            if !cascade {
                let key = child.foreign_keys.iter().find(|k| k.referenced == table.id);
                return Err(depends(
                    format!(
                        "cannot drop table {} because other objects depend on it",
                        table.name
                    ),
                    format!(
                        "constraint {} on table {} depends on table {}",
                        key.map_or("?", |k| k.name.as_str()),
                        child.name,
                        table.name
                    ),
                ));
            }
            child.foreign_keys.retain(|k| k.referenced != table.id);
            self.put_table(child)?;
        }
        self.drop_dependent_views(table.id, &table.name, "table", cascade, together)
            .await?;
        for column in &table.columns {
            if let Some(sequence) = column.sequence {
                self.remove_sequence(sequence)?;
            }
        }
        let txn = &mut self.transaction()?.txn;
        catalog_store::delete(txn, Kind::Table, table.id.0);
        catalog_store::delete_analyzed(txn, table.id);
        catalog_store::remove_relation(&mut self.catalog, table.id);
        self.drop_storage(table.database, table.storage)?;
        for index in table.indexes.iter().filter(|i| !i.primary) {
            self.drop_storage(table.database, index.storage)?;
        }
        Ok(())
    }

    async fn drop_dependent_views(
        &mut self,
        id: ObjectId,
        name: &str,
        kind: &str,
        cascade: bool,
        together: &[ObjectId],
    ) -> Result<()> {
        let views: Vec<(ObjectId, String)> = self
            .catalog
            .relations
            .values()
            .filter_map(|r| match r {
                Relation::View(v) if v.depends_on.contains(&id) && !together.contains(&v.id) => {
                    Some((v.id, v.name.clone()))
                }
                _ => None,
            })
            .collect();
        for (view, view_name) in views {
            if !cascade {
                return Err(depends(
                    format!("cannot drop {kind} {name} because other objects depend on it"),
                    format!("view {view_name} depends on {kind} {name}"),
                ));
            }
            Box::pin(self.drop_relation(view, true, together)).await?;
        }
        Ok(())
    }

    /// A sequence that a column's default uses can go only with the default.
    fn release_sequence(
        &mut self,
        table: ObjectId,
        column: usize,
        name: &str,
        cascade: bool,
    ) -> Result<()> {
        let mut table = (*self.table(table)?).clone();
        if !cascade {
            return Err(depends(
                format!("cannot drop sequence {name} because other objects depend on it"),
                format!(
                    "default value for column {} of table {} depends on sequence {name}",
                    table.columns[column].name, table.name
                ),
            ));
        }
        table.columns[column].sequence = None;
        table.columns[column].default = None;
        table.columns[column].identity = None;
        self.put_table(table)?;
        Ok(())
    }

    async fn drop_index(&mut self, table: ObjectId, id: ObjectId, cascade: bool) -> Result<()> {
        let mut table = self.own_table(table).await?;
        let Some(index) = table.index(id).cloned() else {
            return Ok(());
        };
        if index.constraint.is_some() {
            return Err(depends(
                format!(
                    "cannot drop index {} because constraint {} on table {} requires it",
                    index.name, index.name, table.name
                ),
                String::new(),
            )
            .with_hint(format!(
                "You can drop constraint {} on table {} instead.",
                index.name, table.name
            )));
        }
        self.drop_dependent_keys(&table, id, &index.name, cascade)?;
        table.indexes.retain(|i| i.id != id);
        let table = self.put_table(table)?;
        self.drop_storage(table.database, index.storage)
    }

    async fn drop_schema(&mut self, id: ObjectId, cascade: bool) -> Result<()> {
        let Some(schema) = self.catalog.schemas.get(&id).cloned() else {
            return Ok(());
        };
        self.session
            .state
            .require_owner(schema.owner, "schema", &schema.name)?;
        let mut inside: Vec<ObjectId> = self
            .catalog
            .relations
            .values()
            .filter(|r| r.schema() == id && !matches!(r, Relation::Index { .. }))
            .map(Relation::id)
            .collect();
        inside.sort();
        self.check_schema_empty(&schema.name, &inside, cascade)?;
        for &object in &inside {
            self.drop_relation(object, true, &inside).await?;
        }
        catalog_store::delete(&mut self.transaction()?.txn, Kind::Schema, id.0);
        self.catalog.schemas.remove(&id);
        Ok(())
    }

    pub(crate) async fn truncate(
        &mut self,
        tables: &[ObjectId],
        restart_identity: bool,
        cascade: bool,
    ) -> Result<()> {
        let mut all = tables.to_vec();
        let mut at = 0;
        while let Some(&id) = all.get(at) {
            at += 1;
            let mut referencing: Vec<(ObjectId, ObjectId, String)> = self
                .catalog
                .referencing(id)
                .filter(|(t, _)| !all.contains(&t.id))
                .map(|(t, k)| (k.id, t.id, t.name.clone()))
                .collect();
            referencing.sort();
            for (_, child, name) in referencing {
                if !cascade {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "cannot truncate a table referenced in a foreign key constraint",
                    )
                    .with_detail(format!(
                        "Table \"{name}\" references \"{}\".",
                        self.table(id)?.name
                    ))
                    .with_hint(format!(
                        "Truncate table \"{name}\" at the same time, or use TRUNCATE ... CASCADE."
                    )));
                }
                self.notice(format!("truncate cascades to table \"{name}\""));
                all.push(child);
            }
        }
        for id in all {
            let table = self.table(id)?;
            self.session.state.require_privilege(id, 'D')?;
            self.lock_table(&table, LockMode::AccessExclusive).await?;
            let table = (*self.table(id)?).clone();
            if restart_identity {
                for sequence in table.columns.iter().filter_map(|c| c.sequence) {
                    self.restart_sequence(sequence)?;
                }
            }
            if table.shape == helios_planner::catalog::Shape::Document {
                self.empty_document(table)?;
            } else {
                self.new_storage(table)?;
            }
        }
        Ok(())
    }

    fn empty_document(&mut self, table: Table) -> Result<()> {
        let layouts = table.layouts.clone();
        let table = self.new_storage(table)?;
        self.put_table(Table { layouts, ..table })?;
        Ok(())
    }
}

fn depends(message: String, detail: String) -> Error {
    let error = Error::new(ErrorKind::DependentObjectsStillExist, message);
    if detail.is_empty() {
        return error;
    }
    error
        .with_detail(detail)
        .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
}
