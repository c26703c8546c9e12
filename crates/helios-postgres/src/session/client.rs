//! The client's side of a connection: its stream, what it sent and what waits to be sent.

use crate::encode::Output;
use bytes::BytesMut;
use helios_net::Connection;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Output beyond this is written before more is made.
const HIGH_WATER_BYTES: usize = 64 * 1024;

pub struct Client {
    pub connection: Connection,
    /// Bytes read and not handled; the loop of an established connection takes it over.
    pub input: BytesMut,
    pub output: Output,
    flush_wanted: bool,
}

impl Client {
    pub fn new(connection: Connection) -> Self {
        Client {
            connection,
            input: BytesMut::new(),
            output: Output::default(),
            flush_wanted: false,
        }
    }

    /// The client waits for what is in the output: it is written before the next read.
    pub fn want_flush(&mut self) {
        self.flush_wanted = true;
    }

    pub fn wants_flush(&self) -> bool {
        self.flush_wanted || self.output.len() >= HIGH_WATER_BYTES
    }

    /// Writes everything that waits.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.flush_wanted = false;
        if self.output.is_empty() {
            return Ok(());
        }
        self.connection
            .stream
            .write_all(self.output.as_bytes())
            .await?;
        // TLS keeps what does not fill a record until it is flushed.
        self.connection.stream.flush().await?;
        self.output.clear();
        Ok(())
    }

    /// Writes what waits when there is much of it.
    pub async fn flush_if_large(&mut self) -> io::Result<()> {
        if self.output.len() >= HIGH_WATER_BYTES {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Reads more input; false at the end of the stream.
    pub async fn read(&mut self) -> io::Result<bool> {
        self.input.reserve(1024);
        Ok(self.connection.stream.read_buf(&mut self.input).await? > 0)
    }
}
