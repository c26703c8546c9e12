//! Making rows: values of the catalogs' types, rows by column name, facts from COPY text.

use super::{Request, Row};
use helios_planner::catalog::{Grant, VirtualTable};
use helios_types::array::Dimension;
use helios_types::text::{TextContext, parse_text};
use helios_types::{Array, ObjectId, Type, Value};
use std::sync::Arc;

pub(super) fn oid(id: ObjectId) -> Value {
    Value::Oid(id.0)
}

pub(super) fn text(s: impl AsRef<str>) -> Value {
    Value::text(s)
}

pub(super) fn optional(s: Option<impl AsRef<str>>) -> Value {
    s.map_or(Value::Null, Value::text)
}

/// `"char"`; zero is the empty string.
pub(super) fn letter(c: char) -> Value {
    Value::Char(u8::try_from(c).unwrap_or(0))
}

pub(super) const EMPTY_LETTER: Value = Value::Char(0);

pub(super) fn int2(n: usize) -> Value {
    Value::Int2(i16::try_from(n).unwrap_or(i16::MAX))
}

/// `YES` or `NO`, the information schema's booleans.
pub(super) fn yes_no(b: bool) -> Value {
    Value::text(if b { "YES" } else { "NO" })
}

pub(super) fn array(element: Type, values: Vec<Value>) -> Value {
    Value::Array(Arc::new(Array::from_values(element.oid, values)))
}

/// The array of positions as attribute numbers.
pub(super) fn attnums(positions: impl IntoIterator<Item = usize>) -> Value {
    array(
        Type::INT2,
        positions.into_iter().map(|p| int2(p + 1)).collect(),
    )
}

/// `int2vector` or `oidvector`: numbered from zero.
pub(super) fn vector(element: Type, values: Vec<Value>) -> Value {
    let dimensions = vec![Dimension {
        len: values.len() as u32,
        lower: 0,
    }];
    Value::Array(Arc::new(Array {
        element: element.oid,
        dimensions: if values.is_empty() {
            Vec::new()
        } else {
            dimensions
        },
        values,
    }))
}

/// A row of which only some columns are not NULL.
pub(super) fn named(table: &VirtualTable, values: Vec<(&str, Value)>) -> Row {
    let mut row = vec![Value::Null; table.columns.len()];
    for (name, value) in values {
        if let Some(position) = table.columns.iter().position(|(column, _)| column == name)
            && let Some(place) = row.get_mut(position)
        {
            *place = value;
        }
    }
    row
}

/// Rows in COPY's text format, without escapes but `\N`.
pub(super) fn parse_rows(data: &str, columns: &[(String, Type)]) -> Vec<Row> {
    let context = TextContext::default();
    data.lines()
        .map(|line| {
            line.split('\t')
                .zip(columns)
                .map(|(field, (_, ty))| match field {
                    "\\N" => Value::Null,
                    // Functions are written as OIDs here.
                    field if ty.is_oid_like() => Value::Oid(field.parse().unwrap_or(0)),
                    field => parse_text(*ty, field, &context).unwrap_or_default(),
                })
                .collect()
        })
        .collect()
}

/// Grants as an ACL: `role=letters/grantor`, the owner's own rights first. NULL is the default.
pub(super) fn acl(
    request: &Request<'_>,
    owner: ObjectId,
    owner_letters: &str,
    grants: &[Grant],
) -> Value {
    if grants.is_empty() {
        return Value::Null;
    }
    let name = |role: ObjectId| {
        if role == ObjectId(0) {
            String::new()
        } else {
            request.role_name(role).to_owned()
        }
    };
    let mut items = Vec::with_capacity(grants.len() + 1);
    if !grants.iter().any(|g| g.role == owner) {
        items.push(Value::from(format!("{0}={owner_letters}/{0}", name(owner))));
    }
    for grant in grants {
        let letters: String = grant
            .privileges
            .chars()
            .flat_map(|c| [Some(c), grant.grantable.then_some('*')])
            .flatten()
            .collect();
        items.push(Value::from(format!(
            "{}={letters}/{}",
            name(grant.role),
            name(grant.grantor)
        )));
    }
    array(Type::ACLITEM, items)
}
