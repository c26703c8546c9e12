//! WITH: computed once, read any number of times; and WITH RECURSIVE.

use super::context::Charge;
use super::filter::Ready;
use super::set::row_key;
use super::{ExecContext, Operator, Row, RowIter};
use foldhash::{HashSet, HashSetExt};
use helios_planner::scalar::{Key, Order};
use helios_types::{Result, bail};
use std::sync::Arc;

#[derive(Debug)]
pub struct CteScanNode {
    pub id: u32,
    pub name: String,
}

/// Rows that others read as well.
struct SharedRows {
    rows: Arc<Vec<Row>>,
    next: usize,
}

impl Operator for CteScanNode {
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        match cx.state.ctes.get(&self.id) {
            Some(rows) => Ok(Box::new(SharedRows {
                rows: rows.clone(),
                next: 0,
            })),
            None => bail!(
                Internal,
                "WITH query \"{}\" is read before it is computed",
                self.name
            ),
        }
    }
    fn describe(&self) -> String {
        format!("CteScan: {}", self.name)
    }
}

impl RowIter for SharedRows {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        cx.tick()?;
        let row = self.rows.get(self.next).cloned();
        self.next += 1;
        Ok(row)
    }
}

/// All rows of an operator.
pub fn collect(
    operator: &Arc<dyn Operator>,
    charge: &mut Charge,
    cx: &mut ExecContext<'_>,
) -> Result<Vec<Row>> {
    let mut iter = operator.clone().open(cx)?;
    let mut rows = Vec::new();
    while let Some(row) = iter.next(cx)? {
        cx.tick()?;
        charge.add_row(&row)?;
        rows.push(row);
    }
    Ok(rows)
}

#[derive(Debug)]
pub struct MaterializeNode {
    /// Without a plan where the write path computes it before the program starts.
    pub ctes: Vec<(u32, Option<Arc<dyn Operator>>)>,
    pub body: Arc<dyn Operator>,
}

struct MaterializeIter {
    body: Box<dyn RowIter>,
    _charge: Charge,
}

impl Operator for MaterializeNode {
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        let mut charge = cx.charge();
        for (id, plan) in &self.ctes {
            match plan {
                Some(plan) => {
                    let rows = collect(plan, &mut charge, cx)?;
                    cx.state.ctes.insert(*id, Arc::new(rows));
                    // Under an outer row the rows differ from run to run, and so do the answers of
                    // subqueries that read them.
                    if !cx.state.frame.is_empty() {
                        cx.state.memo = Default::default();
                    }
                }
                None if cx.state.ctes.contains_key(id) => {}
                None => bail!(Internal, "data-modifying WITH query was not run"),
            }
        }
        let body = self.body.clone().open(cx)?;
        Ok(Box::new(MaterializeIter {
            body,
            _charge: charge,
        }))
    }
    fn describe(&self) -> String {
        format!("Materialize: {} CTE(s)", self.ctes.len())
    }
    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        self.ctes
            .iter()
            .filter_map(|(_, plan)| plan.as_ref())
            .chain([&self.body])
            .collect()
    }
}

impl RowIter for MaterializeIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        self.body.next(cx)
    }
}

#[derive(Debug)]
pub struct RecursiveNode {
    pub id: u32,
    pub start: Arc<dyn Operator>,
    pub step: Arc<dyn Operator>,
    pub distinct: bool,
    pub orders: Vec<Order>,
}

/// Gives each round's rows before it computes the next one, so that a LIMIT above ends a
/// recursion that would not end by itself.
struct RecursiveIter {
    node: Arc<RecursiveNode>,
    current: Ready,
    /// The round that is being given; the next one starts from it.
    working: Arc<Vec<Row>>,
    seen: HashSet<Key>,
    charge: Charge,
}

impl RecursiveIter {
    fn new_rows(&mut self, rows: Vec<Row>) -> Result<Vec<Row>> {
        if !self.node.distinct {
            return Ok(rows);
        }
        let mut out = Vec::new();
        for row in rows {
            let key = row_key(&row, &self.node.orders);
            if self.seen.contains(&key) {
                continue;
            }
            self.charge.add_row(&row)?;
            self.seen.insert(key);
            out.push(row);
        }
        Ok(out)
    }

    fn begin_round(&mut self, rows: Vec<Row>) -> Result<()> {
        let rows = self.new_rows(rows)?;
        self.current = Ready(rows.clone().into_iter());
        self.working = Arc::new(rows);
        Ok(())
    }
}

impl Operator for RecursiveNode {
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        let mut round = cx.charge();
        let rows = collect(&self.start, &mut round, cx)?;
        let mut iter = RecursiveIter {
            node: self,
            current: Ready(Vec::new().into_iter()),
            working: Arc::default(),
            seen: HashSet::new(),
            charge: cx.charge(),
        };
        iter.begin_round(rows)?;
        Ok(Box::new(iter))
    }
    fn describe(&self) -> String {
        format!(
            "RecursiveCte:{}",
            if self.distinct { " distinct" } else { "" }
        )
    }
    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        vec![&self.start, &self.step]
    }
}

impl RowIter for RecursiveIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        loop {
            if let Some(row) = self.current.next(cx)? {
                return Ok(Some(row));
            }
            if self.working.is_empty() {
                return Ok(None);
            }
            let outer = cx.state.ctes.insert(self.node.id, self.working.clone());
            let step = self.node.step.clone();
            // The table changes from round to round, so answers of subqueries over it do too.
            cx.state.memo = Default::default();
            let rows = collect(&step, &mut cx.charge(), cx);
            match outer {
                Some(outer) => cx.state.ctes.insert(self.node.id, outer),
                None => cx.state.ctes.remove(&self.node.id),
            };
            self.begin_round(rows?)?;
        }
    }
}
