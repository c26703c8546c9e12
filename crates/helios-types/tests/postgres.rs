//! The cases in `cases/*.tsv`, whose expected results a real PostgreSQL 15 gave
//! (`cases/generate.py`).

use helios_types::text::{TextContext, parse_text, parse_type_name, to_text};
use helios_types::{Error, ErrorKind, Numeric, Value};

fn unescape(cell: &str) -> String {
    let mut out = String::new();
    let mut chars = cell.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

fn rows(data: &str) -> impl Iterator<Item = Vec<String>> {
    data.split('\n')
        .filter(|l| !l.is_empty())
        .map(|l| l.split('\t').map(unescape).collect())
}

fn sqlstate(kind: ErrorKind, error: &Error) -> String {
    if let Some(state) = error.fields().sqlstate {
        return String::from_utf8_lossy(&state).into_owned();
    }
    match kind {
        ErrorKind::InvalidTextRepresentation => "22P02",
        ErrorKind::NumericOutOfRange => "22003",
        ErrorKind::DivisionByZero => "22012",
        ErrorKind::StringTooLong => "22001",
        ErrorKind::InvalidDatetimeFormat => "22007",
        ErrorKind::DatetimeOverflow => "22008",
        ErrorKind::IntervalOverflow => "22015",
        ErrorKind::InvalidTimeZone => "22009",
        ErrorKind::InvalidParameterValue => "22023",
        ErrorKind::LimitExceeded => "54000",
        ErrorKind::UndefinedObject => "42704",
        ErrorKind::ArraySubscriptError => "2202E",
        ErrorKind::Unsupported => "0A000",
        ErrorKind::InvalidEncoding => "22021",
        ErrorKind::InvalidJson => "22P05",
        _ => "?????",
    }
    .to_owned()
}

fn shown(result: Result<String, Error>) -> String {
    match result {
        Ok(text) => text,
        Err(e) => format!("ERROR {} {}", sqlstate(e.kind(), &e), e.message()),
    }
}

/// Fails with every difference, not only the first.
fn compare(differences: &[String], total: usize) {
    assert!(
        differences.is_empty(),
        "{} of {total} cases differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

fn numeric_case(op: &str, a: &str, b: &str) -> Result<String, Error> {
    let x = Numeric::parse(a)?;
    let number = |b: &str| Numeric::parse(b);
    let out_of_range =
        |ty: &str| Error::new(ErrorKind::NumericOutOfRange, format!("{ty} out of range"));
    let to_int = |value: Option<i64>, ty: &'static str| {
        if x.is_nan() {
            return Err(Error::unsupported("x").with_detail(ty)).map_err(|_| {
                Error::new(
                    ErrorKind::Unsupported,
                    format!("cannot convert NaN to {ty}"),
                )
            });
        }
        if x.is_infinite() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("cannot convert infinity to {ty}"),
            ));
        }
        value.map(|v| v.to_string()).ok_or_else(|| out_of_range(ty))
    };
    let optional = |scale: Option<u16>| scale.map_or("NULL".to_owned(), |s| s.to_string());
    let flag = |b: bool| if b { "true" } else { "false" }.to_owned();
    Ok(match op {
        "add" => x.add(&number(b)?)?.to_string(),
        "sub" => x.sub(&number(b)?)?.to_string(),
        "mul" => x.mul(&number(b)?)?.to_string(),
        "div" => x.div(&number(b)?)?.to_string(),
        "rem" => x.rem(&number(b)?)?.to_string(),
        "div_trunc" => x.div_trunc(&number(b)?)?.to_string(),
        "power" => x.power(&number(b)?)?.to_string(),
        "log" => x.log(&number(b)?)?.to_string(),
        "lt" => flag(x < number(b)?),
        "eq" => flag(x == number(b)?),
        "sqrt" => x.sqrt()?.to_string(),
        "exp" => x.exp()?.to_string(),
        "ln" => x.ln()?.to_string(),
        "abs" => x.abs().to_string(),
        "ceil" => x.ceil().to_string(),
        "floor" => x.floor().to_string(),
        "sign" => x.sign().to_string(),
        "trim_scale" => x.trim_scale().to_string(),
        "min_scale" => optional(x.min_scale()),
        "scale" => optional(x.scale()),
        "-" => x.neg().to_string(),
        "int2" => to_int(x.to_i16().map(i64::from), "smallint")?,
        "int4" => to_int(x.to_i32().map(i64::from), "integer")?,
        "int8" => to_int(x.to_i64(), "bigint")?,
        "float8" => helios_types::text::float8_text(x.to_f64()),
        "float4" => {
            helios_types::text::float4_text(helios_types::text::parse_float4(&x.to_string())?)
        }
        "round" => x.round(b.parse().unwrap()).to_string(),
        "trunc" => x.trunc(b.parse().unwrap()).to_string(),
        "modifier" => {
            let (p, s) = b.split_once(',').unwrap();
            x.apply_modifier(p.parse().unwrap(), s.parse().unwrap())?
                .to_string()
        }
        "from_f64" => Numeric::from_f64(a.parse().unwrap()).to_string(),
        "from_f32" => Numeric::from_f32(a.parse().unwrap()).to_string(),
        other => panic!("no operation {other}"),
    })
}

#[test]
fn numeric_arithmetic_gives_what_postgresql_gives() {
    let mut differences = Vec::new();
    let mut total = 0;
    for row in rows(include_str!("cases/numeric.tsv")) {
        total += 1;
        let [op, a, b, expected] = row.as_slice() else {
            panic!("{row:?}")
        };
        let found = shown(numeric_case(op, a, b));
        if found != *expected {
            differences.push(format!(
                "{op} {a} {b}\n  expected {expected}\n  found    {found}"
            ));
        }
    }
    compare(&differences, total);
}

#[test]
fn numeric_encodings_return_the_same_value_and_scale() {
    for row in rows(include_str!("cases/numeric.tsv")) {
        let Ok(n) = Numeric::parse(&row[3]) else {
            continue;
        };
        let mut bytes = Vec::new();
        n.to_bytes(&mut bytes);
        assert_eq!(
            Numeric::from_bytes(&bytes).unwrap().to_string(),
            n.to_string()
        );
        let d = n.to_digits();
        let back = Numeric::from_digits(d.sign, d.weight, d.scale, &d.digits).unwrap();
        assert_eq!(back.to_string(), n.to_string(), "{d:?}");
        assert!(
            d.digits.first() != Some(&0) && d.digits.last() != Some(&0),
            "{n}: {d:?}"
        );
    }
}

fn input_case(ty: &str, text: &str) -> Result<String, Error> {
    let ty = parse_type_name(ty)?;
    let context = TextContext::default();
    let value = parse_text(ty, text, &context)?;
    if let Value::Null = value {
        return Ok("NULL".to_owned());
    }
    let mut out = to_text(ty, &value, &context);
    if let (Value::Bool(b), 16) = (&value, ty.oid) {
        // The cast to text, which the cases use, spells the words out.
        out = b.to_string();
    }
    // What was printed reads back as the same value.
    let again = parse_text(ty, &out, &context).map(|v| to_text(ty, &v, &context));
    if !matches!(value, Value::Bool(_)) {
        assert_eq!(again.as_deref().ok(), Some(out.as_str()), "{ty:?} {text:?}");
    }
    Ok(out)
}

#[test]
fn text_input_and_output_give_what_postgresql_gives() {
    let mut differences = Vec::new();
    let mut total = 0;
    for row in rows(include_str!("cases/input.tsv")) {
        total += 1;
        let [ty, text, expected] = row.as_slice() else {
            panic!("{row:?}")
        };
        let found = shown(input_case(ty, text));
        if found != *expected {
            differences.push(format!(
                "{ty} {text:?}\n  expected {expected}\n  found    {found}"
            ));
        }
    }
    compare(&differences, total);
}
