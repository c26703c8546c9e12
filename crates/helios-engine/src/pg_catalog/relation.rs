//! Relations and their columns: pg_class, pg_attribute, pg_attrdef, pg_index, pg_namespace,
//! pg_sequence.

use super::access::{default_operator_class, type_facts};
use super::row::{EMPTY_LETTER, acl, array, int2, letter, oid, optional, text, vector};
use super::{Request, Row, table_list};
use helios_planner::catalog::{Column, Identity, Index, IndexKey, Relation, Table};
use helios_planner::function::catalog::definition::index_column;
use helios_types::{ObjectId, Result, Type, Value};

const HEAP: u32 = 2;
const BTREE: u32 = 403;
pub(super) const RELATION_LETTERS: &str = "arwdDxt";

/// The columns of a relation, as far as `pg_attribute` knows them.
pub(super) struct Attribute<'a> {
    pub(super) number: usize,
    pub(super) name: &'a str,
    pub(super) ty: Type,
    pub(super) column: Option<&'a Column>,
}

/// What every sequence shows when it is read as a table.
const SEQUENCE_COLUMNS: [(&str, Type); 3] = [
    ("last_value", Type::INT8),
    ("log_cnt", Type::INT8),
    ("is_called", Type::BOOL),
];

pub(super) fn attributes<'a>(
    relation: &'a Relation,
    request: &'a Request<'_>,
) -> Vec<Attribute<'a>> {
    let plain = |number: usize, name: &'a str, ty: Type| Attribute {
        number,
        name,
        ty,
        column: None,
    };
    match relation {
        Relation::Table(t) => t
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| Attribute {
                number: i + 1,
                name: &c.name,
                ty: c.ty,
                column: Some(c),
            })
            .collect(),
        Relation::View(v) => v
            .columns
            .iter()
            .enumerate()
            .map(|(i, (name, ty))| plain(i + 1, name, *ty))
            .collect(),
        Relation::Virtual(v) => v
            .columns
            .iter()
            .enumerate()
            .map(|(i, (name, ty))| plain(i + 1, name, *ty))
            .collect(),
        Relation::Sequence(_) => SEQUENCE_COLUMNS
            .iter()
            .enumerate()
            .map(|(i, (name, ty))| plain(i + 1, name, *ty))
            .collect(),
        Relation::Index { id, table, .. } => match request.catalog.table(*table) {
            Some(table) => index_attributes(table, *id),
            None => Vec::new(),
        },
    }
}

fn index_attributes(table: &Table, id: ObjectId) -> Vec<Attribute<'_>> {
    let Some(index) = table.index(id) else {
        return Vec::new();
    };
    let keys = index.columns.iter().map(|c| &c.key);
    let mut attributes = Vec::new();
    for key in keys {
        let number = attributes.len() + 1;
        let (name, ty) = match key {
            IndexKey::Column(position) => match table.columns.get(*position) {
                Some(c) => (c.name.as_str(), c.ty),
                None => continue,
            },
            IndexKey::Expression(_, ty) => ("expr", *ty),
            IndexKey::Path(path) => (path.as_str(), Type::JSONB),
        };
        attributes.push(Attribute {
            number,
            name,
            ty,
            column: None,
        });
    }
    for column in index.include.iter().filter_map(|p| table.columns.get(*p)) {
        let number = attributes.len() + 1;
        attributes.push(Attribute {
            number,
            name: &column.name,
            ty: column.ty,
            column: None,
        });
    }
    attributes
}

pub(super) fn relation_kind(relation: &Relation) -> char {
    match relation {
        Relation::Table(_) => 'r',
        Relation::View(_) => 'v',
        Relation::Sequence(_) => 'S',
        Relation::Index { .. } => 'i',
        Relation::Virtual(v) if table_list::is_view(v.id) => 'v',
        Relation::Virtual(_) => 'r',
    }
}

pub(super) fn relation_name<'a>(relation: &'a Relation, request: &'a Request<'_>) -> &'a str {
    match relation {
        Relation::Table(t) => &t.name,
        Relation::View(v) => &v.name,
        Relation::Sequence(s) => &s.name,
        Relation::Virtual(v) => &v.name,
        Relation::Index { id, table, .. } => request
            .catalog
            .table(*table)
            .and_then(|t| t.index(*id))
            .map_or("", |i| &i.name),
    }
}

pub(super) fn relation_owner(relation: &Relation, request: &Request<'_>) -> ObjectId {
    match relation {
        Relation::Table(t) => t.owner,
        Relation::View(v) => v.owner,
        Relation::Sequence(s) => s.owner,
        Relation::Index { table, .. } => request
            .catalog
            .table(*table)
            .map_or(ObjectId(0), |t| t.owner),
        Relation::Virtual(v) => request
            .catalog
            .schemas
            .get(&v.schema)
            .map_or(ObjectId(10), |s| s.owner),
    }
}

pub(super) fn pg_class(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    let name = request.wanted_name("relname");
    Ok(request
        .relations(request.wanted("oid"))
        .into_iter()
        .filter(|r| name.is_none_or(|name| relation_name(r, request) == name))
        .map(|relation| pg_class_row(relation, request))
        .collect())
}

fn pg_class_row(relation: &Relation, request: &Request<'_>) -> Row {
    let kind = relation_kind(relation);
    let table = match relation {
        Relation::Table(table) => Some(&**table),
        _ => None,
    };
    let stored = matches!(kind, 'r' | 'i' | 'S');
    let has_rows = matches!(kind, 'r');
    let referenced = table.is_some_and(|t| request.catalog.referencing(t.id).next().is_some());
    let storage = match relation {
        Relation::Table(t) => t.storage,
        r if stored => r.id(),
        _ => ObjectId(0),
    };
    let owner = relation_owner(relation, request);
    let grants = match relation {
        Relation::Table(t) => acl(request, owner, RELATION_LETTERS, &t.grants),
        Relation::View(v) => acl(request, owner, RELATION_LETTERS, &v.grants),
        Relation::Sequence(s) => acl(request, owner, "rwU", &s.grants),
        _ => Value::Null,
    };
    let access_method = match kind {
        'r' => HEAP,
        'i' => BTREE,
        _ => 0,
    };
    let history = table.filter(|t| t.history).map(|_| "history=true".into());
    let prefix = table
        .and_then(|t| t.redis_prefix.as_ref())
        .map(|prefix| Value::from(format!("redis_prefix={prefix}")));
    let options: Vec<Value> = history.into_iter().chain(prefix).collect();
    let options = (!options.is_empty()).then(|| array(Type::TEXT, options));
    vec![
        oid(relation.id()),
        text(relation_name(relation, request)),
        oid(relation.schema()),
        Value::Oid(0),
        Value::Oid(0),
        oid(owner),
        Value::Oid(access_method),
        oid(storage),
        Value::Oid(0),
        Value::Int4(0),
        Value::Float4(if stored { -1.0 } else { 0.0 }),
        Value::Int4(0),
        Value::Oid(0),
        Value::Bool(table.is_some_and(|t| !t.indexes.is_empty())),
        Value::Bool(false),
        letter(if table.is_some_and(|t| t.temporary) {
            't'
        } else {
            'p'
        }),
        letter(kind),
        int2(attributes(relation, request).len()),
        int2(table.map_or(0, |t| t.checks.len())),
        Value::Bool(kind == 'v'),
        // Foreign keys are triggers in PostgreSQL, and psql looks here before it asks for them.
        Value::Bool(referenced || table.is_some_and(|t| !t.foreign_keys.is_empty())),
        Value::Bool(false),
        Value::Bool(false),
        Value::Bool(false),
        Value::Bool(true),
        letter(if has_rows { 'd' } else { 'n' }),
        Value::Bool(false),
        Value::Oid(0),
        Value::Oid(0),
        Value::Oid(0),
        grants,
        options.unwrap_or_default(),
        Value::Null,
    ]
}

pub(super) fn pg_attribute(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    let mut rows = Vec::new();
    for relation in request.relations(request.wanted("attrelid")) {
        for attribute in attributes(relation, request) {
            rows.push(pg_attribute_row(relation.id(), &attribute, relation));
        }
    }
    Ok(rows)
}

fn pg_attribute_row(id: ObjectId, attribute: &Attribute<'_>, relation: &Relation) -> Row {
    let column = attribute.column;
    let dropped = column.is_some_and(|c| c.dropped);
    let facts = type_facts(attribute.ty.oid);
    let name = if dropped {
        format!("........pg.dropped.{}........", attribute.number)
    } else {
        attribute.name.to_owned()
    };
    let not_null = match relation {
        // What psql shows of system tables does not depend on it; OIDs are never NULL.
        Relation::Virtual(_) => attribute.ty == Type::OID,
        Relation::Sequence(_) => true,
        _ => column.is_some_and(|c| c.not_null && !c.dropped),
    };
    let identity = match column.and_then(|c| c.identity) {
        Some(Identity::Always) => letter('a'),
        Some(Identity::ByDefault) => letter('d'),
        None => EMPTY_LETTER,
    };
    let generated = column.is_some_and(|c| c.generated.is_some());
    let has_default = column.is_some_and(|c| c.default.is_some() || c.generated.is_some());
    vec![
        oid(id),
        Value::from(name),
        Value::Oid(if dropped { 0 } else { attribute.ty.oid }),
        Value::Int4(-1),
        Value::Int2(facts.length),
        int2(attribute.number),
        Value::Int4(i32::from(
            attribute.ty.is_array() && !matches!(attribute.ty.oid, 22 | 30),
        )),
        Value::Int4(-1),
        Value::Int4(attribute.ty.modifier),
        Value::Bool(facts.by_value),
        letter(facts.align),
        letter(facts.storage),
        EMPTY_LETTER,
        Value::Bool(not_null),
        Value::Bool(has_default),
        Value::Bool(column.is_some_and(|c| c.missing.is_some())),
        identity,
        if generated { letter('s') } else { EMPTY_LETTER },
        Value::Bool(dropped),
        Value::Bool(true),
        Value::Int4(0),
        Value::Oid(if dropped { 0 } else { facts.collation }),
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
    ]
}

/// A stable OID for a column's default, which has none of its own: above every other OID.
pub(super) fn default_oid(table: ObjectId, position: usize) -> Value {
    Value::Oid(0x8000_0000 | (table.0 & 0x000f_ffff) << 11 | (position as u32 + 1) & 0x7ff)
}

/// Columns with a default or a generation expression.
pub(super) fn defaults(table: &Table) -> impl Iterator<Item = (usize, &str)> {
    table.live_columns().filter_map(|(position, column)| {
        let text = column.generated.as_deref().or(column.default.as_deref())?;
        Some((position, text))
    })
}

pub(super) fn pg_attrdef(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    let mut rows = Vec::new();
    for relation in request.relations(request.wanted("adrelid")) {
        let Relation::Table(table) = relation else {
            continue;
        };
        for (position, expression) in defaults(table) {
            rows.push(vec![
                default_oid(table.id, position),
                oid(table.id),
                int2(position + 1),
                text(expression),
            ]);
        }
    }
    Ok(rows)
}

/// The tables whose indexes are wanted, and which index of them.
pub(super) fn pg_index(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    let wanted = request.wanted("indexrelid");
    let table = match wanted.map(|id| request.catalog.relations.get(&ObjectId(id))) {
        Some(Some(Relation::Index { table, .. })) => Some(table.0),
        Some(_) => return Ok(Vec::new()),
        None => request.wanted("indrelid"),
    };
    let mut rows = Vec::new();
    for relation in request.relations(table) {
        let Relation::Table(table) = relation else {
            continue;
        };
        for index in &table.indexes {
            if wanted.is_none_or(|id| id == index.id.0) {
                rows.push(pg_index_row(table, index));
            }
        }
    }
    Ok(rows)
}

fn pg_index_row(table: &Table, index: &Index) -> Row {
    let column_type = |key: &IndexKey| match key {
        IndexKey::Column(position) => table.columns.get(*position).map_or(Type::TEXT, |c| c.ty),
        IndexKey::Expression(_, ty) => *ty,
        IndexKey::Path(_) => Type::JSONB,
    };
    let mut keys = Vec::new();
    let mut collations = Vec::new();
    let mut classes = Vec::new();
    let mut options = Vec::new();
    let mut expressions = Vec::new();
    for column in &index.columns {
        keys.push(match &column.key {
            IndexKey::Column(position) => int2(position + 1),
            other => {
                expressions.push(index_column(table, other));
                Value::Int2(0)
            }
        });
        let ty = column_type(&column.key);
        collations.push(Value::Oid(type_facts(ty.oid).collation));
        classes.push(Value::Oid(default_operator_class(ty)));
        options.push(Value::Int2(
            i16::from(column.descending) | i16::from(column.nulls_first) << 1,
        ));
    }
    keys.extend(index.include.iter().map(|position| int2(position + 1)));
    vec![
        oid(index.id),
        oid(table.id),
        int2(index.columns.len() + index.include.len()),
        int2(index.columns.len()),
        Value::Bool(index.unique),
        Value::Bool(index.nulls_not_distinct),
        Value::Bool(index.primary),
        Value::Bool(false),
        Value::Bool(true),
        Value::Bool(false),
        Value::Bool(true),
        Value::Bool(false),
        Value::Bool(true),
        Value::Bool(true),
        Value::Bool(false),
        vector(Type::INT2, keys),
        vector(Type::OID, collations),
        vector(Type::OID, classes),
        vector(Type::INT2, options),
        optional((!expressions.is_empty()).then(|| expressions.join(", "))),
        optional(index.predicate.as_deref()),
    ]
}

pub(super) fn pg_namespace(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    Ok(request
        .catalog
        .schemas
        .values()
        .filter(|s| request.sees_schema(s.id))
        .map(|s| {
            vec![
                oid(s.id),
                text(&s.name),
                oid(s.owner),
                acl(request, s.owner, "UC", &s.grants),
            ]
        })
        .collect())
}

pub(super) fn pg_sequence(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    Ok(request
        .relations(request.wanted("seqrelid"))
        .into_iter()
        .filter_map(|relation| match relation {
            Relation::Sequence(s) => Some(vec![
                oid(s.id),
                Value::Oid(s.ty.oid),
                Value::Int8(s.start),
                Value::Int8(s.increment),
                Value::Int8(s.max),
                Value::Int8(s.min),
                Value::Int8(s.cache),
                Value::Bool(s.cycle),
            ]),
            _ => None,
        })
        .collect())
}
