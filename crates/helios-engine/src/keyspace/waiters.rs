//! Clients that wait for a key: BLPOP and its family.
//!
//! Waiters of one key stand in a queue in the order in which they came. A commit wakes the first of
//! each changed key; one that got what it wanted leaves and wakes the next, one that did not hands
//! the turn to the one behind it. A waiter enters the queue before it looks at the key, so that no
//! commit falls between.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

type Queues = HashMap<Box<[u8]>, VecDeque<Arc<Notify>>>;

/// The clients that wait, by the stored key of the entry.
#[derive(Default)]
pub struct Waiters {
    /// Queues that are not empty, so that commits need not lock when nobody waits.
    waiting: AtomicUsize,
    queues: Mutex<Queues>,
}

impl Waiters {
    pub fn any(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Wakes the first waiter of a key.
    pub fn wake(&self, key: &[u8]) {
        if let Some(first) = self.queues.lock().get(key).and_then(VecDeque::front) {
            first.notify_one();
        }
    }

    /// Wakes the first waiter of every key.
    pub fn wake_all(&self) {
        for queue in self.queues.lock().values() {
            if let Some(first) = queue.front() {
                first.notify_one();
            }
        }
    }

    fn enter(&self, key: &[u8], waiter: &Arc<Notify>) {
        let mut queues = self.queues.lock();
        queues
            .entry(key.into())
            .or_default()
            .push_back(waiter.clone());
        self.waiting.store(queues.len(), Ordering::SeqCst);
    }

    fn leave(&self, key: &[u8], waiter: &Arc<Notify>) {
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get_mut(key) {
            queue.retain(|other| !Arc::ptr_eq(other, waiter));
            if queue.is_empty() {
                queues.remove(key);
            }
        }
        self.waiting.store(queues.len(), Ordering::SeqCst);
    }

    fn pass_on(&self, key: &[u8], waiter: &Arc<Notify>) {
        let queues = self.queues.lock();
        let Some(queue) = queues.get(key) else { return };
        let next = match queue.iter().position(|other| Arc::ptr_eq(other, waiter)) {
            Some(position) => queue.get(position + 1),
            None => queue.front(),
        };
        if let Some(next) = next {
            next.notify_one();
        }
    }
}

/// One client's places in the queues of its keys; dropping it gives them up and hands the turn on.
pub struct Waiting<'a> {
    waiters: &'a Waiters,
    keys: Vec<Box<[u8]>>,
    notify: Arc<Notify>,
}

impl<'a> Waiting<'a> {
    pub fn enter(waiters: &'a Waiters, keys: Vec<Box<[u8]>>) -> Self {
        let notify = Arc::new(Notify::new());
        for key in &keys {
            waiters.enter(key, &notify);
        }
        Waiting {
            waiters,
            keys,
            notify,
        }
    }

    /// Until it is this client's turn to look at its keys.
    pub async fn turn(&self) {
        self.notify.notified().await;
    }

    /// There was nothing for this client: the one behind it may look.
    pub fn pass_on(&self) {
        for key in &self.keys {
            self.waiters.pass_on(key, &self.notify);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        for key in &self.keys {
            self.waiters.leave(key, &self.notify);
            self.waiters.wake(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn waiters_are_woken_in_the_order_in_which_they_came() {
        let waiters = Waiters::default();
        let first = Waiting::enter(&waiters, vec![b"k".as_slice().into()]);
        let second = Waiting::enter(&waiters, vec![b"k".as_slice().into()]);
        waiters.wake(b"k");
        assert!(second.turn().now_or_never().is_none());
        assert!(first.turn().now_or_never().is_some());
        first.pass_on();
        assert!(second.turn().now_or_never().is_some());
        assert!(first.turn().now_or_never().is_none());
        drop(first);
        assert!(second.turn().now_or_never().is_some());
        drop(second);
        assert!(!waiters.any());
    }
}
