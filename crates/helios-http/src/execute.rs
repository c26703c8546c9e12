//! Statements with JSON parameters, run in a session.

use crate::app::App;
use crate::error::{Failure, Result};
use crate::json;
use crate::request::Request;
use helios_engine::{Completion, CompletionTag, Prepared, Session, TransactionStatus};
use helios_net::Alarm;
use helios_planner::template::{Command, Executor};
use helios_types::value::RowSink;
use helios_types::{Error, ErrorKind, Type, Value};
use serde_json::Value as Json;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Time a cancelled statement gets to notice.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

/// A statement ready to run, with its parameters.
pub struct Ready {
    pub prepared: Arc<Prepared>,
    pub params: Vec<Value>,
}

/// Prepares `sql`. Parameters take the types that the statement gives them; where it gives none,
/// the types that their JSON values imply.
pub fn prepare(session: &mut Session, sql: &str, params: &[Json]) -> helios_types::Result<Ready> {
    let ready = prepare_typed(session, sql, params);
    if ready.is_err() {
        session.statement_refused();
    }
    ready
}

fn prepare_typed(session: &mut Session, sql: &str, params: &[Json]) -> helios_types::Result<Ready> {
    let prepared = match session.prepare(sql, &[]) {
        Err(e) if is_untyped(&e) && !params.is_empty() => {
            let implied: Vec<Option<Type>> = params.iter().map(json::implied_type).collect();
            session.prepare(sql, &implied)?
        }
        other => other?,
    };
    if prepared.params.len() != params.len() {
        return Err(Error::new(
            ErrorKind::UndefinedParameter,
            format!(
                "the statement has {} parameters, {} were given",
                prepared.params.len(),
                params.len()
            ),
        ));
    }
    let params = params
        .iter()
        .zip(&prepared.params)
        .map(|(json, ty)| json::parameter(json, *ty))
        .collect::<helios_types::Result<_>>()?;
    Ok(Ready { prepared, params })
}

fn is_untyped(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::IndeterminateDatatype
            | ErrorKind::AmbiguousFunction
            | ErrorKind::UndefinedFunction
    )
}

/// Runs to the end or until the time is up.
pub async fn run(
    session: &mut Session,
    ready: &Ready,
    sink: &mut dyn RowSink,
    timeout: Duration,
) -> helios_types::Result<Completion> {
    let template = ready.prepared.template();
    if !template.is_some_and(|t| matches!(t.executor, Executor::Kv(_))) {
        return run_long(session, ready, sink, timeout).await;
    }
    // What reads and writes by key is over soon or waits: for a lock, or the disk.
    let cancel = session.cancel_handle();
    let running = session.execute(&ready.prepared, &ready.params, sink);
    tokio::pin!(running);
    if let Poll::Ready(result) = poll_fn(|cx| Poll::Ready(running.as_mut().poll(cx))).await {
        return result;
    }
    let stop = cancel.clone();
    let _watch = helios_net::http::when_gone(move || stop.cancel());
    if let Ok(result) = tokio::time::timeout(timeout, running.as_mut()).await {
        return result;
    }
    cancel.cancel();
    match tokio::time::timeout(CANCEL_GRACE, running).await {
        // It was done before it saw the cancellation.
        Ok(Ok(completion)) => Ok(completion),
        Ok(Err(e)) if e.kind() != ErrorKind::QueryCancelled => Err(e),
        _ => Err(timed_out()),
    }
}

/// A statement that may compute for as long as it likes without a pause.
async fn run_long(
    session: &mut Session,
    ready: &Ready,
    sink: &mut dyn RowSink,
    timeout: Duration,
) -> helios_types::Result<Completion> {
    let stop = session.cancel_handle();
    let _watch = helios_net::http::when_gone(move || stop.cancel());
    let cancel = session.cancel_handle();
    let alarm = Alarm::set(timeout, move || cancel.cancel());
    let result = session.execute(&ready.prepared, &ready.params, sink).await;
    match result {
        Err(e) if e.kind() == ErrorKind::QueryCancelled && alarm.rang() => Err(timed_out()),
        result => result,
    }
}

pub fn timed_out() -> Error {
    Error::new(
        ErrorKind::StatementTimeout,
        "canceling statement due to statement timeout",
    )
}

/// Whether the statement changes rows rather than returning some.
pub fn changes_rows(completion: &Completion) -> bool {
    matches!(
        completion.tag,
        CompletionTag::Command(
            Command::Insert | Command::Update | Command::Delete | Command::Merge
        ) | CompletionTag::Copy
    )
}

/// Refuses a statement that has left a transaction open.
pub fn check_idle(session: &Session) -> helios_types::Result<()> {
    if session.transaction_status() == TransactionStatus::Idle {
        return Ok(());
    }
    let message = "a transaction cannot be opened or changed by a query of its own";
    Err(Error::new(ErrorKind::Unsupported, message).with_hint("use POST /api/v1/transactions"))
}

/// Tells the session whom it works for, if the request says it.
pub fn set_tenant(session: &mut Session, request: &Request) -> helios_types::Result<()> {
    match &request.tenant {
        Some(tenant) => session.set_setting("helios.tenant_id", tenant),
        None => Ok(()),
    }
}

/// A session for one request that goes back when only plans ran in it.
pub struct Borrowed<'a> {
    app: &'a App,
    session: Option<Session>,
    clean: bool,
}

impl<'a> Borrowed<'a> {
    pub fn new(app: &'a App, request: &Request) -> Result<Self> {
        let mut session = app
            .sessions
            .take(&request.user, &request.database, request.peer)?;
        set_tenant(&mut session, request)?;
        Ok(Self {
            app,
            session: Some(session),
            clean: request.tenant.is_none(),
        })
    }

    pub fn session(&mut self) -> Result<&mut Session> {
        self.session
            .as_mut()
            .ok_or_else(|| Failure::from(Error::internal("session used after its end")))
    }

    /// Prepares and runs one statement that is its own transaction.
    pub async fn run(
        &mut self,
        sql: &str,
        params: &[Json],
        sink: &mut dyn RowSink,
        timeout: Duration,
    ) -> Result<Completion> {
        let ready = prepare(self.session()?, sql, params)?;
        self.run_ready(&ready, sink, timeout).await
    }

    pub async fn run_ready(
        &mut self,
        ready: &Ready,
        sink: &mut dyn RowSink,
        timeout: Duration,
    ) -> Result<Completion> {
        // Until it has ended well, a dropped or failed request takes its session with it.
        let clean = std::mem::replace(&mut self.clean, false);
        let session = self.session()?;
        let result = run(session, ready, sink, timeout).await;
        let completion = result?;
        check_idle(session)?;
        self.clean = clean && ready.prepared.template().is_some();
        Ok(completion)
    }

    /// Leaves the session to the caller, who may change it.
    pub fn into_session(mut self) -> Result<Session> {
        self.session
            .take()
            .ok_or_else(|| Failure::from(Error::internal("session used after its end")))
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take().filter(|_| self.clean) {
            self.app.sessions.give_back(session);
        }
    }
}
