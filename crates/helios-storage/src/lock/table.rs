//! The lock table: holders, waiters, grants, and the search for deadlocks.

use super::mode::{LockMode, Modes};
use super::{LockId, LockKey};
use crate::space::Space;
use crate::stats::Counters;
use helios_types::{Error, ErrorKind};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

const SHARDS: usize = 64;

/// Who holds or wants a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) id: u64,
    /// Owners of one group do not conflict.
    pub(crate) group: u64,
}

/// A lock that an owner holds and will release: one mode on one key.
#[derive(Debug)]
pub(crate) struct Held {
    id: LockId,
    mode: LockMode,
}

/// The table's answer to a request.
pub(crate) enum Grant {
    /// The owner holds it; `None` when it held it before.
    Now(Option<Held>),
    /// Somebody is in the way.
    Contended(LockId),
}

struct Holder {
    owner: Owner,
    modes: Modes,
}

struct Waiter {
    owner: Owner,
    mode: LockMode,
    granted: oneshot::Sender<()>,
}

#[derive(Default)]
struct Entry {
    holders: SmallVec<[Holder; 2]>,
    waiters: VecDeque<Waiter>,
}

impl Entry {
    fn blocked_by_holder(&self, owner: Owner, mode: LockMode) -> bool {
        self.holders
            .iter()
            .any(|h| h.owner.group != owner.group && h.modes & mode.conflicts() != 0)
    }

    fn held(&self, owner: Owner) -> Modes {
        self.holders
            .iter()
            .find(|h| h.owner.id == owner.id)
            .map_or(0, |h| h.modes)
    }

    fn group_holds(&self, owner: Owner) -> bool {
        self.holders.iter().any(|h| h.owner.group == owner.group)
    }

    /// Whether the request must wait behind one of the first `before` waiters.
    fn blocked_by_waiter(&self, owner: Owner, mode: LockMode, before: usize) -> bool {
        let mut ahead = self.waiters.iter().take(before);
        ahead.any(|w| w.owner.group != owner.group && mode.conflicts_with(w.mode))
    }

    fn add(&mut self, owner: Owner, mode: LockMode) {
        match self.holders.iter_mut().find(|h| h.owner.id == owner.id) {
            Some(holder) => holder.modes |= mode.bit(),
            None => self.holders.push(Holder {
                owner,
                modes: mode.bit(),
            }),
        }
    }

    /// Grants every waiter that nothing blocks any more, in order.
    fn grant_waiters(&mut self) {
        let mut at = 0;
        while let Some(waiter) = self.waiters.get(at) {
            let (owner, mode) = (waiter.owner, waiter.mode);
            let jumps = self.group_holds(owner);
            if self.blocked_by_holder(owner, mode)
                || !jumps && self.blocked_by_waiter(owner, mode, at)
            {
                at += 1;
                continue;
            }
            let Some(waiter) = self.waiters.remove(at) else {
                return;
            };
            // A waiter that has gone away is not there to hold the lock.
            if waiter.granted.send(()).is_ok() {
                self.add(owner, mode);
            }
        }
    }
}

/// Keys bring their hash along.
#[derive(Default)]
struct StoredHash(u64);

impl Hasher for StoredHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type Shard = Mutex<HashMap<LockId, Entry, BuildHasherDefault<StoredHash>>>;

pub(crate) struct LockTable {
    shards: Box<[Shard]>,
    hasher: foldhash::fast::RandomState,
    /// What each waiting owner waits for. Held while a wait begins, so that of two waits that close
    /// a cycle together the second one sees the first.
    waiting: Mutex<HashMap<u64, (Owner, LockId, LockMode)>>,
    held: AtomicU64,
    counters: Arc<Counters>,
}

impl LockTable {
    pub(crate) fn new(counters: Arc<Counters>) -> LockTable {
        LockTable {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            waiting: Mutex::default(),
            held: AtomicU64::new(0),
            counters,
        }
    }

    fn shard(&self, id: &LockId) -> &Shard {
        &self.shards[(id.hash >> 58) as usize % SHARDS]
    }

    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Takes the lock if nobody is in the way.
    pub(crate) fn try_lock(&self, key: &LockKey<'_>, owner: Owner, mode: LockMode) -> Grant {
        self.request(key, owner, mode, Modes::MAX)
    }

    /// The same, without taking a stronger mode that the owner holds for this one.
    pub(crate) fn try_exact(&self, key: &LockKey<'_>, owner: Owner, mode: LockMode) -> Grant {
        self.request(key, owner, mode, mode.bit())
    }

    fn request(&self, key: &LockKey<'_>, owner: Owner, mode: LockMode, enough: Modes) -> Grant {
        let id = LockId::new(key, &self.hasher);
        let mut shard = self.shard(&id).lock();
        let entry = shard.entry(id.clone()).or_default();
        let held = entry.held(owner) & enough;
        if held != 0 && mode.covered_by(held) {
            return Grant::Now(None);
        }
        let everyone = entry.waiters.len();
        if entry.blocked_by_holder(owner, mode)
            || !entry.group_holds(owner) && entry.blocked_by_waiter(owner, mode, everyone)
        {
            return Grant::Contended(id);
        }
        entry.add(owner, mode);
        self.held.fetch_add(1, Ordering::Relaxed);
        Grant::Now(Some(Held { id, mode }))
    }

    /// Joins the queue for a contended lock. The lock is held when the returned wait resolves; the
    /// wait leaves the queue when it is dropped.
    pub(crate) fn enqueue(
        self: &Arc<Self>,
        id: LockId,
        owner: Owner,
        mode: LockMode,
    ) -> Result<Pending, Error> {
        let mut waiting = self.waiting.lock();
        let (granted, receiver) = oneshot::channel();
        {
            let mut shard = self.shard(&id).lock();
            let entry = shard.entry(id.clone()).or_default();
            let waiter = Waiter {
                owner,
                mode,
                granted,
            };
            // Those who hold the key already go first, in their own order.
            let at = if entry.group_holds(owner) {
                let ahead = entry
                    .waiters
                    .iter()
                    .take_while(|w| entry.group_holds(w.owner));
                ahead.count()
            } else {
                entry.waiters.len()
            };
            entry.waiters.insert(at, waiter);
            // It may have become free since it was tried.
            entry.grant_waiters();
        }
        waiting.insert(owner.id, (owner, id.clone(), mode));
        let pending = Pending {
            table: self.clone(),
            id,
            owner,
            mode,
            receiver,
            done: false,
        };
        let cycle = self.find_cycle(&waiting, owner);
        drop(waiting);
        self.counters.lock_waits.fetch_add(1, Ordering::Relaxed);
        match cycle {
            None => Ok(pending),
            Some(detail) => {
                // Dropping `pending` takes the victim out of the queue.
                self.counters.deadlocks.fetch_add(1, Ordering::Relaxed);
                Err(Error::new(ErrorKind::DeadlockDetected, "deadlock detected")
                    .with_detail(detail)
                    .with_hint("See server log for query details."))
            }
        }
    }

    /// The owners that keep a waiting owner from its lock.
    fn blockers(&self, owner: Owner, id: &LockId, mode: LockMode) -> Vec<Owner> {
        let shard = self.shard(id).lock();
        let Some(entry) = shard.get(id) else {
            return Vec::new();
        };
        let Some(at) = entry.waiters.iter().position(|w| w.owner.id == owner.id) else {
            return Vec::new();
        };
        let holders = entry
            .holders
            .iter()
            .filter(|h| h.owner.group != owner.group && h.modes & mode.conflicts() != 0)
            .map(|h| h.owner);
        let jumps = entry.group_holds(owner);
        let waiters = entry
            .waiters
            .iter()
            .take(if jumps { 0 } else { at })
            .filter(|w| w.owner.group != owner.group && mode.conflicts_with(w.mode))
            .map(|w| w.owner);
        holders.chain(waiters).collect()
    }

    /// Whether another group holds the lock of a row whose stored key begins with `prefix`.
    pub(crate) fn others_lock_within(&self, space: Space, prefix: &[u8], group: u64) -> bool {
        self.shards.iter().any(|shard| {
            shard.lock().iter().any(|(id, entry)| {
                id.is_row_within(space, prefix)
                    && entry.holders.iter().any(|h| h.owner.group != group)
            })
        })
    }

    /// The groups that keep this group's waiting owners from their locks; empty when it waits for
    /// nothing.
    pub(crate) fn blocking_groups(&self, group: u64) -> Vec<u64> {
        let waiting = self.waiting.lock();
        let stuck = waiting.values().filter(|(owner, ..)| owner.group == group);
        let mut groups: Vec<u64> = stuck
            .flat_map(|(owner, id, mode)| self.blockers(*owner, id, *mode))
            .map(|owner| owner.group)
            .collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// Follows the waits from `start`; the report of a cycle that leads back to its group.
    fn find_cycle(
        &self,
        waiting: &HashMap<u64, (Owner, LockId, LockMode)>,
        start: Owner,
    ) -> Option<String> {
        let mut seen = HashSet::new();
        let mut path: Vec<(Owner, Vec<Owner>)> = Vec::new();
        let blockers_of = |owner: Owner| match waiting.get(&owner.id) {
            Some((owner, id, mode)) => self.blockers(*owner, id, *mode),
            None => Vec::new(),
        };
        path.push((start, blockers_of(start)));
        while let Some((_, blockers)) = path.last_mut() {
            let Some(next) = blockers.pop() else {
                path.pop();
                continue;
            };
            if next.group == start.group {
                return Some(report(
                    waiting,
                    path.iter().map(|(owner, _)| *owner).collect(),
                ));
            }
            // Whoever of the blocking group waits is what the group waits for.
            let stuck = waiting
                .values()
                .filter(|(o, ..)| o.group == next.group)
                .map(|(o, ..)| *o);
            for owner in stuck.collect::<SmallVec<[Owner; 2]>>() {
                if seen.insert(owner.id) {
                    path.push((owner, blockers_of(owner)));
                }
            }
        }
        None
    }

    /// Takes back what was granted; several keys at once at the end of a transaction.
    pub(crate) fn release(&self, owner: Owner, held: impl IntoIterator<Item = Held>) {
        for Held { id, mode } in held {
            self.remove(&id, owner, mode);
            self.held.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn remove(&self, id: &LockId, owner: Owner, mode: LockMode) {
        let mut shard = self.shard(id).lock();
        let Some(entry) = shard.get_mut(id) else {
            return;
        };
        if let Some(at) = entry.holders.iter().position(|h| h.owner.id == owner.id) {
            let holder = &mut entry.holders[at];
            holder.modes &= !mode.bit();
            if holder.modes == 0 {
                entry.holders.swap_remove(at);
            }
        }
        if !entry.waiters.is_empty() {
            entry.grant_waiters();
        }
        if entry.holders.is_empty() && entry.waiters.is_empty() {
            shard.remove(id);
        }
    }
}

/// One line for each wait of the cycle, as PostgreSQL reports it.
fn report(waiting: &HashMap<u64, (Owner, LockId, LockMode)>, cycle: Vec<Owner>) -> String {
    let mut lines = Vec::with_capacity(cycle.len());
    for (i, owner) in cycle.iter().enumerate() {
        let next = cycle[(i + 1) % cycle.len()];
        if let Some((_, id, mode)) = waiting.get(&owner.id) {
            lines.push(format!(
                "Process {} waits for {} on {}; blocked by process {}.",
                owner.group,
                mode.name(),
                id.describe(),
                next.group
            ));
        }
    }
    lines.join("\n")
}

/// A place in the queue for a lock.
pub(crate) struct Pending {
    table: Arc<LockTable>,
    id: LockId,
    owner: Owner,
    mode: LockMode,
    receiver: oneshot::Receiver<()>,
    done: bool,
}

impl Pending {
    /// Resolves when the lock is held.
    pub(crate) async fn granted(mut self) -> Held {
        // The sender lives in the queue until it grants; only `drop` takes it out.
        let _ = (&mut self.receiver).await;
        self.take()
    }

    /// The lock, when it is held by now.
    pub(crate) fn poll(&mut self) -> Option<Held> {
        self.receiver.try_recv().is_ok().then(|| self.take())
    }

    fn take(&mut self) -> Held {
        self.done = true;
        self.table.waiting.lock().remove(&self.owner.id);
        self.table.held.fetch_add(1, Ordering::Relaxed);
        Held {
            id: self.id.clone(),
            mode: self.mode,
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.table.waiting.lock().remove(&self.owner.id);
        self.receiver.close();
        // Either it still waits, and is taken out of the queue, or it was granted just now, and
        // gives the lock back.
        let granted = self.receiver.try_recv().is_ok();
        let mut shard = self.table.shard(&self.id).lock();
        let Some(entry) = shard.get_mut(&self.id) else {
            return;
        };
        if !granted {
            let (id, mode) = (self.owner.id, self.mode);
            entry.waiters.retain(|w| w.owner.id != id || w.mode != mode);
            entry.grant_waiters();
            if entry.holders.is_empty() && entry.waiters.is_empty() {
                shard.remove(&self.id);
            }
            return;
        }
        drop(shard);
        self.table.remove(&self.id, self.owner, self.mode);
    }
}
