//! ZUNION, ZINTER and ZDIFF. Sets take part with a score of one for each member.

use super::super::access::{Access, Slot};
use super::super::entry::{Kind, wrong_type};
use super::super::sets::Combination;
use super::Scored;
use helios_types::Result;
use std::collections::HashMap;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregation {
    #[default]
    Sum,
    Min,
    Max,
}

impl Aggregation {
    fn apply(self, a: f64, b: f64) -> f64 {
        match self {
            Aggregation::Sum => {
                // An infinity and its opposite add up to zero, as in Redis.
                let sum = a + b;
                if sum.is_nan() { 0.0 } else { sum }
            }
            Aggregation::Min => a.min(b),
            Aggregation::Max => a.max(b),
        }
    }
}

/// A sorted set or set that is combined, with its weight.
pub struct Operand<'k> {
    pub key: &'k [u8],
    pub weight: f64,
}

impl Access<'_> {
    /// The combination of several sorted sets, in order of score and member.
    pub fn zset_combine(
        &mut self,
        combination: Combination,
        operands: &[Operand<'_>],
        aggregation: Aggregation,
    ) -> Result<Vec<Scored>> {
        self.pin();
        let mut slots = Vec::with_capacity(operands.len());
        for operand in operands {
            let slot = self.slot_pinned(operand.key)?;
            match slot.entry()?.map(|entry| entry.kind) {
                None | Some(Kind::Set | Kind::SortedSet) => slots.push((slot, operand.weight)),
                Some(_) => return wrong_type(),
            }
        }
        // Of every member the score so far, and in how many operands it was found.
        let mut all: HashMap<Vec<u8>, (f64, usize)> = HashMap::new();
        for (index, (slot, weight)) in slots.iter().enumerate() {
            self.visit_scored(slot, &mut |score, member| {
                let weighted = score * weight;
                let weighted = if weighted.is_nan() { 0.0 } else { weighted };
                match (combination, all.get_mut(member)) {
                    (Combination::Difference, Some(found)) if index > 0 => found.1 += 1,
                    (Combination::Difference, _) if index > 0 => {}
                    (_, Some(found)) => {
                        found.0 = aggregation.apply(found.0, weighted);
                        found.1 += 1;
                    }
                    (Combination::Intersection, None) if index > 0 => {}
                    (_, None) => {
                        all.insert(member.to_vec(), (weighted, 1));
                    }
                }
            })?;
        }
        let wanted = |found: usize| match combination {
            Combination::Union => true,
            Combination::Intersection => found == slots.len(),
            Combination::Difference => found == 1,
        };
        let mut members: Vec<Scored> = all
            .into_iter()
            .filter(|(_, (_, found))| wanted(*found))
            .map(|(member, (score, _))| Scored { member, score })
            .collect();
        members.sort_by(|a, b| {
            a.score
                .total_cmp(&b.score)
                .then_with(|| a.member.cmp(&b.member))
        });
        Ok(members)
    }

    fn visit_scored(&mut self, slot: &Slot<'_>, each: &mut dyn FnMut(f64, &[u8])) -> Result<()> {
        match slot.entry()?.map(|entry| entry.kind) {
            Some(Kind::Set) => self.set_visit(slot, &mut |member| each(1.0, member)),
            _ => self.zset_visit(slot, false, &mut |score, member| {
                each(score, member);
                Ok(true)
            }),
        }
    }
}
