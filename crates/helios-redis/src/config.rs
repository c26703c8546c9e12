//! The parameters of CONFIG.
//!
//! A parameter is either one that can be changed and then really changes something, or one with a
//! fixed value that is shown because clients ask for it; setting that to another value is an error.

use helios_engine::Durability;
use helios_engine::keyspace::Thresholds;
use helios_engine::keyspace::number::parse_i64;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// Parameters whose values are kept here.
#[derive(Debug)]
pub struct Parameters {
    durability: AtomicU8,
    bulk_bytes: AtomicU64,
    request_bytes: AtomicU64,
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters {
            durability: AtomicU8::new(EVERY_SECOND),
            bulk_bytes: (512 * 1024 * 1024).into(),
            request_bytes: (1024 * 1024 * 1024).into(),
        }
    }
}

const ALWAYS: u8 = 0;
const EVERY_SECOND: u8 = 1;
const NEVER: u8 = 2;

/// Shown, and not to be changed.
const FIXED: &[(&str, &str)] = &[
    ("activedefrag", "no"),
    ("appenddirname", "appendonlydir"),
    ("appendfilename", "appendonly.aof"),
    ("appendonly", "yes"),
    ("bind", "127.0.0.1 -::1"),
    ("cluster-enabled", "no"),
    ("daemonize", "no"),
    ("databases", "16"),
    ("dbfilename", "dump.rdb"),
    ("io-threads", "1"),
    ("latency-monitor-threshold", "0"),
    ("lfu-decay-time", "1"),
    ("lfu-log-factor", "10"),
    ("loglevel", "notice"),
    ("maxclients", "10000"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("maxmemory-samples", "5"),
    ("notify-keyspace-events", ""),
    ("protected-mode", "yes"),
    ("rdbcompression", "yes"),
    ("requirepass", ""),
    ("save", ""),
    ("slowlog-log-slower-than", "-1"),
    ("slowlog-max-len", "128"),
    ("tcp-keepalive", "120"),
    ("timeout", "0"),
    ("tracking-table-max-keys", "1000000"),
];

/// Older names of parameters.
const ALIASES: &[(&str, &str)] = &[
    ("hash-max-ziplist-entries", "hash-max-listpack-entries"),
    ("hash-max-ziplist-value", "hash-max-listpack-value"),
    ("list-max-ziplist-size", "list-max-listpack-size"),
    ("zset-max-ziplist-entries", "zset-max-listpack-entries"),
    ("zset-max-ziplist-value", "zset-max-listpack-value"),
];

/// Why a parameter was not set.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    Unknown,
    Immutable,
    Invalid(&'static str),
}

impl Parameters {
    /// What an acknowledged write means.
    pub fn durability(&self) -> Durability {
        match self.durability.load(Relaxed) {
            ALWAYS => Durability::On,
            NEVER => Durability::Off,
            _ => Durability::EverySecond,
        }
    }

    pub fn bulk_bytes(&self) -> usize {
        usize::try_from(self.bulk_bytes.load(Relaxed)).unwrap_or(usize::MAX)
    }

    pub fn request_bytes(&self) -> usize {
        usize::try_from(self.request_bytes.load(Relaxed)).unwrap_or(usize::MAX)
    }

    fn numbers<'p>(&'p self, thresholds: &'p Thresholds) -> [(&'static str, &'p AtomicU64); 10] {
        [
            ("client-query-buffer-limit", &self.request_bytes),
            (
                "hash-max-listpack-entries",
                &thresholds.hash_max_listpack_entries,
            ),
            (
                "hash-max-listpack-value",
                &thresholds.hash_max_listpack_value,
            ),
            ("list-max-listpack-size", &thresholds.list_max_listpack_size),
            ("proto-max-bulk-len", &self.bulk_bytes),
            ("set-max-intset-entries", &thresholds.set_max_intset_entries),
            (
                "set-max-listpack-entries",
                &thresholds.set_max_listpack_entries,
            ),
            ("set-max-listpack-value", &thresholds.set_max_listpack_value),
            (
                "zset-max-listpack-entries",
                &thresholds.zset_max_listpack_entries,
            ),
            (
                "zset-max-listpack-value",
                &thresholds.zset_max_listpack_value,
            ),
        ]
    }

    /// All names and values.
    pub fn all(&self, thresholds: &Thresholds) -> Vec<(&'static str, String)> {
        let fsync = match self.durability.load(Relaxed) {
            ALWAYS => "always",
            NEVER => "no",
            _ => "everysec",
        };
        let mut all = vec![("appendfsync", fsync.to_owned())];
        let numbers = self.numbers(thresholds);
        all.extend(
            numbers
                .iter()
                .map(|(name, value)| (*name, (value.load(Relaxed) as i64).to_string())),
        );
        for (alias, name) in ALIASES {
            if let Some((_, value)) = numbers.iter().find(|(known, _)| known == name) {
                all.push((alias, (value.load(Relaxed) as i64).to_string()));
            }
        }
        all.extend(
            FIXED
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        all
    }

    /// Whether `value` may be given to the parameter `name`; nothing is changed.
    pub fn check(&self, thresholds: &Thresholds, name: &str, value: &str) -> Result<(), Refusal> {
        self.apply(thresholds, name, value, false)
    }

    pub fn set(&self, thresholds: &Thresholds, name: &str, value: &str) -> Result<(), Refusal> {
        self.apply(thresholds, name, value, true)
    }

    fn apply(
        &self,
        thresholds: &Thresholds,
        name: &str,
        value: &str,
        store: bool,
    ) -> Result<(), Refusal> {
        let name = ALIASES
            .iter()
            .find(|(alias, _)| *alias == name)
            .map_or(name, |(_, name)| name);
        if name == "appendfsync" {
            let durability = match value {
                "always" => ALWAYS,
                "everysec" => EVERY_SECOND,
                "no" => NEVER,
                _ => {
                    return Err(Refusal::Invalid(
                        "argument(s) must be one of the following: everysec, always, no",
                    ));
                }
            };
            if store {
                self.durability.store(durability, Relaxed);
            }
            return Ok(());
        }
        let numbers = self.numbers(thresholds);
        if let Some((_, parameter)) = numbers.iter().find(|(known, _)| *known == name) {
            let Some(number) = parse_bytes(value) else {
                return Err(Refusal::Invalid(
                    "argument couldn't be parsed into an integer",
                ));
            };
            let low = match name {
                "list-max-listpack-size" => -5,
                "proto-max-bulk-len" | "client-query-buffer-limit" => 1024 * 1024,
                _ => 0,
            };
            if number < low {
                return Err(Refusal::Invalid("argument is out of range"));
            }
            if store {
                parameter.store(number as u64, Relaxed);
            }
            return Ok(());
        }
        match FIXED.iter().find(|(known, _)| *known == name) {
            Some((_, fixed)) if *fixed == value => Ok(()),
            Some(_) => Err(Refusal::Immutable),
            None => Err(Refusal::Unknown),
        }
    }
}

/// A number, with Redis' units of memory behind it.
fn parse_bytes(text: &str) -> Option<i64> {
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1024,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    parse_i64(digits.as_bytes())?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_change_something_or_refuse() {
        let (parameters, thresholds) = (Parameters::default(), Thresholds::default());
        assert_eq!(parameters.durability(), Durability::EverySecond);
        parameters
            .set(&thresholds, "appendfsync", "always")
            .unwrap();
        assert_eq!(parameters.durability(), Durability::On);
        parameters
            .set(&thresholds, "hash-max-ziplist-entries", "7")
            .unwrap();
        assert_eq!(thresholds.hash_max_listpack_entries.load(Relaxed), 7);
        assert_eq!(parameters.set(&thresholds, "maxmemory", "0"), Ok(()));
        assert_eq!(
            parameters.set(&thresholds, "maxmemory", "1gb"),
            Err(Refusal::Immutable)
        );
        assert_eq!(
            parameters.set(&thresholds, "nothing", "1"),
            Err(Refusal::Unknown)
        );
        assert_eq!(parse_bytes("1gb"), Some(1 << 30));
    }
}
