//! Time zones: fixed offsets, and the named zones of the IANA database.

use super::{abbreviation, civil_from_days, days_from_civil, is_leap_year};
use crate::{Result, error};
use chrono::{DateTime, NaiveDateTime, Offset, TimeZone as _};
use chrono_tz::{OffsetComponents, OffsetName, Tz};
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

/// The zones by their names in lower case.
static BY_NAME: LazyLock<HashMap<String, Tz>> = LazyLock::new(|| {
    chrono_tz::TZ_VARIANTS
        .iter()
        .map(|zone| (zone.name().to_ascii_lowercase(), *zone))
        .collect()
});

/// Largest offset that text may give, in seconds: 15:59:59.
const OFFSET_MAX: i32 = 16 * 3600 - 1;

/// A time zone. Offsets are seconds east of Greenwich.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeZone {
    Fixed(i32),
    Named(Tz),
}

/// The offset that is in force at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalOffset {
    /// Seconds east of Greenwich.
    pub seconds: i32,
    pub is_dst: bool,
}

impl Default for TimeZone {
    fn default() -> Self {
        TimeZone::UTC
    }
}

impl TimeZone {
    pub const UTC: TimeZone = TimeZone::Named(Tz::UTC);

    /// Reads a zone as `SET TIME ZONE` and `AT TIME ZONE` take it: a name of the database, an
    /// abbreviation, or a POSIX offset, whose sign counts west (`UTC+3` is three hours behind).
    pub fn parse(name: &str) -> Result<TimeZone> {
        Self::lookup(name)
            .ok_or_else(|| error!(InvalidParameterValue, "time zone \"{name}\" not recognized"))
    }

    pub(super) fn lookup(name: &str) -> Option<TimeZone> {
        let name = name.trim();
        if name.is_empty() || name.len() > 64 || !name.is_ascii() {
            return None;
        }
        let upper = name.to_ascii_uppercase();
        if let Some(seconds) = abbreviation::offset(&upper) {
            // UTC keeps its name, so that SHOW answers what was set.
            return Some(if seconds == 0 && matches!(upper.as_str(), "UTC" | "GMT") {
                Self::named(name)?
            } else {
                TimeZone::Fixed(seconds)
            });
        }
        Self::named(name).or_else(|| posix_offset(name).map(TimeZone::Fixed))
    }

    /// A zone of the IANA database, whatever the case of its letters.
    pub fn named(name: &str) -> Option<TimeZone> {
        BY_NAME
            .get(name.to_ascii_lowercase().as_str())
            .copied()
            .map(TimeZone::Named)
    }

    /// The offset at a moment in microseconds since 1970 UTC.
    pub fn at_utc(self, timestamp: i64) -> LocalOffset {
        match self {
            TimeZone::Fixed(seconds) => LocalOffset {
                seconds,
                is_dst: false,
            },
            TimeZone::Named(Tz::UTC) => LocalOffset {
                seconds: 0,
                is_dst: false,
            },
            TimeZone::Named(zone) => {
                let offset = zone.offset_from_utc_datetime(&chrono_time(timestamp));
                LocalOffset {
                    seconds: offset.fix().local_minus_utc(),
                    is_dst: !offset.dst_offset().is_zero(),
                }
            }
        }
    }

    /// The offset of a local time. A time that a change of clocks skips is read with the offset
    /// before the change, one that happens twice with the offset after it, as PostgreSQL does.
    pub fn at_local(self, local: i64) -> LocalOffset {
        match self {
            TimeZone::Fixed(_) | TimeZone::Named(Tz::UTC) => self.at_utc(local),
            TimeZone::Named(_) => {
                const DAY: i64 = super::MICROS_PER_DAY;
                let before = self.at_utc(local.saturating_sub(DAY));
                let after = self.at_utc(local.saturating_add(DAY));
                if before.seconds == after.seconds {
                    // Unless the clocks changed twice within two days, nothing changed.
                    let here = self.at_utc(local - i64::from(before.seconds) * 1_000_000);
                    return here;
                }
                let as_after = local - i64::from(after.seconds) * 1_000_000;
                let after_holds = self.at_utc(as_after).seconds == after.seconds;
                if after_holds { after } else { before }
            }
        }
    }

    /// The abbreviation in force at a moment (`CET`, `CEST`), or the offset as text.
    pub fn abbreviation_at(self, timestamp: i64) -> String {
        match self {
            TimeZone::Fixed(seconds) => {
                let mut text = String::new();
                let _ = super::format::write_offset(&mut text, seconds);
                text
            }
            TimeZone::Named(zone) => {
                let offset = zone.offset_from_utc_datetime(&chrono_time(timestamp));
                offset.abbreviation().unwrap_or("").to_owned()
            }
        }
    }
}

impl fmt::Display for TimeZone {
    /// As `SHOW timezone` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeZone::Named(zone) => f.write_str(zone.name()),
            TimeZone::Fixed(seconds) => {
                // The POSIX form that PostgreSQL shows: the name east, the offset west.
                let mut text = String::new();
                super::format::write_offset(&mut text, *seconds)?;
                let mut west = String::new();
                super::format::write_offset(&mut west, -*seconds)?;
                let west = west.strip_prefix('+').unwrap_or(&west);
                write!(f, "<{text}>{west}")
            }
        }
    }
}

/// A moment for chrono; years that it or the zone tables do not reach are replaced by a year of
/// the same calendar, whose rules are the last ones known.
fn chrono_time(timestamp: i64) -> NaiveDateTime {
    const LAST_YEAR_OF_TABLES: i32 = 2036;
    let days = timestamp.div_euclid(super::MICROS_PER_DAY);
    let (year, month, day) = civil_from_days(days);
    let moved = if year > LAST_YEAR_OF_TABLES {
        let weekday = super::calendar::weekday(days_from_civil(year, 1, 1));
        let same_calendar = |y: &i32| {
            is_leap_year(*y) == is_leap_year(year)
                && super::calendar::weekday(days_from_civil(*y, 1, 1)) == weekday
        };
        let year = (2009..=LAST_YEAR_OF_TABLES)
            .find(same_calendar)
            .unwrap_or(LAST_YEAR_OF_TABLES);
        days_from_civil(year, month, day)
    } else {
        days
    };
    let micros = moved * super::MICROS_PER_DAY + timestamp.rem_euclid(super::MICROS_PER_DAY);
    DateTime::from_timestamp_micros(micros)
        .unwrap_or_default()
        .naive_utc()
}

/// `+3`, `UTC-05:30`, `<+03>-03`: the offset counts west.
fn posix_offset(name: &str) -> Option<i32> {
    let digits_at = match name.strip_prefix('<') {
        Some(rest) => rest.find('>')? + 2,
        None => name.bytes().take_while(u8::is_ascii_alphabetic).count(),
    };
    let west = parse_offset(name.get(digits_at..)?)?;
    Some(-west)
}

/// `+hh`, `-hh:mm`, `+hhmm`, `+hh:mm:ss`, with or without sign; in seconds.
pub(super) fn parse_offset(text: &str) -> Option<i32> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let number = |part: &str| -> Option<i32> {
        let digits =
            !part.is_empty() && part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
        if digits { part.parse().ok() } else { None }
    };
    let mut parts = digits.split(':');
    let first = parts.next()?;
    let (hours, minutes) = match (parts.next(), first.len()) {
        (Some(minutes), _) => (number(first)?, number(minutes)?),
        (None, 3 | 4) => (number(first)? / 100, number(first)? % 100),
        (None, _) => (number(first)?, 0),
    };
    let seconds = match parts.next() {
        Some(seconds) => number(seconds)?,
        None => 0,
    };
    if parts.next().is_some() || minutes > 59 || seconds > 59 {
        return None;
    }
    let total = hours * 3600 + minutes * 60 + seconds;
    Some(if negative { -total } else { total })
}

pub(super) fn offset_in_range(seconds: i32) -> bool {
    seconds.abs() <= OFFSET_MAX
}
