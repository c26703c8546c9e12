//! The commands: what each is called, how it is written, which keys it uses, and what runs it.
//!
//! `command/commands.tsv` has one line a command (a subcommand is `container|name`): name, arity,
//! flags, categories, keys, group, version, syntax and summary, as COMMAND shows them. The handlers
//! stand in one file a family; [`Commands`] joins both and finds a command by its name with one hash
//! and one comparison.
//!
//! A handler of [`Run::Keys`] works on the keyspace through [`KeyCall`]: it runs to its end without
//! waiting, after the keys it uses have been locked where that is needed.

pub mod bit;
pub mod hash;
pub mod introspection;
pub mod key;
pub mod keyspec;
pub mod list;
pub mod option;
pub mod scan;
pub mod set;
pub mod sort;
pub mod string;
pub mod syntax;
pub mod zset;
pub mod zset_combine;
pub mod zset_pop;
pub mod zset_range;

use crate::codec::{Args, ReplyWriter};
use crate::server::Server;
use crate::session::Session;
use helios_engine::keyspace::{Access, Database};
use helios_types::{Error, Result};
use keyspec::KeySpec;
use std::sync::LazyLock;

/// What a handler on the keyspace gets.
pub struct KeyCall<'c, 'k> {
    pub args: Args<'c>,
    pub out: &'c mut ReplyWriter,
    pub keys: Access<'k>,
    pub databases: &'c [Database],
    pub server: &'c Server,
}

/// A command that waits for a key when there is nothing to take.
pub struct Blocking {
    /// Takes what there is and answers: whether there was something.
    pub attempt: fn(&mut KeyCall<'_, '_>) -> Result<bool>,
    /// The answer when there is nothing and no time left.
    pub empty: fn(&mut ReplyWriter),
    /// Whether the timeout is the first argument; otherwise it is the last.
    pub timeout_first: bool,
}

/// What runs a command.
#[derive(Clone, Copy)]
pub enum Run {
    Keys(fn(&mut KeyCall<'_, '_>) -> Result<()>),
    Blocking(&'static Blocking),
    /// Works on the connection or the server, not on keys.
    Session(fn(&mut Session, Args<'_>, &mut ReplyWriter) -> Result<()>),
    /// Only its subcommands do something.
    Container,
    Exec,
    Discard,
    Watch,
    Flush,
    Explain,
}

/// What the flags of a command say; as many as the server itself looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    pub write: bool,
    pub no_auth: bool,
    pub no_multi: bool,
    pub pubsub: bool,
    /// Done so quickly that others may wait for it: it takes part in the round of all connections.
    pub quick: bool,
}

/// One command.
pub struct Command {
    pub name: &'static str,
    /// The number of arguments with the name; negative: at least that many.
    pub arity: i32,
    pub flags: Flags,
    pub flag_names: &'static str,
    pub categories: &'static str,
    pub keys: Vec<KeySpec>,
    pub group: &'static str,
    pub since: &'static str,
    pub syntax: &'static str,
    pub summary: &'static str,
    pub run: Run,
    /// Positions in [`Commands::all`].
    pub subcommands: Vec<usize>,
    /// Place in the counters of INFO commandstats.
    pub index: usize,
}

impl Command {
    pub fn takes(&self, arguments: usize) -> bool {
        let arguments = i64::try_from(arguments).unwrap_or(i64::MAX);
        let arity = i64::from(self.arity);
        if arity < 0 {
            arguments >= -arity
        } else {
            arguments == arity
        }
    }

    /// The name without its container.
    pub fn own_name(&self) -> &'static str {
        self.name.rsplit_once('|').map_or(self.name, |(_, own)| own)
    }
}

/// All commands.
pub struct Commands {
    pub all: Vec<Command>,
    /// Open addressing over the hash of the name; positions in `all` plus one.
    table: Vec<u16>,
}

const TABLE_SIZE: usize = 2048;
const NAME_BYTES_MAX: usize = 32;

static COMMANDS: LazyLock<Commands> = LazyLock::new(Commands::load);

pub fn commands() -> &'static Commands {
    &COMMANDS
}

/// FNV-1a over the letters in lower case.
fn hash_name(container: Option<&str>, name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut mix = |byte: u8| hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    if let Some(container) = container {
        container.bytes().for_each(&mut mix);
        mix(b'|');
    }
    name.iter().for_each(|byte| mix(byte.to_ascii_lowercase()));
    (hash ^ hash >> 15) as usize % TABLE_SIZE
}

impl Commands {
    fn load() -> Commands {
        let mut commands = Commands {
            all: Vec::new(),
            table: vec![0; TABLE_SIZE],
        };
        for line in include_str!("command/commands.tsv").lines() {
            if let Some(command) = parse_line(line, commands.all.len()) {
                commands.add(command);
            }
        }
        for at in 0..commands.all.len() {
            if let Some((container, _)) = commands.all[at].name.split_once('|')
                && let Some(parent) = commands.position(None, container.as_bytes())
            {
                commands.all[parent].subcommands.push(at);
            }
        }
        commands
    }

    fn add(&mut self, command: Command) {
        let mut at = hash_name(None, command.name.as_bytes());
        while self.table[at] != 0 {
            at = (at + 1) % TABLE_SIZE;
        }
        self.all.push(command);
        self.table[at] = self.all.len() as u16;
    }

    fn position(&self, container: Option<&str>, name: &[u8]) -> Option<usize> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let mut at = hash_name(container, name);
        loop {
            let found = usize::from(self.table[at]).checked_sub(1)?;
            let known = self.all[found].name;
            let own = match container {
                Some(container) => known
                    .strip_prefix(container)
                    .and_then(|rest| rest.strip_prefix('|')),
                None => Some(known),
            };
            if own.is_some_and(|own| own.as_bytes().eq_ignore_ascii_case(name)) {
                return Some(found);
            }
            at = (at + 1) % TABLE_SIZE;
        }
    }

    /// A command by its name in any case; `container|name` finds a subcommand.
    pub fn find(&self, name: &[u8]) -> Option<&Command> {
        self.position(None, name).map(|at| &self.all[at])
    }

    /// What the arguments of a request ask for, with subcommands resolved.
    pub fn resolve(&self, args: Args<'_>) -> Result<&Command> {
        let Some(command) = self.find(args.get(0)).filter(|c| !c.name.contains('|')) else {
            return Err(unknown_command(args));
        };
        let command = if args.len() > 1 && !command.subcommands.is_empty() {
            match self.position(Some(command.name), args.get(1)) {
                Some(at) => &self.all[at],
                None => return Err(unknown_subcommand(command.name, args.get(1))),
            }
        } else {
            command
        };
        if !command.takes(args.len()) {
            return Err(wrong_arity(command.name));
        }
        Ok(command)
    }
}

/// Commands that are quick as they are commonly used although Redis does not call them fast.
const QUICK: [&str; 30] = [
    "set",
    "setex",
    "psetex",
    "setbit",
    "setrange",
    "getrange",
    "mset",
    "msetnx",
    "mget",
    "del",
    "rename",
    "lindex",
    "lset",
    "lmove",
    "lmpop",
    "ltrim",
    "rpoplpush",
    "blpop",
    "brpop",
    "blmove",
    "blmpop",
    "brpoplpush",
    "bzmpop",
    "zmpop",
    "zremrangebyrank",
    "zremrangebyscore",
    "hmget",
    "bitfield",
    "type",
    "exists",
];

fn parse_line(line: &'static str, index: usize) -> Option<Command> {
    let mut parts = line.split('\t');
    let name = parts.next().filter(|name| !name.is_empty())?;
    let arity = parts.next()?.parse().ok()?;
    let flag_names = parts.next()?;
    let has = |flag: &str| flag_names.split(' ').any(|known| known == flag);
    let flags = Flags {
        write: has("write"),
        no_auth: has("no_auth"),
        no_multi: has("no_multi"),
        pubsub: has("pubsub"),
        quick: has("fast") || QUICK.contains(&name),
    };
    Some(Command {
        name,
        arity,
        flags,
        flag_names,
        categories: parts.next()?,
        keys: keyspec::parse(parts.next()?),
        group: parts.next()?,
        since: parts.next()?,
        syntax: parts.next()?,
        summary: parts.next()?,
        run: handler(name)?,
        subcommands: Vec::new(),
        index,
    })
}

/// The tables of the families, one after the other.
fn handler(name: &str) -> Option<Run> {
    use crate::session::{acl, client, config, connection, help, pubsub, server, transaction};
    let families: [&[(&str, Run)]; 22] = [
        string::HANDLERS,
        bit::HANDLERS,
        hash::HANDLERS,
        list::HANDLERS,
        set::HANDLERS,
        zset::HANDLERS,
        zset_range::HANDLERS,
        zset_combine::HANDLERS,
        zset_pop::HANDLERS,
        key::HANDLERS,
        scan::HANDLERS,
        sort::HANDLERS,
        introspection::HANDLERS,
        connection::HANDLERS,
        client::HANDLERS,
        server::HANDLERS,
        config::HANDLERS,
        transaction::HANDLERS,
        pubsub::HANDLERS,
        acl::HANDLERS,
        help::HANDLERS,
        crate::session::CONTAINERS,
    ];
    families
        .iter()
        .copied()
        .flatten()
        .find(|(known, _)| *known == name)
        .map(|(_, run)| *run)
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// As Redis: the name and the first arguments, each at most 128 bytes in all.
fn unknown_command(args: Args<'_>) -> Error {
    let name = &args.get(0)[..args.get(0).len().min(128)];
    let mut beginning = String::new();
    for arg in args.from(1).iter().take(20) {
        if beginning.len() >= 128 {
            break;
        }
        let room = 128 - beginning.len();
        beginning.push_str(&format!("'{}' ", shown(&arg[..arg.len().min(room)])));
    }
    Error::new(
        helios_types::ErrorKind::Unsupported,
        format!(
            "unknown command '{}', with args beginning with: {beginning}",
            shown(name)
        ),
    )
}

fn unknown_subcommand(container: &str, name: &[u8]) -> Error {
    Error::new(
        helios_types::ErrorKind::Unsupported,
        format!(
            "unknown subcommand '{}'. Try {} HELP.",
            shown(&name[..name.len().min(128)]),
            container.to_ascii_uppercase()
        ),
    )
}

pub fn wrong_arity(name: &str) -> Error {
    Error::new(
        helios_types::ErrorKind::SyntaxError,
        format!("wrong number of arguments for '{name}' command"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_command() {
        let lines = include_str!("command/commands.tsv").lines();
        for line in lines {
            let name = line.split('\t').next().unwrap();
            assert!(
                commands().find(name.as_bytes()).is_some(),
                "{name} has no handler"
            );
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(commands().find(b"GeT").unwrap().name, "get");
        assert_eq!(commands().find(b"config|GET").unwrap().name, "config|get");
        assert!(commands().find(b"nothing").is_none());
        assert!(commands().find(&[b'x'; 100]).is_none());
    }
}
