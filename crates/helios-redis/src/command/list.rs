//! Commands on lists.

use super::option::{counted_keys, fail, integer, integer_or, is, positive, syntax_error};
use super::{Blocking, KeyCall, Run};
use crate::codec::{Args, ReplyWriter};
use helios_engine::keyspace::Kind;
use helios_engine::keyspace::lists::{End, Inserted, resolve_range};
use helios_types::Result;

pub const HANDLERS: &[(&str, Run)] = &[
    ("blmove", Run::Blocking(&BLMOVE)),
    ("blmpop", Run::Blocking(&BLMPOP)),
    ("blpop", Run::Blocking(&BLPOP)),
    ("brpop", Run::Blocking(&BRPOP)),
    ("brpoplpush", Run::Blocking(&BRPOPLPUSH)),
    ("lindex", Run::Keys(lindex)),
    ("linsert", Run::Keys(linsert)),
    ("llen", Run::Keys(llen)),
    ("lmove", Run::Keys(lmove)),
    ("lmpop", Run::Keys(lmpop)),
    ("lpop", Run::Keys(lpop)),
    ("lpos", Run::Keys(lpos)),
    ("lpush", Run::Keys(lpush)),
    ("lpushx", Run::Keys(lpushx)),
    ("lrange", Run::Keys(lrange)),
    ("lrem", Run::Keys(lrem)),
    ("lset", Run::Keys(lset)),
    ("ltrim", Run::Keys(ltrim)),
    ("rpop", Run::Keys(rpop)),
    ("rpoplpush", Run::Keys(rpoplpush)),
    ("rpush", Run::Keys(rpush)),
    ("rpushx", Run::Keys(rpushx)),
];

static BLPOP: Blocking = Blocking {
    attempt: blpop,
    empty: ReplyWriter::null_array,
    timeout_first: false,
};
static BRPOP: Blocking = Blocking {
    attempt: brpop,
    empty: ReplyWriter::null_array,
    timeout_first: false,
};
static BLMOVE: Blocking = Blocking {
    attempt: blmove,
    empty: ReplyWriter::null_array,
    timeout_first: false,
};
static BRPOPLPUSH: Blocking = Blocking {
    attempt: brpoplpush,
    empty: ReplyWriter::null_array,
    timeout_first: false,
};
static BLMPOP: Blocking = Blocking {
    attempt: blmpop,
    empty: ReplyWriter::null_array,
    timeout_first: true,
};

type Call<'c, 'k> = KeyCall<'c, 'k>;

fn push(call: &mut Call<'_, '_>, end: End, only_existing: bool) -> Result<()> {
    let items = call.args.from(2);
    let length = call.keys.list_push(
        call.args.get(1),
        end,
        (0..items.len()).map(|at| items.get(at)),
        only_existing,
    )?;
    call.out.integer(length as i64);
    Ok(())
}

fn lpush(call: &mut Call<'_, '_>) -> Result<()> {
    push(call, End::Left, false)
}

fn rpush(call: &mut Call<'_, '_>) -> Result<()> {
    push(call, End::Right, false)
}

fn lpushx(call: &mut Call<'_, '_>) -> Result<()> {
    push(call, End::Left, true)
}

fn rpushx(call: &mut Call<'_, '_>) -> Result<()> {
    push(call, End::Right, true)
}

fn pop(call: &mut Call<'_, '_>, end: End, command: &str) -> Result<()> {
    let args = call.args;
    if args.len() > 3 {
        return Err(super::wrong_arity(command));
    }
    if args.len() == 2 {
        let popped = call.keys.list_pop(args.get(1), end, 1)?.unwrap_or_default();
        call.out.optional_bulk(popped.first().map(Vec::as_slice));
        return Ok(());
    }
    let count = positive(args.get(2))?;
    match call.keys.list_pop(args.get(1), end, count as u64)? {
        None => call.out.null_array(),
        Some(items) => write_items(call.out, &items),
    }
    Ok(())
}

fn write_items(out: &mut ReplyWriter, items: &[Vec<u8>]) {
    out.array(items.len());
    for item in items {
        out.bulk(item);
    }
}

fn lpop(call: &mut Call<'_, '_>) -> Result<()> {
    pop(call, End::Left, "lpop")
}

fn rpop(call: &mut Call<'_, '_>) -> Result<()> {
    pop(call, End::Right, "rpop")
}

fn llen(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.list(call.args.get(1))?;
    call.out
        .integer(slot.of(Kind::List)?.map_or(0, |entry| entry.count() as i64));
    Ok(())
}

fn lindex(call: &mut Call<'_, '_>) -> Result<()> {
    let index = integer(call.args.get(2))?;
    let slot = call.keys.list(call.args.get(1))?;
    let item = call.keys.list_at(&slot, index)?;
    call.out.optional_bulk(item.as_deref());
    Ok(())
}

fn lrange(call: &mut Call<'_, '_>) -> Result<()> {
    let (start, stop) = (integer(call.args.get(2))?, integer(call.args.get(3))?);
    let slot = call.keys.list(call.args.get(1))?;
    let length = slot.of(Kind::List)?.map_or(0, |entry| entry.count());
    let Some((first, last)) = resolve_range(start, stop, length) else {
        call.out.array(0);
        return Ok(());
    };
    call.out.array((last - first + 1) as usize);
    let out = &mut *call.out;
    call.keys
        .list_visit(&slot, first, last, &mut |item| out.bulk(item))
}

fn lset(call: &mut Call<'_, '_>) -> Result<()> {
    let index = integer(call.args.get(2))?;
    call.keys
        .list_set(call.args.get(1), index, call.args.get(3))?;
    call.out.ok();
    Ok(())
}

fn linsert(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let before = match args.get(2) {
        word if is(word, "before") => true,
        word if is(word, "after") => false,
        _ => return syntax_error(),
    };
    let found = call
        .keys
        .list_insert(args.get(1), before, args.get(3), args.get(4))?;
    call.out.integer(match found {
        Inserted::NoKey => 0,
        Inserted::NoPivot => -1,
        Inserted::Length(length) => length as i64,
    });
    Ok(())
}

fn lrem(call: &mut Call<'_, '_>) -> Result<()> {
    let count = integer(call.args.get(2))?;
    let removed = call
        .keys
        .list_remove(call.args.get(1), count, call.args.get(3))?;
    call.out.integer(removed as i64);
    Ok(())
}

fn ltrim(call: &mut Call<'_, '_>) -> Result<()> {
    let (start, stop) = (integer(call.args.get(2))?, integer(call.args.get(3))?);
    call.keys.list_trim(call.args.get(1), start, stop)?;
    call.out.ok();
    Ok(())
}

fn end_of(arg: &[u8]) -> Result<End> {
    match arg {
        word if is(word, "left") => Ok(End::Left),
        word if is(word, "right") => Ok(End::Right),
        _ => syntax_error(),
    }
}

fn move_item(call: &mut Call<'_, '_>, from: End, to: End) -> Result<Option<Vec<u8>>> {
    call.keys
        .list_move(call.args.get(1), call.args.get(2), from, to)
}

fn lmove(call: &mut Call<'_, '_>) -> Result<()> {
    let (from, to) = (end_of(call.args.get(3))?, end_of(call.args.get(4))?);
    let item = move_item(call, from, to)?;
    call.out.optional_bulk(item.as_deref());
    Ok(())
}

fn rpoplpush(call: &mut Call<'_, '_>) -> Result<()> {
    let item = move_item(call, End::Right, End::Left)?;
    call.out.optional_bulk(item.as_deref());
    Ok(())
}

fn answer_moved(call: &mut Call<'_, '_>, item: Option<Vec<u8>>) -> Result<bool> {
    if let Some(item) = &item {
        call.out.bulk(item);
    }
    Ok(item.is_some())
}

fn blmove(call: &mut Call<'_, '_>) -> Result<bool> {
    let (from, to) = (end_of(call.args.get(3))?, end_of(call.args.get(4))?);
    let item = move_item(call, from, to)?;
    answer_moved(call, item)
}

fn brpoplpush(call: &mut Call<'_, '_>) -> Result<bool> {
    let item = move_item(call, End::Right, End::Left)?;
    answer_moved(call, item)
}

fn pop_first(call: &mut Call<'_, '_>, end: End) -> Result<bool> {
    let args = call.args;
    for at in 1..args.len() - 1 {
        let key = args.get(at);
        if let Some(item) = call
            .keys
            .list_pop(key, end, 1)?
            .and_then(|mut items| items.pop())
        {
            call.out.array(2);
            call.out.bulk(key);
            call.out.bulk(&item);
            return Ok(true);
        }
    }
    Ok(false)
}

fn blpop(call: &mut Call<'_, '_>) -> Result<bool> {
    pop_first(call, End::Left)
}

fn brpop(call: &mut Call<'_, '_>) -> Result<bool> {
    pop_first(call, End::Right)
}

/// `[COUNT count]` behind the keys and the side of LMPOP and ZMPOP.
pub fn pop_count(args: Args<'_>) -> Result<usize> {
    match args.len() {
        0 => Ok(1),
        2 if is(args.get(0), "count") => {
            match integer_or(args.get(1), "count should be greater than 0")? {
                count @ 1.. => Ok(count as usize),
                _ => fail("count should be greater than 0"),
            }
        }
        _ => syntax_error(),
    }
}

/// Pops several items from the first list that has some; `at` is where `numkeys` stands.
fn pop_many(call: &mut Call<'_, '_>, at: usize) -> Result<bool> {
    let args = call.args;
    let (keys, rest) = counted_keys(args, at, "numkeys should be greater than 0")?;
    let end = end_of(args.get(rest))?;
    let count = pop_count(args.from(rest + 1))?;
    for key in keys.iter() {
        let Some(items) = call.keys.list_pop(key, end, count as u64)? else {
            continue;
        };
        call.out.array(2);
        call.out.bulk(key);
        write_items(call.out, &items);
        return Ok(true);
    }
    Ok(false)
}

fn lmpop(call: &mut Call<'_, '_>) -> Result<()> {
    if !pop_many(call, 1)? {
        call.out.null_array();
    }
    Ok(())
}

fn blmpop(call: &mut Call<'_, '_>) -> Result<bool> {
    pop_many(call, 2)
}

fn lpos(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let (mut rank, mut count, mut longest) = (1i64, None, 0u64);
    let mut at = 3;
    while at < args.len() {
        let (name, value) = (args.get(at), args.get(at + 1));
        if at + 1 >= args.len() {
            return syntax_error();
        }
        if is(name, "rank") {
            rank = integer(value)?;
            if rank == 0 {
                return fail(
                    "RANK can't be zero: use 1 to start from the first match, 2 from the second \
                     ... or use negative to start from the end of the list",
                );
            }
            if rank == i64::MIN {
                return fail(
                    "value is out of range, must be between -9223372036854775807 and 9223372036854775807",
                );
            }
        } else if is(name, "count") {
            count = Some(integer(value)?);
            if count.is_some_and(|count| count < 0) {
                return fail("COUNT can't be negative");
            }
        } else if is(name, "maxlen") {
            match u64::try_from(integer(value)?) {
                Ok(length) => longest = length,
                Err(_) => return fail("MAXLEN can't be negative"),
            }
        } else {
            return syntax_error();
        }
        at += 2;
    }
    let slot = call.keys.list(args.get(1))?;
    let items = call.keys.list_items(&slot)?;
    let found = positions(&items, args.get(2), rank, count, longest);
    match count {
        Some(_) => {
            call.out.array(found.len());
            found.iter().for_each(|at| call.out.integer(*at as i64));
        }
        None => match found.first() {
            Some(at) => call.out.integer(*at as i64),
            None => call.out.null(),
        },
    }
    Ok(())
}

fn positions(
    items: &[Vec<u8>],
    wanted: &[u8],
    rank: i64,
    count: Option<i64>,
    longest: u64,
) -> Vec<usize> {
    let most = match count {
        None => 1,
        Some(0) => usize::MAX,
        Some(count) => usize::try_from(count).unwrap_or(usize::MAX),
    };
    let compared = if longest == 0 {
        usize::MAX
    } else {
        longest as usize
    };
    let matching = |at: &usize| items[*at] == wanted;
    let skip = (rank.unsigned_abs() - 1) as usize;
    let all = 0..items.len();
    if rank > 0 {
        all.take(compared)
            .filter(matching)
            .skip(skip)
            .take(most)
            .collect()
    } else {
        all.rev()
            .take(compared)
            .filter(matching)
            .skip(skip)
            .take(most)
            .collect()
    }
}
