//! Walks BSON values (bsonspec.org, version 1.1) without decoding them; every length is checked.

use helios_types::{Error, ErrorKind, JsonbRef, Result};

pub(super) fn corrupt() -> Error {
    Error::new(ErrorKind::DataCorrupted, "document is not valid BSON")
}

fn length(bytes: &[u8]) -> Result<usize> {
    let head = bytes.first_chunk::<4>().ok_or_else(corrupt)?;
    usize::try_from(i32::from_le_bytes(*head)).map_err(|_| corrupt())
}

fn c_string(bytes: &[u8]) -> Result<usize> {
    Ok(bytes.iter().position(|&b| b == 0).ok_or_else(corrupt)? + 1)
}

/// How many bytes a value of this element type takes at the front of `bytes`.
fn value_len(element: u8, bytes: &[u8]) -> Result<usize> {
    let len = match element {
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        0x02 | 0x0d | 0x0e => length(bytes)?.checked_add(4).ok_or_else(corrupt)?,
        0x03 | 0x04 | 0x0f => length(bytes)?,
        0x05 => length(bytes)?.checked_add(5).ok_or_else(corrupt)?,
        0x06 | 0x0a | 0xff | 0x7f => 0,
        0x07 => 12,
        0x08 => 1,
        0x0b => {
            let pattern = c_string(bytes)?;
            pattern + c_string(&bytes[pattern..])?
        }
        0x0c => length(bytes)?.checked_add(16).ok_or_else(corrupt)?,
        0x10 => 4,
        0x13 => 16,
        _ => return Err(corrupt()),
    };
    if len > bytes.len() {
        Err(corrupt())
    } else {
        Ok(len)
    }
}

/// The elements of a document or array: name and value.
pub(super) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    pub(super) fn new(document: &'a [u8]) -> Result<Self> {
        let len = length(document)?;
        let body = document.get(4..len).ok_or_else(corrupt)?;
        match body.split_last() {
            Some((0, elements)) => Ok(Elements(elements)),
            _ => Err(corrupt()),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<(&'a [u8], JsonbRef<'a>)>> {
        let Some((&element, rest)) = self.0.split_first() else {
            return Ok(None);
        };
        let name = c_string(rest)?;
        let value = &rest[name..];
        let len = value_len(element, value)?;
        self.0 = &value[len..];
        Ok(Some((
            &rest[..name - 1],
            JsonbRef {
                element,
                bytes: &value[..len],
            },
        )))
    }
}

/// The bytes of a string value without its length and final zero.
pub(super) fn string(bytes: &[u8]) -> Result<&[u8]> {
    let len = length(bytes)?;
    match bytes
        .get(4..)
        .and_then(|b| b.get(..len))
        .and_then(<[u8]>::split_last)
    {
        Some((0, text)) => Ok(text),
        _ => Err(corrupt()),
    }
}

/// Subtype and content of a binary value.
pub(super) fn binary(bytes: &[u8]) -> Result<(u8, &[u8])> {
    let len = length(bytes)?;
    let (&subtype, content) = bytes
        .get(4..)
        .and_then(<[u8]>::split_first)
        .ok_or_else(corrupt)?;
    Ok((subtype, content.get(..len).ok_or_else(corrupt)?))
}

pub(super) fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.first_chunk::<N>().copied().ok_or_else(corrupt)
}
