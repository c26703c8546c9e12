//! Processes that write are killed at random moments; what they said was committed must be there.
//!
//! The child is this test's own program, started again for one ignored test. It prints a line for
//! each commit after it was acknowledged; the parent kills it with SIGKILL and compares.
//! `HELIOS_CRASH_ROUNDS` sets the number of kills. That the device keeps what the system was given
//! is not shown here: a killed process loses no page cache.

#[path = "support/store.rs"]
mod support;

use helios_storage::*;
use rand::Rng;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::*;

const DIRECTORY: &str = "HELIOS_CRASH_DIRECTORY";
const DURABILITY: &str = "HELIOS_CRASH_DURABILITY";

#[test]
#[ignore = "the child of the tests below"]
fn child_process() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let durability = match std::env::var(DURABILITY).unwrap().as_str() {
        "on" => Durability::On,
        "everysec" => Durability::EverySecond,
        _ => Durability::Off,
    };
    let store = Store::open(StoreOptions {
        write_buffer_bytes: 256 << 10,
        ..options(Path::new(&directory))
    })
    .unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "ready").unwrap();
    let first = store.row_count(object(1)) as usize;
    for i in first.. {
        let number = store
            .sequence_next(object(9), &SequenceParams::default())
            .unwrap();
        let mut txn = store.begin(TxnOptions {
            durability,
            ..TxnOptions::default()
        });
        put(&mut txn, 1, &format!("{i:08}"), &number.to_string());
        txn.put(
            Space::Index,
            &key(2, &format!("{i:08}")),
            RowHeader::default(),
            b"",
        );
        txn.count(object(1), 1);
        let ts = txn.commit_start().unwrap().finish().unwrap().ts;
        writeln!(out, "{i} {number} {}", ts.0).unwrap();
        if durability == Durability::Off && i == first + 20 {
            // The control: said, and gone before anything hands the log over.
            std::process::abort();
        }
    }
}

/// What a killed child had said: number of rows, the highest sequence number, the last timestamp.
struct Said {
    rows: usize,
    sequence: i64,
    ts: u64,
}

fn run_and_kill(directory: &Path, durability: &str) -> Said {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_process",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIRECTORY, directory)
        .env(DURABILITY, durability)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.ends_with("ready\n") {
        line.clear();
        assert!(
            lines.read_line(&mut line).unwrap() > 0,
            "the child did not start"
        );
    }
    let reader = std::thread::spawn(move || {
        let mut rest = Vec::new();
        lines.read_to_end(&mut rest).unwrap();
        rest
    });
    // The moment of the kill is what is random here.
    std::thread::sleep(Duration::from_micros(
        rand::rng().random_range(1_000..60_000),
    ));
    child.kill().unwrap();
    child.wait().unwrap();
    let text = String::from_utf8(reader.join().unwrap()).unwrap();
    let mut said = Said {
        rows: 0,
        sequence: 0,
        ts: 0,
    };
    // Only whole lines were said.
    for line in text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
    {
        let mut parts = line
            .split_whitespace()
            .map(|part| part.parse::<i64>().unwrap());
        said.rows = parts.next().unwrap() as usize + 1;
        said.sequence = parts.next().unwrap();
        said.ts = parts.next().unwrap() as u64;
    }
    said
}

/// Opens what is left and checks that it is whole; how many acknowledged rows are missing.
fn look(directory: &Path, said: &Said) -> usize {
    let store = Store::open(options(directory)).unwrap();
    let view = begin(&store, Isolation::ReadCommitted).view();
    let rows = scan(&view, 1, false);
    let entries = view.scan(Space::Index, object(2).range(), ScanOptions::default());
    let index = collect(entries.unwrap());
    let mut highest = 0;
    for (i, ((name, number), (entry, _))) in rows.iter().zip(&index).enumerate() {
        assert_eq!(
            name,
            &format!("{i:08}"),
            "no commit is missing between others"
        );
        assert_eq!(name, entry, "rows and index entries agree");
        let number: i64 = number.parse().unwrap();
        assert!(number > highest, "no number is given out twice");
        highest = number;
    }
    assert_eq!(rows.len(), index.len());
    assert_eq!(store.row_count(object(1)), rows.len() as i64);
    assert!(store.check(&mut NoVisitor).unwrap().is_clean());
    let missing = said.rows.saturating_sub(rows.len());
    if missing == 0 {
        assert!(store.last_ts().0 >= said.ts);
        let next = store
            .sequence_next(object(9), &SequenceParams::default())
            .unwrap();
        assert!(
            next > said.sequence && next > highest,
            "the sequence goes on behind"
        );
    }
    missing
}

fn rounds() -> usize {
    std::env::var("HELIOS_CRASH_ROUNDS")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(6)
}

#[test]
fn a_killed_process_loses_no_acknowledged_commit() {
    for durability in ["on", "everysec"] {
        let directory = tempfile::tempdir().unwrap();
        let mut acknowledged = 0;
        for round in 0..rounds() {
            let said = run_and_kill(directory.path(), durability);
            acknowledged = acknowledged.max(said.rows);
            assert_eq!(
                look(directory.path(), &said),
                0,
                "{durability}, round {round}"
            );
        }
        println!("{durability}: {acknowledged} commits acknowledged");
    }
}

/// The control: commits that are acknowledged before they are handed over are found missing. The
/// child ends by itself right after such an acknowledgement.
#[test]
fn the_test_notices_commits_that_are_acknowledged_too_early() {
    let directory = tempfile::tempdir().unwrap();
    let missing: usize = (0..rounds().max(6))
        .map(|_| {
            let said = run_and_kill(directory.path(), "off");
            look(directory.path(), &said)
        })
        .sum();
    assert!(missing > 0, "{missing} commits lost");
}
