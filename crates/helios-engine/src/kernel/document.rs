//! Rows of document tables before they are written.
//!
//! Such a row is the column `_id`, which is only a view of the document's own `_id` as text, and
//! the column `doc`. MongoDB sends documents as they are to be stored. Every other protocol sends
//! JSON: numbers take the types that a MongoDB client would have sent, paths whose rendering did
//! not change keep the type they have, and `_id` stands first.

use helios_types::json::element::{ARRAY, DOCUMENT, REGEX};
use helios_types::json::{JsonbRef, ObjectBuilder, retype};
use helios_types::{Error, ErrorKind, Jsonb, Result, Value, bail};

const EMPTY: [u8; 5] = [5, 0, 0, 0, 0];
/// MongoDB's limit of a document.
const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Makes a row that is to be inserted, or to replace `old`, what is stored.
pub(crate) fn arrange(row: &mut [Value], old: Option<&[Value]>, json: bool) -> Result<()> {
    let [id, doc] = row else {
        return Err(Error::internal("a document row has two columns"));
    };
    let document = match doc {
        Value::Jsonb(document) if document.as_ref().element == DOCUMENT => document,
        Value::Null => bail!(
            NotNullViolation,
            "null value in column \"doc\" violates not-null constraint"
        ),
        _ => bail!(
            InvalidParameterValue,
            "column \"doc\" of a document table takes a JSON object"
        ),
    };
    if json {
        let before = match old.and_then(|old| old.get(1)) {
            Some(Value::Jsonb(before)) => before.clone(),
            _ => Jsonb::new(DOCUMENT, &EMPTY),
        };
        let typed = retype(before.as_ref(), document.as_ref())?;
        *document = with_id_first(typed, before.as_ref(), id)?;
        if document.as_ref().bytes.len() > DOCUMENT_BYTES_MAX {
            bail!(
                LimitExceeded,
                "document of {} bytes exceeds the maximum of {DOCUMENT_BYTES_MAX}",
                document.as_ref().bytes.len()
            );
        }
        check_id(document, id, old)?;
    } else if id.is_null() {
        *id = id_text(document.as_ref());
    }
    Ok(())
}

/// The document's own `_id` in front; one without takes the former one or the column's text.
fn with_id_first(document: Jsonb, before: JsonbRef<'_>, column: &Value) -> Result<Jsonb> {
    let own = document.as_ref().get("_id").map(JsonbRef::to_jsonb);
    let former = || before.get("_id").map(JsonbRef::to_jsonb);
    let given = || column.as_str().map(Jsonb::from_text);
    let Some(id) = own.or_else(former).or_else(given) else {
        return Err(Error::new(
            ErrorKind::NotNullViolation,
            "null value in column \"_id\" violates not-null constraint",
        )
        .with_hint("Give the document an \"_id\", or the column \"_id\" a text."));
    };
    if let Some(first) = document.as_ref().entries().next().transpose()?
        && first.0 == "_id"
    {
        return Ok(document);
    }
    let mut out = ObjectBuilder::new();
    out.push("_id", id.as_ref());
    for entry in document.as_ref().entries() {
        let (name, value) = entry?;
        if name != "_id" {
            out.push(name, value);
        }
    }
    Ok(out.finish_in_order())
}

/// The column `_id` says what the document says, or nothing.
fn check_id(document: &Jsonb, column: &mut Value, old: Option<&[Value]>) -> Result<()> {
    let Some(id) = document.as_ref().get("_id") else {
        return Err(Error::internal("a document without _id"));
    };
    if matches!(id.element, ARRAY | REGEX) {
        bail!(
            InvalidParameterValue,
            "the \"_id\" of a document cannot be an array or a regular expression"
        );
    }
    let text = id_text(document.as_ref());
    let kept = old.and_then(|old| old.first()) == Some(column);
    if !column.is_null() && !kept && *column != text {
        bail!(
            InvalidParameterValue,
            "column \"_id\" is not the \"_id\" of the document"
        );
    }
    *column = text;
    Ok(())
}

/// What the column `_id` shows.
fn id_text(document: JsonbRef<'_>) -> Value {
    document
        .get("_id")
        .and_then(JsonbRef::to_text)
        .map_or(Value::text("null"), Value::text)
}
