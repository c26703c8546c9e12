//! Set-returning functions in FROM and in a select list.

use super::compile::PlanCompiler;
use super::filter::{Ready, evaluate};
use super::{ExecContext, Operator, Row, RowIter};
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use helios_planner::function::{FunctionDef, Implementation, as_pg_function};
use helios_planner::scalar::{CompiledExpr, Frame};
use helios_types::{Result, Value, bail};
use std::collections::VecDeque;
use std::sync::Arc;

/// One call, and how many columns it fills.
#[derive(Debug)]
pub struct SetCall {
    kind: CallKind,
    columns: usize,
}

#[derive(Debug)]
enum CallKind {
    Set(&'static FunctionDef, Vec<CompiledExpr>),
    /// A plain function gives one row.
    Scalar(CompiledExpr),
}

pub fn set_calls<'a>(
    calls: impl Iterator<Item = (&'a Expr, usize)>,
    schema: &DFSchema,
    compiler: &mut PlanCompiler<'_>,
    frame: &mut Frame,
) -> Result<Vec<SetCall>> {
    calls
        .map(|(expr, columns)| {
            let inner = match expr {
                Expr::Alias(alias) => alias.expr.as_ref(),
                other => other,
            };
            if let Expr::ScalarFunction(call) = inner
                && let Some(function) = as_pg_function(&call.func)
                && matches!(function.def.implementation, Implementation::Set(_))
            {
                let args = compiler.exprs(&call.args, schema, frame)?;
                return Ok(SetCall {
                    kind: CallKind::Set(function.def, args),
                    columns,
                });
            }
            let expr = compiler.expr(inner, schema, frame)?;
            Ok(SetCall {
                kind: CallKind::Scalar(expr),
                columns,
            })
        })
        .collect()
}

impl SetCall {
    /// The rows of the call for one input row, each of `columns` values.
    fn rows(&self, input: &[Value], cx: &mut ExecContext<'_>) -> Result<VecDeque<Row>> {
        let rows = match &self.kind {
            CallKind::Scalar(expr) => vec![vec![expr.eval(input, cx)?]],
            CallKind::Set(def, args) => {
                let args = evaluate(args, input, cx)?;
                if def.strict && args.iter().any(Value::is_null) {
                    return Ok(VecDeque::new());
                }
                match def.implementation {
                    Implementation::Set(function) => function(&args, cx.functions)?,
                    _ => bail!(Internal, "{} does not return a set", def.name),
                }
            }
        };
        rows.into_iter().map(|row| self.shape(row)).collect()
    }

    /// Spreads a record over several columns, or puts several values into one record.
    fn shape(&self, mut row: Row) -> Result<Row> {
        if row.len() == self.columns {
            return Ok(row);
        }
        if row.len() == 1 {
            return match row.swap_remove(0) {
                Value::Record(fields) if fields.len() == self.columns => {
                    Ok(fields.iter().map(|(_, v)| v.clone()).collect())
                }
                Value::Null => Ok(vec![Value::Null; self.columns]),
                _ => bail!(
                    DatatypeMismatch,
                    "function return row and query-specified return row do not match"
                ),
            };
        }
        match &self.kind {
            CallKind::Set(def, _) if self.columns == 1 && def.columns.len() == row.len() => {
                let fields = def.columns.iter().map(|(_, oid)| *oid).zip(row);
                Ok(vec![Value::Record(fields.collect())])
            }
            _ => bail!(
                DatatypeMismatch,
                "function return row and query-specified return row do not match"
            ),
        }
    }
}

/// Takes the next row of several calls in step: shorter ones are padded with NULLs; `None` when
/// all are at their end.
fn in_step(calls: &[SetCall], pending: &mut [VecDeque<Row>], out: &mut Row) -> bool {
    if pending.iter().all(VecDeque::is_empty) {
        return false;
    }
    for (call, rows) in calls.iter().zip(pending) {
        match rows.pop_front() {
            Some(row) => out.extend(row),
            None => out.extend(std::iter::repeat_n(Value::Null, call.columns)),
        }
    }
    true
}

#[derive(Debug)]
pub struct FunctionScanNode {
    pub calls: Vec<SetCall>,
    pub ordinality: bool,
    pub label: String,
}

struct FunctionScanIter {
    node: Arc<FunctionScanNode>,
    pending: Vec<VecDeque<Row>>,
    number: i64,
}

impl Operator for FunctionScanNode {
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        let pending = self
            .calls
            .iter()
            .map(|c| c.rows(&[], cx))
            .collect::<Result<Vec<_>>>()?;
        if !self.ordinality
            && let [_] = self.calls[..]
        {
            let rows = pending.into_iter().next().unwrap_or_default();
            return Ok(Box::new(Ready(Vec::from(rows).into_iter())));
        }
        Ok(Box::new(FunctionScanIter {
            node: self,
            pending,
            number: 0,
        }))
    }
    fn describe(&self) -> String {
        format!("FunctionScan: {}", self.label)
    }
}

impl RowIter for FunctionScanIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        cx.tick()?;
        let mut row = Row::new();
        if !in_step(&self.node.calls, &mut self.pending, &mut row) {
            return Ok(None);
        }
        self.number += 1;
        if self.node.ordinality {
            row.push(Value::Int8(self.number));
        }
        Ok(Some(row))
    }
}

#[derive(Debug)]
pub struct ProjectSetNode {
    pub input: Arc<dyn Operator>,
    pub calls: Vec<SetCall>,
}

struct ProjectSetIter {
    node: Arc<ProjectSetNode>,
    input: Box<dyn RowIter>,
    current: Row,
    pending: Vec<VecDeque<Row>>,
}

impl Operator for ProjectSetNode {
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        let input = self.input.clone().open(cx)?;
        let iter = ProjectSetIter {
            node: self,
            input,
            current: Row::new(),
            pending: Vec::new(),
        };
        Ok(Box::new(iter))
    }
    fn describe(&self) -> String {
        format!("ProjectSet: {} call(s)", self.calls.len())
    }
    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        vec![&self.input]
    }
}

impl RowIter for ProjectSetIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        loop {
            cx.tick()?;
            let mut row = self.current.clone();
            if in_step(&self.node.calls, &mut self.pending, &mut row) {
                return Ok(Some(row));
            }
            let Some(next) = self.input.next(cx)? else {
                return Ok(None);
            };
            self.pending = self
                .node
                .calls
                .iter()
                .map(|c| c.rows(&next, cx))
                .collect::<Result<_>>()?;
            self.current = next;
        }
    }
}
