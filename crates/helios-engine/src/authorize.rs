//! Who may do what: the only place that decides it.
//!
//! A superuser may do everything; an owner everything with what he owns; others what was granted
//! to them, to a role they are a member of, or to PUBLIC. Templates carry what they need of each
//! relation ([`RequiredPrivilege`]), checked at every execution against the catalog of the moment.

use crate::options::Protocol;
use crate::session::{Session, State};
use helios_planner::catalog::{Catalog, Grant, Relation};
use helios_planner::template::{PlanTemplate, RequiredPrivilege};
use helios_types::{DatabaseId, Error, ErrorKind, ObjectId, Result};

impl Session {
    /// Refuses a plan whose relations the current role may not use so.
    pub(crate) fn authorize(&self, template: &PlanTemplate) -> Result<()> {
        let catalog = self.engine.catalog.load();
        if is_superuser(&catalog, self.state.role) {
            return Ok(());
        }
        let catalog = self.catalog();
        template
            .privileges
            .iter()
            .try_for_each(|need| check(&catalog, self.state.role, need))
    }
}

impl State {
    /// Refuses what only the owner of a relation (or a superuser) may do.
    pub(crate) fn require_owner(&self, owner: ObjectId, kind: &str, name: &str) -> Result<()> {
        if is_superuser(&self.catalog, self.role) || is_member(&self.catalog, self.role, owner) {
            return Ok(());
        }
        Err(denied(format!("must be owner of {kind} {name}")))
    }

    /// Refuses making objects in a schema to those who may not.
    pub(crate) fn require_create(&self, schema: ObjectId) -> Result<()> {
        let Some(schema) = self.catalog.schemas.get(&schema) else {
            return Ok(());
        };
        let allowed = is_superuser(&self.catalog, self.role)
            || is_member(&self.catalog, self.role, schema.owner)
            || granted(&self.catalog, self.role, &schema.grants, 'C');
        if allowed {
            return Ok(());
        }
        Err(denied(format!(
            "permission denied for schema {}",
            schema.name
        )))
    }

    pub(crate) fn require_superuser(&self, what: &str) -> Result<()> {
        if is_superuser(&self.catalog, self.role) {
            return Ok(());
        }
        Err(denied(format!("must be superuser to {what}")))
    }

    /// Refuses a relation to a role without one privilege on it.
    pub(crate) fn require_privilege(&self, relation: ObjectId, privilege: char) -> Result<()> {
        let need = RequiredPrivilege {
            relation,
            privilege,
            as_role: None,
        };
        check(&self.catalog, self.role, &need)
    }
}

fn denied(message: String) -> Error {
    Error::new(ErrorKind::InsufficientPrivilege, message)
}

pub(crate) fn is_superuser(catalog: &Catalog, role: ObjectId) -> bool {
    catalog.roles.get(&role).is_some_and(|r| r.superuser)
}

/// Whether `role` is `of`, or a member of it by any path.
pub(crate) fn is_member(catalog: &Catalog, role: ObjectId, of: ObjectId) -> bool {
    let mut seen = vec![role];
    let mut at = 0;
    while let Some(&next) = seen.get(at) {
        if next == of {
            return true;
        }
        at += 1;
        if let Some(role) = catalog
            .roles
            .get(&next)
            .filter(|r| r.inherit || next == role)
        {
            seen.extend(
                role.member_of
                    .iter()
                    .filter(|r| !seen.contains(r))
                    .copied()
                    .collect::<Vec<_>>(),
            );
        }
    }
    false
}

fn granted(catalog: &Catalog, role: ObjectId, grants: &[Grant], privilege: char) -> bool {
    grants.iter().any(|g| {
        g.privileges.contains(privilege) && (g.role.0 == 0 || is_member(catalog, role, g.role))
    })
}

/// Whether a role may use the keyspace of a database: superusers and who owns the database may.
pub(crate) fn may_use_keyspace(catalog: &Catalog, role: ObjectId, database: DatabaseId) -> bool {
    let database = catalog.databases.get(&database);
    is_superuser(catalog, role)
        || database.is_some_and(|database| is_member(catalog, role, database.owner))
}

/// Refuses a change of the keyspace through one of its tables to who may not use it, and to
/// protocols for which the keyspace is there to be read.
pub(crate) fn keyspace_write(
    catalog: &Catalog,
    (role, database): (ObjectId, DatabaseId),
    protocol: Protocol,
    table: &str,
) -> Result<()> {
    let refusal = || denied(format!("permission denied for table {table}"));
    if !may_use_keyspace(catalog, role, database) {
        return Err(refusal());
    }
    match protocol {
        Protocol::Postgres | Protocol::Redis | Protocol::Internal => Ok(()),
        Protocol::Mongo | Protocol::Grpc | Protocol::Rest => Err(refusal()
            .with_detail(format!(
                "The keyspace is read-only over {}.",
                protocol.name()
            ))
            .with_hint("Write it over PostgreSQL or Redis.")),
    }
}

/// Refuses a relation to a role that lacks what is needed of it.
pub(crate) fn check(catalog: &Catalog, role: ObjectId, need: &RequiredPrivilege) -> Result<()> {
    let role = need.as_role.unwrap_or(role);
    if is_superuser(catalog, role) {
        return Ok(());
    }
    let (kind, name, owner, grants) = match catalog.relations.get(&need.relation) {
        Some(Relation::Table(t)) => ("table", &t.name, t.owner, &t.grants),
        Some(Relation::View(v)) => ("view", &v.name, v.owner, &v.grants),
        Some(Relation::Sequence(s)) => ("sequence", &s.name, s.owner, &s.grants),
        // Who may use the keyspace of a database is asked where its rows are read and written.
        Some(Relation::Virtual(v)) if v.written.is_some() => return Ok(()),
        // System tables show everybody what he may see.
        Some(Relation::Virtual(_) | Relation::Index { .. }) if need.privilege == 'r' => {
            return Ok(());
        }
        Some(Relation::Virtual(v)) => {
            return Err(denied(format!("permission denied for table {}", v.name)));
        }
        Some(Relation::Index { .. }) | None => return Ok(()),
    };
    if is_member(catalog, role, owner) || granted(catalog, role, grants, need.privilege) {
        return Ok(());
    }
    Err(denied(format!("permission denied for {kind} {name}")))
}
