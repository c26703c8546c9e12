//! The integrity check's knowledge of tables: what rows, index entries and keys of Redis mean.
//!
//! Every row decodes, stands under the key that its values make, and has exactly the entries that
//! its table's indexes ask for; every index entry leads to a row that has it; every table has as
//! many rows as its counter says; every part of a large Redis value belongs to a value. An entry is
//! looked up from its row and the row from its entry, in one snapshot, so that memory does not
//! grow with the data.

use crate::kernel::runtime::TableRuntime;
use crate::keyspace::{self, Remains};
use crate::{Engine, Protocol, Session, SessionOptions};
use helios_planner::catalog::{Catalog, FIRST_USER_ID, Relation};
use helios_planner::scalar::ValueEnv;
use helios_storage::{CheckReport, CheckVisitor, Header, Prefix, Snapshot, Space};
use helios_types::{BranchId, ErrorKind, Result, Value, bail, error};
use std::collections::HashMap;
use std::sync::Arc;

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct Integrity {
    pub report: CheckReport,
    /// Entries of objects that were dropped and whose removal a crash interrupted. Nothing reads
    /// them, because object numbers are not used again.
    pub left_over: u64,
}

/// Checks everything that the engine's store holds.
pub(crate) fn check(engine: &Arc<Engine>) -> Result<Integrity> {
    let session = engine.session(SessionOptions::new(
        Protocol::Internal,
        engine.superuser(),
        engine.default_database(),
    ))?;
    let mut visitor = Visitor::new(session, &engine.catalog());
    let report = engine.store.check(&mut visitor)?;
    Ok(Integrity {
        report,
        left_over: visitor.left_over,
    })
}

struct Visitor {
    /// Evaluates expressions of indexes.
    session: Session,
    /// The state that is checked.
    snapshot: Option<Snapshot>,
    next_id: u32,
    /// Tables by the prefix of their rows.
    tables: HashMap<Prefix, Counted>,
    /// Index prefixes to the prefix of the table's rows and the place in its indexes.
    indexes: HashMap<Prefix, (Prefix, usize)>,
    /// Parts of large Redis values, by logical database.
    remains: HashMap<Prefix, Remains>,
    left_over: u64,
    /// Tables whose descriptors cannot be used.
    broken: Vec<String>,
}

struct Counted {
    runtime: Arc<TableRuntime>,
    rows: i64,
}

impl Visitor {
    fn new(session: Session, catalog: &Arc<Catalog>) -> Self {
        let mut visitor = Visitor {
            session,
            snapshot: None,
            next_id: catalog.next_id,
            tables: HashMap::new(),
            indexes: HashMap::new(),
            remains: HashMap::new(),
            left_over: 0,
            broken: Vec::new(),
        };
        for relation in catalog.relations.values() {
            let Relation::Table(table) = relation else {
                continue;
            };
            if table.id.0 < FIRST_USER_ID {
                continue;
            }
            let runtime = match TableRuntime::new(table.clone(), catalog) {
                Ok(runtime) => Arc::new(runtime),
                Err(e) => {
                    let name = &table.name;
                    visitor
                        .broken
                        .push(format!("table \"{name}\" cannot be read: {e}"));
                    continue;
                }
            };
            let rows = runtime.prefix;
            for (at, index) in runtime.indexes.iter().enumerate() {
                visitor.indexes.insert(index.prefix, (rows, at));
            }
            visitor.tables.insert(rows, Counted { runtime, rows: 0 });
        }
        visitor
    }

    fn row(&mut self, prefix: Prefix, key: &[u8], header: &Header, body: &[u8]) -> Result<()> {
        if keyspace::holds(prefix.object) {
            let remains = self.remains.entry(prefix).or_default();
            return remains.entry(&key[Prefix::LEN..], body);
        }
        let Some(table) = self.tables.get_mut(&prefix) else {
            return self.unowned(prefix);
        };
        table.rows += 1;
        let runtime = table.runtime.clone();
        let Some(row) = decode(&runtime, header, body)? else {
            return Ok(());
        };
        check_key(&runtime, key, &row)?;
        let Some(snapshot) = &self.snapshot else {
            return Ok(());
        };
        for index in &runtime.indexes {
            let mut env = ValueEnv {
                params: &[],
                functions: &mut self.session.state,
            };
            for entry in index.entries(&row, key, &mut env)? {
                let found = snapshot.get(Space::Index, &entry.key)?;
                let body = match &found {
                    Some(value) => Some(helios_storage::split_header(value)?.1),
                    None => None,
                };
                if body != Some(&key[Prefix::LEN..]) {
                    bail!(
                        DataCorrupted,
                        "row of table \"{}\" has no entry in index \"{}\"",
                        runtime.table.name,
                        index.index.name
                    );
                }
            }
        }
        Ok(())
    }

    fn index_entry(
        &mut self,
        prefix: Prefix,
        key: &[u8],
        header: &Header,
        body: &[u8],
    ) -> Result<()> {
        let Some((rows, at)) = self.indexes.get(&prefix).copied() else {
            return self.unowned(prefix);
        };
        let (Some(table), Some(snapshot)) = (self.tables.get(&rows), &self.snapshot) else {
            return Ok(());
        };
        if header.is_tombstone() {
            return Ok(());
        }
        let runtime = table.runtime.clone();
        let index = &runtime.indexes[at];
        let missing = || {
            error!(
                DataCorrupted,
                "entry of index \"{}\" leads to no row of table \"{}\" that has it",
                index.index.name,
                runtime.table.name
            )
        };
        let row_key = [&rows.bytes()[..], body].concat();
        let value = snapshot.get(Space::Row, &row_key)?.ok_or_else(missing)?;
        let (row_header, row_body) = helios_storage::split_header(&value)?;
        let row = decode(&runtime, &row_header, row_body)?.ok_or_else(missing)?;
        let mut env = ValueEnv {
            params: &[],
            functions: &mut self.session.state,
        };
        let entries = index.entries(&row, &row_key, &mut env)?;
        if entries.iter().any(|entry| entry.key == key) {
            Ok(())
        } else {
            Err(missing())
        }
    }

    /// An entry under the number of an object that the catalog does not have.
    fn unowned(&mut self, prefix: Prefix) -> Result<()> {
        let given_out = FIRST_USER_ID..self.next_id;
        if prefix.branch != BranchId::MAIN || !given_out.contains(&prefix.object.0) {
            bail!(
                DataCorrupted,
                "entry of object {}, which never was",
                prefix.object.0
            );
        }
        self.left_over += 1;
        Ok(())
    }
}

/// The row of a stored version: nothing for a tombstone. A row that has expired is still a row
/// with its entries until it is removed.
fn decode(runtime: &TableRuntime, header: &Header, body: &[u8]) -> Result<Option<Vec<Value>>> {
    runtime
        .view_of(*header, body, 0)?
        .map(|row| row.to_values())
        .transpose()
}

fn check_key(runtime: &TableRuntime, key: &[u8], row: &[Value]) -> Result<()> {
    let fits = if runtime.has_hidden_key() {
        key.len() == Prefix::LEN + size_of::<u64>()
    } else {
        runtime.key_of_row(row)? == key
    };
    if fits {
        return Ok(());
    }
    Err(helios_types::Error::new(
        ErrorKind::DataCorrupted,
        format!(
            "row of table \"{}\" stands under a key that its values do not make",
            runtime.table.name
        ),
    ))
}

impl CheckVisitor for Visitor {
    fn begin(&mut self, snapshot: &Snapshot) {
        self.snapshot = Some(snapshot.clone());
    }

    fn entry(&mut self, space: Space, key: &[u8], header: &Header, body: &[u8]) -> Result<()> {
        let Some(prefix) = Prefix::of_key(key) else {
            return Ok(());
        };
        match space {
            Space::Meta => Ok(()),
            Space::Row => self.row(prefix, key, header, body),
            Space::Index => self.index_entry(prefix, key, header, body),
        }
    }

    fn finish(&mut self, _: &Snapshot) -> Vec<String> {
        let mut problems = std::mem::take(&mut self.broken);
        let store = &self.session.engine.store;
        for (prefix, table) in &self.tables {
            let counter = store.row_count(*prefix);
            if counter != table.rows {
                problems.push(format!(
                    "table \"{}\" has {} rows and a counter of {counter}",
                    table.runtime.table.name, table.rows
                ));
            }
        }
        for remains in self.remains.values() {
            if remains.unowned() > 0 {
                problems.push(format!(
                    "{} large values of the keyspace have parts and no key",
                    remains.unowned()
                ));
            }
        }
        problems.sort();
        problems
    }
}
