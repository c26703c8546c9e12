//! COPY: rows in bulk. The text and binary forms of the data are the front-end's affair; the
//! engine takes and gives values.

mod bulk;

use crate::kernel::runtime::TableRuntime;
use crate::kernel::write::{Arbiters, Writer};
use crate::prepared::{Completion, CompletionTag};
use crate::session::Session;
use bulk::Bulk;
use helios_planner::scalar::CompiledExpr;
use helios_planner::utility::{Copy, CopySource};
use helios_types::{Error, Result, Type, Value, bail};
use std::sync::Arc;

/// Data after which a COPY is worth a load in bulk, which costs some files and syncs.
const BULK_BYTES: usize = 1 << 20;

/// A COPY … FROM STDIN under way.
pub struct CopyIn {
    rt: Arc<TableRuntime>,
    /// Place in the row of each column of the data.
    places: Vec<usize>,
    /// Whether the data has the columns of the row as they are, and nothing is to be filled in.
    is_whole: bool,
    columns: Vec<(String, Type)>,
    filter: Option<CompiledExpr>,
    way: Way,
    /// Values of the rows that are not inserted yet, one row after the other.
    pending: Vec<Value>,
    /// In which line of the data each of these rows is.
    lines: Vec<u64>,
    pending_bytes: usize,
    rows: u64,
    failed_line: Option<u64>,
}

/// How rows go into the table.
enum Way {
    Undecided,
    OneByOne,
    Bulk(Box<Bulk>),
}

/// What a COPY reads or writes: names and types of the columns, in the order of the data.
#[derive(Clone, Debug)]
pub struct CopyTarget {
    pub columns: Vec<(String, Type)>,
}

impl CopyIn {
    /// Names and types of the fields of each row.
    pub fn columns(&self) -> &[(String, Type)] {
        &self.columns
    }

    /// Where the values of the next row go; [`CopyIn::row_added`] follows.
    pub fn next_row(&mut self) -> &mut Vec<Value> {
        &mut self.pending
    }

    /// A row is complete, which `bytes` of the data up to `line` have made.
    pub fn row_added(&mut self, line: u64, bytes: usize) {
        self.lines.push(line);
        self.pending_bytes += bytes;
    }

    /// After an error: the line of the row that is to blame, when there is one.
    pub fn failed_line(&self) -> Option<u64> {
        self.failed_line
    }
}

impl std::fmt::Debug for CopyIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyIn")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Starts COPY … FROM STDIN. Everything until [`Session::copy_finish`] or
    /// [`Session::copy_fail`] is one statement.
    pub async fn copy_begin(&mut self, copy: &Copy) -> Result<CopyIn> {
        let result = self.copy_begin_inner(copy).await;
        if result.is_err() {
            self.statement_failed();
        }
        result
    }

    async fn copy_begin_inner(&mut self, copy: &Copy) -> Result<CopyIn> {
        let CopySource::Table {
            table,
            columns,
            filter,
        } = &copy.source
        else {
            bail!(SyntaxError, "COPY query FROM is not possible");
        };
        self.start_statement()?;
        self.require_read_write("COPY FROM")?;
        self.state.require_privilege(*table, 'a')?;
        let not_a_table = || {
            Error::new(
                helios_types::ErrorKind::WrongObjectType,
                "cannot copy to a relation that is not a table",
            )
        };
        let found = self.state.catalog.table(*table).cloned();
        let bound = found.ok_or_else(not_a_table)?;
        self.lock_for_write(&bound).await?;
        // Whoever held the lock may have changed the table.
        self.state.catalog = self.catalog();
        let catalog = self.state.catalog.clone();
        let table = catalog.table(*table).cloned().ok_or_else(not_a_table)?;
        if !Arc::ptr_eq(&table, &bound) {
            bail!(
                SerializationFailure,
                "could not serialize access due to a concurrent change of the table's definition"
            );
        }
        let rt = self.engine.runtimes.get(&table, &catalog)?;
        let places = columns
            .iter()
            .map(|&p| {
                rt.place
                    .get(p)
                    .copied()
                    .flatten()
                    .ok_or_else(|| Error::internal("COPY into a dropped column"))
            })
            .collect::<Result<_>>()?;
        let filter = filter
            .as_deref()
            .map(|text| self.compile_filter(&table, text))
            .transpose()?;
        let places: Vec<usize> = places;
        let is_whole = places.iter().copied().eq(0..rt.live.len());
        let columns = columns
            .iter()
            .map(|&p| (table.columns[p].name.clone(), table.columns[p].ty))
            .collect();
        Ok(CopyIn {
            places,
            is_whole: is_whole && !rt.is_document(),
            columns,
            filter,
            way: Way::Undecided,
            pending: Vec::new(),
            lines: Vec::new(),
            pending_bytes: 0,
            rows: 0,
            failed_line: None,
            rt,
        })
    }

    fn compile_filter(
        &self,
        table: &Arc<helios_planner::catalog::Table>,
        text: &str,
    ) -> Result<CompiledExpr> {
        let path = self.state.search_path();
        let context = helios_planner::sql::BindContext::new(
            self.state.catalog.clone(),
            self.state.database,
            &path,
            self.state.role,
        );
        let expr = helios_planner::sql::bind_table_expression(
            text,
            Some(table),
            Some(Type::BOOL),
            &context,
        )?;
        let source = helios_planner::relation::RelationSource::table(table.clone());
        CompiledExpr::compile(
            &expr,
            &crate::kernel::runtime::row_schema(&source, &table.name)?,
        )
    }

    /// Inserts the rows that were added since, or keeps them until there are more.
    pub async fn copy_rows(&mut self, copy: &mut CopyIn) -> Result<()> {
        if matches!(copy.way, Way::Undecided) && copy.pending_bytes < BULK_BYTES {
            return Ok(());
        }
        let result = self.copy_rows_inner(copy, true).await;
        if result.is_err() {
            self.copy_failed(copy);
        }
        result
    }

    async fn copy_rows_inner(&mut self, copy: &mut CopyIn, many: bool) -> Result<()> {
        if matches!(copy.way, Way::Undecided) {
            let bulk = if many {
                self.start_bulk(copy).await?
            } else {
                None
            };
            copy.way = bulk.map_or(Way::OneByOne, |bulk| Way::Bulk(Box::new(bulk)));
        }
        self.state.cancel.check()?;
        let pending = std::mem::take(&mut copy.pending);
        let result = self
            .with_writer(async |writer| copy.insert(writer, pending).await)
            .await;
        copy.pending_bytes = 0;
        match result {
            Ok(pending) => {
                copy.pending = pending;
                copy.lines.clear();
                Ok(())
            }
            Err(error) => Err(self.settle_bulk(copy).await.err().unwrap_or(error)),
        }
    }

    /// Takes in what was loaded; an error in it comes before one in a later line.
    async fn settle_bulk(&mut self, copy: &mut CopyIn) -> Result<()> {
        let Way::Bulk(bulk) = std::mem::replace(&mut copy.way, Way::OneByOne) else {
            return Ok(());
        };
        let settled = bulk.settle(self).await;
        settled.map_err(|(error, duplicate)| {
            copy.failed_line = duplicate.or(copy.failed_line);
            error
        })
    }

    /// Nothing more is to be had of the COPY.
    fn copy_failed(&mut self, copy: &mut CopyIn) {
        // Its files go before what they would have been taken into.
        copy.way = Way::OneByOne;
        copy.pending = Vec::new();
        copy.lines = Vec::new();
        self.statement_failed();
    }

    /// Ends COPY … FROM STDIN well.
    pub async fn copy_finish(&mut self, copy: &mut CopyIn) -> Result<Completion> {
        if let Err(error) = self.copy_end(copy).await {
            self.copy_failed(copy);
            return Err(error);
        }
        self.finish_statement().await?;
        Ok(Completion {
            tag: CompletionTag::Copy,
            rows: copy.rows,
        })
    }

    async fn copy_end(&mut self, copy: &mut CopyIn) -> Result<()> {
        self.copy_rows_inner(copy, false).await?;
        self.settle_bulk(copy).await?;
        self.with_writer(async |writer| writer.run_checks().await)
            .await
    }

    /// The client gave up, or its data was wrong in `error`. Gives what is wrong with the rows
    /// before that, when something is, with its line in [`CopyIn::failed_line`].
    pub async fn copy_fail(&mut self, copy: &mut CopyIn, error: Error) -> Error {
        copy.failed_line = None;
        let rows = match self.copy_rows_inner(copy, false).await {
            Ok(()) => self.settle_bulk(copy).await,
            failed => failed,
        };
        self.copy_failed(copy);
        rows.err().unwrap_or(error)
    }

    /// The query whose result COPY … TO STDOUT sends.
    pub fn copy_out(&mut self, copy: &Copy) -> Result<Arc<crate::Prepared>> {
        let text = match &copy.source {
            CopySource::Query(text) => text.clone(),
            CopySource::Table { table, columns, .. } => {
                let catalog = self.catalog();
                let Some(table) = catalog.table(*table) else {
                    bail!(
                        WrongObjectType,
                        "cannot copy from a relation that is not a table"
                    );
                };
                let schema = catalog
                    .schemas
                    .get(&table.schema)
                    .map_or("public", |s| s.name.as_str());
                let names: Vec<String> = columns
                    .iter()
                    .map(|&p| quote(&table.columns[p].name))
                    .collect();
                format!(
                    "SELECT {} FROM {}.{}",
                    names.join(", "),
                    quote(schema),
                    quote(&table.name)
                )
            }
        };
        self.prepare(&text, &[])
    }
}

impl CopyIn {
    /// Inserts rows; gives their memory back. After an error `failed_line` says what it is about.
    async fn insert(
        &mut self,
        writer: &mut Writer<'_>,
        mut pending: Vec<Value>,
    ) -> Result<Vec<Value>> {
        let width = self.columns.len();
        let mut rows = pending.chunks_exact_mut(width.max(1));
        for at in 0..self.lines.len() {
            let line = self.lines.get(at).copied();
            // A row without columns has no values.
            let row = rows.next().unwrap_or_default();
            match self.insert_row(writer, row, line.unwrap_or_default()).await {
                Ok(inserted) => self.rows += u64::from(inserted),
                Err(error) => {
                    self.failed_line = line;
                    return Err(error);
                }
            }
        }
        pending.clear();
        Ok(pending)
    }

    /// False when the row is not wanted.
    async fn insert_row(
        &mut self,
        writer: &mut Writer<'_>,
        row: &mut [Value],
        line: u64,
    ) -> Result<bool> {
        if let (Way::Bulk(bulk), true, None) = (&mut self.way, self.is_whole, &self.filter) {
            bulk.add(writer, row, line).await?;
            return Ok(true);
        }
        let mut values: Vec<Option<Value>> = vec![None; self.rt.live.len()];
        for (&place, value) in self.places.iter().zip(row) {
            values[place] = Some(std::mem::take(value));
        }
        if let Some(filter) = &self.filter {
            let row: Vec<Value> = values
                .iter()
                .map(|v| v.clone().unwrap_or(Value::Null))
                .collect();
            if !filter.holds(&row, &mut writer.env())? {
                return Ok(false);
            }
        }
        // COPY gives identity columns their values, as PostgreSQL's does.
        match &mut self.way {
            Way::Bulk(bulk) => {
                let rt = bulk.runtime().clone();
                let mut row = writer.complete(&rt, values, Some(true))?;
                bulk.add(writer, &mut row, line).await?;
            }
            _ => {
                let rt = self.rt.clone();
                writer
                    .insert(&rt, values, Some(true), Arbiters::None)
                    .await?;
            }
        }
        Ok(true)
    }
}

/// An identifier as SQL text.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
