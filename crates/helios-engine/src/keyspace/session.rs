//! The keyspace as a session of the engine reaches it: which objects hold the logical databases, and
//! who may use them.

use super::{DATABASES, Database, Keyspace};
use crate::authorize::{is_member, is_superuser};
use crate::{Engine, Session};
use helios_planner::catalog::Catalog;
use helios_storage::Prefix;
use helios_types::{BranchId, DatabaseId, ObjectId};
use std::sync::Arc;

/// The object of the first logical Redis database of every database; below the numbers that the
/// catalog gives out.
const FIRST_OBJECT: u32 = 15_000;

/// The logical Redis databases of a database.
pub(super) fn databases_of(database: DatabaseId) -> Vec<Database> {
    let object = |number| Prefix::new(database, BranchId::MAIN, ObjectId(FIRST_OBJECT + number));
    (0..DATABASES)
        .map(|number| Database::new(number, object(number)))
        .collect()
}

/// Whether an object is a logical Redis database.
pub(crate) fn holds(object: ObjectId) -> bool {
    (FIRST_OBJECT..FIRST_OBJECT + DATABASES).contains(&object.0)
}

impl Keyspace {
    /// The keyspace over an engine's store. Removed collections of earlier runs are taken up again.
    pub fn of(engine: &Engine) -> Arc<Keyspace> {
        let keyspace = Keyspace::new(engine.store.clone());
        for database in engine.catalog().databases.keys() {
            for database in databases_of(*database) {
                keyspace.garbage_left(database.object());
            }
        }
        Arc::new(keyspace)
    }
}

impl Session {
    /// The logical Redis databases of this session's database.
    pub fn keyspace_databases(&self) -> Vec<Database> {
        databases_of(self.database_id())
    }

    /// Whether the role may use the keyspace: superusers and who owns the database may.
    pub fn may_use_keyspace(&self) -> bool {
        role_may_use(&self.catalog(), self.state.role, self.database_id())
    }
}

/// Whether a role may use the keyspace of a database.
pub(super) fn role_may_use(catalog: &Catalog, role: ObjectId, database: DatabaseId) -> bool {
    let database = catalog.databases.get(&database);
    is_superuser(catalog, role)
        || database.is_some_and(|database| is_member(catalog, role, database.owner))
}
