//! Long work on the threads that serve connections.
//!
//! A statement runs on a thread of the runtime. One that computes for long without waiting would
//! hold up every connection whose turn comes on that thread, and, when that thread was the one
//! that watched the sockets, all of them. So long loops report now and then ([`Pace::tick`]), and
//! work that goes on for more than [`LONG`] gives the thread's place in the runtime to another
//! one and goes on outside of it. Short statements pay a counter.

use std::time::{Duration, Instant};
use tokio::runtime::{Handle, RuntimeFlavor};

/// Reports between looks at the clock.
const EVERY: u32 = 64;
/// How long work may hold a place in the runtime.
const LONG: Duration = Duration::from_millis(5);
/// What the runtime needs to put another thread in the place: only while this one is away.
const HANDOVER: Duration = Duration::from_micros(50);

/// When work last began to hold a thread, and how often it has reported since.
#[derive(Debug)]
pub(crate) struct Pace {
    since: Instant,
    ticks: u32,
}

impl Pace {
    pub(crate) fn new() -> Pace {
        Pace {
            since: Instant::now(),
            ticks: 0,
        }
    }

    /// Work begins, or goes on after a wait.
    pub(crate) fn restart(&mut self) {
        self.since = Instant::now();
        self.ticks = 0;
    }

    #[inline]
    pub(crate) fn tick(&mut self) {
        self.ticks += 1;
        if self.ticks >= EVERY {
            self.ticks = 0;
            self.look();
        }
    }

    fn look(&mut self) {
        if self.since.elapsed() < LONG {
            return;
        }
        if is_runtime_thread() {
            wait(HANDOVER);
        }
        self.since = Instant::now();
    }
}

fn is_runtime_thread() -> bool {
    Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
        && tokio::task::try_id().is_some()
}

/// Sleeps without holding a place in the runtime.
pub(crate) fn wait(time: Duration) {
    if is_runtime_thread() {
        tokio::task::block_in_place(|| std::thread::sleep(time));
    } else {
        std::thread::sleep(time);
    }
}
