//! find.

use super::{COMMON, Context, cursor, options};
use crate::error::{Result, fail};
use crate::translate::{Collection, Query, Statement, id_alone};
use helios_planner::document::error::code;
use helios_planner::document::matcher::Matcher;
use helios_planner::document::number::Number;
use helios_planner::document::projection::{Dialect, Projection};
use helios_planner::document::raw::{Bson, INT32, Writer};
use helios_planner::document::variable::Place;
use helios_types::value::RowSink;
use helios_types::{Jsonb, Value, ValueRef};

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

/// Options that would change the answer and are not there. `allowDiskUse` and
/// `allowPartialResults` change only how it is found.
const REFUSED: &[&str] = &[
    "max",
    "min",
    "returnKey",
    "showRecordId",
    "tailable",
    "awaitData",
    "collation",
    "oplogReplay",
    "noCursorTimeout",
];

pub(crate) async fn find(context: &mut Context<'_>) -> Result<()> {
    if let Some(id) = id_wanted(context) {
        let name = context.collection_name()?;
        let collection = context.read_collection(name)?;
        if let Some(collection) = collection.filter(Collection::is_document) {
            return by_id(context, &collection, id).await;
        }
    }
    context.check_fields(FIELDS)?;
    let name = context.collection_name()?;
    let (statement, wanted) = plan(context, name)?;
    let namespace = format!("{}.{name}", context.database);
    cursor::answer(context, &namespace, statement, wanted).await
}

/// The `_id` of the one document that a command asks for, when it asks for nothing more.
fn id_wanted<'a>(context: &Context<'a>) -> Option<Bson<'a>> {
    let mut id = None;
    for (field, value) in context.request.fields().skip(1) {
        match field {
            "filter" => id = Some(id_alone(value)?),
            // No number of documents is less than one.
            "limit" if value.tag == INT32 => {}
            "batchSize" if value.as_i32().is_some_and(|size| size > 0) => {}
            "singleBatch" => {}
            _ if COMMON.contains(&field) => {}
            _ => return None,
        }
    }
    id
}

/// Finds a document by its `_id`: from the row into the reply.
async fn by_id(context: &mut Context<'_>, collection: &Collection, id: Bson<'_>) -> Result<()> {
    let statement = || {
        let mut filter = Writer::new();
        filter.put("_id", id);
        let filter = filter.finish();
        let none = |_: &str| None;
        let query = Query::over(Some(collection), Bson::document(&filter), &none)?;
        Ok(query.finish_find(Bson::MISSING, Bson::MISSING, 0, 0))
    };
    let prepared = cursor::kept(context, &collection.statements.find, statement)?;
    let params = [Value::Jsonb(Jsonb::new(id.tag, id.bytes))];
    let Context { session, out, .. } = context;
    let Some(session) = session else {
        fail!(code::INTERNAL_ERROR, "no session");
    };
    out.start_document("cursor").start_array("firstBatch");
    let mut found = Found(out);
    session.execute(&prepared, &params, &mut found).await?;
    out.end();
    out.put_i64("id", 0).put_str("ns", &collection.namespace);
    out.end();
    Ok(())
}

/// Takes the one document of a batch.
struct Found<'a>(&'a mut Writer);

impl RowSink for Found<'_> {
    fn row(&mut self, values: &[ValueRef<'_>]) -> helios_types::Result<()> {
        match values.first() {
            Some(ValueRef::Jsonb(document)) => {
                self.0.put_document("0", document.bytes);
                Ok(())
            }
            _ => Err(helios_types::Error::internal(
                "a key gave something else than a document",
            )),
        }
    }
}

/// The statement of a find command.
pub(crate) fn plan(context: &mut Context<'_>, name: &str) -> Result<(Statement, cursor::Wanted)> {
    context.refuse_options(REFUSED)?;
    let variables = options::Variables::of(context)?;
    let filter = variables.bind(context.document("filter")?, Place::Filter);
    let filter = filter.as_bson();
    let projection = variables.bind(context.document("projection")?, Place::Expression);
    let projection = projection.as_bson();
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
    let collection = context.read_collection(name)?;
    options::hint(collection.as_ref(), context.get("hint"))?;
    let resolve = context.resolver()?;
    let mut query = Query::over(collection.as_ref(), filter, &resolve)?;
    let point = query.point;
    if !is_natural(sort)? && sort.is_document() && !sort.is_empty() {
        query.sort(sort)?;
    }
    // One row at most needs no limit.
    let bound = if point && skip == 0 { 0 } else { limit };
    let filter = if filter.is_missing() {
        Bson::document(helios_planner::document::raw::EMPTY)
    } else {
        filter
    };
    let statement = query.finish_find(projection, filter, skip, bound);
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

/// Whether the order asked for is that of the rows as they are stored, which is known forwards only.
fn is_natural(sort: Bson<'_>) -> Result<bool> {
    let natural = sort.get("$natural");
    if natural.is_missing() {
        return Ok(false);
    }
    match Number::of(natural).map(Number::to_f64) {
        Some(1.0) if sort.len() == 1 => Ok(true),
        Some(-1.0) if sort.len() == 1 => fail!(
            code::COMMAND_NOT_SUPPORTED,
            "a backward $natural sort is not supported"
        ),
        _ => fail!(
            code::BAD_VALUE,
            "$natural sort cannot be set to a value other than -1 or 1."
        ),
    }
}
