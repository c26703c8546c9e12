//! How large a table is, as the store counts it: no row is read.

use crate::Session;
use crate::authorize;
use helios_planner::catalog::Table;
use helios_planner::template::RequiredPrivilege;
use helios_storage::{Prefix, Store};
use helios_types::{BranchId, ObjectId, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Committed rows.
    pub rows: i64,
    /// About what rows and index entries take in files and memory.
    pub row_bytes: u64,
    pub index_bytes: u64,
}

/// How many rows a table has, for estimates.
pub(crate) fn rows(store: &Store, table: &Table) -> u64 {
    let rows = store.row_count(stored(table, table.storage));
    u64::try_from(rows).unwrap_or(0)
}

impl Session {
    /// The committed rows of a table, for who may read it.
    pub fn table_rows(&self, table: &Table) -> Result<i64> {
        let need = RequiredPrivilege {
            relation: table.id,
            privilege: 'r',
            as_role: None,
        };
        authorize::check(&self.catalog(), self.state.role, &need)?;
        Ok(self.engine.store.row_count(stored(table, table.storage)))
    }

    /// Rows and bytes of a table, for who may read it.
    pub fn table_size(&self, table: &Table) -> Result<TableSize> {
        let rows = self.table_rows(table)?;
        let bytes = |object| self.engine.store.approximate_bytes(stored(table, object));
        let indexes = table.indexes.iter().filter(|index| !index.primary);
        Ok(TableSize {
            rows,
            row_bytes: bytes(table.storage),
            index_bytes: indexes.map(|index| bytes(index.storage)).sum(),
        })
    }
}

pub(crate) fn stored(table: &Table, object: ObjectId) -> Prefix {
    Prefix::new(table.database, BranchId::MAIN, object)
}
