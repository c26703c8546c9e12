//! Timestamps plus intervals, differences, ages, and values from parts.

use super::{
    Civil, DATE_MAX, DATE_MIN, MICROS_PER_DAY, TimeZone, check_timestamp, days_from_civil,
    days_in_month, round_to_precision, timestamp_is_finite, timestamp_out_of_range,
};
use crate::interval::Interval;
use crate::{Result, error};

/// `timestamp + interval`: months first (the day is cut to the month's end), then days, then
/// time. Infinities stay.
pub fn timestamp_add(timestamp: i64, interval: &Interval) -> Result<i64> {
    if !timestamp_is_finite(timestamp) {
        return Ok(timestamp);
    }
    let moved = add_months_and_days(timestamp, interval)?;
    check_timestamp(i128::from(moved) + i128::from(interval.micros))
}

/// `timestamptz + interval`: months and days move the local calendar, so that a day across a
/// change of clocks keeps the time of day; hours are absolute.
pub fn timestamptz_add(timestamp: i64, interval: &Interval, zone: TimeZone) -> Result<i64> {
    if !timestamp_is_finite(timestamp) {
        return Ok(timestamp);
    }
    let mut moved = timestamp;
    // Two steps, because the month's step may land on another offset than the day's.
    for step in [
        Interval::new(interval.months, 0, 0),
        Interval::new(0, interval.days, 0),
    ] {
        if step.months == 0 && step.days == 0 {
            continue;
        }
        let local = timestamptz_to_timestamp(moved, zone)?;
        moved = timestamp_to_timestamptz(add_months_and_days(local, &step)?, zone)?;
    }
    check_timestamp(i128::from(moved) + i128::from(interval.micros))
}

fn add_months_and_days(timestamp: i64, interval: &Interval) -> Result<i64> {
    let mut micros = i128::from(timestamp);
    if interval.months != 0 {
        let mut civil = Civil::from_micros(timestamp);
        let months =
            i64::from(civil.year) * 12 + i64::from(civil.month) - 1 + i64::from(interval.months);
        civil.year = i32::try_from(months.div_euclid(12)).map_err(|_| timestamp_out_of_range())?;
        civil.month = months.rem_euclid(12) as u32 + 1;
        civil.day = civil.day.min(days_in_month(civil.year, civil.month));
        micros = civil.micros();
    }
    micros += i128::from(interval.days) * i128::from(MICROS_PER_DAY);
    check_timestamp(micros)
}

/// The local time of a moment.
pub fn timestamptz_to_timestamp(timestamp: i64, zone: TimeZone) -> Result<i64> {
    if !timestamp_is_finite(timestamp) {
        return Ok(timestamp);
    }
    let offset = zone.at_utc(timestamp).seconds;
    check_timestamp(i128::from(timestamp) + i128::from(offset) * 1_000_000)
}

/// The moment of a local time.
pub fn timestamp_to_timestamptz(timestamp: i64, zone: TimeZone) -> Result<i64> {
    if !timestamp_is_finite(timestamp) {
        return Ok(timestamp);
    }
    let offset = zone.at_local(timestamp).seconds;
    check_timestamp(i128::from(timestamp) - i128::from(offset) * 1_000_000)
}

/// `a - b`: days and time.
pub fn timestamp_difference(a: i64, b: i64) -> Result<Interval> {
    if !timestamp_is_finite(a) || !timestamp_is_finite(b) {
        return Err(error!(
            DatetimeOverflow,
            "cannot subtract infinite timestamps"
        ));
    }
    let micros = a.checked_sub(b).ok_or_else(crate::interval::out_of_range)?;
    Interval::new(0, 0, micros).justify_hours()
}

/// `age(a, b)`: years, months and days as a person counts them. For values with a zone the
/// caller passes local times.
pub fn age(a: i64, b: i64) -> Result<Interval> {
    if !timestamp_is_finite(a) || !timestamp_is_finite(b) {
        return Err(timestamp_out_of_range());
    }
    let (x, y) = (Civil::from_micros(a), Civil::from_micros(b));
    let negative = a < b;
    let sign = if negative { -1 } else { 1 };
    let mut micros = (x.time_micros() - y.time_micros()) * sign;
    let mut days = (i64::from(x.day) - i64::from(y.day)) * sign;
    let mut months = (i64::from(x.month) - i64::from(y.month)) * sign;
    let mut years = (i64::from(x.year) - i64::from(y.year)) * sign;
    if micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    }
    // Days are borrowed from the month of the earlier of the two dates.
    let earlier = if negative { x } else { y };
    while days < 0 {
        days += i64::from(days_in_month(earlier.year, earlier.month));
        months -= 1;
    }
    while months < 0 {
        months += 12;
        years -= 1;
    }
    let total = i32::try_from(years * 12 + months).map_err(|_| crate::interval::out_of_range())?;
    Ok(Interval::new(
        total * sign as i32,
        days as i32 * sign as i32,
        micros * sign,
    ))
}

/// `make_date`: a negative year is BC.
pub fn make_date(year: i32, month: i32, day: i32) -> Result<i32> {
    let fault = || {
        error!(
            DatetimeOverflow,
            "date field value out of range: {year}-{month:02}-{day:02}"
        )
    };
    if year == 0 {
        return Err(fault());
    }
    let astronomical = if year < 0 {
        year.checked_add(1).ok_or_else(fault)?
    } else {
        year
    };
    if !(1..=12).contains(&month)
        || day < 1
        || day as u32 > days_in_month(astronomical, month as u32)
    {
        return Err(fault());
    }
    let days = days_from_civil(astronomical, month as u32, day as u32);
    match i32::try_from(days) {
        Ok(date) if (DATE_MIN..=DATE_MAX).contains(&date) => Ok(date),
        _ => Err(error!(
            DatetimeOverflow,
            "date out of range: {year}-{month:02}-{day:02}"
        )),
    }
}

/// Seconds of an error message: two digits in front of the point.
fn two_digits(seconds: f64) -> String {
    let text = crate::text::float8_text(seconds);
    format!("{text:0>2}")
}

/// `make_time`: seconds may have a fraction and be 60; hours 24 only at the day's end.
pub fn make_time(hour: i32, minute: i32, seconds: f64) -> Result<i64> {
    let fault = || {
        error!(
            DatetimeOverflow,
            "time field value out of range: {hour}:{minute:02}:{}",
            two_digits(seconds)
        )
    };
    if !(0..=24).contains(&hour) || !(0..=59).contains(&minute) || !(0.0..=60.0).contains(&seconds)
    {
        return Err(fault());
    }
    let whole = i64::from(hour) * 3600 + i64::from(minute) * 60;
    let micros = whole * 1_000_000 + (seconds * 1e6).round_ties_even() as i64;
    if micros > MICROS_PER_DAY {
        Err(fault())
    } else {
        Ok(micros)
    }
}

pub fn make_timestamp(
    year: i32,
    month: i32,
    day: i32,
    hour: i32,
    minute: i32,
    seconds: f64,
) -> Result<i64> {
    let date = make_date(year, month, day)?;
    let time = make_time(hour, minute, seconds)?;
    check_timestamp(i128::from(date) * i128::from(MICROS_PER_DAY) + i128::from(time))
}

/// Applies a precision of the seconds; infinities stay.
pub fn timestamptz_truncate(timestamp: i64, precision: i32) -> Result<i64> {
    if !timestamp_is_finite(timestamp) || !(0..6).contains(&precision) {
        return Ok(timestamp);
    }
    // Half away from zero counts from PostgreSQL's epoch; halves fall alike on both sides only
    // there.
    let shifted = i128::from(timestamp) - i128::from(super::POSTGRES_EPOCH_MICROS);
    let shifted = i64::try_from(shifted).map_err(|_| timestamp_out_of_range())?;
    let rounded =
        round_to_precision(shifted, precision as u32).ok_or_else(timestamp_out_of_range)?;
    check_timestamp(i128::from(rounded) + i128::from(super::POSTGRES_EPOCH_MICROS))
}
