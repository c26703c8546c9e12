//! Dates and times in the one form that programs write: `2024-02-29 10:00:00.25`, without a zone.
//! Everything else is left to the general parser, which reads these the same way.

use super::calendar::{days_from_civil, days_in_month};

const DATE: usize = 10;
const TIME: usize = 8;
const MICROS_MAX_DIGITS: usize = 6;

/// A number of two digits.
fn two(bytes: &[u8], at: usize) -> Option<u32> {
    let digit = |at: usize| {
        let digit = bytes.get(at)?.wrapping_sub(b'0');
        (digit < 10).then_some(u32::from(digit))
    };
    Some(digit(at)? * 10 + digit(at + 1)?)
}

/// Days since 1970-01-01 of `2024-02-29`.
pub(super) fn date(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != DATE || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = two(bytes, 0)? * 100 + two(bytes, 2)?;
    let (month, day) = (two(bytes, 5)?, two(bytes, 8)?);
    let year = i32::try_from(year).ok().filter(|year| *year > 0)?;
    if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    Some(days_from_civil(year, month, day))
}

/// Microseconds since 1970-01-01 of `2024-02-29 10:00:00.25`.
pub(super) fn timestamp(text: &str) -> Option<i64> {
    let (day, rest) = text.split_at_checked(DATE)?;
    let days = date(day)?;
    let bytes = rest.as_bytes();
    if bytes.len() <= TIME
        || !matches!(bytes[0], b' ' | b'T')
        || bytes[3] != b':'
        || bytes[6] != b':'
    {
        return None;
    }
    let (hour, minute, second) = (two(bytes, 1)?, two(bytes, 4)?, two(bytes, 7)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = match bytes.get(TIME + 1..)? {
        [] => 0,
        [b'.', digits @ ..] if (1..=MICROS_MAX_DIGITS).contains(&digits.len()) => {
            let mut micros = 0;
            for at in 0..MICROS_MAX_DIGITS {
                let digit = digits.get(at).map_or(0, |d| d.wrapping_sub(b'0'));
                if digit > 9 {
                    return None;
                }
                micros = micros * 10 + i64::from(digit);
            }
            micros
        }
        _ => return None,
    };
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    Some((days * 86_400 + seconds) * 1_000_000 + micros)
}

#[cfg(test)]
mod tests {
    use crate::datetime::{DateContext, parse_date, parse_timestamp, parse_timestamptz};

    /// The general parser takes a text with a space in front, which is not of the one form.
    #[test]
    fn the_one_form_means_what_the_general_parser_says() {
        let context = DateContext::default();
        let times = [
            "00:00:00",
            "23:59:59",
            "10:00:00.5",
            "10:00:00.000001",
            "10:00:00.1234567",
            "24:00:00",
            "10:60:00",
            "10:00:60",
            "1:00:00",
            "10:00",
            "10:00:00.",
            "10:00:00Z",
            "10:0x:00",
        ];
        let dates = [
            "1970-01-01",
            "1969-12-31",
            "2000-02-29",
            "1900-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-04-31",
            "0000-01-01",
            "0001-01-01",
            "9999-12-31",
            "2024-1-01",
            "20x4-01-01",
        ];
        let mut read = 0;
        for date in dates {
            let general = parse_date(&format!(" {date}"), &context).ok();
            assert_eq!(parse_date(date, &context).ok(), general, "{date}");
            for time in times {
                for between in [" ", "T"] {
                    let text = format!("{date}{between}{time}");
                    let spaced = format!(" {text}");
                    let general = parse_timestamp(&spaced, &context).ok();
                    assert_eq!(parse_timestamp(&text, &context).ok(), general, "{text}");
                    let general = parse_timestamptz(&spaced, &context).ok();
                    assert_eq!(parse_timestamptz(&text, &context).ok(), general, "{text}");
                    read += u32::from(super::timestamp(&text).is_some());
                }
            }
        }
        assert_eq!(read, 5 * 4 * 2, "of the dates that exist, the plain times");
    }
}
