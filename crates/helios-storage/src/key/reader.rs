//! Reads key payloads; inverts every byte when the column is descending.

use helios_types::{Error, ErrorKind, Result};

pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    mask: u8,
}

fn truncated() -> Error {
    Error::new(ErrorKind::DataCorrupted, "key ends inside a value")
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], inverted: bool) -> Self {
        Reader {
            bytes,
            mask: if inverted { 0xff } else { 0 },
        }
    }

    /// What has not been read, as it is stored.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        let (&byte, rest) = self.bytes.split_first().ok_or_else(truncated)?;
        self.bytes = rest;
        Ok(byte ^ self.mask)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or_else(truncated)?;
        self.bytes = rest;
        Ok(head.map(|b| b ^ self.mask))
    }

    /// Turns the inversion of everything that follows over: negative numbers inside a value.
    pub(crate) fn toggle(&mut self) {
        self.mask = !self.mask;
    }

    /// Bytes written by [`super::escape`].
    pub(crate) fn escaped(&mut self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            let zero = self
                .bytes
                .iter()
                .position(|&b| b == self.mask)
                .ok_or_else(truncated)?;
            let (run, rest) = self.bytes.split_at(zero);
            if self.mask == 0 {
                out.extend_from_slice(run);
            } else {
                out.extend(run.iter().map(|b| !b));
            }
            let (mark, rest) = rest.split_first_chunk::<2>().ok_or_else(truncated)?;
            self.bytes = rest;
            match mark[1] ^ self.mask {
                1 => return Ok(out),
                0xff => out.push(0),
                _ => return Err(truncated()),
            }
        }
    }
}
