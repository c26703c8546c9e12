//! Loads of many rows: what they say and leave behind, compared with PostgreSQL 15; who sees them
//! before they are committed, and what a crash leaves of them.

use conformance::command::run;
use conformance::daemon::{Daemon, binary};
use conformance::postgres15::Postgres15;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::TempDir;

const SCRIPT: &str = include_str!("bulk.sql");
/// Enough for a load in bulk, which begins at a mebibyte of data.
const ROWS: u64 = 100_000;

fn row(id: u64, code: &str, parent: u64) -> String {
    format!("{id}\t{code}\t{parent}\n")
}

fn plain(id: u64) -> String {
    row(id, &format!("code {id}"), id % 10)
}

/// The rows in order, with `change` in the place of some.
fn rows(change: impl Fn(u64) -> Option<String>) -> String {
    (0..ROWS).fold(String::new(), |mut out, id| {
        out.push_str(&change(id).unwrap_or_else(|| plain(id)));
        out
    })
}

fn write_files(directory: &Path) {
    let shuffled = (0..ROWS).map(|i| plain((i * 7919 + 5) % ROWS)).collect();
    let nulls = (0..ROWS).fold("id,code,parent\n".to_owned(), |mut out, id| {
        let code = if id % 3 == 0 {
            "none".to_owned()
        } else {
            format!("\"the, {id}\"\"\"")
        };
        writeln!(out, "{id},{code},{}", id % 10).expect("text");
        out
    });
    let files: [(&str, String); 9] = [
        ("good.tsv", shuffled),
        (
            "shuffled.tsv",
            rows(|id| (id % 5 == 0).then(|| plain(ROWS * 2 - id))),
        ),
        (
            "duplicate_key.tsv",
            rows(|id| (id == 50_000 || id == 50_007).then(|| row(7, "again", 1))),
        ),
        (
            "duplicate_code.tsv",
            rows(|id| (id == 40_000).then(|| row(id, "code 39999", 1))),
        ),
        (
            "both.tsv",
            rows(|id| match id {
                30_000 => Some(row(30_000, "code 5", 1)),
                35_000 => Some(row(5, "never", 1)),
                _ => None,
            }),
        ),
        (
            "duplicate_before_bad.tsv",
            rows(|id| match id {
                45_000 => Some(row(5, "again", 1)),
                90_000 => Some("not a number\tx\t1\n".to_owned()),
                _ => None,
            }),
        ),
        (
            "bad_before_duplicate.tsv",
            rows(|id| match id {
                80_000 => Some("80000\ttoo few\n".to_owned()),
                95_000 => Some(row(5, "again", 1)),
                _ => None,
            }),
        ),
        (
            "no_parent.tsv",
            rows(|id| (id == 20_000).then(|| row(id, "lost", 77))),
        ),
        ("nulls.csv", nulls),
    ];
    for (name, text) in files {
        std::fs::write(directory.join(name), text).expect("a file is written");
    }
    let negative = rows(|id| (id == 95_000).then(|| "-1\tnegative\t1\n".to_owned()));
    std::fs::write(directory.join("negative.tsv"), negative).expect("a file is written");
    std::fs::write(directory.join("bulk.sql"), SCRIPT).expect("a file is written");
}

fn answer(mut psql: Command, directory: &Path) -> String {
    let args = ["--echo-all", "--no-align", "-f", "bulk.sql"];
    let psql = psql.args(args).current_dir(directory);
    let finished = run(psql);
    let errors = finished.stderr;
    format!("{}--- errors\n{errors}", finished.stdout)
}

fn check(directory: &Path) {
    let mut check = Command::new(binary());
    let check = check
        .arg("check")
        .arg("--data-dir")
        .arg(directory.join("data"));
    let finished = run(check).expect_success("heliosdb check");
    let said = format!("{}{}", finished.stdout, finished.stderr);
    assert!(
        !said.contains("problem") || said.contains("0 problems"),
        "{said}"
    );
}

#[test]
fn loads_say_and_leave_what_those_of_postgresql_15_do() {
    let files = TempDir::new().expect("a temporary directory");
    write_files(files.path());
    let daemon = Daemon::start();
    let real = Postgres15::start();
    let found = answer(daemon.psql("heliosdb"), files.path());
    let expected = answer(real.psql("postgres"), files.path());
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found, expected);
    assert!(found.contains("duplicate key value"), "{found}");
    check(daemon.kill().path());
}

/// psql that is told one thing after another.
struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn open(daemon: &Daemon, directory: &Path) -> Session {
        let mut psql = daemon.psql("heliosdb");
        let psql = psql
            .args(["--quiet", "--tuples-only", "--no-align"])
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = psql.spawn().expect("psql starts");
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Session {
            child,
            input,
            output,
        }
    }

    /// What it prints for this.
    fn say(&mut self, text: &str) -> String {
        writeln!(self.input, "{text}\n\\echo --done").expect("psql listens");
        let mut out = String::new();
        loop {
            let before = out.len();
            let read = self.output.read_line(&mut out).expect("psql answers");
            assert!(read > 0, "psql ended: {out}");
            if out[before..].trim() == "--done" {
                out.truncate(before);
                return out.trim().to_owned();
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const TABLE: &str = "CREATE TABLE t (id bigint PRIMARY KEY, code text UNIQUE, parent int);";
const COUNT: &str = "SELECT count(*) FROM t;";

#[test]
fn nobody_sees_a_load_before_its_commit_nor_with_an_older_snapshot() {
    let files = TempDir::new().expect("a temporary directory");
    write_files(files.path());
    let daemon = Daemon::start();
    let mut loader = Session::open(&daemon, files.path());
    let mut reader = Session::open(&daemon, files.path());
    let mut old = Session::open(&daemon, files.path());
    loader.say(TABLE);
    loader.say("CREATE TABLE aside (x int);");
    old.say("BEGIN ISOLATION LEVEL REPEATABLE READ;");
    assert_eq!(old.say(COUNT), "0");
    loader.say("BEGIN; CREATE TABLE other (x int); INSERT INTO other VALUES (1);");
    loader.say("\\copy t FROM 'good.tsv'");
    let rows = ROWS.to_string();
    assert_eq!(loader.say(COUNT), rows);
    assert_eq!(reader.say(COUNT), "0");
    assert_eq!(reader.say("SELECT code FROM t WHERE id = 7;"), "");
    // Taken when the rows are in the files already, and another commit has come since.
    reader.say("INSERT INTO aside VALUES (1);");
    let mut late = Session::open(&daemon, files.path());
    late.say("BEGIN ISOLATION LEVEL REPEATABLE READ;");
    assert_eq!(late.say("SELECT count(*) FROM aside;"), "1");
    loader.say("COMMIT;");
    assert_eq!(reader.say(COUNT), rows);
    assert_eq!(reader.say("SELECT code FROM t WHERE id = 7;"), "code 7");
    for session in [&mut old, &mut late] {
        for _ in 0..2 {
            assert_eq!(session.say(COUNT), "0");
            assert_eq!(session.say("SELECT code FROM t WHERE id = 7;"), "");
            assert_eq!(session.say("SELECT id FROM t WHERE code = 'code 7';"), "");
        }
        session.say("COMMIT;");
        assert_eq!(session.say(COUNT), rows);
    }
}

/// A load gives the table a new storage; the rows of before are in the old one.
#[test]
fn a_load_into_an_emptied_table_leaves_older_snapshots_their_rows() {
    let files = TempDir::new().expect("a temporary directory");
    write_files(files.path());
    let daemon = Daemon::start();
    let mut loader = Session::open(&daemon, files.path());
    loader.say(TABLE);
    loader.say("CREATE TABLE aside (x int);");
    loader.say("INSERT INTO t VALUES (7, 'old', 1), (8, 'older', 1);");
    let mut old = Session::open(&daemon, files.path());
    old.say("BEGIN ISOLATION LEVEL REPEATABLE READ;");
    assert_eq!(old.say("SELECT count(*) FROM aside;"), "0");
    loader.say("DELETE FROM t;");
    loader.say("\\copy t FROM 'good.tsv'");
    assert_eq!(loader.say(COUNT), ROWS.to_string());
    assert_eq!(old.say(COUNT), "2");
    assert_eq!(old.say("SELECT code FROM t WHERE id = 7;"), "old");
    assert_eq!(old.say("SELECT id FROM t WHERE code = 'older';"), "8");
    old.say("COMMIT;");
    assert_eq!(old.say(COUNT), ROWS.to_string());
    check(daemon.kill().path());
}

#[test]
fn an_index_of_loaded_rows_is_not_used_by_older_snapshots() {
    let files = TempDir::new().expect("a temporary directory");
    write_files(files.path());
    let daemon = Daemon::start();
    let mut loader = Session::open(&daemon, files.path());
    loader.say("CREATE TABLE t (id bigint PRIMARY KEY, code text, parent int);");
    loader.say("CREATE TABLE aside (x int);");
    loader.say("\\copy t FROM 'good.tsv'");
    let mut old = Session::open(&daemon, files.path());
    old.say("BEGIN ISOLATION LEVEL REPEATABLE READ;");
    assert_eq!(old.say("SELECT count(*) FROM aside;"), "0");
    loader.say("UPDATE t SET code = 'new' WHERE id = 7;");
    // Enough entries for files that are taken in.
    loader.say("CREATE INDEX ON t (code);");
    for _ in 0..2 {
        assert_eq!(old.say("SELECT id FROM t WHERE code = 'code 7';"), "7");
        assert_eq!(old.say("SELECT id FROM t WHERE code = 'code 8';"), "8");
        assert_eq!(old.say("SELECT id FROM t WHERE code = 'new';"), "");
        assert_eq!(loader.say("SELECT id FROM t WHERE code = 'code 7';"), "");
        assert_eq!(loader.say("SELECT id FROM t WHERE code = 'new';"), "7");
    }
    let plan = loader.say("EXPLAIN SELECT id FROM t WHERE code = 'new';");
    assert!(plan.contains("Index Scan"), "{plan}");
    let plan = old.say("EXPLAIN SELECT id FROM t WHERE code = 'new';");
    assert!(plan.contains("Seq Scan"), "{plan}");
    old.say("COMMIT;");
    assert_eq!(old.say("SELECT id FROM t WHERE code = 'new';"), "7");
}

#[test]
fn a_crash_or_a_lost_client_leaves_nothing_of_a_load_that_was_not_committed() {
    let files = TempDir::new().expect("a temporary directory");
    write_files(files.path());
    let daemon = Daemon::start();
    let mut session = Session::open(&daemon, files.path());
    session.say(TABLE);
    let (begin, copy) = ("BEGIN;", "\\copy t FROM 'good.tsv'");
    session.say(begin);
    session.say("CREATE TABLE lost (id bigint PRIMARY KEY, code text, parent int);");
    session.say(copy);
    session.say("\\copy lost FROM 'good.tsv'");
    // The client goes; others get the numbers that its tables had.
    drop(session);
    let mut session = Session::open(&daemon, files.path());
    session.say("CREATE TABLE a (id bigint PRIMARY KEY, code text, parent int);");
    session.say("CREATE TABLE b (id bigint PRIMARY KEY, code text, parent int);");
    let counts =
        "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM a), (SELECT count(*) FROM b);";
    assert_eq!(session.say(counts), "0|0|0");
    session.say(begin);
    session.say(copy);
    session.say("\\copy a FROM 'good.tsv'");
    session.say("CREATE INDEX ON a (code);");
    let directory = daemon.kill();
    check(directory.path());
    let daemon = Daemon::start_in(directory, &[]);
    let mut session = Session::open(&daemon, files.path());
    assert_eq!(session.say(counts), "0|0|0");
    session.say("CREATE TABLE c (id bigint PRIMARY KEY, code text, parent int);");
    session.say("CREATE INDEX ON c (code);");
    assert_eq!(session.say("SELECT count(*) FROM c;"), "0");
    // And a committed one stays, whatever ends the daemon.
    session.say(copy);
    let directory = daemon.kill();
    check(directory.path());
    let load = directory.path().join("data").join("load");
    let daemon = Daemon::start_in(directory, &[]);
    assert!(!load.exists(), "the files of loads are gone");
    let mut session = Session::open(&daemon, files.path());
    assert_eq!(session.say(COUNT), ROWS.to_string());
}
