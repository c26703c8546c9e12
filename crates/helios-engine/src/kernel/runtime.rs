//! A table made ready for its rows: layouts, key encoders, compiled defaults and checks.
//!
//! A *row* inside the engine is one value per live column, in the order of
//! `Table::live_columns`: the order of the plan's source schema without its hidden key column.

use super::index::IndexRuntime;
use helios_planner::catalog::{Catalog, ForeignKey, Shape, Table};
use helios_planner::relation::RelationSource;
use helios_planner::scalar::CompiledExpr;
use helios_planner::sql::{BindContext, bind_table_expression};
use helios_storage::{
    KeyColumn, Prefix, RowLayout, ScanOptions, Space, Txn, encode_bson_key, encode_key,
};
use helios_types::{BranchId, Error, ErrorKind, ObjectId, Result, Type, Value, bail, limits};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the kernels know of one table under one catalog version.
#[derive(Debug)]
pub(crate) struct TableRuntime {
    pub(crate) table: Arc<Table>,
    pub(crate) prefix: Prefix,
    /// Positions in `Table::columns` of the live columns.
    pub(crate) live: Vec<usize>,
    /// For a position in `Table::columns`, its place in a row.
    pub(crate) place: Vec<Option<usize>>,
    /// By schema version.
    pub(crate) layouts: Vec<RowLayout>,
    /// What each live column holds in rows older than the column.
    pub(crate) missing: Vec<Value>,
    /// Places of the key columns; empty for a hidden row number.
    pub(crate) key: Vec<usize>,
    pub(crate) defaults: Vec<Option<CompiledExpr>>,
    pub(crate) generated: Vec<Option<CompiledExpr>>,
    pub(crate) checks: Vec<CheckRuntime>,
    /// Every index with entries of its own, that is all but the primary key.
    pub(crate) indexes: Vec<IndexRuntime>,
    /// The foreign keys that refer to the table, with their tables.
    pub(crate) referencing: Vec<(ObjectId, ForeignKey)>,
}

#[derive(Debug)]
pub(crate) struct CheckRuntime {
    pub(crate) name: String,
    pub(crate) condition: CompiledExpr,
}

impl TableRuntime {
    pub(crate) fn new(table: Arc<Table>, catalog: &Arc<Catalog>) -> Result<Self> {
        let live: Vec<usize> = table.live_columns().map(|(i, _)| i).collect();
        let mut place = vec![None; table.columns.len()];
        for (at, &position) in live.iter().enumerate() {
            place[position] = Some(at);
        }
        let mut compiler = Compiler::new(&table, catalog)?;
        let column = |i: usize| &table.columns[i];
        let defaults = live
            .iter()
            .map(|&i| match &column(i).default {
                Some(text) => compiler.constant(text, column(i).ty).map(Some),
                None => Ok(None),
            })
            .collect::<Result<_>>()?;
        let generated = live
            .iter()
            .map(|&i| match &column(i).generated {
                Some(text) => compiler.over_row(text, Some(column(i).ty)).map(Some),
                None => Ok(None),
            })
            .collect::<Result<_>>()?;
        let checks = table
            .checks
            .iter()
            .map(|check| {
                let condition = compiler.over_row(&check.expression, Some(Type::BOOL))?;
                Ok(CheckRuntime {
                    name: check.name.clone(),
                    condition,
                })
            })
            .collect::<Result<_>>()?;
        let indexes = table
            .indexes
            .iter()
            .filter(|i| !i.primary)
            .map(|index| IndexRuntime::new(index, &table, &place, &mut compiler))
            .collect::<Result<_>>()?;
        let missing = live
            .iter()
            .map(|&i| missing_value(column(i)))
            .collect::<Result<_>>()?;
        Ok(TableRuntime {
            prefix: Prefix::new(table.database, BranchId::MAIN, table.storage),
            key: table
                .key
                .iter()
                .map(|&i| place[i].ok_or_else(key_dropped))
                .collect::<Result<_>>()?,
            layouts: table
                .layouts
                .iter()
                .map(|types| RowLayout::new(types))
                .collect(),
            referencing: catalog
                .referencing(table.id)
                .map(|(child, key)| (child.id, key.clone()))
                .collect(),
            live,
            place,
            missing,
            defaults,
            generated,
            checks,
            indexes,
            table,
        })
    }

    /// Places of the columns that unique indexes are over, the primary key included: what foreign
    /// keys may refer to.
    pub(crate) fn unique_places(&self) -> Vec<usize> {
        let unique = self
            .table
            .indexes
            .iter()
            .filter(|i| i.unique)
            .flat_map(|i| &i.columns);
        unique
            .filter_map(|c| match c.key {
                helios_planner::catalog::IndexKey::Column(p) => self.place[p],
                _ => None,
            })
            .collect()
    }

    pub(crate) fn is_document(&self) -> bool {
        self.table.shape == Shape::Document
    }

    /// Whether the rows are keys of Redis, or elements of them.
    pub(crate) fn is_keyspace(&self) -> bool {
        self.table.shape == Shape::Keyspace
    }

    /// Whether rows are keyed by a hidden number.
    pub(crate) fn has_hidden_key(&self) -> bool {
        self.key.is_empty() && !self.is_document()
    }

    /// The whole storage key of a row with these key values, in key column order.
    pub(crate) fn encode_key(&self, values: &[&Value]) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(Prefix::LEN + 16 * values.len());
        out.extend_from_slice(&self.prefix.bytes());
        self.append_key(&mut out, values)?;
        Ok(out)
    }

    /// Appends the part of the key after the prefix.
    pub(crate) fn append_key(&self, out: &mut Vec<u8>, values: &[&Value]) -> Result<()> {
        let start = out.len();
        for value in values {
            match value {
                Value::Jsonb(id) if self.is_document() => encode_bson_key(out, id.as_ref(), false)?,
                value => encode_key(out, value.as_ref(), KeyColumn::ASC)?,
            }
        }
        if out.len() - start > limits::KEY_BYTES_MAX {
            bail!(
                LimitExceeded,
                "key size {} exceeds maximum {} for table \"{}\"",
                out.len() - start,
                limits::KEY_BYTES_MAX,
                self.table.name
            );
        }
        Ok(())
    }

    /// The storage key of a row that has its key columns set.
    pub(crate) fn key_of_row(&self, row: &[Value]) -> Result<Vec<u8>> {
        if self.is_document() {
            return self.encode_key(&[&document_id(row)?]);
        }
        let values: Vec<&Value> = self.key.iter().map(|&place| &row[place]).collect();
        self.encode_key(&values)
    }
}

/// The `_id` of the document in a row of a document table.
pub(crate) fn document_id(row: &[Value]) -> Result<Value> {
    let Some(Value::Jsonb(document)) = row.get(1) else {
        return Err(Error::internal("document row without a document"));
    };
    match document.as_ref().get("_id") {
        Some(id) => Ok(Value::Jsonb(id.to_jsonb())),
        None => Err(Error::new(
            ErrorKind::NotNullViolation,
            "document has no _id",
        )),
    }
}

fn key_dropped() -> Error {
    Error::internal("key column was dropped")
}

fn missing_value(column: &helios_planner::catalog::Column) -> Result<Value> {
    match column.missing.as_ref().and_then(|m| m.0.as_deref()) {
        Some(text) => helios_types::text::parse_text(column.ty, text, &Default::default()),
        None => Ok(Value::Null),
    }
}

/// Binds and compiles the SQL texts that stand in a table's descriptor.
pub(crate) struct Compiler<'a> {
    table: &'a Table,
    catalog: &'a Arc<Catalog>,
    source: Arc<RelationSource>,
    search_path: Vec<String>,
}

impl<'a> Compiler<'a> {
    fn new(table: &'a Arc<Table>, catalog: &'a Arc<Catalog>) -> Result<Self> {
        Ok(Compiler {
            table,
            catalog,
            source: RelationSource::table(table.clone()),
            search_path: vec!["pg_catalog".into(), "public".into()],
        })
    }

    fn bind(
        &self,
        text: &str,
        row: bool,
        target: Option<Type>,
    ) -> Result<datafusion::logical_expr::Expr> {
        let context = BindContext::new(
            self.catalog.clone(),
            self.table.database,
            &self.search_path,
            self.table.owner,
        );
        bind_table_expression(text, row.then_some(self.table), target, &context)
    }

    /// An expression without columns.
    pub(crate) fn constant(&mut self, text: &str, ty: Type) -> Result<CompiledExpr> {
        let expr = self.bind(text, false, Some(ty))?;
        CompiledExpr::compile(&expr, &datafusion::common::DFSchema::empty())
    }

    /// An expression over a row.
    pub(crate) fn over_row(&mut self, text: &str, ty: Option<Type>) -> Result<CompiledExpr> {
        let expr = self.bind(text, true, ty)?;
        CompiledExpr::compile(&expr, &row_schema(&self.source, &self.table.name)?)
    }
}

/// The plan schema of a row, qualified by the table's name.
pub(crate) fn row_schema(
    source: &RelationSource,
    qualifier: &str,
) -> Result<datafusion::common::DFSchema> {
    use datafusion::logical_expr::TableSource;
    datafusion::common::DFSchema::try_from_qualified_schema(
        datafusion::common::TableReference::bare(qualifier),
        &source.schema(),
    )
    .map_err(Error::internal)
}

/// Runtimes of the committed catalog, made at first use.
#[derive(Debug, Default)]
pub(crate) struct RuntimeCache {
    /// By table, and apart those for snapshots that are older than an index, which come and go
    /// beside the others.
    entries: RwLock<HashMap<(ObjectId, bool), (u64, Arc<TableRuntime>)>>,
    /// The next hidden row number of tables without a key, by storage.
    row_numbers: RwLock<HashMap<Prefix, AtomicU64>>,
}

impl RuntimeCache {
    /// Row numbers of a storage that this process made and filled with `rows` rows: without this,
    /// the first insert would look for the largest number from the end of an empty range, past
    /// everything that was dropped before it and is not yet compacted away.
    pub(crate) fn storage_created(&self, prefix: Prefix, rows: u64) {
        self.row_numbers
            .write()
            .insert(prefix, AtomicU64::new(rows + 1));
    }

    /// A row number that no row of the table has: counted on from the largest stored one, which is
    /// looked up when the table is first inserted into.
    pub(crate) fn next_row_number(&self, prefix: Prefix, txn: &Txn) -> Result<u64> {
        if let Some(next) = self.row_numbers.read().get(&prefix) {
            return Ok(next.fetch_add(1, Ordering::Relaxed));
        }
        let mut numbers = self.row_numbers.write();
        if let Some(next) = numbers.get(&prefix) {
            return Ok(next.fetch_add(1, Ordering::Relaxed));
        }
        let options = ScanOptions {
            reverse: true,
            ..ScanOptions::default()
        };
        let mut scan = txn
            .view_latest()
            .scan(Space::Row, prefix.range(), options)?;
        let last = match scan.next()? {
            Some((key, _)) => key.last_chunk::<8>().map_or(0, |b| u64::from_be_bytes(*b)),
            None => 0,
        };
        numbers.insert(prefix, AtomicU64::new(last + 2));
        Ok(last + 1)
    }

    /// The runtime of `table` under `catalog`. Descriptors of uncommitted DDL are told apart by
    /// their address, so a transaction never leaves its own version to others.
    pub(crate) fn get(
        &self,
        table: &Arc<Table>,
        catalog: &Arc<Catalog>,
    ) -> Result<Arc<TableRuntime>> {
        let place = (table.id, catalog.is_of_older_snapshot());
        if let Some((version, runtime)) = self.entries.read().get(&place)
            && (Arc::ptr_eq(&runtime.table, table) && *version == catalog.version)
        {
            return Ok(runtime.clone());
        }
        let runtime = Arc::new(TableRuntime::new(table.clone(), catalog)?);
        self.entries
            .write()
            .insert(place, (catalog.version, runtime.clone()));
        Ok(runtime)
    }
}
