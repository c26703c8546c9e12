//! The binary format: a signature, then per row a field count and values with their lengths, and
//! -1 as the trailer.

use super::CopyColumn;
use crate::codec::Reader;
use crate::parameter::decode_binary;
use helios_types::text::TextContext;
use helios_types::{Result, Value, error};

pub(super) const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Bit 16: the rows carry OIDs, which ended with PostgreSQL 12.
const FLAG_OIDS: u32 = 1 << 16;
const CRITICAL_FLAGS: u32 = 0xffff_0000;

pub(super) enum Read {
    /// A row that took this many bytes.
    Row(usize),
    Trailer,
    More,
}

/// Bytes of the header; `None` when it is not complete.
pub(super) fn read_header(data: &[u8]) -> Result<Option<usize>> {
    let n = data.len().min(SIGNATURE.len());
    if data.get(..n) != SIGNATURE.get(..n) {
        return Err(error!(BadCopyFormat, "COPY file signature not recognized"));
    }
    let Some(Ok(fields)) = data.get(11..19).map(<[u8; 8]>::try_from) else {
        return Ok(None);
    };
    let mut reader = Reader::new(&fields);
    let flags = reader.u32()?;
    if flags & FLAG_OIDS != 0 {
        return Err(error!(
            BadCopyFormat,
            "invalid COPY file header (WITH OIDS)"
        ));
    }
    if flags & CRITICAL_FLAGS != 0 {
        return Err(error!(
            BadCopyFormat,
            "unrecognized critical flags in COPY file header"
        ));
    }
    let extension = usize::try_from(reader.i32()?)
        .map_err(|_| error!(BadCopyFormat, "invalid COPY file header (missing length)"))?;
    Ok((data.len() >= 19 + extension).then_some(19 + extension))
}

pub(super) fn read_row(
    data: &[u8],
    columns: &[CopyColumn],
    context: &TextContext,
    row: &mut Vec<Value>,
) -> Result<Read> {
    let mut reader = Reader::new(data);
    let Ok(count) = reader.i16() else {
        return Ok(Read::More);
    };
    if count == -1 {
        return Ok(Read::Trailer);
    }
    if count as i64 != columns.len() as i64 {
        return Err(error!(
            BadCopyFormat,
            "row field count is {count}, expected {}",
            columns.len()
        ));
    }
    for column in columns {
        let Ok(length) = reader.i32() else {
            return Ok(Read::More);
        };
        if length == -1 {
            row.push(Value::Null);
            continue;
        }
        let length =
            usize::try_from(length).map_err(|_| error!(BadCopyFormat, "invalid field size"))?;
        if length > helios_types::limits::VALUE_BYTES_MAX {
            return Err(error!(BadCopyFormat, "invalid field size"));
        }
        let Ok(bytes) = reader.bytes(length) else {
            return Ok(Read::More);
        };
        row.push(decode_binary(bytes, column.ty, context)?);
    }
    Ok(Read::Row(data.len() - reader.rest().len()))
}
