//! What each message does.
//!
//! A [`Conversation`] is the state between messages: the engine's session, the client's prepared
//! statements and portals, a COPY that is under way. Messages of the extended protocol after an
//! error are skipped up to Sync; the statements of a pipeline up to Sync are one implicit
//! transaction.

mod copy;
mod extended;
mod run;
mod simple;

use crate::codec::{self, Frontend, Header};
use crate::config::Config;
use crate::encode::{Output, Severity, Transaction};
use crate::error::{log_internal, severity};
use crate::session::{Client, Presentation};
use copy::CopyState;
use extended::Portal;
use helios_engine::{Notice, Prepared, Session, TransactionStatus};
use helios_types::{Error, Result, error};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

/// Whether the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    Close,
}

pub struct Conversation {
    pub client: Client,
    pub session: Session,
    pub message_bytes_max: usize,
    prepared_max: usize,
    presentation: Presentation,
    unnamed_statement: Option<Arc<Prepared>>,
    statements: HashMap<String, Arc<Prepared>>,
    unnamed_portal: Option<Portal>,
    portals: HashMap<String, Portal>,
    /// After an error in the extended protocol: everything but Sync is skipped.
    skipping: bool,
    /// Whether an implicit transaction may be open until Sync.
    pipeline: bool,
    copy: Option<CopyState>,
    /// The mark of the settings that the client was told of last.
    settings_mark: Option<Arc<str>>,
    /// A fatal error was reported.
    closing: bool,
}

impl Conversation {
    pub fn new(client: Client, session: Session, config: &Config) -> Self {
        let mut presentation = Presentation::default();
        // The client was told all of them at start-up.
        let _ = presentation.changes(&session);
        let settings_mark = Some(session.time_zone().clone());
        Conversation {
            client,
            session,
            message_bytes_max: config.message_bytes_max,
            prepared_max: config.prepared_max,
            presentation,
            unnamed_statement: None,
            statements: HashMap::new(),
            unnamed_portal: None,
            portals: HashMap::new(),
            skipping: false,
            pipeline: false,
            copy: None,
            settings_mark,
            closing: false,
        }
    }

    /// Tells the client why the connection ends, and ends it.
    pub async fn end(&mut self, error: &Error) -> io::Result<()> {
        self.client.output.error(Severity::Fatal, error, None);
        self.client.flush().await
    }

    /// Does what one message asks.
    pub async fn message(&mut self, header: Header, body: &[u8]) -> io::Result<Flow> {
        let message = match codec::decode_message(header, body) {
            Ok(message) => message,
            Err(error) => return self.malformed(header, error).await,
        };
        if self.copy.is_some() {
            return self.copy_message(header, message).await;
        }
        match message {
            Frontend::Query(text) => self.simple_query(text).await?,
            Frontend::Sync => self.sync().await,
            Frontend::Terminate => return Ok(Flow::Close),
            // What is left of a COPY that failed.
            Frontend::CopyData(_) | Frontend::CopyDone | Frontend::CopyFail(_) => {}
            Frontend::FunctionCall => {
                self.fail(Error::unsupported("the function call message"));
                self.ready();
            }
            Frontend::Password(_) => {
                let error = error!(ProtocolViolation, "unexpected password message");
                self.end(&error).await?;
                return Ok(Flow::Close);
            }
            _ if self.skipping => {}
            Frontend::Flush => self.client.want_flush(),
            Frontend::Parse(parse) => {
                let result = self.parse(parse);
                self.extended(result);
            }
            Frontend::Bind(bind) => {
                let result = self.bind(bind);
                self.extended(result);
            }
            Frontend::Describe(target) => {
                let result = self.describe(target);
                self.extended(result);
            }
            Frontend::Close(target) => self.close(target),
            Frontend::Execute { portal, max_rows } => {
                let result = self.execute(portal, max_rows).await?;
                self.extended(result);
            }
        }
        self.client.flush_if_large().await?;
        Ok(if self.closing {
            Flow::Close
        } else {
            Flow::Continue
        })
    }

    /// A message whose length was right and whose content is not.
    async fn malformed(&mut self, header: Header, error: Error) -> io::Result<Flow> {
        match header.tag {
            b'Q' => {
                self.fail(error);
                self.ready();
            }
            b'S' => self.sync().await,
            _ if self.skipping => {}
            _ => self.extended(Err(error)),
        }
        Ok(Flow::Continue)
    }

    /// Reports the error of a message of the extended protocol and skips to Sync.
    fn extended(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.session.fail_transaction();
            self.fail(error);
            self.skipping = true;
        }
    }

    /// Reports an error to the client, after the notices that came before it.
    fn fail(&mut self, error: Error) {
        self.fail_in_context(error, None);
    }

    /// [`Conversation::fail`] with what the server was doing.
    fn fail_in_context(&mut self, mut error: Error, context: Option<&str>) {
        self.notices();
        log_internal(&mut error);
        let severity = severity(&error);
        self.closing |= severity == Severity::Fatal;
        self.client.output.error(severity, &error, context);
        self.client.want_flush();
    }

    /// Sends notices and changed settings after a statement.
    fn notices(&mut self) {
        for notice in self.session.take_notices() {
            write_notice(&mut self.client.output, &notice);
        }
        let mark = self.session.time_zone();
        if self
            .settings_mark
            .as_ref()
            .is_some_and(|m| Arc::ptr_eq(m, mark))
        {
            return;
        }
        self.settings_mark = Some(mark.clone());
        for (name, value) in self.presentation.changes(&self.session) {
            self.client
                .output
                .parameter_status(crate::session::display_name(name), &value);
        }
    }

    fn ready(&mut self) {
        let status = match self.session.transaction_status() {
            TransactionStatus::Idle => Transaction::Idle,
            TransactionStatus::Open => Transaction::Open,
            TransactionStatus::Failed => Transaction::Failed,
        };
        self.client.output.ready_for_query(status);
        self.client.want_flush();
    }
}

pub fn write_notice(output: &mut Output, notice: &Notice) {
    let severity = match notice.severity {
        "WARNING" => Severity::Warning,
        "INFO" => Severity::Info,
        "LOG" => Severity::Log,
        "DEBUG" => Severity::Debug,
        _ => Severity::Notice,
    };
    let sqlstate = std::str::from_utf8(&notice.sqlstate).unwrap_or("00000");
    output.notice(
        severity,
        sqlstate,
        &notice.message,
        notice.detail.as_deref(),
        notice.hint.as_deref(),
    );
}
