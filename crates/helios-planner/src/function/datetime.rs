//! Functions, operators and casts of dates, times and intervals.

use super::argument::{
    Context, date, dates, float8, int4, integer, interval, text, time, timestamp, value, zone,
};
use helios_types::datetime::{
    self, MICROS_PER_DAY, TimeZone, check_date, check_timestamp, date_is_finite, date_to_timestamp,
    timestamp_add, timestamp_difference, timestamp_is_finite, timestamp_to_date, timestamp_to_time,
    timestamp_to_timestamptz, timestamptz_add, timestamptz_to_timestamp,
};
use helios_types::{Error, Interval, Result, Value, bail, error};
use std::sync::Arc;

fn span(interval: Interval) -> Value {
    Value::Interval(Arc::new(interval))
}

fn unexpected() -> Error {
    Error::internal("date function over another type")
}

pub fn transaction_time(_: &[Value], context: Context) -> Result<Value> {
    Ok(Value::TimestampTz(context.transaction_time()))
}

pub fn statement_time(_: &[Value], context: Context) -> Result<Value> {
    Ok(Value::TimestampTz(context.statement_time()))
}

fn clock() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |d| d.as_micros() as i64)
}

pub fn clock_time(_: &[Value], _: Context) -> Result<Value> {
    Ok(Value::TimestampTz(clock()))
}

pub fn time_of_day(_: &[Value], context: Context) -> Result<Value> {
    let mut dates = dates(context);
    dates.style = datetime::DateStyle::Postgres;
    let mut out = String::new();
    datetime::write_timestamptz(&mut out, clock(), &dates).map_err(Error::internal)?;
    Ok(Value::from(out))
}

// --- operators

/// `date + integer`, either way round.
pub fn date_plus_days(args: &[Value], _: Context) -> Result<Value> {
    let (day, days) = match (value(args, 0)?, value(args, 1)?) {
        (Value::Date(d), n) => (*d, n.as_i64()),
        (n, Value::Date(d)) => (*d, n.as_i64()),
        _ => return Err(unexpected()),
    };
    shift_date(day, days.ok_or_else(unexpected)?)
}

pub fn date_minus_days(args: &[Value], _: Context) -> Result<Value> {
    shift_date(date(args, 0)?, -integer(args, 1)?)
}

fn shift_date(day: i32, days: i64) -> Result<Value> {
    if !date_is_finite(day) {
        return Ok(Value::Date(day));
    }
    check_date(i64::from(day) + days).map(Value::Date)
}

pub fn date_difference(args: &[Value], _: Context) -> Result<Value> {
    let (a, b) = (date(args, 0)?, date(args, 1)?);
    if !date_is_finite(a) || !date_is_finite(b) {
        bail!(DatetimeOverflow, "cannot subtract infinite dates");
    }
    a.checked_sub(b)
        .map(Value::Int4)
        .ok_or_else(|| error!(DatetimeOverflow, "date out of range"))
}

/// A date, timestamp or timestamptz plus an interval.
fn add_interval(moment: &Value, interval: &Interval, zone: TimeZone) -> Result<Value> {
    match moment {
        Value::Date(d) => timestamp_add(date_to_timestamp(*d)?, interval).map(Value::Timestamp),
        Value::Timestamp(t) => timestamp_add(*t, interval).map(Value::Timestamp),
        Value::TimestampTz(t) => timestamptz_add(*t, interval, zone).map(Value::TimestampTz),
        Value::Time(t) => Ok(Value::Time(wrap_time(*t, interval.micros))),
        _ => Err(unexpected()),
    }
}

/// The time of day wraps around at midnight.
fn wrap_time(time: i64, micros: i64) -> i64 {
    (time + micros % MICROS_PER_DAY).rem_euclid(MICROS_PER_DAY)
}

pub fn plus_interval(args: &[Value], context: Context) -> Result<Value> {
    let zone = zone(context);
    match (value(args, 0)?, value(args, 1)?) {
        (Value::Interval(a), Value::Interval(b)) => a.checked_add(b).map(span),
        (moment, Value::Interval(i)) | (Value::Interval(i), moment) => {
            add_interval(moment, i, zone)
        }
        _ => Err(unexpected()),
    }
}

pub fn minus_interval(args: &[Value], context: Context) -> Result<Value> {
    let subtrahend = interval(args, 1)?;
    match value(args, 0)? {
        Value::Interval(a) => a.checked_sub(subtrahend).map(span),
        moment => add_interval(moment, &subtrahend.checked_neg()?, zone(context)),
    }
}

pub fn negate_interval(args: &[Value], _: Context) -> Result<Value> {
    interval(args, 0)?.checked_neg().map(span)
}

pub fn difference(args: &[Value], _: Context) -> Result<Value> {
    match (value(args, 0)?, value(args, 1)?) {
        (Value::Timestamp(a), Value::Timestamp(b))
        | (Value::TimestampTz(a), Value::TimestampTz(b)) => timestamp_difference(*a, *b).map(span),
        (Value::Time(a), Value::Time(b)) => Ok(span(Interval::new(0, 0, a - b))),
        _ => Err(unexpected()),
    }
}

/// `date + time`, either way round.
pub fn date_plus_time(args: &[Value], _: Context) -> Result<Value> {
    let (day, time) = match (value(args, 0)?, value(args, 1)?) {
        (Value::Date(d), Value::Time(t)) | (Value::Time(t), Value::Date(d)) => (*d, *t),
        _ => return Err(unexpected()),
    };
    let midnight = date_to_timestamp(day)?;
    if !timestamp_is_finite(midnight) {
        return Ok(Value::Timestamp(midnight));
    }
    check_timestamp(i128::from(midnight) + i128::from(time)).map(Value::Timestamp)
}

pub fn multiply_interval(args: &[Value], _: Context) -> Result<Value> {
    match (value(args, 0)?, value(args, 1)?) {
        (Value::Interval(i), Value::Float8(f)) | (Value::Float8(f), Value::Interval(i)) => {
            i.mul_f64(*f).map(span)
        }
        _ => Err(unexpected()),
    }
}

pub fn divide_interval(args: &[Value], _: Context) -> Result<Value> {
    interval(args, 0)?.div_f64(float8(args, 1)?).map(span)
}

pub fn justify_hours(args: &[Value], _: Context) -> Result<Value> {
    interval(args, 0)?.justify_hours().map(span)
}

pub fn justify_days(args: &[Value], _: Context) -> Result<Value> {
    interval(args, 0)?.justify_days().map(span)
}

pub fn justify_interval(args: &[Value], _: Context) -> Result<Value> {
    interval(args, 0)?.justify_interval().map(span)
}

// --- casts

pub fn to_date(args: &[Value], context: Context) -> Result<Value> {
    Ok(Value::Date(match value(args, 0)? {
        Value::Date(d) => *d,
        Value::Timestamp(t) => timestamp_to_date(*t),
        Value::TimestampTz(t) => timestamp_to_date(timestamptz_to_timestamp(*t, zone(context))?),
        _ => return Err(unexpected()),
    }))
}

pub fn to_time(args: &[Value], context: Context) -> Result<Value> {
    Ok(match value(args, 0)? {
        Value::Timestamp(t) | Value::TimestampTz(t) if !timestamp_is_finite(*t) => Value::Null,
        Value::Timestamp(t) => Value::Time(timestamp_to_time(*t)),
        Value::TimestampTz(t) => Value::Time(timestamp_to_time(timestamptz_to_timestamp(
            *t,
            zone(context),
        )?)),
        Value::Interval(i) => Value::Time(i.micros.rem_euclid(MICROS_PER_DAY)),
        _ => return Err(unexpected()),
    })
}

pub fn time_to_interval(args: &[Value], _: Context) -> Result<Value> {
    Ok(span(Interval::new(0, 0, time(args, 0)?)))
}

/// A timestamp from a date, a timestamptz, or a date and a time.
pub fn to_timestamp(args: &[Value], context: Context) -> Result<Value> {
    Ok(Value::Timestamp(match (value(args, 0)?, args.get(1)) {
        (Value::Date(_), Some(Value::Time(_))) => return date_plus_time(args, context),
        (Value::Date(d), _) => date_to_timestamp(*d)?,
        (Value::TimestampTz(t), _) => timestamptz_to_timestamp(*t, zone(context))?,
        _ => return Err(unexpected()),
    }))
}

pub fn to_timestamptz(args: &[Value], context: Context) -> Result<Value> {
    let local = match (value(args, 0)?, args.get(1)) {
        (Value::Timestamp(t), _) => *t,
        (Value::Date(_), Some(Value::Time(_))) => timestamp(&[date_plus_time(args, context)?], 0)?,
        (Value::Date(d), _) => date_to_timestamp(*d)?,
        _ => return Err(unexpected()),
    };
    timestamp_to_timestamptz(local, zone(context)).map(Value::TimestampTz)
}

/// `to_timestamp(double precision)`: seconds since 1970.
pub fn from_epoch(args: &[Value], _: Context) -> Result<Value> {
    let seconds = float8(args, 0)?;
    if seconds.is_nan() {
        bail!(DatetimeOverflow, "timestamp cannot be NaN");
    }
    if seconds.is_infinite() {
        return Ok(Value::TimestampTz(if seconds > 0.0 {
            i64::MAX
        } else {
            i64::MIN
        }));
    }
    let micros = (seconds * 1e6).round_ties_even();
    if !(-2.2e17..9.2e18).contains(&micros) {
        let shown = helios_types::text::float8_text(seconds);
        bail!(DatetimeOverflow, "timestamp out of range: \"{shown}\"");
    }
    check_timestamp(micros as i128).map(Value::TimestampTz)
}

/// `AT TIME ZONE`: a local time of that zone becomes a moment, and the other way round.
pub fn at_time_zone(args: &[Value], _: Context) -> Result<Value> {
    let zone = match value(args, 0)? {
        Value::Text(name) => TimeZone::parse(name)?,
        Value::Interval(i) if i.months != 0 || i.days != 0 => {
            let shown = i.to_string();
            bail!(
                InvalidParameterValue,
                "interval time zone \"{shown}\" must not include months or days"
            );
        }
        Value::Interval(i) => TimeZone::Fixed((i.micros / 1_000_000) as i32),
        _ => return Err(unexpected()),
    };
    match value(args, 1)? {
        Value::Timestamp(t) => timestamp_to_timestamptz(*t, zone).map(Value::TimestampTz),
        Value::TimestampTz(t) => timestamptz_to_timestamp(*t, zone).map(Value::Timestamp),
        _ => Err(unexpected()),
    }
}

// --- functions

pub fn extract(args: &[Value], context: Context) -> Result<Value> {
    let field = text(args, 0)?;
    match value(args, 1)? {
        Value::Date(v) => datetime::extract_date(field, *v),
        Value::Time(v) => datetime::extract_time(field, *v),
        Value::Timestamp(v) => datetime::extract_timestamp(field, *v),
        Value::TimestampTz(v) => datetime::extract_timestamptz(field, *v, zone(context)),
        Value::Interval(v) => datetime::extract_interval(field, v),
        _ => Err(unexpected()),
    }
}

/// `date_part` gives double precision, and takes a date as a timestamp.
pub fn date_part(args: &[Value], context: Context) -> Result<Value> {
    let extracted = match value(args, 1)? {
        Value::Date(d) => datetime::extract_timestamp(text(args, 0)?, date_to_timestamp(*d)?)?,
        _ => extract(args, context)?,
    };
    Ok(match extracted {
        Value::Numeric(v) => Value::Float8(v.to_f64()),
        other => other,
    })
}

pub fn date_trunc(args: &[Value], context: Context) -> Result<Value> {
    let field = text(args, 0)?;
    match value(args, 1)? {
        Value::Timestamp(t) => datetime::truncate_timestamp(field, *t).map(Value::Timestamp),
        Value::TimestampTz(t) => {
            let zone = if args.len() > 2 {
                TimeZone::parse(text(args, 2)?)?
            } else {
                zone(context)
            };
            let local = timestamptz_to_timestamp(*t, zone)?;
            let truncated = datetime::truncate_timestamp(field, local)
                .map_err(|e| rename_type(e, "without", "with"))?;
            timestamp_to_timestamptz(truncated, zone).map(Value::TimestampTz)
        }
        Value::Interval(i) => datetime::truncate_interval(field, i).map(span),
        _ => Err(unexpected()),
    }
}

/// The same error for the type with a time zone.
fn rename_type(mut error: Error, from: &str, to: &str) -> Error {
    let renamed = error
        .message()
        .replace(&format!("timestamp {from} "), &format!("timestamp {to} "));
    error.fields_mut().message = renamed.into();
    error
}

pub fn date_bin(args: &[Value], _: Context) -> Result<Value> {
    let stride = interval(args, 0)?;
    match (value(args, 1)?, value(args, 2)?) {
        (Value::Timestamp(t), Value::Timestamp(o)) => {
            datetime::date_bin(stride, *t, *o).map(Value::Timestamp)
        }
        (Value::TimestampTz(t), Value::TimestampTz(o)) => {
            datetime::date_bin(stride, *t, *o).map(Value::TimestampTz)
        }
        _ => Err(unexpected()),
    }
}

/// `age(a, b)`, and `age(a)` counted from today's midnight.
pub fn age(args: &[Value], context: Context) -> Result<Value> {
    let zone = zone(context);
    let today = || -> Result<i64> {
        let local = timestamptz_to_timestamp(context.transaction_time(), zone)?;
        Ok(local - timestamp_to_time(local))
    };
    let (a, b) = match (value(args, 0)?, args.get(1)) {
        (Value::Timestamp(a), Some(Value::Timestamp(b))) => (*a, *b),
        (Value::TimestampTz(a), Some(Value::TimestampTz(b))) => (
            timestamptz_to_timestamp(*a, zone)?,
            timestamptz_to_timestamp(*b, zone)?,
        ),
        (Value::Timestamp(b), None) => (today()?, *b),
        (Value::TimestampTz(b), None) => (today()?, timestamptz_to_timestamp(*b, zone)?),
        _ => return Err(unexpected()),
    };
    datetime::age(a, b).map(span)
}

pub fn is_finite(args: &[Value], _: Context) -> Result<Value> {
    Ok(Value::Bool(match value(args, 0)? {
        Value::Date(d) => date_is_finite(*d),
        Value::Timestamp(t) | Value::TimestampTz(t) => timestamp_is_finite(*t),
        _ => true,
    }))
}

pub fn make_date(args: &[Value], _: Context) -> Result<Value> {
    datetime::make_date(int4(args, 0)?, int4(args, 1)?, int4(args, 2)?).map(Value::Date)
}

pub fn make_time(args: &[Value], _: Context) -> Result<Value> {
    datetime::make_time(int4(args, 0)?, int4(args, 1)?, float8(args, 2)?).map(Value::Time)
}

fn local_from_parts(args: &[Value]) -> Result<i64> {
    let part = |i| int4(args, i);
    datetime::make_timestamp(
        part(0)?,
        part(1)?,
        part(2)?,
        part(3)?,
        part(4)?,
        float8(args, 5)?,
    )
}

pub fn make_timestamp(args: &[Value], _: Context) -> Result<Value> {
    local_from_parts(args).map(Value::Timestamp)
}

pub fn make_timestamptz(args: &[Value], context: Context) -> Result<Value> {
    let zone = if args.len() > 6 {
        TimeZone::parse(text(args, 6)?)?
    } else {
        zone(context)
    };
    timestamp_to_timestamptz(local_from_parts(args)?, zone).map(Value::TimestampTz)
}

/// `make_interval(years, months, weeks, days, hours, mins, secs)`
pub fn make_interval(args: &[Value], _: Context) -> Result<Value> {
    let out_of_range = || error!(DatetimeOverflow, "interval out of range");
    let part = |i: usize| {
        if args.len() > i {
            integer(args, i)
        } else {
            Ok(0)
        }
    };
    let seconds = if args.len() > 6 {
        float8(args, 6)?
    } else {
        0.0
    };
    if !seconds.is_finite() {
        return Err(out_of_range());
    }
    let months = part(0)?
        .checked_mul(12)
        .and_then(|y| y.checked_add(part(1).ok()?));
    let days = part(2)?
        .checked_mul(7)
        .and_then(|w| w.checked_add(part(3).ok()?));
    let micros = i128::from(part(4)?) * 3_600_000_000
        + i128::from(part(5)?) * 60_000_000
        + (seconds * 1e6).round_ties_even() as i128;
    Ok(span(Interval::new(
        months
            .and_then(|m| i32::try_from(m).ok())
            .ok_or_else(out_of_range)?,
        days.and_then(|d| i32::try_from(d).ok())
            .ok_or_else(out_of_range)?,
        i64::try_from(micros).map_err(|_| out_of_range())?,
    )))
}

/// `(a, b) OVERLAPS (c, d)`: the ends may be given in either order, or as a length.
pub fn overlaps(args: &[Value], context: Context) -> Result<Value> {
    let zone = zone(context);
    let end = |start: &Value, end: &Value| -> Result<Value> {
        match end {
            Value::Interval(i) if !start.is_null() => add_interval(start, i, zone),
            other => Ok(other.clone()),
        }
    };
    let (a, b) = (
        value(args, 0)?.clone(),
        end(value(args, 0)?, value(args, 1)?)?,
    );
    let (c, d) = (
        value(args, 2)?.clone(),
        end(value(args, 2)?, value(args, 3)?)?,
    );
    // NULLs stand last, so that a half-known period starts with its known end.
    let sorted = |x: Value, y: Value| if x <= y { (x, y) } else { (y, x) };
    let ((a, b), (c, d)) = (sorted(a, b), sorted(c, d));
    if a.is_null() || c.is_null() {
        return Ok(Value::Null);
    }
    let ((first, first_end), second) = if a <= c { ((a, b), c) } else { ((c, d), a) };
    if first == second {
        return Ok(Value::Bool(true));
    }
    Ok(match first_end {
        Value::Null => Value::Null,
        end => Value::Bool(second < end),
    })
}
