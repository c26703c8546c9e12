//! The byte stream of a connection, plain or encrypted, that counts and notes what it waits for.
//!
//! The first write after a read lets the other tasks that are ready go first. On a busy worker they
//! do their work, and the answers of all leave one after the other: a client that serves several
//! connections, as load generators and connection pools do, is woken once instead of for each.

use crate::activity::Activity;
use crate::counters::Counters;
use crate::roaming::Place;
use crate::workers::Workers;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Taken out by an upgrade that failed; every use is an error.
    Gone,
}

/// A client's byte stream.
pub struct Stream {
    transport: Transport,
    /// The worker that serves the connection.
    at: Option<(Workers, Arc<Place>)>,
    activity: Arc<Activity>,
    counters: Arc<Counters>,
    /// How many more bytes may arrive before the connection is established.
    unestablished_bytes_left: u64,
    /// The next write lets others go first.
    others_first: bool,
}

impl Stream {
    pub(crate) fn new(
        tcp: TcpStream,
        at: Option<(Workers, Arc<Place>)>,
        activity: Arc<Activity>,
        counters: Arc<Counters>,
        unestablished_bytes_max: u64,
    ) -> Self {
        Self {
            transport: Transport::Plain(tcp),
            at,
            activity,
            counters,
            unestablished_bytes_left: unestablished_bytes_max,
            others_first: false,
        }
    }

    pub fn is_encrypted(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }

    /// The server side of a TLS handshake on this stream.
    ///
    /// The caller must not hold bytes it read before: whatever came in clear before the handshake
    /// must never be taken for a request inside it.
    pub async fn upgrade(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        match std::mem::replace(&mut self.transport, Transport::Gone) {
            Transport::Plain(tcp) => match acceptor.accept(tcp).await {
                Ok(tls) => {
                    self.transport = Transport::Tls(Box::new(tls));
                    Ok(())
                }
                Err(error) => {
                    Counters::add(&self.counters.tls_failed, 1);
                    Err(error)
                }
            },
            other => {
                self.transport = other;
                Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "the stream is encrypted already",
                ))
            }
        }
    }

    /// Follows the connection to another worker: the socket is registered with the poller of the
    /// runtime that this is called in.
    #[inline]
    fn follow(&mut self) -> io::Result<()> {
        if self.activity.take_move_socket() {
            self.register_anew()
        } else {
            Ok(())
        }
    }

    #[cold]
    fn register_anew(&mut self) -> io::Result<()> {
        let tcp = match &mut self.transport {
            Transport::Plain(tcp) => tcp,
            Transport::Tls(tls) => tls.get_mut().0,
            Transport::Gone => return Ok(()),
        };
        // A second descriptor of the same socket, since the first cannot be taken out of TLS.
        let socket = tcp.as_fd().try_clone_to_owned()?;
        *tcp = TcpStream::from_std(socket.into())?;
        Ok(())
    }

    /// Pending, for one turn of the task, before the first write after a read. Who has work to do
    /// after the others' turn and before the write asks for it there.
    #[inline]
    pub fn poll_others(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !std::mem::take(&mut self.others_first) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_transport_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            Transport::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn note_write(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Pending => self.activity.write_waits(),
            Poll::Ready(Ok(n)) => {
                self.activity.write_done();
                Counters::add(&self.counters.bytes_sent, *n as u64);
            }
            Poll::Ready(Err(_)) => self.activity.write_done(),
        }
        result
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.follow()?;
        let before = buf.filled().len();
        match self.poll_transport_read(cx, buf) {
            Poll::Pending if self.activity.read_waits(cx) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                self.activity.read_done();
                self.others_first = true;
                if let Some((workers, place)) = &self.at {
                    workers.awake(place.at()).stir();
                }
                let n = (buf.filled().len() - before) as u64;
                Counters::add(&self.counters.bytes_received, n);
                if !self.activity.is_established() {
                    match self.unestablished_bytes_left.checked_sub(n) {
                        Some(left) => self.unestablished_bytes_left = left,
                        None => {
                            return Poll::Ready(Err(io::Error::new(
                                io::ErrorKind::InvalidData,
                                "too many bytes before the handshake was complete",
                            )));
                        }
                    }
                }
                Poll::Ready(result)
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_others(cx));
        self.follow()?;
        let result = match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
            Transport::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        };
        self.note_write(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_others(cx));
        self.follow()?;
        let result = match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Transport::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
            Transport::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        };
        self.note_write(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.follow()?;
        let result = match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
            Transport::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        };
        if result.is_pending() {
            self.activity.write_waits();
        } else {
            self.activity.write_done();
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
            Transport::Gone => Poll::Ready(Ok(())),
        });
        Poll::Ready(result)
    }
}
