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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Handler, Limits, Shutdown, TlsMode, Workers, bind, serve};
    use hyper::service::service_fn;
    use std::collections::BTreeSet;
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::runtime::{Builder as RuntimeBuilder, Handle, Runtime};

    /// Answers every request, and notes where it does.
    #[derive(Default)]
    struct Answers(Mutex<BTreeSet<String>>);

    impl Handler for Answers {
        async fn handle(self: Arc<Self>, connection: Connection) -> io::Result<()> {
            let service = service_fn(move |_: Request<Incoming>| {
                let here = Handle::current().id().to_string();
                self.0.lock().unwrap().insert(here);
                async { Ok::<_, Infallible>(Response::new("answer".to_owned())) }
            });
            serve_connection(connection, &HttpLimits::default(), service).await
        }

        fn drains_itself(&self) -> bool {
            true
        }
    }

    async fn ask_http1(client: &mut TcpStream) {
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut received = Vec::new();
        while !received.ends_with(b"answer") {
            assert_ne!(client.read_buf(&mut received).await.unwrap(), 0);
        }
    }

    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;

    fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
        let mut out = (body.len() as u32).to_be_bytes()[1..].to_vec();
        out.extend([kind, flags]);
        out.extend(stream.to_be_bytes());
        out.extend(body);
        out
    }

    async fn ask_http2(client: &mut TcpStream, stream: u32) {
        // GET, http, /, and `x` as the authority.
        let head = [0x82, 0x86, 0x84, 0x41, 1, b'x'];
        let request = frame(HEADERS, END_STREAM | END_HEADERS, stream, &head);
        client.write_all(&request).await.unwrap();
        loop {
            let mut head = [0; 9];
            client.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut body = vec![0; length as usize];
            client.read_exact(&mut body).await.unwrap();
            let (kind, flags) = (head[3], head[4]);
            if kind == SETTINGS && flags == 0 {
                let acknowledged = frame(SETTINGS, 1, 0, &[]);
                client.write_all(&acknowledged).await.unwrap();
            }
            if head[5..] == stream.to_be_bytes() && flags & END_STREAM != 0 {
                return;
            }
        }
    }

    #[test]
    fn http_connections_that_are_moved_all_the_time_are_answered_and_drain() {
        let runtime = || -> Runtime {
            let mut builder = RuntimeBuilder::new_multi_thread();
            builder.worker_threads(1).enable_all().build().unwrap()
        };
        let runtimes = [runtime(), runtime()];
        let workers = Workers::new(runtimes.iter().map(|r| r.handle().clone()));
        runtimes[0].block_on(async {
            let local = SocketAddr::from(([127, 0, 0, 1], 0));
            let mut listener = bind("test", local, Limits::connections(10), TlsMode::Off).unwrap();
            listener.workers = Some(workers.clone());
            let address = listener.address();
            let (answers, shutdown) = (Arc::new(Answers::default()), Shutdown::new());
            let server = tokio::spawn(serve(listener, answers.clone(), shutdown.clone()));
            for is_http2 in [false, true] {
                answers.0.lock().unwrap().clear();
                let mut client = TcpStream::connect(address).await.unwrap();
                if is_http2 {
                    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
                    client.write_all(preface).await.unwrap();
                    let settings = frame(SETTINGS, 0, 0, &[]);
                    client.write_all(&settings).await.unwrap();
                }
                for round in 0..100 {
                    match is_http2 {
                        true => ask_http2(&mut client, 2 * round + 1).await,
                        false => ask_http1(&mut client).await,
                    }
                    for place in workers.roaming().values() {
                        place.want(round as usize % 2);
                    }
                }
                let places = answers.0.lock().unwrap().len();
                assert_eq!(places, 2, "they were on both workers");
            }
            let _open = TcpStream::connect(address).await.unwrap();
            shutdown.trigger();
            let drained = tokio::time::timeout(Duration::from_secs(5), server).await;
            drained.expect("drains at once").unwrap();
        });
        for runtime in runtimes {
            runtime.shutdown_background();
        }
    }
}
