//! Commands on keys of any kind.

use super::option::{fail, integer, is, syntax_error};
use super::string::TimeForm;
use super::{KeyCall, Run};
use helios_engine::keyspace::Database;
use helios_engine::keyspace::keys::{ExpireCondition, Expired, TimeToLive};
use helios_types::{Error, ErrorKind, Result};

pub const HANDLERS: &[(&str, Run)] = &[
    ("copy", Run::Keys(copy)),
    ("dbsize", Run::Keys(dbsize)),
    ("del", Run::Keys(del)),
    ("exists", Run::Keys(exists)),
    ("expire", Run::Keys(expire)),
    ("expireat", Run::Keys(expireat)),
    ("expiretime", Run::Keys(expiretime)),
    ("memory|usage", Run::Keys(memory_usage)),
    ("move", Run::Keys(move_key)),
    ("object|encoding", Run::Keys(object_encoding)),
    ("object|freq", Run::Keys(object_freq)),
    ("object|idletime", Run::Keys(object_idletime)),
    ("object|refcount", Run::Keys(object_refcount)),
    ("persist", Run::Keys(persist)),
    ("pexpire", Run::Keys(pexpire)),
    ("pexpireat", Run::Keys(pexpireat)),
    ("pexpiretime", Run::Keys(pexpiretime)),
    ("pttl", Run::Keys(pttl)),
    ("randomkey", Run::Keys(randomkey)),
    ("rename", Run::Keys(rename)),
    ("renamenx", Run::Keys(renamenx)),
    ("touch", Run::Keys(exists)),
    ("ttl", Run::Keys(ttl)),
    ("type", Run::Keys(kind)),
    ("unlink", Run::Keys(del)),
];

type Call<'c, 'k> = KeyCall<'c, 'k>;

fn del(call: &mut Call<'_, '_>) -> Result<()> {
    let mut removed = 0;
    for key in call.args.from(1).iter() {
        removed += i64::from(call.keys.delete(key)?);
    }
    call.out.integer(removed);
    Ok(())
}

fn exists(call: &mut Call<'_, '_>) -> Result<()> {
    let mut found = 0;
    if call.args.len() > 2 {
        call.keys.pin();
    }
    for key in call.args.from(1).iter() {
        found += i64::from(call.keys.exists(key)?);
    }
    call.out.integer(found);
    Ok(())
}

fn kind(call: &mut Call<'_, '_>) -> Result<()> {
    let kind = call.keys.kind(call.args.get(1))?;
    call.out.status(kind.map_or("none", |kind| kind.name()));
    Ok(())
}

fn dbsize(call: &mut Call<'_, '_>) -> Result<()> {
    call.out.integer(call.keys.key_count());
    Ok(())
}

fn randomkey(call: &mut Call<'_, '_>) -> Result<()> {
    let key = call.keys.random_key()?;
    call.out.optional_bulk(key.as_deref());
    Ok(())
}

fn rename_key(call: &mut Call<'_, '_>, only_absent: bool) -> Result<bool> {
    call.keys
        .rename(call.args.get(1), call.args.get(2), only_absent)
}

fn rename(call: &mut Call<'_, '_>) -> Result<()> {
    rename_key(call, false)?;
    call.out.ok();
    Ok(())
}

fn renamenx(call: &mut Call<'_, '_>) -> Result<()> {
    let renamed = rename_key(call, true)?;
    call.out.flag(renamed);
    Ok(())
}

/// The other database of COPY and MOVE, which the request names by number.
pub fn database_number(arg: &[u8]) -> Result<usize> {
    let number = integer(arg)?;
    match usize::try_from(number).ok().filter(|number| *number < 16) {
        Some(number) => Ok(number),
        None => fail("DB index is out of range"),
    }
}

fn other_database(databases: &[Database], number: usize) -> Result<&Database> {
    databases
        .get(number)
        .ok_or_else(|| Error::new(ErrorKind::InvalidParameterValue, "DB index is out of range"))
}

fn copy(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let (mut number, mut replace) = (None, false);
    let mut at = 3;
    while at < args.len() {
        if is(args.get(at), "replace") {
            replace = true;
        } else if is(args.get(at), "db") && at + 1 < args.len() {
            at += 1;
            number = Some(database_number(args.get(at))?);
        } else {
            return syntax_error();
        }
        at += 1;
    }
    let here = call.keys.database().clone();
    let target = match number {
        Some(number) => other_database(call.databases, number)?,
        None => &here,
    };
    if *target == here && args.get(1) == args.get(2) {
        return fail("source and destination objects are the same");
    }
    let copied = call.keys.copy(args.get(1), target, args.get(2), replace)?;
    call.out.flag(copied);
    Ok(())
}

fn move_key(call: &mut Call<'_, '_>) -> Result<()> {
    let number = database_number(call.args.get(2))?;
    let target = other_database(call.databases, number)?;
    if target == call.keys.database() {
        return fail("source and destination objects are the same");
    }
    let moved = call.keys.move_to(call.args.get(1), target)?;
    call.out.flag(moved);
    Ok(())
}

fn time_left(call: &mut Call<'_, '_>, absolute: bool, seconds: bool) -> Result<()> {
    let now_ms = call.keys.now_ms();
    call.out
        .integer(match call.keys.time_to_live(call.args.get(1))? {
            TimeToLive::NoKey => -2,
            TimeToLive::Forever => -1,
            TimeToLive::Until(at) => {
                let ms = if absolute {
                    at
                } else {
                    at.saturating_sub(now_ms)
                };
                // Half a second more rounds to the nearest second.
                let shown = match (absolute, seconds) {
                    (true, true) => ms / 1000,
                    (false, true) => (ms + 500) / 1000,
                    (_, false) => ms,
                };
                shown as i64
            }
        });
    Ok(())
}

fn ttl(call: &mut Call<'_, '_>) -> Result<()> {
    time_left(call, false, true)
}

fn pttl(call: &mut Call<'_, '_>) -> Result<()> {
    time_left(call, false, false)
}

fn expiretime(call: &mut Call<'_, '_>) -> Result<()> {
    time_left(call, true, true)
}

fn pexpiretime(call: &mut Call<'_, '_>) -> Result<()> {
    time_left(call, true, false)
}

fn persist(call: &mut Call<'_, '_>) -> Result<()> {
    let persisted = call.keys.persist(call.args.get(1))?;
    call.out.flag(persisted);
    Ok(())
}

fn condition(call: &Call<'_, '_>) -> Result<ExpireCondition> {
    let mut condition = ExpireCondition::default();
    for word in call.args.from(3).iter() {
        match () {
            () if is(word, "nx") => condition.absent = true,
            () if is(word, "xx") => condition.present = true,
            () if is(word, "gt") => condition.later = true,
            () if is(word, "lt") => condition.earlier = true,
            () => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("Unsupported option {}", String::from_utf8_lossy(word)),
                ));
            }
        }
    }
    if condition.absent && (condition.present || condition.later || condition.earlier) {
        return fail("NX and XX, GT or LT options at the same time are not compatible");
    }
    if condition.later && condition.earlier {
        return fail("GT and LT options at the same time are not compatible");
    }
    Ok(condition)
}

fn set_expiry(call: &mut Call<'_, '_>, form: TimeForm, command: &str) -> Result<()> {
    let number = integer(call.args.get(2))?;
    let condition = condition(call)?;
    let Some(at) = form.resolve(number, call.keys.now_ms()) else {
        return Err(Error::new(
            ErrorKind::InvalidParameterValue,
            format!("invalid expire time in '{command}' command"),
        ));
    };
    let set = call.keys.expire_at(call.args.get(1), at, condition)?;
    call.out.flag(set != Expired::NotSet);
    Ok(())
}

fn expire(call: &mut Call<'_, '_>) -> Result<()> {
    set_expiry(call, TimeForm::SECONDS, "expire")
}

fn pexpire(call: &mut Call<'_, '_>) -> Result<()> {
    set_expiry(call, TimeForm::MILLISECONDS, "pexpire")
}

fn expireat(call: &mut Call<'_, '_>) -> Result<()> {
    set_expiry(call, TimeForm::UNIX_SECONDS, "expireat")
}

fn pexpireat(call: &mut Call<'_, '_>) -> Result<()> {
    set_expiry(call, TimeForm::UNIX_MILLISECONDS, "pexpireat")
}

fn object_encoding(call: &mut Call<'_, '_>) -> Result<()> {
    let encoding = call.keys.encoding(call.args.get(2))?;
    call.out.optional_bulk(encoding.map(str::as_bytes));
    Ok(())
}

/// Values are never shared.
fn object_refcount(call: &mut Call<'_, '_>) -> Result<()> {
    if call.keys.exists(call.args.get(2))? {
        call.out.integer(1);
    } else {
        call.out.null();
    }
    Ok(())
}

fn object_idletime(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.slot(call.args.get(2))?;
    if !slot.exists() {
        call.out.null();
        return Ok(());
    }
    Err(Error::unsupported("OBJECT IDLETIME"))
}

fn object_freq(call: &mut Call<'_, '_>) -> Result<()> {
    if !call.keys.exists(call.args.get(2))? {
        call.out.null();
        return Ok(());
    }
    fail(
        "An LFU maxmemory policy is not selected, access frequency not tracked. Please note that \
         when switching between policies at runtime LRU and LFU data will take some time to adjust.",
    )
}

fn memory_usage(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    match args.len() {
        3 => {}
        5 if is(args.get(3), "samples") => {
            if integer(args.get(4))? < 0 {
                return syntax_error();
            }
        }
        _ => return syntax_error(),
    }
    match call.keys.stored_bytes(args.get(2))? {
        Some(bytes) => call.out.integer(bytes as i64),
        None => call.out.null(),
    }
    Ok(())
}
