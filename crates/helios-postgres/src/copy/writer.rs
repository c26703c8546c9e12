//! Rows to the bytes of COPY TO.

use super::{CopyColumn, CopyFormat, CopyHeader, CopyOptions, binary, csv, text};
use crate::encode::{TextForm, write_with_length};
use helios_types::{Result, ValueRef};

#[derive(Debug)]
pub struct CopyWriter {
    options: CopyOptions,
    columns: Vec<CopyColumn>,
    form: TextForm,
    /// The field at hand, before its escapes.
    field: Vec<u8>,
}

impl CopyWriter {
    pub fn new(options: CopyOptions, columns: Vec<CopyColumn>, form: TextForm) -> Self {
        CopyWriter {
            options,
            columns,
            form,
            field: Vec::new(),
        }
    }

    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    pub fn is_binary(&self) -> bool {
        self.options.format == CopyFormat::Binary
    }

    /// What stands before the first row, if anything does.
    pub fn header(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.is_binary() {
            out.extend_from_slice(binary::SIGNATURE);
            out.extend_from_slice(&[0; 8]);
        } else if self.options.header != CopyHeader::None {
            for (i, column) in self.columns.iter().enumerate() {
                if i > 0 {
                    out.push(self.options.delimiter);
                }
                let name = column.name.as_bytes();
                match self.options.format {
                    CopyFormat::Csv => csv::escape(&mut out, name, &self.options, false, false),
                    _ => text::escape(&mut out, name, self.options.delimiter),
                }
            }
            out.push(b'\n');
        }
        out
    }

    /// What stands after the last row.
    pub fn trailer(&self) -> &'static [u8] {
        if self.is_binary() { &[0xff, 0xff] } else { b"" }
    }

    pub fn write_row(&mut self, out: &mut Vec<u8>, values: &[ValueRef<'_>]) -> Result<()> {
        if self.is_binary() {
            out.extend_from_slice(&(values.len() as i16).to_be_bytes());
            for (value, column) in values.iter().zip(&self.columns) {
                write_with_length(out, value, column.ty, &self.form)?;
            }
            return Ok(());
        }
        let only_column = values.len() == 1;
        for (i, (value, column)) in values.iter().zip(&self.columns).enumerate() {
            if i > 0 {
                out.push(self.options.delimiter);
            }
            if value.is_null() {
                out.extend_from_slice(self.options.null.as_bytes());
                continue;
            }
            self.field.clear();
            self.form.write(&mut self.field, value, column.ty)?;
            match self.options.format {
                CopyFormat::Csv => csv::escape(
                    out,
                    &self.field,
                    &self.options,
                    column.force_quote,
                    only_column,
                ),
                _ => text::escape(out, &self.field, self.options.delimiter),
            }
        }
        out.push(b'\n');
        Ok(())
    }
}
