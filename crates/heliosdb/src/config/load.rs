//! Reads the layers and checks what no type can say.

use super::layers::Settings;
use super::{ClientAuth, Compression, Config, Level, Port};
use helios_types::{Error, Result, bail, error};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Where settings come from.
#[derive(Default)]
pub struct Sources {
    /// The file that `--config` names; otherwise `heliosdb.toml` and `heliosdb.yaml` are read
    /// where they exist.
    pub file: Option<PathBuf>,
    /// The directory in which those are looked for.
    pub directory: PathBuf,
    pub environment: Vec<(String, String)>,
    /// Dotted path, text and the flag's name.
    pub flags: Vec<(&'static str, String, &'static str)>,
}

pub struct Loaded {
    pub config: Config,
    /// Dotted path to where it was set, for the keys that are not at their default.
    pub origins: BTreeMap<String, String>,
}

/// The short environment names and the keys they set.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("HELIOSDB_PORT", "server.port"),
    ("HELIOSDB_LISTEN_ADDR", "server.listen_addr"),
    ("HELIOSDB_DATA_DIR", "storage.path"),
    ("HELIOSDB_LOG_LEVEL", "log.level"),
];

const ENVIRONMENT_PREFIX: &str = "HELIOSDB__";

pub fn load(sources: &Sources) -> Result<Loaded> {
    let defaults = Table::try_from(Config::default())
        .map_err(|e| error!(Internal, "defaults do not serialise: {e}"))?;
    let mut settings = Settings::default();
    match &sources.file {
        Some(path) => settings.add_table(read(path)?, &path.display().to_string()),
        None => {
            for name in ["heliosdb.toml", "heliosdb.yaml"] {
                let path = sources.directory.join(name);
                if path.exists() {
                    settings.add_table(read(&path)?, name);
                }
            }
        }
    }
    for (variable, path) in ENVIRONMENT {
        for (_, value) in sources
            .environment
            .iter()
            .filter(|(name, _)| name == variable)
        {
            settings.set_text(path, value, variable, &defaults)?;
        }
    }
    for (variable, value) in &sources.environment {
        if let Some(path) = variable.strip_prefix(ENVIRONMENT_PREFIX) {
            let path = path.to_ascii_lowercase().replace("__", ".");
            settings.set_text(&path, value, variable, &defaults)?;
        }
    }
    for (path, value, flag) in &sources.flags {
        settings.set_text(path, value, flag, &defaults)?;
    }
    let origins = settings.origins();
    let config: Config = settings
        .merge_into(&defaults)?
        .try_into()
        .map_err(|e| blame(&settings, &defaults, &e))?;
    check(&config)?;
    Ok(Loaded { config, origins })
}

/// A value that its key does not take, with the key's name: the one that is refused alone, too.
fn blame(settings: &Settings, defaults: &Table, error: &toml::de::Error) -> Error {
    for (path, origin, alone) in settings.each_alone() {
        let refused = alone
            .merge_into(defaults)
            .ok()
            .and_then(|table| Config::deserialize(table).err());
        if let Some(e) = refused {
            let reason = e.to_string();
            return error!(ConfigFile, "{origin}: \"{path}\": {}", first_line(&reason));
        }
    }
    let reason = error.to_string();
    error!(ConfigFile, "bad configuration: {}", first_line(&reason))
}

fn read(path: &Path) -> Result<Table> {
    let shown = path.strip_prefix(".").unwrap_or(path).display();
    let text = std::fs::read_to_string(path).map_err(|e| {
        error!(
            ConfigFile,
            "could not read configuration file \"{shown}\": {e}"
        )
    })?;
    let yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    if !yaml {
        return text.parse().map_err(|e: toml::de::Error| {
            let line = e.span().map_or(1, |span| {
                1 + text[..span.start.min(text.len())].matches('\n').count()
            });
            error!(
                ConfigFile,
                "{shown}, line {line}: {}",
                first_line(e.message())
            )
        });
    }
    if text.trim().is_empty() {
        return Ok(Table::new());
    }
    match serde_norway::from_str(&text) {
        Ok(Value::Table(table)) => Ok(table),
        Ok(_) => bail!(
            ConfigFile,
            "{shown}: sections are expected at the top level"
        ),
        Err(e) => bail!(ConfigFile, "{shown}: {}", first_line(&e.to_string())),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Refuses what the schema can say and this version cannot do.
fn check(config: &Config) -> Result<()> {
    let unsupported = [
        (config.encryption.enabled, "encryption.enabled = true"),
        (
            config.encryption.algorithm != "aes256-gcm",
            "an encryption.algorithm other than \"aes256-gcm\"",
        ),
        (
            !config.performance.enable_simd,
            "performance.enable_simd = false",
        ),
        (
            config.storage.compression != Compression::Zstd,
            "a storage.compression other than \"zstd\"",
        ),
        (
            config.durability.default != Level::On,
            "a durability.default other than \"on\"",
        ),
        (
            config.durability.redis != Level::EverySec,
            "a durability.redis other than \"everysec\"",
        ),
        (!config.vector.pq_enabled, "vector.pq_enabled = false"),
        (
            !config.vector.pq_auto_compress,
            "vector.pq_auto_compress = false",
        ),
    ];
    for (set, what) in unsupported {
        if set {
            bail!(ConfigFile, "{what} is not supported yet");
        }
    }
    let ports = &config.ports;
    for (name, port) in [
        ("nano", ports.nano),
        ("ws", ports.ws),
        ("cql", ports.cql),
        ("mysql", ports.mysql),
    ] {
        if port != Port::Off {
            bail!(
                ConfigFile,
                "protocol \"{name}\" is not supported yet: its port must be \"off\""
            );
        }
    }
    check_distinct_ports(config)?;
    if config.performance.worker_threads == 0 {
        bail!(
            ConfigFile,
            "\"performance.worker_threads\" must be at least 1"
        );
    }
    if config.server.max_connections == 0 || config.http.max_connections == 0 {
        bail!(ConfigFile, "\"max_connections\" must be at least 1");
    }
    if !config.tls.enabled && config.tls.client_auth != ClientAuth::None {
        bail!(
            ConfigFile,
            "\"tls.client_auth\" needs \"tls.enabled = true\""
        );
    }
    Ok(())
}

fn check_distinct_ports(config: &Config) -> Result<()> {
    let ports = &config.ports;
    let all = [
        ("pg", config.server.port),
        ("redis", ports.redis),
        ("mongo", ports.mongo),
        ("http", ports.http),
        ("grpc", ports.grpc),
    ];
    for (i, (name, port)) in all.iter().enumerate() {
        let same = all[..i]
            .iter()
            .find(|(_, p)| p == port && !matches!(p, Port::Off | Port::Number(0)));
        if let (Some((other, _)), Port::Number(n)) = (same, port) {
            bail!(ConfigFile, "port {n} is given to both {other} and {name}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(
        files: &[(&str, &str)],
        environment: &[(&str, &str)],
        flags: &[(&'static str, &str, &'static str)],
    ) -> Result<Config> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        load(&Sources {
            file: None,
            directory: directory.path().to_owned(),
            environment: environment
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            flags: flags
                .iter()
                .map(|(k, v, f)| (*k, (*v).to_owned(), *f))
                .collect(),
        })
        .map(|loaded| loaded.config)
    }

    fn refusal(result: Result<Config>) -> String {
        let error = result.expect_err("must be refused");
        match &error.fields().hint {
            Some(hint) => format!("{error} ({hint})"),
            None => error.to_string(),
        }
    }

    #[test]
    fn later_layers_win_over_earlier_ones() {
        let toml = (
            "heliosdb.toml",
            "[server]\nport = 1001\nmax_connections = 7\n[ports]\nredis = 1\nmongo = \"off\"",
        );
        let yaml = (
            "heliosdb.yaml",
            "server:\n  port: 1002\nports:\n  redis: 2\n",
        );
        let config = from(&[toml, yaml], &[], &[]).unwrap();
        assert_eq!(config.server.port, Port::Number(1002));
        assert_eq!(config.server.max_connections, 7);
        assert_eq!(config.ports.mongo, Port::Off);
        let env = [
            ("HELIOSDB_PORT", "1003"),
            ("HELIOSDB__PORTS__REDIS", "3"),
            ("HELIOSDB_DATA_DIR", "/x"),
        ];
        let config = from(&[toml, yaml], &env, &[]).unwrap();
        assert_eq!(
            (config.server.port, config.ports.redis),
            (Port::Number(1003), Port::Number(3))
        );
        assert_eq!(config.storage.path, Path::new("/x"));
        let flags = [("server.port", "off", "--pg-port")];
        assert_eq!(
            from(&[toml, yaml], &env, &flags).unwrap().server.port,
            Port::Off
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_name() {
        let cases: &[(&str, &str)] = &[
            (
                "[storage]\ncach_size = 1",
                "heliosdb.toml: unknown key \"storage.cach_size\" (did you mean \"storage.cache_size\"?)",
            ),
            (
                "[sever]\nport = 1",
                "heliosdb.toml: unknown key \"sever.port\" (did you mean \"server.port\"?)",
            ),
            (
                "cache_size = 1",
                "heliosdb.toml: unknown key \"cache_size\" (did you mean \"storage.cache_size\"?)",
            ),
            (
                "[galaxy]\nbrightness = 1",
                "heliosdb.toml: unknown key \"galaxy.brightness\"",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(
                &refusal(from(&[("heliosdb.toml", text)], &[], &[])),
                expected
            );
        }
        assert_eq!(
            refusal(from(&[], &[("HELIOSDB__SERVER__PROT", "1")], &[])),
            "HELIOSDB__SERVER__PROT: unknown key \"server.prot\" (did you mean \"server.port\"?)"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_where_it_stands() {
        let cases: &[(&str, &str)] = &[
            (
                "[storage]\ncache_size = \"big\"",
                "heliosdb.toml: \"storage.cache_size\" must be a whole number, not \"big\"",
            ),
            (
                "[storage]\ncache_size = -1",
                "heliosdb.toml: \"storage.cache_size\" must be a whole number, not -1",
            ),
            (
                "[server]\nport = true",
                "heliosdb.toml: \"server.port\" must be a port number or \"off\", not true",
            ),
            (
                "storage = 3",
                "heliosdb.toml: \"storage\" must be a section, not 3",
            ),
            ("[server]\nport = ", "heliosdb.toml, line 2: "),
        ];
        for (text, expected) in cases {
            let message = refusal(from(&[("heliosdb.toml", text)], &[], &[]));
            assert!(message.replace("/", "").contains(expected), "{message}");
        }
        assert!(
            refusal(from(&[], &[("HELIOSDB_PORT", "tcp://10.0.0.1:5432")], &[]))
                .contains("a port is a number")
        );
        assert!(
            refusal(from(
                &[("heliosdb.toml", "[server]\nport = 70000")],
                &[],
                &[]
            ))
            .contains("a port is a number")
        );
    }

    #[test]
    fn what_this_version_cannot_do_is_refused_by_name() {
        let cases: &[(&str, &str)] = &[
            (
                "[encryption]\nenabled = true",
                "encryption.enabled = true is not supported yet",
            ),
            (
                "[performance]\nenable_simd = false",
                "performance.enable_simd = false is not supported yet",
            ),
            (
                "[ports]\nmysql = 3306",
                "protocol \"mysql\" is not supported yet: its port must be \"off\"",
            ),
            (
                "[ports]\nredis = 5432",
                "port 5432 is given to both pg and redis",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(
                &refusal(from(&[("heliosdb.toml", text)], &[], &[])),
                expected
            );
        }
    }

    /// In the example, a line that starts with `#` and a name is a setting at its default.
    #[test]
    fn the_example_file_names_every_key_with_its_default() {
        let example = include_str!("../../../../deploy/heliosdb.example.toml");
        let settings: String = example
            .lines()
            .map(|line| {
                line.strip_prefix('#')
                    .filter(|rest| !rest.starts_with(' '))
                    .unwrap_or(line)
            })
            .map(|line| format!("{line}\n"))
            .collect();
        let table: Table = settings.parse().unwrap();
        let mut named = Settings::default();
        named.add_table(table.clone(), "");
        let mut known = Settings::default();
        known.add_table(Table::try_from(Config::default()).unwrap(), "");
        assert_eq!(
            named.origins(),
            known.origins(),
            "the keys of the example and of the schema"
        );
        assert_eq!(table.try_into::<Config>().unwrap(), Config::default());
    }
}
