//! Crashes from outside: clients write over SQL and Redis, the daemon is killed at a random moment
//! and started again, and every acknowledged write must be there, whole, and nothing else.
//!
//! `CRASH_CYCLES` says how often (20), `CRASH_SEED` repeats a run's choices. SIGKILL leaves the
//! page cache alone, so this shows that what is acknowledged has left the process; that it has
//! reached the device is shown by the same crashes on a disk that forgets ([`power_loss`]). That the
//! judgement can fail is shown by a client that takes writes for done before it sends them, and,
//! where losing power makes it sure, by writes without a promise.

mod disk;
mod journal;
mod ledger;
mod load;
mod power_loss;
mod rewind;
mod verify;

use conformance::command::run;
use conformance::daemon::{Daemon, binary};
use conformance::pg_client::PgClient;
use conformance::random::{Random, seed};
use conformance::redis_client::RedisClient;
use load::{ACCOUNTS, BALANCE, Client, Load, Ports, Promise, TABLES, Work};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const CYCLES: u64 = 20;
/// A cycle's clients have given up if they are not done by then.
const CYCLE_TIMEOUT: Duration = Duration::from_secs(60);

fn cycles() -> u64 {
    std::env::var("CRASH_CYCLES").map_or(CYCLES, |text| {
        text.parse().expect("CRASH_CYCLES is a number")
    })
}

fn ports(daemon: &Daemon) -> Ports {
    Ports {
        sql: daemon.port("pg"),
        redis: daemon.port("redis"),
    }
}

fn create_tables(daemon: &Daemon) {
    let mut sql = PgClient::open(ports(daemon).sql, "heliosdb").expect("a connection");
    for statement in TABLES {
        sql.run(statement);
    }
    for account in 0..ACCOUNTS {
        sql.run(&format!(
            "INSERT INTO accounts VALUES ({account}, {BALANCE})"
        ));
    }
}

fn set_redis_durability(daemon: &Daemon, promise: Promise) {
    let level = match promise {
        Promise::Kept { redis_always: true } => "always",
        Promise::Kept {
            redis_always: false,
        } => "everysec",
        Promise::None => "no",
    };
    let mut redis = RedisClient::open(ports(daemon).redis).expect("a connection");
    redis.run(&["CONFIG", "SET", "appendfsync", level]);
}

/// Lets clients write until `enough` answers have come and kills the daemon a random moment later;
/// at which moment is the last result.
fn write_until_killed(
    daemon: Daemon,
    clients: Vec<Client>,
    promise: Promise,
    enough: impl Fn(&Load) -> bool,
    random: &mut Random,
) -> (TempDir, Vec<Client>, Instant) {
    set_redis_durability(&daemon, promise);
    let load = Load::start(clients, ports(&daemon), promise);
    let deadline = Instant::now() + CYCLE_TIMEOUT;
    while !enough(&load) {
        assert!(
            Instant::now() < deadline && !load.is_over(),
            "the clients got {} answers; the daemon says:\n{}",
            load.done(),
            daemon.log()
        );
        std::thread::sleep(Duration::from_micros(200));
    }
    // The moment within a write: up to about the length of one.
    std::thread::sleep(Duration::from_micros(random.below(3000)));
    let killed = Instant::now();
    (daemon.kill(), load.finish(), killed)
}

/// Lets clients write, kills the daemon after a random number of answers, and starts it again on the
/// same directory.
fn crash(
    daemon: Daemon,
    clients: Vec<Client>,
    promise: Promise,
    random: &mut Random,
) -> (Daemon, Vec<Client>) {
    let answers = 50 + random.below(400);
    let enough = |load: &Load| load.done() >= answers;
    let (directory, clients, _) = write_until_killed(daemon, clients, promise, enough, random);
    check(directory.path());
    (Daemon::start_in(directory, &[]), clients)
}

/// `heliosdb check` of what the crash left, on a copy, so that the daemon itself recovers.
fn check(directory: &Path) {
    let copy = TempDir::new().expect("a temporary directory");
    run(Command::new("cp")
        .arg("-r")
        .arg(directory.join("data"))
        .arg(copy.path()))
    .expect_success("cp");
    run(Command::new(binary())
        .arg("check")
        .arg("--data-dir")
        .arg(copy.path().join("data")))
    .expect_success("heliosdb check after a crash");
}

fn clients(works: &[Work], seed: u64) -> Vec<Client> {
    let numbered = works.iter().zip(1..);
    numbered
        .map(|(work, id)| Client::new(id, *work, seed))
        .collect()
}

#[test]
fn no_acknowledged_write_is_lost_and_no_transaction_is_halved_by_a_crash() {
    let seed = seed("CRASH_SEED");
    let mut random = Random::new(seed);
    let works = [
        Work::SqlInsert,
        Work::SqlInsert,
        Work::SqlTransaction,
        Work::SqlTransaction,
        Work::SqlCounter,
        Work::SqlCounter,
        Work::SqlTable,
        Work::RedisSet,
        Work::RedisMulti,
        Work::RedisCounter,
        Work::RedisCounter,
    ];
    let mut clients = clients(&works, seed);
    let mut daemon = Daemon::start();
    create_tables(&daemon);
    for cycle in 1..=cycles() {
        let promise = Promise::Kept {
            redis_always: cycle % 2 == 0,
        };
        (daemon, clients) = crash(daemon, clients, promise, &mut random);
        let problems = verify::verify(&mut clients, ports(&daemon), None);
        assert!(
            problems.is_empty(),
            "after crash {cycle} of seed {seed}:\n{}",
            problems.join("\n")
        );
    }
    for client in &clients {
        let (work, n) = (client.work, client.ledger.acknowledged());
        println!("{work:?} {}: {n} acknowledged writes", client.id);
        assert!(n > 0, "{work:?} never got an acknowledgement");
    }
}

#[test]
fn control_acknowledgements_before_the_write_are_noticed() {
    let seed = seed("CRASH_SEED");
    let daemon = Daemon::start();
    create_tables(&daemon);
    let mut clients = clients(&[Work::SqlInsert, Work::RedisSet], seed);
    for client in &mut clients {
        client.early = 10;
    }
    let promise = Promise::Kept { redis_always: true };
    let (daemon, mut clients) = crash(daemon, clients, promise, &mut Random::new(seed));
    let problems = verify::verify(&mut clients, ports(&daemon), None);
    assert!(
        problems.iter().any(|p| p.contains("acknowledged and lost")),
        "{problems:?}"
    );
}
