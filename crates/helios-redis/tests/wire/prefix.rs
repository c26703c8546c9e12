//! Tables under a `redis_prefix`: their rows beside the keys of ordinary databases.

use crate::peer;
use crate::resp::{Client, Reply, text};

fn flat(reply: Reply) -> String {
    match reply {
        Reply::Text(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Reply::Integer(n) => n.to_string(),
        Reply::Error(text) => text,
        Reply::Null => "nil".to_owned(),
        Reply::List(items) => items.into_iter().map(flat).collect::<Vec<_>>().join(" "),
    }
}

fn say(client: &mut Client, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        assert_eq!(flat(client.ask(line)), *expected, "{line}");
    }
}

/// A table with a prefix, and some keys beside it.
fn server() -> peer::Peer {
    let server = peer::heliosdb();
    server.sql(&[
        "CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, visits bigint)",
        "INSERT INTO users VALUES (1, 'ann', NULL), (2, 'bob', 7)",
        "ALTER TABLE users SET (redis_prefix = 'users:')",
    ]);
    let mut client = Client::connect(server.port);
    say(
        &mut client,
        &[("SET user native", "OK"), ("SADD tags a", "1")],
    );
    server
}

#[test]
fn a_table_under_a_prefix_is_read_and_written_beside_the_keyspace() {
    let server = server();
    let mut client = Client::connect(server.port);
    say(
        &mut client,
        &[
            ("HGETALL users:1", "id 1 name ann"),
            ("HGET users:1 visits", "nil"),
            ("HGET users:01 name", "nil"),
            ("HSET users:1 name eve visits 4", "1"),
            ("HINCRBY users:1 visits 3", "7"),
            ("HSET users:3 name cid", "1"),
            ("EXISTS users:1 users:3 users:4 user nothing", "3"),
            ("TYPE users:3", "hash"),
            ("TTL users:3", "-1"),
            ("TTL users:9", "-2"),
            ("HDEL users:1 visits", "1"),
            ("GET user", "native"),
            ("DEL users:3 user users:9", "2"),
            ("EXISTS users:3 user", "0"),
            ("SELECT 5", "OK"),
            ("HGET users:1 name", "eve"),
            ("EXISTS user", "0"),
        ],
    );
    let mut session = server.session(server.engine().superuser());
    let rows = server
        .rows(&mut session, "SELECT name FROM users ORDER BY id")
        .unwrap();
    assert!(
        rows[0].contains("eve") && rows[1].contains("bob"),
        "{rows:?}"
    );
    for command in [
        "SET users:1 x",
        "GET users:1",
        "EXPIRE users:1 10",
        "RENAME users:1 other",
        "COPY users:1 other",
        "LPUSH users:9 x",
        "BLPOP users:1 0",
        "MGET users:1 tags",
        "OBJECT ENCODING users:1",
        "SORT tags BY users:*->name",
    ] {
        let answer = flat(client.ask(command));
        assert!(
            answer.starts_with("ERR ") && answer.contains("on a key of a table is not supported"),
            "{command}: {answer}"
        );
    }
    for (command, part) in [
        ("HSET users:1 nothing 1", "column \"nothing\""),
        ("HSET users:8 visits 1", "null value in column \"name\""),
        ("HDEL users:1 id", "primary key"),
    ] {
        let answer = flat(client.ask(command));
        assert!(answer.contains(part), "{command}: {answer}");
    }
}

#[test]
fn keys_and_scan_show_the_rows_and_flushall_leaves_them() {
    let server = server();
    server.sql(&[
        "INSERT INTO users SELECT n, 'u' FROM generate_series(3, 40) n",
        "CREATE TABLE pairs (a int, b text, PRIMARY KEY (a, b)) WITH (redis_prefix = 'p/')",
        "INSERT INTO pairs SELECT n / 3, 'x:' || n FROM generate_series(1, 20) n",
    ]);
    let mut client = Client::connect(server.port);
    for n in 0..30 {
        client.ask(&format!("SET key:{n} x"));
    }
    let Reply::List(keys) = client.ask("KEYS *") else {
        panic!("KEYS gives a list")
    };
    let mut keys: Vec<String> = keys.into_iter().map(flat).collect();
    keys.sort();
    // Two of the beginning, thirty keys, forty users, twenty pairs.
    assert_eq!(keys.len(), 92, "{keys:?}");
    assert_eq!(flat(client.ask("DBSIZE")), "32");
    for (options, expected) in [
        ("COUNT 7", 92),
        ("COUNT 1000", 92),
        ("MATCH users:* COUNT 9", 40),
        ("MATCH p/* COUNT 3", 20),
        ("TYPE hash COUNT 8", 60),
        ("TYPE set COUNT 8", 1),
    ] {
        let mut found = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let Reply::List(page) = client.ask(&format!("SCAN {cursor} {options}")) else {
                panic!("SCAN {options} gives a list")
            };
            let [next, Reply::List(elements)] = page.as_slice() else {
                panic!("{page:?}")
            };
            found.extend(elements.iter().cloned().map(flat));
            cursor = flat(next.clone());
            if cursor == "0" {
                break;
            }
            assert!(found.len() <= 200, "SCAN {options} does not end");
        }
        found.sort();
        assert_eq!(found.len(), expected, "{options}: {found:?}");
        found.dedup();
        assert_eq!(found.len(), expected, "{options}: twice");
    }
    say(
        &mut client,
        &[
            ("FLUSHALL", "OK"),
            ("DBSIZE", "0"),
            ("HGET users:2 name", "bob"),
            ("EXISTS p/0:x%3A1", "1"),
            ("FLUSHDB", "OK"),
            ("HGET users:2 name", "bob"),
        ],
    );
}

#[test]
fn one_exec_over_a_table_and_a_key_is_one_transaction() {
    let server = server();
    let mut client = Client::connect(server.port);
    say(
        &mut client,
        &[
            ("MULTI", "OK"),
            ("HINCRBY users:2 visits 1", "QUEUED"),
            ("INCR counter", "QUEUED"),
            ("HSET users:2 visits many", "QUEUED"),
            ("LPUSH counter x", "QUEUED"),
            ("INCR counter", "QUEUED"),
            ("HGET users:2 visits", "QUEUED"),
        ],
    );
    let answer = flat(client.ask("EXEC"));
    assert_eq!(
        answer,
        "8 1 ERR invalid input syntax for type bigint: \"many\" \
         WRONGTYPE Operation against a key holding the wrong kind of value 2 8"
    );
    say(
        &mut client,
        &[
            ("GET counter", "2"),
            // A watched key of the keyspace guards tables too.
            ("WATCH counter", "OK"),
        ],
    );
    server.sql(&["UPDATE redis.strings SET value = '5' WHERE key = 'counter'"]);
    say(
        &mut client,
        &[
            ("MULTI", "OK"),
            ("HSET users:2 visits 0", "QUEUED"),
            ("SET counter 0", "QUEUED"),
            ("EXEC", "nil"),
            ("HGET users:2 visits", "8"),
            ("GET counter", "5"),
            // A watched row guards keys, whoever changes it, and also when it is not there yet.
            ("WATCH users:2 users:77", "OK"),
            ("MULTI", "OK"),
            ("SET counter 5", "QUEUED"),
            ("EXEC", "OK"),
            ("WATCH users:2", "OK"),
            ("HSET users:2 name rob", "0"),
            ("MULTI", "OK"),
            ("SET counter 1", "QUEUED"),
            ("EXEC", "nil"),
            ("WATCH users:77", "OK"),
            ("HSET users:77 name new", "1"),
            ("MULTI", "OK"),
            ("SET counter 1", "QUEUED"),
            ("EXEC", "nil"),
            ("DEL users:77", "1"),
            ("WATCH users:2", "OK"),
            ("UNWATCH", "OK"),
            ("HSET users:2 name bob", "0"),
            ("MULTI", "OK"),
            ("GET counter", "QUEUED"),
            ("EXEC", "5"),
            // Database 16 and an ordinary one in one transaction.
            ("MULTI", "OK"),
            ("SET counter 6", "QUEUED"),
            ("SELECT 16", "QUEUED"),
            ("HSET users:2 visits 9", "QUEUED"),
            ("SELECT 0", "QUEUED"),
            ("FLUSHDB", "QUEUED"),
            ("SET after x", "QUEUED"),
            ("EXEC", "OK OK 0 OK OK OK"),
            ("KEYS *", "after users:1 users:2"),
            ("HGET users:2 visits", "9"),
        ],
    );
}

#[test]
fn a_prefix_is_declared_only_where_nothing_stands_in_its_way() {
    let server = server();
    let mut session = server.session(server.engine().superuser());
    let mut client = Client::connect(server.port);
    server.sql(&[
        "CREATE TABLE t (id int PRIMARY KEY)",
        "CREATE TABLE bare (id int)",
    ]);
    say(
        &mut client,
        &[
            ("SELECT 3", "OK"),
            ("SET taken:1 x", "OK"),
            ("SELECT 0", "OK"),
        ],
    );
    let mut refused = |statement: &str| {
        let error = server.rows(&mut session, statement).unwrap_err();
        format!("{} {}", error.sqlstate(), error.message())
    };
    for (statement, expected) in [
        (
            "ALTER TABLE t SET (redis_prefix = 'users:vip:')",
            "22023 redis_prefix \"users:vip:\" overlaps with \"users:\" of table \"users\"",
        ),
        (
            "ALTER TABLE t SET (redis_prefix = 'us')",
            "22023 redis_prefix \"us\" overlaps with \"users:\" of table \"users\"",
        ),
        (
            "ALTER TABLE t SET (redis_prefix = 'taken:')",
            "55006 there are keys of Redis that begin with \"taken:\"",
        ),
        (
            "ALTER TABLE t SET (redis_prefix = '')",
            "22023 redis_prefix must have 1 to 255 bytes",
        ),
        (
            "ALTER TABLE bare SET (redis_prefix = 'bare:')",
            "55000 table \"bare\" has no primary key, so no key of Redis can name its rows",
        ),
        (
            "CREATE TABLE again (id int PRIMARY KEY) WITH (redis_prefix = 'taken:')",
            "55006 there are keys of Redis that begin with \"taken:\"",
        ),
        (
            "INSERT INTO redis.strings (key, value) VALUES ('users:5', 'x')",
            "42809 key \"users:5\" belongs to table \"users\"",
        ),
    ] {
        assert_eq!(refused(statement), expected, "{statement}");
    }
    // What is refused leaves nothing behind.
    say(
        &mut client,
        &[("SET taken:2 x", "OK"), ("DEL taken:2", "1")],
    );
    // Keys that the same transaction deletes are not in the way.
    server.sql(&[
        "BEGIN",
        "DELETE FROM redis.keys WHERE key = 'taken:1'",
        "ALTER TABLE t SET (redis_prefix = 'taken:')",
        "COMMIT",
    ]);
    say(
        &mut client,
        &[("HSET taken:1 id 1", "1"), ("HGET taken:1 id", "1")],
    );
    // RESET gives the keys back to the keyspace.
    server.sql(&["ALTER TABLE t RESET (redis_prefix)"]);
    say(
        &mut client,
        &[("EXISTS taken:1", "0"), ("SET taken:1 x", "OK")],
    );
    server.sql(&["DROP TABLE users"]);
    say(
        &mut client,
        &[("SET users:1 x", "OK"), ("GET users:1", "x")],
    );
}

#[test]
fn while_a_prefix_is_declared_its_keys_wait() {
    let server = server();
    server.sql(&["CREATE TABLE t (id int PRIMARY KEY)"]);
    let mut client = Client::connect(server.port);
    let mut session = server.session(server.engine().superuser());
    server.rows(&mut session, "BEGIN").unwrap();
    server
        .rows(&mut session, "ALTER TABLE t SET (redis_prefix = 't:')")
        .unwrap();
    for command in ["SET t:1 x", "HSET t:1 id 1"] {
        let answer = flat(client.ask(command));
        assert!(answer.starts_with("BUSY "), "{command}: {answer}");
    }
    say(&mut client, &[("GET t:1", "nil"), ("SET u:1 x", "OK")]);
    server.rows(&mut session, "ROLLBACK").unwrap();
    say(&mut client, &[("SET t:1 x", "OK"), ("DEL t:1", "1")]);
    // A key that an open transaction writes is waited for, and then in the way.
    let mut writer = server.session(server.engine().superuser());
    server.rows(&mut writer, "BEGIN").unwrap();
    let insert = "INSERT INTO redis.strings (key, value) VALUES ('t:1', 'x')";
    server.rows(&mut writer, insert).unwrap();
    std::thread::scope(|scope| {
        let alter =
            scope.spawn(|| server.rows(&mut session, "ALTER TABLE t SET (redis_prefix = 't:')"));
        while flat(client.ask("SET t:2 x")) == "OK" {
            client.ask("DEL t:2");
        }
        server.rows(&mut writer, "COMMIT").unwrap();
        let error = alter.join().unwrap().unwrap_err();
        assert_eq!(error.sqlstate(), "55006", "{error:?}");
    });
    assert_eq!(client.ask("GET t:1"), text("x"));
}

#[test]
fn documents_under_a_prefix_are_read_only() {
    let server = peer::heliosdb();
    server.sql(&[
        "CREATE TABLE docs () USING document WITH (redis_prefix = 'docs:')",
        "INSERT INTO docs (doc) VALUES ('{\"_id\": 5, \"a\": \"text\", \"ok\": true, \
         \"no\": null, \"in\": {\"list\": [1, \"x\"]}}')",
        "INSERT INTO docs (doc) VALUES ('{\"_id\": \"k\", \"n\": 1.5}')",
    ]);
    let mut client = Client::connect(server.port);
    say(
        &mut client,
        &[
            (
                "HGETALL docs:5",
                "_id 5 a text in {\"list\":[1,\"x\"]} ok 1",
            ),
            ("HMGET docs:5 a no nothing", "text nil nil"),
            ("HGET docs:k n", "1.5"),
            ("HLEN docs:k", "2"),
            ("EXISTS docs:5 docs:k docs:z", "2"),
            ("TYPE docs:k", "hash"),
            ("KEYS docs:*", "docs:5 docs:k"),
            ("SCAN 0 COUNT 1", "0 docs:5 docs:k"),
        ],
    );
    for command in [
        "HSET docs:5 a b",
        "HSETNX docs:5 z b",
        "HDEL docs:5 a",
        "HINCRBY docs:5 n 1",
        "DEL docs:5",
        "HSET docs:new a b",
    ] {
        let answer = flat(client.ask(command));
        assert!(
            answer.contains("on a document is not supported"),
            "{command}: {answer}"
        );
    }
    assert_eq!(client.ask("HGET docs:5 a"), text("text"));
}

#[test]
fn a_role_needs_rights_on_the_table_and_no_others() {
    let server = server();
    server.sql(&[
        "CREATE ROLE reader LOGIN PASSWORD 'pw'",
        "GRANT SELECT ON users TO reader",
        "CREATE TABLE own (id int PRIMARY KEY)",
        "ALTER TABLE own OWNER TO reader",
    ]);
    let mut client = Client::connect(server.port);
    client.ask("AUTH reader pw");
    assert_eq!(flat(client.ask("HGET users:1 name")), "ann");
    for command in [
        "HSET users:1 name x",
        "DEL users:1",
        "DEL users:1 tags",
        "GET user",
        "KEYS *",
        "SCAN 0",
        "EXISTS users:1 user",
    ] {
        let answer = flat(client.ask(command));
        assert!(answer.starts_with("NOPERM "), "{command}: {answer}");
    }
    // Nor through a transaction that begins where no rights are needed.
    for command in ["SELECT 16", "MULTI", "SELECT 0", "SET user x"] {
        client.ask(command);
    }
    let answer = flat(client.ask("EXEC"));
    assert!(answer.contains("NOPERM "), "{answer}");
    // Declaring a prefix takes keys from the keyspace.
    let mut session = server.session("reader");
    let error = server
        .rows(&mut session, "ALTER TABLE own SET (redis_prefix = 'own:')")
        .unwrap_err();
    assert_eq!(error.sqlstate(), "42501", "{error:?}");
}

#[test]
fn explain_shows_the_plan_behind_a_prefix() {
    let server = server();
    let mut client = Client::connect(server.port);
    let plan = flat(client.ask("HELIOS.EXPLAIN HGETALL users:1"));
    assert!(
        plan.contains("users") && !plan.contains("Keyspace"),
        "{plan}"
    );
    let plan = flat(client.ask("HELIOS.EXPLAIN GET user"));
    assert!(plan.starts_with("Executor: Keyspace"), "{plan}");
    let mut session = server.session(server.engine().superuser());
    let options = "SELECT reloptions::text FROM pg_class WHERE relname = 'users'";
    let shown = server.rows(&mut session, options).unwrap().concat();
    assert!(shown.contains("{redis_prefix=users:}"), "{shown}");
}
