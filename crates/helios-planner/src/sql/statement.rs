//! From a parsed statement to a plan or a utility command.

use super::binder::{BindContext, Binder, Typed};
use super::node::{inner, kind};
use super::parse::{Statement, parse};
use super::plan::Query;
use super::scope::{Clause, Level};
use crate::catalog::Table;
use crate::template::{Command, OutputColumn, RequiredPrivilege};
use crate::utility::Utility;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use helios_types::{Error, ObjectId, Result, Type, Value, bail};
use pg_query::NodeEnum;
use std::sync::Arc;

/// A bound statement.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Bound {
    Plan(BoundPlan),
    Utility(Utility),
}

/// A statement that runs as a plan.
#[derive(Clone, Debug)]
pub struct BoundPlan {
    pub plan: LogicalPlan,
    pub params: Vec<Type>,
    pub output: Vec<OutputColumn>,
    pub command: Command,
    pub privileges: Vec<RequiredPrivilege>,
    pub writes: bool,
}

/// Binds one statement.
pub fn bind(statement: &Statement, context: &BindContext<'_>) -> Result<Bound> {
    bind_node(&statement.node, Some(statement.source.clone()), context)
}

/// Binds a statement's node; `source` is the text that its locations count in.
pub(crate) fn bind_node(
    node: &NodeEnum,
    source: Option<Arc<str>>,
    context: &BindContext<'_>,
) -> Result<Bound> {
    match node {
        NodeEnum::SelectStmt(select) if select.into_clause.is_none() => {
            bind_plan(node, source, context).map(Bound::Plan)
        }
        NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) => {
            bind_plan(node, source, context).map(Bound::Plan)
        }
        NodeEnum::MergeStmt(_) => Err(Error::unsupported("MERGE")),
        other => super::utility::bind(other, source, context).map(Bound::Utility),
    }
}

/// Binds a query or a data-modifying statement; everything else is refused.
pub fn bind_query_as_plan(statement: &Statement, context: &BindContext<'_>) -> Result<BoundPlan> {
    bind_plan(&statement.node, Some(statement.source.clone()), context)
}

pub(crate) fn bind_plan(
    node: &NodeEnum,
    source: Option<Arc<str>>,
    context: &BindContext<'_>,
) -> Result<BoundPlan> {
    let mut binder = Binder::new(context.clone(), source);
    let (query, command) = binder.top_level(node)?;
    let params = binder.parameter_types()?;
    let output = query
        .columns
        .into_iter()
        .map(|c| OutputColumn {
            name: c.name,
            ty: c.ty,
            origin: c.origin,
        })
        .collect();
    Ok(BoundPlan {
        plan: query.plan,
        params,
        output,
        command,
        privileges: binder.privileges,
        writes: binder.writes,
    })
}

/// An expression over one table's columns: a default, CHECK, generated column, index expression
/// or index predicate. Columns are unqualified; `what` names the clause in errors.
pub fn bind_table_expression(
    text: &str,
    table: Option<&Table>,
    target: Option<Type>,
    context: &BindContext<'_>,
) -> Result<Expr> {
    let node = parse_expression(text)?;
    let table = table.map(|t| Arc::new(t.clone()));
    let mut binder = Binder::new(context.clone(), None);
    let bound = binder.table_expression(&node, table.as_ref(), Clause::Default, target, "value")?;
    Ok(bound.expr)
}

/// The sequences that an expression takes numbers from by name.
pub fn sequences_of(text: &str, context: &BindContext<'_>) -> Vec<ObjectId> {
    let Ok(expr) = bind_table_expression(text, None, None, context) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let _ = expr.apply(|e| {
        if let Expr::ScalarFunction(call) = e
            && crate::function::as_pg_function(&call.func).is_some_and(|f| f.def.name == "nextval")
            && let Some(Expr::Literal(sequence, _)) = call.args.first()
            && let Ok(Value::Oid(oid)) = crate::pgtype::scalar_to_value(sequence, Type::REGCLASS)
        {
            found.push(ObjectId(oid));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// The one expression in a text.
pub(crate) fn parse_expression(text: &str) -> Result<NodeEnum> {
    let statements = parse(&format!("SELECT {text}"))?;
    if let [statement] = statements.as_slice()
        && let NodeEnum::SelectStmt(select) = &statement.node
        && let [target] = select.target_list.as_slice()
        && let NodeEnum::ResTarget(target) = inner(target)?
        && let Some(node) = target.val.as_ref().and_then(|v| v.node.as_ref())
    {
        return Ok(node.clone());
    }
    bail!(SyntaxError, "\"{text}\" is not one expression")
}

impl Binder<'_> {
    fn top_level(&mut self, node: &NodeEnum) -> Result<(Query, Command)> {
        let command = match node {
            NodeEnum::SelectStmt(_) => Command::Select,
            NodeEnum::InsertStmt(_) => Command::Insert,
            NodeEnum::UpdateStmt(_) => Command::Update,
            NodeEnum::DeleteStmt(_) => Command::Delete,
            NodeEnum::MergeStmt(_) => return self.unsupported("MERGE", -1),
            other => return self.unsupported(format_args!("{} here", kind(other)), -1),
        };
        let query = match node {
            NodeEnum::SelectStmt(select) => self.select(select, true)?,
            other => self.modifying(other)?,
        };
        Ok((query, command))
    }

    /// INSERT, UPDATE or DELETE; its columns are what RETURNING gives.
    pub fn modifying(&mut self, node: &NodeEnum) -> Result<Query> {
        self.writes = true;
        match node {
            NodeEnum::InsertStmt(insert) => self.insert(insert),
            NodeEnum::UpdateStmt(update) => self.update(update),
            NodeEnum::DeleteStmt(delete) => self.delete(delete),
            other => self.unsupported(format_args!("{} here", kind(other)), -1),
        }
    }

    /// An expression that only a table's own columns may stand in.
    pub fn table_expression(
        &mut self,
        node: &NodeEnum,
        table: Option<&Arc<Table>>,
        clause: Clause,
        target: Option<Type>,
        column: &str,
    ) -> Result<Typed> {
        let levels = std::mem::take(&mut self.levels);
        let outer = self.table_expression.replace(clause.name());
        self.levels.push(Level::default());
        if let Some(table) = table {
            let mut item = self.table_item(table, String::new());
            for column in &mut item.columns {
                column.expr = Expr::Column(super::scope::column(None, &column.name));
            }
            self.level().items.push(item);
        }
        let bound = self.in_clause(clause, |b| b.expression(node));
        self.levels = levels;
        self.table_expression = outer;
        let value = bound?;
        match (clause, target) {
            (Clause::Check | Clause::IndexPredicate, Some(Type::BOOL)) => {
                let name = if clause == Clause::Check {
                    "CHECK"
                } else {
                    "WHERE"
                };
                let at = value.at;
                Ok(Typed::bool(self.coerce_bool(value, name)?, at))
            }
            (_, Some(target)) => self.coerce_assignment(value, target, column),
            (_, None) => self.resolve_unknown(value),
        }
    }

    /// A column's stored default as an expression of the column's type.
    pub fn stored_default(&mut self, text: &str, target: Type, column: &str) -> Result<Typed> {
        let node = parse_expression(text)?;
        self.with_source(None, |b| {
            b.table_expression(&node, None, Clause::Default, Some(target), column)
        })
    }
}
