//! Simple-protocol text with its literals taken out, so that statements which differ only in
//! values share one template and are neither parsed nor bound again.
//!
//! Only tokens are looked at, so the rule is to mask a literal only where its neighbours prove
//! that a typed parameter means the same, and otherwise to give up: the exact text is then the
//! key. Statements of one SELECT, INSERT, UPDATE or DELETE are considered; a literal is left in
//! place where its value could decide names, types or structure (after ORDER BY and GROUP BY,
//! next to a cast or a type name, in a select list, in FROM's function arguments and so on).

use helios_types::{Result, Type, Value};
use pg_query::protobuf::Token;

/// A masked statement.
#[derive(Clone, Debug)]
pub struct Normalised {
    /// The text with `$1`, `$2`, … for the literals taken out.
    pub text: String,
    /// Their values in order. A string literal is `UNKNOWN`: its text is read by the input function
    /// of the type that the template gives the parameter.
    pub literals: Vec<(Value, Type)>,
}

/// Longest text that is scanned; longer ones are rarely repeated.
const TEXT_MAX: usize = 16 * 1024;
const LITERALS_MAX: usize = 1000;

/// The clause that the scan is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Region {
    /// Literals stay.
    Fixed,
    /// Literals are values: WHERE, SET, VALUES, LIMIT.
    Values,
}

/// The text with its literals masked; `None` when its exact text is the only safe key.
pub fn normalise(text: &str) -> Result<Option<Normalised>> {
    if text.len() > TEXT_MAX {
        return Ok(None);
    }
    let Ok(scanned) = pg_query::scan(text) else {
        return Ok(None);
    };
    let tokens: Vec<(Token, usize, usize)> = scanned
        .tokens
        .iter()
        .map(|t| (t.token(), t.start as usize, t.end as usize))
        .filter(|(t, ..)| !matches!(t, Token::SqlComment | Token::CComment))
        .collect();
    let tokens = match tokens.split_last() {
        Some(((Token::Ascii59, ..), rest)) => rest,
        _ => &tokens[..],
    };
    match tokens.first().map(|t| t.0) {
        Some(Token::Select | Token::Insert | Token::Update | Token::DeleteP) => {}
        _ => return Ok(None),
    }
    mask(text, tokens)
}

fn mask(text: &str, tokens: &[(Token, usize, usize)]) -> Result<Option<Normalised>> {
    let mut masked = Normalised {
        text: String::with_capacity(text.len()),
        literals: Vec::new(),
    };
    let mut copied = 0;
    // One region for each open parenthesis.
    let mut regions = vec![Region::Fixed];
    for (i, &(token, start, end)) in tokens.iter().enumerate() {
        let previous = i.checked_sub(1).map(|p| tokens[p].0);
        let next = tokens.get(i + 1).map(|t| t.0);
        match token {
            // Statements that already have parameters, or several statements: not here.
            Token::Param | Token::Ascii59 => return Ok(None),
            Token::Ascii40 => {
                let inherited = regions.last().copied().unwrap_or(Region::Fixed);
                // What a function or type name precedes stays as it is: the literal's type may
                // choose the function, or be a length.
                let call =
                    matches!(previous, Some(Token::Ident)) || previous.is_some_and(is_name_keyword);
                let values = matches!(previous, Some(Token::Values | Token::InP | Token::Ascii44))
                    && inherited == Region::Values
                    || matches!(previous, Some(Token::Values));
                regions.push(if values {
                    Region::Values
                } else if call {
                    Region::Fixed
                } else {
                    inherited
                });
            }
            Token::Ascii41 => {
                regions.pop();
                if regions.is_empty() {
                    return Ok(None);
                }
            }
            Token::Where
            | Token::Set
            | Token::Values
            | Token::Limit
            | Token::Offset
            | Token::Having => {
                set_region(
                    &mut regions,
                    if token == Token::Having {
                        Region::Fixed
                    } else {
                        Region::Values
                    },
                );
            }
            Token::Select
            | Token::From
            | Token::Join
            | Token::On
            | Token::Using
            | Token::Order
            | Token::GroupP
            | Token::Returning
            | Token::Union
            | Token::Intersect
            | Token::Except
            | Token::Window
            | Token::For
            | Token::Fetch
            | Token::With
            | Token::Conflict
            | Token::Into => {
                set_region(&mut regions, Region::Fixed);
            }
            Token::Iconst | Token::Fconst | Token::Sconst
                if regions.last() == Some(&Region::Values) && maskable(token, previous, next) =>
            {
                let Some(literal) = value(token, &text[start..end]) else {
                    continue;
                };
                if masked.literals.len() == LITERALS_MAX {
                    return Ok(None);
                }
                // A minus sign before the literal is an operator on the parameter; the smallest
                // integers would then be out of range, so only a plain place is taken.
                masked.text.push_str(&text[copied..start]);
                masked.literals.push(literal);
                let number = masked.literals.len();
                masked.text.push('$');
                masked.text.push_str(&number.to_string());
                copied = end;
            }
            _ => {}
        }
    }
    if masked.literals.is_empty() || regions.len() != 1 {
        return Ok(None);
    }
    masked.text.push_str(&text[copied..]);
    Ok(Some(masked))
}

fn set_region(regions: &mut [Region], region: Region) {
    if let Some(last) = regions.last_mut() {
        *last = region;
    }
}

/// Keywords that can be a function's or type's name before a parenthesis.
fn is_name_keyword(token: Token) -> bool {
    !matches!(
        token,
        Token::InP
            | Token::And
            | Token::Or
            | Token::Not
            | Token::Where
            | Token::Set
            | Token::Values
            | Token::Ascii40
            | Token::Ascii44
            | Token::Ascii61
            | Token::Ascii60
            | Token::Ascii62
            | Token::Ascii43
            | Token::Ascii45
            | Token::Ascii42
            | Token::Ascii47
            | Token::LessEquals
            | Token::GreaterEquals
            | Token::NotEquals
            | Token::Op
            | Token::Limit
            | Token::Offset
            | Token::Between
            | Token::Like
            | Token::Ilike
    )
}

/// Whether a literal between these tokens is an operand whose type follows from the other side.
fn maskable(token: Token, previous: Option<Token>, next: Option<Token>) -> bool {
    let before = matches!(
        previous,
        Some(
            Token::Ascii61
                | Token::Ascii60
                | Token::Ascii62
                | Token::LessEquals
                | Token::GreaterEquals
                | Token::NotEquals
                | Token::Ascii40
                | Token::Ascii44
                | Token::Limit
                | Token::Offset
                | Token::Between
                | Token::And
        )
    ) || (matches!(previous, Some(Token::Ascii43 | Token::Ascii45))
        && token != Token::Sconst)
        || (matches!(previous, Some(Token::Like | Token::Ilike)) && token == Token::Sconst);
    let after = match next {
        None => true,
        Some(
            Token::Ascii41
            | Token::Ascii44
            | Token::And
            | Token::Or
            | Token::Where
            | Token::Returning
            | Token::Limit
            | Token::Offset
            | Token::Order
            | Token::GroupP
            | Token::For
            | Token::On
            | Token::From,
        ) => true,
        Some(_) => false,
    };
    before && after
}

/// The literal's value as the grammar types it.
fn value(token: Token, text: &str) -> Option<(Value, Type)> {
    match token {
        Token::Iconst | Token::Fconst => super::literal::number(text).ok(),
        Token::Sconst => {
            // Only plain quotes: escapes, dollar quotes and continued strings keep their text.
            let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
            let plain = inner.replace("''", "\u{0}");
            if plain.contains('\'') {
                return None;
            }
            Some((Value::from(plain.replace('\u{0}', "'")), Type::UNKNOWN))
        }
        _ => None,
    }
}
