//! COMPAT.md is true: it has a row for every command and only for those, and every row names a test
//! in which the command is.

use helios_redis::command::commands;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn read(path: &str) -> String {
    let path = folder().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Command to the tests of its row.
fn rows() -> BTreeMap<String, Vec<String>> {
    let text = read("COMPAT.md");
    let commands = text.split("## Tables of SQL").next().unwrap();
    commands
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let name = cells
                .next()
                .filter(|name| *name != "command" && *name != "---")?;
            let tests = cells.next()?.split(", ").map(str::to_owned).collect();
            Some((name.to_owned(), tests))
        })
        .collect()
}

/// Whether a line of a conversation, or a case, asks for the command.
fn asks(request: &str, command: &str) -> bool {
    let mut words = request.split_whitespace();
    command.split(' ').all(|part| {
        words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case(part))
    })
}

fn conversation_asks(file: &str, command: &str) -> bool {
    read(&format!("tests/wire/{file}"))
        .lines()
        .filter_map(|line| line.split_once("> "))
        .any(|(_, request)| asks(request, command))
}

fn a_case_asks(cases: &serde_json::Value, command: &str) -> bool {
    let requests = cases.as_array().unwrap().iter();
    requests
        .flat_map(|case| case["command"].as_array().unwrap())
        .any(|request| asks(request.as_str().unwrap(), command))
}

fn functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder().join("tests/wire")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(path).unwrap();
            let tests = text.split("#[test]\nfn ").skip(1);
            names.extend(tests.filter_map(|rest| rest.split('(').next().map(str::to_owned)));
        }
    }
    names
}

#[test]
fn every_command_has_a_row_and_every_row_a_command() {
    let known: BTreeSet<String> = commands()
        .all
        .iter()
        .map(|command| command.name.replace('|', " ").to_ascii_uppercase())
        .collect();
    let described: BTreeSet<String> = rows().into_keys().collect();
    let missing: Vec<_> = known.difference(&described).collect();
    let invented: Vec<_> = described.difference(&known).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "{missing:?} {invented:?}"
    );
}

#[test]
fn every_row_names_a_test_in_which_its_command_is() {
    let cases: serde_json::Value =
        serde_json::from_str(&read("tests/wire/data/tair-cts.json")).unwrap();
    let functions = functions();
    let mut wrong = Vec::new();
    for (command, tests) in rows() {
        for test in &tests {
            let holds = match test.as_str() {
                "Tair" => a_case_asks(&cases, &command),
                file if file.starts_with("golden/") => conversation_asks(file, &command),
                name => functions.contains(name.trim_matches('`')),
            };
            if !holds {
                wrong.push(format!("{command}: {test}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
