//! Replies against the examples of the API contract.

#![allow(dead_code, reason = "each test file uses a part of it")]

use super::daemon::Daemon;
use serde_json::Value as Json;

/// How a reply differs from an example: in the keys of an object at any depth, or in the kind of a
/// value. Null in the example or the reply stands for any value; one element of an array for all.
pub fn difference(example: &Json, reply: &Json, path: &str) -> Option<String> {
    match (example, reply) {
        (Json::Object(example), Json::Object(reply)) => {
            if let Some(key) = example.keys().find(|k| !reply.contains_key(*k)) {
                return Some(format!("{path}.{key} is missing"));
            }
            if let Some(key) = reply.keys().find(|k| !example.contains_key(*k)) {
                return Some(format!("{path}.{key} is not in the contract"));
            }
            example
                .iter()
                .find_map(|(key, e)| difference(e, &reply[key], &format!("{path}.{key}")))
        }
        (Json::Array(example), Json::Array(reply)) => {
            let element = example.first()?;
            if reply.is_empty() {
                return Some(format!("{path} is empty"));
            }
            reply
                .iter()
                .find_map(|r| difference(element, r, &format!("{path}[]")))
        }
        (Json::Null, _) | (_, Json::Null) => None,
        (e, r) => (std::mem::discriminant(e) != std::mem::discriminant(r))
            .then(|| format!("{path} is {r}, in the contract {e}")),
    }
}

pub struct Row {
    id: &'static str,
    method: &'static str,
    path: String,
    body: Json,
    status: u16,
    example: Json,
}

pub fn row(
    id: &'static str,
    method: &'static str,
    path: impl Into<String>,
    body: Json,
    status: u16,
    example: Json,
) -> Row {
    Row {
        id,
        method,
        path: format!("/api/v1{}", path.into()),
        body,
        status,
        example,
    }
}

/// Sends each request in turn and compares the replies.
pub fn run(daemon: &Daemon, rows: &[Row]) {
    let mut wrong = Vec::new();
    for row in rows {
        let body = if row.body.is_null() {
            String::new()
        } else {
            row.body.to_string()
        };
        let (status, reply) = daemon.request(row.method, &row.path, &[], &body);
        if status != row.status {
            wrong.push(format!(
                "{} {} {}: {status} {reply}",
                row.id, row.method, row.path
            ));
        } else if let Some(difference) = difference(&row.example, &reply, "") {
            wrong.push(format!(
                "{} {} {}: {difference}",
                row.id, row.method, row.path
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const USERS: &str = "CREATE TABLE users (
    id bigserial PRIMARY KEY, email varchar(255) NOT NULL, name varchar(255) NOT NULL, age integer,
    status varchar(50) NOT NULL DEFAULT 'active', created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz,
    CONSTRAINT users_status_check CHECK (status IN ('active', 'inactive', 'suspended', 'pending', 'expired', 'deleted')))";

pub fn with_users(daemon: &Daemon) {
    daemon.sql(USERS);
    daemon.sql("CREATE UNIQUE INDEX idx_users_email ON users (email)");
    daemon.sql("INSERT INTO users (email, name, age) SELECT 'user' || i || '@example.com', 'User ' || i, 20 + i FROM generate_series(1, 150) AS g(i)");
    daemon.sql("INSERT INTO users (email, name, status, created_at) VALUES ('p@x', 'P', 'pending', '2025-11-01'), ('d@x', 'D', 'deleted', '2024-11-01')");
}
