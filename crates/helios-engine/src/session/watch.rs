//! Rows that a client watches: whether anybody has changed them since it looked.

use super::Session;
use helios_planner::catalog::Table;
use helios_storage::{LockKey, LockMode, Space, Wait, split_header};
use helios_types::{ObjectId, Result, Ts, Value};
use std::time::Duration;

/// Longest wait for a row that somebody changes at this moment.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// A row, whether it exists or not, and the commit that had written it when it was looked at.
#[derive(Clone, Debug)]
pub struct WatchedRow {
    table: ObjectId,
    key: Vec<Value>,
    stored: Vec<u8>,
    written: Option<Ts>,
}

impl Session {
    /// Looks at the row of a relational table that has this primary key.
    pub fn watch_row(&mut self, table: &Table, key: &[Value]) -> Result<WatchedRow> {
        self.state.catalog = self.catalog();
        self.state.require_privilege(table.id, 'r')?;
        let stored = self.stored_row_key(table.id, key)?.unwrap_or_default();
        Ok(WatchedRow {
            table: table.id,
            key: key.to_vec(),
            written: self.row_written(&stored)?,
            stored,
        })
    }

    /// Whether nobody has written a row since it was looked at; nobody does before the open
    /// transaction ends.
    pub async fn row_is_unchanged(&mut self, row: &WatchedRow) -> Result<bool> {
        // A table that was emptied or rewritten has its rows elsewhere.
        if self.stored_row_key(row.table, &row.key)?.as_deref() != Some(row.stored.as_slice()) {
            return Ok(false);
        }
        let lock = LockKey::Row(Space::Row, &row.stored);
        let wait = Wait::Timeout(LOCK_TIMEOUT);
        let t = self.transaction_mut()?;
        t.txn.lock(&lock, LockMode::Share, wait).await?;
        Ok(self.row_written(&row.stored)? == row.written)
    }

    fn stored_row_key(&self, table: ObjectId, key: &[Value]) -> Result<Option<Vec<u8>>> {
        let catalog = self.catalog();
        let Some(table) = catalog.table(table) else {
            return Ok(None);
        };
        let rt = self.engine.runtimes.get(table, &catalog)?;
        let values: Vec<&Value> = key.iter().collect();
        rt.encode_key(&values).map(Some)
    }

    fn row_written(&self, stored: &[u8]) -> Result<Option<Ts>> {
        let value = self.engine.store.get(Space::Row, stored)?;
        value
            .map(|value| Ok(split_header(&value)?.0.begin_ts))
            .transpose()
    }
}
