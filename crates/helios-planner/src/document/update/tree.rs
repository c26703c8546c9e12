//! A document that is unpacked where an update touches it.

use crate::document::error::{DocResult, code, fail};
use crate::document::raw::*;
use std::borrow::Cow;

/// A value: still bytes, or unpacked one level.
#[derive(Clone, Debug)]
pub(super) enum Node<'a> {
    Bytes(Bson<'a>),
    Made(BsonBuf),
    Document(Vec<(Cow<'a, str>, Node<'a>)>),
    Array(Vec<Node<'a>>),
    /// Taken away.
    Removed,
}

impl<'a> Node<'a> {
    pub fn tag(&self) -> u8 {
        match self {
            Node::Bytes(v) => v.tag,
            Node::Made(v) => v.tag,
            Node::Document(_) => DOCUMENT,
            Node::Array(_) => ARRAY,
            Node::Removed => MISSING,
        }
    }

    /// Unpacks a document or an array by one level.
    pub fn unpack(&mut self) {
        let made: Vec<(String, BsonBuf)>;
        *self = match &*self {
            Node::Bytes(v) if v.tag == DOCUMENT => Node::Document(
                v.fields()
                    .map(|(n, v)| (Cow::Borrowed(n), Node::Bytes(v)))
                    .collect(),
            ),
            Node::Bytes(v) if v.tag == ARRAY => {
                Node::Array(v.elements().map(Node::Bytes).collect())
            }
            Node::Made(v) if v.tag == DOCUMENT || v.tag == ARRAY => {
                made = v
                    .as_bson()
                    .fields()
                    .map(|(n, v)| (n.to_owned(), v.to_buf()))
                    .collect();
                if v.tag == DOCUMENT {
                    Node::Document(
                        made.into_iter()
                            .map(|(n, v)| (Cow::Owned(n), Node::Made(v)))
                            .collect(),
                    )
                } else {
                    Node::Array(made.into_iter().map(|(_, v)| Node::Made(v)).collect())
                }
            }
            _ => return,
        };
    }

    /// The value as bytes.
    pub fn to_buf(&self) -> BsonBuf {
        match self {
            Node::Bytes(v) => v.to_buf(),
            Node::Made(v) => v.clone(),
            Node::Removed => BsonBuf::missing(),
            Node::Document(fields) => {
                let mut out = Writer::new();
                for (name, node) in fields {
                    node.put(name, &mut out);
                }
                BsonBuf::document(out.finish())
            }
            Node::Array(elements) => {
                let mut out = ArrayWriter::new();
                for element in elements {
                    out.push(element.to_buf().as_bson());
                }
                out.finish_buf()
            }
        }
    }

    pub fn put(&self, name: &str, out: &mut Writer) {
        match self {
            Node::Bytes(v) => {
                out.put(name, *v);
            }
            Node::Document(fields) => {
                out.start_document(name);
                for (name, node) in fields {
                    node.put(name, out);
                }
                out.end();
            }
            other => {
                out.put(name, other.to_buf().as_bson());
            }
        }
    }

    /// The field or element of this name; it is made (with documents on the way) when `create`.
    pub fn child(
        &mut self,
        name: &str,
        create: bool,
        parent: &str,
    ) -> DocResult<Option<&mut Node<'a>>> {
        self.unpack();
        match self {
            Node::Document(fields) => {
                if let Some(at) = fields.iter().position(|(n, _)| n == name) {
                    return Ok(Some(&mut fields[at].1));
                }
                if !create {
                    return Ok(None);
                }
                fields.push((Cow::Owned(name.to_owned()), Node::Removed));
                Ok(fields.last_mut().map(|(_, node)| node))
            }
            Node::Array(elements) => {
                let Some(index) = crate::document::path::array_index(name) else {
                    if !create {
                        return Ok(None);
                    }
                    let shown = Node::Array(elements.clone()).to_buf();
                    fail!(
                        code::PATH_NOT_VIABLE,
                        "Cannot create field '{name}' in element {{{parent}: {:?}}}",
                        shown
                    );
                };
                if index >= elements.len() {
                    if !create {
                        return Ok(None);
                    }
                    const PADDING_MAX: usize = 1_500_000;
                    if index - elements.len() > PADDING_MAX {
                        fail!(
                            code::CANNOT_BACKFILL,
                            "can't backfill more than {PADDING_MAX} elements"
                        );
                    }
                    while elements.len() < index {
                        elements.push(Node::Bytes(Bson::NULL));
                    }
                    elements.push(Node::Removed);
                }
                Ok(elements.get_mut(index))
            }
            Node::Removed if create => {
                *self = Node::Document(vec![(Cow::Owned(name.to_owned()), Node::Removed)]);
                match self {
                    Node::Document(fields) => Ok(fields.last_mut().map(|(_, node)| node)),
                    _ => Ok(None),
                }
            }
            other if create => {
                let shown = other.to_buf();
                fail!(
                    code::PATH_NOT_VIABLE,
                    "Cannot create field '{name}' in element {{{parent}: {:?}}}",
                    shown
                )
            }
            _ => Ok(None),
        }
    }

    /// Puts a value at a path, making the documents on the way.
    pub fn set_path(&mut self, path: &str, value: BsonBuf) -> DocResult<()> {
        let (first, rest) = match path.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        let Some(child) = self.child(first, true, "")? else {
            return Ok(());
        };
        match rest {
            Some(rest) => child.set_path(rest, value),
            None => {
                *child = Node::Made(value);
                Ok(())
            }
        }
    }

    /// Drops the fields that were taken away; array elements become null.
    pub fn settle(&mut self) {
        match self {
            Node::Document(fields) => {
                for (_, node) in fields.iter_mut() {
                    node.settle();
                }
                fields.retain(|(_, node)| !matches!(node, Node::Removed));
            }
            Node::Array(elements) => {
                for element in elements {
                    element.settle();
                    if matches!(element, Node::Removed) {
                        *element = Node::Bytes(Bson::NULL);
                    }
                }
            }
            _ => {}
        }
    }
}
