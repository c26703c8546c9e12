//! The right side is run again for every left row.

use super::{JoinKind, combine, pad};
use crate::apply::filter::evaluate;
use crate::apply::subquery::with_frame;
use crate::apply::{ExecContext, Operator, Row, RowIter};
use helios_planner::scalar::CompiledExpr;
use helios_types::{Result, Value};
use std::sync::Arc;

#[derive(Debug)]
pub struct LateralNode {
    pub left: Arc<dyn Operator>,
    pub right: Arc<dyn Operator>,
    /// What fills the right side's frame from a left row.
    pub captures: Vec<CompiledExpr>,
    pub filter: Option<CompiledExpr>,
    pub kind: JoinKind,
    pub right_width: usize,
    pub label: String,
}

struct LateralIter {
    node: Arc<LateralNode>,
    left: Box<dyn RowIter>,
    current: Option<Current>,
}

struct Current {
    row: Row,
    frame: Arc<[Value]>,
    right: Box<dyn RowIter>,
    matched: bool,
}

impl Operator for LateralNode {
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        let left = self.left.clone().open(cx)?;
        Ok(Box::new(LateralIter {
            node: self,
            left,
            current: None,
        }))
    }
    fn describe(&self) -> String {
        self.label.clone()
    }
    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        vec![&self.left, &self.right]
    }
}

impl LateralIter {
    fn begin(&mut self, row: Row, cx: &mut ExecContext<'_>) -> Result<Current> {
        let frame: Arc<[Value]> = evaluate(&self.node.captures, &row, cx)?.into();
        let right = self.node.right.clone();
        let right = with_frame(cx, frame.clone(), |cx| right.open(cx))?;
        Ok(Current {
            row,
            frame,
            right,
            matched: false,
        })
    }

    /// What the left row gives when its right side is at its end.
    fn finish(&self, current: Current) -> Option<Row> {
        match self.node.kind {
            JoinKind::Left | JoinKind::Full if !current.matched => {
                Some(pad(current.row, self.node.right_width))
            }
            JoinKind::Anti { .. } if !current.matched => Some(current.row),
            JoinKind::Mark => {
                let mut row = current.row;
                row.push(Value::Bool(current.matched));
                Some(row)
            }
            _ => None,
        }
    }
}

impl RowIter for LateralIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        loop {
            cx.tick()?;
            let mut current = match self.current.take() {
                Some(current) => current,
                None => match self.left.next(cx)? {
                    Some(row) => self.begin(row, cx)?,
                    None => return Ok(None),
                },
            };
            let frame = current.frame.clone();
            let Some(right) = with_frame(cx, frame, |cx| current.right.next(cx))? else {
                match self.finish(current) {
                    Some(row) => return Ok(Some(row)),
                    None => continue,
                }
            };
            let row = combine(&current.row, &right);
            let holds = match &self.node.filter {
                Some(filter) => filter.holds(&row, cx)?,
                None => true,
            };
            if !holds {
                self.current = Some(current);
                continue;
            }
            current.matched = true;
            match self.node.kind {
                JoinKind::Inner | JoinKind::Left | JoinKind::Full => {
                    self.current = Some(current);
                    return Ok(Some(row));
                }
                // One match settles the row.
                JoinKind::Semi => return Ok(Some(current.row)),
                JoinKind::Anti { .. } => {}
                JoinKind::Mark => return Ok(self.finish(current)),
            }
        }
    }
}
