//! Dates: parts, arithmetic, truncation, and making them from parts.

use super::date_unit::*;
use super::*;
use crate::document::number::Number;

pub(super) fn operator(name: &str) -> Option<Operator> {
    let op = |name, min, max, call| {
        Some(Operator {
            name,
            min,
            max,
            call,
        })
    };
    match name {
        "$tsSecond" => op("$tsSecond", 1, 1, timestamp_part),
        "$tsIncrement" => op("$tsIncrement", 1, 1, timestamp_part),
        _ => None,
    }
}

pub(super) fn named(name: &str) -> Option<NamedOperator> {
    const PART: &[(&str, bool)] = &[("date", true), ("timezone", false)];
    const ADD: &[(&str, bool)] = &[
        ("startDate", true),
        ("unit", true),
        ("amount", true),
        ("timezone", false),
    ];
    let op = |name, parameters, call| {
        Some(NamedOperator {
            name,
            parameters,
            call,
        })
    };
    match name {
        "$year" => op("$year", PART, part),
        "$month" => op("$month", PART, part),
        "$dayOfMonth" => op("$dayOfMonth", PART, part),
        "$dayOfYear" => op("$dayOfYear", PART, part),
        "$dayOfWeek" => op("$dayOfWeek", PART, part),
        "$week" => op("$week", PART, part),
        "$isoWeek" => op("$isoWeek", PART, part),
        "$isoWeekYear" => op("$isoWeekYear", PART, part),
        "$isoDayOfWeek" => op("$isoDayOfWeek", PART, part),
        "$hour" => op("$hour", PART, part),
        "$minute" => op("$minute", PART, part),
        "$second" => op("$second", PART, part),
        "$millisecond" => op("$millisecond", PART, part),
        "$dateToParts" => op(
            "$dateToParts",
            &[("date", true), ("timezone", false), ("iso8601", false)],
            to_parts,
        ),
        "$dateFromParts" => op("$dateFromParts", FROM_PARTS, from_parts),
        "$dateToString" => op(
            "$dateToString",
            &[
                ("date", true),
                ("format", false),
                ("timezone", false),
                ("onNull", false),
            ],
            date_format::to_string,
        ),
        "$dateFromString" => op(
            "$dateFromString",
            &[
                ("dateString", true),
                ("format", false),
                ("timezone", false),
                ("onError", false),
                ("onNull", false),
            ],
            date_parse::from_string,
        ),
        "$dateAdd" => op("$dateAdd", ADD, add),
        "$dateSubtract" => op("$dateSubtract", ADD, add),
        "$dateDiff" => op(
            "$dateDiff",
            &[
                ("startDate", true),
                ("endDate", true),
                ("unit", true),
                ("timezone", false),
                ("startOfWeek", false),
            ],
            diff,
        ),
        "$dateTrunc" => op(
            "$dateTrunc",
            &[
                ("date", true),
                ("unit", true),
                ("binSize", false),
                ("timezone", false),
                ("startOfWeek", false),
            ],
            trunc,
        ),
        _ => None,
    }
}

pub(super) fn get<'v>(arguments: &'v [Option<Val<'_>>], i: usize) -> Bson<'v> {
    arguments
        .get(i)
        .and_then(Option::as_ref)
        .map_or(Bson::MISSING, Val::as_bson)
}

/// Dates, timestamps and ObjectIds say a moment.
pub(super) fn moment(value: Bson<'_>) -> Option<i64> {
    match value.tag {
        DATE => value.as_date(),
        TIMESTAMP => value.as_timestamp().map(|v| (v >> 32) as i64 * 1000),
        OBJECT_ID => value
            .as_object_id()
            .map(|id| i64::from(u32::from_be_bytes([id[0], id[1], id[2], id[3]])) * 1000),
        _ => None,
    }
}

fn required_moment(value: Bson<'_>) -> DocResult<i64> {
    match moment(value) {
        Some(ms) => Ok(ms),
        None => fail!(
            16006,
            "can't convert from BSON type {} to Date",
            value.type_name()
        ),
    }
}

/// The zone argument; `None` when it is null.
pub(super) fn zone(arguments: &[Option<Val<'_>>], i: usize) -> DocResult<Option<Zone>> {
    let Some(value) = arguments.get(i).and_then(Option::as_ref) else {
        return Ok(Some(Zone::UTC));
    };
    let value = value.as_bson();
    if value.is_nullish() {
        return Ok(None);
    }
    match value.as_str().filter(|_| value.tag == STRING) {
        Some(text) => Zone::parse(text).map(Some),
        None => fail!(
            40517,
            "timezone must evaluate to a string, found {}",
            value.type_name()
        ),
    }
}

fn part<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let value = get(arguments, 0);
    let Some(zone) = zone(arguments, 1)? else {
        return Ok(Val::NULL);
    };
    if value.is_nullish() {
        return Ok(Val::NULL);
    }
    let local = zone.to_local(required_moment(value)?);
    let civil = Civil::of(local);
    let days = local.div_euclid(DAY_MS);
    let v = match name {
        "$year" => civil.year,
        "$month" => civil.month,
        "$dayOfMonth" => civil.day,
        "$dayOfYear" => day_of_year(local),
        "$dayOfWeek" => weekday(days) + 1,
        "$week" => week_of_year(local),
        "$isoWeek" => iso_week(local).1,
        "$isoWeekYear" => return Ok(BsonBuf::int64(iso_week(local).0).into()),
        "$isoDayOfWeek" => (weekday(days) + 6) % 7 + 1,
        "$hour" => civil.hour,
        "$minute" => civil.minute,
        "$second" => civil.second,
        _ => civil.ms,
    };
    Ok(BsonBuf::int32(v as i32).into())
}

fn timestamp_part<'a>(name: &'static str, arguments: &[Val<'a>]) -> DocResult<Val<'a>> {
    let value = arguments[0].as_bson();
    if value.is_nullish() {
        return Ok(Val::NULL);
    }
    let Some(v) = value.as_timestamp() else {
        fail!(
            5687301,
            " Argument to {name} must be a timestamp, but is {}",
            value.type_name()
        );
    };
    let v = if name == "$tsSecond" {
        v >> 32
    } else {
        v & 0xffff_ffff
    };
    Ok(BsonBuf::int64(v as i64).into())
}

fn to_parts<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let value = get(arguments, 0);
    let iso = get(arguments, 2);
    let Some(zone) = zone(arguments, 1)? else {
        return Ok(Val::NULL);
    };
    if arguments.get(2).is_some_and(Option::is_some) && iso.is_nullish() {
        return Ok(Val::NULL);
    }
    if !iso.is_missing() && iso.tag != BOOL {
        fail!(
            40521,
            "iso8601 must evaluate to a bool, found {}",
            iso.type_name()
        );
    }
    if value.is_nullish() {
        return Ok(Val::NULL);
    }
    let _ = name;
    let local = zone.to_local(required_moment(value)?);
    let civil = Civil::of(local);
    let mut out = Writer::new();
    if iso.truthy() {
        let (year, week) = iso_week(local);
        out.put_i32("isoWeekYear", year as i32);
        out.put_i32("isoWeek", week as i32);
        out.put_i32(
            "isoDayOfWeek",
            ((weekday(local.div_euclid(DAY_MS)) + 6) % 7 + 1) as i32,
        );
    } else {
        out.put_i32("year", civil.year as i32);
        out.put_i32("month", civil.month as i32);
        out.put_i32("day", civil.day as i32);
    }
    out.put_i32("hour", civil.hour as i32);
    out.put_i32("minute", civil.minute as i32);
    out.put_i32("second", civil.second as i32);
    out.put_i32("millisecond", civil.ms as i32);
    Ok(BsonBuf::document(out.finish()).into())
}

const FROM_PARTS: &[(&str, bool)] = &[
    ("year", false),
    ("month", false),
    ("day", false),
    ("isoWeekYear", false),
    ("isoWeek", false),
    ("isoDayOfWeek", false),
    ("hour", false),
    ("minute", false),
    ("second", false),
    ("millisecond", false),
    ("timezone", false),
];

fn from_parts<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let given = |i: usize| arguments.get(i).is_some_and(Option::is_some);
    let (calendar, iso) = ((0..3).any(given), (3..6).any(given));
    if !given(0) && !given(3) {
        fail!(
            40516,
            "{name} requires either 'year' or 'isoWeekYear' to be present"
        );
    }
    if calendar && iso {
        let message = if given(0) {
            "does not allow mixing natural dates with ISO dates"
        } else {
            "does not allow mixing ISO dates with natural dates"
        };
        fail!(40489, "{name} {message}");
    }
    let zone = zone(arguments, 10)?;
    let mut parts = [0i64; 10];
    let mut null = zone.is_none();
    for (i, part) in parts.iter_mut().enumerate() {
        let first_of_its_kind = matches!(i, 1 | 2 | 4 | 5);
        match field(arguments, i, i64::from(first_of_its_kind))? {
            Some(v) => *part = v,
            None => null = true,
        }
    }
    if null {
        return Ok(Val::NULL);
    }
    let zone = zone.unwrap_or(Zone::UTC);
    let [
        year,
        month,
        day,
        iso_year,
        week,
        week_day,
        hour,
        minute,
        second,
        ms,
    ] = parts;
    let which = if iso { iso_year } else { year };
    if !(1..=9999).contains(&which) {
        fail!(
            40523,
            "'{}' must evaluate to an integer in the range 1 to 9999, found {which}",
            if iso { "isoWeekYear" } else { "year" }
        );
    }
    for (i, value) in parts
        .iter()
        .enumerate()
        .filter(|(i, _)| !matches!(i, 0 | 3 | 8 | 9))
    {
        if !(-32_768..=32_767).contains(value) {
            fail!(
                31034,
                "'{}' must evaluate to a value in the range [-32768, 32767]; value {value} is not in range",
                FROM_PARTS[i].0
            );
        }
    }
    let civil = if iso {
        let days = iso_year_start(iso_year) + (week - 1) * 7 + week_day - 1;
        Civil {
            year: 1970,
            month: 1,
            day: days + 1,
            hour,
            minute,
            second,
            ms,
        }
    } else {
        Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
            ms,
        }
    };
    match civil.to_local() {
        Some(local) => Ok(BsonBuf::date(zone.to_utc(local)).into()),
        None => fail!(31034, "{name}: the date is out of range"),
    }
}

/// A part as an integer; `None` when null.
fn field(arguments: &[Option<Val<'_>>], i: usize, default: i64) -> DocResult<Option<i64>> {
    let Some(value) = arguments.get(i).and_then(Option::as_ref) else {
        return Ok(Some(default));
    };
    let value = value.as_bson();
    if value.is_nullish() {
        return Ok(None);
    }
    match Number::of(value).and_then(Number::to_exact_i64) {
        Some(v) => Ok(Some(v)),
        None => fail!(
            40515,
            "'{}' must evaluate to an integer, found {} with value {}",
            FROM_PARTS[i].0,
            value.type_name(),
            crate::document::display::render(value)
        ),
    }
}

fn unit(name: &str, value: Bson<'_>) -> DocResult<Unit> {
    let Some(text) = value.as_str().filter(|_| value.tag == STRING) else {
        fail!(
            5439013,
            "{name} requires 'unit' to be a string, but got {}",
            value.type_name()
        );
    };
    match Unit::parse(text) {
        Some(unit) => Ok(unit),
        None => fail!(
            code::FAILED_TO_PARSE,
            "{name} parameter 'unit' value cannot be recognized as a time unit: {text}"
        ),
    }
}

fn week_start(
    name: &str,
    arguments: &[Option<Val<'_>>],
    i: usize,
    unit: Unit,
) -> DocResult<Option<i64>> {
    let Some(value) = arguments.get(i).and_then(Option::as_ref) else {
        return Ok(Some(0));
    };
    if unit != Unit::Week {
        return Ok(Some(0));
    }
    let value = value.as_bson();
    if value.is_nullish() {
        return Ok(None);
    }
    let Some(text) = value.as_str().filter(|_| value.tag == STRING) else {
        fail!(
            5439015,
            "{name} requires 'startOfWeek' to be a string, but got {}",
            value.type_name()
        );
    };
    const DAYS: [&str; 7] = [
        "sunday",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
    ];
    let lower = text.to_lowercase();
    match DAYS
        .iter()
        .position(|day| *day == lower || day[..3] == lower)
    {
        Some(day) => Ok(Some(day as i64)),
        None => fail!(
            code::FAILED_TO_PARSE,
            "{name} parameter 'startOfWeek' value cannot be recognized as a day of a week: {text}"
        ),
    }
}

fn date_argument(name: &str, parameter: &str, value: Bson<'_>) -> DocResult<i64> {
    match moment(value) {
        Some(ms) => Ok(ms),
        None => fail!(
            5166307,
            "{name} requires '{parameter}' to be a date, but got {}",
            value.type_name()
        ),
    }
}

fn add<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let (start, unit_value, amount) = (get(arguments, 0), get(arguments, 1), get(arguments, 2));
    if start.is_nullish() || unit_value.is_nullish() || amount.is_nullish() {
        return Ok(Val::NULL);
    }
    let Some(zone) = zone(arguments, 3)? else {
        return Ok(Val::NULL);
    };
    let start = match moment(start) {
        Some(ms) => ms,
        None => fail!(
            5166403,
            "{name} requires startDate to be convertible to a date"
        ),
    };
    let unit = unit(name, unit_value)?;
    let Some(amount) = Number::of(amount).and_then(Number::to_exact_i64) else {
        fail!(5166405, "{name} expects integer amount of time units");
    };
    let amount = if name == "$dateSubtract" {
        amount.checked_neg()
    } else {
        Some(amount)
    };
    match amount.and_then(|amount| add_units(start, unit, amount, zone)) {
        Some(ms) => Ok(BsonBuf::date(ms).into()),
        None => fail!(5166406, "{name} overflowed"),
    }
}

fn diff<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let (start, end, unit_value) = (get(arguments, 0), get(arguments, 1), get(arguments, 2));
    if start.is_nullish() || end.is_nullish() || unit_value.is_nullish() {
        return Ok(Val::NULL);
    }
    let start = date_argument(name, "startDate", start)?;
    let end = date_argument(name, "endDate", end)?;
    let unit = unit(name, unit_value)?;
    let Some(zone) = zone(arguments, 3)? else {
        return Ok(Val::NULL);
    };
    let Some(week_start) = week_start(name, arguments, 4, unit)? else {
        return Ok(Val::NULL);
    };
    Ok(BsonBuf::int64(difference(start, end, unit, zone, week_start)).into())
}

fn trunc<'a>(name: &'static str, arguments: &[Option<Val<'a>>]) -> DocResult<Val<'a>> {
    let (date, unit_value) = (get(arguments, 0), get(arguments, 1));
    if date.is_nullish() || unit_value.is_nullish() {
        return Ok(Val::NULL);
    }
    let date = match moment(date) {
        Some(ms) => ms,
        None => fail!(
            5439012,
            "{name} requires 'date' to be a date, but got {}",
            date.type_name()
        ),
    };
    let unit = unit(name, unit_value)?;
    let bin = match arguments.get(2).and_then(Option::as_ref) {
        None => 1,
        Some(value) if value.is_nullish() => return Ok(Val::NULL),
        Some(value) => match Number::of(value.as_bson()).and_then(Number::to_exact_i64) {
            Some(v) if v > 0 => v,
            Some(v) => fail!(
                5439018,
                "{name} requires 'binSize' to be greater than 0, but got value {v}"
            ),
            None => fail!(
                5439017,
                "{name} requires 'binSize' to be a 64-bit integer, but got value '{}' of type {}",
                crate::document::display::render(value.as_bson()),
                value.as_bson().type_name()
            ),
        },
    };
    let Some(zone) = zone(arguments, 3)? else {
        return Ok(Val::NULL);
    };
    let Some(week_start) = week_start(name, arguments, 4, unit)? else {
        return Ok(Val::NULL);
    };
    match truncate(date, unit, bin, zone, week_start) {
        Some(ms) => Ok(BsonBuf::date(ms).into()),
        None => fail!(5439006, "{name} overflowed"),
    }
}
