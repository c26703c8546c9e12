//! COMPAT.md is true: every row of its tables of what is supported names tests that exist and that
//! speak of what the row is about. The statements of its other tables are run by
//! `conformance/postgres/compat.rs`.

use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// A row of a table whose last column is "shown by".
struct Row {
    part: String,
    shown_by: String,
}

fn rows() -> Vec<Row> {
    let text = read(&folder().join("COMPAT.md")).expect("COMPAT.md");
    let mut rows = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if !line.starts_with('|') {
            inside = false;
        } else if cells.last() == Some(&"shown by") {
            inside = true;
        } else if inside && !line.starts_with("| ---") {
            assert_eq!(cells.len(), 3, "{line}");
            rows.push(Row {
                part: cells[0].to_owned(),
                shown_by: cells[2].to_owned(),
            });
        }
    }
    rows
}

/// What stands in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The text of the first file of this name in one of the directories.
fn source(directories: &[&str], file: &str) -> Option<String> {
    let candidates = [format!("{file}.rs"), format!("{file}/main.rs")];
    directories
        .iter()
        .flat_map(|directory| {
            candidates
                .iter()
                .map(move |name| Path::new(directory).join(name))
        })
        .find_map(|path| read(&folder().join(path)))
}

/// The texts of the tests of that name, or what is wrong with it.
fn find(name: &str) -> Result<Vec<String>, String> {
    if let Some(files) = name.strip_prefix("isolation: ") {
        let text = |file: &str| {
            let path = folder().join(format!("../../conformance/isolation/{file}.iso"));
            let text = read(&path).ok_or(format!("there is no {}", path.display()))?;
            match text.contains("\ncase ") {
                true => Ok(text),
                false => Err(format!("{file}.iso has no case")),
            }
        };
        return files.split(", ").map(text).collect();
    }
    if name.ends_with(".py") {
        let text = read(&folder().join("../..").join(name));
        return Ok(vec![text.ok_or(format!("there is no {name}"))?]);
    }
    let (directories, test): (&[&str], &str) = match name.split_once(' ') {
        Some(("conformance", test)) => (&["../../conformance/postgres"], test),
        Some(("heliosdb", test)) => (&["../heliosdb/tests"], test),
        _ => (&["tests", "src", "src/session"], name),
    };
    let (file, function) = test.split_once("::").ok_or("not file::function")?;
    let text = source(directories, file).ok_or(format!("there is no file {file}.rs"))?;
    let tests: Vec<&str> = text
        .split("#[test]")
        .skip(1)
        .chain(text.split("#[tokio::test").skip(1))
        .collect();
    let wanted = format!("fn {function}(");
    let body: Vec<String> = tests
        .iter()
        .filter(|test| function == "*" || test.lines().take(4).any(|l| l.contains(&wanted)))
        .map(|test| (*test).to_owned())
        .collect();
    if body.is_empty() {
        return Err(format!("{file}.rs has no test {function}"));
    }
    Ok(body)
}

#[test]
fn every_row_names_tests_that_exist_and_speak_of_it() {
    let rows = rows();
    assert!(rows.len() >= 25, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for Row { part, shown_by } in &rows {
        let mut texts = Vec::new();
        for name in quoted(shown_by) {
            match find(name) {
                Ok(found) => texts.extend(found),
                Err(error) => wrong.push(format!("{part}: {name}: {error}")),
            }
        }
        if texts.is_empty() {
            wrong.push(format!("{part}: no test"));
        }
        for word in quoted(part) {
            if !texts.iter().any(|text| text.contains(word)) {
                wrong.push(format!("{part}: {word} is in no test of {shown_by}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
