//! The accept loop, the watchdog and the drain.

use crate::activity::{Activity, Overdue, now_ms};
use crate::connection::Connection;
use crate::counters::Counters;
use crate::listener::{Limits, Listener, TlsMode};
use crate::presence::Peers;
use crate::roaming::{Home, Place, Roaming};
use crate::shutdown::{DRAIN_DEADLINE, Shutdown};
use crate::stream::Stream;
use crate::workers::{Seat, Workers};
use futures::FutureExt;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tracing::{Instrument, debug, error, info, warn};

const WATCHDOG_PERIOD: Duration = Duration::from_secs(1);
const ACCEPT_BACKOFF_MIN: Duration = Duration::from_millis(5);
const ACCEPT_BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Refusals under way at once; beyond it a connection over the limit is closed without a word.
const REFUSALS_MAX: usize = 64;
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// One protocol's way of serving a connection.
///
/// While the daemon drains, a read of the stream that would wait reports end-of-file instead: a
/// handler finishes the request it is in, sees the end, says goodbye in its protocol
/// ([`Shutdown::is_triggered`] tells why) and returns.
pub trait Handler: Send + Sync + 'static {
    /// Serves the connection to its end. An error is logged and closes it.
    fn handle(
        self: Arc<Self>,
        connection: Connection,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Tells a client in its own protocol that there is no room for it.
    fn refuse(
        self: Arc<Self>,
        connection: Connection,
    ) -> impl Future<Output = io::Result<()>> + Send {
        drop(connection);
        async { Ok(()) }
    }

    /// True for a handler that watches [`Connection::shutdown`] itself, as HTTP must: there, an
    /// end-of-file in the middle of a request means that the client has gone.
    fn drains_itself(&self) -> bool {
        false
    }
}

/// Serves `listener` until `shutdown`, then drains. Returns when no connection is left or the
/// deadline has passed and the rest were cut.
pub async fn serve<H: Handler>(listener: Listener, handler: Arc<H>, shutdown: Shutdown) {
    let server = Arc::new(Server {
        name: listener.name,
        local: listener.address,
        limits: listener.limits,
        tls: listener.tls,
        counters: listener.counters,
        workers: listener.workers.unwrap_or_else(Workers::current),
        shutdown: shutdown.clone(),
        open: Mutex::default(),
        refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
    });
    let watchdog = tokio::spawn(watch(server.clone()));
    let mut backoff = ACCEPT_BACKOFF_MIN;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.triggered() => break,
            accepted = listener.socket.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => {
                backoff = ACCEPT_BACKOFF_MIN;
                server.accept(tcp, peer, &handler);
            }
            // The client has gone again; nothing is wrong here.
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(e) => {
                // Usually out of file descriptors: trying again at once would only burn the CPU.
                warn!(protocol = server.name, error = %e, "could not accept a connection");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(ACCEPT_BACKOFF_MAX);
            }
        }
    }
    drop(listener.socket);
    server.drain(handler.drains_itself()).await;
    watchdog.abort();
}

struct Server {
    name: &'static str,
    local: SocketAddr,
    limits: Limits,
    tls: TlsMode,
    counters: Arc<Counters>,
    workers: Workers,
    shutdown: Shutdown,
    open: Mutex<HashMap<u64, Open>>,
    refusals: Arc<Semaphore>,
}

struct Open {
    activity: Arc<Activity>,
    peer: SocketAddr,
    /// The request that it was busy with when the watchdog looked last.
    busy_with: Option<u64>,
    /// Missing for the moment between registration and spawn.
    task: Option<AbortHandle>,
}

impl Server {
    fn accept<H: Handler>(self: &Arc<Self>, tcp: TcpStream, peer: SocketAddr, handler: &Arc<H>) {
        Counters::add(&self.counters.accepted, 1);
        if let Err(e) = tune(&tcp) {
            debug!(protocol = self.name, error = %e, "could not set socket options");
        }
        match self.limits.connections.clone().try_acquire_owned() {
            Ok(permit) => self.start(tcp, peer, permit, handler.clone()),
            Err(_) => self.refuse(tcp, peer, handler.clone()),
        }
    }

    fn connection(
        &self,
        tcp: TcpStream,
        peer: SocketAddr,
        at: Option<(Workers, Arc<Place>)>,
    ) -> Connection {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let activity = Arc::new(Activity::new());
        let stream = Stream::new(
            tcp,
            at,
            activity.clone(),
            self.counters.clone(),
            self.limits.unestablished_bytes_max,
        );
        Connection {
            id: NEXT_ID.fetch_add(1, Relaxed),
            peer,
            local: self.local,
            stream,
            shutdown: self.shutdown.clone(),
            activity,
            tls: match &self.tls {
                TlsMode::Off => None,
                TlsMode::Immediate(acceptor) | TlsMode::InBand(acceptor) => Some(acceptor.clone()),
            },
        }
    }

    fn start<H: Handler>(
        self: &Arc<Self>,
        tcp: TcpStream,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        handler: Arc<H>,
    ) {
        let seat = self.workers.seat();
        let tcp = match seat.adopt(tcp) {
            Ok(tcp) => tcp,
            Err(e) => {
                return warn!(protocol = self.name, error = %e, "could not serve a connection");
            }
        };
        let runtime = seat.runtime().clone();
        let at = (seat.workers().clone(), seat.place().clone());
        let connection = self.connection(tcp, peer, Some(at));
        let id = connection.id;
        let activity = connection.activity.clone();
        let home = Home {
            place: seat.place().clone(),
            workers: seat.workers().clone(),
            activity: activity.clone(),
            respawned: {
                let server = self.clone();
                Arc::new(move |task| server.runs_as(id, task))
            },
        };
        // Registered before the task can end, so that its guard always finds the entry.
        self.open().insert(
            id,
            Open {
                activity,
                peer,
                busy_with: None,
                task: None,
            },
        );
        Counters::add(&self.counters.active, 1);
        let guard = Guard {
            server: self.clone(),
            id,
            _permit: permit,
            _seat: seat,
        };
        let span = tracing::debug_span!("connection", protocol = self.name, id, %peer);
        let task = run(guard, connection, handler).instrument(span);
        let task = runtime.spawn(Roaming::new(task, home));
        if let Some(open) = self.open().get_mut(&id)
            && open.task.is_none()
        {
            open.task = Some(task.abort_handle());
        }
    }

    /// Notes the task that a connection has become.
    fn runs_as(&self, id: u64, task: AbortHandle) {
        match self.open().get_mut(&id) {
            Some(open) => open.task = Some(task),
            // It was cut, or has ended, while it moved.
            None => task.abort(),
        }
    }

    fn refuse<H: Handler>(self: &Arc<Self>, tcp: TcpStream, peer: SocketAddr, handler: Arc<H>) {
        Counters::add(&self.counters.refused, 1);
        warn!(protocol = self.name, %peer, "too many connections");
        let Ok(permit) = self.refusals.clone().try_acquire_owned() else {
            return;
        };
        let connection = self.connection(tcp, peer, None);
        let encrypts = matches!(self.tls, TlsMode::Immediate(_));
        tokio::spawn(async move {
            let _permit = permit;
            let refusal = async {
                let mut connection = connection;
                if encrypts {
                    connection.start_tls().await?;
                }
                handler.refuse(connection).await
            };
            // Whether the client hears the reason or not, the connection is over.
            let _ = tokio::time::timeout(REFUSAL_TIMEOUT, refusal).await;
        });
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the open connections to end, at most until the deadline.
    async fn drain(&self, handler_drains_itself: bool) {
        if !handler_drains_itself {
            for open in self.open().values() {
                open.activity.end_reads();
            }
        }
        let deadline = tokio::time::Instant::now() + DRAIN_DEADLINE;
        while !self.open().is_empty() {
            if tokio::time::Instant::now() >= deadline {
                let mut open = self.open();
                warn!(
                    protocol = self.name,
                    connections = open.len(),
                    "cut at the end of the drain"
                );
                for (_, open) in open.drain() {
                    if let Some(task) = open.task {
                        task.abort();
                    }
                }
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        info!(protocol = self.name, "listener closed");
    }
}

/// Removes the connection from the books, however its task ends.
struct Guard {
    server: Arc<Server>,
    id: u64,
    _permit: OwnedSemaphorePermit,
    _seat: Seat,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.server.open().remove(&self.id);
        Counters::sub(&self.server.counters.active, 1);
    }
}

async fn run<H: Handler>(guard: Guard, mut connection: Connection, handler: Arc<H>) {
    let server = &guard.server;
    if matches!(server.tls, TlsMode::Immediate(_))
        && let Err(e) = connection.start_tls().await
    {
        debug!(error = %e, "TLS handshake failed");
        return;
    }
    match AssertUnwindSafe(handler.handle(connection))
        .catch_unwind()
        .await
    {
        Ok(Ok(())) => {}
        Ok(Err(e)) => debug!(error = %e, "connection ended with an error"),
        Err(panic) => {
            Counters::add(&server.counters.panicked, 1);
            let message = panic
                .downcast_ref::<&str>()
                .map(|s| (*s).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            error!(panic = message, "connection ended in a panic");
        }
    }
}

/// Cuts connections that are overdue.
async fn watch(server: Arc<Server>) {
    let mut tick = tokio::time::interval(WATCHDOG_PERIOD);
    loop {
        tick.tick().await;
        look_for_clients(&server).await;
        let now = now_ms();
        let limits = &server.limits;
        for (id, open) in server.open().iter() {
            let overdue = open.activity.overdue(
                now,
                limits.handshake_timeout,
                limits.idle_timeout,
                limits.write_timeout,
            );
            let Some(overdue) = overdue else { continue };
            if let Some(task) = &open.task
                && !task.is_finished()
            {
                Counters::add(&server.counters.timed_out, 1);
                let what = match overdue {
                    Overdue::Handshake => "handshake",
                    Overdue::Idle => "idle",
                    Overdue::Write => "unread answer",
                };
                info!(protocol = server.name, id, timeout = what, "connection cut");
                task.abort();
            }
        }
    }
}

/// Stops requests whose clients have gone. Only connections that were busy with the same request a
/// period ago are looked at, so that short requests cost nothing.
async fn look_for_clients(server: &Arc<Server>) {
    let mut busy: Vec<(SocketAddr, Arc<Activity>)> = Vec::new();
    for open in server.open().values_mut() {
        let request = open.activity.reads();
        let busy_with = open.activity.is_busy().then_some(request);
        if busy_with.is_some() && busy_with == open.busy_with {
            busy.push((open.peer, open.activity.clone()));
        }
        open.busy_with = busy_with;
    }
    if busy.is_empty() {
        return;
    }
    let peers = match tokio::task::spawn_blocking(Peers::read).await {
        Ok(Ok(peers)) => peers,
        Ok(Err(error)) => {
            debug!(protocol = server.name, %error, "the kernel's connections cannot be read");
            return;
        }
        Err(_) => return,
    };
    for (peer, activity) in busy {
        if activity.is_busy() && peers.has_gone(server.local, peer) {
            debug!(protocol = server.name, %peer, "the client has gone while its request runs");
            activity.presence.gone();
        }
    }
}

fn tune(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(120))
        .with_interval(Duration::from_secs(30));
    socket2::SockRef::from(tcp).set_tcp_keepalive(&keepalive)
}
