//! The CSV format: fields between delimiters, quoted where they need it.

use super::CopyOptions;
use super::reader::{Field, LineEnd, next_field};
use helios_types::{Result, error};

/// Length of the first record and of it with its line end; `None` when it is not complete.
///
/// A line end inside quotes belongs to the field.
pub(super) fn find_line(
    data: &[u8],
    options: &CopyOptions,
    line_end: &mut LineEnd,
    at_end: bool,
) -> Result<Option<(usize, usize)>> {
    let mut quoted = false;
    let mut at = 0;
    while let Some(&byte) = data.get(at) {
        if quoted {
            if byte == options.escape && options.escape != options.quote {
                at += 1;
            } else if byte == options.quote {
                // A doubled quote closes and opens again, which comes to the same here.
                quoted = false;
            }
        } else if byte == options.quote {
            quoted = true;
        } else if byte == b'\n' {
            line_end.settle(LineEnd::Lf, true)?;
            return Ok(Some((at, at + 1)));
        } else if byte == b'\r' {
            match data.get(at + 1) {
                None if !at_end => return Ok(None),
                Some(b'\n') => {
                    line_end.settle(LineEnd::CrLf, true)?;
                    return Ok(Some((at, at + 2)));
                }
                _ => {
                    line_end.settle(LineEnd::Cr, true)?;
                    return Ok(Some((at, at + 1)));
                }
            }
        }
        at += 1;
    }
    if at_end && quoted {
        return Err(error!(BadCopyFormat, "unterminated CSV quoted field"));
    }
    Ok((at_end && !data.is_empty()).then_some((data.len(), data.len())))
}

/// Splits a record; gives the number of fields.
pub(super) fn split(line: &[u8], options: &CopyOptions, fields: &mut Vec<Field>) -> Result<usize> {
    let mut count = 0;
    let mut at = 0;
    loop {
        let field = next_field(fields, count)?;
        count += 1;
        let mut any_quote = false;
        let mut quoted = false;
        let mut delimited = false;
        while let Some(&byte) = line.get(at) {
            at += 1;
            if quoted {
                let next = line.get(at).copied();
                if byte == options.escape
                    && next.is_some_and(|n| n == options.quote || n == options.escape)
                {
                    field.text.extend(next);
                    at += 1;
                } else if byte == options.quote {
                    quoted = false;
                } else {
                    field.text.push(byte);
                }
            } else if byte == options.quote {
                any_quote = true;
                quoted = true;
            } else if byte == options.delimiter {
                delimited = true;
                break;
            } else {
                field.text.push(byte);
            }
        }
        if quoted {
            return Err(error!(BadCopyFormat, "unterminated CSV quoted field"));
        }
        // Only an unquoted field can be NULL.
        field.null = !any_quote && field.text == options.null.as_bytes();
        if !delimited {
            return Ok(count);
        }
    }
}

/// Appends a field, in quotes when it could be misread without.
pub(super) fn escape(
    out: &mut Vec<u8>,
    text: &[u8],
    options: &CopyOptions,
    force: bool,
    only_column: bool,
) {
    let special =
        |b: &u8| matches!(b, b'\n' | b'\r') || *b == options.quote || *b == options.delimiter;
    let needs = force
        || text == options.null.as_bytes()
        || (only_column && text == b"\\.")
        || text.iter().any(special);
    if !needs {
        out.extend_from_slice(text);
        return;
    }
    out.push(options.quote);
    for &byte in text {
        if byte == options.quote || byte == options.escape {
            out.push(options.escape);
        }
        out.push(byte);
    }
    out.push(options.quote);
}
