//! Database 16: tables of SQL as hashes.

use crate::peer;
use crate::resp::{Client, Reply, text};

#[test]
fn rows_of_tables_are_hashes_to_read_and_to_write() {
    let server = peer::heliosdb();
    server.sql(&[
        "CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, visits bigint)",
        "INSERT INTO users VALUES (1, 'ann', NULL)",
    ]);
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
    server.sql(&["CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)"]);
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
    server.sql(&["CREATE TABLE users (id int PRIMARY KEY, name text)"]);
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
fn keys_of_several_columns_other_schemas_and_types_work_the_same() {
    let server = peer::heliosdb();
    server.sql(&[
        "CREATE SCHEMA s",
        "CREATE TABLE s.t (a int, b text, v int, PRIMARY KEY (a, b))",
        "INSERT INTO s.t VALUES (1, 'x', 5)",
        "CREATE TABLE acc (id uuid PRIMARY KEY, owner text NOT NULL, \
         balance numeric(12,2) DEFAULT 0, n smallint, at timestamptz, j jsonb)",
    ]);
    let row = "acc:123e4567-e89b-12d3-a456-426614174000";
    let mut client = Client::connect(server.port);
    client.ask("SELECT 16");
    let list = |items: &[&str]| Reply::List(items.iter().map(|item| text(item)).collect());
    for (command, reply) in [
        ("HGETALL s.t:1:x", list(&["a", "1", "b", "x", "v", "5"])),
        ("HSET s.t:2:y v 7", Reply::Integer(1)),
        ("HKEYS s.t:2:y", list(&["a", "b", "v"])),
        ("HSET ROW owner ann balance 12.5", Reply::Integer(2)),
        ("HINCRBYFLOAT ROW balance 0.25", text("12.75")),
        ("HINCRBY ROW n 5", Reply::Integer(5)),
        ("HSETNX ROW n 9", Reply::Integer(0)),
        ("HSET ROW at 2024-01-02T03:04:05Z", Reply::Integer(1)),
        ("HGET ROW at", text("2024-01-02T03:04:05Z")),
        ("HSET ROW j '{\"x\": 1}'", Reply::Integer(1)),
        (
            "HMGET ROW j n nope",
            Reply::List(vec![text("{\"x\":1}"), text("5"), Reply::Null]),
        ),
        ("HEXISTS ROW n", Reply::Integer(1)),
        (
            "SCAN 0 MATCH s.t:* COUNT 10",
            Reply::List(vec![text("0"), list(&["s.t:1:x", "s.t:2:y"])]),
        ),
        ("DEL s.t:1:x s.t:9:z", Reply::Integer(1)),
    ] {
        let command = command.replace("ROW", row);
        assert_eq!(client.ask(&command), reply, "{command}");
    }
    for (command, error) in [
        (
            "HINCRBY ROW n 40000",
            "ERR increment or decrement would overflow",
        ),
        ("HINCRBY ROW owner 1", "ERR hash value is not an integer"),
        (
            "HSET ROW n many",
            "ERR invalid input syntax for type smallint: \"many\"",
        ),
        (
            "HSET acc:123e4567-e89b-12d3-a456-426614174001 n 1",
            "ERR null value in column \"owner\"",
        ),
        (
            "GET ROW",
            "ERR GET on the database of SQL tables is not supported",
        ),
        (
            "EXPIRE ROW 10",
            "ERR EXPIRE on the database of SQL tables is not supported",
        ),
        (
            "OBJECT ENCODING ROW",
            "ERR OBJECT ENCODING on the database of SQL tables is not supported",
        ),
    ] {
        let command = command.replace("ROW", row);
        match client.ask(&command) {
            Reply::Error(text) => assert!(text.starts_with(error), "{command}: {text}"),
            other => panic!("{command}: {other:?}"),
        }
    }
    assert_eq!(client.ask(&format!("HGET {row} n")), text("5"));
}

#[test]
fn one_column_incremented_by_many_clients_and_by_sql_ends_at_the_exact_sum() {
    const CLIENTS: usize = 4;
    const TIMES: usize = 50;
    let server = peer::heliosdb();
    server.sql(&[
        "CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL)",
        "INSERT INTO counters VALUES (1, 0)",
    ]);
    let port = server.port;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(move || {
                let mut client = Client::connect(port);
                client.ask("SELECT 16");
                for _ in 0..TIMES {
                    let reply = client.ask("HINCRBY counters:1 n 1");
                    assert!(matches!(reply, Reply::Integer(_)), "{reply:?}");
                }
            });
        }
        let mut session = server.session(server.engine().superuser());
        for _ in 0..TIMES {
            server
                .rows(&mut session, "UPDATE counters SET n = n + 1 WHERE id = 1")
                .unwrap();
        }
    });
    let mut client = Client::connect(port);
    client.ask("SELECT 16");
    let sum = ((CLIENTS + 1) * TIMES).to_string();
    assert_eq!(client.ask("HGET counters:1 n"), text(&sum));
}
