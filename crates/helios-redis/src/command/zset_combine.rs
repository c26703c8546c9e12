//! ZUNION, ZINTER, ZDIFF and what stores or counts their results.

use super::option::{counted_keys, fail, float_or, integer, is, syntax_error};
use super::set::intersection_limit;
use super::zset::write_members;
use super::zset_range::at_least_one_key;
use super::{KeyCall, Run};
use crate::codec::Args;
use helios_engine::keyspace::sets::Combination;
use helios_engine::keyspace::zsets::Scored;
use helios_engine::keyspace::zsets::combine::{Aggregation, Operand};
use helios_types::Result;

pub const HANDLERS: &[(&str, Run)] = &[
    ("zdiff", Run::Keys(zdiff)),
    ("zdiffstore", Run::Keys(zdiffstore)),
    ("zinter", Run::Keys(zinter)),
    ("zintercard", Run::Keys(zintercard)),
    ("zinterstore", Run::Keys(zinterstore)),
    ("zunion", Run::Keys(zunion)),
    ("zunionstore", Run::Keys(zunionstore)),
];

type Call<'c, 'k> = KeyCall<'c, 'k>;

struct Request<'a> {
    operands: Vec<Operand<'a>>,
    aggregation: Aggregation,
    with_scores: bool,
}

/// Reads `numkeys key … [WEIGHTS …] [AGGREGATE …] [WITHSCORES]` from `at` on.
fn request<'a>(
    args: Args<'a>,
    at: usize,
    command: &str,
    combination: Combination,
) -> Result<Request<'a>> {
    let count = integer(args.get(at))?;
    if count < 1 {
        return Err(at_least_one_key(command));
    }
    let (keys, rest) = counted_keys(args, at, "value is not an integer or out of range")?;
    let mut operands: Vec<Operand<'a>> = keys
        .iter()
        .map(|key| Operand { key, weight: 1.0 })
        .collect();
    let (mut aggregation, mut with_scores) = (Aggregation::Sum, false);
    let store = at == 2;
    let options = args.from(rest);
    let mut at = 0;
    while at < options.len() {
        let word = options.get(at);
        let weighs = combination != Combination::Difference;
        if weighs && is(word, "weights") && at + operands.len() < options.len() {
            for operand in &mut operands {
                at += 1;
                operand.weight = float_or(options.get(at), "weight value is not a float")?;
            }
        } else if weighs && is(word, "aggregate") && at + 1 < options.len() {
            at += 1;
            aggregation = match options.get(at) {
                word if is(word, "sum") => Aggregation::Sum,
                word if is(word, "min") => Aggregation::Min,
                word if is(word, "max") => Aggregation::Max,
                _ => return syntax_error(),
            };
        } else if !store && is(word, "withscores") {
            with_scores = true;
        } else {
            return syntax_error();
        }
        at += 1;
    }
    Ok(Request {
        operands,
        aggregation,
        with_scores,
    })
}

fn answer(call: &mut Call<'_, '_>, command: &str, combination: Combination) -> Result<()> {
    let request = request(call.args, 1, command, combination)?;
    let members = call
        .keys
        .zset_combine(combination, &request.operands, request.aggregation)?;
    write_members(call.out, &members, request.with_scores);
    Ok(())
}

fn store(call: &mut Call<'_, '_>, command: &str, combination: Combination) -> Result<()> {
    let request = request(call.args, 2, command, combination)?;
    let members: Vec<Scored> =
        call.keys
            .zset_combine(combination, &request.operands, request.aggregation)?;
    let stored = call.keys.zset_store(call.args.get(1), &members)?;
    call.out.integer(stored as i64);
    Ok(())
}

fn zunion(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, "zunion", Combination::Union)
}

fn zinter(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, "zinter", Combination::Intersection)
}

fn zdiff(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, "zdiff", Combination::Difference)
}

fn zunionstore(call: &mut Call<'_, '_>) -> Result<()> {
    store(call, "zunionstore", Combination::Union)
}

fn zinterstore(call: &mut Call<'_, '_>) -> Result<()> {
    store(call, "zinterstore", Combination::Intersection)
}

fn zdiffstore(call: &mut Call<'_, '_>) -> Result<()> {
    store(call, "zdiffstore", Combination::Difference)
}

fn zintercard(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let message = "numkeys should be greater than 0";
    let count = integer(args.get(1))?;
    if count < 1 {
        return Err(at_least_one_key("zintercard"));
    }
    if count > args.len() as i64 - 2 {
        return fail("Number of keys can't be greater than number of args");
    }
    let (keys, rest) = counted_keys(args, 1, message)?;
    let limit = intersection_limit(args.from(rest))?;
    let operands: Vec<Operand<'_>> = keys
        .iter()
        .map(|key| Operand { key, weight: 1.0 })
        .collect();
    let members = call
        .keys
        .zset_combine(Combination::Intersection, &operands, Aggregation::Sum)?;
    let count = if limit == 0 {
        members.len()
    } else {
        members.len().min(limit)
    };
    call.out.integer(count as i64);
    Ok(())
}
