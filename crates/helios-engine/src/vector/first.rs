//! The value of a group's first row, as an aggregate.

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, new_empty_array};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature,
    Volatility,
};
use helios_planner::pgtype;
use helios_types::Type;

#[derive(Debug, PartialEq, Eq, Hash)]
struct First {
    ty: Type,
    signature: Signature,
}

/// The expression's value in the first row of each group.
pub fn first_of(expr: Expr, ty: Type) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    AggregateUDF::from(First { ty, signature }).call(vec![expr])
}

impl First {
    fn data_type(&self) -> DataType {
        pgtype::arrow_type(self.ty.oid)
    }
}

impl AggregateUDFImpl for First {
    fn name(&self) -> &str {
        "first"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type())
    }

    fn return_field(&self, _: &[FieldRef]) -> Result<FieldRef> {
        Ok(pgtype::field_ref("first", self.ty))
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(FirstValue {
            data_type: self.data_type(),
            value: None,
        }))
    }

    fn state_fields(&self, _: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![pgtype::field_ref("first", self.ty)])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(FirstValues {
            data_type: self.data_type(),
            values: Vec::new(),
            bytes: 0,
        }))
    }
}

/// Of one group.
#[derive(Debug)]
struct FirstValue {
    data_type: DataType,
    value: Option<ScalarValue>,
}

impl Accumulator for FirstValue {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if let (None, Some(array)) = (&self.value, values.first())
            && !array.is_empty()
        {
            self.value = Some(ScalarValue::try_from_array(array, 0)?);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.value.take() {
            Some(value) => Ok(value),
            None => ScalarValue::try_from(&self.data_type),
        }
    }

    fn size(&self) -> usize {
        std::mem::size_of_val(self) + self.value.as_ref().map_or(0, ScalarValue::size)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// Of many groups.
struct FirstValues {
    data_type: DataType,
    /// `None` for a group that has had no row yet.
    values: Vec<Option<ScalarValue>>,
    bytes: usize,
}

impl GroupsAccumulator for FirstValues {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.values.resize(total_num_groups, None);
        let Some(array) = values.first() else {
            return Ok(());
        };
        for (row, &group) in group_indices.iter().enumerate() {
            let wanted = filter.is_none_or(|f| f.is_valid(row) && f.value(row));
            if wanted && self.values[group].is_none() {
                let value = ScalarValue::try_from_array(array, row)?;
                self.bytes += value.size();
                self.values[group] = Some(value);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let null = ScalarValue::try_from(&self.data_type)?;
        let values = emit_to.take_needed(&mut self.values);
        if self.values.is_empty() {
            self.bytes = 0;
        }
        if values.is_empty() {
            return Ok(new_empty_array(&self.data_type));
        }
        ScalarValue::iter_to_array(
            values
                .into_iter()
                .map(|v| v.unwrap_or_else(|| null.clone())),
        )
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.update_batch(values, group_indices, None, total_num_groups)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        _: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        Ok(values.to_vec())
    }

    fn size(&self) -> usize {
        self.values.capacity() * std::mem::size_of::<Option<ScalarValue>>() + self.bytes
    }
}
