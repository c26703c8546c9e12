//! tables, from the catalog.

use super::row::find_target;
use crate::app::App;
use crate::error::{Failure, Result};
use crate::execute::Borrowed;
use crate::json::at_ms;
use crate::reply::Reply;
use crate::request::Request;
use crate::target::{Rows as TargetRows, Target, quote};
use crate::type_name;
use helios_engine::TableSize;
use helios_planner::catalog::{Catalog, Index, IndexKey, Relation, Table};
use helios_types::DatabaseId;
use serde_json::{Value as Json, json};
use std::sync::Arc;

struct Entry {
    schema: String,
    name: String,
    kind: &'static str,
    /// What has rows and bytes that are counted.
    table: Option<Arc<Table>>,
    relation: Relation,
}

pub fn list(app: &App, request: &Request) -> Result<Reply> {
    let catalog = app.engine.catalog();
    let Some(database) = catalog.database_named(&request.database).map(|d| d.id) else {
        return Err(Failure::not_found(format!(
            "database \"{}\" does not exist",
            request.database
        )));
    };
    let with_views = request.query_bool("include_views", true)?;
    let with_system = request.query_bool("include_system", false)?;
    let mut entries: Vec<Entry> = catalog
        .relations
        .values()
        .filter_map(|relation| entry(&catalog, database, relation))
        .filter(|e| with_views || e.kind != "view")
        .filter(|e| with_system || !is_system(&e.schema))
        .filter(|e| {
            request
                .query_str("schema")
                .is_none_or(|schema| schema == e.schema)
        })
        .filter(|e| {
            request
                .query_str("pattern")
                .is_none_or(|pattern| like(&e.name, pattern))
        })
        .collect();
    entries.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    let mut borrowed = Borrowed::new(app, request)?;
    let mut tables = Vec::with_capacity(entries.len());
    for e in &entries {
        // Null for a table that the caller may not read.
        let size = match &e.table {
            Some(table) => borrowed.session()?.table_size(table).ok(),
            None => None,
        };
        let (made, changed) = app.engine.relation_times(&e.relation)?.unzip();
        tables.push(json!({
            "name": e.name, "schema": e.schema, "type": e.kind,
            "row_count": size.map(|s| s.rows),
            "size_bytes": size.map(|s| s.row_bytes + s.index_bytes),
            "created_at": made.map(at_ms), "updated_at": changed.map(at_ms),
        }));
    }
    Ok(Reply::value(
        200,
        &json!({"total_count": tables.len(), "tables": tables}),
    ))
}

fn is_system(schema: &str) -> bool {
    schema == "information_schema" || schema.starts_with("pg_")
}

fn entry(catalog: &Catalog, database: DatabaseId, relation: &Relation) -> Option<Entry> {
    let (name, kind, table) = match relation {
        Relation::Table(t) => (&t.name, "table", Some(t.clone())),
        Relation::View(v) => (&v.name, "view", None),
        Relation::Virtual(v) => (&v.name, "table", None),
        Relation::Sequence(_) | Relation::Index { .. } => return None,
    };
    let schema = catalog.schemas.get(&relation.schema())?;
    let here = schema.database == database || schema.database == DatabaseId(0);
    here.then(|| Entry {
        schema: schema.name.clone(),
        name: name.clone(),
        kind,
        table,
        relation: relation.clone(),
    })
}

/// SQL's LIKE: `%` any characters, `_` one, `\` takes the next as it is.
fn like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    // Positions in the text that the pattern so far can have reached.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut at = 0;
    while let Some(&c) = pattern.get(at) {
        at += 1;
        let mut next = vec![false; text.len() + 1];
        if c == '%' {
            let from = reached.iter().position(|r| *r).unwrap_or(text.len() + 1);
            next.iter_mut().skip(from).for_each(|n| *n = true);
        } else {
            let literal = if c == '\\' {
                at += 1;
                pattern.get(at - 1).copied()
            } else {
                Some(c).filter(|c| *c != '_')
            };
            for (i, t) in text.iter().enumerate() {
                next[i + 1] = reached[i] && literal.is_none_or(|l| l == *t);
            }
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

pub fn detail(app: &App, request: &Request) -> Result<Reply> {
    let target = find_target(app, request)?;
    let mut borrowed = Borrowed::new(app, request)?;
    let (size, analyzed) = match &target.relation {
        TargetRows::Table(table) => (
            borrowed.session()?.table_size(table).ok(),
            app.engine.analyzed_us(table.id)?,
        ),
        TargetRows::View(_) | TargetRows::Virtual(_) => (None, None),
    };
    let mut reply = describe(&app.engine.catalog(), &target, size);
    if let Some(time) = analyzed.and_then(|us| u64::try_from(us / 1000).ok()) {
        reply["statistics"]["last_analyzed"] = Json::from(at_ms(time));
    }
    Ok(Reply::value(200, &reply))
}

fn describe(catalog: &Catalog, target: &Target, size: Option<TableSize>) -> Json {
    let (kind, columns, indexes, constraints) = match &target.relation {
        TargetRows::Table(table) => (
            "table",
            table_columns(catalog, table),
            indexes(table),
            constraints(catalog, table),
        ),
        TargetRows::View(_) => ("view", plain_columns(target), json!([]), json!([])),
        TargetRows::Virtual(_) => ("table", plain_columns(target), json!([]), json!([])),
    };
    json!({
        "name": target.name(),
        "schema": target.schema.name,
        "type": kind,
        "columns": columns,
        "indexes": indexes,
        "constraints": constraints,
        "statistics": {
            "row_count": size.map(|s| s.rows),
            "size_bytes": size.map(|s| s.row_bytes + s.index_bytes),
            "index_size_bytes": size.map(|s| s.index_bytes),
            "last_analyzed": null,
        },
    })
}

/// Columns of which only name and type are known.
fn plain_columns(target: &Target) -> Json {
    let columns = target.columns().into_iter().map(|(name, ty)| {
        json!({"name": name, "type": type_name::with_modifier(ty), "nullable": true, "default": null, "is_primary_key": false})
    });
    columns.collect()
}

fn table_columns(catalog: &Catalog, table: &Table) -> Json {
    let primary = table.primary_key().is_some();
    let default = |column: &helios_planner::catalog::Column| -> Json {
        if let Some(text) = &column.default {
            return Json::from(text.as_str());
        }
        let sequence = column
            .sequence
            .and_then(|id| match catalog.relations.get(&id) {
                Some(Relation::Sequence(s)) => Some(s),
                _ => None,
            });
        sequence.map_or(Json::Null, |s| {
            Json::from(format!("nextval('{}'::regclass)", s.name))
        })
    };
    table
        .live_columns()
        .map(|(position, column)| {
            json!({
                "name": column.name,
                "type": type_name::with_modifier(column.ty),
                "nullable": !column.not_null,
                "default": default(column),
                "is_primary_key": primary && table.key.contains(&position),
            })
        })
        .collect()
}

fn indexes(table: &Table) -> Json {
    let column = |key: &IndexKey| match key {
        IndexKey::Column(position) => table
            .columns
            .get(*position)
            .map_or_else(String::new, |c| c.name.clone()),
        IndexKey::Expression(text, _) => text.clone(),
        IndexKey::Path(path) => path.clone(),
    };
    let describe = |index: &Index| {
        let columns: Vec<String> = index.columns.iter().map(|c| column(&c.key)).collect();
        json!({"name": index.name, "type": "btree", "columns": columns, "unique": index.unique, "primary": index.primary})
    };
    table.indexes.iter().map(describe).collect()
}

fn constraints(catalog: &Catalog, table: &Table) -> Json {
    let names = |table: &Table, positions: &[usize]| {
        positions
            .iter()
            .filter_map(|&i| table.columns.get(i))
            .map(|c| quote(&c.name))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut out: Vec<Json> = table
        .checks
        .iter()
        .map(|c| json!({"name": c.name, "type": "check", "definition": c.expression}))
        .collect();
    for index in table
        .indexes
        .iter()
        .filter(|i| i.unique && !i.primary && i.constraint.is_some())
    {
        let columns: Vec<String> = index
            .columns
            .iter()
            .filter_map(|c| {
                if let IndexKey::Column(i) = c.key {
                    table.columns.get(i)
                } else {
                    None
                }
            })
            .map(|c| quote(&c.name))
            .collect();
        out.push(json!({"name": index.name, "type": "unique", "definition": format!("UNIQUE ({})", columns.join(", "))}));
    }
    for foreign in &table.foreign_keys {
        let Some(referenced) = catalog.table(foreign.referenced) else {
            continue;
        };
        let definition = format!(
            "FOREIGN KEY ({}) REFERENCES {}({})",
            names(table, &foreign.columns),
            quote(&referenced.name),
            names(referenced, &foreign.referenced_columns)
        );
        out.push(json!({"name": foreign.name, "type": "foreign_key", "definition": definition}));
    }
    Json::Array(out)
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn like_matches_as_sql_does() {
        let cases = [
            ("users", "users", true),
            ("users", "u%", true),
            ("users", "%s", true),
            ("users", "u_ers", true),
            ("users", "u", false),
            ("users", "%x%", false),
            ("a_b", "a\\_b", true),
            ("axb", "a\\_b", false),
            ("", "%", true),
            ("", "_", false),
            ("", "", true),
        ];
        for (text, pattern, expected) in cases {
            assert_eq!(like(text, pattern), expected, "{text} like {pattern}");
        }
    }
}
