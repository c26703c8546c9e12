//! Pipeline stages that make one document out of one document.

use super::display::render;
use super::error::{DocResult, fail};
use super::expression::Expression;
use super::projection::{Dialect, Projection};
use super::raw::*;

/// A compiled stage.
#[derive(Clone, Debug)]
pub enum Transform {
    Project(Projection),
    ReplaceRoot(Expression),
}

impl Transform {
    /// The stage of this name; `None` when it is of another kind.
    pub fn compile(name: &str, argument: Bson<'_>) -> DocResult<Option<Transform>> {
        Ok(Some(match name {
            "$project" => {
                if !argument.is_document() {
                    fail!(15969, "$project specification must be an object");
                }
                Transform::Project(Projection::compile(argument, Dialect::Stage)?)
            }
            "$addFields" | "$set" => Transform::Project(Projection::add_fields(argument)?),
            "$unset" => Transform::Project(Projection::unset(argument)?),
            "$replaceWith" => Transform::ReplaceRoot(Expression::compile(argument)?),
            "$replaceRoot" => {
                if !argument.is_document() {
                    fail!(
                        40229,
                        "expected an object as specification for $replaceRoot stage, got {}",
                        argument.type_name()
                    );
                }
                if let Some((other, _)) = argument.fields().find(|(n, _)| *n != "newRoot") {
                    fail!(
                        40415,
                        "BSON field '$replaceRoot.{other}' is an unknown field."
                    );
                }
                let root = argument.get("newRoot");
                if root.is_missing() {
                    fail!(40231, "no newRoot specified for the $replaceRoot stage");
                }
                Transform::ReplaceRoot(Expression::compile(root)?)
            }
            _ => return Ok(None),
        }))
    }

    pub fn apply(&self, document: Bson<'_>) -> DocResult<Vec<u8>> {
        match self {
            Transform::Project(projection) => projection.apply(document),
            Transform::ReplaceRoot(expression) => {
                let root = expression.evaluate(document)?;
                let value = root.as_bson();
                if !value.is_document() {
                    fail!(
                        40228,
                        "'newRoot' expression  must evaluate to an object, but resulting value was: {}. Type of resulting value: '{}'. Input document: {}",
                        render(value),
                        value.type_name(),
                        render(document)
                    );
                }
                Ok(value.bytes.to_vec())
            }
        }
    }
}

/// `$unwind`: one document for each element of an array.
#[derive(Clone, Debug)]
pub struct Unwind {
    pub path: super::path::Path,
    index: Option<String>,
    keep_empty: bool,
}

impl Unwind {
    pub fn compile(argument: Bson<'_>) -> DocResult<Unwind> {
        let mut index = None;
        let mut keep_empty = false;
        let path = match argument.tag {
            STRING => argument,
            DOCUMENT => {
                for (name, value) in argument.fields() {
                    match name {
                        "path" => {}
                        "preserveNullAndEmptyArrays" => {
                            if value.tag != BOOL {
                                fail!(
                                    28809,
                                    "expected a boolean for the preserveNullAndEmptyArrays option to $unwind stage, got {}",
                                    value.type_name()
                                );
                            }
                            keep_empty = value.truthy();
                        }
                        "includeArrayIndex" => match value
                            .as_str()
                            .filter(|s| value.tag == STRING && !s.is_empty())
                        {
                            Some(name) if name.starts_with('$') => fail!(
                                28822,
                                "includeArrayIndex option to $unwind stage should not be prefixed with a '$': {name}"
                            ),
                            Some(name) => index = Some(name.to_owned()),
                            None => fail!(
                                28810,
                                "expected a non-empty string for the includeArrayIndex  option to $unwind stage, got {}",
                                value.type_name()
                            ),
                        },
                        _ => fail!(28811, "unrecognized option to $unwind stage: {name}"),
                    }
                }
                argument.get("path")
            }
            _ => fail!(
                15981,
                "expected either a string or an object as specification for $unwind stage, got {}",
                argument.type_name()
            ),
        };
        if path.is_missing() {
            fail!(28812, "no path specified to $unwind stage");
        }
        let Some(text) = path.as_str().filter(|_| path.tag == STRING) else {
            fail!(
                28808,
                "expected a string as the path for $unwind stage, got {}",
                path.type_name()
            );
        };
        let Some(text) = text.strip_prefix('$').filter(|t| !t.is_empty()) else {
            fail!(
                28818,
                "path option to $unwind stage should be prefixed with a '$': {text}"
            );
        };
        Ok(Unwind {
            path: super::path::Path::new(text),
            index,
            keep_empty,
        })
    }

    pub fn apply(&self, document: Bson<'_>, out: &mut Vec<Vec<u8>>) {
        let mut value = document;
        for part in self.path.parts.iter() {
            value = if value.is_document() {
                value.get(part)
            } else {
                Bson::MISSING
            };
        }
        if value.is_array() && !value.is_empty() {
            for (i, element) in value.elements().enumerate() {
                out.push(self.make(document, Some(element), BsonBuf::int64(i as i64)));
            }
        } else if value.is_array() || value.is_nullish() {
            if self.keep_empty {
                let kept = if value.is_array() {
                    Bson::MISSING
                } else {
                    value
                };
                out.push(self.make(document, Some(kept), BsonBuf::null()));
            }
        } else {
            out.push(self.make(document, None, BsonBuf::null()));
        }
    }

    fn make(&self, document: Bson<'_>, element: Option<Bson<'_>>, index: BsonBuf) -> Vec<u8> {
        let mut made = match element {
            Some(element) => replace(document, &self.path.parts, element),
            None => document.bytes.to_vec(),
        };
        if let Some(name) = &self.index {
            let parts: Vec<Box<str>> = name.split('.').map(Box::from).collect();
            made = replace(Bson::document(&made), &parts, index.as_bson());
        }
        made
    }
}

/// The document with the value at a path of documents replaced; missing takes it away.
pub fn replace(document: Bson<'_>, parts: &[Box<str>], value: Bson<'_>) -> Vec<u8> {
    let Some((first, rest)) = parts.split_first() else {
        return document.bytes.to_vec();
    };
    let mut out = Writer::with_capacity(document.bytes.len() + value.bytes.len());
    let mut found = false;
    let put = |out: &mut Writer, inner: Bson<'_>| {
        if rest.is_empty() {
            out.put(first, value);
        } else {
            let inner = if inner.is_document() {
                inner
            } else {
                Bson::document(EMPTY)
            };
            out.put_document(first, &replace(inner, rest, value));
        }
    };
    for (name, inner) in document.fields() {
        if *name == **first && !found {
            found = true;
            put(&mut out, inner);
        } else {
            out.put(name, inner);
        }
    }
    if !found && !value.is_missing() {
        put(&mut out, Bson::MISSING);
    }
    out.finish()
}
