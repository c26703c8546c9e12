//! What an upsert starts from: the fields that its filter fixes by equality.

use crate::document::error::{DocResult, code, fail};
use crate::document::raw::*;

/// Paths and values that a filter demands to be equal, in the filter's order.
pub fn equality_fields(filter: Bson<'_>) -> DocResult<Vec<(String, BsonBuf)>> {
    let mut out = Vec::new();
    collect(filter, &mut out)?;
    Ok(out)
}

fn collect(filter: Bson<'_>, out: &mut Vec<(String, BsonBuf)>) -> DocResult<()> {
    for (name, value) in filter.fields() {
        match name {
            "$and" => {
                for part in value.elements() {
                    collect(part, out)?;
                }
            }
            "$or" if value.len() == 1 => collect(value.element(0), out)?,
            _ if name.starts_with('$') => {}
            _ => field(name, value, out)?,
        }
    }
    Ok(())
}

fn field(name: &str, value: Bson<'_>, out: &mut Vec<(String, BsonBuf)>) -> DocResult<()> {
    let operators = value.is_document()
        && value
            .fields()
            .next()
            .is_some_and(|(n, _)| n.starts_with('$'));
    if !operators {
        if value.tag != REGEX {
            add(name, value, out)?;
        }
        return Ok(());
    }
    for (operator, operand) in value.fields() {
        match operator {
            "$eq" => add(name, operand, out)?,
            "$in" | "$all" if operand.len() == 1 => {
                let only = operand.element(0);
                if only.tag != REGEX && only.get("$elemMatch").is_missing() {
                    add(name, only, out)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn add(name: &str, value: Bson<'_>, out: &mut Vec<(String, BsonBuf)>) -> DocResult<()> {
    if out.iter().any(|(n, _)| n == name) {
        fail!(
            code::NOT_SINGLE_VALUE_FIELD,
            "cannot infer query fields to set, path '{name}' is matched twice"
        );
    }
    let inside = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
    if let Some((other, _)) = out.iter().find(|(n, _)| inside(n, name) || inside(name, n)) {
        fail!(
            code::NOT_SINGLE_VALUE_FIELD,
            "cannot infer query fields to set, both paths '{other}' and '{name}' are matched"
        );
    }
    out.push((name.to_owned(), value.to_buf()));
    Ok(())
}

impl super::Update {
    /// The document that an upsert inserts; an `_id` that nothing decides is `new_id`.
    pub fn upsert(
        &self,
        filter: Bson<'_>,
        context: &super::Context,
        new_id: [u8; 12],
    ) -> DocResult<Vec<u8>> {
        let fixed = match self.is_replacement() {
            // A replacement takes nothing but the `_id`, so the rest may contradict itself.
            true => {
                let mut only = Writer::new();
                match filter.get("_id") {
                    id if id.is_missing() => only.put("$and", filter.get("$and")),
                    id => only.put("_id", id),
                };
                let mut fields = equality_fields(Bson::document(&only.finish()))?;
                fields.retain(|(path, _)| path == "_id");
                fields
            }
            false => equality_fields(filter)?,
        };
        let mut base = super::tree::Node::Document(Vec::new());
        for (path, value) in &fixed {
            base.set_path(path, value.clone())?;
        }
        let base = base.to_buf();
        let context = super::Context {
            inserting: true,
            ..*context
        };
        let document = match self.apply(base.as_bson(), &context)? {
            Some(document) => document,
            None => base.bytes.to_vec(),
        };
        let id = BsonBuf::object_id(new_id);
        Ok(super::with_id(&document, id.as_bson()))
    }
}
