//! Nodes that look at one row at a time: projection, filter, limit; and the plain sources.

use super::{ExecContext, Operator, Row, RowIter};
use helios_planner::scalar::CompiledExpr;
use helios_types::{Result, Value, bail};
use std::sync::Arc;

#[derive(Debug)]
pub struct Project {
    pub input: Arc<dyn Operator>,
    pub exprs: Vec<CompiledExpr>,
    pub label: String,
}

struct ProjectIter {
    node: Arc<Project>,
    input: Box<dyn RowIter>,
}

impl Operator for Project {
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        let input = self.input.clone().open(cx)?;
        Ok(Box::new(ProjectIter { node: self, input }))
    }
    fn describe(&self) -> String {
        format!("Projection: {}", self.label)
    }
    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        vec![&self.input]
    }
}

impl RowIter for ProjectIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        let Some(row) = self.input.next(cx)? else {
            return Ok(None);
        };
        evaluate(&self.node.exprs, &row, cx).map(Some)
    }
}

/// The values of several expressions over one row.
pub fn evaluate(exprs: &[CompiledExpr], row: &[Value], cx: &mut ExecContext<'_>) -> Result<Row> {
    let mut out = Vec::with_capacity(exprs.len());
    for expr in exprs {
        out.push(expr.eval(row, cx)?);
    }
    Ok(out)
}

#[derive(Debug)]
pub struct Filter {
    pub input: Arc<dyn Operator>,
    pub predicate: CompiledExpr,
    pub label: String,
}

struct FilterIter {
    node: Arc<Filter>,
    input: Box<dyn RowIter>,
}

impl Operator for Filter {
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        let input = self.input.clone().open(cx)?;
        Ok(Box::new(FilterIter { node: self, input }))
    }
    fn describe(&self) -> String {
        format!("Filter: {}", self.label)
    }
    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        vec![&self.input]
    }
}

impl RowIter for FilterIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        while let Some(row) = self.input.next(cx)? {
            cx.tick()?;
            if self.node.predicate.holds(&row, cx)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

#[derive(Debug)]
pub struct Limit {
    pub input: Arc<dyn Operator>,
    pub skip: Option<CompiledExpr>,
    pub fetch: Option<CompiledExpr>,
    pub label: String,
}

struct LimitIter {
    input: Box<dyn RowIter>,
    skip: u64,
    fetch: u64,
}

/// The number of rows that LIMIT or OFFSET says; `None` for NULL.
pub fn row_count(expr: &CompiledExpr, what: &str, cx: &mut ExecContext<'_>) -> Result<Option<u64>> {
    let value = expr.eval(&[], cx)?;
    match value.as_i64() {
        None if value.is_null() => Ok(None),
        None => bail!(DatatypeMismatch, "argument of {what} must be type bigint"),
        Some(n) => match u64::try_from(n) {
            Ok(n) => Ok(Some(n)),
            Err(_) => bail!(InvalidRowCount, "{what} must not be negative"),
        },
    }
}

impl Operator for Limit {
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        let skip = match &self.skip {
            Some(expr) => row_count(expr, "OFFSET", cx)?.unwrap_or(0),
            None => 0,
        };
        let fetch = match &self.fetch {
            Some(expr) => row_count(expr, "LIMIT", cx)?.unwrap_or(u64::MAX),
            None => u64::MAX,
        };
        let input = self.input.clone().open(cx)?;
        Ok(Box::new(LimitIter { input, skip, fetch }))
    }
    fn describe(&self) -> String {
        format!("Limit: {}", self.label)
    }
    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        vec![&self.input]
    }
}

impl RowIter for LimitIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        if self.fetch == 0 {
            return Ok(None);
        }
        while self.skip > 0 {
            self.skip -= 1;
            if self.input.next(cx)?.is_none() {
                self.fetch = 0;
                return Ok(None);
            }
        }
        self.fetch -= 1;
        self.input.next(cx)
    }
}

/// `VALUES`, and the one empty row of a SELECT without FROM.
#[derive(Debug)]
pub struct Values {
    pub rows: Vec<Vec<CompiledExpr>>,
}

struct ValuesIter {
    node: Arc<Values>,
    next: usize,
}

impl Operator for Values {
    fn open(self: Arc<Self>, _: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        Ok(Box::new(ValuesIter {
            node: self,
            next: 0,
        }))
    }
    fn describe(&self) -> String {
        format!("Values: {} row(s)", self.rows.len())
    }
}

impl RowIter for ValuesIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        let Some(exprs) = self.node.rows.get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        evaluate(exprs, &[], cx).map(Some)
    }
}

/// UNION ALL.
#[derive(Debug)]
pub struct Union {
    pub inputs: Vec<Arc<dyn Operator>>,
}

struct UnionIter {
    node: Arc<Union>,
    position: usize,
    current: Option<Box<dyn RowIter>>,
}

impl Operator for Union {
    fn open(self: Arc<Self>, _: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        Ok(Box::new(UnionIter {
            node: self,
            position: 0,
            current: None,
        }))
    }
    fn describe(&self) -> String {
        "Union".to_string()
    }
    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        self.inputs.iter().collect()
    }
}

impl RowIter for UnionIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        loop {
            if let Some(current) = &mut self.current {
                if let Some(row) = current.next(cx)? {
                    return Ok(Some(row));
                }
                self.current = None;
            }
            let Some(input) = self.node.inputs.get(self.position) else {
                return Ok(None);
            };
            self.position += 1;
            self.current = Some(input.clone().open(cx)?);
        }
    }
}

/// Rows that are there already.
pub struct Ready(pub std::vec::IntoIter<Row>);

impl RowIter for Ready {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        cx.tick()?;
        Ok(self.0.next())
    }
}
