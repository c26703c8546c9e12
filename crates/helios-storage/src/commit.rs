//! The commit: one short critical section that orders all transactions.
//!
//! Before the lock a transaction's writes are turned into one batch. Under the lock: validation of
//! reads (SERIALIZABLE), the timestamp, superseded versions of objects that keep history, row
//! counters, one write into RocksDB, publication. Row locks are released after that, before the
//! fsync, so that a hot row is not held for the length of one; a later writer's log record stands
//! behind the earlier one's, so what a writer saw is never lost without the writer.
//!
//! Transactions that need no fsync may be committed together ([`crate::group`]).
//!
//! One committer thread fed by a queue was measured against this and is slower: the figures are in
//! the crate's documentation.

use crate::batch::Batch;
use crate::changes::{self, ChangeRecord, CommitNotice};
use crate::database::Family;
use crate::header::{Header, begin_ts};
use crate::history::{self, HistoryStarts};
use crate::overlay::{Overlay, Written};
use crate::serializable::{ReadSet, RecentWrites};
use crate::space::{Prefix, Space};
use crate::store::Store;
use helios_types::{Result, Ts, bail, limits};
use smallvec::SmallVec;
use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

/// Keys of the store's own records in the default family.
pub(crate) const LAST_TS: &[u8] = b"t";
pub(crate) const COUNTER: u8 = b'c';
pub(crate) const HISTORY: u8 = b'h';
pub(crate) const SEQUENCE: u8 = b's';
pub(crate) const RECORD: u8 = b'u';
/// Objects whose load has not been committed.
pub(crate) const LOAD: u8 = b'l';

pub(crate) fn system_key(kind: u8, prefix: Prefix) -> [u8; 1 + Prefix::LEN] {
    let mut out = [kind; 1 + Prefix::LEN];
    out[1..].copy_from_slice(&prefix.bytes());
    out
}

/// A transaction that writes more than this leaves its new rows out of the row cache.
const KEPT_ROWS_MAX: usize = 32;

/// Largest write set of one transaction, in encoded bytes.
const BATCH_BYTES_MAX: usize = 2 << 30;

/// What the commit lock protects.
pub(crate) struct CommitState {
    pub(crate) last_ts: Ts,
    pub(crate) counters: HashMap<Prefix, i64, foldhash::fast::RandomState>,
    pub(crate) history: Arc<HistoryStarts>,
    pub(crate) recent: RecentWrites,
}

/// What a transaction brings to its commit.
pub(crate) struct WriteSet<'a> {
    pub(crate) overlay: &'a Overlay,
    pub(crate) counts: &'a [(Prefix, i64)],
    pub(crate) history: &'a [(Prefix, bool)],
    pub(crate) log: &'a [ChangeRecord],
    /// Objects that were loaded in bulk.
    pub(crate) loads: &'a [Prefix],
    /// Written with the rest; alone it is nothing to commit.
    pub(crate) record: Option<&'a (Vec<u8>, Vec<u8>)>,
    /// What was read, and at which snapshot; for SERIALIZABLE.
    pub(crate) reads: Option<(&'a ReadSet, Ts)>,
    /// The work of many clients, each of which has written a few rows.
    pub(crate) of_many: bool,
}

impl WriteSet<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.overlay.is_empty()
            && self.log.is_empty()
            && self.history.is_empty()
            && self.loads.is_empty()
            && self.counts.iter().all(|(_, delta)| *delta == 0)
    }
}

pub(crate) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64)
}

impl Store {
    /// Commits; returns the batch's number in the log and the commit timestamp.
    pub(crate) fn commit_writes(&self, set: &WriteSet<'_>) -> Result<(u64, Ts)> {
        let mut batch = self.prepare(set)?;
        let mut guard = self.commit_state().lock();
        let state = &mut *guard;
        if let Some((reads, snapshot)) = set.reads {
            state
                .recent
                .validate(reads, snapshot)
                .inspect_err(|_| self.count_conflict())?;
        }
        let number = self.write_group(state, &mut [(set, &mut batch)])?;
        Ok((number, state.last_ts))
    }

    /// Writes and publishes transactions, in their order, each with a timestamp of its own; no two
    /// of them write the same key. Returns the number in the log.
    pub(crate) fn write_group<'a, S: Borrow<WriteSet<'a>>>(
        &self,
        state: &mut CommitState,
        group: &mut [(S, &mut Batch)],
    ) -> Result<u64> {
        let first = Ts((state.last_ts.0 + 1).max(Ts::from_unix_ms(unix_ms()).0));
        let mut last = first;
        let mut counters = Counters::new();
        let mut history = None;
        for (at, (set, batch)) in group.iter_mut().enumerate() {
            let set = (*set).borrow();
            last = Ts(first.0 + at as u64);
            add_to_counters(&mut counters, state, set.counts);
            let kept = history.as_ref().unwrap_or(&state.history);
            let changed = self.add_history_changes(batch, kept, set.history, last);
            history = changed.or(history);
            let kept = history.as_ref().unwrap_or(&state.history);
            if !kept.is_empty() || set.overlay.has_meta() {
                self.add_superseded(batch, set.overlay, kept, last)?;
            }
            batch.stamp(last);
        }
        let Some(((_, batch), others)) = group.split_first_mut() else {
            return Ok(self.wal().written());
        };
        for (_, other) in others {
            batch.append(other);
        }
        let family = self.database().id(Family::System);
        for (prefix, value) in &counters {
            batch.put(family, &system_key(COUNTER, *prefix), &value.to_be_bytes());
        }
        batch.put(family, LAST_TS, &last.0.to_be_bytes());
        self.database().rows.starting(last);
        let number = self.wal().write(batch.finish())?;

        state.counters.extend(counters);
        if let Some(history) = history {
            state.history = history;
        }
        for (at, (set, _)) in group.iter().enumerate() {
            self.written(state, set.borrow(), Ts(first.0 + at as u64));
        }
        state.last_ts = last;
        self.publish(last, group.len() as u64);
        for (at, (set, _)) in group.iter().enumerate() {
            self.notify(set.borrow(), Ts(first.0 + at as u64));
        }
        Ok(number)
    }

    /// Tells the caches of a commit that is in the log but not published yet.
    fn written(&self, state: &mut CommitState, set: &WriteSet<'_>, ts: Ts) {
        let rows = &self.database().rows;
        // Not of a load, whose rows are too many to stay.
        let keep = set.of_many || set.overlay.len() <= KEPT_ROWS_MAX;
        let _: Result<(), ()> = set.overlay.for_each(|space, key, value| {
            if space == Space::Row {
                rows.written(ts, key, value.as_deref(), keep);
            }
            if state.recent.is_watched() {
                state.recent.record(ts, space, key);
            }
            Ok(())
        });
        for prefix in set.loads {
            self.database().loads.commit(*prefix, ts);
            // Whoever has read the object while it was another, empty one.
            state.recent.forget_before(ts);
        }
    }

    /// Everything that does not depend on other transactions.
    pub(crate) fn prepare(&self, set: &WriteSet<'_>) -> Result<Batch> {
        let db = self.database();
        let mut batch = Batch::with_capacity(set.overlay.bytes() + 128);
        let mut ttl_key = Vec::new();
        set.overlay.for_each(|space, key, written| {
            let family = db.id(Family::Current(space));
            match written {
                Some(value) => {
                    batch.put_stamped(family, key, value);
                    if let Some(ms) = expiry(value) {
                        crate::ttl::push_key(&mut ttl_key, ms, space, key);
                        batch.put(db.id(Family::Ttl), &ttl_key, &[]);
                    }
                }
                None => batch.delete(family, key),
            }
            if batch.len() > BATCH_BYTES_MAX {
                bail!(
                    LimitExceeded,
                    "transaction writes more than {BATCH_BYTES_MAX} bytes"
                );
            }
            Ok(())
        })?;
        if self.keeps_log() {
            let mut value = Vec::new();
            for (seq, record) in set.log.iter().enumerate() {
                value.clear();
                changes::encode(record, &mut value);
                let seq = (seq as u32).to_be_bytes();
                batch.put_under_timestamp(db.id(Family::Log), &seq, &value);
            }
        }
        if let Some((key, value)) = set.record {
            crate::store::record::put(&mut batch, db.id(Family::System), key, value);
        }
        for prefix in set.loads {
            batch.delete(db.id(Family::System), &system_key(LOAD, *prefix));
        }
        Ok(batch)
    }

    /// The history starts as they are from this commit on; `None` when nothing changes.
    fn add_history_changes(
        &self,
        batch: &mut Batch,
        known: &Arc<HistoryStarts>,
        changes: &[(Prefix, bool)],
        ts: Ts,
    ) -> Option<Arc<HistoryStarts>> {
        if changes
            .iter()
            .all(|(p, keep)| known.contains_key(p) == *keep)
        {
            return None;
        }
        let family = self.database().id(Family::System);
        let mut starts = (**known).clone();
        for (prefix, keep) in changes {
            let key = system_key(HISTORY, *prefix);
            if !keep {
                starts.remove(prefix);
                batch.delete(family, &key);
            } else if !starts.contains_key(prefix) {
                starts.insert(*prefix, ts);
                batch.put(family, &key, &ts.0.to_be_bytes());
            }
        }
        Some(Arc::new(starts))
    }

    /// Copies the versions that this commit supersedes to the history families.
    fn add_superseded(
        &self,
        batch: &mut Batch,
        overlay: &Overlay,
        kept: &HistoryStarts,
        ts: Ts,
    ) -> Result<()> {
        let db = self.database();
        let mut last: Option<(Prefix, bool)> = None;
        let mut history_key = Vec::new();
        overlay.for_each(|space, key, _: &Written| {
            let keep = space == Space::Meta
                || match (Prefix::of_key(key), last) {
                    (Some(prefix), Some((known, keep))) if prefix == known => keep,
                    (Some(prefix), _) => {
                        let keep = kept.contains_key(&prefix);
                        last = Some((prefix, keep));
                        keep
                    }
                    (None, _) => false,
                };
            if !keep {
                return Ok(());
            }
            let Some(old) = db.get(Family::Current(space), key, None)? else {
                return Ok(());
            };
            history_key.clear();
            history::push_versions_prefix(&mut history_key, space, key);
            history_key.extend_from_slice(&ts.0.to_be_bytes());
            history_key.extend_from_slice(&begin_ts(&old)?.0.to_be_bytes());
            batch.put(db.id(Family::History(space)), &history_key, &old);
            Ok(())
        })
    }

    /// Tells subscribers. Under the commit lock, so that notices come in commit order.
    fn notify(&self, set: &WriteSet<'_>, ts: Ts) {
        let sender = self.notices();
        if sender.receiver_count() == 0 {
            return;
        }
        let mut objects = BTreeSet::new();
        let _: Result<(), ()> = set.overlay.for_each(|space, key, _| {
            if space != Space::Index {
                objects.extend(Prefix::of_key(key));
            }
            Ok(())
        });
        objects.extend(set.log.iter().map(|record| record.object));
        objects.extend(set.loads);
        let notice = CommitNotice {
            ts,
            objects: objects.into_iter().collect(),
            records: set.log.into(),
        };
        // Nobody listening any more is no error.
        let _ = sender.send(Arc::new(notice));
    }

    pub(crate) fn count_conflict(&self) {
        self.counters().conflicts.fetch_add(1, Ordering::Relaxed);
    }
}

/// New values of row counters.
type Counters = SmallVec<[(Prefix, i64); 2]>;

/// Adds a transaction's changes of row counters; one with savepoints has several of one object.
fn add_to_counters(counters: &mut Counters, state: &CommitState, changes: &[(Prefix, i64)]) {
    for (prefix, delta) in changes {
        match counters.iter_mut().find(|(known, _)| known == prefix) {
            Some((_, value)) => *value += delta,
            None => {
                let before = state.counters.get(prefix).copied().unwrap_or(0);
                counters.push((*prefix, before + delta));
            }
        }
    }
}

/// The expiry in a prepared value.
fn expiry(value: &[u8]) -> Option<u64> {
    if value.first()? & Header::HAS_EXPIRY == 0 {
        return None;
    }
    crate::header::split_header(value).ok()?.0.expire_ms
}

/// Refuses keys that the store cannot hold.
pub(crate) fn check_key(space: Space, key: &[u8]) -> Result<()> {
    if key.len() > limits::KEY_BYTES_MAX {
        bail!(
            LimitExceeded,
            "key of {} bytes is larger than {}",
            key.len(),
            limits::KEY_BYTES_MAX
        );
    }
    if space != Space::Meta && key.len() < Prefix::LEN {
        bail!(Internal, "key of {} bytes has no object prefix", key.len());
    }
    Ok(())
}
