//! Reading arguments: numbers, keywords and options, with the errors that Redis gives.

use crate::codec::Args;
use helios_engine::keyspace::number;
use helios_types::{Error, ErrorKind, Result};

pub fn is(arg: &[u8], keyword: &str) -> bool {
    arg.eq_ignore_ascii_case(keyword.as_bytes())
}

pub fn fail<T>(message: &'static str) -> Result<T> {
    Err(Error::new(ErrorKind::InvalidParameterValue, message))
}

pub fn syntax_error<T>() -> Result<T> {
    Err(Error::new(ErrorKind::SyntaxError, "syntax error"))
}

pub fn integer(arg: &[u8]) -> Result<i64> {
    integer_or(arg, "value is not an integer or out of range")
}

pub fn integer_or(arg: &[u8], message: &'static str) -> Result<i64> {
    number::parse_i64(arg).ok_or_else(|| Error::new(ErrorKind::InvalidTextRepresentation, message))
}

pub fn float(arg: &[u8]) -> Result<f64> {
    float_or(arg, "value is not a valid float")
}

pub fn float_or(arg: &[u8], message: &'static str) -> Result<f64> {
    number::parse_f64(arg).ok_or_else(|| Error::new(ErrorKind::InvalidTextRepresentation, message))
}

/// A count that must not be negative.
pub fn positive(arg: &[u8]) -> Result<usize> {
    match number::parse_i64(arg).map(usize::try_from) {
        Some(Ok(count)) => Ok(count),
        _ => fail("value is out of range, must be positive"),
    }
}

/// The keys of `numkeys key [key …]` that begins at `at`, and the position behind them.
pub fn counted_keys<'a>(
    args: Args<'a>,
    at: usize,
    not_positive: &'static str,
) -> Result<(Args<'a>, usize)> {
    let count = integer_or(args.get(at), not_positive)?;
    if count <= 0 {
        return fail(not_positive);
    }
    match usize::try_from(count)
        .ok()
        .filter(|count| *count < args.len() - at)
    {
        Some(count) => Ok((args.slice(at + 1, at + 1 + count), at + 1 + count)),
        None => syntax_error(),
    }
}
