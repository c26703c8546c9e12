//! Subqueries inside expressions: how they are numbered, fed and answered.

use super::{Comparison, Env, Key, Node, Order};
use datafusion::common::Column;
use datafusion::logical_expr::LogicalPlan;
use foldhash::{HashSet, HashSetExt};
use helios_types::{Error, Result, Value, bail};

/// The outer columns that a query mentions, in the order of first mention. The query's executor
/// gives it one value for each.
#[derive(Debug)]
pub struct Frame {
    columns: Vec<Column>,
    /// The statement itself has no outer row.
    top: bool,
}

impl Frame {
    /// The frame of a statement: nothing is outside of it.
    pub fn top() -> Self {
        Frame {
            columns: Vec::new(),
            top: true,
        }
    }

    /// The frame of a subquery.
    pub fn nested() -> Self {
        Frame {
            columns: Vec::new(),
            top: false,
        }
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The position of an outer column in the frame.
    pub fn capture(&mut self, column: &Column) -> Result<usize> {
        if let Some(position) = self
            .columns
            .iter()
            .position(|c| c.name == column.name && c.relation == column.relation)
        {
            return Ok(position);
        }
        if self.top {
            bail!(
                Internal,
                "column {column} of an outer query that does not exist"
            );
        }
        self.columns.push(column.clone());
        Ok(self.columns.len() - 1)
    }
}

/// Compiles the plans of subqueries; the executor's part.
pub trait SubqueryCompiler {
    /// Gives the subquery a number and collects its outer columns in `frame`.
    fn compile_subquery(&mut self, plan: &LogicalPlan, frame: &mut Frame) -> Result<usize>;
}

pub(super) struct NoSubqueries;

impl SubqueryCompiler for NoSubqueries {
    fn compile_subquery(&mut self, _: &LogicalPlan, _: &mut Frame) -> Result<usize> {
        Err(Error::unsupported("a subquery in this place"))
    }
}

/// What is asked of a subquery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Its one row's one value; NULL without a row; an error with more than one.
    Value,
    /// Whether there is a row.
    Exists,
    /// The values of its one column.
    Set,
}

#[derive(Clone, Debug)]
pub enum Answer {
    Value(Value),
    Exists(bool),
    Set(std::sync::Arc<SubquerySet>),
}

/// The values of a list or of a subquery's column, to be searched.
#[derive(Debug)]
pub struct SubquerySet {
    values: Vec<Value>,
    keys: HashSet<Key>,
    has_null: bool,
}

impl SubquerySet {
    pub fn new(values: Vec<Value>, order: Order) -> Self {
        let mut keys = HashSet::with_capacity(values.len());
        for value in values.iter().filter(|v| !v.is_null()) {
            keys.insert(Key::new(vec![order.normal(value.clone())]));
        }
        let has_null = values.iter().any(Value::is_null);
        SubquerySet {
            values,
            keys,
            has_null,
        }
    }

    /// `value IN set`, three-valued.
    pub(super) fn contains(&self, value: &Value, order: Order) -> Option<bool> {
        if self.values.is_empty() {
            return Some(false);
        }
        if value.is_null() {
            return None;
        }
        if self
            .keys
            .contains(&Key::new(vec![order.normal(value.clone())]))
        {
            return Some(true);
        }
        if self.has_null { None } else { Some(false) }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Use {
    Scalar,
    Exists {
        negated: bool,
    },
    In {
        operand: Node,
        order: Order,
        negated: bool,
    },
    /// `operand op ANY/ALL (subquery)`
    Compare {
        operand: Node,
        op: Comparison,
        order: Order,
        all: bool,
    },
}

#[derive(Clone, Debug)]
pub(super) struct SubqueryNode {
    pub slot: usize,
    /// What fills the subquery's frame.
    pub captures: Vec<Node>,
    pub purpose: Use,
}

impl SubqueryNode {
    pub fn parts(&self) -> impl Iterator<Item = &Node> {
        let operand = match &self.purpose {
            Use::Scalar | Use::Exists { .. } => None,
            Use::In { operand, .. } | Use::Compare { operand, .. } => Some(operand),
        };
        self.captures.iter().chain(operand)
    }

    pub fn eval(&self, row: &[Value], env: &mut dyn Env) -> Result<Value> {
        let frame = self
            .captures
            .iter()
            .map(|c| c.eval(row, env))
            .collect::<Result<Vec<_>>>()?;
        let want = match &self.purpose {
            Use::Scalar => Want::Value,
            Use::Exists { .. } => Want::Exists,
            Use::In { .. } | Use::Compare { .. } => Want::Set,
        };
        let answer = env.subquery(self.slot, frame, want)?;
        let truth = match (&self.purpose, answer) {
            (Use::Scalar, Answer::Value(value)) => return Ok(value),
            (Use::Exists { negated }, Answer::Exists(exists)) => Some(exists != *negated),
            (
                Use::In {
                    operand,
                    order,
                    negated,
                },
                Answer::Set(set),
            ) => {
                let value = operand.eval(row, env)?;
                set.contains(&value, *order).map(|found| found != *negated)
            }
            (
                Use::Compare {
                    operand,
                    op,
                    order,
                    all,
                },
                Answer::Set(set),
            ) => {
                let value = operand.eval(row, env)?;
                set_comparison(&value, *op, *order, *all, &set.values)
            }
            _ => bail!(Internal, "subquery answered another question"),
        };
        Ok(truth.into())
    }
}

/// `value op ANY/ALL (values)`: ANY is an OR over the values, ALL an AND.
fn set_comparison(
    value: &Value,
    op: Comparison,
    order: Order,
    all: bool,
    values: &[Value],
) -> Option<bool> {
    let mut unknown = false;
    for other in values {
        if value.is_null() || other.is_null() {
            unknown = true;
        } else if op.accepts(order.compare(value, other)) != all {
            return Some(!all);
        }
    }
    if unknown { None } else { Some(all) }
}
