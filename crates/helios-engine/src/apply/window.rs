//! Window functions: rows sorted into partitions, each function computed over a whole partition.
//!
//! Functions of one window (the same PARTITION BY and ORDER BY) share one sort; the rows leave the
//! node in the order of its first window.

mod frame;

use super::aggregate::AggregateCall;
use super::compile::PlanCompiler;
use super::context::Charge;
use super::filter::{Ready, evaluate};
use super::sort::compare_keys;
use super::{ExecContext, Operator, Row, RowIter};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{Expr, Window, WindowFunctionDefinition};
use frame::FrameSpec;
use helios_planner::function::{Implementation, WindowInput, as_pg_window};
use helios_planner::scalar::{CompiledExpr, Frame, Order, SortOrder, expr_type};
use helios_types::{Result, Value, bail};
use std::ops::Range;
use std::sync::Arc;

#[derive(Debug)]
enum Function {
    Window(fn(WindowInput<'_>) -> Result<Vec<Value>>, Vec<CompiledExpr>),
    Aggregate(AggregateCall),
}

#[derive(Debug)]
struct WindowCall {
    function: Function,
    partition: Vec<CompiledExpr>,
    order: Vec<CompiledExpr>,
    /// Of the partition columns, then of the order columns.
    orders: Vec<SortOrder>,
    frame: FrameSpec,
    /// The window's text: calls with the same one share the sort.
    window: String,
}

#[derive(Debug)]
struct WindowNode {
    input: Arc<dyn Operator>,
    calls: Vec<WindowCall>,
    label: String,
}

impl PlanCompiler<'_> {
    pub(super) fn window(
        &mut self,
        window: &Window,
        frame: &mut Frame,
    ) -> Result<Arc<dyn Operator>> {
        let input = self.plan(&window.input, frame)?;
        let calls = window
            .window_expr
            .iter()
            .map(|expr| match expr.clone().unalias() {
                Expr::WindowFunction(call) => self.window_call(&call, window, frame),
                other => bail!(Internal, "{other} is not a window function"),
            })
            .collect::<Result<_>>()?;
        let label = window
            .window_expr
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        Ok(Arc::new(WindowNode {
            input,
            calls,
            label,
        }))
    }

    fn window_call(
        &mut self,
        call: &WindowFunction,
        window: &Window,
        frame: &mut Frame,
    ) -> Result<WindowCall> {
        let schema = window.input.schema();
        let params = &call.params;
        let function = match &call.fun {
            WindowFunctionDefinition::AggregateUDF(udf) => {
                let mut call = AggregateFunction::new_udf(
                    udf.clone(),
                    params.args.clone(),
                    params.distinct,
                    params.filter.clone(),
                    vec![],
                    None,
                );
                call.params.null_treatment = params.null_treatment;
                Function::Aggregate(AggregateCall::compile(&call, schema, self, frame)?)
            }
            WindowFunctionDefinition::WindowUDF(udf) => {
                let Some(function) = as_pg_window(udf) else {
                    bail!(
                        Internal,
                        "window function {} is not one of PostgreSQL's",
                        udf.name()
                    );
                };
                let Implementation::Window(implementation) = function.def.implementation else {
                    bail!(Internal, "{} is not a window function", function.def.name);
                };
                Function::Window(implementation, self.exprs(&params.args, schema, frame)?)
            }
        };
        let mut orders = Vec::new();
        for expr in &params.partition_by {
            let order = Order::of(expr_type(expr, schema)?);
            orders.push(SortOrder {
                order,
                descending: false,
                nulls_first: false,
            });
        }
        let keys = self.sort_keys(&params.order_by, schema, frame)?;
        orders.extend(keys.iter().map(|(_, o)| *o));
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let window_text = params
            .partition_by
            .iter()
            .map(|e| text(e))
            .chain([" order by ".to_string()])
            .chain(params.order_by.iter().map(|e| text(e)))
            .collect::<Vec<_>>()
            .join(",");
        Ok(WindowCall {
            function,
            partition: self.exprs(&params.partition_by, schema, frame)?,
            order: keys.into_iter().map(|(e, _)| e).collect(),
            orders,
            frame: FrameSpec::new(&params.window_frame)?,
            window: window_text,
        })
    }
}

/// The rows sorted for one window: their numbers in order, and their sort keys.
struct Sorting {
    window: String,
    /// `order[k]` is the number of the row at place `k`.
    order: Vec<usize>,
    /// By row number.
    keys: Vec<Vec<Value>>,
}

impl WindowNode {
    fn rows(&self, cx: &mut ExecContext<'_>) -> Result<(Vec<Row>, Charge)> {
        let mut charge = cx.charge();
        let mut rows = super::cte::collect(&self.input, &mut charge, cx)?;
        let width = rows.first().map_or(0, Vec::len);
        let mut sorting: Option<Sorting> = None;
        for (position, call) in self.calls.iter().enumerate() {
            if sorting.as_ref().is_none_or(|s| s.window != call.window) {
                let mut next = self.sort(call, &rows, cx)?;
                if position == 0 {
                    // The rows themselves take the order of the first window.
                    let mut taken: Vec<Row> = rows;
                    rows = next
                        .order
                        .iter()
                        .map(|&i| std::mem::take(&mut taken[i]))
                        .collect();
                    let mut keys = std::mem::take(&mut next.keys);
                    next.keys = next
                        .order
                        .iter()
                        .map(|&i| std::mem::take(&mut keys[i]))
                        .collect();
                    next.order = (0..rows.len()).collect();
                }
                sorting = Some(next);
            }
            if let Some(sorting) = &sorting {
                let values = call.compute(&rows, sorting, width, &mut charge, cx)?;
                for (row, value) in rows.iter_mut().zip(values) {
                    row.push(value);
                }
            }
        }
        Ok((rows, charge))
    }

    fn sort(&self, call: &WindowCall, rows: &[Row], cx: &mut ExecContext<'_>) -> Result<Sorting> {
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows {
            let mut key = evaluate(&call.partition, row, cx)?;
            key.extend(evaluate(&call.order, row, cx)?);
            keys.push(key);
        }
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|&a, &b| compare_keys(&call.orders, &keys[a], &keys[b]));
        Ok(Sorting {
            window: call.window.clone(),
            order,
            keys,
        })
    }
}

impl WindowCall {
    /// The function's value for each row, by row number.
    fn compute(
        &self,
        rows: &[Row],
        sorting: &Sorting,
        width: usize,
        charge: &mut Charge,
        cx: &mut ExecContext<'_>,
    ) -> Result<Vec<Value>> {
        let (by, key_of) = (self.partition.len(), |k: usize| {
            &sorting.keys[sorting.order[k]]
        });
        let mut out = vec![Value::Null; rows.len()];
        let mut start = 0;
        while start < rows.len() {
            let same = |k: usize| {
                compare_keys(&self.orders[..by], &key_of(start)[..by], &key_of(k)[..by]).is_eq()
            };
            let end = (start + 1..rows.len())
                .find(|&k| !same(k))
                .unwrap_or(rows.len());
            let members = &sorting.order[start..end];
            let keys: Vec<&[Value]> = members.iter().map(|&i| &sorting.keys[i][by..]).collect();
            let peers = peer_groups(&keys, &self.orders[by..]);
            let frames = self.frame.ranges(&keys, &self.orders[by..], &peers, cx)?;
            let rows: Vec<&[Value]> = members.iter().map(|&i| &rows[i][..width]).collect();
            let values = self.partition_values(&rows, &peers, &frames, charge, cx)?;
            if values.len() != members.len() {
                bail!(
                    Internal,
                    "window function gave {} values for {} rows",
                    values.len(),
                    members.len()
                );
            }
            for (&number, value) in members.iter().zip(values) {
                out[number] = value;
            }
            start = end;
        }
        Ok(out)
    }

    fn partition_values(
        &self,
        rows: &[&[Value]],
        peers: &[usize],
        frames: &[Range<usize>],
        charge: &mut Charge,
        cx: &mut ExecContext<'_>,
    ) -> Result<Vec<Value>> {
        match &self.function {
            Function::Window(function, exprs) => {
                let args = rows
                    .iter()
                    .map(|row| evaluate(exprs, row, cx))
                    .collect::<Result<Vec<_>>>()?;
                function(WindowInput {
                    args: &args,
                    peers,
                    frames,
                })
            }
            Function::Aggregate(call) => aggregate_frames(call, rows, frames, charge, cx),
        }
    }
}

/// An aggregate over each row's frame: going on from the frame before where that only grew.
fn aggregate_frames(
    call: &AggregateCall,
    rows: &[&[Value]],
    frames: &[Range<usize>],
    charge: &mut Charge,
    cx: &mut ExecContext<'_>,
) -> Result<Vec<Value>> {
    let mut out: Vec<Value> = Vec::with_capacity(frames.len());
    let mut state = call.state();
    let mut done = 0..0;
    for (row, frame) in frames.iter().enumerate() {
        if row > 0 && *frame == frames[row - 1] {
            let value = out[row - 1].clone();
            out.push(value);
            continue;
        }
        let grows =
            row > 0 && call.is_running() && frame.start == done.start && frame.end >= done.end;
        if !grows {
            state = call.state();
            done = frame.start..frame.start;
        }
        #[allow(clippy::needless_range_loop)]
        for next in done.end..frame.end {
            cx.tick()?;
            call.update(&mut state, rows[next], charge, cx)?;
        }
        done.end = done.end.max(frame.end);
        out.push(call.finish(&mut state, cx)?);
    }
    Ok(out)
}

/// The number of each row's peer group, from 0. Without ORDER BY all rows are peers.
fn peer_groups(keys: &[&[Value]], orders: &[SortOrder]) -> Vec<usize> {
    let mut group = 0;
    (0..keys.len())
        .map(|k| {
            if k > 0 && compare_keys(orders, keys[k - 1], keys[k]).is_ne() {
                group += 1;
            }
            group
        })
        .collect()
}

struct WindowIter {
    node: Arc<WindowNode>,
    rows: Option<(Ready, Charge)>,
}

impl Operator for WindowNode {
    fn open(self: Arc<Self>, _: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        Ok(Box::new(WindowIter {
            node: self,
            rows: None,
        }))
    }
    fn describe(&self) -> String {
        format!("Window: {}", self.label)
    }
    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        vec![&self.input]
    }
}

impl RowIter for WindowIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        if self.rows.is_none() {
            let (rows, charge) = self.node.rows(cx)?;
            self.rows = Some((Ready(rows.into_iter()), charge));
        }
        match &mut self.rows {
            Some((rows, _)) => rows.next(cx),
            None => Ok(None),
        }
    }
}
