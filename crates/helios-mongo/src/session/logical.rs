//! Logical sessions: transactions and retryable writes, independent of connections.

use super::retry;
use super::server::SESSION_TIMEOUT;
use crate::error::Result;
use helios_engine::{Engine, Session};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What the server keeps of one `lsid`.
pub(crate) struct Logical {
    last_use: Instant,
    /// The highest transaction number seen.
    pub number: i64,
    pub transaction: Option<Transaction>,
    /// Replies to retryable writes by number, newest last: the fields of the command's own.
    replies: VecDeque<(i64, Vec<u8>)>,
    /// Whether it is known what was recorded before this run of the daemon.
    recalled: bool,
}

pub(crate) enum Transaction {
    Open {
        number: i64,
        database: String,
        session: Box<Session>,
        started: Instant,
    },
    Committed {
        number: i64,
    },
    Aborted {
        number: i64,
    },
}

/// Replies kept per session: drivers retry their newest write only.
const REPLIES_KEPT: usize = 4;

impl Default for Logical {
    fn default() -> Self {
        Logical {
            last_use: Instant::now(),
            number: -1,
            transaction: None,
            replies: VecDeque::new(),
            recalled: false,
        }
    }
}

impl Logical {
    pub fn touch(&mut self) {
        self.last_use = Instant::now();
    }

    pub fn is_expired(&self) -> bool {
        self.last_use.elapsed() > SESSION_TIMEOUT
    }

    /// Rolls a transaction back that was left open for too long.
    pub fn end_abandoned(&mut self, lifetime: Duration) {
        if let Some(Transaction::Open {
            number,
            session,
            started,
            ..
        }) = &mut self.transaction
            && started.elapsed() > lifetime
        {
            session.rollback();
            self.transaction = Some(Transaction::Aborted { number: *number });
        }
    }

    /// Takes over what the session's last write left when the daemon ran before.
    pub fn recall(&mut self, engine: &Engine, id: [u8; 16]) -> Result<()> {
        if self.recalled {
            return Ok(());
        }
        if let Some((number, reply)) = retry::stored(engine, id)?
            && number > self.number
        {
            self.number = number;
            self.remember(number, reply);
        }
        self.recalled = true;
        Ok(())
    }

    /// The reply that a write with this number got already.
    pub fn reply(&self, number: i64) -> Option<&[u8]> {
        self.replies
            .iter()
            .find(|(n, _)| *n == number)
            .map(|(_, reply)| reply.as_slice())
    }

    pub fn remember(&mut self, number: i64, reply: Vec<u8>) {
        if self.replies.len() >= REPLIES_KEPT {
            self.replies.pop_front();
        }
        self.replies.push_back((number, reply));
    }
}
