//! Messages of the wire protocol.
//!
//! ```text
//! header   length:i32 requestID:i32 responseTo:i32 opCode:i32
//! OP_MSG   flags:u32 section* [crc32c:u32]      section = 0 document | 1 size:i32 name:cstring document*
//! OP_QUERY flags:i32 collection:cstring skip:i32 return:i32 document [document]
//! ```
//!
//! All numbers are little endian. A message is parsed from bytes that are all there; its length
//! was checked against [`MESSAGE_BYTES_MAX`] before they were read. Documents are validated here,
//! once, and are trusted to be well-formed BSON behind.

mod checksum;

pub use checksum::crc32c;

use helios_planner::document::raw::{Bson, Invalid, Writer, validate};
use std::fmt;

pub const MESSAGE_BYTES_MAX: usize = 48_000_000;
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most documents in one write command.
pub const WRITE_BATCH_MAX: usize = 100_000;
pub const HEADER_LEN: usize = 16;

const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_COMPRESSED: i32 = 2012;
const OP_MSG: i32 = 2013;

const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 1 << 1;
const EXHAUST_ALLOWED: u32 = 1 << 16;

/// The first sixteen bytes of every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub length: usize,
    pub request_id: i32,
    pub op_code: i32,
}

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecError {
    Length(i32),
    OpCode(i32),
    Flags(u32),
    Checksum,
    Section(u8),
    /// Exactly one body section is needed.
    Bodies,
    Truncated,
    Document(Invalid),
    DocumentTooLarge(usize),
}

impl CodecError {
    /// Whether what follows on the connection cannot be trusted. A wrong document inside a message
    /// of the right length concerns this message only.
    pub fn ends_connection(&self) -> bool {
        !matches!(
            self,
            CodecError::Document(_) | CodecError::DocumentTooLarge(_)
        )
    }
}

/// Whether the sender of an OP_MSG asked for no reply, as far as that can be read.
pub fn wants_no_reply(message: &[u8]) -> bool {
    let op_code = i32_at(message, 12);
    let flags = i32_at(message, HEADER_LEN).unwrap_or(0) as u32;
    op_code == Ok(OP_MSG) && flags & MORE_TO_COME != 0
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodecError::Length(n) => {
                write!(
                    f,
                    "recv(): message msgLen {n} is invalid. Min {HEADER_LEN} Max: {MESSAGE_BYTES_MAX}"
                )
            }
            CodecError::OpCode(code) => write!(f, "unsupported opcode {code}"),
            CodecError::Flags(flags) => {
                write!(f, "Message contains illegal flags value: Ob{flags:b}")
            }
            CodecError::Checksum => f.write_str("OP_MSG checksum does not match contents"),
            CodecError::Section(kind) => write!(f, "Unknown section kind {kind}"),
            CodecError::Bodies => f.write_str("OP_MSG messages must have exactly one body section"),
            CodecError::Truncated => f.write_str("message is shorter than what it declares"),
            CodecError::Document(Invalid::TooDeep) => {
                f.write_str("BSONObj exceeds maximum nested object depth: 100")
            }
            CodecError::Document(Invalid::Encoding) => f.write_str("invalid UTF-8 in BSON"),
            CodecError::Document(Invalid::Malformed) => f.write_str("invalid BSON"),
            CodecError::DocumentTooLarge(n) => {
                write!(
                    f,
                    "BSONObj size: {n} is invalid. Size must be between 0 and {DOCUMENT_BYTES_MAX}"
                )
            }
        }
    }
}

/// One request, borrowing from the message's bytes.
#[derive(Debug)]
pub struct Request<'a> {
    pub request_id: i32,
    pub body: Bson<'a>,
    /// The body's fields: a command looks for dozens of them.
    fields: Vec<(&'a str, Bson<'a>)>,
    /// Document sequences by name.
    pub sequences: Vec<(&'a str, Vec<Bson<'a>>)>,
    /// The client does not want a reply.
    pub more_to_come: bool,
    /// The client takes several replies to one request.
    pub exhaust_allowed: bool,
    /// The database of an OP_QUERY, which has its reply in the old form.
    pub legacy: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// A request that is nothing but its body.
    pub fn new(request_id: i32, body: Bson<'a>) -> Self {
        // As many as most commands have.
        let mut fields = Vec::with_capacity(12);
        fields.extend(body.fields());
        Request {
            request_id,
            body,
            fields,
            sequences: Vec::new(),
            more_to_come: false,
            exhaust_allowed: false,
            legacy: None,
        }
    }

    /// Name and argument of the command: the first field.
    pub fn command(&self) -> (&'a str, Bson<'a>) {
        self.fields().next().unwrap_or(("", Bson::MISSING))
    }

    pub fn fields(&self) -> impl Iterator<Item = (&'a str, Bson<'a>)> {
        self.fields.iter().copied()
    }

    /// A field of the body.
    pub fn get(&self, name: &str) -> Bson<'a> {
        let mut fields = self.fields();
        fields
            .find(|(field, _)| *field == name)
            .map_or(Bson::MISSING, |(_, value)| value)
    }

    /// The documents of a write: from a sequence of that name or the array in the body.
    pub fn documents(&self, name: &str) -> Vec<Bson<'a>> {
        if let Some((_, documents)) = self.sequences.iter().find(|(n, _)| *n == name) {
            return documents.clone();
        }
        self.get(name).elements().collect()
    }
}

fn i32_at(bytes: &[u8], at: usize) -> Result<i32, CodecError> {
    let chunk = bytes.get(at..at + 4).ok_or(CodecError::Truncated)?;
    Ok(i32::from_le_bytes(
        chunk.try_into().map_err(|_| CodecError::Truncated)?,
    ))
}

/// Reads a header and checks its length.
pub fn header(bytes: &[u8; HEADER_LEN]) -> Result<Header, CodecError> {
    let length = i32_at(bytes, 0)?;
    match usize::try_from(length) {
        Ok(n) if (HEADER_LEN..=MESSAGE_BYTES_MAX).contains(&n) => Ok(Header {
            length: n,
            request_id: i32_at(bytes, 4)?,
            op_code: i32_at(bytes, 12)?,
        }),
        _ => Err(CodecError::Length(length)),
    }
}

/// Parses a whole message, header included.
pub fn parse(message: &[u8]) -> Result<Request<'_>, CodecError> {
    let start: &[u8; HEADER_LEN] = message.first_chunk().ok_or(CodecError::Truncated)?;
    let header = header(start)?;
    if header.length != message.len() {
        return Err(CodecError::Truncated);
    }
    match header.op_code {
        OP_MSG => parse_msg(header, message),
        OP_QUERY => parse_query(header, &message[HEADER_LEN..]),
        // Compression is never agreed on, so nobody may use it.
        OP_COMPRESSED => Err(CodecError::OpCode(OP_COMPRESSED)),
        other => Err(CodecError::OpCode(other)),
    }
}

fn parse_msg(header: Header, message: &[u8]) -> Result<Request<'_>, CodecError> {
    let flags = i32_at(message, HEADER_LEN)? as u32;
    let unknown = flags & 0xffff & !(CHECKSUM_PRESENT | MORE_TO_COME);
    if unknown != 0 {
        return Err(CodecError::Flags(flags));
    }
    let mut rest = &message[HEADER_LEN + 4..];
    if flags & CHECKSUM_PRESENT != 0 {
        let (content, sum) = message
            .split_at_checked(message.len() - 4)
            .ok_or(CodecError::Truncated)?;
        if i32_at(sum, 0)? as u32 != crc32c(content) {
            return Err(CodecError::Checksum);
        }
        rest = rest
            .get(..rest.len().wrapping_sub(4))
            .ok_or(CodecError::Truncated)?;
    }
    let mut body = None;
    let mut sequences = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        match kind {
            0 => {
                let (document, after) = document(after)?;
                if body.replace(document).is_some() {
                    return Err(CodecError::Bodies);
                }
                rest = after;
            }
            1 => {
                let (sequence, after) = sequence(after)?;
                sequences.push(sequence);
                rest = after;
            }
            other => return Err(CodecError::Section(*other)),
        }
    }
    Ok(Request {
        sequences,
        more_to_come: flags & MORE_TO_COME != 0,
        exhaust_allowed: flags & EXHAUST_ALLOWED != 0,
        ..Request::new(header.request_id, body.ok_or(CodecError::Bodies)?)
    })
}

/// One validated document from the start of `bytes`.
fn document(bytes: &[u8]) -> Result<(Bson<'_>, &[u8]), CodecError> {
    // Commands carry documents of the full size, so they may be a little larger.
    const SLACK: usize = 16 * 1024;
    let length = usize::try_from(i32_at(bytes, 0)?).map_err(|_| CodecError::Truncated)?;
    if length > DOCUMENT_BYTES_MAX + SLACK && length > bytes.len() {
        return Err(CodecError::DocumentTooLarge(length));
    }
    let (document, rest) = bytes
        .split_at_checked(length)
        .ok_or(CodecError::Truncated)?;
    validate(document).map_err(CodecError::Document)?;
    Ok((Bson::document(document), rest))
}

type Sequence<'a> = (&'a str, Vec<Bson<'a>>);

fn sequence(bytes: &[u8]) -> Result<(Sequence<'_>, &[u8]), CodecError> {
    let size = usize::try_from(i32_at(bytes, 0)?).map_err(|_| CodecError::Truncated)?;
    let (section, after) = bytes.split_at_checked(size).ok_or(CodecError::Truncated)?;
    let section = section.get(4..).ok_or(CodecError::Truncated)?;
    let end = section
        .iter()
        .position(|b| *b == 0)
        .ok_or(CodecError::Truncated)?;
    let name = std::str::from_utf8(&section[..end])
        .map_err(|_| CodecError::Document(Invalid::Encoding))?;
    let mut rest = &section[end + 1..];
    let mut documents = Vec::new();
    while !rest.is_empty() {
        let (next, after) = document(rest)?;
        documents.push(next);
        rest = after;
    }
    Ok(((name, documents), after))
}

fn parse_query(header: Header, bytes: &[u8]) -> Result<Request<'_>, CodecError> {
    let rest = bytes.get(4..).ok_or(CodecError::Truncated)?;
    let end = rest
        .iter()
        .position(|b| *b == 0)
        .ok_or(CodecError::Truncated)?;
    let name =
        std::str::from_utf8(&rest[..end]).map_err(|_| CodecError::Document(Invalid::Encoding))?;
    let after = rest.get(end + 1 + 8..).ok_or(CodecError::Truncated)?;
    let (body, _) = document(after)?;
    // A query may be wrapped to carry options beside it.
    let wrapped = body.get("$query");
    let body = if wrapped.is_document() { wrapped } else { body };
    Ok(Request {
        legacy: Some(name.split('.').next().unwrap_or(name)),
        ..Request::new(header.request_id, body)
    })
}

/// Appends an OP_MSG with one body.
pub fn write_msg(out: &mut Vec<u8>, request_id: i32, response_to: i32, body: &[u8], more: bool) {
    let length = (HEADER_LEN + 4 + 1 + body.len()) as i32;
    for number in [
        length,
        request_id,
        response_to,
        OP_MSG,
        if more { MORE_TO_COME as i32 } else { 0 },
    ] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.push(0);
    out.extend_from_slice(body);
}

/// Appends an OP_REPLY with one document.
pub fn write_reply(out: &mut Vec<u8>, request_id: i32, response_to: i32, body: &[u8]) {
    let length = (HEADER_LEN + 20 + body.len()) as i32;
    for number in [length, request_id, response_to, OP_REPLY, 8] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&0i64.to_le_bytes());
    for number in [0i32, 1] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(body);
}

/// An OP_MSG request, for tests and tools.
pub fn request(request_id: i32, body: Writer) -> Vec<u8> {
    let mut out = Vec::new();
    write_msg(&mut out, request_id, 0, &body.finish(), false);
    out
}

#[cfg(test)]
mod tests;
