//! Functions that return sets of rows, other than those of arrays and JSON.

use super::argument::{Context, integer, interval, numeric, timestamp, timestamptz, value, zone};
use helios_types::datetime::{timestamp_add, timestamptz_add};
use helios_types::{Interval, Numeric, Result, Value, bail};

type Rows = Vec<Vec<Value>>;

/// A series that is larger than this does not fit memory anyway.
const ROWS_MAX: usize = 100_000_000;

fn check_size(rows: usize) -> Result<()> {
    if rows > ROWS_MAX {
        bail!(
            LimitExceeded,
            "generate_series would return more than {ROWS_MAX} rows"
        );
    }
    Ok(())
}

fn zero_step() -> helios_types::Error {
    helios_types::error!(InvalidParameterValue, "step size cannot equal zero")
}

/// `generate_series(start, stop [, step])` of integers.
pub fn series_integer(args: &[Value], _: Context) -> Result<Rows> {
    let (start, stop) = (integer(args, 0)?, integer(args, 1)?);
    let step = if args.len() > 2 { integer(args, 2)? } else { 1 };
    if step == 0 {
        return Err(zero_step());
    }
    let wide = matches!(args[0], Value::Int8(_));
    let distance = i128::from(stop) - i128::from(start);
    let rows = if (distance >= 0) == (step > 0) || distance == 0 {
        (distance / i128::from(step)) as usize + 1
    } else {
        0
    };
    check_size(rows)?;
    Ok((0..rows as i128)
        .map(|i| {
            let v = i128::from(start) + i * i128::from(step);
            vec![if wide {
                Value::Int8(v as i64)
            } else {
                Value::Int4(v as i32)
            }]
        })
        .collect())
}

pub fn series_numeric(args: &[Value], _: Context) -> Result<Rows> {
    let (start, stop) = (numeric(args, 0)?, numeric(args, 1)?);
    let step = if args.len() > 2 {
        numeric(args, 2)?.clone()
    } else {
        Numeric::ONE
    };
    for (name, v) in [("start", start), ("stop", stop), ("step size", &step)] {
        if v.is_nan() {
            bail!(InvalidParameterValue, "{name} value cannot be NaN");
        }
        if v.is_infinite() {
            bail!(InvalidParameterValue, "{name} value cannot be infinity");
        }
    }
    if step.is_zero() {
        return Err(zero_step());
    }
    let up = !step.is_negative();
    let mut rows = Vec::new();
    let mut current = start.clone();
    while if up {
        &current <= stop
    } else {
        &current >= stop
    } {
        check_size(rows.len())?;
        rows.push(vec![Value::Numeric(current.clone())]);
        current = current.add(&step)?;
    }
    Ok(rows)
}

fn series_of_moments(
    start: i64,
    stop: i64,
    step: &Interval,
    add: impl Fn(i64) -> Result<i64>,
    wrap: fn(i64) -> Value,
) -> Result<Rows> {
    let direction = step.total_micros();
    if direction == 0 {
        return Err(zero_step());
    }
    let mut rows = Vec::new();
    let mut current = start;
    while if direction > 0 {
        current <= stop
    } else {
        current >= stop
    } {
        check_size(rows.len())?;
        rows.push(vec![wrap(current)]);
        let next = add(current)?;
        // An infinite start never moves.
        if next == current {
            break;
        }
        current = next;
    }
    Ok(rows)
}

pub fn series_timestamp(args: &[Value], context: Context) -> Result<Rows> {
    let step = interval(args, 2)?;
    if let Value::TimestampTz(_) = value(args, 0)? {
        let zone = zone(context);
        let add = |t| timestamptz_add(t, step, zone);
        let (start, stop) = (timestamptz(args, 0)?, timestamptz(args, 1)?);
        return series_of_moments(start, stop, step, add, Value::TimestampTz);
    }
    let add = |t| timestamp_add(t, step);
    series_of_moments(
        timestamp(args, 0)?,
        timestamp(args, 1)?,
        step,
        add,
        Value::Timestamp,
    )
}

pub fn string_to_table(args: &[Value], _: Context) -> Result<Rows> {
    let parts = super::string::split_parts(args)?.unwrap_or_default();
    Ok(parts.into_iter().map(|v| vec![v]).collect())
}
