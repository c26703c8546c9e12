//! Errors as MongoDB answers them.

use helios_planner::document::error::{DocError, code, code_name};
use helios_planner::document::raw::{Bson, BsonBuf, Writer};
use helios_types::{Error, ErrorKind};

pub type Result<T, E = MongoError> = std::result::Result<T, E>;

/// An error of a command, or of one write in a command.
#[derive(Clone, Debug)]
pub struct MongoError {
    pub code: i32,
    pub message: String,
    pub labels: Vec<&'static str>,
    /// Further fields: `keyPattern`, `keyValue`, `errInfo`.
    pub extra: Option<BsonBuf>,
    /// Whether a unique constraint was violated, and which index.
    pub index: Option<String>,
}

impl MongoError {
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        MongoError {
            code,
            message: message.into(),
            labels: Vec::new(),
            extra: None,
            index: None,
        }
    }

    pub fn with_label(mut self, label: &'static str) -> Self {
        if !self.labels.contains(&label) {
            self.labels.push(label);
        }
        self
    }

    /// `{ok: 0, errmsg, code, codeName, errorLabels?}`
    pub fn write(&self, out: &mut Writer) {
        out.put_f64("ok", 0.0);
        self.write_fields("errmsg", out);
        out.put_str("codeName", &code_name(self.code));
        if !self.labels.is_empty() {
            out.start_array("errorLabels");
            for (i, label) in self.labels.iter().enumerate() {
                out.put_str(&i.to_string(), label);
            }
            out.end();
        }
    }

    /// As an element of `writeErrors`.
    pub fn to_write_error(&self, index: usize) -> BsonBuf {
        let mut out = Writer::new();
        out.put_i32("index", index as i32);
        self.write_fields("errmsg", &mut out);
        BsonBuf::document(out.finish())
    }

    fn write_fields(&self, message: &str, out: &mut Writer) {
        out.put_i32("code", self.code);
        if let Some(extra) = &self.extra {
            for (name, value) in extra.as_bson().fields() {
                out.put(name, value);
            }
        }
        out.put_str(message, &self.message);
    }
}

impl std::fmt::Display for MongoError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for MongoError {}

impl From<DocError> for MongoError {
    fn from(error: DocError) -> Self {
        MongoError::new(error.code, error.message)
    }
}

impl From<Error> for MongoError {
    fn from(error: Error) -> Self {
        if error.kind() == ErrorKind::Internal {
            tracing::error!(cause = ?error.fields().cause, "internal error");
        }
        let number = error
            .fields()
            .foreign_code
            .unwrap_or_else(|| code_of(error.kind()));
        let mut text = error.message().to_owned();
        if let Some(detail) = &error.fields().detail {
            text.push_str(": ");
            text.push_str(detail);
        }
        let mut out = MongoError::new(number, text);
        if number == code::DUPLICATE_KEY {
            out.index = Some(error.fields().constraint.clone().unwrap_or_default());
        }
        if number == code::WRITE_CONFLICT {
            out = out.with_label("TransientTransactionError");
        }
        if error.fields().foreign_code.is_none() && number == code::DOCUMENT_VALIDATION_FAILURE {
            let mut details = Writer::new();
            details.start_document("errInfo").start_document("details");
            details.put_str("reason", error.message());
            if let Some(column) = &error.fields().column {
                details.put_str("column", column);
            }
            out.extra = Some(BsonBuf::document(details.finish()));
        }
        out
    }
}

/// The number that MongoDB uses for a fault of this kind.
pub fn code_of(kind: ErrorKind) -> i32 {
    use ErrorKind::*;
    match kind {
        ProtocolViolation => code::PROTOCOL_ERROR,
        SyntaxError => code::FAILED_TO_PARSE,
        Unsupported => code::COMMAND_NOT_SUPPORTED,
        UndefinedParameter | UndefinedFunction | UndefinedStatement => code::BAD_VALUE,
        LimitExceeded => code::EXCEEDED_MEMORY_LIMIT,
        InvalidEncoding => code::INVALID_BSON,
        UndefinedDatabase | UndefinedSchema | UndefinedTable => code::NAMESPACE_NOT_FOUND,
        UndefinedColumn => code::DOCUMENT_VALIDATION_FAILURE,
        UndefinedObject => code::INDEX_NOT_FOUND,
        UndefinedCursor => code::CURSOR_NOT_FOUND,
        DuplicateDatabase | DuplicateSchema | DuplicateTable => code::NAMESPACE_EXISTS,
        DuplicateColumn | DuplicateAlias | DuplicateObject | DuplicateStatement
        | DuplicateCursor => code::INDEX_OPTIONS_CONFLICT,
        AmbiguousColumn | AmbiguousFunction => code::BAD_VALUE,
        InvalidName | ReservedName => code::INVALID_NAMESPACE,
        DatatypeMismatch | CannotCoerce | IndeterminateDatatype => code::TYPE_MISMATCH,
        GroupingError | WindowingError | InvalidRecursion => code::BAD_VALUE,
        WrongObjectType => code::COMMAND_NOT_SUPPORTED_ON_VIEW,
        InvalidColumnReference
        | InvalidTableDefinition
        | InvalidObjectDefinition
        | InvalidForeignKey
        | InvalidColumnDefinition => code::CANNOT_CREATE_INDEX,
        ObjectNotInPrerequisiteState | ObjectInUse | DependentObjectsStillExist => {
            code::ILLEGAL_OPERATION
        }
        GeneratedAlways => code::DOCUMENT_VALIDATION_FAILURE,
        InvalidTextRepresentation | InvalidBinaryRepresentation | BadCopyFormat => code::BAD_VALUE,
        NumericOutOfRange | StringTooLong | DatetimeOverflow | IntervalOverflow => {
            code::DOCUMENT_VALIDATION_FAILURE
        }
        DivisionByZero => code::BAD_VALUE,
        InvalidDatetimeFormat
        | InvalidTimeZone
        | InvalidParameterValue
        | InvalidArgumentForPower
        | SubstringError
        | InvalidEscapeSequence
        | ArraySubscriptError
        | CardinalityViolation
        | InvalidRowCount
        | InvalidJson => code::BAD_VALUE,
        InvalidRegularExpression => 51091,
        NullNotAllowed => code::DOCUMENT_VALIDATION_FAILURE,
        SequenceLimitExceeded => code::OVERFLOW,
        NotNullViolation | ForeignKeyViolation | CheckViolation | WithCheckOptionViolation => {
            code::DOCUMENT_VALIDATION_FAILURE
        }
        UniqueViolation => code::DUPLICATE_KEY,
        FailedTransaction | NoActiveTransaction | UndefinedTransaction | UndefinedSavepoint => {
            code::NO_SUCH_TRANSACTION
        }
        ActiveTransaction => code::OPERATION_NOT_SUPPORTED_IN_TRANSACTION,
        ReadOnlyTransaction => code::ILLEGAL_OPERATION,
        SerializationFailure | DeadlockDetected | PreconditionFailed => code::WRITE_CONFLICT,
        LockNotAvailable => code::LOCK_TIMEOUT,
        SnapshotTooOld => 239,
        Unauthenticated | InvalidPassword => code::AUTHENTICATION_FAILED,
        InsufficientPrivilege => code::UNAUTHORIZED,
        QueryCancelled => code::INTERRUPTED,
        StatementTimeout => code::MAX_TIME_MS_EXPIRED,
        IdleTransactionTimeout => code::NO_SUCH_TRANSACTION,
        AdminShutdown | CannotConnectNow => code::INTERRUPTED_AT_SHUTDOWN,
        TooManyConnections | RateLimited => 202,
        OutOfMemory => code::EXCEEDED_MEMORY_LIMIT,
        DiskFull => 14031,
        Io | DataCorrupted | ConfigFile | Internal => code::INTERNAL_ERROR,
    }
}

/// `fail!(code, "format {}", x)`: returns that error.
macro_rules! fail {
    ($code:expr, $($arg:tt)+) => {
        return Err($crate::error::MongoError::new($code, format!($($arg)+)))
    };
}
pub(crate) use fail;

/// A field that must be a string.
pub(crate) fn string<'a>(command: &str, field: &str, value: Bson<'a>) -> Result<&'a str> {
    match value
        .as_str()
        .filter(|_| value.tag == helios_planner::document::raw::STRING)
    {
        Some(text) => Ok(text),
        None => fail!(
            code::TYPE_MISMATCH,
            "BSON field '{command}.{field}' is the wrong type '{}', expected type 'string'",
            value.type_name()
        ),
    }
}
