//! Errors of the document language, with MongoDB's own numbers and texts.

use std::fmt;

pub type DocResult<T> = Result<T, DocError>;

/// An error that the MongoDB front-end answers as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocError {
    pub code: i32,
    pub message: String,
}

impl DocError {
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        DocError {
            code,
            message: message.into(),
        }
    }

    pub fn bad_value(message: impl Into<String>) -> Self {
        Self::new(code::BAD_VALUE, message)
    }

    pub fn failed_to_parse(message: impl Into<String>) -> Self {
        Self::new(code::FAILED_TO_PARSE, message)
    }

    pub fn type_mismatch(message: impl Into<String>) -> Self {
        Self::new(code::TYPE_MISMATCH, message)
    }

    pub fn code_name(&self) -> String {
        code_name(self.code)
    }
}

impl fmt::Display for DocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DocError {}

macro_rules! codes {
    ($($constant:ident = $number:literal, $name:literal;)*) => {
        /// MongoDB's error numbers that have a name.
        pub mod code {
            $(pub const $constant: i32 = $number;)*
        }

        /// The `codeName` of an error number; most numbers of single operators have none of
        /// their own and are called `Location<number>`.
        pub fn code_name(code: i32) -> String {
            match code {
                $($number => $name.to_owned(),)*
                other => format!("Location{other}"),
            }
        }
    };
}

codes! {
    INTERNAL_ERROR = 1, "InternalError";
    BAD_VALUE = 2, "BadValue";
    NO_SUCH_KEY = 4, "NoSuchKey";
    GRAPH_CONTAINS_CYCLE = 5, "GraphContainsCycle";
    HOST_UNREACHABLE = 6, "HostUnreachable";
    FAILED_TO_PARSE = 9, "FailedToParse";
    USER_NOT_FOUND = 11, "UserNotFound";
    UNSUPPORTED_FORMAT = 12, "UnsupportedFormat";
    UNAUTHORIZED = 13, "Unauthorized";
    TYPE_MISMATCH = 14, "TypeMismatch";
    OVERFLOW = 15, "Overflow";
    INVALID_LENGTH = 16, "InvalidLength";
    PROTOCOL_ERROR = 17, "ProtocolError";
    AUTHENTICATION_FAILED = 18, "AuthenticationFailed";
    ILLEGAL_OPERATION = 20, "IllegalOperation";
    INVALID_BSON = 22, "InvalidBSON";
    LOCK_TIMEOUT = 24, "LockTimeout";
    NAMESPACE_NOT_FOUND = 26, "NamespaceNotFound";
    INDEX_NOT_FOUND = 27, "IndexNotFound";
    PATH_NOT_VIABLE = 28, "PathNotViable";
    CONFLICTING_UPDATE_OPERATORS = 40, "ConflictingUpdateOperators";
    CURSOR_NOT_FOUND = 43, "CursorNotFound";
    NAMESPACE_EXISTS = 48, "NamespaceExists";
    DOLLAR_PREFIXED_FIELD_NAME = 52, "DollarPrefixedFieldName";
    INVALID_ID_FIELD = 53, "InvalidIdField";
    NOT_SINGLE_VALUE_FIELD = 54, "NotSingleValueField";
    EMPTY_FIELD_NAME = 56, "EmptyFieldName";
    COMMAND_NOT_FOUND = 59, "CommandNotFound";
    IMMUTABLE_FIELD = 66, "ImmutableField";
    CANNOT_CREATE_INDEX = 67, "CannotCreateIndex";
    INVALID_OPTIONS = 72, "InvalidOptions";
    INVALID_NAMESPACE = 73, "InvalidNamespace";
    INDEX_OPTIONS_CONFLICT = 85, "IndexOptionsConflict";
    INDEX_KEY_SPECS_CONFLICT = 86, "IndexKeySpecsConflict";
    NETWORK_TIMEOUT = 89, "NetworkTimeout";
    OPERATION_FAILED = 96, "OperationFailed";
    NO_PROGRESS_MADE = 82, "NoProgressMade";
    CANNOT_SATISFY_WRITE_CONCERN = 100, "CannotSatisfyWriteConcern";
    WRITE_CONFLICT = 112, "WriteConflict";
    COMMAND_NOT_SUPPORTED = 115, "CommandNotSupported";
    DOCUMENT_VALIDATION_FAILURE = 121, "DocumentValidationFailure";
    EXCEEDED_MEMORY_LIMIT = 146, "ExceededMemoryLimit";
    VIEW_DEPTH_LIMIT_EXCEEDED = 165, "ViewDepthLimitExceeded";
    COMMAND_NOT_SUPPORTED_ON_VIEW = 166, "CommandNotSupportedOnView";
    OPTION_NOT_SUPPORTED_ON_VIEW = 167, "OptionNotSupportedOnView";
    INVALID_PIPELINE_OPERATOR = 168, "InvalidPipelineOperator";
    CLIENT_METADATA_CANNOT_BE_MUTATED = 186, "ClientMetadataCannotBeMutated";
    INVALID_UUID = 207, "InvalidUUID";
    QUERY_FEATURE_NOT_ALLOWED = 224, "QueryFeatureNotAllowed";
    UNKNOWN_REPL_WRITE_CONCERN = 79, "UnknownReplWriteConcern";
    CONFLICTING_OPERATION_IN_PROGRESS = 117, "ConflictingOperationInProgress";
    TRANSACTION_TOO_OLD = 225, "TransactionTooOld";
    CONVERSION_FAILURE = 241, "ConversionFailure";
    NO_SUCH_TRANSACTION = 251, "NoSuchTransaction";
    TRANSACTION_COMMITTED = 256, "TransactionCommitted";
    UNKNOWN_ERROR = 8, "UnknownError";
    OPERATION_NOT_SUPPORTED_IN_TRANSACTION = 263, "OperationNotSupportedInTransaction";
    UNSUPPORTED_OP_QUERY_COMMAND = 352, "UnsupportedOpQueryCommand";
    MAX_TIME_MS_EXPIRED = 50, "MaxTimeMSExpired";
    NOT_YET_INITIALIZED = 94, "NotYetInitialized";
    SHUTDOWN_IN_PROGRESS = 91, "ShutdownInProgress";
    CANNOT_BACKFILL = 51, "CannotBackfillArray";
    NO_MATCHING_DOCUMENT = 47, "NoMatchingDocument";
    CURSOR_IN_USE = 12051, "CursorInUse";
    BSON_OBJECT_TOO_LARGE = 10334, "BSONObjectTooLarge";
    DUPLICATE_KEY = 11000, "DuplicateKey";
    INTERRUPTED_AT_SHUTDOWN = 11600, "InterruptedAtShutdown";
    INTERRUPTED = 11601, "Interrupted";
}

/// `fail!(code, "format {}", x)`: returns that error.
macro_rules! fail {
    ($code:expr, $($arg:tt)+) => {
        return Err($crate::document::error::DocError::new($code, format!($($arg)+)))
    };
}
pub(crate) use fail;
