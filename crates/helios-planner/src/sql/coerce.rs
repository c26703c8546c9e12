//! Casts: which exist in which context, and the expression of each.

use super::binder::{Binder, Typed};
use super::construct;
use super::literal;
use super::type_name::display;
use crate::function::{CastContext, CastMethod, FunctionDef, PgFunction};
use crate::pgtype;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use helios_types::types::info;
use helios_types::{Oid, Result, Type, Value, error};

pub(crate) const ANYCOMPATIBLE: Oid = 5077;
pub(crate) const ANYCOMPATIBLEARRAY: Oid = 5078;
pub(crate) const ANYCOMPATIBLENONARRAY: Oid = 5079;

/// How a cast gets from one type to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pathway {
    /// Nothing to compute.
    Relabel,
    Function(Oid),
    InOut,
    /// Element by element.
    Array,
}

pub(crate) fn is_polymorphic(oid: Oid) -> bool {
    matches!(
        oid,
        2277 | 2283 | 2776 | ANYCOMPATIBLE | ANYCOMPATIBLEARRAY | ANYCOMPATIBLENONARRAY | 3500
    )
}

/// Whether a polymorphic argument takes a value of this type, as far as one argument can tell.
fn polymorphic_takes(target: Oid, source: Oid) -> bool {
    let is_array = Type::new(source).is_array() || source == Type::ANYARRAY.oid;
    match target {
        2277 | ANYCOMPATIBLEARRAY => is_array,
        2776 | ANYCOMPATIBLENONARRAY => !is_array,
        target => is_polymorphic(target),
    }
}

/// `typcategory`.
pub(crate) fn category(oid: Oid) -> char {
    match info(oid) {
        Some(i) => i.category,
        None if Type::new(oid).is_array() => 'A',
        None => 'P',
    }
}

/// `typispreferred`.
pub(crate) fn is_preferred(oid: Oid) -> bool {
    matches!(oid, 16 | 25 | 26 | 701 | 1184 | 1186)
}

impl Binder<'_> {
    /// PostgreSQL's `find_coercion_pathway`.
    pub fn pathway(&self, source: Oid, target: Oid, context: CastContext) -> Option<Pathway> {
        if source == target {
            return Some(Pathway::Relabel);
        }
        if let Some(cast) = self.cx.registry.cast(source, target) {
            // Ordered Explicit < Assignment < Implicit: a cast applies where as much is asked.
            if cast.context >= context {
                return Some(match cast.method {
                    CastMethod::Function(oid) => Pathway::Function(oid),
                    CastMethod::Binary => Pathway::Relabel,
                    CastMethod::InOut => Pathway::InOut,
                });
            }
            return None;
        }
        let vector = |oid| matches!(oid, 22 | 30);
        if let (Some(from), Some(to)) = (Type::new(source).element(), Type::new(target).element())
            && !vector(target)
        {
            return match self.pathway(from.oid, to.oid, context)? {
                Pathway::Relabel if vector(source) || same_value(from.oid, to.oid) => {
                    Some(Pathway::Relabel)
                }
                _ => Some(Pathway::Array),
            };
        }
        let text_like = |oid| category(oid) == 'S';
        if (context <= CastContext::Assignment && text_like(target))
            || (context == CastContext::Explicit && text_like(source))
        {
            return (source != Type::VOID.oid || context == CastContext::Explicit)
                .then_some(Pathway::InOut);
        }
        None
    }

    /// PostgreSQL's `can_coerce_type` for one argument.
    pub fn can_coerce(&self, source: Oid, target: Oid, context: CastContext) -> bool {
        source == target
            || target == Type::ANY.oid
            || source == Type::UNKNOWN.oid
            || polymorphic_takes(target, source)
            || self.pathway(source, target, context).is_some()
    }

    /// The value as `target` without its modifier; `None` when no cast exists in this context.
    pub fn coerce_base(
        &mut self,
        value: Typed,
        target: Type,
        context: CastContext,
    ) -> Result<Option<Typed>> {
        let at = value.at;
        let base = Type::new(target.oid);
        if value.ty.oid == target.oid {
            return Ok(Some(value));
        }
        if value.is_unknown() {
            // The fields of an interval say what a bare number counts.
            let read_as = if target.oid == Type::INTERVAL.oid {
                target
            } else {
                base
            };
            return self.coerce_unknown(value, read_as).map(Some);
        }
        if target.oid == Type::ANY.oid {
            return Ok(Some(value));
        }
        let Some(pathway) = self.pathway(value.ty.oid, target.oid, context) else {
            return Ok(None);
        };
        if let Expr::Literal(..) = &value.expr
            && let Some(folded) = literal::fold_cast(&value, base)
        {
            return Ok(Some(folded));
        }
        let expr = match pathway {
            Pathway::Relabel if same_value(value.ty.oid, target.oid) => value.expr,
            Pathway::Relabel => construct::relabel(value, base),
            Pathway::Function(oid) => {
                let explicit = context == CastContext::Explicit;
                let def = self.function_def(oid)?;
                cast_call(def, value, base, -1, explicit)
            }
            Pathway::InOut if base.is_string() && !value.ty.is_string() => {
                construct::cast_to_text(value, base)
            }
            Pathway::InOut => construct::cast_from_text(value, base),
            Pathway::Array => {
                construct::cast_array(value, base, -1, context == CastContext::Explicit)
            }
        };
        Ok(Some(Typed::new(expr, base, at)))
    }

    fn function_def(&self, oid: Oid) -> Result<&'static FunctionDef> {
        self.cx
            .registry
            .function(oid)
            .ok_or_else(|| error!(UndefinedFunction, "cast function {oid} does not exist"))
    }

    /// An untyped literal or parameter as `target`.
    fn coerce_unknown(&mut self, value: Typed, target: Type) -> Result<Typed> {
        match value.expr {
            Expr::Placeholder(p) => self.decide_parameter(&p.id, target, value.at),
            Expr::Literal(ScalarValue::Utf8(None), _) => {
                Ok(Typed::new(literal::null(target), target, value.at))
            }
            Expr::Literal(ScalarValue::Utf8(Some(ref text)), _) => {
                let typed = literal::input(self, text, target, value.at);
                typed.map_err(|e| self.at(e, value.at))
            }
            // A column of an unresolved subquery output.
            _ => {
                let text = Typed::new(value.expr, Type::TEXT, value.at);
                let expr = if target.is_string() {
                    text.expr
                } else {
                    construct::cast_from_text(text, target)
                };
                Ok(Typed::new(expr, target, value.at))
            }
        }
    }

    /// PostgreSQL's `coerce_to_target_type`: type and modifier.
    pub fn coerce(
        &mut self,
        value: Typed,
        target: Type,
        context: CastContext,
    ) -> Result<Option<Typed>> {
        let source = value.ty;
        let Some(base) = self.coerce_base(value, target, context)? else {
            return Ok(None);
        };
        if target.modifier < 0 || (source == target) {
            return Ok(Some(Typed {
                ty: keep_modifier(base.ty, target),
                ..base
            }));
        }
        let explicit = context == CastContext::Explicit;
        Ok(Some(self.apply_modifier(base, target, explicit)))
    }

    /// The length coercion of `char(n)`, `numeric(p, s)` and the like, where the type has one.
    fn apply_modifier(&mut self, value: Typed, target: Type, explicit: bool) -> Typed {
        let at = value.at;
        if let Expr::Literal(scalar, _) = &value.expr {
            if scalar.is_null() {
                return Typed::new(literal::null(target), target, at);
            }
            if let Some(folded) = literal::fold_modifier(&value, target, explicit) {
                return folded;
            }
        }
        if target.is_array() {
            let expr = construct::cast_array(value, target, target.modifier, explicit);
            return Typed::new(expr, target, at);
        }
        let method = self
            .cx
            .registry
            .cast(target.oid, target.oid)
            .map(|c| c.method);
        let Some(CastMethod::Function(oid)) = method else {
            return Typed {
                ty: target,
                ..value
            };
        };
        let Some(def) = self.cx.registry.function(oid) else {
            return Typed {
                ty: target,
                ..value
            };
        };
        Typed::new(
            cast_call(def, value, target, target.modifier, explicit),
            target,
            at,
        )
    }

    /// An explicit cast, `CAST (… AS …)`.
    pub fn cast(&mut self, value: Typed, target: Type, location: i32) -> Result<Typed> {
        let source = value.ty;
        match self.coerce(value, target, CastContext::Explicit)? {
            Some(cast) => Ok(Typed {
                at: location,
                ..cast
            }),
            None => {
                let (from, to) = (display(source), display(Type::new(target.oid)));
                Err(self.at(
                    error!(CannotCoerce, "cannot cast type {from} to {to}"),
                    location,
                ))
            }
        }
    }

    /// An implicit cast; the caller knows that one exists, or wants the common error.
    pub fn coerce_implicit(&mut self, value: Typed, target: Type) -> Result<Typed> {
        let (source, at) = (value.ty, value.at);
        match self.coerce_base(value, target, CastContext::Implicit)? {
            Some(cast) => Ok(cast),
            None => {
                let (from, to) = (display(source), display(Type::new(target.oid)));
                Err(self.at(error!(CannotCoerce, "cannot cast type {from} to {to}"), at))
            }
        }
    }

    /// PostgreSQL's `coerce_to_boolean`.
    pub fn coerce_bool(&mut self, value: Typed, construct_name: &str) -> Result<Expr> {
        let (source, at) = (value.ty, value.at);
        match self.coerce_base(value, Type::BOOL, CastContext::Assignment)? {
            Some(cast) => Ok(cast.expr),
            None => {
                let shown = display(Type::new(source.oid));
                Err(self.at(
                    error!(
                        DatatypeMismatch,
                        "argument of {construct_name} must be type boolean, not type {shown}"
                    ),
                    at,
                ))
            }
        }
    }

    /// What is still unknown becomes text.
    pub fn resolve_unknown(&mut self, value: Typed) -> Result<Typed> {
        if value.is_unknown() {
            self.coerce_unknown(value, Type::TEXT)
        } else {
            Ok(value)
        }
    }

    /// PostgreSQL's `select_common_type`; `context` names the construct in the error.
    pub fn common_type(&mut self, values: &[&Typed], context: &str) -> Result<Type> {
        let Some(first) = values.first() else {
            return Ok(Type::TEXT);
        };
        let mut common = first.ty;
        if !first.is_unknown() && values.iter().all(|v| v.ty.oid == common.oid) {
            return Ok(Type::new(common.oid));
        }
        for value in &values[1..] {
            let next = value.ty;
            if value.is_unknown() || next.oid == common.oid {
                continue;
            }
            if common.oid == Type::UNKNOWN.oid {
                common = next;
            } else if category(next.oid) != category(common.oid) {
                let (a, b) = (display(Type::new(common.oid)), display(Type::new(next.oid)));
                return Err(self.at(
                    error!(
                        DatatypeMismatch,
                        "{context} types {a} and {b} cannot be matched"
                    ),
                    value.at,
                ));
            } else if !is_preferred(common.oid)
                && self.can_coerce(common.oid, next.oid, CastContext::Implicit)
                && !self.can_coerce(next.oid, common.oid, CastContext::Implicit)
            {
                common = next;
            }
        }
        if common.oid == Type::UNKNOWN.oid {
            return Ok(Type::TEXT);
        }
        Ok(Type::new(common.oid))
    }

    /// The modifier that all values share, when they share one.
    pub fn common_modifier(values: &[&Typed], ty: Type) -> i32 {
        let mut modifiers = values.iter().map(|v| {
            if v.ty.oid == ty.oid {
                v.ty.modifier
            } else {
                -1
            }
        });
        let first = modifiers.next().unwrap_or(-1);
        if modifiers.all(|m| m == first) {
            first
        } else {
            -1
        }
    }

    /// PostgreSQL's `coerce_to_common_type`.
    pub fn coerce_to_common(&mut self, value: Typed, target: Type, context: &str) -> Result<Typed> {
        let (source, at) = (value.ty, value.at);
        match self.coerce_base(value, target, CastContext::Implicit)? {
            Some(cast) => Ok(cast),
            None => {
                let (from, to) = (
                    display(Type::new(source.oid)),
                    display(Type::new(target.oid)),
                );
                Err(self.at(
                    error!(
                        CannotCoerce,
                        "{context} could not convert type {from} to {to}"
                    ),
                    at,
                ))
            }
        }
    }

    /// The value for a target column: type and modifier, or 42804.
    pub fn coerce_assignment(&mut self, value: Typed, target: Type, column: &str) -> Result<Typed> {
        let (source, at) = (value.ty, value.at);
        if let Some(cast) = self.coerce(value, target, CastContext::Assignment)? {
            return Ok(cast);
        }
        let (to, from) = (
            display(Type::new(target.oid)),
            display(Type::new(source.oid)),
        );
        Err(self.at(
            error!(
                DatatypeMismatch,
                "column \"{column}\" is of type {to} but expression is of type {from}"
            )
            .with_hint("You will need to rewrite or cast the expression."),
            at,
        ))
    }
}

/// A cast function takes the value, and as many of (modifier, explicit) as it declares.
fn cast_call(
    def: &'static FunctionDef,
    value: Typed,
    target: Type,
    modifier: i32,
    explicit: bool,
) -> Expr {
    let mut args = vec![value.expr];
    let mut types = vec![value.ty];
    if def.args.len() > 1 {
        args.push(pgtype::literal(&Value::Int4(modifier), Type::INT4));
        types.push(Type::INT4);
    }
    if def.args.len() > 2 {
        args.push(pgtype::literal(&Value::Bool(explicit), Type::BOOL));
        types.push(Type::BOOL);
    }
    PgFunction::new(def, types, target).call(args)
}

/// A value of the wanted type keeps the modifier that it has.
fn keep_modifier(have: Type, want: Type) -> Type {
    if have.oid == want.oid { have } else { want }
}

/// Whether both types hold the same representation, so that a relabelling changes nothing.
pub(crate) fn same_value(a: Oid, b: Oid) -> bool {
    let class = |oid: Oid| match oid {
        25 | 1043 | 19 | 114 | 705 | 194 => 'S',
        1042 => 'S',
        oid if Type::new(oid).is_oid_like() => 'O',
        _ => '-',
    };
    a == b
        || (class(a) != '-' && class(a) == class(b))
        || (Type::new(a).is_array() && Type::new(b).is_array())
}
