//! PostgreSQL's array literals: `{1,2,NULL}`, `{{a,b},{"c d","e\"f"}}`, `[0:1]={1,2}`.

use super::{TextContext, parse_text, write_value};
use crate::array::{Array, Dimension};
use crate::limits::{ARRAY_DIMENSIONS_MAX, ARRAY_ELEMENTS_MAX};
use crate::{Error, Result, Type, Value, bail, error};
use std::fmt::{self, Write};

/// `int2vector` and `oidvector` are lists of numbers between blanks, numbered from zero.
pub(super) fn parse_of_type(
    ty: Type,
    element: Type,
    text: &str,
    context: &TextContext,
) -> Result<Array> {
    if ty.oid != Type::INT2VECTOR.oid && ty.oid != Type::OIDVECTOR.oid {
        return parse_array(element, text, context);
    }
    let values = text
        .split_ascii_whitespace()
        .map(|word| parse_text(element, word, context))
        .collect::<Result<Vec<_>>>()?;
    let mut array = Array::from_values(element.oid, values);
    for dimension in &mut array.dimensions {
        dimension.lower = 0;
    }
    Ok(array)
}

pub(super) fn write_of_type(
    out: &mut impl Write,
    ty: Type,
    array: &Array,
    context: &TextContext,
) -> fmt::Result {
    let element = ty.element().unwrap_or(Type::new(array.element));
    if ty.oid != Type::INT2VECTOR.oid && ty.oid != Type::OIDVECTOR.oid {
        return write_array(out, element, array, context);
    }
    for (i, value) in array.values.iter().enumerate() {
        if i > 0 {
            out.write_char(' ')?;
        }
        write_value(out, element, &value.as_ref(), context)?;
    }
    Ok(())
}

fn malformed(text: &str, detail: &str) -> Error {
    error!(
        InvalidTextRepresentation,
        "malformed array literal: \"{text}\""
    )
    .with_detail(detail)
}

/// Reads an array literal whose elements have the type `element`.
pub fn parse_array(element: Type, text: &str, context: &TextContext) -> Result<Array> {
    let mut parser = Parser {
        text,
        at: 0,
        context,
        element,
        shape: Vec::new(),
        values: Vec::new(),
    };
    let bounds = parser.bounds()?;
    parser.skip_blanks();
    if parser.peek() != Some(b'{') {
        let detail = match bounds {
            Some(_) => "Array contents must start with \"{\".",
            None => "Array value must start with \"{\" or dimension information.",
        };
        return Err(malformed(text, detail));
    }
    parser.level(0)?;
    parser.skip_blanks();
    if parser.at < text.len() {
        return Err(malformed(text, "Junk after closing right brace."));
    }
    parser.finish(bounds)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    context: &'a TextContext,
    element: Type,
    /// Elements of each level, known after its first closing brace.
    shape: Vec<Option<usize>>,
    values: Vec<Value>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self
            .peek()
            .is_some_and(|b| b.is_ascii_whitespace() || b == 0x0b)
        {
            self.at += 1;
        }
    }

    /// `[lower:upper]…=` in front of the braces.
    fn bounds(&mut self) -> Result<Option<Vec<Dimension>>> {
        let mut out = Vec::new();
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'[') {
                break;
            }
            self.at += 1;
            let rest = &self.text[self.at..];
            let end = rest
                .find(']')
                .ok_or_else(|| malformed(self.text, "Missing \"]\" in array dimensions."))?;
            let inside = &rest[..end];
            self.at += end + 1;
            let (lower, upper) = inside.split_once(':').unwrap_or(("1", inside));
            let number = |s: &str| {
                s.trim()
                    .parse::<i32>()
                    .map_err(|_| malformed(self.text, "Missing array dimension value."))
            };
            let (lower, upper) = (number(lower)?, number(upper)?);
            if upper < lower {
                bail!(
                    ArraySubscriptError,
                    "upper bound cannot be less than lower bound"
                );
            }
            if out.len() >= ARRAY_DIMENSIONS_MAX {
                return Err(too_many_dimensions(out.len() + 1));
            }
            let len = u32::try_from(i64::from(upper) - i64::from(lower) + 1).unwrap_or(u32::MAX);
            out.push(Dimension { len, lower });
        }
        if out.is_empty() {
            return Ok(None);
        }
        if self.peek() != Some(b'=') {
            return Err(malformed(
                self.text,
                "Missing \"=\" after array dimensions.",
            ));
        }
        self.at += 1;
        Ok(Some(out))
    }

    /// One pair of braces, from its opening brace on.
    fn level(&mut self, depth: usize) -> Result<()> {
        if depth >= ARRAY_DIMENSIONS_MAX {
            return Err(too_many_dimensions(depth + 1));
        }
        if self.shape.len() <= depth {
            // A level below elements that were already read.
            if !self.values.is_empty() {
                return Err(self.ragged());
            }
            self.shape.push(None);
        }
        self.at += 1;
        let mut count = 0;
        self.skip_blanks();
        if self.peek() == Some(b'}') && depth == 0 {
            self.at += 1;
            return self.close(depth, 0);
        }
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return Err(malformed(self.text, "Unexpected end of input.")),
                Some(b'{') => self.level(depth + 1)?,
                Some(b'}') => return Err(malformed(self.text, "Unexpected \"}\" character.")),
                Some(b',') => return Err(malformed(self.text, "Unexpected \",\" character.")),
                Some(_) => {
                    if depth + 1 != self.shape.len() {
                        return Err(self.ragged());
                    }
                    self.item()?;
                }
            }
            count += 1;
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return self.close(depth, count);
                }
                None => return Err(malformed(self.text, "Unexpected end of input.")),
                Some(_) => return Err(malformed(self.text, "Unexpected array element.")),
            }
        }
    }

    fn ragged(&self) -> Error {
        malformed(
            self.text,
            "Multidimensional arrays must have sub-arrays with matching dimensions.",
        )
    }

    fn close(&mut self, depth: usize, count: usize) -> Result<()> {
        match self.shape.get_mut(depth) {
            Some(Some(known)) if *known != count => Err(self.ragged()),
            Some(known) => {
                *known = Some(count);
                Ok(())
            }
            None => Err(self.ragged()),
        }
    }

    fn item(&mut self) -> Result<()> {
        if self.values.len() >= ARRAY_ELEMENTS_MAX {
            bail!(
                LimitExceeded,
                "array size exceeds the maximum allowed ({ARRAY_ELEMENTS_MAX})"
            );
        }
        let (text, quoted) = self.token()?;
        let value = if !quoted && text.eq_ignore_ascii_case("null") {
            Value::Null
        } else {
            parse_text(self.element, &text, self.context)?
        };
        self.values.push(value);
        Ok(())
    }

    /// The text of an element, and whether any of it was quoted or escaped.
    fn token(&mut self) -> Result<(String, bool)> {
        let mut out = String::new();
        let mut quoted = false;
        let mut in_quotes = false;
        let mut closed = false;
        // Bytes of `out` that trailing blanks must not cut.
        let mut kept = 0;
        let mut chars = self.text[self.at..].char_indices();
        while let Some((offset, c)) = chars.next() {
            match c {
                '\\' if closed => {
                    return Err(malformed(self.text, "Unexpected array element."));
                }
                '\\' => {
                    let Some((_, escaped)) = chars.next() else {
                        return Err(malformed(self.text, "Unexpected end of input."));
                    };
                    out.push(escaped);
                    kept = out.len();
                    quoted = true;
                }
                '"' if in_quotes => (in_quotes, closed) = (false, true),
                '"' if out.trim().is_empty() && !quoted => {
                    out.clear();
                    (in_quotes, quoted) = (true, true);
                }
                '"' => return Err(malformed(self.text, "Unexpected array element.")),
                _ if in_quotes => {
                    out.push(c);
                    kept = out.len();
                }
                ',' | '}' => {
                    self.at += offset;
                    out.truncate(kept);
                    return Ok((out, quoted));
                }
                '{' => return Err(malformed(self.text, "Unexpected \"{\" character.")),
                _ if c.is_whitespace() => out.push(c),
                _ if closed => return Err(malformed(self.text, "Unexpected array element.")),
                _ => {
                    out.push(c);
                    kept = out.len();
                }
            }
        }
        Err(malformed(self.text, "Unexpected end of input."))
    }

    fn finish(self, bounds: Option<Vec<Dimension>>) -> Result<Array> {
        let counts: Vec<usize> = self.shape.iter().map(|c| c.unwrap_or(0)).collect();
        if self.values.is_empty() {
            return Ok(Array::from_values(self.element.oid, Vec::new()));
        }
        let dimensions = match bounds {
            None => counts
                .iter()
                .map(|n| Dimension {
                    len: *n as u32,
                    lower: 1,
                })
                .collect(),
            Some(bounds) => {
                let matches = bounds.len() == counts.len()
                    && bounds
                        .iter()
                        .zip(&counts)
                        .all(|(b, n)| b.len as usize == *n);
                if !matches {
                    return Err(malformed(
                        self.text,
                        "Specified array dimensions do not match array contents.",
                    ));
                }
                bounds
            }
        };
        Ok(Array {
            element: self.element.oid,
            dimensions,
            values: self.values,
        })
    }
}

fn too_many_dimensions(count: usize) -> Error {
    error!(
        LimitExceeded,
        "number of array dimensions ({count}) exceeds the maximum allowed ({ARRAY_DIMENSIONS_MAX})"
    )
}

/// Writes an array literal of elements of the type `element`.
pub fn write_array(
    out: &mut impl Write,
    element: Type,
    array: &Array,
    context: &TextContext,
) -> fmt::Result {
    if array.values.is_empty() {
        return out.write_str("{}");
    }
    if array.dimensions.iter().any(|d| d.lower != 1) {
        for dimension in &array.dimensions {
            let upper = i64::from(dimension.lower) + i64::from(dimension.len) - 1;
            write!(out, "[{}:{upper}]", dimension.lower)?;
        }
        out.write_char('=')?;
    }
    let mut values = array.values.iter();
    let mut text = String::new();
    write_level(
        out,
        element,
        &array.dimensions,
        &mut values,
        &mut text,
        context,
    )
}

fn write_level<'a>(
    out: &mut impl Write,
    element: Type,
    dimensions: &[Dimension],
    values: &mut impl Iterator<Item = &'a Value>,
    text: &mut String,
    context: &TextContext,
) -> fmt::Result {
    let Some((first, inner)) = dimensions.split_first() else {
        return Ok(());
    };
    out.write_char('{')?;
    for i in 0..first.len {
        if i > 0 {
            out.write_char(',')?;
        }
        if inner.is_empty() {
            match values.next() {
                None | Some(Value::Null) => out.write_str("NULL")?,
                Some(value) => {
                    text.clear();
                    write_value(text, element, &value.as_ref(), context)?;
                    write_element(out, text)?;
                }
            }
        } else {
            write_level(out, element, inner, values, text, context)?;
        }
    }
    out.write_char('}')
}

fn write_element(out: &mut impl Write, text: &str) -> fmt::Result {
    let special = |c: char| {
        matches!(c, '"' | '\\' | '{' | '}' | ',') || c.is_ascii_whitespace() || c == '\x0b'
    };
    if !text.is_empty() && !text.contains(special) && !text.eq_ignore_ascii_case("null") {
        return out.write_str(text);
    }
    out.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.write_char('\\')?;
        }
        out.write_char(c)?;
    }
    out.write_char('"')
}
