//! What a client may rely on, and the judgement of what is there after a crash.

use std::collections::BTreeSet;

/// How a client's numbered writes ended, as far as the client knows.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The server said that they are done.
    acknowledged: BTreeSet<u64>,
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
        self.acknowledged.insert(number);
    }

    pub fn refuse(&mut self, number: u64) {
        self.refused.insert(number);
    }

    /// No answer came; nothing changes for a write that was taken for done before.
    pub fn lose(&mut self, number: u64) {
        if !self.acknowledged.contains(&number) {
            self.unsure.insert(number);
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Compares with the writes that are there; afterwards nothing is unsure any more.
    pub fn judge(&mut self, who: &str, found: &BTreeSet<u64>) -> Vec<String> {
        let mut problems = Vec::new();
        let lost: Vec<_> = self.acknowledged.difference(found).copied().collect();
        if !lost.is_empty() {
            problems.push(format!("{who}: acknowledged and lost: {lost:?}"));
        }
        let known = |n: &&u64| !self.acknowledged.contains(n) && !self.unsure.contains(n);
        let strange: Vec<_> = found.iter().filter(known).copied().collect();
        if !strange.is_empty() {
            problems.push(format!("{who}: never done and there: {strange:?}"));
        }
        for number in std::mem::take(&mut self.unsure) {
            if found.contains(&number) {
                self.acknowledged.insert(number);
            } else {
                self.refused.insert(number);
            }
        }
        problems
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
                ledger.acknowledged.insert(number);
            } else {
                ledger.refused.insert(number);
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_counter_is_between_the_acknowledged_and_the_attempted() {
        for (found, fine) in [(1, false), (2, true), (3, true), (4, false)] {
            let (mut a, mut b) = (ledger(), Ledger::default());
            let problems = judge_counter("c", &mut [&mut a, &mut b], found);
            assert_eq!(problems.is_empty(), fine, "{found}: {problems:?}");
        }
    }
}
