//! Database 16: tables of SQL as hashes, and bad input that leaves other clients undisturbed.

use crate::peer;
use crate::resp::{Client, Reply};
use helios_engine::{Protocol, SessionOptions};
use std::io::{Read, Write};

fn text(text: &str) -> Reply {
    Reply::Text(text.as_bytes().to_vec())
}

/// The text of INFO.
fn info(client: &mut Client, section: &str) -> String {
    match client.ask(&format!("INFO {section}")) {
        Reply::Text(text) => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn sql(server: &peer::Peer, statements: &[&str]) {
    let engine = server.engine();
    let options = SessionOptions::new(
        Protocol::Internal,
        engine.superuser(),
        engine.default_database(),
    );
    let mut session = engine.session(options).unwrap();
    server.block_on(async move {
        for statement in statements {
            let prepared = session.prepare(statement, &[]).unwrap();
            let mut rows = helios_types::value::Rows::default();
            session.execute(&prepared, &[], &mut rows).await.unwrap();
        }
    });
}

#[test]
fn rows_of_tables_are_hashes_to_read_and_to_write() {
    let server = peer::heliosdb();
    sql(
        &server,
        &[
            "CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, visits bigint)",
            "INSERT INTO users VALUES (1, 'ann', NULL)",
        ],
    );
    let mut client = Client::connect(server.port);
    assert_eq!(client.ask("SELECT 16"), text("OK"));
    for (command, reply) in [
        (
            "HGETALL users:1",
            Reply::List(vec![text("id"), text("1"), text("name"), text("ann")]),
        ),
        ("HGET users:1 name", text("ann")),
        ("HGET users:1 visits", Reply::Null),
        ("HGET users:01 name", Reply::Null),
        ("HSET users:1 name bob visits 4", Reply::Integer(1)),
        ("HINCRBY users:1 visits 3", Reply::Integer(7)),
        ("HSET users:2 name cid", Reply::Integer(1)),
        ("EXISTS users:1 users:2 users:3", Reply::Integer(2)),
        ("TYPE users:2", text("hash")),
        ("TTL users:2", Reply::Integer(-1)),
        ("HDEL users:1 visits", Reply::Integer(1)),
        ("HLEN users:1", Reply::Integer(2)),
        (
            "KEYS users:*",
            Reply::List(vec![text("users:1"), text("users:2")]),
        ),
        ("DEL users:2", Reply::Integer(1)),
        ("EXISTS users:2", Reply::Integer(0)),
    ] {
        assert_eq!(client.ask(command), reply, "{command}");
    }
    for command in [
        "HDEL users:1 name",
        "HSET users:1 nothing 1",
        "SET users:1 x",
        "HDEL users:1 id",
    ] {
        assert!(matches!(client.ask(command), Reply::Error(_)), "{command}");
    }
    assert_eq!(client.ask("HGET users:1 name"), text("bob"));
    client.ask("SELECT 0");
    client.ask("FLUSHALL");
    client.ask("SELECT 16");
    assert_eq!(client.ask("HGET users:1 name"), text("bob"));
}

#[test]
fn a_transaction_on_tables_undoes_only_what_fails() {
    let server = peer::heliosdb();
    sql(
        &server,
        &["CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)"],
    );
    let mut client = Client::connect(server.port);
    client.ask("SELECT 16");
    for command in ["MULTI", "HSET t:1 n 1", "HSET t:2 n abc", "HINCRBY t:1 n 5"] {
        client.ask(command);
    }
    let Reply::List(replies) = client.ask("EXEC") else {
        panic!("EXEC gave no list")
    };
    assert_eq!(replies.len(), 3);
    assert!(matches!(replies[1], Reply::Error(_)));
    assert_eq!(client.ask("HGET t:1 n"), text("6"));
    assert_eq!(client.ask("EXISTS t:2"), Reply::Integer(0));
}

#[test]
fn the_plan_of_a_command_is_the_plan_of_its_question() {
    let server = peer::heliosdb();
    sql(
        &server,
        &["CREATE TABLE users (id int PRIMARY KEY, name text)"],
    );
    let mut client = Client::connect(server.port);
    client.ask("SELECT 16");
    let Reply::Text(plan) = client.ask("HELIOS.EXPLAIN HGETALL users:1") else {
        panic!("no plan")
    };
    let plan = String::from_utf8(plan).unwrap();
    assert!(plan.starts_with("Executor: "), "{plan}");
    assert!(plan.contains("users"), "{plan}");
}

#[test]
fn bad_input_ends_its_own_connection_only() {
    let server = peer::heliosdb();
    let mut other = Client::connect(server.port);
    for bytes in [
        &b"*1\r\n$-1\r\n"[..],
        b"*99999999999\r\n",
        b"*1\r\nx\r\n",
        b"\"\r\n",
    ] {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("-ERR Protocol error"), "{answer}");
        assert_eq!(other.ask("PING"), text("PONG"));
    }
}

#[test]
fn a_waiting_client_gets_what_another_pushes() {
    let server = peer::heliosdb();
    let mut waiting = Client::connect(server.port);
    let mut pushing = Client::connect(server.port);
    waiting.send_line("BLPOP queue 10");
    while !info(&mut pushing, "clients").contains("blocked_clients:1") {
        std::thread::yield_now();
    }
    assert_eq!(pushing.ask("RPUSH queue job"), Reply::Integer(1));
    assert_eq!(
        waiting.reply(),
        Reply::List(vec![text("queue"), text("job")])
    );
    assert_eq!(pushing.ask("EXISTS queue"), Reply::Integer(0));
}

#[test]
fn large_collections_answer_as_small_ones() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    for at in 0..3000 {
        client.send_line(&format!("RPUSH list item{at}"));
        client.send_line(&format!("HSET hash field{at} {at}"));
        client.send_line(&format!("ZADD zset {at} member{at}"));
        client.send_line(&format!("SADD set member{at}"));
    }
    for _ in 0..12_000 {
        client.reply();
    }
    for (command, reply) in [
        ("LLEN list", Reply::Integer(3000)),
        ("LINDEX list 1234", text("item1234")),
        ("LINDEX list -2", text("item2998")),
        (
            "LRANGE list 1500 1501",
            Reply::List(vec![text("item1500"), text("item1501")]),
        ),
        ("HLEN hash", Reply::Integer(3000)),
        ("HGET hash field77", text("77")),
        ("ZCARD zset", Reply::Integer(3000)),
        ("ZRANK zset member42", Reply::Integer(42)),
        ("ZREMRANGEBYRANK zset 0 999", Reply::Integer(1000)),
        ("ZRANGE zset 0 0", Reply::List(vec![text("member1000")])),
        (
            "ZPOPMAX zset",
            Reply::List(vec![text("member2999"), text("2999")]),
        ),
        ("SCARD set", Reply::Integer(3000)),
        ("SISMEMBER set member2999", Reply::Integer(1)),
        ("SREM set member2999", Reply::Integer(1)),
        ("LREM list 0 item7", Reply::Integer(1)),
        ("LTRIM list 0 9", text("OK")),
        ("LLEN list", Reply::Integer(10)),
        ("RENAME hash hash2", text("OK")),
        ("HGET hash2 field2999", text("2999")),
        ("DEL hash2 zset set list", Reply::Integer(4)),
        ("DBSIZE", Reply::Integer(0)),
    ] {
        assert_eq!(client.ask(command), reply, "{command}");
    }
}

#[test]
fn keys_expire_on_time_and_are_removed_in_the_background() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    client.ask("SET k v PX 50");
    client.ask("SET stays v");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while client.ask("DBSIZE") != Reply::Integer(1) {
        assert!(
            std::time::Instant::now() < deadline,
            "the expirer did not remove the key"
        );
        std::thread::yield_now();
    }
    assert_eq!(client.ask("GET k"), Reply::Null);
    assert!(info(&mut client, "stats").contains("expired_keys:1"));
}

#[test]
fn the_keyspace_is_seen_in_sql() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    client.ask("HSET user:1 name ann");
    client.ask("ZADD scores 1.5 ann");
    client.ask("SET plain text");
    let engine = server.engine();
    let options = SessionOptions::new(
        Protocol::Internal,
        engine.superuser(),
        engine.default_database(),
    );
    let mut session = engine.session(options).unwrap();
    let mut ask = |statement: &str| {
        let mut rows = helios_types::value::Rows::default();
        let prepared = session.prepare(statement, &[]).unwrap();
        server
            .block_on(session.execute(&prepared, &[], &mut rows))
            .unwrap();
        rows.0
            .iter()
            .map(|row| format!("{row:?}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(ask("SELECT key FROM redis.keys").len(), 3);
    assert_eq!(
        ask("SELECT value FROM redis.hashes WHERE key = 'user:1'").len(),
        1
    );
    assert_eq!(
        ask("SELECT member FROM redis.zsets WHERE score > 1").len(),
        1
    );
    assert_eq!(ask("SELECT value FROM redis.strings WHERE db = 1").len(), 0);
}
