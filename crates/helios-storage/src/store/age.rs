//! Since when something has been there, as far as its history goes.

use super::Store;
use crate::database::{Cursor, CursorOptions, Family};
use crate::header::begin_ts;
use crate::history::{push_versions_prefix, split_version_key};
use crate::space::{KeyRange, Space};
use helios_types::{Result, Ts};

impl Store {
    /// When the oldest version of a record of the catalog was written, and when the newest one;
    /// `None` when there is no such record.
    pub fn catalog_record_times(&self, key: &[u8]) -> Result<Option<(Ts, Ts)>> {
        let db = self.database();
        let Some(newest) = db.get(Family::Current(Space::Meta), key, None)? else {
            return Ok(None);
        };
        let newest = begin_ts(&newest)?;
        let mut versions = Vec::with_capacity(key.len() + 2);
        push_versions_prefix(&mut versions, Space::Meta, key);
        let range = KeyRange::prefix(&versions);
        let cursor = Cursor::new(
            db,
            Family::History(Space::Meta),
            &range.lo,
            range.hi.as_deref(),
            false,
            None,
            CursorOptions::default(),
        )?;
        // Versions stand in the order of their ends: the first one is the oldest.
        let oldest = match cursor.item() {
            Some((key, _)) => split_version_key(key)?.begin,
            None => newest,
        };
        cursor.status()?;
        Ok(Some((oldest, newest)))
    }
}
