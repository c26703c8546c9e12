//! Roles, GRANT and REVOKE.

use super::object::relations;
use super::{boolean_option, cascades, option_of, option_text};
use crate::sql::binder::Binder;
use crate::sql::node::{inner, integer, kind, string};
use crate::utility::{GrantPrivileges, GrantTargets, RoleOptions, Utility};
use helios_types::{Error, ObjectId, Result, error};
use pg_query::protobuf::{
    AccessPriv, AlterRoleStmt, CreateRoleStmt, DropRoleStmt, GrantRoleStmt, GrantStmt,
    GrantTargetType, ObjectType, RoleSpec, RoleSpecType, RoleStmtType,
};
use pg_query::{Node, NodeEnum};

impl Binder<'_> {
    pub fn create_role(&mut self, node: &CreateRoleStmt) -> Result<Utility> {
        let CreateRoleStmt {
            stmt_type,
            role,
            options,
        } = node;
        if role.starts_with("pg_") || role == "public" || role == "none" {
            return Err(error!(ReservedName, "role name \"{role}\" is reserved"));
        }
        let mut created = RoleOptions {
            name: role.clone(),
            ..Default::default()
        };
        if *stmt_type == RoleStmtType::RolestmtUser as i32 {
            created.login = Some(true);
        }
        self.role_options(options, &mut created)?;
        Ok(Utility::CreateRole(created))
    }

    pub fn alter_role(&mut self, node: &AlterRoleStmt) -> Result<Utility> {
        let AlterRoleStmt {
            role,
            options,
            action,
        } = node;
        let id = self.role_of(role.as_ref())?;
        let name = self
            .cx
            .catalog
            .roles
            .get(&id)
            .map(|r| r.name.clone())
            .unwrap_or_default();
        if let [only] = options.as_slice() {
            let (option, argument) = option_of(only)?;
            // ALTER GROUP … ADD/DROP USER
            if option == "rolemembers"
                && let Some(NodeEnum::List(list)) = argument
            {
                let members = self.role_list(&list.items)?;
                return Ok(Utility::GrantRole {
                    roles: vec![id],
                    members,
                    grant: *action >= 0,
                });
            }
        }
        let mut changed = RoleOptions {
            name,
            ..Default::default()
        };
        self.role_options(options, &mut changed)?;
        Ok(Utility::AlterRole(changed))
    }

    fn role_options(&mut self, nodes: &[Node], role: &mut RoleOptions) -> Result<()> {
        for node in nodes {
            let (name, argument) = option_of(node)?;
            match name {
                "superuser" => role.superuser = Some(boolean_option(argument)?),
                "canlogin" => role.login = Some(boolean_option(argument)?),
                "createdb" => role.create_database = Some(boolean_option(argument)?),
                "createrole" => role.create_role = Some(boolean_option(argument)?),
                "inherit" => role.inherit = Some(boolean_option(argument)?),
                "password" => role.password = Some(option_text(argument)?),
                "addroleto" => role.member_of.extend(self.role_argument(argument)?),
                "rolemembers" | "adminmembers" => {
                    role.members.extend(self.role_argument(argument)?)
                }
                "isreplication" | "bypassrls" if !boolean_option(argument)? => {}
                "connectionlimit" if argument.and_then(integer) == Some(-1) => {}
                other => return Err(Error::unsupported(format_args!("role option {other}"))),
            }
        }
        Ok(())
    }

    fn role_argument(&mut self, argument: Option<&NodeEnum>) -> Result<Vec<ObjectId>> {
        match argument {
            Some(NodeEnum::List(list)) => self.role_list(&list.items),
            _ => Err(Error::internal("list of roles")),
        }
    }

    fn role_list(&mut self, nodes: &[Node]) -> Result<Vec<ObjectId>> {
        nodes
            .iter()
            .map(|n| match inner(n)? {
                NodeEnum::RoleSpec(spec) => self.role_of(Some(spec)),
                NodeEnum::AccessPriv(granted) => self.role_named(&granted.priv_name),
                other => Err(Error::internal(kind(other))),
            })
            .collect()
    }

    /// Grantees, of whom PUBLIC is 0.
    fn grantees(&mut self, nodes: &[Node]) -> Result<Vec<ObjectId>> {
        nodes
            .iter()
            .map(|n| match inner(n)? {
                NodeEnum::RoleSpec(RoleSpec { roletype, .. })
                    if *roletype == RoleSpecType::RolespecPublic as i32 =>
                {
                    Ok(ObjectId(0))
                }
                NodeEnum::RoleSpec(spec) => self.role_of(Some(spec)),
                other => Err(Error::internal(kind(other))),
            })
            .collect()
    }

    pub fn drop_role(&mut self, node: &DropRoleStmt) -> Result<Utility> {
        let DropRoleStmt { roles, missing_ok } = node;
        let names = roles
            .iter()
            .map(|n| match inner(n)? {
                NodeEnum::RoleSpec(spec)
                    if spec.roletype == RoleSpecType::RolespecCstring as i32 =>
                {
                    Ok(spec.rolename.clone())
                }
                _ => Err(error!(
                    InvalidParameterValue,
                    "cannot use special role specifier in DROP ROLE"
                )),
            })
            .collect::<Result<_>>()?;
        Ok(Utility::DropRole {
            names,
            if_exists: *missing_ok,
        })
    }

    pub fn grant_role(&mut self, node: &GrantRoleStmt) -> Result<Utility> {
        let GrantRoleStmt {
            granted_roles,
            grantee_roles,
            is_grant,
            opt,
            grantor,
            behavior: _,
        } = node;
        if !opt.is_empty() {
            return self.unsupported("WITH ADMIN, INHERIT or SET OPTION", -1);
        }
        if grantor.is_some() {
            return self.unsupported("GRANTED BY", -1);
        }
        Ok(Utility::GrantRole {
            roles: self.role_list(granted_roles)?,
            members: self.role_list(grantee_roles)?,
            grant: *is_grant,
        })
    }

    pub fn grant(&mut self, node: &GrantStmt) -> Result<Utility> {
        let GrantStmt {
            is_grant,
            targtype,
            objtype,
            objects,
            privileges,
            grantees,
            grant_option,
            grantor,
            behavior,
        } = node;
        if grantor.is_some() {
            return self.unsupported("GRANTED BY", -1);
        }
        let object = ObjectType::try_from(*objtype).map_err(Error::internal)?;
        let all_in_schema = match GrantTargetType::try_from(*targtype).map_err(Error::internal)? {
            GrantTargetType::AclTargetObject => false,
            GrantTargetType::AclTargetAllInSchema => true,
            _ => return self.unsupported("ALTER DEFAULT PRIVILEGES", -1),
        };
        let schemas = |binder: &Self| -> Result<Vec<ObjectId>> {
            objects
                .iter()
                .map(|n| Ok(binder.schema(string(n)?, -1)?.id))
                .collect()
        };
        let targets = match (object, all_in_schema) {
            (ObjectType::ObjectTable | ObjectType::ObjectSequence, false) => {
                GrantTargets::Relations(
                    relations(self, objects)?
                        .iter()
                        .map(crate::catalog::Relation::id)
                        .collect(),
                )
            }
            (ObjectType::ObjectTable, true) => GrantTargets::TablesIn(schemas(self)?),
            (ObjectType::ObjectSequence, true) => GrantTargets::SequencesIn(schemas(self)?),
            (ObjectType::ObjectSchema, _) => GrantTargets::Schemas(schemas(self)?),
            (ObjectType::ObjectDatabase, _) => GrantTargets::Databases(
                objects
                    .iter()
                    .map(|n| self.database(string(n)?))
                    .collect::<Result<_>>()?,
            ),
            (other, _) => {
                let shown = format!("{other:?}")
                    .trim_start_matches("Object")
                    .to_ascii_uppercase();
                return self.unsupported(format_args!("GRANT ON {shown}"), -1);
            }
        };
        let mut letters = String::new();
        for privilege in privileges {
            let NodeEnum::AccessPriv(AccessPriv { priv_name, cols }) = inner(privilege)? else {
                return Err(Error::internal("privilege"));
            };
            if !cols.is_empty() {
                return self.unsupported("column privileges", -1);
            }
            letters.push(letter(priv_name, object)?);
        }
        Ok(Utility::Grant(GrantPrivileges {
            grant: *is_grant,
            targets,
            privileges: letters,
            roles: self.grantees(grantees)?,
            grant_option: *grant_option,
            cascade: cascades(*behavior),
        }))
    }
}

/// PostgreSQL's letter of a privilege, if the kind of object has it.
fn letter(name: &str, object: ObjectType) -> Result<char> {
    let (letter, has) = match name.to_ascii_lowercase().as_str() {
        "select" => (
            'r',
            matches!(object, ObjectType::ObjectTable | ObjectType::ObjectSequence),
        ),
        "insert" => ('a', object == ObjectType::ObjectTable),
        "update" => (
            'w',
            matches!(object, ObjectType::ObjectTable | ObjectType::ObjectSequence),
        ),
        "delete" => ('d', object == ObjectType::ObjectTable),
        "truncate" => ('D', object == ObjectType::ObjectTable),
        "references" => ('x', object == ObjectType::ObjectTable),
        "trigger" => ('t', object == ObjectType::ObjectTable),
        "usage" => (
            'U',
            matches!(
                object,
                ObjectType::ObjectSchema | ObjectType::ObjectSequence
            ),
        ),
        "create" => (
            'C',
            matches!(
                object,
                ObjectType::ObjectSchema | ObjectType::ObjectDatabase
            ),
        ),
        "connect" => ('c', object == ObjectType::ObjectDatabase),
        "temporary" | "temp" => ('T', object == ObjectType::ObjectDatabase),
        other => {
            return Err(error!(
                SyntaxError,
                "unrecognized privilege type \"{other}\""
            ));
        }
    };
    if has {
        return Ok(letter);
    }
    let kind = format!("{object:?}")
        .trim_start_matches("Object")
        .to_ascii_lowercase();
    let shown = name.to_ascii_uppercase();
    Err(error!(
        InvalidObjectDefinition,
        "invalid privilege type {shown} for {kind}"
    )
    .with_sqlstate(*b"0LP01"))
}
