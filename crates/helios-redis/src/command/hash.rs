//! Commands on hashes.

use super::option::{fail, integer, is, syntax_error};
use super::{KeyCall, Run, wrong_arity};
use helios_engine::keyspace::{Kind, Slot, number};
use helios_types::Result;

pub const HANDLERS: &[(&str, Run)] = &[
    ("hdel", Run::Keys(hdel)),
    ("hexists", Run::Keys(hexists)),
    ("hget", Run::Keys(hget)),
    ("hgetall", Run::Keys(hgetall)),
    ("hincrby", Run::Keys(hincrby)),
    ("hincrbyfloat", Run::Keys(hincrbyfloat)),
    ("hkeys", Run::Keys(hkeys)),
    ("hlen", Run::Keys(hlen)),
    ("hmget", Run::Keys(hmget)),
    ("hmset", Run::Keys(hmset)),
    ("hrandfield", Run::Keys(hrandfield)),
    ("hset", Run::Keys(hset)),
    ("hsetnx", Run::Keys(hsetnx)),
    ("hstrlen", Run::Keys(hstrlen)),
    ("hvals", Run::Keys(hvals)),
];

type Call<'c, 'k> = KeyCall<'c, 'k>;

fn count(slot: &Slot<'_>) -> Result<usize> {
    Ok(slot
        .of(Kind::Hash)?
        .map_or(0, |entry| entry.count() as usize))
}

fn hget(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.hash(call.args.get(1))?;
    let value = call.keys.hash_get(&slot, call.args.get(2))?;
    call.out
        .optional_bulk(value.as_ref().map(|value| value.bytes()));
    Ok(())
}

fn hmget(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.hash(call.args.get(1))?;
    call.out.array(call.args.len() - 2);
    for field in call.args.from(2).iter() {
        let value = call.keys.hash_get(&slot, field)?;
        call.out
            .optional_bulk(value.as_ref().map(|value| value.bytes()));
    }
    Ok(())
}

fn hexists(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.hash(call.args.get(1))?;
    let found = call.keys.hash_get(&slot, call.args.get(2))?.is_some();
    call.out.flag(found);
    Ok(())
}

fn hstrlen(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.hash(call.args.get(1))?;
    let value = call.keys.hash_get(&slot, call.args.get(2))?;
    call.out
        .integer(value.map_or(0, |value| value.bytes().len() as i64));
    Ok(())
}

fn hlen(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.hash(call.args.get(1))?;
    call.out.integer(count(&slot)? as i64);
    Ok(())
}

fn hgetall(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.hash(call.args.get(1))?;
    call.out.map(count(&slot)?);
    let out = &mut *call.out;
    call.keys.hash_visit(&slot, &mut |field, value| {
        out.bulk(field);
        out.bulk(value);
    })
}

fn hkeys(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.hash(call.args.get(1))?;
    call.out.array(count(&slot)?);
    let out = &mut *call.out;
    call.keys.hash_visit(&slot, &mut |field, _| out.bulk(field))
}

fn hvals(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.hash(call.args.get(1))?;
    call.out.array(count(&slot)?);
    let out = &mut *call.out;
    call.keys.hash_visit(&slot, &mut |_, value| out.bulk(value))
}

fn set_pairs(call: &mut Call<'_, '_>, command: &str) -> Result<u64> {
    let args = call.args;
    if !args.len().is_multiple_of(2) {
        return Err(wrong_arity(command));
    }
    let pairs = (2..args.len())
        .step_by(2)
        .map(|at| (args.get(at), args.get(at + 1)));
    call.keys.hash_set(args.get(1), pairs)
}

fn hset(call: &mut Call<'_, '_>) -> Result<()> {
    let added = set_pairs(call, "hset")?;
    call.out.integer(added as i64);
    Ok(())
}

fn hmset(call: &mut Call<'_, '_>) -> Result<()> {
    set_pairs(call, "hmset")?;
    call.out.ok();
    Ok(())
}

fn hsetnx(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let added = call
        .keys
        .hash_set_absent(args.get(1), args.get(2), args.get(3))?;
    call.out.flag(added);
    Ok(())
}

fn hdel(call: &mut Call<'_, '_>) -> Result<()> {
    let removed = call
        .keys
        .hash_delete(call.args.get(1), call.args.from(2).iter())?;
    call.out.integer(removed as i64);
    Ok(())
}

fn hincrby(call: &mut Call<'_, '_>) -> Result<()> {
    let by = integer(call.args.get(3))?;
    let number = call
        .keys
        .hash_increment(call.args.get(1), call.args.get(2), by)?;
    call.out.integer(number);
    Ok(())
}

fn hincrbyfloat(call: &mut Call<'_, '_>) -> Result<()> {
    let by = call.args.get(3);
    if !number::is_decimal(by) {
        return fail("value is not a valid float");
    }
    if number::parse_f64(by).is_some_and(f64::is_infinite) {
        return fail("value is NaN or Infinity");
    }
    let number = call
        .keys
        .hash_increment_decimal(call.args.get(1), call.args.get(2), by)?;
    call.out.bulk(&number);
    Ok(())
}

fn hrandfield(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    if args.len() == 2 {
        let slot = call.keys.hash(args.get(1))?;
        let drawn = call.keys.random_distinct(&slot, 1)?;
        call.out
            .optional_bulk(drawn.first().map(|(field, _)| field.as_slice()));
        return Ok(());
    }
    let wanted = integer(args.get(2))?;
    let with_values = match args.len() {
        3 => false,
        4 if is(args.get(3), "withvalues") => true,
        _ => return syntax_error(),
    };
    if with_values && !(-i64::MAX / 2..=i64::MAX / 2).contains(&wanted) {
        return fail("value is out of range");
    }
    let slot = call.keys.hash(args.get(1))?;
    random_elements(call, &slot, wanted, with_values, |out, value| {
        out.bulk(value)
    })
}

/// The answer of HRANDFIELD, SRANDMEMBER and ZRANDMEMBER with a count: different elements, or, for a
/// negative count, that many drawn independently.
pub fn random_elements(
    call: &mut Call<'_, '_>,
    slot: &Slot<'_>,
    wanted: i64,
    with_values: bool,
    value_of: fn(&mut crate::codec::ReplyWriter, &[u8]),
) -> Result<()> {
    let number = usize::try_from(wanted.unsigned_abs()).unwrap_or(usize::MAX);
    let header = |out: &mut crate::codec::ReplyWriter, count: usize| {
        if with_values {
            out.pairs(count)
        } else {
            out.array(count)
        }
    };
    let each = |out: &mut crate::codec::ReplyWriter, element: &[u8], value: &[u8]| {
        if with_values {
            out.pair();
            out.bulk(element);
            value_of(out, value);
        } else {
            out.bulk(element);
        }
    };
    if wanted >= 0 {
        let drawn = call.keys.random_distinct(slot, number)?;
        header(call.out, drawn.len());
        for (element, value) in &drawn {
            each(call.out, element, value);
        }
        return Ok(());
    }
    if !slot.exists() {
        header(call.out, 0);
        return Ok(());
    }
    header(call.out, number);
    let out = &mut *call.out;
    call.keys
        .random_repeated(slot, number, &mut |element, value| {
            each(out, element, value)
        })
}
