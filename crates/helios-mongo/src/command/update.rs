//! update: each statement finds and locks its documents, computes the new ones, writes them back.

use super::insert::{Writes, check_batch};
use super::{Context, modify};
use crate::error::{Result, fail};
use crate::session::now_ms;
use crate::translate::Collection;
use helios_engine::{TransactionMode, TransactionStatus};
use helios_planner::document::error::code;
use helios_planner::document::matcher::Matcher;
use helios_planner::document::raw::*;
use helios_planner::document::update::{Context as UpdateContext, Update};

const FIELDS: &[&str] = &[
    "q",
    "u",
    "c",
    "multi",
    "upsert",
    "collation",
    "arrayFilters",
    "hint",
    "sort",
];

/// What one statement did.
#[derive(Debug, Default)]
struct Outcome {
    matched: i32,
    modified: i32,
    upserted: Option<BsonBuf>,
}

pub(crate) async fn update(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["updates", "ordered", "bypassDocumentValidation", "let"])?;
    context.refuse_options(&["let"])?;
    let name = context.collection_name()?;
    let statements = context.request.documents("updates");
    check_batch("update", "updates", statements.len())?;
    let mut writes = Writes::begin(context, statements.len())?;
    let mut total = Outcome::default();
    let mut upserted = ArrayWriter::new();
    for (at, statement) in statements.iter().enumerate() {
        writes.next(context)?;
        let result = one(context, name, *statement).await;
        if let Some(outcome) = writes.done(context, at, result)? {
            total.matched += outcome.matched;
            total.modified += outcome.modified;
            if let Some(id) = outcome.upserted {
                total.matched += 1;
                let mut entry = Writer::new();
                entry.put_i32("index", at as i32).put("_id", id.as_bson());
                upserted.push(Bson::document(&entry.finish()));
            }
        } else if writes.stops() {
            break;
        }
    }
    writes.finish(context).await?;
    context.out.put_i32("n", total.matched);
    if !upserted.is_empty() {
        context.out.put("upserted", upserted.finish_buf().as_bson());
    }
    context.out.put_i32("nModified", total.modified);
    writes.write(&mut context.out);
    Ok(())
}

async fn one(context: &mut Context<'_>, name: &str, statement: Bson<'_>) -> Result<Outcome> {
    for (field, value) in statement.fields() {
        if !FIELDS.contains(&field) {
            fail!(
                40415,
                "BSON field 'update.updates.{field}' is an unknown field."
            );
        }
        if matches!(field, "c" | "collation") && value.truthy() && !value.is_empty() {
            fail!(
                code::COMMAND_NOT_SUPPORTED,
                "option '{field}' of update is not supported"
            );
        }
    }
    let (filter, multi, upsert) = (
        statement.get("q"),
        statement.get("multi").truthy(),
        statement.get("upsert").truthy(),
    );
    if !filter.is_document() {
        fail!(
            code::TYPE_MISMATCH,
            "BSON field 'update.updates.q' is the wrong type '{}', expected type 'object'",
            filter.type_name()
        );
    }
    let update = Update::compile(statement.get("u"), statement.get("arrayFilters"))?;
    if multi && update.is_replacement() {
        fail!(
            code::FAILED_TO_PARSE,
            "multi update is not supported for replacement-style update"
        );
    }
    let matcher = Matcher::compile(filter)?;
    let collection = match context.find_collection(name)? {
        Some(collection) => collection,
        None if upsert => context.make_collection(name).await?,
        None => return Ok(Outcome::default()),
    };
    let own = open(context)?;
    let limit = if multi { 0 } else { 1 };
    let found = modify::locked(context, &collection, filter, statement.get("sort"), limit).await?;
    let mut outcome = Outcome::default();
    for document in &found {
        let before = Bson::document(document);
        let (_, matched) = matcher.matches_at(before)?;
        outcome.matched += 1;
        let applied = update.apply(
            before,
            &UpdateContext {
                matched,
                inserting: false,
                now_ms: now_ms(),
            },
        )?;
        if let Some(after) = applied {
            modify::replace_row(context, &collection, before, Bson::document(&after)).await?;
            outcome.modified += 1;
        }
    }
    if found.is_empty() && upsert {
        outcome.upserted = Some(insert_new(context, &collection, &update, filter).await?.1);
    }
    close(context, own).await?;
    Ok(outcome)
}

/// Inserts what an upsert makes; the document and its `_id`.
pub(crate) async fn insert_new(
    context: &mut Context<'_>,
    collection: &Collection,
    update: &Update,
    filter: Bson<'_>,
) -> Result<(Vec<u8>, BsonBuf)> {
    let settings = UpdateContext {
        matched: None,
        inserting: true,
        now_ms: now_ms(),
    };
    let document = update.upsert(filter, &settings, context.client.server.object_id())?;
    let stored = modify::insert_row(context, collection, Bson::document(&document)).await?;
    let id = Bson::document(&stored).get("_id").to_buf();
    Ok((stored, id))
}

/// Opens a transaction around a statement that reads before it writes, unless one is open.
pub(crate) fn open(context: &mut Context<'_>) -> Result<bool> {
    let session = context.session()?;
    let own = session.transaction_status() == TransactionStatus::Idle;
    if own {
        session.begin(TransactionMode::default())?;
    }
    Ok(own)
}

pub(crate) async fn close(context: &mut Context<'_>, own: bool) -> Result<()> {
    if own {
        context.session()?.commit().await?;
    }
    Ok(())
}
