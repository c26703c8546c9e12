//! The messages of an established connection.

use super::Header;
use super::reader::Reader;
use helios_types::{Result, error};

#[derive(Clone, Copy, Debug)]
pub enum Frontend<'a> {
    Query(&'a str),
    Parse(Parse<'a>),
    Bind(Bind<'a>),
    Describe(Target<'a>),
    Execute {
        portal: &'a str,
        max_rows: u32,
    },
    Close(Target<'a>),
    Flush,
    Sync,
    CopyData(&'a [u8]),
    CopyDone,
    CopyFail(&'a str),
    /// Password, SASLInitialResponse or SASLResponse, by the state of the exchange.
    Password(&'a [u8]),
    /// libpq's "fast path"; understood so that it can be refused without losing the connection.
    FunctionCall,
    Terminate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    Statement(&'a str),
    Portal(&'a str),
}

#[derive(Clone, Copy, Debug)]
pub struct Parse<'a> {
    pub name: &'a str,
    pub query: &'a str,
    /// Big-endian OIDs; 0 leaves a type to be inferred.
    types: &'a [u8],
}

impl Parse<'_> {
    pub fn parameter_types(&self) -> impl Iterator<Item = u32> {
        self.types
            .as_chunks::<4>()
            .0
            .iter()
            .map(|oid| u32::from_be_bytes(*oid))
    }
}

/// A Bind message, checked as a whole; its values are read in place.
#[derive(Clone, Copy, Debug)]
pub struct Bind<'a> {
    pub portal: &'a str,
    pub statement: &'a str,
    parameter_formats: &'a [u8],
    n_parameters: usize,
    values: &'a [u8],
    result_formats: &'a [u8],
}

impl<'a> Bind<'a> {
    pub fn parameter_count(&self) -> usize {
        self.n_parameters
    }

    pub fn parameter_format_count(&self) -> usize {
        self.parameter_formats.len() / 2
    }

    /// The values in order, NULL as `None`.
    pub fn values(&self) -> impl Iterator<Item = Option<&'a [u8]>> {
        let mut reader = Reader::new(self.values);
        (0..self.n_parameters).map_while(move |_| reader.value().ok())
    }

    /// The format code of one parameter: none given means text, one given holds for all.
    pub fn parameter_format(&self, index: usize) -> i16 {
        format_code(self.parameter_formats, index)
    }

    pub fn result_formats(&self) -> impl Iterator<Item = i16> + 'a {
        self.result_formats
            .as_chunks::<2>()
            .0
            .iter()
            .map(|code| i16::from_be_bytes(*code))
    }
}

fn format_code(codes: &[u8], index: usize) -> i16 {
    match codes.as_chunks::<2>().0 {
        [] => 0,
        [all] => i16::from_be_bytes(*all),
        each => each.get(index).map_or(0, |code| i16::from_be_bytes(*code)),
    }
}

/// The message of this header. An error is of this message alone: the next one can be read.
pub fn decode_message<'a>(header: Header, body: &'a [u8]) -> Result<Frontend<'a>> {
    let mut reader = Reader::new(body);
    let message = match header.tag {
        b'Q' => Frontend::Query(reader.text()?),
        b'P' => parse(&mut reader)?,
        b'B' => bind(&mut reader)?,
        b'D' => Frontend::Describe(target(&mut reader, "DESCRIBE")?),
        b'E' => {
            let portal = reader.text()?;
            // PostgreSQL takes zero and everything below it for "all rows".
            let max_rows = u32::try_from(reader.i32()?).unwrap_or(0);
            Frontend::Execute { portal, max_rows }
        }
        b'C' => Frontend::Close(target(&mut reader, "CLOSE")?),
        b'H' => Frontend::Flush,
        b'S' => Frontend::Sync,
        b'd' => return Ok(Frontend::CopyData(body)),
        b'c' => Frontend::CopyDone,
        b'f' => Frontend::CopyFail(reader.text()?),
        b'p' => return Ok(Frontend::Password(body)),
        b'F' => return Ok(Frontend::FunctionCall),
        b'X' => Frontend::Terminate,
        tag => {
            return Err(error!(
                ProtocolViolation,
                "invalid frontend message type {tag}"
            ));
        }
    };
    reader.end()?;
    Ok(message)
}

/// Whether the protocol has this message at all; after one that it has not, the stream cannot be
/// trusted.
pub fn is_known_tag(tag: u8) -> bool {
    b"QPBDECHSdcfpFX".contains(&tag)
}

fn parse<'a>(reader: &mut Reader<'a>) -> Result<Frontend<'a>> {
    let name = reader.text()?;
    let query = reader.text()?;
    let count = reader.count(4)?;
    Ok(Frontend::Parse(Parse {
        name,
        query,
        types: reader.bytes(count * 4)?,
    }))
}

fn bind<'a>(reader: &mut Reader<'a>) -> Result<Frontend<'a>> {
    let portal = reader.text()?;
    let statement = reader.text()?;
    let count = reader.count(2)?;
    let parameter_formats = reader.bytes(count * 2)?;
    let n_parameters = reader.count(4)?;
    let start = reader.rest();
    for _ in 0..n_parameters {
        reader.value()?;
    }
    let values = &start[..start.len() - reader.rest().len()];
    let count = reader.count(2)?;
    let result_formats = reader.bytes(count * 2)?;
    if parameter_formats.len() > 2 && parameter_formats.len() / 2 != n_parameters {
        return Err(error!(
            ProtocolViolation,
            "bind message has {} parameter formats but {n_parameters} parameters",
            parameter_formats.len() / 2
        ));
    }
    Ok(Frontend::Bind(Bind {
        portal,
        statement,
        parameter_formats,
        n_parameters,
        values,
        result_formats,
    }))
}

fn target<'a>(reader: &mut Reader<'a>, message: &str) -> Result<Target<'a>> {
    match reader.u8()? {
        b'S' => Ok(Target::Statement(reader.text()?)),
        b'P' => Ok(Target::Portal(reader.text()?)),
        other => Err(error!(
            ProtocolViolation,
            "invalid {message} message subtype {other}"
        )),
    }
}
