//! `$dateToString`.

use super::date::{get, moment, zone};
use super::date_unit::*;
use super::*;
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

pub(super) fn to_string<'a>(
    name: &'static str,
    arguments: &[Option<Val<'a>>],
) -> DocResult<Val<'a>> {
    let date = get(arguments, 0);
    let format = get(arguments, 1);
    let Some(zone) = zone(arguments, 2)? else {
        return Ok(Val::NULL);
    };
    if arguments[1].is_some() && format.is_nullish() {
        return Ok(Val::NULL);
    }
    if !format.is_missing() && format.tag != STRING {
        fail!(
            18533,
            "{name} requires that 'format' be a string, found: {} with value {}",
            format.type_name(),
            crate::document::display::render(format)
        );
    }
    let default = "%Y-%m-%dT%H:%M:%S.%LZ";
    let format = format.as_str().unwrap_or(default);
    check(format)?;
    if date.is_nullish() {
        return Ok(arguments[3].clone().unwrap_or(Val::NULL));
    }
    let Some(utc) = moment(date) else {
        fail!(
            16006,
            "can't convert from BSON type {} to Date",
            date.type_name()
        );
    };
    render(format, utc, zone).map(|text| Val::string(&text))
}

fn check(format: &str) -> DocResult<()> {
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            continue;
        }
        match chars.next() {
            Some(
                '%' | 'b' | 'B' | 'd' | 'G' | 'H' | 'j' | 'L' | 'm' | 'M' | 'S' | 'u' | 'U' | 'V'
                | 'w' | 'Y' | 'z' | 'Z',
            ) => {}
            Some(other) => fail!(
                18536,
                "Invalid format character '%{other}' in format string"
            ),
            None => fail!(18535, "Unmatched '%' at end of format string"),
        }
    }
    Ok(())
}

/// ISO 8601 with milliseconds, as conversions to text give it.
pub(super) fn iso(utc: i64) -> String {
    render("%Y-%m-%dT%H:%M:%S.%LZ", utc, Zone::UTC).unwrap_or_default()
}

fn render(format: &str, utc: i64, zone: Zone) -> DocResult<String> {
    let local = zone.to_local(utc);
    let civil = Civil::of(local);
    if !(0..=9999).contains(&civil.year) {
        fail!(
            18537,
            "Could not convert date to string: date component was outside the supported range of 0-9999: {}",
            civil.year
        );
    }
    let days = local.div_euclid(DAY_MS);
    let mut out = String::with_capacity(format.len() + 16);
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let month = MONTHS[(civil.month - 1).clamp(0, 11) as usize];
        let _ = match chars.next().unwrap_or('%') {
            'd' => write!(out, "{:02}", civil.day),
            'G' => write!(out, "{:04}", iso_week(local).0),
            'H' => write!(out, "{:02}", civil.hour),
            'j' => write!(out, "{:03}", day_of_year(local)),
            'L' => write!(out, "{:03}", civil.ms),
            'm' => write!(out, "{:02}", civil.month),
            'M' => write!(out, "{:02}", civil.minute),
            'S' => write!(out, "{:02}", civil.second),
            'u' => write!(out, "{}", (weekday(days) + 6) % 7 + 1),
            'U' => write!(out, "{:02}", week_of_year(local)),
            'V' => write!(out, "{:02}", iso_week(local).1),
            'w' => write!(out, "{}", weekday(days) + 1),
            'Y' => write!(out, "{:04}", civil.year),
            'b' => write!(out, "{}", &month[..3]),
            'B' => write!(out, "{month}"),
            'z' => {
                let minutes = zone.offset_ms(utc) / 60_000;
                let sign = if minutes < 0 { '-' } else { '+' };
                write!(
                    out,
                    "{sign}{:02}{:02}",
                    minutes.abs() / 60,
                    minutes.abs() % 60
                )
            }
            'Z' => write!(out, "{}", zone.offset_ms(utc) / 60_000),
            other => write!(out, "{other}"),
        };
    }
    Ok(out)
}
