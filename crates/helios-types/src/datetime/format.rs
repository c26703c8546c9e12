//! Output in PostgreSQL's date styles.

use super::{
    Civil, DATE_INFINITY, DATE_NEG_INFINITY, DateContext, DateOrder, DateStyle, TIMESTAMP_INFINITY,
    TIMESTAMP_NEG_INFINITY, calendar, civil_from_days,
};
use crate::interval::write_fraction;
use std::fmt::{self, Write};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

pub fn write_date(out: &mut impl Write, date: i32, context: &DateContext) -> fmt::Result {
    match date {
        DATE_INFINITY => return out.write_str("infinity"),
        DATE_NEG_INFINITY => return out.write_str("-infinity"),
        _ => {}
    }
    let (year, month, day) = civil_from_days(i64::from(date));
    write_day(out, year, month, day, context)?;
    write_era(out, year)
}

/// `hh:mm:ss` with the fraction that there is; midnight at the end of a day is `24:00:00`.
pub fn write_time(out: &mut impl Write, micros: i64) -> fmt::Result {
    let seconds = micros / 1_000_000;
    write_clock(
        out,
        (seconds / 3600) as u32,
        (seconds / 60 % 60) as u32,
        (seconds % 60) as u32,
    )?;
    write_fraction(out, (micros % 1_000_000).unsigned_abs())
}

pub fn write_timestamp(out: &mut impl Write, timestamp: i64, context: &DateContext) -> fmt::Result {
    if let Some(word) = infinity(timestamp) {
        return out.write_str(word);
    }
    let civil = Civil::from_micros(timestamp);
    write_civil(out, &civil, context, None)
}

pub fn write_timestamptz(
    out: &mut impl Write,
    timestamp: i64,
    context: &DateContext,
) -> fmt::Result {
    if let Some(word) = infinity(timestamp) {
        return out.write_str(word);
    }
    let offset = context.zone.at_utc(timestamp).seconds;
    let civil = Civil::from_micros(timestamp.saturating_add(i64::from(offset) * 1_000_000));
    write_civil(out, &civil, context, Some((offset, timestamp)))
}

fn infinity(timestamp: i64) -> Option<&'static str> {
    match timestamp {
        TIMESTAMP_INFINITY => Some("infinity"),
        TIMESTAMP_NEG_INFINITY => Some("-infinity"),
        _ => None,
    }
}

/// `+hh`, `+hh:mm` or `+hh:mm:ss`.
pub(super) fn write_offset(out: &mut impl Write, seconds: i32) -> fmt::Result {
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.unsigned_abs();
    write!(out, "{sign}{:02}", seconds / 3600)?;
    if !seconds.is_multiple_of(3600) {
        write!(out, ":{:02}", seconds / 60 % 60)?;
    }
    if !seconds.is_multiple_of(60) {
        write!(out, ":{:02}", seconds % 60)?;
    }
    Ok(())
}

fn two_digits(out: &mut impl Write, value: u32) -> fmt::Result {
    out.write_char((b'0' + (value / 10 % 10) as u8) as char)?;
    out.write_char((b'0' + (value % 10) as u8) as char)
}

fn write_clock(out: &mut impl Write, hour: u32, minute: u32, second: u32) -> fmt::Result {
    two_digits(out, hour)?;
    out.write_char(':')?;
    two_digits(out, minute)?;
    out.write_char(':')?;
    two_digits(out, second)
}

/// The year as it is printed: 1 BC for year zero.
fn shown_year(year: i32) -> i32 {
    if year > 0 { year } else { 1 - year }
}

fn write_era(out: &mut impl Write, year: i32) -> fmt::Result {
    if year > 0 {
        Ok(())
    } else {
        out.write_str(" BC")
    }
}

fn write_year(out: &mut impl Write, year: i32) -> fmt::Result {
    let year = shown_year(year);
    if (1000..10_000).contains(&year) {
        two_digits(out, year as u32 / 100)?;
        two_digits(out, year as u32 % 100)
    } else {
        write!(out, "{year:04}")
    }
}

fn write_day(
    out: &mut impl Write,
    year: i32,
    month: u32,
    day: u32,
    context: &DateContext,
) -> fmt::Result {
    let day_first = context.order == DateOrder::Dmy;
    let separator = match context.style {
        DateStyle::Iso => {
            write_year(out, year)?;
            out.write_char('-')?;
            two_digits(out, month)?;
            out.write_char('-')?;
            return two_digits(out, day);
        }
        DateStyle::Sql => '/',
        DateStyle::German => '.',
        DateStyle::Postgres => '-',
    };
    let (first, second) = match context.style {
        DateStyle::German => (day, month),
        _ if day_first => (day, month),
        _ => (month, day),
    };
    two_digits(out, first)?;
    out.write_char(separator)?;
    two_digits(out, second)?;
    out.write_char(separator)?;
    write_year(out, year)
}

/// `zone` is the offset and the moment in UTC when the value has a zone.
fn write_civil(
    out: &mut impl Write,
    civil: &Civil,
    context: &DateContext,
    zone: Option<(i32, i64)>,
) -> fmt::Result {
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
        micros,
    } = *civil;
    if context.style == DateStyle::Postgres {
        let weekday = calendar::weekday(civil.days()) as usize;
        let month_name = MONTHS.get(month as usize - 1).copied().unwrap_or("");
        let weekday = WEEKDAYS.get(weekday).copied().unwrap_or("");
        if context.order == DateOrder::Dmy {
            write!(out, "{weekday} {day:02} {month_name} ")?;
        } else {
            write!(out, "{weekday} {month_name} {day:02} ")?;
        }
        write_clock(out, hour, minute, second)?;
        write_fraction(out, u64::from(micros))?;
        out.write_char(' ')?;
        write_year(out, year)?;
    } else {
        write_day(out, year, month, day, context)?;
        out.write_char(' ')?;
        write_clock(out, hour, minute, second)?;
        write_fraction(out, u64::from(micros))?;
    }
    if let Some((offset, timestamp)) = zone {
        if context.style == DateStyle::Iso {
            write_offset(out, offset)?;
        } else {
            let name = context.zone.abbreviation_at(timestamp);
            if name.starts_with(['+', '-']) {
                write_offset(out, offset)?;
            } else {
                write!(out, " {name}")?;
            }
        }
    }
    write_era(out, year)
}
