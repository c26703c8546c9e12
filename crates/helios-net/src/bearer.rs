//! API keys as HTTP and gRPC carry them: `Authorization: Bearer <key>` or `X-API-Key: <key>`.

use helios_types::{Error, ErrorKind, Result};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

/// The key that a request shows.
pub fn presented(headers: &HeaderMap) -> Result<Option<&str>> {
    if let Some(value) = headers.get("x-api-key") {
        return value.to_str().map(Some).map_err(|_| unreadable());
    }
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let value = value.to_str().map_err(|_| unreadable())?;
    match value.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(key.trim())),
        _ => Err(unreadable()),
    }
}

/// Whether two keys are equal, in a time that does not tell where they differ.
pub fn matches(presented: &str, expected: &str) -> bool {
    let (a, b) = (presented.as_bytes(), expected.as_bytes());
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .fold(0, |difference, (x, y)| difference | (x ^ y))
            == 0
}

pub fn invalid() -> Error {
    Error::new(ErrorKind::InvalidPassword, "the API key is not valid")
}

pub fn missing() -> Error {
    Error::new(ErrorKind::Unauthenticated, "no credentials were given")
        .with_hint("send \"Authorization: Bearer <API key>\" or \"X-API-Key: <API key>\"")
}

fn unreadable() -> Error {
    Error::new(
        ErrorKind::InvalidPassword,
        "the credentials are not an API key: expected \"Bearer <API key>\"",
    )
}
