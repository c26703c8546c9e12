//! Roles and their passwords.

use super::Ddl;
use crate::catalog_store::{self, Kind};
use helios_planner::catalog::Role;
use helios_planner::utility::RoleOptions;
use helios_types::{Error, ErrorKind, ObjectId, Result, bail};
use std::sync::Arc;

impl Ddl<'_> {
    fn require_role_admin(&self) -> Result<()> {
        let me = self.catalog.roles.get(&self.session.state.role);
        if me.is_some_and(|r| r.superuser || r.create_role) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InsufficientPrivilege,
            "permission denied to create role",
        ))
    }

    pub(crate) fn create_role(&mut self, options: &RoleOptions) -> Result<()> {
        self.require_role_admin()?;
        if self.catalog.role_named(&options.name).is_some() {
            bail!(DuplicateObject, "role \"{}\" already exists", options.name);
        }
        if options.superuser == Some(true) {
            self.session.state.require_superuser("create superusers")?;
        }
        let id = self.next_id();
        let role = Role {
            id,
            name: options.name.clone(),
            superuser: false,
            login: false,
            create_database: false,
            create_role: false,
            inherit: true,
            password: None,
            member_of: options.member_of.clone(),
        };
        self.put_role(changed(role, options))?;
        for &member in &options.members {
            self.grant_role(&[id], &[member], true)?;
        }
        Ok(())
    }

    pub(crate) fn alter_role(&mut self, options: &RoleOptions) -> Result<()> {
        let Some(role) = self.catalog.role_named(&options.name).cloned() else {
            bail!(UndefinedObject, "role \"{}\" does not exist", options.name);
        };
        let own_password_only = role.id == self.session.state.role
            && options.superuser.is_none()
            && options.create_role.is_none()
            && options.create_database.is_none()
            && options.login.is_none();
        if !own_password_only {
            self.require_role_admin()?;
        }
        if role.superuser || options.superuser == Some(true) {
            self.session
                .state
                .require_superuser("alter superuser roles")?;
        }
        self.put_role(changed((*role).clone(), options))
    }

    pub(crate) fn rename_role(&mut self, id: ObjectId, name: &str) -> Result<()> {
        self.require_role_admin()?;
        if self.catalog.role_named(name).is_some() {
            bail!(DuplicateObject, "role \"{name}\" already exists");
        }
        let Some(role) = self.catalog.roles.get(&id) else {
            bail!(UndefinedObject, "role does not exist")
        };
        let role = Role {
            name: name.to_string(),
            ..(**role).clone()
        };
        self.put_role(role)
    }

    pub(crate) fn drop_roles(&mut self, names: &[String], if_exists: bool) -> Result<()> {
        self.require_role_admin()?;
        for name in names {
            let Some(role) = self.catalog.role_named(name).cloned() else {
                if if_exists {
                    self.notice(format!("role \"{name}\" does not exist, skipping"));
                    continue;
                }
                bail!(UndefinedObject, "role \"{name}\" does not exist");
            };
            if role.id == self.session.state.role {
                bail!(ObjectInUse, "current user cannot be dropped");
            }
            if let Some(object) = self.owned_by(role.id) {
                return Err(Error::new(
                    ErrorKind::DependentObjectsStillExist,
                    format!("role \"{name}\" cannot be dropped because some objects depend on it"),
                )
                .with_detail(format!("owner of {object}")));
            }
            catalog_store::delete(&mut self.transaction()?.txn, Kind::Role, role.id.0);
            self.catalog.roles.remove(&role.id);
        }
        Ok(())
    }

    /// Something that the role owns.
    fn owned_by(&self, role: ObjectId) -> Option<String> {
        use helios_planner::catalog::Relation;
        let relation = self.catalog.relations.values().find_map(|r| match r {
            Relation::Table(t) if t.owner == role => Some(format!("table {}", t.name)),
            Relation::View(v) if v.owner == role => Some(format!("view {}", v.name)),
            Relation::Sequence(s) if s.owner == role => Some(format!("sequence {}", s.name)),
            _ => None,
        });
        let schema = || {
            self.catalog
                .schemas
                .values()
                .find(|s| s.owner == role)
                .map(|s| format!("schema {}", s.name))
        };
        let database = || {
            self.catalog
                .databases
                .values()
                .find(|d| d.owner == role)
                .map(|d| format!("database {}", d.name))
        };
        relation.or_else(schema).or_else(database)
    }

    pub(crate) fn grant_role(
        &mut self,
        roles: &[ObjectId],
        members: &[ObjectId],
        grant: bool,
    ) -> Result<()> {
        self.require_role_admin()?;
        for member in members {
            let Some(member) = self.catalog.roles.get(member).cloned() else {
                continue;
            };
            let mut member = (*member).clone();
            for role in roles {
                if grant && crate::authorize::is_member(&self.catalog, *role, member.id) {
                    bail!(
                        InvalidParameterValue,
                        "role would become a member of itself"
                    );
                }
                member.member_of.retain(|r| r != role);
                if grant {
                    member.member_of.push(*role);
                }
            }
            self.put_role(member)?;
        }
        Ok(())
    }

    fn put_role(&mut self, role: Role) -> Result<()> {
        catalog_store::put(&mut self.transaction()?.txn, Kind::Role, role.id.0, &role)?;
        self.catalog.roles.insert(role.id, Arc::new(role));
        Ok(())
    }
}

fn changed(mut role: Role, options: &RoleOptions) -> Role {
    let set = |field: &mut bool, value: Option<bool>| *field = value.unwrap_or(*field);
    set(&mut role.superuser, options.superuser);
    set(&mut role.login, options.login);
    set(&mut role.create_database, options.create_database);
    set(&mut role.create_role, options.create_role);
    set(&mut role.inherit, options.inherit);
    if let Some(password) = &options.password {
        role.password = password.as_deref().map(crate::scram::verifier);
    }
    role
}
