//! What tools ask a server about itself.

use super::Context;
use crate::error::{Result, fail};
use crate::session::now_ms;
use helios_planner::document::error::code;
use helios_planner::document::raw::*;

/// The MongoDB version whose behaviour clients may expect.
const VERSION: &str = "7.0.14";
const VERSION_PARTS: [i32; 4] = [7, 0, 14, 0];

pub(crate) fn run(context: &mut Context<'_>) -> Result<()> {
    match context.name {
        "ping" => {}
        "buildInfo" | "buildinfo" => build_info(&mut context.out),
        "whatsmyuri" => {
            let peer = context.client.peer.to_string();
            context.out.put_str("you", &peer);
        }
        "connectionStatus" => connection_status(context),
        "hostInfo" => host_info(&mut context.out),
        "getParameter" => parameters(context)?,
        "getCmdLineOpts" => command_line(&mut context.out),
        "getLog" => log(context)?,
        "serverStatus" => server_status(context),
        "replSetGetStatus" => replica_set_status(context),
        "getDefaultRWConcern" => {
            context
                .out
                .start_document("defaultReadConcern")
                .put_str("level", "local")
                .end();
            context
                .out
                .start_document("defaultWriteConcern")
                .put_str("w", "majority");
            context.out.put_i32("wtimeout", 0).end();
        }
        "features" => {
            context.out.put_i32("oidMachine", 0);
        }
        "listCommands" => list_commands(&mut context.out),
        "currentOp" => current_operations(context),
        other => fail!(code::COMMAND_NOT_FOUND, "no such command: '{other}'"),
    }
    Ok(())
}

fn build_info(out: &mut Writer) {
    out.put_str("version", VERSION)
        .put_str("gitVersion", env!("CARGO_PKG_VERSION"));
    out.start_array("modules").end();
    out.put_str("allocator", "mimalloc")
        .put_str("javascriptEngine", "none")
        .put_str("sysInfo", "deprecated");
    out.start_array("versionArray");
    for (i, part) in VERSION_PARTS.iter().enumerate() {
        out.put_i32(&i.to_string(), *part);
    }
    out.end();
    out.start_document("openssl")
        .put_str("running", "rustls")
        .end();
    out.put_i32("bits", 64)
        .put_bool("debug", cfg!(debug_assertions));
    out.put_i32("maxBsonObjectSize", crate::codec::DOCUMENT_BYTES_MAX as i32);
    out.start_array("storageEngines")
        .put_str("0", "heliosdb")
        .end();
    out.start_document("heliosdb")
        .put_str("version", env!("CARGO_PKG_VERSION"))
        .end();
}

fn connection_status(context: &mut Context<'_>) {
    let user = context.client.user.clone();
    let show = context.get("showPrivileges").truthy();
    let out = &mut context.out;
    out.start_document("authInfo");
    out.start_array("authenticatedUsers");
    if let Some(user) = &user {
        out.start_document("0")
            .put_str("user", user)
            .put_str("db", "admin")
            .end();
    }
    out.end();
    // Rights are grants on tables in the engine; there are no roles of MongoDB's own.
    out.start_array("authenticatedUserRoles").end();
    if show {
        out.start_array("authenticatedUserPrivileges").end();
    }
    out.end();
}

fn read_number(path: &str, key: &str) -> i64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .unwrap_or("");
    line.split_whitespace()
        .find_map(|word| word.parse().ok())
        .unwrap_or(0)
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn host_info(out: &mut Writer) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as i32;
    out.start_document("system")
        .put("currentTime", BsonBuf::date(now_ms()).as_bson());
    out.put_str("hostname", &host_name())
        .put_i32("cpuAddrSize", 64);
    out.put_i64(
        "memSizeMB",
        read_number("/proc/meminfo", "MemTotal:") / 1024,
    );
    out.put_i32("numCores", cores)
        .put_str("cpuArch", std::env::consts::ARCH)
        .put_bool("numaEnabled", false)
        .end();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    out.start_document("os")
        .put_str("type", "Linux")
        .put_str("name", std::env::consts::OS);
    out.put_str("version", release.trim()).end();
    out.start_document("extra").end();
}

fn parameters(context: &mut Context<'_>) -> Result<()> {
    context.check_fields(&[
        "allParameters",
        "featureCompatibilityVersion",
        "authenticationMechanisms",
        "enableTestCommands",
    ])?;
    let (_, argument) = context.request.command();
    let all = argument.as_str() == Some("*")
        || argument.get("allParameters").truthy()
        || context.get("allParameters").truthy();
    let mut found = false;
    for name in [
        "featureCompatibilityVersion",
        "authenticationMechanisms",
        "enableTestCommands",
    ] {
        if !all && context.get(name).is_missing() {
            continue;
        }
        found = true;
        let out = &mut context.out;
        match name {
            "featureCompatibilityVersion" => {
                out.start_document(name).put_str("version", "7.0").end();
            }
            "authenticationMechanisms" => {
                out.start_array(name).put_str("0", "SCRAM-SHA-256").end();
            }
            _ => {
                out.put_bool(name, false);
            }
        }
    }
    if !found {
        fail!(code::INVALID_OPTIONS, "no option found to get");
    }
    Ok(())
}

fn command_line(out: &mut Writer) {
    out.start_array("argv");
    for (i, argument) in std::env::args().enumerate() {
        out.put_str(&i.to_string(), &argument);
    }
    out.end();
    out.start_document("parsed").end();
}

fn log(context: &mut Context<'_>) -> Result<()> {
    let (_, which) = context.request.command();
    match which.as_str() {
        Some("*") => {
            context
                .out
                .start_array("names")
                .put_str("0", "global")
                .put_str("1", "startupWarnings")
                .end();
        }
        // The log goes to the daemon's own output; none of it is kept in memory.
        Some("global" | "startupWarnings") => {
            context
                .out
                .put_i32("totalLinesWritten", 0)
                .start_array("log")
                .end();
        }
        Some(other) => fail!(code::OPERATION_FAILED, "No log named '{other}'"),
        None => fail!(
            code::TYPE_MISMATCH,
            "Argument to getLog must be of type String; found {}",
            which.type_name()
        ),
    }
    Ok(())
}

fn server_status(context: &mut Context<'_>) {
    let server = context.client.server.clone();
    let connections = server.engine.sessions().len() as i32;
    let uptime = server.started.elapsed();
    let out = &mut context.out;
    out.put_str("host", &host_name())
        .put_str("version", VERSION)
        .put_str("process", "mongod");
    out.put_i64("pid", i64::from(std::process::id()));
    out.put_f64("uptime", uptime.as_secs() as f64)
        .put_i64("uptimeMillis", uptime.as_millis() as i64);
    out.put("localTime", BsonBuf::date(now_ms()).as_bson());
    out.start_document("connections")
        .put_i32("current", connections)
        .end();
    out.start_document("logicalSessionRecordCache")
        .put_i32("activeSessionsCount", server.open_sessions() as i32)
        .end();
    out.start_document("metrics")
        .start_document("cursor")
        .start_document("open");
    out.put_i64("total", server.open_cursors() as i64)
        .end()
        .end()
        .end();
    let resident = read_number("/proc/self/status", "VmRSS:") / 1024;
    out.start_document("mem")
        .put_i32("bits", 64)
        .put_i64("resident", resident)
        .put_bool("supported", true)
        .end();
    out.start_document("storageEngine")
        .put_str("name", "heliosdb")
        .put_bool("supportsCommittedReads", true);
    out.put_bool("persistent", true)
        .put_bool("readOnly", false)
        .end();
    out.start_document("repl")
        .put_str("setName", &server.config.replica_set)
        .put_bool("isWritablePrimary", true)
        .end();
}

fn replica_set_status(context: &mut Context<'_>) {
    let (set, me) = (
        context.client.server.config.replica_set.clone(),
        context.client.local.to_string(),
    );
    let out = &mut context.out;
    out.put_str("set", &set)
        .put("date", BsonBuf::date(now_ms()).as_bson())
        .put_i32("myState", 1)
        .put_i64("term", 1);
    out.start_array("members")
        .start_document("0")
        .put_i32("_id", 0)
        .put_str("name", &me)
        .put_f64("health", 1.0);
    out.put_i32("state", 1)
        .put_str("stateStr", "PRIMARY")
        .put_bool("self", true)
        .end()
        .end();
}

fn list_commands(out: &mut Writer) {
    const COMMANDS: &[&str] = &[
        "abortTransaction",
        "aggregate",
        "buildInfo",
        "collStats",
        "commitTransaction",
        "connectionStatus",
        "count",
        "create",
        "createIndexes",
        "currentOp",
        "dbStats",
        "delete",
        "distinct",
        "drop",
        "dropDatabase",
        "dropIndexes",
        "endSessions",
        "explain",
        "features",
        "find",
        "findAndModify",
        "getCmdLineOpts",
        "getDefaultRWConcern",
        "getLog",
        "getMore",
        "getParameter",
        "hello",
        "hostInfo",
        "insert",
        "isMaster",
        "killAllSessions",
        "killCursors",
        "killSessions",
        "listCollections",
        "listCommands",
        "listDatabases",
        "listIndexes",
        "logout",
        "ping",
        "refreshSessions",
        "renameCollection",
        "replSetGetStatus",
        "saslContinue",
        "saslStart",
        "serverStatus",
        "startSession",
        "update",
        "validate",
        "whatsmyuri",
    ];
    out.start_document("commands");
    for name in COMMANDS {
        out.start_document(name)
            .put_bool(
                "requiresAuth",
                super::needs(name) != Some(super::Needs::Nothing),
            )
            .end();
    }
    out.end();
}

fn current_operations(context: &mut Context<'_>) {
    let sessions = context.client.server.engine.sessions();
    let out = &mut context.out;
    out.start_array("inprog");
    for (i, session) in sessions.iter().filter(|s| s.running).enumerate() {
        out.start_document(&i.to_string())
            .put_i32("opid", session.pid)
            .put_bool("active", true);
        out.put_str("appName", &session.application)
            .put_str("desc", session.protocol.name());
        out.start_document("command")
            .put_str("statement", &session.statement)
            .end()
            .end();
    }
    out.end();
}
