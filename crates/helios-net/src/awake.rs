//! Keeps a worker's thread from sleeping for a moment after one of its connections has read.
//!
//! A client that waits for each answer before it asks again leaves the worker without work between
//! two requests. A thread that sleeps must then be woken: by the client, whose system call takes
//! longer for it, and on a processor that has gone idle, which in a virtual machine costs more than
//! the request. So a task looks at the poller again and again for [`PATIENCE`], about as long as
//! going to sleep and being woken may take, and gives up when nothing comes.
//!
//! Only one worker of a daemon does so at a time, and only while the machine has processor time to
//! spare ([`crate::balance`] tells): where it has none, the clients need what this would take.

use futures::task::AtomicWaker;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::task::Poll;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_micros(100);

/// One worker.
#[derive(Default)]
pub(crate) struct Awake {
    /// Changes with every read.
    stirs: AtomicU64,
    asleep: AtomicBool,
    waker: AtomicWaker,
    shared: Arc<Spare>,
}

/// What the workers of a daemon share.
#[derive(Default)]
pub(crate) struct Spare {
    /// The machine has processor time left.
    exists: AtomicBool,
    /// A worker is taking it.
    taken: AtomicBool,
    /// Nanoseconds that were taken so far.
    spent: AtomicU64,
}

impl Spare {
    pub(crate) fn set_exists(&self, exists: bool) {
        self.exists.store(exists, Relaxed);
    }

    /// How long workers have looked for work, in seconds.
    pub(crate) fn spent(&self) -> f64 {
        self.spent.load(Relaxed) as f64 / 1e9
    }
}

impl Awake {
    pub(crate) fn new(shared: Arc<Spare>) -> Self {
        Self {
            shared,
            ..Self::default()
        }
    }

    /// A connection of the worker has read something.
    #[inline]
    pub(crate) fn stir(&self) {
        // A count that is lost to another thread's does no harm.
        self.stirs.store(self.stirs.load(Relaxed) + 1, Relaxed);
        if self.asleep.load(Relaxed) && self.shared.exists.load(Relaxed) {
            self.asleep.store(false, SeqCst);
            self.waker.wake();
        }
    }

    /// To be run on the worker's runtime, to its end.
    pub(crate) async fn stay(self: Arc<Self>) {
        loop {
            self.asleep.store(true, SeqCst);
            poll_fn(|context| {
                self.waker.register(context.waker());
                match self.asleep.load(SeqCst) {
                    true => Poll::Pending,
                    false => Poll::Ready(()),
                }
            })
            .await;
            if !self.shared.taken.swap(true, Relaxed) {
                self.look_for_work().await;
                self.shared.taken.store(false, Relaxed);
            }
        }
    }

    /// Returns when nothing has come for a while.
    async fn look_for_work(&self) {
        let mut seen = self.stirs.load(Relaxed);
        let mut since = Instant::now();
        while self.shared.exists.load(Relaxed) {
            // All that is ready goes first, then the poller is asked without waiting.
            tokio::task::yield_now().await;
            let now = self.stirs.load(Relaxed);
            let passed = since.elapsed();
            if now == seen && passed <= PATIENCE {
                continue;
            }
            self.shared
                .spent
                .fetch_add(passed.min(PATIENCE).as_nanos() as u64, Relaxed);
            if now == seen {
                return;
            }
            seen = now;
            since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn awake(exists: bool) -> Arc<Awake> {
        let spare = Arc::new(Spare::default());
        spare.set_exists(exists);
        Arc::new(Awake::new(spare))
    }

    /// Waits until a state is reached that other tasks bring about.
    async fn until(reached: impl Fn() -> bool) {
        while !reached() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_worker_looks_for_work_after_each_read_and_then_sleeps() {
        let awake = awake(true);
        let stay = tokio::spawn(awake.clone().stay());
        until(|| awake.asleep.load(SeqCst)).await;
        for _ in 0..3 {
            let before = awake.shared.spent();
            awake.stir();
            assert!(!awake.asleep.load(SeqCst));
            until(|| awake.asleep.load(SeqCst)).await;
            assert!(awake.shared.spent() - before >= PATIENCE.as_secs_f64() * 0.99);
        }
        assert!(!awake.shared.taken.load(Relaxed));
        stay.abort();
    }

    #[tokio::test]
    async fn without_time_to_spare_it_sleeps_at_once() {
        let awake = awake(false);
        let stay = tokio::spawn(awake.clone().stay());
        until(|| awake.asleep.load(SeqCst)).await;
        awake.stir();
        assert!(awake.asleep.load(SeqCst));
        awake.shared.set_exists(true);
        awake.stir();
        assert!(!awake.asleep.load(SeqCst));
        // It ends in the middle as well.
        awake.shared.set_exists(false);
        until(|| awake.asleep.load(SeqCst)).await;
        assert!(awake.shared.spent() <= PATIENCE.as_secs_f64());
        stay.abort();
    }

    #[tokio::test]
    async fn one_worker_at_a_time_looks_for_work() {
        let first = awake(true);
        let second = Arc::new(Awake::new(first.shared.clone()));
        first.shared.taken.store(true, Relaxed);
        let stay = tokio::spawn(second.clone().stay());
        until(|| second.asleep.load(SeqCst)).await;
        second.stir();
        until(|| second.asleep.load(SeqCst)).await;
        assert_eq!(second.shared.spent(), 0.0);
        stay.abort();
    }
}
