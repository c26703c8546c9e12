//! Query string to statements.

use helios_types::{Error, ErrorKind, Result, bail, error};
use pg_query::NodeEnum;
use std::ops::Range;
use std::sync::Arc;

/// One statement of a query string.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The whole query string: positions in errors count from its start.
    pub source: Arc<str>,
    /// Where the statement stands in `source`, without the semicolon.
    pub range: Range<usize>,
    pub node: NodeEnum,
}

impl Statement {
    pub fn text(&self) -> &str {
        self.source.get(self.range.clone()).unwrap_or_default()
    }
}

/// The statements of one query string; empty ones are left out, as PostgreSQL does.
pub fn parse(text: &str) -> Result<Vec<Statement>> {
    if text.contains('\0') {
        bail!(
            InvalidEncoding,
            "invalid byte sequence for encoding \"UTF8\": 0x00"
        );
    }
    let result = pg_query::parse(text, 0).map_err(|e| parse_error(text, e))?;
    let source: Arc<str> = Arc::from(text);
    let mut statements = Vec::with_capacity(result.protobuf.stmts.len());
    for raw in result.protobuf.stmts {
        let start = usize::try_from(raw.stmt_location).unwrap_or(0);
        let end = match usize::try_from(raw.stmt_len) {
            Ok(len) if len > 0 => start + len,
            _ => text.len(),
        };
        let Some(node) = raw.stmt.and_then(|n| n.node) else {
            continue;
        };
        let range = trimmed(text, start.min(text.len())..end.min(text.len()));
        statements.push(Statement {
            source: source.clone(),
            range,
            node,
        });
    }
    Ok(statements)
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let Some(part) = text.get(range.clone()) else {
        return range;
    };
    let start = range.start + (part.len() - part.trim_start().len());
    start..start + part.trim().trim_end_matches(';').trim_end().len()
}

fn parse_error(text: &str, error: pg_query::Error) -> Error {
    let message = match error {
        pg_query::Error::Parse(message) => message,
        pg_query::Error::Decode(_) => {
            return error!(LimitExceeded, "stack depth limit exceeded")
                .with_hint("The statement nests its expressions or subqueries too deeply.");
        }
        other => return Error::internal(other),
    };
    let kind = match message.as_str() {
        m if m.contains("not supported") || m.contains("not yet implemented") => {
            ErrorKind::Unsupported
        }
        m if m.starts_with("identifier too long") => ErrorKind::InvalidName,
        m if m.contains("integer out of range") => ErrorKind::NumericOutOfRange,
        m if m.starts_with("invalid byte sequence") => ErrorKind::InvalidEncoding,
        _ => ErrorKind::SyntaxError,
    };
    let position = error_position(text, &message);
    let error = Error::new(kind, message);
    match position {
        Some(offset) => error.with_position(character(text, offset)),
        None => error,
    }
}

/// One-based number of the character at a byte offset.
pub(crate) fn character(text: &str, offset: usize) -> u32 {
    let end = (0..=offset.min(text.len()))
        .rev()
        .find(|&i| text.is_char_boundary(i))
        .unwrap_or(0);
    text[..end].chars().count() as u32 + 1
}

/// Byte offset of a syntax error.
///
/// The grammar's wrapper keeps the message and drops the cursor. The message names the offending
/// token, and an LALR parser reports it at the first prefix of the text that ends with it: so the
/// occurrence at which the prefix first gives the same message is the one.
fn error_position(text: &str, message: &str) -> Option<usize> {
    if message.ends_with("at end of input") {
        return Some(text.len());
    }
    let (_, near) = message.split_once(" at or near \"")?;
    let near = near.strip_suffix('"')?;
    if text.ends_with(near) && !message.starts_with("syntax error") {
        return Some(text.len() - near.len());
    }
    text.match_indices(near)
        .map(|(at, _)| at)
        .take(256)
        .find(|&at| {
            let prefix = &text[..at + near.len()];
            matches!(pg_query::parse(prefix, 0), Err(pg_query::Error::Parse(m)) if m == message)
        })
}
