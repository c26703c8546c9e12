//! Facts that never change: types, access methods, operator classes, collations, tablespaces.

use super::row::{letter, parse_rows, text};
use super::{Request, Row};
use helios_types::{Oid, Result, Type, Value};
use std::collections::HashMap;
use std::sync::OnceLock;

const BTREE: u32 = 403;
const PG_CATALOG: Value = Value::Oid(11);
const OWNER: Value = Value::Oid(10);

/// What `pg_attribute` repeats of a column's type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TypeFacts {
    pub(crate) length: i16,
    pub(crate) by_value: bool,
    pub(crate) align: char,
    pub(crate) storage: char,
    pub(crate) collation: Oid,
}

const VARIABLE: TypeFacts = TypeFacts {
    length: -1,
    by_value: false,
    align: 'i',
    storage: 'x',
    collation: 0,
};

/// Facts of a type by its OID; unknown types are of variable length.
pub(crate) fn type_facts(oid: Oid) -> &'static TypeFacts {
    static FACTS: OnceLock<HashMap<Oid, TypeFacts>> = OnceLock::new();
    let facts = FACTS.get_or_init(|| {
        let parse = |line: &str| {
            let fields: Vec<&str> = line.split('\t').collect();
            let letter = |i: usize| fields.get(i).and_then(|f| f.chars().next());
            Some((
                fields.first()?.parse().ok()?,
                TypeFacts {
                    length: fields.get(4)?.parse().ok()?,
                    by_value: *fields.get(5)? == "t",
                    align: letter(22)?,
                    storage: letter(23)?,
                    collation: fields.get(28)?.parse().ok()?,
                },
            ))
        };
        include_str!("types.tsv")
            .lines()
            .filter_map(parse)
            .collect()
    });
    facts.get(&oid).unwrap_or(&VARIABLE)
}

pub(super) fn pg_type(request: &mut Request<'_>) -> Result<Vec<Row>> {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    let rows = ROWS.get_or_init(|| parse_rows(include_str!("types.tsv"), &request.table.columns));
    Ok(pick(rows, request.wanted("oid")))
}

/// All rows, or the one with this OID in its first column.
fn pick(rows: &[Row], id: Option<u32>) -> Vec<Row> {
    let Some(id) = id else { return rows.to_vec() };
    // The files are in the order of their OIDs.
    let found = rows.binary_search_by_key(&id, |row| match row.first() {
        Some(Value::Oid(oid)) => *oid,
        _ => 0,
    });
    found
        .ok()
        .and_then(|i| rows.get(i))
        .cloned()
        .into_iter()
        .collect()
}

pub(super) fn operator_classes(request: &mut Request<'_>) -> Result<Vec<Row>> {
    static CLASSES: OnceLock<Vec<Row>> = OnceLock::new();
    static FAMILIES: OnceLock<Vec<Row>> = OnceLock::new();
    static OPERATORS: OnceLock<Vec<Row>> = OnceLock::new();
    static FUNCTIONS: OnceLock<Vec<Row>> = OnceLock::new();
    let (cell, data) = match request.table.name.as_str() {
        "pg_opclass" => (&CLASSES, include_str!("opclass.tsv")),
        "pg_opfamily" => (&FAMILIES, include_str!("opfamily.tsv")),
        "pg_amop" => (&OPERATORS, include_str!("amop.tsv")),
        _ => (&FUNCTIONS, include_str!("amproc.tsv")),
    };
    let rows = cell.get_or_init(|| parse_rows(data, &request.table.columns));
    Ok(pick(rows, request.wanted("oid")))
}

/// The btree operator class that an index column of this type has by default.
pub(super) fn default_operator_class(ty: Type) -> Oid {
    static CLASSES: OnceLock<HashMap<Oid, Oid>> = OnceLock::new();
    let classes = CLASSES.get_or_init(|| {
        let parse = |line: &str| {
            let fields: Vec<&str> = line.split('\t').collect();
            (*fields.get(7)? == "t").then_some(())?;
            Some((fields.get(6)?.parse().ok()?, fields.first()?.parse().ok()?))
        };
        include_str!("opclass.tsv")
            .lines()
            .filter_map(parse)
            .collect()
    });
    let input = match ty.oid {
        1043 => Type::TEXT.oid,
        _ if ty.is_array() => Type::ANYARRAY.oid,
        oid => oid,
    };
    classes.get(&input).copied().unwrap_or(0)
}

pub(super) fn pg_am(_: &mut Request<'_>) -> Result<Vec<Row>> {
    Ok(vec![
        vec![Value::Oid(2), text("heap"), Value::Oid(3), letter('t')],
        vec![
            Value::Oid(BTREE),
            text("btree"),
            Value::Oid(330),
            letter('i'),
        ],
    ])
}

pub(super) fn pg_collation(_: &mut Request<'_>) -> Result<Vec<Row>> {
    let row = |oid: u32, name: &str, provider: char, locale: Option<&str>| {
        vec![
            Value::Oid(oid),
            text(name),
            PG_CATALOG,
            OWNER,
            letter(provider),
            Value::Bool(true),
            Value::Int4(-1),
            super::row::optional(locale),
            super::row::optional(locale),
            Value::Null,
            Value::Null,
        ]
    };
    Ok(vec![
        row(100, "default", 'd', None),
        row(950, "C", 'c', Some("C")),
        row(951, "POSIX", 'c', Some("POSIX")),
    ])
}

pub(super) fn pg_language(_: &mut Request<'_>) -> Result<Vec<Row>> {
    Ok(vec![vec![
        Value::Oid(12),
        text("internal"),
        OWNER,
        Value::Bool(false),
        Value::Bool(false),
        Value::Oid(0),
        Value::Oid(0),
        Value::Oid(2246),
        Value::Null,
    ]])
}

pub(super) fn pg_tablespace(_: &mut Request<'_>) -> Result<Vec<Row>> {
    let row =
        |oid: u32, name: &str| vec![Value::Oid(oid), text(name), OWNER, Value::Null, Value::Null];
    Ok(vec![row(1663, "pg_default"), row(1664, "pg_global")])
}
