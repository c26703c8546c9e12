//! Operators: resolution, and the expression of each.

use super::binder::{Binder, Typed};
use super::literal;
use super::node::strings;
use super::resolve::{Candidate, Choice};
use super::type_name::display;
use crate::function::{CastContext, OperatorDef, PgFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use helios_types::{Error, Oid, Result, Type, error};
use pg_query::Node;

/// DataFusion's operator for PostgreSQL's comparison of this name.
pub(crate) fn comparison(name: &str) -> Option<Operator> {
    Some(match name {
        "=" => Operator::Eq,
        "<>" | "!=" => Operator::NotEq,
        "<" => Operator::Lt,
        "<=" => Operator::LtEq,
        ">" => Operator::Gt,
        ">=" => Operator::GtEq,
        _ => return None,
    })
}

/// Types with a default btree operator class: comparable and sortable.
pub(crate) fn ordered(ty: Type) -> bool {
    match ty.element() {
        Some(element) if !matches!(ty.oid, 22) => ordered(element),
        Some(_) => false,
        None => !matches!(ty.oid, 114 | 194 | 1033 | 2276 | 2278 | 28 | 705),
    }
}

/// The type both sides of a comparison between different types are brought to.
fn common_ground(left: Oid, right: Oid) -> Option<Type> {
    let rank = |oid: Oid| match oid {
        21 => Some((0, 1)),
        23 => Some((0, 2)),
        20 => Some((0, 3)),
        700 => Some((1, 1)),
        701 => Some((1, 2)),
        1082 => Some((2, 1)),
        1114 => Some((2, 2)),
        1184 => Some((2, 3)),
        19 => Some((3, 1)),
        25 => Some((3, 2)),
        _ => None,
    };
    let (l, r) = (rank(left)?, rank(right)?);
    (l.0 == r.0).then(|| Type::new(if l.1 >= r.1 { left } else { right }))
}

impl Binder<'_> {
    /// The name of an operator as written: plain, or `OPERATOR(pg_catalog.+)`.
    pub fn operator_name<'n>(&self, name: &'n [Node], location: i32) -> Result<&'n str> {
        let parts = strings(name)?;
        match parts.as_slice() {
            [op] | ["pg_catalog", op] => Ok(if *op == "!=" { "<>" } else { op }),
            [schema, op] => Err(self.at(
                error!(UndefinedFunction, "operator does not exist: {schema}.{op}"),
                location,
            )),
            _ => {
                let full = parts.join(".");
                Err(self.at(
                    error!(
                        SyntaxError,
                        "improper qualified name (too many dotted names): {full}"
                    ),
                    location,
                ))
            }
        }
    }

    fn binary_operator(&self, name: &str, left: Oid, right: Oid) -> Choice<&'static OperatorDef> {
        let candidates: Vec<Candidate<&'static OperatorDef>> = self
            .cx
            .registry
            .operators_named(name)
            .iter()
            .filter(|o| o.left != 0)
            .map(|o| Candidate {
                item: *o,
                args: vec![o.left, o.right],
            })
            .collect();
        let exact = |l: Oid, r: Oid| candidates.iter().find(|c| c.args == [l, r]).map(|c| c.item);
        let unknown = Type::UNKNOWN.oid;
        // An unknown side is first taken to be of the other side's type.
        let assumed = match (left == unknown, right == unknown) {
            (true, false) => exact(right, right),
            (false, true) => exact(left, left),
            _ => None,
        };
        if let Some(op) = exact(left, right).or(assumed) {
            return Choice::One(op);
        }
        match self.choose(&candidates, &[left, right]) {
            Choice::One(c) => Choice::One(c.item),
            Choice::None => Choice::None,
            Choice::Ambiguous => Choice::Ambiguous,
        }
    }

    /// `a + b` or, of one operand, `- a` does not exist.
    fn no_operator(&self, shown: String, ambiguous: bool, location: i32) -> Error {
        let error = if ambiguous {
            error!(AmbiguousFunction, "operator is not unique: {shown}")
                .with_hint("Could not choose a best candidate operator. You might need to add explicit type casts.")
        } else {
            error!(UndefinedFunction, "operator does not exist: {shown}").with_hint(
                "No operator matches the given name and argument types. You might need to add explicit type casts.",
            )
        };
        self.at(error, location)
    }

    /// `left name right`.
    pub fn binary(
        &mut self,
        name: &str,
        left: Typed,
        right: Typed,
        location: i32,
    ) -> Result<Typed> {
        let at = if left.at >= 0 { left.at } else { location };
        let op = match self.binary_operator(name, left.ty.oid, right.ty.oid) {
            Choice::One(op) => op,
            other => {
                if let Some(record) = self.record_comparison(name, &left, &right) {
                    return Ok(Typed::bool(record, at));
                }
                let shown = format!(
                    "{} {name} {}",
                    display(Type::new(left.ty.oid)),
                    display(Type::new(right.ty.oid))
                );
                return Err(self.no_operator(shown, matches!(other, Choice::Ambiguous), location));
            }
        };
        let polymorphic = self.concrete(
            &[op.left, op.right],
            op.result,
            &[left.ty, right.ty],
            location,
        )?;
        let Some((types, result)) = polymorphic else {
            let shown = format!(
                "{} {name} {}",
                display(Type::new(left.ty.oid)),
                display(Type::new(right.ty.oid))
            );
            return Err(self.no_operator(shown, false, location));
        };
        if let Some(operator) = comparison(name) {
            let ground = if types[0].oid == types[1].oid {
                Some(types[0])
            } else {
                common_ground(types[0].oid, types[1].oid)
            };
            if let Some(ground) = ground.filter(|g| ordered(*g)) {
                let left = self.coerce_implicit(left, ground)?;
                let right = self.coerce_implicit(right, ground)?;
                return Ok(Typed::bool(compare(left.expr, operator, right.expr), at));
            }
        }
        let left = self.coerce_implicit(left, types[0])?;
        let right = self.coerce_implicit(right, types[1])?;
        let def = self.operator_function(op, location)?;
        let call = PgFunction::new(def, types, result).call(vec![left.expr, right.expr]);
        Ok(Typed::new(call, result, at))
    }

    /// Records compare field by field, whatever their types are declared as.
    fn record_comparison(&self, name: &str, left: &Typed, right: &Typed) -> Option<Expr> {
        let operator = comparison(name)?;
        (left.ty.oid == Type::RECORD.oid && right.ty.oid == Type::RECORD.oid)
            .then(|| compare(left.expr.clone(), operator, right.expr.clone()))
    }

    fn operator_function(
        &self,
        op: &OperatorDef,
        location: i32,
    ) -> Result<&'static crate::function::FunctionDef> {
        let shown = op.name;
        self.cx.registry.function(op.function).ok_or_else(|| {
            self.at(
                Error::unsupported(format_args!("operator {shown}")),
                location,
            )
        })
    }

    /// `name right`.
    pub fn prefix(&mut self, name: &str, right: Typed, location: i32) -> Result<Typed> {
        let candidates: Vec<Candidate<&'static OperatorDef>> = self
            .cx
            .registry
            .operators_named(name)
            .iter()
            .filter(|o| o.left == 0)
            .map(|o| Candidate {
                item: *o,
                args: vec![o.right],
            })
            .collect();
        let op = match self.choose(&candidates, &[right.ty.oid]) {
            Choice::One(c) => c.item,
            other => {
                let shown = format!("{name} {}", display(Type::new(right.ty.oid)));
                let ambiguous = matches!(other, Choice::Ambiguous);
                let error = self.no_operator(shown, ambiguous, location);
                return Err(if ambiguous {
                    error
                } else {
                    error.with_hint("No operator matches the given name and argument type. You might need to add an explicit type cast.")
                });
            }
        };
        let declared = Type::new(op.right);
        let right = self.coerce_implicit(right, declared)?;
        let def = self.operator_function(op, location)?;
        let result = Type::new(op.result);
        Ok(Typed::new(
            PgFunction::new(def, vec![declared], result).call(vec![right.expr]),
            result,
            location,
        ))
    }

    /// `IS DISTINCT FROM`: the equality decides which types meet.
    pub fn distinct(
        &mut self,
        negated: bool,
        left: Typed,
        right: Typed,
        location: i32,
    ) -> Result<Typed> {
        let at = if left.at >= 0 { left.at } else { location };
        let operator = if negated {
            Operator::IsNotDistinctFrom
        } else {
            Operator::IsDistinctFrom
        };
        let equal = self.binary("=", left, right, location)?;
        match equal.expr {
            Expr::BinaryExpr(BinaryExpr {
                left,
                right,
                op: Operator::Eq,
            }) => Ok(Typed::bool(compare(*left, operator, *right), at)),
            _ => self.unsupported(
                "IS DISTINCT FROM for types without a default order",
                location,
            ),
        }
    }

    /// The function behind `name` for `left` and the elements of an array: its OID, and the types
    /// both are brought to.
    pub fn quantified_operator(
        &mut self,
        name: &str,
        left: &Typed,
        element: Type,
        location: i32,
    ) -> Result<(Oid, Type, Type)> {
        let op = match self.binary_operator(name, left.ty.oid, element.oid) {
            Choice::One(op) => op,
            other => {
                let shown = format!(
                    "{} {name} {}",
                    display(Type::new(left.ty.oid)),
                    display(Type::new(element.oid))
                );
                return Err(self.no_operator(shown, matches!(other, Choice::Ambiguous), location));
            }
        };
        if op.result != Type::BOOL.oid {
            return Err(self.at(
                error!(
                    WrongObjectType,
                    "op ANY/ALL (array) requires operator to yield boolean"
                ),
                location,
            ));
        }
        let types = self
            .concrete(
                &[op.left, op.right],
                op.result,
                &[left.ty, element],
                location,
            )?
            .map_or((Type::new(op.left), Type::new(op.right)), |(args, _)| {
                (args[0], args[1])
            });
        Ok((op.function, types.0, types.1))
    }

    /// OID of the function behind `<` of an ordered type.
    pub fn less_than(&self, ty: Type, context: &str, location: i32) -> Result<Oid> {
        match self.binary_operator("<", ty.oid, ty.oid) {
            Choice::One(op) => Ok(op.function),
            _ => {
                let shown = display(Type::new(ty.oid));
                Err(self.at(
                    error!(
                        UndefinedFunction,
                        "could not identify a comparison function for type {shown}"
                    )
                    .with_cause(context),
                    location,
                ))
            }
        }
    }

    /// `=` of two columns of a USING join.
    pub fn equal(&mut self, left: Typed, right: Typed) -> Result<Expr> {
        Ok(self.binary("=", left, right, -1)?.expr)
    }

    /// Whether any implicit cast brings `from` to `to`.
    pub fn implicitly(&self, from: Type, to: Type) -> bool {
        self.can_coerce(from.oid, to.oid, CastContext::Implicit)
    }
}

pub(crate) fn compare(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr {
        left: Box::new(left),
        op,
        right: Box::new(right),
    })
}

pub(crate) fn and(left: Expr, right: Expr) -> Expr {
    compare(left, Operator::And, right)
}

pub(crate) fn or(left: Expr, right: Expr) -> Expr {
    compare(left, Operator::Or, right)
}

/// All of them; true when there are none.
pub(crate) fn conjunction(exprs: impl IntoIterator<Item = Expr>) -> Expr {
    exprs
        .into_iter()
        .reduce(and)
        .unwrap_or_else(|| literal::boolean(true))
}
