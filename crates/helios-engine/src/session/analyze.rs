//! ANALYZE: the time of it, for each table.
//!
//! Row counts are exact at every moment and no plan depends on what columns hold, so there is
//! nothing to gather. What remains is what clients and their monitoring look for: when a table was
//! analyzed last. The time is a record of its own, so that no plan of the table becomes stale, and
//! is written by the transaction, so that it commits or goes with it.

use super::{Session, now_us};
use crate::catalog_store;
use crate::prepared::Completion;
use helios_planner::catalog::{Relation, Table};
use helios_storage::{LockKey, LockMode, Prefix};
use helios_types::{BranchId, Error, ErrorKind, ObjectId, Result};
use std::sync::Arc;

impl Session {
    /// Of all tables of the database when none is named.
    pub(super) async fn analyze(
        &mut self,
        tables: &[ObjectId],
        tag: &'static str,
    ) -> Result<Completion> {
        self.start_statement()?;
        self.require_read_write(tag)?;
        self.interruptible(async |session| {
            for table in session.tables_to_analyze(tables)? {
                session.analyze_table(&table).await?;
            }
            Ok(())
        })
        .await?;
        self.finish_statement().await?;
        Ok(Completion::utility(tag))
    }

    fn tables_to_analyze(&mut self, ids: &[ObjectId]) -> Result<Vec<Arc<Table>>> {
        let catalog = self.catalog();
        let database = self.database_id();
        let tables: Vec<Arc<Table>> = if ids.is_empty() {
            let relations = catalog.relations.values();
            relations
                .filter_map(|relation| match relation {
                    Relation::Table(table) if table.database == database => Some(table.clone()),
                    _ => None,
                })
                .collect()
        } else {
            let table = |id: &ObjectId| {
                catalog.table(*id).cloned().ok_or_else(|| {
                    Error::new(ErrorKind::WrongObjectType, "only tables can be analyzed")
                })
            };
            ids.iter().map(table).collect::<Result<_>>()?
        };
        let (own, others): (Vec<_>, Vec<_>) = tables.into_iter().partition(|table| {
            self.state
                .require_owner(table.owner, "table", &table.name)
                .is_ok()
        });
        for table in others {
            let message = format!(
                "skipping \"{}\" --- only table or database owner can analyze it",
                table.name
            );
            self.state.notice("WARNING", b"01000", message);
        }
        Ok(own)
    }

    async fn analyze_table(&mut self, table: &Table) -> Result<()> {
        let wait = self.lock_wait();
        let t = self.transaction_mut()?;
        let prefix = Prefix::new(table.database, BranchId::MAIN, table.id);
        t.txn
            .lock(
                &LockKey::Object(prefix),
                LockMode::ShareUpdateExclusive,
                wait,
            )
            .await?;
        catalog_store::put_analyzed(&mut t.txn, table.id, now_us());
        Ok(())
    }
}
