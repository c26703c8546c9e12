//! A time limit that holds for work that never waits.
//!
//! A future that computes without a pause keeps its task from looking at the clock, so that
//! `tokio::time::timeout` around it says nothing until it is done. An alarm is a task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Does something when its time has come, unless it was dropped before.
#[derive(Debug)]
pub struct Alarm {
    rang: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Alarm {
    pub fn set(after: Duration, ring: impl FnOnce() + Send + 'static) -> Alarm {
        let rang = Arc::new(AtomicBool::new(false));
        let ringing = rang.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep(after).await;
            ringing.store(true, Ordering::Release);
            ring();
        });
        Alarm { rang, task }
    }

    pub fn rang(&self) -> bool {
        self.rang.load(Ordering::Acquire)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_alarm_rings_while_the_task_that_set_it_computes() {
        let stop = Arc::new(AtomicBool::new(false));
        let early = stop.clone();
        let alarm = Alarm::set(Duration::from_millis(1), move || {
            early.store(true, Ordering::Release);
        });
        while !stop.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
        assert!(alarm.rang());
    }
}
