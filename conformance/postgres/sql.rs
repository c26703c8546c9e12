//! Scripts of SQL, run by psql on HeliosDB and on a real PostgreSQL 15: what both print is
//! compared line by line.
//!
//! `sql/` holds what must be equal. `known/` holds what is known to differ, with what HeliosDB
//! prints kept beside it; COMPAT.md of helios-postgres says why.

use conformance::daemon::Daemon;
use conformance::postgres15::Postgres15;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("postgres")
        .join(name)
}

fn scripts(name: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(directory(name))
        .expect("the directory of scripts")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "sql"))
        .collect();
    found.sort();
    found
}

fn stem(script: &Path) -> String {
    script
        .file_stem()
        .map(|s| s.to_string_lossy().into_owned())
        .expect("a script has a name")
}

/// What psql prints for a script, statements and errors in their order.
fn output(mut psql: Command, script: &Path) -> String {
    let printed = tempfile::NamedTempFile::new().expect("a temporary file");
    let out = printed.reopen().expect("the file again");
    let both = out.try_clone().expect("the file twice");
    psql.arg("--echo-all")
        .stdin(Stdio::from(File::open(script).expect("the script")))
        .stdout(Stdio::from(out))
        .stderr(Stdio::from(both));
    let status = psql.status().expect("psql runs");
    // 3 is only for ON_ERROR_STOP; anything but success is a lost connection or a usage error.
    assert!(status.success(), "psql ended with {status} in {script:?}");
    std::fs::read_to_string(printed.path()).expect("what psql printed")
}

fn create_database(mut psql: Command, name: &str) {
    let statement = format!("CREATE DATABASE {name}");
    conformance::command::run(psql.args(["--quiet", "-c", &statement]))
        .expect_success("creating a database");
}

/// The difference of two texts as `diff` shows it; empty when they are equal.
fn difference(expected: &str, found: &str) -> String {
    if expected == found {
        return String::new();
    }
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let (a, b) = (
        directory.path().join("PostgreSQL"),
        directory.path().join("HeliosDB"),
    );
    std::fs::write(&a, expected).expect("one text");
    std::fs::write(&b, found).expect("the other text");
    let finished = conformance::command::run(Command::new("diff").arg("-U2").arg(a).arg(b));
    assert!(
        !finished.stdout.is_empty(),
        "diff does not see a difference: {}",
        finished.stderr
    );
    finished.stdout
}

#[test]
fn scripts_print_what_postgresql_15_prints() {
    let daemon = Daemon::start();
    let real = Postgres15::start();
    let scripts = scripts("sql");
    assert!(scripts.len() >= 15, "{} scripts", scripts.len());
    let mut different = Vec::new();
    for script in &scripts {
        let database = format!("suite_{}", stem(script));
        create_database(daemon.psql("heliosdb"), &database);
        create_database(real.psql("postgres"), &database);
        let expected = output(real.psql(&database), script);
        let found = output(daemon.psql(&database), script);
        let difference = difference(&expected, &found);
        if !difference.is_empty() {
            different.push(format!("=== {}\n{difference}", stem(script)));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn known_differences_are_what_is_written_down() {
    let daemon = Daemon::start();
    let scripts = scripts("known");
    assert!(scripts.len() >= 2, "{} scripts", scripts.len());
    let mut different = Vec::new();
    for script in &scripts {
        let database = format!("known_{}", stem(script));
        create_database(daemon.psql("heliosdb"), &database);
        let found = output(daemon.psql(&database), script);
        let expected = std::fs::read_to_string(script.with_extension("out")).unwrap_or_default();
        let difference = difference(&expected, &found);
        if !difference.is_empty() {
            different.push(format!("=== {}\n{difference}", stem(script)));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
