//! find.

use super::{Context, cursor};
use crate::error::{Result, fail};
use crate::translate::{Query, Statement};
use helios_planner::document::matcher::Matcher;
use helios_planner::document::projection::{Dialect, Projection};
use helios_planner::document::raw::Bson;

const FIELDS: &[&str] = &[
    "filter",
    "sort",
    "projection",
    "hint",
    "skip",
    "limit",
    "batchSize",
    "singleBatch",
    "max",
    "min",
    "returnKey",
    "showRecordId",
    "tailable",
    "oplogReplay",
    "noCursorTimeout",
    "awaitData",
    "allowPartialResults",
    "allowDiskUse",
    "collation",
    "let",
];

/// Options that would change the answer and are not there. `hint`, `noCursorTimeout`,
/// `allowDiskUse` and `allowPartialResults` change only how it is found.
const REFUSED: &[&str] = &[
    "max",
    "min",
    "returnKey",
    "showRecordId",
    "tailable",
    "awaitData",
    "collation",
    "let",
    "oplogReplay",
];

pub(crate) async fn find(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(FIELDS)?;
    let name = context.collection_name()?;
    let (statement, wanted) = plan(context, name)?;
    let namespace = format!("{}.{name}", context.database);
    cursor::answer(context, &namespace, statement, wanted).await
}

/// The statement of a find command.
pub(crate) fn plan(context: &mut Context<'_>, name: &str) -> Result<(Statement, cursor::Wanted)> {
    context.refuse_options(REFUSED)?;
    let filter = context.document("filter")?;
    let projection = context.document("projection")?;
    let sort = context.document("sort")?;
    let skip = context.integer("skip")?.unwrap_or(0);
    let limit = context.integer("limit")?.unwrap_or(0);
    let batch = context.integer("batchSize")?.unwrap_or(cursor::FIRST_BATCH);
    for (field, value) in [("skip", skip), ("batchSize", batch)] {
        if value < 0 {
            fail!(
                51024,
                "BSON field '{field}' value must be >= 0, actual value '{value}'"
            );
        }
    }
    if limit == i64::MIN {
        fail!(51024, "BSON field 'limit' value is out of range");
    }
    // A negative limit is a limit with a single batch.
    let single = context.get("singleBatch").truthy() || limit < 0;
    let limit = limit.abs();
    if projection.is_document() && !projection.is_empty() {
        let compiled = Projection::compile(projection, Dialect::Find)?;
        if compiled.is_positional() {
            Matcher::compile(filter)?;
        }
    }
    let collection = context.find_collection(name)?;
    let resolve = context.resolver()?;
    let mut query = Query::over(collection.as_ref(), filter, &resolve)?;
    if sort.is_document() && !sort.is_empty() && sort.get("$natural").is_missing() {
        query.sort(sort)?;
    }
    let point = query.point;
    let filter = if filter.is_missing() {
        Bson::document(helios_planner::document::raw::EMPTY)
    } else {
        filter
    };
    let statement = query.finish_find(projection, filter, skip, limit);
    if single && batch < limit && batch != 0 {
        return Ok((
            statement,
            cursor::Wanted {
                batch_size: batch,
                single,
                point,
            },
        ));
    }
    let batch_size = if single && limit > 0 {
        batch.max(limit)
    } else {
        batch
    };
    Ok((
        statement,
        cursor::Wanted {
            batch_size,
            single,
            point,
        },
    ))
}
