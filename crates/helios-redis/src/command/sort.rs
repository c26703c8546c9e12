//! SORT and SORT_RO.

use super::option::{integer, is, syntax_error};
use super::{KeyCall, Run};
use crate::codec::Args;
use helios_engine::keyspace::sort::SortRequest;
use helios_types::Result;

pub const HANDLERS: &[(&str, Run)] = &[("sort", Run::Keys(sort)), ("sort_ro", Run::Keys(sort_ro))];

type Call<'c, 'k> = KeyCall<'c, 'k>;

fn request<'a>(args: Args<'a>, may_store: bool) -> Result<(SortRequest<'a>, Option<&'a [u8]>)> {
    let mut request = SortRequest::default();
    let mut store = None;
    let mut at = 2;
    while at < args.len() {
        let word = args.get(at);
        let left = args.len() - at - 1;
        if is(word, "asc") {
            request.descending = false;
        } else if is(word, "desc") {
            request.descending = true;
        } else if is(word, "alpha") {
            request.alphabetic = true;
        } else if is(word, "limit") && left >= 2 {
            request.limit = Some((integer(args.get(at + 1))?, integer(args.get(at + 2))?));
            at += 2;
        } else if may_store && is(word, "store") && left >= 1 {
            at += 1;
            store = Some(args.get(at));
        } else if is(word, "by") && left >= 1 {
            at += 1;
            request.by = Some(args.get(at));
        } else if is(word, "get") && left >= 1 {
            at += 1;
            request.get.push(args.get(at));
        } else {
            return syntax_error();
        }
        at += 1;
    }
    Ok((request, store))
}

fn run(call: &mut Call<'_, '_>, may_store: bool) -> Result<()> {
    let (request, store) = request(call.args, may_store)?;
    let elements = call.keys.sort(call.args.get(1), &request)?;
    match store {
        Some(destination) => {
            let items: Vec<Vec<u8>> = elements
                .into_iter()
                .map(Option::unwrap_or_default)
                .collect();
            call.keys.list_store(destination, &items)?;
            call.out.integer(items.len() as i64);
        }
        None => {
            call.out.array(elements.len());
            for element in &elements {
                call.out.optional_bulk(element.as_deref());
            }
        }
    }
    Ok(())
}

fn sort(call: &mut Call<'_, '_>) -> Result<()> {
    run(call, true)
}

fn sort_ro(call: &mut Call<'_, '_>) -> Result<()> {
    run(call, false)
}
