//! The calendar: time zones, civil dates and units of time.
//!
//! A date is milliseconds since the epoch in UTC. A *local* value is the same count as a clock in
//! some zone would show it, so that calendar arithmetic needs no zone.

use super::*;
use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeZone};

pub(super) const DAY_MS: i64 = 86_400_000;

/// A time zone by name or fixed offset.
#[derive(Clone, Copy, Debug)]
pub(super) enum Zone {
    Fixed(i64),
    Named(chrono_tz::Tz),
}

impl Zone {
    pub const UTC: Zone = Zone::Fixed(0);

    pub fn parse(text: &str) -> DocResult<Zone> {
        if matches!(text, "UTC" | "GMT" | "Z") {
            return Ok(Zone::UTC);
        }
        if let Some(offset) = parse_offset(text) {
            return Ok(Zone::Fixed(offset));
        }
        match text.parse::<chrono_tz::Tz>() {
            Ok(zone) => Ok(Zone::Named(zone)),
            Err(_) => fail!(40485, "unrecognized time zone identifier: \"{text}\""),
        }
    }

    /// Milliseconds to add to UTC at this moment.
    pub fn offset_ms(self, utc: i64) -> i64 {
        match self {
            Zone::Fixed(seconds) => seconds * 1000,
            Zone::Named(zone) => DateTime::from_timestamp_millis(utc).map_or(0, |at| {
                i64::from(
                    zone.offset_from_utc_datetime(&at.naive_utc())
                        .fix()
                        .local_minus_utc(),
                ) * 1000
            }),
        }
    }

    pub fn to_local(self, utc: i64) -> i64 {
        utc.saturating_add(self.offset_ms(utc))
    }

    /// Of two possible moments the first; in a gap the moment after it.
    pub fn to_utc(self, local: i64) -> i64 {
        match self {
            Zone::Fixed(seconds) => local.saturating_sub(seconds * 1000),
            Zone::Named(zone) => {
                let Some(naive) = DateTime::from_timestamp_millis(local).map(|d| d.naive_utc())
                else {
                    return local;
                };
                match zone.from_local_datetime(&naive) {
                    LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => {
                        at.timestamp_millis()
                    }
                    LocalResult::None => local - gap_offset(zone, &naive),
                }
            }
        }
    }
}

/// The offset that was in force before the clocks were put forward.
fn gap_offset(zone: chrono_tz::Tz, naive: &NaiveDateTime) -> i64 {
    let before = naive.and_utc().timestamp_millis() - DAY_MS;
    Zone::Named(zone).offset_ms(before)
}

/// `+05`, `+0530`, `+05:30`, in seconds.
pub(super) fn parse_offset(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    if !digits.bytes().all(|b| b.is_ascii_digit()) || !matches!(digits.len(), 2 | 4) {
        return None;
    }
    if text[1..].contains(':') && text.len() != 6 {
        return None;
    }
    let hours: i64 = digits[..2].parse().ok()?;
    let minutes: i64 = if digits.len() == 4 {
        digits[2..].parse().ok()?
    } else {
        0
    };
    Some(sign * (hours * 3600 + minutes * 60))
}

/// Fields of a local value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Civil {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub ms: i64,
}

impl Civil {
    pub fn of(local: i64) -> Civil {
        let (year, month, day) = date_of_days(local.div_euclid(DAY_MS));
        let rest = local.rem_euclid(DAY_MS);
        Civil {
            year,
            month,
            day,
            hour: rest / 3_600_000,
            minute: rest / 60_000 % 60,
            second: rest / 1000 % 60,
            ms: rest % 1000,
        }
    }

    /// Back to a local value; fields out of range carry over.
    pub fn to_local(self) -> Option<i64> {
        let months = self.year.checked_mul(12)?.checked_add(self.month - 1)?;
        let days = days_of_date(months.div_euclid(12), months.rem_euclid(12) + 1, 1)
            .checked_add(self.day - 1)?;
        days.checked_mul(DAY_MS)?
            .checked_add(self.hour.checked_mul(3_600_000)?)?
            .checked_add(self.minute.checked_mul(60_000)?)?
            .checked_add(self.second.checked_mul(1000)?)?
            .checked_add(self.ms)
    }
}

/// Days since the epoch of a date of the proleptic Gregorian calendar, counted in eras of 400
/// years that begin on 1 March, so that the leap day is the last of its year.
pub(super) fn days_of_date(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

pub(super) fn date_of_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Sunday is 0.
pub(super) fn weekday(days: i64) -> i64 {
    (days + 4).rem_euclid(7)
}

pub(super) fn day_of_year(local: i64) -> i64 {
    let c = Civil::of(local);
    local.div_euclid(DAY_MS) - days_of_date(c.year, 1, 1) + 1
}

/// ISO year and week.
pub(super) fn iso_week(local: i64) -> (i64, i64) {
    let days = local.div_euclid(DAY_MS);
    let monday_based = (weekday(days) + 6) % 7;
    let thursday = days - monday_based + 3;
    let (year, ..) = date_of_days(thursday);
    (year, (thursday - days_of_date(year, 1, 1)) / 7 + 1)
}

/// The Monday of the first ISO week of a year.
pub(super) fn iso_year_start(year: i64) -> i64 {
    let fourth = days_of_date(year, 1, 4);
    fourth - (weekday(fourth) + 6) % 7
}

/// Weeks that begin on Sunday; days before the first Sunday are week 0.
pub(super) fn week_of_year(local: i64) -> i64 {
    let days = local.div_euclid(DAY_MS);
    (day_of_year(local) - 1 + 7 - weekday(days)) / 7
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

impl Unit {
    pub fn parse(text: &str) -> Option<Unit> {
        Some(match text {
            "year" => Unit::Year,
            "quarter" => Unit::Quarter,
            "month" => Unit::Month,
            "week" => Unit::Week,
            "day" => Unit::Day,
            "hour" => Unit::Hour,
            "minute" => Unit::Minute,
            "second" => Unit::Second,
            "millisecond" => Unit::Millisecond,
            _ => return None,
        })
    }

    /// The length of units that have a fixed one.
    pub fn fixed_ms(self) -> Option<i64> {
        Some(match self {
            Unit::Week => 7 * DAY_MS,
            Unit::Day => DAY_MS,
            Unit::Hour => 3_600_000,
            Unit::Minute => 60_000,
            Unit::Second => 1000,
            Unit::Millisecond => 1,
            _ => return None,
        })
    }

    pub fn months(self) -> i64 {
        match self {
            Unit::Year => 12,
            Unit::Quarter => 3,
            _ => 1,
        }
    }
}

/// A moment moved by a number of units on the zone's clock.
pub(super) fn add_units(utc: i64, unit: Unit, amount: i64, zone: Zone) -> Option<i64> {
    match unit.fixed_ms() {
        // Units up to the hour are lengths of time; days and weeks follow the clock.
        Some(length) if length < DAY_MS => utc.checked_add(amount.checked_mul(length)?),
        Some(length) => {
            let local = zone
                .to_local(utc)
                .checked_add(amount.checked_mul(length)?)?;
            Some(zone.to_utc(local))
        }
        None => {
            let mut civil = Civil::of(zone.to_local(utc));
            let months = civil
                .year
                .checked_mul(12)?
                .checked_add(civil.month - 1)?
                .checked_add(amount.checked_mul(unit.months())?)?;
            if months.abs() > 12 * 300_000_000 {
                return None;
            }
            civil.year = months.div_euclid(12);
            civil.month = months.rem_euclid(12) + 1;
            civil.day = civil.day.min(days_in_month(civil.year, civil.month));
            Some(zone.to_utc(civil.to_local()?))
        }
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let (next_year, next_month) = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    days_of_date(next_year, next_month, 1) - days_of_date(year, month, 1)
}

/// Boundaries of the unit between two moments.
pub(super) fn difference(start: i64, end: i64, unit: Unit, zone: Zone, week_start: i64) -> i64 {
    if let Unit::Hour | Unit::Minute | Unit::Second | Unit::Millisecond = unit {
        let length = unit.fixed_ms().unwrap_or(1);
        // Half-hour zones have hour boundaries of their own.
        let (a, b) = (zone.to_local(start), zone.to_local(end));
        let drift = zone.offset_ms(end) - zone.offset_ms(start);
        return (b - drift).div_euclid(length) - a.div_euclid(length);
    }
    let (a, b) = (zone.to_local(start), zone.to_local(end));
    let (ca, cb) = (Civil::of(a), Civil::of(b));
    match unit {
        Unit::Year => cb.year - ca.year,
        Unit::Quarter => (cb.year * 4 + (cb.month - 1) / 3) - (ca.year * 4 + (ca.month - 1) / 3),
        Unit::Month => (cb.year * 12 + cb.month) - (ca.year * 12 + ca.month),
        Unit::Week => {
            // Day 3 of the epoch (4 January 1970) was a Sunday.
            let week = |local: i64| (local.div_euclid(DAY_MS) - 3 - week_start).div_euclid(7);
            week(b) - week(a)
        }
        _ => b.div_euclid(DAY_MS) - a.div_euclid(DAY_MS),
    }
}

/// The start of the bin that holds a moment; bins are counted from 1 January 2000.
pub(super) fn truncate(utc: i64, unit: Unit, bin: i64, zone: Zone, week_start: i64) -> Option<i64> {
    let reference_days = days_of_date(2000, 1, 1);
    let local = zone.to_local(utc);
    match unit {
        Unit::Year | Unit::Quarter | Unit::Month => {
            let civil = Civil::of(local);
            let step = bin.checked_mul(unit.months())?;
            let months = (civil.year - 2000) * 12 + civil.month - 1;
            let first = 2000 * 12 + months.div_euclid(step).checked_mul(step)?;
            let days = days_of_date(first.div_euclid(12), first.rem_euclid(12) + 1, 1);
            Some(zone.to_utc(days.checked_mul(DAY_MS)?))
        }
        Unit::Week => {
            let start = reference_days + (week_start - weekday(reference_days)).rem_euclid(7);
            let step = bin.checked_mul(7)?;
            let days = (local.div_euclid(DAY_MS) - start)
                .div_euclid(step)
                .checked_mul(step)?
                + start;
            Some(zone.to_utc(days.checked_mul(DAY_MS)?))
        }
        Unit::Day => {
            let days = (local.div_euclid(DAY_MS) - reference_days)
                .div_euclid(bin)
                .checked_mul(bin)?;
            Some(zone.to_utc((days + reference_days).checked_mul(DAY_MS)?))
        }
        _ => {
            let step = bin.checked_mul(unit.fixed_ms()?)?;
            let reference = zone.to_utc(reference_days * DAY_MS);
            let bins = utc
                .checked_sub(reference)?
                .div_euclid(step)
                .checked_mul(step)?;
            reference.checked_add(bins)
        }
    }
}
