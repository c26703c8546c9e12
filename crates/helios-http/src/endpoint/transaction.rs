//! a transaction over several requests. Its session waits under the id.

use crate::app::App;
use crate::error::{Failure, Result};
use crate::execute;
use crate::json::{self, JsonRows, Separator, write_str};
use crate::reply::Reply;
use crate::request::Request;
use helios_engine::{Isolation, TransactionMode, TransactionStatus};
use helios_types::{Error, ErrorKind};
use serde_json::json;
use std::time::{Duration, SystemTime};

const TIMEOUT_DEFAULT_MS: u64 = 30_000;
const TIMEOUT_MAX_MS: u64 = 24 * 3600 * 1000;

pub async fn begin(app: &App, request: &Request) -> Result<Reply> {
    let fields = &request.fields;
    let level = fields.str("isolation_level")?.unwrap_or("read_committed");
    let isolation = match level {
        "read_committed" => Isolation::ReadCommitted,
        "repeatable_read" => Isolation::RepeatableRead,
        "serializable" => Isolation::Serializable,
        other => {
            return Err(Failure::field(format!(
                "field \"isolation_level\" must be read_committed, repeatable_read or serializable, not \"{other}\""
            )));
        }
    };
    let timeout_ms = fields.u64("timeout_ms")?.unwrap_or(TIMEOUT_DEFAULT_MS);
    if timeout_ms == 0 || timeout_ms > TIMEOUT_MAX_MS {
        return Err(Failure::field(format!(
            "field \"timeout_ms\" must be from 1 to {TIMEOUT_MAX_MS}"
        )));
    }
    let read_only = fields.bool("read_only", false)?;
    let mut session = app
        .sessions
        .fresh(&request.user, &request.database, request.peer)?;
    execute::set_tenant(&mut session, request)?;
    session.begin(TransactionMode {
        isolation: Some(isolation),
        read_only: Some(read_only),
    })?;
    let lifetime = Duration::from_millis(timeout_ms);
    let started = SystemTime::now();
    let id = app
        .transactions
        .insert("txn_", &request.user, session, lifetime)?;
    Ok(Reply::value(
        201,
        &json!({
            "transaction_id": id,
            "isolation_level": level,
            "started_at": json::at(started),
            "expires_at": json::at(started + lifetime),
        }),
    ))
}

pub async fn query(app: &App, request: &Request) -> Result<Reply> {
    let id = request.capture(0);
    let sql = request.fields.required_str("sql")?;
    let params = request.fields.array("params")?.unwrap_or_default();
    let timeout = request.timeout()?;
    let mut lease = app.transactions.get(id, &request.user).await?;
    let Some(session) = lease.as_mut() else {
        return Err(Failure::from(Error::internal("empty lease")));
    };
    execute::set_tenant(session, request)?;
    let ready = execute::prepare(session, sql, params)?;
    let mut rows = JsonRows::objects(super::query::columns(&ready), Separator::Comma);
    rows.out.extend_from_slice(b"{\"success\":true,");
    let has_rows = !ready.prepared.output.is_empty();
    if has_rows {
        rows.out.extend_from_slice(b"\"data\":[");
    }
    let result = execute::run(session, &ready, &mut rows, timeout).await;
    if session.transaction_status() == TransactionStatus::Idle {
        // COMMIT or ROLLBACK as SQL text: the transaction is over, and so is its id.
        lease.take();
    }
    let completion = result?;
    let mut out = rows.out;
    if has_rows {
        out.extend_from_slice(b"],");
    }
    let affected = if execute::changes_rows(&completion) {
        completion.rows
    } else {
        0
    };
    out.extend_from_slice(format!("\"affected_rows\":{affected},\"transaction_id\":").as_bytes());
    write_str(&mut out, id);
    out.push(b'}');
    Ok(Reply::json(200, out))
}

pub async fn commit(app: &App, request: &Request) -> Result<Reply> {
    let id = request.capture(0);
    let mut session = app.transactions.take(id, &request.user).await?;
    if !session.commit().await? {
        return Err(Failure::from(
            Error::new(
                ErrorKind::FailedTransaction,
                "the transaction had failed and was rolled back",
            )
            .with_detail("A statement of the transaction ended with an error."),
        ));
    }
    Ok(Reply::value(
        200,
        &json!({"success": true, "transaction_id": id, "committed_at": json::now()}),
    ))
}

pub async fn rollback(app: &App, request: &Request) -> Result<Reply> {
    let id = request.capture(0);
    let mut session = app.transactions.take(id, &request.user).await?;
    session.rollback();
    Ok(Reply::value(
        200,
        &json!({"success": true, "transaction_id": id, "rolled_back_at": json::now()}),
    ))
}
