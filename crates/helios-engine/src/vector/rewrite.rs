//! A bound plan in terms that DataFusion's physical planner and Arrow's kernels understand.

use super::compare::comparison;
use super::from_datafusion;
use super::key::{by_keys, key_of};
use super::widen::widened;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DataFusionResult};
use datafusion::functions_aggregate::{bool_and_or, count, min_max, sum};
use datafusion::logical_expr::expr::{AggregateFunction, InList, Placeholder};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, BinaryExpr, Case, Cast, ColumnarValue, Expr,
    GroupsAccumulator, LogicalPlan, Operator, ScalarUDF, Signature, Volatility,
};
use helios_planner::function::arrow::{external, invoke};
use helios_planner::function::{
    FrozenContext, PgAggregate, PgFunction, as_pg_aggregate, as_pg_function,
};
use helios_planner::lower::vector::{
    Assumption, PARAMETER_DIGITS, VectorPlan, is_comparison, is_exact, visible, widened_date,
};
use helios_planner::pgtype;
use helios_planner::scalar::{expr_type, missing_parameter, parameter_position};
use helios_types::{Result, Type, Value};
use std::cell::Cell;
use std::sync::Arc;

/// The plan with these parameters; `None` when they are not what the plan was made for, or when a
/// constant of it cannot be computed, which the row executor only does when it needs it.
pub fn rewrite(
    vector: &VectorPlan,
    params: &[Value],
    context: FrozenContext,
) -> Result<Option<LogicalPlan>> {
    let rewriter = Rewriter {
        params,
        context,
        unfit: Cell::new(false),
    };
    for assumption in &vector.assumptions {
        if !rewriter.fits(assumption)? {
            return Ok(None);
        }
    }
    let plan = vector
        .plan
        .clone()
        .transform_down_with_subqueries(|node| rewriter.node(node))
        .map_err(from_datafusion)?
        .data;
    if rewriter.unfit.get() {
        return Ok(None);
    }
    let plan = plan
        .transform_up_with_subqueries(by_keys)
        .map_err(from_datafusion)?
        .data;
    Ok(Some(plan))
}

struct Rewriter<'a> {
    params: &'a [Value],
    context: FrozenContext,
    /// A constant could not be computed.
    unfit: Cell<bool>,
}

impl Rewriter<'_> {
    fn fits(&self, assumption: &Assumption) -> Result<bool> {
        let schema = DFSchema::empty();
        let expr = assumption.expr().clone();
        let ty = expr_type(&expr, &schema)?;
        let computed = expr
            .transform_up(|e| self.expr(e, &schema))
            .map_err(from_datafusion)?
            .data;
        let Expr::Literal(scalar, _) = computed.unalias() else {
            return Ok(false);
        };
        let value = pgtype::scalar_to_value(&scalar, ty)?;
        Ok(match (assumption, &value) {
            (_, Value::Null) => true,
            (Assumption::NotNegative(_), value) => value.as_i64().is_some_and(|v| v >= 0),
            (Assumption::Positive(_), value) => value.as_i64().is_some_and(|v| v >= 1),
            (Assumption::PlainPattern(_), Value::Text(pattern)) => !pattern.contains('\\'),
            (Assumption::FewDigits(_), Value::Numeric(number)) => {
                number.to_string().len() <= PARAMETER_DIGITS as usize
            }
            _ => false,
        })
    }

    /// A call whose arguments are all constant, computed.
    fn folded(&self, function: &PgFunction, args: &[Expr]) -> Option<Expr> {
        let constants = args
            .iter()
            .map(|e| match e {
                Expr::Literal(scalar, _) => Some(ColumnarValue::Scalar(scalar.clone())),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()?;
        let mut context = self.context.clone();
        let result = function.result;
        match invoke(
            function.def,
            &function.args,
            result,
            &constants,
            1,
            &mut context,
        ) {
            Ok(ColumnarValue::Scalar(scalar)) => {
                Some(Expr::Literal(scalar, Some(pgtype::field_metadata(result))))
            }
            Ok(ColumnarValue::Array(_)) => None,
            Err(_) => {
                self.unfit.set(true);
                None
            }
        }
    }

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
                    if let Some(constant) = self.folded(function, &call.args) {
                        return Ok(Transformed::yes(constant));
                    }
                    let udf = ScalarUDF::from(function.with_context(self.context.clone()));
                    Transformed::yes(udf.call(call.args))
                }
                None => Transformed::no(Expr::ScalarFunction(call)),
            },
            Expr::AggregateFunction(call) => Transformed::yes(self.aggregate(call, schema)?),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
                let ty = ty(&left)?;
                let (left, right) = (saturating(*left), saturating(*right));
                Transformed::yes(if is_exact(ty.oid) {
                    let (left, right) = (Box::new(left), Box::new(right));
                    Expr::BinaryExpr(BinaryExpr { left, op, right })
                } else {
                    comparison(left, op, right, ty)
                })
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

    fn aggregate(&self, call: AggregateFunction, schema: &DFSchema) -> DataFusionResult<Expr> {
        let Some(aggregate) = as_pg_aggregate(&call.func) else {
            return Ok(Expr::AggregateFunction(call));
        };
        let mut params = call.params;
        if params.distinct && aggregate.def.name == "count" {
            params.args = params
                .args
                .into_iter()
                .map(|e| key_of(e, schema))
                .collect::<DataFusionResult<_>>()?;
        }
        let func = match native(aggregate, params.distinct) {
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

/// A date compared as a timestamp, which may lie beyond all timestamps.
fn saturating(expr: Expr) -> Expr {
    match widened_date(&expr) {
        Some(date) => widened(date.clone()),
        None => expr,
    }
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

/// DataFusion's aggregate that gives the same results as ours, where there is one. Its sums of
/// floats are not among them: they add in another order and do not see overflow.
fn native(aggregate: &PgAggregate, distinct: bool) -> Option<(Arc<AggregateUDF>, Argument)> {
    let oid = aggregate.args.first().map(|ty| ty.oid);
    Some(match (aggregate.def.name, oid) {
        ("count", None) => (count::count_udaf(), Argument::One),
        ("count", Some(_)) => (count::count_udaf(), Argument::AsIs),
        ("sum", Some(21 | 23)) if !distinct => (sum::sum_udaf(), Argument::Cast(DataType::Int64)),
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
