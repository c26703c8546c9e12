//! Views, and tables made from queries.

use super::Ddl;
use helios_planner::catalog::{Relation, View};
use helios_planner::utility::{ColumnSpec, CreateTable, CreateTableAs, CreateView};
use helios_types::{Error, ErrorKind, ObjectId, Result, bail};
use std::sync::Arc;

impl Ddl<'_> {
    pub(crate) fn create_view(&mut self, spec: &CreateView) -> Result<()> {
        if spec.temporary {
            return Err(Error::unsupported("CREATE TEMPORARY VIEW"));
        }
        self.session.state.require_create(spec.schema)?;
        let existing = self
            .catalog
            .relation_named(spec.schema, &spec.name)
            .cloned();
        let (id, old) = match existing {
            Some(Relation::View(old)) if spec.or_replace => {
                self.session
                    .state
                    .require_owner(old.owner, "view", &old.name)?;
                keep_columns(&old, spec)?;
                (old.id, Some(old))
            }
            Some(Relation::View(_) | Relation::Table(_)) if spec.or_replace => {
                bail!(WrongObjectType, "\"{}\" is not a view", spec.name)
            }
            Some(_) => bail!(DuplicateTable, "relation \"{}\" already exists", spec.name),
            None => (self.next_id(), None),
        };
        let Some(database) = self.catalog.schemas.get(&spec.schema).map(|s| s.database) else {
            bail!(UndefinedSchema, "schema does not exist");
        };
        let view = View {
            id,
            database,
            schema: spec.schema,
            name: spec.name.clone(),
            owner: old.as_ref().map_or(self.session.state.role, |o| o.owner),
            columns: spec.columns.clone(),
            query: spec.query.clone(),
            depends_on: spec.depends_on.clone(),
            grants: old.as_ref().map(|o| o.grants.clone()).unwrap_or_default(),
            comment: old.as_ref().and_then(|o| o.comment.clone()),
        };
        self.put_relation(Relation::View(Arc::new(view)))
    }

    /// The table of CREATE TABLE AS, still empty.
    pub(crate) async fn create_table_as(
        &mut self,
        spec: &CreateTableAs,
    ) -> Result<Option<ObjectId>> {
        let columns = spec
            .columns
            .iter()
            .map(|(name, ty)| ColumnSpec {
                name: name.clone(),
                ty: *ty,
                not_null: false,
                default: None,
                identity: None,
                serial: false,
                generated: None,
            })
            .collect();
        let table = CreateTable {
            schema: spec.schema,
            name: spec.name.clone(),
            temporary: spec.temporary,
            if_not_exists: spec.if_not_exists,
            columns,
            constraints: Vec::new(),
            options: Vec::new(),
            document: false,
        };
        self.create_table(&table).await
    }
}

/// CREATE OR REPLACE may add columns at the end and change nothing else.
fn keep_columns(old: &View, spec: &CreateView) -> Result<()> {
    if spec.columns.len() < old.columns.len() {
        bail!(InvalidTableDefinition, "cannot drop columns from view");
    }
    for ((old_name, old_type), (name, ty)) in old.columns.iter().zip(&spec.columns) {
        if old_name != name {
            return Err(Error::new(
                ErrorKind::InvalidTableDefinition,
                format!("cannot change name of view column \"{old_name}\" to \"{name}\""),
            )
            .with_hint(
                "Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.",
            ));
        }
        if old_type != ty {
            bail!(
                InvalidTableDefinition,
                "cannot change data type of view column \"{name}\" from {} to {}",
                helios_types::text::format_type(*old_type),
                helios_types::text::format_type(*ty)
            );
        }
    }
    Ok(())
}
