//! From an operator document to changes, with MongoDB's refusals.

use super::{Change, Part};
use crate::document::display::render;
use crate::document::error::{DocResult, code, fail};
use crate::document::matcher::{Matcher, ValueTest};
use crate::document::number::Number;
use crate::document::raw::*;
use crate::document::sort::SortSpec;
use std::cmp::Ordering;

#[derive(Clone, Debug)]
pub(super) enum Operation {
    Set(BsonBuf),
    SetOnInsert(BsonBuf),
    Unset,
    Increment(BsonBuf),
    Multiply(BsonBuf),
    Min(BsonBuf),
    Max(BsonBuf),
    CurrentDate {
        timestamp: bool,
    },
    /// To this path; the change's own path is where the value comes from.
    Rename(String),
    /// The place a renamed value goes to, for the check of conflicts only.
    RenameTarget,
    Push {
        values: Vec<BsonBuf>,
        position: Option<i64>,
        slice: Option<i64>,
        sort: Option<Sorting>,
    },
    AddToSet {
        values: Vec<BsonBuf>,
    },
    Pop {
        first: bool,
    },
    Pull(ValueTest),
    PullAll(Vec<BsonBuf>),
    Bit(Vec<(Bit, BsonBuf)>),
}

#[derive(Clone, Debug)]
pub(super) enum Sorting {
    Whole { descending: bool },
    By(SortSpec),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Bit {
    And,
    Or,
    Xor,
}

/// Array filters by identifier.
struct Filters {
    by_name: Vec<(String, Matcher, bool)>,
}

impl Filters {
    fn compile(filters: Bson<'_>) -> DocResult<Filters> {
        let mut by_name: Vec<(String, Matcher, bool)> = Vec::new();
        if !filters.is_nullish() && !filters.is_array() {
            fail!(code::TYPE_MISMATCH, "arrayFilters must be an array");
        }
        for filter in filters.elements() {
            if !filter.is_document() {
                fail!(code::TYPE_MISMATCH, "each array filter must be an object");
            }
            let mut name = None;
            identifier(filter, &mut name)?;
            let Some(name) = name else {
                fail!(
                    code::FAILED_TO_PARSE,
                    "Cannot use an expression without a top-level field name in arrayFilters"
                );
            };
            let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_alphanumeric());
            if !valid {
                fail!(
                    code::BAD_VALUE,
                    "Error parsing array filter :: caused by :: The top-level field name must be an alphanumeric string beginning with a lowercase letter, found '{name}'"
                );
            }
            if by_name.iter().any(|(n, ..)| *n == name) {
                fail!(
                    code::FAILED_TO_PARSE,
                    "Found multiple array filters with the same top-level field name {name}"
                );
            }
            by_name.push((name, Matcher::compile(filter)?, false));
        }
        Ok(Filters { by_name })
    }
}

/// The one top-level name that a filter speaks of.
fn identifier(filter: Bson<'_>, found: &mut Option<String>) -> DocResult<()> {
    for (name, value) in filter.fields() {
        if name.starts_with('$') {
            for inner in value.elements() {
                identifier(inner, found)?;
            }
            continue;
        }
        let top = name.split('.').next().unwrap_or(name);
        match found {
            Some(known) if known != top => fail!(
                code::FAILED_TO_PARSE,
                "Error parsing array filter :: caused by :: Expected a single top-level field name, found '{known}' and '{top}'"
            ),
            _ => *found = Some(top.to_owned()),
        }
    }
    Ok(())
}

pub(super) fn compile(update: Bson<'_>, array_filters: Bson<'_>) -> DocResult<Vec<Change>> {
    let mut filters = Filters::compile(array_filters)?;
    let mut changes = Vec::new();
    for (operator, argument) in update.fields() {
        known(operator)?;
        if !argument.is_document() {
            fail!(
                code::FAILED_TO_PARSE,
                "Modifiers operate on fields but we found type {} instead. For example: {{$mod: {{<field>: ...}}}} not {{{operator}: {}}}",
                argument.type_name(),
                render(argument)
            );
        }
        for (path, value) in argument.fields() {
            add(operator, path, value, &mut filters, &mut changes)?;
        }
    }
    if let Some((name, ..)) = filters.by_name.iter().find(|(_, _, used)| !used) {
        fail!(
            code::FAILED_TO_PARSE,
            "The array filter for identifier '{name}' was not used in the update {}",
            render(update)
        );
    }
    changes.sort_by(|a, b| compare_paths(&a.path, &b.path));
    check_conflicts(&changes)?;
    changes.retain(|c| !matches!(c.operation, Operation::RenameTarget));
    Ok(changes)
}

fn known(operator: &str) -> DocResult<()> {
    match operator {
        "$set" | "$setOnInsert" | "$unset" | "$inc" | "$mul" | "$min" | "$max" | "$currentDate"
        | "$rename" | "$push" | "$addToSet" | "$pop" | "$pull" | "$pullAll" | "$bit" => Ok(()),
        _ => fail!(
            code::FAILED_TO_PARSE,
            "Unknown modifier: {operator}. Expected a valid update modifier or pipeline-style update specified as an array"
        ),
    }
}

/// Names in byte order, numbers by value.
fn compare_paths(a: &str, b: &str) -> Ordering {
    let mut left = a.split('.');
    let mut right = b.split('.');
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => {
                let order = match (x.parse::<u64>(), y.parse::<u64>()) {
                    (Ok(x), Ok(y)) => x.cmp(&y),
                    _ => x.cmp(y),
                };
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}

fn check_conflicts(changes: &[Change]) -> DocResult<()> {
    for pair in changes.windows(2) {
        let (a, b) = (&pair[0].path, &pair[1].path);
        if b == a
            || b.strip_prefix(a.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
        {
            fail!(
                code::CONFLICTING_UPDATE_OPERATORS,
                "Updating the path '{b}' would create a conflict at '{a}'"
            );
        }
    }
    Ok(())
}

fn parts(path: &str, filters: &mut Filters) -> DocResult<Vec<Part>> {
    if path.is_empty() {
        fail!(code::EMPTY_FIELD_NAME, "An empty update path is not valid.");
    }
    let mut out = Vec::new();
    for (i, part) in path.split('.').enumerate() {
        if part.is_empty() {
            fail!(
                code::EMPTY_FIELD_NAME,
                "The update path '{path}' contains an empty field name, which is not allowed."
            );
        }
        if i == 0 && (part == "$" || part.starts_with("$[")) {
            fail!(
                code::BAD_VALUE,
                "Cannot have positional (i.e. '{part}') element in the first position in path '{path}'"
            );
        }
        out.push(match part {
            "$" => {
                if out.iter().any(|p| matches!(p, Part::Matched)) {
                    fail!(
                        code::BAD_VALUE,
                        "Too many positional (i.e. '$') elements found in path '{path}'"
                    );
                }
                Part::Matched
            }
            "$[]" => Part::All,
            _ => match part.strip_prefix("$[").and_then(|p| p.strip_suffix(']')) {
                Some(name) => match filters.by_name.iter_mut().find(|(n, ..)| n == name) {
                    Some((_, matcher, used)) => {
                        *used = true;
                        Part::Filtered(matcher.clone())
                    }
                    None => fail!(
                        code::BAD_VALUE,
                        "No array filter found for identifier '{name}' in path '{path}'"
                    ),
                },
                None => Part::Field(part.into()),
            },
        });
    }
    Ok(out)
}

fn add(
    operator: &str,
    path: &str,
    value: Bson<'_>,
    filters: &mut Filters,
    out: &mut Vec<Change>,
) -> DocResult<()> {
    let parts = parts(path, filters)?;
    let numeric = |what: &str| match Number::of(value) {
        Some(_) => Ok(value.to_buf()),
        None => fail!(
            code::TYPE_MISMATCH,
            "Cannot {what} with non-numeric argument: {{{path}: {}}}",
            render(value)
        ),
    };
    let operation = match operator {
        "$set" => Operation::Set(value.to_buf()),
        "$setOnInsert" => Operation::SetOnInsert(value.to_buf()),
        "$unset" => Operation::Unset,
        "$inc" => Operation::Increment(numeric("increment")?),
        "$mul" => Operation::Multiply(numeric("multiply")?),
        "$min" => Operation::Min(value.to_buf()),
        "$max" => Operation::Max(value.to_buf()),
        "$currentDate" => current_date(path, value)?,
        "$rename" => {
            let target = rename(path, value, &parts)?;
            let to = parts_of_target(&target, filters)?;
            out.push(Change {
                parts: to,
                path: target.clone(),
                operation: Operation::RenameTarget,
            });
            Operation::Rename(target)
        }
        "$push" => push(value)?,
        "$addToSet" => add_to_set(value)?,
        "$pop" => match Number::of(value).and_then(Number::to_exact_i64) {
            Some(v @ (1 | -1)) => Operation::Pop { first: v == -1 },
            Some(v) => fail!(code::FAILED_TO_PARSE, "$pop expects 1 or -1, found: {v}"),
            None => fail!(
                code::FAILED_TO_PARSE,
                "Expected a number in: {path}: {}",
                render(value)
            ),
        },
        "$pull" => Operation::Pull(ValueTest::compile(value)?),
        "$pullAll" => {
            if !value.is_array() {
                fail!(
                    code::BAD_VALUE,
                    "$pullAll requires an array argument but was given a {}",
                    value.type_name()
                );
            }
            Operation::PullAll(value.elements().map(Bson::to_buf).collect())
        }
        _ => bit(path, value)?,
    };
    out.push(Change {
        parts,
        path: path.to_owned(),
        operation,
    });
    Ok(())
}

fn parts_of_target(path: &str, filters: &mut Filters) -> DocResult<Vec<Part>> {
    let parts = parts(path, filters)?;
    if parts.iter().any(|p| !matches!(p, Part::Field(_))) {
        fail!(
            code::BAD_VALUE,
            "The destination field for $rename may not be dynamic: {path}"
        );
    }
    Ok(parts)
}

fn rename(path: &str, value: Bson<'_>, from: &[Part]) -> DocResult<String> {
    let Some(to) = value.as_str().filter(|_| value.tag == STRING) else {
        fail!(
            code::BAD_VALUE,
            "The 'to' field for $rename must be a string: {path}: {}",
            render(value)
        );
    };
    if from.iter().any(|p| !matches!(p, Part::Field(_))) {
        fail!(
            code::BAD_VALUE,
            "The source field for $rename may not be dynamic: {path}"
        );
    }
    if to == path {
        fail!(
            code::BAD_VALUE,
            "The source and target field for $rename must differ: {path}: \"{to}\""
        );
    }
    let inside = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
    if inside(to, path) || inside(path, to) {
        fail!(
            code::BAD_VALUE,
            "The source and target field for $rename must not be on the same path: {path}: \"{to}\""
        );
    }
    Ok(to.to_owned())
}

fn current_date(path: &str, value: Bson<'_>) -> DocResult<Operation> {
    if value.tag == BOOL {
        return Ok(Operation::CurrentDate { timestamp: false });
    }
    if value.is_document() {
        if let Some((other, _)) = value.fields().find(|(n, _)| *n != "$type") {
            fail!(code::BAD_VALUE, "Unrecognized $currentDate option: {other}");
        }
        match value.get("$type").as_str() {
            Some("date") => return Ok(Operation::CurrentDate { timestamp: false }),
            Some("timestamp") => return Ok(Operation::CurrentDate { timestamp: true }),
            _ => fail!(
                code::BAD_VALUE,
                "The '$type' string field is required to be 'date' or 'timestamp': {{$currentDate: {{field : {{$type: 'date'}}}}}}"
            ),
        }
    }
    fail!(
        code::BAD_VALUE,
        "{} is not valid type for $currentDate. Please use a boolean ('true') or a $type expression ({{$type: 'timestamp/date'}}) for {path}.",
        value.type_name()
    )
}

fn push(value: Bson<'_>) -> DocResult<Operation> {
    let each = value.get("$each");
    if !value.is_document() || each.is_missing() {
        return Ok(Operation::Push {
            values: vec![value.to_buf()],
            position: None,
            slice: None,
            sort: None,
        });
    }
    if !each.is_array() {
        fail!(
            code::BAD_VALUE,
            "The argument to $each in $push must be an array but it was of type: {}",
            each.type_name()
        );
    }
    let (mut position, mut slice, mut sort) = (None, None, None);
    for (name, v) in value.fields() {
        let whole = |name: &str| match Number::of(v).and_then(Number::to_exact_i64) {
            Some(v) => Ok(Some(v)),
            None => fail!(
                code::BAD_VALUE,
                "The value for {name} must be an integer value, not of type: {}",
                v.type_name()
            ),
        };
        match name {
            "$each" => {}
            "$position" => position = whole("$position")?,
            "$slice" => slice = whole("$slice")?,
            "$sort" => sort = Some(sorting(v)?),
            _ => fail!(code::BAD_VALUE, "Unrecognized clause in $push: {name}"),
        }
    }
    Ok(Operation::Push {
        values: each.elements().map(Bson::to_buf).collect(),
        position,
        slice,
        sort,
    })
}

fn sorting(value: Bson<'_>) -> DocResult<Sorting> {
    if value.is_document() {
        if value.is_empty() {
            fail!(
                code::BAD_VALUE,
                "The sort pattern is empty when it should be a set of fields."
            );
        }
        for (name, order) in value.fields() {
            if !matches!(
                Number::of(order).and_then(Number::to_exact_i64),
                Some(1 | -1)
            ) {
                fail!(
                    code::BAD_VALUE,
                    "The $sort element value must be either 1 or -1"
                );
            }
            if name.is_empty() || name.split('.').any(str::is_empty) {
                fail!(
                    code::BAD_VALUE,
                    "The $sort field is a dotted field but has an empty part: {name}"
                );
            }
        }
        return Ok(Sorting::By(SortSpec::parse(value)?));
    }
    match Number::of(value).and_then(Number::to_exact_i64) {
        Some(v @ (1 | -1)) => Ok(Sorting::Whole {
            descending: v == -1,
        }),
        Some(_) => fail!(
            code::BAD_VALUE,
            "The $sort element value must be either 1 or -1"
        ),
        None => fail!(
            code::BAD_VALUE,
            "The $sort is invalid: use 1/-1 to sort the whole element, or {{field:1/-1}} to sort embedded fields"
        ),
    }
}

fn add_to_set(value: Bson<'_>) -> DocResult<Operation> {
    let first = value.fields().next().map(|(n, _)| n);
    if !value.is_document() || first != Some("$each") {
        return Ok(Operation::AddToSet {
            values: vec![value.to_buf()],
        });
    }
    if let Some((name, _)) = value.fields().find(|(n, _)| *n != "$each") {
        fail!(
            code::BAD_VALUE,
            "Found unexpected fields after $each in $addToSet: {name}"
        );
    }
    let each = value.get("$each");
    if !each.is_array() {
        fail!(
            code::TYPE_MISMATCH,
            "The argument to $each in $addToSet must be an array but it was of type {}",
            each.type_name()
        );
    }
    Ok(Operation::AddToSet {
        values: each.elements().map(Bson::to_buf).collect(),
    })
}

fn bit(path: &str, value: Bson<'_>) -> DocResult<Operation> {
    if !value.is_document() {
        fail!(
            code::BAD_VALUE,
            "The $bit modifier is not compatible with a {}. You must pass in an embedded document: {{$bit: {{field: {{and/or/xor: #}}}}",
            value.type_name()
        );
    }
    let mut operations = Vec::new();
    for (name, operand) in value.fields() {
        let bit = match name {
            "and" => Bit::And,
            "or" => Bit::Or,
            "xor" => Bit::Xor,
            _ => fail!(
                code::BAD_VALUE,
                "The $bit modifier only supports 'and', 'or', and 'xor', not '{name}' which is an unknown operator: {{{name}: {}}}",
                render(operand)
            ),
        };
        if !matches!(operand.tag, INT32 | INT64) {
            fail!(
                code::BAD_VALUE,
                "The $bit modifier field must be an Integer(32/64 bit); a '{}' is not supported here: {{{path}: {}}}",
                operand.type_name(),
                render(value)
            );
        }
        operations.push((bit, operand.to_buf()));
    }
    if operations.is_empty() {
        fail!(
            code::BAD_VALUE,
            "You must pass in at least one bitwise operation. The format is: {{$bit: {{field: {{and/or/xor: #}}}}"
        );
    }
    Ok(Operation::Bit(operations))
}
