//! Scans: tables through an access path, virtual tables through lookups, the rows that stand in
//! for a table while a changed row is evaluated again.

use super::compile::PlanCompiler;
use super::context::Charge;
use super::filter::Ready;
use super::{
    ExecContext, KeyPath, Operator, Row, RowIter, ScanRequest, TableRows, ValueBound, filter,
};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use foldhash::{HashSet, HashSetExt};
use helios_planner::catalog::{Table, VirtualTable};
use helios_planner::function::{Volatility, as_pg_function, registry};
use helios_planner::lower::access::{Choice, Matcher, OrderColumn, conjuncts, indexable};
use helios_planner::pgtype::literal_value;
use helios_planner::relation::{RelationSource, SourceRelation};
use helios_planner::scalar::{CompiledExpr, Frame, Key};
use helios_planner::sql::ANY_OID;
use helios_planner::template::{AccessPath, Bound};
use helios_types::{Error, ObjectId, Result, Value, bail};
use std::collections::HashMap;
use std::sync::Arc;

/// The relation behind a scan.
pub fn relation(scan: &TableScan) -> Result<&RelationSource> {
    match (scan.source.as_ref() as &dyn std::any::Any).downcast_ref::<RelationSource>() {
        Some(source) => Ok(source),
        None => bail!(
            Internal,
            "table {} is not a catalog relation",
            scan.table_name
        ),
    }
}

/// Whether an expression has a value before the table with this qualifier is read.
pub fn is_constant(expr: &Expr, own: &TableReference) -> bool {
    let mut constant = true;
    let _ = expr.apply(|e| {
        match e {
            Expr::Column(_) => constant = false,
            Expr::ScalarFunction(call) => {
                let volatile = as_pg_function(&call.func)
                    .is_none_or(|f| f.def.volatility == Volatility::Volatile);
                constant &= !volatile;
            }
            Expr::ScalarSubquery(s) => constant &= !mentions(&s.subquery, own),
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => constant = false,
            _ => {}
        }
        Ok(if constant {
            TreeNodeRecursion::Continue
        } else {
            TreeNodeRecursion::Stop
        })
    });
    constant
}

/// Whether a subquery refers to this relation of an enclosing query.
fn mentions(plan: &LogicalPlan, own: &TableReference) -> bool {
    let mut found = false;
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::OuterReferenceColumn(_, column) = e {
                    found |= column.relation.as_ref() == Some(own);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    found
}

/// The position in `Table::columns` of a column expression over the table's scan.
pub fn own_column(table: &Table, expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Column(column) => table.column(&column.name).map(|(position, _)| position),
        _ => None,
    }
}

/// Looks at a table scan with what is known of its expressions.
pub fn matcher<T>(scan: &TableScan, table: &Table, look: impl FnOnce(&Matcher<'_>) -> T) -> T {
    look(&Matcher {
        column: &|e| own_column(table, e),
        constant: &|e| is_constant(e, &scan.table_name),
    })
}

/// Chooses the path of a table scan for its filters.
pub fn choose(scan: &TableScan, table: &Table, order: &[OrderColumn]) -> Choice {
    matcher(scan, table, |m| {
        m.choose(table, &conjuncts(&scan.filters), order)
    })
}

/// Whether two paths read a part of the same index.
fn same_index(a: &Choice, b: &Choice) -> bool {
    match (&a.path, &b.path) {
        (AccessPath::Range { index: a, .. }, AccessPath::Range { index: b, .. }) => a == b,
        _ => false,
    }
}

#[derive(Debug)]
enum CompiledPath {
    Point(Vec<CompiledExpr>),
    /// The keys of one column that an array holds.
    Elements(CompiledExpr),
    Points(Vec<Vec<CompiledExpr>>),
    Range {
        index: Option<ObjectId>,
        equal: Vec<CompiledExpr>,
        lower: Option<(CompiledExpr, bool)>,
        upper: Option<(CompiledExpr, bool)>,
        reverse: bool,
        ordered: bool,
    },
    Each {
        index: Option<ObjectId>,
        equal: Vec<CompiledExpr>,
        values: CompiledExpr,
    },
    Full {
        reverse: bool,
    },
}

impl CompiledPath {
    /// The path with its values; `None` when a NULL keeps it from reaching any row.
    fn evaluate(&self, cx: &mut ExecContext<'_>) -> Result<Option<KeyPath>> {
        Ok(Some(match self {
            CompiledPath::Point(key) => {
                let key = filter::evaluate(key, &[], cx)?;
                if key.iter().any(Value::is_null) {
                    return Ok(None);
                }
                KeyPath::Point(key)
            }
            CompiledPath::Elements(array) => match array.eval(&[], cx)? {
                Value::Array(array) => {
                    let mut keys: Vec<Vec<Value>> = array
                        .values
                        .iter()
                        .filter(|v| !v.is_null())
                        .map(|v| vec![v.clone()])
                        .collect();
                    keys.sort();
                    keys.dedup();
                    KeyPath::Points(keys)
                }
                _ => return Ok(None),
            },
            CompiledPath::Points(keys) => {
                let mut seen = HashSet::with_capacity(keys.len());
                let mut out = Vec::with_capacity(keys.len());
                for key in keys {
                    let key = filter::evaluate(key, &[], cx)?;
                    if !key.iter().any(Value::is_null) && seen.insert(Key::new(key.clone())) {
                        out.push(key);
                    }
                }
                KeyPath::Points(out)
            }
            CompiledPath::Range {
                index,
                equal,
                lower,
                upper,
                reverse,
                ordered,
            } => {
                let equal = filter::evaluate(equal, &[], cx)?;
                let mut bound = |b: &Option<(CompiledExpr, bool)>| match b {
                    Some((expr, inclusive)) => expr.eval(&[], cx).map(|value| {
                        Some(ValueBound {
                            value,
                            inclusive: *inclusive,
                        })
                    }),
                    None => Ok(None),
                };
                let (lower, upper) = (bound(lower)?, bound(upper)?);
                let bounds = [&lower, &upper].into_iter().flatten().map(|b| &b.value);
                if equal.iter().chain(bounds).any(Value::is_null) {
                    return Ok(None);
                }
                KeyPath::Range {
                    index: *index,
                    equal,
                    lower,
                    upper,
                    reverse: *reverse,
                    ordered: *ordered,
                }
            }
            CompiledPath::Each {
                index,
                equal,
                values,
            } => {
                let equal = filter::evaluate(equal, &[], cx)?;
                match values.eval(&[], cx)? {
                    Value::Jsonb(values) if !equal.iter().any(Value::is_null) => KeyPath::Each {
                        index: *index,
                        equal,
                        values,
                    },
                    _ => return Ok(None),
                }
            }
            CompiledPath::Full { reverse } => KeyPath::Full { reverse: *reverse },
        }))
    }

    fn describe(&self, table: &Table) -> String {
        let name = |index: &Option<ObjectId>| match index {
            None => "key".to_string(),
            Some(id) => table
                .index(*id)
                .map_or_else(|| id.0.to_string(), |i| i.name.clone()),
        };
        match self {
            CompiledPath::Point(_) => "point".into(),
            CompiledPath::Elements(_) => "points of an array".into(),
            CompiledPath::Points(keys) => format!("{} points", keys.len()),
            CompiledPath::Each { index, .. } => format!("values of {}", name(index)),
            CompiledPath::Range { index, reverse, .. } => {
                format!(
                    "range of {}{}",
                    name(index),
                    if *reverse { " backwards" } else { "" }
                )
            }
            CompiledPath::Full { reverse } => {
                format!("full{}", if *reverse { " backwards" } else { "" })
            }
        }
    }
}

/// The schema of some columns of a scan's source, and where each filter finds its columns.
struct ReadColumns {
    /// Positions in the source schema; those that leave the scan come first.
    columns: Vec<usize>,
    keep: usize,
    schema: DFSchema,
}

fn read_columns(scan: &TableScan) -> Result<ReadColumns> {
    let source = scan.source.schema();
    let mut columns: Vec<usize> = match &scan.projection {
        Some(projection) => projection.clone(),
        None => (0..source.fields().len()).collect(),
    };
    let keep = columns.len();
    for filter in &scan.filters {
        for column in filter.column_refs() {
            let position = source.index_of(&column.name).map_err(Error::internal)?;
            if !columns.contains(&position) {
                columns.push(position);
            }
        }
    }
    // A subquery in a filter may mention any column of the scan.
    let subqueries = scan.filters.iter().any(has_subquery);
    if subqueries {
        columns.extend(
            (0..source.fields().len())
                .filter(|c| !columns[..].contains(c))
                .collect::<Vec<_>>(),
        );
    }
    let fields = columns
        .iter()
        .map(|&c| (Some(scan.table_name.clone()), source.fields()[c].clone()))
        .collect();
    let schema = DFSchema::new_with_metadata(fields, HashMap::new()).map_err(Error::internal)?;
    Ok(ReadColumns {
        columns,
        keep,
        schema,
    })
}

pub fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|e| {
        Ok(matches!(
            e,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
        ))
    })
    .unwrap_or(true)
}

impl PlanCompiler<'_> {
    pub(super) fn scan(
        &mut self,
        scan: &TableScan,
        frame: &mut Frame,
    ) -> Result<Arc<dyn Operator>> {
        match &relation(scan)?.relation {
            SourceRelation::Table(table) => self.table_scan(scan, table, frame),
            SourceRelation::Virtual(table) => self.virtual_scan(scan, table, frame),
        }
    }

    fn table_scan(
        &mut self,
        scan: &TableScan,
        table: &Arc<Table>,
        frame: &mut Frame,
    ) -> Result<Arc<dyn Operator>> {
        let order = self.take_wanted_order(scan);
        let mut choice = choose(scan, table, &order);
        if !order.is_empty() && !self.wants_first() {
            // An order of all rows is taken where the path to them has it anyway.
            let path = choose(scan, table, &[]);
            if !(choice.ordered && same_index(&path, &choice)) {
                choice = Choice {
                    ordered: false,
                    ..path
                };
            }
        }
        if !order.is_empty() && choice.ordered {
            self.grant_order();
        }
        let read = read_columns(scan)?;
        let conditions = conjuncts(&scan.filters);
        let elements = if choice.is_selective() || choice.ordered && !order.is_empty() {
            None
        } else {
            key_elements(scan, table, &conditions)
        };
        let path = match elements {
            Some((_, array)) => CompiledPath::Elements(self.expr(array, &read.schema, frame)?),
            None => self.path(&choice.path, &read.schema, frame)?,
        };
        let mut residual = Vec::new();
        let mut implied = Vec::new();
        for (position, condition) in conditions.iter().enumerate() {
            let compiled = self.expr(condition, &read.schema, frame)?;
            if choice.implied.contains(&position) || elements.is_some_and(|e| e.0 == position) {
                implied.push(compiled);
            } else {
                residual.push(compiled);
            }
        }
        Ok(Arc::new(TableScanNode {
            table: table.clone(),
            qualifier: scan.table_name.table().to_string(),
            columns: read.columns.into(),
            keep: read.keep,
            path,
            residual,
            implied,
            fetch: scan.fetch,
            label: labels(&conditions),
        }))
    }

    fn path(
        &mut self,
        path: &AccessPath,
        schema: &DFSchema,
        frame: &mut Frame,
    ) -> Result<CompiledPath> {
        let mut list = |exprs: &[Expr], this: &mut Self| -> Result<Vec<CompiledExpr>> {
            exprs.iter().map(|e| this.expr(e, schema, frame)).collect()
        };
        Ok(match path {
            AccessPath::Point(key) => CompiledPath::Point(list(key, self)?),
            AccessPath::Points(keys) => {
                CompiledPath::Points(keys.iter().map(|k| list(k, self)).collect::<Result<_>>()?)
            }
            AccessPath::Range {
                index,
                equal,
                lower,
                upper,
                reverse,
                ordered,
            } => {
                let equal = list(equal, self)?;
                let mut bound = |b: &Option<Bound>| match b {
                    Some(b) => self
                        .expr(&b.value, schema, frame)
                        .map(|value| Some((value, b.inclusive))),
                    None => Ok(None),
                };
                let (lower, upper) = (bound(lower)?, bound(upper)?);
                CompiledPath::Range {
                    index: *index,
                    equal,
                    lower,
                    upper,
                    reverse: *reverse,
                    ordered: *ordered,
                }
            }
            AccessPath::Each {
                index,
                equal,
                values,
            } => CompiledPath::Each {
                index: *index,
                equal: list(equal, self)?,
                values: self.expr(values, schema, frame)?,
            },
            AccessPath::Full { reverse } => CompiledPath::Full { reverse: *reverse },
        })
    }

    fn virtual_scan(
        &mut self,
        scan: &TableScan,
        table: &Arc<VirtualTable>,
        frame: &mut Frame,
    ) -> Result<Arc<dyn Operator>> {
        let read = read_columns(scan)?;
        let conditions = conjuncts(&scan.filters);
        let mut lookups = Vec::new();
        for condition in &conditions {
            if let Some((column, value)) = virtual_lookup(scan, table, condition)
                && !lookups.iter().any(|(c, _)| *c == column)
            {
                lookups.push((column, self.expr(value, &read.schema, frame)?));
            }
        }
        let filters = conditions
            .iter()
            .map(|c| self.expr(c, &read.schema, frame))
            .collect::<Result<_>>()?;
        Ok(Arc::new(VirtualScanNode {
            table: table.clone(),
            qualifier: scan.table_name.table().to_string(),
            columns: read.columns,
            keep: read.keep,
            lookups,
            filters,
            label: labels(&conditions),
        }))
    }
}

/// The column and value of a condition that a virtual table can look up.
pub fn virtual_lookup<'a>(
    scan: &TableScan,
    table: &VirtualTable,
    condition: &'a Expr,
) -> Option<(usize, &'a Expr)> {
    let Expr::BinaryExpr(binary) = condition else {
        return None;
    };
    if binary.op != datafusion::logical_expr::Operator::Eq {
        return None;
    }
    let column = |e: &Expr| match e {
        Expr::Column(c) => table
            .columns
            .iter()
            .position(|(name, _)| *name == c.name)
            .filter(|p| table.lookups.contains(p)),
        _ => None,
    };
    let (left, right) = (binary.left.as_ref(), binary.right.as_ref());
    match (column(left), column(right)) {
        (Some(c), _) if is_constant(right, &scan.table_name) => Some((c, right)),
        (_, Some(c)) if is_constant(left, &scan.table_name) => Some((c, left)),
        _ => None,
    }
}

/// `key = ANY (array)` on a key of one column: which condition it is, and the array.
fn key_elements<'a>(
    scan: &TableScan,
    table: &Table,
    conditions: &[&'a Expr],
) -> Option<(usize, &'a Expr)> {
    let [key] = table.key[..] else { return None };
    let ty = table.columns.get(key)?.ty;
    conditions
        .iter()
        .enumerate()
        .find_map(|(position, condition)| {
            let Expr::ScalarFunction(call) = condition else {
                return None;
            };
            let function = as_pg_function(&call.func).filter(|f| f.def.oid == ANY_OID)?;
            let [left, array, operator] = call.args.as_slice() else {
                return None;
            };
            let Some(Ok((Value::Oid(operator), _))) = literal_value(operator) else {
                return None;
            };
            let is_equality = registry()
                .operators_named("=")
                .iter()
                .any(|o| o.function == operator && o.left == ty.oid && o.right == ty.oid);
            let fits = is_equality
                && indexable(ty)
                && own_column(table, left) == Some(key)
                && function
                    .args
                    .get(1)
                    .and_then(|a| a.element())
                    .is_some_and(|e| e.oid == ty.oid)
                && is_constant(array, &scan.table_name);
            fits.then_some((position, array))
        })
}

fn labels(conditions: &[&Expr]) -> String {
    conditions
        .iter()
        .map(|c| c.to_string())
        .collect::<Vec<_>>()
        .join(" AND ")
}

#[derive(Debug)]
struct TableScanNode {
    table: Arc<Table>,
    qualifier: String,
    columns: Arc<[usize]>,
    keep: usize,
    path: CompiledPath,
    /// Conditions that the path does not imply.
    residual: Vec<CompiledExpr>,
    /// Those that it does; a row that stands in for the table has to pass them as well.
    implied: Vec<CompiledExpr>,
    fetch: Option<usize>,
    label: String,
}

struct TableScanIter {
    node: Arc<TableScanNode>,
    rows: Box<dyn TableRows>,
    buffer: Row,
    left: usize,
}

impl Operator for TableScanNode {
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        if let Some(position) = cx
            .state
            .overrides
            .iter()
            .position(|(name, _)| *name == self.qualifier)
        {
            return self.stand_in(position, cx);
        }
        let Some(path) = self.path.evaluate(cx)? else {
            return Ok(Box::new(Ready(Vec::new().into_iter())));
        };
        let request = ScanRequest {
            table: &self.table,
            path,
            columns: &self.columns,
        };
        let rows = cx.state.reader.clone().scan(request)?;
        let left = self.fetch.unwrap_or(usize::MAX);
        Ok(Box::new(TableScanIter {
            node: self,
            rows,
            buffer: Row::new(),
            left,
        }))
    }

    fn describe(&self) -> String {
        let mut text = format!("TableScan: {} as {}", self.table.name, self.qualifier);
        text.push_str(&format!(", access={}", self.path.describe(&self.table)));
        if !self.label.is_empty() {
            text.push_str(&format!(", filter={}", self.label));
        }
        text
    }
}

impl TableScanNode {
    fn stand_in(&self, position: usize, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        let full = cx.state.overrides[position].1.clone();
        let mut row: Row = self
            .columns
            .iter()
            .map(|&c| full.get(c).cloned().unwrap_or_default())
            .collect();
        for condition in self.implied.iter().chain(&self.residual) {
            if !condition.holds(&row, cx)? {
                return Ok(Box::new(Ready(Vec::new().into_iter())));
            }
        }
        row.truncate(self.keep);
        Ok(Box::new(Ready(vec![row].into_iter())))
    }
}

impl RowIter for TableScanIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        if self.left == 0 {
            return Ok(None);
        }
        'rows: while self.rows.next(&mut self.buffer)? {
            cx.tick()?;
            for condition in &self.node.residual {
                if !condition.holds(&self.buffer, cx)? {
                    continue 'rows;
                }
            }
            self.left -= 1;
            self.buffer.truncate(self.node.keep);
            let capacity = self.node.columns.len();
            return Ok(Some(std::mem::replace(
                &mut self.buffer,
                Row::with_capacity(capacity),
            )));
        }
        self.left = 0;
        Ok(None)
    }
}

#[derive(Debug)]
struct VirtualScanNode {
    table: Arc<VirtualTable>,
    qualifier: String,
    columns: Vec<usize>,
    keep: usize,
    lookups: Vec<(usize, CompiledExpr)>,
    filters: Vec<CompiledExpr>,
    label: String,
}

struct VirtualScanIter {
    node: Arc<VirtualScanNode>,
    rows: Arc<Vec<Row>>,
    next: usize,
    _charge: Option<Charge>,
}

impl Operator for VirtualScanNode {
    fn open(self: Arc<Self>, cx: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        let stands_in = |(name, _): &&(String, Row)| *name == self.qualifier;
        if let Some((_, row)) = cx.state.overrides.iter().find(stands_in) {
            let rows = Arc::new(vec![row.clone()]);
            return Ok(Box::new(VirtualScanIter {
                node: self,
                rows,
                next: 0,
                _charge: None,
            }));
        }
        let mut lookups = Vec::with_capacity(self.lookups.len());
        for (column, expr) in &self.lookups {
            let value = expr.eval(&[], cx)?;
            if value.is_null() {
                return Ok(Box::new(Ready(Vec::new().into_iter())));
            }
            lookups.push((*column, value));
        }
        if lookups.is_empty()
            && let Some(rows) = cx.state.virtual_rows.get(&self.table.id)
        {
            let rows = rows.clone();
            return Ok(Box::new(VirtualScanIter {
                node: self,
                rows,
                next: 0,
                _charge: None,
            }));
        }
        let provider = cx.state.virtual_tables.clone();
        let rows = Arc::new(provider.rows(&self.table, &lookups, cx.functions)?);
        let mut charge = cx.charge();
        for row in rows.iter() {
            charge.add_row(row)?;
        }
        if lookups.is_empty() {
            cx.state.virtual_rows.insert(self.table.id, rows.clone());
        }
        Ok(Box::new(VirtualScanIter {
            node: self,
            rows,
            next: 0,
            _charge: Some(charge),
        }))
    }

    fn describe(&self) -> String {
        let names: Vec<_> = self
            .lookups
            .iter()
            .map(|(c, _)| self.table.columns[*c].0.as_str())
            .collect();
        format!(
            "VirtualScan: {}, lookup=[{}], filter={}",
            self.table.name,
            names.join(", "),
            self.label
        )
    }
}

impl RowIter for VirtualScanIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        'rows: while let Some(full) = self.rows.get(self.next) {
            self.next += 1;
            cx.tick()?;
            let mut row = Row::with_capacity(self.node.columns.len());
            for &column in &self.node.columns {
                row.push(match full.get(column) {
                    Some(value) => value.clone(),
                    // The hidden column behind the table's own.
                    None => cx.state.virtual_tables.row_key(&self.node.table, full)?,
                });
            }
            for condition in &self.node.filters {
                if !condition.holds(&row, cx)? {
                    continue 'rows;
                }
            }
            row.truncate(self.node.keep);
            return Ok(Some(row));
        }
        Ok(None)
    }
}
