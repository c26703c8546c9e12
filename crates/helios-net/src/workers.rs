//! The threads that serve connections: a runtime each, with one thread and a poller of its own.
//!
//! The event that wakes a connection, its work and its answer are on one core. In one runtime of
//! several threads, each event also wakes a second thread that might take over the work, which for
//! short requests costs more than it brings: ARCHITECTURE.md has the figures. Long work is to leave
//! its worker (`tokio::task::block_in_place`), so that the connections beside it do not wait.
//!
//! A worker that has always something to do never sleeps, so that nobody pays for waking it, and its
//! connections' commits share their writes. So connections are kept together as long as one worker
//! is enough for them, and are spread when it is not: [`crate::balance`] decides, [`crate::roaming`]
//! moves them.

use crate::awake::{Awake, Spare};
use crate::roaming::Place;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

/// The workers of a daemon, shared by its listeners.
#[derive(Clone)]
pub struct Workers(Arc<Shared>);

struct Shared {
    workers: Vec<Worker>,
    /// Where each connection is.
    roaming: Mutex<HashMap<u64, Arc<Place>>>,
    next: AtomicU64,
    spare: Arc<Spare>,
}

struct Worker {
    runtime: Handle,
    connections: AtomicUsize,
    /// How much of its time it was busy lately, in percent.
    load: AtomicUsize,
    awake: Arc<Awake>,
}

/// The place of one connection, given up when this is dropped.
pub(crate) struct Seat {
    workers: Workers,
    place: Arc<Place>,
    /// The connection's number in `roaming`.
    number: u64,
}

/// A worker with more than this gets no further connection while another has less.
const ENOUGH_PERCENT: usize = 70;

impl Workers {
    /// Each runtime is one worker; there must be at least one.
    pub fn new(runtimes: impl IntoIterator<Item = Handle>) -> Self {
        let spare = Arc::new(Spare::default());
        let worker = |runtime| Worker {
            runtime,
            connections: AtomicUsize::new(0),
            load: AtomicUsize::new(0),
            awake: Arc::new(Awake::new(spare.clone())),
        };
        Self(Arc::new(Shared {
            workers: runtimes.into_iter().map(worker).collect(),
            roaming: Mutex::default(),
            next: AtomicU64::new(0),
            spare,
        }))
    }

    /// The runtime that this is called in, for all connections.
    pub fn current() -> Self {
        Self::new([Handle::current()])
    }

    /// A place for a connection, which can be moved later: on the first worker that has time left.
    pub(crate) fn seat(&self) -> Seat {
        let load = |at: &usize| self.worker(*at).load.load(Relaxed);
        let workers = 0..self.len();
        let at = match workers.clone().find(|at| load(at) <= ENOUGH_PERCENT) {
            Some(at) => at,
            None => workers.min_by_key(load).unwrap_or(0),
        };
        let number = self.0.next.fetch_add(1, Relaxed);
        let place = Arc::new(Place::new(at));
        self.roaming().insert(number, place.clone());
        self.worker(at).connections.fetch_add(1, Relaxed);
        Seat {
            workers: self.clone(),
            place,
            number,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.workers.len()
    }

    fn worker(&self, at: usize) -> &Worker {
        &self.0.workers[at]
    }

    pub(crate) fn runtime(&self, at: usize) -> &Handle {
        &self.worker(at).runtime
    }

    /// Whether there are any connections.
    pub(crate) fn are_used(&self) -> bool {
        let connections = |worker: &Worker| worker.connections.load(Relaxed);
        self.0.workers.iter().any(|worker| connections(worker) > 0)
    }

    pub(crate) fn spare(&self) -> &Spare {
        &self.0.spare
    }

    pub(crate) fn awake(&self, at: usize) -> &Arc<Awake> {
        &self.worker(at).awake
    }

    pub(crate) fn note_load(&self, at: usize, share: f64) {
        self.worker(at)
            .load
            .store((share * 100.0) as usize, Relaxed);
    }

    pub(crate) fn moved(&self, from: usize, to: usize) {
        self.worker(from).connections.fetch_sub(1, Relaxed);
        self.worker(to).connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn roaming(&self) -> MutexGuard<'_, HashMap<u64, Arc<Place>>> {
        let roaming = self.0.roaming.lock();
        roaming.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub(crate) fn runtime(&self) -> &Handle {
        self.workers.runtime(self.place.at())
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Where it is now and shall be.
    pub(crate) fn place(&self) -> &Arc<Place> {
        &self.place
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
        self.workers.roaming().remove(&self.number);
        let worker = self.workers.worker(self.place.at());
        worker.connections.fetch_sub(1, Relaxed);
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
    fn a_connection_works_where_it_is_put() {
        let runtimes = [runtime(), runtime()];
        let workers = Workers::new(runtimes.iter().map(|r| r.handle().clone()));
        workers.note_load(0, 0.9);
        let second = workers.seat();
        assert_eq!(second.place.at(), 1);
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

    #[tokio::test]
    async fn connections_share_a_worker_until_it_is_busy() {
        let workers = Workers::new([Handle::current(), Handle::current()]);
        let seats: Vec<Seat> = (0..3).map(|_| workers.seat()).collect();
        assert!(seats.iter().all(|seat| seat.place.at() == 0));
        workers.note_load(0, 0.9);
        assert_eq!(workers.seat().place.at(), 1);
        workers.note_load(1, 0.95);
        assert_eq!(workers.seat().place.at(), 0);
        assert_eq!(workers.roaming().len(), 3);
        drop(seats);
        assert_eq!(workers.roaming().len(), 0);
        assert_eq!(workers.worker(0).connections.load(Relaxed), 0);
    }
}
