//! CREATE INDEX, and building the entries of existing rows.

use super::Ddl;
use crate::kernel::index::{IndexRuntime, duplicate_entry};
use crate::kernel::runtime::TableRuntime;
use helios_planner::catalog::{Index, IndexKey, Table};
use helios_planner::function::FunctionContext;
use helios_planner::utility::CreateIndex;
use helios_storage::{Isolation, LockMode, Prefix, RowHeader, ScanOptions, Space};
use helios_types::{Error, ErrorKind, ObjectId, Result, Value, bail};
use std::collections::HashSet;

/// Of the rows, which are read once.
const READAHEAD: usize = 2 << 20;

impl Ddl<'_> {
    pub(crate) async fn create_index(&mut self, spec: &CreateIndex) -> Result<()> {
        if spec.concurrently && self.session.in_explicit_transaction() {
            bail!(
                ActiveTransaction,
                "CREATE INDEX CONCURRENTLY cannot run inside a transaction block"
            );
        }
        let table = self.table(spec.table)?;
        self.session
            .state
            .require_owner(table.owner, "table", &table.name)?;
        self.lock_table(&table, LockMode::Share).await?;
        let table = (*self.table(spec.table)?).clone();
        if let Some(name) = &spec.name
            && self.catalog.relation_named(table.schema, name).is_some()
        {
            if spec.if_not_exists {
                self.notice(format!("relation \"{name}\" already exists, skipping"));
                return Ok(());
            }
            bail!(DuplicateTable, "relation \"{name}\" already exists");
        }
        let name = match &spec.name {
            Some(name) => name.clone(),
            None => {
                let columns: Vec<String> = spec
                    .columns
                    .iter()
                    .map(|c| match &c.key {
                        IndexKey::Column(p) => table.columns[*p].name.clone(),
                        IndexKey::Expression(..) => "expr".into(),
                        IndexKey::Path(path) => path.clone(),
                    })
                    .collect();
                self.choose_name(table.schema, &table.name, &columns.join("_"), "idx", &[])
            }
        };
        let id = self.next_id();
        let index = Index {
            id,
            storage: id,
            name,
            unique: spec.unique,
            primary: false,
            constraint: None,
            columns: spec.columns.clone(),
            include: spec.include.clone(),
            predicate: spec.predicate.clone(),
            nulls_not_distinct: spec.nulls_not_distinct,
            multikey: spec
                .columns
                .iter()
                .any(|c| matches!(c.key, IndexKey::Path(_))),
            ready: true,
            comment: None,
        };
        let table = self.add_index(table, index, false).await?;
        self.put_table(table)?;
        Ok(())
    }

    /// Adds an index and the entries of the rows that are there.
    pub(crate) async fn add_index(
        &mut self,
        mut table: Table,
        index: Index,
        is_new: bool,
    ) -> Result<Table> {
        let id = index.id;
        table.indexes.push(index);
        let table = (*self.put_table(table)?).clone();
        if !is_new {
            self.build_index(&table, id).await?;
        }
        Ok(table)
    }

    /// Writes the entries of every row into an index that has none. They are sorted into files, of
    /// and nobody knows the index before the commit ([`helios_storage::BulkLoad`]).
    pub(crate) async fn build_index(&mut self, table: &Table, id: ObjectId) -> Result<()> {
        let rt = self.runtime(table)?;
        let Some(index) = rt.indexes.iter().find(|i| i.index.id == id) else {
            return Err(Error::internal("index to build is not there"));
        };
        self.transaction()?.created.push(index.prefix);
        let complete = self.snapshot_is_newest(table.id)?;
        self.catalog.add_filled(index.index.storage, complete);
        if self.transaction()?.txn.isolation() != Isolation::ReadCommitted {
            return self.build_in_transaction(&rt, index);
        }
        let now_ms = (self.session.state.statement_time_us / 1000) as u64;
        let txn = &mut self.transaction()?.txn;
        let mut load = txn.bulk_load(Space::Index, index.prefix)?;
        let options = ScanOptions {
            fill_cache: false,
            readahead: READAHEAD,
            ..ScanOptions::default()
        };
        let mut scan = txn
            .view_latest()
            .scan(Space::Row, rt.prefix.range(), options)?;
        let plain = index.is_plain();
        let mut entry = Vec::new();
        let mut several = false;
        let mut number = 0;
        while let Some((key, value)) = scan.next()? {
            number += 1;
            if number % 16 == 0 {
                self.session.state.checkpoint()?;
            }
            let Some(row) = rt.view(value, now_ms)? else {
                continue;
            };
            let body = key.get(Prefix::LEN..).unwrap_or_default();
            if plain {
                index.plain_entry(&mut entry, key, |place| row.column(place))?;
                load.add(&entry, RowHeader::default(), body, number)?;
            } else {
                let mut env = helios_planner::scalar::ValueEnv {
                    params: &[],
                    functions: &mut self.session.state,
                };
                let found = index.entries(&row.to_values()?, key, &mut env)?;
                several |= found.len() > 1;
                for entry in found {
                    load.add(&entry.key, RowHeader::default(), body, number)?;
                }
            }
            if load.is_full() {
                load.hand_over().await?;
            }
        }
        drop(scan);
        let loaded = self.transaction()?.txn.finish_load(load).await?;
        if let Some(duplicate) = loaded.duplicate {
            let txn = &self.transaction()?.txn;
            let say = |row: &[Value]| not_unique(index, &rt, row);
            return Err(duplicate_entry(txn, &rt, &duplicate, now_ms, say)?);
        }
        if several {
            self.transaction()?.txn.count(index.prefix, 1);
        }
        Ok(())
    }

    /// Whether the transaction's own snapshot has the same rows of a table as the newest state.
    fn snapshot_is_newest(&mut self, table: ObjectId) -> Result<bool> {
        if self.session.engine.catalog().table(table).is_none() {
            return Ok(true);
        }
        let t = self.transaction()?;
        let newest = t.txn.store().last_ts();
        Ok(t.kept_snapshot().is_none_or(|ts| ts >= newest))
    }

    /// The same through the transaction's memory: at the isolation levels whose snapshot stays, the
    /// transaction would not see what was loaded after it.
    fn build_in_transaction(&mut self, rt: &TableRuntime, index: &IndexRuntime) -> Result<()> {
        let mut entries = Vec::new();
        let mut several = false;
        let mut exclusive = HashSet::with_hasher(foldhash::fast::RandomState::default());
        self.each_row(rt, |state, key, row| {
            let mut env = helios_planner::scalar::ValueEnv {
                params: &[],
                functions: state,
            };
            let found = index.entries(row, key, &mut env)?;
            several |= found.len() > 1;
            for entry in found {
                if entry.exclusive && !exclusive.insert(entry.key.clone()) {
                    return Err(not_unique(index, rt, row));
                }
                entries.push((entry.key, key[Prefix::LEN..].to_vec()));
            }
            Ok(())
        })?;
        let prefix = index.prefix;
        let txn = &mut self.transaction()?.txn;
        if several {
            txn.count(prefix, 1);
        }
        for (key, body) in entries {
            txn.put(Space::Index, &key, RowHeader::default(), &body);
        }
        Ok(())
    }
}

/// What to say of a row whose key in a new index another row has.
fn not_unique(index: &IndexRuntime, rt: &TableRuntime, row: &[Value]) -> Error {
    let name = &index.index.name;
    let error = Error::new(
        ErrorKind::UniqueViolation,
        format!("could not create unique index \"{name}\""),
    )
    .with_constraint(name);
    match index.text_of_key(rt, row) {
        Some(key) => error.with_detail(format!("Key {key} is duplicated.")),
        None => error,
    }
}
