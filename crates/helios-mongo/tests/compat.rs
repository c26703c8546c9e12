//! COMPAT.md is true: every row names tests that exist, and every operator and stage that a row
//! lists is in one of them.

use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(folder().join(path)).ok()
}

/// The operator corpus, which is kept compressed.
fn corpus() -> String {
    let directory = folder().join("../helios-planner/tests/corpus");
    let files = std::fs::read_dir(&directory).expect("the directory of the corpus");
    let mut text = String::new();
    for file in files {
        let path = file.expect("a file").path();
        if path.extension().is_none_or(|e| e != "zst") {
            continue;
        }
        let output = Command::new("zstd").arg("-dc").arg(&path).output();
        let output = output.expect("the corpus needs the zstd command (apt-get install zstd)");
        assert!(output.status.success(), "{} is damaged", path.display());
        text.push_str(&String::from_utf8_lossy(&output.stdout));
    }
    assert!(text.len() > 100_000, "the corpus is gone");
    text
}

/// The text of a test by its name in COMPAT.md.
fn test_text(name: &str) -> Option<String> {
    match name {
        "mongosh" => read("../../conformance/mongo/mongosh_smoke.js"),
        "corpus" => read("../helios-planner/tests/document_corpus.rs").map(|text| text + &corpus()),
        "server corpus" => {
            read("../../conformance/mongo/test_corpus.py").map(|text| text + &corpus())
        }
        "wire" => read("tests/wire.rs"),
        "codec" => read("src/codec/tests.rs"),
        "translate" => read("src/translate/tests.rs"),
        other => {
            let file = other.replace(' ', "_");
            read(&format!("../../conformance/mongo/test_{file}.py"))
                .or_else(|| read(&format!("../../conformance/mongo/{file}.py")))
        }
    }
}

/// First and last cell of every row.
fn rows() -> Vec<(String, String)> {
    let text = read("COMPAT.md").expect("COMPAT.md");
    text.lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---"))
        .map(|line| line.trim_matches('|').split(" | ").collect::<Vec<_>>())
        .filter(|cells| cells.len() == 3 && cells[2].trim() != "test")
        .map(|cells| (cells[0].trim().to_owned(), cells[2].trim().to_owned()))
        .collect()
}

/// The operators that stand in backticks: `$set`, not `$[id]` or `$` alone.
fn operators(cell: &str) -> Vec<String> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted
        .flat_map(|text| text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '$')))
        .filter(|word| word.len() > 1 && word.starts_with('$'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_row_names_tests_that_have_its_operators() {
    let rows = rows();
    assert!(rows.len() >= 40, "{} rows", rows.len());
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for (part, tests) in &rows {
        // Options that change nothing are listed and have no test of their own.
        if tests == "–" {
            continue;
        }
        let mut texts = Vec::new();
        for name in tests.split([',', ';']).map(str::trim) {
            match test_text(name) {
                Some(text) => texts.push(text),
                // The client's own behaviour, beside tests that are ours.
                None if name.starts_with("PyMongo's") => {}
                None => wrong.push(format!("{part}: there is no test {name}")),
            }
        }
        if texts.is_empty() {
            wrong.push(format!("{part}: no test"));
        }
        for operator in operators(part) {
            checked += 1;
            if !texts.iter().any(|text| text.contains(&operator)) {
                wrong.push(format!("{part}: {operator} is not in {tests}"));
            }
        }
    }
    assert!(checked >= 60, "{checked} operators");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
