//! The packets before authentication, which have no tag.

use super::reader::Reader;
use helios_types::{Result, error};

/// PostgreSQL's bound on a start-up packet.
pub const STARTUP_BYTES_MAX: usize = 10_000;
const CANCEL_CODE: i32 = 0x04d2_162e;
const SSL_CODE: i32 = 0x04d2_162f;
const GSS_CODE: i32 = 0x04d2_1630;
/// Protocol 3.2 allows longer keys than the four bytes of 3.0.
const CANCEL_KEY_BYTES_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Startup<'a> {
    Ssl,
    Gss,
    Cancel {
        pid: i32,
        key: &'a [u8],
    },
    Start {
        major: u16,
        minor: u16,
        parameters: Vec<(&'a str, &'a str)>,
    },
}

/// The packet at the start of `input` and how many bytes it takes; `None` when more are needed.
pub fn decode_startup(input: &[u8]) -> Result<Option<(Startup<'_>, usize)>> {
    let Some(head) = input.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = usize::try_from(i32::from_be_bytes(*head)).unwrap_or(0);
    if !(8..=STARTUP_BYTES_MAX).contains(&length) {
        return Err(error!(
            ProtocolViolation,
            "invalid length of startup packet"
        ));
    }
    let Some(packet) = input.get(4..length) else {
        return Ok(None);
    };
    let mut reader = Reader::new(packet);
    let startup = match reader.i32()? {
        SSL_CODE => Startup::Ssl,
        GSS_CODE => Startup::Gss,
        CANCEL_CODE => {
            let pid = reader.i32()?;
            let key = reader.rest();
            if key.is_empty() || key.len() > CANCEL_KEY_BYTES_MAX {
                return Err(error!(
                    ProtocolViolation,
                    "invalid length of cancel request packet"
                ));
            }
            Startup::Cancel { pid, key }
        }
        version => start(version as u32, reader)?,
    };
    Ok(Some((startup, length)))
}

fn start(version: u32, mut reader: Reader<'_>) -> Result<Startup<'_>> {
    let (major, minor) = ((version >> 16) as u16, version as u16);
    let mut parameters = Vec::new();
    // Another major version may lay out the rest differently; only its number matters.
    if major == 3 {
        loop {
            let name = reader.text().map_err(|_| layout())?;
            if name.is_empty() {
                break;
            }
            parameters.push((name, reader.text().map_err(|_| layout())?));
        }
        if !reader.rest().is_empty() {
            return Err(layout());
        }
    }
    Ok(Startup::Start {
        major,
        minor,
        parameters,
    })
}

fn layout() -> helios_types::Error {
    error!(
        ProtocolViolation,
        "invalid startup packet layout: expected terminator as last byte"
    )
}
