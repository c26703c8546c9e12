//! CONFIG.

use super::Session;
use crate::codec::{Args, ReplyWriter};
use crate::command::{Run, wrong_arity};
use crate::config::Refusal;
use helios_engine::keyspace::glob;
use helios_types::{Error, ErrorKind, Result};
use std::collections::BTreeMap;

pub const HANDLERS: &[(&str, Run)] = &[
    ("config|get", Run::Session(get)),
    ("config|resetstat", Run::Session(resetstat)),
    ("config|rewrite", Run::Session(rewrite)),
    ("config|set", Run::Session(set)),
];

fn get(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let server = &session.server;
    let mut found = BTreeMap::new();
    let mut all = server.parameters.all(server.keyspace().thresholds());
    all.push(("port", server.port.to_string()));
    for (name, value) in all {
        let wanted = args
            .from(2)
            .iter()
            .any(|pattern| glob::matches(&pattern.to_ascii_lowercase(), name.as_bytes()));
        if wanted {
            found.insert(name, value);
        }
    }
    out.map(found.len());
    for (name, value) in found {
        out.bulk(name.as_bytes());
        out.bulk(value.as_bytes());
    }
    Ok(())
}

fn refused(name: &str, refusal: &Refusal) -> Error {
    let message = match refusal {
        Refusal::Unknown => {
            format!("Unknown option or number of arguments for CONFIG SET - '{name}'")
        }
        Refusal::Immutable => format!(
            "CONFIG SET failed (possibly related to argument '{name}') - can't set immutable config"
        ),
        Refusal::Invalid(why) => {
            format!("CONFIG SET failed (possibly related to argument '{name}') - {why}")
        }
    };
    Error::new(ErrorKind::InvalidParameterValue, message)
}

/// All parameters or none.
fn set(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    if !args.len().is_multiple_of(2) {
        return Err(wrong_arity("config|set"));
    }
    let server = &session.server;
    let thresholds = server.keyspace().thresholds();
    let mut wanted: Vec<(String, String)> = Vec::new();
    for at in (2..args.len()).step_by(2) {
        let name = String::from_utf8_lossy(args.get(at)).to_ascii_lowercase();
        let value = String::from_utf8_lossy(args.get(at + 1)).into_owned();
        if wanted.iter().any(|(other, _)| *other == name) {
            return Err(refused(&name, &Refusal::Invalid("duplicate parameter")));
        }
        wanted.push((name, value));
    }
    for (name, value) in &wanted {
        server
            .parameters
            .check(thresholds, name, value)
            .map_err(|why| refused(name, &why))?;
    }
    for (name, value) in &wanted {
        server
            .parameters
            .set(thresholds, name, value)
            .map_err(|why| refused(name, &why))?;
    }
    out.ok();
    Ok(())
}

fn resetstat(session: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    session.server.counters.reset();
    out.ok();
    Ok(())
}

fn rewrite(_: &mut Session, _: Args<'_>, _: &mut ReplyWriter) -> Result<()> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "The server is running without a config file",
    ))
}
