//! Options of this protocol.

/// What the daemon's configuration says of MongoDB connections.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the one-member replica set that clients are told of.
    pub replica_set: String,
    /// `host:port` that clients are told to connect to; by default the address they used.
    pub advertised: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            replica_set: "helios".into(),
            advertised: None,
        }
    }
}
