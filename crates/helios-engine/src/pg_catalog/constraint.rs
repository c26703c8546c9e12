//! pg_constraint.

use super::row::{attnums, letter, oid, optional, text};
use super::{Request, Row};
use helios_planner::catalog::{
    Check, ForeignKey, Index, IndexKey, ReferentialAction, Relation, Table,
};
use helios_types::{ObjectId, Result, Type, Value};

pub(super) fn pg_constraint(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let request = &*request;
    let mut rows = Vec::new();
    for relation in request.relations(request.wanted("conrelid")) {
        let Relation::Table(table) = relation else {
            continue;
        };
        for index in &table.indexes {
            if let Some(id) = index.constraint {
                rows.push(index_row(id, table, index));
            }
        }
        for check in &table.checks {
            rows.push(check_row(table, check));
        }
        for key in &table.foreign_keys {
            rows.push(foreign_key_row(table, key));
        }
    }
    Ok(rows)
}

/// The positions of an index's plain columns.
pub(super) fn index_positions(index: &Index) -> impl Iterator<Item = usize> {
    index.columns.iter().filter_map(|c| match c.key {
        IndexKey::Column(position) => Some(position),
        _ => None,
    })
}

/// The parts of a row that not every kind of constraint has.
struct Parts {
    id: ObjectId,
    name: String,
    kind: char,
    deferrable: bool,
    deferred: bool,
    index: ObjectId,
    referenced: ObjectId,
    update: Value,
    delete: Value,
    matching: Value,
    columns: Value,
    referenced_columns: Value,
    operators: Value,
    expression: Option<String>,
}

impl Parts {
    fn new(id: ObjectId, name: &str, kind: char) -> Self {
        Parts {
            id,
            name: name.to_owned(),
            kind,
            deferrable: false,
            deferred: false,
            index: ObjectId(0),
            referenced: ObjectId(0),
            update: letter(' '),
            delete: letter(' '),
            matching: letter(' '),
            columns: Value::Null,
            referenced_columns: Value::Null,
            operators: Value::Null,
            expression: None,
        }
    }

    fn into_row(self, table: &Table) -> Row {
        vec![
            oid(self.id),
            text(&self.name),
            oid(table.schema),
            letter(self.kind),
            Value::Bool(self.deferrable),
            Value::Bool(self.deferred),
            Value::Bool(true),
            oid(table.id),
            Value::Oid(0),
            oid(self.index),
            Value::Oid(0),
            oid(self.referenced),
            self.update,
            self.delete,
            self.matching,
            Value::Bool(true),
            Value::Int4(0),
            Value::Bool(self.kind != 'c'),
            self.columns,
            self.referenced_columns,
            self.operators.clone(),
            self.operators.clone(),
            self.operators,
            Value::Null,
            Value::Null,
            optional(self.expression),
        ]
    }
}

fn index_row(id: ObjectId, table: &Table, index: &Index) -> Row {
    let mut parts = Parts::new(id, &index.name, if index.primary { 'p' } else { 'u' });
    parts.index = index.id;
    parts.columns = attnums(index_positions(index));
    parts.into_row(table)
}

fn check_row(table: &Table, check: &Check) -> Row {
    let mut parts = Parts::new(check.id, &check.name, 'c');
    parts.columns = attnums(check.columns.iter().copied());
    parts.expression = Some(check.expression.clone());
    parts.into_row(table)
}

fn action(action: ReferentialAction) -> Value {
    letter(match action {
        ReferentialAction::NoAction => 'a',
        ReferentialAction::Restrict => 'r',
        ReferentialAction::Cascade => 'c',
        ReferentialAction::SetNull => 'n',
        ReferentialAction::SetDefault => 'd',
    })
}

fn foreign_key_row(table: &Table, key: &ForeignKey) -> Row {
    let mut parts = Parts::new(key.id, &key.name, 'f');
    parts.deferrable = key.deferrable;
    parts.deferred = key.initially_deferred;
    parts.index = key.referenced_index;
    parts.referenced = key.referenced;
    parts.update = action(key.on_update);
    parts.delete = action(key.on_delete);
    parts.matching = letter(if key.match_full { 'f' } else { 's' });
    parts.columns = attnums(key.columns.iter().copied());
    parts.referenced_columns = attnums(key.referenced_columns.iter().copied());
    let operators = key
        .columns
        .iter()
        .map(|p| Value::Oid(table.columns.get(*p).map_or(0, |c| equality_operator(c.ty))))
        .collect();
    parts.operators = super::row::array(Type::OID, operators);
    parts.into_row(table)
}

/// `pg_operator`'s OID of `=` over this type.
fn equality_operator(ty: Type) -> u32 {
    let base = if ty.oid == Type::VARCHAR.oid {
        Type::TEXT.oid
    } else {
        ty.oid
    };
    helios_planner::function::registry()
        .operators_named("=")
        .iter()
        .find(|o| o.left == base && o.right == base)
        .map_or(0, |o| o.oid)
}
