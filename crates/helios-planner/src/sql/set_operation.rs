//! UNION, INTERSECT and EXCEPT.

use super::binder::{Binder, Typed};
use super::plan::{self, Query, QueryColumn};
use crate::node::{self, SetOperator};
use helios_types::{Error, Result, Type, error};
use pg_query::protobuf::{SelectStmt, SetOperation};
use std::sync::Arc;

impl Binder<'_> {
    pub fn set_operation(&mut self, select: &SelectStmt) -> Result<Query> {
        if select.into_clause.is_some() {
            return Err(error!(SyntaxError, "SELECT ... INTO is not allowed here"));
        }
        let query = self.set_tree(select)?;
        self.order_and_limit(query, select)
    }

    /// The operation without the ORDER BY, LIMIT and WITH around it.
    fn set_tree(&mut self, select: &SelectStmt) -> Result<Query> {
        let operation = SetOperation::try_from(select.op).map_err(Error::internal)?;
        let left = self.set_operand(select.larg.as_deref())?;
        let right = self.set_operand(select.rarg.as_deref())?;
        self.unite(operation, select.all, left, right)
    }

    fn set_operand(&mut self, select: Option<&SelectStmt>) -> Result<Query> {
        let select = select.ok_or_else(|| Error::internal("set operation without an operand"))?;
        self.nested(|b| {
            let bare = select.sort_clause.is_empty()
                && select.limit_count.is_none()
                && select.limit_offset.is_none()
                && select.with_clause.is_none()
                && select.locking_clause.is_empty();
            let operation = select.op != SetOperation::SetopNone as i32 && select.op != 0;
            // A nested operation shares this level; PostgreSQL binds it in the same pass.
            if operation && bare {
                b.set_tree(select)
            } else {
                b.select(select, false)
            }
        })
    }

    pub fn unite(
        &mut self,
        operation: SetOperation,
        all: bool,
        left: Query,
        right: Query,
    ) -> Result<Query> {
        let name = match operation {
            SetOperation::SetopUnion => "UNION",
            SetOperation::SetopIntersect => "INTERSECT",
            SetOperation::SetopExcept => "EXCEPT",
            _ => return Err(Error::internal("set operation of no kind")),
        };
        if left.columns.len() != right.columns.len() {
            return Err(self.at(
                error!(
                    SyntaxError,
                    "each {name} query must have the same number of columns"
                ),
                right.columns.first().map_or(-1, |c| c.at),
            ));
        }
        let types = self.common_columns(name, &left, &right)?;
        let names = plan::unique_names(left.columns.iter().map(|c| c.name.as_str()));
        let columns: Vec<QueryColumn> = left
            .columns
            .iter()
            .zip(&types)
            .map(|(c, ty)| QueryColumn {
                name: c.name.clone(),
                ty: *ty,
                origin: None,
                unknown: false,
                at: c.at,
            })
            .collect();
        if !all {
            for ty in &types {
                if !super::operator::ordered(*ty) {
                    let shown = super::type_name::display(Type::new(ty.oid));
                    return Err(error!(
                        UndefinedFunction,
                        "could not identify an equality operator for type {shown}"
                    ));
                }
            }
        }
        let left = self.brought_to(left, &types, &names, name)?;
        let right = self.brought_to(right, &types, &names, name)?;
        let fields: Vec<(String, Type)> =
            names.iter().cloned().zip(types.iter().copied()).collect();
        let plan = match operation {
            SetOperation::SetopUnion => {
                let union = plan::union(flattened(all, left, right), &fields)?;
                if all { union } else { plan::distinct(union) }
            }
            _ => {
                let operator = if name == "INTERSECT" {
                    SetOperator::Intersect
                } else {
                    SetOperator::Except
                };
                plan::extension(node::SetOperation {
                    operator,
                    all,
                    left: Arc::new(left),
                    right: Arc::new(right),
                    schema: plan::schema(&fields)?,
                })
            }
        };
        Ok(Query { plan, columns })
    }

    fn common_columns(&mut self, name: &str, left: &Query, right: &Query) -> Result<Vec<Type>> {
        left.columns
            .iter()
            .zip(&right.columns)
            .enumerate()
            .map(|(i, (l, r))| {
                let value = |query: &Query, c: &QueryColumn| {
                    let ty = if c.unknown { Type::UNKNOWN } else { c.ty };
                    Typed::new(plan::output_column(&query.plan, i), ty, c.at)
                };
                let (l, r) = (value(left, l), value(right, r));
                let ty = self.common_type(&[&l, &r], name)?;
                Ok(ty.with_modifier(Self::common_modifier(&[&l, &r], ty)))
            })
            .collect()
    }

    /// The query's columns cast to the operation's types, under its names.
    pub fn brought_to(
        &mut self,
        query: Query,
        types: &[Type],
        names: &[String],
        context: &str,
    ) -> Result<datafusion::logical_expr::LogicalPlan> {
        let same = query
            .columns
            .iter()
            .zip(types)
            .all(|(c, ty)| c.ty.oid == ty.oid && !c.unknown)
            && query
                .plan
                .schema()
                .iter()
                .map(|(q, f)| (q.is_none(), f.name()))
                .eq(names.iter().map(|n| (true, n)));
        if same {
            return Ok(query.plan);
        }
        // A projection of constants takes the casts itself, so that untyped ones are read by
        // their target's input function.
        if let datafusion::logical_expr::LogicalPlan::Projection(projection) = &query.plan
            && query.columns.iter().any(|c| c.unknown)
        {
            let mut exprs = Vec::with_capacity(names.len());
            for (i, expr) in projection.expr.iter().enumerate() {
                let bare = match expr {
                    datafusion::logical_expr::Expr::Alias(a) => (*a.expr).clone(),
                    other => other.clone(),
                };
                let column = &query.columns[i];
                let ty = if column.unknown {
                    Type::UNKNOWN
                } else {
                    column.ty
                };
                let value = Typed::new(bare, ty, column.at);
                let value = self.coerce_to_common(value, types[i], context)?;
                exprs.push(plan::alias(value.expr, &names[i], types[i]));
            }
            return plan::project(projection.input.as_ref().clone(), exprs);
        }
        let mut exprs = Vec::with_capacity(names.len());
        for (i, column) in query.columns.iter().enumerate() {
            let ty = if column.unknown {
                Type::UNKNOWN
            } else {
                column.ty
            };
            let value = Typed::new(plan::output_column(&query.plan, i), ty, column.at);
            let value = self.coerce_to_common(value, types[i], context)?;
            exprs.push(plan::alias(value.expr, &names[i], types[i]));
        }
        plan::project(query.plan, exprs)
    }
}

/// `a UNION ALL b UNION ALL c` as one node of three inputs.
fn flattened(
    all: bool,
    left: datafusion::logical_expr::LogicalPlan,
    right: datafusion::logical_expr::LogicalPlan,
) -> Vec<datafusion::logical_expr::LogicalPlan> {
    use datafusion::logical_expr::LogicalPlan;
    match left {
        LogicalPlan::Union(union) if all => {
            let mut inputs: Vec<LogicalPlan> =
                union.inputs.iter().map(|i| i.as_ref().clone()).collect();
            inputs.push(right);
            inputs
        }
        other => vec![other, right],
    }
}
