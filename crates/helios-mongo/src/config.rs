//! Options of this protocol.

use std::time::Duration;

/// What the daemon's configuration says of MongoDB connections.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the one-member replica set that clients are told of.
    pub replica_set: String,
    /// `host:port` that clients are told to connect to; by default the address they used.
    pub advertised: Option<String>,
    /// How long a transaction may be open before it is rolled back: MongoDB's
    /// `transactionLifetimeLimitSeconds`.
    pub transaction_lifetime: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            replica_set: "helios".into(),
            advertised: None,
            transaction_lifetime: Duration::from_secs(60),
        }
    }
}
