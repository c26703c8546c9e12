//! Navigation in JSON text (type `json`), which keeps its spelling.
//!
//! The text was validated when it was stored, so these functions only find the ends of values;
//! on text that is not JSON they answer with nothing.

use super::{Jsonb, Kind};
use std::borrow::Cow;

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

/// The first value of `text`, and what follows it.
fn split_value(text: &str) -> Option<(&str, &str)> {
    let text = skip_blanks(text);
    let bytes = text.as_bytes();
    let end = match bytes.first()? {
        b'"' => string_end(bytes)?,
        b'{' | b'[' => container_end(bytes)?,
        _ => bytes
            .iter()
            .position(|b| matches!(b, b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r'))
            .unwrap_or(bytes.len()),
    };
    (end > 0).then(|| text.split_at(end))
}

/// The position behind the closing quote.
fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn container_end(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at += string_end(&bytes[at..])?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// The kind of the value that the text holds.
pub fn raw_kind(text: &str) -> Kind {
    match skip_blanks(text).as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') => Kind::Null,
        _ => Kind::Number,
    }
}

/// The members of an object or the elements of an array (with an empty name).
#[derive(Clone, Debug)]
pub struct RawEntries<'a> {
    rest: &'a str,
    object: bool,
}

impl<'a> Iterator for RawEntries<'a> {
    type Item = (Cow<'a, str>, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = skip_blanks(self.rest);
        rest = skip_blanks(rest.strip_prefix(',').unwrap_or(rest));
        let mut name = Cow::Borrowed("");
        if self.object {
            let (key, after) = split_value(rest)?;
            name = raw_text(key)?;
            rest = skip_blanks(after).strip_prefix(':')?;
        }
        let (value, after) = split_value(rest)?;
        self.rest = after;
        Some((name, value))
    }
}

pub fn raw_entries(text: &str) -> RawEntries<'_> {
    let text = skip_blanks(text);
    match text.strip_prefix('{') {
        Some(rest) => RawEntries { rest, object: true },
        None => RawEntries {
            rest: "",
            object: true,
        },
    }
}

pub fn raw_elements(text: &str) -> impl Iterator<Item = &str> {
    let rest = skip_blanks(text).strip_prefix('[').unwrap_or("");
    RawEntries {
        rest,
        object: false,
    }
    .map(|(_, value)| value)
}

/// `->` with a key; the last one counts when it stands twice.
pub fn raw_get<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    raw_entries(text)
        .filter(|(name, _)| name == key)
        .last()
        .map(|(_, value)| value)
}

/// `->` with a number; negative ones count from the end.
pub fn raw_index(text: &str, index: i64) -> Option<&str> {
    let index = if index < 0 {
        raw_elements(text).count() as i64 + index
    } else {
        index
    };
    raw_elements(text).nth(usize::try_from(index).ok()?)
}

/// `#>`
pub fn raw_path<'a, 'p>(text: &'a str, path: impl IntoIterator<Item = &'p str>) -> Option<&'a str> {
    path.into_iter()
        .try_fold(text, |value, step| match raw_kind(value) {
            Kind::Object => raw_get(value, step),
            Kind::Array => raw_index(value, step.trim().parse().ok()?),
            _ => None,
        })
}

/// `->>`: a string without its quotes and escapes, nothing for null, else the text itself.
pub fn raw_text(value: &str) -> Option<Cow<'_, str>> {
    let value = value.trim_matches([' ', '\t', '\n', '\r']);
    match raw_kind(value) {
        Kind::Null => None,
        Kind::String if !value.contains('\\') => {
            Some(Cow::Borrowed(value.get(1..value.len().checked_sub(1)?)?))
        }
        Kind::String => {
            let decoded = Jsonb::parse(value).ok()?;
            decoded
                .as_ref()
                .as_text()
                .map(|t| Cow::Owned(t.into_owned()))
        }
        _ => Some(Cow::Borrowed(value)),
    }
}
