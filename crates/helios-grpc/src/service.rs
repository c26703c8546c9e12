//! The calls of `heliosdb.v1.HeliosDB`.

use crate::app::App;
use crate::error::status;
use crate::proto::helios_db_server::HeliosDb;
use crate::proto::{
    BeginTransactionRequest, Column, CommitResponse, Empty, HealthResponse, IsolationLevel,
    QueryMetrics, QueryRequest, QueryResponse, RollbackResponse, Row, TransactionId,
    TransactionResponse, Value as Message, VectorSearchRequest, VectorSearchResponse,
    VectorUpsertRequest, VectorUpsertResponse,
};
use crate::stream;
use crate::value::{self, RowMessages};
use helios_engine::{
    Completion, CompletionTag, Isolation, Prepared, Session, TransactionMode, TransactionStatus,
};
use helios_net::Alarm;
use helios_net::lease::new_id;
use helios_planner::template::{Command, Executor};
use helios_types::text::format_type;
use helios_types::{Error, ErrorKind, Type, Value};
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};
use tokio_stream::Stream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

const TRANSACTION_TIMEOUT_DEFAULT_MS: i64 = 30_000;
const TRANSACTION_TIMEOUT_MAX_MS: i64 = 24 * 3600 * 1000;
/// Time limit of a call whose client names none.
const CALL_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

pub struct HeliosService {
    pub app: Arc<App>,
}

type RowStream = Pin<Box<dyn Stream<Item = Result<Row, Status>> + Send>>;

#[tonic::async_trait]
impl HeliosDb for HeliosService {
    async fn execute_query(
        &self,
        request: Request<QueryRequest>,
    ) -> Result<Response<QueryResponse>, Status> {
        let response = self.query(request.metadata(), request.get_ref()).await?;
        Ok(Response::new(response))
    }

    type ExecuteQueryStreamStream = RowStream;

    async fn execute_query_stream(
        &self,
        request: Request<QueryRequest>,
    ) -> Result<Response<RowStream>, Status> {
        let user = self.app.authenticate(request.metadata())?;
        if request.get_ref().transaction_id.is_some() {
            return Err(status(
                &Error::unsupported("ExecuteQueryStream inside a transaction")
                    .with_hint("use ExecuteQuery with the transaction's id"),
            ));
        }
        let mut session = self.app.session(&user, request.metadata())?;
        let (prepared, params) =
            prepare(&mut session, request.get_ref()).map_err(|e| status(&e))?;
        let columns = stream::columns_header(&prepared.output)?;
        let timeout = timeout(request.metadata());
        let rows = stream::start(session, prepared, params, timeout).await?;
        let mut response = Response::new(Box::pin(rows) as RowStream);
        response.metadata_mut().insert("x-helios-columns", columns);
        Ok(response)
    }

    async fn begin_transaction(
        &self,
        request: Request<BeginTransactionRequest>,
    ) -> Result<Response<TransactionResponse>, Status> {
        let user = self.app.authenticate(request.metadata())?;
        let message = request.get_ref();
        let level = match IsolationLevel::try_from(message.isolation_level) {
            Ok(IsolationLevel::Unspecified) => IsolationLevel::ReadCommitted,
            Ok(level) => level,
            Err(_) => {
                return Err(Status::invalid_argument(format!(
                    "isolation level {} is not known",
                    message.isolation_level
                )));
            }
        };
        let isolation = match level {
            IsolationLevel::RepeatableRead => Isolation::RepeatableRead,
            IsolationLevel::Serializable => Isolation::Serializable,
            _ => Isolation::ReadCommitted,
        };
        let timeout_ms = match message.timeout_ms {
            0 => TRANSACTION_TIMEOUT_DEFAULT_MS,
            ms if (1..=TRANSACTION_TIMEOUT_MAX_MS).contains(&ms) => ms,
            _ => {
                return Err(Status::invalid_argument(format!(
                    "timeout_ms must be from 1 to {TRANSACTION_TIMEOUT_MAX_MS}"
                )));
            }
        };
        let mut session = self.app.session(&user, request.metadata())?;
        session
            .begin(TransactionMode {
                isolation: Some(isolation),
                read_only: Some(message.read_only),
            })
            .map_err(|e| status(&e))?;
        let started = SystemTime::now();
        let lifetime = Duration::from_millis(timeout_ms as u64);
        let id = self
            .app
            .transactions
            .insert("txn_", &user, session, lifetime)
            .map_err(|e| status(&e))?;
        Ok(Response::new(TransactionResponse {
            transaction_id: Some(TransactionId { id }),
            isolation_level: level.into(),
            started_at: rfc3339(started),
            expires_at: rfc3339(started + lifetime),
        }))
    }

    async fn commit_transaction(
        &self,
        request: Request<TransactionId>,
    ) -> Result<Response<CommitResponse>, Status> {
        let mut session = self.take(&request).await?;
        if !session.commit().await.map_err(|e| status(&e))? {
            let error = Error::new(
                ErrorKind::FailedTransaction,
                "the transaction had failed and was rolled back",
            );
            return Err(status(&error));
        }
        Ok(Response::new(CommitResponse {
            success: true,
            committed_at: rfc3339(SystemTime::now()),
        }))
    }

    async fn rollback_transaction(
        &self,
        request: Request<TransactionId>,
    ) -> Result<Response<RollbackResponse>, Status> {
        let mut session = self.take(&request).await?;
        session.rollback();
        Ok(Response::new(RollbackResponse {
            success: true,
            rolled_back_at: rfc3339(SystemTime::now()),
        }))
    }

    async fn vector_search(
        &self,
        request: Request<VectorSearchRequest>,
    ) -> Result<Response<VectorSearchResponse>, Status> {
        self.app.authenticate(request.metadata())?;
        Err(status(&Error::unsupported("VectorSearch")))
    }

    async fn vector_upsert(
        &self,
        request: Request<VectorUpsertRequest>,
    ) -> Result<Response<VectorUpsertResponse>, Status> {
        self.app.authenticate(request.metadata())?;
        Err(status(&Error::unsupported("VectorUpsert")))
    }

    async fn health_check(
        &self,
        _request: Request<Empty>,
    ) -> Result<Response<HealthResponse>, Status> {
        let components =
            ["storage", "query_engine"].map(|name| (name.to_owned(), "healthy".to_owned()));
        Ok(Response::new(HealthResponse {
            status: "healthy".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.app.engine.uptime().as_secs() as i64,
            components: HashMap::from(components),
        }))
    }
}

impl HeliosService {
    /// ExecuteQuery.
    pub async fn query(
        &self,
        metadata: &MetadataMap,
        message: &QueryRequest,
    ) -> Result<QueryResponse, Status> {
        let started = Instant::now();
        let user = self.app.authenticate(metadata)?;
        let timeout = timeout(metadata);
        let mut response = match &message.transaction_id {
            None => {
                // A call that fails takes its session with it.
                let mut session = self.app.pooled_session(&user, metadata)?;
                let (response, planned) = execute(&mut session, message, timeout).await?;
                if session.transaction_status() != TransactionStatus::Idle {
                    return Err(status(&no_transaction_control()));
                }
                if planned {
                    self.app.sessions.give_back(session);
                }
                response
            }
            Some(id) => {
                let transactions = &self.app.transactions;
                let lease = transactions.get(&id.id, &user).await;
                let mut lease = lease.map_err(|e| status(&e))?;
                let Some(session) = lease.as_mut() else {
                    return Err(Status::internal("internal error"));
                };
                let result = execute(session, message, timeout).await;
                if session.transaction_status() == TransactionStatus::Idle {
                    // COMMIT or ROLLBACK as SQL text: the transaction is over, and so is its id.
                    lease.take();
                }
                result?.0
            }
        };
        if let Some(metrics) = &mut response.metrics {
            metrics.execution_time_ms = started.elapsed().as_secs_f64() * 1000.0;
        }
        Ok(response)
    }

    async fn take(&self, request: &Request<TransactionId>) -> Result<Session, Status> {
        let user = self.app.authenticate(request.metadata())?;
        self.app
            .transactions
            .take(&request.get_ref().id, &user)
            .await
            .map_err(|e| status(&e))
    }
}

fn no_transaction_control() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "a transaction cannot be opened or changed by a query of its own",
    )
    .with_hint("use BeginTransaction")
}

/// The answer, and whether the statement was one with a plan, which changes nothing of its session.
async fn execute(
    session: &mut Session,
    request: &QueryRequest,
    timeout: Duration,
) -> Result<(QueryResponse, bool), Status> {
    let (prepared, params) = prepare(session, request).map_err(|e| status(&e))?;
    let mut rows = RowMessages::new(prepared.output.iter().map(|c| c.ty).collect());
    let completion = run(session, &prepared, &params, &mut rows, timeout)
        .await
        .map_err(|e| status(&e))?;
    let catalog = session.catalog();
    let columns = prepared
        .output
        .iter()
        .map(|c| Column {
            name: c.name.clone(),
            r#type: format_type(c.ty),
            nullable: match c.origin {
                Some((table, attnum)) => catalog
                    .table(table)
                    .and_then(|t| t.columns.get(usize::try_from(attnum).ok()?.checked_sub(1)?))
                    .is_none_or(|column| !column.not_null),
                None => true,
            },
        })
        .collect();
    let returned = rows.rows.len() as i64;
    let response = QueryResponse {
        columns,
        rows: rows.take(),
        affected_rows: if changes_rows(&completion) {
            completion.rows as i64
        } else {
            0
        },
        metrics: Some(QueryMetrics {
            execution_time_ms: 0.0,
            rows_returned: returned,
            rows_examined: 0,
            query_id: new_id("q_"),
        }),
    };
    Ok((response, prepared.template().is_some()))
}

fn changes_rows(completion: &Completion) -> bool {
    matches!(
        completion.tag,
        CompletionTag::Command(
            Command::Insert | Command::Update | Command::Delete | Command::Merge
        ) | CompletionTag::Copy
    )
}

async fn run(
    session: &mut Session,
    prepared: &Arc<Prepared>,
    params: &[Value],
    rows: &mut RowMessages,
    timeout: Duration,
) -> Result<Completion, Error> {
    let stop = session.cancel_handle();
    let cancel = stop.clone();
    // What reads and writes by key is over soon or waits, for a lock or the disk; everything else
    // may compute for as long as it likes before it waits for the first time.
    let by_key = prepared
        .template()
        .is_some_and(|t| matches!(t.executor, Executor::Kv(_)));
    let limits = move || {
        let watch = helios_net::http::when_gone(move || stop.cancel());
        (watch, Alarm::set(timeout, move || cancel.cancel()))
    };
    let running = session.execute(prepared, params, rows);
    tokio::pin!(running);
    if by_key
        && let Poll::Ready(result) = poll_fn(|cx| Poll::Ready(running.as_mut().poll(cx))).await
    {
        return result;
    }
    let (_watch, alarm) = limits();
    let result = running.await;
    let rang = alarm.rang();
    match result {
        Err(e) if e.kind() == ErrorKind::QueryCancelled && rang => Err(Error::new(
            ErrorKind::StatementTimeout,
            "canceling statement due to statement timeout",
        )),
        result => result,
    }
}

/// Prepares the statement. Parameters take the types that the statement gives them; where it
/// gives none, the types of their messages.
fn prepare(
    session: &mut Session,
    request: &QueryRequest,
) -> Result<(Arc<Prepared>, Vec<Value>), Error> {
    let prepared = prepare_typed(session, request);
    if prepared.is_err() {
        session.statement_refused();
    }
    prepared
}

fn prepare_typed(
    session: &mut Session,
    request: &QueryRequest,
) -> Result<(Arc<Prepared>, Vec<Value>), Error> {
    let messages: &[Message] = &request.params;
    let prepared = match session.prepare(&request.sql, &[]) {
        Err(e) if is_untyped(&e) && !messages.is_empty() => {
            let implied: Vec<Option<Type>> = messages.iter().map(value::implied_type).collect();
            session.prepare(&request.sql, &implied)?
        }
        other => other?,
    };
    if prepared.params.len() != messages.len() {
        return Err(Error::new(
            ErrorKind::UndefinedParameter,
            format!(
                "the statement has {} parameters, {} were given",
                prepared.params.len(),
                messages.len()
            ),
        ));
    }
    let params = messages
        .iter()
        .zip(&prepared.params)
        .map(|(message, ty)| value::decode(message, *ty))
        .collect::<Result<_, Error>>()?;
    Ok((prepared, params))
}

fn is_untyped(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::IndeterminateDatatype
            | ErrorKind::AmbiguousFunction
            | ErrorKind::UndefinedFunction
    )
}

/// The call's deadline: `grpc-timeout` is up to eight digits and a unit.
fn timeout(metadata: &MetadataMap) -> Duration {
    let parse = |text: &str| -> Option<Duration> {
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let n: u64 = digits.parse().ok()?;
        Some(match unit {
            "H" => Duration::from_secs(n * 3600),
            "M" => Duration::from_secs(n * 60),
            "S" => Duration::from_secs(n),
            "m" => Duration::from_millis(n),
            "u" => Duration::from_micros(n),
            "n" => Duration::from_nanos(n),
            _ => return None,
        })
    };
    let header = metadata.get("grpc-timeout").and_then(|v| v.to_str().ok());
    header
        .filter(|text| text.len() <= 9)
        .and_then(parse)
        .unwrap_or(CALL_TIMEOUT_MAX)
        .min(CALL_TIMEOUT_MAX)
}

fn rfc3339(time: SystemTime) -> String {
    let seconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    let c = helios_types::datetime::Civil::from_micros(seconds as i64 * 1_000_000);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        c.year, c.month, c.day, c.hour, c.minute, c.second
    )
}
