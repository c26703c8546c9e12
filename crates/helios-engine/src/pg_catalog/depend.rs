//! pg_depend, pg_description, pg_shdescription, pg_rewrite.

use super::constraint::index_positions;
use super::relation::{default_oid, defaults};
use super::row::{letter, oid, text};
use super::{Request, Row};
use helios_planner::catalog::{Relation, Sequence, Table};
use helios_types::{DatabaseId, ObjectId, Result, Value};

/// OIDs of the catalogs that dependencies and comments name.
const PG_CLASS: u32 = 1259;
const PG_CONSTRAINT: u32 = 2606;
const PG_ATTRDEF: u32 = 2604;
const PG_NAMESPACE: u32 = 2615;
const PG_REWRITE: u32 = 2618;
const PG_DATABASE: u32 = 1262;

/// One end of a dependency: catalog, object, column.
#[derive(Clone)]
struct Object(u32, Value, usize);

fn relation(id: ObjectId, column: usize) -> Object {
    Object(PG_CLASS, oid(id), column)
}

fn depends(on: Object, of: Object, kind: char) -> Row {
    vec![
        Value::Oid(of.0),
        of.1,
        Value::Int4(of.2 as i32),
        Value::Oid(on.0),
        on.1,
        Value::Int4(on.2 as i32),
        letter(kind),
    ]
}

pub(super) fn pg_depend(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    let mut rows = Vec::new();
    for item in request.relations(None) {
        match item {
            Relation::Table(table) => table_dependencies(table, &mut rows),
            Relation::Sequence(sequence) => sequence_dependency(sequence, request, &mut rows),
            Relation::View(view) => {
                let rule = Object(PG_REWRITE, rule_oid(view.id), 0);
                rows.push(depends(relation(view.id, 0), rule.clone(), 'i'));
                for id in &view.depends_on {
                    rows.push(depends(relation(*id, 0), rule.clone(), 'n'));
                }
            }
            Relation::Index { .. } | Relation::Virtual(_) => continue,
        }
        let schema = Object(PG_NAMESPACE, oid(item.schema()), 0);
        rows.push(depends(schema, relation(item.id(), 0), 'n'));
    }
    Ok(rows)
}

fn table_dependencies(table: &Table, rows: &mut Vec<Row>) {
    for index in &table.indexes {
        let constraint = index.constraint.map(|id| Object(PG_CONSTRAINT, oid(id), 0));
        for position in index_positions(index) {
            let column = relation(table.id, position + 1);
            let dependent = constraint.clone().unwrap_or_else(|| relation(index.id, 0));
            rows.push(depends(column, dependent, 'a'));
        }
        if let Some(constraint) = constraint {
            rows.push(depends(constraint, relation(index.id, 0), 'i'));
        }
    }
    for check in &table.checks {
        let constraint = Object(PG_CONSTRAINT, oid(check.id), 0);
        for position in &check.columns {
            rows.push(depends(
                relation(table.id, position + 1),
                constraint.clone(),
                'a',
            ));
        }
    }
    for key in &table.foreign_keys {
        let constraint = Object(PG_CONSTRAINT, oid(key.id), 0);
        for position in &key.columns {
            rows.push(depends(
                relation(table.id, position + 1),
                constraint.clone(),
                'a',
            ));
        }
        for position in &key.referenced_columns {
            rows.push(depends(
                relation(key.referenced, position + 1),
                constraint.clone(),
                'n',
            ));
        }
        rows.push(depends(relation(key.referenced_index, 0), constraint, 'n'));
    }
    for (position, _) in defaults(table) {
        let default = Object(PG_ATTRDEF, default_oid(table.id, position), 0);
        rows.push(depends(
            relation(table.id, position + 1),
            default.clone(),
            'a',
        ));
        if let Some(sequence) = table.columns.get(position).and_then(|c| c.sequence) {
            rows.push(depends(relation(sequence, 0), default, 'n'));
        }
    }
}

fn sequence_dependency(sequence: &Sequence, request: &Request<'_>, rows: &mut Vec<Row>) {
    let Some((table, position)) = sequence.owned_by else {
        return;
    };
    let identity = request
        .catalog
        .table(table)
        .and_then(|t| t.columns.get(position))
        .is_some_and(|c| c.identity.is_some());
    let kind = if identity { 'i' } else { 'a' };
    rows.push(depends(
        relation(table, position + 1),
        relation(sequence.id, 0),
        kind,
    ));
}

/// The OID of a view's `_RETURN` rule, which has none of its own.
fn rule_oid(view: ObjectId) -> Value {
    Value::Oid(0xc000_0000 | view.0)
}

pub(super) fn pg_rewrite(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    Ok(request
        .relations(request.wanted("ev_class"))
        .into_iter()
        .filter_map(|r| match r {
            Relation::View(view) => Some(vec![
                rule_oid(view.id),
                text("_RETURN"),
                oid(view.id),
                letter('1'),
                letter('O'),
                Value::Bool(true),
                text("<>"),
                text(&view.query),
            ]),
            _ => None,
        })
        .collect())
}

pub(super) fn pg_description(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    let mut rows = Vec::new();
    let mut add = |id: ObjectId, class: u32, column: usize, comment: &Option<String>| {
        if let Some(comment) = comment {
            rows.push(vec![
                oid(id),
                Value::Oid(class),
                Value::Int4(column as i32),
                text(comment),
            ]);
        }
    };
    for item in request.relations(request.wanted("objoid")) {
        match item {
            Relation::Table(table) => {
                add(table.id, PG_CLASS, 0, &table.comment);
                for (position, column) in table.live_columns() {
                    add(table.id, PG_CLASS, position + 1, &column.comment);
                }
            }
            Relation::View(view) => add(view.id, PG_CLASS, 0, &view.comment),
            Relation::Sequence(s) => add(s.id, PG_CLASS, 0, &s.comment),
            Relation::Index { id, table, .. } => {
                let index = request.catalog.table(*table).and_then(|t| t.index(*id));
                if let Some(index) = index {
                    add(*id, PG_CLASS, 0, &index.comment);
                }
            }
            Relation::Virtual(_) => {}
        }
    }
    for schema in request
        .catalog
        .schemas
        .values()
        .filter(|s| request.sees_schema(s.id))
    {
        add(schema.id, PG_NAMESPACE, 0, &schema.comment);
    }
    Ok(rows)
}

pub(super) fn pg_shdescription(request: &mut Request<'_>) -> Result<Vec<Row>> {
    Ok(request
        .catalog
        .databases
        .values()
        .filter(|d| d.id != DatabaseId(0))
        .filter_map(|d| {
            let comment = d.comment.as_ref()?;
            Some(vec![
                Value::Oid(d.id.0),
                Value::Oid(PG_DATABASE),
                text(comment),
            ])
        })
        .collect())
}
