//! The four output styles of PostgreSQL's `IntervalStyle`.

use super::{Interval, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use std::fmt::{self, Write};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntervalStyle {
    #[default]
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

impl IntervalStyle {
    /// The setting's words.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "postgres" => IntervalStyle::Postgres,
            "postgres_verbose" => IntervalStyle::PostgresVerbose,
            "sql_standard" => IntervalStyle::SqlStandard,
            "iso_8601" => IntervalStyle::Iso8601,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            IntervalStyle::Postgres => "postgres",
            IntervalStyle::PostgresVerbose => "postgres_verbose",
            IntervalStyle::SqlStandard => "sql_standard",
            IntervalStyle::Iso8601 => "iso_8601",
        }
    }
}

/// An interval by the units that are printed; each may have its own sign.
struct Units {
    years: i32,
    months: i32,
    days: i32,
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i64,
}

impl Units {
    fn of(interval: &Interval) -> Self {
        let time = interval.micros;
        Units {
            years: interval.months / 12,
            months: interval.months % 12,
            days: interval.days,
            hours: time / MICROS_PER_HOUR,
            minutes: time % MICROS_PER_HOUR / MICROS_PER_MINUTE,
            seconds: time % MICROS_PER_MINUTE / MICROS_PER_SECOND,
            micros: time % MICROS_PER_SECOND,
        }
    }

    fn time_is_negative(&self) -> bool {
        self.hours < 0 || self.minutes < 0 || self.seconds < 0 || self.micros < 0
    }

    fn time_is_zero(&self) -> bool {
        self.hours == 0 && self.minutes == 0 && self.seconds == 0 && self.micros == 0
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, IntervalStyle::Postgres)
    }
}

impl Interval {
    pub fn write(&self, out: &mut impl Write, style: IntervalStyle) -> fmt::Result {
        let units = Units::of(self);
        match style {
            IntervalStyle::Postgres => write_postgres(out, &units),
            IntervalStyle::PostgresVerbose => write_verbose(out, &units),
            IntervalStyle::SqlStandard => write_sql_standard(out, &units),
            IntervalStyle::Iso8601 => write_iso8601(out, &units),
        }
    }

    /// `P1Y2M3DT4H5M6S`: the form that BSON, JSON and Redis values carry.
    pub fn to_iso8601(&self) -> String {
        let mut text = String::new();
        let _ = self.write(&mut text, IntervalStyle::Iso8601);
        text
    }
}

/// Seconds with up to six digits after the point, without trailing zeros.
fn write_seconds(out: &mut impl Write, seconds: i64, micros: i64, pad: bool) -> fmt::Result {
    let seconds = seconds.unsigned_abs();
    if pad {
        write!(out, "{seconds:02}")?;
    } else {
        write!(out, "{seconds}")?;
    }
    write_fraction(out, micros.unsigned_abs())
}

/// `.micros` without trailing zeros; nothing for zero.
pub(crate) fn write_fraction(out: &mut impl Write, micros: u64) -> fmt::Result {
    if micros == 0 {
        return Ok(());
    }
    let (mut fraction, mut width) = (micros, 6);
    while fraction % 10 == 0 {
        fraction /= 10;
        width -= 1;
    }
    write!(out, ".{fraction:0width$}")
}

fn write_postgres(out: &mut impl Write, units: &Units) -> fmt::Result {
    let mut empty = true;
    let mut negative = false;
    for (value, name) in [
        (units.years, "year"),
        (units.months, "mon"),
        (units.days, "day"),
    ] {
        if value == 0 {
            continue;
        }
        let space = if empty { "" } else { " " };
        let plus = if negative && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        write!(out, "{space}{plus}{value} {name}{plural}")?;
        negative = value < 0;
        empty = false;
    }
    if !empty && units.time_is_zero() {
        return Ok(());
    }
    let space = if empty { "" } else { " " };
    let sign = match units.time_is_negative() {
        true => "-",
        false if negative => "+",
        false => "",
    };
    let (hours, minutes) = (units.hours.unsigned_abs(), units.minutes.unsigned_abs());
    write!(out, "{space}{sign}{hours:02}:{minutes:02}:")?;
    write_seconds(out, units.seconds, units.micros, true)
}

fn write_verbose(out: &mut impl Write, units: &Units) -> fmt::Result {
    out.write_str("@")?;
    let mut empty = true;
    // The sign of the first field; fields of the other sign carry a minus of their own.
    let mut negative = false;
    let parts = [
        (i64::from(units.years), "year"),
        (i64::from(units.months), "mon"),
        (i64::from(units.days), "day"),
        (units.hours, "hour"),
        (units.minutes, "min"),
    ];
    for (value, name) in parts {
        if value == 0 {
            continue;
        }
        if empty {
            negative = value < 0;
        }
        let shown = if negative { -value } else { value };
        let plural = if shown == 1 { "" } else { "s" };
        write!(out, " {shown} {name}{plural}")?;
        empty = false;
    }
    if units.seconds != 0 || units.micros != 0 {
        let minus = units.seconds < 0 || units.micros < 0;
        if empty {
            negative = minus;
        }
        out.write_str(if minus != negative { " -" } else { " " })?;
        write_seconds(out, units.seconds, units.micros, false)?;
        let one = units.seconds.abs() == 1 && units.micros == 0;
        out.write_str(if one { " sec" } else { " secs" })?;
        empty = false;
    }
    if empty {
        out.write_str(" 0")?;
    }
    if negative {
        out.write_str(" ago")
    } else {
        Ok(())
    }
}

fn write_sql_standard(out: &mut impl Write, units: &Units) -> fmt::Result {
    let has_year_month = units.years != 0 || units.months != 0;
    let has_day = units.days != 0;
    let has_time = !units.time_is_zero();
    let has_day_time = has_day || has_time;
    let negative =
        units.years < 0 || units.months < 0 || units.days < 0 || units.time_is_negative();
    let positive = units.years > 0
        || units.months > 0
        || units.days > 0
        || (has_time && !units.time_is_negative());
    if !has_year_month && !has_day_time {
        return out.write_str("0");
    }
    let (years, months, days) = (
        units.years.unsigned_abs(),
        units.months.unsigned_abs(),
        units.days.unsigned_abs(),
    );
    let (hours, minutes) = (units.hours.unsigned_abs(), units.minutes.unsigned_abs());
    // The standard knows neither mixed signs nor months together with days.
    if (negative && positive) || (has_year_month && has_day_time) {
        let year_sign = if units.years < 0 || units.months < 0 {
            '-'
        } else {
            '+'
        };
        let day_sign = if units.days < 0 { '-' } else { '+' };
        let time_sign = if units.time_is_negative() { '-' } else { '+' };
        write!(
            out,
            "{year_sign}{years}-{months} {day_sign}{days} {time_sign}{hours}:{minutes:02}:"
        )?;
        return write_seconds(out, units.seconds, units.micros, true);
    }
    if negative {
        out.write_str("-")?;
    }
    if has_year_month {
        return write!(out, "{years}-{months}");
    }
    if has_day {
        write!(out, "{days} ")?;
    }
    write!(out, "{hours}:{minutes:02}:")?;
    write_seconds(out, units.seconds, units.micros, true)
}

fn write_iso8601(out: &mut impl Write, units: &Units) -> fmt::Result {
    let date = [(units.years, 'Y'), (units.months, 'M'), (units.days, 'D')];
    if date.iter().all(|(v, _)| *v == 0) && units.time_is_zero() {
        return out.write_str("PT0S");
    }
    out.write_str("P")?;
    for (value, letter) in date {
        if value != 0 {
            write!(out, "{value}{letter}")?;
        }
    }
    if units.time_is_zero() {
        return Ok(());
    }
    out.write_str("T")?;
    for (value, letter) in [(units.hours, 'H'), (units.minutes, 'M')] {
        if value != 0 {
            write!(out, "{value}{letter}")?;
        }
    }
    if units.seconds != 0 || units.micros != 0 {
        if units.seconds < 0 || units.micros < 0 {
            out.write_str("-")?;
        }
        write_seconds(out, units.seconds, units.micros, false)?;
        out.write_str("S")?;
    }
    Ok(())
}
