//! The text format: lines of fields between delimiters, with backslash escapes.

use super::CopyOptions;
use super::reader::{Field, LineEnd, next_field};
use helios_types::Result;

/// Length of the first line and of it with its end; `None` when it is not complete.
pub(super) fn find_line(
    data: &[u8],
    line_end: &mut LineEnd,
    at_end: bool,
) -> Result<Option<(usize, usize)>> {
    let mut at = 0;
    while let Some(found) = memchr::memchr3(b'\n', b'\r', b'\\', data.get(at..).unwrap_or_default())
    {
        let position = at + found;
        match (data[position], data.get(position + 1)) {
            // The escaped character belongs to the field, a line end too.
            (b'\\', Some(_)) => at = position + 2,
            (b'\\', None) => break,
            (b'\n', _) => {
                line_end.settle(LineEnd::Lf, false)?;
                return Ok(Some((position, position + 1)));
            }
            // Only the next byte tells what kind of line end this is.
            (_, None) if !at_end => return Ok(None),
            (_, Some(b'\n')) => {
                line_end.settle(LineEnd::CrLf, false)?;
                return Ok(Some((position, position + 2)));
            }
            _ => {
                line_end.settle(LineEnd::Cr, false)?;
                return Ok(Some((position, position + 1)));
            }
        }
    }
    Ok((at_end && !data.is_empty()).then_some((data.len(), data.len())))
}

/// Splits a line; gives the number of fields.
pub(super) fn split(line: &[u8], options: &CopyOptions, fields: &mut Vec<Field>) -> Result<usize> {
    let mut count = 0;
    let mut rest = line;
    loop {
        let field = next_field(fields, count)?;
        count += 1;
        let mut raw = 0;
        let end = loop {
            let tail = rest.get(raw..).unwrap_or_default();
            match memchr::memchr2(options.delimiter, b'\\', tail) {
                None => break rest.len(),
                Some(i) if tail[i] == b'\\' && options.delimiter != b'\\' => {
                    field.text.extend_from_slice(&tail[..i]);
                    raw += i + unescape(&tail[i..], &mut field.text);
                    continue;
                }
                Some(i) => break raw + i,
            }
        };
        field
            .text
            .extend_from_slice(rest.get(raw..end).unwrap_or_default());
        // NULL is recognised in the raw text: an escaped \\N is a string.
        if rest.get(..end) == Some(options.null.as_bytes()) {
            field.null = true;
        }
        match rest.get(end + 1..) {
            Some(after) => rest = after,
            None => return Ok(count),
        }
    }
}

/// Resolves the escape at the start of `text`; gives its length.
fn unescape(text: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(&code) = text.get(1) else {
        out.push(b'\\');
        return 1;
    };
    let digits = |from: usize, most: usize, base: u8| {
        text.get(from..)
            .unwrap_or_default()
            .iter()
            .take(most)
            .take_while(|b| char::from(**b).is_digit(u32::from(base)))
            .count()
    };
    let value = |range: std::ops::Range<usize>, base: u32| {
        text.get(range)
            .unwrap_or_default()
            .iter()
            .fold(0u32, |n, b| {
                n * base + char::from(*b).to_digit(base).unwrap_or(0)
            }) as u8
    };
    match code {
        b'b' => out.push(8),
        b'f' => out.push(12),
        b'n' => out.push(b'\n'),
        b'r' => out.push(b'\r'),
        b't' => out.push(b'\t'),
        b'v' => out.push(11),
        b'0'..=b'7' => {
            let n = digits(1, 3, 8);
            out.push(value(1..1 + n, 8));
            return 1 + n;
        }
        b'x' if digits(2, 2, 16) > 0 => {
            let n = digits(2, 2, 16);
            out.push(value(2..2 + n, 16));
            return 2 + n;
        }
        other => out.push(other),
    }
    2
}

/// Appends a field's text with the escapes that the format needs.
pub(super) fn escape(out: &mut Vec<u8>, text: &[u8], delimiter: u8) {
    let mut copied = 0;
    for (i, &byte) in text.iter().enumerate() {
        let letter = match byte {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            b'\\' => b'\\',
            byte if byte == delimiter => byte,
            _ => continue,
        };
        out.extend_from_slice(&text[copied..i]);
        out.extend_from_slice(&[b'\\', letter]);
        copied = i + 1;
    }
    out.extend_from_slice(&text[copied..]);
}
