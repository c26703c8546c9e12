//! Specifications of `$setWindowFields`.

use super::{Edge, Frame, Function, Output, Window};
use crate::document::accumulator::Accumulator;
use crate::document::display::render;
use crate::document::error::{DocResult, code, fail};
use crate::document::expression::Expression;
use crate::document::number::Number;
use crate::document::path::Path;
use crate::document::raw::*;
use crate::document::sort::SortSpec;

pub(super) fn window(spec: Bson<'_>) -> DocResult<Window> {
    if !spec.is_document() {
        fail!(
            code::FAILED_TO_PARSE,
            "the $setWindowFields stage specification must be an object, found {}",
            spec.type_name()
        );
    }
    let (mut partition, mut sort) = (None, None);
    for (name, value) in spec.fields() {
        match name {
            "partitionBy" => partition = Some(Expression::compile(value)?),
            "sortBy" if value.is_document() => sort = Some(SortSpec::parse(value)?),
            "sortBy" => fail!(
                code::TYPE_MISMATCH,
                "BSON field '$setWindowFields.sortBy' is the wrong type '{}', expected type 'object'",
                value.type_name()
            ),
            "output" if value.is_document() => {}
            "output" => fail!(
                code::TYPE_MISMATCH,
                "BSON field '$setWindowFields.output' is the wrong type '{}', expected type 'object'",
                value.type_name()
            ),
            _ => fail!(
                40415,
                "BSON field '$setWindowFields.{name}' is an unknown field."
            ),
        }
    }
    let list = spec.get("output");
    if list.is_missing() {
        fail!(
            40414,
            "BSON field '$setWindowFields.output' is missing but a required field"
        );
    }
    let outputs = list
        .fields()
        .map(|(path, value)| output(path, value, sort.as_ref()))
        .collect::<DocResult<_>>()?;
    Ok(Window {
        partition,
        sort,
        outputs,
    })
}

fn output(path: &str, spec: Bson<'_>, sort: Option<&SortSpec>) -> DocResult<Output> {
    if path.is_empty() || path.starts_with('$') || path.split('.').any(str::is_empty) {
        fail!(
            16410,
            "FieldPath field names may not start with '$' or be empty: {path}"
        );
    }
    if !spec.is_document() {
        fail!(
            code::FAILED_TO_PARSE,
            "The field '{path}' must be an object, but found {}",
            spec.type_name()
        );
    }
    let mut found = None;
    let mut frame = None;
    for (name, value) in spec.fields() {
        if name == "window" {
            frame = Some(self::frame(value, sort)?);
        } else if !name.starts_with('$') {
            fail!(
                code::FAILED_TO_PARSE,
                "'window' field is the only one besides a function, found {name}"
            );
        } else if found.replace((name, value)).is_some() {
            fail!(
                code::FAILED_TO_PARSE,
                "Cannot specify two functions in one output of $setWindowFields"
            );
        }
    }
    let Some((name, argument)) = found else {
        fail!(
            code::FAILED_TO_PARSE,
            "Expected a $-prefixed window function, in {}",
            render(spec)
        );
    };
    let function = function(name, argument, sort)?;
    let alone = matches!(
        function,
        Function::Rank
            | Function::DenseRank
            | Function::DocumentNumber
            | Function::Shift { .. }
            | Function::MovingAverage { .. }
            | Function::LinearFill(_)
            | Function::LastKnown(_)
    );
    if alone && frame.is_some() {
        fail!(5371601, "{name} does not accept a 'window' field");
    }
    if matches!(function, Function::Derivative(..)) && frame.is_none() {
        fail!(5433400, "{name} requires explicit window bounds");
    }
    Ok(Output {
        path: Path::new(path),
        function,
        frame: frame.unwrap_or(Frame::Whole),
    })
}

fn function(name: &str, argument: Bson<'_>, sort: Option<&SortSpec>) -> DocResult<Function> {
    let single = sort.is_some_and(|sort| sort.keys.len() == 1);
    let sorted = |what: bool| -> DocResult<()> {
        if !what {
            fail!(
                5371602,
                "{name} must be specified with a top level sortBy expression with exactly one element"
            );
        }
        Ok(())
    };
    let nothing = || -> DocResult<()> {
        if !argument.is_document() || !argument.is_empty() {
            fail!(5371603, "{name} must be specified with '{{}}' as the value");
        }
        Ok(())
    };
    Ok(match name {
        "$rank" | "$denseRank" => {
            nothing()?;
            sorted(single)?;
            match name {
                "$rank" => Function::Rank,
                _ => Function::DenseRank,
            }
        }
        "$documentNumber" => {
            nothing()?;
            sorted(sort.is_some())?;
            Function::DocumentNumber
        }
        "$shift" => {
            sorted(sort.is_some())?;
            shift(argument)?
        }
        "$derivative" | "$integral" => {
            sorted(single)?;
            let fields = known(name, argument, &["input", "unit"])?;
            let input = required(name, fields, "input")?;
            let unit = unit(fields.get("unit"))?;
            match name {
                "$derivative" => Function::Derivative(input, unit),
                _ => Function::Integral(input, unit),
            }
        }
        "$expMovingAvg" => {
            sorted(sort.is_some())?;
            moving_average(argument)?
        }
        "$covariancePop" | "$covarianceSamp" => {
            if !argument.is_array() || argument.len() != 2 {
                // Anything else has no pairs.
                let none = Expression::compile(Bson::NULL)?;
                return Ok(Function::Covariance {
                    x: none.clone(),
                    y: none,
                    sample: name == "$covarianceSamp",
                });
            }
            Function::Covariance {
                x: Expression::compile(argument.element(0))?,
                y: Expression::compile(argument.element(1))?,
                sample: name == "$covarianceSamp",
            }
        }
        "$linearFill" => {
            if !single {
                fail!(
                    605001,
                    "$linearFill must be specified with a top level sortBy expression with exactly one element"
                );
            }
            Function::LinearFill(Expression::compile(argument)?)
        }
        "$locf" => Function::LastKnown(Expression::compile(argument)?),
        "$mergeObjects" => fail!(
            code::FAILED_TO_PARSE,
            "Unrecognized window function, {name}"
        ),
        _ => match Accumulator::compile(name, argument) {
            Err(error) if error.code == 15952 => fail!(
                code::FAILED_TO_PARSE,
                "Unrecognized window function, {name}"
            ),
            other => Function::Accumulate(other?),
        },
    })
}

fn known<'a>(name: &str, argument: Bson<'a>, names: &[&str]) -> DocResult<Bson<'a>> {
    if !argument.is_document() {
        fail!(
            code::FAILED_TO_PARSE,
            "Argument to {name} must be an object"
        );
    }
    match argument.fields().find(|(field, _)| !names.contains(field)) {
        Some((other, _)) => fail!(
            code::FAILED_TO_PARSE,
            "{name} got unexpected argument: {other}"
        ),
        None => Ok(argument),
    }
}

fn required(name: &str, fields: Bson<'_>, field: &str) -> DocResult<Expression> {
    match fields.get(field) {
        value if value.is_missing() => {
            fail!(
                code::FAILED_TO_PARSE,
                "{name} requires an '{field}' expression"
            )
        }
        value => Expression::compile(value),
    }
}

fn shift(argument: Bson<'_>) -> DocResult<Function> {
    let fields = known("$shift", argument, &["output", "by", "default"])?;
    let output = required("$shift", fields, "output")?;
    let by = fields.get("by");
    let Some(by) = Number::of(by).and_then(Number::to_exact_i64) else {
        fail!(
            code::FAILED_TO_PARSE,
            "'$shift:by' field must be an integer, but found by: {}",
            render(by)
        );
    };
    let default = Expression::compile(match fields.get("default") {
        value if value.is_missing() => Bson::NULL,
        value => value,
    })?;
    match default.as_constant() {
        Some(value) => Ok(Function::Shift {
            output,
            by,
            default: value.to_buf(),
        }),
        None => fail!(
            code::FAILED_TO_PARSE,
            "'$shift:default' expression must yield a constant value."
        ),
    }
}

fn moving_average(argument: Bson<'_>) -> DocResult<Function> {
    let fields = known("$expMovingAvg", argument, &["input", "N", "alpha"])?;
    let input = required("$expMovingAvg", fields, "input")?;
    let (n, alpha) = (fields.get("N"), fields.get("alpha"));
    let alpha = match (n.is_missing(), alpha.is_missing()) {
        (false, true) => match Number::of(n).and_then(Number::to_exact_i64) {
            Some(n) if n > 0 => 2.0 / (n as f64 + 1.0),
            _ => fail!(
                code::FAILED_TO_PARSE,
                "'N' field must be an integer, and greater than zero. Got {}",
                render(n)
            ),
        },
        (true, false) => match Number::of(alpha).map(Number::to_f64) {
            Some(alpha) if alpha > 0.0 && alpha < 1.0 => alpha,
            _ => fail!(
                code::FAILED_TO_PARSE,
                "'alpha' must be between 0 and 1 (exclusive), found alpha: {}",
                render(alpha)
            ),
        },
        _ => fail!(
            code::FAILED_TO_PARSE,
            "$expMovingAvg requires exactly one of 'N' and 'alpha'"
        ),
    };
    Ok(Function::MovingAverage { input, alpha })
}

/// A unit of time in milliseconds.
fn unit(value: Bson<'_>) -> DocResult<Option<f64>> {
    if value.is_missing() {
        return Ok(None);
    }
    const SECOND: f64 = 1000.0;
    Ok(Some(match value.as_str() {
        Some("millisecond") => 1.0,
        Some("second") => SECOND,
        Some("minute") => 60.0 * SECOND,
        Some("hour") => 3600.0 * SECOND,
        Some("day") => 86_400.0 * SECOND,
        Some("week") => 7.0 * 86_400.0 * SECOND,
        Some("month" | "quarter" | "year") => fail!(
            code::COMMAND_NOT_SUPPORTED,
            "windows of months, quarters and years are not supported"
        ),
        _ => fail!(
            code::FAILED_TO_PARSE,
            "unknown time unit value: {}",
            render(value)
        ),
    }))
}

fn frame(spec: Bson<'_>, sort: Option<&SortSpec>) -> DocResult<Frame> {
    if !spec.is_document() {
        fail!(
            code::FAILED_TO_PARSE,
            "'window' field must be an object, but found {}",
            spec.type_name()
        );
    }
    let fields = known("window", spec, &["documents", "range", "unit"])?;
    let (documents, range) = (fields.get("documents"), fields.get("range"));
    let unit = unit(fields.get("unit"))?;
    if !documents.is_missing() && !range.is_missing() {
        fail!(
            code::FAILED_TO_PARSE,
            "'window' field can specify either 'documents' or 'range', not both"
        );
    }
    if documents.is_missing() && range.is_missing() {
        if unit.is_some() {
            fail!(
                code::FAILED_TO_PARSE,
                "Window bounds can only specify 'unit' with range-based bounds."
            );
        }
        return Ok(Frame::Whole);
    }
    if !documents.is_missing() {
        if unit.is_some() {
            fail!(
                code::FAILED_TO_PARSE,
                "Window bounds can only specify 'unit' with range-based bounds."
            );
        }
        let whole = |v: Bson<'_>| Number::of(v).and_then(Number::to_exact_i64);
        let (lower, upper) = edges("documents", documents, whole)?;
        let unbounded = matches!((lower, upper), (Edge::Unbounded, Edge::Unbounded));
        if sort.is_none() && !unbounded {
            fail!(5339901, "Document-based bounds require a sortBy");
        }
        let value = |edge: Edge<i64>, none: i64| match edge {
            Edge::Unbounded => none,
            Edge::Current => 0,
            Edge::By(by) => by,
        };
        if value(lower, i64::MIN) > value(upper, i64::MAX) {
            fail!(
                5339900,
                "Lower bound must not exceed upper bound: {}",
                render(documents)
            );
        }
        return Ok(Frame::Documents(lower, upper));
    }
    let ascending =
        sort.is_some_and(|sort| matches!(sort.keys.as_slice(), [key] if !key.descending));
    if !ascending {
        fail!(
            5339902,
            "Range-based bounds require sortBy a single, ascending field"
        );
    }
    let number = |v: Bson<'_>| Number::of(v).map(Number::to_f64);
    let (lower, upper) = edges("range", range, number)?;
    let fraction = |edge: Edge<f64>| matches!(edge, Edge::By(by) if by.fract() != 0.0);
    if unit.is_some() && (fraction(lower) || fraction(upper)) {
        fail!(
            code::FAILED_TO_PARSE,
            "With 'unit', range-based bounds must be integers: {}",
            render(range)
        );
    }
    let value = |edge: Edge<f64>, none: f64| match edge {
        Edge::Unbounded => none,
        Edge::Current => 0.0,
        Edge::By(by) => by,
    };
    if value(lower, f64::NEG_INFINITY) > value(upper, f64::INFINITY) {
        fail!(
            5339900,
            "Lower bound must not exceed upper bound: {}",
            render(range)
        );
    }
    Ok(Frame::Range(lower, upper, unit))
}

fn edges<T: Copy>(
    name: &str,
    bounds: Bson<'_>,
    number: impl Fn(Bson<'_>) -> Option<T>,
) -> DocResult<(Edge<T>, Edge<T>)> {
    if !bounds.is_array() || bounds.len() != 2 {
        fail!(
            code::FAILED_TO_PARSE,
            "Window bounds must be a 2-element array: {name}: {}",
            render(bounds)
        );
    }
    let edge = |value: Bson<'_>| match (
        value.as_str().filter(|_| value.tag == STRING),
        number(value),
    ) {
        (Some("unbounded"), _) => Ok(Edge::Unbounded),
        (Some("current"), _) => Ok(Edge::Current),
        (None, Some(by)) => Ok(Edge::By(by)),
        _ => fail!(
            code::FAILED_TO_PARSE,
            "Window bounds must be 'unbounded', 'current', or a number: {}",
            render(value)
        ),
    };
    Ok((edge(bounds.element(0))?, edge(bounds.element(1))?))
}
