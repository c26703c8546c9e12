//! CLIENT: what connections show of themselves, and how one ends another.

use super::{ReplyMode, Session};
use crate::clients::{Client, Unblock};
use crate::codec::{Args, ReplyWriter};
use crate::command::Run;
use crate::command::option::{fail, integer_or, is, syntax_error};
use helios_engine::keyspace::expirer::now_ms;
use helios_engine::keyspace::number::parse_i64;
use helios_types::{Error, ErrorKind, Result};
use std::sync::Arc;

pub const HANDLERS: &[(&str, Run)] = &[
    ("client|getname", Run::Session(getname)),
    ("client|getredir", Run::Session(getredir)),
    ("client|id", Run::Session(id)),
    ("client|info", Run::Session(info)),
    ("client|kill", Run::Session(kill)),
    ("client|list", Run::Session(list)),
    ("client|no-evict", Run::Session(no_evict)),
    ("client|reply", Run::Session(reply)),
    ("client|setinfo", Run::Session(setinfo)),
    ("client|setname", Run::Session(setname)),
    ("client|unblock", Run::Session(unblock)),
];

/// A name of a connection: printable, without blanks.
pub fn valid_name(name: &[u8]) -> Result<String> {
    printable(
        name,
        "Client names cannot contain spaces, newlines or special characters.",
    )
}

fn printable(text: &[u8], message: &'static str) -> Result<String> {
    if text.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(String::from_utf8_lossy(text).into_owned());
    }
    fail(message)
}

fn id(session: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    out.integer(session.client.id as i64);
    Ok(())
}

fn getname(session: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let name = session.client.shown.lock().name.clone();
    out.optional_bulk(Some(name.as_bytes()).filter(|name| !name.is_empty()));
    Ok(())
}

fn setname(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    session.client.shown.lock().name = valid_name(args.get(2))?;
    out.ok();
    Ok(())
}

fn setinfo(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let attribute = args.get(2);
    let value = printable(
        args.get(3),
        if is(attribute, "lib-ver") {
            "lib-ver cannot contain spaces, newlines or special characters."
        } else {
            "lib-name cannot contain spaces, newlines or special characters."
        },
    );
    let mut shown = session.client.shown.lock();
    match () {
        () if is(attribute, "lib-name") => shown.library = value?,
        () if is(attribute, "lib-ver") => shown.library_version = value?,
        () => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "Unrecognized option '{}'",
                    String::from_utf8_lossy(attribute)
                ),
            ));
        }
    }
    out.ok();
    Ok(())
}

fn info(session: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let line = session.client.line(now_ms());
    out.verbatim(&format!("{line}\n"));
    Ok(())
}

fn list(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let all = session.server.clients.all();
    let chosen: Vec<Arc<Client>> = match args.len() {
        2 => all,
        _ if is(args.get(2), "type") && args.len() == 4 => {
            let kind = client_type(args.get(3))?;
            all.into_iter()
                .filter(|client| client.kind() == kind)
                .collect()
        }
        _ if is(args.get(2), "id") && args.len() > 3 => {
            let mut ids = Vec::new();
            for arg in args.from(3).iter() {
                match parse_i64(arg) {
                    Some(id @ 1..) => ids.push(id as u64),
                    _ => return fail("Invalid client ID"),
                }
            }
            all.into_iter()
                .filter(|client| ids.contains(&client.id))
                .collect()
        }
        _ => return syntax_error(),
    };
    let now = now_ms();
    let text: String = chosen
        .iter()
        .map(|client| client.line(now) + "\n")
        .collect();
    out.verbatim(&text);
    Ok(())
}

/// A type of CLIENT LIST and KILL; there are never connections of the replication types.
fn client_type(arg: &[u8]) -> Result<&'static str> {
    for kind in ["normal", "pubsub", "master", "replica", "slave"] {
        if is(arg, kind) {
            return Ok(kind);
        }
    }
    Err(Error::new(
        ErrorKind::InvalidParameterValue,
        format!("Unknown client type '{}'", String::from_utf8_lossy(arg)),
    ))
}

struct KillFilter {
    id: Option<u64>,
    kind: Option<&'static str>,
    user: Option<String>,
    peer: Option<String>,
    local: Option<String>,
    skip_me: bool,
}

fn kill_filter(args: Args<'_>) -> Result<KillFilter> {
    let mut filter = KillFilter {
        id: None,
        kind: None,
        user: None,
        peer: None,
        local: None,
        skip_me: true,
    };
    let text = |arg: &[u8]| Some(String::from_utf8_lossy(arg).into_owned());
    for at in (0..args.len()).step_by(2) {
        if at + 1 >= args.len() {
            return syntax_error();
        }
        let value = args.get(at + 1);
        match args.get(at) {
            word if is(word, "id") => match parse_i64(value) {
                Some(id @ 1..) => filter.id = Some(id as u64),
                _ => return fail("client-id should be greater than 0"),
            },
            word if is(word, "type") => filter.kind = Some(client_type(value)?),
            word if is(word, "user") => filter.user = text(value),
            word if is(word, "addr") => filter.peer = text(value),
            word if is(word, "laddr") => filter.local = text(value),
            word if is(word, "skipme") && is(value, "yes") => filter.skip_me = true,
            word if is(word, "skipme") && is(value, "no") => filter.skip_me = false,
            _ => return syntax_error(),
        }
    }
    Ok(filter)
}

fn kill(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let old_form = args.len() == 3;
    let filter = if old_form {
        let peer = Some(String::from_utf8_lossy(args.get(2)).into_owned());
        KillFilter {
            id: None,
            kind: None,
            user: None,
            peer,
            local: None,
            skip_me: false,
        }
    } else {
        kill_filter(args.from(2))?
    };
    let mut killed = 0;
    for client in session.server.clients.all() {
        let own = client.id == session.client.id;
        let matches = filter.id.is_none_or(|id| id == client.id)
            && filter.kind.is_none_or(|kind| kind == client.kind())
            && filter.peer.as_ref().is_none_or(|peer| *peer == client.peer)
            && filter
                .local
                .as_ref()
                .is_none_or(|local| *local == client.local)
            && filter
                .user
                .as_ref()
                .is_none_or(|user| *user == client.shown.lock().user);
        if !matches || (own && filter.skip_me) {
            continue;
        }
        killed += 1;
        if own {
            session.closing = true;
        } else {
            client.kill();
        }
    }
    if !old_form {
        out.integer(killed);
    } else if killed > 0 {
        out.ok();
    } else {
        return fail("No such client");
    }
    Ok(())
}

fn unblock(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let how = match args.len() {
        3 => Unblock::Timeout,
        4 if is(args.get(3), "timeout") => Unblock::Timeout,
        4 if is(args.get(3), "error") => Unblock::Error,
        _ => return fail("CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
    };
    let id = integer_or(args.get(2), "value is not an integer or out of range")?;
    let client = u64::try_from(id)
        .ok()
        .and_then(|id| session.server.clients.get(id));
    out.flag(client.is_some_and(|client| client.unblock(how)));
    Ok(())
}

/// Nothing is ever evicted; the wish is shown in CLIENT LIST.
fn no_evict(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    session.client.shown.lock().no_evict = match args.get(2) {
        word if is(word, "on") => true,
        word if is(word, "off") => false,
        _ => return syntax_error(),
    };
    out.ok();
    Ok(())
}

fn reply(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    match args.get(2) {
        word if is(word, "on") => {
            session.reply_mode = ReplyMode::On;
            out.ok();
        }
        word if is(word, "off") => session.reply_mode = ReplyMode::Off,
        // It has no reply of its own, and the next command has none.
        word if is(word, "skip") => {
            if session.reply_mode == ReplyMode::On {
                session.reply_mode = ReplyMode::SkipNext;
            }
        }
        _ => return syntax_error(),
    }
    Ok(())
}

/// Tracking is not supported, so there is nobody to redirect to.
fn getredir(_: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    out.integer(-1);
    Ok(())
}
