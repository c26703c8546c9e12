//! The keyspace in SQL: the `redis.*` tables.

use crate::peer;
use crate::resp::Client;
use helios_types::ErrorKind;

#[test]
fn the_keyspace_is_seen_in_sql() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    client.ask("HSET user:1 name ann");
    client.ask("ZADD scores 1.5 ann");
    client.ask("SET plain text");
    client.ask("RPUSH list a b");
    client.ask("SADD set m");
    client.ask("SET gone v PX 1");
    let mut session = server.session(server.engine().superuser());
    while !server
        .rows(&mut session, "SELECT 1 FROM redis.keys WHERE key = 'gone'")
        .unwrap()
        .is_empty()
    {
        std::thread::yield_now();
    }
    for (statement, count) in [
        ("SELECT key FROM redis.keys", 5),
        ("SELECT value FROM redis.hashes WHERE key = 'user:1'", 1),
        ("SELECT member FROM redis.zsets WHERE score > 1", 1),
        ("SELECT value FROM redis.lists WHERE idx = 1", 1),
        ("SELECT member FROM redis.sets WHERE key = 'set'", 1),
        ("SELECT value FROM redis.strings WHERE db = 1", 0),
        (
            "SELECT k.type FROM redis.keys k JOIN redis.strings s USING (db, key)",
            1,
        ),
    ] {
        let rows = server.rows(&mut session, statement).unwrap();
        assert_eq!(rows.len(), count, "{statement}: {rows:?}");
    }
}

#[test]
fn a_statement_sees_the_keyspace_at_its_snapshot() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    client.ask("SET counter 1");
    let mut session = server.session(server.engine().superuser());
    let value = "SELECT convert_from(value, 'UTF8') FROM redis.strings WHERE key = 'counter'";
    let read = |session: &mut _| server.rows(session, value).unwrap().concat();
    server
        .rows(&mut session, "BEGIN ISOLATION LEVEL REPEATABLE READ")
        .unwrap();
    assert!(read(&mut session).contains("\"1\""));
    client.ask("SET counter 2");
    client.ask("SET other x");
    assert!(read(&mut session).contains("\"1\""));
    let keys = server.rows(&mut session, "SELECT key FROM redis.keys");
    assert_eq!(keys.unwrap().len(), 1);
    server.rows(&mut session, "COMMIT").unwrap();
    assert!(read(&mut session).contains("\"2\""));
}

#[test]
fn what_expires_stays_in_a_transaction_that_has_its_snapshot() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    client.ask("SET k v PX 2000");
    let mut session = server.session(server.engine().superuser());
    let read = "SELECT key FROM redis.strings";
    let rows = |session: &mut _| server.rows(session, read).unwrap().len();
    server
        .rows(&mut session, "BEGIN ISOLATION LEVEL REPEATABLE READ")
        .unwrap();
    assert_eq!(rows(&mut session), 1);
    while client.ask("EXISTS k") == crate::resp::Reply::Integer(1) {
        std::thread::yield_now();
    }
    assert_eq!(rows(&mut session), 1);
    server.rows(&mut session, "COMMIT").unwrap();
    assert_eq!(rows(&mut session), 0);
}

#[test]
fn what_sql_cannot_change_is_refused() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    client.ask("SET k v");
    let mut session = server.session(server.engine().superuser());
    for statement in [
        "TRUNCATE redis.keys",
        "DROP TABLE redis.keys",
        "ALTER TABLE redis.strings ADD COLUMN x int",
        "CREATE INDEX ON redis.strings (value)",
        "CREATE TABLE t (db int, key bytea, FOREIGN KEY (db, key) REFERENCES redis.strings)",
        "COPY redis.strings FROM STDIN",
        "GRANT SELECT ON redis.keys TO helios",
    ] {
        assert!(server.rows(&mut session, statement).is_err(), "{statement}");
    }
    assert_eq!(client.ask("GET k"), crate::resp::text("v"));
}

#[test]
fn a_role_without_rights_is_refused_on_both_doors() {
    let server = peer::heliosdb();
    server.sql(&[
        "CREATE TABLE open (id int PRIMARY KEY, v text)",
        "CREATE TABLE closed (id int PRIMARY KEY, v text)",
        "INSERT INTO open VALUES (1, 'seen')",
        "INSERT INTO closed VALUES (1, 'secret')",
        "CREATE ROLE reader LOGIN PASSWORD 'pw'",
        "GRANT SELECT ON open TO reader",
    ]);
    let mut session = server.session("reader");
    for table in ["keys", "strings", "hashes", "lists", "sets", "zsets"] {
        let error = server
            .rows(&mut session, &format!("SELECT * FROM redis.{table}"))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InsufficientPrivilege, "{table}");
    }
    let mut client = Client::connect(server.port);
    let error = |client: &mut Client, command: &str| match client.ask(command) {
        crate::resp::Reply::Error(text) => text,
        other => panic!("{command}: {other:?}"),
    };
    assert!(error(&mut client, "GET k").starts_with("NOAUTH "));
    assert!(error(&mut client, "AUTH reader wrong").starts_with("WRONGPASS "));
    assert_eq!(client.ask("AUTH reader pw"), crate::resp::text("OK"));
    assert!(error(&mut client, "SET k v").starts_with("NOPERM "));
    assert!(error(&mut client, "GET k").starts_with("NOPERM "));
    assert!(error(&mut client, "FLUSHALL").starts_with("NOPERM "));
    client.ask("SELECT 16");
    assert_eq!(client.ask("HGET open:1 v"), crate::resp::text("seen"));
    for command in [
        "HGET closed:1 v",
        "HSET closed:1 v x",
        "HSET open:1 v x",
        "DEL open:1",
        "HINCRBY open:1 id 1",
    ] {
        assert!(
            error(&mut client, command).starts_with("NOPERM "),
            "{command}"
        );
    }
    let keys = crate::resp::Reply::List(vec![crate::resp::text("open:1")]);
    assert_eq!(client.ask("KEYS *"), keys);
}
