//! Updates: operators such as `$set` and `$push`, whole replacements, and pipelines.
//!
//! An update is compiled once. Operators are applied in the order of their paths, as MongoDB does,
//! which also decides where new fields go. A document is unpacked only along the paths that are
//! touched; the rest is copied as bytes.

mod apply;
mod operators;
mod tree;
mod upsert;

pub use upsert::equality_fields;

use super::error::{DocResult, code, fail};
use super::matcher::Matcher;
use super::order::equal;
use super::raw::*;
use super::stage::Transform;
use operators::Operation;

/// A compiled update.
#[derive(Clone, Debug)]
pub enum Update {
    Replace(Vec<u8>),
    Operators(Vec<Change>),
    Pipeline(Vec<Transform>),
}

/// One operator on one path.
#[derive(Clone, Debug)]
pub struct Change {
    parts: Vec<Part>,
    path: String,
    operation: Operation,
}

/// One step of an update's path.
#[derive(Clone, Debug)]
enum Part {
    Field(Box<str>),
    /// `$`: the element that the filter matched.
    Matched,
    /// `$[]`
    All,
    /// `$[name]`: the elements that an array filter accepts.
    Filtered(Matcher),
}

/// What an update is applied with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context {
    /// The array position that the filter matched.
    pub matched: Option<usize>,
    /// Whether the document is being inserted by an upsert.
    pub inserting: bool,
    /// Milliseconds since the epoch, for `$currentDate`.
    pub now_ms: i64,
}

impl Update {
    /// Compiles the `u` of an update statement.
    pub fn compile(update: Bson<'_>, array_filters: Bson<'_>) -> DocResult<Update> {
        if update.is_array() {
            if !array_filters.is_nullish() {
                fail!(
                    code::FAILED_TO_PARSE,
                    "arrayFilters may not be specified for pipeline-syle updates"
                );
            }
            return Ok(Update::Pipeline(pipeline(update)?));
        }
        if !update.is_document() {
            fail!(
                code::FAILED_TO_PARSE,
                "Update argument must be either an object or an array"
            );
        }
        let is_operators = update
            .fields()
            .next()
            .is_some_and(|(n, _)| n.starts_with('$'));
        if !is_operators {
            if !array_filters.is_nullish() && !array_filters.is_empty() {
                fail!(
                    code::FAILED_TO_PARSE,
                    "arrayFilters may not be specified for replacement-style updates"
                );
            }
            if let Some((name, _)) = update.fields().find(|(n, _)| n.starts_with('$')) {
                fail!(
                    code::DOLLAR_PREFIXED_FIELD_NAME,
                    "The dollar ($) prefixed field '{name}' in '{name}' is not allowed in the context of an update's replacement document. Consider using an aggregation pipeline with $replaceWith."
                );
            }
            return Ok(Update::Replace(update.bytes.to_vec()));
        }
        operators::compile(update, array_filters).map(Update::Operators)
    }

    pub fn is_replacement(&self) -> bool {
        matches!(self, Update::Replace(_))
    }

    /// Whether it names the element that the filter matched.
    pub fn is_positional(&self) -> bool {
        match self {
            Update::Operators(changes) => changes
                .iter()
                .any(|c| c.parts.iter().any(|p| matches!(p, Part::Matched))),
            _ => false,
        }
    }

    /// The document after the update, `None` when nothing changed.
    pub fn apply(&self, document: Bson<'_>, context: &Context) -> DocResult<Option<Vec<u8>>> {
        let after = match self {
            Update::Replace(replacement) => with_id(replacement, document.get("_id")),
            Update::Operators(changes) => apply::apply(changes, document, context)?,
            Update::Pipeline(stages) => {
                let mut current = document.bytes.to_vec();
                for stage in stages {
                    current = stage.apply(Bson::document(&current))?;
                }
                let id = document.get("_id");
                if Bson::document(&current).get("_id").is_missing() && !id.is_missing() {
                    current = with_id(&current, id);
                }
                current
            }
        };
        let (before_id, after_id) = (document.get("_id"), Bson::document(&after).get("_id"));
        if !before_id.is_missing() && !equal(before_id, after_id) {
            match self {
                Update::Operators(_) => fail!(
                    code::IMMUTABLE_FIELD,
                    "Performing an update on the path '_id' would modify the immutable field '_id'"
                ),
                _ => fail!(
                    code::IMMUTABLE_FIELD,
                    "After applying the update, the (immutable) field '_id' was found to have been altered to _id: {}",
                    super::display::render(after_id)
                ),
            }
        }
        if after_id.is_array() || after_id.tag == REGEX || after_id.tag == UNDEFINED {
            fail!(
                code::INVALID_ID_FIELD,
                "The '_id' value cannot be of type {}",
                after_id.type_name()
            );
        }
        const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
        if after.len() > DOCUMENT_BYTES_MAX {
            fail!(
                17419,
                "Resulting document after update is larger than {DOCUMENT_BYTES_MAX}"
            );
        }
        Ok((after != document.bytes).then_some(after))
    }
}

/// The document with this `_id` in front, unless it has one.
fn with_id(document: &[u8], id: Bson<'_>) -> Vec<u8> {
    let own = Bson::document(document).get("_id");
    let id = if own.is_missing() { id } else { own };
    let mut out = Writer::with_capacity(document.len() + id.bytes.len() + 8);
    out.put("_id", id);
    for (name, value) in Bson::document(document)
        .fields()
        .filter(|(n, _)| *n != "_id")
    {
        out.put(name, value);
    }
    out.finish()
}

fn pipeline(stages: Bson<'_>) -> DocResult<Vec<Transform>> {
    let mut out = Vec::new();
    for stage in stages.elements() {
        let mut fields = stage.fields();
        let (Some((name, argument)), None) = (fields.next(), fields.next()) else {
            fail!(
                40323,
                "A pipeline stage specification object must contain exactly one field."
            );
        };
        match name {
            "$set" | "$addFields" | "$unset" | "$project" | "$replaceRoot" | "$replaceWith" => {
                match Transform::compile(name, argument)? {
                    Some(transform) => out.push(transform),
                    None => fail!(
                        code::INVALID_OPTIONS,
                        "{name} is not allowed to be used within an update"
                    ),
                }
            }
            _ => fail!(
                code::INVALID_OPTIONS,
                "{name} is not allowed to be used within an update"
            ),
        }
    }
    Ok(out)
}
