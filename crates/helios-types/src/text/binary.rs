//! bytea (hex and escape) and uuid.

use super::syntax_error;
use crate::{Result, bail, error};
use std::fmt::{self, Write};

const HEX: &[u8; 16] = b"0123456789abcdef";

fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|d| d as u8)
}

pub fn parse_bytea(text: &str) -> Result<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(hex) => parse_hex(hex),
        None => parse_escape(text.as_bytes()),
    }
}

/// Pairs of hexadecimal digits, with white space between pairs.
fn parse_hex(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut chars = text.chars();
    let digit = |c: char| {
        c.to_digit(16)
            .ok_or_else(|| error!(InvalidParameterValue, "invalid hexadecimal digit: \"{c}\""))
    };
    while let Some(c) = chars.next() {
        if matches!(c, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let high = digit(c)?;
        let Some(low) = chars.next() else {
            bail!(
                InvalidParameterValue,
                "invalid hexadecimal data: odd number of digits"
            );
        };
        out.push((high << 4 | digit(low)?) as u8);
    }
    Ok(out)
}

/// `\\` is a backslash, `\ooo` a byte in octal, everything else stands for itself.
fn parse_escape(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => return Ok(out),
            [b'\\', b'\\', tail @ ..] => {
                out.push(b'\\');
                tail
            }
            [
                b'\\',
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                tail @ ..,
            ] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                tail
            }
            [b'\\', ..] => bail!(
                InvalidTextRepresentation,
                "invalid input syntax for type bytea"
            ),
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
        };
    }
}

pub fn write_bytea(out: &mut impl Write, bytes: &[u8], escape: bool) -> fmt::Result {
    if escape {
        for byte in bytes {
            match byte {
                b'\\' => out.write_str("\\\\")?,
                0x20..=0x7e => out.write_char(char::from(*byte))?,
                _ => write!(out, "\\{byte:03o}")?,
            }
        }
        return Ok(());
    }
    out.write_str("\\x")?;
    write_hex(out, bytes)
}

pub(crate) fn write_hex(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    for byte in bytes {
        out.write_char(char::from(HEX[usize::from(byte >> 4)]))?;
        out.write_char(char::from(HEX[usize::from(byte & 15)]))?;
    }
    Ok(())
}

/// 32 hexadecimal digits, with an optional hyphen after every fourth and optional braces.
pub fn parse_uuid(text: &str) -> Result<[u8; 16]> {
    uuid_digits(text.as_bytes()).ok_or_else(|| syntax_error("uuid", text))
}

fn uuid_digits(bytes: &[u8]) -> Option<[u8; 16]> {
    let mut rest = match bytes {
        [b'{', inner @ .., b'}'] => inner,
        _ => bytes,
    };
    let mut out = [0u8; 16];
    for (i, byte) in out.iter_mut().enumerate() {
        let [high, low, tail @ ..] = rest else {
            return None;
        };
        *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
        rest = tail;
        if i % 2 == 1 && i < 15 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
    }
    rest.is_empty().then_some(out)
}

pub fn write_uuid(out: &mut impl Write, bytes: &[u8; 16]) -> fmt::Result {
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.write_char('-')?;
        }
        write_hex(out, &[*byte])?;
    }
    Ok(())
}
