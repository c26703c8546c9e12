//! Names of catalog objects: quoting, qualification, look-up and visibility.
//!
//! A name is printed without its schema when the search path would find that very object by it.

use super::keyword::is_keyword;
use super::{View, oid_arg, scalar, text_arg};
use crate::catalog::{Catalog, PG_CATALOG_SCHEMA, Relation};
use crate::function::{FunctionContext, FunctionDef, registry};
use helios_types::text::{format_type, parse_type_name};
use helios_types::{DatabaseId, ObjectId, Oid, Result, Type, Value, bail, error};
use std::collections::HashMap;
use std::sync::OnceLock;

/// The identifier as SQL must write it.
pub fn quote_identifier(name: &str) -> String {
    let plain = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .chars()
            .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'))
        && !is_keyword(name);
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// Splits a possibly qualified name into its parts, as SQL folds and quotes them.
pub fn split_qualified(text: &str) -> Result<Vec<String>> {
    let invalid = || error!(InvalidName, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            split_quoted(quoted).ok_or_else(invalid)?
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            let part = part.trim();
            if part.is_empty() || part.contains(char::is_whitespace) {
                return Err(invalid());
            }
            (part.to_lowercase(), after)
        };
        parts.push(part);
        match after.trim_start().strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None if after.trim().is_empty() => return Ok(parts),
            None => return Err(invalid()),
        }
    }
}

fn split_quoted(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        if c != '"' {
            part.push(c);
        } else if chars.next_if(|(_, next)| *next == '"').is_some() {
            part.push('"');
        } else {
            return (!part.is_empty()).then(|| (part, &text[i + 1..]));
        }
    }
    None
}

/// The schema that an unqualified relation name means, and the relation.
fn visible_relation<'a>(
    name: &str,
    catalog: &'a Catalog,
    database: DatabaseId,
    search_path: &[String],
) -> Option<&'a Relation> {
    search_path.iter().find_map(|schema| {
        let schema = catalog.schema_named(database, schema)?;
        catalog.relation_named(schema.id, name)
    })
}

/// The relation of a possibly qualified name.
pub fn find_relation<'a>(
    parts: &[String],
    catalog: &'a Catalog,
    database: DatabaseId,
    search_path: &[String],
) -> Option<&'a Relation> {
    match parts {
        [name] => visible_relation(name, catalog, database, search_path),
        [schema, name] | [_, schema, name] => {
            let schema = catalog.schema_named(database, schema)?;
            catalog.relation_named(schema.id, name)
        }
        _ => None,
    }
}

/// The name of a relation of any kind.
pub fn relation_name(relation: &Relation, catalog: &Catalog) -> String {
    match relation {
        Relation::Table(t) => t.name.clone(),
        Relation::View(v) => v.name.clone(),
        Relation::Sequence(s) => s.name.clone(),
        Relation::Virtual(v) => v.name.clone(),
        Relation::Index { id, table, .. } => catalog
            .table(*table)
            .and_then(|t| t.index(*id))
            .map_or_else(|| id.0.to_string(), |i| i.name.clone()),
    }
}

/// The name by which the search path finds this relation: qualified only when it has to be.
pub fn qualified_relation_name(
    id: ObjectId,
    catalog: &Catalog,
    database: DatabaseId,
    search_path: &[String],
) -> Option<String> {
    let relation = catalog.relations.get(&id)?;
    let name = relation_name(relation, catalog);
    let visible = visible_relation(&name, catalog, database, search_path)
        .is_some_and(|found| found.id() == id);
    let quoted = quote_identifier(&name);
    if visible {
        return Some(quoted);
    }
    let schema = catalog.schemas.get(&relation.schema())?;
    Some(format!("{}.{quoted}", quote_identifier(&schema.name)))
}

/// An input, output or support function of a type: it has a row in `pg_proc` and a name, and is
/// not called by SQL.
#[derive(Clone, Debug)]
pub struct IoFunction {
    pub oid: Oid,
    pub name: &'static str,
    pub args: Vec<Oid>,
    pub result: Oid,
}

/// PostgreSQL's I/O functions of the types that exist here, by OID.
pub fn io_functions() -> &'static [IoFunction] {
    static FUNCTIONS: OnceLock<Vec<IoFunction>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        include_str!("io_function.tsv")
            .lines()
            .filter_map(|line| {
                let mut fields = line.split('\t');
                Some(IoFunction {
                    oid: fields.next()?.parse().ok()?,
                    name: fields.next()?,
                    args: fields
                        .next()?
                        .split(' ')
                        .filter_map(|oid| oid.parse().ok())
                        .collect(),
                    result: fields.next()?.parse().ok()?,
                })
            })
            .collect()
    })
}

fn io_function_name(oid: Oid) -> Option<&'static str> {
    static NAMES: OnceLock<HashMap<Oid, &'static str>> = OnceLock::new();
    NAMES
        .get_or_init(|| io_functions().iter().map(|f| (f.oid, f.name)).collect())
        .get(&oid)
        .copied()
}

/// The text of a value of regclass or one of its like.
pub fn object_name(
    ty: Type,
    oid: Oid,
    catalog: &Catalog,
    database: DatabaseId,
    search_path: &[String],
) -> String {
    if oid == 0 {
        return "-".to_owned();
    }
    let found = match Type::new(ty.oid) {
        Type::REGCLASS => qualified_relation_name(ObjectId(oid), catalog, database, search_path),
        Type::REGTYPE => Some(format_type(Type::new(oid))).filter(|name| name != "???"),
        Type::REGPROC => function_name(oid),
        Type::REGPROCEDURE => registry().function(oid).map(|f| signature(f.name, f.args)),
        Type::REGOPER => operator(oid).map(|o| o.name.to_owned()),
        Type::REGOPERATOR => operator(oid).map(|o| {
            format!(
                "{}({},{})",
                o.name,
                operand_name(o.left),
                operand_name(o.right)
            )
        }),
        Type::REGROLE => catalog
            .roles
            .get(&ObjectId(oid))
            .map(|r| quote_identifier(&r.name)),
        Type::REGNAMESPACE => catalog
            .schemas
            .get(&ObjectId(oid))
            .map(|s| quote_identifier(&s.name)),
        _ => None,
    };
    found.unwrap_or_else(|| oid.to_string())
}

pub fn function_name(oid: Oid) -> Option<String> {
    let name = registry()
        .function(oid)
        .map(|f| f.name)
        .or_else(|| io_function_name(oid))?;
    Some(quote_identifier(name))
}

fn operator(oid: Oid) -> Option<&'static crate::function::OperatorDef> {
    registry().all_operators().find(|o| o.oid == oid)
}

fn operand_name(oid: Oid) -> String {
    if oid == 0 {
        "NONE".to_owned()
    } else {
        format_type(Type::new(oid))
    }
}

fn signature(name: &str, args: &[Oid]) -> String {
    let args: Vec<String> = args
        .iter()
        .map(|oid| format_type(Type::new(*oid)))
        .collect();
    format!("{}({})", quote_identifier(name), args.join(","))
}

/// The OID that a text means as a value of regclass or one of its like.
pub fn parse_object(ty: Type, text: &str, view: &View) -> Result<Oid> {
    let trimmed = text.trim();
    if trimmed == "-" {
        return Ok(0);
    }
    if !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit()) {
        return helios_types::text::parse_oid(trimmed);
    }
    match Type::new(ty.oid) {
        Type::REGCLASS => parse_relation(text, view),
        Type::REGTYPE => parse_type_name(trimmed).map(|t| t.oid),
        Type::REGPROC => parse_function(text),
        Type::REGPROCEDURE => parse_signature(text),
        Type::REGOPER => parse_operator(text),
        Type::REGOPERATOR => parse_operator_signature(text),
        Type::REGROLE => match split_qualified(text)?.as_slice() {
            [name] => view
                .catalog
                .role_named(name)
                .map(|r| r.id.0)
                .ok_or_else(|| error!(UndefinedObject, "role \"{name}\" does not exist")),
            _ => bail!(InvalidName, "invalid name syntax"),
        },
        Type::REGNAMESPACE => match split_qualified(text)?.as_slice() {
            [name] => view
                .catalog
                .schema_named(view.database, name)
                .map(|s| s.id.0)
                .ok_or_else(|| error!(UndefinedSchema, "schema \"{name}\" does not exist")),
            _ => bail!(InvalidName, "invalid name syntax"),
        },
        _ => helios_types::text::parse_oid(trimmed),
    }
}

/// The OID of a relation; its absence is PostgreSQL's error.
pub fn parse_relation(text: &str, view: &View) -> Result<Oid> {
    let parts = split_qualified(text)?;
    find_relation(&parts, &view.catalog, view.database, &view.search_path)
        .map(|r| r.id().0)
        .ok_or_else(|| {
            error!(
                UndefinedTable,
                "relation \"{}\" does not exist",
                parts.join(".")
            )
        })
}

fn unqualified(parts: &[String]) -> Option<&str> {
    match parts {
        [name] => Some(name),
        [schema, name] if schema == "pg_catalog" => Some(name),
        _ => None,
    }
}

fn parse_function(text: &str) -> Result<Oid> {
    let parts = split_qualified(text)?;
    let missing = || {
        error!(
            UndefinedFunction,
            "function \"{}\" does not exist",
            parts.join(".")
        )
    };
    let name = unqualified(&parts).ok_or_else(missing)?;
    let io = io_functions()
        .iter()
        .filter(|f| f.name == name)
        .map(|f| f.oid);
    let mut found: Vec<Oid> = registry()
        .functions_named(name)
        .iter()
        .map(|f| f.oid)
        .chain(io)
        .collect();
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [] => Err(missing()),
        [oid] => Ok(*oid),
        _ => Err(error!(
            AmbiguousFunction,
            "more than one function named \"{name}\""
        )),
    }
}

fn parse_signature(text: &str) -> Result<Oid> {
    let missing = || error!(UndefinedFunction, "function \"{text}\" does not exist");
    let (name, args) = text
        .trim()
        .strip_suffix(')')
        .and_then(|t| t.split_once('('))
        .ok_or_else(|| error!(InvalidTextRepresentation, "expected a left parenthesis"))?;
    let args = args
        .split(',')
        .map(str::trim)
        .filter(|a| !a.is_empty())
        .map(|a| parse_type_name(a).map(|t| t.oid))
        .collect::<Result<Vec<_>>>()?;
    let parts = split_qualified(name)?;
    let name = unqualified(&parts).ok_or_else(missing)?;
    registry()
        .functions_named(name)
        .iter()
        .find(|f| f.args == args.as_slice())
        .map(|f| f.oid)
        .ok_or_else(missing)
}

fn operator_symbol(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix("pg_catalog.").unwrap_or(text)
}

fn parse_operator(text: &str) -> Result<Oid> {
    match registry().operators_named(operator_symbol(text)) {
        [] => Err(error!(UndefinedFunction, "operator does not exist: {text}")),
        [one] => Ok(one.oid),
        _ => Err(error!(
            AmbiguousFunction,
            "more than one operator named {text}"
        )),
    }
}

fn parse_operator_signature(text: &str) -> Result<Oid> {
    let missing = || error!(UndefinedFunction, "operator does not exist: {text}");
    let (symbol, operands) = text
        .trim()
        .strip_suffix(')')
        .and_then(|t| t.split_once('('))
        .ok_or_else(missing)?;
    let (left, right) = operands.split_once(',').ok_or_else(missing)?;
    let operand = |name: &str| match name.trim() {
        name if name.eq_ignore_ascii_case("none") => Ok(0),
        name => parse_type_name(name).map(|t| t.oid),
    };
    let (left, right) = (operand(left)?, operand(right)?);
    registry()
        .operators_named(operator_symbol(symbol))
        .iter()
        .find(|o| o.left == left && o.right == right)
        .map(|o| o.oid)
        .ok_or_else(missing)
}

fn input(ty: Type, args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    parse_object(ty, text_arg(args, 0), &View::of(context)).map(Value::Oid)
}

fn output(ty: Type, args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let view = View::of(context);
    let oid = oid_arg(args, 0);
    Ok(Value::from(object_name(
        ty,
        oid,
        &view.catalog,
        view.database,
        &view.search_path,
    )))
}

/// `to_reg*`: NULL where the cast has an error.
fn try_input(ty: Type, args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    match parse_object(ty, text_arg(args, 0), &View::of(context)) {
        Ok(oid) => Ok(Value::Oid(oid)),
        Err(e) if e.kind() == helios_types::ErrorKind::InvalidName => Err(e),
        Err(_) => Ok(Value::Null),
    }
}

fn relation_is_visible(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let view = View::of(context);
    let Some(relation) = view.catalog.relations.get(&ObjectId(oid_arg(args, 0))) else {
        return Ok(Value::Null);
    };
    let name = relation_name(relation, &view.catalog);
    let found = visible_relation(&name, &view.catalog, view.database, &view.search_path);
    Ok(Value::Bool(found.is_some_and(|f| f.id() == relation.id())))
}

fn type_is_visible(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let known = format_type(Type::new(oid_arg(args, 0))) != "???";
    Ok(in_pg_catalog(known, context))
}

fn function_is_visible(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    Ok(in_pg_catalog(
        function_name(oid_arg(args, 0)).is_some(),
        context,
    ))
}

fn operator_is_visible(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    Ok(in_pg_catalog(operator(oid_arg(args, 0)).is_some(), context))
}

/// Kinds of objects that exist only as PostgreSQL's own.
fn builtin_is_visible(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    Ok(in_pg_catalog(
        oid_arg(args, 0) < crate::catalog::FIRST_USER_ID,
        context,
    ))
}

/// Visibility of an object of `pg_catalog`; NULL when there is none.
fn in_pg_catalog(exists: bool, context: &mut dyn FunctionContext) -> Value {
    if !exists {
        return Value::Null;
    }
    let view = View::of(context);
    let name = view
        .catalog
        .schemas
        .get(&PG_CATALOG_SCHEMA)
        .map_or("pg_catalog", |s| &s.name);
    Value::Bool(view.search_path.iter().any(|s| s == name))
}

fn never_visible(_: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    Ok(Value::Null)
}

macro_rules! registered {
    ($ty:ident, $call:ident) => {
        |args, context| $call(Type::$ty, args, context)
    };
}

pub(super) const FUNCTIONS: &[FunctionDef] = &[
    scalar(1079, "regclass", &[25], 2205, registered!(REGCLASS, input)),
    scalar(9400, "regproc", &[25], 24, registered!(REGPROC, input)),
    scalar(
        9401,
        "regprocedure",
        &[25],
        2202,
        registered!(REGPROCEDURE, input),
    ),
    scalar(9402, "regoper", &[25], 2203, registered!(REGOPER, input)),
    scalar(
        9403,
        "regoperator",
        &[25],
        2204,
        registered!(REGOPERATOR, input),
    ),
    scalar(9404, "regtype", &[25], 2206, registered!(REGTYPE, input)),
    scalar(9405, "regrole", &[25], 4096, registered!(REGROLE, input)),
    scalar(
        9406,
        "regnamespace",
        &[25],
        4089,
        registered!(REGNAMESPACE, input),
    ),
    scalar(9410, "text", &[24], 25, registered!(REGPROC, output)),
    scalar(9411, "text", &[2202], 25, registered!(REGPROCEDURE, output)),
    scalar(9412, "text", &[2203], 25, registered!(REGOPER, output)),
    scalar(9413, "text", &[2204], 25, registered!(REGOPERATOR, output)),
    scalar(9414, "text", &[2205], 25, registered!(REGCLASS, output)),
    scalar(9415, "text", &[2206], 25, registered!(REGTYPE, output)),
    scalar(9416, "text", &[4096], 25, registered!(REGROLE, output)),
    scalar(9417, "text", &[4089], 25, registered!(REGNAMESPACE, output)),
    scalar(
        3494,
        "to_regproc",
        &[25],
        24,
        registered!(REGPROC, try_input),
    ),
    scalar(
        3479,
        "to_regprocedure",
        &[25],
        2202,
        registered!(REGPROCEDURE, try_input),
    ),
    scalar(
        3492,
        "to_regoper",
        &[25],
        2203,
        registered!(REGOPER, try_input),
    ),
    scalar(
        3476,
        "to_regoperator",
        &[25],
        2204,
        registered!(REGOPERATOR, try_input),
    ),
    scalar(
        3495,
        "to_regclass",
        &[25],
        2205,
        registered!(REGCLASS, try_input),
    ),
    scalar(
        3493,
        "to_regtype",
        &[25],
        2206,
        registered!(REGTYPE, try_input),
    ),
    scalar(
        4093,
        "to_regrole",
        &[25],
        4096,
        registered!(REGROLE, try_input),
    ),
    scalar(
        4086,
        "to_regnamespace",
        &[25],
        4089,
        registered!(REGNAMESPACE, try_input),
    ),
    scalar(2079, "pg_table_is_visible", &[26], 16, relation_is_visible),
    scalar(2080, "pg_type_is_visible", &[26], 16, type_is_visible),
    scalar(
        2081,
        "pg_function_is_visible",
        &[26],
        16,
        function_is_visible,
    ),
    scalar(
        2082,
        "pg_operator_is_visible",
        &[26],
        16,
        operator_is_visible,
    ),
    scalar(2083, "pg_opclass_is_visible", &[26], 16, builtin_is_visible),
    scalar(
        3829,
        "pg_opfamily_is_visible",
        &[26],
        16,
        builtin_is_visible,
    ),
    scalar(
        3815,
        "pg_collation_is_visible",
        &[26],
        16,
        builtin_is_visible,
    ),
    scalar(2093, "pg_conversion_is_visible", &[26], 16, never_visible),
    scalar(
        3403,
        "pg_statistics_obj_is_visible",
        &[26],
        16,
        never_visible,
    ),
    scalar(3756, "pg_ts_parser_is_visible", &[26], 16, never_visible),
    scalar(3757, "pg_ts_dict_is_visible", &[26], 16, never_visible),
    scalar(3758, "pg_ts_config_is_visible", &[26], 16, never_visible),
    scalar(3768, "pg_ts_template_is_visible", &[26], 16, never_visible),
];
