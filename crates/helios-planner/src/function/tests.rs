//! The cases in `cases.tsv`, whose results a real PostgreSQL 15 gave (`cases.py`).

use super::*;
use helios_types::Interval;
use helios_types::text::{TextContext, parse_text, parse_type_name, to_text};

/// A session in UTC at a fixed time, with an empty catalog.
struct Session;

impl FunctionContext for Session {
    fn transaction_time(&self) -> i64 {
        1_715_949_296_789_000
    }
    fn statement_time(&self) -> i64 {
        1_715_949_296_789_000
    }
    fn time_zone(&self) -> &str {
        "UTC"
    }
    fn current_user(&self) -> &str {
        "helios"
    }
    fn session_user(&self) -> &str {
        "helios"
    }
    fn current_database(&self) -> &str {
        "heliosdb"
    }
    fn search_path(&self, _: bool) -> Vec<String> {
        vec!["public".to_owned()]
    }
    fn setting(&self, _: &str) -> Option<String> {
        None
    }
    fn set_setting(&mut self, _: &str, value: &str, _: bool) -> Result<String> {
        Ok(value.to_owned())
    }
    fn backend_pid(&self) -> i32 {
        1
    }
    fn catalog(&self) -> Arc<crate::catalog::Catalog> {
        Arc::default()
    }
    fn sequence_next(&mut self, _: ObjectId) -> Result<i64> {
        Ok(1)
    }
    fn sequence_last(&mut self, _: ObjectId) -> Result<i64> {
        Ok(1)
    }
    fn sequence_set(&mut self, _: ObjectId, _: i64, _: bool) -> Result<()> {
        Ok(())
    }
    fn last_sequence_value(&self) -> Result<i64> {
        Ok(1)
    }
    fn transaction_id(&mut self) -> Result<u64> {
        Ok(1)
    }
}

fn unescape(cell: &str) -> String {
    let mut out = String::new();
    let mut chars = cell.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('t') => out.push('\t'),
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

fn argument(cell: &str) -> (Type, Value) {
    let (name, text) = match cell.split_once('=') {
        Some((name, text)) => (name, Some(text)),
        None => (cell, None),
    };
    let ty = parse_type_name(name).unwrap();
    let value = text.map_or(Value::Null, |t| {
        parse_text(ty, t, &TextContext::default()).unwrap()
    });
    (ty, value)
}

/// Whether a call with these types can mean this row, without casts.
fn fits(def: &FunctionDef, types: &[Type]) -> bool {
    let polymorphic = |declared: Oid, ty: Type| {
        declared == ty.oid
            || (declared == Type::NAME.oid && ty.oid == Type::TEXT.oid)
            || matches!(declared, 2276 | 2283 | 2776 | 5077 | 5079)
            || (matches!(declared, 2277 | 5078) && ty.is_array())
    };
    if !def.variadic {
        return def.args.len() >= types.len()
            && def.args.len() - types.len() <= def.defaults.len()
            && def.args.iter().zip(types).all(|(d, t)| polymorphic(*d, *t));
    }
    let fixed = def.args.len() - 1;
    types.len() >= fixed
        && def.args[..fixed]
            .iter()
            .zip(types)
            .all(|(d, t)| polymorphic(*d, *t))
        && types[fixed..]
            .iter()
            .all(|t| polymorphic(def.args[fixed], *t))
}

fn find(name: &str, types: &[Type]) -> Option<&'static FunctionDef> {
    let named = registry().functions_named(name);
    let exact = named
        .iter()
        .find(|d| d.args.iter().eq(types.iter().map(|t| &t.oid)));
    exact
        .or_else(|| named.iter().find(|d| fits(d, types)))
        .copied()
}

fn result_type(def: &FunctionDef, types: &[Type]) -> Type {
    match def.result {
        2283 | 5077 => types
            .first()
            .map_or(Type::TEXT, |t| t.element().unwrap_or(*t)),
        2277 | 5078 => types
            .iter()
            .find(|t| t.is_array())
            .copied()
            .or_else(|| types.first().and_then(|t| t.array_of()))
            .unwrap_or(Type::TEXT),
        oid => Type::new(oid),
    }
}

fn shown(ty: Type, value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(v) => v.to_string(),
        value => to_text(ty, value, &TextContext::default()),
    }
}

fn run(name: &str, cells: &[String]) -> Result<String> {
    if let Some(name) = name.strip_prefix("agg:") {
        return aggregate(name, cells);
    }
    let (types, values): (Vec<Type>, Vec<Value>) = cells.iter().map(|c| argument(c)).unzip();
    let Some(def) = find(name, &types) else {
        return Ok(format!("no function {name}"));
    };
    if def.strict && values.iter().any(Value::is_null) {
        return Ok("NULL".to_owned());
    }
    let result = match def.implementation {
        Implementation::Scalar(f) => f(&values, &mut Session)?,
        Implementation::Typed(f) => f(&values, &types, &mut Session)?,
        _ => panic!("{name} is not scalar"),
    };
    Ok(shown(result_type(def, &types), &result))
}

fn aggregate(name: &str, rows: &[String]) -> Result<String> {
    let rows: Vec<Vec<(Type, Value)>> = rows
        .iter()
        .map(|r| r.split('|').map(argument).collect())
        .collect();
    let types: Vec<Type> = rows[0].iter().map(|(t, _)| *t).collect();
    let Some(def) = find(name, &types) else {
        return Ok(format!("no aggregate {name}"));
    };
    let Implementation::Aggregate(create) = def.implementation else {
        panic!("{name}")
    };
    let mut state = create(&types);
    for row in &rows {
        let values: Vec<Value> = row.iter().map(|(_, v)| v.clone()).collect();
        if !def.strict || !values.iter().any(Value::is_null) {
            state.update(&values, &mut Session)?;
        }
    }
    let result = state.finish(&mut Session)?;
    Ok(shown(result_type(def, &types), &result))
}

fn sqlstate(error: &Error) -> String {
    match error.fields().sqlstate {
        Some(state) => String::from_utf8_lossy(&state).into_owned(),
        None => error.kind().sqlstate().to_string(),
    }
}

#[test]
fn functions_give_what_postgresql_gives() {
    let mut differences = Vec::new();
    let lines: Vec<&str> = include_str!("cases.tsv")
        .split('\n')
        .filter(|l| !l.is_empty())
        .collect();
    for line in &lines {
        let cells: Vec<String> = line.split('\t').map(unescape).collect();
        let ([name, args @ ..], Some(expected)) = (&cells[..cells.len() - 1], cells.last()) else {
            panic!("{line}")
        };
        let found = match run(name, args) {
            Ok(text) => text,
            Err(e) => format!("ERROR {} {}", sqlstate(&e), e.message()),
        };
        if found != *expected {
            differences.push(format!(
                "{name} {args:?}\n  expected {expected}\n  found    {found}"
            ));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} cases differ:\n{}",
        differences.len(),
        lines.len(),
        differences.join("\n")
    );
}

#[test]
fn every_operator_and_cast_has_its_function() {
    for operator in registry().all_operators() {
        assert!(
            registry().function(operator.function).is_some(),
            "{operator:?}"
        );
    }
    for cast in registry().all_casts() {
        if let CastMethod::Function(oid) = cast.method {
            assert!(registry().function(oid).is_some(), "{cast:?}");
        }
    }
}

#[test]
fn oids_of_functions_are_unique() {
    let total: usize = table::FUNCTIONS.iter().map(|t| t.len()).sum();
    let distinct: std::collections::HashSet<Oid> = table::FUNCTIONS
        .iter()
        .copied()
        .flatten()
        .map(|f| f.oid)
        .collect();
    assert_eq!(total, distinct.len());
}

fn window(
    f: fn(WindowInput<'_>) -> Result<Vec<Value>>,
    args: &[Vec<Value>],
    peers: &[usize],
) -> Vec<String> {
    // The default frame: from the start to the end of the peer group.
    let frames: Vec<_> = peers
        .iter()
        .map(|p| 0..peers.iter().rposition(|q| q == p).map_or(0, |i| i + 1))
        .collect();
    let values = f(WindowInput {
        args,
        peers,
        frames: &frames,
    })
    .unwrap();
    values.iter().map(|v| shown(Type::TEXT, v)).collect()
}

#[test]
fn window_functions_number_rows_and_look_around() {
    let peers = [0, 1, 1, 2, 2];
    let none = vec![Vec::new(); 5];
    let row = |v: i32| vec![Value::Int4(v)];
    let values: Vec<Vec<Value>> = (10..15).map(row).collect();
    let ntile = vec![vec![Value::Int4(3)]; 5];
    assert_eq!(
        window(super::window::row_number, &none, &peers),
        ["1", "2", "3", "4", "5"]
    );
    assert_eq!(
        window(super::window::rank, &none, &peers),
        ["1", "2", "2", "4", "4"]
    );
    assert_eq!(
        window(super::window::dense_rank, &none, &peers),
        ["1", "2", "2", "3", "3"]
    );
    assert_eq!(
        window(super::window::percent_rank, &none, &peers),
        ["0", "0.25", "0.25", "0.75", "0.75"]
    );
    assert_eq!(
        window(super::window::cume_dist, &none, &peers),
        ["0.2", "0.6", "0.6", "1", "1"]
    );
    assert_eq!(
        window(super::window::ntile, &ntile, &peers),
        ["1", "1", "2", "2", "3"]
    );
    assert_eq!(
        window(super::window::lag, &values, &peers),
        ["NULL", "10", "11", "12", "13"]
    );
    assert_eq!(
        window(super::window::lead, &values, &peers),
        ["11", "12", "13", "14", "NULL"]
    );
    assert_eq!(
        window(super::window::first_value, &values, &peers),
        ["10"; 5]
    );
    assert_eq!(
        window(super::window::last_value, &values, &peers),
        ["10", "12", "12", "14", "14"]
    );
}

#[test]
fn series_end_at_their_bound_and_count_either_way() {
    let def = registry().functions_named("generate_series");
    let call = |args: &[Value]| {
        let types: Vec<Oid> = args
            .iter()
            .map(|v| match v {
                Value::Int4(_) => 23,
                Value::Timestamp(_) => 1114,
                Value::Interval(_) => 1186,
                _ => 1700,
            })
            .collect();
        let row = def.iter().find(|d| d.args == types).unwrap();
        let Implementation::Set(f) = row.implementation else {
            panic!()
        };
        f(args, &mut Session).map(|rows| rows.len())
    };
    assert_eq!(call(&[Value::Int4(1), Value::Int4(5)]).unwrap(), 5);
    assert_eq!(call(&[Value::Int4(5), Value::Int4(1)]).unwrap(), 0);
    assert_eq!(
        call(&[Value::Int4(5), Value::Int4(1), Value::Int4(-2)]).unwrap(),
        3
    );
    assert!(call(&[Value::Int4(5), Value::Int4(1), Value::Int4(0)]).is_err());
    let day = Value::Interval(Arc::new(Interval::new(0, 1, 0)));
    assert_eq!(
        call(&[
            Value::Timestamp(0),
            Value::Timestamp(86_400_000_000 * 3),
            day
        ])
        .unwrap(),
        4
    );
}
