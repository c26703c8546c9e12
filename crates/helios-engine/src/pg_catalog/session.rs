//! pg_settings and pg_stat_activity.

use super::row::{named, optional, text};
use super::{Request, Row};
use crate::settings::SETTINGS;
use helios_types::{Result, Value};

pub(super) fn pg_settings(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let wanted = request.wanted_name("name").map(str::to_owned);
    let mut settings: Vec<_> = SETTINGS.iter().collect();
    settings.sort_by_key(|s| s.name);
    let mut rows = Vec::new();
    for setting in settings {
        if wanted.as_deref().is_some_and(|name| name != setting.name) {
            continue;
        }
        let value = request.functions.setting(setting.name);
        let changed = value.as_deref().is_some_and(|v| v != setting.default);
        let kind = match setting.default {
            "on" | "off" => "bool",
            number if number.parse::<i64>().is_ok() => "integer",
            _ => "string",
        };
        rows.push(named(
            request.table,
            vec![
                ("name", text(setting.name)),
                ("setting", optional(value.as_deref())),
                (
                    "category",
                    text("Client Connection Defaults / Statement Behavior"),
                ),
                ("short_desc", text(setting.description)),
                ("context", text("user")),
                ("vartype", text(kind)),
                ("source", text(if changed { "session" } else { "default" })),
                ("boot_val", text(setting.default)),
                ("reset_val", text(setting.default)),
                ("pending_restart", Value::Bool(false)),
            ],
        ));
    }
    Ok(rows)
}

pub(super) fn pg_stat_activity(request: &mut Request<'_>) -> Result<Vec<Row>> {
    let time = |us: Option<i64>| us.map_or(Value::Null, Value::TimestampTz);
    let mut sessions = request.engine.sessions();
    sessions.sort_by_key(|s| s.pid);
    Ok(sessions
        .into_iter()
        .map(|s| {
            let state = match (s.running, s.in_transaction, s.failed) {
                (true, _, _) => "active",
                (false, true, true) => "idle in transaction (aborted)",
                (false, true, false) => "idle in transaction",
                (false, false, _) => "idle",
            };
            let database = request
                .catalog
                .database_named(&s.database)
                .map(|d| Value::Oid(d.id.0));
            let user = request
                .catalog
                .role_named(&s.user)
                .map(|r| Value::Oid(r.id.0));
            let waits = !request.engine.blocking_pids(s.pid).is_empty();
            named(
                request.table,
                vec![
                    ("datid", database.unwrap_or_default()),
                    ("datname", text(&s.database)),
                    ("pid", Value::Int4(s.pid)),
                    ("usesysid", user.unwrap_or_default()),
                    ("usename", text(&s.user)),
                    ("application_name", text(&s.application)),
                    ("client_addr", optional(s.peer.map(|p| p.ip().to_string()))),
                    (
                        "client_port",
                        Value::Int4(s.peer.map_or(-1, |p| i32::from(p.port()))),
                    ),
                    ("backend_start", Value::TimestampTz(s.started_us)),
                    ("xact_start", time(s.transaction_started_us)),
                    ("query_start", time(s.statement_started_us)),
                    ("state_change", time(s.statement_started_us)),
                    ("wait_event_type", optional(waits.then_some("Lock"))),
                    ("state", text(state)),
                    ("query", text(&s.statement)),
                    ("backend_type", text("client backend")),
                ],
            )
        })
        .collect())
}
