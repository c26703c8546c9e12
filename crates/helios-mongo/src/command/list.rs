//! listDatabases and listCollections.

use super::namespace::Namespace;
use super::{Context, cursor};
use crate::error::Result;
use crate::translate::{Params, Statement};
use helios_planner::catalog::{Catalog, PUBLIC_SCHEMA_NAME, Relation};
use helios_planner::document::matcher::Matcher;
use helios_planner::document::raw::*;

/// MongoDB's names of everything that holds collections.
fn database_names(catalog: &Catalog, default: &str) -> Vec<String> {
    let mut names: Vec<String> = catalog.databases.values().map(|d| d.name.clone()).collect();
    if let Some(database) = catalog.database_named(default) {
        let schemas = catalog
            .schemas
            .values()
            .filter(|s| s.database == database.id);
        names.extend(
            schemas
                .map(|s| s.name.clone())
                .filter(|n| n != PUBLIC_SCHEMA_NAME),
        );
    }
    names.sort();
    names.dedup();
    names
}

/// Tables and views of a schema, by name.
fn relations<'c>(catalog: &'c Catalog, namespace: &Namespace) -> Vec<(&'c str, &'c Relation)> {
    let Some(database) = catalog.database_named(&namespace.database) else {
        return Vec::new();
    };
    let Some(schema) = catalog.schema_named(database.id, &namespace.schema) else {
        return Vec::new();
    };
    let mut out: Vec<(&str, &Relation)> = catalog
        .relations
        .values()
        .filter(|r| r.schema() == schema.id)
        .filter_map(|r| match r {
            Relation::Table(t) => Some((t.name.as_str(), r)),
            Relation::View(v) => Some((v.name.as_str(), r)),
            _ => None,
        })
        .collect();
    out.sort_by_key(|(name, _)| *name);
    out
}

pub(crate) async fn databases(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["nameOnly", "filter", "authorizedDatabases"])?;
    let names_only = context.get("nameOnly").truthy();
    let matcher = Matcher::compile(context.document("filter")?)?;
    let engine = context.client.server.engine.clone();
    let catalog = engine.catalog();
    let mut total = 0;
    let mut kept = ArrayWriter::new();
    for name in database_names(&catalog, engine.default_database()) {
        let namespace = Namespace::of(&engine, &name)?;
        if namespace.is_reserved() {
            continue;
        }
        let mut out = Writer::new();
        out.put_str("name", &name);
        if !names_only {
            let size = size_of(context, &catalog, &namespace).await?;
            total += size;
            out.put_i64("sizeOnDisk", size)
                .put_bool("empty", relations(&catalog, &namespace).is_empty());
        }
        let document = out.finish();
        if matcher.matches(Bson::document(&document))? {
            kept.push(Bson::document(&document));
        }
    }
    context.out.put("databases", kept.finish_buf().as_bson());
    if !names_only {
        context
            .out
            .put_i64("totalSize", total)
            .put_i64("totalSizeMb", total >> 20);
    }
    Ok(())
}

/// Bytes of a database's tables, where this session can ask for them.
async fn size_of(
    context: &mut Context<'_>,
    catalog: &Catalog,
    namespace: &Namespace,
) -> Result<i64> {
    let own = context.session()?.database().to_owned();
    if own != namespace.database {
        return Ok(0);
    }
    let mut total = 0;
    for (name, _) in relations(catalog, namespace)
        .into_iter()
        .filter(|(_, r)| matches!(r, Relation::Table(_)))
    {
        total += table_size(context, &namespace.schema, name).await;
    }
    Ok(total)
}

/// Bytes that a table takes on disk; 0 when the engine cannot tell.
pub(crate) async fn table_size(context: &mut Context<'_>, schema: &str, table: &str) -> i64 {
    let mut params = Params::default();
    let name = format!(
        "{}.{}",
        crate::translate::quote(schema),
        crate::translate::quote(table)
    );
    let name = params.text(&name);
    let text = format!("SELECT pg_total_relation_size(({name})::regclass)");
    let size = cursor::scalar(context, Statement { text, params }).await;
    size.ok().flatten().and_then(|v| v.as_i64()).unwrap_or(0)
}

pub(crate) fn collections(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["filter", "nameOnly", "authorizedCollections", "cursor"])?;
    let matcher = Matcher::compile(context.document("filter")?)?;
    let names_only = context.get("nameOnly").truthy();
    let namespace = context.namespace()?;
    let catalog = context.session()?.catalog();
    let mut documents = Vec::new();
    for (name, relation) in relations(&catalog, &namespace) {
        let view = matches!(relation, Relation::View(_));
        let mut out = Writer::new();
        out.put_str("name", name)
            .put_str("type", if view { "view" } else { "collection" });
        if !names_only {
            out.start_document("options").end();
            out.start_document("info").put_bool("readOnly", view).end();
            if !view {
                out.start_document("idIndex")
                    .put_i32("v", 2)
                    .start_document("key")
                    .put_i32("_id", 1)
                    .end();
                out.put_str("name", "_id_").end();
            }
        }
        let document = out.finish();
        if matcher.matches(Bson::document(&document))? {
            documents.push(document);
        }
    }
    let name = format!("{}.$cmd.listCollections", context.database);
    cursor::write(context, &name, &documents, 0, "firstBatch")
}

/// Names of a database's document tables: what `dropDatabase` may drop.
pub(crate) fn document_tables(catalog: &Catalog, namespace: &Namespace) -> (Vec<String>, usize) {
    let all = relations(catalog, namespace);
    let documents = all.iter().filter_map(|(name, r)| match r {
        Relation::Table(t) if t.shape == helios_planner::catalog::Shape::Document => {
            Some((*name).to_owned())
        }
        _ => None,
    });
    (documents.collect(), all.len())
}
