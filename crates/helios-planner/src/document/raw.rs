//! BSON values as bytes: a borrowed value, an owned one, and a writer.
//!
//! A document is `length:i32 (type:u8 name:cstring value)* 0`, all little endian; an array is a
//! document whose names are `0`, `1`, … . A [`Bson`] is the type byte and the value's bytes, which
//! is also how `jsonb` is stored, so that nothing is copied or converted between the two.
//!
//! Everything that arrives from outside passes [`validate`] once. The readers here still check
//! every length: on bytes that were never validated they stop early, they do not panic.

use smallvec::SmallVec;

pub const MISSING: u8 = 0;
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
pub const DECIMAL: u8 = 19;
pub const MIN_KEY: u8 = 255;
pub const MAX_KEY: u8 = 127;

/// MongoDB's bound on nesting.
pub const DEPTH_MAX: usize = 100;
/// The shortest document.
pub const EMPTY: &[u8] = &[5, 0, 0, 0, 0];

/// A BSON value whose bytes belong to somebody else. The tag [`MISSING`] says that there is none.
#[derive(Clone, Copy)]
pub struct Bson<'a> {
    pub tag: u8,
    pub bytes: &'a [u8],
}

fn le_i32(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_le_bytes(bytes.get(..4)?.try_into().ok()?))
}

fn le_u64(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?))
}

/// Bytes that a value of this type takes at the start of `rest`.
fn value_len(tag: u8, rest: &[u8]) -> Option<usize> {
    let len = match tag {
        DOUBLE | DATE | TIMESTAMP | INT64 => 8,
        INT32 => 4,
        BOOL => 1,
        DECIMAL => 16,
        OBJECT_ID => 12,
        NULL | UNDEFINED | MIN_KEY | MAX_KEY => 0,
        STRING | CODE | SYMBOL => usize::try_from(le_i32(rest)?).ok()?.checked_add(4)?,
        DOCUMENT | ARRAY | CODE_WITH_SCOPE => usize::try_from(le_i32(rest)?).ok()?,
        BINARY => usize::try_from(le_i32(rest)?).ok()?.checked_add(5)?,
        DB_POINTER => usize::try_from(le_i32(rest)?).ok()?.checked_add(16)?,
        REGEX => {
            let pattern = memchr(rest)?;
            pattern + 1 + memchr(rest.get(pattern + 1..)?)? + 1
        }
        _ => return None,
    };
    (len <= rest.len()).then_some(len)
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|b| *b == 0)
}

impl<'a> Bson<'a> {
    pub const MISSING: Bson<'static> = Bson {
        tag: MISSING,
        bytes: &[],
    };
    pub const NULL: Bson<'static> = Bson {
        tag: NULL,
        bytes: &[],
    };

    pub fn new(tag: u8, bytes: &'a [u8]) -> Self {
        Bson { tag, bytes }
    }

    pub fn document(bytes: &'a [u8]) -> Self {
        Bson {
            tag: DOCUMENT,
            bytes,
        }
    }

    pub fn is_missing(self) -> bool {
        self.tag == MISSING
    }

    /// Missing, null and undefined, which most operators treat alike.
    pub fn is_nullish(self) -> bool {
        matches!(self.tag, MISSING | NULL | UNDEFINED)
    }

    pub fn is_document(self) -> bool {
        self.tag == DOCUMENT
    }

    pub fn is_array(self) -> bool {
        self.tag == ARRAY
    }

    pub fn is_number(self) -> bool {
        matches!(self.tag, DOUBLE | INT32 | INT64 | DECIMAL)
    }

    /// The text of a string, symbol or code.
    pub fn as_str(self) -> Option<&'a str> {
        match self.tag {
            STRING | SYMBOL | CODE => {
                let text = self.bytes.get(4..self.bytes.len().checked_sub(1)?)?;
                std::str::from_utf8(text).ok()
            }
            _ => None,
        }
    }

    pub fn as_i32(self) -> Option<i32> {
        (self.tag == INT32).then(|| le_i32(self.bytes)).flatten()
    }

    pub fn as_i64(self) -> Option<i64> {
        (self.tag == INT64)
            .then(|| le_u64(self.bytes))
            .flatten()
            .map(|v| v as i64)
    }

    pub fn as_f64(self) -> Option<f64> {
        (self.tag == DOUBLE)
            .then(|| le_u64(self.bytes))
            .flatten()
            .map(f64::from_bits)
    }

    /// Milliseconds since the epoch.
    pub fn as_date(self) -> Option<i64> {
        (self.tag == DATE)
            .then(|| le_u64(self.bytes))
            .flatten()
            .map(|v| v as i64)
    }

    /// Seconds in the upper half, increment in the lower.
    pub fn as_timestamp(self) -> Option<u64> {
        (self.tag == TIMESTAMP)
            .then(|| le_u64(self.bytes))
            .flatten()
    }

    pub fn as_bool(self) -> Option<bool> {
        (self.tag == BOOL).then(|| self.bytes.first().is_some_and(|b| *b != 0))
    }

    pub fn as_object_id(self) -> Option<[u8; 12]> {
        (self.tag == OBJECT_ID)
            .then(|| self.bytes.get(..12)?.try_into().ok())
            .flatten()
    }

    /// Subtype and content.
    pub fn as_binary(self) -> Option<(u8, &'a [u8])> {
        if self.tag != BINARY {
            return None;
        }
        Some((*self.bytes.get(4)?, self.bytes.get(5..)?))
    }

    /// Pattern and options of a regular expression.
    pub fn as_regex(self) -> Option<(&'a str, &'a str)> {
        if self.tag != REGEX {
            return None;
        }
        let end = memchr(self.bytes)?;
        let options = self.bytes.get(end + 1..self.bytes.len().checked_sub(1)?)?;
        Some((
            std::str::from_utf8(&self.bytes[..end]).ok()?,
            std::str::from_utf8(options).ok()?,
        ))
    }

    /// MongoDB's truth: false are `false`, zero of any type, null, undefined and missing.
    pub fn truthy(self) -> bool {
        match self.tag {
            MISSING | NULL | UNDEFINED => false,
            BOOL => self.as_bool() == Some(true),
            INT32 => self.as_i32() != Some(0),
            INT64 => self.as_i64() != Some(0),
            DOUBLE => self.as_f64() != Some(0.0),
            DECIMAL => !super::decimal::Decimal::from_bson(self).is_some_and(|d| d.is_zero()),
            _ => true,
        }
    }

    /// Names and values of a document or array; nothing for other types.
    pub fn fields(self) -> Fields<'a> {
        match self.tag {
            DOCUMENT | ARRAY => Fields::of(self.bytes),
            _ => Fields { rest: &[] },
        }
    }

    pub fn elements(self) -> Elements<'a> {
        Elements(self.fields())
    }

    /// The first field of this name.
    pub fn get(self, name: &str) -> Bson<'a> {
        let mut fields = self.fields();
        while let Some((found, value)) = fields.next_raw() {
            if found == name.as_bytes() {
                return value;
            }
        }
        Bson::MISSING
    }

    pub fn element(self, index: usize) -> Bson<'a> {
        self.elements().nth(index).unwrap_or(Bson::MISSING)
    }

    pub fn len(self) -> usize {
        self.elements().count()
    }

    pub fn is_empty(self) -> bool {
        self.fields().next_raw().is_none()
    }

    pub fn to_buf(self) -> BsonBuf {
        BsonBuf {
            tag: self.tag,
            bytes: SmallVec::from_slice(self.bytes),
        }
    }

    /// The name that `$type` gives the type.
    pub fn type_name(self) -> &'static str {
        type_name(self.tag)
    }
}

impl std::fmt::Debug for Bson<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&super::display::render(*self))
    }
}

impl<'a> From<helios_types::JsonbRef<'a>> for Bson<'a> {
    fn from(value: helios_types::JsonbRef<'a>) -> Self {
        Bson {
            tag: value.element,
            bytes: value.bytes,
        }
    }
}

pub fn type_name(tag: u8) -> &'static str {
    match tag {
        MISSING => "missing",
        DOUBLE => "double",
        STRING => "string",
        DOCUMENT => "object",
        ARRAY => "array",
        BINARY => "binData",
        UNDEFINED => "undefined",
        OBJECT_ID => "objectId",
        BOOL => "bool",
        DATE => "date",
        NULL => "null",
        REGEX => "regex",
        DB_POINTER => "dbPointer",
        CODE => "javascript",
        SYMBOL => "symbol",
        CODE_WITH_SCOPE => "javascriptWithScope",
        INT32 => "int",
        TIMESTAMP => "timestamp",
        INT64 => "long",
        DECIMAL => "decimal",
        MIN_KEY => "minKey",
        MAX_KEY => "maxKey",
        _ => "unknown",
    }
}

/// Iterator over names and values.
#[derive(Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of a document's bytes.
    pub fn of(document: &'a [u8]) -> Self {
        let end = document.len().saturating_sub(1);
        Fields {
            rest: document.get(4..end).unwrap_or(&[]),
        }
    }
}

impl<'a> Fields<'a> {
    /// The next field, its name as bytes: looking for a name needs no text.
    fn next_raw(&mut self) -> Option<(&'a [u8], Bson<'a>)> {
        let (tag, rest) = self.rest.split_first()?;
        let parsed = (|| {
            let end = memchr(rest)?;
            let after = &rest[end + 1..];
            let len = value_len(*tag, after)?;
            Some((&rest[..end], &after[..len], &after[len..]))
        })();
        match parsed {
            Some((name, bytes, rest)) => {
                self.rest = rest;
                Some((name, Bson { tag: *tag, bytes }))
            }
            None => {
                self.rest = &[];
                None
            }
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, Bson<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.next_raw()?;
        match std::str::from_utf8(name) {
            Ok(name) => Some((name, value)),
            Err(_) => {
                self.rest = &[];
                None
            }
        }
    }
}

/// Iterator over values only.
#[derive(Clone)]
pub struct Elements<'a>(Fields<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Bson<'a>;

    fn next(&mut self) -> Option<Bson<'a>> {
        self.0.next_raw().map(|(_, v)| v)
    }
}

/// An owned value; scalars need no allocation.
#[derive(Clone)]
pub struct BsonBuf {
    pub tag: u8,
    pub bytes: SmallVec<[u8; 22]>,
}

impl BsonBuf {
    pub fn missing() -> Self {
        BsonBuf {
            tag: MISSING,
            bytes: SmallVec::new(),
        }
    }

    pub fn null() -> Self {
        BsonBuf {
            tag: NULL,
            bytes: SmallVec::new(),
        }
    }

    pub fn of(tag: u8, bytes: &[u8]) -> Self {
        BsonBuf {
            tag,
            bytes: SmallVec::from_slice(bytes),
        }
    }

    pub fn int32(v: i32) -> Self {
        Self::of(INT32, &v.to_le_bytes())
    }

    pub fn int64(v: i64) -> Self {
        Self::of(INT64, &v.to_le_bytes())
    }

    pub fn double(v: f64) -> Self {
        Self::of(DOUBLE, &v.to_le_bytes())
    }

    pub fn bool(v: bool) -> Self {
        Self::of(BOOL, &[u8::from(v)])
    }

    pub fn date(ms: i64) -> Self {
        Self::of(DATE, &ms.to_le_bytes())
    }

    pub fn timestamp(v: u64) -> Self {
        Self::of(TIMESTAMP, &v.to_le_bytes())
    }

    pub fn object_id(v: [u8; 12]) -> Self {
        Self::of(OBJECT_ID, &v)
    }

    pub fn string(v: &str) -> Self {
        let mut bytes = SmallVec::with_capacity(v.len() + 5);
        bytes.extend_from_slice(&(v.len() as i32 + 1).to_le_bytes());
        bytes.extend_from_slice(v.as_bytes());
        bytes.push(0);
        BsonBuf { tag: STRING, bytes }
    }

    pub fn binary(subtype: u8, v: &[u8]) -> Self {
        let mut bytes = SmallVec::with_capacity(v.len() + 5);
        bytes.extend_from_slice(&(v.len() as i32).to_le_bytes());
        bytes.push(subtype);
        bytes.extend_from_slice(v);
        BsonBuf { tag: BINARY, bytes }
    }

    pub fn document(bytes: Vec<u8>) -> Self {
        BsonBuf {
            tag: DOCUMENT,
            bytes: SmallVec::from_vec(bytes),
        }
    }

    pub fn array(bytes: Vec<u8>) -> Self {
        BsonBuf {
            tag: ARRAY,
            bytes: SmallVec::from_vec(bytes),
        }
    }

    pub fn as_bson(&self) -> Bson<'_> {
        Bson {
            tag: self.tag,
            bytes: &self.bytes,
        }
    }
}

impl std::fmt::Debug for BsonBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_bson().fmt(f)
    }
}

/// Writes one document, nested ones in place.
#[derive(Debug)]
pub struct Writer {
    buf: Vec<u8>,
    /// Where each open document's length stands.
    open: SmallVec<[usize; 8]>,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    pub fn new() -> Self {
        Self::with_capacity(64)
    }

    pub fn with_capacity(capacity: usize) -> Self {
        let mut buf = Vec::with_capacity(capacity);
        buf.extend_from_slice(&[0; 4]);
        Writer {
            buf,
            open: SmallVec::from_slice(&[0]),
        }
    }

    fn name(&mut self, tag: u8, name: &str) {
        debug_assert!(!name.as_bytes().contains(&0));
        self.buf.push(tag);
        self.buf.extend_from_slice(name.as_bytes());
        self.buf.push(0);
    }

    /// Appends a field; a missing value writes nothing.
    pub fn put(&mut self, name: &str, value: Bson<'_>) -> &mut Self {
        if value.tag != MISSING {
            self.name(value.tag, name);
            self.buf.extend_from_slice(value.bytes);
        }
        self
    }

    pub fn put_str(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(STRING, name);
        self.buf
            .extend_from_slice(&(value.len() as i32 + 1).to_le_bytes());
        self.buf.extend_from_slice(value.as_bytes());
        self.buf.push(0);
        self
    }

    pub fn put_i32(&mut self, name: &str, value: i32) -> &mut Self {
        self.put(name, Bson::new(INT32, &value.to_le_bytes()))
    }

    pub fn put_i64(&mut self, name: &str, value: i64) -> &mut Self {
        self.put(name, Bson::new(INT64, &value.to_le_bytes()))
    }

    pub fn put_f64(&mut self, name: &str, value: f64) -> &mut Self {
        self.put(name, Bson::new(DOUBLE, &value.to_le_bytes()))
    }

    pub fn put_bool(&mut self, name: &str, value: bool) -> &mut Self {
        self.put(name, Bson::new(BOOL, &[u8::from(value)]))
    }

    pub fn put_document(&mut self, name: &str, document: &[u8]) -> &mut Self {
        self.put(name, Bson::document(document))
    }

    pub fn start_document(&mut self, name: &str) -> &mut Self {
        self.start(DOCUMENT, name)
    }

    pub fn start_array(&mut self, name: &str) -> &mut Self {
        self.start(ARRAY, name)
    }

    fn start(&mut self, tag: u8, name: &str) -> &mut Self {
        self.name(tag, name);
        self.open.push(self.buf.len());
        self.buf.extend_from_slice(&[0; 4]);
        self
    }

    /// Closes the innermost open document or array.
    pub fn end(&mut self) -> &mut Self {
        if let Some(start) = self.open.pop() {
            self.buf.push(0);
            let len = (self.buf.len() - start) as i32;
            self.buf[start..start + 4].copy_from_slice(&len.to_le_bytes());
        }
        self
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    pub fn is_empty(&self) -> bool {
        self.buf.len() <= 4
    }

    pub fn finish(mut self) -> Vec<u8> {
        while !self.open.is_empty() {
            self.end();
        }
        self.buf
    }
}

/// Writes one array.
#[derive(Debug, Default)]
pub struct ArrayWriter {
    writer: Writer,
    next: u32,
}

impl ArrayWriter {
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a value; a missing one becomes null, because an array has no holes.
    pub fn push(&mut self, value: Bson<'_>) {
        let value = if value.is_missing() {
            Bson::NULL
        } else {
            value
        };
        let mut digits = itoa::Buffer::new();
        self.writer.put(digits.format(self.next), value);
        self.next += 1;
    }

    pub fn len(&self) -> usize {
        self.next as usize
    }

    pub fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> usize {
        self.writer.len()
    }

    pub fn finish(self) -> Vec<u8> {
        self.writer.finish()
    }

    pub fn finish_buf(self) -> BsonBuf {
        BsonBuf::array(self.finish())
    }
}

/// An array of these values.
pub fn array_of<'a>(values: impl IntoIterator<Item = Bson<'a>>) -> BsonBuf {
    let mut writer = ArrayWriter::new();
    for value in values {
        writer.push(value);
    }
    writer.finish_buf()
}

/// Why bytes are not a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Lengths, terminators or types that do not add up.
    Malformed,
    /// Nested deeper than [`DEPTH_MAX`].
    TooDeep,
    /// A name or string that is not UTF-8.
    Encoding,
}

/// Checks that `bytes` are exactly one well-formed document.
pub fn validate(bytes: &[u8]) -> Result<(), Invalid> {
    validate_level(bytes, 1)
}

fn validate_level(bytes: &[u8], depth: usize) -> Result<(), Invalid> {
    if depth > DEPTH_MAX {
        return Err(Invalid::TooDeep);
    }
    let declared = le_i32(bytes).ok_or(Invalid::Malformed)?;
    if bytes.len() < 5 || usize::try_from(declared) != Ok(bytes.len()) || bytes.last() != Some(&0) {
        return Err(Invalid::Malformed);
    }
    let mut rest = &bytes[4..bytes.len() - 1];
    while let Some((tag, after)) = rest.split_first() {
        let end = memchr(after).ok_or(Invalid::Malformed)?;
        std::str::from_utf8(&after[..end]).map_err(|_| Invalid::Encoding)?;
        let after = &after[end + 1..];
        let len = value_len(*tag, after).ok_or(Invalid::Malformed)?;
        validate_value(*tag, &after[..len], depth)?;
        rest = &after[len..];
    }
    Ok(())
}

fn validate_value(tag: u8, bytes: &[u8], depth: usize) -> Result<(), Invalid> {
    let text = |bytes: &[u8]| match bytes.get(4..).and_then(|b| b.split_last()) {
        Some((0, text)) => std::str::from_utf8(text)
            .map(|_| ())
            .map_err(|_| Invalid::Encoding),
        _ => Err(Invalid::Malformed),
    };
    match tag {
        STRING | SYMBOL | CODE => text(bytes),
        DOCUMENT | ARRAY => validate_level(bytes, depth + 1),
        REGEX => std::str::from_utf8(bytes)
            .map(|_| ())
            .map_err(|_| Invalid::Encoding),
        BOOL => match bytes {
            [0 | 1] => Ok(()),
            _ => Err(Invalid::Malformed),
        },
        DB_POINTER => text(bytes.get(..bytes.len() - 12).ok_or(Invalid::Malformed)?),
        CODE_WITH_SCOPE => {
            let inner = bytes.get(4..).ok_or(Invalid::Malformed)?;
            let code = value_len(STRING, inner).ok_or(Invalid::Malformed)?;
            text(&inner[..code])?;
            validate_level(&inner[code..], depth + 1)
        }
        _ => Ok(()),
    }
}
