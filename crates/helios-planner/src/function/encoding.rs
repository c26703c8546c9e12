//! Bytes: encodings, digests, single bytes, random UUIDs.

use super::argument::{Context, bytea, integer, text, value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use helios_types::{Error, Result, Value, bail, error};
use std::sync::Arc;

pub fn encode(args: &[Value], _: Context) -> Result<Value> {
    let (bytes, format) = (bytea(args, 0)?, text(args, 1)?);
    let mut out = String::new();
    match format.to_ascii_lowercase().as_str() {
        "hex" => {
            helios_types::text::write_bytea(&mut out, bytes, false).map_err(Error::internal)?;
            out.drain(..2);
        }
        "base64" => {
            // A line break after every 76 characters, as in MIME.
            let encoded = STANDARD.encode(bytes);
            for (i, c) in encoded.chars().enumerate() {
                if i > 0 && i % 76 == 0 {
                    out.push('\n');
                }
                out.push(c);
            }
        }
        "escape" => {
            for byte in bytes {
                match byte {
                    b'\\' => out.push_str("\\\\"),
                    0 | 0x80.. => out.push_str(&format!("\\{byte:03o}")),
                    _ => out.push(char::from(*byte)),
                }
            }
        }
        _ => bail!(InvalidParameterValue, "unrecognized encoding: \"{format}\""),
    }
    Ok(Value::from(out))
}

pub fn decode(args: &[Value], _: Context) -> Result<Value> {
    let (source, format) = (text(args, 0)?, text(args, 1)?);
    Ok(Value::bytea(match format.to_ascii_lowercase().as_str() {
        "hex" => helios_types::text::parse_bytea(&format!("\\x{source}"))?,
        "base64" => {
            let compact: String = source
                .chars()
                .filter(|c| !c.is_ascii_whitespace())
                .collect();
            STANDARD.decode(&compact).map_err(|_| {
                match compact
                    .chars()
                    .find(|c| !c.is_ascii_alphanumeric() && !"+/=".contains(*c))
                {
                    Some(c) => error!(
                        InvalidParameterValue,
                        "invalid symbol \"{c}\" found while decoding base64 sequence"
                    ),
                    None => error!(InvalidParameterValue, "invalid base64 end sequence").with_hint(
                        "Input data is missing padding, is truncated, or is otherwise corrupted.",
                    ),
                }
            })?
        }
        "escape" => helios_types::text::parse_bytea(source)?,
        _ => bail!(InvalidParameterValue, "unrecognized encoding: \"{format}\""),
    }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn input(args: &[Value]) -> Result<&[u8]> {
    match value(args, 0)? {
        Value::Text(v) => Ok(v.as_bytes()),
        Value::Bytea(v) => Ok(v),
        _ => Err(Error::internal("digest of another type")),
    }
}

pub fn md5(args: &[Value], _: Context) -> Result<Value> {
    use md5::Digest;
    Ok(Value::from(hex(&md5::Md5::digest(input(args)?))))
}

macro_rules! digests {
    ($($name:ident = $digest:ty;)*) => {
        $(pub fn $name(args: &[Value], _: Context) -> Result<Value> {
            use sha2::Digest;
            Ok(Value::bytea(<$digest>::digest(input(args)?)))
        })*
    };
}

digests! {
    sha224 = sha2::Sha224;
    sha256 = sha2::Sha256;
    sha384 = sha2::Sha384;
    sha512 = sha2::Sha512;
}

fn is_utf8(name: &str) -> bool {
    matches!(
        name.to_ascii_uppercase().replace(['-', '_'], "").as_str(),
        "UTF8" | "UNICODE"
    )
}

pub fn convert_to(args: &[Value], _: Context) -> Result<Value> {
    let (source, encoding) = (text(args, 0)?, text(args, 1)?);
    match encoding.to_ascii_uppercase().as_str() {
        name if is_utf8(name) => Ok(Value::bytea(source.as_bytes())),
        "LATIN1" | "ISO88591" | "SQL_ASCII" => {
            let bytes = source
                .chars()
                .map(|c| u8::try_from(u32::from(c)))
                .collect::<std::result::Result<Vec<_>, _>>();
            bytes.map(Value::bytea).map_err(|_| {
                error!(
                    InvalidEncoding,
                    "character has no equivalent in encoding \"{encoding}\""
                )
                .with_sqlstate(*b"22P05")
            })
        }
        _ => Err(Error::unsupported(format_args!("encoding \"{encoding}\""))),
    }
}

pub fn convert_from(args: &[Value], _: Context) -> Result<Value> {
    let (bytes, encoding) = (bytea(args, 0)?, text(args, 1)?);
    match encoding.to_ascii_uppercase().as_str() {
        name if is_utf8(name) || name == "SQL_ASCII" => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(Value::text(text)),
            Ok(_) => bail!(
                InvalidEncoding,
                "invalid byte sequence for encoding \"UTF8\": 0x00"
            ),
            Err(e) => {
                let byte = bytes.get(e.valid_up_to()).copied().unwrap_or(0);
                bail!(
                    InvalidEncoding,
                    "invalid byte sequence for encoding \"UTF8\": 0x{byte:02x}"
                )
            }
        },
        "LATIN1" | "ISO88591" => Ok(Value::from(
            bytes.iter().map(|b| char::from(*b)).collect::<String>(),
        )),
        _ => Err(Error::unsupported(format_args!("encoding \"{encoding}\""))),
    }
}

fn index(args: &[Value], bits: usize) -> Result<usize> {
    let (n, total) = (integer(args, 1)?, bytea(args, 0)?.len() * bits);
    usize::try_from(n)
        .ok()
        .filter(|n| *n < total)
        .ok_or_else(|| {
            error!(
                ArraySubscriptError,
                "index {n} out of valid range, 0..{}",
                total as i64 - 1
            )
        })
}

pub fn get_byte(args: &[Value], _: Context) -> Result<Value> {
    let at = index(args, 1)?;
    Ok(Value::Int4(i32::from(bytea(args, 0)?[at])))
}

pub fn set_byte(args: &[Value], _: Context) -> Result<Value> {
    let at = index(args, 1)?;
    let mut bytes = bytea(args, 0)?.to_vec();
    bytes[at] = integer(args, 2)? as u8;
    Ok(Value::bytea(bytes))
}

pub fn get_bit(args: &[Value], _: Context) -> Result<Value> {
    let at = index(args, 8)?;
    Ok(Value::Int4(i32::from(
        bytea(args, 0)?[at / 8] >> (at % 8) & 1,
    )))
}

pub fn set_bit(args: &[Value], _: Context) -> Result<Value> {
    let at = index(args, 8)?;
    let mut bytes = bytea(args, 0)?.to_vec();
    match integer(args, 2)? {
        0 => bytes[at / 8] &= !(1 << (at % 8)),
        1 => bytes[at / 8] |= 1 << (at % 8),
        _ => bail!(InvalidParameterValue, "new bit must be 0 or 1"),
    }
    Ok(Value::bytea(bytes))
}

pub fn gen_random_uuid(_: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Uuid(Arc::new(uuid::Uuid::new_v4().into_bytes())))
}
