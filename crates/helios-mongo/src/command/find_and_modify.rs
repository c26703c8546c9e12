//! findAndModify.

use super::{Context, modify, options, update};
use crate::error::{Result, fail};
use crate::session::now_ms;
use helios_planner::document::error::code;
use helios_planner::document::matcher::Matcher;
use helios_planner::document::projection::{Dialect, Projection};
use helios_planner::document::raw::*;
use helios_planner::document::update::{Context as UpdateContext, Update};
use helios_planner::document::variable::Place;

const FIELDS: &[&str] = &[
    "query",
    "sort",
    "remove",
    "update",
    "new",
    "fields",
    "upsert",
    "bypassDocumentValidation",
    "collation",
    "arrayFilters",
    "hint",
    "let",
];

/// What happened, for `lastErrorObject` and `value`.
#[derive(Default)]
struct Outcome {
    n: i32,
    updated_existing: bool,
    upserted: Option<BsonBuf>,
    value: Option<Vec<u8>>,
}

pub(crate) async fn find_and_modify(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(FIELDS)?;
    context.refuse_options(&["collation"])?;
    let name = context.collection_name()?;
    let remove = flag(context, "remove")?;
    let upsert = flag(context, "upsert")?;
    flag(context, "new")?;
    let change = context.get("update");
    if remove && !change.is_missing() {
        fail!(
            code::FAILED_TO_PARSE,
            "Cannot specify both an 'update' and 'remove'=true"
        );
    }
    if remove && upsert {
        fail!(
            code::FAILED_TO_PARSE,
            "Cannot specify both upsert=true and remove=true "
        );
    }
    if remove && context.get("new").truthy() {
        fail!(
            code::FAILED_TO_PARSE,
            "Cannot specify both new=true and remove=true; 'remove' always returns the deleted document"
        );
    }
    if !remove && change.is_missing() {
        fail!(
            code::FAILED_TO_PARSE,
            "Either an 'update' or 'remove'=true must be specified"
        );
    }
    let outcome = run(context, name, remove, upsert).await?;
    write(&mut context.out, &outcome, remove);
    Ok(())
}

fn flag(context: &Context<'_>, name: &str) -> Result<bool> {
    let field = format!("findAndModify.{name}");
    options::flag(&field, context.get(name), true)
}

async fn run(context: &mut Context<'_>, name: &str, remove: bool, upsert: bool) -> Result<Outcome> {
    let variables = options::Variables::of(context)?;
    let filter = match context.document("query")? {
        filter if filter.is_missing() => Bson::document(EMPTY),
        filter => filter,
    };
    let filter = variables.bind(filter, Place::Filter);
    let filter = filter.as_bson();
    let wanted = context.get("update");
    let wanted = match wanted.is_array() {
        true => variables.bind(wanted, Place::Expression),
        false => options::Bound::AsSent(wanted),
    };
    let matcher = Matcher::compile(filter)?;
    let change = match remove {
        true => None,
        false => Some(Update::compile(
            wanted.as_bson(),
            context.get("arrayFilters"),
        )?),
    };
    let sort = context.document("sort")?;
    let wants_new = context.get("new").truthy();
    let collection = match context.find_collection(name)? {
        Some(collection) => collection,
        None if upsert => context.make_collection(name).await?,
        None => return Ok(Outcome::default()),
    };
    options::hint(Some(&collection), context.get("hint"))?;
    let own = update::open(context)?;
    let mut found = modify::locked(context, &collection, filter, sort, 1).await?;
    let mut outcome = Outcome::default();
    match (found.pop(), &change) {
        (Some(document), None) => {
            modify::delete_row(context, &collection, Bson::document(&document)).await?;
            outcome.n = 1;
            outcome.value = Some(document);
        }
        (Some(document), Some(change)) => {
            let before = Bson::document(&document);
            let (_, matched) = matcher.matches_at(before)?;
            let settings = UpdateContext {
                matched,
                inserting: false,
                now_ms: now_ms(),
            };
            let after = change.apply(before, &settings)?;
            if let Some(after) = &after {
                modify::replace_row(context, &collection, before, Bson::document(after)).await?;
            }
            outcome.n = 1;
            outcome.updated_existing = true;
            outcome.value = Some(if wants_new {
                after.unwrap_or(document)
            } else {
                document
            });
        }
        (None, Some(change)) if upsert => {
            let new = update::new_document(context, change, filter)?;
            outcome.n = 1;
            outcome.upserted = Some(update::insert_new(context, &collection, &new).await?);
            outcome.value = wants_new.then_some(new);
        }
        (None, _) => {}
    }
    if let Some(document) = &outcome.value {
        outcome.value = Some(projected(context, document, &matcher)?);
    }
    update::close(context, own, |out| write(out, &outcome, remove)).await?;
    Ok(outcome)
}

fn projected(context: &Context<'_>, document: &[u8], matcher: &Matcher) -> Result<Vec<u8>> {
    let fields = context.document("fields")?;
    if fields.is_missing() || fields.is_empty() {
        return Ok(document.to_vec());
    }
    let projection = Projection::compile(fields, Dialect::Find)?;
    let index = matcher.matches_at(Bson::document(document))?.1;
    Ok(projection.apply_at(Bson::document(document), index)?)
}

fn write(out: &mut Writer, outcome: &Outcome, remove: bool) {
    out.start_document("lastErrorObject")
        .put_i32("n", outcome.n);
    if !remove {
        out.put_bool("updatedExisting", outcome.updated_existing);
    }
    if let Some(id) = &outcome.upserted {
        out.put("upserted", id.as_bson());
    }
    out.end();
    match &outcome.value {
        Some(document) => out.put_document("value", document),
        None => out.put("value", Bson::NULL),
    };
}
