//! Roles and databases.

use super::row::{acl, array, oid, text};
use super::{Request, Row};
use helios_planner::catalog::Role;
use helios_types::{DatabaseId, Error, ErrorKind, ObjectId, Result, Type, Value};

/// What views show instead of a password.
const MASKED: &str = "********";

fn roles<'a>(request: &'a Request<'_>) -> impl Iterator<Item = &'a Role> {
    let id = request.wanted("oid");
    request
        .catalog
        .roles
        .values()
        .map(|r| &**r)
        .filter(move |r| id.is_none_or(|id| id == r.id.0))
}

pub(super) fn pg_authid(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let current = request.functions.current_user().to_owned();
    let request = &*request;
    // It holds the verifiers of passwords.
    if !request
        .catalog
        .role_named(&current)
        .is_some_and(|r| r.superuser)
    {
        return Err(Error::new(
            ErrorKind::InsufficientPrivilege,
            format!("permission denied for table {}", request.table.name),
        ));
    }
    Ok(roles(request)
        .map(|r| {
            vec![
                oid(r.id),
                text(&r.name),
                Value::Bool(r.superuser),
                Value::Bool(r.inherit),
                Value::Bool(r.create_role),
                Value::Bool(r.create_database),
                Value::Bool(r.login),
                Value::Bool(r.superuser),
                Value::Bool(r.superuser),
                Value::Int4(-1),
                super::row::optional(r.password.as_deref()),
                Value::Null,
            ]
        })
        .collect())
}

pub(super) fn pg_roles(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    Ok(roles(request)
        .map(|r| {
            vec![
                text(&r.name),
                Value::Bool(r.superuser),
                Value::Bool(r.inherit),
                Value::Bool(r.create_role),
                Value::Bool(r.create_database),
                Value::Bool(r.login),
                Value::Bool(r.superuser),
                Value::Int4(-1),
                text(MASKED),
                Value::Null,
                Value::Bool(r.superuser),
                Value::Null,
                oid(r.id),
            ]
        })
        .collect())
}

pub(super) fn pg_user(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    Ok(roles(request)
        .filter(|r| r.login)
        .map(|r| {
            vec![
                text(&r.name),
                oid(r.id),
                Value::Bool(r.create_database),
                Value::Bool(r.superuser),
                Value::Bool(r.superuser),
                Value::Bool(r.superuser),
                text(MASKED),
                Value::Null,
                Value::Null,
            ]
        })
        .collect())
}

fn members<'a>(request: &'a Request<'_>, of: ObjectId) -> impl Iterator<Item = &'a Role> {
    request
        .catalog
        .roles
        .values()
        .map(|r| &**r)
        .filter(move |r| r.member_of.contains(&of))
}

pub(super) fn pg_group(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    Ok(roles(request)
        .filter(|r| !r.login)
        .map(|r| {
            let list = members(request, r.id).map(|m| oid(m.id)).collect();
            vec![text(&r.name), oid(r.id), array(Type::OID, list)]
        })
        .collect())
}

pub(super) fn pg_auth_members(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for member in request.catalog.roles.values() {
        for role in &member.member_of {
            rows.push(vec![
                oid(*role),
                oid(member.id),
                Value::Oid(10),
                Value::Bool(false),
            ]);
        }
    }
    Ok(rows)
}

pub(super) fn pg_database(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    Ok(request
        .catalog
        .databases
        .values()
        .filter(|d| d.id != DatabaseId(0))
        .map(|d| {
            vec![
                Value::Oid(d.id.0),
                text(&d.name),
                oid(d.owner),
                Value::Int4(6),
                super::row::letter('c'),
                Value::Bool(false),
                Value::Bool(true),
                Value::Int4(-1),
                Value::Oid(0),
                Value::Oid(0),
                Value::Oid(1663),
                text("C.UTF-8"),
                text("C.UTF-8"),
                Value::Null,
                Value::Null,
                acl(request, d.owner, "CTc", &d.grants),
            ]
        })
        .collect())
}
