//! What is there after a crash, read through both protocols, against what the clients know.

use crate::ledger::{Ledger, forgive_counter, judge_counter};
use crate::load::{
    ACCOUNTS, BALANCE, Client, HISTORY, LARGE_REPEATS, LOADED_ROWS, PARTS, Ports, Work, made_rows,
    multi_keys,
};
use conformance::pg_client::PgClient;
use conformance::redis_client::RedisClient;
use std::collections::BTreeSet;
use std::time::Instant;

fn number(text: Option<&str>) -> u64 {
    let text = text.expect("a number and not NULL");
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn numbers(sql: &mut PgClient, query: &str) -> BTreeSet<u64> {
    let rows = sql.run(query);
    rows.iter().map(|row| number(row[0].as_deref())).collect()
}

/// Which acknowledged writes may be missing: a client's last ones, from some moment on.
#[derive(Clone, Copy, Debug)]
pub struct Forgiven {
    pub since: Instant,
    /// Those of SQL too; otherwise those of Redis only.
    pub sql: bool,
}

impl Forgiven {
    fn of(forgiven: Option<Forgiven>, work: Work) -> Option<Instant> {
        let forgiven = forgiven?;
        (work.is_redis() || forgiven.sql).then_some(forgiven.since)
    }
}

/// Everything that is wrong.
pub fn verify(clients: &mut [Client], ports: Ports, forgiven: Option<Forgiven>) -> Vec<String> {
    let mut sql = PgClient::open(ports.sql, "heliosdb").expect("the daemon takes SQL again");
    let mut redis = RedisClient::open(ports.redis).expect("the daemon takes Redis again");
    let mut problems = Vec::new();
    for client in clients.iter_mut() {
        let (id, work) = (client.id, client.work);
        let who = format!("{work:?} {id}");
        let found = match work {
            Work::SqlInsert => log_rows(&mut sql, id, &who, &mut problems),
            Work::SqlTransaction => whole_transactions(&mut sql, id, &who, &mut problems),
            Work::SqlTable => made_tables(&mut sql, id, &who, &mut problems),
            Work::RedisSet => set_keys(&mut redis, id, &who, &mut problems),
            Work::RedisMulti => multi_lists(&mut redis, id, &who, &mut problems),
            Work::SqlLoad => loaded_tables(&mut sql, id, &who, &mut problems),
            Work::SqlLarge => large_rows(&mut sql, id, &who, &mut problems),
            Work::RedisHistory => history(&mut redis, client, &who, &mut problems),
            Work::SqlCounter | Work::RedisCounter => continue,
        };
        if let Some(since) = Forgiven::of(forgiven, work) {
            problems.extend(client.ledger.forgive(&who, &found, since));
        }
        problems.extend(client.ledger.judge(&who, &found));
    }
    let total = number(sql.run("SELECT n FROM counter WHERE id = 1")[0][0].as_deref());
    problems.extend(counter(clients, Work::SqlCounter, total, forgiven));
    problems.extend(other_protocol(&mut sql, &mut redis, total));
    let total = redis.run(&["GET", "counter"]).string();
    let total = total.map_or(0, |text| number(Some(&text)));
    problems.extend(counter(clients, Work::RedisCounter, total, forgiven));
    let rows = sql.run("SELECT count(*), sum(balance) FROM accounts");
    let (count, sum) = (number(rows[0][0].as_deref()), number(rows[0][1].as_deref()));
    if (count, sum) != (ACCOUNTS, ACCOUNTS * BALANCE) {
        problems.push(format!("{count} accounts have {sum} together"));
    }
    problems
}

/// What SQL wrote is read through Redis, and the other way round.
fn other_protocol(sql: &mut PgClient, redis: &mut RedisClient, counter: u64) -> Vec<String> {
    let mut problems = Vec::new();
    redis.run(&["SELECT", "16"]);
    let seen = redis.run(&["HGET", "counter:1", "n"]).string();
    redis.run(&["SELECT", "0"]);
    if seen != Some(counter.to_string()) {
        problems.push(format!("Redis reads {seen:?} of the SQL counter {counter}"));
    }
    let there = redis.run(&["GET", "counter"]).string();
    let seen =
        sql.run("SELECT convert_from(value, 'UTF8') FROM redis.strings WHERE key = 'counter'");
    let seen = seen.first().and_then(|row| row[0].clone());
    if seen != there {
        problems.push(format!("SQL reads {seen:?} of the Redis counter {there:?}"));
    }
    problems
}

fn counter(
    clients: &mut [Client],
    work: Work,
    total: u64,
    forgiven: Option<Forgiven>,
) -> Vec<String> {
    let mut ledgers = ledgers(clients, work);
    if let Some(since) = Forgiven::of(forgiven, work) {
        forgive_counter(&mut ledgers, total, since);
    }
    judge_counter(&format!("{work:?}"), &mut ledgers, total)
}

fn ledgers(clients: &mut [Client], work: Work) -> Vec<&mut Ledger> {
    let mine = clients.iter_mut().filter(|c| c.work == work);
    mine.map(|c| &mut c.ledger).collect()
}

fn log_rows(sql: &mut PgClient, id: u64, who: &str, problems: &mut Vec<String>) -> BTreeSet<u64> {
    let query = format!("SELECT n, payload FROM log WHERE client = {id}");
    let mut found = BTreeSet::new();
    for row in sql.run(&query) {
        let n = number(row[0].as_deref());
        if row[1].as_deref() != Some(format!("payload {n}").as_str()) {
            problems.push(format!("{who}: row {n} has {:?}", row[1]));
        }
        found.insert(n);
    }
    // The same rows through the other index.
    let by_payload = format!("SELECT n FROM log WHERE payload >= 'p' AND client = {id}");
    if numbers(sql, &by_payload) != found {
        problems.push(format!("{who}: the index on payload has other rows"));
    }
    found
}

fn tables(sql: &mut PgClient, prefix: &str) -> Vec<String> {
    let query = format!(
        "SELECT table_name FROM information_schema.tables WHERE table_name LIKE '{}%'",
        prefix.replace('_', "\\_")
    );
    let name = |row: Vec<Option<String>>| row[0].clone().expect("a name");
    sql.run(&query).into_iter().map(name).collect()
}

/// A table whose load was not acknowledged may be empty, but not have a part of its rows.
fn loaded_tables(
    sql: &mut PgClient,
    id: u64,
    who: &str,
    problems: &mut Vec<String>,
) -> BTreeSet<u64> {
    let prefix = format!("loaded_{id}_");
    let mut found = BTreeSet::new();
    for name in tables(sql, &prefix) {
        let query = format!(
            "SELECT (SELECT count(*) FROM {name}), \
             (SELECT count(*) FROM {name} WHERE payload >= 'text'), \
             (SELECT coalesce(sum(i), 0) FROM {name})"
        );
        let row = sql.run(&query).remove(0);
        let counts: Vec<u64> = row.iter().map(|n| number(n.as_deref())).collect();
        if counts
            == [
                LOADED_ROWS,
                LOADED_ROWS,
                LOADED_ROWS * (LOADED_ROWS + 1) / 2,
            ]
        {
            found.insert(number(name.strip_prefix(&prefix)));
        } else if counts != [0, 0, 0] {
            problems.push(format!(
                "{who}: {name} has rows and index entries {counts:?}"
            ));
        }
    }
    found
}

/// Removes what grows too large from cycle to cycle.
pub fn clear_large(ports: Ports) {
    let mut sql = PgClient::open(ports.sql, "heliosdb").expect("a connection");
    sql.run("TRUNCATE large");
    for name in tables(&mut sql, "loaded_") {
        sql.run(&format!("DROP TABLE {name}"));
    }
}

fn large_rows(sql: &mut PgClient, id: u64, who: &str, problems: &mut Vec<String>) -> BTreeSet<u64> {
    let query = format!(
        "SELECT n, payload = repeat('payload ' || lpad(n::text, 8, '0') || ' ', {LARGE_REPEATS}) \
         FROM large WHERE client = {id}"
    );
    let mut found = BTreeSet::new();
    for row in sql.run(&query) {
        let n = number(row[0].as_deref());
        if row[1].as_deref() != Some("t") {
            problems.push(format!("{who}: row {n} has another payload"));
        }
        found.insert(n);
    }
    found
}

fn whole_transactions(
    sql: &mut PgClient,
    id: u64,
    who: &str,
    problems: &mut Vec<String>,
) -> BTreeSet<u64> {
    let query = format!("SELECT txn, count(*) FROM parts WHERE client = {id} GROUP BY txn");
    let mut found = BTreeSet::new();
    for row in sql.run(&query) {
        let (txn, parts) = (number(row[0].as_deref()), number(row[1].as_deref()));
        if parts != PARTS {
            problems.push(format!(
                "{who}: transaction {txn} has {parts} of {PARTS} rows"
            ));
        }
        found.insert(txn);
    }
    found
}

fn made_tables(
    sql: &mut PgClient,
    id: u64,
    who: &str,
    problems: &mut Vec<String>,
) -> BTreeSet<u64> {
    let prefix = format!("made_{id}_");
    let mut found = BTreeSet::new();
    for name in tables(sql, &prefix) {
        let n = number(name.strip_prefix(&prefix));
        if numbers(sql, &format!("SELECT n FROM {name}")) != made_rows(n).collect() {
            problems.push(format!("{who}: {name} is there without its rows"));
        }
        // Of these only the drop was counted, so that a table in between may be there or not.
        if !n.is_multiple_of(3) {
            found.insert(n);
        }
    }
    found
}

fn set_keys(
    redis: &mut RedisClient,
    id: u64,
    who: &str,
    problems: &mut Vec<String>,
) -> BTreeSet<u64> {
    let prefix = format!("set:{id}:");
    let mut found = BTreeSet::new();
    for key in redis.run(&["KEYS", &format!("{prefix}*")]).strings() {
        let n = number(key.strip_prefix(&prefix));
        let value = redis.run(&["GET", &key]).string();
        if value.as_deref() != Some(n.to_string().as_str()) {
            problems.push(format!("{who}: {key} is {value:?}"));
        }
        found.insert(n);
    }
    found
}

fn multi_lists(
    redis: &mut RedisClient,
    id: u64,
    who: &str,
    problems: &mut Vec<String>,
) -> BTreeSet<u64> {
    let (left, right, list) = multi_keys(id);
    let items = redis.run(&["LRANGE", &list, "0", "-1"]).strings();
    let last = items.last().cloned();
    for key in [left, right] {
        let value = redis.run(&["GET", &key]).string();
        if value != last {
            problems.push(format!(
                "{who}: {key} is {value:?}, the list ends with {last:?}"
            ));
        }
    }
    items.iter().map(|item| number(Some(item))).collect()
}

/// The elements of the common list that are this client's, at the places that it was told, each with
/// the key that was acknowledged before it.
fn history(
    redis: &mut RedisClient,
    client: &mut Client,
    who: &str,
    problems: &mut Vec<String>,
) -> BTreeSet<u64> {
    let elements = redis.run(&["LRANGE", HISTORY, "0", "-1"]).strings();
    // What is lost from the end is judged by the ledger, and its places are taken by others.
    let end = elements.len() as u64;
    client.positions.retain(|position, _| *position <= end);
    for (position, n) in &client.positions {
        let there = &elements[*position as usize - 1];
        if *there != format!("{}:{n}", client.id) {
            problems.push(format!(
                "{who}: {n} was element {position}, where {there} is"
            ));
        }
    }
    let prefix = format!("{}:", client.id);
    let mine: Vec<&str> = elements
        .iter()
        .filter_map(|e| e.strip_prefix(&prefix))
        .collect();
    let last = redis.run(&["GET", &format!("last:{}", client.id)]).string();
    if last.as_deref() != mine.last().copied() {
        problems.push(format!(
            "{who}: the last one is {last:?}, in the list {:?}",
            mine.last()
        ));
    }
    let found: BTreeSet<u64> = mine.into_iter().map(|n| number(Some(n))).collect();
    let keys = set_keys(redis, client.id, who, problems);
    if let Some(n) = found.difference(&keys).next() {
        problems.push(format!(
            "{who}: {n} is in the list and its key is not there"
        ));
    }
    found
}
