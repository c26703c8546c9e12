//! Physical removal: dropped objects, and history that nobody may read any more.

use super::{Store, open};
use crate::batch::Batch;
use crate::commit::{COUNTER, HISTORY, LOAD, SEQUENCE, system_key};
use crate::database::{Cursor, CursorOptions, Database, Family};
use crate::history::{CATALOG, split_version_key};
use crate::space::{Prefix, Space};
use helios_types::{Result, Ts};
use std::sync::Arc;

/// History entries deleted in one batch.
const PRUNE_BATCH: usize = 1000;

/// Deletes the files that hold nothing but an object's entries, and adds the deletion of the rest
/// to a batch.
pub(crate) fn delete_object(db: &Database, prefix: Prefix, batch: &mut Batch) -> Result<()> {
    let range = prefix.range();
    let hi = range.hi.unwrap_or_else(|| vec![0xff; Prefix::LEN + 1]);
    for space in [Space::Row, Space::Index] {
        for family in [Family::Current(space), Family::History(space)] {
            db.delete_files(family, &range.lo, &hi)?;
            batch.delete_range(db.id(family), &range.lo, &hi);
        }
    }
    Ok(())
}

impl Store {
    /// Removes everything under an object's prefix. To be called after the transaction that
    /// unlinked the object from the catalog has committed; object numbers are not used again.
    /// Waits for the device, because the files cannot come back if that commit were lost.
    pub fn drop_object(&self, prefix: Prefix) -> Result<()> {
        self.wal().sync()?;
        let mut commits = self.commit.lock();
        let mut batch = Batch::new();
        delete_object(&self.db, prefix, &mut batch)?;
        for kind in [COUNTER, HISTORY, SEQUENCE, LOAD] {
            batch.delete(self.db.id(Family::System), &system_key(kind, prefix));
        }
        let number = self.wal().write(batch.finish())?;
        self.db.rows.clear();
        self.db.loads.forget(prefix);
        commits.counters.remove(&prefix);
        if commits.history.contains_key(&prefix) {
            Arc::make_mut(&mut commits.history).remove(&prefix);
        }
        self.forget_newest();
        drop(commits);
        self.forget_sequence(prefix);
        self.wal().arm(crate::Durability::EverySecond);
        self.wal().flush(number)
    }

    /// Removes versions of an object that ended at or before `safe`; older states of it can no
    /// longer be read. Returns how many were removed.
    pub fn prune(&self, prefix: Prefix, safe: Ts) -> Result<u64> {
        if !self.raise_history_start(prefix, safe)? {
            return Ok(0);
        }
        let range = prefix.range();
        let mut removed = 0;
        for space in [Space::Row, Space::Index] {
            removed += self.prune_range(space, &range.lo, range.hi.as_deref(), safe)?;
        }
        Ok(removed)
    }

    /// The same for the catalog's history.
    pub fn prune_catalog(&self, safe: Ts) -> Result<u64> {
        {
            let mut commits = self.commit.lock();
            Arc::make_mut(&mut commits.history)
                .entry(CATALOG)
                .or_insert(Ts::ZERO);
        }
        self.raise_history_start(CATALOG, safe)?;
        self.prune_range(Space::Meta, &[], None, safe)
    }

    /// Cuts the change log off before `horizon`.
    pub fn trim_changes(&self, horizon: Ts) -> Result<()> {
        open::trim_log(&self.db, self.wal(), horizon)?;
        self.forget_newest();
        Ok(())
    }

    /// What readers share is of before a removal or a load, which have no timestamps of their own.
    /// The caller holds the commit lock.
    pub(crate) fn forget_newest(&self) {
        self.newest.store(None);
    }

    /// From now on nothing before `safe` is read; false when the object keeps no history.
    fn raise_history_start(&self, prefix: Prefix, safe: Ts) -> Result<bool> {
        let mut commits = self.commit.lock();
        let Some(since) = commits.history.get(&prefix).copied() else {
            return Ok(false);
        };
        if since < safe {
            let mut batch = Batch::new();
            let key = system_key(HISTORY, prefix);
            batch.put(self.db.id(Family::System), &key, &safe.0.to_be_bytes());
            self.wal().write(batch.finish())?;
            Arc::make_mut(&mut commits.history).insert(prefix, safe);
            self.forget_newest();
        }
        Ok(true)
    }

    fn prune_range(&self, space: Space, lo: &[u8], hi: Option<&[u8]>, safe: Ts) -> Result<u64> {
        let family = Family::History(space);
        let how = CursorOptions {
            no_fill_cache: true,
            readahead: 1 << 20,
        };
        let mut cursor = Cursor::new(&self.db, family, lo, hi, false, None, how)?;
        let mut removed = 0;
        let mut batch = Batch::new();
        let mut pending = 0;
        while let Some((key, _)) = cursor.item() {
            if split_version_key(key)?.end <= safe {
                batch.delete(self.db.id(family), key);
                pending += 1;
            }
            if pending == PRUNE_BATCH {
                self.wal()
                    .write(std::mem::replace(&mut batch, Batch::new()).finish())?;
                removed += pending as u64;
                pending = 0;
            }
            cursor.advance();
        }
        cursor.status()?;
        if pending > 0 {
            self.wal().write(batch.finish())?;
            removed += pending as u64;
        }
        self.forget_newest();
        self.wal().arm(crate::Durability::EverySecond);
        Ok(removed)
    }
}
