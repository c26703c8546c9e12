//! Sort specifications: `{a: 1, "b.c": -1}`.

use super::error::{DocResult, fail};
use super::key;
use super::number::Number;
use super::order::compare_sort;
use super::path::{Path, sort_value};
use super::raw::*;
use std::cmp::Ordering;

#[derive(Clone, Debug)]
pub struct SortSpec {
    pub keys: Vec<SortKey>,
}

#[derive(Clone, Debug)]
pub struct SortKey {
    pub path: Path,
    pub descending: bool,
}

impl SortSpec {
    pub fn parse(spec: Bson<'_>) -> DocResult<SortSpec> {
        if !spec.is_document() {
            fail!(15973, "the $sort key specification must be an object");
        }
        let mut keys = Vec::new();
        for (name, order) in spec.fields() {
            if order.is_document() {
                fail!(17312, "$meta is not supported in a sort specification");
            }
            let Some(number) = Number::of(order) else {
                fail!(
                    15974,
                    "Illegal key in $sort specification: {name}: {}",
                    super::display::render(order)
                );
            };
            let descending = match number.to_truncated_i64() {
                Some(1) => false,
                Some(-1) => true,
                _ => fail!(
                    15975,
                    "$sort key ordering must be 1 (for ascending) or -1 (for descending)"
                ),
            };
            if name.is_empty() {
                fail!(40352, "FieldPath cannot be constructed with empty string");
            }
            if name.ends_with('.') {
                fail!(40353, "FieldPath must not end with a '.'.");
            }
            if name.starts_with('$') {
                fail!(
                    16410,
                    "FieldPath field names may not start with '$'. Consider using $getField or $setField."
                );
            }
            keys.push(SortKey {
                path: Path::new(name),
                descending,
            });
        }
        if keys.is_empty() {
            fail!(15976, "$sort stage must have at least one sort key");
        }
        if keys.len() > 32 {
            fail!(13103, "too many compound keys");
        }
        Ok(SortSpec { keys })
    }

    pub fn compare(&self, a: Bson<'_>, b: Bson<'_>) -> Ordering {
        for key in &self.keys {
            let left = sort_value(a, &key.path.parts, key.descending);
            let right = sort_value(b, &key.path.parts, key.descending);
            let order = compare_sort(left, right);
            if order != Ordering::Equal {
                return if key.descending {
                    order.reverse()
                } else {
                    order
                };
            }
        }
        Ordering::Equal
    }

    /// Bytes whose order is the order of the documents.
    pub fn key(&self, document: Bson<'_>) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 * self.keys.len());
        for key in &self.keys {
            let value = sort_value(document, &key.path.parts, key.descending);
            if key.descending {
                key::encode_sort_descending(&mut out, value);
            } else {
                key::encode_sort(&mut out, value);
            }
        }
        out
    }
}
