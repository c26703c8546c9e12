//! Loads in bulk: what they show to whom, and what is left of them after a crash.

use helios_storage::*;
use helios_types::{BranchId, DatabaseId, ObjectId};
use std::path::Path;
use std::sync::Arc;

fn open(path: &Path) -> Arc<Store> {
    Store::open(StoreOptions {
        path: path.to_path_buf(),
        block_cache_bytes: 1 << 20,
        ..StoreOptions::default()
    })
    .unwrap()
}

fn object(n: u32) -> Prefix {
    Prefix::new(DatabaseId(1), BranchId::MAIN, ObjectId(n))
}

fn key(object: Prefix, n: u64) -> Vec<u8> {
    [&object.bytes()[..], &n.to_be_bytes()].concat()
}

/// Numbers below `n` in an order that is not theirs.
fn shuffled(n: u64) -> impl Iterator<Item = u64> {
    (0..n).map(move |i| (i * 7919 + 13) % n)
}

async fn load(
    txn: &mut Txn,
    object: Prefix,
    keys: impl Iterator<Item = u64>,
    size: usize,
) -> helios_types::Result<Loaded> {
    let mut load = txn.bulk_load(Space::Row, object)?;
    for (line, n) in keys.enumerate() {
        let body = vec![n as u8; size];
        let tag = line as u64 + 1;
        load.add(&key(object, n), RowHeader::default(), &body, tag)?;
        if load.is_full() {
            load.hand_over().await?;
        }
    }
    load.finish().await
}

/// The keys below a prefix, in the order of a scan; each value is checked.
fn numbers(scan: Scan) -> Vec<u64> {
    let mut scan = scan;
    let mut out = Vec::new();
    while let Some((key, value)) = scan.next().unwrap() {
        let n = u64::from_be_bytes(*key.last_chunk().unwrap());
        let (_, body) = split_header(value).unwrap();
        assert!(body.iter().all(|b| *b == n as u8));
        out.push(n);
    }
    out
}

fn stored(store: &Store, object: Prefix) -> Vec<u64> {
    let scan = store.scan(Space::Row, &object.range(), ScanOptions::default());
    numbers(scan.unwrap())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn loaded_rows_are_sorted_and_survive() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (plain, mixed) = (object(20_000), object(20_001));
    let mut txn = store.begin(TxnOptions::default());
    let loaded = load(&mut txn, plain, 0..200_000, 20).await.unwrap();
    assert_eq!((loaded.entries, loaded.duplicate), (200_000, None));
    // In order first, then not: what was written already is merged with the rest.
    let keys = (0..100_000).chain(shuffled(100_000).map(|n| n + 50_000_000));
    let keys = keys.chain(shuffled(1000).map(|n| n + 1_000_000));
    let loaded = load(&mut txn, mixed, keys, 20).await.unwrap();
    assert_eq!((loaded.entries, loaded.duplicate), (201_000, None));
    txn.count(plain, 200_000);
    // The transaction sees them itself.
    txn.start_statement();
    let view = txn.view();
    let scan = view.scan(Space::Row, plain.range(), ScanOptions::default());
    assert_eq!(numbers(scan.unwrap()), (0..200_000).collect::<Vec<_>>());
    assert!(
        view.get(Space::Row, &key(mixed, 1_000_999))
            .unwrap()
            .is_some()
    );
    txn.commit().await.unwrap();
    let check = |store: &Store| {
        assert_eq!(stored(store, plain).len(), 200_000);
        let found = stored(store, mixed);
        assert_eq!(found.len(), 201_000);
        assert!(found.is_sorted());
        assert_eq!(store.row_count(plain), 200_000);
        let report = store.check(&mut NoVisitor).unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
    };
    check(&store);
    drop(view);
    drop(store);
    assert!(
        std::fs::read_dir(directory.path().join("load"))
            .unwrap()
            .next()
            .is_none(),
        "files of a load are gone with it"
    );
    check(&open(directory.path()));
}

#[tokio::test]
async fn more_than_fits_into_memory_is_sorted_through_files() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let object = object(20_000);
    let mut txn = store.begin(TxnOptions::default());
    // 200 MB, of which 128 are kept in memory.
    let twice = shuffled(50_000).chain([49_999, 3, 49_999]);
    let loaded = load(&mut txn, object, twice, 4000).await.unwrap();
    assert_eq!(loaded.entries, 50_000);
    let duplicate = loaded.duplicate.unwrap();
    assert_eq!(
        (duplicate.tag, duplicate.key),
        (50_001, key(object, 49_999))
    );
    txn.commit().await.unwrap();
    assert_eq!(stored(&store, object), (0..50_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn of_keys_that_came_twice_the_first_late_one_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let cases: [(&str, Vec<u64>, u64); 5] = [
        ("neighbours", vec![1, 2, 2, 3], 3),
        ("far apart", vec![5, 1, 2, 3, 5], 5),
        ("several", vec![9, 8, 7, 8, 9, 7, 9], 4),
        (
            "behind an ordered beginning",
            (0..70_000).chain([5, 6]).collect(),
            70_001,
        ),
        (
            "at the end of an ordered beginning",
            (0..65_536).chain([65_535]).collect(),
            65_537,
        ),
    ];
    for (at, (name, keys, line)) in cases.into_iter().enumerate() {
        let object = object(20_000 + at as u32);
        let mut txn = store.begin(TxnOptions::default());
        let mut distinct = keys.clone();
        distinct.sort();
        distinct.dedup();
        let loaded = load(&mut txn, object, keys.into_iter(), 10).await.unwrap();
        assert_eq!(loaded.duplicate.map(|d| d.tag), Some(line), "{name}");
        assert_eq!(loaded.entries, distinct.len() as u64, "{name}");
        assert_eq!(stored(&store, object), distinct, "{name}");
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_load_that_is_rolled_back_or_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let (first, second) = (object(20_000), object(20_001));
    let mut txn = store.begin(TxnOptions::default());
    load(&mut txn, first, 0..10, 10).await.unwrap();
    let savepoint = txn.savepoint();
    load(&mut txn, second, 0..10, 10).await.unwrap();
    assert_eq!(stored(&store, second).len(), 10);
    txn.rollback_to(savepoint);
    assert_eq!(
        (stored(&store, first).len(), stored(&store, second).len()),
        (10, 0)
    );
    txn.rollback();
    assert_eq!(stored(&store, first).len(), 0);
    let mut txn = store.begin(TxnOptions::default());
    let mut given_up = txn.bulk_load(Space::Row, first).unwrap();
    for n in 0..100_000 {
        given_up
            .add(&key(first, n), RowHeader::default(), &[0; 100], n)
            .unwrap();
        if given_up.is_full() {
            given_up.hand_over().await.unwrap();
        }
    }
    drop(given_up);
    txn.commit().await.unwrap();
    assert_eq!(stored(&store, first).len(), 0);
    let report = store.check(&mut NoVisitor).unwrap();
    assert_eq!((report.rows, report.problem_count), (0, 0));
}

#[tokio::test]
async fn a_crash_before_the_commit_leaves_nothing_and_one_after_it_everything() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("live"));
    let object = object(20_000);
    let mut txn = store.begin(TxnOptions::default());
    txn.put(
        Space::Row,
        &key(self::object(1), 1),
        RowHeader::default(),
        &[1],
    );
    load(&mut txn, object, shuffled(20_000), 50).await.unwrap();
    let mut waiting = txn.bulk_load(Space::Index, object).unwrap();
    for n in 0..100_000 {
        waiting
            .add(&key(object, n), RowHeader::default(), &[0; 50], n)
            .unwrap();
        if waiting.is_full() {
            waiting.hand_over().await.unwrap();
        }
    }
    // What a machine that stops here has on its disk: what was synced.
    let before = directory.path().join("before");
    copy(&directory.path().join("live"), &before);
    // Looked at without being opened for writing, the rows do not count.
    let only_read = Store::open(StoreOptions {
        path: before.clone(),
        read_only: true,
        ..StoreOptions::default()
    });
    let report = only_read.unwrap().check(&mut NoVisitor).unwrap();
    assert_eq!((report.rows, report.problem_count), (0, 0));
    assert!(before.join("load").exists());
    let crashed = open(&before);
    assert_eq!(stored(&crashed, object).len(), 0);
    assert!(!before.join("load").exists());
    drop(crashed);
    assert_eq!(stored(&open(&before), object).len(), 0);

    waiting.finish().await.unwrap();
    txn.commit().await.unwrap();
    let after = directory.path().join("after");
    copy(&directory.path().join("live"), &after);
    let crashed = open(&after);
    assert_eq!(stored(&crashed, object).len(), 20_000);
    let report = crashed.check(&mut NoVisitor).unwrap();
    assert_eq!((report.rows, report.index_entries), (20_001, 100_000));
    assert!(report.is_clean());
}

#[tokio::test]
async fn a_snapshot_from_before_the_commit_finds_the_object_empty() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let object = object(20_000);
    let mut txn = store.begin(TxnOptions::default());
    txn.put(
        Space::Row,
        &key(self::object(1), 1),
        RowHeader::default(),
        &[1],
    );
    load(&mut txn, object, 0..100, 10).await.unwrap();
    // Of another commit, after the files were taken in.
    let mut other = store.begin(TxnOptions::default());
    other.put(
        Space::Row,
        &key(self::object(2), 1),
        RowHeader::default(),
        &[1],
    );
    other.commit().await.unwrap();
    let old = store.snapshot();
    txn.commit().await.unwrap();
    let new = store.snapshot();
    let one = key(object, 1);
    for (snapshot, expected) in [(&new, 100), (&old, 0)] {
        // The second time it may come from the row cache.
        for _ in 0..2 {
            let found = snapshot.get(Space::Row, &one).unwrap().is_some();
            assert_eq!(found, expected > 0);
        }
        let several = snapshot.multi_get(Space::Row, &[&one, &one], true).unwrap();
        assert_eq!(several.iter().flatten().count(), expected.min(2));
        let scan = snapshot.scan(Space::Row, object.range(), ScanOptions::default());
        assert_eq!(numbers(scan.unwrap()).len(), expected);
    }
}

#[tokio::test]
async fn a_serializable_transaction_that_looked_before_does_not_commit_after() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut reader = store.begin(TxnOptions {
        isolation: Isolation::Serializable,
        ..TxnOptions::default()
    });
    let scan = reader
        .view()
        .scan(Space::Row, object(5).range(), ScanOptions::default());
    assert!(numbers(scan.unwrap()).is_empty());
    let mut txn = store.begin(TxnOptions::default());
    load(&mut txn, object(20_000), 0..10, 10).await.unwrap();
    txn.commit().await.unwrap();
    reader.put(Space::Row, &key(object(6), 1), RowHeader::default(), &[1]);
    let refused = reader.commit().await.unwrap_err();
    assert_eq!(
        refused.kind(),
        helios_types::ErrorKind::SerializationFailure
    );
}
