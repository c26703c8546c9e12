//! jsonb's order, equality, hash and containment.

use super::build::compare_keys;
use super::{Jsonb, JsonbRef, Kind, element};
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

type Members<'a> = SmallVec<[(&'a str, JsonbRef<'a>); 8]>;

/// The members of an object in jsonb's key order, the last of equal keys only.
fn sorted_members(value: JsonbRef<'_>) -> Members<'_> {
    let mut members: Members<'_> = value.entries().flatten().collect();
    let in_order = members
        .windows(2)
        .all(|pair| compare_keys(pair[0].0, pair[1].0) == Ordering::Less);
    if !in_order {
        members.sort_by(|a, b| compare_keys(a.0, b.0));
        let mut kept: Members<'_> = SmallVec::with_capacity(members.len());
        for member in members {
            match kept.last_mut() {
                Some(last) if last.0 == member.0 => *last = member,
                _ => kept.push(member),
            }
        }
        return kept;
    }
    members
}

/// BSON types that print as an object are compared by their printed form.
fn expanded(value: JsonbRef<'_>) -> Option<Jsonb> {
    (value.kind() == Kind::Object && value.element != element::DOCUMENT)
        .then(|| Jsonb::parse(&value.to_string()).unwrap_or_else(|_| Jsonb::null()))
}

impl PartialEq for JsonbRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for JsonbRef<'_> {}

impl PartialOrd for JsonbRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for JsonbRef<'_> {
    /// `Object > Array > Boolean > Number > String > Null`; containers by their number of
    /// members first. At the top a scalar counts as an array of one, so that the empty array
    /// stands below every scalar, as in PostgreSQL.
    fn cmp(&self, other: &Self) -> Ordering {
        let empty = |value: &JsonbRef<'_>| value.element == element::ARRAY && value.is_empty();
        match (
            empty(self) && other.is_scalar(),
            empty(other) && self.is_scalar(),
        ) {
            (true, _) => Ordering::Less,
            (_, true) => Ordering::Greater,
            _ => compare_values(*self, *other),
        }
    }
}

fn compare_values(a: JsonbRef<'_>, b: JsonbRef<'_>) -> Ordering {
    if a.element == b.element && a.bytes == b.bytes {
        return Ordering::Equal;
    }
    let (kind, other) = (a.kind(), b.kind());
    if kind != other {
        return kind.cmp(&other);
    }
    match kind {
        Kind::Null => Ordering::Equal,
        Kind::Bool => a.as_bool().cmp(&b.as_bool()),
        Kind::Number => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.as_numeric().cmp(&b.as_numeric()),
        },
        Kind::String => a.as_text().cmp(&b.as_text()),
        Kind::Array => compare_arrays(a, b),
        Kind::Object => {
            let (left, right) = (expanded(a), expanded(b));
            compare_objects(
                left.as_ref().map_or(a, Jsonb::as_ref),
                right.as_ref().map_or(b, Jsonb::as_ref),
            )
        }
    }
}

fn compare_arrays(a: JsonbRef<'_>, b: JsonbRef<'_>) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| {
        a.elements()
            .flatten()
            .zip(b.elements().flatten())
            .map(|(a, b)| compare_values(a, b))
            .find(|order| *order != Ordering::Equal)
            .unwrap_or(Ordering::Equal)
    })
}

fn compare_objects(a: JsonbRef<'_>, b: JsonbRef<'_>) -> Ordering {
    let (a, b) = (sorted_members(a), sorted_members(b));
    a.len().cmp(&b.len()).then_with(|| {
        for ((name_a, value_a), (name_b, value_b)) in a.iter().zip(&b) {
            // Keys are compared as text here, not by length.
            let order = name_a
                .as_bytes()
                .cmp(name_b.as_bytes())
                .then_with(|| compare_values(*value_a, *value_b));
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    })
}

impl Hash for JsonbRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let kind = self.kind();
        state.write_u8(kind as u8);
        match kind {
            Kind::Null => {}
            Kind::Bool => self.as_bool().hash(state),
            Kind::Number => self.as_numeric().hash(state),
            Kind::String => self.as_text().hash(state),
            Kind::Array => {
                for value in self.elements().flatten() {
                    value.hash(state);
                }
            }
            Kind::Object => {
                if let Some(expanded) = expanded(*self) {
                    return expanded.as_ref().hash(state);
                }
                for (name, value) in sorted_members(*self) {
                    name.hash(state);
                    value.hash(state);
                }
            }
        }
    }
}

impl PartialEq for Jsonb {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Jsonb {}

impl PartialOrd for Jsonb {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Jsonb {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}

impl Hash for Jsonb {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl JsonbRef<'_> {
    /// `@>`: whether `self` contains `other`. At the top an array also contains a bare scalar.
    pub fn contains(self, other: JsonbRef<'_>) -> bool {
        if self.kind() == Kind::Array && other.is_scalar() {
            return self.elements().flatten().any(|v| v == other);
        }
        contains_nested(self, other)
    }
}

fn contains_nested(outer: JsonbRef<'_>, inner: JsonbRef<'_>) -> bool {
    match (outer.kind(), inner.kind()) {
        (Kind::Object, Kind::Object) => inner
            .entries()
            .flatten()
            .all(|(name, value)| outer.get(name).is_some_and(|v| contains_nested(v, value))),
        (Kind::Array, Kind::Array) => inner.elements().flatten().all(|value| {
            outer.elements().flatten().any(|candidate| {
                if value.is_scalar() {
                    candidate == value
                } else {
                    contains_nested(candidate, value)
                }
            })
        }),
        (a, b) if a == b => outer == inner,
        _ => false,
    }
}
