//! Structured logs on standard error, as text or JSON lines, with secrets masked.
//!
//! Values that clients send are never logged. The writer masks what could slip through anyway:
//! API keys, passwords in connection strings and in SQL, and the values of this process' secret
//! environment variables.

use crate::config::{Log, LogFormat};
use helios_types::{Result, error};
use regex::Regex;
use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

const SECRET_VARIABLES: &[&str] = &[
    "HELIOSDB_PASSWORD",
    "HELIOSDB_API_KEY",
    "HELIOSDB_ENCRYPTION_KEY",
    "HELIOSDB_KEY",
];
const MASK: &str = "[redacted]";

pub fn start(log: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(&log.level).map_err(|e| {
        error!(
            ConfigFile,
            "\"log.level\" is not a level or filter: \"{}\": {e}", log.level
        )
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Redacting);
    let started = match log.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|e| error!(Internal, "could not start logging: {e}"))
}

#[derive(Clone, Copy)]
struct Redacting;

impl<'a> MakeWriter<'a> for Redacting {
    type Writer = Redacting;

    fn make_writer(&'a self) -> Redacting {
        Redacting
    }
}

impl Write for Redacting {
    /// The subscriber writes one event at a time.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        io::stderr().lock().write_all(redact(&line).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// `line` with every secret masked.
pub fn redact(line: &str) -> Cow<'_, str> {
    static PATTERNS: OnceLock<Vec<(Regex, &str)>> = OnceLock::new();
    static VALUES: OnceLock<Vec<String>> = OnceLock::new();
    let patterns = PATTERNS.get_or_init(|| {
        [
            (r"hdb_(?:sk|pk|test|live)_[A-Za-z0-9_]+", MASK),
            (r"(://[^:/@\s]+:)[^@\s]+@", "${1}[redacted]@"),
            (r"(?i)(password\s*(?:=\s*)?)'[^']*'", "${1}'[redacted]'"),
            (r"(?i)(bearer\s+)[A-Za-z0-9._~+/=-]+", "${1}[redacted]"),
            (r"SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/=$:]+", MASK),
        ]
        .into_iter()
        .filter_map(|(pattern, replacement)| Some((Regex::new(pattern).ok()?, replacement)))
        .collect()
    });
    let values = VALUES.get_or_init(|| {
        // Very short values would mask ordinary text.
        SECRET_VARIABLES
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .filter(|v| v.len() >= 4)
            .collect()
    });
    let mut line = Cow::Borrowed(line);
    for (pattern, replacement) in patterns {
        let masked = match pattern.replace_all(&line, *replacement) {
            Cow::Owned(masked) => masked,
            Cow::Borrowed(_) => continue,
        };
        line = Cow::Owned(masked);
    }
    for value in values {
        if line.contains(value.as_str()) {
            line = Cow::Owned(line.replace(value.as_str(), MASK));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn secrets_are_masked_and_the_rest_stays() {
        let cases = [
            ("key hdb_sk_abc123 used", "key [redacted] used"),
            (
                "postgresql://ann:s3cret@h:5432/d",
                "postgresql://ann:[redacted]@h:5432/d",
            ),
            (
                "ALTER ROLE a PASSWORD 's3cret' LOGIN",
                "ALTER ROLE a PASSWORD '[redacted]' LOGIN",
            ),
            (
                "authorization: Bearer abc.def",
                "authorization: Bearer [redacted]",
            ),
            ("SCRAM-SHA-256$4096:salt$stored:server", "[redacted]"),
            (
                "http://localhost:8080/api/v1",
                "http://localhost:8080/api/v1",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(redact(line), expected);
        }
    }
}
