//! Building DataFusion's plan nodes, with SQL types in every schema.

use super::binder::internal;
use super::scope::column;
use crate::function::as_pg_function;
use crate::pgtype;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DFSchemaRef, JoinConstraint, JoinType, NullEquality};
use datafusion::logical_expr::TableScanBuilder;
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::{
    Aggregate, Distinct, EmptyRelation, Expr, Extension, Filter, Join, Limit, LogicalPlan,
    Projection, Sort, SortExpr, Subquery, SubqueryAlias, Union, UserDefinedLogicalNodeCore, Values,
    Window,
};
use helios_types::{ObjectId, Result, Type};
use std::collections::HashMap;
use std::sync::Arc;

/// A bound query: its plan, and its columns as names and types, in the plan's order.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub plan: LogicalPlan,
    pub columns: Vec<QueryColumn>,
}

#[derive(Clone, Debug)]
pub(crate) struct QueryColumn {
    pub name: String,
    pub ty: Type,
    pub origin: Option<(ObjectId, i16)>,
    /// Still an untyped constant or parameter, for INSERT … SELECT and set operations.
    pub unknown: bool,
    /// Where its expression stands in the text, for errors; -1 when nowhere.
    pub at: i32,
}

/// `expr AS name`, with its SQL type in the field's metadata.
pub(crate) fn alias(expr: Expr, name: &str, ty: Type) -> Expr {
    Expr::Alias(Alias {
        expr: Box::new(expr),
        relation: None,
        name: name.to_string(),
        metadata: Some(pgtype::field_metadata(ty)),
    })
}

/// A reference to the plan's output column at a position.
pub(crate) fn output_column(plan: &LogicalPlan, index: usize) -> Expr {
    let (qualifier, field) = plan.schema().qualified_field(index);
    Expr::Column(Column::new(qualifier.cloned(), field.name()))
}

pub(crate) fn output_columns(plan: &LogicalPlan) -> Vec<Expr> {
    (0..plan.schema().fields().len())
        .map(|i| output_column(plan, i))
        .collect()
}

pub(crate) fn project(input: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(
        Projection::try_new(exprs, Arc::new(input)).map_err(internal)?,
    ))
}

pub(crate) fn filter(input: LogicalPlan, predicate: Expr) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Filter(Filter::new(predicate, Arc::new(input))))
}

pub(crate) fn sort(input: LogicalPlan, keys: Vec<SortExpr>) -> LogicalPlan {
    LogicalPlan::Sort(Sort {
        expr: keys,
        input: Arc::new(input),
        fetch: None,
    })
}

pub(crate) fn limit(input: LogicalPlan, skip: Option<Expr>, fetch: Option<Expr>) -> LogicalPlan {
    if skip.is_none() && fetch.is_none() {
        return input;
    }
    LogicalPlan::Limit(Limit {
        skip: skip.map(Box::new),
        fetch: fetch.map(Box::new),
        input: Arc::new(input),
    })
}

pub(crate) fn distinct(input: LogicalPlan) -> LogicalPlan {
    LogicalPlan::Distinct(Distinct::All(Arc::new(input)))
}

pub(crate) fn aggregate(
    input: LogicalPlan,
    group: Vec<Expr>,
    aggregates: Vec<Expr>,
) -> Result<LogicalPlan> {
    // Nothing to group by and nothing to compute is one row, whatever the input.
    if group.is_empty() && aggregates.is_empty() {
        return Ok(one_row());
    }
    Ok(LogicalPlan::Aggregate(
        Aggregate::try_new(Arc::new(input), group, aggregates).map_err(internal)?,
    ))
}

pub(crate) fn window(input: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Window(
        Window::try_new(exprs, Arc::new(input)).map_err(internal)?,
    ))
}

/// The plan under a qualifier.
pub(crate) fn qualified(input: LogicalPlan, qualifier: &str) -> Result<LogicalPlan> {
    let alias = datafusion::common::TableReference::Bare {
        table: Arc::from(qualifier),
    };
    Ok(LogicalPlan::SubqueryAlias(
        SubqueryAlias::try_new(Arc::new(input), alias).map_err(internal)?,
    ))
}

pub(crate) fn scan(
    qualifier: &str,
    source: Arc<dyn datafusion::logical_expr::TableSource>,
) -> Result<LogicalPlan> {
    let name = datafusion::common::TableReference::Bare {
        table: Arc::from(qualifier),
    };
    Ok(LogicalPlan::TableScan(
        TableScanBuilder::new(name, source)
            .build()
            .map_err(internal)?,
    ))
}

/// One row of no columns: SELECT without FROM.
pub(crate) fn one_row() -> LogicalPlan {
    LogicalPlan::EmptyRelation(EmptyRelation {
        produce_one_row: true,
        schema: Arc::new(DFSchema::empty()),
    })
}

/// A schema of unqualified columns.
pub(crate) fn schema(columns: &[(String, Type)]) -> Result<DFSchemaRef> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, ty)| pgtype::field(name, *ty))
        .collect();
    let fields = fields.into_iter().map(Arc::new).collect::<Vec<_>>();
    Ok(Arc::new(
        DFSchema::from_unqualified_fields(fields.into(), HashMap::new()).map_err(internal)?,
    ))
}

/// A schema whose columns all have one qualifier.
pub(crate) fn qualified_schema(qualifier: &str, columns: &[(String, Type)]) -> Result<DFSchemaRef> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, ty)| pgtype::field(name, *ty))
        .collect();
    let name = datafusion::common::TableReference::Bare {
        table: Arc::from(qualifier),
    };
    Ok(Arc::new(
        DFSchema::try_from_qualified_schema(name, &Schema::new(fields)).map_err(internal)?,
    ))
}

pub(crate) fn values(columns: &[(String, Type)], rows: Vec<Vec<Expr>>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Values(Values {
        schema: schema(columns)?,
        values: rows,
    }))
}

pub(crate) fn union(inputs: Vec<LogicalPlan>, columns: &[(String, Type)]) -> Result<LogicalPlan> {
    let inputs = inputs.into_iter().map(Arc::new).collect();
    Ok(LogicalPlan::Union(Union {
        inputs,
        schema: schema(columns)?,
    }))
}

pub(crate) fn join(
    left: LogicalPlan,
    right: LogicalPlan,
    kind: JoinType,
    condition: Option<Expr>,
) -> Result<LogicalPlan> {
    let join = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        vec![],
        condition,
        kind,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    );
    Ok(LogicalPlan::Join(join.map_err(internal)?))
}

/// The right side of a LATERAL join.
pub(crate) fn dependent(plan: LogicalPlan, outer: Vec<Expr>) -> LogicalPlan {
    LogicalPlan::Subquery(Subquery {
        subquery: Arc::new(plan),
        outer_ref_columns: outer,
        spans: datafusion::common::Spans::new(),
    })
}

pub(crate) fn extension(node: impl UserDefinedLogicalNodeCore) -> LogicalPlan {
    LogicalPlan::Extension(Extension {
        node: Arc::new(node),
    })
}

/// `expr` with every occurrence of `from` replaced.
pub(crate) fn replace(expr: Expr, from: &Expr, to: &Expr) -> Result<Expr> {
    expr.transform_down(|e| {
        Ok(if e == *from {
            Transformed::yes(to.clone())
        } else {
            Transformed::no(e)
        })
    })
    .map(|t| t.data)
    .map_err(internal)
}

/// The SQL type of a function call in a plan.
pub(crate) fn function_type(expr: &Expr) -> Option<Type> {
    match expr {
        Expr::ScalarFunction(call) => as_pg_function(&call.func).map(|f| f.result),
        _ => None,
    }
}

/// An unqualified column of the level's own making: an aggregate, window or set result.
pub(crate) fn generated(name: &str) -> Expr {
    Expr::Column(column(None, name))
}

/// Names for output columns that are unique in the plan: the column's own where it can be.
pub(crate) fn unique_names<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let names: Vec<&str> = names.collect();
    let mut taken: HashMap<String, u32> = HashMap::new();
    let mut unique = Vec::with_capacity(names.len());
    for name in &names {
        let mut candidate = (*name).to_string();
        let mut n = taken.get(*name).copied().unwrap_or(0);
        while taken.contains_key(&candidate) || (n > 0 && names.contains(&candidate.as_str())) {
            n += 1;
            candidate = format!("{name}_{}", n + 1);
        }
        taken.insert((*name).to_string(), n);
        taken.entry(candidate.clone()).or_insert(0);
        unique.push(candidate);
    }
    unique
}

/// The query's output columns, aliased to unique names; plain columns that keep their name stay
/// as they are.
pub(crate) fn project_output(
    input: LogicalPlan,
    exprs: Vec<(Expr, String, Type)>,
) -> Result<LogicalPlan> {
    let names = unique_names(exprs.iter().map(|(_, name, _)| name.as_str()));
    let exprs = exprs
        .into_iter()
        .zip(names)
        .map(|((expr, _, ty), name)| match &expr {
            Expr::Column(c) if c.name == name => expr,
            _ => alias(expr, &name, ty),
        })
        .collect();
    project(input, exprs)
}
