//! `redis_prefix`: the prefix under which Redis shows the rows of a table.

use super::Ddl;
use crate::authorize::may_use_keyspace;
use crate::keyspace::prefixes::Reservation;
use crate::keyspace::{Access, databases_of};
use helios_planner::catalog::{Relation, Table};
use helios_storage::{Space, Wait};
use helios_types::{Error, ErrorKind, Result, bail};
use std::time::{Duration, Instant};

/// Longest prefix; keys have room for much more.
const PREFIX_BYTES_MAX: usize = 255;
/// How long commands that write such keys are waited for, when the session does not say.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(1);

impl Ddl<'_> {
    /// Makes sure that a table may have a prefix: no other table's overlaps with it, and no keys of
    /// the keyspace begin with it, nor will when the transaction commits.
    pub(crate) async fn claim_prefix(&mut self, table: &Table, prefix: &str) -> Result<()> {
        if prefix.is_empty() || prefix.len() > PREFIX_BYTES_MAX {
            bail!(
                InvalidParameterValue,
                "redis_prefix must have 1 to {PREFIX_BYTES_MAX} bytes"
            );
        }
        if !may_use_keyspace(&self.catalog, self.session.state.role, table.database) {
            bail!(
                InsufficientPrivilege,
                "permission denied for the keyspace: redis_prefix takes keys from it"
            );
        }
        self.require_no_overlap(table, prefix)?;
        let engine = self.session.engine.clone();
        let reservation = Reservation::new(&engine.keyspace, table.database, prefix);
        self.transaction()?.reserved.push(reservation);
        self.wait_for_writers(table, prefix).await?;
        let now_ms = self.session.read_time_ms();
        for database in databases_of(table.database) {
            let view = self.transaction()?.txn.view_latest();
            let mut keys = Access::at(&engine.keyspace, &database, now_ms, view);
            let high = helios_storage::prefix_successor(prefix.as_bytes());
            let mut found = None;
            keys.entry_scan(
                prefix.as_bytes(),
                high.as_deref(),
                false,
                &mut |key, _, _| {
                    found = Some(String::from_utf8_lossy(key).into_owned());
                    Ok(false)
                },
            )?;
            if let Some(key) = found {
                let error = Error::new(
                    ErrorKind::ObjectInUse,
                    format!("there are keys of Redis that begin with \"{prefix}\""),
                );
                let number = database.number();
                return Err(error
                    .with_detail(format!(
                        "Key \"{key}\" is in logical database {number}, for example."
                    ))
                    .with_hint("Delete or rename them, or choose another prefix."));
            }
        }
        Ok(())
    }

    /// No two tables of a database may claim the same keys.
    fn require_no_overlap(&self, table: &Table, prefix: &str) -> Result<()> {
        for relation in self.catalog.relations.values() {
            let Relation::Table(other) = relation else {
                continue;
            };
            let Some(taken) = &other.redis_prefix else {
                continue;
            };
            if other.id != table.id
                && other.database == table.database
                && (taken.starts_with(prefix) || prefix.starts_with(taken.as_str()))
            {
                bail!(
                    InvalidParameterValue,
                    "redis_prefix \"{prefix}\" overlaps with \"{taken}\" of table \"{}\"",
                    other.name
                );
            }
        }
        Ok(())
    }

    /// Until nobody holds the lock of such a key: whoever takes one from now on sees the
    /// reservation.
    async fn wait_for_writers(&mut self, table: &Table, prefix: &str) -> Result<()> {
        let limit = match self.session.lock_wait() {
            Wait::Timeout(limit) => limit,
            _ => PATIENCE,
        };
        let deadline = Instant::now() + limit;
        for database in databases_of(table.database) {
            let low = database.entry_key(prefix.as_bytes());
            while self.transaction()?.txn.others_lock_within(Space::Row, &low) {
                if Instant::now() >= deadline {
                    bail!(
                        LockNotAvailable,
                        "keys that begin with \"{prefix}\" are locked by other transactions"
                    );
                }
                tokio::time::sleep(STEP).await;
            }
        }
        Ok(())
    }
}
