//! What the server tells of itself and of its clients, and what it refuses.

use crate::peer;
use crate::resp::{Client, Reply, info, text};

#[test]
fn the_server_tells_of_itself_and_its_clients() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    assert_eq!(client.ask("CLIENT SETNAME me"), text("OK"));
    client.ask("SET k v EX 100");
    for (section, part) in [
        ("server", "redis_version:7.2.4"),
        ("clients", "connected_clients:1"),
        ("keyspace", "db0:keys=1,expires=1"),
        ("stats", "total_commands_processed:"),
        ("commandstats", "cmdstat_set:calls=1"),
        ("memory", "used_memory:"),
        ("everything", "role:master"),
    ] {
        let shown = info(&mut client, section);
        assert!(shown.contains(part), "{section}: {shown}");
    }
    let Reply::Text(list) = client.ask("CLIENT LIST") else {
        panic!("CLIENT LIST gave no text")
    };
    assert!(String::from_utf8(list).unwrap().contains("name=me"));
    let Reply::List(pairs) = client.ask("CONFIG GET append*") else {
        panic!("CONFIG GET gave no list")
    };
    assert!(pairs.contains(&text("appendfsync")) && pairs.contains(&text("everysec")));
    assert_eq!(client.ask("CONFIG SET appendfsync always"), text("OK"));
    assert_eq!(client.ask("SET k w"), text("OK"));
    assert_eq!(
        client.ask("CONFIG GET appendfsync"),
        Reply::List(vec![text("appendfsync"), text("always")])
    );
    let Reply::Integer(count) = client.ask("COMMAND COUNT") else {
        panic!("COMMAND COUNT gave no number")
    };
    assert!(count > 150, "{count}");
    assert!(matches!(client.ask("COMMAND DOCS"), Reply::List(docs) if docs.len() > 300));
    assert!(matches!(client.ask("TIME"), Reply::List(parts) if parts.len() == 2));
}

#[test]
fn every_command_with_subcommands_has_help() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    for container in [
        "ACL", "CLIENT", "COMMAND", "CONFIG", "MEMORY", "MODULE", "OBJECT", "PUBSUB",
    ] {
        let Reply::List(lines) = client.ask(&format!("{container} HELP")) else {
            panic!("{container} HELP gave no list")
        };
        assert!(lines.len() > 2, "{container}: {lines:?}");
        let first = format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
        assert_eq!(lines[0], text(&first));
    }
}

#[test]
fn what_the_server_does_not_keep_is_refused_by_name() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    client.ask("SET k v");
    for command in [
        "OBJECT IDLETIME k",
        "OBJECT FREQ k",
        "CONFIG REWRITE",
        "SWAPDB 0 1",
        "DEBUG JMAP",
        "CONFIG SET maxmemory 1gb",
    ] {
        let Reply::Error(error) = client.ask(command) else {
            panic!("{command} was accepted")
        };
        assert!(error.starts_with("ERR "), "{command}: {error}");
    }
}

#[test]
fn a_client_can_be_named_and_be_silent() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    let Reply::Integer(id) = client.ask("CLIENT ID") else {
        panic!("CLIENT ID gave no number")
    };
    assert_eq!(client.ask("CLIENT SETINFO LIB-NAME probe"), text("OK"));
    assert_eq!(client.ask("CLIENT SETINFO LIB-VER 1.2"), text("OK"));
    let Reply::Text(shown) = client.ask("CLIENT INFO") else {
        panic!("CLIENT INFO gave no text")
    };
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.starts_with(&format!("id={id} ")), "{shown}");
    assert!(shown.contains("lib-name=probe lib-ver=1.2"), "{shown}");
    client.send_line("CLIENT REPLY OFF");
    client.send_line("SET k 1");
    assert_eq!(client.ask("CLIENT REPLY ON"), text("OK"));
    client.send_line("CLIENT REPLY SKIP");
    client.send_line("SET k 2");
    assert_eq!(client.ask("GET k"), text("2"));
}

#[test]
fn expired_keys_stay_unseen_while_nothing_removes_them() {
    let server = peer::heliosdb();
    let mut client = Client::connect(server.port);
    assert_eq!(client.ask("DEBUG SET-ACTIVE-EXPIRE 0"), text("OK"));
    client.ask("SET k v PX 1");
    while client.ask("GET k") != Reply::Null {
        std::thread::yield_now();
    }
    assert_eq!(client.ask("DBSIZE"), Reply::Integer(1));
    assert_eq!(client.ask("EXISTS k"), Reply::Integer(0));
    assert_eq!(client.ask("DEBUG SET-ACTIVE-EXPIRE 1"), text("OK"));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while client.ask("DBSIZE") != Reply::Integer(0) {
        assert!(
            std::time::Instant::now() < deadline,
            "the key was not removed"
        );
        std::thread::yield_now();
    }
}
