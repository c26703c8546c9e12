//! DISTINCT, DISTINCT ON, INTERSECT and EXCEPT.

use super::context::Charge;
use super::filter::evaluate;
use super::{ExecContext, Operator, Row, RowIter};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use helios_planner::node::SetOperator;
use helios_planner::scalar::{CompiledExpr, Key, Order};
use helios_types::{Result, Value};
use std::sync::Arc;

/// The key of a whole row.
pub fn row_key(row: &[Value], orders: &[Order]) -> Key {
    Key(row
        .iter()
        .zip(orders)
        .map(|(v, o)| o.normal(v.clone()))
        .collect())
}

#[derive(Debug)]
pub struct DistinctNode {
    pub input: Arc<dyn Operator>,
    pub on: Vec<(CompiledExpr, Order)>,
    /// DISTINCT ON: what leaves the node.
    pub select: Option<Vec<CompiledExpr>>,
}

struct DistinctIter {
    node: Arc<DistinctNode>,
    input: Box<dyn RowIter>,
    seen: HashSet<Key>,
    charge: Charge,
}

impl Operator for DistinctNode {
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        let input = self.input.clone().open(cx)?;
        let charge = cx.charge();
        Ok(Box::new(DistinctIter {
            node: self,
            input,
            seen: HashSet::new(),
            charge,
        }))
    }
    fn describe(&self) -> String {
        if self.select.is_some() {
            "DistinctOn".into()
        } else {
            "Distinct".into()
        }
    }
    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        vec![&self.input]
    }
}

impl RowIter for DistinctIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        while let Some(row) = self.input.next(cx)? {
            cx.tick()?;
            let key = self
                .node
                .on
                .iter()
                .map(|(e, order)| Ok(order.normal(e.eval(&row, cx)?)))
                .collect::<Result<Vec<_>>>()?;
            let key = Key::new(key);
            if self.seen.contains(&key) {
                continue;
            }
            self.charge.add_row(&key.0)?;
            self.seen.insert(key);
            return match &self.node.select {
                Some(select) => evaluate(select, &row, cx).map(Some),
                None => Ok(Some(row)),
            };
        }
        Ok(None)
    }
}

#[derive(Debug)]
pub struct SetOperationNode {
    pub operator: SetOperator,
    pub all: bool,
    pub left: Arc<dyn Operator>,
    pub right: Arc<dyn Operator>,
    pub orders: Vec<Order>,
}

struct SetOperationIter {
    node: Arc<SetOperationNode>,
    left: Box<dyn RowIter>,
    /// How often each row of the right side may still be matched.
    right: HashMap<Key, usize>,
    given: HashSet<Key>,
    charge: Charge,
}

impl Operator for SetOperationNode {
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        let mut charge = cx.charge();
        let mut right = HashMap::new();
        let mut rows = self.right.clone().open(cx)?;
        while let Some(row) = rows.next(cx)? {
            cx.tick()?;
            charge.add_row(&row)?;
            *right.entry(row_key(&row, &self.orders)).or_insert(0) += 1;
        }
        let left = self.left.clone().open(cx)?;
        Ok(Box::new(SetOperationIter {
            node: self,
            left,
            right,
            given: HashSet::new(),
            charge,
        }))
    }
    fn describe(&self) -> String {
        format!(
            "SetOperation: {:?}{}",
            self.operator,
            if self.all { " all" } else { "" }
        )
    }
    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        vec![&self.left, &self.right]
    }
}

impl RowIter for SetOperationIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        while let Some(row) = self.left.next(cx)? {
            cx.tick()?;
            let key = row_key(&row, &self.node.orders);
            let matched = match self.right.get_mut(&key) {
                Some(count) if self.node.all => {
                    let matched = *count > 0;
                    *count = count.saturating_sub(1);
                    matched
                }
                other => other.is_some(),
            };
            if matched != (self.node.operator == SetOperator::Intersect) {
                continue;
            }
            if !self.node.all {
                if self.given.contains(&key) {
                    continue;
                }
                self.charge.add_row(&row)?;
                self.given.insert(key);
            }
            return Ok(Some(row));
        }
        Ok(None)
    }
}
