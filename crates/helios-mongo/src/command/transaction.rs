//! Logical sessions, transactions and retryable writes.
//!
//! A transaction's engine session belongs to the logical session and goes with whichever
//! connection sends the next command of it. It reads one snapshot; a write to a row that somebody
//! else changed since fails at once with a write conflict, and the driver runs it all again.
//!
//! The reply to a retryable write is remembered and also committed with it (`session/retry.rs`), so
//! that a client which asks again gets it, even after a crash.

use super::{Context, data, finish, options};
use crate::error::{MongoError, Result, fail};
use crate::session::{Logical, Retry, Transaction, logical_id};
use helios_engine::{Isolation, Session, TransactionMode};
use helios_planner::document::error::code;
use helios_planner::document::number::Number;
use helios_planner::document::raw::*;
use std::time::Instant;

/// What the request says of transactions.
struct Wanted {
    id: [u8; 16],
    number: i64,
    start: bool,
}

fn number(context: &Context<'_>) -> Option<i64> {
    Number::of(context.get("txnNumber")).and_then(Number::to_exact_i64)
}

fn wanted(context: &Context<'_>) -> Result<Option<Wanted>> {
    let autocommit = context.get("autocommit");
    if autocommit.is_missing() {
        if context.get("startTransaction").truthy() {
            fail!(
                code::INVALID_OPTIONS,
                "Specifying startTransaction requires autocommit: false"
            );
        }
        return Ok(None);
    }
    if autocommit.as_bool() != Some(false) {
        fail!(
            code::INVALID_OPTIONS,
            "Specifying autocommit=true is not allowed."
        );
    }
    let (Some(id), Some(number)) = (logical_id(context.request), number(context)) else {
        fail!(
            code::INVALID_OPTIONS,
            "'autocommit' field requires a transaction number to be specified"
        );
    };
    Ok(Some(Wanted {
        id,
        number,
        start: context.get("startTransaction").truthy(),
    }))
}

/// Runs a command that needs the engine, inside a transaction or outside.
pub(crate) async fn run(mut context: Context<'_>, write: bool) -> Result<Vec<u8>> {
    if let Some(wanted) = wanted(&context)? {
        return in_transaction(context, wanted).await;
    }
    context.retry = match (write, logical_id(context.request), number(&context)) {
        (true, Some(session), Some(number)) => Some(Retry { session, number }),
        _ => None,
    };
    let Some(retry) = context.retry else {
        run_alone(&mut context).await?;
        return finish(context);
    };
    let server = context.client.server.clone();
    let logical = server.logical(retry.session);
    // Held while the write runs, so that its retry waits for its result.
    let mut logical = logical.lock().await;
    logical.touch();
    logical.recall(&server.engine, retry.session)?;
    if let Some(reply) = logical.reply(retry.number) {
        put_fields(&mut context.out, reply);
        return finish(context);
    }
    if retry.number < logical.number {
        fail!(
            code::TRANSACTION_TOO_OLD,
            "Retryable write with txnNumber {} is prohibited on session because a newer retryable write with txnNumber {} has already started",
            retry.number,
            logical.number
        );
    }
    logical.number = retry.number;
    run_alone(&mut context).await?;
    let fields = std::mem::take(&mut context.out).finish();
    put_fields(&mut context.out, &fields);
    logical.remember(retry.number, fields);
    finish(context)
}

fn put_fields(out: &mut Writer, document: &[u8]) {
    for (name, value) in Bson::document(document).fields() {
        out.put(name, value);
    }
}

/// Runs a command outside of the client's transactions.
async fn run_alone(context: &mut Context<'_>) -> Result<()> {
    let place = context.namespace()?;
    let database = place.database.as_str();
    let session = context.client.take_session(database)?;
    context.client.runs(&session);
    context.session = Some(session);
    let result = limited(context).await;
    if let Some(mut session) = context.session.take() {
        // A command that failed half-way leaves nothing open.
        session.rollback();
        session.forget_commit_record();
        if options::max_time(context.request)?.is_some() {
            // A rollback has taken back what `limited` said at the end.
            session.set_setting("statement_timeout", "0")?;
        }
        context.client.put_session(database, session);
    }
    result.map_err(|error| retryable(error, context.retry.is_some()))
}

/// Runs a command within its `maxTimeMS`.
async fn limited(context: &mut Context<'_>) -> Result<()> {
    let Some(limit) = options::max_time(context.request)? else {
        return data(context).await;
    };
    let session = context.session()?;
    session.set_setting("statement_timeout", &limit.to_string())?;
    let result = data(context).await;
    if let Some(session) = &mut context.session {
        session.set_setting("statement_timeout", "0")?;
    }
    result
}

/// Faults after which drivers may send a retryable write once more.
fn retryable(mut error: MongoError, write: bool) -> MongoError {
    error.labels.retain(|l| *l != "TransientTransactionError");
    let again = matches!(
        error.code,
        91 | 189 | 11600 | 11602 | 10107 | 13435 | 13436 | 262 | 6 | 7 | 89 | 9001
    );
    if write && again {
        error.with_label("RetryableWriteError")
    } else {
        error
    }
}

/// MongoDB's `maxTransactionLockRequestTimeoutMillis`.
const LOCK_TIMEOUT_MS: &str = "5";

fn begin(context: &Context<'_>, database: &str) -> Result<Session> {
    let level = context.get("readConcern").get("level");
    if let Some(level) = level.as_str()
        && !matches!(level, "local" | "majority" | "snapshot")
    {
        fail!(
            code::INVALID_OPTIONS,
            "The readConcern level must be either 'local' (default), 'majority' or 'snapshot' in order to run in a transaction"
        );
    }
    let mut session = context.client.open_session(database)?;
    // Whoever meets a row that another transaction holds fails at once and runs again.
    session.set_setting("lock_timeout", LOCK_TIMEOUT_MS)?;
    let mode = TransactionMode {
        isolation: Some(Isolation::RepeatableRead),
        read_only: None,
    };
    session.begin(mode)?;
    Ok(session)
}

async fn in_transaction(mut context: Context<'_>, wanted: Wanted) -> Result<Vec<u8>> {
    if matches!(
        context.name,
        "count"
            | "listCollections"
            | "listDatabases"
            | "listIndexes"
            | "explain"
            | "drop"
            | "dropDatabase"
            | "collStats"
            | "dbStats"
            | "renameCollection"
            | "validate"
            | "dropIndexes"
    ) {
        fail!(
            code::OPERATION_NOT_SUPPORTED_IN_TRANSACTION,
            "Cannot run '{}' in a multi-document transaction.",
            context.name
        );
    }
    let logical = context.client.server.logical(wanted.id);
    let mut logical = logical.lock().await;
    logical.touch();
    let database = context.namespace()?.database.clone();
    if wanted.start {
        if wanted.number < logical.number {
            fail!(
                code::TRANSACTION_TOO_OLD,
                "Cannot start transaction {} on session because a newer transaction {} has already started",
                wanted.number,
                logical.number
            );
        }
        if logical.number == wanted.number && logical.transaction.is_some() {
            fail!(
                code::CONFLICTING_OPERATION_IN_PROGRESS,
                "Cannot start a transaction at given transaction number {} on session because a transaction with the same number has already started",
                wanted.number
            );
        }
        logical.number = wanted.number;
        let session = Box::new(begin(&context, &database)?);
        logical.transaction = Some(Transaction::Open {
            number: wanted.number,
            database: database.clone(),
            session,
            started: Instant::now(),
        });
    }
    let (session, started) = take_open(&mut logical, wanted.number, &database)?;
    context.client.runs(&session);
    context.session = Some(*session);
    context.in_transaction = true;
    let result = limited(&mut context).await;
    let session = context.session.take();
    match (result, session) {
        (Ok(()), Some(session)) => {
            logical.transaction = Some(Transaction::Open {
                number: wanted.number,
                database,
                session: Box::new(session),
                started,
            });
            finish(context)
        }
        (Ok(()), None) => fail!(code::INTERNAL_ERROR, "a command took its transaction away"),
        (Err(error), session) => {
            // Any error ends the transaction.
            if let Some(mut session) = session {
                session.rollback();
            }
            logical.transaction = Some(Transaction::Aborted {
                number: wanted.number,
            });
            Err(match error.code {
                code::LOCK_TIMEOUT => write_conflict(),
                code::WRITE_CONFLICT | code::NO_SUCH_TRANSACTION => {
                    error.with_label("TransientTransactionError")
                }
                _ => error,
            })
        }
    }
}

fn write_conflict() -> MongoError {
    MongoError::new(
        code::WRITE_CONFLICT,
        "Caused by :: Write conflict during plan execution and yielding is disabled. :: Please retry your operation or multi-document transaction.",
    )
    .with_label("TransientTransactionError")
}

fn no_such(number: i64) -> MongoError {
    MongoError::new(
        code::NO_SUCH_TRANSACTION,
        format!("Given transaction number {number} does not match any in-progress transactions."),
    )
    .with_label("TransientTransactionError")
}

fn take_open(logical: &mut Logical, number: i64, wanted: &str) -> Result<(Box<Session>, Instant)> {
    match logical.transaction.take() {
        Some(Transaction::Open {
            number: open,
            database,
            session,
            started,
        }) if open == number => {
            if database != wanted {
                logical.transaction = Some(Transaction::Open {
                    number,
                    database,
                    session,
                    started,
                });
                fail!(
                    code::OPERATION_NOT_SUPPORTED_IN_TRANSACTION,
                    "a transaction may not span logical databases"
                );
            }
            Ok((session, started))
        }
        Some(Transaction::Committed { number: done }) if done == number => {
            logical.transaction = Some(Transaction::Committed { number });
            fail!(
                code::TRANSACTION_COMMITTED,
                "Transaction with {{ txnNumber: {number} }} has been committed."
            )
        }
        Some(Transaction::Aborted { number: done }) if done == number => {
            logical.transaction = Some(Transaction::Aborted { number });
            Err(MongoError::new(
                code::NO_SUCH_TRANSACTION,
                format!("Transaction with {{ txnNumber: {number} }} has been aborted."),
            )
            .with_label("TransientTransactionError"))
        }
        other => {
            logical.transaction = other;
            Err(no_such(number))
        }
    }
}

/// commitTransaction and abortTransaction.
pub(crate) async fn end(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&["recoveryToken"])?;
    if context.database != "admin" {
        fail!(
            code::UNAUTHORIZED,
            "{} may only be run against the admin database.",
            context.name
        );
    }
    let Some(wanted) = wanted(context)? else {
        fail!(
            code::INVALID_OPTIONS,
            "{} requires a transaction",
            context.name
        );
    };
    let logical = context.client.server.logical(wanted.id);
    let mut logical = logical.lock().await;
    logical.touch();
    let commit = context.name == "commitTransaction";
    match logical.transaction.take() {
        Some(Transaction::Open {
            number,
            mut session,
            ..
        }) if number == wanted.number => {
            if !commit {
                session.rollback();
                logical.transaction = Some(Transaction::Aborted { number });
                return Ok(());
            }
            match session.commit().await {
                Ok(true) => {
                    logical.transaction = Some(Transaction::Committed { number });
                    Ok(())
                }
                Ok(false) => {
                    logical.transaction = Some(Transaction::Aborted { number });
                    Err(no_such(number))
                }
                Err(error) => {
                    logical.transaction = Some(Transaction::Aborted { number });
                    Err(MongoError::from(error))
                }
            }
        }
        // Committing twice is how drivers make sure.
        Some(Transaction::Committed { number }) if number == wanted.number && commit => {
            logical.transaction = Some(Transaction::Committed { number });
            Ok(())
        }
        other => {
            logical.transaction = other;
            Err(no_such(wanted.number))
        }
    }
}

/// startSession and its relatives.
pub(crate) fn sessions(context: &mut Context<'_>) -> Result<()> {
    let server = context.client.server.clone();
    let (name, argument) = context.request.command();
    let ids = || {
        argument
            .elements()
            .filter_map(|s| s.get("id").as_binary()?.1.try_into().ok())
    };
    match name {
        "startSession" => {
            let id: [u8; 16] = rand::random();
            server.logical(id);
            context
                .out
                .start_document("id")
                .put("id", BsonBuf::binary(4, &id).as_bson())
                .end();
            context.out.put_i32("timeoutMinutes", 30);
        }
        "refreshSessions" => {
            for id in ids() {
                // One that is in use right now needs no refreshing.
                if let Ok(mut logical) = server.logical(id).try_lock() {
                    logical.touch();
                }
            }
        }
        "killAllSessions" => server.end_all_sessions(),
        _ => server.end_sessions(ids()),
    }
    Ok(())
}
