//! IN lists, BETWEEN, and `op ANY (array)`.

use super::binder::{Binder, Typed};
use super::construct;
use super::node::{inner, kind};
use super::operator::{and, or};
use super::type_name::display;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use helios_types::{Error, Result, Type, error};
use pg_query::NodeEnum;
use pg_query::protobuf::AExprKind;

impl Binder<'_> {
    pub fn in_list(
        &mut self,
        negated: bool,
        left: &NodeEnum,
        right: &NodeEnum,
        at: i32,
    ) -> Result<Typed> {
        let NodeEnum::List(list) = right else {
            return Err(Error::internal(kind(right)));
        };
        if let NodeEnum::RowExpr(row) = left {
            return self.in_row_list(negated, row, &list.items, at);
        }
        let left = self.expression(left)?;
        let values = self.expressions(&list.items)?;
        // As PostgreSQL: all on one common type when there is one, else a chain of comparisons.
        let all: Vec<&Typed> = std::iter::once(&left).chain(&values).collect();
        if let Ok(ty) = self.common_type(&all, "IN") {
            let implicit = all
                .iter()
                .all(|v| v.is_unknown() || self.implicitly(v.ty, ty));
            if implicit && super::operator::ordered(ty) {
                let operand = self.coerce_implicit(left, ty)?;
                let mut list = Vec::with_capacity(values.len());
                for value in values {
                    list.push(self.coerce_implicit(value, ty)?.expr);
                }
                return Ok(Typed::bool(in_expression(operand.expr, list, negated), at));
            }
        }
        let op = if negated { "<>" } else { "=" };
        let mut chain: Option<Expr> = None;
        for value in values {
            let test = self.binary(op, left.clone(), value, at)?.expr;
            chain = Some(match chain {
                None => test,
                Some(rest) if negated => and(rest, test),
                Some(rest) => or(rest, test),
            });
        }
        chain
            .map(|expr| Typed::bool(expr, at))
            .ok_or_else(|| Error::internal("IN without values"))
    }

    fn in_row_list(
        &mut self,
        negated: bool,
        left: &pg_query::protobuf::RowExpr,
        items: &[pg_query::Node],
        at: i32,
    ) -> Result<Typed> {
        let mut chain: Option<Expr> = None;
        for item in items {
            let NodeEnum::RowExpr(right) = inner(item)? else {
                return Err(self.at(
                    error!(SyntaxError, "unequal number of entries in row expressions"),
                    at,
                ));
            };
            let test = self.row_comparison("=", left, right, at)?.expr;
            chain = Some(match chain {
                None => test,
                Some(rest) => or(rest, test),
            });
        }
        let expr = chain.ok_or_else(|| Error::internal("IN without values"))?;
        Ok(Typed::bool(
            if negated {
                Expr::Not(Box::new(expr))
            } else {
                expr
            },
            at,
        ))
    }

    pub fn between(
        &mut self,
        a_kind: AExprKind,
        left: &NodeEnum,
        right: &NodeEnum,
        at: i32,
    ) -> Result<Typed> {
        let NodeEnum::List(bounds) = right else {
            return Err(Error::internal(kind(right)));
        };
        let [low, high] = bounds.items.as_slice() else {
            return Err(Error::internal("BETWEEN needs two bounds"));
        };
        let value = self.expression(left)?;
        let low = self.expression(inner(low)?)?;
        let high = self.expression(inner(high)?)?;
        let within = |b: &mut Self, low: &Typed, high: &Typed| -> Result<Expr> {
            let from = b.binary(">=", value.clone(), low.clone(), at)?.expr;
            let to = b.binary("<=", value.clone(), high.clone(), at)?.expr;
            Ok(and(from, to))
        };
        let outside = |b: &mut Self, low: &Typed, high: &Typed| -> Result<Expr> {
            let below = b.binary("<", value.clone(), low.clone(), at)?.expr;
            let above = b.binary(">", value.clone(), high.clone(), at)?.expr;
            Ok(or(below, above))
        };
        let expr = match a_kind {
            AExprKind::AexprBetween => within(self, &low, &high)?,
            AExprKind::AexprNotBetween => outside(self, &low, &high)?,
            AExprKind::AexprBetweenSym => {
                or(within(self, &low, &high)?, within(self, &high, &low)?)
            }
            _ => and(outside(self, &low, &high)?, outside(self, &high, &low)?),
        };
        Ok(Typed::bool(expr, at))
    }

    /// `left op ANY|ALL (array expression)`
    pub fn quantified_array(
        &mut self,
        all: bool,
        op: &str,
        left: Typed,
        array: Typed,
        at: i32,
    ) -> Result<Typed> {
        // An untyped array is an array of the left side's type.
        let array = if array.is_unknown() {
            let ty = if left.is_unknown() {
                Type::TEXT
            } else {
                Type::new(left.ty.oid)
            };
            let Some(target) = ty.array_of() else {
                let shown = display(ty);
                return Err(self.at(
                    error!(
                        UndefinedObject,
                        "could not find array type for data type {shown}"
                    ),
                    at,
                ));
            };
            self.coerce_implicit(array, target)?
        } else {
            array
        };
        let Some(element) = array.ty.element() else {
            return Err(self.at(
                error!(
                    WrongObjectType,
                    "op ANY/ALL (array) requires array on right side"
                ),
                at,
            ));
        };
        let (function, left_type, element_type) =
            self.quantified_operator(op, &left, Type::new(element.oid), at)?;
        // Different types on both sides meet on the left's own type when the elements widen to it.
        let left = self.coerce_implicit(left, left_type)?;
        let array = if element_type.oid == element.oid {
            array
        } else {
            let target = element_type.array_of().unwrap_or(array.ty);
            self.coerce_implicit(array, target)?
        };
        Ok(Typed::bool(
            construct::quantified(all, left, array, function),
            at,
        ))
    }
}

/// `x IN (a)` is a comparison; more is a list.
fn in_expression(operand: Expr, mut list: Vec<Expr>, negated: bool) -> Expr {
    match (list.len(), list.pop()) {
        (1, Some(only)) => {
            let op = if negated {
                Operator::NotEq
            } else {
                Operator::Eq
            };
            Expr::BinaryExpr(BinaryExpr {
                left: Box::new(operand),
                op,
                right: Box::new(only),
            })
        }
        (_, last) => {
            list.extend(last);
            Expr::InList(InList {
                expr: Box::new(operand),
                list,
                negated,
            })
        }
    }
}
