//! Keys that Arrow's kernels sort, group and join as PostgreSQL does the values behind them.
//!
//! A type whose order Arrow does not know is sorted and joined by the key of
//! [`helios_storage::key`], `char(n)` by its text without trailing blanks, floats with one zero
//! and one NaN. Groups are made by key as well and show the value of their first row.

use super::append::appended;
use super::first::first_of;
use datafusion::arrow::array::{
    Array, ArrayRef, BinaryBuilder, Float32Array, Float64Array, StringArray, StringBuilder,
};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::{
    Aggregate, ColumnarValue, Distinct, Expr, Join, LogicalPlan, Projection, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Sort, Volatility,
};
use helios_planner::function::arrow::external;
use helios_planner::lower::vector::is_exact;
use helios_planner::pgtype::{self, ColumnReader};
use helios_planner::scalar::expr_type;
use helios_storage::key::{KeyColumn, encode_key};
use helios_types::Type;
use std::sync::Arc;

/// The key of a value, as a function over arrays.
#[derive(Debug, PartialEq, Eq, Hash)]
struct KeyOf {
    ty: Type,
    signature: Signature,
}

/// The expression that compares as this one does in SQL; itself, where Arrow compares alike.
pub fn key_of(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let ty = expr_type(&expr, schema).map_err(external)?;
    if is_exact(ty.oid) {
        return Ok(expr);
    }
    let signature = Signature::any(1, Volatility::Immutable);
    Ok(ScalarUDF::from(KeyOf { ty, signature }).call(vec![expr.unalias()]))
}

/// Puts keys into sorts, groups and joins, makes groups of DISTINCT, which is all that the
/// physical planner knows, and keeps the order of unions.
pub fn by_keys(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    Ok(match node {
        LogicalPlan::Sort(sort) => Transformed::yes(LogicalPlan::Sort(sort_by_keys(sort)?)),
        LogicalPlan::Join(join) => Transformed::yes(LogicalPlan::Join(join_by_keys(join)?)),
        LogicalPlan::Aggregate(aggregate) => Transformed::yes(group_by_keys(aggregate)?),
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let columns = input.schema().columns().into_iter().map(Expr::Column);
            let groups = Aggregate::try_new(input.clone(), columns.collect(), Vec::new())?;
            Transformed::yes(group_by_keys(groups)?)
        }
        other => appended(other),
    })
}

fn sort_by_keys(mut sort: Sort) -> Result<Sort> {
    let schema = sort.input.schema().clone();
    for key in &mut sort.expr {
        key.expr = key_of(key.expr.clone(), &schema)?;
    }
    Ok(sort)
}

fn join_by_keys(mut join: Join) -> Result<Join> {
    let (left, right) = (join.left.schema().clone(), join.right.schema().clone());
    for (l, r) in &mut join.on {
        *l = key_of(l.clone(), &left)?;
        *r = key_of(r.clone(), &right)?;
    }
    Ok(join)
}

fn group_by_keys(aggregate: Aggregate) -> Result<LogicalPlan> {
    let schema = aggregate.input.schema().clone();
    let exact =
        |e: &Expr| -> Result<bool> { Ok(is_exact(expr_type(e, &schema).map_err(external)?.oid)) };
    let inexact = aggregate
        .group_expr
        .iter()
        .map(|e| Ok(!exact(e)?))
        .collect::<Result<Vec<bool>>>()?;
    if !inexact.contains(&true) {
        return Ok(LogicalPlan::Aggregate(aggregate));
    }
    let mut groups = Vec::with_capacity(aggregate.group_expr.len());
    let mut aggregates = aggregate.aggr_expr.clone();
    let mut output = Vec::with_capacity(aggregate.schema.fields().len());
    for (i, expr) in aggregate.group_expr.iter().enumerate() {
        let (qualifier, field) = aggregate.schema.qualified_field(i);
        if !inexact[i] {
            groups.push(expr.clone());
            output.push(Expr::from((qualifier, field)));
            continue;
        }
        let ty = pgtype::type_of_field(field);
        let first = format!("__first{i}");
        groups.push(key_of(expr.clone(), &schema)?.alias(format!("__key{i}")));
        aggregates.push(first_of(expr.clone().unalias(), ty).alias(&first));
        output.push(
            Expr::Column(datafusion::common::Column::new_unqualified(first))
                .alias_qualified_with_metadata(
                    qualifier.cloned(),
                    field.name().clone(),
                    Some(pgtype::field_metadata(ty)),
                ),
        );
    }
    for i in aggregate.group_expr.len()..aggregate.schema.fields().len() {
        output.push(Expr::from(aggregate.schema.qualified_field(i)));
    }
    let grouped = Aggregate::try_new(aggregate.input, groups, aggregates)?;
    let grouped = Arc::new(LogicalPlan::Aggregate(grouped));
    Ok(LogicalPlan::Projection(Projection::try_new(
        output, grouped,
    )?))
}

impl KeyOf {
    fn keys(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let any = array.as_any();
        if let Some(floats) = any.downcast_ref::<Float64Array>() {
            let keys: Float64Array = floats.unary(|v| if v.is_nan() { f64::NAN } else { v + 0.0 });
            return Ok(Arc::new(keys));
        }
        if let Some(floats) = any.downcast_ref::<Float32Array>() {
            let keys: Float32Array = floats.unary(|v| if v.is_nan() { f32::NAN } else { v + 0.0 });
            return Ok(Arc::new(keys));
        }
        if let Some(texts) = any.downcast_ref::<StringArray>() {
            let mut keys = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
            for text in texts {
                keys.append_option(text.map(|t| t.trim_end_matches(' ')));
            }
            return Ok(Arc::new(keys.finish()));
        }
        let values = ColumnReader::new(array.as_ref(), self.ty).map_err(external)?;
        let mut keys = BinaryBuilder::with_capacity(array.len(), array.len() * 12);
        let mut key = Vec::new();
        for row in 0..array.len() {
            let value = values.value(row).map_err(external)?;
            if value.is_null() {
                keys.append_null();
                continue;
            }
            key.clear();
            encode_key(&mut key, value, KeyColumn::ASC).map_err(external)?;
            keys.append_value(&key);
        }
        Ok(Arc::new(keys.finish()))
    }
}

impl ScalarUDFImpl for KeyOf {
    fn name(&self) -> &str {
        "key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(pgtype::arrow_type(self.ty.oid))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = args.args.as_slice() else {
            return internal_err!("a key of one value");
        };
        let array = value.to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(self.keys(&array)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use helios_types::{Numeric, Value};

    fn keys(ty: Type, values: &[Value]) -> ArrayRef {
        let signature = Signature::any(1, Volatility::Immutable);
        let column = pgtype::column(ty, values.iter()).unwrap();
        KeyOf { ty, signature }.keys(&column).unwrap()
    }

    #[test]
    fn equal_values_have_one_key() {
        let number = |text: &str| Value::Numeric(Numeric::parse(text).unwrap());
        let cases = [
            (Type::NUMERIC, number("1.0"), number("1.000")),
            (Type::BPCHAR, Value::text("a  "), Value::text("a")),
            (Type::FLOAT8, Value::Float8(0.0), Value::Float8(-0.0)),
            (
                Type::FLOAT8,
                Value::Float8(f64::NAN),
                Value::Float8(-f64::NAN),
            ),
            (Type::FLOAT4, Value::Float4(0.0), Value::Float4(-0.0)),
        ];
        for (ty, a, b) in cases {
            let keys = keys(ty, &[a, b, Value::Null]);
            assert_eq!(
                keys.slice(0, 1).to_data(),
                keys.slice(1, 1).to_data(),
                "{ty:?}"
            );
            assert!(keys.is_null(2));
        }
    }
}
