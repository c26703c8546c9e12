//! Names of built-in types: `format_type`, and the reading of names with their modifiers.

use crate::interval::fields;
use crate::types::{BUILTIN, info};
use crate::{Error, Result, Type, bail, error};
use std::fmt::Write;

/// The name of a type with its modifier, as SQL writes it: `character varying(10)[]`.
pub fn format_type(ty: Type) -> String {
    // The vectors are arrays only in their representation.
    let is_vector = matches!(ty.oid, 22 | 30);
    if let (Some(element), false) = (ty.element(), is_vector) {
        let mut name = format_type(element);
        name.push_str("[]");
        return name;
    }
    let Some(info) = info(ty.oid) else {
        return if ty.oid == 0 {
            "-".to_owned()
        } else {
            "???".to_owned()
        };
    };
    let modifier = ty.modifier;
    match Type::new(ty.oid) {
        Type::BPCHAR if modifier < 0 => "bpchar".to_owned(),
        Type::BPCHAR | Type::VARCHAR if modifier >= 4 => {
            format!("{}({})", info.display, modifier - 4)
        }
        Type::NUMERIC => match ty.numeric_precision_scale() {
            Some((precision, scale)) => format!("numeric({precision},{scale})"),
            None => info.display.to_owned(),
        },
        Type::TIME | Type::TIMETZ | Type::TIMESTAMP | Type::TIMESTAMPTZ if modifier >= 0 => {
            // The precision stands after the first word.
            let (head, tail) = info.display.split_once(' ').unwrap_or((info.display, ""));
            format!("{head}({modifier}) {tail}")
        }
        Type::INTERVAL if modifier >= 0 => format_interval(modifier),
        _ => info.display.to_owned(),
    }
}

const INTERVAL_FIELDS: [(i32, &str); 13] = [
    (fields::YEAR, "year"),
    (fields::MONTH, "month"),
    (fields::DAY, "day"),
    (fields::HOUR, "hour"),
    (fields::MINUTE, "minute"),
    (fields::SECOND, "second"),
    (fields::YEAR_TO_MONTH, "year to month"),
    (fields::DAY_TO_HOUR, "day to hour"),
    (fields::DAY_TO_MINUTE, "day to minute"),
    (fields::DAY_TO_SECOND, "day to second"),
    (fields::HOUR_TO_MINUTE, "hour to minute"),
    (fields::HOUR_TO_SECOND, "hour to second"),
    (fields::MINUTE_TO_SECOND, "minute to second"),
];

fn format_interval(modifier: i32) -> String {
    let range = (modifier >> 16) & 0x7fff;
    let mut out = "interval".to_owned();
    if let Some((_, name)) = INTERVAL_FIELDS.iter().find(|(mask, _)| *mask == range) {
        let _ = write!(out, " {name}");
    }
    let precision = modifier & 0xffff;
    if precision != 0xffff {
        let _ = write!(out, "({precision})");
    }
    out
}

/// Reads the name of a built-in type as SQL writes it, with aliases, modifiers and array
/// brackets: `int`, `varchar(10)`, `timestamp(3) with time zone`, `pg_catalog.int4[]`.
pub fn parse_type_name(name: &str) -> Result<Type> {
    let undefined = || error!(UndefinedObject, "type \"{}\" does not exist", name.trim());
    if name.len() > 256 {
        return Err(undefined());
    }
    let words = split_words(name).ok_or_else(undefined)?;
    let mut rest: &[Word] = &words;
    if let [Word::Name(schema), Word::Symbol('.'), tail @ ..] = rest {
        if schema != "pg_catalog" {
            return Err(undefined());
        }
        rest = tail;
    }
    let array = strip_array(&mut rest);
    if let [Word::Quoted(quoted)] = rest {
        return array_if(
            by_catalog_name(quoted).ok_or_else(undefined)?,
            array,
            undefined,
        );
    }
    let (words, modifiers) = take_modifiers(rest).ok_or_else(undefined)?;
    let phrase = words.join(" ");
    if let Some(range) = phrase.strip_prefix("interval") {
        let ty = interval_type(range.trim(), &modifiers).ok_or_else(undefined)?;
        return array_if(ty, array, undefined);
    }
    let ty = by_sql_name(&phrase)
        .or_else(|| by_catalog_name(&phrase))
        .ok_or_else(undefined)?;
    let ty = with_modifiers(ty, &phrase, &modifiers)?;
    array_if(ty, array, undefined)
}

fn array_if(ty: Type, array: bool, undefined: impl Fn() -> Error) -> Result<Type> {
    if array {
        ty.array_of().ok_or_else(undefined)
    } else {
        Ok(ty)
    }
}

#[derive(Debug, PartialEq)]
enum Word {
    /// In lower case.
    Name(String),
    Quoted(String),
    Number(i32),
    Symbol(char),
}

fn split_words(text: &str) -> Option<Vec<Word>> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_whitespace() {
            continue;
        }
        let mut word = String::from(c);
        if c == '"' {
            word.clear();
            loop {
                match chars.next()? {
                    '"' if chars.peek() == Some(&'"') => {
                        chars.next();
                        word.push('"');
                    }
                    '"' => break,
                    other => word.push(other),
                }
            }
            out.push(Word::Quoted(word));
        } else if c.is_ascii_digit() || c == '-' {
            while let Some(d) = chars.next_if(char::is_ascii_digit) {
                word.push(d);
            }
            out.push(Word::Number(word.parse().ok()?));
        } else if c.is_alphanumeric() || c == '_' {
            while let Some(d) = chars.next_if(|d| d.is_alphanumeric() || *d == '_') {
                word.push(d);
            }
            out.push(Word::Name(word.to_ascii_lowercase()));
        } else {
            out.push(Word::Symbol(c));
        }
    }
    Some(out)
}

/// Removes `[]`, `[3]` and `array` from the end.
fn strip_array(words: &mut &[Word]) -> bool {
    let mut found = false;
    loop {
        *words = match words {
            [head @ .., Word::Symbol('['), Word::Symbol(']')] => head,
            [
                head @ ..,
                Word::Symbol('['),
                Word::Number(_),
                Word::Symbol(']'),
            ] => head,
            [head @ .., Word::Name(last)] if last == "array" && !head.is_empty() => head,
            _ => return found,
        };
        found = true;
    }
}

/// The words without the parenthesised modifiers, and the modifiers.
fn take_modifiers(words: &[Word]) -> Option<(Vec<&str>, Vec<i32>)> {
    let mut names = Vec::new();
    let mut modifiers = Vec::new();
    let mut inside = false;
    for word in words {
        match word {
            Word::Name(name) if !inside => names.push(name.as_str()),
            Word::Symbol('(') if !inside && modifiers.is_empty() => inside = true,
            Word::Symbol(')') if inside => inside = false,
            Word::Symbol(',') if inside => {}
            Word::Number(n) if inside => modifiers.push(*n),
            _ => return None,
        }
    }
    (!inside && !names.is_empty()).then_some((names, modifiers))
}

/// Names that the grammar knows and the catalog does not.
fn by_sql_name(phrase: &str) -> Option<Type> {
    Some(match phrase {
        "boolean" => Type::BOOL,
        "smallint" => Type::INT2,
        "int" | "integer" => Type::INT4,
        "bigint" => Type::INT8,
        "real" => Type::FLOAT4,
        "float" | "double precision" => Type::FLOAT8,
        "decimal" | "dec" | "numeric" => Type::NUMERIC,
        "character varying"
        | "char varying"
        | "varchar"
        | "national character varying"
        | "national char varying"
        | "nchar varying" => Type::VARCHAR,
        "character" | "char" | "national character" | "national char" | "nchar" => {
            Type::BPCHAR.with_modifier(5)
        }
        "timestamp" | "timestamp without time zone" => Type::TIMESTAMP,
        "timestamp with time zone" => Type::TIMESTAMPTZ,
        "time" | "time without time zone" => Type::TIME,
        "time with time zone" => Type::TIMETZ,
        _ => return None,
    })
}

fn by_catalog_name(name: &str) -> Option<Type> {
    if let Some(element) = name.strip_prefix('_') {
        return by_catalog_name(element)?.array_of();
    }
    BUILTIN
        .iter()
        .find(|i| i.name == name)
        .map(|i| Type::new(i.oid))
}

fn interval_type(range: &str, modifiers: &[i32]) -> Option<Type> {
    let mask = match range {
        "" => fields::ALL,
        _ => INTERVAL_FIELDS.iter().find(|(_, name)| *name == range)?.0,
    };
    let precision = match modifiers {
        [] => 0xffff,
        [precision] if *precision >= 0 => (*precision).min(6),
        _ => return None,
    };
    if mask == fields::ALL && precision == 0xffff {
        return Some(Type::INTERVAL);
    }
    Some(Type::INTERVAL.with_modifier(mask << 16 | precision))
}

/// Packs the modifiers that follow a type's name; also what a parsed `CREATE TABLE` column needs.
fn with_modifiers(ty: Type, phrase: &str, modifiers: &[i32]) -> Result<Type> {
    let none = |ty: Type| match modifiers {
        [] => Ok(ty),
        _ => Err(error!(
            SyntaxError,
            "type modifier is not allowed for type \"{}\"",
            info(ty.oid).map_or("", |i| i.name)
        )),
    };
    match Type::new(ty.oid) {
        Type::FLOAT8 if phrase == "float" => match modifiers {
            [] => Ok(ty),
            [1..=24] => Ok(Type::FLOAT4),
            [25..=53] => Ok(Type::FLOAT8),
            [i32::MIN..=0] => bail!(
                InvalidParameterValue,
                "precision for type float must be at least 1 bit"
            ),
            _ => bail!(
                InvalidParameterValue,
                "precision for type float must be less than 54 bits"
            ),
        },
        Type::VARCHAR | Type::BPCHAR => match modifiers {
            [] => Ok(ty),
            [length] => Ok(Type::new(ty.oid).with_modifier(char_modifier(ty, *length)?)),
            _ => bail!(InvalidParameterValue, "invalid type modifier"),
        },
        Type::NUMERIC => Ok(ty.with_modifier(numeric_modifier(modifiers)?)),
        Type::TIME | Type::TIMETZ | Type::TIMESTAMP | Type::TIMESTAMPTZ => match modifiers {
            [] => Ok(ty),
            [precision] => Ok(ty.with_modifier(time_modifier(ty, *precision)?)),
            _ => bail!(InvalidParameterValue, "invalid type modifier"),
        },
        _ => none(ty),
    }
}

/// The modifier of `varchar(n)` and `char(n)`.
pub fn char_modifier(ty: Type, length: i32) -> Result<i32> {
    const LENGTH_MAX: i32 = 10 * 1024 * 1024;
    let name = if ty.oid == Type::BPCHAR.oid {
        "char"
    } else {
        "varchar"
    };
    if length < 1 {
        bail!(
            InvalidParameterValue,
            "length for type {name} must be at least 1"
        );
    }
    if length > LENGTH_MAX {
        bail!(
            InvalidParameterValue,
            "length for type {name} cannot exceed {LENGTH_MAX}"
        );
    }
    Ok(length + 4)
}

/// The modifier of `numeric`, `numeric(p)` and `numeric(p, s)`.
pub fn numeric_modifier(modifiers: &[i32]) -> Result<i32> {
    let (precision, scale) = match modifiers {
        [] => return Ok(-1),
        [precision] => (*precision, 0),
        [precision, scale] => (*precision, *scale),
        _ => bail!(InvalidParameterValue, "invalid NUMERIC type modifier"),
    };
    if !(1..=1000).contains(&precision) {
        bail!(
            InvalidParameterValue,
            "NUMERIC precision {precision} must be between 1 and 1000"
        );
    }
    if !(-1000..=1000).contains(&scale) {
        bail!(
            InvalidParameterValue,
            "NUMERIC scale {scale} must be between -1000 and 1000"
        );
    }
    Ok((precision << 16 | (scale & 0x7ff)) + 4)
}

/// The modifier of `time(p)` and `timestamp(p)`; more than six digits are six.
pub fn time_modifier(ty: Type, precision: i32) -> Result<i32> {
    if precision < 0 {
        let zone = if matches!(ty.oid, 1184 | 1266) {
            " WITH TIME ZONE"
        } else {
            ""
        };
        let name = if matches!(ty.oid, 1083 | 1266) {
            "TIME"
        } else {
            "TIMESTAMP"
        };
        bail!(
            InvalidParameterValue,
            "{name}({precision}){zone} precision must not be negative"
        );
    }
    Ok(precision.min(6))
}

/// The modifier of an interval with these fields (a mask of [`fields`]) and this precision.
pub fn interval_modifier(mask: i32, precision: Option<i32>) -> Result<i32> {
    match precision {
        Some(p) if p < 0 => {
            bail!(
                InvalidParameterValue,
                "INTERVAL({p}) precision must not be negative"
            )
        }
        None if mask == fields::ALL => Ok(-1),
        precision => Ok(mask << 16 | precision.map_or(0xffff, |p| p.min(6))),
    }
}
