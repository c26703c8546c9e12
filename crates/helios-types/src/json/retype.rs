//! Assigning JSON text over a BSON document without losing types.
//!
//! An application that reads a document as JSON and writes it back as a whole has turned dates and
//! ObjectIds into strings. So the old and the new value are walked in parallel, and where the new
//! one equals what the old one is printed as, the old BSON value stays.

use super::build::{ArrayBuilder, ObjectBuilder};
use super::{Jsonb, JsonbRef, element};
use crate::Result;

/// `new` with the types of `old` wherever the text did not change. Members that stay keep the old
/// order, new ones follow. Numbers with a point become doubles when a double holds them exactly.
pub fn retype(old: JsonbRef<'_>, new: JsonbRef<'_>) -> Result<Jsonb> {
    match (old.element, new.element) {
        (element::DOCUMENT, element::DOCUMENT) => retype_object(old, new),
        (element::ARRAY, element::ARRAY) => {
            let mut array = ArrayBuilder::new();
            let mut before = old.elements();
            for value in new.elements() {
                let value = value?;
                let kept = match before.next().transpose()? {
                    Some(before) => retype(before, value)?,
                    None => natural(value)?,
                };
                array.push(kept.as_ref());
            }
            Ok(array.finish())
        }
        _ if is_printed_as(old, new) => Ok(old.to_jsonb()),
        _ => natural(new),
    }
}

/// Whether `new` is what `old` is printed as. Some types are printed as objects, whose members JSON
/// keeps in an order of its own.
fn is_printed_as(old: JsonbRef<'_>, new: JsonbRef<'_>) -> bool {
    let (before, after) = (old.to_string(), new.to_string());
    before == after
        || (new.element == element::DOCUMENT
            && Jsonb::parse(&before).is_ok_and(|parsed| parsed.to_string() == after))
}

fn retype_object(old: JsonbRef<'_>, new: JsonbRef<'_>) -> Result<Jsonb> {
    let mut object = ObjectBuilder::new();
    for entry in old.entries() {
        let (name, before) = entry?;
        if let Some(value) = new.get(name) {
            object.push(name, retype(before, value)?.as_ref());
        }
    }
    for entry in new.entries() {
        let (name, value) = entry?;
        if old.get(name).is_none() {
            object.push(name, natural(value)?.as_ref());
        }
    }
    Ok(object.finish_in_order())
}

/// The types that a MongoDB client would have sent for this JSON.
pub fn natural(value: JsonbRef<'_>) -> Result<Jsonb> {
    match value.element {
        element::DOCUMENT => {
            let mut object = ObjectBuilder::new();
            for entry in value.entries() {
                let (name, member) = entry?;
                object.push(name, natural(member)?.as_ref());
            }
            Ok(object.finish_in_order())
        }
        element::ARRAY => {
            let mut array = ArrayBuilder::new();
            for member in value.elements() {
                array.push(natural(member?)?.as_ref());
            }
            Ok(array.finish())
        }
        element::DECIMAL128 => {
            let text = value.to_string();
            let double = value.as_numeric().map(|n| n.to_f64()).unwrap_or(f64::NAN);
            let candidate = Jsonb::new(element::DOUBLE, &double.to_le_bytes());
            let same = candidate.as_ref().to_string() == text;
            Ok(if same { candidate } else { value.to_jsonb() })
        }
        _ => Ok(value.to_jsonb()),
    }
}
