//! Reading dates and times by a template.

use super::moment::{DAYS, MONTHS, Piece, ROMAN, iso_year_start, pieces};
use helios_types::datetime::{
    TimeZone, check_timestamp, days_from_civil, days_in_month, timestamp_to_timestamptz,
};
use helios_types::{Error, Result, error};

/// What a text gave for the patterns of its template.
#[derive(Default)]
pub(super) struct Read {
    year: Option<i64>,
    /// Digits of the year that were given, when fewer than four.
    short_year: Option<u32>,
    century: Option<i64>,
    before_christ: bool,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    week: Option<i64>,
    week_of_month: Option<i64>,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    iso_day_of_year: Option<i64>,
    julian: Option<i64>,
    hour: Option<i64>,
    twelve_hours: bool,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    micros: i64,
    day_seconds: Option<i64>,
    zone_hours: Option<i64>,
    zone_minutes: i64,
    zone_negative: bool,
}

fn invalid(text: &str, pattern: &str) -> Error {
    error!(
        InvalidDatetimeFormat,
        "invalid value \"{text}\" for \"{pattern}\""
    )
    .with_detail("Value must be an integer.")
}

fn out_of_range(text: &str) -> Error {
    error!(
        DatetimeOverflow,
        "date/time field value out of range: \"{text}\""
    )
}

pub(super) fn read(text: &str, template: &str) -> Result<Read> {
    let mut read = Read::default();
    let mut rest = text.trim_start();
    let pieces = pieces(template);
    for (i, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(literal) => rest = skip_literal(rest, literal),
            Piece::Pattern {
                name,
                fill,
                ordinal,
            } => {
                rest = rest.trim_start();
                if rest.is_empty() {
                    break;
                }
                // Next to another number the pattern takes only its own digits.
                let bounded = !fill
                    && matches!(pieces.get(i + 1), Some(Piece::Pattern { name, .. }) if is_numeric(name));
                rest = read.take(name, rest, bounded)?;
                if ordinal.is_some() {
                    rest = rest.get(2..).unwrap_or("");
                }
            }
        }
    }
    read.check(text)?;
    Ok(read)
}

/// Separators match any separators; other characters one character each.
fn skip_literal<'a>(text: &'a str, literal: &str) -> &'a str {
    let mut rest = text;
    for c in literal.chars() {
        if c.is_alphanumeric() {
            let mut chars = rest.chars();
            chars.next();
            rest = chars.as_str();
        } else {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace());
            if let Some(first) = rest
                .chars()
                .next()
                .filter(|f| !f.is_alphanumeric() && !matches!(f, '+' | '-') || *f == c)
            {
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    rest
}

fn is_numeric(pattern: &str) -> bool {
    width(pattern).is_some()
}

/// The digits that a numeric pattern takes.
fn width(pattern: &str) -> Option<usize> {
    Some(match pattern.to_ascii_uppercase().as_str() {
        "YYYY" | "IYYY" => 4,
        "YYY" | "IYY" | "DDD" | "IDDD" | "MS" | "FF3" => 3,
        "HH24" | "HH12" | "HH" | "MI" | "SS" | "YY" | "IY" | "MM" | "DD" | "WW" | "IW" | "CC"
        | "FF2" | "TZM" => 2,
        "US" | "FF6" => 6,
        "FF5" => 5,
        "FF4" => 4,
        "FF1" | "Y" | "I" | "D" | "ID" | "W" | "Q" => 1,
        "SSSS" | "SSSSS" => 5,
        "J" => 9,
        _ => return None,
    })
}

impl Read {
    fn take<'a>(&mut self, name: &str, text: &'a str, bounded: bool) -> Result<&'a str> {
        let pattern = name.to_ascii_uppercase();
        let Some(width) = width(name) else {
            return self.take_word(name, text);
        };
        let limit =
            if bounded || matches!(pattern.as_str(), "MS" | "US") || pattern.starts_with("FF") {
                width
            } else {
                usize::MAX
            };
        let (sign, digits_text) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let digits = digits_text
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count()
            .min(limit);
        let shown: String = text.chars().take(width).collect();
        if digits == 0 {
            return Err(invalid(&shown, name));
        }
        let value: i64 = digits_text[..digits]
            .parse()
            .map_err(|_| out_of_range(text))?;
        if value > i64::from(i32::MAX) {
            return Err(out_of_range(text));
        }
        self.assign(&pattern, value * sign, digits as u32)?;
        Ok(&digits_text[digits..])
    }

    fn assign(&mut self, pattern: &str, value: i64, digits: u32) -> Result<()> {
        match pattern {
            "YYYY" => {
                self.year = Some(value);
                self.short_year = (digits < 3).then_some(digits);
            }
            "YYY" | "YY" | "Y" => {
                self.year = Some(value);
                self.short_year = (digits < 4).then_some(digits);
            }
            "IYYY" | "IYY" | "IY" | "I" => {
                self.iso_year = Some(if digits < 4 {
                    full_year(value, digits)
                } else {
                    value
                });
            }
            "CC" => self.century = Some(value),
            "MM" => self.month = Some(value),
            "DD" => self.day = Some(value),
            "DDD" => self.day_of_year = Some(value),
            "IDDD" => self.iso_day_of_year = Some(value),
            "WW" => self.week = Some(value),
            "W" => self.week_of_month = Some(value),
            "IW" => self.iso_week = Some(value),
            "ID" => self.iso_day = Some(value),
            // Sunday is 1 here and 7 in ISO's numbering.
            "D" => self.iso_day = Some(if value == 1 { 7 } else { value - 1 }),
            "J" => self.julian = Some(value),
            "HH24" => self.hour = Some(value),
            "HH12" | "HH" => {
                self.hour = Some(value);
                self.twelve_hours = true;
            }
            "MI" => self.minute = value,
            "SS" => self.second = value,
            "MS" => self.micros += value * 10i64.pow(3u32.saturating_sub(digits)) * 1000,
            "SSSS" | "SSSSS" => self.day_seconds = Some(value),
            "TZM" => self.zone_minutes = value,
            "US" => self.micros += value * 10i64.pow(6u32.saturating_sub(digits)),
            _ if pattern.starts_with("FF") => {
                self.micros += value * 10i64.pow(6u32.saturating_sub(digits));
            }
            _ => {}
        }
        Ok(())
    }

    fn take_word<'a>(&mut self, name: &str, text: &'a str) -> Result<&'a str> {
        let pattern = name.to_ascii_uppercase();
        let starts = |word: &str| {
            text.get(..word.len())
                .is_some_and(|t| t.eq_ignore_ascii_case(word))
        };
        let unknown = || {
            let shown: String = text.chars().take(name.len()).collect();
            error!(
                InvalidDatetimeFormat,
                "invalid value \"{shown}\" for \"{name}\""
            )
            .with_detail("The given value did not match any of the allowed values for this field.")
        };
        let after = |length: usize| text.get(length..).unwrap_or("");
        Ok(match pattern.as_str() {
            "MONTH" | "MON" => {
                let full = MONTHS
                    .iter()
                    .position(|m| starts(m))
                    .filter(|_| pattern == "MONTH");
                let (index, length) = match full {
                    Some(i) => (i, MONTHS[i].len()),
                    None => (
                        MONTHS
                            .iter()
                            .position(|m| starts(&m[..3]))
                            .ok_or_else(unknown)?,
                        3,
                    ),
                };
                self.month = Some(index as i64 + 1);
                after(length)
            }
            "DAY" => {
                let day = DAYS.iter().find(|d| starts(d)).ok_or_else(unknown)?;
                after(day.len())
            }
            "DY" => {
                DAYS.iter().find(|d| starts(&d[..3])).ok_or_else(unknown)?;
                after(3)
            }
            "RM" => {
                let found = (0..12)
                    .rev()
                    .filter(|i| starts(ROMAN[*i]))
                    .max_by_key(|i| ROMAN[*i].len());
                let index = found.ok_or_else(unknown)?;
                self.month = Some(index as i64 + 1);
                after(ROMAN[index].len())
            }
            "AM" | "PM" | "A.M." | "P.M." => {
                let word = ["A.M.", "P.M.", "AM", "PM"]
                    .into_iter()
                    .find(|w| starts(w))
                    .ok_or_else(unknown)?;
                self.afternoon = Some(word.starts_with('P'));
                after(word.len())
            }
            "AD" | "BC" | "A.D." | "B.C." => {
                let word = ["A.D.", "B.C.", "AD", "BC"]
                    .into_iter()
                    .find(|w| starts(w))
                    .ok_or_else(unknown)?;
                self.before_christ = word.starts_with('B');
                after(word.len())
            }
            "Y,YYY" => {
                let end = text
                    .find(|c: char| !c.is_ascii_digit() && c != ',')
                    .unwrap_or(text.len());
                let digits: String = text[..end].chars().filter(|c| *c != ',').collect();
                self.year = Some(digits.parse().map_err(|_| unknown())?);
                after(end)
            }
            "TZH" => {
                self.zone_negative = text.starts_with('-');
                let digits = text.trim_start_matches(['+', '-']);
                let count = digits
                    .bytes()
                    .take(2)
                    .take_while(u8::is_ascii_digit)
                    .count();
                self.zone_hours = Some(digits[..count].parse().map_err(|_| invalid(text, name))?);
                &digits[count..]
            }
            _ => {
                return Err(Error::unsupported(format_args!(
                    "formatting field \"{name}\" in to_date"
                )));
            }
        })
    }

    fn check(&self, text: &str) -> Result<()> {
        if self.twelve_hours && self.hour.is_some_and(|h| !(1..=12).contains(&h)) {
            let hour = self.hour.unwrap_or(0);
            return Err(error!(
                InvalidDatetimeFormat,
                "hour \"{hour}\" is invalid for the 12-hour clock"
            )
            .with_hint("Use the 24-hour clock, or give an hour between 1 and 12."));
        }
        let in_range = self.hour.is_none_or(|h| (0..24).contains(&h))
            && (0..60).contains(&self.minute)
            && (0..60).contains(&self.second)
            && self.month.is_none_or(|m| (1..=12).contains(&m))
            && self.day_seconds.is_none_or(|s| (0..86_400).contains(&s));
        if !in_range {
            return Err(out_of_range(text));
        }
        let (year, month) = (self.full_year(), self.month.unwrap_or(1));
        if let Some(day) = self.day
            && (day < 1 || day > i64::from(days_in_month(year as i32, month as u32)))
        {
            return Err(out_of_range(text));
        }
        if self.day_of_year.is_some_and(|d| !(1..=366).contains(&d)) {
            return Err(out_of_range(text));
        }
        Ok(())
    }

    /// The astronomical year.
    fn full_year(&self) -> i64 {
        let mut year = match (self.year, self.short_year, self.century) {
            (Some(year), Some(2), Some(century)) => (century - 1) * 100 + year,
            (Some(year), Some(digits), _) => full_year(year, digits),
            (Some(year), None, _) => year,
            (None, _, Some(century)) => (century - 1) * 100 + 1,
            (None, _, None) => return 0,
        };
        if self.before_christ {
            year = 1 - year;
        } else if year < 0 {
            year += 1;
        }
        year
    }

    pub(super) fn days(&self) -> Result<i64> {
        if let Some(julian) = self.julian {
            return Ok(julian - 2_440_588);
        }
        if let Some(year) = self.iso_year {
            let start = iso_year_start(year as i32);
            return Ok(match (self.iso_day_of_year, self.iso_week) {
                (Some(day), _) => start + day - 1,
                (None, week) => start + (week.unwrap_or(1) - 1) * 7 + self.iso_day.unwrap_or(1) - 1,
            });
        }
        let year = self.full_year();
        // Without a year it is 1 BC, as PostgreSQL has it.
        let year = i32::try_from(year).map_err(|_| out_of_range("year"))?;
        if let Some(day) = self.day_of_year {
            return Ok(days_from_civil(year, 1, 1) + day - 1);
        }
        if let Some(week) = self.week {
            return Ok(days_from_civil(year, 1, 1) + (week - 1) * 7);
        }
        let month = self.month.unwrap_or(1) as u32;
        let day = match (self.day, self.week_of_month) {
            (Some(day), _) => day,
            (None, Some(week)) => (week - 1) * 7 + 1,
            (None, None) => 1,
        };
        Ok(days_from_civil(year, month, day as u32))
    }

    pub(super) fn moment(&self, zone: TimeZone) -> Result<i64> {
        let mut hour = self.hour.unwrap_or(0);
        if let Some(afternoon) = self.afternoon {
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        } else if self.twelve_hours && hour == 12 {
            hour = 0;
        }
        let seconds = match self.day_seconds {
            Some(seconds) => seconds,
            None => hour * 3600 + self.minute * 60 + self.second,
        };
        let micros = i128::from(self.days()?) * 86_400_000_000
            + i128::from(seconds) * 1_000_000
            + i128::from(self.micros);
        let local = check_timestamp(micros)?;
        let zone = match self.zone_hours {
            Some(hours) => {
                let seconds = (hours * 3600 + self.zone_minutes * 60) as i32;
                TimeZone::Fixed(if self.zone_negative {
                    -seconds
                } else {
                    seconds
                })
            }
            None => zone,
        };
        timestamp_to_timestamptz(local, zone)
    }
}

/// A year of fewer than four digits, taken to lie near 2020.
fn full_year(year: i64, digits: u32) -> i64 {
    match digits {
        0..=2 if year < 70 => year + 2000,
        0..=2 => year + 1900,
        3 if year >= 520 => year + 1000,
        3 => year + 2000,
        _ => year,
    }
}
