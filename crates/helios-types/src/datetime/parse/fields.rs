//! Cuts the text of a date or time into fields.

use super::{Fault, Step};

/// Most fields that a date or time has.
const FIELDS_MAX: usize = 25;

#[derive(Debug)]
pub(super) enum Field {
    /// Digits and names joined by `-`, `/` or `.`; or a zone's name with punctuation.
    Date(String),
    /// Digits joined by colons.
    Time(String),
    /// Digits with at most one point.
    Number(String),
    /// Letters, in lower case; a sign stays before `infinity`.
    Word(String),
    /// A sign and an offset.
    Offset(String),
}

pub(super) fn split_fields(text: &str) -> Step<Vec<Field>> {
    let bytes = text.as_bytes();
    let mut fields = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let (field, end) = match byte {
            b'0'..=b'9' => split_digits(text, at),
            b'.' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {
                let end = run(bytes, at + 1, |b| b.is_ascii_digit());
                (Field::Number(text[at..end].to_owned()), end)
            }
            b'a'..=b'z' | b'A'..=b'Z' => split_word(text, at),
            b'+' | b'-' => split_sign(text, at)?,
            b if b.is_ascii_punctuation() => {
                at += 1;
                continue;
            }
            _ => return Err(Fault::Syntax),
        };
        fields.push(field);
        if fields.len() > FIELDS_MAX {
            return Err(Fault::Syntax);
        }
        at = end;
    }
    Ok(fields)
}

/// The end of the run of bytes from `at` that match.
fn run(bytes: &[u8], at: usize, matches: impl Fn(u8) -> bool) -> usize {
    bytes[at..]
        .iter()
        .position(|b| !matches(*b))
        .map_or(bytes.len(), |n| at + n)
}

fn split_digits(text: &str, start: usize) -> (Field, usize) {
    let bytes = text.as_bytes();
    let mut at = run(bytes, start, |b| b.is_ascii_digit());
    match bytes.get(at) {
        Some(b':') => {
            let end = run(bytes, at, |b| {
                b.is_ascii_digit() || matches!(b, b':' | b'.')
            });
            (Field::Time(text[start..end].to_owned()), end)
        }
        Some(delimiter @ (b'-' | b'/' | b'.')) => {
            let delimiter = *delimiter;
            at += 1;
            if bytes.get(at).is_some_and(u8::is_ascii_digit) {
                let end = run(bytes, at, |b| b.is_ascii_digit());
                if bytes.get(end) == Some(&delimiter) {
                    // A third part; letters and digits both go with it.
                    let end = run(bytes, end, |b| b.is_ascii_digit() || b == delimiter);
                    (Field::Date(text[start..end].to_owned()), end)
                } else if delimiter == b'.' {
                    (Field::Number(text[start..end].to_owned()), end)
                } else {
                    (Field::Date(text[start..end].to_owned()), end)
                }
            } else if delimiter == b'.' {
                (Field::Number(text[start..at].to_owned()), at)
            } else {
                // A month by name: `08-Jan-1999`.
                let end = run(bytes, at, |b| b.is_ascii_alphanumeric() || b == delimiter);
                (Field::Date(text[start..end].to_owned()), end)
            }
        }
        _ => (Field::Number(text[start..at].to_owned()), at),
    }
}

fn split_word(text: &str, start: usize) -> (Field, usize) {
    let bytes = text.as_bytes();
    let at = run(bytes, start, |b| b.is_ascii_alphabetic());
    let word = text[start..at].to_ascii_lowercase();
    let joined = match bytes.get(at) {
        Some(b'-' | b'/' | b'.' | b'_') => true,
        Some(b'+') => super::super::abbreviation::offset(&word.to_ascii_uppercase()).is_none(),
        Some(b) if b.is_ascii_digit() => !is_keyword(&word),
        _ => false,
    };
    // `UTC-5` is a word and an offset; `Jan-08-1999` and `America/New_York` are one field.
    let offset_follows = bytes.get(at) == Some(&b'-')
        && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
        && super::super::abbreviation::offset(&word.to_ascii_uppercase()).is_some();
    if !joined || offset_follows {
        return (Field::Word(word), at);
    }
    let end = run(bytes, at, |b| {
        b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'/' | b'_' | b'.' | b':')
    });
    (Field::Date(text[start..end].to_owned()), end)
}

/// Words that a number may follow without a space.
fn is_keyword(word: &str) -> bool {
    matches!(
        word,
        "t" | "j" | "jd" | "julian" | "am" | "pm" | "ad" | "bc" | "y" | "m" | "d" | "h"
    ) || super::month_of(word).is_some()
        || super::is_weekday(word)
}

fn split_sign(text: &str, start: usize) -> Step<(Field, usize)> {
    let bytes = text.as_bytes();
    let at = run(bytes, start + 1, |b| b.is_ascii_whitespace());
    match bytes.get(at) {
        Some(b) if b.is_ascii_digit() => {
            let end = run(bytes, at, |b| b.is_ascii_digit() || b == b':');
            Ok((
                Field::Offset(format!("{}{}", &text[start..=start], &text[at..end])),
                end,
            ))
        }
        Some(b) if b.is_ascii_alphabetic() => {
            let end = run(bytes, at, |b| b.is_ascii_alphabetic());
            let word = text[at..end].to_ascii_lowercase();
            Ok((Field::Word(format!("{}{word}", &text[start..=start])), end))
        }
        _ => Err(Fault::Syntax),
    }
}
