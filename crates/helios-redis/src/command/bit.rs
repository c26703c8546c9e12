//! Commands on the bits of strings.

use super::option::{fail, integer_or, is, syntax_error};
use super::{KeyCall, Run, option};
use helios_engine::keyspace::bits::{
    BITS_MAX, BitOperation, FieldOperation, FieldStep, Overflow, bit_of, count_bits, find_bit,
    parse_field_type, resolve_bits,
};
use helios_engine::keyspace::number;
use helios_types::Result;

pub const HANDLERS: &[(&str, Run)] = &[
    ("bitcount", Run::Keys(bitcount)),
    ("bitfield", Run::Keys(bitfield)),
    ("bitfield_ro", Run::Keys(bitfield_ro)),
    ("bitop", Run::Keys(bitop)),
    ("bitpos", Run::Keys(bitpos)),
    ("getbit", Run::Keys(getbit)),
    ("setbit", Run::Keys(setbit)),
];

type Call<'c, 'k> = KeyCall<'c, 'k>;

const BAD_OFFSET: &str = "bit offset is not an integer or out of range";

fn offset(arg: &[u8]) -> Result<u64> {
    match number::parse_i64(arg).map(u64::try_from) {
        Some(Ok(offset)) if offset < BITS_MAX => Ok(offset),
        _ => fail(BAD_OFFSET),
    }
}

fn bit(arg: &[u8], message: &'static str) -> Result<bool> {
    match integer_or(arg, message)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => fail(message),
    }
}

fn getbit(call: &mut Call<'_, '_>) -> Result<()> {
    let offset = offset(call.args.get(2))?;
    let slot = call.keys.string(call.args.get(1))?;
    call.out
        .flag(bit_of(slot.string()?.unwrap_or_default(), offset));
    Ok(())
}

fn setbit(call: &mut Call<'_, '_>) -> Result<()> {
    let offset = offset(call.args.get(2))?;
    let on = bit(call.args.get(3), "bit is not an integer or out of range")?;
    let old = call.keys.set_bit(call.args.get(1), offset, on)?;
    call.out.flag(old);
    Ok(())
}

fn in_bits(arg: &[u8]) -> Result<bool> {
    match () {
        () if is(arg, "bit") => Ok(true),
        () if is(arg, "byte") => Ok(false),
        () => syntax_error(),
    }
}

fn bitcount(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let (start, end, bits) = match args.len() {
        2 => (0, -1, false),
        4 => (
            option::integer(args.get(2))?,
            option::integer(args.get(3))?,
            false,
        ),
        5 => (
            option::integer(args.get(2))?,
            option::integer(args.get(3))?,
            in_bits(args.get(4))?,
        ),
        _ => return syntax_error(),
    };
    let slot = call.keys.string(args.get(1))?;
    let value = slot.string()?.unwrap_or_default();
    let count = resolve_bits(start, end, bits, value.len())
        .map_or(0, |(first, last)| count_bits(value, first, last));
    call.out.integer(count as i64);
    Ok(())
}

fn bitpos(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let wanted = match option::integer(args.get(2))? {
        0 => false,
        1 => true,
        _ => return fail("The bit argument must be 1 or 0."),
    };
    if args.len() > 6 {
        return syntax_error();
    }
    let start = if args.len() > 3 {
        option::integer(args.get(3))?
    } else {
        0
    };
    let end = if args.len() > 4 {
        option::integer(args.get(4))?
    } else {
        -1
    };
    let bits = args.len() > 5 && in_bits(args.get(5))?;
    let slot = call.keys.string(args.get(1))?;
    let Some(value) = slot.string()? else {
        call.out.integer(if wanted { -1 } else { 0 });
        return Ok(());
    };
    let found = match resolve_bits(start, end, bits, value.len()) {
        None => None,
        // Without an end the string is thought to go on with zeros.
        Some((first, last)) => match find_bit(value, wanted, first, last) {
            None if !wanted && args.len() <= 4 => Some(value.len() as u64 * 8),
            found => found,
        },
    };
    call.out.integer(found.map_or(-1, |bit| bit as i64));
    Ok(())
}

fn bitop(call: &mut Call<'_, '_>) -> Result<()> {
    let args = call.args;
    let name = args.get(1);
    let operation = match () {
        () if is(name, "and") => BitOperation::And,
        () if is(name, "or") => BitOperation::Or,
        () if is(name, "xor") => BitOperation::Xor,
        () if is(name, "not") => BitOperation::Not,
        () => return syntax_error(),
    };
    if operation == BitOperation::Not && args.len() != 4 {
        return fail("BITOP NOT must be called with a single source key.");
    }
    let length = call
        .keys
        .bit_operation(operation, args.get(2), args.from(3).iter())?;
    call.out.integer(length as i64);
    Ok(())
}

fn steps(call: &Call<'_, '_>, read_only: bool) -> Result<Vec<FieldStep>> {
    let args = call.args;
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while at < args.len() {
        let name = args.get(at);
        let left = args.len() - at - 1;
        let operands = match () {
            () if is(name, "get") && left >= 2 => 2,
            () if (is(name, "set") || is(name, "incrby")) && left >= 3 => 3,
            () if is(name, "overflow") && left >= 1 => {
                overflow = match args.get(at + 1) {
                    word if is(word, "wrap") => Overflow::Wrap,
                    word if is(word, "sat") => Overflow::Saturate,
                    word if is(word, "fail") => Overflow::Fail,
                    _ => return fail("Invalid OVERFLOW type specified"),
                };
                at += 2;
                continue;
            }
            () => return syntax_error(),
        };
        let kind = parse_field_type(args.get(at + 1))?;
        let place = args.get(at + 2);
        let offset = match place.strip_prefix(b"#") {
            Some(index) => number::parse_i64(index)
                .and_then(|index| u64::try_from(index).ok())
                .and_then(|index| index.checked_mul(u64::from(kind.bits))),
            None => number::parse_i64(place).and_then(|offset| u64::try_from(offset).ok()),
        };
        let Some(offset) = offset.filter(|at| at.saturating_add(63) < BITS_MAX) else {
            return fail(BAD_OFFSET);
        };
        let operation = match operands {
            2 => FieldOperation::Get,
            _ if read_only => return fail("BITFIELD_RO only supports the GET subcommand"),
            _ => {
                let number = option::integer(args.get(at + 3))?;
                if is(name, "set") {
                    FieldOperation::Set(number)
                } else {
                    FieldOperation::Increment(number)
                }
            }
        };
        steps.push(FieldStep {
            kind,
            offset,
            operation,
            overflow,
        });
        at += operands + 1;
    }
    Ok(steps)
}

fn run_steps(call: &mut Call<'_, '_>, read_only: bool) -> Result<()> {
    let steps = steps(call, read_only)?;
    let answers = call.keys.bit_field(call.args.get(1), &steps)?;
    call.out.array(answers.len());
    for answer in answers {
        match answer {
            Some(number) => call.out.integer(number),
            None => call.out.null(),
        }
    }
    Ok(())
}

fn bitfield(call: &mut Call<'_, '_>) -> Result<()> {
    run_steps(call, false)
}

fn bitfield_ro(call: &mut Call<'_, '_>) -> Result<()> {
    run_steps(call, true)
}
