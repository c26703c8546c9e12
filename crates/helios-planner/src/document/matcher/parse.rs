//! From a filter document to a [`Matcher`], with MongoDB's refusals.

use super::schema::Schema;
use super::*;
use crate::document::error::{DocError, DocResult, code, fail};
use crate::document::pattern;

pub(super) fn filter(value: Bson<'_>) -> DocResult<Matcher> {
    let mut parts = Vec::new();
    for (name, operand) in value.fields() {
        if let Some(operator) = name.strip_prefix('$') {
            if let Some(part) = top_level(operator, operand)? {
                parts.push(part);
            }
        } else {
            field(&Path::new(name), operand, &mut parts)?;
        }
    }
    Ok(and(parts))
}

pub(super) fn value_condition(condition: Bson<'_>) -> DocResult<ValueTest> {
    if condition.is_document() && !is_operators(condition) {
        return filter(condition).map(ValueTest::Document);
    }
    let mut parts = Vec::new();
    field(&Path::new(""), condition, &mut parts)?;
    Ok(ValueTest::Value(and(parts)))
}

/// The empty path: the value that is being tested.
fn itself() -> Path {
    Path {
        parts: Arc::from([]),
    }
}

fn and(mut parts: Vec<Matcher>) -> Matcher {
    match parts.len() {
        0 => Matcher::Constant(true),
        1 => parts.remove(0),
        _ => Matcher::And(parts),
    }
}

fn top_level(operator: &str, operand: Bson<'_>) -> DocResult<Option<Matcher>> {
    Ok(Some(match operator {
        "and" => and(filters("$and", operand)?),
        "or" => Matcher::Or(filters("$or", operand)?),
        "nor" => Matcher::Nor(filters("$nor", operand)?),
        "expr" => Matcher::Expression(Arc::new(Expression::compile(operand)?)),
        "comment" => return Ok(None),
        "jsonSchema" => Matcher::Schema(Arc::new(Schema::compile(operand)?)),
        "alwaysTrue" => Matcher::Constant(true),
        "alwaysFalse" => Matcher::Constant(false),
        "sampleRate" => {
            let rate = Number::of(operand).map(Number::to_f64);
            match rate {
                Some(rate) if (0.0..=1.0).contains(&rate) => {
                    Matcher::Expression(Arc::new(Expression::compile_sample_rate(rate)?))
                }
                _ => fail!(
                    code::BAD_VALUE,
                    "numeric argument to $sampleRate must be in [0, 1]"
                ),
            }
        }
        "where" | "text" => {
            fail!(code::COMMAND_NOT_SUPPORTED, "${operator} is not supported")
        }
        _ => fail!(
            code::BAD_VALUE,
            "unknown top level operator: ${operator}. If you have a field name that starts with a \
             '$' symbol, consider using $getField or $setField."
        ),
    }))
}

fn filters(operator: &str, operand: Bson<'_>) -> DocResult<Vec<Matcher>> {
    if !operand.is_array() {
        fail!(code::BAD_VALUE, "{operator} must be an array");
    }
    if operand.is_empty() {
        fail!(code::BAD_VALUE, "$and/$or/$nor must be a nonempty array");
    }
    operand
        .elements()
        .map(|element| {
            if !element.is_document() {
                fail!(
                    code::BAD_VALUE,
                    "$or/$and/$nor entries need to be full objects"
                );
            }
            filter(element)
        })
        .collect()
}

/// Whether a document holds operators rather than a value to equal. References are values.
fn is_operators(value: Bson<'_>) -> bool {
    value.is_document()
        && value.fields().next().is_some_and(|(name, _)| {
            name.starts_with('$') && !matches!(name, "$ref" | "$id" | "$db")
        })
}

fn field(path: &Path, operand: Bson<'_>, out: &mut Vec<Matcher>) -> DocResult<()> {
    if is_operators(operand) {
        for (name, argument) in operand.fields() {
            match name {
                "$options" if !operand.get("$regex").is_missing() => {}
                "$options" => fail!(code::BAD_VALUE, "$options needs a $regex"),
                _ if !name.starts_with('$') => {
                    fail!(code::BAD_VALUE, "unknown operator: {name}")
                }
                _ => out.push(operator(path, name, argument, operand)?),
            }
        }
        return Ok(());
    }
    out.push(match operand.tag {
        REGEX => test(path, Test::Pattern(pattern_of(operand)?)),
        UNDEFINED => fail!(code::BAD_VALUE, "cannot compare to undefined"),
        _ => test(path, Test::Equal(operand.to_buf())),
    });
    Ok(())
}

fn test(path: &Path, test: Test) -> Matcher {
    Matcher::Field {
        path: path.clone(),
        test,
    }
}

fn not(matcher: Matcher) -> Matcher {
    Matcher::Not(Box::new(matcher))
}

fn operator(path: &Path, name: &str, argument: Bson<'_>, siblings: Bson<'_>) -> DocResult<Matcher> {
    use Comparison::*;
    Ok(match name {
        "$eq" => test(path, Test::Equal(comparable(argument)?)),
        "$ne" => {
            no_pattern(name, argument)?;
            not(test(path, Test::Equal(comparable(argument)?)))
        }
        "$gt" => comparison(path, name, Greater, argument)?,
        "$gte" => comparison(path, name, GreaterOrEqual, argument)?,
        "$lt" => comparison(path, name, Less, argument)?,
        "$lte" => comparison(path, name, LessOrEqual, argument)?,
        "$in" => test(path, membership(name, argument)?),
        "$nin" => not(test(path, membership(name, argument)?)),
        "$exists" if argument.truthy() => test(path, Test::Exists),
        "$exists" => not(test(path, Test::Exists)),
        "$type" => test(path, Test::Type(type_set(argument)?)),
        "$regex" => test(path, Test::Pattern(regex_operator(argument, siblings)?)),
        "$not" => negation(path, argument)?,
        "$size" => test(path, Test::Size(size(argument)?)),
        "$mod" => test(path, modulo(argument)?),
        "$all" => all(path, argument)?,
        "$elemMatch" => test(path, element_match(argument)?),
        "$bitsAllSet" => bits(path, name, Bits::AllSet, argument)?,
        "$bitsAllClear" => bits(path, name, Bits::AllClear, argument)?,
        "$bitsAnySet" => bits(path, name, Bits::AnySet, argument)?,
        "$bitsAnyClear" => bits(path, name, Bits::AnyClear, argument)?,
        "$near" | "$nearSphere" | "$geoWithin" | "$geoIntersects" | "$within" => {
            fail!(code::COMMAND_NOT_SUPPORTED, "{name} is not supported")
        }
        _ => fail!(code::BAD_VALUE, "unknown operator: {name}"),
    })
}

fn comparable(argument: Bson<'_>) -> DocResult<BsonBuf> {
    if argument.tag == UNDEFINED {
        fail!(code::BAD_VALUE, "cannot compare to undefined");
    }
    Ok(argument.to_buf())
}

fn no_pattern(name: &str, argument: Bson<'_>) -> DocResult<()> {
    if argument.tag == REGEX {
        fail!(code::BAD_VALUE, "Can't have regex as arg to {name}.");
    }
    Ok(())
}

fn comparison(
    path: &Path,
    name: &str,
    comparison: Comparison,
    argument: Bson<'_>,
) -> DocResult<Matcher> {
    if argument.tag == REGEX {
        fail!(
            code::BAD_VALUE,
            "Can't have RegEx as arg to predicate over field '{}'.",
            path.text()
        );
    }
    let _ = name;
    Ok(test(path, Test::Compare(comparison, comparable(argument)?)))
}

fn membership(name: &str, argument: Bson<'_>) -> DocResult<Test> {
    if !argument.is_array() {
        fail!(code::BAD_VALUE, "{name} needs an array");
    }
    let mut values = Vec::new();
    let mut patterns = Vec::new();
    for element in argument.elements() {
        if element.tag == REGEX {
            patterns.push(pattern_of(element)?);
        } else if is_operators(element) {
            fail!(code::BAD_VALUE, "cannot nest $ under {name}");
        } else {
            values.push(comparable(element)?);
        }
    }
    values.sort_by(|a, b| compare(a.as_bson(), b.as_bson()));
    Ok(Test::In(values.into(), patterns.into()))
}

fn type_set(argument: Bson<'_>) -> DocResult<TypeSet> {
    let mut types = TypeSet::default();
    if argument.is_array() {
        if argument.is_empty() {
            fail!(code::FAILED_TO_PARSE, "a must match at least one type");
        }
        for element in argument.elements() {
            types.add(element)?;
        }
    } else {
        types.add(argument)?;
    }
    Ok(types)
}

impl TypeSet {
    /// Adds a type by number or alias.
    pub fn add(&mut self, value: Bson<'_>) -> DocResult<()> {
        if let Some(alias) = value.as_str().filter(|_| value.tag == STRING) {
            return self.add_alias(alias);
        }
        let Some(number) = Number::of(value) else {
            fail!(
                code::TYPE_MISMATCH,
                "type must be represented as a number or a string"
            );
        };
        let tag = match number.to_exact_i64() {
            Some(-1) => MIN_KEY,
            Some(127) => MAX_KEY,
            Some(0) => fail!(
                code::FAILED_TO_PARSE,
                "$type and $jsonSchema cannot be used to match missing fields; use $exists instead"
            ),
            Some(v @ 1..=19) => v as u8,
            _ => fail!(
                code::BAD_VALUE,
                "Invalid numerical type code: {}",
                crate::document::display::render(value)
            ),
        };
        self.0.push(tag);
        Ok(())
    }

    pub fn add_alias(&mut self, alias: &str) -> DocResult<()> {
        if alias == "number" {
            self.0.extend([DOUBLE, INT32, INT64, DECIMAL]);
            return Ok(());
        }
        let tag = (1..=19)
            .chain([MIN_KEY, MAX_KEY])
            .find(|tag| type_name(*tag) == alias);
        match tag {
            Some(tag) => self.0.push(tag),
            None => fail!(code::BAD_VALUE, "Unknown type name alias: {alias}"),
        }
        Ok(())
    }
}

fn pattern_of(value: Bson<'_>) -> DocResult<Pattern> {
    let (source, options) = value.as_regex().unwrap_or(("", ""));
    compile_pattern(source, options)
}

fn compile_pattern(source: &str, options: &str) -> DocResult<Pattern> {
    let regex = pattern::compile(source, options, 51091)?;
    Ok(Pattern {
        source: source.to_owned(),
        options: options.to_owned(),
        regex: Arc::new(regex),
    })
}

fn regex_operator(argument: Bson<'_>, siblings: Bson<'_>) -> DocResult<Pattern> {
    let options = siblings.get("$options");
    if !options.is_missing() && options.tag != STRING {
        fail!(code::BAD_VALUE, "$options has to be a string");
    }
    match argument.tag {
        STRING => compile_pattern(
            argument.as_str().unwrap_or(""),
            options.as_str().unwrap_or(""),
        ),
        REGEX => {
            let (source, own) = argument.as_regex().unwrap_or(("", ""));
            match options.as_str() {
                Some(_) if !own.is_empty() => {
                    fail!(51075, "options set in both $regex and $options")
                }
                Some(options) => compile_pattern(source, options),
                None => compile_pattern(source, own),
            }
        }
        _ => fail!(code::BAD_VALUE, "$regex has to be a string"),
    }
}

fn negation(path: &Path, argument: Bson<'_>) -> DocResult<Matcher> {
    if argument.tag == REGEX {
        return Ok(not(test(path, Test::Pattern(pattern_of(argument)?))));
    }
    if !argument.is_document() {
        fail!(code::BAD_VALUE, "$not needs a regex or a document");
    }
    if argument.is_empty() {
        fail!(code::BAD_VALUE, "$not cannot be empty");
    }
    let mut parts = Vec::new();
    for (name, inner) in argument.fields() {
        if !name.starts_with('$') {
            fail!(code::BAD_VALUE, "unknown operator: {name}");
        }
        if name != "$options" {
            parts.push(operator(path, name, inner, argument)?);
        }
    }
    Ok(not(and(parts)))
}

fn size(argument: Bson<'_>) -> DocResult<i64> {
    let Some(number) = Number::of(argument) else {
        fail!(
            code::FAILED_TO_PARSE,
            "Failed to parse $size. Expected a number in: $size: {}",
            crate::document::display::render(argument)
        );
    };
    match number.to_exact_i64() {
        Some(v) if v >= 0 => Ok(v),
        Some(_) => fail!(
            code::FAILED_TO_PARSE,
            "Failed to parse $size. Expected a non-negative number in: $size: {}",
            crate::document::display::render(argument)
        ),
        None => fail!(
            code::FAILED_TO_PARSE,
            "Failed to parse $size. Expected an integer: $size: {}",
            crate::document::display::render(argument)
        ),
    }
}

fn modulo(argument: Bson<'_>) -> DocResult<Test> {
    if !argument.is_array() {
        fail!(code::BAD_VALUE, "malformed mod, needs to be an array");
    }
    let mut elements = argument.elements();
    let (Some(divisor), Some(remainder)) = (elements.next(), elements.next()) else {
        fail!(code::BAD_VALUE, "malformed mod, not enough elements");
    };
    if elements.next().is_some() {
        fail!(code::BAD_VALUE, "malformed mod, too many elements");
    }
    let whole = |value: Bson<'_>, what: &str| match Number::of(value) {
        None => Err(DocError::bad_value(format!(
            "malformed mod, {what} not a number"
        ))),
        Some(number) => number
            .to_truncated_i64()
            .ok_or_else(|| DocError::bad_value(format!("malformed mod, {what} value is invalid"))),
    };
    let (divisor, remainder) = (whole(divisor, "divisor")?, whole(remainder, "remainder")?);
    if divisor == 0 {
        fail!(code::BAD_VALUE, "divisor cannot be 0");
    }
    Ok(Test::Mod { divisor, remainder })
}

fn all(path: &Path, argument: Bson<'_>) -> DocResult<Matcher> {
    if !argument.is_array() {
        fail!(code::BAD_VALUE, "$all needs an array");
    }
    let Some(first) = argument.elements().next() else {
        return Ok(Matcher::Constant(false));
    };
    let is_element_match = |v: Bson<'_>| v.fields().next().is_some_and(|(n, _)| n == "$elemMatch");
    let element_matches = is_operators(first) && is_element_match(first);
    let mut parts = Vec::new();
    for element in argument.elements() {
        let operators = is_operators(element);
        if element_matches {
            if !operators || !is_element_match(element) {
                fail!(code::BAD_VALUE, "$all/$elemMatch has to be consistent");
            }
            parts.push(test(path, element_match(element.get("$elemMatch"))?));
        } else if operators {
            fail!(code::BAD_VALUE, "no $ expressions in $all");
        } else if element.tag == REGEX {
            parts.push(test(path, Test::Pattern(pattern_of(element)?)));
        } else {
            parts.push(test(path, Test::Equal(comparable(element)?)));
        }
    }
    Ok(and(parts))
}

fn element_match(argument: Bson<'_>) -> DocResult<Test> {
    if !argument.is_document() {
        fail!(code::BAD_VALUE, "$elemMatch needs an Object");
    }
    let logical = argument
        .fields()
        .next()
        .is_some_and(|(name, _)| matches!(name, "$and" | "$or" | "$nor" | "$expr" | "$where"));
    if is_operators(argument) && !logical {
        let mut parts = Vec::new();
        field(&itself(), argument, &mut parts)?;
        return Ok(Test::ElementValue(Box::new(and(parts))));
    }
    Ok(Test::ElementDocument(Box::new(filter(argument)?)))
}

fn bits(path: &Path, name: &str, kind: Bits, argument: Bson<'_>) -> DocResult<Matcher> {
    let positions: Vec<u64> = match argument.tag {
        ARRAY => {
            let mut positions = Vec::new();
            for element in argument.elements() {
                match Number::of(element).and_then(Number::to_exact_i64) {
                    Some(v) if (0..=i64::from(i32::MAX)).contains(&v) => positions.push(v as u64),
                    Some(v) if v < 0 => fail!(
                        code::BAD_VALUE,
                        "Failed to parse bit position. Expected a non-negative number in: {v}"
                    ),
                    _ => fail!(
                        code::FAILED_TO_PARSE,
                        "Failed to parse bit position. Expected an integer: {}",
                        crate::document::display::render(element)
                    ),
                }
            }
            positions
        }
        BINARY => {
            let (_, bytes) = argument.as_binary().unwrap_or((0, &[]));
            (0..bytes.len() as u64 * 8)
                .filter(|p| bytes[(p / 8) as usize] >> (p % 8) & 1 == 1)
                .collect()
        }
        _ => match Number::of(argument) {
            None => fail!(
                code::BAD_VALUE,
                "{name} takes an Array, a number, or a BinData but received: {}",
                crate::document::display::render(argument)
            ),
            Some(number) => match number.to_exact_i64() {
                Some(v) if v >= 0 => (0..63).filter(|p| v >> p & 1 == 1).collect(),
                Some(_) => fail!(
                    code::FAILED_TO_PARSE,
                    "Expected a non-negative number in: {name}: {}",
                    crate::document::display::render(argument)
                ),
                None => fail!(
                    code::FAILED_TO_PARSE,
                    "Expected an integer: {name}: {}",
                    crate::document::display::render(argument)
                ),
            },
        },
    };
    Ok(test(
        path,
        Test::Bits {
            kind,
            mask: BitMask(positions.into()),
        },
    ))
}
