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
    /// How long an idle cursor may keep the state of the database that it reads. After that what is
    /// left of its documents is put aside, and one with too many of them is closed.
    pub cursor_snapshot_lifetime: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            replica_set: "helios".into(),
            advertised: None,
            transaction_lifetime: Duration::from_secs(60),
            cursor_snapshot_lifetime: Duration::from_secs(30),
        }
    }
}
