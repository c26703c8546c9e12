//! Ranges of sorted sets: ZRANGE and the commands that it replaced.

use super::option::{fail, integer, is, syntax_error};
use super::zset::write_members;
use super::{KeyCall, Run};
use crate::codec::Args;
use helios_engine::keyspace::zsets::range::{Limit, ZRange, parse_lex_bound, parse_score_bound};
use helios_types::{Error, ErrorKind, Result};

pub const HANDLERS: &[(&str, Run)] = &[
    ("zrange", Run::Keys(zrange)),
    ("zrangebylex", Run::Keys(zrangebylex)),
    ("zrangebyscore", Run::Keys(zrangebyscore)),
    ("zrangestore", Run::Keys(zrangestore)),
    ("zremrangebylex", Run::Keys(zremrangebylex)),
    ("zremrangebyrank", Run::Keys(zremrangebyrank)),
    ("zremrangebyscore", Run::Keys(zremrangebyscore)),
    ("zrevrange", Run::Keys(zrevrange)),
    ("zrevrangebylex", Run::Keys(zrevrangebylex)),
    ("zrevrangebyscore", Run::Keys(zrevrangebyscore)),
];

type Call<'c, 'k> = KeyCall<'c, 'k>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

struct Request {
    range: ZRange,
    reverse: bool,
    limit: Limit,
    with_scores: bool,
}

/// Reads `start stop [options]`. `by` and `reverse` are fixed by the name of an older command, and
/// then cannot be given.
fn request(args: Args<'_>, by: Option<By>, reverse: Option<bool>, store: bool) -> Result<Request> {
    let (mut chosen, mut backwards) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
    let mut limit = None;
    let mut with_scores = false;
    let fixed = by.is_some();
    let mut at = 2;
    while at < args.len() {
        let word = args.get(at);
        if is(word, "withscores") && !store {
            with_scores = true;
        } else if is(word, "limit") && at + 2 < args.len() {
            limit = Some(Limit {
                offset: integer(args.get(at + 1))?,
                count: integer(args.get(at + 2))?,
            });
            at += 2;
        } else if !fixed && is(word, "rev") {
            backwards = true;
        } else if !fixed && is(word, "byscore") {
            chosen = By::Score;
        } else if !fixed && is(word, "bylex") {
            chosen = By::Lex;
        } else {
            return syntax_error();
        }
        at += 1;
    }
    if limit.is_some() && chosen == By::Rank {
        return fail(
            "syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        );
    }
    if with_scores && chosen == By::Lex {
        return fail("syntax error, WITHSCORES not supported in combination with BYLEX");
    }
    let (first, second) = (args.get(0), args.get(1));
    // Backwards the higher end is given first.
    let (low, high) = if backwards {
        (second, first)
    } else {
        (first, second)
    };
    let range = match chosen {
        By::Rank => ZRange::Rank(integer(first)?, integer(second)?),
        By::Score => ZRange::Score(parse_score_bound(low)?, parse_score_bound(high)?),
        By::Lex => ZRange::Lex(parse_lex_bound(low)?, parse_lex_bound(high)?),
    };
    let limit = limit.unwrap_or(Limit::ALL);
    Ok(Request {
        range,
        reverse: backwards,
        limit,
        with_scores,
    })
}

fn answer(call: &mut Call<'_, '_>, by: Option<By>, reverse: Option<bool>) -> Result<()> {
    let request = request(call.args.from(2), by, reverse, false)?;
    let slot = call.keys.zset(call.args.get(1))?;
    let members = call
        .keys
        .zset_range(&slot, &request.range, request.reverse, request.limit)?;
    write_members(call.out, &members, request.with_scores);
    Ok(())
}

fn zrange(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, None, None)
}

fn zrevrange(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, Some(By::Rank), Some(true))
}

fn zrangebyscore(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, Some(By::Score), Some(false))
}

fn zrevrangebyscore(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, Some(By::Score), Some(true))
}

fn zrangebylex(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, Some(By::Lex), Some(false))
}

fn zrevrangebylex(call: &mut Call<'_, '_>) -> Result<()> {
    answer(call, Some(By::Lex), Some(true))
}

fn zrangestore(call: &mut Call<'_, '_>) -> Result<()> {
    let request = request(call.args.from(3), None, None, true)?;
    let slot = call.keys.zset(call.args.get(2))?;
    let members = call
        .keys
        .zset_range(&slot, &request.range, request.reverse, request.limit)?;
    let stored = call.keys.zset_store(call.args.get(1), &members)?;
    call.out.integer(stored as i64);
    Ok(())
}

fn remove(call: &mut Call<'_, '_>, range: &ZRange) -> Result<()> {
    let removed = call.keys.zset_remove_range(call.args.get(1), range)?;
    call.out.integer(removed as i64);
    Ok(())
}

fn zremrangebyrank(call: &mut Call<'_, '_>) -> Result<()> {
    let range = ZRange::Rank(integer(call.args.get(2))?, integer(call.args.get(3))?);
    remove(call, &range)
}

fn zremrangebyscore(call: &mut Call<'_, '_>) -> Result<()> {
    let (low, high) = (
        parse_score_bound(call.args.get(2))?,
        parse_score_bound(call.args.get(3))?,
    );
    remove(call, &ZRange::Score(low, high))
}

fn zremrangebylex(call: &mut Call<'_, '_>) -> Result<()> {
    let (low, high) = (
        parse_lex_bound(call.args.get(2))?,
        parse_lex_bound(call.args.get(3))?,
    );
    remove(call, &ZRange::Lex(low, high))
}

/// The error of a count of keys that is not positive; Redis names the command in it.
pub fn at_least_one_key(command: &str) -> Error {
    Error::new(
        ErrorKind::InvalidParameterValue,
        format!("at least 1 input key is needed for '{command}' command"),
    )
}
