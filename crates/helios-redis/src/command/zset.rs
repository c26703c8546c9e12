//! Commands on sorted sets; ranges, combinations and pops have files of their own.

use super::hash::random_elements;
use super::option::{fail, float, integer, is, syntax_error};
use super::{KeyCall, Run};
use crate::codec::ReplyWriter;
use helios_engine::keyspace::zsets::range::{ZRange, parse_lex_bound, parse_score_bound};
use helios_engine::keyspace::zsets::{AddOptions, Scored};
use helios_engine::keyspace::{Kind, number};
use helios_types::Result;

pub const HANDLERS: &[(&str, Run)] = &[
    ("zadd", Run::Keys(zadd)),
    ("zcard", Run::Keys(zcard)),
    ("zcount", Run::Keys(zcount)),
    ("zincrby", Run::Keys(zincrby)),
    ("zlexcount", Run::Keys(zlexcount)),
    ("zmscore", Run::Keys(zmscore)),
    ("zrandmember", Run::Keys(zrandmember)),
    ("zrank", Run::Keys(zrank)),
    ("zrem", Run::Keys(zrem)),
    ("zrevrank", Run::Keys(zrevrank)),
    ("zscore", Run::Keys(zscore)),
];

type Call<'c, 'k> = KeyCall<'c, 'k>;

/// Members alone, or pairs of member and score.
pub fn write_members(out: &mut ReplyWriter, members: &[Scored], with_scores: bool) {
    if !with_scores {
        out.array(members.len());
        members.iter().for_each(|scored| out.bulk(&scored.member));
        return;
    }
    out.pairs(members.len());
    for scored in members {
        out.pair();
        out.bulk(&scored.member);
        out.double(scored.score);
    }
}

fn add_options(call: &Call<'_, '_>) -> Result<(AddOptions, bool, usize)> {
    let mut options = AddOptions::default();
    let mut changed = false;
    let mut at = 2;
    while at < call.args.len() {
        match call.args.get(at) {
            word if is(word, "nx") => options.only_new = true,
            word if is(word, "xx") => options.only_existing = true,
            word if is(word, "gt") => options.greater = true,
            word if is(word, "lt") => options.less = true,
            word if is(word, "ch") => changed = true,
            word if is(word, "incr") => options.increment = true,
            _ => break,
        }
        at += 1;
    }
    Ok((options, changed, at))
}

fn zadd(call: &mut Call<'_, '_>) -> Result<()> {
    let (options, changed, first) = add_options(call)?;
    let args = call.args;
    let count = args.len() - first;
    if count == 0 || !count.is_multiple_of(2) {
        return syntax_error();
    }
    if options.only_new && options.only_existing {
        return fail("XX and NX options at the same time are not compatible");
    }
    if (options.greater && options.less) || ((options.greater || options.less) && options.only_new)
    {
        return fail("GT, LT, and/or NX options at the same time are not compatible");
    }
    if options.increment && count > 2 {
        return fail("INCR option supports a single increment-element pair");
    }
    let mut members: smallvec::SmallVec<[(f64, &[u8]); 4]> = smallvec::SmallVec::new();
    for at in (first..args.len()).step_by(2) {
        members.push((float(args.get(at))?, args.get(at + 1)));
    }
    let added = call
        .keys
        .zset_add(args.get(1), options, members.iter().copied())?;
    if options.increment {
        match added.score {
            Some(score) => call.out.double(score),
            None => call.out.null(),
        }
    } else {
        let counted = added.added + if changed { added.changed } else { 0 };
        call.out.integer(counted as i64);
    }
    Ok(())
}

fn zincrby(call: &mut Call<'_, '_>) -> Result<()> {
    let by = float(call.args.get(2))?;
    let options = AddOptions {
        increment: true,
        ..AddOptions::default()
    };
    let member = std::iter::once((by, call.args.get(3)));
    let added = call.keys.zset_add(call.args.get(1), options, member)?;
    call.out.double(added.score.unwrap_or(by));
    Ok(())
}

fn zrem(call: &mut Call<'_, '_>) -> Result<()> {
    let removed = call
        .keys
        .zset_remove(call.args.get(1), call.args.from(2).iter())?;
    call.out.integer(removed as i64);
    Ok(())
}

fn zcard(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.zset(call.args.get(1))?;
    call.out.integer(
        slot.of(Kind::SortedSet)?
            .map_or(0, |entry| entry.count() as i64),
    );
    Ok(())
}

fn zscore(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.zset(call.args.get(1))?;
    match call.keys.zset_score(&slot, call.args.get(2))? {
        Some(score) => call.out.double(score),
        None => call.out.null(),
    }
    Ok(())
}

fn zmscore(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.zset(call.args.get(1))?;
    call.out.array(call.args.len() - 2);
    for member in call.args.from(2).iter() {
        match call.keys.zset_score(&slot, member)? {
            Some(score) => call.out.double(score),
            None => call.out.null(),
        }
    }
    Ok(())
}

fn rank(call: &mut Call<'_, '_>, reverse: bool) -> Result<()> {
    let args = call.args;
    let with_score = match args.len() {
        3 => false,
        4 if is(args.get(3), "withscore") => true,
        _ => return syntax_error(),
    };
    let slot = call.keys.zset(args.get(1))?;
    match call.keys.zset_rank(&slot, args.get(2), reverse)? {
        None if with_score => call.out.null_array(),
        None => call.out.null(),
        Some((rank, score)) => {
            if with_score {
                call.out.array(2);
            }
            call.out.integer(rank as i64);
            if with_score {
                call.out.double(score);
            }
        }
    }
    Ok(())
}

fn zrank(call: &mut Call<'_, '_>) -> Result<()> {
    rank(call, false)
}

fn zrevrank(call: &mut Call<'_, '_>) -> Result<()> {
    rank(call, true)
}

fn zcount(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let range = ZRange::Score(
        parse_score_bound(args.get(2))?,
        parse_score_bound(args.get(3))?,
    );
    let slot = call.keys.zset(args.get(1))?;
    let count = call.keys.zset_count(&slot, &range)?;
    call.out.integer(count as i64);
    Ok(())
}

fn zlexcount(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let range = ZRange::Lex(parse_lex_bound(args.get(2))?, parse_lex_bound(args.get(3))?);
    let slot = call.keys.zset(args.get(1))?;
    let count = call.keys.zset_count(&slot, &range)?;
    call.out.integer(count as i64);
    Ok(())
}

fn zrandmember(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let slot = call.keys.zset(args.get(1))?;
    if args.len() == 2 {
        let drawn = call.keys.random_distinct(&slot, 1)?;
        call.out
            .optional_bulk(drawn.first().map(|(member, _)| member.as_slice()));
        return Ok(());
    }
    let wanted = integer(args.get(2))?;
    let with_scores = match args.len() {
        3 => false,
        4 if is(args.get(3), "withscores") => true,
        _ => return syntax_error(),
    };
    if wanted == i64::MIN || (with_scores && wanted < -i64::MAX / 2) {
        return fail("value is out of range");
    }
    random_elements(call, &slot, wanted, with_scores, |out, key| {
        out.double(
            key.first_chunk::<8>()
                .map_or(0.0, |key| number::score_of(*key)),
        );
    })
}
