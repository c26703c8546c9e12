//! update: each statement finds and locks its documents, computes the new ones, writes them back.

use super::insert::{Writes, check_batch};
use super::modify::PointUpdate;
use super::{Context, modify, options};
use crate::error::{Result, fail};
use crate::session::now_ms;
use crate::translate::Collection;
use helios_engine::{TransactionMode, TransactionStatus};
use helios_planner::document::error::code;
use helios_planner::document::matcher::Matcher;
use helios_planner::document::raw::*;
use helios_planner::document::update::{Context as UpdateContext, Update};
use helios_planner::document::variable::Place;

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
    let variables = options::Variables::of(context)?;
    let name = context.collection_name()?;
    let statements = context.request.documents("updates");
    check_batch("update", "updates", statements.len())?;
    let mut writes = Writes::begin(context, statements.len())?;
    let mut total = Outcome::default();
    let mut upserted = ArrayWriter::new();
    for (at, statement) in statements.iter().enumerate() {
        writes.next(context)?;
        let result = one(context, name, *statement, &variables).await;
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

async fn one(
    context: &mut Context<'_>,
    name: &str,
    statement: Bson<'_>,
    variables: &options::Variables,
) -> Result<Outcome> {
    for (field, value) in statement.fields() {
        if !FIELDS.contains(&field) {
            fail!(
                40415,
                "BSON field 'update.updates.{field}' is an unknown field."
            );
        }
        if field == "c" {
            fail!(
                code::COMMAND_NOT_SUPPORTED,
                "option 'c' of update is not supported"
            );
        }
        if field == "collation" {
            options::collation("update", value)?;
        }
    }
    let (filter, multi, upsert) = (
        statement.get("q"),
        options::flag("update.updates.multi", statement.get("multi"), false)?,
        options::flag("update.updates.upsert", statement.get("upsert"), false)?,
    );
    if !filter.is_document() {
        fail!(
            code::TYPE_MISMATCH,
            "BSON field 'update.updates.q' is the wrong type '{}', expected type 'object'",
            filter.type_name()
        );
    }
    if multi {
        options::refuse_retry(context)?;
    }
    let filter = variables.bind(filter, Place::Filter);
    let filter = filter.as_bson();
    let change = statement.get("u");
    let change = match change.is_array() {
        true => variables.bind(change, Place::Expression),
        false => options::Bound::AsSent(change),
    };
    let change = change.as_bson();
    let array_filters = statement.get("arrayFilters");
    let update = Update::compile(change, array_filters)?;
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
    options::hint(Some(&collection), statement.get("hint"))?;
    let sort = statement.get("sort");
    if sort.is_missing() && modify::is_point(&collection, filter) && collection.is_document() {
        let spec = spec(&update, change, array_filters, filter);
        return point(context, &collection, filter, &update, &spec, upsert).await;
    }
    let own = open(context)?;
    let limit = if multi { 0 } else { 1 };
    let found = modify::locked(context, &collection, filter, sort, limit).await?;
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

/// What `bson_update` is told of an update.
fn spec(update: &Update, change: Bson<'_>, array_filters: Bson<'_>, filter: Bson<'_>) -> Vec<u8> {
    let mut out = Writer::with_capacity(change.bytes.len() + 32);
    out.put("u", change);
    if update.is_positional() {
        out.put("q", filter);
    }
    if !array_filters.is_missing() {
        out.put("a", array_filters);
    }
    out.finish()
}

/// An update of the one document whose `_id` the filter gives.
async fn point(
    context: &mut Context<'_>,
    collection: &Collection,
    filter: Bson<'_>,
    update: &Update,
    spec: &[u8],
    upsert: bool,
) -> Result<Outcome> {
    let mut attempts = 0;
    loop {
        let spec = Bson::document(spec);
        let done = modify::update_point(context, collection, filter, spec, now_ms()).await?;
        let mut outcome = Outcome::default();
        match done {
            Some(PointUpdate::Changed) => (outcome.matched, outcome.modified) = (1, 1),
            Some(PointUpdate::Unchanged) => outcome.matched = 1,
            _ if upsert => match insert_new(context, collection, update, filter).await {
                Ok((_, id)) => outcome.upserted = Some(id),
                // Somebody else has just inserted it: now there is something to update.
                Err(error) if again(context, &error) && attempts < UPSERTS_MAX => {
                    attempts += 1;
                    continue;
                }
                Err(error) => return Err(error),
            },
            _ => {}
        }
        return Ok(outcome);
    }
}

/// How often an upsert that meets another one is tried.
const UPSERTS_MAX: usize = 10;

/// Whether a failed insert may be followed by another statement: not inside a transaction, which
/// has failed with it.
fn again(context: &mut Context<'_>, error: &crate::error::MongoError) -> bool {
    let idle = context
        .session()
        .is_ok_and(|s| s.transaction_status() == TransactionStatus::Idle);
    error.code == code::DUPLICATE_KEY && idle
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
