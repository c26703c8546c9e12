//! HELLO, AUTH, SELECT and the like.

use super::{ReplyMode, Session};
use crate::codec::{Args, Protocol, ReplyWriter};
use crate::command::Run;
use crate::command::option::{fail, integer_or, is};
use crate::server::COMPATIBLE_VERSION;
use helios_engine::keyspace::number::parse_i64;
use helios_types::{Error, ErrorKind, Result};

pub const HANDLERS: &[(&str, Run)] = &[
    ("auth", Run::Session(auth)),
    ("echo", Run::Session(echo)),
    ("hello", Run::Session(hello)),
    ("ping", Run::Session(ping)),
    ("quit", Run::Session(quit)),
    ("reset", Run::Session(reset)),
    ("select", Run::Session(select)),
];

fn ping(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    if args.len() > 2 {
        return Err(crate::command::wrong_arity("ping"));
    }
    if session.subscriptions.restrict(out.protocol()) {
        out.array(2);
        out.bulk(b"pong");
        out.bulk(if args.len() == 2 { args.get(1) } else { b"" });
    } else if args.len() == 2 {
        out.bulk(args.get(1));
    } else {
        out.status("PONG");
    }
    Ok(())
}

fn echo(_: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    out.bulk(args.get(1));
    Ok(())
}

fn quit(session: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    session.closing = true;
    out.ok();
    Ok(())
}

fn select(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let number = integer_or(args.get(1), "value is not an integer or out of range")?;
    // One more than the databases of the keyspace: the tables of SQL.
    let last = session.databases().len();
    match usize::try_from(number)
        .ok()
        .filter(|number| *number <= last)
    {
        Some(number) => {
            session.database = number;
            session.client.shown.lock().database = number;
            out.ok();
            Ok(())
        }
        None => fail("DB index is out of range"),
    }
}

fn wrong_password() -> Error {
    Error::new(
        ErrorKind::InvalidPassword,
        "invalid username-password pair or user is disabled.",
    )
}

impl Session {
    fn authenticate(&mut self, user: Option<&[u8]>, password: &[u8]) -> Result<()> {
        let server = self.server.clone();
        let user = match user {
            Some(user) => std::str::from_utf8(user).map_err(|_| wrong_password())?,
            None => server.backend.default_user(),
        };
        // The name of Redis' own default user stands for the default role.
        let user = if user == "default" {
            server.backend.default_user()
        } else {
            user
        };
        let peer = self.client.peer.clone();
        let Some(identity) = server.backend.authenticate(user, password, &peer)? else {
            return Err(wrong_password());
        };
        self.client.shown.lock().user = identity.user().to_owned();
        self.identity = Some(identity);
        Ok(())
    }
}

fn auth(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    if args.len() > 3 {
        return Err(Error::new(ErrorKind::SyntaxError, "syntax error"));
    }
    if args.len() == 2 {
        if !session.server.backend.has_password() {
            return fail(
                "AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            );
        }
        session.authenticate(None, args.get(1))?;
    } else {
        session.authenticate(Some(args.get(1)), args.get(2))?;
    }
    out.ok();
    Ok(())
}

fn hello(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let protocol = if args.len() > 1 {
        match parse_i64(args.get(1)) {
            None => return fail("Protocol version is not an integer or out of range"),
            Some(2) => Some(Protocol::Resp2),
            Some(3) => Some(Protocol::Resp3),
            Some(_) => {
                // No kind of error has this code.
                out.error("NOPROTO unsupported protocol version");
                return Ok(());
            }
        }
    } else {
        None
    };
    let mut name = None;
    let mut credentials = None;
    let mut at = 2;
    while at < args.len() {
        let left = args.len() - at - 1;
        if is(args.get(at), "auth") && left >= 2 {
            credentials = Some((args.get(at + 1), args.get(at + 2)));
            at += 3;
        } else if is(args.get(at), "setname") && left >= 1 {
            name = Some(super::client::valid_name(args.get(at + 1))?);
            at += 2;
        } else {
            return Err(Error::new(
                ErrorKind::SyntaxError,
                format!(
                    "Syntax error in HELLO option '{}'",
                    String::from_utf8_lossy(args.get(at))
                ),
            ));
        }
    }
    if let Some((user, password)) = credentials {
        session.authenticate(Some(user), password)?;
    }
    if session.identity.is_none() {
        return Err(Error::new(
            ErrorKind::Unauthenticated,
            "HELLO must be called with the client already authenticated, otherwise the HELLO \
             <proto> AUTH <user> <pass> option can be used to authenticate the client and select \
             the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        session.client.shown.lock().name = name;
    }
    if let Some(protocol) = protocol {
        out.set_protocol(protocol);
        session.client.shown.lock().protocol = protocol;
    }
    out.map(7);
    out.bulk(b"server");
    out.bulk(b"redis");
    out.bulk(b"version");
    out.bulk(COMPATIBLE_VERSION.as_bytes());
    out.bulk(b"proto");
    out.integer(if out.is_resp3() { 3 } else { 2 });
    out.bulk(b"id");
    out.integer(session.client.id as i64);
    out.bulk(b"mode");
    out.bulk(b"standalone");
    out.bulk(b"role");
    out.bulk(b"master");
    out.bulk(b"modules");
    out.array(0);
    Ok(())
}

fn reset(session: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    session.leave_transaction();
    session.end_subscriptions();
    session.database = 0;
    session.reply_mode = ReplyMode::On;
    out.set_protocol(Protocol::Resp2);
    session.identity = session.server.backend.trusted(&session.client.peer)?;
    let mut shown = session.client.shown.lock();
    shown.name.clear();
    shown.database = 0;
    shown.no_evict = false;
    shown.protocol = Protocol::Resp2;
    out.status("RESET");
    Ok(())
}
