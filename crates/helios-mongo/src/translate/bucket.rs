//! `$bucket` as the `$group` that it is: the group's key is the lower boundary of the bucket.

use crate::error::{Result, fail};
use helios_planner::document::expression::Expression;
use helios_planner::document::order::{compare, rank};
use helios_planner::document::raw::*;

/// The specification of the `$group` that a `$bucket` stands for; its result is to be sorted by
/// `_id`.
pub(super) fn group(argument: Bson<'_>) -> Result<Vec<u8>> {
    check_fields(argument)?;
    let by = argument.get("groupBy");
    if !by.is_document() && !by.as_str().is_some_and(|text| text.starts_with('$')) {
        fail!(
            40202,
            "The $bucket 'groupBy' field must be defined as a $-prefixed path or an expression object, but found: {by:?}."
        );
    }
    let boundaries = boundaries(argument.get("boundaries"))?;
    let other = argument.get("default");
    let other = match other.is_missing() {
        true => None,
        false => Some(constant(other, "default")?),
    };
    if let (Some(other), Some(first), Some(last)) = (&other, boundaries.first(), boundaries.last())
    {
        let within = compare(other.as_bson(), first.as_bson()).is_ge()
            && compare(other.as_bson(), last.as_bson()).is_lt();
        if within {
            fail!(
                40199,
                "The $bucket 'default' field must be less than the lowest boundary or greater than or equal to the highest boundary."
            );
        }
    }
    let mut out = Writer::new();
    out.start_document("_id").start_document("$switch");
    out.start_array("branches");
    let mut digits = itoa::Buffer::new();
    for (at, pair) in boundaries.windows(2).enumerate() {
        let [low, high] = pair else { continue };
        out.start_document(digits.format(at));
        out.start_document("case").start_array("$and");
        for (name, operator, bound) in [("0", "$gte", low), ("1", "$lt", high)] {
            out.start_document(name).start_array(operator).put("0", by);
            literal(&mut out, "1", bound);
            out.end().end();
        }
        out.end().end();
        literal(&mut out, "then", low);
        out.end();
    }
    out.end();
    if let Some(other) = &other {
        literal(&mut out, "default", other);
    }
    out.end().end();
    match argument.get("output") {
        output if output.is_missing() => {
            out.start_document("count").put_i32("$sum", 1).end();
        }
        output => output.fields().for_each(|(name, value)| {
            out.put(name, value);
        }),
    }
    Ok(out.finish())
}

fn check_fields(argument: Bson<'_>) -> Result<()> {
    if !argument.is_document() {
        fail!(
            40201,
            "Argument to $bucket stage must be an object, but found type: {}.",
            argument.type_name()
        );
    }
    for (name, value) in argument.fields() {
        match name {
            "groupBy" | "default" => {}
            "boundaries" if value.is_array() => {}
            "boundaries" => fail!(
                40200,
                "The $bucket 'boundaries' field must be an array, but found type: {}.",
                value.type_name()
            ),
            "output" if value.is_document() => {}
            "output" => fail!(
                40196,
                "The $bucket 'output' field must be an object, but found type: {}.",
                value.type_name()
            ),
            _ => fail!(40197, "Unrecognized option to $bucket: {name}."),
        }
    }
    if argument.get("groupBy").is_missing() || argument.get("boundaries").is_missing() {
        fail!(
            40198,
            "$bucket requires 'groupBy' and 'boundaries' to be specified."
        );
    }
    Ok(())
}

fn boundaries(list: Bson<'_>) -> Result<Vec<BsonBuf>> {
    let values = list
        .elements()
        .map(|value| constant(value, "boundaries"))
        .collect::<Result<Vec<_>>>()?;
    if values.len() < 2 {
        fail!(
            40192,
            "The $bucket 'boundaries' field must have at least 2 values, but found {} value(s).",
            values.len()
        );
    }
    for pair in values.windows(2) {
        let [low, high] = pair else { continue };
        if rank(low.tag) != rank(high.tag) {
            fail!(
                40193,
                "All values in the the 'boundaries' option to $bucket must have the same type. Found conflicting types {} and {}.",
                low.as_bson().type_name(),
                high.as_bson().type_name()
            );
        }
        if compare(low.as_bson(), high.as_bson()).is_ge() {
            fail!(
                40194,
                "The 'boundaries' option to $bucket must be sorted, but elements are not in ascending order: {:?} is not less than {:?}.",
                low.as_bson(),
                high.as_bson()
            );
        }
    }
    Ok(values)
}

/// The value of an expression that reads no document.
fn constant(value: Bson<'_>, field: &str) -> Result<BsonBuf> {
    let expression = Expression::compile(value)?;
    match expression.as_constant() {
        Some(value) => Ok(value.to_buf()),
        None => fail!(
            40191,
            "The $bucket '{field}' field must be constant, but found: {value:?}."
        ),
    }
}

fn literal(out: &mut Writer, name: &str, value: &BsonBuf) {
    out.start_document(name)
        .put("$literal", value.as_bson())
        .end();
}
