//! Comparison, boolean and type operators.

use super::*;
use crate::document::order::compare;
use std::cmp::Ordering;

pub(super) fn operator(name: &str) -> Option<Operator> {
    let op = |name, min, max, call| {
        Some(Operator {
            name,
            min,
            max,
            call,
        })
    };
    match name {
        "$eq" => op("$eq", 2, 2, |_, a| Ok(Val::bool(order(a).is_eq()))),
        "$ne" => op("$ne", 2, 2, |_, a| Ok(Val::bool(order(a).is_ne()))),
        "$gt" => op("$gt", 2, 2, |_, a| Ok(Val::bool(order(a).is_gt()))),
        "$gte" => op("$gte", 2, 2, |_, a| Ok(Val::bool(order(a).is_ge()))),
        "$lt" => op("$lt", 2, 2, |_, a| Ok(Val::bool(order(a).is_lt()))),
        "$lte" => op("$lte", 2, 2, |_, a| Ok(Val::bool(order(a).is_le()))),
        "$cmp" => op("$cmp", 2, 2, |_, a| {
            Ok(BsonBuf::int32(order(a) as i32).into())
        }),
        "$not" => op("$not", 1, 1, |_, a| Ok(Val::bool(!a[0].as_bson().truthy()))),
        "$type" => op("$type", 1, 1, |_, a| {
            Ok(Val::string(a[0].as_bson().type_name()))
        }),
        "$isNumber" => op("$isNumber", 1, 1, |_, a| {
            Ok(Val::bool(a[0].as_bson().is_number()))
        }),
        "$isArray" => op("$isArray", 1, 1, |_, a| {
            Ok(Val::bool(a[0].as_bson().is_array()))
        }),
        _ => None,
    }
}

fn order(arguments: &[Val<'_>]) -> Ordering {
    compare(arguments[0].as_bson(), arguments[1].as_bson())
}
