//! Redis' own tools against this server.

use crate::peer;
use crate::resp::{Client, Reply};
use std::process::Command;

fn run(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{program} is missing ({e}): run deploy/setup.sh bench"));
    let text = String::from_utf8_lossy(&done.stdout).replace('\r', "\n");
    let errors = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        done.status.success(),
        "{program} {arguments:?}: {text}{errors}"
    );
    assert_eq!(errors, "", "{program} {arguments:?}");
    text
}

/// The tests that redis-benchmark runs when it is told nothing.
const TESTS: &[&str] = &[
    "PING_INLINE",
    "PING_MBULK",
    "SET",
    "GET",
    "INCR",
    "LPUSH",
    "RPUSH",
    "LPOP",
    "RPOP",
    "SADD",
    "HSET",
    "SPOP",
    "ZADD",
    "ZPOPMIN",
    "LPUSH (needed to benchmark LRANGE)",
    "LRANGE_100 (first 100 elements)",
    "LRANGE_300 (first 300 elements)",
    "LRANGE_500 (first 500 elements)",
    "LRANGE_600 (first 600 elements)",
    "MSET (10 keys)",
];

#[test]
fn every_test_of_redis_benchmark_runs() {
    let server = peer::heliosdb();
    let port = server.port.to_string();
    // At an error in a reply the tool fails.
    for pipeline in ["1", "16"] {
        let options = ["-p", &port, "-n", "1600", "-P", pipeline, "--csv"];
        let text = run("redis-benchmark", &options);
        let names: Vec<&str> = text
            .lines()
            .skip(1)
            .filter_map(|line| line.split('"').nth(1))
            .collect();
        assert_eq!(names, TESTS);
    }
    let mut client = Client::connect(server.port);
    assert_eq!(
        client.ask("GET counter:__rand_int__"),
        Reply::Text(b"3200".to_vec())
    );
}

#[test]
fn redis_cli_works() {
    let server = peer::heliosdb();
    let port = server.port.to_string();
    let cli = |arguments: &[&str]| {
        let mut all = vec!["-p", port.as_str()];
        all.extend(arguments);
        run("redis-cli", &all)
    };
    assert_eq!(cli(&["SET", "k", "v w"]), "OK\n");
    assert_eq!(cli(&["GET", "k"]), "v w\n");
    assert_eq!(cli(&["-3", "--json", "HSET", "h", "f", "1"]), "1\n");
    assert_eq!(cli(&["-3", "--json", "HGETALL", "h"]), "{\"f\":\"1\"}\n");
    assert_eq!(cli(&["-r", "3", "INCR", "n"]), "1\n2\n3\n");
    let mut keys: Vec<String> = cli(&["--scan"]).lines().map(str::to_owned).collect();
    keys.sort();
    assert_eq!(keys, ["h", "k", "n"]);
    assert!(cli(&["--bigkeys"]).contains("1 hashs with 1 fields"));
    assert!(cli(&["--memkeys"]).contains("Biggest string found"));
    assert!(cli(&["INFO"]).contains("redis_version:7.2.4"));
    assert!(cli(&["COMMAND", "DOCS", "get"]).contains("the string under a key"));
}
