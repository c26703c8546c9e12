//! Variables of `let`: a specification with their values in place of their names.
//!
//! `let` of a command or of `$lookup` gives values that are known before the specification is
//! compiled. So `"$$name.path"` becomes `{$literal: value}` wherever an expression may stand; in a
//! filter that is below `$expr` only. A name that an operator or stage binds itself (`$let`, `$map`,
//! `$filter`, `$reduce`, `$lookup`) hides the outer one inside of it.

use super::path::{Path, lookup};
use super::raw::*;

/// What a specification is: where in it expressions stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Filter,
    Expression,
}

/// The specification with variables replaced; `variables` is a document of names and values.
pub fn bind(spec: Bson<'_>, variables: Bson<'_>, place: Place) -> BsonBuf {
    let names: Vec<&str> = variables.fields().map(|(name, _)| name).collect();
    if names.is_empty() {
        return spec.to_buf();
    }
    let binder = Binder { variables };
    let mut holder = Writer::with_capacity(spec.bytes.len() + 64);
    binder.value("", spec, place, &names, &mut holder);
    Bson::document(&holder.finish()).get("").to_buf()
}

struct Binder<'a> {
    variables: Bson<'a>,
}

impl Binder<'_> {
    fn value(&self, name: &str, value: Bson<'_>, place: Place, visible: &[&str], out: &mut Writer) {
        match value.tag {
            DOCUMENT => {
                out.start_document(name);
                self.fields(value, place, visible, out);
                out.end();
            }
            ARRAY => {
                out.start_array(name);
                for (index, element) in value.fields() {
                    self.value(index, element, place, visible, out);
                }
                out.end();
            }
            STRING if place == Place::Expression => match self.variable(value, visible) {
                Some(found) => {
                    out.start_document(name);
                    out.put("$literal", found.as_bson()).end();
                }
                None => {
                    out.put(name, value);
                }
            },
            _ => {
                out.put(name, value);
            }
        }
    }

    fn fields(&self, document: Bson<'_>, place: Place, visible: &[&str], out: &mut Writer) {
        for (name, value) in document.fields() {
            match name {
                "$literal" if place == Place::Expression => {
                    out.put(name, value);
                }
                "$expr" if place == Place::Filter => {
                    self.value(name, value, Place::Expression, visible, out);
                }
                // A nested filter, as in the pipeline of a `$lookup` inside.
                "$match" => self.value(name, value, Place::Filter, visible, out),
                "$let" | "$map" | "$filter" | "$reduce" | "$lookup"
                    if place == Place::Expression =>
                {
                    self.scope(name, value, visible, out);
                }
                _ => self.value(name, value, place, visible, out),
            }
        }
    }

    /// An operator that binds names of its own for one of its arguments.
    fn scope(&self, operator: &str, argument: Bson<'_>, visible: &[&str], out: &mut Writer) {
        let own: Vec<&str> = match operator {
            "$let" => argument.get("vars").fields().map(|(n, _)| n).collect(),
            "$reduce" => vec!["this", "value"],
            "$lookup" => argument.get("let").fields().map(|(n, _)| n).collect(),
            _ => vec![argument.get("as").as_str().unwrap_or("this")],
        };
        let inside: Vec<&str> = visible
            .iter()
            .copied()
            .filter(|n| !own.contains(n))
            .collect();
        out.start_document(operator);
        for (name, value) in argument.fields() {
            let visible = match name {
                "in" | "cond" | "pipeline" => inside.as_slice(),
                _ => visible,
            };
            self.value(name, value, Place::Expression, visible, out);
        }
        out.end();
    }

    /// The value of `"$$name"` or `"$$name.path"`, when the name is one of these variables.
    fn variable(&self, text: Bson<'_>, visible: &[&str]) -> Option<BsonBuf> {
        let reference = text.as_str()?.strip_prefix("$$")?;
        let (name, path) = match reference.split_once('.') {
            Some((name, path)) => (name, Some(path)),
            None => (reference, None),
        };
        if !visible.contains(&name) {
            return None;
        }
        let value = self.variables.get(name);
        let found = match path {
            None => value.to_buf(),
            Some(path) => lookup(value, &Path::new(path).parts).as_bson().to_buf(),
        };
        Some(if found.as_bson().is_missing() {
            BsonBuf::null()
        } else {
            found
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bson(json: &str) -> BsonBuf {
        let parsed = helios_types::Jsonb::parse(json).expect("JSON");
        let value: Bson<'_> = parsed.as_ref().into();
        value.to_buf()
    }

    #[test]
    fn names_become_literals_where_an_expression_stands_and_nowhere_else() {
        let variables = bson(r#"{"x": 5, "d": {"k": "v"}}"#);
        let cases = [
            (
                Place::Expression,
                r#"{"a": "$$x"}"#,
                r#"{"a": {"$literal": 5}}"#,
            ),
            (
                Place::Expression,
                r#"{"a": "$$d.k"}"#,
                r#"{"a": {"$literal": "v"}}"#,
            ),
            (
                Place::Expression,
                r#"{"a": "$$d.z"}"#,
                r#"{"a": {"$literal": null}}"#,
            ),
            (
                Place::Expression,
                r#"{"a": "$$ROOT"}"#,
                r#"{"a": "$$ROOT"}"#,
            ),
            (
                Place::Expression,
                r#"{"$literal": "$$x"}"#,
                r#"{"$literal": "$$x"}"#,
            ),
            (Place::Filter, r#"{"a": "$$x"}"#, r#"{"a": "$$x"}"#),
            (
                Place::Filter,
                r#"{"$or": [{"$expr": {"$eq": ["$a", "$$x"]}}]}"#,
                r#"{"$or": [{"$expr": {"$eq": ["$a", {"$literal": 5}]}}]}"#,
            ),
            (
                Place::Expression,
                r#"{"$let": {"vars": {"x": "$$x"}, "in": "$$x"}}"#,
                r#"{"$let": {"in": "$$x", "vars": {"x": {"$literal": 5}}}}"#,
            ),
            (
                Place::Expression,
                r#"{"$map": {"input": "$$x", "as": "x", "in": "$$x"}}"#,
                r#"{"$map": {"as": "x", "in": "$$x", "input": {"$literal": 5}}}"#,
            ),
        ];
        for (place, spec, expected) in cases {
            let (spec, expected) = (bson(spec), bson(expected));
            let bound = bind(spec.as_bson(), variables.as_bson(), place);
            assert_eq!(
                format!("{:?}", bound.as_bson()),
                format!("{:?}", expected.as_bson())
            );
        }
    }
}
