//! Indexes: createIndexes, listIndexes, dropIndexes.
//!
//! In the catalog an index is a relation of its schema, so the name that MongoDB scopes to a
//! collection is stored as `collection.name`. Indexes of document tables are over paths, in BSON
//! order, with an entry for each element of an array.

use super::{Context, cursor};
use crate::error::{MongoError, Result, fail, string};
use crate::translate::{Collection, quote};
use helios_planner::catalog::{Index, IndexColumn, IndexKey};
use helios_planner::document::error::code;
use helios_planner::document::number::Number;
use helios_planner::document::raw::*;
use helios_planner::utility::{CreateIndex, Utility};

const OPTIONS: &[&str] = &["key", "name", "unique", "v", "background", "hidden", "ns"];

/// An index as a client asked for it.
struct Wanted {
    name: String,
    keys: Vec<(String, bool)>,
    unique: bool,
}

pub(crate) async fn create(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["indexes", "commitQuorum", "ignoreUnknownIndexOptions"])?;
    context.refuse_options(&["ignoreUnknownIndexOptions"])?;
    let name = context.collection_name()?;
    let specs = context.get("indexes");
    if !specs.is_array() {
        fail!(
            code::TYPE_MISMATCH,
            "BSON field 'createIndexes.indexes' is the wrong type '{}', expected type 'array'",
            specs.type_name()
        );
    }
    if specs.is_empty() {
        fail!(code::BAD_VALUE, "Must specify at least one index to create");
    }
    let wanted = specs.elements().map(parse).collect::<Result<Vec<_>>>()?;
    let existed = context.find_collection(name)?.is_some();
    let collection = context.make_collection(name).await?;
    let before = listed(&collection).count() as i32 + 1;
    let mut made = 0;
    for index in &wanted {
        if !stands(&collection, index)? {
            build(context, &collection, index).await?;
            made += 1;
        }
    }
    let out = &mut context.out;
    out.put_i32("numIndexesBefore", before)
        .put_i32("numIndexesAfter", before + made);
    out.put_bool("createdCollectionAutomatically", !existed);
    if made == 0 {
        out.put_str("note", "all indexes already exist");
    }
    Ok(())
}

fn parse(spec: Bson<'_>) -> Result<Wanted> {
    for (option, value) in spec.fields() {
        // What is said to be off is off.
        if value.as_bool() == Some(false) {
            continue;
        }
        if !OPTIONS.contains(&option) {
            let known = matches!(
                option,
                "sparse"
                    | "partialFilterExpression"
                    | "expireAfterSeconds"
                    | "collation"
                    | "weights"
                    | "default_language"
                    | "language_override"
                    | "textIndexVersion"
                    | "2dsphereIndexVersion"
                    | "bits"
                    | "min"
                    | "max"
                    | "bucketSize"
                    | "storageEngine"
                    | "wildcardProjection"
            );
            if known {
                fail!(
                    code::COMMAND_NOT_SUPPORTED,
                    "index option '{option}' is not supported"
                );
            }
            fail!(
                197,
                "The field '{option}' is not valid for an index specification. Specification: {spec:?}"
            );
        }
        if option == "hidden" && value.truthy() {
            fail!(
                code::COMMAND_NOT_SUPPORTED,
                "index option 'hidden' is not supported"
            );
        }
    }
    let key = spec.get("key");
    if !key.is_document() || key.is_empty() {
        fail!(
            code::CANNOT_CREATE_INDEX,
            "Index keys cannot be an empty object: {spec:?}"
        );
    }
    let mut keys = Vec::new();
    for (path, direction) in key.fields() {
        if let Some(kind) = direction.as_str() {
            fail!(
                code::COMMAND_NOT_SUPPORTED,
                "indexes of type '{kind}' are not supported"
            );
        }
        if path.contains("$**") {
            fail!(
                code::COMMAND_NOT_SUPPORTED,
                "wildcard indexes are not supported"
            );
        }
        match Number::of(direction).map(Number::to_f64) {
            Some(v) if v != 0.0 => keys.push((path.to_owned(), v < 0.0)),
            _ => fail!(
                code::CANNOT_CREATE_INDEX,
                "Values in v:2 index key pattern must be a number > 0 or < 0: {key:?}"
            ),
        }
    }
    let name = match spec.get("name") {
        name if name.is_missing() => fail!(
            code::FAILED_TO_PARSE,
            "The 'name' field is a required property of an index specification"
        ),
        name => string("createIndexes", "indexes.name", name)?.to_owned(),
    };
    Ok(Wanted {
        name,
        keys,
        unique: spec.get("unique").truthy(),
    })
}

/// Indexes beside that of the key.
fn listed(collection: &Collection) -> impl Iterator<Item = &Index> {
    collection.table.indexes.iter().filter(|i| !i.primary)
}

/// Whether the index is there already; the same name or keys with another meaning is an error.
fn stands(collection: &Collection, wanted: &Wanted) -> Result<bool> {
    if let [(only, _)] = wanted.keys.as_slice()
        && only == "_id"
    {
        return Ok(true);
    }
    for index in listed(collection) {
        let keys = collection.index_keys(index);
        let same_name = collection.index_name(index) == wanted.name;
        if same_name && keys == wanted.keys && index.unique == wanted.unique {
            return Ok(true);
        }
        if same_name {
            fail!(
                code::INDEX_KEY_SPECS_CONFLICT,
                "An existing index has the same name as the requested index. When index names are not specified, they are auto generated and can cause conflicts. Please refer to our documentation. Requested index: {}, existing index: {}",
                wanted.name,
                index.name
            );
        }
        if keys == wanted.keys {
            fail!(
                code::INDEX_OPTIONS_CONFLICT,
                "Index already exists with a different name: {}",
                collection.index_name(index)
            );
        }
    }
    Ok(false)
}

async fn build(context: &mut Context<'_>, collection: &Collection, wanted: &Wanted) -> Result<()> {
    let mut columns = Vec::new();
    for (path, descending) in &wanted.keys {
        let key = if collection.is_document() {
            IndexKey::Path(path.clone())
        } else {
            match collection.table.column(path) {
                Some((at, _)) => IndexKey::Column(at),
                None => fail!(
                    code::CANNOT_CREATE_INDEX,
                    "table {} has no column '{path}'",
                    collection.namespace
                ),
            }
        };
        columns.push(IndexColumn {
            key,
            descending: *descending,
            nulls_first: !*descending,
        });
    }
    let spec = CreateIndex {
        table: collection.table.id,
        name: Some(format!("{}.{}", collection.table.name, wanted.name)),
        if_not_exists: false,
        unique: wanted.unique,
        columns,
        include: Vec::new(),
        predicate: None,
        nulls_not_distinct: true,
        concurrently: false,
    };
    let result = context.session()?.utility(Utility::CreateIndex(spec)).await;
    result.map(|_| ()).map_err(|error| {
        let error = MongoError::from(error);
        match error.index {
            Some(_) => duplicates(error, collection, wanted),
            None => error,
        }
    })
}

/// Documents that are there already have a key of a unique index in common.
fn duplicates(mut error: MongoError, collection: &Collection, wanted: &Wanted) -> MongoError {
    error.message = format!(
        "E11000 duplicate key error collection: {} index: {}",
        collection.namespace, wanted.name
    );
    let mut extra = Writer::new();
    extra.start_document("keyPattern");
    for (path, descending) in &wanted.keys {
        extra.put_i32(path, if *descending { -1 } else { 1 });
    }
    extra.end();
    error.extra = Some(BsonBuf::document(extra.finish()));
    error
}

pub(crate) fn list(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["cursor", "includeBuildUUIDs", "includeIndexBuildInfo"])?;
    let name = context.collection_name()?;
    let Some(collection) = context.find_collection(name)? else {
        fail!(
            code::NAMESPACE_NOT_FOUND,
            "ns does not exist: {}.{name}",
            context.database
        );
    };
    let mut documents = Vec::new();
    let mut id = Writer::new();
    id.put_i32("v", 2)
        .start_document("key")
        .put_i32("_id", 1)
        .end()
        .put_str("name", "_id_");
    documents.push(id.finish());
    for index in listed(&collection) {
        let mut out = Writer::new();
        out.put_i32("v", 2).start_document("key");
        for (path, descending) in collection.index_keys(index) {
            out.put_i32(&path, if descending { -1 } else { 1 });
        }
        out.end().put_str("name", collection.index_name(index));
        if index.unique {
            out.put_bool("unique", true);
        }
        documents.push(out.finish());
    }
    let namespace = format!("{}.$cmd.listIndexes.{name}", context.database);
    cursor::write(context, &namespace, &documents, 0, "firstBatch")
}

pub(crate) async fn drop(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["index"])?;
    let name = context.collection_name()?;
    let Some(collection) = context.find_collection(name)? else {
        fail!(
            code::NAMESPACE_NOT_FOUND,
            "ns not found {}.{name}",
            context.database
        );
    };
    if !collection.is_document() {
        fail!(
            code::ILLEGAL_OPERATION,
            "indexes of table {} are dropped with SQL",
            collection.namespace
        );
    }
    let which = context.get("index");
    let before = listed(&collection).count() as i32 + 1;
    let chosen: Vec<&Index> = match which.tag {
        STRING if which.as_str() == Some("*") => listed(&collection).collect(),
        STRING => vec![named(&collection, which.as_str().unwrap_or(""))?],
        ARRAY => {
            let mut chosen = Vec::new();
            for name in which.elements() {
                chosen.push(named(&collection, string("dropIndexes", "index", name)?)?);
            }
            chosen
        }
        DOCUMENT => {
            let keys: Vec<(String, bool)> = which
                .fields()
                .map(|(path, v)| {
                    (
                        path.to_owned(),
                        Number::of(v).is_some_and(|n| n.to_f64() < 0.0),
                    )
                })
                .collect();
            match listed(&collection).find(|i| collection.index_keys(i) == keys) {
                Some(index) => vec![index],
                None => fail!(
                    code::INDEX_NOT_FOUND,
                    "can't find index with key: {which:?}"
                ),
            }
        }
        _ => fail!(
            code::TYPE_MISMATCH,
            "BSON field 'dropIndexes.index' is the wrong type '{}', expected types '[string, object]'",
            which.type_name()
        ),
    };
    let names: Vec<String> = chosen
        .iter()
        .map(|i| format!("{}.{}", quote(&collection.schema), quote(&i.name)))
        .collect();
    let mut nothing = helios_types::value::Rows::default();
    for name in names {
        context
            .session()?
            .run(&format!("DROP INDEX {name}"), &[], &mut nothing)
            .await?;
    }
    context.out.put_i32("nIndexesWas", before);
    Ok(())
}

fn named<'c>(collection: &'c Collection, name: &str) -> Result<&'c Index> {
    if name == "_id_" {
        fail!(code::INVALID_OPTIONS, "cannot drop _id index");
    }
    match listed(collection).find(|i| collection.index_name(i) == name) {
        Some(index) => Ok(index),
        None => fail!(code::INDEX_NOT_FOUND, "index not found with name [{name}]"),
    }
}
