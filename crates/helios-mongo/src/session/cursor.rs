//! Results in batches.

use helios_engine::{Cursor, Fetched, Session};
use helios_types::value::RowSink;
use helios_types::{Error, Result, ValueRef};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most bytes of documents in one reply; one document more may pass it.
const BATCH_BYTES: usize = 15 * 1024 * 1024;

/// A cursor that waits for `getMore`.
pub(crate) struct OpenCursor {
    pub namespace: String,
    /// The logical session it belongs to.
    pub owner: Option<[u8; 16]>,
    pub rows: Rows,
    pub last_use: Instant,
    /// What is left of the command's `maxTimeMS`, which counts over all batches.
    pub time_left: Option<Duration>,
}

/// Most bytes of documents that are put aside for one cursor, and for all of them together.
const ASIDE_BYTES_MAX: usize = 16 * 1024 * 1024;
const ASIDE_TOTAL_MAX: usize = 256 * 1024 * 1024;

/// Where the rest of the rows is.
pub(crate) enum Rows {
    /// In a session of the cursor's own.
    Engine {
        session: Box<Session>,
        cursor: Box<Cursor>,
    },
    /// Computed already.
    Ready(VecDeque<Vec<u8>>),
}

impl OpenCursor {
    /// Whether it keeps a snapshot that it has not used for this long.
    pub fn keeps_snapshot(&self, idle: Duration) -> bool {
        matches!(self.rows, Rows::Engine { .. }) && self.last_use.elapsed() >= idle
    }

    /// Bytes that are put aside for it.
    pub fn aside(&self) -> usize {
        match &self.rows {
            Rows::Engine { .. } => 0,
            Rows::Ready(rest) => rest.iter().map(Vec::len).sum(),
        }
    }

    /// Computes what is left and lets the snapshot go; false when that is too much. `others` is what
    /// is put aside for other cursors.
    pub async fn put_aside(&mut self, others: usize) -> Result<bool> {
        let Rows::Engine { session, cursor } = &mut self.rows else {
            return Ok(true);
        };
        let most = ASIDE_BYTES_MAX.min(ASIDE_TOTAL_MAX.saturating_sub(others));
        let mut rest = VecDeque::new();
        let mut bytes = 0;
        loop {
            let mut part = Batch::default();
            let fetched = session.fetch(cursor, &mut part, 0).await?;
            bytes += part.bytes;
            if bytes > most {
                return Ok(false);
            }
            rest.extend(part.documents);
            if fetched != Fetched::More {
                break;
            }
        }
        self.rows = Rows::Ready(rest);
        Ok(true)
    }
}

/// Documents for one reply.
#[derive(Default)]
pub(crate) struct Batch {
    pub documents: Vec<Vec<u8>>,
    bytes: usize,
}

impl Batch {
    pub fn push(&mut self, document: Vec<u8>) {
        self.bytes += document.len();
        self.documents.push(document);
    }

    pub fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES
    }
}

impl RowSink for Batch {
    fn row(&mut self, values: &[ValueRef<'_>]) -> Result<()> {
        match values.first() {
            Some(ValueRef::Jsonb(document)) => self.push(document.bytes.to_vec()),
            Some(ValueRef::Null) => {}
            _ => {
                return Err(Error::internal(
                    "a query gave something else than documents",
                ));
            }
        }
        Ok(())
    }

    fn pending_bytes(&self) -> usize {
        self.bytes
    }

    fn high_water_bytes(&self) -> usize {
        BATCH_BYTES
    }
}
