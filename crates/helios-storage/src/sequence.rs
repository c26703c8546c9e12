//! Sequences: numbers that are handed out once, outside of transactions.
//!
//! The stored record is ahead of the numbers handed out by up to [`CACHE`] increments, so that only
//! one call in 32 writes; after a crash the sequence goes on behind the stored number and leaves a
//! gap, as PostgreSQL does. A clean close stores the exact state. The record is handed to the
//! operating system before the first number that it covers is given out; a transaction that takes
//! a number through [`Txn::sequence_next`](crate::Txn::sequence_next) also waits for its fsync when
//! its durability says so.

use crate::batch::Batch;
use crate::commit::{SEQUENCE, system_key};
use crate::database::Family;
use crate::space::Prefix;
use crate::store::Store;
use helios_types::{Error, ErrorKind, Result, error};
use std::collections::HashMap;

/// Numbers covered by one record, PostgreSQL's count.
const CACHE: u32 = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceParams {
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub start: i64,
    pub cycle: bool,
}

impl Default for SequenceParams {
    fn default() -> Self {
        SequenceParams {
            increment: 1,
            min: 1,
            max: i64::MAX,
            start: 1,
            cycle: false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct State {
    last: i64,
    /// Whether `last` was handed out; otherwise it is the next one.
    called: bool,
    /// How many more numbers the stored record covers.
    covered: u32,
    increment: i64,
}

#[derive(Default)]
pub(crate) struct Sequences {
    known: HashMap<Prefix, State>,
}

fn encode(last: i64, called: bool) -> [u8; 9] {
    let mut out = [u8::from(called); 9];
    out[..8].copy_from_slice(&last.to_be_bytes());
    out
}

/// The number after `last`; `None` when the sequence has ended.
fn advance(last: i64, params: &SequenceParams) -> Option<i64> {
    match last.checked_add(params.increment) {
        Some(next) if next <= params.max && next >= params.min => Some(next),
        _ if !params.cycle => None,
        _ => Some(if params.increment > 0 {
            params.min
        } else {
            params.max
        }),
    }
}

fn ended(params: &SequenceParams) -> Error {
    let (bound, value) = if params.increment > 0 {
        ("maximum", params.max)
    } else {
        ("minimum", params.min)
    };
    error!(
        SequenceLimitExceeded,
        "nextval: reached {bound} value of sequence ({value})"
    )
}

impl Store {
    /// The next number. The sequence begins with `params.start` when it has not been used.
    pub fn sequence_next(&self, prefix: Prefix, params: &SequenceParams) -> Result<i64> {
        let mut sequences = self.sequences().lock();
        let mut state = match self.sequence_state(&mut sequences, prefix)? {
            Some(state) => state,
            None => State {
                last: params.start,
                called: false,
                covered: 0,
                increment: 0,
            },
        };
        let next = if state.called {
            advance(state.last, params).ok_or_else(|| ended(params))?
        } else {
            state.last
        };
        if state.covered == 0 || state.increment != params.increment {
            let ahead = i128::from(next) + i128::from(params.increment) * i128::from(CACHE);
            let mark = ahead.clamp(i128::from(params.min), i128::from(params.max)) as i64;
            // A start outside of the bounds is the caller's, not ours to move.
            let mark = if (params.min..=params.max).contains(&next) {
                mark
            } else {
                next
            };
            self.store_sequence(prefix, mark, true)?;
            let covered = (i128::from(mark) - i128::from(next)).abs()
                / i128::from(params.increment).abs().max(1);
            state.covered = covered as u32;
        } else {
            state.covered -= 1;
        }
        state = State {
            last: next,
            called: true,
            increment: params.increment,
            ..state
        };
        sequences.known.insert(prefix, state);
        Ok(next)
    }

    /// `setval`: the next number is the one after `value`, or `value` itself when not `is_called`.
    pub fn sequence_set(&self, prefix: Prefix, value: i64, is_called: bool) -> Result<()> {
        let mut sequences = self.sequences().lock();
        self.store_sequence(prefix, value, is_called)?;
        let state = State {
            last: value,
            called: is_called,
            covered: 0,
            increment: 0,
        };
        sequences.known.insert(prefix, state);
        Ok(())
    }

    /// `last_value` and `is_called`; `None` when the sequence has not been used.
    pub fn sequence_get(&self, prefix: Prefix) -> Result<Option<(i64, bool)>> {
        let mut sequences = self.sequences().lock();
        Ok(self
            .sequence_state(&mut sequences, prefix)?
            .map(|s| (s.last, s.called)))
    }

    fn sequence_state(&self, sequences: &mut Sequences, prefix: Prefix) -> Result<Option<State>> {
        if let Some(state) = sequences.known.get(&prefix) {
            return Ok(Some(*state));
        }
        let key = system_key(SEQUENCE, prefix);
        let Some(stored) = self.database().get(Family::System, &key, None)? else {
            return Ok(None);
        };
        let Some((last, [called])) = stored.split_first_chunk::<8>() else {
            return Err(Error::new(
                ErrorKind::DataCorrupted,
                "sequence record does not decode",
            ));
        };
        let last = i64::from_be_bytes(*last);
        Ok(Some(State {
            last,
            called: *called != 0,
            covered: 0,
            increment: 0,
        }))
    }

    fn store_sequence(&self, prefix: Prefix, last: i64, called: bool) -> Result<()> {
        let mut batch = Batch::new();
        let key = system_key(SEQUENCE, prefix);
        batch.put(
            self.database().id(Family::System),
            &key,
            &encode(last, called),
        );
        let number = self.wal().write(batch.finish())?;
        self.wal().arm(crate::Durability::EverySecond);
        self.wal().flush(number)
    }

    pub(crate) fn forget_sequence(&self, prefix: Prefix) {
        self.sequences().lock().known.remove(&prefix);
    }

    /// Stores where each sequence really is; for a clean close.
    pub(crate) fn settle_sequences(&self) -> Result<()> {
        let sequences = self.sequences().lock();
        for (prefix, state) in &sequences.known {
            self.store_sequence(*prefix, state.last, state.called)?;
        }
        Ok(())
    }
}
