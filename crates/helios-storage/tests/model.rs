//! The store against a map in memory: random operations with reopen and crash among them.
//!
//! A crash is a copy of the directory taken while the store is open, from which the next store
//! opens: what was only in the process is lost, what was handed to the operating system is not.
//! After a crash the store must stand at some moment between the last acknowledged commit and the
//! last commit, whole: rows, index entries, counters, last timestamp, history and change log.

#[path = "support/store.rs"]
mod support;

use helios_storage::*;
use helios_types::{Result, Ts};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use support::*;
use tempfile::TempDir;

type Rows = BTreeMap<(u32, String), String>;

/// A state after a commit.
#[derive(Clone)]
struct Moment {
    ts: Ts,
    rows: Rows,
    /// Whether the commit was answered with a durability that survives the process.
    acknowledged: bool,
}

struct Run {
    random: StdRng,
    directory: TempDir,
    /// Always there but while it is opened again.
    store: Option<Arc<Store>>,
    /// All commits; the first moment is the empty store.
    moments: Vec<Moment>,
    changes: usize,
}

const OBJECTS: u32 = 3;

fn open(directory: &Path) -> Arc<Store> {
    let options = StoreOptions {
        write_buffer_bytes: 64 << 10,
        log_retention: Some(std::time::Duration::from_secs(86_400)),
        ..options(directory)
    };
    Store::open(options).unwrap()
}

/// The files of a directory that say which data there is: a copy is of one moment when they are
/// the same before and after it. The log may have grown meanwhile; a crash may find it anywhere.
fn structure(directory: &Path) -> Vec<(String, u64)> {
    let mut out: Vec<(String, u64)> = std::fs::read_dir(directory.join("db"))
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let manifest = name.starts_with("MANIFEST");
            // A file may go between being listed and being looked at.
            let len = if manifest {
                entry.metadata().ok()?.len()
            } else {
                0
            };
            Some((name, len))
        })
        .collect();
    out.sort();
    out
}

fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_files(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Copies a directory in use as a crash would leave it.
fn copy(from: &Path) -> TempDir {
    loop {
        let to = tempfile::tempdir().unwrap();
        let before = structure(from);
        if copy_files(from, to.path()).is_ok() && structure(from) == before {
            return to;
        }
    }
}

/// An index entry that says which row it is of and what it holds.
fn index_key(object: u32, name: &str, body: &str) -> Vec<u8> {
    key(object + 100, &format!("{body}/{name}"))
}

impl Run {
    fn new(seed: u64) -> Run {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        let mut run = Run {
            random: StdRng::seed_from_u64(seed),
            directory,
            store: Some(store),
            moments: Vec::new(),
            changes: 0,
        };
        let mut txn = begin(run.store(), Isolation::ReadCommitted);
        for object in 1..=OBJECTS {
            for kept in [support::object(object), support::object(object + 100)] {
                txn.set_history(kept, true);
            }
        }
        txn.put(Space::Meta, b"catalog", RowHeader::default(), b"0");
        let ts = txn.commit_start().unwrap().finish().unwrap().ts;
        run.store().flush(false).unwrap();
        run.moments.push(Moment {
            ts,
            rows: Rows::new(),
            acknowledged: true,
        });
        run
    }

    fn store(&self) -> &Arc<Store> {
        self.store.as_ref().unwrap()
    }

    fn rows(&self) -> &Rows {
        &self.moments.last().unwrap().rows
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..60 => self.transaction(),
            60..75 => self.compare_newest(),
            75..88 => self.compare_earlier(),
            88..92 => self.reopen(),
            92..97 => self.crash(),
            _ => self.check(),
        }
    }

    fn write(&mut self, txn: &mut Txn, rows: &mut Rows) {
        let object = self.random.random_range(1..=OBJECTS);
        let name = format!("{}", self.random.random_range(0..40));
        let row = key(object, &name);
        let old = rows.get(&(object, name.clone())).cloned();
        if let Some(old) = &old {
            txn.delete(Space::Index, &index_key(object, &name, old));
        }
        if self.random.random_bool(0.3) {
            txn.delete(Space::Row, &row);
            rows.remove(&(object, name));
            txn.count(support::object(object), -i64::from(old.is_some()));
            return;
        }
        let length = if self.random.random_bool(0.05) {
            5000
        } else {
            10
        };
        let body = format!("{:0length$}", self.random.random_range(0..100_000));
        let header = RowHeader {
            schema: 1,
            expire_ms: None,
        };
        txn.put(Space::Row, &row, header, body.as_bytes());
        txn.put(Space::Index, &index_key(object, &name, &body), header, b"");
        txn.count(support::object(object), i64::from(old.is_none()));
        rows.insert((object, name), body);
    }

    fn transaction(&mut self) {
        let durability = match self.random.random_range(0..4) {
            0 => Durability::On,
            1 | 2 => Durability::EverySecond,
            _ => Durability::Off,
        };
        let mut txn = self.store().begin(TxnOptions {
            durability,
            ..TxnOptions::default()
        });
        let mut rows = self.rows().clone();
        let mut saved = None;
        for _ in 0..self.random.random_range(1..8) {
            txn.start_statement();
            match self.random.random_range(0..10) {
                0 => saved = Some((txn.savepoint(), rows.clone())),
                1 => {
                    if let Some((savepoint, before)) = &saved {
                        txn.rollback_to(*savepoint);
                        rows = before.clone();
                    }
                }
                _ => self.write(&mut txn, &mut rows),
            }
        }
        txn.start_statement();
        assert_eq!(dump(&txn.view()), rows, "a transaction sees its own writes");
        if self.random.random_bool(0.1) {
            return txn.rollback();
        }
        txn.put(Space::Meta, b"catalog", RowHeader::default(), b"1");
        txn.log(ChangeRecord {
            object: object(1),
            op: ChangeOp::Update,
            key: Arc::from(b"k".as_slice()),
            old: None,
            new: None,
        });
        let ts = txn.commit_start().unwrap().finish().unwrap().ts;
        let acknowledged = durability != Durability::Off;
        if acknowledged {
            // The log has one order: what stands before an acknowledged commit is safe with it.
            self.moments.iter_mut().for_each(|m| m.acknowledged = true);
        }
        self.moments.push(Moment {
            ts,
            rows,
            acknowledged,
        });
        self.changes += 1;
    }

    fn compare_newest(&mut self) {
        let snapshot = self.store().snapshot();
        assert_eq!(snapshot.ts(), self.moments.last().unwrap().ts);
        assert_eq!(dump_snapshot(&snapshot).unwrap(), *self.rows());
        for object in 1..=OBJECTS {
            let rows = self.rows().keys().filter(|(o, _)| *o == object).count();
            assert_eq!(self.store().row_count(support::object(object)), rows as i64);
        }
    }

    fn compare_earlier(&mut self) {
        let at = self.random.random_range(0..self.moments.len());
        let moment = &self.moments[at];
        // Any timestamp up to the next commit shows the same state.
        let next = self
            .moments
            .get(at + 1)
            .map_or(moment.ts.0 + 1, |next| next.ts.0);
        let ts = Ts(self.random.random_range(moment.ts.0..next));
        assert_eq!(
            dump_snapshot(&self.store().snapshot_at(ts).unwrap()).unwrap(),
            moment.rows
        );
    }

    fn reopen(&mut self) {
        self.store().close().unwrap();
        self.replace(self.directory.path().to_path_buf().as_path());
        self.moments.iter_mut().for_each(|m| m.acknowledged = true);
        self.compare_newest();
    }

    /// Opens what `path` holds instead of the store that was open.
    fn replace(&mut self, path: &Path) {
        // Nothing may use the directory while it is opened again.
        self.store = None;
        self.store = Some(open(path));
    }

    fn crash(&mut self) {
        let copied = copy(self.directory.path());
        self.replace(copied.path());
        self.directory = copied;
        let last = self.store().last_ts();
        let survived = self
            .moments
            .iter()
            .rposition(|m| m.ts == last)
            .expect("a state in between");
        let lost = self.moments.split_off(survived + 1);
        assert!(
            lost.iter().all(|m| !m.acknowledged),
            "an acknowledged commit is lost"
        );
        self.changes -= lost.len();
        assert_eq!(
            self.store().changes(Ts::ZERO, usize::MAX).unwrap().len(),
            self.changes
        );
        self.compare_newest();
        self.check();
    }

    fn check(&mut self) {
        struct Matching(Vec<(Vec<u8>, Vec<u8>)>, Vec<Vec<u8>>);
        impl CheckVisitor for Matching {
            fn entry(&mut self, space: Space, key: &[u8], _: &Header, body: &[u8]) -> Result<()> {
                match space {
                    Space::Row => self.0.push((key.to_vec(), body.to_vec())),
                    Space::Index => self.1.push(key.to_vec()),
                    Space::Meta => {}
                }
                Ok(())
            }
        }
        let mut visitor = Matching(Vec::new(), Vec::new());
        let report = self.store().check(&mut visitor).unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        let mut expected: Vec<Vec<u8>> = self
            .rows()
            .iter()
            .map(|((o, name), body)| index_key(*o, name, body))
            .collect();
        expected.sort();
        assert_eq!(
            visitor.1, expected,
            "every row has its index entry and back"
        );
        assert_eq!(visitor.0.len(), self.rows().len());
    }
}

fn entries(
    object: u32,
    scanned: Vec<(String, String)>,
) -> impl Iterator<Item = ((u32, String), String)> {
    scanned
        .into_iter()
        .map(move |(name, body)| ((object, name), body))
}

fn dump(view: &ReadView) -> Rows {
    (1..=OBJECTS)
        .flat_map(|object| entries(object, scan(view, object, false)))
        .collect()
}

fn dump_snapshot(snapshot: &Snapshot) -> Result<Rows> {
    let mut rows = Rows::new();
    for number in 1..=OBJECTS {
        let range = object(number).range();
        let forward = collect(snapshot.scan(Space::Row, range.clone(), ScanOptions::default())?);
        let reverse = ScanOptions {
            reverse: true,
            ..ScanOptions::default()
        };
        let mut backward = collect(snapshot.scan(Space::Row, range, reverse)?);
        backward.reverse();
        assert_eq!(forward, backward);
        for (name, expected) in &forward {
            assert_eq!(
                body(snapshot.get(Space::Row, &key(number, name))?).as_ref(),
                Some(expected)
            );
        }
        rows.extend(entries(number, forward));
    }
    Ok(rows)
}

/// `HELIOS_MODEL_STEPS` sets the number of operations of each of the runs.
fn steps() -> usize {
    std::env::var("HELIOS_MODEL_STEPS")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(150)
}

#[test]
fn the_store_is_a_map_through_reopens_and_crashes() {
    for seed in 0..6 {
        let mut run = Run::new(seed);
        for _ in 0..steps() {
            run.step();
        }
        run.compare_newest();
        for at in 0..run.moments.len() {
            let moment = run.moments[at].clone();
            let snapshot = run.store().snapshot_at(moment.ts).unwrap();
            assert_eq!(
                dump_snapshot(&snapshot).unwrap(),
                moment.rows,
                "seed {seed}, moment {at}"
            );
        }
    }
}

/// The control: an acknowledgement that is not kept must be noticed.
#[test]
#[should_panic(expected = "an acknowledged commit is lost")]
fn the_model_notices_a_commit_that_is_acknowledged_too_early() {
    for seed in 0..20 {
        let mut run = Run::new(seed);
        for _ in 0..10 {
            run.transaction();
        }
        // Committed without a hand-over, and called acknowledged.
        let mut txn = begin(run.store(), Isolation::ReadCommitted);
        txn.put(Space::Meta, b"catalog", RowHeader::default(), b"planted");
        let ts = txn.commit_start().unwrap().info().ts;
        run.moments.push(Moment {
            ts,
            rows: run.rows().clone(),
            acknowledged: true,
        });
        run.crash();
    }
}

#[test]
fn history_is_read_only_as_far_back_as_it_goes() {
    let (_directory, store) = store();
    let before = write(&store, 1, "a", "1");
    let mut txn = begin(&store, Isolation::ReadCommitted);
    txn.set_history(object(1), true);
    let since = commit(txn).unwrap();
    let second = write(&store, 1, "a", "2");
    let third = write(&store, 1, "a", "3");
    assert_eq!(store.history_since(object(1)), Some(since));
    let at = |ts: Ts| {
        let snapshot = store.snapshot_at(ts)?;
        snapshot.get(Space::Row, &key(1, "a")).map(body)
    };
    let too_old = helios_types::ErrorKind::SnapshotTooOld;
    assert_eq!(at(before).unwrap_err().kind(), too_old);
    assert_eq!(at(since).unwrap().unwrap(), "1");
    assert_eq!(at(second).unwrap().unwrap(), "2");
    assert_eq!(at(third).unwrap().unwrap(), "3");
    let other = store.snapshot_at(since).unwrap();
    assert_eq!(
        other.get(Space::Row, &key(2, "a")).unwrap_err().kind(),
        too_old
    );
    assert_eq!(store.prune(object(1), third).unwrap(), 2);
    assert_eq!(at(second).unwrap_err().kind(), too_old);
    assert_eq!(at(third).unwrap().unwrap(), "3");
    assert_eq!(at(Ts::MAX).unwrap().unwrap(), "3");
    let fourth = write(&store, 1, "a", "4");
    assert_eq!(at(third).unwrap().unwrap(), "3");
    assert_eq!(at(fourth).unwrap().unwrap(), "4");
}

#[test]
fn the_versions_of_a_key_do_not_mix_with_those_of_a_longer_one() {
    let (_directory, store) = store();
    let mut txn = begin(&store, Isolation::ReadCommitted);
    txn.set_history(object(1), true);
    let mut moments = vec![(commit(txn).unwrap(), BTreeMap::new())];
    let names = [
        "", "\0", "\0\0", "\0\u{1}", "\u{1}", "a", "a\0", "a\0b", "ab",
    ];
    let mut rows: BTreeMap<String, String> = BTreeMap::new();
    for round in 0..4 {
        for (i, name) in names.iter().enumerate() {
            let body = format!("{round}{i}");
            let ts = write(&store, 1, name, &body);
            rows.insert((*name).to_owned(), body);
            moments.push((ts, rows.clone()));
        }
    }
    for (ts, rows) in moments {
        let snapshot = store.snapshot_at(ts).unwrap();
        let range = object(1).range();
        let seen = collect(
            snapshot
                .scan(Space::Row, range, ScanOptions::default())
                .unwrap(),
        );
        assert!(seen.into_iter().eq(rows.clone()));
        for name in names {
            let value = snapshot.get(Space::Row, &key(1, name)).unwrap();
            assert_eq!(body(value).as_ref(), rows.get(name));
        }
    }
}
