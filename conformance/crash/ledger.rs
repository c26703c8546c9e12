//! What a client may rely on, and the judgement of what is there after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// How a client's numbered writes ended, as far as the client knows.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The server said that they are done, and when.
    acknowledged: BTreeMap<u64, Instant>,
    /// The connection was lost before the answer: done or not, but not by halves.
    unsure: BTreeSet<u64>,
    /// Refused or rolled back.
    refused: BTreeSet<u64>,
    next: u64,
}

impl Ledger {
    /// The number of the next write.
    pub fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn acknowledge(&mut self, number: u64) {
        self.acknowledged.insert(number, Instant::now());
    }

    pub fn refuse(&mut self, number: u64) {
        self.refused.insert(number);
    }

    /// No answer came; nothing changes for a write that was taken for done before.
    pub fn lose(&mut self, number: u64) {
        if !self.acknowledged.contains_key(&number) {
            self.unsure.insert(number);
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Acknowledged writes that are not there, in their order.
    fn missing(&self, found: &BTreeSet<u64>) -> impl Iterator<Item = u64> {
        let missing = |n: &&u64| !found.contains(n);
        self.acknowledged.keys().filter(missing).copied()
    }

    /// Allows that acknowledged writes are not there, if they are the last ones and were
    /// acknowledged at `since` or later.
    pub fn forgive(&mut self, who: &str, found: &BTreeSet<u64>, since: Instant) -> Vec<String> {
        let lost: Vec<_> = self.missing(found).collect();
        let mut problems = Vec::new();
        if let (Some(first), Some(last)) = (lost.first(), found.last())
            && first < last
        {
            problems.push(format!(
                "{who}: lost {first}, but the later {last} is there"
            ));
        }
        for number in lost {
            if self.acknowledged[&number] >= since {
                self.acknowledged.remove(&number);
                self.refused.insert(number);
            }
        }
        problems
    }

    /// Compares with the writes that are there; afterwards nothing is unsure any more.
    pub fn judge(&mut self, who: &str, found: &BTreeSet<u64>) -> Vec<String> {
        let mut problems = Vec::new();
        let lost: Vec<_> = self.missing(found).collect();
        if !lost.is_empty() {
            problems.push(format!("{who}: acknowledged and lost: {}", Shown(&lost)));
        }
        let known = |n: &&u64| !self.acknowledged.contains_key(n) && !self.unsure.contains(n);
        let strange: Vec<_> = found.iter().filter(known).copied().collect();
        if !strange.is_empty() {
            problems.push(format!("{who}: never done and there: {strange:?}"));
        }
        for number in std::mem::take(&mut self.unsure) {
            if found.contains(&number) {
                self.acknowledge(number);
            } else {
                self.refused.insert(number);
            }
        }
        problems
    }
}

/// Numbers; of many the first and the last.
struct Shown<'a>(&'a [u64]);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            [first, .., last] if self.0.len() > 20 => {
                write!(f, "{} of them, {first} to {last}", self.0.len())
            }
            all => write!(f, "{all:?}"),
        }
    }
}

/// Judges a counter that each write of several clients raised by one.
pub fn judge_counter(who: &str, clients: &mut [&mut Ledger], found: u64) -> Vec<String> {
    let acknowledged: u64 = clients.iter().map(|l| l.acknowledged.len() as u64).sum();
    let unsure: u64 = clients.iter().map(|l| l.unsure.len() as u64).sum();
    let mut problems = Vec::new();
    if !(acknowledged..=acknowledged + unsure).contains(&found) {
        problems.push(format!(
            "{who}: is {found}, but {acknowledged} increments were acknowledged and {unsure} unsure"
        ));
    }
    // Which of the unsure ones counted does not matter to the sum.
    let mut done = found.saturating_sub(acknowledged);
    for ledger in clients {
        for number in std::mem::take(&mut ledger.unsure) {
            if done > 0 {
                done -= 1;
                ledger.acknowledge(number);
            } else {
                ledger.refused.insert(number);
            }
        }
    }
    problems
}

/// Allows that the last increments of a counter, which stands at `found`, are not there if they were
/// acknowledged at `since` or later.
pub fn forgive_counter(clients: &mut [&mut Ledger], found: u64, since: Instant) {
    let mut times: Vec<Instant> = clients
        .iter()
        .flat_map(|l| l.acknowledged.values().copied())
        .collect();
    times.sort();
    let Some(first) = times.get(usize::try_from(found).unwrap_or(usize::MAX)) else {
        return;
    };
    let since = since.max(*first);
    for ledger in clients {
        let lost: Vec<u64> = ledger
            .acknowledged
            .iter()
            .filter(|(_, at)| **at >= since)
            .map(|(number, _)| *number)
            .collect();
        for number in lost {
            ledger.acknowledged.remove(&number);
            ledger.refused.insert(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        let numbers: Vec<u64> = (0..4).map(|_| ledger.next()).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        ledger.acknowledge(1);
        ledger.acknowledge(2);
        ledger.refuse(3);
        ledger.lose(4);
        ledger
    }

    #[test]
    fn what_was_unsure_may_be_there_or_not() {
        assert!(ledger().judge("a", &BTreeSet::from([1, 2])).is_empty());
        assert!(ledger().judge("a", &BTreeSet::from([1, 2, 4])).is_empty());
    }

    #[test]
    fn what_was_acknowledged_must_be_there_and_what_was_refused_must_not() {
        let lost = ledger().judge("a", &BTreeSet::from([2]));
        assert_eq!(lost, ["a: acknowledged and lost: [1]"]);
        let strange = ledger().judge("a", &BTreeSet::from([1, 2, 3, 9]));
        assert_eq!(strange, ["a: never done and there: [3, 9]"]);
    }

    #[test]
    fn a_judgement_settles_what_was_unsure() {
        let mut ledger = ledger();
        assert!(ledger.judge("a", &BTreeSet::from([1, 2, 4])).is_empty());
        assert_eq!(ledger.judge("a", &BTreeSet::from([1, 2])).len(), 1);
    }

    #[test]
    fn the_last_writes_may_be_forgiven_and_no_others() {
        let start = Instant::now();
        let mut tail = ledger();
        assert!(tail.forgive("a", &BTreeSet::from([1]), start).is_empty());
        assert!(tail.judge("a", &BTreeSet::from([1])).is_empty());
        let mut hole = ledger();
        let problems = hole.forgive("a", &BTreeSet::from([2]), start);
        assert_eq!(problems, ["a: lost 1, but the later 2 is there"]);
        let mut old = ledger();
        let later = start + Duration::from_secs(9);
        assert!(old.forgive("a", &BTreeSet::from([1]), later).is_empty());
        let lost = old.judge("a", &BTreeSet::from([1]));
        assert_eq!(lost, ["a: acknowledged and lost: [2]"]);
    }

    #[test]
    fn the_last_increments_may_be_forgiven_and_no_others() {
        let start = Instant::now();
        let later = start + Duration::from_secs(9);
        for (since, fine) in [(start, true), (later, false)] {
            let found = 1;
            let (mut a, mut b) = (ledger(), Ledger::default());
            forgive_counter(&mut [&mut a, &mut b], found, since);
            let problems = judge_counter("c", &mut [&mut a, &mut b], found);
            assert_eq!(problems.is_empty(), fine, "{problems:?}");
        }
    }

    #[test]
    fn a_counter_is_between_the_acknowledged_and_the_attempted() {
        for (found, fine) in [(1, false), (2, true), (3, true), (4, false)] {
            let (mut a, mut b) = (ledger(), Ledger::default());
            let problems = judge_counter("c", &mut [&mut a, &mut b], found);
            assert_eq!(problems.is_empty(), fine, "{found}: {problems:?}");
        }
    }
}
