//! `$jsonSchema`: the keywords that MongoDB takes from draft 4, with `bsonType`.

use super::TypeSet;
use crate::document::display::render;
use crate::document::error::{DocResult, code, fail};
use crate::document::number::Number;
use crate::document::order::{compare, equal};
use crate::document::pattern;
use crate::document::raw::*;
use std::cmp::Ordering;

/// A compiled schema: every condition must hold.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    types: Option<TypeSet>,
    values: Option<Vec<BsonBuf>>,
    number: NumberRules,
    text: TextRules,
    object: ObjectRules,
    array: ArrayRules,
    all_of: Vec<Schema>,
    any_of: Option<Vec<Schema>>,
    one_of: Option<Vec<Schema>>,
    not: Option<Box<Schema>>,
}

#[derive(Clone, Debug, Default)]
struct NumberRules {
    minimum: Option<(BsonBuf, bool)>,
    maximum: Option<(BsonBuf, bool)>,
    multiple_of: Option<BsonBuf>,
}

#[derive(Clone, Debug, Default)]
struct TextRules {
    min: Option<i64>,
    max: Option<i64>,
    pattern: Option<::regex::Regex>,
}

#[derive(Clone, Debug, Default)]
struct ObjectRules {
    properties: Vec<(String, Schema)>,
    patterns: Vec<(::regex::Regex, Schema)>,
    additional: Additional,
    required: Vec<String>,
    min: Option<i64>,
    max: Option<i64>,
    dependencies: Vec<(String, Dependency)>,
}

#[derive(Clone, Debug, Default)]
struct ArrayRules {
    items: Items,
    additional: Additional,
    min: Option<i64>,
    max: Option<i64>,
    unique: bool,
}

#[derive(Clone, Debug, Default)]
enum Additional {
    #[default]
    Anything,
    Nothing,
    Schema(Box<Schema>),
}

#[derive(Clone, Debug, Default)]
enum Items {
    #[default]
    Anything,
    Each(Box<Schema>),
    Positions(Vec<Schema>),
}

#[derive(Clone, Debug)]
enum Dependency {
    Names(Vec<String>),
    Schema(Box<Schema>),
}

impl Schema {
    pub fn compile(schema: Bson<'_>) -> DocResult<Schema> {
        if !schema.is_document() {
            fail!(code::TYPE_MISMATCH, "$jsonSchema must be an object");
        }
        let mut out = Schema::default();
        for (keyword, value) in schema.fields() {
            out.keyword(keyword, value, schema)?;
        }
        Ok(out)
    }

    fn keyword(&mut self, keyword: &str, value: Bson<'_>, schema: Bson<'_>) -> DocResult<()> {
        match keyword {
            "type" | "bsonType" => {
                if !schema.get("type").is_missing() && !schema.get("bsonType").is_missing() {
                    fail!(
                        code::FAILED_TO_PARSE,
                        "Cannot specify both $jsonSchema keywords 'type' and 'bsonType'"
                    );
                }
                self.types = Some(types(keyword, value)?);
            }
            "enum" => {
                array_of_at_least(keyword, value, 1)?;
                let values: Vec<BsonBuf> = value.elements().map(Bson::to_buf).collect();
                check_distinct(keyword, &values)?;
                self.values = Some(values);
            }
            "minimum" | "maximum" => {
                number(keyword, value)?;
                let (exclusive_name, bound) = if keyword == "minimum" {
                    ("exclusiveMinimum", &mut self.number.minimum)
                } else {
                    ("exclusiveMaximum", &mut self.number.maximum)
                };
                *bound = Some((value.to_buf(), schema.get(exclusive_name).truthy()));
            }
            "exclusiveMinimum" | "exclusiveMaximum" => {
                boolean(keyword, value)?;
                let base = if keyword == "exclusiveMinimum" {
                    "minimum"
                } else {
                    "maximum"
                };
                if schema.get(base).is_missing() {
                    fail!(
                        code::FAILED_TO_PARSE,
                        "$jsonSchema keyword '{base}' must be a present if {keyword} is present"
                    );
                }
            }
            "multipleOf" => {
                let number = number(keyword, value)?;
                if number.is_nan() || number.to_f64() <= 0.0 || !number.is_finite() {
                    fail!(
                        code::FAILED_TO_PARSE,
                        "$jsonSchema keyword 'multipleOf' must have a positive value"
                    );
                }
                self.number.multiple_of = Some(value.to_buf());
            }
            "minLength" => self.text.min = Some(count(keyword, value)?),
            "maxLength" => self.text.max = Some(count(keyword, value)?),
            "pattern" => {
                let Some(text) = value.as_str().filter(|_| value.tag == STRING) else {
                    fail!(
                        code::TYPE_MISMATCH,
                        "$jsonSchema keyword 'pattern' must be a string"
                    );
                };
                self.text.pattern = Some(pattern::compile(text, "", 51091)?);
            }
            "allOf" => self.all_of = schemas(keyword, value)?,
            "anyOf" => self.any_of = Some(schemas(keyword, value)?),
            "oneOf" => self.one_of = Some(schemas(keyword, value)?),
            "not" => self.not = Some(Box::new(nested(keyword, value)?)),
            "title" | "description" => {
                if value.tag != STRING {
                    fail!(
                        code::TYPE_MISMATCH,
                        "$jsonSchema keyword '{keyword}' must be of type string"
                    );
                }
            }
            _ => {
                if !self.object.keyword(keyword, value)? && !self.array.keyword(keyword, value)? {
                    match keyword {
                        "$ref" | "$schema" | "default" | "definitions" | "format" | "id" => fail!(
                            code::FAILED_TO_PARSE,
                            "$jsonSchema keyword '{keyword}' is not currently supported"
                        ),
                        _ => fail!(
                            code::FAILED_TO_PARSE,
                            "Unknown $jsonSchema keyword: {keyword}"
                        ),
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a value satisfies the schema.
    pub fn accepts(&self, value: Bson<'_>) -> bool {
        let typed = self
            .types
            .as_ref()
            .is_none_or(|types| types.0.contains(&value.tag));
        let listed = self
            .values
            .as_ref()
            .is_none_or(|values| values.iter().any(|v| equal(v.as_bson(), value)));
        typed
            && listed
            && (!value.is_number() || self.number.accepts(value))
            && (value.tag != STRING || self.text.accepts(value))
            && (value.tag != DOCUMENT || self.object.accepts(value))
            && (value.tag != ARRAY || self.array.accepts(value))
            && self.all_of.iter().all(|s| s.accepts(value))
            && self
                .any_of
                .as_ref()
                .is_none_or(|any| any.iter().any(|s| s.accepts(value)))
            && self
                .one_of
                .as_ref()
                .is_none_or(|one| one.iter().filter(|s| s.accepts(value)).count() == 1)
            && self.not.as_ref().is_none_or(|not| !not.accepts(value))
    }
}

impl NumberRules {
    fn accepts(&self, value: Bson<'_>) -> bool {
        let within = |bound: &Option<(BsonBuf, bool)>, wrong: Ordering| {
            bound.as_ref().is_none_or(|(limit, exclusive)| {
                let order = compare(value, limit.as_bson());
                order != wrong && (order != Ordering::Equal || !exclusive)
            })
        };
        let multiple = self.multiple_of.as_ref().is_none_or(|unit| {
            match (Number::of(value), Number::of(unit.as_bson())) {
                (Some(v), Some(unit)) => {
                    let rest = v.widen_exactly().modulo(unit.widen_exactly());
                    rest.is_zero()
                }
                _ => false,
            }
        });
        within(&self.minimum, Ordering::Less)
            && within(&self.maximum, Ordering::Greater)
            && multiple
    }
}

impl TextRules {
    fn accepts(&self, value: Bson<'_>) -> bool {
        let text = value.as_str().unwrap_or("");
        let len = || text.chars().count() as i64;
        self.min.is_none_or(|min| len() >= min)
            && self.max.is_none_or(|max| len() <= max)
            && self.pattern.as_ref().is_none_or(|p| p.is_match(text))
    }
}

impl ObjectRules {
    fn keyword(&mut self, keyword: &str, value: Bson<'_>) -> DocResult<bool> {
        match keyword {
            "properties" => {
                object(keyword, value)?;
                for (name, schema) in value.fields() {
                    self.properties
                        .push((name.to_owned(), property(keyword, name, schema)?));
                }
            }
            "patternProperties" => {
                object(keyword, value)?;
                for (name, schema) in value.fields() {
                    let regex = pattern::compile(name, "", 51091)?;
                    self.patterns
                        .push((regex, property(keyword, name, schema)?));
                }
            }
            "additionalProperties" => self.additional = additional(keyword, value)?,
            "required" => {
                array_of_at_least(keyword, value, 1)?;
                self.required = names(keyword, value)?;
            }
            "minProperties" => self.min = Some(count(keyword, value)?),
            "maxProperties" => self.max = Some(count(keyword, value)?),
            "dependencies" => {
                object(keyword, value)?;
                for (name, dependency) in value.fields() {
                    let dependency = if dependency.is_array() {
                        array_of_at_least(keyword, dependency, 1)?;
                        Dependency::Names(names(keyword, dependency)?)
                    } else {
                        Dependency::Schema(Box::new(property(keyword, name, dependency)?))
                    };
                    self.dependencies.push((name.to_owned(), dependency));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn accepts(&self, value: Bson<'_>) -> bool {
        let len = || value.len() as i64;
        let has = |name: &String| !value.get(name).is_missing();
        self.required.iter().all(has)
            && self.min.is_none_or(|min| len() >= min)
            && self.max.is_none_or(|max| len() <= max)
            && value.fields().all(|(name, v)| self.accepts_field(name, v))
            && self
                .dependencies
                .iter()
                .filter(|(name, _)| has(name))
                .all(|(_, dependency)| match dependency {
                    Dependency::Names(names) => names.iter().all(has),
                    Dependency::Schema(schema) => schema.accepts(value),
                })
    }

    fn accepts_field(&self, name: &str, value: Bson<'_>) -> bool {
        let mut known = false;
        for (_, schema) in self.properties.iter().filter(|(n, _)| n == name) {
            known = true;
            if !schema.accepts(value) {
                return false;
            }
        }
        for (_, schema) in self.patterns.iter().filter(|(p, _)| p.is_match(name)) {
            known = true;
            if !schema.accepts(value) {
                return false;
            }
        }
        known || self.additional.accepts(value)
    }
}

impl ArrayRules {
    fn keyword(&mut self, keyword: &str, value: Bson<'_>) -> DocResult<bool> {
        match keyword {
            "items" => {
                self.items = if value.is_array() {
                    let mut positions = Vec::new();
                    for schema in value.elements() {
                        positions.push(nested(keyword, schema)?);
                    }
                    Items::Positions(positions)
                } else {
                    Items::Each(Box::new(nested(keyword, value)?))
                };
            }
            "additionalItems" => self.additional = additional(keyword, value)?,
            "minItems" => self.min = Some(count(keyword, value)?),
            "maxItems" => self.max = Some(count(keyword, value)?),
            "uniqueItems" => {
                boolean(keyword, value)?;
                self.unique = value.truthy();
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn accepts(&self, value: Bson<'_>) -> bool {
        let len = || value.len() as i64;
        let items = match &self.items {
            Items::Anything => true,
            Items::Each(schema) => value.elements().all(|v| schema.accepts(v)),
            Items::Positions(schemas) => {
                value
                    .elements()
                    .enumerate()
                    .all(|(i, v)| match schemas.get(i) {
                        Some(schema) => schema.accepts(v),
                        None => self.additional.accepts(v),
                    })
            }
        };
        let unique = || {
            let mut values: Vec<Bson<'_>> = value.elements().collect();
            values.sort_by(|a, b| compare(*a, *b));
            values.windows(2).all(|pair| !equal(pair[0], pair[1]))
        };
        items
            && self.min.is_none_or(|min| len() >= min)
            && self.max.is_none_or(|max| len() <= max)
            && (!self.unique || unique())
    }
}

impl Additional {
    fn accepts(&self, value: Bson<'_>) -> bool {
        match self {
            Additional::Anything => true,
            Additional::Nothing => false,
            Additional::Schema(schema) => schema.accepts(value),
        }
    }
}

fn types(keyword: &str, value: Bson<'_>) -> DocResult<TypeSet> {
    let mut out = TypeSet::default();
    let aliases: Vec<Bson<'_>> = if value.is_array() {
        value.elements().collect()
    } else {
        vec![value]
    };
    if aliases.is_empty() {
        fail!(
            code::FAILED_TO_PARSE,
            "$jsonSchema keyword '{keyword}' must name at least one type"
        );
    }
    let mut seen: Vec<&str> = Vec::new();
    for alias in aliases {
        let Some(name) = alias.as_str().filter(|_| alias.tag == STRING) else {
            fail!(
                code::TYPE_MISMATCH,
                "$jsonSchema keyword '{keyword}' must be either a string or an array of strings"
            );
        };
        if seen.contains(&name) {
            fail!(
                code::FAILED_TO_PARSE,
                "$jsonSchema keyword '{keyword}' has duplicate value: {name}"
            );
        }
        seen.push(name);
        if name == "integer" {
            fail!(
                code::FAILED_TO_PARSE,
                "$jsonSchema type 'integer' is not currently supported."
            );
        }
        if keyword == "type" {
            match name {
                "boolean" => out.0.push(BOOL),
                "object" | "array" | "number" | "string" | "null" => out.add_alias(name)?,
                _ => fail!(code::BAD_VALUE, "Unknown type name alias: {name}"),
            }
        } else {
            out.add_alias(name)?;
        }
    }
    Ok(out)
}

fn number(keyword: &str, value: Bson<'_>) -> DocResult<Number> {
    match Number::of(value) {
        Some(number) => Ok(number),
        None => fail!(
            code::TYPE_MISMATCH,
            "$jsonSchema keyword '{keyword}' must be a number"
        ),
    }
}

fn count(keyword: &str, value: Bson<'_>) -> DocResult<i64> {
    match number(keyword, value)?.to_exact_i64() {
        Some(v) if v >= 0 => Ok(v),
        Some(_) => fail!(
            code::FAILED_TO_PARSE,
            "Expected a non-negative number in: {keyword}: {}",
            render(value)
        ),
        None => fail!(
            code::FAILED_TO_PARSE,
            "Expected an integer: {keyword}: {}",
            render(value)
        ),
    }
}

fn boolean(keyword: &str, value: Bson<'_>) -> DocResult<()> {
    if value.tag != BOOL {
        fail!(
            code::TYPE_MISMATCH,
            "$jsonSchema keyword '{keyword}' must be a boolean"
        );
    }
    Ok(())
}

fn object(keyword: &str, value: Bson<'_>) -> DocResult<()> {
    if !value.is_document() {
        fail!(
            code::TYPE_MISMATCH,
            "$jsonSchema keyword '{keyword}' must be an object"
        );
    }
    Ok(())
}

fn array_of_at_least(keyword: &str, value: Bson<'_>, least: usize) -> DocResult<()> {
    if !value.is_array() {
        fail!(
            code::TYPE_MISMATCH,
            "$jsonSchema keyword '{keyword}' must be an array, but found an element of type {}",
            value.type_name()
        );
    }
    if value.len() < least {
        fail!(
            code::FAILED_TO_PARSE,
            "$jsonSchema keyword '{keyword}' cannot be an empty array"
        );
    }
    Ok(())
}

fn check_distinct(keyword: &str, values: &[BsonBuf]) -> DocResult<()> {
    for (i, value) in values.iter().enumerate() {
        if values[..i]
            .iter()
            .any(|v| equal(v.as_bson(), value.as_bson()))
        {
            fail!(
                code::FAILED_TO_PARSE,
                "$jsonSchema keyword '{keyword}' array cannot contain duplicate values."
            );
        }
    }
    Ok(())
}

fn names(keyword: &str, value: Bson<'_>) -> DocResult<Vec<String>> {
    let mut out: Vec<String> = Vec::new();
    for name in value.elements() {
        let Some(name) = name.as_str().filter(|_| name.tag == STRING) else {
            fail!(
                code::TYPE_MISMATCH,
                "$jsonSchema keyword '{keyword}' must be an array of strings, but found an element of type: {}",
                name.type_name()
            );
        };
        if out.iter().any(|n| n == name) {
            fail!(
                code::FAILED_TO_PARSE,
                "$jsonSchema keyword '{keyword}' array cannot contain duplicate values"
            );
        }
        out.push(name.to_owned());
    }
    Ok(out)
}

fn schemas(keyword: &str, value: Bson<'_>) -> DocResult<Vec<Schema>> {
    array_of_at_least(keyword, value, 1)?;
    value
        .elements()
        .map(|schema| nested(keyword, schema))
        .collect()
}

fn nested(keyword: &str, value: Bson<'_>) -> DocResult<Schema> {
    object(keyword, value)?;
    Schema::compile(value)
}

fn property(keyword: &str, name: &str, value: Bson<'_>) -> DocResult<Schema> {
    if !value.is_document() {
        fail!(
            code::TYPE_MISMATCH,
            "Nested schema for $jsonSchema {keyword} '{name}' must be an object"
        );
    }
    Schema::compile(value)
}

fn additional(keyword: &str, value: Bson<'_>) -> DocResult<Additional> {
    match value.tag {
        BOOL if value.truthy() => Ok(Additional::Anything),
        BOOL => Ok(Additional::Nothing),
        DOCUMENT => Ok(Additional::Schema(Box::new(Schema::compile(value)?))),
        _ => fail!(
            code::TYPE_MISMATCH,
            "$jsonSchema keyword '{keyword}' must be either an object or a boolean, but got a {}",
            value.type_name()
        ),
    }
}
