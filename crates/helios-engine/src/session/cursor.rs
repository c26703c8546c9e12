//! Results that are fetched in pieces: portals, batches of other protocols.

use super::execute::Columns;
use super::{Session, State};
use crate::apply::{Execution, Row};
use crate::prepared::{Body, Completion, CompletionTag, Prepared};
use crate::vector::VectorRows;
use helios_planner::template::OutputColumn;
use helios_types::value::{RowSink, Rows};
use helios_types::{Result, Value, ValueRef};
use std::sync::Arc;

/// A result that waits to be fetched.
pub struct Cursor {
    pub(crate) prepared: Arc<Prepared>,
    rows: CursorRows,
    completion: Completion,
    /// Rows handed out so far.
    fetched: u64,
}

enum CursorRows {
    Running(RowSource),
    /// Computed at once: the results of writes and of utility statements.
    Ready(std::vec::IntoIter<Row>),
}

/// A plan that runs.
pub(crate) enum RowSource {
    Apply(Execution),
    Vector(VectorRows),
}

impl RowSource {
    pub(crate) async fn next(&mut self, state: &mut State) -> Result<Option<Row>> {
        match self {
            RowSource::Apply(execution) => execution.next(state),
            RowSource::Vector(rows) => rows.next().await,
        }
    }
}

/// How a fetch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// There may be more: the row limit was reached, or the sink has enough bytes to send.
    More,
    Done(Completion),
}

impl Cursor {
    pub fn output(&self) -> &[OutputColumn] {
        &self.prepared.output
    }
}

impl Session {
    /// Starts a statement whose rows will be fetched in pieces. Statements that write run to their
    /// end first.
    pub async fn open(&mut self, prepared: &Arc<Prepared>, params: Vec<Value>) -> Result<Cursor> {
        let prepared = self.current(prepared)?;
        if let Body::Plan(template) = &prepared.body
            && prepared.streams()
            && !crate::modify::has_steps(&template.plan)
        {
            self.statement_starts(&prepared);
            let opened = self.open_stream(&prepared, template, &params).await;
            if opened.is_err() {
                self.statement_failed();
            }
            let (prepared, rows) = opened?;
            let rows = CursorRows::Running(rows);
            let completion = Completion {
                tag: CompletionTag::Command(template.command),
                rows: 0,
            };
            return Ok(Cursor {
                prepared,
                rows,
                completion,
                fetched: 0,
            });
        }
        let mut rows = Rows::default();
        let completion = self.execute(&prepared, &params, &mut rows).await?;
        let rows = CursorRows::Ready(rows.0.into_iter());
        Ok(Cursor {
            prepared,
            rows,
            completion,
            fetched: 0,
        })
    }

    /// Starts reading; gives the statement too, which may have been bound anew.
    async fn open_stream(
        &mut self,
        prepared: &Arc<Prepared>,
        template: &Arc<helios_planner::template::PlanTemplate>,
        params: &[Value],
    ) -> Result<(Arc<Prepared>, RowSource)> {
        self.authorize(template)?;
        self.start_statement()?;
        let prepared = match self.lock_relations(prepared, Columns::Told).await? {
            Some(fresh) => fresh,
            None => prepared.clone(),
        };
        let rows = self.open_rows(&prepared, super::execute::plan_of(&prepared)?, params)?;
        Ok((prepared, rows))
    }

    /// Hands up to `max_rows` rows to `sink` (0: no limit); stops early when the sink has as many
    /// bytes waiting as it wants.
    pub async fn fetch(
        &mut self,
        cursor: &mut Cursor,
        sink: &mut dyn RowSink,
        max_rows: u64,
    ) -> Result<Fetched> {
        let result = self
            .interruptible(async |session| session.fetch_inner(cursor, sink, max_rows).await)
            .await;
        match &result {
            Err(_) => self.statement_failed(),
            Ok(Fetched::Done(_)) if matches!(cursor.rows, CursorRows::Running(_)) => {
                self.finish_statement().await?;
            }
            Ok(_) => {}
        }
        if !matches!(result, Ok(Fetched::More)) {
            let failed = self.transaction_status() == super::TransactionStatus::Failed;
            self.shared
                .statement_ends(self.shares_transaction(), failed);
        }
        result
    }

    async fn fetch_inner(
        &mut self,
        cursor: &mut Cursor,
        sink: &mut dyn RowSink,
        max_rows: u64,
    ) -> Result<Fetched> {
        let mut n = 0;
        loop {
            if (max_rows != 0 && n == max_rows) || sink.pending_bytes() >= sink.high_water_bytes() {
                return Ok(Fetched::More);
            }
            let row = match &mut cursor.rows {
                CursorRows::Running(rows) => rows.next(&mut self.state).await?,
                CursorRows::Ready(rows) => rows.next(),
            };
            let Some(row) = row else {
                let mut completion = cursor.completion.clone();
                if matches!(cursor.rows, CursorRows::Running(_)) {
                    completion.rows = cursor.fetched;
                }
                return Ok(Fetched::Done(completion));
            };
            n += 1;
            cursor.fetched += 1;
            let values: Vec<ValueRef<'_>> = row.iter().map(Value::as_ref).collect();
            sink.row(&values)?;
        }
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor")
            .field("fetched", &self.fetched)
            .finish_non_exhaustive()
    }
}
