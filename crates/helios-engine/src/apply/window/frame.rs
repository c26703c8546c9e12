//! Window frames: which rows of its partition a row's function sees.

use super::super::ExecContext;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits};
use helios_planner::pgtype::{natural_type, opaque, scalar_to_value};
use helios_planner::scalar::SortOrder;
use helios_types::datetime::{TimeZone, date_to_timestamp, timestamp_add, timestamptz_add};
use helios_types::{Interval, Numeric, Result, Value, bail};
use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Units {
    Rows,
    Range,
    Groups,
}

#[derive(Clone, Debug)]
enum Bound {
    UnboundedPreceding,
    Preceding(Value),
    CurrentRow,
    Following(Value),
    UnboundedFollowing,
}

/// A compiled frame clause.
#[derive(Clone, Debug)]
pub struct FrameSpec {
    units: Units,
    start: Bound,
    end: Bound,
}

fn offset(scalar: &ScalarValue) -> Result<Option<Value>> {
    if scalar.is_null() {
        return Ok(None);
    }
    let value = match scalar {
        ScalarValue::Binary(Some(bytes)) => opaque::decode(bytes)?.to_value(),
        ScalarValue::UInt64(Some(n)) => Value::Int8(i64::try_from(*n).unwrap_or(i64::MAX)),
        other => scalar_to_value(other, natural_type(&other.data_type()))?,
    };
    let negative = match &value {
        Value::Float8(v) => *v < 0.0 || v.is_nan(),
        Value::Float4(v) => *v < 0.0 || v.is_nan(),
        Value::Numeric(v) => v.is_negative() || v.is_nan(),
        Value::Interval(v) => v.total_micros() < 0,
        other => other.as_i64().is_some_and(|n| n < 0),
    };
    if negative {
        bail!(
            InvalidParameterValue,
            "invalid preceding or following size in window function"
        );
    }
    Ok(Some(value))
}

impl FrameSpec {
    pub fn new(frame: &WindowFrame) -> Result<Self> {
        let bound = |bound: &WindowFrameBound| {
            Ok::<_, helios_types::Error>(match bound {
                WindowFrameBound::CurrentRow => Bound::CurrentRow,
                WindowFrameBound::Preceding(n) => {
                    offset(n)?.map_or(Bound::UnboundedPreceding, Bound::Preceding)
                }
                WindowFrameBound::Following(n) => {
                    offset(n)?.map_or(Bound::UnboundedFollowing, Bound::Following)
                }
            })
        };
        Ok(FrameSpec {
            units: match frame.units {
                WindowFrameUnits::Rows => Units::Rows,
                WindowFrameUnits::Range => Units::Range,
                WindowFrameUnits::Groups => Units::Groups,
            },
            start: bound(&frame.start_bound)?,
            end: bound(&frame.end_bound)?,
        })
    }

    /// The frame of each row of a sorted partition.
    pub fn ranges(
        &self,
        keys: &[&[Value]],
        orders: &[SortOrder],
        peers: &[usize],
        cx: &mut ExecContext<'_>,
    ) -> Result<Vec<Range<usize>>> {
        let partition = Partition {
            keys,
            orders,
            peers,
        };
        (0..keys.len())
            .map(|row| {
                cx.tick()?;
                let start = match self.units {
                    Units::Rows => partition.rows_bound(&self.start, row, false)?,
                    Units::Groups => partition.groups_bound(&self.start, row, false)?,
                    Units::Range => partition.range_bound(&self.start, row, false, cx)?,
                };
                let end = match self.units {
                    Units::Rows => partition.rows_bound(&self.end, row, true)?,
                    Units::Groups => partition.groups_bound(&self.end, row, true)?,
                    Units::Range => partition.range_bound(&self.end, row, true, cx)?,
                };
                Ok(start.min(end)..end)
            })
            .collect()
    }
}

fn count(value: &Value) -> Result<usize> {
    match value.as_i64().and_then(|n| usize::try_from(n).ok()) {
        Some(n) => Ok(n),
        None => bail!(
            InvalidParameterValue,
            "frame offset must be a non-negative integer"
        ),
    }
}

struct Partition<'a> {
    keys: &'a [&'a [Value]],
    orders: &'a [SortOrder],
    peers: &'a [usize],
}

impl Partition<'_> {
    fn len(&self) -> usize {
        self.keys.len()
    }

    fn rows_bound(&self, bound: &Bound, row: usize, end: bool) -> Result<usize> {
        let after = usize::from(end);
        Ok(match bound {
            Bound::UnboundedPreceding => 0,
            Bound::UnboundedFollowing => self.len(),
            Bound::CurrentRow => row + after,
            Bound::Preceding(n) => (row + after).saturating_sub(count(n)?),
            Bound::Following(n) => row
                .saturating_add(count(n)?)
                .saturating_add(after)
                .min(self.len()),
        })
    }

    /// First row of a peer group, or the partition's end for a group after the last.
    fn group_start(&self, group: usize) -> usize {
        self.peers.partition_point(|p| *p < group)
    }

    fn groups_bound(&self, bound: &Bound, row: usize, end: bool) -> Result<usize> {
        let (group, after) = (self.peers[row], usize::from(end));
        Ok(match bound {
            Bound::UnboundedPreceding => 0,
            Bound::UnboundedFollowing => self.len(),
            Bound::CurrentRow => self.group_start(group + after),
            Bound::Preceding(n) => match (group + after).checked_sub(count(n)?) {
                Some(group) => self.group_start(group),
                None => 0,
            },
            Bound::Following(n) => {
                self.group_start(group.saturating_add(count(n)?).saturating_add(after))
            }
        })
    }

    fn range_bound(
        &self,
        bound: &Bound,
        row: usize,
        end: bool,
        cx: &mut ExecContext<'_>,
    ) -> Result<usize> {
        let (distance, backwards) = match bound {
            Bound::UnboundedPreceding => return Ok(0),
            Bound::UnboundedFollowing => return Ok(self.len()),
            Bound::CurrentRow => return Ok(self.group_start(self.peers[row] + usize::from(end))),
            Bound::Preceding(n) => (n, true),
            Bound::Following(n) => (n, false),
        };
        let ([order], [key]) = (self.orders, self.keys[row]) else {
            bail!(
                WindowingError,
                "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column"
            );
        };
        if key.is_null() {
            return Ok(self.group_start(self.peers[row] + usize::from(end)));
        }
        let edge = shift(key, distance, backwards != order.descending, cx)?;
        Ok(self.keys.partition_point(|k| {
            let compared = order.compare(&k[0], &edge);
            if end {
                compared.is_le()
            } else {
                compared.is_lt()
            }
        }))
    }
}

/// `key - distance` (`back`) or `key + distance`.
fn shift(key: &Value, distance: &Value, back: bool, cx: &ExecContext<'_>) -> Result<Value> {
    let signed = |i: &Interval| if back { i.checked_neg() } else { Ok(*i) };
    Ok(match (key, distance) {
        (Value::Float4(k), _) => Value::Float8(float(f64::from(*k), distance, back)?),
        (Value::Float8(k), _) => Value::Float8(float(*k, distance, back)?),
        (Value::Numeric(k), _) => {
            let distance = match distance {
                Value::Numeric(n) => n.clone(),
                other => match other.as_i64() {
                    Some(n) => Numeric::from(n),
                    None => return mismatch(key),
                },
            };
            Value::Numeric(if back {
                k.sub(&distance)?
            } else {
                k.add(&distance)?
            })
        }
        (Value::Date(k), Value::Interval(i)) => {
            let edge = timestamp_add(date_to_timestamp(*k)?, &signed(i)?)?;
            // The first day that is not before the edge going back, the last one going forward.
            let day = edge.div_euclid(86_400_000_000);
            let partial = edge.rem_euclid(86_400_000_000) != 0;
            Value::Date((day + i64::from(back && partial)) as i32)
        }
        (Value::Timestamp(k), Value::Interval(i)) => {
            Value::Timestamp(timestamp_add(*k, &signed(i)?)?)
        }
        (Value::TimestampTz(k), Value::Interval(i)) => {
            let zone = TimeZone::parse(cx.functions.time_zone())?;
            Value::TimestampTz(timestamptz_add(*k, &signed(i)?, zone)?)
        }
        (Value::Time(k), Value::Interval(i)) => {
            let step = if back {
                i.micros.saturating_neg()
            } else {
                i.micros
            };
            Value::Time(k.saturating_add(step))
        }
        (Value::Interval(k), Value::Interval(i)) => {
            Value::Interval(std::sync::Arc::new(k.checked_add(&signed(i)?)?))
        }
        (Value::Date(k), _) => match distance.as_i64() {
            Some(n) => {
                let days = i64::from(*k) + if back { -n } else { n };
                Value::Date(days.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32)
            }
            None => return mismatch(key),
        },
        _ => match (key.as_i64(), distance.as_i64()) {
            (Some(k), Some(n)) => Value::Int8(if back {
                k.saturating_sub(n)
            } else {
                k.saturating_add(n)
            }),
            _ => return mismatch(key),
        },
    })
}

fn mismatch(key: &Value) -> Result<Value> {
    bail!(
        Unsupported,
        "RANGE with offset PRECEDING/FOLLOWING is not supported for this column type ({key:?})"
    )
}

fn float(key: f64, distance: &Value, back: bool) -> Result<f64> {
    let distance = match distance {
        Value::Float8(v) => *v,
        Value::Float4(v) => f64::from(*v),
        Value::Numeric(v) => v.to_f64(),
        other => match other.as_i64() {
            Some(n) => n as f64,
            None => bail!(
                DatatypeMismatch,
                "frame offset of a float column must be a number"
            ),
        },
    };
    Ok(if back { key - distance } else { key + distance })
}
