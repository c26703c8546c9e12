//! The connections, as CLIENT LIST shows and CLIENT KILL and UNBLOCK reach them.

use crate::codec::Protocol;
use crate::command::commands;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed};
use tokio::sync::Notify;

/// What a connection tells about itself; changed by its own commands only.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    pub name: String,
    pub library: String,
    pub library_version: String,
    pub database: usize,
    pub user: String,
    pub protocol: Protocol,
    pub channels: usize,
    pub patterns: usize,
    pub shard_channels: usize,
    /// Queued commands; `None` outside of MULTI.
    pub queued: Option<usize>,
    pub watched: usize,
    pub blocked: bool,
    pub no_evict: bool,
}

/// How CLIENT UNBLOCK ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unblock {
    Timeout,
    Error,
}

/// One connection.
pub struct Client {
    pub id: u64,
    pub peer: String,
    pub local: String,
    pub created_ms: u64,
    pub last_ms: AtomicU64,
    pub last_command: AtomicU16,
    pub shown: Mutex<Shown>,
    killed: AtomicBool,
    /// Tells the connection that it was killed or unblocked.
    pub signal: Notify,
    unblock: Mutex<Option<Unblock>>,
}

impl Client {
    pub fn kill(&self) {
        self.killed.store(true, Relaxed);
        self.signal.notify_one();
    }

    pub fn is_killed(&self) -> bool {
        self.killed.load(Relaxed)
    }

    pub fn take_unblock(&self) -> Option<Unblock> {
        self.unblock.lock().take()
    }

    /// Whether the connection was waiting for a key.
    pub fn unblock(&self, how: Unblock) -> bool {
        let blocked = self.shown.lock().blocked;
        if blocked {
            *self.unblock.lock() = Some(how);
            self.signal.notify_one();
        }
        blocked
    }

    /// `normal` or `pubsub`.
    pub fn kind(&self) -> &'static str {
        let shown = self.shown.lock();
        let subscribed = shown.channels + shown.patterns + shown.shard_channels > 0;
        if subscribed && shown.protocol == Protocol::Resp2 {
            "pubsub"
        } else {
            "normal"
        }
    }

    /// The line of CLIENT LIST.
    pub fn line(&self, now_ms: u64) -> String {
        let kind = self.kind();
        let shown = self.shown.lock().clone();
        let mut flags = String::new();
        if kind == "pubsub" {
            flags.push('P');
        }
        if shown.queued.is_some() {
            flags.push('x');
        }
        if shown.blocked {
            flags.push('b');
        }
        if shown.no_evict {
            flags.push('e');
        }
        if flags.is_empty() {
            flags.push('N');
        }
        let command = commands()
            .all
            .get(usize::from(self.last_command.load(Relaxed)))
            .map_or("NULL", |command| command.name);
        let mut line = String::new();
        let _ = write!(
            line,
            "id={} addr={} laddr={} fd=0 name={} age={} idle={} flags={} db={} sub={} psub={} \
             ssub={} multi={} watch={} cmd={} user={} lib-name={} lib-ver={} resp={}",
            self.id,
            self.peer,
            self.local,
            shown.name,
            now_ms.saturating_sub(self.created_ms) / 1000,
            now_ms.saturating_sub(self.last_ms.load(Relaxed)) / 1000,
            flags,
            shown.database,
            shown.channels,
            shown.patterns,
            shown.shard_channels,
            shown.queued.map_or(-1, |queued| queued as i64),
            shown.watched,
            command,
            shown.user,
            shown.library,
            shown.library_version,
            if shown.protocol == Protocol::Resp3 {
                3
            } else {
                2
            },
        );
        line
    }
}

/// All connections, by number.
#[derive(Default)]
pub struct Clients {
    open: RwLock<BTreeMap<u64, Arc<Client>>>,
}

impl Clients {
    pub fn add(&self, id: u64, peer: String, local: String, now_ms: u64) -> Arc<Client> {
        let client = Arc::new(Client {
            id,
            peer,
            local,
            created_ms: now_ms,
            last_ms: now_ms.into(),
            last_command: u16::MAX.into(),
            shown: Mutex::default(),
            killed: AtomicBool::new(false),
            signal: Notify::new(),
            unblock: Mutex::default(),
        });
        self.open.write().insert(id, client.clone());
        client
    }

    pub fn remove(&self, id: u64) {
        self.open.write().remove(&id);
    }

    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.open.read().get(&id).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Client>> {
        self.open.read().values().cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.open.read().len()
    }

    pub fn is_empty(&self) -> bool {
        self.open.read().is_empty()
    }
}
