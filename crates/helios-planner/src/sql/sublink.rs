//! Subqueries in expressions.

use super::binder::{Binder, Typed};
use super::construct;
use super::literal;
use super::node::{optional, required};
use super::operator::comparison;
use super::plan::{self, Query};
use super::scope::{Level, STAND_IN};
use super::type_name::display;
use crate::function::{Implementation, PgAggregate};
use datafusion::common::Spans;
use datafusion::logical_expr::expr::{
    AggregateFunction, Case, Exists, InSubquery, SetComparison, SetQuantifier,
};
use datafusion::logical_expr::{AggregateUDF, BinaryExpr, Expr, Operator, Subquery};
use helios_types::{Error, Result, Type, error};
use pg_query::NodeEnum;
use pg_query::protobuf::{RowExpr, SubLink, SubLinkType};
use std::sync::Arc;

/// A bound subquery as DataFusion holds it.
pub(crate) fn subquery(query: Query, level: &Level) -> Subquery {
    Subquery {
        subquery: Arc::new(query.plan),
        outer_ref_columns: level.outer.clone(),
        spans: Spans::new(),
    }
}

impl Binder<'_> {
    pub fn sublink(&mut self, node: &SubLink) -> Result<Typed> {
        let SubLink {
            xpr: _,
            sub_link_type,
            sub_link_id: _,
            testexpr,
            oper_name,
            subselect,
            location,
        } = node;
        let at = *location;
        if let Some(reason) = self.table_expression {
            // Of one expression, so in the singular where the clause's name is a plural.
            let reason = match reason {
                "check constraints" => "check constraint",
                "DEFAULT expressions" => "DEFAULT expression",
                "index expressions" => "index expression",
                "index predicates" => "index predicate",
                "column generation expressions" => "column generation expression",
                "transform expressions" => "transform expression",
                other => other,
            };
            return Err(self.at(error!(Unsupported, "cannot use subquery in {reason}"), at));
        }
        let link = SubLinkType::try_from(*sub_link_type).map_err(Error::internal)?;
        let select = required(subselect)?;
        match link {
            SubLinkType::ExistsSublink => {
                let (query, level) = self.in_subquery(select)?;
                Ok(Typed::bool(
                    Expr::Exists(Exists::new(subquery(query, &level), false)),
                    at,
                ))
            }
            SubLinkType::ExprSublink => {
                let (query, level) = self.in_subquery(select)?;
                let ty = self.single_column(&query, at)?;
                Ok(Typed::new(
                    Expr::ScalarSubquery(subquery(query, &level)),
                    ty,
                    at,
                ))
            }
            SubLinkType::ArraySublink => self.array_subquery(select, at),
            SubLinkType::AnySublink | SubLinkType::AllSublink => {
                let all = link == SubLinkType::AllSublink;
                let op = if oper_name.is_empty() {
                    "="
                } else {
                    self.operator_name(oper_name, at)?
                };
                let test = required(testexpr)?;
                match test {
                    NodeEnum::RowExpr(row) => self.quantified_rows(all, op, row, select, at),
                    other => self.quantified_subquery(all, op, other, select, at),
                }
            }
            SubLinkType::RowcompareSublink => {
                let op = self.operator_name(oper_name, at)?;
                match optional(testexpr) {
                    Some(NodeEnum::RowExpr(row)) => self.compare_with_subquery(op, row, select, at),
                    _ => Err(Error::internal("row comparison without a row")),
                }
            }
            other => Err(Error::internal(format!("subquery of kind {other:?}"))),
        }
    }

    /// Binds a subquery in a level of its own, whose outer references become the subquery's.
    pub fn in_subquery(&mut self, select: &NodeEnum) -> Result<(Query, Level)> {
        self.in_level(|binder| binder.query(select, true))
    }

    fn single_column(&self, query: &Query, at: i32) -> Result<Type> {
        match query.columns.as_slice() {
            [only] => Ok(only.ty),
            _ => Err(self.at(
                error!(SyntaxError, "subquery must return only one column"),
                at,
            )),
        }
    }

    fn array_subquery(&mut self, select: &NodeEnum, at: i32) -> Result<Typed> {
        let (query, level) = self.in_subquery(select)?;
        let element = Type::new(self.single_column(&query, at)?.oid);
        let array = if element.is_array() {
            Some(element)
        } else {
            element.array_of()
        };
        let Some(array) = array else {
            let shown = display(element);
            return Err(self.at(
                error!(
                    UndefinedObject,
                    "could not find array type for data type {shown}"
                ),
                at,
            ));
        };
        let wanted = if element.is_array() {
            Type::ANYARRAY.oid
        } else {
            Type::ANYNONARRAY.oid
        };
        let def = self
            .cx
            .registry
            .functions_named("array_agg")
            .iter()
            .filter(|d| matches!(d.implementation, Implementation::Aggregate(_)))
            .find(|d| d.args == [wanted] || d.args == [Type::ANYELEMENT.oid])
            .copied();
        let Some(def) = def else {
            return self.unsupported("ARRAY(subquery)", at);
        };
        let value = plan::output_column(&query.plan, 0);
        let udf = Arc::new(AggregateUDF::from(PgAggregate::new(
            def,
            vec![element],
            array,
        )));
        let call = Expr::AggregateFunction(AggregateFunction::new_udf(
            udf,
            vec![value],
            false,
            None,
            vec![],
            None,
        ));
        let name = self.unique("array");
        let aggregated =
            plan::aggregate(query.plan, vec![], vec![plan::alias(call, &name, array)])?;
        let outer = Subquery {
            subquery: Arc::new(aggregated),
            outer_ref_columns: level.outer.clone(),
            spans: Spans::new(),
        };
        let aggregate = Typed::new(Expr::ScalarSubquery(outer), array, at);
        let scalar = array.element().unwrap_or(element);
        let empty = Typed::new(construct::array(scalar, vec![], array), array, at);
        Ok(Typed::new(
            construct::coalesce(vec![aggregate, empty], array),
            array,
            at,
        ))
    }

    /// `x op ANY|ALL (SELECT y)`
    fn quantified_subquery(
        &mut self,
        all: bool,
        op: &str,
        test: &NodeEnum,
        select: &NodeEnum,
        at: i32,
    ) -> Result<Typed> {
        let left = self.expression(test)?;
        let (mut query, level) = self.in_subquery(select)?;
        if query.columns.len() != 1 {
            let error = if query.columns.len() > 1 {
                error!(SyntaxError, "subquery has too many columns")
            } else {
                error!(SyntaxError, "subquery has too few columns")
            };
            return Err(self.at(error, at));
        }
        // The comparison is resolved against a stand-in for the subquery's column.
        let ty = query.columns[0].ty;
        let stand_in = Expr::Column(super::scope::column(Some(STAND_IN), "value"));
        let compared = self.binary(op, left, Typed::new(stand_in.clone(), ty, at), at)?;
        if compared.ty.oid != Type::BOOL.oid {
            return Err(self.at(
                error!(
                    DatatypeMismatch,
                    "row comparison operator must yield type boolean, not type {}",
                    display(compared.ty)
                ),
                at,
            ));
        }
        if let Expr::BinaryExpr(BinaryExpr {
            left,
            op: operator,
            right,
        }) = compared.expr
        {
            // What the right side needs around the column moves into the subquery.
            if *right != stand_in {
                let column = plan::output_column(&query.plan, 0);
                let value = plan::replace(*right, &stand_in, &column)?;
                let cast_type = plan::function_type(&value).unwrap_or(ty);
                query.plan = plan::project(
                    query.plan,
                    vec![plan::alias(value, &self.unique("value"), cast_type)],
                )?;
            }
            let subquery = subquery(query, &level);
            let expr = match (operator, all) {
                (Operator::Eq, false) => Expr::InSubquery(InSubquery::new(left, subquery, false)),
                (Operator::NotEq, true) => Expr::InSubquery(InSubquery::new(left, subquery, true)),
                (operator, all) => {
                    let quantifier = if all {
                        SetQuantifier::All
                    } else {
                        SetQuantifier::Any
                    };
                    Expr::SetComparison(SetComparison::new(left, subquery, operator, quantifier))
                }
            };
            return Ok(Typed::bool(expr, at));
        }
        self.by_existence(all, vec![(stand_in, ty)], select, at, |_| {
            Ok(compared.expr.clone())
        })
    }

    /// `(a, b) op ANY|ALL (SELECT c, d)`
    fn quantified_rows(
        &mut self,
        all: bool,
        op: &str,
        row: &RowExpr,
        select: &NodeEnum,
        at: i32,
    ) -> Result<Typed> {
        if comparison(op).is_none() {
            return self.unsupported(format_args!("row comparison operator {op}"), at);
        }
        let left = self.expressions(&row.args)?;
        // Bound once to know the columns; the tests below bind it again with the condition inside.
        let (query, _) = self.in_subquery(select)?;
        if query.columns.len() != left.len() {
            let few = query.columns.len() < left.len();
            let error = if few {
                error!(SyntaxError, "subquery has too few columns")
            } else {
                error!(SyntaxError, "subquery has too many columns")
            };
            return Err(self.at(error, at));
        }
        let stand_ins: Vec<(Expr, Type)> = query
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| {
                (
                    Expr::Column(super::scope::column(Some(STAND_IN), &i.to_string())),
                    c.ty,
                )
            })
            .collect();
        let right: Vec<Typed> = stand_ins
            .iter()
            .map(|(e, ty)| Typed::new(e.clone(), *ty, at))
            .collect();
        let test = self.compare_rows(op, left, right, at)?.expr;
        self.by_existence(all, stand_ins, select, at, |_| Ok(test.clone()))
    }

    /// Three-valued ANY and ALL by two EXISTS: is there a row that decides, is there one that
    /// leaves it open. `test` holds stand-ins for the subquery's columns.
    fn by_existence(
        &mut self,
        all: bool,
        stand_ins: Vec<(Expr, Type)>,
        select: &NodeEnum,
        at: i32,
        test: impl Fn(&mut Self) -> Result<Expr>,
    ) -> Result<Typed> {
        let test = test(self)?;
        let mut exists = |wanted: fn(Expr) -> Expr| -> Result<Expr> {
            let (query, mut level) = self.in_subquery(select)?;
            let mut inside = self.outer_columns(test.clone(), &mut level.outer)?;
            for (i, (stand_in, _)) in stand_ins.iter().enumerate() {
                let column = plan::output_column(&query.plan, i);
                inside = plan::replace(inside, stand_in, &column)?;
            }
            let filtered = plan::filter(query.plan, wanted(inside))?;
            let query = Query {
                plan: filtered,
                columns: query.columns,
            };
            Ok(Expr::Exists(Exists::new(subquery(query, &level), false)))
        };
        let (decided, open) = if all {
            (
                exists(|e| Expr::IsFalse(Box::new(e)))?,
                exists(|e| Expr::IsUnknown(Box::new(e)))?,
            )
        } else {
            (
                exists(|e| Expr::IsTrue(Box::new(e)))?,
                exists(|e| Expr::IsUnknown(Box::new(e)))?,
            )
        };
        let case = Case {
            expr: None,
            when_then_expr: vec![
                (Box::new(decided), Box::new(literal::boolean(!all))),
                (Box::new(open), Box::new(literal::null(Type::BOOL))),
            ],
            else_expr: Some(Box::new(literal::boolean(all))),
        };
        Ok(Typed::bool(Expr::Case(case), at))
    }

    /// `(a, b) = (SELECT c, d)`
    pub fn row_subquery(
        &mut self,
        op: &str,
        left: &RowExpr,
        sub: &SubLink,
        at: i32,
    ) -> Result<Typed> {
        self.compare_with_subquery(op, left, required(&sub.subselect)?, at)
    }

    fn compare_with_subquery(
        &mut self,
        op: &str,
        row: &RowExpr,
        select: &NodeEnum,
        at: i32,
    ) -> Result<Typed> {
        let left = self.expressions(&row.args)?;
        let fields = self.row_of_subquery(select, at)?;
        if fields.len() != left.len() {
            return Err(self.at(error!(SyntaxError, "subquery has too many columns"), at));
        }
        self.compare_rows(op, left, fields, at)
    }

    /// The columns of a single-row subquery as fields of one record, so that it runs as one.
    pub fn row_of_subquery(&mut self, select: &NodeEnum, at: i32) -> Result<Vec<Typed>> {
        let (query, level) = self.in_subquery(select)?;
        let columns: Vec<Typed> = query
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| Typed::new(plan::output_column(&query.plan, i), c.ty, at))
            .collect();
        let types: Vec<Type> = columns.iter().map(|c| c.ty).collect();
        let name = self.unique("row");
        let plan = plan::project(
            query.plan,
            vec![plan::alias(construct::row(columns), &name, Type::RECORD)],
        )?;
        let record = Expr::ScalarSubquery(subquery(
            Query {
                plan,
                columns: Vec::new(),
            },
            &level,
        ));
        Ok(types
            .into_iter()
            .enumerate()
            .map(|(i, ty)| {
                let value = Typed::new(record.clone(), Type::RECORD, at);
                Typed::new(construct::field(value, i, ty), ty, at)
            })
            .collect())
    }
}
