//! Reading all rows of a table under its lock, and writing them anew under another storage id.

use super::Ddl;
use crate::kernel::runtime::TableRuntime;
use crate::session::State;
use helios_planner::catalog::Table;
use helios_planner::function::FunctionContext;
use helios_planner::scalar::{CompiledExpr, ValueEnv};
use helios_storage::{Prefix, RowHeader, ScanOptions, Space};
use helios_types::{BranchId, Error, ErrorKind, Result, Type, Value};
use std::collections::HashSet;
use std::sync::Arc;

/// How rows change on the way.
#[derive(Default)]
pub(crate) struct Rewrite {
    /// For positions in the new table's columns: the value, over the old table's row.
    pub(crate) values: Vec<(usize, CompiledExpr)>,
}

impl Ddl<'_> {
    /// The table's runtime under the catalog as it is now in this statement.
    pub(crate) fn runtime(&self, table: &Table) -> Result<Arc<TableRuntime>> {
        let catalog = Arc::new(self.catalog.clone());
        TableRuntime::new(Arc::new(table.clone()), &catalog).map(Arc::new)
    }

    /// Calls `visit` with key and values of every row, this transaction's included.
    pub(crate) fn each_row(
        &mut self,
        rt: &TableRuntime,
        mut visit: impl FnMut(&mut State, &[u8], &[Value]) -> Result<()>,
    ) -> Result<()> {
        let now_ms = (self.session.state.statement_time_us / 1000) as u64;
        let view = self.transaction()?.txn.view_latest();
        let options = ScanOptions {
            fill_cache: false,
            ..ScanOptions::default()
        };
        let mut scan = view.scan(Space::Row, rt.prefix.range(), options)?;
        let mut n = 0u32;
        while let Some((key, value)) = scan.next()? {
            n = n.wrapping_add(1);
            if n.is_multiple_of(16) {
                self.session.state.checkpoint()?;
            }
            if let Some(row) = rt.decode(value, now_ms)? {
                visit(&mut self.session.state, key, &row)?;
            }
        }
        Ok(())
    }

    /// Gives the table a new storage with every row of `old`, changed as `rewrite` says, and
    /// builds its indexes there.
    pub(crate) async fn rewrite(
        &mut self,
        old: &Table,
        new: Table,
        rewrite: &Rewrite,
    ) -> Result<Table> {
        let old_rt = self.runtime(old)?;
        let new = self.new_storage(new)?;
        if self.session.engine.store.may_have_had_rows(old_rt.prefix) {
            self.catalog.add_filled(new.storage, true);
        }
        let rt = self.runtime(&new)?;
        let prefix = rt.prefix;
        let mut rows: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut keys = HashSet::with_hasher(foldhash::fast::RandomState::default());
        let mut number = 0u64;
        // Among what computes the values may be a sequence that this statement has made.
        let catalog = Arc::new(self.catalog.clone());
        let before = std::mem::replace(&mut self.session.state.catalog, catalog);
        let converted = self.each_row(&old_rt, |state, _, row| {
            let new_row = convert_row(old, &old_rt, &new, &rt, rewrite, row, state)?;
            let key = if rt.has_hidden_key() {
                number += 1;
                let mut key = prefix.bytes().to_vec();
                key.extend_from_slice(&number.to_be_bytes());
                key
            } else {
                check_key_not_null(&rt, &new_row)?;
                let key = rt.key_of_row(&new_row)?;
                if !keys.insert(key.clone()) {
                    return Err(duplicate_key(&rt, &new_row));
                }
                key
            };
            let mut body = Vec::new();
            rt.encode_row(&mut body, &new_row)?;
            rows.push((key, body));
            Ok(())
        });
        self.session.state.catalog = before;
        converted?;
        let header = RowHeader {
            schema: new.schema_version,
            expire_ms: None,
        };
        self.session.engine.runtimes.storage_created(prefix, number);
        let txn = &mut self.transaction()?.txn;
        txn.count(prefix, rows.len() as i64);
        for (key, body) in rows {
            txn.put(Space::Row, &key, header, &body);
        }
        let ids: Vec<_> = new
            .indexes
            .iter()
            .filter(|i| !i.primary)
            .map(|i| i.id)
            .collect();
        for id in ids {
            self.build_index(&new, id).await?;
        }
        Ok(new)
    }

    /// The table with fresh, empty storage for rows and index entries; the old is dropped at
    /// commit.
    pub(crate) fn new_storage(&mut self, mut table: Table) -> Result<Table> {
        let old = self.table(table.id)?;
        self.drop_storage(old.database, old.storage)?;
        for index in &old.indexes {
            self.drop_storage(old.database, index.storage)?;
        }
        table.storage = self.next_id();
        for at in 0..table.indexes.len() {
            table.indexes[at].storage = self.next_id();
        }
        table.schema_version = 0;
        table.layouts = vec![table.columns.iter().map(|c| c.ty).collect()];
        for column in &mut table.columns {
            column.missing = None;
        }
        let created = Prefix::new(table.database, BranchId::MAIN, table.storage);
        self.transaction()?.created.push(created);
        self.session.engine.runtimes.storage_created(created, 0);
        Ok((*self.put_table(table)?).clone())
    }
}

fn convert_row(
    old: &Table,
    old_rt: &TableRuntime,
    new: &Table,
    rt: &TableRuntime,
    rewrite: &Rewrite,
    row: &[Value],
    state: &mut State,
) -> Result<Vec<Value>> {
    let mut out = Vec::with_capacity(rt.live.len());
    for &position in &rt.live {
        let value = match rewrite.values.iter().find(|(p, _)| *p == position) {
            Some((_, expr)) => expr.eval(
                row,
                &mut ValueEnv {
                    params: &[],
                    functions: &mut *state,
                },
            )?,
            None => old_rt
                .place
                .get(position)
                .copied()
                .flatten()
                .filter(|_| old.columns.len() > position)
                .map_or(Value::Null, |place| row[place].clone()),
        };
        if new.columns[position].not_null && value.is_null() {
            return Err(contains_nulls(&new.columns[position].name, &new.name));
        }
        out.push(value);
    }
    Ok(out)
}

pub(crate) fn contains_nulls(column: &str, table: &str) -> Error {
    Error::new(
        ErrorKind::NotNullViolation,
        format!("column \"{column}\" of relation \"{table}\" contains null values"),
    )
    .with_column(column)
}

fn check_key_not_null(rt: &TableRuntime, row: &[Value]) -> Result<()> {
    match rt.key.iter().find(|&&place| row[place].is_null()) {
        Some(&place) => Err(contains_nulls(
            &rt.table.columns[rt.live[place]].name,
            &rt.table.name,
        )),
        None => Ok(()),
    }
}

fn duplicate_key(rt: &TableRuntime, row: &[Value]) -> Error {
    let columns: Vec<_> = rt
        .key
        .iter()
        .map(|&p| &rt.table.columns[rt.live[p]])
        .collect();
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let types: Vec<Type> = columns.iter().map(|c| c.ty).collect();
    let values: Vec<Value> = rt.key.iter().map(|&p| row[p].clone()).collect();
    let name = rt
        .table
        .primary_key()
        .map_or("primary key", |i| i.name.as_str());
    Error::new(
        ErrorKind::UniqueViolation,
        format!("could not create unique index \"{name}\""),
    )
    .with_detail(format!(
        "Key {} is duplicated.",
        crate::kernel::write::key_text(&names, &types, &values)
    ))
    .with_constraint(name)
}
