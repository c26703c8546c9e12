//! `Expr` to [`Node`].

use super::subquery::{SubqueryCompiler, SubqueryNode, Use};
use super::{Case, Comparison, Frame, Node, Order, SubquerySet, fold};
use crate::function::{Implementation, as_pg_function};
use crate::pgtype;
use crate::sql::COALESCE_OID;
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::{InList, Placeholder, ScalarFunction, SetQuantifier};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, Subquery};
use helios_types::{Error, Result, Type, bail, error};
use std::sync::Arc;

/// IN lists of constants at least this long are searched by hash.
const HASHED_LIST: usize = 8;

pub(super) struct Compiler<'a> {
    pub schema: &'a DFSchema,
    pub frame: &'a mut Frame,
    pub subqueries: &'a mut dyn SubqueryCompiler,
}

/// Position of a parameter (`"$3"` is 2) from its name.
pub fn parameter_position(id: &str) -> Result<usize> {
    match id.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()) {
        Some(n) if n > 0 => Ok(n - 1),
        _ => bail!(UndefinedParameter, "there is no parameter {id}"),
    }
}

impl Compiler<'_> {
    pub fn compile(&mut self, expr: &Expr) -> Result<Node> {
        Ok(match expr {
            Expr::Alias(alias) => return self.compile(&alias.expr),
            Expr::Column(column) => self.column(column)?,
            Expr::Literal(scalar, metadata) => {
                let ty = pgtype::literal_type(scalar, metadata.as_ref());
                Node::Constant(pgtype::scalar_to_value(scalar, ty)?)
            }
            Expr::Placeholder(Placeholder { id, .. }) => Node::Param(parameter_position(id)?),
            Expr::OuterReferenceColumn(_, column) => Node::Outer(self.frame.capture(column)?),
            Expr::BinaryExpr(binary) => self.binary(binary)?,
            Expr::Not(operand) => Node::Not(self.boxed(operand)?),
            Expr::IsNull(operand) => Node::IsNull {
                operand: self.boxed(operand)?,
                negated: false,
            },
            Expr::IsNotNull(operand) => Node::IsNull {
                operand: self.boxed(operand)?,
                negated: true,
            },
            Expr::IsTrue(e) => self.is_truth(e, Some(true), false)?,
            Expr::IsNotTrue(e) => self.is_truth(e, Some(true), true)?,
            Expr::IsFalse(e) => self.is_truth(e, Some(false), false)?,
            Expr::IsNotFalse(e) => self.is_truth(e, Some(false), true)?,
            Expr::IsUnknown(e) => self.is_truth(e, None, false)?,
            Expr::IsNotUnknown(e) => self.is_truth(e, None, true)?,
            Expr::Between(between) => {
                let order = self.order(&between.expr)?;
                #[allow(clippy::borrowed_box)]
                let part = |op, left: &Box<Node>, right| Node::Compare {
                    op,
                    order,
                    left: left.clone(),
                    right,
                };
                let operand = self.boxed(&between.expr)?;
                let inside = Node::And(vec![
                    part(
                        Comparison::GreaterOrEqual,
                        &operand,
                        self.boxed(&between.low)?,
                    ),
                    part(
                        Comparison::LessOrEqual,
                        &operand,
                        self.boxed(&between.high)?,
                    ),
                ]);
                if between.negated {
                    Node::Not(Box::new(inside))
                } else {
                    inside
                }
            }
            Expr::Case(case) => self.case(case)?,
            Expr::InList(list) => self.in_list(list)?,
            Expr::ScalarFunction(call) => self.call(call)?,
            Expr::ScalarSubquery(subquery) => self.subquery(subquery, Use::Scalar)?,
            Expr::Exists(exists) => self.subquery(
                &exists.subquery,
                Use::Exists {
                    negated: exists.negated,
                },
            )?,
            Expr::InSubquery(e) => {
                let (operand, order) = (self.compile(&e.expr)?, self.order(&e.expr)?);
                self.subquery(
                    &e.subquery,
                    Use::In {
                        operand,
                        order,
                        negated: e.negated,
                    },
                )?
            }
            Expr::SetComparison(e) => {
                let (operand, order) = (self.compile(&e.expr)?, self.order(&e.expr)?);
                let Some(op) = comparison(e.op) else {
                    return Err(Error::unsupported(format!(
                        "operator {} with a subquery",
                        e.op
                    )));
                };
                let all = e.quantifier == SetQuantifier::All;
                self.subquery(
                    &e.subquery,
                    Use::Compare {
                        operand,
                        op,
                        order,
                        all,
                    },
                )?
            }
            other => bail!(
                Internal,
                "expression {} cannot be evaluated over a row",
                other
            ),
        })
    }

    fn boxed(&mut self, expr: &Expr) -> Result<Box<Node>> {
        self.compile(expr).map(Box::new)
    }

    fn list(&mut self, exprs: &[Expr]) -> Result<Vec<Node>> {
        exprs.iter().map(|e| self.compile(e)).collect()
    }

    fn order(&self, expr: &Expr) -> Result<Order> {
        Ok(Order::of(expr_type(expr, self.schema)?))
    }

    fn column(&mut self, column: &Column) -> Result<Node> {
        match self.schema.maybe_index_of_column(column) {
            Some(position) => Ok(Node::Column(position)),
            None => Err(error!(
                Internal,
                "column {column} is not among the input's columns"
            )),
        }
    }

    fn is_truth(&mut self, operand: &Expr, truth: Option<bool>, negated: bool) -> Result<Node> {
        Ok(Node::IsTruth {
            operand: self.boxed(operand)?,
            truth,
            negated,
        })
    }

    fn binary(&mut self, binary: &BinaryExpr) -> Result<Node> {
        match binary.op {
            Operator::And | Operator::Or => {
                let mut list = Vec::new();
                self.flatten(binary, binary.op, &mut list)?;
                return Ok(if binary.op == Operator::And {
                    Node::And(list)
                } else {
                    Node::Or(list)
                });
            }
            _ => {}
        }
        let order = self.order(&binary.left)?;
        let (left, right) = (self.boxed(&binary.left)?, self.boxed(&binary.right)?);
        match binary.op {
            Operator::IsDistinctFrom => Ok(Node::Distinct {
                negated: false,
                order,
                left,
                right,
            }),
            Operator::IsNotDistinctFrom => Ok(Node::Distinct {
                negated: true,
                order,
                left,
                right,
            }),
            op => match comparison(op) {
                // The plain side goes left, where evaluation has its short way.
                Some(op)
                    if !matches!(*left, Node::Column(_)) && matches!(*right, Node::Column(_)) =>
                {
                    Ok(Node::Compare {
                        op: op.mirrored(),
                        order,
                        left: right,
                        right: left,
                    })
                }
                Some(op) => Ok(Node::Compare {
                    op,
                    order,
                    left,
                    right,
                }),
                None => bail!(Internal, "operator {op} is not a comparison"),
            },
        }
    }

    fn flatten(&mut self, binary: &BinaryExpr, op: Operator, list: &mut Vec<Node>) -> Result<()> {
        for side in [&binary.left, &binary.right] {
            match side.as_ref() {
                Expr::BinaryExpr(nested) if nested.op == op => self.flatten(nested, op, list)?,
                other => list.push(self.compile(other)?),
            }
        }
        Ok(())
    }

    fn case(&mut self, case: &datafusion::logical_expr::Case) -> Result<Node> {
        let operand = match &case.expr {
            Some(expr) => Some((self.compile(expr)?, self.order(expr)?)),
            None => None,
        };
        let arms = case
            .when_then_expr
            .iter()
            .map(|(when, then)| Ok((self.compile(when)?, self.compile(then)?)))
            .collect::<Result<_>>()?;
        let otherwise = case
            .else_expr
            .as_ref()
            .map(|e| self.compile(e))
            .transpose()?;
        Ok(Node::Case(Box::new(Case {
            operand,
            arms,
            otherwise,
        })))
    }

    fn in_list(&mut self, list: &InList) -> Result<Node> {
        let order = self.order(&list.expr)?;
        let operand = self.boxed(&list.expr)?;
        let items = self.list(&list.list)?;
        let constants: Option<Vec<_>> = items
            .iter()
            .map(|n| {
                if let Node::Constant(v) = n {
                    Some(v.clone())
                } else {
                    None
                }
            })
            .collect();
        Ok(match constants {
            Some(values) if values.len() >= HASHED_LIST => {
                let set = Arc::new(SubquerySet::new(values, order));
                Node::InSet {
                    operand,
                    order,
                    set,
                    negated: list.negated,
                }
            }
            _ => Node::InList {
                operand,
                order,
                list: items,
                negated: list.negated,
            },
        })
    }

    fn call(&mut self, call: &ScalarFunction) -> Result<Node> {
        let Some(function) = as_pg_function(&call.func) else {
            bail!(
                Internal,
                "function {} is not one of PostgreSQL's",
                call.func.name()
            );
        };
        let args = self.list(&call.args)?;
        if function.def.oid == COALESCE_OID {
            return Ok(Node::Coalesce(args));
        }
        match function.def.implementation {
            Implementation::Scalar(implementation) => Ok(fold::fold(Node::Call {
                def: function.def,
                function: implementation,
                args,
            })),
            Implementation::Typed(implementation) => Ok(fold::fold(Node::TypedCall {
                def: function.def,
                function: implementation,
                args,
                types: function.args.as_slice().into(),
            })),
            Implementation::Set(_) => Err(Error::unsupported(
                "set-valued function called in context that cannot accept a set",
            )),
            Implementation::Aggregate(_) | Implementation::Window(_) => {
                bail!(
                    Internal,
                    "{} called as a scalar function",
                    function.def.name
                )
            }
        }
    }

    fn subquery(&mut self, subquery: &Subquery, purpose: Use) -> Result<Node> {
        let mut inner = Frame::nested();
        let slot = self
            .subqueries
            .compile_subquery(&subquery.subquery, &mut inner)?;
        let captures = inner
            .columns()
            .iter()
            .map(|column| match self.schema.maybe_index_of_column(column) {
                Some(position) => Ok(Node::Column(position)),
                None => self.frame.capture(column).map(Node::Outer),
            })
            .collect::<Result<_>>()?;
        Ok(Node::Subquery(Box::new(SubqueryNode {
            slot,
            captures,
            purpose,
        })))
    }
}

impl Comparison {
    /// The comparison with its operands exchanged.
    fn mirrored(self) -> Self {
        match self {
            Comparison::Equal | Comparison::NotEqual => self,
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        }
    }
}

fn comparison(op: Operator) -> Option<Comparison> {
    Some(match op {
        Operator::Eq => Comparison::Equal,
        Operator::NotEq => Comparison::NotEqual,
        Operator::Lt => Comparison::Less,
        Operator::LtEq => Comparison::LessOrEqual,
        Operator::Gt => Comparison::Greater,
        Operator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

/// The SQL type of an expression, without DataFusion's walk where it can be seen at once.
pub fn expr_type(expr: &Expr, schema: &DFSchema) -> Result<Type> {
    match expr {
        Expr::Column(column) => match schema.maybe_index_of_column(column) {
            Some(position) => Ok(pgtype::type_of_field(schema.field(position))),
            None => Err(error!(
                Internal,
                "column {column} is not among the input's columns"
            )),
        },
        Expr::Literal(scalar, metadata) => Ok(pgtype::literal_type(scalar, metadata.as_ref())),
        Expr::Alias(alias) => expr_type(&alias.expr, schema),
        Expr::OuterReferenceColumn(field, _) => Ok(pgtype::type_of_field(field)),
        Expr::Placeholder(Placeholder {
            field: Some(field), ..
        }) => Ok(pgtype::type_of_field(field)),
        Expr::ScalarFunction(call) => match as_pg_function(&call.func) {
            Some(function) => Ok(function.result),
            None => pgtype::type_of(expr, schema),
        },
        Expr::ScalarSubquery(subquery) => match subquery.subquery.schema().fields().first() {
            Some(field) => Ok(pgtype::type_of_field(field)),
            None => Err(error!(SyntaxError, "subquery must return only one column")),
        },
        Expr::Case(case) => match case.when_then_expr.first() {
            Some((_, then)) => expr_type(then, schema),
            None => pgtype::type_of(expr, schema),
        },
        Expr::BinaryExpr(_)
        | Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::InList(_)
        | Expr::Between(_)
        | Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::SetComparison(_) => Ok(Type::BOOL),
        other => pgtype::type_of(other, schema),
    }
}
