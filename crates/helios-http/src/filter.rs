//! The `filter` of rows: SQL text that must be one expression and nothing more.
//!
//! The text is put in parentheses behind WHERE. It is refused before that unless its own
//! parentheses balance, it has no `;`, comment, dollar quote or parameter, none of the keywords
//! that every subquery needs, and calls no function with side effects. What passes can then only
//! parse as one expression over the columns of the row.

use crate::error::{Failure, Result};
use helios_planner::function::{Volatility, registry};

/// Keywords that begin a query inside an expression. All but `values` are reserved in PostgreSQL,
/// so a column of that name must be quoted anyway.
const QUERY_KEYWORDS: &[&str] = &["select", "with", "table", "values"];
/// Volatile functions that change nothing.
const HARMLESS: &[&str] = &["random", "clock_timestamp", "timeofday", "gen_random_uuid"];

pub fn check(filter: &str) -> Result<()> {
    if filter.trim().is_empty() {
        return Err(Failure::field("\"filter\" is empty"));
    }
    let mut depth = 0_usize;
    let mut rest = filter;
    let mut last_word: Option<String> = None;
    while let Some(c) = rest.chars().next() {
        let length = token_length(rest, c)?;
        let (token, after) = rest.split_at(length);
        rest = after;
        match c {
            '(' => {
                if let Some(word) = &last_word {
                    check_function(word)?;
                }
                depth += 1;
            }
            ')' => depth = depth.checked_sub(1).ok_or_else(unbalanced)?,
            _ => {}
        }
        if is_word_start(c) {
            let word = token.to_ascii_lowercase();
            if QUERY_KEYWORDS.contains(&word.as_str()) {
                return Err(refused(&format!("keyword \"{word}\"")));
            }
            last_word = Some(word);
        } else if c == '"' {
            last_word = Some(token.trim_matches('"').replace("\"\"", "\""));
        } else if !c.is_whitespace() {
            last_word = None;
        }
    }
    if depth == 0 {
        Ok(())
    } else {
        Err(unbalanced())
    }
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || !c.is_ascii()
}

/// Bytes of the token that `text` starts with.
fn token_length(text: &str, first: char) -> Result<usize> {
    let next = text[first.len_utf8()..].chars().next();
    match (first, next) {
        (';', _) => Err(refused("\";\"")),
        ('-', Some('-')) | ('/', Some('*')) => Err(refused("a comment")),
        ('$', _) => Err(refused("\"$\"")),
        // The prefix changes how backslashes and quotes are read.
        ('e' | 'E' | 'b' | 'B' | 'x' | 'X' | 'n' | 'N', Some('\'')) | ('u' | 'U', Some('&')) => {
            Err(refused("a string with a prefix"))
        }
        ('\'', _) => quoted_length(text, '\''),
        ('"', _) => quoted_length(text, '"'),
        (c, _) if is_word_start(c) => Ok(text
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()))
            .unwrap_or(text.len())),
        (c, _) => Ok(c.len_utf8()),
    }
}

fn quoted_length(text: &str, quote: char) -> Result<usize> {
    // A doubled quote ends one piece and begins the next, which comes to the same length.
    match text[1..].find(quote) {
        Some(end) => Ok(end + 2),
        None => Err(Failure::field("\"filter\" has an unterminated quote")),
    }
}

fn check_function(name: &str) -> Result<()> {
    let defs = registry().functions_named(name);
    if defs.iter().any(|f| f.volatility == Volatility::Volatile) && !HARMLESS.contains(&name) {
        return Err(refused(&format!("function {name}()")));
    }
    Ok(())
}

fn refused(what: &str) -> Failure {
    Failure::field(format!(
        "{what} is not allowed in \"filter\": one expression over the table's columns is expected"
    ))
}

fn unbalanced() -> Failure {
    Failure::field("the parentheses of \"filter\" do not balance")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_passes() {
        for filter in [
            "status='active'",
            "status = 'pending' AND created_at < '2025-12-01'",
            "(a + 1) * 2 > b OR name IN ('x''y', ')')",
            "\"select\" = 1 and lower(name) like 'a;%'",
            "deleted_at IS NULL",
            "\"a\"\"(\" = 2",
            "größe > 1",
        ] {
            assert!(check(filter).is_ok(), "{filter}");
        }
    }

    #[test]
    fn more_than_an_expression_is_refused() {
        for filter in [
            "",
            "a = 1; drop table users",
            "a = (select 1)",
            "a IN (VALUES (1))",
            "1=1) UNION (TABLE secrets",
            "a = 1 -- b",
            "a = 1 /* b */",
            "a = $1",
            "a = $$x$$",
            "(a = 1",
            "a = 'x",
            "a = e'\\'' or 1 = 1",
            "u&\"x\" = 1",
        ] {
            assert!(check(filter).is_err(), "{filter}");
        }
    }
}
