//! What a statement of a transaction sees: a snapshot with the transaction's own earlier writes.

use crate::database::{Database, Family};
use crate::overlay::Overlay;
use crate::pinned::Pinned;
use crate::scan::{Scan, ScanOptions};
use crate::serializable::ReadSet;
use crate::snapshot::Snapshot;
use crate::space::{KeyRange, Space};
use helios_types::{Result, Ts};
use std::sync::Arc;

#[derive(Clone)]
pub(crate) enum Seen {
    Snapshot(Snapshot),
    /// Whatever is newest at each read.
    Newest(Arc<Database>),
}

/// A handle for reading in a transaction; cheap to clone and to hand to worker threads.
#[derive(Clone)]
pub struct ReadView {
    pub(crate) seen: Seen,
    /// The transaction's writes; `None` when there were none that this view could see.
    pub(crate) own: Option<Arc<Overlay>>,
    /// Commands from this one on are not seen.
    pub(crate) limit: u32,
    pub(crate) reads: Option<Arc<ReadSet>>,
}

impl ReadView {
    /// The snapshot's timestamp; `None` for a view of the newest state.
    pub fn ts(&self) -> Option<Ts> {
        match &self.seen {
            Seen::Snapshot(snapshot) => Some(snapshot.ts()),
            Seen::Newest(_) => None,
        }
    }

    /// Whether the transaction has written anything that this view could see.
    pub fn has_own_writes(&self) -> bool {
        self.own().is_some()
    }

    /// Writes that reads have to look at.
    fn own(&self) -> Option<&Arc<Overlay>> {
        self.own.as_ref().filter(|own| !own.is_empty())
    }

    #[inline]
    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Pinned<'_>>> {
        if let Some(own) = self.own()
            && let Some(written) = own.get(space, key, self.limit)
        {
            return Ok(written.map(Pinned::owned));
        }
        if let Some(reads) = &self.reads {
            reads.point(space, key);
        }
        match &self.seen {
            Seen::Snapshot(snapshot) => snapshot.get(space, key),
            Seen::Newest(db) => db.get_newest(space, key),
        }
    }

    /// The values of many keys, in their order. Faster when `sorted` says truly that the keys are.
    pub fn multi_get(
        &self,
        space: Space,
        keys: &[&[u8]],
        sorted: bool,
    ) -> Result<Vec<Option<Pinned<'_>>>> {
        let Some(own) = self.own() else {
            return self.stored(space, keys, sorted);
        };
        let mut out = Vec::with_capacity(keys.len());
        let mut missing = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            match own.get(space, key, self.limit) {
                Some(written) => out.push(written.map(Pinned::owned)),
                None => {
                    out.push(None);
                    missing.push(at);
                }
            }
        }
        let rest: Vec<&[u8]> = missing.iter().map(|&at| keys[at]).collect();
        for (at, value) in missing.into_iter().zip(self.stored(space, &rest, sorted)?) {
            out[at] = value;
        }
        Ok(out)
    }

    fn stored(
        &self,
        space: Space,
        keys: &[&[u8]],
        sorted: bool,
    ) -> Result<Vec<Option<Pinned<'_>>>> {
        if let Some(reads) = &self.reads {
            keys.iter().for_each(|key| reads.point(space, key));
        }
        match &self.seen {
            Seen::Snapshot(snapshot) => snapshot.multi_get(space, keys, sorted),
            Seen::Newest(db) => {
                let values = db.multi_get(Family::Current(space), keys, sorted, None)?;
                Ok(values.into_iter().map(|v| v.map(Pinned::block)).collect())
            }
        }
    }

    pub fn scan(&self, space: Space, range: KeyRange, options: ScanOptions) -> Result<Scan> {
        let mut scan = match &self.seen {
            Seen::Snapshot(snapshot) => snapshot.scan(space, range.clone(), options)?,
            Seen::Newest(db) => Scan::of_current(db, None, space, &range, options)?,
        };
        if let Some(own) = self.own() {
            scan = scan.with_own_writes(own, space, &range, self.limit);
        }
        Ok(match &self.reads {
            Some(reads) => scan.recorded_in(reads, space, range),
            None => scan,
        })
    }

    /// Remembers a read for SERIALIZABLE; nothing at other levels.
    pub fn note_read_point(&self, space: Space, key: &[u8]) {
        if let Some(reads) = &self.reads {
            reads.point(space, key);
        }
    }

    pub fn note_read_range(&self, space: Space, range: KeyRange) {
        if let Some(reads) = &self.reads {
            reads.range(space, range);
        }
    }
}
