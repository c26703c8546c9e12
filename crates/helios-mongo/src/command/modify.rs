//! Rows from documents: inserting, replacing and deleting one, whatever shape its table has.

use super::{Context, cursor};
use crate::error::{MongoError, Result, fail};
use crate::translate::{Collection, Params, Predicate, Query, Statement, id_alone, quote};
use helios_planner::catalog::Column;
use helios_planner::document::error::code;
use helios_planner::document::order::equal;
use helios_planner::document::path::{Path, lookup};
use helios_planner::document::raw::*;
use helios_types::conversion::from_bson;
use helios_types::{Jsonb, JsonbRef, Value};

fn json(value: Bson<'_>) -> JsonbRef<'_> {
    JsonbRef {
        element: value.tag,
        bytes: value.bytes,
    }
}

/// Checks a document that is to be stored, and puts an `_id` in front.
pub(crate) fn storable(document: Bson<'_>, new_id: [u8; 12]) -> Result<Vec<u8>> {
    if document.bytes.len() > crate::codec::DOCUMENT_BYTES_MAX {
        fail!(
            code::BSON_OBJECT_TOO_LARGE,
            "object to insert too large. size in bytes: {}, max size: {}",
            document.bytes.len(),
            crate::codec::DOCUMENT_BYTES_MAX
        );
    }
    let id = document.get("_id");
    if matches!(id.tag, ARRAY | REGEX | UNDEFINED) {
        fail!(
            code::INVALID_ID_FIELD,
            "The '_id' value cannot be of type {}",
            id.type_name()
        );
    }
    if let Some((name, _)) = id.fields().find(|(n, _)| n.starts_with('$'))
        && id.is_document()
    {
        fail!(
            code::DOLLAR_PREFIXED_FIELD_NAME,
            "_id fields may not contain '$'-prefixed fields: {name} is not valid for storage."
        );
    }
    if document.fields().next().is_some_and(|(n, _)| n == "_id") {
        return Ok(document.bytes.to_vec());
    }
    let made = BsonBuf::object_id(new_id);
    let id = if id.is_missing() { made.as_bson() } else { id };
    let mut out = Writer::with_capacity(document.bytes.len() + 20);
    out.put("_id", id);
    for (name, value) in document.fields().filter(|(n, _)| *n != "_id") {
        out.put(name, value);
    }
    Ok(out.finish())
}

/// Inserts one document; the document as it is stored.
pub(crate) async fn insert_row(
    context: &mut Context<'_>,
    collection: &Collection,
    document: Bson<'_>,
) -> Result<Vec<u8>> {
    let stored = storable(document, context.client.server.object_id())?;
    let whole = Bson::document(&stored);
    let done = if collection.is_document() {
        let mut params = Params::default();
        let doc = params.bson(whole);
        let values = std::mem::take(&mut params.values);
        let statement = || {
            let text = format!("INSERT INTO {} (doc) VALUES ({doc})", collection.name());
            Ok(Statement { text, params })
        };
        let prepared = cursor::kept(context, &collection.statements.insert, statement)?;
        cursor::change_kept(context, &prepared, &values).await
    } else {
        let statement = insert_columns(collection, whole, document.get("_id"))?;
        cursor::change(context, statement).await
    };
    match done {
        Ok(_) => Ok(stored),
        Err(error) => Err(duplicate(error, collection, whole)),
    }
}

/// An INSERT of the columns that a document names.
fn insert_columns(
    collection: &Collection,
    document: Bson<'_>,
    given_id: Bson<'_>,
) -> Result<Statement> {
    let mut names = Vec::new();
    let mut values = Vec::new();
    let mut params = Params::default();
    let own_id = collection.table.column("_id").is_some();
    for (name, value) in document.fields() {
        if name == "_id" && !own_id {
            continue;
        }
        let column = column(collection, name)?;
        names.push(quote(name));
        values.push(params.push(column.ty, convert(column, value)?));
    }
    if !own_id {
        for (column, value) in key_columns(collection, given_id)? {
            let already = document.get(&column.name);
            if already.is_missing() {
                names.push(quote(&column.name));
                values.push(params.push(column.ty, value));
            } else if !equal(already, given_id)
                && !given_id.is_missing()
                && collection.table.key.len() == 1
            {
                fail!(
                    code::IMMUTABLE_FIELD,
                    "'_id' and the key column '{}' differ",
                    column.name
                );
            }
        }
    }
    let text = if names.is_empty() {
        format!("INSERT INTO {} DEFAULT VALUES", collection.name())
    } else {
        format!(
            "INSERT INTO {} ({}) VALUES ({})",
            collection.name(),
            names.join(", "),
            values.join(", ")
        )
    };
    Ok(Statement { text, params })
}

/// The key columns' values that an `_id` stands for. Drivers add an ObjectId to documents without
/// one; for a column that makes its own value it is not a value but the lack of one.
fn key_columns<'c>(collection: &'c Collection, id: Bson<'_>) -> Result<Vec<(&'c Column, Value)>> {
    let columns: Vec<&Column> = collection
        .table
        .key
        .iter()
        .filter_map(|at| collection.table.columns.get(*at))
        .collect();
    match columns.as_slice() {
        [] => fail!(
            code::ILLEGAL_OPERATION,
            "table {} has no primary key and cannot be written to",
            collection.namespace
        ),
        _ if id.is_missing() => Ok(Vec::new()),
        [only] => {
            let makes_its_own = only.default.is_some() || only.identity.is_some();
            if id.tag == OBJECT_ID && makes_its_own && !only.ty.is_string() {
                return Ok(Vec::new());
            }
            if id.tag == OBJECT_ID && only.ty.is_string() {
                let hex = helios_planner::document::display::hex(id.bytes);
                return Ok(vec![(only, Value::text(hex))]);
            }
            Ok(vec![(only, convert(only, id)?)])
        }
        many if id.is_document() => {
            let mut out = Vec::new();
            for column in many {
                out.push((*column, convert(column, id.get(&column.name))?));
            }
            Ok(out)
        }
        _ => Ok(Vec::new()),
    }
}

fn column<'c>(collection: &'c Collection, name: &str) -> Result<&'c Column> {
    match collection.table.column(name) {
        Some((_, column)) => Ok(column),
        None => Err(invalid(
            &format!("table {} has no column '{name}'", collection.namespace),
            name,
        )),
    }
}

fn convert(column: &Column, value: Bson<'_>) -> Result<Value> {
    from_bson(column.ty, json(value)).map_err(|error| invalid(error.message(), &column.name))
}

/// Document validation failed, and on which column.
fn invalid(reason: &str, column: &str) -> MongoError {
    let mut details = Writer::new();
    details.start_document("errInfo").start_document("details");
    details.put_str("column", column).put_str("reason", reason);
    let mut error = MongoError::new(
        code::DOCUMENT_VALIDATION_FAILURE,
        format!("Document failed validation: {reason}"),
    );
    error.extra = Some(BsonBuf::document(details.finish()));
    error
}

/// The condition that finds the row of a document by its key.
fn key_condition(
    collection: &Collection,
    document: Bson<'_>,
    params: &mut Params,
) -> Result<String> {
    if collection.is_document() {
        return Ok(format!(
            "bson_id_equals(t.doc, {})",
            params.bson(document.get("_id"))
        ));
    }
    let names = collection.key_names();
    if names.is_empty() {
        fail!(
            code::ILLEGAL_OPERATION,
            "table {} has no primary key and cannot be written to",
            collection.namespace
        );
    }
    let mut parts = Vec::new();
    for name in names {
        let column = column(collection, name)?;
        let value = params.push(column.ty, convert(column, document.get(name))?);
        parts.push(format!("t.{} = {value}", quote(name)));
    }
    Ok(parts.join(" AND "))
}

/// Replaces a document that this transaction has locked.
pub(crate) async fn replace_row(
    context: &mut Context<'_>,
    collection: &Collection,
    before: Bson<'_>,
    after: Bson<'_>,
) -> Result<()> {
    let mut params = Params::default();
    let mut sets = Vec::new();
    if collection.is_document() {
        sets.push(format!("doc = {}", params.bson(after)));
    } else {
        for (name, value) in after.fields() {
            let known = before.get(name);
            if known.tag == value.tag && known.bytes == value.bytes
                || (name == "_id" && collection.table.column("_id").is_none())
            {
                continue;
            }
            let column = column(collection, name)?;
            if collection.key_names().contains(&name) {
                fail!(
                    code::IMMUTABLE_FIELD,
                    "Performing an update on the path '{name}' would modify the immutable field '_id'"
                );
            }
            sets.push(format!(
                "{} = {}",
                quote(name),
                params.push(column.ty, convert(column, value)?)
            ));
        }
        // The key is told by `_id`, also where a replacement leaves its columns out.
        let keys = collection.key_names();
        let gone =
            |name: &str| name != "_id" && !keys.contains(&name) && after.get(name).is_missing();
        for (name, value) in before.fields().filter(|(n, _)| gone(n)) {
            if value.tag != NULL {
                sets.push(format!("{} = NULL", quote(name)));
            }
        }
    }
    if sets.is_empty() {
        return Ok(());
    }
    let condition = key_condition(collection, before, &mut params)?;
    let text = format!(
        "UPDATE {} AS t SET {} WHERE {condition}",
        collection.name(),
        sets.join(", ")
    );
    match cursor::change(context, Statement { text, params }).await {
        Ok(_) => Ok(()),
        Err(error) => Err(duplicate(error, collection, after)),
    }
}

pub(crate) async fn delete_row(
    context: &mut Context<'_>,
    collection: &Collection,
    document: Bson<'_>,
) -> Result<()> {
    let mut params = Params::default();
    let condition = key_condition(collection, document, &mut params)?;
    let text = format!("DELETE FROM {} AS t WHERE {condition}", collection.name());
    cursor::change(context, Statement { text, params })
        .await
        .map(|_| ())
}

/// Documents that match, locked until the transaction ends.
pub(crate) async fn locked(
    context: &mut Context<'_>,
    collection: &Collection,
    filter: Bson<'_>,
    sort: Bson<'_>,
    limit: i64,
) -> Result<Vec<Vec<u8>>> {
    let none = |_: &str| None;
    let mut query = Query::over(Some(collection), filter, &none)?;
    if sort.is_document() && !sort.is_empty() {
        query.sort(sort)?;
    }
    cursor::collect(context, query.finish_locking(limit)).await
}

/// The conditions of a statement that changes what a filter finds.
struct Found {
    conditions: Vec<String>,
    params: Params,
    /// Whether one row at most is found, by its key.
    point: bool,
}

impl Found {
    fn by(collection: &Collection, filter: Bson<'_>) -> Found {
        let mut params = Params::default();
        let split = Predicate::split(collection, filter, "t", &mut params);
        let mut conditions = split.conditions;
        let rest = Bson::document(&split.rest);
        if !rest.is_empty() {
            let rest = params.bson(rest);
            conditions.push(format!("bson_match({}, {rest})", collection.document("t")));
        }
        Found {
            conditions,
            params,
            point: split.point,
        }
    }

    /// The statement that changes the document, if the update does.
    fn update(&self, collection: &Collection, spec: Bson<'_>, now_ms: i64) -> Statement {
        let (name, tail) = (collection.name(), self.tail());
        let mut params = self.params.clone();
        let (spec, now) = (params.bson(spec), params.integer(now_ms));
        let text = format!(
            "UPDATE {name} AS t SET doc = bson_update(t.doc, {spec}, {now}){tail} AND bson_updates(t.doc, {spec}, {now})"
        );
        Statement { text, params }
    }

    /// The statement that tells whether the update would change the document; no row when there is
    /// none. It has the same parameters.
    fn would_change(&self, collection: &Collection, spec: Bson<'_>, now_ms: i64) -> Statement {
        let (name, tail) = (collection.name(), self.tail());
        let mut params = self.params.clone();
        let (spec, now) = (params.bson(spec), params.integer(now_ms));
        let text = format!("SELECT bson_updates(t.doc, {spec}, {now}) FROM {name} AS t{tail}");
        Statement { text, params }
    }

    fn tail(&self) -> String {
        if self.conditions.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", self.conditions.join(" AND "))
    }
}

/// Whether a filter gives the whole key, so that one statement can change the row.
pub(crate) fn is_point(collection: &Collection, filter: Bson<'_>) -> bool {
    collection.is_document() && id_alone(filter).is_some()
        || Predicate::split(collection, filter, "t", &mut Params::default()).point
}

/// How an update of the one document that a filter gives the key of ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PointUpdate {
    Missing,
    Unchanged,
    Changed,
}

/// How often an update that finds nothing is tried while the document comes and goes.
const POINT_TRIES: usize = 100;

/// Updates the document of a key with one statement; `None` when the filter does not give a key.
///
/// The statement changes the row only if the update does, so that an update without effect writes
/// nothing; whether there is a row at all is asked afterwards, in that case only. One that has come
/// in between, or would be changed now, is not "unchanged": it is tried again.
pub(crate) async fn update_point(
    context: &mut Context<'_>,
    collection: &Collection,
    filter: Bson<'_>,
    spec: Bson<'_>,
    now_ms: i64,
) -> Result<Option<PointUpdate>> {
    if !collection.is_document() {
        return Ok(None);
    }
    if let Some(id) = id_alone(filter) {
        let done = update_id(context, collection, filter, id, spec, now_ms).await;
        return done.map(Some);
    }
    let found = Found::by(collection, filter);
    if !found.point {
        return Ok(None);
    }
    let update = found.update(collection, spec, now_ms);
    let would_change = found.would_change(collection, spec, now_ms);
    for _ in 0..POINT_TRIES {
        match cursor::change(context, update.clone()).await {
            Ok(0) => {}
            Ok(_) => return Ok(Some(PointUpdate::Changed)),
            Err(error) => return Err(duplicate(error, collection, filter)),
        }
        match cursor::scalar(context, would_change.clone()).await? {
            None => return Ok(Some(PointUpdate::Missing)),
            Some(Value::Bool(true)) => {}
            Some(_) => return Ok(Some(PointUpdate::Unchanged)),
        }
    }
    write_conflict()
}

/// The same for a filter that gives the `_id` and nothing else, with statements that are kept.
async fn update_id(
    context: &mut Context<'_>,
    collection: &Collection,
    filter: Bson<'_>,
    id: Bson<'_>,
    spec: Bson<'_>,
    now_ms: i64,
) -> Result<PointUpdate> {
    let statements = &collection.statements;
    let statement = || Ok(Found::by(collection, filter).update(collection, spec, now_ms));
    let update = cursor::kept(context, &statements.update, statement)?;
    let value = |v: Bson<'_>| Value::Jsonb(Jsonb::new(v.tag, v.bytes));
    let params = [value(id), value(spec), Value::Int8(now_ms)];
    for _ in 0..POINT_TRIES {
        match cursor::change_kept(context, &update, &params).await {
            Ok(0) => {}
            Ok(_) => return Ok(PointUpdate::Changed),
            Err(error) => return Err(duplicate(error, collection, filter)),
        }
        let statement = || Ok(Found::by(collection, filter).would_change(collection, spec, now_ms));
        let would_change = cursor::kept(context, &statements.would_change, statement)?;
        let mut rows = helios_types::value::Rows::default();
        let session = context.session()?;
        session.execute(&would_change, &params, &mut rows).await?;
        match rows.0.first().and_then(|row| row.first()) {
            None => return Ok(PointUpdate::Missing),
            Some(Value::Bool(true)) => {}
            Some(_) => return Ok(PointUpdate::Unchanged),
        }
    }
    write_conflict()
}

fn write_conflict<T>() -> Result<T> {
    fail!(
        code::WRITE_CONFLICT,
        "the document was written by others all the time; try again"
    )
}

/// Deletes every document that matches with one statement; how many.
pub(crate) async fn delete_all(
    context: &mut Context<'_>,
    collection: &Collection,
    filter: Bson<'_>,
) -> Result<u64> {
    helios_planner::document::matcher::Matcher::compile(filter)?;
    let found = Found::by(collection, filter);
    let text = format!("DELETE FROM {} AS t{}", collection.name(), found.tail());
    let params = found.params;
    cursor::change(context, Statement { text, params }).await
}

/// A duplicate key as MongoDB tells it: the index, its pattern and the values.
pub(crate) fn duplicate(
    mut error: MongoError,
    collection: &Collection,
    document: Bson<'_>,
) -> MongoError {
    let Some(name) = error.index.take() else {
        return error;
    };
    let index = collection
        .table
        .indexes
        .iter()
        .find(|i| i.name == name && !i.primary);
    let fields: Vec<(String, bool)> = match index {
        None => vec![("_id".to_owned(), false)],
        Some(index) => collection.index_keys(index),
    };
    let mut pattern = Writer::new();
    let mut values = Writer::new();
    for (path, descending) in &fields {
        pattern.put_i32(path, if *descending { -1 } else { 1 });
        let found = lookup(document, &Path::new(path).parts);
        let found = if found.as_bson().is_missing() {
            Bson::NULL
        } else {
            found.as_bson()
        };
        values.put(path, found);
    }
    let (pattern, values) = (pattern.finish(), values.finish());
    error.message = format!(
        "E11000 duplicate key error collection: {} index: {} dup key: {:?}",
        collection.namespace,
        index.map_or("_id_", |i| collection.index_name(i)),
        Bson::document(&values)
    );
    let mut extra = Writer::new();
    extra
        .put_document("keyPattern", &pattern)
        .put_document("keyValue", &values);
    error.extra = Some(BsonBuf::document(extra.finish()));
    error
}
