//! Date and time templates: the pieces that a template is made of, and printing with them.

use helios_types::datetime::{Civil, civil_from_days, days_from_civil};
use helios_types::{Error, Interval, Result, bail};
use std::fmt::Write;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
pub(super) const ROMAN: [&str; 12] = [
    "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII",
];

/// The patterns, longest first where one starts another. Case counts only for words.
const PATTERNS: &[&str] = &[
    "A.M.", "P.M.", "a.m.", "p.m.", "A.D.", "B.C.", "a.d.", "b.c.", "SSSSS", "Y,YYY", "MONTH",
    "Month", "month", "SSSS", "HH24", "HH12", "YYYY", "IYYY", "IDDD", "DAY", "Day", "day", "MON",
    "Mon", "mon", "DDD", "YYY", "IYY", "TZH", "TZM", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6",
    "AM", "PM", "am", "pm", "AD", "BC", "ad", "bc", "HH", "MI", "SS", "MS", "US", "YY", "IY", "MM",
    "DY", "Dy", "dy", "DD", "ID", "WW", "IW", "CC", "RM", "rm", "TZ", "tz", "OF", "Y", "I", "D",
    "W", "J", "Q",
];

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Pattern {
        name: &'static str,
        /// `FM`: without padding.
        fill: bool,
        /// `TH` or `th` behind it.
        ordinal: Option<bool>,
    },
    Literal(String),
}

/// Cuts a template into patterns and literal text.
pub(super) fn pieces(template: &str) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    let mut rest = template;
    let mut fill = false;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            fill = true;
            rest = after;
            continue;
        }
        if let Some(after) = ["FX", "fx", "TM", "tm"]
            .iter()
            .find_map(|p| rest.strip_prefix(p))
        {
            rest = after;
            continue;
        }
        if let Some(name) = pattern_at(rest) {
            rest = rest.get(name.len()..).unwrap_or("");
            let ordinal = match rest.get(..2) {
                Some("TH") => Some(true),
                Some("th") => Some(false),
                _ => None,
            };
            if ordinal.is_some() {
                rest = &rest[2..];
            }
            out.push(Piece::Pattern {
                name,
                fill,
                ordinal,
            });
            fill = false;
            continue;
        }
        let (literal, after) = literal_at(rest, first);
        match out.last_mut() {
            Some(Piece::Literal(text)) => text.push_str(&literal),
            _ => out.push(Piece::Literal(literal)),
        }
        rest = after;
    }
    out
}

/// The pattern at the head of the text; patterns of digits are found in either case.
fn pattern_at(text: &str) -> Option<&'static str> {
    PATTERNS.iter().copied().find(|p| {
        let Some(head) = text.get(..p.len()) else {
            return false;
        };
        let word = matches!(
            p.to_ascii_uppercase().as_str(),
            "MONTH"
                | "MON"
                | "DAY"
                | "DY"
                | "AM"
                | "PM"
                | "A.M."
                | "P.M."
                | "AD"
                | "BC"
                | "A.D."
                | "B.C."
                | "RM"
                | "TZ"
        );
        if word {
            head == *p
        } else {
            head.eq_ignore_ascii_case(p)
        }
    })
}

fn literal_at(text: &str, first: char) -> (String, &str) {
    if first == '"' {
        let mut out = String::new();
        let mut chars = text[1..].char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => return (out, &text[i + 2..]),
                '\\' => out.extend(chars.next().map(|(_, c)| c)),
                _ => out.push(c),
            }
        }
        return (out, "");
    }
    if first == '\\'
        && let Some(after) = text.strip_prefix("\\\"")
    {
        return ("\"".to_owned(), after);
    }
    (first.to_string(), &text[first.len_utf8()..])
}

fn ordinal_suffix(number: i64, upper: bool) -> &'static str {
    let suffix = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    match (suffix, upper) {
        ("st", true) => "ST",
        ("nd", true) => "ND",
        ("rd", true) => "RD",
        (_, true) => "TH",
        (suffix, false) => suffix,
    }
}

/// A word in the case of its pattern, padded to nine characters unless filled.
fn word(name: &str, pattern: &str, fill: bool, width: usize) -> String {
    let cased = match pattern {
        p if p.chars().all(|c| c.is_ascii_uppercase()) => name.to_uppercase(),
        p if p.chars().all(|c| c.is_ascii_lowercase()) => name.to_lowercase(),
        _ => name.to_owned(),
    };
    if fill {
        cased
    } else {
        format!("{cased:width$}")
    }
}

pub(super) fn format_moment(
    civil: &Civil,
    zone: Option<(i32, String)>,
    template: &str,
) -> Result<String> {
    let mut out = String::new();
    for piece in pieces(template) {
        let (name, fill, ordinal) = match &piece {
            Piece::Literal(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Pattern {
                name,
                fill,
                ordinal,
            } => (*name, *fill, *ordinal),
        };
        let upper = name.to_ascii_uppercase();
        if let Some((number, width)) = number_of(&upper, civil) {
            // A minus does not count for the width.
            let width = if fill {
                0
            } else {
                width + usize::from(number < 0)
            };
            let _ = write!(out, "{number:0width$}");
            if let Some(upper) = ordinal {
                out.push_str(ordinal_suffix(number.abs(), upper));
            }
            continue;
        }
        word_of(&mut out, name, fill, civil, zone.as_ref())?;
    }
    Ok(out)
}

/// The number of a pattern and the digits that it is padded to.
fn number_of(pattern: &str, civil: &Civil) -> Option<(i64, usize)> {
    let days = civil.days();
    // Years before Christ count down from one, and print without a sign.
    let year = i64::from(if civil.year > 0 {
        civil.year
    } else {
        1 - civil.year
    });
    let iso_year = || {
        let year = i64::from(iso_week(days).0);
        if year > 0 { year } else { 1 - year }
    };
    let hour12 = match civil.hour % 12 {
        0 => 12,
        hour => hour,
    };
    let day_of_year = days - days_from_civil(civil.year, 1, 1) + 1;
    let weekday = (days + 4).rem_euclid(7);
    let micros = i64::from(civil.micros);
    Some(match pattern {
        "HH24" => (i64::from(civil.hour), 2),
        "HH12" | "HH" => (i64::from(hour12), 2),
        "MI" => (i64::from(civil.minute), 2),
        "SS" => (i64::from(civil.second), 2),
        "MS" => (micros / 1000, 3),
        "US" => (micros, 6),
        "FF1" => (micros / 100_000, 1),
        "FF2" => (micros / 10_000, 2),
        "FF3" => (micros / 1000, 3),
        "FF4" => (micros / 100, 4),
        "FF5" => (micros / 10, 5),
        "FF6" => (micros, 6),
        "SSSS" | "SSSSS" => (
            i64::from(civil.hour) * 3600 + i64::from(civil.minute) * 60 + i64::from(civil.second),
            0,
        ),
        "YYYY" => (year, 4),
        "YYY" => (year % 1000, 3),
        "YY" => (year % 100, 2),
        "Y" => (year % 10, 1),
        "IYYY" => (iso_year(), 4),
        "IYY" => (iso_year() % 1000, 3),
        "IY" => (iso_year() % 100, 2),
        "I" => (iso_year() % 10, 1),
        "MM" => (i64::from(civil.month), 2),
        "DD" => (i64::from(civil.day), 2),
        "DDD" => (day_of_year, 3),
        "IDDD" => (days - iso_week_start(days) + 1, 3),
        "D" => (weekday + 1, 1),
        "ID" => (if weekday == 0 { 7 } else { weekday }, 1),
        "WW" => ((day_of_year - 1) / 7 + 1, 2),
        "IW" => (i64::from(iso_week(days).1), 2),
        "W" => (i64::from((civil.day - 1) / 7 + 1), 1),
        "CC" => {
            let year = i64::from(civil.year);
            let century = if year > 0 {
                (year - 1) / 100 + 1
            } else {
                (year - 1 - 99) / 100
            };
            (century, if century.abs() > 99 { 3 } else { 2 })
        }
        "J" => (days + 2_440_588, 0),
        "Q" => (i64::from((civil.month - 1) / 3 + 1), 1),
        _ => return None,
    })
}

fn word_of(
    out: &mut String,
    name: &str,
    fill: bool,
    civil: &Civil,
    zone: Option<&(i32, String)>,
) -> Result<()> {
    let afternoon = civil.hour >= 12;
    let before_christ = civil.year <= 0;
    let no_zone = || Error::unsupported("a time zone in the template of a value without one");
    match name.to_ascii_uppercase().as_str() {
        "AM" | "PM" | "A.M." | "P.M." => {
            let text = match (afternoon, name.contains('.')) {
                (true, true) => "P.M.",
                (true, false) => "PM",
                (false, true) => "A.M.",
                (false, false) => "AM",
            };
            let lower = name.starts_with(|c: char| c.is_ascii_lowercase());
            out.push_str(&if lower {
                text.to_lowercase()
            } else {
                text.to_owned()
            });
        }
        "AD" | "BC" | "A.D." | "B.C." => {
            let text = match (before_christ, name.contains('.')) {
                (true, true) => "B.C.",
                (true, false) => "BC",
                (false, true) => "A.D.",
                (false, false) => "AD",
            };
            let lower = name.starts_with(|c: char| c.is_ascii_lowercase());
            out.push_str(&if lower {
                text.to_lowercase()
            } else {
                text.to_owned()
            });
        }
        "MONTH" => out.push_str(&word(MONTHS[civil.month as usize - 1], name, fill, 9)),
        "MON" => out.push_str(&word(&MONTHS[civil.month as usize - 1][..3], name, fill, 3)),
        "DAY" | "DY" => {
            let day = DAYS[(civil.days() + 4).rem_euclid(7) as usize];
            let short = name.len() == 2;
            out.push_str(&word(
                if short { &day[..3] } else { day },
                name,
                fill,
                if short { 3 } else { 9 },
            ));
        }
        "RM" => out.push_str(&word(ROMAN[civil.month as usize - 1], name, fill, 4)),
        "Y,YYY" => {
            let year = if civil.year > 0 {
                civil.year
            } else {
                1 - civil.year
            };
            let _ = write!(out, "{},{:03}", year / 1000, year % 1000);
        }
        "TZ" => {
            let (_, abbreviation) = zone.ok_or_else(no_zone)?;
            out.push_str(&if name == "tz" {
                abbreviation.to_lowercase()
            } else {
                abbreviation.to_uppercase()
            });
        }
        "TZH" | "TZM" | "OF" => {
            let seconds = zone.ok_or_else(no_zone)?.0;
            let sign = if seconds < 0 { '-' } else { '+' };
            let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
            match name.to_ascii_uppercase().as_str() {
                "TZH" => write!(out, "{sign}{hours:02}"),
                "TZM" => write!(out, "{minutes:02}"),
                _ if minutes == 0 => write!(out, "{sign}{hours:02}"),
                _ => write!(out, "{sign}{hours:02}:{minutes:02}"),
            }
            .map_err(Error::internal)?;
        }
        other => bail!(Internal, "template pattern {other}"),
    }
    Ok(())
}

/// ISO 8601's year and week of a day.
pub(super) fn iso_week(days: i64) -> (i32, u32) {
    let thursday = days - (days + 3).rem_euclid(7) + 3;
    let (year, _, _) = civil_from_days(thursday);
    (
        (year),
        ((thursday - days_from_civil(year, 1, 1)) / 7 + 1) as u32,
    )
}

fn iso_week_start(days: i64) -> i64 {
    iso_year_start(iso_week(days).0)
}

/// The Monday of the first ISO week of a year.
pub(super) fn iso_year_start(year: i32) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    fourth - (fourth + 3).rem_euclid(7)
}

/// An interval prints its fields; calendar patterns are refused.
pub(super) fn format_interval(interval: &Interval, template: &str) -> Result<String> {
    let time = interval.micros;
    let seconds = time / 1_000_000;
    let mut out = String::new();
    for piece in pieces(template) {
        let (name, fill, ordinal) = match &piece {
            Piece::Literal(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Pattern {
                name,
                fill,
                ordinal,
            } => (*name, *fill, *ordinal),
        };
        let hours = seconds / 3600;
        let (number, width) = match name.to_ascii_uppercase().as_str() {
            "HH24" => (hours, 2),
            "HH12" | "HH" => (if hours % 12 == 0 { 12 } else { hours % 12 }, 2),
            "MI" => (seconds / 60 % 60, 2),
            "SS" => (seconds % 60, 2),
            "MS" | "FF3" => (time % 1_000_000 / 1000, 3),
            "US" | "FF6" => (time % 1_000_000, 6),
            "SSSS" | "SSSSS" => (seconds, 0),
            "YYYY" => (i64::from(interval.months / 12), 4),
            "YY" => (i64::from(interval.months / 12 % 100), 2),
            "MM" => (i64::from(interval.months % 12), 2),
            "DD" => (i64::from(interval.days), 2),
            "DDD" => (
                i64::from(interval.months) * 30 + i64::from(interval.days),
                3,
            ),
            "AM" | "PM" => {
                out.push_str(if hours % 24 >= 12 { "PM" } else { "AM" });
                continue;
            }
            "am" | "pm" => {
                out.push_str(if hours % 24 >= 12 { "pm" } else { "am" });
                continue;
            }
            _ => {
                return Err(helios_types::error!(
                    InvalidDatetimeFormat,
                    "invalid format specification for an interval value"
                )
                .with_hint("Intervals are not tied to specific calendar dates."));
            }
        };
        let width = if fill {
            0
        } else {
            width + usize::from(number < 0)
        };
        let _ = write!(out, "{number:0width$}");
        if let Some(upper) = ordinal {
            out.push_str(ordinal_suffix(number.abs(), upper));
        }
    }
    Ok(out)
}
