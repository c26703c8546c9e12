//! Commands on sets.

use super::hash::random_elements;
use super::option::{counted_keys, fail, integer, integer_or, is, syntax_error};
use super::{KeyCall, Run};
use crate::codec::Args;
use helios_engine::keyspace::Kind;
use helios_engine::keyspace::sets::Combination;
use helios_types::Result;

pub const HANDLERS: &[(&str, Run)] = &[
    ("sadd", Run::Keys(sadd)),
    ("scard", Run::Keys(scard)),
    ("sdiff", Run::Keys(sdiff)),
    ("sdiffstore", Run::Keys(sdiffstore)),
    ("sinter", Run::Keys(sinter)),
    ("sintercard", Run::Keys(sintercard)),
    ("sinterstore", Run::Keys(sinterstore)),
    ("sismember", Run::Keys(sismember)),
    ("smembers", Run::Keys(smembers)),
    ("smismember", Run::Keys(smismember)),
    ("smove", Run::Keys(smove)),
    ("spop", Run::Keys(spop)),
    ("srandmember", Run::Keys(srandmember)),
    ("srem", Run::Keys(srem)),
    ("sunion", Run::Keys(sunion)),
    ("sunionstore", Run::Keys(sunionstore)),
];

type Call<'c, 'k> = KeyCall<'c, 'k>;

fn sadd(call: &mut Call<'_, '_>) -> Result<()> {
    let members = call.args.from(2);
    let added = call.keys.set_add(
        call.args.get(1),
        (0..members.len()).map(|at| members.get(at)),
    )?;
    call.out.integer(added as i64);
    Ok(())
}

fn srem(call: &mut Call<'_, '_>) -> Result<()> {
    let removed = call
        .keys
        .set_remove(call.args.get(1), call.args.from(2).iter())?;
    call.out.integer(removed as i64);
    Ok(())
}

fn scard(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.set_slot(call.args.get(1))?;
    call.out
        .integer(slot.of(Kind::Set)?.map_or(0, |entry| entry.count() as i64));
    Ok(())
}

fn sismember(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.set_slot(call.args.get(1))?;
    let found = call.keys.set_contains(&slot, call.args.get(2))?;
    call.out.flag(found);
    Ok(())
}

fn smismember(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.set_slot(call.args.get(1))?;
    call.out.array(call.args.len() - 2);
    for member in call.args.from(2).iter() {
        let found = call.keys.set_contains(&slot, member)?;
        call.out.flag(found);
    }
    Ok(())
}

fn smembers(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.set_slot(call.args.get(1))?;
    call.out.set(
        slot.of(Kind::Set)?
            .map_or(0, |entry| entry.count() as usize),
    );
    let out = &mut *call.out;
    call.keys.set_visit(&slot, &mut |member| out.bulk(member))
}

fn smove(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let moved = call.keys.set_move(args.get(1), args.get(2), args.get(3))?;
    call.out.flag(moved);
    Ok(())
}

fn spop(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    match args.len() {
        2 => {
            let popped = call.keys.set_pop(args.get(1), 1)?;
            call.out.optional_bulk(popped.first().map(Vec::as_slice));
        }
        3 => {
            let count = super::option::positive(args.get(2))?;
            let popped = call.keys.set_pop(args.get(1), count)?;
            call.out.set(popped.len());
            popped.iter().for_each(|member| call.out.bulk(member));
        }
        _ => return syntax_error(),
    }
    Ok(())
}

fn srandmember(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let slot = call.keys.set_slot(args.get(1))?;
    match args.len() {
        2 => {
            let drawn = call.keys.random_distinct(&slot, 1)?;
            call.out
                .optional_bulk(drawn.first().map(|(member, _)| member.as_slice()));
            Ok(())
        }
        3 => {
            let wanted = integer(args.get(2))?;
            if wanted == i64::MIN {
                return fail("value is out of range");
            }
            random_elements(call, &slot, wanted, false, |_, _| {})
        }
        _ => syntax_error(),
    }
}

fn combine(call: &mut Call<'_, '_>, combination: Combination, keys: Args<'_>) -> Result<()> {
    let members = call.keys.set_combine(combination, keys.iter(), 0)?;
    call.out.set(members.len());
    members.iter().for_each(|member| call.out.bulk(member));
    Ok(())
}

fn combine_store(call: &mut Call<'_, '_>, combination: Combination) -> Result<()> {
    let members = call
        .keys
        .set_combine(combination, call.args.from(2).iter(), 0)?;
    let stored = call.keys.set_store(call.args.get(1), &members)?;
    call.out.integer(stored as i64);
    Ok(())
}

fn sinter(call: &mut Call<'_, '_>) -> Result<()> {
    combine(call, Combination::Intersection, call.args.from(1))
}

fn sunion(call: &mut Call<'_, '_>) -> Result<()> {
    combine(call, Combination::Union, call.args.from(1))
}

fn sdiff(call: &mut Call<'_, '_>) -> Result<()> {
    combine(call, Combination::Difference, call.args.from(1))
}

fn sinterstore(call: &mut Call<'_, '_>) -> Result<()> {
    combine_store(call, Combination::Intersection)
}

fn sunionstore(call: &mut Call<'_, '_>) -> Result<()> {
    combine_store(call, Combination::Union)
}

fn sdiffstore(call: &mut Call<'_, '_>) -> Result<()> {
    combine_store(call, Combination::Difference)
}

/// `[LIMIT limit]` of SINTERCARD and ZINTERCARD; zero is no limit.
pub fn intersection_limit(args: Args<'_>) -> Result<usize> {
    match args.len() {
        0 => Ok(0),
        2 if is(args.get(0), "limit") => {
            match usize::try_from(integer_or(args.get(1), "LIMIT can't be negative")?) {
                Ok(limit) => Ok(limit),
                Err(_) => fail("LIMIT can't be negative"),
            }
        }
        _ => syntax_error(),
    }
}

fn sintercard(call: &mut Call<'_, '_>) -> Result<()> {
    let message = "numkeys should be greater than 0";
    let args = call.args;
    let count = integer_or(args.get(1), message)?;
    if count > args.len() as i64 - 2 {
        return fail("Number of keys can't be greater than number of args");
    }
    let (keys, rest) = counted_keys(args, 1, message)?;
    let limit = intersection_limit(args.from(rest))?;
    let members = call
        .keys
        .set_combine(Combination::Intersection, keys.iter(), limit)?;
    call.out.integer(members.len() as i64);
    Ok(())
}
