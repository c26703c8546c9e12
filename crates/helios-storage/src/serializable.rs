//! What SERIALIZABLE adds to snapshot isolation: a commit is refused when something that the
//! transaction read was changed by a transaction that committed after its snapshot.
//!
//! Reads are remembered as points and ranges of the space that was actually read, so that gaps
//! between index entries are covered (no phantoms). Writes of committed transactions are
//! remembered while a serializable transaction that could care is active, and forgotten as the
//! oldest of these ends. A transaction that writes nothing is never refused: it serializes at its
//! snapshot. Both sides are bounded: past [`POINTS_MAX`] points a read set widens to whole objects,
//! past [`WRITES_MAX`] writes the oldest are forgotten and transactions from before them refused.

use crate::space::{KeyRange, Prefix, Space};
use helios_types::{Result, Ts, bail};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

const POINTS_MAX: usize = 50_000;
const RANGES_MAX: usize = 10_000;
const WRITES_MAX: usize = 1_000_000;

/// What a transaction has read; shared with its read views.
#[derive(Default)]
pub(crate) struct ReadSet {
    reads: Mutex<Reads>,
}

#[derive(Default)]
struct Reads {
    points: HashSet<(Space, Box<[u8]>), foldhash::fast::RandomState>,
    ranges: Vec<(Space, KeyRange)>,
}

impl ReadSet {
    pub(crate) fn point(&self, space: Space, key: &[u8]) {
        let mut reads = self.reads.lock();
        if reads.points.len() >= POINTS_MAX {
            reads.widen();
        }
        reads.points.insert((space, key.into()));
    }

    /// Remembers a range; the number under which it can be narrowed.
    pub(crate) fn range(&self, space: Space, range: KeyRange) -> usize {
        let mut reads = self.reads.lock();
        if reads.ranges.len() >= RANGES_MAX {
            reads.widen();
        }
        reads.ranges.push((space, range));
        reads.ranges.len() - 1
    }

    /// A scan that stopped early has read only up to `last`.
    pub(crate) fn narrow(&self, number: usize, space: Space, last: &[u8], reverse: bool) {
        let mut reads = self.reads.lock();
        // After widening the number may name another range, which must stay as it is.
        let Some((s, range)) = reads.ranges.get_mut(number) else {
            return;
        };
        if *s != space || !range.contains(last) {
            return;
        }
        if reverse {
            range.lo = last.to_vec();
        } else {
            let mut hi = last.to_vec();
            hi.push(0);
            range.hi = Some(hi);
        }
    }
}

impl Reads {
    /// Replaces points and ranges by the objects that they are in.
    fn widen(&mut self) {
        let points = self.points.drain();
        let ranges = self.ranges.drain(..);
        let mut objects: HashSet<(Space, Option<Prefix>)> = HashSet::new();
        objects.extend(points.map(|(space, key)| (space, Prefix::of_key(&key))));
        objects.extend(ranges.map(|(space, range)| {
            let prefix = Prefix::of_key(&range.lo);
            let whole = prefix.map(Prefix::range);
            let inside = whole.is_some_and(|w| match (&w.hi, &range.hi) {
                (Some(end), Some(hi)) => hi <= end,
                (None, _) => true,
                _ => false,
            });
            (space, prefix.filter(|_| inside))
        }));
        self.ranges.extend(
            objects
                .into_iter()
                .map(|(s, p)| (s, p.map_or_else(KeyRange::all, Prefix::range))),
        );
    }
}

/// Writes of transactions that committed while serializable transactions were active.
#[derive(Default)]
pub(crate) struct RecentWrites {
    /// Active serializable transactions by snapshot.
    active: BTreeMap<Ts, usize>,
    by_key: [BTreeMap<Arc<[u8]>, Ts>; 3],
    in_order: VecDeque<(Ts, Space, Arc<[u8]>)>,
    /// Writes up to here have been forgotten although somebody might have needed them.
    floor: Ts,
}

impl RecentWrites {
    pub(crate) fn is_watched(&self) -> bool {
        !self.active.is_empty()
    }

    pub(crate) fn begin(&mut self, snapshot: Ts) {
        *self.active.entry(snapshot).or_default() += 1;
    }

    pub(crate) fn end(&mut self, snapshot: Ts) {
        if let Some(count) = self.active.get_mut(&snapshot) {
            *count -= 1;
            if *count == 0 {
                self.active.remove(&snapshot);
            }
        }
        let oldest = self.active.keys().next().copied().unwrap_or(Ts::MAX);
        while self.in_order.front().is_some_and(|(ts, ..)| *ts <= oldest) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((ts, space, key)) = self.in_order.pop_front() else {
            return;
        };
        let map = &mut self.by_key[space as usize];
        if map.get(&key) == Some(&ts) {
            map.remove(&key);
        }
    }

    pub(crate) fn record(&mut self, ts: Ts, space: Space, key: &Arc<[u8]>) {
        if self.in_order.len() >= WRITES_MAX {
            self.floor = self.in_order.front().map_or(self.floor, |(ts, ..)| *ts);
            self.forget_oldest();
        }
        self.by_key[space as usize].insert(key.clone(), ts);
        self.in_order.push_back((ts, space, key.clone()));
    }

    /// Something was written that is not told in keys: whoever is active and older cannot be sure
    /// of what it has read.
    pub(crate) fn forget_before(&mut self, ts: Ts) {
        self.floor = self.floor.max(ts);
    }

    /// Refuses a transaction whose reads no longer hold.
    pub(crate) fn validate(&self, set: &ReadSet, snapshot: Ts) -> Result<()> {
        let reads = set.reads.lock();
        let changed = |ts: &Ts| *ts > snapshot;
        let point = reads.points.iter().any(|(space, key)| {
            self.by_key[*space as usize]
                .get(&key[..])
                .is_some_and(changed)
        });
        let range = || {
            reads
                .ranges
                .iter()
                .filter(|(_, range)| !range.is_empty())
                .any(|(space, range)| {
                    let hi = range
                        .hi
                        .as_deref()
                        .map_or(Bound::Unbounded, Bound::Excluded);
                    let bounds = (Bound::Included(range.lo.as_slice()), hi);
                    self.by_key[*space as usize]
                        .range::<[u8], _>(bounds)
                        .any(|(_, ts)| changed(ts))
                })
        };
        let forgotten = self.floor > snapshot;
        if forgotten || point || range() {
            bail!(
                SerializationFailure,
                "could not serialize access due to read/write dependencies among transactions"
            );
        }
        Ok(())
    }
}
