//! `extract`, `date_trunc` and `date_bin`.

use super::calendar::{iso_week, iso_year_start, weekday};
use super::{
    Civil, LocalOffset, MICROS_PER_DAY, TimeZone, check_timestamp, date_is_finite, days_from_civil,
    timestamp_is_finite, timestamp_out_of_range,
};
use crate::interval::{Interval, MICROS_PER_HOUR, MICROS_PER_MINUTE};
use crate::{Error, Numeric, Result, Value, error};

/// A field that a word names, with PostgreSQL's spellings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Microseconds,
    Milliseconds,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    IsoYear,
    Julian,
    Epoch,
    TimeZone,
    TimeZoneHour,
    TimeZoneMinute,
}

fn field(name: &str) -> Option<Field> {
    Some(match name.to_ascii_lowercase().as_str() {
        "us" | "usec" | "usecs" | "microsecond" | "microseconds" | "usecond" | "useconds" => {
            Field::Microseconds
        }
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" | "mseconds" | "msecond" => {
            Field::Milliseconds
        }
        "s" | "sec" | "secs" | "second" | "seconds" => Field::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Field::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Field::Hour,
        "d" | "day" | "days" => Field::Day,
        "w" | "week" | "weeks" => Field::Week,
        "mon" | "mons" | "month" | "months" => Field::Month,
        "qtr" | "quarter" => Field::Quarter,
        "y" | "yr" | "yrs" | "year" | "years" => Field::Year,
        "dec" | "decs" | "decade" | "decades" => Field::Decade,
        "c" | "cent" | "century" | "centuries" => Field::Century,
        "mil" | "mils" | "millennia" | "millennium" => Field::Millennium,
        "dow" => Field::DayOfWeek,
        "isodow" => Field::IsoDayOfWeek,
        "doy" => Field::DayOfYear,
        "isoyear" => Field::IsoYear,
        "j" | "jd" | "julian" => Field::Julian,
        "epoch" => Field::Epoch,
        "timezone" => Field::TimeZone,
        "timezone_h" | "timezone_hour" => Field::TimeZoneHour,
        "timezone_m" | "timezone_minute" => Field::TimeZoneMinute,
        _ => return None,
    })
}

/// PostgreSQL tells units that it does not know from those that a type does not have.
fn no_field(name: &str, type_name: &str) -> Error {
    let name = name.to_ascii_lowercase();
    if field(&name).is_some() {
        error!(
            Unsupported,
            "unit \"{name}\" not supported for type {type_name}"
        )
    } else {
        error!(
            InvalidParameterValue,
            "unit \"{name}\" not recognized for type {type_name}"
        )
    }
}

fn integer(value: impl Into<i64>) -> Value {
    Value::Numeric(Numeric::from_i64(value.into()))
}

fn decimal(mantissa: impl Into<i128>, scale: u16) -> Value {
    Value::Numeric(Numeric::from_mantissa(mantissa.into(), scale))
}

const TIMESTAMP: &str = "timestamp without time zone";
const TIMESTAMPTZ: &str = "timestamp with time zone";

/// The value of a field as numeric; null for fields that infinity does not have.
pub fn extract_timestamp(name: &str, timestamp: i64) -> Result<Value> {
    extract_moment(name, timestamp, None, TIMESTAMP)
}

pub fn extract_timestamptz(name: &str, timestamp: i64, zone: TimeZone) -> Result<Value> {
    let offset = zone.at_utc(timestamp);
    extract_moment(name, timestamp, Some(offset), TIMESTAMPTZ)
}

fn extract_moment(
    name: &str,
    timestamp: i64,
    offset: Option<LocalOffset>,
    type_name: &str,
) -> Result<Value> {
    let fault = || no_field(name, type_name);
    let field = field(name).ok_or_else(fault)?;
    let zone_field = matches!(
        field,
        Field::TimeZone | Field::TimeZoneHour | Field::TimeZoneMinute
    );
    if zone_field && offset.is_none() {
        return Err(fault());
    }
    if !timestamp_is_finite(timestamp) {
        return Ok(infinite(field, timestamp > 0));
    }
    let seconds = offset.map_or(0, |o| i64::from(o.seconds));
    let local = timestamp.saturating_add(seconds * 1_000_000);
    let civil = Civil::from_micros(local);
    Ok(match field {
        Field::TimeZone => integer(seconds),
        Field::TimeZoneHour => integer(seconds / 3600),
        Field::TimeZoneMinute => integer(seconds / 60 % 60),
        Field::Epoch => decimal(timestamp, 6),
        Field::Julian => julian(civil.days(), civil.time_micros()),
        Field::Microseconds => {
            integer(i64::from(civil.second) * 1_000_000 + i64::from(civil.micros))
        }
        Field::Milliseconds => decimal(
            i64::from(civil.second) * 1_000_000 + i64::from(civil.micros),
            3,
        ),
        Field::Second => decimal(
            i64::from(civil.second) * 1_000_000 + i64::from(civil.micros),
            6,
        ),
        Field::Minute => integer(civil.minute),
        Field::Hour => integer(civil.hour),
        _ => date_field(field, &civil).ok_or_else(fault)?,
    })
}

/// Fields that grow without bound are infinite, the others null.
fn infinite(field: Field, positive: bool) -> Value {
    match field {
        Field::Year
        | Field::Decade
        | Field::Century
        | Field::Millennium
        | Field::Julian
        | Field::IsoYear
        | Field::Epoch => Value::Numeric(if positive {
            Numeric::INFINITY
        } else {
            Numeric::NEG_INFINITY
        }),
        _ => Value::Null,
    }
}

/// The Julian day with the part of the day that has passed.
fn julian(days: i64, time: i64) -> Value {
    let day = Numeric::from_i64(days - i64::from(super::DATE_MIN));
    let passed = Numeric::from_i64(time).div(&Numeric::from_i64(MICROS_PER_DAY));
    Value::Numeric(passed.and_then(|p| day.add(&p)).unwrap_or(day))
}

fn date_field(field: Field, civil: &Civil) -> Option<Value> {
    let days = civil.days();
    let year = i64::from(civil.year);
    // Years before Christ are printed without a year zero.
    let shown_year = if year > 0 { year } else { year - 1 };
    Some(match field {
        Field::Day => integer(civil.day),
        Field::Month => integer(civil.month),
        Field::Quarter => integer((civil.month - 1) / 3 + 1),
        Field::Year => integer(shown_year),
        Field::Decade => integer(year.div_euclid(10)),
        Field::Century => integer(span_of_years(year, 100)),
        Field::Millennium => integer(span_of_years(year, 1000)),
        Field::Week => integer(iso_week(days).1),
        Field::IsoYear => {
            let iso = iso_week(days).0;
            integer(if iso > 0 { iso } else { iso - 1 })
        }
        Field::DayOfWeek => integer(weekday(days)),
        Field::IsoDayOfWeek => integer(match weekday(days) {
            0 => 7,
            day => day,
        }),
        Field::DayOfYear => integer(days - days_from_civil(civil.year, 1, 1) + 1),
        _ => return None,
    })
}

/// The century or millennium of an astronomical year; there is none numbered zero.
fn span_of_years(year: i64, span: i64) -> i64 {
    if year > 0 {
        (year + span - 1) / span
    } else {
        -((span - 1 - (year - 1)) / span)
    }
}

pub fn extract_date(name: &str, date: i32) -> Result<Value> {
    let fault = || no_field(name, "date");
    let field = field(name).ok_or_else(fault)?;
    let on_time = matches!(
        field,
        Field::Microseconds
            | Field::Milliseconds
            | Field::Second
            | Field::Minute
            | Field::Hour
            | Field::TimeZone
            | Field::TimeZoneHour
            | Field::TimeZoneMinute
    );
    if on_time {
        return Err(fault());
    }
    if !date_is_finite(date) {
        return Ok(infinite(field, date > 0));
    }
    match field {
        Field::Epoch => Ok(integer(i64::from(date) * 86_400)),
        Field::Julian => Ok(integer(i64::from(date) - i64::from(super::DATE_MIN))),
        _ => {
            let (year, month, day) = super::civil_from_days(i64::from(date));
            let civil = Civil {
                year,
                month,
                day,
                hour: 0,
                minute: 0,
                second: 0,
                micros: 0,
            };
            date_field(field, &civil).ok_or_else(fault)
        }
    }
}

pub fn extract_time(name: &str, micros: i64) -> Result<Value> {
    let fault = || no_field(name, "time without time zone");
    let of_second = micros % MICROS_PER_MINUTE;
    Ok(match field(name).ok_or_else(fault)? {
        Field::Microseconds => integer(of_second),
        Field::Milliseconds => decimal(of_second, 3),
        Field::Second => decimal(of_second, 6),
        Field::Minute => integer(micros / MICROS_PER_MINUTE % 60),
        Field::Hour => integer(micros / MICROS_PER_HOUR),
        Field::Epoch => decimal(micros, 6),
        _ => return Err(fault()),
    })
}

pub fn extract_interval(name: &str, interval: &Interval) -> Result<Value> {
    let fault = || no_field(name, "interval");
    let of_second = interval.micros % MICROS_PER_MINUTE;
    let years = i64::from(interval.months / 12);
    Ok(match field(name).ok_or_else(fault)? {
        Field::Microseconds => integer(of_second),
        Field::Milliseconds => decimal(of_second, 3),
        Field::Second => decimal(of_second, 6),
        Field::Minute => integer(interval.micros / MICROS_PER_MINUTE % 60),
        Field::Hour => integer(interval.micros / MICROS_PER_HOUR),
        Field::Day => integer(interval.days),
        Field::Month => integer(interval.months % 12),
        Field::Quarter => integer(interval.months % 12 / 3 + 1),
        Field::Year => integer(years),
        Field::Decade => integer(years / 10),
        Field::Century => integer(years / 100),
        Field::Millennium => integer(years / 1000),
        Field::Epoch => {
            // A year is 365.25 days here, a month 30.
            let days = i128::from(interval.months / 12) * 36_525
                + i128::from(interval.months % 12) * 3000
                + i128::from(interval.days) * 100;
            decimal(days * 864_000_000 + i128::from(interval.micros), 6)
        }
        _ => return Err(fault()),
    })
}

/// `date_trunc` on a local timestamp.
pub fn truncate_timestamp(name: &str, timestamp: i64) -> Result<i64> {
    truncate_moment(name, timestamp, TIMESTAMP)
}

fn truncate_moment(name: &str, timestamp: i64, type_name: &str) -> Result<i64> {
    let fault = || no_field(name, type_name);
    let field = field(name).ok_or_else(fault)?;
    let unit = match field {
        Field::Microseconds => Some(1),
        Field::Milliseconds => Some(1000),
        Field::Second => Some(1_000_000),
        Field::Minute => Some(MICROS_PER_MINUTE),
        Field::Hour => Some(MICROS_PER_HOUR),
        Field::Day => Some(MICROS_PER_DAY),
        _ => None,
    };
    let calendar = matches!(
        field,
        Field::Week
            | Field::Month
            | Field::Quarter
            | Field::Year
            | Field::Decade
            | Field::Century
            | Field::Millennium
    );
    if unit.is_none() && !calendar {
        return Err(fault());
    }
    if !timestamp_is_finite(timestamp) {
        return Ok(timestamp);
    }
    if let Some(unit) = unit {
        return check_timestamp(i128::from(timestamp.div_euclid(unit)) * i128::from(unit));
    }
    let civil = Civil::from_micros(timestamp);
    let year = civil.year;
    let start_of_year = |year: i32| days_from_civil(year, 1, 1);
    let days = match field {
        Field::Week => {
            iso_year_start(iso_week(civil.days()).0) + i64::from(iso_week(civil.days()).1 - 1) * 7
        }
        Field::Month => days_from_civil(year, civil.month, 1),
        Field::Quarter => days_from_civil(year, (civil.month - 1) / 3 * 3 + 1, 1),
        Field::Decade if year > 0 => start_of_year(year / 10 * 10),
        Field::Decade => start_of_year(-((8 - (year - 1)) / 10) * 10),
        Field::Century => start_of_year(start_of_span(year, 100)),
        Field::Millennium => start_of_year(start_of_span(year, 1000)),
        _ => start_of_year(year),
    };
    check_timestamp(i128::from(days) * i128::from(MICROS_PER_DAY))
}

/// The first year of the century or millennium that an astronomical year lies in.
fn start_of_span(year: i32, span: i32) -> i32 {
    if year > 0 {
        (year + span - 1) / span * span - (span - 1)
    } else {
        -((span - 1 - (year - 1)) / span) * span + 1
    }
}

/// `date_trunc` on an interval.
pub fn truncate_interval(name: &str, interval: &Interval) -> Result<Interval> {
    let fault = || no_field(name, "interval");
    let months = |unit: i32| Interval::new(interval.months / unit * unit, 0, 0);
    let time = |unit: i64| {
        Interval::new(
            interval.months,
            interval.days,
            interval.micros / unit * unit,
        )
    };
    Ok(match field(name).ok_or_else(fault)? {
        Field::Microseconds => *interval,
        Field::Milliseconds => time(1000),
        Field::Second => time(1_000_000),
        Field::Minute => time(MICROS_PER_MINUTE),
        Field::Hour => time(MICROS_PER_HOUR),
        Field::Day => Interval::new(interval.months, interval.days, 0),
        Field::Month => months(1),
        Field::Quarter => months(3),
        Field::Year => months(12),
        Field::Decade => months(120),
        Field::Century => months(1200),
        Field::Millennium => months(12_000),
        Field::Week => {
            return Err(fault().with_detail("Months usually have fractional weeks."));
        }
        _ => return Err(fault()),
    })
}

/// `date_bin`: the start of the interval of `stride` from `origin` in which `timestamp` lies.
pub fn date_bin(stride: &Interval, timestamp: i64, origin: i64) -> Result<i64> {
    if !timestamp_is_finite(timestamp) {
        return Ok(timestamp);
    }
    if !timestamp_is_finite(origin) {
        return Err(error!(DatetimeOverflow, "origin out of range"));
    }
    if stride.months != 0 {
        return Err(error!(
            Unsupported,
            "timestamps cannot be binned into intervals containing months or years"
        ));
    }
    let width = i128::from(stride.days) * i128::from(MICROS_PER_DAY) + i128::from(stride.micros);
    if width <= 0 {
        return Err(error!(DatetimeOverflow, "stride must be greater than zero"));
    }
    let distance = i128::from(timestamp) - i128::from(origin);
    check_timestamp(i128::from(origin) + distance.div_euclid(width) * width)
        .map_err(|_| timestamp_out_of_range())
}
