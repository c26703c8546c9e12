//! Window functions, each computed over a whole partition.

use super::WindowInput;
use helios_types::{Error, ErrorKind, Result, Value};

fn rows(input: &WindowInput<'_>) -> usize {
    input.peers.len()
}

/// First row of the peer group of each row.
fn first_peers(peers: &[usize]) -> Vec<usize> {
    let mut first = 0;
    peers
        .iter()
        .enumerate()
        .map(|(i, group)| {
            if i > 0 && peers.get(i - 1) != Some(group) {
                first = i;
            }
            first
        })
        .collect()
}

pub fn row_number(input: WindowInput<'_>) -> Result<Vec<Value>> {
    Ok((1..=rows(&input) as i64).map(Value::Int8).collect())
}

pub fn rank(input: WindowInput<'_>) -> Result<Vec<Value>> {
    Ok(first_peers(input.peers)
        .into_iter()
        .map(|first| Value::Int8(first as i64 + 1))
        .collect())
}

pub fn dense_rank(input: WindowInput<'_>) -> Result<Vec<Value>> {
    Ok(input
        .peers
        .iter()
        .map(|group| Value::Int8(*group as i64 + 1))
        .collect())
}

pub fn percent_rank(input: WindowInput<'_>) -> Result<Vec<Value>> {
    let others = rows(&input).saturating_sub(1) as f64;
    Ok(first_peers(input.peers)
        .into_iter()
        .map(|first| {
            Value::Float8(if others == 0.0 {
                0.0
            } else {
                first as f64 / others
            })
        })
        .collect())
}

pub fn cume_dist(input: WindowInput<'_>) -> Result<Vec<Value>> {
    let n = rows(&input);
    let mut out = vec![Value::Null; n];
    let mut end = n;
    for i in (0..n).rev() {
        if i + 1 < n && input.peers[i] != input.peers[i + 1] {
            end = i + 1;
        }
        out[i] = Value::Float8(end as f64 / n as f64);
    }
    Ok(out)
}

fn argument<'a>(input: &'a WindowInput<'_>, row: usize, index: usize) -> &'a Value {
    input
        .args
        .get(row)
        .and_then(|args| args.get(index))
        .unwrap_or(&Value::Null)
}

pub fn ntile(input: WindowInput<'_>) -> Result<Vec<Value>> {
    let n = rows(&input);
    let buckets = match argument(&input, 0, 0) {
        Value::Null => return Ok(vec![Value::Null; n]),
        other => other.as_i64().unwrap_or(0),
    };
    if buckets <= 0 {
        return Err(Error::new(
            ErrorKind::InvalidParameterValue,
            "argument of ntile must be greater than zero",
        )
        .with_sqlstate(*b"22014"));
    }
    let (size, larger) = (n as i64 / buckets, n as i64 % buckets);
    Ok((0..n as i64)
        .map(|row| {
            // The first buckets take one row more each.
            let boundary = larger * (size + 1);
            let bucket = if row < boundary {
                row / (size + 1)
            } else {
                larger + (row - boundary) / size
            };
            Value::Int4(bucket as i32 + 1)
        })
        .collect())
}

/// The value `direction * offset` rows away, or the third argument beyond the partition.
fn shifted(input: &WindowInput<'_>, direction: i64) -> Vec<Value> {
    let n = rows(input);
    let count = input.args.first().map_or(1, Vec::len);
    (0..n)
        .map(|row| {
            let offset = if count > 1 {
                argument(input, row, 1)
            } else {
                &Value::Int4(1)
            };
            let Some(offset) = offset.as_i64() else {
                return Value::Null;
            };
            let target = offset
                .checked_mul(direction)
                .and_then(|o| o.checked_add(row as i64))
                .and_then(|t| usize::try_from(t).ok())
                .filter(|t| *t < n);
            match target {
                Some(target) => argument(input, target, 0).clone(),
                None if count > 2 => argument(input, row, 2).clone(),
                None => Value::Null,
            }
        })
        .collect()
}

pub fn lag(input: WindowInput<'_>) -> Result<Vec<Value>> {
    Ok(shifted(&input, -1))
}

pub fn lead(input: WindowInput<'_>) -> Result<Vec<Value>> {
    Ok(shifted(&input, 1))
}

fn from_frame(
    input: &WindowInput<'_>,
    choose: impl Fn(usize, &std::ops::Range<usize>) -> Result<Option<usize>>,
) -> Result<Vec<Value>> {
    input
        .frames
        .iter()
        .enumerate()
        .map(|(row, frame)| {
            Ok(match choose(row, frame)? {
                Some(at) if frame.contains(&at) => argument(input, at, 0).clone(),
                _ => Value::Null,
            })
        })
        .collect()
}

pub fn first_value(input: WindowInput<'_>) -> Result<Vec<Value>> {
    from_frame(&input, |_, frame| Ok(Some(frame.start)))
}

pub fn last_value(input: WindowInput<'_>) -> Result<Vec<Value>> {
    from_frame(&input, |_, frame| Ok(frame.end.checked_sub(1)))
}

pub fn nth_value(input: WindowInput<'_>) -> Result<Vec<Value>> {
    from_frame(&input, |row, frame| {
        match argument(&input, row, 1).as_i64() {
            None => Ok(None),
            Some(n) if n <= 0 => Err(Error::new(
                ErrorKind::InvalidParameterValue,
                "argument of nth_value must be greater than zero",
            )
            .with_sqlstate(*b"22016")),
            Some(n) => Ok(frame.start.checked_add(n as usize - 1)),
        }
    })
}
