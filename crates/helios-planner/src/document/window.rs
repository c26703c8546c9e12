//! `$setWindowFields`: fields computed of the documents around each document.
//!
//! The documents of a partition come together, are sorted, and each output is computed for all of
//! them before the next one. A frame that only grows at its end keeps its accumulator; any other
//! frame is accumulated anew for each document.

mod parse;

use super::accumulator::{Accumulator, State};
use super::error::{DocResult, fail};
use super::expression::Expression;
use super::number::Number;
use super::path::{Path, sort_value};
use super::raw::*;
use super::sort::SortSpec;
use super::stage::replace;
use std::ops::Range;

#[derive(Clone, Debug)]
pub struct Window {
    partition: Option<Expression>,
    sort: Option<SortSpec>,
    outputs: Vec<Output>,
}

#[derive(Clone, Debug)]
struct Output {
    path: Path,
    function: Function,
    frame: Frame,
}

#[derive(Clone, Debug)]
enum Function {
    Accumulate(Accumulator),
    Rank,
    DenseRank,
    DocumentNumber,
    Shift {
        output: Expression,
        by: i64,
        default: BsonBuf,
    },
    /// Change, or area, of `input` over the sort field; the field's unit in milliseconds when it
    /// is a date.
    Derivative(Expression, Option<f64>),
    Integral(Expression, Option<f64>),
    MovingAverage {
        input: Expression,
        alpha: f64,
    },
    Covariance {
        x: Expression,
        y: Expression,
        sample: bool,
    },
    LinearFill(Expression),
    LastKnown(Expression),
}

/// Which documents around one belong to its window.
#[derive(Clone, Debug)]
enum Frame {
    Whole,
    Documents(Edge<i64>, Edge<i64>),
    /// By the value of the sort field; dates count in milliseconds of the unit.
    Range(Edge<f64>, Edge<f64>, Option<f64>),
}

#[derive(Clone, Copy, Debug)]
enum Edge<T> {
    Unbounded,
    Current,
    By(T),
}

/// A partition in order, with what its outputs share.
struct Partition<'a> {
    documents: Vec<Bson<'a>>,
    sort: Option<&'a SortSpec>,
}

impl Window {
    pub fn compile(spec: Bson<'_>) -> DocResult<Window> {
        parse::window(spec)
    }

    /// Bytes that are equal for the documents of one partition.
    pub fn key(&self, document: Bson<'_>) -> DocResult<Vec<u8>> {
        let mut key = Vec::new();
        if let Some(partition) = &self.partition {
            let value = partition.evaluate(document)?;
            let value = value.as_bson();
            if value.is_array() {
                fail!(
                    14,
                    "An expression used to partition cannot evaluate to value of type array"
                );
            }
            super::key::encode_sort(&mut key, value);
        }
        Ok(key)
    }

    /// The documents of a partition with the new fields, in order.
    pub fn apply(
        &self,
        documents: &[Vec<u8>],
        mut checkpoint: impl FnMut() -> helios_types::Result<()>,
    ) -> helios_types::Result<Vec<Vec<u8>>> {
        let mut sorted: Vec<Bson<'_>> = documents.iter().map(|d| Bson::document(d)).collect();
        if let Some(sort) = &self.sort {
            sorted.sort_by(|a, b| sort.compare(*a, *b));
        }
        let mut results: Vec<Vec<u8>> = sorted.iter().map(|d| d.bytes.to_vec()).collect();
        let partition = Partition {
            documents: sorted,
            sort: self.sort.as_ref(),
        };
        for output in &self.outputs {
            let values = partition.compute(output, &mut checkpoint)?;
            for (result, value) in results.iter_mut().zip(&values) {
                *result = replace(Bson::document(result), &output.path.parts, value.as_bson());
            }
        }
        Ok(results)
    }
}

type Checkpoint<'c> = &'c mut dyn FnMut() -> helios_types::Result<()>;

impl Partition<'_> {
    fn len(&self) -> usize {
        self.documents.len()
    }

    fn compute(
        &self,
        output: &Output,
        checkpoint: Checkpoint<'_>,
    ) -> helios_types::Result<Vec<BsonBuf>> {
        Ok(match &output.function {
            Function::Accumulate(accumulator) => {
                return self.accumulate(accumulator, &output.frame, checkpoint);
            }
            Function::Rank => self.ranks(false),
            Function::DenseRank => self.ranks(true),
            Function::DocumentNumber => (1..=self.len() as i64).map(number).collect(),
            Function::Shift {
                output,
                by,
                default,
            } => self.shift(output, *by, default)?,
            Function::Derivative(input, unit) => {
                let slope = |points: &[(f64, f64)]| match points {
                    [(x0, y0), .., (x1, y1)] if x1 != x0 => BsonBuf::double((y1 - y0) / (x1 - x0)),
                    _ => BsonBuf::null(),
                };
                self.over_points(input, *unit, &output.frame, slope, checkpoint)?
            }
            Function::Integral(input, unit) => {
                let area = |points: &[(f64, f64)]| {
                    let parts = points.windows(2).map(|pair| match pair {
                        [(x0, y0), (x1, y1)] => (x1 - x0) * (y0 + y1) / 2.0,
                        _ => 0.0,
                    });
                    BsonBuf::double(parts.sum())
                };
                self.over_points(input, *unit, &output.frame, area, checkpoint)?
            }
            Function::MovingAverage { input, alpha } => self.moving_average(input, *alpha)?,
            Function::Covariance { x, y, sample } => {
                self.covariance(x, y, *sample, &output.frame, checkpoint)?
            }
            Function::LinearFill(input) => self.linear_fill(input)?,
            Function::LastKnown(input) => self.last_known(input)?,
        })
    }

    fn accumulate(
        &self,
        accumulator: &Accumulator,
        frame: &Frame,
        checkpoint: Checkpoint<'_>,
    ) -> helios_types::Result<Vec<BsonBuf>> {
        let kind = &accumulator.kind;
        let inputs = self.evaluate(&accumulator.input)?;
        let mut state = State::new(kind);
        let mut held = 0..0;
        let mut out: Vec<BsonBuf> = Vec::with_capacity(self.len());
        for wanted in self.frames(frame)? {
            let grows = wanted.start == held.start && wanted.end >= held.end;
            if !grows {
                state = State::new(kind);
                held = wanted.start..wanted.start;
            }
            if let (Some(last), true) = (out.last(), wanted == held && grows) {
                let last = last.clone();
                out.push(last);
                continue;
            }
            for input in inputs.get(held.end..wanted.end).unwrap_or_default() {
                state.add(kind, input.as_bson())?;
            }
            checkpoint()?;
            held = wanted;
            out.push(state.finish(kind)?);
        }
        Ok(out)
    }

    fn evaluate(&self, expression: &Expression) -> DocResult<Vec<BsonBuf>> {
        let values = self.documents.iter().map(|d| expression.evaluate(*d));
        values.map(|v| Ok(v?.into_buf())).collect()
    }

    /// The window of each document; empty where it is none.
    fn frames(&self, frame: &Frame) -> DocResult<Vec<Range<usize>>> {
        let n = self.len();
        match frame {
            Frame::Whole => Ok(vec![0..n; n]),
            Frame::Documents(lower, upper) => {
                let place = |i: usize, by: i64| (i as i64).saturating_add(by).clamp(0, n as i64);
                let start = |i: usize| match lower {
                    Edge::Unbounded => 0,
                    Edge::Current => i,
                    Edge::By(by) => place(i, *by) as usize,
                };
                let end = |i: usize| match upper {
                    Edge::Unbounded => n,
                    Edge::Current => i + 1,
                    Edge::By(by) => place(i, by.saturating_add(1)) as usize,
                };
                Ok((0..n).map(|i| start(i)..end(i).max(start(i))).collect())
            }
            Frame::Range(lower, upper, unit) => {
                let keys = self.keys(*unit, true)?;
                let scale = unit.unwrap_or(1.0);
                let start = |key: f64| match lower {
                    Edge::Unbounded => 0,
                    Edge::Current => keys.partition_point(|k| *k < key),
                    Edge::By(by) => keys.partition_point(|k| *k < key + by * scale),
                };
                let end = |key: f64| match upper {
                    Edge::Unbounded => n,
                    Edge::Current => keys.partition_point(|k| *k <= key),
                    Edge::By(by) => keys.partition_point(|k| *k <= key + by * scale),
                };
                let frame = |key: &f64| start(*key)..end(*key).max(start(*key));
                Ok(keys.iter().map(frame).collect())
            }
        }
    }

    /// The sort field of each document as a number; dates in milliseconds when there is a unit.
    fn keys(&self, unit: Option<f64>, ranged: bool) -> DocResult<Vec<f64>> {
        let Some([key]) = self.sort.map(|s| s.keys.as_slice()) else {
            fail!(5339902, "Range-based bounds require sortBy a single field");
        };
        let value = |document: &Bson<'_>| {
            let value = sort_value(*document, &key.path.parts, key.descending);
            match (value.as_date(), unit) {
                (Some(ms), Some(_)) if value.tag == DATE => Ok(ms as f64),
                (Some(_), None) if value.tag == DATE => fail!(
                    5429513,
                    "For windows that involve date or time ranges, a unit must be provided."
                ),
                _ => match Number::of(value).filter(|_| unit.is_none()) {
                    Some(number) => Ok(number.to_f64()),
                    None if ranged => fail!(
                        5429414,
                        "Invalid range: Expected the sortBy field to be a {}, but it was {}",
                        if unit.is_some() { "Date" } else { "number" },
                        value.type_name()
                    ),
                    None => fail!(
                        5624902,
                        "the sortBy field must be a {}, but it was {}",
                        if unit.is_some() { "Date" } else { "number" },
                        value.type_name()
                    ),
                },
            }
        };
        self.documents.iter().map(value).collect()
    }

    fn ranks(&self, dense: bool) -> Vec<BsonBuf> {
        let mut out = Vec::with_capacity(self.len());
        let mut rank = 0;
        for (at, document) in self.documents.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| self.documents.get(at));
            let same = before.is_some_and(|before| {
                self.sort
                    .is_some_and(|sort| sort.compare(*before, *document).is_eq())
            });
            if !same {
                rank = if dense { rank + 1 } else { at as i64 + 1 };
            }
            out.push(number(rank));
        }
        out
    }

    fn shift(&self, output: &Expression, by: i64, default: &BsonBuf) -> DocResult<Vec<BsonBuf>> {
        let values = self.evaluate(output)?;
        let shifted = |at: usize| {
            let place = usize::try_from((at as i64).saturating_add(by)).ok();
            match place.and_then(|place| values.get(place)) {
                Some(value) if value.as_bson().is_missing() => BsonBuf::null(),
                Some(value) => value.clone(),
                None => default.clone(),
            }
        };
        Ok((0..self.len()).map(shifted).collect())
    }

    /// A function of the points (sort field, input) in each window.
    fn over_points(
        &self,
        input: &Expression,
        unit: Option<f64>,
        frame: &Frame,
        function: impl Fn(&[(f64, f64)]) -> BsonBuf,
        checkpoint: Checkpoint<'_>,
    ) -> helios_types::Result<Vec<BsonBuf>> {
        let keys = self.keys(unit, false)?;
        let scale = unit.unwrap_or(1.0);
        let inputs = self.evaluate(input)?;
        let mut out = Vec::with_capacity(self.len());
        for window in self.frames(frame)? {
            checkpoint()?;
            let points: Option<Vec<(f64, f64)>> = window
                .map(|at| {
                    let y = Number::of(inputs.get(at)?.as_bson())?.to_f64();
                    Some((keys.get(at)? / scale, y))
                })
                .collect();
            out.push(points.map_or(BsonBuf::null(), |points| function(&points)));
        }
        Ok(out)
    }

    fn moving_average(&self, input: &Expression, alpha: f64) -> DocResult<Vec<BsonBuf>> {
        let mut average: Option<f64> = None;
        let mut out = Vec::with_capacity(self.len());
        for value in self.evaluate(input)? {
            let Some(new) = Number::of(value.as_bson()).map(Number::to_f64) else {
                out.push(average.map_or(BsonBuf::null(), BsonBuf::double));
                continue;
            };
            match average {
                // The first one is itself, of its own type.
                None => out.push(value),
                Some(before) => {
                    let next = alpha * new + (1.0 - alpha) * before;
                    out.push(BsonBuf::double(next));
                    average = Some(next);
                    continue;
                }
            }
            average = Some(new);
        }
        Ok(out)
    }

    fn covariance(
        &self,
        x: &Expression,
        y: &Expression,
        sample: bool,
        frame: &Frame,
        checkpoint: Checkpoint<'_>,
    ) -> helios_types::Result<Vec<BsonBuf>> {
        let (x, y) = (self.evaluate(x)?, self.evaluate(y)?);
        let number = |v: &BsonBuf| Number::of(v.as_bson()).map(Number::to_f64);
        let pairs: Vec<Option<(f64, f64)>> = x
            .iter()
            .zip(&y)
            .map(|(x, y)| Some((number(x)?, number(y)?)))
            .collect();
        let mut out = Vec::with_capacity(self.len());
        for window in self.frames(frame)? {
            checkpoint()?;
            let found = pairs.get(window).unwrap_or_default().iter().flatten();
            let (mut n, mut mean_x, mut mean_y, mut together) = (0.0, 0.0, 0.0, 0.0);
            for (x, y) in found {
                n += 1.0;
                let from_mean = x - mean_x;
                mean_x += from_mean / n;
                mean_y += (y - mean_y) / n;
                together += from_mean * (y - mean_y);
            }
            let divisor = if sample { n - 1.0 } else { n };
            out.push(match divisor > 0.0 {
                true => BsonBuf::double(together / divisor),
                false => BsonBuf::null(),
            });
        }
        Ok(out)
    }

    /// Null is replaced on the line between the known values around it.
    fn linear_fill(&self, input: &Expression) -> DocResult<Vec<BsonBuf>> {
        let mut values = self.evaluate(input)?;
        let dated = self.documents.iter().any(|d| match self.sort {
            Some(sort) => sort
                .keys
                .first()
                .is_some_and(|k| sort_value(*d, &k.path.parts, k.descending).tag == DATE),
            None => false,
        });
        let keys = self.keys(dated.then_some(1.0), false)?;
        let mut known: Option<(usize, f64)> = None;
        for at in 0..values.len() {
            let Some(value) = values.get(at).map(BsonBuf::as_bson) else {
                break;
            };
            if value.is_nullish() {
                continue;
            }
            let Some(y) = Number::of(value).map(Number::to_f64) else {
                fail!(
                    14,
                    "Value to be filled must be numeric or nullish, but found type: {}",
                    value.type_name()
                );
            };
            if let Some((before, y0)) = known
                && let (Some(x0), Some(x1)) = (keys.get(before), keys.get(at))
            {
                for (value, x) in values.iter_mut().zip(&keys).take(at).skip(before + 1) {
                    *value = BsonBuf::double(y0 + (y - y0) * (x - x0) / (x1 - x0));
                }
            }
            known = Some((at, y));
        }
        values
            .iter_mut()
            .filter(|v| v.as_bson().is_nullish())
            .for_each(|v| *v = BsonBuf::null());
        Ok(values)
    }

    fn last_known(&self, input: &Expression) -> DocResult<Vec<BsonBuf>> {
        let mut last = BsonBuf::null();
        let mut values = self.evaluate(input)?;
        for value in &mut values {
            match value.as_bson().is_nullish() {
                true => *value = last.clone(),
                false => last = value.clone(),
            }
        }
        Ok(values)
    }
}

fn number(n: i64) -> BsonBuf {
    super::number::fitting_integer(n)
}
