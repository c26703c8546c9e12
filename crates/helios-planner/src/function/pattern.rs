//! LIKE, SIMILAR TO and regular expressions.
//!
//! PostgreSQL's advanced regular expressions are translated to the `regex` crate's syntax. What
//! that engine cannot do by design (back references, look-around) is refused by name; where
//! alternatives overlap it takes the first one that matches, PostgreSQL the longest.

use super::argument::{Context, int4, text, value};
use helios_types::{Array, Error, Result, Type, Value, bail, error};
use regex::{Regex, RegexBuilder};
use std::cell::RefCell;
use std::sync::Arc;

/// Matches LIKE: `%` any run, `_` one character, `escape` makes the next one literal.
pub fn like_match(text: &str, pattern: &str, escape: Option<char>) -> Result<bool> {
    let text: &[u8] = text.as_bytes();
    let pattern = pattern.as_bytes();
    let escape = match escape {
        Some(c) if c.is_ascii() => Some(c as u8),
        _ => None,
    };
    let (mut t, mut p) = (0, 0);
    // Where to resume after the last `%`: one more character of the text goes to it.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match pattern.get(p) {
            Some(b'%') if escape != Some(b'%') => {
                retry = Some((t, p + 1));
                p += 1;
                continue;
            }
            Some(b'_') if escape != Some(b'_') && t < text.len() => {
                t += char_len(text[t]);
                p += 1;
                continue;
            }
            // At the end of the text nothing is looked at any more, not even a wrong pattern.
            Some(b) if Some(*b) == escape && t < text.len() => {
                let Some(literal) = pattern.get(p + 1) else {
                    bail!(
                        InvalidEscapeSequence,
                        "LIKE pattern must not end with escape character"
                    );
                };
                if text.get(t) == Some(literal) {
                    t += 1;
                    p += 2;
                    continue;
                }
            }
            Some(b) if *b != b'_' && Some(*b) != escape && text.get(t) == Some(b) => {
                t += 1;
                p += 1;
                continue;
            }
            None if t == text.len() => return Ok(true),
            _ => {}
        }
        match retry {
            Some((from, resume)) if from < text.len() => {
                let next = from + char_len(text[from]);
                retry = Some((next, resume));
                (t, p) = (next, resume);
            }
            _ => return Ok(false),
        }
    }
}

/// Bytes of the UTF-8 character that starts with this byte.
fn char_len(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

macro_rules! likes {
    ($($name:ident = $fold:literal, $negated:literal;)*) => {
        $(pub fn $name(args: &[Value], _: Context) -> Result<Value> {
            if let (Value::Bytea(a), Value::Bytea(b)) = (value(args, 0)?, value(args, 1)?) {
                return Ok(Value::Bool(bytes_like(a, b) != $negated));
            }
            let (text, pattern) = (text(args, 0)?, text(args, 1)?);
            let matched = if $fold {
                like_match(&text.to_lowercase(), &pattern.to_lowercase(), Some('\\'))?
            } else {
                like_match(text, pattern, Some('\\'))?
            };
            Ok(Value::Bool(matched != $negated))
        })*
    };
}

likes! {
    like = false, false;
    not_like = false, true;
    ilike = true, false;
    not_ilike = true, true;
}

/// LIKE over bytes, which are matched as Latin-1 characters.
fn bytes_like(text: &[u8], pattern: &[u8]) -> bool {
    let wide = |b: &[u8]| b.iter().map(|b| char::from(*b)).collect::<String>();
    like_match(&wide(text), &wide(pattern), Some('\\')).unwrap_or(false)
}

/// `LIKE … ESCAPE`: rewrites the pattern to use a backslash.
pub fn like_escape(args: &[Value], _: Context) -> Result<Value> {
    let (pattern, escape) = (text(args, 0)?, text(args, 1)?);
    let mut escapes = escape.chars();
    let escape = escapes.next();
    if escapes.next().is_some() {
        return Err(error!(InvalidEscapeSequence, "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            out.push('\\');
            out.extend(chars.next());
        } else if c == '\\' {
            out.push_str("\\\\");
        } else {
            out.push(c);
        }
    }
    Ok(Value::from(out))
}

/// `SIMILAR TO`: rewrites the pattern to a regular expression.
pub fn similar_to_escape(args: &[Value], _: Context) -> Result<Value> {
    if value(args, 0)?.is_null() {
        return Ok(Value::Null);
    }
    let escape = match args.get(1) {
        None => Some('\\'),
        Some(Value::Text(e)) => escape_character(e)?,
        Some(_) => return Ok(Value::Null),
    };
    let mut out = String::from("^(?:");
    similar_to_regex(text(args, 0)?, escape, ".*", &mut out);
    out.push_str(")$");
    Ok(Value::from(out))
}

/// The character of ESCAPE; an empty text means none.
fn escape_character(text: &str) -> Result<Option<char>> {
    let mut chars = text.chars();
    let first = chars.next();
    if chars.next().is_some() {
        return Err(error!(InvalidEscapeSequence, "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    Ok(first)
}

/// `substring(text SIMILAR pattern ESCAPE escape)`: escape and `"` stand around the part that is
/// wanted; without them it is the whole.
pub fn similar_substring(args: &[Value], context: Context) -> Result<Value> {
    let escape = escape_character(text(args, 2)?)?;
    let marker = escape.map(|c| format!("{c}\""));
    let pattern = text(args, 1)?;
    let parts: Vec<&str> = match &marker {
        Some(marker) => pattern.split(marker.as_str()).collect(),
        None => vec![pattern],
    };
    let mut out = String::from("^");
    match parts.as_slice() {
        [whole] => {
            out.push('(');
            similar_to_regex(whole, escape, ".*", &mut out);
            out.push(')');
        }
        // What stands before takes as little as it can, what is wanted as much.
        [before, wanted, after] => {
            out.push_str("(?:");
            similar_to_regex(before, escape, ".*?", &mut out);
            out.push_str(")(");
            similar_to_regex(wanted, escape, ".*", &mut out);
            out.push_str(")(?:");
            similar_to_regex(after, escape, ".*", &mut out);
            out.push(')');
        }
        _ => bail!(
            InvalidEscapeSequence,
            "SQL regular expression may not contain more than two escape-double-quote separators"
        ),
    }
    out.push('$');
    regexp_substring(&[value(args, 0)?.clone(), Value::from(out)], context)
}

/// The body of a SQL regular expression in POSIX syntax; `any` is what `%` becomes.
fn similar_to_regex(pattern: &str, escape: Option<char>, any: &str, out: &mut String) {
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            if let Some(next) = chars.next() {
                out.push('\\');
                out.push(next);
            }
            continue;
        }
        match c {
            ']' if in_class => {
                in_class = false;
                out.push(c);
            }
            '\\' => out.push_str("\\\\"),
            _ if in_class => out.push(c),
            '[' => {
                in_class = true;
                out.push(c);
            }
            '%' => out.push_str(any),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '.' | '^' | '$' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Flags {
    fold_case: bool,
    global: bool,
    /// `^` and `$` match at line ends, and `.` does not match a line end.
    lines: bool,
    /// White space and comments are left out.
    extended: bool,
    literal: bool,
}

fn parse_flags(flags: &str) -> Result<Flags> {
    let mut out = Flags::default();
    for c in flags.chars() {
        match c {
            'i' => out.fold_case = true,
            'c' => out.fold_case = false,
            'g' => out.global = true,
            'n' | 'm' => out.lines = true,
            's' => out.lines = false,
            'x' => out.extended = true,
            't' | 'e' | 'b' => {}
            'q' => out.literal = true,
            'p' | 'w' => {
                return Err(Error::unsupported(format_args!(
                    "regular expression option \"{c}\""
                )));
            }
            _ => bail!(
                InvalidParameterValue,
                "invalid regular expression option: \"{c}\""
            ),
        }
    }
    Ok(out)
}

/// A compiled expression; each thread keeps the last ones.
fn compile(pattern: &str, flags: Flags) -> Result<Arc<Regex>> {
    const KEPT: usize = 64;
    type Entry = (String, Flags, Arc<Regex>);
    thread_local! {
        static COMPILED: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
    }
    let flags = Flags {
        global: false,
        ..flags
    };
    COMPILED.with_borrow_mut(|entries| {
        if let Some(at) = entries
            .iter()
            .position(|(p, f, _)| p == pattern && *f == flags)
        {
            return Ok(entries[at].2.clone());
        }
        let regex = Arc::new(compile_new(pattern, flags)?);
        if entries.len() >= KEPT {
            entries.remove(0);
        }
        entries.push((pattern.to_owned(), flags, regex.clone()));
        Ok(regex)
    })
}

fn compile_new(pattern: &str, mut flags: Flags) -> Result<Regex> {
    let mut source = pattern;
    if let Some(rest) = source.strip_prefix("***=") {
        (source, flags.literal) = (rest, true);
    } else if let Some(rest) = source.strip_prefix("***:") {
        source = rest;
    }
    // Options in front of the expression: `(?i)…`.
    if let Some(rest) = source.strip_prefix("(?")
        && let Some(end) = rest.find(')')
        && end > 0
        && rest[..end].bytes().all(|b| b.is_ascii_lowercase())
    {
        let embedded = parse_flags(&rest[..end])?;
        flags.fold_case |= embedded.fold_case;
        flags.lines |= embedded.lines;
        flags.extended |= embedded.extended;
        flags.literal |= embedded.literal;
        source = &rest[end + 1..];
    }
    let translated = if flags.literal {
        regex::escape(source)
    } else {
        translate(source)?
    };
    RegexBuilder::new(&translated)
        .case_insensitive(flags.fold_case)
        .multi_line(flags.lines)
        .dot_matches_new_line(!flags.lines)
        .ignore_whitespace(flags.extended)
        .size_limit(16 << 20)
        .build()
        .map_err(|e| {
            let reason = match e {
                regex::Error::CompiledTooBig(_) => "regular expression is too complex".to_owned(),
                other => first_reason(&other.to_string()),
            };
            error!(
                InvalidRegularExpression,
                "invalid regular expression: {reason}"
            )
        })
}

/// The last line of the crate's message says what is wrong; PostgreSQL's words where they differ.
fn first_reason(message: &str) -> String {
    let reason = message
        .lines()
        .last()
        .unwrap_or(message)
        .trim_start_matches("error: ");
    if reason.contains("unclosed group") || reason.contains("unopened group") {
        "parentheses () not balanced".to_owned()
    } else if reason.contains("unclosed character class") {
        "brackets [] not balanced".to_owned()
    } else if reason.contains("repetition operator missing") {
        "quantifier operand invalid".to_owned()
    } else if reason.contains("invalid character class range") {
        "invalid character range".to_owned()
    } else {
        reason.to_owned()
    }
}

fn translate(pattern: &str) -> Result<String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '[' => translate_class(&mut chars, &mut out)?,
            '(' if chars.peek() == Some(&'?') => {
                let mut ahead = chars.clone();
                ahead.next();
                match ahead.next() {
                    Some(':') => out.push('('),
                    Some('=' | '!' | '<') => {
                        return Err(Error::unsupported("look-around in a regular expression"));
                    }
                    _ => bail!(
                        InvalidRegularExpression,
                        "invalid regular expression: quantifier operand invalid"
                    ),
                }
            }
            // A brace that starts no bound stands for itself.
            '{' if !chars.peek().is_some_and(char::is_ascii_digit) => out.push_str("\\{"),
            '\\' => match chars.next() {
                Some('m') => out.push_str("\\b{start}"),
                Some('M') => out.push_str("\\b{end}"),
                Some('y') => out.push_str("\\b"),
                Some('Y') => out.push_str("\\B"),
                Some('Z') => out.push_str("\\z"),
                Some('e') => out.push_str("\\x1b"),
                Some('B') => out.push_str("\\\\"),
                Some('1'..='9') => {
                    return Err(Error::unsupported(
                        "a back reference in a regular expression",
                    ));
                }
                Some(
                    d @ ('d' | 'D' | 's' | 'S' | 'w' | 'W' | 'A' | 'n' | 't' | 'r' | 'f' | 'v'
                    | 'a' | 'x' | 'u' | 'U'),
                ) => {
                    out.push('\\');
                    out.push(d);
                }
                Some(c) if c.is_ascii_alphanumeric() => bail!(
                    InvalidRegularExpression,
                    "invalid regular expression: invalid escape \\ sequence"
                ),
                Some(c) => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
                None => bail!(
                    InvalidRegularExpression,
                    "invalid regular expression: invalid escape \\ sequence"
                ),
            },
            _ => out.push(c),
        }
    }
    Ok(out)
}

/// A bracket expression behind its opening bracket.
fn translate_class(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    out: &mut String,
) -> Result<()> {
    let unbalanced = || {
        error!(
            InvalidRegularExpression,
            "invalid regular expression: brackets [] not balanced"
        )
    };
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    loop {
        let c = chars.next().ok_or_else(unbalanced)?;
        match c {
            ']' if !first => {
                out.push(']');
                return Ok(());
            }
            '[' if matches!(chars.peek(), Some(':')) => {
                out.push('[');
                loop {
                    let c = chars.next().ok_or_else(unbalanced)?;
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '\\' => match chars.next().ok_or_else(unbalanced)? {
                c @ ('d' | 's' | 'w' | 'n' | 't' | 'r' | 'f' | 'v') => {
                    out.push('\\');
                    out.push(c);
                }
                c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            },
            '[' | ']' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '-' if first || chars.peek() == Some(&']') => out.push_str("\\-"),
            _ => out.push(c),
        }
        first = false;
    }
}

macro_rules! regex_operators {
    ($($name:ident = $fold:literal, $negated:literal;)*) => {
        $(pub fn $name(args: &[Value], _: Context) -> Result<Value> {
            let flags = Flags { fold_case: $fold, ..Flags::default() };
            let matched = compile(text(args, 1)?, flags)?.is_match(text(args, 0)?);
            Ok(Value::Bool(matched != $negated))
        })*
    };
}

regex_operators! {
    matches = false, false;
    not_matches = false, true;
    imatches = true, false;
    not_imatches = true, true;
}

fn regex_of(args: &[Value], flags_at: usize) -> Result<(Arc<Regex>, Flags)> {
    let flags = match args.get(flags_at) {
        Some(Value::Text(flags)) => parse_flags(flags)?,
        _ => Flags::default(),
    };
    Ok((compile(text(args, 1)?, flags)?, flags))
}

fn refuse_global(flags: Flags, function: &str) -> Result<()> {
    if flags.global {
        return Err(error!(
            InvalidParameterValue,
            "{function}() does not support the \"global\" option"
        )
        .with_hint(format!(
            "Use the {function} function without the \"g\" option."
        )));
    }
    Ok(())
}

pub fn regexp_like(args: &[Value], _: Context) -> Result<Value> {
    let (regex, flags) = regex_of(args, 2)?;
    refuse_global(flags, "regexp_like")?;
    Ok(Value::Bool(regex.is_match(text(args, 0)?)))
}

/// PostgreSQL's replacement text: `\1` to `\9`, `\&`, `\\`.
fn expand(replacement: &str, captures: &regex::Captures<'_>, out: &mut String) {
    let mut chars = replacement.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('&') => out.push_str(&captures[0]),
            Some(d @ '1'..='9') => {
                let group = d as usize - '0' as usize;
                out.push_str(captures.get(group).map_or("", |m| m.as_str()));
            }
            Some('\\') | None => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
}

/// `regexp_replace(source, pattern, replacement [, flags])` and the form with start and N.
pub fn regexp_replace(args: &[Value], _: Context) -> Result<Value> {
    let (source, replacement) = (text(args, 0)?, text(args, 2)?);
    let mut start = 1;
    let mut wanted = None;
    let flags_at = if matches!(args.get(3), Some(Value::Int4(_))) {
        start = int4(args, 3)?;
        wanted = if args.len() > 4 {
            Some(int4(args, 4)?)
        } else {
            None
        };
        5
    } else {
        3
    };
    let (regex, flags) = regex_of(args, flags_at)?;
    if start <= 0 {
        bail!(
            InvalidParameterValue,
            "invalid value for parameter \"start\": {start}"
        );
    }
    if let Some(n) = wanted.filter(|n| *n < 0) {
        bail!(
            InvalidParameterValue,
            "invalid value for parameter \"n\": {n}"
        );
    }
    let limit = match wanted {
        Some(0) => None,
        Some(n) => Some(n as usize),
        None if flags.global => None,
        None => Some(1),
    };
    let from = byte_at(source, start as usize - 1);
    let mut out = String::from(&source[..from]);
    let mut copied = from;
    for (i, captures) in regex.captures_iter(&source[from..]).enumerate() {
        let Some(whole) = captures.get(0) else { break };
        // With N only the Nth match is replaced.
        if limit.is_some_and(|n| i + 1 > n) {
            break;
        }
        if wanted.is_some_and(|n| n > 0 && i + 1 != n as usize) {
            continue;
        }
        out.push_str(&source[copied..from + whole.start()]);
        expand(replacement, &captures, &mut out);
        copied = from + whole.end();
    }
    out.push_str(&source[copied..]);
    Ok(Value::from(out))
}

fn byte_at(text: &str, character: usize) -> usize {
    text.char_indices()
        .nth(character)
        .map_or(text.len(), |(i, _)| i)
}

/// The groups of a match, or the whole match when the expression has none.
fn groups(captures: &regex::Captures<'_>) -> Value {
    let group = |i: usize| {
        captures
            .get(i)
            .map_or(Value::Null, |m| Value::text(m.as_str()))
    };
    let values = if captures.len() == 1 {
        vec![group(0)]
    } else {
        (1..captures.len()).map(group).collect()
    };
    Value::Array(Arc::new(Array::from_values(Type::TEXT.oid, values)))
}

pub fn regexp_match(args: &[Value], _: Context) -> Result<Value> {
    let (regex, flags) = regex_of(args, 2)?;
    if flags.global {
        return Err(error!(
            InvalidParameterValue,
            "regexp_match() does not support the \"global\" option"
        )
        .with_hint("Use the regexp_matches function instead."));
    }
    Ok(regex
        .captures(text(args, 0)?)
        .map_or(Value::Null, |c| groups(&c)))
}

pub fn regexp_matches(args: &[Value], _: Context) -> Result<Vec<Vec<Value>>> {
    let (regex, flags) = regex_of(args, 2)?;
    let limit = if flags.global { usize::MAX } else { 1 };
    Ok(regex
        .captures_iter(text(args, 0)?)
        .take(limit)
        .map(|c| vec![groups(&c)])
        .collect())
}

/// The pieces between matches. A match of nothing at the ends or right behind another match
/// does not split.
fn split(args: &[Value]) -> Result<Vec<Value>> {
    let (regex, flags) = regex_of(args, 2)?;
    refuse_global(flags, "regexp_split_to_table")?;
    let source = text(args, 0)?;
    let mut out = Vec::new();
    let mut start = 0;
    for found in regex.find_iter(source) {
        if found.is_empty() && (found.start() == start || found.start() == source.len()) {
            continue;
        }
        out.push(Value::text(&source[start..found.start()]));
        start = found.end();
    }
    out.push(Value::text(&source[start..]));
    Ok(out)
}

pub fn regexp_split_to_array(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Array(Arc::new(Array::from_values(
        Type::TEXT.oid,
        split(args)?,
    ))))
}

pub fn regexp_split_to_table(args: &[Value], _: Context) -> Result<Vec<Vec<Value>>> {
    Ok(split(args)?.into_iter().map(|v| vec![v]).collect())
}

pub fn regexp_count(args: &[Value], _: Context) -> Result<Value> {
    let (regex, flags) = regex_of(args, 3)?;
    refuse_global(flags, "regexp_count")?;
    let source = text(args, 0)?;
    let start = if args.len() > 2 { int4(args, 2)? } else { 1 };
    if start <= 0 {
        bail!(
            InvalidParameterValue,
            "invalid value for parameter \"start\": {start}"
        );
    }
    let from = byte_at(source, start as usize - 1);
    Ok(Value::Int4(regex.find_iter(&source[from..]).count() as i32))
}

/// `substring(text from pattern)`: the first group, or the whole match.
pub fn regexp_substring(args: &[Value], _: Context) -> Result<Value> {
    let regex = compile(text(args, 1)?, Flags::default())?;
    Ok(match regex.captures(text(args, 0)?) {
        Some(c) => {
            let group = if c.len() > 1 { c.get(1) } else { c.get(0) };
            group.map_or(Value::Null, |m| Value::text(m.as_str()))
        }
        None => Value::Null,
    })
}

/// `regexp_substr(source, pattern [, start [, N [, flags [, group]]]])`
pub fn regexp_substr(args: &[Value], _: Context) -> Result<Value> {
    let (regex, flags) = regex_of(args, 4)?;
    refuse_global(flags, "regexp_substr")?;
    let source = text(args, 0)?;
    let argument = |at: usize, default: i32| {
        if args.len() > at {
            int4(args, at)
        } else {
            Ok(default)
        }
    };
    let (start, n, group) = (argument(2, 1)?, argument(3, 1)?, argument(5, 0)?);
    for (name, v, least) in [("start", start, 1), ("n", n, 1), ("subexpr", group, 0)] {
        if v < least {
            bail!(
                InvalidParameterValue,
                "invalid value for parameter \"{name}\": {v}"
            );
        }
    }
    let from = byte_at(source, start as usize - 1);
    let found = regex.captures_iter(&source[from..]).nth(n as usize - 1);
    let matched = found.as_ref().and_then(|c| c.get(group as usize));
    Ok(matched.map_or(Value::Null, |m| Value::text(m.as_str())))
}

/// `regexp_instr(source, pattern [, start [, N [, endoption [, flags [, group]]]]])`
pub fn regexp_instr(args: &[Value], _: Context) -> Result<Value> {
    let (regex, flags) = regex_of(args, 5)?;
    refuse_global(flags, "regexp_instr")?;
    let source = text(args, 0)?;
    let argument = |at: usize, default: i32| {
        if args.len() > at {
            int4(args, at)
        } else {
            Ok(default)
        }
    };
    let (start, n, end, group) = (
        argument(2, 1)?,
        argument(3, 1)?,
        argument(4, 0)?,
        argument(6, 0)?,
    );
    for (name, v, least) in [("start", start, 1), ("n", n, 1), ("subexpr", group, 0)] {
        if v < least {
            bail!(
                InvalidParameterValue,
                "invalid value for parameter \"{name}\": {v}"
            );
        }
    }
    if !(0..=1).contains(&end) {
        bail!(
            InvalidParameterValue,
            "invalid value for parameter \"endoption\": {end}"
        );
    }
    let from = byte_at(source, start as usize - 1);
    let found = regex.captures_iter(&source[from..]).nth(n as usize - 1);
    let Some(matched) = found.as_ref().and_then(|c| c.get(group as usize)) else {
        return Ok(Value::Int4(0));
    };
    let at = from
        + if end == 1 {
            matched.end()
        } else {
            matched.start()
        };
    Ok(Value::Int4(source[..at].chars().count() as i32 + 1))
}
