//! The dialects of REST and the rules that choose one for a request.
//!
//! Every HTTP port serves every route; a port only sets the default for routes that several
//! dialects own. The rules, first match wins:
//!
//! 1. header `X-Helios-Dialect` or query parameter `dialect`;
//! 2. `/rest/v1/…` is postgrest;
//! 3. `/v1/auth`, `/v1/databases`, `/v1/webhooks` are cloud, every other `/v1/…` is branch;
//! 4. for `/api/v1/…` the dialects that document the method and path own it: the only owner; the
//!    owner that a field of the body points to; the owner that the Host header points to; the
//!    port's default when it is an owner; the first owner;
//! 5. a route that nobody owns, or a failure before the body is read: the port's default.

use crate::config::HttpConfig;
use crate::error::{Failure, Fault, Result};
use crate::route::Endpoint;
use helios_types::ErrorKind;
use hyper::http::request::Parts;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    V7,
    Cloud,
    Nano,
    Branch,
    Postgrest,
}

impl Dialect {
    pub const ALL: [Dialect; 5] = [
        Dialect::V7,
        Dialect::Cloud,
        Dialect::Nano,
        Dialect::Branch,
        Dialect::Postgrest,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Dialect::V7 => "v7",
            Dialect::Cloud => "cloud",
            Dialect::Nano => "nano",
            Dialect::Branch => "branch",
            Dialect::Postgrest => "postgrest",
        }
    }

    /// The dialects that a client may name.
    fn from_name(name: &str) -> Option<Self> {
        [Dialect::V7, Dialect::Cloud, Dialect::Nano, Dialect::Branch]
            .into_iter()
            .find(|d| d.name() == name)
    }
}

/// Rule 1: the dialect that the request names.
pub fn named(parts: &Parts) -> Result<Option<Dialect>> {
    let header = parts
        .headers
        .get("x-helios-dialect")
        .map(|v| v.to_str().unwrap_or("?"));
    let query = || {
        let mut pairs = parts.uri.query()?.split('&');
        pairs.find_map(|pair| pair.strip_prefix("dialect="))
    };
    match header.or_else(query) {
        None => Ok(None),
        Some(name) => match Dialect::from_name(name) {
            Some(dialect) => Ok(Some(dialect)),
            // The contract gives this wrong value 400, as it does to malformed requests.
            None => Err(Failure::new(
                Fault::MalformedJson,
                ErrorKind::InvalidParameterValue,
                format!("unknown dialect \"{name}\": expected v7, cloud, nano or branch"),
            )),
        },
    }
}

/// Rules 2 to 4, with the names of the body's top-level fields where the endpoint has a body.
pub fn of_route(
    endpoint: Endpoint,
    parts: &Parts,
    fields: &dyn Fn(&str) -> bool,
    default: Dialect,
    config: &HttpConfig,
) -> Dialect {
    let owners = endpoint.owners();
    if let [only] = owners {
        return *only;
    }
    if let Some(dialect) = endpoint.discriminate(fields).filter(|d| owners.contains(d)) {
        return dialect;
    }
    if let Some(dialect) = of_host(parts, config).filter(|d| owners.contains(d)) {
        return dialect;
    }
    if owners.contains(&default) {
        return default;
    }
    [Dialect::V7, Dialect::Cloud, Dialect::Nano]
        .into_iter()
        .find(|d| owners.contains(d))
        .unwrap_or(default)
}

/// The dialect of an error on a path that no endpoint has, or before the body was read.
pub fn of_path(path: &str, default: Dialect) -> Dialect {
    if path.starts_with("/rest/v1") {
        return Dialect::Postgrest;
    }
    match path.strip_prefix("/v1/") {
        None => default,
        Some(rest) => match rest.split('/').next() {
            Some("auth" | "databases" | "webhooks") => Dialect::Cloud,
            _ => Dialect::Branch,
        },
    }
}

fn of_host(parts: &Parts, config: &HttpConfig) -> Option<Dialect> {
    let host = parts.headers.get("host")?.to_str().ok()?;
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if host.eq_ignore_ascii_case("api.heliosdb.io") {
        return Some(Dialect::V7);
    }
    let suffix_at = host.len().checked_sub(config.public_domain.len())?;
    let (name, suffix) = (host.get(..suffix_at)?, host.get(suffix_at..)?);
    (suffix.eq_ignore_ascii_case(&config.public_domain) && name.len() > 1 && name.ends_with('.'))
        .then_some(Dialect::Cloud)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Found, find};
    use hyper::{Method, Request};

    /// method, path, header or Host, fields of the body, default of the port, expected dialect
    const CASES: &[(&str, &str, &str, &[&str], Dialect, &str)] = &[
        ("POST", "/api/v1/query", "", &["sql"], Dialect::V7, "v7"),
        ("POST", "/api/v1/query", "", &["sql"], Dialect::Nano, "nano"),
        (
            "POST",
            "/api/v1/query",
            "",
            &["sql", "max_rows"],
            Dialect::Nano,
            "v7",
        ),
        (
            "POST",
            "/api/v1/query",
            "",
            &["sql", "include_metadata"],
            Dialect::Nano,
            "v7",
        ),
        (
            "POST",
            "/api/v1/query",
            "host: api.heliosdb.io",
            &["sql"],
            Dialect::Nano,
            "v7",
        ),
        (
            "POST",
            "/api/v1/query",
            "x-helios-dialect: nano",
            &["sql", "max_rows"],
            Dialect::V7,
            "nano",
        ),
        (
            "POST",
            "/api/v1/query?dialect=nano",
            "",
            &["sql"],
            Dialect::V7,
            "nano",
        ),
        ("GET", "/api/v1/tables", "", &[], Dialect::Nano, "v7"),
        ("GET", "/health", "", &[], Dialect::V7, "branch"),
        (
            "POST",
            "/v1/branches/main/query",
            "",
            &["sql"],
            Dialect::Nano,
            "branch",
        ),
    ];

    #[test]
    fn one_route_is_given_to_the_dialect_that_the_rules_say() {
        let config = HttpConfig::default();
        for (method, path, header, fields, default, expected) in CASES {
            let mut request = Request::builder().method(*method).uri(*path);
            if let Some((name, value)) = header.split_once(": ") {
                request = request.header(name, value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let dialect = named(&parts).unwrap().unwrap_or_else(|| {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let Found::Endpoint(endpoint, _) = find(&method, parts.uri.path()) else {
                    panic!("{path}")
                };
                of_route(
                    endpoint,
                    &parts,
                    &|name| fields.contains(&name),
                    *default,
                    &config,
                )
            });
            assert_eq!(
                dialect.name(),
                *expected,
                "{method} {path} {header} {fields:?}"
            );
        }
    }

    #[test]
    fn an_unknown_dialect_is_refused() {
        let (parts, ()) = Request::builder()
            .uri("/x?dialect=latin")
            .body(())
            .unwrap()
            .into_parts();
        assert!(named(&parts).is_err());
    }

    #[test]
    fn an_error_on_an_unknown_path_takes_the_dialect_of_its_prefix() {
        for (path, expected) in [
            ("/v1/databases/x", "cloud"),
            ("/v1/nothing", "branch"),
            ("/rest/v1/t", "postgrest"),
            ("/x", "v7"),
        ] {
            assert_eq!(of_path(path, Dialect::V7).name(), expected);
        }
    }
}
