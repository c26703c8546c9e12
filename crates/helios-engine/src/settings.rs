//! Session settings: what SET, SHOW and RESET see.
//!
//! One table says which settings exist, their default and how their text is checked. A setting
//! that is accepted has an effect, or is one that clients send as a matter of course and whose
//! only supported value is the default (`fixed`): any other value is refused by name.

use crate::session::transaction::parse_isolation;
use helios_storage::{Durability, Isolation};
use helios_types::{Error, ErrorKind, Result, bail};
use std::collections::HashMap;

/// How the text of a setting is checked and normalised.
#[derive(Clone, Copy, Debug)]
enum Check {
    Any,
    Bool,
    /// Whole number within bounds.
    Int(i64, i64),
    /// Milliseconds, with PostgreSQL's units (`5s`, `1min`).
    Milliseconds,
    OneOf(&'static [&'static str]),
    /// Only these values, any case; they all mean the same here.
    Fixed(&'static [&'static str]),
    TimeZone,
    /// Known to SHOW, not to SET.
    ReadOnly,
}

/// One row of `pg_settings`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) description: &'static str,
    /// Changes are told to PostgreSQL clients by ParameterStatus.
    pub(crate) reported: bool,
    check: Check,
}

const fn setting(
    name: &'static str,
    default: &'static str,
    check: Check,
    description: &'static str,
) -> Setting {
    Setting {
        name,
        default,
        description,
        reported: false,
        check,
    }
}

const fn reported(
    name: &'static str,
    default: &'static str,
    check: Check,
    description: &'static str,
) -> Setting {
    Setting {
        name,
        default,
        description,
        reported: true,
        check,
    }
}

const ISOLATION: &[&str] = &[
    "read committed",
    "repeatable read",
    "serializable",
    "read uncommitted",
];

/// Every setting, by name in lower case.
pub(crate) const SETTINGS: &[Setting] = &[
    reported(
        "application_name",
        "",
        Check::Any,
        "The application's name, shown in pg_stat_activity.",
    ),
    setting(
        "bytea_output",
        "hex",
        Check::OneOf(&["hex", "escape"]),
        "Text form of bytea values.",
    ),
    setting(
        "check_function_bodies",
        "on",
        Check::Bool,
        "Whether function bodies are checked at creation.",
    ),
    reported(
        "client_encoding",
        "UTF8",
        Check::Fixed(&["utf8", "utf-8", "unicode"]),
        "Encoding of the client.",
    ),
    setting(
        "client_min_messages",
        "notice",
        Check::OneOf(&[
            "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "notice", "warning",
            "error",
        ]),
        "Least severe message that is sent to the client.",
    ),
    reported(
        "datestyle",
        "ISO, MDY",
        Check::Fixed(&["iso, mdy", "iso", "iso,mdy", "mdy"]),
        "Text form of dates and times.",
    ),
    setting(
        "default_transaction_isolation",
        "read committed",
        Check::OneOf(ISOLATION),
        "Isolation level of new transactions.",
    ),
    reported(
        "default_transaction_read_only",
        "off",
        Check::Bool,
        "Whether new transactions are read only.",
    ),
    setting(
        "default_transaction_deferrable",
        "off",
        Check::Fixed(&["off", "false", "0", "no"]),
        "Not used: read-only transactions never wait.",
    ),
    setting(
        "default_tablespace",
        "",
        Check::Fixed(&[""]),
        "There is one tablespace.",
    ),
    setting(
        "default_table_access_method",
        "heap",
        Check::Fixed(&["heap"]),
        "There is one access method.",
    ),
    setting(
        "default_with_oids",
        "off",
        Check::Fixed(&["off", "false"]),
        "Tables have no oid column.",
    ),
    setting(
        "escape_string_warning",
        "on",
        Check::Bool,
        "Warn about backslashes in ordinary strings.",
    ),
    setting(
        "extra_float_digits",
        "1",
        Check::Int(-15, 3),
        "Digits of floating-point output; from 1 on the shortest exact form.",
    ),
    setting(
        "helios.executor",
        "auto",
        Check::OneOf(&["auto", "kv", "apply", "vector"]),
        "Executor that statements must use; for tests.",
    ),
    setting(
        "helios.tenant_id",
        "",
        Check::Any,
        "Tenant that the session works for; REST's X-Tenant-ID.",
    ),
    setting(
        "idle_in_transaction_session_timeout",
        "0",
        Check::Milliseconds,
        "Time that a session may idle in a transaction.",
    ),
    setting(
        "idle_session_timeout",
        "0",
        Check::Milliseconds,
        "Time that a session may idle.",
    ),
    reported(
        "integer_datetimes",
        "on",
        Check::ReadOnly,
        "Times are integers.",
    ),
    reported(
        "intervalstyle",
        "postgres",
        Check::Fixed(&["postgres"]),
        "Text form of intervals.",
    ),
    reported(
        "is_superuser",
        "on",
        Check::ReadOnly,
        "Whether the current role is a superuser.",
    ),
    setting(
        "jit",
        "off",
        Check::Fixed(&["off", "false", "0"]),
        "There is no JIT.",
    ),
    setting("lc_collate", "C.UTF-8", Check::ReadOnly, "Collation."),
    setting("lc_ctype", "C.UTF-8", Check::ReadOnly, "Character classes."),
    setting(
        "lc_messages",
        "C",
        Check::Fixed(&["c", "c.utf-8", "en_us.utf-8"]),
        "Language of messages.",
    ),
    setting(
        "lc_monetary",
        "C",
        Check::Fixed(&["c", "c.utf-8", "en_us.utf-8"]),
        "Locale of money.",
    ),
    setting(
        "lc_numeric",
        "C",
        Check::Fixed(&["c", "c.utf-8", "en_us.utf-8"]),
        "Locale of numbers.",
    ),
    setting(
        "lc_time",
        "C",
        Check::Fixed(&["c", "c.utf-8", "en_us.utf-8"]),
        "Locale of dates.",
    ),
    setting(
        "lock_timeout",
        "0",
        Check::Milliseconds,
        "Longest wait for a lock.",
    ),
    setting(
        "max_connections",
        "100",
        Check::ReadOnly,
        "Most concurrent connections.",
    ),
    setting(
        "max_identifier_length",
        "63",
        Check::ReadOnly,
        "Longest identifier.",
    ),
    setting(
        "max_index_keys",
        "32",
        Check::ReadOnly,
        "Most columns of an index.",
    ),
    setting(
        "row_security",
        "on",
        Check::Fixed(&["on", "true", "1"]),
        "Row-level security applies.",
    ),
    setting(
        "search_path",
        "\"$user\", public",
        Check::Any,
        "Schemas that unqualified names are looked up in.",
    ),
    reported(
        "server_encoding",
        "UTF8",
        Check::ReadOnly,
        "Encoding of the server.",
    ),
    reported(
        "server_version",
        crate::engine::SERVER_VERSION,
        Check::ReadOnly,
        "PostgreSQL version that clients may expect.",
    ),
    setting(
        "server_version_num",
        crate::engine::SERVER_VERSION_NUM,
        Check::ReadOnly,
        "The same as a number.",
    ),
    reported(
        "session_authorization",
        "",
        Check::ReadOnly,
        "The role that logged in.",
    ),
    reported(
        "standard_conforming_strings",
        "on",
        Check::Fixed(&["on", "true", "1", "yes"]),
        "Backslashes in strings are ordinary characters.",
    ),
    setting(
        "statement_timeout",
        "0",
        Check::Milliseconds,
        "Longest run of a statement.",
    ),
    setting(
        "synchronize_seqscans",
        "on",
        Check::Bool,
        "Not used: scans do not share work.",
    ),
    setting(
        "synchronous_commit",
        "on",
        Check::OneOf(&[
            "on",
            "off",
            "local",
            "remote_write",
            "remote_apply",
            "everysec",
        ]),
        "Whether COMMIT waits for the disk; `everysec` waits for the operating system and syncs each second.",
    ),
    reported(
        "timezone",
        "UTC",
        Check::TimeZone,
        "Time zone of dates and times.",
    ),
    setting(
        "transaction_isolation",
        "read committed",
        Check::OneOf(ISOLATION),
        "Isolation level of this transaction.",
    ),
    setting(
        "transaction_read_only",
        "off",
        Check::Bool,
        "Whether this transaction is read only.",
    ),
    setting(
        "transaction_deferrable",
        "off",
        Check::Fixed(&["off", "false", "0", "no"]),
        "Not used: read-only transactions never wait.",
    ),
    setting(
        "vacuum_freeze_min_age",
        "50000000",
        Check::ReadOnly,
        "Not used: versions do not wrap.",
    ),
    setting(
        "work_mem",
        "4MB",
        Check::Any,
        "Memory that a sort or hash may take before it is refused.",
    ),
    setting(
        "xmloption",
        "content",
        Check::Fixed(&["content"]),
        "Kind of XML values.",
    ),
    setting(
        "default_text_search_config",
        "pg_catalog.simple",
        Check::Fixed(&["pg_catalog.simple", "simple"]),
        "Text search configuration.",
    ),
    setting(
        "enable_seqscan",
        "on",
        Check::Bool,
        "Planner hint of PostgreSQL; access paths are chosen by rule here.",
    ),
    setting(
        "track_io_timing",
        "off",
        Check::Fixed(&["off"]),
        "Timing of reads is always on in metrics.",
    ),
];

/// The settings of one session.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Values that differ from the default, normalised.
    values: HashMap<&'static str, String>,
    every_statement: EveryStatement,
    /// What RESET goes back to: the values the client sent at start-up.
    initial: HashMap<&'static str, String>,
    /// Values of custom settings (with a dot in the name).
    custom: HashMap<String, String>,
    /// Values before this transaction, to be restored by ROLLBACK.
    undo: Vec<(String, Option<String>)>,
    /// Values before SET LOCAL, to be restored at the end of the transaction.
    local: Vec<(String, Option<String>)>,
    /// Whether anything was ever set, also if it was restored since.
    touched: bool,
}

/// The settings that every statement or transaction asks for, kept as what they mean.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EveryStatement {
    pub(crate) isolation: Isolation,
    pub(crate) read_only: bool,
    /// Missing: the protocol's default.
    pub(crate) durability: Option<Durability>,
    /// Milliseconds; missing: none.
    pub(crate) statement_timeout: Option<u64>,
    pub(crate) lock_timeout: Option<u64>,
}

impl EveryStatement {
    fn of(settings: &Settings) -> Self {
        let text = |name| settings.get(name).unwrap_or_default();
        let milliseconds = |name| parse_milliseconds(text(name)).ok().filter(|ms| *ms > 0);
        Self {
            isolation: parse_isolation(text("default_transaction_isolation")),
            read_only: text("default_transaction_read_only") == "on",
            durability: match text("synchronous_commit") {
                "off" => Some(Durability::Off),
                "everysec" => Some(Durability::EverySecond),
                _ => None,
            },
            statement_timeout: milliseconds("statement_timeout"),
            lock_timeout: milliseconds("lock_timeout"),
        }
    }
}

pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.name.eq_ignore_ascii_case(name))
}

impl Default for Settings {
    fn default() -> Self {
        let mut settings = Settings {
            values: HashMap::new(),
            every_statement: EveryStatement {
                isolation: Isolation::ReadCommitted,
                read_only: false,
                durability: None,
                statement_timeout: None,
                lock_timeout: None,
            },
            initial: HashMap::new(),
            custom: HashMap::new(),
            undo: Vec::new(),
            local: Vec::new(),
            touched: false,
        };
        settings.every_statement = EveryStatement::of(&settings);
        settings
    }
}

impl Settings {
    pub(crate) fn every_statement(&self) -> &EveryStatement {
        &self.every_statement
    }

    fn store(&mut self, setting: &'static Setting, value: Option<String>) {
        match value {
            Some(value) => drop(self.values.insert(setting.name, value)),
            None => drop(self.values.remove(setting.name)),
        }
        self.every_statement = EveryStatement::of(self);
    }

    /// A start-up parameter; becomes the value that RESET gives.
    pub(crate) fn initialise(&mut self, name: &str, value: &str) -> Result<()> {
        self.set(name, value, false)?;
        if let Some(setting) = find(name)
            && let Some(value) = self.values.get(setting.name)
        {
            self.initial.insert(setting.name, value.clone());
        }
        self.undo.clear();
        Ok(())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        match find(name) {
            Some(s) => Some(self.values.get(s.name).map_or(s.default, String::as_str)),
            None => self
                .custom
                .get(&name.to_ascii_lowercase())
                .map(String::as_str),
        }
    }

    /// The text as SHOW prints it; a name that does not exist is an error.
    pub(crate) fn show(&self, name: &str) -> Result<&str> {
        self.get(name).ok_or_else(|| unknown(name))
    }

    /// Checks and stores a value; gives it back as SHOW prints it.
    pub(crate) fn set(&mut self, name: &str, value: &str, local: bool) -> Result<String> {
        let lower = name.to_ascii_lowercase();
        let Some(setting) = find(&lower) else {
            if !lower.contains('.') || lower.starts_with("helios.") {
                return Err(unknown(name));
            }
            self.remember(&lower, local);
            self.custom.insert(lower, value.to_string());
            return Ok(value.to_string());
        };
        let text = setting.check(value)?;
        self.remember(setting.name, local);
        self.store(setting, Some(text.clone()));
        Ok(text)
    }

    /// Values that the session itself changes, such as `transaction_isolation`.
    pub(crate) fn force(&mut self, name: &'static str, value: &str) {
        if self.values.get(name).is_none_or(|known| known != value) {
            self.values.insert(name, value.to_owned());
        }
    }

    pub(crate) fn reset(&mut self, name: &str) -> Result<()> {
        let lower = name.to_ascii_lowercase();
        self.remember(&lower, false);
        match find(&lower) {
            Some(Setting {
                check: Check::ReadOnly,
                name,
                ..
            }) => return Err(read_only(name)),
            Some(s) => self.store(s, self.initial.get(s.name).cloned()),
            None if self.custom.remove(&lower).is_none() => return Err(unknown(name)),
            None => {}
        }
        Ok(())
    }

    pub(crate) fn reset_all(&mut self) {
        for s in SETTINGS
            .iter()
            .filter(|s| !matches!(s.check, Check::ReadOnly))
        {
            let _ = self.reset(s.name);
        }
        self.custom.clear();
    }

    pub(crate) fn were_touched(&self) -> bool {
        self.touched
    }

    fn remember(&mut self, name: &str, local: bool) {
        self.touched = true;
        let old = match find(name) {
            Some(s) => self.values.get(s.name).cloned(),
            None => self.custom.get(name).cloned(),
        };
        if local {
            &mut self.local
        } else {
            &mut self.undo
        }
        .push((name.to_string(), old));
    }

    /// At the end of a transaction: SET LOCAL ends, and with a rollback SET as well. Whether values
    /// may have changed since the transaction began, by functions too.
    pub(crate) fn end_transaction(&mut self, committed: bool) -> bool {
        let changes = !self.local.is_empty() || !self.undo.is_empty();
        for (name, old) in std::mem::take(&mut self.local).into_iter().rev() {
            self.restore(&name, old);
        }
        let undo = std::mem::take(&mut self.undo);
        if !committed {
            for (name, old) in undo.into_iter().rev() {
                self.restore(&name, old);
            }
        }
        changes
    }

    fn restore(&mut self, name: &str, old: Option<String>) {
        match (find(name), old) {
            (Some(s), value) => self.store(s, value),
            (None, Some(v)) => drop(self.custom.insert(name.to_string(), v)),
            (None, None) => drop(self.custom.remove(name)),
        }
    }

    /// The names of the search path as written, `$user` included.
    pub(crate) fn search_path(&self) -> Vec<String> {
        split_names(self.get("search_path").unwrap_or_default())
    }
}

impl Setting {
    fn check(&self, value: &str) -> Result<String> {
        let invalid = || {
            Error::new(
                ErrorKind::InvalidParameterValue,
                format!(
                    "invalid value for parameter \"{}\": \"{value}\"",
                    shown_name(self.name)
                ),
            )
        };
        let lower = value.trim().to_ascii_lowercase();
        Ok(match self.check {
            Check::Any => value.to_string(),
            Check::ReadOnly => return Err(read_only(self.name)),
            Check::Bool => match lower.as_str() {
                "on" | "true" | "yes" | "1" | "t" | "y" => "on".into(),
                "off" | "false" | "no" | "0" | "f" | "n" => "off".into(),
                _ => bail!(
                    InvalidParameterValue,
                    "parameter \"{}\" requires a Boolean value",
                    self.name
                ),
            },
            Check::Int(min, max) => {
                let number: i64 = lower.parse().map_err(|_| invalid())?;
                if !(min..=max).contains(&number) {
                    bail!(
                        InvalidParameterValue,
                        "{number} is outside the valid range for parameter \"{}\" ({min} .. {max})",
                        self.name
                    );
                }
                number.to_string()
            }
            Check::Milliseconds => {
                let ms = parse_milliseconds(&lower).map_err(|()| invalid())?;
                if ms == 0 {
                    "0".into()
                } else {
                    print_milliseconds(ms)
                }
            }
            Check::OneOf(values) if values.contains(&lower.as_str()) => lower,
            Check::Fixed(values) if values.contains(&lower.as_str()) => self.default.to_string(),
            Check::OneOf(values) => {
                return Err(
                    invalid().with_hint(format!("Available values: {}.", values.join(", ")))
                );
            }
            Check::Fixed(_) => {
                return Err(Error::unsupported(format!(
                    "value \"{value}\" of parameter \"{}\"",
                    self.name
                ))
                .with_hint(format!("The only value is \"{}\".", self.default)));
            }
            Check::TimeZone => {
                helios_types::datetime::TimeZone::named(value.trim()).ok_or_else(invalid)?;
                value.trim().to_string()
            }
        })
    }
}

/// The name as PostgreSQL writes it: a few have capitals.
pub(crate) fn shown_name(name: &str) -> &str {
    const CAPITALS: [&str; 3] = ["DateStyle", "IntervalStyle", "TimeZone"];
    CAPITALS
        .into_iter()
        .find(|c| c.eq_ignore_ascii_case(name))
        .or_else(|| {
            SETTINGS
                .iter()
                .map(|s| s.name)
                .find(|s| s.eq_ignore_ascii_case(name))
        })
        .unwrap_or(name)
}

fn unknown(name: &str) -> Error {
    Error::new(
        ErrorKind::UndefinedObject,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

fn read_only(name: &str) -> Error {
    Error::new(
        ErrorKind::InvalidParameterValue,
        format!("parameter \"{name}\" cannot be changed"),
    )
    .with_sqlstate(*b"55P02")
}

fn parse_milliseconds(text: &str) -> Result<u64, ()> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| ())?;
    let unit = match text[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(()),
    };
    number
        .checked_mul(unit)
        .filter(|ms| *ms <= i32::MAX as u64)
        .ok_or(())
}

fn print_milliseconds(ms: u64) -> String {
    match ms {
        ms if ms % 86_400_000 == 0 => format!("{}d", ms / 86_400_000),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}min", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

/// Splits a list of identifiers, folding unquoted ones to lower case.
pub(crate) fn split_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut chars = text.chars().peekable();
    let mut name = String::new();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            c if quoted => name.push(c),
            c if c.is_whitespace() => {}
            c => name.extend(c.to_lowercase()),
        }
    }
    names.push(name);
    names.retain(|n| !n.is_empty());
    names
}
