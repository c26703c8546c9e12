//! A fixed state of the store: the newest one, or an older one for `AS OF`.
//!
//! All readers between two commits share one RocksDB snapshot (an epoch), made when the first of
//! them asks; cloning a snapshot is one atomic increment. The pair of RocksDB sequence number and
//! timestamp is taken under the commit lock, so that both name the same commit.

use crate::database::{Database, Epoch, Family};
use crate::header::begin_ts;
use crate::history::{self, HistoryStarts};
use crate::pinned::Pinned;
use crate::scan::{Scan, ScanOptions};
use crate::space::{KeyRange, Space};
use crate::stats::Counters;
use helios_types::{Result, Ts};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the readers of one commit share.
pub(crate) struct State {
    pub(crate) db: Arc<Database>,
    pub(crate) epoch: Arc<Epoch>,
    pub(crate) ts: Ts,
    pub(crate) history: Arc<HistoryStarts>,
    counters: Arc<Counters>,
}

impl State {
    pub(crate) fn new(
        db: &Arc<Database>,
        ts: Ts,
        history: Arc<HistoryStarts>,
        counters: &Arc<Counters>,
    ) -> Arc<State> {
        counters.live_snapshots.fetch_add(1, Ordering::Relaxed);
        let epoch = Arc::new(Epoch::new(db));
        Arc::new(State {
            db: db.clone(),
            epoch,
            ts,
            history,
            counters: counters.clone(),
        })
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.counters.live_snapshots.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A fixed state of the store. Cheap to clone; holds back nothing but disk space.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) state: Arc<State>,
    /// The older moment that is read, before `state.ts`.
    pub(crate) as_of: Option<Ts>,
}

impl Snapshot {
    pub(crate) fn newest(state: Arc<State>) -> Snapshot {
        Snapshot { state, as_of: None }
    }

    /// The last commit that is visible.
    pub fn ts(&self) -> Ts {
        self.as_of.unwrap_or(self.state.ts)
    }

    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Pinned<'_>>> {
        let State { db, epoch, .. } = &*self.state;
        if db.loads.hide(key, self.ts()) {
            return Ok(None);
        }
        let Some(at) = self.as_of else {
            return db.get_at(space, key, epoch, self.state.ts);
        };
        let current = db.get(Family::Current(space), key, Some(epoch))?;
        history::check_reach(&self.state.history, space, key, at)?;
        match current {
            Some(value) if begin_ts(&value)? <= at => Ok(Some(Pinned::block(value))),
            _ => {
                let version = history::get_version(db, epoch, space, key, at)?;
                Ok(version.map(|v| Pinned::owned(v.into())))
            }
        }
    }

    /// The values of many keys, in their order. Faster when `sorted` says truly that the keys are.
    pub fn multi_get(
        &self,
        space: Space,
        keys: &[&[u8]],
        sorted: bool,
    ) -> Result<Vec<Option<Pinned<'_>>>> {
        if self.as_of.is_some() {
            return keys.iter().map(|key| self.get(space, key)).collect();
        }
        let State { db, epoch, .. } = &*self.state;
        let values = db.multi_get(Family::Current(space), keys, sorted, Some(epoch))?;
        let seen = |(key, value): (&&[u8], Option<_>)| {
            let value = value.map(Pinned::block);
            value.filter(|_| !db.loads.hide(key, self.state.ts))
        };
        Ok(keys.iter().zip(values).map(seen).collect())
    }

    pub fn scan(&self, space: Space, range: KeyRange, options: ScanOptions) -> Result<Scan> {
        Scan::of_snapshot(self, space, range, options)
    }
}
