//! Behaviour of the keyspace that a conversation of one client cannot show.

use crate::peer;
use crate::resp::{Client, Reply, info, text};

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
fn a_pipeline_of_thousands_is_answered_in_its_order() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    for n in 0..10_000 {
        client.send_line(&format!("SET key{n} {n}"));
        client.send_line(&format!("GET key{n}"));
        client.send_line("INCR count");
    }
    for n in 0..10_000 {
        assert_eq!(client.reply(), text("OK"));
        assert_eq!(client.reply(), text(&n.to_string()));
        assert_eq!(client.reply(), Reply::Integer(n + 1));
    }
    assert_eq!(client.ask("DBSIZE"), Reply::Integer(10_001));
}

#[test]
fn increments_of_many_clients_at_once_are_all_counted() {
    const CLIENTS: i64 = 8;
    const TIMES: i64 = 500;
    let server = peer::heliosdb();
    let port = server.port;
    std::thread::scope(|scope| {
        for at in 0..CLIENTS {
            scope.spawn(move || {
                let mut client = Client::connect(port);
                for _ in 0..TIMES {
                    // Alone, in a pipeline with others, and in a transaction.
                    match at % 3 {
                        0 => client.send_line("INCR n"),
                        1 => client.send_line(&format!("SET other{at} x\r\nINCR n")),
                        _ => client.send_line("MULTI\r\nINCR n\r\nEXEC"),
                    }
                    for _ in 0..=at % 3 {
                        assert!(!matches!(client.reply(), Reply::Error(_)));
                    }
                }
            });
        }
    });
    let mut client = Client::connect(port);
    assert_eq!(client.ask("GET n"), text(&(CLIENTS * TIMES).to_string()));
}

#[test]
fn a_watched_key_that_another_changes_fails_the_transaction() {
    let server = peer::heliosdb();
    let mut watching = Client::connect(server.port);
    let mut other = Client::connect(server.port);
    other.ask("SET k 1");
    for (change, aborts) in [
        ("SET k 2", true),
        ("GET k", false),
        ("SET unwatched 1", false),
        ("DEL k", true),
        ("SET k 3", true),
        ("PEXPIRE k 0", true),
        ("FLUSHALL", false),
        ("LPUSH k a", true),
        ("FLUSHALL", true),
    ] {
        assert_eq!(watching.ask("WATCH k"), text("OK"));
        other.ask(change);
        watching.ask("MULTI");
        watching.ask("PING");
        let done = watching.ask("EXEC");
        assert_eq!(done == Reply::Null, aborts, "{change}: {done:?}");
    }
    watching.ask("WATCH k");
    other.ask("SET k 1");
    watching.ask("UNWATCH");
    watching.ask("MULTI");
    watching.ask("GET k");
    assert_eq!(watching.ask("EXEC"), Reply::List(vec![text("1")]));
    assert_eq!(
        watching.ask("EXEC"),
        Reply::Error("ERR EXEC without MULTI".to_owned())
    );
}

#[test]
fn scan_shows_every_key_that_stays_exactly_once_while_others_come_and_go() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    let mut other = Client::connect(server.port);
    for n in 0..5000 {
        client.send_line(&format!("SET stays:{n:05} x"));
        client.send_line(&format!("SET goes:{n:05} x"));
    }
    (0..10_000).for_each(|_| drop(client.reply()));
    let mut seen = Vec::new();
    let mut cursor = "0".to_owned();
    let mut gone = 0;
    loop {
        let Reply::List(parts) = client.ask(&format!("SCAN {cursor} COUNT 100 MATCH stays:*"))
        else {
            panic!("SCAN gave no list")
        };
        let [Reply::Text(next), Reply::List(keys)] = &parts[..] else {
            panic!("{parts:?}")
        };
        seen.extend(keys.iter().map(|key| format!("{key:?}")));
        cursor = String::from_utf8(next.clone()).unwrap();
        if cursor == "0" {
            break;
        }
        other.ask(&format!("DEL goes:{gone:05}"));
        other.ask(&format!("SET comes:{gone} x"));
        gone += 1;
    }
    assert!(gone > 10);
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((all, seen.len()), (5000, 5000));
}
