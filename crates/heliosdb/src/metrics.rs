//! `/metrics`: what the engine, the storage and the listeners count, in Prometheus' text format.

use helios_engine::Engine;
use helios_net::Counters;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The daemon as REST sees it.
pub struct Surroundings {
    pub engine: Arc<Engine>,
    pub loopback_only: bool,
    /// Protocol and counters of each listener; filled while they are bound.
    pub listeners: Mutex<Vec<(&'static str, Arc<Counters>)>>,
}

impl helios_http::Surroundings for Surroundings {
    fn protocols(&self) -> Vec<&'static str> {
        let listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.iter().map(|(name, _)| long_name(name)).collect()
    }

    fn write_metrics(&self, out: &mut String) {
        self.engine.write_metrics(out);
        let listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let active: u64 = listeners.iter().map(|(_, c)| c.active.load(Relaxed)).sum();
        out.push_str("# HELP heliosdb_connections_active Active database connections\n# TYPE heliosdb_connections_active gauge\n");
        let _ = writeln!(out, "heliosdb_connections_active {active}");
        for (name, help, value) in LISTENER_METRICS {
            let kind = if name.ends_with("_total") {
                "counter"
            } else {
                "gauge"
            };
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (protocol, counters) in listeners.iter() {
                let _ = writeln!(
                    out,
                    "{name}{{protocol=\"{}\"}} {}",
                    long_name(protocol),
                    value(counters).load(Relaxed)
                );
            }
        }
    }

    fn is_loopback_only(&self) -> bool {
        self.loopback_only
    }
}

type Read = fn(&Counters) -> &AtomicU64;

const LISTENER_METRICS: &[(&str, &str, Read)] = &[
    ("heliosdb_listener_connections", "Open connections", |c| {
        &c.active
    }),
    (
        "heliosdb_listener_accepted_total",
        "Connections accepted",
        |c| &c.accepted,
    ),
    (
        "heliosdb_listener_refused_total",
        "Connections refused because of the limit",
        |c| &c.refused,
    ),
    (
        "heliosdb_listener_timeouts_total",
        "Connections cut by a timeout",
        |c| &c.timed_out,
    ),
    (
        "heliosdb_listener_tls_failures_total",
        "Failed TLS handshakes",
        |c| &c.tls_failed,
    ),
    (
        "heliosdb_listener_panics_total",
        "Connections that ended in a fault of the server",
        |c| &c.panicked,
    ),
    (
        "heliosdb_listener_received_bytes_total",
        "Bytes received",
        |c| &c.bytes_received,
    ),
    ("heliosdb_listener_sent_bytes_total", "Bytes sent", |c| {
        &c.bytes_sent
    }),
];

fn long_name(name: &'static str) -> &'static str {
    match name {
        "pg" => "postgresql",
        "mongo" => "mongodb",
        other => other,
    }
}
