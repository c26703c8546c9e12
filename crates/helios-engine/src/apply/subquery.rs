//! Subqueries of expressions: run for a frame of outer values, their answers remembered.

use super::{ExecContext, Operator, RowIter};
use foldhash::HashMap;
use helios_planner::scalar::{Answer, Key, Order, SubquerySet, Want};
use helios_types::{Result, Value, bail};
use std::sync::Arc;

/// Most answers that are remembered for one subquery.
const MEMO_MAX: usize = 10_000;

/// A compiled subquery.
#[derive(Clone, Debug)]
pub struct Subprogram {
    pub root: Arc<dyn Operator>,
    /// How the values of the first column compare.
    pub order: Order,
    /// Whether a second run over the same outer values may answer otherwise.
    pub volatile: bool,
    pub columns: usize,
}

#[derive(Default)]
pub struct Memo(HashMap<(usize, u8), HashMap<Key, Answer>>);

/// Runs a part of a plan with another frame.
pub fn with_frame<T>(
    cx: &mut ExecContext<'_>,
    frame: Arc<[Value]>,
    run: impl FnOnce(&mut ExecContext<'_>) -> Result<T>,
) -> Result<T> {
    let saved = std::mem::replace(&mut cx.state.frame, frame);
    let result = run(cx);
    cx.state.frame = saved;
    result
}

/// Answers for one outer row.
pub fn answer(
    cx: &mut ExecContext<'_>,
    slot: usize,
    frame: Vec<Value>,
    want: Want,
) -> Result<Answer> {
    let Some(program) = cx.state.subqueries.get(slot) else {
        bail!(Internal, "subquery {slot} was not compiled");
    };
    // Without outer columns it is run once, as PostgreSQL does, whatever it calls.
    let remember = !program.volatile || frame.is_empty();
    let root = program.root.clone();
    let (order, columns) = (program.order, program.columns);
    let frame: Arc<[Value]> = frame.into();
    let key = Key(frame.iter().cloned().collect());
    let table = (slot, want as u8);
    if remember && let Some(found) = cx.state.memo.0.get(&table).and_then(|m| m.get(&key)) {
        return Ok(found.clone());
    }
    let answer = with_frame(cx, frame, |cx| {
        let mut rows = root.open(cx)?;
        match want {
            Want::Exists => Ok(Answer::Exists(rows.next(cx)?.is_some())),
            Want::Value => scalar(rows.as_mut(), columns, cx).map(Answer::Value),
            Want::Set => set(rows.as_mut(), order, columns, cx).map(Answer::Set),
        }
    })?;
    if remember {
        let memo = cx.state.memo.0.entry(table).or_default();
        if memo.len() >= MEMO_MAX {
            memo.clear();
        }
        memo.insert(key, answer.clone());
    }
    Ok(answer)
}

fn first(mut row: Vec<Value>, columns: usize) -> Result<Value> {
    if columns != 1 || row.len() != 1 {
        bail!(SyntaxError, "subquery must return only one column");
    }
    Ok(row.swap_remove(0))
}

fn scalar(rows: &mut dyn RowIter, columns: usize, cx: &mut ExecContext<'_>) -> Result<Value> {
    let Some(row) = rows.next(cx)? else {
        return Ok(Value::Null);
    };
    if rows.next(cx)?.is_some() {
        bail!(
            CardinalityViolation,
            "more than one row returned by a subquery used as an expression"
        );
    }
    first(row, columns)
}

fn set(
    rows: &mut dyn RowIter,
    order: Order,
    columns: usize,
    cx: &mut ExecContext<'_>,
) -> Result<Arc<SubquerySet>> {
    let mut charge = cx.charge();
    let mut values = Vec::new();
    while let Some(row) = rows.next(cx)? {
        cx.tick()?;
        charge.add_row(&row)?;
        values.push(first(row, columns)?);
    }
    Ok(Arc::new(SubquerySet::new(values, order)))
}
