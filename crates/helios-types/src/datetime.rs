//! Dates, times and timestamps as PostgreSQL reads, prints and calculates them.
//!
//! A date counts days, a timestamp microseconds, both from 1970-01-01 in the proleptic Gregorian
//! calendar; `MIN` and `MAX` of the integer are `-infinity` and `infinity`. The range is
//! PostgreSQL's from 4713 BC on; timestamps end in January 294247, where 64 bits of microseconds
//! from 1970 end (PostgreSQL, which counts from 2000, goes on to 294276).
//!
//! Nothing here reads a clock or a setting: the session's time zone, the transaction's time and
//! the order of day and month are parameters.

mod abbreviation;
mod arithmetic;
mod calendar;
mod field;
mod format;
mod iso;
mod parse;
mod zone;

pub use arithmetic::{
    age, make_date, make_time, make_timestamp, timestamp_add, timestamp_difference,
    timestamp_to_timestamptz, timestamptz_add, timestamptz_to_timestamp, timestamptz_truncate,
};
pub use calendar::{Civil, civil_from_days, days_from_civil, days_in_month, is_leap_year};
pub use field::{
    date_bin, extract_date, extract_interval, extract_time, extract_timestamp, extract_timestamptz,
    truncate_interval, truncate_timestamp,
};
pub use format::{write_date, write_time, write_timestamp, write_timestamptz};
pub use parse::{parse_date, parse_time, parse_timestamp, parse_timestamptz};
pub use zone::{LocalOffset, TimeZone};

use crate::{Error, error};

/// Days between 1970-01-01 and 2000-01-01, PostgreSQL's own epoch on the wire.
pub const POSTGRES_EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;
/// The first day: 24 November 4714 BC, day zero of the Julian day numbers.
pub const DATE_MIN: i32 = -2_440_588;
/// The last day: 31 December 5874897.
pub const DATE_MAX: i32 = 2_145_042_905;
pub const TIMESTAMP_MIN: i64 = -210_866_803_200_000_000;
/// The last microsecond before the one that means infinity.
pub const TIMESTAMP_MAX: i64 = i64::MAX - 1;

pub const DATE_INFINITY: i32 = i32::MAX;
pub const DATE_NEG_INFINITY: i32 = i32::MIN;
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
pub const TIMESTAMP_NEG_INFINITY: i64 = i64::MIN;

pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The order of day, month and year in ambiguous input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateOrder {
    #[default]
    Mdy,
    Dmy,
    Ymd,
}

/// The output style of `DateStyle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateStyle {
    #[default]
    Iso,
    Sql,
    Postgres,
    German,
}

/// What reading and printing dates depends on besides the text.
#[derive(Clone, Copy, Debug)]
pub struct DateContext {
    pub zone: TimeZone,
    /// The transaction's time, in microseconds since 1970 UTC: what `now` and `today` mean.
    pub now: i64,
    pub order: DateOrder,
    pub style: DateStyle,
}

impl Default for DateContext {
    fn default() -> Self {
        DateContext {
            zone: TimeZone::UTC,
            now: 0,
            order: DateOrder::Mdy,
            style: DateStyle::Iso,
        }
    }
}

pub fn date_is_finite(date: i32) -> bool {
    date != DATE_INFINITY && date != DATE_NEG_INFINITY
}

pub fn timestamp_is_finite(timestamp: i64) -> bool {
    timestamp != TIMESTAMP_INFINITY && timestamp != TIMESTAMP_NEG_INFINITY
}

pub(crate) fn date_out_of_range() -> Error {
    error!(DatetimeOverflow, "date out of range")
}

pub(crate) fn timestamp_out_of_range() -> Error {
    error!(DatetimeOverflow, "timestamp out of range")
}

/// A finite timestamp within the range, or the error.
pub fn check_timestamp(timestamp: i128) -> crate::Result<i64> {
    match i64::try_from(timestamp) {
        Ok(t) if (TIMESTAMP_MIN..=TIMESTAMP_MAX).contains(&t) => Ok(t),
        _ => Err(timestamp_out_of_range()),
    }
}

/// A finite date within the range, or the error.
pub fn check_date(date: i64) -> crate::Result<i32> {
    match i32::try_from(date) {
        Ok(d) if (DATE_MIN..=DATE_MAX).contains(&d) => Ok(d),
        _ => Err(date_out_of_range()),
    }
}

/// Midnight of a date as a timestamp; infinities stay.
pub fn date_to_timestamp(date: i32) -> crate::Result<i64> {
    match date {
        DATE_INFINITY => Ok(TIMESTAMP_INFINITY),
        DATE_NEG_INFINITY => Ok(TIMESTAMP_NEG_INFINITY),
        _ => check_timestamp(i128::from(date) * i128::from(MICROS_PER_DAY))
            .map_err(|_| error!(DatetimeOverflow, "date out of range for timestamp")),
    }
}

/// The day of a timestamp; infinities stay.
pub fn timestamp_to_date(timestamp: i64) -> i32 {
    match timestamp {
        TIMESTAMP_INFINITY => DATE_INFINITY,
        TIMESTAMP_NEG_INFINITY => DATE_NEG_INFINITY,
        _ => timestamp.div_euclid(MICROS_PER_DAY) as i32,
    }
}

/// Microseconds since midnight.
pub fn timestamp_to_time(timestamp: i64) -> i64 {
    timestamp.rem_euclid(MICROS_PER_DAY)
}

/// Rounds microseconds half away from zero to `precision` digits of the second; `None` when the
/// result does not fit.
pub fn round_to_precision(micros: i64, precision: u32) -> Option<i64> {
    if precision >= 6 {
        return Some(micros);
    }
    let unit = 10i64.pow(6 - precision);
    let half = unit / 2;
    let moved = if micros >= 0 {
        micros.checked_add(half)?
    } else {
        micros.checked_sub(half)?
    };
    Some(moved / unit * unit)
}
