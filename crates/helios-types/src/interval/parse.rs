//! The input forms: verbose (`1 year 2 mons ago`), with a time (`1 day 02:03:04`), the standard's
//! (`1-2`, `1 2:03:04`) and ISO 8601 (`P1Y2M3DT4H5M6S`, `P0001-02-03T04:05:06`).
//!
//! Fields are read from right to left, because a unit stands after its number and a bare number
//! takes its unit from what follows it: before a time it is days, at the end seconds.

use super::{
    DAYS_PER_MONTH, Interval, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE,
    MICROS_PER_SECOND, MONTHS_PER_YEAR, fields,
};
use crate::{Error, Result, error};

/// Longest text that can be an interval; also bounds the number of fields.
const LENGTH_MAX: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
}

enum Fault {
    Syntax,
    Overflow,
}

type Step<T> = std::result::Result<T, Fault>;

impl Interval {
    /// Reads any of the input forms.
    pub fn parse(text: &str) -> Result<Interval> {
        Self::parse_with_modifier(text, -1)
    }

    /// Reads with a type modifier, which decides the unit of a bare number (`interval '5' day`)
    /// and then restricts the result.
    pub fn parse_with_modifier(text: &str, modifier: i32) -> Result<Interval> {
        let range = if modifier < 0 {
            fields::ALL
        } else {
            (modifier >> 16) & 0x7fff
        };
        let parsed = if text.len() > LENGTH_MAX {
            Err(Fault::Syntax)
        } else if text.trim().starts_with('P') {
            parse_iso8601(text.trim())
        } else {
            parse_fields(text, range)
        };
        parsed
            .map_err(|fault| fault_error(fault, text))?
            .apply_modifier(modifier)
    }
}

fn fault_error(fault: Fault, text: &str) -> Error {
    match fault {
        Fault::Syntax => {
            error!(
                InvalidDatetimeFormat,
                "invalid input syntax for type interval: \"{text}\""
            )
        }
        Fault::Overflow => {
            error!(
                IntervalOverflow,
                "interval field value out of range: \"{text}\""
            )
        }
    }
}

enum Token<'a> {
    /// A number with an optional sign, fraction, or `-months`.
    Number(&'a str),
    Time(&'a str),
    Word(&'a str),
}

fn tokens(text: &str) -> Step<Vec<Token<'_>>> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'0'..=b'9' | b'+' | b'-' | b'.' => {
                if matches!(bytes[at], b'+' | b'-') {
                    at += 1;
                    while at < bytes.len() && bytes[at].is_ascii_whitespace() {
                        at += 1;
                    }
                }
                let digits = at;
                while at < bytes.len()
                    && (bytes[at].is_ascii_digit() || matches!(bytes[at], b'.' | b':' | b'-'))
                {
                    at += 1;
                }
                if digits == at {
                    return Err(Fault::Syntax);
                }
                let token = &text[start..at];
                out.push(if token.contains(':') {
                    Token::Time(token)
                } else {
                    Token::Number(token)
                });
            }
            b if b.is_ascii_alphabetic() => {
                while at < bytes.len() && bytes[at].is_ascii_alphabetic() {
                    at += 1;
                }
                out.push(Token::Word(&text[start..at]));
            }
            b if b.is_ascii_whitespace() || b.is_ascii_punctuation() => at += 1,
            _ => return Err(Fault::Syntax),
        }
    }
    Ok(out)
}

fn parse_fields(text: &str, range: i32) -> Step<Interval> {
    let mut sum = Sum::default();
    let mut unit: Option<Unit> = None;
    let mut ago = false;
    for token in tokens(text)?.iter().rev() {
        match token {
            Token::Time(time) => {
                let (negative, digits) = split_sign(time);
                let micros = parse_time(digits, range)?;
                sum.claim(TIME_MASK)?;
                sum.add_micros(i128::from(if negative { -micros } else { micros }))?;
                unit = Some(Unit::Day);
            }
            Token::Number(number) => {
                let given = unit.unwrap_or_else(|| default_unit(range));
                unit = parse_number(number, given, &mut sum)?;
            }
            Token::Word(word) if word.eq_ignore_ascii_case("ago") => ago = true,
            Token::Word(word) => {
                unit = Some(parse_unit(&word.to_ascii_lowercase()).ok_or(Fault::Syntax)?);
            }
        }
    }
    if sum.seen == 0 {
        return Err(Fault::Syntax);
    }
    let interval = sum.finish()?;
    if ago {
        interval.checked_neg().map_err(|_| Fault::Overflow)
    } else {
        Ok(interval)
    }
}

/// The unit of a rightmost number without one, by the type's fields.
fn default_unit(range: i32) -> Unit {
    match range {
        fields::YEAR => Unit::Year,
        fields::MONTH | fields::YEAR_TO_MONTH => Unit::Month,
        fields::DAY => Unit::Day,
        fields::HOUR | fields::DAY_TO_HOUR => Unit::Hour,
        fields::MINUTE | fields::HOUR_TO_MINUTE | fields::DAY_TO_MINUTE => Unit::Minute,
        _ => Unit::Second,
    }
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, text[1..].trim_start()),
        Some(b'+') => (false, text[1..].trim_start()),
        _ => (false, text),
    }
}

/// Adds a number in its unit; returns the unit that a bare number before it has.
fn parse_number(number: &str, unit: Unit, sum: &mut Sum) -> Step<Option<Unit>> {
    let (negative, digits) = split_sign(number);
    let sign = if negative { -1 } else { 1 };
    if let Some((years, months)) = digits.split_once('-') {
        let years = parse_i64(years)?;
        let months = parse_i64(months)?;
        if months >= 12 {
            return Err(Fault::Overflow);
        }
        sum.claim(1 << Unit::Month as u32)?;
        let total = years.checked_mul(12).and_then(|m| m.checked_add(months));
        sum.months += i128::from(total.ok_or(Fault::Overflow)?) * sign;
        return Ok(Some(Unit::Month));
    }
    let (whole, fraction) = split_fraction(digits)?;
    sum.add(unit, i128::from(whole) * sign, fraction * sign as f64)?;
    // A number before hours without a unit of its own is days.
    Ok(Some(if unit == Unit::Hour { Unit::Day } else { unit }))
}

/// `12`, `12.5`, `.5` as the whole part and the fraction.
fn split_fraction(digits: &str) -> Step<(i64, f64)> {
    match digits.split_once('.') {
        None => Ok((parse_i64(digits)?, 0.0)),
        Some((whole, fraction)) => {
            if !fraction.bytes().all(|b| b.is_ascii_digit())
                || (whole.is_empty() && fraction.is_empty())
            {
                return Err(Fault::Syntax);
            }
            let whole = if whole.is_empty() {
                0
            } else {
                parse_i64(whole)?
            };
            let value = format!("0.{fraction}").parse().unwrap_or(0.0);
            Ok((whole, value))
        }
    }
}

fn parse_i64(digits: &str) -> Step<i64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::Syntax);
    }
    digits.parse().map_err(|_| Fault::Overflow)
}

/// `hh:mm`, `hh:mm:ss[.ffffff]`, `mm:ss.f`; hours have no bound.
fn parse_time(text: &str, range: i32) -> Step<i64> {
    let mut parts = text.split(':');
    let first = parse_i64(parts.next().unwrap_or(""))?;
    let second = parts.next().ok_or(Fault::Syntax)?;
    let third = parts.next();
    if parts.next().is_some() {
        return Err(Fault::Syntax);
    }
    let (hours, minutes, seconds) = match third {
        Some(third) => (first, parse_i64(second)?, third),
        // mm:ss when there is a fraction or the type says so.
        None if second.contains('.') || range == fields::MINUTE_TO_SECOND => (0, first, second),
        None => (first, parse_i64(second)?, "0"),
    };
    let (seconds, fraction) = split_fraction(seconds)?;
    if minutes > 59 || seconds > 60 {
        return Err(Fault::Overflow);
    }
    let micros = i128::from(hours) * i128::from(MICROS_PER_HOUR)
        + i128::from(minutes) * i128::from(MICROS_PER_MINUTE)
        + i128::from(seconds) * i128::from(MICROS_PER_SECOND)
        + (fraction * 1e6).round_ties_even() as i128;
    i64::try_from(micros).map_err(|_| Fault::Overflow)
}

fn parse_unit(word: &str) -> Option<Unit> {
    Some(match word {
        "us" | "usec" | "usecs" | "microsecond" | "microseconds" | "microsecon" | "usecond"
        | "useconds" => Unit::Microsecond,
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" | "mseconds" | "msecond" => {
            Unit::Millisecond
        }
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "w" | "week" | "weeks" => Unit::Week,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
        "dec" | "decs" | "decade" | "decades" => Unit::Decade,
        "c" | "cent" | "century" | "centuries" => Unit::Century,
        "mil" | "mils" | "millennia" | "millennium" => Unit::Millennium,
        _ => return None,
    })
}

const TIME_MASK: u32 = 1 << Unit::Hour as u32 | 1 << Unit::Minute as u32 | 1 << Unit::Second as u32;

/// The fields added up so far, wide enough that only the end needs a range check.
#[derive(Default)]
struct Sum {
    months: i128,
    days: i128,
    micros: i128,
    /// Units already given; a second one of the same is a syntax error.
    seen: u32,
}

impl Sum {
    fn claim(&mut self, mask: u32) -> Step<()> {
        if self.seen & mask != 0 {
            return Err(Fault::Syntax);
        }
        self.seen |= mask;
        Ok(())
    }

    fn add_micros(&mut self, micros: i128) -> Step<()> {
        self.micros += micros;
        Ok(())
    }

    fn add(&mut self, unit: Unit, whole: i128, fraction: f64) -> Step<()> {
        self.claim(1 << unit as u32)?;
        match unit {
            Unit::Microsecond => self.time(whole, fraction, 1),
            Unit::Millisecond => self.time(whole, fraction, 1000),
            Unit::Second => self.time(whole, fraction, MICROS_PER_SECOND),
            Unit::Minute => self.time(whole, fraction, MICROS_PER_MINUTE),
            Unit::Hour => self.time(whole, fraction, MICROS_PER_HOUR),
            Unit::Day => {
                self.days += whole;
                self.time(0, fraction, MICROS_PER_DAY);
            }
            Unit::Week => {
                self.days += whole * 7;
                self.fraction_of_days(fraction, 7);
            }
            Unit::Month => {
                self.months += whole;
                self.fraction_of_days(fraction, DAYS_PER_MONTH);
            }
            Unit::Year => self.years(whole, fraction, 1),
            Unit::Decade => self.years(whole, fraction, 10),
            Unit::Century => self.years(whole, fraction, 100),
            Unit::Millennium => self.years(whole, fraction, 1000),
        }
        Ok(())
    }

    fn time(&mut self, whole: i128, fraction: f64, micros: i64) {
        self.micros += whole * i128::from(micros);
        let scaled = fraction * micros as f64;
        let mut rounded = scaled.trunc();
        let rest = scaled - rounded;
        if rest > 0.5 {
            rounded += 1.0;
        } else if rest < -0.5 {
            rounded -= 1.0;
        }
        self.micros += rounded as i128;
    }

    fn fraction_of_days(&mut self, fraction: f64, scale: i32) {
        let days = fraction * f64::from(scale);
        self.days += days.trunc() as i128;
        self.time(0, days - days.trunc(), MICROS_PER_DAY);
    }

    fn years(&mut self, whole: i128, fraction: f64, scale: i32) {
        self.months += whole * i128::from(scale * MONTHS_PER_YEAR);
        let months = fraction * f64::from(scale) * f64::from(MONTHS_PER_YEAR);
        self.months += months.round_ties_even() as i128;
    }

    fn finish(self) -> Step<Interval> {
        Ok(Interval {
            months: i32::try_from(self.months).map_err(|_| Fault::Overflow)?,
            days: i32::try_from(self.days).map_err(|_| Fault::Overflow)?,
            micros: i64::try_from(self.micros).map_err(|_| Fault::Overflow)?,
        })
    }
}

fn parse_iso8601(text: &str) -> Step<Interval> {
    let mut rest = &text[1..];
    let mut sum = Sum::default();
    let mut in_time = false;
    if rest.is_empty() {
        return Err(Fault::Syntax);
    }
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            if in_time {
                return Err(Fault::Syntax);
            }
            in_time = true;
            rest = after;
            continue;
        }
        let end = rest
            .bytes()
            .enumerate()
            .find(|(i, b)| {
                !(b.is_ascii_digit() || *b == b'.' || (*i == 0 && matches!(b, b'-' | b'+')))
            })
            .map_or(rest.len(), |(i, _)| i);
        let (number, after) = rest.split_at(end);
        let unit = match (after.as_bytes().first(), in_time) {
            (Some(b'Y'), false) => Unit::Year,
            (Some(b'M'), false) => Unit::Month,
            (Some(b'W'), false) => Unit::Week,
            (Some(b'D'), false) => Unit::Day,
            (Some(b'H'), true) => Unit::Hour,
            (Some(b'M'), true) => Unit::Minute,
            (Some(b'S'), true) => Unit::Second,
            _ => {
                rest = parse_iso8601_alternative(rest, in_time, &mut sum)?;
                continue;
            }
        };
        let (negative, digits) = split_sign(number);
        let (whole, fraction) = split_fraction(digits)?;
        let sign = if negative { -1 } else { 1 };
        sum.add(unit, i128::from(whole) * sign, fraction * sign as f64)?;
        rest = &after[1..];
    }
    sum.finish()
}

/// `0001-02-03` and `04:05:06`, with the fields that follow missing ones left out.
fn parse_iso8601_alternative<'a>(rest: &'a str, in_time: bool, sum: &mut Sum) -> Step<&'a str> {
    let end = if in_time {
        rest.len()
    } else {
        rest.find('T').unwrap_or(rest.len())
    };
    let (part, after) = rest.split_at(end);
    let (separator, units) = if in_time {
        (':', [Unit::Hour, Unit::Minute, Unit::Second])
    } else {
        ('-', [Unit::Year, Unit::Month, Unit::Day])
    };
    let (negative, part) = split_sign(part);
    let sign = if negative { -1 } else { 1 };
    let mut fields = part.split(separator);
    for unit in units {
        let Some(field) = fields.next() else { break };
        let (whole, fraction) = split_fraction(field)?;
        sum.add(unit, i128::from(whole) * sign, fraction * sign as f64)?;
    }
    if fields.next().is_some() {
        return Err(Fault::Syntax);
    }
    Ok(after)
}
