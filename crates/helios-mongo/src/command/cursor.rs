//! First batches, getMore and killCursors.

use super::{Context, options, session_id};
use crate::error::{MongoError, Result, fail};
use crate::session::{Batch, OpenCursor, Rows};
use crate::translate::Statement;
use helios_engine::{Fetched, Prepared};
use helios_planner::document::error::code;
use helios_planner::document::raw::*;
use helios_types::Value;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Documents of a first batch when the client does not say.
pub(crate) const FIRST_BATCH: i64 = 101;

/// How a command wants its results.
pub(crate) struct Wanted {
    pub batch_size: i64,
    /// Close the cursor after the first batch.
    pub single: bool,
    /// The statement gives one row at most.
    pub point: bool,
}

/// Runs a query and writes the `cursor` of its reply.
pub(crate) async fn answer(
    context: &mut Context<'_>,
    namespace: &str,
    statement: Statement,
    wanted: Wanted,
) -> Result<()> {
    let Statement { text, params } = statement;
    let in_transaction = context.in_transaction;
    let started = Instant::now();
    let limit = options::max_time(context.request)?.map(Duration::from_millis);
    let owner = session_id(context.request);
    let session = context.session()?;
    let prepared = session.prepare(&text, &params.types)?;
    let mut batch = Batch::default();
    if wanted.point {
        session
            .execute(&prepared, &params.values, &mut batch)
            .await?;
        return write(context, namespace, &batch.documents, 0, "firstBatch");
    }
    let mut cursor = session.open(&prepared, params.values).await?;
    let mut more = true;
    if wanted.batch_size > 0 {
        more = session
            .fetch(&mut cursor, &mut batch, wanted.batch_size as u64)
            .await?
            == Fetched::More;
    }
    if !more || wanted.single {
        return write(context, namespace, &batch.documents, 0, "firstBatch");
    }
    let rows = if in_transaction {
        // The rest is computed now: the session goes on with other commands.
        let mut rest = VecDeque::new();
        loop {
            let mut part = Batch::default();
            let fetched = session.fetch(&mut cursor, &mut part, 0).await?;
            rest.extend(part.documents);
            if fetched != Fetched::More {
                break;
            }
        }
        if rest.is_empty() && wanted.batch_size > 0 {
            return write(context, namespace, &batch.documents, 0, "firstBatch");
        }
        Rows::Ready(rest)
    } else {
        let Some(session) = context.session.take() else {
            fail!(code::INTERNAL_ERROR, "no session");
        };
        Rows::Engine {
            session: Box::new(session),
            cursor: Box::new(cursor),
        }
    };
    let open = OpenCursor {
        namespace: namespace.to_owned(),
        owner,
        rows,
        last_use: Instant::now(),
        time_left: limit.map(|limit| limit.saturating_sub(started.elapsed())),
    };
    let id = context.client.server.keep_cursor(open);
    write(context, namespace, &batch.documents, id, "firstBatch")
}

/// Writes documents that are there already as the one batch of a cursor.
pub(crate) fn write(
    context: &mut Context<'_>,
    namespace: &str,
    documents: &[Vec<u8>],
    id: i64,
    batch: &str,
) -> Result<()> {
    let out = &mut context.out;
    out.start_document("cursor").start_array(batch);
    let mut digits = itoa::Buffer::new();
    for (i, document) in documents.iter().enumerate() {
        out.put_document(digits.format(i), document);
    }
    out.end().put_i64("id", id).put_str("ns", namespace).end();
    Ok(())
}

pub(crate) async fn get_more(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&[
        "collection",
        "batchSize",
        "term",
        "lastKnownCommittedOpTime",
    ])?;
    if !context.get("maxTimeMS").is_missing() {
        fail!(
            code::BAD_VALUE,
            "cannot set maxTimeMS on getMore command for a non-awaitData cursor"
        );
    }
    let (_, id) = context.request.command();
    let Some(id) = id.as_i64() else {
        fail!(
            code::TYPE_MISMATCH,
            "BSON field 'getMore.getMore' is the wrong type '{}', expected type 'long'",
            id.type_name()
        );
    };
    let collection = crate::error::string("getMore", "collection", context.get("collection"))?;
    let size = context.integer("batchSize")?.unwrap_or(0);
    if size < 0 {
        fail!(
            51024,
            "BSON field 'batchSize' value must be >= 0, actual value '{size}'"
        );
    }
    let namespace = format!("{}.{collection}", context.database);
    let server = context.client.server.clone();
    let Some(mut cursor) = server.take_cursor(id).await else {
        fail!(code::CURSOR_NOT_FOUND, "cursor id {id} not found");
    };
    if cursor.namespace != namespace || cursor.owner != session_id(context.request) {
        let belongs = cursor.namespace.clone();
        server.put_cursor(id, cursor);
        fail!(
            code::UNAUTHORIZED,
            "Requested getMore on namespace '{namespace}', but cursor belongs to a different namespace or session: {belongs}"
        );
    }
    if let Rows::Engine { session, .. } = &cursor.rows {
        context.client.runs(session);
    }
    let (batch, more) = next_batch(&mut cursor, size as u64).await?;
    if more {
        server.put_cursor(id, cursor);
    }
    write(
        context,
        &namespace,
        &batch.documents,
        if more { id } else { 0 },
        "nextBatch",
    )
}

async fn next_batch(open: &mut OpenCursor, size: u64) -> Result<(Batch, bool)> {
    let mut batch = Batch::default();
    match &mut open.rows {
        Rows::Engine { session, cursor } => {
            let started = Instant::now();
            if let Some(left) = open.time_left {
                // 0 would be no limit.
                let left = left.as_millis().max(1).to_string();
                session.set_setting("statement_timeout", &left)?;
            }
            let fetched = session
                .fetch(cursor, &mut batch, size)
                .await
                .map_err(MongoError::from)?;
            let spent = started.elapsed();
            open.time_left = open.time_left.map(|left| left.saturating_sub(spent));
            Ok((batch, fetched == Fetched::More))
        }
        Rows::Ready(rest) => {
            while !batch.is_full() && (size == 0 || (batch.documents.len() as u64) < size) {
                match rest.pop_front() {
                    Some(document) => batch.push(document),
                    None => break,
                }
            }
            Ok((batch, !rest.is_empty()))
        }
    }
}

pub(crate) async fn kill(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["cursors"])?;
    let ids = context.get("cursors");
    if !ids.is_array() {
        fail!(
            code::TYPE_MISMATCH,
            "BSON field 'killCursors.cursors' is the wrong type '{}', expected type 'array'",
            ids.type_name()
        );
    }
    let mut killed = ArrayWriter::new();
    let mut unknown = ArrayWriter::new();
    for id in ids.elements() {
        let server = &context.client.server;
        let found = match id.as_i64() {
            Some(id) => server.take_cursor(id).await.is_some(),
            None => false,
        };
        if found {
            killed.push(id);
        } else {
            unknown.push(id);
        }
    }
    let none = array_of([]);
    context
        .out
        .put("cursorsKilled", killed.finish_buf().as_bson());
    context
        .out
        .put("cursorsNotFound", unknown.finish_buf().as_bson());
    context
        .out
        .put("cursorsAlive", none.as_bson())
        .put("cursorsUnknown", none.as_bson());
    Ok(())
}

/// Documents of a statement, all of them.
pub(crate) async fn collect(
    context: &mut Context<'_>,
    statement: Statement,
) -> Result<Vec<Vec<u8>>> {
    let session = context.session()?;
    let prepared = session.prepare(&statement.text, &statement.params.types)?;
    let mut batch = Batch::default();
    session
        .execute(&prepared, &statement.params.values, &mut batch)
        .await?;
    Ok(batch.documents)
}

/// The one value of a statement's one row.
pub(crate) async fn scalar(
    context: &mut Context<'_>,
    statement: Statement,
) -> Result<Option<Value>> {
    let session = context.session()?;
    let prepared = session.prepare(&statement.text, &statement.params.types)?;
    let mut rows = helios_types::value::Rows::default();
    session
        .execute(&prepared, &statement.params.values, &mut rows)
        .await?;
    Ok(rows.0.pop().and_then(|mut row| row.pop()))
}

/// Runs a statement that changes rows; how many.
pub(crate) async fn change(context: &mut Context<'_>, statement: Statement) -> Result<u64> {
    let session = context.session()?;
    let prepared = session.prepare(&statement.text, &statement.params.types)?;
    let mut nothing = helios_types::value::Rows::default();
    Ok(session
        .execute(&prepared, &statement.params.values, &mut nothing)
        .await?
        .rows)
}

/// A statement that is kept from its first use.
pub(crate) fn kept(
    context: &mut Context<'_>,
    place: &OnceLock<Arc<Prepared>>,
    make: impl FnOnce() -> Result<Statement>,
) -> Result<Arc<Prepared>> {
    if let Some(known) = place.get() {
        return Ok(known.clone());
    }
    let Statement { text, params } = make()?;
    let prepared = context.session()?.prepare(&text, &params.types)?;
    Ok(place.get_or_init(|| prepared).clone())
}

/// Runs a kept statement that changes rows; how many.
pub(crate) async fn change_kept(
    context: &mut Context<'_>,
    prepared: &Arc<Prepared>,
    params: &[Value],
) -> Result<u64> {
    let mut nothing = helios_types::value::Rows::default();
    let session = context.session()?;
    let done = session.execute(prepared, params, &mut nothing).await?;
    Ok(done.rows)
}
