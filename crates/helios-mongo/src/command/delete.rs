//! delete.

use super::insert::{Writes, check_batch};
use super::{Context, modify, options, update};
use crate::error::{Result, fail};
use helios_engine::TransactionStatus;
use helios_planner::document::error::code;
use helios_planner::document::number::Number;
use helios_planner::document::raw::*;
use helios_planner::document::variable::Place;

pub(crate) async fn delete(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["deletes", "ordered", "let"])?;
    let variables = options::Variables::of(context)?;
    let name = context.collection_name()?;
    let statements = context.request.documents("deletes");
    check_batch("delete", "deletes", statements.len())?;
    let mut writes = Writes::begin(context, statements.len())?;
    let mut n = 0;
    for (at, statement) in statements.iter().enumerate() {
        writes.next(context)?;
        let result = one(context, name, *statement, &variables).await;
        match writes.done(context, at, result)? {
            Some(deleted) => n += deleted,
            None if writes.stops() => break,
            None => {}
        }
    }
    writes.finish(context, |out| deleted(out, n)).await
}

fn deleted(out: &mut Writer, n: u64) {
    out.put_i32("n", n as i32);
}

async fn one(
    context: &mut Context<'_>,
    name: &str,
    statement: Bson<'_>,
    variables: &options::Variables,
) -> Result<u64> {
    for (field, value) in statement.fields() {
        if !["q", "limit", "collation", "hint"].contains(&field) {
            fail!(
                40415,
                "BSON field 'delete.deletes.{field}' is an unknown field."
            );
        }
        if field == "collation" {
            options::collation("delete", value)?;
        }
    }
    let filter = statement.get("q");
    if !filter.is_document() {
        fail!(
            code::TYPE_MISMATCH,
            "BSON field 'delete.deletes.q' is the wrong type '{}', expected type 'object'",
            filter.type_name()
        );
    }
    let filter = variables.bind(filter, Place::Filter);
    let filter = filter.as_bson();
    let single = match Number::of(statement.get("limit")).and_then(Number::to_exact_i64) {
        Some(0) => false,
        Some(1) => true,
        Some(v) => fail!(
            code::FAILED_TO_PARSE,
            "The limit field in delete objects must be 0 or 1. Got {v}"
        ),
        None => fail!(
            40414,
            "BSON field 'delete.deletes.limit' is missing but a required field"
        ),
    };
    let Some(collection) = context.find_collection(name)? else {
        helios_planner::document::matcher::Matcher::compile(filter)?;
        return Ok(0);
    };
    if !single {
        options::refuse_retry(context)?;
    }
    options::hint(Some(&collection), statement.get("hint"))?;
    if !single || modify::is_point(&collection, filter) {
        if context.session()?.transaction_status() == TransactionStatus::Idle {
            context.record_reply(|out| deleted(out, 1))?;
        }
        return modify::delete_all(context, &collection, filter).await;
    }
    let own = update::open(context)?;
    let found = modify::locked(context, &collection, filter, Bson::MISSING, 1).await?;
    for document in &found {
        modify::delete_row(context, &collection, Bson::document(document)).await?;
    }
    let n = found.len() as u64;
    update::close(context, own, |out| deleted(out, n)).await?;
    Ok(n)
}
