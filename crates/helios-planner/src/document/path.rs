//! Dotted paths, with the two ways in which MongoDB walks them.
//!
//! A filter looks *through* arrays: `a.b` reaches `b` of every document in the array `a`, and a
//! number is both an index and a field name. An expression maps over arrays: `$a.b` of an array
//! of documents is the array of their `b`, and a number is only a field name.

use super::raw::*;
use std::sync::Arc;

/// A path split at its dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    pub parts: Arc<[Box<str>]>,
}

impl Path {
    pub fn new(text: &str) -> Self {
        Path {
            parts: text.split('.').map(Box::from).collect(),
        }
    }

    pub fn text(&self) -> String {
        self.parts.join(".")
    }

    pub fn first(&self) -> &str {
        self.parts.first().map_or("", |p| p)
    }
}

/// What a visitor wants next.
pub type Stop = bool;

/// How arrays at the end of a path are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Each element, then the array itself.
    Elements,
    /// The array itself only.
    Whole,
}

/// Calls `visit` with every value that a filter's path reaches, also with missing ones, until it
/// returns true; returns whether it did. `array_index` of the visit is the position in the
/// outermost array that was walked, for the positional operator.
pub fn visit<'a>(
    document: Bson<'a>,
    parts: &[Box<str>],
    leaf: Leaf,
    visit: &mut dyn FnMut(Bson<'a>, Option<usize>) -> Stop,
) -> Stop {
    walk(document, parts, leaf, None, visit)
}

fn walk<'a>(
    document: Bson<'a>,
    parts: &[Box<str>],
    leaf: Leaf,
    index: Option<usize>,
    visit: &mut dyn FnMut(Bson<'a>, Option<usize>) -> Stop,
) -> Stop {
    let Some((first, rest)) = parts.split_first() else {
        return at_leaf(document, leaf, index, visit);
    };
    let value = document.get(first);
    if rest.is_empty() {
        return at_leaf(value, leaf, index, visit);
    }
    match value.tag {
        DOCUMENT => walk(value, rest, leaf, index, visit),
        ARRAY => walk_array(value, rest, leaf, index, visit),
        _ => visit(Bson::MISSING, index),
    }
}

fn walk_array<'a>(
    array: Bson<'a>,
    rest: &[Box<str>],
    leaf: Leaf,
    index: Option<usize>,
    visit: &mut dyn FnMut(Bson<'a>, Option<usize>) -> Stop,
) -> Stop {
    let number = array_index(&rest[0]);
    for (i, element) in array.elements().enumerate() {
        let at = index.or(Some(i));
        if element.tag == DOCUMENT && walk(element, rest, leaf, at, visit) {
            return true;
        }
        if number == Some(i) {
            let after = &rest[1..];
            let stop = if after.is_empty() {
                at_leaf(element, leaf, at, visit)
            } else if element.tag == DOCUMENT {
                walk(element, after, leaf, at, visit)
            } else if element.tag == ARRAY {
                walk_array(element, after, leaf, at, visit)
            } else {
                visit(Bson::MISSING, at)
            };
            if stop {
                return true;
            }
        }
    }
    false
}

fn at_leaf<'a>(
    value: Bson<'a>,
    leaf: Leaf,
    index: Option<usize>,
    visit: &mut dyn FnMut(Bson<'a>, Option<usize>) -> Stop,
) -> Stop {
    if value.tag == ARRAY && leaf == Leaf::Elements {
        for (i, element) in value.elements().enumerate() {
            if visit(element, index.or(Some(i))) {
                return true;
            }
        }
    }
    visit(value, index)
}

/// A path part that is a canonical array index.
pub fn array_index(part: &str) -> Option<usize> {
    let canonical =
        part == "0" || (!part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit()));
    if canonical && !part.is_empty() && part.len() <= 9 {
        part.parse().ok()
    } else {
        None
    }
}

/// The value of an expression's path: arrays on the way are mapped, and what has no such field
/// is left out of the mapped array.
pub fn lookup<'a>(value: Bson<'a>, parts: &[Box<str>]) -> Looked<'a> {
    let Some((first, rest)) = parts.split_first() else {
        return Looked::Ref(value);
    };
    match value.tag {
        DOCUMENT => lookup(value.get(first), rest),
        ARRAY => {
            let mut out = ArrayWriter::new();
            for element in value.elements() {
                match lookup(element, parts) {
                    Looked::Ref(v) if v.is_missing() => {}
                    found => out.push(found.as_bson()),
                }
            }
            Looked::Own(out.finish_buf())
        }
        _ => Looked::Ref(Bson::MISSING),
    }
}

/// A value that was found, or made by mapping over an array.
#[derive(Debug)]
pub enum Looked<'a> {
    Ref(Bson<'a>),
    Own(BsonBuf),
}

impl Looked<'_> {
    pub fn as_bson(&self) -> Bson<'_> {
        match self {
            Looked::Ref(v) => *v,
            Looked::Own(v) => v.as_bson(),
        }
    }
}

/// The value that `sort` compares for one path: of an array the least element when ascending,
/// the greatest when descending.
pub fn sort_value<'a>(document: Bson<'a>, parts: &[Box<str>], descending: bool) -> Bson<'a> {
    let mut best: Option<Bson<'a>> = None;
    visit(document, parts, Leaf::Whole, &mut |value, _| {
        let mut consider = |v: Bson<'a>| {
            let better = best.is_none_or(|b| {
                let order = super::order::compare_sort(v, b);
                if descending {
                    order.is_gt()
                } else {
                    order.is_lt()
                }
            });
            if better {
                best = Some(v);
            }
        };
        if value.tag == ARRAY {
            if value.is_empty() {
                consider(Bson {
                    tag: UNDEFINED,
                    bytes: &[],
                });
            }
            value.elements().for_each(consider);
        } else {
            consider(value);
        }
        false
    });
    best.unwrap_or(Bson::NULL)
}
