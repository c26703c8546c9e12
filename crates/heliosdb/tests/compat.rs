//! COMPAT.md of the front-ends over HTTP is true: the tests that its rows name exist.

use std::path::{Path, PathBuf};

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The texts of a file of tests, or of all files of a directory of tests.
fn text(folder: &Path, name: &str) -> Option<String> {
    let name = name.strip_prefix("conformance/").unwrap_or(name);
    let candidates = [
        folder.join("src").join(name),
        folder.join(name),
        folder.join("fuzz").join(name),
        crates().join("heliosdb/tests").join(name),
        crates().join("../conformance").join(name),
    ];
    let path = candidates.into_iter().find(|path| path.exists())?;
    if path.is_dir() {
        let files = std::fs::read_dir(path).ok()?;
        let texts = files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
        return Some(texts.collect());
    }
    std::fs::read_to_string(path).ok()
}

fn is_file(name: &str) -> bool {
    name.contains('/') || name.ends_with(".rs") || name == "one_dataset"
}

#[test]
fn every_row_of_rest_names_tests_that_exist() {
    check("helios-http", 35, 25);
}

#[test]
fn every_row_of_grpc_names_tests_that_exist() {
    check("helios-grpc", 13, 9);
}

/// There must be at least so many rows, and functions that they name.
fn check(front_end: &str, rows_min: usize, functions_min: usize) {
    let folder = crates().join(front_end);
    let compat = std::fs::read_to_string(folder.join("COMPAT.md")).expect("COMPAT.md");
    let mut wrong = Vec::new();
    let (mut rows, mut functions) = (0, 0);
    // "the same" is what the row before names.
    let mut before = 0;
    for line in compat.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [row, _, _, tests] = cells[..] else {
            wrong.push(format!("not four columns: {line}"));
            continue;
        };
        if row == "row" || row == "---" {
            continue;
        }
        rows += 1;
        let mut named = if tests.contains("the same") {
            before
        } else {
            0
        };
        let mut files = String::new();
        for name in tests.split('`').skip(1).step_by(2) {
            if is_file(name) {
                match text(&folder, name) {
                    Some(text) => files = text,
                    None => wrong.push(format!("{row}: there is no {name}")),
                }
                named += 1;
            } else if files.contains(&format!("fn {name}(")) {
                functions += 1;
            } else {
                wrong.push(format!(
                    "{row}: there is no test {name} in the file before it"
                ));
            }
        }
        if named == 0 && tests != "–" {
            wrong.push(format!("{row}: no test"));
        }
        before = named;
    }
    assert!(
        rows >= rows_min && functions >= functions_min,
        "{rows} rows, {functions} functions"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
