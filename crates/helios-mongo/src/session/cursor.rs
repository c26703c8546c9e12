//! Results in batches.

use helios_engine::{Cursor, Session};
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
