//! Commands on strings.

use super::option::{fail, float_or, integer, is, syntax_error};
use super::{KeyCall, Run};
use crate::codec::Args;
use helios_engine::keyspace::number;
use helios_engine::keyspace::strings::{Condition, Expiry, lcs as longest_common, range_of};
use helios_types::{Error, ErrorKind, Result};

pub const HANDLERS: &[(&str, Run)] = &[
    ("append", Run::Keys(append)),
    ("decr", Run::Keys(decr)),
    ("decrby", Run::Keys(decrby)),
    ("get", Run::Keys(get)),
    ("getdel", Run::Keys(getdel)),
    ("getex", Run::Keys(getex)),
    ("getrange", Run::Keys(getrange)),
    ("getset", Run::Keys(getset)),
    ("incr", Run::Keys(incr)),
    ("incrby", Run::Keys(incrby)),
    ("incrbyfloat", Run::Keys(incrbyfloat)),
    ("lcs", Run::Keys(lcs)),
    ("mget", Run::Keys(mget)),
    ("mset", Run::Keys(mset)),
    ("msetnx", Run::Keys(msetnx)),
    ("psetex", Run::Keys(psetex)),
    ("set", Run::Keys(set)),
    ("setex", Run::Keys(setex)),
    ("setnx", Run::Keys(setnx)),
    ("setrange", Run::Keys(setrange)),
    ("strlen", Run::Keys(strlen)),
    ("substr", Run::Keys(getrange)),
];

type Call<'c, 'k> = KeyCall<'c, 'k>;

/// How an expiry is given: relative or absolute, in seconds or milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeForm {
    pub absolute: bool,
    pub seconds: bool,
}

impl TimeForm {
    pub const SECONDS: TimeForm = TimeForm {
        absolute: false,
        seconds: true,
    };
    pub const MILLISECONDS: TimeForm = TimeForm {
        absolute: false,
        seconds: false,
    };
    pub const UNIX_SECONDS: TimeForm = TimeForm {
        absolute: true,
        seconds: true,
    };
    pub const UNIX_MILLISECONDS: TimeForm = TimeForm {
        absolute: true,
        seconds: false,
    };

    fn of_option(arg: &[u8]) -> Option<TimeForm> {
        [
            ("ex", Self::SECONDS),
            ("px", Self::MILLISECONDS),
            ("exat", Self::UNIX_SECONDS),
            ("pxat", Self::UNIX_MILLISECONDS),
        ]
        .into_iter()
        .find(|(name, _)| is(arg, name))
        .map(|(_, form)| form)
    }

    /// Unix milliseconds, unless that overflows.
    pub fn resolve(self, number: i64, now_ms: u64) -> Option<i64> {
        let ms = if self.seconds {
            number.checked_mul(1000)?
        } else {
            number
        };
        if self.absolute {
            Some(ms)
        } else {
            ms.checked_add(i64::try_from(now_ms).ok()?)
        }
    }
}

fn invalid_expiry(command: &str) -> Error {
    Error::new(
        ErrorKind::InvalidParameterValue,
        format!("invalid expire time in '{command}' command"),
    )
}

fn expiry_at(form: TimeForm, arg: &[u8], now_ms: u64, command: &str) -> Result<Expiry> {
    let number = integer(arg)?;
    if number <= 0 {
        return Err(invalid_expiry(command));
    }
    match form.resolve(number, now_ms).map(u64::try_from) {
        Some(Ok(ms)) => Ok(Expiry::At(ms)),
        _ => Err(invalid_expiry(command)),
    }
}

fn get(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.string(call.args.get(1))?;
    call.out.optional_bulk(slot.string()?);
    Ok(())
}

fn strlen(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.string(call.args.get(1))?;
    call.out
        .integer(slot.string()?.map_or(0, |value| value.len() as i64));
    Ok(())
}

fn getrange(call: &mut Call<'_, '_>) -> Result<()> {
    let (start, end) = (integer(call.args.get(2))?, integer(call.args.get(3))?);
    let slot = call.keys.string(call.args.get(1))?;
    call.out
        .bulk(range_of(slot.string()?.unwrap_or_default(), start, end));
    Ok(())
}

#[derive(Default)]
struct SetOptions {
    condition: Option<Condition>,
    expiry: Option<Expiry>,
    get: bool,
}

fn set_options(args: Args<'_>, now_ms: u64) -> Result<SetOptions> {
    let mut options = SetOptions::default();
    let mut at = 0;
    while at < args.len() {
        let arg = args.get(at);
        let condition = match () {
            () if is(arg, "nx") => Some(Condition::IfAbsent),
            () if is(arg, "xx") => Some(Condition::IfPresent),
            () => None,
        };
        if let Some(condition) = condition {
            if options.condition.is_some_and(|other| other != condition) {
                return syntax_error();
            }
            options.condition = Some(condition);
        } else if is(arg, "get") {
            options.get = true;
        } else if is(arg, "keepttl") && options.expiry.is_none() {
            options.expiry = Some(Expiry::Keep);
        } else if let Some(form) = TimeForm::of_option(arg)
            && options.expiry.is_none()
            && at + 1 < args.len()
        {
            at += 1;
            options.expiry = Some(expiry_at(form, args.get(at), now_ms, "set")?);
        } else {
            return syntax_error();
        }
        at += 1;
    }
    Ok(options)
}

fn set(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, value) = (call.args.get(1), call.args.get(2));
    if call.args.len() == 3 {
        call.keys
            .set(key, value, Expiry::Clear, Condition::Always)?;
        call.out.ok();
        return Ok(());
    }
    let options = set_options(call.args.from(3), call.keys.now_ms())?;
    let condition = options.condition.unwrap_or(Condition::Always);
    let expiry = options.expiry.unwrap_or(Expiry::Clear);
    if options.get {
        let slot = call.keys.set_get(key, value, expiry, condition)?;
        call.out.optional_bulk(slot.string()?);
    } else if call.keys.set(key, value, expiry, condition)?.0 {
        call.out.ok();
    } else {
        call.out.null();
    }
    Ok(())
}

fn setnx(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, value) = (call.args.get(1), call.args.get(2));
    let (written, _) = call
        .keys
        .set(key, value, Expiry::Clear, Condition::IfAbsent)?;
    call.out.flag(written);
    Ok(())
}

fn set_expiring(call: &mut Call<'_, '_>, form: TimeForm, command: &str) -> Result<()> {
    let expiry = expiry_at(form, call.args.get(2), call.keys.now_ms(), command)?;
    call.keys.set(
        call.args.get(1),
        call.args.get(3),
        expiry,
        Condition::Always,
    )?;
    call.out.ok();
    Ok(())
}

fn setex(call: &mut Call<'_, '_>) -> Result<()> {
    set_expiring(call, TimeForm::SECONDS, "setex")
}

fn psetex(call: &mut Call<'_, '_>) -> Result<()> {
    set_expiring(call, TimeForm::MILLISECONDS, "psetex")
}

fn getset(call: &mut Call<'_, '_>) -> Result<()> {
    let (key, value) = (call.args.get(1), call.args.get(2));
    let slot = call
        .keys
        .set_get(key, value, Expiry::Clear, Condition::Always)?;
    call.out.optional_bulk(slot.string()?);
    Ok(())
}

fn getdel(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.get_delete(call.args.get(1))?;
    call.out.optional_bulk(slot.string()?);
    Ok(())
}

fn getex(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let expiry = match args.len() {
        2 => Expiry::Keep,
        3 if is(args.get(2), "persist") => Expiry::Clear,
        4 => match TimeForm::of_option(args.get(2)) {
            Some(form) => expiry_at(form, args.get(3), call.keys.now_ms(), "getex")?,
            None => return syntax_error(),
        },
        _ => return syntax_error(),
    };
    let slot = call.keys.get_expire(args.get(1), expiry)?;
    call.out.optional_bulk(slot.string()?);
    Ok(())
}

fn mget(call: &mut Call<'_, '_>) -> Result<()> {
    call.keys.pin();
    call.out.array(call.args.len() - 1);
    for key in call.args.from(1).iter() {
        let slot = call.keys.slot(key)?;
        call.out.optional_bulk(slot.string().unwrap_or(None));
    }
    Ok(())
}

/// The key and value pairs from the first argument on.
fn pairs<'a>(
    args: Args<'a>,
    command: &str,
) -> Result<impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a>> {
    if args.len().is_multiple_of(2) {
        return Err(super::wrong_arity(command));
    }
    Ok((1..args.len())
        .step_by(2)
        .map(move |at| (args.get(at), args.get(at + 1))))
}

fn mset(call: &mut Call<'_, '_>) -> Result<()> {
    for (key, value) in pairs(call.args, "mset")? {
        call.keys
            .set(key, value, Expiry::Clear, Condition::Always)?;
    }
    call.out.ok();
    Ok(())
}

fn msetnx(call: &mut Call<'_, '_>) -> Result<()> {
    let written = call.keys.set_all_absent(pairs(call.args, "msetnx")?)?;
    call.out.flag(written);
    Ok(())
}

fn append(call: &mut Call<'_, '_>) -> Result<()> {
    let length = call.keys.append(call.args.get(1), call.args.get(2))?;
    call.out.integer(length as i64);
    Ok(())
}

fn setrange(call: &mut Call<'_, '_>) -> Result<()> {
    let offset = integer(call.args.get(2))?;
    let length = call
        .keys
        .set_range(call.args.get(1), offset, call.args.get(3))?;
    call.out.integer(length as i64);
    Ok(())
}

fn increment(call: &mut Call<'_, '_>, by: i64) -> Result<()> {
    let number = call.keys.increment(call.args.get(1), by)?;
    call.out.integer(number);
    Ok(())
}

fn incr(call: &mut Call<'_, '_>) -> Result<()> {
    increment(call, 1)
}

fn decr(call: &mut Call<'_, '_>) -> Result<()> {
    increment(call, -1)
}

fn incrby(call: &mut Call<'_, '_>) -> Result<()> {
    let by = integer(call.args.get(2))?;
    increment(call, by)
}

fn decrby(call: &mut Call<'_, '_>) -> Result<()> {
    match integer(call.args.get(2))?.checked_neg() {
        Some(by) => increment(call, by),
        None => fail("decrement would overflow"),
    }
}

fn incrbyfloat(call: &mut Call<'_, '_>) -> Result<()> {
    let by = call.args.get(2);
    if !number::is_decimal(by) {
        return fail("value is not a valid float");
    }
    if float_or(by, "value is not a valid float").is_ok_and(f64::is_infinite) {
        return fail("increment would produce NaN or Infinity");
    }
    let number = call.keys.increment_decimal(call.args.get(1), by)?;
    call.out.bulk(&number);
    Ok(())
}

fn lcs(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let (mut length, mut index, mut with_length, mut shortest) = (false, false, false, 0);
    let mut at = 3;
    while at < args.len() {
        let arg = args.get(at);
        if is(arg, "len") {
            length = true;
        } else if is(arg, "idx") {
            index = true;
        } else if is(arg, "withmatchlen") {
            with_length = true;
        } else if is(arg, "minmatchlen") && at + 1 < args.len() {
            at += 1;
            shortest = usize::try_from(integer(args.get(at))?).unwrap_or(0);
        } else {
            return syntax_error();
        }
        at += 1;
    }
    if length && index {
        return fail("If you want both the length and indexes, please just use IDX.");
    }
    call.keys.pin();
    let (a, b) = (call.keys.slot(args.get(1))?, call.keys.slot(args.get(2))?);
    let (Ok(a), Ok(b)) = (a.string(), b.string()) else {
        return fail("The specified keys must contain string values");
    };
    let found = longest_common(a.unwrap_or_default(), b.unwrap_or_default())?;
    let out = &mut *call.out;
    if index {
        let matches: Vec<_> = found
            .matches
            .iter()
            .filter(|m| m.len() >= shortest)
            .collect();
        out.map(2);
        out.bulk(b"matches");
        out.array(matches.len());
        for found in matches {
            out.array(if with_length { 3 } else { 2 });
            for (start, end) in [found.a, found.b] {
                out.array(2);
                out.integer(start as i64);
                out.integer(end as i64);
            }
            if with_length {
                out.integer(found.len() as i64);
            }
        }
        out.bulk(b"len");
        out.integer(found.bytes.len() as i64);
    } else if length {
        out.integer(found.bytes.len() as i64);
    } else {
        out.bulk(&found.bytes);
    }
    Ok(())
}
