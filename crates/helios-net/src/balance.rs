//! Spreads connections over more workers when one is not enough, and brings them together again.
//!
//! Ten times a second each worker's busy time is compared with the time that has passed. Half of the
//! connections of a worker that has no rest go to the idlest one, if the machine has processor time
//! left to run it on: where clients or other programs need the rest, a second thread would only take
//! turns with them, at the cost of more switches for the same work. Two workers that together had
//! little to do for a while are made one.
//!
//! What the machine has left is in `/proc/stat`; where that cannot be read, all of it counts as left.
//! A worker without work may use it to look for some ([`crate::awake`]), which counts as left too.

use crate::shutdown::Shutdown;
use crate::workers::Workers;
use std::fs;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

const PERIOD: Duration = Duration::from_millis(100);
/// A worker that is busy for this share of the time has no rest.
const SATURATED: f64 = 0.92;
/// It gives connections to a worker that is not busier than this.
const AVAILABLE: f64 = 0.5;
/// Processors that must be idle for that.
const IDLE_MIN: f64 = 0.3;
/// Processors that must be left for a worker to look for work instead of sleeping.
const SPARE_MIN: f64 = 0.5;
/// Two workers that are not busier than this together are made one …
const TOGETHER: f64 = 0.6;
/// … when they have been so for this many periods.
const CALM_PERIODS: u32 = 10;

/// Connections to be moved.
#[derive(Debug, PartialEq)]
enum Move {
    Half { from: usize, to: usize },
    All { from: usize, to: usize },
}

/// What the workers and the machine did in one period.
struct Period<'a> {
    /// The share of the time that each worker was busy for.
    loads: &'a [f64],
    /// The connections of each that can be moved.
    connections: &'a [usize],
    /// Processors that had nothing to do.
    idle: f64,
    /// For how many periods the two least busy workers have had little to do.
    calm: u32,
}

impl Workers {
    /// Moves connections where they are served best, until `shutdown`.
    pub async fn balance(self, shutdown: Shutdown) {
        let mut looking = JoinSet::new();
        for at in 0..self.len() {
            looking.spawn_on(self.awake(at).clone().stay(), self.runtime(at));
        }
        // On one processor it would only keep the clients from running.
        let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
        let mut tick = tokio::time::interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut busy = self.busy();
        let mut idle = idle_seconds();
        let mut spent = self.spare().spent();
        let mut since = Instant::now();
        let mut calm = 0;
        loop {
            tokio::select! {
                () = shutdown.triggered() => return,
                _ = tick.tick() => {}
            }
            if !self.are_used() {
                continue;
            }
            let passed = since.elapsed().as_secs_f64();
            if passed < PERIOD.as_secs_f64() / 2.0 {
                continue;
            }
            since = Instant::now();
            let (before, now) = (std::mem::replace(&mut busy, self.busy()), &busy);
            let loads: Vec<f64> = std::iter::zip(&before, now)
                .map(|(before, now)| (now - before).max(0.0) / passed)
                .collect();
            for (at, load) in loads.iter().enumerate() {
                self.note_load(at, load.min(1.0));
            }
            let idle_before = std::mem::replace(&mut idle, idle_seconds());
            let idle = match (idle_before, idle) {
                (Some(before), Some(now)) => Some((now - before).max(0.0) / passed),
                _ => None,
            };
            let spent_before = std::mem::replace(&mut spent, self.spare().spent());
            let looked = (spent - spent_before) / passed;
            let spare = processors > 1 && idle.is_some_and(|idle| idle + looked >= SPARE_MIN);
            self.spare().set_exists(spare);
            let idle = idle.map_or(f64::INFINITY, |idle| idle + looked);
            let connections = self.roaming_connections();
            let period = Period {
                loads: &loads,
                connections: &connections,
                idle,
                calm,
            };
            calm = if period.least_busy().is_some() {
                calm + 1
            } else {
                0
            };
            if let Some(what) = period.decide() {
                tracing::debug!(?what, ?loads, idle, "connections change their workers");
                self.move_connections(&what);
                calm = 0;
            }
        }
    }

    /// Seconds that each worker has been busy for.
    fn busy(&self) -> Vec<f64> {
        let busy = |at| self.runtime(at).metrics().worker_total_busy_duration(0);
        (0..self.len()).map(|at| busy(at).as_secs_f64()).collect()
    }

    /// How many connections each worker has or shall have that can be moved.
    fn roaming_connections(&self) -> Vec<usize> {
        let mut connections = vec![0; self.len()];
        for place in self.roaming().values() {
            connections[place.wanted()] += 1;
        }
        connections
    }

    fn move_connections(&self, what: &Move) {
        let (from, to, all) = match *what {
            Move::Half { from, to } => (from, to, false),
            Move::All { from, to } => (from, to, true),
        };
        let roaming = self.roaming();
        let there = roaming.values().filter(|place| place.wanted() == from);
        for (number, place) in there.enumerate() {
            if all || number % 2 == 1 {
                place.want(to);
            }
        }
    }
}

impl Period<'_> {
    fn decide(&self) -> Option<Move> {
        let workers = 0..self.loads.len();
        let busiest = workers.clone().filter(|at| self.connections[*at] > 1);
        let from = busiest.max_by(|a, b| self.loads[*a].total_cmp(&self.loads[*b]));
        let to = workers.min_by(|a, b| self.loads[*a].total_cmp(&self.loads[*b]));
        if let (Some(from), Some(to)) = (from, to)
            && self.loads[from] >= SATURATED
            && self.loads[to] <= AVAILABLE
            && self.idle >= IDLE_MIN
        {
            return Some(Move::Half { from, to });
        }
        match self.least_busy() {
            Some((to, from)) if self.calm >= CALM_PERIODS => Some(Move::All { from, to }),
            _ => None,
        }
    }

    /// The two workers with connections that have least to do, in their order, if that is little.
    fn least_busy(&self) -> Option<(usize, usize)> {
        let mut used: Vec<usize> = (0..self.loads.len())
            .filter(|at| self.connections[*at] > 0)
            .collect();
        used.sort_by(|a, b| self.loads[*a].total_cmp(&self.loads[*b]));
        match used[..] {
            [a, b, ..] if self.loads[a] + self.loads[b] <= TOGETHER => Some((a.min(b), a.max(b))),
            _ => None,
        }
    }
}

/// Seconds that the machine's processors have had nothing to do, all together.
fn idle_seconds() -> Option<f64> {
    idle_of(&fs::read_to_string("/proc/stat").ok()?)
}

/// `cpu  user nice system idle iowait …`, in hundredths of a second on every Linux.
fn idle_of(stat: &str) -> Option<f64> {
    let mut fields = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_ascii_whitespace();
    let idle: u64 = fields.nth(3)?.parse().ok()?;
    let waiting: u64 = fields.next()?.parse().ok()?;
    Some((idle + waiting) as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roaming::Place;
    use std::sync::Arc;

    fn decide(loads: &[f64], connections: &[usize], idle: f64, calm: u32) -> Option<Move> {
        let period = Period {
            loads,
            connections,
            idle,
            calm,
        };
        period.decide()
    }

    #[test]
    fn a_worker_without_rest_gives_half_of_its_connections_away_when_a_processor_is_idle() {
        let half = Some(Move::Half { from: 0, to: 2 });
        assert_eq!(decide(&[1.0, 0.3, 0.1], &[50, 3, 0], 0.4, 0), half);
        assert_eq!(decide(&[1.0, 0.3, 0.1], &[50, 3, 0], 0.1, 0), None);
        assert_eq!(decide(&[0.8, 0.3, 0.1], &[50, 3, 0], 1.0, 0), None);
        assert_eq!(decide(&[1.0, 0.8], &[50, 3], 1.0, 0), None);
        // One connection alone cannot be spread, and what is no connection's is not its work.
        assert_eq!(decide(&[1.0, 0.1], &[1, 0], 1.0, 0), None);
        assert_eq!(decide(&[0.1, 1.0], &[5, 0], 1.0, 0), None);
    }

    #[test]
    fn workers_with_little_to_do_are_made_one_after_a_while() {
        let all = Some(Move::All { from: 1, to: 0 });
        assert_eq!(decide(&[0.2, 0.3], &[5, 5], 1.0, CALM_PERIODS), all);
        assert_eq!(decide(&[0.2, 0.3], &[5, 5], 1.0, CALM_PERIODS - 1), None);
        assert_eq!(decide(&[0.5, 0.3], &[5, 5], 1.0, CALM_PERIODS), None);
        assert_eq!(decide(&[0.2, 0.3], &[5, 0], 1.0, CALM_PERIODS), None);
        let least = Some(Move::All { from: 2, to: 1 });
        assert_eq!(decide(&[0.9, 0.1, 0.1], &[5, 5, 5], 1.0, 99), least);
    }

    #[test]
    fn idle_time_is_read_from_the_kernel_s_table() {
        let table = "cpu  23 4 5 678 22 0 1 0 0 0\ncpu0 1 2 3 4 5\n";
        assert_eq!(idle_of(table), Some(7.0));
        for broken in ["", "cpu", "cpu0 1 2 3 4 5", "cpu  1 2 3", "cpu  1 2 3 x 5"] {
            assert_eq!(idle_of(broken), None);
        }
        assert!(idle_seconds().is_some());
    }

    #[tokio::test]
    async fn half_and_all_of_a_worker_s_connections_are_asked_to_move() {
        let handle = tokio::runtime::Handle::current();
        let workers = Workers::new([handle.clone(), handle]);
        for number in 0..6 {
            workers.roaming().insert(number, Arc::new(Place::new(0)));
        }
        workers.move_connections(&Move::Half { from: 0, to: 1 });
        assert_eq!(workers.roaming_connections(), [3, 3]);
        workers.move_connections(&Move::All { from: 1, to: 0 });
        assert_eq!(workers.roaming_connections(), [6, 0]);
    }
}
