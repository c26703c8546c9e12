//! What a connection has looked up last: databases, tables and their statements, as they are in one
//! version of the catalog. With another version all of it is forgotten.

use crate::command::Namespace;
use crate::translate::Collection;
use std::sync::Arc;

/// Names of each kind that are kept.
const KEPT_MAX: usize = 16;

#[derive(Default)]
pub(crate) struct Known {
    version: u64,
    namespaces: Vec<(String, Arc<Namespace>)>,
    collections: Vec<Collection>,
}

impl Known {
    fn of(&mut self, version: u64) -> &mut Known {
        if self.version != version {
            *self = Known::default();
            self.version = version;
        }
        self
    }

    pub fn namespace(&mut self, version: u64, database: &str) -> Option<Arc<Namespace>> {
        let mut known = self.of(version).namespaces.iter();
        let found = known.find(|(name, _)| name == database);
        found.map(|(_, namespace)| namespace.clone())
    }

    pub fn keep_namespace(&mut self, version: u64, database: &str, namespace: Arc<Namespace>) {
        let known = &mut self.of(version).namespaces;
        make_room(known);
        known.push((database.to_owned(), namespace));
    }

    pub fn collection(&mut self, version: u64, database: &str, name: &str) -> Option<Collection> {
        let mut known = self.of(version).collections.iter();
        let is_it = |collection: &&Collection| {
            let rest = collection.namespace.strip_prefix(database);
            rest.and_then(|rest| rest.strip_prefix('.')) == Some(name)
        };
        known.find(is_it).cloned()
    }

    pub fn keep_collection(&mut self, version: u64, collection: &Collection) {
        let known = &mut self.of(version).collections;
        make_room(known);
        known.push(collection.clone());
    }
}

fn make_room<T>(kept: &mut Vec<T>) {
    if kept.len() >= KEPT_MAX {
        kept.remove(0);
    }
}
