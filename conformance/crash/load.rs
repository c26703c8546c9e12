//! The clients that write until the daemon is killed under them.

use crate::ledger::Ledger;
use conformance::pg_client::{PgClient, Reply};
use conformance::random::Random;
use conformance::redis_client::{RedisClient, RedisReply};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

/// Rows that each explicit transaction writes into `parts`.
pub const PARTS: u64 = 4;
/// Copies of a text of seventeen characters in a large row.
pub const LARGE_REPEATS: u64 = 6000;
pub const ACCOUNTS: u64 = 10;
pub const BALANCE: u64 = 1000;

/// What the SQL clients write to.
pub const TABLES: &[&str] = &[
    "CREATE TABLE log (client int, n bigint, payload text NOT NULL, PRIMARY KEY (client, n))",
    "CREATE INDEX log_payload ON log (payload)",
    "CREATE TABLE parts (id bigserial PRIMARY KEY, client int, txn bigint, part int, \
     UNIQUE (client, txn, part))",
    "CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0))",
    "CREATE TABLE counter (id int PRIMARY KEY, n bigint NOT NULL)",
    "INSERT INTO counter VALUES (1, 0)",
    "CREATE TABLE large (client int, n bigint, payload text NOT NULL, PRIMARY KEY (client, n))",
];

/// What a client does over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// One row each, autocommit.
    SqlInsert,
    /// Some rows and a transfer between two accounts; every seventh is rolled back.
    SqlTransaction,
    /// One row, raised by all clients of this kind.
    SqlCounter,
    /// A new table with rows in it and an index, in one transaction; every third drops one again.
    SqlTable,
    /// A new table that is filled by one COPY, which is large enough to become files of its own.
    SqlLoad,
    /// One row of a hundred kilobytes, so that memtables are written out and compacted.
    SqlLarge,
    /// One key each.
    RedisSet,
    /// Two keys and a list, in MULTI.
    RedisMulti,
    /// One key, raised by all clients of this kind.
    RedisCounter,
    /// A key, and after its answer, in MULTI, an element of one list that all clients of this kind
    /// append to: the list has the commits in their order.
    RedisHistory,
}

impl Work {
    pub fn is_redis(self) -> bool {
        matches!(
            self,
            Work::RedisSet | Work::RedisMulti | Work::RedisCounter | Work::RedisHistory
        )
    }
}

/// How durable the clients ask their writes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// What is acknowledged survives the death of the process: `synchronous_commit` on, and Redis'
    /// `always` or, in the other form, `everysec`.
    Kept { redis_always: bool },
    /// None: acknowledged writes may be lost.
    None,
}

/// A client with what it knows.
#[derive(Debug)]
pub struct Client {
    pub id: u64,
    pub work: Work,
    pub ledger: Ledger,
    /// Where in the common list its elements are, by position.
    pub positions: BTreeMap<u64, u64>,
    /// How many writes it takes for done before it sends them: a planted mistake.
    pub early: u64,
    random: Random,
}

enum Connection {
    Sql(PgClient),
    Redis(RedisClient),
}

impl Client {
    pub fn new(id: u64, work: Work, seed: u64) -> Client {
        Client {
            id,
            work,
            ledger: Ledger::default(),
            positions: BTreeMap::new(),
            early: 0,
            random: Random::new(seed ^ id.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        }
    }

    fn connect(&self, ports: Ports, promise: Promise) -> io::Result<Connection> {
        if self.work.is_redis() {
            return RedisClient::open(ports.redis).map(Connection::Redis);
        }
        let mut client = PgClient::open(ports.sql, "heliosdb")?;
        let level = match promise {
            Promise::Kept { .. } => "on",
            Promise::None => "off",
        };
        client.query(&format!("SET synchronous_commit = {level}"))?;
        Ok(Connection::Sql(client))
    }

    /// Writes until the connection is lost.
    pub fn run(&mut self, ports: Ports, promise: Promise, done: &AtomicU64) {
        let Ok(mut connection) = self.connect(ports, promise) else {
            return;
        };
        loop {
            let number = self.ledger.next();
            if self.work == Work::SqlLoad && number > LOADS_MAX {
                return;
            }
            for ahead in 0..self.early {
                self.ledger.acknowledge(number + ahead);
            }
            let written = match &mut connection {
                Connection::Sql(client) => self.write_sql(client, number),
                Connection::Redis(client) => self.write_redis(client, number),
            };
            match written {
                Ok(true) => self.ledger.acknowledge(number),
                Ok(false) => self.ledger.refuse(number),
                Err(_) => return self.ledger.lose(number),
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Makes one write; whether it was acknowledged.
    fn write_sql(&mut self, client: &mut PgClient, n: u64) -> io::Result<bool> {
        let id = self.id;
        let sql = match self.work {
            Work::SqlInsert => format!("INSERT INTO log VALUES ({id}, {n}, 'payload {n}')"),
            Work::SqlLarge => format!(
                "INSERT INTO large VALUES ({id}, {n}, repeat('payload {n:08} ', {LARGE_REPEATS}))"
            ),
            Work::SqlCounter => "UPDATE counter SET n = n + 1 WHERE id = 1".to_owned(),
            Work::SqlTransaction => {
                let statements = self.transaction(n);
                return in_transaction(client, &statements, !n.is_multiple_of(7));
            }
            Work::SqlLoad => return load(client, id, n),
            Work::SqlTable => {
                let mut statements = vec![
                    format!("CREATE TABLE made_{id}_{n} (n bigint PRIMARY KEY)"),
                    format!(
                        "INSERT INTO made_{id}_{n} SELECT * FROM generate_series({n}, {})",
                        made_rows(n).end()
                    ),
                    // Built from rows that are there, as a load.
                    format!("CREATE INDEX made_{id}_{n}_index ON made_{id}_{n} (n)"),
                ];
                if n.is_multiple_of(3) {
                    // Made and gone in two commits, as the storage of a dropped table is.
                    in_transaction(client, &statements, true)?;
                    statements = vec![format!("DROP TABLE made_{id}_{n}")];
                    return in_transaction(client, &statements, true).map(|_| false);
                }
                return in_transaction(client, &statements, true);
            }
            _ => unreachable!("not a SQL client"),
        };
        client.query(&sql).map(|reply| reply.is_done())
    }

    fn transaction(&mut self, n: u64) -> Vec<String> {
        let id = self.id;
        let from = self.random.below(ACCOUNTS);
        let to = (from + 1 + self.random.below(ACCOUNTS - 1)) % ACCOUNTS;
        let amount = self.random.below(5);
        let insert =
            |part| format!("INSERT INTO parts (client, txn, part) VALUES ({id}, {n}, {part})");
        let mut statements: Vec<String> = (1..PARTS).map(insert).collect();
        // In the order of the rows, so that the clients do not deadlock.
        let mut changes = [(from, format!("- {amount}")), (to, format!("+ {amount}"))];
        changes.sort();
        for (account, change) in changes {
            statements.push(format!(
                "UPDATE accounts SET balance = balance {change} WHERE id = {account}"
            ));
        }
        statements.push(insert(PARTS));
        statements
    }

    fn write_redis(&mut self, client: &mut RedisClient, n: u64) -> io::Result<bool> {
        let id = self.id;
        let text = n.to_string();
        match self.work {
            Work::RedisSet => {
                let key = set_key(id, n);
                let reply = client.command(&["SET", &key, &text])?;
                Ok(reply == RedisReply::Simple("OK".into()))
            }
            Work::RedisCounter => {
                let reply = client.command(&["INCR", "counter"])?;
                Ok(matches!(reply, RedisReply::Int(_)))
            }
            Work::RedisMulti => {
                let (left, right, list) = multi_keys(id);
                let mut replies = client.pipeline(&[
                    &["MULTI"],
                    &["SET", &left, &text],
                    &["RPUSH", &list, &text],
                    &["SET", &right, &text],
                    &["EXEC"],
                ])?;
                Ok(matches!(replies.pop(), Some(RedisReply::Array(all)) if all.len() == 3))
            }
            Work::RedisHistory => {
                let key = set_key(id, n);
                client.command(&["SET", &key, &text])?;
                let element = format!("{id}:{n}");
                let mut replies = client.pipeline(&[
                    &["MULTI"],
                    &["RPUSH", HISTORY, &element],
                    &["SET", &format!("last:{id}"), &text],
                    &["EXEC"],
                ])?;
                let Some(RedisReply::Array(all)) = replies.pop() else {
                    return Ok(false);
                };
                let Some(RedisReply::Int(position)) = all.first() else {
                    return Ok(false);
                };
                self.positions.insert(position.unsigned_abs(), n);
                Ok(true)
            }
            _ => unreachable!("not a Redis client"),
        }
    }
}

/// The list of all clients of [`Work::RedisHistory`].
pub const HISTORY: &str = "history";

pub fn set_key(id: u64, n: u64) -> String {
    format!("set:{id}:{n}")
}

/// The rows of a new table: one, of every fourth a thousand.
pub fn made_rows(n: u64) -> std::ops::RangeInclusive<u64> {
    n..=if n % 4 == 1 { n + 999 } else { n }
}

/// The keys that a client's MULTI writes.
pub fn multi_keys(id: u64) -> (String, String, String) {
    (
        format!("left:{id}"),
        format!("right:{id}"),
        format!("list:{id}"),
    )
}

pub const LOADED_ROWS: u64 = 30_000;
/// Loads that a client makes; they are long.
const LOADS_MAX: u64 = 2;
/// What all loads copy in: six megabytes.
static LOADED: LazyLock<String> = LazyLock::new(|| {
    let row = |n: u64| format!("{n}\t{}\n", format!("text {n:08} ").repeat(14));
    (1..=LOADED_ROWS).map(row).collect()
});

fn load(client: &mut PgClient, id: u64, n: u64) -> io::Result<bool> {
    let table = format!("loaded_{id}_{n}");
    client.query(&format!(
        "CREATE TABLE {table} (i int PRIMARY KEY, payload text NOT NULL)"
    ))?;
    client.query(&format!("CREATE INDEX {table}_i ON {table} (payload)"))?;
    let reply = client.copy_in(&format!("COPY {table} FROM STDIN"), LOADED.as_bytes())?;
    Ok(reply.is_done())
}

/// Runs statements in a transaction and ends it; whether it was committed.
fn in_transaction(client: &mut PgClient, statements: &[String], commit: bool) -> io::Result<bool> {
    client.query("BEGIN")?;
    for statement in statements {
        if let Reply::Error { .. } = client.query(statement)? {
            client.query("ROLLBACK")?;
            return Ok(false);
        }
    }
    if !commit {
        client.query("ROLLBACK")?;
        return Ok(false);
    }
    let committed = client.query("COMMIT")?;
    Ok(matches!(committed, Reply::Done { tag, .. } if tag == "COMMIT"))
}

#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub sql: u16,
    pub redis: u16,
}

/// Clients at work, each in a thread of its own.
pub struct Load {
    threads: Vec<std::thread::JoinHandle<Client>>,
    done: Arc<AtomicU64>,
}

impl Load {
    pub fn start(clients: Vec<Client>, ports: Ports, promise: Promise) -> Load {
        let done = Arc::new(AtomicU64::new(0));
        let threads = clients
            .into_iter()
            .map(|mut client| {
                let done = done.clone();
                std::thread::spawn(move || {
                    client.run(ports, promise, &done);
                    client
                })
            })
            .collect();
        Load { threads, done }
    }

    /// Answers received so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub fn is_over(&self) -> bool {
        self.threads.iter().all(|t| t.is_finished())
    }

    /// The clients, once the daemon is gone.
    pub fn finish(self) -> Vec<Client> {
        let join = |t: std::thread::JoinHandle<Client>| t.join().expect("a client does not panic");
        self.threads.into_iter().map(join).collect()
    }
}
