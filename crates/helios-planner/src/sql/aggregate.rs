//! Aggregate calls: bound where they stand, computed below the select list.
//!
//! An aggregate becomes a generated column; the call itself is kept by the query level whose
//! columns its arguments name. Without own columns but with an enclosing level's, it belongs to
//! that level, as SQL says.

use super::binder::{Binder, Typed};
use super::function::ResolvedCall;
use super::node::optional;
use super::scope::{AggregateCall, Clause, columns_of};
use crate::function::PgAggregate;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{AggregateUDF, Expr, SortExpr};
use helios_types::{Result, Type, error};
use pg_query::protobuf::FuncCall;
use std::sync::Arc;

/// Aggregates whose WITHIN GROUP order is their input.
fn is_ordered_set(name: &str) -> bool {
    matches!(name, "percentile_cont" | "percentile_disc" | "mode")
}

impl Binder<'_> {
    /// Runs `f` for the arguments of an aggregate.
    pub fn in_aggregate<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = std::mem::replace(&mut self.level().in_aggregate, true);
        let result = f(self);
        self.level().in_aggregate = outer;
        result
    }

    pub fn check_aggregate_allowed(&mut self, at: i32) -> Result<()> {
        let clause = self.clause();
        if let Some(reason) = self.table_expression {
            return Err(self.at(
                error!(
                    GroupingError,
                    "aggregate functions are not allowed in {reason}"
                ),
                at,
            ));
        }
        if self.level().in_aggregate {
            return Err(self.at(
                error!(GroupingError, "aggregate function calls cannot be nested"),
                at,
            ));
        }
        let allowed = matches!(
            clause,
            Clause::SelectTarget
                | Clause::Having
                | Clause::OrderBy
                | Clause::DistinctOn
                | Clause::WindowPartition
                | Clause::WindowOrder
                | Clause::WindowFrame
        );
        // What a clause forbids for its own columns may still belong to an enclosing query.
        if allowed || self.levels.len() > 1 {
            return Ok(());
        }
        Err(self.aggregate_refused(clause, at))
    }

    fn aggregate_refused(&self, clause: Clause, at: i32) -> helios_types::Error {
        let name = clause.name();
        let error = match clause {
            Clause::From => error!(
                GroupingError,
                "aggregate functions are not allowed in functions in FROM"
            ),
            _ => error!(
                GroupingError,
                "aggregate functions are not allowed in {name}"
            ),
        };
        self.at(error, at)
    }

    pub fn aggregate_call(&mut self, call: ResolvedCall, node: &FuncCall) -> Result<Typed> {
        let FuncCall {
            funcname: _,
            args: _,
            agg_order,
            agg_filter,
            over: _,
            agg_within_group,
            agg_star,
            agg_distinct,
            func_variadic: _,
            funcformat: _,
            location,
        } = node;
        let at = *location;
        let ResolvedCall {
            def,
            mut args,
            mut result,
        } = call;
        let name = def.name;
        if args.is_empty() && !*agg_star && !*agg_within_group {
            return Err(self.at(
                error!(
                    WrongObjectType,
                    "{name}(*) must be used to call a parameterless aggregate function"
                ),
                at,
            ));
        }
        if is_ordered_set(name) != *agg_within_group {
            let error = if *agg_within_group {
                error!(
                    WrongObjectType,
                    "{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP"
                )
            } else {
                error!(
                    WrongObjectType,
                    "WITHIN GROUP is required for ordered-set aggregate {name}"
                )
            };
            return Err(self.at(error, at));
        }
        let sorts = self.in_aggregate(|b| b.sort_expressions(agg_order))?;
        let mut order: Vec<SortExpr> = Vec::with_capacity(sorts.len());
        let order_places: Vec<i32> = sorts.iter().map(|(_, value)| value.at).collect();
        for (mut sort, mut value) in sorts {
            if *agg_within_group {
                // The aggregated argument takes the declared type, and is an argument too.
                let declared = def.args.get(args.len()).copied().unwrap_or(Type::ANY.oid);
                if !super::coerce::is_polymorphic(declared) && declared != Type::ANY.oid {
                    value = self.coerce_implicit(value, Type::new(declared))?;
                } else if super::coerce::is_polymorphic(def.result) {
                    result = Type::new(value.ty.oid);
                }
                sort = SortExpr::new(value.expr.clone(), sort.asc, sort.nulls_first);
                args.push(value);
            }
            order.push(sort);
        }
        if *agg_distinct {
            let outside = order
                .iter()
                .position(|s| !args.iter().any(|a| a.expr == s.expr));
            if let Some(outside) = outside {
                let at = order_places.get(outside).copied().unwrap_or(at);
                return Err(self.at(
                    error!(
                        InvalidColumnReference,
                        "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list"
                    ),
                    at,
                ));
            }
            for arg in &args {
                if !super::operator::ordered(arg.ty) {
                    let shown = super::type_name::display(Type::new(arg.ty.oid));
                    return Err(self.at(
                        error!(
                            UndefinedFunction,
                            "could not identify an equality operator for type {shown}"
                        ),
                        arg.at,
                    ));
                }
            }
        }
        let filter = match optional(agg_filter) {
            Some(condition) => {
                let bound = self.in_aggregate(|b| {
                    b.in_clause(Clause::Filter, |b| b.condition(condition, "FILTER"))
                })?;
                Some(Box::new(bound))
            }
            None => None,
        };
        let types = args.iter().map(|a| a.ty).collect();
        let udf = Arc::new(AggregateUDF::from(PgAggregate::new(def, types, result)));
        let args: Vec<Expr> = args.into_iter().map(|a| a.expr).collect();
        let call = AggregateFunction::new_udf(udf, args, *agg_distinct, filter, order, None);
        self.place_aggregate(Expr::AggregateFunction(call), name, result, at)
    }

    /// Gives the call to the level that it belongs to, and a column for its result.
    fn place_aggregate(&mut self, call: Expr, name: &str, ty: Type, at: i32) -> Result<Typed> {
        let top = self.levels.len() - 1;
        let depth = self.home_of(&call, top);
        let call = if depth == top {
            call
        } else {
            lower(call, &self.levels[depth])?
        };
        let clause = self.levels[depth].clause.unwrap_or(Clause::SelectTarget);
        let allowed = matches!(
            clause,
            Clause::SelectTarget
                | Clause::Having
                | Clause::OrderBy
                | Clause::DistinctOn
                | Clause::WindowPartition
                | Clause::WindowOrder
                | Clause::WindowFrame
        );
        if !allowed || self.levels[depth].in_aggregate && depth != top {
            return Err(self.aggregate_refused(clause, at));
        }
        let known = self.levels[depth]
            .aggregates
            .iter()
            .find(|a| a.expr == call)
            .map(|a| a.name.clone());
        let column = match known {
            Some(column) => column,
            None => {
                let column = self.unique(name);
                self.levels[depth].aggregates.push(AggregateCall {
                    expr: call,
                    name: column.clone(),
                    ty,
                });
                column
            }
        };
        let expr = super::plan::generated(&column);
        if depth == top {
            Ok(Typed::new(expr, ty, at))
        } else {
            self.reach(depth, expr, ty, at)
        }
    }

    /// The nearest level whose columns the call names; its own level when it names none.
    fn home_of(&self, call: &Expr, top: usize) -> usize {
        if !columns_of(call).is_empty() {
            return top;
        }
        let mut home: Option<usize> = None;
        let _ = call.apply(|e| {
            if let Expr::OuterReferenceColumn(_, column) = e {
                let depth = (0..top).rev().find(|&d| {
                    self.levels[d].items.iter().any(|i| {
                        Some(i.qualifier.as_str()) == column.relation.as_ref().map(|r| r.table())
                    })
                });
                home = home.max(depth);
            }
            Ok(TreeNodeRecursion::Continue)
        });
        home.unwrap_or(top)
    }
}

/// A call as its own level sees it: that level's columns are plain again.
fn lower(call: Expr, level: &super::scope::Level) -> Result<Expr> {
    use datafusion::common::tree_node::Transformed;
    call.transform_up(|e| {
        Ok(match e {
            Expr::OuterReferenceColumn(_, ref column)
                if level.items.iter().any(|i| {
                    Some(i.qualifier.as_str()) == column.relation.as_ref().map(|r| r.table())
                }) =>
            {
                Transformed::yes(Expr::Column(column.clone()))
            }
            other => Transformed::no(other),
        })
    })
    .map(|t| t.data)
    .map_err(super::binder::internal)
}
