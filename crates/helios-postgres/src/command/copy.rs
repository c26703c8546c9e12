//! COPY: the client's rows into a table, a table's or query's rows to the client.
//!
//! COPY FROM is a state of the conversation: CopyData messages feed a reader, and every row that
//! is complete goes into the table at once, in the one transaction of the statement. COPY TO is a
//! query whose rows are written as CopyData.

use super::simple::Remaining;
use super::{Conversation, Flow};
use crate::codec::{Frontend, Header};
use crate::copy::{CopyColumn, CopyFormat, CopyReader, CopyWriter};
use crate::encode::{ColumnFormat, CopySink};
use helios_engine::{Completion, CompletionTag, CopyIn, Fetched, Prepared};
use helios_planner::utility::{Copy, CopySource, Utility};
use helios_types::{Error, Result, error};
use std::io;
use std::sync::Arc;

/// A COPY FROM STDIN that is under way.
pub struct CopyState {
    /// The table's name, for errors.
    table: String,
    reader: CopyReader,
    copy: CopyIn,
    extended: bool,
    /// Where in the data reading failed.
    place: String,
    /// The statements after this one in the same simple query.
    pub remaining: Option<Remaining>,
}

fn copy_of(prepared: &Prepared) -> Result<&Copy> {
    match prepared.utility() {
        Some(Utility::Copy(copy)) => Ok(copy),
        _ => Err(Error::internal("not a COPY statement")),
    }
}

impl CopyState {
    /// The row that an error is about.
    fn context(&self) -> Option<String> {
        let line = self.copy.failed_line()?;
        Some(format!("COPY {}, line {line}", self.table))
    }
}

impl Conversation {
    /// CopyInResponse; what follows comes in messages of its own.
    pub(super) async fn start_copy_in(
        &mut self,
        prepared: &Arc<Prepared>,
        extended: bool,
    ) -> Result<()> {
        let statement = copy_of(prepared)?;
        let options = &statement.options;
        let copy = self.session.copy_begin(statement).await?;
        let columns = CopyColumn::list(copy.columns().iter().cloned(), options);
        let binary = options.format == CopyFormat::Binary;
        self.client
            .output
            .copy_response(true, binary, columns.len());
        self.client.want_flush();
        let context = *self.presentation.context(&self.session);
        let catalog = self.session.catalog();
        let table = match &statement.source {
            CopySource::Table { table, .. } => catalog.table(*table).map(|t| t.name.clone()),
            CopySource::Query(_) => None,
        };
        self.copy = Some(CopyState {
            table: table.unwrap_or_default(),
            reader: CopyReader::new(options.clone(), columns, context),
            copy,
            extended,
            place: String::new(),
            remaining: None,
        });
        Ok(())
    }

    /// A message while COPY FROM is under way.
    pub(super) async fn copy_message(
        &mut self,
        header: Header,
        message: Frontend<'_>,
    ) -> io::Result<Flow> {
        let result = match message {
            Frontend::CopyData(data) => self.copy_data(data, false).await,
            Frontend::CopyDone => match self.copy_data(&[], true).await {
                Ok(()) => return self.copy_done().await,
                Err(error) => Err(error),
            },
            Frontend::CopyFail(reason) => {
                Err(error!(QueryCancelled, "COPY from stdin failed: {reason}"))
            }
            // Allowed for clients that cannot tell, and without meaning here.
            Frontend::Flush | Frontend::Sync => Ok(()),
            Frontend::Terminate => return Ok(Flow::Close),
            _ => Err(error!(
                ProtocolViolation,
                "unexpected message type 0x{:02X} during COPY from stdin", header.tag
            )),
        };
        match result {
            Ok(()) => Ok(Flow::Continue),
            Err(error) => self.copy_failed(error).await,
        }
    }

    /// Inserts every row that is complete with this piece of the data.
    async fn copy_data(&mut self, data: &[u8], at_end: bool) -> Result<()> {
        let Some(state) = &mut self.copy else {
            return Ok(());
        };
        let CopyState { reader, copy, .. } = state;
        reader.push(data)?;
        loop {
            match reader.append_row(copy.next_row(), at_end) {
                Ok(true) => copy.row_added(reader.line(), reader.row_bytes()),
                Ok(false) => break,
                Err(error) => {
                    state.place = reader.context();
                    return Err(error);
                }
            }
        }
        self.session.copy_rows(copy).await
    }

    /// The data is complete.
    async fn copy_done(&mut self) -> io::Result<Flow> {
        let Some(mut state) = self.copy.take() else {
            return Ok(Flow::Continue);
        };
        let completion = match self.session.copy_finish(&mut state.copy).await {
            Ok(completion) => completion,
            Err(error) => {
                self.fail_in_context(error, state.context().as_deref());
                return self
                    .after_failed_copy(state.extended, state.remaining)
                    .await;
            }
        };
        let Some(remaining) = state.remaining else {
            self.complete(&completion);
            return Ok(Flow::Continue);
        };
        // As the last statement of its string it commits before the client hears of it.
        if remaining.several
            && remaining.statements.is_empty()
            && let Err(error) = self.session.end_implicit(true).await
        {
            self.fail(error);
        } else {
            self.complete(&completion);
        }
        Box::pin(self.run_remaining(remaining)).await?;
        Ok(Flow::Continue)
    }

    async fn copy_failed(&mut self, error: Error) -> io::Result<Flow> {
        let Some(mut state) = self.copy.take() else {
            return Ok(Flow::Continue);
        };
        let error = if state.copy.failed_line().is_none() {
            // What is wrong with the rows before comes first.
            self.session.copy_fail(&mut state.copy, error).await
        } else {
            error
        };
        let context = state.context().unwrap_or_else(|| match &*state.place {
            "" => format!("COPY {}, line {}", state.table, state.reader.line() + 1),
            place => format!("COPY {}, {place}", state.table),
        });
        self.fail_in_context(error, Some(&context));
        self.after_failed_copy(state.extended, state.remaining)
            .await
    }

    async fn after_failed_copy(
        &mut self,
        extended: bool,
        remaining: Option<Remaining>,
    ) -> io::Result<Flow> {
        if extended {
            self.skipping = true;
        } else {
            self.finish_simple(remaining.is_some_and(|r| r.several))
                .await?;
        }
        Ok(Flow::Continue)
    }

    /// COPY TO STDOUT. The outer error is the connection's.
    pub(super) async fn copy_out(
        &mut self,
        prepared: &Arc<Prepared>,
    ) -> io::Result<Result<Completion>> {
        let (query, mut writer) = match self.prepare_copy_out(prepared) {
            Ok(ready) => ready,
            Err(error) => return Ok(Err(error)),
        };
        self.client
            .output
            .copy_response(false, writer.is_binary(), writer.columns());
        let header = writer.header();
        if !header.is_empty() {
            self.client.output.copy_data(&header);
        }
        let result = self.copy_out_rows(&query, &mut writer).await?;
        Ok(result.map(|rows| {
            if !writer.trailer().is_empty() {
                self.client.output.copy_data(writer.trailer());
            }
            self.client.output.copy_done();
            Completion {
                tag: CompletionTag::Copy,
                rows,
            }
        }))
    }

    fn prepare_copy_out(&mut self, prepared: &Prepared) -> Result<(Arc<Prepared>, CopyWriter)> {
        let copy = copy_of(prepared)?;
        let query = self.session.copy_out(copy)?;
        let binary = copy.options.format == CopyFormat::Binary;
        let columns = query
            .output
            .iter()
            .map(|c| ColumnFormat { ty: c.ty, binary });
        let form = self.presentation.row_format(&self.session, columns).form;
        let list = CopyColumn::list(
            query.output.iter().map(|c| (c.name.clone(), c.ty)),
            &copy.options,
        );
        Ok((query, CopyWriter::new(copy.options.clone(), list, form)))
    }

    async fn copy_out_rows(
        &mut self,
        query: &Arc<Prepared>,
        writer: &mut CopyWriter,
    ) -> io::Result<Result<u64>> {
        if !query.streams() {
            let mut sink = CopySink {
                out: &mut self.client.output,
                writer,
                rows: 0,
            };
            let result = self.session.execute(query, &[], &mut sink).await;
            let rows = sink.rows;
            return Ok(result.map(|_| rows));
        }
        let mut cursor = match self.session.open(query, Vec::new()).await {
            Ok(cursor) => cursor,
            Err(error) => return Ok(Err(error)),
        };
        let mut rows = 0;
        loop {
            let mut sink = CopySink {
                out: &mut self.client.output,
                writer,
                rows: 0,
            };
            let fetched = self.session.fetch(&mut cursor, &mut sink, 0).await;
            rows += sink.rows;
            match fetched {
                Ok(Fetched::More) => self.client.flush().await?,
                Ok(Fetched::Done(_)) => return Ok(Ok(rows)),
                Err(error) => return Ok(Err(error)),
            }
        }
    }
}
