//! `to_char`, `to_date`, `to_timestamp` and `to_number`: PostgreSQL's template patterns.

mod moment;
mod number;
mod reader;

use super::argument::{Context, text, value, zone};
use helios_types::datetime::{Civil, TimeZone, check_date, timestamp_is_finite};
use helios_types::{Error, Numeric, Result, Value};

pub fn to_char(args: &[Value], context: Context) -> Result<Value> {
    let template = text(args, 1)?;
    let zone = zone(context);
    let moment = |timestamp: i64, zone: Option<TimeZone>| {
        if !timestamp_is_finite(timestamp) || template.is_empty() {
            return Ok(Value::Null);
        }
        let offset = zone.map_or(0, |z| z.at_utc(timestamp).seconds);
        let civil = Civil::from_micros(timestamp + i64::from(offset) * 1_000_000);
        let zone = zone.map(|z| (offset, z.abbreviation_at(timestamp)));
        moment::format_moment(&civil, zone, template).map(Value::from)
    };
    match value(args, 0)? {
        Value::Timestamp(v) => moment(*v, None),
        Value::TimestampTz(v) => moment(*v, Some(zone)),
        Value::Interval(v) => moment::format_interval(v, template).map(Value::from),
        Value::Numeric(v) => number::format_number(v, template).map(Value::from),
        Value::Float8(v) => {
            number::format_number(&Numeric::from_f64(*v), template).map(Value::from)
        }
        Value::Float4(v) => {
            number::format_number(&Numeric::from_f32(*v), template).map(Value::from)
        }
        other => {
            let integer = other
                .as_i64()
                .ok_or_else(|| Error::internal("to_char of another type"))?;
            number::format_number(&Numeric::from_i64(integer), template).map(Value::from)
        }
    }
}

pub fn to_date(args: &[Value], _: Context) -> Result<Value> {
    let read = reader::read(text(args, 0)?, text(args, 1)?)?;
    check_date(read.days()?).map(Value::Date)
}

pub fn to_timestamp(args: &[Value], context: Context) -> Result<Value> {
    let read = reader::read(text(args, 0)?, text(args, 1)?)?;
    read.moment(zone(context)).map(Value::TimestampTz)
}

pub fn to_number(args: &[Value], _: Context) -> Result<Value> {
    let template = text(args, 1)?;
    if template.is_empty() {
        return Ok(Value::Null);
    }
    number::read_number(text(args, 0)?, template).map(Value::Numeric)
}
