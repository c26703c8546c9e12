//! COPY: rows in bulk. The text and binary forms of the data are the front-end's affair; the
//! engine takes and gives values.

use crate::kernel::runtime::TableRuntime;
use crate::kernel::write::Arbiters;
use crate::prepared::{Completion, CompletionTag};
use crate::session::Session;
use helios_planner::scalar::{CompiledExpr, ValueEnv};
use helios_planner::utility::{Copy, CopySource};
use helios_types::{Error, Result, Type, Value, bail};
use std::sync::Arc;

/// A COPY … FROM STDIN under way.
pub struct CopyIn {
    rt: Arc<TableRuntime>,
    /// Place in the row of each column of the data.
    places: Vec<usize>,
    columns: Vec<(String, Type)>,
    filter: Option<CompiledExpr>,
    rows: u64,
    /// Rows of the last batch that were taken before its end or its error.
    batch_done: usize,
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

    /// How many rows of the last batch went well: after an error, the number of the one that
    /// did not, from zero.
    pub fn batch_done(&self) -> usize {
        self.batch_done
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
        let columns = columns
            .iter()
            .map(|&p| (table.columns[p].name.clone(), table.columns[p].ty))
            .collect();
        Ok(CopyIn {
            rt,
            places,
            columns,
            filter,
            rows: 0,
            batch_done: 0,
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

    /// Inserts rows; each has a value for every column of the data.
    pub async fn copy_rows(&mut self, copy: &mut CopyIn, rows: Vec<Vec<Value>>) -> Result<()> {
        let result = self.copy_rows_inner(copy, rows).await;
        if result.is_err() {
            self.statement_failed();
        }
        result
    }

    async fn copy_rows_inner(&mut self, copy: &mut CopyIn, rows: Vec<Vec<Value>>) -> Result<()> {
        let rt = copy.rt.clone();
        let (places, filter) = (&copy.places, &copy.filter);
        let done = &mut copy.batch_done;
        *done = 0;
        let n = self
            .with_writer(async |writer| {
                let mut n = 0;
                for row in rows {
                    let mut values: Vec<Option<Value>> = vec![None; rt.live.len()];
                    for (&place, value) in places.iter().zip(row) {
                        values[place] = Some(value);
                    }
                    if let Some(filter) = filter {
                        let row: Vec<Value> = values
                            .iter()
                            .map(|v| v.clone().unwrap_or(Value::Null))
                            .collect();
                        let mut env = ValueEnv {
                            params: &[],
                            functions: writer.functions,
                        };
                        if !filter.holds(&row, &mut env)? {
                            *done += 1;
                            continue;
                        }
                    }
                    // COPY gives identity columns their values, as PostgreSQL's does.
                    writer
                        .insert(&rt, values, Some(true), Arbiters::None)
                        .await?;
                    n += 1;
                    *done += 1;
                }
                Ok(n)
            })
            .await?;
        copy.rows += n;
        Ok(())
    }

    /// Ends COPY … FROM STDIN well.
    pub async fn copy_finish(&mut self, copy: CopyIn) -> Result<Completion> {
        let checked = self
            .with_writer(async |writer| writer.run_checks().await)
            .await;
        if let Err(error) = checked {
            self.statement_failed();
            return Err(error);
        }
        self.finish_statement().await?;
        Ok(Completion {
            tag: CompletionTag::Copy,
            rows: copy.rows,
        })
    }

    /// The client gave up, or its data was wrong.
    pub fn copy_fail(&mut self, copy: CopyIn) {
        drop(copy);
        self.statement_failed();
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

/// An identifier as SQL text.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
