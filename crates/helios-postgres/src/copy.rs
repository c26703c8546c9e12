//! COPY data: text, CSV and binary, in and out, a row at a time.
//!
//! [`CopyReader`] takes bytes as they come, in pieces that end anywhere, and gives typed rows;
//! [`CopyWriter`] appends one row to a buffer. Neither knows the wire: the session moves the bytes
//! in and out of CopyData messages.

mod binary;
mod csv;
mod reader;
mod text;
mod writer;

pub use reader::CopyReader;
pub use writer::CopyWriter;

pub use helios_planner::utility::{CopyFormat, CopyHeader, CopyOptions};

use helios_types::Type;

/// A column of the data: its name, type and the CSV options that single it out.
#[derive(Clone, Debug)]
pub struct CopyColumn {
    pub name: String,
    pub ty: Type,
    pub force_quote: bool,
    pub force_not_null: bool,
    pub force_null: bool,
}

impl CopyColumn {
    /// The columns of the data, with what the options say of each.
    pub fn list(columns: impl Iterator<Item = (String, Type)>, options: &CopyOptions) -> Vec<Self> {
        columns
            .enumerate()
            .map(|(i, (name, ty))| CopyColumn {
                name,
                ty,
                force_quote: options.force_quote.contains(&i),
                force_not_null: options.force_not_null.contains(&i),
                force_null: options.force_null.contains(&i),
            })
            .collect()
    }
}

/// The defaults of a format, for tests.
fn default_options(format: CopyFormat) -> CopyOptions {
    let csv = format == CopyFormat::Csv;
    CopyOptions {
        format,
        delimiter: if csv { b',' } else { b'\t' },
        null: if csv { String::new() } else { "\\N".to_owned() },
        header: CopyHeader::None,
        quote: b'"',
        escape: b'"',
        force_quote: Vec::new(),
        force_not_null: Vec::new(),
        force_null: Vec::new(),
    }
}

/// Reads arbitrary bytes as COPY data of every format, whole and in two pieces.
pub fn fuzz(data: &[u8]) {
    use helios_types::text::TextContext;
    for format in [CopyFormat::Text, CopyFormat::Csv, CopyFormat::Binary] {
        let options = default_options(format);
        let columns = [Type::TEXT, Type::INT4]
            .into_iter()
            .map(|ty| (format!("c{}", ty.oid), ty));
        let columns = CopyColumn::list(columns, &options);
        for cut in [data.len(), data.len() / 2] {
            let mut reader =
                CopyReader::new(options.clone(), columns.clone(), TextContext::default());
            let mut row = Vec::new();
            let (first, second) = data.split_at(cut);
            for piece in [first, second] {
                let _ = reader.push(piece);
                while let Ok(true) = reader.next_row(&mut row, false) {}
            }
            while let Ok(true) = reader.next_row(&mut row, true) {}
        }
    }
}

#[cfg(test)]
mod tests;
