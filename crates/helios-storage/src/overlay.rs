//! The uncommitted writes of one transaction.
//!
//! They are found by their keys' hashes and kept in the order in which the keys were first written,
//! which is how the commit hands them on. The first scan of a space sorts its keys, and from then on
//! they are kept sorted too: transactions that only read and write by key do without.
//!
//! Each write remembers the command (statement) that made it, so that a statement sees the writes
//! of the statements before it and not its own. The overlay is shared with the transaction's read
//! views, which worker threads may use while the write kernel adds to it; an empty overlay costs
//! its readers one atomic load.

use crate::space::Space;
use foldhash::fast::RandomState;
use indexmap::IndexMap;
use parking_lot::RwLock;
use smallvec::SmallVec;
use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A written value (header and body), or `None` for a deletion.
pub(crate) type Written = Option<Arc<[u8]>>;

struct Version {
    command: u32,
    /// Position in the order of all writes of the transaction, for rollback to a savepoint.
    order: u64,
    value: Written,
}

type Versions = SmallVec<[Version; 1]>;

/// The writes of one space.
#[derive(Default)]
struct Keys {
    versions: IndexMap<Arc<[u8]>, Versions, RandomState>,
    /// All keys, once somebody has scanned them.
    sorted: Option<BTreeSet<Arc<[u8]>>>,
}

impl Keys {
    fn insert(&mut self, key: Arc<[u8]>, version: Version) {
        if let Some(sorted) = &mut self.sorted {
            sorted.insert(key.clone());
        }
        self.versions.insert(key, SmallVec::from_buf([version]));
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(sorted) = &mut self.sorted {
            sorted.remove(key);
        }
        // What was written last is taken back first, so that the order of the others stays.
        self.versions.swap_remove(key);
    }
}

#[derive(Default)]
struct Writes {
    by_space: [Keys; 3],
    next_order: u64,
    /// Writes made before this position are kept apart from later ones.
    savepoint: Option<u64>,
    /// Keys that got a new version since the first savepoint, in order.
    undo: Vec<(u64, Space, Arc<[u8]>)>,
    /// Only the newest savepoint will be returned to.
    forgetful: bool,
    bytes: usize,
}

#[derive(Default)]
pub(crate) struct Overlay {
    /// Keys written; zero answers most reads without the lock.
    keys: AtomicUsize,
    writes: RwLock<Writes>,
}

fn length(value: &Written) -> usize {
    value.as_ref().map_or(0, |v| v.len())
}

fn visible(versions: &Versions, limit: u32) -> Option<&Version> {
    versions.iter().rev().find(|v| v.command < limit)
}

impl Overlay {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.load(Ordering::Acquire) == 0
    }

    /// Keys written.
    pub(crate) fn len(&self) -> usize {
        self.keys.load(Ordering::Acquire)
    }

    pub(crate) fn has_meta(&self) -> bool {
        let writes = self.writes.read();
        !writes.by_space[Space::Meta as usize].versions.is_empty()
    }

    /// Bytes of keys and values written so far.
    pub(crate) fn bytes(&self) -> usize {
        self.writes.read().bytes
    }

    pub(crate) fn write(&self, space: Space, key: &[u8], command: u32, value: Written) {
        let mut writes = self.writes.write();
        let writes = &mut *writes;
        let order = writes.next_order;
        writes.next_order += 1;
        writes.bytes += length(&value);
        let keys = &mut writes.by_space[space as usize];
        let version = Version {
            command,
            order,
            value,
        };
        let Some((_, known, versions)) = keys.versions.get_full_mut(key) else {
            let key: Arc<[u8]> = Arc::from(key);
            writes.bytes += key.len();
            if writes.savepoint.is_some() {
                writes.undo.push((order, space, key.clone()));
            }
            keys.insert(key, version);
            self.keys.fetch_add(1, Ordering::Release);
            return;
        };
        match versions.last_mut() {
            Some(last)
                if last.command == command && writes.savepoint.is_none_or(|s| last.order >= s) =>
            {
                writes.bytes -= length(&last.value);
                last.value = version.value;
            }
            _ => {
                if writes.forgetful {
                    let before = versions.len().saturating_sub(1);
                    let dead = versions.drain(..before).map(|v| length(&v.value));
                    writes.bytes -= dead.sum::<usize>();
                }
                versions.push(version);
                if writes.savepoint.is_some() {
                    writes.undo.push((order, space, known.clone()));
                }
            }
        }
    }

    /// The newest write to `key` by a command before `limit`.
    pub(crate) fn get(&self, space: Space, key: &[u8], limit: u32) -> Option<Written> {
        if self.is_empty() {
            return None;
        }
        let writes = self.writes.read();
        let versions = writes.by_space[space as usize].versions.get(key)?;
        visible(versions, limit).map(|v| v.value.clone())
    }

    /// Appends up to `max` visible writes between the bounds; false when there are no more.
    pub(crate) fn range(
        &self,
        space: Space,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        reverse: bool,
        limit: u32,
        max: usize,
        out: &mut VecDeque<(Arc<[u8]>, Written)>,
    ) -> bool {
        if let (
            Bound::Included(lo) | Bound::Excluded(lo),
            Bound::Included(hi) | Bound::Excluded(hi),
        ) = bounds
            && lo >= hi
        {
            return false;
        }
        let mut writes = self.writes.read();
        if writes.by_space[space as usize].sorted.is_none() {
            drop(writes);
            self.sort(space);
            writes = self.writes.read();
        }
        let Keys { versions, sorted } = &writes.by_space[space as usize];
        let Some(sorted) = sorted else {
            return false;
        };
        let range = sorted.range::<[u8], _>(bounds);
        let mut take = |key: &Arc<[u8]>| {
            if let Some(version) = versions.get(key).and_then(|known| visible(known, limit)) {
                out.push_back((key.clone(), version.value.clone()));
            }
            out.len() >= max
        };
        if reverse {
            range.rev().any(&mut take)
        } else {
            range.into_iter().any(&mut take)
        }
    }

    #[cold]
    fn sort(&self, space: Space) {
        let keys = &mut self.writes.write().by_space[space as usize];
        if keys.sorted.is_none() {
            keys.sorted = Some(keys.versions.keys().cloned().collect());
        }
    }

    /// From now on writes are kept apart from the earlier ones; the position to return to.
    pub(crate) fn savepoint(&self) -> u64 {
        let mut writes = self.writes.write();
        let position = writes.next_order;
        writes.savepoint = Some(position);
        position
    }

    /// As [`Overlay::savepoint`], in the place of every savepoint before it. An overlay that is used
    /// so holds no more than two versions of a key, however many commands write to it.
    pub(crate) fn checkpoint(&self) -> u64 {
        let mut writes = self.writes.write();
        let position = writes.next_order;
        writes.savepoint = Some(position);
        writes.forgetful = true;
        writes.undo.clear();
        position
    }

    /// Forgets every write since the savepoint.
    pub(crate) fn rollback_to(&self, position: u64) {
        let mut writes = self.writes.write();
        let writes = &mut *writes;
        while let Some((order, space, key)) = writes.undo.pop_if(|(order, ..)| *order >= position) {
            let keys = &mut writes.by_space[space as usize];
            let Some(versions) = keys.versions.get_mut(&key) else {
                continue;
            };
            while let Some(last) = versions.pop_if_newer(order) {
                writes.bytes -= last.value.map_or(0, |v| v.len());
            }
            if versions.is_empty() {
                keys.remove(&key);
                writes.bytes = writes.bytes.saturating_sub(key.len());
                self.keys.fetch_sub(1, Ordering::Release);
            }
        }
        writes.savepoint = Some(writes.next_order);
    }

    /// Calls `visit` with the final state of every written key, space by space.
    pub(crate) fn for_each<E>(
        &self,
        mut visit: impl FnMut(Space, &Arc<[u8]>, &Written) -> Result<(), E>,
    ) -> Result<(), E> {
        let writes = self.writes.read();
        for space in Space::ALL {
            for (key, versions) in &writes.by_space[space as usize].versions {
                if let Some(last) = versions.last() {
                    visit(space, key, &last.value)?;
                }
            }
        }
        Ok(())
    }
}

trait PopIfNewer {
    fn pop_if_newer(&mut self, order: u64) -> Option<Version>;
}

impl PopIfNewer for Versions {
    fn pop_if_newer(&mut self, order: u64) -> Option<Version> {
        if self.last().is_some_and(|v| v.order >= order) {
            self.pop()
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(v: u8) -> Written {
        Some(Arc::from([v].as_slice()))
    }

    fn read(o: &Overlay, key: &[u8], limit: u32) -> Option<Option<u8>> {
        o.get(Space::Row, key, limit).map(|w| w.map(|v| v[0]))
    }

    #[test]
    fn a_statement_sees_earlier_statements_and_not_itself() {
        let o = Overlay::default();
        o.write(Space::Row, b"a", 1, value(1));
        assert_eq!(read(&o, b"a", 1), None);
        assert_eq!(read(&o, b"a", 2), Some(Some(1)));
        o.write(Space::Row, b"a", 2, None);
        assert_eq!(read(&o, b"a", 2), Some(Some(1)));
        assert_eq!(read(&o, b"a", 3), Some(None));
    }

    #[test]
    fn rollback_to_a_savepoint_restores_what_was_there() {
        let o = Overlay::default();
        o.write(Space::Row, b"a", 1, value(1));
        let first = o.savepoint();
        o.write(Space::Row, b"a", 1, value(2));
        o.write(Space::Row, b"b", 1, value(3));
        let second = o.savepoint();
        o.write(Space::Row, b"b", 2, None);
        o.rollback_to(second);
        assert_eq!(read(&o, b"b", 9), Some(Some(3)));
        o.rollback_to(first);
        assert_eq!(read(&o, b"a", 9), Some(Some(1)));
        assert_eq!(read(&o, b"b", 9), None);
        o.write(Space::Row, b"c", 2, value(4));
        o.rollback_to(first);
        assert_eq!(read(&o, b"c", 9), None);
        assert!(!o.is_empty());
    }

    #[test]
    fn only_the_writes_since_the_newest_checkpoint_can_be_taken_back() {
        let o = Overlay::default();
        for n in 0..100 {
            let position = o.checkpoint();
            o.write(Space::Row, b"a", 1, value(n));
            o.write(Space::Row, b"a", 1, value(n + 100));
            o.write(Space::Row, &[b'b', n], 1, value(n));
            if n % 2 == 1 {
                o.rollback_to(position);
            }
        }
        assert_eq!(read(&o, b"a", 9), Some(Some(198)));
        assert_eq!(read(&o, b"b\x62", 9), Some(Some(98)));
        assert_eq!(read(&o, b"b\x63", 9), None);
        let writes = o.writes.read();
        let versions = writes.by_space[0].versions.values().map(|v| v.len()).max();
        assert!(versions <= Some(2), "{versions:?}");
        drop(writes);
        assert_eq!((o.len(), o.bytes()), (51, 1 + 1 + 50 * 3));
    }

    #[test]
    fn a_scan_is_in_key_order_and_follows_later_writes() {
        let o = Overlay::default();
        let scan = |reverse| {
            let mut out = VecDeque::new();
            let bounds = (Bound::Included(&b"b"[..]), Bound::Excluded(&b"e"[..]));
            o.range(Space::Row, bounds, reverse, u32::MAX, 9, &mut out);
            out.iter().map(|(key, _)| key[0]).collect::<Vec<u8>>()
        };
        for key in [b"d", b"a", b"b", b"e"] {
            o.write(Space::Row, key, 1, value(1));
        }
        assert_eq!(scan(false), b"bd");
        let position = o.savepoint();
        o.write(Space::Row, b"c", 1, value(1));
        o.write(Space::Row, b"d", 1, None);
        assert_eq!(scan(true), b"dcb");
        o.rollback_to(position);
        assert_eq!(scan(false), b"bd");
    }
}
