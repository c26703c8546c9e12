//! From one error kind to the codes and statuses of five dialects.
//!
//! [`ErrorKind`] is first gathered into [`Fault`], one row of the contract's error table, by one
//! exhaustive match; each dialect is one exhaustive match over the rows.

use crate::dialect::Dialect;
use crate::json;
use helios_types::{Error, ErrorKind};
use std::borrow::Cow;

/// A row of the error table: what the dialects tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    NoCredentials,
    BadCredentials,
    NoPermission,
    InvalidQuery,
    /// A table that the SQL text names.
    TableMissing,
    ColumnMissing,
    /// A table that the path names.
    PathTableMissing,
    /// Any other resource that the path names, and a path that is no endpoint.
    PathMissing,
    MethodNotAllowed,
    /// A duplicate or a dangling reference.
    KeyViolation,
    /// NOT NULL, CHECK and other conditions on one row.
    RowViolation,
    TypeMismatch,
    Timeout,
    RateLimited,
    Conflict,
    /// The object exists already, or others depend on it.
    ObjectConflict,
    MalformedJson,
    WrongField,
    TooLarge,
    /// No form of the answer is one that the client takes.
    NotAcceptable,
    UnsupportedMediaType,
    QuotaUsedUp,
    TransactionMissing,
    ServerBug,
    Unavailable,
}

impl Fault {
    pub fn of(kind: ErrorKind) -> Self {
        use ErrorKind as K;
        match kind {
            K::Unauthenticated => Fault::NoCredentials,
            K::InvalidPassword => Fault::BadCredentials,
            K::InsufficientPrivilege => Fault::NoPermission,

            K::UndefinedTable => Fault::TableMissing,
            K::UndefinedColumn => Fault::ColumnMissing,
            K::UndefinedTransaction => Fault::TransactionMissing,

            K::SyntaxError
            | K::Unsupported
            | K::UndefinedParameter
            | K::LimitExceeded
            | K::InvalidEncoding
            | K::UndefinedDatabase
            | K::UndefinedSchema
            | K::UndefinedFunction
            | K::UndefinedObject
            | K::UndefinedStatement
            | K::UndefinedCursor
            | K::DuplicateColumn
            | K::DuplicateAlias
            | K::DuplicateStatement
            | K::DuplicateCursor
            | K::AmbiguousColumn
            | K::AmbiguousFunction
            | K::InvalidName
            | K::ReservedName
            | K::IndeterminateDatatype
            | K::GroupingError
            | K::WindowingError
            | K::InvalidRecursion
            | K::WrongObjectType
            | K::InvalidColumnReference
            | K::InvalidTableDefinition
            | K::InvalidObjectDefinition
            | K::InvalidForeignKey
            | K::InvalidColumnDefinition
            | K::ObjectNotInPrerequisiteState
            | K::GeneratedAlways
            | K::FailedTransaction
            | K::ActiveTransaction
            | K::NoActiveTransaction
            | K::ReadOnlyTransaction
            | K::UndefinedSavepoint
            | K::SnapshotTooOld
            | K::ProtocolViolation => Fault::InvalidQuery,

            K::DatatypeMismatch
            | K::CannotCoerce
            | K::InvalidTextRepresentation
            | K::InvalidBinaryRepresentation
            | K::BadCopyFormat
            | K::NumericOutOfRange
            | K::DivisionByZero
            | K::StringTooLong
            | K::InvalidDatetimeFormat
            | K::DatetimeOverflow
            | K::IntervalOverflow
            | K::InvalidTimeZone
            | K::InvalidParameterValue
            | K::InvalidArgumentForPower
            | K::InvalidRegularExpression
            | K::SubstringError
            | K::InvalidEscapeSequence
            | K::ArraySubscriptError
            | K::NullNotAllowed
            | K::CardinalityViolation
            | K::InvalidRowCount
            | K::InvalidJson
            | K::SequenceLimitExceeded => Fault::TypeMismatch,

            K::UniqueViolation | K::ForeignKeyViolation => Fault::KeyViolation,
            K::NotNullViolation | K::CheckViolation | K::WithCheckOptionViolation => {
                Fault::RowViolation
            }

            K::SerializationFailure
            | K::DeadlockDetected
            | K::LockNotAvailable
            | K::PreconditionFailed => Fault::Conflict,
            K::DuplicateDatabase
            | K::DuplicateSchema
            | K::DuplicateTable
            | K::DuplicateObject
            | K::ObjectInUse
            | K::DependentObjectsStillExist => Fault::ObjectConflict,

            K::StatementTimeout | K::QueryCancelled | K::IdleTransactionTimeout => Fault::Timeout,
            K::RateLimited => Fault::RateLimited,
            K::DiskFull | K::OutOfMemory => Fault::QuotaUsedUp,
            K::AdminShutdown | K::CannotConnectNow | K::TooManyConnections => Fault::Unavailable,
            K::Io | K::DataCorrupted | K::ConfigFile | K::Internal => Fault::ServerBug,
        }
    }

    fn v7(self) -> (&'static str, u16) {
        match self {
            Fault::NoCredentials => ("AUTHENTICATION_REQUIRED", 401),
            Fault::BadCredentials => ("AUTHENTICATION_FAILED", 401),
            Fault::NoPermission => ("AUTHORIZATION_DENIED", 403),
            Fault::InvalidQuery => ("INVALID_QUERY", 400),
            Fault::TableMissing | Fault::PathTableMissing => ("TABLE_NOT_FOUND", 404),
            Fault::ColumnMissing => ("COLUMN_NOT_FOUND", 400),
            Fault::PathMissing => ("NOT_FOUND", 404),
            Fault::MethodNotAllowed => ("METHOD_NOT_ALLOWED", 405),
            Fault::KeyViolation => ("CONSTRAINT_VIOLATION", 409),
            Fault::RowViolation => ("CONSTRAINT_VIOLATION", 422),
            Fault::TypeMismatch => ("TYPE_MISMATCH", 422),
            Fault::Timeout => ("QUERY_TIMEOUT", 503),
            Fault::RateLimited => ("RATE_LIMIT_EXCEEDED", 429),
            Fault::Conflict => ("TRANSACTION_CONFLICT", 409),
            Fault::ObjectConflict => ("CONFLICT", 409),
            Fault::MalformedJson => ("VALIDATION_ERROR", 400),
            Fault::WrongField => ("VALIDATION_ERROR", 422),
            Fault::TooLarge => ("VALIDATION_ERROR", 413),
            Fault::NotAcceptable => ("VALIDATION_ERROR", 406),
            Fault::UnsupportedMediaType => ("VALIDATION_ERROR", 415),
            Fault::QuotaUsedUp => ("QUOTA_EXCEEDED", 429),
            Fault::TransactionMissing => ("TRANSACTION_NOT_FOUND", 404),
            Fault::ServerBug => ("INTERNAL_ERROR", 500),
            Fault::Unavailable => ("SERVICE_UNAVAILABLE", 503),
        }
    }

    fn cloud(self) -> (&'static str, u16) {
        match self {
            Fault::NoCredentials | Fault::BadCredentials => ("AUTH_REQUIRED", 401),
            Fault::NoPermission => ("FORBIDDEN", 403),
            Fault::InvalidQuery
            | Fault::TableMissing
            | Fault::ColumnMissing
            | Fault::KeyViolation
            | Fault::RowViolation
            | Fault::TypeMismatch
            | Fault::Timeout
            | Fault::Conflict
            | Fault::ObjectConflict
            | Fault::TransactionMissing => ("QUERY_ERROR", 400),
            Fault::PathTableMissing | Fault::PathMissing => ("NOT_FOUND", 404),
            Fault::MethodNotAllowed => ("VALIDATION_ERROR", 405),
            Fault::RateLimited => ("RATE_LIMITED", 429),
            Fault::MalformedJson | Fault::WrongField => ("VALIDATION_ERROR", 400),
            Fault::TooLarge => ("VALIDATION_ERROR", 413),
            Fault::NotAcceptable => ("VALIDATION_ERROR", 406),
            Fault::UnsupportedMediaType => ("VALIDATION_ERROR", 415),
            Fault::QuotaUsedUp => ("QUOTA_EXCEEDED", 402),
            Fault::ServerBug => ("SERVER_ERROR", 500),
            Fault::Unavailable => ("SERVER_ERROR", 503),
        }
    }

    fn nano(self) -> (&'static str, u16) {
        match self {
            Fault::NoCredentials | Fault::BadCredentials => ("UNAUTHORIZED", 401),
            Fault::NoPermission => ("FORBIDDEN", 403),
            Fault::InvalidQuery
            | Fault::TableMissing
            | Fault::ColumnMissing
            | Fault::TypeMismatch => ("INVALID_QUERY", 400),
            Fault::PathTableMissing | Fault::PathMissing | Fault::TransactionMissing => {
                ("NOT_FOUND", 404)
            }
            Fault::MethodNotAllowed => ("VALIDATION_ERROR", 405),
            Fault::KeyViolation => ("CONSTRAINT_VIOLATION", 409),
            Fault::RowViolation => ("CONSTRAINT_VIOLATION", 422),
            Fault::Timeout => ("INTERNAL_ERROR", 500),
            Fault::RateLimited => ("RATE_LIMITED", 429),
            Fault::Conflict => ("TRANSACTION_CONFLICT", 409),
            Fault::ObjectConflict => ("CONFLICT", 409),
            Fault::MalformedJson | Fault::WrongField => ("VALIDATION_ERROR", 400),
            Fault::TooLarge => ("VALIDATION_ERROR", 413),
            Fault::NotAcceptable => ("VALIDATION_ERROR", 406),
            Fault::UnsupportedMediaType => ("VALIDATION_ERROR", 415),
            Fault::QuotaUsedUp => ("QUOTA_EXCEEDED", 402),
            Fault::ServerBug => ("INTERNAL_ERROR", 500),
            Fault::Unavailable => ("INTERNAL_ERROR", 503),
        }
    }

    /// The branch dialect answers SQLSTATEs, three of them by the names of its own document.
    fn branch(self, sqlstate: &str) -> (Cow<'static, str>, u16) {
        let own = |code: &'static str, status| (Cow::Borrowed(code), status);
        match self {
            Fault::NoCredentials => own("28000", 401),
            Fault::BadCredentials => own("28P01", 401),
            Fault::NoPermission => own("42501", 403),
            Fault::ColumnMissing => own("42P02", 400),
            Fault::PathTableMissing => own("42P01", 404),
            Fault::PathMissing if sqlstate == "3D000" => own("3D000", 404),
            Fault::PathMissing => own("42704", 404),
            Fault::MethodNotAllowed => own("22023", 405),
            Fault::Timeout => own("57014", 500),
            Fault::RateLimited => own("53400", 429),
            Fault::Conflict => own("25001", 400),
            Fault::MalformedJson | Fault::WrongField => own("22023", 400),
            Fault::TooLarge => own("22023", 413),
            Fault::NotAcceptable => own("22023", 406),
            Fault::UnsupportedMediaType => own("22023", 415),
            Fault::QuotaUsedUp => own("53000", 400),
            Fault::TransactionMissing => own("25000", 400),
            Fault::ServerBug => own("XX000", 500),
            Fault::Unavailable => own("57P03", 503),
            Fault::InvalidQuery if sqlstate == "25P02" => own("25001", 400),
            Fault::InvalidQuery
            | Fault::TableMissing
            | Fault::KeyViolation
            | Fault::RowViolation
            | Fault::TypeMismatch
            | Fault::ObjectConflict => (Cow::Owned(sqlstate.to_owned()), 400),
        }
    }

    fn postgrest(self, sqlstate: &str) -> (Cow<'static, str>, u16) {
        let own = |code: &'static str, status| (Cow::Borrowed(code), status);
        let sql = |status| (Cow::Owned(sqlstate.to_owned()), status);
        match self {
            Fault::NoCredentials => own("PGRST302", 401),
            Fault::BadCredentials => own("PGRST301", 401),
            Fault::NoPermission => own("42501", 403),
            Fault::InvalidQuery if sqlstate == "42601" => own("PGRST100", 400),
            Fault::InvalidQuery if sqlstate == "25006" => sql(405),
            Fault::InvalidQuery if sqlstate == "42883" => sql(404),
            Fault::TableMissing => sql(404),
            Fault::PathTableMissing | Fault::PathMissing | Fault::TransactionMissing => {
                own("PGRST205", 404)
            }
            Fault::MethodNotAllowed => own("PGRST117", 405),
            Fault::KeyViolation => sql(409),
            Fault::Timeout => own("57014", 500),
            Fault::RateLimited => own("53400", 429),
            Fault::Conflict => sql(500),
            Fault::MalformedJson | Fault::WrongField => own("PGRST102", 400),
            Fault::TooLarge => own("PGRST102", 413),
            Fault::NotAcceptable => own("PGRST107", 406),
            Fault::UnsupportedMediaType => own("PGRST102", 415),
            Fault::QuotaUsedUp => own("53000", 503),
            Fault::ServerBug => own("XX000", 500),
            Fault::Unavailable => own("PGRST000", 503),
            Fault::InvalidQuery
            | Fault::ColumnMissing
            | Fault::RowViolation
            | Fault::TypeMismatch
            | Fault::ObjectConflict => sql(400),
        }
    }
}

/// An error on its way to a client.
#[derive(Debug)]
pub struct Failure {
    pub fault: Fault,
    pub error: Error,
}

pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure {
            fault: Fault::of(error.kind()),
            error,
        }
    }
}

impl Failure {
    pub fn new(fault: Fault, kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Failure {
            fault,
            error: Error::new(kind, message),
        }
    }

    /// A request field that is missing or has the wrong type or value.
    pub fn field(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Fault::WrongField, ErrorKind::InvalidParameterValue, message)
    }

    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Fault::PathMissing, ErrorKind::UndefinedObject, message)
    }

    /// The code and HTTP status in a dialect.
    pub fn code(&self, dialect: Dialect) -> (Cow<'static, str>, u16) {
        let borrowed = |(code, status): (&'static str, u16)| (Cow::Borrowed(code), status);
        match dialect {
            Dialect::V7 => borrowed(self.fault.v7()),
            Dialect::Cloud => borrowed(self.fault.cloud()),
            Dialect::Nano => borrowed(self.fault.nano()),
            Dialect::Branch => self.fault.branch(self.error.sqlstate()),
            Dialect::Postgrest => self.fault.postgrest(self.error.sqlstate()),
        }
    }

    /// The body of the error in a dialect.
    pub fn body(&self, dialect: Dialect, context: &ErrorContext<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let (code, _) = self.code(dialect);
        match dialect {
            Dialect::V7 => {
                out.extend_from_slice(b"{\"error\":");
                self.write_object(&mut out, &code, context, true);
                out.push(b'}');
            }
            Dialect::Branch => {
                out.extend_from_slice(b"{\"error\":{\"code\":");
                json::write_str(&mut out, &code);
                out.extend_from_slice(b",\"message\":");
                json::write_str(&mut out, self.error.message());
                if code != self.error.sqlstate() {
                    out.extend_from_slice(b",\"details\":{\"sqlstate\":");
                    json::write_str(&mut out, self.error.sqlstate());
                    out.push(b'}');
                }
                out.extend_from_slice(b"}}");
            }
            Dialect::Cloud => {
                out.extend_from_slice(b"{\"success\":false,\"error\":");
                self.write_object(&mut out, &code, context, false);
                out.extend_from_slice(b",\"meta\":{\"request_id\":");
                json::write_str(&mut out, context.request_id);
                out.extend_from_slice(
                    format!(",\"duration_ms\":{},\"timestamp\":", context.duration_ms).as_bytes(),
                );
                json::write_str(&mut out, &json::now());
                out.extend_from_slice(b"}}");
            }
            Dialect::Nano => {
                out.extend_from_slice(b"{\"success\":false,\"error\":");
                self.write_object(&mut out, &code, context, false);
                out.push(b'}');
            }
            Dialect::Postgrest => self.write_postgrest(&mut out, &code),
        }
        out
    }

    fn write_postgrest(&self, out: &mut Vec<u8>, code: &str) {
        let fields = self.error.fields();
        out.extend_from_slice(b"{\"code\":");
        json::write_str(out, code);
        for (name, value) in [
            ("message", Some(self.error.message())),
            ("details", fields.detail.as_deref()),
            ("hint", fields.hint.as_deref()),
        ] {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            match value {
                Some(text) => json::write_str(out, text),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(b'}');
    }

    /// `{"code":…,"message":…,"details":{…}[,"request_id":…]}`
    pub fn write_object(
        &self,
        out: &mut Vec<u8>,
        code: &str,
        context: &ErrorContext<'_>,
        with_request_id: bool,
    ) {
        out.extend_from_slice(b"{\"code\":");
        json::write_str(out, code);
        out.extend_from_slice(b",\"message\":");
        json::write_str(out, self.error.message());
        out.extend_from_slice(b",\"details\":");
        self.write_details(out, context.sql);
        if with_request_id {
            out.extend_from_slice(b",\"request_id\":");
            json::write_str(out, context.request_id);
        }
        out.push(b'}');
    }

    fn write_details(&self, out: &mut Vec<u8>, sql: Option<&str>) {
        let fields = self.error.fields();
        out.extend_from_slice(b"{\"sqlstate\":");
        json::write_str(out, self.error.sqlstate());
        if let Some(position) = fields.position {
            out.extend_from_slice(format!(",\"position\":{position}").as_bytes());
            if let Some(sql) = sql {
                let (line, column) = line_and_column(sql, position);
                out.extend_from_slice(format!(",\"line\":{line},\"column\":{column}").as_bytes());
            }
        }
        for (name, value) in [
            ("detail", &fields.detail),
            ("hint", &fields.hint),
            ("schema", &fields.schema),
            ("table", &fields.table),
            ("column_name", &fields.column),
            ("constraint", &fields.constraint),
            ("datatype", &fields.datatype),
        ] {
            if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                out.extend_from_slice(format!(",\"{name}\":").as_bytes());
                json::write_str(out, value);
            }
        }
        if self.fault == Fault::Timeout {
            out.extend_from_slice(b",\"reason\":\"timeout\"");
        }
        out.push(b'}');
    }
}

/// What an error body needs beyond the error.
pub struct ErrorContext<'a> {
    pub request_id: &'a str,
    pub duration_ms: u128,
    /// The statement that the position counts in.
    pub sql: Option<&'a str>,
}

/// One-based line and column of a one-based character position.
fn line_and_column(sql: &str, position: u32) -> (u32, u32) {
    let (mut line, mut column) = (1, 1);
    for c in sql.chars().take(position.saturating_sub(1) as usize) {
        if c == '\n' {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// kind and, for each dialect, code and status: the rows of the contract's table 2.1.
    #[rustfmt::skip]
    const TABLE: &[(ErrorKind, [(&str, u16); 5])] = &[
        (ErrorKind::Unauthenticated, [("AUTHENTICATION_REQUIRED", 401), ("AUTH_REQUIRED", 401), ("UNAUTHORIZED", 401), ("28000", 401), ("PGRST302", 401)]),
        (ErrorKind::InvalidPassword, [("AUTHENTICATION_FAILED", 401), ("AUTH_REQUIRED", 401), ("UNAUTHORIZED", 401), ("28P01", 401), ("PGRST301", 401)]),
        (ErrorKind::InsufficientPrivilege, [("AUTHORIZATION_DENIED", 403), ("FORBIDDEN", 403), ("FORBIDDEN", 403), ("42501", 403), ("42501", 403)]),
        (ErrorKind::SyntaxError, [("INVALID_QUERY", 400), ("QUERY_ERROR", 400), ("INVALID_QUERY", 400), ("42601", 400), ("PGRST100", 400)]),
        (ErrorKind::UndefinedTable, [("TABLE_NOT_FOUND", 404), ("QUERY_ERROR", 400), ("INVALID_QUERY", 400), ("42P01", 400), ("42P01", 404)]),
        (ErrorKind::UndefinedColumn, [("COLUMN_NOT_FOUND", 400), ("QUERY_ERROR", 400), ("INVALID_QUERY", 400), ("42P02", 400), ("42703", 400)]),
        (ErrorKind::UniqueViolation, [("CONSTRAINT_VIOLATION", 409), ("QUERY_ERROR", 400), ("CONSTRAINT_VIOLATION", 409), ("23505", 400), ("23505", 409)]),
        (ErrorKind::ForeignKeyViolation, [("CONSTRAINT_VIOLATION", 409), ("QUERY_ERROR", 400), ("CONSTRAINT_VIOLATION", 409), ("23503", 400), ("23503", 409)]),
        (ErrorKind::NotNullViolation, [("CONSTRAINT_VIOLATION", 422), ("QUERY_ERROR", 400), ("CONSTRAINT_VIOLATION", 422), ("23502", 400), ("23502", 400)]),
        (ErrorKind::CheckViolation, [("CONSTRAINT_VIOLATION", 422), ("QUERY_ERROR", 400), ("CONSTRAINT_VIOLATION", 422), ("23514", 400), ("23514", 400)]),
        (ErrorKind::InvalidTextRepresentation, [("TYPE_MISMATCH", 422), ("QUERY_ERROR", 400), ("INVALID_QUERY", 400), ("22P02", 400), ("22P02", 400)]),
        (ErrorKind::DatatypeMismatch, [("TYPE_MISMATCH", 422), ("QUERY_ERROR", 400), ("INVALID_QUERY", 400), ("42804", 400), ("42804", 400)]),
        (ErrorKind::StatementTimeout, [("QUERY_TIMEOUT", 503), ("QUERY_ERROR", 400), ("INTERNAL_ERROR", 500), ("57014", 500), ("57014", 500)]),
        (ErrorKind::RateLimited, [("RATE_LIMIT_EXCEEDED", 429), ("RATE_LIMITED", 429), ("RATE_LIMITED", 429), ("53400", 429), ("53400", 429)]),
        (ErrorKind::SerializationFailure, [("TRANSACTION_CONFLICT", 409), ("QUERY_ERROR", 400), ("TRANSACTION_CONFLICT", 409), ("25001", 400), ("40001", 500)]),
        (ErrorKind::DeadlockDetected, [("TRANSACTION_CONFLICT", 409), ("QUERY_ERROR", 400), ("TRANSACTION_CONFLICT", 409), ("25001", 400), ("40P01", 500)]),
        (ErrorKind::DiskFull, [("QUOTA_EXCEEDED", 429), ("QUOTA_EXCEEDED", 402), ("QUOTA_EXCEEDED", 402), ("53000", 400), ("53000", 503)]),
        (ErrorKind::UndefinedTransaction, [("TRANSACTION_NOT_FOUND", 404), ("QUERY_ERROR", 400), ("NOT_FOUND", 404), ("25000", 400), ("PGRST205", 404)]),
        (ErrorKind::Internal, [("INTERNAL_ERROR", 500), ("SERVER_ERROR", 500), ("INTERNAL_ERROR", 500), ("XX000", 500), ("XX000", 500)]),
        (ErrorKind::CannotConnectNow, [("SERVICE_UNAVAILABLE", 503), ("SERVER_ERROR", 503), ("INTERNAL_ERROR", 503), ("57P03", 503), ("PGRST000", 503)]),
        (ErrorKind::FailedTransaction, [("INVALID_QUERY", 400), ("QUERY_ERROR", 400), ("INVALID_QUERY", 400), ("25001", 400), ("25P02", 400)]),
    ];

    #[test]
    fn every_kind_has_the_code_and_status_of_each_dialect() {
        for (kind, expected) in TABLE {
            let failure = Failure::from(Error::new(*kind, "m"));
            for (dialect, (code, status)) in Dialect::ALL.into_iter().zip(expected) {
                assert_eq!(
                    failure.code(dialect),
                    (Cow::Borrowed(*code), *status),
                    "{kind:?} in {}",
                    dialect.name()
                );
            }
        }
    }

    #[test]
    fn each_dialect_has_its_own_envelope() {
        let error =
            Error::new(ErrorKind::UndefinedColumn, "column \"x\" does not exist").with_position(8);
        let failure = Failure::from(error.with_hint("look"));
        let context = ErrorContext {
            request_id: "req_1",
            duration_ms: 3,
            sql: Some("select\nx"),
        };
        let body = |dialect| String::from_utf8(failure.body(dialect, &context)).unwrap();
        let details = r#"{"sqlstate":"42703","position":8,"line":2,"column":1,"hint":"look"}"#;
        assert_eq!(
            body(Dialect::V7),
            format!(
                r#"{{"error":{{"code":"COLUMN_NOT_FOUND","message":"column \"x\" does not exist","details":{details},"request_id":"req_1"}}}}"#
            )
        );
        assert_eq!(
            body(Dialect::Nano),
            format!(
                r#"{{"success":false,"error":{{"code":"INVALID_QUERY","message":"column \"x\" does not exist","details":{details}}}}}"#
            )
        );
        assert_eq!(
            body(Dialect::Branch),
            r#"{"error":{"code":"42P02","message":"column \"x\" does not exist","details":{"sqlstate":"42703"}}}"#
        );
        assert_eq!(
            body(Dialect::Postgrest),
            r#"{"code":"42703","message":"column \"x\" does not exist","details":null,"hint":"look"}"#
        );
        assert!(
            body(Dialect::Cloud).starts_with(r#"{"success":false,"error":{"code":"QUERY_ERROR","#)
        );
        assert!(
            body(Dialect::Cloud)
                .contains(r#""meta":{"request_id":"req_1","duration_ms":3,"timestamp":"20"#)
        );
    }
}
