//! Changing JSON: set, insert, delete, concatenate. Each gives a new value; what is not touched
//! is copied byte for byte, so BSON types survive.
//!
//! A new key goes where jsonb's key order puts it when the object is in that order, else to the
//! end, so that documents of MongoDB clients keep their order.

use super::build::{
    ArrayBuilder, Container, ObjectBuilder, compare_keys, push_element, push_entry,
};
use super::{Jsonb, JsonbRef, Kind, element};
use crate::{Error, Result, bail, error};
use std::cmp::Ordering;

#[derive(Clone, Copy)]
enum Change<'a> {
    Set { value: JsonbRef<'a>, create: bool },
    Insert { value: JsonbRef<'a>, after: bool },
    Delete,
}

fn no_path_in_scalar(verb: &str) -> Error {
    error!(InvalidParameterValue, "cannot {verb} path in scalar")
}

impl<'a> JsonbRef<'a> {
    /// `jsonb_set`
    pub fn set_path(self, path: &[&str], value: JsonbRef<'_>, create: bool) -> Result<Jsonb> {
        if self.is_scalar() {
            return Err(no_path_in_scalar("set"));
        }
        if self.is_empty() && !create {
            return Ok(self.to_jsonb());
        }
        self.change(path, Change::Set { value, create })
    }

    /// `jsonb_insert`
    pub fn insert_path(self, path: &[&str], value: JsonbRef<'_>, after: bool) -> Result<Jsonb> {
        if self.is_scalar() {
            return Err(no_path_in_scalar("set"));
        }
        self.change(path, Change::Insert { value, after })
    }

    /// `#-`
    pub fn delete_path(self, path: &[&str]) -> Result<Jsonb> {
        if self.is_scalar() {
            return Err(no_path_in_scalar("delete"));
        }
        self.change(path, Change::Delete)
    }

    fn change(self, path: &[&str], change: Change<'_>) -> Result<Jsonb> {
        if path.is_empty() {
            return Ok(self.to_jsonb());
        }
        let mut out = Vec::with_capacity(self.bytes.len() + 64);
        out.push(self.element);
        change_container(&mut out, self, path, 0, change)?;
        Ok(Jsonb::from_buffer(out))
    }

    /// `- text`: a key of an object, or the equal strings of an array.
    pub fn delete_key(self, key: &str) -> Result<Jsonb> {
        self.delete_keys(&[key])
    }

    /// `- text[]`
    pub fn delete_keys(self, keys: &[&str]) -> Result<Jsonb> {
        match self.element {
            element::DOCUMENT => {
                let mut out = vec![element::DOCUMENT];
                let container = Container::open(&mut out);
                for entry in self.entries() {
                    let (name, value) = entry?;
                    if !keys.contains(&name) {
                        push_entry(&mut out, name, value);
                    }
                }
                container.close(&mut out);
                Ok(Jsonb::from_buffer(out))
            }
            element::ARRAY => {
                let mut array = ArrayBuilder::new();
                for value in self.elements() {
                    let value = value?;
                    let text = value.as_text();
                    if !text.is_some_and(|t| keys.contains(&t.as_ref())) {
                        array.push(value);
                    }
                }
                Ok(array.finish())
            }
            _ => bail!(InvalidParameterValue, "cannot delete from scalar"),
        }
    }

    /// `- integer`
    pub fn delete_index(self, index: i64) -> Result<Jsonb> {
        match self.kind() {
            Kind::Array => {}
            Kind::Object => {
                bail!(
                    InvalidParameterValue,
                    "cannot delete from object using integer index"
                )
            }
            _ => bail!(InvalidParameterValue, "cannot delete from scalar"),
        }
        let index = if index < 0 {
            self.len() as i64 + index
        } else {
            index
        };
        let mut array = ArrayBuilder::new();
        for (i, value) in self.elements().enumerate() {
            let value = value?;
            if i as i64 != index {
                array.push(value);
            }
        }
        Ok(array.finish())
    }

    /// `||`: objects are merged, arrays joined, anything else is put into an array.
    pub fn concat(self, other: JsonbRef<'_>) -> Result<Jsonb> {
        if self.element == element::DOCUMENT && other.element == element::DOCUMENT {
            return merge(self, other);
        }
        let mut array = ArrayBuilder::new();
        for side in [self, other] {
            if side.element == element::ARRAY {
                for value in side.elements() {
                    array.push(value?);
                }
            } else {
                array.push(side);
            }
        }
        Ok(array.finish())
    }

    /// `jsonb_strip_nulls`: without the members of objects that are null, at every depth.
    pub fn strip_nulls(self) -> Result<Jsonb> {
        match self.element {
            element::DOCUMENT => {
                let mut object = ObjectBuilder::new();
                for entry in self.entries() {
                    let (name, value) = entry?;
                    if !value.is_null() {
                        object.push(name, value.strip_nulls()?.as_ref());
                    }
                }
                Ok(object.finish_in_order())
            }
            element::ARRAY => {
                let mut array = ArrayBuilder::new();
                for value in self.elements() {
                    array.push(value?.strip_nulls()?.as_ref());
                }
                Ok(array.finish())
            }
            _ => Ok(self.to_jsonb()),
        }
    }
}

/// Whether the keys of an object are in jsonb's order.
fn is_sorted(object: JsonbRef<'_>) -> bool {
    let mut previous: Option<&str> = None;
    object.entries().flatten().all(|(name, _)| {
        let ordered = previous.is_none_or(|p| compare_keys(p, name) == Ordering::Less);
        previous = Some(name);
        ordered
    })
}

fn merge(a: JsonbRef<'_>, b: JsonbRef<'_>) -> Result<Jsonb> {
    let sorted = is_sorted(a);
    let mut object = ObjectBuilder::new();
    for entry in a.entries() {
        let (name, value) = entry?;
        object.push(name, b.get(name).unwrap_or(value));
    }
    for entry in b.entries() {
        let (name, value) = entry?;
        if a.get(name).is_none() {
            object.push(name, value);
        }
    }
    Ok(if sorted {
        object.finish()
    } else {
        object.finish_in_order()
    })
}

/// Writes `value` changed at `path[level..]`; the element type stays the same.
fn change_container(
    out: &mut Vec<u8>,
    value: JsonbRef<'_>,
    path: &[&str],
    level: usize,
    change: Change<'_>,
) -> Result<()> {
    match value.element {
        element::DOCUMENT => change_object(out, value, path, level, change),
        element::ARRAY => change_array(out, value, path, level, change),
        _ => {
            out.extend_from_slice(value.bytes);
            Ok(())
        }
    }
}

fn change_object(
    out: &mut Vec<u8>,
    object: JsonbRef<'_>,
    path: &[&str],
    level: usize,
    change: Change<'_>,
) -> Result<()> {
    let key = path[level].split('\0').next().unwrap_or("");
    let last = level + 1 == path.len();
    let added = match change {
        Change::Set {
            value,
            create: true,
        }
        | Change::Insert { value, .. }
            if last =>
        {
            Some(value)
        }
        _ => None,
    };
    let mut added = added.filter(|_| object.get(key).is_none());
    let sorted = added.is_some() && is_sorted(object);
    let container = Container::open(out);
    for entry in object.entries() {
        let (name, member) = entry?;
        if sorted
            && compare_keys(key, name) == Ordering::Less
            && let Some(value) = added.take()
        {
            push_entry(out, key, value);
        }
        if name != key {
            push_entry(out, name, member);
            continue;
        }
        match change {
            Change::Set { value, .. } if last => push_entry(out, name, value),
            Change::Insert { .. } if last => {
                return Err(error!(InvalidParameterValue, "cannot replace existing key")
                    .with_hint("Try using the function jsonb_set to replace key value."));
            }
            Change::Delete if last => {}
            _ => {
                out.push(member.element);
                out.extend_from_slice(name.as_bytes());
                out.push(0);
                change_container(out, member, path, level + 1, change)?;
            }
        }
    }
    if let Some(value) = added {
        push_entry(out, key, value);
    }
    container.close(out);
    Ok(())
}

fn change_array(
    out: &mut Vec<u8>,
    array: JsonbRef<'_>,
    path: &[&str],
    level: usize,
    change: Change<'_>,
) -> Result<()> {
    let step = path[level];
    let last = level + 1 == path.len();
    let len = array.len() as i64;
    let index: i32 = step.trim().parse().map_err(|_| {
        error!(
            InvalidTextRepresentation,
            "path element at position {} is not an integer: \"{step}\"",
            level + 1
        )
    })?;
    let index = if index < 0 {
        len + i64::from(index)
    } else {
        i64::from(index)
    };
    let container = Container::open(out);
    let mut next = 0;
    let mut push = |out: &mut Vec<u8>, value: JsonbRef<'_>| {
        push_element(out, next, value);
        next += 1;
    };
    let new = match change {
        Change::Set {
            value,
            create: true,
        }
        | Change::Insert { value, .. }
            if last =>
        {
            Some(value)
        }
        _ => None,
    };
    // Beyond either end a new element goes to that end.
    if let Some(value) = new.filter(|_| index < 0) {
        push(out, value);
    }
    for (i, member) in array.elements().enumerate() {
        let member = member?;
        if i as i64 != index {
            push(out, member);
            continue;
        }
        match change {
            Change::Set { value, .. } if last => push(out, value),
            Change::Insert { value, after } if last => {
                let (first, second) = if after {
                    (member, value)
                } else {
                    (value, member)
                };
                push(out, first);
                push(out, second);
            }
            Change::Delete if last => {}
            _ => {
                let mut changed = Vec::with_capacity(member.bytes.len() + 64);
                change_container(&mut changed, member, path, level + 1, change)?;
                push(
                    out,
                    JsonbRef {
                        element: member.element,
                        bytes: &changed,
                    },
                );
            }
        }
    }
    if let Some(value) = new.filter(|_| index >= len) {
        push(out, value);
    }
    container.close(out);
    Ok(())
}
