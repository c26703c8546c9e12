//! Keyset pagination: the order of a page, and the cursor that continues it.
//!
//! A cursor is base64 of a JSON object with the sort key of the page's last row, and `"~":"prev"`
//! when it goes backwards. The primary key ends every order, so that a position is unique.

use crate::error::{Failure, Result};
use crate::target::{Target, quote};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use helios_types::{Type, Value};
use serde_json::{Map, Value as Json};

/// Marks a cursor that goes backwards; no column can be mistaken for it by accident.
const DIRECTION: &str = "~";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey {
    pub column: String,
    pub ty: Type,
    pub descending: bool,
    pub nullable: bool,
}

/// The columns of `order_by` (a leading `-` is descending), and the primary key behind them.
pub fn order(target: &Target, order_by: Option<&str>) -> Result<Vec<SortKey>> {
    let mut keys: Vec<SortKey> = Vec::new();
    let columns = target.columns();
    let mut push = |name: &str, descending: bool| -> Result<()> {
        target.check_column(name)?;
        if keys.iter().any(|k| k.column == name) {
            return Ok(());
        }
        let ty = columns
            .iter()
            .find(|(column, _)| *column == name)
            .map_or(Type::TEXT, |(_, ty)| *ty);
        let nullable = !target.is_not_null(name) && !target.key().contains(&name);
        keys.push(SortKey {
            column: name.to_owned(),
            ty,
            descending,
            nullable,
        });
        Ok(())
    };
    for item in order_by
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        match item.strip_prefix('-') {
            Some(name) => push(name, true)?,
            None => push(item, false)?,
        }
    }
    for name in target.key() {
        push(name, false)?;
    }
    Ok(keys)
}

/// The text behind ORDER BY; `backwards` turns it round.
pub fn order_sql(keys: &[SortKey], backwards: bool) -> String {
    // NULLs are larger than everything, as in PostgreSQL: last ascending, first descending.
    let item = |k: &SortKey| {
        format!(
            "{}{}",
            quote(&k.column),
            if k.descending != backwards {
                " DESC"
            } else {
                ""
            }
        )
    };
    keys.iter().map(item).collect::<Vec<_>>().join(", ")
}

pub struct Position {
    values: Vec<Json>,
    pub backwards: bool,
}

/// Reads a cursor made for the same order.
pub fn decode(cursor: &str, keys: &[SortKey]) -> Result<Position> {
    let invalid = || Failure::field("\"cursor\" is not a cursor of this list and order");
    // Clients may have lost the padding.
    let bytes = BASE64
        .decode(cursor)
        .or_else(|_| {
            base64::engine::general_purpose::STANDARD_NO_PAD.decode(cursor.trim_end_matches('='))
        })
        .map_err(|_| invalid())?;
    let fields: Map<String, Json> = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
    let backwards = fields.get(DIRECTION).and_then(Json::as_str) == Some("prev");
    if fields.len() != keys.len() + usize::from(fields.contains_key(DIRECTION)) {
        return Err(invalid());
    }
    let values = keys
        .iter()
        .map(|k| {
            fields
                .get(&k.column)
                .filter(|v| !v.is_array() && !v.is_object())
                .cloned()
                .ok_or_else(invalid)
        })
        .collect::<Result<_>>()?;
    Ok(Position { values, backwards })
}

/// The cursor at a row whose sort key has these values.
pub fn encode(keys: &[SortKey], values: &[Value], backwards: bool) -> helios_types::Result<String> {
    let mut out = b"{".to_vec();
    for (key, value) in keys.iter().zip(values) {
        if out.len() > 1 {
            out.push(b',');
        }
        crate::json::write_str(&mut out, &key.column);
        out.push(b':');
        crate::json::write_value(&mut out, key.ty, &value.as_ref())?;
    }
    if backwards {
        out.extend_from_slice(format!(",\"{DIRECTION}\":\"prev\"").as_bytes());
    }
    out.push(b'}');
    Ok(BASE64.encode(out))
}

/// The condition "behind this position", with its parameters added to `params`.
pub fn condition(keys: &[SortKey], position: &Position, params: &mut Vec<Json>) -> String {
    let mut alternatives = Vec::new();
    let mut equal = String::new();
    for (key, value) in keys.iter().zip(&position.values) {
        let column = quote(&key.column);
        let descending = key.descending != position.backwards;
        let behind = match (value.is_null(), descending) {
            // Nothing is behind NULL when NULLs come last; everything else is when they come first.
            (true, false) => None,
            (true, true) => Some(format!("{column} IS NOT NULL")),
            (false, true) => Some(format!("{column} < ${}", params.len() + 1)),
            (false, false) if key.nullable => Some(format!(
                "({column} > ${} OR {column} IS NULL)",
                params.len() + 1
            )),
            (false, false) => Some(format!("{column} > ${}", params.len() + 1)),
        };
        if let Some(behind) = behind {
            alternatives.push(format!("({equal}{behind})"));
        }
        let same = if value.is_null() {
            format!("{column} IS NULL")
        } else {
            params.push(value.clone());
            format!("{column} = ${}", params.len())
        };
        equal = format!("{equal}{same} AND ");
    }
    if alternatives.is_empty() {
        "false".to_owned()
    } else {
        format!("({})", alternatives.join(" OR "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(column: &str, descending: bool, nullable: bool) -> SortKey {
        SortKey {
            column: column.to_owned(),
            ty: Type::INT4,
            descending,
            nullable,
        }
    }

    /// Order, values of the position, direction; condition.
    #[test]
    fn the_condition_is_everything_behind_the_position() {
        let cases: &[(&[SortKey], &[Option<i32>], bool, &str)] = &[
            (
                &[key("id", false, false)],
                &[Some(5)],
                false,
                "((\"id\" > $1))",
            ),
            (
                &[key("id", false, false)],
                &[Some(5)],
                true,
                "((\"id\" < $1))",
            ),
            (
                &[key("a", true, true), key("id", false, false)],
                &[Some(1), Some(5)],
                false,
                "((\"a\" < $1) OR (\"a\" = $1 AND \"id\" > $2))",
            ),
            (
                &[key("a", false, true), key("id", false, false)],
                &[Some(1), Some(5)],
                false,
                "(((\"a\" > $1 OR \"a\" IS NULL)) OR (\"a\" = $1 AND \"id\" > $2))",
            ),
            (
                &[key("a", false, true), key("id", false, false)],
                &[None, Some(5)],
                false,
                "((\"a\" IS NULL AND \"id\" > $1))",
            ),
        ];
        for (keys, values, backwards, expected) in cases {
            let values: Vec<Value> = values.iter().map(|v| Value::from(*v)).collect();
            let position = decode(&encode(keys, &values, *backwards).unwrap(), keys).unwrap();
            assert_eq!(position.backwards, *backwards);
            assert_eq!(condition(keys, &position, &mut Vec::new()), *expected);
        }
    }

    #[test]
    fn the_cursor_of_the_contract_is_read() {
        let keys = [key("id", false, false)];
        let position = decode("eyJpZCI6MjV9", &keys).unwrap();
        let mut params = Vec::new();
        condition(&keys, &position, &mut params);
        assert_eq!(params, [Json::from(25)]);
        for bad in ["", "x", "eyJhIjoxfQ==", "W10="] {
            assert!(decode(bad, &keys).is_err(), "{bad}");
        }
    }
}
