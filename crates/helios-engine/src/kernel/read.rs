//! The read kernel: a stored version to values.

use super::runtime::TableRuntime;
use helios_storage::{Header, RowRef, split_header};
use helios_types::json::JsonbRef;
use helios_types::{Error, ErrorKind, Result, Value, ValueRef};

/// A visible row, still encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowView<'a> {
    runtime: &'a TableRuntime,
    pub(crate) header: Header,
    body: &'a [u8],
    /// Columns that the row's schema version had.
    n_stored: usize,
}

impl TableRuntime {
    /// The row in a stored value, or `None` when it is a tombstone or has expired at `now_ms`.
    pub(crate) fn view<'a>(&'a self, value: &'a [u8], now_ms: u64) -> Result<Option<RowView<'a>>> {
        let (header, body) = split_header(value)?;
        self.view_of(header, body, now_ms)
    }

    /// The same for a value whose header was read already.
    pub(crate) fn view_of<'a>(
        &'a self,
        header: Header,
        body: &'a [u8],
        now_ms: u64,
    ) -> Result<Option<RowView<'a>>> {
        if header.is_tombstone() || header.expire_ms.is_some_and(|at| at <= now_ms) {
            return Ok(None);
        }
        let n_stored = match self.layouts.get(header.schema as usize) {
            Some(layout) => layout.columns(),
            None if self.is_document() => 0,
            None => {
                return Err(Error::new(
                    ErrorKind::DataCorrupted,
                    format!(
                        "row of table \"{}\" has unknown schema version {}",
                        self.table.name, header.schema
                    ),
                ));
            }
        };
        Ok(Some(RowView {
            runtime: self,
            header,
            body,
            n_stored,
        }))
    }

    /// The row in a stored value, decoded.
    pub(crate) fn decode(&self, value: &[u8], now_ms: u64) -> Result<Option<Vec<Value>>> {
        self.view(value, now_ms)?
            .map(|row| row.to_values())
            .transpose()
    }
}

/// A value that was stored as it is, or made from what was stored.
#[derive(Debug, Clone)]
pub(crate) enum Cell<'a> {
    Stored(ValueRef<'a>),
    Made(Value),
}

impl Cell<'_> {
    pub(crate) fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Cell::Stored(value) => value.clone(),
            Cell::Made(value) => value.as_ref(),
        }
    }

    pub(crate) fn into_value(self) -> Value {
        match self {
            Cell::Stored(value) => value.to_value(),
            Cell::Made(value) => value,
        }
    }
}

impl<'a> RowView<'a> {
    /// The value at a place of the row.
    pub(crate) fn column(&self, place: usize) -> Result<Cell<'a>> {
        if self.runtime.is_document() {
            return Ok(self.document_column(place));
        }
        let position = self.runtime.live[place];
        if position >= self.n_stored {
            return Ok(Cell::Stored(self.runtime.missing[place].as_ref()));
        }
        let layout = &self.runtime.layouts[self.header.schema as usize];
        Ok(Cell::Stored(
            RowRef::new(layout, self.body).column(position)?,
        ))
    }

    /// A document table's columns: `_id` as text, and the document.
    fn document_column(&self, place: usize) -> Cell<'a> {
        let document = JsonbRef {
            element: 3,
            bytes: self.body,
        };
        match place {
            0 => Cell::Made(match document.get("_id") {
                // A document may have null as its `_id`; the column is never NULL.
                Some(id) => id.to_text().map_or(Value::text("null"), Value::text),
                None => Value::Null,
            }),
            _ => Cell::Stored(ValueRef::Jsonb(document)),
        }
    }

    pub(crate) fn to_values(self) -> Result<Vec<Value>> {
        (0..self.runtime.live.len())
            .map(|place| Ok(self.column(place)?.into_value()))
            .collect()
    }
}
