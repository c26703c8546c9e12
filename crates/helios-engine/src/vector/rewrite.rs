//! A bound plan in terms that DataFusion's physical planner and Arrow's kernels understand.

use super::compare::comparison;
use super::from_datafusion;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DataFusionResult};
use datafusion::functions_aggregate::{average, bool_and_or, count, min_max, sum};
use datafusion::logical_expr::expr::{AggregateFunction, InList, Placeholder};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, Aggregate, AggregateUDF, AggregateUDFImpl, BinaryExpr, Case, Cast, Distinct, Expr,
    GroupsAccumulator, LogicalPlan, Operator, ScalarUDF, Signature, Volatility,
};
use helios_planner::function::arrow::external;
use helios_planner::function::{FrozenContext, PgAggregate, as_pg_aggregate, as_pg_function};
use helios_planner::lower::vector::{decorrelate, is_exact};
use helios_planner::pgtype;
use helios_planner::scalar::{expr_type, missing_parameter, parameter_position};
use helios_types::{Result, Type, Value};
use std::sync::Arc;

/// Rewrites the whole plan, subqueries included.
pub fn rewrite(
    plan: &LogicalPlan,
    params: &[Value],
    context: FrozenContext,
) -> Result<LogicalPlan> {
    let rewriter = Rewriter { params, context };
    let plan = plan
        .clone()
        .transform_down_with_subqueries(|node| rewriter.node(node))
        .map_err(from_datafusion)?
        .data;
    let plan = plan
        .transform_up_with_subqueries(distinct_as_groups)
        .map_err(from_datafusion)?
        .data;
    decorrelate(plan)
}

/// DISTINCT is groups of all columns: the physical planner knows only these.
fn distinct_as_groups(node: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
    let LogicalPlan::Distinct(Distinct::All(input)) = node else {
        return Ok(Transformed::no(node));
    };
    let columns = input.schema().columns().into_iter().map(Expr::Column);
    let groups = Aggregate::try_new(input.clone(), columns.collect(), Vec::new())?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(groups)))
}

struct Rewriter<'a> {
    params: &'a [Value],
    context: FrozenContext,
}

/// The columns that a node's expressions see.
fn visible(node: &LogicalPlan) -> DataFusionResult<DFSchema> {
    Ok(match node {
        LogicalPlan::TableScan(scan) => {
            DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?
        }
        LogicalPlan::Join(join) => join.left.schema().join(join.right.schema())?,
        other => match other.inputs().first() {
            Some(input) => input.schema().as_ref().clone(),
            None => DFSchema::empty(),
        },
    })
}

impl Rewriter<'_> {
    fn node(&self, node: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
        let schema = visible(&node)?;
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let new = expr.transform_up(|e| self.expr(e, &schema))?;
            Ok(Transformed::yes(name.restore(new.data)))
        })
    }

    fn expr(&self, expr: Expr, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
        let ty = |e: &Expr| expr_type(e, schema).map_err(external);
        Ok(match expr {
            Expr::Placeholder(Placeholder { id, field }) => {
                let position = parameter_position(&id).map_err(external)?;
                let value = self
                    .params
                    .get(position)
                    .ok_or_else(|| external(missing_parameter(position)))?;
                let ty = field.map_or(Type::TEXT, |f| pgtype::type_of_field(&f));
                Transformed::yes(pgtype::literal(value, ty))
            }
            Expr::ScalarFunction(call) => match as_pg_function(&call.func) {
                Some(function) => {
                    let udf = ScalarUDF::from(function.with_context(self.context.clone()));
                    Transformed::yes(udf.call(call.args))
                }
                None => Transformed::no(Expr::ScalarFunction(call)),
            },
            Expr::AggregateFunction(call) => Transformed::yes(self.aggregate(call)?),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
                let ty = ty(&left)?;
                if is_exact(ty.oid) {
                    Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))
                } else {
                    Transformed::yes(comparison(*left, op, *right, ty))
                }
            }
            Expr::InList(list) => {
                let ty = ty(&list.expr)?;
                if is_exact(ty.oid) {
                    Transformed::no(Expr::InList(list))
                } else {
                    Transformed::yes(in_list(list, ty))
                }
            }
            Expr::Between(between) if !is_exact(ty(&between.expr)?.oid) => {
                let ty = ty(&between.expr)?;
                let low = comparison(
                    between.expr.as_ref().clone(),
                    Operator::GtEq,
                    *between.low,
                    ty,
                );
                let high = comparison(*between.expr, Operator::LtEq, *between.high, ty);
                let inside = low.and(high);
                Transformed::yes(if between.negated {
                    Expr::Not(Box::new(inside))
                } else {
                    inside
                })
            }
            Expr::Case(Case {
                expr: Some(operand),
                when_then_expr,
                else_expr,
            }) if !is_exact(ty(&operand)?.oid) => {
                let ty = ty(&operand)?;
                let arms = when_then_expr
                    .into_iter()
                    .map(|(when, then)| {
                        let test = comparison(operand.as_ref().clone(), Operator::Eq, *when, ty);
                        (Box::new(test), then)
                    })
                    .collect();
                Transformed::yes(Expr::Case(Case {
                    expr: None,
                    when_then_expr: arms,
                    else_expr,
                }))
            }
            other => Transformed::no(other),
        })
    }

    fn aggregate(&self, call: AggregateFunction) -> DataFusionResult<Expr> {
        let Some(aggregate) = as_pg_aggregate(&call.func) else {
            return Ok(Expr::AggregateFunction(call));
        };
        let mut params = call.params;
        let func = match native(aggregate) {
            Some((inner, argument)) => {
                match argument {
                    Argument::AsIs => {}
                    Argument::One => {
                        let one = pgtype::literal(&Value::Int8(1), Type::INT8);
                        params.args = vec![one];
                    }
                    Argument::Cast(to) => {
                        params.args = params
                            .args
                            .into_iter()
                            .map(|e| Expr::Cast(Cast::new(Box::new(e), to.clone())))
                            .collect();
                    }
                }
                AggregateUDF::from(Native {
                    inner,
                    name: aggregate.def.name,
                    result: aggregate.result,
                })
            }
            None => AggregateUDF::from(aggregate.with_context(self.context.clone())),
        };
        Ok(Expr::AggregateFunction(AggregateFunction {
            func: Arc::new(func),
            params,
        }))
    }
}

fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

fn in_list(list: InList, ty: Type) -> Expr {
    let any = list
        .list
        .into_iter()
        .map(|item| comparison(list.expr.as_ref().clone(), Operator::Eq, item, ty))
        .reduce(Expr::or)
        .unwrap_or_else(|| pgtype::literal(&Value::Bool(false), Type::BOOL));
    if list.negated {
        Expr::Not(Box::new(any))
    } else {
        any
    }
}

enum Argument {
    AsIs,
    /// `count(*)` counts a constant.
    One,
    Cast(DataType),
}

/// DataFusion's aggregate that gives the same results as ours, where there is one.
fn native(aggregate: &PgAggregate) -> Option<(Arc<AggregateUDF>, Argument)> {
    let oid = aggregate.args.first().map(|ty| ty.oid);
    Some(match (aggregate.def.name, oid) {
        ("count", None) => (count::count_udaf(), Argument::One),
        ("count", Some(_)) => (count::count_udaf(), Argument::AsIs),
        ("sum", Some(21 | 23)) => (sum::sum_udaf(), Argument::Cast(DataType::Int64)),
        ("sum", Some(701)) => (sum::sum_udaf(), Argument::AsIs),
        ("avg", Some(701)) => (average::avg_udaf(), Argument::AsIs),
        ("min", Some(20 | 21 | 23 | 25 | 1082 | 1083 | 1114 | 1184)) => {
            (min_max::min_udaf(), Argument::AsIs)
        }
        ("max", Some(20 | 21 | 23 | 25 | 1082 | 1083 | 1114 | 1184)) => {
            (min_max::max_udaf(), Argument::AsIs)
        }
        ("bool_and" | "every", Some(16)) => (bool_and_or::bool_and_udaf(), Argument::AsIs),
        ("bool_or", Some(16)) => (bool_and_or::bool_or_udaf(), Argument::AsIs),
        _ => return None,
    })
}

/// An aggregate of DataFusion's under our name and with our result field.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Native {
    inner: Arc<AggregateUDF>,
    name: &'static str,
    result: Type,
}

impl AggregateUDFImpl for Native {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        static ANY: std::sync::LazyLock<Signature> =
            std::sync::LazyLock::new(|| Signature::variadic_any(Volatility::Immutable));
        &ANY
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(pgtype::arrow_type(self.result.oid))
    }

    fn return_field(&self, _: &[FieldRef]) -> DataFusionResult<FieldRef> {
        Ok(pgtype::field_ref(self.name, self.result))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DataFusionResult<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> DataFusionResult<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }
}
