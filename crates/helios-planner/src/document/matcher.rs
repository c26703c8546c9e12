//! Filters: whether a document satisfies a query such as `{age: {$gt: 30}, "a.b": 1}`.
//!
//! A filter is compiled once and evaluated on raw bytes. Comparisons are bracketed by type: `$gt`
//! with a number is true for numbers only. An array satisfies a test when the array itself or any
//! of its elements does; `$ne`, `$nin` and `$not` are complements over the whole document. There
//! is no third truth value: a missing field equals null and nothing else.

mod parse;
pub mod schema;

use super::error::DocResult;
use super::expression::Expression;
use super::number::Number;
use super::order::{compare, equal, rank};
use super::path::{Leaf, Path, visit};
use super::raw::*;
use regex::Regex;
use std::cmp::Ordering;
use std::sync::Arc;

/// A compiled filter.
#[derive(Clone, Debug)]
pub enum Matcher {
    Constant(bool),
    And(Vec<Matcher>),
    Or(Vec<Matcher>),
    Nor(Vec<Matcher>),
    Not(Box<Matcher>),
    Field { path: Path, test: Test },
    Expression(Arc<Expression>),
    Schema(Arc<schema::Schema>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What is asked of the values at a path.
#[derive(Clone, Debug)]
pub enum Test {
    Equal(BsonBuf),
    Compare(Comparison, BsonBuf),
    /// Values in BSON order, and patterns.
    In(Arc<[BsonBuf]>, Arc<[Pattern]>),
    Pattern(Pattern),
    Exists,
    Type(TypeSet),
    Size(i64),
    Mod {
        divisor: i64,
        remainder: i64,
    },
    /// An element that is a document which matches.
    ElementDocument(Box<Matcher>),
    /// An element for which all tests hold.
    ElementValue(Box<Matcher>),
    Bits {
        kind: Bits,
        mask: BitMask,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    AllSet,
    AllClear,
    AnySet,
    AnyClear,
}

/// Bit positions in ascending order.
#[derive(Clone, Debug)]
pub struct BitMask(pub Arc<[u64]>);

/// Types by tag.
#[derive(Clone, Debug, Default)]
pub struct TypeSet(pub Vec<u8>);

/// A regular expression and the text it was made from.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub source: String,
    pub options: String,
    pub regex: Arc<Regex>,
}

impl Matcher {
    /// Compiles a filter document.
    pub fn compile(filter: Bson<'_>) -> DocResult<Matcher> {
        parse::filter(filter)
    }

    pub fn matches(&self, document: Bson<'_>) -> DocResult<bool> {
        self.evaluate(document, &mut None)
    }

    /// Whether the document matches, and the array position that the positional operator takes.
    pub fn matches_at(&self, document: Bson<'_>) -> DocResult<(bool, Option<usize>)> {
        let mut index = None;
        let matched = self.evaluate(document, &mut index)?;
        Ok((matched, index))
    }

    fn evaluate(&self, document: Bson<'_>, index: &mut Option<usize>) -> DocResult<bool> {
        match self {
            Matcher::Constant(v) => Ok(*v),
            Matcher::And(parts) => {
                for part in parts {
                    if !part.evaluate(document, index)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Matcher::Or(parts) => {
                for part in parts {
                    if part.evaluate(document, &mut None)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Matcher::Nor(parts) => {
                for part in parts {
                    if part.evaluate(document, &mut None)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Matcher::Not(part) => Ok(!part.evaluate(document, &mut None)?),
            Matcher::Field { path, test } => test.at_path(document, path, index),
            Matcher::Expression(expression) => {
                Ok(expression.evaluate(document)?.as_bson().truthy())
            }
            Matcher::Schema(schema) => Ok(schema.accepts(document)),
        }
    }

    /// Whether every document matches.
    pub fn is_always_true(&self) -> bool {
        match self {
            Matcher::Constant(v) => *v,
            Matcher::And(parts) => parts.iter().all(Matcher::is_always_true),
            _ => false,
        }
    }
}

/// The condition of `$pull`: operators on an element, or a filter for elements that are documents.
#[derive(Clone, Debug)]
pub enum ValueTest {
    Value(Matcher),
    Document(Matcher),
}

impl ValueTest {
    pub fn compile(condition: Bson<'_>) -> DocResult<ValueTest> {
        parse::value_condition(condition)
    }

    pub fn matches(&self, value: Bson<'_>) -> DocResult<bool> {
        match self {
            ValueTest::Document(matcher) => {
                Ok((value.is_document() || value.is_array()) && matcher.matches(value)?)
            }
            // As the field of a document, so that an element that is an array is looked through.
            ValueTest::Value(matcher) => {
                let mut holder = Writer::with_capacity(value.bytes.len() + 8);
                holder.put("", value);
                matcher.matches(Bson::document(&holder.finish()))
            }
        }
    }
}

impl Test {
    fn leaf(&self) -> Leaf {
        match self {
            Test::Size(_) | Test::ElementDocument(_) | Test::ElementValue(_) | Test::Exists => {
                Leaf::Whole
            }
            _ => Leaf::Elements,
        }
    }

    fn at_path(
        &self,
        document: Bson<'_>,
        path: &Path,
        index: &mut Option<usize>,
    ) -> DocResult<bool> {
        // The empty path is the value itself: tests inside $elemMatch and $pull.
        if path.parts.is_empty() {
            let leaf = Leaf::Whole;
            return self.over(document, &[], leaf, index);
        }
        self.over(document, &path.parts, self.leaf(), index)
    }

    fn over(
        &self,
        document: Bson<'_>,
        parts: &[Box<str>],
        leaf: Leaf,
        index: &mut Option<usize>,
    ) -> DocResult<bool> {
        let mut failure = None;
        let matched = visit(document, parts, leaf, &mut |value, at| {
            let mut inner = None;
            match self.holds(value, &mut inner) {
                Ok(true) => {
                    // The last condition on an array decides.
                    *index = at.or(inner).or(*index);
                    true
                }
                Ok(false) => false,
                Err(error) => {
                    failure = Some(error);
                    true
                }
            }
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(matched),
        }
    }

    /// Whether the test holds for one value.
    fn holds(&self, value: Bson<'_>, index: &mut Option<usize>) -> DocResult<bool> {
        Ok(match self {
            Test::Equal(operand) => equals(value, operand.as_bson()),
            Test::Compare(comparison, operand) => compares(value, *comparison, operand.as_bson()),
            Test::In(values, patterns) => {
                is_in(value, values) || patterns.iter().any(|p| p.accepts(value))
            }
            Test::Pattern(pattern) => pattern.accepts(value),
            Test::Exists => !value.is_missing(),
            Test::Type(types) => types.0.contains(&value.tag),
            Test::Size(size) => value.is_array() && value.len() as i64 == *size,
            Test::Mod { divisor, remainder } => Number::of(value)
                .filter(|n| n.is_finite())
                .and_then(Number::to_truncated_i64)
                .is_some_and(|v| v.wrapping_rem(*divisor) == *remainder),
            Test::ElementDocument(matcher) => {
                return any_element(value, index, |v| {
                    Ok((v.is_document() || v.is_array()) && matcher.matches(v)?)
                });
            }
            Test::ElementValue(matcher) => {
                return any_element(value, index, |v| matcher.matches(v));
            }
            Test::Bits { kind, mask } => mask.test(*kind, value),
        })
    }
}

fn any_element<'a>(
    value: Bson<'a>,
    index: &mut Option<usize>,
    mut test: impl FnMut(Bson<'a>) -> DocResult<bool>,
) -> DocResult<bool> {
    if !value.is_array() {
        return Ok(false);
    }
    for (i, element) in value.elements().enumerate() {
        if test(element)? {
            *index = Some(i);
            return Ok(true);
        }
    }
    Ok(false)
}

fn equals(value: Bson<'_>, operand: Bson<'_>) -> bool {
    if operand.tag == NULL {
        return value.is_nullish();
    }
    !value.is_missing() && equal(value, operand)
}

/// A comparison as filters make it: only among values of the operand's type.
pub(super) fn compares(value: Bson<'_>, comparison: Comparison, operand: Bson<'_>) -> bool {
    use Comparison::*;
    let inclusive = matches!(comparison, LessOrEqual | GreaterOrEqual);
    if operand.tag == NULL {
        return inclusive && value.is_nullish();
    }
    if value.is_missing() {
        return false;
    }
    let extreme = matches!(operand.tag, MIN_KEY | MAX_KEY);
    if !extreme && rank(value.tag) != rank(operand.tag) {
        return false;
    }
    let nan = |v: Bson<'_>| Number::of(v).is_some_and(Number::is_nan);
    if nan(value) || nan(operand) {
        return inclusive && nan(value) && nan(operand);
    }
    match compare(value, operand) {
        Ordering::Equal => inclusive,
        Ordering::Less => matches!(comparison, Less | LessOrEqual),
        Ordering::Greater => matches!(comparison, Greater | GreaterOrEqual),
    }
}

/// Whether a value is among others, which are in order.
pub(super) fn is_in(value: Bson<'_>, values: &[BsonBuf]) -> bool {
    let value = if value.is_nullish() {
        Bson::NULL
    } else {
        value
    };
    values
        .binary_search_by(|v| compare(v.as_bson(), value))
        .is_ok()
}

impl Pattern {
    pub fn accepts(&self, value: Bson<'_>) -> bool {
        match value.tag {
            STRING | SYMBOL => value.as_str().is_some_and(|s| self.regex.is_match(s)),
            REGEX => value.as_regex() == Some((&self.source, &self.options)),
            _ => false,
        }
    }
}

impl BitMask {
    fn test(&self, kind: Bits, value: Bson<'_>) -> bool {
        let bit: Box<dyn Fn(u64) -> bool + '_> = match value.tag {
            BINARY => {
                let (_, bytes) = value.as_binary().unwrap_or((0, &[]));
                Box::new(move |position| {
                    let byte = usize::try_from(position / 8)
                        .ok()
                        .and_then(|i| bytes.get(i));
                    byte.is_some_and(|b| b >> (position % 8) & 1 == 1)
                })
            }
            _ => match Number::of(value).and_then(Number::to_exact_i64) {
                Some(v) => Box::new(move |position| v >> position.min(63) & 1 == 1),
                None => return false,
            },
        };
        match kind {
            Bits::AllSet => self.0.iter().all(|p| bit(*p)),
            Bits::AllClear => self.0.iter().all(|p| !bit(*p)),
            Bits::AnySet => self.0.iter().any(|p| bit(*p)),
            Bits::AnyClear => self.0.iter().any(|p| !bit(*p)),
        }
    }
}
