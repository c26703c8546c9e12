//! One closed set of error kinds for all protocols.
//!
//! A kind is named for what went wrong, finely enough that each wire's own code is a function of
//! it: SQLSTATE, RESP prefix, MongoDB code, gRPC status and HTTP status are each one exhaustive
//! match in the front-end that speaks them. User messages follow PostgreSQL's form: a primary
//! message in lower case without a full stop, an optional detail, an optional hint, and where it
//! applies a position in the statement.

use std::borrow::Cow;
use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. The SQLSTATE that PostgreSQL gives for the same fault stands beside each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    // --- the request itself
    /// 08P01: bytes that do not follow the protocol.
    ProtocolViolation,
    /// 42601
    SyntaxError,
    /// 0A000: understood, and not supported; the message names the clause or option.
    Unsupported,
    /// 42P02
    UndefinedParameter,
    /// 54000, 54001, 54011: a bound on size, depth or number was passed.
    LimitExceeded,
    /// 22021
    InvalidEncoding,

    // --- names
    /// 3D000
    UndefinedDatabase,
    /// 3F000
    UndefinedSchema,
    /// 42P01
    UndefinedTable,
    /// 42703
    UndefinedColumn,
    /// 42883: a function or operator with these argument types.
    UndefinedFunction,
    /// 42704: type, index, role, setting and every other object.
    UndefinedObject,
    /// 26000
    UndefinedStatement,
    /// 34000
    UndefinedCursor,
    /// 42P04
    DuplicateDatabase,
    /// 42P06
    DuplicateSchema,
    /// 42P07: table, index, view or sequence.
    DuplicateTable,
    /// 42701
    DuplicateColumn,
    /// 42712
    DuplicateAlias,
    /// 42710
    DuplicateObject,
    /// 42P05
    DuplicateStatement,
    /// 42P03
    DuplicateCursor,
    /// 42702
    AmbiguousColumn,
    /// 42725
    AmbiguousFunction,
    /// 42602
    InvalidName,
    /// 42939
    ReservedName,

    // --- meaning
    /// 42804
    DatatypeMismatch,
    /// 42846
    CannotCoerce,
    /// 42P18
    IndeterminateDatatype,
    /// 42803
    GroupingError,
    /// 42P20
    WindowingError,
    /// 42P19
    InvalidRecursion,
    /// 42809: an object of another shape or kind than the operation needs; Redis' WRONGTYPE.
    WrongObjectType,
    /// 42P10
    InvalidColumnReference,
    /// 42P16
    InvalidTableDefinition,
    /// 42P17
    InvalidObjectDefinition,
    /// 42830
    InvalidForeignKey,
    /// 42611
    InvalidColumnDefinition,
    /// 55000
    ObjectNotInPrerequisiteState,
    /// 55006
    ObjectInUse,
    /// 2BP01
    DependentObjectsStillExist,
    /// 428C9
    GeneratedAlways,

    // --- data
    /// 22P02
    InvalidTextRepresentation,
    /// 22P03
    InvalidBinaryRepresentation,
    /// 22P04
    BadCopyFormat,
    /// 22003
    NumericOutOfRange,
    /// 22012
    DivisionByZero,
    /// 22001
    StringTooLong,
    /// 22007
    InvalidDatetimeFormat,
    /// 22008
    DatetimeOverflow,
    /// 22015
    IntervalOverflow,
    /// 22009
    InvalidTimeZone,
    /// 22023
    InvalidParameterValue,
    /// 2201E, 2201F: arguments of logarithm and power.
    InvalidArgumentForPower,
    /// 2201B
    InvalidRegularExpression,
    /// 22011
    SubstringError,
    /// 22025
    InvalidEscapeSequence,
    /// 2202E
    ArraySubscriptError,
    /// 22004
    NullNotAllowed,
    /// 21000
    CardinalityViolation,
    /// 2201W, 2201X
    InvalidRowCount,
    /// 22030, 2203x: JSON that is well-formed and not usable here.
    InvalidJson,
    /// 2200H
    SequenceLimitExceeded,

    // --- constraints
    /// 23502
    NotNullViolation,
    /// 23503
    ForeignKeyViolation,
    /// 23505
    UniqueViolation,
    /// 23514
    CheckViolation,
    /// 44000
    WithCheckOptionViolation,

    // --- transactions
    /// 25P02
    FailedTransaction,
    /// 25001
    ActiveTransaction,
    /// 25P01
    NoActiveTransaction,
    /// 25006
    ReadOnlyTransaction,
    /// 3B001
    UndefinedSavepoint,
    /// 40001
    SerializationFailure,
    /// 40P01
    DeadlockDetected,
    /// 55P03
    LockNotAvailable,
    /// A WATCHed key or an expected version changed; front-ends turn it into their own answer.
    PreconditionFailed,
    /// A transaction id that is not (or no longer) known: REST and gRPC.
    UndefinedTransaction,
    /// AS OF a moment whose history is no longer kept.
    SnapshotTooOld,

    // --- who
    /// 28000 without credentials.
    Unauthenticated,
    /// 28P01
    InvalidPassword,
    /// 42501
    InsufficientPrivilege,

    // --- the server's state
    /// 57014
    QueryCancelled,
    /// 57014 by a time limit.
    StatementTimeout,
    /// 25P03
    IdleTransactionTimeout,
    /// 57P01
    AdminShutdown,
    /// 57P03
    CannotConnectNow,
    /// 53300
    TooManyConnections,
    /// 53400
    RateLimited,
    /// 53200
    OutOfMemory,
    /// 53100
    DiskFull,
    /// 58030
    Io,
    /// XX001
    DataCorrupted,
    /// F0000
    ConfigFile,
    /// XX000: a fault of ours. Masked for the client with an id; the log has the cause.
    Internal,
}

/// Whether sending the same request again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same request gives the same error.
    Never,
    /// Nothing was applied; the transaction may be run again.
    Safe,
    /// It is not known whether the request was applied.
    Unknown,
}

impl ErrorKind {
    /// The SQLSTATE of this kind. An error may carry another one, see [`Error::sqlstate`].
    pub fn sqlstate(self) -> &'static str {
        match self {
            ErrorKind::ProtocolViolation => "08P01",
            ErrorKind::SyntaxError => "42601",
            ErrorKind::Unsupported => "0A000",
            ErrorKind::UndefinedParameter => "42P02",
            ErrorKind::LimitExceeded => "54000",
            ErrorKind::InvalidEncoding => "22021",
            ErrorKind::UndefinedDatabase => "3D000",
            ErrorKind::UndefinedSchema => "3F000",
            ErrorKind::UndefinedTable => "42P01",
            ErrorKind::UndefinedColumn => "42703",
            ErrorKind::UndefinedFunction => "42883",
            ErrorKind::UndefinedObject => "42704",
            ErrorKind::UndefinedStatement => "26000",
            ErrorKind::UndefinedCursor => "34000",
            ErrorKind::DuplicateDatabase => "42P04",
            ErrorKind::DuplicateSchema => "42P06",
            ErrorKind::DuplicateTable => "42P07",
            ErrorKind::DuplicateColumn => "42701",
            ErrorKind::DuplicateAlias => "42712",
            ErrorKind::DuplicateObject => "42710",
            ErrorKind::DuplicateStatement => "42P05",
            ErrorKind::DuplicateCursor => "42P03",
            ErrorKind::AmbiguousColumn => "42702",
            ErrorKind::AmbiguousFunction => "42725",
            ErrorKind::InvalidName => "42602",
            ErrorKind::ReservedName => "42939",
            ErrorKind::DatatypeMismatch => "42804",
            ErrorKind::CannotCoerce => "42846",
            ErrorKind::IndeterminateDatatype => "42P18",
            ErrorKind::GroupingError => "42803",
            ErrorKind::WindowingError => "42P20",
            ErrorKind::InvalidRecursion => "42P19",
            ErrorKind::WrongObjectType => "42809",
            ErrorKind::InvalidColumnReference => "42P10",
            ErrorKind::InvalidTableDefinition => "42P16",
            ErrorKind::InvalidObjectDefinition => "42P17",
            ErrorKind::InvalidForeignKey => "42830",
            ErrorKind::InvalidColumnDefinition => "42611",
            ErrorKind::ObjectNotInPrerequisiteState => "55000",
            ErrorKind::ObjectInUse => "55006",
            ErrorKind::DependentObjectsStillExist => "2BP01",
            ErrorKind::GeneratedAlways => "428C9",
            ErrorKind::InvalidTextRepresentation => "22P02",
            ErrorKind::InvalidBinaryRepresentation => "22P03",
            ErrorKind::BadCopyFormat => "22P04",
            ErrorKind::NumericOutOfRange => "22003",
            ErrorKind::DivisionByZero => "22012",
            ErrorKind::StringTooLong => "22001",
            ErrorKind::InvalidDatetimeFormat => "22007",
            ErrorKind::DatetimeOverflow => "22008",
            ErrorKind::IntervalOverflow => "22015",
            ErrorKind::InvalidTimeZone => "22009",
            ErrorKind::InvalidParameterValue => "22023",
            ErrorKind::InvalidArgumentForPower => "2201F",
            ErrorKind::InvalidRegularExpression => "2201B",
            ErrorKind::SubstringError => "22011",
            ErrorKind::InvalidEscapeSequence => "22025",
            ErrorKind::ArraySubscriptError => "2202E",
            ErrorKind::NullNotAllowed => "22004",
            ErrorKind::CardinalityViolation => "21000",
            ErrorKind::InvalidRowCount => "2201W",
            ErrorKind::InvalidJson => "22030",
            ErrorKind::SequenceLimitExceeded => "2200H",
            ErrorKind::NotNullViolation => "23502",
            ErrorKind::ForeignKeyViolation => "23503",
            ErrorKind::UniqueViolation => "23505",
            ErrorKind::CheckViolation => "23514",
            ErrorKind::WithCheckOptionViolation => "44000",
            ErrorKind::FailedTransaction => "25P02",
            ErrorKind::ActiveTransaction => "25001",
            ErrorKind::NoActiveTransaction => "25P01",
            ErrorKind::ReadOnlyTransaction => "25006",
            ErrorKind::UndefinedSavepoint => "3B001",
            ErrorKind::SerializationFailure => "40001",
            ErrorKind::DeadlockDetected => "40P01",
            ErrorKind::LockNotAvailable => "55P03",
            ErrorKind::PreconditionFailed => "40001",
            ErrorKind::UndefinedTransaction => "25000",
            ErrorKind::SnapshotTooOld => "22023",
            ErrorKind::Unauthenticated => "28000",
            ErrorKind::InvalidPassword => "28P01",
            ErrorKind::InsufficientPrivilege => "42501",
            ErrorKind::QueryCancelled => "57014",
            ErrorKind::StatementTimeout => "57014",
            ErrorKind::IdleTransactionTimeout => "25P03",
            ErrorKind::AdminShutdown => "57P01",
            ErrorKind::CannotConnectNow => "57P03",
            ErrorKind::TooManyConnections => "53300",
            ErrorKind::RateLimited => "53400",
            ErrorKind::OutOfMemory => "53200",
            ErrorKind::DiskFull => "53100",
            ErrorKind::Io => "58030",
            ErrorKind::DataCorrupted => "XX001",
            ErrorKind::ConfigFile => "F0000",
            ErrorKind::Internal => "XX000",
        }
    }

    /// Whether the same transaction may succeed when it is run again.
    pub fn retry(self) -> Retry {
        match self {
            ErrorKind::SerializationFailure
            | ErrorKind::DeadlockDetected
            | ErrorKind::LockNotAvailable
            | ErrorKind::PreconditionFailed
            | ErrorKind::TooManyConnections
            | ErrorKind::RateLimited
            | ErrorKind::CannotConnectNow => Retry::Safe,
            ErrorKind::AdminShutdown | ErrorKind::Io | ErrorKind::Internal => Retry::Unknown,
            _ => Retry::Never,
        }
    }
}

/// An error with everything that a client may see.
///
/// One pointer wide, so that `Result<T>` stays small on hot paths.
pub struct Error(Box<Fields>);

/// The parts of an [`Error`]; every string may be shown to the client.
#[derive(Debug, Clone)]
pub struct Fields {
    pub kind: ErrorKind,
    pub message: Cow<'static, str>,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// One-based character position in the statement text.
    pub position: Option<u32>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub constraint: Option<String>,
    pub datatype: Option<String>,
    /// What the log should say beyond `message`. Never shown to a client.
    pub cause: Option<String>,
    /// An SQLSTATE that differs from the kind's usual one.
    pub sqlstate: Option<[u8; 5]>,
    /// The number that MongoDB gives this error, when a document function raised it.
    pub foreign_code: Option<i32>,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Fields {
            kind,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            schema: None,
            table: None,
            column: None,
            constraint: None,
            datatype: None,
            cause: None,
            sqlstate: None,
            foreign_code: None,
        }))
    }

    /// A fault of ours: `cause` goes to the log, the client sees a masked message.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let mut error = Self::new(ErrorKind::Internal, "internal error");
        error.0.cause = Some(cause.to_string());
        error
    }

    /// `what` is a clause, option or command by its user-visible name.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Unsupported, format!("{what} is not supported"))
    }

    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn fields(&self) -> &Fields {
        &self.0
    }

    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.0
    }

    pub fn retry(&self) -> Retry {
        self.0.kind.retry()
    }

    /// The five characters of the SQLSTATE.
    pub fn sqlstate(&self) -> &str {
        match &self.0.sqlstate {
            Some(code) => std::str::from_utf8(code).unwrap_or("XX000"),
            None => self.0.kind.sqlstate(),
        }
    }

    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// `position` counts characters from one; a position that is already known is kept.
    #[must_use]
    pub fn with_position(mut self, position: u32) -> Self {
        self.0.position.get_or_insert(position);
        self
    }

    #[must_use]
    pub fn with_table(mut self, schema: impl Into<String>, table: impl Into<String>) -> Self {
        self.0.schema = Some(schema.into());
        self.0.table = Some(table.into());
        self
    }

    #[must_use]
    pub fn with_column(mut self, column: impl Into<String>) -> Self {
        self.0.column = Some(column.into());
        self
    }

    #[must_use]
    pub fn with_constraint(mut self, constraint: impl Into<String>) -> Self {
        self.0.constraint = Some(constraint.into());
        self
    }

    #[must_use]
    pub fn with_sqlstate(mut self, sqlstate: [u8; 5]) -> Self {
        self.0.sqlstate = Some(sqlstate);
        self
    }

    #[must_use]
    pub fn with_cause(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }
}

impl Clone for Error {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

/// `error!(Kind, "format {}", x)`: an [`Error`] with a formatted message.
#[macro_export]
macro_rules! error {
    ($kind:ident, $literal:literal $(,)?) => {
        $crate::Error::new($crate::ErrorKind::$kind, ::std::format!($literal))
    };
    ($kind:ident, $($arg:tt)+) => {
        $crate::Error::new($crate::ErrorKind::$kind, ::std::format!($($arg)+))
    };
}

/// `bail!(Kind, "format {}", x)`: returns that error.
#[macro_export]
macro_rules! bail {
    ($kind:ident, $($arg:tt)+) => {
        return ::std::result::Result::Err($crate::error!($kind, $($arg)+))
    };
}
