//! Small records of the engine's own, which are no rows: alone, or with a transaction's commit.

use super::Store;
use crate::batch::Batch;
use crate::commit::RECORD;
use crate::database::{Cursor, CursorOptions, Family};
use helios_types::Result;

fn stored(key: &[u8]) -> Vec<u8> {
    [&[RECORD], key].concat()
}

/// Adds a record to a batch.
pub(crate) fn put(batch: &mut Batch, family: u32, key: &[u8], value: &[u8]) {
    batch.put(family, &stored(key), value);
}

impl Store {
    pub fn meta_get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let found = self.database().get(Family::System, &stored(key), None)?;
        Ok(found.map(|v| v.to_vec()))
    }

    /// Writes a record behind all earlier commits; with `durable` it is synced on return.
    pub fn meta_put(&self, key: &[u8], value: &[u8], durable: bool) -> Result<()> {
        let mut batch = Batch::new();
        put(&mut batch, self.database().id(Family::System), key, value);
        self.write_now(&mut batch, durable)
    }

    pub fn meta_delete(&self, key: &[u8], durable: bool) -> Result<()> {
        let mut batch = Batch::new();
        batch.delete(self.database().id(Family::System), &stored(key));
        self.write_now(&mut batch, durable)
    }

    /// Deletes the records below a prefix that are not to be kept; how many. One that a commit
    /// writes meanwhile is looked at again.
    pub fn meta_retain(&self, prefix: &[u8], keep: impl Fn(&[u8], &[u8]) -> bool) -> Result<usize> {
        let range = crate::KeyRange::prefix(&stored(prefix));
        let hi = range.hi.as_deref();
        let how = CursorOptions::default();
        let mut cursor = Cursor::new(
            self.database(),
            Family::System,
            &range.lo,
            hi,
            false,
            None,
            how,
        )?;
        let mut outdated = Vec::new();
        while let Some((key, value)) = cursor.item() {
            if key.get(1..).is_some_and(|name| !keep(name, value)) {
                outdated.push(key.to_vec());
            }
            cursor.advance();
        }
        cursor.status()?;
        if outdated.is_empty() {
            return Ok(0);
        }
        // No commit may come between the second look and the deletion.
        let commits = self.commit_state().lock();
        let mut batch = Batch::new();
        let mut deleted = 0;
        for key in &outdated {
            let value = self.database().get(Family::System, key, None)?;
            if value.is_some_and(|value| !keep(key.get(1..).unwrap_or_default(), &value)) {
                batch.delete(self.database().id(Family::System), key);
                deleted += 1;
            }
        }
        let number = self.wal().write(batch.finish())?;
        drop(commits);
        self.wal().arm(crate::Durability::EverySecond);
        self.wal().flush(number)?;
        Ok(deleted)
    }

    fn write_now(&self, batch: &mut Batch, durable: bool) -> Result<()> {
        let number = self.wal().write(batch.finish())?;
        if durable {
            return self.wal().sync();
        }
        self.wal().arm(crate::Durability::EverySecond);
        self.wal().flush(number)
    }
}
