//! KEYS, SCAN and its family.

use super::option::{fail, integer, is, syntax_error};
use super::{KeyCall, Run};
use crate::codec::reply::Aggregate;
use crate::codec::{Args, ReplyWriter};
use helios_engine::keyspace::scan::ScanRequest;
use helios_engine::keyspace::{Kind, Slot, number};
use helios_types::Result;

pub const HANDLERS: &[(&str, Run)] = &[
    ("hscan", Run::Keys(hscan)),
    ("keys", Run::Keys(keys)),
    ("scan", Run::Keys(scan)),
    ("sscan", Run::Keys(sscan)),
    ("zscan", Run::Keys(zscan)),
];

type Call<'c, 'k> = KeyCall<'c, 'k>;

fn keys(call: &mut Call<'_, '_>) -> Result<()> {
    let place = call.out.deferred();
    let mut count = 0;
    let out = &mut *call.out;
    call.keys.match_keys(call.args.get(1), &mut |key| {
        out.bulk(key);
        count += 1;
    })?;
    call.out.finish(place, Aggregate::Array, count);
    Ok(())
}

/// Reads `cursor [MATCH pattern] [COUNT count] [TYPE type]`.
pub(crate) fn request<'a>(
    args: Args<'a>,
    typed: bool,
) -> Result<(ScanRequest<'a>, Option<&'a [u8]>)> {
    let cursor = std::str::from_utf8(args.get(0))
        .ok()
        .and_then(|text| text.parse().ok());
    let Some(cursor) = cursor else {
        return fail("invalid cursor");
    };
    let mut request = ScanRequest {
        cursor,
        pattern: None,
        count: 10,
    };
    let mut kind = None;
    let mut at = 1;
    while at < args.len() {
        let (word, value) = (args.get(at), args.get(at + 1));
        if at + 1 >= args.len() {
            return syntax_error();
        }
        if is(word, "match") {
            request.pattern = Some(value).filter(|pattern| *pattern != b"*");
        } else if is(word, "count") {
            match usize::try_from(integer(value)?) {
                Ok(count @ 1..) => request.count = count,
                _ => return syntax_error(),
            }
        } else if typed && is(word, "type") {
            kind = Some(value);
        } else {
            return syntax_error();
        }
        at += 2;
    }
    Ok((request, kind))
}

pub(crate) fn cursor(out: &mut ReplyWriter, cursor: u64) {
    out.array(2);
    out.bulk(cursor.to_string().as_bytes());
}

fn scan(call: &mut Call<'_, '_>) -> Result<()> {
    let (request, kind) = request(call.args.from(1), true)?;
    let page = match kind.map(|name| (name, Kind::from_name(name))) {
        // A kind that nothing has matches nothing, as in Redis.
        Some((_, None)) => Default::default(),
        Some((_, kind)) => call.keys.scan_keys(request, kind)?,
        None => call.keys.scan_keys(request, None)?,
    };
    cursor(call.out, page.cursor);
    call.out.array(page.elements.len());
    page.elements.iter().for_each(|key| call.out.bulk(key));
    Ok(())
}

fn elements(
    call: &mut Call<'_, '_>,
    slot: &Slot<'_>,
    value: Option<fn(&mut ReplyWriter, &[u8])>,
) -> Result<()> {
    let (request, _) = request(call.args.from(2), false)?;
    let page = call.keys.scan_elements(slot, request)?;
    cursor(call.out, page.cursor);
    call.out
        .array(page.elements.len() * if value.is_some() { 2 } else { 1 });
    for (element, beside) in &page.elements {
        call.out.bulk(element);
        if let Some(write) = value {
            write(call.out, beside);
        }
    }
    Ok(())
}

fn hscan(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.hash(call.args.get(1))?;
    elements(call, &slot, Some(|out, value| out.bulk(value)))
}

fn sscan(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.set_slot(call.args.get(1))?;
    elements(call, &slot, None)
}

/// The scores of ZSCAN are bulk strings in both protocols.
fn zscan(call: &mut Call<'_, '_>) -> Result<()> {
    let slot = call.keys.zset(call.args.get(1))?;
    elements(
        call,
        &slot,
        Some(|out, key| {
            out.bulk_double(
                key.first_chunk::<8>()
                    .map_or(0.0, |key| number::score_of(*key)),
            );
        }),
    )
}
