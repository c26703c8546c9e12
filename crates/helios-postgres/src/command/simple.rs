//! The simple query protocol: a string of statements, run one after the other.
//!
//! Several statements are one implicit transaction, unless they control transactions themselves;
//! the first error ends the string. One statement without a transaction is its own.

use super::Conversation;
use super::run::fields;
use helios_engine::{Completion, Prepared};
use helios_planner::sql::Statement;
use helios_planner::utility::Utility;
use helios_types::{Result, Value};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// Statements of a string that wait for their turn.
#[derive(Debug, Default)]
pub struct Remaining {
    pub statements: VecDeque<Statement>,
    /// Whether the string had more than one.
    pub several: bool,
}

/// How far a statement came.
enum Outcome {
    Done(Completion),
    /// COPY FROM waits for the client's data.
    Copying,
}

impl Conversation {
    pub(super) async fn simple_query(&mut self, text: &str) -> io::Result<()> {
        // A simple query ends a pipeline that had no Sync, and with it the error state.
        if self.pipeline || self.skipping {
            self.end_pipeline().await;
        }
        self.unnamed_statement = None;
        self.unnamed_portal = None;
        match self.session.prepare_simple(text) {
            Ok(helios_engine::SimpleQuery::Template { prepared, params }) => {
                self.run_template(&prepared, &params).await?;
                self.ready();
                Ok(())
            }
            Ok(helios_engine::SimpleQuery::Text(statements)) if statements.is_empty() => {
                self.client.output.empty_query();
                self.ready();
                Ok(())
            }
            Ok(helios_engine::SimpleQuery::Text(statements)) => {
                let several = statements.len() > 1;
                if several {
                    self.session.begin_implicit();
                }
                let statements = statements.into();
                self.run_remaining(Remaining {
                    statements,
                    several,
                })
                .await
            }
            Err(error) => {
                self.session.fail_transaction();
                self.fail(error);
                self.ready();
                Ok(())
            }
        }
    }

    async fn run_template(&mut self, prepared: &Arc<Prepared>, params: &[Value]) -> io::Result<()> {
        match self.run_simple(prepared, params).await? {
            Ok(completion) => self.complete(&completion),
            Err(error) => self.fail(error),
        }
        Ok(())
    }

    /// RowDescription and rows.
    async fn run_simple(
        &mut self,
        prepared: &Arc<Prepared>,
        params: &[Value],
    ) -> io::Result<Result<Completion>> {
        let prepared = &match self.session.settle(prepared).await {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(error)),
        };
        let format = self.row_format(prepared, |_| false);
        if !prepared.output.is_empty() {
            self.client
                .output
                .row_description(fields(&prepared.output, |_| false));
        }
        self.run_to_end(prepared, params, &format).await
    }

    /// Runs the statements that are left, up to the end or to a COPY that wants data.
    pub(super) async fn run_remaining(&mut self, mut remaining: Remaining) -> io::Result<()> {
        while let Some(statement) = remaining.statements.pop_front() {
            let last = remaining.statements.is_empty();
            match self.run_statement(&statement).await? {
                Ok(Outcome::Copying) => {
                    if let Some(copy) = &mut self.copy {
                        copy.remaining = Some(remaining);
                    }
                    return Ok(());
                }
                Ok(Outcome::Done(completion)) => {
                    // The commit of the whole string belongs to its last statement.
                    if last
                        && remaining.several
                        && let Err(error) = self.session.end_implicit(true).await
                    {
                        self.fail(error);
                        break;
                    }
                    self.complete(&completion);
                }
                Err(error) => {
                    self.fail(error);
                    break;
                }
            }
            self.client.flush_if_large().await?;
        }
        self.finish_simple(remaining.several).await
    }

    /// Ends the string, rolling back what an error left of its implicit transaction.
    pub(super) async fn finish_simple(&mut self, several: bool) -> io::Result<()> {
        // After the last statement's commit there is nothing left to roll back.
        if several && let Err(error) = self.session.end_implicit(false).await {
            self.fail(error);
        }
        self.ready();
        Ok(())
    }

    async fn run_statement(&mut self, statement: &Statement) -> io::Result<Result<Outcome>> {
        let prepared = match self.session.prepare_statement(statement) {
            Ok(prepared) => prepared,
            Err(error) => {
                self.session.fail_transaction();
                return Ok(Err(error));
            }
        };
        if let Some(Utility::Copy(copy)) = prepared.utility() {
            if copy.from {
                return Ok(self
                    .start_copy_in(&prepared, false)
                    .await
                    .map(|()| Outcome::Copying));
            }
            return Ok(self.copy_out(&prepared).await?.map(Outcome::Done));
        }
        Ok(self.run_simple(&prepared, &[]).await?.map(Outcome::Done))
    }
}
