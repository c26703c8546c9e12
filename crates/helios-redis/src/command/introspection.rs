//! COMMAND: the command table, shown to clients.

use super::keyspec::{KeySpec, Place, positions};
use super::option::{fail, is, syntax_error};
use super::{Command, Run, commands, syntax};
use crate::codec::{Args, ReplyWriter};
use crate::session::Session;
use helios_engine::keyspace::glob;
use helios_types::{Error, ErrorKind, Result};

pub const HANDLERS: &[(&str, Run)] = &[
    ("command", Run::Session(command)),
    ("command|count", Run::Session(count)),
    ("command|docs", Run::Session(docs)),
    ("command|getkeys", Run::Session(getkeys)),
    ("command|getkeysandflags", Run::Session(getkeysandflags)),
    ("command|info", Run::Session(info)),
    ("command|list", Run::Session(list)),
];

fn top_level() -> impl Iterator<Item = &'static Command> {
    commands()
        .all
        .iter()
        .filter(|command| !command.name.contains('|'))
}

fn command(_: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    out.array(top_level().count());
    top_level().for_each(|command| write_info(out, command));
    Ok(())
}

fn count(_: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    out.integer(top_level().count() as i64);
    Ok(())
}

fn info(_: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    if args.len() == 2 {
        out.array(top_level().count());
        top_level().for_each(|command| write_info(out, command));
        return Ok(());
    }
    out.array(args.len() - 2);
    for name in args.from(2).iter() {
        match commands().find(name) {
            Some(command) => write_info(out, command),
            None => out.null(),
        }
    }
    Ok(())
}

fn words(out: &mut ReplyWriter, text: &str) {
    let words = || text.split(' ').filter(|word| !word.is_empty());
    out.set(words().count());
    words().for_each(|word| out.status(word));
}

fn write_info(out: &mut ReplyWriter, command: &Command) {
    let range = command.keys.iter().find_map(|spec| match spec.place {
        Place::Range { first, last, step } => Some((first as i64, last, step as i64)),
        _ => None,
    });
    let (first, last, step) = match range {
        Some((first, last, step)) => (first, if last < 0 { last } else { first + last }, step),
        None => (0, 0, 0),
    };
    out.array(10);
    out.bulk(command.name.as_bytes());
    out.integer(i64::from(command.arity));
    words(out, command.flag_names);
    out.integer(first);
    out.integer(last);
    out.integer(step);
    words(out, command.categories);
    // Hints for proxies of clusters, which there are none of.
    out.set(0);
    out.set(command.keys.len());
    command
        .keys
        .iter()
        .for_each(|spec| write_key_spec(out, spec));
    out.set(command.subcommands.len());
    for at in &command.subcommands {
        write_info(out, &commands().all[*at]);
    }
}

fn write_key_spec(out: &mut ReplyWriter, spec: &KeySpec) {
    let entry = |out: &mut ReplyWriter, name: &str, kind: &str, numbers: &[(&str, i64)]| {
        out.bulk(name.as_bytes());
        out.map(2);
        out.bulk(b"type");
        out.bulk(kind.as_bytes());
        out.bulk(b"spec");
        out.map(numbers.len());
        for (name, number) in numbers {
            out.bulk(name.as_bytes());
            out.integer(*number);
        }
    };
    out.map(3);
    out.bulk(b"flags");
    words(out, spec.flags);
    match spec.place {
        Place::Range { first, last, step } => {
            entry(out, "begin_search", "index", &[("index", first as i64)]);
            let numbers = [("lastkey", last), ("keystep", step as i64), ("limit", 0)];
            entry(out, "find_keys", "range", &numbers);
        }
        Place::Counted { at } => {
            entry(out, "begin_search", "index", &[("index", at as i64)]);
            let numbers = [("keynumidx", 0), ("firstkey", 1), ("keystep", 1)];
            entry(out, "find_keys", "keynum", &numbers);
        }
        Place::Keyword(_) | Place::Unknown => {
            entry(out, "begin_search", "unknown", &[]);
            entry(out, "find_keys", "unknown", &[]);
        }
    }
}

fn docs(_: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let chosen: Vec<&Command> = if args.len() == 2 {
        top_level().collect()
    } else {
        args.from(2)
            .iter()
            .filter_map(|name| commands().find(name))
            .collect()
    };
    out.map(chosen.len());
    for command in chosen {
        write_docs(out, command);
    }
    Ok(())
}

fn write_docs(out: &mut ReplyWriter, command: &Command) {
    let arguments = syntax::parse(command.syntax);
    let entries =
        3 + usize::from(!arguments.is_empty()) + usize::from(!command.subcommands.is_empty());
    out.bulk(command.name.as_bytes());
    out.map(entries);
    for (name, value) in [
        ("summary", command.summary),
        ("since", command.since),
        ("group", command.group),
    ] {
        out.bulk(name.as_bytes());
        out.bulk(value.as_bytes());
    }
    if !arguments.is_empty() {
        out.bulk(b"arguments");
        syntax::write(out, &arguments);
    }
    if !command.subcommands.is_empty() {
        out.bulk(b"subcommands");
        out.map(command.subcommands.len());
        for at in &command.subcommands {
            write_docs(out, &commands().all[*at]);
        }
    }
}

fn list(_: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let wanted: Box<dyn Fn(&Command) -> bool> = match args.len() {
        2 => Box::new(|command| !command.name.contains('|')),
        5 if is(args.get(2), "filterby") => {
            let value = args.get(4).to_ascii_lowercase();
            match args.get(3) {
                word if is(word, "module") => Box::new(|_| false),
                word if is(word, "aclcat") => {
                    let tag = format!("@{}", String::from_utf8_lossy(&value));
                    Box::new(move |command| command.categories.split(' ').any(|own| own == tag))
                }
                word if is(word, "pattern") => {
                    Box::new(move |command| glob::matches(&value, command.name.as_bytes()))
                }
                _ => return syntax_error(),
            }
        }
        _ => return syntax_error(),
    };
    let names: Vec<&str> = commands()
        .all
        .iter()
        .filter(|command| wanted(command))
        .map(|command| command.name)
        .collect();
    out.array(names.len());
    names.iter().for_each(|name| out.bulk(name.as_bytes()));
    Ok(())
}

/// The keys of the request behind `COMMAND GETKEYS`, with their flags.
fn keys_of<'a>(args: Args<'a>) -> Result<Vec<(&'a [u8], &'static str)>> {
    let request = args.from(2);
    let Some(command) = commands().find(request.get(0)) else {
        return fail("Invalid command specified");
    };
    let command = commands().resolve(request).unwrap_or(command);
    if command.keys.is_empty() {
        return fail("The command has no key arguments");
    }
    if !command.takes(request.len()) {
        return fail("Invalid number of arguments specified for command");
    }
    let mut keys = Vec::new();
    for spec in &command.keys {
        for at in positions(spec, request) {
            keys.push((at, request.get(at), flags_of(command, spec, request)));
        }
    }
    if keys.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidParameterValue,
            "Invalid arguments specified for command",
        ));
    }
    keys.sort_by_key(|(at, _, _)| *at);
    Ok(keys
        .into_iter()
        .map(|(_, key, flags)| (key, flags))
        .collect())
}

/// How this very request uses its keys, where the options decide that.
fn flags_of(command: &Command, spec: &KeySpec, request: Args<'_>) -> &'static str {
    if !spec.flags.contains("variable_flags") {
        return spec.flags;
    }
    let has = |word: &str| request.from(2).iter().any(|arg| is(arg, word));
    match command.name {
        "set" if !has("get") => "OW update",
        "bitfield" if !has("set") && !has("incrby") => "RO access",
        _ => "RW access update",
    }
}

fn getkeys(_: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let keys = keys_of(args)?;
    out.array(keys.len());
    keys.iter().for_each(|(key, _)| out.bulk(key));
    Ok(())
}

fn getkeysandflags(_: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let keys = keys_of(args)?;
    out.array(keys.len());
    for (key, flags) in keys {
        out.array(2);
        out.bulk(key);
        words(out, flags);
    }
    Ok(())
}
