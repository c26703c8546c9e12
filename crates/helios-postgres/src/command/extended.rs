//! The extended query protocol: Parse, Bind, Describe, Execute, Close, Sync.
//!
//! Everything between two Syncs is a pipeline and one implicit transaction: it commits at Sync,
//! and after an error the rest is skipped and rolled back there.

use super::Conversation;
use super::run::{client_type, fields};
use crate::codec::{Bind, Parse, Target};
use crate::encode::{DataRows, RowFormat};
use crate::parameter::{decode_binary, decode_text};
use helios_engine::{Cursor, Fetched, Prepared};
use helios_planner::utility::Utility;
use helios_types::{Error, Result, Type, Value, bail, error};
use std::io;
use std::sync::Arc;

/// A statement with its parameters.
pub struct Portal {
    statement: Arc<Prepared>,
    params: Vec<Value>,
    format: RowFormat,
    state: PortalState,
}

enum PortalState {
    New,
    /// Suspended by a row limit.
    Suspended(Box<Cursor>),
    Done,
}

impl Conversation {
    pub(super) fn parse(&mut self, parse: Parse<'_>) -> Result<()> {
        if !parse.name.is_empty() {
            if self.statements.contains_key(parse.name) {
                bail!(
                    DuplicateStatement,
                    "prepared statement \"{}\" already exists",
                    parse.name
                );
            }
            self.check_room()?;
        }
        let types: Vec<Option<Type>> = parse
            .parameter_types()
            .map(|oid| Some(Type::new(oid)).filter(|ty| oid != 0 && *ty != Type::UNKNOWN))
            .collect();
        let prepared = self.session.prepare(parse.query, &types)?;
        if parse.name.is_empty() {
            self.unnamed_statement = Some(prepared);
        } else {
            self.statements.insert(parse.name.to_owned(), prepared);
        }
        self.client.output.parse_complete();
        Ok(())
    }

    fn check_room(&self) -> Result<()> {
        if self.statements.len() + self.portals.len() >= self.prepared_max {
            bail!(
                LimitExceeded,
                "too many prepared statements and portals, the limit is {}",
                self.prepared_max
            );
        }
        Ok(())
    }

    fn statement(&self, name: &str) -> Result<&Arc<Prepared>> {
        let found = if name.is_empty() {
            self.unnamed_statement.as_ref()
        } else {
            self.statements
                .get(name)
                .or_else(|| self.session.prepared_statement(name))
        };
        found.ok_or_else(|| match name {
            "" => error!(
                UndefinedStatement,
                "unnamed prepared statement does not exist"
            ),
            name => error!(
                UndefinedStatement,
                "prepared statement \"{name}\" does not exist"
            ),
        })
    }

    fn portal(&mut self, name: &str) -> Result<&mut Portal> {
        let found = if name.is_empty() {
            self.unnamed_portal.as_mut()
        } else {
            self.portals.get_mut(name)
        };
        found.ok_or_else(|| error!(UndefinedCursor, "portal \"{name}\" does not exist"))
    }

    pub(super) fn bind(&mut self, bind: Bind<'_>) -> Result<()> {
        let statement = self.statement(bind.statement)?.clone();
        if !bind.portal.is_empty() {
            if self.portals.contains_key(bind.portal) {
                bail!(DuplicateCursor, "cursor \"{}\" already exists", bind.portal);
            }
            self.check_room()?;
        }
        // The portal that is replaced gives its buffer.
        let old = if bind.portal.is_empty() {
            self.unnamed_portal.take()
        } else {
            None
        };
        let mut params = old.map(|portal| portal.params).unwrap_or_default();
        params.clear();
        self.decode_parameters(&bind, &statement, &mut params)?;
        let format = self.result_format(&bind, &statement)?;
        let portal = Portal {
            statement,
            params,
            format,
            state: PortalState::New,
        };
        if bind.portal.is_empty() {
            self.unnamed_portal = Some(portal);
        } else {
            self.portals.insert(bind.portal.to_owned(), portal);
        }
        self.client.output.bind_complete();
        Ok(())
    }

    fn decode_parameters(
        &mut self,
        bind: &Bind<'_>,
        statement: &Prepared,
        params: &mut Vec<Value>,
    ) -> Result<()> {
        let wanted = statement.params.len();
        if bind.parameter_count() != wanted {
            bail!(
                ProtocolViolation,
                "bind message supplies {} parameters, but prepared statement \"{}\" requires {wanted}",
                bind.parameter_count(),
                bind.statement
            );
        }
        if wanted == 0 {
            return Ok(());
        }
        params.reserve(wanted);
        let context = self.presentation.context(&self.session);
        let mut names = None;
        for (i, (bytes, ty)) in bind.values().zip(&statement.params).enumerate() {
            let Some(bytes) = bytes else {
                params.push(Value::Null);
                continue;
            };
            params.push(match bind.parameter_format(i) {
                0 if crate::encode::prints_name(*ty) => {
                    let names = names.get_or_insert_with(|| crate::session::names(&self.session));
                    names.parse(*ty, crate::codec::utf8(bytes)?)?
                }
                0 => decode_text(bytes, *ty, context)?,
                1 => decode_binary(bytes, *ty, context)?,
                code => bail!(InvalidParameterValue, "unsupported format code: {code}"),
            });
        }
        Ok(())
    }

    fn result_format(&mut self, bind: &Bind<'_>, statement: &Prepared) -> Result<RowFormat> {
        let columns = statement.output.len();
        let codes: smallvec::SmallVec<[i16; 16]> = bind.result_formats().collect();
        if codes.len() > 1 && codes.len() != columns {
            bail!(
                ProtocolViolation,
                "bind message has {} result formats but query has {columns} columns",
                codes.len()
            );
        }
        if let Some(code) = codes.iter().find(|code| !matches!(code, 0 | 1)) {
            bail!(InvalidParameterValue, "unsupported format code: {code}");
        }
        let binary = |i: usize| match codes.as_slice() {
            [] => false,
            [all] => *all == 1,
            each => each.get(i) == Some(&1),
        };
        Ok(self.row_format(statement, binary))
    }

    pub(super) fn describe(&mut self, target: Target<'_>) -> Result<()> {
        match target {
            Target::Statement(name) => {
                let statement = self.statement(name)?.clone();
                let types: Vec<Type> = statement.params.iter().map(|ty| client_type(*ty)).collect();
                let output = &mut self.client.output;
                output.parameter_description(&types);
                match statement.output.as_slice() {
                    [] => output.no_data(),
                    columns => output.row_description(fields(columns, |_| false)),
                }
            }
            // A cursor that SQL declared is a portal of its name, as in PostgreSQL.
            Target::Portal(name)
                if !self.portals.contains_key(name)
                    && self.session.cursor_output(name).is_some() =>
            {
                if let Some(columns) = self.session.cursor_output(name) {
                    let output = &mut self.client.output;
                    output.row_description(fields(columns, |_| false));
                }
            }
            Target::Portal(name) => {
                let (statement, binary) = {
                    let portal = self.portal(name)?;
                    let binary: smallvec::SmallVec<[bool; 16]> =
                        portal.format.columns.iter().map(|c| c.binary).collect();
                    (portal.statement.clone(), binary)
                };
                let output = &mut self.client.output;
                match statement.output.as_slice() {
                    [] => output.no_data(),
                    columns => output.row_description(fields(columns, |i| {
                        binary.get(i).copied().unwrap_or_default()
                    })),
                }
            }
        }
        Ok(())
    }

    pub(super) fn close(&mut self, target: Target<'_>) {
        // Closing what does not exist is no error.
        match target {
            Target::Statement("") => self.unnamed_statement = None,
            Target::Statement(name) => drop(self.statements.remove(name)),
            Target::Portal("") => self.unnamed_portal = None,
            Target::Portal(name) => drop(self.portals.remove(name)),
        }
        self.client.output.close_complete();
    }

    /// Runs a portal, up to `max_rows` rows of it (0: all). The outer error is the connection's.
    pub(super) async fn execute(&mut self, name: &str, max_rows: u32) -> io::Result<Result<()>> {
        let taken = if name.is_empty() {
            self.unnamed_portal.take()
        } else {
            self.portals.remove(name)
        };
        let Some(mut portal) = taken else {
            return Ok(Err(error!(
                UndefinedCursor,
                "portal \"{name}\" does not exist"
            )));
        };
        if !self.pipeline {
            self.pipeline = true;
            self.session.begin_implicit();
        }
        let result = self.execute_portal(&mut portal, name, max_rows).await?;
        if name.is_empty() {
            self.unnamed_portal = Some(portal);
        } else {
            self.portals.insert(name.to_owned(), portal);
        }
        Ok(result)
    }

    async fn execute_portal(
        &mut self,
        portal: &mut Portal,
        name: &str,
        max_rows: u32,
    ) -> io::Result<Result<()>> {
        if let Some(Utility::Copy(copy)) = portal.statement.utility() {
            portal.state = PortalState::Done;
            if copy.from {
                return Ok(self.start_copy_in(&portal.statement, true).await);
            }
            let result = self.copy_out(&portal.statement).await?;
            return Ok(result.map(|completion| self.complete(&completion)));
        }
        match std::mem::replace(&mut portal.state, PortalState::Done) {
            PortalState::New if max_rows == 0 || portal.statement.output.is_empty() => {
                let result = self
                    .run_to_end(&portal.statement, &portal.params, &portal.format)
                    .await?;
                Ok(result.map(|completion| self.complete(&completion)))
            }
            PortalState::New => {
                match self
                    .session
                    .open(&portal.statement, portal.params.clone())
                    .await
                {
                    Ok(cursor) => self.fetch(portal, Box::new(cursor), max_rows).await,
                    Err(error) => Ok(Err(error)),
                }
            }
            PortalState::Suspended(cursor) => self.fetch(portal, cursor, max_rows).await,
            PortalState::Done if portal.statement.output.is_empty() => Ok(Err(Error::new(
                helios_types::ErrorKind::ObjectNotInPrerequisiteState,
                format!("portal \"{name}\" cannot be run"),
            ))),
            PortalState::Done => {
                self.client.output.command_tag("SELECT ", "0");
                Ok(Ok(()))
            }
        }
    }

    /// Fetches from a portal; with rows left it is suspended again.
    async fn fetch(
        &mut self,
        portal: &mut Portal,
        mut cursor: Box<Cursor>,
        max_rows: u32,
    ) -> io::Result<Result<()>> {
        let limit = u64::from(max_rows);
        let mut fetched = 0;
        loop {
            let mut sink = DataRows::new(&mut self.client.output, &portal.format);
            let left = if limit == 0 { 0 } else { limit - fetched };
            let result = self.session.fetch(&mut cursor, &mut sink, left).await;
            fetched += sink.rows;
            match result {
                Ok(Fetched::More) if limit != 0 && fetched >= limit => {
                    portal.state = PortalState::Suspended(cursor);
                    self.client.output.portal_suspended();
                    return Ok(Ok(()));
                }
                Ok(Fetched::More) => self.client.flush().await?,
                Ok(Fetched::Done(mut completion)) => {
                    // The tag counts the rows of this Execute.
                    completion.rows = fetched;
                    self.complete(&completion);
                    return Ok(Ok(()));
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    pub(super) async fn sync(&mut self) {
        self.end_pipeline().await;
        self.ready();
    }

    /// Commits what the pipeline did, or rolls it back after an error.
    pub(super) async fn end_pipeline(&mut self) {
        let commit = !self.skipping;
        self.skipping = false;
        if self.pipeline {
            self.pipeline = false;
            if let Err(error) = self.session.end_implicit(commit).await {
                self.fail(error);
            } else {
                self.notices();
            }
        }
        // Portals live as long as their transaction.
        if self.session.transaction_status() == helios_engine::TransactionStatus::Idle {
            self.portals.clear();
            if let Some(portal) = &mut self.unnamed_portal {
                portal.state = PortalState::Done;
            }
        }
    }
}
