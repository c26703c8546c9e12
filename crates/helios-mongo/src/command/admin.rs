//! Making, dropping, renaming and measuring collections.
//!
//! Only document tables are dropped here: tables of another shape belong to whoever made them.

use super::{Context, cursor, list, namespace};
use crate::error::{Result, fail, string};
use crate::translate::{Collection, Params, Query, Statement, quote};
use helios_engine::TransactionMode;
use helios_planner::document::error::code;
use helios_planner::document::raw::*;
use helios_types::value::Rows;

async fn run(context: &mut Context<'_>, text: &str) -> Result<()> {
    let mut nothing = Rows::default();
    context.session()?.run(text, &[], &mut nothing).await?;
    Ok(())
}

pub(crate) async fn create(context: &mut Context<'_>) -> Result<()> {
    const OPTIONS: &[&str] = &[
        "capped",
        "size",
        "max",
        "validator",
        "viewOn",
        "pipeline",
        "collation",
        "timeseries",
        "expireAfterSeconds",
        "clusteredIndex",
        "changeStreamPreAndPostImages",
        "encryptedFields",
        "storageEngine",
        "indexOptionDefaults",
        "validationLevel",
        "validationAction",
        "autoIndexId",
        "idIndex",
    ];
    context.check_fields(OPTIONS)?;
    context.refuse_options(OPTIONS)?;
    let name = context.collection_name()?;
    let namespace = context.namespace()?;
    if namespace.is_internal() || namespace.is_reserved() {
        fail!(
            code::ILLEGAL_OPERATION,
            "cannot create '{}.{name}'",
            context.database
        );
    }
    let catalog = context.session()?.catalog();
    if namespace.relation(&catalog, name).is_some() {
        fail!(
            code::NAMESPACE_EXISTS,
            "Collection {}.{name} already exists.",
            context.database
        );
    }
    namespace::create(context.session()?, &namespace, name).await
}

fn require_document(collection: &Collection, what: &str) -> Result<()> {
    if !collection.is_document() {
        fail!(
            code::UNAUTHORIZED,
            "{} is a table of SQL and cannot be {what} here",
            collection.namespace
        );
    }
    Ok(())
}

pub(crate) async fn drop(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&[])?;
    let name = context.collection_name()?;
    let Some(collection) = context.find_collection(name)? else {
        // Dropping what is not there succeeds since MongoDB 7.0.
        return Ok(());
    };
    require_document(&collection, "dropped")?;
    let indexes = collection.table.indexes.len() as i32 + 1;
    let server = context.client.server.clone();
    server.close_cursors(|namespace| namespace == collection.namespace);
    run(context, &format!("DROP TABLE {}", collection.name())).await?;
    context
        .out
        .put_str("ns", &collection.namespace)
        .put_i32("nIndexesWas", indexes);
    Ok(())
}

pub(crate) async fn drop_database(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&[])?;
    let namespace = context.namespace()?;
    let catalog = context.session()?.catalog();
    let (tables, all) = list::document_tables(&catalog, &namespace);
    let (server, name) = (context.client.server.clone(), context.database);
    server.close_cursors(|namespace| {
        let rest = namespace.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with('.'))
    });
    for table in &tables {
        run(
            context,
            &format!("DROP TABLE {}.{}", quote(&namespace.schema), quote(table)),
        )
        .await?;
    }
    // The schema goes when nothing of another protocol is in it.
    let database = context.client.server.engine.default_database().to_owned();
    if all > 0
        && all == tables.len()
        && namespace.database == database
        && namespace.schema != "public"
    {
        run(
            context,
            &format!("DROP SCHEMA IF EXISTS {}", quote(&namespace.schema)),
        )
        .await?;
    }
    let name = context.database;
    context.out.put_str("dropped", name);
    Ok(())
}

pub(crate) async fn rename(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["to", "dropTarget"])?;
    let (command, from) = context.request.command();
    let (from, to) = (
        string(command, command, from)?,
        string(command, "to", context.get("to"))?,
    );
    let (Some((from_db, from)), Some((to_db, to))) = (from.split_once('.'), to.split_once('.'))
    else {
        fail!(
            code::INVALID_NAMESPACE,
            "Invalid namespace specified '{from}'"
        );
    };
    if from_db != to_db {
        fail!(
            code::COMMAND_NOT_SUPPORTED,
            "renaming a collection into another database is not supported"
        );
    }
    namespace::check_collection_name(to_db, to)?;
    let engine = context.client.server.engine.clone();
    let place = namespace::Namespace::of(&engine, from_db)?;
    let own = context.namespace()?.database.clone();
    if place.database != own {
        fail!(
            code::COMMAND_NOT_SUPPORTED,
            "renaming a collection of another logical database is not supported"
        );
    }
    let catalog = context.session()?.catalog();
    let Some(source) = place.collection(&catalog, from_db, from) else {
        fail!(
            code::NAMESPACE_NOT_FOUND,
            "Source collection {from_db}.{from} does not exist"
        );
    };
    require_document(&source, "renamed")?;
    let server = context.client.server.clone();
    server.close_cursors(|namespace| {
        let known = namespace.strip_prefix(from_db);
        let known = known.and_then(|rest| rest.strip_prefix('.'));
        known.is_some_and(|name| name == from || name == to)
    });
    context.session()?.begin(TransactionMode::default())?;
    if let Some(target) = place.collection(&catalog, to_db, to) {
        if !context.get("dropTarget").truthy() {
            fail!(code::NAMESPACE_EXISTS, "target namespace exists");
        }
        require_document(&target, "dropped")?;
        run(context, &format!("DROP TABLE {}", target.name())).await?;
    }
    run(
        context,
        &format!("ALTER TABLE {} RENAME TO {}", source.name(), quote(to)),
    )
    .await?;
    // Indexes carry the name of their collection in front.
    for index in &source.table.indexes {
        let old = format!("{}.{}", quote(&source.schema), quote(&index.name));
        let new = quote(&format!("{to}.{}", source.index_name(index)));
        run(context, &format!("ALTER INDEX {old} RENAME TO {new}")).await?;
    }
    context.session()?.commit().await?;
    Ok(())
}

async fn row_count(context: &mut Context<'_>, collection: &Collection) -> Result<i64> {
    let none = |_: &str| None;
    let query = Query::over(Some(collection), Bson::MISSING, &none)?;
    Ok(cursor::scalar(context, query.finish_count(0, 0))
        .await?
        .and_then(|v| v.as_i64())
        .unwrap_or(0))
}

/// What `collStats` and `$collStats` tell of a collection.
#[derive(Default)]
struct Stats {
    count: i64,
    size: i64,
    indexes: i32,
}

impl Stats {
    async fn of(context: &mut Context<'_>, name: &str, scale: i64) -> Result<Stats> {
        let Some(collection) = context.find_collection(name)? else {
            return Ok(Stats::default());
        };
        let count = row_count(context, &collection).await?;
        let size = list::table_size(context, &collection.schema, &collection.table.name).await;
        let indexes = collection.table.indexes.iter().filter(|i| !i.primary);
        Ok(Stats {
            count,
            size: size / scale,
            indexes: indexes.count() as i32 + 1,
        })
    }

    fn write(&self, scale: i64, out: &mut Writer) {
        out.put_i64("size", self.size).put_i64("count", self.count);
        if self.count > 0 {
            out.put_i64("avgObjSize", self.size / self.count);
        }
        out.put_i64("storageSize", self.size)
            .put_bool("capped", false)
            .put_i32("nindexes", self.indexes);
        out.put_i64("totalSize", self.size)
            .put_i64("scaleFactor", scale);
    }
}

pub(crate) async fn collection_stats(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["scale", "freeStorage"])?;
    let name = context.collection_name()?;
    let scale = context.integer("scale")?.unwrap_or(1).max(1);
    let stats = Stats::of(context, name, scale).await?;
    let namespace = format!("{}.{name}", context.database);
    context.out.put_str("ns", &namespace);
    stats.write(scale, &mut context.out);
    Ok(())
}

/// The document of a `$collStats` stage.
pub(crate) async fn stats_document(
    context: &mut Context<'_>,
    name: &str,
    wanted: Bson<'_>,
) -> Result<Vec<u8>> {
    if !wanted.is_document() {
        fail!(
            5447000,
            "$collStats must take a nested object but found: {wanted:?}"
        );
    }
    if let Some((other, _)) = wanted
        .fields()
        .find(|(part, _)| !["storageStats", "count"].contains(part))
    {
        fail!(
            code::COMMAND_NOT_SUPPORTED,
            "'{other}' of $collStats is not supported"
        );
    }
    let storage = wanted.get("storageStats");
    let scale = storage.get("scale");
    let scale = crate::command::options::whole("storageStats.scale", scale)?.unwrap_or(1);
    let stats = Stats::of(context, name, scale.max(1)).await?;
    let mut out = Writer::new();
    out.put_str("ns", &format!("{}.{name}", context.database));
    out.put(
        "localTime",
        BsonBuf::date(crate::session::now_ms()).as_bson(),
    );
    if !storage.is_missing() {
        out.start_document("storageStats");
        stats.write(scale.max(1), &mut out);
        out.end();
    }
    if !wanted.get("count").is_missing() {
        out.put_i64("count", stats.count);
    }
    Ok(out.finish())
}

pub(crate) async fn database_stats(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["scale", "freeStorage"])?;
    let scale = context.integer("scale")?.unwrap_or(1).max(1);
    let namespace = context.namespace()?;
    let catalog = context.session()?.catalog();
    let (tables, relations) = list::document_tables(&catalog, &namespace);
    let (mut objects, mut size, mut indexes) = (0, 0, 0);
    for table in &tables {
        if let Some(collection) = namespace.collection(&catalog, context.database, table) {
            objects += row_count(context, &collection).await?;
            size += list::table_size(context, &collection.schema, table).await / scale;
            indexes += collection.table.indexes.len() as i32 + 1;
        }
    }
    let (name, out) = (context.database, &mut context.out);
    out.put_str("db", name)
        .put_i32("collections", relations as i32)
        .put_i32("views", 0);
    out.put_i64("objects", objects)
        .put_i64("dataSize", size)
        .put_i64("storageSize", size);
    out.put_i32("indexes", indexes)
        .put_i64("totalSize", size)
        .put_i64("scaleFactor", scale);
    Ok(())
}

/// Reads every document once, which fails on the first that does not decode.
pub(crate) async fn validate(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&[
        "full",
        "scandata",
        "repair",
        "metadata",
        "checkBSONConformance",
        "background",
    ])?;
    context.refuse_options(&["repair", "metadata"])?;
    let name = context.collection_name()?;
    let Some(collection) = context.find_collection(name)? else {
        fail!(
            code::NAMESPACE_NOT_FOUND,
            "Collection '{}.{name}' does not exist to validate.",
            context.database
        );
    };
    let mut params = Params::default();
    let everything = params.bson(Bson::document(EMPTY));
    let text = format!(
        "SELECT count(*) FROM {} AS t WHERE bson_match({}, {everything})",
        collection.name(),
        collection.document("t")
    );
    let n = cursor::scalar(context, Statement { text, params })
        .await?
        .and_then(|v| v.as_i64())
        .unwrap_or(0);
    let indexes = collection
        .table
        .indexes
        .iter()
        .filter(|i| !i.primary)
        .count() as i32
        + 1;
    let out = &mut context.out;
    out.put_str("ns", &collection.namespace)
        .put_i64("nrecords", n)
        .put_i32("nIndexes", indexes)
        .put_bool("valid", true);
    out.start_array("errors")
        .end()
        .start_array("warnings")
        .end();
    Ok(())
}
