//! HELP of the commands that have subcommands, made from the command table.

use super::Session;
use crate::codec::{Args, ReplyWriter};
use crate::command::{Run, commands};
use helios_types::Result;

pub const HANDLERS: &[(&str, Run)] = &[
    ("acl|help", Run::Session(help)),
    ("client|help", Run::Session(help)),
    ("command|help", Run::Session(help)),
    ("config|help", Run::Session(help)),
    ("memory|help", Run::Session(help)),
    ("module|help", Run::Session(help)),
    ("object|help", Run::Session(help)),
    ("pubsub|help", Run::Session(help)),
];

fn help(_: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let Some(container) = commands().find(args.get(0)) else {
        out.array(0);
        return Ok(());
    };
    let name = container.name.to_ascii_uppercase();
    out.array(container.subcommands.len() * 2 + 1);
    out.status(&format!(
        "{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    ));
    for at in &container.subcommands {
        let command = &commands().all[*at];
        let own = command.own_name().to_ascii_uppercase();
        out.status(format!("{own} {}", command.syntax).trim_end());
        out.status(&format!("    {}", command.summary));
    }
    Ok(())
}
