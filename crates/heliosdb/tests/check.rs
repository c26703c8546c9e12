//! `heliosdb check` over directories in order, and over ones with a planted fault.

#[path = "daemon/process.rs"]
mod daemon;

use daemon::Daemon;
use helios_storage::{
    Durability, Isolation, KeyRange, Prefix, RowHeader, ScanOptions, Space, Store, StoreOptions,
    Txn, TxnOptions, split_header,
};
use std::path::Path;
use std::process::Command;

/// Exit code and what was printed.
fn check(data: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_heliosdb"))
        .arg("check")
        .arg("--data-dir")
        .arg(data)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

/// A directory with every shape of row and kind of index in it.
fn filled(work: &Path) {
    let daemon = Daemon::start_in(work, |_| {});
    for sql in [
        "CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE, age integer, note jsonb)",
        "CREATE INDEX users_age ON users (age DESC, id)",
        "CREATE INDEX users_lower ON users (lower(email)) WHERE age > 10",
        "INSERT INTO users SELECT i, 'User' || i || '@x', CASE WHEN i % 7 = 0 THEN NULL ELSE i % 50 END, '{\"a\": 1}' FROM generate_series(1, 500) AS g(i)",
        "UPDATE users SET age = age + 1 WHERE id % 3 = 0",
        "DELETE FROM users WHERE id > 450",
        "CREATE TABLE log (line text)",
        "CREATE INDEX log_line ON log (line)",
        "INSERT INTO log VALUES ('a'), ('b'), (NULL)",
        "CREATE TABLE gone (id integer PRIMARY KEY, v integer UNIQUE)",
        "INSERT INTO gone VALUES (1, 1)",
        "DROP TABLE gone",
        "ALTER TABLE users ADD COLUMN late integer DEFAULT 5",
        "INSERT INTO users VALUES (1000, 'late@x', 1, NULL, 6)",
        "CREATE TABLE emptied (id integer PRIMARY KEY, v integer)",
        "CREATE INDEX emptied_v ON emptied (v)",
        "INSERT INTO emptied VALUES (1, 1)",
        "TRUNCATE emptied",
    ] {
        daemon.sql(sql);
    }
    let commands: String = (0..2000)
        .map(|i| format!("HSET large f{i} value-{i}\nRPUSH list {i}\n"))
        .collect::<String>()
        + "SET k v\nSADD s a b\nZADD z 1 a 2 b\nHSET small f v\nEXPIRE small 100\nDEL list\n";
    let mut redis = Command::new("redis-cli")
        .args(["-p", &daemon.port("redis").to_string()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("redis-cli is installed: make setup-clients");
    std::io::Write::write_all(&mut redis.stdin.take().unwrap(), commands.as_bytes()).unwrap();
    assert!(redis.wait().unwrap().success());
    assert!(daemon.stop().success());
}

/// Changes the directory behind the engine's back.
fn tamper(data: &Path, change: impl FnOnce(&Store, &mut Txn)) {
    let store = Store::open(StoreOptions {
        path: data.to_owned(),
        ..StoreOptions::default()
    })
    .unwrap();
    let mut txn = store.begin(TxnOptions {
        isolation: Isolation::ReadCommitted,
        read_only: false,
        durability: Durability::On,
    });
    txn.start_statement();
    change(&store, &mut txn);
    txn.commit_start().unwrap().finish().unwrap();
    store.close().unwrap();
}

/// Keys and bodies of a space, in order, below the keyspace of Redis.
fn entries(store: &Store, space: Space) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut scan = store
        .scan(space, &KeyRange::all(), ScanOptions::default())
        .unwrap();
    let mut found = Vec::new();
    while let Some((key, value)) = scan.next().unwrap() {
        if Prefix::of_key(key).unwrap().object.0 >= 16_384 {
            found.push((key.to_vec(), split_header(value).unwrap().1.to_vec()));
        }
    }
    found
}

#[test]
fn a_directory_in_order_is_clean_and_each_planted_fault_is_found() {
    let original = tempfile::tempdir().unwrap();
    filled(original.path());
    let (code, text) = check(&original.path().join("data"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(": 0 problems"), "{text}");
    // 451 + 3 rows and 2000 fields; three entries a user but for the partial index, three lines.
    let number = |word: &str| -> u64 {
        let words: Vec<&str> = text.split([' ', ',']).collect();
        let at = words.iter().position(|w| *w == word).unwrap();
        words[at - 1].parse().unwrap()
    };
    assert!(number("rows") > 2454, "{text}");
    assert!(number("index") > 2 * 451 + 3, "{text}");

    type Fault = fn(&Store, &mut Txn);
    let faults: &[(&str, &str, Fault)] = &[
        (
            "an index entry that is gone",
            "has no entry in index \"users_",
            |store, txn| {
                let (key, _) = entries(store, Space::Index)[100].clone();
                txn.delete(Space::Index, &key);
            },
        ),
        (
            "an index entry of a row that is gone",
            "leads to no row of table \"users\"",
            |store, txn| {
                let rows = entries(store, Space::Row);
                let (key, _) = rows[100].clone();
                txn.delete(Space::Row, &key);
                txn.count(Prefix::of_key(&key).unwrap(), -1);
            },
        ),
        (
            "an index entry that its row does not make",
            "leads to no row of table \"users\" that has it",
            |store, txn| {
                let (key, body) = entries(store, Space::Index)[100].clone();
                let (_, other) = entries(store, Space::Index)[101].clone();
                assert_ne!(body, other);
                txn.put(Space::Index, &key, RowHeader::default(), &other);
            },
        ),
        ("a row that does not decode", "cur ", |store, txn| {
            let (key, body) = entries(store, Space::Row)[100].clone();
            txn.put(
                Space::Row,
                &key,
                RowHeader::default(),
                &body[..body.len() / 2],
            );
        }),
        (
            "a row of another version of the schema than there ever was",
            "unknown schema version 77",
            |store, txn| {
                let (key, body) = entries(store, Space::Row)[100].clone();
                let header = RowHeader {
                    schema: 77,
                    expire_ms: None,
                };
                txn.put(Space::Row, &key, header, &body);
            },
        ),
        (
            "a row under the key of another",
            "stands under a key that its values do not make",
            |store, txn| {
                let rows = entries(store, Space::Row);
                txn.put(Space::Row, &rows[100].0, RowHeader::default(), &rows[101].1);
            },
        ),
        (
            "a counter that is off",
            "table \"users\" has 451 rows and a counter of 458",
            |store, txn| {
                let (key, _) = entries(store, Space::Row)[100].clone();
                txn.count(Prefix::of_key(&key).unwrap(), 7);
            },
        ),
        (
            "an entry of an object that never was",
            "which never was",
            |store, txn| {
                let (mut key, body) = entries(store, Space::Row)[100].clone();
                key[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
                txn.put(Space::Row, &key, RowHeader::default(), &body);
            },
        ),
        (
            "a key of Redis that does not decode",
            "an entry of the keyspace does not decode",
            |store, txn| {
                let mut scan = store
                    .scan(Space::Row, &KeyRange::all(), ScanOptions::default())
                    .unwrap();
                let (key, _) = scan.next().unwrap().expect("keys of Redis come first");
                let key = key.to_vec();
                assert!(Prefix::of_key(&key).unwrap().object.0 < 16_384);
                txn.put(Space::Row, &key, RowHeader::default(), &[0xff]);
            },
        ),
    ];
    for (what, expected, fault) in faults {
        let work = tempfile::tempdir().unwrap();
        let copied = Command::new("cp")
            .arg("-r")
            .arg(original.path().join("data"))
            .arg(work.path())
            .status()
            .unwrap();
        assert!(copied.success());
        let data = work.path().join("data");
        tamper(&data, *fault);
        let (code, text) = check(&data);
        assert_eq!(code, Some(1), "{what}: {text}");
        assert!(text.contains(expected), "{what}: {text}");
    }
}

#[test]
fn a_directory_in_use_and_one_that_is_none_are_refused() {
    let work = tempfile::tempdir().unwrap();
    let (code, text) = check(work.path());
    assert_eq!(code, Some(1));
    assert!(text.contains("is not a HeliosDB data directory"), "{text}");
    assert_eq!(
        std::fs::read_dir(work.path()).unwrap().count(),
        0,
        "a check makes nothing"
    );
    let _daemon = Daemon::start_in(work.path(), |_| {});
    let (code, text) = check(&work.path().join("data"));
    assert_eq!(code, Some(1));
    assert!(text.contains("is in use by process"), "{text}");
}
