//! From an error kind to a gRPC status: one exhaustive match, with the code of REST dialect v7 as
//! the machine-readable reason.

use bytes::Bytes;
use helios_types::{Error, ErrorKind};
use prost::Message;
use std::collections::HashMap;
use tonic::{Code, Status};

/// `google.rpc.Status`, the form of rich errors in `grpc-status-details-bin`.
#[derive(Clone, PartialEq, Message)]
pub struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<prost_types::Any>,
}

/// `google.rpc.ErrorInfo`
#[derive(Clone, PartialEq, Message)]
pub struct ErrorInfo {
    #[prost(string, tag = "1")]
    pub reason: String,
    #[prost(string, tag = "2")]
    pub domain: String,
    #[prost(map = "string, string", tag = "3")]
    pub metadata: HashMap<String, String>,
}

fn code(kind: ErrorKind) -> (Code, &'static str) {
    use ErrorKind as K;
    match kind {
        K::Unauthenticated => (Code::Unauthenticated, "AUTHENTICATION_REQUIRED"),
        K::InvalidPassword => (Code::Unauthenticated, "AUTHENTICATION_FAILED"),
        K::InsufficientPrivilege => (Code::PermissionDenied, "AUTHORIZATION_DENIED"),
        K::UndefinedTable => (Code::NotFound, "TABLE_NOT_FOUND"),
        K::UndefinedColumn => (Code::InvalidArgument, "COLUMN_NOT_FOUND"),
        K::UndefinedTransaction => (Code::NotFound, "TRANSACTION_NOT_FOUND"),
        K::UniqueViolation => (Code::AlreadyExists, "CONSTRAINT_VIOLATION"),
        K::ForeignKeyViolation => (Code::FailedPrecondition, "CONSTRAINT_VIOLATION"),
        K::NotNullViolation | K::CheckViolation | K::WithCheckOptionViolation => {
            (Code::InvalidArgument, "CONSTRAINT_VIOLATION")
        }
        K::StatementTimeout | K::IdleTransactionTimeout => {
            (Code::DeadlineExceeded, "QUERY_TIMEOUT")
        }
        K::QueryCancelled => (Code::Cancelled, "QUERY_TIMEOUT"),
        K::RateLimited => (Code::ResourceExhausted, "RATE_LIMIT_EXCEEDED"),
        K::DiskFull | K::OutOfMemory => (Code::ResourceExhausted, "QUOTA_EXCEEDED"),
        K::SerializationFailure
        | K::DeadlockDetected
        | K::LockNotAvailable
        | K::PreconditionFailed => (Code::Aborted, "TRANSACTION_CONFLICT"),
        K::DuplicateDatabase | K::DuplicateSchema | K::DuplicateTable | K::DuplicateObject => {
            (Code::AlreadyExists, "CONFLICT")
        }
        K::ObjectInUse | K::DependentObjectsStillExist => (Code::FailedPrecondition, "CONFLICT"),
        K::UndefinedDatabase | K::UndefinedSchema | K::UndefinedObject => {
            (Code::NotFound, "NOT_FOUND")
        }
        K::Unsupported => (Code::Unimplemented, "INVALID_QUERY"),
        K::AdminShutdown | K::CannotConnectNow | K::TooManyConnections => {
            (Code::Unavailable, "SERVICE_UNAVAILABLE")
        }
        K::Io | K::ConfigFile | K::Internal => (Code::Internal, "INTERNAL_ERROR"),
        K::DataCorrupted => (Code::DataLoss, "INTERNAL_ERROR"),
        K::LimitExceeded => (Code::ResourceExhausted, "INVALID_QUERY"),
        K::FailedTransaction
        | K::ActiveTransaction
        | K::NoActiveTransaction
        | K::ReadOnlyTransaction
        | K::UndefinedSavepoint
        | K::ObjectNotInPrerequisiteState => (Code::FailedPrecondition, "INVALID_QUERY"),
        K::SnapshotTooOld => (Code::OutOfRange, "INVALID_QUERY"),
        K::ProtocolViolation
        | K::SyntaxError
        | K::UndefinedParameter
        | K::InvalidEncoding
        | K::UndefinedFunction
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
        | K::GeneratedAlways => (Code::InvalidArgument, "INVALID_QUERY"),
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
        | K::SequenceLimitExceeded => (Code::InvalidArgument, "TYPE_MISMATCH"),
    }
}

/// The status that a client sees.
pub fn status(error: &Error) -> Status {
    let (code, reason) = code(error.kind());
    let fields = error.fields();
    if error.kind() == ErrorKind::Internal {
        tracing::error!(
            cause = fields.cause.as_deref().unwrap_or_default(),
            "internal error"
        );
    }
    let mut metadata = HashMap::from([("sqlstate".to_owned(), error.sqlstate().to_owned())]);
    let details = [
        ("detail", fields.detail.clone()),
        ("hint", fields.hint.clone()),
        ("position", fields.position.map(|p| p.to_string())),
        ("constraint", fields.constraint.clone()),
        ("table", fields.table.clone()),
        ("column", fields.column.clone()),
    ];
    metadata.extend(
        details
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
    );
    let info = ErrorInfo {
        reason: reason.to_owned(),
        domain: "heliosdb".to_owned(),
        metadata,
    };
    let any = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
        value: info.encode_to_vec(),
    };
    let status = RpcStatus {
        code: code as i32,
        message: error.message().to_owned(),
        details: vec![any],
    };
    Status::with_details(code, error.message(), Bytes::from(status.encode_to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_the_code_of_the_contract_and_its_rest_code_as_the_reason() {
        let cases = [
            (
                ErrorKind::Unauthenticated,
                Code::Unauthenticated,
                "AUTHENTICATION_REQUIRED",
            ),
            (
                ErrorKind::InsufficientPrivilege,
                Code::PermissionDenied,
                "AUTHORIZATION_DENIED",
            ),
            (
                ErrorKind::SyntaxError,
                Code::InvalidArgument,
                "INVALID_QUERY",
            ),
            (ErrorKind::UndefinedTable, Code::NotFound, "TABLE_NOT_FOUND"),
            (
                ErrorKind::UndefinedColumn,
                Code::InvalidArgument,
                "COLUMN_NOT_FOUND",
            ),
            (
                ErrorKind::UniqueViolation,
                Code::AlreadyExists,
                "CONSTRAINT_VIOLATION",
            ),
            (
                ErrorKind::ForeignKeyViolation,
                Code::FailedPrecondition,
                "CONSTRAINT_VIOLATION",
            ),
            (
                ErrorKind::NotNullViolation,
                Code::InvalidArgument,
                "CONSTRAINT_VIOLATION",
            ),
            (
                ErrorKind::InvalidTextRepresentation,
                Code::InvalidArgument,
                "TYPE_MISMATCH",
            ),
            (
                ErrorKind::StatementTimeout,
                Code::DeadlineExceeded,
                "QUERY_TIMEOUT",
            ),
            (
                ErrorKind::RateLimited,
                Code::ResourceExhausted,
                "RATE_LIMIT_EXCEEDED",
            ),
            (
                ErrorKind::SerializationFailure,
                Code::Aborted,
                "TRANSACTION_CONFLICT",
            ),
            (
                ErrorKind::UndefinedTransaction,
                Code::NotFound,
                "TRANSACTION_NOT_FOUND",
            ),
            (ErrorKind::Internal, Code::Internal, "INTERNAL_ERROR"),
            (
                ErrorKind::CannotConnectNow,
                Code::Unavailable,
                "SERVICE_UNAVAILABLE",
            ),
        ];
        for (kind, expected, reason) in cases {
            let status = status(&Error::new(kind, "m").with_hint("h"));
            assert_eq!(status.code(), expected, "{kind:?}");
            let rich = RpcStatus::decode(status.details()).unwrap();
            assert_eq!(rich.code, expected as i32);
            let info = ErrorInfo::decode(&*rich.details[0].value).unwrap();
            assert_eq!(
                (info.reason.as_str(), info.domain.as_str()),
                (reason, "heliosdb")
            );
            assert_eq!(info.metadata["sqlstate"], kind.sqlstate());
            assert_eq!(info.metadata["hint"], "h");
        }
    }
}
