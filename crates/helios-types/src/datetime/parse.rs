//! Reading dates and times.
//!
//! The text is cut into fields by the shape of their characters (a date with separators, a time
//! with colons, a number, a word, a signed zone offset); the fields are then taken from left to
//! right. What a bare number means depends on how many digits it has, on what is already known,
//! and on the session's order of day and month, as in PostgreSQL.

mod fields;

use super::{
    Civil, DATE_INFINITY, DATE_NEG_INFINITY, DateContext, DateOrder, MICROS_PER_DAY,
    TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY, TimeZone, check_date, check_timestamp,
    civil_from_days, days_in_month, iso, timestamp_to_timestamptz, timestamptz_to_timestamp,
};
use crate::{Error, Result, error};
use fields::{Field, split_fields};

/// Longest text that can be a date; also bounds the number of fields.
const LENGTH_MAX: usize = 256;

/// Why a text was refused; the message needs the type's name and the whole text.
#[derive(Debug)]
enum Fault {
    Syntax,
    Overflow,
    /// A month or day beyond its bound, which another order of the fields might repair.
    MonthDayOverflow,
    ZoneOverflow,
    UnknownZone(String),
}

type Step<T> = std::result::Result<T, Fault>;

pub fn parse_date(text: &str, context: &DateContext) -> Result<i32> {
    if let Some(days) = iso::date(text).and_then(|days| i32::try_from(days).ok()) {
        return Ok(days);
    }
    let moment = decode(text, context).map_err(|f| fault_error(f, "date", text))?;
    let days = match moment {
        Moment::Infinity => return Ok(DATE_INFINITY),
        Moment::NegInfinity => return Ok(DATE_NEG_INFINITY),
        Moment::Parts(parts) => parts.days(),
    };
    check_date(days).map_err(|_| error!(DatetimeOverflow, "date out of range: \"{text}\""))
}

/// A zone in the text is accepted and ignored, as PostgreSQL does.
pub fn parse_timestamp(text: &str, context: &DateContext) -> Result<i64> {
    if let Some(micros) = iso::timestamp(text) {
        return Ok(micros);
    }
    let moment = decode(text, context).map_err(|f| fault_error(f, "timestamp", text))?;
    match moment {
        Moment::Infinity => Ok(TIMESTAMP_INFINITY),
        Moment::NegInfinity => Ok(TIMESTAMP_NEG_INFINITY),
        Moment::Parts(parts) => parts.local_micros().map_err(|_| range_error(text)),
    }
}

pub fn parse_timestamptz(text: &str, context: &DateContext) -> Result<i64> {
    if let Some(local) = iso::timestamp(text) {
        return timestamp_to_timestamptz(local, context.zone).map_err(|_| range_error(text));
    }
    let moment =
        decode(text, context).map_err(|f| fault_error(f, "timestamp with time zone", text))?;
    match moment {
        Moment::Infinity => Ok(TIMESTAMP_INFINITY),
        Moment::NegInfinity => Ok(TIMESTAMP_NEG_INFINITY),
        Moment::Parts(parts) => {
            let local = parts.local_micros().map_err(|_| range_error(text))?;
            timestamp_to_timestamptz(local, parts.zone.unwrap_or(context.zone))
                .map_err(|_| range_error(text))
        }
    }
}

/// Microseconds since midnight. A date before the time is accepted and ignored.
pub fn parse_time(text: &str, context: &DateContext) -> Result<i64> {
    let fault = |f| fault_error(f, "time", text);
    let parts = Decoder::run(text, context, true).map_err(fault)?;
    if parts.special.is_some() || (!parts.has_time && !parts.time_is_now) {
        return Err(fault(Fault::Syntax));
    }
    // A zone by name needs a date to have an offset.
    if matches!(parts.zone, Some(TimeZone::Named(_))) && parts.named_zone && parts.day.is_none() {
        return Err(fault(Fault::Syntax));
    }
    Ok(parts.time)
}

fn range_error(text: &str) -> Error {
    error!(DatetimeOverflow, "timestamp out of range: \"{text}\"")
}

fn fault_error(fault: Fault, type_name: &str, text: &str) -> Error {
    match fault {
        Fault::Syntax => {
            error!(
                InvalidDatetimeFormat,
                "invalid input syntax for type {type_name}: \"{text}\""
            )
        }
        Fault::Overflow => {
            error!(
                DatetimeOverflow,
                "date/time field value out of range: \"{text}\""
            )
        }
        Fault::MonthDayOverflow => error!(
            DatetimeOverflow,
            "date/time field value out of range: \"{text}\""
        )
        .with_hint("Perhaps you need a different \"datestyle\" setting."),
        Fault::ZoneOverflow => {
            error!(
                InvalidTimeZone,
                "time zone displacement out of range: \"{text}\""
            )
        }
        Fault::UnknownZone(name) => {
            error!(InvalidParameterValue, "time zone \"{name}\" not recognized")
        }
    }
}

enum Moment {
    Parts(Decoder),
    Infinity,
    NegInfinity,
}

fn decode(text: &str, context: &DateContext) -> Step<Moment> {
    let decoder = Decoder::run(text, context, false)?;
    match decoder.special {
        Some(Special::Infinity) => Ok(Moment::Infinity),
        Some(Special::NegInfinity) => Ok(Moment::NegInfinity),
        None => Ok(Moment::Parts(decoder)),
    }
}

#[derive(Clone, Copy)]
enum Special {
    Infinity,
    NegInfinity,
}

/// What is known while the fields are read.
#[derive(Default)]
struct Decoder {
    order: DateOrder,
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    /// The year was given by one or two digits.
    two_digit_year: bool,
    text_month: bool,
    bc: bool,
    /// Microseconds since midnight.
    time: i64,
    has_time: bool,
    /// `now`: the time of day comes from the transaction's time.
    time_is_now: bool,
    afternoon: Option<bool>,
    zone: Option<TimeZone>,
    named_zone: bool,
    special: Option<Special>,
    /// A Julian day, or a date from `today` and its like: no further validation.
    fixed_days: Option<i64>,
}

impl Decoder {
    fn run(text: &str, context: &DateContext, time_only: bool) -> Step<Decoder> {
        if text.len() > LENGTH_MAX {
            return Err(Fault::Syntax);
        }
        let fields = split_fields(text)?;
        let mut decoder = Decoder {
            order: context.order,
            ..Decoder::default()
        };
        let mut i = 0;
        while let Some(field) = fields.get(i) {
            i += 1;
            match field {
                Field::Date(date) => decoder.take_date(date, time_only)?,
                Field::Time(time) => decoder.take_time(time)?,
                Field::Number(number) => decoder.take_number(number, time_only)?,
                Field::Offset(offset) => decoder.take_offset(offset)?,
                Field::Word(word) => {
                    // `J2451187` and `T040506` give a meaning to the number that follows.
                    match (word.as_str(), fields.get(i)) {
                        ("j" | "jd" | "julian", Some(Field::Number(number))) => {
                            decoder.take_julian(number)?;
                            i += 1;
                        }
                        ("t", Some(Field::Number(number))) => {
                            decoder.take_time_digits(number)?;
                            i += 1;
                        }
                        ("t", Some(Field::Time(_))) => {}
                        _ => decoder.take_word(word, context)?,
                    }
                }
            }
        }
        decoder.finish(time_only)?;
        Ok(decoder)
    }

    fn take_date(&mut self, date: &str, time_only: bool) -> Step<()> {
        let complete = self.has_date() || (time_only && self.has_time);
        if complete || (!date.starts_with(|c: char| c.is_ascii_digit()) && date.contains('/')) {
            // A zone name with punctuation, or a time run together with an offset.
            if date.starts_with(|c: char| c.is_ascii_digit()) {
                let at = date.find('-').ok_or(Fault::Syntax)?;
                self.take_time_digits(&date[..at])?;
                return self.take_offset(&date[at..]);
            }
            return self.take_zone_name(date);
        }
        if !date.contains(|c: char| c.is_ascii_digit()) {
            return self.take_zone_name(date);
        }
        let parts = || {
            date.split(|c: char| !c.is_ascii_alphanumeric())
                .filter(|p| !p.is_empty())
        };
        // The name of the month decides how the numbers are read, so it is taken first.
        for part in parts() {
            if part.starts_with(|c: char| c.is_ascii_alphabetic()) {
                let Some(month) = month_of(part) else {
                    // `EST5EDT` and other zone names look like dates.
                    return self.take_zone_name(date);
                };
                if self.month.is_some() {
                    return Err(Fault::Syntax);
                }
                self.month = Some(month);
                self.text_month = true;
            }
        }
        for part in parts() {
            if part.starts_with(|c: char| c.is_ascii_digit()) {
                self.take_date_number(part)?;
            }
        }
        Ok(())
    }

    fn has_date(&self) -> bool {
        self.fixed_days.is_some()
            || (self.year.is_some()
                && (self.day_of_year.is_some() || (self.month.is_some() && self.day.is_some())))
    }

    /// One number of a date: year, month or day by what is missing and by the order.
    fn take_date_number(&mut self, digits: &str) -> Step<()> {
        let length = digits.len();
        let value: i32 = parse_digits(digits)?;
        if length == 3 && self.year.is_some() && self.month.is_none() && self.day.is_none() {
            if !(1..=366).contains(&value) {
                return Err(Fault::Overflow);
            }
            self.day_of_year = Some(value as u32);
            return Ok(());
        }
        let long = length >= 3;
        match (
            self.year.is_some(),
            self.month.is_some(),
            self.day.is_some(),
        ) {
            (false, false, false) if long || self.order == DateOrder::Ymd => {
                self.set_year(value, length);
            }
            (false, false, false) if self.order == DateOrder::Dmy => self.day = Some(value as u32),
            (false, false, false) => self.month = Some(value as u32),
            (true, false, false) | (false, false, true) => self.month = Some(value as u32),
            (false, true, false) if self.text_month && (long || self.order == DateOrder::Ymd) => {
                self.set_year(value, length);
            }
            (false, true, false) => self.day = Some(value as u32),
            (true, true, false) if self.text_month && long && self.two_digit_year => {
                // What was taken for a year was the day: `08-Jan-1999` in year-first order.
                self.day = self.year.map(|y| y as u32);
                self.set_year(value, length);
            }
            (true, true, false) => self.day = Some(value as u32),
            (false, true, true) => self.set_year(value, length),
            (true, false, true) => self.month = Some(value as u32),
            (true, true, true) => return Err(Fault::Syntax),
        }
        Ok(())
    }

    fn set_year(&mut self, value: i32, length: usize) {
        self.year = Some(value);
        self.two_digit_year = length <= 2;
    }

    /// A number that stands alone.
    fn take_number(&mut self, number: &str, time_only: bool) -> Step<()> {
        let (digits, fraction) = number.split_once('.').unwrap_or((number, ""));
        let has_point = number.contains('.');
        let has_date = self.has_date();
        if has_point && !has_date && !time_only && !self.has_partial_date() {
            // `1999.008`: year and day of the year.
            for part in [digits, fraction] {
                if !part.is_empty() {
                    self.take_date_number(part)?;
                }
            }
            return Ok(());
        }
        if has_point && digits.len() > 2 {
            return self.take_time_digits(number);
        }
        if has_point {
            return Err(Fault::Syntax);
        }
        if time_only && !has_date && !self.has_time && matches!(digits.len(), 4 | 6) {
            return self.take_time_digits(number);
        }
        if digits.len() >= 6 && !has_date && !self.has_partial_date() {
            // yymmdd, yyyymmdd.
            let (rest, day) = digits.split_at(digits.len() - 2);
            let (year, month) = rest.split_at(rest.len() - 2);
            self.set_year(parse_digits(year)?, year.len());
            self.month = Some(parse_digits(month)? as u32);
            self.day = Some(parse_digits(day)? as u32);
            return Ok(());
        }
        if has_date && !self.has_time && matches!(digits.len(), 4 | 6) {
            return self.take_time_digits(number);
        }
        if has_date {
            return Err(Fault::Syntax);
        }
        self.take_date_number(digits)
    }

    fn has_partial_date(&self) -> bool {
        self.year.is_some() || self.month.is_some() || self.day.is_some()
    }

    /// `hhmmss[.ffffff]`, `hhmm`.
    fn take_time_digits(&mut self, number: &str) -> Step<()> {
        let (digits, fraction) = number.split_once('.').unwrap_or((number, ""));
        if self.has_time || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Fault::Syntax);
        }
        let pair = |at: usize| {
            digits
                .get(at..at + 2)
                .map_or(Err(Fault::Syntax), parse_digits)
        };
        let (hour, minute, second) = match digits.len() {
            6 => (pair(0)?, pair(2)?, pair(4)?),
            4 => (pair(0)?, pair(2)?, 0),
            2 => (pair(0)?, 0, 0),
            _ => return Err(Fault::Syntax),
        };
        self.set_time(hour, minute, second, fraction)
    }

    fn take_time(&mut self, text: &str) -> Step<()> {
        if self.has_time {
            return Err(Fault::Syntax);
        }
        let mut parts = text.split(':');
        let hour = parse_digits(parts.next().unwrap_or(""))?;
        let minute_text = parts.next().ok_or(Fault::Syntax)?;
        let (minute, second_text) = match (parts.next(), minute_text.split_once('.')) {
            (Some(second), _) => (parse_digits(minute_text)?, second),
            // `mm:ss.ff` is not a time of day.
            (None, Some(_)) => return Err(Fault::Syntax),
            (None, None) => (parse_digits(minute_text)?, "0"),
        };
        if parts.next().is_some() {
            return Err(Fault::Syntax);
        }
        let (second, fraction) = second_text.split_once('.').unwrap_or((second_text, ""));
        self.set_time(hour, minute, parse_digits(second)?, fraction)
    }

    fn set_time(&mut self, hour: i32, minute: i32, second: i32, fraction: &str) -> Step<()> {
        if !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Fault::Syntax);
        }
        if minute > 59 || second > 60 || hour > 24 {
            return Err(Fault::Overflow);
        }
        let micros = match fraction {
            "" => 0,
            digits => {
                let value: f64 = format!("0.{digits}").parse().map_err(|_| Fault::Syntax)?;
                (value * 1e6).round_ties_even() as i64
            }
        };
        let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        self.time = seconds * 1_000_000 + micros;
        if hour == 24 && self.time > MICROS_PER_DAY {
            return Err(Fault::Overflow);
        }
        self.has_time = true;
        Ok(())
    }

    fn take_offset(&mut self, text: &str) -> Step<()> {
        if self.zone.is_some() && !self.named_zone {
            return Err(Fault::Syntax);
        }
        let mut seconds = super::zone::parse_offset(text).ok_or(Fault::Syntax)?;
        if !super::zone::offset_in_range(seconds) {
            return Err(Fault::ZoneOverflow);
        }
        // `UTC+3`, `GMT+3`: the POSIX form counts west.
        if self.named_zone {
            seconds = -seconds;
            self.named_zone = false;
        }
        self.zone = Some(TimeZone::Fixed(seconds));
        Ok(())
    }

    fn take_zone_name(&mut self, name: &str) -> Step<()> {
        if self.zone.is_some() {
            return Err(Fault::Syntax);
        }
        match TimeZone::lookup(name) {
            Some(zone) => {
                self.zone = Some(zone);
                self.named_zone = true;
                Ok(())
            }
            None if name.contains('/') => Err(Fault::UnknownZone(name.to_ascii_lowercase())),
            None => Err(Fault::Syntax),
        }
    }

    fn take_julian(&mut self, number: &str) -> Step<()> {
        let (digits, fraction) = number.split_once('.').unwrap_or((number, ""));
        let days = i64::from(parse_digits(digits)?) + i64::from(super::DATE_MIN);
        self.fixed_days = Some(days);
        if !fraction.is_empty() {
            let value: f64 = format!("0.{fraction}").parse().map_err(|_| Fault::Syntax)?;
            self.time = (value * MICROS_PER_DAY as f64).round_ties_even() as i64;
            self.has_time = true;
        }
        Ok(())
    }

    fn take_word(&mut self, word: &str, context: &DateContext) -> Step<()> {
        if let Some(month) = month_of(word) {
            return self.take_month_name(month);
        }
        match word {
            "am" | "pm" => {
                if self.afternoon.is_some() {
                    return Err(Fault::Syntax);
                }
                self.afternoon = Some(word == "pm");
            }
            "ad" => self.bc = false,
            "bc" => self.bc = true,
            "infinity" | "+infinity" => self.special = Some(Special::Infinity),
            "-infinity" => self.special = Some(Special::NegInfinity),
            "epoch" => {
                self.fixed_days = Some(0);
                self.has_time = true;
                self.zone = Some(TimeZone::UTC);
            }
            "now" => {
                self.set_relative_day(0, context)?;
                let local = self.local_now(context)?;
                self.time = local.rem_euclid(MICROS_PER_DAY);
                self.time_is_now = true;
            }
            "today" => self.set_relative_day(0, context)?,
            "tomorrow" => self.set_relative_day(1, context)?,
            "yesterday" => self.set_relative_day(-1, context)?,
            "allballs" => {
                self.has_time = true;
                self.zone = Some(TimeZone::UTC);
            }
            "at" | "on" | "t" => {}
            "dst" => {
                if let Some(TimeZone::Fixed(seconds)) = self.zone {
                    self.zone = Some(TimeZone::Fixed(seconds + 3600));
                }
            }
            _ if is_weekday(word) => {}
            _ => return self.take_zone_name(word),
        }
        Ok(())
    }

    fn take_month_name(&mut self, month: u32) -> Step<()> {
        // `8 Jan 1999` in month-first order: the number taken for a month was the day.
        if let (Some(number), false, None) = (self.month, self.text_month, self.day) {
            self.day = Some(number);
            self.month = None;
        }
        if self.month.is_some() {
            return Err(Fault::Syntax);
        }
        self.month = Some(month);
        self.text_month = true;
        Ok(())
    }

    fn local_now(&self, context: &DateContext) -> Step<i64> {
        timestamptz_to_timestamp(context.now, context.zone).map_err(|_| Fault::Overflow)
    }

    fn set_relative_day(&mut self, offset: i64, context: &DateContext) -> Step<()> {
        if self.has_date() {
            return Err(Fault::Syntax);
        }
        let local = self.local_now(context)?;
        self.fixed_days = Some(local.div_euclid(MICROS_PER_DAY) + offset);
        Ok(())
    }

    fn finish(&mut self, time_only: bool) -> Step<()> {
        if self.special.is_some() {
            return if self.has_time || self.has_partial_date() {
                Err(Fault::Syntax)
            } else {
                Ok(())
            };
        }
        if let Some(afternoon) = self.afternoon {
            let hour = self.time / 3_600_000_000;
            if !self.has_time || hour > 12 {
                return Err(Fault::Overflow);
            }
            if afternoon && hour != 12 {
                self.time += MICROS_PER_DAY / 2;
            } else if !afternoon && hour == 12 {
                self.time -= MICROS_PER_DAY / 2;
            }
        }
        if self.fixed_days.is_some() || (time_only && !self.has_partial_date()) {
            return Ok(());
        }
        self.validate_date()
    }

    fn validate_date(&mut self) -> Step<()> {
        let Some(mut year) = self.year else {
            return Err(Fault::Syntax);
        };
        if self.bc {
            if year <= 0 {
                return Err(Fault::Overflow);
            }
            year = 1 - year;
        } else if self.two_digit_year {
            year += if year < 70 { 2000 } else { 1900 };
        } else if year <= 0 {
            return Err(Fault::Overflow);
        }
        self.year = Some(year);
        if let Some(day_of_year) = self.day_of_year {
            let days = super::days_from_civil(year, 1, 1) + i64::from(day_of_year) - 1;
            let (found, month, day) = civil_from_days(days);
            if found != year {
                return Err(Fault::Overflow);
            }
            (self.month, self.day) = (Some(month), Some(day));
        }
        let (Some(month), Some(day)) = (self.month, self.day) else {
            return Err(Fault::Syntax);
        };
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(Fault::MonthDayOverflow);
        }
        if day > days_in_month(year, month) {
            return Err(Fault::Overflow);
        }
        Ok(())
    }

    fn days(&self) -> i64 {
        self.fixed_days.unwrap_or_else(|| {
            let civil = Civil {
                year: self.year.unwrap_or(1970),
                month: self.month.unwrap_or(1),
                day: self.day.unwrap_or(1),
                hour: 0,
                minute: 0,
                second: 0,
                micros: 0,
            };
            civil.days()
        })
    }

    fn local_micros(&self) -> Result<i64> {
        check_timestamp(
            i128::from(self.days()) * i128::from(MICROS_PER_DAY) + i128::from(self.time),
        )
    }
}

fn parse_digits(digits: &str) -> Step<i32> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::Syntax);
    }
    digits.parse().map_err(|_| Fault::Overflow)
}

/// The month of an English name, full or abbreviated, in lower case.
fn month_of(word: &str) -> Option<u32> {
    const NAMES: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    if word == "sept" {
        return Some(9);
    }
    let word = word.to_ascii_lowercase();
    let found = NAMES
        .iter()
        .position(|name| *name == word || name[..3] == word)?;
    Some(found as u32 + 1)
}

fn is_weekday(word: &str) -> bool {
    matches!(
        word,
        "sun"
            | "sunday"
            | "mon"
            | "monday"
            | "tue"
            | "tues"
            | "tuesday"
            | "wed"
            | "weds"
            | "wednesday"
            | "thu"
            | "thur"
            | "thurs"
            | "thursday"
            | "fri"
            | "friday"
            | "sat"
            | "saturday"
    )
}
