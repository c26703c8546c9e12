//! A cursor over one message's body.

use helios_types::{Error, Result, error};

/// Reads a message's fields in order; running out of bytes is a protocol violation.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Reader { rest: body }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A count of things that each take at least `item_bytes` of what is left.
    pub fn count(&mut self, item_bytes: usize) -> Result<usize> {
        let count = usize::from(self.u16()?);
        if count * item_bytes > self.rest.len() {
            return Err(short());
        }
        Ok(count)
    }

    /// A zero-terminated string.
    pub fn text(&mut self) -> Result<&'a str> {
        let end = self
            .rest
            .iter()
            .position(|&b| b == 0)
            .ok_or_else(|| error!(ProtocolViolation, "invalid string in message"))?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        utf8(text)
    }

    /// A value with its length before it; -1 is NULL.
    pub fn value(&mut self) -> Result<Option<&'a [u8]>> {
        match self.i32()? {
            -1 => Ok(None),
            length => self
                .bytes(usize::try_from(length).map_err(|_| short())?)
                .map(Some),
        }
    }

    pub fn end(&self) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(error!(ProtocolViolation, "invalid message format"))
        }
    }
}

fn short() -> Error {
    error!(ProtocolViolation, "insufficient data left in message")
}

/// The text of these bytes; invalid UTF-8 is 22021 with the offending bytes, as PostgreSQL has it.
pub fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|e| {
        let bad = &bytes[e.valid_up_to()..];
        let shown: Vec<String> = bad
            .iter()
            .take(e.error_len().unwrap_or(bad.len()).clamp(1, 4))
            .map(|b| format!("0x{b:02x}"))
            .collect();
        error!(
            InvalidEncoding,
            "invalid byte sequence for encoding \"UTF8\": {}",
            shown.join(" ")
        )
    })
}
