//! The Redis port as a listener of the daemon.

use crate::backend::Backend;
use crate::server::Server;
use crate::session::serve::{Connection, Transport, refuse};
use helios_engine::Engine;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Serves connections, and runs the background work of the keyspace as long as it lives.
pub struct Port {
    server: Arc<Server>,
    stop: Arc<AtomicBool>,
}

impl Port {
    /// Must be called inside a Tokio runtime. `port` is the one that INFO shows.
    pub fn new(engine: Arc<Engine>, port: u16) -> Arc<Port> {
        let server = Server::new(Backend::new(engine), port);
        let stop = Arc::new(AtomicBool::new(false));
        tokio::spawn(server.keyspace().clone().run_background(stop.clone()));
        Arc::new(Port { server, stop })
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl helios_net::Handler for Port {
    async fn handle(self: Arc<Self>, connection: helios_net::Connection) -> io::Result<()> {
        let names = (
            connection.id,
            connection.peer.to_string(),
            connection.local.to_string(),
        );
        Connection::serve(self.server.clone(), Accepted(connection), names).await
    }

    async fn refuse(self: Arc<Self>, connection: helios_net::Connection) -> io::Result<()> {
        refuse(connection.stream).await
    }
}

/// A connection of the listener as a byte stream.
struct Accepted(helios_net::Connection);

impl Transport for Accepted {
    fn established(&self) {
        self.0.established();
    }

    fn poll_others(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.stream.poll_others(context)
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.stream).poll_shutdown(cx)
    }
}
