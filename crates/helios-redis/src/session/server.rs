//! INFO and the other commands about the server itself.

use super::Session;
use crate::codec::{Args, ReplyWriter};
use crate::command::option::{integer, is};
use crate::command::{Run, commands};
use crate::server::{COMPATIBLE_VERSION, Server};
use helios_engine::keyspace::Access;
use helios_engine::keyspace::expirer::now_ms;
use helios_types::{Error, Result};
use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

pub const HANDLERS: &[(&str, Run)] = &[
    ("debug", Run::Session(debug)),
    ("info", Run::Session(info)),
    ("module|list", Run::Session(module_list)),
    ("role", Run::Session(role)),
    ("swapdb", Run::Session(swapdb)),
    ("time", Run::Session(time)),
    ("wait", Run::Session(wait)),
];

fn time(_: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    out.array(2);
    out.bulk_integer(now.as_secs() as i64);
    out.bulk_integer(i64::from(now.subsec_micros()));
    Ok(())
}

fn role(_: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    out.array(3);
    out.bulk(b"master");
    out.integer(0);
    out.array(0);
    Ok(())
}

/// There are no replicas, so none can be waited for.
fn wait(_: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    integer(args.get(1))?;
    if integer(args.get(2))? < 0 {
        return crate::command::option::fail("timeout is negative");
    }
    out.integer(0);
    Ok(())
}

fn module_list(_: &mut Session, _: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    out.array(0);
    Ok(())
}

fn swapdb(_: &mut Session, _: Args<'_>, _: &mut ReplyWriter) -> Result<()> {
    Err(Error::unsupported("SWAPDB"))
}

fn debug(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    if is(args.get(1), "set-active-expire") && args.len() == 3 {
        session
            .server
            .keyspace()
            .set_active_expiry(integer(args.get(2))? != 0);
        out.ok();
        return Ok(());
    }
    let name = String::from_utf8_lossy(args.get(1)).to_ascii_uppercase();
    Err(Error::unsupported(format!("DEBUG {name}")))
}

type Section = (&'static str, fn(&Session, &mut String) -> Result<()>);

/// The sections of INFO; the first ones are shown when none is asked for.
const SECTIONS: [Section; 11] = [
    ("server", server_section),
    ("clients", clients_section),
    ("memory", memory_section),
    ("persistence", persistence_section),
    ("stats", stats_section),
    ("replication", replication_section),
    ("cpu", cpu_section),
    ("errorstats", errorstats_section),
    ("cluster", cluster_section),
    ("keyspace", keyspace_section),
    ("commandstats", commandstats_section),
];
const DEFAULT_SECTIONS: usize = 10;

fn info(session: &mut Session, args: Args<'_>, out: &mut ReplyWriter) -> Result<()> {
    let asked = args.from(1);
    let wanted = |at: usize, name: &str| {
        let default = at < DEFAULT_SECTIONS;
        asked.is_empty() && default
            || asked.iter().any(|arg| {
                is(arg, name)
                    || is(arg, "all")
                    || is(arg, "everything")
                    || (is(arg, "default") && default)
            })
    };
    let mut text = String::new();
    for (at, (name, write)) in SECTIONS.iter().enumerate() {
        if !wanted(at, name) {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let (first, rest) = name.split_at(1);
        let _ = write!(text, "# {}{rest}\r\n", first.to_ascii_uppercase());
        write(session, &mut text)?;
    }
    out.verbatim(&text);
    Ok(())
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = write!(text, "{name}:{value}\r\n");
}

fn server_section(session: &Session, text: &mut String) -> Result<()> {
    let server = &session.server;
    let uptime = server.started.elapsed().as_secs();
    line(text, "redis_version", COMPATIBLE_VERSION);
    line(text, "redis_mode", "standalone");
    line(text, "heliosdb_version", env!("CARGO_PKG_VERSION"));
    line(text, "os", std::env::consts::OS);
    line(text, "arch_bits", usize::BITS);
    line(text, "multiplexing_api", "epoll");
    line(text, "process_id", std::process::id());
    line(text, "run_id", &server.run_id);
    line(text, "tcp_port", server.port);
    line(text, "server_time_usec", now_ms() * 1000);
    line(text, "uptime_in_seconds", uptime);
    line(text, "uptime_in_days", uptime / 86_400);
    Ok(())
}

fn clients_section(session: &Session, text: &mut String) -> Result<()> {
    let all = session.server.clients.all();
    let blocked = all
        .iter()
        .filter(|client| client.shown.lock().blocked)
        .count();
    let subscribed = all
        .iter()
        .filter(|client| client.kind() == "pubsub")
        .count();
    line(text, "connected_clients", all.len());
    line(text, "blocked_clients", blocked);
    line(text, "pubsub_clients", subscribed);
    Ok(())
}

/// The process as the operating system sees it, in bytes and clock ticks.
#[derive(Default)]
struct Process {
    resident: u64,
    user_ticks: u64,
    system_ticks: u64,
}

fn process() -> Process {
    let mut process = Process::default();
    if let Ok(statm) = std::fs::read_to_string("/proc/self/statm") {
        let pages = statm
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse::<u64>().ok());
        process.resident = pages.unwrap_or(0) * 4096;
    }
    if let Ok(stat) = std::fs::read_to_string("/proc/self/stat")
        && let Some((_, fields)) = stat.rsplit_once(')')
    {
        let mut fields = fields.split_ascii_whitespace().skip(11);
        let mut next = || {
            fields
                .next()
                .and_then(|ticks| ticks.parse().ok())
                .unwrap_or(0)
        };
        process.user_ticks = next();
        process.system_ticks = next();
    }
    process
}

fn memory_section(_: &Session, text: &mut String) -> Result<()> {
    let resident = process().resident;
    line(text, "used_memory", resident);
    line(
        text,
        "used_memory_human",
        format!("{:.2}M", resident as f64 / 1_048_576.0),
    );
    line(text, "used_memory_rss", resident);
    line(text, "maxmemory", 0);
    line(text, "maxmemory_policy", "noeviction");
    line(text, "mem_allocator", "mimalloc");
    Ok(())
}

fn persistence_section(session: &Session, text: &mut String) -> Result<()> {
    let _ = session;
    line(text, "loading", 0);
    line(text, "async_loading", 0);
    line(text, "rdb_bgsave_in_progress", 0);
    line(text, "aof_enabled", 1);
    line(text, "aof_rewrite_in_progress", 0);
    line(text, "aof_last_write_status", "ok");
    Ok(())
}

fn stats_section(session: &Session, text: &mut String) -> Result<()> {
    let counters = &session.server.counters;
    line(
        text,
        "total_connections_received",
        counters.connections.load(Relaxed),
    );
    line(
        text,
        "total_commands_processed",
        counters.commands.load(Relaxed),
    );
    line(text, "total_error_replies", counters.errors.load(Relaxed));
    line(
        text,
        "expired_keys",
        session.server.keyspace().expired_keys(),
    );
    line(text, "evicted_keys", 0);
    let channels = &session.server.channels;
    line(
        text,
        "pubsub_channels",
        channels.active(crate::channels::Kind::Channel, None).len(),
    );
    line(text, "pubsub_patterns", channels.pattern_count());
    Ok(())
}

fn replication_section(session: &Session, text: &mut String) -> Result<()> {
    line(text, "role", "master");
    line(text, "connected_slaves", 0);
    line(text, "master_replid", &session.server.run_id);
    line(text, "master_repl_offset", 0);
    Ok(())
}

fn cpu_section(_: &Session, text: &mut String) -> Result<()> {
    let process = process();
    line(
        text,
        "used_cpu_sys",
        format!("{:.6}", process.system_ticks as f64 / 100.0),
    );
    line(
        text,
        "used_cpu_user",
        format!("{:.6}", process.user_ticks as f64 / 100.0),
    );
    Ok(())
}

fn errorstats_section(session: &Session, text: &mut String) -> Result<()> {
    let errors = session.server.counters.errors.load(Relaxed);
    if errors > 0 {
        line(text, "errorstat_ALL", format!("count={errors}"));
    }
    Ok(())
}

fn cluster_section(_: &Session, text: &mut String) -> Result<()> {
    line(text, "cluster_enabled", 0);
    Ok(())
}

fn keyspace_section(session: &Session, text: &mut String) -> Result<()> {
    let server: &Server = &session.server;
    for database in session.databases() {
        let access = Access::newest(server.keyspace(), database, now_ms());
        let keys = access.key_count();
        if keys > 0 {
            let value = format!("keys={keys},expires={},avg_ttl=0", access.expiring_count());
            line(text, &format!("db{}", database.number()), value);
        }
    }
    Ok(())
}

fn commandstats_section(session: &Session, text: &mut String) -> Result<()> {
    for (command, counters) in commands()
        .all
        .iter()
        .zip(&session.server.counters.by_command)
    {
        let calls = counters.calls.load(Relaxed);
        if calls == 0 {
            continue;
        }
        let microseconds = counters.microseconds.load(Relaxed);
        line(
            text,
            &format!("cmdstat_{}", command.name),
            format!(
                "calls={calls},usec={microseconds},usec_per_call={:.2},rejected_calls=0,\
                 failed_calls={}",
                microseconds as f64 / calls as f64,
                counters.failed.load(Relaxed)
            ),
        );
    }
    Ok(())
}
