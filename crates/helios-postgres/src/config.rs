//! Limits and options of this protocol.

/// What the daemon's configuration says of PostgreSQL connections.
#[derive(Clone, Debug)]
pub struct Config {
    /// Longest message that a client may send, in bytes.
    pub message_bytes_max: usize,
    /// The server's certificate chain as PEM: with it, TLS connections are offered
    /// SCRAM-SHA-256-PLUS.
    pub certificate_pem: Option<Vec<u8>>,
    /// Statements and portals that one connection may keep.
    pub prepared_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            // PostgreSQL's own bound: one gigabyte less one byte.
            message_bytes_max: (1 << 30) - 1,
            certificate_pem: None,
            prepared_max: 65_536,
        }
    }
}
