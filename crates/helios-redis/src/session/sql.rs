//! Database 16: the tables of SQL as hashes, through the shared plan.

use super::serve::Connection;
use super::transaction::Queue;
use crate::codec::Args;
use crate::command::Command;
use helios_types::{Error, Result};
use tokio::io::{AsyncRead, AsyncWrite};

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    pub(super) async fn sql(&mut self, command: &'static Command, _: Args<'_>) -> Result<()> {
        Err(Error::unsupported(command.name))
    }

    pub(super) async fn exec_sql(&mut self, _: Queue) -> Result<()> {
        Err(Error::unsupported("EXEC on the database of SQL"))
    }

    pub(super) async fn explain(&mut self, _: Args<'_>) -> Result<()> {
        Err(Error::unsupported("HELIOS.EXPLAIN"))
    }
}
