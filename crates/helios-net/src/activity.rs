//! What a connection is doing, noted where it starts to wait and read by the watchdog.
//!
//! Times are milliseconds since the process' first use of [`now_ms`], so that a note is one
//! relaxed store; zero means "not waiting".

use crate::presence::Presence;
use futures::task::AtomicWaker;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::Context;
use std::time::{Duration, Instant};

/// Milliseconds of a monotonic clock; never zero.
pub(crate) fn now_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1
}

#[derive(Debug)]
pub(crate) struct Activity {
    opened_ms: u64,
    reading_since_ms: AtomicU64,
    writing_since_ms: AtomicU64,
    established: AtomicBool,
    /// Read end-of-file instead of waiting for more.
    end_reads: AtomicBool,
    /// Reads that have got something.
    reads: AtomicU64,
    /// The connection has been moved to another worker, its socket not yet.
    move_socket: AtomicBool,
    reader: AtomicWaker,
    pub(crate) presence: Presence,
}

/// Why the watchdog cuts a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    Handshake,
    Idle,
    Write,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            opened_ms: now_ms(),
            reading_since_ms: AtomicU64::new(0),
            writing_since_ms: AtomicU64::new(0),
            established: AtomicBool::new(false),
            end_reads: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            move_socket: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            presence: Presence::default(),
        }
    }

    pub(crate) fn establish(&self) {
        self.established.store(true, Relaxed);
    }

    pub(crate) fn is_established(&self) -> bool {
        self.established.load(Relaxed)
    }

    /// A read would wait. Returns true when it must report end-of-file instead.
    pub(crate) fn read_waits(&self, cx: &Context<'_>) -> bool {
        // The waker is registered before the flag is read: a drain that sets the flag in between
        // wakes this reader, one that set it before is seen here.
        self.reader.register(cx.waker());
        if self.end_reads.load(Relaxed) {
            return true;
        }
        if self.reading_since_ms.load(Relaxed) == 0 {
            self.reading_since_ms.store(now_ms(), Relaxed);
        }
        false
    }

    pub(crate) fn read_done(&self) {
        // Only the connection's task counts here, so that no other's count is lost.
        self.reads.store(self.reads() + 1, Relaxed);
        if self.reading_since_ms.load(Relaxed) != 0 {
            self.reading_since_ms.store(0, Relaxed);
        }
    }

    /// Changes with every request.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Relaxed)
    }

    pub(crate) fn write_waits(&self) {
        if self.writing_since_ms.load(Relaxed) == 0 {
            self.writing_since_ms.store(now_ms(), Relaxed);
        }
    }

    pub(crate) fn write_done(&self) {
        if self.writing_since_ms.load(Relaxed) != 0 {
            self.writing_since_ms.store(0, Relaxed);
        }
    }

    pub(crate) fn end_reads(&self) {
        self.end_reads.store(true, Relaxed);
        self.reader.wake();
    }

    /// Whether nothing is under way but a read.
    pub(crate) fn waits_for_client(&self) -> bool {
        let waits = |since: &AtomicU64| since.load(Relaxed) != 0;
        waits(&self.reading_since_ms) && !waits(&self.writing_since_ms)
    }

    pub(crate) fn move_socket(&self) {
        self.move_socket.store(true, Relaxed);
    }

    /// Whether the socket is to be moved; true once.
    pub(crate) fn take_move_socket(&self) -> bool {
        self.move_socket.load(Relaxed) && self.move_socket.swap(false, Relaxed)
    }

    /// Whether something runs that ends when the client goes.
    pub(crate) fn is_busy(&self) -> bool {
        let waits = [&self.reading_since_ms, &self.writing_since_ms];
        let waits = waits.iter().any(|since| since.load(Relaxed) != 0);
        self.presence.is_busy(waits)
    }

    /// What is overdue at `now_ms`; a limit of `None` is no limit.
    pub(crate) fn overdue(
        &self,
        now_ms: u64,
        handshake: Option<Duration>,
        idle: Option<Duration>,
        write: Option<Duration>,
    ) -> Option<Overdue> {
        let passed = |since: u64, limit: Option<Duration>| {
            limit.is_some_and(|limit| {
                since != 0 && now_ms.saturating_sub(since) >= limit.as_millis() as u64
            })
        };
        if !self.is_established() && passed(self.opened_ms, handshake) {
            Some(Overdue::Handshake)
        } else if passed(self.writing_since_ms.load(Relaxed), write) {
            Some(Overdue::Write)
        } else if self.is_established() && passed(self.reading_since_ms.load(Relaxed), idle) {
            Some(Overdue::Idle)
        } else {
            None
        }
    }
}
