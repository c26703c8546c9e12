//! The threads that serve connections: a runtime each, with one thread and a poller of its own.
//!
//! A connection stays where it was put when it was accepted: on the worker with the fewest. The
//! event that wakes it, its work and its answer are then on one core. In one runtime of several
//! threads, each event also wakes a second thread that might take over the work, which for short
//! requests costs more than it brings: ARCHITECTURE.md has the figures. Long work is to leave its
//! worker (`tokio::task::block_in_place`), so that the connections beside it do not wait.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

/// The workers of a daemon, shared by its listeners.
#[derive(Clone)]
pub struct Workers(Arc<[Worker]>);

struct Worker {
    runtime: Handle,
    connections: AtomicUsize,
}

/// The place of one connection, given up when this is dropped.
pub(crate) struct Seat {
    workers: Workers,
    at: usize,
}

impl Workers {
    /// Each runtime is one worker; there must be at least one.
    pub fn new(runtimes: impl IntoIterator<Item = Handle>) -> Self {
        let worker = |runtime| Worker {
            runtime,
            connections: AtomicUsize::new(0),
        };
        Self(runtimes.into_iter().map(worker).collect())
    }

    /// The runtime that this is called in, for all connections.
    pub fn current() -> Self {
        Self::new([Handle::current()])
    }

    /// The worker with the fewest connections.
    pub(crate) fn seat(&self) -> Seat {
        let fewest = |at: &usize| self.0[*at].connections.load(Relaxed);
        let at = (0..self.0.len()).min_by_key(fewest).unwrap_or(0);
        self.0[at].connections.fetch_add(1, Relaxed);
        Seat {
            workers: self.clone(),
            at,
        }
    }
}

impl Seat {
    pub(crate) fn runtime(&self) -> &Handle {
        &self.workers.0[self.at].runtime
    }

    /// Moves a socket to this worker's poller.
    pub(crate) fn adopt(&self, tcp: TcpStream) -> io::Result<TcpStream> {
        let runtime = self.runtime();
        if runtime.id() == Handle::current().id() {
            return Ok(tcp);
        }
        let tcp = tcp.into_std()?;
        let _context = runtime.enter();
        TcpStream::from_std(tcp)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.workers.0[self.at].connections.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::runtime::{Builder, Runtime};

    fn runtime() -> Runtime {
        Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    }

    #[test]
    fn connections_are_spread_over_the_workers_and_work_where_they_are_put() {
        let runtimes = [runtime(), runtime()];
        let workers = Workers::new(runtimes.iter().map(|r| r.handle().clone()));
        let seats: Vec<Seat> = (0..4).map(|_| workers.seat()).collect();
        let places: Vec<usize> = seats.iter().map(|seat| seat.at).collect();
        assert_eq!(places, [0, 1, 0, 1]);
        drop(seats);
        let first = workers.seat();
        let second = workers.seat();
        drop(first);
        assert_eq!(workers.seat().at, 0);
        runtimes[0].block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap();
            let (tcp, _) = listener.accept().await.unwrap();
            let mut tcp = second.adopt(tcp).unwrap();
            let echo = second.runtime().spawn(async move {
                let byte = tcp.read_u8().await.unwrap();
                tcp.write_u8(byte).await.unwrap();
                Handle::current().id()
            });
            client.write_u8(7).await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), 7);
            assert_eq!(echo.await.unwrap(), runtimes[1].handle().id());
        });
        for runtime in runtimes {
            runtime.shutdown_background();
        }
    }
}
