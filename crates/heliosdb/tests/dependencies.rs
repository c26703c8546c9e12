//! Which crate may use which: the rules of the architecture, kept over `cargo metadata`.

use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates of the workspace that each crate may name in its dependencies.
const MAY_USE: &[(&str, &[&str])] = &[
    ("helios-types", &[]),
    ("helios-storage", &["helios-types"]),
    ("helios-planner", &["helios-types"]),
    (
        "helios-engine",
        &["helios-types", "helios-storage", "helios-planner"],
    ),
    ("helios-net", &["helios-types"]),
    ("helios-postgres", FRONT_END),
    ("helios-redis", FRONT_END),
    ("helios-mongo", FRONT_END),
    ("helios-grpc", FRONT_END),
    ("helios-http", FRONT_END),
    // The real programs against the real daemon: nothing of its inside.
    ("conformance", &[]),
];

const FRONT_END: &[&str] = &[
    "helios-types",
    "helios-net",
    "helios-engine",
    "helios-planner",
];

/// The binary wires everything together.
const UNBOUND: &str = "heliosdb";

/// What only the named crates may use: the store, the planner's library, the wires.
const ONLY: &[(&str, &[&str])] = &[
    ("rocksdb", &["helios-storage"]),
    ("librocksdb-sys", &[]),
    ("datafusion", &["helios-planner", "helios-engine"]),
    ("pg_query", &["helios-planner"]),
    ("pgwire", &["helios-postgres"]),
    ("redis-protocol", &["helios-redis"]),
    ("tonic", &["helios-grpc"]),
    ("prost", &["helios-grpc"]),
    ("hyper", &["helios-http", "helios-grpc", "helios-net"]),
    ("axum", &["helios-http"]),
];

/// What the crates without input and output may not use.
const IO: &[&str] = &["tokio", "hyper", "socket2", "rocksdb", "mio", "reqwest"];
const WITHOUT_IO: &[&str] = &["helios-types", "helios-planner"];

/// The dependencies of a package that end up in the product.
fn dependencies(package: &Json) -> impl Iterator<Item = &str> {
    let all = package["dependencies"].as_array().into_iter().flatten();
    all.filter(|d| d["kind"].as_str() != Some("dev"))
        .filter_map(|d| d["name"].as_str())
}

/// One line for each edge that breaks a rule.
fn broken_rules(metadata: &Json) -> Vec<String> {
    let packages = metadata["packages"].as_array().expect("packages");
    let ours: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut broken = Vec::new();
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let allowed = MAY_USE.iter().find(|(n, _)| *n == name).map(|(_, a)| *a);
        if allowed.is_none() && name != UNBOUND {
            broken.push(format!("{name} has no rule: give it one here"));
            continue;
        }
        for used in dependencies(package) {
            if ours.contains(&used) && allowed.is_some_and(|a| !a.contains(&used)) {
                broken.push(format!("{name} uses {used}"));
            }
            if let Some((_, users)) = ONLY.iter().find(|(n, _)| *n == used)
                && !users.contains(&name)
            {
                broken.push(format!("{name} uses {used}"));
            }
            if used.starts_with("datafusion-") {
                broken.push(format!("{name} uses {used}"));
            }
            if WITHOUT_IO.contains(&name) && IO.contains(&used) {
                broken.push(format!("{name} uses {used}, and has no input and output"));
            }
        }
    }
    broken
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn metadata() -> Json {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("metadata is JSON")
}

#[test]
fn every_crate_uses_only_what_it_may() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(
        packages.len() > MAY_USE.len(),
        "the whole workspace is seen"
    );
    let broken = broken_rules(&metadata);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The control: a workspace in which each rule is broken once.
#[test]
fn a_forbidden_edge_is_found() {
    let package = |name: &str, uses: &[(&str, Option<&str>)]| {
        let dependencies: Vec<Json> = uses
            .iter()
            .map(|(name, kind)| json!({"name": name, "kind": kind}))
            .collect();
        json!({"name": name, "dependencies": dependencies})
    };
    let made_up = json!({"packages": [
        package("helios-types", &[("tokio", None)]),
        package("helios-storage", &[("helios-types", None), ("rocksdb", None)]),
        package("helios-redis", &[("helios-storage", None), ("helios-engine", None), ("tempfile", Some("dev"))]),
        package("helios-mongo", &[("helios-redis", None), ("helios-redis", Some("dev"))]),
        package("helios-http", &[("rocksdb", None), ("hyper", None)]),
        package("helios-grpc", &[("datafusion-expr", None), ("prost", Some("build"))]),
        package("helios-galaxy", &[]),
        package("heliosdb", &[("helios-storage", None), ("helios-redis", None), ("datafusion", None)]),
    ]});
    assert_eq!(
        broken_rules(&made_up),
        [
            "helios-types uses tokio, and has no input and output",
            "helios-redis uses helios-storage",
            "helios-mongo uses helios-redis",
            "helios-http uses rocksdb",
            "helios-grpc uses datafusion-expr",
            "helios-galaxy has no rule: give it one here",
            "heliosdb uses datafusion",
        ]
    );
}

/// Names of what reads and writes sockets and files; a codec turns bytes into frames and back.
const SOCKETS: &[&str] = &[
    "TcpStream",
    "UdpSocket",
    "UnixStream",
    "AsyncRead",
    "AsyncWrite",
    "tokio::net",
    "tokio::io",
    "std::net::",
    "std::fs",
    "helios_net",
    "async fn",
];

fn sockets_in(text: &str) -> Vec<&'static str> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    SOCKETS
        .iter()
        .copied()
        .filter(|name| code.contains(name))
        .collect()
}

fn codec_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut pending: Vec<PathBuf> = std::fs::read_dir(root().join("crates"))
        .expect("crates")
        .map(|entry| entry.expect("an entry").path().join("src/codec"))
        .collect();
    pending.retain(|path| path.is_dir());
    for directory in &pending {
        files.push(directory.with_extension("rs"));
    }
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory of a codec") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                pending.push(path);
            } else if !path.ends_with("tests.rs") {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn codecs_hold_no_sockets() {
    let files = codec_files();
    assert!(
        files.len() >= 6,
        "PostgreSQL, Redis and MongoDB have codecs: {files:?}"
    );
    let mut broken = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a source file");
        for name in sockets_in(&text) {
            broken.push(format!("{} uses {name}", path.display()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert_eq!(
        sockets_in("use tokio::net::TcpStream;\n// AsyncRead"),
        ["TcpStream", "tokio::net"],
        "the control"
    );
}
