//! The keyspace as a session of the engine reaches it: which objects hold the logical databases, and
//! who may use them.

use super::{Access, DATABASES, Database, Keyspace, Use};
use crate::authorize::may_use_keyspace;
use crate::{Engine, Session};
use helios_storage::Prefix;
use helios_types::{BranchId, DatabaseId, Error, ObjectId, Result};
use std::sync::Arc;

/// The object of the first logical Redis database of every database; below the numbers that the
/// catalog gives out.
const FIRST_OBJECT: u32 = 15_000;

/// The logical Redis databases of a database.
pub(crate) fn databases_of(database: DatabaseId) -> Vec<Database> {
    (0..DATABASES)
        .map(|number| database_numbered(database, number))
        .collect()
}

/// One logical Redis database; `number` is less than [`DATABASES`].
pub(super) fn database_numbered(database: DatabaseId, number: u32) -> Database {
    let object = Prefix::new(database, BranchId::MAIN, ObjectId(FIRST_OBJECT + number));
    Database::new(number, object)
}

/// Whether an object is a logical Redis database.
pub(crate) fn holds(object: ObjectId) -> bool {
    (FIRST_OBJECT..FIRST_OBJECT + DATABASES).contains(&object.0)
}

impl Keyspace {
    /// An engine's keyspace. Removed collections of earlier runs are taken up again.
    pub fn of(engine: &Engine) -> Arc<Keyspace> {
        let keyspace = engine.keyspace.clone();
        for database in engine.catalog().databases.keys() {
            for database in databases_of(*database) {
                keyspace.garbage_left(database.object());
            }
        }
        keyspace
    }
}

impl Session {
    /// The logical Redis databases of this session's database.
    pub fn keyspace_databases(&self) -> Vec<Database> {
        databases_of(self.database_id())
    }

    /// Locks a key in the open transaction, and waits for it a bounded time.
    pub async fn lock_key(&mut self, database: &Database, key: &[u8], how: Use) -> Result<()> {
        let t = self.transaction_mut()?;
        super::batch::lock_key(&mut t.txn, database, key, how).await
    }

    /// A logical database in the open transaction, as one statement of it.
    pub fn keyspace_access<'s>(
        &'s mut self,
        database: &'s Database,
        now_ms: u64,
    ) -> Result<Access<'s>> {
        self.start_statement()?;
        let Session {
            engine,
            transaction,
            ..
        } = self;
        let Some(t) = transaction else {
            return Err(Error::internal("a keyspace command without a transaction"));
        };
        Ok(Access::within(
            &engine.keyspace,
            database,
            now_ms,
            &mut t.txn,
            &mut t.keys,
        ))
    }

    /// Whether the role may use the keyspace: superusers and who owns the database may.
    pub fn may_use_keyspace(&self) -> bool {
        may_use_keyspace(&self.catalog(), self.state.role, self.database_id())
    }
}
