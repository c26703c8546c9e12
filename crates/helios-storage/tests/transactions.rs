//! What transactions see of themselves and of one another.

#[path = "support/store.rs"]
mod support;

use helios_storage::*;
use helios_types::ErrorKind;
use std::sync::Arc;
use support::*;

const RC: Isolation = Isolation::ReadCommitted;
const RR: Isolation = Isolation::RepeatableRead;
const SER: Isolation = Isolation::Serializable;

fn get(txn: &Txn, name: &str) -> Option<String> {
    read(&txn.view(), 1, name)
}

/// Locks a row for update as the write kernel does, and checks for conflicts.
fn lock_and_check(txn: &mut Txn, name: &str) -> helios_types::Result<()> {
    let row = key(1, name);
    let lock = LockKey::Row(Space::Row, &row);
    assert_eq!(txn.try_lock(&lock, LockMode::Update)?, TryLock::Granted);
    txn.check_write_conflict(Space::Row, &row)
}

fn update(txn: &mut Txn, name: &str, body: &str) -> helios_types::Result<()> {
    lock_and_check(txn, name)?;
    put(txn, 1, name, body);
    Ok(())
}

fn names(rows: Vec<(String, String)>) -> String {
    rows.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn nothing_of_a_transaction_is_seen_before_its_commit_or_after_its_rollback() {
    let (_directory, store) = store();
    for isolation in [RC, RR, SER] {
        let mut writer = begin(&store, isolation);
        put(&mut writer, 1, "a", "dirty");
        let reader = begin(&store, RC);
        assert_eq!(get(&reader, "a"), None);
        writer.rollback();
        assert_eq!(body(store.get(Space::Row, &key(1, "a")).unwrap()), None);
    }
}

#[test]
fn read_committed_sees_each_statement_s_moment_and_repeatable_read_the_first() {
    let (_directory, store) = store();
    write(&store, 1, "a", "1");
    let mut rc = begin(&store, RC);
    let mut rr = begin(&store, RR);
    assert_eq!(
        (get(&rc, "a"), get(&rr, "a")),
        (Some("1".into()), Some("1".into()))
    );
    write(&store, 1, "a", "2");
    assert_eq!(
        get(&rc, "a").unwrap(),
        "1",
        "the statement goes on with its snapshot"
    );
    rc.start_statement();
    rr.start_statement();
    assert_eq!(
        (get(&rc, "a").unwrap(), get(&rr, "a").unwrap()),
        ("2".into(), "1".into())
    );
}

#[test]
fn a_statement_sees_the_writes_of_the_statements_before_it() {
    let (_directory, store) = store();
    for name in ["b", "d", "f"] {
        write(&store, 1, name, "old");
    }
    let mut txn = begin(&store, RC);
    put(&mut txn, 1, "a", "new");
    put(&mut txn, 1, "d", "new");
    txn.delete(Space::Row, &key(1, "f"));
    put(&mut txn, 1, "g", "new");
    assert_eq!(names(scan(&txn.view(), 1, false)), "bdf", "not its own");
    assert_eq!(
        names(scan(&txn.view_latest(), 1, false)),
        "abdg",
        "but for checks"
    );
    txn.start_statement();
    let expected = [("a", "new"), ("b", "old"), ("d", "new"), ("g", "new")]
        .map(|(n, b)| (n.to_owned(), b.to_owned()));
    let view = txn.view();
    assert_eq!(scan(&view, 1, false), expected);
    let mut backwards = scan(&view, 1, true);
    backwards.reverse();
    assert_eq!(backwards, expected);
    let keys = ["a", "b", "c", "d", "f"].map(|name| key(1, name));
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let values = view.multi_get(Space::Row, &keys, true).unwrap();
    let values: Vec<Option<String>> = values.into_iter().map(body).collect();
    let expected = [Some("new"), Some("old"), None, Some("new"), None];
    assert_eq!(values, expected.map(|v| v.map(str::to_owned)));
}

#[test]
fn a_large_overlay_merges_in_both_directions() {
    let (_directory, store) = store();
    let mut txn = begin(&store, RC);
    let mut expected = std::collections::BTreeMap::new();
    for i in 0..3000u32 {
        let name = format!("{:05}", i * 7 % 3001);
        if i % 3 == 0 {
            write(&store, 1, &name, "stored");
            expected.insert(name, "stored".to_owned());
        }
    }
    for i in 0..3000u32 {
        let name = format!("{:05}", i * 11 % 3001);
        if i % 5 == 0 {
            txn.delete(Space::Row, &key(1, &name));
            expected.remove(&name);
        } else if i % 2 == 0 {
            put(&mut txn, 1, &name, "own");
            expected.insert(name, "own".to_owned());
        }
    }
    txn.start_statement();
    let mut expected: Vec<(String, String)> = expected.into_iter().collect();
    assert_eq!(scan(&txn.view(), 1, false), expected);
    let range = KeyRange::new(key(1, "00100"), key(1, "00200"));
    let part = collect(
        txn.view()
            .scan(Space::Row, range, ScanOptions::default())
            .unwrap(),
    );
    let inside = expected
        .iter()
        .filter(|(n, _)| ("00100".."00200").contains(&n.as_str()));
    assert!(part.iter().eq(inside));
    expected.reverse();
    assert_eq!(scan(&txn.view(), 1, true), expected);
}

#[test]
fn a_block_holds_what_the_scan_gives() {
    let (_directory, store) = store();
    for i in 0..100 {
        write(&store, 1, &format!("{i:03}"), "x");
    }
    let view = begin(&store, RC).view();
    let mut scan = view
        .scan(Space::Row, object(1).range(), ScanOptions::default())
        .unwrap();
    let mut block = Block::default();
    let mut seen = 0;
    while scan.next_block(&mut block, 30, 1 << 20).unwrap() {
        for (k, value) in block.iter() {
            assert_eq!(k, key(1, &format!("{seen:03}")));
            assert_eq!(split_header(value).unwrap().1, b"x");
            seen += 1;
        }
    }
    assert_eq!(seen, 100);
}

#[test]
fn the_second_of_two_writers_is_refused_at_repeatable_read() {
    for isolation in [RR, SER] {
        let (_directory, store) = store();
        write(&store, 1, "a", "1");
        write(&store, 1, "gone", "1");
        let mut first = begin(&store, isolation);
        let mut second = begin(&store, isolation);
        assert_eq!(
            (get(&first, "a"), get(&second, "a")),
            (get(&second, "a"), get(&first, "a"))
        );
        update(&mut first, "a", "2").unwrap();
        lock_and_check(&mut first, "gone").unwrap();
        first.delete(Space::Row, &key(1, "gone"));
        commit(first).unwrap();
        for name in ["a", "gone"] {
            let error = update(&mut second, name, "3").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::SerializationFailure);
            assert_eq!(
                error.message(),
                "could not serialize access due to concurrent update"
            );
        }
        assert_eq!(store.stats().conflicts, 2);
    }
}

/// Two transactions that each read what the other writes.
fn write_skew(isolation: Isolation) -> helios_types::Result<helios_types::Ts> {
    let (_directory, store) = store();
    write(&store, 1, "a", "on");
    write(&store, 1, "b", "on");
    let mut first = begin(&store, isolation);
    let mut second = begin(&store, isolation);
    for txn in [&first, &second] {
        assert_eq!(
            (get(txn, "a").unwrap(), get(txn, "b").unwrap()),
            ("on".into(), "on".into())
        );
    }
    update(&mut first, "a", "off").unwrap();
    update(&mut second, "b", "off").unwrap();
    commit(first).unwrap();
    commit(second)
}

#[test]
fn write_skew_is_allowed_at_repeatable_read_and_refused_at_serializable() {
    write_skew(RR).unwrap();
    let error = write_skew(SER).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SerializationFailure);
}

/// Two transactions that each count a range and add to it.
fn phantom(isolation: Isolation, reads: impl Fn(&Txn)) -> helios_types::Result<helios_types::Ts> {
    let (_directory, store) = store();
    for name in ["a", "c", "e", "g"] {
        write(&store, 1, name, "x");
    }
    let mut first = begin(&store, isolation);
    let mut second = begin(&store, isolation);
    reads(&first);
    reads(&second);
    update(&mut first, "b", "new").unwrap();
    update(&mut second, "d", "new").unwrap();
    commit(first).unwrap();
    commit(second)
}

#[test]
fn an_insert_into_a_range_that_was_read_is_refused_at_serializable() {
    let whole = |txn: &Txn| drop(scan(&txn.view(), 1, false));
    phantom(RR, whole).unwrap();
    assert_eq!(
        phantom(SER, whole).unwrap_err().kind(),
        ErrorKind::SerializationFailure
    );
    let noted = |txn: &Txn| txn.view().note_read_range(Space::Row, object(1).range());
    assert_eq!(
        phantom(SER, noted).unwrap_err().kind(),
        ErrorKind::SerializationFailure
    );
    let backwards = |txn: &Txn| drop(scan(&txn.view(), 1, true));
    assert_eq!(
        phantom(SER, backwards).unwrap_err().kind(),
        ErrorKind::SerializationFailure
    );
}

#[test]
fn a_scan_that_stops_early_has_read_only_so_far() {
    let first_row = |reverse| {
        move |txn: &Txn| {
            let options = ScanOptions {
                reverse,
                ..ScanOptions::default()
            };
            let mut scan = txn
                .view()
                .scan(Space::Row, object(1).range(), options)
                .unwrap();
            assert!(scan.next().unwrap().is_some());
        }
    };
    phantom(SER, first_row(false)).unwrap();
    phantom(SER, first_row(true)).unwrap();
}

#[test]
fn a_serializable_transaction_that_only_reads_is_never_refused() {
    let (_directory, store) = store();
    write(&store, 1, "a", "1");
    let reader = begin(&store, SER);
    assert_eq!(get(&reader, "a").unwrap(), "1");
    write(&store, 1, "a", "2");
    assert_eq!(get(&reader, "a").unwrap(), "1");
    commit(reader).unwrap();
}

#[test]
fn a_write_before_the_snapshot_is_no_conflict() {
    let (_directory, store) = store();
    let bystander = begin(&store, SER);
    assert_eq!(get(&bystander, "x"), None);
    write(&store, 1, "a", "1");
    let mut txn = begin(&store, SER);
    assert_eq!(get(&txn, "a").unwrap(), "1");
    update(&mut txn, "b", "1").unwrap();
    commit(txn).unwrap();
}

#[test]
fn savepoints_take_back_writes_counts_and_records() {
    let directory = tempfile::tempdir().unwrap();
    let day = Some(std::time::Duration::from_secs(86_400));
    let store = Store::open(StoreOptions {
        log_retention: day,
        ..options(directory.path())
    })
    .unwrap();
    let record = |name: &str| ChangeRecord {
        object: object(1),
        op: ChangeOp::Insert,
        key: Arc::from(name.as_bytes()),
        old: None,
        new: None,
    };
    let mut txn = begin(&store, RC);
    put(&mut txn, 1, "a", "1");
    txn.count(object(1), 1);
    txn.log(record("a"));
    let savepoint = txn.savepoint();
    for _ in 0..2 {
        put(&mut txn, 1, "a", "2");
        put(&mut txn, 1, "b", "2");
        txn.count(object(1), 1);
        txn.log(record("b"));
        assert_eq!(txn.row_count(object(1)), 2);
        txn.rollback_to(savepoint);
    }
    put(&mut txn, 1, "c", "3");
    txn.count(object(1), 1);
    commit(txn).unwrap();
    let view = begin(&store, RC).view();
    assert_eq!(names(scan(&view, 1, false)), "ac");
    assert_eq!(read(&view, 1, "a").unwrap(), "1");
    assert_eq!(store.row_count(object(1)), 2);
    let changes = store.changes(helios_types::Ts::ZERO, 10).unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(&*changes[0].record.key, b"a");
}

#[test]
fn a_read_only_transaction_cannot_commit_a_write() {
    let (_directory, store) = store();
    let mut txn = store.begin(TxnOptions {
        read_only: true,
        ..TxnOptions::default()
    });
    put(&mut txn, 1, "a", "1");
    assert_eq!(
        commit(txn).unwrap_err().kind(),
        ErrorKind::ReadOnlyTransaction
    );
    assert!(store.get(Space::Row, &key(1, "a")).unwrap().is_none());
}

#[test]
fn readers_between_two_commits_share_one_snapshot() {
    let (_directory, store) = store();
    write(&store, 1, "a", "1");
    let views: Vec<ReadView> = (0..10).map(|_| begin(&store, RC).view()).collect();
    assert_eq!(store.stats().live_snapshots, 1);
    write(&store, 1, "a", "2");
    let later = begin(&store, RC).view();
    assert_eq!(store.stats().live_snapshots, 2);
    assert_eq!(read(&views[0], 1, "a").unwrap(), "1");
    assert_eq!(read(&later, 1, "a").unwrap(), "2");
    drop(views);
    assert_eq!(store.stats().live_snapshots, 1);
}

/// Transfers between accounts at random from many threads, at each level with the checks that the
/// level asks for: the sum never changes, for readers in between either.
#[test]
fn transfers_keep_the_sum() {
    for isolation in [RC, RR, SER] {
        let (_directory, store) = store();
        for i in 0..8 {
            write(&store, 1, &i.to_string(), "100");
        }
        let sum = |store: &Arc<Store>| -> i64 {
            let view = begin(store, RR).view();
            scan(&view, 1, false)
                .iter()
                .map(|(_, b)| b.parse::<i64>().unwrap())
                .sum()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..8u64)
                .map(|seed| tokio::spawn(transfers(store.clone(), isolation, seed)))
                .collect();
            for _ in 0..50 {
                assert_eq!(sum(&store), 800);
                tokio::task::yield_now().await;
            }
            let mut done = 0;
            for task in tasks {
                done += task.await.unwrap();
            }
            assert!(done > 100, "{done} transfers at {isolation:?}");
        });
        assert_eq!(sum(&store), 800);
    }
}

async fn transfers(store: Arc<Store>, isolation: Isolation, seed: u64) -> usize {
    use rand::{Rng, SeedableRng};
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut done = 0;
    for _ in 0..100 {
        let (from, to) = (random.random_range(0..8), random.random_range(0..8));
        if from == to {
            continue;
        }
        match transfer(&store, isolation, from, to).await {
            Ok(()) => done += 1,
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    ErrorKind::SerializationFailure | ErrorKind::DeadlockDetected
                ),
                "{error}"
            ),
        }
    }
    done
}

async fn transfer(
    store: &Arc<Store>,
    isolation: Isolation,
    from: u32,
    to: u32,
) -> helios_types::Result<()> {
    let mut txn = begin(store, isolation);
    for (account, change) in [(from, -1), (to, 1)] {
        let name = account.to_string();
        let row = key(1, &name);
        let lock = LockKey::Row(Space::Row, &row);
        let before = read(&txn.view(), 1, &name).unwrap();
        txn.lock(&lock, LockMode::NoKeyUpdate, Wait::Block).await?;
        txn.check_write_conflict(Space::Row, &row)?;
        // READ COMMITTED looks again at what it has locked.
        let now = read(&txn.view_latest(), 1, &name).unwrap();
        assert!(isolation == RC || now == before);
        tokio::task::yield_now().await;
        let balance: i64 = now.parse::<i64>().unwrap() + change;
        put(&mut txn, 1, &name, &balance.to_string());
        txn.start_statement();
    }
    txn.commit().await.map(drop)
}
