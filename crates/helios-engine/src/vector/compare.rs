//! Comparisons of types whose order Arrow does not know, as a function over arrays.

use datafusion::arrow::array::BooleanArray;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use helios_planner::function::arrow::external;
use helios_planner::pgtype::{self, ColumnReader};
use helios_planner::scalar::Order;
use helios_types::{Type, Value};
use std::sync::Arc;

/// `left op right` for values of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ValueComparison {
    op: Operator,
    ty: Type,
    signature: Signature,
}

/// The comparison as an expression.
pub fn comparison(left: Expr, op: Operator, right: Expr, ty: Type) -> Expr {
    let signature = Signature::any(2, Volatility::Immutable);
    ScalarUDF::from(ValueComparison { op, ty, signature }).call(vec![left, right])
}

enum Side<'a> {
    Constant(Value),
    Column(ColumnReader<'a>),
}

impl<'a> Side<'a> {
    fn of(value: &'a ColumnarValue, ty: Type) -> Result<Self> {
        match value {
            ColumnarValue::Scalar(scalar) => {
                pgtype::scalar_to_value(scalar, ty).map(Side::Constant)
            }
            ColumnarValue::Array(array) => ColumnReader::new(array.as_ref(), ty).map(Side::Column),
        }
        .map_err(external)
    }

    fn value(&self, row: usize) -> Result<Value> {
        match self {
            Side::Constant(value) => Ok(value.clone()),
            Side::Column(column) => column.value(row).map(|v| v.to_value()).map_err(external),
        }
    }
}

impl ValueComparison {
    fn compare(&self, a: &Value, b: &Value) -> Option<bool> {
        let distinct = match (a.is_null(), b.is_null()) {
            (false, false) => {
                let order = Order::of(self.ty).compare(a, b);
                return Some(match self.op {
                    Operator::Eq | Operator::IsNotDistinctFrom => order.is_eq(),
                    Operator::NotEq | Operator::IsDistinctFrom => order.is_ne(),
                    Operator::Lt => order.is_lt(),
                    Operator::LtEq => order.is_le(),
                    Operator::Gt => order.is_gt(),
                    _ => order.is_ge(),
                });
            }
            (a, b) => a != b,
        };
        match self.op {
            Operator::IsDistinctFrom => Some(distinct),
            Operator::IsNotDistinctFrom => Some(!distinct),
            _ => None,
        }
    }
}

impl ScalarUDFImpl for ValueComparison {
    fn name(&self) -> &str {
        "compare"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return datafusion::common::internal_err!("a comparison has two sides");
        };
        let (left, right) = (Side::of(left, self.ty)?, Side::of(right, self.ty)?);
        if let (Side::Constant(a), Side::Constant(b)) = (&left, &right) {
            return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(
                self.compare(a, b),
            )));
        }
        let rows = (0..args.number_rows)
            .map(|row| Ok(self.compare(&left.value(row)?, &right.value(row)?)))
            .collect::<Result<BooleanArray>>()?;
        Ok(ColumnarValue::Array(Arc::new(rows)))
    }
}
