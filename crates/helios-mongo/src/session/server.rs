//! What all connections share: the engine, logical sessions, cursors.

use super::{Logical, OpenCursor};
use crate::config::Config;
use helios_engine::Engine;
use helios_net::Shutdown;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Logical sessions end when they were not used for this long.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Cursors end when they were not used for this long.
pub(crate) const CURSOR_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How often records of retryable writes are looked through.
const RECORDS_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// How often the rest is looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(2);
/// Most logical sessions kept.
const SESSIONS_MAX: usize = 100_000;
/// Most cursors kept open.
const CURSORS_MAX: usize = 10_000;

type SessionKey = [u8; 16];
type Sessions = HashMap<SessionKey, Arc<tokio::sync::Mutex<Logical>>>;

pub(crate) struct Server {
    pub engine: Arc<Engine>,
    pub config: Config,
    /// Tells this run of the server from others, in `topologyVersion`.
    pub process_id: [u8; 12],
    pub started: Instant,
    logical: Mutex<Sessions>,
    cursors: Mutex<HashMap<i64, OpenCursor>>,
    /// Held while the rest of a cursor is put aside, which is not in `cursors` for that time.
    settling: tokio::sync::Mutex<()>,
    connections: AtomicI32,
    object_ids: AtomicU64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    pub fn new(engine: Arc<Engine>, config: Config) -> Arc<Server> {
        let mut server = Server {
            engine,
            config,
            process_id: [0; 12],
            started: Instant::now(),
            logical: Mutex::default(),
            cursors: Mutex::default(),
            settling: tokio::sync::Mutex::default(),
            connections: AtomicI32::new(1),
            object_ids: AtomicU64::new(rand::random()),
        };
        server.process_id = server.object_id();
        Arc::new(server)
    }

    pub fn next_connection(&self) -> i32 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// A new ObjectId: seconds, and a random start that counts on.
    pub fn object_id(&self) -> [u8; 12] {
        let seconds = (now_ms() / 1000) as u32;
        let n = self.object_ids.fetch_add(1, Ordering::Relaxed);
        let mut id = [0; 12];
        id[..4].copy_from_slice(&seconds.to_be_bytes());
        id[4..].copy_from_slice(&n.to_be_bytes());
        id
    }

    /// The logical session of this id; made when it is new.
    pub fn logical(&self, id: SessionKey) -> Arc<tokio::sync::Mutex<Logical>> {
        let mut sessions = locked(&self.logical);
        if sessions.len() >= SESSIONS_MAX {
            // Whoever is in use has a second owner or was used a moment ago.
            sessions.retain(|_, s| s.try_lock().is_ok_and(|s| !s.is_expired()));
        }
        sessions.entry(id).or_default().clone()
    }

    /// Ends what was left behind, until the daemon goes down: transactions, sessions, cursors.
    pub async fn sweep(self: Arc<Self>, shutdown: Shutdown) {
        let lifetime = self.config.transaction_lifetime;
        let idle = self.config.cursor_snapshot_lifetime;
        let interval = SWEEP_INTERVAL.min(lifetime).min(idle);
        let mut records_swept: Option<Instant> = None;
        while !shutdown.is_triggered() {
            super::wait(shutdown.clone(), interval).await;
            if records_swept.is_none_or(|at| at.elapsed() > RECORDS_INTERVAL) {
                records_swept = Some(Instant::now());
                if let Err(error) = super::retry::sweep(&self.engine) {
                    tracing::warn!(message = %error.message, "records of retryable writes stay");
                }
            }
            self.settle_cursors(idle).await;
            let sessions: Vec<_> = locked(&self.logical)
                .iter()
                .map(|(id, s)| (*id, s.clone()))
                .collect();
            let mut expired = Vec::new();
            for (id, session) in sessions {
                // One that is in use is not left behind.
                let Ok(mut logical) = session.try_lock() else {
                    continue;
                };
                logical.end_abandoned(lifetime);
                if logical.is_expired() {
                    expired.push(id);
                }
            }
            self.end_sessions(expired.into_iter());
            locked(&self.cursors).retain(|_, c| c.last_use.elapsed() < CURSOR_TIMEOUT);
        }
    }

    /// Lets the snapshots of idle cursors go.
    async fn settle_cursors(&self, idle: Duration) {
        let waiting: Vec<i64> = {
            let cursors = locked(&self.cursors);
            let waiting = cursors.iter().filter(|(_, c)| c.keeps_snapshot(idle));
            waiting.map(|(id, _)| *id).collect()
        };
        for id in waiting {
            let _settling = self.settling.lock().await;
            let (cursor, others) = {
                let mut cursors = locked(&self.cursors);
                // It may have been used meanwhile.
                let idle = cursors.get(&id).is_some_and(|c| c.keeps_snapshot(idle));
                let cursor = idle.then(|| cursors.remove(&id)).flatten();
                (cursor, cursors.values().map(OpenCursor::aside).sum())
            };
            let Some(mut cursor) = cursor else { continue };
            match cursor.put_aside(others).await {
                Ok(true) => {
                    locked(&self.cursors).insert(id, cursor);
                }
                Ok(false) => tracing::debug!(
                    namespace = cursor.namespace,
                    "an idle cursor has too many documents left to keep them and is closed"
                ),
                Err(error) => {
                    tracing::debug!(namespace = cursor.namespace, %error, "an idle cursor is closed");
                }
            }
        }
    }

    /// Ends logical sessions; open transactions of theirs are rolled back.
    pub fn end_sessions(&self, ids: impl Iterator<Item = SessionKey>) {
        let mut sessions = locked(&self.logical);
        for id in ids {
            sessions.remove(&id);
            locked(&self.cursors).retain(|_, c| c.owner != Some(id));
        }
    }

    pub fn end_all_sessions(&self) {
        locked(&self.logical).clear();
        locked(&self.cursors).clear();
    }

    /// Keeps a cursor; its id.
    pub fn keep_cursor(&self, cursor: OpenCursor) -> i64 {
        let mut cursors = locked(&self.cursors);
        if cursors.len() >= CURSORS_MAX {
            cursors.retain(|_, c| c.last_use.elapsed() < CURSOR_TIMEOUT);
        }
        loop {
            let id = rand::random::<i64>() & i64::MAX;
            if id != 0 && !cursors.contains_key(&id) {
                cursors.insert(id, cursor);
                return id;
            }
        }
    }

    pub async fn take_cursor(&self, id: i64) -> Option<OpenCursor> {
        if let Some(cursor) = self.take_kept_cursor(id) {
            return Some(cursor);
        }
        // It may be away because its documents are being put aside.
        let _settled = self.settling.lock().await;
        self.take_kept_cursor(id)
    }

    fn take_kept_cursor(&self, id: i64) -> Option<OpenCursor> {
        let cursor = locked(&self.cursors).remove(&id)?;
        (cursor.last_use.elapsed() < CURSOR_TIMEOUT).then_some(cursor)
    }

    /// Closes the cursors of collections that are about to go: they would keep them.
    pub fn close_cursors(&self, of: impl Fn(&str) -> bool) {
        locked(&self.cursors).retain(|_, c| !of(&c.namespace));
    }

    pub fn put_cursor(&self, id: i64, mut cursor: OpenCursor) {
        cursor.last_use = Instant::now();
        locked(&self.cursors).insert(id, cursor);
    }

    pub fn open_cursors(&self) -> usize {
        locked(&self.cursors).len()
    }

    pub fn open_sessions(&self) -> usize {
        locked(&self.logical).len()
    }
}

pub(crate) fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |d| d.as_millis() as i64)
}
