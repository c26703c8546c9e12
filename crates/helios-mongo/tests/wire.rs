//! The front-end over a real socket and a real engine, spoken to in plain messages.

#[path = "support/daemon.rs"]
mod daemon;

use daemon::Daemon;
use helios_mongo::codec::{self, HEADER_LEN};
use helios_planner::document::raw::*;
use std::io::{Read, Write};
use std::net::TcpStream;

struct Client {
    stream: TcpStream,
    next: i32,
}

fn connect(daemon: &Daemon) -> Client {
    Client {
        stream: TcpStream::connect(daemon.address).unwrap(),
        next: 1,
    }
}

/// A document written as JSON, `$`-names and numbers as they stand.
fn bson(json: &str) -> Vec<u8> {
    let parsed = helios_types::Jsonb::parse(json).unwrap();
    parsed.as_ref().bytes.to_vec()
}

impl Client {
    fn send(&mut self, body: &[u8]) -> i32 {
        let mut message = Vec::new();
        let id = self.next;
        self.next += 1;
        codec::write_msg(&mut message, id, 0, body, false);
        self.stream.write_all(&message).unwrap();
        id
    }

    fn receive(&mut self) -> BsonBuf {
        let mut header = [0; HEADER_LEN];
        self.stream.read_exact(&mut header).unwrap();
        let length = codec::header(&header).unwrap().length;
        let mut message = header.to_vec();
        message.resize(length, 0);
        self.stream.read_exact(&mut message[HEADER_LEN..]).unwrap();
        let body = codec::parse(&message).unwrap().body.to_buf();
        body
    }

    /// Runs a command in the database `shop`.
    fn run(&mut self, json: &str) -> BsonBuf {
        let mut body = Writer::new();
        let command = bson(json);
        for (name, value) in Bson::document(&command).fields() {
            body.put(name, value);
        }
        if Bson::document(&command).get("$db").is_missing() {
            body.put_str("$db", "shop");
        }
        self.send(&body.finish());
        self.receive()
    }

    fn ok(&mut self, json: &str) -> BsonBuf {
        let reply = self.run(json);
        assert!(reply.as_bson().get("ok").truthy(), "{json} -> {reply:?}");
        reply
    }

    fn documents(&mut self, json: &str) -> Vec<String> {
        let reply = self.ok(json);
        let batch = reply.as_bson().get("cursor").get("firstBatch");
        batch.elements().map(|d| format!("{d:?}")).collect()
    }

    fn code(&mut self, json: &str) -> i32 {
        let reply = self.run(json);
        assert!(!reply.as_bson().get("ok").truthy(), "{json} -> {reply:?}");
        reply.as_bson().get("code").as_i32().unwrap()
    }
}

#[test]
fn documents_are_inserted_found_changed_and_deleted() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    client.ok(r#"{"insert": "people", "documents": [{"_id": 1, "name": "Ann", "age": 30}, {"_id": 2, "name": "Bob", "tags": ["a", "b"]}]}"#);
    assert_eq!(
        client.documents(r#"{"find": "people", "filter": {"_id": 1}}"#),
        [r#"{ _id: 1, name: "Ann", age: 30 }"#]
    );
    assert_eq!(
        client.documents(
            r#"{"find": "people", "filter": {"tags": "b"}, "projection": {"name": 1, "_id": 0}}"#
        ),
        [r#"{ name: "Bob" }"#]
    );
    client.ok(r#"{"update": "people", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"age": 1}, "$set": {"city": "Rome"}}}]}"#);
    assert_eq!(
        client.documents(r#"{"find": "people", "filter": {"age": 31}}"#),
        [r#"{ _id: 1, name: "Ann", age: 31, city: "Rome" }"#]
    );
    let reply = client.ok(r#"{"delete": "people", "deletes": [{"q": {}, "limit": 0}]}"#);
    assert_eq!(reply.as_bson().get("n").as_i32(), Some(2));
    assert!(client.documents(r#"{"find": "people"}"#).is_empty());
}

#[test]
fn a_duplicate_id_is_refused_and_documents_before_it_stay() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    let reply = client.ok(r#"{"insert": "c", "documents": [{"_id": 1}, {"_id": 1}, {"_id": 2}]}"#);
    let errors = reply.as_bson().get("writeErrors");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors.element(0).get("code").as_i32(), Some(11000));
    assert_eq!(
        errors.element(0).get("keyValue").get("_id").as_i32(),
        Some(1)
    );
    let reply = client.ok(r#"{"count": "c"}"#);
    assert_eq!(reply.as_bson().get("n").as_i32(), Some(1));
}

#[test]
fn pipelines_group_sort_unwind_and_join() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    client.ok(r#"{"insert": "orders", "documents": [{"_id": 1, "c": "x", "n": 2, "items": ["p", "q"]}, {"_id": 2, "c": "y", "n": 5, "items": ["q"]}, {"_id": 3, "c": "x", "n": 3, "items": []}]}"#);
    client.ok(r#"{"insert": "goods", "documents": [{"_id": "p", "price": 10}, {"_id": "q", "price": 20}]}"#);
    assert_eq!(
        client.documents(r#"{"aggregate": "orders", "cursor": {}, "pipeline": [{"$group": {"_id": "$c", "total": {"$sum": "$n"}}}, {"$sort": {"total": 1, "_id": 1}}]}"#),
        [r#"{ _id: "x", total: 5 }"#, r#"{ _id: "y", total: 5 }"#]
    );
    assert_eq!(
        client.documents(r#"{"aggregate": "orders", "cursor": {}, "pipeline": [{"$unwind": "$items"}, {"$lookup": {"from": "goods", "localField": "items", "foreignField": "_id", "as": "g"}}, {"$match": {"_id": 2}}, {"$project": {"g": 1}}]}"#),
        [r#"{ _id: 2, g: [ { _id: "q", price: 20 } ] }"#]
    );
    assert_eq!(client.documents(r#"{"aggregate": "orders", "cursor": {}, "pipeline": [{"$match": {"n": {"$gt": 2}}}, {"$count": "n"}]}"#), ["{ n: 2 }"]);
}

#[test]
fn unknown_commands_and_fields_are_refused_by_name() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    assert_eq!(client.code(r#"{"atlasVersion": 1, "$db": "admin"}"#), 59);
    assert_eq!(client.code(r#"{"find": "c", "nonsense": 1}"#), 40415);
    assert_eq!(
        client.code(r#"{"find": "c", "filter": {"$nonsense": 1}}"#),
        2
    );
}

#[test]
fn a_cursor_hands_out_its_batches_and_ends() {
    let daemon = Daemon::start();
    let mut client = connect(&daemon);
    client.ok(r#"{"insert": "c", "documents": [{"_id": 1}, {"_id": 2}, {"_id": 3}]}"#);
    let reply = client.ok(r#"{"find": "c", "batchSize": 2}"#);
    let id = reply.as_bson().get("cursor").get("id").as_i64().unwrap();
    assert_ne!(id, 0);
    let mut more = Writer::new();
    more.put_i64("getMore", id)
        .put_str("collection", "c")
        .put_str("$db", "shop");
    client.send(&more.finish());
    let reply = client.receive();
    let cursor = reply.as_bson().get("cursor");
    assert_eq!(cursor.get("nextBatch").len(), 1);
    assert_eq!(cursor.get("id").as_i64(), Some(0));
}

#[test]
fn broken_messages_are_answered_and_leave_others_alone() {
    let daemon = Daemon::start();
    let mut good = connect(&daemon);
    good.ok(r#"{"ping": 1, "$db": "admin"}"#);
    let mut bad = connect(&daemon);
    bad.stream.write_all(&[255; 64]).unwrap();
    let reply = bad.receive();
    assert_eq!(reply.as_bson().get("code").as_i32(), Some(17));
    assert_eq!(bad.stream.read(&mut [0; 1]).unwrap(), 0);
    good.ok(r#"{"ping": 1, "$db": "admin"}"#);
}
