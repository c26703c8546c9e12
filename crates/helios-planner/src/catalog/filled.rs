//! What of a catalog a reader with an older snapshot may rely on.
//!
//! An index that is built, and a table whose rows are written anew, have the newest versions of rows
//! only, all of them written by that DDL. A snapshot that is older than its commit finds nothing
//! there. So the catalog remembers which commit filled a storage, and a transaction that keeps such a
//! snapshot gets a catalog of its own in which those indexes are not [`ready`](super::Index::ready):
//! it writes their entries and reads the rows without them. (PostgreSQL has `pg_index.indcheckxmin`
//! for that.) Rows that were written anew have no such way out; whoever needs the old ones is refused.
//!
//! Nothing of this is stored: no snapshot is older than the process.

use super::{Catalog, Relation, Table};
use helios_types::{ObjectId, Ts};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Storages that DDL of this process has filled.
#[derive(Clone, Debug, Default)]
pub struct Filled {
    /// The last of the commits.
    newest: Ts,
    commits: HashMap<ObjectId, Ts>,
    /// Those of a transaction that has not committed, and whether its own snapshot finds everything
    /// that it has to find there.
    own: Vec<(ObjectId, bool)>,
    /// Whether this is the catalog of an older snapshot.
    older: bool,
}

impl Catalog {
    /// A transaction has filled a storage. `complete` says that nothing is missing there for its own
    /// snapshot.
    pub fn add_filled(&mut self, storage: ObjectId, complete: bool) {
        self.filled.own.push((storage, complete));
    }

    /// Whether [`Catalog::commit_filled`] has anything to do.
    pub fn has_filled(&self) -> bool {
        !self.filled.own.is_empty()
    }

    /// The transaction has committed.
    pub fn commit_filled(&mut self, ts: Ts) {
        let tables = self
            .relations
            .values()
            .filter_map(|relation| match relation {
                Relation::Table(table) => Some(table),
                _ => None,
            });
        let storages: HashSet<ObjectId> = tables
            .flat_map(|t| t.indexes.iter().map(|i| i.storage).chain([t.storage]))
            .collect();
        let filled = &mut self.filled;
        filled
            .commits
            .extend(filled.own.drain(..).map(|(storage, _)| (storage, ts)));
        filled
            .commits
            .retain(|storage, _| storages.contains(storage));
        filled.newest = filled.newest.max(ts);
    }

    /// Whether everything that the catalog names can be read with a snapshot.
    #[inline]
    pub fn is_whole_at(&self, snapshot: Ts) -> bool {
        snapshot >= self.filled.newest && self.filled.own.is_empty()
    }

    /// The catalog for a reader with a snapshot, as a version of its own.
    pub fn as_seen_at(&self, snapshot: Ts, version: u64) -> Catalog {
        let mut seen = self.clone();
        seen.version = version;
        seen.filled.older = true;
        for relation in seen.relations.values_mut() {
            if let Relation::Table(table) = relation
                && table
                    .indexes
                    .iter()
                    .any(|i| self.lacks(i.storage, snapshot))
            {
                for index in &mut Arc::make_mut(table).indexes {
                    index.ready &= !self.lacks(index.storage, snapshot);
                }
            }
        }
        seen
    }

    /// Whether this came from [`Catalog::as_seen_at`].
    pub fn is_of_older_snapshot(&self) -> bool {
        self.filled.older
    }

    /// Whether the rows that a snapshot has of a table are gone.
    pub fn is_rewritten_after(&self, table: &Table, snapshot: Ts) -> bool {
        self.lacks(table.storage, snapshot)
    }

    fn lacks(&self, storage: ObjectId, snapshot: Ts) -> bool {
        let filled = &self.filled;
        let later = |commit: &Ts| snapshot < *commit;
        filled.commits.get(&storage).is_some_and(later) || filled.own.contains(&(storage, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_lacks_what_was_filled_after_it() {
        let mut catalog = Catalog::default();
        let (index, own) = (ObjectId(7), ObjectId(8));
        catalog.filled.commits.insert(index, Ts(20));
        catalog.filled.newest = Ts(20);
        assert!(!catalog.is_whole_at(Ts(19)) && catalog.lacks(index, Ts(19)));
        assert!(catalog.is_whole_at(Ts(20)) && !catalog.lacks(index, Ts(20)));
        catalog.add_filled(own, true);
        assert!(!catalog.lacks(own, Ts(1)));
        catalog.add_filled(own, false);
        assert!(!catalog.is_whole_at(Ts(20)) && catalog.lacks(own, Ts(20)));
    }

    #[test]
    fn what_was_dropped_is_forgotten_at_the_next_commit() {
        let mut catalog = Catalog::default();
        catalog.add_filled(ObjectId(7), true);
        catalog.commit_filled(Ts(30));
        assert!(!catalog.has_filled() && catalog.filled.commits.is_empty());
        assert!(catalog.is_whole_at(Ts(30)) && !catalog.is_whole_at(Ts(29)));
    }
}
