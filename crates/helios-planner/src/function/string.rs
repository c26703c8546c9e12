//! Functions of text and bytea.

use super::argument::{Context, array, boolean, bytea, int4, text, text_context, texts, value};
use super::cast::float_text;
use super::catalog::name::quote_identifier;
use helios_types::limits::VALUE_BYTES_MAX;
use helios_types::text::to_text;
use helios_types::{Array, Error, ErrorKind, Result, Type, Value, bail, error};
use std::fmt::Write;
use std::sync::Arc;

fn too_long() -> Error {
    error!(LimitExceeded, "requested length too large")
}

fn count(n: usize) -> Result<Value> {
    i32::try_from(n).map(Value::Int4).map_err(Error::internal)
}

/// Characters of text, bytes of bytea.
pub fn length(args: &[Value], _: Context) -> Result<Value> {
    match value(args, 0)? {
        Value::Text(v) => count(if v.is_ascii() {
            v.len()
        } else {
            v.chars().count()
        }),
        Value::Bytea(v) => count(v.len()),
        _ => Err(Error::internal("length of another type")),
    }
}

pub fn octet_length(args: &[Value], _: Context) -> Result<Value> {
    match value(args, 0)? {
        Value::Text(v) => count(v.len()),
        Value::Bytea(v) => count(v.len()),
        _ => Err(Error::internal("octet_length of another type")),
    }
}

pub fn bit_length(args: &[Value], context: Context) -> Result<Value> {
    let bytes = octet_length(args, context)?.as_i64().unwrap_or(0);
    count(bytes as usize * 8)
}

pub fn lower(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::from(text(args, 0)?.to_lowercase()))
}

pub fn upper(args: &[Value], _: Context) -> Result<Value> {
    // One character becomes one: the sharp s stays, as the C library has it.
    Ok(Value::from(
        text(args, 0)?
            .chars()
            .map(|c| {
                let mut upper = c.to_uppercase();
                match (upper.next(), upper.next()) {
                    (Some(one), None) => one,
                    _ => c,
                }
            })
            .collect::<String>(),
    ))
}

pub fn initcap(args: &[Value], _: Context) -> Result<Value> {
    let mut out = String::new();
    let mut inside = false;
    for c in text(args, 0)?.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphanumeric();
    }
    Ok(Value::from(out))
}

pub fn concat(args: &[Value], _: Context) -> Result<Value> {
    Ok(match (value(args, 0)?, value(args, 1)?) {
        (Value::Text(a), Value::Text(b)) => {
            let mut out = String::with_capacity(a.len() + b.len());
            out.push_str(a);
            out.push_str(b);
            Value::from(out)
        }
        (Value::Bytea(a), Value::Bytea(b)) => Value::bytea([&**a, &**b].concat()),
        _ => return Err(Error::internal("|| of another type")),
    })
}

/// Any value as `concat`, `format` and `||` print it.
pub(super) fn any_text(value: &Value, ty: Type, context: &dyn super::FunctionContext) -> String {
    match value {
        Value::Text(v) if ty.char_length().is_none() => v.to_string(),
        Value::Bool(v) => if *v { "t" } else { "f" }.to_owned(),
        _ => float_text(value).unwrap_or_else(|| to_text(ty, value, &text_context(context))),
    }
}

fn type_at(types: &[Type], index: usize) -> Type {
    types
        .get(index)
        .or(types.last())
        .copied()
        .unwrap_or(Type::TEXT)
}

/// `anynonarray || text` and `text || anynonarray`
pub fn concat_any(args: &[Value], types: &[Type], context: Context) -> Result<Value> {
    let mut out = String::new();
    for (i, v) in args.iter().enumerate() {
        match v {
            // The cast to text spells booleans out.
            Value::Bool(v) => out.push_str(if *v { "true" } else { "false" }),
            _ => out.push_str(&any_text(v, type_at(types, i), context)),
        }
    }
    Ok(Value::from(out))
}

/// `concat(…)`: NULLs count as empty.
pub fn concat_all(args: &[Value], types: &[Type], context: Context) -> Result<Value> {
    let mut out = String::new();
    for (i, v) in args.iter().enumerate().filter(|(_, v)| !v.is_null()) {
        out.push_str(&any_text(v, type_at(types, i), context));
    }
    Ok(Value::from(out))
}

/// `concat_ws(separator, …)`
pub fn concat_ws(args: &[Value], types: &[Type], context: Context) -> Result<Value> {
    if value(args, 0)?.is_null() {
        return Ok(Value::Null);
    }
    let separator = text(args, 0)?;
    let parts: Vec<String> = args
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, v)| !v.is_null())
        .map(|(i, v)| any_text(v, type_at(types, i), context))
        .collect();
    Ok(Value::from(parts.join(separator)))
}

fn negative_length() -> Error {
    error!(SubstringError, "negative substring length not allowed")
}

/// The range of items from SQL's start and length, counted from one.
fn substring_range(
    start: i32,
    length: Option<i32>,
    total: usize,
) -> Result<std::ops::Range<usize>> {
    let start = i64::from(start);
    let end = match length {
        Some(n) if n < 0 => return Err(negative_length()),
        Some(n) => start + i64::from(n),
        None => i64::MAX,
    };
    let clamp = |at: i64| (at - 1).clamp(0, total as i64) as usize;
    Ok(clamp(start)..clamp(end).max(clamp(start)))
}

pub fn substring(args: &[Value], _: Context) -> Result<Value> {
    let start = int4(args, 1)?;
    let length = if args.len() > 2 {
        Some(int4(args, 2)?)
    } else {
        None
    };
    match value(args, 0)? {
        Value::Bytea(v) => {
            let range = substring_range(start, length, v.len())?;
            Ok(Value::bytea(v.get(range).unwrap_or(&[])))
        }
        _ => {
            let text = text(args, 0)?;
            if text.is_ascii() {
                let range = substring_range(start, length, text.len())?;
                return Ok(Value::text(text.get(range).unwrap_or("")));
            }
            let range = substring_range(start, length, text.chars().count())?;
            Ok(Value::from(
                text.chars()
                    .skip(range.start)
                    .take(range.len())
                    .collect::<String>(),
            ))
        }
    }
}

/// `left(text, n)`: a negative count leaves off that many at the end.
pub fn left(args: &[Value], _: Context) -> Result<Value> {
    let (text, n) = (text(args, 0)?, i64::from(int4(args, 1)?));
    let keep = if n < 0 {
        text.chars().count() as i64 + n
    } else {
        n
    };
    Ok(Value::from(
        text.chars().take(keep.max(0) as usize).collect::<String>(),
    ))
}

pub fn right(args: &[Value], _: Context) -> Result<Value> {
    let (text, n) = (text(args, 0)?, i64::from(int4(args, 1)?));
    let total = text.chars().count() as i64;
    let skip = if n < 0 { -n } else { total - n };
    Ok(Value::from(
        text.chars()
            .skip(skip.clamp(0, total) as usize)
            .collect::<String>(),
    ))
}

fn fill(args: &[Value], have: usize) -> Result<(usize, &str)> {
    let fill = if args.len() > 2 { text(args, 2)? } else { " " };
    let wanted = int4(args, 1)?.max(0) as usize;
    if wanted.saturating_mul(4) > VALUE_BYTES_MAX {
        return Err(too_long());
    }
    Ok((wanted.saturating_sub(have), fill))
}

fn padding(fill: &str, missing: usize) -> String {
    if fill.is_empty() {
        String::new()
    } else {
        fill.chars().cycle().take(missing).collect()
    }
}

pub fn lpad(args: &[Value], _: Context) -> Result<Value> {
    let text = text(args, 0)?;
    let (missing, fill) = fill(args, text.chars().count())?;
    let wanted = int4(args, 1)?.max(0) as usize;
    let mut out = padding(fill, missing);
    out.extend(text.chars().take(wanted));
    Ok(Value::from(out))
}

pub fn rpad(args: &[Value], _: Context) -> Result<Value> {
    let text = text(args, 0)?;
    let (missing, fill) = fill(args, text.chars().count())?;
    let wanted = int4(args, 1)?.max(0) as usize;
    let mut out: String = text.chars().take(wanted).collect();
    out.push_str(&padding(fill, missing));
    Ok(Value::from(out))
}

fn trim_with(args: &[Value], start: bool, end: bool) -> Result<Value> {
    if let Value::Bytea(bytes) = value(args, 0)? {
        let set = bytea(args, 1)?;
        let mut rest: &[u8] = bytes;
        while let Some((first, tail)) = rest.split_first().filter(|(b, _)| start && set.contains(b))
        {
            let _ = first;
            rest = tail;
        }
        while let Some((last, head)) = rest.split_last().filter(|(b, _)| end && set.contains(b)) {
            let _ = last;
            rest = head;
        }
        return Ok(Value::bytea(rest));
    }
    let set = if args.len() > 1 { text(args, 1)? } else { " " };
    let mut rest = text(args, 0)?;
    if start {
        rest = rest.trim_start_matches(|c| set.contains(c));
    }
    if end {
        rest = rest.trim_end_matches(|c| set.contains(c));
    }
    Ok(Value::text(rest))
}

pub fn btrim(args: &[Value], _: Context) -> Result<Value> {
    trim_with(args, true, true)
}

pub fn ltrim(args: &[Value], _: Context) -> Result<Value> {
    trim_with(args, true, false)
}

pub fn rtrim(args: &[Value], _: Context) -> Result<Value> {
    trim_with(args, false, true)
}

pub fn replace(args: &[Value], _: Context) -> Result<Value> {
    let (text, from, to) = (text(args, 0)?, text(args, 1)?, text(args, 2)?);
    if from.is_empty() {
        return Ok(args[0].clone());
    }
    Ok(Value::from(text.replace(from, to)))
}

pub fn translate(args: &[Value], _: Context) -> Result<Value> {
    let from: Vec<char> = text(args, 1)?.chars().collect();
    let to: Vec<char> = text(args, 2)?.chars().collect();
    let replaced = text(args, 0)?
        .chars()
        .filter_map(|c| match from.iter().position(|f| *f == c) {
            Some(i) => to.get(i).copied(),
            None => Some(c),
        });
    Ok(Value::from(replaced.collect::<String>()))
}

pub fn repeat(args: &[Value], _: Context) -> Result<Value> {
    let (text, n) = (text(args, 0)?, int4(args, 1)?.max(0) as usize);
    if text.len().saturating_mul(n) > VALUE_BYTES_MAX {
        return Err(too_long());
    }
    Ok(Value::from(text.repeat(n)))
}

pub fn reverse(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::from(
        text(args, 0)?.chars().rev().collect::<String>(),
    ))
}

/// Where the second argument stands in the first, counted from one; zero when it does not.
pub fn position(args: &[Value], _: Context) -> Result<Value> {
    if let (Value::Bytea(bytes), Value::Bytea(part)) = (value(args, 0)?, value(args, 1)?) {
        let found = if part.is_empty() {
            Some(0)
        } else {
            bytes.windows(part.len()).position(|w| w == &**part)
        };
        return count(found.map_or(0, |i| i + 1));
    }
    let (text, part) = (text(args, 0)?, text(args, 1)?);
    match text.find(part) {
        Some(at) => count(text[..at].chars().count() + 1),
        None => Ok(Value::Int4(0)),
    }
}

pub fn split_part(args: &[Value], _: Context) -> Result<Value> {
    let (text, delimiter, n) = (text(args, 0)?, text(args, 1)?, int4(args, 2)?);
    if n == 0 {
        bail!(InvalidParameterValue, "field position must not be zero");
    }
    if delimiter.is_empty() {
        return Ok(if n == 1 || n == -1 {
            args[0].clone()
        } else {
            Value::text("")
        });
    }
    let part = if n > 0 {
        text.split(delimiter).nth(n as usize - 1)
    } else {
        text.rsplit(delimiter).nth(n.unsigned_abs() as usize - 1)
    };
    Ok(Value::text(part.unwrap_or("")))
}

pub fn overlay(args: &[Value], _: Context) -> Result<Value> {
    let start = int4(args, 2)?;
    if start <= 0 {
        return Err(negative_length());
    }
    if let (Value::Bytea(bytes), Value::Bytea(new)) = (value(args, 0)?, value(args, 1)?) {
        let length = if args.len() > 3 {
            int4(args, 3)?
        } else {
            new.len() as i32
        };
        let head = substring_range(1, Some(start - 1), bytes.len())?;
        let tail = substring_range(start.saturating_add(length), None, bytes.len())?;
        return Ok(Value::bytea([&bytes[head], &**new, &bytes[tail]].concat()));
    }
    let (old, new) = (text(args, 0)?, text(args, 1)?);
    let length = if args.len() > 3 {
        int4(args, 3)?
    } else {
        new.chars().count() as i32
    };
    let mut out: String = old.chars().take(start as usize - 1).collect();
    out.push_str(new);
    let resume = (i64::from(start) - 1 + i64::from(length)).max(0) as usize;
    out.extend(old.chars().skip(resume));
    Ok(Value::from(out))
}

pub fn ascii(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Int4(
        text(args, 0)?.chars().next().map_or(0, |c| c as i32),
    ))
}

pub fn chr(args: &[Value], _: Context) -> Result<Value> {
    let code = int4(args, 0)?;
    let fault =
        |message: String| Error::new(ErrorKind::LimitExceeded, message).with_sqlstate(*b"54000");
    if code < 0 {
        bail!(InvalidParameterValue, "character number must be positive");
    }
    if code == 0 {
        return Err(fault("null character not permitted".to_owned()));
    }
    match char::from_u32(code as u32) {
        Some(c) => Ok(Value::from(c.to_string())),
        None => Err(fault(format!(
            "requested character too large for encoding: {code}"
        ))),
    }
}

pub fn starts_with(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Bool(text(args, 0)?.starts_with(text(args, 1)?)))
}

pub fn quote_ident(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::from(quote_identifier(text(args, 0)?)))
}

/// A string constant of SQL.
pub fn quoted_literal(text: &str) -> String {
    let escape = text.contains('\\');
    let body = text.replace('\'', "''").replace('\\', "\\\\");
    if escape {
        format!("E'{body}'")
    } else {
        format!("'{body}'")
    }
}

pub fn quote_literal(args: &[Value], types: &[Type], context: Context) -> Result<Value> {
    let text = any_text(value(args, 0)?, type_at(types, 0), context);
    Ok(Value::from(quoted_literal(&text)))
}

pub fn quote_nullable(args: &[Value], types: &[Type], context: Context) -> Result<Value> {
    if value(args, 0)?.is_null() {
        return Ok(Value::text("NULL"));
    }
    quote_literal(args, types, context)
}

/// `format(template, …)`: `%s`, `%I`, `%L` with positions, widths and flags.
pub fn format(args: &[Value], types: &[Type], context: Context) -> Result<Value> {
    if value(args, 0)?.is_null() {
        return Ok(Value::Null);
    }
    let mut out = String::new();
    let mut chars = text(args, 0)?.chars().peekable();
    let mut next = 1;
    let unterminated = || {
        error!(
            InvalidParameterValue,
            "unterminated format() type specifier"
        )
        .with_hint("For a single \"%\" use \"%%\".")
    };
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut number = take_number(&mut chars);
        let mut position = None;
        if number.is_some() && chars.next_if_eq(&'$').is_some() {
            position = number.take();
            if position == Some(0) {
                bail!(
                    InvalidParameterValue,
                    "format specifies argument 0, but arguments are numbered from 1"
                );
            }
        }
        let mut left = false;
        if number.is_none() {
            left = chars.next_if_eq(&'-').is_some();
            number = take_number(&mut chars);
            if number.is_none() && chars.next_if_eq(&'*').is_some() {
                let at = match take_number(&mut chars) {
                    Some(at) if chars.next_if_eq(&'$').is_some() => at,
                    _ => {
                        next += 1;
                        next - 1
                    }
                };
                let width = args
                    .get(at)
                    .ok_or_else(too_few_arguments)?
                    .as_i64()
                    .unwrap_or(0);
                left |= width < 0;
                number = Some(width.unsigned_abs() as usize);
            }
        }
        let kind = chars.next().ok_or_else(unterminated)?;
        if !matches!(kind, 's' | 'I' | 'L') {
            return Err(error!(
                InvalidParameterValue,
                "unrecognized format() type specifier \"{kind}\""
            )
            .with_hint("For a single \"%\" use \"%%\"."));
        }
        let at = position.unwrap_or(next);
        if position.is_none() || at >= next {
            next = at + 1;
        }
        let v = args.get(at).ok_or_else(too_few_arguments)?;
        let shown = match (kind, v) {
            ('s', Value::Null) => String::new(),
            ('L', Value::Null) => "NULL".to_owned(),
            ('I', Value::Null) => {
                bail!(
                    NullNotAllowed,
                    "null values cannot be formatted as an SQL identifier"
                )
            }
            (_, v) => {
                let text = any_text(v, type_at(types, at), context);
                match kind {
                    'I' => quote_identifier(&text),
                    'L' => quoted_literal(&text),
                    _ => text,
                }
            }
        };
        let width = number.unwrap_or(0);
        if width > VALUE_BYTES_MAX / 4 {
            return Err(too_long());
        }
        let missing = width.saturating_sub(shown.chars().count());
        if left {
            let _ = write!(out, "{shown}{:missing$}", "");
        } else {
            let _ = write!(out, "{:missing$}{shown}", "");
        }
    }
    Ok(Value::from(out))
}

fn too_few_arguments() -> Error {
    error!(InvalidParameterValue, "too few arguments for format()")
}

fn take_number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number: Option<usize> = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        number = Some(
            number
                .unwrap_or(0)
                .saturating_mul(10)
                .saturating_add(digit as usize),
        );
    }
    number
}

fn text_array(parts: impl Iterator<Item = Value>) -> Value {
    Value::Array(Arc::new(Array::from_values(
        Type::TEXT.oid,
        parts.collect(),
    )))
}

/// The parts of `string_to_array` and `string_to_table`; a part equal to `null` is NULL.
pub(super) fn split_parts(args: &[Value]) -> Result<Option<Vec<Value>>> {
    if value(args, 0)?.is_null() {
        return Ok(None);
    }
    let source = text(args, 0)?;
    let null = match args.get(2) {
        Some(Value::Text(null)) => Some(null.as_ref()),
        _ => None,
    };
    let part = |s: &str| {
        if Some(s) == null {
            Value::Null
        } else {
            Value::text(s)
        }
    };
    Ok(Some(match value(args, 1)? {
        _ if source.is_empty() => Vec::new(),
        Value::Text(delimiter) if delimiter.is_empty() => vec![part(source)],
        Value::Text(delimiter) => source.split(&**delimiter).map(part).collect(),
        _ => source
            .chars()
            .map(|c| part(c.encode_utf8(&mut [0; 4])))
            .collect(),
    }))
}

pub fn string_to_array(args: &[Value], _: Context) -> Result<Value> {
    Ok(split_parts(args)?.map_or(Value::Null, |parts| text_array(parts.into_iter())))
}

pub fn array_to_string(args: &[Value], types: &[Type], context: Context) -> Result<Value> {
    if value(args, 0)?.is_null() || value(args, 1)?.is_null() {
        return Ok(Value::Null);
    }
    let (array, separator) = (array(args, 0)?, text(args, 1)?);
    let null = match args.get(2) {
        Some(Value::Text(null)) => Some(null.as_ref()),
        _ => None,
    };
    let element = type_at(types, 0)
        .element()
        .unwrap_or(Type::new(array.element));
    let mut out = String::new();
    let mut empty = true;
    for v in &array.values {
        let shown = match (v, null) {
            (Value::Null, None) => continue,
            (Value::Null, Some(null)) => null.to_owned(),
            (v, _) => any_text(v, element, context),
        };
        if !empty {
            out.push_str(separator);
        }
        empty = false;
        out.push_str(&shown);
    }
    Ok(Value::from(out))
}

/// `parse_ident`
pub fn parse_ident(args: &[Value], _: Context) -> Result<Value> {
    let source = text(args, 0)?;
    let strict = args.len() < 2 || boolean(args, 1)?;
    let invalid = || {
        error!(
            InvalidParameterValue,
            "string is not a valid identifier: \"{source}\""
        )
    };
    let mut parts = Vec::new();
    let mut rest = source.trim();
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut out = String::new();
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                match chars.next().ok_or_else(invalid)? {
                    (_, '"') if chars.next_if(|(_, c)| *c == '"').is_some() => out.push('"'),
                    (i, '"') => break i + 1,
                    (_, c) => out.push(c),
                }
            };
            (out, &quoted[end..])
        } else {
            let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
            let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit() || c == '$') {
                return Err(invalid());
            }
            (name.to_lowercase(), after)
        };
        parts.push(Value::from(part));
        rest = after.trim_start();
        match rest.strip_prefix('.') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() || !strict => return Ok(text_array(parts.into_iter())),
            None => return Err(invalid()),
        }
    }
}

/// Texts of an argument that is a text array.
pub(super) fn text_list(args: &[Value], index: usize) -> Result<Vec<&str>> {
    Ok(texts(array(args, index)?).flatten().collect())
}
