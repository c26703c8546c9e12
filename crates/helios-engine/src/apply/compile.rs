//! `LogicalPlan` to operators.

use super::cte::{CteScanNode, MaterializeNode, RecursiveNode};
use super::filter::{Filter, Limit, Project, Union, Values};
use super::function_scan::{FunctionScanNode, ProjectSetNode, set_calls};
use super::set::{DistinctNode, SetOperationNode};
use super::sort::SortNode;
use super::subquery::Subprogram;
use super::{Operator, Program, scan};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{
    Distinct, Expr, Extension, LogicalPlan, Projection, SortExpr, TableScan,
};
use helios_planner::catalog::Table;
use helios_planner::function::{Volatility, as_pg_function};
use helios_planner::lower::access::OrderColumn;
use helios_planner::node;
use helios_planner::pgtype;
use helios_planner::relation::SourceRelation;
use helios_planner::scalar::{CompiledExpr, Frame, Order, SortOrder, SubqueryCompiler, expr_type};
use helios_types::{Error, Result, bail};
use std::sync::Arc;

/// Deepest nesting of plan nodes, subqueries included.
const DEPTH_MAX: usize = 400;

/// What compilation asks of its surroundings.
pub struct CompileOptions<'a> {
    /// How many rows a table has, as far as is known; decides between join methods only.
    pub row_count: &'a dyn Fn(&Table) -> Option<u64>,
}

impl Default for CompileOptions<'_> {
    fn default() -> Self {
        CompileOptions {
            row_count: &|_| None,
        }
    }
}

/// Compiles a whole plan.
pub fn compile(plan: &LogicalPlan, options: &CompileOptions<'_>) -> Result<Program> {
    let mut compiler = PlanCompiler::new(options);
    let root = compiler.plan(plan, &mut Frame::top())?;
    Ok(Program {
        root,
        subqueries: compiler.subqueries.into(),
    })
}

/// LIMIT and OFFSET of the node above.
type LimitHint = (Option<CompiledExpr>, Option<CompiledExpr>);

pub struct PlanCompiler<'a> {
    pub(super) options: &'a CompileOptions<'a>,
    subqueries: Vec<Subprogram>,
    depth: usize,
    /// Holds for the next node only: how many of its rows are wanted.
    limit: Option<LimitHint>,
    /// An order that the scan of this qualifier is asked to give.
    wanted: Option<(String, Vec<OrderColumn>)>,
    wanted_first: bool,
    granted: bool,
}

impl<'a> PlanCompiler<'a> {
    pub(super) fn new(options: &'a CompileOptions<'a>) -> Self {
        PlanCompiler {
            options,
            subqueries: Vec::new(),
            depth: 0,
            limit: None,
            wanted: None,
            wanted_first: false,
            granted: false,
        }
    }
}

impl SubqueryCompiler for PlanCompiler<'_> {
    fn compile_subquery(&mut self, plan: &LogicalPlan, frame: &mut Frame) -> Result<usize> {
        let saved = (self.limit.take(), self.wanted.take(), self.granted);
        let root = self.plan(plan, frame)?;
        (self.limit, self.wanted, self.granted) = saved;
        let fields = plan.schema().fields();
        let order = fields
            .first()
            .map_or(Order::Plain, |f| Order::of(pgtype::type_of_field(f)));
        let volatile = is_volatile(plan);
        self.subqueries.push(Subprogram {
            root,
            order,
            volatile,
            columns: fields.len(),
        });
        Ok(self.subqueries.len() - 1)
    }
}

/// Whether a plan calls a volatile function anywhere.
fn is_volatile(plan: &LogicalPlan) -> bool {
    let mut volatile = false;
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::ScalarFunction(call) = e {
                    volatile |= as_pg_function(&call.func)
                        .is_none_or(|f| f.def.volatility == Volatility::Volatile);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    volatile
}

impl PlanCompiler<'_> {
    pub(super) fn expr(
        &mut self,
        expr: &Expr,
        schema: &DFSchema,
        frame: &mut Frame,
    ) -> Result<CompiledExpr> {
        CompiledExpr::compile_in(expr, schema, frame, self)
    }

    pub(super) fn exprs(
        &mut self,
        exprs: &[Expr],
        schema: &DFSchema,
        frame: &mut Frame,
    ) -> Result<Vec<CompiledExpr>> {
        exprs.iter().map(|e| self.expr(e, schema, frame)).collect()
    }

    /// Sort expressions with how each orders.
    pub(super) fn sort_keys(
        &mut self,
        keys: &[SortExpr],
        schema: &DFSchema,
        frame: &mut Frame,
    ) -> Result<Vec<(CompiledExpr, SortOrder)>> {
        keys.iter()
            .map(|key| {
                let order = SortOrder {
                    order: Order::of(expr_type(&key.expr, schema)?),
                    descending: !key.asc,
                    nulls_first: key.nulls_first,
                };
                Ok((self.expr(&key.expr, schema, frame)?, order))
            })
            .collect()
    }

    pub(super) fn plan(
        &mut self,
        plan: &LogicalPlan,
        frame: &mut Frame,
    ) -> Result<Arc<dyn Operator>> {
        if self.depth >= DEPTH_MAX {
            bail!(
                LimitExceeded,
                "query is nested more than {DEPTH_MAX} levels deep"
            );
        }
        self.depth += 1;
        let limit = self.limit.take();
        let result = self.node(plan, limit, frame);
        self.depth -= 1;
        result
    }

    fn node(
        &mut self,
        plan: &LogicalPlan,
        limit: Option<LimitHint>,
        frame: &mut Frame,
    ) -> Result<Arc<dyn Operator>> {
        Ok(match plan {
            LogicalPlan::Projection(projection) => {
                self.limit = limit;
                self.projection(projection, frame)?
            }
            LogicalPlan::Filter(filter) => {
                let input = self.plan(&filter.input, frame)?;
                let predicate = self.expr(&filter.predicate, filter.input.schema(), frame)?;
                Arc::new(Filter {
                    input,
                    predicate,
                    label: filter.predicate.to_string(),
                })
            }
            LogicalPlan::TableScan(scan) => self.scan(scan, frame)?,
            LogicalPlan::SubqueryAlias(alias) => {
                self.limit = limit;
                self.plan(&alias.input, frame)?
            }
            LogicalPlan::Subquery(subquery) => {
                self.limit = limit;
                self.plan(&subquery.subquery, frame)?
            }
            LogicalPlan::Limit(limit) => self.limit(limit, frame)?,
            LogicalPlan::Sort(sort) => self.sort(sort, limit, frame)?,
            LogicalPlan::EmptyRelation(empty) => {
                let row = vec![
                    CompiledExpr::constant(helios_types::Value::Null);
                    plan.schema().fields().len()
                ];
                let rows = if empty.produce_one_row {
                    vec![row]
                } else {
                    Vec::new()
                };
                Arc::new(Values { rows })
            }
            LogicalPlan::Values(values) => {
                let schema = DFSchema::empty();
                let rows = values
                    .values
                    .iter()
                    .map(|row| self.exprs(row, &schema, frame))
                    .collect::<Result<_>>()?;
                Arc::new(Values { rows })
            }
            LogicalPlan::Union(union) => {
                let inputs = union
                    .inputs
                    .iter()
                    .map(|i| self.plan(i, frame))
                    .collect::<Result<_>>()?;
                Arc::new(Union { inputs })
            }
            LogicalPlan::Join(join) => self.join(join, frame)?,
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate, frame)?,
            LogicalPlan::Window(window) => self.window(window, frame)?,
            LogicalPlan::Distinct(distinct) => self.distinct(distinct, frame)?,
            LogicalPlan::Extension(extension) => self.extension(extension, frame)?,
            LogicalPlan::Repartition(node) => self.plan(&node.input, frame)?,
            other => {
                return Err(Error::internal(format!(
                    "no row operator for {}",
                    other.display()
                )));
            }
        })
    }

    fn projection(
        &mut self,
        projection: &Projection,
        frame: &mut Frame,
    ) -> Result<Arc<dyn Operator>> {
        let input = self.plan(&projection.input, frame)?;
        let schema = projection.input.schema();
        let exprs = self.exprs(&projection.expr, schema, frame)?;
        let identity = exprs.len() == schema.fields().len()
            && exprs
                .iter()
                .enumerate()
                .all(|(i, e)| e.as_column() == Some(i));
        if identity {
            return Ok(input);
        }
        let label = projection
            .expr
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        Ok(Arc::new(Project {
            input,
            exprs,
            label,
        }))
    }

    fn limit(
        &mut self,
        limit: &datafusion::logical_expr::Limit,
        frame: &mut Frame,
    ) -> Result<Arc<dyn Operator>> {
        let schema = DFSchema::empty();
        let mut compiled = |expr: &Option<Box<Expr>>, this: &mut Self| -> Result<_> {
            expr.as_ref()
                .map(|e| this.expr(e, &schema, frame))
                .transpose()
        };
        let skip = compiled(&limit.skip, self)?;
        let fetch = compiled(&limit.fetch, self)?;
        self.limit = Some((skip.clone(), fetch.clone()));
        let input = self.plan(&limit.input, frame)?;
        self.limit = None;
        let text = |e: &Option<Box<Expr>>| e.as_ref().map_or("none".into(), |e| e.to_string());
        let label = format!("skip={}, fetch={}", text(&limit.skip), text(&limit.fetch));
        Ok(Arc::new(Limit {
            input,
            skip,
            fetch,
            label,
        }))
    }

    fn sort(
        &mut self,
        sort: &datafusion::logical_expr::Sort,
        limit: Option<LimitHint>,
        frame: &mut Frame,
    ) -> Result<Arc<dyn Operator>> {
        let limited = sort.fetch.is_some() || limit.as_ref().is_some_and(|(_, f)| f.is_some());
        self.wanted = wanted_order(&sort.expr, &sort.input);
        self.wanted_first = limited;
        self.granted = false;
        let input = self.plan(&sort.input, frame)?;
        self.wanted = None;
        if std::mem::take(&mut self.granted) {
            return Ok(match sort.fetch {
                Some(n) => {
                    let fetch = CompiledExpr::constant(helios_types::Value::Int8(n as i64));
                    let label = format!("fetch={n}");
                    Arc::new(Limit {
                        input,
                        skip: None,
                        fetch: Some(fetch),
                        label,
                    })
                }
                None => input,
            });
        }
        let keys = self.sort_keys(&sort.expr, sort.input.schema(), frame)?;
        let label = sort
            .expr
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let (skip, fetch) = limit.unwrap_or((None, None));
        Ok(Arc::new(SortNode {
            input,
            keys,
            fetch: sort.fetch,
            bound: fetch.map(|f| (skip, f)),
            label,
        }))
    }

    /// Whether only the first rows of the wanted order are wanted: then it is worth another path.
    pub(super) fn wants_first(&self) -> bool {
        self.wanted_first
    }

    /// The order that the scan is asked for, when it is this scan that is asked.
    pub(super) fn take_wanted_order(&mut self, scan: &TableScan) -> Vec<OrderColumn> {
        match self.wanted.take() {
            Some((name, order)) if name == scan.table_name.table() => order,
            _ => Vec::new(),
        }
    }

    pub(super) fn grant_order(&mut self) {
        self.granted = true;
    }

    fn distinct(&mut self, distinct: &Distinct, frame: &mut Frame) -> Result<Arc<dyn Operator>> {
        match distinct {
            Distinct::All(input) => {
                let orders = input
                    .schema()
                    .fields()
                    .iter()
                    .map(|f| Order::of(pgtype::type_of_field(f)))
                    .collect::<Vec<_>>();
                let on = orders
                    .into_iter()
                    .enumerate()
                    .map(|(i, order)| (CompiledExpr::column(i), order))
                    .collect();
                Ok(Arc::new(DistinctNode {
                    input: self.plan(input, frame)?,
                    on,
                    select: None,
                }))
            }
            Distinct::On(distinct) => {
                let schema = distinct.input.schema();
                let mut input = self.plan(&distinct.input, frame)?;
                if let Some(sort) = &distinct.sort_expr {
                    let keys = self.sort_keys(sort, schema, frame)?;
                    let label = "DISTINCT ON".to_string();
                    input = Arc::new(SortNode {
                        input,
                        keys,
                        fetch: None,
                        bound: None,
                        label,
                    });
                }
                let on = distinct
                    .on_expr
                    .iter()
                    .map(|e| {
                        Ok((
                            self.expr(e, schema, frame)?,
                            Order::of(expr_type(e, schema)?),
                        ))
                    })
                    .collect::<Result<_>>()?;
                let select = Some(self.exprs(&distinct.select_expr, schema, frame)?);
                Ok(Arc::new(DistinctNode { input, on, select }))
            }
        }
    }

    fn extension(&mut self, extension: &Extension, frame: &mut Frame) -> Result<Arc<dyn Operator>> {
        let any = extension.node.as_any();
        if let Some(scan) = any.downcast_ref::<node::CteScan>() {
            return Ok(Arc::new(CteScanNode {
                id: scan.id,
                name: scan.name.clone(),
            }));
        }
        if let Some(node) = any.downcast_ref::<node::Materialize>() {
            let mut ctes = Vec::new();
            for (id, plan) in &node.ctes {
                let inner = if is_modifying(plan) {
                    None
                } else {
                    Some(self.plan(plan, frame)?)
                };
                ctes.push((*id, inner));
            }
            return Ok(Arc::new(MaterializeNode {
                ctes,
                body: self.plan(&node.body, frame)?,
            }));
        }
        if let Some(node) = any.downcast_ref::<node::RecursiveCte>() {
            let start = self.plan(&node.start, frame)?;
            let step = self.plan(&node.step, frame)?;
            let orders = orders(&node.schema);
            return Ok(Arc::new(RecursiveNode {
                id: node.id,
                start,
                step,
                distinct: node.distinct,
                orders,
            }));
        }
        if let Some(node) = any.downcast_ref::<node::SetOperation>() {
            return Ok(Arc::new(SetOperationNode {
                operator: node.operator,
                all: node.all,
                left: self.plan(&node.left, frame)?,
                right: self.plan(&node.right, frame)?,
                orders: orders(&node.schema),
            }));
        }
        if let Some(node) = any.downcast_ref::<node::FunctionScan>() {
            let schema = DFSchema::empty();
            let calls = node.calls.iter().map(|c| (&c.call, c.n_columns));
            let calls = set_calls(calls, &schema, self, frame)?;
            let label = extension
                .node
                .expressions()
                .iter()
                .map(ToString::to_string)
                .collect();
            return Ok(Arc::new(FunctionScanNode {
                calls,
                ordinality: node.ordinality,
                label,
            }));
        }
        if let Some(node) = any.downcast_ref::<node::ProjectSet>() {
            let input = self.plan(&node.input, frame)?;
            let schema = node.input.schema();
            let calls = set_calls(node.calls.iter().map(|c| (c, 1)), schema, self, frame)?;
            return Ok(Arc::new(ProjectSetNode { input, calls }));
        }
        bail!(Internal, "no row operator for {}", extension.node.name())
    }
}

pub(super) fn orders(schema: &DFSchema) -> Vec<Order> {
    schema
        .fields()
        .iter()
        .map(|f| Order::of(pgtype::type_of_field(f)))
        .collect()
}

/// Whether a plan writes: such a CTE is run by the write path, which hands its rows over.
fn is_modifying(plan: &LogicalPlan) -> bool {
    plan.exists(|node| {
        Ok(matches!(node, LogicalPlan::Extension(e)
            if e.node.as_any().is::<node::ModifyTable>()))
    })
    .unwrap_or(false)
}

/// Expressions over a node's output as expressions over its input.
fn over_input(exprs: Vec<Expr>, replace: &dyn Fn(&Column) -> Option<Expr>) -> Option<Vec<Expr>> {
    let over = |expr: Expr| {
        let mut missing = false;
        let expr = expr.transform(|e| {
            Ok(match &e {
                Expr::Column(column) => match replace(column) {
                    Some(below) => Transformed::yes(below),
                    None => {
                        missing = true;
                        Transformed::no(e)
                    }
                },
                _ => Transformed::no(e),
            })
        });
        expr.ok().filter(|_| !missing).map(|t| t.data)
    };
    exprs.into_iter().map(over).collect()
}

/// The ORDER BY as columns of the one table scan below, through nodes that keep the order.
fn wanted_order(sort: &[SortExpr], input: &LogicalPlan) -> Option<(String, Vec<OrderColumn>)> {
    let mut exprs: Vec<Expr> = sort.iter().map(|s| s.expr.clone()).collect();
    let mut plan = input;
    loop {
        match plan {
            LogicalPlan::Filter(filter) => plan = &filter.input,
            LogicalPlan::Projection(projection) => {
                exprs = over_input(exprs, &|c| {
                    let position = projection.schema.maybe_index_of_column(c)?;
                    Some(projection.expr.get(position)?.clone().unalias())
                })?;
                plan = &projection.input;
            }
            LogicalPlan::SubqueryAlias(alias) => {
                exprs = over_input(exprs, &|c| {
                    let position = alias.schema.maybe_index_of_column(c)?;
                    let (relation, field) = alias.input.schema().qualified_field(position);
                    Some(Expr::Column((relation, field).into()))
                })?;
                plan = &alias.input;
            }
            LogicalPlan::TableScan(table_scan) => {
                let SourceRelation::Table(table) = &scan::relation(table_scan).ok()?.relation
                else {
                    return None;
                };
                let order = exprs
                    .into_iter()
                    .zip(sort)
                    .map(|(expr, s)| {
                        let sort = SortExpr { expr, ..*s };
                        scan::matcher(table_scan, table, |m| m.order_column(table, &sort))
                    })
                    .collect::<Option<_>>()?;
                return Some((table_scan.table_name.table().to_string(), order));
            }
            _ => return None,
        }
    }
}
