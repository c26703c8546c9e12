//! Functions in FROM: one, `ROWS FROM (…)`, WITH ORDINALITY.

use super::binder::Binder;
use super::from::Source;
use super::function::{ResolvedCall, scalar};
use super::node::{inner, strings};
use super::plan;
use super::scope::{Clause, FromPhase, Item, ItemColumn, column};
use crate::function::{Implementation, PgFunction};
use crate::node::{FunctionCall, FunctionScan};
use datafusion::logical_expr::Expr;
use helios_types::{Error, Result, Type, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{FuncCall, RangeFunction};

struct Called {
    expr: Expr,
    name: String,
    columns: Vec<(String, Type)>,
    /// One unnamed scalar column: an alias of the item names it too.
    anonymous: bool,
    set: bool,
}

impl Binder<'_> {
    pub fn range_function(&mut self, node: &RangeFunction) -> Result<Source> {
        let RangeFunction {
            lateral: _,
            ordinality,
            is_rowsfrom: _,
            functions,
            alias,
            coldeflist,
        } = node;
        if !coldeflist.is_empty() {
            return self.unsupported("a column definition list for a function in FROM", -1);
        }
        // A function sees what stands to its left, with or without LATERAL.
        let phase = std::mem::replace(&mut self.level().phase, FromPhase::Lateral);
        let called =
            self.in_level(|b| b.in_clause(Clause::From, |b| b.called_functions(functions)));
        self.level().phase = phase;
        let (called, _) = called?;
        let shown = alias.as_ref().map_or_else(
            || called.first().map_or_else(String::new, |c| c.name.clone()),
            |a| a.aliasname.clone(),
        );
        let qualifier = self.unique(&shown);
        let mut columns: Vec<(String, Type)> = Vec::new();
        let scalar_item = called.len() == 1 && called[0].columns.len() == 1 && !*ordinality;
        for call in &called {
            for (name, ty) in &call.columns {
                let renamed = call.anonymous && called.len() == 1 && alias.is_some();
                columns.push((if renamed { shown.clone() } else { name.clone() }, *ty));
            }
        }
        if *ordinality {
            columns.push(("ordinality".to_string(), Type::INT8));
        }
        let names = plan::unique_names(columns.iter().map(|(n, _)| n.as_str()));
        let fields: Vec<(String, Type)> = names
            .into_iter()
            .zip(columns.iter().map(|(_, ty)| *ty))
            .collect();
        let plan = match called.as_slice() {
            // One row of a plain function needs no scan node.
            [only] if !only.set && !*ordinality && only.columns.len() == 1 => {
                let (name, ty) = &fields[0];
                let row = plan::project(
                    plan::one_row(),
                    vec![plan::alias(only.expr.clone(), name, *ty)],
                )?;
                plan::qualified(row, &qualifier)?
            }
            _ => plan::extension(FunctionScan {
                calls: called
                    .iter()
                    .map(|c| FunctionCall {
                        call: c.expr.clone(),
                        n_columns: c.columns.len(),
                    })
                    .collect(),
                ordinality: *ordinality,
                schema: plan::qualified_schema(&qualifier, &fields)?,
            }),
        };
        let item_columns = columns
            .into_iter()
            .zip(&fields)
            .map(|((name, ty), (field, _))| ItemColumn {
                name,
                expr: Expr::Column(column(Some(&qualifier), field)),
                ty,
                origin: None,
            })
            .collect();
        let mut item = Item {
            name: Some(called.first().map_or_else(String::new, |c| c.name.clone())),
            schema: None,
            hidden_name: None,
            qualifier,
            columns: item_columns,
            name_visible: true,
            columns_visible: true,
            table: None,
            relation: None,
            scalar: scalar_item,
            lateral_refused: false,
        };
        self.apply_alias(&mut item, alias.as_ref())?;
        item.hidden_name = None;
        Ok(Source {
            plan,
            items: vec![item],
        })
    }

    fn called_functions(&mut self, functions: &[pg_query::Node]) -> Result<Vec<Called>> {
        let mut called = Vec::with_capacity(functions.len());
        for function in functions {
            let NodeEnum::List(list) = inner(function)? else {
                return Err(Error::internal("function in FROM"));
            };
            if list.items.get(1).is_some_and(|n| {
                n.node.is_some()
                    && !matches!(&n.node, Some(NodeEnum::List(l)) if l.items.is_empty())
            }) {
                return self.unsupported("a column definition list for a function in FROM", -1);
            }
            let first = list
                .items
                .first()
                .ok_or_else(|| Error::internal("function in FROM"))?;
            match inner(first)? {
                NodeEnum::FuncCall(call) => {
                    let name = strings(&call.funcname)?
                        .last()
                        .copied()
                        .unwrap_or_default()
                        .to_string();
                    // unnest(a, b) is ROWS FROM (unnest(a), unnest(b)).
                    if name == "unnest" && call.args.len() > 1 && !call.func_variadic {
                        for arg in &call.args {
                            let single = FuncCall {
                                args: vec![arg.clone()],
                                ..call.as_ref().clone()
                            };
                            called.push(self.called_function(&single, &name)?);
                        }
                    } else {
                        called.push(self.called_function(call, &name)?);
                    }
                }
                other => {
                    // CURRENT_DATE and other syntax that stands where a function may.
                    let value = self.expression(other)?;
                    let value = self.resolve_unknown(value)?;
                    let name = super::target::figure_name(other);
                    called.push(Called {
                        expr: value.expr,
                        columns: vec![(name.clone(), value.ty)],
                        name,
                        anonymous: true,
                        set: false,
                    });
                }
            }
        }
        Ok(called)
    }

    fn called_function(&mut self, call: &FuncCall, name: &str) -> Result<Called> {
        let at = call.location;
        let names = strings(&call.funcname)?;
        let args = self.expressions(&call.args)?;
        let resolved = self.resolve_call(&names, args, call.func_variadic, at, call)?;
        let Some(resolved) = resolved else {
            let value = self.expression(&NodeEnum::FuncCall(Box::new(call.clone())))?;
            return Ok(Called {
                expr: value.expr,
                columns: vec![(name.to_string(), value.ty)],
                name: name.to_string(),
                anonymous: true,
                set: false,
            });
        };
        let set = match resolved.def.implementation {
            Implementation::Set(_) => true,
            Implementation::Scalar(_) | Implementation::Typed(_) => false,
            Implementation::Aggregate(_) => {
                return Err(self.at(
                    error!(
                        GroupingError,
                        "aggregate functions are not allowed in functions in FROM"
                    ),
                    at,
                ));
            }
            Implementation::Window(_) => {
                return Err(self.at(
                    error!(
                        WindowingError,
                        "window functions are not allowed in functions in FROM"
                    ),
                    at,
                ));
            }
        };
        let columns = self.function_columns(&resolved, name);
        if columns.len() == 1
            && columns[0].1.oid == Type::RECORD.oid
            && resolved.def.columns.is_empty()
        {
            return Err(self.at(
                error!(
                    SyntaxError,
                    "a column definition list is required for functions returning \"record\""
                ),
                at,
            ));
        }
        let anonymous = resolved.def.columns.is_empty();
        let expr = if resolved.def.columns.len() > 1 {
            let types = resolved.args.iter().map(|a| a.ty).collect();
            let function = PgFunction::new(resolved.def, types, Type::RECORD);
            function.call(resolved.args.iter().map(|a| a.expr.clone()).collect())
        } else {
            scalar(&resolved)
        };
        Ok(Called {
            expr,
            name: name.to_string(),
            columns,
            anonymous,
            set,
        })
    }

    /// Output columns of a function, polymorphic ones by its arguments.
    fn function_columns(&mut self, call: &ResolvedCall, name: &str) -> Vec<(String, Type)> {
        if call.def.columns.is_empty() {
            return vec![(name.to_string(), call.result)];
        }
        let element = call
            .def
            .args
            .iter()
            .zip(&call.args)
            .find(|(declared, _)| super::coerce::is_polymorphic(**declared))
            .map(|(declared, arg)| match declared {
                2277 | 5078 => arg.ty.element().unwrap_or(arg.ty),
                _ => arg.ty,
            });
        call.def
            .columns
            .iter()
            .map(|(column, oid)| {
                let ty = match (*oid, element) {
                    (2283 | 2776 | 5077, Some(element)) => element,
                    (2277 | 5078, Some(element)) => element.array_of().unwrap_or(element),
                    (oid, _) => Type::new(oid),
                };
                (column.to_string(), ty)
            })
            .collect()
    }
}
