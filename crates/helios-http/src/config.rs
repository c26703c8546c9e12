//! Limits and policies of the HTTP front-end.

use crate::dialect::Dialect;

#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// `<database>.<public_domain>` in the Host header points to the cloud dialect.
    pub public_domain: String,
    /// Largest JSON body, in bytes.
    pub body_bytes_max: usize,
    /// Largest SQL text of dialect v7, in bytes.
    pub v7_sql_bytes_max: usize,
    /// Most rows of one answer of dialect v7.
    pub v7_rows_max: u64,
    /// Most connections, as `/info` reports it.
    pub connections_max: usize,
    /// Dialects whose requests need credentials once any credential exists.
    pub required: Vec<Dialect>,
    /// API key of the owner, from the environment.
    pub api_key: Option<String>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            public_domain: "heliosdb.io".to_owned(),
            body_bytes_max: 16 << 20,
            v7_sql_bytes_max: 1 << 20,
            v7_rows_max: 100_000,
            connections_max: 10_000,
            required: vec![Dialect::V7, Dialect::Cloud, Dialect::Nano],
            api_key: None,
        }
    }
}
