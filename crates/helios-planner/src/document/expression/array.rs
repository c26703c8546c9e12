//! Arrays: elements, slices, search, building and sorting; and the accumulators' array forms.

use super::*;
use crate::document::accumulator::{self, Kind};
use crate::document::number::Number;
use crate::document::order::{compare, equal};
use crate::document::sort::SortSpec;

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
        "$size" => op("$size", 1, 1, size),
        "$arrayElemAt" => op("$arrayElemAt", 2, 2, element_at),
        "$first" => op("$first", 1, 1, end),
        "$last" => op("$last", 1, 1, end),
        "$slice" => op("$slice", 2, 3, slice),
        "$in" => op("$in", 2, 2, is_in),
        "$indexOfArray" => op("$indexOfArray", 2, 4, index_of),
        "$concatArrays" => op("$concatArrays", 0, usize::MAX, concat),
        "$reverseArray" => op("$reverseArray", 1, 1, reverse),
        "$range" => op("$range", 2, 3, range),
        "$sum" => op("$sum", 0, usize::MAX, accumulate),
        "$avg" => op("$avg", 0, usize::MAX, accumulate),
        "$min" => op("$min", 0, usize::MAX, accumulate),
        "$max" => op("$max", 0, usize::MAX, accumulate),
        "$stdDevPop" => op("$stdDevPop", 0, usize::MAX, accumulate),
        "$stdDevSamp" => op("$stdDevSamp", 0, usize::MAX, accumulate),
        _ => None,
    }
}

pub(super) fn named(name: &str) -> Option<NamedOperator> {
    const N: &[(&str, bool)] = &[("n", true), ("input", true)];
    let op = |name, parameters, call| {
        Some(NamedOperator {
            name,
            parameters,
            call,
        })
    };
    match name {
        "$sortArray" => op("$sortArray", &[("input", true), ("sortBy", true)], sort),
        "$zip" => op(
            "$zip",
            &[
                ("inputs", true),
                ("useLongestLength", false),
                ("defaults", false),
            ],
            zip,
        ),
        "$firstN" => op("$firstN", N, take),
        "$lastN" => op("$lastN", N, take),
        "$minN" => op("$minN", N, take),
        "$maxN" => op("$maxN", N, take),
        _ => None,
    }
}

fn size<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let value = arguments[0].as_bson();
    if !value.is_array() {
        fail!(
            17124,
            "The argument to {name} must be an array, but was of type: {}",
            value.type_name()
        );
    }
    Ok(BsonBuf::int32(value.len() as i32).into())
}

fn element_at<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let (array, index) = (arguments[0].as_bson(), arguments[1].as_bson());
    if array.is_nullish() || index.is_nullish() {
        return Ok(Val::NULL);
    }
    if !array.is_array() {
        fail!(
            28689,
            "{name}'s first argument must be an array, but is {}",
            array.type_name()
        );
    }
    let Some(number) = Number::of(index) else {
        fail!(
            28690,
            "{name}'s second argument must be a numeric value, but is {}",
            index.type_name()
        );
    };
    let Some(at) = number.to_exact_i64().and_then(|v| i32::try_from(v).ok()) else {
        fail!(
            28691,
            "{name}'s second argument must be representable as a 32-bit integer: {}",
            crate::document::display::render(index)
        );
    };
    let at = if at < 0 {
        array.len() as i64 + i64::from(at)
    } else {
        i64::from(at)
    };
    Ok(usize::try_from(at).map_or(Val::MISSING, |at| arguments[0].element(at)))
}

fn end<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let array = arguments[0].as_bson();
    if array.is_nullish() {
        return Ok(Val::NULL);
    }
    if !array.is_array() {
        fail!(
            28689,
            "{name}'s argument must be an array, but is {}",
            array.type_name()
        );
    }
    let len = array.len();
    Ok(match (name, len) {
        (_, 0) => Val::MISSING,
        ("$first", _) => arguments[0].element(0),
        _ => arguments[0].element(len - 1),
    })
}

fn whole(name: &str, which: &str, value: Bson<'_>, errors: (i32, i32)) -> DocResult<i64> {
    let Some(number) = Number::of(value) else {
        fail!(
            errors.0,
            "{which} argument to {name} must be numeric, but is of type: {}",
            value.type_name()
        );
    };
    match number.to_exact_i64().filter(|v| i32::try_from(*v).is_ok()) {
        Some(v) => Ok(v),
        None => fail!(
            errors.1,
            "{which} argument to {name} can't be represented as a 32-bit integer: {}",
            crate::document::display::render(value)
        ),
    }
}

fn slice<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    if arguments.iter().any(Val::is_nullish) {
        return Ok(Val::NULL);
    }
    let array = arguments[0].as_bson();
    if !array.is_array() {
        fail!(
            28724,
            "First argument to {name} must be an array, but is of type: {}",
            array.type_name()
        );
    }
    let len = array.len() as i64;
    let second = whole(name, "Second", arguments[1].as_bson(), (28725, 28726))?;
    let (start, count) = match arguments.get(2) {
        None if second >= 0 => (0, second),
        None => ((len + second).max(0), len),
        Some(third) => {
            let count = whole(name, "Third", third.as_bson(), (28727, 28728))?;
            if count <= 0 {
                fail!(28729, "Third argument to {name} must be positive: {count}");
            }
            (
                if second < 0 {
                    (len + second).max(0)
                } else {
                    second
                },
                count,
            )
        }
    };
    Ok(array_of(array.elements().skip(start as usize).take(count as usize)).into())
}

fn is_in<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let (value, array) = (arguments[0].as_bson(), arguments[1].as_bson());
    if !array.is_array() {
        fail!(
            40081,
            "{name} requires an array as a second argument, found: {}",
            array.type_name()
        );
    }
    Ok(Val::bool(array.elements().any(|e| equal(e, value))))
}

fn index_of<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let array = arguments[0].as_bson();
    if array.is_nullish() {
        return Ok(Val::NULL);
    }
    if !array.is_array() {
        fail!(
            40090,
            "{name} requires an array as a first argument, found: {}",
            array.type_name()
        );
    }
    let position = |i: usize, missing: usize, what: &str| -> DocResult<usize> {
        let Some(value) = arguments.get(i) else {
            return Ok(missing);
        };
        let value = value.as_bson();
        let Some(v) = Number::of(value).and_then(Number::to_exact_i64) else {
            fail!(
                40096,
                "{name} requires an integral {what} index, found a value of type: {}, with value: {}",
                value.type_name(),
                crate::document::display::render(value)
            );
        };
        match usize::try_from(v) {
            Ok(v) if v <= i32::MAX as usize => Ok(v),
            Ok(v) => fail!(
                40096,
                "{name} requires an integral {what} index, found: {v}"
            ),
            Err(_) => fail!(
                40097,
                "{name} requires a nonnegative {what} index, found: {v}"
            ),
        }
    };
    let start = position(2, 0, "starting")?;
    let end = position(3, usize::MAX, "ending")?;
    let wanted = arguments[1].as_bson();
    let found = array
        .elements()
        .enumerate()
        .skip(start)
        .take_while(|(i, _)| *i < end)
        .find(|(_, e)| equal(*e, wanted));
    Ok(BsonBuf::int32(found.map_or(-1, |(i, _)| i as i32)).into())
}

fn concat<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let mut out = ArrayWriter::new();
    for argument in arguments {
        let value = argument.as_bson();
        if value.is_nullish() {
            return Ok(Val::NULL);
        }
        if !value.is_array() {
            fail!(
                28664,
                "{name} only supports arrays, not {}",
                value.type_name()
            );
        }
        value.elements().for_each(|e| out.push(e));
        limit_size(out.bytes())?;
    }
    Ok(out.finish_buf().into())
}

fn reverse<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let value = arguments[0].as_bson();
    if value.is_nullish() {
        return Ok(Val::NULL);
    }
    if !value.is_array() {
        fail!(
            34435,
            "The argument to {name} must be an array, but was of type: {}",
            value.type_name()
        );
    }
    let mut elements: Vec<Bson<'_>> = value.elements().collect();
    elements.reverse();
    Ok(array_of(elements).into())
}

fn range<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let bound = |i: usize, what: &str, errors: (i32, i32)| {
        let value = arguments[i].as_bson();
        let Some(number) = Number::of(value) else {
            fail!(
                errors.0,
                "{name} requires a numeric {what} value, found value of type: {}",
                value.type_name()
            );
        };
        match number.to_exact_i64().filter(|v| i32::try_from(*v).is_ok()) {
            Some(v) => Ok(v),
            None => fail!(
                errors.1,
                "{name} requires a {what} value that can be represented as a 32-bit integer, found value: {}",
                crate::document::display::render(value)
            ),
        }
    };
    let start = bound(0, "starting", (34443, 34444))?;
    let end = bound(1, "ending", (34445, 34446))?;
    let step = if arguments.len() > 2 {
        bound(2, "step", (34447, 34448))?
    } else {
        1
    };
    if step == 0 {
        fail!(34449, "{name} requires a non-zero step value");
    }
    let mut out = ArrayWriter::new();
    let mut at = start;
    while if step > 0 { at < end } else { at > end } {
        out.push(BsonBuf::int32(at as i32).as_bson());
        limit_size(out.bytes())?;
        at += step;
    }
    Ok(out.finish_buf().into())
}

/// `$sum` and its like as expressions: over the arguments, or over the one array argument.
fn accumulate<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let kind = match name {
        "$sum" => Kind::Sum,
        "$avg" => Kind::Average,
        "$min" => Kind::Min,
        "$max" => Kind::Max,
        "$stdDevPop" => Kind::StdDev { sample: false },
        _ => Kind::StdDev { sample: true },
    };
    let mut state = accumulator::State::new(&kind);
    match arguments {
        [only] if only.as_bson().is_array() => {
            for element in only.as_bson().elements() {
                state.add(&kind, element)?;
            }
        }
        _ => {
            for argument in arguments {
                state.add(&kind, argument.as_bson())?;
            }
        }
    }
    Ok(state.finish(&kind)?.into())
}

fn sort<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let (Some(input), Some(by)) = (&arguments[0], &arguments[1]) else {
        return Ok(Val::NULL);
    };
    let (input, by) = (input.as_bson(), by.as_bson());
    let mut elements: Vec<Bson<'_>>;
    if by.is_document() {
        let spec = SortSpec::parse(by)?;
        if input.is_nullish() {
            return Ok(Val::NULL);
        }
        check_array(name, input)?;
        elements = input.elements().collect();
        elements.sort_by(|a, b| spec.compare(*a, *b));
    } else {
        let descending = match Number::of(by).and_then(Number::to_exact_i64) {
            Some(1) => false,
            Some(-1) => true,
            _ => fail!(2942507, "The $sort element value must be either 1 or -1"),
        };
        if input.is_nullish() {
            return Ok(Val::NULL);
        }
        check_array(name, input)?;
        elements = input.elements().collect();
        elements.sort_by(|a, b| {
            if descending {
                compare(*b, *a)
            } else {
                compare(*a, *b)
            }
        });
    }
    Ok(array_of(elements).into())
}

fn check_array(name: &str, input: Bson<'_>) -> DocResult<()> {
    if !input.is_array() {
        fail!(
            2942504,
            "The input argument to {name} must be an array, but was of type: {}",
            input.type_name()
        );
    }
    Ok(())
}

fn zip<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let get = |i: usize| arguments[i].as_ref().map_or(Bson::MISSING, Val::as_bson);
    let (inputs, longest, defaults) = (get(0), get(1), get(2));
    if !inputs.is_array() {
        fail!(
            34461,
            "inputs must be an array of expressions, found {}",
            inputs.type_name()
        );
    }
    if inputs.is_empty() {
        fail!(34465, "{name} requires at least one input array");
    }
    let longest = match longest.tag {
        MISSING => false,
        BOOL => longest.truthy(),
        _ => fail!(
            34463,
            "useLongestLength must be a bool, found {}",
            longest.type_name()
        ),
    };
    if !defaults.is_missing() {
        if !defaults.is_array() {
            fail!(
                34462,
                "defaults must be an array of expressions, found {}",
                defaults.type_name()
            );
        }
        if !longest {
            fail!(
                34466,
                "cannot specify defaults unless useLongestLength is true"
            );
        }
        if defaults.len() != inputs.len() {
            fail!(34467, "defaults and inputs must have the same length");
        }
    }
    let mut arrays = Vec::new();
    for input in inputs.elements() {
        if input.is_nullish() {
            return Ok(Val::NULL);
        }
        if !input.is_array() {
            fail!(
                34468,
                "{name} found a non-array expression in input: {}",
                crate::document::display::render(input)
            );
        }
        arrays.push(input.elements().collect::<Vec<_>>());
    }
    let lengths = arrays.iter().map(Vec::len);
    let len = if longest {
        lengths.max()
    } else {
        lengths.min()
    }
    .unwrap_or(0);
    let mut out = ArrayWriter::new();
    for i in 0..len {
        let row = arrays
            .iter()
            .enumerate()
            .map(|(column, array)| match array.get(i) {
                Some(value) => *value,
                None => Some(defaults.element(column))
                    .filter(|d| !d.is_missing())
                    .unwrap_or(Bson::NULL),
            });
        out.push(array_of(row).as_bson());
        limit_size(out.bytes())?;
    }
    Ok(out.finish_buf().into())
}

fn take<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let get = |i: usize| arguments[i].as_ref().map_or(Bson::MISSING, Val::as_bson);
    let n = accumulator::count_argument(name, get(0))?;
    let input = get(1);
    if input.is_nullish() && matches!(name, "$minN" | "$maxN") && !input.is_missing() {
        return Ok(Val::NULL);
    }
    if !input.is_array() {
        fail!(5788200, "Input must be an array");
    }
    let mut elements: Vec<Bson<'_>> = input.elements().collect();
    match name {
        "$lastN" => {
            elements.drain(..elements.len().saturating_sub(n));
        }
        "$minN" | "$maxN" => {
            elements.retain(|e| !e.is_nullish());
            elements.sort_by(|a, b| {
                if name == "$minN" {
                    compare(*a, *b)
                } else {
                    compare(*b, *a)
                }
            });
        }
        _ => {}
    }
    elements.truncate(n);
    Ok(array_of(elements).into())
}
