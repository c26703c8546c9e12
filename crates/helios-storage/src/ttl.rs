//! Expiry times in order.
//!
//! ```text
//! ttl : expire_ms u64 | space u8 | key -> {}
//! ```
//!
//! An entry is written with every row that has an expiry and not taken away when the row changes;
//! whoever looks for due entries compares them with the row and removes what no longer holds.
//! Rows are deleted by the engine's write kernel, so that indexes, history and change records see
//! it; never by the storage itself.

use crate::batch::Batch;
use crate::database::{Cursor, CursorOptions, Family};
use crate::header::split_header;
use crate::space::Space;
use crate::store::Store;
use helios_types::{Error, ErrorKind, Result};

pub(crate) fn push_key(out: &mut Vec<u8>, expire_ms: u64, space: Space, key: &[u8]) {
    out.clear();
    out.extend_from_slice(&expire_ms.to_be_bytes());
    out.push(space as u8);
    out.extend_from_slice(key);
}

pub(crate) fn split_key(entry: &[u8]) -> Result<(u64, Space, &[u8])> {
    let corrupt = || Error::new(ErrorKind::DataCorrupted, "expiry entry does not decode");
    let (ms, rest) = entry.split_first_chunk::<8>().ok_or_else(corrupt)?;
    let (&space, key) = rest.split_first().ok_or_else(corrupt)?;
    let space = Space::from_u8(space).ok_or_else(corrupt)?;
    Ok((u64::from_be_bytes(*ms), space, key))
}

impl Store {
    /// Rows that expired at or before `now_ms`, oldest first, at most `limit` of them.
    pub fn expired(&self, now_ms: u64, limit: usize) -> Result<Vec<(u64, Space, Vec<u8>)>> {
        let db = self.database();
        let hi = now_ms.saturating_add(1).to_be_bytes();
        let how = CursorOptions::default();
        let mut cursor = Cursor::new(db, Family::Ttl, &[], Some(&hi), false, None, how)?;
        let mut due = Vec::new();
        let mut stale = Vec::new();
        while let Some((entry, _)) = cursor.item() {
            if due.len() >= limit || stale.len() >= limit.max(1000) {
                break;
            }
            let (ms, space, key) = split_key(entry)?;
            if self.expires_at(space, key)? == Some(ms) {
                due.push((ms, space, key.to_vec()));
            } else {
                stale.push(entry.to_vec());
            }
            cursor.advance();
        }
        cursor.status()?;
        drop(cursor);
        if !stale.is_empty() && !self.is_read_only() {
            self.remove_stale(&stale)?;
        }
        Ok(due)
    }

    fn expires_at(&self, space: Space, key: &[u8]) -> Result<Option<u64>> {
        match self.database().get(Family::Current(space), key, None)? {
            Some(value) => Ok(split_header(&value)?.0.expire_ms),
            None => Ok(None),
        }
    }

    /// Under the commit lock, because a commit may just be giving a key the same expiry again.
    fn remove_stale(&self, entries: &[Vec<u8>]) -> Result<()> {
        let _commits = self.commit_state().lock();
        let mut batch = Batch::new();
        for entry in entries {
            let (ms, space, key) = split_key(entry)?;
            if self.expires_at(space, key)? != Some(ms) {
                batch.delete(self.database().id(Family::Ttl), entry);
            }
        }
        if !batch.is_empty() {
            self.wal().write(batch.finish())?;
            self.wal().arm(crate::Durability::Off);
        }
        Ok(())
    }
}
