//! What an error means to the connection. The SQLSTATE of every kind is the exhaustive match of
//! `ErrorKind::sqlstate`.

use crate::encode::Severity;
use helios_types::{Error, ErrorKind};

/// FATAL errors end the connection; everything else ends the statement.
pub fn severity(error: &Error) -> Severity {
    match error.kind() {
        ErrorKind::AdminShutdown
        | ErrorKind::CannotConnectNow
        | ErrorKind::TooManyConnections
        | ErrorKind::IdleTransactionTimeout => Severity::Fatal,
        _ => Severity::Error,
    }
}

/// Logs a fault of ours once, with its cause, and gives the client an id to ask for.
pub fn log_internal(error: &mut Error) {
    if error.kind() != ErrorKind::Internal {
        return;
    }
    let id: u32 = rand::random();
    let cause = error.fields().cause.clone().unwrap_or_default();
    tracing::error!(error_id = format!("{id:08x}"), cause, "internal error");
    let fields = error.fields_mut();
    fields.detail = Some(format!(
        "Error id {id:08x}; the server's log has the cause."
    ));
}
