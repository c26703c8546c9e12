//! Arrays as sets.

use super::*;
use crate::document::order::compare;

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
        "$setUnion" => op("$setUnion", 0, usize::MAX, combine),
        "$setIntersection" => op("$setIntersection", 0, usize::MAX, combine),
        "$setDifference" => op("$setDifference", 2, 2, difference),
        "$setEquals" => op("$setEquals", 2, usize::MAX, equals),
        "$setIsSubset" => op("$setIsSubset", 2, 2, is_subset),
        "$allElementsTrue" => op("$allElementsTrue", 1, 1, elements_true),
        "$anyElementTrue" => op("$anyElementTrue", 1, 1, elements_true),
        _ => None,
    }
}

/// The distinct elements in BSON order.
fn distinct<'v>(array: Bson<'v>) -> Vec<Bson<'v>> {
    let mut values: Vec<Bson<'v>> = array.elements().collect();
    values.sort_by(|a, b| compare(*a, *b));
    values.dedup_by(|a, b| compare(*a, *b).is_eq());
    values
}

fn contains(set: &[Bson<'_>], value: Bson<'_>) -> bool {
    set.binary_search_by(|v| compare(*v, value)).is_ok()
}

fn combine<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let mut result: Option<Vec<Bson<'_>>> = None;
    for argument in arguments {
        let value = argument.as_bson();
        if value.is_nullish() {
            return Ok(Val::NULL);
        }
        if !value.is_array() {
            let error = if name == "$setUnion" { 17043 } else { 17047 };
            fail!(
                error,
                "All operands of {name} must be arrays. One argument is of type: {}",
                value.type_name()
            );
        }
        let set = distinct(value);
        result = Some(match result {
            None => set,
            Some(so_far) if name == "$setUnion" => {
                let mut all = so_far;
                all.extend(set);
                all.sort_by(|a, b| compare(*a, *b));
                all.dedup_by(|a, b| compare(*a, *b).is_eq());
                all
            }
            Some(so_far) => so_far.into_iter().filter(|v| contains(&set, *v)).collect(),
        });
    }
    Ok(array_of(result.unwrap_or_default()).into())
}

fn pair<'v>(
    name: &str,
    arguments: &'v [Val<'_>],
    errors: (i32, i32),
) -> DocResult<(Bson<'v>, Bson<'v>)> {
    let (a, b) = (arguments[0].as_bson(), arguments[1].as_bson());
    for (value, which, error) in [(a, "First", errors.0), (b, "Second", errors.1)] {
        if !value.is_array() {
            fail!(
                error,
                "both operands of {name} must be arrays. {which} argument is of type: {}",
                value.type_name()
            );
        }
    }
    Ok((a, b))
}

fn difference<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    if arguments.iter().any(Val::is_nullish) {
        return Ok(Val::NULL);
    }
    let (a, b) = pair(name, arguments, (17048, 17049))?;
    let excluded = distinct(b);
    let mut kept: Vec<Bson<'_>> = Vec::new();
    let mut seen: Vec<Bson<'_>> = Vec::new();
    for value in a.elements() {
        if contains(&excluded, value) {
            continue;
        }
        if let Err(at) = seen.binary_search_by(|v| compare(*v, value)) {
            seen.insert(at, value);
            kept.push(value);
        }
    }
    Ok(array_of(kept).into())
}

fn equals<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let mut first: Option<Vec<Bson<'_>>> = None;
    let mut same = true;
    for argument in arguments {
        let value = argument.as_bson();
        if !value.is_array() {
            fail!(
                17044,
                "All operands of {name} must be arrays. One argument is of type: {}",
                value.type_name()
            );
        }
        let set = distinct(value);
        match &first {
            None => first = Some(set),
            Some(first) => {
                same &= first.len() == set.len()
                    && first.iter().zip(&set).all(|(a, b)| compare(*a, *b).is_eq());
            }
        }
    }
    Ok(Val::bool(same))
}

fn is_subset<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let (a, b) = pair(name, arguments, (17046, 17042))?;
    let all = distinct(b);
    Ok(Val::bool(a.elements().all(|v| contains(&all, v))))
}

fn elements_true<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let value = arguments[0].as_bson();
    let all = name == "$allElementsTrue";
    if !value.is_array() {
        let error = if all { 17040 } else { 17041 };
        fail!(
            error,
            "{name}'s argument must be an array, but is {}",
            value.type_name()
        );
    }
    Ok(Val::bool(if all {
        value.elements().all(Bson::truthy)
    } else {
        value.elements().any(Bson::truthy)
    }))
}
