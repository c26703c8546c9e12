//! `jsonb`, stored as one BSON element: a type byte and the element's value bytes.
//!
//! Documents written by MongoDB clients and `jsonb` written by SQL are the same bytes, so every
//! JSON function exists once and types survive the trip between the protocols. The element type
//! byte is BSON's own (1 double, 2 string, 3 document, 4 array, 8 bool, 10 null, 16 int32,
//! 18 int64, 19 decimal128, …), the bytes after it are the value as the BSON specification
//! (bsonspec.org, version 1.1) lays it out. A number that no BSON type holds exactly is a binary
//! element of the user-defined subtype [`NUMERIC_SUBTYPE`] with its decimal digits.
//!
//! Objects that SQL makes have their keys in jsonb's order (by length, then by bytes) and each
//! once; documents from MongoDB keep their own order, and every function here accepts both.
//! Comparison, equality and hashing ignore the order of keys.
//!
//! BSON types that JSON lacks are seen as the JSON kind that they are printed as: an ObjectId or a
//! date is a string, a regular expression an object ([`JsonbRef::kind`]).
//!
//! The bytes may come from outside. Every length is checked against the bytes that are there;
//! what is malformed ends the iteration over its container with an error, it never panics.

mod build;
mod compare;
mod convert;
mod decimal128;
mod edit;
mod parse;
mod raw;
mod retype;
mod write;

pub use build::{ArrayBuilder, ObjectBuilder};
pub use convert::{from_serde, jsonb_to_value, to_serde, value_to_json_text, value_to_jsonb};
pub use decimal128::{decimal128_to_numeric, numeric_to_decimal128};
pub use parse::validate;
pub use raw::{
    RawEntries, raw_elements, raw_entries, raw_get, raw_index, raw_kind, raw_path, raw_text,
};
pub use retype::{natural, retype};
pub use write::write_string;

use crate::numeric::Numeric;
use crate::{Error, Result, error};
use std::borrow::Cow;
use std::sync::Arc;

/// Subtype of the binary element that carries an arbitrary-precision number as ASCII digits.
pub const NUMERIC_SUBTYPE: u8 = 0x80;

/// BSON's element type bytes.
pub mod element {
    pub const DOUBLE: u8 = 1;
    pub const STRING: u8 = 2;
    pub const DOCUMENT: u8 = 3;
    pub const ARRAY: u8 = 4;
    pub const BINARY: u8 = 5;
    pub const UNDEFINED: u8 = 6;
    pub const OBJECT_ID: u8 = 7;
    pub const BOOL: u8 = 8;
    pub const DATE: u8 = 9;
    pub const NULL: u8 = 10;
    pub const REGEX: u8 = 11;
    pub const DB_POINTER: u8 = 12;
    pub const CODE: u8 = 13;
    pub const SYMBOL: u8 = 14;
    pub const CODE_WITH_SCOPE: u8 = 15;
    pub const INT32: u8 = 16;
    pub const TIMESTAMP: u8 = 17;
    pub const INT64: u8 = 18;
    pub const DECIMAL128: u8 = 19;
    pub const MIN_KEY: u8 = 255;
    pub const MAX_KEY: u8 = 127;
}

/// What a value is in JSON's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Null,
    String,
    Number,
    Bool,
    Array,
    Object,
}

impl Kind {
    /// What `jsonb_typeof` answers.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::String => "string",
            Kind::Number => "number",
            Kind::Bool => "boolean",
            Kind::Array => "array",
            Kind::Object => "object",
        }
    }
}

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
        Jsonb::new(element::DOCUMENT, document)
    }

    /// The type byte and the value bytes together, as rows store them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn as_ref(&self) -> JsonbRef<'_> {
        match self.0.split_first() {
            Some((element, bytes)) => JsonbRef {
                element: *element,
                bytes,
            },
            None => JsonbRef::NULL,
        }
    }

    /// Reads JSON text.
    pub fn parse(text: &str) -> Result<Jsonb> {
        parse::parse(text)
    }

    pub fn null() -> Self {
        Jsonb::new(element::NULL, &[])
    }

    pub fn from_bool(value: bool) -> Self {
        Jsonb::new(element::BOOL, &[u8::from(value)])
    }

    pub fn from_i64(value: i64) -> Self {
        match i32::try_from(value) {
            Ok(value) => Jsonb::new(element::INT32, &value.to_le_bytes()),
            Err(_) => Jsonb::new(element::INT64, &value.to_le_bytes()),
        }
    }

    /// The smallest element that holds the number exactly; NaN and the infinities are strings.
    pub fn from_numeric(value: &Numeric) -> Self {
        let mut buffer = vec![0];
        buffer[0] = build::push_numeric(&mut buffer, value);
        Jsonb(buffer.into())
    }

    pub fn from_text(value: &str) -> Self {
        let mut buffer = Vec::with_capacity(value.len() + 6);
        buffer.push(element::STRING);
        build::push_string(&mut buffer, value);
        Jsonb(buffer.into())
    }

    pub(crate) fn from_buffer(buffer: Vec<u8>) -> Self {
        Jsonb(buffer.into())
    }
}

impl std::fmt::Display for Jsonb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_ref().write(f)
    }
}

impl std::fmt::Display for JsonbRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.write(f)
    }
}

fn corrupted() -> Error {
    error!(DataCorrupted, "malformed BSON value")
}

fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.first_chunk::<N>().copied()
}

fn length(bytes: &[u8]) -> Option<usize> {
    usize::try_from(i32::from_le_bytes(fixed(bytes)?)).ok()
}

/// The text of a BSON string value: its length, the bytes, a zero byte.
fn string(bytes: &[u8]) -> Option<&str> {
    let len = length(bytes)?;
    let text = bytes.get(4..4usize.checked_add(len)?)?;
    std::str::from_utf8(text.strip_suffix(&[0])?).ok()
}

/// The text up to a zero byte, and what follows it.
fn c_string(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|b| *b == 0)?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// How many bytes the value of an element takes at the head of `bytes`.
fn value_length(element: u8, bytes: &[u8]) -> Option<usize> {
    let len = match element {
        element::UNDEFINED | element::NULL | element::MIN_KEY | element::MAX_KEY => 0,
        element::BOOL => 1,
        element::INT32 => 4,
        element::DOUBLE | element::DATE | element::TIMESTAMP | element::INT64 => 8,
        element::OBJECT_ID => 12,
        element::DECIMAL128 => 16,
        element::STRING | element::CODE | element::SYMBOL => length(bytes)?.checked_add(4)?,
        element::DOCUMENT | element::ARRAY | element::CODE_WITH_SCOPE => length(bytes)?,
        element::BINARY => length(bytes)?.checked_add(5)?,
        element::DB_POINTER => length(bytes)?.checked_add(16)?,
        element::REGEX => {
            let (_, rest) = c_string(bytes)?;
            let (_, rest) = c_string(rest)?;
            bytes.len() - rest.len()
        }
        _ => return None,
    };
    (len <= bytes.len()).then_some(len)
}

/// The members of an object or the elements of an array (whose names are their numbers).
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(&'a str, JsonbRef<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&element, rest) = self.rest.split_first()?;
        if element == 0 {
            self.rest = &[];
            return None;
        }
        let entry = (|| {
            let (name, rest) = c_string(rest)?;
            let len = value_length(element, rest)?;
            let (bytes, rest) = rest.split_at(len);
            Some((name, JsonbRef { element, bytes }, rest))
        })();
        match entry {
            Some((name, value, rest)) => {
                self.rest = rest;
                Some(Ok((name, value)))
            }
            None => {
                self.rest = &[];
                Some(Err(corrupted()))
            }
        }
    }
}

impl<'a> JsonbRef<'a> {
    pub const NULL: JsonbRef<'static> = JsonbRef {
        element: element::NULL,
        bytes: &[],
    };

    pub fn to_jsonb(self) -> Jsonb {
        Jsonb::new(self.element, self.bytes)
    }

    /// Splits stored bytes into the type byte and the value.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self> {
        let (element, bytes) = bytes.split_first().ok_or_else(corrupted)?;
        Ok(JsonbRef {
            element: *element,
            bytes,
        })
    }

    pub fn kind(self) -> Kind {
        match self.element {
            element::NULL => Kind::Null,
            element::BOOL => Kind::Bool,
            element::INT32 | element::INT64 => Kind::Number,
            element::DOUBLE => match self.as_f64() {
                Some(v) if v.is_finite() => Kind::Number,
                _ => Kind::String,
            },
            element::DECIMAL128 => {
                // The exponent bits of the special values are all ones.
                let finite = self.bytes.get(15).is_some_and(|b| b & 0x78 != 0x78);
                if finite { Kind::Number } else { Kind::String }
            }
            element::BINARY if self.bytes.get(4) == Some(&NUMERIC_SUBTYPE) => Kind::Number,
            element::STRING | element::BINARY | element::OBJECT_ID | element::DATE => Kind::String,
            element::ARRAY => Kind::Array,
            _ => Kind::Object,
        }
    }

    pub fn is_null(self) -> bool {
        self.element == element::NULL
    }

    pub fn is_scalar(self) -> bool {
        !matches!(self.kind(), Kind::Array | Kind::Object)
    }

    pub fn as_bool(self) -> Option<bool> {
        (self.element == element::BOOL).then(|| self.bytes.first().is_some_and(|b| *b != 0))
    }

    fn as_f64(self) -> Option<f64> {
        fixed(self.bytes).map(f64::from_le_bytes)
    }

    /// The integer of an int32 or int64 element.
    pub fn as_i64(self) -> Option<i64> {
        match self.element {
            element::INT32 => fixed(self.bytes).map(|b| i64::from(i32::from_le_bytes(b))),
            element::INT64 => fixed(self.bytes).map(i64::from_le_bytes),
            _ => None,
        }
    }

    /// The number of any numeric element; a double by its shortest text.
    pub fn as_numeric(self) -> Option<Numeric> {
        match self.element {
            element::INT32 | element::INT64 => self.as_i64().map(Numeric::from_i64),
            element::DOUBLE => self.as_f64().map(Numeric::from_f64_shortest),
            element::DECIMAL128 => fixed(self.bytes).map(decimal128_to_numeric),
            element::BINARY if self.bytes.get(4) == Some(&NUMERIC_SUBTYPE) => {
                let digits = std::str::from_utf8(self.bytes.get(5..)?).ok()?;
                Numeric::parse(digits).ok()
            }
            _ => None,
        }
        .filter(|_| self.kind() == Kind::Number)
    }

    /// The text of a value that is a string in JSON's terms.
    pub fn as_text(self) -> Option<Cow<'a, str>> {
        match self.element {
            element::STRING => string(self.bytes).map(Cow::Borrowed),
            _ if self.kind() == Kind::String => Some(Cow::Owned(write::string_text(self))),
            _ => None,
        }
    }

    /// The text as `->>` gives it: strings without quotes, null as none, the rest as JSON.
    pub fn to_text(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::Null => None,
            Kind::String => self.as_text(),
            _ => Some(Cow::Owned(self.to_string())),
        }
    }

    /// The members of a document or array; nothing for scalars.
    pub fn entries(self) -> Entries<'a> {
        let body = match self.element {
            element::DOCUMENT | element::ARRAY => length(self.bytes)
                .and_then(|len| self.bytes.get(4..len))
                .unwrap_or(&[]),
            _ => &[],
        };
        Entries { rest: body }
    }

    /// The elements of an array.
    pub fn elements(self) -> impl Iterator<Item = Result<JsonbRef<'a>>> {
        let entries = if self.element == element::ARRAY {
            self.entries()
        } else {
            Entries { rest: &[] }
        };
        entries.map(|entry| entry.map(|(_, value)| value))
    }

    /// Number of members or elements.
    pub fn len(self) -> usize {
        self.entries().count()
    }

    pub fn is_empty(self) -> bool {
        self.entries().next().is_none()
    }

    /// The member of an object; the last one when a document has the key twice.
    pub fn get(self, key: &str) -> Option<JsonbRef<'a>> {
        if self.element != element::DOCUMENT {
            return None;
        }
        let mut found = None;
        for entry in self.entries() {
            let (name, value) = entry.ok()?;
            if name == key {
                found = Some(value);
            }
        }
        found
    }

    /// The element of an array; negative numbers count from the end.
    pub fn get_index(self, index: i64) -> Option<JsonbRef<'a>> {
        let mut elements = self.elements();
        let index = if index < 0 {
            let len = self.elements().count() as i64;
            len.checked_add(index)?
        } else {
            index
        };
        elements.nth(usize::try_from(index).ok()?)?.ok()
    }

    /// `#>`: keys of objects, numbers of array elements.
    pub fn get_path<'p>(self, path: impl IntoIterator<Item = &'p str>) -> Option<JsonbRef<'a>> {
        path.into_iter()
            .try_fold(self, |value, step| match value.element {
                element::DOCUMENT => value.get(step),
                element::ARRAY => value.get_index(step.trim().parse().ok()?),
                _ => None,
            })
    }

    /// `?`: a key of an object, a string among an array's elements, or the string itself.
    pub fn has_key(self, key: &str) -> bool {
        match self.element {
            element::DOCUMENT => self.get(key).is_some(),
            element::ARRAY => self
                .elements()
                .flatten()
                .any(|v| v.kind() == Kind::String && v.as_text().as_deref() == Some(key)),
            _ => self.as_text().as_deref() == Some(key),
        }
    }
}
