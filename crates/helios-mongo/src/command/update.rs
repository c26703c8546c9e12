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
                upserted.push(upserted_entry(at, &id).as_bson());
            }
        } else if writes.stops() {
            break;
        }
    }
    let upserted = (!upserted.is_empty()).then(|| upserted.finish_buf());
    writes
        .finish(context, |out| total.write(out, upserted.as_ref()))
        .await
}

impl Outcome {
    fn write(&self, out: &mut Writer, upserted: Option<&BsonBuf>) {
        out.put_i32("n", self.matched);
        if let Some(upserted) = upserted {
            out.put("upserted", upserted.as_bson());
        }
        out.put_i32("nModified", self.modified);
    }

    /// The reply of a command that has done this and nothing else.
    fn write_alone(&self, out: &mut Writer) {
        let Some(id) = &self.upserted else {
            return self.write(out, None);
        };
        let total = Outcome {
            matched: self.matched + 1,
            modified: self.modified,
            upserted: None,
        };
        total.write(out, Some(&array_of([upserted_entry(0, id).as_bson()])));
    }
}

fn upserted_entry(index: usize, id: &BsonBuf) -> BsonBuf {
    let mut entry = Writer::new();
    entry
        .put_i32("index", index as i32)
        .put("_id", id.as_bson());
    BsonBuf::document(entry.finish())
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
        let new = new_document(context, &update, filter)?;
        outcome.upserted = Some(insert_new(context, &collection, &new).await?);
    }
    close(context, own, |out| outcome.write_alone(out)).await?;
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
    let spec = Bson::document(spec);
    let changed = Outcome {
        matched: 1,
        modified: 1,
        upserted: None,
    };
    let mut attempts = 0;
    loop {
        record_alone(context, &changed)?;
        let done = modify::update_point(context, collection, filter, spec, now_ms()).await?;
        match done {
            Some(PointUpdate::Changed) => return Ok(changed),
            Some(PointUpdate::Unchanged) => {
                return Ok(Outcome {
                    modified: 0,
                    ..changed
                });
            }
            _ if !upsert => return Ok(Outcome::default()),
            _ => {}
        }
        let new = new_document(context, update, filter)?;
        let outcome = Outcome {
            upserted: Some(Bson::document(&new).get("_id").to_buf()),
            ..Outcome::default()
        };
        record_alone(context, &outcome)?;
        match insert_new(context, collection, &new).await {
            Ok(_) => return Ok(outcome),
            // Somebody else has just inserted it: now there is something to update.
            Err(error) if again(context, &error) && attempts < UPSERTS_MAX => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Records the reply with the statement that comes next, when that is a transaction of its own.
fn record_alone(context: &mut Context<'_>, outcome: &Outcome) -> Result<()> {
    match context.session()?.transaction_status() {
        TransactionStatus::Idle => context.record_reply(|out| outcome.write_alone(out)),
        _ => Ok(()),
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

/// The document that an upsert inserts.
pub(crate) fn new_document(
    context: &Context<'_>,
    update: &Update,
    filter: Bson<'_>,
) -> Result<Vec<u8>> {
    let settings = UpdateContext {
        matched: None,
        inserting: true,
        now_ms: now_ms(),
    };
    let id = context.client.server.object_id();
    let document = update.upsert(filter, &settings, id)?;
    modify::storable(Bson::document(&document), id)
}

/// Inserts it; its `_id`.
pub(crate) async fn insert_new(
    context: &mut Context<'_>,
    collection: &Collection,
    document: &[u8],
) -> Result<BsonBuf> {
    let stored = modify::insert_row(context, collection, Bson::document(document)).await?;
    Ok(Bson::document(&stored).get("_id").to_buf())
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

/// Ends it; the reply is recorded with it.
pub(crate) async fn close(
    context: &mut Context<'_>,
    own: bool,
    reply: impl FnOnce(&mut Writer),
) -> Result<()> {
    if own {
        context.record_reply(reply)?;
        context.session()?.commit().await?;
    }
    Ok(())
}
