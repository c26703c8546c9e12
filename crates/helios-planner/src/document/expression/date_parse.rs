//! `$dateFromString`: by a format, or by recognising the usual written forms.

use super::date::get;
use super::date_format::MONTHS;
use super::date_unit::*;
use super::*;
use crate::document::error::DocError;

pub(super) fn from_string<'a>(
    name: &'static str,
    arguments: &[Option<Val<'a>>],
) -> DocResult<Val<'a>> {
    let (text, format) = (get(arguments, 0), get(arguments, 1));
    let zone_value = arguments[2].as_ref();
    if !format.is_nullish() && format.tag != STRING {
        fail!(
            40684,
            "{name} requires that 'format' be a string, found: {} with value {}",
            format.type_name(),
            crate::document::display::render(format)
        );
    }
    let zone = match zone_value.map(Val::as_bson) {
        None => None,
        Some(zone) if zone.is_nullish() => return Ok(Val::NULL),
        Some(zone) => match zone.as_str().filter(|_| zone.tag == STRING) {
            Some(text) => Some(Zone::parse(text)?),
            None => fail!(
                40517,
                "timezone must evaluate to a string, found {}",
                zone.type_name()
            ),
        },
    };
    if text.is_nullish() {
        return Ok(arguments[4].clone().unwrap_or(Val::NULL));
    }
    if arguments[1].is_some() && format.is_nullish() {
        return Ok(Val::NULL);
    }
    let parsed = match text.as_str().filter(|_| text.tag == STRING) {
        None => Err(DocError::new(
            code::CONVERSION_FAILURE,
            format!(
                "{name} requires that 'dateString' be a string, found: {} with value {}",
                text.type_name(),
                crate::document::display::render(text)
            ),
        )),
        Some(text) => match format.as_str() {
            Some(format) => by_format(text, format, zone),
            None => recognise(text, zone),
        },
    };
    match parsed {
        Ok(ms) => Ok(BsonBuf::date(ms).into()),
        Err(error) => match &arguments[3] {
            Some(on_error) if error.code == code::CONVERSION_FAILURE => Ok(on_error.clone()),
            _ => Err(error),
        },
    }
}

fn invalid(text: &str, why: &str) -> DocError {
    DocError::new(
        code::CONVERSION_FAILURE,
        format!("Error parsing date string '{text}'; {why}"),
    )
}

/// What was read so far.
#[derive(Default)]
struct Fields {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    week_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    ms: i64,
    offset: Option<i64>,
}

impl Fields {
    fn finish(self, text: &str, zone: Option<Zone>) -> DocResult<i64> {
        if self.offset.is_some() && zone.is_some() {
            return Err(invalid(
                text,
                "you cannot pass in a date/time string with time zone information together with a timezone argument",
            ));
        }
        let iso = self.iso_year.is_some() || self.iso_week.is_some() || self.week_day.is_some();
        if iso
            && (self.year.is_some() && self.iso_year.is_none()
                || self.month.is_some()
                || self.day.is_some())
        {
            return Err(invalid(
                text,
                "Mixing of ISO dates with natural dates is not allowed",
            ));
        }
        let bad = self.month.is_some_and(|m| !(1..=12).contains(&m))
            || self.day.is_some_and(|d| !(1..=31).contains(&d))
            || self.hour > 24
            || self.minute > 59
            || self.second > 60;
        if bad {
            return Err(invalid(text, "a field is out of range"));
        }
        let time = (self.hour, self.minute, self.second, self.ms);
        let civil = |year, month, day| Civil {
            year,
            month,
            day,
            hour: time.0,
            minute: time.1,
            second: time.2,
            ms: time.3,
        };
        let civil = match (self.iso_year, self.day_of_year, self.year) {
            (Some(year), ..) => {
                let days = iso_year_start(year)
                    + (self.iso_week.unwrap_or(1) - 1) * 7
                    + self.week_day.unwrap_or(1)
                    - 1;
                civil(1970, 1, days + 1)
            }
            (None, Some(day), Some(year)) => civil(year, 1, day),
            (None, None, Some(year)) => civil(year, self.month.unwrap_or(1), self.day.unwrap_or(1)),
            _ => {
                return Err(invalid(
                    text,
                    "an incomplete date/time string has been found, with elements missing",
                ));
            }
        };
        let Some(local) = civil.to_local() else {
            return Err(invalid(text, "out of range"));
        };
        let zone = match self.offset {
            Some(seconds) => Zone::Fixed(seconds),
            None => zone.unwrap_or(Zone::UTC),
        };
        Ok(zone.to_utc(local))
    }
}

/// A reader over the text.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.rest().starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    /// Between `min` and `max` digits.
    fn digits(&mut self, min: usize, max: usize) -> Option<i64> {
        let len = self
            .rest()
            .bytes()
            .take(max)
            .take_while(u8::is_ascii_digit)
            .count();
        if len < min {
            return None;
        }
        let value = self.rest()[..len].parse().ok()?;
        self.at += len;
        Some(value)
    }

    fn word(&mut self) -> &'t str {
        let len = self
            .rest()
            .bytes()
            .take_while(u8::is_ascii_alphabetic)
            .count();
        let word = &self.rest()[..len];
        self.at += len;
        word
    }

    fn spaces(&mut self) {
        while self.eat(' ') {}
    }

    fn fraction(&mut self) -> Option<i64> {
        let len = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let digits = &self.rest()[..len.min(3)];
        let value: i64 = digits.parse().ok()?;
        self.at += len;
        Some(value * 10i64.pow(3 - digits.len() as u32))
    }

    /// `Z`, a zone's name or an offset.
    fn offset(&mut self) -> Option<i64> {
        let rest = self.rest();
        let len = rest
            .bytes()
            .take_while(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b':'))
            .count();
        if let Some(seconds) = parse_offset(&rest[..len]) {
            self.at += len;
            return Some(seconds);
        }
        let word = self.word();
        matches!(word, "Z" | "z" | "UTC" | "GMT").then_some(0)
    }
}

fn month_by_name(word: &str) -> Option<i64> {
    let lower = word.to_lowercase();
    let at = MONTHS.iter().position(|m| {
        let name = m.to_lowercase();
        name == lower || (lower.len() == 3 && name[..3] == lower)
    })?;
    Some(at as i64 + 1)
}

fn by_format(text: &str, format: &str, zone: Option<Zone>) -> DocResult<i64> {
    let mut reader = Reader { text, at: 0 };
    let mut fields = Fields::default();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            if !reader.eat(c) {
                return Err(invalid(text, "the format separator does not match"));
            }
            continue;
        }
        let Some(specifier) = chars.next() else {
            fail!(18535, "Unmatched '%' at end of format string");
        };
        if !conversion(&mut reader, &mut fields, specifier)? {
            return Err(invalid(text, &format!("no match for '%{specifier}'")));
        }
    }
    if !reader.rest().is_empty() {
        return Err(invalid(text, "trailing data"));
    }
    fields.finish(text, zone)
}

fn conversion(reader: &mut Reader<'_>, fields: &mut Fields, specifier: char) -> DocResult<bool> {
    let set = |field: &mut Option<i64>, value: Option<i64>| {
        *field = value;
        value.is_some()
    };
    let time = |field: &mut i64, value: Option<i64>| {
        *field = value.unwrap_or(0);
        value.is_some()
    };
    Ok(match specifier {
        'Y' => set(&mut fields.year, reader.digits(4, 4)),
        'G' => set(&mut fields.iso_year, reader.digits(4, 4)),
        'V' => set(&mut fields.iso_week, reader.digits(1, 2)),
        'u' => set(&mut fields.week_day, reader.digits(1, 1)),
        'm' => set(&mut fields.month, reader.digits(1, 2)),
        'd' => set(&mut fields.day, reader.digits(1, 2)),
        'j' => set(&mut fields.day_of_year, reader.digits(1, 3)),
        'b' | 'B' => set(&mut fields.month, month_by_name(reader.word())),
        'H' => time(&mut fields.hour, reader.digits(1, 2)),
        'M' => time(&mut fields.minute, reader.digits(1, 2)),
        'S' => time(&mut fields.second, reader.digits(1, 2)),
        'L' => time(&mut fields.ms, reader.fraction()),
        'z' => set(&mut fields.offset, reader.offset()),
        'Z' => {
            let sign = if reader.eat('-') { -60 } else { 60 };
            reader.eat('+');
            set(
                &mut fields.offset,
                reader.digits(1, 4).map(|minutes| minutes * sign),
            )
        }
        '%' => reader.eat('%'),
        other => fail!(
            18536,
            "Invalid format character '%{other}' in format string"
        ),
    })
}

/// ISO 8601 and its relatives, `8 February 2017`, `Feb 8, 2017`, `02/08/2017`, with a time.
fn recognise(text: &str, zone: Option<Zone>) -> DocResult<i64> {
    let mut reader = Reader { text, at: 0 };
    let mut fields = Fields::default();
    reader.spaces();
    if !date_part(&mut reader, &mut fields) {
        return Err(invalid(text, "the date could not be recognised"));
    }
    if reader.eat('T') || reader.eat('t') || reader.rest().starts_with(' ') {
        reader.spaces();
        if !reader.rest().is_empty() && !time_part(&mut reader, &mut fields) {
            return Err(invalid(text, "the time could not be recognised"));
        }
    }
    reader.spaces();
    if !reader.rest().is_empty() {
        let named = Zone::parse(reader.rest()).ok();
        match (reader.offset(), named) {
            (Some(offset), _) => fields.offset = Some(offset),
            (None, Some(named)) if zone.is_none() => return fields.finish(text, Some(named)),
            _ => return Err(invalid(text, "trailing data")),
        }
    }
    if !reader.rest().is_empty() {
        return Err(invalid(text, "trailing data"));
    }
    fields.finish(text, zone)
}

fn date_part(reader: &mut Reader<'_>, fields: &mut Fields) -> bool {
    let start = reader.at;
    if let Some(year) = reader.digits(4, 4) {
        fields.year = Some(year);
        if reader.eat('-') || reader.eat('/') {
            if reader.eat('W') {
                fields.iso_year = Some(year);
                fields.iso_week = reader.digits(2, 2);
                if reader.eat('-') {
                    fields.week_day = reader.digits(1, 1);
                }
                return fields.iso_week.is_some();
            }
            let digits = reader.rest().bytes().take_while(u8::is_ascii_digit).count();
            if digits == 3 {
                fields.day_of_year = reader.digits(3, 3);
                return true;
            }
            fields.month = reader.digits(1, 2);
            if reader.eat('-') || reader.eat('/') {
                fields.day = reader.digits(1, 2);
                return fields.day.is_some();
            }
            return fields.month.is_some();
        }
        if let Some(rest) = reader.digits(4, 4) {
            fields.month = Some(rest / 100);
            fields.day = Some(rest % 100);
            return true;
        }
        return false;
    }
    reader.at = start;
    if let Some(first) = reader.digits(1, 2) {
        if reader.eat('/') {
            fields.month = Some(first);
            fields.day = reader.digits(1, 2);
            return reader.eat('/') && set_year(reader, fields);
        }
        fields.day = Some(first);
        let separated = reader.eat('-') || reader.eat(' ') || reader.eat('.');
        reader.spaces();
        fields.month = month_by_name(reader.word());
        reader.eat('-');
        reader.spaces();
        return separated && fields.month.is_some() && set_year(reader, fields);
    }
    let word = reader.word();
    if let Some(month) = month_by_name(word) {
        fields.month = Some(month);
        reader.spaces();
        fields.day = reader.digits(1, 2);
        if matches!(reader.rest().get(..2), Some("st" | "nd" | "rd" | "th")) {
            reader.at += 2;
        }
        reader.eat(',');
        reader.spaces();
        return fields.day.is_some() && set_year(reader, fields);
    }
    if word.len() >= 3 && (reader.eat(',') || reader.rest().starts_with(' ')) {
        // The day of the week adds nothing.
        reader.spaces();
        return date_part(reader, fields);
    }
    false
}

fn set_year(reader: &mut Reader<'_>, fields: &mut Fields) -> bool {
    fields.year = reader.digits(4, 4);
    fields.year.is_some()
}

fn time_part(reader: &mut Reader<'_>, fields: &mut Fields) -> bool {
    let Some(hour) = reader.digits(1, 2) else {
        return false;
    };
    fields.hour = hour;
    let colon = reader.eat(':');
    if let Some(minute) = reader.digits(2, 2) {
        fields.minute = minute;
        if reader.eat(':') || !colon {
            fields.second = reader.digits(2, 2).unwrap_or(0);
        }
        if reader.eat('.') || reader.eat(',') {
            match reader.fraction() {
                Some(ms) => fields.ms = ms,
                None => return false,
            }
        }
    }
    let before = reader.at;
    reader.spaces();
    match reader.word().to_lowercase().as_str() {
        "am" => fields.hour %= 12,
        "pm" => fields.hour = fields.hour % 12 + 12,
        _ => reader.at = before,
    }
    true
}
