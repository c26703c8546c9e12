//! Where `deploy/setup.sh drivers` puts the drivers of Python and Node.js: under
//! `$XDG_CACHE_HOME/heliosdb/clients` (`~/.cache` without it), away from the system's own.

use std::path::PathBuf;

fn directory() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || {
            let home = std::env::var_os("HOME").expect("HOME is set");
            PathBuf::from(home).join(".cache")
        },
        PathBuf::from,
    );
    cache.join("heliosdb").join("clients")
}

fn installed(part: &str) -> PathBuf {
    let path = directory().join(part);
    assert!(
        path.exists(),
        "{} is missing: run deploy/setup.sh drivers",
        path.display()
    );
    path
}

/// The Python that has psycopg and PyMongo.
pub fn python() -> PathBuf {
    installed("python/bin/python")
}

/// The directory with node-postgres (`NODE_PATH`).
pub fn node_modules() -> PathBuf {
    installed("node/node_modules")
}
