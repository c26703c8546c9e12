//! The daemon's configuration: one schema, read from files, environment and flags.
//!
//! Later wins: defaults, `heliosdb.toml`, `heliosdb.yaml`, environment, flags. Every key has a
//! default here, stands with its meaning in `deploy/heliosdb.example.toml`, and is written in the
//! environment as `HELIOSDB__SECTION__KEY`. A key that is not here is refused by name.

mod layers;
mod load;

pub use load::{Loaded, Sources, load};

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub storage: Storage,
    pub server: Server,
    pub ports: Ports,
    pub http: Http,
    pub performance: Performance,
    pub durability: Durability,
    pub auth: Auth,
    pub tls: Tls,
    pub encryption: Encryption,
    pub vector: Vector,
    pub log: Log,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Storage {
    pub path: PathBuf,
    /// Bytes of the block cache.
    pub cache_size: u64,
    pub compression: Compression,
    pub in_memory: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    Zstd,
    Lz4,
    None,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    pub listen_addr: IpAddr,
    /// PostgreSQL's port.
    pub port: Port,
    /// Connections of the wire protocols together.
    pub max_connections: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ports {
    pub redis: Port,
    pub mongo: Port,
    pub http: Port,
    pub nano: Port,
    pub ws: Port,
    pub grpc: Port,
    pub cql: Port,
    pub mysql: Port,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Http {
    pub max_connections: usize,
    /// `<database>.<public_domain>` in the Host header names a database.
    pub public_domain: String,
    /// Largest JSON body, in bytes.
    pub max_body_size: usize,
    /// Largest SQL text of dialect v7, in bytes.
    pub max_query_size: usize,
    /// Most rows of one answer of dialect v7.
    pub max_result_rows: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Performance {
    pub enable_simd: bool,
    /// Threads that serve requests; never more than the machine has cores.
    pub worker_threads: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Durability {
    pub default: Level,
    pub redis: Level,
}

/// When a commit is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// After its bytes are on the disk.
    On,
    /// After its bytes are with the operating system; on the disk within a second.
    EverySec,
    /// At once; on the disk when the operating system likes.
    Off,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Auth {
    pub mode: AuthMode,
    pub dialects: Dialects,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// As `[auth.dialects]` says.
    Dialects,
    /// Every dialect as if `required`.
    Required,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dialects {
    pub v7: Policy,
    pub cloud: Policy,
    pub nano: Policy,
    pub postgrest: Policy,
    pub branch: Policy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    Required,
    /// A request without credentials acts as the role `anon`.
    Optional,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tls {
    pub enabled: bool,
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    pub client_auth: ClientAuth,
    pub client_ca_file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    None,
    Optional,
    Require,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encryption {
    pub enabled: bool,
    pub algorithm: String,
    pub key_source: KeySource,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeySource {
    /// Name of the environment variable that holds the key.
    pub environment: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vector {
    pub pq_enabled: bool,
    pub pq_auto_compress: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            path: "./heliosdb-data".into(),
            cache_size: 512 << 20,
            compression: Compression::Zstd,
            in_memory: false,
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen_addr: IpAddr::from([0, 0, 0, 0]),
            port: Port::Number(5432),
            max_connections: 100,
        }
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            redis: Port::Number(6379),
            mongo: Port::Number(27017),
            http: Port::Number(8080),
            nano: Port::Off,
            ws: Port::Off,
            grpc: Port::Number(50051),
            cql: Port::Off,
            mysql: Port::Off,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            public_domain: "heliosdb.io".to_owned(),
            max_body_size: 16 << 20,
            max_query_size: 1 << 20,
            max_result_rows: 100_000,
        }
    }
}

impl Default for Performance {
    fn default() -> Self {
        Self {
            enable_simd: true,
            worker_threads: 4,
        }
    }
}

impl Default for Durability {
    fn default() -> Self {
        Self {
            default: Level::On,
            redis: Level::EverySec,
        }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            mode: AuthMode::Dialects,
            dialects: Dialects {
                v7: Policy::Required,
                cloud: Policy::Required,
                nano: Policy::Required,
                postgrest: Policy::Optional,
                branch: Policy::Optional,
            },
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            enabled: false,
            cert_file: "/certs/server.crt".into(),
            key_file: "/certs/server.key".into(),
            client_auth: ClientAuth::None,
            client_ca_file: "/certs/ca.crt".into(),
        }
    }
}

impl Default for Encryption {
    fn default() -> Self {
        Self {
            enabled: false,
            algorithm: "aes256-gcm".to_owned(),
            key_source: KeySource {
                environment: "HELIOSDB_KEY".to_owned(),
            },
        }
    }
}

impl Default for Vector {
    fn default() -> Self {
        Self {
            pq_enabled: true,
            pq_auto_compress: true,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// A port number, where 0 takes a free one, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Number(u16),
    Off,
}

impl Port {
    pub fn number(self) -> Option<u16> {
        match self {
            Port::Number(n) => Some(n),
            Port::Off => None,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Number(n) => n.fmt(f),
            Port::Off => f.write_str("off"),
        }
    }
}

impl std::str::FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Port::Off);
        }
        text.parse()
            .map(Port::Number)
            .map_err(|_| PORT_EXPECTED.to_owned())
    }
}

const PORT_EXPECTED: &str = "a port is a number from 0 to 65535 or \"off\"";

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Port::Number(n) => serializer.serialize_u16(*n),
            Port::Off => serializer.serialize_str("off"),
        }
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PortVisitor;
        impl Visitor<'_> for PortVisitor {
            type Value = Port;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port number or \"off\"")
            }

            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Port, E> {
                u16::try_from(n)
                    .map(Port::Number)
                    .map_err(|_| E::custom(PORT_EXPECTED))
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Port, E> {
                u16::try_from(n)
                    .map(Port::Number)
                    .map_err(|_| E::custom(PORT_EXPECTED))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Port, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(PortVisitor)
    }
}
