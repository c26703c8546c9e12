//! Arguments of functions: taken out of their values, with an internal error when the binder let
//! something else through.

use super::FunctionContext;
use helios_types::datetime::{DateContext, DateOrder, DateStyle, TimeZone};
use helios_types::interval::IntervalStyle;
use helios_types::text::TextContext;
use helios_types::{Array, Error, Interval, JsonbRef, Numeric, Result, Value, error};
use std::cell::RefCell;
use std::sync::Arc;

pub(super) type Context<'a> = &'a mut dyn FunctionContext;

#[cold]
fn wrong(args: &[Value], index: usize, wanted: &str) -> Error {
    Error::internal(format!(
        "argument {index} is {:?}, expected {wanted}",
        args.get(index)
    ))
}

macro_rules! accessor {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $ty:ty, $bind:ident => $value:expr) => {
        $(#[$doc])*
        #[allow(dead_code)]
        pub(super) fn $name(args: &[Value], index: usize) -> Result<$ty> {
            match args.get(index) {
                Some(Value::$variant($bind)) => Ok($value),
                _ => Err(wrong(args, index, stringify!($variant))),
            }
        }
    };
}

accessor!(boolean, Bool, bool, v => *v);
accessor!(int4, Int4, i32, v => *v);
accessor!(float8, Float8, f64, v => *v);
accessor!(date, Date, i32, v => *v);
accessor!(time, Time, i64, v => *v);
accessor!(timestamp, Timestamp, i64, v => *v);
accessor!(timestamptz, TimestampTz, i64, v => *v);

pub(super) fn text(args: &[Value], index: usize) -> Result<&str> {
    match args.get(index) {
        Some(Value::Text(v)) => Ok(v),
        _ => Err(wrong(args, index, "Text")),
    }
}

pub(super) fn bytea(args: &[Value], index: usize) -> Result<&[u8]> {
    match args.get(index) {
        Some(Value::Bytea(v)) => Ok(v),
        _ => Err(wrong(args, index, "Bytea")),
    }
}

pub(super) fn numeric(args: &[Value], index: usize) -> Result<&Numeric> {
    match args.get(index) {
        Some(Value::Numeric(v)) => Ok(v),
        _ => Err(wrong(args, index, "Numeric")),
    }
}

pub(super) fn interval(args: &[Value], index: usize) -> Result<&Interval> {
    match args.get(index) {
        Some(Value::Interval(v)) => Ok(v),
        _ => Err(wrong(args, index, "Interval")),
    }
}

pub(super) fn array(args: &[Value], index: usize) -> Result<&Arc<Array>> {
    match args.get(index) {
        Some(Value::Array(v)) => Ok(v),
        _ => Err(wrong(args, index, "Array")),
    }
}

pub(super) fn jsonb(args: &[Value], index: usize) -> Result<JsonbRef<'_>> {
    match args.get(index) {
        Some(Value::Jsonb(v)) => Ok(v.as_ref()),
        _ => Err(wrong(args, index, "Jsonb")),
    }
}

pub(super) fn value(args: &[Value], index: usize) -> Result<&Value> {
    args.get(index).ok_or_else(|| wrong(args, index, "a value"))
}

/// An integer of any width.
pub(super) fn integer(args: &[Value], index: usize) -> Result<i64> {
    args.get(index)
        .and_then(Value::as_i64)
        .ok_or_else(|| wrong(args, index, "an integer"))
}

/// The texts of a text array; NULL elements are left out when `skip_null`, else an error.
pub(super) fn texts(array: &Array) -> impl Iterator<Item = Option<&str>> {
    array.values.iter().map(|v| v.as_str())
}

/// The session's time zone. The last name is remembered, because a session rarely changes it.
pub(super) fn zone(context: &dyn FunctionContext) -> TimeZone {
    thread_local! {
        static LAST: RefCell<(String, TimeZone)> = RefCell::new(("UTC".to_owned(), TimeZone::UTC));
    }
    let name = context.time_zone();
    LAST.with_borrow_mut(|last| {
        if last.0 != name {
            *last = (name.to_owned(), TimeZone::parse(name).unwrap_or_default());
        }
        last.1
    })
}

/// The session's settings for dates.
pub(super) fn dates(context: &dyn FunctionContext) -> DateContext {
    let setting = context.setting("DateStyle").unwrap_or_default();
    let mut dates = DateContext {
        zone: zone(context),
        now: context.transaction_time(),
        order: DateOrder::Mdy,
        style: DateStyle::Iso,
    };
    for word in setting.split(',') {
        match word.trim().to_ascii_lowercase().as_str() {
            "dmy" => dates.order = DateOrder::Dmy,
            "ymd" => dates.order = DateOrder::Ymd,
            "sql" => dates.style = DateStyle::Sql,
            "postgres" => dates.style = DateStyle::Postgres,
            "german" => dates.style = DateStyle::German,
            _ => {}
        }
    }
    dates
}

/// The session's settings for text forms.
pub fn text_context(context: &dyn FunctionContext) -> TextContext {
    let interval_style = context.setting("IntervalStyle").unwrap_or_default();
    TextContext {
        dates: dates(context),
        interval_style: IntervalStyle::parse(&interval_style).unwrap_or_default(),
        bytea_escape: context
            .setting("bytea_output")
            .is_some_and(|s| s == "escape"),
        extra_float_digits: context
            .setting("extra_float_digits")
            .and_then(|s| s.parse().ok())
            .unwrap_or(1),
    }
}

pub(super) fn out_of_range(type_name: &str) -> Error {
    error!(NumericOutOfRange, "{type_name} out of range")
}
