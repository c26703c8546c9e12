//! Searching in strings: positions, replacement, trimming and regular expressions.

use super::*;
use crate::document::number::Number;
use crate::document::pattern;
use std::cell::RefCell;

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
        "$indexOfBytes" => op("$indexOfBytes", 2, 4, index_of),
        "$indexOfCP" => op("$indexOfCP", 2, 4, index_of),
        _ => None,
    }
}

pub(super) fn named(name: &str) -> Option<NamedOperator> {
    const TRIM: &[(&str, bool)] = &[("input", true), ("chars", false)];
    const REPLACE: &[(&str, bool)] = &[("input", true), ("find", true), ("replacement", true)];
    const REGEX: &[(&str, bool)] = &[("input", true), ("regex", true), ("options", false)];
    let op = |name, parameters, call| {
        Some(NamedOperator {
            name,
            parameters,
            call,
        })
    };
    match name {
        "$trim" => op("$trim", TRIM, trim),
        "$ltrim" => op("$ltrim", TRIM, trim),
        "$rtrim" => op("$rtrim", TRIM, trim),
        "$replaceOne" => op("$replaceOne", REPLACE, replace),
        "$replaceAll" => op("$replaceAll", REPLACE, replace),
        "$regexMatch" => op("$regexMatch", REGEX, regex),
        "$regexFind" => op("$regexFind", REGEX, regex),
        "$regexFindAll" => op("$regexFindAll", REGEX, regex),
        _ => None,
    }
}

fn index_of<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let text = arguments[0].as_bson();
    if text.is_nullish() {
        return Ok(Val::NULL);
    }
    let code_points = name == "$indexOfCP";
    let Some(input) = text.as_str().filter(|_| text.tag == STRING) else {
        let error = if code_points { 40093 } else { 40091 };
        fail!(
            error,
            "{name} requires a string as the first argument, found: {}",
            text.type_name()
        );
    };
    let token = arguments[1].as_bson();
    let Some(token) = token.as_str().filter(|_| token.tag == STRING) else {
        let error = if code_points { 40094 } else { 40092 };
        fail!(
            error,
            "{name} requires a string as the second argument, found: {}",
            token.type_name()
        );
    };
    let len = if code_points {
        input.chars().count()
    } else {
        input.len()
    };
    let position = |index: usize, missing: usize, what: &str| -> DocResult<usize> {
        let Some(value) = arguments.get(index) else {
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
    let end = position(3, len, "ending")?.min(len);
    if start > len || end < start {
        return Ok(BsonBuf::int32(-1).into());
    }
    let found = if code_points {
        let byte = |cp: usize| input.char_indices().nth(cp).map_or(input.len(), |(i, _)| i);
        let (from, to) = (byte(start), byte(end));
        input[from..to]
            .find(token)
            .map(|at| start + input[from..from + at].chars().count())
    } else {
        let window = &input.as_bytes()[start..end];
        find_bytes(window, token.as_bytes()).map(|at| start + at)
    };
    Ok(BsonBuf::int32(found.map_or(-1, |v| v as i32)).into())
}

fn find_bytes(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    haystack.windows(needle.len()).position(|w| w == needle)
}

fn trim<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let Some(input) = &arguments[0] else {
        return Ok(Val::NULL);
    };
    let input = input.as_bson();
    if input.is_nullish() {
        return Ok(Val::NULL);
    }
    let Some(text) = input.as_str().filter(|_| input.tag == STRING) else {
        fail!(
            50699,
            "{name} requires its input to be a string, got {} (of type {}) instead.",
            crate::document::display::render(input),
            input.type_name()
        );
    };
    const WHITESPACE: &[char] = &[
        '\0', '\t', '\n', '\u{b}', '\u{c}', '\r', ' ', '\u{a0}', '\u{1680}', '\u{2000}',
        '\u{2001}', '\u{2002}', '\u{2003}', '\u{2004}', '\u{2005}', '\u{2006}', '\u{2007}',
        '\u{2008}', '\u{2009}', '\u{200a}',
    ];
    let custom: Vec<char>;
    let set = match &arguments[1] {
        None => WHITESPACE,
        Some(chars) => {
            let chars = chars.as_bson();
            if chars.is_nullish() {
                return Ok(Val::NULL);
            }
            let Some(chars) = chars.as_str().filter(|_| chars.tag == STRING) else {
                fail!(
                    50700,
                    "{name} requires 'chars' to be a string, got {} (of type {}) instead.",
                    crate::document::display::render(chars),
                    chars.type_name()
                );
            };
            custom = chars.chars().collect();
            &custom
        }
    };
    Ok(Val::string(match name {
        "$ltrim" => text.trim_start_matches(set),
        "$rtrim" => text.trim_end_matches(set),
        _ => text.trim_matches(set),
    }))
}

fn replace<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let mut texts = [None; 3];
    let mut null = false;
    let whats = [("input", 51746), ("find", 51745), ("replacement", 51744)];
    for (i, (what, error)) in whats.into_iter().enumerate() {
        let value = arguments[i].as_ref().map_or(Bson::MISSING, Val::as_bson);
        if value.is_nullish() {
            null = true;
        } else if value.tag == STRING {
            texts[i] = value.as_str();
        } else {
            fail!(
                error,
                "{name} requires that '{what}' be a string, found: {}",
                crate::document::display::render(value)
            );
        }
    }
    if null {
        return Ok(Val::NULL);
    }
    let [input, find, replacement] = texts.map(|t| t.unwrap_or(""));
    let out = if name == "$replaceOne" {
        input.replacen(find, replacement, 1)
    } else {
        if find.is_empty() {
            limit_size(input.len().saturating_mul(replacement.len().max(1)))?;
        }
        input.replace(find, replacement)
    };
    limit_size(out.len())?;
    Ok(Val::string(&out))
}

thread_local! {
    /// The pattern that was used last: usually a constant of the expression.
    static LAST: RefCell<Option<(String, String, ::regex::Regex)>> = const { RefCell::new(None) };
}

fn compiled(source: &str, options: &str) -> DocResult<::regex::Regex> {
    LAST.with(|last| {
        let mut last = last.borrow_mut();
        if let Some((s, o, regex)) = &*last
            && s == source
            && o == options
        {
            return Ok(regex.clone());
        }
        let regex = pattern::compile(source, options, 51111)?;
        *last = Some((source.to_owned(), options.to_owned(), regex.clone()));
        Ok(regex)
    })
}

fn regex<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let get = |i: usize| arguments[i].as_ref().map_or(Bson::MISSING, Val::as_bson);
    let (input, pattern, options) = (get(0), get(1), get(2));
    if !input.is_nullish() && input.tag != STRING {
        fail!(51104, "{name} needs 'input' to be of type string");
    }
    if !options.is_nullish() && options.tag != STRING {
        fail!(51106, "{name} needs 'options' to be of type string");
    }
    let options = options.as_str().unwrap_or("");
    let (source, flags) = match pattern.tag {
        STRING => (pattern.as_str().unwrap_or(""), options),
        REGEX => {
            let (source, own) = pattern.as_regex().unwrap_or(("", ""));
            if !own.is_empty() && !options.is_empty() {
                fail!(
                    51107,
                    "{name}: found regex option(s) specified in both 'regex' and 'option' fields"
                );
            }
            (source, if own.is_empty() { options } else { own })
        }
        _ if pattern.is_nullish() => ("", ""),
        _ => fail!(51105, "{name} needs 'regex' to be of type string or regex"),
    };
    if input.is_nullish() || pattern.is_nullish() {
        return Ok(match name {
            "$regexMatch" => Val::bool(false),
            "$regexFind" => Val::NULL,
            _ => ArrayWriter::new().finish_buf().into(),
        });
    }
    let regex = compiled(source, flags)?;
    let text = input.as_str().unwrap_or("");
    match name {
        "$regexMatch" => Ok(Val::bool(regex.is_match(text))),
        "$regexFind" => Ok(regex
            .captures(text)
            .map_or(Val::NULL, |c| found(text, &c).into())),
        _ => {
            let mut out = ArrayWriter::new();
            for captures in regex.captures_iter(text) {
                out.push(found(text, &captures).as_bson());
                limit_size(out.bytes())?;
            }
            Ok(out.finish_buf().into())
        }
    }
}

/// `{match, idx, captures}` with the index in code points.
fn found(text: &str, captures: &::regex::Captures<'_>) -> BsonBuf {
    let mut out = Writer::new();
    if let Some(whole) = captures.get(0) {
        out.put_str("match", whole.as_str());
        out.put_i32("idx", text[..whole.start()].chars().count() as i32);
    }
    let mut groups = ArrayWriter::new();
    for group in captures.iter().skip(1) {
        match group {
            Some(group) => groups.push(BsonBuf::string(group.as_str()).as_bson()),
            None => groups.push(Bson::NULL),
        }
    }
    out.put("captures", groups.finish_buf().as_bson());
    BsonBuf::document(out.finish())
}
