//! Comments, types' names, sizes, properties and lists of the catalog.

use super::definition::{Constraint, find_constraint};
use super::name::{qualified_relation_name, relation_name};
use super::{View, oid_arg, scalar, set, text_arg};
use crate::catalog::{Catalog, Relation};
use crate::function::{FunctionContext, FunctionDef, Volatility};
use helios_types::text::format_type as type_name;
use helios_types::{DatabaseId, ObjectId, Result, Type, Value, error};

/// `format_type(oid, modifier)`: NULL for no type, no modifier for a NULL one.
fn format_type(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    if args.first().is_none_or(Value::is_null) {
        return Ok(Value::Null);
    }
    let oid = oid_arg(args, 0);
    if oid == 0 {
        return Ok(Value::text("-"));
    }
    let modifier = match args.get(1) {
        Some(Value::Int4(modifier)) => *modifier,
        _ => -1,
    };
    Ok(Value::from(type_name(Type { oid, modifier })))
}

/// The comment on an object of these two catalogs' kinds.
fn comment(catalog: &Catalog, id: ObjectId, class: &str) -> Option<String> {
    match class {
        "pg_class" => match catalog.relations.get(&id)? {
            Relation::Table(t) => t.comment.clone(),
            Relation::View(v) => v.comment.clone(),
            Relation::Sequence(s) => s.comment.clone(),
            Relation::Index { table, .. } => catalog.table(*table)?.index(id)?.comment.clone(),
            Relation::Virtual(_) => None,
        },
        "pg_namespace" => catalog.schemas.get(&id)?.comment.clone(),
        "pg_database" => catalog.databases.get(&DatabaseId(id.0))?.comment.clone(),
        _ => None,
    }
}

fn optional(text: Option<String>) -> Result<Value> {
    Ok(text.map_or(Value::Null, Value::from))
}

fn obj_description(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let catalog = context.catalog();
    let id = ObjectId(oid_arg(args, 0));
    match args.get(1) {
        Some(class) => optional(comment(&catalog, id, class.as_str().unwrap_or_default())),
        None => optional(
            comment(&catalog, id, "pg_class").or_else(|| comment(&catalog, id, "pg_namespace")),
        ),
    }
}

fn col_description(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let catalog = context.catalog();
    let number = args.get(1).and_then(Value::as_i64).unwrap_or(0);
    let column = usize::try_from(number - 1).ok().and_then(|position| {
        catalog
            .table(ObjectId(oid_arg(args, 0)))?
            .columns
            .get(position)
            .filter(|c| !c.dropped)
    });
    optional(column.and_then(|c| c.comment.clone()))
}

fn pg_encoding_to_char(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    Ok(Value::text(match args.first() {
        Some(Value::Int4(6)) => "UTF8",
        Some(Value::Int4(0)) => "SQL_ASCII",
        _ => "",
    }))
}

fn pg_char_to_encoding(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    Ok(Value::Int4(
        match text_arg(args, 0).to_ascii_lowercase().as_str() {
            "utf8" | "utf-8" | "unicode" => 6,
            "sql_ascii" => 0,
            _ => -1,
        },
    ))
}

/// Tables and document tables take every change, views and most virtual tables none.
fn is_updatable(catalog: &Catalog, id: ObjectId) -> bool {
    match catalog.relations.get(&id) {
        Some(Relation::Table(_)) => true,
        Some(Relation::Virtual(table)) => table.written.is_some(),
        _ => false,
    }
}

fn pg_relation_is_updatable(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let updatable = is_updatable(&context.catalog(), ObjectId(oid_arg(args, 0)));
    // Bits 2, 3 and 4: UPDATE, INSERT, DELETE.
    Ok(Value::Int4(if updatable { 28 } else { 0 }))
}

fn pg_column_is_updatable(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let number = args.get(1).and_then(Value::as_i64).unwrap_or(0);
    Ok(Value::Bool(
        number > 0 && is_updatable(&context.catalog(), ObjectId(oid_arg(args, 0))),
    ))
}

/// Where a relation's rows are.
fn pg_relation_filenode(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let id = ObjectId(oid_arg(args, 0));
    Ok(match context.catalog().relations.get(&id) {
        Some(Relation::Table(table)) => Value::Oid(table.storage.0),
        Some(Relation::Index { .. } | Relation::Sequence(_)) => Value::Oid(id.0),
        _ => Value::Null,
    })
}

macro_rules! system {
    ($name:literal) => {
        |args, context| context.system($name, args)
    };
}

fn pg_size_pretty(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    let size = match args.first() {
        Some(Value::Numeric(n)) => n
            .to_i64()
            .ok_or_else(|| error!(NumericOutOfRange, "bigint out of range"))?,
        Some(value) => value.as_i64().unwrap_or(0),
        None => 0,
    };
    Ok(Value::from(pretty_size(size)))
}

/// Rounds half up at every unit but the first, as PostgreSQL does: units change at 10,240.
fn pretty_size(size: i64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if size.unsigned_abs() < 10 * 1024 {
        return format!("{size} bytes");
    }
    let negative = size < 0;
    // One more bit is kept for rounding.
    let mut doubled = size.unsigned_abs() >> 9;
    let mut unit = 0;
    while doubled >= 20 * 1024 - 1 && unit + 1 < UNITS.len() {
        doubled >>= 10;
        unit += 1;
    }
    let rounded = doubled.div_ceil(2);
    format!(
        "{}{rounded} {}",
        if negative { "-" } else { "" },
        UNITS[unit]
    )
}

fn pg_tablespace_location(_: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    Ok(Value::text(""))
}

/// What a btree access method and its indexes can do.
fn index_property(name: &str) -> Option<bool> {
    match name {
        "clusterable" | "index_scan" | "bitmap_scan" | "backward_scan" | "can_order"
        | "can_unique" | "can_multi_col" | "can_include" => Some(true),
        "can_exclude" => Some(false),
        _ => None,
    }
}

fn pg_index_has_property(args: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    Ok(index_property(text_arg(args, 1)).map_or(Value::Null, Value::Bool))
}

fn pg_index_column_has_property(
    args: &[Value],
    context: &mut dyn FunctionContext,
) -> Result<Value> {
    let catalog = context.catalog();
    let id = ObjectId(oid_arg(args, 0));
    let number = args.get(1).and_then(Value::as_i64).unwrap_or(0);
    let Some(Relation::Index { table, .. }) = catalog.relations.get(&id) else {
        return Ok(Value::Null);
    };
    let column = catalog
        .table(*table)
        .and_then(|t| t.index(id))
        .and_then(|i| i.columns.get(usize::try_from(number - 1).ok()?).cloned());
    let Some(column) = column else {
        return Ok(Value::Null);
    };
    Ok(match text_arg(args, 2) {
        "asc" => Value::Bool(!column.descending),
        "desc" => Value::Bool(column.descending),
        "nulls_first" => Value::Bool(column.nulls_first),
        "nulls_last" => Value::Bool(!column.nulls_first),
        "orderable" | "returnable" | "search_array" | "search_nulls" => Value::Bool(true),
        "distance_orderable" => Value::Bool(false),
        _ => Value::Null,
    })
}

/// `{name=value,…}` as rows.
fn pg_options_to_table(args: &[Value], _: &mut dyn FunctionContext) -> Result<Vec<Vec<Value>>> {
    let Some(Value::Array(array)) = args.first() else {
        return Ok(Vec::new());
    };
    Ok(array
        .values
        .iter()
        .filter_map(Value::as_str)
        .map(|option| match option.split_once('=') {
            Some((name, value)) => vec![Value::text(name), Value::text(value)],
            None => vec![Value::text(option), Value::Null],
        })
        .collect())
}

/// The relations above a partition: none, because no table here has partitions.
fn pg_partition_ancestors(_: &[Value], _: &mut dyn FunctionContext) -> Result<Vec<Vec<Value>>> {
    Ok(Vec::new())
}

fn getdatabaseencoding(_: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    Ok(Value::text("UTF8"))
}

/// Whether a publication could name the relation: none can, because there are no publications.
fn pg_relation_is_publishable(_: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    Ok(Value::Bool(false))
}

/// The topmost relation above a partition: null for what is none.
fn pg_partition_root(_: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    Ok(Value::Null)
}

/// The rights in an ACL array (`role=letters/grantor`), a row each.
fn aclexplode(args: &[Value], context: &mut dyn FunctionContext) -> Result<Vec<Vec<Value>>> {
    let Some(Value::Array(array)) = args.first() else {
        return Ok(Vec::new());
    };
    let catalog = context.catalog();
    let role = |name: &str| {
        let name = name.trim_matches('"');
        catalog.role_named(name).map_or(0, |r| r.id.0)
    };
    let mut rows = Vec::new();
    for item in array.values.iter().filter_map(Value::as_str) {
        let Some((grantee, rest)) = item.split_once('=') else {
            continue;
        };
        let (letters, grantor) = rest.split_once('/').unwrap_or((rest, ""));
        let mut letters = letters.chars().peekable();
        while let Some(letter) = letters.next() {
            let grantable = letters.next_if_eq(&'*').is_some();
            rows.push(vec![
                Value::Oid(role(grantor)),
                Value::Oid(role(grantee)),
                Value::text(privilege_name(letter)),
                Value::Bool(grantable),
            ]);
        }
    }
    Ok(rows)
}

/// The SQL name of a privilege letter.
pub fn privilege_name(letter: char) -> &'static str {
    match letter {
        'r' => "SELECT",
        'a' => "INSERT",
        'w' => "UPDATE",
        'd' => "DELETE",
        'D' => "TRUNCATE",
        'x' => "REFERENCES",
        't' => "TRIGGER",
        'X' => "EXECUTE",
        'U' => "USAGE",
        'C' => "CREATE",
        'c' => "CONNECT",
        'T' => "TEMPORARY",
        _ => "UNKNOWN",
    }
}

/// "table t", "index i": what an object is called in messages.
fn pg_describe_object(args: &[Value], context: &mut dyn FunctionContext) -> Result<Value> {
    let view = View::of(context);
    let id = ObjectId(oid_arg(args, 1));
    if let Some(relation) = view.catalog.relations.get(&id) {
        let kind = match relation {
            Relation::Table(_) | Relation::Virtual(_) => "table",
            Relation::View(_) => "view",
            Relation::Sequence(_) => "sequence",
            Relation::Index { .. } => "index",
        };
        let name = qualified_relation_name(id, &view.catalog, view.database, &view.search_path)
            .unwrap_or_else(|| relation_name(relation, &view.catalog));
        let number = args.get(2).and_then(Value::as_i64).unwrap_or(0);
        if number > 0
            && let Relation::Table(table) = relation
            && let Some(column) = usize::try_from(number - 1)
                .ok()
                .and_then(|n| table.columns.get(n))
        {
            return Ok(Value::from(format!(
                "column {} of table {name}",
                column.name
            )));
        }
        return Ok(Value::from(format!("{kind} {name}")));
    }
    if let Some(schema) = view.catalog.schemas.get(&id) {
        return Ok(Value::from(format!("schema {}", schema.name)));
    }
    optional(find_constraint(&view.catalog, id).map(|constraint| {
        let (table, name) = match &constraint {
            Constraint::Index(t, i) => (t, &i.name),
            Constraint::Check(t, c) => (t, &c.name),
            Constraint::ForeignKey(t, f) => (t, &f.name),
        };
        format!("constraint {name} on table {}", table.name)
    }))
}

fn pg_sequence_parameters(
    args: &[Value],
    context: &mut dyn FunctionContext,
) -> Result<Vec<Vec<Value>>> {
    let catalog = context.catalog();
    let id = ObjectId(oid_arg(args, 0));
    match catalog.relations.get(&id) {
        Some(Relation::Sequence(s)) => Ok(vec![vec![
            Value::Int8(s.start),
            Value::Int8(s.min),
            Value::Int8(s.max),
            Value::Int8(s.increment),
            Value::Bool(s.cycle),
            Value::Int8(s.cache),
            Value::Oid(s.ty.oid),
        ]]),
        _ => Err(error!(
            WrongObjectType,
            "relation with OID {} is not a sequence", id.0
        )),
    }
}

fn never(_: &[Value], _: &mut dyn FunctionContext) -> Result<Value> {
    Ok(Value::Bool(false))
}

const fn optional_arguments(mut def: FunctionDef) -> FunctionDef {
    def.strict = false;
    def
}

const fn immutable(mut def: FunctionDef) -> FunctionDef {
    def.volatility = Volatility::Immutable;
    def
}

const fn volatile(mut def: FunctionDef) -> FunctionDef {
    def.volatility = Volatility::Volatile;
    def
}

pub(super) const FUNCTIONS: &[FunctionDef] = &[
    immutable(optional_arguments(scalar(
        1081,
        "format_type",
        &[26, 23],
        25,
        format_type,
    ))),
    scalar(1215, "obj_description", &[26, 19], 25, obj_description),
    scalar(1348, "obj_description", &[26], 25, obj_description),
    scalar(1993, "shobj_description", &[26, 19], 25, obj_description),
    scalar(1216, "col_description", &[26, 23], 25, col_description),
    scalar(1597, "pg_encoding_to_char", &[23], 19, pg_encoding_to_char),
    scalar(1264, "pg_char_to_encoding", &[19], 23, pg_char_to_encoding),
    scalar(
        3842,
        "pg_relation_is_updatable",
        &[2205, 16],
        23,
        pg_relation_is_updatable,
    ),
    scalar(
        3843,
        "pg_column_is_updatable",
        &[2205, 21, 16],
        16,
        pg_column_is_updatable,
    ),
    scalar(
        2999,
        "pg_relation_filenode",
        &[2205],
        26,
        pg_relation_filenode,
    ),
    volatile(scalar(
        2325,
        "pg_relation_size",
        &[2205],
        20,
        system!("pg_relation_size"),
    )),
    volatile(scalar(
        2332,
        "pg_relation_size",
        &[2205, 25],
        20,
        system!("pg_relation_size"),
    )),
    volatile(scalar(
        2997,
        "pg_table_size",
        &[2205],
        20,
        system!("pg_table_size"),
    )),
    volatile(scalar(
        2998,
        "pg_indexes_size",
        &[2205],
        20,
        system!("pg_indexes_size"),
    )),
    volatile(scalar(
        2286,
        "pg_total_relation_size",
        &[2205],
        20,
        system!("pg_total_relation_size"),
    )),
    volatile(scalar(
        2168,
        "pg_database_size",
        &[19],
        20,
        system!("pg_database_size"),
    )),
    volatile(scalar(
        2324,
        "pg_database_size",
        &[26],
        20,
        system!("pg_database_size"),
    )),
    volatile(scalar(
        2322,
        "pg_tablespace_size",
        &[26],
        20,
        system!("pg_tablespace_size"),
    )),
    volatile(scalar(
        2323,
        "pg_tablespace_size",
        &[19],
        20,
        system!("pg_tablespace_size"),
    )),
    immutable(scalar(2288, "pg_size_pretty", &[20], 25, pg_size_pretty)),
    immutable(scalar(3166, "pg_size_pretty", &[1700], 25, pg_size_pretty)),
    scalar(
        3778,
        "pg_tablespace_location",
        &[26],
        25,
        pg_tablespace_location,
    ),
    scalar(
        636,
        "pg_indexam_has_property",
        &[26, 25],
        16,
        pg_index_has_property,
    ),
    scalar(
        637,
        "pg_index_has_property",
        &[2205, 25],
        16,
        pg_index_has_property,
    ),
    scalar(
        638,
        "pg_index_column_has_property",
        &[2205, 23, 25],
        16,
        pg_index_column_has_property,
    ),
    set(
        2289,
        "pg_options_to_table",
        &[1009],
        2249,
        &[("option_name", 25), ("option_value", 25)],
        pg_options_to_table,
    ),
    set(
        3425,
        "pg_partition_ancestors",
        &[2205],
        2205,
        &[],
        pg_partition_ancestors,
    ),
    scalar(1039, "getdatabaseencoding", &[], 19, getdatabaseencoding),
    scalar(
        6121,
        "pg_relation_is_publishable",
        &[2205],
        16,
        pg_relation_is_publishable,
    ),
    scalar(3424, "pg_partition_root", &[2205], 2205, pg_partition_root),
    set(
        1689,
        "aclexplode",
        &[1034],
        2249,
        &[
            ("grantor", 26),
            ("grantee", 26),
            ("privilege_type", 25),
            ("is_grantable", 16),
        ],
        aclexplode,
    ),
    set(
        3078,
        "pg_sequence_parameters",
        &[26],
        2249,
        &[
            ("start_value", 20),
            ("minimum_value", 20),
            ("maximum_value", 20),
            ("increment", 20),
            ("cycle_option", 16),
            ("cache_size", 20),
            ("data_type", 26),
        ],
        pg_sequence_parameters,
    ),
    scalar(
        3537,
        "pg_describe_object",
        &[26, 26, 23],
        25,
        pg_describe_object,
    ),
    // Row-level security is not there yet, so that it is active for nobody.
    scalar(3298, "row_security_active", &[26], 16, never),
    scalar(3299, "row_security_active", &[25], 16, never),
    scalar(2855, "pg_is_other_temp_schema", &[26], 16, never),
];

#[cfg(test)]
mod tests {
    use super::pretty_size;

    #[test]
    fn sizes_round_as_in_postgresql() {
        for (size, text) in [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (10_485_248, "10 MB"),
            (10_485_247, "10239 kB"),
            (1 << 30, "1024 MB"),
            (-(1 << 30), "-1024 MB"),
        ] {
            assert_eq!(pretty_size(size), text);
        }
    }
}
