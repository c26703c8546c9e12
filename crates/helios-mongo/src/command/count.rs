//! count and distinct.

use super::{Context, cursor, options};
use crate::error::{Result, fail, string};
use crate::translate::{Query, Statement};
use helios_planner::document::number::fitting_integer;
use helios_planner::document::raw::*;
use helios_types::Value;

pub(crate) async fn count(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["query", "limit", "skip", "hint", "collation", "fields"])?;
    let (statement, _) = plan(context)?;
    let n = cursor::scalar(context, statement)
        .await?
        .and_then(|v| v.as_i64())
        .unwrap_or(0);
    context.out.put("n", fitting_integer(n).as_bson());
    Ok(())
}

pub(crate) async fn distinct(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["key", "query", "collation", "hint"])?;
    let (statement, _) = plan(context)?;
    let empty = array_of([]);
    match cursor::scalar(context, statement).await? {
        Some(Value::Jsonb(values)) => context.out.put("values", values.as_ref().into()),
        _ => context.out.put("values", empty.as_bson()),
    };
    Ok(())
}

/// The statement of either, and whether it is a count.
pub(crate) fn plan(context: &mut Context<'_>) -> Result<(Statement, bool)> {
    context.refuse_options(&["collation"])?;
    let counts = context.request.command().0 == "count";
    let name = context.collection_name()?;
    let filter = context.document("query")?;
    let collection = context.read_collection(name)?;
    options::hint(collection.as_ref(), context.get("hint"))?;
    let resolve = context.resolver()?;
    let query = Query::over(collection.as_ref(), filter, &resolve)?;
    if !counts {
        let key = string("distinct", "key", context.get("key"))?;
        if key.is_empty() {
            fail!(40352, "FieldPath cannot be constructed with empty string");
        }
        return Ok((query.finish_distinct(key), false));
    }
    let skip = context.integer("skip")?.unwrap_or(0);
    // A negative limit means the same as a positive one here.
    let limit = context.integer("limit")?.unwrap_or(0).saturating_abs();
    if skip < 0 {
        fail!(
            51024,
            "BSON field 'skip' value must be >= 0, actual value '{skip}'"
        );
    }
    Ok((query.finish_count(skip, limit), true))
}
