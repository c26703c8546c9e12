//! Joins that hold the right side in memory: by hash of the equal expressions, or all of it.

use super::context::Charge;
use super::join::{JoinKind, combine, pad};
use super::{ExecContext, Operator, Row, RowIter};
use foldhash::{HashMap, HashMapExt};
use helios_planner::scalar::{CompiledExpr, Key, Order};
use helios_types::{Result, Value};
use smallvec::SmallVec;
use std::sync::Arc;

/// The expressions that have to be equal; none for a nested loop.
#[derive(Debug, Default)]
pub struct JoinKeys {
    pub left: Vec<CompiledExpr>,
    pub right: Vec<CompiledExpr>,
    pub orders: Vec<Order>,
    pub null_equals_null: bool,
}

impl JoinKeys {
    /// The key of a row; `None` when a NULL keeps it from matching anything.
    fn of(
        &self,
        exprs: &[CompiledExpr],
        row: &[Value],
        cx: &mut ExecContext<'_>,
    ) -> Result<Option<Key>> {
        let mut values = Vec::with_capacity(exprs.len());
        for (expr, order) in exprs.iter().zip(&self.orders) {
            let value = expr.eval(row, cx)?;
            if value.is_null() && !self.null_equals_null {
                return Ok(None);
            }
            values.push(order.normal(value));
        }
        Ok(Some(Key::new(values)))
    }
}

#[derive(Debug)]
pub struct HashJoinNode {
    pub left: Arc<dyn Operator>,
    pub right: Arc<dyn Operator>,
    pub keys: JoinKeys,
    pub filter: Option<CompiledExpr>,
    pub kind: JoinKind,
    pub left_width: usize,
    pub right_width: usize,
    pub label: String,
}

/// The right side.
struct Build {
    rows: Vec<Row>,
    buckets: HashMap<Key, SmallVec<[u32; 2]>>,
    /// Whether a row had a NULL in its key.
    null_key: bool,
    matched: Vec<bool>,
    _charge: Charge,
}

/// A left row and where it stands among its candidates.
struct Probe {
    row: Row,
    candidates: Candidates,
    matched: bool,
}

enum Candidates {
    All(usize),
    Bucket(SmallVec<[u32; 2]>, usize),
}

impl Candidates {
    fn next(&mut self, rows: usize) -> Option<usize> {
        match self {
            Candidates::All(next) => {
                let position = *next;
                *next += 1;
                (position < rows).then_some(position)
            }
            Candidates::Bucket(bucket, next) => {
                let position = bucket.get(*next).map(|p| *p as usize);
                *next += 1;
                position
            }
        }
    }
}

struct HashJoinIter {
    node: Arc<HashJoinNode>,
    left: Box<dyn RowIter>,
    build: Build,
    current: Option<Probe>,
    /// FULL: the next right row to look at after the left side's end.
    unmatched: Option<usize>,
}

impl Operator for HashJoinNode {
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        let build = self.build(cx)?;
        let left = self.left.clone().open(cx)?;
        Ok(Box::new(HashJoinIter {
            node: self,
            left,
            build,
            current: None,
            unmatched: None,
        }))
    }
    fn describe(&self) -> String {
        self.label.clone()
    }
    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        vec![&self.left, &self.right]
    }
}

impl HashJoinNode {
    fn build(&self, cx: &mut ExecContext<'_>) -> Result<Build> {
        let mut charge = cx.charge();
        let mut build = Build {
            rows: Vec::new(),
            buckets: HashMap::new(),
            null_key: false,
            matched: Vec::new(),
            _charge: cx.charge(),
        };
        let mut right = self.right.clone().open(cx)?;
        while let Some(row) = right.next(cx)? {
            cx.tick()?;
            charge.add_row(&row)?;
            if !self.keys.right.is_empty() {
                match self.keys.of(&self.keys.right, &row, cx)? {
                    Some(key) => {
                        charge.add_row(&key.0)?;
                        build
                            .buckets
                            .entry(key)
                            .or_default()
                            .push(build.rows.len() as u32);
                    }
                    None => build.null_key = true,
                }
            }
            build.rows.push(row);
        }
        if self.kind == JoinKind::Full {
            build.matched = vec![false; build.rows.len()];
        }
        build._charge = charge;
        Ok(build)
    }
}

impl HashJoinIter {
    /// The left row with its candidates; `None` when NOT IN already knows that it is unknown.
    fn begin(&self, row: Row, cx: &mut ExecContext<'_>) -> Result<Option<Probe>> {
        let keys = &self.node.keys;
        let null_aware = self.node.kind == JoinKind::Anti { null_aware: true };
        let candidates = if keys.left.is_empty() {
            Candidates::All(0)
        } else {
            match keys.of(&keys.left, &row, cx)? {
                Some(key) => {
                    let bucket = self.build.buckets.get(&key).cloned().unwrap_or_default();
                    if null_aware && self.build.null_key && bucket.is_empty() {
                        return Ok(None);
                    }
                    Candidates::Bucket(bucket, 0)
                }
                None if null_aware && !self.build.rows.is_empty() => return Ok(None),
                None => Candidates::Bucket(SmallVec::new(), 0),
            }
        };
        Ok(Some(Probe {
            row,
            candidates,
            matched: false,
        }))
    }

    fn finish(&self, probe: Probe) -> Option<Row> {
        match self.node.kind {
            JoinKind::Left | JoinKind::Full if !probe.matched => {
                Some(pad(probe.row, self.node.right_width))
            }
            JoinKind::Anti { .. } if !probe.matched => Some(probe.row),
            JoinKind::Mark => {
                let mut row = probe.row;
                row.push(Value::Bool(probe.matched));
                Some(row)
            }
            _ => None,
        }
    }

    /// The next match of a left row: the joined row, empty where the kind does not need it.
    fn advance(&mut self, probe: &mut Probe, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        let joined = matches!(
            self.node.kind,
            JoinKind::Inner | JoinKind::Left | JoinKind::Full
        );
        while let Some(position) = probe.candidates.next(self.build.rows.len()) {
            cx.tick()?;
            let right = &self.build.rows[position];
            let row = if joined || self.node.filter.is_some() {
                combine(&probe.row, right)
            } else {
                Row::new()
            };
            if let Some(filter) = &self.node.filter
                && !filter.holds(&row, cx)?
            {
                continue;
            }
            probe.matched = true;
            if self.node.kind == JoinKind::Full {
                self.build.matched[position] = true;
            }
            return Ok(Some(row));
        }
        Ok(None)
    }

    fn next_unmatched(&mut self) -> Option<Row> {
        let start = self.unmatched?;
        let position = (start..self.build.rows.len()).find(|p| !self.build.matched[*p]);
        self.unmatched = Some(position.map_or(self.build.rows.len(), |p| p + 1));
        position.map(|p| {
            let mut row = vec![Value::Null; self.node.left_width];
            row.extend_from_slice(&self.build.rows[p]);
            row
        })
    }
}

impl RowIter for HashJoinIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        loop {
            if self.unmatched.is_some() {
                return Ok(self.next_unmatched());
            }
            let mut probe = match self.current.take() {
                Some(probe) => probe,
                None => match self.left.next(cx)? {
                    Some(row) => match self.begin(row, cx)? {
                        Some(probe) => probe,
                        None => continue,
                    },
                    None if self.node.kind == JoinKind::Full => {
                        self.unmatched = Some(0);
                        continue;
                    }
                    None => return Ok(None),
                },
            };
            match self.advance(&mut probe, cx)? {
                None => {
                    if let Some(row) = self.finish(probe) {
                        return Ok(Some(row));
                    }
                }
                Some(row) => match self.node.kind {
                    JoinKind::Inner | JoinKind::Left | JoinKind::Full => {
                        self.current = Some(probe);
                        return Ok(Some(row));
                    }
                    JoinKind::Semi => return Ok(Some(probe.row)),
                    JoinKind::Anti { .. } => {}
                    JoinKind::Mark => return Ok(self.finish(probe)),
                },
            }
        }
    }
}
