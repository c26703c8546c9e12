//! The part of ACL that shows who the connection is and what categories there are. Users and
//! rights are roles and grants of SQL.

use super::Session;
use crate::codec::{Args, ReplyWriter};
use crate::command::{Run, commands, wrong_arity};
use helios_types::{Error, ErrorKind, Result};

pub const HANDLERS: &[(&str, Run)] = &[
    ("acl|cat", Run::Session(cat)),
    ("acl|whoami", Run::Session(whoami)),
];

const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

fn whoami(session: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    out.bulk(session.client.shown.lock().user.as_bytes());
    Ok(())
}

fn cat(_: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    match args.len() {
        2 => {
            out.array(CATEGORIES.len());
            CATEGORIES
                .iter()
                .for_each(|category| out.bulk(category.as_bytes()));
        }
        3 => {
            let name = String::from_utf8_lossy(args.get(2)).to_ascii_lowercase();
            if !CATEGORIES.contains(&name.as_str()) {
                return Err(Error::new(
                    ErrorKind::UndefinedObject,
                    format!(
                        "Unknown category '{}'",
                        String::from_utf8_lossy(args.get(2))
                    ),
                ));
            }
            let tag = format!("@{name}");
            let names: Vec<&str> = commands()
                .all
                .iter()
                .filter(|command| command.categories.split(' ').any(|other| other == tag))
                .map(|command| command.name)
                .collect();
            out.array(names.len());
            names.iter().for_each(|name| out.bulk(name.as_bytes()));
        }
        _ => return Err(wrong_arity("acl|cat")),
    }
    Ok(())
}
