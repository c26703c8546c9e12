//! DECLARE, FETCH, MOVE, CLOSE: cursors that SQL names.
//!
//! A plain cursor streams and goes forward only. One that is declared SCROLL or WITH HOLD has its
//! rows computed when it is declared, so that it can go back, and outlive its transaction.

use super::Session;
use super::cursor::Cursor;
use crate::apply::Row;
use crate::prepared::{Completion, CompletionTag};
use helios_planner::template::OutputColumn;
use helios_planner::utility::{DeclareCursor, FetchDirection};
use helios_types::value::{RowSink, Rows};
use helios_types::{Result, Value, bail};

pub(crate) struct SqlCursor {
    output: Vec<OutputColumn>,
    rows: CursorRows,
    with_hold: bool,
    /// The transaction that declared it has committed.
    held: bool,
}

enum CursorRows {
    Streaming(Cursor),
    Kept(Kept),
}

/// Rows with a place among them: 0 is before the first, their number plus one after the last.
struct Kept {
    rows: Vec<Row>,
    place: usize,
}

impl SqlCursor {
    /// Whether it stays when a transaction has ended.
    pub(crate) fn survives(&mut self, committed: bool) -> bool {
        self.held |= self.with_hold && committed;
        self.held
    }

    pub(crate) fn output(&self) -> &[OutputColumn] {
        &self.output
    }
}

impl Kept {
    /// Places of the rows that a fetch gives, in its order; moves there.
    fn advance(&mut self, direction: FetchDirection) -> Vec<usize> {
        let last = self.rows.len();
        let at = |place: i64| usize::try_from(place.clamp(0, last as i64 + 1)).unwrap_or(0);
        match direction {
            FetchDirection::All => self.forward(usize::MAX),
            FetchDirection::BackwardAll => self.backward(usize::MAX),
            FetchDirection::Count(0) | FetchDirection::Relative(0) => self.here(),
            FetchDirection::Count(n) if n > 0 => self.forward(usize::try_from(n).unwrap_or(0)),
            FetchDirection::Count(n) => {
                self.backward(usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX))
            }
            FetchDirection::Absolute(n) => {
                let from_end = (last as i64 + 1).saturating_add(n);
                self.place = at(if n < 0 { from_end } else { n });
                self.here()
            }
            FetchDirection::Relative(n) => {
                self.place = at((self.place as i64).saturating_add(n));
                self.here()
            }
        }
    }

    fn here(&self) -> Vec<usize> {
        let on_row = (1..=self.rows.len()).contains(&self.place);
        on_row.then_some(self.place).into_iter().collect()
    }

    fn forward(&mut self, n: usize) -> Vec<usize> {
        let end = self.place.saturating_add(n);
        let places = (self.place + 1..=end.min(self.rows.len())).collect();
        self.place = end.min(self.rows.len() + 1);
        places
    }

    fn backward(&mut self, n: usize) -> Vec<usize> {
        let end = self.place.saturating_sub(n);
        let places = (end.max(1)..self.place).rev().collect();
        self.place = end;
        places
    }
}

fn missing(name: &str) -> helios_types::Error {
    helios_types::error!(UndefinedCursor, "cursor \"{name}\" does not exist")
}

impl Session {
    /// The columns of a cursor that SQL declared.
    pub fn cursor_output(&self, name: &str) -> Option<&[OutputColumn]> {
        self.cursors.get(name).map(SqlCursor::output)
    }

    pub(super) async fn declare_cursor(&mut self, spec: &DeclareCursor) -> Result<Completion> {
        let name = &spec.name;
        if self.cursors.contains_key(name) {
            bail!(DuplicateCursor, "cursor \"{name}\" already exists");
        }
        let prepared = self.prepare(&spec.query, &[])?;
        let output = prepared.output.clone();
        let rows = if spec.with_hold || spec.scroll == Some(true) {
            let mut rows = Rows::default();
            Box::pin(self.execute_nested(&prepared, &[], &mut rows)).await?;
            CursorRows::Kept(Kept {
                rows: rows.0,
                place: 0,
            })
        } else {
            CursorRows::Streaming(self.open(&prepared, Vec::new()).await?)
        };
        let cursor = SqlCursor {
            output,
            rows,
            with_hold: spec.with_hold,
            // Outside a block its own transaction is over.
            held: spec.with_hold && !self.in_explicit_transaction(),
        };
        self.cursors.insert(name.clone(), cursor);
        Ok(Completion::utility("DECLARE CURSOR"))
    }

    pub(super) async fn sql_fetch(
        &mut self,
        name: &str,
        direction: FetchDirection,
        move_only: bool,
        sink: &mut dyn RowSink,
    ) -> Result<Completion> {
        let mut cursor = self.cursors.remove(name).ok_or_else(|| missing(name))?;
        let rows = self.fetch_rows(&mut cursor.rows, direction).await;
        self.cursors.insert(name.to_string(), cursor);
        let rows = rows?;
        if !move_only {
            for row in &rows {
                let values: Vec<_> = row.iter().map(Value::as_ref).collect();
                sink.row(&values)?;
            }
        }
        Ok(Completion {
            tag: CompletionTag::Utility(if move_only { "MOVE" } else { "FETCH" }),
            rows: rows.len() as u64,
        })
    }

    async fn fetch_rows(
        &mut self,
        rows: &mut CursorRows,
        direction: FetchDirection,
    ) -> Result<Vec<Row>> {
        let cursor = match rows {
            CursorRows::Kept(kept) => {
                let places = kept.advance(direction);
                return Ok(places.iter().map(|p| kept.rows[p - 1].clone()).collect());
            }
            CursorRows::Streaming(cursor) => cursor,
        };
        let max = match direction {
            FetchDirection::All => 0,
            FetchDirection::Count(n) | FetchDirection::Relative(n) if n > 0 => n.unsigned_abs(),
            _ => {
                return Err(helios_types::error!(
                    ObjectNotInPrerequisiteState,
                    "cursor can only scan forward"
                )
                .with_hint("Declare it with SCROLL option to enable backward scan."));
            }
        };
        let mut fetched = Rows::default();
        self.fetch(cursor, &mut fetched, max).await?;
        // RELATIVE gives the row it comes to, not those on the way.
        if let FetchDirection::Relative(n) = direction {
            let skipped = usize::try_from(n - 1).unwrap_or(usize::MAX);
            fetched.0 = fetched.0.into_iter().skip(skipped).collect();
        }
        Ok(fetched.0)
    }

    /// CLOSE of one or of all.
    pub(super) fn close_cursor(&mut self, name: Option<&str>) -> Result<Completion> {
        match name {
            Some(name) if self.cursors.remove(name).is_none() => Err(missing(name)),
            Some(_) => Ok(Completion::utility("CLOSE CURSOR")),
            None => {
                self.cursors.clear();
                Ok(Completion::utility("CLOSE CURSOR ALL"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(n: i32) -> Kept {
        Kept {
            rows: (1..=n).map(|i| vec![Value::Int4(i)]).collect(),
            place: 0,
        }
    }

    #[test]
    fn a_kept_cursor_goes_forward_back_and_to_places() {
        let mut c = kept(3);
        assert_eq!(c.advance(FetchDirection::Count(2)), [1, 2]);
        assert_eq!(c.advance(FetchDirection::Count(0)), [2]);
        assert_eq!(c.advance(FetchDirection::All), [3]);
        assert!(c.advance(FetchDirection::Count(1)).is_empty());
        assert_eq!(c.advance(FetchDirection::Count(-2)), [3, 2]);
        assert_eq!(c.advance(FetchDirection::BackwardAll), [1]);
        assert!(c.advance(FetchDirection::Count(-1)).is_empty());
        assert_eq!(c.advance(FetchDirection::Absolute(-1)), [3]);
        assert_eq!(c.advance(FetchDirection::Absolute(2)), [2]);
        assert_eq!(c.advance(FetchDirection::Relative(-1)), [1]);
        assert!(c.advance(FetchDirection::Absolute(9)).is_empty());
        assert_eq!(c.advance(FetchDirection::Count(-1)), [3]);
        assert!(c.advance(FetchDirection::Absolute(i64::MIN)).is_empty());
        assert_eq!(c.advance(FetchDirection::Count(i64::MAX)), [1, 2, 3]);
    }
}
