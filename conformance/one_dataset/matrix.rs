//! The matrix of shapes and protocols: each cell that promises reading (R), writing (W) or
//! transactions (T) for tables, documents and keys keeps it.

use crate::clients::{Clients, DATABASE, redis, redis_error};
use conformance::daemon::Daemon;
use conformance::redis_client::RedisReply;
use serde_json::{Value as Json, json};
use std::sync::atomic::{AtomicBool, Ordering};

/// One table, one collection of documents and some keys, each counting.
fn filled(daemon: &Daemon) -> Clients {
    let mut c = Clients::of(daemon);
    c.sql
        .run("CREATE TABLE acc (id integer PRIMARY KEY, n integer)");
    c.sql.run("INSERT INTO acc VALUES (1, 0)");
    c.sql.run("ALTER TABLE acc SET (redis_prefix = 'acc:')");
    c.mongo
        .run(&json!({"insert": "docs", "documents": [{"_id": 1, "n": 0}]}));
    c.sql.run("ALTER TABLE docs SET (redis_prefix = 'docs:')");
    let mut keys = redis(daemon, 0);
    keys.run(&["SET", "n", "0"]);
    keys.run(&["HSET", "h", "n", "0"]);
    keys.run(&["RPUSH", "l", "0"]);
    keys.run(&["SADD", "s", "0"]);
    keys.run(&["ZADD", "z", "0", "n"]);
    c
}

fn number(value: &Json) -> String {
    let number = value.get("$numberInt").unwrap_or(value);
    number
        .as_str()
        .map_or_else(|| number.to_string(), str::to_owned)
}

/// Table, document and string as each protocol reads them.
fn seen(c: &mut Clients, daemon: &Daemon) -> Vec<(&'static str, [String; 3])> {
    let statement = "SELECT (SELECT n FROM acc WHERE id = 1)::text, \
                     (SELECT doc ->> 'n' FROM docs WHERE _id = '1'), \
                     (SELECT convert_from(value, 'UTF8') FROM redis.strings WHERE key = 'n')";
    let by_sql: Vec<String> = c.sql.run(statement)[0].iter().flatten().cloned().collect();
    let by_sql: [String; 3] = by_sql.try_into().expect("three values");

    let mut keys = redis(daemon, 0);
    let mut get = |words: &[&str]| keys.run(words).string().expect("a value");
    let by_redis = [
        get(&["HGET", "acc:1", "n"]),
        get(&["HGET", "docs:1", "n"]),
        get(&["GET", "n"]),
    ];
    let by_16 = c.redis.run(&["HGET", "acc:1", "n"]).string();
    assert_eq!(by_16.as_deref(), Some(&*by_redis[0]), "database 16");

    let mut first = |database, collection, filter: Json| {
        let command = json!({"find": collection, "filter": filter});
        let found = c.mongo.run_in(database, &command);
        found["cursor"]["firstBatch"][0].clone()
    };
    let key = json!({"$binary": {"base64": "bg==", "subType": "00"}});
    let string = first("redis", "strings", json!({"key": key}));
    let base64 = string["value"]["$binary"]["base64"]
        .as_str()
        .expect("bytes");
    let by_mongo = [
        number(&first(DATABASE, "acc", json!({"_id": 1}))["n"]),
        number(&first(DATABASE, "docs", json!({"_id": 1}))["n"]),
        digit(base64),
    ];

    let row = c.rest.ok("GET", "/tables/acc/rows/1", None);
    let document = c.rest.ok("GET", "/tables/docs/rows/1", None);
    let string = c.rest.ok("GET", "/tables/redis.strings/rows", None);
    let by_rest = [
        row["data"]["n"].to_string(),
        document["data"]["doc"]["n"].to_string(),
        digit(string["data"][0]["value"].as_str().expect("bytes")),
    ];

    let row = c.grpc.rows(statement, &json!([])).remove(0);
    let by_grpc = [0, 1, 2].map(|at| row[at]["stringValue"].as_str().expect("text").to_owned());
    vec![
        ("SQL", by_sql),
        ("Redis", by_redis),
        ("MongoDB", by_mongo),
        ("REST", by_rest),
        ("gRPC", by_grpc),
    ]
}

/// The replies of EXEC as text.
fn texts(reply: RedisReply) -> Vec<String> {
    let RedisReply::Array(replies) = reply else {
        panic!("no replies: {reply:?}")
    };
    let text = |reply| match reply {
        RedisReply::Int(n) => n.to_string(),
        other => other.string().expect("a value"),
    };
    replies.into_iter().map(text).collect()
}

/// The digit that base64 stands for.
fn digit(base64: &str) -> String {
    let known = ["MA==", "MQ==", "Mg==", "Mw==", "NA=="];
    let at = known.iter().position(|text| *text == base64);
    at.unwrap_or_else(|| panic!("{base64} is no digit"))
        .to_string()
}

fn all_see(c: &mut Clients, daemon: &Daemon, expected: [&str; 3]) {
    for (protocol, values) in seen(c, daemon) {
        assert_eq!(
            values, expected,
            "as {protocol} sees table, document, string"
        );
    }
}

#[test]
fn a_transaction_of_sql_changes_table_document_and_key_or_none_of_them() {
    let daemon = Daemon::start();
    let mut c = filled(&daemon);
    let mut session = crate::clients::sql(&daemon);
    all_see(&mut c, &daemon, ["0", "0", "0"]);
    let changes = [
        "UPDATE acc SET n = n + 1",
        "UPDATE docs SET doc = jsonb_set(doc, '{n}', '1')",
        "UPDATE redis.strings SET value = '1' WHERE key = 'n'",
        "UPDATE redis.hashes SET value = '1' WHERE key = 'h'",
        "UPDATE redis.zsets SET score = 1 WHERE key = 'z'",
        "INSERT INTO redis.lists (key, value) VALUES ('l', '1')",
        "INSERT INTO redis.sets (key, member) VALUES ('s', '1')",
    ];
    let mut keys = redis(&daemon, 0);
    let mut others = move || {
        let reads: [&[&str]; 4] = [
            &["HGET", "h", "n"],
            &["ZSCORE", "z", "n"],
            &["LRANGE", "l", "0", "-1"],
            &["SMEMBERS", "s"],
        ];
        reads.map(|words| match keys.run(words) {
            RedisReply::Array(items) => RedisReply::Array(items).strings().join(" "),
            one => one.string().expect("a value"),
        })
    };
    for (end, text, values) in [
        ("ROLLBACK", "0", ["0", "0", "0", "0"]),
        ("COMMIT", "1", ["1", "1", "0 1", "0 1"]),
    ] {
        session.run("BEGIN");
        for change in changes {
            session.run(change);
        }
        all_see(&mut c, &daemon, ["0", "0", "0"]);
        assert_eq!(others(), ["0", "0", "0", "0"], "before {end}");
        session.run(end);
        all_see(&mut c, &daemon, [text, text, text]);
        assert_eq!(others(), values, "after {end}");
    }
    // A failed statement takes all of it back.
    session.run("BEGIN");
    session.run("UPDATE redis.strings SET value = '4' WHERE key = 'n'");
    crate::clients::sql_error(&mut session, "INSERT INTO acc VALUES (1, 4)");
    session.run("COMMIT");
    all_see(&mut c, &daemon, ["1", "1", "1"]);
}

#[test]
fn a_transaction_of_mongodb_changes_tables_and_documents_or_none_of_them() {
    let daemon = Daemon::start();
    let mut c = filled(&daemon);
    for (end, text) in [("abort", "0"), ("commit", "1")] {
        c.mongo.transaction("start");
        for collection in ["acc", "docs"] {
            let update = json!({"q": {"_id": 1}, "u": {"$inc": {"n": 1}}});
            c.mongo
                .run(&json!({"update": collection, "updates": [update]}));
        }
        // What it reads of keys is its snapshot's.
        let found = c.mongo.run_in("redis", &json!({"find": "strings"}));
        let before = found["cursor"]["firstBatch"].clone();
        redis(&daemon, 0).run(&["SET", "n", if end == "abort" { "2" } else { "3" }]);
        let found = c.mongo.run_in("redis", &json!({"find": "strings"}));
        assert_eq!(found["cursor"]["firstBatch"], before, "{end}");
        let rows = c.sql.run("SELECT n FROM acc");
        assert_eq!(rows, [[Some("0".to_owned())]], "before {end}");
        c.mongo.transaction(end);
        let key = if end == "abort" { "2" } else { "3" };
        all_see(&mut c, &daemon, [text, text, key]);
    }
}

#[test]
fn exec_over_a_table_and_a_key_is_seen_whole_by_sql() {
    let daemon = Daemon::start();
    let mut c = filled(&daemon);
    let done = AtomicBool::new(false);
    let rounds = 150;
    std::thread::scope(|scope| {
        // One client through the prefix, one through database 16, one transaction of SQL.
        let by_prefix = scope.spawn(|| {
            let mut client = redis(&daemon, 0);
            for _ in 0..rounds {
                client.run(&["MULTI"]);
                client.run(&["HINCRBY", "acc:1", "n", "1"]);
                client.run(&["INCR", "n"]);
                let replies = texts(client.run(&["EXEC"]));
                assert_eq!(replies[0], replies[1], "both counters");
            }
        });
        let by_16 = scope.spawn(|| {
            let mut client = redis(&daemon, 0);
            for _ in 0..rounds {
                for words in [
                    &["MULTI"][..],
                    &["INCR", "n"],
                    &["SELECT", "16"],
                    &["HINCRBY", "acc:1", "n", "1"],
                    &["SELECT", "0"],
                ] {
                    client.run(words);
                }
                let replies = texts(client.run(&["EXEC"]));
                assert_eq!(replies[0], replies[2], "both counters");
            }
        });
        let by_sql = scope.spawn(|| {
            let mut session = crate::clients::sql(&daemon);
            for _ in 0..rounds {
                session.run("BEGIN");
                session.run(
                    "UPDATE redis.strings SET value = \
                     (convert_from(value, 'UTF8')::int + 1)::text::bytea WHERE key = 'n'",
                );
                session.run("UPDATE acc SET n = n + 1 WHERE id = 1");
                session.run("COMMIT");
            }
        });
        let reader = scope.spawn(|| {
            let mut session = crate::clients::sql(&daemon);
            let mut client = redis(&daemon, 0);
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) {
                let rows = session.run(
                    "SELECT n::text, (SELECT convert_from(value, 'UTF8') FROM redis.strings \
                     WHERE key = 'n') FROM acc WHERE id = 1",
                );
                assert_eq!(rows[0][0], rows[0][1], "one statement of SQL");
                client.run(&["MULTI"]);
                client.run(&["GET", "n"]);
                client.run(&["HGET", "acc:1", "n"]);
                let values = texts(client.run(&["EXEC"]));
                assert_eq!(values[0], values[1], "one EXEC");
                looks += 1;
            }
            looks
        });
        let writers = [by_prefix.join(), by_16.join(), by_sql.join()];
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().expect("the reader") > 0);
        for writer in writers {
            writer.expect("a writer");
        }
    });
    let total = (3 * rounds).to_string();
    let rows = c.sql.run(
        "SELECT n::text, (SELECT convert_from(value, 'UTF8') FROM redis.strings WHERE key = 'n') \
         FROM acc",
    );
    assert_eq!(rows, [[Some(total.clone()), Some(total)]]);
}

#[test]
fn what_the_matrix_does_not_promise_is_refused_and_changes_nothing() {
    let daemon = Daemon::start();
    let mut c = filled(&daemon);
    let mut keys = redis(&daemon, 0);
    for words in [
        &["HSET", "docs:1", "n", "5"][..],
        &["DEL", "docs:1"],
        &["SET", "acc:1", "x"],
        &["EXPIRE", "acc:1", "5"],
        &["RENAME", "acc:1", "n2"],
        &["RENAME", "n", "acc:2"],
        &["SUNIONSTORE", "acc:3", "s"],
    ] {
        let refusal = redis_error(&mut keys, words);
        assert!(
            refusal.ends_with("is not supported"),
            "{words:?}: {refusal}"
        );
    }
    // What empties the keyspace leaves tables and documents.
    keys.run(&["FLUSHALL"]);
    assert_eq!(
        keys.run(&["HGET", "acc:1", "n"]).string(),
        Some("0".to_owned())
    );
    assert_eq!(
        keys.run(&["HGET", "docs:1", "n"]).string(),
        Some("0".to_owned())
    );
    let mut listed = keys.run(&["KEYS", "*"]).strings();
    listed.sort();
    assert_eq!(listed, ["acc:1", "docs:1"]);
    // What drops a MongoDB database leaves tables and keys.
    keys.run(&["SET", "n", "0"]);
    c.mongo.run_in(DATABASE, &json!({"dropDatabase": 1}));
    assert_eq!(c.sql.run("SELECT n FROM acc"), [[Some("0".to_owned())]]);
    assert_eq!(keys.run(&["GET", "n"]).string(), Some("0".to_owned()));
}
