//! ORDER BY: all rows sorted, or the first few kept in a heap when a limit stands above.

use super::filter::{Ready, row_count};
use super::{ExecContext, Operator, Row, RowIter};
use helios_planner::scalar::{CompiledExpr, SortOrder};
use helios_types::{Result, Value};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Largest number of rows for which a heap is kept instead of sorting everything.
const HEAP_MAX: u64 = 100_000;

#[derive(Debug)]
pub struct SortNode {
    pub input: Arc<dyn Operator>,
    pub keys: Vec<(CompiledExpr, SortOrder)>,
    /// Rows wanted, when the plan says so.
    pub fetch: Option<usize>,
    /// OFFSET and LIMIT of the node above, which still applies them.
    pub bound: Option<(Option<CompiledExpr>, CompiledExpr)>,
    pub label: String,
}

/// A row with the values that it is sorted by, and its number, which keeps the sort stable.
struct Sorted {
    keys: Vec<Value>,
    number: usize,
    row: Row,
}

fn compare(orders: &[SortOrder], a: &Sorted, b: &Sorted) -> Ordering {
    compare_keys(orders, &a.keys, &b.keys).then(a.number.cmp(&b.number))
}

pub fn compare_keys(orders: &[SortOrder], a: &[Value], b: &[Value]) -> Ordering {
    orders
        .iter()
        .zip(a.iter().zip(b))
        .map(|(order, (a, b))| order.compare(a, b))
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// The heap's greatest element is the row that has to go first.
struct Candidate(Sorted, Arc<[SortOrder]>);

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Candidate {}
impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.1, &self.0, &other.0)
    }
}

impl SortNode {
    fn wanted(&self, cx: &mut ExecContext<'_>) -> Result<Option<u64>> {
        let above = match &self.bound {
            Some((skip, fetch)) => {
                let skip = match skip {
                    Some(skip) => row_count(skip, "OFFSET", cx)?.unwrap_or(0),
                    None => 0,
                };
                row_count(fetch, "LIMIT", cx)?.map(|fetch| fetch.saturating_add(skip))
            }
            None => None,
        };
        Ok(match (self.fetch.map(|n| n as u64), above) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        })
    }

    fn sorted(&self, cx: &mut ExecContext<'_>) -> Result<Vec<Row>> {
        let wanted = self.wanted(cx)?;
        if wanted == Some(0) {
            return Ok(Vec::new());
        }
        let orders: Arc<[SortOrder]> = self.keys.iter().map(|(_, o)| *o).collect();
        let mut input = self.input.clone().open(cx)?;
        let mut number = 0;
        let mut next = |cx: &mut ExecContext<'_>| -> Result<Option<Sorted>> {
            let Some(row) = input.next(cx)? else {
                return Ok(None);
            };
            cx.tick()?;
            let keys = self
                .keys
                .iter()
                .map(|(e, _)| e.eval(&row, cx))
                .collect::<Result<Vec<_>>>()?;
            number += 1;
            Ok(Some(Sorted { keys, number, row }))
        };
        let mut charge = cx.charge();
        let mut rows = Vec::new();
        match wanted {
            Some(n) if n <= HEAP_MAX => {
                let mut heap = BinaryHeap::new();
                while let Some(row) = next(cx)? {
                    if (heap.len() as u64) < n {
                        charge.add_row(&row.row)?;
                        heap.push(Candidate(row, orders.clone()));
                    } else if let Some(mut greatest) = heap.peek_mut()
                        && compare(&orders, &row, &greatest.0).is_lt()
                    {
                        greatest.0 = row;
                    }
                }
                rows.extend(heap.into_sorted_vec().into_iter().map(|c| c.0));
            }
            _ => {
                while let Some(row) = next(cx)? {
                    charge.add_row(&row.row)?;
                    charge.add(std::mem::size_of_val(&row.keys[..]))?;
                    rows.push(row);
                }
                rows.sort_unstable_by(|a, b| compare(&orders, a, b));
                if let Some(n) = wanted {
                    rows.truncate(usize::try_from(n).unwrap_or(usize::MAX));
                }
            }
        }
        Ok(rows.into_iter().map(|s| s.row).collect())
    }
}

struct SortIter {
    node: Arc<SortNode>,
    rows: Option<Ready>,
}

impl Operator for SortNode {
    fn open(self: Arc<Self>, _: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        Ok(Box::new(SortIter {
            node: self,
            rows: None,
        }))
    }
    fn describe(&self) -> String {
        match self.fetch {
            Some(n) => format!("Sort: {}, fetch={n}", self.label),
            None => format!("Sort: {}", self.label),
        }
    }
    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        vec![&self.input]
    }
}

impl RowIter for SortIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        if self.rows.is_none() {
            self.rows = Some(Ready(self.node.sorted(cx)?.into_iter()));
        }
        match &mut self.rows {
            Some(rows) => rows.next(cx),
            None => Ok(None),
        }
    }
}
