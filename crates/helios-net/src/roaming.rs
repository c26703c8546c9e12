//! A connection's task that can change its worker between two requests.
//!
//! The task moves when it is woken while it waits for its client and somebody has asked it to be
//! elsewhere: it then spawns what it runs on the other runtime instead of going on here. Its socket
//! follows with the first read or write there ([`crate::stream`]), since a socket belongs to the
//! poller of the runtime that it was made in. No other task may wait for the socket, which would not
//! be woken any more; those that a connection of HTTP/2 has made for its requests only wait for the
//! connection. They end where they began, and requests that come later begin where it is then.

use crate::activity::Activity;
use crate::workers::Workers;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::task::AbortHandle;

/// Where a connection is, and where it is wanted; numbers of workers.
pub(crate) struct Place {
    at: AtomicUsize,
    wanted: AtomicUsize,
}

impl Place {
    pub(crate) fn new(at: usize) -> Self {
        Self {
            at: AtomicUsize::new(at),
            wanted: AtomicUsize::new(at),
        }
    }

    pub(crate) fn at(&self) -> usize {
        self.at.load(Relaxed)
    }

    pub(crate) fn wanted(&self) -> usize {
        self.wanted.load(Relaxed)
    }

    pub(crate) fn want(&self, worker: usize) {
        self.wanted.store(worker, Relaxed);
    }
}

/// A connection's task.
pub(crate) struct Roaming {
    task: Pin<Box<dyn Future<Output = ()> + Send>>,
    home: Home,
}

/// What a connection needs to move.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) place: Arc<Place>,
    pub(crate) workers: Workers,
    pub(crate) activity: Arc<Activity>,
    /// Told the handle of the task that goes on elsewhere.
    pub(crate) respawned: Arc<dyn Fn(AbortHandle) + Send + Sync>,
}

impl Roaming {
    pub(crate) fn new(task: impl Future<Output = ()> + Send + 'static, home: Home) -> Self {
        Self {
            task: Box::pin(task),
            home,
        }
    }
}

impl Future for Roaming {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Home {
            place,
            workers,
            activity,
            ..
        } = &self.home;
        let (at, wanted) = (place.at(), place.wanted());
        if at == wanted || !activity.waits_for_client() {
            return self.task.as_mut().poll(cx);
        }
        place.at.store(wanted, Relaxed);
        workers.moved(at, wanted);
        activity.move_socket();
        let home = self.home.clone();
        let nothing: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(std::future::ready(()));
        let task = std::mem::replace(&mut self.task, nothing);
        let runtime = home.workers.runtime(wanted).clone();
        let respawned = home.respawned.clone();
        // The new task polls it at once, on which it waits anew for whatever it waits for.
        respawned(runtime.spawn(Roaming { task, home }).abort_handle());
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Connection, Handler, Limits, Shutdown, TlsMode, bind, serve};
    use std::collections::BTreeSet;
    use std::io;
    use std::net::SocketAddr;
    use std::sync::Mutex;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::runtime::{Builder, Handle, Id, Runtime};

    /// Answers a block that begins with its length with the same block, and notes where it does.
    #[derive(Default)]
    struct Echo(Mutex<BTreeSet<String>>);

    impl Handler for Echo {
        async fn handle(self: Arc<Self>, mut connection: Connection) -> io::Result<()> {
            connection.established();
            loop {
                let length = match connection.stream.read_u32().await {
                    Ok(length) => length,
                    Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                    Err(e) => return Err(e),
                };
                let mut block = vec![0; length as usize];
                connection.stream.read_exact(&mut block).await?;
                connection.stream.write_all(&block).await?;
                let here: Id = Handle::current().id();
                self.0.lock().unwrap().insert(here.to_string());
            }
        }
    }

    async fn ask(client: &mut TcpStream, length: u32) {
        let block: Vec<u8> = (0..length).map(|n| n as u8).collect();
        let (mut reader, mut writer) = client.split();
        let asked = async {
            writer.write_u32(length).await.unwrap();
            // Larger than what the socket holds, so that writes of the answer wait too.
            writer.write_all(&block).await.unwrap();
        };
        let mut answer = vec![0; length as usize];
        let (_, answered) = tokio::join!(asked, reader.read_exact(&mut answer));
        answered.unwrap();
        assert_eq!(answer, block);
    }

    #[test]
    fn a_connection_that_is_moved_all_the_time_loses_nothing_and_drains() {
        let runtime = || -> Runtime {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(1).enable_all().build().unwrap()
        };
        let runtimes = [runtime(), runtime()];
        let workers = Workers::new(runtimes.iter().map(|r| r.handle().clone()));
        runtimes[0].block_on(async {
            let local = SocketAddr::from(([127, 0, 0, 1], 0));
            let mut listener = bind("test", local, Limits::connections(10), TlsMode::Off).unwrap();
            listener.workers = Some(workers.clone());
            let address = listener.address();
            let (echo, shutdown) = (Arc::new(Echo::default()), Shutdown::new());
            let server = tokio::spawn(serve(listener, echo.clone(), shutdown.clone()));
            let mut clients = Vec::new();
            for _ in 0..4 {
                let mut client = TcpStream::connect(address).await.unwrap();
                let workers = workers.clone();
                clients.push(tokio::spawn(async move {
                    for round in 0..100 {
                        ask(&mut client, if round % 10 == 9 { 3 << 20 } else { round }).await;
                        for (number, place) in workers.roaming().iter() {
                            place.want((*number as usize + round as usize) % 2);
                        }
                    }
                    client
                }));
            }
            let mut open = Vec::new();
            for client in clients {
                open.push(client.await.unwrap());
            }
            assert_eq!(echo.0.lock().unwrap().len(), 2, "they were on both workers");
            shutdown.trigger();
            let drained = tokio::time::timeout(Duration::from_secs(2), server).await;
            drained.expect("drains at once").unwrap();
            assert_eq!(open[0].read(&mut [0]).await.unwrap(), 0);
        });
        for runtime in runtimes {
            runtime.shutdown_background();
        }
    }
}
