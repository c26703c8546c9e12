//! GROUP BY: a hash table of groups, in the order in which they first come.
//!
//! Grouping sets are grouped side by side in one pass over the input. DISTINCT and ORDER BY inside
//! an aggregate collect its arguments and feed them when the group is finished.

use super::compile::PlanCompiler;
use super::context::Charge;
use super::filter::Ready;
use super::sort::compare_keys;
use super::{ExecContext, Operator, Row, RowIter};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::{enumerate_grouping_sets, grouping_set_to_exprlist};
use datafusion::logical_expr::{Aggregate, Expr, GroupingSet};
use foldhash::fast::FixedState;
use foldhash::{HashSet, HashSetExt};
use helios_planner::function::{Accumulator, FunctionDef, Implementation, as_pg_aggregate};
use helios_planner::scalar::{CompiledExpr, Frame, Key, Order, SortOrder, expr_type};
use helios_types::{Error, Result, Type, Value, bail};
use indexmap::IndexMap;
use std::sync::Arc;

/// One aggregate call.
#[derive(Debug)]
pub struct AggregateCall {
    def: &'static FunctionDef,
    create: fn(&[Type]) -> Box<dyn Accumulator>,
    types: Vec<Type>,
    args: Vec<CompiledExpr>,
    arg_orders: Vec<Order>,
    distinct: bool,
    filter: Option<CompiledExpr>,
    order_by: Vec<(CompiledExpr, SortOrder)>,
    /// Whether the order of its input shows in its result.
    ordered: bool,
    /// Whether its state grows with its input.
    grows: bool,
}

/// State of one call over one group.
pub struct AggregateState {
    accumulator: Box<dyn Accumulator>,
    seen: Option<HashSet<Key>>,
    /// Sort keys and arguments that wait for the end of the group.
    waiting: Vec<(Vec<Value>, Vec<Value>)>,
}

/// Aggregates whose result does not depend on the order of their input.
fn is_unordered(name: &str) -> bool {
    matches!(
        name,
        "count"
            | "sum"
            | "min"
            | "max"
            | "avg"
            | "bool_and"
            | "bool_or"
            | "every"
            | "bit_and"
            | "bit_or"
            | "bit_xor"
            | "any_value"
    )
}

impl AggregateCall {
    pub fn compile(
        call: &AggregateFunction,
        schema: &DFSchema,
        compiler: &mut PlanCompiler<'_>,
        frame: &mut Frame,
    ) -> Result<Self> {
        let Some(aggregate) = as_pg_aggregate(&call.func) else {
            bail!(
                Internal,
                "aggregate {} is not one of PostgreSQL's",
                call.func.name()
            );
        };
        let Implementation::Aggregate(create) = aggregate.def.implementation else {
            bail!(Internal, "{} is not an aggregate", aggregate.def.name);
        };
        let params = &call.params;
        let arg_orders = params
            .args
            .iter()
            .map(|e| expr_type(e, schema).map(Order::of))
            .collect::<Result<_>>()?;
        let ordered = !is_unordered(aggregate.def.name);
        Ok(AggregateCall {
            def: aggregate.def,
            create,
            types: aggregate.args.clone(),
            args: compiler.exprs(&params.args, schema, frame)?,
            arg_orders,
            distinct: params.distinct,
            filter: params
                .filter
                .as_ref()
                .map(|f| compiler.expr(f, schema, frame))
                .transpose()?,
            order_by: if ordered {
                compiler.sort_keys(&params.order_by, schema, frame)?
            } else {
                Vec::new()
            },
            ordered,
            grows: ordered,
        })
    }

    pub fn state(&self) -> AggregateState {
        AggregateState {
            accumulator: (self.create)(&self.types),
            seen: (self.distinct && !self.ordered).then(HashSet::new),
            waiting: Vec::new(),
        }
    }

    fn waits(&self) -> bool {
        !self.order_by.is_empty() || (self.distinct && self.ordered)
    }

    /// Whether a finished state may go on taking rows; so for the plain arithmetic ones.
    pub fn is_running(&self) -> bool {
        !self.ordered && !self.distinct
    }

    pub fn update(
        &self,
        state: &mut AggregateState,
        row: &[Value],
        charge: &mut Charge,
        cx: &mut ExecContext<'_>,
    ) -> Result<()> {
        if let Some(filter) = &self.filter
            && !filter.holds(row, cx)?
        {
            return Ok(());
        }
        let mut args = smallvec::SmallVec::<[Value; 2]>::with_capacity(self.args.len());
        for arg in &self.args {
            args.push(arg.eval(row, cx)?);
        }
        if self.def.strict && args.iter().any(Value::is_null) {
            return Ok(());
        }
        if self.grows {
            charge.add_row(&args)?;
        }
        if self.waits() {
            let keys = self
                .order_by
                .iter()
                .map(|(e, _)| e.eval(row, cx))
                .collect::<Result<Vec<_>>>()?;
            charge.add_row(&keys)?;
            state.waiting.push((keys, args.to_vec()));
            return Ok(());
        }
        if let Some(seen) = &mut state.seen {
            let key = args
                .iter()
                .zip(&self.arg_orders)
                .map(|(v, o)| o.normal(v.clone()));
            let key = Key(key.collect());
            if seen.contains(&key) {
                return Ok(());
            }
            charge.add_row(&key.0)?;
            seen.insert(key);
        }
        state.accumulator.update(&args, cx.functions)
    }

    pub fn finish(&self, state: &mut AggregateState, cx: &mut ExecContext<'_>) -> Result<Value> {
        if self.waits() {
            self.feed(state, cx)?;
        }
        state.accumulator.finish(cx.functions)
    }

    /// Sorts what waited, drops repeated arguments under DISTINCT, and accumulates it.
    fn feed(&self, state: &mut AggregateState, cx: &mut ExecContext<'_>) -> Result<()> {
        let mut waiting = std::mem::take(&mut state.waiting);
        let orders: Vec<SortOrder> = self.order_by.iter().map(|(_, o)| *o).collect();
        let plain: Vec<SortOrder> = self
            .arg_orders
            .iter()
            .map(|&order| SortOrder {
                order,
                descending: false,
                nulls_first: false,
            })
            .collect();
        waiting.sort_by(|a, b| {
            let order = compare_keys(&orders, &a.0, &b.0);
            if self.distinct {
                order.then_with(|| compare_keys(&plain, &a.1, &b.1))
            } else {
                order
            }
        });
        if self.distinct {
            waiting.dedup_by(|a, b| compare_keys(&plain, &a.1, &b.1).is_eq());
        }
        for (_, args) in &waiting {
            state.accumulator.update(args, cx.functions)?;
        }
        Ok(())
    }
}

/// One grouping set: which of the group expressions it has.
#[derive(Debug)]
struct GroupSet {
    members: Vec<usize>,
    /// The value of the hidden grouping-id column.
    id: Option<Value>,
}

#[derive(Debug)]
struct AggregateNode {
    input: Arc<dyn Operator>,
    groups: Vec<CompiledExpr>,
    orders: Vec<Order>,
    sets: Vec<GroupSet>,
    calls: Vec<AggregateCall>,
    label: String,
}

impl PlanCompiler<'_> {
    pub(super) fn aggregate(
        &mut self,
        aggregate: &Aggregate,
        frame: &mut Frame,
    ) -> Result<Arc<dyn Operator>> {
        let input = self.plan(&aggregate.input, frame)?;
        let schema = aggregate.input.schema();
        let exprs: Vec<Expr> = grouping_set_to_exprlist(&aggregate.group_expr)
            .map_err(Error::internal)?
            .into_iter()
            .cloned()
            .collect();
        let sets = group_sets(aggregate, &exprs)?;
        let orders = exprs
            .iter()
            .map(|e| expr_type(e, schema).map(Order::of))
            .collect::<Result<_>>()?;
        let groups = self.exprs(&exprs, schema, frame)?;
        let calls = aggregate
            .aggr_expr
            .iter()
            .map(|expr| match expr.clone().unalias() {
                Expr::AggregateFunction(call) => AggregateCall::compile(&call, schema, self, frame),
                other => bail!(Internal, "{other} is not an aggregate"),
            })
            .collect::<Result<_>>()?;
        let list = |exprs: &[Expr]| {
            exprs
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let label = format!(
            "groupBy=[{}], aggr=[{}]",
            list(&aggregate.group_expr),
            list(&aggregate.aggr_expr)
        );
        Ok(Arc::new(AggregateNode {
            input,
            groups,
            orders,
            sets,
            calls,
            label,
        }))
    }
}

fn group_sets(aggregate: &Aggregate, exprs: &[Expr]) -> Result<Vec<GroupSet>> {
    let expanded =
        enumerate_grouping_sets(aggregate.group_expr.clone()).map_err(Error::internal)?;
    let [Expr::GroupingSet(GroupingSet::GroupingSets(lists))] = expanded.as_slice() else {
        return Ok(vec![GroupSet {
            members: (0..exprs.len()).collect(),
            id: None,
        }]);
    };
    let id_type = aggregate
        .schema
        .fields()
        .iter()
        .find(|f| f.name() == Aggregate::INTERNAL_GROUPING_ID)
        .map(|f| f.data_type().clone());
    lists
        .iter()
        .map(|list| {
            let members: Vec<usize> = (0..exprs.len())
                .filter(|i| list.contains(&exprs[*i]))
                .collect();
            let mask = (0..exprs.len()).fold(0u64, |mask, i| {
                (mask << 1) | u64::from(!members.contains(&i))
            });
            let id = id_type.as_ref().map(|t| match t {
                DataType::UInt8 => Value::Char(mask as u8),
                DataType::UInt32 => Value::Oid(mask as u32),
                DataType::Int32 => Value::Int4(mask as i32),
                _ => Value::Int8(mask as i64),
            });
            Ok(GroupSet { members, id })
        })
        .collect()
}

struct Group {
    /// The first row's group values, where a key loses something of them.
    values: Option<Row>,
    states: Vec<AggregateState>,
}

type Groups = IndexMap<Key, Group, FixedState>;

impl AggregateNode {
    fn rows(&self, cx: &mut ExecContext<'_>) -> Result<Vec<Row>> {
        let mut charge = cx.charge();
        let mut tables: Vec<Groups> = self.sets.iter().map(|_| Groups::default()).collect();
        let lossy = self.orders.contains(&Order::Blanks);
        let mut input = self.input.clone().open(cx)?;
        let mut values = Vec::with_capacity(self.groups.len());
        while let Some(row) = input.next(cx)? {
            cx.tick()?;
            values.clear();
            for expr in &self.groups {
                values.push(expr.eval(&row, cx)?);
            }
            for (set, groups) in self.sets.iter().zip(&mut tables) {
                let key = set
                    .members
                    .iter()
                    .map(|&i| self.orders[i].normal(values[i].clone()));
                let key = Key(key.collect());
                let group = match groups.get_mut(&key) {
                    Some(group) => group,
                    None => {
                        charge.add_row(&key.0)?;
                        charge.add(64 * (1 + self.calls.len()))?;
                        let first = set.members.iter().map(|&i| values[i].clone());
                        let group = self.group(lossy.then(|| first.collect()));
                        groups.entry(key).or_insert(group)
                    }
                };
                for (call, state) in self.calls.iter().zip(&mut group.states) {
                    call.update(state, &row, &mut charge, cx)?;
                }
            }
        }
        let mut out = Vec::new();
        for (set, mut groups) in self.sets.iter().zip(tables) {
            if groups.is_empty() && set.members.is_empty() {
                groups.insert(Key::new(Vec::new()), self.group(None));
            }
            for (key, mut group) in groups {
                out.push(self.output(set, key, &mut group, cx)?);
            }
        }
        Ok(out)
    }

    fn group(&self, values: Option<Row>) -> Group {
        Group {
            values,
            states: self.calls.iter().map(AggregateCall::state).collect(),
        }
    }

    fn output(
        &self,
        set: &GroupSet,
        key: Key,
        group: &mut Group,
        cx: &mut ExecContext<'_>,
    ) -> Result<Row> {
        let values = group.values.take().unwrap_or_else(|| key.0.into_vec());
        let mut row = Vec::with_capacity(self.groups.len() + 1 + self.calls.len());
        row.resize(self.groups.len(), Value::Null);
        for (&member, value) in set.members.iter().zip(values) {
            row[member] = value;
        }
        row.extend(set.id.clone());
        for (call, state) in self.calls.iter().zip(&mut group.states) {
            row.push(call.finish(state, cx)?);
        }
        Ok(row)
    }
}

struct AggregateIter {
    node: Arc<AggregateNode>,
    rows: Option<Ready>,
}

impl Operator for AggregateNode {
    fn open(self: Arc<Self>, _: &mut ExecContext<'_>) -> Result<Box<dyn RowIter>> {
        Ok(Box::new(AggregateIter {
            node: self,
            rows: None,
        }))
    }
    fn describe(&self) -> String {
        format!("Aggregate: {}", self.label)
    }
    fn inputs(&self) -> Vec<&Arc<dyn Operator>> {
        vec![&self.input]
    }
}

impl RowIter for AggregateIter {
    fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Row>> {
        if self.rows.is_none() {
            self.rows = Some(Ready(self.node.rows(cx)?.into_iter()));
        }
        match &mut self.rows {
            Some(rows) => rows.next(cx),
            None => Ok(None),
        }
    }
}
