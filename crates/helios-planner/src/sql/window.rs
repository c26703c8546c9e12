//! Window calls, window definitions and frames.

use super::binder::{Binder, Typed};
use super::function::ResolvedCall;
use super::literal;
use super::node::{inner, optional};
use super::scope::{AggregateCall, Clause, NamedWindow};
use crate::function::{CastContext, Implementation, PgAggregate, PgWindow};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    AggregateUDF, Expr, SortExpr, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition, WindowUDF,
};
use helios_types::{Error, Result, Type, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{FuncCall, WindowDef};
use std::sync::Arc;

// PostgreSQL's FRAMEOPTION bits.
const RANGE: i32 = 0x2;
const GROUPS: i32 = 0x8;
const BETWEEN_OR_GIVEN: i32 = 0x1;
const START_UNBOUNDED_PRECEDING: i32 = 0x20;
const END_UNBOUNDED_PRECEDING: i32 = 0x40;
const START_UNBOUNDED_FOLLOWING: i32 = 0x80;
const END_UNBOUNDED_FOLLOWING: i32 = 0x100;
const START_CURRENT_ROW: i32 = 0x200;
const END_CURRENT_ROW: i32 = 0x400;
const START_OFFSET_PRECEDING: i32 = 0x800;
const END_OFFSET_PRECEDING: i32 = 0x1000;
const START_OFFSET_FOLLOWING: i32 = 0x2000;
const END_OFFSET_FOLLOWING: i32 = 0x4000;
const EXCLUSION: i32 = 0x8000 | 0x10000 | 0x20000;

struct Definition {
    partition: Vec<Expr>,
    order: Vec<(SortExpr, Typed)>,
    frame: WindowFrame,
}

impl Binder<'_> {
    /// Runs `f` for the arguments of a window function.
    pub fn in_window<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = std::mem::replace(&mut self.level().in_window, true);
        let result = f(self);
        self.level().in_window = outer;
        result
    }

    pub fn check_window_allowed(&mut self, at: i32) -> Result<()> {
        if let Some(reason) = self.table_expression {
            return Err(self.at(
                error!(
                    WindowingError,
                    "window functions are not allowed in {reason}"
                ),
                at,
            ));
        }
        if self.level().in_window {
            return Err(self.at(
                error!(WindowingError, "window function calls cannot be nested"),
                at,
            ));
        }
        if self.level().in_aggregate {
            return Err(self.at(
                error!(
                    GroupingError,
                    "aggregate function calls cannot contain window function calls"
                ),
                at,
            ));
        }
        match self.clause() {
            Clause::SelectTarget | Clause::OrderBy | Clause::DistinctOn => Ok(()),
            Clause::WindowPartition | Clause::WindowOrder | Clause::WindowFrame => Err(self.at(
                error!(
                    WindowingError,
                    "window functions are not allowed in window definitions"
                ),
                at,
            )),
            other => {
                let name = other.name();
                Err(self.at(
                    error!(WindowingError, "window functions are not allowed in {name}"),
                    at,
                ))
            }
        }
    }

    pub fn window_call(&mut self, call: ResolvedCall, node: &FuncCall) -> Result<Typed> {
        let FuncCall {
            funcname: _,
            args: _,
            agg_order,
            agg_filter,
            over,
            agg_within_group,
            agg_star,
            agg_distinct,
            func_variadic: _,
            funcformat: _,
            location,
        } = node;
        let at = *location;
        let ResolvedCall { def, args, result } = call;
        let name = def.name;
        let Some(over) = over else {
            return Err(self.at(
                error!(
                    WrongObjectType,
                    "window function {name} requires an OVER clause"
                ),
                at,
            ));
        };
        let aggregate = matches!(def.implementation, Implementation::Aggregate(_));
        if *agg_within_group {
            return self.unsupported(format_args!("OVER for ordered-set aggregate {name}"), at);
        }
        if *agg_distinct {
            return Err(self.at(
                error!(
                    Unsupported,
                    "DISTINCT is not implemented for window functions"
                ),
                at,
            ));
        }
        if !agg_order.is_empty() {
            return Err(self.at(
                error!(
                    Unsupported,
                    "aggregate ORDER BY is not implemented for window functions"
                ),
                at,
            ));
        }
        if !aggregate && agg_filter.is_some() {
            return Err(self.at(
                error!(
                    Unsupported,
                    "FILTER is not implemented for non-aggregate window functions"
                ),
                at,
            ));
        }
        if aggregate && args.is_empty() && !*agg_star {
            return Err(self.at(
                error!(
                    WrongObjectType,
                    "{name}(*) must be used to call a parameterless aggregate function"
                ),
                at,
            ));
        }
        let filter = match optional(agg_filter) {
            Some(condition) => {
                let bound = self.in_window(|b| {
                    b.in_clause(Clause::Filter, |b| b.condition(condition, "FILTER"))
                })?;
                Some(Box::new(bound))
            }
            None => None,
        };
        let Definition {
            partition,
            order,
            frame,
        } = self.window_definition(over)?;
        let types = args.iter().map(|a| a.ty).collect();
        let fun = if aggregate {
            WindowFunctionDefinition::AggregateUDF(Arc::new(AggregateUDF::from(PgAggregate::new(
                def, types, result,
            ))))
        } else {
            WindowFunctionDefinition::WindowUDF(Arc::new(WindowUDF::from(PgWindow::new(
                def, types, result,
            ))))
        };
        let params = WindowFunctionParams {
            args: args.into_iter().map(|a| a.expr).collect(),
            partition_by: partition,
            order_by: order.into_iter().map(|(sort, _)| sort).collect(),
            window_frame: frame,
            filter,
            null_treatment: None,
            distinct: false,
        };
        let expr = Expr::WindowFunction(Box::new(WindowFunction { fun, params }));
        let known = self
            .level()
            .windows
            .iter()
            .find(|w| w.expr == expr)
            .map(|w| w.name.clone());
        let column = match known {
            Some(column) => column,
            None => {
                let column = self.unique(name);
                self.level().windows.push(AggregateCall {
                    expr,
                    name: column.clone(),
                    ty: result,
                });
                column
            }
        };
        Ok(Typed::new(super::plan::generated(&column), result, at))
    }

    /// The WINDOW clause's names, kept until calls use them.
    pub fn window_clause(&mut self, nodes: &[pg_query::Node]) -> Result<()> {
        for node in nodes {
            let NodeEnum::WindowDef(def) = inner(node)? else {
                return Err(Error::internal("WINDOW"));
            };
            let name = def.name.clone();
            if self.level().named_windows.iter().any(|w| w.name == name) {
                return Err(self.at(
                    error!(WindowingError, "window \"{name}\" is already defined"),
                    def.location,
                ));
            }
            self.level().named_windows.push(NamedWindow {
                name,
                def: def.as_ref().clone(),
            });
        }
        Ok(())
    }

    fn named_window(&mut self, name: &str, at: i32) -> Result<WindowDef> {
        let found = self
            .level()
            .named_windows
            .iter()
            .find(|w| w.name == name)
            .map(|w| w.def.clone());
        found.ok_or_else(|| {
            self.at(
                error!(UndefinedObject, "window \"{name}\" does not exist"),
                at,
            )
        })
    }

    /// `OVER name`, `OVER (…)` and `OVER (name …)`.
    fn window_definition(&mut self, over: &WindowDef) -> Result<Definition> {
        let WindowDef {
            name,
            refname,
            partition_clause,
            order_clause,
            frame_options,
            start_offset,
            end_offset,
            location,
        } = over;
        let at = *location;
        if !name.is_empty() {
            let named = self.named_window(name, at)?;
            return self.window_definition(&WindowDef {
                name: String::new(),
                ..named
            });
        }
        let mut partition_nodes = partition_clause.clone();
        let mut order_nodes = order_clause.clone();
        if !refname.is_empty() {
            let base = self.named_window(refname, at)?;
            let copied =
                |what: &str| error!(WindowingError, "cannot {what} of window \"{refname}\"");
            if !partition_nodes.is_empty() {
                return Err(self.at(copied("override PARTITION BY clause"), at));
            }
            if !order_nodes.is_empty() && !base.order_clause.is_empty() {
                return Err(self.at(copied("override ORDER BY clause"), at));
            }
            if base.frame_options & BETWEEN_OR_GIVEN != 0 {
                return Err(self.at(
                    error!(
                        WindowingError,
                        "cannot copy window \"{refname}\" because it has a frame clause"
                    ),
                    at,
                ));
            }
            partition_nodes = base.partition_clause.clone();
            if order_nodes.is_empty() {
                order_nodes = base.order_clause.clone();
            }
        }
        self.in_window(|b| {
            let mut partition = Vec::with_capacity(partition_nodes.len());
            for node in &partition_nodes {
                let value = b.in_clause(Clause::WindowPartition, |b| b.expression(inner(node)?))?;
                let value = b.resolve_unknown(value)?;
                b.check_ordered(value.ty, value.at)?;
                partition.push(value.expr);
            }
            let order = b.in_clause(Clause::WindowOrder, |b| b.sort_expressions(&order_nodes))?;
            let frame = b.frame(
                *frame_options,
                optional(start_offset),
                optional(end_offset),
                &order,
                at,
            )?;
            Ok(Definition {
                partition,
                order,
                frame,
            })
        })
    }

    fn frame(
        &mut self,
        options: i32,
        start: Option<&NodeEnum>,
        end: Option<&NodeEnum>,
        order: &[(SortExpr, Typed)],
        at: i32,
    ) -> Result<WindowFrame> {
        if options & EXCLUSION != 0 {
            return self.unsupported("frame exclusion (EXCLUDE)", at);
        }
        let units = if options & GROUPS != 0 {
            WindowFrameUnits::Groups
        } else if options & RANGE != 0 {
            WindowFrameUnits::Range
        } else {
            WindowFrameUnits::Rows
        };
        if units == WindowFrameUnits::Groups && order.is_empty() {
            return Err(self.at(
                error!(WindowingError, "GROUPS mode requires an ORDER BY clause"),
                at,
            ));
        }
        if options & START_UNBOUNDED_FOLLOWING != 0 {
            return Err(self.at(
                error!(WindowingError, "frame start cannot be UNBOUNDED FOLLOWING"),
                at,
            ));
        }
        if options & END_UNBOUNDED_PRECEDING != 0 {
            return Err(self.at(
                error!(WindowingError, "frame end cannot be UNBOUNDED PRECEDING"),
                at,
            ));
        }
        let unbounded = ScalarValue::Null;
        let start = if options & START_UNBOUNDED_PRECEDING != 0 {
            WindowFrameBound::Preceding(unbounded.clone())
        } else if options & START_CURRENT_ROW != 0 {
            WindowFrameBound::CurrentRow
        } else {
            let offset = self.frame_offset(units, start, order, "starting", at)?;
            if options & START_OFFSET_PRECEDING != 0 {
                WindowFrameBound::Preceding(offset)
            } else if options & START_OFFSET_FOLLOWING != 0 {
                WindowFrameBound::Following(offset)
            } else {
                return Err(Error::internal("window frame start"));
            }
        };
        let end = if options & END_UNBOUNDED_FOLLOWING != 0 {
            WindowFrameBound::Following(unbounded)
        } else if options & END_CURRENT_ROW != 0 {
            WindowFrameBound::CurrentRow
        } else {
            let offset = self.frame_offset(units, end, order, "ending", at)?;
            if options & END_OFFSET_PRECEDING != 0 {
                WindowFrameBound::Preceding(offset)
            } else if options & END_OFFSET_FOLLOWING != 0 {
                WindowFrameBound::Following(offset)
            } else {
                return Err(Error::internal("window frame end"));
            }
        };
        Ok(WindowFrame::new_bounds(units, start, end))
    }

    /// The offset of a frame bound: a constant.
    fn frame_offset(
        &mut self,
        units: WindowFrameUnits,
        node: Option<&NodeEnum>,
        order: &[(SortExpr, Typed)],
        which: &str,
        at: i32,
    ) -> Result<ScalarValue> {
        let node = node.ok_or_else(|| Error::internal("window frame offset"))?;
        let value = self.in_clause(Clause::WindowFrame, |b| b.expression(node))?;
        let target = if units == WindowFrameUnits::Range {
            let [(_, key)] = order else {
                return Err(self.at(
                    error!(
                        WindowingError,
                        "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column"
                    ),
                    at,
                ));
            };
            match key.ty.oid {
                1082 | 1114 | 1184 | 1083 | 1186 => Type::INTERVAL,
                21 | 23 => Type::INT8,
                700 => Type::FLOAT8,
                oid => Type::new(oid),
            }
        } else {
            Type::INT8
        };
        let offset_at = value.at;
        let Some(value) = self.coerce_base(value, target, CastContext::Implicit)? else {
            let mode = if units == WindowFrameUnits::Rows {
                "ROWS"
            } else {
                "GROUPS"
            };
            let shown = super::type_name::display(target);
            return Err(self.at(
                error!(DatatypeMismatch, "argument of {mode} must be type {shown}"),
                offset_at,
            ));
        };
        let constant = literal::value_of(&value);
        match (&value.expr, constant) {
            (Expr::Literal(scalar, _), Some(v)) => {
                if v.is_null() {
                    return Err(self.at(
                        error!(NullNotAllowed, "frame {which} offset must not be null"),
                        offset_at,
                    ));
                }
                if v.as_i64().is_some_and(|i| i < 0) {
                    // PostgreSQL finds this when it runs, so without a place in the text.
                    return Err(error!(
                        InvalidParameterValue,
                        "frame {which} offset must not be negative"
                    )
                    .with_sqlstate(*b"22013"));
                }
                match (units, v.as_i64()) {
                    (WindowFrameUnits::Range, _) => Ok(scalar.clone()),
                    (_, Some(n)) => Ok(ScalarValue::UInt64(Some(n as u64))),
                    _ => Err(Error::internal("window frame offset")),
                }
            }
            _ => self.unsupported("a window frame offset that is not a constant", offset_at),
        }
    }
}
