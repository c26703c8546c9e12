//! Commands and flags.

use crate::config::{Port, Sources, load};
use crate::{check, logging, one_line, start};
use clap::{Args, Parser, Subcommand};
use helios_types::Result;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "heliosdb",
    version,
    about = "One database daemon that speaks PostgreSQL, Redis, MongoDB, gRPC and REST"
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the daemon and serve until SIGTERM or SIGINT
    Start(Box<StartFlags>),
    /// Verify a data directory: every key, row and index entry
    Check(CheckFlags),
    /// Print the version
    Version,
}

#[derive(Args)]
struct StartFlags {
    /// Configuration file (.toml, .yaml) instead of heliosdb.toml and heliosdb.yaml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory [default: ./heliosdb-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Address to listen on
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    #[command(flatten)]
    ports: PortFlags,
    /// error, warn, info, debug, trace or a filter
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// text or json
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Write the bound ports to this file as JSON when the daemon is ready
    #[arg(long, value_name = "FILE")]
    ports_file: Option<PathBuf>,
}

/// A port is a number, 0 for a free one, or "off".
#[derive(Args)]
#[command(next_help_heading = "Ports: a number, 0 for a free one, or \"off\"")]
struct PortFlags {
    /// PostgreSQL [default: 5432]
    #[arg(long, value_name = "PORT")]
    pg_port: Option<Port>,
    /// Redis [default: 6379]
    #[arg(long, value_name = "PORT")]
    redis_port: Option<Port>,
    /// MongoDB [default: 27017]
    #[arg(long, value_name = "PORT")]
    mongo_port: Option<Port>,
    /// REST [default: 8080]
    #[arg(long, value_name = "PORT")]
    http_port: Option<Port>,
    /// REST, dialect nano [default: off]
    #[arg(long, value_name = "PORT")]
    nano_port: Option<Port>,
    /// WebSocket [default: off]
    #[arg(long, value_name = "PORT")]
    ws_port: Option<Port>,
    /// gRPC [default: 50051]
    #[arg(long, value_name = "PORT")]
    grpc_port: Option<Port>,
    /// Cassandra CQL [default: off]
    #[arg(long, value_name = "PORT")]
    cql_port: Option<Port>,
    /// MySQL [default: off]
    #[arg(long, value_name = "PORT")]
    mysql_port: Option<Port>,
}

#[derive(Args)]
struct CheckFlags {
    /// The data directory; no daemon may be using it
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Version => {
            println!("heliosdb {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(flags) => check::run(&flags.data_dir),
        Command::Start(flags) => start_daemon(&flags),
    };
    result.unwrap_or_else(|error| {
        eprintln!("heliosdb: error: {}", logging::redact(&one_line(&error)));
        ExitCode::FAILURE
    })
}

fn start_daemon(flags: &StartFlags) -> Result<ExitCode> {
    let loaded = load(&Sources {
        file: flags.config.clone(),
        directory: PathBuf::from("."),
        environment: environment(),
        flags: flags.settings(),
    })?;
    logging::start(&loaded.config.log)?;
    start::run(&loaded, flags.ports_file.as_deref())
}

/// Variables that are not UTF-8 cannot be ours.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

impl StartFlags {
    /// The flags that are set, as settings.
    fn settings(&self) -> Vec<(&'static str, String, &'static str)> {
        let text = |port: &Option<Port>| port.as_ref().map(Port::to_string);
        let ports = &self.ports;
        let all = [
            ("storage.path", self.data_dir.clone(), "--data-dir"),
            ("server.listen_addr", self.listen.clone(), "--listen"),
            ("server.port", text(&ports.pg_port), "--pg-port"),
            ("ports.redis", text(&ports.redis_port), "--redis-port"),
            ("ports.mongo", text(&ports.mongo_port), "--mongo-port"),
            ("ports.http", text(&ports.http_port), "--http-port"),
            ("ports.nano", text(&ports.nano_port), "--nano-port"),
            ("ports.ws", text(&ports.ws_port), "--ws-port"),
            ("ports.grpc", text(&ports.grpc_port), "--grpc-port"),
            ("ports.cql", text(&ports.cql_port), "--cql-port"),
            ("ports.mysql", text(&ports.mysql_port), "--mysql-port"),
            ("log.level", self.log_level.clone(), "--log-level"),
            ("log.format", self.log_format.clone(), "--log-format"),
        ];
        all.into_iter()
            .filter_map(|(path, value, flag)| Some((path, value?, flag)))
            .collect()
    }
}
