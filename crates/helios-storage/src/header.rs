//! The header in front of every stored value.
//!
//! ```text
//! flags u8 | begin_ts u64 | [schema u32 when HAS_SCHEMA] | [expire_ms u64 when HAS_EXPIRY] | body
//! ```
//!
//! All numbers are big endian. `begin_ts` stands at a fixed place, so that the commit can stamp it
//! into values that were prepared before the timestamp was known. A value that a transaction reads
//! back from its own uncommitted writes has `begin_ts` zero.

use helios_types::{Result, Ts, bail};

/// What a writer says about a row; the commit adds the timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowHeader {
    /// Version of the table's schema that the body is encoded with; zero where that means nothing.
    pub schema: u32,
    /// Unix milliseconds after which the row counts as gone.
    pub expire_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub flags: u8,
    pub begin_ts: Ts,
    pub schema: u32,
    pub expire_ms: Option<u64>,
}

impl Header {
    /// The key is deleted in this branch although an ancestor may have it.
    pub const TOMBSTONE: u8 = 1;
    pub const HAS_SCHEMA: u8 = 2;
    pub const HAS_EXPIRY: u8 = 4;
    const KNOWN: u8 = Self::TOMBSTONE | Self::HAS_SCHEMA | Self::HAS_EXPIRY;
    /// Where `begin_ts` stands.
    pub(crate) const BEGIN_TS: std::ops::Range<usize> = 1..9;
    pub(crate) const LEN_MAX: usize = 21;

    pub fn is_tombstone(&self) -> bool {
        self.flags & Self::TOMBSTONE != 0
    }
}

/// Appends a header whose `begin_ts` the commit will stamp.
pub(crate) fn encode_header(out: &mut Vec<u8>, header: RowHeader, tombstone: bool) {
    let mut flags = if tombstone { Header::TOMBSTONE } else { 0 };
    if header.schema != 0 {
        flags |= Header::HAS_SCHEMA;
    }
    if header.expire_ms.is_some() {
        flags |= Header::HAS_EXPIRY;
    }
    out.push(flags);
    out.extend_from_slice(&[0; 8]);
    if header.schema != 0 {
        out.extend_from_slice(&header.schema.to_be_bytes());
    }
    if let Some(ms) = header.expire_ms {
        out.extend_from_slice(&ms.to_be_bytes());
    }
}

/// Splits a stored value into header and body.
#[inline]
pub fn split_header(value: &[u8]) -> Result<(Header, &[u8])> {
    match try_split(value) {
        Some(parts) => Ok(parts),
        None => bail!(
            DataCorrupted,
            "stored value of {} bytes has no valid header",
            value.len()
        ),
    }
}

#[inline]
fn try_split(value: &[u8]) -> Option<(Header, &[u8])> {
    let (&flags, rest) = value.split_first()?;
    if flags & !Header::KNOWN != 0 {
        return None;
    }
    let (begin, mut rest) = rest.split_first_chunk::<8>()?;
    let mut header = Header {
        flags,
        begin_ts: Ts(u64::from_be_bytes(*begin)),
        schema: 0,
        expire_ms: None,
    };
    if flags & Header::HAS_SCHEMA != 0 {
        let (schema, after) = rest.split_first_chunk::<4>()?;
        header.schema = u32::from_be_bytes(*schema);
        rest = after;
    }
    if flags & Header::HAS_EXPIRY != 0 {
        let (expire, after) = rest.split_first_chunk::<8>()?;
        header.expire_ms = Some(u64::from_be_bytes(*expire));
        rest = after;
    }
    Some((header, rest))
}

/// Only the timestamp of a stored value.
#[inline]
pub(crate) fn begin_ts(value: &[u8]) -> Result<Ts> {
    match value
        .get(Header::BEGIN_TS)
        .and_then(|b| b.first_chunk::<8>())
    {
        Some(bytes) => Ok(Ts(u64::from_be_bytes(*bytes))),
        None => bail!(
            DataCorrupted,
            "stored value of {} bytes has no valid header",
            value.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_as_written() {
        for header in [
            RowHeader::default(),
            RowHeader {
                schema: 7,
                expire_ms: None,
            },
            RowHeader {
                schema: 0,
                expire_ms: Some(9),
            },
            RowHeader {
                schema: u32::MAX,
                expire_ms: Some(u64::MAX),
            },
        ] {
            let mut out = Vec::new();
            encode_header(&mut out, header, false);
            assert!(out.len() <= Header::LEN_MAX);
            out.extend_from_slice(b"body");
            let (read, body) = split_header(&out).unwrap();
            assert_eq!(
                (read.schema, read.expire_ms),
                (header.schema, header.expire_ms)
            );
            assert_eq!(body, b"body");
            for cut in 0..out.len() - 4 {
                assert!(split_header(&out[..cut]).is_err());
            }
        }
        assert!(
            split_header(&[0x80; 40]).is_err(),
            "an unknown flag is refused"
        );
    }
}
