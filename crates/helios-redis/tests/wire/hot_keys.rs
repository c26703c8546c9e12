//! Many connections at the same keys: their commands share transactions, and must not show it.

use crate::peer;
use crate::resp::{Client, Reply, text};
use std::collections::BTreeSet;

const CLIENTS: usize = 12;
const ROUNDS: usize = 40;
/// Commands that a client sends before it reads.
const PIPELINE: usize = 8;

fn numbers(reply: Reply) -> Vec<i64> {
    let Reply::List(items) = reply else {
        panic!("{reply:?}")
    };
    let number = |item| match item {
        Reply::Text(text) => String::from_utf8(text).unwrap().parse().unwrap(),
        other => panic!("{other:?}"),
    };
    items.into_iter().map(number).collect()
}

/// Runs `work` on connections of its own, all at once.
fn at_once<T: Send>(port: u16, work: impl Fn(usize, &mut Client) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..CLIENTS)
            .map(|at| scope.spawn(move || work(at, &mut Client::connect(port))))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

/// Sends a command `ROUNDS * PIPELINE` times, some alone and some in pipelines; the replies.
fn repeat(client: &mut Client, command: impl Fn(usize) -> String) -> Vec<Reply> {
    let mut replies = Vec::new();
    for round in 0..ROUNDS {
        let together = if round % 2 == 0 { PIPELINE } else { 1 };
        let first = round * PIPELINE;
        for start in (first..first + PIPELINE).step_by(together) {
            let lines: Vec<String> = (start..start + together).map(&command).collect();
            client.send_line(&lines.join("\r\n"));
            replies.extend((0..together).map(|_| client.reply()));
        }
    }
    replies
}

fn integers(replies: Vec<Reply>) -> Vec<i64> {
    let integer = |reply| match reply {
        Reply::Integer(number) => number,
        other => panic!("{other:?}"),
    };
    replies.into_iter().map(integer).collect()
}

#[test]
fn every_command_on_a_hot_key_has_its_own_result_in_the_order_of_its_connection() {
    let server = peer::heliosdb();
    let total = CLIENTS * ROUNDS * PIPELINE;
    for command in ["HINCRBY hash n 1", "INCR string", "ZINCRBY zset 1 m"] {
        let results = at_once(server.port, |_, client| {
            let replies = repeat(client, |_| command.to_owned());
            let number = |reply| match reply {
                Reply::Integer(number) => number,
                other => numbers(Reply::List(vec![other]))[0],
            };
            replies.into_iter().map(number).collect::<Vec<i64>>()
        });
        for own in &results {
            assert!(own.is_sorted_by(|a, b| a < b), "{command}");
        }
        let all: BTreeSet<i64> = results.into_iter().flatten().collect();
        assert!(all.into_iter().eq(1..=total as i64), "{command}");
    }
    // What each connection pushes stands in its order, and each length is told once.
    let lengths = at_once(server.port, |at, client| {
        integers(repeat(client, |n| {
            format!("RPUSH list {}", at * 1_000_000 + n)
        }))
    });
    let all: BTreeSet<i64> = lengths.into_iter().flatten().collect();
    assert!(all.into_iter().eq(1..=total as i64));
    let mut client = Client::connect(server.port);
    let list = numbers(client.ask("LRANGE list 0 -1"));
    assert_eq!(list.len(), total);
    for at in 0..CLIENTS as i64 {
        let own = list.iter().filter(|n| **n / 1_000_000 == at);
        assert!(own.map(|n| n % 1_000_000).eq(0..(ROUNDS * PIPELINE) as i64));
    }
    // Every item is popped once, in the list's order for each who pops.
    let popped = at_once(server.port, |_, client| {
        let replies = repeat(client, |_| "LPOP list".to_owned());
        numbers(Reply::List(replies))
    });
    let place = |n: &i64| list.iter().position(|other| other == n);
    for own in &popped {
        assert!(own.is_sorted_by_key(place));
    }
    let all: BTreeSet<i64> = popped.into_iter().flatten().collect();
    assert_eq!(all.len(), total);
    assert_eq!(client.ask("EXISTS list"), Reply::Integer(0));
}

#[test]
fn members_of_large_collections_are_counted_exactly() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    for (command, count) in [
        ("SADD set", "SCARD set"),
        ("HSET hash", "HLEN hash"),
        ("ZADD zset", "ZCARD zset"),
    ] {
        let added = at_once(server.port, |at, client| {
            let element = |n: usize| match command {
                // Half of the elements are those of a neighbour too.
                "SADD set" => format!("{command} m{}", (at / 2 + at % 2 * (n % 2) * 50) * 1000 + n),
                "HSET hash" => format!("{command} m{} {n}", (at / 2) * 1000 + n),
                _ => format!("{command} {n} m{}", (at / 2) * 1000 + n),
            };
            integers(repeat(client, element)).into_iter().sum::<i64>()
        });
        let sum = added.into_iter().sum();
        assert_eq!(client.ask(count), Reply::Integer(sum), "{command}");
        assert!(sum > 0 && sum < (CLIENTS * ROUNDS * PIPELINE) as i64);
    }
    let Reply::List(members) = client.ask("ZRANGE zset 0 -1") else {
        panic!("no list")
    };
    let different: BTreeSet<String> = members.iter().map(|m| format!("{m:?}")).collect();
    assert_eq!(different.len(), members.len());
    assert_eq!(
        client.ask("ZCARD zset"),
        Reply::Integer(members.len() as i64)
    );
}

#[test]
fn a_command_that_fails_among_others_leaves_nothing_and_harms_nobody() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    client.ask("HSET hash text abc");
    client.ask("RPUSH list a");
    let results = at_once(server.port, |at, client| {
        if at % 3 != 0 {
            let replies = repeat(client, |_| "HINCRBY hash n 1".to_owned());
            return integers(replies).len();
        }
        let long = "k".repeat(70_000);
        let too_long =
            format!("*5\r\n$4\r\nMSET\r\n$4\r\nhalf\r\n$1\r\n1\r\n$70000\r\n{long}\r\n$1\r\n2");
        let replies = repeat(client, |n| match n % 5 {
            0 => "HINCRBY hash text 1".to_owned(),
            1 => "INCR hash".to_owned(),
            2 => "LPUSH hash x".to_owned(),
            3 => too_long.clone(),
            _ => "SMOVE list hash a".to_owned(),
        });
        let failed = |reply: &&Reply| matches!(reply, Reply::Error(_));
        assert_eq!(replies.iter().filter(failed).count(), replies.len());
        0
    });
    let counted: usize = results.into_iter().sum();
    assert_eq!(client.ask("HGET hash n"), text(&counted.to_string()));
    assert_eq!(client.ask("HLEN hash"), Reply::Integer(2));
    assert_eq!(client.ask("DBSIZE"), Reply::Integer(2));
}

#[test]
fn transactions_sql_and_waiting_clients_meet_at_hot_keys() {
    let server = peer::heliosdb();
    let results = at_once(server.port, |at, client| match at % 4 {
        0 => integers(repeat(client, |_| "HINCRBY hash n 1".to_owned())).len(),
        1 => {
            for _ in 0..ROUNDS {
                client.send_line("MULTI\r\nHINCRBY hash n 1\r\nHINCRBY hash n 1\r\nEXEC");
                (0..3).for_each(|_| drop(client.reply()));
                let Reply::List(both) = client.reply() else {
                    panic!("EXEC gave no list")
                };
                let both = integers(both);
                assert_eq!(both[1], both[0] + 1, "nobody comes between");
            }
            2 * ROUNDS
        }
        2 => {
            for n in 0..ROUNDS {
                client.ask(&format!("RPUSH queue {at}-{n}"));
            }
            0
        }
        _ => {
            for _ in 0..ROUNDS {
                assert!(matches!(client.ask("BLPOP queue 20"), Reply::List(_)));
            }
            0
        }
    });
    let mut client = Client::connect(server.port);
    let counted: usize = results.into_iter().sum();
    assert_eq!(client.ask("HGET hash n"), text(&counted.to_string()));
    assert_eq!(client.ask("EXISTS queue"), Reply::Integer(0));
    let sql = "SELECT convert_from(value, 'UTF8') FROM redis.hashes WHERE key = 'hash'";
    let mut session = server.session(server.engine().superuser());
    let rows = server.rows(&mut session, sql).unwrap();
    assert!(rows.len() == 1 && rows[0].contains(&counted.to_string()));
}

#[test]
fn a_connection_reads_its_own_writes_in_one_pipeline_with_others_writing() {
    let server = peer::heliosdb();
    at_once(server.port, |at, client| {
        for n in 0..ROUNDS {
            client.send_line(&format!(
                "HSET shared f{at} {n}\r\nHGET shared f{at}\r\nSET own{at} {n}\r\nMGET own{at} none\r\n\
                 GET own{at}\r\nHGETALL shared\r\nLPUSH list{at} {n}\r\nLRANGE list{at} 0 0\r\nDBSIZE"
            ));
            client.reply();
            let value = text(&n.to_string());
            assert_eq!(client.reply(), value);
            assert_eq!(client.reply(), text("OK"));
            assert_eq!(
                client.reply(),
                Reply::List(vec![value.clone(), Reply::Null])
            );
            assert_eq!(client.reply(), value);
            let Reply::List(all) = client.reply() else {
                panic!("HGETALL gave no list")
            };
            let field = text(&format!("f{at}"));
            assert!(
                all.chunks(2)
                    .any(|pair| pair == [field.clone(), value.clone()])
            );
            assert_eq!(client.reply(), Reply::Integer(n as i64 + 1));
            assert_eq!(client.reply(), Reply::List(vec![value]));
            assert!(matches!(client.reply(), Reply::Integer(keys) if keys >= 3));
        }
    });
}

#[test]
fn members_at_both_ends_are_found_however_many_were_removed_before() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    let member = |n: usize| format!("a-member-with-a-long-name-{n:06}");
    let mut add = |low: usize, high: usize| {
        for n in low..high {
            client.send_line(&format!("ZADD z {} {}", n / 50, member(n)));
        }
        (low..high).for_each(|_| drop(client.reply()));
    };
    add(0, 4000);
    let mut client = Client::connect(server.port);
    let mut ask = |line: &str| client.ask(line);
    let ends = |ask: &mut dyn FnMut(&str) -> Reply, low: usize, high: usize| {
        assert_eq!(ask("ZRANGE z 0 0"), Reply::List(vec![text(&member(low))]));
        assert_eq!(
            ask("ZRANGE z -1 -1"),
            Reply::List(vec![text(&member(high))])
        );
        assert_eq!(ask("ZCARD z"), Reply::Integer((high + 1 - low) as i64));
        let all = ask("ZRANGEBYSCORE z -inf +inf LIMIT 0 1");
        assert_eq!(all, Reply::List(vec![text(&member(low))]));
        let last = ask("ZREVRANGEBYSCORE z +inf -inf LIMIT 0 1");
        assert_eq!(last, Reply::List(vec![text(&member(high))]));
    };
    ends(&mut ask, 0, 3999);
    for n in 0..1000 {
        assert_eq!(ask(&format!("ZREM z {}", member(n))), Reply::Integer(1));
    }
    ends(&mut ask, 1000, 3999);
    assert_eq!(ask("ZREMRANGEBYRANK z 0 29"), Reply::Integer(30));
    ends(&mut ask, 1030, 3999);
    assert_eq!(ask("ZREMRANGEBYRANK z -10 -1"), Reply::Integer(10));
    ends(&mut ask, 1030, 3989);
    for n in (3900..3990).rev() {
        assert!(matches!(ask("ZPOPMAX z"), Reply::List(pair) if pair[0] == text(&member(n))));
    }
    ends(&mut ask, 1030, 3899);
    ask(&format!("ZADD z -inf {}", member(1)));
    ask("ZADD z -inf b");
    ask(&format!("ZREM z {}", member(1)));
    assert_eq!(ask("ZRANGE z 0 0"), Reply::List(vec![text("b")]));
    ask("ZADD z +inf b");
    ask("ZADD z +inf a");
    assert_eq!(ask("ZREVRANGE z 0 0"), Reply::List(vec![text("b")]));
    assert_eq!(ask("ZPOPMAX z"), Reply::List(vec![text("b"), text("inf")]));
    assert_eq!(ask("ZPOPMAX z"), Reply::List(vec![text("a"), text("inf")]));
    ends(&mut ask, 1030, 3899);
    assert_eq!(ask("ZREMRANGEBYSCORE z -inf 76"), Reply::Integer(2820));
    ends(&mut ask, 3850, 3899);
}
