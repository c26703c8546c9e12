//! Statements that are not plans: DDL, transaction control, settings, cursors, COPY.
//!
//! One closed enum, fully bound: names are resolved to ids where they must exist, types to OIDs,
//! expressions checked and kept as SQL text. The engine carries them out without looking at SQL
//! again.

use crate::catalog::{Identity, IndexColumn, ReferentialAction};
use crate::template::OutputColumn;
use helios_types::{DatabaseId, ObjectId, Type, Value};

#[derive(Debug)]
pub enum Utility {
    // --- transactions
    Begin(Mode),
    /// The same, answered by its own words.
    StartTransaction(Mode),
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    SetTransaction(Mode),
    /// SET SESSION CHARACTERISTICS AS TRANSACTION
    SetSessionTransaction(Mode),
    /// SET CONSTRAINTS ALL (no names) or some.
    SetConstraints {
        names: Vec<String>,
        deferred: bool,
    },

    // --- settings
    Set {
        name: String,
        value: SetValue,
        local: bool,
    },
    Show {
        name: String,
    },
    ShowAll,
    Reset {
        name: String,
    },
    ResetAll,
    Discard(DiscardTarget),
    SetRole {
        role: Option<String>,
        local: bool,
    },
    SetSessionAuthorization {
        role: Option<String>,
        local: bool,
    },

    // --- databases, schemas, roles
    CreateDatabase {
        name: String,
        owner: Option<ObjectId>,
    },
    DropDatabase {
        name: String,
        if_exists: bool,
    },
    AlterDatabase {
        database: DatabaseId,
        change: AlterObject,
    },
    CreateSchema {
        name: String,
        if_not_exists: bool,
        owner: Option<ObjectId>,
        elements: Vec<Utility>,
    },
    AlterSchema {
        schema: ObjectId,
        change: AlterObject,
    },
    CreateRole(RoleOptions),
    AlterRole(RoleOptions),
    RenameRole {
        role: ObjectId,
        name: String,
    },
    DropRole {
        names: Vec<String>,
        if_exists: bool,
    },
    /// GRANT role TO member / REVOKE role FROM member.
    GrantRole {
        roles: Vec<ObjectId>,
        members: Vec<ObjectId>,
        grant: bool,
    },
    Grant(GrantPrivileges),

    // --- relations
    CreateTable(CreateTable),
    CreateTableAs(CreateTableAs),
    AlterTable {
        table: ObjectId,
        changes: Vec<AlterTable>,
    },
    CreateIndex(CreateIndex),
    CreateView(CreateView),
    CreateSequence(CreateSequence),
    AlterSequence {
        sequence: ObjectId,
        options: SequenceOptions,
    },
    /// Rename, new owner or new schema of a view, sequence or index (tables: [`AlterTable`]).
    AlterRelation {
        relation: ObjectId,
        change: AlterObject,
    },
    Drop(Drop),
    Truncate {
        tables: Vec<ObjectId>,
        restart_identity: bool,
        cascade: bool,
    },
    Comment {
        target: CommentTarget,
        text: Option<String>,
    },

    // --- queries
    Explain(Explain),
    Prepare {
        name: String,
        params: Vec<Option<Type>>,
        text: String,
    },
    Execute {
        name: String,
        args: ExecuteArguments,
    },
    /// No name: all.
    Deallocate(Option<String>),
    DeclareCursor(DeclareCursor),
    Fetch {
        cursor: String,
        direction: FetchDirection,
        move_only: bool,
    },
    /// No name: all.
    Close(Option<String>),
    Copy(Copy),

    // --- the rest
    Lock {
        tables: Vec<ObjectId>,
        mode: TableLock,
        nowait: bool,
    },
    Listen(String),
    /// No channel: all.
    Unlisten(Option<String>),
    Notify {
        channel: String,
        payload: String,
    },
    Vacuum {
        tables: Vec<ObjectId>,
        analyze: bool,
    },
    Analyze {
        tables: Vec<ObjectId>,
    },
    Checkpoint,
    /// Something that asks for what is already so (CREATE EXTENSION IF NOT EXISTS plpgsql):
    /// the completion tag, and a notice if there is something to say.
    Nothing {
        tag: &'static str,
        notice: Option<String>,
    },
}

/// The arguments of EXECUTE.
#[derive(Clone, Debug)]
pub enum ExecuteArguments {
    Constants(Vec<(Value, Type)>),
    /// A SELECT of them, where they have to be computed.
    Query(String),
}

/// BEGIN's and SET TRANSACTION's options; levels by their SQL name in lower case.
#[derive(Clone, Debug, Default)]
pub struct Mode {
    pub isolation: Option<&'static str>,
    pub read_only: Option<bool>,
    pub deferrable: Option<bool>,
}

#[derive(Clone, Debug)]
pub enum SetValue {
    Default,
    /// List values are joined by `, `, identifiers and strings as written without quotes unless
    /// they need them.
    Text(String),
    /// FROM CURRENT
    Current,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscardTarget {
    All,
    Plans,
    Sequences,
    Temporary,
}

#[derive(Clone, Debug, Default)]
pub struct RoleOptions {
    pub name: String,
    pub superuser: Option<bool>,
    pub login: Option<bool>,
    pub create_database: Option<bool>,
    pub create_role: Option<bool>,
    pub inherit: Option<bool>,
    /// `Some(None)` is PASSWORD NULL.
    pub password: Option<Option<String>>,
    pub member_of: Vec<ObjectId>,
    pub members: Vec<ObjectId>,
}

#[derive(Clone, Debug)]
pub struct GrantPrivileges {
    pub grant: bool,
    pub targets: GrantTargets,
    /// Letters as in [`crate::catalog::Grant`]; empty means ALL.
    pub privileges: String,
    /// 0 is PUBLIC.
    pub roles: Vec<ObjectId>,
    pub grant_option: bool,
    pub cascade: bool,
}

#[derive(Clone, Debug)]
pub enum GrantTargets {
    Relations(Vec<ObjectId>),
    /// ALL TABLES IN SCHEMA
    TablesIn(Vec<ObjectId>),
    SequencesIn(Vec<ObjectId>),
    Schemas(Vec<ObjectId>),
    Databases(Vec<DatabaseId>),
}

/// Changes that every object knows.
#[derive(Clone, Debug)]
pub enum AlterObject {
    Rename(String),
    Owner(ObjectId),
    /// A relation moves to another schema.
    Schema(ObjectId),
}

#[derive(Clone, Debug)]
pub struct CreateTable {
    pub schema: ObjectId,
    pub name: String,
    pub temporary: bool,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnSpec>,
    pub constraints: Vec<ConstraintSpec>,
    /// WITH (…): `redis_prefix`, `history`, …
    pub options: Vec<(String, String)>,
    /// `USING document`
    pub document: bool,
}

#[derive(Clone, Debug)]
pub struct ColumnSpec {
    pub name: String,
    pub ty: Type,
    pub not_null: bool,
    /// SQL text, checked to have a type assignable to the column's.
    pub default: Option<String>,
    pub identity: Option<(Identity, SequenceOptions)>,
    /// serial types: make and own a sequence, default nextval of it.
    pub serial: bool,
    pub generated: Option<String>,
}

/// A constraint of a table or column; `name` when it was given.
#[derive(Clone, Debug)]
pub struct ConstraintSpec {
    pub name: Option<String>,
    pub kind: ConstraintKind,
    pub deferrable: bool,
    pub initially_deferred: bool,
    /// ALTER TABLE … ADD … NOT VALID
    pub not_valid: bool,
}

#[derive(Clone, Debug)]
pub enum ConstraintKind {
    PrimaryKey {
        columns: Vec<String>,
        include: Vec<String>,
    },
    Unique {
        columns: Vec<String>,
        include: Vec<String>,
        nulls_not_distinct: bool,
    },
    /// ALTER TABLE … ADD PRIMARY KEY / UNIQUE USING INDEX
    UsingIndex { index: ObjectId, primary: bool },
    Check {
        expression: String,
        columns: Vec<String>,
    },
    ForeignKey {
        columns: Vec<String>,
        /// The referenced table; `None` is the table being created itself.
        referenced: Option<ObjectId>,
        /// Empty: its primary key.
        referenced_columns: Vec<String>,
        on_update: ReferentialAction,
        on_delete: ReferentialAction,
        match_full: bool,
    },
}

#[derive(Debug)]
pub struct CreateTableAs {
    pub schema: ObjectId,
    pub name: String,
    pub temporary: bool,
    pub if_not_exists: bool,
    pub columns: Vec<(String, Type)>,
    /// The SELECT's text; run to fill the table when `with_data`.
    pub query: String,
    pub with_data: bool,
}

#[derive(Clone, Debug)]
pub enum AlterTable {
    AddColumn {
        column: ColumnSpec,
        constraints: Vec<ConstraintSpec>,
        if_not_exists: bool,
    },
    DropColumn {
        name: String,
        if_exists: bool,
        cascade: bool,
    },
    RenameColumn {
        from: String,
        to: String,
    },
    /// `using` is SQL text over the table's columns.
    AlterType {
        column: String,
        ty: Type,
        using: Option<String>,
    },
    SetDefault {
        column: String,
        default: Option<String>,
    },
    SetNotNull {
        column: String,
        not_null: bool,
    },
    AddIdentity {
        column: String,
        identity: Identity,
        options: SequenceOptions,
    },
    SetIdentity {
        column: String,
        identity: Option<Identity>,
        options: SequenceOptions,
    },
    DropIdentity {
        column: String,
        if_exists: bool,
    },
    DropExpression {
        column: String,
        if_exists: bool,
    },
    AddConstraint(ConstraintSpec),
    DropConstraint {
        name: String,
        if_exists: bool,
        cascade: bool,
    },
    RenameConstraint {
        from: String,
        to: String,
    },
    ValidateConstraint {
        name: String,
    },
    /// SET (…) and RESET (…): `None` resets.
    Options(Vec<(String, Option<String>)>),
    Object(AlterObject),
}

#[derive(Clone, Debug)]
pub struct CreateIndex {
    pub table: ObjectId,
    /// Chosen by PostgreSQL's rule when it was not given.
    pub name: Option<String>,
    pub if_not_exists: bool,
    pub unique: bool,
    pub columns: Vec<IndexColumn>,
    /// Positions in `Table::columns`.
    pub include: Vec<usize>,
    pub predicate: Option<String>,
    pub nulls_not_distinct: bool,
    pub concurrently: bool,
}

#[derive(Clone, Debug)]
pub struct CreateView {
    pub schema: ObjectId,
    pub name: String,
    pub or_replace: bool,
    pub temporary: bool,
    pub columns: Vec<(String, Type)>,
    pub query: String,
    pub depends_on: Vec<ObjectId>,
}

#[derive(Clone, Debug)]
pub struct CreateSequence {
    pub schema: ObjectId,
    pub name: String,
    pub temporary: bool,
    pub if_not_exists: bool,
    pub options: SequenceOptions,
}

/// What was given; the engine fills in PostgreSQL's defaults.
#[derive(Clone, Debug, Default)]
pub struct SequenceOptions {
    /// Name of an identity column's sequence.
    pub name: Option<String>,
    pub ty: Option<Type>,
    pub start: Option<i64>,
    pub increment: Option<i64>,
    /// `Some(None)` is NO MINVALUE.
    pub min: Option<Option<i64>>,
    pub max: Option<Option<i64>>,
    pub cache: Option<i64>,
    pub cycle: Option<bool>,
    /// `Some(None)` is RESTART without a value.
    pub restart: Option<Option<i64>>,
    /// `Some(None)` is OWNED BY NONE; table and column position.
    pub owned_by: Option<Option<(ObjectId, usize)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Table,
    View,
    Sequence,
    Index,
    Schema,
}

/// DROP of one kind of object. Names that did not exist are notices already.
#[derive(Clone, Debug)]
pub struct Drop {
    pub kind: ObjectKind,
    pub objects: Vec<ObjectId>,
    pub cascade: bool,
    /// `table "x" does not exist, skipping`, for IF EXISTS.
    pub notices: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum CommentTarget {
    Database(DatabaseId),
    Schema(ObjectId),
    Relation(ObjectId),
    Column { table: ObjectId, column: usize },
    Constraint { table: ObjectId, name: String },
    Role(ObjectId),
}

#[derive(Debug)]
pub struct Explain {
    pub analyze: bool,
    pub verbose: bool,
    pub json: bool,
    /// The statement's text.
    pub statement: String,
}

#[derive(Debug)]
pub struct DeclareCursor {
    pub name: String,
    pub query: String,
    pub with_hold: bool,
    /// `None`: not said.
    pub scroll: Option<bool>,
    pub output: Vec<OutputColumn>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchDirection {
    /// Negative: backward.
    Count(i64),
    All,
    BackwardAll,
    Absolute(i64),
    Relative(i64),
}

#[derive(Debug)]
pub struct Copy {
    pub source: CopySource,
    /// True: COPY … FROM STDIN.
    pub from: bool,
    pub options: CopyOptions,
}

#[derive(Debug)]
pub enum CopySource {
    /// The table and the positions in `Table::columns` that the data gives or takes, in order.
    Table {
        table: ObjectId,
        columns: Vec<usize>,
        /** WHERE of COPY FROM, as text. */
        filter: Option<String>,
    },
    /// COPY (query) TO: the text.
    Query(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    pub format: CopyFormat,
    pub delimiter: u8,
    pub null: String,
    pub header: CopyHeader,
    pub quote: u8,
    pub escape: u8,
    /// Columns (by position in the list of `columns`) that are always quoted; all with `*`.
    pub force_quote: Vec<usize>,
    pub force_not_null: Vec<usize>,
    pub force_null: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    Text,
    Csv,
    Binary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyHeader {
    None,
    Write,
    /// Input: the names must match the columns.
    Match,
}

/// PostgreSQL's table lock modes, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableLock {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

impl Default for CopyOptions {
    /// The text format's.
    fn default() -> Self {
        CopyOptions {
            format: CopyFormat::Text,
            delimiter: b'\t',
            null: "\\N".into(),
            header: CopyHeader::None,
            quote: b'"',
            escape: b'"',
            force_quote: Vec::new(),
            force_not_null: Vec::new(),
            force_null: Vec::new(),
        }
    }
}
