//! Answers to bytes: messages are built in place in one output buffer per connection.
//!
//! A message is begun with its tag and a hole for the length, filled, and ended; rows go from
//! borrowed values straight into the buffer (`row`), so that a point read costs one buffer append
//! and, at the end of the batch, one write to the socket.

mod binary;
mod message;
mod row;
mod text;

pub use binary::{EPOCH_DAYS, EPOCH_MICROS, write_with_length};
pub use message::{Field, Severity, Transaction};
pub use row::{ColumnFormat, CopySink, DataRows, RowFormat};
pub use text::{Names, TextForm, prints_name};

/// Bytes that wait to be sent, in message order.
#[derive(Debug, Default)]
pub struct Output {
    buffer: Vec<u8>,
}

/// A buffer that a large result has grown beyond this is given back.
const KEPT_BYTES_MAX: usize = 1 << 20;

impl Output {
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer
    }

    pub fn clear(&mut self) {
        self.buffer.clear();
        if self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = Vec::new();
        }
    }

    /// Takes back everything after `length`: an error replaces what it interrupts.
    pub fn truncate(&mut self, length: usize) {
        self.buffer.truncate(length);
    }

    /// Starts a message; give the result to [`Output::end`].
    fn begin(&mut self, tag: u8) -> usize {
        self.buffer.extend_from_slice(&[tag, 0, 0, 0, 0]);
        self.buffer.len() - 4
    }

    fn end(&mut self, start: usize) {
        let length = (self.buffer.len() - start) as i32;
        self.buffer[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn i16(&mut self, value: i16) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    fn i32(&mut self, value: i32) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    /// A zero-terminated string; a zero inside would end it early for the client, so it is cut.
    fn text(&mut self, text: &str) {
        let text = text.split('\0').next().unwrap_or_default();
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.push(0);
    }
}
