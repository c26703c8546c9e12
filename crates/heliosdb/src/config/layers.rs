//! Layers of settings, merged key by key, each key knowing where it was set.

use helios_types::{Result, error};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// Settings with their origin: dotted path to (value, where it was set).
#[derive(Default)]
pub(super) struct Settings {
    values: BTreeMap<String, (Value, String)>,
}

impl Settings {
    /// Adds a layer above the others.
    pub(super) fn add_table(&mut self, table: Table, origin: &str) {
        let mut pending = vec![(String::new(), table)];
        while let Some((prefix, table)) = pending.pop() {
            for (key, value) in table {
                let path = if prefix.is_empty() {
                    key
                } else {
                    format!("{prefix}.{key}")
                };
                match value {
                    Value::Table(inner) => pending.push((path, inner)),
                    value => self.set(path, value, origin),
                }
            }
        }
    }

    pub(super) fn set(&mut self, path: String, value: Value, origin: &str) {
        self.values.insert(path, (value, origin.to_owned()));
    }

    /// Sets a key from text, taking the type that the key has by default.
    pub(super) fn set_text(
        &mut self,
        path: &str,
        text: &str,
        origin: &str,
        defaults: &Table,
    ) -> Result<()> {
        let value = match lookup(defaults, path) {
            Some(Value::Boolean(_)) => text.parse().map(Value::Boolean).ok(),
            Some(Value::Integer(_)) => Some(
                text.parse()
                    .map_or(Value::String(text.to_owned()), Value::Integer),
            ),
            _ => Some(Value::String(text.to_owned())),
        };
        let value = value.ok_or_else(|| {
            error!(
                ConfigFile,
                "{origin}: \"{path}\" must be true or false, not \"{text}\""
            )
        })?;
        self.set(path.to_owned(), value, origin);
        Ok(())
    }

    /// Each key as the only one that is set, with its path and origin.
    pub(super) fn each_alone(&self) -> impl Iterator<Item = (&str, &str, Settings)> {
        self.values.iter().map(|(path, (value, origin))| {
            let mut alone = Settings::default();
            alone.set(path.clone(), value.clone(), origin);
            (path.as_str(), origin.as_str(), alone)
        })
    }

    pub(super) fn origins(&self) -> BTreeMap<String, String> {
        self.values
            .iter()
            .map(|(path, (_, origin))| (path.clone(), origin.clone()))
            .collect()
    }

    /// The defaults with these settings above them. Every key must exist and have the type of its
    /// default.
    pub(super) fn merge_into(&self, defaults: &Table) -> Result<Table> {
        let mut merged = defaults.clone();
        for (path, (value, origin)) in &self.values {
            let Some(default) = lookup(defaults, path) else {
                return Err(unknown(path, origin, defaults));
            };
            check_type(path, value, default, origin)?;
            if let Some(slot) = lookup_mut(&mut merged, path) {
                *slot = value.clone();
            }
        }
        Ok(merged)
    }
}

fn lookup<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let (section, rest) = match path.split_once('.') {
        None => return table.get(path),
        Some(parts) => parts,
    };
    lookup(table.get(section)?.as_table()?, rest)
}

fn lookup_mut<'a>(table: &'a mut Table, path: &str) -> Option<&'a mut Value> {
    let (section, rest) = match path.split_once('.') {
        None => return table.get_mut(path),
        Some(parts) => parts,
    };
    lookup_mut(table.get_mut(section)?.as_table_mut()?, rest)
}

fn check_type(path: &str, value: &Value, default: &Value, origin: &str) -> Result<()> {
    let is_port = path == "server.port" || path.starts_with("ports.");
    let expected = match default {
        Value::Table(_) => "a section",
        _ if is_port => "a port number or \"off\"",
        Value::Boolean(_) => "true or false",
        Value::Integer(_) => "a whole number",
        _ => "a string",
    };
    let fits = match default {
        _ if is_port => value.is_integer() || value.is_str(),
        Value::Boolean(_) => value.is_bool(),
        Value::Integer(_) => value.as_integer().is_some_and(|n| n >= 0),
        Value::Table(_) => false,
        _ => value.is_str(),
    };
    if fits {
        Ok(())
    } else {
        Err(error!(
            ConfigFile,
            "{origin}: \"{path}\" must be {expected}, not {value}"
        ))
    }
}

fn unknown(path: &str, origin: &str, defaults: &Table) -> helios_types::Error {
    let error = error!(ConfigFile, "{origin}: unknown key \"{path}\"");
    match nearest(path, defaults) {
        Some(name) => error.with_hint(format!("did you mean \"{name}\"?")),
        None => error,
    }
}

/// The known key nearest to `path`: one whose whole path or last name is a few typing errors away.
fn nearest(path: &str, defaults: &Table) -> Option<String> {
    let mut keys = Settings::default();
    keys.add_table(defaults.clone(), "");
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let distance = |known: &str| {
        let whole = strsim::damerau_levenshtein(path, known);
        // The right name in a wrong or missing section is one error.
        let name = strsim::damerau_levenshtein(&last(path), &last(known)) + 1;
        whole.min(name)
    };
    let best = keys.values.keys().min_by_key(|known| distance(known))?;
    (distance(best) <= 1 + last(path).len() / 3).then(|| best.clone())
}
