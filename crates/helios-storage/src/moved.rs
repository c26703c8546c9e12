//! Where rows went whose key was changed.
//!
//! A row is known by its key, so that an update of a key is a deletion and an insertion. A statement
//! at READ COMMITTED that found the row under its old key, and has waited for the transaction that
//! moved it, must go on with the row where it is now. The newest moves are kept in memory for that;
//! a statement that is older than all of them takes the row for deleted.

use helios_types::Ts;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Moves that are remembered.
const MOVES_MAX: usize = 1 << 16;

pub(crate) type Move = (Arc<[u8]>, Arc<[u8]>);

#[derive(Default)]
pub(crate) struct MovedRows {
    /// Whether there are any: most databases never change a key.
    any: AtomicBool,
    moves: Mutex<Moves>,
}

#[derive(Default)]
struct Moves {
    by_old_key: HashMap<Arc<[u8]>, (Ts, Arc<[u8]>), foldhash::fast::RandomState>,
    in_order: VecDeque<(Ts, Arc<[u8]>)>,
}

impl MovedRows {
    /// Remembers the moves of a commit; before its locks are released.
    pub(crate) fn record(&self, ts: Ts, moved: impl Iterator<Item = Move>) {
        let mut moves = self.moves.lock();
        let moves = &mut *moves;
        self.any.store(true, Ordering::Release);
        // Where others find the rows that this transaction has moved to a key.
        let mut origins: HashMap<Arc<[u8]>, Arc<[u8]>> = HashMap::new();
        for (old, new) in moved {
            let origin = origins.remove(&old).unwrap_or(old);
            origins.insert(new.clone(), origin.clone());
            moves.by_old_key.insert(origin.clone(), (ts, new));
            moves.in_order.push_back((ts, origin));
        }
        while moves.in_order.len() > MOVES_MAX {
            if let Some((ts, old)) = moves.in_order.pop_front()
                && moves.by_old_key.get(&old).is_some_and(|m| m.0 == ts)
            {
                moves.by_old_key.remove(&old);
            }
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    /// Where the row went that was at `key` at `since`, and when.
    pub(crate) fn after(&self, key: &[u8], since: Ts) -> Option<(Ts, Arc<[u8]>)> {
        let moves = self.moves.lock();
        let (ts, new) = moves.by_old_key.get(key)?;
        (*ts > since).then(|| (*ts, new.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Arc<[u8]> {
        Arc::from(n.to_be_bytes().as_slice())
    }

    #[test]
    fn a_move_is_found_by_who_is_older_than_it() {
        let rows = MovedRows::default();
        rows.record(Ts(5), [(key(1), key(2))].into_iter());
        assert_eq!(rows.after(&key(1), Ts(4)), Some((Ts(5), key(2))));
        assert_eq!(rows.after(&key(1), Ts(5)), None);
        assert_eq!(rows.after(&key(2), Ts(4)), None);
    }

    #[test]
    fn of_several_moves_in_one_transaction_the_ends_count() {
        let rows = MovedRows::default();
        let swap = [(key(1), key(9)), (key(2), key(1)), (key(9), key(2))];
        rows.record(Ts(5), swap.into_iter());
        assert_eq!(rows.after(&key(1), Ts(4)), Some((Ts(5), key(2))));
        assert_eq!(rows.after(&key(2), Ts(4)), Some((Ts(5), key(1))));
        assert_eq!(rows.after(&key(9), Ts(4)), None);
    }

    #[test]
    fn the_oldest_moves_are_forgotten() {
        let rows = MovedRows::default();
        let far = MOVES_MAX + 1;
        rows.record(Ts(1), (0..=MOVES_MAX).map(|n| (key(n), key(n + far))));
        assert_eq!(rows.after(&key(0), Ts(0)), None);
        assert_eq!(rows.after(&key(1), Ts(0)), Some((Ts(1), key(1 + far))));
        assert_eq!(rows.moves.lock().by_old_key.len(), MOVES_MAX);
    }
}
