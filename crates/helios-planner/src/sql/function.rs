//! Function calls.

use super::binder::{Binder, Typed};
use super::literal;
use super::node::{inner, kind, location, optional, strings};
use super::resolve::{Candidate, Choice};
use super::scope::{Clause, SetCall};
use super::type_name::display;
use crate::function::{CastContext, FunctionDef, Implementation, PgFunction, Volatility};
use datafusion::logical_expr::Expr;
use helios_types::limits::PARAMETERS_MAX;
use helios_types::types::BUILTIN;
use helios_types::{Error, Oid, Result, Type, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{FuncCall, NamedArgExpr};

/// A function with the arguments it will get.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedCall {
    pub def: &'static FunctionDef,
    pub args: Vec<Typed>,
    pub result: Type,
}

#[derive(Clone, Copy, Debug)]
struct Layout {
    def: &'static FunctionDef,
    /// How many trailing actual arguments the variadic parameter takes; `None` when the call is
    /// not expanded.
    variadic: Option<usize>,
}

impl Binder<'_> {
    /// A call in an expression.
    pub fn function_call(&mut self, call: &FuncCall) -> Result<Typed> {
        let at = call.location;
        let names = strings(&call.funcname)?;
        if let Some(typed) = self.attribute_call(&names, call)? {
            return Ok(typed);
        }
        let named = self
            .cx
            .registry
            .functions_named(names.last().copied().unwrap_or_default());
        let aggregate = call.over.is_none()
            && named
                .iter()
                .any(|d| matches!(d.implementation, Implementation::Aggregate(_)));
        let args = if aggregate {
            self.check_aggregate_allowed(call.location)?;
            self.in_aggregate(|binder| binder.call_arguments(call))?
        } else if call.over.is_some() {
            self.check_window_allowed(call.location)?;
            self.in_window(|binder| binder.call_arguments(call))?
        } else {
            self.call_arguments(call)?
        };
        let resolved = self.resolve_call(&names, args, call.func_variadic, at, call)?;
        let Some(resolved) = resolved else {
            // A type name used as a function: one argument, cast explicitly.
            return self.function_style_cast(&names, call);
        };
        match resolved.def.implementation {
            Implementation::Aggregate(_) if call.over.is_none() => {
                self.aggregate_call(resolved, call)
            }
            Implementation::Aggregate(_) | Implementation::Window(_) => {
                self.window_call(resolved, call)
            }
            Implementation::Scalar(_) | Implementation::Typed(_) | Implementation::Set(_) => {
                self.plain_call(resolved, call)
            }
        }
    }

    fn plain_call(&mut self, resolved: ResolvedCall, call: &FuncCall) -> Result<Typed> {
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
            location: at,
        } = call;
        let name = resolved.def.name;
        let not_aggregate = |what: &str| {
            error!(
                WrongObjectType,
                "{what} specified, but {name} is not an aggregate function"
            )
        };
        let misuse = if *agg_star {
            Some(error!(
                WrongObjectType,
                "{name}(*) specified, but {name} is not an aggregate function"
            ))
        } else if *agg_distinct {
            Some(not_aggregate("DISTINCT"))
        } else if *agg_within_group {
            Some(not_aggregate("WITHIN GROUP"))
        } else if !agg_order.is_empty() {
            Some(not_aggregate("ORDER BY"))
        } else if agg_filter.is_some() {
            Some(not_aggregate("FILTER"))
        } else if over.is_some() {
            Some(error!(
                WrongObjectType,
                "OVER specified, but {name} is not a window function nor an aggregate function"
            ))
        } else {
            None
        };
        if let Some(error) = misuse {
            return Err(self.at(error, *at));
        }
        if matches!(resolved.def.implementation, Implementation::Set(_)) {
            return self.set_call(resolved, *at);
        }
        Ok(Typed::new(scalar(&resolved), resolved.result, *at))
    }

    /// A set-returning function in a select list: computed below the projection.
    fn set_call(&mut self, resolved: ResolvedCall, at: i32) -> Result<Typed> {
        let clause = self.clause();
        let refuse = |message: String| error!(Unsupported, "{message}");
        match clause {
            Clause::SelectTarget
            | Clause::OrderBy
            | Clause::DistinctOn
            | Clause::GroupBy
            | Clause::Returning
            | Clause::Values
                if self.level().in_aggregate =>
            {
                return Err(self.at(
                    refuse("aggregate function calls cannot contain set-returning function calls".into())
                        .with_hint("You might be able to move the set-returning function into a LATERAL FROM item."),
                    at,
                ));
            }
            Clause::SelectTarget | Clause::OrderBy | Clause::DistinctOn => {}
            Clause::From => {}
            other => {
                let name = other.name();
                return Err(self.at(
                    refuse(format!("set-returning functions are not allowed in {name}")),
                    at,
                ));
            }
        }
        if let Some(construct) = self.level().conditional {
            return Err(self.at(
                refuse(format!("set-returning functions are not allowed in {construct}"))
                    .with_hint("You might be able to move the set-returning function into a LATERAL FROM item."),
                at,
            ));
        }
        if clause == Clause::From {
            return Err(self.at(
                refuse("set-returning functions must appear at top level of FROM".into()),
                at,
            ));
        }
        let result = set_result(&resolved);
        let expr = scalar(&resolved);
        if let Some(known) = self
            .level()
            .sets
            .iter()
            .find(|s| s.expr == expr && s.name.starts_with(resolved.def.name))
        {
            let (name, ty) = (known.name.clone(), known.ty);
            // Calls that look alike advance together, but volatile ones are still two calls.
            if resolved.def.volatility != Volatility::Volatile {
                return Ok(Typed::new(
                    Expr::Column(super::scope::column(None, &name)),
                    ty,
                    at,
                ));
            }
        }
        let stage = resolved
            .args
            .iter()
            .flat_map(|a| super::scope::columns_of(&a.expr))
            .filter_map(|c| {
                self.levels
                    .last()?
                    .sets
                    .iter()
                    .find(|s| c.relation.is_none() && s.name == c.name)
            })
            .map(|s| s.stage + 1)
            .max()
            .unwrap_or(0);
        let name = self.unique(resolved.def.name);
        self.level().sets.push(SetCall {
            expr,
            name: name.clone(),
            ty: result,
            stage,
        });
        Ok(Typed::new(
            Expr::Column(super::scope::column(None, &name)),
            result,
            at,
        ))
    }

    fn call_arguments(&mut self, call: &FuncCall) -> Result<Vec<Typed>> {
        let mut args = Vec::with_capacity(call.args.len());
        if call.args.len() > PARAMETERS_MAX.min(100 * 16) {
            return Err(self.at(
                error!(
                    LimitExceeded,
                    "cannot pass more than 100 arguments to a function"
                ),
                call.location,
            ));
        }
        for node in &call.args {
            if let NodeEnum::NamedArgExpr(named) = inner(node)? {
                let NamedArgExpr { name, location, .. } = named.as_ref();
                return self.unsupported(format_args!("named argument \"{name}\""), *location);
            }
            args.push(self.expression(inner(node)?)?);
        }
        Ok(args)
    }

    /// The function that a call means; `None` when the name is rather a type's, for a cast.
    pub fn resolve_call(
        &mut self,
        names: &[&str],
        args: Vec<Typed>,
        variadic: bool,
        at: i32,
        call: &FuncCall,
    ) -> Result<Option<ResolvedCall>> {
        let (schema, name) = match names {
            [name] => (None, *name),
            [schema, name] => (Some(*schema), *name),
            [_, schema, name] => (Some(*schema), *name),
            _ => {
                let full = names.join(".");
                return Err(self.at(
                    error!(
                        SyntaxError,
                        "improper qualified name (too many dotted names): {full}"
                    ),
                    at,
                ));
            }
        };
        if let Some(schema) = schema
            && self
                .cx
                .catalog
                .schema_named(self.cx.database, schema)
                .is_none()
            && !matches!(schema, "pg_catalog" | "information_schema")
        {
            return Err(self.at(
                error!(UndefinedSchema, "schema \"{schema}\" does not exist"),
                at,
            ));
        }
        // Built-ins of information_schema are registered under their plain names.
        let named: &[&'static FunctionDef] = match schema {
            None | Some("pg_catalog" | "information_schema") => {
                self.cx.registry.functions_named(name)
            }
            Some(_) => &[],
        };
        let mut inputs: Vec<Type> = args.iter().map(|a| a.ty).collect();
        if call.agg_within_group {
            for sort in &call.agg_order {
                // The type decides the function; the expression is bound again with the aggregate.
                inputs.push(self.within_group_type(inner(sort)?)?);
            }
        }
        let oids: Vec<Oid> = inputs.iter().map(|t| t.oid).collect();
        let candidates = layouts(named, &oids, variadic);
        match self.choose(&candidates, &oids) {
            Choice::One(chosen) => self.fill(chosen, args, &inputs, at).map(Some),
            Choice::None
                if args.len() == 1 && call.agg_order.is_empty() && self.is_type(schema, name) =>
            {
                Ok(None)
            }
            Choice::None => Err(self.no_function(names, &inputs, call, false)),
            Choice::Ambiguous => Err(self.no_function(names, &inputs, call, true)),
        }
    }

    fn within_group_type(&mut self, sort: &NodeEnum) -> Result<Type> {
        let NodeEnum::SortBy(sort) = sort else {
            return Err(Error::internal(kind(sort)));
        };
        let node = optional(&sort.node).ok_or_else(|| Error::internal("empty ORDER BY"))?;
        self.in_aggregate(|binder| binder.expression(node))
            .map(|t| t.ty)
    }

    /// Puts casts, defaults and the variadic array into place.
    fn fill(
        &mut self,
        chosen: Candidate<Layout>,
        mut args: Vec<Typed>,
        inputs: &[Type],
        at: i32,
    ) -> Result<ResolvedCall> {
        let Layout { def, variadic } = chosen.item;
        let given = inputs.len();
        let direct = args.len();
        let concrete = self.concrete(&chosen.args[..given], def.result, inputs, at)?;
        let Some((mut types, mut result)) = concrete else {
            let shown = signature(def.name, inputs);
            return Err(self.at(
                error!(UndefinedFunction, "function {shown} does not exist").with_hint(HINT),
                at,
            ));
        };
        if def.result == Type::ANYARRAY.oid && given == 1 && matches!(inputs[0].oid, 22 | 30) {
            result = inputs[0];
        }
        let mut rows = false;
        for (arg, ty) in args.iter_mut().zip(&types) {
            let value = std::mem::replace(arg, literal::unknown(None, -1));
            // JSON of a whole row names its columns.
            if value.names.is_some() && makes_json(def.name) {
                *arg = super::construct::named_row(value);
                rows = true;
                continue;
            }
            *arg = if ty.oid == Type::ANY.oid {
                self.resolve_unknown(value)?
            } else {
                self.coerce_implicit(value, *ty)?
            };
        }
        for (ty, arg) in types.iter_mut().zip(&args) {
            if ty.oid == Type::ANY.oid || ty.oid == Type::UNKNOWN.oid {
                *ty = arg.ty;
            }
        }
        // json_agg sets rows apart from scalars, also those that are JSON by now.
        if rows && def.name == "json_agg" {
            args.push(Typed::bool(literal::boolean(true), at));
        }
        if let Some(count) = variadic {
            // `VARIADIC "any"` takes the arguments as they are; a variadic array is built here.
            if def.args.last() != Some(&Type::ANY.oid) {
                let rest = args.split_off(direct - count);
                let element = types.last().copied().unwrap_or(Type::TEXT);
                let array = element
                    .array_of()
                    .unwrap_or(Type::TEXT.array_of().unwrap_or(element));
                let expr = super::construct::array(element, rest, array);
                args.push(Typed::new(expr, array, at));
            }
        }
        let missing = def.args.len().saturating_sub(args.len());
        if direct == given && missing > 0 && missing <= def.defaults.len() {
            for (offset, text) in def.defaults[def.defaults.len() - missing..]
                .iter()
                .enumerate()
            {
                let ty = Type::new(def.args[def.args.len() - missing + offset]);
                let value = self.default_argument(text)?;
                let value = self.coerce_implicit(value, ty)?;
                args.push(value);
            }
        }
        Ok(ResolvedCall { def, args, result })
    }

    fn default_argument(&mut self, text: &str) -> Result<Typed> {
        let expr = super::statement::parse_expression(text)?;
        self.with_source(None, |binder| binder.expression(&expr))
    }

    fn is_type(&self, schema: Option<&str>, name: &str) -> bool {
        schema.is_none_or(|s| s == "pg_catalog") && BUILTIN.iter().any(|i| i.name == name)
    }

    fn function_style_cast(&mut self, names: &[&str], call: &FuncCall) -> Result<Typed> {
        let name = names.last().copied().unwrap_or_default();
        let target = BUILTIN
            .iter()
            .find(|i| i.name == name)
            .map_or(Type::TEXT, |i| Type::new(i.oid));
        let value = match call.args.as_slice() {
            [arg] => self.expression(inner(arg)?)?,
            _ => return Err(Error::internal("function-style cast of several values")),
        };
        let source = value.ty;
        // Only casts that are no functions of their own: relabelling, and from or to text.
        let allowed = value.is_unknown()
            || matches!(
                self.pathway(source.oid, target.oid, CastContext::Explicit),
                Some(
                    super::coerce::Pathway::Relabel
                        | super::coerce::Pathway::InOut
                        | super::coerce::Pathway::Function(_)
                )
            );
        if !allowed {
            return Err(self.no_function(names, &[source], call, false));
        }
        self.cast(value, target, call.location)
    }

    fn no_function(
        &self,
        names: &[&str],
        inputs: &[Type],
        call: &FuncCall,
        ambiguous: bool,
    ) -> Error {
        let shown = if call.agg_star {
            format!("{}()", names.join("."))
        } else {
            signature(&names.join("."), inputs)
        };
        let error = if ambiguous {
            error!(AmbiguousFunction, "function {shown} is not unique")
                .with_hint("Could not choose a best candidate function. You might need to add explicit type casts.")
        } else {
            error!(UndefinedFunction, "function {shown} does not exist").with_hint(HINT)
        };
        self.at(error, call.location)
    }

    /// `f(x)` where f is a column of the composite x.
    fn attribute_call(&mut self, names: &[&str], call: &FuncCall) -> Result<Option<Typed>> {
        let ([name], [arg]) = (names, call.args.as_slice()) else {
            return Ok(None);
        };
        if !self.cx.registry.functions_named(name).is_empty() {
            return Ok(None);
        }
        let NodeEnum::ColumnRef(reference) = inner(arg)? else {
            return Ok(None);
        };
        let [field] = reference.fields.as_slice() else {
            return Ok(None);
        };
        let Ok(table) = super::node::string(field) else {
            return Ok(None);
        };
        if self.unqualified_column(table, -1)?.is_some() {
            return Ok(None);
        }
        match self.find_item(None, table, location(inner(arg)?))? {
            Some((depth, index)) => self.item_column(depth, index, name, call.location),
            None => Ok(None),
        }
    }
}

const HINT: &str = "No function matches the given name and argument types. You might need to add explicit type casts.";

fn signature(name: &str, inputs: &[Type]) -> String {
    let types: Vec<String> = inputs.iter().map(|t| display(Type::new(t.oid))).collect();
    format!("{name}({})", types.join(", "))
}

/// Functions that print a row as a JSON object.
fn makes_json(name: &str) -> bool {
    matches!(
        name,
        "to_json"
            | "to_jsonb"
            | "row_to_json"
            | "json_agg"
            | "jsonb_agg"
            | "json_build_object"
            | "jsonb_build_object"
            | "json_build_array"
            | "jsonb_build_array"
            | "json_object_agg"
            | "jsonb_object_agg"
    )
}

/// The call as a scalar expression.
pub(crate) fn scalar(call: &ResolvedCall) -> Expr {
    let types = call.args.iter().map(|a| a.ty).collect();
    let function = PgFunction::new(call.def, types, set_result(call));
    datafusion::logical_expr::ScalarUDF::from(function)
        .call(call.args.iter().map(|a| a.expr.clone()).collect())
}

/// What one row of the call is: several output columns make a record.
fn set_result(call: &ResolvedCall) -> Type {
    if call.def.columns.len() > 1 {
        Type::RECORD
    } else {
        call.result
    }
}

/// Every way to lay the actual arguments out over the functions' parameters; exact layouts come
/// before expanded ones, as PostgreSQL prefers them.
fn layouts(
    named: &[&'static FunctionDef],
    inputs: &[Oid],
    call_variadic: bool,
) -> Vec<Candidate<Layout>> {
    let n = inputs.len();
    let mut found: Vec<Candidate<Layout>> = Vec::new();
    let mut expanded: Vec<Candidate<Layout>> = Vec::new();
    for def in named.iter().copied() {
        let declared = def.args.len();
        let any_variadic = def.variadic && def.args.last() == Some(&Type::ANY.oid);
        if n <= declared && n + def.defaults.len() >= declared && (!any_variadic || call_variadic) {
            found.push(Candidate {
                item: Layout {
                    def,
                    variadic: None,
                },
                args: def.args[..n].to_vec(),
            });
        }
        if def.variadic && !call_variadic && n >= declared && declared > 0 {
            let last = def.args[declared - 1];
            let element = match last {
                2276 => 2276,
                2277 => 2283,
                super::coerce::ANYCOMPATIBLEARRAY => super::coerce::ANYCOMPATIBLE,
                other => Type::new(other).element().map_or(other, |e| e.oid),
            };
            let mut args = def.args[..declared - 1].to_vec();
            args.resize(n, element);
            expanded.push(Candidate {
                item: Layout {
                    def,
                    variadic: Some(n + 1 - declared),
                },
                args,
            });
        }
    }
    // The same argument types reached by expansion lose against a declared signature.
    expanded.retain(|e| !found.iter().any(|f| f.args == e.args));
    found.extend(expanded);
    found
}
