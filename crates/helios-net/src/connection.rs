//! One accepted connection, as a front-end sees it.

use crate::activity::Activity;
use crate::shutdown::Shutdown;
use crate::stream::Stream;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

pub struct Connection {
    /// Unique in the life of the process.
    pub id: u64,
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub stream: Stream,
    /// Triggered when the daemon goes down; most handlers need not look, see [`crate::Handler`].
    pub shutdown: Shutdown,
    pub(crate) activity: Arc<Activity>,
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Connection {
    /// The handshake (and authentication, where there is one) is complete: the handshake timeout
    /// and the byte limit before it no longer apply, the idle timeout does.
    pub fn established(&self) {
        self.activity.establish();
    }

    /// What to do when the client goes away while the connection neither reads nor writes and is
    /// `busy` with a request of its own.
    pub fn when_gone(
        &self,
        stop: impl Fn() + Send + Sync + 'static,
        busy: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        self.activity.presence.always(stop, busy);
    }

    /// Whether a certificate is configured, so that [`Connection::start_tls`] can succeed.
    pub fn offers_tls(&self) -> bool {
        self.tls.is_some() && !self.stream.is_encrypted()
    }

    /// Encrypts the stream from here on, for protocols that agree on TLS in band.
    pub async fn start_tls(&mut self) -> io::Result<()> {
        match self.tls.clone() {
            Some(acceptor) => self.stream.upgrade(&acceptor).await,
            None => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "no certificate is configured",
            )),
        }
    }
}
