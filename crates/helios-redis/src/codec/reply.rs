//! Replies, written straight into the output buffer in RESP2 or RESP3.
//!
//! A command says what the reply is (a map, a set, a double); the protocol version decides how it
//! looks. Aggregates announce the number of their elements first and the elements follow.

use helios_engine::keyspace::number;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

/// Appends replies to a buffer; see the module's documentation.
#[derive(Debug, Default)]
pub struct ReplyWriter {
    out: Vec<u8>,
    protocol: Protocol,
    scratch: Vec<u8>,
}

impl ReplyWriter {
    pub fn new(protocol: Protocol) -> Self {
        ReplyWriter {
            out: Vec::new(),
            protocol,
            scratch: Vec::new(),
        }
    }

    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    pub fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    /// What waits to be sent.
    pub fn bytes(&self) -> &[u8] {
        &self.out
    }

    pub fn len(&self) -> usize {
        self.out.len()
    }

    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Drops what was written after `length`.
    pub fn truncate(&mut self, length: usize) {
        self.out.truncate(length);
    }

    /// Forgets what was sent; gives memory back after an unusually large reply.
    pub fn clear(&mut self) {
        self.out.clear();
        if self.out.capacity() > 256 * 1024 {
            self.out.shrink_to(16 * 1024);
        }
    }

    /// Appends bytes that are already in the form of the wire.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn header(&mut self, kind: u8, number: i64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number).as_bytes();
        self.out.reserve(digits.len() + 3);
        self.out.push(kind);
        self.out.extend_from_slice(digits);
        self.out.extend_from_slice(b"\r\n");
    }

    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A status such as `QUEUED`; `text` holds no line end.
    pub fn status(&mut self, text: &str) {
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// An error; `text` begins with its code. A line end in it would end the reply, so it becomes a
    /// blank.
    pub fn error(&mut self, text: &str) {
        self.out.push(b'-');
        self.out.extend(text.bytes().map(|byte| match byte {
            b'\r' | b'\n' => b' ',
            other => other,
        }));
        self.out.extend_from_slice(b"\r\n");
    }

    pub fn integer(&mut self, number: i64) {
        self.header(b':', number);
    }

    /// Redis' truth value: the integers one and zero in both protocols.
    pub fn flag(&mut self, value: bool) {
        self.out
            .extend_from_slice(if value { b":1\r\n" } else { b":0\r\n" });
    }

    pub fn bulk(&mut self, bytes: &[u8]) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(bytes.len()).as_bytes();
        self.out.reserve(bytes.len() + digits.len() + 5);
        self.out.push(b'$');
        self.out.extend_from_slice(digits);
        self.out.extend_from_slice(b"\r\n");
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    pub fn optional_bulk(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// An integer as a bulk string.
    pub fn bulk_integer(&mut self, number: i64) {
        let mut digits = itoa::Buffer::new();
        self.bulk(digits.format(number).as_bytes());
    }

    /// A double as RESP2 shows all doubles and RESP3 shows some: a bulk string.
    pub fn bulk_double(&mut self, number: f64) {
        self.scratch.clear();
        number::write_f64(&mut self.scratch, number);
        let scratch = std::mem::take(&mut self.scratch);
        self.bulk(&scratch);
        self.scratch = scratch;
    }

    pub fn double(&mut self, number: f64) {
        if self.is_resp3() {
            self.out.push(b',');
            number::write_f64(&mut self.out, number);
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.bulk_double(number);
        }
    }

    /// Nothing in the place of a value.
    pub fn null(&mut self) {
        self.out.extend_from_slice(if self.is_resp3() {
            b"_\r\n"
        } else {
            b"$-1\r\n"
        });
    }

    /// Nothing in the place of an array.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(if self.is_resp3() {
            b"_\r\n"
        } else {
            b"*-1\r\n"
        });
    }

    pub fn array(&mut self, count: usize) {
        self.header(b'*', count as i64);
    }

    /// `count` pairs of key and value follow.
    pub fn map(&mut self, count: usize) {
        if self.is_resp3() {
            self.header(b'%', count as i64);
        } else {
            self.header(b'*', count as i64 * 2);
        }
    }

    pub fn set(&mut self, count: usize) {
        self.header(if self.is_resp3() { b'~' } else { b'*' }, count as i64);
    }

    /// A message that no request asked for.
    pub fn push(&mut self, count: usize) {
        self.header(if self.is_resp3() { b'>' } else { b'*' }, count as i64);
    }

    /// Text for people.
    pub fn verbatim(&mut self, text: &str) {
        if self.is_resp3() {
            self.header(b'=', text.len() as i64 + 4);
            self.out.extend_from_slice(b"txt:");
            self.out.extend_from_slice(text.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text.as_bytes());
        }
    }

    /// `count` pairs follow which RESP2 shows as one flat array and RESP3 as an array of arrays;
    /// each of them begins with [`ReplyWriter::pair`].
    pub fn pairs(&mut self, count: usize) {
        if self.is_resp3() {
            self.array(count);
        } else {
            self.array(count * 2);
        }
    }

    pub fn pair(&mut self) {
        if self.is_resp3() {
            self.array(2);
        }
    }

    /// Elements whose number is known only after they were written: reserves room for the largest
    /// header at the end of the buffer.
    pub fn deferred(&mut self) -> Deferred {
        Deferred {
            start: self.out.len(),
        }
    }

    /// Puts the header of an aggregate before what was written since `deferred`.
    pub fn finish(&mut self, deferred: Deferred, kind: Aggregate, count: usize) {
        let end = self.out.len();
        match kind {
            Aggregate::Array => self.array(count),
            Aggregate::Map => self.map(count),
            Aggregate::Set => self.set(count),
            Aggregate::Pairs => self.pairs(count),
        }
        self.out[deferred.start..].rotate_left(end - deferred.start);
    }
}

/// The place of a header that is written last.
#[derive(Debug)]
pub struct Deferred {
    start: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    Array,
    Map,
    Set,
    Pairs,
}
