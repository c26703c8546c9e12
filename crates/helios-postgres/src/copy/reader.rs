//! Rows from the bytes of COPY FROM.

use super::{CopyColumn, CopyFormat, CopyHeader, CopyOptions, binary, csv, text};
use helios_types::text::{TextContext, parse_text};
use helios_types::{Result, Value, error, limits};

/// How the lines of the data end; the first line decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LineEnd {
    #[default]
    Unknown,
    Lf,
    Cr,
    CrLf,
}

/// A field as it stands in the data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    /// Escapes resolved.
    pub text: Vec<u8>,
    pub null: bool,
}

/// What was read of the next line.
enum Line {
    /// It is not complete, or there is none.
    None,
    /// Its fields, to be converted.
    Fields,
    /// The row itself.
    Row,
}

#[derive(Debug)]
pub struct CopyReader {
    options: CopyOptions,
    columns: Vec<CopyColumn>,
    context: TextContext,
    /// Bytes that came and are not consumed; `start` is where the next row begins.
    pending: Vec<u8>,
    start: usize,
    line_end: LineEnd,
    /// Fields of the row at hand; kept so that their buffers are used again.
    fields: Vec<Field>,
    line: u64,
    /// Bytes of the row at hand in `pending`.
    row: std::ops::Range<usize>,
    /// What was being read when an error came, for its context.
    fault: Option<String>,
    header_done: bool,
    /// The end marker or trailer was seen; what follows is ignored.
    finished: bool,
}

impl CopyReader {
    pub fn new(options: CopyOptions, columns: Vec<CopyColumn>, context: TextContext) -> Self {
        let header_done =
            options.format != CopyFormat::Binary && options.header == CopyHeader::None;
        CopyReader {
            options,
            columns,
            context,
            pending: Vec::new(),
            start: 0,
            line_end: LineEnd::default(),
            fields: Vec::new(),
            line: 0,
            row: 0..0,
            fault: None,
            header_done,
            finished: false,
        }
    }

    /// The line where the row that was read last ends, from one.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Where reading failed, as PostgreSQL says it.
    pub fn context(&self) -> String {
        let fault = self.fault.as_deref().unwrap_or_default();
        format!("line {}{fault}", self.line)
    }

    /// Notes that the whole row at hand is at fault.
    fn row_at_fault(&mut self) {
        let row = self.pending.get(self.row.clone()).unwrap_or_default();
        self.fault = Some(format!(": \"{}\"", shortened(row)));
    }

    pub fn push(&mut self, data: &[u8]) -> Result<()> {
        if self.finished {
            return Ok(());
        }
        self.pending.drain(..self.start);
        self.start = 0;
        if self.pending.len() + data.len() > limits::VALUE_BYTES_MAX {
            return Err(error!(LimitExceeded, "a row of the COPY data is too large"));
        }
        self.pending.extend_from_slice(data);
        Ok(())
    }

    /// Reads the next row into `row`. False means that more data is needed, or with `at_end`
    /// that there is none.
    pub fn next_row(&mut self, row: &mut Vec<Value>, at_end: bool) -> Result<bool> {
        row.clear();
        self.append_row(row, at_end)
    }

    /// Adds the values of the next row to those of the rows before it; after an error none of them.
    pub fn append_row(&mut self, rows: &mut Vec<Value>, at_end: bool) -> Result<bool> {
        let before = rows.len();
        let read = self.read_row(rows, at_end);
        if !matches!(read, Ok(true)) {
            rows.truncate(before);
        }
        read
    }

    /// Bytes of the data that the row at hand takes.
    pub fn row_bytes(&self) -> usize {
        self.row.len()
    }

    fn read_row(&mut self, row: &mut Vec<Value>, at_end: bool) -> Result<bool> {
        if self.options.format == CopyFormat::Binary {
            return self.next_binary(row, at_end);
        }
        loop {
            if self.finished {
                return Ok(false);
            }
            match self.next_line(row, at_end)? {
                Line::None => return Ok(false),
                Line::Row => return Ok(true),
                Line::Fields => {}
            }
            if self.header_done {
                break;
            }
            self.header_done = true;
            if self.options.header == CopyHeader::Match
                && let Err(error) = self.check_header()
            {
                self.row_at_fault();
                return Err(error);
            }
        }
        match self.convert(row) {
            Ok(()) => Ok(true),
            Err(error) => {
                if self.fault.is_none() {
                    self.row_at_fault();
                }
                Err(error)
            }
        }
    }

    fn next_line(&mut self, row: &mut Vec<Value>, at_end: bool) -> Result<Line> {
        let data = self.pending.get(self.start..).unwrap_or_default();
        let csv = self.options.format == CopyFormat::Csv;
        let found = if csv {
            csv::find_line(data, &self.options, &mut self.line_end, at_end)
        } else {
            text::find_line(data, &mut self.line_end, at_end)
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.line += 1;
                self.row = self.start..self.pending.len();
                self.row_at_fault();
                return Err(error);
            }
        };
        let Some((line, consumed)) = found else {
            return Ok(Line::None);
        };
        self.row = self.start..self.start + line;
        self.start += consumed;
        let line = data.get(..line).unwrap_or_default();
        if line == b"\\." {
            self.finished = true;
            return Ok(Line::None);
        }
        // A quoted value of CSV may go over several lines.
        let inside = memchr::memchr_iter(b'\n', line).count();
        self.line += 1 + inside as u64;
        if self.header_done {
            let before = row.len();
            if self.read_plain(line, row) {
                return Ok(Line::Row);
            }
            row.truncate(before);
        }
        let count = if csv {
            csv::split(line, &self.options, &mut self.fields)
        } else {
            text::split(line, &self.options, &mut self.fields)
        };
        match count {
            Ok(count) => {
                self.fields.truncate(count);
                Ok(Line::Fields)
            }
            Err(error) => {
                self.row_at_fault();
                Err(error)
            }
        }
    }

    /// Reads a line whose fields stand in it as they are: no quotes, no escapes, nothing wrong.
    /// False for all others, which take the way that knows about those.
    fn read_plain(&self, line: &[u8], row: &mut Vec<Value>) -> bool {
        let Ok(mut rest) = std::str::from_utf8(line) else {
            return false;
        };
        let null = self.options.null.as_str();
        let special = match self.options.format {
            CopyFormat::Csv => self.options.quote,
            _ => b'\\',
        };
        if memchr::memchr(0, line).is_some() {
            return false;
        }
        let mut columns = self.columns.iter().peekable();
        while let Some(column) = columns.next() {
            let end = memchr::memchr(self.options.delimiter, rest.as_bytes());
            let (field, after) = match (end, columns.peek()) {
                (Some(end), Some(_)) => (rest.get(..end), rest.get(end + 1..)),
                (None, None) => (Some(rest), Some("")),
                _ => return false,
            };
            let (Some(field), Some(after)) = (field, after) else {
                return false;
            };
            rest = after;
            if column.force_not_null || column.force_null {
                return false;
            }
            if field == null {
                row.push(Value::Null);
                continue;
            }
            if memchr::memchr(special, field.as_bytes()).is_some() {
                return false;
            }
            match parse_text(column.ty, field, &self.context) {
                Ok(value) => row.push(value),
                Err(_) => return false,
            }
        }
        !self.columns.is_empty()
    }

    fn check_header(&self) -> Result<()> {
        if self.fields.len() != self.columns.len() {
            return Err(error!(
                BadCopyFormat,
                "wrong number of fields in header line: field count is {}, expected {}",
                self.fields.len(),
                self.columns.len()
            ));
        }
        for (i, (field, column)) in self.fields.iter().zip(&self.columns).enumerate() {
            if field.text != column.name.as_bytes() {
                return Err(error!(
                    BadCopyFormat,
                    "column name mismatch in header line field {}: got \"{}\", expected \"{}\"",
                    i + 1,
                    String::from_utf8_lossy(&field.text),
                    column.name
                ));
            }
        }
        Ok(())
    }

    fn convert(&mut self, row: &mut Vec<Value>) -> Result<()> {
        if self.fields.len() > self.columns.len() {
            return Err(error!(
                BadCopyFormat,
                "extra data after last expected column"
            ));
        }
        for (i, column) in self.columns.iter().enumerate() {
            let Some(field) = self.fields.get(i) else {
                return Err(error!(
                    BadCopyFormat,
                    "missing data for column \"{}\"", column.name
                ));
            };
            let null = (field.null && !column.force_not_null)
                || (column.force_null && field.text == self.options.null.as_bytes());
            row.push(if null {
                Value::Null
            } else {
                let shown = || {
                    let name = &column.name;
                    Some(format!(", column {name}: \"{}\"", shortened(&field.text)))
                };
                let text = crate::codec::utf8(&field.text)?;
                if memchr::memchr(0, &field.text).is_some() {
                    return Err(error!(
                        InvalidEncoding,
                        "invalid byte sequence for encoding \"UTF8\": 0x00"
                    ));
                }
                parse_text(column.ty, text, &self.context).inspect_err(|_| self.fault = shown())?
            });
        }
        Ok(())
    }

    fn next_binary(&mut self, row: &mut Vec<Value>, at_end: bool) -> Result<bool> {
        if !self.header_done {
            let data = self.pending.get(self.start..).unwrap_or_default();
            match binary::read_header(data)? {
                Some(consumed) => {
                    self.start += consumed;
                    self.header_done = true;
                }
                None if at_end => {
                    return Err(error!(BadCopyFormat, "COPY file signature not recognized"));
                }
                None => return Ok(false),
            }
        }
        if self.finished {
            return Ok(false);
        }
        let data = self.pending.get(self.start..).unwrap_or_default();
        match binary::read_row(data, &self.columns, &self.context, row)? {
            binary::Read::Row(consumed) => {
                self.row = self.start..self.start + consumed;
                self.start += consumed;
                self.line += 1;
                Ok(true)
            }
            binary::Read::Trailer => {
                self.finished = true;
                Ok(false)
            }
            binary::Read::More if at_end && !data.is_empty() => {
                Err(error!(BadCopyFormat, "unexpected EOF in COPY data"))
            }
            binary::Read::More => Ok(false),
        }
    }
}

/// Data as an error shows it: not more than its beginning.
fn shortened(data: &[u8]) -> String {
    const SHOWN: usize = 100;
    let text = String::from_utf8_lossy(data);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}

impl LineEnd {
    /// Notes how a line ended; a file that mixes line ends is damaged.
    pub(super) fn settle(&mut self, seen: LineEnd, csv: bool) -> Result<()> {
        if *self == LineEnd::Unknown {
            *self = seen;
        }
        if *self == seen {
            return Ok(());
        }
        let what = if seen == LineEnd::Lf {
            "newline"
        } else {
            "carriage return"
        };
        let kind = if csv { "unquoted" } else { "literal" };
        let hint = match (csv, seen) {
            (true, LineEnd::Lf) => "Use quoted CSV field to represent newline.",
            (true, _) => "Use quoted CSV field to represent carriage return.",
            (false, LineEnd::Lf) => "Use \"\\n\" to represent newline.",
            (false, _) => "Use \"\\r\" to represent carriage return.",
        };
        Err(error!(BadCopyFormat, "{kind} {what} found in data").with_hint(hint))
    }
}

/// The next free field buffer, emptied.
pub(super) fn next_field(fields: &mut Vec<Field>, index: usize) -> Result<&mut Field> {
    if index >= limits::COLUMNS_MAX {
        return Err(error!(
            BadCopyFormat,
            "extra data after last expected column"
        ));
    }
    if index == fields.len() {
        fields.push(Field::default());
    }
    let field = fields
        .get_mut(index)
        .ok_or_else(|| error!(BadCopyFormat, "too many fields"))?;
    field.text.clear();
    field.null = false;
    Ok(field)
}
