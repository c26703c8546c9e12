//! PostgreSQL's interval: months, days and microseconds, kept apart because a month has no fixed
//! number of days and a day no fixed number of hours.
//!
//! Only comparison needs one number: there a month is 30 days and a day 24 hours, so `1 month`
//! equals `30 days` and groups with it, although the two print and add differently.

mod format;
mod parse;

pub use format::IntervalStyle;
pub(crate) use format::write_fraction;

use crate::{Result, error};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

pub const MONTHS_PER_YEAR: i32 = 12;
pub const DAYS_PER_MONTH: i32 = 30;
pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
pub const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
pub const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;
const SECONDS_PER_DAY: f64 = 86_400.0;

/// A span of time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

pub(crate) fn out_of_range() -> crate::Error {
    error!(DatetimeOverflow, "interval out of range")
}

impl Interval {
    pub const ZERO: Interval = Interval {
        months: 0,
        days: 0,
        micros: 0,
    };

    pub const fn new(months: i32, days: i32, micros: i64) -> Self {
        Interval {
            months,
            days,
            micros,
        }
    }

    /// The length in microseconds with 30-day months and 24-hour days: what comparison uses.
    pub fn total_micros(&self) -> i128 {
        let days = i64::from(self.months) * i64::from(DAYS_PER_MONTH) + i64::from(self.days);
        i128::from(self.micros) + i128::from(days) * i128::from(MICROS_PER_DAY)
    }

    pub fn checked_add(&self, other: &Interval) -> Result<Interval> {
        Ok(Interval {
            months: self
                .months
                .checked_add(other.months)
                .ok_or_else(out_of_range)?,
            days: self.days.checked_add(other.days).ok_or_else(out_of_range)?,
            micros: self
                .micros
                .checked_add(other.micros)
                .ok_or_else(out_of_range)?,
        })
    }

    pub fn checked_sub(&self, other: &Interval) -> Result<Interval> {
        Ok(Interval {
            months: self
                .months
                .checked_sub(other.months)
                .ok_or_else(out_of_range)?,
            days: self.days.checked_sub(other.days).ok_or_else(out_of_range)?,
            micros: self
                .micros
                .checked_sub(other.micros)
                .ok_or_else(out_of_range)?,
        })
    }

    pub fn checked_neg(&self) -> Result<Interval> {
        Interval::ZERO.checked_sub(self)
    }

    /// Multiplies each field; what is left of months becomes days, what is left of days time.
    pub fn mul_f64(&self, factor: f64) -> Result<Interval> {
        self.scale(|field| field * factor)
    }

    pub fn div_f64(&self, divisor: f64) -> Result<Interval> {
        if divisor == 0.0 {
            return Err(error!(DivisionByZero, "division by zero"));
        }
        self.scale(|field| field / divisor)
    }

    fn scale(&self, apply: impl Fn(f64) -> f64) -> Result<Interval> {
        let scaled_months = apply(f64::from(self.months));
        let scaled_days = apply(f64::from(self.days));
        let months = to_i32(scaled_months)?;
        let mut days = to_i32(scaled_days)?;
        let month_days =
            round_micros((scaled_months - f64::from(months)) * f64::from(DAYS_PER_MONTH));
        let mut seconds = round_micros(
            (scaled_days - f64::from(days) + month_days - month_days.trunc()) * SECONDS_PER_DAY,
        );
        if seconds.abs() >= SECONDS_PER_DAY {
            let whole = (seconds / SECONDS_PER_DAY).trunc();
            days = days.checked_add(to_i32(whole)?).ok_or_else(out_of_range)?;
            seconds -= whole * SECONDS_PER_DAY;
        }
        days = days
            .checked_add(to_i32(month_days)?)
            .ok_or_else(out_of_range)?;
        let micros = (apply(self.micros as f64) + seconds * 1e6).round_ties_even();
        if micros.is_nan() || micros < i64::MIN as f64 || micros >= i64::MAX as f64 {
            return Err(out_of_range());
        }
        Ok(Interval {
            months,
            days,
            micros: micros as i64,
        })
    }

    /// Turns whole 24-hour spans into days.
    pub fn justify_hours(&self) -> Result<Interval> {
        let whole = (self.micros / MICROS_PER_DAY) as i32;
        let days = self.days.checked_add(whole).ok_or_else(out_of_range)?;
        let (days, micros) = same_sign_time(days, self.micros % MICROS_PER_DAY);
        Ok(Interval {
            months: self.months,
            days,
            micros,
        })
    }

    /// Turns whole 30-day spans into months.
    pub fn justify_days(&self) -> Result<Interval> {
        let whole = self.days / DAYS_PER_MONTH;
        let mut days = self.days % DAYS_PER_MONTH;
        let mut months = self.months.checked_add(whole).ok_or_else(out_of_range)?;
        if months > 0 && days < 0 {
            days += DAYS_PER_MONTH;
            months -= 1;
        } else if months < 0 && days > 0 {
            days -= DAYS_PER_MONTH;
            months += 1;
        }
        Ok(Interval {
            months,
            days,
            micros: self.micros,
        })
    }

    /// Both, with one sign for all the fields.
    pub fn justify_interval(&self) -> Result<Interval> {
        let total = i64::from(self.days) + self.micros / MICROS_PER_DAY;
        let micros = self.micros % MICROS_PER_DAY;
        let whole = total / i64::from(DAYS_PER_MONTH);
        let mut days = (total % i64::from(DAYS_PER_MONTH)) as i32;
        let months = i64::from(self.months) + whole;
        let mut months = i32::try_from(months).map_err(|_| out_of_range())?;
        if months > 0 && (days < 0 || (days == 0 && micros < 0)) {
            days += DAYS_PER_MONTH;
            months -= 1;
        } else if months < 0 && (days > 0 || (days == 0 && micros > 0)) {
            days -= DAYS_PER_MONTH;
            months += 1;
        }
        let (days, micros) = same_sign_time(days, micros);
        Ok(Interval {
            months,
            days,
            micros,
        })
    }

    /// Applies an interval type's modifier: the fields that it keeps and the seconds' precision.
    pub fn apply_modifier(&self, modifier: i32) -> Result<Interval> {
        if modifier < 0 {
            return Ok(*self);
        }
        let mut result = *self;
        match (modifier >> 16) & 0x7fff {
            fields::YEAR => {
                result = Interval::new(self.months / 12 * 12, 0, 0);
            }
            fields::MONTH | fields::YEAR_TO_MONTH => result = Interval::new(self.months, 0, 0),
            fields::DAY => result.micros = 0,
            fields::HOUR | fields::DAY_TO_HOUR => {
                result.micros -= result.micros % MICROS_PER_HOUR;
            }
            fields::MINUTE | fields::DAY_TO_MINUTE | fields::HOUR_TO_MINUTE => {
                result.micros -= result.micros % MICROS_PER_MINUTE;
            }
            _ => {}
        }
        let precision = modifier & 0xffff;
        if precision < 6 {
            result.micros = crate::datetime::round_to_precision(result.micros, precision as u32)
                .ok_or_else(out_of_range)?;
        }
        Ok(result)
    }
}

/// The field masks in the upper half of an interval's type modifier.
pub mod fields {
    pub const MONTH: i32 = 1 << 1;
    pub const YEAR: i32 = 1 << 2;
    pub const DAY: i32 = 1 << 3;
    pub const HOUR: i32 = 1 << 10;
    pub const MINUTE: i32 = 1 << 11;
    pub const SECOND: i32 = 1 << 12;
    pub const YEAR_TO_MONTH: i32 = YEAR | MONTH;
    pub const DAY_TO_HOUR: i32 = DAY | HOUR;
    pub const DAY_TO_MINUTE: i32 = DAY | HOUR | MINUTE;
    pub const DAY_TO_SECOND: i32 = DAY | HOUR | MINUTE | SECOND;
    pub const HOUR_TO_MINUTE: i32 = HOUR | MINUTE;
    pub const HOUR_TO_SECOND: i32 = HOUR | MINUTE | SECOND;
    pub const MINUTE_TO_SECOND: i32 = MINUTE | SECOND;
    pub const ALL: i32 = 0x7fff;
}

/// Moves a day between the fields so that days and time agree in sign.
fn same_sign_time(days: i32, micros: i64) -> (i32, i64) {
    if days > 0 && micros < 0 {
        (days - 1, micros + MICROS_PER_DAY)
    } else if days < 0 && micros > 0 {
        (days + 1, micros - MICROS_PER_DAY)
    } else {
        (days, micros)
    }
}

fn to_i32(value: f64) -> Result<i32> {
    if value.is_nan() || value < f64::from(i32::MIN) || value > f64::from(i32::MAX) {
        return Err(out_of_range());
    }
    Ok(value as i32)
}

/// Rounds to a whole number of millionths, to hide the binary fraction of 0.1.
fn round_micros(value: f64) -> f64 {
    (value * 1e6).round_ties_even() / 1e6
}

impl PartialEq for Interval {
    fn eq(&self, other: &Self) -> bool {
        self.total_micros() == other.total_micros()
    }
}

impl Eq for Interval {}

impl PartialOrd for Interval {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Interval {
    fn cmp(&self, other: &Self) -> Ordering {
        self.total_micros().cmp(&other.total_micros())
    }
}

impl Hash for Interval {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.total_micros().hash(state);
    }
}
