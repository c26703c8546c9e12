//! information_schema.columns, routines and parameters, and how the standard describes a type.

use super::Row;
use super::information::{Scope, TABLE_COLUMNS};
use super::relation::attributes;
use super::row::{named, optional, text, yes_no};
use helios_planner::catalog::{Identity, Relation, Sequence};
use helios_planner::function::{FunctionDef, Implementation, registry};
use helios_types::text::format_type;
use helios_types::types::info;
use helios_types::{ObjectId, Type, Value};

/// The columns that describe a type: its name, lengths and precisions.
fn type_columns(ty: Type) -> Vec<(&'static str, Value)> {
    let (precision, radix, scale) = numeric_facts(ty);
    let (length, octets) = character_facts(ty);
    let number = |n: Option<i32>| n.map_or(Value::Null, Value::Int4);
    vec![
        ("data_type", text(standard_name(ty))),
        ("character_maximum_length", number(length)),
        ("character_octet_length", number(octets)),
        ("numeric_precision", number(precision)),
        ("numeric_precision_radix", number(radix)),
        ("numeric_scale", number(scale)),
        ("datetime_precision", number(datetime_precision(ty))),
        ("udt_schema", text("pg_catalog")),
        ("udt_name", text(internal_name(ty))),
    ]
}

fn standard_name(ty: Type) -> String {
    if ty.is_array() && !matches!(ty.oid, 22 | 30) {
        return "ARRAY".to_owned();
    }
    format_type(Type::new(ty.oid))
}

/// `pg_type.typname`
fn internal_name(ty: Type) -> String {
    match info(ty.oid) {
        Some(info) => info.name.to_owned(),
        None => match ty.element().and_then(|element| info(element.oid)) {
            Some(element) => format!("_{}", element.name),
            None => format_type(Type::new(ty.oid)),
        },
    }
}

/// Bytes that a character may take in UTF-8.
const CHARACTER_BYTES: i32 = 4;

fn character_facts(ty: Type) -> (Option<i32>, Option<i32>) {
    match ty {
        _ if ty.char_length().is_some() => {
            let length = ty.char_length().and_then(|n| i32::try_from(n).ok());
            (length, length.and_then(|n| n.checked_mul(CHARACTER_BYTES)))
        }
        _ if matches!(ty.oid, 25 | 1042 | 1043) => (None, Some(1 << 30)),
        _ => (None, None),
    }
}

/// Precision, radix and scale of numbers.
fn numeric_facts(ty: Type) -> (Option<i32>, Option<i32>, Option<i32>) {
    match Type::new(ty.oid) {
        Type::INT2 => (Some(16), Some(2), Some(0)),
        Type::INT4 => (Some(32), Some(2), Some(0)),
        Type::INT8 => (Some(64), Some(2), Some(0)),
        Type::FLOAT4 => (Some(24), Some(2), None),
        Type::FLOAT8 => (Some(53), Some(2), None),
        Type::NUMERIC => match ty.numeric_precision_scale() {
            Some((precision, scale)) => {
                (Some(i32::from(precision)), Some(10), Some(i32::from(scale)))
            }
            None => (None, Some(10), None),
        },
        _ => (None, None, None),
    }
}

fn datetime_precision(ty: Type) -> Option<i32> {
    match Type::new(ty.oid) {
        Type::DATE => Some(0),
        Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIMETZ => {
            Some(if ty.modifier < 0 { 6 } else { ty.modifier })
        }
        Type::INTERVAL => Some(if ty.modifier < 0 || ty.modifier & 0xffff == 0xffff {
            6
        } else {
            ty.modifier & 0xffff
        }),
        _ => None,
    }
}

pub(super) fn columns(scope: &Scope<'_, '_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in scope.relations("rv") {
        for attribute in attributes(relation, scope.request) {
            let column = attribute.column;
            if column.is_some_and(|c| c.dropped) {
                continue;
            }
            let stored = matches!(relation, Relation::Table(_));
            let number = attribute.number.to_string();
            let default = column
                .filter(|c| c.generated.is_none())
                .and_then(|c| c.default.as_ref());
            let generated = column.and_then(|c| c.generated.as_ref());
            let mut values = scope.relation_columns(TABLE_COLUMNS, relation);
            values.extend(type_columns(attribute.ty));
            values.extend([
                ("column_name", text(attribute.name)),
                ("ordinal_position", Value::Int4(attribute.number as i32)),
                ("column_default", optional(default)),
                ("is_nullable", yes_no(!column.is_some_and(|c| c.not_null))),
                ("udt_catalog", scope.database()),
                ("dtd_identifier", text(number)),
                ("is_self_referencing", text("NO")),
                (
                    "is_identity",
                    yes_no(column.is_some_and(|c| c.identity.is_some())),
                ),
                (
                    "is_generated",
                    text(if generated.is_some() {
                        "ALWAYS"
                    } else {
                        "NEVER"
                    }),
                ),
                ("generation_expression", optional(generated)),
                ("is_updatable", yes_no(stored)),
                ("identity_cycle", text("NO")),
            ]);
            if let Some(identity) = column.and_then(|c| c.identity) {
                let sequence = column.and_then(|c| c.sequence);
                values.extend(identity_columns(identity, sequence, scope));
            }
            rows.push(named(scope.table(), values));
        }
    }
    rows
}

fn identity_columns(
    identity: Identity,
    sequence: Option<ObjectId>,
    scope: &Scope<'_, '_>,
) -> Vec<(&'static str, Value)> {
    let generation = match identity {
        Identity::Always => "ALWAYS",
        Identity::ByDefault => "BY DEFAULT",
    };
    let mut values = vec![("identity_generation", text(generation))];
    let relation = sequence.and_then(|id| scope.request.catalog.relations.get(&id));
    if let Some(Relation::Sequence(s)) = relation {
        let Sequence {
            start,
            increment,
            max,
            min,
            cycle,
            ..
        } = &**s;
        values.extend([
            ("identity_start", text(start.to_string())),
            ("identity_increment", text(increment.to_string())),
            ("identity_maximum", text(max.to_string())),
            ("identity_minimum", text(min.to_string())),
            ("identity_cycle", yes_no(*cycle)),
        ]);
    }
    values
}

/// Built-in functions in the order of their OIDs.
fn functions() -> Vec<&'static FunctionDef> {
    let mut functions: Vec<_> = registry().all_functions().collect();
    functions.sort_by_key(|f| f.oid);
    functions
}

fn specific_name(f: &FunctionDef) -> Value {
    Value::from(format!("{}_{}", f.name, f.oid))
}

pub(super) fn routines(scope: &Scope<'_, '_>) -> Vec<Row> {
    functions()
        .into_iter()
        .filter(|f| {
            matches!(
                f.implementation,
                Implementation::Scalar(_) | Implementation::Set(_)
            )
        })
        .map(|f| {
            let ty = Type::new(f.result);
            named(
                scope.table(),
                vec![
                    ("specific_catalog", scope.database()),
                    ("specific_schema", text("pg_catalog")),
                    ("specific_name", specific_name(f)),
                    ("routine_catalog", scope.database()),
                    ("routine_schema", text("pg_catalog")),
                    ("routine_name", text(f.name)),
                    ("routine_type", text("FUNCTION")),
                    ("data_type", text(standard_name(ty))),
                    ("type_udt_catalog", scope.database()),
                    ("type_udt_schema", text("pg_catalog")),
                    ("type_udt_name", text(internal_name(ty))),
                    ("dtd_identifier", text("0")),
                    ("routine_body", text("EXTERNAL")),
                    ("routine_definition", text(f.name)),
                    ("external_language", text("INTERNAL")),
                    ("parameter_style", text("GENERAL")),
                    (
                        "is_deterministic",
                        yes_no(f.volatility == helios_planner::function::Volatility::Immutable),
                    ),
                    ("sql_data_access", text("MODIFIES")),
                    ("is_null_call", yes_no(f.strict)),
                    ("schema_level_routine", text("YES")),
                    ("max_dynamic_result_sets", Value::Int4(0)),
                    ("security_type", text("INVOKER")),
                    ("as_locator", text("NO")),
                    ("is_udt_dependent", text("NO")),
                ],
            )
        })
        .collect()
}

pub(super) fn parameters(scope: &Scope<'_, '_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for f in functions() {
        for (i, oid) in f.args.iter().enumerate() {
            let ty = Type::new(*oid);
            let position = i + 1;
            rows.push(named(
                scope.table(),
                vec![
                    ("specific_catalog", scope.database()),
                    ("specific_schema", text("pg_catalog")),
                    ("specific_name", specific_name(f)),
                    ("ordinal_position", Value::Int4(position as i32)),
                    ("parameter_mode", text("IN")),
                    ("is_result", text("NO")),
                    ("as_locator", text("NO")),
                    ("data_type", text(standard_name(ty))),
                    ("udt_catalog", scope.database()),
                    ("udt_schema", text("pg_catalog")),
                    ("udt_name", text(internal_name(ty))),
                    ("dtd_identifier", text(position.to_string())),
                ],
            ));
        }
    }
    rows
}
