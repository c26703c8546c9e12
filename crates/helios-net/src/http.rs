//! HTTP/1.1 and HTTP/2 on a [`Connection`], for REST, WebSocket and gRPC.

use crate::activity::Activity;
use crate::connection::Connection;
use crate::presence::{Presence, Watch};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::futures::TaskLocalFuture;

/// Bounds of one HTTP connection.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Time to send the head of a request; also how long a kept-alive connection may wait.
    pub header_timeout: Duration,
    /// Bytes of the head of a request.
    pub header_bytes_max: usize,
    /// Requests of one HTTP/2 connection under way at once.
    pub streams_max: u32,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(75),
            header_bytes_max: 64 * 1024,
            streams_max: 256,
        }
    }
}

tokio::task_local! {
    /// The client of the request that a task serves.
    static CLIENT: Presence;
}

/// Has `stop` called when the client of the current request goes away, until what is returned is
/// dropped; `None` outside of a request.
pub fn when_gone(stop: impl Fn() + Send + Sync + 'static) -> Option<Watch> {
    CLIENT.try_with(|client| client.watch(stop)).ok()
}

/// A service that notes the first request: until then the handshake timeout applies.
struct Established<S> {
    service: S,
    activity: Arc<Activity>,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for Established<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = TaskLocalFuture<Presence, S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.activity.establish();
        CLIENT.scope(self.activity.presence.clone(), self.service.call(request))
    }
}

/// Serves requests until the client or the daemon ends the connection. Running requests finish.
pub async fn serve_connection<S, B>(
    connection: Connection,
    limits: &HttpLimits,
    service: S,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>> + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let Connection {
        stream,
        shutdown,
        activity,
        ..
    } = connection;
    let service = Established { service, activity };
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes_max.max(16 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(limits.header_bytes_max as u32)
        .max_concurrent_streams(limits.streams_max)
        .max_pending_accept_reset_streams(Some(20))
        .keep_alive_interval(Some(Duration::from_secs(60)))
        .keep_alive_timeout(Duration::from_secs(20));
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = shutdown.triggered() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    result.map_err(io::Error::other)
}
