//! Many transactions at once on few rows, and what must hold whatever their order was.
//!
//! The files say what happens step by step; here the steps meet as they please, which finds what
//! nobody thought of. Each worker knows what it did for certain, so that the sums at the end are
//! exact.

use crate::runner::Target;
use crate::script::Server;
use conformance::pg_client::{PgClient, Reply};
use conformance::random::Random;

const WORKERS: u64 = 8;
/// Of each worker; `ISOLATION_TRANSACTIONS` says otherwise.
const TRANSACTIONS: u64 = 200;
const ACCOUNTS: u64 = 6;
const PAIRS: u64 = 3;
/// What a transaction may be refused with: somebody else was in its way.
const CONFLICTS: [&str; 4] = ["40001", "40P01", "23505", "23503"];

const TABLES: &[&str] = &[
    "DROP SCHEMA IF EXISTS stress CASCADE",
    "CREATE SCHEMA stress",
    "SET search_path TO stress",
    "CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)",
    "CREATE TABLE pair (id int PRIMARY KEY, value int NOT NULL)",
    "CREATE TABLE parent (id int PRIMARY KEY)",
    "CREATE TABLE child (id int PRIMARY KEY, parent int NOT NULL REFERENCES parent)",
    "CREATE TABLE part (id int PRIMARY KEY, parent int NOT NULL REFERENCES parent ON DELETE CASCADE)",
    "CREATE INDEX ON part (parent)",
    "CREATE TABLE code (id int PRIMARY KEY, code int UNIQUE, note text)",
    "CREATE TABLE moving (id int PRIMARY KEY, name text, n int NOT NULL)",
    "INSERT INTO moving VALUES (1, 'it', 0)",
];

/// What a worker did for certain.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    committed: u64,
    refused: u64,
    /// Increments of the row that moves.
    increments: u64,
}

struct Worker {
    client: PgClient,
    random: Random,
    tally: Tally,
}

/// Why a transaction ended early.
enum Stop {
    Conflict,
    /// What it read tells it to do nothing.
    Nothing,
}

impl Worker {
    fn run(&mut self, sql: &str) -> Result<Reply, Stop> {
        let reply = self.client.query(sql).expect("the connection holds");
        match &reply {
            Reply::Error { sqlstate, message } => {
                assert!(
                    CONFLICTS.contains(&sqlstate.as_str()),
                    "{sql}: {sqlstate} {message}"
                );
                Err(Stop::Conflict)
            }
            Reply::Done { .. } => Ok(reply),
        }
    }

    fn number(&mut self, sql: &str) -> Result<i64, Stop> {
        let rows = self.run(sql)?.rows();
        let value = rows.first().and_then(|row| row[0].clone());
        Ok(value.expect("a value").parse().expect("a number"))
    }

    /// One transaction; whether it committed.
    fn transaction(
        &mut self,
        level: &str,
        work: impl FnOnce(&mut Worker) -> Result<(), Stop>,
    ) -> bool {
        self.client.run(&format!("BEGIN ISOLATION LEVEL {level}"));
        let committed = work(self).is_ok() && self.run("COMMIT").is_ok();
        if committed {
            self.tally.committed += 1;
        } else {
            self.tally.refused += 1;
            self.client.run("ROLLBACK");
        }
        committed
    }

    /// Reads two balances and writes what it computed from them, or lets the server compute.
    fn transfer(&mut self) {
        let from = self.random.below(ACCOUNTS);
        let to = (from + 1 + self.random.below(ACCOUNTS - 1)) % ACCOUNTS;
        let amount = self.random.below(20) as i64;
        let read = |id: u64| format!("SELECT balance FROM account WHERE id = {id}");
        match self.random.below(3) {
            0 => self.transaction("READ COMMITTED", |w| {
                for (id, change) in [(from, -amount), (to, amount)] {
                    w.run(&format!(
                        "UPDATE account SET balance = balance + {change} WHERE id = {id}"
                    ))?;
                }
                Ok(())
            }),
            choice => {
                let level = ["REPEATABLE READ", "SERIALIZABLE"][choice as usize - 1];
                self.transaction(level, |w| {
                    let (a, b) = (w.number(&read(from))?, w.number(&read(to))?);
                    for (id, value) in [(from, a - amount), (to, b + amount)] {
                        w.run(&format!(
                            "UPDATE account SET balance = {value} WHERE id = {id}"
                        ))?;
                    }
                    Ok(())
                })
            }
        };
    }

    /// Takes from one of two rows what both together can spare: write skew would overdraw them.
    fn withdraw(&mut self) {
        let pair = self.random.below(PAIRS);
        let which = 2 * pair + self.random.below(2);
        self.transaction("SERIALIZABLE", |w| {
            let sum = w.number(&format!(
                "SELECT sum(value) FROM pair WHERE id BETWEEN {} AND {}",
                2 * pair,
                2 * pair + 1
            ))?;
            let change = if sum >= 10 { -10 } else { 7 };
            w.run(&format!(
                "UPDATE pair SET value = value + {change} WHERE id = {which}"
            ))?;
            Ok(())
        });
    }

    fn family(&mut self) {
        let parent = self.random.below(4);
        let id = self.random.below(12);
        let sql = match self.random.below(6) {
            0 => format!("INSERT INTO parent VALUES ({parent}) ON CONFLICT DO NOTHING"),
            1 => format!("DELETE FROM parent WHERE id = {parent}"),
            2 => format!("INSERT INTO child VALUES ({id}, {parent})"),
            3 => format!("DELETE FROM child WHERE id = {id}"),
            4 => format!("INSERT INTO part VALUES ({id}, {parent})"),
            _ => format!("UPDATE part SET parent = {parent} WHERE id = {id}"),
        };
        self.transaction("READ COMMITTED", |w| w.run(&sql).map(drop));
    }

    fn codes(&mut self) {
        let (id, code) = (self.random.below(8), self.random.below(8));
        let statements: Vec<String> = (0..1 + self.random.below(3))
            .map(|_| match self.random.below(6) {
                0 => format!("INSERT INTO code VALUES ({id}, {code}, 'new')"),
                1 => format!("DELETE FROM code WHERE code = {code}"),
                2 => format!("UPDATE code SET code = {code} WHERE id = {id}"),
                3 => format!("UPDATE code SET id = {id} WHERE code = {code}"),
                4 => format!("UPDATE code SET note = 'x' WHERE code BETWEEN {code} AND 9"),
                _ => format!(
                    "INSERT INTO code VALUES ({id}, {code}, 'up') ON CONFLICT (code) DO UPDATE SET note = 'up'"
                ),
            })
            .collect();
        let keep = self.random.below(4) > 0;
        self.transaction("READ COMMITTED", |w| {
            for statement in &statements {
                w.run(statement)?;
            }
            if keep { Ok(()) } else { Err(Stop::Nothing) }
        });
    }

    /// Increments a row that others give a new key meanwhile.
    fn moving(&mut self) {
        if self.random.below(4) == 0 {
            self.transaction("READ COMMITTED", |w| {
                w.run("UPDATE moving SET id = id + 1 WHERE name = 'it'")
                    .map(drop)
            });
            return;
        }
        let committed = self.transaction("READ COMMITTED", |w| {
            match w.run("UPDATE moving SET n = n + 1 WHERE name = 'it'")? {
                Reply::Done { tag, .. } if tag == "UPDATE 1" => Ok(()),
                other => panic!("the row that moves was not found: {other:?}"),
            }
        });
        self.tally.increments += u64::from(committed);
    }

    /// Changes tables that others are writing to.
    fn definitions(&mut self) {
        let sql = match self.random.below(6) {
            0 => "CREATE INDEX IF NOT EXISTS extra_note ON code (note)",
            1 => "DROP INDEX IF EXISTS extra_note",
            2 => "ALTER TABLE code ADD COLUMN IF NOT EXISTS extra int DEFAULT 5",
            3 => "ALTER TABLE code DROP COLUMN IF EXISTS extra",
            4 => "ALTER TABLE moving ALTER COLUMN n TYPE bigint",
            _ => "ALTER TABLE part ALTER COLUMN id TYPE int",
        };
        let keep = self.random.below(3) > 0;
        self.transaction("READ COMMITTED", |w| {
            w.run(sql)?;
            if keep { Ok(()) } else { Err(Stop::Nothing) }
        });
    }

    fn work(mut self, transactions: u64) -> Tally {
        for _ in 0..transactions {
            match self.random.below(21) {
                0..4 => self.transfer(),
                4..8 => self.withdraw(),
                8..12 => self.family(),
                12..16 => self.codes(),
                16..20 => self.moving(),
                _ => self.definitions(),
            }
        }
        self.tally
    }
}

fn set_up(target: &Target) -> PgClient {
    let mut client = target.connect();
    if target.server == Server::PostgreSql {
        // It looks for deadlocks after a second otherwise, and here are many.
        client.run(&format!(
            "ALTER DATABASE {} SET deadlock_timeout = '20ms'",
            target.database
        ));
        client = target.connect();
    }
    for statement in TABLES {
        client.run(statement);
    }
    for id in 0..ACCOUNTS {
        client.run(&format!("INSERT INTO account VALUES ({id}, 1000)"));
    }
    for id in 0..2 * PAIRS {
        client.run(&format!("INSERT INTO pair VALUES ({id}, 20)"));
    }
    client
}

/// Lets the workers loose and panics unless everything that must hold does.
pub fn run(target: &Target, seed: u64) {
    let transactions = std::env::var("ISOLATION_TRANSACTIONS").map_or(TRANSACTIONS, |text| {
        text.parse().expect("ISOLATION_TRANSACTIONS is a number")
    });
    let mut client = set_up(target);
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| {
            let mut client = target.connect();
            client.run("SET search_path TO stress");
            let worker = Worker {
                client,
                random: Random::new(seed ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                tally: Tally::default(),
            };
            std::thread::spawn(move || worker.work(transactions))
        })
        .collect();
    let mut all = Tally::default();
    for worker in workers {
        let tally = worker.join().expect("a worker meets only conflicts");
        all.committed += tally.committed;
        all.refused += tally.refused;
        all.increments += tally.increments;
    }
    println!("{:?}: {all:?}", target.server);
    assert!(all.committed > WORKERS * transactions / 10, "{all:?}");
    let total = (ACCOUNTS * 1000).to_string();
    let increments = all.increments.to_string();
    let same_rows = "SELECT count(*) FROM code a FULL JOIN \
        (SELECT * FROM code WHERE code >= 0) b ON a.id = b.id \
        WHERE a.code IS DISTINCT FROM b.code";
    let must_hold = [
        ("SELECT sum(balance) FROM account", total.as_str()),
        ("SELECT n FROM moving", increments.as_str()),
        (
            "SELECT count(*) FROM pair a JOIN pair b ON b.id = a.id + 1 WHERE a.id % 2 = 0 AND a.value + b.value < 0",
            "0",
        ),
        (
            "SELECT count(*) FROM child WHERE parent NOT IN (SELECT id FROM parent)",
            "0",
        ),
        (
            "SELECT count(*) FROM part WHERE parent NOT IN (SELECT id FROM parent)",
            "0",
        ),
        ("SELECT count(*) - count(DISTINCT code) FROM code", "0"),
        (
            "SELECT count(*) FROM (SELECT id FROM code GROUP BY id HAVING count(*) > 1) twice",
            "0",
        ),
        (same_rows, "0"),
    ];
    for (query, wanted) in must_hold {
        let rows = client.run(query);
        assert_eq!(
            rows,
            [[Some(wanted.to_owned())]],
            "{:?}, seed {seed}: {query}",
            target.server
        );
    }
}
