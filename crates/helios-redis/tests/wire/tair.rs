//! The cases of Tair's compatibility suite (`data/tair-cts.json`), with the score they reach.
//!
//! Cases of commands that are not there yet fail and are counted; a passing case must not be lost.

use crate::peer;
use crate::resp::{Client, Reply};
use serde_json::Value;

/// Cases of a single server that pass now. Raised when more do.
const SCORE: usize = 260;

fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&escaped, tail) = rest.split_first().unwrap();
        rest = tail;
        match escaped {
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b't' => bytes.push(b'\t'),
            b'a' => bytes.push(7),
            b'b' => bytes.push(8),
            b'x' => {
                let digits = std::str::from_utf8(&rest[..2]).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest = &rest[2..];
            }
            other => bytes.push(other),
        }
    }
    bytes
}

/// Words separated by one blank; a quote toggles quoting and is dropped.
fn words(command: &[u8]) -> Vec<Vec<u8>> {
    let mut words = vec![Vec::new()];
    let mut quoted = false;
    for &byte in command {
        match byte {
            b'"' => quoted = !quoted,
            b' ' if !quoted => words.push(Vec::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}

fn sorted(mut reply: Reply) -> Reply {
    if let Reply::List(items) = &mut reply {
        if items.iter().any(|item| matches!(item, Reply::List(_))) {
            *items = std::mem::take(items).into_iter().map(sorted).collect();
        } else {
            items.sort_by_key(|item| format!("{item:?}"));
        }
    }
    reply
}

fn expected(value: &Value, binary: bool) -> Reply {
    match value {
        Value::Null => Reply::Null,
        Value::Number(number) => Reply::Integer(number.as_i64().unwrap()),
        Value::String(text) if binary => Reply::Text(decode(text)),
        Value::String(text) => Reply::Text(text.clone().into_bytes()),
        Value::Array(items) => {
            Reply::List(items.iter().map(|item| expected(item, binary)).collect())
        }
        other => panic!("unexpected {other}"),
    }
}

fn run_case(port: u16, case: &Value) -> Result<(), String> {
    let binary = case.get("command_binary").is_some();
    let sort = case.get("sort_result").is_some();
    let mut client = Client::connect(port);
    client.ask("FLUSHALL");
    let results = case["result"].as_array().unwrap();
    for (command, result) in case["command"].as_array().unwrap().iter().zip(results) {
        let text = command.as_str().unwrap();
        let bytes = if binary {
            decode(text)
        } else {
            text.as_bytes().to_vec()
        };
        client.send(&words(&bytes));
        let (mut got, mut wanted) = (client.reply(), expected(result, binary));
        if sort {
            (got, wanted) = (sorted(got), sorted(wanted));
        }
        if got != wanted {
            return Err(format!("{text}: {got:?} instead of {wanted:?}"));
        }
    }
    Ok(())
}

/// How many pass, why the others do not, and what the passing ones ask.
fn score(port: u16) -> (usize, Vec<String>, Vec<String>) {
    let cases: Value = serde_json::from_str(include_str!("data/tair-cts.json")).unwrap();
    let (mut passed, mut failed, mut asked) = (0, Vec::new(), Vec::new());
    for case in cases.as_array().unwrap() {
        let cluster = case["tags"]
            .as_str()
            .is_some_and(|tags| tags.contains("cluster"));
        if cluster || case.get("skipped").is_some() {
            continue;
        }
        match run_case(port, case) {
            Ok(()) => {
                passed += 1;
                let requests = case["command"].as_array().unwrap().iter();
                asked
                    .extend(requests.map(|request| request.as_str().unwrap().to_ascii_uppercase()));
            }
            Err(why) => failed.push(format!("{} {why}", case["name"])),
        }
    }
    (passed, failed, asked)
}

#[test]
fn the_score_of_the_tair_suite_does_not_fall() {
    let server = peer::heliosdb();
    let (passed, failed, asked) = score(server.port);
    println!(
        "{passed} of {} pass\n{}",
        passed + failed.len(),
        failed.join("\n")
    );
    assert!(
        passed >= SCORE,
        "{passed} pass, {SCORE} did before\n{}",
        failed.join("\n")
    );
    // What COMPAT.md says that the suite shows is in a case that passes.
    let rows = include_str!("../../COMPAT.md").lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let command = cells.next()?;
        cells
            .next()?
            .split(", ")
            .any(|test| test == "Tair")
            .then_some(command)
    });
    let mut unshown: Vec<&str> = rows
        .filter(|command| {
            !asked.iter().any(|request| {
                let rest = request.strip_prefix(command);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            })
        })
        .collect();
    unshown.sort();
    assert!(unshown.is_empty(), "no case that passes has {unshown:?}");
}
