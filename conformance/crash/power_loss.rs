//! The same crashes as a loss of power: what was not synced is gone with the process.
//!
//! SQL must keep every acknowledged write; Redis with `appendfsync everysec` may lose the last
//! second, and what is there must be all that was committed up to some moment. Power is also lost
//! while the daemon starts. `POWER_LOSS_CYCLES` says how often (6), `CRASH_SEED` repeats a run's
//! choices. The controls: writes without a promise, and syncs that are answered and not made.

use crate::disk::{Disk, Lie};
use crate::load::{Client, Load, Promise, Work};
use crate::rewind::{Fate, Loss};
use crate::verify::{Forgiven, clear_large, verify};
use crate::{check, clients, create_tables, ports, write_until_killed};
use conformance::daemon::{Daemon, start_command};
use conformance::random::{Random, seed};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const CYCLES: u64 = 6;
/// Redis' "one second": from fsync to fsync, and a thread that wakes up late. The fsyncs themselves
/// come to it, which take seconds on a busy disk: what is written during the one waits for the end of
/// the other.
const EVERY_SECOND: Duration = Duration::from_millis(1500);
/// Longer than that, so that a loss of everything would be noticed.
const LONG_CYCLE: Duration = Duration::from_millis(2500);
/// The daemon is up by then.
const START_TIME_MAX: u64 = 250;

const SQL: &[Work] = &[
    Work::SqlInsert,
    Work::SqlInsert,
    Work::SqlTransaction,
    Work::SqlTransaction,
    Work::SqlCounter,
    Work::SqlCounter,
    Work::SqlTable,
    Work::SqlLarge,
    Work::SqlLoad,
];
const REDIS: &[Work] = &[
    Work::RedisSet,
    Work::RedisMulti,
    Work::RedisCounter,
    Work::RedisCounter,
    Work::RedisHistory,
    Work::RedisHistory,
];

/// A machine whose power can be cut.
struct Machine {
    disk: Disk,
    lie: Option<Lie>,
    fate: Fate,
}

impl Machine {
    fn new(seed: u64) -> Machine {
        Machine {
            disk: Disk::new(),
            lie: None,
            fate: Fate::Random(Random::new(seed ^ 1)),
        }
    }

    fn start(&mut self, directory: TempDir) -> Daemon {
        let mut start = start_command(directory.path());
        start.envs(self.disk.environment(directory.path(), self.lie));
        Daemon::run(directory, start)
    }

    /// Starts the daemon and cuts the power after so long, wherever it is by then.
    fn start_and_lose_power(&mut self, directory: &TempDir, after: Duration) -> Loss {
        let mut start = start_command(directory.path());
        start.envs(self.disk.environment(directory.path(), self.lie));
        let mut child = start.spawn().expect("heliosdb starts");
        std::thread::sleep(after);
        child.kill().expect("heliosdb runs");
        child.wait().expect("heliosdb has ended");
        self.lose_power(directory)
    }

    /// Cuts the power of a machine whose daemon was killed.
    fn lose_power(&mut self, directory: &TempDir) -> Loss {
        let loss = self.disk.lose_power(directory.path(), &mut self.fate);
        println!("lost {loss:?}");
        loss
    }
}

/// The clients of the next cycle: those whose writes were thrown away begin anew.
fn renew(clients: Vec<Client>, cycle: u64, seed: u64) -> Vec<Client> {
    let renew = |client: Client| {
        if renewed(client.work) {
            Client::new(client.id % 100 + 100 * cycle, client.work, seed)
        } else {
            client
        }
    };
    clients.into_iter().map(renew).collect()
}

fn renewed(work: Work) -> bool {
    matches!(work, Work::SqlLarge | Work::SqlLoad)
}

/// How long the clients of a cycle write: SQL, whose every answer is a promise, a number of answers,
/// Redis alone long enough for a loss of more than a second to be noticed.
fn enough(works: &[Work], random: &mut Random) -> impl Fn(&Load) -> bool + use<> {
    let answers = 100 + random.below(700);
    let least = if works.contains(&Work::SqlInsert) {
        Duration::ZERO
    } else {
        LONG_CYCLE + Duration::from_millis(random.below(1000))
    };
    let start = Instant::now();
    move |load| load.done() >= answers && start.elapsed() >= least
}

#[test]
fn a_loss_of_power_takes_nothing_that_was_promised() {
    let seed = seed("CRASH_SEED");
    let cycles = std::env::var("POWER_LOSS_CYCLES").map_or(CYCLES, |text| {
        text.parse().expect("POWER_LOSS_CYCLES is a number")
    });
    let mut random = Random::new(seed);
    let mut machine = Machine::new(seed);
    let mut directory = TempDir::new().expect("a temporary directory");
    machine.start_and_lose_power(
        &directory,
        Duration::from_millis(random.below(START_TIME_MAX)),
    );
    let mut daemon = machine.start(directory);
    create_tables(&daemon);
    let all = [SQL, REDIS].concat();
    let (mut sql, mut redis): (Vec<Client>, Vec<Client>) = clients(&all, seed)
        .into_iter()
        .partition(|client| !client.work.is_redis());
    let (mut bytes, mut large) = (0, 0);
    for cycle in 1..=cycles {
        // Alone no fsync of SQL helps Redis.
        let (mut works, mut idle) = match cycle % 3 {
            1 => (redis, sql),
            2 => (sql, redis),
            _ => ([sql, redis].into_iter().flatten().collect(), Vec::new()),
        };
        let always = cycle.is_multiple_of(6);
        let promise = Promise::Kept {
            redis_always: always,
        };
        let kinds: Vec<Work> = works.iter().map(|c| c.work).collect();
        let enough = enough(&kinds, &mut random);
        let killed;
        (directory, works, killed) =
            write_until_killed(daemon, works, promise, enough, &mut random);
        let loss = machine.lose_power(&directory);
        let since = killed - EVERY_SECOND - 2 * loss.slowest_sync;
        assert!(loss.syncs > 0, "nothing was synced");
        assert!(
            loss.unsynced_for <= EVERY_SECOND + loss.slowest_sync,
            "cycle {cycle} of seed {seed}: not synced for long: {loss:?}"
        );
        bytes += loss.bytes;
        check(directory.path());
        if random.below(2) == 0 {
            let after = Duration::from_millis(random.below(START_TIME_MAX));
            machine.start_and_lose_power(&directory, after);
            check(directory.path());
        }
        daemon = machine.start(directory);
        let forgiven = (!always).then_some(Forgiven { since, sql: false });
        works.append(&mut idle);
        let problems = verify(&mut works, ports(&daemon), forgiven);
        assert!(
            problems.is_empty(),
            "after loss {cycle} of seed {seed}:\n{}",
            problems.join("\n")
        );
        clear_large(ports(&daemon));
        large += works
            .iter()
            .filter(|c| renewed(c.work))
            .map(|c| c.ledger.acknowledged())
            .sum::<usize>();
        (sql, redis) = renew(works, cycle, seed)
            .into_iter()
            .partition(|client| !client.work.is_redis());
    }
    assert!(bytes > 0, "no power loss lost anything");
    for client in sql.iter().chain(&redis) {
        let (work, n) = (client.work, client.ledger.acknowledged());
        println!("{work:?} {}: {n} acknowledged writes", client.id);
        // Some have just begun anew.
        assert!(
            n > 0 || renewed(work),
            "{work:?} never got an acknowledgement"
        );
    }
    assert!(large > 0, "nothing large was acknowledged");
}

/// One loss of power of a database that was synced when it was made; what is wrong afterwards, or
/// why the daemon does not start.
fn problems_after_loss(
    works: &[Work],
    promise: Promise,
    lie: Option<Lie>,
    forgiven: Option<Forgiven>,
) -> Vec<String> {
    let seed = seed("CRASH_SEED");
    let mut random = Random::new(seed);
    let mut machine = Machine::new(seed);
    machine.fate = Fate::All;
    let daemon = machine.start(TempDir::new().expect("a temporary directory"));
    create_tables(&daemon);
    let directory = daemon.kill();
    machine.lie = lie;
    let daemon = machine.start(directory);
    let clients = clients(works, seed);
    let enough = enough(&[Work::SqlInsert], &mut random);
    let (directory, mut clients, _) =
        write_until_killed(daemon, clients, promise, enough, &mut random);
    machine.lose_power(&directory);
    machine.lie = None;
    let daemon = machine.start(directory);
    verify(&mut clients, ports(&daemon), forgiven)
}

fn are_losses(problems: &[String]) -> bool {
    let loss = |p: &String| p.contains("acknowledged and lost");
    !problems.is_empty() && problems.iter().all(loss)
}

#[test]
fn control_writes_without_a_promise_are_lost_and_noticed() {
    for work in [Work::SqlInsert, Work::RedisSet, Work::RedisHistory] {
        let problems = problems_after_loss(&[work; 3], Promise::None, None, None);
        assert!(are_losses(&problems), "{work:?}: {problems:?}");
    }
}

#[test]
fn writes_without_a_promise_are_lost_from_their_end() {
    let since = Instant::now();
    for work in [Work::SqlInsert, Work::SqlTransaction, Work::RedisHistory] {
        let forgiven = Some(Forgiven { since, sql: true });
        let problems = problems_after_loss(&[work; 3], Promise::None, None, forgiven);
        assert!(problems.is_empty(), "{work:?}: {problems:?}");
    }
}

#[test]
fn control_a_sync_of_the_log_that_lies_is_noticed() {
    let promise = Promise::Kept { redis_always: true };
    let problems = problems_after_loss(
        &[Work::SqlInsert, Work::RedisSet],
        promise,
        Some(Lie::Files(".log")),
        None,
    );
    assert!(are_losses(&problems), "{problems:?}");
}

#[test]
fn control_a_sync_of_directories_that_lies_is_noticed() {
    let promise = Promise::Kept { redis_always: true };
    let problems = problems_after_loss(
        &[Work::SqlInsert, Work::RedisSet],
        promise,
        Some(Lie::Directories),
        None,
    );
    assert!(are_losses(&problems), "{problems:?}");
}
