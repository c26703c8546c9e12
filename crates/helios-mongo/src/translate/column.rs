//! Filters split into predicates, and predicates on typed columns.
//!
//! MongoDB's comparisons have two truth values and are bracketed by type. A condition becomes a
//! column predicate only where SQL's answer is the same for every row; everything else stays in
//! the filter that is evaluated on the document.

use super::path::indexed;
use super::{Collection, Params, quote};
use helios_planner::document::raw::*;
use helios_types::conversion::from_bson;
use helios_types::{JsonbRef, Type, Value};

/// A filter split into predicates and the rest.
#[derive(Clone, Debug)]
pub struct Predicate {
    pub conditions: Vec<String>,
    /// What is left for `bson_match`; empty when nothing is.
    pub rest: Vec<u8>,
    /// Whether the conditions fix the whole key, so that one row at most is left.
    pub point: bool,
}

impl Predicate {
    pub fn split(
        collection: &Collection,
        filter: Bson<'_>,
        alias: &str,
        params: &mut Params,
    ) -> Predicate {
        let mut conditions = Vec::new();
        let mut rest = Writer::new();
        let mut point = false;
        // `_id` is the key unless a column that is not the key has this name.
        let id_is_key = collection.is_document()
            || collection.table.column("_id").is_none()
            || collection.key_names() == ["_id"];
        for (name, operand) in filter.fields() {
            let before = conditions.len();
            let complete = if collection.is_document() {
                indexed(collection, name, operand, alias, params, &mut conditions)
            } else {
                conditions.extend(relational(collection, name, operand, alias, params));
                conditions.len() > before
            };
            point |= id_is_key
                && name == "_id"
                && conditions.len() > before
                && !is_operators(equality(operand));
            if !complete {
                rest.put(name, operand);
            }
        }
        Predicate {
            conditions,
            rest: rest.finish(),
            point,
        }
    }
}

/// The `_id` that a filter asks for as a value, when it asks for nothing else.
pub fn id_alone(filter: Bson<'_>) -> Option<Bson<'_>> {
    let mut fields = filter.fields();
    let (name, value) = fields.next().filter(|_| filter.is_document())?;
    let has_key = !matches!(value.tag, REGEX | NULL | UNDEFINED | ARRAY) && !is_operators(value);
    (name == "_id" && has_key && fields.next().is_none()).then_some(value)
}

pub(super) fn is_operators(value: Bson<'_>) -> bool {
    value.is_document()
        && value
            .fields()
            .next()
            .is_some_and(|(n, _)| n.starts_with('$'))
}

/// The operand of `{path: operand}` or `{path: {$eq: operand}}`.
pub(super) fn equality(operand: Bson<'_>) -> Bson<'_> {
    let only = (operand.is_document() && operand.len() == 1).then(|| operand.get("$eq"));
    match only {
        Some(value) if !value.is_missing() => value,
        _ => operand,
    }
}

fn relational(
    collection: &Collection,
    name: &str,
    operand: Bson<'_>,
    alias: &str,
    params: &mut Params,
) -> Option<String> {
    if name == "_id" && collection.table.column("_id").is_none() {
        let key = collection.key_names();
        return match key.as_slice() {
            [] => None,
            [only] => column(collection, only, operand, alias, params),
            many => {
                // A composite key is given as a document with its columns in order.
                let names: Vec<&str> = operand.fields().map(|(n, _)| n).collect();
                if !operand.is_document() || names != *many {
                    return None;
                }
                let mut parts = Vec::new();
                for (name, value) in operand.fields() {
                    parts.push(column(collection, name, value, alias, params)?);
                }
                Some(parts.join(" AND "))
            }
        };
    }
    column(collection, name, operand, alias, params)
}

/// A condition on one column, when SQL decides it as MongoDB does.
fn column(
    collection: &Collection,
    name: &str,
    operand: Bson<'_>,
    alias: &str,
    params: &mut Params,
) -> Option<String> {
    let (_, definition) = collection.table.column(name)?;
    let column = Typed {
        text: format!("{alias}.{}", quote(name)),
        ty: definition.ty,
    };
    if !is_operators(operand) {
        return column.equal(operand, params);
    }
    // All of a field's operators go the same way, so that none is lost.
    let mut parts = Vec::new();
    let before = params.clone();
    for (operator, argument) in operand.fields() {
        match column.operator(operator, argument, params) {
            Some(part) => parts.push(part),
            None => {
                *params = before;
                return None;
            }
        }
    }
    Some(parts.join(" AND "))
}

struct Typed {
    text: String,
    ty: Type,
}

impl Typed {
    /// Types whose values SQL compares as BSON does: no NaN, no rounding, one order.
    fn is_ordered(&self) -> bool {
        [
            Type::INT2,
            Type::INT4,
            Type::INT8,
            Type::TEXT,
            Type::VARCHAR,
        ]
        .iter()
        .any(|ty| ty.oid == self.ty.oid)
    }

    fn has_equality(&self) -> bool {
        self.is_ordered()
            || [Type::BOOL, Type::UUID]
                .iter()
                .any(|ty| ty.oid == self.ty.oid)
    }

    /// The value in the column's type; `Err` when the column can never hold it.
    fn value(&self, operand: Bson<'_>) -> Result<Value, ()> {
        let value = from_bson(
            self.ty,
            JsonbRef {
                element: operand.tag,
                bytes: operand.bytes,
            },
        );
        value.map_err(|_| ())
    }

    fn equal(&self, operand: Bson<'_>, params: &mut Params) -> Option<String> {
        if operand.tag == NULL {
            return Some(format!("{} IS NULL", self.text));
        }
        if !self.has_equality() || matches!(operand.tag, REGEX | UNDEFINED | ARRAY | DOCUMENT) {
            return None;
        }
        match self.value(operand) {
            Ok(value) => Some(format!("{} = {}", self.text, params.push(self.ty, value))),
            Err(()) => Some("FALSE".to_owned()),
        }
    }

    fn operator(&self, operator: &str, argument: Bson<'_>, params: &mut Params) -> Option<String> {
        match operator {
            "$eq" => self.equal(argument, params),
            "$ne" if argument.tag == NULL => Some(format!("{} IS NOT NULL", self.text)),
            "$ne"
                if self.has_equality()
                    && !matches!(argument.tag, REGEX | UNDEFINED | ARRAY | DOCUMENT) =>
            {
                match self.value(argument) {
                    Ok(value) => Some(format!(
                        "{} IS DISTINCT FROM {}",
                        self.text,
                        params.push(self.ty, value)
                    )),
                    Err(()) => Some("TRUE".to_owned()),
                }
            }
            "$gt" | "$gte" | "$lt" | "$lte" => self.range(operator, argument, params),
            "$in" | "$nin" => self.membership(operator == "$nin", argument, params),
            "$exists" => Some(if argument.truthy() { "TRUE" } else { "FALSE" }.to_owned()),
            _ => None,
        }
    }

    fn range(&self, operator: &str, argument: Bson<'_>, params: &mut Params) -> Option<String> {
        let same_bracket = match argument.tag {
            STRING => self.ty.is_string(),
            INT32 | INT64 | DOUBLE | DECIMAL => !self.ty.is_string(),
            _ => false,
        };
        if !self.is_ordered() || !same_bracket {
            return None;
        }
        // A bound between two representable values is left to the document.
        let value = self.value(argument).ok()?;
        let sign = match operator {
            "$gt" => ">",
            "$gte" => ">=",
            "$lt" => "<",
            _ => "<=",
        };
        Some(format!(
            "({0} {sign} {1} AND {0} IS NOT NULL)",
            self.text,
            params.push(self.ty, value)
        ))
    }

    fn membership(&self, negated: bool, argument: Bson<'_>, params: &mut Params) -> Option<String> {
        if !self.has_equality() || !argument.is_array() {
            return None;
        }
        let mut null = false;
        let mut list = Vec::new();
        for element in argument.elements() {
            match element.tag {
                NULL => null = true,
                REGEX | ARRAY | DOCUMENT | UNDEFINED => return None,
                _ => {
                    if let Ok(value) = self.value(element) {
                        list.push(value);
                    }
                }
            }
        }
        let mut parts = Vec::new();
        if !list.is_empty() {
            let names: Vec<String> = list.into_iter().map(|v| params.push(self.ty, v)).collect();
            parts.push(format!(
                "({0} IN ({1}) AND {0} IS NOT NULL)",
                self.text,
                names.join(", ")
            ));
        }
        if null {
            parts.push(format!("{} IS NULL", self.text));
        }
        let any = if parts.is_empty() {
            "FALSE".to_owned()
        } else {
            format!("({})", parts.join(" OR "))
        };
        Some(if negated { format!("NOT {any}") } else { any })
    }
}
