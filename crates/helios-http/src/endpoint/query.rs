//! SQL over REST: one statement and its rows, or a stream of them.

use crate::accept::Media;
use crate::app::App;
use crate::body::{Body, StopOnDrop};
use crate::dialect::Dialect;
use crate::error::{ErrorContext, Failure, Fault, Result};
use crate::execute::{self, Borrowed, Ready};
use crate::json::{JsonRows, Separator, write_integer, write_str};
use crate::query_registry::Cancelled;
use crate::reply::Reply;
use crate::request::Request;
use crate::type_name;
use bytes::Bytes;
use helios_engine::{Fetched, Session};
use helios_planner::catalog::Catalog;
use helios_planner::template::OutputColumn;
use helios_types::ErrorKind;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

const V7_ROWS_DEFAULT: u64 = 10_000;
/// Buffers of a stream that wait for the client.
const STREAM_BUFFERS: usize = 2;
const BATCH_ROWS_DEFAULT: u64 = 1_000;
const BATCH_ROWS_MAX: u64 = 100_000;

/// R-010 and, in dialect nano, R-501.
pub async fn query(app: &App, request: &Request) -> Result<Reply> {
    let sql = sql(app, request)?;
    let params = request.fields.array("params")?.unwrap_or_default();
    let timeout = request.timeout()?;
    let mut borrowed = Borrowed::new(app, request)?;
    let ready = execute::prepare(borrowed.session()?, sql, params)?;
    match (request.dialect, request.media) {
        (_, Media::Lines) => lines(app, &mut borrowed, &ready, request, timeout).await,
        (Dialect::Nano, _) => nano(&mut borrowed, &ready, request, timeout).await,
        _ => v7(app, &mut borrowed, &ready, request, timeout).await,
    }
}

fn max_rows(app: &App, request: &Request) -> Result<u64> {
    let most = app.config.v7_rows_max;
    match request.fields.u64("max_rows")? {
        None => Ok(V7_ROWS_DEFAULT.min(most)),
        Some(rows) if rows > most => Err(Failure::field(format!(
            "field \"max_rows\" must be at most {most}"
        ))),
        Some(rows) => Ok(rows),
    }
}

/// Runs a statement whose rows go into `rows`, up to the most that the client wants; how many rows
/// it changed if that is what it does.
async fn run_limited(
    borrowed: &mut Borrowed<'_>,
    ready: &Ready,
    rows: &mut JsonRows,
    max_rows: u64,
    timeout: Duration,
) -> Result<Option<u64>> {
    // A change is never cut short for the rows that it returns.
    if !ready.prepared.template().is_some_and(|t| t.writes) {
        rows.max = max_rows;
    }
    match borrowed.run_ready(ready, rows, timeout).await {
        Ok(completion) => Ok(execute::changes_rows(&completion).then_some(completion.rows)),
        // The sink stopped the statement: what it took is the answer.
        Err(_) if rows.truncated => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The rows as lines; what an envelope says beside them is in headers.
async fn lines(
    app: &App,
    borrowed: &mut Borrowed<'_>,
    ready: &Ready,
    request: &Request,
    timeout: Duration,
) -> Result<Reply> {
    let max_rows = max_rows(app, request)?;
    let mut rows = JsonRows::objects(columns(ready), Separator::Line);
    let affected = run_limited(borrowed, ready, &mut rows, max_rows, timeout).await?;
    let mut reply = Reply::new(200, Media::Lines, Body::Full(rows.out.into()));
    if let Some(affected) = affected {
        reply = reply.header("x-affected-rows", &affected.to_string());
    }
    if rows.truncated {
        reply = reply.header("x-truncated", "true");
    }
    Ok(reply)
}

async fn v7(
    app: &App,
    borrowed: &mut Borrowed<'_>,
    ready: &Ready,
    request: &Request,
    timeout: Duration,
) -> Result<Reply> {
    let max_rows = max_rows(app, request)?;
    let with_metadata = request.fields.bool("include_metadata", false)?;
    // Only metadata tells a client the id of its query.
    let running = if with_metadata {
        let cancel = borrowed.session()?.cancel_handle();
        Some(app.queries.start(&request.user, cancel))
    } else {
        None
    };
    let mut rows = JsonRows::objects(columns(ready), Separator::Comma);
    rows.out.extend_from_slice(b"{\"success\":true,\"data\":[");
    let affected = run_limited(borrowed, ready, &mut rows, max_rows, timeout).await?;
    let (mut out, count, truncated) = (rows.out, rows.count, rows.truncated);
    out.push(b']');
    if let Some(affected) = affected {
        out.extend_from_slice(b",\"affected_rows\":");
        write_integer(&mut out, affected as i64);
    }
    if let Some(running) = running {
        out.extend_from_slice(b",\"metadata\":{\"columns\":");
        let catalog = app.engine.catalog();
        out.extend_from_slice(
            metadata(&catalog, &ready.prepared.output)
                .to_string()
                .as_bytes(),
        );
        out.extend_from_slice(
            format!(
                ",\"row_count\":{count},\"execution_time_ms\":{},\"query_id\":",
                request.elapsed_ms()
            )
            .as_bytes(),
        );
        write_str(&mut out, &running.id);
        if truncated {
            out.extend_from_slice(b",\"truncated\":true");
        }
        out.push(b'}');
    }
    out.push(b'}');
    Ok(Reply::json(200, out))
}

async fn nano(
    borrowed: &mut Borrowed<'_>,
    ready: &Ready,
    request: &Request,
    timeout: Duration,
) -> Result<Reply> {
    let mut rows = JsonRows::arrays(ready.prepared.output.iter().map(|c| c.ty));
    rows.out
        .extend_from_slice(b"{\"success\":true,\"data\":{\"columns\":");
    rows.out
        .extend_from_slice(names(&ready.prepared.output).to_string().as_bytes());
    rows.out.extend_from_slice(b",\"rows\":[");
    let completion = borrowed.run_ready(ready, &mut rows, timeout).await?;
    let count = if execute::changes_rows(&completion) {
        completion.rows
    } else {
        rows.count
    };
    let mut out = rows.out;
    out.extend_from_slice(
        format!(
            "],\"row_count\":{count},\"execution_time_ms\":{}}}}}",
            request.elapsed_ms()
        )
        .as_bytes(),
    );
    Ok(Reply::json(200, out))
}

/// the branch dialect, of which only `main` exists.
pub async fn branch_query(app: &App, request: &Request) -> Result<Reply> {
    let branch = request.capture(0);
    if branch != "main" {
        return Err(Failure::new(
            Fault::PathMissing,
            ErrorKind::UndefinedDatabase,
            format!("branch \"{branch}\" does not exist"),
        ));
    }
    for field in ["as_of_timestamp", "as_of_transaction"] {
        if request.fields.has(field) {
            return Err(Failure::from(helios_types::Error::unsupported(format!(
                "field \"{field}\""
            ))));
        }
    }
    let params = request.fields.array("params")?.unwrap_or_default();
    let mut borrowed = Borrowed::new(app, request)?;
    let ready = execute::prepare(
        borrowed.session()?,
        request.fields.required_str("sql")?,
        params,
    )?;
    let mut rows = JsonRows::objects(columns(&ready), Separator::Comma);
    rows.out.extend_from_slice(b"{\"rows\":[");
    let completion = borrowed
        .run_ready(&ready, &mut rows, request.timeout()?)
        .await?;
    let affected = if execute::changes_rows(&completion) {
        completion.rows
    } else {
        0
    };
    let mut out = rows.out;
    out.extend_from_slice(b"],\"columns\":");
    out.extend_from_slice(names(&ready.prepared.output).to_string().as_bytes());
    out.extend_from_slice(format!(",\"rows_affected\":{affected}}}").as_bytes());
    Ok(Reply::json(200, out))
}

/// one JSON object a line, sent while the query runs.
pub async fn stream(app: &Arc<App>, request: &Request) -> Result<Reply> {
    let sql = sql(app, request)?;
    let params = request.fields.array("params")?.unwrap_or_default();
    let batch = request
        .fields
        .u64("batch_size")?
        .unwrap_or(BATCH_ROWS_DEFAULT);
    if batch == 0 || batch > BATCH_ROWS_MAX {
        return Err(Failure::field(format!(
            "field \"batch_size\" must be from 1 to {BATCH_ROWS_MAX}"
        )));
    }
    let mut session = Borrowed::new(app, request)?.into_session()?;
    let ready = execute::prepare(&mut session, sql, params)?;
    let rows = JsonRows::objects(columns(&ready), Separator::Line);
    let (sender, receiver) = mpsc::channel(STREAM_BUFFERS);
    let (started, first) = tokio::sync::oneshot::channel();
    // A client that goes away ends the query, also while it waits for the first row.
    let stop = StopOnDrop(session.cancel_handle());
    let stream = Stream {
        app: app.clone(),
        session,
        ready,
        rows,
        batch,
        user: request.user.clone(),
        request_id: request.id.clone(),
        dialect: request.dialect,
    };
    tokio::spawn(stream.run(sender, started));
    // The first batch decides the status: an error before any row is an ordinary error.
    match first.await {
        Ok(Ok(id)) => {
            let body = Body::Stream(receiver, stop);
            Ok(Reply::new(200, Media::Lines, body).header("x-query-id", &id))
        }
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(Failure::from(helios_types::Error::internal(
            "the stream ended before it began",
        ))),
    }
}

struct Stream {
    app: Arc<App>,
    session: Session,
    ready: Ready,
    rows: JsonRows,
    batch: u64,
    user: String,
    request_id: String,
    dialect: Dialect,
}

type Started = tokio::sync::oneshot::Sender<Result<String>>;

impl Stream {
    async fn run(mut self, sender: mpsc::Sender<Bytes>, started: Started) {
        let app = self.app.clone();
        let running = app.queries.start(&self.user, self.session.cancel_handle());
        let id = running.id.clone();
        let mut started = Some(started);
        let result = self.send(&sender, &mut started, &id).await;
        let Err(failure) = result else { return };
        match started.take() {
            // Nobody waits any more when the client has gone.
            Some(started) => drop(started.send(Err(failure))),
            None => {
                let context = ErrorContext {
                    request_id: &self.request_id,
                    duration_ms: 0,
                    sql: None,
                };
                let mut line = failure.body(self.dialect, &context);
                line.push(b'\n');
                let _ = sender.send(line.into()).await;
            }
        }
    }

    async fn send(
        &mut self,
        sender: &mpsc::Sender<Bytes>,
        started: &mut Option<Started>,
        id: &str,
    ) -> Result<()> {
        let params = std::mem::take(&mut self.ready.params);
        let mut cursor = self.session.open(&self.ready.prepared, params).await?;
        loop {
            let fetched = self
                .session
                .fetch(&mut cursor, &mut self.rows, self.batch)
                .await?;
            if matches!(fetched, Fetched::Done(_)) {
                execute::check_idle(&self.session)?;
            }
            if let Some(started) = started.take() {
                let _ = started.send(Ok(id.to_owned()));
            }
            let lines = std::mem::take(&mut self.rows.out);
            if !lines.is_empty() && sender.send(lines.into()).await.is_err() {
                // The client has gone; dropping the session ends the statement.
                return Ok(());
            }
            if let Fetched::Done(_) = fetched {
                return Ok(());
            }
        }
    }
}

///
pub fn cancel(app: &App, request: &Request) -> Result<Reply> {
    let id = request.capture(0);
    match app.queries.cancel(id, &request.user) {
        Cancelled::Yes => Ok(Reply::value(
            200,
            &json!({"query_id": id, "status": "cancelled", "cancelled_at": crate::json::now()}),
        )),
        Cancelled::Finished => Err(Failure::new(
            Fault::ObjectConflict,
            ErrorKind::ObjectNotInPrerequisiteState,
            format!("query \"{id}\" has finished already"),
        )),
        Cancelled::OtherUser => Err(Failure::new(
            Fault::NoPermission,
            ErrorKind::InsufficientPrivilege,
            format!("query \"{id}\" belongs to another user"),
        )),
        Cancelled::Unknown => Err(Failure::not_found(format!("query \"{id}\" does not exist"))),
    }
}

fn sql<'a>(app: &App, request: &'a Request) -> Result<&'a str> {
    let sql = request.fields.required_str("sql")?;
    let most = app.config.v7_sql_bytes_max;
    if request.dialect == Dialect::V7 && sql.len() > most {
        return Err(Failure::new(
            Fault::TooLarge,
            ErrorKind::LimitExceeded,
            format!("the statement is longer than {most} bytes"),
        ));
    }
    Ok(sql)
}

pub fn columns(ready: &Ready) -> impl Iterator<Item = (&str, helios_types::Type)> {
    ready
        .prepared
        .output
        .iter()
        .map(|c| (c.name.as_str(), c.ty))
}

fn names(output: &[OutputColumn]) -> Json {
    output.iter().map(|c| c.name.as_str()).collect()
}

fn metadata(catalog: &Catalog, output: &[OutputColumn]) -> Json {
    let nullable = |column: &OutputColumn| match column.origin {
        Some((table, attnum)) => catalog
            .table(table)
            .and_then(|t| t.columns.get(usize::try_from(attnum).ok()?.checked_sub(1)?))
            .is_none_or(|c| !c.not_null),
        None => true,
    };
    output
        .iter()
        .map(|c| json!({"name": c.name, "type": type_name::without_modifier(c.ty), "nullable": nullable(c)}))
        .collect()
}
