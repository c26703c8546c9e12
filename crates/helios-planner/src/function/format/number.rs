//! Number templates: `9`, `0`, points, groups, signs, currency, `EEEE`, `RN`, `TH`, `V`.

use helios_types::{Error, Numeric, Result, bail, error};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    Digit {
        zero: bool,
    },
    Point,
    Group,
    Literal(char),
    /// `S` before the digits, `MI`, `PL`, `SG` where they stand.
    Sign,
    Minus,
    Plus,
    EitherSign,
    Currency,
    Ordinal(bool),
}

#[derive(Default)]
struct Template {
    items: Vec<Item>,
    /// Without padding.
    fill: bool,
    brackets: bool,
    exponent: bool,
    roman: Option<bool>,
    /// Digits behind `V`: the number is multiplied by that power of ten.
    shift: Option<u32>,
    integer_digits: usize,
    fraction_digits: usize,
    sign: bool,
}

fn parse(template: &str) -> Result<Template> {
    let mut out = Template::default();
    let mut rest = template;
    let mut after_point = false;
    while let Some(first) = rest.chars().next() {
        let head2 = rest.get(..2).unwrap_or("").to_ascii_uppercase();
        if rest
            .get(..4)
            .is_some_and(|h| h.eq_ignore_ascii_case("EEEE"))
        {
            out.exponent = true;
            rest = &rest[4..];
            continue;
        }
        let two = match head2.as_str() {
            "FM" => {
                out.fill = true;
                true
            }
            "PR" => {
                out.brackets = true;
                true
            }
            "MI" => {
                out.items.push(Item::Minus);
                true
            }
            "PL" => {
                out.items.push(Item::Plus);
                true
            }
            "SG" => {
                out.items.push(Item::EitherSign);
                true
            }
            "TH" => {
                out.items.push(Item::Ordinal(rest.starts_with("TH")));
                true
            }
            "RN" => {
                out.roman = Some(rest.starts_with("RN"));
                true
            }
            _ => false,
        };
        if two {
            rest = &rest[2..];
            continue;
        }
        rest = &rest[first.len_utf8()..];
        match first {
            '9' | '0' => {
                out.items.push(Item::Digit { zero: first == '0' });
                if let Some(shift) = &mut out.shift {
                    *shift += 1;
                    out.integer_digits += 1;
                } else if after_point {
                    out.fraction_digits += 1;
                } else {
                    out.integer_digits += 1;
                }
            }
            '.' | 'D' | 'd' => {
                if after_point {
                    bail!(SyntaxError, "multiple decimal points");
                }
                after_point = true;
                out.items.push(Item::Point);
            }
            ',' | 'G' | 'g' => out.items.push(Item::Group),
            'S' | 's' => {
                out.sign = true;
                out.items.push(Item::Sign);
            }
            'V' | 'v' => out.shift = Some(0),
            'L' | 'l' => out.items.push(Item::Currency),
            '"' => {
                let end = rest.find('"').unwrap_or(rest.len());
                out.items.extend(rest[..end].chars().map(Item::Literal));
                rest = rest.get(end + 1..).unwrap_or("");
            }
            other => out.items.push(Item::Literal(other)),
        }
    }
    Ok(out)
}

pub(super) fn format_number(number: &Numeric, template: &str) -> Result<String> {
    let template = parse(template)?;
    if let Some(upper) = template.roman {
        return Ok(roman(number, upper, template.fill));
    }
    if template.exponent {
        return Ok(scientific(number, &template));
    }
    let scaled = match template.shift {
        Some(shift) => {
            number.mul(&Numeric::from_i64(10).power(&Numeric::from_i64(i64::from(shift)))?)?
        }
        None => number.clone(),
    };
    if !scaled.is_finite() {
        return Ok(overflow(&template, scaled.is_negative()));
    }
    let rounded = scaled.round(template.fraction_digits as i32);
    let negative = rounded.is_negative();
    let text = rounded.abs().to_string();
    let (integer, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let integer = if integer == "0" { "" } else { integer };
    if integer.len() > template.integer_digits {
        return Ok(overflow(&template, negative));
    }
    Ok(lay_out(&template, integer, fraction, negative))
}

/// `#` for every digit of a number that does not fit.
fn overflow(template: &Template, negative: bool) -> String {
    let integer = "#".repeat(template.integer_digits);
    let fraction = "#".repeat(template.fraction_digits);
    lay_out(template, &integer, &fraction, negative)
}

fn lay_out(template: &Template, integer: &str, fraction: &str, negative: bool) -> String {
    let own_sign = template
        .items
        .iter()
        .any(|i| matches!(i, Item::Minus | Item::EitherSign | Item::Sign));
    let implicit_sign = !own_sign && !template.brackets;
    // Zeros are forced from the first `0` on.
    let first_zero = template
        .items
        .iter()
        .filter(|i| matches!(i, Item::Digit { .. }))
        .position(|i| *i == Item::Digit { zero: true })
        .unwrap_or(usize::MAX);
    let leading = template.integer_digits - integer.len().min(template.integer_digits);
    let mut body = String::new();
    let mut digit = 0;
    let mut started = false;
    let mut sign_at = None;
    let mut fraction_digits = fraction.chars();
    let last_forced = last_forced_fraction(template, fraction);
    let mut fraction_index = 0;
    let mut after_point = false;
    for item in &template.items {
        match item {
            Item::Digit { .. } if !after_point => {
                let shown = if digit >= leading {
                    integer.chars().nth(digit - leading)
                } else if digit >= first_zero {
                    Some('0')
                } else {
                    None
                };
                // A number below one shows one zero when nothing stands after the point.
                let shown = shown.or_else(|| {
                    let last = digit + 1 == template.integer_digits;
                    (last
                        && (template.fraction_digits == 0
                            || !template.items.contains(&Item::Point)))
                    .then_some('0')
                });
                if let Some(c) = shown {
                    if !started {
                        started = true;
                        sign_at = Some(body.len());
                    }
                    body.push(c);
                } else if !template.fill {
                    body.push(' ');
                }
                digit += 1;
            }
            Item::Digit { .. } => {
                if let Some(c) = fraction_digits.next()
                    && fraction_index < last_forced
                {
                    body.push(c);
                } else if fraction_index < last_forced {
                    body.push('0');
                }
                fraction_index += 1;
            }
            Item::Point => {
                after_point = true;
                if !started {
                    started = true;
                    sign_at = Some(body.len());
                }
                body.push('.');
            }
            Item::Group if started => body.push(','),
            Item::Group if !template.fill => body.push(' '),
            Item::Group => {}
            Item::Minus => {
                if negative {
                    body.push('-');
                } else if !template.fill {
                    body.push(' ');
                }
            }
            Item::Plus => {
                if !negative {
                    body.push('+');
                } else if !template.fill {
                    body.push(' ');
                }
            }
            Item::EitherSign => body.push(if negative { '-' } else { '+' }),
            Item::Sign => {
                // Behind the digits it stands where it is, before them next to the number.
                if started || digit > 0 {
                    body.push(if negative { '-' } else { '+' });
                }
            }
            Item::Currency => {
                if !template.fill || started {
                    body.push(' ');
                }
            }
            Item::Ordinal(upper) => {
                if !negative && fraction.is_empty() {
                    let number: i64 = integer.parse().unwrap_or(0);
                    let suffix = match (number % 100, number % 10) {
                        (11..=13, _) => "th",
                        (_, 1) => "st",
                        (_, 2) => "nd",
                        (_, 3) => "rd",
                        _ => "th",
                    };
                    body.push_str(&if *upper {
                        suffix.to_uppercase()
                    } else {
                        suffix.to_owned()
                    });
                }
            }
            Item::Literal(c) => body.push(*c),
        }
    }
    let at = sign_at.unwrap_or(body.len());
    let sign_leads = template
        .items
        .iter()
        .position(|i| *i == Item::Sign)
        .zip(
            template
                .items
                .iter()
                .position(|i| matches!(i, Item::Digit { .. } | Item::Point)),
        )
        .is_some_and(|(sign, digit)| sign < digit);
    if template.brackets {
        let (open, close) = if negative { ("<", ">") } else { (" ", " ") };
        if negative || !template.fill {
            body.insert_str(at, open);
            body.push_str(close);
        }
    } else if sign_leads {
        body.insert(at, if negative { '-' } else { '+' });
    } else if implicit_sign {
        if negative {
            body.insert(at, '-');
        } else if !template.fill {
            body.insert(at, ' ');
        }
    }
    body
}

/// With `FM` trailing zeros are dropped back to the last `0` of the template.
fn last_forced_fraction(template: &Template, fraction: &str) -> usize {
    if !template.fill {
        return template.fraction_digits;
    }
    let digits: Vec<bool> = template
        .items
        .iter()
        .skip_while(|i| **i != Item::Point)
        .filter_map(|i| {
            if let Item::Digit { zero } = i {
                Some(*zero)
            } else {
                None
            }
        })
        .collect();
    let forced = digits.iter().rposition(|zero| *zero).map_or(0, |i| i + 1);
    let significant = fraction.trim_end_matches('0').len();
    forced.max(significant).min(template.fraction_digits)
}

fn scientific(number: &Numeric, template: &Template) -> String {
    let value = number.to_f64();
    if !number.is_finite() {
        return overflow(template, number.is_negative());
    }
    let text = format!("{:.*e}", template.fraction_digits, value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = match (number.is_negative(), template.sign, template.fill) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, false) => " ",
        (false, false, true) => "",
    };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{mantissa}e{exponent_sign}{:02}", exponent.abs())
}

fn roman(number: &Numeric, upper: bool, fill: bool) -> String {
    const DIGITS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let text = match number.round(0).to_i64() {
        Some(mut rest @ 1..=3999) => {
            let mut out = String::new();
            for (value, digits) in DIGITS {
                while rest >= value {
                    out.push_str(digits);
                    rest -= value;
                }
            }
            out
        }
        _ => "#".repeat(15),
    };
    let text = if upper { text } else { text.to_lowercase() };
    if fill { text } else { format!("{text:>15}") }
}

/// `to_number`: the digits where the template has digits, everything else skipped.
pub(super) fn read_number(text: &str, template: &str) -> Result<Numeric> {
    let parsed = parse(template)?;
    if parsed.roman.is_some() {
        return Err(Error::unsupported("\"RN\" for input"));
    }
    if parsed.exponent {
        return Err(Error::unsupported("\"EEEE\" for input"));
    }
    let mut digits = String::new();
    let mut negative = false;
    let mut point = false;
    let wants_point = parsed.items.contains(&Item::Point);
    let (mut integers, mut fractions) = (0, 0);
    for c in text.trim().chars() {
        match c {
            '0'..='9' if point && fractions < parsed.fraction_digits => {
                digits.push(c);
                fractions += 1;
            }
            '0'..='9' if !point && integers < parsed.integer_digits => {
                digits.push(c);
                integers += 1;
            }
            '0'..='9' => break,
            '.' if wants_point && !point => {
                digits.push('.');
                point = true;
            }
            '.' if !wants_point => break,
            '-' | '<' => negative = true,
            _ => {}
        }
    }
    if !digits.bytes().any(|b| b.is_ascii_digit()) {
        return Err(error!(
            InvalidTextRepresentation,
            "invalid input syntax for type numeric: \"{}\"",
            if text.is_empty() { " " } else { text }
        ));
    }
    let number = Numeric::parse(&digits)?;
    let number = match parsed.shift {
        Some(shift) => {
            number.div(&Numeric::from_i64(10).power(&Numeric::from_i64(i64::from(shift)))?)?
        }
        None => number,
    };
    Ok(if negative { number.neg() } else { number })
}
