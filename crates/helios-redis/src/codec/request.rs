//! The resumable request parser.
//!
//! Positions count from the first byte of the request, which stays where it is until the whole
//! request has arrived; the caller drops it from its buffer after the command has run. The limits
//! and the error texts are those of Redis: clients and tests read them.

use helios_engine::keyspace::number::parse_i64;
use smallvec::SmallVec;
use std::fmt;

/// Longest line of an inline request, of a multibulk count and of a bulk length.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Most arguments of one request.
const ARGUMENTS_MAX: i64 = 1024 * 1024;
/// What a connection may send before it has authenticated.
const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;
const UNAUTHENTICATED_BULK_BYTES_MAX: i64 = 16 * 1024;

/// Bounds that depend on the connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `proto-max-bulk-len`.
    pub bulk_bytes: usize,
    /// Most bytes of one request in all: `client-query-buffer-limit`.
    pub request_bytes: usize,
    /// The connection must authenticate before it may do anything else.
    pub unauthenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bulk_bytes: 512 * 1024 * 1024,
            request_bytes: 1024 * 1024 * 1024,
            unauthenticated: false,
        }
    }
}

/// A request that cannot be understood; the connection is closed after the text was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    InlineTooBig,
    UnbalancedQuotes,
    CountTooBig,
    InvalidCount,
    UnauthenticatedCount,
    BulkCountTooBig,
    ExpectedBulk(u8),
    InvalidBulkLength,
    UnauthenticatedBulkLength,
    RequestTooBig,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            ProtocolError::InlineTooBig => f.write_str("too big inline request"),
            ProtocolError::UnbalancedQuotes => f.write_str("unbalanced quotes in request"),
            ProtocolError::CountTooBig => f.write_str("too big mbulk count string"),
            ProtocolError::InvalidCount => f.write_str("invalid multibulk length"),
            ProtocolError::UnauthenticatedCount => f.write_str("unauthenticated multibulk length"),
            ProtocolError::BulkCountTooBig => f.write_str("too big bulk count string"),
            ProtocolError::ExpectedBulk(byte) => {
                let shown = if byte.is_ascii_graphic() || *byte == b' ' {
                    char::from(*byte)
                } else {
                    '?'
                };
                write!(f, "expected '$', got '{shown}'")
            }
            ProtocolError::InvalidBulkLength => f.write_str("invalid bulk length"),
            ProtocolError::UnauthenticatedBulkLength => f.write_str("unauthenticated bulk length"),
            ProtocolError::RequestTooBig => f.write_str("request larger than the query buffer"),
        }
    }
}

/// What the parser found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed.
    Incomplete,
    /// A request without arguments: skip [`RequestParser::consumed`] bytes and go on.
    Empty,
    /// A request whose arguments are [`RequestParser::args`].
    Request,
}

type Ranges = SmallVec<[(u32, u32); 8]>;

/// The arguments of one request; the first is the command's name.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    ranges: &'a [(u32, u32)],
}

impl<'a> Args<'a> {
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The argument at `index`, which is empty when there is none: arity is checked before.
    pub fn get(&self, index: usize) -> &'a [u8] {
        self.ranges
            .get(index)
            .and_then(|&(start, end)| self.bytes.get(start as usize..end as usize))
            .unwrap_or_default()
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + use<'a> {
        let bytes = self.bytes;
        self.ranges
            .iter()
            .map(move |&(start, end)| bytes.get(start as usize..end as usize).unwrap_or_default())
    }

    /// The arguments from `start` to `end`, which is exclusive.
    pub fn slice(&self, start: usize, end: usize) -> Args<'a> {
        Args {
            bytes: self.bytes,
            ranges: self.ranges.get(start..end).unwrap_or_default(),
        }
    }

    /// The arguments from `index` on.
    pub fn from(&self, index: usize) -> Args<'a> {
        Args {
            bytes: self.bytes,
            ranges: self.ranges.get(index..).unwrap_or_default(),
        }
    }
}

/// A request kept for later: queued by MULTI or waiting for a blocking command's keys.
#[derive(Clone, Debug, Default)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    ranges: Ranges,
}

impl OwnedArgs {
    pub fn new(args: Args<'_>) -> Self {
        let mut owned = OwnedArgs::default();
        for arg in args.iter() {
            owned.push(arg);
        }
        owned
    }

    fn push(&mut self, arg: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(arg);
        self.ranges.push((start, self.bytes.len() as u32));
    }

    pub fn args(&self) -> Args<'_> {
        Args {
            bytes: &self.bytes,
            ranges: &self.ranges,
        }
    }

    pub fn byte_len(&self) -> usize {
        self.bytes.len() + self.ranges.len() * 8
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for OwnedArgs {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Self {
        let mut owned = OwnedArgs::default();
        for arg in iter {
            owned.push(arg.as_ref());
        }
        owned
    }
}

/// Finds one request at a time; see the module's documentation.
#[derive(Debug, Default)]
pub struct RequestParser {
    /// Where parsing goes on, from the first byte of the request.
    position: usize,
    /// Up to where a search for a line end has already looked.
    searched: usize,
    /// Arguments that are still to come; `None` before the count has been read.
    remaining: Option<u32>,
    /// Length of the bulk string whose header has been read.
    bulk: Option<usize>,
    ranges: Ranges,
    /// Words of an inline request, without their quotes and escapes.
    inline: Option<Vec<u8>>,
}

impl RequestParser {
    /// Looks for a request at the start of `buffer`, which holds everything that has arrived since
    /// the last request was consumed. The same bytes must be there at the next call.
    pub fn parse(&mut self, buffer: &[u8], limits: Limits) -> Result<Parsed, ProtocolError> {
        if self.remaining.is_none() {
            match buffer.first() {
                None => return Ok(Parsed::Incomplete),
                Some(b'*') => match self.parse_count(buffer, limits)? {
                    Parsed::Request => {}
                    other => return Ok(other),
                },
                Some(_) => return self.parse_inline(buffer),
            }
        }
        self.parse_bulks(buffer, limits)
    }

    /// The arguments of the request that was found.
    pub fn args<'a>(&'a self, buffer: &'a [u8]) -> Args<'a> {
        Args {
            bytes: self.inline.as_deref().unwrap_or(buffer),
            ranges: &self.ranges,
        }
    }

    /// Length of the request that was found.
    pub fn consumed(&self) -> usize {
        self.position
    }

    /// How many bytes of the bulk string that is being received are still missing.
    pub fn missing(&self, buffered: usize) -> usize {
        self.bulk.map_or(0, |length| {
            (self.position + length + 2).saturating_sub(buffered)
        })
    }

    /// Forgets the request that was found, so that the next one can be looked for.
    pub fn reset(&mut self) {
        self.position = 0;
        self.searched = 0;
        self.remaining = None;
        self.bulk = None;
        self.ranges.clear();
        self.inline = None;
    }

    /// The line that starts at the current position, without its `\r\n`; moves behind it.
    fn line<'a>(
        &mut self,
        buffer: &'a [u8],
        too_big: ProtocolError,
    ) -> Result<Option<&'a [u8]>, ProtocolError> {
        let from = self.searched.max(self.position);
        let rest = buffer.get(from..).unwrap_or_default();
        let Some(found) = memchr::memchr(b'\r', rest) else {
            self.searched = buffer.len();
            if buffer.len() - self.position > LINE_BYTES_MAX {
                return Err(too_big);
            }
            return Ok(None);
        };
        let end = from + found;
        // As in Redis the byte after '\r' is taken for granted, but it has to be there.
        if end + 1 >= buffer.len() {
            self.searched = end;
            return Ok(None);
        }
        if end - self.position > LINE_BYTES_MAX {
            return Err(too_big);
        }
        let line = &buffer[self.position..end];
        self.position = end + 2;
        Ok(Some(line))
    }

    fn parse_count(&mut self, buffer: &[u8], limits: Limits) -> Result<Parsed, ProtocolError> {
        let Some(line) = self.line(buffer, ProtocolError::CountTooBig)? else {
            return Ok(Parsed::Incomplete);
        };
        let count = parse_i64(line.get(1..).unwrap_or_default())
            .filter(|count| *count <= ARGUMENTS_MAX)
            .ok_or(ProtocolError::InvalidCount)?;
        if limits.unauthenticated && count > UNAUTHENTICATED_ARGUMENTS_MAX {
            return Err(ProtocolError::UnauthenticatedCount);
        }
        if count <= 0 {
            return Ok(Parsed::Empty);
        }
        self.remaining = Some(count as u32);
        Ok(Parsed::Request)
    }

    fn parse_bulks(&mut self, buffer: &[u8], limits: Limits) -> Result<Parsed, ProtocolError> {
        while let Some(remaining @ 1..) = self.remaining {
            let length = match self.bulk {
                Some(length) => length,
                None => match self.parse_bulk_length(buffer, limits)? {
                    Some(length) => length,
                    None => return Ok(Parsed::Incomplete),
                },
            };
            let end = self.position + length;
            if end + 2 > limits.request_bytes {
                return Err(ProtocolError::RequestTooBig);
            }
            if buffer.len() < end + 2 {
                return Ok(Parsed::Incomplete);
            }
            self.ranges.push((self.position as u32, end as u32));
            self.position = end + 2;
            self.bulk = None;
            self.remaining = Some(remaining - 1);
        }
        Ok(Parsed::Request)
    }

    fn parse_bulk_length(
        &mut self,
        buffer: &[u8],
        limits: Limits,
    ) -> Result<Option<usize>, ProtocolError> {
        // The type byte is looked at first, so that garbage is answered before a line end comes.
        match buffer.get(self.position) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(&other) => {
                return match self.line(buffer, ProtocolError::BulkCountTooBig)? {
                    None => Ok(None),
                    Some(_) => Err(ProtocolError::ExpectedBulk(other)),
                };
            }
        }
        let Some(line) = self.line(buffer, ProtocolError::BulkCountTooBig)? else {
            return Ok(None);
        };
        let length = parse_i64(line.get(1..).unwrap_or_default())
            .filter(|length| *length >= 0)
            .filter(|length| {
                usize::try_from(*length).is_ok_and(|length| length <= limits.bulk_bytes)
            })
            .ok_or(ProtocolError::InvalidBulkLength)?;
        if limits.unauthenticated && length > UNAUTHENTICATED_BULK_BYTES_MAX {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        let length = length as usize;
        self.bulk = Some(length);
        Ok(Some(length))
    }

    fn parse_inline(&mut self, buffer: &[u8]) -> Result<Parsed, ProtocolError> {
        let rest = buffer.get(self.searched..).unwrap_or_default();
        let Some(found) = memchr::memchr(b'\n', rest) else {
            self.searched = buffer.len();
            if buffer.len() > LINE_BYTES_MAX {
                return Err(ProtocolError::InlineTooBig);
            }
            return Ok(Parsed::Incomplete);
        };
        let end = self.searched + found;
        if end > LINE_BYTES_MAX {
            return Err(ProtocolError::InlineTooBig);
        }
        let line = &buffer[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // As in Redis, whose line is a string of C.
        let line = memchr::memchr(0, line).map_or(line, |zero| &line[..zero]);
        let mut words = OwnedArgs::default();
        split_words(line, &mut words).ok_or(ProtocolError::UnbalancedQuotes)?;
        self.position = end + 1;
        if words.ranges.is_empty() {
            return Ok(Parsed::Empty);
        }
        self.ranges = words.ranges;
        self.inline = Some(words.bytes);
        Ok(Parsed::Request)
    }
}

/// Splits a line as Redis does: blanks separate, `"…"` knows escapes, `'…'` only `\'`. `None` when
/// a quote is not closed or is not followed by a blank.
fn split_words(line: &[u8], words: &mut OwnedArgs) -> Option<()> {
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(());
        }
        let start = words.bytes.len() as u32;
        rest = match rest.first() {
            Some(b'"') => double_quoted(&rest[1..], &mut words.bytes)?,
            Some(b'\'') => single_quoted(&rest[1..], &mut words.bytes)?,
            _ => bare_word(rest, &mut words.bytes)?,
        };
        words.ranges.push((start, words.bytes.len() as u32));
    }
}

/// A word that does not begin with a quote; a quote inside it begins a quoted part that ends it.
fn bare_word<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    while let Some((&byte, tail)) = rest.split_first() {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => return Some(rest),
            b'"' => return double_quoted(tail, out),
            b'\'' => return single_quoted(tail, out),
            _ => out.push(byte),
        }
        rest = tail;
    }
    Some(rest)
}

fn double_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        match byte {
            b'"' => return closed(rest),
            b'\\' => {
                if let [b'x', high, low, tail @ ..] = rest
                    && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
                {
                    out.push(high << 4 | low);
                    rest = tail;
                    continue;
                }
                let (&escaped, tail) = rest.split_first()?;
                rest = tail;
                out.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => other,
                });
            }
            _ => out.push(byte),
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        match byte {
            b'\'' => return closed(rest),
            b'\\' if rest.first() == Some(&b'\'') => {
                out.push(b'\'');
                rest = &rest[1..];
            }
            _ => out.push(byte),
        }
    }
}

/// A closing quote must end its word.
fn closed(rest: &[u8]) -> Option<&[u8]> {
    match rest.first() {
        None => Some(rest),
        Some(byte) if byte.is_ascii_whitespace() => Some(rest),
        Some(_) => None,
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::replay::{check, parse_in_steps};

    #[test]
    fn requests_are_the_same_however_their_bytes_arrive() {
        let bytes = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n*0\r\n\r\nSET \"a b\" 'c'\r\n*1\r\n$4\r\nPING\r\n";
        let (expected, error) = parse_in_steps(bytes, bytes.len(), Limits::default());
        assert_eq!(error, None);
        assert_eq!(expected.len(), 4);
        assert_eq!(
            expected[2],
            [b"SET".to_vec(), b"a b".to_vec(), b"c".to_vec()]
        );
        for step in 1..bytes.len() {
            assert_eq!(parse_in_steps(bytes, step, Limits::default()).0, expected);
        }
    }

    #[test]
    fn malformed_requests_get_the_errors_of_redis() {
        for (bytes, text) in [
            (&b"*abc\r\n"[..], "Protocol error: invalid multibulk length"),
            (
                b"*2147483648\r\n",
                "Protocol error: invalid multibulk length",
            ),
            (b"*1048577\r\n", "Protocol error: invalid multibulk length"),
            (b"*1\r\nfoo\r\n", "Protocol error: expected '$', got 'f'"),
            (b"*1\r\n$-5\r\n", "Protocol error: invalid bulk length"),
            (
                b"*1\r\n$536870913\r\n",
                "Protocol error: invalid bulk length",
            ),
            (
                b"SET \"a\r\n",
                "Protocol error: unbalanced quotes in request",
            ),
            (
                b"SET \"a\"b\r\n",
                "Protocol error: unbalanced quotes in request",
            ),
        ] {
            let (_, error) = parse_in_steps(bytes, bytes.len(), Limits::default());
            assert_eq!(error.map(|error| error.to_string()).as_deref(), Some(text));
        }
        let (_, error) = parse_in_steps(&[b'a'; 70_000], 70_000, Limits::default());
        assert_eq!(error, Some(ProtocolError::InlineTooBig));
        let limits = Limits {
            unauthenticated: true,
            ..Limits::default()
        };
        let (_, error) = parse_in_steps(b"*11\r\n", 5, limits);
        assert_eq!(error, Some(ProtocolError::UnauthenticatedCount));
        let (_, error) = parse_in_steps(b"*1\r\n$20000\r\n", 12, limits);
        assert_eq!(error, Some(ProtocolError::UnauthenticatedBulkLength));
    }

    /// What a fuzzer does, with a fixed seed: bytes made of the protocol's own pieces never panic
    /// and never parse differently in pieces.
    #[test]
    fn random_bytes_never_panic_and_parse_alike_in_pieces() {
        use rand::rngs::StdRng;
        use rand::{Rng, SeedableRng};
        const PIECES: [&[u8]; 16] = [
            b"*",
            b"$",
            b"\r\n",
            b"1",
            b"2",
            b"3",
            b"-1",
            b"GET",
            b"\"",
            b"'",
            b"\\x4",
            b" ",
            b"\0",
            b"*1\r\n$4\r\nPING\r\n",
            b"*2\r\n$1\r\na\r\n$0\r\n\r\n",
            b"\n",
        ];
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..random.random_range(0..12) {
                bytes.extend_from_slice(PIECES[random.random_range(0..PIECES.len())]);
            }
            check(&bytes);
        }
    }
}
