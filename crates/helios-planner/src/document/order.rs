//! MongoDB's comparison order across all types, and equality.

use super::number::Number;
use super::raw::*;
use std::cmp::Ordering;

/// The rank of a type among all; types of one rank are compared by value.
pub fn rank(tag: u8) -> u8 {
    match tag {
        MIN_KEY => 1,
        MISSING | UNDEFINED => 2,
        NULL => 5,
        DOUBLE | INT32 | INT64 | DECIMAL => 10,
        STRING | SYMBOL => 15,
        DOCUMENT => 20,
        ARRAY => 25,
        BINARY => 30,
        OBJECT_ID => 35,
        BOOL => 40,
        DATE => 45,
        TIMESTAMP => 47,
        REGEX => 50,
        DB_POINTER => 55,
        CODE => 60,
        CODE_WITH_SCOPE => 65,
        MAX_KEY => 127,
        _ => 126,
    }
}

/// The order that aggregation expressions use: missing is below null.
pub fn compare(a: Bson<'_>, b: Bson<'_>) -> Ordering {
    rank(a.tag)
        .cmp(&rank(b.tag))
        .then_with(|| compare_same_rank(a, b))
}

/// The order that `sort` uses: missing and null are one value. (An empty array sorts as undefined,
/// which is below null.)
pub fn compare_sort(a: Bson<'_>, b: Bson<'_>) -> Ordering {
    let null = |v: Bson<'_>| if v.is_missing() { NULL } else { v.tag };
    let (ta, tb) = (null(a), null(b));
    rank(ta)
        .cmp(&rank(tb))
        .then_with(|| compare_same_rank(a, b))
}

/// Equality of values: numbers by value over all types, documents by fields in order.
pub fn equal(a: Bson<'_>, b: Bson<'_>) -> bool {
    if a.tag == b.tag && a.bytes == b.bytes {
        return true;
    }
    rank(a.tag) == rank(b.tag) && compare_same_rank(a, b) == Ordering::Equal
}

fn compare_same_rank(a: Bson<'_>, b: Bson<'_>) -> Ordering {
    match a.tag {
        DOUBLE | INT32 | INT64 | DECIMAL => match (Number::of(a), Number::of(b)) {
            (Some(a), Some(b)) => a.compare(b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        },
        STRING | SYMBOL | CODE => a.bytes.get(4..).cmp(&b.bytes.get(4..)),
        DOCUMENT => compare_documents(a, b),
        ARRAY => compare_arrays(a, b),
        BINARY => {
            let length = |v: Bson<'_>| v.as_binary().map(|(_, bytes)| bytes.len());
            length(a)
                .cmp(&length(b))
                .then_with(|| a.as_binary().cmp(&b.as_binary()))
        }
        OBJECT_ID | BOOL => a.bytes.cmp(b.bytes),
        DATE => a.as_date().cmp(&b.as_date()),
        TIMESTAMP => a.as_timestamp().cmp(&b.as_timestamp()),
        REGEX => a.as_regex().cmp(&b.as_regex()),
        DB_POINTER | CODE_WITH_SCOPE => a.bytes.cmp(b.bytes),
        _ => Ordering::Equal,
    }
}

fn compare_documents(a: Bson<'_>, b: Bson<'_>) -> Ordering {
    let (mut a, mut b) = (a.fields(), b.fields());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some((an, av)), Some((bn, bv))) => {
                let order = rank(av.tag)
                    .cmp(&rank(bv.tag))
                    .then_with(|| an.cmp(bn))
                    .then_with(|| compare_same_rank(av, bv));
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}

fn compare_arrays(a: Bson<'_>, b: Bson<'_>) -> Ordering {
    let (mut a, mut b) = (a.elements(), b.elements());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(av), Some(bv)) => {
                let order = compare(av, bv);
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}
