//! The signal that the daemon is going down.

use std::time::Duration;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// How long running requests may take to finish once shutdown began.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// Triggered once, seen by every clone.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn trigger(&self) {
        self.0.cancel();
    }

    pub fn is_triggered(&self) -> bool {
        self.0.is_cancelled()
    }

    pub fn triggered(&self) -> WaitForCancellationFuture<'_> {
        self.0.cancelled()
    }
}
