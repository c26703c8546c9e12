//! What others may see and do of a session: its row in `pg_stat_activity`, and cancelling it.

use super::now_us;
use crate::apply::CancelFlag;
use crate::engine::SessionInfo;
use crate::options::SessionOptions;
use helios_types::Error;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longest statement text kept for others to see.
const STATEMENT_BYTES_MAX: usize = 1024;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) secret: i32,
    /// The session's name in the lock table.
    pub(crate) lock_group: u64,
    cancelled: Arc<CancelFlag>,
    terminated: AtomicBool,
    /// Wakes a lock wait or sleep when the session is cancelled.
    wake: tokio::sync::Notify,
    info: Mutex<SessionInfo>,
}

/// Lets another task cancel what a session runs.
#[derive(Clone, Debug)]
pub struct CancelHandle {
    shared: Arc<Shared>,
}

impl CancelHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        CancelHandle { shared }
    }

    /// Ends the running statement with `QueryCancelled`; nothing happens when none runs.
    pub fn cancel(&self) {
        self.shared.cancel();
    }

    /// Resolves when an administrator asked to close the connection.
    pub async fn terminated(&self) {
        loop {
            let notified = self.shared.wake.notified();
            if self.shared.terminated.load(Ordering::Relaxed) {
                return;
            }
            notified.await;
        }
    }
}

impl Shared {
    pub(crate) fn new(pid: i32, lock_group: u64, options: &SessionOptions) -> Self {
        Shared {
            secret: rand::random(),
            lock_group,
            cancelled: Arc::new(CancelFlag::default()),
            terminated: AtomicBool::new(false),
            wake: tokio::sync::Notify::new(),
            info: Mutex::new(SessionInfo {
                pid,
                protocol: options.protocol,
                user: options.user.clone(),
                database: options.database.clone(),
                application: options.application.clone(),
                peer: options.peer,
                started_us: now_us(),
                transaction_started_us: None,
                statement_started_us: None,
                statement: String::new(),
                running: false,
                in_transaction: false,
                failed: false,
            }),
        }
    }

    pub(crate) fn info(&self) -> SessionInfo {
        self.info.lock().clone()
    }

    pub(crate) fn set_application(&self, name: &str) {
        let mut info = self.info.lock();
        if info.application != name {
            info.application = name.to_string();
        }
    }

    pub(crate) fn cancel(&self) {
        if self.info.lock().running {
            self.cancelled.cancel();
            self.wake.notify_waiters();
        }
    }

    /// Ends the running statement because its time is over.
    pub(crate) fn time_out(&self) {
        self.cancelled.time_out();
        self.wake.notify_waiters();
    }

    pub(crate) fn terminate(&self) {
        self.terminated.store(true, Ordering::Relaxed);
        self.cancelled.terminate();
        self.wake.notify_waiters();
    }

    /// A statement begins to run; without a text it is the one that was shown last.
    pub(crate) fn statement_starts(&self, text: Option<&str>, in_transaction: bool) {
        self.cancelled.reset();
        let mut info = self.info.lock();
        info.running = true;
        info.in_transaction = in_transaction;
        info.statement_started_us = Some(now_us());
        if let Some(text) = text {
            Self::show_in(&mut info, text);
        }
    }

    /// What the client sent, for others to see.
    pub(crate) fn show_statement(&self, text: &str) {
        Self::show_in(&mut self.info.lock(), text);
    }

    fn show_in(info: &mut SessionInfo, text: &str) {
        info.statement.clear();
        let mut end = text.len().min(STATEMENT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        info.statement.push_str(&text[..end]);
    }

    pub(crate) fn statement_ends(&self, in_transaction: bool, failed: bool) {
        let mut info = self.info.lock();
        info.running = false;
        info.in_transaction = in_transaction;
        info.failed = failed;
    }

    pub(crate) fn cancel_flag(&self) -> &Arc<CancelFlag> {
        &self.cancelled
    }

    /// Resolves when the running statement is cancelled.
    pub(crate) async fn cancelled(&self) -> Error {
        loop {
            let notified = self.wake.notified();
            if let Err(error) = self.cancelled.check() {
                return error;
            }
            notified.await;
        }
    }
}
