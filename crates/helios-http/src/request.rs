//! A request that was routed, authorised to enter, and read.

use crate::accept::Media;
use crate::dialect::Dialect;
use crate::error::{Failure, Result};
use crate::json::Fields;
use crate::route::percent_decode;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

pub struct Request {
    /// The variable segments of the path, decoded.
    pub captures: Vec<String>,
    /// The query string's pairs, decoded, in order.
    pub query: Vec<(String, String)>,
    pub fields: Fields,
    pub id: String,
    /// The role that the request acts as.
    pub user: String,
    pub database: String,
    /// Whom the request works for: `helios.tenant_id` of its session.
    pub tenant: Option<String>,
    /// The form that the client wants.
    pub media: Media,
    pub peer: Option<SocketAddr>,
    pub dialect: Dialect,
    pub started: Instant,
}

impl Request {
    pub fn capture(&self, i: usize) -> &str {
        self.captures.get(i).map_or("", String::as_str)
    }

    pub fn query_str(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(k, _)| k == name)
            .map(|(_, v)| v.as_str())
    }

    pub fn query_u64(&self, name: &str) -> Result<Option<u64>> {
        let Some(text) = self.query_str(name) else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| parameter(name, "a whole number", text))
    }

    pub fn query_bool(&self, name: &str, default: bool) -> Result<bool> {
        match self.query_str(name) {
            None => Ok(default),
            Some("true" | "1" | "") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(text) => Err(parameter(name, "true or false", text)),
        }
    }

    /// `timeout_ms` of the body.
    pub fn timeout(&self) -> Result<Duration> {
        Ok(match self.fields.u64("timeout_ms")? {
            None => DEFAULT_TIMEOUT,
            Some(0) => return Err(Failure::field("field \"timeout_ms\" must be at least 1")),
            Some(ms) => Duration::from_millis(ms).min(TIMEOUT_MAX),
        })
    }

    pub fn elapsed_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

fn parameter(name: &str, expected: &str, found: &str) -> Failure {
    Failure::field(format!(
        "query parameter \"{name}\" must be {expected}, not \"{found}\""
    ))
}

/// The pairs of a query string; `None` when an escape is malformed.
pub fn query_pairs(query: Option<&str>) -> Option<Vec<(String, String)>> {
    let Some(query) = query else {
        return Some(Vec::new());
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((percent_decode(name, true)?, percent_decode(value, true)?))
        })
        .collect()
}
