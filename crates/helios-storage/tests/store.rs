//! The store as a whole: opening, closing, and what it keeps besides rows.

#[path = "support/store.rs"]
mod support;

use helios_storage::*;
use helios_types::{ErrorKind, Ts};
use std::sync::Arc;
use std::time::Duration;
use support::*;

const RC: Isolation = Isolation::ReadCommitted;

#[test]
fn a_second_open_is_refused_with_the_holder_s_process() {
    let (directory, store) = store();
    let error = Store::open(options(directory.path())).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::ObjectInUse);
    let expected = format!("is in use by process {}", std::process::id());
    assert!(error.message().contains(&expected), "{error}");
    drop(store);
    Store::open(options(directory.path())).unwrap();
}

#[test]
fn a_newer_format_and_a_foreign_directory_are_refused() {
    let (directory, store) = store();
    drop(store);
    std::fs::write(directory.path().join("FORMAT"), "2\n").unwrap();
    let error = Store::open(options(directory.path())).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConfigFile);
    assert!(error.message().starts_with("data format 2 of "), "{error}");
    assert!(
        error.message().contains("is newer than this version"),
        "{error}"
    );
    assert!(!error.message().contains('\n'));
    std::fs::remove_file(directory.path().join("FORMAT")).unwrap();
    let error = Store::open(options(directory.path())).err().unwrap();
    assert!(
        error.message().contains("is not a HeliosDB data directory"),
        "{error}"
    );
}

#[test]
fn a_directory_that_cannot_be_used_is_an_io_error_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Store::open(options(&file)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(!error.message().contains('\n'), "{error}");
}

#[test]
fn everything_committed_is_there_after_a_clean_close() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(options(directory.path())).unwrap();
    let mut txn = begin(&store, RC);
    put(&mut txn, 1, "a", "1");
    txn.count(object(1), 3);
    commit(txn).unwrap();
    let last = write(&store, 1, "b", "2");
    store.meta_put(b"name", b"value", false).unwrap();
    store.close().unwrap();
    store.close().unwrap();
    let mut late = begin(&store, RC);
    put(&mut late, 1, "c", "3");
    assert_eq!(commit(late).unwrap_err().kind(), ErrorKind::AdminShutdown);
    drop(store);
    let store = Store::open(options(directory.path())).unwrap();
    assert_eq!(store.last_ts(), last);
    assert_eq!(store.row_count(object(1)), 3);
    assert_eq!(store.meta_get(b"name").unwrap().unwrap(), b"value");
    let view = begin(&store, RC).view();
    assert_eq!(scan(&view, 1, false).len(), 2);
    assert!(write(&store, 1, "c", "3") > last);
    let report = store.check(&mut NoVisitor).unwrap();
    assert_eq!((report.rows, report.problem_count), (3, 0));
}

#[test]
fn a_read_only_open_reads_and_refuses_to_write() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(options(directory.path())).unwrap();
    write(&store, 1, "a", "1");
    drop(store);
    let only = StoreOptions {
        read_only: true,
        ..options(directory.path())
    };
    let store = Store::open(only).unwrap();
    assert_eq!(
        body(store.get(Space::Row, &key(1, "a")).unwrap()).unwrap(),
        "1"
    );
    let mut txn = begin(&store, RC);
    put(&mut txn, 1, "a", "2");
    assert_eq!(
        commit(txn).unwrap_err().kind(),
        ErrorKind::ReadOnlyTransaction
    );
}

#[test]
fn dropping_an_object_removes_all_of_it_and_nothing_else() {
    let (_directory, store) = store();
    for number in [1, 2, 3] {
        let mut txn = begin(&store, RC);
        put(&mut txn, number, "a", "1");
        txn.put(Space::Index, &key(number, "i"), RowHeader::default(), b"");
        txn.set_history(object(number), true);
        txn.count(object(number), 1);
        commit(txn).unwrap();
        write(&store, number, "a", "2");
    }
    store.drop_object(object(2)).unwrap();
    for (number, rows) in [(1, 1), (2, 0), (3, 1)] {
        let snapshot = store.snapshot();
        let all = |space| {
            let range = object(number).range();
            let mut scan = snapshot.scan(space, range, ScanOptions::default()).unwrap();
            std::iter::from_fn(|| scan.next().unwrap().map(drop)).count()
        };
        assert_eq!((all(Space::Row), all(Space::Index)), (rows, rows));
        assert_eq!(store.row_count(object(number)), rows as i64);
        assert_eq!(store.history_since(object(number)).is_some(), rows == 1);
    }
    let report = store.check(&mut NoVisitor).unwrap();
    assert_eq!((report.rows, report.history_versions), (2, 2));
}

fn put_expiring(store: &Arc<Store>, name: &str, expire_ms: u64) {
    let mut txn = begin(store, RC);
    let header = RowHeader {
        schema: 1,
        expire_ms: Some(expire_ms),
    };
    txn.put(Space::Row, &key(1, name), header, b"x");
    commit(txn).unwrap();
}

#[test]
fn due_rows_are_found_in_order_and_stale_entries_are_not() {
    let (_directory, store) = store();
    put_expiring(&store, "c", 300);
    put_expiring(&store, "a", 100);
    put_expiring(&store, "b", 200);
    let due = |now, limit| -> String {
        let due = store.expired(now, limit).unwrap();
        due.iter()
            .map(|(_, _, k)| char::from(k[Prefix::LEN]))
            .collect()
    };
    assert_eq!(due(99, 10), "");
    assert_eq!(due(200, 10), "ab");
    assert_eq!(due(1000, 2), "ab");
    put_expiring(&store, "a", 500);
    write(&store, 1, "b", "for ever");
    assert_eq!(due(400, 10), "c");
    let mut txn = begin(&store, RC);
    txn.delete(Space::Row, &key(1, "c"));
    commit(txn).unwrap();
    assert_eq!(due(400, 10), "");
    assert_eq!(due(500, 10), "a");
    put_expiring(&store, "b", 200);
    assert_eq!(due(500, 10), "ba", "an expiry given again counts again");
}

#[test]
fn a_sequence_counts_cycles_and_ends() {
    let (_directory, store) = store();
    let params = SequenceParams {
        increment: 2,
        min: 1,
        max: 7,
        start: 3,
        cycle: false,
    };
    let next = |number, params: &SequenceParams| store.sequence_next(object(number), params);
    assert_eq!(store.sequence_get(object(1)).unwrap(), None);
    let values: Vec<i64> = (0..3).map(|_| next(1, &params).unwrap()).collect();
    assert_eq!(values, [3, 5, 7]);
    assert_eq!(
        next(1, &params).unwrap_err().kind(),
        ErrorKind::SequenceLimitExceeded
    );
    assert_eq!(store.sequence_get(object(1)).unwrap(), Some((7, true)));
    let cycle = SequenceParams {
        cycle: true,
        ..params
    };
    assert_eq!(next(1, &cycle).unwrap(), 1);
    let down = SequenceParams {
        increment: -1,
        min: -2,
        max: -1,
        start: -1,
        cycle: true,
    };
    let values: Vec<i64> = (0..3).map(|_| next(2, &down).unwrap()).collect();
    assert_eq!(values, [-1, -2, -1]);
    store.sequence_set(object(1), 5, false).unwrap();
    assert_eq!(next(1, &params).unwrap(), 5);
    store.sequence_set(object(1), 5, true).unwrap();
    assert_eq!(next(1, &params).unwrap(), 7);
}

#[test]
fn a_sequence_goes_on_exactly_after_a_clean_close() {
    let directory = tempfile::tempdir().unwrap();
    let params = SequenceParams::default();
    for round in 0..3 {
        let store = Store::open(options(directory.path())).unwrap();
        for i in 0..40 {
            assert_eq!(
                store.sequence_next(object(1), &params).unwrap(),
                round * 40 + i + 1
            );
        }
    }
}

fn with_log(directory: &std::path::Path) -> Arc<Store> {
    let log_retention = Some(Duration::from_secs(3600));
    Store::open(StoreOptions {
        log_retention,
        ..options(directory)
    })
    .unwrap()
}

fn record(name: &str) -> ChangeRecord {
    ChangeRecord {
        object: object(1),
        op: ChangeOp::Insert,
        key: Arc::from(name.as_bytes()),
        old: None,
        new: Some(Arc::from(b"new".as_slice())),
    }
}

#[test]
fn the_change_log_gives_whole_commits_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let store = with_log(directory.path());
    let mut commits = Vec::new();
    for i in 0..5 {
        let mut txn = begin(&store, RC);
        for j in 0..3 {
            txn.log(record(&format!("{i}{j}")));
        }
        commits.push(commit(txn).unwrap());
    }
    let mut after = Ts::ZERO;
    let mut names = Vec::new();
    loop {
        let changes = store.changes(after, 4).unwrap();
        let Some(last) = changes.last() else { break };
        assert_eq!(changes.len() % 3, 0, "no commit is cut");
        after = last.ts;
        names.extend(
            changes
                .iter()
                .map(|c| String::from_utf8(c.record.key.to_vec()).unwrap()),
        );
    }
    let expected: Vec<String> = (0..15).map(|i| format!("{}{}", i / 3, i % 3)).collect();
    assert_eq!(names, expected);
    assert_eq!(after, commits[4]);
    store.trim_changes(commits[2]).unwrap();
    assert_eq!(store.changes(Ts::ZERO, 100).unwrap().len(), 9);
}

#[tokio::test]
async fn subscribers_hear_of_every_commit_in_order() {
    let (_directory, store) = store();
    let mut subscription = store.subscribe();
    let mut expected = Vec::new();
    for number in 1..=3 {
        let mut txn = begin(&store, RC);
        put(&mut txn, number, "a", "1");
        put(&mut txn, number, "b", "1");
        txn.log(record("a"));
        expected.push((commit(txn).unwrap(), number));
    }
    for (ts, number) in expected {
        let notice = subscription.recv().await.unwrap();
        assert_eq!(notice.ts, ts);
        assert!(notice.objects.contains(&object(number)));
        assert_eq!(notice.records.len(), 1);
    }
}

#[test]
fn timestamps_rise_and_are_near_the_clock() {
    let (_directory, store) = store();
    let mut last = Ts::ZERO;
    for _ in 0..1000 {
        let ts = write(&store, 1, "a", "1");
        assert!(ts > last);
        last = ts;
    }
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    assert!((now.as_millis() as u64).abs_diff(last.unix_ms()) < 60_000);
}

#[test]
fn concurrent_durable_commits_share_fsyncs() {
    let (_directory, store) = store();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    let before = store.stats();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let store = store.clone();
                tokio::spawn(async move {
                    for i in 0..25 {
                        let mut txn = store.begin(TxnOptions::default());
                        put(&mut txn, 1, &format!("{task}-{i}"), "x");
                        txn.commit().await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let after = store.stats();
    assert_eq!(after.commits - before.commits, 1600);
    let fsyncs = after.fsyncs - before.fsyncs;
    assert!(fsyncs >= 25, "each task waits 25 times: {fsyncs}");
    assert!(fsyncs * 4 < 1600, "{fsyncs} fsyncs for 1600 commits");
}

#[test]
fn a_durable_commit_is_answered_without_a_runtime() {
    let (_directory, store) = store();
    let mut txn = store.begin(TxnOptions::default());
    put(&mut txn, 1, "a", "1");
    let wait = txn.commit_start().unwrap();
    assert!(wait.needs_sync());
    assert_eq!(wait.finish().unwrap().ts, store.last_ts());
    assert!(store.stats().fsyncs >= 1);
}

#[test]
fn check_reports_a_value_without_a_header_and_what_the_visitor_finds() {
    struct Suspicious;
    impl CheckVisitor for Suspicious {
        fn entry(
            &mut self,
            _: Space,
            key: &[u8],
            _: &Header,
            body: &[u8],
        ) -> helios_types::Result<()> {
            match body {
                b"bad" => Err(helios_types::error!(DataCorrupted, "bad row {}", key.len())),
                _ => Ok(()),
            }
        }

        fn finish(&mut self, _: &Snapshot) -> Vec<String> {
            vec!["index entry without a row".into()]
        }
    }
    let (_directory, store) = store();
    write(&store, 1, "a", "good");
    write(&store, 1, "b", "bad");
    let report = store.check(&mut Suspicious).unwrap();
    assert_eq!((report.rows, report.problem_count), (2, 2));
    assert!(
        report.problems[0].ends_with("bad row 13"),
        "{:?}",
        report.problems
    );
    assert!(!report.is_clean());
}

/// Writers count rows up; readers of the newest state and of snapshots must never see less than
/// what had been committed before they began, nor two rows of one commit that differ.
#[test]
fn readers_never_see_a_row_that_is_older_than_what_they_know() {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    const ROWS: usize = 8;
    const COMMITS: u64 = 20_000;
    let (_directory, store) = store();
    let committed: Vec<AtomicU64> = (0..ROWS).map(|_| AtomicU64::new(0)).collect();
    let done = AtomicBool::new(false);
    let number = |value: Option<Pinned<'_>>| {
        value.map_or(0, |value| {
            let (_, body) = split_header(&value).unwrap();
            std::str::from_utf8(body).unwrap().parse::<u64>().unwrap()
        })
    };
    let row = |n: usize| (key(1, &format!("a{n}")), key(1, &format!("b{n}")));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = 0;
                while !done.load(Ordering::SeqCst) {
                    for (n, committed) in committed.iter().enumerate() {
                        let (a, b) = row(n);
                        let known = committed.load(Ordering::SeqCst);
                        assert!(number(store.get(Space::Row, &a).unwrap()) >= known);
                        let known = committed.load(Ordering::SeqCst);
                        let snapshot = store.snapshot();
                        let of_a = number(snapshot.get(Space::Row, &a).unwrap());
                        let of_b = number(snapshot.get(Space::Row, &b).unwrap());
                        assert!(of_a >= known && of_a == of_b, "{known} {of_a} {of_b}");
                        seen += 1;
                    }
                }
                assert!(seen > 0);
            });
        }
        for value in 1..=COMMITS {
            let n = value as usize % ROWS;
            let mut txn = begin(&store, RC);
            // Every third time the rows are deleted first, which no reader may see.
            if value % 3 == 0 {
                txn.delete(Space::Row, &row(n).0);
            }
            put(&mut txn, 1, &format!("a{n}"), &value.to_string());
            put(&mut txn, 1, &format!("b{n}"), &value.to_string());
            commit(txn).unwrap();
            committed[n].store(value, Ordering::SeqCst);
        }
        done.store(true, Ordering::SeqCst);
    });
    store.drop_object(object(1)).unwrap();
    assert!(store.get(Space::Row, &row(1).0).unwrap().is_none());
}

#[test]
fn a_record_comes_with_its_commit_and_not_without_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(options(directory.path())).unwrap();
    let record = |name: &str| store.meta_get(name.as_bytes()).unwrap();
    let mut txn = begin(&store, RC);
    put(&mut txn, 1, "a", "1");
    txn.set_record(b"reply/1".to_vec(), b"first".to_vec());
    assert_eq!(record("reply/1"), None);
    commit(txn).unwrap();
    assert_eq!(record("reply/1").unwrap(), b"first");
    let mut empty = begin(&store, RC);
    empty.set_record(b"reply/2".to_vec(), b"nothing".to_vec());
    commit(empty).unwrap();
    assert_eq!(record("reply/2"), None, "a commit of nothing");
    let mut undone = begin(&store, RC);
    put(&mut undone, 1, "b", "2");
    undone.set_record(b"reply/3".to_vec(), b"undone".to_vec());
    undone.rollback();
    assert_eq!(record("reply/3"), None, "a rollback");
    store.meta_put(b"reply/4", b"new", false).unwrap();
    store.meta_put(b"other", b"first", false).unwrap();
    let gone = store.meta_retain(b"reply/", |_, value| value != b"first");
    assert_eq!(gone.unwrap(), 1);
    assert_eq!(record("reply/1"), None);
    assert_eq!(record("reply/4").unwrap(), b"new");
    assert_eq!(record("other").unwrap(), b"first", "beyond the prefix");
}

#[test]
fn a_record_of_the_catalog_knows_when_it_was_made_and_changed() {
    let (_directory, store) = store();
    let change = |value: &str| {
        let mut txn = begin(&store, RC);
        txn.put(
            Space::Meta,
            b"object/x",
            RowHeader::default(),
            value.as_bytes(),
        );
        commit(txn).unwrap()
    };
    assert_eq!(store.catalog_record_times(b"object/x").unwrap(), None);
    let made = change("1");
    assert_eq!(
        store.catalog_record_times(b"object/x").unwrap(),
        Some((made, made))
    );
    change("2");
    let changed = change("3");
    assert_eq!(
        store.catalog_record_times(b"object/x").unwrap(),
        Some((made, changed))
    );
}
