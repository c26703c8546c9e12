//! Strings: joining, cutting, case, trimming, splitting.

use super::*;
use crate::document::number::Number;

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
        "$concat" => op("$concat", 0, usize::MAX, concat),
        "$toLower" => op("$toLower", 1, 1, case),
        "$toUpper" => op("$toUpper", 1, 1, case),
        "$strcasecmp" => op("$strcasecmp", 2, 2, strcasecmp),
        "$strLenBytes" => op("$strLenBytes", 1, 1, length),
        "$strLenCP" => op("$strLenCP", 1, 1, length),
        "$substr" => op("$substr", 3, 3, substr_bytes),
        "$substrBytes" => op("$substrBytes", 3, 3, substr_bytes),
        "$substrCP" => op("$substrCP", 3, 3, substr_cp),
        "$split" => op("$split", 2, 2, split),
        "$binarySize" => op("$binarySize", 1, 1, binary_size),
        "$bsonSize" => op("$bsonSize", 1, 1, bson_size),
        _ => None,
    }
}

fn concat<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let mut out = String::new();
    let mut null = false;
    for argument in arguments {
        let value = argument.as_bson();
        match value.as_str().filter(|_| value.tag == STRING) {
            Some(text) => out.push_str(text),
            None if value.is_nullish() => null = true,
            None => fail!(
                16702,
                "{name} only supports strings, not {}",
                value.type_name()
            ),
        }
        if null {
            return Ok(Val::NULL);
        }
        limit_size(out.len())?;
    }
    Ok(Val::string(&out))
}

/// The text that MongoDB coerces a value to: numbers and dates have one, null is empty.
fn coerce<'v>(value: Bson<'v>) -> DocResult<std::borrow::Cow<'v, str>> {
    if value.is_nullish() {
        return Ok("".into());
    }
    match value.tag {
        STRING | SYMBOL | CODE => Ok(value.as_str().unwrap_or("").into()),
        DOUBLE | INT32 | INT64 | DECIMAL | DATE | TIMESTAMP => Ok(convert::to_text(value)?.into()),
        _ => fail!(
            16007,
            "can't convert from BSON type {} to String",
            value.type_name()
        ),
    }
}

fn case<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let text = coerce(arguments[0].as_bson())?;
    Ok(Val::string(&if name == "$toLower" {
        text.to_ascii_lowercase()
    } else {
        text.to_ascii_uppercase()
    }))
}

fn strcasecmp<'a>(_: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let a = coerce(arguments[0].as_bson())?.to_ascii_uppercase();
    let b = coerce(arguments[1].as_bson())?.to_ascii_uppercase();
    Ok(BsonBuf::int32(a.cmp(&b) as i32).into())
}

fn length<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let value = arguments[0].as_bson();
    let error = if name == "$strLenBytes" { 34473 } else { 34471 };
    let Some(text) = value.as_str().filter(|_| value.tag == STRING) else {
        fail!(
            error,
            "{name} requires a string argument, found: {}",
            value.type_name()
        );
    };
    let len = if name == "$strLenBytes" {
        text.len()
    } else {
        text.chars().count()
    };
    Ok(BsonBuf::int32(len as i32).into())
}

fn bound(name: &str, what: &str, value: Bson<'_>, error: i32) -> DocResult<i64> {
    match Number::of(value) {
        Some(n) => match n.to_truncated_i64() {
            Some(v) => Ok(v),
            None => fail!(error, "{name}: {what} argument is out of range"),
        },
        None => fail!(
            error,
            "{name}: {what} must be a numeric type (is BSON type {})",
            value.type_name()
        ),
    }
}

fn substr_bytes<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let text = coerce(arguments[0].as_bson())?;
    let start = bound(name, "starting index", arguments[1].as_bson(), 16034)?;
    let len = bound(name, "length", arguments[2].as_bson(), 16035)?;
    let Ok(start) = usize::try_from(start) else {
        fail!(
            50752,
            "{name}: starting index must be non-negative (got: {start})"
        );
    };
    if start >= text.len() {
        return Ok(Val::string(""));
    }
    // A negative length means to the end.
    let end =
        usize::try_from(len).map_or(text.len(), |len| start.saturating_add(len).min(text.len()));
    if !text.is_char_boundary(start) {
        fail!(
            28656,
            "{name}:  Invalid range, starting index is a UTF-8 continuation byte."
        );
    }
    if !text.is_char_boundary(end) {
        fail!(
            28657,
            "{name}:  Invalid range, ending index is in the middle of a UTF-8 character."
        );
    }
    Ok(Val::string(&text[start..end]))
}

fn substr_cp<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let text = coerce(arguments[0].as_bson())?;
    let whole = |value: Bson<'_>, what: &str, errors: (i32, i32, i32)| {
        let Some(n) = Number::of(value) else {
            fail!(
                errors.0,
                "{name}: {what} must be a numeric type (is BSON type {})",
                value.type_name()
            );
        };
        let Some(v) = n.to_exact_i64().and_then(|v| i32::try_from(v).ok()) else {
            fail!(
                errors.1,
                "{name}: {what} cannot be represented as a 32-bit integral value: {}",
                crate::document::display::render(value)
            );
        };
        match usize::try_from(v) {
            Ok(v) => Ok(v),
            Err(_) => fail!(errors.2, "{name}: {what} must be a nonnegative integer."),
        }
    };
    let start = whole(
        arguments[1].as_bson(),
        "starting index",
        (34450, 34451, 34455),
    )?;
    let len = whole(arguments[2].as_bson(), "length", (34452, 34453, 34454))?;
    Ok(Val::string(
        &text.chars().skip(start).take(len).collect::<String>(),
    ))
}

fn split<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let (text, separator) = (arguments[0].as_bson(), arguments[1].as_bson());
    if text.is_nullish() || separator.is_nullish() {
        return Ok(Val::NULL);
    }
    let Some(input) = text.as_str().filter(|_| text.tag == STRING) else {
        fail!(
            40085,
            "{name} requires an expression that evaluates to a string as a first argument, found: {}",
            text.type_name()
        );
    };
    let Some(by) = separator.as_str().filter(|_| separator.tag == STRING) else {
        fail!(
            40086,
            "{name} requires an expression that evaluates to a string as a second argument, found: {}",
            separator.type_name()
        );
    };
    if by.is_empty() {
        fail!(40087, "{name} requires a non-empty separator");
    }
    let mut out = ArrayWriter::new();
    for part in input.split(by) {
        out.push(BsonBuf::string(part).as_bson());
    }
    Ok(out.finish_buf().into())
}

fn binary_size<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let value = arguments[0].as_bson();
    if value.is_nullish() {
        return Ok(Val::NULL);
    }
    let size = match value.tag {
        STRING => value.as_str().map_or(0, str::len),
        BINARY => value.as_binary().map_or(0, |(_, b)| b.len()),
        _ => fail!(
            51276,
            "{name} requires a string or BinData argument, found: {}",
            value.type_name()
        ),
    };
    Ok(BsonBuf::int32(size as i32).into())
}

fn bson_size<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let value = arguments[0].as_bson();
    match value.tag {
        DOCUMENT => Ok(BsonBuf::int32(value.bytes.len() as i32).into()),
        _ if value.is_nullish() => Ok(Val::NULL),
        _ => fail!(
            31393,
            "{name} requires a document input, found: {}",
            value.type_name()
        ),
    }
}
