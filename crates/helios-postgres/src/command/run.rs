//! Running a statement and answering it: what both query protocols share.

use super::Conversation;
use crate::encode::{ColumnFormat, DataRows, Field, RowFormat};
use helios_engine::{Completion, CompletionTag, Fetched, Prepared};
use helios_planner::template::{Command, OutputColumn};
use helios_types::{Result, Type, Value};
use std::io;
use std::sync::Arc;

/// What a client sees of a column's type: what never leaves the server as itself is text.
pub fn client_type(ty: Type) -> Type {
    if ty.oid == Type::UNKNOWN.oid {
        Type::TEXT
    } else {
        ty
    }
}

/// The fields of a RowDescription.
pub fn fields<'a>(
    output: &'a [OutputColumn],
    binary: impl Fn(usize) -> bool + 'a,
) -> impl ExactSizeIterator<Item = Field<'a>> {
    output.iter().enumerate().map(move |(i, column)| {
        let (table, attnum) = column.origin.map_or((0, 0), |(id, attnum)| (id.0, attnum));
        Field {
            name: &column.name,
            table,
            attnum,
            ty: client_type(column.ty),
            binary: binary(i),
        }
    })
}

impl Conversation {
    /// The format of a statement's rows; `binary` by column.
    pub(super) fn row_format(
        &mut self,
        prepared: &Prepared,
        binary: impl Fn(usize) -> bool,
    ) -> RowFormat {
        let columns = prepared
            .output
            .iter()
            .enumerate()
            .map(|(i, column)| ColumnFormat {
                ty: column.ty,
                binary: binary(i),
            });
        self.presentation.row_format(&self.session, columns)
    }

    /// Runs a statement to its end, its rows into the output. The outer error is the connection's.
    pub(super) async fn run_to_end(
        &mut self,
        prepared: &Arc<Prepared>,
        params: &[Value],
        format: &RowFormat,
    ) -> io::Result<Result<Completion>> {
        if !prepared.streams() {
            let mut sink = DataRows::new(&mut self.client.output, format);
            return Ok(self.session.execute(prepared, params, &mut sink).await);
        }
        let mut cursor = match self.session.open(prepared, params.to_vec()).await {
            Ok(cursor) => cursor,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            let mut sink = DataRows::new(&mut self.client.output, format);
            match self.session.fetch(&mut cursor, &mut sink, 0).await {
                // The sink is full: a client that reads slowly holds back the query.
                Ok(Fetched::More) => self.client.flush().await?,
                Ok(Fetched::Done(completion)) => return Ok(Ok(completion)),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// CommandComplete, or EmptyQueryResponse, after the notices of the statement.
    pub(super) fn complete(&mut self, completion: &Completion) {
        self.notices();
        let rows = completion.rows;
        let mut digits = itoa::Buffer::new();
        let output = &mut self.client.output;
        match &completion.tag {
            CompletionTag::Empty => output.empty_query(),
            CompletionTag::Command(command) => {
                output.command_tag(command_word(*command), digits.format(rows));
            }
            CompletionTag::Copy => output.command_tag("COPY ", digits.format(rows)),
            CompletionTag::Utility(tag @ ("FETCH" | "MOVE" | "SELECT")) => {
                let word = format!("{tag} ");
                output.command_tag(&word, digits.format(rows));
            }
            CompletionTag::Utility(tag) => output.command_tag(tag, ""),
        }
    }
}

fn command_word(command: Command) -> &'static str {
    match command {
        Command::Select => "SELECT ",
        // The zero stands where PostgreSQL once put the new row's OID.
        Command::Insert => "INSERT 0 ",
        Command::Update => "UPDATE ",
        Command::Delete => "DELETE ",
        Command::Merge => "MERGE ",
    }
}
