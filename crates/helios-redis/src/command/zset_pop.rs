//! Commands that take the lowest or highest members of sorted sets, and may wait for them.

use super::list::pop_count;
use super::option::{counted_keys, is, positive, syntax_error};
use super::zset::write_members;
use super::{Blocking, KeyCall, Run};
use crate::codec::ReplyWriter;
use helios_types::Result;

pub const HANDLERS: &[(&str, Run)] = &[
    ("bzmpop", Run::Blocking(&BZMPOP)),
    ("bzpopmax", Run::Blocking(&BZPOPMAX)),
    ("bzpopmin", Run::Blocking(&BZPOPMIN)),
    ("zmpop", Run::Keys(zmpop)),
    ("zpopmax", Run::Keys(zpopmax)),
    ("zpopmin", Run::Keys(zpopmin)),
];

static BZPOPMIN: Blocking = Blocking {
    attempt: bzpopmin,
    empty: ReplyWriter::null_array,
    timeout_first: false,
};
static BZPOPMAX: Blocking = Blocking {
    attempt: bzpopmax,
    empty: ReplyWriter::null_array,
    timeout_first: false,
};
static BZMPOP: Blocking = Blocking {
    attempt: bzmpop,
    empty: ReplyWriter::null_array,
    timeout_first: true,
};

type Call<'c, 'k> = KeyCall<'c, 'k>;

fn pop(call: &mut Call<'_, '_>, highest: bool, command: &str) -> Result<()> {
    let args = call.args;
    if args.len() > 3 {
        return Err(super::wrong_arity(command));
    }
    if args.len() == 3 {
        let count = positive(args.get(2))?;
        let popped = call.keys.zset_pop(args.get(1), highest, count as u64)?;
        write_members(call.out, &popped, true);
        return Ok(());
    }
    // Without a count the one pair is flat in both protocols.
    let popped = call.keys.zset_pop(args.get(1), highest, 1)?;
    call.out.array(popped.len() * 2);
    for scored in &popped {
        call.out.bulk(&scored.member);
        call.out.double(scored.score);
    }
    Ok(())
}

fn zpopmin(call: &mut Call<'_, '_>) -> Result<()> {
    pop(call, false, "zpopmin")
}

fn zpopmax(call: &mut Call<'_, '_>) -> Result<()> {
    pop(call, true, "zpopmax")
}

fn pop_first(call: &mut Call<'_, '_>, highest: bool) -> Result<bool> {
    let args = call.args;
    for at in 1..args.len() - 1 {
        let key = args.get(at);
        if let Some(scored) = call.keys.zset_pop(key, highest, 1)?.first() {
            call.out.array(3);
            call.out.bulk(key);
            call.out.bulk(&scored.member);
            call.out.double(scored.score);
            return Ok(true);
        }
    }
    Ok(false)
}

fn bzpopmin(call: &mut Call<'_, '_>) -> Result<bool> {
    pop_first(call, false)
}

fn bzpopmax(call: &mut Call<'_, '_>) -> Result<bool> {
    pop_first(call, true)
}

/// Takes several members from the first sorted set that has some; `at` is where `numkeys` stands.
fn pop_many(call: &mut Call<'_, '_>, at: usize) -> Result<bool> {
    let args = call.args;
    let (keys, rest) = counted_keys(args, at, "numkeys should be greater than 0")?;
    let highest = match args.get(rest) {
        word if is(word, "min") => false,
        word if is(word, "max") => true,
        _ => return syntax_error(),
    };
    let count = pop_count(args.from(rest + 1))?;
    for key in keys.iter() {
        let popped = call.keys.zset_pop(key, highest, count as u64)?;
        if popped.is_empty() {
            continue;
        }
        call.out.array(2);
        call.out.bulk(key);
        call.out.array(popped.len());
        for scored in &popped {
            call.out.array(2);
            call.out.bulk(&scored.member);
            call.out.double(scored.score);
        }
        return Ok(true);
    }
    Ok(false)
}

fn zmpop(call: &mut Call<'_, '_>) -> Result<()> {
    if !pop_many(call, 1)? {
        call.out.null_array();
    }
    Ok(())
}

fn bzmpop(call: &mut Call<'_, '_>) -> Result<bool> {
    pop_many(call, 2)
}
