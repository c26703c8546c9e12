//! `jsonb`, stored as one BSON element: a type byte and the element's value bytes.
//!
//! Documents written by MongoDB clients and `jsonb` written by SQL are the same bytes, so every
//! JSON function exists once and types survive the trip between the protocols. The element type
//! byte is BSON's own (1 double, 2 string, 3 document, 4 array, 8 bool, 10 null, 16 int32,
//! 18 int64, 19 decimal128, …), the bytes after it are the value as the BSON specification
//! (bsonspec.org, version 1.1) lays it out. A number that no BSON type holds exactly is a binary
//! element of the user-defined subtype [`NUMERIC_SUBTYPE`] with its decimal digits.

use std::sync::Arc;

/// Subtype of the binary element that carries an arbitrary-precision number as ASCII digits.
pub const NUMERIC_SUBTYPE: u8 = 0x80;

/// An owned JSON value: `[type byte][value bytes]`.
#[derive(Clone, Debug)]
pub struct Jsonb(Arc<[u8]>);

/// A borrowed JSON value.
#[derive(Clone, Copy, Debug)]
pub struct JsonbRef<'a> {
    pub element: u8,
    pub bytes: &'a [u8],
}

impl Jsonb {
    /// `bytes` are the value of a BSON element of this type.
    pub fn new(element: u8, bytes: &[u8]) -> Self {
        let mut buffer = Vec::with_capacity(bytes.len() + 1);
        buffer.push(element);
        buffer.extend_from_slice(bytes);
        Jsonb(buffer.into())
    }

    /// A whole BSON document.
    pub fn from_document(document: &[u8]) -> Self {
        Jsonb::new(3, document)
    }

    pub fn as_ref(&self) -> JsonbRef<'_> {
        JsonbRef {
            element: self.0[0],
            bytes: &self.0[1..],
        }
    }
}

impl JsonbRef<'_> {
    pub fn to_jsonb(self) -> Jsonb {
        Jsonb::new(self.element, self.bytes)
    }
}

/// Checks that `text` is JSON.
pub fn validate(_text: &str) -> crate::Result<()> {
    Err(crate::Error::unsupported("type json"))
}

impl Jsonb {
    pub fn parse(_text: &str) -> crate::Result<Jsonb> {
        Err(crate::Error::unsupported("type jsonb"))
    }
}

impl JsonbRef<'_> {
    pub fn write(&self, _out: &mut impl std::fmt::Write) -> std::fmt::Result {
        Err(std::fmt::Error)
    }
}
