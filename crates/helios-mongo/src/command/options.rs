//! Options that any command may carry: each is honoured, checked or refused.

use super::Context;
use crate::codec::Request;
use crate::error::{Result, fail};
use crate::translate::Collection;
use helios_planner::document::error::code;
use helios_planner::document::expression::Expression;
use helios_planner::document::number::Number;
use helios_planner::document::raw::*;
use helios_planner::document::variable::{self, Place};

/// Commands of the stable API, version 1.
const STABLE: &[&str] = &[
    "abortTransaction",
    "aggregate",
    "commitTransaction",
    "count",
    "create",
    "createIndexes",
    "delete",
    "drop",
    "dropDatabase",
    "dropIndexes",
    "endSessions",
    "explain",
    "find",
    "findAndModify",
    "getMore",
    "hello",
    "insert",
    "killCursors",
    "listCollections",
    "listDatabases",
    "listIndexes",
    "ping",
    "refreshSessions",
    "saslContinue",
    "saslStart",
    "update",
];

/// Checks what every command may say beside its own fields.
pub(crate) fn check(request: &Request<'_>, name: &str) -> Result<()> {
    write_concern(request.get("writeConcern"))?;
    read_concern(request)?;
    stable_api(request, name)?;
    max_time(request)?;
    let session = request.get("lsid");
    if !session.is_missing() && crate::session::logical_id(request).is_none() {
        fail!(
            code::TYPE_MISMATCH,
            "BSON field 'lsid.id' must be a UUID of 16 bytes: {session:?}"
        );
    }
    if !request.get("txnNumber").is_missing() && session.is_missing() {
        fail!(
            code::INVALID_OPTIONS,
            "Transaction number requires a session ID to also be specified"
        );
    }
    Ok(())
}

fn object(name: &str, value: Bson<'_>) -> Result<bool> {
    match value.tag {
        MISSING => Ok(false),
        DOCUMENT => Ok(true),
        _ => fail!(
            code::TYPE_MISMATCH,
            "BSON field '{name}' is the wrong type '{}', expected type 'object'",
            value.type_name()
        ),
    }
}

/// A write concern that one server cannot satisfy is refused before anything is written. Every
/// write is durable when it is answered, whatever `j` says.
fn write_concern(concern: Bson<'_>) -> Result<()> {
    if !object("writeConcern", concern)? {
        return Ok(());
    }
    let w = concern.get("w");
    if let Some(mode) = w.as_str()
        && mode != "majority"
    {
        fail!(
            code::UNKNOWN_REPL_WRITE_CONCERN,
            "No write concern mode named '{mode}' found in replica set configuration"
        );
    }
    match Number::of(w).and_then(Number::to_exact_i64) {
        Some(2..=50) => fail!(
            code::CANNOT_SATISFY_WRITE_CONCERN,
            "Not enough data-bearing nodes"
        ),
        Some(n) if !(0..=1).contains(&n) => fail!(
            code::FAILED_TO_PARSE,
            "w has to be a non-negative number and not greater than 50; found: {n}"
        ),
        None if !w.is_missing() && w.as_str().is_none() => fail!(
            code::FAILED_TO_PARSE,
            "w has to be a number, string, or object; found: {}",
            w.type_name()
        ),
        _ => Ok(()),
    }
}

/// There is one member, and it reads the newest commit: what every level but `snapshot` asks for.
fn read_concern(request: &Request<'_>) -> Result<()> {
    let concern = request.get("readConcern");
    if !object("readConcern", concern)? {
        return Ok(());
    }
    let level = concern.get("level");
    match level.as_str() {
        None if level.is_missing() => {}
        Some("local" | "available" | "majority" | "linearizable") => {}
        Some("snapshot") if !request.get("autocommit").is_missing() => {}
        Some("snapshot") => fail!(
            code::COMMAND_NOT_SUPPORTED,
            "readConcern level 'snapshot' outside of a transaction is not supported"
        ),
        _ => fail!(
            code::BAD_VALUE,
            "Enumeration value {level:?} for field 'readConcern.level' is not a valid value."
        ),
    }
    if !concern.get("atClusterTime").is_missing() {
        fail!(
            code::COMMAND_NOT_SUPPORTED,
            "readConcern 'atClusterTime' is not supported"
        );
    }
    Ok(())
}

fn stable_api(request: &Request<'_>, name: &str) -> Result<()> {
    let version = request.get("apiVersion");
    let strict = request.get("apiStrict").truthy();
    if version.is_missing() {
        if strict || !request.get("apiDeprecationErrors").is_missing() {
            fail!(
                4886600,
                "Provided apiStrict and/or apiDeprecationErrors without passing apiVersion"
            );
        }
        return Ok(());
    }
    if version.as_str() != Some("1") {
        fail!(322, "API version must be \"1\"");
    }
    if strict && !STABLE.contains(&name) {
        fail!(
            323,
            "Provided apiStrict:true, but the command {name} is not in API Version 1"
        );
    }
    Ok(())
}

/// `maxTimeMS`; 0 is no limit.
pub(crate) fn max_time(request: &Request<'_>) -> Result<Option<u64>> {
    let value = request.get("maxTimeMS");
    if value.is_missing() {
        return Ok(None);
    }
    match Number::of(value).map(Number::to_exact_i64) {
        Some(Some(0)) => Ok(None),
        Some(Some(ms)) if (1..=i64::from(i32::MAX)).contains(&ms) => Ok(Some(ms as u64)),
        Some(_) => fail!(
            code::BAD_VALUE,
            "{value:?} value for maxTimeMS is out of range"
        ),
        None => fail!(
            code::TYPE_MISMATCH,
            "BSON field 'maxTimeMS' is the wrong type '{}', expected a number",
            value.type_name()
        ),
    }
}

/// A hint must name an index that is there. Which one is used is the planner's affair: an index
/// never changes an answer.
pub(crate) fn hint(collection: Option<&Collection>, hint: Bson<'_>) -> Result<()> {
    let Some(collection) = collection else {
        return Ok(());
    };
    let mut indexes = collection.table.indexes.iter().filter(|i| !i.primary);
    let known = match hint.tag {
        MISSING => true,
        STRING => {
            let name = hint.as_str().unwrap_or("");
            name == "_id_" || indexes.any(|i| collection.index_name(i) == name)
        }
        DOCUMENT if hint.is_empty() => true,
        DOCUMENT => {
            let wanted: Vec<(&str, bool)> = hint
                .fields()
                .map(|(path, v)| (path, Number::of(v).is_some_and(|n| n.to_f64() < 0.0)))
                .collect();
            matches!(wanted.as_slice(), [("_id" | "$natural", false)])
                || indexes.any(|i| {
                    let keys = collection.index_keys(i);
                    keys.len() == wanted.len()
                        && keys
                            .iter()
                            .zip(&wanted)
                            .all(|(a, b)| (a.0.as_str(), a.1) == *b)
                })
        }
        _ => fail!(code::FAILED_TO_PARSE, "Hint must be a string or an object"),
    };
    if !known {
        fail!(
            code::BAD_VALUE,
            "error processing query: ns={}: hint provided does not correspond to an existing index",
            collection.namespace
        );
    }
    Ok(())
}

/// Refuses every collation but the one that compares bytes.
pub(crate) fn collation(command: &str, value: Bson<'_>) -> Result<()> {
    let simple = value.get("locale").as_str() == Some("simple") && value.len() == 1;
    if value.is_missing() || (value.is_document() && value.is_empty()) || simple {
        return Ok(());
    }
    fail!(
        code::COMMAND_NOT_SUPPORTED,
        "option 'collation' of {command} is not supported"
    )
}

/// A whole number, where there is one.
pub(crate) fn whole(field: &str, value: Bson<'_>) -> Result<Option<i64>> {
    if value.is_missing() {
        return Ok(None);
    }
    match Number::of(value).and_then(Number::to_exact_i64) {
        Some(v) => Ok(Some(v)),
        None => fail!(
            code::TYPE_MISMATCH,
            "BSON field '{field}' is the wrong type '{}', expected a whole number",
            value.type_name()
        ),
    }
}

/// A flag that must be a bool; where MongoDB takes numbers, they are told by `numbers`.
pub(crate) fn flag(field: &str, value: Bson<'_>, numbers: bool) -> Result<bool> {
    match value.tag {
        MISSING | NULL => Ok(false),
        BOOL => Ok(value.truthy()),
        _ if numbers && value.is_number() => Ok(value.truthy()),
        _ => fail!(
            code::TYPE_MISMATCH,
            "BSON field '{field}' is the wrong type '{}', expected {}",
            value.type_name(),
            match numbers {
                true => "types '[bool, long, int, decimal, double]'",
                false => "type 'bool'",
            }
        ),
    }
}

/// Whether an expression reads a field or the document itself.
fn mentions_document(expression: Bson<'_>) -> bool {
    match expression.tag {
        STRING => expression.as_str().is_some_and(|text| {
            let system = ["$$ROOT", "$$CURRENT"];
            system.iter().any(|name| text.starts_with(name))
                || (text.starts_with('$') && !text.starts_with("$$"))
        }),
        DOCUMENT if !expression.get("$literal").is_missing() => false,
        DOCUMENT | ARRAY => expression.elements().any(mentions_document),
        _ => false,
    }
}

/// A specification, with the values of `let` in it where there are any.
pub(crate) enum Bound<'a> {
    AsSent(Bson<'a>),
    WithVariables(BsonBuf),
}

impl Bound<'_> {
    pub fn as_bson(&self) -> Bson<'_> {
        match self {
            Bound::AsSent(value) => *value,
            Bound::WithVariables(value) => value.as_bson(),
        }
    }
}

/// The variables of a command's `let`.
#[derive(Default)]
pub(crate) struct Variables(Option<Vec<u8>>);

impl Variables {
    /// The values of `let`, whose expressions may not refer to a document.
    pub fn of(context: &Context<'_>) -> Result<Variables> {
        let given = context.document("let")?;
        if given.is_missing() || given.is_empty() {
            return Ok(Variables(None));
        }
        let mut out = Writer::new();
        for (name, expression) in given.fields() {
            if !name.starts_with(|c: char| c.is_lowercase() || !c.is_ascii()) {
                fail!(
                    code::FAILED_TO_PARSE,
                    "'{name}' starts with an invalid character for a user variable name"
                );
            }
            if mentions_document(expression) {
                fail!(
                    4890500,
                    "Command let Expression tried to access a field, but this is not allowed because command let expressions run before the query examines any documents."
                );
            }
            let expression = Expression::compile(expression)?;
            let value = expression.evaluate(Bson::document(EMPTY))?;
            let value = value.as_bson();
            out.put(
                name,
                if value.is_missing() {
                    Bson::NULL
                } else {
                    value
                },
            );
        }
        Ok(Variables(Some(out.finish())))
    }

    pub fn bind<'a>(&self, spec: Bson<'a>, place: Place) -> Bound<'a> {
        match &self.0 {
            Some(variables) if !spec.is_missing() => {
                let variables = Bson::document(variables);
                Bound::WithVariables(variable::bind(spec, variables, place))
            }
            _ => Bound::AsSent(spec),
        }
    }
}

/// A write of several documents cannot be repeated from the record of one.
pub(crate) fn refuse_retry(context: &Context<'_>) -> Result<()> {
    let retryable =
        !context.get("txnNumber").is_missing() && context.get("autocommit").is_missing();
    if retryable {
        fail!(
            code::INVALID_OPTIONS,
            "Cannot use (or request) retryable writes with multi=true"
        );
    }
    Ok(())
}
