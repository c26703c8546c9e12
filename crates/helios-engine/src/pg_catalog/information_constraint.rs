//! Constraints in information_schema.

use super::Row;
use super::constraint::index_positions;
use super::information::{Scope, TABLE_COLUMNS};
use super::row::{named, text, yes_no};
use helios_planner::catalog::{ForeignKey, Index, ReferentialAction, Relation, Table};
use helios_planner::function::catalog::definition::strip_parentheses;
use helios_types::Value;

const CONSTRAINT_COLUMNS: [&str; 3] =
    ["constraint_catalog", "constraint_schema", "constraint_name"];

fn tables<'a>(scope: &Scope<'a, '_>) -> Vec<(&'a Relation, &'a Table)> {
    scope
        .relations("r")
        .into_iter()
        .filter_map(|r| match r {
            Relation::Table(table) => Some((r, &**table)),
            _ => None,
        })
        .collect()
}

/// The columns that name a constraint of this table.
fn constraint_columns(
    scope: &Scope<'_, '_>,
    table: &Table,
    name: &str,
) -> Vec<(&'static str, Value)> {
    let schema = text(scope.request.schema_name(table.schema));
    CONSTRAINT_COLUMNS
        .into_iter()
        .zip([scope.database(), schema, text(name)])
        .collect()
}

fn not_null_name(table: &Table, position: usize) -> String {
    // PostgreSQL 15 has no such constraint and makes up this name.
    format!(
        "{}_{}_{}_not_null",
        table.schema.0,
        table.id.0,
        position + 1
    )
}

fn not_null_columns(table: &Table) -> impl Iterator<Item = (usize, &str)> {
    table
        .live_columns()
        .filter(|(_, c)| c.not_null)
        .map(|(i, c)| (i, c.name.as_str()))
}

pub(super) fn table_constraints(scope: &Scope<'_, '_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (relation, table) in tables(scope) {
        let mut add = |name: &str, kind: &str, deferrable: bool, deferred: bool, distinct| {
            let mut values = constraint_columns(scope, table, name);
            values.extend(scope.relation_columns(TABLE_COLUMNS, relation));
            values.extend([
                ("constraint_type", text(kind)),
                ("is_deferrable", yes_no(deferrable)),
                ("initially_deferred", yes_no(deferred)),
                ("enforced", text("YES")),
                ("nulls_distinct", distinct),
            ]);
            rows.push(named(scope.table(), values));
        };
        for index in table.indexes.iter().filter(|i| i.constraint.is_some()) {
            if index.primary {
                add(&index.name, "PRIMARY KEY", false, false, Value::Null);
            } else {
                add(
                    &index.name,
                    "UNIQUE",
                    false,
                    false,
                    yes_no(!index.nulls_not_distinct),
                );
            }
        }
        for key in &table.foreign_keys {
            add(
                &key.name,
                "FOREIGN KEY",
                key.deferrable,
                key.initially_deferred,
                Value::Null,
            );
        }
        for check in &table.checks {
            add(&check.name, "CHECK", false, false, Value::Null);
        }
        for (position, _) in not_null_columns(table) {
            add(
                &not_null_name(table, position),
                "CHECK",
                false,
                false,
                Value::Null,
            );
        }
    }
    rows
}

fn column_name(table: &Table, position: usize) -> &str {
    table.columns.get(position).map_or("", |c| &c.name)
}

/// Where a referenced column stands in the key that it belongs to.
fn position_in_key(scope: &Scope<'_, '_>, key: &ForeignKey, referenced: usize) -> Value {
    let table = scope.request.catalog.table(key.referenced);
    let index = table.and_then(|t| t.index(key.referenced_index));
    index
        .and_then(|i| index_positions(i).position(|p| p == referenced))
        .map_or(Value::Null, |n| Value::Int4(n as i32 + 1))
}

pub(super) fn key_column_usage(scope: &Scope<'_, '_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (relation, table) in tables(scope) {
        let mut add = |name: &str, position: usize, ordinal: usize, in_key: Value| {
            let mut values = constraint_columns(scope, table, name);
            values.extend(scope.relation_columns(TABLE_COLUMNS, relation));
            values.extend([
                ("column_name", text(column_name(table, position))),
                ("ordinal_position", Value::Int4(ordinal as i32 + 1)),
                ("position_in_unique_constraint", in_key),
            ]);
            rows.push(named(scope.table(), values));
        };
        for index in table.indexes.iter().filter(|i| i.constraint.is_some()) {
            for (ordinal, position) in index_positions(index).enumerate() {
                add(&index.name, position, ordinal, Value::Null);
            }
        }
        for key in &table.foreign_keys {
            for (ordinal, (position, referenced)) in
                key.columns.iter().zip(&key.referenced_columns).enumerate()
            {
                add(
                    &key.name,
                    *position,
                    ordinal,
                    position_in_key(scope, key, *referenced),
                );
            }
        }
    }
    rows
}

/// Every constraint with the tables and columns it uses: a foreign key uses what it references.
fn usages(
    scope: &Scope<'_, '_>,
) -> Vec<(
    String,
    Vec<(&'static str, Value)>,
    Vec<(&'static str, Value)>,
)> {
    let catalog = &scope.request.catalog;
    let mut usages = Vec::new();
    for (relation, table) in tables(scope) {
        let mut add = |name: &str, used: &Relation, columns: Vec<String>| {
            for column in columns {
                usages.push((
                    column,
                    scope.relation_columns(TABLE_COLUMNS, used),
                    constraint_columns(scope, table, name),
                ));
            }
        };
        let names = |t: &Table, positions: Vec<usize>| {
            positions
                .into_iter()
                .map(|p| column_name(t, p).to_owned())
                .collect::<Vec<_>>()
        };
        for index in table.indexes.iter().filter(|i| i.constraint.is_some()) {
            add(
                &index.name,
                relation,
                names(table, index_positions(index).collect()),
            );
        }
        for check in &table.checks {
            add(&check.name, relation, names(table, check.columns.clone()));
        }
        for key in &table.foreign_keys {
            let referenced = catalog.relations.get(&key.referenced);
            if let Some(used @ Relation::Table(t)) = referenced {
                add(&key.name, used, names(t, key.referenced_columns.clone()));
            }
        }
    }
    usages
}

pub(super) fn constraint_column_usage(scope: &Scope<'_, '_>) -> Vec<Row> {
    usages(scope)
        .into_iter()
        .map(|(column, mut table, constraint)| {
            table.extend(constraint);
            table.push(("column_name", text(column)));
            named(scope.table(), table)
        })
        .collect()
}

pub(super) fn constraint_table_usage(scope: &Scope<'_, '_>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut last = None;
    for (_, mut table, constraint) in usages(scope) {
        table.extend(constraint);
        let row = named(scope.table(), table);
        // The columns of one constraint follow each other.
        let key: Vec<String> = row
            .iter()
            .map(|v| v.as_str().unwrap_or_default().to_owned())
            .collect();
        if last.as_ref() != Some(&key) {
            rows.push(row);
            last = Some(key);
        }
    }
    rows
}

fn rule(action: ReferentialAction) -> &'static str {
    match action {
        ReferentialAction::NoAction => "NO ACTION",
        ReferentialAction::Restrict => "RESTRICT",
        ReferentialAction::Cascade => "CASCADE",
        ReferentialAction::SetNull => "SET NULL",
        ReferentialAction::SetDefault => "SET DEFAULT",
    }
}

pub(super) fn referential_constraints(scope: &Scope<'_, '_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (_, table) in tables(scope) {
        for key in &table.foreign_keys {
            let mut values = constraint_columns(scope, table, &key.name);
            let referenced = scope.request.catalog.table(key.referenced);
            let index: Option<&Index> = referenced.and_then(|t| t.index(key.referenced_index));
            // A unique index that no constraint owns has no name in the standard.
            if let (Some(t), Some(index)) = (referenced, index)
                && index.constraint.is_some()
            {
                values.extend([
                    ("unique_constraint_catalog", scope.database()),
                    (
                        "unique_constraint_schema",
                        text(scope.request.schema_name(t.schema)),
                    ),
                    ("unique_constraint_name", text(&index.name)),
                ]);
            }
            values.extend([
                (
                    "match_option",
                    text(if key.match_full { "FULL" } else { "NONE" }),
                ),
                ("update_rule", text(rule(key.on_update))),
                ("delete_rule", text(rule(key.on_delete))),
            ]);
            rows.push(named(scope.table(), values));
        }
    }
    rows
}

pub(super) fn check_constraints(scope: &Scope<'_, '_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (_, table) in tables(scope) {
        for check in &table.checks {
            let mut values = constraint_columns(scope, table, &check.name);
            let clause = format!("({})", strip_parentheses(&check.expression));
            values.push(("check_clause", Value::from(clause)));
            rows.push(named(scope.table(), values));
        }
        for (position, name) in not_null_columns(table) {
            let mut values = constraint_columns(scope, table, &not_null_name(table, position));
            values.push(("check_clause", Value::from(format!("{name} IS NOT NULL"))));
            rows.push(named(scope.table(), values));
        }
    }
    rows
}
