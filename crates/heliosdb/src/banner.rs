//! What the daemon says when it is ready: one line to copy for each protocol.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// What the banner is made of.
pub struct Banner<'a> {
    /// Protocol name and bound address.
    pub listeners: &'a [(&'static str, SocketAddr)],
    pub data_dir: &'a str,
    pub user: &'a str,
    pub database: &'a str,
    /// No credential exists, so only this machine may connect.
    pub open_on_loopback: bool,
    pub tls: bool,
}

impl std::fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "HeliosDB {} is ready, data in {}",
            env!("CARGO_PKG_VERSION"),
            self.data_dir
        )?;
        for (name, address) in self.listeners {
            writeln!(f, "  {:<11}{}", title(name), self.line(name, *address))?;
        }
        if self.open_on_loopback {
            writeln!(
                f,
                "No password is set: only this machine can connect, as \"{0}\". To set one:\n  psql \"{1}\" -c \"ALTER ROLE {0} PASSWORD 'choose-one'\"",
                self.user,
                self.postgres_url()
                    .unwrap_or_else(|| "postgresql://…".to_owned()),
            )?;
        }
        f.write_char('\n')
    }
}

impl Banner<'_> {
    fn postgres_url(&self) -> Option<String> {
        let (_, address) = self.listeners.iter().find(|(name, _)| *name == "pg")?;
        let (host, port) = (host(address.ip()), address.port());
        Some(format!(
            "postgresql://{}@{host}:{port}/{}",
            self.user, self.database
        ))
    }

    /// A command that works as it stands.
    fn line(&self, name: &str, address: SocketAddr) -> String {
        let (host, port) = (host(address.ip()), address.port());
        let secure = if self.tls { "s" } else { "" };
        match name {
            "pg" => format!("psql \"{}\"", self.postgres_url().unwrap_or_default()),
            "redis" => format!(
                "redis-cli{} -h {host} -p {port} PING",
                if self.tls { " --tls" } else { "" }
            ),
            "mongo" => format!(
                "mongosh \"mongodb://{host}:{port}/{}{}\"",
                self.database,
                if self.tls { "?tls=true" } else { "" }
            ),
            "grpc" => {
                let plain = if self.tls { "" } else { "-plaintext " };
                format!(
                    "grpcurl {plain}-d '{{\"sql\":\"SELECT 1\"}}' {host}:{port} heliosdb.v1.HeliosDB/ExecuteQuery"
                )
            }
            _ => format!(
                "curl http{secure}://{host}:{port}/api/v1/query -H 'Content-Type: application/json' -d '{{\"sql\":\"SELECT 1\"}}'"
            ),
        }
    }
}

fn title(name: &str) -> &str {
    match name {
        "pg" => "PostgreSQL",
        "redis" => "Redis",
        "mongo" => "MongoDB",
        "http" => "REST",
        "grpc" => "gRPC",
        other => other,
    }
}

/// The host to connect to: an unspecified address is reached through loopback.
fn host(ip: IpAddr) -> String {
    match ip {
        ip if ip.is_loopback() || ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(ip) => ip.to_string(),
    }
}
