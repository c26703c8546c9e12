//! The functions behind `= <> < <= > >=` of every type, and their three-way forms.
//!
//! The binder brings most comparisons to one type and uses the executor's own comparison; these
//! are called by `= ANY (array)`, by the rules of ordering, and where two types meet.

use super::argument::{Context, value, zone};
use helios_types::datetime::{date_to_timestamp, timestamp_to_timestamptz};
use helios_types::value::compare as compare_same;
use helios_types::{Result, Value};
use std::cmp::Ordering;

/// Compares two values that are not null, of the same type or of a pair that has an operator.
pub fn order(a: &Value, b: &Value, context: &mut dyn super::FunctionContext) -> Result<Ordering> {
    let widened = |v: &Value| date_to_timestamp_saturating(v);
    Ok(match (a, b) {
        (Value::Date(_), Value::Timestamp(b)) => widened(a).cmp(b),
        (Value::Timestamp(a), Value::Date(_)) => a.cmp(&widened(b)),
        (Value::Date(_) | Value::Timestamp(_), Value::TimestampTz(b)) => moment(a, context).cmp(b),
        (Value::TimestampTz(a), Value::Date(_) | Value::Timestamp(_)) => a.cmp(&moment(b, context)),
        _ => compare_same(a, b),
    })
}

/// A date beyond the range of timestamps is beyond every timestamp.
fn date_to_timestamp_saturating(value: &Value) -> i64 {
    match value {
        Value::Timestamp(v) => *v,
        Value::Date(v) => {
            date_to_timestamp(*v).unwrap_or(if *v < 0 { i64::MIN } else { i64::MAX - 1 })
        }
        _ => 0,
    }
}

fn moment(value: &Value, context: &mut dyn super::FunctionContext) -> i64 {
    let local = date_to_timestamp_saturating(value);
    timestamp_to_timestamptz(local, zone(context)).unwrap_or(local)
}

macro_rules! comparison {
    ($name:ident, $test:expr) => {
        pub fn $name(args: &[Value], context: Context) -> Result<Value> {
            let test: fn(Ordering) -> bool = $test;
            let order = order(value(args, 0)?, value(args, 1)?, context)?;
            Ok(Value::Bool(test(order)))
        }
    };
}

comparison!(equal, |o| o == Ordering::Equal);
comparison!(not_equal, |o| o != Ordering::Equal);
comparison!(less, |o| o == Ordering::Less);
comparison!(less_or_equal, |o| o != Ordering::Greater);
comparison!(greater, |o| o == Ordering::Greater);
comparison!(greater_or_equal, |o| o != Ordering::Less);

/// -1, 0 or 1.
pub fn three_way(args: &[Value], context: Context) -> Result<Value> {
    Ok(Value::Int4(
        order(value(args, 0)?, value(args, 1)?, context)? as i32,
    ))
}

/// The greater one; the second when they are equal.
pub fn larger(args: &[Value], context: Context) -> Result<Value> {
    let (a, b) = (value(args, 0)?, value(args, 1)?);
    Ok(if order(a, b, context)? == Ordering::Greater {
        a.clone()
    } else {
        b.clone()
    })
}

/// The lesser one; the second when they are equal.
pub fn smaller(args: &[Value], context: Context) -> Result<Value> {
    let (a, b) = (value(args, 0)?, value(args, 1)?);
    Ok(if order(a, b, context)? == Ordering::Less {
        a.clone()
    } else {
        b.clone()
    })
}
