//! `has_*_privilege` and `pg_has_role`: what a role may do, by the catalog's grants.
//!
//! The engine enforces privileges elsewhere by the same grants; these functions only answer.

use super::name::{find_relation, split_qualified};
use super::{View, oid_arg, text_arg};
use crate::catalog::{Catalog, Grant, Relation, Role};
use crate::function::{FunctionContext, FunctionDef};
use helios_types::{DatabaseId, ObjectId, Oid, Result, Value, error};

/// Whether `role` is `of`, or a member of it, directly or not.
pub fn is_member(catalog: &Catalog, role: ObjectId, of: ObjectId) -> bool {
    let mut seen = vec![role];
    let mut next = 0;
    while let Some(id) = seen.get(next).copied() {
        if id == of {
            return true;
        }
        next += 1;
        if let Some(role) = catalog.roles.get(&id) {
            for parent in &role.member_of {
                if !seen.contains(parent) {
                    seen.push(*parent);
                }
            }
        }
    }
    false
}

/// Whether a role holds one privilege on an object with this owner and these grants.
pub fn holds(
    catalog: &Catalog,
    role: ObjectId,
    owner: ObjectId,
    grants: &[Grant],
    privilege: char,
    with_grant_option: bool,
) -> bool {
    if catalog.roles.get(&role).is_some_and(|r| r.superuser) || is_member(catalog, role, owner) {
        return true;
    }
    grants.iter().any(|grant| {
        grant.privileges.contains(privilege)
            && (!with_grant_option || grant.grantable)
            && (grant.role == ObjectId(0) || is_member(catalog, role, grant.role))
    })
}

/// Owner and grants of a relation.
pub fn relation_grants<'a>(
    catalog: &'a Catalog,
    relation: &'a Relation,
) -> Option<(ObjectId, &'a [Grant])> {
    match relation {
        Relation::Table(t) => Some((t.owner, &t.grants)),
        Relation::View(v) => Some((v.owner, &v.grants)),
        Relation::Sequence(s) => Some((s.owner, &s.grants)),
        Relation::Index { table, .. } => catalog.table(*table).map(|t| (t.owner, &t.grants[..])),
        Relation::Virtual(_) => None,
    }
}

struct Wanted {
    letter: char,
    with_grant_option: bool,
}

/// Reads "SELECT, INSERT WITH GRANT OPTION".
fn parse_privileges(text: &str, allowed: &[(&str, char)]) -> Result<Vec<Wanted>> {
    text.split(',')
        .map(|part| {
            let upper = part.trim().to_ascii_uppercase();
            let (name, with_grant_option) = match upper.strip_suffix(" WITH GRANT OPTION") {
                Some(name) => (name.trim(), true),
                None => (upper.as_str(), false),
            };
            allowed
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, letter)| Wanted {
                    letter: *letter,
                    with_grant_option,
                })
                .ok_or_else(|| {
                    error!(
                        InvalidParameterValue,
                        "unrecognized privilege type: \"{}\"",
                        part.trim()
                    )
                })
        })
        .collect()
}

fn role_by_name<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Role> {
    catalog
        .role_named(name)
        .map(|r| &**r)
        .ok_or_else(|| error!(UndefinedObject, "role \"{name}\" does not exist"))
}

/// The role argument, which may be left out: a name, an OID, or the current user.
fn role_of(catalog: &Catalog, value: Option<&Value>, current: &str) -> Result<ObjectId> {
    match value {
        None => role_by_name(catalog, current).map(|r| r.id),
        Some(Value::Oid(oid)) => Ok(ObjectId(*oid)),
        // The pseudo-role holds what everybody holds.
        Some(Value::Text(name)) if &**name == "public" => Ok(ObjectId(0)),
        Some(Value::Text(name)) => role_by_name(catalog, name).map(|r| r.id),
        Some(_) => Ok(ObjectId(0)),
    }
}

/// What a privilege question is about.
struct Question {
    view: View,
    role: ObjectId,
    object: Value,
    privileges: String,
    /// The column of the column functions.
    column: Option<Value>,
}

fn question(args: &[Value], fixed: usize, context: &mut dyn FunctionContext) -> Result<Question> {
    let view = View::of(context);
    let current = context.current_user().to_owned();
    let (role, rest) = if args.len() > fixed {
        args.split_at(1)
    } else {
        args.split_at(0)
    };
    let role = role_of(&view.catalog, role.first(), &current)?;
    let object = rest.first().cloned().unwrap_or_default();
    let column = (fixed == 3).then(|| rest.get(1).cloned().unwrap_or_default());
    let privileges = rest
        .last()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    Ok(Question {
        view,
        role,
        object,
        privileges,
        column,
    })
}

fn answer(
    q: &Question,
    owner: ObjectId,
    grants: &[Grant],
    allowed: &[(&str, char)],
) -> Result<Value> {
    let wanted = parse_privileges(&q.privileges, allowed)?;
    let held = |w: &Wanted| {
        holds(
            &q.view.catalog,
            q.role,
            owner,
            grants,
            w.letter,
            w.with_grant_option,
        )
    };
    Ok(Value::Bool(wanted.iter().any(held)))
}

const TABLE: &[(&str, char)] = &[
    ("SELECT", 'r'),
    ("INSERT", 'a'),
    ("UPDATE", 'w'),
    ("DELETE", 'd'),
    ("TRUNCATE", 'D'),
    ("REFERENCES", 'x'),
    ("TRIGGER", 't'),
    ("RULE", '-'),
];
const COLUMN: &[(&str, char)] = &[
    ("SELECT", 'r'),
    ("INSERT", 'a'),
    ("UPDATE", 'w'),
    ("REFERENCES", 'x'),
];
const SEQUENCE: &[(&str, char)] = &[("USAGE", 'U'), ("SELECT", 'r'), ("UPDATE", 'w')];
const SCHEMA: &[(&str, char)] = &[("CREATE", 'C'), ("USAGE", 'U')];
const DATABASE: &[(&str, char)] = &[
    ("CREATE", 'C'),
    ("CONNECT", 'c'),
    ("TEMPORARY", 'T'),
    ("TEMP", 'T'),
];
const EXECUTE: &[(&str, char)] = &[("EXECUTE", 'X')];
const USAGE: &[(&str, char)] = &[("USAGE", 'U')];
const CREATE: &[(&str, char)] = &[("CREATE", 'C')];
const SETTING: &[(&str, char)] = &[("SET", 's'), ("ALTER SYSTEM", 'A')];
const ROLE: &[(&str, char)] = &[("USAGE", 'U'), ("MEMBER", 'M')];

fn relation(q: &Question) -> Result<Option<&Relation>> {
    match &q.object {
        Value::Text(text) => {
            let parts = split_qualified(text)?;
            find_relation(
                &parts,
                &q.view.catalog,
                q.view.database,
                &q.view.search_path,
            )
            .map(Some)
            .ok_or_else(|| {
                error!(
                    UndefinedTable,
                    "relation \"{}\" does not exist",
                    parts.join(".")
                )
            })
        }
        _ => Ok(q
            .view
            .catalog
            .relations
            .get(&ObjectId(oid_arg(std::slice::from_ref(&q.object), 0)))),
    }
}

fn relation_answer(q: &Question, allowed: &[(&str, char)]) -> Result<Value> {
    let Some(relation) = relation(q)? else {
        return Ok(Value::Null);
    };
    match relation_grants(&q.view.catalog, relation) {
        Some((owner, grants)) => answer(q, owner, grants, allowed),
        // Virtual tables are read by everybody and written by nobody.
        None => Ok(Value::Bool(
            parse_privileges(&q.privileges, allowed)?
                .iter()
                .any(|w| w.letter == 'r'),
        )),
    }
}

fn has_table_privilege(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    relation_answer(&question(args, 2, context)?, TABLE)
}

fn has_any_column_privilege(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    relation_answer(&question(args, 2, context)?, COLUMN)
}

fn has_sequence_privilege(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let q = question(args, 2, context)?;
    if relation(&q)?.is_some_and(|r| !matches!(r, Relation::Sequence(_))) {
        return Err(error!(
            WrongObjectType,
            "\"{}\" is not a sequence",
            text_arg(args, args.len() - 2)
        ));
    }
    relation_answer(&q, SEQUENCE)
}

/// Columns have no grants of their own; the table's decide.
fn has_column_privilege(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let q = question(args, 3, context)?;
    if let (Some(Relation::Table(table)), Some(column)) = (relation(&q)?, &q.column) {
        let exists = match column {
            Value::Text(name) if table.column(name).is_none() => {
                return Err(error!(
                    UndefinedColumn,
                    "column \"{name}\" of relation \"{}\" does not exist", table.name
                ));
            }
            Value::Text(_) => true,
            number => number
                .as_i64()
                .and_then(|n| usize::try_from(n - 1).ok())
                .and_then(|n| table.columns.get(n))
                .is_some_and(|c| !c.dropped),
        };
        if !exists {
            return Ok(Value::Null);
        }
    }
    relation_answer(&q, COLUMN)
}

fn has_schema_privilege(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let q = question(args, 2, context)?;
    let catalog = &q.view.catalog;
    let schema = match &q.object {
        Value::Text(name) => Some(
            catalog
                .schema_named(q.view.database, name)
                .ok_or_else(|| error!(UndefinedSchema, "schema \"{name}\" does not exist"))?,
        ),
        Value::Oid(oid) => catalog.schemas.get(&ObjectId(*oid)),
        _ => None,
    };
    let Some(schema) = schema else {
        return Ok(Value::Null);
    };
    if schema.database == DatabaseId(0) {
        let usage = parse_privileges(&q.privileges, SCHEMA)?
            .iter()
            .any(|w| w.letter == 'U');
        let superuser = catalog.roles.get(&q.role).is_some_and(|r| r.superuser);
        return Ok(Value::Bool(usage || superuser));
    }
    answer(&q, schema.owner, &schema.grants, SCHEMA)
}

fn has_database_privilege(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let q = question(args, 2, context)?;
    let catalog = &q.view.catalog;
    let database = match &q.object {
        Value::Text(name) => Some(
            catalog
                .database_named(name)
                .ok_or_else(|| error!(UndefinedDatabase, "database \"{name}\" does not exist"))?,
        ),
        Value::Oid(oid) => catalog.databases.get(&DatabaseId(*oid)),
        _ => None,
    };
    let Some(database) = database else {
        return Ok(Value::Null);
    };
    // Without grants of its own a database lets everybody in, as PostgreSQL's default does.
    let wanted = parse_privileges(&q.privileges, DATABASE)?;
    if database.grants.is_empty()
        && wanted
            .iter()
            .any(|w| matches!(w.letter, 'c' | 'T') && !w.with_grant_option)
    {
        return Ok(Value::Bool(true));
    }
    answer(&q, database.owner, &database.grants, DATABASE)
}

/// Built-in functions, types and languages may be used by everybody and granted by superusers.
fn builtin_answer(
    args: &[Value],
    allowed: &[(&str, char)],
    context: &mut dyn FunctionContext,
) -> Result<Value> {
    let q = question(args, 2, context)?;
    let wanted = parse_privileges(&q.privileges, allowed)?;
    let superuser = q
        .view
        .catalog
        .roles
        .get(&q.role)
        .is_some_and(|r| r.superuser);
    Ok(Value::Bool(
        superuser || wanted.iter().any(|w| !w.with_grant_option),
    ))
}

fn has_function_privilege(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    builtin_answer(args, EXECUTE, context)
}

fn has_usage_privilege(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    builtin_answer(args, USAGE, context)
}

/// What only superusers may touch.
fn superuser_answer(
    args: &[Value],
    allowed: &[(&str, char)],
    context: &mut dyn FunctionContext,
) -> Result<Value> {
    let q = question(args, 2, context)?;
    parse_privileges(&q.privileges, allowed)?;
    Ok(Value::Bool(
        q.view
            .catalog
            .roles
            .get(&q.role)
            .is_some_and(|r| r.superuser),
    ))
}

fn has_tablespace_privilege(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    superuser_answer(args, CREATE, context)
}

fn has_parameter_privilege(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    superuser_answer(args, SETTING, context)
}

fn pg_has_role(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let q = question(args, 2, context)?;
    let catalog = &q.view.catalog;
    let of = role_of(catalog, Some(&q.object), "")?;
    parse_privileges(&q.privileges, ROLE)?;
    let superuser = catalog.roles.get(&q.role).is_some_and(|r| r.superuser);
    Ok(Value::Bool(superuser || is_member(catalog, q.role, of)))
}

const fn scalar(
    oid: Oid,
    name: &'static str,
    args: &'static [Oid],
    call: fn(&[Value], &mut dyn FunctionContext) -> Result<Value>,
) -> FunctionDef {
    super::scalar(oid, name, args, 16, call)
}

const NAME_TEXT_TEXT: &[Oid] = &[19, 25, 25];
const NAME_OID_TEXT: &[Oid] = &[19, 26, 25];
const OID_TEXT_TEXT: &[Oid] = &[26, 25, 25];
const OID_OID_TEXT: &[Oid] = &[26, 26, 25];
const TEXT_TEXT: &[Oid] = &[25, 25];
const OID_TEXT: &[Oid] = &[26, 25];

pub(super) const FUNCTIONS: &[FunctionDef] = &[
    scalar(
        3024,
        "has_any_column_privilege",
        NAME_TEXT_TEXT,
        has_any_column_privilege,
    ),
    scalar(
        3025,
        "has_any_column_privilege",
        NAME_OID_TEXT,
        has_any_column_privilege,
    ),
    scalar(
        3026,
        "has_any_column_privilege",
        OID_TEXT_TEXT,
        has_any_column_privilege,
    ),
    scalar(
        3027,
        "has_any_column_privilege",
        OID_OID_TEXT,
        has_any_column_privilege,
    ),
    scalar(
        3028,
        "has_any_column_privilege",
        TEXT_TEXT,
        has_any_column_privilege,
    ),
    scalar(
        3029,
        "has_any_column_privilege",
        OID_TEXT,
        has_any_column_privilege,
    ),
    scalar(
        3012,
        "has_column_privilege",
        &[19, 25, 25, 25],
        has_column_privilege,
    ),
    scalar(
        3013,
        "has_column_privilege",
        &[19, 25, 21, 25],
        has_column_privilege,
    ),
    scalar(
        3014,
        "has_column_privilege",
        &[19, 26, 25, 25],
        has_column_privilege,
    ),
    scalar(
        3015,
        "has_column_privilege",
        &[19, 26, 21, 25],
        has_column_privilege,
    ),
    scalar(
        3016,
        "has_column_privilege",
        &[26, 25, 25, 25],
        has_column_privilege,
    ),
    scalar(
        3017,
        "has_column_privilege",
        &[26, 25, 21, 25],
        has_column_privilege,
    ),
    scalar(
        3018,
        "has_column_privilege",
        &[26, 26, 25, 25],
        has_column_privilege,
    ),
    scalar(
        3019,
        "has_column_privilege",
        &[26, 26, 21, 25],
        has_column_privilege,
    ),
    scalar(
        3020,
        "has_column_privilege",
        &[25, 25, 25],
        has_column_privilege,
    ),
    scalar(
        3021,
        "has_column_privilege",
        &[25, 21, 25],
        has_column_privilege,
    ),
    scalar(
        3022,
        "has_column_privilege",
        &[26, 25, 25],
        has_column_privilege,
    ),
    scalar(
        3023,
        "has_column_privilege",
        &[26, 21, 25],
        has_column_privilege,
    ),
    scalar(
        2250,
        "has_database_privilege",
        NAME_TEXT_TEXT,
        has_database_privilege,
    ),
    scalar(
        2251,
        "has_database_privilege",
        NAME_OID_TEXT,
        has_database_privilege,
    ),
    scalar(
        2252,
        "has_database_privilege",
        OID_TEXT_TEXT,
        has_database_privilege,
    ),
    scalar(
        2253,
        "has_database_privilege",
        OID_OID_TEXT,
        has_database_privilege,
    ),
    scalar(
        2254,
        "has_database_privilege",
        TEXT_TEXT,
        has_database_privilege,
    ),
    scalar(
        2255,
        "has_database_privilege",
        OID_TEXT,
        has_database_privilege,
    ),
    scalar(
        2256,
        "has_function_privilege",
        NAME_TEXT_TEXT,
        has_function_privilege,
    ),
    scalar(
        2257,
        "has_function_privilege",
        NAME_OID_TEXT,
        has_function_privilege,
    ),
    scalar(
        2258,
        "has_function_privilege",
        OID_TEXT_TEXT,
        has_function_privilege,
    ),
    scalar(
        2259,
        "has_function_privilege",
        OID_OID_TEXT,
        has_function_privilege,
    ),
    scalar(
        2260,
        "has_function_privilege",
        TEXT_TEXT,
        has_function_privilege,
    ),
    scalar(
        2261,
        "has_function_privilege",
        OID_TEXT,
        has_function_privilege,
    ),
    scalar(
        2262,
        "has_language_privilege",
        NAME_TEXT_TEXT,
        has_usage_privilege,
    ),
    scalar(
        2263,
        "has_language_privilege",
        NAME_OID_TEXT,
        has_usage_privilege,
    ),
    scalar(
        2264,
        "has_language_privilege",
        OID_TEXT_TEXT,
        has_usage_privilege,
    ),
    scalar(
        2265,
        "has_language_privilege",
        OID_OID_TEXT,
        has_usage_privilege,
    ),
    scalar(
        2266,
        "has_language_privilege",
        TEXT_TEXT,
        has_usage_privilege,
    ),
    scalar(
        2267,
        "has_language_privilege",
        OID_TEXT,
        has_usage_privilege,
    ),
    scalar(
        6205,
        "has_parameter_privilege",
        NAME_TEXT_TEXT,
        has_parameter_privilege,
    ),
    scalar(
        6206,
        "has_parameter_privilege",
        OID_TEXT_TEXT,
        has_parameter_privilege,
    ),
    scalar(
        6207,
        "has_parameter_privilege",
        TEXT_TEXT,
        has_parameter_privilege,
    ),
    scalar(
        2268,
        "has_schema_privilege",
        NAME_TEXT_TEXT,
        has_schema_privilege,
    ),
    scalar(
        2269,
        "has_schema_privilege",
        NAME_OID_TEXT,
        has_schema_privilege,
    ),
    scalar(
        2270,
        "has_schema_privilege",
        OID_TEXT_TEXT,
        has_schema_privilege,
    ),
    scalar(
        2271,
        "has_schema_privilege",
        OID_OID_TEXT,
        has_schema_privilege,
    ),
    scalar(
        2272,
        "has_schema_privilege",
        TEXT_TEXT,
        has_schema_privilege,
    ),
    scalar(2273, "has_schema_privilege", OID_TEXT, has_schema_privilege),
    scalar(
        2181,
        "has_sequence_privilege",
        NAME_TEXT_TEXT,
        has_sequence_privilege,
    ),
    scalar(
        2182,
        "has_sequence_privilege",
        NAME_OID_TEXT,
        has_sequence_privilege,
    ),
    scalar(
        2183,
        "has_sequence_privilege",
        OID_TEXT_TEXT,
        has_sequence_privilege,
    ),
    scalar(
        2184,
        "has_sequence_privilege",
        OID_OID_TEXT,
        has_sequence_privilege,
    ),
    scalar(
        2185,
        "has_sequence_privilege",
        TEXT_TEXT,
        has_sequence_privilege,
    ),
    scalar(
        2186,
        "has_sequence_privilege",
        OID_TEXT,
        has_sequence_privilege,
    ),
    scalar(
        1922,
        "has_table_privilege",
        NAME_TEXT_TEXT,
        has_table_privilege,
    ),
    scalar(
        1923,
        "has_table_privilege",
        NAME_OID_TEXT,
        has_table_privilege,
    ),
    scalar(
        1924,
        "has_table_privilege",
        OID_TEXT_TEXT,
        has_table_privilege,
    ),
    scalar(
        1925,
        "has_table_privilege",
        OID_OID_TEXT,
        has_table_privilege,
    ),
    scalar(1926, "has_table_privilege", TEXT_TEXT, has_table_privilege),
    scalar(1927, "has_table_privilege", OID_TEXT, has_table_privilege),
    scalar(
        2390,
        "has_tablespace_privilege",
        NAME_TEXT_TEXT,
        has_tablespace_privilege,
    ),
    scalar(
        2391,
        "has_tablespace_privilege",
        NAME_OID_TEXT,
        has_tablespace_privilege,
    ),
    scalar(
        2392,
        "has_tablespace_privilege",
        OID_TEXT_TEXT,
        has_tablespace_privilege,
    ),
    scalar(
        2393,
        "has_tablespace_privilege",
        OID_OID_TEXT,
        has_tablespace_privilege,
    ),
    scalar(
        2394,
        "has_tablespace_privilege",
        TEXT_TEXT,
        has_tablespace_privilege,
    ),
    scalar(
        2395,
        "has_tablespace_privilege",
        OID_TEXT,
        has_tablespace_privilege,
    ),
    scalar(
        3138,
        "has_type_privilege",
        NAME_TEXT_TEXT,
        has_usage_privilege,
    ),
    scalar(
        3139,
        "has_type_privilege",
        NAME_OID_TEXT,
        has_usage_privilege,
    ),
    scalar(
        3140,
        "has_type_privilege",
        OID_TEXT_TEXT,
        has_usage_privilege,
    ),
    scalar(
        3141,
        "has_type_privilege",
        OID_OID_TEXT,
        has_usage_privilege,
    ),
    scalar(3142, "has_type_privilege", TEXT_TEXT, has_usage_privilege),
    scalar(3143, "has_type_privilege", OID_TEXT, has_usage_privilege),
    scalar(2705, "pg_has_role", &[19, 19, 25], pg_has_role),
    scalar(2706, "pg_has_role", NAME_OID_TEXT, pg_has_role),
    scalar(2707, "pg_has_role", &[26, 19, 25], pg_has_role),
    scalar(2708, "pg_has_role", OID_OID_TEXT, pg_has_role),
    scalar(2709, "pg_has_role", &[19, 25], pg_has_role),
    scalar(2710, "pg_has_role", OID_TEXT, pg_has_role),
];
