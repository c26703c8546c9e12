//! A bound socket with its limits.

use crate::counters::Counters;
use crate::workers::Workers;
use helios_types::{Error, ErrorKind, Result};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// Connections that the kernel holds for us between two accepts.
const BACKLOG: u32 = 1024;

/// When a connection is encrypted.
#[derive(Clone, Default)]
pub enum TlsMode {
    #[default]
    Off,
    /// From the first byte.
    Immediate(TlsAcceptor),
    /// When the protocol agrees on it: the handler calls [`crate::Connection::start_tls`].
    InBand(TlsAcceptor),
}

/// Bounds of the connections of one listener.
#[derive(Clone, Debug)]
pub struct Limits {
    /// One permit a connection; listeners may share it.
    pub connections: Arc<Semaphore>,
    /// Time from accept to [`crate::Connection::established`].
    pub handshake_timeout: Option<Duration>,
    /// Time an established connection may wait for its next request.
    pub idle_timeout: Option<Duration>,
    /// Time that a client may let an answer wait unread.
    pub write_timeout: Option<Duration>,
    /// Bytes a client may send before the connection is established.
    pub unestablished_bytes_max: u64,
}

impl Limits {
    /// The defaults with room for this many connections.
    pub fn connections(max: usize) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))),
            handshake_timeout: Some(Duration::from_secs(60)),
            idle_timeout: None,
            write_timeout: Some(Duration::from_secs(60)),
            unestablished_bytes_max: 1 << 20,
        }
    }
}

pub struct Listener {
    /// The protocol's short name, in logs and metrics.
    pub name: &'static str,
    pub(crate) socket: TcpListener,
    pub(crate) address: SocketAddr,
    pub limits: Limits,
    pub tls: TlsMode,
    pub counters: Arc<Counters>,
    /// Where connections are served; `None`: in the runtime that accepts them.
    pub workers: Option<Workers>,
}

impl Listener {
    /// The address that is really bound: with a port where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Binds `address` for the protocol `name`; port 0 takes a free one.
pub fn bind(
    name: &'static str,
    address: SocketAddr,
    limits: Limits,
    tls: TlsMode,
) -> Result<Listener> {
    let socket = listen(address).map_err(|e| bind_error(name, address, &e))?;
    let address = socket
        .local_addr()
        .map_err(|e| bind_error(name, address, &e))?;
    Ok(Listener {
        name,
        socket,
        address,
        limits,
        tls,
        counters: Arc::default(),
        workers: None,
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A daemon that restarts must not wait for the connections of its predecessor to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind_error(name: &str, address: SocketAddr, error: &io::Error) -> Error {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "the port is in use".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => error.to_string(),
    };
    Error::new(
        ErrorKind::ConfigFile,
        format!("could not listen on {address} for {name}: {why}"),
    )
    .with_hint(format!(
        "choose another port with --{name}-port, 0 for a free one, or \"off\" to do without {name}"
    ))
}
