//! Changes of the keyspace from SQL, as Redis clients see them.

use crate::peer::{self, Peer};
use crate::resp::{Client, Reply, text};
use helios_engine::Session;
use helios_types::Value;
use helios_types::value::Rows;

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Int4(n) => n.to_string(),
        Value::Int8(n) => n.to_string(),
        Value::Float8(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Text(text) => text.to_string(),
        Value::Bytea(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    }
}

/// Rows (columns apart by blanks, rows by bars), else how many were changed, else the error.
fn sql(server: &Peer, session: &mut Session, statement: &str) -> String {
    let mut rows = Rows::default();
    match server.block_on(session.run(statement, &[], &mut rows)) {
        Ok(done) if rows.0.is_empty() => done.rows.to_string(),
        Ok(_) => rows
            .0
            .iter()
            .map(|row| row.iter().map(shown).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
            .join(" | "),
        Err(error) => format!("{}: {}", error.sqlstate(), error.message()),
    }
}

fn flat(reply: Reply) -> String {
    match reply {
        Reply::Text(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Reply::Integer(n) => n.to_string(),
        Reply::Error(text) => text,
        Reply::Null => "nil".to_owned(),
        Reply::List(items) => items.into_iter().map(flat).collect::<Vec<_>>().join(" "),
    }
}

/// Who says a line: a session of SQL, or a client of Redis.
enum Door {
    Sql,
    Redis,
}
use Door::{Redis, Sql};

/// Says the lines in turn and compares the answers.
fn run(server: &Peer, lines: &[(Door, &str, &str)]) {
    let mut session = server.session(server.engine().superuser());
    let mut client = Client::connect(server.port);
    for (door, line, expected) in lines {
        let answer = match door {
            Sql => sql(server, &mut session, line),
            Redis => flat(client.ask(line)),
        };
        assert_eq!(answer, *expected, "{line}");
    }
}

#[test]
fn strings_are_inserted_changed_moved_and_deleted() {
    run(
        &peer::heliosdb(),
        &[
            (
                Sql,
                "INSERT INTO redis.strings (key, value) VALUES ('a', '1'), ('b', '2')",
                "2",
            ),
            (Redis, "MGET a b", "1 2"),
            (Redis, "DBSIZE", "2"),
            (
                Sql,
                "INSERT INTO redis.strings (key, value) VALUES ('a', 'x')",
                "23505: duplicate key value violates unique constraint \"strings_pkey\"",
            ),
            (
                Sql,
                "INSERT INTO redis.strings (key, value) VALUES ('a', 'x') ON CONFLICT DO NOTHING",
                "0",
            ),
            (
                Sql,
                "INSERT INTO redis.strings AS s (key, value) VALUES ('a', 'x') ON CONFLICT (db, key) \
                 DO UPDATE SET value = s.value || excluded.value RETURNING key, value",
                "a 1x",
            ),
            (Redis, "GET a", "1x"),
            (
                Sql,
                "INSERT INTO redis.strings (key, value) VALUES ('c', '1'), ('c', '2') \
                 ON CONFLICT (db, key) DO UPDATE SET value = excluded.value",
                "21000: ON CONFLICT DO UPDATE command cannot affect row a second time",
            ),
            (
                Sql,
                "UPDATE redis.strings SET value = 'z' WHERE key = 'b' RETURNING db, key, value",
                "0 b z",
            ),
            (Redis, "GET b", "z"),
            (
                Sql,
                "UPDATE redis.strings SET key = 'b2', db = 5 WHERE key = 'b'",
                "1",
            ),
            (Redis, "EXISTS b", "0"),
            (Redis, "SELECT 5", "OK"),
            (Redis, "GET b2", "z"),
            (
                Sql,
                "UPDATE redis.strings SET key = 'a', db = 0 WHERE key = 'b2'",
                "23505: duplicate key value violates unique constraint \"strings_pkey\"",
            ),
            (
                Sql,
                "DELETE FROM redis.strings WHERE db = 5 RETURNING value",
                "z",
            ),
            (Redis, "DBSIZE", "0"),
            (Redis, "SELECT 0", "OK"),
            (Redis, "DBSIZE", "1"),
            (
                Sql,
                "INSERT INTO redis.strings (db, key, value) VALUES (16, 'k', 'v')",
                "22003: there is no such logical database of Redis",
            ),
            (
                Sql,
                "INSERT INTO redis.strings (key) VALUES ('k')",
                "23502: null value in column \"value\" of relation \"strings\" violates not-null constraint",
            ),
        ],
    );
}

#[test]
fn collections_grow_and_shrink_and_go_with_their_last_element() {
    run(
        &peer::heliosdb(),
        &[
            (
                Sql,
                "INSERT INTO redis.hashes (key, field, value) SELECT 'h', ('f' || n)::bytea, n::text::bytea \
                 FROM generate_series(1, 300) n",
                "300",
            ),
            (Redis, "HLEN h", "300"),
            (Redis, "HGET h f77", "77"),
            (
                Sql,
                "UPDATE redis.hashes SET value = 'new' WHERE key = 'h' AND field IN ('f1', 'f2')",
                "2",
            ),
            (Redis, "HMGET h f1 f2 f3", "new new 3"),
            (
                Sql,
                "UPDATE redis.hashes SET field = 'g' WHERE key = 'h' AND field = 'f1'",
                "1",
            ),
            (Redis, "HMGET h f1 g", "nil new"),
            (
                Sql,
                "INSERT INTO redis.hashes (key, field, value) VALUES ('h', 'g', 'x') \
                 ON CONFLICT (db, key, field) DO UPDATE SET value = excluded.value \
                 WHERE hashes.value <> 'new'",
                "0",
            ),
            (Sql, "DELETE FROM redis.hashes WHERE key = 'h'", "300"),
            (Redis, "EXISTS h", "0"),
            (
                Sql,
                "INSERT INTO redis.sets (key, member) VALUES ('s', 'a'), ('s', 'b'), ('s', 'a')",
                "23505: duplicate key value violates unique constraint \"sets_pkey\"",
            ),
            (
                Sql,
                "INSERT INTO redis.sets (key, member) VALUES ('s', 'a'), ('s', 'b'), ('s', 'a') \
                 ON CONFLICT DO NOTHING",
                "2",
            ),
            (Redis, "SCARD s", "2"),
            (
                Sql,
                "UPDATE redis.sets SET key = 't' WHERE member = 'a'",
                "1",
            ),
            (Redis, "SISMEMBER t a", "1"),
            (
                Sql,
                "DELETE FROM redis.sets WHERE key = 't' RETURNING member",
                "a",
            ),
            (Redis, "TYPE t", "none"),
            (
                Sql,
                "INSERT INTO redis.zsets (key, member, score) VALUES ('z', 'a', 1), ('z', 'b', 2.5) \
                 RETURNING member, score",
                "a 1 | b 2.5",
            ),
            (
                Sql,
                "UPDATE redis.zsets SET score = score + 10 WHERE member = 'a'",
                "1",
            ),
            (Redis, "ZRANGE z 0 -1 WITHSCORES", "b 2.5 a 11"),
            (
                Sql,
                "INSERT INTO redis.zsets (key, member, score) VALUES ('z', 'c', 'NaN')",
                "22003: resulting score is not a number (NaN)",
            ),
            (Sql, "DELETE FROM redis.zsets WHERE score > 3", "1"),
            (Redis, "ZCARD z", "1"),
        ],
    );
}

#[test]
fn elements_of_lists_are_appended_changed_and_deleted() {
    run(
        &peer::heliosdb(),
        &[
            (
                Sql,
                "INSERT INTO redis.lists (key, value) VALUES ('l', 'a'), ('l', 'b'), ('l', 'c') \
                 RETURNING idx",
                "0 | 1 | 2",
            ),
            (
                Sql,
                "INSERT INTO redis.lists (key, idx, value) VALUES ('l', 3, 'd')",
                "1",
            ),
            (
                Sql,
                "INSERT INTO redis.lists (key, idx, value) VALUES ('l', 1, 'x')",
                "23505: duplicate key value violates unique constraint \"lists_pkey\"",
            ),
            (
                Sql,
                "INSERT INTO redis.lists (key, idx, value) VALUES ('l', 9, 'x')",
                "2202E: list \"l\" has no place 9",
            ),
            (
                Sql,
                "INSERT INTO redis.lists (key, idx, value) VALUES ('l', 1, 'B') \
                 ON CONFLICT (db, key, idx) DO UPDATE SET value = excluded.value",
                "1",
            ),
            (Redis, "LRANGE l 0 -1", "a B c d"),
            (
                Sql,
                "UPDATE redis.lists SET value = value || '!' WHERE key = 'l' AND idx > 1",
                "2",
            ),
            (Redis, "LRANGE l 0 -1", "a B c! d!"),
            (
                Sql,
                "UPDATE redis.lists SET idx = 0 WHERE key = 'l'",
                "0A000: cannot update column \"idx\" of redis.lists",
            ),
            (
                Sql,
                "DELETE FROM redis.lists WHERE key = 'l' AND idx IN (0, 2) RETURNING value",
                "a | c!",
            ),
            (Redis, "LRANGE l 0 -1", "B d!"),
            (
                Sql,
                "DELETE FROM redis.lists WHERE key = 'l' AND idx = 0",
                "1",
            ),
            (Redis, "LRANGE l 0 -1", "d!"),
            (
                Sql,
                "INSERT INTO redis.lists (key, value) SELECT 'l', repeat(n::text, 20)::bytea \
                 FROM generate_series(1, 500) n",
                "500",
            ),
            (
                Sql,
                "DELETE FROM redis.lists WHERE key = 'l' AND idx % 2 = 1",
                "250",
            ),
            (Redis, "LLEN l", "251"),
            (Redis, "LINDEX l 1", "22222222222222222222"),
            (Sql, "DELETE FROM redis.lists WHERE key = 'l'", "251"),
            (Redis, "EXISTS l", "0"),
        ],
    );
}

#[test]
fn the_expiry_of_a_key_is_a_column() {
    run(
        &peer::heliosdb(),
        &[
            (
                Sql,
                "INSERT INTO redis.strings (key, value, expire_at) \
                 VALUES ('k', 'v', now() + interval '1 hour')",
                "1",
            ),
            (Redis, "EXPIRE k 100 GT", "0"),
            (Redis, "EXPIRE k 7200 GT", "1"),
            (
                Sql,
                "UPDATE redis.strings SET value = 'w' WHERE key = 'k'",
                "1",
            ),
            (Redis, "EXPIRE k 100 GT", "0"),
            (
                Sql,
                "UPDATE redis.keys SET expire_at = NULL WHERE key = 'k' RETURNING type, ttl_ms",
                "string -",
            ),
            (Redis, "TTL k", "-1"),
            (Redis, "GET k", "w"),
            (Redis, "SADD s m", "1"),
            (
                Sql,
                "UPDATE redis.keys SET expire_at = '2100-01-01' WHERE key = 's'",
                "1",
            ),
            (Redis, "PEXPIRETIME s", "4102444800000"),
            (
                Sql,
                "UPDATE redis.keys SET expire_at = '2001-01-01' WHERE key = 's'",
                "1",
            ),
            (Redis, "EXISTS s", "0"),
            (
                Sql,
                "UPDATE redis.keys SET expire_at = 'infinity' WHERE key = 'k'",
                "22008: a key cannot expire at an infinite time",
            ),
            (Redis, "RPUSH l a", "1"),
            (
                Sql,
                "DELETE FROM redis.keys WHERE key = 'l' RETURNING type, size",
                "list 1",
            ),
            (Redis, "DBSIZE", "1"),
        ],
    );
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    run(
        &peer::heliosdb(),
        &[
            (Redis, "SET k v", "OK"),
            (
                Sql,
                "INSERT INTO redis.keys (key, type, encoding, size) VALUES ('x', 'string', 'raw', 1)",
                "0A000: cannot insert into redis.keys",
            ),
            (
                Sql,
                "UPDATE redis.keys SET type = 'list'",
                "0A000: cannot update column \"type\" of redis.keys",
            ),
            (
                Sql,
                "INSERT INTO redis.hashes (key, field, value) VALUES ('k', 'f', 'v')",
                "42809: WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            (
                Sql,
                "INSERT INTO redis.lists (key, value) VALUES ('k', 'v')",
                "42809: WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            (Redis, "GET k", "v"),
        ],
    );
}

#[test]
fn a_rollback_takes_back_what_was_written_to_keys() {
    let server = peer::heliosdb();
    server.sql(&["CREATE TABLE t (id int PRIMARY KEY)"]);
    run(
        &server,
        &[
            (Redis, "SET n 1", "OK"),
            (Sql, "BEGIN", "0"),
            (Sql, "INSERT INTO t VALUES (1)", "1"),
            (Sql, "UPDATE redis.strings SET value = '2'", "1"),
            (Sql, "SELECT value FROM redis.strings", "2"),
            (Redis, "GET n", "1"),
            (Sql, "SAVEPOINT a", "0"),
            (Sql, "DELETE FROM redis.keys", "1"),
            (
                Sql,
                "INSERT INTO redis.lists (key, value) VALUES ('n', 'x')",
                "1",
            ),
            (Sql, "SELECT type FROM redis.keys", "list"),
            (Sql, "ROLLBACK TO a", "0"),
            (Sql, "SELECT value FROM redis.strings", "2"),
            (Sql, "COMMIT", "0"),
            (Redis, "GET n", "2"),
            (Redis, "DBSIZE", "1"),
            (Sql, "BEGIN", "0"),
            (Sql, "DELETE FROM redis.strings", "1"),
            (Sql, "DELETE FROM t", "1"),
            (Sql, "ROLLBACK", "0"),
            (Redis, "GET n", "2"),
            (Sql, "SELECT count(*) FROM t", "1"),
            (Sql, "BEGIN READ ONLY", "0"),
            (
                Sql,
                "DELETE FROM redis.strings",
                "25006: cannot execute DELETE in a read-only transaction",
            ),
            (Sql, "ROLLBACK", "0"),
        ],
    );
}

#[test]
fn clients_of_redis_meet_the_locks_of_sql_and_sql_meets_their_changes() {
    let server = peer::heliosdb();
    let mut session = server.session(server.engine().superuser());
    let mut client = Client::connect(server.port);
    let mut ask = |line: &str| flat(client.ask(line));
    ask("SET n 1");
    ask("HSET h f 1 g 2");
    // A key that is locked is waited for, then BUSY; reads never wait.
    sql(&server, &mut session, "BEGIN");
    let locked = "SELECT value FROM redis.strings WHERE key = 'n' FOR UPDATE";
    assert_eq!(sql(&server, &mut session, locked), "1");
    assert_eq!(ask("GET n"), "1");
    assert!(ask("INCR n").starts_with("BUSY "));
    assert_eq!(ask("HSET h f 5"), "0");
    sql(&server, &mut session, "COMMIT");
    assert_eq!(ask("INCR n"), "2");
    // WATCH sees a change from SQL.
    ask("WATCH n");
    sql(
        &server,
        &mut session,
        "UPDATE redis.strings SET value = '7'",
    );
    ask("MULTI");
    ask("SET n 9");
    assert_eq!(ask("EXEC"), "nil");
    assert_eq!(ask("GET n"), "7");
    // REPEATABLE READ: a key that has changed since the snapshot is not changed.
    sql(
        &server,
        &mut session,
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
    );
    assert_eq!(
        sql(&server, &mut session, "SELECT value FROM redis.strings"),
        "7"
    );
    ask("INCR n");
    let answer = sql(
        &server,
        &mut session,
        "UPDATE redis.strings SET value = '0'",
    );
    assert!(answer.starts_with("40001: "), "{answer}");
    sql(&server, &mut session, "ROLLBACK");
    assert_eq!(ask("GET n"), "8");
}

#[test]
fn a_change_waits_for_the_lock_and_is_made_of_the_newest_value() {
    let server = peer::heliosdb();
    let mut first = server.session(server.engine().superuser());
    let mut client = Client::connect(server.port);
    client.ask("SET n 1");
    client.ask("HSET h a 1 b 1");
    sql(&server, &mut first, "BEGIN");
    sql(&server, &mut first, "UPDATE redis.strings SET value = '5'");
    sql(
        &server,
        &mut first,
        "UPDATE redis.hashes SET value = '5' WHERE field = 'a'",
    );
    sql(
        &server,
        &mut first,
        "DELETE FROM redis.hashes WHERE field = 'b'",
    );
    let engine = server.engine().clone();
    let mut second = server.session(engine.superuser());
    let pid = second.pid();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            [
                "UPDATE redis.strings SET value = (convert_from(value, 'UTF8')::int + 1)::text::bytea",
                "UPDATE redis.hashes SET value = value || 'x' WHERE value <> '7'",
            ]
            .map(|statement| sql(&server, &mut second, statement))
        });
        while engine.blocking_pids(pid).is_empty() {
            assert!(!waiting.is_finished(), "nobody waited");
            std::thread::yield_now();
        }
        assert_eq!(sql(&server, &mut first, "COMMIT"), "0");
        assert_eq!(waiting.join().unwrap(), ["1", "1"]);
    });
    assert_eq!(client.ask("GET n"), text("6"));
    assert_eq!(flat(client.ask("HGETALL h")), "a 5x");
}

#[test]
fn a_blocked_client_wakes_when_the_transaction_commits() {
    let server = peer::heliosdb();
    let mut session = server.session(server.engine().superuser());
    let mut waiting = Client::connect(server.port);
    let mut other = Client::connect(server.port);
    waiting.send_line("BLPOP queue 10");
    while !crate::resp::info(&mut other, "clients").contains("blocked_clients:1") {
        std::thread::yield_now();
    }
    sql(&server, &mut session, "BEGIN");
    let insert = "INSERT INTO redis.lists (key, value) VALUES ('queue', 'job')";
    assert_eq!(sql(&server, &mut session, insert), "1");
    assert!(crate::resp::info(&mut other, "clients").contains("blocked_clients:1"));
    sql(&server, &mut session, "COMMIT");
    assert_eq!(flat(waiting.reply()), "queue job");
    assert_eq!(other.ask("EXISTS queue"), Reply::Integer(0));
}

#[test]
fn who_owns_the_database_writes_keys_and_others_do_not() {
    let server = peer::heliosdb();
    server.sql(&[
        "CREATE ROLE owner LOGIN",
        "CREATE ROLE other LOGIN",
        "ALTER DATABASE heliosdb OWNER TO owner",
    ]);
    let mut owner = server.session("owner");
    let mut other = server.session("other");
    let insert = "INSERT INTO redis.strings (key, value) VALUES ('k', 'v')";
    assert_eq!(
        sql(&server, &mut other, insert),
        "42501: permission denied for table strings"
    );
    assert_eq!(sql(&server, &mut owner, insert), "1");
    for statement in [
        "UPDATE redis.strings SET value = 'x'",
        "DELETE FROM redis.keys",
    ] {
        let answer = sql(&server, &mut other, statement);
        assert!(answer.starts_with("42501: "), "{statement}: {answer}");
    }
    assert_eq!(sql(&server, &mut owner, "DELETE FROM redis.keys"), "1");
}

#[test]
fn explain_shows_how_a_change_finds_its_rows() {
    let server = peer::heliosdb();
    let mut session = server.session(server.engine().superuser());
    for (statement, parts) in [
        (
            "EXPLAIN UPDATE redis.strings SET value = 'x' WHERE key = 'k'",
            &[
                "Executor: apply",
                "Index Scan using strings_pkey",
                "Index Cond: (key = ",
            ][..],
        ),
        (
            "EXPLAIN DELETE FROM redis.hashes WHERE key = 'h' AND field = 'f'",
            &["Delete on hashes", "hashes_pkey", "Filter: (field = "],
        ),
        (
            "EXPLAIN INSERT INTO redis.sets (key, member) VALUES ('s', 'm')",
            &["Executor: kv", "Insert on", "sets"],
        ),
    ] {
        let plan = sql(&server, &mut session, statement);
        for part in parts {
            assert!(
                plan.to_lowercase().contains(&part.to_lowercase()),
                "{statement}: {part}: {plan}"
            );
        }
    }
}
