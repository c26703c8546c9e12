//! Dates as timestamps, for comparisons: beyond the last timestamp there is no error, only order.

use datafusion::arrow::array::{Array, Date32Array, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use helios_planner::pgtype;
use helios_types::Type;
use helios_types::datetime::date_to_timestamp;
use std::sync::Arc;

#[derive(Debug, PartialEq, Eq, Hash)]
struct Widened {
    signature: Signature,
}

/// A date as the timestamp that compares as it does.
pub fn widened(date: Expr) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(Widened { signature }).call(vec![date])
}

fn moment(date: i32) -> i64 {
    // The greatest number is infinity.
    date_to_timestamp(date).unwrap_or(if date < 0 { i64::MIN + 1 } else { i64::MAX - 1 })
}

impl ScalarUDFImpl for Widened {
    fn name(&self) -> &str {
        "timestamp"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(pgtype::arrow_type(Type::TIMESTAMP.oid))
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(pgtype::field_ref("timestamp", Type::TIMESTAMP))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Scalar(ScalarValue::Date32(date))] => Ok(ColumnarValue::Scalar(
                ScalarValue::TimestampMicrosecond(date.map(moment), None),
            )),
            [ColumnarValue::Array(array)] => {
                let Some(dates) = array.as_any().downcast_ref::<Date32Array>() else {
                    return internal_err!("a date of Arrow type {}", array.data_type());
                };
                let moments: TimestampMicrosecondArray = dates.unary(moment);
                Ok(ColumnarValue::Array(Arc::new(moments)))
            }
            _ => internal_err!("a date is widened alone"),
        }
    }
}
