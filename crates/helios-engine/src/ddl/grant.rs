//! GRANT and REVOKE.

use super::Ddl;
use crate::catalog_store::{self, Kind};
use helios_planner::catalog::{Database, Grant, Relation, Schema};
use helios_planner::utility::{GrantPrivileges, GrantTargets};
use helios_types::{Error, ObjectId, Result};
use std::sync::Arc;

impl Ddl<'_> {
    pub(crate) fn grant(&mut self, spec: &GrantPrivileges) -> Result<()> {
        match &spec.targets {
            GrantTargets::Relations(ids) => {
                ids.iter().try_for_each(|id| self.grant_relation(*id, spec))
            }
            GrantTargets::TablesIn(schemas) => {
                let tables = self.relations_in(schemas, |r| {
                    matches!(r, Relation::Table(_) | Relation::View(_))
                });
                tables
                    .into_iter()
                    .try_for_each(|id| self.grant_relation(id, spec))
            }
            GrantTargets::SequencesIn(schemas) => {
                let sequences = self.relations_in(schemas, |r| matches!(r, Relation::Sequence(_)));
                sequences
                    .into_iter()
                    .try_for_each(|id| self.grant_relation(id, spec))
            }
            GrantTargets::Schemas(ids) => {
                for id in ids {
                    let Some(schema) = self.catalog.schemas.get(id).cloned() else {
                        continue;
                    };
                    self.session
                        .state
                        .require_owner(schema.owner, "schema", &schema.name)?;
                    let grants = self.changed(&schema.grants, spec, "UC");
                    let schema = Schema {
                        grants,
                        ..(*schema).clone()
                    };
                    catalog_store::put(&mut self.transaction()?.txn, Kind::Schema, id.0, &schema)?;
                    self.catalog.schemas.insert(*id, Arc::new(schema));
                }
                Ok(())
            }
            GrantTargets::Databases(ids) => {
                for id in ids {
                    let Some(database) = self.catalog.databases.get(id).cloned() else {
                        continue;
                    };
                    self.session
                        .state
                        .require_owner(database.owner, "database", &database.name)?;
                    let grants = self.changed(&database.grants, spec, "CTc");
                    let database = Database {
                        grants,
                        ..(*database).clone()
                    };
                    catalog_store::put(
                        &mut self.transaction()?.txn,
                        Kind::Database,
                        id.0,
                        &database,
                    )?;
                    self.catalog.databases.insert(*id, Arc::new(database));
                }
                Ok(())
            }
        }
    }

    fn relations_in(
        &self,
        schemas: &[ObjectId],
        which: impl Fn(&Relation) -> bool,
    ) -> Vec<ObjectId> {
        let relations = self.catalog.relations.values();
        relations
            .filter(|r| which(r) && schemas.contains(&r.schema()))
            .map(Relation::id)
            .collect()
    }

    fn grant_relation(&mut self, id: ObjectId, spec: &GrantPrivileges) -> Result<()> {
        match self.catalog.relations.get(&id).cloned() {
            Some(Relation::Table(table)) => {
                self.session
                    .state
                    .require_owner(table.owner, "table", &table.name)?;
                let mut table = (*table).clone();
                table.grants = self.changed(&table.grants, spec, "arwdDxt");
                self.put_table(table).map(drop)
            }
            Some(Relation::View(view)) => {
                self.session
                    .state
                    .require_owner(view.owner, "view", &view.name)?;
                let mut view = (*view).clone();
                view.grants = self.changed(&view.grants, spec, "arwdDxt");
                self.put_relation(Relation::View(Arc::new(view)))
            }
            Some(Relation::Sequence(sequence)) => {
                self.session
                    .state
                    .require_owner(sequence.owner, "sequence", &sequence.name)?;
                let mut sequence = (*sequence).clone();
                sequence.grants = self.changed(&sequence.grants, spec, "rwU");
                self.put_relation(Relation::Sequence(Arc::new(sequence)))
            }
            // Who may see such a table follows from other rights.
            Some(Relation::Virtual(table)) => Err(Error::unsupported(format!(
                "changing the privileges of \"{}\"",
                table.name
            ))),
            Some(Relation::Index { .. }) | None => Ok(()),
        }
    }

    /// The grants after the statement; `all` is what ALL means for this kind of object.
    fn changed(&self, grants: &[Grant], spec: &GrantPrivileges, all: &str) -> Vec<Grant> {
        let wanted = if spec.privileges.is_empty() {
            all
        } else {
            &spec.privileges
        };
        let mut grants = grants.to_vec();
        for &role in &spec.roles {
            let at = match grants.iter().position(|g| g.role == role) {
                Some(at) => at,
                None => {
                    let grantor = self.session.state.role;
                    grants.push(Grant {
                        role,
                        grantor,
                        privileges: String::new(),
                        grantable: false,
                    });
                    grants.len() - 1
                }
            };
            let grant = &mut grants[at];
            if spec.grant {
                let new = wanted
                    .chars()
                    .filter(|c| !grant.privileges.contains(*c))
                    .collect::<String>();
                grant.privileges.push_str(&new);
                grant.grantable |= spec.grant_option;
            } else {
                grant.privileges.retain(|c| !wanted.contains(c));
            }
        }
        grants.retain(|g| !g.privileges.is_empty());
        grants
    }
}
