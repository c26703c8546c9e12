//! `$out` and `$merge`: the documents of a pipeline go into a collection, in one transaction.
//!
//! The pipeline reads what was there before the first of them is written, also when it reads the
//! collection that it writes to.

use super::{Context, cursor, modify};
use crate::error::{MongoError, Result, fail, string};
use crate::session::{Batch, now_ms};
use crate::translate::{Collection, Statement};
use helios_engine::{Fetched, TransactionMode};
use helios_planner::document::error::code;
use helios_planner::document::expression::Expression;
use helios_planner::document::path::Path;
use helios_planner::document::raw::*;
use helios_planner::document::update::{Context as UpdateContext, Update};
use helios_planner::document::variable::{self, Place};

/// What a pipeline ends with.
pub(crate) enum Target {
    /// Replaces what the collection has.
    Out {
        collection: String,
    },
    Merge(Box<Merge>),
}

pub(crate) struct Merge {
    collection: String,
    on: Vec<String>,
    variables: BsonBuf,
    matched: Matched,
    unmatched: Unmatched,
}

enum Matched {
    Replace,
    Keep,
    Merge,
    Fail,
    Pipeline(BsonBuf),
}

enum Unmatched {
    Insert,
    Discard,
    Fail,
}

/// The writing stage at the end of a pipeline, if there is one.
pub(crate) fn target(database: &str, pipeline: Bson<'_>) -> Result<Option<Target>> {
    let Some(last) = pipeline.elements().last() else {
        return Ok(None);
    };
    match last.fields().next() {
        Some(("$out", argument)) => {
            let collection = place("$out", database, argument)?;
            Ok(Some(Target::Out { collection }))
        }
        Some(("$merge", argument)) => Ok(Some(Target::Merge(Box::new(merge(database, argument)?)))),
        _ => Ok(None),
    }
}

/// The collection that `"c"` or `{db: "d", coll: "c"}` names.
fn place(stage: &str, database: &str, argument: Bson<'_>) -> Result<String> {
    if argument.tag == STRING {
        return Ok(argument.as_str().unwrap_or("").to_owned());
    }
    if !argument.is_document() {
        fail!(
            16990,
            "{stage} only supports a string or object argument, but found {}",
            argument.type_name()
        );
    }
    for (name, _) in argument.fields() {
        if !matches!(name, "db" | "coll") {
            fail!(40415, "BSON field '{stage}.{name}' is an unknown field.");
        }
    }
    let other = argument.get("db");
    if !other.is_missing() && other.as_str() != Some(database) {
        fail!(
            code::COMMAND_NOT_SUPPORTED,
            "{stage} into another database is not supported"
        );
    }
    Ok(string(stage, "coll", argument.get("coll"))?.to_owned())
}

fn merge(database: &str, argument: Bson<'_>) -> Result<Merge> {
    let mut out = Merge {
        collection: String::new(),
        on: vec!["_id".to_owned()],
        variables: BsonBuf::document({
            let mut new = Writer::new();
            new.put_str("new", "$$ROOT");
            new.finish()
        }),
        matched: Matched::Merge,
        unmatched: Unmatched::Insert,
    };
    if argument.tag == STRING {
        out.collection = place("$merge", database, argument)?;
        return Ok(out);
    }
    if !argument.is_document() {
        fail!(
            51182,
            "$merge requires a string or object argument, but found {}",
            argument.type_name()
        );
    }
    for (name, value) in argument.fields() {
        match name {
            "into" => out.collection = place("$merge", database, value)?,
            "on" => out.on = on(value)?,
            "let" if value.is_document() => out.variables = value.to_buf(),
            "whenMatched" => out.matched = matched(value)?,
            "whenNotMatched" => {
                out.unmatched = match value.as_str() {
                    Some("insert") => Unmatched::Insert,
                    Some("discard") => Unmatched::Discard,
                    Some("fail") => Unmatched::Fail,
                    _ => fail!(
                        code::BAD_VALUE,
                        "Enumeration value '{value:?}' for field '$merge.whenNotMatched' is not a valid value."
                    ),
                }
            }
            _ => fail!(40415, "BSON field '$merge.{name}' is an unknown field."),
        }
    }
    if out.collection.is_empty() {
        fail!(
            40414,
            "BSON field '$merge.into' is missing but a required field"
        );
    }
    let has_pipeline = matches!(out.matched, Matched::Pipeline(_));
    if !argument.get("let").is_missing() && !has_pipeline {
        fail!(
            51199,
            "Cannot use 'let' variables with a 'whenMatched' mode that is not a pipeline"
        );
    }
    Ok(out)
}

fn on(value: Bson<'_>) -> Result<Vec<String>> {
    let fields: Vec<String> = match value.tag {
        STRING => vec![value.as_str().unwrap_or("").to_owned()],
        _ => value
            .elements()
            .map(|v| Ok(string("$merge", "on", v)?.to_owned()))
            .collect::<Result<_>>()?,
    };
    if fields.is_empty() || !(value.tag == STRING || value.is_array()) {
        fail!(
            51187,
            "If explicitly specifying $merge 'on', must include at least one field"
        );
    }
    Ok(fields)
}

fn matched(value: Bson<'_>) -> Result<Matched> {
    if value.is_array() {
        return Ok(Matched::Pipeline(value.to_buf()));
    }
    Ok(match value.as_str() {
        Some("replace") => Matched::Replace,
        Some("keepExisting") => Matched::Keep,
        Some("merge") => Matched::Merge,
        Some("fail") => Matched::Fail,
        _ => fail!(
            code::BAD_VALUE,
            "Enumeration value '{value:?}' for field '$merge.whenMatched' is not a valid value."
        ),
    })
}

/// Runs the statement that reads and writes what it gives.
pub(crate) async fn write(
    context: &mut Context<'_>,
    statement: Statement,
    target: Target,
) -> Result<()> {
    if context.in_transaction {
        fail!(
            code::OPERATION_NOT_SUPPORTED_IN_TRANSACTION,
            "a pipeline that writes cannot run in a multi-document transaction"
        );
    }
    let name = match &target {
        Target::Out { collection } => collection.clone(),
        Target::Merge(merge) => merge.collection.clone(),
    };
    super::namespace::check_collection_name(context.database, &name)?;
    let collection = context.make_collection(&name).await?;
    match &target {
        Target::Out { .. } if !collection.is_document() => fail!(
            code::ILLEGAL_OPERATION,
            "$out does not replace the rows of table {}",
            collection.namespace
        ),
        Target::Merge(merge) => check_unique(&collection, &merge.on)?,
        Target::Out { .. } => {}
    }
    let session = context.session()?;
    session.begin(TransactionMode::default())?;
    let prepared = session.prepare(&statement.text, &statement.params.types)?;
    let mut source = session.open(&prepared, statement.params.values).await?;
    if let Target::Out { .. } = &target {
        modify::delete_all(context, &collection, Bson::document(EMPTY)).await?;
    }
    loop {
        /// Documents read at a time.
        const BATCH: u64 = 1000;
        let mut batch = Batch::default();
        let fetched = context
            .session()?
            .fetch(&mut source, &mut batch, BATCH)
            .await?;
        for document in &batch.documents {
            let document = Bson::document(document);
            match &target {
                Target::Out { .. } => {
                    modify::insert_row(context, &collection, document).await?;
                }
                Target::Merge(merge) => merge.one(context, &collection, document).await?,
            }
        }
        if fetched != Fetched::More {
            break;
        }
    }
    drop(source);
    context.session()?.commit().await?;
    let namespace = format!("{}.{name}", context.database);
    cursor::write(context, &namespace, &[], 0, "firstBatch")
}

/// The fields of `on` have to tell one document.
fn check_unique(collection: &Collection, on: &[String]) -> Result<()> {
    let unique = collection.table.indexes.iter().filter(|i| i.unique);
    let mut keys = unique.map(|index| collection.index_keys(index));
    let whole = on == ["_id"]
        || keys
            .any(|keys| keys.len() == on.len() && keys.iter().all(|(path, _)| on.contains(path)));
    if !whole {
        fail!(
            51183,
            "Cannot find index to verify that join fields will be unique"
        );
    }
    Ok(())
}

impl Merge {
    async fn one(
        &self,
        context: &mut Context<'_>,
        collection: &Collection,
        document: Bson<'_>,
    ) -> Result<()> {
        let own_id = document.get("_id");
        let new = modify::storable(document, context.client.server.object_id())?;
        let new = Bson::document(&new);
        let filter = self.filter(new)?;
        let filter = Bson::document(&filter);
        let found = modify::locked(context, collection, filter, Bson::MISSING, 1).await?;
        let Some(old) = found.first() else {
            return match self.unmatched {
                Unmatched::Insert => modify::insert_row(context, collection, new)
                    .await
                    .map(|_| ()),
                Unmatched::Discard => Ok(()),
                Unmatched::Fail => fail!(
                    13113,
                    "$merge could not find a matching document in the target collection for at least one document in the source collection"
                ),
            };
        };
        let old = Bson::document(old);
        let after = match &self.matched {
            Matched::Keep => return Ok(()),
            Matched::Fail => {
                return Err(MongoError::new(
                    code::DUPLICATE_KEY,
                    format!(
                        "E11000 duplicate key error collection: {} dup key: {filter:?}",
                        collection.namespace
                    ),
                ));
            }
            Matched::Replace => with_id(old, own_id, new, false)?,
            Matched::Merge => with_id(old, own_id, new, true)?,
            Matched::Pipeline(stages) => match self.pipeline(stages, old, new)? {
                Some(after) => after,
                None => return Ok(()),
            },
        };
        modify::replace_row(context, collection, old, Bson::document(&after)).await
    }

    /// What finds the document that one of the pipeline's meets.
    fn filter(&self, document: Bson<'_>) -> Result<Vec<u8>> {
        let mut out = Writer::new();
        for field in &self.on {
            let path = Path::new(field);
            let value = path.parts.iter().fold(document, |v, part| v.get(part));
            if value.is_nullish() || value.is_array() {
                fail!(
                    51132,
                    "$merge write error: 'on' field '{field}' cannot be missing, null, undefined or an array"
                );
            }
            out.start_document(field).put("$eq", value).end();
        }
        Ok(out.finish())
    }

    fn pipeline(&self, stages: &BsonBuf, old: Bson<'_>, new: Bson<'_>) -> Result<Option<Vec<u8>>> {
        let mut variables = Writer::new();
        for (name, expression) in self.variables.as_bson().fields() {
            let value = Expression::compile(expression)?.evaluate(new)?.into_buf();
            let missing = value.as_bson().is_missing();
            variables.put(name, if missing { Bson::NULL } else { value.as_bson() });
        }
        let variables = variables.finish();
        let bound = variable::bind(
            stages.as_bson(),
            Bson::document(&variables),
            Place::Expression,
        );
        let update = Update::compile(bound.as_bson(), Bson::MISSING)?;
        let settings = UpdateContext {
            matched: None,
            inserting: false,
            now_ms: now_ms(),
        };
        Ok(update.apply(old, &settings)?)
    }
}

/// The new document under the old one's `_id`; with `merged`, the old one with the new one's fields.
fn with_id(old: Bson<'_>, own_id: Bson<'_>, new: Bson<'_>, merged: bool) -> Result<Vec<u8>> {
    let id = old.get("_id");
    if !own_id.is_missing() && !helios_planner::document::order::equal(own_id, id) {
        fail!(
            code::IMMUTABLE_FIELD,
            "$merge failed to update the matching document, did you attempt to modify the _id or the shard key? Performing an update on the path '_id' would modify the immutable field '_id'"
        );
    }
    let mut out = Writer::with_capacity(old.bytes.len() + new.bytes.len());
    out.put("_id", id);
    if merged {
        for (name, value) in old.fields().filter(|(n, _)| *n != "_id") {
            let newer = new.get(name);
            out.put(name, if newer.is_missing() { value } else { newer });
        }
    }
    let added = |name: &str| name != "_id" && (!merged || old.get(name).is_missing());
    for (name, value) in new.fields().filter(|(n, _)| added(n)) {
        out.put(name, value);
    }
    Ok(out.finish())
}
