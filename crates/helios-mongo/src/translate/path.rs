//! Conditions on documents that the key or an index can answer.
//!
//! Each is a document function that says of a path what the operator says, so that nothing is lost
//! where no index is chosen. Null, arrays and patterns have more than one meaning there, and a
//! number in a path may be a field or a position: these stay in the filter.

use super::column::{equality, is_operators};
use super::relation::literal;
use super::{Collection, Params};
use helios_planner::document::number::Number;
use helios_planner::document::raw::*;

/// Adds what can be said of one field of a filter; whether that is all of it.
pub(super) fn indexed(
    collection: &Collection,
    name: &str,
    operand: Bson<'_>,
    alias: &str,
    params: &mut Params,
    conditions: &mut Vec<String>,
) -> bool {
    if name == "$and" && operand.is_array() {
        return operand.elements().fold(true, |complete, clause| {
            let fields = clause.fields();
            clause.is_document()
                && fields.fold(complete, |complete, (name, operand)| {
                    indexed(collection, name, operand, alias, params, conditions) && complete
                })
                && complete
        });
    }
    if !has_index(collection, name) {
        return false;
    }
    let path = Subject { name, alias };
    let value = equality(operand);
    if !is_operators(value) {
        let condition = path.equal(value, params);
        let found = condition.is_some();
        conditions.extend(condition);
        return found;
    }
    let mut complete = true;
    for (operator, argument) in operand.fields() {
        let condition = path.operator(operator, argument, params);
        complete &= condition.is_some();
        conditions.extend(condition);
    }
    complete
}

/// Whether the key or an index has this path, and no part of it is a number.
pub(super) fn has_index(collection: &Collection, path: &str) -> bool {
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    collection.is_document()
        && !path.starts_with('$')
        && !path.split('.').any(number)
        && (path == "_id" || collection.is_indexed(path))
}

struct Subject<'a> {
    name: &'a str,
    alias: &'a str,
}

impl Subject<'_> {
    fn call(&self, function: &str, arguments: &str) -> String {
        let path = literal(self.name);
        format!("{function}({}.doc, {path}, {arguments})", self.alias)
    }

    fn equal(&self, value: Bson<'_>, params: &mut Params) -> Option<String> {
        if matches!(value.tag, REGEX | NULL | UNDEFINED | ARRAY) {
            return None;
        }
        let value = params.bson(value);
        Some(match self.name {
            "_id" => format!("bson_id_equals({}.doc, {value})", self.alias),
            _ => self.call("bson_path_equals", &value),
        })
    }

    fn operator(&self, operator: &str, argument: Bson<'_>, params: &mut Params) -> Option<String> {
        let sign = match operator {
            "$eq" => return self.equal(argument, params),
            "$in" => {
                let plain = |v: Bson<'_>| !matches!(v.tag, REGEX | UNDEFINED | ARRAY);
                let all = argument.is_array() && argument.elements().all(plain);
                return all.then(|| self.call("bson_path_in", &params.bson(argument)));
            }
            "$gt" => ">",
            "$gte" => ">=",
            "$lt" => "<",
            "$lte" => "<=",
            _ => return None,
        };
        let nan = Number::of(argument).is_some_and(Number::is_nan);
        let ordered = matches!(
            argument.tag,
            INT32 | INT64 | DOUBLE | DECIMAL | STRING | OBJECT_ID | BOOL | DATE | TIMESTAMP
        );
        (ordered && !nan).then(|| {
            let value = params.bson(argument);
            self.call("bson_path_range", &format!("'{sign}', {value}"))
        })
    }
}
