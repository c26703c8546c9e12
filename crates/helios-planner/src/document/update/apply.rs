//! Applying changes to a document.

use super::operators::{Bit, Operation, Sorting};
use super::tree::Node;
use super::{Change, Context, Part};
use crate::document::display::render;
use crate::document::error::{DocResult, code, fail};
use crate::document::number::Number;
use crate::document::order::{compare, equal};
use crate::document::projection::slice_bounds;
use crate::document::raw::*;

pub(super) fn apply(
    changes: &[Change],
    document: Bson<'_>,
    context: &Context,
) -> DocResult<Vec<u8>> {
    let mut root = Node::Bytes(document);
    root.unpack();
    let mut state = Apply {
        document,
        context,
        moved: Vec::new(),
    };
    for change in changes {
        if matches!(change.operation, Operation::SetOnInsert(_)) && !context.inserting {
            continue;
        }
        state.walk(&mut root, &change.parts, change, "")?;
    }
    let mut moved = std::mem::take(&mut state.moved);
    moved.sort_by(|a, b| a.0.cmp(&b.0));
    for (path, value) in moved {
        if crosses_array(document, &path) {
            fail!(
                code::BAD_VALUE,
                "The destination field cannot be an array element, '{path}' in doc with {} has an array field on its path",
                id_of(document)
            );
        }
        root.set_path(&path, value)?;
    }
    root.settle();
    let out = root.to_buf();
    Ok(out.bytes.to_vec())
}

/// Whether a proper prefix of the path is an array.
fn crosses_array(document: Bson<'_>, path: &str) -> bool {
    let mut value = document;
    for part in path.split('.') {
        if value.is_array() {
            return true;
        }
        value = value.get(part);
    }
    false
}

fn id_of(document: Bson<'_>) -> String {
    format!("_id: {}", render(document.get("_id")))
}

struct Apply<'d> {
    document: Bson<'d>,
    context: &'d Context,
    /// Renamed values and where they go.
    moved: Vec<(String, BsonBuf)>,
}

impl<'d> Apply<'d> {
    fn walk(
        &mut self,
        node: &mut Node<'d>,
        parts: &[Part],
        change: &Change,
        parent: &str,
    ) -> DocResult<()> {
        let Some((first, rest)) = parts.split_first() else {
            return self.change(node, change);
        };
        let index: String;
        let name = match first {
            Part::Field(name) => &**name,
            Part::Matched => match self.context.matched {
                Some(at) => {
                    index = at.to_string();
                    &index
                }
                None => fail!(
                    code::BAD_VALUE,
                    "The positional operator did not find the match needed from the query."
                ),
            },
            Part::All | Part::Filtered(_) => return self.each(node, first, rest, change, parent),
        };
        let in_array = node.tag() == ARRAY;
        if let Operation::Rename(_) = change.operation
            && in_array
        {
            fail!(
                code::BAD_VALUE,
                "The source field cannot be an array element, '{}' in doc with {} has an array field called '{parent}'",
                change.path,
                id_of(self.document)
            );
        }
        if matches!(change.operation, Operation::Rename(_))
            && !matches!(node.tag(), DOCUMENT | MISSING)
        {
            fail!(
                code::PATH_NOT_VIABLE,
                "cannot use the part ({name} of {}) to traverse the element ({{{parent}: {:?}}})",
                change.path,
                node.to_buf()
            );
        }
        let create = creates(&change.operation);
        match node.child(name, create, parent)? {
            Some(child) => self.walk(child, rest, change, name),
            None => Ok(()),
        }
    }

    /// `$[]` and `$[name]`.
    fn each(
        &mut self,
        node: &mut Node<'d>,
        which: &Part,
        rest: &[Part],
        change: &Change,
        parent: &str,
    ) -> DocResult<()> {
        if node.tag() != ARRAY {
            if node.tag() == MISSING {
                fail!(
                    code::BAD_VALUE,
                    "The path '{}' must exist in the document in order to apply array updates.",
                    path_before(&change.path)
                );
            }
            fail!(
                code::BAD_VALUE,
                "Cannot apply array updates to non-array element {parent}: {}",
                render(node.to_buf().as_bson())
            );
        }
        node.unpack();
        let Node::Array(elements) = node else {
            return Ok(());
        };
        for element in elements {
            if let Part::Filtered(matcher) = which {
                // The filter speaks of the element by its identifier, whatever that is.
                let value = element.to_buf();
                let identifier = identifier_of(change, which);
                let mut holder = Writer::new();
                holder.put(&identifier, value.as_bson());
                if !matcher.matches(Bson::document(&holder.finish()))? {
                    continue;
                }
            }
            self.walk(element, rest, change, parent)?;
        }
        Ok(())
    }

    fn change(&mut self, node: &mut Node<'d>, change: &Change) -> DocResult<()> {
        let path = &change.path;
        let made = match &change.operation {
            Operation::Set(value) | Operation::SetOnInsert(value) => {
                if equal_bytes(node, value) {
                    return Ok(());
                }
                value.clone()
            }
            Operation::Unset => {
                *node = Node::Removed;
                return Ok(());
            }
            Operation::Increment(by) | Operation::Multiply(by) => {
                let multiply = matches!(change.operation, Operation::Multiply(_));
                self.arithmetic(node, by.as_bson(), multiply, path)?
            }
            Operation::Min(value) | Operation::Max(value) => {
                let current = node.to_buf();
                let order = compare(value.as_bson(), current.as_bson());
                let min = matches!(change.operation, Operation::Min(_));
                let replace =
                    node.tag() == MISSING || if min { order.is_lt() } else { order.is_gt() };
                if !replace {
                    return Ok(());
                }
                value.clone()
            }
            Operation::CurrentDate { timestamp: false } => BsonBuf::date(self.context.now_ms),
            Operation::CurrentDate { timestamp: true } => {
                BsonBuf::timestamp(((self.context.now_ms / 1000) as u64) << 32 | 1)
            }
            Operation::Rename(target) => {
                if node.tag() != MISSING {
                    self.moved.push((target.clone(), node.to_buf()));
                    *node = Node::Removed;
                }
                return Ok(());
            }
            Operation::RenameTarget => return Ok(()),
            Operation::Bit(operations) => self.bits(node, operations, path)?,
            _ => return self.array(node, change),
        };
        *node = Node::Made(made);
        Ok(())
    }

    fn arithmetic(
        &self,
        node: &Node<'_>,
        by: Bson<'_>,
        multiply: bool,
        path: &str,
    ) -> DocResult<BsonBuf> {
        let Some(by) = Number::of(by) else {
            return Ok(BsonBuf::null());
        };
        let operator = if multiply { "$mul" } else { "$inc" };
        if node.tag() == MISSING {
            return Ok(if multiply {
                Number::Int(0).times(zero_of(by)).to_buf()
            } else {
                by.to_buf()
            });
        }
        let current = node.to_buf();
        let Some(number) = Number::of(current.as_bson()) else {
            let field = path.rsplit('.').next().unwrap_or(path);
            fail!(
                code::TYPE_MISMATCH,
                "Cannot apply {operator} to a value of non-numeric type. {{{}}} has the field '{field}' of non-numeric type {}",
                id_of(self.document),
                current.as_bson().type_name()
            );
        };
        let result = if multiply {
            number.times(by)
        } else {
            number.plus(by)
        };
        if number.is_integer_type() && by.is_integer_type() && matches!(result, Number::Double(_)) {
            fail!(
                code::BAD_VALUE,
                "Failed to apply {operator} operations to current value (({}){}) for document {{{}}}",
                if matches!(number, Number::Int(_)) {
                    "NumberInt"
                } else {
                    "NumberLong"
                },
                render(current.as_bson()),
                id_of(self.document)
            );
        }
        Ok(result.to_buf())
    }

    fn bits(
        &self,
        node: &Node<'_>,
        operations: &[(Bit, BsonBuf)],
        path: &str,
    ) -> DocResult<BsonBuf> {
        let current = match node.tag() {
            MISSING => BsonBuf::int32(0),
            _ => node.to_buf(),
        };
        let number = Number::of(current.as_bson()).filter(|n| n.is_integer_type());
        let Some(number) = number else {
            fail!(
                code::BAD_VALUE,
                "Cannot apply $bit to a value of non-integral type.{} has the field {path} of non-integer type {}",
                id_of(self.document),
                current.as_bson().type_name()
            );
        };
        let mut long = matches!(number, Number::Long(_));
        let mut value = number.as_i64().unwrap_or(0);
        for (bit, operand) in operations {
            let operand = Number::of(operand.as_bson()).unwrap_or(Number::Int(0));
            long |= matches!(operand, Number::Long(_));
            let operand = operand.as_i64().unwrap_or(0);
            match bit {
                Bit::And => value &= operand,
                Bit::Or => value |= operand,
                Bit::Xor => value ^= operand,
            }
        }
        Ok(if long {
            BsonBuf::int64(value)
        } else {
            BsonBuf::int32(value as i32)
        })
    }

    fn array(&mut self, node: &mut Node<'d>, change: &Change) -> DocResult<()> {
        let operator = match &change.operation {
            Operation::Push { .. } => "$push",
            Operation::AddToSet { .. } => "$addToSet",
            _ => "",
        };
        if node.tag() == MISSING {
            if operator.is_empty() {
                return Ok(());
            }
            *node = Node::Array(Vec::new());
        }
        if node.tag() != ARRAY {
            let field = change.path.rsplit('.').next().unwrap_or("");
            match &change.operation {
                Operation::Push { .. } => fail!(
                    code::BAD_VALUE,
                    "The field '{}' must be an array but is of type {} in document {{{}}}",
                    change.path,
                    type_name(node.tag()),
                    id_of(self.document)
                ),
                Operation::AddToSet { .. } => fail!(
                    code::BAD_VALUE,
                    "Cannot apply $addToSet to non-array field. Field named '{field}' has non-array type {}",
                    type_name(node.tag())
                ),
                Operation::Pop { .. } => fail!(
                    code::TYPE_MISMATCH,
                    "Path '{}' contains an element of non-array type '{}'",
                    change.path,
                    type_name(node.tag())
                ),
                _ => fail!(code::BAD_VALUE, "Cannot apply $pull to a non-array value"),
            }
        }
        node.unpack();
        let Node::Array(elements) = node else {
            return Ok(());
        };
        match &change.operation {
            Operation::Push {
                values,
                position,
                slice,
                sort,
                ..
            } => {
                push(elements, values, *position, *slice, sort.as_ref());
            }
            Operation::AddToSet { values } => {
                for value in values {
                    if !elements
                        .iter()
                        .any(|e| equal(e.to_buf().as_bson(), value.as_bson()))
                    {
                        elements.push(Node::Made(value.clone()));
                    }
                }
            }
            Operation::Pop { first } => {
                if *first && !elements.is_empty() {
                    elements.remove(0);
                } else {
                    elements.pop();
                }
            }
            Operation::Pull(matcher) => {
                let mut kept = Vec::with_capacity(elements.len());
                for element in elements.drain(..) {
                    let value = element.to_buf();
                    if !matcher.matches(value.as_bson())? {
                        kept.push(element);
                    }
                }
                *elements = kept;
            }
            Operation::PullAll(values) => elements.retain(|element| {
                let value = element.to_buf();
                !values.iter().any(|v| equal(v.as_bson(), value.as_bson()))
            }),
            _ => {}
        }
        Ok(())
    }
}

fn push(
    elements: &mut Vec<Node<'_>>,
    values: &[BsonBuf],
    position: Option<i64>,
    slice: Option<i64>,
    sort: Option<&Sorting>,
) {
    let len = elements.len() as i64;
    let at = match position {
        None => len,
        Some(v) if v < 0 => (len + v).max(0),
        Some(v) => v.min(len),
    } as usize;
    elements.splice(at..at, values.iter().map(|v| Node::Made(v.clone())));
    if let Some(sort) = sort {
        let mut keyed: Vec<(BsonBuf, Node<'_>)> =
            elements.drain(..).map(|e| (e.to_buf(), e)).collect();
        keyed.sort_by(|(a, _), (b, _)| match sort {
            Sorting::Whole { descending: false } => compare(a.as_bson(), b.as_bson()),
            Sorting::Whole { descending: true } => compare(b.as_bson(), a.as_bson()),
            Sorting::By(spec) => spec.compare(a.as_bson(), b.as_bson()),
        });
        elements.extend(keyed.into_iter().map(|(_, e)| e));
    }
    if let Some(slice) = slice {
        let (skip, take) = slice_bounds(elements.len() as i64, None, slice);
        elements.drain(..skip.min(elements.len()));
        elements.truncate(take);
    }
}

fn zero_of(by: Number) -> Number {
    match by {
        Number::Double(_) => Number::Double(0.0),
        Number::Long(_) => Number::Long(0),
        Number::Decimal(_) => Number::Decimal(crate::document::decimal::Decimal::ZERO),
        Number::Int(_) => Number::Int(0),
    }
}

/// Whether the operator makes its field, and the documents on the way to it.
fn creates(operation: &Operation) -> bool {
    !matches!(
        operation,
        Operation::Unset
            | Operation::Rename(_)
            | Operation::Pop { .. }
            | Operation::Pull(_)
            | Operation::PullAll(_)
    )
}

fn equal_bytes(node: &Node<'_>, value: &BsonBuf) -> bool {
    matches!(node, Node::Bytes(v) if v.tag == value.tag && v.bytes == value.bytes.as_slice())
}

fn path_before(path: &str) -> &str {
    path.find(".$[").map_or(path, |at| &path[..at])
}

/// The identifier that a filtered step was written with.
fn identifier_of(change: &Change, which: &Part) -> String {
    let at = change.parts.iter().position(|p| std::ptr::eq(p, which));
    let text = at
        .and_then(|at| change.path.split('.').nth(at))
        .unwrap_or("");
    text.trim_start_matches("$[")
        .trim_end_matches(']')
        .to_owned()
}
