//! MULTI, EXEC, DISCARD and WATCH.
//!
//! MULTI queues requests; EXEC runs them in one transaction that holds the locks of all their keys
//! from the start, so that nobody sees or makes a change in between. WATCH remembers the commit
//! that wrote a key; EXEC does nothing when another one has written it since, from any protocol.

use super::Session;
use crate::codec::request::OwnedArgs;
use crate::codec::{Args, ReplyWriter};
use crate::command::option::fail;
use crate::command::{Command, Run};
use helios_engine::keyspace::Database;
use helios_types::Result;

pub const HANDLERS: &[(&str, Run)] = &[
    ("multi", Run::Session(multi)),
    ("unwatch", Run::Session(unwatch)),
];

/// Most bytes of requests that MULTI queues.
const QUEUE_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Requests between MULTI and EXEC.
#[derive(Default)]
pub struct Queue {
    pub requests: Vec<(&'static Command, OwnedArgs)>,
    /// A request could not be queued: EXEC is refused.
    pub failed: bool,
    bytes: usize,
}

/// A key, and the commit that had written it when WATCH looked.
pub struct Watched {
    pub database: Database,
    pub key: Vec<u8>,
    pub stamp: u64,
}

impl Session {
    pub(super) fn enqueue(&mut self, command: &'static Command, args: Args<'_>) {
        let Some(queue) = &mut self.queue else { return };
        let args = OwnedArgs::new(args);
        queue.bytes += args.byte_len();
        if queue.bytes > QUEUE_BYTES_MAX {
            queue.failed = true;
            return;
        }
        queue.requests.push((command, args));
        self.client.shown.lock().queued = Some(queue.requests.len());
    }

    /// Ends a transaction, whether it ran or not.
    pub fn leave_transaction(&mut self) -> Option<Queue> {
        self.watched.clear();
        self.watched_rows.clear();
        let mut shown = self.client.shown.lock();
        shown.queued = None;
        shown.watched = 0;
        self.queue.take()
    }
}

fn multi(session: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    if session.queue.is_some() {
        return fail("MULTI calls can not be nested");
    }
    session.queue = Some(Queue::default());
    session.client.shown.lock().queued = Some(0);
    out.ok();
    Ok(())
}

pub(super) fn discard(session: &mut Session, out: &mut ReplyWriter) -> Result<()> {
    if session.queue.is_none() {
        return fail("DISCARD without MULTI");
    }
    session.leave_transaction();
    out.ok();
    Ok(())
}

fn unwatch(session: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    session.watched.clear();
    session.watched_rows.clear();
    session.client.shown.lock().watched = 0;
    out.ok();
    Ok(())
}
