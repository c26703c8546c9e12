//! What the engine counts for Prometheus, and its text.

use helios_storage::StoreStats;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the duration histogram: microseconds and the label. The last is without bound.
const BUCKETS: [(u64, &str); 8] = [
    (1_000, "0.001"),
    (10_000, "0.01"),
    (100_000, "0.1"),
    (500_000, "0.5"),
    (1_000_000, "1.0"),
    (10_000_000, "10.0"),
    (60_000_000, "60.0"),
    (u64::MAX, "+Inf"),
];

/// Statements of all protocols.
#[derive(Debug, Default)]
pub struct Metrics {
    succeeded: AtomicU64,
    failed: AtomicU64,
    /// Statements by the first bucket that holds them.
    buckets: [AtomicU64; BUCKETS.len()],
    total_us: AtomicU64,
}

impl Metrics {
    pub(crate) fn observe(&self, elapsed: Duration, succeeded: bool) {
        let counter = if succeeded {
            &self.succeeded
        } else {
            &self.failed
        };
        counter.fetch_add(1, Relaxed);
        let us = elapsed.as_micros() as u64;
        let bucket = BUCKETS
            .iter()
            .position(|(bound, _)| us <= *bound)
            .unwrap_or(BUCKETS.len() - 1);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.total_us.fetch_add(us, Relaxed);
    }

    pub(crate) fn write(&self, out: &mut String, storage: &StoreStats) {
        // Writing to a string does not fail.
        let _ = self
            .write_queries(out)
            .and_then(|()| write_storage(out, storage));
    }

    fn write_queries(&self, out: &mut String) -> std::fmt::Result {
        out.push_str("# HELP heliosdb_queries_total Total number of queries executed\n");
        out.push_str("# TYPE heliosdb_queries_total counter\n");
        writeln!(
            out,
            "heliosdb_queries_total{{status=\"success\"}} {}",
            self.succeeded.load(Relaxed)
        )?;
        writeln!(
            out,
            "heliosdb_queries_total{{status=\"error\"}} {}",
            self.failed.load(Relaxed)
        )?;
        out.push_str("# HELP heliosdb_query_duration_seconds Query execution duration\n");
        out.push_str("# TYPE heliosdb_query_duration_seconds histogram\n");
        let mut count = 0;
        for ((_, label), bucket) in BUCKETS.iter().zip(&self.buckets) {
            count += bucket.load(Relaxed);
            writeln!(
                out,
                "heliosdb_query_duration_seconds_bucket{{le=\"{label}\"}} {count}"
            )?;
        }
        let seconds = self.total_us.load(Relaxed) as f64 / 1e6;
        writeln!(out, "heliosdb_query_duration_seconds_sum {seconds}")?;
        writeln!(out, "heliosdb_query_duration_seconds_count {count}")
    }
}

fn write_storage(out: &mut String, s: &StoreStats) -> std::fmt::Result {
    let looked_up = s.cache_hits + s.cache_misses;
    let ratio = if looked_up == 0 {
        1.0
    } else {
        s.cache_hits as f64 / looked_up as f64
    };
    writeln!(
        out,
        "# HELP heliosdb_cache_hit_ratio Cache hit ratio\n# TYPE heliosdb_cache_hit_ratio gauge\nheliosdb_cache_hit_ratio {ratio}"
    )?;
    for (name, help, kind, value) in [
        (
            "heliosdb_commits_total",
            "Transactions committed",
            "counter",
            s.commits,
        ),
        (
            "heliosdb_fsyncs_total",
            "Syncs of the write-ahead log",
            "counter",
            s.fsyncs,
        ),
        (
            "heliosdb_conflicts_total",
            "Serialization failures",
            "counter",
            s.conflicts,
        ),
        (
            "heliosdb_deadlocks_total",
            "Deadlocks found",
            "counter",
            s.deadlocks,
        ),
        (
            "heliosdb_lock_waits_total",
            "Waits for a lock",
            "counter",
            s.lock_waits,
        ),
        ("heliosdb_locks_held", "Locks held", "gauge", s.locks_held),
        (
            "heliosdb_snapshots_live",
            "Snapshots in use",
            "gauge",
            s.live_snapshots,
        ),
        (
            "heliosdb_cache_bytes",
            "Bytes of the block cache",
            "gauge",
            s.cache_bytes,
        ),
        (
            "heliosdb_memtable_bytes",
            "Bytes of memtables",
            "gauge",
            s.memtable_bytes,
        ),
        (
            "heliosdb_disk_bytes",
            "Bytes of table files",
            "gauge",
            s.disk_bytes,
        ),
        (
            "heliosdb_storage_read_bytes_total",
            "Bytes read",
            "counter",
            s.bytes_read,
        ),
        (
            "heliosdb_storage_written_bytes_total",
            "Bytes written",
            "counter",
            s.bytes_written,
        ),
    ] {
        writeln!(
            out,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let metrics = Metrics::default();
        metrics.observe(Duration::from_millis(5), true);
        metrics.observe(Duration::from_secs(600), false);
        let mut out = String::new();
        metrics.write(&mut out, &StoreStats::default());
        for line in [
            "heliosdb_queries_total{status=\"success\"} 1",
            "heliosdb_query_duration_seconds_bucket{le=\"0.001\"} 0",
            "heliosdb_query_duration_seconds_bucket{le=\"0.01\"} 1",
            "heliosdb_query_duration_seconds_bucket{le=\"+Inf\"} 2",
            "heliosdb_query_duration_seconds_count 2",
            "heliosdb_cache_hit_ratio 1",
        ] {
            assert!(out.lines().any(|l| l == line), "{line} in {out}");
        }
    }
}
