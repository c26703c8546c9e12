//! What the basic operations cost, in microseconds of the calling thread's processor time each, and
//! which of two ways to commit is faster:
//! `cargo run --release -p helios-storage --example costs [DIRECTORY]`.

use helios_storage::*;
use helios_types::{BranchId, DatabaseId, ObjectId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const ROWS: u64 = 200_000;
const OPERATIONS: u64 = 200_000;

fn key(i: u64) -> [u8; 21] {
    let prefix = Prefix::new(DatabaseId(1), BranchId::MAIN, ObjectId(16384));
    let mut out = [1; 21];
    out[..12].copy_from_slice(&prefix.bytes());
    out[13..].copy_from_slice(&(i ^ 1 << 63).to_be_bytes());
    out
}

/// Scatters a counter over the rows.
fn scatter(i: u64) -> u64 {
    i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % ROWS
}

/// Processor time of this thread in nanoseconds, as Linux counts it: other work on the machine
/// does not show.
fn processor_time() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn measure(name: &str, count: u64, mut operation: impl FnMut(u64)) {
    let start = processor_time();
    for i in 0..count {
        operation(i);
    }
    let each = (processor_time() - start) as f64 / 1e3 / count as f64;
    println!("{name:<52} {each:8.3} µs");
}

fn options(durability: Durability) -> TxnOptions {
    TxnOptions {
        durability,
        ..TxnOptions::default()
    }
}

fn put_one(store: &Arc<Store>, durability: Durability, i: u64, body: &[u8]) -> Txn {
    let key = key(i);
    let mut txn = store.begin(options(durability));
    let lock = LockKey::Row(Space::Row, &key);
    txn.try_lock(&lock, LockMode::Update).unwrap();
    let header = RowHeader {
        schema: 1,
        expire_ms: None,
    };
    txn.put(Space::Row, &key, header, body);
    txn
}

fn write_one(store: &Arc<Store>, durability: Durability, i: u64, body: &[u8]) {
    let txn = put_one(store, durability, i, body);
    txn.commit_start().unwrap().finish().unwrap();
}

/// RocksDB by itself, with the same rows, as a measure for what is above it.
fn raw(path: &std::path::Path) {
    let db = rocksdb::DB::open_default(path).unwrap();
    let mut batch = rocksdb::WriteBatch::default();
    for i in 0..ROWS {
        batch.put(key(i), [7; 113]);
    }
    db.write(batch).unwrap();
    let read = rocksdb::ReadOptions::default();
    measure("RocksDB alone: get", OPERATIONS, |i| {
        assert!(db.get_pinned_opt(key(scatter(i)), &read).unwrap().is_some());
    });
    db.flush().unwrap();
    measure("RocksDB alone: get from table files", OPERATIONS, |i| {
        assert!(db.get_pinned_opt(key(scatter(i)), &read).unwrap().is_some());
    });
    measure("RocksDB alone: put", OPERATIONS, |i| {
        db.put(key(scatter(i)), [7; 113]).unwrap()
    });
}

fn reads(store: &Arc<Store>) {
    measure("Store::get", OPERATIONS, |i| {
        assert!(store.get(Space::Row, &key(scatter(i))).unwrap().is_some());
    });
    measure("Store::get of a key that is not there", OPERATIONS, |i| {
        assert!(
            store
                .get(Space::Row, &key(ROWS + scatter(i)))
                .unwrap()
                .is_none()
        );
    });
    measure("Store::snapshot", OPERATIONS, |_| drop(store.snapshot()));
    let snapshot = store.snapshot();
    measure("Snapshot::get", OPERATIONS, |i| {
        assert!(
            snapshot
                .get(Space::Row, &key(scatter(i)))
                .unwrap()
                .is_some()
        );
    });
    measure("begin, view, get, commit", OPERATIONS, |i| {
        let txn = store.begin(options(Durability::EverySecond));
        assert!(
            txn.view()
                .get(Space::Row, &key(scatter(i)))
                .unwrap()
                .is_some()
        );
        txn.commit_start().unwrap().finish().unwrap();
    });
    measure(
        "multi_get of 50 neighbours, together",
        OPERATIONS / 50,
        |i| {
            let first = scatter(i).min(ROWS - 50);
            let keys: Vec<[u8; 21]> = (first..first + 50).map(key).collect();
            let keys: Vec<&[u8]> = keys.iter().map(|k| &k[..]).collect();
            assert_eq!(store.multi_get(Space::Row, &keys, true).unwrap().len(), 50);
        },
    );
    measure("scan of 10 rows", OPERATIONS / 10, |i| {
        let first = scatter(i).min(ROWS - 10);
        let range = KeyRange::new(key(first), key(first + 10));
        let mut scan = snapshot
            .scan(Space::Row, range, ScanOptions::default())
            .unwrap();
        while scan.next().unwrap().is_some() {}
    });
    let start = processor_time();
    let range = Prefix::new(DatabaseId(1), BranchId::MAIN, ObjectId(16384)).range();
    let mut scan = snapshot
        .scan(Space::Row, range, ScanOptions::default())
        .unwrap();
    let mut rows = 0;
    while scan.next().unwrap().is_some() {
        rows += 1;
    }
    let seconds = (processor_time() - start) as f64 / 1e9;
    println!(
        "full scan of {rows} rows: {:.2} million rows/s",
        rows as f64 / seconds / 1e6
    );
}

fn codecs() {
    use helios_types::{Type, Value, ValueRef};
    let types = [
        Type::INT8,
        Type::INT4,
        Type::TEXT,
        Type::TIMESTAMPTZ,
        Type::NUMERIC,
    ];
    let layout = RowLayout::new(&types);
    let numeric = "1234.50".parse().unwrap();
    let values = [
        ValueRef::Int8(1),
        ValueRef::Int4(2),
        ValueRef::Text("a text of thirty characters ..."),
        ValueRef::TimestampTz(5),
        ValueRef::Numeric(numeric),
    ];
    let mut out = Vec::new();
    measure("encode a row of five columns", OPERATIONS, |_| {
        out.clear();
        layout.encode(&mut out, &values).unwrap();
    });
    let row = RowRef::new(&layout, &out);
    measure("read the text column", OPERATIONS, |_| {
        assert!(matches!(row.column(2), Ok(ValueRef::Text(_))));
    });
    let mut key = Vec::new();
    measure("encode a key of bigint and text", OPERATIONS, |_| {
        key.clear();
        encode_key(&mut key, ValueRef::Int8(5), KeyColumn::ASC).unwrap();
        encode_key(&mut key, ValueRef::Text("ordinary"), KeyColumn::ASC).unwrap();
    });
    let number = Value::Numeric("1234.50".parse().unwrap());
    measure("encode a key of numeric", OPERATIONS, |_| {
        key.clear();
        encode_key(&mut key, number.as_ref(), KeyColumn::ASC).unwrap();
    });
}

/// Commits from `threads` threads for half a second; commits per second.
fn throughput(threads: u64, commit: impl Fn(u64) + Sync) -> f64 {
    let done = AtomicU64::new(0);
    let limit = Duration::from_millis(500);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (done, commit) = (&done, &commit);
            scope.spawn(move || {
                let mut i = thread * 1_000_003;
                while start.elapsed() < limit {
                    commit(scatter(i));
                    i += 1;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

/// One committer thread, which takes whatever has queued up and answers each, against commits made
/// by their own threads under the commit lock.
fn committers(store: &Arc<Store>) {
    type Job = (u64, mpsc::SyncSender<()>);
    for durability in [Durability::EverySecond, Durability::On] {
        for threads in [1, 2, 8] {
            let inline = throughput(threads, |i| write_one(store, durability, i, &[7; 100]));
            let (queue, jobs) = mpsc::channel::<Job>();
            let worker = {
                let store = store.clone();
                std::thread::spawn(move || {
                    while let Ok(first) = jobs.recv() {
                        let mut answers = Vec::new();
                        let mut waits = Vec::new();
                        for (i, answer) in std::iter::once(first).chain(jobs.try_iter()) {
                            let mut txn = store.begin(options(durability));
                            txn.put(Space::Row, &key(i), RowHeader::default(), &[7; 100]);
                            waits.push(txn.commit_start().unwrap());
                            answers.push(answer);
                        }
                        for wait in waits {
                            wait.finish().unwrap();
                        }
                        for answer in answers {
                            answer.send(()).unwrap();
                        }
                    }
                })
            };
            let queued = throughput(threads, |i| {
                let (answer, answered) = mpsc::sync_channel(1);
                queue.send((i, answer)).unwrap();
                answered.recv().unwrap();
            });
            drop(queue);
            worker.join().unwrap();
            println!(
                "{durability:?}, {threads} threads: inline {inline:.0} commits/s, committer thread {queued:.0}"
            );
        }
    }
}

fn main() {
    let temporary = std::env::temp_dir().join(format!("helios-costs-{}", std::process::id()));
    let path = std::env::args().nth(1).map_or(temporary, Into::into);
    let start = Instant::now();
    let store = Store::open(StoreOptions {
        path: path.clone(),
        ..StoreOptions::default()
    })
    .unwrap();
    println!(
        "open of an empty directory: {:.1} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
    codecs();
    raw(&path.join("raw"));
    let start = processor_time();
    let mut txn = store.begin(options(Durability::Off));
    for i in 0..ROWS {
        txn.put(
            Space::Row,
            &key(i),
            RowHeader {
                schema: 1,
                expire_ms: None,
            },
            &[7; 100],
        );
        if i % 10_000 == 9_999 {
            txn.commit_start().unwrap().finish().unwrap();
            txn = store.begin(options(Durability::Off));
        }
    }
    drop(txn);
    let each = (processor_time() - start) as f64 / 1e3 / ROWS as f64;
    println!("load in transactions of 10000 rows, each row {each:21.3} µs");
    println!("--- in the memtable");
    reads(&store);
    drop(store);
    let start = Instant::now();
    let store = Store::open(StoreOptions {
        path: path.clone(),
        ..StoreOptions::default()
    })
    .unwrap();
    println!(
        "open with {ROWS} rows in the log: {:.1} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
    println!("--- in table files, cached");
    reads(&store);
    measure("reads again: Store::get", OPERATIONS, |i| {
        assert!(store.get(Space::Row, &key(scatter(i))).unwrap().is_some());
    });
    println!("--- writes");
    for durability in [Durability::Off, Durability::EverySecond] {
        measure(
            &format!("lock, put, commit: {durability:?}"),
            OPERATIONS,
            |i| {
                write_one(&store, durability, scatter(i), &[7; 100]);
            },
        );
    }
    for group in [5, 20] {
        let mut commits = Vec::new();
        let name = format!("lock, put, commit: EverySecond, {group} at a time");
        measure(&name, OPERATIONS, |i| {
            let txn = put_one(&store, Durability::EverySecond, scatter(i), &[7; 100]);
            commits.push(txn.commit_grouped().unwrap());
            if commits.len() == group {
                for commit in commits.drain(..) {
                    futures::executor::block_on(commit).unwrap();
                }
            }
        });
    }
    measure(
        "lock, put, commit: EverySecond, 1000 hot rows",
        OPERATIONS,
        |i| {
            write_one(
                &store,
                Durability::EverySecond,
                scatter(i) % 1000,
                &[7; 100],
            );
        },
    );
    measure("lock, put, commit: On", 500, |i| {
        write_one(&store, Durability::On, scatter(i), &[7; 100]);
    });
    committers(&store);
    drop(store);
    std::fs::remove_dir_all(path).unwrap();
}
