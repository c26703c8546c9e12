//! Rows into the output buffer, as DataRow or COPY messages.
//!
//! An executor calls the sink once a row with values borrowed from storage; nothing is collected.
//! A row that fails half way is taken back, so that the error that follows stands alone.

use super::Output;
use super::binary::write_binary;
use super::text::TextForm;
use crate::copy::CopyWriter;
use helios_types::value::RowSink;
use helios_types::{Result, Type, ValueRef, error, limits};
use smallvec::SmallVec;

/// A column's type and whether it goes out in binary.
#[derive(Clone, Copy, Debug)]
pub struct ColumnFormat {
    pub ty: Type,
    pub binary: bool,
}

/// How the rows of one portal are written.
#[derive(Clone, Debug, Default)]
pub struct RowFormat {
    pub columns: SmallVec<[ColumnFormat; 8]>,
    pub form: TextForm,
}

/// Writes DataRow messages.
#[derive(Debug)]
pub struct DataRows<'a> {
    pub out: &'a mut Output,
    pub format: &'a RowFormat,
    pub rows: u64,
}

impl<'a> DataRows<'a> {
    pub fn new(out: &'a mut Output, format: &'a RowFormat) -> Self {
        DataRows {
            out,
            format,
            rows: 0,
        }
    }

    fn append(&mut self, values: &[ValueRef<'_>]) -> Result<()> {
        let start = self.out.begin(b'D');
        self.out.i16(values.len() as u16 as i16);
        for (value, column) in values.iter().zip(&self.format.columns) {
            let out = &mut self.out.buffer;
            if value.is_null() {
                out.extend_from_slice(&(-1i32).to_be_bytes());
                continue;
            }
            let hole = out.len();
            out.extend_from_slice(&[0; 4]);
            if column.binary {
                write_binary(out, value, column.ty, &self.format.form)?;
            } else {
                self.format.form.write(out, value, column.ty)?;
            }
            let length = (out.len() - hole - 4) as i32;
            out[hole..hole + 4].copy_from_slice(&length.to_be_bytes());
        }
        if self.out.len() - start > limits::VALUE_BYTES_MAX {
            return Err(error!(LimitExceeded, "row is too large for a message"));
        }
        self.out.end(start);
        Ok(())
    }
}

impl RowSink for DataRows<'_> {
    fn row(&mut self, values: &[ValueRef<'_>]) -> Result<()> {
        if values.len() != self.format.columns.len() {
            return Err(helios_types::Error::internal(format!(
                "a row of {} values for {} columns",
                values.len(),
                self.format.columns.len()
            )));
        }
        let before = self.out.len();
        self.append(values)
            .inspect_err(|_| self.out.truncate(before))?;
        self.rows += 1;
        Ok(())
    }

    fn pending_bytes(&self) -> usize {
        self.out.len()
    }
}

/// Writes the rows of COPY TO, one CopyData message each.
#[derive(Debug)]
pub struct CopySink<'a> {
    pub out: &'a mut Output,
    pub writer: &'a mut CopyWriter,
    pub rows: u64,
}

impl RowSink for CopySink<'_> {
    fn row(&mut self, values: &[ValueRef<'_>]) -> Result<()> {
        let before = self.out.len();
        let start = self.out.begin(b'd');
        self.writer
            .write_row(&mut self.out.buffer, values)
            .inspect_err(|_| self.out.truncate(before))?;
        self.out.end(start);
        self.rows += 1;
        Ok(())
    }

    fn pending_bytes(&self) -> usize {
        self.out.len()
    }
}
