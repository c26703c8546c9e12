//! Errors as Redis writes them: a code in capitals, a blank, the message.
//!
//! Messages of the keyspace are Redis' own texts already; those of the shared engine are
//! PostgreSQL's, and come with their detail. Clients look at the code alone.

use crate::codec::ReplyWriter;
use helios_types::{Error, ErrorKind};

/// The code of each kind of error.
pub fn code(kind: ErrorKind) -> &'static str {
    use ErrorKind::*;
    match kind {
        WrongObjectType => "WRONGTYPE",
        Unauthenticated => "NOAUTH",
        InvalidPassword => "WRONGPASS",
        InsufficientPrivilege => "NOPERM",
        LockNotAvailable => "BUSY",
        SerializationFailure | DeadlockDetected | PreconditionFailed => "TRYAGAIN",
        FailedTransaction => "EXECABORT",
        ReadOnlyTransaction => "READONLY",
        OutOfMemory | DiskFull => "OOM",
        CannotConnectNow => "LOADING",
        Io | DataCorrupted => "MISCONF",
        ProtocolViolation
        | SyntaxError
        | Unsupported
        | UndefinedParameter
        | LimitExceeded
        | InvalidEncoding
        | UndefinedDatabase
        | UndefinedSchema
        | UndefinedTable
        | UndefinedColumn
        | UndefinedFunction
        | UndefinedObject
        | UndefinedStatement
        | UndefinedCursor
        | DuplicateDatabase
        | DuplicateSchema
        | DuplicateTable
        | DuplicateColumn
        | DuplicateAlias
        | DuplicateObject
        | DuplicateStatement
        | DuplicateCursor
        | AmbiguousColumn
        | AmbiguousFunction
        | InvalidName
        | ReservedName
        | DatatypeMismatch
        | CannotCoerce
        | IndeterminateDatatype
        | GroupingError
        | WindowingError
        | InvalidRecursion
        | InvalidColumnReference
        | InvalidTableDefinition
        | InvalidObjectDefinition
        | InvalidForeignKey
        | InvalidColumnDefinition
        | ObjectNotInPrerequisiteState
        | ObjectInUse
        | DependentObjectsStillExist
        | GeneratedAlways
        | InvalidTextRepresentation
        | InvalidBinaryRepresentation
        | BadCopyFormat
        | NumericOutOfRange
        | DivisionByZero
        | StringTooLong
        | InvalidDatetimeFormat
        | DatetimeOverflow
        | IntervalOverflow
        | InvalidTimeZone
        | InvalidParameterValue
        | InvalidArgumentForPower
        | InvalidRegularExpression
        | SubstringError
        | InvalidEscapeSequence
        | ArraySubscriptError
        | NullNotAllowed
        | CardinalityViolation
        | InvalidRowCount
        | InvalidJson
        | SequenceLimitExceeded
        | NotNullViolation
        | ForeignKeyViolation
        | UniqueViolation
        | CheckViolation
        | WithCheckOptionViolation
        | ActiveTransaction
        | NoActiveTransaction
        | UndefinedSavepoint
        | UndefinedTransaction
        | SnapshotTooOld
        | QueryCancelled
        | StatementTimeout
        | IdleTransactionTimeout
        | AdminShutdown
        | TooManyConnections
        | RateLimited
        | ConfigFile
        | Internal => "ERR",
    }
}

/// The text of an error reply.
pub fn text(error: &Error) -> String {
    if let Some(cause) = &error.fields().cause {
        tracing::error!(%cause, "internal error");
    }
    let mut text = format!("{} {}", code(error.kind()), error.message());
    if let Some(detail) = &error.fields().detail {
        text.push_str(": ");
        text.push_str(detail);
    }
    text
}

pub fn write(out: &mut ReplyWriter, error: &Error) {
    out.error(&text(error));
}
