//! Conversations in `golden/*.txt`: a command a line, and the lines of its reply.
//!
//! ```text
//! > command        sent; the reply must be equal
//! ~> command       sent; the lines of the reply in any order
//! ?> command       sent; the reply is read and not compared
//! < line           of the expected reply
//! ```
//!
//! The expectations were written by redis-server 7.0 and are held against it in the same test.

use crate::peer;
use crate::resp::Client;
use std::path::PathBuf;

/// Fewer are not the conversations.
const STEPS: usize = 800;

struct Step {
    line: usize,
    mark: String,
    command: String,
    expected: Vec<String>,
}

fn read(path: &PathBuf) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (at, line) in std::fs::read_to_string(path).unwrap().lines().enumerate() {
        if let Some(reply) = line.strip_prefix("< ") {
            steps.last_mut().unwrap().expected.push(reply.to_owned());
        } else if let Some((mark, command)) = line.split_once("> ") {
            steps.push(Step {
                line: at + 1,
                mark: mark.to_owned(),
                command: command.to_owned(),
                expected: Vec::new(),
            });
        }
    }
    steps
}

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wire/golden");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Runs all conversations and returns what differs.
fn differences(port: u16) -> Vec<String> {
    let mut different = Vec::new();
    let mut steps = 0;
    for path in files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut client = Client::connect(port);
        client.ask("FLUSHALL");
        for step in read(&path) {
            steps += 1;
            client.send_line(&step.command);
            let mut got = Vec::new();
            client.reply_lines(&mut got);
            let mut expected = step.expected;
            match step.mark.as_str() {
                "?" => continue,
                "~" => {
                    got.sort();
                    expected.sort();
                }
                _ => {}
            }
            if got != expected {
                different.push(format!(
                    "{name}:{} {}\n  expected {expected:?}\n  got      {got:?}",
                    step.line, step.command
                ));
            }
        }
    }
    assert!(steps > STEPS, "only {steps} steps were found");
    different
}

#[test]
fn every_conversation_goes_as_with_redis() {
    let server = peer::heliosdb();
    let different = differences(server.port);
    assert!(
        different.is_empty(),
        "{} differ\n{}",
        different.len(),
        different.join("\n")
    );
}

#[test]
fn the_expectations_are_those_of_a_real_redis_server() {
    let server = peer::redis_server();
    let different = differences(server.port);
    assert!(
        different.is_empty(),
        "{} differ\n{}",
        different.len(),
        different.join("\n")
    );
}
