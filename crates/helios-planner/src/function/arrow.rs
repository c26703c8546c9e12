//! Functions and aggregates over Arrow arrays: the same implementations, called row by row.

use super::{FunctionContext, FunctionDef, Implementation};
use crate::pgtype::{self, ColumnBuilder, ColumnReader};
use crate::scalar::Key;
use datafusion::arrow::array::ArrayRef;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{Accumulator, ColumnarValue};
use helios_types::{Error, Type, Value};
use std::collections::HashSet;

/// Carries our error through DataFusion.
pub fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

enum Arg<'a> {
    Constant(Value),
    Column(ColumnReader<'a>),
}

/// Calls a scalar function for every row.
pub fn invoke(
    def: &FunctionDef,
    types: &[Type],
    result: Type,
    args: &[ColumnarValue],
    rows: usize,
    context: &mut dyn FunctionContext,
) -> Result<ColumnarValue> {
    let type_of = |i: usize| types.get(i).or(types.last()).copied().unwrap_or(Type::TEXT);
    let readers = args
        .iter()
        .enumerate()
        .map(|(i, arg)| match arg {
            ColumnarValue::Scalar(scalar) => {
                pgtype::scalar_to_value(scalar, type_of(i)).map(Arg::Constant)
            }
            ColumnarValue::Array(array) => {
                ColumnReader::new(array.as_ref(), type_of(i)).map(Arg::Column)
            }
        })
        .collect::<helios_types::Result<Vec<_>>>()
        .map_err(external)?;
    // Some operators of DataFusion compute for long between the batches that they give.
    context.checkpoint().map_err(external)?;
    let mut call = |row: usize, values: &mut Vec<Value>| -> helios_types::Result<Value> {
        values.clear();
        for reader in &readers {
            values.push(match reader {
                Arg::Constant(value) => value.clone(),
                Arg::Column(column) => column.value(row)?.to_value(),
            });
        }
        if def.strict && values.iter().any(Value::is_null) {
            return Ok(Value::Null);
        }
        match def.implementation {
            Implementation::Scalar(function) => function(values, context),
            Implementation::Typed(function) => function(values, types, context),
            _ => Err(Error::internal(format!(
                "{} is not a scalar function",
                def.name
            ))),
        }
    };
    let mut values = Vec::with_capacity(args.len());
    if readers.iter().all(|r| matches!(r, Arg::Constant(_))) {
        let value = call(0, &mut values).map_err(external)?;
        return Ok(ColumnarValue::Scalar(pgtype::value_to_scalar(
            &value, result,
        )));
    }
    let mut builder = ColumnBuilder::new(result, rows);
    for row in 0..rows {
        let value = call(row, &mut values).map_err(external)?;
        builder.append(&value.as_ref()).map_err(external)?;
    }
    Ok(ColumnarValue::Array(builder.finish()))
}

/// One group of an aggregate. It has no partial state: plans aggregate in one step.
pub struct RowAccumulator {
    pub inner: Box<dyn super::Accumulator>,
    pub name: &'static str,
    pub strict: bool,
    pub args: Vec<Type>,
    pub result: Type,
    pub context: super::FrozenContext,
    /// Under DISTINCT, the arguments that have come.
    pub seen: Option<HashSet<Key>>,
}

impl std::fmt::Debug for RowAccumulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RowAccumulator({})", self.name)
    }
}

impl Accumulator for RowAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(first) = values.first() else {
            return Ok(());
        };
        let readers = values
            .iter()
            .zip(self.args.iter().chain(std::iter::repeat(&Type::TEXT)))
            .map(|(array, ty)| ColumnReader::new(array.as_ref(), *ty))
            .collect::<helios_types::Result<Vec<_>>>()
            .map_err(external)?;
        let mut row_values = Vec::with_capacity(readers.len());
        for row in 0..first.len() {
            row_values.clear();
            // A call without arguments counts rows; its one column only says how many.
            if !self.args.is_empty() {
                for reader in &readers {
                    row_values.push(reader.value(row).map_err(external)?.to_value());
                }
            }
            if self.strict && row_values.iter().any(Value::is_null) {
                continue;
            }
            if let Some(seen) = &mut self.seen
                && !seen.insert(Key::new(row_values.clone()))
            {
                continue;
            }
            self.inner
                .update(&row_values, &mut self.context)
                .map_err(external)?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = self.inner.finish(&mut self.context).map_err(external)?;
        Ok(pgtype::value_to_scalar(&value, self.result))
    }

    fn size(&self) -> usize {
        let seen = self.seen.as_ref().map_or(0, HashSet::capacity);
        std::mem::size_of::<Self>() + 64 + seen * (std::mem::size_of::<Key>() + 32)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(DataFusionError::Internal(format!(
            "{} has no partial state",
            self.name
        )))
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Err(DataFusionError::Internal(format!(
            "{} has no partial state",
            self.name
        )))
    }
}
