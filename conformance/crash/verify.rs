//! What is there after a crash, read through both protocols, against what the clients know.

use crate::ledger::{Ledger, judge_counter};
use crate::load::{ACCOUNTS, BALANCE, Client, PARTS, Ports, Work, multi_keys};
use conformance::pg_client::PgClient;
use conformance::redis_client::RedisClient;
use std::collections::BTreeSet;

fn number(text: Option<&str>) -> u64 {
    let text = text.expect("a number and not NULL");
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn numbers(sql: &mut PgClient, query: &str) -> BTreeSet<u64> {
    let rows = sql.run(query);
    rows.iter().map(|row| number(row[0].as_deref())).collect()
}

/// Everything that is wrong.
pub fn verify(clients: &mut [Client], ports: Ports) -> Vec<String> {
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
            Work::SqlCounter | Work::RedisCounter => continue,
        };
        problems.extend(client.ledger.judge(&who, &found));
    }
    let total = number(sql.run("SELECT n FROM counter WHERE id = 1")[0][0].as_deref());
    problems.extend(judge_counter(
        "SQL counter",
        &mut ledgers(clients, Work::SqlCounter),
        total,
    ));
    problems.extend(other_protocol(&mut sql, &mut redis, total));
    let total = redis.run(&["GET", "counter"]).string();
    let total = total.map_or(0, |text| number(Some(&text)));
    problems.extend(judge_counter(
        "Redis counter",
        &mut ledgers(clients, Work::RedisCounter),
        total,
    ));
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
    let query = format!(
        "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'made\\_{id}\\_%'"
    );
    let mut found = BTreeSet::new();
    for row in sql.run(&query) {
        let name = row[0].clone().unwrap_or_default();
        let n = number(name.strip_prefix(&prefix));
        if numbers(sql, &format!("SELECT n FROM {name}")) != BTreeSet::from([n]) {
            problems.push(format!("{who}: {name} is there without its row"));
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
